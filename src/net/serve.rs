//! Reading what a client sent and running it: so much in one turn, that nobody waits for one client's flood.

use super::client::{Closing, ReadEnd};
use super::server::{READ_BUFFER, Server};
use crate::resp::{Next, RequestReader};
use crate::types::limits::MAX_QUERY_BUFFER;

/// Bytes of one large argument that are read in one turn.
const LARGE_READ: usize = 1024 * 1024;
/// How much is read of a client whose requests are large: about what precedes the large argument, which is then read
/// to where it stays. What is read here has to be copied there.
const HEAD_READ: usize = 2 * 1024;
/// How much of one client's input is run in one turn.
const BUDGET_BYTES: usize = 64 * 1024;
const BUDGET_REQUESTS: usize = 512;
/// How much output one client may produce in one turn; its limits are looked at when the turn ends.
const BUDGET_OUTPUT: usize = 1024 * 1024;

/// How many jobs one client may be adding at a time.
const MOST_AWAITED: usize = 1024;

/// What one client may still do in this turn.
struct Budget {
    bytes: usize,
    requests: usize,
    /// The length at which its output has had its share.
    output: usize,
}

/// What became of a piece of input.
enum Ran {
    /// All requests in it were run; from `at` on, `keep` bytes are the beginning of one.
    NeedMore { at: usize, keep: usize },
    /// The client must not run more now; it goes on at `at`.
    Held { at: usize },
}

impl Server {
    /// Runs what a client sent, and reads more, until it is drained, held or over its budget.
    pub(super) fn serve(&mut self, slot: u32) {
        if !self.go_on_executing(slot) {
            return;
        }
        self.clients.acting(slot).held_back = false;
        let mut scratch = std::mem::take(&mut self.scratch);
        let client = self.clients.acting(slot);
        let mut reader = std::mem::take(&mut client.reader);
        let mut input = std::mem::take(&mut client.input);
        let output = client.output.len() + BUDGET_OUTPUT;
        let mut budget = Budget { bytes: BUDGET_BYTES, requests: BUDGET_REQUESTS, output };
        let mut held = !input.is_empty() && self.run_pending(slot, &mut reader, &mut input, &mut budget);
        while !held && self.clients.acting(slot).readable && budget.bytes > 0 {
            held = self.read_more(slot, &mut reader, &mut input, &mut scratch, &mut budget);
        }
        self.scratch = scratch;
        let client = self.clients.acting(slot);
        client.reader = reader;
        if input.is_empty() && input.capacity() > READ_BUFFER {
            input = Vec::new();
        }
        client.input = input;
        self.after_serving(slot, held);
    }

    /// Decides whether the client goes on in the next turn, and whether its end of file is the end.
    fn after_serving(&mut self, slot: u32, held: bool) {
        let client = self.clients.acting(slot);
        let pending = client.readable || held;
        if client.held_back {
            // The answers that are awaited set it going again.
            return;
        }
        if client.closing != Closing::No {
            return;
        }
        if client.read_closed && client.blocked {
            // What it was answered before still reaches it.
            self.withdraw(slot);
            return self.clients.close(slot, Closing::AfterReply);
        }
        if client.blocked || self.paused_until.is_some() {
            return;
        }
        if client.read_closed && !pending && client.awaiting.is_empty() {
            self.clients.close(slot, Closing::AfterReply);
        } else if pending {
            self.clients.mark_resume(slot);
        }
    }

    /// Runs the requests that were held back. True if the client is held again.
    fn run_pending(
        &mut self,
        slot: u32,
        reader: &mut RequestReader,
        input: &mut Vec<u8>,
        budget: &mut Budget,
    ) -> bool {
        match self.run_requests(slot, reader, input, budget) {
            Ran::NeedMore { at, keep } => {
                input.drain(..at);
                input.truncate(keep);
                false
            }
            Ran::Held { at } => {
                input.drain(..at);
                true
            }
        }
    }

    /// Reads once and runs what has come. True if the client is held.
    fn read_more(
        &mut self,
        slot: u32,
        reader: &mut RequestReader,
        input: &mut Vec<u8>,
        scratch: &mut [u8],
        budget: &mut Budget,
    ) -> bool {
        let client = self.clients.acting(slot);
        let result = match reader.large() {
            Some(large) => {
                client.read_large(large.bytes, large.room.min(LARGE_READ)).map(|read| (read, true))
            }
            None => {
                let room = if client.brings_large { HEAD_READ } else { scratch.len() };
                client.read(&mut scratch[..room]).map(|read| (read, false))
            }
        };
        let ((n, end), was_large) = match result {
            Ok(read) => read,
            Err(error) => {
                tracing::debug!(%error, peer = client.about.peer, "Reading from client");
                client.readable = false;
                self.clients.close(slot, Closing::Now);
                return true;
            }
        };
        client.readable = end == ReadEnd::More;
        client.read_closed |= end == ReadEnd::Eof;
        client.last_interaction = self.now;
        budget.bytes = budget.bytes.saturating_sub(n);
        self.operator.traffic.count_input(n);
        if n == 0 {
            return false;
        }
        if was_large || !input.is_empty() {
            if !was_large {
                input.extend_from_slice(&scratch[..n]);
            }
            let held = self.run_pending(slot, reader, input, budget)
                || self.is_over_query_limit(slot, reader, input);
            self.clients.acting(slot).brings_large = was_large || reader.is_in_large();
            return held;
        }
        let ran = self.run_requests(slot, reader, &scratch[..n], budget);
        self.clients.acting(slot).brings_large = reader.is_in_large();
        match ran {
            Ran::NeedMore { at, keep } => {
                input.extend_from_slice(&scratch[at..at + keep]);
                false
            }
            Ran::Held { at } => {
                input.extend_from_slice(&scratch[at..n]);
                true
            }
        }
    }

    /// One client must not fill the memory with a request that never ends (commands.md 2.4).
    fn is_over_query_limit(&mut self, slot: u32, reader: &RequestReader, input: &[u8]) -> bool {
        let over = input.len() + reader.held_bytes() > MAX_QUERY_BUFFER;
        if over {
            let peer = &self.clients.acting(slot).about.peer;
            tracing::warn!(
                peer,
                limit = MAX_QUERY_BUFFER,
                "Closing client that reached max query buffer length"
            );
            self.clients.close(slot, Closing::Now);
        }
        over
    }

    /// Runs the requests in `buffer` one after the other.
    fn run_requests(
        &mut self,
        slot: u32,
        reader: &mut RequestReader,
        buffer: &[u8],
        budget: &mut Budget,
    ) -> Ran {
        let mut at = 0;
        loop {
            if budget.requests == 0 || !self.may_run(slot, budget) {
                return Ran::Held { at };
            }
            let rest = &buffer[at..];
            if !rest.is_empty() && self.must_wait(slot, reader, rest) {
                return Ran::Held { at };
            }
            match reader.next(rest) {
                Ok(Next::Request { end }) => {
                    self.execute(slot, reader.args(rest));
                    reader.finish();
                    at += end;
                    budget.requests -= 1;
                }
                Ok(Next::NeedMore { keep }) => return Ran::NeedMore { at, keep },
                Err(error) => {
                    self.refuse(slot, format!("ERR {error}").as_bytes());
                    self.clients.close(slot, Closing::AfterReply);
                    return Ran::Held { at: buffer.len() };
                }
            }
        }
    }

    fn may_run(&self, slot: u32, budget: &Budget) -> bool {
        let Some(client) = self.clients.get(slot) else { return false };
        let has_room = client.output.len() < budget.output;
        let goes_on = self.paused_until.is_none() && self.ending.is_none();
        // A client that is blocked may have an EXEC to go on with.
        !client.blocked && has_room && client.closing == Closing::No && goes_on
    }

    /// Whether the next request must not be run before what is awaited is answered: all but those that add more jobs.
    fn must_wait(&mut self, slot: u32, reader: &RequestReader, rest: &[u8]) -> bool {
        let client = self.clients.acting(slot);
        if client.awaiting.is_empty() {
            return false;
        }
        let adds = reader.has_begun() || begins_addjob(rest);
        client.held_back = !adds || client.awaiting.len() >= MOST_AWAITED;
        client.held_back
    }
}

/// Whether a request begins like ADDJOB by its own name. Too little of it counts as no.
fn begins_addjob(bytes: &[u8]) -> bool {
    fn line(bytes: &[u8], sign: u8) -> Option<&[u8]> {
        let bytes = bytes.strip_prefix(&[sign])?;
        let end = bytes.iter().take(8).position(|byte| *byte == b'\n')?;
        Some(&bytes[end + 1..])
    }
    let name = line(bytes, b'*').and_then(|rest| line(rest, b'$'));
    name.and_then(|name| name.first_chunk::<8>()).is_some_and(|name| name.eq_ignore_ascii_case(b"ADDJOB\r\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adding_a_job_is_told_by_the_first_bytes() {
        assert!(begins_addjob(b"*4\r\n$6\r\nADDJOB\r\n$1\r\nq"));
        assert!(begins_addjob(b"*12\r\n$6\r\naddJob\r\n"));
        for other in
            ["", "*4\r\n$6\r\nADDJO", "*4\r\n$7\r\nADDJOBS\r\n", "ADDJOB q b 0\r\n", "*1\r\n$4\r\nPING\r\n"]
        {
            assert!(!begins_addjob(other.as_bytes()), "{other}");
        }
    }
}
