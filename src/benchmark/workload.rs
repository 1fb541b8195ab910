//! The workloads that are one number: which requests are sent, and which part of them is measured.

use hdrhistogram::Histogram;

use super::fault::Fault;
use super::load::{Driven, Limit, Load, Plan};
use super::options::Workload;
use super::peer::Step;
use super::progress::Progress;
use super::report::Findings;
use super::statistics::{Cost, latencies};
use super::target::Target;

/// Jobs that are added before getting or acknowledging is measured, unless `--count` says how many. Takes a
/// fraction of a second and 100 to 200 MB of the server's memory.
const PREFILLED_JOBS: u64 = 500_000;

/// One job from start to end.
pub(super) const CYCLE: &[Step] = &[Step::Add, Step::Get, Step::Ack];

/// Measures all parts of one run.
pub(super) struct Meter<'a> {
    pub(super) target: &'a mut Target,
    pub(super) load: Load,
    pub(super) total: Cost,
    pub(super) latency: Histogram<u64>,
    /// Answers that say that nothing was done, where something was to be done.
    pub(super) voids: u64,
    pub(super) resident_before: Option<u64>,
}

impl Meter<'_> {
    /// Connects; what the connections cost counts as there before.
    pub(super) fn open(target: &mut Target) -> Result<Meter<'_>, Fault> {
        let progress = Progress::new(target.display);
        let load = Load::open(&target.addresses, target.connections, &target.speech, progress)?;
        let resident_before = target.resident();
        let total = Cost { ticks: target.ticks().map(|_| 0), ..Cost::default() };
        Ok(Meter { target, load, total, latency: latencies(), voids: 0, resident_before })
    }

    /// Carries out a part of the run that counts.
    pub(super) fn measure(&mut self, steps: &[Step], limit: Limit) -> Result<Cost, Fault> {
        let before = self.target.ticks();
        let plan = Plan { steps, window: self.target.window, limit };
        let driven = self.load.drive(&self.target.speech, plan, &mut self.latency)?;
        self.voids += driven.voids;
        let ticks = self.target.ticks().zip(before).map(|(after, before)| after - before);
        let Driven { operations, jobs, elapsed, .. } = driven;
        let cost = Cost { operations, jobs, elapsed, ticks };
        self.total.add(&cost);
        Ok(cost)
    }

    /// Carries out what must be done before or after.
    pub(super) fn prepare(&mut self, steps: &[Step], limit: Limit) -> Result<(), Fault> {
        let plan = Plan { steps, window: self.target.window, limit };
        self.voids += self.load.drive(&self.target.speech, plan, &mut latencies())?.voids;
        Ok(())
    }

    /// The result.
    pub(super) fn finish(self) -> Result<Findings, Fault> {
        let resident_after = self.target.resident();
        self.target.remove_queues()?;
        Ok(Findings::new(self.total, &self.latency, self.voids, self.resident_before, resident_after))
    }
}

/// Runs a workload of this file once.
pub(super) fn run(target: &mut Target) -> Result<Findings, Fault> {
    let workload = target.workload;
    let limit = target.count.map_or(Limit::Time(target.duration), Limit::Jobs);
    let mut meter = Meter::open(target)?;
    match workload {
        Workload::Ping => meter.measure(&[Step::Ping], limit).map(drop)?,
        Workload::Add => staged(&mut meter, Step::Add)?,
        Workload::Get => staged(&mut meter, Step::Get)?,
        Workload::Ack => staged(&mut meter, Step::Ack)?,
        _ => {
            let waiting = meter.target.waiting;
            meter.prepare(&[Step::Add], Limit::Jobs(waiting))?;
            meter.measure(CYCLE, limit)?;
            // As many as were added before: who added them does not matter to whoever takes them out.
            meter.prepare(&[Step::Get, Step::Ack], Limit::Jobs(waiting))?;
        }
    }
    meter.finish()
}

/// Adds many jobs, gets them all, acknowledges them all, and measures one of the three; again until it has taken
/// long enough.
fn staged(meter: &mut Meter<'_>, measured: Step) -> Result<(), Fault> {
    let jobs = meter.target.count.unwrap_or(PREFILLED_JOBS);
    loop {
        for step in CYCLE {
            let limit = match step {
                Step::Get => Limit::Added,
                Step::Ack => Limit::Held,
                Step::Add | Step::Ping => Limit::Jobs(jobs),
            };
            if *step == measured {
                meter.measure(&[*step], limit)?;
            } else {
                meter.prepare(&[*step], limit)?;
            }
        }
        if meter.target.count.is_some() || meter.total.elapsed >= meter.target.duration {
            return Ok(());
        }
    }
}
