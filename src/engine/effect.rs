//! What the engine wants done.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::sync::Arc;

use super::input::{ClientId, LinkId, PeerLinkId};
use super::persist::Hold;
use super::reply::Reply;
use crate::aof::Record;
use crate::bus::{Features, Message, NodesConf, Notice};
use crate::types::{Body, BodyArg, Ctime, JobId, JobImage, NodeId, Span32, UnixMillis};

/// One thing to do. Effects stand in one list, and their order is part of the promise.
#[derive(Debug)]
pub enum Effect {
    /// Answer a client's request.
    Reply {
        /// Whose request.
        client: ClientId,
        /// The answer; rows of jobs lie in the [`Effects`] themselves.
        reply: Reply,
    },
    /// Write the node table to disk, durably.
    SaveNodes(Box<NodesConf>),
    /// Connect to another node, and tell with [`Input::LinkUp`](super::Input::LinkUp) or
    /// [`Input::LinkDown`](super::Input::LinkDown) how it went.
    OpenLink {
        /// What the link will be called.
        link: LinkId,
        /// Where to.
        address: SocketAddr,
    },
    /// Give up a link that this node opened, at once. Nothing more is heard of it.
    CloseLink {
        /// Which.
        link: LinkId,
    },
    /// What the node at the other end of a link that this node opened understands beyond RC1's protocol. A link
    /// begins with `None`; what is sent after this effect may use the features, what was sent before may not.
    PeerFeatures {
        /// Which link.
        link: LinkId,
        /// `None` is a node of RC1, or one that has not been heard yet.
        features: Option<Features>,
    },
    /// Say something to another node. If the link is not up (any more), nothing is done.
    Send {
        /// On which link.
        to: SendTo,
        /// What.
        message: Outgoing,
    },
}

/// The link that a message goes out on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SendTo {
    /// One that this node opened.
    Own(LinkId),
    /// One that a peer opened; only PONG goes there.
    Peer(PeerLinkId),
}

/// A message on its way out; [`Effects::message`] shows it whole.
#[derive(Clone, Debug)]
pub enum Outgoing {
    /// About one job, by its ID.
    Notice {
        /// The job.
        job: JobId,
        /// What about it.
        notice: Notice,
    },
    /// REPLJOB.
    ReplJob {
        /// The job.
        image: Image,
        /// Whether the receiver shall not confirm.
        no_reply: bool,
        /// Whether it tells of a holder that a job got later, and of which only this node knows so far.
        late_holder: bool,
    },
    /// SYNCJOB.
    SyncJob {
        /// The job.
        image: Image,
    },
    /// YOURJOBS.
    YourJobs {
        /// The jobs.
        images: Images,
    },
    /// Anything else; none of it is frequent.
    Other(Box<Message<'static>>),
}

impl Outgoing {
    /// Whether it tells another node that something is stored here, lets it forget what is stored here, hands it what must
    /// not be here any more, or makes a holder of it that this node must go on knowing: then it must not leave before what
    /// the step appends is as safe as the operator wants it.
    pub fn is_promise(&self) -> bool {
        match self {
            Outgoing::Notice { notice, .. } => {
                matches!(notice, Notice::GotJob | Notice::GotAck { .. } | Notice::DelJob)
            }
            Outgoing::YourJobs { .. } => true,
            Outgoing::ReplJob { late_holder, .. } => *late_holder,
            Outgoing::SyncJob { .. } | Outgoing::Other(_) => false,
        }
    }
}

/// A job in the effects, as it is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Image(u32);

/// Several jobs in the effects that stand behind each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Images {
    first: u32,
    len: u32,
}

/// What the engine tells of a job that leaves it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ImageFields {
    pub(crate) id: JobId,
    pub(crate) state: u8,
    pub(crate) flags: u8,
    pub(crate) replicate: u16,
    pub(crate) expires_at: UnixMillis,
    pub(crate) ctime: Ctime,
    pub(crate) delay: Span32,
    pub(crate) retry: Span32,
    pub(crate) nacks: u16,
    pub(crate) additional_deliveries: u16,
}

#[derive(Debug)]
struct StoredImage {
    fields: ImageFields,
    queue: Range,
    body: RowBody,
    nodes: Range,
}

/// The effects of one step, in order, with one buffer for all their variable-size data.
///
/// Reused from step to step, so that the steady state does not allocate.
#[derive(Debug, Default)]
pub struct Effects {
    list: Vec<Effect>,
    rows: Vec<JobRow>,
    images: Vec<StoredImage>,
    nodes: Vec<NodeId>,
    bytes: Vec<u8>,
    appended: Appended,
}

/// Records for the append-only file, encoded.
#[derive(Debug, Default)]
pub(super) struct Appended {
    records: Vec<(u8, u32)>,
    bytes: Vec<u8>,
    hold: Hold,
}

impl Appended {
    pub(super) fn add(&mut self, record: &Record<'_>, hold: Hold) {
        let before = self.bytes.len();
        record.encode(&mut self.bytes);
        self.records.push((record.kind(), (self.bytes.len() - before) as u32));
        self.hold(hold);
    }

    pub(super) fn hold(&mut self, hold: Hold) {
        self.hold = self.hold.max(hold);
    }

    fn clear(&mut self) {
        self.records.clear();
        self.bytes.clear();
        self.hold = Hold::No;
    }
}

/// A job as it is handed to a client.
#[derive(Debug)]
pub struct JobRow {
    /// Its ID.
    pub id: JobId,
    /// How often a worker gave it back.
    pub nacks: u16,
    /// How often it was queued again for other reasons.
    pub additional_deliveries: u16,
    queue: Range,
    body: RowBody,
}

#[derive(Clone, Copy, Debug)]
struct Range {
    start: u32,
    len: u32,
}

#[derive(Debug)]
enum RowBody {
    Inline(Range),
    Shared(Arc<Vec<u8>>),
}

/// The rows of one reply, as a place in the list of all rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rows {
    first: u32,
    len: u32,
}

impl Rows {
    /// No row.
    pub const EMPTY: Rows = Rows { first: 0, len: 0 };

    /// Number of rows.
    pub fn len(self) -> usize {
        self.len as usize
    }

    /// Whether there is no row.
    pub fn is_empty(self) -> bool {
        self.len == 0
    }
}

/// The body of a job on its way to a client.
#[derive(Clone, Copy, Debug)]
pub enum BodyRef<'a> {
    /// Short: copy it.
    Inline(&'a [u8]),
    /// Long: write it from where it is.
    Shared(&'a Arc<Vec<u8>>),
}

impl BodyRef<'_> {
    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        match self {
            BodyRef::Inline(bytes) => bytes,
            BodyRef::Shared(bytes) => bytes,
        }
    }
}

impl Effects {
    /// An empty list.
    pub fn new() -> Effects {
        Effects::default()
    }

    /// The effects in order.
    pub fn iter(&self) -> std::slice::Iter<'_, Effect> {
        self.list.iter()
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Forgets everything; buffers that grew far beyond the usual are given back.
    pub fn clear(&mut self) {
        const KEEP_BYTES: usize = 1 << 20;
        self.list.clear();
        self.rows.clear();
        self.images.clear();
        self.nodes.clear();
        self.bytes.clear();
        self.appended.clear();
        if self.bytes.capacity() + self.appended.bytes.capacity() > KEEP_BYTES {
            self.appended = Appended::default();
            self.bytes = Vec::new();
            self.rows = Vec::new();
            self.images = Vec::new();
            self.nodes = Vec::new();
        }
    }

    /// The jobs of a reply.
    pub fn rows(&self, rows: Rows) -> &[JobRow] {
        &self.rows[rows.first as usize..][..rows.len as usize]
    }

    /// The queue name of a job.
    pub fn queue(&self, row: &JobRow) -> &[u8] {
        &self.bytes[row.queue.start as usize..][..row.queue.len as usize]
    }

    /// The body of a job.
    pub fn body<'a>(&'a self, row: &'a JobRow) -> BodyRef<'a> {
        match &row.body {
            RowBody::Inline(at) => BodyRef::Inline(&self.bytes[at.start as usize..][..at.len as usize]),
            RowBody::Shared(bytes) => BodyRef::Shared(bytes),
        }
    }

    /// A message as the codec takes it.
    pub fn message<'a>(&'a self, outgoing: &'a Outgoing) -> Message<'a> {
        match outgoing {
            Outgoing::Notice { job, notice } => Message::Notice { job: *job, notice: *notice },
            Outgoing::ReplJob { image, no_reply, .. } => {
                Message::ReplJob { job: self.image(&self.images[image.0 as usize]), no_reply: *no_reply }
            }
            Outgoing::SyncJob { image } => {
                Message::SyncJob { job: self.image(&self.images[image.0 as usize]) }
            }
            Outgoing::YourJobs { images } => {
                let jobs = &self.images[images.first as usize..][..images.len as usize];
                Message::YourJobs { jobs: jobs.iter().map(|image| self.image(image)).collect() }
            }
            Outgoing::Other(message) => (**message).clone(),
        }
    }

    fn image<'a>(&'a self, stored: &'a StoredImage) -> JobImage<'a> {
        let StoredImage { fields, queue, body, nodes } = stored;
        let body = match body {
            RowBody::Inline(at) => &self.bytes[at.start as usize..][..at.len as usize],
            RowBody::Shared(bytes) => bytes,
        };
        JobImage {
            id: fields.id,
            state: fields.state,
            flags: fields.flags,
            replicate: fields.replicate,
            expires_at: fields.expires_at,
            ctime: fields.ctime,
            delay: fields.delay,
            retry: fields.retry,
            nacks: fields.nacks,
            additional_deliveries: fields.additional_deliveries,
            queue: Cow::Borrowed(&self.bytes[queue.start as usize..][..queue.len as usize]),
            body: BodyArg::Borrowed(body),
            nodes: Cow::Borrowed(&self.nodes[nodes.start as usize..][..nodes.len as usize]),
        }
    }

    /// What is to be appended to the append-only file: kinds and payloads of records. It must be appended before any
    /// other effect is performed.
    pub fn appended(&self) -> impl Iterator<Item = (u8, &[u8])> {
        let mut rest = &self.appended.bytes[..];
        self.appended.records.iter().map(move |(kind, len)| {
            let (payload, behind) = rest.split_at(*len as usize);
            rest = behind;
            (*kind, payload)
        })
    }

    /// What replies, and messages that confirm something, must wait for.
    pub fn hold(&self) -> Hold {
        self.appended.hold
    }

    /// Takes records over; `log` is empty afterwards.
    pub(super) fn append(&mut self, log: &mut Appended) {
        let hold = self.appended.hold.max(log.hold);
        if self.appended.records.is_empty() {
            std::mem::swap(&mut self.appended, log);
        } else {
            self.appended.records.append(&mut log.records);
            self.appended.bytes.append(&mut log.bytes);
        }
        self.appended.hold = hold;
        log.clear();
    }

    /// Bytes held for rows: what the shell counts while a large reply is being written.
    pub fn scratch_len(&self) -> usize {
        self.bytes.len()
    }

    pub(crate) fn push(&mut self, effect: Effect) {
        self.list.push(effect);
    }

    pub(crate) fn reply(&mut self, client: ClientId, reply: Reply) {
        self.list.push(Effect::Reply { client, reply });
    }

    /// Where the next row will stand; the first half of [`Effects::rows_since`].
    pub(crate) fn rows_mark(&self) -> u32 {
        self.rows.len() as u32
    }

    /// All rows added since the mark was taken.
    pub(crate) fn rows_since(&self, mark: u32) -> Rows {
        Rows { first: mark, len: self.rows.len() as u32 - mark }
    }

    pub(crate) fn add_row(&mut self, id: JobId, queue: &[u8], body: &Body, nacks: u16, extra: u16) {
        let queue = self.add_bytes(queue);
        let body = self.add_body(body);
        self.rows.push(JobRow { id, nacks, additional_deliveries: extra, queue, body });
    }

    /// Adds a job that is to be sent, or stored.
    pub(crate) fn add_image(
        &mut self,
        fields: ImageFields,
        queue: &[u8],
        body: &Body,
        nodes: impl Iterator<Item = NodeId>,
    ) -> Image {
        let queue = self.add_bytes(queue);
        let body = self.add_body(body);
        let start = self.nodes.len() as u32;
        self.nodes.extend(nodes);
        let nodes = Range { start, len: self.nodes.len() as u32 - start };
        self.images.push(StoredImage { fields, queue, body, nodes });
        Image(self.images.len() as u32 - 1)
    }

    /// Where the next image will stand; the first half of [`Effects::images_since`].
    pub(crate) fn images_mark(&self) -> u32 {
        self.images.len() as u32
    }

    /// All images added since the mark was taken.
    pub(crate) fn images_since(&self, mark: u32) -> Images {
        Images { first: mark, len: self.images.len() as u32 - mark }
    }

    fn add_body(&mut self, body: &Body) -> RowBody {
        match body {
            Body::Small(bytes) => RowBody::Inline(self.add_bytes(bytes)),
            Body::Shared(bytes) => RowBody::Shared(Arc::clone(bytes)),
        }
    }

    fn add_bytes(&mut self, bytes: &[u8]) -> Range {
        let start = u32::try_from(self.bytes.len()).expect("one step yields less than 4 GiB of small bodies");
        self.bytes.extend_from_slice(bytes);
        Range { start, len: bytes.len() as u32 }
    }
}
