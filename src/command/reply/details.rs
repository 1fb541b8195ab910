//! The name/value lists of SHOW, JSCAN … REPLY ALL and QSTAT (commands.md 8.7, 9.3).
//!
//! Their order is frozen: some libraries read them by position. New fields may only be added at the end.

use crate::engine::{JobDetails, QueueDetails};
use crate::resp::{Output, Protocol, Value, write};
use crate::types::{Body, Millis, NodeId};

/// SHOW: 15 pairs. The body comes last and is not copied if it is long.
pub(super) fn job(job: &JobDetails, protocol: Protocol, out: &mut Output) {
    let fields = job_fields(job);
    let bytes = out.bytes_mut();
    write::array(bytes, 2 * (fields.len() + 1));
    for (name, value) in fields {
        write::bulk(bytes, name.as_bytes());
        value.encode(protocol, bytes);
    }
    write::bulk(bytes, b"body");
    match &job.body {
        None => write::null(bytes, protocol),
        Some(Body::Small(body)) => write::bulk(bytes, body),
        Some(Body::Shared(body)) => super::shared_bulk(body, out),
    }
}

fn job_fields(job: &JobDetails) -> [(&'static str, Value); 14] {
    [
        ("id", bulk(&job.id.text())),
        ("queue", job.queue.as_deref().map_or(Value::NullBulk, bulk)),
        ("state", bulk(job.state.word().as_bytes())),
        ("repl", count(job.replicate)),
        ("ttl", count(job.ttl.secs_ceil())),
        ("ctime", count(job.ctime.0)),
        ("delay", count(job.delay.secs_ceil())),
        ("retry", count(job.retry.secs_ceil())),
        ("nacks", count(job.nacks)),
        ("additional-deliveries", count(job.additional_deliveries)),
        ("nodes-delivered", nodes(&job.nodes_delivered)),
        ("nodes-confirmed", nodes(&job.nodes_confirmed)),
        ("next-requeue-within", within(job.next_requeue)),
        ("next-awake-within", within(job.next_awake)),
    ]
}

/// QSTAT: the 10 pairs of RC1, `oldest` and `in-flight`.
pub(super) fn queue(queue: &QueueDetails) -> Value {
    let fields = [
        ("name", bulk(&queue.name)),
        ("len", count(queue.len)),
        ("age", count(queue.age.0 / 1000)),
        ("idle", count(queue.idle.0 / 1000)),
        ("blocked", count(queue.blocked)),
        ("import-from", nodes(&queue.import_from)),
        ("import-rate", count(queue.import_rate)),
        ("jobs-in", count(queue.jobs_in)),
        ("jobs-out", count(queue.jobs_out)),
        ("pause", bulk(queue.pause.word().as_bytes())),
        ("oldest", count(queue.oldest.0 / 1000)),
        ("in-flight", count(queue.in_flight)),
    ];
    Value::Array(fields.into_iter().flat_map(|(name, value)| [bulk(name.as_bytes()), value]).collect())
}

fn bulk(bytes: &[u8]) -> Value {
    Value::Bulk(bytes.to_vec())
}

/// RESP has no unsigned integers; what does not fit is as good as the greatest.
fn count(n: impl Into<u64>) -> Value {
    Value::Int(i64::try_from(n.into()).unwrap_or(i64::MAX))
}

fn nodes(ids: &[NodeId]) -> Value {
    Value::Array(ids.iter().map(|id| bulk(&id.text())).collect())
}

fn within(span: Option<Millis>) -> Value {
    span.map_or(Value::NullBulk, |span| count(span.0))
}
