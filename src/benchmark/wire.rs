//! One connection without blocking: what it still has to send, and what of a reply has come.

use std::io::{self, Read as _, Write as _};
use std::net::{self, SocketAddr};
use std::time::Duration;

use mio::net::TcpStream;

use super::fault::Fault;
use super::scan::{Pick, Says, Scanned};
use super::speech::Speech;

/// A server that does not greet for so long is not what it should be.
const GREETING_PATIENCE: Duration = Duration::from_secs(10);

/// What a connection says before anything else, and what it waits for.
#[derive(Debug, Default)]
pub(super) struct Greeting {
    /// Whether the server speaks first, a line.
    pub(super) hears_first: bool,
    pub(super) bytes: Vec<u8>,
    /// The last line of the answer.
    pub(super) last: Option<&'static [u8]>,
}

/// A connection.
pub(super) struct Wire {
    pub(super) stream: TcpStream,
    /// What is to be sent; sent parts of it are dropped when all is sent.
    pub(super) output: Vec<u8>,
    sent: usize,
    /// The start of a reply whose end has not come.
    partial: Vec<u8>,
    /// Where answers go to, for peers that need it.
    pub(super) inbox: Vec<u8>,
}

/// A reply as it is handed on: what it says, its bytes, and the jobs in these.
pub(super) struct Heard<'a> {
    pub(super) says: Says,
    pub(super) bytes: &'a [u8],
    pub(super) jobs: &'a [Pick],
}

impl Wire {
    /// Connects and greets. The number tells the connections of this process apart.
    pub(super) fn open(address: SocketAddr, speech: &Speech, number: u32) -> Result<Wire, Fault> {
        let mut stream = connect(address)?;
        let inbox = format!("_INBOX.{}.{number}", std::process::id()).into_bytes();
        greet(&mut stream, &speech.greeting(&inbox))?;
        stream.set_nonblocking(true)?;
        let stream = TcpStream::from_std(stream);
        Ok(Wire { stream, output: Vec::new(), sent: 0, partial: Vec::new(), inbox })
    }

    /// Sends as much of the output as the system takes now.
    pub(super) fn send(&mut self) -> Result<(), Fault> {
        while self.sent < self.output.len() {
            match self.stream.write(&self.output[self.sent..]) {
                Ok(len) => self.sent += len,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        self.output.clear();
        self.sent = 0;
        Ok(())
    }

    /// Reads once and hands on the complete replies; whether there may be more to read at once. The scratch memory
    /// is shared by all connections; it grows if a single reply does not fit.
    pub(super) fn receive(
        &mut self,
        speech: &Speech,
        scratch: &mut Scratch,
        mut hear: impl FnMut(Heard<'_>) -> Result<(), Fault>,
    ) -> Result<bool, Fault> {
        let kept = self.partial.len();
        if kept >= scratch.bytes.len() / 2 {
            scratch.bytes.resize(scratch.bytes.len() * 2, 0);
        }
        let len = match self.stream.read(&mut scratch.bytes[kept..]) {
            Ok(0) => return Err(Fault::Closed),
            Ok(len) => len,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(true),
            Err(error) => return Err(error.into()),
        };
        scratch.bytes[..kept].copy_from_slice(&self.partial);
        self.partial.clear();
        let bytes = &scratch.bytes[..kept + len];
        let mut at = 0;
        while at < bytes.len() {
            let rest = &bytes[at..];
            let Some(Scanned { len, says }) = speech.scan(rest, &mut scratch.picks)? else { break };
            match says {
                Says::AreYouThere => self.output.extend_from_slice(b"PONG\r\n"),
                Says::Remark => {}
                _ => hear(Heard { says, bytes: &rest[..len], jobs: &scratch.picks })?,
            }
            at += len;
        }
        self.partial.extend_from_slice(&bytes[at..]);
        Ok(bytes.len() == scratch.bytes.len())
    }
}

/// Memory that is needed while replies are read.
pub(super) struct Scratch {
    bytes: Vec<u8>,
    picks: Vec<Pick>,
}

impl Scratch {
    pub(super) fn new() -> Scratch {
        // Holds the replies to a window; larger ones are read in pieces. Fits into the processor's cache.
        Scratch { bytes: vec![0; 256 * 1024], picks: Vec::new() }
    }
}

/// A connection without delays.
pub(super) fn connect(address: SocketAddr) -> Result<net::TcpStream, Fault> {
    let stream = net::TcpStream::connect(address)
        .map_err(|error| Fault::Connect { address: address.to_string(), error })?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Says what comes first on a connection that still blocks.
pub(super) fn greet(stream: &mut net::TcpStream, greeting: &Greeting) -> Result<(), Fault> {
    stream.set_read_timeout(Some(GREETING_PATIENCE))?;
    if greeting.hears_first {
        read_until(stream, b"\r\n")?;
    }
    stream.write_all(&greeting.bytes)?;
    if let Some(last) = greeting.last {
        read_until(stream, last)?;
    }
    Ok(())
}

/// Reads byte by byte, so as not to take what comes behind. Greetings are short.
fn read_until(stream: &mut net::TcpStream, end: &[u8]) -> Result<(), Fault> {
    const LONGEST: usize = 65_536;
    let mut heard = Vec::new();
    while !heard.ends_with(end) {
        let mut byte = [0];
        if heard.len() > LONGEST {
            return Err(Fault::Malformed(String::from_utf8_lossy(&heard[..80]).into_owned()));
        }
        match stream.read(&mut byte)? {
            0 => return Err(Fault::Closed),
            _ => heard.push(byte[0]),
        }
    }
    Ok(())
}
