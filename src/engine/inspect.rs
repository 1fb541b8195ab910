//! Looking without touching: SHOW, QLEN, QPEEK, QSTAT.

use super::effect::Effects;
use super::job::Job;
use super::reply::{JobDetails, QueueDetails, Reply};
use super::request::JobState;
use super::{Engine, requeue};
use crate::types::{JobId, Millis, NodeId, NodeSet};

impl Engine {
    pub(super) fn show(&self, id: Option<JobId>) -> Reply {
        match id.and_then(|id| self.jobs.find(&id)) {
            Some(index) => Reply::Job(Box::new(self.job_details(&self.jobs[index]))),
            None => Reply::NoSuchJob,
        }
    }

    pub(super) fn job_details(&self, job: &Job) -> JobDetails {
        let queue = self.queue_name_of(job);
        let next_requeue = requeue::time_to_requeue(job, self.now);
        let life = job.expires_at.since(self.now);
        // RC1 forgets who keeps a copy once there are enough.
        let collects = matches!(job.state, JobState::WaitReplication | JobState::Acked);
        let confirmed = if collects { job.confirmed } else { NodeSet::EMPTY };
        JobDetails {
            id: job.id,
            state: job.state,
            replicate: u16::from(job.replicate),
            ttl: life,
            ctime: job.ctime,
            delay: job.delay.millis(),
            retry: job.retry.millis(),
            nacks: job.nacks,
            additional_deliveries: job.additional_deliveries,
            nodes_delivered: self.node_ids(job.delivered),
            nodes_confirmed: self.node_ids(confirmed),
            next_requeue,
            next_awake: Some(next_requeue.map_or(life, |requeue| requeue.min(life))),
            body: queue.is_some().then(|| job.body.clone()),
            queue: queue.map(Into::into),
        }
    }

    /// The identities of a set of nodes.
    fn node_ids(&self, nodes: NodeSet) -> Vec<NodeId> {
        nodes.iter().map(|node| self.nodes.table.id(node)).collect()
    }

    pub(super) fn queue_len(&self, name: &[u8]) -> Reply {
        Reply::Int(self.queues.find_queue(name).map_or(0, |(_, queue)| queue.lanes.len() as i64))
    }

    pub(super) fn peek(&self, name: &[u8], count: i64, out: &mut Effects) -> Reply {
        let mark = out.rows_mark();
        if let Some((_, queue)) = self.queues.find_queue(name) {
            let wanted = usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX);
            let mut show = |index| {
                let job: &Job = &self.jobs[index];
                debug_assert_eq!(job.state, JobState::Queued);
                out.add_row(job.id, name, &job.body, job.nacks, job.additional_deliveries);
            };
            if count >= 0 {
                queue.lanes.iter(&self.jobs).take(wanted).for_each(&mut show);
            } else {
                queue.lanes.iter_rev(&self.jobs).take(wanted).for_each(&mut show);
            }
        }
        Reply::Jobs { rows: out.rows_since(mark), with_counters: false }
    }

    pub(super) fn queue_stat(&self, name: &[u8]) -> Reply {
        let Some((id, queue)) = self.queues.find_queue(name) else { return Reply::NoSuchQueue };
        let traffic = queue.traffic.as_ref();
        let import_rate = traffic.map_or(0, |traffic| traffic.import_rate(self.now));
        let import_from = traffic.map_or(NodeSet::EMPTY, |traffic| traffic.provider_set(self.now));
        // Who was forgotten meanwhile may have no row any more.
        let import_from = self.node_ids(import_from.intersection(self.nodes.table.members()));
        Reply::Queue(Box::new(QueueDetails {
            name: name.into(),
            len: queue.lanes.len() as u64,
            age: self.now.since(queue.created),
            idle: self.now.since(queue.last_access),
            blocked: u64::from(queue.line.len()),
            import_from,
            import_rate,
            jobs_in: queue.jobs_in,
            jobs_out: queue.jobs_out,
            pause: queue.pause,
            oldest: self.oldest_in(queue).map_or(Millis(0), |created| self.now.since(created)),
            in_flight: u64::from(self.queues.in_flight(id)),
        }))
    }
}
