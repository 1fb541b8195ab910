//! What was seen at one look, ready to be sorted and shown.

use super::super::queues::{Total, totals};
use super::super::stat::{number, rate, span, state};
use super::super::view::{Place, View};
use crate::cli::format::shown_name;
use crate::types::counted;

/// A cluster at some moment.
#[derive(Clone, Debug, Default)]
pub(super) struct Picture {
    pub(super) nodes: Vec<NodeRow>,
    pub(super) queues: Vec<QueueRow>,
}

/// A node, in words.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct NodeRow {
    pub(super) cells: Vec<String>,
    /// Whether anything is wrong with it.
    pub(super) is_well: bool,
}

/// A queue on all nodes.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct QueueRow {
    pub(super) name: String,
    pub(super) total: Total,
}

pub(super) const NODE_HEADER: [&str; 10] =
    ["Node", "State", "Jobs", "Queued", "Active", "Memory", "AOF", "Clients", "Cmd/s", "Links"];

impl Picture {
    pub(super) fn of(view: &View) -> Picture {
        let queues = totals(&view.places).into_iter();
        Picture {
            nodes: view.places.iter().map(node).collect(),
            queues: queues.map(|(name, total)| QueueRow { name: shown_name(&name), total }).collect(),
        }
    }
}

fn node(place: &Place) -> NodeRow {
    let state = state(place);
    let count = |field: &str| place.number(field).map_or("-".to_string(), |number| number.to_string());
    let last = place.last.as_ref();
    let text = |field: &str| last.and_then(|sample| sample.text(field)).unwrap_or("-").to_string();
    let memory = match (place.number("used_memory"), place.number("maxmemory")) {
        (Some(used), Some(max @ 1..)) => format!("{} {}%", text("used_memory_human"), used * 100 / max),
        _ => text("used_memory_human"),
    };
    let aof = match place.number("aof_current_size") {
        Some(bytes @ 1..) => format!("{} {} MB", text("aof_state"), bytes.div_ceil(1_000_000)),
        _ => text("aof_state"),
    };
    NodeRow {
        is_well: state == "ok",
        cells: vec![
            place.name(),
            state,
            count("registered_jobs"),
            count("jobs_queued"),
            count("jobs_active"),
            memory,
            aof,
            format!("{} ({} waiting)", count("connected_clients"), count("blocked_clients")),
            rate(place.rate("total_commands_processed")),
            last.map_or("-".to_string(), |sample| format!("{}/{}", sample.links.0, sample.links.1)),
        ],
    }
}

/// The cells of a queue.
pub(super) fn queue_cells(row: &QueueRow) -> Vec<String> {
    let total = &row.total;
    vec![
        row.name.clone(),
        total.jobs.to_string(),
        number(total.in_flight),
        rate(total.into),
        rate(total.out),
        total.oldest.filter(|_| total.jobs > 0).map_or("-".to_string(), span),
        total.waiting.to_string(),
        total.nodes.to_string(),
        if total.paused == 0 {
            String::new()
        } else {
            format!("on {}", counted(total.paused, "node", "nodes"))
        },
    ]
}
