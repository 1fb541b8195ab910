//! The side connection to servers that speak RESP: questions before and after the load, one at a time or many
//! together.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use redis_protocol::resp2::decode;
use redis_protocol::resp2::types::OwnedFrame;

use super::fault::Fault;
use super::speech::request;
use super::wire::connect;

/// Preparing 100,000 queues in one go can take a server a while, hardly this long.
const PATIENCE: Duration = Duration::from_secs(60);

/// A blocking connection.
pub(super) struct Control {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Control {
    pub(super) fn open(address: SocketAddr) -> Result<Control, Fault> {
        let stream = connect(address)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Control { stream, buffer: Vec::new() })
    }

    /// The reply to one request.
    pub(super) fn ask<const N: usize>(&mut self, words: [&[u8]; N]) -> Result<OwnedFrame, Fault> {
        let mut bytes = Vec::new();
        request(&mut bytes, words);
        self.send(&bytes)?;
        self.reply()
    }

    pub(super) fn send(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        Ok(self.stream.write_all(bytes)?)
    }

    /// The next reply; errors are faults.
    pub(super) fn reply(&mut self) -> Result<OwnedFrame, Fault> {
        loop {
            match decode::decode(&self.buffer) {
                Ok(Some((OwnedFrame::Error(text), _))) => return Err(Fault::Refused(text)),
                Ok(Some((frame, len))) => {
                    self.buffer.drain(..len);
                    return Ok(frame);
                }
                Ok(None) => {}
                Err(error) => return Err(Fault::Malformed(error.to_string())),
            }
            let mut chunk = [0; 16_384];
            match self.stream.read(&mut chunk)? {
                0 => return Err(Fault::Closed),
                len => self.buffer.extend_from_slice(&chunk[..len]),
            }
        }
    }

    /// A number that INFO tells, if it does.
    pub(super) fn info(&mut self, field: &str) -> Result<Option<u64>, Fault> {
        let text = match self.ask([b"INFO"])? {
            OwnedFrame::BulkString(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            _ => return Ok(None),
        };
        Ok(field_of(&text, field))
    }
}

fn field_of(info: &str, field: &str) -> Option<u64> {
    let value = info.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'))?;
    value.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_info_are_found_by_their_whole_name() {
        let info = "# Clients\r\nblocked_clients_max:9\r\nblocked_clients:3\r\n";
        assert_eq!(field_of(info, "blocked_clients"), Some(3));
        assert_eq!(field_of(info, "blocked"), None);
    }
}
