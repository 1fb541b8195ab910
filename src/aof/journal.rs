//! The loop's end of the log: puts frames around records, and knows where in the stream they stand.

use super::frame::Framer;
use super::writer::Seq;

/// Frames for the log at hand, until the writer takes them.
#[derive(Debug)]
pub struct Journal {
    framer: Framer,
    buffer: Vec<u8>,
    seq: Seq,
}

impl Journal {
    /// For a log with this salt, from this place on.
    pub fn new(salt: u64, offset: u64) -> Journal {
        Journal { framer: Framer::new(salt, offset), buffer: Vec::new(), seq: Seq(0) }
    }

    /// Frames a record of this kind; its position is the one behind it.
    #[inline]
    pub fn append(&mut self, kind: u8, payload: &[u8]) -> Seq {
        let before = self.framer.offset();
        self.framer.frame(kind, payload, &mut self.buffer);
        self.seq.0 += self.framer.offset() - before;
        self.seq
    }

    /// The position behind the last record.
    pub fn seq(&self) -> Seq {
        self.seq
    }

    /// What was framed and not taken. Whoever takes it leaves an empty buffer.
    pub fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.buffer
    }

    /// Records go to another log from now on. What was framed before must have been taken.
    pub fn switch(&mut self, salt: u64, offset: u64) {
        assert!(self.buffer.is_empty(), "frames of the log before were not taken");
        self.framer = Framer::new(salt, offset);
    }
}
