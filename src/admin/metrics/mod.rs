//! Metrics in the text format of Prometheus: one table of families, from which the answer and the manual are made.
//!
//! Names begin with `disque_`, but for those of the process, which Prometheus knows from all programs. Units are
//! seconds and bytes; what only grows ends in `_total`. Every family is told at every scrape, so that a dashboard has
//! no gaps; those per queue and per command have no samples while there is no queue, or no call.

mod node;
mod process;
mod queue;
mod text;

use std::fmt::Write as _;

use super::info::InfoSource;
pub use process::ProcessFacts;
pub use queue::{QueueMetrics, is_fit_for_label};
use text::Samples;

/// What a family counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricKind {
    /// Goes up and down.
    Gauge,
    /// Only grows, but for CONFIG RESETSTAT and restarts.
    Counter,
    /// How many lay below each of some bounds.
    Histogram,
}

/// One line of the manual: a family of metrics.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    /// Its name.
    pub name: &'static str,
    /// What it counts.
    pub kind: MetricKind,
    /// Its labels, separated by commas.
    pub labels: &'static str,
    /// What it says, in a line.
    pub help: &'static str,
}

/// What the metrics of a node are made of.
#[derive(Clone, Debug)]
pub struct MetricsSource<'a> {
    /// What INFO tells.
    pub info: InfoSource<'a>,
    /// Whether this node is leaving its cluster.
    pub leaving: bool,
    /// The nodes of the cluster by what this one thinks of them.
    pub nodes: NodeCounts,
    /// What serving HTTP has cost.
    pub http: &'a HttpFacts,
}

/// The nodes of the cluster by what this one thinks of them, itself included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NodeCounts {
    /// Nothing is wrong with them.
    pub good: u64,
    /// Suspected to fail, by this node.
    pub suspected: u64,
    /// Failing by majority.
    pub failing: u64,
    /// On their way to become members.
    pub handshakes: u64,
    /// Of those above, the ones that are leaving.
    pub leaving: u64,
}

/// What serving HTTP has cost.
#[derive(Clone, Debug, Default)]
pub struct HttpFacts {
    /// Requests by status code, lowest first.
    pub requests: Vec<(u16, u64)>,
    /// Nanoseconds that the event loop has spent on them.
    pub loop_nanos: u64,
    /// The longest that it was held up by one question, in nanoseconds.
    pub longest_nanos: u64,
}

/// All families, in the order of the answer.
pub fn metrics() -> impl Iterator<Item = Metric> {
    let node = node::FAMILIES.iter().map(|family| family.metric);
    let process = process::FAMILIES.iter().map(|family| family.metric);
    node.chain(process).chain(queue::FAMILIES.iter().map(|family| family.metric))
}

/// The metrics of the node.
pub fn node_metrics(source: &MetricsSource<'_>) -> String {
    let mut text = String::with_capacity(16 * 1024);
    for family in &node::FAMILIES {
        head(&family.metric, &mut text);
        (family.samples)(source, &mut Samples::new(family.metric.name, &mut text));
    }
    text
}

/// The metrics of the process.
pub fn process_metrics(facts: &ProcessFacts) -> String {
    let mut text = String::new();
    for family in &process::FAMILIES {
        if let Some(value) = (family.value)(facts) {
            head(&family.metric, &mut text);
            Samples::new(family.metric.name, &mut text).float(value);
        }
    }
    text
}

/// The metrics of the queues: of each of `queues`, and of all others together.
pub fn queue_metrics(queues: &[QueueMetrics<'_>], rest: Option<&QueueMetrics<'_>>) -> String {
    let mut text = String::with_capacity(1024 + queues.len() * 512);
    for family in &queue::FAMILIES {
        head(&family.metric, &mut text);
        let mut samples = Samples::new(family.metric.name, &mut text);
        queues.iter().for_each(|queue| (family.samples)(queue, ("queue", queue.name), &mut samples));
        rest.into_iter().for_each(|rest| (family.samples)(rest, ("rest", "yes"), &mut samples));
    }
    text
}

/// The table of all metrics, for the manual.
pub fn metrics_table() -> String {
    let mut text = String::from("| metric | kind | labels | what it says |\n| --- | --- | --- | --- |\n");
    for Metric { name, kind, labels, help } in metrics() {
        let labels = if labels.is_empty() { String::new() } else { format!("`{labels}`") };
        writeln!(text, "| `{name}` | {} | {labels} | {help} |", kind.word())
            .expect("a String takes everything");
    }
    text
}

fn head(metric: &Metric, text: &mut String) {
    let Metric { name, kind, help, .. } = metric;
    writeln!(text, "# HELP {name} {help}\n# TYPE {name} {}", kind.word()).expect("a String takes everything");
}

impl MetricKind {
    const fn word(self) -> &'static str {
        match self {
            MetricKind::Gauge => "gauge",
            MetricKind::Counter => "counter",
            MetricKind::Histogram => "histogram",
        }
    }
}

/// A row of a table of families.
macro_rules! family {
    ($kind:ident $name:literal [$labels:literal] $help:literal, $samples:expr) => {
        Family {
            metric: Metric { name: $name, kind: MetricKind::$kind, labels: $labels, help: $help },
            samples: $samples,
        }
    };
}
use family;

#[cfg(test)]
mod tests;
