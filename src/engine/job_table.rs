//! All job records of the node: by slot, by identity, one after the other.
//!
//! A slab owns the records. The ID of a job that was added here names its slot (`slot_code.rs`); for the IDs that
//! others made there is an index from IDs to slots, which reads its keys from the records. No operation does
//! more work the more jobs there are: the slab grows by a page, the index by splitting one small shard.
//!
//! What `audit` checks:
//! * every record is found under its ID; the index holds those whose ID does not name their slot, and no other;
//! * the slab's notes about free slots and pages agree with the slots.

mod id_index;
mod slab;
mod slot_code;

use std::ops;

use super::job::{Job, JobIndex};
use crate::types::JobId;
use id_index::IdIndex;
use slab::Slab;
use slot_code::SlotCode;

/// Where a job is put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// In any slot.
    Any,
    /// In the one that its ID names, if that is free and not far from all others: the job was added here in an earlier run.
    Named,
}

/// The records of all jobs.
pub(crate) struct JobTable {
    slab: Slab,
    index: IdIndex,
    code: SlotCode,
    /// Jobs removed since the allocator was last made to tidy up.
    removed: usize,
}

/// After how many removals the allocator is made to tidy up.
///
/// glibc only lists small freed blocks, and merges all on the list with their neighbours when it is next
/// asked for more than its caches hold. Acknowledging five million jobs in random order makes a list that takes it a whole
/// second, measured; in portions of this size some 0.1 ms each, and no longer in total.
const REMOVALS_PER_TIDYING: usize = 512;
/// A size that glibc's per-thread cache, which goes up to 1,032 bytes, does not serve.
const TIDYING_BYTES: usize = 4096;

impl JobTable {
    /// An empty table. The seed keys the hash of job IDs: clients may craft IDs, so it must not be guessable.
    pub(crate) fn new(seed: u64) -> JobTable {
        let mut state = !seed;
        let code = SlotCode::new([(); 2].map(|()| id_index::next_key(&mut state)));
        JobTable { slab: Slab::new(), index: IdIndex::new(seed), code, removed: 0 }
    }

    /// What turns IDs into slots.
    pub(super) fn key(&self) -> [u64; 2] {
        self.code.keys()
    }

    /// Takes over the key of an earlier run, so that the IDs of its jobs name slots. Nothing is done if there are jobs.
    pub(super) fn adopt_key(&mut self, key: [u64; 2]) {
        if self.len() == 0 {
            self.code = SlotCode::new(key);
        }
    }

    /// Adds a job that comes into being here. `id` is made of fresh random bytes; the job gets it with some of
    /// them replaced, so that it names the job's slot.
    pub(crate) fn insert_own(&mut self, id: JobId, make: impl FnOnce(JobId) -> Job) -> JobIndex {
        let code = &self.code;
        JobIndex(self.slab.insert(|slot| make(code.name(&id, slot))))
    }

    /// Adds a job that came into being elsewhere or earlier, whose ID must be new, and which must be in no queue and not in the wheel.
    pub(crate) fn insert(&mut self, job: Job) -> JobIndex {
        assert!(job.awake_at.is_never(), "{} comes with a timer", job.id);
        assert_eq!(job.ticket, Job::NO_TICKET, "{} comes with a place in a queue", job.id);
        let named = self.code.slot(&job.id);
        let slot = self.slab.insert(|_| job);
        if named != slot {
            self.index.insert(slot, &self.slab);
        }
        JobIndex(slot)
    }

    /// Adds a job like [`JobTable::insert`], unless there is one with its ID; then both are given back. Looking whether
    /// there is one costs more than adding it, so it is done once.
    pub(super) fn try_insert(&mut self, job: Job, place: Place) -> Result<JobIndex, Box<(JobIndex, Job)>> {
        let named = self.code.slot(&job.id);
        if self.slab.get(named).is_some_and(|other| other.id == job.id) {
            return Err(Box::new((JobIndex(named), job)));
        }
        let slot = if place == Place::Named && self.slab.has_room_at(named) {
            self.slab.insert_at(named, job);
            named
        } else {
            self.slab.insert(|_| job)
        };
        if named == slot {
            if self.index.is_empty() {
                return Ok(JobIndex(slot));
            }
            return match self.index.find(&self.slab.get(slot).expect("it was just added").id, &self.slab) {
                Some(other) => Err(Box::new((JobIndex(other), self.slab.remove(slot)))),
                None => Ok(JobIndex(slot)),
            };
        }
        match self.index.try_insert(slot, &self.slab) {
            Ok(()) => Ok(JobIndex(slot)),
            Err(other) => Err(Box::new((JobIndex(other), self.slab.remove(slot)))),
        }
    }

    /// The slot of the job with this ID.
    pub(crate) fn find(&self, id: &JobId) -> Option<JobIndex> {
        let named = self.code.slot(id);
        if self.slab.get(named).is_some_and(|job| job.id == *id) {
            return Some(JobIndex(named));
        }
        if self.index.is_empty() { None } else { self.index.find(id, &self.slab).map(JobIndex) }
    }

    /// Takes a job out. It must have left its queue and the wheel: both refer to jobs by their slot.
    pub(crate) fn remove(&mut self, job: JobIndex) -> Job {
        let record = &self[job];
        assert!(record.awake_at.is_never(), "{} leaves a timer behind", record.id);
        assert_eq!(record.ticket, Job::NO_TICKET, "{} leaves a queue entry behind", record.id);
        self.removed += 1;
        if self.removed >= REMOVALS_PER_TIDYING {
            self.removed = 0;
            drop(std::hint::black_box(Vec::<u8>::with_capacity(TIDYING_BYTES)));
        }
        if self.code.slot(&self[job].id) != job.0 {
            self.index.remove(job.0, &self.slab);
        }
        self.slab.remove(job.0)
    }

    /// How many jobs there are.
    pub(crate) fn len(&self) -> usize {
        self.slab.len()
    }

    /// The job in this slot, if it is in use.
    pub(crate) fn get(&self, job: JobIndex) -> Option<&Job> {
        self.slab.get(job.0)
    }

    /// Goes through the slots from `cursor` on, 0 first, and shows each job to `visit`, until that returns
    /// false or `slots` slots (at least one) were visited. Returns the next cursor, 0 when all were.
    ///
    /// Jobs stay where they are, so a job present throughout a scan is shown exactly once. The job at which
    /// `visit` returned false counts as shown. A page without any job counts as one slot. Cursors come from
    /// clients: any value will do.
    pub(crate) fn scan(
        &self,
        cursor: u64,
        slots: usize,
        mut visit: impl FnMut(JobIndex, &Job) -> bool,
    ) -> u64 {
        let end = self.slab.slot_count() as u64;
        let mut next = cursor;
        for _ in 0..slots.max(1) {
            if next >= end {
                return 0;
            }
            // Below the end, which is a number of slots, every cursor fits.
            let slot = next as u32;
            let Some(record) = self.slab.slot(slot) else {
                next = slab::next_page(slot);
                continue;
            };
            next += 1;
            if let Some(job) = record
                && !visit(JobIndex(slot), job)
            {
                break;
            }
        }
        if next >= end { 0 } else { next }
    }

    /// All jobs in the order of their slots.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (JobIndex, &Job)> {
        self.slab.iter().map(|(slot, job)| (JobIndex(slot), job))
    }

    /// Forgets all jobs. Queues and the wheel must be cleared too.
    pub(crate) fn clear(&mut self) {
        self.slab = Slab::new();
        self.index.clear();
    }

    /// One more than the highest slot that may be in use; for picking slots at random.
    pub(crate) fn slot_count(&self) -> usize {
        self.slab.slot_count()
    }

    /// How many jobs are not in the slot that their ID names.
    #[cfg(test)]
    pub(super) fn indexed(&self) -> usize {
        self.iter().filter(|(job, record)| self.code.slot(&record.id) != job.0).count()
    }

    /// Recounts everything.
    pub(crate) fn audit(&self) -> Result<(), String> {
        self.slab.audit()?;
        let indexed = self.iter().filter(|(job, record)| self.code.slot(&record.id) != job.0).count();
        self.index.audit(indexed)?;
        match self.iter().find(|(job, record)| self.find(&record.id) != Some(*job)) {
            Some((job, record)) => Err(format!("{} in {job:?} is not found under its ID", record.id)),
            None => Ok(()),
        }
    }
}

/// Panics when the slot is empty: the engine keeps no index beyond the life of a job.
impl ops::Index<JobIndex> for JobTable {
    type Output = Job;

    fn index(&self, job: JobIndex) -> &Job {
        match self.slab.get(job.0) {
            Some(record) => record,
            None => no_job(job),
        }
    }
}

impl ops::IndexMut<JobIndex> for JobTable {
    fn index_mut(&mut self, job: JobIndex) -> &mut Job {
        match self.slab.get_mut(job.0) {
            Some(record) => record,
            None => no_job(job),
        }
    }
}

#[cold]
fn no_job(job: JobIndex) -> ! {
    panic!("there is no job in {job:?}")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use std::collections::{BTreeMap, BTreeSet};

    use super::super::job::tests::sample;
    use super::*;
    use crate::types::UnixMillis;

    #[test]
    #[should_panic = "is added twice"]
    fn an_id_is_added_once() {
        let mut jobs = JobTable::new(1);
        jobs.insert(sample(1, 1));
        jobs.insert(sample(1, 2));
    }

    #[test]
    #[should_panic = "leaves a timer behind"]
    fn a_job_with_a_timer_cannot_be_removed() {
        let mut jobs = JobTable::new(1);
        let job = jobs.insert(sample(1, 1));
        jobs[job].awake_at = UnixMillis(1);
        jobs.remove(job);
    }

    #[test]
    #[should_panic = "there is no job in JobIndex(0)"]
    fn an_index_of_a_removed_job_is_refused() {
        let mut jobs = JobTable::new(1);
        let job = jobs.insert(sample(1, 1));
        jobs.remove(job);
        jobs[job].nacks += 1;
    }

    proptest! {
        #[test]
        fn own_jobs_and_others_are_found_under_their_ids(ops in prop::collection::vec((any::<bool>(), 0usize..40), 1..200)) {
            let mut jobs = JobTable::new(7);
            let mut known: Vec<(JobId, JobIndex)> = Vec::new();
            for (n, (own, pick)) in ops.into_iter().enumerate() {
                let job = sample(n as u32, 1);
                if pick < known.len() {
                    let (id, index) = known.swap_remove(pick);
                    prop_assert_eq!(jobs.remove(index).id, id);
                    prop_assert_eq!(jobs.find(&id), None);
                    continue;
                }
                let index = if own { jobs.insert_own(job.id, |id| Job { id, ..job }) } else { jobs.insert(job) };
                known.push((jobs[index].id, index));
                jobs.audit().map_err(TestCaseError::fail)?;
            }
            for (id, index) in known {
                prop_assert_eq!(jobs.find(&id), Some(index));
            }
        }
    }

    #[test]
    fn any_cursor_will_do() {
        let mut jobs = JobTable::new(1);
        assert_eq!(jobs.scan(0, 10, |_, _| true), 0, "nothing to show is the end");
        jobs.insert(sample(1, 1));
        for cursor in [1024, 1025, 1 << 32, u64::MAX] {
            assert_eq!(jobs.scan(cursor, 10, |_, _| panic!("no job there")), 0);
        }
        assert_eq!(jobs.scan(0, 0, |_, _| true), 1, "at least one slot, so that a scan ends");
    }

    #[test]
    fn a_scan_stops_after_the_job_that_was_one_too_many() {
        let mut jobs = JobTable::new(1);
        for n in 0..5 {
            jobs.insert(sample(n, 1));
        }
        let mut seen = Vec::new();
        let next = jobs.scan(1, 1000, |job, _| {
            seen.push(job.0);
            seen.len() < 2
        });
        assert_eq!((seen, next), (vec![1, 2], 3));
    }

    #[test]
    fn a_cleared_table_is_like_a_new_one() {
        let mut jobs = JobTable::new(1);
        for n in 0..3000 {
            jobs.insert(sample(n, 1));
        }
        jobs.clear();
        jobs.audit().unwrap();
        assert_eq!((jobs.len(), jobs.slot_count()), (0, 0));
        assert_eq!(jobs.insert(sample(5, 1)), JobIndex(0));
    }

    #[derive(Clone, Debug)]
    enum Op {
        Insert(u32),
        /// So many neighbours in the order of slots, from one on.
        Remove(usize, usize),
        Find(u32),
        Scan(usize),
    }

    fn op() -> impl Strategy<Value = Op> {
        prop_oneof![
            3 => (1..900u32).prop_map(Op::Insert),
            2 => (any::<usize>(), 1..900usize).prop_map(|(at, n)| Op::Remove(at, n)),
            2 => any::<u32>().prop_map(Op::Find),
            3 => (1..2000usize).prop_map(Op::Scan),
        ]
    }

    #[derive(Default)]
    struct Model {
        by_slot: BTreeMap<u32, u32>,
        inserted: u32,
        cursor: u64,
        /// Present since the scan began, and not shown yet.
        unseen: BTreeSet<u32>,
        shown: BTreeSet<u32>,
    }

    impl Model {
        fn run(&mut self, op: Op, jobs: &mut JobTable) {
            match op {
                Op::Insert(count) => {
                    for _ in 0..count {
                        let slot = jobs.insert(sample(self.inserted, 1)).0;
                        assert_eq!(self.by_slot.insert(slot, self.inserted), None);
                        self.inserted += 1;
                    }
                }
                Op::Remove(at, count) if !self.by_slot.is_empty() => {
                    let at = at % self.by_slot.len();
                    let gone: Vec<u32> = self.by_slot.keys().skip(at).take(count).copied().collect();
                    for slot in gone {
                        let number = self.by_slot.remove(&slot).unwrap();
                        assert_eq!(jobs.remove(JobIndex(slot)).id, sample(number, 1).id);
                        self.unseen.remove(&number);
                    }
                }
                Op::Find(n) => {
                    let number = n % (self.inserted + 1);
                    let slot =
                        self.by_slot.iter().find(|(_, found)| **found == number).map(|(slot, _)| *slot);
                    assert_eq!(jobs.find(&sample(number, 1).id), slot.map(JobIndex));
                }
                Op::Scan(slots) => self.scan(slots, jobs),
                _ => {}
            }
        }

        fn scan(&mut self, slots: usize, jobs: &JobTable) {
            if self.cursor == 0 {
                self.unseen = self.by_slot.values().copied().collect();
                self.shown.clear();
            }
            let mut visited = 0;
            self.cursor = jobs.scan(self.cursor, slots, |job, record| {
                let number = self.by_slot[&job.0];
                assert_eq!(record.id, sample(number, 1).id);
                assert!(self.shown.insert(number), "{number} is shown twice");
                self.unseen.remove(&number);
                visited += 1;
                true
            });
            assert!(visited <= slots);
            assert!(self.cursor != 0 || self.unseen.is_empty(), "{:?} are missed", self.unseen);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn the_table_behaves_like_a_map_and_scans_show_each_lasting_job_once(
            ops in prop::collection::vec(op(), 1..60),
        ) {
            let (mut jobs, mut model) = (JobTable::new(3), Model::default());
            for op in ops {
                model.run(op, &mut jobs);
                prop_assert_eq!(jobs.audit(), Ok(()));
                prop_assert_eq!(jobs.len(), model.by_slot.len());
                prop_assert!(jobs.iter().map(|(job, _)| job.0).eq(model.by_slot.keys().copied()));
            }
        }
    }
}
