//! Totals of connections, commands and bytes, and how many there were per second of late.
//!
//! The rates are means over 16 slices of 100 ms. Nobody needs to wake up for them: whoever asks, or has
//! traffic to count, first tells the time ([`Traffic::turn`]), and the slices that passed in between are
//! empty by then. So an idle server sleeps, and its rates still fall to zero.

use crate::types::UnixMillis;

/// What went through the client connections.
#[derive(Clone, Debug, Default)]
pub struct Traffic {
    connections: u64,
    rejected: u64,
    moving: Moving,
    /// `moving` at the start of the running slice.
    slice_start: Moving,
    /// The number of the running slice since the epoch.
    slice: u64,
    /// The 16 slices before the running one; slice `n` is at `n % 16`.
    past: [Moving; SLICES],
}

/// The totals that have a rate: commands, bytes in, bytes out.
#[derive(Clone, Copy, Debug, Default)]
struct Moving {
    commands: u64,
    input: u64,
    output: u64,
}

impl Traffic {
    /// No traffic yet; time starts at `now`.
    pub fn new(now: UnixMillis) -> Traffic {
        Traffic { slice: now.0 / SLICE_MS, ..Traffic::default() }
    }

    /// Tells the time; call it at the start of each turn of the loop, before counting.
    #[inline]
    pub fn turn(&mut self, now: UnixMillis) {
        let slice = now.0 / SLICE_MS;
        if slice > self.slice {
            self.end_slice(slice);
        }
    }

    /// A connection was accepted.
    pub fn count_connection(&mut self) {
        self.connections += 1;
    }

    /// A connection was refused because there are too many.
    pub fn count_rejected(&mut self) {
        self.rejected += 1;
    }

    /// A command was executed.
    #[inline]
    pub fn count_command(&mut self) {
        self.moving.commands += 1;
    }

    /// Bytes were read from a client.
    #[inline]
    pub fn count_input(&mut self, bytes: usize) {
        self.moving.input += bytes as u64;
    }

    /// Bytes were written to a client.
    #[inline]
    pub fn count_output(&mut self, bytes: usize) {
        self.moving.output += bytes as u64;
    }

    /// Connections accepted.
    pub fn connections(&self) -> u64 {
        self.connections
    }

    /// Connections refused.
    pub fn rejected(&self) -> u64 {
        self.rejected
    }

    /// Commands executed.
    pub fn commands(&self) -> u64 {
        self.moving.commands
    }

    /// Bytes read from clients.
    pub fn input(&self) -> u64 {
        self.moving.input
    }

    /// Bytes written to clients.
    pub fn output(&self) -> u64 {
        self.moving.output
    }

    /// Commands per second before the last [`Traffic::turn`].
    pub fn commands_per_sec(&self) -> u64 {
        self.rate(|slice| slice.commands) as u64
    }

    /// KiB read per second before the last [`Traffic::turn`].
    pub fn input_kib_per_sec(&self) -> f64 {
        self.rate(|slice| slice.input) / 1024.0
    }

    /// KiB written per second before the last [`Traffic::turn`].
    pub fn output_kib_per_sec(&self) -> f64 {
        self.rate(|slice| slice.output) / 1024.0
    }

    /// Zeroes totals and rates (CONFIG RESETSTAT).
    pub fn reset(&mut self) {
        *self = Traffic { slice: self.slice, ..Traffic::default() };
    }

    /// All that was counted since the last turn belongs to the slice of that turn; later ones were empty.
    fn end_slice(&mut self, next: u64) {
        let ended = Moving {
            commands: self.moving.commands - self.slice_start.commands,
            input: self.moving.input - self.slice_start.input,
            output: self.moving.output - self.slice_start.output,
        };
        self.past[place(self.slice)] = ended;
        let empty = self.slice + 1..next.min(self.slice + 1 + SLICES as u64);
        empty.for_each(|slice| self.past[place(slice)] = Moving::default());
        self.slice_start = self.moving;
        self.slice = next;
    }

    fn rate(&self, of: impl Fn(&Moving) -> u64) -> f64 {
        self.past.iter().map(of).sum::<u64>() as f64 * 1000.0 / (SLICES as u64 * SLICE_MS) as f64
    }
}

fn place(slice: u64) -> usize {
    (slice % SLICES as u64) as usize
}

const SLICES: usize = 16;
const SLICE_MS: u64 = 100;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const START: UnixMillis = UnixMillis(1_795_314_519_000);

    fn at(ms: u64) -> UnixMillis {
        UnixMillis(START.0 + ms)
    }

    #[test]
    fn steady_traffic_has_its_rate_and_an_idle_server_falls_to_zero() {
        let mut traffic = Traffic::new(START);
        for ms in 0..2_000 {
            traffic.turn(at(ms));
            traffic.count_command();
            traffic.count_input(512);
            traffic.count_output(2048);
        }
        traffic.turn(at(2_000));
        assert_eq!(traffic.commands_per_sec(), 1000);
        assert_eq!((traffic.input_kib_per_sec(), traffic.output_kib_per_sec()), (500.0, 2000.0));
        traffic.turn(at(3_500));
        assert_eq!(traffic.commands_per_sec(), 62, "one slice of 100 commands is left");
        traffic.turn(at(3_600));
        assert_eq!((traffic.commands_per_sec(), traffic.output_kib_per_sec()), (0, 0.0));
        assert_eq!((traffic.commands(), traffic.input(), traffic.output()), (2000, 1_024_000, 4_096_000));
    }

    #[test]
    fn a_burst_before_a_long_sleep_is_not_seen_after_it() {
        let mut traffic = Traffic::new(START);
        traffic.turn(at(10));
        (0..5000).for_each(|_| traffic.count_command());
        traffic.turn(at(60_000));
        assert_eq!(traffic.commands_per_sec(), 0);
    }

    #[test]
    fn reset_zeroes_totals_and_rates() {
        let mut traffic = Traffic::new(START);
        traffic.count_connection();
        traffic.count_rejected();
        traffic.count_command();
        traffic.turn(at(100));
        assert_eq!((traffic.connections(), traffic.rejected()), (1, 1));
        traffic.count_input(1 << 20);
        traffic.reset();
        traffic.turn(at(200));
        assert_eq!((traffic.connections(), traffic.rejected(), traffic.commands()), (0, 0, 0));
        assert_eq!((traffic.commands_per_sec(), traffic.input_kib_per_sec()), (0, 0.0));
    }

    proptest! {
        #[test]
        fn the_rate_counts_what_fell_into_the_sixteen_slices_before(
            steps in prop::collection::vec((0u64..600, 0u64..50), 1..60),
        ) {
            let mut traffic = Traffic::new(START);
            let (mut now, mut log) = (START, Vec::new());
            for (pause, commands) in steps {
                now = UnixMillis(now.0 + pause);
                traffic.turn(now);
                let slice = now.0 / 100;
                let recent = log.iter().filter(|(then, _)| *then < slice && *then + 16 >= slice);
                let expected = recent.map(|(_, commands)| commands).sum::<u64>() * 10 / 16;
                prop_assert_eq!(traffic.commands_per_sec(), expected);
                (0..commands).for_each(|_| traffic.count_command());
                log.push((slice, commands));
            }
        }
    }
}
