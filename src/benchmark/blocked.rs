//! Clients that wait for jobs and get none: what they cost in memory, and in processor time while nothing happens.

use std::io::Write as _;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use super::fault::Fault;
use super::process::TICK_MICROS;
use super::report::Findings;
use super::statistics::{Cost, latencies};
use super::target::Target;
use super::wire::{connect, greet};

/// Within this time all clients must have come to block.
const PATIENCE: Duration = Duration::from_secs(20);
/// How often the server is asked how many do.
const POLL_PERIOD: Duration = Duration::from_millis(20);

/// Lets so many clients wait for a while.
pub(super) fn run(target: &mut Target, clients: u32) -> Result<Findings, Fault> {
    let wanted = target.side.waiting_clients(&target.speech)? + u64::from(clients);
    let resident_before = target.resident();
    let mut streams = Vec::new();
    for number in 0..clients {
        let mut stream = connect(target.addresses[0])?;
        let inbox = format!("_INBOX.{}.{number}", std::process::id()).into_bytes();
        greet(&mut stream, &target.speech.greeting(&inbox))?;
        let mut bytes = Vec::new();
        target.speech.write_wait(&mut bytes, &inbox, number % target.speech.queues.len() as u32);
        stream.write_all(&bytes)?;
        streams.push(stream);
    }
    wait_until_blocked(target, wanted)?;
    let resident_after = target.resident();
    let before = target.ticks();
    let started = Instant::now();
    thread::sleep(target.duration);
    let ticks = target.ticks().zip(before).map(|(after, before)| after - before);
    let cost = Cost { operations: 0, jobs: 0, elapsed: started.elapsed(), ticks };
    drop(streams);
    target.remove_queues()?;
    let mut findings = Findings::new(cost, &latencies(), 0, resident_before, resident_after);
    let bytes = findings.resident_growth(resident_after).map(|growth| growth / f64::from(clients));
    findings.text = format!(
        "  {clients} clients block on {} queues: {} ticks in {:.1} s, {} bytes resident per client\n",
        target.speech.queues.len(),
        ticks.map_or("unknown".to_string(), |ticks| ticks.to_string()),
        cost.elapsed.as_secs_f64(),
        bytes.map_or("unknown".to_string(), |bytes| format!("{bytes:.0}")),
    );
    let busy = ticks.map(|ticks| ticks as f64 * TICK_MICROS as f64 / 1e4 / cost.elapsed.as_secs_f64());
    findings.note("cpu_percent", json!(busy));
    findings.note("clients", json!(clients));
    findings.note("rss_per_client", json!(bytes));
    Ok(findings)
}

fn wait_until_blocked(target: &mut Target, wanted: u64) -> Result<(), Fault> {
    let until = Instant::now() + PATIENCE;
    loop {
        let blocked = target.side.waiting_clients(&target.speech)?;
        if blocked >= wanted {
            return Ok(());
        }
        if Instant::now() > until {
            return Err(Fault::NotBlocked { blocked, wanted });
        }
        thread::sleep(POLL_PERIOD);
    }
}
