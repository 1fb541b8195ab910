//! Taking up what an earlier run of this node has left in the append-only file.
//!
//! Records come one by one; nothing is queued and no timer is set before all have come, since a later record may say
//! that it was otherwise. Then the jobs that were queued go back to their queues if nobody else can have them:
//!
//! * a job of which this node holds the only copy, and which was queued and not delivered, is queued again at once; so is
//!   one that may be delivered only once, since it is queued at one node at a time;
//! * other holders may have queued or delivered the others meanwhile: they wait until their time, and the nodes agree
//!   on who queues them (job-lifecycle.md 8);
//! * files of RC1 do not say whether a queued job was delivered, so it waits for its whole retry period;
//! * after a controlled restart (`aof-enqueue-jobs-once`) everything that was queued is.
//!
//! A job that may be delivered only once, and was, is never queued again. Delays go on where they were (W5 of
//! reliability.md).

use super::Engine;
use super::job::{Job, JobFlags, JobIndex, NameId};
use super::job_table::Place;
use super::request::{JobState, PauseState};
use crate::aof::{Acked, JobRecord, Record, Standing};
use crate::types::{Body, Ctime, JobId, Millis, NodeId, NodeIndex, NodeSet, UnixMillis};

/// What is noted between the first record and the last.
#[derive(Debug, Default)]
pub(super) struct Restoring {
    /// Slots of jobs that were queued, one bit each.
    queued: Vec<u64>,
    /// The queue of the last job, which most often is that of the next.
    last_queue: Option<NameId>,
}

impl Restoring {
    fn set_queued(&mut self, JobIndex(slot): JobIndex, queued: bool) {
        let word = slot as usize / 64;
        if self.queued.len() <= word {
            self.queued.resize(word + 1, 0);
        }
        let bit = 1 << (slot % 64);
        if queued { self.queued[word] |= bit } else { self.queued[word] &= !bit }
    }

    fn was_queued(&self, JobIndex(slot): JobIndex) -> bool {
        self.queued.get(slot as usize / 64).is_some_and(|word| word & 1 << (slot % 64) != 0)
    }
}

/// How long after a start a job with other holders is queued at the earliest: links must be up by then, and the others
/// have been warned.
const MEETING_TIME: Millis = Millis(3000);

/// Which of the jobs that were queued are queued again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Requeueing {
    /// Those that nobody else can have.
    Own,
    /// All.
    All,
}

impl Engine {
    /// Takes in one record. All records of the file must come in their order, before any step, and then
    /// [`Engine::finish_restore`].
    pub fn restore(&mut self, record: Record<'_>) {
        match record {
            Record::Job(job) => self.restore_job(job),
            Record::Standing(standing) => self.restore_standing(&standing),
            Record::Holders { id, holders } => {
                if let Some(index) = self.jobs.find(&id) {
                    let holders = self.node_set(&holders);
                    self.jobs[index].delivered = holders;
                }
            }
            Record::Acked(acked) => self.restore_acked(&acked),
            Record::Forgotten { id } => {
                if let Some(index) = self.jobs.find(&id) {
                    self.drop_restored(index);
                }
            }
            Record::Pause { queue, input, output } => {
                self.set_pause(&queue, PauseState { input, output });
            }
            Record::Flushed => {
                self.restoring = Restoring::default();
                self.flush_jobs();
            }
            Record::Slots { key } => self.jobs.adopt_key(key),
            Record::End { .. } => {}
        }
    }

    fn restore_job(&mut self, record: JobRecord<'_>) {
        let JobRecord { image, requeue_at } = record;
        if image.expires_at <= self.now {
            if let Some(index) = self.jobs.find(&image.id) {
                self.drop_restored(index);
            }
            return;
        }
        let place = self.place_of(image.id);
        if place == Place::Named {
            self.last_ctime = self.last_ctime.max(image.ctime);
        }
        let name = self.restored_queue(&image.queue);
        let delivered = self.node_set(&image.nodes);
        let queued = image.state == JobRecord::QUEUED;
        let job = Job {
            expires_at: image.expires_at,
            requeue_at,
            delivered,
            confirmed: delivered,
            delay: image.delay,
            retry: image.retry,
            replicate: u8::try_from(image.replicate).unwrap_or(u8::MAX),
            nacks: image.nacks,
            additional_deliveries: image.additional_deliveries,
            flags: JobFlags::from_wire(image.flags),
            ..Job::new(image.id, image.ctime, name, image.body.into_body())
        };
        match self.jobs.try_insert(job, place) {
            Ok(index) => self.take_in(index, queued),
            Err(again) => {
                let (known, job) = *again;
                self.restore_again(known, job, queued);
            }
        }
    }

    /// Takes a job that is new in the table into account. One that may be delivered once, and was, is in flight.
    fn take_in(&mut self, index: JobIndex, queued: bool) {
        self.account_for(index);
        let job = &self.jobs[index];
        if job.is_in_flight() {
            self.queues.flight_begins(job.queue);
        }
        self.restoring.set_queued(index, queued);
    }

    /// The IDs of jobs that were added here name slots.
    fn place_of(&self, id: JobId) -> Place {
        if id.is_from(&self.nodes.me()) { Place::Named } else { Place::Any }
    }

    /// A job comes again. Usually the later record counts: the job stood so when it was written.
    fn restore_again(&mut self, known: JobIndex, job: Job, queued: bool) {
        // In a file of RC1 the first record counts until the job is deleted, and done is done everywhere.
        let first_counts = job.requeue_at == JobRecord::DUE_UNKNOWN;
        // The name must not go with the job that is replaced, and must go if nobody else uses it.
        let name = job.queue;
        self.queues.retain(name);
        if !first_counts && self.jobs[known].state != JobState::Acked {
            self.drop_restored(known);
            let place = self.place_of(job.id);
            let index = self.jobs.try_insert(job, place).expect("the job with its ID was just dropped");
            self.take_in(index, queued);
        }
        self.restoring.last_queue = None;
        self.queues.release(name);
    }

    fn restored_queue(&mut self, name: &[u8]) -> NameId {
        if let Some(last) = self.restoring.last_queue
            && self.queues.name(last) == name
        {
            return last;
        }
        let id = self.queues.intern(name);
        self.restoring.last_queue = Some(id);
        id
    }

    /// The nodes of a list, and this node, which holds the job.
    fn node_set(&mut self, nodes: &[NodeId]) -> NodeSet {
        self.rows_of(nodes).union(NodeSet::only(NodeIndex::MYSELF))
    }

    fn restore_standing(&mut self, standing: &Standing) {
        let Some(index) = self.jobs.find(&standing.id) else { return };
        let job = &mut self.jobs[index];
        if job.state == JobState::Acked {
            return;
        }
        job.requeue_at = standing.requeue_at;
        job.nacks = standing.nacks;
        job.additional_deliveries = standing.additional_deliveries;
        self.mark(index, |flags| *flags = JobFlags::from_wire(standing.flags));
        self.restoring.set_queued(index, standing.queued);
    }

    fn restore_acked(&mut self, acked: &Acked<'_>) {
        let index = match self.jobs.find(&acked.id) {
            Some(index) => index,
            None if acked.expires_at <= self.now => return,
            None => self.restore_unknown_ack(acked.id, acked.expires_at),
        };
        self.restoring.set_queued(index, false);
        self.set_state(index, JobState::Acked);
        // Without holders it stands for a job that this node did not know.
        let holders = if acked.holders.is_empty() { NodeSet::EMPTY } else { self.node_set(&acked.holders) };
        let confirmed = self.node_set(&acked.confirmed);
        let job = &mut self.jobs[index];
        // The job is known and the record is of somebody who did not know it: what stood between them, that it was
        // forgotten, is lost.
        let is_odd = job.delivered.contains(NodeIndex::MYSELF) && !holders.contains(NodeIndex::MYSELF);
        let held = if is_odd { job.delivered } else { NodeSet::EMPTY };
        (job.delivered, job.confirmed) = (holders.union(held), confirmed);
        if is_odd {
            job.confirmed.insert(NodeIndex::MYSELF);
        }
    }

    /// The acknowledgement of a job that is not known here.
    fn restore_unknown_ack(&mut self, id: JobId, expires_at: UnixMillis) -> JobIndex {
        let job = Job { expires_at, ..Job::new(id, Ctime::at(self.now), NameId::NONE, Body::copied(b"")) };
        let index = self.jobs.insert(job);
        self.account_for(index);
        index
    }

    /// Forgets a job that was restored, and that no queue and no timer knows yet.
    fn drop_restored(&mut self, index: JobIndex) {
        self.restoring.set_queued(index, false);
        // The name may go with its last job.
        self.restoring.last_queue = None;
        self.forget(index);
    }

    /// All records were taken in: queues what is to be queued, and sets the timers. Returns how many jobs were queued.
    pub fn finish_restore(&mut self, now: UnixMillis, requeueing: Requeueing) -> u64 {
        self.now = self.now.max(now);
        let restoring = std::mem::take(&mut self.restoring);
        let mut queued: Vec<(Ctime, JobIndex)> = Vec::new();
        let mut waiting = Vec::new();
        self.jobs.scan(0, usize::MAX, |index, job| {
            if restoring.was_queued(index) && may_be_queued(job, requeueing) {
                queued.push((job.ctime, index));
            } else {
                waiting.push(index);
            }
            true
        });
        for index in waiting {
            self.jobs[index].requeue_at = self.due_again(index, restoring.was_queued(index));
            self.resume_waiting(index);
        }
        // In their order, so that most of them go to the fast lane of their queue.
        queued.sort_unstable_by_key(|(ctime, JobIndex(slot))| (*ctime, *slot));
        for (_, index) in &queued {
            self.queue_restored(*index);
        }
        queued.len() as u64
    }

    fn queue_restored(&mut self, index: JobIndex) {
        let now = self.now;
        let job = &mut self.jobs[index];
        job.flags.insert(JobFlags::ANNOUNCED);
        job.requeue_at = if job.retry.is_zero() { UnixMillis::NEVER } else { now + job.retry.millis() };
        let name = job.queue;
        self.set_state(index, JobState::Queued);
        self.wake_in_time(index);
        let queue = self.queues.open(name, now);
        queue.jobs_in += 1;
        queue.last_access = now;
        queue.lanes.push(&mut self.jobs, index);
    }

    /// A job that is not queued goes on to wait.
    fn resume_waiting(&mut self, index: JobIndex) {
        let now = self.now;
        let job = &mut self.jobs[index];
        let delivered = job.flags.contains(JobFlags::DELIVERED);
        if job.state == JobState::Active && job.retry.is_zero() && job.requeue_at.is_never() && !delivered {
            // A copy that was not set free yet.
            job.flags.insert(JobFlags::PARKED);
        } else if job.state == JobState::Active && delivered && job.requeue_at > now {
            // Its worker may still be at it.
            self.mark(index, |flags| flags.insert(JobFlags::LEASED));
        }
        if self.jobs[index].state == JobState::Active {
            self.warn_in_time(index)
        } else {
            self.wake_in_time(index)
        }
    }

    /// When a job that is not queued now is to be queued, or an acknowledgement collected.
    fn due_again(&mut self, index: JobIndex, was_queued: bool) -> UnixMillis {
        let jitter = self.jitter();
        let job = &self.jobs[index];
        if job.state == JobState::Acked {
            return self.now + jitter;
        }
        if job.retry.is_zero() && (was_queued || job.flags.contains(JobFlags::DELIVERED)) {
            return UnixMillis::NEVER;
        }
        if job.requeue_at != JobRecord::DUE_UNKNOWN {
            // Other holders must have time to say that they have it.
            let earliest = if job.is_shared() { self.now + MEETING_TIME + jitter } else { self.now };
            // A wall clock that was set back must not postpone a job: it waits no longer than when it was new.
            let latest = self.now + Millis(job.delay.millis().0 + job.retry.millis().0) + jitter;
            let due = if job.requeue_at.is_never() { job.requeue_at } else { job.requeue_at.min(latest) };
            return due.max(earliest);
        }
        // RC1 does not say, but a delay counts from the creation. Copies leave the first queueing to the creator.
        let mine = job.id.is_from(&self.nodes.me());
        let first = job.end_of_delay(self.now);
        let first = if mine { first } else { first + job.retry.millis() };
        if !job.delay.is_zero() && !was_queued && first > self.now {
            first
        } else if job.retry.is_zero() {
            UnixMillis::NEVER
        } else {
            self.now + job.retry.millis() + jitter
        }
    }
}

fn may_be_queued(job: &Job, requeueing: Requeueing) -> bool {
    if job.retry.is_zero() && job.flags.contains(JobFlags::DELIVERED) {
        return false;
    }
    let known = job.requeue_at != JobRecord::DUE_UNKNOWN;
    // Of those that may be delivered once, nobody else queues one that was queued here, whoever handed it over or was
    // this node under another name.
    let alone = job.retry.is_zero() || job.delivered == NodeSet::only(NodeIndex::MYSELF);
    requeueing == Requeueing::All || (known && alone)
}
