//! What operators look at: INFO, SLOWLOG, LATENCY, MONITOR, CLIENT, statistics.
//!
//! Keeps numbers and makes text of them. Performs no I/O and reads no clock: the shell counts into these
//! structures while it works and asks them when an operator does. What every command pays for
//! ([`CommandStats::count`], the counters of [`Traffic`], [`Slowlog::is_slow`]) is a few additions and
//! comparisons; everything else runs only when somebody looks.

mod bus_traffic;
mod client_list;
mod command_stats;
mod histogram;
mod info;
mod info_fields;
mod latency;
mod latency_text;
mod metrics;
mod monitor;
mod redact;
mod slowlog;
mod text;
mod traffic;

pub use bus_traffic::{BusTraffic, Cut, Dropped};
pub use client_list::{ClientFlags, ClientLine, Kill, KillError, KillFilter};
pub use command_stats::{CommandStats, CommandUse};
pub use histogram::Histogram;
pub use info::{
    AofDetails, AofFacts, AofState, BusFacts, ClientFacts, ClusterFacts, CpuFacts, InfoSource, JobCounts,
    Loading, MemoryFacts, ServerFacts, render,
};
pub use info_fields::info_manual;
pub use latency::{Latency, LatencyEvent};
pub use metrics::{
    HttpFacts, Metric, MetricKind, MetricsSource, NodeCounts, ProcessFacts, QueueMetrics, is_fit_for_label,
    metrics, metrics_table, node_metrics, process_metrics, queue_metrics,
};
pub use monitor::trace_line;
pub use redact::{REDACTED, redacted};
pub use slowlog::{KeptArgs, Slowlog};
pub use traffic::Traffic;
