//! A node's clocks, and the one time axis that the server makes of them.
//!
//! World time is the truth, in microseconds from 0. A node's monotonic clock runs a little faster or slower, and
//! stands still while its machine is suspended. The wall clock is the monotonic one plus what somebody set it to.
//! The axis is that of `src/net/clock.rs`: it starts at the wall clock when the process starts, moves with the
//! monotonic clock and is drawn towards the wall clock by half a millisecond per second.

use disque::types::UnixMillis;

/// The wall clock when the world begins, in microseconds.
pub const WALL_AT_START: u64 = 1_800_000_000_000_000;

const SECOND: u64 = 1_000_000;
const SLEW_STEP: u64 = 500;
/// Ten days: longer than any world lasts.
const LONGEST_WAIT: u64 = 864_000 * SECOND;

#[derive(Debug)]
pub struct NodeClock {
    /// World time of the last change of pace, and the monotonic clock at it.
    changed_at: u64,
    mono_at_change: u64,
    drift_ppm: i64,
    suspended: bool,
    /// Wall clock less monotonic clock.
    wall_offset: i64,
    /// The process's axis: where it stood when the monotonic clock showed `origin`.
    base: u64,
    origin: u64,
    next_slew: u64,
    /// How far somebody has set the wall clock, in all.
    set_by: u64,
}

impl NodeClock {
    pub fn new(drift_ppm: i64, wall_offset: i64) -> NodeClock {
        let mut clock = NodeClock {
            changed_at: 0,
            mono_at_change: 0,
            drift_ppm,
            suspended: false,
            wall_offset,
            base: 0,
            origin: 0,
            next_slew: 0,
            set_by: 0,
        };
        clock.start_process(0);
        clock
    }

    /// A new process reads the wall clock.
    pub fn start_process(&mut self, now: u64) {
        self.origin = self.mono(now);
        self.base = self.wall(now);
        self.next_slew = self.origin + SECOND;
    }

    pub fn mono(&self, now: u64) -> u64 {
        let passed = now - self.changed_at;
        let drifted = passed as i64 + passed as i64 * self.drift_ppm / 1_000_000;
        self.mono_at_change + if self.suspended { 0 } else { drifted as u64 }
    }

    pub fn wall(&self, now: u64) -> u64 {
        (WALL_AT_START + self.mono(now)).saturating_add_signed(self.wall_offset)
    }

    pub fn set_drift(&mut self, now: u64, ppm: i64) {
        self.rebase(now);
        self.drift_ppm = ppm;
    }

    pub fn set_suspended(&mut self, now: u64, suspended: bool) {
        self.rebase(now);
        self.suspended = suspended;
    }

    pub fn jump(&mut self, micros: i64) {
        self.wall_offset += micros;
        self.set_by += micros.unsigned_abs();
    }

    /// Whether somebody has set the wall clock: what is on the disk tells wall times.
    pub fn was_set(&self) -> bool {
        self.set_by > 0
    }

    /// What the server's own clock would show now.
    pub fn tick(&mut self, now: u64) -> UnixMillis {
        let mono = self.mono(now);
        if mono >= self.next_slew {
            let axis = self.base + (mono - self.origin);
            let wall = self.wall(now);
            let target = wall.clamp(axis.saturating_sub(SLEW_STEP), axis + SLEW_STEP);
            self.base = target.max(axis - axis % 1000);
            self.origin = mono;
            self.next_slew = mono + SECOND;
        }
        self.axis(mono)
    }

    /// The world time at which the axis shows `at`, as far as is known now; not before `now`.
    pub fn when(&self, now: u64, at: UnixMillis) -> u64 {
        let axis = self.base + (self.mono(now) - self.origin);
        let wait = at.0.saturating_mul(1000).saturating_sub(axis).min(LONGEST_WAIT) as i64;
        now + (wait - wait * self.drift_ppm / 1_000_000) as u64
    }

    fn axis(&self, mono: u64) -> UnixMillis {
        UnixMillis((self.base + (mono - self.origin)) / 1000)
    }

    fn rebase(&mut self, now: u64) {
        self.mono_at_change = self.mono(now);
        self.changed_at = now;
    }
}
