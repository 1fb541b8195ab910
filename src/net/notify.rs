//! Tells systemd, or what else has set `NOTIFY_SOCKET`, how the server stands: the protocol of sd_notify(3).
//!
//! One datagram per message, to the socket that the variable names. Without the variable nothing happens. It is read each
//! time and stays set, so that a server that starts itself again finds it, too.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// What the service manager may be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// The append-only file is being read; requests are refused meanwhile.
    Loading,
    /// Requests are served.
    Ready,
    /// The server is about to end.
    Stopping,
}

impl State {
    const fn message(self) -> &'static str {
        match self {
            State::Loading => "STATUS=Loading the append-only file",
            State::Ready => "READY=1\nSTATUS=Accepting connections",
            State::Stopping => "STOPPING=1\nSTATUS=Shutting down",
        }
    }
}

/// Says how the server stands to whoever asked by `NOTIFY_SOCKET`. A manager that cannot be told is worth a line in
/// the log and nothing more: it will notice by itself.
pub(super) fn tell(state: State) {
    let Some(socket) = std::env::var_os("NOTIFY_SOCKET").filter(|socket| !socket.is_empty()) else { return };
    if let Err(error) = send(&socket, state.message()) {
        tracing::warn!(%error, socket = %socket.display(), "cannot tell the service manager");
    }
}

/// Sends without waiting: a manager whose queue is full must not stop the event loop.
fn send(socket: &OsStr, message: &str) -> io::Result<()> {
    let datagram = UnixDatagram::unbound()?;
    datagram.set_nonblocking(true)?;
    datagram.send_to_addr(message.as_bytes(), &address(socket)?)?;
    Ok(())
}

/// A path, or, after an `@`, a name that is in no directory.
fn address(socket: &OsStr) -> io::Result<SocketAddr> {
    match socket.as_bytes().strip_prefix(b"@") {
        Some(name) => abstract_address(name),
        None => SocketAddr::from_pathname(socket),
    }
}

#[cfg(target_os = "linux")]
fn abstract_address(name: &[u8]) -> io::Result<SocketAddr> {
    use std::os::linux::net::SocketAddrExt as _;
    SocketAddr::from_abstract_name(name)
}

#[cfg(not(target_os = "linux"))]
fn abstract_address(_: &[u8]) -> io::Result<SocketAddr> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "only Linux has sockets whose name begins with @"))
}
