//! One blocking connection to a server, over TCP or a Unix socket.
//!
//! Knows bytes, requests and replies. What to say first, and what to do when the connection is lost, is the
//! business of the session.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream, ToSocketAddrs};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::resp::{self, Garbled, Reply};

/// The port a server listens on unless told otherwise.
pub(crate) const DEFAULT_PORT: u16 = 7711;

/// What one read asks for at least; more while a long reply arrives.
const READ_MIN: usize = 64 * 1024;

/// Where a server listens.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Address {
    Tcp { host: String, port: u16 },
    Unix(PathBuf),
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Tcp { host, port } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Address::Tcp { host, port } => write!(f, "{host}:{port}"),
            Address::Unix(path) => write!(f, "{}", path.display()),
        }
    }
}

/// How a connection was lost.
#[derive(Debug)]
pub(crate) enum Lost {
    /// The server closed it, or a [`Breaker`] did.
    Closed,
    Failed(io::Error),
    /// The reply did not come in time.
    TimedOut,
    /// The other side does not speak the protocol.
    Garbled(Garbled),
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Lost::Closed => f.write_str("the server closed the connection"),
            Lost::Failed(error) => f.write_str(&reason(error)),
            Lost::TimedOut => f.write_str("no reply came in time"),
            Lost::Garbled(garbled) => garbled.fmt(f),
        }
    }
}

impl From<io::Error> for Lost {
    fn from(error: io::Error) -> Self {
        Lost::Failed(error)
    }
}

/// The words of an I/O error without its number.
pub(crate) fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    match text.find(" (os error ") {
        Some(end) => text[..end].to_string(),
        None => text,
    }
}

/// An open connection, and what was read from it but not yet asked for.
pub(crate) struct Connection {
    stream: Stream,
    buffer: Vec<u8>,
}

enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Stream {
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Stream::Tcp(stream) => stream.write_all(bytes),
            Stream::Unix(stream) => stream.write_all(bytes),
        }
    }

    fn try_clone(&self) -> io::Result<Stream> {
        Ok(match self {
            Stream::Tcp(stream) => Stream::Tcp(stream.try_clone()?),
            Stream::Unix(stream) => Stream::Unix(stream.try_clone()?),
        })
    }
}

impl Connection {
    /// Connects. `timeout` bounds each TCP attempt; without it the system decides when to give up.
    pub(crate) fn open(address: &Address, timeout: Option<Duration>) -> io::Result<Connection> {
        let stream = match address {
            Address::Tcp { host, port } => Stream::Tcp(open_tcp(host, *port, timeout)?),
            Address::Unix(path) => Stream::Unix(UnixStream::connect(path)?),
        };
        Ok(Connection { stream, buffer: Vec::new() })
    }

    /// Sends one request.
    pub(crate) fn send<Word: AsRef<[u8]>>(&mut self, args: &[Word]) -> Result<(), Lost> {
        Ok(self.stream.write_all(&resp::encode_request(args))?)
    }

    /// Waits for the next reply, as long as it takes. Pushes answer nothing and are passed over.
    pub(crate) fn receive(&mut self) -> Result<Reply, Lost> {
        loop {
            match resp::decode_reply(&self.buffer).map_err(Lost::Garbled)? {
                Some((reply, length)) => {
                    self.buffer.drain(..length);
                    if !matches!(reply, Reply::Push(_)) {
                        return Ok(reply);
                    }
                }
                None => self.read_more()?,
            }
        }
    }

    /// Waits for the next reply until the deadline. A reply that is late makes the connection useless, since it would
    /// answer the next request.
    pub(crate) fn receive_by(&mut self, deadline: Instant) -> Result<Reply, Lost> {
        loop {
            if let Some((reply, length)) = resp::decode_reply(&self.buffer).map_err(Lost::Garbled)? {
                self.buffer.drain(..length);
                if !matches!(reply, Reply::Push(_)) {
                    return Ok(reply);
                }
                continue;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(Lost::TimedOut);
            }
            self.limit_reads(Some(left))?;
            match self.read_more() {
                Err(Lost::Failed(error)) if error.kind() == io::ErrorKind::WouldBlock => {}
                outcome => outcome?,
            }
        }
    }

    /// Sends these requests at once; one reply comes for each.
    pub(crate) fn send_many<Word: AsRef<[u8]>>(&mut self, requests: &[Vec<Word>]) -> Result<(), Lost> {
        let wire: Vec<u8> = requests.iter().flat_map(|request| resp::encode_request(request)).collect();
        Ok(self.stream.write_all(&wire)?)
    }

    /// A handle with which another thread sends bytes, while replies are read here.
    pub(crate) fn writer(&self) -> io::Result<Writer> {
        self.stream.try_clone().map(Writer)
    }

    /// Bounds each following write.
    pub(crate) fn limit_writes(&self, timeout: Duration) -> io::Result<()> {
        match &self.stream {
            Stream::Tcp(stream) => stream.set_write_timeout(Some(timeout)),
            Stream::Unix(stream) => stream.set_write_timeout(Some(timeout)),
        }
    }

    /// Bounds each following read, or with `None` waits for ever again.
    pub(crate) fn limit_reads(&self, timeout: Option<Duration>) -> io::Result<()> {
        match &self.stream {
            Stream::Tcp(stream) => stream.set_read_timeout(timeout),
            Stream::Unix(stream) => stream.set_read_timeout(timeout),
        }
    }

    /// Whether the server has closed the connection since the last reply, so that nothing need be sent to know.
    pub(crate) fn is_closed(&mut self) -> bool {
        if self.set_nonblocking(true).is_err() {
            return true;
        }
        let outcome = self.read_more();
        let still_open = match outcome {
            Ok(()) => true,
            Err(Lost::Failed(error)) => error.kind() == io::ErrorKind::WouldBlock,
            Err(_) => false,
        };
        self.set_nonblocking(false).is_err() || !still_open
    }

    /// A handle with which another thread ends a wait for a reply.
    pub(crate) fn breaker(&self) -> io::Result<Breaker> {
        self.stream.try_clone().map(Breaker)
    }

    fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()> {
        match &self.stream {
            Stream::Tcp(stream) => stream.set_nonblocking(nonblocking),
            Stream::Unix(stream) => stream.set_nonblocking(nonblocking),
        }
    }

    /// One read. As long as a reply is incomplete it is decoded from its start after each read, so reads grow with
    /// what is there: a long reply is decoded a few dozen times, not thousands.
    fn read_more(&mut self) -> Result<(), Lost> {
        let filled = self.buffer.len();
        self.buffer.resize(filled + filled.max(READ_MIN), 0);
        let outcome = loop {
            let free = &mut self.buffer[filled..];
            let outcome = match &mut self.stream {
                Stream::Tcp(stream) => stream.read(free),
                Stream::Unix(stream) => stream.read(free),
            };
            match outcome {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => break other,
            }
        };
        self.buffer.truncate(filled + *outcome.as_ref().unwrap_or(&0));
        match outcome? {
            0 => Err(Lost::Closed),
            _ => Ok(()),
        }
    }
}

/// Sends on a [`Connection`] whose replies another thread reads.
pub(crate) struct Writer(Stream);

impl Writer {
    /// Sends bytes that are requests, or parts of them.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all(bytes)
    }
}

/// Ends the waits of a [`Connection`] from another thread, and the connection with them.
pub(crate) struct Breaker(Stream);

impl Breaker {
    /// Closes both directions. A wait for a reply then returns [`Lost::Closed`] at once.
    pub(crate) fn close(&self) {
        // A connection that the server has closed first cannot be shut down, and need not be.
        let _ = match &self.0 {
            Stream::Tcp(stream) => stream.shutdown(Shutdown::Both),
            Stream::Unix(stream) => stream.shutdown(Shutdown::Both),
        };
    }
}

fn open_tcp(host: &str, port: u16, timeout: Option<Duration>) -> io::Result<TcpStream> {
    let Some(timeout) = timeout else {
        let stream = TcpStream::connect((host, port))?;
        stream.set_nodelay(true)?;
        return Ok(stream);
    };
    let mut last_error = io::Error::new(io::ErrorKind::NotFound, "the host name has no address");
    for address in (host, port).to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, timeout) {
            Ok(stream) => {
                stream.set_nodelay(true)?;
                return Ok(stream);
            }
            Err(error) => last_error = error,
        }
    }
    Err(last_error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ipv6_hosts_are_shown_in_brackets() {
        assert_eq!(Address::Tcp { host: "::1".into(), port: 7711 }.to_string(), "[::1]:7711");
        assert_eq!(Address::Tcp { host: "localhost".into(), port: 1 }.to_string(), "localhost:1");
        assert_eq!(Address::Unix("/run/d.sock".into()).to_string(), "/run/d.sock");
    }

    #[test]
    fn reason_leaves_out_the_error_number() {
        assert_eq!(reason(&io::Error::from_raw_os_error(2)), "No such file or directory");
        assert_eq!(reason(&io::Error::other("plain")), "plain");
    }

    #[test]
    fn closed_peer_is_noticed_without_sending() {
        let (ours, theirs) = UnixStream::pair().expect("a socket pair");
        let mut connection = Connection { stream: Stream::Unix(ours), buffer: Vec::new() };
        assert!(!connection.is_closed());
        drop(theirs);
        assert!(connection.is_closed());
    }

    #[test]
    fn breaker_ends_a_wait() {
        let (ours, _theirs) = UnixStream::pair().expect("a socket pair");
        let mut connection = Connection { stream: Stream::Unix(ours), buffer: Vec::new() };
        let breaker = connection.breaker().expect("a second handle");
        let waiter = std::thread::spawn(move || matches!(connection.receive(), Err(Lost::Closed)));
        breaker.close();
        assert!(waiter.join().expect("no panic"));
    }

    #[test]
    fn reply_longer_than_one_read_arrives_whole() {
        let (ours, mut theirs) = UnixStream::pair().expect("a socket pair");
        let mut connection = Connection { stream: Stream::Unix(ours), buffer: Vec::new() };
        let body = vec![b'x'; 5 * READ_MIN + 1];
        let mut wire = format!("${}\r\n", body.len()).into_bytes();
        wire.extend_from_slice(&body);
        wire.extend_from_slice(b"\r\n>1\r\n+pushed\r\n:1\r\n");
        let writer = std::thread::spawn(move || theirs.write_all(&wire));
        assert_eq!(connection.receive().expect("a reply"), Reply::Text(body));
        assert_eq!(connection.receive().expect("a reply"), Reply::Integer(1));
        writer.join().expect("no panic").expect("written");
    }
}
