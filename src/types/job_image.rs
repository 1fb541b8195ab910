//! A job as it travels: in REPLJOB and YOURJOBS from node to node, in LOADJOB to the disk and back.
//!
//! One layout for both (cluster-bus.md 7), all integers little-endian, no padding:
//!
//! | offset  | size | field                                                        |
//! |---------|------|--------------------------------------------------------------|
//! | 0       | 4    | number of bytes that follow: 80 + Q + B + 40 N               |
//! | 4       | 40   | job ID                                                       |
//! | 44      | 1    | state in the low four bits; the others are 0 and not read    |
//! | 45      | 1    | flags                                                        |
//! | 46      | 2    | copies asked for                                             |
//! | 48      | 4    | expiry: [`Form`]                                             |
//! | 52      | 8    | creation time                                                |
//! | 60      | 4    | delay in seconds, as given                                   |
//! | 64      | 4    | retry in seconds                                             |
//! | 68      | 2    | nacks                                                        |
//! | 70      | 2    | additional deliveries                                        |
//! | 72      | 4, Q | length of the queue name, queue name                         |
//! | 76+Q    | 4, B | length of the body, body                                     |
//! | 80+Q+B  | 4    | N, how many nodes follow                                     |
//! | 84+Q+B  | 40 N | IDs of the nodes that may hold the job                       |
//!
//! Nothing here knows what a state or a flag is for, with one exception: a message never says that its sender
//! delivered the job.

use std::borrow::Cow;
use std::fmt;

use super::limits::MAX_BULK_LEN;
use super::{BodyArg, Ctime, JobId, JobIdError, Millis, NodeId, Span32, UnixMillis};

/// A job outside of the job table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobImage<'a> {
    /// The identity.
    pub id: JobId,
    /// The number of its state at the sender, at most 15 (job-lifecycle.md 4). Whoever reads a message ignores
    /// it; in a file, 2 says that the job was queued.
    pub state: u8,
    /// What the sender has told the others: the bits of cluster-bus.md 7.3, those without a name included.
    pub flags: u8,
    /// Copies asked for.
    pub replicate: u16,
    /// When the job is forgotten.
    pub expires_at: UnixMillis,
    /// When it was created, on its creator's clock.
    pub ctime: Ctime,
    /// Time before the first queueing, as given and not what is left of it.
    pub delay: Span32,
    /// Time between queueings; zero: at most once.
    pub retry: Span32,
    /// How often a worker gave it back, as far as the sender knows.
    pub nacks: u16,
    /// How often it was queued again otherwise, as far as the sender knows.
    pub additional_deliveries: u16,
    /// The queue's name, any bytes.
    pub queue: Cow<'a, [u8]>,
    /// The body, any bytes.
    pub body: BodyArg<'a>,
    /// The nodes that may hold the job, in no particular order. Unknown ones stay in the list (W11 of
    /// reliability.md).
    pub nodes: Cow<'a, [NodeId]>,
}

/// What an image is written for; decides how its expiry is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// A message: the expiry is the remaining seconds, rounded up, plus one; at least 1.
    ///
    /// RC1 adds the number to a clock that it has cut to seconds: with the extra second no copy expires before
    /// the original. Reading here takes it off again, since this clock is not cut, so that a job does not live
    /// a second longer with each hop (defect 23 of cluster-bus.md).
    Message {
        /// The time of sending, or of reception.
        now: UnixMillis,
    },
    /// A file: the expiry is Unix time in seconds, rounded up.
    Storage,
}

/// Why bytes are not the image of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImageError {
    /// The lengths inside do not add up to the length in front, or that one exceeds what is there.
    Lengths,
    /// A part is longer than any job's can be.
    TooLong {
        /// Which part.
        part: &'static str,
        /// How long it is said to be.
        len: u32,
    },
    /// The job ID is none.
    JobId(JobIdError),
    /// A node ID is not 40 lower-case hexadecimal digits. RC1 would take any 40 bytes, but draws no others. The
    /// job is refused rather than one of its holders forgotten.
    NodeId,
}

impl fmt::Display for ImageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ImageError::Lengths => f.write_str("the lengths inside the job do not add up"),
            ImageError::TooLong { part, len } => write!(f, "the job's {part} has a length of {len}"),
            ImageError::JobId(JobIdError::BadShape) => f.write_str("the job's ID is malformed"),
            ImageError::JobId(JobIdError::Unknowable) => {
                f.write_str("the job's ID is none that a node makes")
            }
            ImageError::NodeId => f.write_str("a node ID in the job is not 40 lower-case hexadecimal digits"),
        }
    }
}

impl std::error::Error for ImageError {}

/// The length in front, which does not count itself.
const PREFIX_LEN: usize = 4;

/// Flag of a job that its holder delivered. Known to that node only: a copy is not delivered yet, and RC1 would
/// never queue an at-most-once job that arrives with it.
const DELIVERED: u8 = 4;

impl<'a> JobImage<'a> {
    /// Length of the image of a job with empty queue name, empty body and no nodes.
    pub const MIN_LEN: usize = 84;

    /// Most nodes in an image: more than a node table has rows.
    pub const MAX_NODES: usize = 65_536;

    /// Longest delay and retry that a message tells, in seconds: RC1 makes milliseconds of them in 32 bits.
    pub const MAX_SPAN_SECS: u32 = u32::MAX / 1000;

    /// A copy that borrows nothing.
    pub fn to_static(&self) -> JobImage<'static> {
        JobImage {
            queue: Cow::Owned(self.queue.to_vec()),
            body: BodyArg::Owned(self.body.bytes().to_vec()),
            nodes: Cow::Owned(self.nodes.to_vec()),
            ..*self
        }
    }

    /// How many bytes [`JobImage::encode`] appends.
    pub fn encoded_len(&self) -> usize {
        JobImage::MIN_LEN + self.queue.len() + self.body.len() + self.nodes.len() * NodeId::TEXT_LEN
    }

    /// Appends the image to `out`. Spans with fractions are rounded up to seconds; in a message those that RC1
    /// could not compute with are cut.
    ///
    /// The parts must not be longer than reading allows.
    pub fn encode(&self, form: Form, out: &mut Vec<u8>) {
        assert!(self.state < 16, "a state of four bits, not {}", self.state);
        assert!(self.nodes.len() <= JobImage::MAX_NODES);
        let start = out.len();
        out.reserve(self.encoded_len());
        out.extend_from_slice(&length(self.encoded_len() - PREFIX_LEN));
        out.extend_from_slice(&self.id.text());
        out.extend_from_slice(&[self.state, form.flags(self.flags)]);
        out.extend_from_slice(&self.replicate.to_le_bytes());
        out.extend_from_slice(&form.expiry_field(self.expires_at).to_le_bytes());
        out.extend_from_slice(&self.ctime.0.to_le_bytes());
        out.extend_from_slice(&form.span_field(self.delay).to_le_bytes());
        out.extend_from_slice(&form.span_field(self.retry).to_le_bytes());
        out.extend_from_slice(&self.nacks.to_le_bytes());
        out.extend_from_slice(&self.additional_deliveries.to_le_bytes());
        for part in [&self.queue, self.body.bytes()] {
            assert!(part.len() <= MAX_BULK_LEN);
            out.extend_from_slice(&length(part.len()));
            out.extend_from_slice(part);
        }
        out.extend_from_slice(&length(self.nodes.len()));
        for node in self.nodes.iter() {
            out.extend_from_slice(&node.text());
        }
        assert_eq!(out.len() - start, self.encoded_len());
    }

    /// Reads the image at the front of `bytes`, and tells what follows it. Queue and body stay where they are.
    pub fn decode(bytes: &'a [u8], form: Form) -> Result<(JobImage<'a>, &'a [u8]), ImageError> {
        let (len, rest) = bytes.split_first_chunk().ok_or(ImageError::Lengths)?;
        let (mut inside, behind) =
            rest.split_at_checked(u32::from_le_bytes(*len) as usize).ok_or(ImageError::Lengths)?;
        let input = &mut inside;
        let id = JobId::parse(&array::<{ JobId::TEXT_LEN }>(input)?).map_err(ImageError::JobId)?;
        let [state, flags] = array(input)?;
        let image = JobImage {
            id,
            state: state & 15,
            flags: form.flags(flags),
            replicate: u16::from_le_bytes(array(input)?),
            expires_at: form.expires_at(u32::from_le_bytes(array(input)?)),
            ctime: Ctime(u64::from_le_bytes(array(input)?)),
            delay: seconds(array(input)?),
            retry: seconds(array(input)?),
            nacks: u16::from_le_bytes(array(input)?),
            additional_deliveries: u16::from_le_bytes(array(input)?),
            queue: Cow::Borrowed(string(input, "queue name")?),
            body: BodyArg::Borrowed(string(input, "body")?),
            nodes: Cow::Owned(nodes(input)?),
        };
        Ok((image, behind))
    }
}

impl Form {
    /// The flags of a job that may be told in this form.
    pub fn flags(self, flags: u8) -> u8 {
        match self {
            Form::Message { .. } => flags & !DELIVERED,
            Form::Storage => flags,
        }
    }

    fn expiry_field(self, expires_at: UnixMillis) -> u32 {
        let (secs, max) = match self {
            Form::Message { now } => {
                let left = expires_at.since(now).secs_ceil().saturating_add(1);
                // RC1 adds its clock in 32 bits: more would wrap, and the job be expired on arrival.
                (left, u64::from(u32::MAX).saturating_sub(now.secs()).max(1))
            }
            Form::Storage => (Millis(expires_at.0).secs_ceil(), u64::from(u32::MAX)),
        };
        secs.min(max).min(u64::from(u32::MAX)) as u32
    }

    fn expires_at(self, field: u32) -> UnixMillis {
        match self {
            Form::Message { now } => now + Millis::from_secs(u64::from(field.saturating_sub(1))),
            Form::Storage => UnixMillis(u64::from(field) * 1000),
        }
    }

    fn span_field(self, span: Span32) -> u32 {
        let secs = u32::try_from(span.millis().secs_ceil()).expect("2³¹ − 1 seconds are the longest span");
        match self {
            Form::Message { .. } => secs.min(JobImage::MAX_SPAN_SECS),
            Form::Storage => secs,
        }
    }
}

fn length(len: usize) -> [u8; 4] {
    u32::try_from(len).expect("parts of at most 512 MiB make less than 4 GiB").to_le_bytes()
}

fn array<const N: usize>(input: &mut &[u8]) -> Result<[u8; N], ImageError> {
    let (head, rest) = input.split_first_chunk().ok_or(ImageError::Lengths)?;
    *input = rest;
    Ok(*head)
}

fn seconds(field: [u8; 4]) -> Span32 {
    Span32::new(Millis::from_secs(u64::from(u32::from_le_bytes(field))))
}

fn string<'a>(input: &mut &'a [u8], part: &'static str) -> Result<&'a [u8], ImageError> {
    let len = u32::from_le_bytes(array(input)?);
    let bytes = input.split_off(..len as usize).ok_or(ImageError::Lengths)?;
    if bytes.len() > MAX_BULK_LEN { Err(ImageError::TooLong { part, len }) } else { Ok(bytes) }
}

/// The list of nodes, which takes all that is left.
fn nodes(input: &mut &[u8]) -> Result<Vec<NodeId>, ImageError> {
    let len = u32::from_le_bytes(array(input)?);
    // In 64 bits the product cannot wrap, as it does in RC1 (defect 4 of cluster-bus.md).
    if input.len() as u64 != u64::from(len) * NodeId::TEXT_LEN as u64 {
        return Err(ImageError::Lengths);
    }
    if len as usize > JobImage::MAX_NODES {
        return Err(ImageError::TooLong { part: "list of nodes", len });
    }
    let mut nodes = Vec::with_capacity(len as usize);
    for text in input.as_chunks::<{ NodeId::TEXT_LEN }>().0 {
        nodes.push(NodeId::parse(text).ok_or(ImageError::NodeId)?);
    }
    Ok(nodes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Body;

    const NOW: UnixMillis = UnixMillis(1_795_315_000_500);
    const MESSAGE: Form = Form::Message { now: NOW };

    fn image() -> JobImage<'static> {
        JobImage {
            id: JobId::new([1; 4], [2; 18], Millis(60_000), true),
            state: 1,
            flags: 0,
            replicate: 3,
            expires_at: NOW + Millis::from_secs(60),
            ctime: Ctime::at(NOW),
            delay: Span32::ZERO,
            retry: Span32::new(Millis::from_secs(10)),
            nacks: 0,
            additional_deliveries: 0,
            queue: Cow::Borrowed(b"emails"),
            body: BodyArg::Borrowed(b"Hello"),
            nodes: Cow::Owned(vec![NodeId::from_bytes([7; 20])]),
        }
    }

    fn encoded(image: &JobImage<'_>, form: Form) -> Vec<u8> {
        let mut out = Vec::new();
        image.encode(form, &mut out);
        out
    }

    fn refusal(bytes: &[u8]) -> ImageError {
        JobImage::decode(bytes, MESSAGE).expect_err("a bad image")
    }

    #[test]
    fn a_message_tells_the_rest_of_a_life_in_seconds_rounded_up_plus_one() {
        for (left, field, decoded) in [
            (Millis(0), 1, 0),
            (Millis(1), 2, 1),
            (Millis(1000), 2, 1),
            (Millis(1001), 3, 2),
            (Millis(3_599_001), 3601, 3600),
            (Millis(3_600_000), 3601, 3600),
        ] {
            assert_eq!(MESSAGE.expiry_field(NOW + left), field, "{left:?}");
            assert_eq!(MESSAGE.expires_at(field), NOW + Millis::from_secs(decoded), "{left:?}");
        }
        assert_eq!(MESSAGE.expiry_field(UnixMillis(0)), 1, "expired long ago");
        assert_eq!(MESSAGE.expires_at(0), NOW);
    }

    #[test]
    fn no_message_makes_rc1_wrap_the_expiry() {
        let field = MESSAGE.expiry_field(UnixMillis::NEVER);
        assert_eq!(u64::from(field) + NOW.secs(), u64::from(u32::MAX));
        let late = Form::Message { now: UnixMillis((u64::from(u32::MAX) + 5) * 1000) };
        assert_eq!(late.expiry_field(UnixMillis::NEVER), 1);
    }

    #[test]
    fn a_file_tells_the_expiry_in_unix_time_rounded_up() {
        assert_eq!(Form::Storage.expiry_field(UnixMillis(1_795_315_000_001)), 1_795_315_001);
        assert_eq!(Form::Storage.expiry_field(UnixMillis(1_795_315_000_000)), 1_795_315_000);
        assert_eq!(Form::Storage.expiry_field(UnixMillis::NEVER), u32::MAX);
        assert_eq!(Form::Storage.expires_at(1_795_315_001), UnixMillis(1_795_315_001_000));
    }

    #[test]
    fn spans_are_rounded_up_and_cut_in_messages_where_rc1_would_wrap() {
        for (ms, in_message, in_file) in [
            (0, 0, 0),
            (1, 1, 1),
            (1500, 2, 2),
            (4_294_967_000, 4_294_967, 4_294_967),
            (4_294_968_000, 4_294_967, 4_294_968),
            (u64::MAX, 4_294_967, 2_147_483_647),
        ] {
            let span = Span32::new(Millis(ms));
            assert_eq!((MESSAGE.span_field(span), Form::Storage.span_field(span)), (in_message, in_file));
        }
        assert_eq!(seconds([0xff; 4]).millis(), Span32::MAX);
    }

    #[test]
    fn only_a_file_tells_that_a_job_was_delivered_and_both_keep_unknown_flags() {
        let image = JobImage { flags: 0xff, ..image() };
        let message = encoded(&image, MESSAGE);
        assert_eq!(message[45], 0xfb);
        let mut file = encoded(&image, Form::Storage);
        assert_eq!(file[45], 0xff);
        let decoded = JobImage::decode(&file, Form::Storage).expect("an image").0;
        assert_eq!(decoded.flags, 0xff);
        // A sender that does not clear the flag is not believed.
        file[48..52].copy_from_slice(&message[48..52]);
        assert_eq!(JobImage::decode(&file, MESSAGE).expect("an image").0.flags, 0xfb);
    }

    #[test]
    fn the_high_bits_of_the_state_are_not_read() {
        let mut bytes = encoded(&image(), MESSAGE);
        bytes[44] = 0xa2;
        assert_eq!(JobImage::decode(&bytes, MESSAGE).expect("an image").0.state, 2);
    }

    #[test]
    fn a_kept_body_makes_the_same_bytes_as_a_borrowed_one() {
        let long = vec![9; Body::SHARED_FROM];
        for bytes in [&b"short"[..], &long] {
            let borrowed = JobImage { body: BodyArg::Borrowed(bytes), ..image() };
            let kept = JobImage { body: BodyArg::Kept(Body::copied(bytes)), ..image() };
            assert_eq!(borrowed, kept);
            assert_eq!(encoded(&borrowed, MESSAGE), encoded(&kept, MESSAGE));
        }
    }

    #[test]
    fn ids_that_no_node_makes_are_refused() {
        let good = encoded(&image(), MESSAGE);
        let mut bytes = good.clone();
        bytes[6] = b'X';
        assert_eq!(refusal(&bytes), ImageError::JobId(JobIdError::Unknowable));
        bytes[4] = b'X';
        assert_eq!(refusal(&bytes), ImageError::JobId(JobIdError::BadShape));
        let mut bytes = good;
        *bytes.last_mut().expect("a node ID") = b'F';
        assert_eq!(refusal(&bytes), ImageError::NodeId);
    }

    #[test]
    fn a_node_count_that_is_right_only_in_32_bits_is_refused() {
        let mut bytes = encoded(&image(), MESSAGE);
        let at = 80 + b"emails".len() + b"Hello".len();
        assert_eq!(bytes[at..at + 4], 1_u32.to_le_bytes());
        assert_eq!(0x2000_0001_u32.wrapping_mul(40), 40);
        bytes[at..at + 4].copy_from_slice(&0x2000_0001_u32.to_le_bytes());
        assert_eq!(refusal(&bytes), ImageError::Lengths);
    }

    #[test]
    fn as_many_nodes_as_a_table_has_rows_are_read_but_not_one_more() {
        let nodes = vec![NodeId::from_bytes([7; 20]); JobImage::MAX_NODES];
        let mut bytes = encoded(&JobImage { nodes: Cow::Owned(nodes), ..image() }, MESSAGE);
        assert_eq!(JobImage::decode(&bytes, MESSAGE).expect("an image").0.nodes.len(), JobImage::MAX_NODES);
        let text = NodeId::from_bytes([7; 20]).text();
        bytes.extend_from_slice(&text);
        let (len, at) = (bytes.len() as u32 - 4, 80 + b"emails".len() + b"Hello".len());
        bytes[..4].copy_from_slice(&len.to_le_bytes());
        bytes[at..at + 4].copy_from_slice(&(JobImage::MAX_NODES as u32 + 1).to_le_bytes());
        assert_eq!(refusal(&bytes), ImageError::TooLong { part: "list of nodes", len: 65_537 });
    }
}
