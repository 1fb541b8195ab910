//! The pictures and the prose of LATENCY GRAPH and LATENCY DOCTOR.

use std::fmt::Write;

use super::latency::{LatencyEvent, Sample, Series};

/// The spikes of one event as a picture. The series must not be empty.
pub(super) fn graph(event: LatencyEvent, series: &Series, now_secs: u64) -> String {
    let times = || series.samples.iter().map(|sample| sample.ms);
    let (high, low) = (times().max().unwrap_or(0), times().min().unwrap_or(0));
    let name = event.name();
    let mut text = format!("{name} - high {high} ms, low {low} ms (all time high {} ms)\n", series.max_ms);
    text.extend([&"-".repeat(COLUMNS), "\n"]);
    let samples: Vec<Sample> = series.samples.iter().copied().collect();
    for (index, band) in samples.chunks(COLUMNS).enumerate() {
        if index > 0 {
            text.push('\n');
        }
        draw(band, low, high, now_secs, &mut text);
    }
    text
}

/// Draws one band of columns: the bars, an empty row, below each column the age of its sample.
fn draw(band: &[Sample], low: u64, high: u64, now_secs: u64, text: &mut String) {
    // Each row has three heights. The lowest value has the lowest height, the highest the highest.
    let top = u128::from(ROWS as u64 * 3 - 1);
    let span = u128::from(high - low).max(1);
    let heights: Vec<usize> =
        band.iter().map(|sample| ((u128::from(sample.ms - low) * top + span / 2) / span) as usize).collect();
    for row in (0..ROWS).rev() {
        let cells = heights.iter().map(|height| match (height / 3).cmp(&row) {
            std::cmp::Ordering::Less => ' ',
            std::cmp::Ordering::Equal => ['_', 'o', '#'][height % 3],
            std::cmp::Ordering::Greater => '|',
        });
        push_row(cells, text);
    }
    text.push('\n');
    let ages: Vec<String> = band.iter().map(|sample| age(now_secs.saturating_sub(sample.secs))).collect();
    for row in 0..ages.iter().map(String::len).max().unwrap_or(0) {
        push_row(ages.iter().map(|age| age.as_bytes().get(row).map_or(' ', |byte| char::from(*byte))), text);
    }
}

fn push_row(cells: impl Iterator<Item = char>, text: &mut String) {
    let row: String = cells.collect();
    text.extend([row.trim_end(), "\n"]);
}

fn age(secs: u64) -> String {
    match secs {
        0..60 => format!("{secs}s"),
        60..3600 => format!("{}m", secs / 60),
        3600..86_400 => format!("{}h", secs / 3600),
        _ => format!("{}d", secs / 86_400),
    }
}

/// What was slow, and what to do about it. `recorded` are the events that have samples.
pub(super) fn doctor(threshold_ms: u64, recorded: &[(LatencyEvent, &Series)], now_secs: u64) -> String {
    if recorded.is_empty() {
        return match threshold_ms {
            0 => "Latency monitoring is off and nothing is recorded. Turn it on with \"CONFIG SET \
                  latency-monitor-threshold MILLISECONDS\", where the number is what you still tolerate.\n"
                .into(),
            _ => format!("Nothing took {threshold_ms} ms or longer so far: no latency spikes to report.\n"),
        };
    }
    let mut text = String::from("Latency spikes were recorded:\n\n");
    for (index, (event, series)) in recorded.iter().enumerate() {
        let line = spikes(*event, series, now_secs);
        writeln!(text, "{}. {line}", index + 1).expect("a String takes everything");
    }
    text.push_str("\nWhat may help:\n\n");
    let mut advice: Vec<&str> = recorded.iter().flat_map(|(event, _)| advice(*event)).copied().collect();
    if threshold_ms == 0 {
        advice.push(MONITORING_IS_OFF);
    }
    let mut given: Vec<&str> = Vec::new();
    for sentence in advice {
        if !given.contains(&sentence) {
            given.push(sentence);
            text.extend(["- ", sentence, "\n"]);
        }
    }
    text
}

/// The spikes of one event in numbers; the deviation is the mean distance from the average.
fn spikes(event: LatencyEvent, series: &Series, now_secs: u64) -> String {
    let count = series.samples.len() as u64;
    let mean = |of: &dyn Fn(&Sample) -> u64| {
        let sum: u128 = series.samples.iter().map(|sample| u128::from(of(sample))).sum();
        (sum / u128::from(count.max(1))) as u64
    };
    let average = mean(&|sample| sample.ms);
    let deviation = mean(&|sample| sample.ms.abs_diff(average));
    let oldest = series.samples.front().map_or(now_secs, |sample| sample.secs);
    let period = now_secs.saturating_sub(oldest) as f64 / count.max(1) as f64;
    format!(
        "{}: {count} latency spikes (average {average}ms, mean deviation {deviation}ms, period {period:.2} sec). \
         Worst all time event {}ms.",
        event.name(),
        series.max_ms
    )
}

fn advice(event: LatencyEvent) -> &'static [&'static str] {
    match event {
        LatencyEvent::Command => &[SLOWLOG, LARGE_COMMANDS],
        LatencyEvent::FastCommand => &[SLOWLOG, BUSY_MACHINE],
        LatencyEvent::AofWrite | LatencyEvent::AofWriteAlone => &[DISK],
        LatencyEvent::AofWritePendingFsync => &[DISK, EVERYSEC],
        LatencyEvent::AofFsyncAlways => &[DISK, ALWAYS],
        LatencyEvent::AofRewriteDiffWrite | LatencyEvent::AofRename => &[DISK, REWRITES],
        LatencyEvent::JobsProcessing => &[MANY_TIMERS, BUSY_MACHINE],
        LatencyEvent::EvictionCycle => &[MEMORY],
        LatencyEvent::LoopTurn => &[BUSY_MACHINE, LARGE_COMMANDS],
    }
}

const SLOWLOG: &str = "Look into SLOWLOG GET for the commands that were slow; slowlog-log-slower-than must \
                       not be above the latency threshold (note the different units).";
const LARGE_COMMANDS: &str = "Ask for less at a time: JSCAN and QSCAN with a smaller COUNT, QPEEK and GETJOB \
                              with fewer jobs, ACKJOB with fewer IDs; bodies of many megabytes take their time too.";
const BUSY_MACHINE: &str = "If even small commands are slow, the server did not get the processor: look for \
                            other busy processes, a limited container, or memory that is swapped out.";
const DISK: &str =
    "The disk of the AOF is slow or busy: give it a disk of its own, or find out who else writes to it.";
const EVERYSEC: &str = "A sync of the last second was not done when the next write came; a faster disk is the \
                        remedy, appendfsync no the compromise.";
const ALWAYS: &str = "appendfsync always makes clients wait for the disk; with everysec they do not, but a \
                      failing machine may lose the last second.";
const REWRITES: &str = "Rewrites of the AOF add to the disk's work: raise auto-aof-rewrite-percentage or \
                        auto-aof-rewrite-min-size to have fewer.";
const MANY_TIMERS: &str = "Many jobs came due at the same time: spread DELAY and RETRY, or use more nodes.";
const MEMORY: &str =
    "Memory is short and jobs are evicted: raise maxmemory, add nodes, or acknowledge faster.";
const MONITORING_IS_OFF: &str = "Monitoring is off by now, so nothing new is recorded: set \
                                 latency-monitor-threshold to turn it on.";

/// Width of a picture.
const COLUMNS: usize = 80;
/// Height of a picture.
const ROWS: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::Latency;
    use crate::resp::Value;

    fn text(value: Value) -> String {
        let Value::Bulk(bytes) = value else { panic!("no bulk: {value:?}") };
        String::from_utf8(bytes).unwrap()
    }

    fn recorded(samples: &[(u64, u64)]) -> Latency {
        let mut latency = Latency::new(1);
        samples.iter().for_each(|(secs, ms)| latency.record(LatencyEvent::Command, *secs, *ms));
        latency
    }

    #[test]
    fn a_graph_shows_bars_and_ages() {
        let now = 1_000_000;
        let samples = [
            (now - 200_000, 100),
            (now - 7200, 200),
            (now - 185, 300),
            (now - 59, 400),
            (now - 12, 1200),
            (now, 130),
        ];
        let expected = [
            "command - high 1200 ms, low 100 ms (all time high 1200 ms)",
            &"-".repeat(80),
            "    #",
            "    |",
            "   _|",
            "_o#||_",
            "",
            "223510",
            "dhm92s",
            "   ss",
            "",
        ];
        assert_eq!(text(recorded(&samples).graph(b"command", now)), expected.join("\n"));
    }

    #[test]
    fn a_single_sample_lies_on_the_ground() {
        let graph = text(recorded(&[(5, 7)]).graph(b"command", 5));
        let line = "-".repeat(80);
        let head = format!("command - high 7 ms, low 7 ms (all time high 7 ms)\n{line}\n");
        assert_eq!(graph, format!("{head}\n\n\n_\n\n0\ns\n"));
    }

    #[test]
    fn more_samples_than_columns_make_a_second_band() {
        let samples: Vec<_> = (0..160).map(|secs| (secs, secs + 1)).collect();
        let graph = text(recorded(&samples).graph(b"command", 159));
        let lines: Vec<&str> = graph.lines().collect();
        assert!(lines.iter().skip(1).all(|line| line.len() <= 80));
        // Head and rule, then twice four rows, an empty one and two rows of labels, and one row between.
        assert_eq!(lines.len(), 2 + 7 + 1 + 8, "{graph}");
        assert_eq!(lines[5].len(), 80);
        assert_eq!(lines[10].len(), 80);
    }

    #[test]
    fn extreme_values_can_be_drawn() {
        let graph = text(recorded(&[(1, 1), (2, u64::MAX)]).graph(b"command", 3));
        assert_eq!(graph.lines().nth(2), Some(" #"));
    }

    #[test]
    fn ages_have_one_unit() {
        let ages = [0, 59, 60, 3599, 3600, 86_399, 86_400].map(age);
        assert_eq!(ages, ["0s", "59s", "1m", "59m", "1h", "23h", "1d"]);
    }

    #[test]
    fn the_doctor_has_three_forms() {
        let off = text(Latency::new(0).doctor(9));
        assert!(off.starts_with("Latency monitoring is off"), "{off}");
        let healthy = text(Latency::new(50).doctor(9));
        assert_eq!(healthy, "Nothing took 50 ms or longer so far: no latency spikes to report.\n");

        let mut latency = recorded(&[(100, 10), (110, 20)]);
        latency.record(LatencyEvent::FastCommand, 120, 5);
        let ill = text(latency.doctor(120));
        let lines: Vec<&str> = ill.lines().collect();
        assert_eq!(
            lines[2..4],
            [
                "1. command: 2 latency spikes (average 15ms, mean deviation 5ms, period 10.00 sec). \
                 Worst all time event 20ms.",
                "2. fast-command: 1 latency spikes (average 5ms, mean deviation 0ms, period 0.00 sec). \
                 Worst all time event 5ms.",
            ]
        );
        assert_eq!(ill.matches("SLOWLOG GET").count(), 1, "advice is given once");
        assert!(!ill.contains(MONITORING_IS_OFF));
        latency.set_threshold(0);
        assert!(text(latency.doctor(120)).contains(MONITORING_IS_OFF));
    }
}
