//! The stages in the life of a job, one after the other, each with all it costs: also what the servers still do for
//! it after they have answered.

use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use super::fault::Fault;
use super::load::Limit;
use super::peer::Step;
use super::report::Findings;
use super::statistics::Cost;
use super::target::Target;
use super::workload::Meter;

/// Jobs per round, unless `--count` says how many.
const JOBS: u64 = 100_000;
/// The servers have come to rest when they use at most a tick in this time …
const REST: Duration = Duration::from_millis(100);
/// … and this is how long they get for it.
const PATIENCE: Duration = Duration::from_secs(10);

/// Adds jobs, gets them, acknowledges them, again and again until it has taken long enough.
pub(super) fn run(target: &mut Target) -> Result<Findings, Fault> {
    let jobs = target.count.unwrap_or(JOBS);
    let mut meter = Meter::open(target)?;
    let start = meter.total;
    let mut stages = [("add", Step::Add, start), ("get", Step::Get, start), ("ack", Step::Ack, start)];
    loop {
        for (_, step, total) in &mut stages {
            let limit = match step {
                Step::Get => Limit::Added,
                Step::Ack => Limit::Held,
                Step::Add | Step::Ping => Limit::Jobs(jobs),
            };
            let before = meter.target.ticks();
            let cost = meter.measure(&[*step], limit)?;
            wait_for_rest(meter.target);
            let ticks = meter.target.ticks().zip(before).map(|(after, before)| after - before);
            let late = ticks.zip(cost.ticks).map(|(all, counted)| all - counted);
            meter.total.add(&Cost { ticks: late, ..Cost::default() });
            total.add(&Cost { ticks, ..cost });
        }
        if meter.target.count.is_some() || meter.total.elapsed >= meter.target.duration {
            break;
        }
    }
    let all = stages[0].2.operations;
    meter.total.jobs = all;
    let mut findings = meter.finish()?;
    for (name, _, total) in stages {
        findings.note(&format!("{name}_cpu_usec_per_job"), json!(total.cpu_per(all)));
        if let Some(cpu) = total.cpu_per(all) {
            findings.text.push_str(&format!("  {name}: {cpu:.3} us of processor time per job\n"));
        }
    }
    Ok(findings)
}

fn wait_for_rest(target: &Target) {
    let until = Instant::now() + PATIENCE;
    let Some(mut before) = target.ticks() else { return };
    while Instant::now() < until {
        thread::sleep(REST);
        let Some(now) = target.ticks() else { return };
        if now <= before + 1 {
            return;
        }
        before = now;
    }
}
