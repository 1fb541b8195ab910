//! Nodes on their way to become members (cluster-bus.md 9).
//!
//! A handshake is an address without an identity: a link is opened to it, and whoever answers there is the member. It
//! has no row in the table, so that a flood of them cannot take the rows of nodes. Invariants: at most one handshake
//! per address, at most [`MAX_PER_ORIGIN`] of each origin.

use rand::Rng as _;

use super::Engine;
use super::effect::{Effect, Effects};
use super::gossip::Heartbeat;
use super::node_table::{Address, Dial, Link, Node, Standing};
use super::reply::Refusal;
use crate::bus::Header;
use crate::types::{Millis, NodeId, NodeSet, UnixMillis};

/// Most handshakes of one origin at a time: strangers cannot take the place of those that this node wants.
const MAX_PER_ORIGIN: usize = NodeSet::CAPACITY as usize;
/// A handshake lasts as long as a node may be silent, but not less than this.
const SHORTEST_HANDSHAKE: Millis = Millis(1000);

/// Why a handshake began. A later one is the stronger reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Origin {
    /// The node sent a MEET.
    Stranger,
    /// A member mentioned it.
    Gossip,
    /// It stands in `cluster-seeds`.
    Seed,
    /// CLUSTER MEET.
    Operator,
}

/// One handshake.
#[derive(Debug)]
pub(super) struct Handshake {
    /// What CLUSTER NODES shows as long as the true identity is not known.
    pub(super) name: NodeId,
    pub(super) address: Address,
    pub(super) origin: Origin,
    pub(super) began: UnixMillis,
    pub(super) link: Option<Link>,
    pub(super) dial: Dial,
    /// When MEET or PING was sent last.
    pub(super) greeted: UnixMillis,
}

impl Handshake {
    /// Who asked to be met knows us already; all others must be told.
    pub(super) fn greeting(&self) -> Heartbeat {
        if self.origin == Origin::Stranger { Heartbeat::Ping } else { Heartbeat::Meet }
    }
}

impl Engine {
    /// Begins a handshake with a node that is not known, if there is room for it.
    pub(super) fn invite(&mut self, address: Address, origin: Origin) -> Result<(), Refusal> {
        if self.nodes.table.is_full() {
            if self.nodes.complaints.table_full.is_due(self.now) {
                tracing::warn!(ip = %address.ip, port = address.port, "no room in the node table for another node");
            }
            return Err(Refusal::TooManyNodes);
        }
        self.begin_handshake(address, origin)
    }

    /// Begins a handshake, or lends its authority to the one that is under way with that address.
    pub(super) fn begin_handshake(&mut self, address: Address, origin: Origin) -> Result<(), Refusal> {
        let handshakes = &mut self.nodes.handshakes;
        if let Some(known) = handshakes.iter_mut().find(|other| other.address == address) {
            known.origin = known.origin.max(origin);
            return Ok(());
        }
        if handshakes.iter().filter(|other| other.origin == origin).count() >= MAX_PER_ORIGIN {
            if self.nodes.complaints.handshakes.is_due(self.now) {
                tracing::warn!(ip = %address.ip, port = address.port, ?origin, "too many handshakes, no more for now");
            }
            return Err(Refusal::TooManyHandshakes);
        }
        let mut name = [0; 20];
        self.chance.fill_bytes(&mut name);
        let now = self.now;
        self.nodes.wake(now);
        self.nodes.handshakes.push(Handshake {
            name: NodeId::from_bytes(name),
            address,
            origin,
            began: now,
            link: None,
            dial: Dial::now(now),
            greeted: now,
        });
        Ok(())
    }

    /// Gives up a handshake and its link.
    pub(super) fn drop_handshake(&mut self, at: usize, out: &mut Effects) -> Handshake {
        let handshake = self.nodes.handshakes.remove(at);
        if let Some(link) = handshake.link {
            out.push(Effect::CloseLink { link: link.id });
        }
        handshake
    }

    /// Gives up handshakes that nobody answered in time.
    pub(super) fn drop_old_handshakes(&mut self, out: &mut Effects) {
        let life = self.settings.node_timeout.max(SHORTEST_HANDSHAKE);
        let mut at = 0;
        while let Some(handshake) = self.nodes.handshakes.get(at) {
            if self.now.since(handshake.began) > life {
                let gone = self.drop_handshake(at, out);
                tracing::debug!(ip = %gone.address.ip, port = gone.address.port, "nobody completed a handshake there");
            } else {
                at += 1;
            }
        }
    }

    /// Somebody answered on the link of a handshake. True if he is a member from now on; false if the handshake
    /// led to nothing new and is dropped.
    pub(super) fn complete_handshake(&mut self, at: usize, header: &Header, out: &mut Effects) -> bool {
        let Handshake { address, origin, .. } = self.nodes.handshakes[at];
        let id = header.sender;
        self.nodes.seeds.met(address, id);
        if let Some(known) = self.nodes.table.find_member(&id) {
            self.drop_handshake(at, out);
            if let Some(address) = Address::announced(header, address.ip) {
                self.seen_at(known, address, out);
            }
            return false;
        }
        let is_wanted = matches!(origin, Origin::Operator | Origin::Stranger);
        if self.nodes.forgotten.contains(&id, self.now) && !is_wanted {
            tracing::debug!(node = %id, "a forgotten node stays forgotten");
            self.drop_handshake(at, out);
            return false;
        }
        self.admit(at, id, out)
    }

    /// Makes the node at the other end of a handshake a member. False if there is no room.
    fn admit(&mut self, at: usize, id: NodeId, out: &mut Effects) -> bool {
        let now = self.now;
        let row = match self.nodes.table.find(&id) {
            Some(row) => row,
            None => match self.nodes.table.insert(Node::new(id, Standing::Stranger, None, now)) {
                Some(row) => row,
                None => {
                    tracing::warn!(node = %id, "no room in the node table for another node");
                    self.drop_handshake(at, out);
                    return false;
                }
            },
        };
        let handshake = self.nodes.handshakes.remove(at);
        // Of what was known of a forgotten node, only its row is kept: jobs refer to it.
        let mut member = Node::new(id, Standing::Member, Some(handshake.address), now);
        member.introduce = handshake.greeting() == Heartbeat::Meet;
        member.link = handshake.link;
        self.nodes.table.update(row, |node| *node = member);
        self.nodes.forgotten.pardon(&id);
        self.nodes.unsaved = true;
        let address = handshake.address;
        tracing::info!(node = %id, ip = %address.ip, port = address.port, "a node is a member now");
        true
    }
}
