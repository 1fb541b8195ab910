//! Bytes to client protocol values and back: RESP2, RESP3 and inline commands.
//!
//! * [`RequestReader`] finds the arguments of requests in what a connection has read, incrementally.
//! * [`Value`] is a reply as the server composes it; [`mod@write`] is the same for replies too frequent to become values first.
//! * [`Reply`] is a reply as clients find it in what they read: [`decode_reply`]. [`encode_request`] writes requests.
//! * [`Output`] is what a connection still has to send.
//!
//! No I/O: the shell reads into buffers and writes slices, this room only looks at them. Nothing here knows a
//! command.

mod inline;
mod output;
mod reader;
mod reply;
mod value;
pub mod write;

pub use inline::{UnbalancedQuotes, split_quoted};
pub use output::Output;
pub use reader::{LARGE_FROM, LargeArg, Next, ProtocolError, RequestReader};
pub use reply::{Garbled, Reply, decode_reply, encode_request};
pub use value::Value;

/// The protocol a connection has chosen for replies; requests look the same in both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protocol {
    /// What a connection speaks until it asks for something else.
    #[default]
    Resp2,
    /// Chosen by `HELLO 3`.
    Resp3,
}
