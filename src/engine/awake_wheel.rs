//! When each job must next be looked at.
//!
//! A hierarchical timer wheel: seven levels of 64 slots over absolute milliseconds. Level 0 has a slot for
//! each millisecond of the 64 that the wheel's time lies in, level 1 one for each 64 of 4,096, and so on; a
//! time belongs to the level of the highest six-bit digit in which it differs from the wheel's time. Times
//! that differ above the seventh digit (beyond 2⁴² ms, 139 years) wait in a list of their own.
//!
//! Slots are lists linked through the records, so timers cost no memory, and setting and cancelling touch
//! the record and its neighbours only. The slot of a record follows from its time and the wheel's: the
//! wheel's time never passes the beginning of an occupied slot, until then every digit that decides stays
//! the same.
//!
//! When the wheel's time reaches the beginning of a slot above level 0, its jobs are sorted into the levels
//! below. Five million jobs may share a slot, so this is not done at once: the whole list becomes the
//! *unsorted* list in one move, and each call of `pop_due` sorts in a bounded number. Until it is empty
//! nothing is popped, for the earliest time may be in it, and `next_deadline` asks for another call. Jobs in
//! the unsorted list can be set and cancelled like all others: only the ends of a list need to know which
//! list they are the ends of, and they are compared with those of the unsorted one.
//!
//! What `audit` checks:
//! * the jobs in the lists are those whose `awake_at` is not NEVER, and they are counted;
//! * each is in the slot that follows from its time, or in the unsorted list, and links agree both ways;
//! * the occupancy bits tell which slots hold jobs;
//! * no job's time is before the wheel's.

use super::job::{JobIndex, Links};
use super::job_table::JobTable;
use crate::types::UnixMillis;

const LEVELS: usize = 7;
const DIGIT_BITS: usize = 6;
const SLOTS: usize = 1 << DIGIT_BITS;
const WHEEL_BITS: usize = LEVELS * DIGIT_BITS;

/// The list of jobs beyond the wheel's last level, after those of all slots.
const FAR: usize = LEVELS * SLOTS;
/// The list of jobs that are being sorted in.
const UNSORTED: usize = FAR + 1;
const LISTS: usize = UNSORTED + 1;

/// How many jobs one call of `pop_due` sorts into lower levels.
///
/// Each may cost a few cache misses: measured with five million jobs in random order, this many take up to
/// 0.3 ms. Smaller would make catching up slower, as each call goes through the event loop. Tests are interrupted more often.
const SORTED_PER_CALL: usize = if cfg!(test) { 3 } else { 512 };

/// The next look at each job.
pub(crate) struct AwakeWheel {
    /// The wheel's time in milliseconds: not after any job's time, and never after the latest `now`.
    time: u64,
    /// For each level, which slots hold jobs.
    occupied: [u64; LEVELS],
    lists: Box<[List; LISTS]>,
    len: usize,
}

/// The ends of a list, in the order in which jobs came.
#[derive(Clone, Copy)]
struct List {
    first: u32,
    last: u32,
}

impl List {
    const EMPTY: List = List { first: Links::END, last: Links::END };

    const fn is_empty(self) -> bool {
        self.first == Links::END
    }
}

impl AwakeWheel {
    /// An empty wheel.
    pub(crate) fn new(now: UnixMillis) -> AwakeWheel {
        AwakeWheel { time: now.0, occupied: [0; LEVELS], lists: Box::new([List::EMPTY; LISTS]), len: 0 }
    }

    /// How many jobs are in the wheel.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Lets the job be popped at `at` and no longer at the time set before; NEVER cancels.
    ///
    /// A time before the wheel's, which the caller's present never is, becomes the wheel's: due at once.
    pub(crate) fn set(&mut self, jobs: &mut JobTable, job: JobIndex, at: UnixMillis) {
        if at.is_never() {
            return self.cancel(jobs, job);
        }
        let at = UnixMillis(at.0.max(self.time));
        let before = jobs[job].awake_at;
        if !before.is_never() {
            if self.place_of(before.0) == self.place_of(at.0) {
                // The same slot; or not sorted in yet, then sorting in will look at the new time.
                jobs[job].awake_at = at;
                return;
            }
            self.unlink(jobs, job);
        }
        self.link(jobs, job, at);
    }

    /// Takes the job out, if it is in.
    pub(crate) fn cancel(&mut self, jobs: &mut JobTable, job: JobIndex) {
        if !jobs[job].awake_at.is_never() {
            self.unlink(jobs, job);
        }
    }

    /// Takes out a job whose time has come: of those, one with the earliest time, the first to be set in that
    /// millisecond as a rule. `now` must not be before that of the last call.
    ///
    /// `None` also when there was more to sort in than one call may take; then `next_deadline` is not after
    /// `now`, and the next call goes on.
    pub(crate) fn pop_due(&mut self, jobs: &mut JobTable, now: UnixMillis) -> Option<JobIndex> {
        let mut budget = SORTED_PER_CALL;
        loop {
            self.sort_in(jobs, &mut budget);
            if !self.lists[UNSORTED].is_empty() {
                return None;
            }
            let Some((begin, place)) = self.earliest().filter(|(begin, _)| *begin <= now.0) else {
                self.time = self.time.max(now.0);
                return None;
            };
            self.time = begin;
            if place < SLOTS {
                let job = JobIndex(self.lists[place].first);
                self.unlink(jobs, job);
                return Some(job);
            }
            self.lists[UNSORTED] = self.lists[place];
            self.empty(place);
        }
    }

    /// When `pop_due` must next be called: the earliest time, or the beginning of a slot of times after it.
    /// Exact or early, never late.
    pub(crate) fn next_deadline(&self) -> Option<UnixMillis> {
        if !self.lists[UNSORTED].is_empty() {
            return Some(UnixMillis(self.time));
        }
        self.earliest().map(|(begin, _)| UnixMillis(begin))
    }

    /// Forgets all jobs. Their records must go too, or be told: they still believe to be in the wheel.
    pub(crate) fn clear(&mut self) {
        *self = AwakeWheel::new(UnixMillis(self.time));
    }

    /// The earliest occupied slot and where it begins. What is on a lower level is earlier: it agrees with
    /// the wheel's time in a digit in which the rest is greater.
    fn earliest(&self) -> Option<(u64, usize)> {
        for (level, occupied) in self.occupied.iter().enumerate() {
            if *occupied != 0 {
                let slot = occupied.trailing_zeros() as usize;
                let shift = level * DIGIT_BITS;
                let above = self.time >> (shift + DIGIT_BITS) << (shift + DIGIT_BITS);
                return Some((above | (slot as u64) << shift, level * SLOTS + slot));
            }
        }
        // A time that differs above the last level cannot be in the last such span: no overflow.
        let next_span = || ((self.time >> WHEEL_BITS) + 1) << WHEEL_BITS;
        (!self.lists[FAR].is_empty()).then(|| (next_span(), FAR))
    }

    /// The list for this time, which is not before the wheel's.
    fn place_of(&self, at: u64) -> usize {
        // With the lowest digit set, times that differ nowhere are on level 0 as well.
        let differing = at ^ self.time | (SLOTS as u64 - 1);
        let level = differing.ilog2() as usize / DIGIT_BITS;
        if level >= LEVELS {
            return FAR;
        }
        level * SLOTS + (at >> (level * DIGIT_BITS)) as usize % SLOTS
    }

    fn sort_in(&mut self, jobs: &mut JobTable, budget: &mut usize) {
        while *budget > 0 && !self.lists[UNSORTED].is_empty() {
            let job = JobIndex(self.lists[UNSORTED].first);
            let at = jobs[job].awake_at;
            self.unlink(jobs, job);
            self.link(jobs, job, at);
            *budget -= 1;
        }
    }

    /// Appends the job to the list of this time.
    fn link(&mut self, jobs: &mut JobTable, job: JobIndex, at: UnixMillis) {
        let place = self.place_of(at.0);
        let list = &mut self.lists[place];
        let last = std::mem::replace(&mut list.last, job.0);
        if last == Links::END {
            list.first = job.0;
            if place < FAR {
                self.occupied[place / SLOTS] |= 1 << (place % SLOTS);
            }
        } else {
            jobs[JobIndex(last)].links.next = job.0;
        }
        let record = &mut jobs[job];
        record.links = Links { prev: last, next: Links::END };
        record.awake_at = at;
        self.len += 1;
    }

    fn unlink(&mut self, jobs: &mut JobTable, job: JobIndex) {
        let record = &mut jobs[job];
        let at = std::mem::replace(&mut record.awake_at, UnixMillis::NEVER);
        let Links { prev, next } = std::mem::replace(&mut record.links, Links::NONE);
        if prev != Links::END {
            jobs[JobIndex(prev)].links.next = next;
        }
        if next != Links::END {
            jobs[JobIndex(next)].links.prev = prev;
        }
        if prev == Links::END || next == Links::END {
            self.move_end(job, at, Links { prev, next });
        }
        self.len -= 1;
    }

    /// Corrects an end of the list that `job` was at the end of.
    fn move_end(&mut self, job: JobIndex, at: UnixMillis, links: Links) {
        let unsorted = self.lists[UNSORTED];
        let is_unsorted = unsorted.first == job.0 || unsorted.last == job.0;
        let place = if is_unsorted { UNSORTED } else { self.place_of(at.0) };
        let list = &mut self.lists[place];
        if links.prev == Links::END {
            assert_eq!(list.first, job.0, "a job without predecessor is the first of its list");
            list.first = links.next;
        }
        if links.next == Links::END {
            assert_eq!(list.last, job.0, "a job without successor is the last of its list");
            list.last = links.prev;
        }
        if list.is_empty() {
            self.empty(place);
        }
    }

    /// Notes that a list has no jobs any more.
    fn empty(&mut self, place: usize) {
        self.lists[place] = List::EMPTY;
        if place < FAR {
            self.occupied[place / SLOTS] &= !(1 << (place % SLOTS));
        }
    }

    /// Recounts everything.
    pub(crate) fn audit(&self, jobs: &JobTable) -> Result<(), String> {
        let mut len = 0;
        for place in 0..LISTS {
            len += self.audit_list(jobs, place)?;
        }
        let with_time = jobs.iter().filter(|(_, job)| !job.awake_at.is_never()).count();
        if len != self.len || with_time != self.len {
            return Err(format!("{len} jobs in the lists, {with_time} with a time, {} counted", self.len));
        }
        Ok(())
    }

    fn audit_list(&self, jobs: &JobTable, place: usize) -> Result<usize, String> {
        let list = self.lists[place];
        if place < FAR && (self.occupied[place / SLOTS] >> (place % SLOTS) & 1 == 1) == list.is_empty() {
            return Err(format!("list {place}: the occupancy bit is wrong"));
        }
        let (mut len, mut prev, mut next) = (0, Links::END, list.first);
        while next != Links::END {
            let Some(job) = jobs.get(JobIndex(next)) else {
                return Err(format!("list {place}: slot {next} holds no job"));
            };
            if job.links.prev != prev || len > self.len {
                return Err(format!("list {place}: {} has a wrong predecessor", job.id));
            }
            let at = job.awake_at;
            if at.is_never() || at.0 < self.time || (place != UNSORTED && self.place_of(at.0) != place) {
                return Err(format!("list {place}: {} at {at:?} does not belong there", job.id));
            }
            (prev, next) = (next, job.links.next);
            len += 1;
        }
        if list.last != prev {
            return Err(format!("list {place}: ends with {prev}, not {}", list.last));
        }
        Ok(len)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::job::tests::sample;
    use super::*;

    const START: u64 = 1_800_000_000_000;

    fn world(len: u32) -> (JobTable, AwakeWheel) {
        let mut jobs = JobTable::new(1);
        (0..len).for_each(|n| assert_eq!(jobs.insert(sample(n, 1)), JobIndex(n)));
        (jobs, AwakeWheel::new(UnixMillis(START)))
    }

    /// Pops all that is due and tells which and how many calls it took.
    fn pop_all(jobs: &mut JobTable, wheel: &mut AwakeWheel, now: u64) -> (Vec<u32>, usize) {
        let (mut popped, mut calls) = (Vec::new(), 0);
        while wheel.next_deadline().is_some_and(|deadline| deadline.0 <= now) {
            popped.extend(wheel.pop_due(jobs, UnixMillis(now)).map(|job| job.0));
            calls += 1;
            assert!(calls < 10_000, "popping makes no progress");
        }
        assert_eq!(wheel.pop_due(jobs, UnixMillis(now)), None);
        (popped, calls)
    }

    #[test]
    fn a_job_is_due_at_its_millisecond_and_not_before() {
        for delay in [0, 1, 63, 64, 65, 4095, 4096, 300_000, 86_400_000, 1 << 41, 1 << 42, 5 << 42] {
            let (mut jobs, mut wheel) = world(1);
            let at = START + delay;
            wheel.set(&mut jobs, JobIndex(0), UnixMillis(at));
            assert!(pop_all(&mut jobs, &mut wheel, at - 1).0.is_empty(), "{delay} too early");
            assert_eq!(wheel.next_deadline(), Some(UnixMillis(at)), "exact when it is near");
            assert_eq!(pop_all(&mut jobs, &mut wheel, at).0, [0], "{delay}");
            assert_eq!((wheel.len(), wheel.next_deadline()), (0, None));
            assert!(jobs[JobIndex(0)].awake_at.is_never());
        }
    }

    #[test]
    fn the_past_is_due_at_once() {
        let (mut jobs, mut wheel) = world(2);
        wheel.set(&mut jobs, JobIndex(0), UnixMillis(START + 10));
        wheel.set(&mut jobs, JobIndex(1), UnixMillis(0));
        assert_eq!(wheel.next_deadline(), Some(UnixMillis(START)));
        assert_eq!(pop_all(&mut jobs, &mut wheel, START).0, [1]);
    }

    #[test]
    fn jobs_of_one_millisecond_are_popped_in_the_order_in_which_they_were_set() {
        let (mut jobs, mut wheel) = world(9);
        for n in (0..9).rev() {
            wheel.set(&mut jobs, JobIndex(n), UnixMillis(START + 1_000_000));
        }
        let popped = pop_all(&mut jobs, &mut wheel, START + 1_000_000).0;
        assert_eq!(popped, [8, 7, 6, 5, 4, 3, 2, 1, 0], "also through several levels and pieces");
    }

    #[test]
    fn never_cancels_and_cancelling_twice_does_nothing() {
        let (mut jobs, mut wheel) = world(1);
        wheel.set(&mut jobs, JobIndex(0), UnixMillis(START + 5));
        wheel.set(&mut jobs, JobIndex(0), UnixMillis::NEVER);
        wheel.cancel(&mut jobs, JobIndex(0));
        assert_eq!((wheel.len(), wheel.next_deadline()), (0, None));
        wheel.audit(&jobs).unwrap();
    }

    #[test]
    fn one_call_sorts_in_a_bounded_number_of_jobs() {
        let (mut jobs, mut wheel) = world(100);
        (0..100).for_each(|n| wheel.set(&mut jobs, JobIndex(n), UnixMillis(START + 100_000)));
        // Each job passes at most the levels between that of 100 s and the lowest.
        let (popped, calls) = pop_all(&mut jobs, &mut wheel, START + 100_000);
        assert_eq!(popped.len(), 100);
        assert!(calls > 100 + 100 / SORTED_PER_CALL, "{calls} calls: some were interrupted");
    }

    #[derive(Clone, Debug)]
    enum Op {
        Set(u32, i64),
        Never(u32),
        Cancel(u32),
        /// A few calls, as an engine with little patience would do.
        PopSome(u64, usize),
        PopAll(u64),
        /// A driver that sleeps exactly until the deadline.
        FollowDeadline,
    }

    fn span() -> impl Strategy<Value = u64> {
        (0..45u32, any::<u64>()).prop_map(|(bits, random)| random & ((1 << bits) - 1))
    }

    fn op(jobs: u32) -> impl Strategy<Value = Op> {
        prop_oneof![
            12 => (0..jobs, span()).prop_map(|(job, ahead)| Op::Set(job, ahead as i64)),
            8 => (0..jobs, 0..300i64).prop_map(|(job, ahead)| Op::Set(job, ahead)),
            1 => (0..jobs, span()).prop_map(|(job, ago)| Op::Set(job, -(ago as i64))),
            1 => (0..jobs).prop_map(Op::Never),
            4 => (0..jobs).prop_map(Op::Cancel),
            4 => (span(), 1..5usize).prop_map(|(wait, calls)| Op::PopSome(wait >> 10, calls)),
            2 => span().prop_map(|wait| Op::PopAll(wait >> 5)),
            4 => Just(Op::FollowDeadline),
        ]
    }

    struct World {
        jobs: JobTable,
        wheel: AwakeWheel,
        model: Vec<Option<u64>>,
        now: u64,
    }

    impl World {
        fn run(&mut self, op: Op) {
            match op {
                Op::Set(job, ahead) => {
                    let at = self.now.saturating_add_signed(ahead);
                    self.wheel.set(&mut self.jobs, JobIndex(job), UnixMillis(at));
                    let kept = self.jobs[JobIndex(job)].awake_at.0;
                    assert!(kept == at || at < kept && kept <= self.now, "{at} became {kept}");
                    self.model[job as usize] = Some(kept);
                }
                Op::Never(job) => {
                    self.wheel.set(&mut self.jobs, JobIndex(job), UnixMillis::NEVER);
                    self.model[job as usize] = None;
                }
                Op::Cancel(job) => {
                    self.wheel.cancel(&mut self.jobs, JobIndex(job));
                    self.model[job as usize] = None;
                }
                Op::PopSome(wait, calls) => {
                    self.now += wait;
                    for _ in 0..calls {
                        self.pop();
                    }
                }
                Op::PopAll(wait) => {
                    self.now += wait;
                    self.pop_all();
                }
                Op::FollowDeadline => {
                    let Some(deadline) = self.wheel.next_deadline() else { return };
                    self.now = self.now.max(deadline.0);
                    self.pop_all();
                }
            }
        }

        fn pop_all(&mut self) {
            let mut interrupted = 0;
            loop {
                if self.pop().is_none() {
                    interrupted += 1;
                    if self.wheel.next_deadline().is_none_or(|deadline| deadline.0 > self.now) {
                        break;
                    }
                }
                assert!(interrupted < 1_000, "no progress");
            }
            let due = self.model.iter().flatten().filter(|at| **at <= self.now).count();
            assert_eq!(due, 0, "still due after all was popped");
        }

        fn pop(&mut self) -> Option<JobIndex> {
            let job = self.wheel.pop_due(&mut self.jobs, UnixMillis(self.now))?;
            let at = self.model[job.0 as usize].take().expect("only jobs that were set are popped");
            assert!(at <= self.now, "popped at {} before its time {at}", self.now);
            assert!(self.model.iter().flatten().all(|other| *other >= at), "an earlier one is left");
            assert!(self.jobs[job].awake_at.is_never());
            Some(job)
        }

        fn check(&self) {
            assert_eq!(self.wheel.audit(&self.jobs), Ok(()));
            assert_eq!(self.wheel.len(), self.model.iter().flatten().count());
            let first = self.model.iter().flatten().min();
            let deadline = self.wheel.next_deadline();
            assert_eq!(deadline.is_some(), first.is_some());
            assert!(deadline.is_none_or(|deadline| deadline.0 <= *first.unwrap()), "late");
            for (n, at) in self.model.iter().enumerate() {
                assert_eq!(self.jobs[JobIndex(n as u32)].awake_at.0, at.unwrap_or(u64::MAX));
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(512))]
        #[test]
        fn the_wheel_behaves_like_a_sorted_list(ops in prop::collection::vec(op(24), 1..200)) {
            let (jobs, wheel) = world(24);
            let mut world = World { jobs, wheel, model: vec![None; 24], now: START };
            for op in ops {
                world.run(op);
                world.check();
            }
        }
    }
}
