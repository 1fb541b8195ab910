//! Messages out of a batch.

use std::borrow::Cow;

use super::super::error::{BatchFault, BusError};
use super::super::header::HEADER_LEN;
use super::super::message::{
    Counts, MAX_JOBS, Message, Notice, PAUSE_INPUT, PAUSE_OUTPUT, Totals, flag as frame_flag, kind,
};
use super::{FLAG_SHIFT, JOB_MIN_LEN, KIND_MASK, flag};
use crate::types::limits::MAX_BULK_LEN;
use crate::types::{BodyArg, Ctime, Form, JobId, JobImage, Millis, NodeId, Span32, UnixMillis};

/// The messages of a batch that were not given out yet. Total over any bytes; after an error there are none.
#[derive(Clone, Debug)]
pub(in crate::bus) struct Entries<'a> {
    rest: &'a [u8],
    /// Length of the frame.
    end: usize,
    now: UnixMillis,
}

impl<'a> Entries<'a> {
    /// The messages in what follows the header of a frame that arrives now.
    pub(in crate::bus) fn new(bytes: &'a [u8], now: UnixMillis) -> Entries<'a> {
        Entries { rest: bytes, end: HEADER_LEN + bytes.len(), now }
    }
}

impl<'a> Iterator for Entries<'a> {
    type Item = Result<Message<'a>, BusError>;

    fn next(&mut self) -> Option<Result<Message<'a>, BusError>> {
        let (head, rest) = self.rest.split_first()?;
        let at = self.end - self.rest.len();
        let mut input = Input { rest, now: self.now };
        let (kind, flags) = (head & KIND_MASK, head >> FLAG_SHIFT);
        let message = input.message(u16::from(kind), flags);
        self.rest = if message.is_ok() { input.rest } else { &[] };
        Some(message.map_err(|fault| BusError::InBatch { kind, at, fault }))
    }
}

type Taken<T> = Result<T, BatchFault>;

/// What is left while a message is taken.
struct Input<'a> {
    rest: &'a [u8],
    now: UnixMillis,
}

impl<'a> Input<'a> {
    fn message(&mut self, message_kind: u16, flags: u8) -> Taken<Message<'a>> {
        Ok(match message_kind {
            kind::GOTJOB..=kind::DELJOB | kind::WORKING => self.notice(message_kind, flags)?,
            kind::REPLJOB => {
                Message::ReplJob { job: self.job()?, no_reply: flags & frame_flag::NOREPLY != 0 }
            }
            kind::YOURJOBS => Message::YourJobs { jobs: self.jobs()? },
            kind::FAIL => Message::Fail { node: self.node()? },
            kind::NEEDJOBS => {
                let count = self.number(u64::MAX)?.clamp(1, u64::from(MAX_JOBS)) as u32;
                Message::NeedJobs { queue: Cow::Borrowed(self.name("queue name")?), count }
            }
            kind::PAUSE => Message::Pause {
                queue: Cow::Borrowed(self.name("queue name")?),
                input: flags & PAUSE_INPUT as u8 != 0,
                output: flags & PAUSE_OUTPUT as u8 != 0,
            },
            kind::HOLDERS => Message::Holders { job: self.job_id()?, nodes: Cow::Owned(self.nodes()?) },
            kind::HAVEJOBS => Message::HaveJobs { queue: Cow::Borrowed(self.name("queue name")?) },
            kind::SYNCJOB => Message::SyncJob { job: self.job()? },
            kind::LOSTJOBS => Message::LostJobs,
            _ => return Err(BatchFault::Kind),
        })
    }

    fn notice(&mut self, message_kind: u16, flags: u8) -> Taken<Message<'a>> {
        let job = self.job_id()?;
        let notice = match message_kind {
            kind::GOTJOB => Notice::GotJob,
            kind::ENQUEUE => Notice::Enqueue { delay: self.span()? },
            kind::QUEUED => Notice::Queued {
                counts: Counts {
                    nack: flags & frame_flag::INCR_NACKS != 0,
                    delivery: flags & frame_flag::INCR_DELIV != 0,
                },
                totals: if flags & flag::TOTALS != 0 { Some(self.totals()?) } else { None },
            },
            kind::SETACK => Notice::SetAck {
                digest: u32::from_le_bytes(self.array()?),
                nodes_known: self.number(u64::from(u32::MAX))? as u32,
            },
            kind::WILLQUEUE => Notice::WillQueue,
            kind::GOTACK => Notice::GotAck { known: flags & flag::KNOWN != 0 },
            kind::DELJOB => Notice::DelJob,
            kind::WORKING => Notice::Working,
            _ => return Err(BatchFault::Kind),
        };
        Ok(Message::Notice { job, notice })
    }

    fn totals(&mut self) -> Taken<Totals> {
        Ok(Totals {
            nacks: u16::from_le_bytes(self.array()?),
            additional_deliveries: u16::from_le_bytes(self.array()?),
        })
    }

    fn jobs(&mut self) -> Taken<Vec<JobImage<'a>>> {
        let count = self.number(u64::MAX)?;
        if !(1..=u64::from(MAX_JOBS)).contains(&count) {
            return Err(BatchFault::JobCount(count));
        }
        let mut jobs = Vec::with_capacity((count as usize).min(self.rest.len() / JOB_MIN_LEN));
        for _ in 0..count {
            jobs.push(self.job()?);
        }
        Ok(jobs)
    }

    fn job(&mut self) -> Taken<JobImage<'a>> {
        let id = self.job_id()?;
        let [state, flags] = self.array()?;
        let form = Form::Message { now: self.now };
        Ok(JobImage {
            id,
            state: state & 15,
            flags: form.flags(flags),
            replicate: u16::from_le_bytes(self.array()?),
            ctime: Ctime(u64::from_le_bytes(self.array()?)),
            expires_at: self.now + Millis(self.number(u64::MAX)?),
            delay: self.span()?,
            retry: self.span()?,
            nacks: self.number(u64::from(u16::MAX))? as u16,
            additional_deliveries: self.number(u64::from(u16::MAX))? as u16,
            queue: Cow::Borrowed(self.name("queue name")?),
            body: BodyArg::Borrowed(self.name("body")?),
            nodes: Cow::Owned(self.nodes()?),
        })
    }

    fn job_id(&mut self) -> Taken<JobId> {
        Ok(JobId::from_bytes(self.array()?))
    }

    fn node(&mut self) -> Taken<NodeId> {
        Ok(NodeId::from_bytes(self.array()?))
    }

    fn nodes(&mut self) -> Taken<Vec<NodeId>> {
        let len = self.number(u64::MAX)?;
        if len > JobImage::MAX_NODES as u64 {
            return Err(BatchFault::TooLong { part: "list of nodes", len });
        }
        let ids = self.bytes(len * NODE_LEN as u64)?;
        Ok(ids.as_chunks::<NODE_LEN>().0.iter().map(|id| NodeId::from_bytes(*id)).collect())
    }

    /// Spans longer than any job's are cut to the longest.
    fn span(&mut self) -> Taken<Span32> {
        Ok(Span32::new(Millis(self.number(u64::MAX)?)))
    }

    fn name(&mut self, part: &'static str) -> Taken<&'a [u8]> {
        let len = self.number(u64::MAX)?;
        if len > MAX_BULK_LEN as u64 {
            return Err(BatchFault::TooLong { part, len });
        }
        self.bytes(len)
    }

    fn number(&mut self, max: u64) -> Taken<u64> {
        let mut number = 0_u64;
        for shift in (0..u64::BITS).step_by(7) {
            let [byte] = self.array()?;
            let bits = u64::from(byte & 0x7f);
            if bits << shift >> shift != bits {
                return Err(BatchFault::Number);
            }
            number |= bits << shift;
            if byte < 0x80 {
                return if number <= max { Ok(number) } else { Err(BatchFault::Number) };
            }
        }
        Err(BatchFault::Number)
    }

    fn bytes(&mut self, len: u64) -> Taken<&'a [u8]> {
        let len = usize::try_from(len).map_err(|_| BatchFault::Cut)?;
        self.rest.split_off(..len).ok_or(BatchFault::Cut)
    }

    fn array<const N: usize>(&mut self) -> Taken<[u8; N]> {
        let (head, rest) = self.rest.split_first_chunk().ok_or(BatchFault::Cut)?;
        self.rest = rest;
        Ok(*head)
    }
}

/// Length of a node ID.
const NODE_LEN: usize = 20;
