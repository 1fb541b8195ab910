//! What the loop keeps for operators: counters, the slow log, latency samples, the histogram of turns.

use std::time::{Duration, Instant};

use super::logging::LogFile;
use crate::admin::{CommandStats, Histogram, KeptArgs, Latency, LatencyEvent, Slowlog, Traffic};
use crate::command::{COMMANDS, CommandSpec, Flags};
use crate::config::Config;
use crate::types::{Args, UnixMillis};

/// The books of one server.
pub(crate) struct Operator {
    pub(crate) stats: CommandStats,
    pub(crate) traffic: Traffic,
    pub(crate) slowlog: Slowlog,
    pub(crate) latency: Latency,
    pub(crate) turns: Histogram,
    pub(crate) log: LogFile,
    pub(crate) run_id: String,
    pub(crate) started: UnixMillis,
    pub(crate) unix_path: String,
    pub(crate) config_path: Option<std::path::PathBuf>,
    pub(crate) used_memory_peak: u64,
    /// Whether there is a password.
    pub(crate) needs_password: bool,
    /// Listeners at which clients may be waiting although no more readiness will be reported.
    pub(crate) accept_again: Vec<usize>,
    /// Whether each command must be timed: the thresholds are so low that a short command may be slow.
    time_all: bool,
    sample: u32,
}

/// Whether a command is timed.
pub(crate) enum Timing {
    /// No: it is short, and the next of its kind will be.
    Untimed,
    /// Yes, and it stands for [`SAMPLE_PERIOD`] runs in the statistics.
    Sample(Instant),
    /// Yes, since it may be slow.
    Each(Instant),
}

/// Reading the clock twice takes 47 ns, a seventh of an operation of the cycle at 64 in a pipeline. A short command cannot be slow enough for the
/// usual thresholds, so one run in this many is timed and counted for all.
const SAMPLE_PERIOD: u32 = 16;
/// Thresholds below this, in microseconds, ask for every command to be timed.
const SHORT_COMMAND_US: u64 = 1000;
/// A short command with more arguments than this is not short.
const SHORT_COMMAND_ARGS: usize = 16;

impl Operator {
    pub(crate) fn new(config: &Config, now: UnixMillis, log: LogFile, run_id: String) -> Operator {
        let mut operator = Operator {
            stats: CommandStats::new(COMMANDS.len()),
            traffic: Traffic::new(now),
            slowlog: Slowlog::new(slowlog_threshold(config), config.slowlog_max_len as usize),
            latency: Latency::new(config.latency_monitor_threshold.0),
            turns: Histogram::new(),
            log,
            run_id,
            started: now,
            unix_path: config.unixsocket.as_ref().map(|path| path.display().to_string()).unwrap_or_default(),
            config_path: None,
            used_memory_peak: 0,
            needs_password: false,
            accept_again: Vec::new(),
            time_all: false,
            sample: 0,
        };
        operator.configure(config);
        operator
    }

    /// Takes over the thresholds, and whether there is a password.
    pub(crate) fn configure(&mut self, config: &Config) {
        self.slowlog.set_threshold(slowlog_threshold(config));
        self.slowlog.set_max_len(config.slowlog_max_len as usize);
        self.latency.set_threshold(config.latency_monitor_threshold.0);
        self.needs_password = config.requirepass.bytes().is_some();
        self.time_all = self.slowlog.is_slow(SHORT_COMMAND_US) || config.latency_monitor_threshold.0 > 0;
    }

    /// A command with so many arguments begins.
    pub(crate) fn begin(&mut self, spec: &CommandSpec, args: usize) -> Timing {
        self.traffic.count_command();
        self.stats.count(usize::from(spec.index));
        let short = spec.flags.has(Flags::FAST) && args <= SHORT_COMMAND_ARGS && !self.time_all;
        if !short {
            return Timing::Each(Instant::now());
        }
        self.sample += 1;
        if self.sample < SAMPLE_PERIOD {
            return Timing::Untimed;
        }
        self.sample = 0;
        Timing::Sample(Instant::now())
    }

    /// What the slow log would keep of a command; taken before it runs, since it may take its arguments over.
    pub(crate) fn keep_args(&self, spec: &CommandSpec, args: &Args<'_>) -> KeptArgs {
        KeptArgs::of(spec.name, args.iter())
    }

    /// A short command ended that was timed for the statistics only.
    pub(crate) fn sampled(&mut self, spec: &CommandSpec, took: Duration) {
        self.stats.add_time(usize::from(spec.index), took.as_nanos() as u64 * u64::from(SAMPLE_PERIOD));
    }

    /// A timed command ended.
    pub(crate) fn ended(&mut self, spec: &CommandSpec, took: Duration, args: KeptArgs, now: UnixMillis) {
        let nanos = took.as_nanos() as u64;
        self.stats.add_time(usize::from(spec.index), nanos);
        let micros = nanos / 1000;
        if self.slowlog.is_slow(micros) {
            self.slowlog.record(now, micros, args);
        }
        let event =
            if spec.flags.has(Flags::FAST) { LatencyEvent::FastCommand } else { LatencyEvent::Command };
        self.latency.record(event, now.secs(), micros / 1000);
    }

    /// The engine's timers ran.
    pub(crate) fn timers_ran(&mut self, now: UnixMillis, took: Duration) {
        self.latency.record(LatencyEvent::JobsProcessing, now.secs(), took.as_millis() as u64);
    }

    /// A turn of the loop ended.
    pub(crate) fn turn_ended(&mut self, took: Duration) {
        self.turns.record(took.as_micros() as u64);
    }

    /// So many bytes were in use at some moment.
    pub(crate) fn saw_memory(&mut self, bytes: u64) {
        self.used_memory_peak = self.used_memory_peak.max(bytes);
    }

    /// CONFIG RESETSTAT.
    pub(crate) fn reset_stats(&mut self) {
        self.stats.reset();
        self.traffic.reset();
        self.turns.reset();
    }
}

/// The threshold of the slow log in microseconds, negative for none.
fn slowlog_threshold(config: &Config) -> i64 {
    config.slowlog_log_slower_than.0.map_or(-1, |micros| i64::try_from(micros).unwrap_or(i64::MAX))
}
