//! A line on the terminal that shows that something goes on.

use std::io::{self, IsTerminal as _};
use std::time::{Duration, Instant};

use super::peer::Step;
use super::statistics::ratio;

/// Time between two updates.
const PERIOD: Duration = Duration::from_millis(200);
/// The same where lines stay: in a file, or in the output of a service.
const CALM_PERIOD: Duration = Duration::from_secs(1);

/// Where progress is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Display {
    Nowhere,
    /// One line that is written over.
    Terminal,
    /// A line each time.
    Lines,
}

impl Display {
    /// The terminal if there is one; lines elsewhere if the user wants them.
    pub(super) fn choose(wanted: bool) -> Display {
        match (io::stderr().is_terminal(), wanted) {
            (true, _) => Display::Terminal,
            (false, true) => Display::Lines,
            (false, false) => Display::Nowhere,
        }
    }
}

/// Shows from time to time how far the work has come.
pub(super) struct Progress {
    display: Display,
    next: Instant,
}

impl Progress {
    pub(super) fn new(display: Display) -> Progress {
        Progress { display, next: Instant::now() + PERIOD }
    }

    /// Shows how far a plan has come, if it is time to.
    pub(super) fn show(&mut self, steps: &[Step], operations: u64, started: Instant) {
        let period = match self.display {
            Display::Nowhere => return,
            Display::Terminal => PERIOD,
            Display::Lines => CALM_PERIOD,
        };
        let now = Instant::now();
        if now < self.next {
            return;
        }
        self.next = now + period;
        let seconds = now.duration_since(started).as_secs_f64();
        let names: Vec<String> = steps.iter().map(|step| format!("{step:?}").to_lowercase()).collect();
        let rate = ratio(operations as f64, seconds);
        let text = format!("{}: {operations} operations, {seconds:.1} s, {rate:.0}/s", names.join("+"));
        if self.display == Display::Terminal { eprint!("\r\x1b[K{text} ") } else { eprintln!("{text}") }
    }

    /// Makes room for what is printed next.
    pub(super) fn clear(&self) {
        if self.display == Display::Terminal {
            eprint!("\r\x1b[K");
        }
    }
}
