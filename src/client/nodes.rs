//! What HELLO says about the nodes of a cluster, and in which order to try them.

use super::connection::Address;
use crate::resp::Reply;

/// A node as another one describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Its identity, 40 hexadecimal digits.
    pub id: String,
    /// Its host; empty if the node that was asked does not know its own.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Lower is better: 1 works, 5 has no link, 10 is suspected, 100 has failed or is leaving.
    pub priority: u32,
}

impl Node {
    pub(super) fn address(&self) -> Address {
        Address::Tcp { host: self.host.clone(), port: self.port }
    }
}

/// The answer to HELLO.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Greeting {
    /// The node that answered.
    pub(super) id: String,
    pub(super) nodes: Vec<Node>,
}

impl Greeting {
    /// `None` if the reply describes no cluster.
    pub(super) fn from_reply(reply: &Reply) -> Option<Greeting> {
        let [Reply::Integer(_), id, nodes @ ..] = reply.elements()? else { return None };
        let nodes = nodes.iter().filter_map(node).collect();
        Some(Greeting { id: word(id)?, nodes })
    }

    /// What the node says about itself; 1 if it says nothing.
    pub(super) fn own_priority(&self) -> u32 {
        self.nodes.iter().find(|node| node.id == self.id).map_or(1, |node| node.priority)
    }

    /// Whether another node would serve a client better.
    pub(super) fn knows_better(&self) -> bool {
        self.nodes.iter().any(|node| !node.host.is_empty() && node.priority < self.own_priority())
    }

    /// The other nodes that can be dialled, best first.
    pub(super) fn others(&self) -> Vec<Node> {
        let others = self.nodes.iter().filter(|node| node.id != self.id && !node.host.is_empty());
        let mut others: Vec<_> = others.cloned().collect();
        others.sort_by_key(|node| node.priority);
        others
    }
}

fn node(reply: &Reply) -> Option<Node> {
    let [id, host, port, priority] = reply.elements()? else { return None };
    Some(Node {
        id: word(id)?,
        host: word(host)?,
        port: word(port)?.parse().ok()?,
        priority: word(priority)?.parse().ok()?,
    })
}

fn word(reply: &Reply) -> Option<String> {
    Some(std::str::from_utf8(reply.bytes()?).ok()?.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Reply {
        Reply::Text(text.into())
    }

    fn greeting(own: &str, other: &str) -> Greeting {
        let node =
            |id, host, priority| Reply::Array(vec![text(id), text(host), text("7711"), text(priority)]);
        let reply = vec![Reply::Integer(1), text("a"), node("b", "h", other), node("a", "", own)];
        Greeting::from_reply(&Reply::Array(reply)).expect("well-formed")
    }

    #[test]
    fn a_leaving_node_knows_better_ones() {
        assert!(greeting("100", "1").knows_better());
        assert!(!greeting("1", "100").knows_better());
        assert!(!greeting("100", "100").knows_better());
    }

    #[test]
    fn a_node_is_not_among_its_others() {
        let ids: Vec<_> = greeting("1", "5").others().into_iter().map(|node| node.id).collect();
        assert_eq!(ids, ["b"]);
    }

    #[test]
    fn other_greetings_describe_no_cluster() {
        assert_eq!(Greeting::from_reply(&Reply::Status(b"OK".to_vec())), None);
        assert_eq!(Greeting::from_reply(&Reply::Array(vec![text("x")])), None);
    }
}
