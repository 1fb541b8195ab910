//! What can happen to the engine.

use super::request::Request;
use super::settings::EngineSettings;

/// A client connection as the engine sees it. Never reused, so that a stale one hits nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientId(pub u64);

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
    /// The operator or the shell changes something.
    Control(Control),
}

/// Changes that come from the operator or from the shell, not from a client's request.
#[derive(Debug)]
pub enum Control {
    /// Steps are to tell what must be appended to the append-only file, or no longer.
    Persist(bool),
    /// New settings are in force.
    Settings(EngineSettings),
    /// The shell holds this many bytes itself (buffers, connections); they count against `maxmemory`.
    ShellMemory(u64),
}
