//! Arbitrary messages that survive the wire unchanged: whole seconds, spans that are not cut.

use std::borrow::Cow;

use disque::bus::{Counts, Features, Gossip, Header, MAX_JOBS, Message, NodeFlags, Notice};
use disque::types::{BodyArg, Ctime, Form, JobId, JobImage, Millis, NodeId, Span32, UnixMillis};
use proptest::collection::vec;
use proptest::prelude::*;

/// Some time between 2001 and 2033.
pub fn now() -> impl Strategy<Value = UnixMillis> {
    (1_000_000_000_000_u64..2_000_000_000_000).prop_map(UnixMillis)
}

pub fn header() -> impl Strategy<Value = Header> {
    let features = proptest::option::of(any::<u32>().prop_map(Features::from_bits));
    (node_id(), any::<u16>(), any::<bool>(), features).prop_map(|(sender, port, leaving, features)| Header {
        sender,
        ip: None,
        port,
        bus_port: None,
        leaving,
        features,
    })
}

pub fn message(now: UnixMillis) -> impl Strategy<Value = Message<'static>> {
    let job = job_image(Form::Message { now }).boxed();
    prop_oneof![
        gossip_list().prop_map(|gossip| Message::Ping { gossip }),
        gossip_list().prop_map(|gossip| Message::Pong { gossip }),
        gossip_list().prop_map(|gossip| Message::Meet { gossip }),
        node_id().prop_map(|node| Message::Fail { node }),
        (job.clone(), any::<bool>()).prop_map(|(job, no_reply)| Message::ReplJob { job, no_reply }),
        vec(job, 1..=8).prop_map(|jobs| Message::YourJobs { jobs }),
        about_one_job(),
        (bytes(), 1..=MAX_JOBS)
            .prop_map(|(queue, count)| Message::NeedJobs { queue: Cow::Owned(queue), count }),
        (bytes(), any::<bool>(), any::<bool>()).prop_map(|(queue, input, output)| Message::Pause {
            queue: Cow::Owned(queue),
            input,
            output
        }),
    ]
}

fn about_one_job() -> impl Strategy<Value = Message<'static>> {
    let counts = (any::<bool>(), any::<bool>()).prop_map(|(nack, delivery)| Counts { nack, delivery });
    (job_id(), span(), counts, any::<u32>(), any::<bool>(), 0..8).prop_map(
        |(job, delay, counts, nodes_known, known, which)| {
            let notice = match which {
                0 => Notice::GotJob,
                1 => Notice::Enqueue { delay },
                2 => Notice::Queued { counts, totals: None },
                3 => Notice::SetAck { nodes_known, digest: 0 },
                4 => Notice::WillQueue,
                5 => Notice::GotAck { known },
                6 => Notice::DelJob,
                _ => Notice::Working,
            };
            Message::Notice { job, notice }
        },
    )
}

pub fn job_image(form: Form) -> impl Strategy<Value = JobImage<'static>> {
    let numbers = (job_id(), 0..16_u8, any::<u8>(), any::<u16>(), expiry(form), any::<u64>(), span(), span());
    let rest = (any::<u16>(), any::<u16>(), bytes(), bytes(), vec(node_id(), 0..6));
    (numbers, rest).prop_map(move |(numbers, rest)| {
        let (id, state, flags, replicate, expires_at, ctime, delay, retry) = numbers;
        let (nacks, additional_deliveries, queue, body, nodes) = rest;
        let flags = if form == Form::Storage { flags } else { flags & !4 };
        JobImage {
            id,
            state,
            flags,
            replicate,
            expires_at,
            ctime: Ctime(ctime),
            delay,
            retry,
            nacks,
            additional_deliveries,
            queue: Cow::Owned(queue),
            body: BodyArg::Owned(body),
            nodes: Cow::Owned(nodes),
        }
    })
}

/// A time that the form can tell exactly.
fn expiry(form: Form) -> BoxedStrategy<UnixMillis> {
    match form {
        Form::Message { now } => {
            (0..=0x7fff_ffff_u64).prop_map(move |secs| now + Millis::from_secs(secs)).boxed()
        }
        Form::Storage => any::<u32>().prop_map(|secs| UnixMillis(u64::from(secs) * 1000)).boxed(),
    }
}

fn gossip_list() -> impl Strategy<Value = Vec<Gossip>> {
    let gossip = (
        node_id(),
        any::<u32>(),
        any::<u32>(),
        any::<Option<std::net::IpAddr>>(),
        any::<u16>(),
        any::<u16>(),
    );
    let gossip = gossip.prop_map(|(node, ping_sent, pong_received, ip, port, flags)| Gossip {
        node,
        ping_sent,
        pong_received,
        ip,
        port,
        bus_port: None,
        flags: NodeFlags::from_bits(flags),
    });
    vec(gossip, 0..6)
}

pub fn node_id() -> impl Strategy<Value = NodeId> {
    any::<[u8; 20]>().prop_map(NodeId::from_bytes)
}

fn job_id() -> impl Strategy<Value = JobId> {
    (any::<[u8; 4]>(), any::<[u8; 18]>(), any::<u64>(), any::<bool>())
        .prop_map(|(node, random, ttl, promise)| JobId::new(node, random, Millis(ttl), promise))
}

/// Whole seconds, as many as RC1 can compute with.
fn span() -> impl Strategy<Value = Span32> {
    prop_oneof![Just(0), 1..1000_u64, 0..=4_294_967_u64].prop_map(|secs| Span32::new(Millis::from_secs(secs)))
}

/// Mostly short, sometimes longer than the bodies that are copied instead of shared.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![8 => vec(any::<u8>(), 0..40), 1 => vec(any::<u8>(), 2000..2100)]
}
