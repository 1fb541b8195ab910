//! The order of the jobs that wait in one queue: by creation time, then by ID.
//!
//! Almost every job is the newest when it arrives; some, queued again or imported, are not. So there are
//! two lanes: a *ring* for jobs that are newer than its last one, where appending takes a few nanoseconds
//! and an entry four bytes, and a tree for the *late* ones. A job may be in either; the first of the queue
//! is the lesser of the two fronts.
//!
//! The ring is a double-ended queue of chunks of up to 508 slot numbers. A job's ticket tells its chunk and
//! its place in there, so that a job which leaves from the middle (acknowledged, or claimed by another node)
//! clears its place at once: there are no entries of jobs that left, and reused slots, repeated queueing and
//! wrapping counters cannot be confused with anything. What stays behind is holes:
//!
//! * when the holes of a chunk outnumber its jobs by a few, the chunk is rewritten, and the tickets of its
//!   jobs with it. One chunk at a time, paid for by as many removals;
//! * a chunk without jobs gives up its memory. At the ends it goes altogether; in between its 32 bytes stay,
//!   because chunks are found by number. When they cost more than a tree of all jobs would, the jobs of
//!   the first chunk, which keeps them there, move to the tree.
//!
//! No operation touches more than about two chunks' worth of jobs, however long the queue is.
//!
//! What `audit` checks:
//! * both lanes are in order, and the lengths right;
//! * tickets and places refer to each other;
//! * the first and the last place of the ring hold jobs, and holes are within their limits.

mod chunks;

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::iter;

use super::job::{Job, JobIndex};
use super::job_table::JobTable;
use crate::types::{Ctime, JobId};
use chunks::{Chunk, Chunks};

/// Jobs of a chunk: with an allocator's header, 2 KiB. Tests have many small chunks.
const CHUNK_LEN: usize = if cfg!(test) { 8 } else { 508 };
/// Bits of a ticket that tell the place in the chunk.
const PLACE_BITS: u32 = 9;
/// The ticket of a job in the late lane.
const LATE: u32 = 1;
/// What the places of chunk 0 begin with in tickets, leaving out [`Job::NO_TICKET`] and [`LATE`].
const FIRST_PLACE: u32 = 2;

const _: () = assert!(CHUNK_LEN + FIRST_PLACE as usize <= 1 << PLACE_BITS);
const _: () = assert!(Job::NO_TICKET < FIRST_PLACE && LATE < FIRST_PLACE && LATE != Job::NO_TICKET);

/// Chunk numbers wrap around here; there are never as many chunks at a time.
const CHUNK_NUMBERS: u32 = 1 << (u32::BITS - PLACE_BITS);

/// A place whose job has left; no job has this slot.
const HOLE: u32 = u32::MAX;

/// How many more holes than jobs a chunk may have: rewriting the last few jobs of a chunk again and again
/// is not worth it.
const HOLES_ALLOWED: usize = if cfg!(test) { 1 } else { 16 };

/// How many chunks without jobs may be kept besides two for each job, the price of which is a tree entry.
const EMPTY_CHUNKS_ALLOWED: u32 = if cfg!(test) { 2 } else { 64 };

/// An empty ring keeps room for so many jobs, so that a queue that hovers around zero does not allocate.
const KEPT_CAPACITY: usize = 64;

/// Bytes of a tree entry, 36, with the usual share of unused room.
#[cfg(test)]
const LATE_ENTRY_BYTES: usize = 56;

/// The jobs of one queue in their order.
#[derive(Default)]
pub(crate) struct Lanes {
    chunks: Chunks,
    /// The number of the first chunk.
    first_number: u32,
    /// The place of the ring's first job in the first chunk.
    head: u32,
    /// Jobs in the ring.
    ring_len: u32,
    /// Chunks without jobs. An empty ring's only chunk does not count.
    empty_chunks: u32,
    late: BTreeMap<(Ctime, JobId), JobIndex>,
}

impl Lanes {
    /// How many jobs wait.
    pub(crate) fn len(&self) -> usize {
        self.ring_len as usize + self.late.len()
    }

    /// Whether no job waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Adds a job, which must be in no queue, at its place in the order.
    pub(crate) fn push(&mut self, jobs: &mut JobTable, job: JobIndex) {
        let record = &jobs[job];
        assert_eq!(record.ticket, Job::NO_TICKET, "{} is in a queue already", record.id);
        let order = record.order();
        let is_newest = self.ring_last().is_none_or(|last| jobs[last].order() < order);
        let ticket = if is_newest { self.append(job) } else { None };
        if ticket.is_none() {
            self.late.insert(order, job);
        }
        jobs[job].ticket = ticket.unwrap_or(LATE);
    }

    /// The oldest job.
    pub(crate) fn first(&self, jobs: &JobTable) -> Option<JobIndex> {
        let late = self.late.first_key_value();
        match (self.ring_first(), late) {
            (Some(job), Some((order, _))) if jobs[job].order() < *order => Some(job),
            (ring, None) => ring,
            (_, Some((_, job))) => Some(*job),
        }
    }

    /// Takes the oldest job.
    pub(crate) fn pop_first(&mut self, jobs: &mut JobTable) -> Option<JobIndex> {
        let job = self.first(jobs)?;
        let ticket = std::mem::replace(&mut jobs[job].ticket, Job::NO_TICKET);
        if ticket == LATE {
            self.late.pop_first();
        } else {
            let first = &mut self.chunks[0];
            first.places[self.head as usize] = HOLE;
            first.jobs -= 1;
            self.ring_len -= 1;
            self.trim_front();
        }
        Some(job)
    }

    /// Takes out a job, which must be in this queue.
    pub(crate) fn remove(&mut self, jobs: &mut JobTable, job: JobIndex) {
        let record = &mut jobs[job];
        let ticket = std::mem::replace(&mut record.ticket, Job::NO_TICKET);
        assert_ne!(ticket, Job::NO_TICKET, "{} is in no queue", record.id);
        if ticket == LATE {
            let removed = self.late.remove(&record.order());
            assert_eq!(removed, Some(job), "{} is not in this queue", record.id);
            return;
        }
        let (at, place) = self.position(ticket);
        let found = (at < self.chunks.len()).then(|| self.chunks[at].places.get(place)).flatten();
        assert_eq!(found, Some(&job.0), "{} is not in this queue", record.id);
        self.chunks[at].places[place] = HOLE;
        self.chunks[at].jobs -= 1;
        self.ring_len -= 1;
        self.tidy_up(jobs, at);
    }

    /// All jobs, oldest first.
    pub(crate) fn iter<'a>(&'a self, jobs: &'a JobTable) -> impl Iterator<Item = JobIndex> + 'a {
        merge(jobs, Ordering::Less, self.ring(), self.late.iter())
    }

    /// All jobs, newest first.
    pub(crate) fn iter_rev<'a>(&'a self, jobs: &'a JobTable) -> impl Iterator<Item = JobIndex> + 'a {
        merge(jobs, Ordering::Greater, self.ring().rev(), self.late.iter().rev())
    }

    /// What the lanes hold on the heap. Looks at every chunk.
    #[cfg(test)]
    pub(crate) fn heap_bytes(&self) -> usize {
        let places: usize = self.chunks.iter().map(|chunk| chunk.places.capacity()).sum();
        self.chunks.heap_bytes() + places * size_of::<u32>() + self.late.len() * LATE_ENTRY_BYTES
    }

    fn ring(&self) -> impl DoubleEndedIterator<Item = JobIndex> {
        let places = self.chunks.iter().flat_map(|chunk| &chunk.places);
        places.filter(|slot| **slot != HOLE).map(|slot| JobIndex(*slot))
    }

    fn ring_first(&self) -> Option<JobIndex> {
        self.chunks[0].places.get(self.head as usize).map(|slot| JobIndex(*slot))
    }

    fn ring_last(&self) -> Option<JobIndex> {
        self.chunks.last().places.last().map(|slot| JobIndex(*slot))
    }

    /// Puts the job at the end of the ring and returns its ticket, or `None` if chunk numbers have run out.
    fn append(&mut self, job: JobIndex) -> Option<u32> {
        if self.chunks.last().places.len() == CHUNK_LEN {
            self.add_chunk()?;
        }
        let at = self.chunks.len() - 1;
        let chunk = self.chunks.last_mut();
        let place = chunk.places.len();
        if place == chunk.places.capacity() {
            // Doubling, but ending exactly at a chunk's length.
            chunk.places.reserve_exact(place.max(4).min(CHUNK_LEN - place));
        }
        chunk.places.push(job.0);
        chunk.jobs += 1;
        self.ring_len += 1;
        Some(ticket(self.first_number, at, place))
    }

    fn add_chunk(&mut self) -> Option<()> {
        if self.chunks.len() >= CHUNK_NUMBERS as usize {
            return None;
        }
        self.chunks.push(Chunk { places: Vec::with_capacity(CHUNK_LEN), jobs: 0 });
        Some(())
    }

    /// Index of the chunk, and place in it.
    fn position(&self, ticket: u32) -> (usize, usize) {
        let number = ticket >> PLACE_BITS;
        let at = number.wrapping_sub(self.first_number) % CHUNK_NUMBERS;
        let place = ticket % (1 << PLACE_BITS) - FIRST_PLACE;
        (at as usize, place as usize)
    }

    /// Restores ends and limits after a job has left chunk `at` from the middle of the ring.
    fn tidy_up(&mut self, jobs: &mut JobTable, at: usize) {
        let is_last = at + 1 == self.chunks.len();
        if self.chunks[at].jobs == 0 && at > 0 && !is_last {
            self.chunks[at].places = Vec::new();
            self.empty_chunks += 1;
            self.part_with_first_chunk(jobs);
            return;
        }
        let number = self.first_number;
        if at == 0 {
            self.trim_front();
        }
        if is_last {
            self.trim_back();
        }
        if self.first_number == number && at < self.chunks.len() {
            self.fill_holes(jobs, at);
        }
    }

    /// Makes the ring begin with a job again.
    fn trim_front(&mut self) {
        if self.ring_len == 0 {
            return self.reset();
        }
        if self.chunks[0].jobs == 0 {
            self.drop_first_chunk();
            while self.chunks[0].jobs == 0 {
                self.drop_first_chunk();
                self.empty_chunks -= 1;
            }
        }
        let head = self.head as usize;
        let holes = self.chunks[0].places[head..].iter().take_while(|slot| **slot == HOLE).count();
        self.head += holes as u32;
    }

    /// Makes the ring end with a job again.
    fn trim_back(&mut self) {
        if self.ring_len == 0 {
            return self.reset();
        }
        let mut last = self.chunks.len() - 1;
        if self.chunks[last].jobs == 0 {
            self.chunks.pop_last();
            last -= 1;
            while self.chunks[last].jobs == 0 {
                self.chunks.pop_last();
                self.empty_chunks -= 1;
                last -= 1;
            }
        }
        let places = &mut self.chunks[last].places;
        while let Some(&HOLE) = places.last() {
            places.pop();
        }
    }

    fn drop_first_chunk(&mut self) {
        self.chunks.pop_first();
        self.first_number = self.first_number.wrapping_add(1);
        self.head = 0;
    }

    /// Leaves a ring without jobs ready for the next, with little memory.
    fn reset(&mut self) {
        self.chunks.keep_first();
        let chunk = &mut self.chunks[0];
        chunk.places.clear();
        chunk.places.shrink_to(KEPT_CAPACITY);
        chunk.jobs = 0;
        self.head = 0;
        self.empty_chunks = 0;
    }

    /// Rewrites a chunk if it has too many holes.
    fn fill_holes(&mut self, jobs: &mut JobTable, at: usize) {
        let (number, is_last) = (self.first_number, at + 1 == self.chunks.len());
        let gone = if at == 0 { self.head as usize } else { 0 };
        let chunk = &mut self.chunks[at];
        if chunk.places.len() - gone <= 2 * chunk.jobs as usize + HOLES_ALLOWED {
            return;
        }
        chunk.places.retain(|slot| *slot != HOLE);
        for (place, slot) in chunk.places.iter().enumerate() {
            jobs[JobIndex(*slot)].ticket = ticket(number, at, place);
        }
        if !is_last {
            chunk.places.shrink_to_fit();
        }
        if at == 0 {
            self.head = 0;
        }
    }

    /// Moves the jobs of the first chunk to the tree if chunks without jobs pile up behind it.
    fn part_with_first_chunk(&mut self, jobs: &mut JobTable) {
        if self.empty_chunks <= self.ring_len.saturating_mul(2).saturating_add(EMPTY_CHUNKS_ALLOWED) {
            return;
        }
        let chunk = std::mem::take(&mut self.chunks[0]);
        self.ring_len -= chunk.jobs;
        for slot in chunk.places.into_iter().filter(|slot| *slot != HOLE) {
            let record = &mut jobs[JobIndex(slot)];
            record.ticket = LATE;
            self.late.insert(record.order(), JobIndex(slot));
        }
        self.trim_front();
    }

    /// Recounts everything.
    pub(crate) fn audit(&self, jobs: &JobTable) -> Result<(), String> {
        let (mut ring_len, mut empty_chunks, mut previous) = (0, 0, None);
        for (at, chunk) in self.chunks.iter().enumerate() {
            self.audit_chunk(jobs, at, &mut previous)?;
            ring_len += chunk.jobs;
            empty_chunks += u32::from(chunk.jobs == 0);
        }
        if ring_len == 0 {
            empty_chunks = 0;
            if self.chunks.len() > 1 || self.ring_last().is_some() || self.head > 0 {
                return Err("a ring without jobs is not empty".into());
            }
        } else if self.ring_first() == Some(JobIndex(HOLE)) || self.ring_last() == Some(JobIndex(HOLE)) {
            return Err("an end of the ring is a hole".into());
        }
        if (ring_len, empty_chunks) != (self.ring_len, self.empty_chunks) {
            let counted = (self.ring_len, self.empty_chunks);
            return Err(format!("ring: {ring_len} jobs, {empty_chunks} empty chunks, counted {counted:?}"));
        }
        for (order, job) in &self.late {
            let record = jobs.get(*job).ok_or("a late job does not exist")?;
            if record.ticket != LATE || record.order() != *order {
                return Err(format!("{} is not where the late lane has it", record.id));
            }
        }
        Ok(())
    }

    fn audit_chunk(
        &self,
        jobs: &JobTable,
        at: usize,
        previous: &mut Option<(Ctime, JobId)>,
    ) -> Result<(), String> {
        let chunk = &self.chunks[at];
        let mut len = 0;
        for (place, slot) in chunk.places.iter().enumerate().filter(|(_, slot)| **slot != HOLE) {
            let record = jobs.get(JobIndex(*slot)).ok_or("a job of the ring does not exist")?;
            if record.ticket != ticket(self.first_number, at, place) {
                return Err(format!("{} has the ticket {}", record.id, record.ticket));
            }
            if previous.replace(record.order()) >= Some(record.order()) {
                return Err(format!("{} comes too late in the ring", record.id));
            }
            if at == 0 && place < self.head as usize {
                return Err(format!("{} is before the head of the ring", record.id));
            }
            len += 1;
        }
        let holes = chunk.places.len() - len;
        if len != chunk.jobs as usize || (at > 0 && holes > len + HOLES_ALLOWED) {
            return Err(format!("chunk {at}: {len} jobs and {holes} holes, {} counted", chunk.jobs));
        }
        Ok(())
    }
}

fn ticket(first_number: u32, at: usize, place: usize) -> u32 {
    let number = first_number.wrapping_add(at as u32) % CHUNK_NUMBERS;
    number << PLACE_BITS | (place as u32 + FIRST_PLACE)
}

/// Two ordered lanes as one; of two jobs the one from the ring comes first if it compares as `ring_first`.
fn merge<'a>(
    jobs: &'a JobTable,
    ring_first: Ordering,
    ring: impl Iterator<Item = JobIndex> + 'a,
    late: impl Iterator<Item = (&'a (Ctime, JobId), &'a JobIndex)> + 'a,
) -> impl Iterator<Item = JobIndex> + 'a {
    let (mut ring, mut late) = (ring.peekable(), late.peekable());
    iter::from_fn(move || match (ring.peek(), late.peek()) {
        (Some(job), Some((order, _))) if jobs[*job].order().cmp(order) == ring_first => ring.next(),
        (_, Some(_)) => late.next().map(|(_, job)| *job),
        (_, None) => ring.next(),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    use super::super::job::tests::sample;
    use super::*;

    /// A table and a queue of jobs created at 1, 2, ….
    fn filled(len: u32) -> (JobTable, Lanes, Vec<JobIndex>) {
        let (mut jobs, mut lanes) = (JobTable::new(1), Lanes::default());
        let indices = (1..=len).map(|n| jobs.insert(sample(n, u64::from(n)))).collect::<Vec<_>>();
        indices.iter().for_each(|job| lanes.push(&mut jobs, *job));
        (jobs, lanes, indices)
    }

    #[test]
    fn a_late_job_is_taken_at_its_place() {
        let (mut jobs, mut lanes, indices) = filled(3);
        let late = jobs.insert(sample(9, 2));
        lanes.push(&mut jobs, late);
        assert_eq!(lanes.len(), 4);
        let order = [indices[0], indices[1], late, indices[2]];
        assert_eq!(lanes.iter(&jobs).collect::<Vec<_>>(), order, "of the same ctime, the lesser ID first");
        assert!(lanes.iter_rev(&jobs).eq(order.into_iter().rev()));
        let popped: Vec<_> = iter::from_fn(|| lanes.pop_first(&mut jobs)).collect();
        assert_eq!(popped, order);
        assert!(lanes.is_empty());
    }

    #[test]
    fn a_job_stuck_at_the_front_does_not_keep_the_chunks_of_all_that_left_behind_it() {
        let (mut jobs, mut lanes, indices) = filled(40 * CHUNK_LEN as u32);
        for job in &indices[1..indices.len() - 1] {
            lanes.remove(&mut jobs, *job);
            lanes.audit(&jobs).unwrap();
        }
        assert!(lanes.chunks.len() < 10, "{} chunks for two jobs", lanes.chunks.len());
        assert!(lanes.iter(&jobs).eq([indices[0], indices[indices.len() - 1]]));
    }

    #[test]
    fn removing_in_reverse_order_leaves_nothing_behind() {
        let (mut jobs, mut lanes, indices) = filled(10 * CHUNK_LEN as u32);
        for job in indices[1..].iter().rev() {
            lanes.remove(&mut jobs, *job);
        }
        lanes.audit(&jobs).unwrap();
        assert_eq!((lanes.chunks.len(), lanes.chunks[0].places.len()), (1, 1));
    }

    #[test]
    fn a_queue_of_one_job_is_small_also_after_it_was_long() {
        let (mut jobs, mut lanes, indices) = filled(1);
        assert!(lanes.heap_bytes() <= 48, "{}", lanes.heap_bytes());
        for n in 2..100 {
            let job = jobs.insert(sample(n, u64::from(n)));
            lanes.push(&mut jobs, job);
        }
        while lanes.pop_first(&mut jobs).is_some() {}
        lanes.push(&mut jobs, indices[0]);
        assert!(lanes.heap_bytes() <= 32 + 4 * KEPT_CAPACITY, "{}", lanes.heap_bytes());
    }

    #[test]
    fn chunk_numbers_wrap_around() {
        for start in [CHUNK_NUMBERS - 2, u32::MAX - 1] {
            let (mut jobs, mut lanes, _) = filled(0);
            lanes.first_number = start;
            let new = |n| sample(n, u64::from(n));
            let indices: Vec<_> = (0..5 * CHUNK_LEN as u32).map(|n| jobs.insert(new(n))).collect();
            indices.iter().for_each(|job| lanes.push(&mut jobs, *job));
            lanes.audit(&jobs).unwrap();
            for pair in indices.chunks_exact(2) {
                lanes.remove(&mut jobs, pair[1]);
                assert_eq!(lanes.pop_first(&mut jobs), Some(pair[0]));
            }
            assert!(lanes.is_empty() && lanes.late.is_empty());
        }
    }

    #[test]
    #[should_panic = "is not in this queue"]
    fn a_job_cannot_leave_a_queue_that_it_is_not_in() {
        let (mut jobs, _, indices) = filled(1);
        Lanes::default().remove(&mut jobs, indices[0]);
    }

    #[derive(Clone, Debug)]
    enum Op {
        /// Jobs, each created so much after the newest so far.
        PushNew(usize, Vec<u8>),
        /// A job created long ago.
        PushLate(usize, u16),
        /// One that left a queue before, into any.
        PushAgain(usize, usize),
        Pop(usize, usize),
        /// So many neighbours in the order, from one on.
        Remove(usize, usize, usize),
        /// One that is in no queue leaves the table, so that its slot is used again.
        Forget(usize),
    }

    fn op() -> impl Strategy<Value = Op> {
        let queue = 0..2usize;
        prop_oneof![
            4 => (queue.clone(), prop::collection::vec(0..3u8, 1..30)).prop_map(|(q, steps)| Op::PushNew(q, steps)),
            3 => (queue.clone(), any::<u16>()).prop_map(|(q, ctime)| Op::PushLate(q, ctime)),
            3 => (queue.clone(), any::<usize>()).prop_map(|(q, n)| Op::PushAgain(q, n)),
            3 => (queue.clone(), 1..20usize).prop_map(|(q, n)| Op::Pop(q, n)),
            5 => (queue, any::<usize>(), 1..40usize).prop_map(|(q, at, n)| Op::Remove(q, at, n)),
            3 => any::<usize>().prop_map(Op::Forget),
        ]
    }

    type Model = BTreeSet<((Ctime, JobId), JobIndex)>;

    struct World {
        jobs: JobTable,
        lanes: [Lanes; 2],
        models: [Model; 2],
        idle: Vec<JobIndex>,
        number: u32,
        newest: u64,
    }

    impl World {
        fn push_new(&mut self, queue: usize, ctime: u64) {
            self.number += 1;
            let job = self.jobs.insert(sample(self.number.wrapping_mul(0x9e37_79b9), ctime));
            self.push(queue, job);
        }

        fn push(&mut self, queue: usize, job: JobIndex) {
            self.lanes[queue].push(&mut self.jobs, job);
            self.models[queue].insert((self.jobs[job].order(), job));
        }

        fn run(&mut self, op: Op) {
            match op {
                Op::PushNew(queue, steps) => {
                    for step in steps {
                        self.newest += u64::from(step);
                        self.push_new(queue, self.newest);
                    }
                }
                Op::PushLate(queue, ctime) => self.push_new(queue, u64::from(ctime)),
                Op::PushAgain(queue, n) if !self.idle.is_empty() => {
                    let job = self.idle.swap_remove(n % self.idle.len());
                    self.push(queue, job);
                }
                Op::Pop(queue, count) => {
                    for _ in 0..count {
                        let expected = self.models[queue].pop_first().map(|(_, job)| job);
                        assert_eq!(self.lanes[queue].pop_first(&mut self.jobs), expected);
                        self.idle.extend(expected);
                    }
                }
                Op::Remove(queue, at, count) if !self.models[queue].is_empty() => {
                    let at = at % self.models[queue].len();
                    let gone: Vec<_> = self.models[queue].iter().skip(at).take(count).copied().collect();
                    for entry in gone {
                        self.models[queue].remove(&entry);
                        self.lanes[queue].remove(&mut self.jobs, entry.1);
                        self.idle.push(entry.1);
                    }
                }
                Op::Forget(n) if !self.idle.is_empty() => {
                    let job = self.idle.swap_remove(n % self.idle.len());
                    self.jobs.remove(job);
                }
                _ => {}
            }
        }

        fn check(&self) {
            for (lanes, model) in self.lanes.iter().zip(&self.models) {
                assert_eq!(lanes.audit(&self.jobs), Ok(()));
                assert_eq!((lanes.len(), lanes.is_empty()), (model.len(), model.is_empty()));
                assert_eq!(lanes.first(&self.jobs), model.first().map(|(_, job)| *job));
                assert!(lanes.iter(&self.jobs).eq(model.iter().map(|(_, job)| *job)));
                assert!(lanes.iter_rev(&self.jobs).eq(model.iter().rev().map(|(_, job)| *job)));
            }
        }
    }

    proptest! {
        #[test]
        fn two_lanes_behave_like_one_sorted_set(ops in prop::collection::vec(op(), 1..150)) {
            let mut world = World {
                jobs: JobTable::new(1),
                lanes: Default::default(),
                models: Default::default(),
                idle: Vec::new(),
                number: 0,
                newest: 30_000,
            };
            for op in ops {
                world.run(op);
                world.check();
            }
        }
    }
}
