//! Messages as frames of their own: what an RC1 node would send, and never what makes one stumble.
//!
//! Some things get lost, because RC1 has no place for them: fractions of seconds (rounded up), spans that it could
//! not compute with (cut), the totals of QUEUED and the digest of SETACK.

use super::header::{Envelope, Header, ip_field, set_len};
use super::message::{Counts, Gossip, MAX_JOBS, Message, Notice, PAUSE_INPUT, PAUSE_OUTPUT, flag, kind};
use crate::types::{Form, JobId, JobImage, Span32, UnixMillis};

/// Who a frame is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reader {
    /// Possibly an RC1 node, which must get nothing new beside the announcement.
    Anyone,
    /// A node that announced features, whichever.
    Capable,
}

/// Appends a message as one frame to `out`. False, and nothing is appended, if only a batch can bring it.
///
/// The frame must not get longer than [`MAX_FRAME_LEN`](super::MAX_FRAME_LEN), and a YOURJOBS must have 1 to
/// [`MAX_JOBS`] jobs.
pub(super) fn encode(
    header: &Header,
    message: &Message<'_>,
    reader: Reader,
    now: UnixMillis,
    out: &mut Vec<u8>,
) -> bool {
    let Some(envelope) = envelope(message) else { return false };
    let start = header.encode(envelope, out);
    let form = Form::Message { now };
    match message {
        Message::Ping { gossip } | Message::Pong { gossip } | Message::Meet { gossip } => {
            gossip.iter().for_each(|entry| encode_gossip(entry, reader, out));
        }
        Message::Fail { node } => out.extend_from_slice(&node.text()),
        Message::ReplJob { job, .. } => encode_jobs(std::slice::from_ref(job), form, out),
        Message::YourJobs { jobs } => encode_jobs(jobs, form, out),
        Message::Notice { job, notice } => encode_job_id(*job, notice.aux(), out),
        Message::NeedJobs { queue, count } => encode_queue(queue, (*count).clamp(1, MAX_JOBS), out),
        Message::Pause { queue, input, output } => {
            encode_queue(queue, pause_bits(*input, *output), out);
        }
        Message::Holders { .. } | Message::HaveJobs { .. } | Message::SyncJob { .. } | Message::LostJobs => {
            unreachable!("they have no envelope")
        }
    }
    set_len(start, out);
    true
}

/// Appends a YOURJOBS with these jobs.
pub(super) fn encode_your_jobs(header: &Header, jobs: &[JobImage<'_>], now: UnixMillis, out: &mut Vec<u8>) {
    let start = header.encode(plain(kind::YOURJOBS), out);
    encode_jobs(jobs, Form::Message { now }, out);
    set_len(start, out);
}

/// The bits of PAUSE.
pub(super) fn pause_bits(input: bool, output: bool) -> u32 {
    (u32::from(input) * PAUSE_INPUT) | (u32::from(output) * PAUSE_OUTPUT)
}

/// The flags of QUEUED.
pub(super) fn count_flags(counts: Counts) -> u8 {
    (u8::from(counts.nack) * flag::INCR_NACKS) | (u8::from(counts.delivery) * flag::INCR_DELIV)
}

fn plain(message_type: u16) -> Envelope {
    Envelope { message_type, count: 0, message_flags: 0 }
}

fn envelope(message: &Message<'_>) -> Option<Envelope> {
    Some(match message {
        Message::Ping { gossip } => heartbeat(kind::PING, gossip),
        Message::Pong { gossip } => heartbeat(kind::PONG, gossip),
        Message::Meet { gossip } => heartbeat(kind::MEET, gossip),
        Message::Fail { .. } => plain(kind::FAIL),
        Message::ReplJob { no_reply, .. } => {
            Envelope { message_flags: u8::from(*no_reply) * flag::NOREPLY, ..plain(kind::REPLJOB) }
        }
        Message::Notice { notice: Notice::Queued { counts, .. }, .. } => {
            Envelope { message_flags: count_flags(*counts), ..plain(kind::QUEUED) }
        }
        Message::Notice { notice, .. } => plain(notice.kind()),
        Message::NeedJobs { .. } => plain(kind::NEEDJOBS),
        Message::YourJobs { .. } => plain(kind::YOURJOBS),
        Message::Pause { .. } => plain(kind::PAUSE),
        Message::Holders { .. } | Message::HaveJobs { .. } | Message::SyncJob { .. } | Message::LostJobs => {
            return None;
        }
    })
}

fn heartbeat(message_type: u16, gossip: &[Gossip]) -> Envelope {
    let count = u16::try_from(gossip.len()).expect("a node table has fewer than 65,536 rows");
    Envelope { count, ..plain(message_type) }
}

impl Notice {
    pub(super) fn kind(self) -> u16 {
        match self {
            Notice::GotJob => kind::GOTJOB,
            Notice::Enqueue { .. } => kind::ENQUEUE,
            Notice::Queued { .. } => kind::QUEUED,
            Notice::SetAck { .. } => kind::SETACK,
            Notice::WillQueue => kind::WILLQUEUE,
            Notice::GotAck { .. } => kind::GOTACK,
            Notice::DelJob => kind::DELJOB,
            Notice::Working => kind::WORKING,
        }
    }

    /// What stands behind the job ID.
    fn aux(self) -> u32 {
        match self {
            Notice::Enqueue { delay } => seconds(delay),
            Notice::SetAck { nodes_known, .. } => nodes_known,
            Notice::GotAck { known } => u32::from(known),
            _ => 0,
        }
    }
}

/// RC1 makes milliseconds of the seconds in 32 bits: longer delays would wrap.
fn seconds(span: Span32) -> u32 {
    span.millis().secs_ceil().min(u64::from(JobImage::MAX_SPAN_SECS)) as u32
}

fn encode_gossip(entry: &Gossip, reader: Reader, out: &mut Vec<u8>) {
    out.extend_from_slice(&entry.node.text());
    out.extend_from_slice(&entry.ping_sent.to_be_bytes());
    out.extend_from_slice(&entry.pong_received.to_be_bytes());
    out.extend_from_slice(&ip_field(entry.ip));
    out.extend_from_slice(&entry.port.to_be_bytes());
    // An RC1 node aborts when flags are set, but none that it has a name for. `NodeFlags` knows no others.
    out.extend_from_slice(&entry.flags.bits().to_be_bytes());
    let bus_port = entry.bus_port.filter(|_| reader == Reader::Capable);
    out.extend_from_slice(&bus_port.unwrap_or(0).to_be_bytes());
    out.extend_from_slice(&[0; 4]);
}

fn encode_jobs(jobs: &[JobImage<'_>], form: Form, out: &mut Vec<u8>) {
    let count = jobs.len() as u32;
    assert!((1..=MAX_JOBS).contains(&count), "{count} jobs in one message");
    let len: usize = jobs.iter().map(JobImage::encoded_len).sum();
    out.extend_from_slice(&count.to_be_bytes());
    out.extend_from_slice(&u32::try_from(len).expect("less than MAX_FRAME_LEN").to_be_bytes());
    jobs.iter().for_each(|job| job.encode(form, out));
}

fn encode_job_id(job: JobId, aux: u32, out: &mut Vec<u8>) {
    out.extend_from_slice(&job.text());
    out.extend_from_slice(&aux.to_be_bytes());
}

fn encode_queue(queue: &[u8], aux: u32, out: &mut Vec<u8>) {
    out.extend_from_slice(&aux.to_be_bytes());
    out.extend_from_slice(&(queue.len() as u32).to_be_bytes());
    out.extend_from_slice(queue);
}
