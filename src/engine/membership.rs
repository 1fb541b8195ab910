//! Which nodes there are, and what this node says about itself: CLUSTER, HELLO, and the node table as it is stored.

use rand::Rng as _;
use std::net::IpAddr;

use super::Engine;
use super::effect::{Effect, Effects};
use super::forgotten::Forgotten;
use super::handshake::{Handshake, Origin};
use super::input::ClientId;
use super::node_table::{Address, Node, NodeTable, Standing};
use super::reply::{ClusterInfo, HelloNode, Refusal, Reply};
use super::request::ClusterRequest;
use super::seeds::Seeds;
use super::settings::EngineSettings;
use super::sweep::Sweep;
use crate::bus::{Features, Header, NodeFlags, NodeLine, NodesConf};
use crate::types::{Millis, NodeId, NodeIndex, UnixMillis, limits};

/// HELLO's numbers (commands.md 11.1): a node that should be used, one without a link, one that is suspected, and one
/// that is failing or leaving.
const PRIORITY_GOOD: u8 = 1;
const PRIORITY_UNLINKED: u8 = 5;
const PRIORITY_SUSPECTED: u8 = 10;
const PRIORITY_BAD: u8 = 100;

/// Most rows for nodes that jobs name as holders, but that are no members.
const MAX_STRANGERS: usize = 16;

/// Which nodes there are.
#[derive(Debug)]
pub(super) struct Membership {
    pub(super) table: NodeTable,
    pub(super) handshakes: Vec<Handshake>,
    pub(super) seeds: Seeds,
    pub(super) forgotten: Forgotten,
    /// This node's own address, as others see it.
    pub(super) ip: Option<IpAddr>,
    pub(super) leaving: bool,
    pub(super) messages_sent: u64,
    pub(super) messages_received: u64,
    /// Holders of jobs that got no row.
    pub(super) strangers_refused: u64,
    /// When links and failures are looked at next, if there are others.
    pub(super) tick_at: UnixMillis,
    pub(super) random_ping_at: UnixMillis,
    pub(super) next_link: u64,
    /// Whether the stored table is out of date.
    pub(super) unsaved: bool,
    pub(super) complaints: Complaints,
}

/// What is wrong for a while is said once a minute.
#[derive(Debug, Default)]
pub(super) struct Complaints {
    pub(super) own_id: Complaint,
    pub(super) two_places: Complaint,
    pub(super) table_full: Complaint,
    pub(super) handshakes: Complaint,
    pub(super) strangers: Complaint,
}

/// When something was said last.
#[derive(Debug, Default)]
pub(super) struct Complaint(Option<UnixMillis>);

impl Complaint {
    const INTERVAL: Millis = Millis(60_000);

    /// Whether it is to be said now.
    pub(super) fn is_due(&mut self, now: UnixMillis) -> bool {
        let due = self.0.is_none_or(|last| now.since(last) >= Complaint::INTERVAL);
        if due {
            self.0 = Some(now);
        }
        due
    }
}

impl Membership {
    pub(super) fn new(conf: &NodesConf, seed: u64, now: UnixMillis) -> Membership {
        let myself = conf.myself().expect("a node table names its owner");
        let mut table = NodeTable::new(myself.id, seed);
        for line in &conf.nodes {
            if line.flags.has(NodeFlags::HANDSHAKE) || table.find(&line.id).is_some() {
                continue;
            }
            if table.insert(loaded(line, now)).is_none() {
                tracing::error!(node = %line.id, "no room in the node table for this node of the last run");
            }
        }
        Membership {
            table,
            handshakes: Vec::new(),
            seeds: Seeds::none(),
            forgotten: Forgotten::new(&conf.forgotten, now),
            ip: myself.ip,
            leaving: myself.flags.has(NodeFlags::LEAVING),
            messages_sent: 0,
            messages_received: 0,
            strangers_refused: 0,
            tick_at: now,
            random_ping_at: now,
            next_link: 1,
            unsaved: false,
            complaints: Complaints::default(),
        }
    }

    pub(super) fn me(&self) -> NodeId {
        self.table.me()
    }

    pub(super) fn is_leaving(&self) -> bool {
        self.leaving
    }

    /// The identity of a node.
    pub(super) fn id(&self, node: NodeIndex) -> NodeId {
        self.table.id(node)
    }

    /// Members, this node and failing ones included.
    pub(super) fn size(&self) -> u64 {
        self.table.size()
    }

    /// Members and handshakes, this node included.
    pub(super) fn known(&self) -> u64 {
        self.size() + self.handshakes.len() as u64
    }

    /// The member at a place among all that are known. `None` is this node, at place 0, or a handshake.
    pub(super) fn nth_member(&self, place: u64) -> Option<NodeIndex> {
        self.table.members().iter().nth(usize::try_from(place).ok()?.checked_sub(1)?)
    }

    /// Whether nobody else is known.
    pub(super) fn is_alone(&self) -> bool {
        self.table.is_alone()
    }

    /// How many other members could take a copy now.
    pub(super) fn reachable(&self) -> u64 {
        u64::from(self.table.reachable().len())
    }

    pub(super) fn default_replicate(&self) -> u16 {
        self.table.default_replicate()
    }

    /// Recounts what is kept twice, and looks whether links and addresses of handshakes have one owner each.
    pub(super) fn audit(&self) -> Result<(), String> {
        self.table.audit()?;
        let rows = self.table.iter().filter_map(|(_, node)| node.link);
        let mut links: Vec<_> = rows
            .chain(self.handshakes.iter().filter_map(|handshake| handshake.link))
            .map(|link| link.id)
            .collect();
        links.sort_unstable();
        if links.windows(2).any(|two| two[0] == two[1]) {
            return Err(format!("a link has two owners: {links:?}"));
        }
        if let Some((_, node)) = self.table.iter().find(|(_, node)| !node.is_member() && node.link.is_some())
        {
            return Err(format!("{} is no member and has a link", node.id));
        }
        for (at, handshake) in self.handshakes.iter().enumerate() {
            if self.handshakes[..at].iter().any(|other| other.address == handshake.address) {
                return Err(format!("two handshakes with {:?}", handshake.address));
            }
        }
        Ok(())
    }

    /// When other nodes must be looked at; never, if there are none.
    pub(super) fn next_deadline(&self) -> Option<UnixMillis> {
        let others = !self.table.is_alone() || !self.handshakes.is_empty();
        let tick = others.then_some(self.tick_at);
        tick.into_iter().chain(self.seeds.next_deadline()).min()
    }

    /// There is something to do about other nodes that should not wait for the next tick.
    pub(super) fn wake(&mut self, now: UnixMillis) {
        let others = !self.table.is_alone() || !self.handshakes.is_empty();
        self.tick_at = if others { self.tick_at.min(now) } else { now };
    }
}

/// A member as the last run left it.
fn loaded(line: &NodeLine, now: UnixMillis) -> Node {
    let address = line.ip.and_then(|ip| Address::new(ip, line.port, line.bus_port));
    let address = address.filter(|_| !line.flags.has(NodeFlags::NOADDR));
    let mut node = Node::new(line.id, Standing::Member, address, now);
    node.leaving = line.flags.has(NodeFlags::LEAVING);
    node.fail = line.flags.has(NodeFlags::FAIL);
    node.pfail = line.flags.has(NodeFlags::PFAIL) && !node.fail;
    // Their clocks are not this run's.
    node.ping_sent = (line.ping_sent.0 != 0).then_some(now);
    node.pong_received = (line.pong_received.0 != 0).then_some(now);
    node
}

impl Engine {
    pub(super) fn cluster(&mut self, client: ClientId, request: ClusterRequest, out: &mut Effects) {
        let reply = match request {
            ClusterRequest::Nodes => Reply::Nodes(Box::new(self.nodes_shown())),
            ClusterRequest::Meet { ip, port, bus_port } => self.meet(ip, port, bus_port),
            ClusterRequest::MyId => Reply::NodeId(self.nodes.me()),
            ClusterRequest::Info => Reply::ClusterInfo(Box::new(self.cluster_info())),
            ClusterRequest::SaveConfig => {
                self.nodes.unsaved = true;
                Reply::Ok
            }
            ClusterRequest::Forget { id } => self.forget_node(id, out),
            ClusterRequest::Reset { hard } => {
                self.reset(hard, out);
                Reply::Ok
            }
            ClusterRequest::IsLeaving => Reply::Leaving(self.nodes.leaving),
            ClusterRequest::SetLeaving(leaving) => {
                self.set_leaving(leaving, out);
                Reply::Ok
            }
        };
        // Nobody is told OK about a change that a restart would forget, so the table goes to disk first.
        self.save_changed_nodes(out);
        out.reply(client, reply);
    }

    fn meet(&mut self, ip: IpAddr, port: u16, bus_port: u16) -> Reply {
        let Some(address) = Address::new(ip, port, Some(bus_port)) else { return Reply::Ok };
        match self.invite(address, Origin::Operator) {
            Ok(()) => Reply::Ok,
            Err(refusal) => Reply::Refused(refusal),
        }
    }

    fn set_leaving(&mut self, leaving: bool, out: &mut Effects) {
        self.nodes.leaving = leaving;
        self.nodes.unsaved = true;
        if leaving {
            self.send_waiters_away(out);
        }
        // RC1 lets the others find out with the next ping, which may take half the node timeout.
        for node in self.nodes.table.linked().iter() {
            self.ping(node, out);
        }
    }

    fn forget_node(&mut self, id: NodeId, out: &mut Effects) -> Reply {
        if id == self.nodes.me() {
            return Reply::Refused(Refusal::ForgetMyself);
        }
        if let Some(at) = self.nodes.handshakes.iter().position(|handshake| handshake.name == id) {
            self.drop_handshake(at, out);
            return Reply::Ok;
        }
        let row = self.nodes.table.find(&id);
        let Some(node) = row.filter(|node| self.nodes.table[*node].standing != Standing::Forgotten) else {
            return Reply::Refused(Refusal::UnknownNode(id));
        };
        self.close_link(node, out);
        self.drop_reports_of(node);
        self.nodes
            .table
            .update(node, |row| *row = Node::new(id, Standing::Forgotten, None, UnixMillis::NEVER));
        self.nodes.forgotten.remember(id, self.now);
        self.nodes.unsaved = true;
        self.peer_is_forgotten(node);
        tracing::info!(node = %id, "a node is forgotten");
        Reply::Ok
    }

    /// Removes all others and all jobs; what was forgotten is forgotten no more, and seeds are not met again before
    /// the next start.
    fn reset(&mut self, hard: bool, out: &mut Effects) {
        self.flush(out);
        while !self.nodes.handshakes.is_empty() {
            self.drop_handshake(0, out);
        }
        let rows: Vec<NodeIndex> = self.nodes.table.iter().map(|(node, _)| node).collect();
        for node in rows {
            self.close_link(node, out);
            self.nodes.table.remove(node);
        }
        self.sweep = Sweep::default();
        self.nodes.forgotten.clear();
        self.nodes.seeds = Seeds::none();
        if hard {
            let me = self.new_node_id();
            self.nodes.table.rename_me(me);
        }
        self.nodes.unsaved = true;
    }

    /// The row of a node that a job names as a holder: this node's, a member's, or one that is kept for a stranger.
    ///
    /// `None` for a node that was forgotten, and for strangers that there is no room for.
    pub(super) fn holder_row(&mut self, id: NodeId) -> Option<NodeIndex> {
        if let Some(node) = self.nodes.table.find(&id) {
            if node == NodeIndex::MYSELF {
                return Some(node);
            }
            let standing = self.nodes.table[node].standing;
            if standing == Standing::Stranger {
                self.sweep.refer_to_stranger(node, self.now);
            }
            return Some(node).filter(|_| standing != Standing::Forgotten);
        }
        if self.nodes.forgotten.contains(&id, self.now) {
            return None;
        }
        let room = self.nodes.table.count(Standing::Stranger) < MAX_STRANGERS;
        let row = if room {
            self.nodes.table.insert(Node::new(id, Standing::Stranger, None, UnixMillis::NEVER))
        } else {
            None
        };
        if let Some(node) = row {
            self.sweep.refer_to_stranger(node, self.now);
        } else {
            self.nodes.strangers_refused += 1;
            if self.nodes.complaints.strangers.is_due(self.now) {
                let refused = self.nodes.strangers_refused;
                tracing::warn!(node = %id, refused, "jobs name more holders that are no members than can be kept");
            }
        }
        row
    }

    /// Frees the row of a stranger, or of a node that was forgotten, to which no job refers any more. The row of a
    /// member stays.
    pub(super) fn release_row(&mut self, node: NodeIndex) {
        if self.nodes.table.get(node).is_some_and(|row| !row.is_member()) {
            self.nodes.table.remove(node);
        }
    }

    /// What the driver writes into the header of every frame that it sends.
    pub fn header(&self) -> Header {
        let EngineSettings { port, bus_port, announce_ip, .. } = self.settings;
        let usual = port.checked_add(limits::BUS_PORT_OFFSET);
        Header {
            sender: self.nodes.me(),
            ip: announce_ip,
            port,
            bus_port: Some(bus_port).filter(|_| usual != Some(bus_port)),
            leaving: self.nodes.leaving,
            features: Some(if self.has_file() { Features::ALL } else { Features::OURS }),
        }
    }

    /// The node table as it is stored.
    ///
    /// Suspicions are left out: they are no older than a node timeout, and say nothing to a later run.
    pub fn nodes_conf(&self) -> NodesConf {
        let mut nodes = vec![self.own_line()];
        for node in self.nodes.table.members().iter() {
            let mut line = self.nodes.table[node].line();
            line.flags.set(NodeFlags::PFAIL, false);
            nodes.push(line);
        }
        NodesConf { nodes, forgotten: self.nodes.forgotten.list(self.now) }
    }

    /// The node table as CLUSTER NODES shows it.
    pub(super) fn nodes_shown(&self) -> NodesConf {
        let members = self.nodes.table.members();
        let members = members.iter().map(|node| self.nodes.table[node].line());
        let handshakes = self.nodes.handshakes.iter().map(|handshake| NodeLine {
            id: handshake.name,
            ip: Some(handshake.address.ip),
            port: handshake.address.port,
            bus_port: None,
            flags: NodeFlags::HANDSHAKE,
            ping_sent: handshake.greeted,
            pong_received: UnixMillis(0),
            connected: handshake.link.is_some_and(|link| link.up),
        });
        let nodes = std::iter::once(self.own_line()).chain(members).chain(handshakes).collect();
        NodesConf { nodes, forgotten: Vec::new() }
    }

    fn own_line(&self) -> NodeLine {
        let mut flags = NodeFlags::MYSELF;
        flags.set(NodeFlags::LEAVING, self.nodes.leaving);
        NodeLine {
            id: self.nodes.me(),
            ip: self.own_ip(),
            port: self.settings.port,
            bus_port: None,
            flags,
            ping_sent: UnixMillis(0),
            pong_received: UnixMillis(0),
            connected: true,
        }
    }

    fn own_ip(&self) -> Option<IpAddr> {
        self.settings.announce_ip.or(self.nodes.ip)
    }

    /// Has the node table stored if it changed since it was stored last.
    pub(super) fn save_changed_nodes(&mut self, out: &mut Effects) {
        if std::mem::take(&mut self.nodes.unsaved) {
            out.push(Effect::SaveNodes(Box::new(self.nodes_conf())));
        }
    }

    fn new_node_id(&mut self) -> NodeId {
        let mut bytes = [0; 20];
        self.ids.fill_bytes(&mut bytes);
        NodeId::from_bytes(bytes)
    }

    /// What CLUSTER INFO tells.
    pub fn cluster_info(&self) -> ClusterInfo {
        ClusterInfo {
            known_nodes: self.nodes.known(),
            reachable_nodes: self.nodes.reachable(),
            size: self.nodes.size(),
            messages_sent: self.nodes.messages_sent,
            messages_received: self.nodes.messages_received,
        }
    }

    pub(super) fn hello(&self) -> Reply {
        let priority = if self.nodes.leaving { PRIORITY_BAD } else { PRIORITY_GOOD };
        let me = self.nodes.me();
        let myself = HelloNode { id: me, ip: self.own_ip(), port: self.settings.port, priority };
        let members = self.nodes.table.members();
        let members = members.iter().map(|node| hello_member(&self.nodes.table[node]));
        let handshakes = self.nodes.handshakes.iter().map(|handshake| HelloNode {
            id: handshake.name,
            ip: Some(handshake.address.ip),
            port: handshake.address.port,
            priority: PRIORITY_UNLINKED,
        });
        Reply::Hello { me, nodes: std::iter::once(myself).chain(members).chain(handshakes).collect() }
    }
}

fn hello_member(node: &Node) -> HelloNode {
    let priority = if node.fail || node.leaving {
        PRIORITY_BAD
    } else if node.pfail {
        PRIORITY_SUSPECTED
    } else if node.link_up().is_none() {
        PRIORITY_UNLINKED
    } else {
        PRIORITY_GOOD
    };
    let (ip, port) = node.address.map_or((None, 0), |address| (Some(address.ip), address.port));
    HelloNode { id: node.id, ip, port, priority }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bus::Message;
    use crate::engine::{Input, LinkId, Request, Seed, Via};

    const NOW: UnixMillis = UnixMillis(1_800_000_000_000);

    fn id(n: u8) -> NodeId {
        NodeId::from_bytes([n; 20])
    }

    fn engine(text: &str) -> Engine {
        let me = format!("{} 10.0.0.1:7711 myself 0 0 connected\n", id(1));
        let conf = NodesConf::parse(format!("{me}{text}").as_bytes()).expect("a node table");
        Engine::new(EngineSettings::default(), &conf, Seed([9; 32]), NOW)
    }

    fn ask(engine: &mut Engine, request: ClusterRequest) -> Effects {
        let mut out = Effects::new();
        engine.step(
            NOW,
            Input::Request { client: ClientId(1), request: Request::Cluster(request) },
            &mut out,
        );
        assert_eq!(engine.audit(), Ok(()));
        out
    }

    /// The node at an address is met, and says who it is.
    fn join(engine: &mut Engine, n: u8) {
        let ip = IpAddr::from([10, 0, 0, n]);
        ask(engine, ClusterRequest::Meet { ip, port: 7711, bus_port: 17_711 });
        let mut out = Effects::new();
        engine.advance(NOW, &mut out);
        let opened = |effect: &Effect| match effect {
            Effect::OpenLink { link, address } if address.ip() == ip => Some(*link),
            _ => None,
        };
        let link = out.iter().find_map(opened).expect("a link is opened");
        engine.step(NOW, Input::LinkUp { link }, &mut out);
        pong(engine, link, n);
    }

    fn pong(engine: &mut Engine, link: LinkId, n: u8) {
        let header = Header { sender: id(n), ..engine.header() };
        let message = Message::Pong { gossip: Vec::new() };
        let mut out = Effects::new();
        engine.step(NOW, Input::Message { via: Via::Own(link), header: &header, message }, &mut out);
        assert_eq!(engine.audit(), Ok(()));
    }

    #[test]
    fn a_table_comes_back_as_it_was_stored() {
        let text = format!(
            "{} 10.0.0.2:7711 noflags 0 1795314702439 connected\n\
             {} ::1:7712 fail,leaving 1795314703243 1795314702439 disconnected\n\
             {} :0 noaddr 1795314709558 1795314707555 disconnected\n\
             {} 10.0.0.9:7711 handshake 0 0 disconnected\n\
             vars bus-port {}@4000\nvars forgotten {}@{}\nvars currentEpoch 0\n",
            id(2),
            id(3),
            id(4),
            id(5),
            id(3),
            id(6),
            NOW.0 + 5000,
        );
        let engine = engine(&text);
        let table = &engine.nodes.table;
        let row = |n| &table[table.find_member(&id(n)).expect("a member")];
        assert_eq!(row(2).address, Address::new(IpAddr::from([10, 0, 0, 2]), 7711, None));
        assert!(row(3).fail && row(3).leaving && !row(3).pfail);
        assert_eq!(row(3).address.map(|address| address.bus_port), Some(4000));
        assert_eq!(
            (row(3).ping_sent, row(3).pong_received),
            (Some(NOW), Some(NOW)),
            "times are of the last run"
        );
        assert_eq!(row(4).address, None);
        assert_eq!(table.find(&id(5)), None, "a handshake was no member");
        assert_eq!(engine.nodes.ip, Some(IpAddr::from([10, 0, 0, 1])));
        let stored = engine.nodes_conf();
        assert_eq!(stored.forgotten, [(id(6), NOW + Millis(5000))]);
        let flags = |n| stored.nodes.iter().find(|line| line.id == id(n)).map(|line| line.flags.to_string());
        assert_eq!(
            [2, 3, 4].map(flags),
            ["noflags", "fail,leaving", "noaddr"].map(|words| Some(words.to_owned()))
        );
    }

    /// W11 of reliability.md: RC1 drops the names of nodes that it does not know from a job's list of holders.
    #[test]
    fn a_holder_that_is_no_member_keeps_its_row_when_it_becomes_one() {
        let mut engine = engine("");
        assert_eq!(engine.holder_row(id(1)), Some(NodeIndex::MYSELF));
        let row = engine.holder_row(id(2)).expect("there is room for a stranger");
        assert_eq!(engine.holder_row(id(2)), Some(row), "it has one row");
        assert!(engine.nodes.is_alone() && engine.nodes.known() == 1, "it is not shown");
        join(&mut engine, 2);
        assert_eq!(engine.nodes.table.find_member(&id(2)), Some(row));
        assert_eq!(engine.holder_row(id(2)), Some(row));
    }

    #[test]
    fn strangers_are_bounded_and_their_rows_can_be_freed() {
        let mut engine = engine("");
        let rows: Vec<NodeIndex> =
            (10..10 + MAX_STRANGERS as u8).filter_map(|n| engine.holder_row(id(n))).collect();
        assert_eq!(rows.len(), MAX_STRANGERS);
        assert_eq!((engine.holder_row(id(99)), engine.nodes.strangers_refused), (None, 1));
        engine.release_row(rows[3]);
        assert_eq!(engine.holder_row(id(99)), Some(rows[3]));
        assert_eq!(engine.audit(), Ok(()));
    }

    /// W11, and defect 12 of cluster-bus.md: jobs keep referring to the row of a node that was forgotten, and it is
    /// the same row when the node comes back.
    #[test]
    fn a_forgotten_node_keeps_its_row_until_it_is_released_or_returns() {
        let mut engine = engine("");
        join(&mut engine, 2);
        let row = engine.nodes.table.find_member(&id(2)).expect("a member");
        ask(&mut engine, ClusterRequest::Forget { id: id(2) });
        assert_eq!(engine.nodes.table[row].standing, Standing::Forgotten);
        assert_eq!(engine.holder_row(id(2)), None, "no job may name it again");
        join(&mut engine, 2);
        assert_eq!(engine.nodes.table.find_member(&id(2)), Some(row));
        engine.release_row(row);
        assert_eq!(engine.nodes.table.find_member(&id(2)), Some(row), "a member keeps its row");
        ask(&mut engine, ClusterRequest::Forget { id: id(2) });
        engine.release_row(row);
        assert_eq!(engine.nodes.table.find(&id(2)), None);
        assert_eq!(engine.holder_row(id(2)), None, "it is still forgotten");
    }

    /// A stranger that holds jobs and will never come back can be forgotten like a member.
    #[test]
    fn a_stranger_can_be_forgotten() {
        let mut engine = engine("");
        let row = engine.holder_row(id(2)).expect("there is room");
        let out = ask(&mut engine, ClusterRequest::Forget { id: id(2) });
        assert!(matches!(out.iter().last(), Some(Effect::Reply { reply: Reply::Ok, .. })));
        assert_eq!(engine.nodes.table[row].standing, Standing::Forgotten);
    }

    /// The reply says OK only about what is on disk.
    #[test]
    fn what_a_command_changes_is_stored_once_and_before_the_reply() {
        let mut engine = engine(&format!("{} 10.0.0.2:7711 noflags 0 0 connected\n", id(2)));
        let changes = [
            ClusterRequest::SetLeaving(true),
            ClusterRequest::SaveConfig,
            ClusterRequest::Forget { id: id(2) },
            ClusterRequest::Reset { hard: false },
        ];
        for request in changes {
            let what = format!("{request:?}");
            let out = ask(&mut engine, request);
            let saves = out.iter().filter(|effect| matches!(effect, Effect::SaveNodes(_))).count();
            assert_eq!(saves, 1, "{what}");
            assert!(matches!(out.iter().last(), Some(Effect::Reply { reply: Reply::Ok, .. })), "{what}");
        }
        for request in
            [ClusterRequest::Nodes, ClusterRequest::MyId, ClusterRequest::Info, ClusterRequest::IsLeaving]
        {
            assert_eq!(ask(&mut engine, request).iter().count(), 1);
        }
    }
}
