//! What to say to each kind of server for the same piece of work.

mod beanstalkd;
mod nats;
mod resp;

use super::bodies::Bodies;
use super::fault::Fault;
use super::peer::{Peer, Step, Tongue};
use super::scan::Scanned;
use super::wire::Greeting;

pub(super) use nats::{CONSUMER, hello};
pub(super) use resp::request;

/// Jobs that a request of NATS waits for, one after the other. Asking anew for each is not how its clients do it.
const NATS_WAITS_FOR: u32 = 64;

/// A peer, and the names and bodies its requests need.
pub(super) struct Speech {
    pub(super) peer: Peer,
    pub(super) queues: Vec<Vec<u8>>,
    /// Where jobs of Redis lists are between get and acknowledgement.
    taken: Vec<Vec<u8>>,
    pub(super) bodies: Bodies,
    /// Whether bodies carry more than their length, so that one is not as good as another.
    pub(super) stamped: bool,
    /// How many copies of each job are asked for, if that is not left to the server.
    pub(super) replicate: Option<u16>,
    /// How many jobs are asked for, and acknowledged, in one request.
    pub(super) get_batch: u32,
    pub(super) ack_batch: u32,
}

/// The replies that a step of some jobs brings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Expected {
    pub(super) replies: u32,
    /// After so many replies …
    pub(super) group: u32,
    /// … so many jobs are done, or what is left of them.
    pub(super) jobs: u32,
}

impl Speech {
    pub(super) fn new(peer: Peer, queue: &str, queues: u32, bodies: Bodies) -> Speech {
        let name = |number: u32| match queues {
            1 => queue.as_bytes().to_vec(),
            _ => format!("{queue}:{number}").into_bytes(),
        };
        let queues: Vec<_> = (0..queues).map(name).collect();
        let taken = match peer {
            Peer::RedisLists => queues.iter().map(|queue| [queue, b":taken".as_slice()].concat()).collect(),
            _ => Vec::new(),
        };
        Speech { peer, queues, taken, bodies, stamped: false, replicate: None, get_batch: 1, ack_batch: 1 }
    }

    /// What a step of so many jobs will bring.
    pub(super) fn expected(&self, step: Step, jobs: u32) -> Expected {
        let batches =
            |batch: u32, group: u32| Expected { replies: jobs.div_ceil(batch) * group, group, jobs: batch };
        match (self.peer, step) {
            (Peer::Nats, Step::Ack) => Expected { replies: 1, group: 1, jobs },
            // A job is a message of its own, however many were asked for.
            (Peer::Nats, _) => batches(1, 1),
            (_, Step::Get) => batches(self.get_batch, 1),
            (Peer::RedisStreams, Step::Ack) => batches(self.ack_batch, 2),
            (_, Step::Ack) => batches(self.ack_batch, 1),
            (_, Step::Ping | Step::Add) => batches(1, 1),
        }
    }

    /// Writes the question that is answered and changes nothing.
    pub(super) fn write_ping(&self, out: &mut Vec<u8>) {
        match self.peer.tongue() {
            Tongue::Resp => request(out, [b"PING"]),
            Tongue::Beanstalkd => beanstalkd::use_tube(out, &self.queues[0]),
            Tongue::Nats => out.extend_from_slice(b"PING\r\n"),
        }
    }

    /// Writes what adds a job. The inbox is that of the connection.
    pub(super) fn write_add(&self, out: &mut Vec<u8>, inbox: &[u8], queue: u32, body: &[u8]) {
        match self.peer.tongue() {
            Tongue::Resp => resp::add(self, out, queue, body),
            Tongue::Beanstalkd => beanstalkd::put(out, body),
            Tongue::Nats => nats::publish(out, &self.queues[0], inbox, body),
        }
    }

    /// Writes what gets so many jobs, if there are as many, and does not wait.
    pub(super) fn write_get(&self, out: &mut Vec<u8>, inbox: &[u8], queue: u32, jobs: u32) {
        match self.peer.tongue() {
            Tongue::Resp => resp::get(self, out, queue, jobs),
            Tongue::Beanstalkd => out.extend_from_slice(b"reserve-with-timeout 0\r\n"),
            Tongue::Nats => nats::fetch(out, &self.queues[0], inbox, jobs, nats::Patience::Short),
        }
    }

    /// How many jobs the next request for jobs is for, if so many are wanted.
    pub(super) fn get_at_once(&self, jobs: u32) -> u32 {
        if self.peer == Peer::Nats { jobs } else { jobs.min(self.get_batch) }
    }

    /// Writes what acknowledges the jobs of one request.
    pub(super) fn write_ack(&self, out: &mut Vec<u8>, queue: u32, ids: &[&[u8]]) {
        match self.peer.tongue() {
            Tongue::Resp => resp::ack(self, out, queue, ids),
            Tongue::Beanstalkd => beanstalkd::delete(out, ids[0]),
            Tongue::Nats => nats::ack(out, ids[0]),
        }
    }

    /// Writes what ends a step of acknowledgements.
    pub(super) fn write_ack_end(&self, out: &mut Vec<u8>) {
        if self.peer == Peer::Nats {
            self.write_ping(out);
        }
    }

    /// Writes the request that waits for jobs of a queue without end; how many it will bring.
    pub(super) fn write_wait(&self, out: &mut Vec<u8>, inbox: &[u8], queue: u32) -> u32 {
        match self.peer.tongue() {
            Tongue::Resp => resp::wait(self, out, queue),
            Tongue::Beanstalkd => out.extend_from_slice(b"reserve\r\n"),
            Tongue::Nats => {
                nats::fetch(out, &self.queues[0], inbox, NATS_WAITS_FOR, nats::Patience::Endless);
                return NATS_WAITS_FOR;
            }
        }
        1
    }

    /// Writes the question how many jobs a queue has, if a peer that speaks RESP can tell; returns the number of
    /// requests.
    pub(super) fn write_len(&self, out: &mut Vec<u8>, queue: u32) -> usize {
        resp::len(self, out, queue)
    }

    /// Writes what makes an empty queue usable, if anything is needed; returns the number of requests.
    pub(super) fn write_create(&self, out: &mut Vec<u8>, queue: u32) -> usize {
        resp::create(self, out, queue)
    }

    /// Writes what removes a queue that lasts although it is empty; returns the number of requests.
    pub(super) fn write_remove(&self, out: &mut Vec<u8>, queue: u32) -> usize {
        resp::remove(self, out, queue)
    }

    /// Whether acknowledging needs the ID of the job that was got, or for lists its body.
    pub(super) fn needs_ids(&self) -> bool {
        match self.peer {
            Peer::RedisLists => self.stamped || !self.bodies.are_alike(),
            Peer::Null => false,
            Peer::Disque | Peer::RedisStreams | Peer::Beanstalkd | Peer::Nats => true,
        }
    }

    /// What a connection says before anything else.
    pub(super) fn greeting(&self, inbox: &[u8]) -> Greeting {
        match self.peer.tongue() {
            Tongue::Resp => Greeting::default(),
            Tongue::Beanstalkd => beanstalkd::greeting(&self.queues[0]),
            Tongue::Nats => nats::greeting(inbox),
        }
    }

    /// Finds the reply at the start of the bytes.
    pub(super) fn scan(
        &self,
        bytes: &[u8],
        picks: &mut Vec<super::scan::Pick>,
    ) -> Result<Option<Scanned>, Fault> {
        super::scan::reply(self.peer, bytes, picks)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn speech(peer: Peer, queues: u32) -> Speech {
        Speech::new(peer, "q", queues, Bodies::new(super::super::bodies::Lengths::Fixed(2)))
    }

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).expect("ASCII")
    }

    #[test]
    fn a_single_queue_has_the_plain_name_and_many_have_numbers() {
        assert_eq!(speech(Peer::Disque, 1).queues, [b"q".to_vec()]);
        assert_eq!(speech(Peer::Disque, 2).queues, [b"q:0".to_vec(), b"q:1".to_vec()]);
    }

    #[test]
    fn each_peer_acknowledges_in_its_way() {
        let ack = |peer| written(|out| speech(peer, 1).write_ack(out, 0, &[b"ID"]));
        assert_eq!(ack(Peer::Disque), "*2\r\n$6\r\nACKJOB\r\n$2\r\nID\r\n");
        assert_eq!(ack(Peer::RedisLists), "*4\r\n$4\r\nLREM\r\n$7\r\nq:taken\r\n$2\r\n-1\r\n$2\r\nxx\r\n");
        assert_eq!(
            ack(Peer::RedisStreams),
            "*4\r\n$4\r\nXACK\r\n$1\r\nq\r\n$9\r\nbenchmark\r\n$2\r\nID\r\n\
             *3\r\n$4\r\nXDEL\r\n$1\r\nq\r\n$2\r\nID\r\n"
        );
        assert_eq!(ack(Peer::Beanstalkd), "delete ID\r\n");
        assert_eq!(ack(Peer::Nats), "PUB ID 4\r\n+ACK\r\n");
    }

    #[test]
    fn several_jobs_go_into_one_request_where_there_is_one() {
        let mut batched = speech(Peer::Disque, 1);
        (batched.get_batch, batched.ack_batch) = (4, 4);
        assert_eq!(
            written(|out| batched.write_get(out, b"", 0, 3)),
            "*6\r\n$6\r\nGETJOB\r\n$6\r\nNOHANG\r\n$5\r\nCOUNT\r\n$1\r\n3\r\n$4\r\nFROM\r\n$1\r\nq\r\n"
        );
        assert_eq!(
            written(|out| batched.write_ack(out, 0, &[b"A", b"B"])),
            "*3\r\n$6\r\nACKJOB\r\n$1\r\nA\r\n$1\r\nB\r\n"
        );
        assert_eq!(batched.expected(Step::Ack, 10), Expected { replies: 3, group: 1, jobs: 4 });
        assert_eq!(batched.expected(Step::Add, 10), Expected { replies: 10, group: 1, jobs: 1 });
        let nats = speech(Peer::Nats, 1);
        assert_eq!(nats.expected(Step::Get, 10), Expected { replies: 10, group: 1, jobs: 1 });
        assert_eq!(nats.expected(Step::Ack, 10), Expected { replies: 1, group: 1, jobs: 10 });
    }

    #[test]
    fn lists_remove_the_body_that_was_got_only_if_bodies_differ() {
        let mut lists = speech(Peer::RedisLists, 1);
        assert!(!lists.needs_ids());
        lists.stamped = true;
        assert!(lists.needs_ids());
    }
}
