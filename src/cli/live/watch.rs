//! `--watch QUEUE`: one queue on all nodes together, a line at a time.

use std::io::{self, Write as _};

use super::pace::Pace;
use super::queues::{Total, totals};
use super::stat::{number, queue_object, rate, span};
use super::view::{Asked, View};
use crate::cli::Exit;
use crate::cli::cluster::{Cluster, Fault};
use crate::types::counted;

/// The header comes again after so many lines.
const LINES_PER_HEADER: usize = 20;

pub(super) fn run(cluster: Cluster, queue: &[u8], pace: &mut Pace, as_json: bool) -> Result<Exit, Fault> {
    let mut view = View::open(cluster, Asked::Queue(queue.to_vec()))?;
    let mut lines = 0;
    while pace.wait() {
        view.look();
        let total = totals(&view.places).remove(queue).unwrap_or_default();
        let mut stdout = io::stdout().lock();
        if as_json {
            writeln!(stdout, "{}", queue_object(queue, &total))?;
        } else {
            if lines % LINES_PER_HEADER == 0 {
                writeln!(
                    stdout,
                    "{:>10} {:>10} {:>10} {:>10} {:>8} {:>8} {:>7}  faults",
                    "jobs", "in-flight", "in/s", "out/s", "oldest", "waiting", "nodes"
                )?;
            }
            writeln!(stdout, "{}", line(&total, &view))?;
        }
        stdout.flush()?;
        lines += 1;
    }
    Ok(if view.is_whole() { Exit::Success } else { Exit::Refused })
}

fn line(total: &Total, view: &View) -> String {
    let oldest = total.oldest.filter(|_| total.jobs > 0).map_or("-".to_string(), span);
    let mut faults = Vec::new();
    if total.nodes == 0 {
        faults.push("no node has this queue".to_string());
    }
    if total.paused > 0 {
        faults.push(format!("paused on {}", counted(total.paused, "node", "nodes")));
    }
    let lost = view.places.iter().filter(|place| place.fault.is_some());
    faults.extend(lost.map(|place| format!("{} unreachable", place.address)));
    let (into, out) = (rate(total.into), rate(total.out));
    let (jobs, in_flight, waiting, nodes) = (total.jobs, number(total.in_flight), total.waiting, total.nodes);
    let faults = faults.join(", ");
    format!("{jobs:>10} {in_flight:>10} {into:>10} {out:>10} {oldest:>8} {waiting:>8} {nodes:>7}  {faults}")
        .trim_end()
        .to_string()
}
