//! What programs need to talk to servers: connections, URLs, the handshake.

pub(crate) mod connection;
pub(crate) mod session;
pub(crate) mod url;
