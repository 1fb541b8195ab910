//! Messages to bytes: what an RC1 node would send, and never what makes one stumble.

use std::io::Write as _;

use super::frame::MAX_FRAME_LEN;
use super::header::{Envelope, HEADER_LEN, Header};
use super::message::{
    Counts, GOSSIP_LEN, Gossip, IP_LEN, MAX_JOBS, Message, Notice, PAUSE_INPUT, PAUSE_OUTPUT, flag, kind,
};
use crate::types::{Form, JobId, JobImage, NodeId, Span32, UnixMillis};

/// Appends a message as one frame to `out`.
///
/// The frame must not be longer than [`MAX_FRAME_LEN`]; a YOURJOBS must have 1 to [`MAX_JOBS`] jobs.
pub fn encode(header: &Header, message: &Message<'_>, now: UnixMillis, out: &mut Vec<u8>) {
    let (start, len) = (out.len(), message.encoded_len());
    assert!(len <= MAX_FRAME_LEN, "a frame of {len} bytes");
    out.reserve(len);
    header.encode(len as u32, message.envelope(), out);
    let form = Form::Message { now };
    match message {
        Message::Ping { gossip } | Message::Pong { gossip } | Message::Meet { gossip } => {
            gossip.iter().for_each(|entry| encode_gossip(entry, out));
        }
        Message::Fail { node } => out.extend_from_slice(&node.text()),
        Message::ReplJob { job, .. } => encode_jobs(std::slice::from_ref(job), form, out),
        Message::YourJobs { jobs } => encode_jobs(jobs, form, out),
        Message::Notice { job, notice } => encode_job_id(*job, notice.aux(), out),
        Message::NeedJobs { queue, count } => encode_queue(queue, (*count).clamp(1, MAX_JOBS), out),
        Message::Pause { queue, input, output } => {
            let bits = (u32::from(*input) * PAUSE_INPUT) | (u32::from(*output) * PAUSE_OUTPUT);
            encode_queue(queue, bits, out);
        }
        Message::Holders { .. } | Message::HaveJobs { .. } => panic!("RC1 has no {}", message.name()),
    }
    assert_eq!(out.len() - start, len);
}

impl Notice {
    /// What stands behind the job ID.
    fn aux(self) -> u32 {
        match self {
            Notice::Enqueue { delay } => seconds(delay),
            Notice::SetAck { nodes_known, .. } => nodes_known,
            Notice::GotAck { known } => u32::from(known),
            _ => 0,
        }
    }

    fn kind_and_flags(self) -> (u16, u8) {
        match self {
            Notice::GotJob => (kind::GOTJOB, 0),
            Notice::Enqueue { .. } => (kind::ENQUEUE, 0),
            Notice::Queued { counts, .. } => (kind::QUEUED, count_flags(counts)),
            Notice::SetAck { .. } => (kind::SETACK, 0),
            Notice::WillQueue => (kind::WILLQUEUE, 0),
            Notice::GotAck { .. } => (kind::GOTACK, 0),
            Notice::DelJob => (kind::DELJOB, 0),
            Notice::Working => (kind::WORKING, 0),
        }
    }
}

impl Message<'_> {
    /// Length of the message's frame.
    pub fn encoded_len(&self) -> usize {
        HEADER_LEN
            + match self {
                Message::Ping { gossip } | Message::Pong { gossip } | Message::Meet { gossip } => {
                    gossip.len() * GOSSIP_LEN
                }
                Message::Fail { .. } => NodeId::TEXT_LEN,
                Message::ReplJob { job, .. } => 8 + job.encoded_len(),
                Message::YourJobs { jobs } => 8 + jobs.iter().map(JobImage::encoded_len).sum::<usize>(),
                Message::NeedJobs { queue, .. } | Message::Pause { queue, .. } => 8 + queue.len(),
                Message::Notice { .. } => JobId::TEXT_LEN + 4,
                Message::Holders { .. } | Message::HaveJobs { .. } => {
                    panic!("RC1 has no {}", self.name())
                }
            }
    }

    fn envelope(&self) -> Envelope {
        let (message_type, message_flags) = match self {
            Message::Ping { .. } => (kind::PING, 0),
            Message::Pong { .. } => (kind::PONG, 0),
            Message::Meet { .. } => (kind::MEET, 0),
            Message::Fail { .. } => (kind::FAIL, 0),
            Message::ReplJob { no_reply, .. } => (kind::REPLJOB, u8::from(*no_reply) * flag::NOREPLY),
            Message::Notice { notice, .. } => notice.kind_and_flags(),
            Message::NeedJobs { .. } => (kind::NEEDJOBS, 0),
            Message::YourJobs { .. } => (kind::YOURJOBS, 0),
            Message::Pause { .. } => (kind::PAUSE, 0),
            Message::Holders { .. } | Message::HaveJobs { .. } => panic!("RC1 has no {}", self.name()),
        };
        let gossip = match self {
            Message::Ping { gossip } | Message::Pong { gossip } | Message::Meet { gossip } => gossip.len(),
            _ => 0,
        };
        let count = u16::try_from(gossip).expect("a tenth of the node table is less than 65,536 entries");
        Envelope { message_type, count, message_flags }
    }
}

fn count_flags(counts: Counts) -> u8 {
    (u8::from(counts.nack) * flag::INCR_NACKS) | (u8::from(counts.delivery) * flag::INCR_DELIV)
}

/// RC1 makes milliseconds of the seconds in 32 bits: longer delays would wrap.
fn seconds(span: Span32) -> u32 {
    span.millis().secs_ceil().min(u64::from(JobImage::MAX_SPAN_SECS)) as u32
}

fn encode_gossip(entry: &Gossip, out: &mut Vec<u8>) {
    out.extend_from_slice(&entry.node.text());
    out.extend_from_slice(&entry.ping_sent.to_be_bytes());
    out.extend_from_slice(&entry.pong_received.to_be_bytes());
    let mut ip = [0; IP_LEN];
    if let Some(address) = entry.ip {
        write!(&mut ip[..IP_LEN - 1], "{address}").expect("addresses have at most 45 characters");
    }
    out.extend_from_slice(&ip);
    out.extend_from_slice(&entry.port.to_be_bytes());
    // An RC1 node aborts when flags are set, but none that it has a name for. `NodeFlags` knows no others.
    out.extend_from_slice(&entry.flags.bits().to_be_bytes());
    out.extend_from_slice(&[0; 6]);
}

fn encode_jobs(jobs: &[JobImage<'_>], form: Form, out: &mut Vec<u8>) {
    let count = jobs.len() as u32;
    assert!((1..=MAX_JOBS).contains(&count), "{count} jobs in one message");
    let len: usize = jobs.iter().map(JobImage::encoded_len).sum();
    out.extend_from_slice(&count.to_be_bytes());
    out.extend_from_slice(&(len as u32).to_be_bytes());
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
