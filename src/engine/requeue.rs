//! Who puts an unacknowledged job back into its queue, and when: the enqueue procedure, the requeue timer with its
//! warning to the other holders, and the commands that move a job between its queue and a worker (commands.md 4.4, 8.4
//! to 8.6; job-lifecycle.md 8). What the other holders say about it is in `contest.rs`.

use rand::Rng as _;

use super::Engine;
use super::effect::Effects;
use super::job::{self, Job, JobFlags, JobIndex};
use super::persist::Touch;
use super::reply::{Refusal, Reply};
use super::request::{JobState, PauseState};
use crate::bus::{Counts, Message, Notice, Totals};
use crate::types::{ArgList, JobId, Millis, NodeId, NodeSet, UnixMillis};

/// Why a job is queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    /// It was just added, here or elsewhere, and this node is the first to queue it.
    First,
    /// Its time has come: the delay is over, or the worker was silent for the retry period.
    Timer,
    /// ENQUEUE.
    Command,
    /// NACK.
    Nack,
}

/// Widest addition to a requeue time, so that several holders of a job do not act at the same instant.
/// RC1 spreads over ±250 ms; ours only adds, since a lease must not be cut short.
const JITTER: Millis = Millis(500);

/// How long before its requeue time a node warns the others that it will queue a job.
///
/// Must exceed a round trip, or the warning is useless; part of the published behaviour (job-lifecycle.md 1). Jobs with
/// a RETRY of less than twice this time are warned about at half of it.
const WARNING_TIME: Millis = Millis(500);

impl Engine {
    /// Puts a job into its queue, unless it is there already, is acknowledged, or may be delivered only once and
    /// was. True if it was queued. Whether the queue is paused in input is the caller's question.
    pub(super) fn enqueue(&mut self, index: JobIndex, cause: Cause, out: &mut Effects) -> bool {
        let (now, jitter) = (self.now, self.jitter());
        let job = &mut self.jobs[index];
        let once_and_gone = job.retry.is_zero() && job.flags.contains(JobFlags::DELIVERED);
        if job.state != JobState::Active || once_and_gone || job.flags.contains(JobFlags::PARKED) {
            return false;
        }
        job.requeue_at =
            if job.retry.is_zero() { UnixMillis::NEVER } else { now + job.retry.millis() + jitter };
        let announced = job.flags.contains(JobFlags::ANNOUNCED);
        let counts = count_delivery(job, cause);
        let name = job.queue;
        self.set_state(index, JobState::Queued);
        self.wake_in_time(index);
        let queue = self.queues.open(name, now);
        queue.jobs_in += 1;
        queue.last_access = now;
        queue.lanes.push(&mut self.jobs, index);
        self.signal(name);
        if (announced || cause == Cause::Nack) && self.jobs[index].is_shared() {
            self.tell_that_queued(index, counts, out);
        }
        true
    }

    /// Tells all other holders that this node has the job in its queue: they wait another retry period, and the one
    /// that has it queued too, and loses the comparison, gives it up.
    pub(super) fn tell_that_queued(&mut self, index: JobIndex, counts: Counts, out: &mut Effects) {
        self.tell_that_queued_to(self.jobs[index].delivered, index, counts, out);
    }

    /// Tells some nodes so.
    pub(super) fn tell_that_queued_to(
        &mut self,
        nodes: NodeSet,
        index: JobIndex,
        counts: Counts,
        out: &mut Effects,
    ) {
        let job = &self.jobs[index];
        let totals = Some(Totals { nacks: job.nacks, additional_deliveries: job.additional_deliveries });
        self.tell_all(nodes, job.id, Notice::Queued { counts, totals }, out);
    }

    /// Takes a job out of its queue, if it is there; its state is then active.
    pub(super) fn take_out_of_queue(&mut self, index: JobIndex) -> bool {
        let job = &self.jobs[index];
        if job.state != JobState::Queued {
            return false;
        }
        let name = job.queue;
        self.set_state(index, JobState::Active);
        let queue = self.queues.queue_mut(name).expect("the queue of a queued job exists");
        queue.lanes.remove(&mut self.jobs, index);
        if queue.lanes.is_empty() {
            self.queues.watch_idle(name, self.now);
        }
        true
    }

    /// Does what a job's time asks for.
    pub(super) fn look_at(&mut self, index: JobIndex, out: &mut Effects) {
        let job = &self.jobs[index];
        if job.expires_at <= self.now {
            return self.expire(index, out);
        }
        match job.state {
            JobState::WaitReplication => self.go_on_copying(index, out),
            JobState::Active => self.look_at_active(index, out),
            JobState::Queued => {}
            JobState::Acked => self.look_at_acked(index, out),
        }
        // It may be gone now, and its slot is not taken by another within this call.
        if self.jobs.get(index).is_some() {
            self.wake_in_time(index);
        }
    }

    /// A job's life is over. Everybody finds out alone; only a producer that waits must be told.
    fn expire(&mut self, index: JobIndex, out: &mut Effects) {
        if self.jobs[index].state == JobState::WaitReplication {
            return self.give_up(index, Refusal::GoneBeforeReplicated, out);
        }
        if self.jobs[index].state == JobState::Acked {
            // By the clocks of others, who have not been told yet, it may live on, and they may want copies here.
            self.tombstones.insert(self.jobs[index].id, self.now);
        }
        self.forget(index);
    }

    fn look_at_active(&mut self, index: JobIndex, out: &mut Effects) {
        let now = self.now;
        let job = &mut self.jobs[index];
        if job.requeue_at > now {
            if job.flags.contains(JobFlags::WARNS) && warning_at(job) <= now {
                job.flags.remove(JobFlags::WARNS);
                let (id, holders) = (job.id, job.delivered);
                self.tell_all(holders, id, Notice::WillQueue, out);
            }
            return;
        }
        if !job.retry.is_zero() && self.is_paused_in(index) {
            self.postpone(index);
        } else if !self.enqueue(index, Cause::Timer, out) {
            // It was delivered once, and that was all. It must not be looked at for ever.
            self.jobs[index].requeue_at = UnixMillis::NEVER;
        }
    }

    /// The job is somewhere else, or must wait: it is not queued here before another retry period has passed.
    pub(super) fn postpone(&mut self, index: JobIndex) {
        let (now, jitter) = (self.now, self.jitter());
        self.mark(index, |flags| flags.remove(JobFlags::LEASED));
        let job = &mut self.jobs[index];
        if !job.retry.is_zero() && !job.requeue_at.is_never() {
            // A delay that is not over yet is not cut short (defect L13 of commands.md).
            job.requeue_at = (now + job.patience() + jitter).max(job.requeue_at);
            self.warn_in_time(index);
        }
    }

    /// Sees to it that the job is looked at in time, and that the other holders are warned before it is queued.
    pub(super) fn warn_in_time(&mut self, index: JobIndex) {
        let job = &mut self.jobs[index];
        if job.is_shared() {
            job.flags.insert(JobFlags::WARNS);
        }
        self.wake_in_time(index);
    }

    /// Sees to it that the job is looked at no later than its next time.
    ///
    /// A wheel entry that is too early stays: looking in vain once per retry period saves moving the entry at
    /// every delivery. A queued job needs no requeue time, since its lease starts at delivery.
    pub(super) fn wake_in_time(&mut self, index: JobIndex) {
        let job = &self.jobs[index];
        let at = next_awake(job);
        if at < job.awake_at {
            self.wheel.set(&mut self.jobs, index, at);
        }
    }

    /// A small random time to add to a requeue time; none while this node is alone, as nobody could collide.
    pub(super) fn jitter(&mut self) -> Millis {
        if self.nodes.is_alone() {
            return Millis(0);
        }
        Millis(self.chance.next_u64() % JITTER.0)
    }

    fn is_paused_in(&self, index: JobIndex) -> bool {
        self.queues.queue(self.jobs[index].queue).is_some_and(|queue| queue.pause.input)
    }

    /// ENQUEUE and NACK: how many of the jobs were queued.
    pub(super) fn enqueue_jobs(&mut self, ids: ArgList<'_>, cause: Cause, out: &mut Effects) -> Reply {
        self.count_jobs(ids, |engine, index| engine.enqueue(index, cause, out))
    }

    /// DEQUEUE: how many of the jobs were taken out of their queues.
    pub(super) fn dequeue_jobs(&mut self, ids: ArgList<'_>) -> Reply {
        self.count_jobs(ids, |engine, index| {
            let left = time_to_requeue(&engine.jobs[index], engine.now);
            let taken = engine.take_out_of_queue(index);
            if taken {
                engine.watch_requeue_time(index, left);
            }
            taken
        })
    }

    /// A queued job's requeue time passes unused and renews itself; now that the job has left its queue without
    /// being delivered, `left` of that time is what counts.
    fn watch_requeue_time(&mut self, index: JobIndex, left: Option<Millis>) {
        let (now, jitter) = (self.now, self.jitter());
        if let Some(left) = left {
            self.jobs[index].requeue_at = now + left + jitter;
        }
        self.warn_in_time(index);
    }

    /// WORKING: the worker asks for another retry period (commands.md 8.6).
    pub(super) fn working(&mut self, id: Option<JobId>, out: &mut Effects) -> Reply {
        let Some(index) = id.and_then(|id| self.jobs.find(&id)) else {
            return Reply::Refused(Refusal::UnknownJob);
        };
        let job = &self.jobs[index];
        if job.state == JobState::Acked {
            return Reply::Refused(Refusal::Acked);
        }
        if is_half_over(job, self.nodes.me(), self.now) {
            return Reply::Refused(Refusal::TooLate);
        }
        let seconds = job.retry.millis().secs_ceil() as i64;
        if job.state != JobState::WaitReplication {
            self.renew_lease(index, out);
        }
        Reply::Int(seconds)
    }

    /// A worker of this node goes on with the job; the other holders wait.
    fn renew_lease(&mut self, index: JobIndex, out: &mut Effects) {
        self.take_out_of_queue(index);
        let (now, jitter) = (self.now, self.jitter());
        let job = &mut self.jobs[index];
        if !job.retry.is_zero() {
            // The later of the two: a delayed job keeps its delay (defect L13).
            let renewed = now + job.retry.millis() + jitter;
            job.requeue_at = if job.requeue_at.is_never() { renewed } else { renewed.max(job.requeue_at) };
            self.mark(index, |flags| flags.insert(JobFlags::LEASED));
        }
        let job = &self.jobs[index];
        let (id, holders) = (job.id, job.delivered);
        self.touch(index, Touch::Standing);
        self.warn_in_time(index);
        self.tell_all(holders, id, Notice::Working, out);
    }

    /// PAUSE: replaces the queue's state, or just tells it.
    pub(super) fn pause(
        &mut self,
        name: &[u8],
        change: Option<PauseState>,
        broadcast: bool,
        out: &mut Effects,
    ) -> Reply {
        let Some(state) = change else {
            return Reply::Pause(
                self.queues.find_queue(name).map_or(PauseState::NONE, |(_, queue)| queue.pause),
            );
        };
        self.set_pause(name, state);
        if broadcast {
            let PauseState { input, output } = state;
            let message = Message::Pause { queue: name.to_vec().into(), input, output };
            self.send_all(self.nodes.table.members(), &message, out);
        }
        Reply::Pause(state)
    }

    /// Closes or opens the ways of a queue. One that does not exist is open already.
    pub(super) fn set_pause(&mut self, name: &[u8], state: PauseState) {
        let exists = self.queues.find_queue(name).is_some();
        if exists || state != PauseState::NONE {
            let id = self.queues.intern(name);
            self.queues.open(id, self.now).pause = state;
            self.queues.watch_idle(id, self.now);
            self.signal(id);
            self.paused(name, state.input, state.output);
        }
    }

    /// Applies `act` to each job of the list that this node knows, and counts for how many it was true.
    pub(super) fn count_jobs(
        &mut self,
        ids: ArgList<'_>,
        mut act: impl FnMut(&mut Engine, JobIndex) -> bool,
    ) -> Reply {
        let mut count = 0;
        for text in ids.iter() {
            let found = JobId::parse(text).ok().and_then(|id| self.jobs.find(&id));
            count += i64::from(found.is_some_and(|index| act(self, index)));
        }
        Reply::Int(count)
    }
}

/// Whether more than half of a job's life is over.
///
/// The time of creation is by the clock of the node that made the job, which may differ by minutes (W7 of reliability.md).
/// Other nodes go by the ID, which tells the whole life in minutes; lives that it cannot tell are measured by the clocks.
fn is_half_over(job: &Job, me: NodeId, now: UnixMillis) -> bool {
    // The lowest bit tells something else. Rather a minute too long than too short for the worker.
    const LONGEST: u16 = u16::MAX - 1;
    let life = match job.id.ttl_minutes() & !1 {
        minutes @ 2..LONGEST if !job.id.is_from(&me) => Millis::from_secs(u64::from(minutes) * 60),
        _ => job.expires_at.since(job.ctime.millis()),
    };
    life.0.saturating_sub(job.expires_at.since(now).0) > life.0 / 2
}

/// When a job must be looked at: at its end, or when something is to be done about it.
pub(super) fn next_awake(job: &Job) -> UnixMillis {
    let act_at = match job.state {
        JobState::Queued => UnixMillis::NEVER,
        JobState::Active if job.flags.contains(JobFlags::WARNS) && !job.requeue_at.is_never() => {
            warning_at(job)
        }
        _ => job.requeue_at,
    };
    job.expires_at.min(act_at)
}

/// When the other holders are warned that the job will be queued here.
fn warning_at(job: &Job) -> UnixMillis {
    let retry = job.retry.millis();
    let period = if job.flags.contains(JobFlags::LEASED) { retry } else { retry.max(job::SHORTEST_PATIENCE) };
    let ahead = WARNING_TIME.0.min(period.0 / 2);
    UnixMillis(job.requeue_at.0.saturating_sub(ahead))
}

/// How long until the job is queued (again), if ever. For a queued job, whose requeue time is not watched, the time
/// renews itself every retry period.
pub(super) fn time_to_requeue(job: &Job, now: UnixMillis) -> Option<Millis> {
    if job.requeue_at.is_never() || job.state == JobState::Acked {
        return None;
    }
    if job.requeue_at > now || job.state != JobState::Queued {
        return Some(job.requeue_at.since(now));
    }
    let period = job.retry.millis().0.max(1);
    Some(Millis(period - now.since(job.requeue_at).0 % period))
}

/// The first queueing is what everybody expects; later ones count.
fn count_delivery(job: &mut Job, cause: Cause) -> Counts {
    let announced = job.flags.contains(JobFlags::ANNOUNCED);
    job.flags.insert(JobFlags::ANNOUNCED);
    if cause == Cause::Nack {
        job.nacks = job.nacks.saturating_add(1);
        return Counts::NACK;
    }
    if announced {
        job.additional_deliveries = job.additional_deliveries.saturating_add(1);
        return Counts::DELIVERY;
    }
    Counts::NONE
}
