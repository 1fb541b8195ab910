//! What can be wrong with what a peer sends, and what becomes of the link then.

use std::fmt;

use crate::types::{ImageError, JobIdError};

/// Why a frame is not taken. The peer's fault, or the wire's; never a reason to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BusError {
    /// The frame does not begin with the signature: what follows cannot be framed.
    Signature,
    /// The frame claims to be shorter than its header.
    FrameTooShort {
        /// The length it claims.
        len: u32,
    },
    /// The frame claims to be longer than this node takes.
    FrameTooLong {
        /// The length it claims.
        len: u32,
        /// The longest that is taken.
        limit: usize,
    },
    /// Another version of the protocol.
    Version(u16),
    /// The frame was damaged on its way.
    Checksum {
        /// What the sender wrote.
        said: u16,
        /// What the frame gives.
        computed: u16,
    },
    /// A message of a type that this node does not know.
    UnknownType(u16),
    /// The frame's length is not that of a message of its type with its counts.
    Length {
        /// The type.
        message_type: u16,
        /// The frame's length.
        len: usize,
    },
    /// A node ID is not 40 lower-case hexadecimal digits. RC1 draws no others, and this node can name no others.
    NodeId,
    /// The job ID is none.
    JobId(JobIdError),
    /// A REPLJOB that does not announce one job, or a YOURJOBS with none or more than anyone asks for.
    JobCount(u32),
    /// A job in the message cannot be read.
    Image(ImageError),
    /// A message in a batch cannot be read, and so none of those behind it.
    InBatch {
        /// Its kind: a type, or what only batches have.
        kind: u8,
        /// Where in the frame it begins.
        at: usize,
        /// What is wrong.
        fault: BatchFault,
    },
}

/// What can be wrong with a message in a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BatchFault {
    /// The frame ends within it.
    Cut,
    /// This node does not know its kind.
    Kind,
    /// A number has more bits than its place allows.
    Number,
    /// A part is longer than any can be.
    TooLong {
        /// Which part.
        part: &'static str,
        /// How long it is said to be.
        len: u64,
    },
    /// No jobs in it, or more than anyone asks for.
    JobCount(u64),
}

impl BusError {
    /// Whether the link must be closed, because it is not known any more where the next frame begins: a damaged
    /// frame may be damaged in its length. After any other error the frame is dropped and the link stays.
    pub const fn closes_link(self) -> bool {
        matches!(
            self,
            BusError::Signature
                | BusError::FrameTooShort { .. }
                | BusError::FrameTooLong { .. }
                | BusError::Checksum { .. }
        )
    }
}

impl fmt::Display for BusError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BusError::Signature => f.write_str("no frame of the cluster bus"),
            BusError::FrameTooShort { len } => write!(f, "a frame of {len} bytes, shorter than its header"),
            BusError::FrameTooLong { len, limit } => {
                write!(f, "a frame of {len} bytes, longer than the {limit} that are taken")
            }
            BusError::Checksum { said, computed } => {
                write!(f, "a damaged frame: its checksum is {said:04x}, not {computed:04x}")
            }
            BusError::Version(version) => write!(f, "version {version} of the protocol"),
            BusError::UnknownType(number) => write!(f, "a message of the unknown type {number}"),
            BusError::Length { message_type, len } => {
                write!(f, "a message of type {message_type} with a wrong length, {len}")
            }
            BusError::NodeId => f.write_str("a node ID that is not 40 lower-case hexadecimal digits"),
            BusError::JobId(JobIdError::BadShape) => f.write_str("a malformed job ID"),
            BusError::JobId(JobIdError::Unknowable) => f.write_str("a job ID that no node makes"),
            BusError::JobCount(count) => write!(f, "{count} jobs in one message"),
            BusError::Image(error) => error.fmt(f),
            BusError::InBatch { kind, at, fault } => {
                write!(f, "a message of kind {kind} at byte {at} of a batch: {fault}")
            }
        }
    }
}

impl fmt::Display for BatchFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BatchFault::Cut => f.write_str("cut off by the end of the frame"),
            BatchFault::Kind => f.write_str("unknown"),
            BatchFault::Number => f.write_str("a number in it is too large"),
            BatchFault::TooLong { part, len } => write!(f, "its {part} has a length of {len}"),
            BatchFault::JobCount(count) => write!(f, "{count} jobs in it"),
        }
    }
}

impl std::error::Error for BusError {}

impl From<ImageError> for BusError {
    fn from(error: ImageError) -> BusError {
        BusError::Image(error)
    }
}
