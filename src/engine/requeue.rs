//! Who puts an unacknowledged job back into its queue, and when: the enqueue procedure, the requeue timer,
//! and the commands that move a job between its queue and a worker (commands.md 4.4, 8.4 to 8.6).

use rand::Rng as _;

use super::Engine;
use super::effect::Effects;
use super::job::{Job, JobFlags, JobIndex};
use super::reply::{Refusal, Reply};
use super::request::{JobState, PauseState};
use crate::bus::{Counts, Totals};
use crate::types::{ArgList, JobId, Millis, NodeIndex, Span32, UnixMillis};

/// Why a job is queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    /// It was just added.
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

impl Engine {
    /// Puts a job into its queue, unless it is there already, is acknowledged, or may be delivered only once and
    /// was. True if it was queued. Whether the queue is paused in input is the caller's question.
    pub(super) fn enqueue(&mut self, index: JobIndex, cause: Cause) -> bool {
        let (now, jitter) = (self.now, self.jitter());
        let job = &mut self.jobs[index];
        let once_and_gone = job.retry.is_zero() && job.flags.contains(JobFlags::DELIVERED);
        if job.state != JobState::Active || once_and_gone {
            return false;
        }
        job.requeue_at =
            if job.retry.is_zero() { UnixMillis::NEVER } else { now + job.retry.millis() + jitter };
        count_delivery(job, cause);
        let name = job.queue;
        self.set_state(index, JobState::Queued);
        self.wake_in_time(index);
        let queue = self.queues.open(name, now);
        queue.jobs_in += 1;
        queue.last_access = now;
        queue.lanes.push(&mut self.jobs, index);
        self.signal(name);
        true
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
    pub(super) fn look_at(&mut self, index: JobIndex) {
        let now = self.now;
        let job = &self.jobs[index];
        if job.expires_at <= now {
            return self.forget(index);
        }
        if job.state == JobState::Active && job.requeue_at <= now {
            if !job.retry.is_zero() && self.is_paused_in(index) {
                let later = now + self.jobs[index].retry.millis() + self.jitter();
                self.jobs[index].requeue_at = later;
            } else {
                self.enqueue(index, Cause::Timer);
            }
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
    pub(super) fn enqueue_jobs(&mut self, ids: ArgList<'_>, cause: Cause) -> Reply {
        self.count_jobs(ids, |engine, index| engine.enqueue(index, cause))
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
        self.wake_in_time(index);
    }

    /// WORKING: the worker asks for another retry period (commands.md 8.6).
    pub(super) fn working(&mut self, id: Option<JobId>) -> Reply {
        let Some(index) = id.and_then(|id| self.jobs.find(&id)) else {
            return Reply::Refused(Refusal::UnknownJob);
        };
        let (now, jitter) = (self.now, self.jitter());
        let job = &self.jobs[index];
        let created = job.ctime.millis();
        if job.state == JobState::Acked {
            return Reply::Refused(Refusal::Acked);
        }
        if now.since(created).0 > job.expires_at.since(created).0 / 2 {
            return Reply::Refused(Refusal::TooLate);
        }
        self.take_out_of_queue(index);
        let job = &mut self.jobs[index];
        if !job.retry.is_zero() {
            // The later of the two: a delayed job keeps its delay (defect L13).
            let renewed = now + job.retry.millis() + jitter;
            job.requeue_at = if job.requeue_at.is_never() { renewed } else { renewed.max(job.requeue_at) };
        }
        let seconds = job.retry.millis().secs_ceil() as i64;
        self.wake_in_time(index);
        Reply::Int(seconds)
    }

    /// PAUSE: replaces the queue's state, or just tells it.
    pub(super) fn pause(&mut self, name: &[u8], change: Option<PauseState>) -> Reply {
        let Some(state) = change else {
            return Reply::Pause(
                self.queues.find_queue(name).map_or(PauseState::NONE, |(_, queue)| queue.pause),
            );
        };
        let exists = self.queues.find_queue(name).is_some();
        if exists || state != PauseState::NONE {
            let id = self.queues.intern(name);
            self.queues.open(id, self.now).pause = state;
            self.queues.watch_idle(id, self.now);
            self.signal(id);
        }
        Reply::Pause(state)
    }

    pub(super) fn enqueue_message(&mut self, _job: JobId, _delay: Span32, _out: &mut Effects) {}

    pub(super) fn queued_message(
        &mut self,
        _sender: NodeIndex,
        _job: JobId,
        _counts: Counts,
        _totals: Option<Totals>,
        _out: &mut Effects,
    ) {
    }

    pub(super) fn will_queue(&mut self, _sender: NodeIndex, _job: JobId, _out: &mut Effects) {}

    pub(super) fn working_message(&mut self, _sender: NodeIndex, _job: JobId, _out: &mut Effects) {}

    pub(super) fn pause_message(&mut self, _queue: &[u8], _input: bool, _output: bool) {}

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

/// When a job must be looked at: at its end, or when it is to be queued again.
fn next_awake(job: &Job) -> UnixMillis {
    if job.state == JobState::Active { job.expires_at.min(job.requeue_at) } else { job.expires_at }
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
fn count_delivery(job: &mut Job, cause: Cause) {
    let announced = job.flags.contains(JobFlags::ANNOUNCED);
    job.flags.insert(JobFlags::ANNOUNCED);
    if cause == Cause::Nack {
        job.nacks = job.nacks.saturating_add(1);
    } else if announced {
        job.additional_deliveries = job.additional_deliveries.saturating_add(1);
    }
}
