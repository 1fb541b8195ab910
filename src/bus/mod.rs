//! What nodes tell each other, and what a node remembers about the others.
//!
//! * [`FrameReader`] cuts the bytes of a link into frames, [`decode`] makes a [`Header`] and [`Messages`] of a
//!   frame, [`FrameWriter`] is the way back. The protocol is that of RC1 (cluster-bus.md 1 to 7), byte for byte.
//! * Peers that announced more get more, on links where they did ([`FrameWriter::set_features`]): checksums, and
//!   batches in a compact form ([`Features`]).
//! * [`compare_for_job`] settles who keeps a job.
//! * [`NodesConf`] is the node table as text.
//!
//! No I/O, no clock: the time is a parameter, since jobs travel with the time they have left. Nothing here knows
//! which node may say what; the peer's bytes are only brought into a shape that can be trusted:
//!
//! * lengths and counts are checked before anything is computed with them or reserved for them;
//! * what is decoded can be encoded again, and what is encoded can be decoded;
//! * nothing new is sent to a peer that did not announce it, but for the announcement itself, which stands in bytes
//!   of PING, PONG and MEET that RC1 skips;
//! * what is sent is never what makes an RC1 node stop: gossip flags without a name, NEEDJOBS above
//!   [`MAX_JOBS`], spans that overflow.

mod batch;
mod checksum;
mod contest;
mod decode;
mod encode;
mod error;
mod frame;
mod header;
mod message;
mod nodes_conf;
#[cfg(test)]
mod tests;
mod writer;

pub use contest::compare_for_job;
pub use decode::{Messages, decode};
pub use error::{BatchFault, BusError};
pub use frame::{FrameReader, MAX_FRAME_LEN};
pub use header::{Features, Header};
pub use message::{Counts, Gossip, MAX_JOBS, Message, Notice, Totals, holders_digest};
pub use nodes_conf::{NodeFlags, NodeLine, NodesConf, NodesConfError};
pub use writer::FrameWriter;
