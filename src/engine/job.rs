//! The record that a node keeps of a job.
//!
//! This file knows what is in a record and what it costs. It does not know where records live
//! (`job_table`), when they are looked at again (`awake_wheel`), nor in which order they wait (`queue`);
//! each of those keeps one field here: its own `Links`, `awake_at` and `ticket`.

use super::request::JobState;
use crate::types::{Body, Ctime, JobId, Millis, NodeIndex, NodeSet, Span32, UnixMillis};

/// A job's slot in the job table; never leaves the process. Stays the same for the job's whole life.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, PartialOrd, Ord)]
pub(crate) struct JobIndex(pub(crate) u32);

/// The shortest time that a holder waits which is not the one to act. RC1 knows no shorter RETRY, and a safety net that is
/// drawn before an answer can come delivers a waiting job again and again.
pub(super) const SHORTEST_PATIENCE: Millis = Millis(1000);

/// A queue name that the engine keeps once and counts the users of.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct NameId(pub(crate) u32);

impl NameId {
    /// For records without a queue: acknowledgements of jobs that this node does not know.
    pub(crate) const NONE: NameId = NameId(u32::MAX);
}

/// What this node knows of one job.
///
/// The fields are laid out as written: first what index, queue and wheel look at, so that they find it in
/// neighbouring cache lines. With a million jobs, the time of most operations is the time to fetch those.
#[derive(Clone, Debug)]
#[repr(C)]
pub(crate) struct Job {
    /// The identity; the key of the job table.
    pub(crate) id: JobId,
    /// When it was created, and the first half of its place in the queue's order.
    pub(crate) ctime: Ctime,
    /// When the job must next be looked at: its place in the wheel, which alone writes it. NEVER: not in it.
    pub(crate) awake_at: UnixMillis,
    /// Neighbours in the wheel's slot. Only the wheel looks at them.
    pub(super) links: Links,
    /// Place in the queue's lanes, which alone write it; [`Job::NO_TICKET`] when in none.
    pub(crate) ticket: u32,
    /// Where it is in its life.
    pub(crate) state: JobState,
    /// Copies asked for; a cluster has fewer nodes than this can count.
    pub(crate) replicate: u8,
    /// What this node has told, and will tell, the others about it.
    pub(crate) flags: JobFlags,
    /// When it goes (back) to its queue unless it is acknowledged first; NEVER: not by itself.
    pub(crate) requeue_at: UnixMillis,
    /// When it is forgotten, acknowledged or not.
    pub(crate) expires_at: UnixMillis,
    /// Nodes that may hold a copy.
    pub(crate) delivered: NodeSet,
    /// Nodes that confirmed their copy; once the job is acked, nodes that confirmed the acknowledgement.
    pub(crate) confirmed: NodeSet,
    /// The bytes that the producer gave.
    pub(crate) body: Body,
    /// Time before the first queueing, as given.
    pub(crate) delay: Span32,
    /// Time between queueings; zero: at most once.
    pub(crate) retry: Span32,
    /// The queue it belongs to.
    pub(crate) queue: NameId,
    /// How often a worker gave it back.
    pub(crate) nacks: u16,
    /// How often it was queued again without a NACK, as far as this node knows.
    pub(crate) additional_deliveries: u16,
}

// A million jobs are 120 MB of records. Whoever adds a field: will a side table do? Then fix the table in
// ARCHITECTURE.md, "Memory".
const _: () = assert!(size_of::<Job>() == 120);
const _: () = assert!(size_of::<Option<Job>>() == 120);

impl Job {
    /// The ticket of a job that waits in no queue.
    pub(crate) const NO_TICKET: u32 = 0;

    /// An active record that nobody else holds, that waits for nothing, never expires, and is in no queue.
    pub(crate) fn new(id: JobId, ctime: Ctime, queue: NameId, body: Body) -> Job {
        Job {
            id,
            ctime,
            awake_at: UnixMillis::NEVER,
            requeue_at: UnixMillis::NEVER,
            expires_at: UnixMillis::NEVER,
            delivered: NodeSet::EMPTY,
            confirmed: NodeSet::EMPTY,
            body,
            delay: Span32::ZERO,
            retry: Span32::ZERO,
            queue,
            links: Links::NONE,
            ticket: Job::NO_TICKET,
            replicate: 1,
            nacks: 0,
            additional_deliveries: 0,
            state: JobState::Active,
            flags: JobFlags::NONE,
        }
    }

    /// When a delay that counts from the creation is over. Creation times never go back, so they are ahead of a clock
    /// that was set back while the process was down: then it counts from `now`.
    pub(crate) fn end_of_delay(&self, now: UnixMillis) -> UnixMillis {
        self.ctime.millis().min(now) + self.delay.millis()
    }

    /// The sort key of queues.
    pub(crate) fn order(&self) -> (Ctime, JobId) {
        (self.ctime, self.id)
    }

    /// Whether another node may hold a copy.
    pub(crate) fn is_shared(&self) -> bool {
        !self.delivered.without(NodeSet::only(NodeIndex::MYSELF)).is_empty()
    }

    /// Whether a worker that got the job from this node may still be at it.
    pub(crate) fn is_leased(&self, now: UnixMillis) -> bool {
        self.flags.contains(JobFlags::LEASED) && self.requeue_at > now
    }

    /// Whether a worker got the job from this node, or told this node that it works on it, and neither acknowledged it
    /// nor lost it to another queueing since. An at-most-once job is never queued again: it stays so until it ends.
    ///
    /// [`Engine::mark`](super::Engine::mark) and `set_state` count these jobs per queue.
    pub(super) fn is_in_flight(&self) -> bool {
        self.state == JobState::Active
            && (self.flags.contains(JobFlags::LEASED)
                || (self.flags.contains(JobFlags::DELIVERED) && self.retry.is_zero()))
    }

    /// How long a holder waits that is not the one to act: the retry time, but not less than the shortest patience.
    pub(crate) fn patience(&self) -> Millis {
        let retry = self.retry.millis();
        if self.is_shared() { retry.max(SHORTEST_PATIENCE) } else { retry }
    }

    /// Whether the record only stands for the acknowledgement of a job that this node does not know.
    pub(crate) fn is_dummy(&self) -> bool {
        self.queue == NameId::NONE && self.delivered.is_empty()
    }

    /// What the job counts against the memory limit, in bytes: record, body, index and queue entry.
    ///
    /// A function of the body alone, so that what is added for a job is what is subtracted for it later,
    /// on every machine and with every allocator. Blocks are counted as glibc rounds them.
    pub(crate) fn heap_bytes(&self) -> usize {
        let body = match &self.body {
            Body::Small(bytes) => block_bytes(bytes.len()),
            Body::Shared(bytes) => SHARED_BODY_BYTES + block_bytes(bytes.len()),
        };
        size_of::<Job>() + INDEX_BYTES + QUEUE_ENTRY_BYTES + body
    }
}

/// The job table's index takes 5 bytes per bucket and fills 44 to 87 % of its buckets.
const INDEX_BYTES: usize = 8;
const QUEUE_ENTRY_BYTES: usize = 4;
/// The block with the reference counts and the vector of a shared body.
const SHARED_BODY_BYTES: usize = 48;

/// A heap block of so many bytes with its header, rounded as allocators commonly do; none for no bytes.
const fn block_bytes(len: usize) -> usize {
    if len == 0 { 0 } else { (len + 8).next_multiple_of(16) }
}

/// Neighbours in a list of the wheel: the numbers of two slots of the job table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Links {
    pub(super) prev: u32,
    pub(super) next: u32,
}

impl Links {
    /// The end of a list.
    pub(super) const END: u32 = u32::MAX;
    /// No neighbours.
    pub(super) const NONE: Links = Links { prev: Links::END, next: Links::END };
}

/// What a node has told, and will tell, the others about a job, and what it notes for itself.
///
/// The low byte are the bits of cluster-bus.md 7.3; those without a name are kept and sent on, as RC1 does. The
/// high byte never leaves the node: three flags, and a counter of four bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct JobFlags(u16);

impl JobFlags {
    /// No flag.
    pub(crate) const NONE: JobFlags = JobFlags(0);
    /// Broadcast QUEUED when this node next queues the job.
    pub(crate) const ANNOUNCED: JobFlags = JobFlags(1);
    /// Broadcast WILLQUEUE before this node next queues the job.
    pub(crate) const WARNS: JobFlags = JobFlags(2);
    /// This node delivered the job at least once. Never sent.
    pub(crate) const DELIVERED: JobFlags = JobFlags(4);
    /// A worker holds the job on behalf of this node, until its requeue time (W1 of reliability.md).
    pub(crate) const LEASED: JobFlags = JobFlags(1 << 8);

    /// A copy of an at-most-once job, which only the node that added the job may set free (W4).
    pub(crate) const PARKED: JobFlags = JobFlags(1 << 9);

    /// A job that waits for its copies, which must be on disks (ADDJOB … SYNC).
    pub(crate) const ON_DISK: JobFlags = JobFlags(1 << 10);

    const TRIES_SHIFT: u32 = 12;
    /// The most that [`JobFlags::tries`] counts to.
    pub(crate) const MAX_TRIES: u8 = 15;

    /// What came in a message or from a file.
    pub(crate) fn from_wire(bits: u8) -> JobFlags {
        JobFlags(u16::from(bits))
    }

    /// What goes into a message: never that this node delivered the job.
    pub(crate) fn to_wire(self) -> u8 {
        self.0 as u8 & !(JobFlags::DELIVERED.0 as u8)
    }

    /// What goes into a file: all that RC1 has a place for.
    pub(crate) fn stored(self) -> u8 {
        self.0 as u8
    }

    /// How often the step at hand was tried: sending copies, or collecting acknowledgements.
    pub(crate) fn tries(self) -> u8 {
        (self.0 >> JobFlags::TRIES_SHIFT) as u8
    }

    /// Sets [`JobFlags::tries`], which stops counting at its highest value.
    pub(crate) fn set_tries(&mut self, tries: u8) {
        let tries = u16::from(tries.min(JobFlags::MAX_TRIES));
        self.0 = self.0 & !(u16::from(JobFlags::MAX_TRIES) << JobFlags::TRIES_SHIFT)
            | tries << JobFlags::TRIES_SHIFT;
    }

    /// Whether all of `flags` are set.
    pub(crate) const fn contains(self, flags: JobFlags) -> bool {
        self.0 & flags.0 == flags.0
    }

    /// Clears `flags`.
    pub(crate) fn remove(&mut self, flags: JobFlags) {
        self.0 &= !flags.0;
    }

    /// Sets `flags`.
    pub(crate) fn insert(&mut self, flags: JobFlags) {
        self.0 |= flags.0;
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A job that differs from others by `number`, created at `ctime`.
    pub(in super::super) fn sample(number: u32, ctime: u64) -> Job {
        let mut random = [0; 18];
        random[..4].copy_from_slice(&number.to_be_bytes());
        let id = JobId::new([1, 2, 3, 4], random, Millis(60_000), true);
        Job::new(id, Ctime(ctime), NameId(0), Body::copied(b""))
    }

    #[test]
    fn a_hundred_byte_job_counts_less_than_250_bytes() {
        let mut job = sample(1, 1);
        assert_eq!(job.heap_bytes(), 132, "an empty body has no block");
        job.body = Body::copied(&[0; 100]);
        assert_eq!(job.heap_bytes(), 132 + 112);
        job.body = Body::copied(&[0; 3000]);
        assert_eq!(job.heap_bytes(), 132 + 48 + 3008);
    }

    #[test]
    fn flags_without_a_name_are_sent_on_but_not_what_is_noted_here() {
        let mut flags = JobFlags::from_wire(0x80);
        flags.insert(JobFlags::ANNOUNCED);
        assert!(flags.contains(JobFlags::ANNOUNCED) && !flags.contains(JobFlags::DELIVERED));
        flags.insert(JobFlags::DELIVERED);
        flags.insert(JobFlags::LEASED);
        flags.set_tries(3);
        assert_eq!((flags.to_wire(), flags.tries()), (0x81, 3));
        flags.set_tries(200);
        assert_eq!(flags.tries(), JobFlags::MAX_TRIES);
        assert!(flags.contains(JobFlags::LEASED) && flags.contains(JobFlags::from_wire(0x85)));
    }
}
