//! Replies of the engine as RESP.
//!
//! The shapes and types are those of the reference server, on which client libraries depend (commands.md 16):
//! an added job's ID is a status, IDs inside lists are bulk strings, HELLO's ports are bulk strings. In
//! version 3 of the protocol only nulls differ (redis-clients.md 5).
//!
//! What is answered often is written straight into the output; long bodies are not copied on their way.

mod details;
mod refusal;

use std::net::IpAddr;

pub use refusal::refusal_text;

use crate::engine::{BodyRef, ClusterInfo, Effects, HelloNode, Reply, Rows};
use crate::resp::{Output, Protocol, Value, write};
use crate::types::{JobId, NodeId};

/// What the encoding of a reply depends on beside the reply.
#[derive(Clone, Copy, Debug)]
pub struct ReplyContext {
    /// The version that the connection speaks.
    pub protocol: Protocol,
    /// The address of this side of the connection: what HELLO tells if the node does not know its own.
    pub local_ip: Option<IpAddr>,
    /// The port that this server listens on: what HELLO tells if the engine does not know it.
    pub port: u16,
}

/// Appends the reply to the output. Rows of jobs lie in the effects among which the reply stands.
pub fn encode(reply: &Reply, effects: &Effects, ctx: &ReplyContext, out: &mut Output) {
    let protocol = ctx.protocol;
    let bytes = out.bytes_mut();
    match reply {
        Reply::JobId(id) => write::plain_status(bytes, &id.text()),
        Reply::Int(n) => write::int(bytes, *n),
        Reply::Jobs { rows, with_counters } => jobs(effects, *rows, *with_counters, out),
        Reply::NoJob | Reply::NoSuchQueue => write::null_array(bytes, protocol),
        Reply::NoSuchJob => write::null(bytes, protocol),
        Reply::Ok => write::status(bytes, b"OK"),
        Reply::Pause(state) => write::status(bytes, state.word().as_bytes()),
        Reply::Leaving(leaving) => write::status(bytes, if *leaving { b"yes" } else { b"no" }),
        Reply::Job(job) => details::job(job, protocol, out),
        Reply::Queue(queue) => details::queue(queue).encode(protocol, bytes),
        Reply::QueueScan { cursor, queues } => {
            scan_head(*cursor, queues.len(), bytes);
            queues.iter().for_each(|queue| write::bulk(bytes, queue));
        }
        Reply::JobScan { cursor, jobs } => {
            scan_head(*cursor, jobs.len(), bytes);
            jobs.iter().for_each(|id| write::plain_status(bytes, &id.text()));
        }
        Reply::JobScanAll { cursor, jobs } => {
            scan_head(*cursor, jobs.len(), bytes);
            jobs.iter().for_each(|job| details::job(job, protocol, out));
        }
        Reply::Hello { me, nodes } => hello(me, nodes, ctx).encode(protocol, bytes),
        Reply::NodeId(id) => write::bulk(bytes, &id.text()),
        Reply::Nodes(conf) => {
            // Clients read six words per line; what only the file knows is not for them.
            let lines: String = conf.nodes.iter().map(|node| format!("{node}\n")).collect();
            write::bulk(bytes, lines.as_bytes());
        }
        Reply::ClusterInfo(info) => write::bulk(bytes, cluster_info(info).as_bytes()),
        Reply::Refused(refusal) => write::error(bytes, &refusal_text(*refusal)),
    }
}

/// GETJOB and QPEEK: queue, ID and body of each job, then its counters if asked for (commands.md 7.3).
fn jobs(effects: &Effects, rows: Rows, with_counters: bool, out: &mut Output) {
    write::array(out.bytes_mut(), rows.len());
    for row in effects.rows(rows) {
        let bytes = out.bytes_mut();
        write::array(bytes, if with_counters { 7 } else { 3 });
        write::bulk(bytes, effects.queue(row));
        job_id(&row.id, bytes);
        match effects.body(row) {
            BodyRef::Inline(body) => write::bulk(bytes, body),
            BodyRef::Shared(body) => shared_bulk(body, out),
        }
        if with_counters {
            let bytes = out.bytes_mut();
            write::bulk(bytes, b"nacks");
            write::int(bytes, i64::from(row.nacks));
            write::bulk(bytes, b"additional-deliveries");
            write::int(bytes, i64::from(row.additional_deliveries));
        }
    }
}

fn job_id(id: &JobId, out: &mut Vec<u8>) {
    write::bulk(out, &id.text());
}

/// A bulk string whose bytes are not copied.
fn shared_bulk(body: &std::sync::Arc<Vec<u8>>, out: &mut Output) {
    write::bulk_header(out.bytes_mut(), body.len());
    out.push_shared(body.clone());
    out.bytes_mut().extend_from_slice(b"\r\n");
}

/// What stands before the elements of a scan: the cursor, then how many elements follow.
fn scan_head(cursor: u64, len: usize, out: &mut Vec<u8>) {
    write::array(out, 2);
    write::bulk(out, cursor.to_string().as_bytes());
    write::array(out, len);
}

/// Every node has exactly four elements, all of them bulk strings: libraries check it (redis-clients.md 4.2).
fn hello(me: &NodeId, nodes: &[HelloNode], ctx: &ReplyContext) -> Value {
    let mut items = vec![Value::Int(1), node_id(me)];
    items.extend(nodes.iter().map(|node| {
        // Where this node is, the client knows best. Another one without an address is nowhere.
        let myself = node.id == *me;
        let known = node.ip.or(ctx.local_ip.filter(|_| myself));
        let ip = known.map_or(String::new(), |ip| ip.to_canonical().to_string());
        let port = if myself && node.ip.is_none() && node.port == 0 { ctx.port } else { node.port };
        let texts = [ip, port.to_string(), node.priority.to_string()];
        let fields = texts.into_iter().map(|text| Value::Bulk(text.into_bytes()));
        Value::Array(std::iter::once(node_id(&node.id)).chain(fields).collect())
    }));
    Value::Array(items)
}

fn node_id(id: &NodeId) -> Value {
    Value::Bulk(id.text().to_vec())
}

fn cluster_info(info: &ClusterInfo) -> String {
    let ClusterInfo { known_nodes, reachable_nodes, size, messages_sent, messages_received } = info;
    format!(
        "cluster_state:ok\r\ncluster_known_nodes:{known_nodes}\r\ncluster_reachable_nodes:{reachable_nodes}\r\n\
         cluster_size:{size}\r\ncluster_stats_messages_sent:{messages_sent}\r\n\
         cluster_stats_messages_received:{messages_received}\r\n"
    )
}

#[cfg(test)]
mod tests;
