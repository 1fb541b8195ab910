//! The messages of the bus as values. What they mean for a job or for membership is the engine's business.

use std::borrow::Cow;
use std::net::IpAddr;

use super::header::Features;
use super::nodes_conf::NodeFlags;
use crate::types::{JobId, JobImage, NodeId, Span32};

/// Most jobs that one NEEDJOBS asks for and one YOURJOBS brings: 100.
///
/// An RC1 node that is asked for more writes past the end of an array (defect 3 of cluster-bus.md).
pub const MAX_JOBS: u32 = 100;

/// One message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// "Are you there?" Answered with PONG on the same link.
    Ping {
        /// What the sender thinks of others.
        gossip: Vec<Gossip>,
    },
    /// "I am." The only message that goes back on the link of another.
    Pong {
        /// What the sender thinks of others.
        gossip: Vec<Gossip>,
    },
    /// A PING from a node that wants to be a member.
    Meet {
        /// What the sender thinks of others.
        gossip: Vec<Gossip>,
    },
    /// A node is failing by majority.
    Fail {
        /// The node.
        node: NodeId,
    },
    /// "Keep a copy of this job."
    ReplJob {
        /// The job.
        job: JobImage<'a>,
        /// Whether the receiver shall not confirm.
        no_reply: bool,
    },
    /// Something about a job that both may know, by its ID alone.
    Notice {
        /// The job.
        job: JobId,
        /// What about it.
        notice: Notice,
    },
    /// "I have hungry clients."
    NeedJobs {
        /// Their queue.
        queue: Cow<'a, [u8]>,
        /// How many jobs are wanted; 1 to [`MAX_JOBS`] on the wire, whatever stands here.
        count: u32,
    },
    /// "Here are some jobs for your clients."
    YourJobs {
        /// The jobs, at least one; [`MAX_JOBS`] at most are sent in one message, the others in more.
        jobs: Vec<JobImage<'a>>,
    },
    /// "Pause this queue", or go on with it.
    Pause {
        /// The queue.
        queue: Cow<'a, [u8]>,
        /// Whether new jobs are refused.
        input: bool,
        /// Whether jobs are not handed out.
        output: bool,
    },
    /// "These nodes may hold this job, too." Only for peers with [`Features::BATCH`](super::Features::BATCH).
    Holders {
        /// The job.
        job: JobId,
        /// The nodes, the sender among them or not.
        nodes: Cow<'a, [NodeId]>,
    },
    /// "Jobs wait here in this queue, for which you asked in vain." Only for peers with
    /// [`Features::BATCH`](super::Features::BATCH).
    HaveJobs {
        /// The queue.
        queue: Cow<'a, [u8]>,
    },
    /// "Keep a copy of this job, and confirm it when it is on your disk." Only for peers with
    /// [`Features::DISK`](super::Features::DISK).
    SyncJob {
        /// The job.
        job: JobImage<'a>,
    },
    /// "I have lost records: tell me which jobs I am to hold." Only for peers with
    /// [`Features::LOSSES`](super::Features::LOSSES).
    LostJobs,
}

/// What nodes tell each other about a job by its ID.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Notice {
    /// "I keep a copy."
    GotJob,
    /// "Put this job, of which you keep a copy, into its queue."
    Enqueue {
        /// How long after reception.
        delay: Span32,
    },
    /// "I have put this job into its queue."
    Queued {
        /// What the receiver shall count.
        counts: Counts,
        /// The sender's counters after counting, which only peers with
        /// [`Features::BATCH`](super::Features::BATCH) tell each other.
        totals: Option<Totals>,
    },
    /// "This job is acknowledged."
    SetAck {
        /// How many nodes may have the job, as far as the sender knows; 0 if it does not know the job.
        nodes_known: u32,
        /// A sum over the IDs of those nodes ([`holders_digest`]); 0 if the peer cannot tell.
        digest: u32,
    },
    /// "I am about to put this job into its queue."
    WillQueue,
    /// "I know that this job is acknowledged."
    GotAck {
        /// Whether the sender knew the job, or another acknowledgement of it.
        known: bool,
    },
    /// "Forget this job."
    DelJob,
    /// "A worker here still works on this job."
    Working,
}

/// A job's counters, which only grow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Totals {
    /// How often a worker gave it back.
    pub nacks: u16,
    /// How often it was queued again otherwise.
    pub additional_deliveries: u16,
}

/// A number that two nodes with the same list of holders share, in whatever order they keep it, and that two with
/// different lists hardly ever share; never 0.
pub fn holders_digest(nodes: impl Iterator<Item = NodeId>) -> u32 {
    let sum = nodes.fold(0_u32, |sum, node| {
        let [a, b, c, d, ..] = *node.bytes();
        // Random IDs make their first bytes random; multiplying keeps two equal ones from cancelling out.
        sum.wrapping_add(u32::from_be_bytes([a, b, c, d]).wrapping_mul(0x9e37_79b1) | 1)
    });
    sum.max(1)
}

/// What the sender of a PING, PONG or MEET thinks of another node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gossip {
    /// The other node.
    pub node: NodeId,
    /// When the ping was sent that it has not answered: low 32 bits of the milliseconds, 0 if there is none.
    /// Nobody decides anything by it.
    pub ping_sent: u32,
    /// When its last pong came: low 32 bits of the milliseconds.
    pub pong_received: u32,
    /// Its address; `None` if there is none, or none that can be read.
    pub ip: Option<IpAddr>,
    /// Its client port.
    pub port: u16,
    /// Its bus port, if it announced another than 10000 above the client port. RC1 does not relay it.
    pub bus_port: Option<u16>,
    /// Its state.
    pub flags: NodeFlags,
}

/// What a QUEUED makes its receivers count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Counts {
    /// A worker gave the job back.
    pub nack: bool,
    /// The job is delivered once more, for another reason.
    pub delivery: bool,
}

impl Counts {
    /// Nothing to count.
    pub const NONE: Counts = Counts { nack: false, delivery: false };
    /// A NACK.
    pub const NACK: Counts = Counts { nack: true, delivery: false };
    /// Any other repeated queueing.
    pub const DELIVERY: Counts = Counts { nack: false, delivery: true };
}

/// The numbers of the messages on the wire.
pub(super) mod kind {
    pub(in crate::bus) const PING: u16 = 0;
    pub(in crate::bus) const PONG: u16 = 1;
    pub(in crate::bus) const MEET: u16 = 2;
    pub(in crate::bus) const FAIL: u16 = 3;
    pub(in crate::bus) const REPLJOB: u16 = 4;
    pub(in crate::bus) const GOTJOB: u16 = 5;
    pub(in crate::bus) const ENQUEUE: u16 = 6;
    pub(in crate::bus) const QUEUED: u16 = 7;
    pub(in crate::bus) const SETACK: u16 = 8;
    pub(in crate::bus) const WILLQUEUE: u16 = 9;
    pub(in crate::bus) const GOTACK: u16 = 10;
    pub(in crate::bus) const DELJOB: u16 = 11;
    pub(in crate::bus) const NEEDJOBS: u16 = 12;
    pub(in crate::bus) const YOURJOBS: u16 = 13;
    pub(in crate::bus) const WORKING: u16 = 14;
    pub(in crate::bus) const PAUSE: u16 = 15;
    // RC1 knows no others.
    pub(in crate::bus) const BATCH: u16 = 16;
    // Inside a batch only.
    pub(in crate::bus) const HOLDERS: u16 = 17;
    pub(in crate::bus) const HAVEJOBS: u16 = 18;
    pub(in crate::bus) const SYNCJOB: u16 = 19;
    pub(in crate::bus) const LOSTJOBS: u16 = 20;
}

/// The highest type of a frame.
pub(super) const LAST_TYPE: u16 = kind::BATCH;

/// Flags of messages (cluster-bus.md 3.2).
pub(super) mod flag {
    pub(in crate::bus) const NOREPLY: u8 = 1;
    pub(in crate::bus) const INCR_NACKS: u8 = 2;
    pub(in crate::bus) const INCR_DELIV: u8 = 4;
}

/// Bits of PAUSE.
pub(super) const PAUSE_INPUT: u32 = 1;
pub(super) const PAUSE_OUTPUT: u32 = 2;

/// Length of a gossip entry.
pub(super) const GOSSIP_LEN: usize = 104;
/// Length of an address in a header or a gossip entry, with the zero byte that must end it.
pub(super) const IP_LEN: usize = 46;

impl Message<'_> {
    /// A copy that borrows nothing.
    pub fn to_static(&self) -> Message<'static> {
        match self {
            Message::Ping { gossip } => Message::Ping { gossip: gossip.clone() },
            Message::Pong { gossip } => Message::Pong { gossip: gossip.clone() },
            Message::Meet { gossip } => Message::Meet { gossip: gossip.clone() },
            Message::Fail { node } => Message::Fail { node: *node },
            Message::ReplJob { job, no_reply } => {
                Message::ReplJob { job: job.to_static(), no_reply: *no_reply }
            }
            Message::Notice { job, notice } => Message::Notice { job: *job, notice: *notice },
            Message::NeedJobs { queue, count } => {
                Message::NeedJobs { queue: queue.to_vec().into(), count: *count }
            }
            Message::YourJobs { jobs } => {
                Message::YourJobs { jobs: jobs.iter().map(JobImage::to_static).collect() }
            }
            Message::Pause { queue, input, output } => {
                Message::Pause { queue: queue.to_vec().into(), input: *input, output: *output }
            }
            Message::Holders { job, nodes } => Message::Holders { job: *job, nodes: nodes.to_vec().into() },
            Message::HaveJobs { queue } => Message::HaveJobs { queue: queue.to_vec().into() },
            Message::SyncJob { job } => Message::SyncJob { job: job.to_static() },
            Message::LostJobs => Message::LostJobs,
        }
    }

    /// The feature without which a peer does not know such a message; none for those of RC1.
    pub(super) const fn needs(&self) -> Option<Features> {
        match self {
            Message::Holders { .. } | Message::HaveJobs { .. } => Some(Features::BATCH),
            Message::SyncJob { .. } => Some(Features::BATCH.and(Features::DISK)),
            Message::LostJobs => Some(Features::BATCH.and(Features::LOSSES)),
            _ => None,
        }
    }

    /// The name in the protocol, for people.
    pub const fn name(&self) -> &'static str {
        match self {
            Message::Ping { .. } => "PING",
            Message::Pong { .. } => "PONG",
            Message::Meet { .. } => "MEET",
            Message::Fail { .. } => "FAIL",
            Message::ReplJob { .. } => "REPLJOB",
            Message::Notice { notice, .. } => notice.name(),
            Message::NeedJobs { .. } => "NEEDJOBS",
            Message::YourJobs { .. } => "YOURJOBS",
            Message::Pause { .. } => "PAUSE",
            Message::Holders { .. } => "HOLDERS",
            Message::HaveJobs { .. } => "HAVEJOBS",
            Message::SyncJob { .. } => "SYNCJOB",
            Message::LostJobs => "LOSTJOBS",
        }
    }
}

impl Notice {
    /// The name in the protocol, for people.
    pub const fn name(&self) -> &'static str {
        match self {
            Notice::GotJob => "GOTJOB",
            Notice::Enqueue { .. } => "ENQUEUE",
            Notice::Queued { .. } => "QUEUED",
            Notice::SetAck { .. } => "SETACK",
            Notice::WillQueue => "WILLQUEUE",
            Notice::GotAck { .. } => "GOTACK",
            Notice::DelJob => "DELJOB",
            Notice::Working => "WORKING",
        }
    }
}
