//! What nodes say about a typical job, for whatever counts or measures it.

use std::borrow::Cow;

use disque::aof::JobRecord;
use disque::bus::{Features, Header};
use disque::types::{BodyArg, Ctime, JobId, JobImage, Millis, NodeId, Span32, UnixMillis};

pub(crate) const NOW: UnixMillis = UnixMillis(1_795_315_000_123);
pub(crate) const BODY: [u8; 100] = [b'x'; 100];

pub(crate) fn header() -> Header {
    Header {
        sender: NodeId::from_bytes([0xab; 20]),
        ip: None,
        port: 7711,
        bus_port: None,
        leaving: false,
        features: Some(Features::OURS),
    }
}

pub(crate) fn three_nodes() -> Vec<NodeId> {
    (1..=3).map(|number| NodeId::from_bytes([number; 20])).collect()
}

pub(crate) fn image(number: u64, nodes: &[NodeId]) -> JobImage<'_> {
    JobImage {
        id: job_id(number),
        state: JobRecord::QUEUED,
        flags: 0,
        replicate: 3,
        expires_at: NOW + Millis(86_400_000),
        ctime: Ctime::at(NOW),
        delay: Span32::ZERO,
        retry: Span32::new(Millis(300_000)),
        nacks: 0,
        additional_deliveries: 0,
        queue: Cow::Borrowed(b"emails"),
        body: BodyArg::Borrowed(&BODY),
        nodes: Cow::Borrowed(nodes),
    }
}

pub(crate) fn job_id(number: u64) -> JobId {
    let mut random = [0; 18];
    random[..8].copy_from_slice(&number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes());
    JobId::new([1; 4], random, Millis(86_400_000), true)
}
