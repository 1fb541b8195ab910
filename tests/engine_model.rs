//! The engine of a node alone against a model that is too simple to be wrong.
//!
//! Random requests, clock moves and disconnects; after each of them the replies are those of the model, the audit
//! finds nothing, and the engine asks to be woken no later than something happens. Each sequence is run again with
//! an engine that is woken far more often than it asks for, which must make no difference.
#![allow(missing_docs, unreachable_pub, reason = "a test program has no public interface")]

#[path = "engine_model/model.rs"]
mod model;
#[path = "engine_model/pressure.rs"]
mod pressure;
#[path = "engine_model/turn.rs"]
mod turn;

use std::collections::BTreeMap;

use disque::engine::{
    AddJob, ClientId, ClusterRequest, Effect, Effects, Engine, EngineSettings, GetJob, Input, JScan,
    JScanReply, JobDetails, JobState, JobStates, QScan, Reply, Request, ScanBudget, Seed,
};
use disque::types::{ArgList, Args, BodyArg, JobId, Millis, NodeId, Span, Span32, UnixMillis};
use model::{Answer, Answers, Model, REPLICATIONS, Row};
use proptest::prelude::*;
use turn::{Ask, Draft, ListCommand, Turn};

const START: u64 = 1_800_000_000_000;
/// How often the engine may want to be woken at one instant.
const WAKES_AT_ONCE: usize = 50;
/// Every millisecond of a longer time would take too long; then there are this many extra wake-ups.
const EXTRA_WAKES: u64 = 200;

/// How often the engine is woken.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Wakes {
    WhenAskedFor,
    AllTheTime,
}

/// A scan in pieces: what was there all the time, and how often it was shown.
#[derive(Debug, Default)]
struct Scan<K> {
    cursor: u64,
    lasting: BTreeMap<K, u32>,
}

impl<K: Ord + Clone + std::fmt::Debug> Scan<K> {
    /// Before a piece: things that are gone do not count any more.
    fn keep(&mut self, present: &[K]) {
        if self.cursor == 0 {
            self.lasting = present.iter().map(|key| (key.clone(), 0)).collect();
        }
        self.lasting.retain(|key, _| present.contains(key));
    }

    /// After a piece.
    fn showed(&mut self, cursor: u64, shown: &[K]) -> Result<(), String> {
        for key in shown {
            self.lasting.entry(key.clone()).and_modify(|times| *times += 1);
        }
        self.cursor = cursor;
        match self.lasting.iter().find(|(_, times)| **times > 1 || (cursor == 0 && **times == 0)) {
            Some((key, times)) => Err(format!("{key:?} was shown {times} times")),
            None => Ok(()),
        }
    }
}

struct Run {
    engine: Engine,
    model: Model,
    wakes: Wakes,
    now: u64,
    effects: Effects,
    clients: Vec<ClientId>,
    next_client: u64,
    /// All jobs that ever were.
    ids: Vec<JobId>,
    job_scan: Scan<JobId>,
    queue_scan: Scan<(Vec<u8>, u64)>,
    /// All replies with their time, and all effects as they are.
    replies: Vec<(u64, ClientId, Answer)>,
    raw: Vec<String>,
}

impl Run {
    fn new(wakes: Wakes) -> Run {
        let settings = EngineSettings { maxmemory: 0, ..EngineSettings::default() };
        let me = NodeId::from_bytes([0xab; 20]);
        Run {
            engine: Engine::new(
                settings,
                &disque::bus::NodesConf::alone(me, 7711),
                Seed([3; 32]),
                UnixMillis(START),
            ),
            model: Model::new(START),
            wakes,
            now: START,
            effects: Effects::new(),
            clients: (0..5).map(ClientId).collect(),
            next_client: 5,
            ids: Vec::new(),
            job_scan: Scan { cursor: 0, lasting: BTreeMap::new() },
            queue_scan: Scan { cursor: 0, lasting: BTreeMap::new() },
            replies: Vec::new(),
            raw: Vec::new(),
        }
    }

    fn turn(&mut self, turn: &Turn) -> Result<(), String> {
        self.clock(self.now)?;
        match turn {
            Turn::Clock(millis) => self.clock(self.now + millis)?,
            Turn::Gone(client) => self.gone(*client)?,
            Turn::Ask { client, behind, draft } => {
                if self.model.is_blocked(self.clients[*client]) {
                    self.gone(*client)?;
                }
                if *behind > 0 {
                    // A clock goes back only behind a time that the engine has heard of.
                    self.effects.clear();
                    self.engine.advance(UnixMillis(self.now), &mut self.effects);
                    let expected = self.model.run_to(self.now);
                    self.compare(expected)?;
                }
                self.draft(self.clients[*client], UnixMillis(self.now - behind), draft)?;
            }
        }
        self.check()
    }

    fn gone(&mut self, client: usize) -> Result<(), String> {
        let gone = std::mem::replace(&mut self.clients[client], ClientId(self.next_client));
        self.next_client += 1;
        self.model.gone(gone);
        self.effects.clear();
        self.engine.step(UnixMillis(self.now), Input::ClientGone { client: gone }, &mut self.effects);
        self.compare(Vec::new())
    }

    /// Lets time pass; the engine is woken when it asks for it, or more often.
    fn clock(&mut self, until: u64) -> Result<(), String> {
        let stride = (until - self.now).div_ceil(EXTRA_WAKES).max(1);
        let mut wakes_at_once = 0;
        loop {
            let asked = self.engine.next_deadline().map_or(u64::MAX, |at| at.0.max(self.now));
            let at = match self.wakes {
                Wakes::WhenAskedFor => asked,
                Wakes::AllTheTime => asked.min(self.now + stride),
            };
            let due = self.model.next_event().map_or(u64::MAX, |at| at.max(self.now));
            if due < asked {
                return Err(format!("something is due at {due}, the engine asks for {asked}"));
            }
            if at > until {
                break;
            }
            wakes_at_once = if at == self.now { wakes_at_once + 1 } else { 0 };
            if wakes_at_once > WAKES_AT_ONCE {
                return Err(format!("the engine never gets done at {at}"));
            }
            self.now = at;
            self.effects.clear();
            self.engine.advance(UnixMillis(at), &mut self.effects);
            let expected = self.model.run_to(at);
            self.compare(expected)?;
            self.engine.audit()?;
        }
        self.now = until;
        self.model.run_to(until);
        Ok(())
    }

    fn draft(&mut self, client: ClientId, now: UnixMillis, draft: &Draft) -> Result<(), String> {
        let ask = match draft {
            Draft::Whole(ask) => ask.clone(),
            Draft::List(command, jobs) => {
                Ask::List(*command, jobs.iter().map(|job| self.id_text(*job)).collect())
            }
            Draft::Working(job) => Ask::Working(self.id_text(*job)),
            Draft::Show(job) => Ask::Show(self.id_text(*job)),
            Draft::ScanJobs(count) => return self.scan_jobs(*count),
            Draft::ScanQueues(count) => return self.scan_queues(*count),
        };
        self.effects.clear();
        ask_engine(&mut self.engine, now, client, &ask, &mut self.effects);
        let fresh = self.effects.iter().find_map(|effect| match effect {
            Effect::Reply { reply: Reply::JobId(id), .. } => Some(*id),
            _ => None,
        });
        self.ids.extend(fresh);
        let none = JobId::new([0; 4], [0; 18], Millis(0), false);
        let expected = self.model.ask(client, &ask, fresh.unwrap_or(none));
        let saves = self.effects.iter().filter(|effect| matches!(effect, Effect::SaveNodes(_))).count();
        if saves != usize::from(matches!(ask, Ask::SetLeaving(_) | Ask::Reset(_))) {
            return Err(format!("{ask:?} saved the node table {saves} times"));
        }
        self.compare(expected).map_err(|why| format!("{ask:?}: {why}"))
    }

    /// The text of the ID of a job, counted from the newest; beyond the first one, IDs that no job has.
    fn id_text(&self, job: usize) -> Vec<u8> {
        match self.ids.iter().rev().nth(job) {
            Some(id) => id.text().to_vec(),
            None if job.is_multiple_of(2) => b"D-XXXXXXXX-XXXXXXXXXXXXXXXXXXXXXXXX-XXXX".to_vec(),
            None => JobId::new([1; 4], [1; 18], Millis(60_000), true).text().to_vec(),
        }
    }

    /// Holds the effects of one call against what the model says is answered at once; then what follows must be
    /// the service of clients that waited.
    fn compare(&mut self, mut expected: Answers) -> Result<(), String> {
        let mut actual: Answers = Vec::new();
        for effect in self.effects.iter() {
            self.raw.push(format!("{} {effect:?}", self.now));
            if let Effect::Reply { client, reply } = effect {
                actual.push((*client, answer(reply, &self.effects)));
            }
        }
        self.replies.extend(actual.iter().map(|(client, answer)| (self.now, *client, answer.clone())));
        if actual.len() < expected.len() {
            return Err(format!("expected {expected:?}, got {actual:?}"));
        }
        let served = actual.split_off(expected.len());
        actual.sort_by_key(|(client, _)| *client);
        expected.sort_by_key(|(client, _)| *client);
        if actual != expected {
            return Err(format!("expected {expected:?}, got {actual:?}"));
        }
        self.model.serve(&served)
    }

    /// What must hold after every turn.
    fn check(&mut self) -> Result<(), String> {
        self.engine.audit()?;
        let (engine, model) = (&self.engine, &self.model);
        let states = JobState::ALL.map(|state| model.count_in(state));
        let counted = (engine.job_count(), engine.queue_count(), engine.blocked_count(), engine.job_counts());
        let exist = (model.jobs.len(), model.queues.len(), model.blocked_count(), states);
        if counted != exist {
            return Err(format!("jobs, queues, blocked, states: {counted:?}, the model has {exist:?}"));
        }
        if let Some(client) =
            self.clients.iter().find(|client| engine.is_blocked(**client) != model.is_blocked(**client))
        {
            return Err(format!("{client:?} is blocked in one, not in the other"));
        }
        let due = model.next_event().map_or(u64::MAX, |at| at.max(self.now));
        let asked = engine.next_deadline().map_or(u64::MAX, |at| at.0);
        if asked > due {
            return Err(format!("something is due at {due}, the engine asks for {asked}"));
        }
        if due == u64::MAX && model.jobs.is_empty() && model.queues.is_empty() && asked < u64::MAX {
            return Err(format!("there is nothing, but the engine asks for {asked}"));
        }
        Ok(())
    }

    fn scan_jobs(&mut self, count: i64) -> Result<(), String> {
        let present: Vec<JobId> = self.model.jobs.iter().map(|job| job.id).collect();
        self.job_scan.keep(&present);
        let budget = ScanBudget::Count(count);
        let cursor = self.job_scan.cursor;
        let states = JobStates::default();
        let request = JScan { cursor, budget, queue: None, states, reply: JScanReply::Id };
        let reply = self.look(Request::JScan(request));
        let Reply::JobScan { cursor, jobs } = reply else { return Err(format!("JSCAN: {reply:?}")) };
        if jobs.len() as i64 > count || jobs.iter().any(|id| !present.contains(id)) {
            return Err(format!("JSCAN COUNT {count} shows {jobs:?}"));
        }
        self.job_scan.showed(cursor, &jobs)
    }

    fn scan_queues(&mut self, count: i64) -> Result<(), String> {
        let queues = self.model.queues.iter();
        let present: BTreeMap<Vec<u8>, u64> =
            queues.map(|(name, queue)| (name.clone(), queue.generation)).collect();
        self.queue_scan.keep(&present.clone().into_iter().collect::<Vec<_>>());
        let budget = ScanBudget::Count(count);
        let cursor = self.queue_scan.cursor;
        let request = QScan { cursor, budget, min_len: None, max_len: None, import_rate: None };
        let reply = self.look(Request::QScan(request));
        let Reply::QueueScan { cursor, queues } = reply else { return Err(format!("QSCAN: {reply:?}")) };
        let shown: Option<Vec<_>> =
            queues.iter().map(|name| Some((name.to_vec(), *present.get(&name[..])?))).collect();
        match shown {
            Some(shown) if shown.len() as i64 <= count => self.queue_scan.showed(cursor, &shown),
            _ => Err(format!("QSCAN COUNT {count} shows {queues:?}")),
        }
    }

    /// The reply to somebody who only looks.
    fn look(&mut self, request: Request<'_>) -> Reply {
        let mut effects = Effects::new();
        let input = Input::Request { client: ClientId(u64::MAX), request };
        self.engine.step(UnixMillis(self.now), input, &mut effects);
        let [Effect::Reply { reply, .. }] = effects.iter().as_slice() else { panic!("{effects:?}") };
        match reply {
            Reply::JobScan { cursor, jobs } => Reply::JobScan { cursor: *cursor, jobs: jobs.clone() },
            Reply::QueueScan { cursor, queues } => {
                Reply::QueueScan { cursor: *cursor, queues: queues.clone() }
            }
            _ => Reply::NoJob,
        }
    }
}

fn ask_engine(engine: &mut Engine, now: UnixMillis, client: ClientId, ask: &Ask, out: &mut Effects) {
    let mut run = |request: Request<'_>| engine.step(now, Input::Request { client, request }, out);
    let id = |text: &[u8]| JobId::parse(text).ok();
    match ask {
        Ask::Add(add) => run(Request::AddJob(AddJob {
            queue: &add.queue,
            body: BodyArg::Borrowed(&add.body),
            timeout: Millis(0),
            replicate: add.replicate,
            ttl: Millis(add.ttl),
            retry: add.retry.map(|retry| Span32::new(Millis(retry))),
            delay: Span32::new(Millis(add.delay)),
            maxlen: add.maxlen,
            replication: REPLICATIONS[usize::from(add.asynchronous)],
        })),
        Ask::Get(get) => with_list(&get.queues, |queues| {
            run(Request::GetJob(GetJob {
                queues,
                count: get.count,
                wait: get.wait,
                with_counters: get.counters,
            }))
        }),
        Ask::List(command, ids) => with_list(ids, |ids| run(list_request(*command, ids))),
        Ask::Working(text) => run(Request::Working { id: id(text) }),
        Ask::Show(text) => run(Request::Show { id: id(text) }),
        Ask::QLen(queue) => run(Request::QLen { queue }),
        Ask::QPeek(queue, count) => run(Request::QPeek { queue, count: *count }),
        Ask::QStat(queue) => run(Request::QStat { queue }),
        Ask::Pause(queue, change) => run(Request::Pause { queue, change: *change, broadcast: false }),
        Ask::JScan(queue, wanted) => {
            let mut states = JobStates::default();
            wanted.iter().for_each(|state| states.insert(*state));
            let (queue, budget) = (queue.as_deref(), ScanBudget::BusyLoop);
            run(Request::JScan(JScan { cursor: 0, budget, queue, states, reply: JScanReply::Id }))
        }
        Ask::QScan(min_len, max_len) => {
            let (min_len, max_len, budget) = (*min_len, *max_len, ScanBudget::BusyLoop);
            run(Request::QScan(QScan { cursor: 0, budget, min_len, max_len, import_rate: None }))
        }
        Ask::IsLeaving => run(Request::Cluster(ClusterRequest::IsLeaving)),
        Ask::SetLeaving(leaving) => run(Request::Cluster(ClusterRequest::SetLeaving(*leaving))),
        Ask::Flush => run(Request::FlushAll),
        Ask::Reset(hard) => run(Request::Cluster(ClusterRequest::Reset { hard: *hard })),
    }
}

fn list_request(command: ListCommand, ids: ArgList<'_>) -> Request<'_> {
    match command {
        ListCommand::AckJob => Request::AckJob { ids },
        ListCommand::FastAck => Request::FastAck { ids },
        ListCommand::DelJob => Request::DelJob { ids },
        ListCommand::Enqueue => Request::Enqueue { ids },
        ListCommand::Nack => Request::Nack { ids },
        ListCommand::Dequeue => Request::Dequeue { ids },
    }
}

/// Shows a list of arguments to `with`.
fn with_list(list: &[Vec<u8>], with: impl FnOnce(ArgList<'_>)) {
    let mut large = list.to_vec();
    let spans: Vec<Span> = (0..list.len() as u32).map(Span::Large).collect();
    with(Args::new(&spans, &[], &mut large).list_from(0));
}

fn answer(reply: &Reply, effects: &Effects) -> Answer {
    match reply {
        Reply::Ok => Answer::Ok,
        Reply::Int(n) => Answer::Int(*n),
        Reply::JobId(id) => Answer::Added(*id),
        Reply::Jobs { rows, with_counters } => {
            let row = |row| {
                let body = effects.body(row).bytes().to_vec();
                let (nacks, additional) = (row.nacks, row.additional_deliveries);
                Row { queue: effects.queue(row).to_vec(), id: row.id, body, nacks, additional }
            };
            Answer::Jobs(effects.rows(*rows).iter().map(row).collect(), *with_counters)
        }
        Reply::NoJob => Answer::NoJob,
        Reply::NoSuchJob => Answer::NoSuchJob,
        Reply::NoSuchQueue => Answer::NoSuchQueue,
        Reply::Job(job) => job_answer(job),
        Reply::Queue(queue) => {
            let ages = (queue.age.0, queue.idle.0);
            let moves = (queue.jobs_in, queue.jobs_out);
            let counts = [queue.len, ages.0, ages.1, queue.blocked, moves.0, moves.1, queue.in_flight];
            Answer::Queue(counts, queue.pause)
        }
        Reply::JobScan { cursor: 0, jobs } => {
            let mut jobs = jobs.clone();
            jobs.sort_unstable();
            Answer::Jobset(jobs)
        }
        Reply::QueueScan { cursor: 0, queues } => {
            let mut queues: Vec<Vec<u8>> = queues.iter().map(|name| name.to_vec()).collect();
            queues.sort_unstable();
            Answer::Queueset(queues)
        }
        Reply::Pause(state) => Answer::Pause(*state),
        Reply::Leaving(leaving) => Answer::Leaving(*leaving),
        Reply::Refused(refusal) => Answer::Refused(*refusal),
        other => Answer::Other(format!("{other:?}")),
    }
}

fn job_answer(job: &JobDetails) -> Answer {
    let (Some(queue), Some(body), Some(awake)) = (&job.queue, &job.body, job.next_awake) else {
        return Answer::Other(format!("{job:?}"));
    };
    if job.replicate != 1 || job.nodes_delivered.len() != 1 || !job.nodes_confirmed.is_empty() {
        return Answer::Other(format!("{job:?}"));
    }
    let row = Row {
        queue: queue.to_vec(),
        id: job.id,
        body: body.bytes().to_vec(),
        nacks: job.nacks,
        additional: job.additional_deliveries,
    };
    let requeue = job.next_requeue.map(|span| span.0);
    let spans = [job.ttl.0, job.ctime.0, job.delay.0, job.retry.0, awake.0];
    Answer::Job(job.state, spans, requeue, row)
}

fn run(turns: &[Turn], wakes: Wakes) -> Result<Run, TestCaseError> {
    let mut run = Run::new(wakes);
    for (number, turn) in turns.iter().enumerate() {
        run.turn(turn)
            .map_err(|why| TestCaseError::fail(format!("{wakes:?}, turn {number}, {turn:?}: {why}")))?;
    }
    Ok(run)
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 20_000, ..ProptestConfig::with_cases(128) })]
    #[test]
    fn the_engine_behaves_like_the_model_however_often_it_is_woken(
        turns in prop::collection::vec(turn::turn(), 1..120),
    ) {
        let asked = run(&turns, Wakes::WhenAskedFor)?;
        let again = run(&turns, Wakes::WhenAskedFor)?;
        prop_assert_eq!(&asked.raw, &again.raw, "the same inputs give the same effects");
        let often = run(&turns, Wakes::AllTheTime)?;
        if !asked.model.had_a_choice {
            prop_assert_eq!(&asked.replies, &often.replies, "extra wake-ups change nothing");
        }
    }
}
