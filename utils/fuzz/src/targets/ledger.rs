//! What clients may believe of a node alone, kept by looking at requests and replies only.
//!
//! * A job that was added is there, with its queue and body, until it is deleted, acknowledged or expired.
//! * Nothing is delivered that was not added, nor after it is gone, nor from a queue that is paused in output.
//! * A job with RETRY 0 is delivered at most once. Once it was, it may be evicted: the only uncertainty.
//! * The jobs of one queue come in the order of their creation.

use std::collections::BTreeMap;

use disque::engine::{Effects, JobDetails, JobRow, PauseState, Rows};
use disque::types::{JobId, Millis, UnixMillis};

/// What is known about a job.
#[derive(Debug)]
struct Known {
    queue: Vec<u8>,
    body: Vec<u8>,
    expires: UnixMillis,
    at_most_once: bool,
    delivered: bool,
    /// How many jobs were added before it.
    serial: usize,
}

impl Known {
    fn may_be_evicted(&self) -> bool {
        self.at_most_once && self.delivered
    }
}

/// All that clients may believe.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    /// Jobs that are there.
    jobs: BTreeMap<JobId, Known>,
    /// All IDs ever told, in the order of creation.
    ids: Vec<JobId>,
    paused: BTreeMap<Vec<u8>, PauseState>,
}

/// Why rows of jobs are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// They were handed out.
    Delivery,
    /// They were shown, oldest first.
    Peek,
    /// They were shown, newest first.
    PeekBack,
}

impl Ledger {
    /// All IDs that were ever told.
    pub(super) fn ids(&self) -> &[JobId] {
        &self.ids
    }

    /// A job was added.
    pub(super) fn added(&mut self, id: JobId, queue: &[u8], body: Vec<u8>, expires: UnixMillis, once: bool) {
        assert!(!self.paused(queue).input, "a job entered a queue that is paused in input");
        let serial = self.ids.len();
        let known =
            Known { queue: queue.to_vec(), body, expires, at_most_once: once, delivered: false, serial };
        assert!(self.jobs.insert(id, known).is_none(), "{id} was given twice");
        self.ids.push(id);
    }

    /// Jobs were deleted, or acknowledged, which on a node alone is the same. `count` is what was replied.
    pub(super) fn gone(&mut self, ids: &[Vec<u8>], count: i64) {
        let (mut certain, mut possible) = (0, 0);
        for id in ids.iter().filter_map(|text| JobId::parse(text).ok()) {
            if let Some(known) = self.jobs.remove(&id) {
                certain += i64::from(!known.may_be_evicted());
                possible += 1;
            }
        }
        assert!((certain..=possible).contains(&count), "{count} jobs went, not {certain} to {possible}");
    }

    /// Time has passed, and all timers that were due have fired.
    pub(super) fn expire(&mut self, now: UnixMillis) {
        self.jobs.retain(|_, known| known.expires > now);
    }

    /// All jobs and queues were forgotten.
    pub(super) fn clear(&mut self) {
        self.jobs.clear();
        self.paused.clear();
    }

    /// A queue was paused or opened.
    pub(super) fn pause(&mut self, queue: &[u8], state: PauseState) {
        self.paused.insert(queue.to_vec(), state);
    }

    /// How a queue is paused.
    pub(super) fn paused(&self, queue: &[u8]) -> PauseState {
        self.paused.get(queue).copied().unwrap_or_default()
    }

    /// Rows of jobs were told.
    pub(super) fn rows(&mut self, effects: &Effects, rows: Rows, look: Look, asked: &[Vec<u8>]) {
        let mut last: BTreeMap<&[u8], usize> = BTreeMap::new();
        for row in effects.rows(rows) {
            let queue = effects.queue(row);
            assert!(asked.iter().any(|name| name == queue), "a job of a queue that nobody asked for");
            let serial = self.row(row, effects, look);
            let previous = last.insert(queue, serial);
            let in_order = previous.is_none_or(|previous| (previous < serial) != (look == Look::PeekBack));
            assert!(in_order, "{look:?} tells {} out of order", row.id);
        }
    }

    fn row(&mut self, row: &JobRow, effects: &Effects, look: Look) -> usize {
        let queue = effects.queue(row);
        let closed = self.paused(queue).output;
        let known =
            self.jobs.get_mut(&row.id).unwrap_or_else(|| panic!("{look:?} of {}, which is gone", row.id));
        assert_eq!(known.queue, queue, "the queue of {}", row.id);
        assert!(known.body == effects.body(row).bytes(), "the body of {}", row.id);
        assert!(!known.may_be_evicted(), "{look:?} of {} after its one delivery", row.id);
        if look == Look::Delivery {
            assert!(!closed, "{} came out of a queue that is paused in output", row.id);
            known.delivered = true;
        }
        known.serial
    }

    /// SHOW told something about a job, or that there is none.
    pub(super) fn shown(&self, id: JobId, details: Option<&JobDetails>, now: UnixMillis) {
        match (self.jobs.get(&id), details) {
            (None, None) => {}
            (Some(known), None) => assert!(known.may_be_evicted(), "{id} was lost"),
            (None, Some(_)) => panic!("{id} came back"),
            (Some(known), Some(details)) => {
                assert_eq!(details.id, id);
                assert_eq!(details.queue.as_deref(), Some(&known.queue[..]));
                assert_eq!(details.body.as_ref().map(|body| body.bytes()), Some(&known.body[..]));
                assert_eq!(details.ttl, known.expires.since(now));
                assert_eq!(details.retry == Millis(0), known.at_most_once);
            }
        }
    }

    /// So many jobs are known to the engine.
    pub(super) fn count(&self, jobs: usize) {
        let uncertain = self.jobs.values().filter(|known| known.may_be_evicted()).count();
        let certain = self.jobs.len() - uncertain;
        assert!(
            (certain..=self.jobs.len()).contains(&jobs),
            "{jobs} jobs, not {certain} to {}",
            self.jobs.len()
        );
    }
}
