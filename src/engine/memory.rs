//! Accounted bytes, the two levels of pressure, and what is given up under it (commands.md 13.1).
//!
//! The account is logical: every structure says what it holds, so that the levels do not depend on the
//! allocator and are the same in a simulation. The shell adds its own buffers.

use super::Engine;
use super::job::{Job, JobFlags, JobIndex};
use super::queue_table::IDLE_TIME;
use super::request::JobState;
use super::settings::EvictionPolicy;
use crate::types::{Millis, UnixMillis};

/// How much of `maxmemory` is in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum MemoryLevel {
    /// Up to 75 %, or no limit.
    Normal,
    /// Above 75 %: no new copies are kept here.
    High,
    /// Above 95 %: jobs are evicted, and if that does not help, new ones refused.
    Critical,
}

/// Accounted bytes by use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemoryUse {
    /// Records, bodies, index and queue entries of jobs, and the IDs of those that are just gone.
    pub jobs: u64,
    /// Queues and their names.
    pub queues: u64,
    /// Waiting clients.
    pub waiters: u64,
    /// What the shell reported: connections and buffers.
    pub shell: u64,
}

impl MemoryUse {
    /// All of it.
    pub fn total(&self) -> u64 {
        self.jobs + self.queues + self.waiters + self.shell
    }
}

#[derive(Debug, Default)]
pub(super) struct Memory {
    pub(super) jobs: usize,
    pub(super) waiters: usize,
    pub(super) shell: u64,
    /// Where the search for jobs to evict goes on.
    evict: usize,
    /// Where the sweep for idle queues goes on.
    sweep: usize,
    /// When the sweep goes on, while there is pressure.
    sweep_at: Option<UnixMillis>,
}

impl Memory {
    pub(super) fn add_job(&mut self, bytes: usize) {
        self.jobs += bytes;
    }

    pub(super) fn sub_job(&mut self, bytes: usize) {
        self.jobs -= bytes;
    }

    pub(super) fn forget_jobs(&mut self) {
        self.jobs = 0;
        self.waiters = 0;
    }
}

/// Idle times after which queues go while memory is short (commands.md 4.3).
const IDLE_TIME_HIGH: Millis = Millis(10_000);
const IDLE_TIME_CRITICAL: Millis = Millis(2_000);
/// How often, and how many queues at a time, the sweep looks at while memory is short.
const SWEEP_PERIOD: Millis = Millis(100);
const SWEEP_QUEUES: usize = 1000;
/// How many slots of the job table one eviction looks at. It goes on where the last one ended, so all jobs get
/// their turn; a table of one page is searched at once.
const EVICT_SLOTS: usize = 1024;
/// How many idle queues one call removes at the most.
const IDLE_QUEUES_PER_ADVANCE: usize = 100;

impl Engine {
    /// Accounted bytes.
    pub fn memory_use(&self) -> MemoryUse {
        MemoryUse {
            jobs: (self.memory.jobs + self.tombstones.bytes()) as u64,
            queues: self.queues.bytes() as u64,
            waiters: self.memory.waiters as u64,
            shell: self.memory.shell,
        }
    }

    /// How much of `maxmemory` is in use.
    pub fn memory_level(&self) -> MemoryLevel {
        let max = self.settings.maxmemory;
        if max == 0 {
            return MemoryLevel::Normal;
        }
        match self.memory_use().total() {
            used if used > max / 100 * 95 => MemoryLevel::Critical,
            used if used > max / 100 * 75 => MemoryLevel::High,
            _ => MemoryLevel::Normal,
        }
    }

    pub(super) fn is_short_of_memory(&self) -> bool {
        self.memory_level() == MemoryLevel::Critical
    }

    /// Evicts what the policy allows until memory is no longer critical or nothing more is found.
    pub(super) fn relieve_memory(&mut self) {
        if self.settings.maxmemory_policy == EvictionPolicy::NoEviction {
            return;
        }
        for _ in 0..EVICT_SLOTS.min(self.jobs.slot_count()) {
            // Forgetting the last job of a page may give the page back.
            let slots = self.jobs.slot_count();
            if !self.is_short_of_memory() || slots == 0 {
                return;
            }
            self.memory.evict = (self.memory.evict + 1) % slots;
            let index = JobIndex(self.memory.evict as u32);
            if let Some(job) = self.jobs.get(index).filter(|job| may_be_evicted(job)) {
                if job.state == JobState::Acked {
                    // For a minute or two its other holders are still told (W12 of reliability.md).
                    self.tombstones.insert(job.id, self.now);
                }
                self.forget(index);
            }
        }
    }

    /// When the next queue is to be considered. Under pressure the sweep begins at once, whatever caused it.
    pub(super) fn next_idle_check(&self) -> Option<UnixMillis> {
        let pressing = self.queues.len() > 0 && self.memory_level() > MemoryLevel::Normal;
        let sweep = pressing.then(|| self.memory.sweep_at.unwrap_or(self.now));
        [self.queues.next_idle_check(), sweep].into_iter().flatten().min()
    }

    /// Removes queues that nobody has used for long; sooner while memory is short.
    pub(super) fn retire_idle_queues(&mut self) {
        for _ in 0..IDLE_QUEUES_PER_ADVANCE {
            if !self.queues.consider_idle(self.now) {
                break;
            }
        }
        let idle = match self.memory_level() {
            MemoryLevel::Normal => {
                self.memory.sweep_at = None;
                return;
            }
            MemoryLevel::High => IDLE_TIME_HIGH,
            MemoryLevel::Critical => IDLE_TIME_CRITICAL,
        };
        debug_assert!(idle < IDLE_TIME);
        if self.memory.sweep_at.is_some_and(|at| at > self.now) {
            return;
        }
        for _ in 0..SWEEP_QUEUES.min(self.queues.slots()) {
            self.memory.sweep = (self.memory.sweep + 1) % self.queues.slots();
            self.queues.remove_if_idle(self.memory.sweep, self.now, idle);
        }
        self.memory.sweep_at = Some(self.now + SWEEP_PERIOD);
    }
}

/// Losing an acknowledgement can only cause a duplicate, and a delivered at-most-once job is never delivered again.
fn may_be_evicted(job: &Job) -> bool {
    job.state == JobState::Acked || (job.retry.is_zero() && job.flags.contains(JobFlags::DELIVERED))
}
