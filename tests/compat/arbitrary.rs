//! Arbitrary messages that survive the wire unchanged: in the form of RC1 whole seconds and spans that are not cut,
//! in batches everything.

use std::borrow::Cow;

use disque::bus::{Counts, Features, Gossip, Header, MAX_JOBS, Message, NodeFlags, Notice, Totals};
use disque::types::{BodyArg, Ctime, Form, JobId, JobImage, Millis, NodeId, Span32, UnixMillis};
use proptest::collection::vec;
use proptest::prelude::*;

/// Some time between 2001 and 2033.
pub fn now() -> impl Strategy<Value = UnixMillis> {
    (1_000_000_000_000_u64..2_000_000_000_000).prop_map(UnixMillis)
}

/// The header of an RC1 node, or of one that announces more.
pub fn header() -> impl Strategy<Value = Header> {
    let announcement = (features(), any::<Option<std::net::IpAddr>>(), bus_port());
    let announcement = proptest::option::of(announcement);
    (node_id(), any::<u16>(), any::<bool>(), announcement).prop_map(
        |(sender, port, leaving, announcement)| {
            let (features, ip, bus_port) = announcement
                .map_or((None, None, None), |(features, ip, bus_port)| (Some(features), ip, bus_port));
            Header { sender, ip, port, bus_port, leaving, features }
        },
    )
}

/// Features as they are now, or as they may be one day.
pub fn features() -> impl Strategy<Value = Features> {
    prop_oneof![(0..4_u32).prop_map(Features::from_bits), any::<u32>().prop_map(Features::from_bits)]
}

fn bus_port() -> impl Strategy<Value = Option<u16>> {
    proptest::option::of(1..=u16::MAX)
}

/// A message that RC1 knows, with nothing in it that gets lost on the way there.
pub fn message(now: UnixMillis) -> impl Strategy<Value = Message<'static>> {
    let job = job_image(Form::Message { now }).boxed();
    prop_oneof![2 => heartbeat(), 3 => about_one_job(whole_seconds()), 8 => about_jobs(job)]
        .prop_map(message_of_rc1)
}

/// Any message, with everything that a capable peer can be told.
pub fn rich_message(now: UnixMillis) -> impl Strategy<Value = Message<'static>> {
    let job = exact_job_image(now).boxed();
    let holders = (job_id(), vec(node_id(), 0..6))
        .prop_map(|(job, nodes)| Message::Holders { job, nodes: Cow::Owned(nodes) });
    let have_jobs = bytes().prop_map(|queue| Message::HaveJobs { queue: Cow::Owned(queue) });
    let sync_job = job.clone().prop_map(|job| Message::SyncJob { job });
    prop_oneof![
        2 => heartbeat(),
        5 => about_one_job(any_span()),
        8 => about_jobs(job),
        1 => holders,
        1 => have_jobs,
        1 => sync_job,
        1 => Just(Message::LostJobs),
    ]
}

/// What is left of a message that is told to an RC1 node in the same millisecond, as far as it is not about time.
pub fn message_of_rc1(message: Message<'static>) -> Message<'static> {
    match message {
        Message::Notice { job, notice } => {
            let notice = match notice {
                Notice::Queued { counts, .. } => Notice::Queued { counts, totals: None },
                Notice::SetAck { nodes_known, .. } => Notice::SetAck { nodes_known, digest: 0 },
                other => other,
            };
            Message::Notice { job, notice }
        }
        Message::Ping { gossip } => Message::Ping { gossip: gossip_of_rc1(gossip) },
        Message::Pong { gossip } => Message::Pong { gossip: gossip_of_rc1(gossip) },
        Message::Meet { gossip } => Message::Meet { gossip: gossip_of_rc1(gossip) },
        other => other,
    }
}

fn gossip_of_rc1(gossip: Vec<Gossip>) -> Vec<Gossip> {
    gossip.into_iter().map(|entry| Gossip { bus_port: None, ..entry }).collect()
}

fn heartbeat() -> impl Strategy<Value = Message<'static>> {
    prop_oneof![
        gossip_list().prop_map(|gossip| Message::Ping { gossip }),
        gossip_list().prop_map(|gossip| Message::Pong { gossip }),
        gossip_list().prop_map(|gossip| Message::Meet { gossip }),
    ]
}

fn about_jobs(job: BoxedStrategy<JobImage<'static>>) -> impl Strategy<Value = Message<'static>> {
    prop_oneof![
        node_id().prop_map(|node| Message::Fail { node }),
        (job.clone(), any::<bool>()).prop_map(|(job, no_reply)| Message::ReplJob { job, no_reply }),
        vec(job, 1..=8).prop_map(|jobs| Message::YourJobs { jobs }),
        (bytes(), 1..=MAX_JOBS)
            .prop_map(|(queue, count)| Message::NeedJobs { queue: Cow::Owned(queue), count }),
        (bytes(), any::<bool>(), any::<bool>()).prop_map(|(queue, input, output)| Message::Pause {
            queue: Cow::Owned(queue),
            input,
            output
        }),
    ]
}

fn about_one_job(delay: impl Strategy<Value = Span32>) -> impl Strategy<Value = Message<'static>> {
    let counts = (any::<bool>(), any::<bool>()).prop_map(|(nack, delivery)| Counts { nack, delivery });
    let totals = proptest::option::of(
        any::<(u16, u16)>()
            .prop_map(|(nacks, additional_deliveries)| Totals { nacks, additional_deliveries }),
    );
    let numbers = (any::<u32>(), any::<u32>());
    (job_id(), delay, counts, totals, numbers, any::<bool>(), 0..8).prop_map(
        |(job, delay, counts, totals, (nodes_known, digest), known, which)| {
            let notice = match which {
                0 => Notice::GotJob,
                1 => Notice::Enqueue { delay },
                2 => Notice::Queued { counts, totals },
                3 => Notice::SetAck { nodes_known, digest },
                4 => Notice::WillQueue,
                5 => Notice::GotAck { known },
                6 => Notice::DelJob,
                _ => Notice::Working,
            };
            Message::Notice { job, notice }
        },
    )
}

/// A job with times to the millisecond.
fn exact_job_image(now: UnixMillis) -> impl Strategy<Value = JobImage<'static>> {
    let left = prop_oneof![0..100_000_u64, any::<u64>()];
    (job_image(Form::Message { now }), left, any_span(), any_span()).prop_map(
        move |(job, left, delay, retry)| JobImage { expires_at: now + Millis(left), delay, retry, ..job },
    )
}

pub fn job_image(form: Form) -> impl Strategy<Value = JobImage<'static>> {
    let numbers = (
        job_id(),
        0..16_u8,
        any::<u8>(),
        any::<u16>(),
        expiry(form),
        any::<u64>(),
        whole_seconds(),
        whole_seconds(),
    );
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
        bus_port(),
    );
    let gossip = gossip.prop_map(|(node, ping_sent, pong_received, ip, port, flags, bus_port)| Gossip {
        node,
        ping_sent,
        pong_received,
        ip,
        port,
        bus_port,
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
fn whole_seconds() -> impl Strategy<Value = Span32> {
    prop_oneof![Just(0), 1..1000_u64, 0..=4_294_967_u64].prop_map(|secs| Span32::new(Millis::from_secs(secs)))
}

fn any_span() -> impl Strategy<Value = Span32> {
    prop_oneof![Just(0), 1..100_000_u64, any::<u64>()].prop_map(|ms| Span32::new(Millis(ms)))
}

/// Mostly short, sometimes longer than the bodies that are copied instead of shared.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![8 => vec(any::<u8>(), 0..40), 1 => vec(any::<u8>(), 2000..2100)]
}
