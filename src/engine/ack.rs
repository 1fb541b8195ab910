//! Forgetting jobs: ACKJOB, FASTACK, DELJOB (commands.md 8.1 to 8.3).

use super::Engine;
use super::effect::Effects;
use super::job::JobIndex;
use super::reply::Reply;
use super::request::JobState;
use crate::types::{ArgList, JobId, NodeId, NodeIndex, NodeSet};

impl Engine {
    /// ACKJOB: how many of the jobs were known here and not yet acknowledged.
    pub(super) fn ack_jobs(&mut self, ids: ArgList<'_>) -> Reply {
        self.count_jobs(ids, |engine, index| {
            let news = engine.acknowledge(index);
            engine.collect(index);
            news
        })
    }

    /// FASTACK and DELJOB: how many of the jobs were known here.
    pub(super) fn delete_jobs(&mut self, ids: ArgList<'_>) -> Reply {
        self.count_jobs(ids, |engine, index| {
            engine.forget(index);
            true
        })
    }

    /// Marks a job as done; there is no way back. False if it was known to be done.
    fn acknowledge(&mut self, index: JobIndex) -> bool {
        if self.jobs[index].state == JobState::Acked {
            return false;
        }
        self.take_out_of_queue(index);
        self.set_state(index, JobState::Acked);
        self.jobs[index].confirmed = NodeSet::only(NodeIndex::MYSELF);
        true
    }

    /// Forgets an acknowledged job once every node that may hold a copy has confirmed. The sets are compared by
    /// their members: equal sizes prove nothing (W2 of reliability.md).
    fn collect(&mut self, index: JobIndex) {
        let job = &self.jobs[index];
        if job.confirmed.contains_all(job.delivered) {
            self.forget(index);
        }
    }

    pub(super) fn set_ack(
        &mut self,
        _sender: NodeIndex,
        _job: JobId,
        _nodes_known: u32,
        _digest: u32,
        _out: &mut Effects,
    ) {
    }

    pub(super) fn got_ack(&mut self, _sender: NodeIndex, _job: JobId, _known: bool, _out: &mut Effects) {}

    pub(super) fn del_job_message(&mut self, _job: JobId, _out: &mut Effects) {}

    pub(super) fn holders(&mut self, _job: JobId, _nodes: &[NodeId]) {}
}
