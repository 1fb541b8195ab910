//! Reads records back from a file, whatever has become of it.
//!
//! The reader is fed bytes in pieces of any size, and says what is next: a record, a record of a later version,
//! bytes that are none, or the end. It is total: any bytes have a reading.
//!
//! What is damaged, and what is the end? Where no valid frame stands, the reader looks for the next one. If
//! there is one, what lies before it is damaged; if there is none, it is the end: a record that was being
//! written when the power failed, zeros that a file system leaves, an old block. So damage in the middle costs
//! the records that it hit, and nothing else.
//!
//! Files of RC1 are told by their first byte. They have no checksums, and bodies may contain anything, so behind
//! a place that is no record nothing can be trusted: `rc1.rs`.

use std::fmt;
use std::io;

use super::frame::{FRAME_HEADER_LEN, FileHeader, FrameHeader, HEADER_LEN, HeaderError};
use super::rc1::{Rc1, Rc1Error};
use super::record::Record;
use super::window::Window;
use crate::types::NodeId;

/// What the reader found next.
#[derive(Debug, PartialEq)]
pub enum Next<'a> {
    /// A record, from `at` up to `end`.
    Record {
        /// Where its frame begins.
        at: u64,
        /// Where its frame ends.
        end: u64,
        /// What it says.
        record: Record<'a>,
    },
    /// A whole record of a kind that this version does not know.
    Unknown {
        /// Where its frame begins.
        at: u64,
        /// Its kind.
        kind: u8,
    },
    /// Bytes that are no record, with records behind them.
    Damaged {
        /// Where they begin.
        at: u64,
        /// How many they are.
        len: u64,
    },
    /// More bytes are needed to tell.
    NeedMore,
    /// Nothing more. `tail` bytes from `at` on are no record, and none stands behind them.
    End {
        /// Where the last record ends.
        at: u64,
        /// How many bytes lie behind it.
        tail: u64,
    },
}

/// Why a file cannot be read on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadError {
    /// What it begins with.
    Header(HeaderError),
    /// A file of RC1 is damaged in the middle.
    Rc1(Rc1Error),
}

impl ReadError {
    /// Whether the bytes are not what was written, as far as one can tell; else another version wrote them.
    pub fn is_damage(&self) -> bool {
        !matches!(self, ReadError::Header(HeaderError::Version { .. }))
    }
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ReadError::Header(error) => error.fmt(f),
            ReadError::Rc1(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for ReadError {}

/// In which format a file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Framed records, and what the header says.
    Framed {
        /// The header.
        header: FileHeader,
        /// Whether one of its two copies is damaged.
        damaged: bool,
    },
    /// LOADJOB and DELJOB as RC1 writes them.
    Rc1,
}

/// Reads one file.
#[derive(Debug, Default)]
pub struct Reader {
    window: Window,
    format: Option<Format>,
    rc1: Rc1,
    /// Where the bytes begin that are no record, if the last ones were none.
    damage: Option<u64>,
    /// The next frame must stand anywhere behind here, and not here.
    lost: bool,
    /// The nodes of the record at hand; kept for its capacity.
    nodes: Vec<NodeId>,
}

/// What stands at a place.
enum Look {
    Frame(FrameHeader),
    /// A valid header, and a payload that is not the one it was made for.
    BadPayload(FrameHeader),
    Nothing,
    /// The rest of what may be a frame is not there yet.
    Cut,
}

impl Reader {
    /// A reader at the beginning of a file.
    pub fn new() -> Reader {
        Reader::default()
    }

    /// Lets `read` put bytes into the reader's buffer, as `Read::read` does; 0 bytes are the end of the file.
    pub fn fill(&mut self, read: impl FnOnce(&mut [u8]) -> io::Result<usize>) -> io::Result<usize> {
        self.window.fill(read)
    }

    /// How the file is written; known once anything but [`Next::NeedMore`] was returned for a file that is not
    /// empty.
    pub fn format(&self) -> Option<Format> {
        self.format
    }

    /// What is next. After [`Next::NeedMore`] the reader must be filled.
    pub fn advance(&mut self) -> Result<Next<'_>, ReadError> {
        if self.format.is_none() {
            match self.recognise().map_err(ReadError::Header)? {
                Some(format) => self.format = Some(format),
                None if self.window.ended() => {
                    return Ok(Next::End { at: 0, tail: self.window.end_offset() });
                }
                None => return Ok(Next::NeedMore),
            }
        }
        match self.format {
            Some(Format::Framed { header, .. }) => Ok(self.next_frame(header.salt)),
            _ => self.rc1.advance(&mut self.window).map_err(ReadError::Rc1),
        }
    }

    /// Tells the format by the first bytes. A file without a whole header, or of zeros, is an empty one: nothing
    /// was ever written to it that anybody was told of.
    fn recognise(&mut self) -> Result<Option<Format>, HeaderError> {
        let rest = self.window.rest();
        if rest.first() == Some(&b'*') {
            return Ok(Some(Format::Rc1));
        }
        let Some(bytes) = rest.first_chunk::<HEADER_LEN>() else { return Ok(None) };
        if bytes.iter().all(|byte| *byte == 0) {
            return self.recognise_zeros();
        }
        let (header, damaged) = FileHeader::decode(bytes)?;
        self.window.take(HEADER_LEN);
        Ok(Some(Format::Framed { header, damaged }))
    }

    /// Zeros to the end are an empty file, unless something else follows.
    fn recognise_zeros(&self) -> Result<Option<Format>, HeaderError> {
        match self.window.rest().iter().any(|byte| *byte != 0) {
            true => Err(HeaderError::NotOurs),
            false => Ok(None),
        }
    }

    fn next_frame(&mut self, salt: u64) -> Next<'_> {
        loop {
            let at = self.window.offset();
            match self.look(salt) {
                Look::Frame(header) => {
                    self.lost = false;
                    if let Some(from) = self.damage.take() {
                        return Next::Damaged { at: from, len: at - from };
                    }
                    return self.record(header);
                }
                // A header that was reached frame by frame can be trusted. One that was found by searching is,
                // once in 16 million, none: its length must not make us skip anything.
                Look::BadPayload(header) if !self.lost => {
                    self.damage.get_or_insert(at);
                    self.window.take(FRAME_HEADER_LEN + header.len as usize);
                }
                Look::Cut if !self.window.ended() => return Next::NeedMore,
                _ if self.window.rest().is_empty() => {
                    let at = self.damage.unwrap_or(at);
                    return Next::End { at, tail: self.window.end_offset() - at };
                }
                Look::BadPayload(_) | Look::Nothing | Look::Cut => {
                    self.damage.get_or_insert(at);
                    self.lost = true;
                    self.window.take(1);
                }
            }
        }
    }

    fn look(&self, salt: u64) -> Look {
        let (at, rest) = (self.window.offset(), self.window.rest());
        let Some((bytes, behind)) = rest.split_first_chunk::<FRAME_HEADER_LEN>() else { return Look::Cut };
        let Some(header) = FrameHeader::decode(salt, at, bytes) else { return Look::Nothing };
        match behind.get(..header.len as usize) {
            None => Look::Cut,
            Some(payload) if header.fits(salt, at, payload) => Look::Frame(header),
            Some(_) => Look::BadPayload(header),
        }
    }

    /// Takes the frame at the front.
    fn record(&mut self, header: FrameHeader) -> Next<'_> {
        let at = self.window.offset();
        let len = FRAME_HEADER_LEN + header.len as usize;
        let payload = &self.window.take(len)[FRAME_HEADER_LEN..];
        match Record::decode(header.kind, payload, &mut self.nodes) {
            Ok(Some(record)) => Next::Record { at, end: at + len as u64, record },
            Ok(None) => Next::Unknown { at, kind: header.kind },
            // Its checksum says that it was written like this. Still it says nothing.
            Err(_) => Next::Damaged { at, len: len as u64 },
        }
    }
}
