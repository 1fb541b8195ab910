//! One node, and what it says about itself and the others.

use std::net::{IpAddr, ToSocketAddrs};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::{Cluster, Fault, REPLY_TIMEOUT};
use crate::client::connection::Address;
use crate::client::session::{ConnectError, Session, Target};
use crate::resp::Reply;

/// How far the port for other nodes usually is from the one for clients.
const BUS_PORT_OFFSET: u64 = 10_000;

/// A node that is connected, as of its last look.
pub(in crate::cli) struct Node {
    session: Session,
    pub(in crate::cli) id: String,
    /// All rows of its table, its own included.
    pub(in crate::cli) members: Vec<Member>,
    info: String,
}

/// A row of CLUSTER NODES.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cli) struct Member {
    pub(in crate::cli) id: String,
    pub(in crate::cli) address: String,
    pub(in crate::cli) flags: Vec<String>,
    pub(in crate::cli) connected: bool,
}

impl Member {
    pub(in crate::cli) fn has(&self, flag: &str) -> bool {
        self.flags.iter().any(|known| known == flag)
    }

    /// Where clients reach it; `None` if the row does not know.
    pub(in crate::cli) fn dial(&self) -> Option<Address> {
        let (host, port) = self.address.rsplit_once(':')?;
        let port = port.parse().ok().filter(|port| *port > 0)?;
        let host = host.trim_start_matches('[').trim_end_matches(']');
        (!host.is_empty()).then(|| Address::Tcp { host: host.to_string(), port })
    }
}

impl Node {
    pub(super) fn open(target: Target) -> Result<Node, Fault> {
        let mut session = Session::new(target);
        session.connect(None).map_err(|error| match error {
            ConnectError::Unreachable { .. } => Fault::Unreachable(error.to_string()),
            ConnectError::Denied(_) | ConnectError::NoResp3(_) => Fault::Refused(error.to_string()),
        })?;
        let mut node = Node { session, id: String::new(), members: Vec::new(), info: String::new() };
        node.look()?;
        Ok(node)
    }

    /// Asks again for everything.
    pub(in crate::cli) fn look(&mut self) -> Result<(), Fault> {
        self.id = self.text(&["CLUSTER", "MYID"])?;
        self.members = self.text(&["CLUSTER", "NODES"])?.lines().filter_map(member).collect();
        self.info = self.text(&["INFO"])?;
        Ok(())
    }

    /// Where it was reached.
    pub(in crate::cli) fn address(&self) -> &Address {
        self.session.address()
    }

    /// Address and the start of the ID.
    pub(super) fn name(&self) -> String {
        format!("{} ({})", self.address(), short(&self.id))
    }

    /// All of INFO.
    pub(in crate::cli) fn info(&self) -> &str {
        &self.info
    }

    /// The names of its queues, at most about so many.
    pub(in crate::cli) fn queue_names(&mut self, most: usize) -> Result<Vec<Vec<u8>>, Fault> {
        let mut names: Vec<Vec<u8>> = Vec::new();
        let mut cursor = "0".to_string();
        loop {
            let reply = self.ask(&["QSCAN", cursor.as_str(), "COUNT", &most.to_string()])?;
            let parts = reply.elements().unwrap_or_default();
            let (Some(next), Some(found)) = (parts.first().and_then(Reply::bytes), parts.get(1)) else {
                return Err(self.strange("QSCAN", &reply));
            };
            cursor = String::from_utf8_lossy(next).into_owned();
            names.extend(
                found.elements().unwrap_or_default().iter().filter_map(Reply::bytes).map(<[u8]>::to_vec),
            );
            if cursor == "0" || names.len() >= most {
                names.truncate(most);
                return Ok(names);
            }
        }
    }

    /// What QSTAT says about each of these queues.
    pub(in crate::cli) fn queue_stats(&mut self, names: &[Vec<u8>]) -> Result<Vec<Reply>, Fault> {
        let requests: Vec<Vec<&[u8]>> = names.iter().map(|name| vec![b"QSTAT".as_slice(), name]).collect();
        let replies = self.session.ask_many(&requests, REPLY_TIMEOUT);
        replies.map_err(|lost| Fault::Unreachable(format!("connection to {} lost: {lost}", self.address())))
    }

    /// A field of INFO.
    pub(super) fn field(&self, name: &str) -> Option<&str> {
        self.info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
    }

    /// A field of INFO that is a number; 0 if it is missing.
    pub(super) fn number(&self, name: &str) -> u64 {
        self.field(name).and_then(|value| value.parse().ok()).unwrap_or(0)
    }

    /// Its own row.
    pub(in crate::cli) fn own(&self) -> Option<&Member> {
        self.members.iter().find(|member| member.id == self.id)
    }

    /// The rows of members other than itself; handshakes are none yet.
    pub(in crate::cli) fn others(&self) -> impl Iterator<Item = &Member> {
        self.members.iter().filter(|member| member.id != self.id && !member.has("handshake"))
    }

    /// Whether it knows exactly these as working, and itself.
    pub(super) fn agrees(&self, ids: &[String]) -> bool {
        let good = |member: &Member| {
            member.id == self.id
                || (member.connected && !member.flags.iter().any(|flag| flag.starts_with("fail")))
        };
        let complete =
            ids.iter().all(|id| self.members.iter().any(|member| member.id == *id && good(member)));
        complete && self.members.len() == ids.len()
    }

    /// How far its clock is ahead of this machine's, in milliseconds, and how exact that is.
    pub(super) fn clock_ahead(&mut self) -> Result<(i64, i64), Fault> {
        let before = millis_now();
        let reply = self.ask(&["TIME"])?;
        let after = millis_now();
        let part = |index: usize| -> Option<i64> {
            std::str::from_utf8(reply.elements()?.get(index)?.bytes()?).ok()?.parse().ok()
        };
        let (Some(secs), Some(micros)) = (part(0), part(1)) else {
            return Err(self.strange("TIME", &reply));
        };
        let theirs = secs.saturating_mul(1000).saturating_add(micros / 1000);
        Ok((theirs - i64::midpoint(before, after), (after - before) / 2 + 1))
    }

    /// Tells it to meet another one.
    pub(super) fn meet(&mut self, other: &Node) -> Result<(), Fault> {
        let Address::Tcp { host, port } = other.address() else {
            let text = format!("{}: other nodes need a host and a port", other.address());
            return Err(Fault::Usage(format!("... {text}")));
        };
        let ip = literal(host, *port)?.to_string();
        let mut words = vec!["CLUSTER".to_string(), "MEET".into(), ip, port.to_string()];
        // Old nodes do not know the word, and do not need it.
        match other.number("cluster_bus_port") {
            0 => {}
            bus_port if bus_port == u64::from(*port) + BUS_PORT_OFFSET => {}
            bus_port => words.push(bus_port.to_string()),
        }
        self.ask(&words).map(drop)
    }

    /// Sends a command; an error of the server is a fault.
    pub(super) fn ask<Word: AsRef<[u8]>>(&mut self, words: &[Word]) -> Result<Reply, Fault> {
        match self.session.ask_within(words, REPLY_TIMEOUT) {
            Ok(Reply::Error(text)) => {
                let text = String::from_utf8_lossy(&text).into_owned();
                Err(Fault::Refused(format!("{} refused: {text}", self.address())))
            }
            Ok(reply) => Ok(reply),
            Err(lost) => Err(Fault::Unreachable(format!("connection to {} lost: {lost}", self.address()))),
        }
    }

    fn text(&mut self, words: &[&str]) -> Result<String, Fault> {
        let reply = self.ask(words)?;
        match reply.bytes() {
            Some(bytes) => Ok(String::from_utf8_lossy(bytes).into_owned()),
            None => Err(self.strange(&words.join(" "), &reply)),
        }
    }

    fn strange(&self, command: &str, reply: &Reply) -> Fault {
        Fault::Refused(format!("{} answered {command} by {reply:?}; is it a disque server?", self.address()))
    }
}

/// A node and all others that it knows: those that can be reached, and why the rest cannot.
pub(in crate::cli) fn all(cluster: &Cluster, first: Node) -> (Vec<Node>, Vec<(Member, String)>) {
    let mut nodes = vec![first];
    let mut missing: Vec<(Member, String)> = Vec::new();
    let mut next = 0;
    // A node may know some that the others do not. A table has at most 64 rows.
    while next < nodes.len() {
        for member in nodes[next].others().cloned().collect::<Vec<_>>() {
            let known = nodes.iter().any(|node| node.id == member.id);
            if known || missing.iter().any(|(other, _)| other.id == member.id) {
                continue;
            }
            match member.dial().map(|address| cluster.open(address)) {
                Some(Ok(node)) if node.id == member.id => nodes.push(node),
                Some(Ok(node)) => {
                    let reason = format!("at its address answers {}", short(&node.id));
                    missing.push((member, reason));
                }
                // Only the first line: how to start a server is not what is asked here.
                Some(Err(fault)) => {
                    let reason = fault.to_string().lines().next().unwrap_or_default().to_string();
                    missing.push((member, reason));
                }
                None => missing.push((member, "no address is known".to_string())),
            }
        }
        next += 1;
    }
    (nodes, missing)
}

/// What people recognise an ID by.
pub(in crate::cli) fn short(id: &str) -> &str {
    id.get(..8).unwrap_or(id)
}

fn member(line: &str) -> Option<Member> {
    let fields: Vec<_> = line.split(' ').collect();
    let [id, address, flags, _, _, link] = *fields else { return None };
    Some(Member {
        id: id.to_string(),
        address: address.to_string(),
        flags: flags.split(',').filter(|flag| *flag != "noflags").map(str::to_string).collect(),
        connected: link == "connected",
    })
}

/// MEET takes no names.
fn literal(host: &str, port: u16) -> Result<IpAddr, Fault> {
    let found = (host, port).to_socket_addrs().ok().and_then(|mut found| found.next());
    found.map(|address| address.ip()).ok_or_else(|| Fault::Unreachable(format!("{host} has no address")))
}

fn millis_now() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    i64::try_from(now.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_the_table_are_read() {
        let row = member("81e0 127.0.0.1:7812 fail?,leaving 0 1795314702439 disconnected").expect("a row");
        assert!(row.has("fail?") && row.has("leaving") && !row.has("fail") && !row.connected);
        assert_eq!(row.dial(), Some(Address::Tcp { host: "127.0.0.1".into(), port: 7812 }));
        assert_eq!(member("a ::1:7 noflags 0 0 connected").expect("a row").flags, Vec::<String>::new());
        assert_eq!(member("nonsense"), None);
    }

    #[test]
    fn a_row_without_address_cannot_be_dialled() {
        for address in [":7811", ":0", "h:0", "h"] {
            let row = member(&format!("a {address} myself 0 0 connected")).expect("a row");
            assert_eq!(row.dial(), None, "{address}");
        }
        let six = member("a ::1:7711 noflags 0 0 connected").expect("a row");
        assert_eq!(six.dial(), Some(Address::Tcp { host: "::1".into(), port: 7711 }));
    }
}
