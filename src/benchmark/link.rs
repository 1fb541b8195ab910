//! One connection of the load: its socket, what it still has to send and to receive, and the jobs it holds.

use std::io::{self, Read as _, Write as _};
use std::net::SocketAddr;
use std::time::Instant;

use mio::net::TcpStream;

use super::control;
use super::fault::Fault;
use super::peer::{Speech, Step};
use super::scan::{self, Unwanted};

/// A connection, with at most one window of requests in flight.
pub(super) struct Link {
    pub(super) stream: TcpStream,
    output: Vec<u8>,
    /// How much of the output is sent.
    sent: usize,
    /// The start of a reply whose end has not come.
    partial: Vec<u8>,
    /// The step whose replies are awaited, and how many are.
    pub(super) step: Step,
    pub(super) awaited: u32,
    pub(super) sent_at: Instant,
    /// Which step of the plan is next.
    pub(super) next_step: usize,
    /// The jobs of this turn: their first number, and how many.
    pub(super) turn: (u64, u32),
    /// Jobs that it added and has not begun to get.
    pub(super) added: u64,
    pub(super) held: Held,
}

/// Jobs that were got and not acknowledged, oldest first.
#[derive(Default)]
pub(super) struct Held {
    ids: Vec<u8>,
    /// Where each ID ends, and its queue.
    jobs: Vec<(usize, u32)>,
    acknowledged: usize,
}

impl Held {
    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.jobs.len() - self.acknowledged
    }

    fn push(&mut self, id: &[u8], queue: u32) {
        self.ids.extend_from_slice(id);
        self.jobs.push((self.ids.len(), queue));
    }

    /// Takes out the oldest; there must be one.
    fn pop(&mut self) -> (&[u8], u32) {
        let at = self.acknowledged;
        let start = if at == 0 { 0 } else { self.jobs[at - 1].0 };
        let (end, queue) = self.jobs[at];
        self.acknowledged += 1;
        (&self.ids[start..end], queue)
    }

    fn clear_if_empty(&mut self) {
        if self.len() == 0 {
            self.ids.clear();
            self.jobs.clear();
            self.acknowledged = 0;
        }
    }
}

/// What a piece of the input brought.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Received {
    pub(super) replies: u32,
    /// Replies that say that nothing was done.
    pub(super) voids: u32,
    /// Whether there may be more to read at once.
    pub(super) more: bool,
}

impl Link {
    pub(super) fn open(address: SocketAddr) -> Result<Link, Fault> {
        let stream = control::connect(address)?;
        stream.set_nonblocking(true)?;
        Ok(Link {
            stream: TcpStream::from_std(stream),
            output: Vec::new(),
            sent: 0,
            partial: Vec::new(),
            step: Step::Ping,
            awaited: 0,
            sent_at: Instant::now(),
            next_step: 0,
            turn: (0, 0),
            added: 0,
            held: Held::default(),
        })
    }

    /// Writes the requests of a step; how many replies they will bring is then awaited.
    pub(super) fn prepare(&mut self, speech: &Speech, step: Step, window: u32) {
        assert_eq!(self.awaited, 0, "a window is sent when the one before is answered");
        self.output.clear();
        self.sent = 0;
        self.step = step;
        let jobs = if step == Step::Ack { self.held.len().min(window as usize) as u32 } else { self.turn.1 };
        if step == Step::Ack {
            for _ in 0..jobs {
                let (id, queue) = self.held.pop();
                speech.write(&mut self.output, step, queue, id);
            }
            self.held.clear_if_empty();
        } else {
            for i in 0..jobs {
                let queue = self.queue_of(speech, i);
                speech.write(&mut self.output, step, queue, b"");
            }
        }
        match step {
            Step::Add => self.added += u64::from(jobs),
            Step::Get => self.added = self.added.saturating_sub(u64::from(jobs)),
            Step::Ping | Step::Ack => {}
        }
        self.awaited = jobs * speech.peer.requests(step);
    }

    /// The queue of the i-th job of this turn.
    fn queue_of(&self, speech: &Speech, i: u32) -> u32 {
        match speech.queues.len() as u64 {
            // A division per request would be paid by every run with a single queue.
            1 => 0,
            queues => ((self.turn.0 + u64::from(i)) % queues) as u32,
        }
    }

    /// Sends as much of the output as the system takes now.
    pub(super) fn send(&mut self) -> Result<(), Fault> {
        while self.sent < self.output.len() {
            match self.stream.write(&self.output[self.sent..]) {
                Ok(len) => self.sent += len,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Reads once and takes the complete replies out of what came. The scratch memory is shared by all links; it
    /// grows if a single reply does not fit.
    pub(super) fn receive(&mut self, speech: &Speech, scratch: &mut Vec<u8>) -> Result<Received, Fault> {
        let kept = self.partial.len();
        if kept >= scratch.len() / 2 {
            scratch.resize(scratch.len() * 2, 0);
        }
        let len = match self.stream.read(&mut scratch[kept..]) {
            Ok(0) => return Err(Fault::Closed),
            Ok(len) => len,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(Received::default()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                return Ok(Received { more: true, ..Received::default() });
            }
            Err(error) => return Err(error.into()),
        };
        scratch[..kept].copy_from_slice(&self.partial);
        self.partial.clear();
        let full = kept + len == scratch.len();
        let mut received = self.take_replies(speech, &scratch[..kept + len])?;
        received.more = full && self.awaited > 0;
        Ok(received)
    }

    fn take_replies(&mut self, speech: &Speech, bytes: &[u8]) -> Result<Received, Fault> {
        let mut received = Received::default();
        let mut at = 0;
        while at < bytes.len() {
            let rest = &bytes[at..];
            let reply = match scan::reply(rest) {
                Ok(Some(reply)) => reply,
                Ok(None) => break,
                Err(Unwanted::Error(text)) => return Err(Fault::Refused(text)),
                Err(Unwanted::Malformed(excerpt)) => return Err(Fault::Malformed(excerpt)),
            };
            if self.awaited == 0 {
                return Err(Fault::Malformed("a reply to nothing".to_string()));
            }
            if reply.void {
                received.voids += 1;
            } else if self.step == Step::Get {
                let queue = self.queue_of(speech, self.turn.1 - self.awaited);
                let id = reply.picked.map_or(b"".as_slice(), |range| &rest[range]);
                self.held.push(id, queue);
            }
            self.awaited -= 1;
            received.replies += 1;
            at += reply.len;
        }
        self.partial.extend_from_slice(&bytes[at..]);
        Ok(received)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn held_jobs_are_taken_oldest_first() {
        let mut held = Held::default();
        held.push(b"a", 1);
        held.push(b"", 2);
        assert_eq!(held.pop(), (b"a".as_slice(), 1));
        held.clear_if_empty();
        held.push(b"bc", 3);
        assert_eq!(held.len(), 2);
        assert_eq!(held.pop(), (b"".as_slice(), 2));
        assert_eq!(held.pop(), (b"bc".as_slice(), 3));
        held.clear_if_empty();
        assert!(held.len() == 0 && held.ids.is_empty());
    }
}
