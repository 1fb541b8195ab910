//! One link to another node: its socket, the frame that is coming in, what waits to be sent.

use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd as _;
use std::time::Duration;

use mio::net::TcpStream;
use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};

use crate::bus::{FrameReader, FrameWriter, MAX_FRAME_LEN};
use crate::engine::{LinkId, PeerLinkId, Via};
use crate::net::client::ReadEnd;
use crate::types::UnixMillis;

/// A link of either direction.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) side: Side,
    pub(super) stream: TcpStream,
    pub(super) reader: FrameReader,
    pub(super) output: FrameWriter,
    /// The socket may have bytes to read; edge-triggered readiness will not say so again.
    pub(super) readable: bool,
    /// The other end will send nothing more: a short read is not the last one.
    pub(super) hung_up: bool,
    /// Stands in the list of links to be flushed at the end of the turn.
    pub(super) dirty: bool,
    /// Stands in the list of links that are flushed soon.
    pub(super) lazy: bool,
    /// Stands in the list of links to go on with in the next turn.
    pub(super) resuming: bool,
    /// When bytes last came.
    pub(super) last_input: UnixMillis,
    /// Since when it has used up its share of each turn.
    pub(super) busy_since: Option<UnixMillis>,
}

/// Who opened the link.
#[derive(Clone, Copy, Debug)]
pub(super) enum Side {
    /// This node.
    Own {
        id: LinkId,
        /// The other end.
        address: SocketAddr,
        /// Until when it must be connected; `None` if it is.
        connect_by: Option<UnixMillis>,
    },
    /// The other.
    Peer {
        id: PeerLinkId,
        /// The other end.
        address: SocketAddr,
        /// The address of this node that the other used.
        to: IpAddr,
    },
}

/// Silence after which the system probes whether a node that opened a link is still there. Its connection would
/// otherwise stay for ever if its machine vanished: nothing but answers is sent to it.
const KEEP_ALIVE: Duration = Duration::from_secs(60);
/// For how long a sent byte may be on its way. Well below the time for which IDs of forgotten jobs are remembered.
#[cfg(target_os = "linux")]
const OLDEST_BYTES: Duration = Duration::from_secs(30);
/// How much one link may write in one turn.
const WRITE_BUDGET: usize = 4 * 1024 * 1024;

impl Link {
    pub(super) fn new(side: Side, stream: TcpStream, now: UnixMillis) -> Link {
        Link {
            side,
            stream,
            reader: FrameReader::new(MAX_FRAME_LEN),
            output: FrameWriter::new(),
            readable: false,
            hung_up: false,
            dirty: false,
            lazy: false,
            resuming: false,
            last_input: now,
            busy_since: None,
        }
    }

    /// The other end.
    pub(super) fn address(&self) -> SocketAddr {
        match self.side {
            Side::Own { address, .. } | Side::Peer { address, .. } => address,
        }
    }

    /// How the engine knows it.
    pub(super) fn via(&self) -> Via {
        match self.side {
            Side::Own { id, .. } => Via::Own(id),
            Side::Peer { id, address, to } => Via::Peer { link: id, from: address.ip(), to },
        }
    }

    /// Whether messages can be sent on it.
    pub(super) fn is_up(&self) -> bool {
        !matches!(self.side, Side::Own { connect_by: Some(_), .. })
    }

    /// Whether a begun connection is there now; an error if it failed.
    pub(super) fn is_connected(&self) -> io::Result<bool> {
        if let Some(error) = self.stream.take_error()? {
            return Err(error);
        }
        match self.stream.peer_addr() {
            // Where nobody listens, the system may give a connection the very port that it looks for, and then it
            // meets itself.
            Ok(peer) if self.stream.local_addr()? == peer => Err(io::ErrorKind::ConnectionRefused.into()),
            Ok(_) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Reads once into `scratch`; how many bytes, and whether another read may find more.
    pub(super) fn read(&mut self, scratch: &mut [u8]) -> io::Result<(usize, ReadEnd)> {
        loop {
            return match self.stream.read(scratch) {
                Ok(0) => Ok((0, ReadEnd::Eof)),
                Ok(n) if n == scratch.len() || self.hung_up => Ok((n, ReadEnd::More)),
                Ok(n) => Ok((n, ReadEnd::Drained)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok((0, ReadEnd::Drained)),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => Err(error),
            };
        }
    }

    /// Writes what the socket takes, within the turn's share; how many bytes, and whether the next turn is to go on
    /// although the socket will not ask for it.
    pub(super) fn flush(&mut self) -> io::Result<(usize, bool)> {
        let mut written = 0;
        while self.output.pending() > 0 {
            if written >= WRITE_BUDGET {
                return Ok((written, true));
            }
            match self.stream.write(self.output.bytes()) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(n) => {
                    self.output.consume(n);
                    written += n;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok((written, false))
    }

    /// Bytes of memory held.
    pub(super) fn heap_bytes(&self) -> usize {
        self.reader.heap_bytes() + self.output.heap_bytes()
    }
}

/// Begins to connect, from `source` if there is one. Others take the address that it comes from for the address of
/// this node (cluster-bus.md 9.5).
pub(super) fn connect(address: SocketAddr, source: Option<IpAddr>) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    socket.set_tcp_nodelay(true)?;
    limit_age(&SockRef::from(&socket))?;
    if let Some(source) = source {
        socket.bind(&SocketAddr::new(source, 0).into())?;
    }
    match socket.connect(&address.into()) {
        Err(error) if error.raw_os_error() == Some(nix::errno::Errno::EINPROGRESS as i32) => {}
        result => result?,
    }
    Ok(TcpStream::from_std(socket.into()))
}

/// The first address that this node listens on from which the other can be reached: of its family, and of the
/// machine itself only if the other is there too. `None` leaves the choice to the system.
pub(super) fn source_for(address: SocketAddr, bind: &[IpAddr]) -> Option<IpAddr> {
    let reaches =
        |ip: &&IpAddr| ip.is_ipv4() == address.is_ipv4() && (!ip.is_loopback() || address.ip().is_loopback());
    bind.iter().find(reaches).copied().filter(|ip| !ip.is_unspecified())
}

/// Prepares the socket of a link that another node opened.
pub(super) fn prepare_accepted(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let probes = TcpKeepalive::new().with_time(KEEP_ALIVE).with_interval(KEEP_ALIVE / 3).with_retries(3);
    let fd = stream.as_fd();
    limit_age(&SockRef::from(&fd))?;
    SockRef::from(&fd).set_tcp_keepalive(&probes)
}

/// Has the system give up bytes that are not acknowledged in time, also those of a closed connection or of a process that
/// is gone. Else a cut in the network could keep them for minutes, and a job that has been forgotten meanwhile would begin
/// anew with its REPLJOB.
#[cfg(target_os = "linux")]
fn limit_age(socket: &SockRef<'_>) -> io::Result<()> {
    socket.set_tcp_user_timeout(Some(OLDEST_BYTES))
}

/// Other systems have no such limit.
#[cfg(not(target_os = "linux"))]
fn limit_age(_: &SockRef<'_>) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_that_met_itself_is_none() {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP)).unwrap();
        socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        let address = socket.local_addr().unwrap();
        socket.connect(&address).unwrap();
        let address = address.as_socket().unwrap();
        let side = Side::Own { id: LinkId(1), address, connect_by: None };
        let link = Link::new(side, TcpStream::from_std(socket.into()), UnixMillis(0));
        assert_eq!(link.is_connected().unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn what_a_link_sends_arrives_within_half_a_minute_or_never() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let out = connect(listener.local_addr().unwrap(), None).unwrap();
        let (into, _) = listener.accept().unwrap();
        let into = TcpStream::from_std(into);
        prepare_accepted(&into).unwrap();
        for stream in [out, into] {
            let limit = SockRef::from(&stream.as_fd()).tcp_user_timeout().unwrap();
            assert_eq!(limit, Some(Duration::from_secs(30)));
        }
    }

    #[test]
    fn a_link_comes_from_the_first_address_that_reaches_the_other() {
        let source = |address: &str, bind: &[&str]| {
            let bind: Vec<IpAddr> = bind.iter().map(|ip| ip.parse().unwrap()).collect();
            source_for(address.parse().unwrap(), &bind).map(|ip| ip.to_string())
        };
        assert_eq!(source("10.0.0.6:1", &[]), None);
        assert_eq!(source("10.0.0.6:1", &["127.0.0.1", "10.0.0.5", "10.0.0.7"]).as_deref(), Some("10.0.0.5"));
        assert_eq!(source("127.0.0.1:1", &["127.0.0.1", "10.0.0.5"]).as_deref(), Some("127.0.0.1"));
        assert_eq!(source("[2001:db8::1]:1", &["10.0.0.5", "2001:db8::5"]).as_deref(), Some("2001:db8::5"));
        assert_eq!(source("10.0.0.6:1", &["::1", "0.0.0.0"]), None);
        assert_eq!(source("10.0.0.6:1", &["127.0.0.1"]), None);
    }
}
