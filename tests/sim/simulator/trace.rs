//! What happened, as a hash always and as text when asked for.

use std::collections::VecDeque;

use super::chance::mix;

/// How many lines of the end are kept for the report of a failure.
const KEEP: usize = 120;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Talk {
    /// Only the hash.
    Silent,
    /// The last lines are kept.
    KeepTheEnd,
    /// Everything is printed as it happens.
    Print,
}

#[derive(Debug)]
pub struct Trace {
    hash: u64,
    talk: Talk,
    /// Only what happens from here on is printed.
    from: u64,
    pub lines: VecDeque<String>,
}

impl Trace {
    pub fn new(talk: Talk, from: u64) -> Trace {
        Trace { hash: 0, talk, from, lines: VecDeque::new() }
    }

    pub fn hash(&self) -> u64 {
        self.hash
    }

    pub fn mix(&mut self, word: u64) {
        self.hash = mix(self.hash ^ word);
    }

    pub fn mix_bytes(&mut self, bytes: &[u8]) {
        let (eights, rest) = bytes.as_chunks::<8>();
        let mut hash = self.hash ^ bytes.len() as u64;
        for eight in eights {
            hash = (hash.rotate_left(23) ^ u64::from_le_bytes(*eight)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        }
        for byte in rest {
            hash = (hash.rotate_left(23) ^ u64::from(*byte)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        }
        self.hash = mix(hash);
    }

    pub fn note(&mut self, now: u64, line: impl FnOnce() -> String) {
        if self.talk == Talk::Silent || now < self.from {
            return;
        }
        let line = format!("{:>12.3} ms  {}", now as f64 / 1000.0, line());
        if self.talk == Talk::Print {
            println!("{line}");
        }
        if self.lines.len() == KEEP {
            self.lines.pop_front();
        }
        self.lines.push_back(line);
    }
}
