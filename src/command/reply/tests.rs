use std::io::IoSlice;

use super::*;
use crate::bus::{NodeFlags, NodeLine, NodesConf};
use crate::engine::{JobDetails, JobState, PauseState, QueueDetails, Refusal};
use crate::types::{Body, Ctime, Millis, UnixMillis};

const ID: &str = "D-da584d4c-nITAwKSg4Lm+fvdj4/V9fZLS-05a1";

fn id() -> JobId {
    JobId::parse(ID.as_bytes()).expect("an ID of the reference server")
}

fn node(byte: u8) -> NodeId {
    NodeId::from_bytes([byte; 20])
}

fn context(protocol: Protocol) -> ReplyContext {
    ReplyContext { protocol, local_ip: None, port: 7711 }
}

fn sent(out: &Output) -> Vec<u8> {
    let mut slices = [IoSlice::new(&[]); 64];
    let used = out.slices(&mut slices);
    assert!(used < slices.len());
    slices[..used].iter().flat_map(|slice| slice.iter().copied()).collect()
}

fn encoded(reply: &Reply, effects: &Effects, ctx: &ReplyContext) -> String {
    let mut out = Output::default();
    encode(reply, effects, ctx, &mut out);
    let bytes = sent(&out);
    assert_decodes(&bytes, ctx.protocol);
    // Line ends as bars, so that expectations fit on lines.
    String::from_utf8(bytes).expect("the test's texts").replace("\r\n", "|")
}

/// The bytes are one whole value for a decoder that is not ours.
fn assert_decodes(bytes: &[u8], protocol: Protocol) {
    let len = match protocol {
        Protocol::Resp2 => redis_protocol::resp2::decode::decode(bytes).expect("valid").expect("whole").1,
        Protocol::Resp3 => {
            redis_protocol::resp3::decode::complete::decode(bytes).expect("valid").expect("whole").1
        }
    };
    assert_eq!(len, bytes.len(), "{}", bytes.escape_ascii());
}

/// Checks a reply in both versions of the protocol; in the third, nulls are written `_`.
fn check(reply: &Reply, effects: &Effects, expected: &str) {
    assert_eq!(encoded(reply, effects, &context(Protocol::Resp2)), expected);
    let expected = expected.replace("*-1|", "_|").replace("$-1|", "_|");
    assert_eq!(encoded(reply, effects, &context(Protocol::Resp3)), expected);
}

fn bulk(text: &str) -> String {
    format!("${}|{text}|", text.len())
}

#[test]
fn short_replies_have_the_published_types() {
    for (reply, expected) in [
        (Reply::Ok, "+OK|".to_owned()),
        (Reply::Int(-7), ":-7|".to_owned()),
        (Reply::JobId(id()), format!("+{ID}|")),
        (Reply::NoJob, "*-1|".to_owned()),
        (Reply::NoSuchJob, "$-1|".to_owned()),
        (Reply::NoSuchQueue, "*-1|".to_owned()),
        (Reply::Leaving(true), "+yes|".to_owned()),
        (Reply::Leaving(false), "+no|".to_owned()),
        (Reply::Pause(PauseState::NONE), "+none|".to_owned()),
        (Reply::Pause(PauseState { input: true, output: false }), "+in|".to_owned()),
        (Reply::Pause(PauseState { input: false, output: true }), "+out|".to_owned()),
        (Reply::Pause(PauseState { input: true, output: true }), "+all|".to_owned()),
        (Reply::NodeId(node(0xda)), bulk(&"da".repeat(20))),
        (Reply::QueueScan { cursor: 0, queues: vec![] }, "*2|$1|0|*0|".to_owned()),
        (
            Reply::QueueScan { cursor: 2832, queues: vec![b"q".as_slice().into(), b"".as_slice().into()] },
            "*2|$4|2832|*2|$1|q|$0||".to_owned(),
        ),
        (Reply::QueueScan { cursor: u64::MAX, queues: vec![] }, "*2|$20|18446744073709551615|*0|".to_owned()),
        (Reply::JobScan { cursor: 0, jobs: vec![id()] }, format!("*2|$1|0|*1|+{ID}|")),
        (Reply::JobScanAll { cursor: 5, jobs: vec![] }, "*2|$1|5|*0|".to_owned()),
    ] {
        check(&reply, &Effects::new(), &expected);
    }
}

#[test]
fn jobs_are_lists_of_three_or_with_counters_of_seven() {
    let mut effects = Effects::new();
    effects.add_row(id(), b"other", &Body::copied(b"not asked for"), 9, 9);
    let mark = effects.rows_mark();
    check(&Reply::Jobs { rows: Rows::EMPTY, with_counters: false }, &effects, "*0|");
    effects.add_row(id(), b"q", &Body::copied(b"body"), 0, 0);
    effects.add_row(id(), b"", &Body::copied(b""), 3, 65535);
    let rows = effects.rows_since(mark);
    check(
        &Reply::Jobs { rows, with_counters: false },
        &effects,
        &format!("*2|*3|$1|q|$40|{ID}|$4|body|*3|$0||$40|{ID}|$0||"),
    );
    let counters = |nacks, extra| format!("$5|nacks|:{nacks}|$21|additional-deliveries|:{extra}|");
    check(
        &Reply::Jobs { rows, with_counters: true },
        &effects,
        &format!("*2|*7|$1|q|$40|{ID}|$4|body|{}*7|$0||$40|{ID}|$0||{}", counters(0, 0), counters(3, 65535)),
    );
}

#[test]
fn a_long_body_is_sent_from_where_it_is() {
    let body = Body::owned(vec![b'x'; Body::SHARED_FROM]);
    let Body::Shared(block) = &body else { panic!("bodies of this length are shared") };
    let block = block.as_ptr();
    let mut effects = Effects::new();
    effects.add_row(id(), b"q", &body, 1, 2);
    let rows = effects.rows_since(0);
    let text = "x".repeat(Body::SHARED_FROM);
    let head = format!("*1|*7|$1|q|$40|{ID}|${}|{text}|", Body::SHARED_FROM);
    let reply = Reply::Jobs { rows, with_counters: true };
    check(&reply, &effects, &format!("{head}$5|nacks|:1|$21|additional-deliveries|:2|"));
    let shown = Reply::Job(Box::new(JobDetails { body: Some(body.clone()), ..details() }));
    assert!(encoded(&shown, &effects, &context(Protocol::Resp2)).ends_with(&bulk(&text)));
    for reply in [reply, shown] {
        let mut out = Output::default();
        encode(&reply, &effects, &context(Protocol::Resp2), &mut out);
        let mut slices = [IoSlice::new(&[]); 8];
        let used = out.slices(&mut slices);
        assert!(slices[..used].iter().any(|slice| slice.as_ptr() == block), "the body was copied");
    }
}

fn details() -> JobDetails {
    JobDetails {
        id: id(),
        queue: Some(b"qq".as_slice().into()),
        state: JobState::Queued,
        replicate: 1,
        ttl: Millis(86_400_000),
        ctime: Ctime(1_795_314_183_123_000_004),
        delay: Millis(0),
        retry: Millis(300_000),
        nacks: 0,
        additional_deliveries: 0,
        nodes_delivered: vec![node(0xda)],
        nodes_confirmed: vec![],
        next_requeue: Some(Millis(299_966)),
        next_awake: Some(Millis(299_466)),
        body: Some(Body::copied(b"body")),
    }
}

/// The text of the reference server's reply, with the node and the TTL of [`details`].
fn shown() -> String {
    format!(
        "*30|$2|id|$40|{ID}|$5|queue|$2|qq|$5|state|$6|queued|$4|repl|:1|$3|ttl|:86400|\
         $5|ctime|:1795314183123000004|$5|delay|:0|$5|retry|:300|$5|nacks|:0|$21|additional-deliveries|:0|\
         $15|nodes-delivered|*1|$40|{}|$15|nodes-confirmed|*0|$19|next-requeue-within|:299966|\
         $17|next-awake-within|:299466|$4|body|$4|body|",
        "da".repeat(20)
    )
}

#[test]
fn show_is_a_list_of_thirty_in_the_published_order() {
    check(&Reply::Job(Box::new(details())), &Effects::new(), &shown());
    let scan = Reply::JobScanAll { cursor: 7, jobs: vec![details(), details()] };
    check(&scan, &Effects::new(), &format!("*2|$1|7|*2|{}{}", shown(), shown()));
}

#[test]
fn show_rounds_spans_up_to_seconds_and_tells_never_as_null() {
    let job = JobDetails {
        state: JobState::WaitReplication,
        ttl: Millis(1),
        delay: Millis(1001),
        retry: Millis(250),
        next_requeue: None,
        next_awake: None,
        nodes_confirmed: vec![node(1), node(2)],
        ..details()
    };
    let expected = shown()
        .replace("$6|queued|", "$9|wait-repl|")
        .replace(":86400|", ":1|")
        .replace("$5|delay|:0|", "$5|delay|:2|")
        .replace(":300|", ":1|")
        .replace(":299966|", "$-1|")
        .replace(":299466|", "$-1|")
        .replace("*0|", &format!("*2|$40|{}|$40|{}|", "01".repeat(20), "02".repeat(20)));
    check(&Reply::Job(Box::new(job)), &Effects::new(), &expected);
}

#[test]
fn show_of_an_acknowledgement_without_a_job_has_nulls_for_queue_and_body() {
    let job =
        JobDetails { queue: None, state: JobState::Acked, body: None, nodes_delivered: vec![], ..details() };
    let expected = shown()
        .replace("$2|qq|", "$-1|")
        .replace("$6|queued|", "$5|acked|")
        .replace(&format!("*1|$40|{}|", "da".repeat(20)), "*0|")
        .replace("$4|body|$4|body|", "$4|body|$-1|");
    check(&Reply::Job(Box::new(job)), &Effects::new(), &expected);
}

#[test]
fn qstat_is_a_list_in_the_published_order_with_ours_behind_it() {
    let fresh = QueueDetails {
        name: b"q".as_slice().into(),
        len: 0,
        age: Millis(999),
        idle: Millis(0),
        blocked: 0,
        import_from: vec![],
        import_rate: 0,
        jobs_in: 0,
        jobs_out: 0,
        pause: PauseState::NONE,
        oldest: Millis(0),
        in_flight: 0,
    };
    let observed = "*24|$4|name|$1|q|$3|len|:0|$3|age|:0|$4|idle|:0|$7|blocked|:0|$11|import-from|*0|\
                    $11|import-rate|:0|$7|jobs-in|:0|$8|jobs-out|:0|$5|pause|$4|none|$6|oldest|:0|\
                    $9|in-flight|:0|";
    check(&Reply::Queue(Box::new(fresh.clone())), &Effects::new(), observed);
    let busy = QueueDetails {
        len: 2,
        age: Millis(5000),
        idle: Millis(3999),
        blocked: 4,
        import_from: vec![node(1)],
        import_rate: 5,
        jobs_in: 6,
        jobs_out: u64::MAX,
        pause: PauseState { input: true, output: true },
        oldest: Millis(7999),
        in_flight: 9,
        ..fresh
    };
    let expected = format!(
        "*24|$4|name|$1|q|$3|len|:2|$3|age|:5|$4|idle|:3|$7|blocked|:4|$11|import-from|*1|$40|{}|\
         $11|import-rate|:5|$7|jobs-in|:6|$8|jobs-out|:9223372036854775807|$5|pause|$3|all|$6|oldest|:7|\
         $9|in-flight|:9|",
        "01".repeat(20)
    );
    check(&Reply::Queue(Box::new(busy)), &Effects::new(), &expected);
}

#[test]
fn hello_tells_every_node_as_four_strings() {
    let me = node(0x0e);
    let lone = |ip, port| Reply::Hello { me, nodes: vec![HelloNode { id: me, ip, port, priority: 1 }] };
    let id = bulk(&"0e".repeat(20));
    let expected = |ip: &str, port: &str| format!("*3|:1|{id}*4|{id}{}{}{}", bulk(ip), bulk(port), bulk("1"));
    check(&lone(None, 7811), &Effects::new(), &expected("", "7811"));
    check(&lone(None, 0), &Effects::new(), &expected("", "7711"));
    let known = "10.0.0.1".parse().ok();
    check(&lone(known, 7811), &Effects::new(), &expected("10.0.0.1", "7811"));
    for (local, told) in [("127.0.0.1", "127.0.0.1"), ("::1", "::1"), ("::ffff:127.0.0.1", "127.0.0.1")] {
        let ctx = ReplyContext { local_ip: local.parse().ok(), ..context(Protocol::Resp3) };
        assert_eq!(encoded(&lone(None, 7811), &Effects::new(), &ctx), expected(told, "7811"));
        assert_eq!(encoded(&lone(known, 7811), &Effects::new(), &ctx), expected("10.0.0.1", "7811"));
    }
    let other = HelloNode { id: node(1), ip: known, port: 7712, priority: 100 };
    let nodes = vec![HelloNode { id: me, ip: known, port: 7811, priority: 1 }, other];
    let told = expected("10.0.0.1", "7811").replace("*3|", "*4|");
    let other = [bulk(&"01".repeat(20)), bulk("10.0.0.1"), bulk("7712"), bulk("100")].concat();
    check(&Reply::Hello { me, nodes }, &Effects::new(), &format!("{told}*4|{other}"));
    // Another node's address may be lost; it is not at the address of this connection.
    let lost = HelloNode { id: node(1), ip: None, port: 0, priority: 5 };
    let ctx = ReplyContext { local_ip: known, ..context(Protocol::Resp3) };
    let told = format!("*3|:1|{id}*4|{}{}{}{}", bulk(&"01".repeat(20)), bulk(""), bulk("0"), bulk("5"));
    assert_eq!(encoded(&Reply::Hello { me, nodes: vec![lost] }, &Effects::new(), &ctx), told);
}

#[test]
fn cluster_texts_are_bulk_strings() {
    let info =
        ClusterInfo { known_nodes: 3, reachable_nodes: 2, size: 3, messages_sent: 7, messages_received: 8 };
    let text = "cluster_state:ok|cluster_known_nodes:3|cluster_reachable_nodes:2|cluster_size:3|\
                cluster_stats_messages_sent:7|cluster_stats_messages_received:8|";
    let len = text.replace('|', "\r\n").len();
    check(&Reply::ClusterInfo(Box::new(info)), &Effects::new(), &format!("${len}|{text}|"));
    let mut flags = NodeFlags::MYSELF;
    flags.set(NodeFlags::LEAVING, true);
    let line = NodeLine {
        id: node(0xda),
        ip: None,
        port: 7811,
        bus_port: Some(4000),
        flags,
        ping_sent: UnixMillis(0),
        pong_received: UnixMillis(0),
        connected: true,
    };
    let text = format!("{} :7811 myself,leaving 0 0 connected\n", "da".repeat(20));
    let forgotten = vec![(node(0xdb), UnixMillis(7))];
    let reply = Reply::Nodes(Box::new(NodesConf { nodes: vec![line], forgotten }));
    check(&reply, &Effects::new(), &bulk(&text));
}

#[test]
fn refusals_have_the_published_texts() {
    const NOREPL: &str = "NOREPL Not enough reachable nodes for the requested replication level";
    let because = |reason| {
        format!("{NOREPL}, since I'm unable to hold a copy of the message for the following reason: {reason}")
    };
    for (refusal, text) in [
        (
            Refusal::AtMostOnceReplicated,
            "ERR With RETRY set to 0 please explicitly set  REPLICATE to 1 (at-most-once delivery)",
        ),
        (
            Refusal::DelayNotBelowTtl,
            "ERR The specified DELAY is greater than TTL. Job refused since would never be delivered",
        ),
        (Refusal::NotEnoughNodes, NOREPL),
        (Refusal::NotEnoughNodesLeaving, &because("I'm leaving the cluster")),
        (Refusal::NotEnoughNodesNoMemory, &because("I'm out of memory")),
        (
            Refusal::NotReplicated,
            "NOREPL Timeout reached before replicating to the requested number of nodes",
        ),
        (
            Refusal::GoneBeforeReplicated,
            "NOREPL job removed (expired?) before the requested replication level was achieved",
        ),
        (Refusal::QueueTooLong, "MAXLEN Queue is already longer than the specified MAXLEN count"),
        (Refusal::Paused, "PAUSED Queue paused in input, try later"),
        (
            Refusal::TooManyNodes,
            "ERR This node knows 63 other nodes, the most there can be; forget one with CLUSTER FORGET",
        ),
        (
            Refusal::TooManyHandshakes,
            "ERR Too many handshakes are under way, try again when CLUSTER NODES shows fewer",
        ),
        (Refusal::Leaving, "LEAVING This node is leaving the cluster, please connect to a different one"),
        (Refusal::UnknownJob, "NOJOB Job not known in the context of this node."),
        (
            Refusal::TooLate,
            "TOOLATE Half of job TTL already elapsed, you are no longer allowed to postpone the next \
             delivery.",
        ),
        (Refusal::Acked, "ACKED Job already acknowledged, it will not be delivered again."),
        (Refusal::OutOfMemory, "OOM command not allowed when used memory > 'maxmemory'."),
        (Refusal::ForgetMyself, "ERR I tried hard but I can't forget myself..."),
    ] {
        check(&Reply::Refused(refusal), &Effects::new(), &format!("-{text}|"));
    }
    let unknown = Reply::Refused(Refusal::UnknownNode(node(0xda)));
    check(&unknown, &Effects::new(), &format!("-ERR Unknown node {}|", "da".repeat(20)));
}
