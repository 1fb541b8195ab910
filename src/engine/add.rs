//! ADDJOB: the checks, in their published order, and the making of a job (commands.md 6).

use rand::Rng as _;

use super::effect::Effects;
use super::input::ClientId;
use super::job::{Job, JobIndex};
use super::memory::MemoryLevel;
use super::persist::{Hold, Touch};
use super::reply::{Refusal, Reply};
use super::request::{AddJob, JobState, Replication};
use super::{Engine, NameId};
use crate::types::{Ctime, JobId, Millis, NodeIndex, NodeSet, Span32, limits};

impl Engine {
    pub(super) fn add_job(&mut self, client: ClientId, request: AddJob<'_>, out: &mut Effects) {
        let retry = request.retry.unwrap_or_else(|| default_retry(request.ttl));
        let replicate = request.replicate.unwrap_or_else(|| self.nodes.default_replicate());
        let (name, external) = (self.queues.find(request.queue), self.keeps_no_copies());
        if let Err(refusal) = self.check_add(&request, name, retry, replicate, external) {
            return out.reply(client, Reply::Refused(refusal));
        }
        let name = name.unwrap_or_else(|| self.queues.intern(request.queue));
        let (timeout, replication) = (request.timeout, request.replication);
        let index = self.make_job(request, name, retry, replicate, external);
        if (replicate > 1 || external) && replication != Replication::Async {
            self.set_state(index, JobState::WaitReplication);
            return self.wait_for_copies(index, client, timeout, replication, out);
        }
        if replication == Replication::OnDisk {
            self.hold_replies(Hold::Disk);
        }
        let id = self.jobs[index].id;
        if external {
            self.place_elsewhere(index, out);
        } else {
            self.start(index, out);
            if replicate > 1 {
                self.copy_in_background(index, out);
            }
        }
        out.reply(client, Reply::JobId(id));
    }

    /// Takes a new job into the table. What is done with it next also says when it must be looked at.
    fn make_job(
        &mut self,
        request: AddJob<'_>,
        name: NameId,
        retry: Span32,
        replicate: u16,
        external: bool,
    ) -> JobIndex {
        let (expires_at, ctime) = (self.now + request.ttl, self.new_ctime());
        let (random_id, body) = (self.random_job_id(request.ttl, !retry.is_zero()), request.body.into_body());
        let holders = if external { NodeSet::EMPTY } else { NodeSet::only(NodeIndex::MYSELF) };
        let index = self.jobs.insert_own(random_id, |id| Job {
            expires_at,
            delivered: holders,
            confirmed: holders,
            delay: request.delay,
            retry,
            replicate: u8::try_from(replicate).unwrap_or(u8::MAX),
            ..Job::new(id, ctime, name, body)
        });
        self.account_for(index);
        index
    }

    /// Whether this node keeps no copies of new jobs, only asks others to (job-lifecycle.md 7).
    fn keeps_no_copies(&self) -> bool {
        self.nodes.is_leaving() || self.memory_level() >= MemoryLevel::High
    }

    /// The checks after those of form; the first that fails decides (commands.md 6.2, steps 3 to 7).
    fn check_add(
        &self,
        request: &AddJob<'_>,
        name: Option<NameId>,
        retry: Span32,
        replicate: u16,
        external: bool,
    ) -> Result<(), Refusal> {
        if replicate > 1 && retry.is_zero() {
            return Err(Refusal::AtMostOnceReplicated);
        }
        if request.delay.millis() >= request.ttl {
            return Err(Refusal::DelayNotBelowTtl);
        }
        self.check_copies(u64::from(replicate), request.replication, external)?;
        let Some(queue) = name.and_then(|name| self.queues.queue(name)) else { return Ok(()) };
        if request.maxlen.is_some_and(|maxlen| queue.lanes.len() as u64 >= maxlen) {
            return Err(Refusal::QueueTooLong);
        }
        if queue.pause.input { Err(Refusal::Paused) } else { Ok(()) }
    }

    /// Whether so many copies can be made. A node that leaves, or is short of memory, keeps none itself.
    fn check_copies(&self, replicate: u64, replication: Replication, external: bool) -> Result<(), Refusal> {
        let leaving = self.nodes.is_leaving();
        let on_disk = replication == Replication::OnDisk;
        if on_disk && !self.has_file() {
            return Err(Refusal::NoFile);
        }
        let needed = if external { replicate } else { replicate - 1 };
        let reachable = self.nodes.reachable();
        match needed <= reachable {
            true if on_disk && needed > u64::from(self.candidates(replication).len()) => {
                Err(Refusal::NotEnoughDisks)
            }
            true => Ok(()),
            false if !external || needed - 1 != reachable => Err(Refusal::NotEnoughNodes),
            false if leaving => Err(Refusal::NotEnoughNodesLeaving),
            false => Err(Refusal::NotEnoughNodesNoMemory),
        }
    }

    /// Takes a job that is new in the table into account.
    pub(super) fn account_for(&mut self, index: JobIndex) {
        let job = &self.jobs[index];
        self.memory.add_job(job.heap_bytes());
        if job.queue != NameId::NONE {
            self.queues.retain(job.queue);
        }
        self.in_state[job.state as usize] += 1;
        self.touch(index, Touch::New);
    }

    /// The raw material of an ID that nobody else has: 144 random bits.
    fn random_job_id(&mut self, ttl: Millis, at_least_once: bool) -> JobId {
        let mut random = [0; 18];
        self.ids.fill_bytes(&mut random);
        JobId::new(self.nodes.me().prefix(), random, ttl, at_least_once)
    }

    /// The current millisecond, or one more than the last creation time, so that no two jobs share one.
    fn new_ctime(&mut self) -> Ctime {
        let ctime = Ctime::at(self.now).max(Ctime(self.last_ctime.0 + 1));
        self.last_ctime = ctime;
        ctime
    }

    /// The queue name of a job, which is absent only in the record of an unknown job's acknowledgement.
    pub(super) fn queue_name_of(&self, job: &Job) -> Option<&[u8]> {
        (job.queue != NameId::NONE).then(|| self.queues.name(job.queue))
    }
}

/// RETRY when it is not given: a tenth of the time to live in whole seconds, between one second and five minutes.
/// A time to live below a second keeps a tenth of itself: such jobs ask for finer grain than RC1 had.
fn default_retry(ttl: Millis) -> Span32 {
    if ttl < Millis(1000) {
        return Span32::new(Millis((ttl.0 / 10).max(1)));
    }
    let tenth = Millis::from_secs(ttl.0 / 1000 / 10);
    Span32::new(tenth.clamp(Millis(1000), limits::DEFAULT_RETRY_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_retry_is_a_tenth_of_the_ttl_within_bounds() {
        for (ttl, retry) in [
            (250, 25),
            (5, 1),
            (1000, 1000),
            (9_000, 1000),
            (19_000, 1000),
            (20_000, 2000),
            (59_000, 5000),
            (2_999_000, 299_000),
            (3_000_000, 300_000),
            (86_400_000, 300_000),
        ] {
            assert_eq!(default_retry(Millis(ttl)).millis(), Millis(retry), "TTL {ttl} ms");
        }
    }
}
