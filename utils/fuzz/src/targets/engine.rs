//! Bytes as a history of requests, clock moves and disconnects, lived by an engine that is alone; among others it lives
//! in `member.rs`.
//!
//! Claims, beside those of the [ledger](super::ledger):
//! * nothing panics, and the audit finds no contradiction;
//! * a client gets one reply per request, waits only in GETJOB, and not beyond its time;
//! * after its timers have run, the engine asks for none that is due already, and comes to rest;
//! * every reply is well-formed in both versions of the protocol;
//! * the same history gives the same replies.

use std::collections::BTreeMap;

use arbitrary::{Result, Unstructured};
use disque::bus::NodesConf;
use disque::command::reply::{ReplyContext, encode};
use disque::engine::{
    AddJob, ClientId, ClusterRequest, Control, Effect, Effects, Engine, EngineSettings, EvictionPolicy,
    GetJob, Input, JScan, JScanReply, JobState, JobStates, PauseState, QScan, Refusal, Replication, Reply,
    Request, ScanBudget, Seed, Wait,
};
use disque::resp::{Output, Protocol};
use disque::types::{Args, BodyArg, JobId, Millis, NodeId, Span, Span32, UnixMillis};

use super::ledger::{Ledger, Look};
use super::replies::{assert_one_reply, drain};

/// Most things that happen in one history.
const MAX_STEPS: usize = 400;
/// How often everything is recounted.
const AUDIT_EVERY: usize = 8;
/// How often timers may run before they must have come to rest: each job wakes a few times at most.
const MAX_ADVANCES: usize = 1000;
/// How often one ADDJOB may be repeated: pages, chunks and what one call does at the most have 500 to 1000 jobs.
const REPEATS: [usize; 4] = [20, 520, 600, 1100];
/// Jobs that are looked at in the end.
const MAX_SHOWN: usize = 100;
/// Jobs of one history; there are no repeats above that.
const MANY_JOBS: usize = 2500;
const START: UnixMillis = UnixMillis(1_800_000_000_000);
/// Beyond this, creation times would leave their 64 bits.
const END: UnixMillis = UnixMillis(10_000_000_000_000);
const CLIENTS: u64 = 6;
const ME: NodeId = NodeId::from_bytes([0xab; 20]);

pub(super) fn run(data: &[u8]) {
    let transcript = live(data);
    // A second life costs as much as the first: only for some histories.
    if data.first().is_some_and(|first| first % 4 == 0) {
        assert_eq!(live(data), transcript, "the same history gives the same replies");
    }
}

/// Lives the history and returns all replies as bytes.
fn live(data: &[u8]) -> Vec<u8> {
    let mut world = World::new();
    let mut input = Unstructured::new(data);
    for step in 1..=MAX_STEPS {
        if input.is_empty() || world.happen(&mut input).is_err() {
            break;
        }
        if step % AUDIT_EVERY == 0 {
            world.audit();
        }
    }
    world.audit();
    world.show_jobs();
    world.transcript
}

/// What a client asked for that the reply must be held against.
#[derive(Clone, Debug)]
enum Asked {
    Add { queue: Vec<u8>, body: Vec<u8>, expires: UnixMillis, once: bool },
    Jobs { queues: Vec<Vec<u8>>, count: u64, no_wait: bool, deadline: UnixMillis },
    Peek { queue: Vec<u8>, back: bool },
    Forgetting { ids: Vec<Vec<u8>> },
    Show { id: JobId },
    Pause { queue: Vec<u8>, changes: bool },
    Clearing,
    Other,
}

struct World {
    engine: Engine,
    now: UnixMillis,
    effects: Effects,
    ledger: Ledger,
    /// Requests that are not answered yet.
    open: BTreeMap<ClientId, Asked>,
    next_client: u64,
    transcript: Vec<u8>,
}

impl World {
    fn new() -> World {
        World {
            engine: Engine::new(
                EngineSettings::default(),
                &disque::bus::NodesConf::alone(ME, 7711),
                Seed([7; 32]),
                START,
            ),
            now: START,
            effects: Effects::new(),
            ledger: Ledger::default(),
            open: BTreeMap::new(),
            next_client: 1,
            transcript: Vec::new(),
        }
    }

    fn happen(&mut self, input: &mut Unstructured<'_>) -> Result<()> {
        match input.int_in_range(0..=15)? {
            0..=10 => self.request(input),
            11..=13 => self.pass_time(input),
            14 => {
                let client = self.client(input)?;
                self.open.remove(&client);
                self.step(Input::ClientGone { client });
                Ok(())
            }
            _ => self.control(input),
        }
    }

    /// One of a few clients, waiting or not.
    fn client(&self, input: &mut Unstructured<'_>) -> Result<ClientId> {
        Ok(ClientId(input.int_in_range(0..=CLIENTS - 1)?))
    }

    fn control(&mut self, input: &mut Unstructured<'_>) -> Result<()> {
        let used = self.engine.memory_use().total();
        let control = if input.ratio(1, 3)? {
            Control::ShellMemory(input.arbitrary::<u16>()?.into())
        } else {
            let maxmemory = *input.choose(&[0, 1 << 30, 1000, used, used + used / 4, used + used / 20])?;
            let policies = [EvictionPolicy::Acks, EvictionPolicy::NoEviction];
            let maxmemory_policy = *input.choose(&policies)?;
            Control::Settings(EngineSettings { maxmemory, maxmemory_policy, ..EngineSettings::default() })
        };
        self.step(Input::Control(control));
        Ok(())
    }

    /// Moves the clock and lets timers run, as the event loop does before it looks at clients.
    fn pass_time(&mut self, input: &mut Unstructured<'_>) -> Result<()> {
        let due = self.engine.next_deadline();
        let to = match input.int_in_range(0..=7)? {
            0 | 1 => self.now + Millis(input.arbitrary::<u8>()?.into()),
            2 => self.now + Millis(input.arbitrary::<u16>()?.into()),
            3 => self.now + Millis(u64::from(input.arbitrary::<u16>()?) * 1000),
            4 => self.now + Millis(u64::from(input.arbitrary::<u8>()?) * 86_400_000),
            // The clock went back; the engine keeps its own later time.
            5 => return self.step_back(input),
            6 => due.map_or(self.now, |due| due - Millis(1)),
            _ => due.unwrap_or(self.now),
        };
        self.now = self.now.max(to.min(END));
        self.run_timers();
        Ok(())
    }

    fn step_back(&mut self, input: &mut Unstructured<'_>) -> Result<()> {
        let earlier = self.now - Millis(input.arbitrary::<u16>()?.into());
        self.effects.clear();
        self.engine.advance(earlier, &mut self.effects);
        self.perform();
        Ok(())
    }

    fn run_timers(&mut self) {
        let mut advances = 0;
        loop {
            self.effects.clear();
            self.engine.advance(self.now, &mut self.effects);
            self.ledger.expire(self.now);
            self.perform();
            match self.engine.next_deadline() {
                Some(at) if at <= self.now => advances += 1,
                _ => break,
            }
            assert!(advances < MAX_ADVANCES, "timers come to rest");
        }
        for (client, asked) in &self.open {
            let Asked::Jobs { deadline, .. } = asked else { panic!("{client:?} waits with {asked:?}") };
            assert!(*deadline > self.now, "{client:?} waits beyond its time");
        }
        // Exactly those that have not expired are there; before, one that was due may have been counted.
        self.ledger.count(self.engine.job_count());
    }

    fn request(&mut self, input: &mut Unstructured<'_>) -> Result<()> {
        let mut client = self.client(input)?;
        if self.open.contains_key(&client) {
            // It waits, so it cannot ask; somebody who has just come asks instead, and goes again.
            client = ClientId(CLIENTS + self.next_client);
            self.next_client += 1;
        }
        let kind = input.int_in_range(0..=19)?;
        match kind {
            0..=4 => self.add_job(client, input),
            5..=8 => self.get_job(client, input),
            9..=12 => self.on_ids(client, input),
            13 => self.on_one_id(client, input),
            14 => self.on_queue(client, input),
            15 | 16 => self.pause(client, input),
            17 => self.scan(client, input),
            _ => self.rare(client, input),
        }
    }

    fn add_job(&mut self, client: ClientId, input: &mut Unstructured<'_>) -> Result<()> {
        let queue = queue(input)?;
        let len = *input.choose(&[0, 1, 5, 16, 17, 2047, 2048, 3000])?;
        let body = vec![input.arbitrary::<u8>()?; len];
        let ttl = Millis(span(input)?.0.max(1));
        let retry = if input.ratio(1, 2)? { Some(Span32::new(span(input)?)) } else { None };
        let delay = if input.ratio(1, 4)? { Span32::new(span(input)?) } else { Span32::ZERO };
        let maxlen = if input.ratio(1, 6)? { Some(input.int_in_range(1..=4)?) } else { None };
        let replicate = *input.choose(&[None, None, Some(1), Some(2)])?;
        let replication = *input.choose(&[Replication::Sync, Replication::Async])?;
        let once = retry.is_some_and(Span32::is_zero);
        let expires = self.now + ttl;
        let asked = Asked::Add { queue: queue.clone(), body: body.clone(), expires, once };
        let owned = input.ratio(1, 2)?;
        let few = self.ledger.ids().len() > MANY_JOBS || !input.ratio(1, 16)?;
        let repeats = if few { 1 } else { *input.choose(&REPEATS)? };
        let (queue, timeout) = (&queue[..], Millis(100));
        for _ in 0..repeats {
            let body = if owned { BodyArg::Owned(body.clone()) } else { BodyArg::Borrowed(&body) };
            let request = AddJob { queue, body, timeout, replicate, ttl, retry, delay, maxlen, replication };
            self.ask(client, Request::AddJob(request), asked.clone());
        }
        Ok(())
    }

    fn get_job(&mut self, client: ClientId, input: &mut Unstructured<'_>) -> Result<()> {
        let queues = (0..input.int_in_range(1..=3)?).map(|_| queue(input)).collect::<Result<Vec<_>>>()?;
        let count = *input.choose(&[1, 1, 2, 3, 3, 600, u64::MAX])?;
        let wait = match input.int_in_range(0..=3)? {
            0 => Wait::No,
            1 => Wait::Forever,
            _ => Wait::For(Millis(span(input)?.0.max(1))),
        };
        let deadline = match wait {
            Wait::For(span) => self.now + span,
            Wait::No | Wait::Forever => UnixMillis::NEVER,
        };
        let with_counters = input.ratio(1, 2)?;
        let asked = Asked::Jobs { queues: queues.clone(), count, no_wait: wait == Wait::No, deadline };
        let (buffer, spans) = laid_out(&queues);
        let queues = Args::new(&spans, &buffer, &mut []).list_from(0);
        self.ask(client, Request::GetJob(GetJob { queues, count, wait, with_counters }), asked);
        Ok(())
    }

    fn on_ids(&mut self, client: ClientId, input: &mut Unstructured<'_>) -> Result<()> {
        let ids = self.id_texts(input)?;
        let (buffer, spans) = laid_out(&ids);
        let list = Args::new(&spans, &buffer, &mut []).list_from(0);
        let forgetting = Asked::Forgetting { ids: ids.clone() };
        let (request, asked) = match input.int_in_range(0..=7)? {
            0 => (Request::AckJob { ids: list }, forgetting),
            1 => (Request::FastAck { ids: list }, forgetting),
            2 => (Request::DelJob { ids: list }, forgetting),
            3 | 4 => (Request::Enqueue { ids: list }, Asked::Other),
            5 | 6 => (Request::Nack { ids: list }, Asked::Other),
            _ => (Request::Dequeue { ids: list }, Asked::Other),
        };
        self.ask(client, request, asked);
        Ok(())
    }

    fn on_one_id(&mut self, client: ClientId, input: &mut Unstructured<'_>) -> Result<()> {
        let id = JobId::parse(&self.id_text(input)?).ok();
        if input.ratio(2, 3)? {
            self.ask(client, Request::Working { id }, Asked::Other);
        } else {
            self.ask(client, Request::Show { id }, id.map_or(Asked::Other, |id| Asked::Show { id }));
        }
        Ok(())
    }

    fn on_queue(&mut self, client: ClientId, input: &mut Unstructured<'_>) -> Result<()> {
        let name = queue(input)?;
        match input.int_in_range(0..=3)? {
            0 => self.ask(client, Request::QLen { queue: &name }, Asked::Other),
            1 => self.ask(client, Request::QStat { queue: &name }, Asked::Other),
            _ => {
                let count = i64::from(input.arbitrary::<i8>()?);
                let asked = Asked::Peek { queue: name.clone(), back: count < 0 };
                self.ask(client, Request::QPeek { queue: &name, count }, asked);
            }
        }
        Ok(())
    }

    fn pause(&mut self, client: ClientId, input: &mut Unstructured<'_>) -> Result<()> {
        let name = queue(input)?;
        let change = match input.int_in_range(0..=5)? {
            0 => None,
            1 => Some(PauseState { input: true, output: false }),
            2 => Some(PauseState { input: false, output: true }),
            3 => Some(PauseState { input: true, output: true }),
            _ => Some(PauseState::NONE),
        };
        let asked = Asked::Pause { queue: name.clone(), changes: change.is_some() };
        self.ask(client, Request::Pause { queue: &name, change, broadcast: false }, asked);
        Ok(())
    }

    fn scan(&mut self, client: ClientId, input: &mut Unstructured<'_>) -> Result<()> {
        let cursor = *input.choose(&[0, 0, 1, 5, 100, u64::MAX])?;
        let budget = *input.choose(&[
            ScanBudget::BusyLoop,
            ScanBudget::Count(0),
            ScanBudget::Count(1),
            ScanBudget::Count(3),
            ScanBudget::Count(i64::MAX),
            ScanBudget::Count(-1),
        ])?;
        if input.ratio(1, 3)? {
            let min_len = *input.choose(&[None, Some(1), Some(i64::MIN)])?;
            let max_len = *input.choose(&[None, Some(1), Some(i64::MAX)])?;
            let scan = QScan { cursor, budget, min_len, max_len, import_rate: None };
            self.ask(client, Request::QScan(scan), Asked::Other);
            return Ok(());
        }
        let name = queue(input)?;
        let name = input.ratio(1, 2)?.then_some(&name[..]);
        let mut states = JobStates::default();
        if input.ratio(1, 2)? {
            states.insert(*input.choose(&JobState::ALL)?);
        }
        let reply = *input.choose(&[JScanReply::Id, JScanReply::All])?;
        self.ask(client, Request::JScan(JScan { cursor, budget, queue: name, states, reply }), Asked::Other);
        Ok(())
    }

    fn rare(&mut self, client: ClientId, input: &mut Unstructured<'_>) -> Result<()> {
        let request = match input.int_in_range(0..=11)? {
            0 => Request::Hello,
            1 => Request::Cluster(ClusterRequest::Nodes),
            2 => Request::Cluster(ClusterRequest::Info),
            3 => Request::Cluster(ClusterRequest::MyId),
            4 => Request::Cluster(ClusterRequest::SaveConfig),
            5 => Request::Cluster(ClusterRequest::Forget { id: ME }),
            6 => Request::Cluster(ClusterRequest::IsLeaving),
            7 | 8 => Request::Cluster(ClusterRequest::SetLeaving(false)),
            9 => Request::Cluster(ClusterRequest::SetLeaving(true)),
            10 => Request::Cluster(ClusterRequest::Reset { hard: input.arbitrary()? }),
            _ => Request::FlushAll,
        };
        let clears = matches!(request, Request::FlushAll | Request::Cluster(ClusterRequest::Reset { .. }));
        self.ask(client, request, if clears { Asked::Clearing } else { Asked::Other });
        Ok(())
    }

    /// A few IDs, or every second one of very many.
    fn id_texts(&self, input: &mut Unstructured<'_>) -> Result<Vec<Vec<u8>>> {
        if !input.ratio(1, 8)? {
            return (0..input.int_in_range(0..=3)?).map(|_| self.id_text(input)).collect();
        }
        let skip = usize::from(input.arbitrary::<u8>()?) * 8;
        let (every, len) = (input.int_in_range(1..=3)?, *input.choose(&[100, 600, 1200])?);
        let ids = self.ledger.ids().iter().rev().skip(skip).step_by(every).take(len);
        let mut texts: Vec<_> = ids.map(|id| id.text().to_vec()).collect();
        if input.ratio(1, 2)? {
            texts.reverse();
        }
        Ok(texts)
    }

    /// The text of an ID: most often of a job that was added.
    fn id_text(&self, input: &mut Unstructured<'_>) -> Result<Vec<u8>> {
        let known = self.ledger.ids();
        if known.is_empty() || input.ratio(1, 16)? {
            return Ok(b"D-XXXXXXXX-XXXXXXXXXXXXXXXXXXXXXXXX-XXXX".to_vec());
        }
        // From the newest backwards, so that the same byte keeps meaning something nearby.
        let back = usize::from(input.arbitrary::<u8>()?) % known.len();
        Ok(known[known.len() - 1 - back].text().to_vec())
    }

    fn ask(&mut self, client: ClientId, request: Request<'_>, asked: Asked) {
        let may_wait = matches!(&asked, Asked::Jobs { no_wait: false, .. });
        assert!(self.open.insert(client, asked).is_none(), "one request at a time");
        self.step(Input::Request { client, request });
        assert!(may_wait || !self.open.contains_key(&client), "{client:?} was not answered");
        if client.0 >= CLIENTS && self.open.remove(&client).is_some() {
            self.step(Input::ClientGone { client });
        }
    }

    fn step(&mut self, input: Input<'_>) {
        self.effects.clear();
        self.engine.step(self.now, input, &mut self.effects);
        self.perform();
    }

    /// Looks at all effects, in order.
    fn perform(&mut self) {
        let effects = std::mem::take(&mut self.effects);
        for effect in effects.iter() {
            match effect {
                Effect::Reply { client, reply } => {
                    let asked = self.open.remove(client).unwrap_or_else(|| panic!("{client:?} did not ask"));
                    self.believe(asked, reply, &effects);
                    self.write(reply, &effects);
                }
                Effect::SaveNodes(conf) => {
                    let text = conf.to_string();
                    assert_eq!(NodesConf::parse(text.as_bytes()).as_ref(), Ok(&**conf));
                }
                Effect::OpenLink { .. }
                | Effect::CloseLink { .. }
                | Effect::PeerFeatures { .. }
                | Effect::Send { .. } => {
                    panic!("a lone node talks to nobody: {effect:?}")
                }
            }
        }
        self.effects = effects;
        assert_eq!(self.engine.blocked_count(), self.open.len());
        assert!(self.open.keys().all(|client| self.engine.is_blocked(*client)));
    }

    /// Holds the reply against the request and the ledger.
    fn believe(&mut self, asked: Asked, reply: &Reply, effects: &Effects) {
        match (asked, reply) {
            (Asked::Add { queue, body, expires, once }, Reply::JobId(id)) => {
                self.ledger.added(*id, &queue, body, expires, once);
            }
            (Asked::Jobs { queues, count, .. }, Reply::Jobs { rows, .. }) => {
                assert!(!rows.is_empty() && rows.len() as u64 <= count);
                self.ledger.rows(effects, *rows, Look::Delivery, &queues);
            }
            (Asked::Jobs { .. }, Reply::NoJob | Reply::Refused(Refusal::Leaving)) => {}
            (Asked::Peek { queue, back }, Reply::Jobs { rows, .. }) => {
                let look = if back { Look::PeekBack } else { Look::Peek };
                self.ledger.rows(effects, *rows, look, &[queue]);
            }
            (Asked::Forgetting { ids }, Reply::Int(count)) => self.ledger.gone(&ids, *count),
            (Asked::Show { id }, Reply::Job(details)) => self.ledger.shown(id, Some(details), self.now),
            (Asked::Show { id }, Reply::NoSuchJob) => self.ledger.shown(id, None, self.now),
            (Asked::Pause { queue, changes }, Reply::Pause(state)) => {
                assert!(changes || self.ledger.paused(&queue) == *state, "a queue stays as it was paused");
                self.ledger.pause(&queue, *state);
            }
            (Asked::Clearing, Reply::Ok) => self.ledger.clear(),
            (Asked::Add { .. } | Asked::Other, Reply::Refused(_)) => {}
            (Asked::Other, reply) => assert!(!matches!(reply, Reply::Jobs { .. } | Reply::JobId(_))),
            (asked, reply) => panic!("{reply:?} answers {asked:?}"),
        }
    }

    fn write(&mut self, reply: &Reply, effects: &Effects) {
        for protocol in [Protocol::Resp3, Protocol::Resp2] {
            let context = ReplyContext { protocol, local_ip: None, port: 7711 };
            let mut output = Output::new();
            encode(reply, effects, &context, &mut output);
            let bytes = drain(&mut output);
            assert_one_reply(&bytes, protocol);
            self.transcript.extend(bytes);
        }
    }

    fn audit(&mut self) {
        if let Err(contradiction) = self.engine.audit() {
            panic!("audit: {contradiction}");
        }
        self.ledger.count(self.engine.job_count());
        assert_eq!(self.engine.job_counts().iter().sum::<u64>(), self.engine.job_count() as u64);
    }

    /// Asks for every job there ever was, or for some if there were many.
    fn show_jobs(&mut self) {
        let every = 1 + self.ledger.ids().len() / MAX_SHOWN;
        let ids: Vec<JobId> = self.ledger.ids().iter().copied().step_by(every).collect();
        for id in ids {
            self.ask(ClientId(u64::MAX), Request::Show { id: Some(id) }, Asked::Show { id });
        }
    }
}

/// The name of a queue; few, so that they meet each other.
pub(super) fn queue(input: &mut Unstructured<'_>) -> Result<Vec<u8>> {
    const NAMES: [&[u8]; 8] = [b"q", b"q", b"q", b"work", b"", b"\0\xff\r\n", b"q2", b"q3"];
    Ok(input.choose(&NAMES)?.to_vec())
}

/// A span of time: none, short, long or absurd.
pub(super) fn span(input: &mut Unstructured<'_>) -> Result<Millis> {
    let n = u64::from(input.arbitrary::<u8>()?);
    Ok(Millis(match input.int_in_range(0..=7)? {
        0 => 0,
        1 | 2 => n,
        3..=5 => n * 1000,
        6 => n * 86_400_000,
        _ => Span32::MAX.0,
    }))
}

pub(super) fn laid_out(words: &[Vec<u8>]) -> (Vec<u8>, Vec<Span>) {
    let mut start = 0;
    let spans = words.iter().map(|word| {
        let span = Span::Buffer { start, len: word.len() as u32 };
        start += word.len() as u32;
        span
    });
    let spans = spans.collect();
    (words.concat(), spans)
}
