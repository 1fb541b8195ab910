//! After the storm: all faults end, the operator puts the cluster in order, workers take what is there, and within a
//! computed time everything must be at rest.

use std::collections::BTreeSet;

use disque::engine::{Engine, JobState};
use disque::types::NodeId;

use super::client::Role;
use super::ledger::{self, queue_name};
use super::plan::{Kind, MS, SECOND};
use super::world::{Event, World};

const OPERATE_EVERY: u64 = 5 * SECOND;
/// How long the operator leaves members alone whose machine he thinks is gone or unknown.
const PATIENCE: u64 = 20 * SECOND;

impl World {
    pub fn begin_calm(&mut self) {
        let now = self.now;
        self.trace.note(now, || "CALM".to_owned());
        self.calm = true;
        self.calm_since = now;
        self.ledger.history.end_all(now);
        self.net.heal_everything();
        for node in 0..self.nodes.len() {
            if !self.nodes[node].exists {
                continue;
            }
            self.nodes[node].dies_after = None;
            self.nodes[node].disk.mend();
            self.nodes[node].clock.set_drift(now, 0);
            self.nodes[node].clock.set_suspended(now, false);
            if !self.net.powered[node] {
                self.restore_power(node);
            }
            self.start_node(node);
            if self.nodes[node].is_busy() {
                self.nodes[node].paused = 1;
                self.resume_node(node);
            }
        }
        self.heal();
        for client in 0..self.clients.len() {
            self.retire(client);
        }
        self.ledger.unpause_all(None);
        for node in 0..self.nodes.len() {
            if self.nodes[node].exists {
                self.settle_node(node);
                self.add_client(Role::Drainer, node, SECOND);
            }
        }
    }

    /// What an operator does at one node to have it as it was.
    fn settle_node(&mut self, node: usize) {
        self.set_maxmemory(node, 0);
        drop(self.ask(node, &[b"CLUSTER", b"LEAVING", b"no"]));
        for queue in 0..self.plan.queues as u8 {
            drop(self.ask(node, &[b"PAUSE", &queue_name(queue), b"none"]));
        }
    }

    pub fn operate(&mut self) {
        if !self.calm {
            if !self.founded {
                self.founded = self.put_in_order(self.plan.second_cluster == 0);
            }
            if !self.unmet.is_empty() && self.introduce() {
                for kind in std::mem::take(&mut self.unmet) {
                    self.ledger.history.end(kind, self.now);
                }
            }
        } else {
            if self.now >= self.calm_since + PATIENCE && !std::mem::replace(&mut self.counted, true) {
                self.count_holders();
            }
            let agreed = self.put_in_order(true);
            let over = self.now > self.calm_since + self.calm_limit();
            if (agreed && self.is_at_rest()) || over {
                return self.judge(agreed);
            }
            if self.now > self.calm_since + 10 * SECOND {
                // Broadcasts that were under way may have closed a queue again.
                for node in 0..self.nodes.len() {
                    if self.nodes[node].exists && !self.broadcast_pauses.is_empty() {
                        self.settle_node(node);
                    }
                }
            }
        }
        self.at(self.now + OPERATE_EVERY, Event::Operate);
    }

    /// Nodes with new identities can divide a cluster: who met them may go before telling the others. The operator has
    /// those meet who do not know each other, unless that is what is wanted. True if all nodes run and know each other.
    fn introduce(&mut self) -> bool {
        let unmet = |kind| self.unmet.iter().filter(|other| **other == kind).count();
        if [Kind::Merge, Kind::Forget].iter().any(|kind| self.ledger.history.lasting(*kind) > unmet(*kind)) {
            return false;
        }
        let here: Vec<usize> = (0..self.nodes.len()).filter(|node| self.nodes[*node].runs()).collect();
        let mut whole = (0..self.nodes.len()).all(|node| !self.nodes[node].exists || self.nodes[node].runs());
        for node in here.iter().copied() {
            let known = self.nodes[node].engine.as_ref().map(Engine::nodes_conf);
            let Some(known) = known.map(|conf| conf.nodes) else { return false };
            for other in here.iter().copied() {
                if self.id_of(other).is_some_and(|id| !known.iter().any(|line| line.id == id)) {
                    whole = false;
                    self.meet(node, other);
                }
            }
        }
        whole
    }

    /// Makes members of those who are not, and forgets those who are no more. True if there was nothing to do.
    fn put_in_order(&mut self, all: bool) -> bool {
        let here: Vec<usize> = (0..self.nodes.len()).filter(|node| self.nodes[*node].runs()).collect();
        let ids: BTreeSet<NodeId> = here.iter().filter_map(|node| self.id_of(*node)).collect();
        let mut agreed = true;
        if !all {
            return true;
        }
        let patient = self.calm && self.now < self.calm_since + PATIENCE;
        for node in here.iter().copied() {
            let conf = self.nodes[node].engine.as_ref().expect("it runs").nodes_conf();
            let known: BTreeSet<NodeId> = conf.nodes.iter().map(|line| line.id).collect();
            agreed &= known == ids && self.reaches_all(node, ids.len());
            if patient || known == ids {
                continue;
            }
            for other in here.iter().copied() {
                if self.id_of(other).is_some_and(|id| !known.contains(&id)) {
                    self.meet(node, other);
                }
            }
        }
        if self.calm && !patient {
            self.forget_the_gone(&here, &ids);
        }
        agreed
    }

    /// Whether a node takes all others for able to keep copies.
    fn reaches_all(&mut self, node: usize, members: usize) -> bool {
        let info = self.ask(node, &[b"CLUSTER", b"INFO"]).unwrap_or_default();
        let wanted = format!("cluster_reachable_nodes:{}\r\n", members - 1);
        !self.calm || info.windows(wanted.len()).any(|window| window == wanted.as_bytes())
    }

    /// Identities that no machine has any more. A node may know one only from the lists of holders of its jobs, so the
    /// operator tells all of them.
    fn forget_the_gone(&mut self, here: &[usize], ids: &BTreeSet<NodeId>) {
        let former: BTreeSet<NodeId> =
            self.nodes.iter().flat_map(|node| node.former.iter().copied()).collect();
        for id in former.difference(ids) {
            for node in here {
                drop(self.ask(*node, &[b"CLUSTER", b"FORGET", &id.text()]));
            }
        }
    }

    /// Whether nothing is pending anywhere.
    fn is_at_rest(&mut self) -> bool {
        let now = self.now;
        if self.now < self.calm_since + PATIENCE || self.ledger.pending(now) > 0 {
            return false;
        }
        if self.clients.iter().any(|client| client.role == Role::Drainer && !client.has_empty_hands()) {
            return false;
        }
        (0..self.nodes.len()).all(|node| self.leftovers(node).is_empty())
    }

    /// Jobs at a node that should not be there any more.
    fn leftovers(&mut self, node: usize) -> Vec<String> {
        let (now, jobs) = (self.now, self.jobs_at(node));
        let mut left = Vec::new();
        for job in jobs {
            let id = job.id.text();
            let may_stay = job.retry.0 == 0 && job.state != JobState::Acked && self.ledger.may_stay(&id, now);
            if !may_stay {
                let state = job.state.word();
                let number = self.ledger.number(&id);
                let (delivered, confirmed) = (job.nodes_delivered.len(), job.nodes_confirmed.len());
                left.push(format!(
                    "{} (job {number:?}) {state} at node {node}: {delivered} holders, {confirmed} confirmed, retry {} ms, next requeue {:?}, next awake {:?}",
                    ledger::text(&id),
                    job.retry.0,
                    job.next_requeue.map(|at| at.0),
                    job.next_awake.map(|at| at.0),
                ));
            }
        }
        left
    }

    /// The end of the seed.
    fn judge(&mut self, agreed: bool) {
        let now = self.now;
        let in_time = agreed && self.is_at_rest();
        if !in_time {
            if !agreed {
                self.judge_membership();
            }
            for node in 0..self.nodes.len() {
                for left in self.leftovers(node).into_iter().take(5) {
                    self.violate("left over", left);
                }
            }
        }
        self.ledger.judge_the_end(now);
        for node in 0..self.nodes.len() {
            self.audit(node);
        }
        if !in_time && self.ledger.violations.is_empty() {
            let pending = self.ledger.pending(now);
            let hands = self.clients.iter().filter(|client| !client.has_empty_hands()).count();
            self.violate("no rest", format!("{pending} jobs pending, {hands} clients with jobs"));
        }
        let calm = (now - self.calm_since) / MS;
        self.trace.note(now, || format!("at rest {calm} ms after the storm"));
        self.rest_at = Some(now);
    }

    fn judge_membership(&mut self) {
        for node in 0..self.nodes.len() {
            let Some(engine) = &self.nodes[node].engine else { continue };
            let lines: Vec<String> =
                engine.nodes_conf().nodes.iter().map(|line| format!("{} {}", line.id, line.flags)).collect();
            self.violate("membership", format!("node {node} knows {}", lines.join(", ")));
        }
    }
}
