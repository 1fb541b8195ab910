//! What other nodes say: who may say it, and which duty it is for (cluster-bus.md 4 and 17).

use super::Engine;
use super::effect::Effects;
use super::gossip::Heartbeat;
use super::input::Via;
use super::replication::Confirm;
use crate::bus::{Header, Message, Notice};
use crate::types::{JobId, NodeIndex};

impl Engine {
    /// Takes in one message. What strangers say is ignored, but for the messages by which they become members.
    pub(super) fn message(&mut self, via: Via, header: &Header, message: Message<'_>, out: &mut Effects) {
        self.nodes.messages_received += 1;
        let heartbeat = match &message {
            Message::Ping { .. } => Some(Heartbeat::Ping),
            Message::Pong { .. } => Some(Heartbeat::Pong),
            Message::Meet { .. } => Some(Heartbeat::Meet),
            _ => None,
        };
        if let Some(heartbeat) = heartbeat
            && let Message::Ping { gossip } | Message::Pong { gossip } | Message::Meet { gossip } = message
        {
            return self.heartbeat(via, header, heartbeat, &gossip, out);
        }
        let Some(sender) = self.nodes.table.sender(&header.sender) else { return };
        match message {
            Message::Ping { .. } | Message::Pong { .. } | Message::Meet { .. } => {}
            Message::Fail { node } => self.fail_message(sender, node, out),
            Message::ReplJob { job, no_reply: false } => self.repl_job(sender, job, Confirm::Kept, out),
            Message::ReplJob { job, no_reply: true } => self.repl_job(sender, job, Confirm::No, out),
            Message::SyncJob { job } => self.repl_job(sender, job, Confirm::OnDisk, out),
            Message::LostJobs => self.lost_jobs(sender),
            Message::Notice { job, notice } => self.notice(sender, job, notice, out),
            Message::NeedJobs { queue, count } => self.need_jobs(sender, &queue, count, out),
            Message::YourJobs { jobs } => self.your_jobs(sender, jobs, out),
            Message::Pause { queue, input, output } => self.pause_message(&queue, input, output),
            Message::Holders { job, nodes } => self.holders(sender, job, &nodes, out),
            Message::HaveJobs { queue } => self.have_jobs(sender, &queue, out),
        }
    }

    fn notice(&mut self, sender: NodeIndex, job: JobId, notice: Notice, out: &mut Effects) {
        match notice {
            Notice::GotJob => self.got_job(sender, job, out),
            Notice::Enqueue { delay } => self.enqueue_message(job, delay, out),
            Notice::Queued { counts, totals } => self.queued_message(sender, job, counts, totals, out),
            Notice::SetAck { nodes_known, digest } => self.set_ack(sender, job, nodes_known, digest, out),
            Notice::WillQueue => self.will_queue(sender, job, out),
            Notice::GotAck { known } => self.got_ack(sender, job, known, out),
            Notice::DelJob => self.del_job_message(job, out),
            Notice::Working => self.working_message(sender, job, out),
        }
    }
}
