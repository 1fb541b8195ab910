//! Copies on other nodes: REPLJOB and GOTJOB until there are as many as were asked for, further nodes when some stay
//! silent, and giving up (job-lifecycle.md 5 to 7).
//!
//! While a client waits for the copies of its job, the job is in state `WaitReplication`, and its requeue time is
//! when more is done about it: there is one clock per job.

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use rand::Rng as _;

use super::effect::{Effects, Outgoing};
use super::input::ClientId;
use super::job::{Job, JobFlags, JobIndex, NameId};
use super::memory::MemoryLevel;
use super::persist::{Hold, Touch};
use super::reply::{Refusal, Reply};
use super::request::{JobState, Replication};
use super::{Engine, requeue};
use crate::bus::{Features, Notice};
use crate::types::{JobId, JobImage, Millis, NodeId, NodeIndex, NodeSet, Span32, UnixMillis};

/// How long after the last try more nodes are asked, or the silent ones again (job-lifecycle.md 1).
const NEXT_TRY: Millis = Millis(50);
/// Longest time between two tries when there are no more nodes to ask. What a node that is up has not confirmed by
/// then it has refused, and its reason takes time to pass.
const SLOWEST_TRY: Millis = Millis(800);

/// What a node must be able to do to be asked for a copy on its disk.
const DISKS: Features = Features::BATCH.and(Features::DISK);

/// How long a node that keeps no copies tries to place a job whose producer does not wait.
const PLACING: Millis = Millis(1000);

/// A job that lives no longer than this is not copied again.
const WORTH_COPYING: Millis = Millis(1000);

/// A job that waits for its copies, mostly with a client that waits for them too.
#[derive(Clone, Copy, Debug)]
struct Waiting {
    /// `None` after ADDJOB … ASYNC at a node that keeps no copies.
    client: Option<ClientId>,
    deadline: UnixMillis,
}

/// All jobs that wait for copies, and their clients.
#[derive(Debug)]
pub(super) struct Pending {
    by_job: HashMap<JobIndex, Waiting, FixedState>,
    by_client: HashMap<ClientId, JobIndex, FixedState>,
}

impl Pending {
    pub(super) fn new(seed: u64) -> Pending {
        let hasher = FixedState::with_seed(seed);
        Pending { by_job: HashMap::with_hasher(hasher.clone()), by_client: HashMap::with_hasher(hasher) }
    }

    /// How many clients wait.
    pub(super) fn len(&self) -> usize {
        self.by_client.len()
    }

    pub(super) fn contains(&self, client: ClientId) -> bool {
        self.by_client.contains_key(&client)
    }

    pub(super) fn job_of(&self, client: ClientId) -> Option<JobIndex> {
        self.by_client.get(&client).copied()
    }

    /// Whether the job waits for copies.
    pub(super) fn is_waited_for(&self, job: JobIndex) -> bool {
        self.by_job.contains_key(&job)
    }

    fn insert(&mut self, job: JobIndex, waiting: Waiting) {
        if let Some(client) = waiting.client {
            self.by_client.insert(client, job);
        }
        self.by_job.insert(job, waiting);
    }

    fn remove(&mut self, job: JobIndex) -> Option<ClientId> {
        let client = self.by_job.remove(&job)?.client?;
        self.by_client.remove(&client);
        Some(client)
    }

    /// Forgets all of them, and says who they were, in the order of their jobs' slots.
    pub(super) fn drain(&mut self) -> Vec<ClientId> {
        let mut jobs: Vec<JobIndex> = self.by_client.drain().map(|(_, job)| job).collect();
        jobs.sort_unstable();
        let clients = jobs.iter().filter_map(|job| self.by_job.remove(job)?.client).collect();
        self.by_job.clear();
        clients
    }
}

/// What a node that is asked to keep a copy is to tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Confirm {
    /// Nothing.
    No,
    /// That it keeps it.
    Kept,
    /// That it has it on its disk.
    OnDisk,
}

/// Who gets a copy when not everybody confirms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Resend {
    /// Only those who are new, and, when somebody is new, all who should know it.
    No,
    /// Also those who have not confirmed.
    Unconfirmed,
    /// As before, but nobody is new who speaks only RC1's dialect.
    ToCapable,
}

impl Engine {
    /// The client waits until the job, which is new in the table, has its copies.
    pub(super) fn wait_for_copies(
        &mut self,
        index: JobIndex,
        client: ClientId,
        timeout: Millis,
        replication: Replication,
        out: &mut Effects,
    ) {
        let deadline = if timeout == Millis(0) { UnixMillis::NEVER } else { self.now + timeout };
        if replication == Replication::OnDisk {
            self.jobs[index].flags.insert(JobFlags::ON_DISK);
        }
        self.begin_copying(index, Waiting { client: Some(client), deadline }, out);
    }

    /// Finds other nodes for a job that was added without waiting to a node that keeps no copies. The job stays here
    /// until they have confirmed, and for good if nobody takes it: its producer has the ID already.
    pub(super) fn place_elsewhere(&mut self, index: JobIndex, out: &mut Effects) {
        self.set_state(index, JobState::WaitReplication);
        self.begin_copying(index, Waiting { client: None, deadline: self.now + PLACING }, out);
    }

    fn begin_copying(&mut self, index: JobIndex, waiting: Waiting, out: &mut Effects) {
        self.pending.insert(index, waiting);
        let wanted = u32::from(self.jobs[index].replicate) - self.jobs[index].delivered.len();
        self.send_copies(index, wanted, Resend::No, out);
        self.plan_next_try(index, waiting.deadline);
    }

    /// Copies for a job whose producer does not wait.
    pub(super) fn copy_in_background(&mut self, index: JobIndex, out: &mut Effects) {
        let wanted = u32::from(self.jobs[index].replicate).saturating_sub(self.jobs[index].delivered.len());
        self.send_copies(index, wanted, Resend::No, out);
        self.verify_copies_later(index);
    }

    /// Copies that are missing, of a job that exists.
    ///
    /// Acknowledgements of RC1 compare how many holders there are and not who they are. New holders must therefore make
    /// themselves known to those that speak only its dialect, which one that speaks only that itself does not do.
    pub(super) fn copy_to_more(&mut self, index: JobIndex, missing: u32, out: &mut Effects) {
        let all_capable = self.old_holders(index).is_empty();
        self.send_copies(
            index,
            missing,
            if all_capable { Resend::Unconfirmed } else { Resend::ToCapable },
            out,
        );
    }

    /// Other holders that speak only RC1's dialect, as far as is known.
    fn old_holders(&self, index: JobIndex) -> NodeSet {
        let capable = self.nodes.table.capable().union(NodeSet::only(NodeIndex::MYSELF));
        self.jobs[index].delivered.without(capable)
    }

    /// Tells holders among these nodes that speak only RC1's dialect that this one is a holder: WILLQUEUE does so.
    pub(super) fn make_myself_known(&mut self, index: JobIndex, to: NodeSet, out: &mut Effects) {
        let (id, at_most_once) = (self.jobs[index].id, self.jobs[index].retry.is_zero());
        if !at_most_once {
            self.tell_all(self.old_holders(index).intersection(to), id, Notice::WillQueue, out);
        }
    }

    /// Asks so many more nodes to keep a copy, as far as there are any, and tells all holders about them. True if
    /// there were any.
    fn send_copies(&mut self, index: JobIndex, wanted: u32, resend: Resend, out: &mut Effects) -> bool {
        let replication = self.replication_of(index);
        let candidates = self.candidates(replication);
        let candidates = match resend {
            Resend::ToCapable => candidates.intersection(self.nodes.table.capable()),
            Resend::Unconfirmed | Resend::No => candidates,
        };
        let chosen = self.choose(candidates.without(self.jobs[index].delivered), wanted);
        if !chosen.is_empty() {
            self.touch(index, Touch::Holders);
        }
        let job = &mut self.jobs[index];
        job.delivered = job.delivered.union(chosen);
        let silent = job.delivered.without(job.confirmed);
        let receivers = match (chosen.is_empty(), resend) {
            (false, _) => job.delivered,
            (true, Resend::Unconfirmed | Resend::ToCapable) => silent,
            (true, Resend::No) => return false,
        };
        // A job that waits for its first copies has nothing to lose yet.
        let late_holder =
            !chosen.is_empty() && resend != Resend::No && job.state != JobState::WaitReplication;
        let (confirmed, delay) = (job.confirmed, self.delay_for_copies(index));
        if late_holder {
            self.hold_replies(Hold::Policy);
        }
        let receivers = receivers.intersection(self.nodes.table.linked());
        if !receivers.is_empty() {
            let image = self.image_of(index, delay, out);
            for node in receivers.iter() {
                let no_reply = confirmed.contains(node);
                let message = match replication {
                    Replication::OnDisk if !no_reply && candidates.contains(node) => {
                        Outgoing::SyncJob { image }
                    }
                    // It has turned its file off meanwhile: its confirmation would prove nothing.
                    Replication::OnDisk if !no_reply => continue,
                    _ => Outgoing::ReplJob { image, no_reply, late_holder },
                };
                self.send(node, message, out);
            }
        }
        !chosen.is_empty()
    }

    /// How the copies of a job are to be made. Whether its producer waits for them is another question.
    fn replication_of(&self, index: JobIndex) -> Replication {
        if self.jobs[index].flags.contains(JobFlags::ON_DISK) {
            Replication::OnDisk
        } else {
            Replication::Sync
        }
    }

    /// The other nodes that can be asked for a copy.
    pub(super) fn candidates(&self, replication: Replication) -> NodeSet {
        let reachable = self.nodes.table.reachable();
        match replication {
            Replication::OnDisk => reachable.intersection(self.nodes.table.those_with(DISKS)),
            Replication::Sync | Replication::Async => reachable,
        }
    }

    /// So many of the nodes, by chance.
    fn choose(&mut self, mut nodes: NodeSet, wanted: u32) -> NodeSet {
        while nodes.len() > wanted {
            let nth = self.chance.next_u64() % u64::from(nodes.len());
            let out = nodes.iter().nth(nth as usize).expect("it is below their number");
            nodes.remove(out);
        }
        nodes
    }

    /// What the holder of a new copy is told as DELAY: RC1's safety net is delay and retry after reception, so for a
    /// job that was queued already it is nothing, and else what is left.
    fn delay_for_copies(&self, index: JobIndex) -> Span32 {
        let job = &self.jobs[index];
        if job.state == JobState::WaitReplication {
            return job.delay;
        }
        if job.state != JobState::Active {
            return Span32::ZERO;
        }
        // Who is not the first to queue it waits for its delay and a retry period.
        let beyond = if job.flags.contains(JobFlags::ANNOUNCED) { job.patience() } else { Millis(0) };
        Span32::new(Millis(job.requeue_at.since(self.now).0.saturating_sub(beyond.0)))
    }

    fn plan_next_try(&mut self, index: JobIndex, deadline: UnixMillis) {
        let candidates = self.candidates(self.replication_of(index));
        let job = &mut self.jobs[index];
        let tries = job.flags.tries();
        job.flags.set_tries(tries + 1);
        let candidates = candidates.without(job.delivered);
        let pause =
            if candidates.is_empty() { Millis((NEXT_TRY.0 << tries).min(SLOWEST_TRY.0)) } else { NEXT_TRY };
        job.requeue_at = (self.now + pause).min(deadline);
        self.wake_in_time(index);
    }

    /// The time of a job whose client waits has come: more nodes, or the end.
    pub(super) fn go_on_copying(&mut self, index: JobIndex, out: &mut Effects) {
        if self.jobs[index].requeue_at > self.now {
            return;
        }
        let Waiting { client, deadline } = self.pending.by_job[&index];
        if deadline <= self.now {
            return match client {
                Some(_) => self.give_up(index, Refusal::NotReplicated, out),
                None => self.replicated(index, out),
            };
        }
        self.send_copies(index, 1, Resend::Unconfirmed, out);
        self.plan_next_try(index, deadline);
    }

    /// The job will not come into being: its client is told, and those who may have a copy.
    pub(super) fn give_up(&mut self, index: JobIndex, why: Refusal, out: &mut Effects) {
        if let Some(client) = self.pending.remove(index) {
            out.reply(client, Reply::Refused(why));
        }
        self.delete_everywhere(index, out);
    }

    /// The client that waits for copies has gone: nobody learns the job's ID.
    pub(super) fn abandon(&mut self, index: JobIndex, out: &mut Effects) {
        self.pending.remove(index);
        self.delete_everywhere(index, out);
    }

    /// GOTJOB: a node keeps a copy.
    pub(super) fn got_job(&mut self, sender: NodeIndex, id: JobId, out: &mut Effects) {
        let Some(index) = self.jobs.find(&id) else { return self.answer_for_the_gone(sender, id, out) };
        let job = &mut self.jobs[index];
        if job.state == JobState::Acked {
            return self.tell_of_ack(sender, index, out);
        }
        job.delivered.insert(sender);
        let on_disk = job.flags.contains(JobFlags::ON_DISK);
        if on_disk && !self.nodes.table.those_with(DISKS).contains(sender) {
            return;
        }
        let job = &mut self.jobs[index];
        job.confirmed.insert(sender);
        if job.state == JobState::WaitReplication && job.confirmed.len() >= u32::from(job.replicate) {
            self.replicated(index, out);
        }
    }

    /// There are as many copies as were asked for: the job exists from now on. It may be gone afterwards, if this
    /// node keeps none.
    pub(super) fn replicated(&mut self, index: JobIndex, out: &mut Effects) {
        if self.replication_of(index) == Replication::OnDisk {
            if !self.has_file() {
                return self.give_up(index, Refusal::NoFile, out);
            }
            self.hold_replies(Hold::Disk);
        }
        let client = self.pending.remove(index);
        let id = self.jobs[index].id;
        let keeps = self.jobs[index].delivered.contains(NodeIndex::MYSELF);
        if !keeps && self.set_free_elsewhere(index, out) {
            self.forget(index);
        } else {
            // If nobody can be told to queue it, it is better here than nowhere.
            self.set_state(index, JobState::Active);
            let job = &mut self.jobs[index];
            job.delivered.insert(NodeIndex::MYSELF);
            job.confirmed.insert(NodeIndex::MYSELF);
            job.flags.set_tries(0);
            job.flags.remove(JobFlags::ON_DISK);
            self.start(index, out);
        }
        if let Some(client) = client {
            out.reply(client, Reply::JobId(id));
        }
    }

    /// Queues a job that is new here, now or when its delay is over.
    pub(super) fn start(&mut self, index: JobIndex, out: &mut Effects) {
        let job = &mut self.jobs[index];
        if job.delay.is_zero() {
            self.enqueue(index, requeue::Cause::First, out);
        } else {
            // It counts from the command, however long the copies took: the time to live does so too.
            job.requeue_at = job.end_of_delay(self.now).max(self.now);
            self.wake_in_time(index);
        }
    }

    /// Lets one of those who confirmed queue a job of which this node keeps no copy (job-lifecycle.md 7). False if none
    /// of them can be told.
    fn set_free_elsewhere(&mut self, index: JobIndex, out: &mut Effects) -> bool {
        let linked = self.jobs[index].confirmed.intersection(self.nodes.table.linked());
        let capable = linked.intersection(self.nodes.table.capable());
        let from = if capable.is_empty() { linked } else { capable };
        let Some(node) = self.choose(from, 1).iter().next() else { return false };
        let job = &self.jobs[index];
        let (id, delay) = (job.id, job.delay);
        if job.retry.is_zero() && capable.is_empty() {
            // RC1 refuses to queue a copy of an at-most-once job, but queues one that it imports (W4), and that at once.
            if !delay.is_zero() {
                return false;
            }
            let mark = out.images_mark();
            self.image_of(index, Span32::ZERO, out);
            let images = out.images_since(mark);
            self.send(node, Outgoing::YourJobs { images }, out);
        } else {
            self.tell(node, id, Notice::Enqueue { delay }, out);
        }
        true
    }

    /// REPLJOB and SYNCJOB: another node wants a copy to be kept here.
    pub(super) fn repl_job(
        &mut self,
        sender: NodeIndex,
        image: JobImage<'_>,
        confirm: Confirm,
        out: &mut Effects,
    ) {
        // Silence makes the other node ask somebody else.
        if self.disk_fails
            || (confirm == Confirm::OnDisk && !self.has_file())
            || self.memory_level() >= MemoryLevel::High
            || self.nodes.is_leaving()
            || image.expires_at <= self.now
        {
            return;
        }
        let name = self.queues.find(&image.queue);
        if name.and_then(|name| self.queues.queue(name)).is_some_and(|queue| queue.pause.input) {
            return;
        }
        let id = image.id;
        match self.jobs.find(&id) {
            Some(index) => self.learn_holders(index, &image.nodes, out),
            None if self.tombstones.contains(&id, self.now) => {
                return self.answer_for_the_gone(sender, id, out);
            }
            None => {
                let index = self.keep_copy(image, name);
                if !id.is_from(&self.nodes.table.id(sender)) {
                    // The creator tells all holders whom it chose; one that makes copies later may not reach all.
                    let others = self.jobs[index].delivered.without(NodeSet::only(sender));
                    self.make_myself_known(index, others, out);
                }
            }
        }
        // A copy that was here before may not be safe yet.
        self.hold_replies(if confirm == Confirm::OnDisk { Hold::Disk } else { Hold::Policy });
        if confirm != Confirm::No {
            self.tell(sender, id, Notice::GotJob, out);
        }
        if let Some(index) = self.jobs.find(&id)
            && self.jobs[index].state == JobState::Acked
        {
            self.tell_of_ack(sender, index, out);
        }
    }

    /// A node that was taken for a holder is none. This one, which has the job in its queue or with a worker, makes up
    /// for the copy. An at-most-once job has none.
    pub(super) fn is_no_holder(&mut self, node: NodeIndex, index: JobIndex, out: &mut Effects) {
        let job = &mut self.jobs[index];
        if !matches!(job.state, JobState::Active | JobState::Queued) {
            return;
        }
        // Its copy may be on the way: whoever has the job with a worker must go on telling it.
        if !job.confirmed.contains(node) {
            return;
        }
        job.confirmed.remove(node);
        let missing = u32::from(job.replicate).saturating_sub(job.confirmed.len());
        if missing > 0 && !job.retry.is_zero() && job.expires_at.since(self.now) > WORTH_COPYING {
            self.copy_to_more(index, missing, out);
        }
    }

    fn keep_copy(&mut self, image: JobImage<'_>, name: Option<NameId>) -> JobIndex {
        let (delay, jitter) = (image.delay, self.jitter());
        let index = self.register(image, name);
        let job = &mut self.jobs[index];
        job.flags.insert(JobFlags::ANNOUNCED);
        if job.retry.is_zero() {
            job.flags.insert(JobFlags::PARKED);
        } else {
            job.flags.insert(JobFlags::WARNS);
            job.requeue_at = self.now + delay.millis() + job.patience() + jitter;
        }
        self.wake_in_time(index);
        index
    }

    /// Takes a job that came from elsewhere into the table, active and without a time, not even for its end: the
    /// caller sees to it that it is looked at. This node is one of its holders, and believes that the others named have
    /// their copies. `name` is that of its queue if it was found.
    pub(super) fn register(&mut self, image: JobImage<'_>, name: Option<NameId>) -> JobIndex {
        let holders = self.rows_of(&image.nodes).union(NodeSet::only(NodeIndex::MYSELF));
        let name = name.unwrap_or_else(|| self.queues.intern(&image.queue));
        let mut flags = JobFlags::from_wire(image.flags);
        flags.remove(JobFlags::DELIVERED);
        let job = Job {
            expires_at: image.expires_at,
            delivered: holders,
            confirmed: holders,
            delay: image.delay,
            retry: image.retry,
            replicate: u8::try_from(image.replicate).unwrap_or(u8::MAX),
            nacks: image.nacks,
            additional_deliveries: image.additional_deliveries,
            flags,
            ..Job::new(image.id, image.ctime, name, image.body.into_body())
        };
        let index = self.jobs.insert(job);
        self.account_for(index);
        index
    }

    /// The rows of these nodes; those for whom there is none are left out.
    pub(super) fn rows_of(&mut self, nodes: &[NodeId]) -> NodeSet {
        let mut rows = NodeSet::EMPTY;
        for id in nodes {
            if let Some(node) = self.holder_row(*id) {
                rows.insert(node);
            }
        }
        rows
    }

    /// A job that is known here may be held by these nodes too.
    pub(super) fn learn_holders(&mut self, index: JobIndex, nodes: &[NodeId], out: &mut Effects) {
        let rows = self.rows_of(nodes);
        let job = &mut self.jobs[index];
        let news = rows.without(job.delivered);
        if news.is_empty() {
            return;
        }
        let was_dummy = job.is_dummy();
        job.delivered = job.delivered.union(rows);
        self.touch(index, Touch::Holders);
        let job = &mut self.jobs[index];
        match job.state {
            JobState::WaitReplication => {}
            // They have not confirmed the acknowledgement.
            JobState::Acked => {
                if was_dummy {
                    job.delivered.insert(NodeIndex::MYSELF);
                }
                self.ask_for_ack(index, news, out);
            }
            JobState::Active | JobState::Queued => job.confirmed = job.confirmed.union(news),
        }
    }
}
