//! A server that answers +OK to every command: what the protocol, the kernel and the load cost at least.

use std::collections::BTreeMap;
use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr};

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};

use super::peer::Peer;
use super::scan;

const LISTENER: Token = Token(usize::MAX);
const ANSWER: &[u8] = b"+OK\r\n";
const SCRATCH_LEN: usize = 256 * 1024;
/// Events taken from the system at once.
const EVENTS: usize = 1024;

struct Client {
    stream: TcpStream,
    /// The start of a command whose end has not come.
    partial: Vec<u8>,
    output: Vec<u8>,
}

/// Serves until the process is killed. Port 0 takes a free one; the first line of output tells which.
pub(super) fn serve(port: u16) -> io::Result<()> {
    let mut poll = Poll::new()?;
    let mut listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))?;
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    println!("listening on {}", listener.local_addr()?);
    let mut events = Events::with_capacity(EVENTS);
    // Ordered, so that no hasher stands between an event and its client.
    let mut clients: BTreeMap<usize, Client> = BTreeMap::new();
    let mut scratch = vec![0; SCRATCH_LEN];
    let mut next = 0;
    loop {
        poll.poll(&mut events, None)?;
        for event in &events {
            if event.token() == LISTENER {
                while let Some(mut stream) = accept(&listener)? {
                    let interest = Interest::READABLE | Interest::WRITABLE;
                    poll.registry().register(&mut stream, Token(next), interest)?;
                    clients.insert(next, Client { stream, partial: Vec::new(), output: Vec::new() });
                    next += 1;
                }
            } else if let Some(client) = clients.get_mut(&event.token().0)
                && client.answer(&mut scratch).is_err()
            {
                // Whatever went wrong with it, a client that cannot be served is a client that has gone.
                clients.remove(&event.token().0);
            }
        }
    }
}

fn accept(listener: &TcpListener) -> io::Result<Option<TcpStream>> {
    match listener.accept() {
        Ok((stream, _)) => {
            stream.set_nodelay(true)?;
            Ok(Some(stream))
        }
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(error),
    }
}

impl Client {
    /// Reads all there is and answers it.
    fn answer(&mut self, scratch: &mut Vec<u8>) -> io::Result<()> {
        loop {
            let kept = self.partial.len();
            if kept >= scratch.len() / 2 {
                scratch.resize(scratch.len() * 2, 0);
            }
            let len = match self.stream.read(&mut scratch[kept..]) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(len) => len,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return self.send(),
                Err(error) => return Err(error),
            };
            scratch[..kept].copy_from_slice(&self.partial);
            self.partial.clear();
            let bytes = &scratch[..kept + len];
            let (commands, complete) = commands(bytes)?;
            self.partial.extend_from_slice(&bytes[complete..]);
            for _ in 0..commands {
                self.output.extend_from_slice(ANSWER);
            }
            // A short read has emptied the socket: what comes later is an event of its own.
            if kept + len < scratch.len() {
                return self.send();
            }
        }
    }

    fn send(&mut self) -> io::Result<()> {
        while !self.output.is_empty() {
            match self.stream.write(&self.output) {
                Ok(len) => drop(self.output.drain(..len)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// How many complete commands the bytes hold, and how long these are. A command has the form of a reply, an array
/// of strings.
fn commands(bytes: &[u8]) -> io::Result<(usize, usize)> {
    let (mut count, mut at) = (0, 0);
    let mut none = Vec::new();
    while at < bytes.len() {
        match scan::reply(Peer::Null, &bytes[at..], &mut none) {
            Ok(Some(command)) => {
                count += 1;
                at += command.len;
            }
            Ok(None) => break,
            Err(_) => return Err(io::ErrorKind::InvalidData.into()),
        }
    }
    Ok((count, at))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_complete_commands_are_counted() {
        let ping = b"*1\r\n$4\r\nPING\r\n";
        let bytes = [ping.as_slice(), ping, &ping[..5]].concat();
        assert_eq!(commands(&bytes).expect("commands"), (2, 2 * ping.len()));
        assert!(commands(b"GET / HTTP/1.1\r\n").is_err());
    }
}
