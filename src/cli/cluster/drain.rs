//! `drain` and `remove`: a node leaves, its jobs go, the others forget it.

use std::io::{self, Write};

use super::node::{self, Node, short};
use super::progress::{Look, wait};
use super::{Cluster, Exit, Fault};
use crate::types::counted;

/// A node ID is 40 hexadecimal digits.
const ID_LEN: usize = 40;

/// Makes a node leave and waits, without limit unless one is given, until it holds no jobs.
pub(super) fn drain(cluster: &Cluster, address: Option<&String>) -> Result<Exit, Fault> {
    let mut node = cluster.node(address)?;
    if node.others().next().is_none() {
        let text = "is alone: its jobs have nowhere to go. Add a node first (--cluster add)";
        return Err(Fault::Refused(format!("{} {text}", node.name())));
    }
    empty(cluster, &mut node)?;
    writeln!(io::stdout(), "{} holds no jobs. It can be stopped now.", node.name())?;
    let id = &node.id;
    writeln!(io::stdout(), "So that the others forget it: disque --cluster remove {id}")?;
    Ok(Exit::Success)
}

/// Drains a node if it can be reached, and makes all others forget it.
pub(super) fn remove(cluster: &Cluster, which: &str) -> Result<Exit, Fault> {
    let is_id = which.len() == ID_LEN && which.bytes().all(|byte| byte.is_ascii_hexdigit());
    let first = cluster.node((!is_id).then(|| which.to_string()).as_ref()).map_err(|fault| match fault {
        Fault::Unreachable(text) if !is_id => Fault::Unreachable(format!(
            "{text}\nA node that is gone is removed by its ID, which --cluster check of another node tells"
        )),
        other => other,
    })?;
    let id = if is_id { which.to_ascii_lowercase() } else { first.id.clone() };
    let (mut nodes, missing) = node::all(cluster, first);
    let at = nodes.iter().position(|node| node.id == id);
    let is_missing = missing.iter().any(|(member, _)| member.id == id);
    if at.is_none() && !is_missing {
        return Err(Fault::Refused(format!("no node of the cluster of {} is {id}", nodes[0].address())));
    }
    if let Some((member, reason)) = missing.iter().find(|(member, _)| member.id != id) {
        return Err(Fault::Unreachable(format!(
            "{} ({}) cannot be told to forget: {reason}. Start it, or remove it first",
            member.address,
            short(&member.id)
        )));
    }
    let gone = at.map(|at| nodes.swap_remove(at));
    if nodes.is_empty() {
        return Err(Fault::Refused(format!("{which} is alone: there is nobody to forget it")));
    }
    match gone {
        Some(mut gone) => {
            empty(cluster, &mut gone)?;
            forget(cluster, &mut nodes, &id)?;
            let others = counted(nodes.len(), "node", "nodes");
            writeln!(io::stdout(), "{} is forgotten by {others}. Stop it now.", gone.name())?;
        }
        None => {
            forget(cluster, &mut nodes, &id)?;
            let others = counted(nodes.len(), "node", "nodes");
            writeln!(io::stdout(), "{} was down; {others} forgot it.", short(&id))?;
        }
    }
    Ok(Exit::Success)
}

fn empty(cluster: &Cluster, node: &mut Node) -> Result<(), Fault> {
    node.ask(&["CLUSTER", "LEAVING", "yes"])?;
    wait(cluster.patience, || {
        node.look()?;
        Ok(match node.number("registered_jobs") {
            0 => Look::Done,
            jobs => {
                let jobs = counted(jobs, "job", "jobs");
                Look::Waiting(format!("{} is leaving and holds {jobs}", node.address()))
            }
        })
    })
}

/// Says FORGET to all until it is in no table: one that was told late may have brought it back to one of old
/// version, which forgets for a minute only.
fn forget(cluster: &Cluster, nodes: &mut [Node], id: &str) -> Result<(), Fault> {
    wait(Some(cluster.patience()), || {
        let mut knowing = 0;
        for node in nodes.iter_mut() {
            node.look()?;
            if node.members.iter().any(|member| member.id == id) {
                node.ask(&["CLUSTER", "FORGET", id])?;
                knowing += 1;
            }
        }
        Ok(match knowing {
            0 => Look::Done,
            knowing => {
                let all = counted(nodes.len(), "node", "nodes");
                Look::Waiting(format!("{knowing} of {all} knew it and had to be told"))
            }
        })
    })
}
