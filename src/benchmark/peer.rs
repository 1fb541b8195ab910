//! What to say to each kind of server for the same piece of work.
//!
//! The work of a queue is add, get, acknowledge: a job that was got must not be lost if the worker dies.
//!
//! | | this server | Redis lists | Redis streams |
//! | --- | --- | --- | --- |
//! | add | `ADDJOB q body 0` | `LPUSH q body` | `XADD q * b body` |
//! | get | `GETJOB NOHANG FROM q` | `LMOVE q q:taken RIGHT LEFT` | `XREADGROUP GROUP g c COUNT 1 STREAMS q >` |
//! | acknowledge | `ACKJOB id` | `LREM q:taken -1 body` | `XACK q g id`, `XDEL q id` |
//! | wait | `GETJOB FROM q` | `BLMOVE q q:taken RIGHT LEFT 0` | `XREADGROUP GROUP g c COUNT 1 BLOCK 0 STREAMS q >` |
//!
//! Bodies are alike, so LREM finds the oldest taken job at once. That is the best case for lists: with bodies
//! that differ and acknowledgements out of order it walks through all that were taken.

use std::io::Write as _;

use clap::ValueEnum;

/// Consumer group, and consumer, of the streams.
const GROUP: &[u8] = b"benchmark";
/// Answers the null server's lack of IDs: of the length of a real one.
const NO_ID: &[u8] = b"D-00000000-000000000000000000000000-05a1";

/// The kind of server, and what of it serves as a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Peer {
    /// This server
    Disque,
    /// Redis with lists: LPUSH, LMOVE, LREM
    RedisLists,
    /// Redis with streams: XADD, XREADGROUP, XACK and XDEL
    RedisStreams,
    /// disque-benchmark --null, asked as this server is
    Null,
}

/// One kind of request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Ping,
    Add,
    Get,
    Ack,
}

impl Peer {
    /// Its name in reports, the same as on the command line.
    pub(super) fn name(self) -> &'static str {
        match self {
            Peer::Disque => "disque",
            Peer::RedisLists => "redis-lists",
            Peer::RedisStreams => "redis-streams",
            Peer::Null => "null",
        }
    }

    /// How many requests, and so replies, a step takes.
    pub(super) fn requests(self, step: Step) -> u32 {
        match (self, step) {
            (Peer::RedisStreams, Step::Ack) => 2,
            _ => 1,
        }
    }
}

/// A peer, and the names and body its requests need.
pub(super) struct Speech {
    pub(super) peer: Peer,
    pub(super) queues: Vec<Vec<u8>>,
    /// Where jobs of Redis lists are between get and acknowledgement.
    taken: Vec<Vec<u8>>,
    body: Vec<u8>,
    /// How many copies of each job are asked for, if that is not left to the server.
    replicate: Option<Vec<u8>>,
}

impl Speech {
    pub(super) fn new(peer: Peer, queue: &str, queues: u32, body_len: usize) -> Speech {
        let name = |number: u32| match queues {
            1 => queue.as_bytes().to_vec(),
            _ => format!("{queue}:{number}").into_bytes(),
        };
        let queues: Vec<_> = (0..queues).map(name).collect();
        let taken = queues.iter().map(|queue| [queue, b":taken".as_slice()].concat()).collect();
        Speech { peer, queues, taken, body: vec![b'x'; body_len], replicate: None }
    }

    /// The same, with so many copies of each job.
    pub(super) fn replicated(self, copies: Option<u16>) -> Speech {
        Speech { replicate: copies.map(|copies| copies.to_string().into_bytes()), ..self }
    }

    /// Writes what a step takes for one job. The ID is that of the job to acknowledge.
    pub(super) fn write(&self, out: &mut Vec<u8>, step: Step, queue: u32, id: &[u8]) {
        let name = self.queues[queue as usize].as_slice();
        let taken = self.taken[queue as usize].as_slice();
        match (step, self.peer) {
            (Step::Ping, _) => request(out, [b"PING"]),
            (Step::Add, Peer::Disque | Peer::Null) => match &self.replicate {
                None => request(out, [b"ADDJOB", name, &self.body, b"0"]),
                Some(copies) => request(out, [b"ADDJOB", name, &self.body, b"0", b"REPLICATE", copies]),
            },
            (Step::Add, Peer::RedisLists) => request(out, [b"LPUSH", name, &self.body]),
            (Step::Add, Peer::RedisStreams) => request(out, [b"XADD", name, b"*", b"b", &self.body]),
            (Step::Get, Peer::Disque | Peer::Null) => request(out, [b"GETJOB", b"NOHANG", b"FROM", name]),
            (Step::Get, Peer::RedisLists) => request(out, [b"LMOVE", name, taken, b"RIGHT", b"LEFT"]),
            (Step::Get, Peer::RedisStreams) => {
                request(out, [b"XREADGROUP", b"GROUP", GROUP, GROUP, b"COUNT", b"1", b"STREAMS", name, b">"]);
            }
            (Step::Ack, Peer::Disque) => request(out, [b"ACKJOB", id]),
            (Step::Ack, Peer::Null) => request(out, [b"ACKJOB", NO_ID]),
            (Step::Ack, Peer::RedisLists) => request(out, [b"LREM", taken, b"-1", &self.body]),
            (Step::Ack, Peer::RedisStreams) => {
                request(out, [b"XACK", name, GROUP, id]);
                request(out, [b"XDEL", name, id]);
            }
        }
    }

    /// Writes the request that waits for a job of a queue without end.
    pub(super) fn write_wait(&self, out: &mut Vec<u8>, queue: u32) {
        let name = self.queues[queue as usize].as_slice();
        let taken = self.taken[queue as usize].as_slice();
        match self.peer {
            Peer::Disque | Peer::Null => request(out, [b"GETJOB", b"FROM", name]),
            Peer::RedisLists => request(out, [b"BLMOVE", name, taken, b"RIGHT", b"LEFT", b"0"]),
            Peer::RedisStreams => request(
                out,
                [
                    b"XREADGROUP",
                    b"GROUP",
                    GROUP,
                    GROUP,
                    b"COUNT",
                    b"1",
                    b"BLOCK",
                    b"0",
                    b"STREAMS",
                    name,
                    b">",
                ],
            ),
        }
    }

    /// Writes the question how many jobs a queue has, if the peer can tell; returns the number of requests.
    pub(super) fn write_len(&self, out: &mut Vec<u8>, queue: u32) -> usize {
        let name = self.queues[queue as usize].as_slice();
        match self.peer {
            Peer::Disque => request(out, [b"QLEN", name]),
            Peer::RedisLists => request(out, [b"LLEN", name]),
            Peer::RedisStreams => request(out, [b"XLEN", name]),
            Peer::Null => return 0,
        }
        1
    }

    /// Writes what makes an empty queue usable, if anything is needed; returns the number of requests.
    pub(super) fn write_create(&self, out: &mut Vec<u8>, queue: u32) -> usize {
        if self.peer != Peer::RedisStreams {
            return 0;
        }
        // A stream that is left over may have the group already.
        let removals = self.write_remove(out, queue);
        request(out, [b"XGROUP", b"CREATE", &self.queues[queue as usize], GROUP, b"$", b"MKSTREAM"]);
        removals + 1
    }

    /// Writes what removes a queue that lasts although it is empty; returns the number of requests.
    pub(super) fn write_remove(&self, out: &mut Vec<u8>, queue: u32) -> usize {
        match self.peer {
            Peer::Disque | Peer::Null => return 0,
            Peer::RedisLists => request(out, [b"DEL", self.taken[queue as usize].as_slice()]),
            Peer::RedisStreams => request(out, [b"DEL", self.queues[queue as usize].as_slice()]),
        }
        1
    }
}

/// Writes a request of these words.
pub(super) fn request<const N: usize>(out: &mut Vec<u8>, words: [&[u8]; N]) {
    length(out, b'*', N);
    for word in words {
        length(out, b'$', word.len());
        out.extend_from_slice(word);
        out.extend_from_slice(b"\r\n");
    }
}

/// Lengths are short, and formatting them through `fmt` would be half the cost of a request.
fn length(out: &mut Vec<u8>, kind: u8, length: usize) {
    match length {
        0..=9 => out.extend_from_slice(&[kind, b'0' + length as u8, b'\r', b'\n']),
        10..=99 => {
            out.extend_from_slice(&[
                kind,
                b'0' + (length / 10) as u8,
                b'0' + (length % 10) as u8,
                b'\r',
                b'\n',
            ]);
        }
        _ => write!(out, "{}{length}\r\n", char::from(kind)).expect("memory takes all that is written"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ack(peer: Peer) -> String {
        let mut out = Vec::new();
        Speech::new(peer, "q", 1, 2).write(&mut out, Step::Ack, 0, b"ID");
        String::from_utf8(out).expect("ASCII")
    }

    #[test]
    fn requests_are_framed_with_their_lengths() {
        let mut out = Vec::new();
        request(&mut out, [b"A".as_slice(), &[b'x'; 10], &[b'y'; 100], b""]);
        let expected = format!(
            "*4\r\n$1\r\nA\r\n$10\r\n{}\r\n$100\r\n{}\r\n$0\r\n\r\n",
            "x".repeat(10),
            "y".repeat(100)
        );
        assert_eq!(String::from_utf8(out), Ok(expected));
    }

    #[test]
    fn each_peer_acknowledges_in_its_way() {
        assert_eq!(ack(Peer::Disque), "*2\r\n$6\r\nACKJOB\r\n$2\r\nID\r\n");
        assert_eq!(ack(Peer::RedisLists), "*4\r\n$4\r\nLREM\r\n$7\r\nq:taken\r\n$2\r\n-1\r\n$2\r\nxx\r\n");
        assert_eq!(
            ack(Peer::RedisStreams),
            "*4\r\n$4\r\nXACK\r\n$1\r\nq\r\n$9\r\nbenchmark\r\n$2\r\nID\r\n\
             *3\r\n$4\r\nXDEL\r\n$1\r\nq\r\n$2\r\nID\r\n"
        );
    }

    #[test]
    fn a_single_queue_has_the_plain_name_and_many_have_numbers() {
        assert_eq!(Speech::new(Peer::Disque, "q", 1, 0).queues, [b"q".to_vec()]);
        assert_eq!(Speech::new(Peer::Disque, "q", 2, 0).queues, [b"q:0".to_vec(), b"q:1".to_vec()]);
    }
}
