//! Recounting everything that is kept twice. For tests, simulations and DEBUG; linear in all jobs.

use std::collections::BTreeMap;

use super::job::{JobFlags, JobIndex, NameId};
use super::request::JobState;
use super::{Engine, requeue};
use crate::types::NodeIndex;

impl Engine {
    /// Compares index, slab, lanes, timers, waiting clients, nodes and the memory account with each other.
    ///
    /// An error says which two things contradict each other; it is always a defect of the engine.
    pub fn audit(&self) -> Result<(), String> {
        self.nodes.table.audit()?;
        self.jobs.audit()?;
        self.wheel.audit(&self.jobs)?;
        self.nodes.audit()?;
        let mut jobs_of: BTreeMap<u32, (u32, u32)> = BTreeMap::new();
        let mut queued_of: BTreeMap<u32, usize> = BTreeMap::new();
        let mut bytes = 0;
        let mut in_state = [0; 4];
        for (index, job) in self.jobs.iter() {
            bytes += job.heap_bytes();
            in_state[job.state as usize] += 1;
            if job.queue != NameId::NONE {
                let (jobs, in_flight) = jobs_of.entry(job.queue.0).or_default();
                *jobs += 1;
                *in_flight += u32::from(job.is_in_flight());
            }
            if job.state == JobState::Queued {
                *queued_of.entry(job.queue.0).or_default() += 1;
            }
            self.audit_job(index)?;
        }
        if bytes != self.memory.jobs {
            return Err(format!("jobs hold {bytes} bytes, {} are accounted", self.memory.jobs));
        }
        if in_state != self.in_state {
            return Err(format!("jobs by state: {:?} counted, {in_state:?} exist", self.in_state));
        }
        self.queues.audit(|name| jobs_of.get(&name.0).copied().unwrap_or_default())?;
        for slot in 0..self.queues.slots() {
            let Some((name, queue)) = self.queues.slot(slot) else { continue };
            queue.lanes.audit(&self.jobs)?;
            let queued = queued_of.get(&name.0).copied().unwrap_or(0);
            if queue.lanes.len() != queued {
                return Err(format!("queue {slot} counts {} jobs, {queued} are queued", queue.lanes.len()));
            }
            let waiting = self.waiters.count_in(name);
            if queue.line.len() != waiting {
                return Err(format!("queue {slot} counts {} waiters, {waiting} wait", queue.line.len()));
            }
            if !queue.pause.output && !queue.lanes.is_empty() && waiting > 0 {
                return Err(format!("queue {slot} has jobs and waiting clients at rest"));
            }
        }
        Ok(())
    }

    fn audit_job(&self, index: JobIndex) -> Result<(), String> {
        let job = &self.jobs[index];
        let must_wake = requeue::next_awake(job);
        // What should have been done already is done at once.
        if job.awake_at > must_wake.max(self.now) {
            return Err(format!("job {} wakes at {:?}, not by {must_wake:?}", job.id, job.awake_at));
        }
        let waits = job.state == JobState::WaitReplication;
        if waits != self.pending.is_waited_for(index) {
            return Err(format!("job {} is {:?}, but its client disagrees", job.id, job.state));
        }
        if job.flags.contains(JobFlags::ON_DISK) && !waits {
            return Err(format!("job {} is {:?}, and still waits for disks", job.id, job.state));
        }
        let keeps_nothing = !job.delivered.contains(NodeIndex::MYSELF) && !waits && !job.is_dummy();
        if keeps_nothing {
            return Err(format!("job {} is held here, but not by its own list", job.id));
        }
        if job.state == JobState::Queued && self.queues.queue(job.queue).is_none() {
            return Err(format!("job {} is queued in a queue that does not exist", job.id));
        }
        Ok(())
    }
}
