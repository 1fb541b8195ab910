//! What the page is told, as JSON, and what it asks to be done.
//!
//! Names and bodies are any bytes: text where they are UTF-8, else `{"base64": "…"}`. The page shows them as text and
//! never as markup. Times are milliseconds since 1970, spans milliseconds; both are numbers.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::gather::Overview;
use crate::bus::{NodeFlags, NodeLine};
use crate::engine::{JobDetails, JobState, PauseState, QueueFacts};
use crate::types::{NodeId, UnixMillis};

/// How much of a body is told.
const BODY_SHOWN: usize = 64 * 1024;

pub(super) fn overview(overview: &Overview) -> Value {
    let states = JobState::ALL.map(JobState::word);
    let jobs: serde_json::Map<_, _> = states
        .into_iter()
        .zip(overview.jobs)
        .map(|(state, count)| (state.to_owned(), count.into()))
        .collect();
    let condition = &overview.condition;
    let loading = condition
        .loading
        .map(|loading| json!({ "loaded": loading.loaded_bytes, "total": loading.total_bytes }));
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "now": overview.now.0,
        "started": overview.started.0,
        "jobs": jobs,
        "queues": overview.queues,
        "clients": overview.clients,
        "blocked": overview.blocked,
        "memory": { "used": overview.memory_used, "max": overview.memory_max },
        "commands": overview.commands,
        "aof": { "enabled": overview.aof_enabled, "bytes": overview.aof_bytes, "failure": condition.aof_failure },
        "loading": loading,
        "leaving": condition.leaving,
        "nodes": overview.nodes.nodes.iter().map(|line| node(line, overview.now)).collect::<Vec<_>>(),
    })
}

fn node(line: &NodeLine, now: UnixMillis) -> Value {
    let has = |flags| line.flags.has(flags);
    let state = match line.flags {
        _ if has(NodeFlags::HANDSHAKE) => "handshake",
        _ if has(NodeFlags::FAIL) => "failing",
        _ if has(NodeFlags::PFAIL) => "suspected",
        _ => "good",
    };
    let heard = (line.pong_received.0 > 0).then(|| now.since(line.pong_received).0);
    json!({
        "id": node_id(&line.id),
        "address": line.ip.map(|ip| std::net::SocketAddr::new(ip, line.port).to_string()),
        "port": line.port,
        "myself": has(NodeFlags::MYSELF),
        "state": state,
        "leaving": has(NodeFlags::LEAVING),
        "linked": line.connected,
        "heard": heard,
    })
}

/// A part of the queues; `total` exist, `found` of them were looked for.
pub(super) fn queues(queues: &[QueueFacts], total: usize, found: usize, now: UnixMillis) -> Value {
    let rows: Vec<Value> = queues.iter().map(|facts| queue(facts, now)).collect();
    json!({ "now": now.0, "total": total, "found": found, "queues": rows })
}

fn queue(queue: &QueueFacts, now: UnixMillis) -> Value {
    json!({
        "name": bytes(&queue.name),
        "jobs": queue.len,
        "in_flight": queue.in_flight,
        "in": queue.jobs_in,
        "out": queue.jobs_out,
        "waiting": queue.blocked,
        "age": queue.oldest.map(|oldest| now.since(oldest).0),
        "pause": queue.pause.word(),
    })
}

/// A queue and its next jobs.
pub(super) fn queue_with_jobs(facts: &QueueFacts, jobs: &[JobDetails], now: UnixMillis) -> Value {
    let jobs: Vec<Value> = jobs.iter().map(|details| job(details, now)).collect();
    json!({ "now": now.0, "queue": queue(facts, now), "next": jobs })
}

pub(super) fn job(job: &JobDetails, now: UnixMillis) -> Value {
    let body = job.body.as_ref().map(|body| body.bytes());
    let nodes = |ids: &[NodeId]| ids.iter().map(node_id).collect::<Vec<_>>();
    json!({
        "id": String::from_utf8_lossy(&job.id.text()),
        "queue": job.queue.as_deref().map(bytes),
        "state": job.state.word(),
        "created": job.ctime.millis().0,
        "now": now.0,
        "replicate": job.replicate,
        "ttl": job.ttl.0,
        "delay": job.delay.0,
        "retry": job.retry.0,
        "nacks": job.nacks,
        "additional_deliveries": job.additional_deliveries,
        "next_requeue": job.next_requeue.map(|span| span.0),
        "nodes": nodes(&job.nodes_delivered),
        "size": body.map(<[u8]>::len),
        "body": body.map(|body| bytes(start_of(body))),
    })
}

/// The queue and the state that the page asks for.
pub(super) fn pause(body: &[u8]) -> Option<(Vec<u8>, PauseState)> {
    let wish: Value = serde_json::from_slice(body).ok()?;
    let name = match wish.get("queue")? {
        Value::String(name) => name.clone().into_bytes(),
        name => STANDARD.decode(name.get("base64")?.as_str()?).ok()?,
    };
    let states = [(false, false), (true, false), (false, true), (true, true)];
    let word = wish.get("state")?.as_str()?;
    let states = states.map(|(input, output)| PauseState { input, output });
    states.into_iter().find(|state| state.word() == word).map(|state| (name, state))
}

fn bytes(bytes: &[u8]) -> Value {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.into(),
        Err(_) => json!({ "base64": STANDARD.encode(bytes) }),
    }
}

/// As much of a body as is told, cut between characters if it is text.
fn start_of(body: &[u8]) -> &[u8] {
    if body.len() <= BODY_SHOWN {
        return body;
    }
    let start = &body[..BODY_SHOWN];
    match std::str::from_utf8(start) {
        Err(error) if error.error_len().is_none() => &start[..error.valid_up_to()],
        _ => start,
    }
}

fn node_id(id: &NodeId) -> String {
    String::from_utf8_lossy(&id.text()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_are_read_and_nothing_else() {
        let out = PauseState { input: false, output: true };
        assert_eq!(pause(br#"{"queue": "a<b", "state": "out"}"#), Some((b"a<b".to_vec(), out)));
        assert_eq!(pause(br#"{"queue": {"base64": "/w=="}, "state": "out"}"#), Some((vec![0xff], out)));
        for body in [
            "",
            "[]",
            r#"{"queue": "q"}"#,
            r#"{"queue": 7, "state": "in"}"#,
            r#"{"queue": "q", "state": "x"}"#,
        ] {
            assert_eq!(pause(body.as_bytes()), None, "{body}");
        }
    }

    #[test]
    fn long_bodies_are_cut_between_characters() {
        let mut body = vec![b'x'; BODY_SHOWN - 1];
        body.extend("ö".repeat(10).bytes());
        assert_eq!(start_of(&body).len(), BODY_SHOWN - 1);
        assert!(bytes(start_of(&body)).is_string());
        assert_eq!(start_of(&[0xff; BODY_SHOWN + 9]).len(), BODY_SHOWN);
    }
}
