//! The loop of a worker: fetch, work, acknowledge, and survive what goes wrong on the way.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use super::renewal::Renewal;
use super::{Client, Config, Error, GetOptions, Job, JobId};

/// How long one GETJOB waits, and so how soon an idle worker notices that it is to stop. Ending the wait by closing
/// the connection would be quicker, but a job may just be on its way.
const WAIT: Duration = Duration::from_millis(500);
/// Pauses after failures double between these two.
const PAUSE_MIN: Duration = Duration::from_millis(20);
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// Fetches jobs and hands them to a function, one at a time. For more at a time run several, each in its thread.
///
/// * `Ok` acknowledges the job. `Err` gives it back (NACK), and after each failure in a row the worker pauses longer,
///   20 ms to 5 s, so that a job that always fails does not spin.
/// * While jobs are held, WORKING renews their leases before the retry time is over. That needs a retry time of a
///   second or more.
/// * Lost nodes are replaced by others, as long as it takes. Only what waiting cannot mend ends the loop: a wrong
///   password, a refused command.
pub struct Worker {
    config: Config,
    queues: Vec<Vec<u8>>,
    count: u32,
    first_renewal: Duration,
    stop: Stop,
}

/// Ends a [`Worker`] from elsewhere. Clones end the same worker.
#[derive(Clone, Default)]
pub struct Stop {
    shared: Arc<(Mutex<bool>, Condvar)>,
}

impl Stop {
    /// The worker finishes the job at hand, queues again those that it has not begun, and returns.
    pub fn stop(&self) {
        *self.shared.0.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.shared.1.notify_all();
    }

    /// Whether somebody said so.
    pub fn is_stopped(&self) -> bool {
        *self.shared.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn pause(&self, pause: Duration) {
        let stopped = self.shared.0.lock().unwrap_or_else(PoisonError::into_inner);
        drop(self.shared.1.wait_timeout_while(stopped, pause, |stopped| !*stopped));
    }
}

/// What a worker did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Jobs done and acknowledged.
    pub done: u64,
    /// Jobs given back because the function failed.
    pub failed: u64,
    /// Jobs fetched but not begun when the worker was stopped; they were queued again.
    pub returned: u64,
    /// Leases renewed by WORKING.
    pub renewed: u64,
    /// How often no node could be used for a while.
    pub interruptions: u64,
}

impl Worker {
    /// A worker on these queues; the first that has jobs is served first.
    pub fn new<Queue: AsRef<[u8]>>(config: Config, queues: impl IntoIterator<Item = Queue>) -> Worker {
        let queues = queues.into_iter().map(|queue| queue.as_ref().to_vec()).collect();
        let first_renewal = Duration::from_millis(400);
        Worker { config, queues, count: 1, first_renewal, stop: Stop::default() }
    }

    /// Fetches up to so many jobs at once, which saves round trips and keeps them from other workers. 1 unless said
    /// otherwise.
    #[must_use]
    pub fn count(self, count: u32) -> Worker {
        Worker { count, ..self }
    }

    /// After how long a job is renewed first; later renewals follow the retry time that WORKING tells. 400 ms unless
    /// said otherwise, since a retry time may be as short as a second; more saves messages if yours is longer.
    #[must_use]
    pub fn first_renewal(self, first_renewal: Duration) -> Worker {
        Worker { first_renewal, ..self }
    }

    /// What ends [`Worker::run`] from another thread.
    pub fn stop_handle(&self) -> Stop {
        self.stop.clone()
    }

    /// Works until stopped. A panic of the function leaves its job to be delivered again at its retry time.
    pub fn run<Failure>(self, mut work: impl FnMut(&Job) -> Result<(), Failure>) -> Result<Report, Error> {
        let mut shift = Shift {
            client: Client::new(self.config.clone()),
            renewal: Renewal::start(self.config.clone(), self.first_renewal)?,
            stop: &self.stop,
            unacknowledged: Vec::new(),
            pause: PAUSE_MIN,
            report: Report::default(),
        };
        let options = GetOptions::new().count(self.count).timeout(WAIT);
        while !self.stop.is_stopped() {
            match shift.acknowledge().and_then(|()| shift.client.get_jobs(&self.queues, options)) {
                Ok(jobs) => shift.batch(&jobs, &mut work),
                Err(error) if error.is_passing() => shift.interrupted(),
                Err(error) => return Err(error),
            }
        }
        shift.acknowledge()?;
        shift.report.renewed = shift.renewal.renewed();
        Ok(shift.report)
    }
}

/// A worker at work.
struct Shift<'a> {
    client: Client,
    renewal: Renewal,
    stop: &'a Stop,
    /// Jobs that are done, but no node could be told yet.
    unacknowledged: Vec<JobId>,
    pause: Duration,
    report: Report,
}

impl Shift<'_> {
    fn batch<Failure>(&mut self, jobs: &[Job], work: &mut impl FnMut(&Job) -> Result<(), Failure>) {
        if jobs.is_empty() {
            // A quiet queue has no failures in a row.
            self.pause = PAUSE_MIN;
        }
        if let Some(node) = self.client.current.as_ref().map(|current| current.session.address().clone()) {
            jobs.iter().for_each(|job| self.renewal.hold(job.id, node.clone()));
        }
        for job in jobs {
            // What is delivered only once cannot be given back.
            if self.stop.is_stopped() && job.id.is_at_least_once() {
                self.give_back(&job.id);
                continue;
            }
            let outcome = work(job);
            self.renewal.release(&job.id);
            match outcome {
                Ok(()) => self.done(job.id),
                Err(_) => self.failed(&job.id),
            }
        }
    }

    fn done(&mut self, id: JobId) {
        self.pause = PAUSE_MIN;
        self.report.done += 1;
        self.unacknowledged.push(id);
        if self.acknowledge().is_err() {
            self.interrupted();
        }
    }

    fn failed(&mut self, id: &JobId) {
        self.report.failed += 1;
        // If it cannot be said now, the retry time says it.
        let _ = self.client.nack(&[*id]);
        self.rest();
    }

    fn give_back(&mut self, id: &JobId) {
        self.renewal.release(id);
        self.report.returned += 1;
        // If it cannot be said now, the retry time says it.
        let _ = self.client.enqueue(&[*id]);
    }

    fn acknowledge(&mut self) -> Result<(), Error> {
        if !self.unacknowledged.is_empty() {
            self.client.ack(&self.unacknowledged)?;
            self.unacknowledged.clear();
        }
        Ok(())
    }

    fn interrupted(&mut self) {
        self.report.interruptions += 1;
        self.rest();
    }

    fn rest(&mut self) {
        self.stop.pause(self.pause);
        self.pause = (self.pause * 2).min(PAUSE_MAX);
    }
}
