//! What the holders of a job say to each other about queueing it: WILLQUEUE, QUEUED, WORKING and ENQUEUE, so that
//! it is in one queue or with one worker at a time (job-lifecycle.md 8.3 and 8.4).
//!
//! There is no agreement on it, only good manners: half a second before a holder queues a job it says so; the one that
//! has the job in its queue, or whose worker has it, answers, and all others wait another retry period. If two have
//! queued it, the comparison decides. A fault can break each of these; then the job is delivered once more.

use std::cmp::Ordering;

use super::Engine;
use super::effect::Effects;
use super::job::{JobFlags, JobIndex};
use super::persist::Touch;
use super::request::{JobState, PauseState};
use super::requeue::Cause;
use crate::bus::{Counts, Notice, Totals, compare_for_job};
use crate::types::{JobId, NodeIndex, NodeSet, Span32};

impl Engine {
    /// WILLQUEUE: another holder is about to queue the job.
    pub(super) fn will_queue(&mut self, sender: NodeIndex, id: JobId, out: &mut Effects) {
        let Some(index) = self.jobs.find(&id) else { return self.answer_for_the_gone(sender, id, out) };
        let now = self.now;
        let job = &mut self.jobs[index];
        match job.state {
            JobState::WaitReplication => {}
            JobState::Acked => self.tell_of_ack(sender, index, out),
            JobState::Queued => {
                job.delivered.insert(sender);
                // To all: the other holders are about to ask too.
                self.tell_that_queued(index, Counts::NONE, out);
            }
            JobState::Active => {
                job.delivered.insert(sender);
                // The lease of a worker of this node lasts (W1 of reliability.md).
                if job.is_leased(now) {
                    self.tell(sender, id, Notice::Working, out);
                }
            }
        }
    }

    /// QUEUED: another holder has put the job into its queue.
    pub(super) fn queued_message(
        &mut self,
        sender: NodeIndex,
        id: JobId,
        counts: Counts,
        totals: Option<Totals>,
        out: &mut Effects,
    ) {
        let Some(index) = self.jobs.find(&id) else { return self.disown(sender, id, out) };
        let job = &self.jobs[index];
        match job.state {
            JobState::Acked => return self.tell_of_ack(sender, index, out),
            // One node has an at-most-once job. This one was it, and has handed it on since.
            _ if job.retry.is_zero() && !job.delivered.contains(sender) => return,
            // It only says that it has queued the job some time ago, and did not hear that a worker here has it.
            JobState::Active if counts == Counts::NONE && self.jobs[index].is_leased(self.now) => {
                self.jobs[index].delivered.insert(sender);
                self.count(index, counts, totals);
                return self.tell(sender, id, Notice::Working, out);
            }
            JobState::WaitReplication | JobState::Active => {}
            JobState::Queued if self.keeps_against(sender, id) => {
                // Both have queued it. The other one may not have heard of this node's queueing.
                self.count(index, counts, totals);
                return self.tell_that_queued_to(NodeSet::only(sender), index, Counts::NONE, out);
            }
            JobState::Queued => {
                self.take_out_of_queue(index);
            }
        }
        let job = &mut self.jobs[index];
        job.delivered.insert(sender);
        if job.state == JobState::Active {
            self.postpone(index);
        }
        self.count(index, counts, totals);
    }

    /// WORKING: a worker of another holder has the job.
    pub(super) fn working_message(&mut self, sender: NodeIndex, id: JobId, out: &mut Effects) {
        let Some(index) = self.jobs.find(&id) else { return self.disown(sender, id, out) };
        match self.jobs[index].state {
            JobState::Acked => self.tell_of_ack(sender, index, out),
            JobState::WaitReplication => {}
            JobState::Active | JobState::Queued => {
                self.take_out_of_queue(index);
                self.jobs[index].delivered.insert(sender);
                self.postpone(index);
            }
        }
    }

    /// ENQUEUE: a node that keeps no copy itself asks this one to be the first that queues the job.
    pub(super) fn enqueue_message(&mut self, id: JobId, delay: Span32, out: &mut Effects) {
        let Some(index) = self.jobs.find(&id) else { return };
        let job = &self.jobs[index];
        if job.state != JobState::Active || job.is_leased(self.now) {
            return;
        }
        // An at-most-once job would be lost if it were not queued now.
        let paused = self.queues.queue(job.queue).is_some_and(|queue| queue.pause.input);
        if paused && !job.retry.is_zero() {
            return;
        }
        let job = &mut self.jobs[index];
        job.flags.remove(JobFlags::ANNOUNCED);
        job.flags.remove(JobFlags::PARKED);
        if delay.is_zero() {
            self.enqueue(index, Cause::First, out);
        } else {
            job.requeue_at = self.now + delay.millis();
            self.wake_in_time(index);
            self.touch(index, Touch::Standing);
        }
    }

    /// PAUSE: another node was told to pause a queue everywhere.
    pub(super) fn pause_message(&mut self, queue: &[u8], input: bool, output: bool) {
        self.set_pause(queue, PauseState { input, output });
    }

    /// Whether this node keeps a job that the sender has queued too.
    fn keeps_against(&self, sender: NodeIndex, id: JobId) -> bool {
        let (me, other) = (self.nodes.me(), self.nodes.table.id(sender));
        compare_for_job(id, me, other) != Ordering::Less
    }

    /// Counts what another holder counted. Counters only grow, so the greater value is the right one; peers that
    /// cannot tell theirs say what to add (W20 of reliability.md).
    fn count(&mut self, index: JobIndex, counts: Counts, totals: Option<Totals>) {
        self.touch(index, Touch::Standing);
        let job = &mut self.jobs[index];
        match totals {
            Some(totals) => {
                job.nacks = job.nacks.max(totals.nacks);
                job.additional_deliveries = job.additional_deliveries.max(totals.additional_deliveries);
            }
            None => {
                job.nacks = job.nacks.saturating_add(u16::from(counts.nack));
                job.additional_deliveries =
                    job.additional_deliveries.saturating_add(u16::from(counts.delivery));
            }
        }
    }

    /// A job was handed to a worker: its lease starts now (W1 of reliability.md), so that it is not queued again
    /// before its whole retry period has passed, however long it had waited.
    pub(super) fn delivered(&mut self, index: JobIndex) {
        let (now, jitter) = (self.now, self.jitter());
        self.set_state(index, JobState::Active);
        let job = &mut self.jobs[index];
        // It waited until now, so it was not in flight, and it is now, with a lease or without.
        self.queues.flight_begins(job.queue);
        job.flags.insert(JobFlags::DELIVERED);
        if !job.retry.is_zero() {
            job.flags.insert(JobFlags::LEASED);
            job.requeue_at = now + job.retry.millis() + jitter;
            self.warn_in_time(index);
        }
    }
}
