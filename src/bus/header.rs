//! The first 144 bytes of every frame (cluster-bus.md 3), integers big-endian:
//!
//! | offset | size | field                                                             |
//! |--------|------|-------------------------------------------------------------------|
//! | 0      | 4    | signature `DbuZ`                                                  |
//! | 4      | 4    | length of the frame, this header included                         |
//! | 8      | 2    | version, 1                                                        |
//! | 10     | 2    | 0                                                                 |
//! | 12     | 2    | type of the message                                               |
//! | 14     | 2    | number of gossip entries                                          |
//! | 16     | 40   | node ID of the sender                                             |
//! | 56     | 46   | 0                                                                 |
//! | 102    | 4    | marker of nodes that know more than RC1, else 0                   |
//! | 106    | 4    | what they know: [`Features`]                                      |
//! | 110    | 26   | 0, reserved for a sequence number and a tag                       |
//! | 136    | 2    | client port of the sender                                         |
//! | 138    | 2    | flags of the sender; only LEAVING is read                         |
//! | 140    | 1    | 0                                                                 |
//! | 141    | 3    | flags of the message in the first byte, the others 0              |
//!
//! Where RC1 sends zeros that it never reads, this reads nothing either, the marker and the features apart.

use std::net::IpAddr;

use super::error::BusError;
use super::nodes_conf::NodeFlags;
use crate::types::NodeId;

/// Length of the header.
pub(super) const HEADER_LEN: usize = 144;
/// What every frame begins with.
pub(super) const SIGNATURE: [u8; 4] = *b"DbuZ";
/// The one version there is.
const VERSION: u16 = 1;
/// What stands in front of the features. RC1 has four zeros there.
const MARKER: [u8; 4] = *b"DqF1";

/// What a frame says about its sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// The sender's identity. Nothing vouches for it.
    pub sender: NodeId,
    /// The address at which it wants to be reached, if that is not the one its links come from. RC1 does not read it.
    pub ip: Option<IpAddr>,
    /// The port where it serves clients.
    pub port: u16,
    /// The bus port, if it is not 10000 above the client port. RC1 does not read it.
    pub bus_port: Option<u16>,
    /// Whether it is leaving the cluster. RC1 looks at this in PING, PONG and MEET only.
    pub leaving: bool,
    /// What it understands beyond RC1's protocol; `None` if it is an RC1 node.
    pub features: Option<Features>,
}

/// What a node understands beyond the protocol of RC1, as bits; a peer must have announced a feature before it
/// is used towards it. Unknown bits are kept and mean nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Features(u32);

impl Features {
    /// Only the announcement itself.
    pub const NONE: Features = Features(0);
    /// Takes frames with a checksum in the header, and checks it.
    pub const CHECKSUM: Features = Features(1);
    /// Takes frames that bring many messages, in a shorter form, and messages that RC1 does not know.
    pub const BATCH: Features = Features(2);
    /// What this version announces.
    pub const OURS: Features = Features(3);

    /// The features with these bits.
    pub const fn from_bits(bits: u32) -> Features {
        Features(bits)
    }

    /// The bits as they travel.
    pub const fn bits(self) -> u32 {
        self.0
    }

    /// Whether all of `features` are there.
    pub const fn contains(self, features: Features) -> bool {
        self.0 & features.0 == features.0
    }
}

/// What a header says about its message.
#[derive(Clone, Copy, Debug)]
pub(super) struct Envelope {
    pub(super) message_type: u16,
    /// Number of gossip entries; means nothing in other messages.
    pub(super) count: u16,
    pub(super) message_flags: u8,
}

impl Header {
    /// Appends the header of a frame of `len` bytes.
    pub(super) fn encode(&self, len: u32, envelope: Envelope, out: &mut Vec<u8>) {
        let start = out.len();
        let mut flags = NodeFlags::MYSELF;
        flags.set(NodeFlags::LEAVING, self.leaving);
        out.extend_from_slice(&SIGNATURE);
        out.extend_from_slice(&len.to_be_bytes());
        for field in [VERSION, 0, envelope.message_type, envelope.count] {
            out.extend_from_slice(&field.to_be_bytes());
        }
        out.extend_from_slice(&self.sender.text());
        out.extend_from_slice(&[0; 46]);
        match self.features {
            Some(features) => {
                out.extend_from_slice(&MARKER);
                out.extend_from_slice(&features.0.to_be_bytes());
            }
            None => out.extend_from_slice(&[0; 8]),
        }
        out.extend_from_slice(&[0; 26]);
        out.extend_from_slice(&self.port.to_be_bytes());
        out.extend_from_slice(&flags.bits().to_be_bytes());
        out.extend_from_slice(&[0, envelope.message_flags, 0, 0]);
        assert_eq!(out.len() - start, HEADER_LEN);
    }

    /// Reads a header whose signature and length were checked.
    ///
    /// An unknown type is told before an unknown kind of sender: it is what a newer peer may rightly send.
    pub(super) fn decode(bytes: &[u8; HEADER_LEN]) -> Result<(Header, Envelope), BusError> {
        let word = |at: usize| u16::from_be_bytes([bytes[at], bytes[at + 1]]);
        if word(8) != VERSION {
            return Err(BusError::Version(word(8)));
        }
        let envelope = Envelope { message_type: word(12), count: word(14), message_flags: bytes[141] };
        if envelope.message_type > super::message::LAST_TYPE {
            return Err(BusError::UnknownType(envelope.message_type));
        }
        let header = Header {
            sender: NodeId::parse(&bytes[16..56]).ok_or(BusError::NodeId)?,
            ip: None,
            port: word(136),
            bus_port: None,
            leaving: NodeFlags::from_bits(word(138)).has(NodeFlags::LEAVING),
            features: read_features(&bytes[102..110]),
        };
        Ok((header, envelope))
    }
}

fn read_features(bytes: &[u8]) -> Option<Features> {
    let bits = bytes.strip_prefix(&MARKER)?.first_chunk()?;
    Some(Features(u32::from_be_bytes(*bits)))
}
