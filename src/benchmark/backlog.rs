//! The backlog: a queue that is filled and then drained, in slices, so that it shows if cost grows with length.

use redis_protocol::resp2::types::OwnedFrame;
use serde_json::json;

use super::fault::Fault;
use super::load::Limit;
use super::peer::{Peer, Step};
use super::report::Findings;
use super::side::Side;
use super::statistics::{Cost, ratio};
use super::target::Target;
use super::workload::Meter;

/// How many pieces filling, and draining, is measured in.
const SLICES: u64 = 10;
const FILL: &[Step] = &[Step::Add];
const DRAIN: &[Step] = &[Step::Get, Step::Ack];

/// How long the turns of the server's event loop took, as it tells itself.
struct LoopTurns {
    max_micros: Option<u64>,
    histogram: String,
}

/// Fills the queue with so many jobs, then drains it.
pub(super) fn run(target: &mut Target, jobs: u64) -> Result<Findings, Fault> {
    let before = loop_turns(target)?;
    let mut meter = Meter::open(target)?;
    let mut text = String::new();
    let mut slices = Vec::new();
    let mut resident_full = None;
    let mut totals = Vec::new();
    for (name, steps) in [("fill", FILL), ("drain", DRAIN)] {
        let mut total = Cost { ticks: Some(0), ..Cost::default() };
        for number in 0..SLICES {
            // The remainder goes to the slices one by one, so that all jobs are in some slice.
            let share = jobs * (number + 1) / SLICES - jobs * number / SLICES;
            if share == 0 {
                continue;
            }
            let cost = meter.measure(steps, Limit::Jobs(share))?;
            total.add(&cost);
            text.push_str(&slice_text(name, number, &cost));
            slices.push(json!({
                "slice": format!("{name} {}", number + 1),
                "operations_per_second": cost.operations_per_second(),
                "cpu_usec_per_operation": cost.cpu_per_operation(),
            }));
        }
        resident_full = resident_full.or_else(|| meter.target.resident());
        totals.push((name, total));
    }
    let after = loop_turns(meter.target)?;
    // Each was counted when it was added and when it was taken out.
    meter.total.jobs = jobs;
    let mut findings = meter.finish()?;
    let bytes = findings.resident_growth(resident_full).map(|growth| growth / jobs as f64);
    text.push_str(&loop_text("before", &before));
    text.push_str(&loop_text("after", &after));
    findings.text.insert_str(0, &text);
    for (name, total) in totals {
        let per_second = ratio(jobs as f64, total.elapsed.as_secs_f64());
        findings.note(&format!("{name}_jobs_per_second"), json!(per_second));
        findings.note(&format!("{name}_cpu_usec_per_job"), json!(total.cpu_per(jobs)));
        if let Some(cpu) = total.cpu_per(jobs) {
            findings.text.push_str(&format!("  {name}: {cpu:.3} us of processor time per job\n"));
        }
    }
    findings.note("rss_full", json!(resident_full));
    findings.note("rss_per_job", json!(bytes));
    findings.note("loop_turn_max_usec_before", json!(before.max_micros));
    findings.note("loop_turn_max_usec_after", json!(after.max_micros));
    findings.note("slices", json!(slices));
    if let Some(bytes) = bytes {
        findings.text.push_str(&format!("  resident memory per job {bytes:.0} bytes\n"));
    }
    Ok(findings)
}

fn slice_text(name: &str, number: u64, cost: &Cost) -> String {
    let cpu = cost.cpu_per_operation().map_or(String::new(), |cpu| format!("{cpu:10.3} us/op"));
    format!("  {name:5} {:2}/{SLICES} {:12.0} op/s{cpu}\n", number + 1, cost.operations_per_second())
}

fn loop_turns(target: &mut Target) -> Result<LoopTurns, Fault> {
    let (Peer::Disque, Side::Resp(control)) = (target.speech.peer, &mut target.side) else {
        return Ok(LoopTurns { max_micros: None, histogram: String::new() });
    };
    let max_micros = control.info("loop_turn_max_usec")?;
    let rows = control.ask([b"DEBUG", b"LOOP-HISTOGRAM"])?;
    Ok(LoopTurns { max_micros, histogram: histogram_text(&rows) })
}

/// Rows of upper bound and count, as `bound:count` words.
fn histogram_text(rows: &OwnedFrame) -> String {
    let OwnedFrame::Array(rows) = rows else { return String::new() };
    let word = |row: &OwnedFrame| match row {
        OwnedFrame::Array(pair) => match pair.as_slice() {
            [OwnedFrame::Integer(bound), OwnedFrame::Integer(count)] => Some(format!("{bound}:{count}")),
            _ => None,
        },
        _ => None,
    };
    rows.iter().filter_map(word).collect::<Vec<_>>().join(" ")
}

fn loop_text(when: &str, turns: &LoopTurns) -> String {
    let Some(max) = turns.max_micros else { return String::new() };
    format!("  loop turns {when}: longest {max} us; up to us:count {}\n", turns.histogram)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn histogram_rows_become_words() {
        let row =
            |bound, count| OwnedFrame::Array(vec![OwnedFrame::Integer(bound), OwnedFrame::Integer(count)]);
        let rows = OwnedFrame::Array(vec![row(8, 3), row(64, 1)]);
        assert_eq!(histogram_text(&rows), "8:3 64:1");
        assert_eq!(histogram_text(&OwnedFrame::Null), "");
    }
}
