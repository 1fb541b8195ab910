//! What can happen to the engine.

use std::net::{IpAddr, SocketAddr};

use super::persist::Persistence;
use super::request::Request;
use super::settings::EngineSettings;
use crate::bus::{Header, Message};

/// A client connection as the engine sees it. Never reused, so that a stale one hits nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientId(pub u64);

/// A link that this node opened to another. Numbered by the engine, never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkId(pub u64);

/// A link that another node opened to this one. Numbered by the driver, never reused. The engine keeps nothing
/// about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerLinkId(pub u64);

/// The link that a message came on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Via {
    /// One that this node opened.
    Own(LinkId),
    /// One that the peer opened.
    Peer {
        /// Which.
        link: PeerLinkId,
        /// The peer's address.
        from: IpAddr,
        /// The address of this node that the peer used.
        to: IpAddr,
    },
}

/// One thing that happened. The driver hands it over with the time, and performs the effects before the next.
#[derive(Debug)]
pub enum Input<'a> {
    /// A client asks for something. It has no other request in the engine: the driver holds the next one
    /// back until the reply to this one has come.
    Request {
        /// Who asks.
        client: ClientId,
        /// What is asked.
        request: Request<'a>,
    },
    /// The connection is gone, or its owner no longer waits for an answer.
    ClientGone {
        /// Whose connection.
        client: ClientId,
    },
    /// A link that the engine wanted open is connected: what is sent on it arrives, unless it breaks.
    LinkUp {
        /// Which.
        link: LinkId,
    },
    /// A link that the engine wanted open could not be opened, or is gone.
    LinkDown {
        /// Which.
        link: LinkId,
    },
    /// Another node says something. Nothing vouches for the sender but the header itself.
    Message {
        /// How it came.
        via: Via,
        /// Who says it.
        header: &'a Header,
        /// What.
        message: Message<'a>,
    },
    /// The operator or the shell changes something.
    Control(Control),
}

/// Changes that come from the operator or from the shell, not from a client's request.
#[derive(Debug)]
pub enum Control {
    /// Steps are to tell what must be appended to the append-only file, or no longer.
    Persist(Persistence),
    /// The append-only file that was loaded lacks records: other nodes are asked what this one is to hold.
    RecordsLost,
    /// The append-only file cannot be written, or can again. While it cannot, no copies are taken in.
    DiskFailing(bool),
    /// New settings are in force.
    Settings(EngineSettings),
    /// The shell holds this many bytes itself (buffers, connections); they count against `maxmemory`.
    ShellMemory(u64),
    /// The addresses of `cluster-seeds`, as far as their names could be resolved: nodes to meet while this node is
    /// not in a cluster with them. The ports are those for clients. They take the place of those told before; CLUSTER
    /// RESET drops them.
    Seeds(Vec<SocketAddr>),
}
