//! A histogram of durations with a fixed size and a fixed relative error.
//!
//! Values up to 15 µs have a bucket each; above, every power of two is cut into 8 buckets of equal width, so
//! that a bucket's bound exceeds any value in it by less than an eighth. Recording is a bit count, a shift
//! and an addition.

use super::text::int;
use crate::resp::Value;

/// Counts of durations in microseconds.
#[derive(Clone, Debug)]
pub struct Histogram {
    counts: Box<[u64; BUCKETS]>,
    total: u64,
    sum: u64,
    max: u64,
}

impl Histogram {
    /// An empty histogram.
    pub fn new() -> Histogram {
        Histogram { counts: Box::new([0; BUCKETS]), total: 0, sum: 0, max: 0 }
    }

    /// Counts one duration.
    #[inline]
    pub fn record(&mut self, micros: u64) {
        self.counts[bucket_of(micros)] += 1;
        self.total += 1;
        self.sum = self.sum.saturating_add(micros);
        self.max = self.max.max(micros);
    }

    /// How many durations were recorded.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// All durations together, in microseconds.
    pub fn sum(&self) -> u64 {
        self.sum
    }

    /// How many durations were shorter than `micros`, which must be a power of two that begins a bucket.
    pub fn below(&self, micros: u64) -> u64 {
        debug_assert!(micros.is_power_of_two() && micros >= 1 << CUT_BITS && micros.ilog2() <= TOP_BIT);
        self.counts[..bucket_of(micros)].iter().sum()
    }

    /// The longest duration, exactly; 0 if there is none.
    pub fn max(&self) -> u64 {
        self.max
    }

    /// A duration that `per_mille` thousandths of all durations do not exceed: the median for 500, the longest
    /// for 1000. At most an eighth too long, never too short; 0 if nothing was recorded.
    pub fn quantile(&self, per_mille: u32) -> u64 {
        let per_mille = u128::from(per_mille.min(1000));
        let rank = ((u128::from(self.total) * per_mille).div_ceil(1000) as u64).max(1);
        let mut seen = 0;
        for (bucket, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= rank {
                return upper_bound(bucket).min(self.max);
            }
        }
        self.max
    }

    /// The buckets that hold something, shortest first: an array of `[upper bound in µs, count]`.
    ///
    /// The bound belongs to the bucket. The last bucket also holds everything longer.
    pub fn render(&self) -> Value {
        let rows = self.counts.iter().enumerate().filter(|(_, count)| **count > 0);
        Value::Array(
            rows.map(|(bucket, count)| Value::Array(vec![int(upper_bound(bucket)), int(*count)])).collect(),
        )
    }

    /// Forgets everything.
    pub fn reset(&mut self) {
        *self.counts = [0; BUCKETS];
        self.total = 0;
        self.sum = 0;
        self.max = 0;
    }
}

impl Default for Histogram {
    fn default() -> Histogram {
        Histogram::new()
    }
}

/// Each power of two is cut into 2³ buckets.
const CUT_BITS: u32 = 3;
/// Durations from 2³⁶ µs (19 hours) on share the last bucket.
const TOP_BIT: u32 = 35;
const BUCKETS: usize = ((TOP_BIT - CUT_BITS + 2) << CUT_BITS) as usize;

fn bucket_of(micros: u64) -> usize {
    if micros < 1 << CUT_BITS {
        return micros as usize;
    }
    let top = micros.ilog2();
    if top > TOP_BIT {
        return BUCKETS - 1;
    }
    let within = (micros >> (top - CUT_BITS)) as usize & ((1 << CUT_BITS) - 1);
    (((top - CUT_BITS + 1) << CUT_BITS) as usize) + within
}

/// The longest duration that belongs to `bucket`.
fn upper_bound(bucket: usize) -> u64 {
    let (group, within) = (bucket >> CUT_BITS, bucket as u64 & ((1 << CUT_BITS) - 1));
    if group == 0 {
        return within;
    }
    (((1 << CUT_BITS) + within + 1) << (group - 1)) - 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn buckets_follow_each_other_without_gap_or_overlap() {
        let mut next = 0;
        for bucket in 0..BUCKETS {
            assert_eq!(bucket_of(next), bucket, "first value of bucket {bucket}");
            assert_eq!(bucket_of(upper_bound(bucket)), bucket, "last value of bucket {bucket}");
            next = upper_bound(bucket) + 1;
        }
        assert_eq!(next, 1 << (TOP_BIT + 1));
        assert_eq!(bucket_of(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn an_empty_histogram_answers_zero() {
        let histogram = Histogram::new();
        assert_eq!((histogram.quantile(500), histogram.max(), histogram.total()), (0, 0, 0));
        assert_eq!(histogram.render(), Value::Array(vec![]));
    }

    #[test]
    fn rows_tell_bound_and_count_of_full_buckets_only() {
        let mut histogram = Histogram::new();
        for micros in [3, 3, 16, 17, 1000] {
            histogram.record(micros);
        }
        let row = |bound, count| Value::Array(vec![Value::Int(bound), Value::Int(count)]);
        assert_eq!(histogram.render(), Value::Array(vec![row(3, 2), row(17, 2), row(1023, 1)]));
        histogram.reset();
        assert_eq!((histogram.render(), histogram.max()), (Value::Array(vec![]), 0));
    }

    proptest! {
        #[test]
        fn quantiles_are_those_of_the_sorted_values_within_an_eighth(
            mut values in prop::collection::vec((0u32..36, any::<u64>()), 1..200),
            per_mille in 0u32..=1000,
        ) {
            let mut histogram = Histogram::new();
            let mut sorted: Vec<u64> =
                values.drain(..).map(|(bits, random)| random & ((1 << bits) - 1)).collect();
            sorted.iter().for_each(|micros| histogram.record(*micros));
            sorted.sort_unstable();
            let rank = (sorted.len() * per_mille as usize).div_ceil(1000).max(1);
            let (exact, told) = (sorted[rank - 1], histogram.quantile(per_mille));
            prop_assert!(told >= exact && told <= exact + exact / 8, "{} for {}", told, exact);
            prop_assert_eq!(histogram.max(), *sorted.last().unwrap());
            prop_assert_eq!(histogram.quantile(1000), histogram.max());
        }
    }
}
