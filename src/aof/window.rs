//! The part of a file that is in memory: filled at its end, read at its front.

use std::io;

/// How much is asked for at once: what stays in the processor's cache until it is looked at.
const CHUNK: usize = 256 << 10;

/// Bytes of a file from some offset on.
#[derive(Debug, Default)]
pub(super) struct Window {
    bytes: Vec<u8>,
    /// Where what is not yet read begins and ends in `bytes`; behind its end is room.
    start: usize,
    end: usize,
    /// The place of `start` in the file.
    offset: u64,
    ended: bool,
}

impl Window {
    /// Asks `read` for more bytes, at least one of them fits; 0 means the end of the file.
    pub(super) fn fill(&mut self, read: impl FnOnce(&mut [u8]) -> io::Result<usize>) -> io::Result<usize> {
        if self.start > 0 && self.bytes.len() - self.end < CHUNK {
            self.bytes.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        if self.bytes.len() - self.end < CHUNK {
            // Doubling, so that a record of half a gibibyte is not copied over and over.
            let more = CHUNK.max(self.end);
            self.bytes.resize(self.end + more, 0);
        }
        let read = read(&mut self.bytes[self.end..])?;
        self.end += read;
        self.ended |= read == 0;
        Ok(read)
    }

    /// What is there and not read.
    pub(super) fn rest(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    /// Whether nothing will come after the rest.
    pub(super) fn ended(&self) -> bool {
        self.ended
    }

    /// Where the rest begins in the file.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// Where what is in memory ends in the file: its size, once it has ended.
    pub(super) fn end_offset(&self) -> u64 {
        self.offset + (self.end - self.start) as u64
    }

    /// Takes so many bytes off the rest, and gives them.
    pub(super) fn take(&mut self, len: usize) -> &[u8] {
        assert!(len <= self.end - self.start);
        let from = self.start;
        self.start += len;
        self.offset += len as u64;
        &self.bytes[from..from + len]
    }
}
