//! Engines in one process and a network between them that loses nothing unless it is told to.
//!
//! Everything is decided by the order of events: a frame takes a millisecond, a connection as well. Frames travel as
//! values; their length is that of their encoding.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use disque::aof::Record;
use disque::bus::{Features, FrameWriter, Header, Message, NodeFlags, NodeLine, NodesConf, decode};
use disque::engine::{
    ClientId, ClusterInfo, ClusterRequest, Control, Effect, Effects, Engine, EngineSettings, HelloNode, Hold,
    Input, LinkId, PeerLinkId, Persistence, Reply, Request, Requeueing, Seed, SendTo, Via,
};
use disque::types::{Millis, NodeId, UnixMillis};

use crate::talk;

pub const START: UnixMillis = UnixMillis(1_800_000_000_000);
const LATENCY: Millis = Millis(1);

/// A node of the test, by its place in the list.
pub type Place = usize;

pub struct Node {
    pub engine: Engine,
    pub settings: EngineSettings,
    pub ip: IpAddr,
    pub up: bool,
    /// What it stored last.
    pub disk: NodesConf,
    pub saves: usize,
    pub frames_sent: usize,
    pub bytes_sent: usize,
    /// What its links were opened to, in order.
    pub opened: Vec<(UnixMillis, SocketAddr)>,
    /// Features told to the driver, by link.
    pub features: Vec<(LinkId, bool)>,
    /// It speaks and understands only what Disque 1.0-rc1 does.
    pub rc1: bool,
    peers: BTreeMap<LinkId, Option<Features>>,
    /// How far its clock is ahead of that of the test.
    pub skew: Millis,
    /// What its clients were answered.
    pub clients: BTreeMap<ClientId, Vec<String>>,
    /// What its messages that must not leave too early waited for, in order.
    pub confirmed: Vec<(&'static str, Hold)>,
    /// What its last reply waited for.
    pub last_reply: Hold,
    /// The records of its append-only file.
    pub file: Vec<(u8, Vec<u8>)>,
    /// Nothing gets to its disk at the moment; what waits for that.
    disk_hangs: bool,
    held: Vec<Held>,
}

/// What waits for a disk.
enum Held {
    Reply(ClientId, String),
    Message(SendTo, Message<'static>),
}

struct Wire {
    from: Place,
    link: LinkId,
    to: Place,
    peer_link: PeerLinkId,
    /// Nothing passes any more, and neither side knows.
    is_dead: bool,
}

enum Event {
    Up { place: Place, link: LinkId },
    Down { place: Place, link: LinkId },
    Frame { to: Place, via: Via, bytes: Vec<u8> },
}

/// Whether a message is lost: asked with sender, receiver and message.
pub type Loses = dyn FnMut(Place, Place, &Message<'_>) -> bool;

#[derive(Default)]
pub struct Net {
    pub now: UnixMillis,
    pub nodes: Vec<Node>,
    wires: Vec<Wire>,
    events: BTreeMap<(UnixMillis, u64), Event>,
    next: u64,
    /// Pairs between which nothing passes, not even a refusal; in this direction.
    cuts: BTreeSet<(Place, Place)>,
    pub lose: Option<Box<Loses>>,
    /// Frames delivered, by name.
    pub delivered: BTreeMap<&'static str, usize>,
}

/// An identity that begins with a number.
pub fn id(n: usize) -> NodeId {
    let mut bytes = [0x5a; 20];
    bytes[..2].copy_from_slice(&(n as u16).to_be_bytes());
    NodeId::from_bytes(bytes)
}

pub fn ip(n: usize) -> IpAddr {
    IpAddr::from([10, 0, (n >> 8) as u8, n as u8])
}

impl Net {
    /// Nodes that do not know each other, with identities and addresses by number from 1.
    pub fn of(count: usize) -> Net {
        let mut net = Net { now: START, ..Net::default() };
        for n in 1..=count {
            net.add_node(n, EngineSettings { maxmemory: 0, ..EngineSettings::default() });
        }
        net
    }

    /// Nodes that all know each other, and have for a while.
    pub fn cluster(count: usize) -> Net {
        let mut net = Net::of(count);
        for place in 1..count {
            net.meet(place, 0);
        }
        net.run(Millis(10_000));
        for place in 0..count {
            assert_eq!(net.members(place).len(), count - 1, "node {place}");
        }
        net
    }

    pub fn add_node(&mut self, n: usize, settings: EngineSettings) -> Place {
        let conf = NodesConf::alone(id(n), settings.port);
        self.start(ip(n), settings, conf)
    }

    /// Starts a node with what it has on its disk.
    pub fn start(&mut self, ip: IpAddr, settings: EngineSettings, disk: NodesConf) -> Place {
        let seed = Seed([self.nodes.len() as u8; 32]);
        let engine = Engine::new(settings.clone(), &disk, seed, self.now);
        self.nodes.push(Node {
            engine,
            settings,
            ip,
            up: true,
            disk,
            saves: 0,
            frames_sent: 0,
            bytes_sent: 0,
            opened: Vec::new(),
            features: Vec::new(),
            rc1: false,
            peers: BTreeMap::new(),
            skew: Millis(0),
            clients: BTreeMap::new(),
            confirmed: Vec::new(),
            last_reply: Hold::No,
            file: Vec::new(),
            disk_hangs: false,
            held: Vec::new(),
        });
        self.nodes.len() - 1
    }

    /// The process ends, as if killed: connections break, the machine goes on.
    pub fn kill(&mut self, place: Place) {
        self.nodes[place].up = false;
        for wire in std::mem::take(&mut self.wires) {
            if wire.to == place {
                self.schedule(Event::Down { place: wire.from, link: wire.link });
            } else if wire.from != place {
                self.wires.push(wire);
            }
        }
    }

    /// The process stands still: its connections stay, but nobody reads or writes. What comes for it is lost.
    pub fn freeze(&mut self, place: Place) {
        self.nodes[place].up = false;
    }

    pub fn thaw(&mut self, place: Place) {
        self.nodes[place].up = true;
    }

    /// Starts a killed node again with its disk. It has a new place; the old one stays dead.
    pub fn restart(&mut self, place: Place) -> Place {
        let (ip, settings, disk) =
            (self.nodes[place].ip, self.nodes[place].settings.clone(), self.nodes[place].disk.clone());
        let disk = NodesConf::parse(disk.to_string().as_bytes()).expect("what is stored can be read");
        self.start(ip, settings, disk)
    }

    /// The node comes back with what is in its append-only file.
    pub fn restart_from_file(&mut self, place: Place) -> Place {
        let file = std::mem::take(&mut self.nodes[place].file);
        let place = self.restart(place);
        let (now, engine) = (self.now, &mut self.nodes[place].engine);
        let mut nodes = Vec::new();
        for (kind, payload) in &file {
            engine.restore(
                Record::decode(*kind, payload, &mut nodes).expect("a record").expect("a known kind"),
            );
        }
        engine.finish_restore(now, Requeueing::Own);
        place
    }

    /// A node speaks and understands only what Disque 1.0-rc1 does, from now on; the others notice.
    pub fn turn_rc1(&mut self, place: Place, rc1: bool) {
        self.nodes[place].rc1 = rc1;
        self.run(Millis(16_000));
    }

    /// The link that one node has to another is gone, and does not come back.
    pub fn cut_link(&mut self, from: Place, to: Place) {
        self.cuts.insert((from, to));
        let gone: Vec<LinkId> = self
            .wires
            .iter()
            .filter(|wire| wire.from == from && wire.to == to)
            .map(|wire| wire.link)
            .collect();
        self.wires.retain(|wire| wire.from != from || wire.to != to);
        for link in gone {
            self.step(from, Input::LinkDown { link });
        }
    }

    pub fn cut(&mut self, from: Place, to: Place) {
        self.cuts.insert((from, to));
    }

    pub fn heal(&mut self) {
        self.cuts.clear();
    }

    /// All connections that there are die without a sign, as when a firewall loses its state.
    pub fn wear_out(&mut self) {
        self.wires.iter_mut().for_each(|wire| wire.is_dead = true);
    }

    /// Lets time pass in which nothing happens anywhere, as if all machines slept.
    pub fn skip(&mut self, span: Millis) {
        self.now += span;
    }

    /// Lets time pass.
    pub fn run(&mut self, span: Millis) {
        let end = self.now + span;
        while let Some(at) = self.next_time().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.turn();
        }
        self.now = end;
    }

    /// Lets time pass until something is so; how long that took.
    pub fn run_until(&mut self, limit: Millis, mut is_so: impl FnMut(&mut Net) -> bool) -> Option<Millis> {
        let begin = self.now;
        while !is_so(self) {
            let at = self.next_time().filter(|at| *at <= begin + limit)?;
            self.now = self.now.max(at);
            self.turn();
        }
        Some(self.now.since(begin))
    }

    fn next_time(&self) -> Option<UnixMillis> {
        let events = self.events.keys().next().map(|(at, _)| *at);
        let living = self.nodes.iter().filter(|node| node.up);
        let engines = living.filter_map(|node| Some(node.engine.next_deadline()? - node.skew));
        engines.chain(events).min()
    }

    fn turn(&mut self) {
        for place in 0..self.nodes.len() {
            let node = &mut self.nodes[place];
            let now = self.now + node.skew;
            if node.up && node.engine.next_deadline().is_some_and(|at| at <= now) {
                let mut effects = Effects::new();
                node.engine.advance(now, &mut effects);
                self.perform(place, &effects);
            }
        }
        while let Some(entry) = self.events.first_entry().filter(|entry| entry.key().0 <= self.now) {
            match entry.remove() {
                Event::Up { place, link } => self.step(place, Input::LinkUp { link }),
                Event::Down { place, link } => self.step(place, Input::LinkDown { link }),
                Event::Frame { to, via, bytes } => self.receive(to, via, &bytes),
            }
        }
    }

    fn receive(&mut self, to: Place, via: Via, bytes: &[u8]) {
        // Times travel as what is left of them.
        let now = self.now + self.nodes[to].skew;
        let (mut header, messages) = decode(bytes, now).expect("nodes send frames that can be read");
        if self.nodes[to].rc1 {
            header.features = None;
        }
        for message in messages {
            let message = message.expect("nodes send messages that can be read");
            *self.delivered.entry(message.name()).or_default() += 1;
            self.step(to, Input::Message { via, header: &header, message });
        }
    }

    pub fn new_client(&mut self) -> ClientId {
        self.next += 1;
        ClientId(self.next + 1000)
    }

    pub fn step(&mut self, place: Place, input: Input<'_>) {
        // What comes for a process that stands still is taken for lost; the peers ask again.
        if !self.nodes[place].up {
            return;
        }
        let mut effects = Effects::new();
        let now = self.now + self.nodes[place].skew;
        self.nodes[place].engine.step(now, input, &mut effects);
        self.perform(place, &effects);
        if let Err(why) = self.nodes[place].engine.audit() {
            panic!("node {place}: {why}");
        }
    }

    fn perform(&mut self, place: Place, effects: &Effects) {
        let records = effects.appended().map(|(kind, payload)| (kind, payload.to_vec()));
        self.nodes[place].file.extend(records);
        let mut saves = 0;
        let waits = effects.hold() == Hold::Disk && self.nodes[place].disk_hangs;
        for effect in effects.iter() {
            match effect {
                Effect::Reply { client, reply } => {
                    let text = talk::text_of(reply, effects);
                    let node = &mut self.nodes[place];
                    node.last_reply = effects.hold();
                    if waits {
                        node.held.push(Held::Reply(*client, text));
                    } else {
                        node.clients.entry(*client).or_default().push(text);
                    }
                }
                Effect::SaveNodes(conf) => {
                    saves += 1;
                    self.nodes[place].disk = (**conf).clone();
                    self.nodes[place].saves += 1;
                }
                Effect::OpenLink { link, address } => self.open(place, *link, *address),
                Effect::CloseLink { link } => {
                    self.wires.retain(|wire| wire.from != place || wire.link != *link);
                    self.events.retain(|_, event| {
                        !matches!(event, Event::Up { place: p, link: l } | Event::Down { place: p, link: l }
                            if *p == place && l == link)
                    });
                }
                Effect::PeerFeatures { link, features } => {
                    self.nodes[place].features.push((*link, features.is_some()));
                    self.nodes[place].peers.insert(*link, *features);
                }
                Effect::Send { to, message } => {
                    let promises = message.is_promise();
                    let message = effects.message(message);
                    if promises {
                        let node = &mut self.nodes[place];
                        node.confirmed.push((message.name(), effects.hold()));
                        if waits {
                            node.held.push(Held::Message(*to, message.to_static()));
                            continue;
                        }
                    }
                    self.send(place, *to, message);
                }
            }
        }
        assert!(saves <= 1, "one step stores the table once");
    }

    fn open(&mut self, from: Place, link: LinkId, address: SocketAddr) {
        let now = self.now;
        self.nodes[from].opened.push((now, address));
        let is_there =
            |node: &Node| node.up && node.ip == address.ip() && node.settings.bus_port == address.port();
        let Some(to) = self.nodes.iter().position(is_there) else {
            return self.schedule(Event::Down { place: from, link });
        };
        if self.cuts.contains(&(from, to)) || self.cuts.contains(&(to, from)) {
            return;
        }
        self.next += 1;
        self.wires.push(Wire { from, link, to, peer_link: PeerLinkId(self.next), is_dead: false });
        self.schedule(Event::Up { place: from, link });
    }

    fn send(&mut self, sender: Place, to: SendTo, message: Message<'_>) {
        let mut header = self.nodes[sender].engine.header();
        let mut writer = FrameWriter::new();
        if let SendTo::Own(link) = to {
            writer.set_features(self.nodes[sender].peers.get(&link).copied().flatten());
        }
        if self.nodes[sender].rc1 {
            header = Header { features: None, ip: None, bus_port: None, ..header };
        }
        let now = self.now + self.nodes[sender].skew;
        assert!(writer.push(&header, &message, now), "the peer knows {}", message.name());
        self.nodes[sender].frames_sent += 1;
        self.nodes[sender].bytes_sent += writer.pending();
        let wire = match to {
            SendTo::Own(link) => self.wires.iter().find(|wire| wire.from == sender && wire.link == link),
            SendTo::Peer(link) => self.wires.iter().find(|wire| wire.to == sender && wire.peer_link == link),
        };
        let Some(wire) = wire else { return };
        let (receiver, via) = match to {
            SendTo::Own(_) => {
                let (from, to) = (self.nodes[sender].ip, self.nodes[wire.to].ip);
                (wire.to, Via::Peer { link: wire.peer_link, from, to })
            }
            SendTo::Peer(_) => (wire.from, Via::Own(wire.link)),
        };
        let lost = self.lose.as_mut().is_some_and(|lose| lose(sender, receiver, &message));
        if lost || wire.is_dead || self.cuts.contains(&(sender, receiver)) {
            return;
        }
        let bytes = writer.bytes().to_vec();
        self.schedule(Event::Frame { to: receiver, via, bytes });
    }

    fn schedule(&mut self, event: Event) {
        self.next += 1;
        self.events.insert((self.now + LATENCY, self.next), event);
    }

    /// A frame from nowhere, as an attacker or a strange server sends it. What is answered on its link.
    pub fn inject(
        &mut self,
        place: Place,
        from: IpAddr,
        header: &Header,
        message: Message<'static>,
    ) -> Vec<&'static str> {
        self.next += 1;
        let via = Via::Peer { link: PeerLinkId(self.next), from, to: self.nodes[place].ip };
        let mut effects = Effects::new();
        let input = Input::Message { via, header, message };
        let now = self.now + self.nodes[place].skew;
        self.nodes[place].engine.step(now, input, &mut effects);
        self.perform(place, &effects);
        self.nodes[place].engine.audit().expect("nothing contradicts itself");
        let answers = effects.iter().filter_map(|effect| match effect {
            Effect::Send { to: SendTo::Peer(link), message } if link.0 == self.next => {
                Some(effects.message(message).name())
            }
            _ => None,
        });
        answers.collect()
    }

    /// Nodes with an append-only file, and all know it.
    pub fn turn_files_on(&mut self, places: &[Place]) {
        for place in places {
            self.control(*place, Control::Persist(Persistence::On));
        }
        self.run(Millis(16_000));
    }

    /// What a node writes gets to its disk no more, or again.
    pub fn let_disk_hang(&mut self, place: Place, hangs: bool) {
        self.nodes[place].disk_hangs = hangs;
        if hangs {
            return;
        }
        for held in std::mem::take(&mut self.nodes[place].held) {
            match held {
                Held::Reply(client, text) => {
                    self.nodes[place].clients.entry(client).or_default().push(text);
                }
                Held::Message(to, message) => self.send(place, to, message),
            }
        }
    }

    pub fn control(&mut self, place: Place, control: Control) {
        self.step(place, Input::Control(control));
    }

    pub fn ask(&mut self, place: Place, request: ClusterRequest) -> Reply {
        self.request(place, Request::Cluster(request))
    }

    pub fn request(&mut self, place: Place, request: Request<'_>) -> Reply {
        let mut effects = Effects::new();
        let input = Input::Request { client: ClientId(1), request };
        let now = self.now + self.nodes[place].skew;
        self.nodes[place].engine.step(now, input, &mut effects);
        self.perform(place, &effects);
        self.nodes[place].engine.audit().expect("nothing contradicts itself");
        let reply = effects.iter().find_map(|effect| match effect {
            Effect::Reply { reply, .. } => Some(copy(reply)),
            _ => None,
        });
        reply.expect("an answer")
    }

    /// CLUSTER MEET at one node with the address of another.
    pub fn meet(&mut self, place: Place, other: Place) {
        let (ip, settings) = (self.nodes[other].ip, &self.nodes[other].settings);
        let request = ClusterRequest::Meet { ip, port: settings.port, bus_port: settings.bus_port };
        assert!(matches!(self.ask(place, request), Reply::Ok));
    }

    pub fn forget(&mut self, place: Place, node: NodeId) {
        let reply = self.ask(place, ClusterRequest::Forget { id: node });
        assert!(matches!(reply, Reply::Ok), "{reply:?}");
    }

    /// The lines of CLUSTER NODES.
    pub fn lines(&mut self, place: Place) -> Vec<NodeLine> {
        match self.ask(place, ClusterRequest::Nodes) {
            Reply::Nodes(conf) => conf.nodes,
            reply => panic!("{reply:?}"),
        }
    }

    /// The other members that a node knows.
    pub fn members(&mut self, place: Place) -> BTreeSet<NodeId> {
        let lines = self.lines(place);
        let is_member =
            |line: &&NodeLine| !line.flags.has(NodeFlags::MYSELF) && !line.flags.has(NodeFlags::HANDSHAKE);
        lines.iter().filter(is_member).map(|line| line.id).collect()
    }

    /// How one node sees another; panics if it does not know it.
    pub fn line(&mut self, place: Place, node: NodeId) -> NodeLine {
        let lines = self.lines(place);
        lines.into_iter().find(|line| line.id == node).expect("it is known")
    }

    pub fn info(&mut self, place: Place) -> ClusterInfo {
        match self.ask(place, ClusterRequest::Info) {
            Reply::ClusterInfo(info) => *info,
            reply => panic!("{reply:?}"),
        }
    }

    pub fn hello(&mut self, place: Place, node: NodeId) -> HelloNode {
        match self.request(place, Request::Hello) {
            Reply::Hello { nodes, .. } => {
                nodes.into_iter().find(|line| line.id == node).expect("it is known")
            }
            reply => panic!("{reply:?}"),
        }
    }

    /// Whether all living nodes know exactly each other, with links.
    pub fn agrees(&mut self) -> bool {
        let living: Vec<Place> = (0..self.nodes.len()).filter(|place| self.nodes[*place].up).collect();
        let ids: BTreeSet<NodeId> = living.iter().map(|place| self.nodes[*place].engine.me()).collect();
        living.iter().all(|place| {
            let lines = self.lines(*place);
            lines.len() == ids.len() && lines.iter().all(|line| line.connected && ids.contains(&line.id))
        })
    }

    /// Frames and bytes that all nodes have sent.
    pub fn traffic(&self) -> (usize, usize) {
        self.nodes
            .iter()
            .fold((0, 0), |(frames, bytes), node| (frames + node.frames_sent, bytes + node.bytes_sent))
    }
}

fn copy(reply: &Reply) -> Reply {
    match reply {
        Reply::Ok => Reply::Ok,
        Reply::Leaving(leaving) => Reply::Leaving(*leaving),
        Reply::Nodes(conf) => Reply::Nodes(conf.clone()),
        Reply::ClusterInfo(info) => Reply::ClusterInfo(info.clone()),
        Reply::Hello { me, nodes } => Reply::Hello { me: *me, nodes: nodes.clone() },
        Reply::Refused(refusal) => Reply::Refused(*refusal),
        reply => panic!("no answer to CLUSTER or HELLO: {reply:?}"),
    }
}
