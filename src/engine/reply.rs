//! What the engine answers: values, not text. `command::reply` turns them into RESP.

use std::net::IpAddr;

use super::effect::Rows;
use super::request::{JobState, PauseState};
use crate::bus::NodesConf;
use crate::types::{Body, Ctime, JobId, Millis, NodeId, UnixMillis};

/// The answer to one request.
#[derive(Debug)]
pub enum Reply {
    /// Done.
    Ok,
    /// A count, or a retry period in seconds.
    Int(i64),
    /// The ID of the added job.
    JobId(JobId),
    /// Jobs handed out or shown.
    Jobs {
        /// The jobs, in the effects.
        rows: Rows,
        /// Whether their counters are told.
        with_counters: bool,
    },
    /// GETJOB found nothing.
    NoJob,
    /// SHOW does not know the job.
    NoSuchJob,
    /// QSTAT does not know the queue.
    NoSuchQueue,
    /// SHOW.
    Job(Box<JobDetails>),
    /// QSTAT.
    Queue(Box<QueueDetails>),
    /// QSCAN.
    QueueScan {
        /// Where to go on; 0 means done.
        cursor: u64,
        /// Names.
        queues: Vec<Box<[u8]>>,
    },
    /// JSCAN … REPLY ID.
    JobScan {
        /// Where to go on; 0 means done.
        cursor: u64,
        /// IDs.
        jobs: Vec<JobId>,
    },
    /// JSCAN … REPLY ALL.
    JobScanAll {
        /// Where to go on; 0 means done.
        cursor: u64,
        /// What SHOW would tell about each.
        jobs: Vec<JobDetails>,
    },
    /// PAUSE: the state after it.
    Pause(PauseState),
    /// HELLO.
    Hello {
        /// This node.
        me: NodeId,
        /// All members, this node included.
        nodes: Vec<HelloNode>,
    },
    /// CLUSTER MYID.
    NodeId(NodeId),
    /// CLUSTER NODES.
    Nodes(Box<NodesConf>),
    /// CLUSTER INFO.
    ClusterInfo(Box<ClusterInfo>),
    /// CLUSTER LEAVING without argument.
    Leaving(bool),
    /// Refused, with the reason.
    Refused(Refusal),
}

/// Everything SHOW tells about a job, in its order (commands.md 8.7).
#[derive(Clone, Debug)]
pub struct JobDetails {
    /// The job's ID.
    pub id: JobId,
    /// `None` for the record of an acknowledgement whose job is not known here.
    pub queue: Option<Box<[u8]>>,
    /// Its state.
    pub state: JobState,
    /// Copies asked for.
    pub replicate: u16,
    /// What remains of its life.
    pub ttl: Millis,
    /// Creation time.
    pub ctime: Ctime,
    /// DELAY as given.
    pub delay: Millis,
    /// RETRY as given.
    pub retry: Millis,
    /// How often a worker gave it back.
    pub nacks: u16,
    /// How often it was queued again for other reasons.
    pub additional_deliveries: u16,
    /// Nodes that may hold a copy.
    pub nodes_delivered: Vec<NodeId>,
    /// Nodes that confirmed the current step.
    pub nodes_confirmed: Vec<NodeId>,
    /// Time until it is queued (again); `None` is never.
    pub next_requeue: Option<Millis>,
    /// Time until the node looks at it next; `None` is never.
    pub next_awake: Option<Millis>,
    /// Its body; `None` for the record of an acknowledgement whose job is not known here.
    pub body: Option<Body>,
}

/// Everything QSTAT tells about a queue, in its order (commands.md 9.3).
#[derive(Clone, Debug)]
pub struct QueueDetails {
    /// Its name.
    pub name: Box<[u8]>,
    /// Jobs queued here.
    pub len: u64,
    /// Time since it came into being.
    pub age: Millis,
    /// Time since a job was queued or fetched.
    pub idle: Millis,
    /// Clients waiting for a job.
    pub blocked: u64,
    /// Nodes that sent jobs lately.
    pub import_from: Vec<NodeId>,
    /// Jobs per second that other nodes send.
    pub import_rate: u64,
    /// Jobs queued so far, for any reason.
    pub jobs_in: u64,
    /// Jobs handed out so far.
    pub jobs_out: u64,
    /// Which ways are closed.
    pub pause: PauseState,
    /// Time since the first job in it was created; zero without jobs.
    pub oldest: Millis,
    /// Jobs of it that workers have; see [`QueueFacts::in_flight`].
    pub in_flight: u64,
}

/// What is told about each of many queues, without being asked for one by one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueFacts {
    /// Its name.
    pub name: Box<[u8]>,
    /// Jobs queued here.
    pub len: u64,
    /// Clients waiting for a job.
    pub blocked: u32,
    /// Jobs queued so far, for any reason.
    pub jobs_in: u64,
    /// Jobs handed out so far.
    pub jobs_out: u64,
    /// Jobs that workers got from this node, or asked it for more time for, and that have neither been acknowledged nor
    /// queued again since, here or, as far as this node has heard, elsewhere. At-most-once jobs, which are never queued
    /// again, count until they are acknowledged or expire.
    pub in_flight: u32,
    /// When the first job in it was created, if there is one.
    pub oldest: Option<UnixMillis>,
    /// Which ways are closed.
    pub pause: PauseState,
}

/// A node as HELLO shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HelloNode {
    /// Its identity.
    pub id: NodeId,
    /// Its address; `None` if not known: this node before another one contacted it, or a node that was lost.
    pub ip: Option<IpAddr>,
    /// Its client port.
    pub port: u16,
    /// Lower is better: 1, 5, 10 or 100 (commands.md 11.1).
    pub priority: u8,
}

/// CLUSTER INFO (commands.md 11).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClusterInfo {
    /// Members and handshakes, this node included.
    pub known_nodes: u64,
    /// Other members that could hold a copy now.
    pub reachable_nodes: u64,
    /// Members, this node included.
    pub size: u64,
    /// Bus messages sent.
    pub messages_sent: u64,
    /// Bus messages received.
    pub messages_received: u64,
}

/// Why a request was refused. The texts are in `command::reply`; they are published behaviour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// RETRY 0 with more than one copy.
    AtMostOnceReplicated,
    /// DELAY is not below TTL.
    DelayNotBelowTtl,
    /// Fewer nodes can be reached than copies were asked for.
    NotEnoughNodes,
    /// The same, and it is this node's leaving that makes the difference.
    NotEnoughNodesLeaving,
    /// The same, and it is this node's lack of memory that makes the difference.
    NotEnoughNodesNoMemory,
    /// SYNC, and fewer nodes that keep an append-only file can be reached than copies were asked for.
    NotEnoughDisks,
    /// SYNC at a node that keeps no append-only file.
    NoFile,
    /// The time to wait for copies is over.
    NotReplicated,
    /// The job was deleted, or its life was over, before it had its copies.
    GoneBeforeReplicated,
    /// MAXLEN is reached.
    QueueTooLong,
    /// The queue is paused in input.
    Paused,
    /// This node is leaving and has no job.
    Leaving,
    /// WORKING: the job is not known here.
    UnknownJob,
    /// WORKING: half of the job's life is over.
    TooLate,
    /// WORKING: the job is acknowledged.
    Acked,
    /// More memory is used than `maxmemory` allows.
    OutOfMemory,
    /// CLUSTER MEET: no row is left for another node.
    TooManyNodes,
    /// CLUSTER MEET: as many handshakes are under way as there may be.
    TooManyHandshakes,
    /// CLUSTER FORGET of this node.
    ForgetMyself,
    /// CLUSTER FORGET of a node that is not in the table.
    UnknownNode(NodeId),
}
