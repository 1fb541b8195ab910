//! One node alone, written down as naively as possible: lists, linear searches, no timers but "what is due now?".
//!
//! Where the published behaviour leaves a choice (which of several queues that got jobs at the same instant serves
//! its line first), the model does not choose: [`Model::serve`] checks what the engine did against the rules.

use std::collections::BTreeMap;

use disque::engine::{ClientId, JobState, PauseState, Refusal, Replication, Wait};
use disque::types::JobId;

use crate::turn::{Add, Ask, Get, ListCommand};

/// How long a queue stays after its last use.
const IDLE_TIME: u64 = 300_000;

/// A job as replies show it.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    pub queue: Vec<u8>,
    pub id: JobId,
    pub body: Vec<u8>,
    pub nacks: u16,
    pub additional: u16,
}

/// A reply, comparable.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    Ok,
    Int(i64),
    Added(JobId),
    Jobs(Vec<Row>, bool),
    NoJob,
    NoSuchJob,
    NoSuchQueue,
    /// Time to live, creation time, delay, retry, next awake; next requeue; and the row.
    Job(JobState, [u64; 5], Option<u64>, Row),
    /// Length, age, idle time, waiting clients, jobs in, jobs out, pause.
    Queue([u64; 7], PauseState),
    Jobset(Vec<JobId>),
    Queueset(Vec<Vec<u8>>),
    Pause(PauseState),
    Leaving(bool),
    Refused(Refusal),
    Other(String),
}

pub type Answers = Vec<(ClientId, Answer)>;

#[derive(Clone, Debug)]
pub struct Job {
    pub id: JobId,
    pub queue: Vec<u8>,
    body: Vec<u8>,
    ctime: u64,
    expires: u64,
    requeue: Option<u64>,
    delay: u64,
    retry: u64,
    state: JobState,
    delivered: bool,
    /// A worker has it.
    in_flight: bool,
    queued_before: bool,
    nacks: u16,
    additional: u16,
}

#[derive(Clone, Debug)]
pub struct Queue {
    /// Tells a queue from an earlier one of the same name.
    pub generation: u64,
    created: u64,
    last_access: u64,
    jobs_in: u64,
    jobs_out: u64,
    pause: PauseState,
}

#[derive(Clone, Debug)]
struct Waiter {
    client: ClientId,
    queues: Vec<Vec<u8>>,
    deadline: Option<u64>,
    counters: bool,
}

#[derive(Debug)]
pub struct Model {
    pub now: u64,
    pub jobs: Vec<Job>,
    pub queues: BTreeMap<Vec<u8>, Queue>,
    /// In the order in which they came.
    waiters: Vec<Waiter>,
    leaving: bool,
    last_ctime: u64,
    generations: u64,
    /// More than one line could be served at the same instant: other orders would have been right too.
    pub had_a_choice: bool,
}

impl Model {
    pub fn new(now: u64) -> Model {
        Model {
            now,
            jobs: Vec::new(),
            queues: BTreeMap::new(),
            waiters: Vec::new(),
            leaving: false,
            last_ctime: 0,
            generations: 0,
            had_a_choice: false,
        }
    }

    pub fn is_blocked(&self, client: ClientId) -> bool {
        self.waiters.iter().any(|waiter| waiter.client == client)
    }

    pub fn blocked_count(&self) -> usize {
        self.waiters.len()
    }

    pub fn count_in(&self, state: JobState) -> u64 {
        self.jobs.iter().filter(|job| job.state == state).count() as u64
    }

    /// The next instant at which something happens by itself.
    pub fn next_event(&self) -> Option<u64> {
        let expiries = self.jobs.iter().map(|job| job.expires);
        let requeues = self.jobs.iter().filter(|job| job.state == JobState::Active);
        let idle = self.queues.iter().filter(|(name, _)| self.is_unused(name));
        expiries
            .chain(requeues.filter_map(|job| job.requeue))
            .chain(self.waiters.iter().filter_map(|waiter| waiter.deadline))
            .chain(idle.map(|(_, queue)| queue.last_access + IDLE_TIME))
            .min()
    }

    /// Time goes on to an instant before which nothing is due, and what is due then happens.
    pub fn run_to(&mut self, now: u64) -> Answers {
        self.now = self.now.max(now);
        let now = self.now;
        self.jobs.retain(|job| job.expires > now);
        for at in 0..self.jobs.len() {
            let paused = self.pause_of(&self.jobs[at].queue.clone()).input;
            let job = &mut self.jobs[at];
            match job.requeue {
                Some(due) if due <= now && job.state == JobState::Active => {
                    if paused && job.retry > 0 {
                        job.in_flight = false;
                        job.requeue = Some(now + job.retry);
                    } else {
                        self.enqueue(at, false);
                    }
                }
                Some(due) if job.state == JobState::Queued => {
                    // Still queued when its time comes: the time starts anew.
                    let periods = (now + job.retry - due) / job.retry;
                    job.requeue = Some(if due <= now { due + periods * job.retry } else { due });
                }
                _ => {}
            }
        }
        let (late, waiting): (Vec<_>, Vec<_>) =
            self.waiters.drain(..).partition(|waiter| waiter.deadline.is_some_and(|at| at <= now));
        self.waiters = waiting;
        let mut queues = self.queues.clone();
        queues.retain(|name, queue| !self.is_unused(name) || now < queue.last_access + IDLE_TIME);
        self.queues = queues;
        late.into_iter().map(|waiter| (waiter.client, Answer::NoJob)).collect()
    }

    /// What is answered at once. `fresh` is the ID that a new job gets.
    pub fn ask(&mut self, client: ClientId, ask: &Ask, fresh: JobId) -> Answers {
        let answer = match ask {
            Ask::Add(add) => self.add(add, fresh),
            Ask::Get(get) => match self.get(client, get) {
                Some(answer) => answer,
                None => return Vec::new(),
            },
            Ask::List(command, ids) => {
                Answer::Int(ids.iter().filter(|id| self.act(*command, id)).count() as i64)
            }
            Ask::Working(id) => self.working(id),
            Ask::Show(id) => self.find(id).map_or(Answer::NoSuchJob, |at| self.shown(at)),
            Ask::QLen(name) => Answer::Int(self.len(name) as i64),
            Ask::QPeek(name, count) => self.peek(name, *count),
            Ask::QStat(name) => self.stat(name),
            Ask::Pause(name, change) => self.pause(name, *change),
            Ask::JScan(queue, states) => self.scan_jobs(queue.as_deref(), states),
            Ask::QScan(min, max) => self.scan_queues(*min, *max),
            Ask::IsLeaving => Answer::Leaving(self.leaving),
            Ask::SetLeaving(leaving) => return self.set_leaving(client, *leaving),
            Ask::Flush | Ask::Reset(_) => return self.flush(client),
        };
        vec![(client, answer)]
    }

    pub fn gone(&mut self, client: ClientId) {
        self.waiters.retain(|waiter| waiter.client != client);
    }

    /// Checks and follows what the engine did with the lines of the queues that have jobs now.
    pub fn serve(&mut self, served: &[(ClientId, Answer)]) -> Result<(), String> {
        self.had_a_choice |= self.servable().len() > 1;
        for (client, answer) in served {
            let fits = |name: &Vec<u8>| {
                let waiter = self.first_waiter(name).filter(|waiter| waiter.client == *client)?;
                let at = self.first_job(name)?;
                let right = Answer::Jobs(vec![self.row(at)], waiter.counters) == *answer;
                right.then_some(at)
            };
            let Some(at) = self.servable().iter().find_map(fits) else {
                return Err(format!("{client:?} should not be served like this: {answer:?}"));
            };
            self.deliver(at);
            self.gone(*client);
        }
        match self.servable().first() {
            Some(name) => Err(format!("queue {name:?} has jobs and clients that wait for them")),
            None => Ok(()),
        }
    }

    fn servable(&self) -> Vec<Vec<u8>> {
        let ready = |name: &&Vec<u8>| {
            !self.pause_of(name).output && self.len(name) > 0 && self.first_waiter(name).is_some()
        };
        self.queues.keys().filter(ready).cloned().collect()
    }

    fn first_waiter(&self, name: &[u8]) -> Option<&Waiter> {
        self.waiters.iter().find(|waiter| waiter.queues.iter().any(|queue| queue == name))
    }

    /// The jobs of a queue, oldest first.
    fn queued(&self, name: &[u8]) -> Vec<usize> {
        let mut queued: Vec<usize> = (0..self.jobs.len())
            .filter(|at| self.jobs[*at].queue == name && self.jobs[*at].state == JobState::Queued)
            .collect();
        queued.sort_by_key(|at| (self.jobs[*at].ctime, self.jobs[*at].id));
        queued
    }

    fn first_job(&self, name: &[u8]) -> Option<usize> {
        self.queued(name).first().copied()
    }

    fn len(&self, name: &[u8]) -> usize {
        self.queued(name).len()
    }

    fn find(&self, id: &[u8]) -> Option<usize> {
        self.jobs.iter().position(|job| job.id.text() == *id)
    }

    fn pause_of(&self, name: &[u8]) -> PauseState {
        self.queues.get(name).map_or(PauseState::NONE, |queue| queue.pause)
    }

    fn is_unused(&self, name: &[u8]) -> bool {
        self.len(name) == 0 && self.first_waiter(name).is_none() && self.pause_of(name) == PauseState::NONE
    }

    fn open(&mut self, name: &[u8]) -> &mut Queue {
        let (now, generations) = (self.now, &mut self.generations);
        self.queues.entry(name.to_vec()).or_insert_with(|| {
            *generations += 1;
            Queue {
                generation: *generations,
                created: now,
                last_access: now,
                jobs_in: 0,
                jobs_out: 0,
                pause: PauseState::NONE,
            }
        })
    }

    fn row(&self, at: usize) -> Row {
        let Job { id, queue, body, nacks, additional, .. } = self.jobs[at].clone();
        Row { queue, id, body, nacks, additional }
    }

    /// The refusals in their published order.
    fn refusal(&self, add: &Add, retry: u64, copies: u64) -> Option<Refusal> {
        let too_long = add.maxlen.is_some_and(|maxlen| self.len(&add.queue) as u64 >= maxlen);
        if copies > 1 && retry == 0 {
            Some(Refusal::AtMostOnceReplicated)
        } else if add.delay >= add.ttl {
            Some(Refusal::DelayNotBelowTtl)
        } else if self.leaving && copies == 1 {
            Some(Refusal::NotEnoughNodesLeaving)
        } else if copies > 1 {
            Some(Refusal::NotEnoughNodes)
        } else if too_long && self.queues.contains_key(&add.queue) {
            Some(Refusal::QueueTooLong)
        } else {
            self.pause_of(&add.queue).input.then_some(Refusal::Paused)
        }
    }

    fn add(&mut self, add: &Add, fresh: JobId) -> Answer {
        let default_retry = match add.ttl {
            ttl @ ..1000 => (ttl / 10).max(1),
            ttl => (ttl / 1000 / 10).clamp(1, 300) * 1000,
        };
        let retry = add.retry.unwrap_or(default_retry);
        if let Some(refusal) = self.refusal(add, retry, u64::from(add.replicate.unwrap_or(1))) {
            return Answer::Refused(refusal);
        }
        self.last_ctime = (self.now * 1_000_000).max(self.last_ctime + 1);
        self.jobs.push(Job {
            id: fresh,
            queue: add.queue.clone(),
            body: add.body.clone(),
            ctime: self.last_ctime,
            expires: self.now + add.ttl,
            requeue: (add.delay > 0).then_some(self.now + add.delay),
            delay: add.delay,
            retry,
            state: JobState::Active,
            delivered: false,
            in_flight: false,
            queued_before: false,
            nacks: 0,
            additional: 0,
        });
        if add.delay == 0 {
            self.enqueue(self.jobs.len() - 1, false);
        }
        Answer::Added(fresh)
    }

    fn enqueue(&mut self, at: usize, nack: bool) -> bool {
        let now = self.now;
        let job = &mut self.jobs[at];
        if job.state != JobState::Active || (job.retry == 0 && job.delivered) {
            return false;
        }
        job.state = JobState::Queued;
        job.in_flight = false;
        job.requeue = (job.retry > 0).then_some(now + job.retry);
        job.nacks += u16::from(nack);
        job.additional += u16::from(!nack && job.queued_before);
        job.queued_before = true;
        let queue = job.queue.clone();
        let queue = self.open(&queue);
        queue.jobs_in += 1;
        queue.last_access = now;
        true
    }

    fn deliver(&mut self, at: usize) {
        let now = self.now;
        let job = &mut self.jobs[at];
        job.state = JobState::Active;
        job.delivered = true;
        job.in_flight = true;
        job.requeue = (job.retry > 0).then_some(now + job.retry);
        let queue = job.queue.clone();
        let queue = self.open(&queue);
        queue.jobs_out += 1;
        queue.last_access = now;
    }

    fn get(&mut self, client: ClientId, get: &Get) -> Option<Answer> {
        let mut rows = Vec::new();
        loop {
            let before = rows.len();
            for name in &get.queues {
                let first = self.first_job(name).filter(|_| !self.pause_of(name).output);
                if let Some(at) = first.filter(|_| (rows.len() as u64) < get.count) {
                    rows.push(self.row(at));
                    self.deliver(at);
                }
            }
            if rows.len() == before {
                break;
            }
        }
        if !rows.is_empty() {
            return Some(Answer::Jobs(rows, get.counters));
        }
        let deadline = match get.wait {
            Wait::No => return Some(Answer::NoJob),
            _ if self.leaving => return Some(Answer::Refused(Refusal::Leaving)),
            Wait::Forever => None,
            Wait::For(span) => Some(self.now + span.0),
        };
        for name in &get.queues {
            self.open(name);
        }
        self.waiters.push(Waiter { client, queues: get.queues.clone(), deadline, counters: get.counters });
        None
    }

    fn act(&mut self, command: ListCommand, id: &[u8]) -> bool {
        let Some(at) = self.find(id) else { return false };
        match command {
            ListCommand::AckJob | ListCommand::FastAck | ListCommand::DelJob => {
                self.jobs.remove(at);
                true
            }
            ListCommand::Enqueue => self.enqueue(at, false),
            ListCommand::Nack => self.enqueue(at, true),
            ListCommand::Dequeue => {
                let was = std::mem::replace(&mut self.jobs[at].state, JobState::Active);
                was == JobState::Queued
            }
        }
    }

    fn working(&mut self, id: &[u8]) -> Answer {
        let Some(at) = self.find(id) else { return Answer::Refused(Refusal::UnknownJob) };
        let now = self.now;
        let job = &mut self.jobs[at];
        let born = job.ctime / 1_000_000;
        if now.saturating_sub(born) > (job.expires - born) / 2 {
            return Answer::Refused(Refusal::TooLate);
        }
        job.state = JobState::Active;
        if job.retry > 0 {
            job.in_flight = true;
            job.requeue = job.requeue.max(Some(now + job.retry));
        }
        Answer::Int(job.retry.div_ceil(1000) as i64)
    }

    fn shown(&self, at: usize) -> Answer {
        let job = &self.jobs[at];
        let requeue = job.requeue.map(|at| at - self.now);
        let life = job.expires - self.now;
        let awake = requeue.unwrap_or(life).min(life);
        let row = self.row(at);
        Answer::Job(job.state, [life, job.ctime, job.delay, job.retry, awake], requeue, row)
    }

    fn peek(&self, name: &[u8], count: i64) -> Answer {
        let mut queued = self.queued(name);
        if count < 0 {
            queued.reverse();
        }
        queued.truncate(count.unsigned_abs() as usize);
        Answer::Jobs(queued.into_iter().map(|at| self.row(at)).collect(), false)
    }

    fn stat(&self, name: &[u8]) -> Answer {
        let Some(queue) = self.queues.get(name) else { return Answer::NoSuchQueue };
        let blocked = self.waiters.iter().filter(|waiter| waiter.queues.iter().any(|queue| queue == name));
        let ages = [self.now - queue.created, self.now - queue.last_access];
        let counts = [blocked.count() as u64, queue.jobs_in, queue.jobs_out];
        let [age, idle] = ages;
        let [blocked, jobs_in, jobs_out] = counts;
        let in_flight = self.jobs.iter().filter(|job| job.in_flight && job.queue == name).count() as u64;
        let counts = [self.len(name) as u64, age, idle, blocked, jobs_in, jobs_out, in_flight];
        Answer::Queue(counts, queue.pause)
    }

    fn pause(&mut self, name: &[u8], change: Option<PauseState>) -> Answer {
        let Some(state) = change else { return Answer::Pause(self.pause_of(name)) };
        if self.queues.contains_key(name) || state != PauseState::NONE {
            self.open(name).pause = state;
        }
        Answer::Pause(state)
    }

    fn scan_jobs(&self, queue: Option<&[u8]>, states: &[JobState]) -> Answer {
        let admits = |job: &&Job| {
            queue.is_none_or(|queue| job.queue == queue) && (states.is_empty() || states.contains(&job.state))
        };
        let mut ids: Vec<JobId> = self.jobs.iter().filter(admits).map(|job| job.id).collect();
        ids.sort_unstable();
        Answer::Jobset(ids)
    }

    fn scan_queues(&self, min: Option<i64>, max: Option<i64>) -> Answer {
        let admits = |name: &&Vec<u8>| {
            let len = self.len(name) as i64;
            min.is_none_or(|min| len >= min) && max.is_none_or(|max| len <= max)
        };
        Answer::Queueset(self.queues.keys().filter(admits).cloned().collect())
    }

    fn set_leaving(&mut self, client: ClientId, leaving: bool) -> Answers {
        self.leaving = leaving;
        let sent_away = if leaving { std::mem::take(&mut self.waiters) } else { Vec::new() };
        let refused = sent_away.into_iter().map(|waiter| (waiter.client, Answer::Refused(Refusal::Leaving)));
        refused.chain([(client, Answer::Ok)]).collect()
    }

    fn flush(&mut self, client: ClientId) -> Answers {
        self.jobs.clear();
        self.queues.clear();
        let waiters = std::mem::take(&mut self.waiters);
        let told = waiters.into_iter().map(|waiter| (waiter.client, Answer::NoJob));
        told.chain([(client, Answer::Ok)]).collect()
    }
}

/// How a job asks for its copies does not matter while there is one node.
pub const REPLICATIONS: [Replication; 2] = [Replication::Sync, Replication::Async];
