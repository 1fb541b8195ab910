//! What waits to be sent on one link.

use crate::bus::{Header, Message, encode};
use crate::types::UnixMillis;

/// Frames that were not written yet.
#[derive(Debug, Default)]
pub(super) struct LinkOutput {
    buffer: Vec<u8>,
    /// How much of the buffer is written already.
    written: usize,
    /// Frames begun since [`LinkOutput::take_frames`].
    frames: u64,
}

/// Room that an idle link keeps.
const KEEP_BYTES: usize = 64 * 1024;

impl LinkOutput {
    /// Adds a message.
    pub(super) fn push(&mut self, header: &Header, message: &Message<'_>, now: UnixMillis) {
        encode(header, message, now, &mut self.buffer);
        self.frames += 1;
    }

    /// What can be written now.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.buffer[self.written..]
    }

    /// So much of it is written.
    pub(super) fn consume(&mut self, n: usize) {
        self.written += n;
        assert!(self.written <= self.buffer.len());
        if self.written == self.buffer.len() {
            self.buffer.clear();
            self.buffer.shrink_to(KEEP_BYTES);
            self.written = 0;
        } else if self.written > self.buffer.len() / 2 {
            // What is left moves at most once for every byte written.
            self.buffer.drain(..self.written);
            self.written = 0;
        }
    }

    /// Bytes that wait.
    pub(super) fn pending(&self) -> usize {
        self.buffer.len() - self.written
    }

    /// How many frames were begun since this was last asked.
    pub(super) fn take_frames(&mut self) -> u64 {
        std::mem::take(&mut self.frames)
    }

    /// Bytes of memory held.
    pub(super) fn heap_bytes(&self) -> usize {
        self.buffer.capacity()
    }
}
