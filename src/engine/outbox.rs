//! Saying things to other nodes: which of them a message goes to, and what a job looks like in one.

use super::Engine;
use super::effect::{Effect, Effects, Image, ImageFields, Outgoing, SendTo};
use super::job::JobIndex;
use crate::bus::{Message, Notice};
use crate::types::{JobId, NodeIndex, NodeSet, Span32};

impl Engine {
    /// Sends a message to one node. True if there was a link for it.
    pub(super) fn send(&mut self, node: NodeIndex, message: Outgoing, out: &mut Effects) -> bool {
        let Some(link) = self.nodes.table.link_up(node) else { return false };
        self.nodes.messages_sent += 1;
        out.push(Effect::Send { to: SendTo::Own(link), message });
        true
    }

    /// Tells one node something about a job.
    pub(super) fn tell(&mut self, node: NodeIndex, job: JobId, notice: Notice, out: &mut Effects) {
        self.send(node, Outgoing::Notice { job, notice }, out);
    }

    /// Tells several nodes something about a job; this node is not among them even if it is in the set.
    pub(super) fn tell_all(&mut self, nodes: NodeSet, job: JobId, notice: Notice, out: &mut Effects) {
        for node in nodes.intersection(self.nodes.table.linked()).iter() {
            self.tell(node, job, notice, out);
        }
    }

    /// Sends something else to several nodes.
    pub(super) fn send_all(&mut self, nodes: NodeSet, message: &Message<'static>, out: &mut Effects) {
        for node in nodes.intersection(self.nodes.table.linked()).iter() {
            self.send(node, Outgoing::Other(Box::new(message.clone())), out);
        }
    }

    /// Writes a job down as it is sent, with the nodes that may hold it. `delay` is how long the receiver must wait
    /// before it may queue the job at all.
    pub(super) fn image_of(&self, index: JobIndex, delay: Span32, out: &mut Effects) -> Image {
        let job = &self.jobs[index];
        let fields = ImageFields {
            id: job.id,
            state: job.state as u8,
            flags: job.flags.to_wire(),
            replicate: u16::from(job.replicate),
            expires_at: job.expires_at,
            ctime: job.ctime,
            delay,
            retry: job.retry,
            nacks: job.nacks,
            additional_deliveries: job.additional_deliveries,
        };
        let nodes = job.delivered.iter().map(|node| self.nodes.table.id(node));
        out.add_image(fields, self.queue_name_of(job).unwrap_or_default(), &job.body, nodes)
    }
}
