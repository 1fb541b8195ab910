//! The first 144 bytes of every frame (cluster-bus.md 3), integers big-endian:
//!
//! | offset | size | field                                                             |
//! |--------|------|-------------------------------------------------------------------|
//! | 0      | 4    | signature `DbuZ`                                                  |
//! | 4      | 4    | length of the frame, this header included                         |
//! | 8      | 2    | version, 1                                                        |
//! | 10     | 2    | [`checksum`](super::checksum), inverted                           |
//! | 12     | 2    | type of the message                                               |
//! | 14     | 2    | number of gossip entries                                          |
//! | 16     | 40   | node ID of the sender                                             |
//! | 56     | 46   | announced address: text, filled up with at least one zero, else 0 |
//! | 102    | 4    | marker of nodes that know more than RC1, else 0                   |
//! | 106    | 4    | what they know: [`Features`]                                      |
//! | 110    | 24   | 0, reserved for a sequence number and a tag                       |
//! | 134    | 2    | checksum                                                          |
//! | 136    | 2    | client port of the sender                                         |
//! | 138    | 2    | flags of the sender; only LEAVING is read                         |
//! | 140    | 1    | sign that there is a checksum                                     |
//! | 141    | 1    | flags of the message                                              |
//! | 142    | 2    | announced bus port, else 0                                        |
//!
//! The announcement (address, marker, features, bus port) is sent to everybody in PING, PONG and MEET: RC1 skips
//! these bytes. To peers that announced themselves it is sent in batches, too, which are told from other frames of
//! their type by the marker. It is read behind the marker only. Where RC1 sends zeros that it never reads, nothing
//! else is read here, either.

use std::io::Write as _;
use std::net::IpAddr;

use super::error::BusError;
use super::frame::MAX_FRAME_LEN;
use super::message::{IP_LEN, LAST_TYPE, kind};
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
    /// The address at which it wants to be reached, if that is not the one its links come from.
    ///
    /// This, the bus port and the features are announced in PING, PONG, MEET and batches, and by a node that has
    /// features; in other messages they are `None` whoever the sender is.
    pub ip: Option<IpAddr>,
    /// The port where it serves clients.
    pub port: u16,
    /// The bus port, if it is not 10000 above the client port; not 0.
    pub bus_port: Option<u16>,
    /// Whether it is leaving the cluster. RC1 looks at this in PING, PONG and MEET only.
    pub leaving: bool,
    /// What it understands beyond RC1's protocol; `None` if it announces nothing, as an RC1 node.
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
    /// Tells a node that has lost records, and asks, what it is to hold ([`Message::LostJobs`](super::Message::LostJobs)).
    pub const LOSSES: Features = Features(4);
    /// Has an append-only file, and confirms copies when they are on the disk if asked to
    /// ([`Message::SyncJob`](super::Message::SyncJob)). Announced while that is so.
    pub const DISK: Features = Features(8);
    /// What this version announces in any case.
    pub const OURS: Features = Features(1 | 2 | 4);
    /// All that this version knows.
    pub const ALL: Features = Features(Features::OURS.0 | Features::DISK.0);

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

    /// These features and those.
    pub const fn and(self, features: Features) -> Features {
        Features(self.0 | features.0)
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

impl Envelope {
    /// Whether the sender announces itself with such messages.
    fn announces(self) -> bool {
        matches!(self.message_type, kind::PING | kind::PONG | kind::MEET | kind::BATCH)
    }
}

impl Header {
    /// Appends the header of a frame whose length is not known yet, and tells where it begins. To be completed with
    /// [`set_len`].
    pub(super) fn encode(&self, envelope: Envelope, out: &mut Vec<u8>) -> usize {
        let start = out.len();
        let mut bytes = [0; HEADER_LEN];
        let mut flags = NodeFlags::MYSELF;
        flags.set(NodeFlags::LEAVING, self.leaving);
        put(&mut bytes, 0, SIGNATURE);
        put(&mut bytes, 8, VERSION.to_be_bytes());
        put(&mut bytes, 12, envelope.message_type.to_be_bytes());
        put(&mut bytes, 14, envelope.count.to_be_bytes());
        put(&mut bytes, 16, self.sender.text());
        put(&mut bytes, 136, self.port.to_be_bytes());
        put(&mut bytes, 138, flags.bits().to_be_bytes());
        bytes[141] = envelope.message_flags;
        if let Some(features) = self.features
            && envelope.announces()
        {
            put(&mut bytes, 56, ip_field(self.ip));
            put(&mut bytes, 102, MARKER);
            put(&mut bytes, 106, features.0.to_be_bytes());
            put(&mut bytes, 142, self.bus_port.unwrap_or(0).to_be_bytes());
        }
        out.extend_from_slice(&bytes);
        start
    }

    /// Reads a header whose signature and length were checked.
    ///
    /// An unknown type is told before an unknown kind of sender: it is what a newer peer may rightly send.
    pub(super) fn decode(bytes: &[u8; HEADER_LEN]) -> Result<(Header, Envelope), BusError> {
        let word = |at: usize| u16::from_be_bytes([bytes[at], bytes[at + 1]]);
        let envelope = Envelope { message_type: word(12), count: word(14), message_flags: bytes[141] };
        if envelope.message_type > LAST_TYPE {
            return Err(BusError::UnknownType(envelope.message_type));
        }
        let features = read_features(&bytes[102..110]).filter(|_| envelope.announces());
        if envelope.message_type == kind::BATCH && features.is_none() {
            return Err(BusError::UnknownType(kind::BATCH));
        }
        let header = Header {
            sender: NodeId::parse(&bytes[16..56]).ok_or(BusError::NodeId)?,
            ip: features.and_then(|_| read_ip(&bytes[56..][..IP_LEN])),
            port: word(136),
            bus_port: features.and_then(|_| read_port(word(142))),
            leaving: NodeFlags::from_bits(word(138)).has(NodeFlags::LEAVING),
            features,
        };
        Ok((header, envelope))
    }
}

/// Says in a frame that ends with `out` how long it is.
pub(super) fn set_len(start: usize, out: &mut [u8]) {
    let len = out.len() - start;
    assert!(len <= MAX_FRAME_LEN, "a frame of {len} bytes");
    out[start + 4..start + 8].copy_from_slice(&(len as u32).to_be_bytes());
}

/// Refuses another version, in which nothing else may be where it is here.
pub(super) fn check_version(bytes: &[u8; HEADER_LEN]) -> Result<(), BusError> {
    match u16::from_be_bytes([bytes[8], bytes[9]]) {
        VERSION => Ok(()),
        other => Err(BusError::Version(other)),
    }
}

fn put<const N: usize>(bytes: &mut [u8; HEADER_LEN], at: usize, field: [u8; N]) {
    bytes[at..at + N].copy_from_slice(&field);
}

fn read_features(bytes: &[u8]) -> Option<Features> {
    let bits = bytes.strip_prefix(&MARKER)?.first_chunk()?;
    Some(Features(u32::from_be_bytes(*bits)))
}

/// A port that is announced; 0 announces none.
pub(super) fn read_port(field: u16) -> Option<u16> {
    (field != 0).then_some(field)
}

/// An address as text.
pub(super) fn ip_field(ip: Option<IpAddr>) -> [u8; IP_LEN] {
    let mut field = [0; IP_LEN];
    if let Some(address) = ip {
        write!(&mut field[..IP_LEN - 1], "{address}").expect("addresses have at most 45 characters");
    }
    field
}

/// An address must be ended by a zero byte; what follows that is ignored.
pub(super) fn read_ip(field: &[u8]) -> Option<IpAddr> {
    let end = field.iter().position(|byte| *byte == 0)?;
    std::str::from_utf8(&field[..end]).ok()?.parse().ok()
}
