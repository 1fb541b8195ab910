//! When to look next, and whether Ctrl-C was pressed.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

/// How soon a signal is noticed.
const NOTICE: Duration = Duration::from_millis(20);

/// The rhythm of a mode that goes on.
pub(super) struct Pace {
    interval: Duration,
    left: Option<u64>,
    next: Instant,
    stopped: Arc<AtomicBool>,
}

impl Pace {
    /// From now on the first Ctrl-C, or SIGTERM, ends the rhythm, and the second one the program.
    pub(super) fn start(interval: Duration, times: Option<u64>) -> io::Result<Pace> {
        let stopped = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM] {
            flag::register_conditional_shutdown(signal, 130, Arc::clone(&stopped))?;
            flag::register(signal, Arc::clone(&stopped))?;
        }
        Ok(Pace { interval, left: times, next: Instant::now(), stopped })
    }

    pub(super) fn interval(&self) -> Duration {
        self.interval
    }

    /// How many looks are left; `None` is without end.
    pub(super) fn reports(&self) -> Option<u64> {
        self.left
    }

    /// Whether somebody wants it to end.
    pub(super) fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::SeqCst)
    }

    /// Waits for the time of the next look; false if there is none. The first wait is as long as the others.
    pub(super) fn wait(&mut self) -> bool {
        if self.left == Some(0) {
            return false;
        }
        self.left = self.left.map(|left| left - 1);
        self.next = (self.next + self.interval).max(Instant::now());
        self.rest_until(self.next)
    }

    /// Waits; false if it was stopped meanwhile.
    pub(super) fn rest_until(&self, until: Instant) -> bool {
        loop {
            if self.is_stopped() {
                return false;
            }
            match until.saturating_duration_since(Instant::now()) {
                Duration::ZERO => return true,
                left => std::thread::sleep(left.min(NOTICE)),
            }
        }
    }
}
