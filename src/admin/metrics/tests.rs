//! What the answer and the table owe each other, and Prometheus.

use std::collections::BTreeSet;

use super::*;
use crate::admin::{
    AofFacts, BusFacts, BusTraffic, ClientFacts, ClusterFacts, CommandUse, CpuFacts, Histogram, MemoryFacts,
    ServerFacts, Traffic,
};
use crate::types::{Millis, UnixMillis};

const NOW: UnixMillis = UnixMillis(1_795_314_519_500);

fn answer() -> String {
    let (traffic, bus, mut turns) = (Traffic::new(NOW), BusTraffic::default(), Histogram::new());
    [31, 32, 2_000_000].into_iter().for_each(|micros| turns.record(micros));
    let info = InfoSource {
        now: NOW,
        server: ServerFacts { started: UnixMillis(NOW.0 - 2500), ..ServerFacts::default() },
        clients: ClientFacts::default(),
        memory: MemoryFacts::default(),
        registered_jobs: 0,
        jobs: None,
        registered_queues: 0,
        loading: None,
        aof: AofFacts::default(),
        traffic: &traffic,
        loop_turns: &turns,
        cpu: CpuFacts::default(),
        cluster: ClusterFacts::default(),
        bus: BusFacts { links_own: 0, links_connecting: 0, links_peer: 0, output_bytes: 0, traffic: &bus },
        commands: vec![CommandUse { name: "ping", calls: 2, nanos: 3_000 }],
    };
    let http = HttpFacts { requests: vec![(200, 3)], ..HttpFacts::default() };
    let source = MetricsSource { info, leaving: false, nodes: NodeCounts::default(), http: &http };
    let process = ProcessFacts {
        cpu_micros: 1_500_000,
        resident_bytes: Some(1),
        open_fds: Some(2),
        max_fds: Some(3),
        started_ms: 4000,
    };
    let queue = QueueMetrics {
        name: "a\"b\\c\nd",
        jobs: 7,
        in_flight: 3,
        oldest: Millis(1500),
        ..QueueMetrics::default()
    };
    node_metrics(&source)
        + &process_metrics(&process)
        + &queue_metrics(&[queue], Some(&QueueMetrics::default()))
}

#[test]
fn every_family_is_introduced_once_and_has_samples_of_its_own_labels() {
    let text = answer();
    for Metric { name, kind, labels, help } in metrics() {
        let head = format!("# HELP {name} {help}\n# TYPE {name} {}\n", kind.word());
        assert_eq!(text.matches(&head).count(), 1, "{name}");
        let known: Vec<&str> = labels.split(',').chain(["le"]).collect();
        let samples: Vec<&str> = text
            .lines()
            .filter(|line| {
                let sample = line.split(['{', ' ']).next().unwrap_or_default();
                let part = sample.strip_prefix(name).unwrap_or("-");
                part.is_empty()
                    || (kind == MetricKind::Histogram && ["_bucket", "_sum", "_count"].contains(&part))
            })
            .collect();
        assert!(!samples.is_empty(), "{name} has no sample");
        for sample in samples {
            let label = sample.split_once('{').map(|(_, rest)| rest.split('=').next().unwrap_or_default());
            assert!(label.is_none_or(|label| known.contains(&label)), "{sample}");
        }
    }
}

#[test]
fn names_follow_the_conventions() {
    let mut names = BTreeSet::new();
    for Metric { name, kind, help, .. } in metrics() {
        assert!(names.insert(name), "{name} comes twice");
        assert!(name.starts_with("disque_") || name.starts_with("process_"), "{name}");
        assert!(name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{name}");
        assert_eq!(name.ends_with("_total"), kind == MetricKind::Counter, "{name}");
        let small = |part: &str| ["ms", "us", "ns", "kb", "mb", "kib", "mib"].contains(&part);
        assert!(!name.split('_').any(small), "{name}: base units only");
        assert!(help.ends_with('.') && !help.contains(['\n', '|']), "{name}: {help}");
    }
}

#[test]
fn no_series_comes_twice() {
    let text = answer();
    let series: Vec<&str> = text
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| Some(line.rsplit_once(' ')?.0))
        .collect();
    let unique: BTreeSet<&str> = series.iter().copied().collect();
    assert_eq!(unique.len(), series.len());
}

#[test]
fn labels_are_escaped_and_histograms_cumulate() {
    let text = answer();
    for line in [
        "disque_queue_jobs{queue=\"a\\\"b\\\\c\\nd\"} 7",
        "disque_queue_oldest_job_age_seconds{queue=\"a\\\"b\\\\c\\nd\"} 1.5",
        "disque_queue_jobs_in_flight{queue=\"a\\\"b\\\\c\\nd\"} 3",
        "disque_queue_paused{rest=\"yes\",direction=\"out\"} 0",
        "disque_loop_turn_seconds_bucket{le=\"0.000032\"} 1",
        "disque_loop_turn_seconds_bucket{le=\"0.000064\"} 2",
        "disque_loop_turn_seconds_bucket{le=\"1.048576\"} 2",
        "disque_loop_turn_seconds_bucket{le=\"+Inf\"} 3",
        "disque_loop_turn_seconds_sum 2.000063",
        "disque_command_seconds_total{command=\"ping\"} 0.000003",
        "process_cpu_seconds_total 1.5",
        "disque_uptime_seconds 2",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} in\n{text}");
    }
}

#[test]
fn only_names_that_are_short_text_are_labels() {
    assert_eq!(is_fit_for_label("grün".as_bytes()), Some("grün"));
    let longest = vec![b'x'; 200];
    assert!(is_fit_for_label(&longest).is_some());
    for name in [&[b'x'; 201][..], b"\xff", b""] {
        assert_eq!(is_fit_for_label(name), None);
    }
}
