//! Which nodes are taken for failing: PFAIL by this node's own experience, FAIL by majority (cluster-bus.md 12).
//!
//! It decides who is asked to keep copies and what HELLO recommends, nothing else. A node that answers is not failing:
//! a PONG ends both states at once.
//!
//! RC1 believes any FAIL message, so that one confused node makes all others avoid a healthy one until its next PONG
//! (defect 10). Here a FAIL about a node that answered within half the node timeout is the sender's report and no
//! more; the node is pinged at once, and what it does then decides.

use rand::Rng as _;

use super::Engine;
use super::effect::Effects;
use crate::bus::Message;
use crate::types::{Millis, NodeId, NodeIndex, NodeSet};

/// How often one node is pinged that need not be.
const RANDOM_PING: Millis = Millis(1000);
/// Of how many nodes the one is pinged that has been silent for longest.
const PING_DRAWS: u32 = 5;
/// How long a node that seems to have moved has got to answer at its old address.
const PROBE: Millis = Millis(1000);

impl Engine {
    /// Pings, gives up broken links, suspects: what is looked at with every tick.
    pub(super) fn watch_nodes(&mut self, out: &mut Effects) {
        if self.nodes.random_ping_at <= self.now {
            self.nodes.random_ping_at = self.now + RANDOM_PING;
            self.ping_somebody(out);
        }
        for node in self.nodes.table.members().iter() {
            self.watch(node, out);
        }
    }

    fn watch(&mut self, node: NodeIndex, out: &mut Effects) {
        let row = &self.nodes.table[node];
        let timeout = self.settings.node_timeout;
        let owes_since = row.ping_sent.map(|ping| self.now.since(ping));
        if owes_since.is_none() {
            let quiet = row.pong_received.is_none_or(|pong| self.now.since(pong) > Millis(timeout.0 / 2));
            if quiet {
                self.ping(node, out);
            }
            return;
        }
        if row.address.is_none() {
            return;
        }
        if let Some(elsewhere) = row.elsewhere
            && owes_since > Some(self.probe())
        {
            return self.move_node(node, elsewhere, out);
        }
        let suspect = owes_since > Some(timeout) && !row.pfail && !row.fail;
        if self.is_link_spent(node) {
            self.close_link(node, out);
        }
        if suspect {
            self.nodes.table.update(node, |row| row.pfail = true);
            tracing::debug!(node = %self.nodes.table.id(node), "a node does not answer");
            self.judge(node, out);
        }
    }

    /// How long a ping may be unanswered before the address that it went to is doubted.
    pub(super) fn probe(&self) -> Millis {
        PROBE.min(Millis(self.settings.node_timeout.0 / 2))
    }

    /// One node a second, so that even long before the timeout something is known of each.
    fn ping_somebody(&mut self, out: &mut Effects) {
        let total = self.nodes.known();
        let mut oldest: Option<NodeIndex> = None;
        for _ in 0..PING_DRAWS {
            let Some(node) = self.nodes.nth_member(self.chance.next_u64() % total) else { continue };
            let row = &self.nodes.table[node];
            if row.link_up().is_none() || row.ping_sent.is_some() {
                continue;
            }
            let pong = |node: NodeIndex| self.nodes.table[node].pong_received;
            if oldest.is_none_or(|other| pong(node) < pong(other)) {
                oldest = Some(node);
            }
        }
        if let Some(node) = oldest {
            self.ping(node, out);
        }
    }

    /// This node did not run for a while, and may not have read the answers yet.
    pub(super) fn restart_ping_clocks(&mut self) {
        let now = self.now;
        for node in self.nodes.table.members().iter() {
            self.nodes.table.update(node, |row| row.ping_sent = row.ping_sent.map(|_| now));
        }
    }

    /// A PONG came on the link to a member.
    pub(super) fn pong(&mut self, node: NodeIndex) {
        let now = self.now;
        let (first, pfail, fail) = self.nodes.table.update(node, |row| {
            let before = (row.link.is_some_and(|link| !link.answered), row.pfail, row.fail);
            row.pong_received = Some(now);
            row.ping_sent = None;
            row.pfail = false;
            row.fail = false;
            row.dial.failures = 0;
            if let Some(link) = &mut row.link {
                link.answered = true;
            }
            before
        });
        if fail {
            self.nodes.unsaved = true;
            tracing::info!("Clear FAIL state for node {}: it answers again.", self.nodes.table.id(node));
        }
        if first || pfail || fail {
            self.peer_is_back(node);
        }
    }

    /// A member says how it finds another one.
    pub(super) fn take_report(
        &mut self,
        source: NodeIndex,
        node: NodeIndex,
        failing: bool,
        out: &mut Effects,
    ) {
        let now = self.now;
        let life = self.report_life();
        let is_fresh = |at| now.since(at) <= life;
        if !failing && self.nodes.table[node].reports.is_empty() {
            return;
        }
        self.nodes.table.update(node, |row| {
            row.reports.retain(|(reporter, at)| *reporter != source && is_fresh(*at));
            if failing {
                row.reports.push((source, now));
            }
        });
        if failing {
            self.judge(node, out);
        }
    }

    /// How long a report counts.
    fn report_life(&self) -> Millis {
        Millis(self.settings.node_timeout.0.saturating_mul(2))
    }

    /// Takes a node for failing if this node suspects it and a majority does.
    fn judge(&mut self, node: NodeIndex, out: &mut Effects) {
        let row = &self.nodes.table[node];
        if !row.pfail || row.fail {
            return;
        }
        let life = self.report_life();
        let fresh = row.reports.iter().filter(|(_, at)| self.now.since(*at) <= life).count() as u64;
        if fresh + 1 < self.nodes.size() / 2 + 1 {
            return;
        }
        let id = row.id;
        tracing::warn!("Marking node {id} as failing (quorum reached).");
        self.set_fail(node);
        self.send_all(self.nodes.table.linked(), &Message::Fail { node: id }, out);
    }

    fn set_fail(&mut self, node: NodeIndex) {
        self.nodes.table.update(node, |row| {
            row.pfail = false;
            row.fail = true;
        });
        self.nodes.unsaved = true;
        self.peer_has_failed(node);
    }

    /// FAIL: a member says that another one is failing by majority.
    pub(super) fn fail_message(&mut self, sender: NodeIndex, id: NodeId, out: &mut Effects) {
        let Some(node) = self.nodes.table.find_member(&id) else { return };
        let row = &self.nodes.table[node];
        if row.fail {
            return;
        }
        let recent = Millis(self.settings.node_timeout.0 / 2);
        let answers =
            row.link_up().is_some() && row.pong_received.is_some_and(|pong| self.now.since(pong) <= recent);
        let owes = row.ping_sent.is_some();
        if answers && !row.pfail {
            tracing::info!(node = %id, by = %self.nodes.table.id(sender), "called failing, but it answers here");
            self.take_report(sender, node, true, out);
        } else {
            tracing::warn!(node = %id, by = %self.nodes.table.id(sender), "a node is failing");
            self.set_fail(node);
        }
        if !owes {
            self.ping(node, out);
        }
    }

    /// What a node said about others means nothing any more.
    pub(super) fn drop_reports_of(&mut self, source: NodeIndex) {
        for node in self.nodes.table.members().iter() {
            self.nodes.table.update(node, |row| row.reports.retain(|(reporter, _)| *reporter != source));
        }
    }

    /// Members that this node suspects, not yet taken for failing.
    pub(super) fn suspects(&self) -> impl Iterator<Item = NodeIndex> {
        let members: NodeSet = self.nodes.table.members();
        members.iter().filter(|node| self.nodes.table[*node].pfail)
    }
}
