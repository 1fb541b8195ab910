//! Bytes to messages. Total: any bytes give messages or an error, and nothing in them is believed.

use std::borrow::Cow;

use super::batch::Entries;
use super::checksum;
use super::error::BusError;
use super::frame::frame_len;
use super::header::{Envelope, HEADER_LEN, Header, check_version, read_ip, read_port};
use super::message::{
    Counts, GOSSIP_LEN, Gossip, IP_LEN, MAX_JOBS, Message, Notice, PAUSE_INPUT, PAUSE_OUTPUT, flag, kind,
};
use super::nodes_conf::NodeFlags;
use crate::types::limits::MAX_BULK_LEN;
use crate::types::{Form, JobId, JobImage, Millis, NodeId, Span32, UnixMillis};

/// Reads one frame, as [`FrameReader`](super::FrameReader) cut it; queue names and bodies stay where they are.
///
/// Looks at the length first, then at the version, the checksum if there is one, the type and the sender. Whether the
/// sender is known, and may say this, is not asked here.
pub fn decode(frame: &[u8], now: UnixMillis) -> Result<(Header, Messages<'_>), BusError> {
    let Some((head, bytes)) = frame.split_first_chunk::<HEADER_LEN>() else {
        return Err(BusError::FrameTooShort { len: frame.len() as u32 });
    };
    let preamble = head.first_chunk().expect("the header has more than eight bytes");
    let announced = frame_len(preamble, usize::MAX)?;
    check_version(head)?;
    if announced == frame.len() {
        checksum::verify(head, bytes)?;
    }
    let (header, envelope) = Header::decode(head)?;
    let wrong_length = BusError::Length { message_type: envelope.message_type, len: frame.len() };
    if announced != frame.len() {
        return Err(wrong_length);
    }
    let messages = if envelope.message_type == kind::BATCH {
        if bytes.is_empty() {
            return Err(wrong_length);
        }
        Messages { single: None, batch: Entries::new(bytes, now) }
    } else {
        let payload = Payload { envelope, bytes, wrong_length, announced: header.features.is_some() };
        let single = payload.message(Form::Message { now })?;
        Messages { single: Some(single), batch: Entries::new(&[], now) }
    };
    Ok((header, messages))
}

/// The messages of a frame, in the order in which they were said: one, or those of a batch.
///
/// After an error there are no more. Errors come from batches alone, and do not close the link.
#[derive(Clone, Debug)]
pub struct Messages<'a> {
    single: Option<Message<'a>>,
    batch: Entries<'a>,
}

impl<'a> Iterator for Messages<'a> {
    type Item = Result<Message<'a>, BusError>;

    fn next(&mut self) -> Option<Result<Message<'a>, BusError>> {
        match self.single.take() {
            Some(message) => Some(Ok(message)),
            None => self.batch.next(),
        }
    }
}

/// What follows the header.
struct Payload<'a> {
    envelope: Envelope,
    bytes: &'a [u8],
    wrong_length: BusError,
    /// Whether the sender announced features, so that what RC1 leaves unused means something.
    announced: bool,
}

impl<'a> Payload<'a> {
    fn message(&self, form: Form) -> Result<Message<'a>, BusError> {
        Ok(match self.envelope.message_type {
            kind::PING => Message::Ping { gossip: self.gossip()? },
            kind::PONG => Message::Pong { gossip: self.gossip()? },
            kind::MEET => Message::Meet { gossip: self.gossip()? },
            kind::FAIL => Message::Fail { node: self.node()? },
            kind::REPLJOB => Message::ReplJob { job: self.job(form)?, no_reply: self.has(flag::NOREPLY) },
            kind::YOURJOBS => Message::YourJobs { jobs: self.jobs(form, MAX_JOBS)? },
            kind::NEEDJOBS => {
                let (wanted, queue) = self.queue()?;
                Message::NeedJobs { queue, count: wanted.clamp(1, MAX_JOBS) }
            }
            kind::PAUSE => {
                let (bits, queue) = self.queue()?;
                Message::Pause { queue, input: bits & PAUSE_INPUT != 0, output: bits & PAUSE_OUTPUT != 0 }
            }
            _ => self.about_one_job()?,
        })
    }

    fn about_one_job(&self) -> Result<Message<'a>, BusError> {
        let (text, aux) = self.exactly::<{ JobId::TEXT_LEN }, 4>()?;
        let (job, aux) = (JobId::parse(text).map_err(BusError::JobId)?, u32::from_be_bytes(*aux));
        let notice = match self.envelope.message_type {
            kind::GOTJOB => Notice::GotJob,
            kind::ENQUEUE => Notice::Enqueue { delay: Span32::new(Millis::from_secs(u64::from(aux))) },
            kind::QUEUED => Notice::Queued { counts: self.counts(), totals: None },
            kind::SETACK => Notice::SetAck { nodes_known: aux, digest: 0 },
            kind::WILLQUEUE => Notice::WillQueue,
            kind::GOTACK => Notice::GotAck { known: aux != 0 },
            kind::DELJOB => Notice::DelJob,
            kind::WORKING => Notice::Working,
            unknown => return Err(BusError::UnknownType(unknown)),
        };
        Ok(Message::Notice { job, notice })
    }

    fn has(&self, flag: u8) -> bool {
        self.envelope.message_flags & flag != 0
    }

    fn counts(&self) -> Counts {
        Counts { nack: self.has(flag::INCR_NACKS), delivery: self.has(flag::INCR_DELIV) }
    }

    /// The payload as two parts of known length.
    fn exactly<const A: usize, const B: usize>(&self) -> Result<(&'a [u8; A], &'a [u8; B]), BusError> {
        let (a, b) = self.bytes.split_first_chunk().ok_or(self.wrong_length)?;
        Ok((a, b.try_into().map_err(|_| self.wrong_length)?))
    }

    /// The payload as two numbers and bytes whose number is the second.
    fn counted(&self) -> Result<(u32, &'a [u8]), BusError> {
        let (first, rest) = self.bytes.split_first_chunk().ok_or(self.wrong_length)?;
        let (len, rest) = rest.split_first_chunk().ok_or(self.wrong_length)?;
        if rest.len() as u64 != u64::from(u32::from_be_bytes(*len)) {
            return Err(self.wrong_length);
        }
        Ok((u32::from_be_bytes(*first), rest))
    }

    fn node(&self) -> Result<NodeId, BusError> {
        let (text, []) = self.exactly::<{ NodeId::TEXT_LEN }, 0>()?;
        NodeId::parse(text).ok_or(BusError::NodeId)
    }

    fn queue(&self) -> Result<(u32, Cow<'a, [u8]>), BusError> {
        let (aux, queue) = self.counted()?;
        // Longer ones cannot be made by clients, and could not be told to others.
        if queue.len() > MAX_BULK_LEN {
            return Err(self.wrong_length);
        }
        Ok((aux, Cow::Borrowed(queue)))
    }

    fn job(&self, form: Form) -> Result<JobImage<'a>, BusError> {
        let mut jobs = self.jobs(form, 1)?;
        Ok(jobs.pop().expect("jobs() gives at least one"))
    }

    /// One job at least, `max` at most. What follows the last one is ignored, as RC1 does; announced jobs that
    /// are not there make the message worthless, where RC1 takes the last one again and again.
    fn jobs(&self, form: Form, max: u32) -> Result<Vec<JobImage<'a>>, BusError> {
        let (count, mut rest) = self.counted()?;
        if !(1..=max).contains(&count) {
            return Err(BusError::JobCount(count));
        }
        let mut jobs = Vec::with_capacity((count as usize).min(rest.len() / JobImage::MIN_LEN));
        for _ in 0..count {
            let (job, behind) = JobImage::decode(rest, form)?;
            jobs.push(job);
            rest = behind;
        }
        Ok(jobs)
    }

    /// The entries about nodes that this node can name. The others are left out, so that one strange member does
    /// not make its whole cluster unreachable.
    fn gossip(&self) -> Result<Vec<Gossip>, BusError> {
        if self.bytes.len() != usize::from(self.envelope.count) * GOSSIP_LEN {
            return Err(self.wrong_length);
        }
        let (entries, []) = self.bytes.as_chunks::<GOSSIP_LEN>() else {
            unreachable!("the length is a multiple of an entry's");
        };
        let mut gossip = Vec::with_capacity(entries.len());
        gossip.extend(entries.iter().filter_map(|entry| decode_gossip(entry, self.announced)));
        Ok(gossip)
    }
}

fn decode_gossip(entry: &[u8; GOSSIP_LEN], announced: bool) -> Option<Gossip> {
    let word = |at: usize| u16::from_be_bytes([entry[at], entry[at + 1]]);
    let time = |at: usize| u32::from(word(at)) << 16 | u32::from(word(at + 2));
    Some(Gossip {
        node: NodeId::parse(&entry[..NodeId::TEXT_LEN])?,
        ping_sent: time(40),
        pong_received: time(44),
        ip: read_ip(&entry[48..48 + IP_LEN]),
        port: word(94),
        bus_port: read_port(word(98)).filter(|_| announced),
        flags: NodeFlags::from_bits(word(96)),
    })
}
