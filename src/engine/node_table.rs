//! The nodes that this one knows: members, nodes that jobs name as holders, and handshakes under way.
//!
//! A row is the number of a node in the sets that jobs keep. It belongs to one identity for as long as a job may
//! refer to it. This file only keeps the table; what is done with it is said in `gossip.rs`, `failure.rs`, `links.rs`
//! and `membership.rs`.
//!
//! Invariants: row 0 is this node; an identity has at most one row; the cached sets agree with the rows; a link is
//! owned by one row or one handshake.

use std::net::{IpAddr, SocketAddr};

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use super::input::LinkId;
use crate::bus::{Features, Header, NodeFlags, NodeLine};
use crate::types::{NodeId, NodeIndex, NodeSet, UnixMillis, limits};

/// Where a node can be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Address {
    pub(super) ip: IpAddr,
    /// The port for clients.
    pub(super) port: u16,
    pub(super) bus_port: u16,
}

impl Address {
    /// An address whose bus port is the usual one unless told. `None` if there is no node to be found at it.
    pub(super) fn new(ip: IpAddr, port: u16, bus_port: Option<u16>) -> Option<Address> {
        let ip = ip.to_canonical();
        let bus_port = bus_port.or_else(|| port.checked_add(limits::BUS_PORT_OFFSET))?;
        let is_place = !ip.is_unspecified() && !ip.is_multicast() && port != 0 && bus_port != 0;
        is_place.then_some(Address { ip, port, bus_port })
    }

    /// Where the sender of a frame that came from `from` wants to be reached.
    pub(super) fn announced(header: &Header, from: IpAddr) -> Option<Address> {
        Address::new(header.ip.unwrap_or(from), header.port, header.bus_port)
    }

    /// Where to connect to.
    pub(super) fn bus(self) -> SocketAddr {
        SocketAddr::new(self.ip, self.bus_port)
    }

    /// The bus port, if it is not the one that RC1 expects.
    pub(super) fn unusual_bus_port(self) -> Option<u16> {
        let usual = self.port.checked_add(limits::BUS_PORT_OFFSET);
        Some(self.bus_port).filter(|_| usual != Some(self.bus_port))
    }
}

/// A link that this node opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Link {
    pub(super) id: LinkId,
    pub(super) opened: UnixMillis,
    /// Whether it is connected.
    pub(super) up: bool,
    /// Whether a PONG came on it.
    pub(super) answered: bool,
}

/// When to connect to a node, and how often that failed in a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Dial {
    /// Not before.
    pub(super) at: UnixMillis,
    /// Connections in a row on which no PONG came.
    pub(super) failures: u32,
}

impl Dial {
    pub(super) fn now(now: UnixMillis) -> Dial {
        Dial { at: now, failures: 0 }
    }
}

/// What makes a node have a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// It is a member.
    Member,
    /// A job names it as a holder, but it is no member, or not yet (W11 of reliability.md).
    Stranger,
    /// It was forgotten, and the row stays until no job refers to it.
    Forgotten,
}

/// A row of the table.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) id: NodeId,
    pub(super) standing: Standing,
    /// `None` is NOADDR.
    pub(super) address: Option<Address>,
    /// Another address that it seems to have, while it is asked whether it still answers at the known one.
    pub(super) elsewhere: Option<Address>,
    pub(super) leaving: bool,
    /// Suspected by this node.
    pub(super) pfail: bool,
    /// Failing by majority.
    pub(super) fail: bool,
    /// What it announced; `None` is a node of RC1, or one that was not heard yet.
    pub(super) features: Option<Features>,
    pub(super) link: Option<Link>,
    /// When the ping was sent that is not answered.
    pub(super) ping_sent: Option<UnixMillis>,
    /// When the last pong came on the own link.
    pub(super) pong_received: Option<UnixMillis>,
    /// Who reported it as failing, and when last.
    pub(super) reports: Vec<(NodeIndex, UnixMillis)>,
    pub(super) dial: Dial,
    /// Whether it is greeted with MEET, since it may not know that this node is a member (see `links.rs`).
    pub(super) introduce: bool,
}

impl Node {
    pub(super) fn new(id: NodeId, standing: Standing, address: Option<Address>, now: UnixMillis) -> Node {
        Node {
            id,
            standing,
            address,
            elsewhere: None,
            leaving: false,
            pfail: false,
            fail: false,
            features: None,
            link: None,
            ping_sent: None,
            pong_received: None,
            reports: Vec::new(),
            dial: Dial::now(now),
            introduce: false,
        }
    }

    pub(super) fn is_member(&self) -> bool {
        self.standing == Standing::Member
    }

    /// The link, if messages can be sent on it.
    pub(super) fn link_up(&self) -> Option<LinkId> {
        self.link.filter(|link| link.up && self.is_member()).map(|link| link.id)
    }

    /// Whether it could be asked to keep a copy.
    fn is_reachable(&self) -> bool {
        self.link_up().is_some() && !self.leaving && !self.pfail && !self.fail
    }

    /// Its state, as it is gossiped, stored and shown.
    pub(super) fn flags(&self) -> NodeFlags {
        let mut flags = NodeFlags::NONE;
        flags.set(NodeFlags::PFAIL, self.pfail);
        flags.set(NodeFlags::FAIL, self.fail);
        flags.set(NodeFlags::NOADDR, self.address.is_none());
        flags.set(NodeFlags::LEAVING, self.leaving);
        flags
    }

    /// Its line in the node table.
    pub(super) fn line(&self) -> NodeLine {
        NodeLine {
            id: self.id,
            ip: self.address.map(|address| address.ip),
            port: self.address.map_or(0, |address| address.port),
            bus_port: self.address.and_then(Address::unusual_bus_port),
            flags: self.flags(),
            ping_sent: self.ping_sent.unwrap_or_default(),
            pong_received: self.pong_received.unwrap_or_default(),
            connected: self.link_up().is_some(),
        }
    }

    fn knows(&self, features: Features) -> bool {
        self.features.is_some_and(|known| known.contains(features))
    }
}

/// All rows.
#[derive(Debug)]
pub(super) struct NodeTable {
    me: NodeId,
    /// Row 0 stays empty: it is this node.
    rows: Vec<Option<Node>>,
    by_id: HashMap<NodeId, NodeIndex, FixedState>,
    /// The row that was found last by [`NodeTable::sender`]; any row at first.
    last_sender: NodeIndex,
    members: NodeSet,
    linked: NodeSet,
    reachable: NodeSet,
    capable: NodeSet,
}

impl NodeTable {
    pub(super) fn new(me: NodeId, seed: u64) -> NodeTable {
        NodeTable {
            me,
            rows: vec![None],
            by_id: HashMap::with_hasher(FixedState::with_seed(seed)),
            last_sender: NodeIndex::MYSELF,
            members: NodeSet::EMPTY,
            linked: NodeSet::EMPTY,
            reachable: NodeSet::EMPTY,
            capable: NodeSet::EMPTY,
        }
    }

    pub(super) fn me(&self) -> NodeId {
        self.me
    }

    /// Takes another identity; only a node without jobs and without others may.
    pub(super) fn rename_me(&mut self, me: NodeId) {
        self.me = me;
    }

    /// The other members.
    pub(super) fn members(&self) -> NodeSet {
        self.members
    }

    /// Other members that a message can be sent to now.
    pub(super) fn linked(&self) -> NodeSet {
        self.linked
    }

    /// Other members that could take a copy now.
    pub(super) fn reachable(&self) -> NodeSet {
        self.reachable
    }

    /// Members that know more than RC1's protocol ([`Features::BATCH`]).
    pub(super) fn capable(&self) -> NodeSet {
        self.capable
    }

    /// Members that announced all of these features.
    pub(super) fn those_with(&self, features: Features) -> NodeSet {
        let able = self.members.iter().filter(|node| self[*node].knows(features));
        able.fold(NodeSet::EMPTY, |set, node| set.union(NodeSet::only(node)))
    }

    /// Members, this node and failing ones included.
    pub(super) fn size(&self) -> u64 {
        1 + u64::from(self.members.len())
    }

    /// Whether all rows are in use.
    pub(super) fn is_full(&self) -> bool {
        self.by_id.len() + 1 >= usize::from(NodeSet::CAPACITY)
    }

    /// Rows of nodes with this standing.
    pub(super) fn count(&self, standing: Standing) -> usize {
        self.iter().filter(|(_, node)| node.standing == standing).count()
    }

    /// The row that owns a link of this node.
    pub(super) fn find_link(&self, link: LinkId) -> Option<NodeIndex> {
        let mut rows = self.iter();
        rows.find(|(_, node)| node.link.is_some_and(|own| own.id == link)).map(|(row, _)| row)
    }

    /// Whether nobody else is known.
    pub(super) fn is_alone(&self) -> bool {
        self.members.is_empty()
    }

    pub(super) fn default_replicate(&self) -> u16 {
        self.size().min(u64::from(limits::DEFAULT_REPLICATE_MAX)) as u16
    }

    /// The row of an identity, this node's included.
    pub(super) fn find(&self, id: &NodeId) -> Option<NodeIndex> {
        if *id == self.me {
            return Some(NodeIndex::MYSELF);
        }
        self.by_id.get(id).copied()
    }

    /// The member with this identity; this node is not its own member.
    pub(super) fn find_member(&self, id: &NodeId) -> Option<NodeIndex> {
        self.by_id.get(id).copied().filter(|node| self.members.contains(*node))
    }

    /// The member that sent a message: most often the same as before, since many come in one frame.
    pub(super) fn sender(&mut self, id: &NodeId) -> Option<NodeIndex> {
        if self.get(self.last_sender).is_none_or(|node| node.id != *id) {
            self.last_sender = *self.by_id.get(id)?;
        }
        Some(self.last_sender).filter(|node| self.members.contains(*node))
    }

    /// The identity in a row.
    pub(super) fn id(&self, node: NodeIndex) -> NodeId {
        if node == NodeIndex::MYSELF { self.me } else { self[node].id }
    }

    /// The link to a node, if messages can be sent on it.
    pub(super) fn link_up(&self, node: NodeIndex) -> Option<LinkId> {
        self.rows.get(usize::from(node.0))?.as_ref()?.link_up()
    }

    /// The node in a row, unless that is free or this node's.
    pub(super) fn get(&self, node: NodeIndex) -> Option<&Node> {
        self.rows.get(usize::from(node.0))?.as_ref()
    }

    /// All rows but this node's, in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (NodeIndex, &Node)> {
        let rows = self.rows.iter().enumerate();
        rows.filter_map(|(row, node)| Some((NodeIndex(row as u16), node.as_ref()?)))
    }

    /// Gives an identity that has none a row. `None` if all rows are in use.
    pub(super) fn insert(&mut self, node: Node) -> Option<NodeIndex> {
        assert!(self.find(&node.id).is_none(), "{} has a row", node.id);
        let free = self.rows.iter().skip(1).position(Option::is_none).map(|row| row + 1);
        let row = free.unwrap_or(self.rows.len());
        if row >= usize::from(NodeSet::CAPACITY) {
            return None;
        }
        if row == self.rows.len() {
            self.rows.push(None);
        }
        let index = NodeIndex(row as u16);
        self.by_id.insert(node.id, index);
        self.rows[row] = Some(node);
        self.recount(index);
        Some(index)
    }

    /// Frees a row to which no job refers any more.
    pub(super) fn remove(&mut self, node: NodeIndex) -> Node {
        let removed = self.rows[usize::from(node.0)].take().expect("the row is in use");
        self.by_id.remove(&removed.id);
        self.recount(node);
        removed
    }

    /// Changes a row.
    pub(super) fn update<T>(&mut self, node: NodeIndex, change: impl FnOnce(&mut Node) -> T) -> T {
        let row = self.rows[usize::from(node.0)].as_mut().expect("the row is in use");
        let id = row.id;
        let result = change(row);
        assert_eq!(row.id, id, "the identity of a row stays");
        self.recount(node);
        result
    }

    /// Brings the cached sets up to date with a row.
    fn recount(&mut self, node: NodeIndex) {
        let row = self.rows[usize::from(node.0)].as_ref();
        let facts = row.map(|row| {
            let member = row.is_member();
            (member, row.link_up().is_some(), row.is_reachable(), member && row.knows(Features::BATCH))
        });
        let (member, linked, reachable, capable) = facts.unwrap_or_default();
        self.members.set(node, member);
        self.linked.set(node, linked);
        self.reachable.set(node, reachable);
        self.capable.set(node, capable);
    }

    /// Recounts the cached sets.
    pub(super) fn audit(&self) -> Result<(), String> {
        let mut again = NodeTable::new(self.me, 0);
        again.rows = self.rows.clone();
        for (node, row) in self.iter() {
            again.recount(node);
            if self.by_id.get(&row.id) != Some(&node) {
                return Err(format!("{} is not found in its row {node:?}", row.id));
            }
        }
        let sets = |table: &NodeTable| [table.members, table.linked, table.reachable, table.capable];
        if sets(&again) != sets(self) || self.by_id.len() != self.iter().count() {
            return Err(format!("sets of nodes: {:?} kept, {:?} exist", sets(self), sets(&again)));
        }
        Ok(())
    }
}

impl std::ops::Index<NodeIndex> for NodeTable {
    type Output = Node;

    fn index(&self, node: NodeIndex) -> &Node {
        self.get(node).expect("the row is in use")
    }
}
