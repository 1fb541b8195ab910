//! `check`: what each node says about each other, compared; every fault with its remedy.

use std::collections::BTreeMap;
use std::io::{self, Write};

use serde_json::json;

use super::node::{self, Member, Node, short};
use super::{Cluster, Exit, Fault};
use crate::types::counted;

/// Clocks that differ by more put the jobs of a queue in a wrong order, and end lives early.
const CLOCKS_APART_MAX_MS: i64 = 1000;

/// Compares the views of all nodes that can be found from one.
pub(super) fn check(cluster: &Cluster, address: Option<&String>) -> Result<Exit, Fault> {
    let (mut nodes, missing) = node::all(cluster, cluster.node(address)?);
    let mut faults = Vec::new();
    faults.extend(missing.iter().map(|(member, reason)| unreachable(member, reason)));
    nodes.iter().for_each(|node| views(node, &nodes, &mut faults));
    clocks(&mut nodes, &mut faults)?;
    let mut stdout = io::stdout().lock();
    if cluster.json {
        let leaving = nodes.iter().filter(|node| node.own().is_some_and(|own| own.has("leaving")));
        let found = json!({
            "well": faults.is_empty(),
            "nodes": nodes.len() + missing.len(),
            "faults": faults,
            "leaving": leaving.map(|node| node.id.clone()).collect::<Vec<_>>(),
            "note": versions(&nodes),
        });
        writeln!(stdout, "{found}")?;
        return Ok(if faults.is_empty() { Exit::Success } else { Exit::Refused });
    }
    versions(&nodes).map_or(Ok(()), |note| writeln!(stdout, "Note: {note}"))?;
    for node in &nodes {
        if node.own().is_some_and(|own| own.has("leaving")) {
            writeln!(
                stdout,
                "Note: {} is leaving and holds {}",
                node.name(),
                counted(node.number("registered_jobs"), "job", "jobs")
            )?;
        }
    }
    faults.iter().try_for_each(|fault| writeln!(stdout, "Wrong: {fault}"))?;
    if faults.is_empty() {
        match nodes.len() {
            1 => writeln!(stdout, "All is well: the node is alone.")?,
            nodes => writeln!(
                stdout,
                "All is well: {nodes} nodes that know each other, all links up, clocks together."
            )?,
        }
        return Ok(Exit::Success);
    }
    let faults = counted(faults.len(), "fault", "faults");
    let nodes = counted(nodes.len() + missing.len(), "node", "nodes");
    writeln!(stdout, "{faults} found at {nodes}.")?;
    Ok(Exit::Refused)
}

fn unreachable(member: &Member, reason: &str) -> String {
    format!(
        "{} ({}) cannot be reached: {reason}. Start it with its directory, or, if it is gone for good: \
         disque --cluster remove {}",
        member.address,
        short(&member.id),
        member.id
    )
}

/// What one node sees otherwise than it should.
fn views(node: &Node, nodes: &[Node], faults: &mut Vec<String>) {
    for other in nodes.iter().filter(|other| other.id != node.id) {
        let Some(row) = node.members.iter().find(|row| row.id == other.id) else {
            faults.push(format!(
                "{} does not know {}. On the first: CLUSTER MEET and the address of the second",
                node.name(),
                other.name()
            ));
            continue;
        };
        if let Some(flag) = row.flags.iter().find(|flag| flag.starts_with("fail")) {
            faults.push(format!(
                "{} says {flag} about {}, which answers here. Is the network between them open, also for the port \
                 for nodes ({})?",
                node.name(),
                other.name(),
                other.field("cluster_bus_port").unwrap_or("10000 above the port")
            ));
        } else if !row.connected && !row.has("handshake") {
            faults.push(format!(
                "{} has no link to {}. If this lasts, look at the network, and at the log of both",
                node.name(),
                other.name()
            ));
        }
    }
    for row in node.members.iter().filter(|row| row.has("handshake")) {
        let text = "has an unfinished handshake with";
        let remedy = "If this lasts, nothing answers there on the port for nodes";
        faults.push(format!("{} {text} {}. {remedy}", node.name(), row.address));
    }
}

fn clocks(nodes: &mut [Node], faults: &mut Vec<String>) -> Result<(), Fault> {
    let mut first: Option<(String, i64, i64)> = None;
    for node in nodes {
        let (ahead, exact) = node.clock_ahead()?;
        let (name, base, base_exact) = first.get_or_insert_with(|| (node.name(), ahead, exact));
        let apart = (ahead - *base).abs() - exact - *base_exact;
        if apart > CLOCKS_APART_MAX_MS {
            faults.push(format!(
                "the clocks of {name} and {} are {apart} ms apart at least. Let both follow a time server (NTP)",
                node.name()
            ));
        }
    }
    Ok(())
}

fn versions(nodes: &[Node]) -> Option<String> {
    let mut versions: BTreeMap<&str, usize> = BTreeMap::new();
    for node in nodes {
        *versions.entry(node.field("disque_version").unwrap_or("unknown")).or_default() += 1;
    }
    let shown: Vec<_> =
        versions.iter().map(|(version, n)| format!("{version} ({})", counted(*n, "node", "nodes"))).collect();
    (shown.len() > 1).then(|| format!("several versions: {}; finish the upgrade", shown.join(", ")))
}
