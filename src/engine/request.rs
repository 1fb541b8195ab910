//! What a client may ask of the engine: typed, checked for form, not yet for sense.

use std::net::IpAddr;

use crate::types::{ArgList, BodyArg, JobId, Millis, NodeId, Span32};

/// A parsed command that runs in the engine. Borrowed data lies in the connection's read buffer.
#[derive(Debug)]
pub enum Request<'a> {
    /// ADDJOB (commands.md 6).
    AddJob(AddJob<'a>),
    /// GETJOB (commands.md 7).
    GetJob(GetJob<'a>),
    /// ACKJOB: acknowledges jobs. All lists of IDs hold only well-shaped ones.
    AckJob {
        /// The jobs.
        ids: ArgList<'a>,
    },
    /// FASTACK: deletes jobs everywhere without waiting for confirmations.
    FastAck {
        /// The jobs.
        ids: ArgList<'a>,
    },
    /// DELJOB: deletes jobs from this node only.
    DelJob {
        /// The jobs.
        ids: ArgList<'a>,
    },
    /// ENQUEUE: queues active jobs now.
    Enqueue {
        /// The jobs.
        ids: ArgList<'a>,
    },
    /// NACK: queues active jobs now, and counts a failure of the worker.
    Nack {
        /// The jobs.
        ids: ArgList<'a>,
    },
    /// DEQUEUE: takes jobs out of their queue.
    Dequeue {
        /// The jobs.
        ids: ArgList<'a>,
    },
    /// WORKING: a worker needs more time. `None` is a well-shaped ID that no job can have.
    Working {
        /// The job.
        id: Option<JobId>,
    },
    /// SHOW: everything about one job. `None` is a well-shaped ID that no job can have.
    Show {
        /// The job.
        id: Option<JobId>,
    },
    /// QLEN: how many jobs are queued here.
    QLen {
        /// The queue.
        queue: &'a [u8],
    },
    /// QPEEK: jobs at either end of a queue, not taken.
    QPeek {
        /// The queue.
        queue: &'a [u8],
        /// How many from the oldest, or, negative, from the newest.
        count: i64,
    },
    /// QSTAT: everything about one queue.
    QStat {
        /// The queue.
        queue: &'a [u8],
    },
    /// QSCAN: queues, piece by piece.
    QScan(QScan),
    /// JSCAN: jobs, piece by piece.
    JScan(JScan<'a>),
    /// PAUSE: stops jobs from entering or leaving a queue.
    Pause {
        /// The queue.
        queue: &'a [u8],
        /// The new state, or `None` to ask only.
        change: Option<PauseState>,
        /// Whether to tell the other nodes.
        broadcast: bool,
    },
    /// HELLO without arguments: the cluster as clients need to know it.
    Hello,
    /// CLUSTER and its subcommands.
    Cluster(ClusterRequest),
    /// DEBUG FLUSHALL: forgets all jobs and queues of this node.
    FlushAll,
}

/// The arguments of ADDJOB.
#[derive(Debug)]
pub struct AddJob<'a> {
    /// The queue, any bytes.
    pub queue: &'a [u8],
    /// The body, any bytes.
    pub body: BodyArg<'a>,
    /// How long to wait for copies; zero waits for ever.
    pub timeout: Millis,
    /// Copies asked for; the default depends on the size of the cluster.
    pub replicate: Option<u16>,
    /// Time to live, above zero.
    pub ttl: Millis,
    /// Retry period, zero for at most once; the default depends on the time to live.
    pub retry: Option<Span32>,
    /// Time before the job is queued first.
    pub delay: Span32,
    /// Refuse if the queue is at least this long.
    pub maxlen: Option<u64>,
    /// Whether to answer before the copies are confirmed.
    pub replication: Replication,
}

/// When ADDJOB answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replication {
    /// When the copies are confirmed.
    Sync,
    /// At once; copies are made as well as they can be.
    Async,
    /// When all copies are on disks, whatever the nodes do otherwise.
    OnDisk,
}

/// The arguments of GETJOB.
#[derive(Debug)]
pub struct GetJob<'a> {
    /// The queues, in the order in which they are visited; at least one.
    pub queues: ArgList<'a>,
    /// Most jobs to return, above zero.
    pub count: u64,
    /// What to do when there is nothing.
    pub wait: Wait,
    /// Whether to tell how often each job was nacked and delivered.
    pub with_counters: bool,
}

/// What GETJOB does when there is no job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// NOHANG: answer "nothing".
    No,
    /// Wait until a job comes.
    Forever,
    /// Wait this long, above zero.
    For(Millis),
}

/// Which ways of a queue are closed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PauseState {
    /// New jobs are refused.
    pub input: bool,
    /// Jobs are not handed out.
    pub output: bool,
}

impl PauseState {
    /// Open in both directions.
    pub const NONE: PauseState = PauseState { input: false, output: false };

    /// The word of PAUSE and QSTAT.
    pub const fn word(self) -> &'static str {
        match (self.input, self.output) {
            (false, false) => "none",
            (true, false) => "in",
            (false, true) => "out",
            (true, true) => "all",
        }
    }
}

/// How far a scan goes in one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScanBudget {
    /// About so many elements; zero or less than that visits little or everything as documented.
    Count(i64),
    /// Everything in one call.
    BusyLoop,
}

/// The arguments of QSCAN.
#[derive(Debug)]
pub struct QScan {
    /// Where to go on; 0 starts.
    pub cursor: u64,
    /// How far.
    pub budget: ScanBudget,
    /// Only queues at least this long.
    pub min_len: Option<i64>,
    /// Only queues at most this long.
    pub max_len: Option<i64>,
    /// Only queues that import at least so many jobs per second.
    pub import_rate: Option<i64>,
}

/// The arguments of JSCAN.
#[derive(Debug)]
pub struct JScan<'a> {
    /// Where to go on; 0 starts.
    pub cursor: u64,
    /// How far.
    pub budget: ScanBudget,
    /// Only jobs of this queue.
    pub queue: Option<&'a [u8]>,
    /// Only jobs in these states; empty means all.
    pub states: JobStates,
    /// Whether to tell everything about each job, or its ID only.
    pub reply: JScanReply,
}

/// What JSCAN tells about each job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JScanReply {
    /// The ID.
    Id,
    /// What SHOW tells.
    All,
}

/// The state of a job (commands.md 4.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum JobState {
    /// Its copies are not confirmed yet; a client waits for that.
    WaitReplication = 0,
    /// Known, not in a queue of this node.
    Active = 1,
    /// In its queue.
    Queued = 2,
    /// Acknowledged; kept until every holder knows.
    Acked = 3,
}

impl JobState {
    /// All states.
    pub const ALL: [JobState; 4] =
        [JobState::WaitReplication, JobState::Active, JobState::Queued, JobState::Acked];

    /// The word of SHOW and JSCAN.
    pub const fn word(self) -> &'static str {
        match self {
            JobState::WaitReplication => "wait-repl",
            JobState::Active => "active",
            JobState::Queued => "queued",
            JobState::Acked => "acked",
        }
    }
}

/// A set of job states.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct JobStates(u8);

impl JobStates {
    /// Adds a state.
    pub fn insert(&mut self, state: JobState) {
        self.0 |= 1 << state as u8;
    }

    /// Whether a filter by this set lets the state pass; the empty set filters nothing.
    pub fn admits(self, state: JobState) -> bool {
        self.0 == 0 || self.0 & (1 << state as u8) != 0
    }
}

/// CLUSTER's subcommands that run in the engine.
#[derive(Debug)]
pub enum ClusterRequest {
    /// CLUSTER MEET.
    Meet {
        /// The other node's address.
        ip: IpAddr,
        /// Its client port.
        port: u16,
        /// Its bus port; 10000 above the client port unless told.
        bus_port: u16,
    },
    /// CLUSTER NODES.
    Nodes,
    /// CLUSTER MYID.
    MyId,
    /// CLUSTER INFO.
    Info,
    /// CLUSTER SAVECONFIG.
    SaveConfig,
    /// CLUSTER FORGET.
    Forget {
        /// The node.
        id: NodeId,
    },
    /// CLUSTER RESET.
    Reset {
        /// Whether to take a new node ID too.
        hard: bool,
    },
    /// CLUSTER LEAVING without argument.
    IsLeaving,
    /// CLUSTER LEAVING yes or no.
    SetLeaving(bool),
}
