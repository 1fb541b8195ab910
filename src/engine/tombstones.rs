//! The IDs of jobs that were forgotten a moment ago, so that a late message does not bring one back to life (W6 and
//! W12 of reliability.md).
//!
//! Two generations: the younger takes new IDs; when it is full or old it becomes the elder, whose IDs are forgotten.
//! An ID is remembered for one to two lifetimes, or for at least a generation's number of others. Memory is bounded.

use foldhash::fast::FixedState;
use hashbrown::HashSet;

use crate::types::{JobId, Millis, UnixMillis};

/// How long a generation takes new IDs: longer than any message is under way.
const LIFETIME: Millis = Millis(60_000);
/// How long an ID is remembered at the most.
const LONGEST: Millis = Millis(2 * LIFETIME.0);
/// How many IDs a generation takes: 100,000 jobs per second are remembered for over half a second, by which time
/// what was sent before on a link that works has arrived.
const CAPACITY: usize = 1 << 16;

/// IDs of jobs that are gone.
#[derive(Debug)]
pub(super) struct Tombstones {
    young: HashSet<u64, FixedState>,
    old: HashSet<u64, FixedState>,
    /// When the younger generation began.
    since: UnixMillis,
}

impl Tombstones {
    pub(super) fn new(seed: u64) -> Tombstones {
        let hasher = FixedState::with_seed(seed);
        Tombstones {
            young: HashSet::with_hasher(hasher.clone()),
            old: HashSet::with_hasher(hasher),
            since: UnixMillis(0),
        }
    }

    /// Remembers that a job is gone.
    pub(super) fn insert(&mut self, job: JobId, now: UnixMillis) {
        if self.young.len() >= CAPACITY || now.since(self.since) >= LIFETIME {
            std::mem::swap(&mut self.young, &mut self.old);
            self.young.clear();
            if now.since(self.since) >= LONGEST {
                self.old.clear();
            }
            self.since = now;
        }
        self.young.insert(mark(&job));
    }

    /// Whether a job is known to be gone.
    pub(super) fn contains(&self, job: &JobId, now: UnixMillis) -> bool {
        let (age, mark) = (now.since(self.since), mark(job));
        let fresh = age < LONGEST && self.young.contains(&mark);
        fresh || (age < LIFETIME && self.old.contains(&mark))
    }

    /// Forgets all of them.
    pub(super) fn clear(&mut self) {
        self.young.clear();
        self.old.clear();
    }

    /// Bytes held, as far as they count against the memory limit.
    pub(super) fn bytes(&self) -> usize {
        (self.young.capacity() + self.old.capacity()) * (size_of::<u64>() + 1)
    }
}

/// What is remembered of an ID: 64 of its bits, mixed, because memory that is not in the cache is what a tombstone
/// costs. Among 131,072 of them one of a hundred million million new jobs looks like one that is gone.
fn mark(job: &JobId) -> u64 {
    let [first, second, third] = job.words();
    (second ^ first.rotate_left(32)).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ third
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u32) -> JobId {
        let mut random = [0; 18];
        random[..4].copy_from_slice(&number.to_be_bytes());
        JobId::new([1, 2, 3, 4], random, Millis(60_000), true)
    }

    #[test]
    fn a_job_is_remembered_for_a_lifetime_and_forgotten_after_two() {
        let mut tombstones = Tombstones::new(1);
        let start = UnixMillis(1_000_000);
        tombstones.insert(id(1), start);
        assert!(tombstones.contains(&id(1), start + Millis(119_999)) && !tombstones.contains(&id(2), start));
        assert!(!tombstones.contains(&id(1), start + Millis(120_000)));
        tombstones.insert(id(2), start + Millis(60_000));
        assert!(tombstones.contains(&id(1), start + Millis(119_999)));
        assert!(!tombstones.contains(&id(1), start + Millis(120_000)));
        assert!(tombstones.contains(&id(2), start + Millis(120_000)));
    }

    #[test]
    fn memory_is_bounded_and_the_latest_are_remembered() {
        let mut tombstones = Tombstones::new(1);
        let now = UnixMillis(1_000_000);
        (0..200_000).for_each(|number| tombstones.insert(id(number), now));
        assert!((140_000..200_000).all(|number| tombstones.contains(&id(number), now)));
        assert!(tombstones.bytes() < 8 << 20, "{} bytes", tombstones.bytes());
    }
}
