//! The state machine: jobs, queues, waiting clients, timers, membership.
//!
//! The whole of it is deterministic: time comes in with every call, chance comes from the seed, and what is to
//! be done goes out as one ordered list of effects. It performs no I/O and reads no clock, so that the event
//! loop, the scripted tests and a simulator run the same code.
//!
//! What it owes its driver, and what the driver owes it:
//!
//! 1. `now` should not go back from one call to the next; if it does, the engine keeps its own later time.
//! 2. After every [`Engine::step`] or [`Engine::advance`] the caller performs all effects, in order, before
//!    the next call.
//! 3. The same seed, settings and inputs give the same effects, byte for byte, on every machine.
//! 4. No input can make the engine panic. A panic means that the engine contradicted itself.
//!
//! [`Engine::audit`] recounts everything that the parts keep twice.

mod ack;
mod add;
mod audit;
mod awake_wheel;
mod blocking;
mod contest;
mod effect;
mod failure;
mod federation;
mod forgotten;
mod gossip;
mod handshake;
mod inbox;
mod input;
mod inspect;
mod job;
mod job_table;
mod links;
mod losses;
mod membership;
mod memory;
mod node_table;
mod outbox;
mod persist;
mod queue;
mod queue_table;
mod replication;
mod reply;
mod request;
mod requeue;
mod restore;
#[cfg(test)]
mod restore_tests;
mod scan;
mod seeds;
mod settings;
mod sweep;
mod tombstones;
mod view;

use std::collections::BTreeSet;

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

use crate::bus::NodesConf;
use crate::types::{Ctime, NodeId, UnixMillis};
use awake_wheel::AwakeWheel;
use blocking::Waiters;
use job::{JobFlags, JobIndex, NameId};
use job_table::JobTable;
use losses::Losses;
use membership::Membership;
use memory::Memory;
use persist::{Persist, Touch};
use queue_table::QueueTable;
use replication::Pending;
use restore::Restoring;
use sweep::Sweep;
use tombstones::Tombstones;

pub use effect::{BodyRef, Effect, Effects, Image, Images, JobRow, Outgoing, Rows, SendTo};
pub use input::{ClientId, Control, Input, LinkId, PeerLinkId, Via};
pub use memory::{MemoryLevel, MemoryUse};
pub use persist::{Hold, Persistence, Walk};
pub use reply::{ClusterInfo, HelloNode, JobDetails, QueueDetails, QueueFacts, Refusal, Reply};
pub use request::{
    AddJob, ClusterRequest, GetJob, JScan, JScanReply, JobState, JobStates, PauseState, QScan, Replication,
    Request, ScanBudget, Wait,
};
pub use restore::Requeueing;
pub use settings::{EngineSettings, EvictionPolicy};

/// Where all of an engine's chance comes from.
#[derive(Clone, Copy, Debug)]
pub struct Seed(pub [u8; 32]);

/// One node's jobs, queues and knowledge of the cluster.
pub struct Engine {
    settings: EngineSettings,
    now: UnixMillis,
    nodes: Membership,
    jobs: JobTable,
    queues: QueueTable,
    waiters: Waiters,
    /// Clients that wait for the copies of their job.
    pending: Pending,
    /// Queues with waiting clients, by the time when they ask other nodes again.
    hungry: BTreeSet<(UnixMillis, NameId)>,
    tombstones: Tombstones,
    sweep: Sweep,
    wheel: AwakeWheel,
    memory: Memory,
    /// How many jobs are in each state, by [`JobState`].
    in_state: [u64; 4],
    /// Cryptographic, for job and node IDs, which nobody must be able to guess.
    ids: StdRng,
    /// For everything else, so that one more draw here does not change every ID of a test.
    chance: StdRng,
    last_ctime: Ctime,
    /// Queues with a waiting client that got a job in this step, in that order.
    ready: Vec<NameId>,
    /// Queues of the GETJOB at hand; kept for its capacity.
    visited: Vec<NameId>,
    persist: Persist,
    restoring: Restoring,
    /// What is told to be appended is not written at the moment.
    disk_fails: bool,
    losses: Losses,
}

/// How many timers one [`Engine::advance`] lets fire, so that a storm of them cannot keep clients waiting.
const TIMERS_PER_ADVANCE: usize = 1000;

impl Engine {
    /// An engine without jobs. `nodes` is what the node table of the last run says, or [`NodesConf::alone`].
    pub fn new(settings: EngineSettings, nodes: &NodesConf, seed: Seed, now: UnixMillis) -> Engine {
        let mut ids = StdRng::from_seed(seed.0);
        let mut chance_seed = seed.0;
        // Any other seed will do, as long as it follows from the first.
        chance_seed.iter_mut().for_each(|byte| *byte = !*byte);
        let table_seed = ids.next_u64();
        Engine {
            settings,
            now,
            nodes: Membership::new(nodes, table_seed, now),
            jobs: JobTable::new(table_seed),
            queues: QueueTable::new(table_seed),
            waiters: Waiters::new(table_seed),
            pending: Pending::new(table_seed),
            hungry: BTreeSet::new(),
            tombstones: Tombstones::new(table_seed),
            sweep: Sweep::default(),
            wheel: AwakeWheel::new(now),
            memory: Memory::default(),
            in_state: [0; 4],
            ids,
            chance: StdRng::from_seed(chance_seed),
            last_ctime: Ctime::default(),
            ready: Vec::new(),
            visited: Vec::new(),
            persist: Persist::default(),
            restoring: Restoring::default(),
            disk_fails: false,
            losses: Losses::default(),
        }
    }

    /// Takes in one thing that happened.
    pub fn step(&mut self, now: UnixMillis, input: Input<'_>, out: &mut Effects) {
        self.now = self.now.max(now);
        match input {
            Input::Request { client, request } => self.request(client, request, out),
            Input::ClientGone { client } => self.client_gone(client, out),
            Input::LinkUp { link } => self.link_up(link, out),
            Input::LinkDown { link } => self.link_down(link),
            Input::Message { via, header, message } => self.message(via, header, message, out),
            Input::Control(Control::Seeds(seeds)) => self.meet_seeds(seeds),
            Input::Control(Control::Settings(settings)) => {
                self.settings = settings;
                self.relieve_memory();
            }
            Input::Control(Control::ShellMemory(bytes)) => self.memory.shell = bytes,
            Input::Control(Control::Persist(persistence)) => self.set_persistent(persistence),
            Input::Control(Control::RecordsLost) => self.records_were_lost(out),
            Input::Control(Control::DiskFailing(fails)) => self.disk_fails = fails,
        }
        self.settle(out);
        self.save_changed_nodes(out);
        self.remember(out);
    }

    /// Does what is due; bounded per call. If more is due, [`Engine::next_deadline`] says so.
    pub fn advance(&mut self, now: UnixMillis, out: &mut Effects) {
        self.now = self.now.max(now);
        for _ in 0..TIMERS_PER_ADVANCE {
            let Some(job) = self.wheel.pop_due(&mut self.jobs, self.now) else { break };
            self.look_at(job, out);
        }
        self.time_out_waiters(out);
        self.retire_idle_queues();
        self.ask_again(out);
        self.go_on_sweeping(out);
        self.tick_nodes(out);
        self.settle(out);
        self.save_changed_nodes(out);
        self.remember(out);
    }

    /// When [`Engine::advance`] must be called at the latest; exact or early, never late.
    pub fn next_deadline(&self) -> Option<UnixMillis> {
        let hungry = self.hungry.first().map(|(at, _)| *at);
        let jobs = [self.wheel.next_deadline(), self.sweep.next_deadline()];
        let others =
            [self.waiters.next_deadline(), self.next_idle_check(), hungry, self.nodes.next_deadline()];
        jobs.into_iter().chain(others).flatten().min()
    }

    fn request(&mut self, client: ClientId, request: Request<'_>, out: &mut Effects) {
        if self.is_short_of_memory() {
            self.relieve_memory();
            let adds = matches!(request, Request::AddJob(_) | Request::Enqueue { .. } | Request::Nack { .. });
            if adds && self.is_short_of_memory() {
                return out.reply(client, Reply::Refused(Refusal::OutOfMemory));
            }
        }
        let reply = match request {
            Request::AddJob(request) => return self.add_job(client, request, out),
            Request::GetJob(request) => return self.get_job(client, request, out),
            Request::AckJob { ids } => self.ack_jobs(ids, out),
            Request::FastAck { ids } => self.fast_ack_jobs(ids, out),
            Request::DelJob { ids } => self.delete_jobs(ids, out),
            Request::Enqueue { ids } => self.enqueue_jobs(ids, requeue::Cause::Command, out),
            Request::Nack { ids } => self.enqueue_jobs(ids, requeue::Cause::Nack, out),
            Request::Dequeue { ids } => self.dequeue_jobs(ids),
            Request::Working { id } => self.working(id, out),
            Request::Show { id } => self.show(id),
            Request::QLen { queue } => self.queue_len(queue),
            Request::QPeek { queue, count } => self.peek(queue, count, out),
            Request::QStat { queue } => self.queue_stat(queue),
            Request::QScan(request) => self.scan_queues(&request),
            Request::JScan(request) => self.scan_jobs(&request),
            Request::Pause { queue, change, broadcast } => self.pause(queue, change, broadcast, out),
            Request::Hello => self.hello(),
            Request::Cluster(request) => return self.cluster(client, request, out),
            Request::FlushAll => {
                self.flush(out);
                Reply::Ok
            }
        };
        out.reply(client, reply);
    }

    /// Forgets all jobs and queues; clients waiting for a job are told that there is none.
    fn flush(&mut self, out: &mut Effects) {
        for client in self.waiters.drain() {
            out.reply(client, Reply::NoJob);
        }
        for client in self.pending.drain() {
            out.reply(client, Reply::Refused(Refusal::GoneBeforeReplicated));
        }
        self.flush_jobs();
        self.flushed();
    }

    fn flush_jobs(&mut self) {
        self.hungry.clear();
        self.tombstones.clear();
        self.sweep.clear_jobs();
        self.wheel.clear();
        self.jobs.clear();
        self.queues.clear();
        self.memory.forget_jobs();
        self.in_state = [0; 4];
    }

    /// The one place where a job's state changes. A lease ends when the job is active no more.
    fn set_state(&mut self, index: JobIndex, state: JobState) {
        let job = &mut self.jobs[index];
        self.in_state[job.state as usize] -= 1;
        self.in_state[state as usize] += 1;
        let touch = if job.state == JobState::WaitReplication { Touch::New } else { Touch::Standing };
        if job.is_in_flight() && state != JobState::Active {
            job.flags.remove(JobFlags::LEASED);
            self.queues.flight_ends(job.queue);
        }
        job.state = state;
        self.touch(index, touch);
    }

    /// Changes the flags of a job that tell whether a worker has it, DELIVERED and LEASED, and the count with them.
    fn mark(&mut self, index: JobIndex, change: impl FnOnce(&mut JobFlags)) {
        let job = &mut self.jobs[index];
        let before = job.is_in_flight();
        change(&mut job.flags);
        match (before, job.is_in_flight()) {
            (false, true) => self.queues.flight_begins(job.queue),
            (true, false) => self.queues.flight_ends(job.queue),
            _ => {}
        }
    }

    /// Removes a job from everything that knows it. It may be in any state.
    fn forget(&mut self, index: JobIndex) {
        self.forgotten(index);
        self.take_out_of_queue(index);
        self.wheel.cancel(&mut self.jobs, index);
        let job = self.jobs.remove(index);
        self.in_state[job.state as usize] -= 1;
        self.memory.sub_job(job.heap_bytes());
        if job.is_in_flight() {
            self.queues.flight_ends(job.queue);
        }
        if job.queue != NameId::NONE {
            self.queues.release(job.queue);
        }
    }

    /// How many jobs this node knows, in any state.
    pub fn job_count(&self) -> usize {
        self.jobs.len()
    }

    /// How many of them are in each state, in the order of [`JobState::ALL`].
    pub fn job_counts(&self) -> [u64; 4] {
        self.in_state
    }

    /// How many queues exist, empty ones included.
    pub fn queue_count(&self) -> usize {
        self.queues.len()
    }

    /// How many clients wait for a job, or for copies of theirs.
    pub fn blocked_count(&self) -> usize {
        self.waiters.len() + self.pending.len()
    }

    /// Whether this client waits for an answer.
    pub fn is_blocked(&self, client: ClientId) -> bool {
        self.waiters.contains(client) || self.pending.contains(client)
    }

    /// Whether no other node is a member.
    pub fn is_alone(&self) -> bool {
        self.nodes.is_alone()
    }

    /// This node's identity.
    pub fn me(&self) -> NodeId {
        self.nodes.me()
    }
}
