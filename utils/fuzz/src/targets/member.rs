//! Bytes as the life of a node among others: what clients ask, what peers say in any order, links that come and go.
//!
//! Peers are arbitrary: they speak as members, strangers or this node itself, on any link, as RC1 or not, and of jobs that
//! exist or do not. Claims:
//! * nothing panics, and the audit finds no contradiction;
//! * a client gets at most one reply per request, and is blocked as long as it has none;
//! * messages go out on links that are up only, and the codec can write them for a peer with the features told;
//! * after its timers have run, the engine comes to rest.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use arbitrary::{Result, Unstructured};
use disque::bus::{
    Counts, Features, FrameWriter, Gossip, Header, Message, NodeFlags, NodesConf, Notice, Totals,
};
use disque::engine::{
    AddJob, ClientId, ClusterRequest, Control, Effect, Effects, Engine, EngineSettings, GetJob, Input,
    LinkId, PauseState, PeerLinkId, Persistence, Replication, Reply, Request, Seed, SendTo, Via, Wait,
};
use disque::types::{Args, BodyArg, Ctime, JobId, JobImage, Millis, NodeId, Span32, UnixMillis};

use super::engine::{laid_out, queue, span};

const MAX_STEPS: usize = 300;
const MAX_ADVANCES: usize = 3000;
/// Job IDs that are remembered to be talked about.
const MAX_IDS: usize = 64;
const START: UnixMillis = UnixMillis(1_800_000_000_000);
const END: UnixMillis = UnixMillis(10_000_000_000_000);
const ME: u8 = 0xab;
const MEMBERS: [u8; 3] = [1, 2, 3];
const PEER_LINK: PeerLinkId = PeerLinkId(5);

fn id(n: u8) -> NodeId {
    NodeId::from_bytes([n; 20])
}

fn ip(n: u8) -> IpAddr {
    IpAddr::from([10, 0, 0, n])
}

pub(super) fn run(data: &[u8]) {
    let mut world = World::new();
    let mut input = Unstructured::new(data);
    for _ in 0..MAX_STEPS {
        if input.is_empty() || world.happen(&mut input).is_err() {
            break;
        }
        world.audit();
    }
    world.now += Millis(1000);
    world.run_timers();
    world.audit();
}

struct World {
    engine: Engine,
    now: UnixMillis,
    effects: Effects,
    /// Links that the engine opened, and whether they are up.
    links: BTreeMap<LinkId, bool>,
    features: BTreeMap<LinkId, Option<Features>>,
    open: BTreeSet<ClientId>,
    next_client: u64,
    ids: Vec<JobId>,
}

impl World {
    fn new() -> World {
        let mut text = format!("{} 10.0.0.171:7711 myself 0 0 connected\n", id(ME));
        for n in MEMBERS {
            text.push_str(&format!("{} {}:7711 noflags 0 0 connected\n", id(n), ip(n)));
        }
        let conf = NodesConf::parse(text.as_bytes()).expect("a node table");
        let foreign = |n| JobId::new([n; 4], [n; 18], Millis(600_000), n % 2 == 0);
        let settings = EngineSettings { maxmemory: 0, ..EngineSettings::default() };
        let mut world = World {
            engine: Engine::new(settings, &conf, Seed([7; 32]), START),
            now: START,
            effects: Effects::new(),
            links: BTreeMap::new(),
            features: BTreeMap::new(),
            open: BTreeSet::new(),
            next_client: 1,
            ids: (1..5).map(foreign).collect(),
        };
        world.run_timers();
        let links: Vec<LinkId> = world.links.keys().copied().collect();
        links.into_iter().for_each(|link| world.link_up(link));
        world
    }

    fn happen(&mut self, input: &mut Unstructured<'_>) -> Result<()> {
        match input.int_in_range(0..=19)? {
            0..=8 => self.message(input),
            9..=13 => self.request(input),
            14..=16 => self.pass_time(input),
            17 => self.link(input),
            18 => {
                if let Some(client) = self.open.pop_first() {
                    self.step(Input::ClientGone { client });
                }
                Ok(())
            }
            _ => self.control(input),
        }
    }

    fn link_up(&mut self, link: LinkId) {
        if let Some(up) = self.links.get_mut(&link) {
            *up = true;
        }
        self.step(Input::LinkUp { link });
    }

    fn link(&mut self, input: &mut Unstructured<'_>) -> Result<()> {
        let link = self.some_link(input)?;
        if input.ratio(2, 3)? {
            self.link_up(link);
        } else {
            self.links.remove(&link);
            self.features.remove(&link);
            self.step(Input::LinkDown { link });
        }
        Ok(())
    }

    /// A link that is there, or now and then one that is not.
    fn some_link(&self, input: &mut Unstructured<'_>) -> Result<LinkId> {
        let n = usize::from(input.arbitrary::<u8>()?);
        let known = self.links.keys().nth(n % (self.links.len() + 1)).copied();
        Ok(known.unwrap_or(LinkId(n as u64)))
    }

    fn control(&mut self, input: &mut Unstructured<'_>) -> Result<()> {
        let used = self.engine.memory_use().total();
        let control = if input.ratio(1, 4)? {
            Control::Seeds(vec![SocketAddr::new(ip(input.int_in_range(1..=9)?), 7711)])
        } else if input.ratio(1, 3)? {
            match input.int_in_range(0..=4)? {
                0 | 1 => Control::Persist(Persistence::On),
                2 => Control::Persist(Persistence::Off),
                3 => Control::DiskFailing(input.arbitrary()?),
                _ => Control::RecordsLost,
            }
        } else {
            let maxmemory = *input.choose(&[0, 0, 1000, used + used / 4, used + used / 20])?;
            Control::Settings(EngineSettings { maxmemory, ..EngineSettings::default() })
        };
        self.step(Input::Control(control));
        Ok(())
    }

    fn message(&mut self, input: &mut Unstructured<'_>) -> Result<()> {
        let from = *input.choose(&[1, 1, 2, 2, 3, 3, 4, ME])?;
        let via = if input.ratio(1, 3)? {
            Via::Own(self.some_link(input)?)
        } else {
            Via::Peer { link: PEER_LINK, from: ip(from), to: ip(ME) }
        };
        let header = Header {
            sender: id(from),
            ip: None,
            port: *input.choose(&[7711, 7711, 7711, 0, 7712])?,
            bus_port: None,
            leaving: input.ratio(1, 16)?,
            features: input.ratio(2, 3)?.then_some(Features::ALL),
        };
        let message = self.said(input)?;
        self.step(Input::Message { via, header: &header, message });
        Ok(())
    }

    fn said(&mut self, input: &mut Unstructured<'_>) -> Result<Message<'static>> {
        Ok(match input.int_in_range(0..=19)? {
            0 => Message::Ping { gossip: gossip(input)? },
            1 => Message::Pong { gossip: gossip(input)? },
            2 => Message::Meet { gossip: gossip(input)? },
            3 => Message::Fail { node: id(*input.choose(&[1, 2, 3, 4, ME])?) },
            4 | 5 => Message::ReplJob { job: self.image(input)?, no_reply: input.arbitrary()? },
            6 => Message::SyncJob { job: self.image(input)? },
            7 => Message::NeedJobs { queue: queue(input)?.into(), count: input.arbitrary()? },
            8 | 9 => {
                let count = input.int_in_range(1..=3)?;
                let jobs = (0..count).map(|_| self.image(input)).collect::<Result<_>>()?;
                Message::YourJobs { jobs }
            }
            10 => {
                let (input_paused, output) = (input.arbitrary()?, input.arbitrary()?);
                Message::Pause { queue: queue(input)?.into(), input: input_paused, output }
            }
            11 => Message::Holders { job: self.id(input)?, nodes: nodes(input)?.into() },
            12 => Message::HaveJobs { queue: queue(input)?.into() },
            13 => Message::LostJobs,
            _ => Message::Notice { job: self.id(input)?, notice: notice(input)? },
        })
    }

    fn id(&self, input: &mut Unstructured<'_>) -> Result<JobId> {
        Ok(self.ids[usize::from(input.arbitrary::<u8>()?) % self.ids.len()])
    }

    fn image(&mut self, input: &mut Unstructured<'_>) -> Result<JobImage<'static>> {
        let mut id = self.id(input)?;
        if input.ratio(1, 2)? && self.ids.len() < MAX_IDS {
            let n = input.arbitrary::<u8>()?;
            id = JobId::new([n; 4], [n; 18], Millis(60_000), n % 2 == 0);
            self.ids.push(id);
        }
        Ok(JobImage {
            id,
            state: input.int_in_range(0..=15)?,
            flags: input.arbitrary()?,
            replicate: input.arbitrary()?,
            expires_at: self.now + span(input)?,
            ctime: Ctime(*input.choose(&[0, START.0 * 1_000_000, u64::MAX])?),
            delay: Span32::new(span(input)?),
            retry: Span32::new(span(input)?),
            nacks: input.arbitrary()?,
            additional_deliveries: input.arbitrary()?,
            queue: queue(input)?.into(),
            body: BodyArg::Owned(vec![7; *input.choose(&[0, 5, 3000])?]),
            nodes: nodes(input)?.into(),
        })
    }

    fn pass_time(&mut self, input: &mut Unstructured<'_>) -> Result<()> {
        let due = self.engine.next_deadline();
        let to = match input.int_in_range(0..=5)? {
            0 => self.now + Millis(input.arbitrary::<u8>()?.into()),
            1 => self.now + Millis(input.arbitrary::<u16>()?.into()),
            2 => self.now + Millis(u64::from(input.arbitrary::<u8>()?) * 60_000),
            _ => due.unwrap_or(self.now),
        };
        self.now = self.now.max(to.min(END));
        self.run_timers();
        Ok(())
    }

    fn run_timers(&mut self) {
        for advances in 0.. {
            self.effects.clear();
            self.engine.advance(self.now, &mut self.effects);
            self.perform();
            if self.engine.next_deadline().is_none_or(|at| at > self.now) {
                break;
            }
            assert!(advances < MAX_ADVANCES, "timers come to rest");
        }
    }

    fn request(&mut self, input: &mut Unstructured<'_>) -> Result<()> {
        let client = ClientId(self.next_client);
        self.next_client += 1;
        match input.int_in_range(0..=9)? {
            0..=2 => self.add_job(client, input)?,
            3 | 4 => self.get_job(client, input)?,
            5 => {
                let name = queue(input)?;
                let state = PauseState { input: input.arbitrary()?, output: input.arbitrary()? };
                let request =
                    Request::Pause { queue: &name, change: Some(state), broadcast: input.arbitrary()? };
                self.ask(client, request);
            }
            6 if input.ratio(1, 8)? => self.ask(client, Request::FlushAll),
            6 => self.cluster(client, input)?,
            _ => self.on_ids(client, input)?,
        }
        Ok(())
    }

    fn add_job(&mut self, client: ClientId, input: &mut Unstructured<'_>) -> Result<()> {
        let name = queue(input)?;
        let request = AddJob {
            queue: &name,
            body: BodyArg::Borrowed(b"hello"),
            timeout: Millis(*input.choose(&[0, 1, 1000])?),
            replicate: *input.choose(&[None, Some(1), Some(2), Some(3), Some(4)])?,
            ttl: Millis(span(input)?.0.max(1)),
            retry: if input.ratio(1, 2)? { Some(Span32::new(span(input)?)) } else { None },
            delay: if input.ratio(1, 4)? { Span32::new(span(input)?) } else { Span32::ZERO },
            maxlen: None,
            replication: *input.choose(&[Replication::Sync, Replication::Async, Replication::OnDisk])?,
        };
        self.ask(client, Request::AddJob(request));
        Ok(())
    }

    fn get_job(&mut self, client: ClientId, input: &mut Unstructured<'_>) -> Result<()> {
        let (buffer, spans) = laid_out(&[queue(input)?, queue(input)?]);
        let queues = Args::new(&spans, &buffer, &mut []).list_from(0);
        let wait = *input.choose(&[Wait::No, Wait::Forever, Wait::For(Millis(500))])?;
        let count = *input.choose(&[1, 3])?;
        self.ask(client, Request::GetJob(GetJob { queues, count, wait, with_counters: true }));
        Ok(())
    }

    fn on_ids(&mut self, client: ClientId, input: &mut Unstructured<'_>) -> Result<()> {
        let ids = [self.id(input)?, self.id(input)?];
        let (buffer, spans) = laid_out(&ids.map(|id| id.text().to_vec()));
        let ids = Args::new(&spans, &buffer, &mut []).list_from(0);
        let id = Some(self.id(input)?);
        let request = match input.int_in_range(0..=8)? {
            0 | 1 => Request::AckJob { ids },
            2 => Request::FastAck { ids },
            3 => Request::DelJob { ids },
            4 => Request::Enqueue { ids },
            5 => Request::Nack { ids },
            6 => Request::Dequeue { ids },
            7 => Request::Working { id },
            _ => Request::Show { id },
        };
        self.ask(client, request);
        Ok(())
    }

    fn cluster(&mut self, client: ClientId, input: &mut Unstructured<'_>) -> Result<()> {
        let n = input.int_in_range(1..=6)?;
        let request = match input.int_in_range(0..=8)? {
            0 | 1 => ClusterRequest::Forget { id: id(n) },
            2 | 3 => ClusterRequest::Meet { ip: ip(n), port: 7711, bus_port: 17_711 },
            4 => ClusterRequest::SetLeaving(true),
            5 | 6 => ClusterRequest::SetLeaving(false),
            7 => ClusterRequest::Nodes,
            _ => ClusterRequest::Reset { hard: input.arbitrary()? },
        };
        self.ask(client, Request::Cluster(request));
        Ok(())
    }

    fn ask(&mut self, client: ClientId, request: Request<'_>) {
        self.open.insert(client);
        self.step(Input::Request { client, request });
    }

    fn step(&mut self, input: Input<'_>) {
        self.effects.clear();
        self.engine.step(self.now, input, &mut self.effects);
        self.perform();
    }

    fn perform(&mut self) {
        let effects = std::mem::take(&mut self.effects);
        for effect in effects.iter() {
            match effect {
                Effect::Reply { client, reply } => {
                    assert!(self.open.remove(client), "{client:?} did not ask");
                    if let Reply::JobId(id) = reply
                        && self.ids.len() < MAX_IDS
                    {
                        self.ids.push(*id);
                    }
                }
                Effect::SaveNodes(conf) => {
                    assert_eq!(NodesConf::parse(conf.to_string().as_bytes()).as_ref(), Ok(&**conf));
                }
                Effect::OpenLink { link, .. } => {
                    assert_eq!(self.links.insert(*link, false), None, "a link is opened once");
                }
                Effect::CloseLink { link } => {
                    self.links.remove(link);
                    self.features.remove(link);
                }
                Effect::PeerFeatures { link, features } => {
                    self.features.insert(*link, *features);
                }
                Effect::Send { to, message } => self.can_be_sent(*to, &effects.message(message)),
            }
        }
        self.effects = effects;
        assert_eq!(self.engine.blocked_count(), self.open.len());
        assert!(self.open.iter().all(|client| self.engine.is_blocked(*client)));
    }

    fn can_be_sent(&self, to: SendTo, message: &Message<'_>) {
        let features = match to {
            SendTo::Own(link) => {
                // A PONG goes where the PING came from, which no driver lets come from a link that is not up.
                let is_up = self.links.get(&link) == Some(&true) || matches!(message, Message::Pong { .. });
                assert!(is_up, "{} goes to a link that is up", message.name());
                self.features.get(&link).copied().flatten()
            }
            SendTo::Peer(link) => {
                assert!(link == PEER_LINK && matches!(message, Message::Pong { .. }));
                None
            }
        };
        let mut writer = FrameWriter::new();
        writer.set_features(features);
        assert!(writer.push(&self.engine.header(), message, self.now), "the peer knows {}", message.name());
    }

    fn audit(&self) {
        if let Err(contradiction) = self.engine.audit() {
            panic!("audit: {contradiction}");
        }
    }
}

fn nodes(input: &mut Unstructured<'_>) -> Result<Vec<NodeId>> {
    let count = input.int_in_range(0..=5)?;
    (0..count).map(|_| Ok(id(*input.choose(&[ME, 1, 2, 3, 4, 50, 51])?))).collect()
}

fn gossip(input: &mut Unstructured<'_>) -> Result<Vec<Gossip>> {
    let count = input.int_in_range(0..=2)?;
    let flags = [NodeFlags::NONE, NodeFlags::PFAIL, NodeFlags::FAIL, NodeFlags::LEAVING, NodeFlags::NOADDR];
    let entry = |input: &mut Unstructured<'_>| {
        let n = *input.choose(&[ME, 1, 2, 3, 4, 5])?;
        let flags = *input.choose(&flags)?;
        let (ip, port) = (Some(ip(n)), 7711);
        Ok(Gossip { node: id(n), ping_sent: 0, pong_received: 1, ip, port, bus_port: None, flags })
    };
    (0..count).map(|_| entry(input)).collect()
}

fn notice(input: &mut Unstructured<'_>) -> Result<Notice> {
    Ok(match input.int_in_range(0..=9)? {
        0 => Notice::GotJob,
        1 => Notice::Enqueue { delay: Span32::new(span(input)?) },
        2 | 3 => {
            let counts = *input.choose(&[Counts::NONE, Counts::NACK, Counts::DELIVERY])?;
            let totals = Totals { nacks: input.arbitrary()?, additional_deliveries: u16::MAX };
            Notice::Queued { counts, totals: input.ratio(1, 2)?.then_some(totals) }
        }
        4 | 5 => {
            Notice::SetAck { nodes_known: input.int_in_range(0..=4)?, digest: input.int_in_range(0..=1)? }
        }
        6 => Notice::WillQueue,
        7 => Notice::GotAck { known: input.arbitrary()? },
        8 => Notice::DelJob,
        _ => Notice::Working,
    })
}
