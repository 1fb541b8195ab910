//! Going through all jobs, piece by piece, after something has happened to a node: acknowledgements that it missed are
//! told again, a forgotten node is no longer waited for, and copies that were lost are made anew.
//!
//! A pass looks at every slot of the job table once. What happens during a pass is for the next one. The work of one
//! call is bounded, and so is the rate at which messages are sent.

use std::cmp::Ordering;
use std::collections::VecDeque;

use super::Engine;
use super::effect::Effects;
use super::job::{JobFlags, JobIndex};
use super::node_table::Standing;
use super::request::JobState;
use crate::bus::{Counts, Message, Notice, compare_for_job};
use crate::types::{JobId, Millis, NodeId, NodeIndex, NodeSet, UnixMillis};

/// How many slots of the job table one call looks at: some 50 µs.
const SLOTS: usize = 1024;
/// After how many jobs about which others were told a pass rests, and for how long: 20,000 jobs per second.
const BURST: usize = 200;
const REST: Millis = Millis(10);
/// How long after ADDJOB … ASYNC it is looked whether the copies exist (W25 of reliability.md).
const VERIFY_AFTER: Millis = Millis(3000);
/// How many jobs wait to be looked at so; more are left to the loss of a node.
const MOST_TO_VERIFY: usize = 1 << 20;
/// How many are looked at in one call.
const VERIFY_PER_ADVANCE: usize = 200;

/// How often it is looked whether jobs still refer to strangers.
const STRANGERS_PERIOD: Millis = Millis(60_000);
/// How many slots of the queue table one call looks at.
const QUEUE_SLOTS: usize = 256;

/// What happened to nodes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Events {
    /// They can be talked to again.
    back: NodeSet,
    /// They were forgotten.
    forgotten: NodeSet,
    /// Their copies are lost, or as good as lost.
    failed: NodeSet,
    /// They have lost records, and want to know of which jobs.
    lost: NodeSet,
}

impl Events {
    const NONE: Events = Events {
        back: NodeSet::EMPTY,
        forgotten: NodeSet::EMPTY,
        failed: NodeSet::EMPTY,
        lost: NodeSet::EMPTY,
    };

    /// The nodes about whose jobs something is to be done.
    fn nodes(self) -> NodeSet {
        self.back.union(self.forgotten).union(self.failed).union(self.lost)
    }
}

/// How far it has come.
#[derive(Debug, Default)]
pub(super) struct Sweep {
    /// What the pass under way is about.
    running: Option<Events>,
    /// Its place among the queues, which come first, and in the job table.
    queues_seen: usize,
    cursor: u64,
    /// The nodes that jobs of this pass refer to.
    referred: NodeSet,
    /// When it is looked next whether the rows of strangers are still needed, if there are any.
    strangers_at: Option<UnixMillis>,
    /// What the next pass is about.
    next: Events,
    /// When it goes on, if there is anything to do.
    go_on_at: Option<UnixMillis>,
    /// Jobs whose copies nobody has confirmed, in the order in which they are looked at.
    unverified: VecDeque<(UnixMillis, JobId)>,
}

/// How long it takes a node that sent MEET to find out who was met.
const HANDSHAKE: Millis = Millis(500);

impl Sweep {
    pub(super) fn next_deadline(&self) -> Option<UnixMillis> {
        let verify = self.unverified.front().map(|(at, _)| *at);
        [self.go_on_at, self.strangers_at, verify].into_iter().flatten().min()
    }

    /// A job will refer to a stranger: its row is needed, and perhaps not for ever.
    pub(super) fn refer_to_stranger(&mut self, node: NodeIndex, now: UnixMillis) {
        self.referred.insert(node);
        self.strangers_at.get_or_insert(now + STRANGERS_PERIOD);
    }

    /// There are no jobs any more.
    pub(super) fn clear_jobs(&mut self) {
        self.unverified = VecDeque::new();
    }
}

impl Engine {
    /// A member can be talked to again: what it may have missed is told again (W27 of reliability.md).
    pub(super) fn peer_is_back(&mut self, node: NodeIndex) {
        self.sweep.next.back.insert(node);
        self.begin_sweep();
    }

    /// A member introduces itself as strangers do: it had forgotten this node, with all that this node said meanwhile.
    pub(super) fn member_meets_again(&mut self, node: NodeIndex) {
        self.sweep.next.back.insert(node);
        // Before its handshake is over it would not listen.
        self.sweep.go_on_at.get_or_insert(self.now + HANDSHAKE);
    }

    /// A member was forgotten: it confirms nothing any more, and its copies do not count (W11).
    pub(super) fn peer_is_forgotten(&mut self, node: NodeIndex) {
        self.sweep.next.forgotten.insert(node);
        self.begin_sweep();
    }

    /// A member is failing: its copies do not count (W26).
    pub(super) fn peer_has_failed(&mut self, node: NodeIndex) {
        self.sweep.next.failed.insert(node);
        self.begin_sweep();
    }

    /// A member has lost records (W8): it is told of all jobs that it is taken to hold.
    pub(super) fn peer_has_lost(&mut self, node: NodeIndex) {
        self.sweep.next.lost.insert(node);
        self.begin_sweep();
    }

    fn begin_sweep(&mut self) {
        if self.sweep.go_on_at.is_none() {
            self.sweep.go_on_at = Some(self.now);
        }
    }

    /// Goes on with the pass under way, or begins the next.
    pub(super) fn go_on_sweeping(&mut self, out: &mut Effects) {
        self.verify_copies(out);
        if self.sweep.strangers_at.is_some_and(|at| at <= self.now) {
            self.sweep.strangers_at = None;
            self.begin_sweep();
        }
        if self.sweep.go_on_at.is_none_or(|at| at > self.now) {
            return;
        }
        let events = match self.sweep.running {
            Some(events) => events,
            None => self.begin_pass(),
        };
        let rest =
            if self.go_through_queues(events, out) { self.go_through_jobs(events, out) } else { Millis(0) };
        let busy = self.sweep.running.is_some() || self.sweep.next != Events::NONE;
        self.sweep.go_on_at = busy.then(|| self.now + rest);
    }

    fn begin_pass(&mut self) -> Events {
        let events = std::mem::take(&mut self.sweep.next);
        self.sweep.running = Some(events);
        (self.sweep.queues_seen, self.sweep.cursor, self.sweep.referred) = (0, 0, NodeSet::EMPTY);
        events
    }

    /// True when all queues were looked at.
    fn go_through_queues(&mut self, events: Events, out: &mut Effects) -> bool {
        if events.back.is_empty() {
            return true;
        }
        let end = (self.sweep.queues_seen + QUEUE_SLOTS).min(self.queues.slots());
        for slot in self.sweep.queues_seen..end {
            self.ask_the_returned(slot, events.back, out);
        }
        self.sweep.queues_seen = end;
        end >= self.queues.slots()
    }

    /// Looks at some jobs. How long to rest afterwards.
    fn go_through_jobs(&mut self, events: Events, out: &mut Effects) -> Millis {
        let (mut found, mut last) = (Vec::new(), false);
        let nodes = events.nodes();
        let mut referred = self.sweep.referred;
        let cursor = self.jobs.scan(self.sweep.cursor, SLOTS, |index, job| {
            referred = referred.union(job.delivered).union(job.confirmed);
            let concerns = !job.delivered.union(job.confirmed).intersection(nodes).is_empty();
            if concerns || job.is_dummy() && !nodes.is_empty() {
                found.push(index);
            }
            last = found.len() >= BURST;
            !last
        });
        self.sweep.referred = referred;
        for index in &found {
            self.attend_to(*index, events, out);
        }
        self.sweep.cursor = cursor;
        if cursor == 0 {
            self.end_pass(events);
        }
        if last { REST } else { Millis(0) }
    }

    /// All jobs were looked at: rows to which none refers are free.
    fn end_pass(&mut self, events: Events) {
        self.sweep.running = None;
        for node in events.forgotten.iter() {
            let gone = self.nodes.table.get(node).is_some_and(|row| row.standing == Standing::Forgotten);
            if gone && !self.sweep.next.nodes().contains(node) {
                self.release_row(node);
            }
        }
        let strangers = self.nodes.table.iter().filter(|(_, row)| row.standing == Standing::Stranger);
        let strangers: Vec<NodeIndex> = strangers.map(|(node, _)| node).collect();
        for node in strangers {
            if self.sweep.referred.contains(node) {
                self.sweep.strangers_at.get_or_insert(self.now + STRANGERS_PERIOD);
            } else {
                self.release_row(node);
            }
        }
    }

    /// Does for one job what the events ask for.
    fn attend_to(&mut self, index: JobIndex, events: Events, out: &mut Effects) {
        let job = &mut self.jobs[index];
        let (id, before) = (job.id, job.delivered);
        job.delivered = job.delivered.without(events.forgotten);
        job.confirmed = job.confirmed.without(events.forgotten);
        let back = job.delivered.intersection(events.back);
        let lost = job.delivered.intersection(events.lost);
        if job.state == JobState::Acked {
            job.confirmed = job.confirmed.without(events.lost);
            if job.delivered != before {
                // The forgotten node may be back before long, under whatever name, with its copy.
                self.tombstones.insert(id, self.now);
            }
            return self.collect(index, out);
        }
        if !lost.is_empty() && job.state != JobState::WaitReplication {
            self.remind(index, lost, out);
        }
        match self.jobs[index].state {
            JobState::WaitReplication | JobState::Acked => {}
            JobState::Active if !back.is_empty() => {
                self.make_myself_known(index, back, out);
                self.tell_where_it_is(index, back, out);
                self.repair(index, out);
            }
            JobState::Queued if !back.is_empty() => {
                self.make_myself_known(index, back, out);
                // Each side of a broken link may have queued it meanwhile: let the comparison decide now.
                self.tell_that_queued_to(back, index, Counts::NONE, out);
                self.repair(index, out);
            }
            JobState::Active | JobState::Queued => self.repair(index, out),
        }
    }

    /// Tells nodes that are back about a job that this one has given to a worker, or will be the first to queue: they may
    /// have queued it meanwhile, or know it no more.
    fn tell_where_it_is(&mut self, index: JobIndex, back: NodeSet, out: &mut Effects) {
        let job = &self.jobs[index];
        if job.is_leased(self.now) {
            return self.tell_all(back, job.id, Notice::Working, out);
        }
        let is_first = !job.flags.contains(JobFlags::ANNOUNCED) && !job.requeue_at.is_never();
        let capable = back.intersection(self.nodes.table.capable());
        if is_first && !capable.is_empty() {
            let (job, nodes) = (job.id, job.delivered.iter().map(|node| self.nodes.table.id(node)));
            let message = Message::Holders { job, nodes: nodes.collect::<Vec<NodeId>>().into() };
            self.send_all(capable, &message, out);
        }
    }

    /// If a job has fewer live copies than were asked for, one of the holders makes more (W25 and W26).
    fn repair(&mut self, index: JobIndex, out: &mut Effects) {
        let job = &self.jobs[index];
        if job.retry.is_zero() || !job.is_shared() && job.replicate <= 1 {
            return;
        }
        let live = job.confirmed.intersection(self.live_nodes());
        let missing = u32::from(job.replicate).saturating_sub(live.len());
        if missing > 0 && self.is_first_of(live, job.id) {
            self.copy_to_more(index, missing, out);
        }
    }

    /// This node and the members that are not failing.
    pub(super) fn live_nodes(&self) -> NodeSet {
        let table = &self.nodes.table;
        let alive = table.members().iter().filter(|node| !table[*node].fail);
        alive.fold(NodeSet::only(NodeIndex::MYSELF), |set, node| set.union(NodeSet::only(node)))
    }

    /// Whether this node wins the comparison among the holders: one of them is to act.
    pub(super) fn is_first_of(&self, holders: NodeSet, id: JobId) -> bool {
        let me = self.nodes.me();
        holders
            .iter()
            .filter(|node| *node != NodeIndex::MYSELF)
            .all(|node| compare_for_job(id, me, self.nodes.table.id(node)) == Ordering::Greater)
    }

    /// Looks later whether the copies of a job, whose producer did not wait for them, exist.
    pub(super) fn verify_copies_later(&mut self, index: JobIndex) {
        if self.sweep.unverified.len() < MOST_TO_VERIFY {
            self.sweep.unverified.push_back((self.now + VERIFY_AFTER, self.jobs[index].id));
        }
    }

    fn verify_copies(&mut self, out: &mut Effects) {
        for _ in 0..VERIFY_PER_ADVANCE {
            match self.sweep.unverified.front() {
                Some(&(at, id)) if at <= self.now => {
                    self.sweep.unverified.pop_front();
                    self.verify(id, out);
                }
                _ => return,
            }
        }
    }

    fn verify(&mut self, id: JobId, out: &mut Effects) {
        let Some(index) = self.jobs.find(&id) else { return };
        let job = &self.jobs[index];
        let missing = u32::from(job.replicate).saturating_sub(job.confirmed.len());
        if missing == 0 || job.state == JobState::Acked {
            return;
        }
        if job.is_leased(self.now) {
            // It will probably be acknowledged before copies are worth their bytes.
            return self.verify_copies_later(index);
        }
        self.copy_to_more(index, missing, out);
    }
}
