//! One client connection: its socket, what it sent and was not run yet, what it is to be sent, its standing.

use std::collections::VecDeque;
use std::io::{self, IoSlice, Read as _, Write as _};

use super::stream::Stream;
use crate::aof::Seq;
use crate::command::CommandSpec;
use crate::engine::ClientId;
use crate::resp::{Output, Protocol, RequestReader};
use crate::types::UnixMillis;

/// A client connection.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) id: ClientId,
    pub(crate) stream: Stream,
    pub(crate) reader: RequestReader,
    /// Bytes received and not yet run; starts with the first byte of a request. Empty and without heap when idle.
    pub(crate) input: Vec<u8>,
    pub(crate) output: Output,
    pub(crate) protocol: Protocol,
    pub(crate) replies: ReplyMode,
    pub(crate) closing: Closing,
    /// It gave the password; asked for only while there is one.
    pub(crate) authenticated: bool,
    /// Its request is in the engine and not answered yet, and nothing else of it is run before.
    pub(crate) blocked: bool,
    /// Jobs that it adds, one behind the other, without waiting for the answers, and answers that must stand behind
    /// theirs. The first one is not answered yet.
    pub(crate) awaiting: VecDeque<Awaited>,
    /// Its next request must wait until nothing is awaited.
    pub(crate) held_back: bool,
    pub(crate) is_monitor: bool,
    /// The socket may have bytes to read; edge-triggered readiness will not say so again.
    pub(crate) readable: bool,
    /// The other end will send nothing more.
    pub(crate) read_closed: bool,
    /// What came last ended in the middle of a large argument, so the next is likely to do so too.
    pub(crate) brings_large: bool,
    /// What its output waits for.
    pub(crate) hold: Hold,
    /// Stands in the list of clients whose output waits for the disk.
    pub(crate) is_held: bool,
    /// Stands in the list of clients to be flushed at the end of the turn.
    pub(crate) dirty: bool,
    /// Stands in the list of clients to go on with in the next turn.
    pub(crate) resuming: bool,
    pub(crate) last_interaction: UnixMillis,
    /// Since when its output has been over the soft limit.
    pub(crate) over_soft_limit: Option<UnixMillis>,
    pub(crate) last_command: Option<&'static CommandSpec>,
    pub(crate) about: Box<About>,
}

/// What is rarely looked at.
#[derive(Debug, Default)]
pub(crate) struct About {
    pub(crate) serial: u64,
    pub(crate) peer: String,
    pub(crate) created: UnixMillis,
    pub(crate) name: Vec<u8>,
    pub(crate) lib_name: Vec<u8>,
    pub(crate) lib_ver: Vec<u8>,
    pub(crate) transaction: Option<Transaction>,
    /// What is left of an EXEC whose command at hand waits.
    pub(crate) executing: VecDeque<(&'static CommandSpec, Vec<Vec<u8>>)>,
}

/// Commands between MULTI and EXEC.
#[derive(Debug, Default)]
pub(crate) struct Transaction {
    pub(crate) commands: Vec<(&'static CommandSpec, Vec<Vec<u8>>)>,
    /// Bytes of all commands together; bounded.
    pub(crate) bytes: usize,
    /// A command was refused: EXEC will run none.
    pub(crate) failed: bool,
}

/// A place in the order of answers.
#[derive(Debug)]
pub(crate) struct Awaited {
    /// What the engine calls the one who asked.
    pub(crate) id: ClientId,
    /// The answer, if it has come.
    pub(crate) reply: Option<Vec<u8>>,
}

/// Whether replies are sent (CLIENT REPLY).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum ReplyMode {
    #[default]
    On,
    Off,
    /// Not to the command at hand, nor to the next.
    SkipNext,
    /// Not to the command at hand.
    Skip,
}

/// Positions in the append-only file that must be reached before output goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Hold {
    /// As safe as `appendfsync` says.
    pub(crate) written: Seq,
    /// On the disk.
    pub(crate) durable: Seq,
}

impl Hold {
    /// Nothing to wait for.
    pub(crate) const NONE: Hold = Hold { written: Seq(0), durable: Seq(0) };

    pub(crate) fn is_none(self) -> bool {
        self == Hold::NONE
    }

    /// What waits for both.
    #[inline]
    pub(crate) fn and(self, other: Hold) -> Hold {
        Hold { written: self.written.max(other.written), durable: self.durable.max(other.durable) }
    }
}

/// Whether the connection is to end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Closing {
    #[default]
    No,
    /// Once everything is written; no more requests are run.
    AfterReply,
    /// At the end of the turn.
    Now,
}

/// How a read ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ReadEnd {
    /// There may be more.
    More,
    /// Nothing more for now.
    Drained,
    /// The other end closed its side.
    Eof,
}

/// Most blocks that one system call writes.
const SLICES: usize = 64;

impl Client {
    pub(crate) fn new(id: ClientId, stream: Stream, about: About, now: UnixMillis) -> Client {
        Client {
            id,
            stream,
            reader: RequestReader::new(),
            input: Vec::new(),
            output: Output::default(),
            protocol: Protocol::Resp2,
            replies: ReplyMode::On,
            closing: Closing::No,
            authenticated: false,
            blocked: false,
            awaiting: VecDeque::new(),
            held_back: false,
            is_monitor: false,
            readable: false,
            read_closed: false,
            brings_large: false,
            hold: Hold::NONE,
            is_held: false,
            dirty: false,
            resuming: false,
            last_interaction: now,
            over_soft_limit: None,
            last_command: None,
            about: Box::new(about),
        }
    }

    /// Reads once into `scratch`; how many bytes, and whether another read may find more. A read that does not
    /// fill the buffer has drained the socket, which saves the call that would say so.
    pub(crate) fn read(&mut self, scratch: &mut [u8]) -> io::Result<(usize, ReadEnd)> {
        loop {
            return match self.stream.read(scratch) {
                Ok(0) => Ok((0, ReadEnd::Eof)),
                Ok(n) if n == scratch.len() => Ok((n, ReadEnd::More)),
                Ok(n) => Ok((n, ReadEnd::Drained)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok((0, ReadEnd::Drained)),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => Err(error),
            };
        }
    }

    /// Reads at most `limit` bytes straight into a large argument.
    pub(crate) fn read_large(&mut self, into: &mut Vec<u8>, limit: usize) -> io::Result<(usize, ReadEnd)> {
        let before = into.len();
        let result = (&mut self.stream).take(limit as u64).read_to_end(into);
        let read = into.len() - before;
        match result {
            Ok(_) if read == limit => Ok((read, ReadEnd::More)),
            Ok(_) => Ok((read, ReadEnd::Eof)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok((read, ReadEnd::Drained)),
            Err(error) => Err(error),
        }
    }

    /// Writes what the socket takes; how many bytes.
    pub(crate) fn flush(&mut self) -> io::Result<usize> {
        let mut written = 0;
        while !self.output.is_empty() {
            let mut slices = [IoSlice::new(&[]); SLICES];
            let count = self.output.slices(&mut slices);
            let result = match &slices[..count] {
                [one] => self.stream.write(one),
                many => self.stream.write_vectored(many),
            };
            match result {
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
        Ok(written)
    }

    /// The requests of this client that the engine has not answered.
    pub(crate) fn asked(&self) -> impl Iterator<Item = ClientId> {
        let awaited =
            self.awaiting.iter().filter(|awaited| awaited.reply.is_none()).map(|awaited| awaited.id);
        self.blocked.then_some(self.id).into_iter().chain(awaited)
    }

    /// Puts an answer behind those that are awaited, or straight into the output if there are none.
    pub(crate) fn answer_in_order(&mut self, write: impl FnOnce(&mut Output)) {
        if self.awaiting.is_empty() {
            return write(&mut self.output);
        }
        let mut output = Output::default();
        write(&mut output);
        self.awaiting.push_back(Awaited { id: self.id, reply: Some(output.into_bytes()) });
    }

    /// The answer to one of the jobs that this client adds. False if it is none of them.
    pub(crate) fn answer_awaited(&mut self, id: ClientId, write: impl FnOnce(&mut Output)) -> bool {
        // They are answered in order unless something goes wrong, so it is near the front.
        let Some(at) = self.awaiting.iter().position(|awaited| awaited.id == id && awaited.reply.is_none())
        else {
            return false;
        };
        if at > 0 {
            let mut output = Output::default();
            write(&mut output);
            self.awaiting[at].reply = Some(output.into_bytes());
            return true;
        }
        self.awaiting.pop_front();
        write(&mut self.output);
        while let Some(reply) = self.awaiting.front_mut().and_then(|awaited| awaited.reply.take()) {
            self.output.bytes_mut().extend_from_slice(&reply);
            self.awaiting.pop_front();
        }
        true
    }

    /// CLIENT REPLY SKIP is over after one more command; called when a command has been answered.
    pub(crate) fn end_skip(&mut self) {
        self.replies = match self.replies {
            ReplyMode::SkipNext => ReplyMode::Skip,
            ReplyMode::Skip => ReplyMode::On,
            other => other,
        };
    }

    /// Bytes that this connection holds, for the memory account.
    pub(crate) fn heap_bytes(&self) -> usize {
        size_of::<Client>()
            + size_of::<About>()
            + self.input.capacity()
            + self.reader.held_bytes()
            + self.output.len()
            + self.about.transaction.as_ref().map_or(0, |transaction| transaction.bytes)
    }
}
