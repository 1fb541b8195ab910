//! Short of memory: what must still be delivered is never given up, and what may go goes before a job is refused.
//!
//! How many bytes a job takes is the engine's own affair; the test asks for the level that follows from them.

use disque::engine::{
    AddJob, ClientId, Control, Effect, Effects, Engine, EngineSettings, EvictionPolicy, GetJob, Input,
    MemoryLevel, Refusal, Replication, Reply, Request, Seed, Wait,
};
use disque::types::{BodyArg, JobId, Millis, NodeId, Span32, UnixMillis};
use proptest::prelude::*;

use crate::with_list;

const START: u64 = 1_800_000_000_000;
const CLIENT: ClientId = ClientId(1);

#[derive(Clone, Debug)]
enum Turn {
    Add {
        queue: u8,
        body: usize,
        once: bool,
    },
    Get {
        queue: u8,
        count: u64,
    },
    /// Puts the job, counted from the newest, back into its queue, or acknowledges it.
    Enqueue(usize),
    Ack(usize),
    Clock(u64),
    Limit(u64),
    Policy(bool),
}

struct Known {
    id: JobId,
    once: bool,
    delivered: bool,
}

struct Run {
    engine: Engine,
    settings: EngineSettings,
    now: u64,
    effects: Effects,
    /// Jobs that nobody acknowledged, as far as they were not given up.
    jobs: Vec<Known>,
}

impl Run {
    fn new() -> Run {
        let settings = EngineSettings { maxmemory: 0, ..EngineSettings::default() };
        let me = NodeId::from_bytes([0xab; 20]);
        let engine = Engine::new(
            settings.clone(),
            &disque::bus::NodesConf::alone(me, 7711),
            Seed([5; 32]),
            UnixMillis(START),
        );
        Run { engine, settings, now: START, effects: Effects::new(), jobs: Vec::new() }
    }

    fn turn(&mut self, turn: &Turn) -> Result<(), String> {
        match turn {
            Turn::Add { queue, body, once } => self.add(&[*queue], *body, *once)?,
            Turn::Get { queue, count } => self.get(&[*queue], *count),
            Turn::Enqueue(job) => self.enqueue(*job)?,
            Turn::Ack(job) => self.ack(*job),
            Turn::Clock(millis) => self.clock(self.now + millis)?,
            Turn::Limit(bytes) => self.set(|settings| settings.maxmemory = *bytes),
            Turn::Policy(acks) => {
                let policy = if *acks { EvictionPolicy::Acks } else { EvictionPolicy::NoEviction };
                self.set(|settings| settings.maxmemory_policy = policy);
            }
        }
        self.engine.audit()?;
        self.forget_evicted()
    }

    fn set(&mut self, change: impl FnOnce(&mut EngineSettings)) {
        change(&mut self.settings);
        self.step(Input::Control(Control::Settings(self.settings.clone())));
    }

    fn step(&mut self, input: Input<'_>) {
        self.effects.clear();
        self.engine.step(UnixMillis(self.now), input, &mut self.effects);
    }

    fn reply(&self) -> &Reply {
        match self.effects.iter().as_slice() {
            [Effect::Reply { reply, .. }] => reply,
            other => panic!("one reply is expected, not {other:?}"),
        }
    }

    fn add(&mut self, queue: &[u8], body: usize, once: bool) -> Result<(), String> {
        let level = self.engine.memory_level();
        let body = vec![b'x'; body];
        let request = Request::AddJob(AddJob {
            queue,
            body: BodyArg::Borrowed(&body),
            timeout: Millis(0),
            replicate: None,
            ttl: Millis(86_400_000),
            retry: once.then_some(Span32::ZERO),
            delay: Span32::ZERO,
            maxlen: None,
            replication: Replication::Sync,
        });
        self.step(Input::Request { client: CLIENT, request });
        match (self.reply(), level) {
            (Reply::JobId(id), MemoryLevel::Normal | MemoryLevel::Critical) => {
                self.jobs.push(Known { id: *id, once, delivered: false });
                Ok(())
            }
            (Reply::Refused(Refusal::NotEnoughNodesNoMemory), MemoryLevel::High | MemoryLevel::Critical) => {
                Ok(())
            }
            (Reply::Refused(Refusal::OutOfMemory), MemoryLevel::Critical) => self.nothing_may_go(),
            (reply, level) => Err(format!("at level {level:?} the answer is {reply:?}")),
        }
    }

    /// A refusal for lack of memory is honest: it is still critical, and nothing more may be given up.
    fn nothing_may_go(&mut self) -> Result<(), String> {
        self.forget_evicted()?;
        let evicts = self.settings.maxmemory_policy == EvictionPolicy::Acks;
        if self.engine.memory_level() != MemoryLevel::Critical {
            return Err("there is room, but it was refused".to_owned());
        }
        match self.jobs.iter().find(|job| evicts && job.once && job.delivered) {
            Some(job) => Err(format!("refused, although {} might have gone", job.id)),
            None => Ok(()),
        }
    }

    fn get(&mut self, queue: &[u8], count: u64) {
        with_list(&[queue.to_vec()], |queues| {
            let request = Request::GetJob(GetJob { queues, count, wait: Wait::No, with_counters: false });
            self.step(Input::Request { client: CLIENT, request });
        });
        if let Reply::Jobs { rows, .. } = self.reply() {
            let ids: Vec<JobId> = self.effects.rows(*rows).iter().map(|row| row.id).collect();
            let fetched = |job: &&mut Known| ids.contains(&job.id);
            self.jobs.iter_mut().filter(fetched).for_each(|job| job.delivered = true);
        }
    }

    fn id(&self, job: usize) -> Option<JobId> {
        self.jobs.iter().rev().nth(job).map(|job| job.id)
    }

    fn enqueue(&mut self, job: usize) -> Result<(), String> {
        let Some(id) = self.id(job) else { return Ok(()) };
        let level = self.engine.memory_level();
        with_list(&[id.text().to_vec()], |ids| {
            self.step(Input::Request { client: CLIENT, request: Request::Enqueue { ids } });
        });
        match (self.reply(), level) {
            (Reply::Refused(Refusal::OutOfMemory), MemoryLevel::Critical) => self.nothing_may_go(),
            (Reply::Int(0 | 1), _) => Ok(()),
            (reply, level) => Err(format!("at level {level:?} the answer is {reply:?}")),
        }
    }

    fn ack(&mut self, job: usize) {
        let Some(id) = self.id(job) else { return };
        with_list(&[id.text().to_vec()], |ids| {
            self.step(Input::Request { client: CLIENT, request: Request::AckJob { ids } });
        });
        self.jobs.retain(|job| job.id != id);
    }

    fn clock(&mut self, until: u64) -> Result<(), String> {
        while let Some(at) = self.engine.next_deadline().filter(|at| at.0 <= until) {
            let wait = at.0.saturating_sub(self.now);
            self.now += wait;
            self.effects.clear();
            let before = self.engine.next_deadline();
            self.engine.advance(UnixMillis(self.now), &mut self.effects);
            if wait == 0 && self.engine.next_deadline() == before {
                return Err(format!("the engine is woken at {} for nothing", self.now));
            }
        }
        self.now = until;
        Ok(())
    }

    /// Jobs that are gone were at-most-once jobs that had been delivered.
    fn forget_evicted(&mut self) -> Result<(), String> {
        let mut kept = Vec::new();
        for job in std::mem::take(&mut self.jobs) {
            self.step(Input::Request { client: CLIENT, request: Request::Show { id: Some(job.id) } });
            match self.reply() {
                Reply::Job(_) => kept.push(job),
                Reply::NoSuchJob if job.once && job.delivered => {}
                other => return Err(format!("{} should be there: {other:?}", job.id)),
            }
        }
        self.jobs = kept;
        Ok(())
    }
}

fn turn() -> impl Strategy<Value = Turn> {
    let limit = prop::sample::select(vec![0, 1, 2_000, 5_000, 10_000, 100_000, 1_000_000]);
    let body = prop::sample::select(vec![0, 1, 500, 3000]);
    prop_oneof![
        20 => (b'a'..b'e', body, any::<bool>()).prop_map(|(queue, body, once)| Turn::Add { queue, body, once }),
        10 => (b'a'..b'e', 1..10u64).prop_map(|(queue, count)| Turn::Get { queue, count }),
        5 => (0..20usize).prop_map(Turn::Enqueue),
        5 => (0..20usize).prop_map(Turn::Ack),
        4 => prop::sample::select(vec![1, 99, 100, 2000, 10_100, 300_000]).prop_map(Turn::Clock),
        2 => limit.prop_map(Turn::Limit),
        1 => any::<bool>().prop_map(Turn::Policy),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]
    #[test]
    fn under_pressure_only_delivered_at_most_once_jobs_are_given_up(
        turns in prop::collection::vec(turn(), 1..150),
    ) {
        let mut run = Run::new();
        for (number, turn) in turns.iter().enumerate() {
            run.turn(turn).map_err(|why| TestCaseError::fail(format!("turn {number}, {turn:?}: {why}")))?;
        }
    }
}
