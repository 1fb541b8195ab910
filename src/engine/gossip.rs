//! PING, PONG and MEET: what nodes tell each other about themselves and about others (cluster-bus.md 10, 11, 13).
//!
//! Who is no member gets a PONG and nothing else, and only a MEET makes this node look who it is. Gossip is believed
//! from members alone, so that two clusters do not become one because a node of the one greets the other; a MEET that
//! is meant does join them, as with RC1. A frame with this node's own identity changes nothing at all, whoever sent it.

use rand::Rng as _;
use std::net::IpAddr;

use super::Engine;
use super::effect::{Effect, Effects, Outgoing, SendTo};
use super::handshake::Origin;
use super::input::Via;
use super::links::Owner;
use super::node_table::{Address, Dial};
use crate::bus::{Features, Gossip, Header, Message, NodeFlags};
use crate::types::{NodeIndex, NodeSet};

/// Which of the three messages that look alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Heartbeat {
    /// "Are you there?"
    Ping,
    /// "I am."
    Pong,
    /// "Let me be a member."
    Meet,
}

/// Fewest nodes that are mentioned if there are as many; one tenth of the cluster if that is more.
const MIN_GOSSIP: u64 = 3;
/// Most suspects that are mentioned besides.
const MAX_SUSPECTS: usize = 10;
/// Most nodes of one frame that are looked at: no cluster has more.
const MAX_TAKEN: usize = 256;

impl Engine {
    /// Takes in a PING, PONG or MEET, in the order of cluster-bus.md 10.
    pub(super) fn heartbeat(
        &mut self,
        via: Via,
        header: &Header,
        heartbeat: Heartbeat,
        gossip: &[Gossip],
        out: &mut Effects,
    ) {
        let owner = match via {
            Via::Peer { .. } => None,
            Via::Own(link) => match self.nodes.owner(link) {
                None => return,
                owner => owner,
            },
        };
        if header.sender == self.nodes.me() {
            return self.heard_myself(via, owner, heartbeat, out);
        }
        if heartbeat != Heartbeat::Pong {
            self.answer(via, header, heartbeat, out);
        }
        match owner {
            Some(Owner::Handshake(at)) if !self.complete_handshake(at, header, out) => return,
            Some(Owner::Node(node)) if self.nodes.table.id(node) != header.sender => {
                return self.lose_address(node, out);
            }
            _ => {}
        }
        let Some(sender) = self.nodes.table.find_member(&header.sender) else { return };
        let answers_first =
            heartbeat == Heartbeat::Pong && self.nodes.table[sender].link.is_some_and(|link| !link.answered);
        match via {
            Via::Peer { from, .. } if heartbeat != Heartbeat::Pong => self.heard(sender, header, from, out),
            Via::Own(_) if heartbeat == Heartbeat::Pong => self.answered(sender, header, out),
            _ => {}
        }
        if heartbeat == Heartbeat::Meet {
            self.member_meets_again(sender);
        }
        self.learn_about(sender, header, out);
        if answers_first && matches!(via, Via::Own(_)) {
            self.link_can_be_used(sender, out);
        }
        self.take_gossip(sender, gossip, out);
    }

    /// Says PING, PONG or MEET on a link that is up.
    pub(super) fn say(&mut self, to: SendTo, heartbeat: Heartbeat, out: &mut Effects) {
        let gossip = self.gossip();
        let message = match heartbeat {
            Heartbeat::Ping => Message::Ping { gossip },
            Heartbeat::Pong => Message::Pong { gossip },
            Heartbeat::Meet => Message::Meet { gossip },
        };
        self.nodes.messages_sent += 1;
        out.push(Effect::Send { to, message: Outgoing::Other(Box::new(message)) });
    }

    /// A frame in this node's own name: it met itself, or another one uses its identity.
    fn heard_myself(&mut self, via: Via, owner: Option<Owner>, heartbeat: Heartbeat, out: &mut Effects) {
        match owner {
            Some(Owner::Handshake(at)) => {
                let handshake = self.drop_handshake(at, out);
                let me = self.nodes.me();
                self.nodes.seeds.met(handshake.address, me);
                tracing::info!(ip = %handshake.address.ip, port = handshake.address.port, "this address is my own");
            }
            Some(Owner::Node(node)) => self.lose_address(node, out),
            None => {
                // If this is the other end of a handshake with itself, the answer ends that.
                if let Via::Peer { link, .. } = via
                    && heartbeat != Heartbeat::Pong
                {
                    self.say(SendTo::Peer(link), Heartbeat::Pong, out);
                }
                if self.nodes.handshakes.is_empty() && self.nodes.complaints.own_id.is_due(self.now) {
                    tracing::warn!(?via, "another node speaks in my name: two nodes have the same ID");
                }
            }
        }
    }

    /// Answers a PING or MEET, and looks who a stranger is that wants to be met.
    fn answer(&mut self, via: Via, header: &Header, heartbeat: Heartbeat, out: &mut Effects) {
        let to = match via {
            Via::Own(link) => SendTo::Own(link),
            Via::Peer { link, from, to } => {
                self.learn_own_ip(to, heartbeat);
                if heartbeat == Heartbeat::Meet && self.nodes.table.find_member(&header.sender).is_none() {
                    self.asked_to_meet(header, from);
                }
                SendTo::Peer(link)
            }
        };
        self.say(to, Heartbeat::Pong, out);
    }

    fn asked_to_meet(&mut self, header: &Header, from: IpAddr) {
        let Some(address) = Address::announced(header, from) else { return };
        // Whoever is told to meet this node may, even if this node was told to forget him.
        self.nodes.unsaved |= self.nodes.forgotten.pardon(&header.sender);
        // If there is no room now, the node will ask again.
        let _ = self.invite(address, Origin::Stranger);
    }

    /// A node sees its own address only in what others connect to (cluster-bus.md 9.5).
    fn learn_own_ip(&mut self, to: IpAddr, heartbeat: Heartbeat) {
        let to = to.to_canonical();
        let is_news = heartbeat == Heartbeat::Meet || self.nodes.ip.is_none();
        if is_news && !to.is_unspecified() && self.nodes.ip != Some(to) {
            self.nodes.ip = Some(to);
            self.nodes.unsaved = true;
        }
    }

    /// Somebody else answers at a member's address: the member is not there any more.
    fn lose_address(&mut self, node: NodeIndex, out: &mut Effects) {
        tracing::warn!(node = %self.nodes.table.id(node), "another node answers at the address of this one");
        self.close_link(node, out);
        self.nodes.table.update(node, |row| {
            row.address = None;
            row.elsewhere = None;
        });
        self.nodes.seeds.look_again(self.now);
        self.nodes.unsaved = true;
    }

    /// A member says PING or MEET on a link of its own: it knows this node.
    fn heard(&mut self, node: NodeIndex, header: &Header, from: IpAddr, out: &mut Effects) {
        if self.nodes.table[node].introduce {
            self.nodes.table.update(node, |row| row.introduce = false);
        }
        if let Some(address) = Address::announced(header, from) {
            self.seen_at(node, address, out);
        }
    }

    /// A member says PONG on this node's link to it.
    fn answered(&mut self, node: NodeIndex, header: &Header, out: &mut Effects) {
        let row = &self.nodes.table[node];
        // What it announces itself, at the very place where it was found, is beyond doubt.
        let announced = header.ip.and_then(|ip| Address::announced(header, ip));
        if row.elsewhere.is_some() {
            if self.nodes.complaints.two_places.is_due(self.now) {
                let id = row.id;
                tracing::warn!(node = %id, elsewhere = ?row.elsewhere, "a node answers at its address, but also speaks \
                    from another one: two nodes have the same ID, or its links leave from another address");
            }
            self.nodes.table.update(node, |row| row.elsewhere = None);
        }
        self.pong(node);
        if let Some(address) = announced
            && self.nodes.table[node].address != Some(address)
        {
            self.move_node(node, address, out);
        }
    }

    /// A member was seen at an address (cluster-bus.md 13).
    ///
    /// RC1 follows at once, and two nodes with the same ID make it run from one to the other. Here an address that
    /// answers is kept: it is asked first, and given up if it is silent.
    pub(super) fn seen_at(&mut self, node: NodeIndex, address: Address, out: &mut Effects) {
        let row = &self.nodes.table[node];
        if row.address == Some(address) {
            return self.hasten_link(node, out);
        }
        let answers = row.link.is_some_and(|link| link.up && link.answered)
            && row.ping_sent.is_none_or(|ping| self.now.since(ping) <= self.probe());
        if !answers {
            return self.move_node(node, address, out);
        }
        let owes = row.ping_sent.is_some();
        self.nodes.table.update(node, |row| row.elsewhere = Some(address));
        if !owes {
            self.ping(node, out);
        }
    }

    /// Goes to another address with a member's link.
    pub(super) fn move_node(&mut self, node: NodeIndex, address: Address, out: &mut Effects) {
        self.close_link(node, out);
        let now = self.now;
        self.nodes.table.update(node, |row| {
            row.address = Some(address);
            row.elsewhere = None;
            row.dial = Dial::now(now);
        });
        tracing::info!(node = %self.nodes.table.id(node), ip = %address.ip, port = address.port, "a node has moved");
        self.nodes.wake(now);
        self.nodes.unsaved = true;
    }

    /// What a member's header says about it.
    fn learn_about(&mut self, node: NodeIndex, header: &Header, out: &mut Effects) {
        let row = &self.nodes.table[node];
        if row.leaving != header.leaving {
            self.nodes.table.update(node, |row| row.leaving = header.leaving);
            self.nodes.unsaved = true;
        }
        self.learn_features(node, header.features, out);
    }

    fn learn_features(&mut self, node: NodeIndex, features: Option<Features>, out: &mut Effects) {
        if self.nodes.table[node].features == features {
            return;
        }
        self.nodes.table.update(node, |row| row.features = features);
        if let Some(link) = self.nodes.table.link_up(node) {
            out.push(Effect::PeerFeatures { link, features });
        }
    }

    /// What a member thinks of others (cluster-bus.md 11.2).
    fn take_gossip(&mut self, source: NodeIndex, gossip: &[Gossip], out: &mut Effects) {
        for about in gossip.iter().take(MAX_TAKEN) {
            let address = about.ip.and_then(|ip| Address::new(ip, about.port, about.bus_port));
            let is_lost = about.flags.has(NodeFlags::NOADDR);
            if about.node == self.nodes.me() {
                continue;
            }
            match (self.nodes.table.find_member(&about.node), address) {
                (Some(node), address) => {
                    let failing = about.flags.has(NodeFlags::PFAIL) || about.flags.has(NodeFlags::FAIL);
                    self.take_report(source, node, failing, out);
                    self.look_elsewhere(node, about, address);
                }
                (None, Some(address))
                    if !is_lost && !self.nodes.forgotten.contains(&about.node, self.now) =>
                {
                    // A node that there is no room for is mentioned again.
                    let _ = self.invite(address, Origin::Gossip);
                }
                (None, _) => {}
            }
        }
    }

    /// A node that does not answer here may answer where another one sees it.
    fn look_elsewhere(&mut self, node: NodeIndex, about: &Gossip, address: Option<Address>) {
        let row = &self.nodes.table[node];
        if !row.pfail && !row.fail {
            return;
        }
        // RC1 does not relay bus ports, so their absence says nothing.
        let is_same = |known: Address| {
            about.ip.map(|ip| ip.to_canonical()) == Some(known.ip)
                && about.port == known.port
                && about.bus_port.is_none_or(|port| port == known.bus_port)
        };
        if let Some(address) = address
            && !row.address.is_some_and(is_same)
        {
            let _ = self.begin_handshake(address, Origin::Gossip);
        }
    }

    /// What this node thinks of some others (cluster-bus.md 11.1).
    ///
    /// Draws as RC1 does, with two differences: suspects are always mentioned, which finds a majority sooner, and
    /// nodes that are suspected need no link to be mentioned (defect 16).
    fn gossip(&mut self) -> Vec<Gossip> {
        let mut chosen = NodeSet::EMPTY;
        self.suspects().take(MAX_SUSPECTS).for_each(|node| chosen.insert(node));
        let total = self.nodes.known();
        let mut available = total.saturating_sub(2);
        let wanted = MIN_GOSSIP.max(total / 10).min(available);
        let mut drawn = 0;
        for draw in 0..3 * wanted {
            if drawn == wanted || available == 0 {
                break;
            }
            let place = self.chance.next_u64() % total;
            let Some(node) = self.nodes.nth_member(place) else {
                // Place 0 is this node; the last ones are handshakes.
                available -= u64::from(place != 0);
                continue;
            };
            let row = &self.nodes.table[node];
            let failing = row.pfail || row.fail;
            if draw + 1 < wanted && !failing {
                continue;
            }
            if row.address.is_none() || (row.link.is_none() && !failing) {
                available -= 1;
                continue;
            }
            if !chosen.contains(node) {
                chosen.insert(node);
                drawn += 1;
            }
        }
        chosen.iter().filter_map(|node| self.gossip_about(node)).collect()
    }

    /// `None` if the node has no address.
    fn gossip_about(&self, node: NodeIndex) -> Option<Gossip> {
        let row = &self.nodes.table[node];
        let address = row.address?;
        Some(Gossip {
            node: row.id,
            ping_sent: row.ping_sent.unwrap_or_default().0 as u32,
            pong_received: row.pong_received.unwrap_or_default().0 as u32,
            ip: Some(address.ip),
            port: address.port,
            bus_port: address.unusual_bus_port(),
            flags: row.flags(),
        })
    }
}
