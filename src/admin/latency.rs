//! When something took too long: up to 160 spikes per kind of event, one per second.
//!
//! The texts of GRAPH and DOCTOR are made in `latency_text`.

use std::collections::VecDeque;

use super::latency_text;
use super::text::{error_quoting, int, syntax_error};
use crate::resp::Value;
use crate::types::{Args, UnixMillis};

macro_rules! latency_events {
    ($($(#[$doc:meta])* $event:ident = $name:literal,)*) => {
        /// What can take too long. The names are RC1's, where it has the event.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum LatencyEvent {
            $($(#[$doc])* $event,)*
        }

        impl LatencyEvent {
            /// All events, in the order of LATENCY LATEST.
            pub const ALL: &[LatencyEvent] = &[$(LatencyEvent::$event,)*];

            /// The name that operators use.
            pub const fn name(self) -> &'static str {
                match self {
                    $(LatencyEvent::$event => $name,)*
                }
            }
        }
    };
}

latency_events! {
    /// A command without the flag *fast*.
    Command = "command",
    /// A command with the flag *fast*.
    FastCommand = "fast-command",
    /// A write to the AOF, whatever else went on.
    AofWrite = "aof-write",
    /// A write to the AOF while a sync of it was under way.
    AofWritePendingFsync = "aof-write-pending-fsync",
    /// A write to the AOF while nothing else kept the disk busy.
    AofWriteAlone = "aof-write-alone",
    /// A sync of the AOF that replies waited for.
    AofFsyncAlways = "aof-fsync-always",
    /// Writing what changed during a rewrite of the AOF.
    AofRewriteDiffWrite = "aof-rewrite-diff-write",
    /// Putting the rewritten AOF in the place of the old one.
    AofRename = "aof-rename",
    /// The timers of jobs: requeueing, expiry.
    JobsProcessing = "jobs-processing",
    /// Evicting jobs because memory is short.
    EvictionCycle = "eviction-cycle",
    /// A whole turn of the event loop. RC1 does not have it.
    LoopTurn = "loop-turn",
}

impl LatencyEvent {
    /// The event with this name, in any case.
    pub fn named(name: &[u8]) -> Option<LatencyEvent> {
        Self::ALL.iter().copied().find(|event| event.name().as_bytes().eq_ignore_ascii_case(name))
    }
}

/// The spikes of all events.
#[derive(Debug)]
pub struct Latency {
    threshold_ms: u64,
    /// By event; an event that never was slow, or was reset, has no samples.
    series: [Series; LatencyEvent::ALL.len()],
}

/// The spikes of one event.
#[derive(Debug, Default)]
pub(super) struct Series {
    pub(super) samples: VecDeque<Sample>,
    /// The longest time ever, in milliseconds, also of samples that are no longer kept.
    pub(super) max_ms: u64,
}

/// The longest time that an event took in one second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sample {
    pub(super) secs: u64,
    pub(super) ms: u64,
}

impl Latency {
    /// Nothing recorded; records what takes at least `threshold_ms` milliseconds, nothing if that is 0.
    pub fn new(threshold_ms: u64) -> Latency {
        Latency { threshold_ms, series: Default::default() }
    }

    /// Takes over `latency-monitor-threshold`; what was recorded stays.
    pub fn set_threshold(&mut self, threshold_ms: u64) {
        self.threshold_ms = threshold_ms;
    }

    /// Records that `event` took `ms` milliseconds, if that is long enough to count.
    #[inline]
    pub fn record(&mut self, event: LatencyEvent, unix_secs: u64, ms: u64) {
        if self.threshold_ms != 0 && ms >= self.threshold_ms {
            self.series[event as usize].record(unix_secs, ms);
        }
    }

    /// LATENCY LATEST: `[event, Unix seconds, milliseconds, longest ever]` of each event's last spike.
    pub fn latest(&self) -> Value {
        let rows = self.recorded().filter_map(|(event, series)| {
            let last = series.samples.back()?;
            let name = Value::Bulk(event.name().into());
            Some(Value::Array(vec![name, int(last.secs), int(last.ms), int(series.max_ms)]))
        });
        Value::Array(rows.collect())
    }

    /// LATENCY HISTORY: `[Unix seconds, milliseconds]` per spike, oldest first; empty for an unknown event.
    pub fn history(&self, event: &[u8]) -> Value {
        let samples = self.find(event).into_iter().flat_map(|(_, series)| &series.samples);
        Value::Array(samples.map(|sample| Value::Array(vec![int(sample.secs), int(sample.ms)])).collect())
    }

    /// LATENCY GRAPH: the spikes drawn in characters.
    pub fn graph(&self, event: &[u8], unix_secs: u64) -> Value {
        match self.find(event) {
            Some((event, series)) => Value::Bulk(latency_text::graph(event, series, unix_secs).into()),
            None => error_quoting("ERR No samples available for event '", event, "'"),
        }
    }

    /// LATENCY DOCTOR: what was slow and what to do about it, in prose.
    pub fn doctor(&self, unix_secs: u64) -> Value {
        let recorded: Vec<_> = self.recorded().collect();
        Value::Bulk(latency_text::doctor(self.threshold_ms, &recorded, unix_secs).into())
    }

    /// Forgets one event; tells whether there was something to forget.
    pub fn reset(&mut self, event: LatencyEvent) -> bool {
        !std::mem::take(&mut self.series[event as usize]).samples.is_empty()
    }

    /// Forgets everything; tells how many events had samples.
    pub fn reset_all(&mut self) -> usize {
        LatencyEvent::ALL.iter().filter(|event| self.reset(**event)).count()
    }

    /// Runs LATENCY; `args` begins with the command name.
    pub fn answer(&mut self, args: &Args<'_>, now: UnixMillis) -> Value {
        let word = args.get(1).unwrap_or_default().to_ascii_lowercase();
        match (word.as_slice(), args.len()) {
            (b"latest", 2) => self.latest(),
            (b"history", 3) => self.history(args.at(2)),
            (b"graph", 3) => self.graph(args.at(2), now.secs()),
            (b"doctor", 2) => self.doctor(now.secs()),
            (b"reset", 2) => int(self.reset_all() as u64),
            (b"reset", _) => {
                let events = args.iter().skip(2).filter_map(LatencyEvent::named);
                int(events.filter(|event| self.reset(*event)).count() as u64)
            }
            _ => syntax_error(),
        }
    }

    fn recorded(&self) -> impl Iterator<Item = (LatencyEvent, &Series)> {
        let all = LatencyEvent::ALL.iter().copied().zip(&self.series);
        all.filter(|(_, series)| !series.samples.is_empty())
    }

    fn find(&self, name: &[u8]) -> Option<(LatencyEvent, &Series)> {
        let wanted = LatencyEvent::named(name)?;
        self.recorded().find(|(event, _)| *event == wanted)
    }
}

impl Series {
    fn record(&mut self, secs: u64, ms: u64) {
        // RC1 forgets this for all but the first sample of a second.
        self.max_ms = self.max_ms.max(ms);
        match self.samples.back_mut() {
            Some(last) if last.secs == secs => last.ms = last.ms.max(ms),
            _ => {
                if self.samples.len() == SAMPLES_MAX {
                    self.samples.pop_front();
                }
                self.samples.push_back(Sample { secs, ms });
            }
        }
    }
}

/// How many samples an event keeps.
const SAMPLES_MAX: usize = 160;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::text::spans_of_words;
    use proptest::prelude::*;

    fn answer(latency: &mut Latency, line: &str) -> Value {
        let spans = spans_of_words(line);
        latency.answer(&Args::new(&spans, line.as_bytes(), &mut []), UnixMillis(1_000_000))
    }

    fn ints(numbers: &[u64]) -> Value {
        Value::Array(numbers.iter().map(|number| int(*number)).collect())
    }

    fn latest_row(name: &str, numbers: [u64; 3]) -> Value {
        let mut row = vec![Value::Bulk(name.into())];
        row.extend(numbers.map(int));
        Value::Array(row)
    }

    #[test]
    fn names_are_found_in_any_case() {
        for event in LatencyEvent::ALL {
            assert_eq!(LatencyEvent::named(event.name().to_uppercase().as_bytes()), Some(*event));
        }
        assert_eq!(LatencyEvent::named(b"fork"), None);
    }

    #[test]
    fn only_what_reaches_the_threshold_is_recorded() {
        let mut latency = Latency::new(0);
        latency.record(LatencyEvent::Command, 1, 1_000_000);
        latency.set_threshold(100);
        latency.record(LatencyEvent::Command, 2, 99);
        assert_eq!(answer(&mut latency, "latency latest"), Value::Array(vec![]));
        latency.record(LatencyEvent::Command, 3, 100);
        assert_eq!(latency.latest(), Value::Array(vec![latest_row("command", [3, 100, 100])]));
        latency.set_threshold(0);
        assert_eq!(latency.history(b"command"), Value::Array(vec![ints(&[3, 100])]), "it stays");
    }

    #[test]
    fn the_larger_value_of_a_second_counts_also_for_the_maximum() {
        let mut latency = Latency::new(1);
        for (secs, ms) in [(10, 5), (10, 50), (10, 7), (11, 9)] {
            latency.record(LatencyEvent::AofWrite, secs, ms);
        }
        latency.record(LatencyEvent::FastCommand, 12, 2);
        let rows = vec![latest_row("fast-command", [12, 2, 2]), latest_row("aof-write", [11, 9, 50])];
        assert_eq!(answer(&mut latency, "LATENCY LATEST"), Value::Array(rows));
        let history = answer(&mut latency, "LATENCY HISTORY aof-write");
        assert_eq!(history, Value::Array(vec![ints(&[10, 50]), ints(&[11, 9])]));
        assert_eq!(answer(&mut latency, "LATENCY HISTORY nonsense"), Value::Array(vec![]));
    }

    #[test]
    fn reset_tells_how_many_series_it_removed() {
        let mut latency = Latency::new(1);
        for event in LatencyEvent::ALL {
            latency.record(*event, 1, 1);
        }
        assert_eq!(answer(&mut latency, "latency reset command nonsense command aof-write"), Value::Int(2));
        assert_eq!(latency.history(b"command"), Value::Array(vec![]));
        assert_eq!(answer(&mut latency, "latency reset"), Value::Int(LatencyEvent::ALL.len() as i64 - 2));
        assert_eq!(answer(&mut latency, "latency reset"), Value::Int(0));
        latency.record(LatencyEvent::Command, 2, 1);
        assert_eq!(
            latency.latest(),
            Value::Array(vec![latest_row("command", [2, 1, 1])]),
            "maximum forgotten"
        );
    }

    #[test]
    fn other_words_and_counts_are_refused() {
        let mut latency = Latency::new(1);
        for line in
            ["latency help", "latency latest x", "latency history", "latency graph", "latency doctor x"]
        {
            assert_eq!(answer(&mut latency, line), syntax_error(), "{line}");
        }
        let none = Value::Error("ERR No samples available for event 'command'".into());
        assert_eq!(answer(&mut latency, "latency graph command"), none);
    }

    proptest! {
        #[test]
        fn a_series_keeps_the_largest_values_of_the_last_160_seconds_that_had_any(
            steps in prop::collection::vec((0u64..3, 1u64..50), 0..500),
        ) {
            let mut latency = Latency::new(10);
            let (mut secs, mut all) = (1_000, Vec::<(u64, u64)>::new());
            for (pause, ms) in steps {
                secs += pause;
                latency.record(LatencyEvent::Command, secs, ms);
                if ms >= 10 {
                    all.push((secs, ms));
                }
            }
            let largest = |secs: u64| all.iter().filter(|(at, _)| *at == secs).map(|(_, ms)| *ms).max().unwrap();
            let mut seconds: Vec<u64> = all.iter().map(|(at, _)| *at).collect();
            seconds.dedup();
            let kept = &seconds[seconds.len().saturating_sub(160)..];
            let rows = kept.iter().map(|secs| ints(&[*secs, largest(*secs)])).collect();
            prop_assert_eq!(latency.history(b"command"), Value::Array(rows));
            let max = all.iter().map(|(_, ms)| *ms).max();
            let latest = seconds.last().map(|secs| latest_row("command", [*secs, largest(*secs), max.unwrap()]));
            prop_assert_eq!(latency.latest(), Value::Array(latest.into_iter().collect()));
        }
    }
}
