//! `info`: one row per node.

use std::io::{self, Write};

use serde_json::{Value, json};

use super::node::{self, Node, short};
use super::{Cluster, Exit, Fault};
use crate::cli::columns::columns;

const HEADER: [&str; 10] =
    ["node", "id", "flags", "version", "jobs", "queues", "memory", "clients", "blocked", "links"];
/// The columns that are text; the rest are numbers.
const TEXT_COLUMNS: usize = 4;

/// Shows all nodes that a node knows. Exit code 1 if one of them cannot be reached.
pub(super) fn info(cluster: &Cluster, address: Option<&String>) -> Result<Exit, Fault> {
    let (nodes, missing) = node::all(cluster, cluster.node(address)?);
    if cluster.json {
        let mut all: Vec<Value> = nodes.iter().map(object).collect();
        all.extend(missing.iter().map(|(member, why)| {
            json!({ "address": member.address, "id": member.id, "reachable": false, "fault": why })
        }));
        all.sort_by_key(|node| node["address"].to_string());
        writeln!(io::stdout().lock(), "{}", json!({ "nodes": all }))?;
        return Ok(if missing.is_empty() { Exit::Success } else { Exit::Refused });
    }
    let mut rows: Vec<_> = nodes.iter().map(|node| row(node, nodes.len() + missing.len())).collect();
    for (member, _) in &missing {
        let mut cells =
            vec![member.address.clone(), short(&member.id).to_string(), "unreachable".to_string()];
        cells.resize(HEADER.len(), "-".to_string());
        rows.push(cells);
    }
    rows.sort();
    let mut stdout = io::stdout().lock();
    columns(&HEADER, TEXT_COLUMNS, rows).iter().try_for_each(|line| writeln!(stdout, "{line}"))?;
    Ok(if missing.is_empty() { Exit::Success } else { Exit::Refused })
}

fn row(node: &Node, nodes: usize) -> Vec<String> {
    let flags = node.own().map_or(Vec::new(), |own| own.flags.clone());
    let flags: Vec<_> = flags.into_iter().filter(|flag| flag != "myself").collect();
    let links = node.others().filter(|member| member.connected).count();
    let field = |name: &str| node.field(name).unwrap_or("-").to_string();
    vec![
        node.address().to_string(),
        short(&node.id).to_string(),
        if flags.is_empty() { "-".to_string() } else { flags.join(",") },
        field("disque_version"),
        field("registered_jobs"),
        field("registered_queues"),
        field("used_memory_human"),
        field("connected_clients"),
        field("blocked_clients"),
        format!("{links}/{}", nodes - 1),
    ]
}

fn object(node: &Node) -> Value {
    let flags = node.own().map_or(Vec::new(), |own| own.flags.clone());
    json!({
        "address": node.address().to_string(),
        "id": node.id,
        "reachable": true,
        "flags": flags.into_iter().filter(|flag| flag != "myself").collect::<Vec<_>>(),
        "version": node.field("disque_version"),
        "jobs": node.number("registered_jobs"),
        "queues": node.number("registered_queues"),
        "used_memory": node.number("used_memory"),
        "clients": node.number("connected_clients"),
        "clients_blocked": node.number("blocked_clients"),
        "links_up": node.others().filter(|member| member.connected).count(),
        "nodes_known": node.others().count(),
    })
}
