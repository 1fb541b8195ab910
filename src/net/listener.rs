//! Where clients and other nodes come in: TCP addresses and the Unix socket.

use std::fmt;
use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use mio::event::Source;
use mio::net::{TcpListener, UnixListener};
use mio::{Interest, Registry, Token};
use socket2::{Domain, Protocol, Socket, Type};

use super::stream::Stream;

/// A listening socket.
#[derive(Debug)]
pub(crate) enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// Why a listener could not be opened.
#[derive(Debug)]
pub struct ListenError {
    /// What was to be listened on.
    pub place: Place,
    /// What the system said.
    pub error: io::Error,
}

/// Something to listen on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// An address and port.
    Tcp(SocketAddr),
    /// An address and port for the other nodes.
    Bus(SocketAddr),
    /// An address and port for HTTP.
    Http(SocketAddr),
    /// The path of a Unix socket.
    Unix(PathBuf),
}

impl fmt::Display for ListenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ListenError { place, error } = self;
        match place {
            Place::Tcp(addr) => write!(f, "cannot listen on {addr}: {error}")?,
            Place::Bus(addr) => write!(f, "cannot listen on {addr}, where other nodes connect: {error}")?,
            Place::Http(addr) => write!(f, "cannot serve HTTP on {addr}: {error}")?,
            Place::Unix(path) => write!(f, "cannot listen on {}: {error}", path.display())?,
        }
        f.write_str(match (place, error.kind()) {
            (Place::Tcp(_), io::ErrorKind::AddrInUse) => {
                " (is another server running? choose another port with --port)"
            }
            (Place::Bus(_), io::ErrorKind::AddrInUse) => {
                " (it lies 10000 above the port for clients; choose another with --cluster-port, or another --port)"
            }
            (Place::Http(_), io::ErrorKind::AddrInUse) => " (choose another port with --http-port)",
            (Place::Http(_), io::ErrorKind::AddrNotAvailable) => {
                " (no interface of this machine has the address; choose others with --http-bind)"
            }
            (Place::Tcp(_) | Place::Bus(_), io::ErrorKind::AddrNotAvailable) => {
                " (no interface of this machine has the address; choose others with --bind)"
            }
            (Place::Tcp(_) | Place::Bus(_) | Place::Http(_), io::ErrorKind::PermissionDenied) => " (ports below 1024 need privileges)",
            (Place::Tcp(_) | Place::Bus(_) | Place::Http(_), _) => "",
            (Place::Unix(_), io::ErrorKind::AlreadyExists) => {
                " (move it away, or choose another path with --unixsocket)"
            }
            (Place::Unix(_), _) => " (choose another path with --unixsocket)",
        })
    }
}

impl std::error::Error for ListenError {}

/// Opens all TCP listeners of one port; `place` says what for. Without `bind` addresses it listens on all of IPv6 and
/// IPv4, and is content with either if the system lacks the other.
pub(crate) fn open_tcp(
    bind: &[IpAddr],
    port: u16,
    backlog: i32,
    place: fn(SocketAddr) -> Place,
) -> Result<Vec<TcpListener>, ListenError> {
    let sockets = open_all(bind, port, backlog, place)?;
    let listeners = sockets.into_iter().map(|(addr, socket)| {
        socket.set_nonblocking(true).map_err(|error| ListenError { place: place(addr), error })?;
        Ok(TcpListener::from_std(socket.into()))
    });
    listeners.collect()
}

/// The same for threads that wait, with the addresses.
pub(crate) fn open_blocking(
    bind: &[IpAddr],
    port: u16,
    place: fn(SocketAddr) -> Place,
) -> Result<Vec<(SocketAddr, std::net::TcpListener)>, ListenError> {
    const BACKLOG: i32 = 64;
    let sockets = open_all(bind, port, BACKLOG, place)?;
    Ok(sockets.into_iter().map(|(addr, socket)| (addr, socket.into())).collect())
}

fn open_all(
    bind: &[IpAddr],
    port: u16,
    backlog: i32,
    place: fn(SocketAddr) -> Place,
) -> Result<Vec<(SocketAddr, Socket)>, ListenError> {
    let open = |ip: IpAddr| {
        let addr = SocketAddr::new(ip, port);
        let socket = open_one(addr, backlog);
        socket.map(|socket| (addr, socket)).map_err(|error| ListenError { place: place(addr), error })
    };
    if !bind.is_empty() {
        return bind.iter().map(|ip| open(*ip)).collect();
    }
    match (open(Ipv6Addr::UNSPECIFIED.into()), open(Ipv4Addr::UNSPECIFIED.into())) {
        (Ok(v6), Ok(v4)) => Ok(vec![v6, v4]),
        (Ok(one), Err(error)) | (Err(error), Ok(one)) => match error.error.kind() {
            io::ErrorKind::AddrInUse => Err(error),
            _ => Ok(vec![one]),
        },
        (Err(_), Err(error)) => Err(error),
    }
}

fn open_one(addr: SocketAddr, backlog: i32) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if addr.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.bind(&addr.into())?;
    socket.listen(backlog)?;
    Ok(socket)
}

/// Opens the Unix socket. A socket file that a dead server left is removed; any other file is not.
pub(crate) fn open_unix(path: &Path, permissions: u32) -> Result<Listener, ListenError> {
    let open = || -> io::Result<UnixListener> {
        if let Ok(found) = fs::symlink_metadata(path) {
            if !found.file_type().is_socket() {
                return Err(io::Error::new(io::ErrorKind::AlreadyExists, "the file exists and is no socket"));
            }
            fs::remove_file(path)?;
        }
        let listener = UnixListener::bind(path)?;
        if permissions != 0 {
            fs::set_permissions(path, fs::Permissions::from_mode(permissions))?;
        }
        Ok(listener)
    };
    open().map(Listener::Unix).map_err(|error| ListenError { place: Place::Unix(path.to_owned()), error })
}

impl Listener {
    pub(crate) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        match self {
            Listener::Tcp(listener) => listener.register(registry, token, Interest::READABLE),
            Listener::Unix(listener) => listener.register(registry, token, Interest::READABLE),
        }
    }

    /// The next connection and the name of its other end, or `WouldBlock`.
    pub(crate) fn accept(&self, unix_path: &str) -> io::Result<(Stream, String)> {
        match self {
            Listener::Tcp(listener) => {
                let (stream, peer) = listener.accept()?;
                stream.set_nodelay(true)?;
                Ok((Stream::Tcp(stream), peer.to_string()))
            }
            Listener::Unix(listener) => {
                let (stream, _) = listener.accept()?;
                Ok((Stream::Unix(stream), format!("{unix_path}:0")))
            }
        }
    }
}
