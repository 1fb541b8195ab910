//! `--stat`: rates per node and queue, again and again.

use std::io::{self, IsTerminal as _, Write as _};

use serde_json::{Value, json};

use super::pace::Pace;
use super::queues::{Total, totals};
use super::view::{Asked, MOST_QUEUES, Place, View};
use crate::cli::Exit;
use crate::cli::cluster::{Cluster, Fault};
use crate::cli::columns::columns;
use crate::cli::format::{json_text, shown_name};
use crate::types::counted;

/// How many queues the table shows; JSON has all.
const QUEUES_SHOWN: usize = 15;

const NODE_HEADER: [&str; 9] =
    ["node", "state", "jobs", "queued", "memory", "clients", "waiting", "commands/s", "links"];
const QUEUE_HEADER: [&str; 9] =
    ["queue", "paused", "jobs", "in-flight", "in/s", "out/s", "oldest", "waiting", "nodes"];

pub(super) fn run(cluster: Cluster, pace: &mut Pace, as_json: bool) -> Result<Exit, Fault> {
    let mut view = View::open(cluster, Asked::Queues)?;
    let clear = io::stdout().is_terminal() && !as_json;
    while pace.wait() {
        view.look();
        let text = if as_json { format!("{}\n", object(&view)) } else { tables(&view, clear) };
        let mut stdout = io::stdout().lock();
        stdout.write_all(text.as_bytes())?;
        stdout.flush()?;
    }
    Ok(if view.is_whole() { Exit::Success } else { Exit::Refused })
}

fn tables(view: &View, clear: bool) -> String {
    let mut lines = columns(&NODE_HEADER, 2, view.places.iter().map(node_row).collect());
    lines.push(String::new());
    let totals = totals(&view.places);
    let mut rows: Vec<(&Vec<u8>, &Total)> = totals.iter().collect();
    let count = rows.len();
    // What moves first, then what is long.
    let moves = |total: &Total| total.into.unwrap_or(0.0) + total.out.unwrap_or(0.0);
    rows.sort_by(|(_, a), (_, b)| moves(b).total_cmp(&moves(a)).then(b.jobs.cmp(&a.jobs)));
    rows.truncate(QUEUES_SHOWN);
    lines.extend(columns(&QUEUE_HEADER, 2, rows.into_iter().map(queue_row).collect()));
    if count > QUEUES_SHOWN {
        lines.push(format!("... and {}", counted(count - QUEUES_SHOWN, "more queue", "more queues")));
    }
    for place in
        view.places.iter().filter(|place| place.number("registered_queues") > Some(MOST_QUEUES as u64))
    {
        lines.push(format!("{} has more queues than the {MOST_QUEUES} that are looked at", place.name()));
    }
    lines.push(String::new());
    // A screen that is drawn anew, or block after block.
    let start = if clear { "\x1b[H\x1b[2J" } else { "" };
    format!("{start}{}\n", lines.join("\n"))
}

fn node_row(place: &Place) -> Vec<String> {
    let count = |field: &str| place.number(field).map_or("-".to_string(), |number| number.to_string());
    let last = place.last.as_ref();
    vec![
        place.name(),
        state(place),
        count("registered_jobs"),
        count("jobs_queued"),
        last.and_then(|sample| sample.text("used_memory_human")).unwrap_or("-").to_string(),
        count("connected_clients"),
        count("blocked_clients"),
        rate(place.rate("total_commands_processed")),
        last.map_or("-".to_string(), |sample| format!("{}/{}", sample.links.0, sample.links.1)),
    ]
}

pub(super) fn state(place: &Place) -> String {
    let Some(last) = &place.last else { return "unreachable".to_string() };
    let loading = last.number("loading") > 0;
    let broken = last.text("aof_last_write_status").is_some_and(|status| status != "ok");
    let states = [(loading, "loading"), (broken, "aof-failing")];
    let mut words: Vec<&str> = states.iter().filter(|(holds, _)| *holds).map(|(_, word)| *word).collect();
    words.extend(last.flags.iter().map(String::as_str));
    if words.is_empty() { "ok".to_string() } else { words.join(",") }
}

fn queue_row((name, total): (&Vec<u8>, &Total)) -> Vec<String> {
    vec![
        shown_name(name),
        if total.paused == 0 { "-".to_string() } else { format!("{}/{}", total.paused, total.nodes) },
        total.jobs.to_string(),
        number(total.in_flight),
        rate(total.into),
        rate(total.out),
        total.oldest.filter(|_| total.jobs > 0).map_or("-".to_string(), span),
        total.waiting.to_string(),
        total.nodes.to_string(),
    ]
}

/// A number that not every server tells.
pub(super) fn number(number: Option<u64>) -> String {
    number.map_or("-".to_string(), |number| number.to_string())
}

/// A number per second, with a digit behind the point where that says something.
pub(super) fn rate(rate: Option<f64>) -> String {
    match rate {
        None => "-".to_string(),
        Some(rate) if rate < 10.0 && rate > 0.0 => format!("{rate:.1}"),
        Some(rate) => format!("{rate:.0}"),
    }
}

/// Seconds for people: `59s`, `3m20s`, `2h05m`, `3d04h`.
pub(super) fn span(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        3600..86_400 => format!("{}h{:02}m", seconds / 3600, seconds % 3600 / 60),
        _ => format!("{}d{:02}h", seconds / 86_400, seconds % 86_400 / 3600),
    }
}

fn object(view: &View) -> Value {
    let nodes = view.places.iter().map(|place| {
        json!({
            "address": place.address.to_string(),
            "id": place.id,
            "state": state(place),
            "fault": place.fault,
            "jobs": place.number("registered_jobs"),
            "jobs_queued": place.number("jobs_queued"),
            "used_memory": place.number("used_memory"),
            "clients": place.number("connected_clients"),
            "clients_waiting": place.number("blocked_clients"),
            "commands_per_second": place.rate("total_commands_processed"),
            "links": place.last.as_ref().map(|sample| sample.links.0),
        })
    });
    let totals = totals(&view.places);
    let queues: Vec<Value> = totals.iter().map(|(name, total)| queue_object(name, total)).collect();
    json!({ "nodes": nodes.collect::<Vec<_>>(), "queues": queues })
}

pub(super) fn queue_object(name: &[u8], total: &Total) -> Value {
    json!({
        "queue": json_text(name),
        "jobs": total.jobs,
        "jobs_in_flight": total.in_flight,
        "in_per_second": total.into,
        "out_per_second": total.out,
        "oldest_seconds": total.oldest.filter(|_| total.jobs > 0),
        "clients_waiting": total.waiting,
        "nodes": total.nodes,
        "nodes_paused": total.paused,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_and_rates_keep_two_parts() {
        for (seconds, text) in [(0, "0s"), (59, "59s"), (200, "3m20s"), (7500, "2h05m"), (273_600, "3d04h")] {
            assert_eq!(span(seconds), text);
        }
        for (number, text) in [(None, "-"), (Some(0.0), "0"), (Some(0.25), "0.2"), (Some(1234.6), "1235")] {
            assert_eq!(rate(number), text);
        }
    }
}
