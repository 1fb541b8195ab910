//! Says how far a large file is read.

use std::io::Write;

/// Files smaller than this are read before anybody wonders.
const LARGE: u64 = 64 << 20;

/// Prints a line for each tenth of a large file.
pub(super) struct Progress<'a> {
    output: &'a mut dyn Write,
    total: u64,
    told: u64,
}

impl<'a> Progress<'a> {
    pub(super) fn new(output: &'a mut dyn Write, total: u64) -> Progress<'a> {
        Progress { output, total, told: 0 }
    }

    /// So many bytes are read.
    pub(super) fn at(&mut self, bytes: u64) {
        if self.total < LARGE {
            return;
        }
        let tenth = bytes * 10 / self.total;
        if tenth > self.told {
            self.told = tenth;
            // That nobody can be told is no reason to stop.
            let _ = writeln!(self.output, "{bytes} of {} bytes read ({} %)", self.total, tenth * 10);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_files_are_told_of_in_tenths_and_small_ones_not() {
        let mut text = Vec::new();
        let mut progress = Progress::new(&mut text, 1000 << 20);
        (0..=1000).for_each(|mib| progress.at(mib << 20));
        assert_eq!(String::from_utf8(text).expect("it is text").lines().count(), 10);
        let mut text = Vec::new();
        Progress::new(&mut text, LARGE - 1).at(LARGE - 1);
        assert!(text.is_empty());
    }
}
