//! Frames out of the bytes that a link brings, however they are split (cluster-bus.md 4).

use super::error::BusError;
use super::header::{HEADER_LEN, SIGNATURE};
use crate::types::JobImage;
use crate::types::limits::MAX_BULK_LEN;

/// Longest frame that this server sends, and the longest that it takes unless told otherwise: 1040 MiB.
///
/// RC1 knows no limit. This one lets pass every single job whose queue name and body are as long as clients can
/// make them; [`FrameWriter`](super::FrameWriter) distributes several over frames that fit. A link cannot make the
/// server reserve so much: memory is taken as bytes arrive.
pub const MAX_FRAME_LEN: usize = 2 * MAX_BULK_LEN + 16 * 1024 * 1024;

const _: () = assert!(MAX_FRAME_LEN < u32::MAX as usize);
const _: () = assert!(
    HEADER_LEN + 8 + JobImage::MIN_LEN + 2 * MAX_BULK_LEN + 40 * JobImage::MAX_NODES <= MAX_FRAME_LEN
);

/// What must be there before a frame can be judged: signature and length.
const PREAMBLE_LEN: usize = 8;

/// Room that an idle reader keeps.
const KEEP_BYTES: usize = 64 * 1024;

/// Cuts what one link brings into frames. Holds at most what was fed and not given out yet.
#[derive(Debug)]
pub struct FrameReader {
    buffer: Vec<u8>,
    /// Where the first frame begins that was not given out.
    start: usize,
    limit: usize,
}

impl FrameReader {
    /// A reader for a new link, that takes frames of up to `limit` bytes.
    pub fn new(limit: usize) -> FrameReader {
        FrameReader { buffer: Vec::new(), start: 0, limit }
    }

    /// Takes in what was read from the link.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.forget_consumed();
        self.buffer.extend_from_slice(bytes);
    }

    /// The next frame, if it is there completely. Its first bytes are as they should be; the rest is for
    /// [`decode`](super::decode) to judge.
    ///
    /// An error means that the link must be closed; it will come again.
    pub fn next_frame(&mut self) -> Result<Option<&[u8]>, BusError> {
        let pending = &self.buffer[self.start..];
        let Some(preamble) = pending.first_chunk::<PREAMBLE_LEN>() else {
            return Ok(None);
        };
        let len = frame_len(preamble, self.limit)?;
        if pending.len() < len {
            return Ok(None);
        }
        let start = self.start;
        self.start += len;
        Ok(Some(&self.buffer[start..self.start]))
    }

    /// Bytes fed and not given out yet.
    pub fn pending(&self) -> usize {
        self.buffer.len() - self.start
    }

    /// Bytes of memory held.
    pub fn heap_bytes(&self) -> usize {
        self.buffer.capacity()
    }

    fn forget_consumed(&mut self) {
        // What is left moves to the front once per frame at most, since `start` is 0 afterwards.
        self.buffer.drain(..self.start);
        self.start = 0;
        if self.buffer.capacity() > KEEP_BYTES && self.buffer.len() < KEEP_BYTES / 2 {
            self.buffer.shrink_to(KEEP_BYTES);
        }
    }
}

/// The length that a frame's first bytes announce. RC1 lets eight bytes pass that announce exactly eight, without
/// a look at their signature (defect 8 of cluster-bus.md); here they close the link like every other short frame.
pub(super) fn frame_len(preamble: &[u8; PREAMBLE_LEN], limit: usize) -> Result<usize, BusError> {
    let [s0, s1, s2, s3, l0, l1, l2, l3] = *preamble;
    let len = u32::from_be_bytes([l0, l1, l2, l3]);
    if [s0, s1, s2, s3] != SIGNATURE {
        return Err(BusError::Signature);
    }
    match len as usize {
        ..HEADER_LEN => Err(BusError::FrameTooShort { len }),
        wanted if wanted > limit => Err(BusError::FrameTooLong { len, limit }),
        wanted => Ok(wanted),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A frame of `len` bytes, as far as the reader looks.
    fn frame(len: u32) -> Vec<u8> {
        let mut frame = SIGNATURE.to_vec();
        frame.extend_from_slice(&len.to_be_bytes());
        frame.resize(len as usize, 0xaa);
        frame
    }

    #[test]
    fn a_frame_comes_out_with_its_last_byte() {
        let mut reader = FrameReader::new(MAX_FRAME_LEN);
        let frame = frame(200);
        for byte in &frame[..199] {
            reader.feed(&[*byte]);
            assert_eq!(reader.next_frame(), Ok(None));
        }
        reader.feed(&frame[199..]);
        assert_eq!(reader.next_frame(), Ok(Some(&frame[..])));
        assert_eq!(reader.next_frame(), Ok(None));
        assert_eq!(reader.pending(), 0);
    }

    #[test]
    fn lengths_are_judged_by_the_first_eight_bytes_alone() {
        let limit = 1000;
        for (len, outcome) in [
            (8, Err(BusError::FrameTooShort { len: 8 })),
            (143, Err(BusError::FrameTooShort { len: 143 })),
            (144, Ok(None)),
            (1000, Ok(None)),
            (1001, Err(BusError::FrameTooLong { len: 1001, limit })),
            (u32::MAX, Err(BusError::FrameTooLong { len: u32::MAX, limit })),
        ] {
            let mut reader = FrameReader::new(limit);
            let mut preamble = SIGNATURE.to_vec();
            preamble.extend_from_slice(&len.to_be_bytes());
            reader.feed(&preamble[..7]);
            assert_eq!(reader.next_frame(), Ok(None));
            reader.feed(&preamble[7..]);
            assert_eq!(reader.next_frame(), outcome, "{len}");
            assert_eq!(reader.next_frame(), outcome, "{len}: again");
        }
        let mut reader = FrameReader::new(limit);
        reader.feed(b"DbuY\0\0\0\x90");
        assert_eq!(reader.next_frame(), Err(BusError::Signature));
    }

    #[test]
    fn memory_is_taken_for_what_came_not_for_what_was_announced() {
        let mut reader = FrameReader::new(MAX_FRAME_LEN);
        let mut announced = SIGNATURE.to_vec();
        announced.extend_from_slice(&(MAX_FRAME_LEN as u32).to_be_bytes());
        reader.feed(&announced);
        assert_eq!(reader.next_frame(), Ok(None));
        assert!(reader.heap_bytes() < 100);
        reader.feed(&[0; 1 << 20]);
        assert_eq!(reader.next_frame(), Ok(None));
        assert!(reader.heap_bytes() < 3 << 20);
    }

    #[test]
    fn room_for_a_large_frame_is_given_back() {
        let mut reader = FrameReader::new(MAX_FRAME_LEN);
        reader.feed(&frame(1 << 20));
        assert!(matches!(reader.next_frame(), Ok(Some(_))));
        reader.feed(&frame(144));
        assert!(matches!(reader.next_frame(), Ok(Some(_))));
        assert!(reader.heap_bytes() <= KEEP_BYTES);
    }
}
