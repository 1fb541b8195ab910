//! The process, by the names that Prometheus has for it.

use super::{Metric, MetricKind};

/// What the system knows of this process; what it does not tell is missing.
#[derive(Clone, Copy, Debug, Default)]
pub struct ProcessFacts {
    /// Processor time in microseconds.
    pub cpu_micros: u64,
    /// Resident memory.
    pub resident_bytes: Option<u64>,
    /// Open descriptors.
    pub open_fds: Option<u64>,
    /// How many it may open.
    pub max_fds: Option<u64>,
    /// When the server started, in milliseconds since 1970.
    pub started_ms: u64,
}

pub(super) struct Family {
    pub(super) metric: Metric,
    pub(super) value: fn(&ProcessFacts) -> Option<f64>,
}

const fn family(
    name: &'static str,
    kind: MetricKind,
    help: &'static str,
    value: fn(&ProcessFacts) -> Option<f64>,
) -> Family {
    Family { metric: Metric { name, kind, labels: "", help }, value }
}

pub(super) const FAMILIES: [Family; 5] = [
    family(
        "process_cpu_seconds_total",
        MetricKind::Counter,
        "Processor time of the process, in the program and in the system.",
        |facts| Some(facts.cpu_micros as f64 / 1e6),
    ),
    family("process_resident_memory_bytes", MetricKind::Gauge, "Resident memory.", |facts| {
        facts.resident_bytes.map(|bytes| bytes as f64)
    }),
    family("process_open_fds", MetricKind::Gauge, "Open file descriptors.", |facts| {
        facts.open_fds.map(|fds| fds as f64)
    }),
    family("process_max_fds", MetricKind::Gauge, "How many file descriptors may be open.", |facts| {
        facts.max_fds.map(|fds| fds as f64)
    }),
    family(
        "process_start_time_seconds",
        MetricKind::Gauge,
        "When the server started, in seconds since 1970.",
        |facts| Some(facts.started_ms as f64 / 1e3),
    ),
];
