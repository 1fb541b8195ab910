//! Messages to the bytes of one link, in the dialect that the peer understands.

use super::batch;
use super::checksum;
use super::encode::{Reader, encode, encode_your_jobs};
use super::frame::MAX_FRAME_LEN;
use super::header::{Envelope, Features, HEADER_LEN, Header, set_len};
use super::message::{MAX_JOBS, Message, kind};
use crate::types::limits::MAX_BULK_LEN;
use crate::types::{JobImage, NodeId, UnixMillis};

/// Length from which a batch is closed: 64 KiB.
///
/// Long enough that header and checksum do not count, short enough that the peer need not wait for much before it
/// can begin, and that it copies little together.
const BATCH_BYTES: usize = 64 * 1024;

/// Room that an idle writer keeps.
const KEEP_BYTES: usize = 256 * 1024;

/// Most bytes that one YOURJOBS has as a frame, unless a single job has more.
const YOURJOBS_BYTES: usize = 16 * 1024 * 1024;

// A job that takes all that clients can give still fits, behind a batch that is almost full.
const _: () = assert!(
    BATCH_BYTES
        + HEADER_LEN
        + 8
        + JobImage::MIN_LEN
        + 2 * MAX_BULK_LEN
        + NodeId::TEXT_LEN * JobImage::MAX_NODES
        <= MAX_FRAME_LEN
);

/// What one link still has to carry.
///
/// To a peer that announced nothing each message becomes the frame that an RC1 node would send; so it does if the
/// header announces nothing. To others:
///
/// * with [`Features::BATCH`], all messages but PING, PONG and MEET go into batches, in order; a batch is closed when
///   bytes are taken, when one of those three comes in between, or when it is long enough;
/// * with [`Features::CHECKSUM`], every frame has a checksum.
///
/// Once the buffer has grown to what the link needs, nothing is allocated, unless that is much.
#[derive(Debug, Default)]
pub struct FrameWriter {
    buffer: Vec<u8>,
    /// Where what was not consumed yet begins.
    start: usize,
    /// The batch that is not closed yet; it ends with the buffer.
    batch: Option<Batch>,
    peer: Option<Features>,
    frames: u64,
}

#[derive(Clone, Copy, Debug)]
struct Batch {
    /// Where it begins.
    start: usize,
    /// Whether it gets a checksum.
    sealed: bool,
}

impl FrameWriter {
    /// A writer for a new link, whose peer has announced nothing yet.
    pub fn new() -> FrameWriter {
        FrameWriter::default()
    }

    /// Sets what the peer announced on this link. What was pushed before stays as it is.
    pub fn set_features(&mut self, peer: Option<Features>) {
        if peer != self.peer {
            self.close_batch();
            self.peer = peer;
        }
    }

    /// Puts a message behind the others. False if the peer does not know such messages, and nothing was done.
    ///
    /// `now` is the time of sending, for what is told as time left. Jobs of a YOURJOBS that are too many or too long
    /// for one message go in several; there must be one.
    pub fn push(&mut self, header: &Header, message: &Message<'_>, now: UnixMillis) -> bool {
        match message {
            Message::Ping { .. } | Message::Pong { .. } | Message::Meet { .. } => {
                self.close_batch();
                self.push_frame(header, message, now)
            }
            Message::YourJobs { jobs } => {
                self.push_jobs(header, jobs, now);
                true
            }
            _ if message.needs().is_some_and(|feature| !self.peer_has(feature)) => false,
            _ if self.speaks(header, Features::BATCH) => {
                self.open_batch(header);
                batch::encode(message, now, &mut self.buffer);
                self.close_long_batch();
                true
            }
            _ => self.push_frame(header, message, now),
        }
    }

    /// All bytes that the link shall carry next, whole frames but for what was consumed of the first.
    pub fn bytes(&mut self) -> &[u8] {
        self.close_batch();
        &self.buffer[self.start..]
    }

    /// Forgets the first `len` bytes, which are on their way; at most as many as [`FrameWriter::bytes`] gave.
    pub fn consume(&mut self, len: usize) {
        let given_out = self.batch.map_or(self.buffer.len(), |batch| batch.start) - self.start;
        assert!(len <= given_out, "{len} bytes are consumed of {given_out}");
        self.start += len;
        // Moving fewer bytes than were sent since the last time keeps the cost of a slow link linear.
        if self.start * 2 >= self.buffer.len() {
            self.buffer.drain(..self.start);
            if let Some(batch) = &mut self.batch {
                batch.start -= self.start;
            }
            self.start = 0;
        }
        if self.buffer.capacity() > KEEP_BYTES && self.buffer.len() < KEEP_BYTES / 4 {
            self.buffer.shrink_to(KEEP_BYTES);
        }
    }

    /// How many bytes are not on their way yet.
    pub fn pending(&self) -> usize {
        self.buffer.len() - self.start
    }

    /// How many frames were begun since this was last asked.
    pub fn take_frames(&mut self) -> u64 {
        std::mem::take(&mut self.frames)
    }

    /// Bytes of memory held.
    pub fn heap_bytes(&self) -> usize {
        self.buffer.capacity()
    }

    /// Whether both sides announce a feature.
    fn speaks(&self, header: &Header, feature: Features) -> bool {
        self.peer_has(feature) && header.features.is_some_and(|features| features.contains(feature))
    }

    fn peer_has(&self, feature: Features) -> bool {
        self.peer.is_some_and(|features| features.contains(feature))
    }

    fn push_frame(&mut self, header: &Header, message: &Message<'_>, now: UnixMillis) -> bool {
        let start = self.buffer.len();
        let reader = if self.peer.is_some() { Reader::Capable } else { Reader::Anyone };
        let encoded = encode(header, message, reader, now, &mut self.buffer);
        if encoded {
            self.frames += 1;
            self.seal(header, start);
        }
        encoded
    }

    fn push_jobs(&mut self, header: &Header, jobs: &[JobImage<'_>], now: UnixMillis) {
        let mut rest = jobs;
        loop {
            let (fitting, others) = rest.split_at(fitting(rest));
            if self.speaks(header, Features::BATCH) {
                self.open_batch(header);
                batch::encode_your_jobs(fitting, now, &mut self.buffer);
                self.close_long_batch();
            } else {
                let start = self.buffer.len();
                encode_your_jobs(header, fitting, now, &mut self.buffer);
                self.frames += 1;
                self.seal(header, start);
            }
            rest = others;
            if rest.is_empty() {
                return;
            }
        }
    }

    fn open_batch(&mut self, header: &Header) {
        if self.batch.is_none() {
            let envelope = Envelope { message_type: kind::BATCH, count: 0, message_flags: 0 };
            let start = header.encode(envelope, &mut self.buffer);
            self.frames += 1;
            self.batch = Some(Batch { start, sealed: self.speaks(header, Features::CHECKSUM) });
        }
    }

    fn close_long_batch(&mut self) {
        if self.batch.is_some_and(|batch| self.buffer.len() - batch.start >= BATCH_BYTES) {
            self.close_batch();
        }
    }

    fn close_batch(&mut self) {
        if let Some(Batch { start, sealed }) = self.batch.take() {
            set_len(start, &mut self.buffer);
            if sealed {
                checksum::seal(&mut self.buffer[start..]);
            }
        }
    }

    /// Gives the frame at the end of the buffer a checksum, if both sides know what that is.
    fn seal(&mut self, header: &Header, start: usize) {
        if self.speaks(header, Features::CHECKSUM) {
            checksum::seal(&mut self.buffer[start..]);
        }
    }
}

/// How many of the jobs at the front go into one message; at least one, if there is one.
fn fitting(jobs: &[JobImage<'_>]) -> usize {
    let mut len = 0;
    let more = |job: &&JobImage<'_>| {
        len += job.encoded_len();
        len <= YOURJOBS_BYTES
    };
    let fitting = jobs.iter().take(MAX_JOBS as usize).take_while(more).count();
    fitting.max(1).min(jobs.len())
}
