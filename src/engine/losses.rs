//! After a start on a damaged file: asking the other nodes what this one is to hold, and answering those who ask.
//!
//! A record that cannot be read may have been a job, or the end of one. Nobody else sees that it is gone, since this node is
//! back and well. So it asks, on every link that comes up for a while; those who are asked go through their jobs (`sweep.rs`)
//! and tell it, for each job that they take it to hold, that it does (HOLDERS), or that the job is done (SETACK). If it does not
//! know the job it says so, and the one who has told it makes a new copy, here or elsewhere. What it does know costs the
//! message.

use super::Engine;
use super::effect::{Effects, Outgoing};
use super::job::JobIndex;
use crate::bus::{Features, Message};
use crate::types::{Millis, NodeId, NodeIndex, NodeSet, UnixMillis};

/// How long after a start others are asked: each of them will most likely have been there by then.
const ASKING: Millis = Millis(10 * 60 * 1000);

/// What is known about losses of this node.
#[derive(Debug, Default)]
pub(super) struct Losses {
    ask_until: Option<UnixMillis>,
    /// Nodes that have asked. When the next link to one of them comes up it is told once more: what was said on the one before
    /// may not have reached it, which was just started.
    asked: NodeSet,
}

impl Engine {
    /// The file lacked records.
    pub(super) fn records_were_lost(&mut self, out: &mut Effects) {
        self.losses.ask_until = Some(self.now + ASKING);
        for node in self.nodes.table.linked().iter() {
            self.ask_about_losses(node, out);
        }
    }

    /// A link to a node has been answered for the first time: asks it, and tells it what it has asked.
    pub(super) fn link_can_be_used(&mut self, node: NodeIndex, out: &mut Effects) {
        if self.losses.asked.contains(node) {
            self.losses.asked.remove(node);
            self.peer_has_lost(node);
        }
        self.ask_about_losses(node, out);
    }

    /// Asks one node, if there is something to ask and the node knows the question.
    fn ask_about_losses(&mut self, node: NodeIndex, out: &mut Effects) {
        let asks = self.losses.ask_until.is_some_and(|until| self.now < until);
        if asks && self.nodes.table.those_with(Features::LOSSES).contains(node) {
            self.send(node, Outgoing::Other(Box::new(Message::LostJobs)), out);
        }
    }

    /// LOSTJOBS: a node has lost records.
    pub(super) fn lost_jobs(&mut self, sender: NodeIndex) {
        tracing::info!(node = %self.nodes.table.id(sender), "a node has lost records, and is told of its jobs");
        self.losses.asked.insert(sender);
        self.peer_has_lost(sender);
    }

    /// Tells nodes that have lost records that they are to hold a job. One of the other holders does.
    pub(super) fn remind(&mut self, index: JobIndex, lost: NodeSet, out: &mut Effects) {
        let job = &self.jobs[index];
        let others = job.confirmed.intersection(self.live_nodes()).without(lost);
        if !others.contains(NodeIndex::MYSELF) || !self.is_first_of(others, job.id) {
            return;
        }
        let nodes = job.delivered.iter().map(|node| self.nodes.table.id(node)).collect::<Vec<NodeId>>();
        let message = Message::Holders { job: job.id, nodes: nodes.into() };
        self.send_all(lost.intersection(self.nodes.table.capable()), &message, out);
    }
}
