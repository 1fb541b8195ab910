//! The node's one time axis: Unix milliseconds that never go back and never jump (W7 of reliability.md).
//!
//! It starts at the wall clock and moves with the monotonic one. When the two drift apart, because the wall
//! clock was set or the machine's crystals disagree, it is drawn towards the wall clock slowly: timers then run
//! at most a little too fast or too slow, and no job expires or is queued again because somebody set a clock.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::types::UnixMillis;

/// The time axis of one process.
#[derive(Debug)]
pub(crate) struct Clock {
    /// Where the axis stood at `origin`, in microseconds; moved by slewing.
    base_us: u64,
    origin: Instant,
    latest: Instant,
    next_slew: Instant,
}

/// How often the wall clock is looked at.
const SLEW_PERIOD: Duration = Duration::from_secs(1);
/// How much the axis is moved per look: 0.5 ms in a second, so that an hour's jump is made up for in weeks,
/// while honest drift, some tens of µs per second, is followed.
const SLEW_STEP_US: u64 = 500;

impl Clock {
    pub(crate) fn new() -> Clock {
        let origin = Instant::now();
        Clock { base_us: wall_us(), origin, latest: origin, next_slew: origin + SLEW_PERIOD }
    }

    /// Reads the clocks; the only place that does so on the way of a request.
    pub(crate) fn tick(&mut self) -> UnixMillis {
        self.latest = Instant::now();
        if self.latest >= self.next_slew {
            self.slew(wall_us());
        }
        self.now()
    }

    /// The time of the last tick.
    pub(crate) fn now(&self) -> UnixMillis {
        UnixMillis(self.now_us() / 1000)
    }

    /// The time of the last tick in microseconds.
    pub(crate) fn now_us(&self) -> u64 {
        self.base_us + self.elapsed_us()
    }

    /// The monotonic clock at the last tick.
    pub(crate) fn instant(&self) -> Instant {
        self.latest
    }

    /// How long from the last tick until `at`; with the fraction of the millisecond, so that sleeping this long
    /// does not wake up too early by it.
    pub(crate) fn until(&self, at: UnixMillis) -> Duration {
        Duration::from_micros(at.0.saturating_mul(1000).saturating_sub(self.now_us()))
    }

    fn elapsed_us(&self) -> u64 {
        self.latest.duration_since(self.origin).as_micros() as u64
    }

    /// Moves the axis towards the wall clock by at most one step. Backwards means that the axis stands still for
    /// that long relative to the monotonic clock, hence the new origin: `now` itself must not go back.
    fn slew(&mut self, wall_us: u64) {
        let now_us = self.now_us();
        let period_us = self.latest.duration_since(self.next_slew).as_micros() as u64 + 1_000_000;
        let step = SLEW_STEP_US.min(period_us);
        let target = wall_us.clamp(now_us.saturating_sub(step), now_us + step);
        // Going back is done by starting again from here, a step short, and never handing out a smaller time:
        // half a millisecond is below the resolution of the axis but for its rounding, which `max` covers.
        self.base_us = target.max(now_us - now_us % 1000);
        self.origin = self.latest;
        self.next_slew = self.latest + SLEW_PERIOD;
    }
}

fn wall_us() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clock_at(us: u64) -> Clock {
        let origin = Instant::now();
        Clock { base_us: us, origin, latest: origin, next_slew: origin }
    }

    #[test]
    fn a_wall_clock_that_jumps_is_followed_slowly() {
        let mut clock = clock_at(1_000_000_000);
        clock.slew(9_000_000_000);
        assert_eq!(clock.now_us(), 1_000_000_500);
        clock.slew(0);
        assert_eq!(clock.now_us(), 1_000_000_000);
    }

    #[test]
    fn the_millisecond_never_goes_back() {
        let mut clock = clock_at(1_000_000_100);
        let before = clock.now();
        clock.slew(0);
        assert_eq!(clock.now(), before);
        for _ in 0..100 {
            let before = clock.now();
            clock.latest += Duration::from_micros(77);
            clock.slew(0);
            assert!(clock.now() >= before);
        }
    }

    #[test]
    fn small_drift_is_made_up_for_at_once() {
        let mut clock = clock_at(1_000_000_000);
        clock.slew(1_000_000_040);
        assert_eq!(clock.now_us(), 1_000_000_040);
    }
}
