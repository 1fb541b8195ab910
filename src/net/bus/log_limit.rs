//! Log lines that others can cause, so that nobody fills the disk with them.

use crate::types::{Millis, UnixMillis};

/// What is said about links between nodes, each at most once in [`PERIOD`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Said {
    Dropped,
    Garbage,
    Stalled,
    Overflow,
    TooMany,
    Busy,
    NoBus,
}

const KINDS: usize = Said::NoBus as usize + 1;
const PERIOD: Millis = Millis(10_000);

/// When something was last said, and how often it was not said since.
#[derive(Debug, Default)]
pub(super) struct LogLimit {
    said: [Option<UnixMillis>; KINDS],
    unsaid: [u64; KINDS],
}

impl LogLimit {
    /// How often this was not said since it was last said, if it is to be said now.
    pub(super) fn due(&mut self, what: Said, now: UnixMillis) -> Option<u64> {
        let what = what as usize;
        if self.said[what].is_some_and(|then| now.since(then) < PERIOD) {
            self.unsaid[what] += 1;
            return None;
        }
        self.said[what] = Some(now);
        Some(std::mem::take(&mut self.unsaid[what]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_written_once_in_ten_seconds_and_tells_how_often_it_was_not() {
        let mut limit = LogLimit::default();
        let mut due = |ms| limit.due(Said::Garbage, UnixMillis(ms));
        assert_eq!(
            [due(0), due(1), due(9_999), due(10_000), due(10_001)],
            [Some(0), None, None, Some(2), None]
        );
        assert_eq!(limit.due(Said::Stalled, UnixMillis(10_001)), Some(0));
    }
}
