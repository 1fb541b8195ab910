//! Clients that wait for a job: who is next in which line, and when they give up.
//!
//! A client waits in the line of every queue that it named, under one key. When it leaves, its places in the
//! lines become void and are skipped; a line that is mostly void is tidied, so waiting costs amortised O(1).
//!
//! Invariants: a client waits at most once; a line counts exactly its places that are not void.

use std::collections::{BTreeSet, VecDeque};

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use super::Engine;
use super::effect::Effects;
use super::federation::Need;
use super::input::ClientId;
use super::job::NameId;
use super::queue_table::Queue;
use super::reply::{Refusal, Reply};
use super::request::{GetJob, Wait};
use crate::types::UnixMillis;

/// A waiting client's place; a stale key hits nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct WaiterKey {
    slot: u32,
    serial: u32,
}

/// The clients waiting for one queue, first come, first served.
#[derive(Debug, Default)]
pub(super) struct Line {
    waiting: u32,
    /// `None` if nobody waited since the line was empty: most queues need no room for it.
    #[allow(clippy::box_collection, reason = "8 bytes instead of 32 in the record of every queue")]
    places: Option<Box<VecDeque<WaiterKey>>>,
}

impl Line {
    pub(super) fn is_empty(&self) -> bool {
        self.waiting == 0
    }

    pub(super) fn len(&self) -> u32 {
        self.waiting
    }

    fn tidy(&mut self, waiters: &Waiters) {
        const SLACK: usize = 16;
        if self.waiting == 0 {
            self.places = None;
        } else if let Some(places) = &mut self.places
            && places.len() > 2 * self.waiting as usize + SLACK
        {
            places.retain(|key| waiters.is_live(*key));
        }
    }

    fn join(&mut self, key: WaiterKey) {
        self.places.get_or_insert_default().push_back(key);
        self.waiting += 1;
    }

    /// Takes the first place, which may be void.
    fn pop_place(&mut self) -> Option<WaiterKey> {
        self.places.as_mut()?.pop_front()
    }
}

#[derive(Debug)]
struct Waiter {
    client: ClientId,
    queues: Box<[NameId]>,
    deadline: UnixMillis,
    with_counters: bool,
}

#[derive(Debug, Default)]
struct Slot {
    serial: u32,
    waiter: Option<Waiter>,
}

/// All waiting clients.
#[derive(Debug)]
pub(super) struct Waiters {
    slots: Vec<Slot>,
    free: Vec<u32>,
    by_client: HashMap<ClientId, u32, FixedState>,
    deadlines: BTreeSet<(UnixMillis, u32)>,
}

impl Waiters {
    pub(super) fn new(seed: u64) -> Waiters {
        Waiters {
            slots: Vec::new(),
            free: Vec::new(),
            by_client: HashMap::with_hasher(FixedState::with_seed(seed)),
            deadlines: BTreeSet::new(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.by_client.len()
    }

    pub(super) fn contains(&self, client: ClientId) -> bool {
        self.by_client.contains_key(&client)
    }

    pub(super) fn next_deadline(&self) -> Option<UnixMillis> {
        self.deadlines.first().map(|(at, _)| *at)
    }

    fn is_live(&self, key: WaiterKey) -> bool {
        let slot = &self.slots[key.slot as usize];
        slot.serial == key.serial && slot.waiter.is_some()
    }

    fn insert(&mut self, waiter: Waiter) -> WaiterKey {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot::default());
            self.slots.len() as u32 - 1
        });
        self.by_client.insert(waiter.client, slot);
        if !waiter.deadline.is_never() {
            self.deadlines.insert((waiter.deadline, slot));
        }
        let entry = &mut self.slots[slot as usize];
        entry.serial = entry.serial.wrapping_add(1);
        entry.waiter = Some(waiter);
        WaiterKey { slot, serial: entry.serial }
    }

    fn remove(&mut self, slot: u32) -> Waiter {
        let waiter = self.slots[slot as usize].waiter.take().expect("only slots in use are removed");
        self.by_client.remove(&waiter.client);
        self.deadlines.remove(&(waiter.deadline, slot));
        self.free.push(slot);
        waiter
    }

    /// Forgets all waiting clients and says who they were, in the order in which the slots were taken.
    /// Their places in the lines must be forgotten too.
    pub(super) fn drain(&mut self) -> Vec<ClientId> {
        let clients = self.slots.iter().filter_map(|slot| Some(slot.waiter.as_ref()?.client)).collect();
        self.slots.clear();
        self.free.clear();
        self.by_client.clear();
        self.deadlines.clear();
        clients
    }

    /// How many places a queue's line must have; for the audit.
    pub(super) fn count_in(&self, queue: NameId) -> u32 {
        let waits = |slot: &&Slot| slot.waiter.as_ref().is_some_and(|waiter| waiter.queues.contains(&queue));
        self.slots.iter().filter(waits).count() as u32
    }
}

impl Engine {
    /// GETJOB: takes what there is, or waits (commands.md 7.2 to 7.4).
    pub(super) fn get_job(&mut self, client: ClientId, request: GetJob<'_>, out: &mut Effects) {
        let mark = out.rows_mark();
        self.fetch(&request, out);
        let rows = out.rows_since(mark);
        if !self.nodes.is_alone() {
            self.ask_for_empty_queues(&request, out);
        }
        if !rows.is_empty() {
            return out.reply(client, Reply::Jobs { rows, with_counters: request.with_counters });
        }
        let deadline = match request.wait {
            Wait::No => return out.reply(client, Reply::NoJob),
            _ if self.nodes.is_leaving() => return out.reply(client, Reply::Refused(Refusal::Leaving)),
            Wait::Forever => UnixMillis::NEVER,
            Wait::For(span) => self.now + span,
        };
        self.block(client, &request, deadline, out);
    }

    /// Other nodes may have jobs for the queues in which this one found none.
    fn ask_for_empty_queues(&mut self, request: &GetJob<'_>, out: &mut Effects) {
        for name in request.queues.iter() {
            let found = self.queues.find_queue(name);
            if found.is_some_and(|(_, queue)| !queue.lanes.is_empty() && !queue.pause.output) {
                continue;
            }
            let id = self.queues.intern(name);
            self.queues.open(id, self.now);
            self.need(id, Need::Clients, out);
        }
    }

    /// Takes one job from each queue in turn, until there are enough or a round finds none.
    fn fetch(&mut self, request: &GetJob<'_>, out: &mut Effects) {
        let mut visited = std::mem::take(&mut self.visited);
        visited.clear();
        visited.extend(request.queues.iter().filter_map(|name| self.queues.find(name)));
        let mut wanted = request.count;
        loop {
            let before = wanted;
            for queue in &visited {
                if wanted > 0 && self.hand_out(*queue, out) {
                    wanted -= 1;
                }
            }
            if wanted == 0 || wanted == before {
                break;
            }
        }
        self.visited = visited;
    }

    /// Takes the first job of a queue, unless it is paused in output or empty, and adds it to the rows.
    fn hand_out(&mut self, name: NameId, out: &mut Effects) -> bool {
        let now = self.now;
        let Some(queue) = self.queues.queue_mut(name) else { return false };
        if queue.pause.output {
            return false;
        }
        let Some(index) = queue.lanes.pop_first(&mut self.jobs) else { return false };
        queue.jobs_out += 1;
        queue.last_access = now;
        if queue.lanes.is_empty() {
            self.queues.watch_idle(name, now);
            self.need(name, Need::ReachedZero, out);
        }
        self.delivered(index);
        let job = &self.jobs[index];
        out.add_row(job.id, self.queues.name(name), &job.body, job.nacks, job.additional_deliveries);
        true
    }

    fn block(&mut self, client: ClientId, request: &GetJob<'_>, deadline: UnixMillis, out: &mut Effects) {
        let mut names: Vec<NameId> = Vec::with_capacity(request.queues.len());
        for name in request.queues.iter() {
            let id = self.queues.intern(name);
            self.queues.open(id, self.now);
            names.push(id);
        }
        // A queue may be named twice, but a client stands in each line once.
        names.sort_unstable();
        names.dedup();
        let queues = names.into_boxed_slice();
        self.memory.waiters += waiter_bytes(&queues);
        let waiter =
            Waiter { client, queues: queues.clone(), deadline, with_counters: request.with_counters };
        let key = self.waiters.insert(waiter);
        for id in queues {
            self.queues.open(id, self.now).line.join(key);
            if !self.nodes.is_alone() {
                self.stay_hungry(id, out);
            }
        }
    }

    /// The client waits no longer: takes it out of all lines.
    fn unblock(&mut self, slot: u32) -> Waiter {
        let waiter = self.waiters.remove(slot);
        self.memory.waiters -= waiter_bytes(&waiter.queues);
        for name in &waiter.queues {
            let queue = self.queues.queue_mut(*name).expect("a queue with waiting clients stays");
            queue.line.waiting -= 1;
            queue.line.tidy(&self.waiters);
            self.queues.watch_idle(*name, self.now);
        }
        waiter
    }

    pub(super) fn client_gone(&mut self, client: ClientId, out: &mut Effects) {
        if let Some(job) = self.pending.job_of(client) {
            self.abandon(job, out);
        }
        if let Some(slot) = self.waiters.by_client.get(&client) {
            self.unblock(*slot);
        }
    }

    pub(super) fn time_out_waiters(&mut self, out: &mut Effects) {
        while let Some(&(at, slot)) = self.waiters.deadlines.first()
            && at <= self.now
        {
            let waiter = self.unblock(slot);
            out.reply(waiter.client, Reply::NoJob);
        }
    }

    /// Sends everybody who waits for a job to another node (commands.md 11, LEAVING).
    pub(super) fn send_waiters_away(&mut self, out: &mut Effects) {
        for slot in 0..self.waiters.slots.len() as u32 {
            if self.waiters.slots[slot as usize].waiter.is_some() {
                let waiter = self.unblock(slot);
                out.reply(waiter.client, Reply::Refused(Refusal::Leaving));
            }
        }
    }

    /// A job stands in this queue: if a client or another node waits for it, that is seen to at the end of the step.
    pub(super) fn signal(&mut self, name: NameId) {
        let wanted = |queue: &Queue| {
            !queue.line.is_empty() || queue.traffic.as_ref().is_some_and(|traffic| traffic.is_wanted())
        };
        if self.queues.queue(name).is_some_and(wanted) {
            self.ready.push(name);
        }
    }

    /// Serves the lines of the queues that got jobs, each client exactly one job.
    pub(super) fn settle(&mut self, out: &mut Effects) {
        let mut served = 0;
        while let Some(name) = self.ready.get(served).copied() {
            served += 1;
            self.serve_line(name, out);
            self.offer(name, out);
        }
        self.ready.clear();
    }

    fn serve_line(&mut self, name: NameId, out: &mut Effects) {
        while let Some(queue) = self.queues.queue_mut(name) {
            if queue.pause.output || queue.lanes.is_empty() || queue.line.is_empty() {
                return;
            }
            let Some(key) = queue.line.pop_place() else { return };
            if !self.waiters.is_live(key) {
                continue;
            }
            let waiter = self.unblock(key.slot);
            let mark = out.rows_mark();
            self.hand_out(name, out);
            let rows = out.rows_since(mark);
            out.reply(waiter.client, Reply::Jobs { rows, with_counters: waiter.with_counters });
        }
    }
}

fn waiter_bytes(queues: &[NameId]) -> usize {
    const FIXED: usize =
        size_of::<Slot>() + size_of::<(UnixMillis, u32)>() + size_of::<(ClientId, u32)>() + 32;
    FIXED + queues.len() * (size_of::<NameId>() + size_of::<WaiterKey>())
}
