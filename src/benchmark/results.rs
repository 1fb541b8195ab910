//! Files of results: lines of `--json`, taken together by title and peer.

use std::fs;
use std::path::Path;

use serde_json::{Map, Value};

use super::fault::Fault;
use super::statistics::median;

/// A figure that is compared: its field, what it is called, and where it is the better.
pub(super) struct Figure {
    pub(super) field: &'static str,
    pub(super) name: &'static str,
    pub(super) better: Better,
}

/// Which way a figure is the better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Better {
    Less,
    More,
}

/// All figures that summaries show, most telling first.
pub(super) const FIGURES: &[Figure] = &[
    figure("cpu_usec_per_job", "µs CPU per job", Better::Less),
    figure("latency_p50_usec", "p50 µs", Better::Less),
    figure("latency_p99_usec", "p99 µs", Better::Less),
    figure("latency_p999_usec", "p99.9 µs", Better::Less),
    figure("fill_cpu_usec_per_job", "µs CPU to add", Better::Less),
    figure("drain_cpu_usec_per_job", "µs CPU to drain", Better::Less),
    figure("add_cpu_usec_per_job", "µs CPU to add", Better::Less),
    figure("get_cpu_usec_per_job", "µs CPU to get", Better::Less),
    figure("ack_cpu_usec_per_job", "µs CPU to acknowledge", Better::Less),
    figure("rss_per_job", "bytes per job", Better::Less),
    figure("rss_per_client", "bytes per client", Better::Less),
    figure("cpu_percent", "% CPU", Better::Less),
    figure("jobs_per_second", "jobs/s", Better::More),
];

const fn figure(field: &'static str, name: &'static str, better: Better) -> Figure {
    Figure { field, name, better }
}

impl Figure {
    /// Whether it says something about a workload. The latencies of closed loads are those of their windows, and the
    /// rate of an open load is what was asked for.
    fn fits(&self, workload: &str) -> bool {
        match self.field {
            "latency_p50_usec" | "latency_p99_usec" | "latency_p999_usec" => workload == "latency",
            "jobs_per_second" => !matches!(workload, "latency" | "stages" | "backlog"),
            _ => true,
        }
    }
}

/// The runs of one peer under one title.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) title: String,
    pub(super) peer: String,
    workload: String,
    pub(super) runs: Vec<Map<String, Value>>,
}

impl Group {
    /// The median of a figure, if any run has it and it says something.
    pub(super) fn median(&self, figure: &Figure) -> Option<f64> {
        if !figure.fits(&self.workload) {
            return None;
        }
        let values: Vec<f64> = self.runs.iter().filter_map(|run| run.get(figure.field)?.as_f64()).collect();
        median(&values)
    }
}

/// All lines of the files, grouped in the order of their first appearance.
pub(super) fn read(files: &[&Path]) -> Result<Vec<Group>, Fault> {
    let mut groups = Vec::new();
    for file in files {
        let fault = |why: String| Fault::Results { file: file.display().to_string(), why };
        let text = fs::read_to_string(file).map_err(|error| fault(error.to_string()))?;
        for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            let why = |why: String| fault(format!("line {}: {why}", number + 1));
            let run: Map<String, Value> =
                serde_json::from_str(line).map_err(|error| why(error.to_string()))?;
            add(&mut groups, run).map_err(|field| why(format!("has no {field}")))?;
        }
    }
    Ok(groups)
}

fn add(groups: &mut Vec<Group>, run: Map<String, Value>) -> Result<(), &'static str> {
    let text = |field: &'static str| match run.get(field) {
        Some(Value::String(text)) => Ok(text.clone()),
        _ => Err(field),
    };
    let (title, peer, workload) = (text("title")?, text("peer")?, text("workload")?);
    match groups.iter_mut().find(|group| group.title == title && group.peer == peer) {
        Some(group) => group.runs.push(run),
        None => groups.push(Group { title, peer, workload, runs: vec![run] }),
    }
    Ok(())
}

/// The titles in order, each with its groups.
pub(super) fn by_title(groups: &[Group]) -> Vec<(&str, Vec<&Group>)> {
    let mut titles: Vec<(&str, Vec<&Group>)> = Vec::new();
    for group in groups {
        match titles.iter_mut().find(|(title, _)| *title == group.title) {
            Some((_, members)) => members.push(group),
            None => titles.push((&group.title, vec![group])),
        }
    }
    titles
}

/// A number with three significant digits or, from 100 on, without fraction.
pub(super) fn number(value: f64) -> String {
    match value.abs() {
        size if size >= 1_000_000.0 => format!("{:.2} M", value / 1e6),
        size if size >= 100_000.0 => format!("{:.0} k", value / 1e3),
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(title: &str, peer: &str, cpu: f64) -> Map<String, Value> {
        let row =
            serde_json::json!({"title": title, "peer": peer, "workload": "cycle", "cpu_usec_per_job": cpu});
        row.as_object().expect("an object").clone()
    }

    #[test]
    fn runs_are_grouped_by_title_and_peer_in_order() {
        let mut groups = Vec::new();
        for (title, peer, cpu) in [("b", "x", 1.0), ("b", "y", 5.0), ("a", "x", 2.0), ("b", "x", 3.0)] {
            add(&mut groups, run(title, peer, cpu)).expect("complete");
        }
        let titles = by_title(&groups);
        let shape: Vec<(&str, usize)> =
            titles.iter().map(|(title, members)| (*title, members.len())).collect();
        assert_eq!(shape, [("b", 2), ("a", 1)]);
        assert_eq!(titles[0].1[0].median(&FIGURES[0]), Some(2.0));
        assert_eq!(add(&mut groups, Map::new()), Err("title"));
    }

    #[test]
    fn latencies_are_shown_of_open_loads_only() {
        let open = |figure: &&Figure| figure.fits("latency") && !figure.fits("cycle");
        let fields: Vec<&str> = FIGURES.iter().filter(open).map(|figure| figure.field).collect();
        assert_eq!(fields, ["latency_p50_usec", "latency_p99_usec", "latency_p999_usec"]);
    }

    #[test]
    fn numbers_keep_three_digits() {
        let texts = [0.314_159, 12.345, 123.4, 123_456.0, 1_234_567.0].map(number);
        assert_eq!(texts, ["0.31", "12.3", "123", "123 k", "1.23 M"]);
    }
}
