//! Numbers of a run: what was done, in which time, at which cost; medians of several runs.

use std::time::Duration;

use hdrhistogram::Histogram;

use super::process::TICK_MICROS;

/// With fewer ticks than this the processor time is wrong by more than a percent.
pub(super) const ENOUGH_TICKS: u64 = 100;
/// Significant digits of latencies.
const LATENCY_DIGITS: u8 = 3;
/// Longest latency told apart, in nanoseconds: a minute.
const LONGEST_LATENCY: u64 = 60_000_000_000;

/// Work, the time it took, and the processor time it cost the server.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Cost {
    pub(super) operations: u64,
    /// How many jobs the operations were for.
    pub(super) jobs: u64,
    pub(super) elapsed: Duration,
    /// `None` if the process is not known.
    pub(super) ticks: Option<u64>,
}

impl Cost {
    pub(super) fn operations_per_second(&self) -> f64 {
        ratio(self.operations as f64, self.elapsed.as_secs_f64())
    }

    /// Microseconds of the server's processor time per operation.
    pub(super) fn cpu_per_operation(&self) -> Option<f64> {
        self.cpu_per(self.operations)
    }

    /// Microseconds of the server's processor time by a number of something.
    pub(super) fn cpu_per(&self, number: u64) -> Option<f64> {
        Some(ratio((self.ticks? * TICK_MICROS) as f64, number as f64))
    }

    /// Adds another piece of the same run.
    pub(super) fn add(&mut self, other: &Cost) {
        self.operations += other.operations;
        self.jobs += other.jobs;
        self.elapsed += other.elapsed;
        self.ticks = self.ticks.zip(other.ticks).map(|(a, b)| a + b);
    }
}

/// An empty histogram of latencies in nanoseconds.
pub(super) fn latencies() -> Histogram<u64> {
    Histogram::new_with_bounds(1, LONGEST_LATENCY, LATENCY_DIGITS).expect("the bounds are in order")
}

/// A division that has a result: nothing per nothing is 0.
pub(super) fn ratio(part: f64, whole: f64) -> f64 {
    if whole == 0.0 { 0.0 } else { part / whole }
}

/// The middle value, or the mean of the two middle ones; `None` without values.
pub(super) fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let upper = *sorted.get(sorted.len() / 2)?;
    let lower = sorted[(sorted.len() - 1) / 2];
    Some(lower.midpoint(upper))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn median_is_the_middle_whatever_the_order() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[3.0]), Some(3.0));
        assert_eq!(median(&[9.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0, 2.0, 100.0]), Some(3.0));
    }

    #[test]
    fn cost_is_time_and_ticks_per_operation() {
        let mut cost = Cost { operations: 500, jobs: 250, elapsed: Duration::from_secs(1), ticks: Some(2) };
        cost.add(&Cost { operations: 1_500, jobs: 750, elapsed: Duration::from_secs(3), ticks: Some(8) });
        assert_eq!(cost.operations_per_second(), 500.0);
        assert_eq!((cost.cpu_per_operation(), cost.cpu_per(cost.jobs)), (Some(50.0), Some(100.0)));
        cost.add(&Cost { operations: 1, jobs: 1, elapsed: Duration::ZERO, ticks: None });
        assert_eq!(cost.cpu_per_operation(), None);
    }

    #[test]
    fn nothing_done_in_no_time_is_no_rate() {
        let cost = Cost { operations: 0, jobs: 0, elapsed: Duration::ZERO, ticks: Some(0) };
        assert_eq!((cost.operations_per_second(), cost.cpu_per_operation()), (0.0, Some(0.0)));
    }

    #[test]
    fn latencies_beyond_a_minute_count_as_a_minute() {
        let mut histogram = latencies();
        histogram.saturating_record_n(u64::MAX, 1);
        assert!(histogram.max() >= LONGEST_LATENCY && histogram.max() < LONGEST_LATENCY / 1_000 * 1_200);
    }
}
