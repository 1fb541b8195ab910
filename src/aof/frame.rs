//! Files of records: the header, and the frame around each record.
//!
//! A file begins with two copies of the header, so that a damaged byte does not cost the file. One copy:
//!
//! | offset | size | field                                                              |
//! |--------|------|--------------------------------------------------------------------|
//! | 0      | 8    | magic: `DQAOF` CR LF, 0x1a                                         |
//! | 8      | 2    | major version, 1: another cannot be read                           |
//! | 10     | 2    | minor version, 0: later ones have more kinds of records            |
//! | 12     | 4    | what the file is: 1 a base, 2 a log                                |
//! | 16     | 8    | its number                                                         |
//! | 24     | 8    | when it was made, Unix milliseconds                                |
//! | 32     | 8    | salt: random, and told to nobody                                   |
//! | 40     | 20   | the node that wrote it                                             |
//! | 60     | 4    | CRC-32C of the 60 bytes before                                     |
//!
//! Frames follow without gaps:
//!
//! | offset | size | field                                                              |
//! |--------|------|--------------------------------------------------------------------|
//! | 0      | 4    | CRC-32C of the payload                                             |
//! | 4      | 4    | length of the payload                                              |
//! | 8      | 1    | kind of the record, not 0                                          |
//! | 9      | 3    | low 24 bits of the CRC-32C of the nine bytes before                |
//! | 12     | n    | payload                                                            |
//!
//! Both checksums start from values that are made of the file's salt and the frame's place in the file. A frame
//! is therefore valid in one place of one file only: what a client put into a body, an old block of the disk, or
//! a piece of the file in another place is never taken for one. The header of a frame has a checksum of its own,
//! so that the next frame is found behind a damaged payload, and so that looking for the next valid frame behind
//! a damaged header costs one short checksum per byte, whatever the bytes are.

use std::fmt;

use crate::types::{NodeId, UnixMillis};

/// Length of the header's two copies, where the first frame begins.
pub const HEADER_LEN: usize = 2 * COPY_LEN;
/// Length of what stands before each payload.
pub const FRAME_HEADER_LEN: usize = 12;

const COPY_LEN: usize = 64;
const MAGIC: [u8; 8] = *b"DQAOF\r\n\x1a";
const MAJOR: u16 = 1;
const MINOR: u16 = 0;

/// What a file is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// Everything that was known at some moment; its last record is `End`.
    Base,
    /// What happened since.
    Log,
}

/// What a file says about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileHeader {
    /// What it is for.
    pub kind: FileKind,
    /// Its number, which is also in its name: a base stands for all files with lower numbers.
    pub number: u64,
    /// When it was made.
    pub created: UnixMillis,
    /// Random bytes that make its frames valid nowhere else.
    pub salt: u64,
    /// The node that wrote it.
    pub node: NodeId,
    /// The minor version of the program that wrote it.
    pub minor: u16,
}

/// Why a file cannot be read at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeaderError {
    /// Neither copy of the header is whole.
    Damaged,
    /// Another kind of file.
    NotOurs,
    /// Written by a version whose records mean something else.
    Version {
        /// Its major version.
        major: u16,
    },
}

impl fmt::Display for HeaderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HeaderError::Damaged => f.write_str("both copies of the file's header are damaged"),
            HeaderError::NotOurs => f.write_str("this is no append-only file of Disque"),
            HeaderError::Version { major } => write!(
                f,
                "the file has the format version {major}, and this server reads up to {MAJOR}; \
                 use the version of the server that wrote it, or a later one"
            ),
        }
    }
}

impl std::error::Error for HeaderError {}

impl FileHeader {
    /// A header of this version.
    pub fn new(kind: FileKind, number: u64, created: UnixMillis, salt: u64, node: NodeId) -> FileHeader {
        FileHeader { kind, number, created, salt, node, minor: MINOR }
    }

    /// Whether the file may have kinds of records that this version does not know.
    pub fn is_newer(&self) -> bool {
        self.minor > MINOR
    }

    /// The bytes that the file begins with.
    pub fn encode(&self) -> [u8; HEADER_LEN] {
        let mut copy = [0; COPY_LEN];
        copy[..8].copy_from_slice(&MAGIC);
        copy[8..10].copy_from_slice(&MAJOR.to_le_bytes());
        copy[10..12].copy_from_slice(&self.minor.to_le_bytes());
        let kind: u32 = if self.kind == FileKind::Base { 1 } else { 2 };
        copy[12..16].copy_from_slice(&kind.to_le_bytes());
        copy[16..24].copy_from_slice(&self.number.to_le_bytes());
        copy[24..32].copy_from_slice(&self.created.0.to_le_bytes());
        copy[32..40].copy_from_slice(&self.salt.to_le_bytes());
        copy[40..60].copy_from_slice(self.node.bytes());
        let sum = crc32c::crc32c(&copy[..60]);
        copy[60..].copy_from_slice(&sum.to_le_bytes());
        let mut both = [0; HEADER_LEN];
        both[..COPY_LEN].copy_from_slice(&copy);
        both[COPY_LEN..].copy_from_slice(&copy);
        both
    }

    /// Reads a header from the copy that is whole; also says whether one of them is damaged.
    pub fn decode(bytes: &[u8; HEADER_LEN]) -> Result<(FileHeader, bool), HeaderError> {
        let copies = [&bytes[..COPY_LEN], &bytes[COPY_LEN..]];
        let whole = copies.map(|copy| crc32c::crc32c(&copy[..60]).to_le_bytes() == copy[60..]);
        let copy = match whole {
            [true, _] => copies[0],
            [false, true] => copies[1],
            [false, false] if copies.iter().any(|copy| copy[..8] == MAGIC) => {
                return Err(HeaderError::Damaged);
            }
            [false, false] => return Err(HeaderError::NotOurs),
        };
        if copy[..8] != MAGIC {
            return Err(HeaderError::NotOurs);
        }
        let major = u16::from_le_bytes(part(copy, 8));
        if major != MAJOR {
            return Err(HeaderError::Version { major });
        }
        let kind = match u32::from_le_bytes(part(copy, 12)) {
            1 => FileKind::Base,
            2 => FileKind::Log,
            _ => return Err(HeaderError::NotOurs),
        };
        let header = FileHeader {
            kind,
            number: u64::from_le_bytes(part(copy, 16)),
            created: UnixMillis(u64::from_le_bytes(part(copy, 24))),
            salt: u64::from_le_bytes(part(copy, 32)),
            node: NodeId::from_bytes(part(copy, 40)),
            minor: u16::from_le_bytes(part(copy, 10)),
        };
        Ok((header, whole != [true, true]))
    }
}

fn part<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    bytes[at..at + N].try_into().expect("a slice of N bytes")
}

/// Puts frames around payloads, one behind the other in one file.
#[derive(Clone, Debug)]
pub struct Framer {
    salt: u64,
    offset: u64,
}

impl Framer {
    /// For a file with this salt, from this place on.
    pub fn new(salt: u64, offset: u64) -> Framer {
        Framer { salt, offset }
    }

    /// Where the next frame will begin.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Appends a frame with this payload to `out`. The payload must not be longer than
    /// [`MAX_PAYLOAD`](super::MAX_PAYLOAD).
    pub fn frame(&mut self, kind: u8, payload: &[u8], out: &mut Vec<u8>) {
        let header = FrameHeader::of(self.salt, self.offset, kind, payload);
        out.extend_from_slice(&header.encode(self.salt, self.offset));
        out.extend_from_slice(payload);
        self.offset += (FRAME_HEADER_LEN + payload.len()) as u64;
    }
}

/// What stands before a payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FrameHeader {
    pub(crate) sum: u32,
    pub(crate) len: u32,
    pub(crate) kind: u8,
}

impl FrameHeader {
    fn of(salt: u64, offset: u64, kind: u8, payload: &[u8]) -> FrameHeader {
        assert_ne!(kind, 0);
        assert!(payload.len() <= super::MAX_PAYLOAD);
        let sum = crc32c::crc32c_append(seed(salt, offset) as u32, payload);
        FrameHeader { sum, len: payload.len() as u32, kind }
    }

    fn encode(self, salt: u64, offset: u64) -> [u8; FRAME_HEADER_LEN] {
        let mut bytes = [0; FRAME_HEADER_LEN];
        bytes[..4].copy_from_slice(&self.sum.to_le_bytes());
        bytes[4..8].copy_from_slice(&self.len.to_le_bytes());
        bytes[8] = self.kind;
        let check = check(salt, offset, &bytes[..9]);
        bytes[9..].copy_from_slice(&check);
        bytes
    }

    /// The header at this place, if there is a whole one.
    pub(crate) fn decode(salt: u64, offset: u64, bytes: &[u8; FRAME_HEADER_LEN]) -> Option<FrameHeader> {
        if bytes[9..] != check(salt, offset, &bytes[..9]) {
            return None;
        }
        let [sum, len] = [part(bytes, 0), part(bytes, 4)].map(u32::from_le_bytes);
        let header = FrameHeader { sum, len, kind: bytes[8] };
        (header.kind != 0 && len as usize <= super::MAX_PAYLOAD).then_some(header)
    }

    /// Whether this is the payload that the header was made for.
    pub(crate) fn fits(&self, salt: u64, offset: u64, payload: &[u8]) -> bool {
        crc32c::crc32c_append(seed(salt, offset) as u32, payload) == self.sum
    }
}

fn check(salt: u64, offset: u64, bytes: &[u8]) -> [u8; 3] {
    let sum = crc32c::crc32c_append((seed(salt, offset) >> 32) as u32, bytes);
    let [a, b, c, _] = sum.to_le_bytes();
    [a, b, c]
}

/// Where checksums start in this place of this file: the finaliser of SplitMix64, whose result has no relation
/// to that of the neighbouring places.
fn seed(salt: u64, offset: u64) -> u64 {
    let mixed = salt.wrapping_add(offset.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> FileHeader {
        FileHeader::new(FileKind::Log, 3, UnixMillis(1_795_315_000_000), 99, NodeId::from_bytes([7; 20]))
    }

    #[test]
    fn a_header_with_any_byte_damaged_is_read_from_its_other_copy() {
        let whole = header().encode();
        assert_eq!(FileHeader::decode(&whole), Ok((header(), false)));
        for at in 0..HEADER_LEN {
            let mut bytes = whole;
            bytes[at] ^= 1 << (at % 8);
            assert_eq!(FileHeader::decode(&bytes), Ok((header(), true)), "byte {at}");
            bytes[(at + COPY_LEN) % HEADER_LEN] ^= 1;
            assert!(FileHeader::decode(&bytes).is_err(), "byte {at} of both");
        }
    }

    #[test]
    fn a_file_of_a_later_major_version_is_refused_by_that() {
        let mut bytes = header().encode();
        for copy in bytes.as_chunks_mut::<COPY_LEN>().0 {
            copy[8] = 2;
            let sum = crc32c::crc32c(&copy[..60]);
            copy[60..].copy_from_slice(&sum.to_le_bytes());
        }
        assert_eq!(FileHeader::decode(&bytes), Err(HeaderError::Version { major: 2 }));
        assert_eq!(FileHeader::decode(&[0; HEADER_LEN]), Err(HeaderError::NotOurs));
    }

    #[test]
    fn a_frame_is_valid_in_its_place_of_its_file_only() {
        let mut out = Vec::new();
        Framer::new(99, 1000).frame(1, b"payload", &mut out);
        let (bytes, payload) = out.split_first_chunk().expect("a whole frame");
        let header = FrameHeader::decode(99, 1000, bytes).expect("a valid header");
        assert!(header.fits(99, 1000, payload));
        for (salt, offset) in [(99, 1001), (99, 0), (98, 1000), (0, 0)] {
            assert_eq!(FrameHeader::decode(salt, offset, bytes), None);
            assert!(!header.fits(salt, offset, payload));
        }
    }
}
