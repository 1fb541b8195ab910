//! `create` and `add`: nodes meet, and the action waits until all know all.

use std::io::{self, Write};

use super::node::{self, Node};
use super::progress::{Look, wait};
use super::{Cluster, Exit, Fault};
use crate::types::counted;

/// Makes one cluster of nodes that are alone. Repeating it after a failure goes on where it was.
pub(super) fn create(cluster: &Cluster, words: &[String]) -> Result<Exit, Fault> {
    let mut nodes = words.iter().map(|word| cluster.node(Some(word))).collect::<Result<Vec<_>, _>>()?;
    for (n, node) in nodes.iter().enumerate() {
        if let Some(same) = nodes[..n].iter().find(|other| other.id == node.id) {
            let text = format!("{} and {} are the same node", same.address(), node.address());
            return Err(Fault::Refused(text));
        }
    }
    let ids: Vec<_> = nodes.iter().map(|node| node.id.clone()).collect();
    nodes.iter().try_for_each(|node| knows_no_others(node, &ids))?;
    let (first, rest) = nodes.split_first_mut().expect("there are two at least");
    rest.iter().try_for_each(|other| first.meet(other))?;
    agree(cluster, &mut nodes, &ids)?;
    writeln!(io::stdout(), "A cluster of {}.", counted(ids.len(), "node", "nodes"))?;
    Ok(Exit::Success)
}

/// Adds a node that is alone to the cluster of another.
pub(super) fn add(cluster: &Cluster, new: &String, existing: &String) -> Result<Exit, Fault> {
    let new = cluster.node(Some(new))?;
    let (mut nodes, missing) = node::all(cluster, cluster.node(Some(existing))?);
    if nodes.iter().any(|node| node.id == new.id) {
        return Err(Fault::Refused(format!("{} belongs to that cluster already", new.name())));
    }
    knows_no_others(&new, std::slice::from_ref(&new.id))?;
    for (member, reason) in &missing {
        writeln!(io::stdout(), "Not waiting for {} ({}): {reason}", member.address, node::short(&member.id))?;
    }
    nodes[0].meet(&new)?;
    nodes.push(new);
    let size = counted(nodes.len() + missing.len(), "node", "nodes");
    agree_on_the_last(cluster, &mut nodes)?;
    writeln!(io::stdout(), "{} belongs to a cluster of {size} now.", nodes[nodes.len() - 1].name())?;
    Ok(Exit::Success)
}

fn knows_no_others(node: &Node, ids: &[String]) -> Result<(), Fault> {
    match node.others().find(|member| !ids.contains(&member.id)) {
        None => Ok(()),
        Some(member) => Err(Fault::Refused(format!(
            "{} belongs to a cluster already: it knows {} ({}). Two clusters that meet become one. Add nodes to that \
             cluster with --cluster add, or take the node out of it with CLUSTER RESET, which deletes its jobs",
            node.name(),
            member.address,
            node::short(&member.id)
        ))),
    }
}

/// Waits until each knows exactly these.
fn agree(cluster: &Cluster, nodes: &mut [Node], ids: &[String]) -> Result<(), Fault> {
    wait(Some(cluster.patience()), || {
        let mut missing = 0;
        for node in nodes.iter_mut() {
            node.look()?;
            missing += usize::from(!node.agrees(ids));
        }
        Ok(done_or_waiting(nodes.len(), missing))
    })
}

/// Waits until the last one is known to all, and knows all.
fn agree_on_the_last(cluster: &Cluster, nodes: &mut [Node]) -> Result<(), Fault> {
    let ids: Vec<_> = nodes.iter().map(|node| node.id.clone()).collect();
    let newest = &ids[ids.len() - 1];
    wait(Some(cluster.patience()), || {
        let mut missing = 0;
        for node in nodes.iter_mut() {
            node.look()?;
            let wanted = if node.id == *newest { &ids[..] } else { std::slice::from_ref(newest) };
            let knows = |id: &String| {
                node.members
                    .iter()
                    .any(|member| member.id == *id && member.connected && !member.has("handshake"))
            };
            missing += usize::from(!wanted.iter().all(knows));
        }
        Ok(done_or_waiting(nodes.len(), missing))
    })
}

fn done_or_waiting(nodes: usize, missing: usize) -> Look {
    match missing {
        0 => Look::Done,
        missing => Look::Waiting(format!(
            "{} of {} know all others",
            nodes - missing,
            counted(nodes, "node", "nodes")
        )),
    }
}
