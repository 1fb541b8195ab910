//! The kinds of server that can be measured, and the steps of their common work.
//!
//! The work of a queue is add, get, acknowledge: a job that was got must not be lost if the worker dies.
//!
//! | | this server | Redis lists | Redis streams | beanstalkd | NATS JetStream |
//! | --- | --- | --- | --- | --- | --- |
//! | add | `ADDJOB` | `LPUSH` | `XADD` | `put` | publish, wait for the acknowledgement of the stream |
//! | get | `GETJOB NOHANG` | `LMOVE` to a second list | `XREADGROUP` | `reserve-with-timeout 0` | one fetch for the whole window |
//! | acknowledge | `ACKJOB` | `LREM` | `XACK`, `XDEL` | `delete` | `+ACK` each, one `PING` per window |
//! | wait | `GETJOB` | `BLMOVE` | `XREADGROUP BLOCK` | `reserve` | fetch without an end |
//!
//! NATS does not confirm acknowledgements unless asked; the `PING` behind a window of them makes sure that the
//! server has read them, which is the cheapest way for it to have no more than a window in flight.

use clap::ValueEnum;

/// The kind of server, and what of it serves as a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Peer {
    /// This server
    Disque,
    /// Redis with lists: LPUSH, LMOVE, LREM
    RedisLists,
    /// Redis with streams: XADD, XREADGROUP, XACK and XDEL
    RedisStreams,
    /// beanstalkd: put, reserve, delete
    Beanstalkd,
    /// NATS JetStream: a work queue in memory, a pull consumer
    Nats,
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

/// The protocol of a kind of server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tongue {
    Resp,
    Beanstalkd,
    Nats,
}

impl Peer {
    /// Its name in reports, the same as on the command line.
    pub(super) fn name(self) -> &'static str {
        match self {
            Peer::Disque => "disque",
            Peer::RedisLists => "redis-lists",
            Peer::RedisStreams => "redis-streams",
            Peer::Beanstalkd => "beanstalkd",
            Peer::Nats => "nats",
            Peer::Null => "null",
        }
    }

    pub(super) fn tongue(self) -> Tongue {
        match self {
            Peer::Disque | Peer::RedisLists | Peer::RedisStreams | Peer::Null => Tongue::Resp,
            Peer::Beanstalkd => Tongue::Beanstalkd,
            Peer::Nats => Tongue::Nats,
        }
    }

    /// Whether a request can be for several jobs, as many as the user says.
    pub(super) fn takes_batches(self) -> bool {
        matches!(self, Peer::Disque | Peer::RedisStreams | Peer::Null)
    }

    /// Whether a connection can go from queue to queue without further requests.
    pub(super) fn takes_queues(self) -> bool {
        self.tongue() == Tongue::Resp
    }
}
