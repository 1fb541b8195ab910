//! Messages into a batch.

use super::super::encode::{count_flags, pause_bits};
use super::super::message::{MAX_JOBS, Message, Notice, flag as frame_flag, kind};
use super::{FLAG_SHIFT, JOB_FIXED_LEN, KIND_MASK, flag};
use crate::types::limits::MAX_BULK_LEN;
use crate::types::{Form, JobId, JobImage, NodeId, UnixMillis};

/// Appends a message; not one of those that only go as frames of their own.
pub(in crate::bus) fn encode(message: &Message<'_>, now: UnixMillis, out: &mut Vec<u8>) {
    match message {
        Message::Notice { job, notice } => encode_notice(*job, *notice, out),
        Message::ReplJob { job, no_reply } => {
            out.push(head(kind::REPLJOB, u8::from(*no_reply) * frame_flag::NOREPLY));
            encode_job(job, now, out);
        }
        Message::YourJobs { jobs } => encode_your_jobs(jobs, now, out),
        Message::Fail { node } => {
            out.push(head(kind::FAIL, 0));
            out.extend_from_slice(node.bytes());
        }
        Message::NeedJobs { queue, count } => {
            out.push(head(kind::NEEDJOBS, 0));
            put_number(u64::from((*count).clamp(1, MAX_JOBS)), out);
            put_name(queue, out);
        }
        Message::Pause { queue, input, output } => {
            out.push(head(kind::PAUSE, pause_bits(*input, *output) as u8));
            put_name(queue, out);
        }
        Message::Holders { job, nodes } => {
            put_job_id(kind::HOLDERS, 0, *job, out);
            put_nodes(nodes, out);
        }
        Message::HaveJobs { queue } => {
            out.push(head(kind::HAVEJOBS, 0));
            put_name(queue, out);
        }
        Message::SyncJob { job } => {
            out.push(head(kind::SYNCJOB, 0));
            encode_job(job, now, out);
        }
        Message::LostJobs => out.push(head(kind::LOSTJOBS, 0)),
        Message::Ping { .. } | Message::Pong { .. } | Message::Meet { .. } => {
            panic!("{} is not for batches", message.name())
        }
    }
}

/// Appends a YOURJOBS with these jobs.
pub(in crate::bus) fn encode_your_jobs(jobs: &[JobImage<'_>], now: UnixMillis, out: &mut Vec<u8>) {
    let count = jobs.len() as u32;
    assert!((1..=MAX_JOBS).contains(&count), "{count} jobs in one message");
    out.push(head(kind::YOURJOBS, 0));
    put_number(u64::from(count), out);
    jobs.iter().for_each(|job| encode_job(job, now, out));
}

fn encode_notice(job: JobId, notice: Notice, out: &mut Vec<u8>) {
    let flags = match notice {
        Notice::Queued { counts, totals } => {
            count_flags(counts) | (u8::from(totals.is_some()) * flag::TOTALS)
        }
        Notice::GotAck { known } => u8::from(known) * flag::KNOWN,
        _ => 0,
    };
    put_job_id(notice.kind(), flags, job, out);
    match notice {
        Notice::Enqueue { delay } => put_number(delay.millis().0, out),
        Notice::Queued { totals: Some(totals), .. } => {
            out.extend_from_slice(&totals.nacks.to_le_bytes());
            out.extend_from_slice(&totals.additional_deliveries.to_le_bytes());
        }
        Notice::SetAck { nodes_known, digest } => {
            out.extend_from_slice(&digest.to_le_bytes());
            put_number(u64::from(nodes_known), out);
        }
        _ => {}
    }
}

fn encode_job(job: &JobImage<'_>, now: UnixMillis, out: &mut Vec<u8>) {
    assert!(job.state < 16, "a state of four bits, not {}", job.state);
    let mut fixed = [0; JOB_FIXED_LEN];
    fixed[..24].copy_from_slice(job.id.bytes());
    fixed[24] = job.state;
    fixed[25] = Form::Message { now }.flags(job.flags);
    fixed[26..28].copy_from_slice(&job.replicate.to_le_bytes());
    fixed[28..].copy_from_slice(&job.ctime.0.to_le_bytes());
    out.extend_from_slice(&fixed);
    put_number(job.expires_at.since(now).0, out);
    put_number(job.delay.millis().0, out);
    put_number(job.retry.millis().0, out);
    put_number(u64::from(job.nacks), out);
    put_number(u64::from(job.additional_deliveries), out);
    put_name(&job.queue, out);
    put_name(job.body.bytes(), out);
    put_nodes(&job.nodes, out);
}

fn head(kind: u16, flags: u8) -> u8 {
    let kind = kind as u8;
    debug_assert!(kind <= KIND_MASK && flags < 8);
    kind | flags << FLAG_SHIFT
}

fn put_job_id(kind: u16, flags: u8, job: JobId, out: &mut Vec<u8>) {
    let mut bytes = [0; 25];
    bytes[0] = head(kind, flags);
    bytes[1..].copy_from_slice(job.bytes());
    out.extend_from_slice(&bytes);
}

fn put_number(mut number: u64, out: &mut Vec<u8>) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn put_name(bytes: &[u8], out: &mut Vec<u8>) {
    assert!(bytes.len() <= MAX_BULK_LEN);
    put_number(bytes.len() as u64, out);
    out.extend_from_slice(bytes);
}

fn put_nodes(nodes: &[NodeId], out: &mut Vec<u8>) {
    assert!(nodes.len() <= JobImage::MAX_NODES);
    put_number(nodes.len() as u64, out);
    nodes.iter().for_each(|node| out.extend_from_slice(node.bytes()));
}
