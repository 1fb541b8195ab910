//! QSCAN and JSCAN: walking over everything in pieces, without keeping state between them (commands.md 10).
//!
//! The cursor is a slot number. Slots do not move, so whatever lives throughout an iteration is returned exactly
//! once; a cursor from nowhere at worst skips some.

use super::Engine;
use super::job::{Job, NameId};
use super::queue_table::Queue;
use super::reply::Reply;
use super::request::{JScan, JScanReply, QScan, ScanBudget};

/// How many slots are visited for each element asked for.
const SLOTS_PER_ELEMENT: usize = 10;

/// How far one call goes.
struct Extent {
    elements: usize,
    slots: usize,
}

impl ScanBudget {
    fn extent(self) -> Extent {
        match self {
            ScanBudget::Count(count @ 1..) => {
                let elements = usize::try_from(count).unwrap_or(usize::MAX);
                Extent { elements, slots: elements.saturating_mul(SLOTS_PER_ELEMENT) }
            }
            ScanBudget::Count(0) => Extent { elements: 1, slots: 1 },
            ScanBudget::Count(_) | ScanBudget::BusyLoop => Extent { elements: usize::MAX, slots: usize::MAX },
        }
    }
}
use crate::types::UnixMillis;

impl Engine {
    pub(super) fn scan_queues(&self, request: &QScan) -> Reply {
        let extent = request.budget.extent();
        let start = usize::try_from(request.cursor).unwrap_or(usize::MAX);
        let end = start.saturating_add(extent.slots).min(self.queues.slots());
        let mut queues = Vec::new();
        let mut next = end;
        for slot in start..end {
            if let Some((name, queue)) = self.queues.slot(slot)
                && admits(request, queue, self.now)
            {
                queues.push(self.queues.name(name).into());
                if queues.len() >= extent.elements {
                    next = slot + 1;
                    break;
                }
            }
        }
        let cursor = if next >= self.queues.slots() { 0 } else { next as u64 };
        Reply::QueueScan { cursor, queues }
    }

    pub(super) fn scan_jobs(&self, request: &JScan<'_>) -> Reply {
        let extent = request.budget.extent();
        // A queue that this node has never heard of has no jobs here.
        let queue = request.queue.map(|name| self.queues.find(name).unwrap_or(NameId::NONE));
        let admits = |job: &Job| {
            job.queue != NameId::NONE
                && queue.is_none_or(|queue| queue == job.queue)
                && request.states.admits(job.state)
        };
        let mut ids = Vec::new();
        let mut jobs = Vec::new();
        let cursor = self.jobs.scan(request.cursor, extent.slots, |_, job| {
            if admits(job) {
                match request.reply {
                    JScanReply::Id => ids.push(job.id),
                    JScanReply::All => jobs.push(self.job_details(job)),
                }
            }
            ids.len() + jobs.len() < extent.elements
        });
        match request.reply {
            JScanReply::Id => Reply::JobScan { cursor, jobs: ids },
            JScanReply::All => Reply::JobScanAll { cursor, jobs },
        }
    }
}

fn admits(request: &QScan, queue: &Queue, now: UnixMillis) -> bool {
    let len = i64::try_from(queue.lanes.len()).unwrap_or(i64::MAX);
    let rate = queue.traffic.as_ref().map_or(0, |traffic| traffic.import_rate(now));
    let rate = i64::try_from(rate).unwrap_or(i64::MAX);
    request.min_len.is_none_or(|min| len >= min)
        && request.max_len.is_none_or(|max| len <= max)
        && request.import_rate.is_none_or(|min| rate >= min)
}
