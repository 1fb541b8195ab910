//! Forgetting jobs everywhere: ACKJOB, FASTACK, DELJOB, and the collection of acknowledgements from all nodes that may
//! hold a copy (commands.md 8.1 to 8.3; job-lifecycle.md 10).
//!
//! An acknowledged job is kept, without its body, until every node that may hold a copy has confirmed the
//! acknowledgement; else a holder that was away would deliver the job again. Acknowledged is final.

use rand::Rng as _;

use super::Engine;
use super::effect::{Effects, Outgoing};
use super::job::{Job, JobIndex, NameId};
use super::persist::Hold;
use super::reply::{Refusal, Reply};
use super::request::JobState;
use crate::bus::{Message, Notice, holders_digest};
use crate::types::{ArgList, Body, Ctime, JobId, Millis, NodeId, NodeIndex, NodeSet, UnixMillis};

/// The first pause between two attempts to collect; it doubles (job-lifecycle.md 1).
const FIRST_PAUSE: Millis = Millis(1000);
/// The longest.
const LONGEST_PAUSE: Millis = Millis(180_000);
/// Widest addition to a pause, so that many jobs do not come at once.
const PAUSE_JITTER: u64 = 500;

impl Engine {
    /// ACKJOB: how many of the jobs were known here and not yet acknowledged.
    pub(super) fn ack_jobs(&mut self, ids: ArgList<'_>, out: &mut Effects) -> Reply {
        let mut count = 0;
        // Also of what was done before: that may not be safe yet.
        self.hold_replies(Hold::Policy);
        for text in ids.iter() {
            let Ok(id) = JobId::parse(text) else { continue };
            match self.jobs.find(&id) {
                Some(index) => count += i64::from(self.ack_known(index, out)),
                None => self.ack_unknown(id, out),
            }
        }
        Reply::Int(count)
    }

    /// Acknowledges a job that this node knows; true if that was news.
    fn ack_known(&mut self, index: JobIndex, out: &mut Effects) -> bool {
        let id = self.jobs[index].id;
        if self.jobs[index].state == JobState::WaitReplication {
            // Somebody has worked on it: it exists. Its producer is told first (defect 5 of job-lifecycle.md).
            self.replicated(index, out);
            if self.jobs.find(&id) != Some(index) {
                self.ack_unknown(id, out);
                return true;
            }
        }
        let news = self.acknowledge(index);
        self.collect(index, out);
        news
    }

    /// FASTACK: deletes jobs everywhere, as well as one message to each node can.
    pub(super) fn fast_ack_jobs(&mut self, ids: ArgList<'_>, out: &mut Effects) -> Reply {
        let mut count = 0;
        self.hold_replies(Hold::Policy);
        for text in ids.iter() {
            let Ok(id) = JobId::parse(text) else { continue };
            match self.jobs.find(&id) {
                Some(index) => {
                    count += 1;
                    self.end(index, out);
                }
                None => self.tell_all(self.nodes.table.members(), id, Notice::DelJob, out),
            }
        }
        Reply::Int(count)
    }

    /// DELJOB: deletes jobs from this node only.
    pub(super) fn delete_jobs(&mut self, ids: ArgList<'_>, out: &mut Effects) -> Reply {
        self.hold_replies(Hold::Policy);
        self.count_jobs(ids, |engine, index| {
            if engine.jobs[index].state == JobState::WaitReplication {
                engine.give_up(index, Refusal::GoneBeforeReplicated, out);
            } else {
                engine.forget(index);
            }
            true
        })
    }

    /// Ends a job in whatever state here and, without asking back, elsewhere.
    fn end(&mut self, index: JobIndex, out: &mut Effects) {
        if self.jobs[index].state == JobState::WaitReplication {
            self.give_up(index, Refusal::GoneBeforeReplicated, out);
        } else {
            self.delete_everywhere(index, out);
        }
    }

    /// Forgets a job here, and tells the nodes that may hold a copy to do so too.
    pub(super) fn delete_everywhere(&mut self, index: JobIndex, out: &mut Effects) {
        let job = &self.jobs[index];
        let (id, holders) = (job.id, job.delivered);
        if job.is_shared() || job.is_dummy() {
            self.tombstones.insert(id, self.now);
        }
        self.tell_all(holders, id, Notice::DelJob, out);
        self.forget(index);
    }

    /// Marks a job as done; there is no way back. False if it was known to be done. Its body is not needed any more.
    pub(super) fn acknowledge(&mut self, index: JobIndex) -> bool {
        if self.jobs[index].state == JobState::Acked {
            return false;
        }
        self.take_out_of_queue(index);
        self.set_state(index, JobState::Acked);
        let job = &mut self.jobs[index];
        job.confirmed = NodeSet::only(NodeIndex::MYSELF);
        job.flags.set_tries(0);
        job.requeue_at = UnixMillis::NEVER;
        if job.is_shared() {
            let before = job.heap_bytes();
            job.body = Body::copied(b"");
            let after = job.heap_bytes();
            self.memory.sub_job(before);
            self.memory.add_job(after);
            self.collect_later(index);
        }
        true
    }

    /// An acknowledged job's next attempt to collect, unless something happens before.
    fn collect_later(&mut self, index: JobIndex) {
        let jitter = self.chance.next_u64() % PAUSE_JITTER;
        let job = &mut self.jobs[index];
        let pause = (FIRST_PAUSE.0 << job.flags.tries()).min(LONGEST_PAUSE.0);
        job.requeue_at = self.now + Millis(pause + jitter);
        self.wake_in_time(index);
    }

    /// The time of an acknowledged job has come: another attempt.
    pub(super) fn look_at_acked(&mut self, index: JobIndex, out: &mut Effects) {
        let job = &mut self.jobs[index];
        if job.requeue_at <= self.now {
            let tries = job.flags.tries();
            job.flags.set_tries(tries + 1);
            self.collect(index, out);
        }
    }

    /// Forgets an acknowledged job once every node that may hold a copy has confirmed, else asks those that have not.
    /// The sets are compared by their members: equal sizes prove nothing (W2 of reliability.md).
    pub(super) fn collect(&mut self, index: JobIndex, out: &mut Effects) {
        if self.is_collected(index) {
            return self.delete_everywhere(index, out);
        }
        let job = &self.jobs[index];
        let asked = if job.is_dummy() { self.nodes.table.members() } else { job.delivered };
        self.ask_for_ack(index, asked.without(job.confirmed), out);
        self.collect_later(index);
    }

    /// Tells some nodes that the job is acknowledged, and wants to hear that they know.
    pub(super) fn ask_for_ack(&mut self, index: JobIndex, nodes: NodeSet, out: &mut Effects) {
        let job = &self.jobs[index];
        let (id, delivered) = (job.id, job.delivered);
        let notice = Notice::SetAck { nodes_known: delivered.len(), digest: self.digest_of(delivered) };
        self.tell_all(nodes, id, notice, out);
    }

    fn is_collected(&self, index: JobIndex) -> bool {
        let job = &self.jobs[index];
        // A job that nobody knows is not looked for any more when everybody has said so (W12): the dead may know.
        let expected = if job.is_dummy() { self.nodes.table.members() } else { job.delivered };
        job.confirmed.contains_all(expected)
    }

    /// The digest of a set of holders; 0 for none, which stands for "does not know the job".
    fn digest_of(&self, nodes: NodeSet) -> u32 {
        if nodes.is_empty() { 0 } else { holders_digest(nodes.iter().map(|node| self.nodes.table.id(node))) }
    }

    /// ACKJOB of a job that this node does not know: others may know it, now or when they are back.
    fn ack_unknown(&mut self, id: JobId, out: &mut Effects) {
        if self.nodes.is_alone() || self.tombstones.contains(&id, self.now) {
            return;
        }
        if !id.is_at_least_once() {
            // Nobody will deliver it again, so nothing must be remembered; its holder may forget it sooner.
            return self.tell_all(self.nodes.table.members(), id, Notice::DelJob, out);
        }
        if self.nodes.is_leaving() {
            return self.tell_all(
                self.nodes.table.members(),
                id,
                Notice::SetAck { nodes_known: 0, digest: 0 },
                out,
            );
        }
        // The ID tells the time to live in whole minutes, rounded down.
        let life = Millis::from_secs((u64::from(id.ttl_minutes()) + 1) * 60);
        let job = Job {
            state: JobState::Acked,
            expires_at: self.now + life,
            confirmed: NodeSet::only(NodeIndex::MYSELF),
            ..Job::new(id, Ctime::at(self.now), NameId::NONE, Body::copied(b""))
        };
        let index = self.jobs.insert(job);
        self.account_for(index);
        self.collect(index, out);
    }

    /// SETACK: another node knows that the job is acknowledged, and wants to know who else does.
    pub(super) fn set_ack(
        &mut self,
        sender: NodeIndex,
        id: JobId,
        nodes_known: u32,
        digest: u32,
        out: &mut Effects,
    ) {
        self.hold_replies(Hold::Policy);
        let Some(index) = self.jobs.find(&id) else {
            // A copy of it may still be on its way here.
            self.tombstones.insert(id, self.now);
            return self.tell(sender, id, Notice::GotAck { known: false }, out);
        };
        if self.jobs[index].state == JobState::WaitReplication {
            // Somebody has worked on it: it exists. Its producer is told first.
            self.replicated(index, out);
            if self.jobs.find(&id) != Some(index) {
                return self.tell(sender, id, Notice::GotAck { known: true }, out);
            }
        }
        if nodes_known > 0 && self.jobs[index].is_dummy() {
            // The sender knows the job, and the holders: it collects, and nothing need be remembered here.
            self.tombstones.insert(id, self.now);
            self.forget(index);
            return self.tell(sender, id, Notice::GotAck { known: false }, out);
        }
        let news = self.acknowledge(index);
        if nodes_known > 0 && !self.jobs[index].is_dummy() {
            self.jobs[index].delivered.insert(sender);
        }
        self.answer_set_ack(sender, index, nodes_known, digest, out);
        if news && self.jobs.find(&id) == Some(index) {
            self.collect_later(index);
        }
    }

    /// The one who knows of most possible holders collects (job-lifecycle.md 10.3). Peers that tell a digest are told
    /// the holders they lack instead, since lists of equal length may differ.
    fn answer_set_ack(
        &mut self,
        sender: NodeIndex,
        index: JobIndex,
        nodes_known: u32,
        digest: u32,
        out: &mut Effects,
    ) {
        let job = &self.jobs[index];
        let (id, holders, is_dummy) = (job.id, job.delivered, job.is_dummy());
        if is_dummy || nodes_known == 0 {
            // A dummy of ours proves nothing: it must not make the sender stop looking (defect 11). But one who knows
            // only that the job is acknowledged may leave the rest to this node.
            self.tell(sender, id, Notice::GotAck { known: !is_dummy }, out);
            if !is_dummy {
                self.jobs[index].confirmed.insert(sender);
                self.collect(index, out);
            }
            return;
        }
        // What it understands may not be known yet on the link to it; then lengths must do.
        if digest != 0 && self.nodes.table.capable().contains(sender) {
            if digest != self.digest_of(holders) {
                let nodes: Vec<NodeId> = holders.iter().map(|node| self.nodes.table.id(node)).collect();
                self.send(
                    sender,
                    Outgoing::Other(Box::new(Message::Holders { job: id, nodes: nodes.into() })),
                    out,
                );
            }
            return self.tell(sender, id, Notice::GotAck { known: true }, out);
        }
        if holders.len() <= nodes_known {
            self.tell(sender, id, Notice::GotAck { known: true }, out);
        } else {
            self.collect(index, out);
        }
    }

    /// GOTACK: another node knows that the job is acknowledged, or does not know the job.
    pub(super) fn got_ack(&mut self, sender: NodeIndex, id: JobId, known: bool, out: &mut Effects) {
        let Some(index) = self.jobs.find(&id) else { return };
        let job = &mut self.jobs[index];
        if job.state != JobState::Acked {
            return;
        }
        if job.is_dummy() && known {
            self.tombstones.insert(id, self.now);
            return self.forget(index);
        }
        if known && !job.is_dummy() {
            job.delivered.insert(sender);
        }
        job.confirmed.insert(sender);
        if self.is_collected(index) {
            self.delete_everywhere(index, out);
        }
    }

    /// DELJOB: the job is to be forgotten, whatever its state.
    pub(super) fn del_job_message(&mut self, id: JobId, out: &mut Effects) {
        self.tombstones.insert(id, self.now);
        let Some(index) = self.jobs.find(&id) else { return };
        if self.jobs[index].state == JobState::WaitReplication {
            self.give_up(index, Refusal::GoneBeforeReplicated, out);
        } else {
            self.forget(index);
        }
    }

    /// HOLDERS: these nodes may hold the job too. No nodes: the sender does not know the job.
    pub(super) fn holders(&mut self, sender: NodeIndex, id: JobId, nodes: &[NodeId], out: &mut Effects) {
        match self.jobs.find(&id) {
            Some(index) if nodes.is_empty() => self.is_no_holder(sender, index, out),
            Some(index) => self.learn_holders(index, nodes, out),
            None if nodes.is_empty() => {}
            None => self.disown(sender, id, out),
        }
    }

    /// A node, which takes this one for a holder, says where a job is that is not known here: it is over, or this node
    /// has lost its copy, and a new one may have to be made (W26 of reliability.md).
    pub(super) fn disown(&mut self, sender: NodeIndex, id: JobId, out: &mut Effects) {
        if self.tombstones.contains(&id, self.now) {
            self.answer_for_the_gone(sender, id, out);
        } else if self.nodes.table.capable().contains(sender) {
            let message = Message::Holders { job: id, nodes: Vec::new().into() };
            self.send(sender, Outgoing::Other(Box::new(message)), out);
        }
    }

    /// Tells one node, which does not seem to know, that the job is acknowledged.
    pub(super) fn tell_of_ack(&mut self, node: NodeIndex, index: JobIndex, out: &mut Effects) {
        let job = &mut self.jobs[index];
        if !job.is_dummy() {
            job.delivered.insert(node);
        }
        self.ask_for_ack(index, NodeSet::only(node), out);
    }

    /// A node talks about a job that is unknown here; if it was forgotten a moment ago, it is over.
    pub(super) fn answer_for_the_gone(&mut self, sender: NodeIndex, id: JobId, out: &mut Effects) {
        if self.tombstones.contains(&id, self.now) {
            self.tell(sender, id, Notice::SetAck { nodes_known: 0, digest: 0 }, out);
        }
    }
}
