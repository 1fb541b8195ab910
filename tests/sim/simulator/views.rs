//! What nodes know of jobs, seen from outside: done is final, nobody forgets that a job is done while somebody else
//! would go on delivering it, and nobody has a copy that no other holder knows of.

use disque::aof::{JobRecord, Record};
use disque::engine::{Engine, Walk};
use foldhash::fast::FixedState;
use hashbrown::{HashMap, HashSet};

use disque::types::NodeId;

use super::ledger::{Id, text};
use super::plan::{Kind, SECOND};
use super::world::World;

pub type IdSet = HashSet<Id, FixedState>;

/// A job that was forgotten is remembered at least for so long, so that a late message does not bring it back.
const REMEMBERED: u64 = 50 * SECOND;

/// What a node knows of jobs, or knew when its process ended.
#[derive(Clone, Debug, Default)]
pub struct Known {
    pub active: IdSet,
    pub acked: IdSet,
    /// Those of `acked` of which it is a holder. Another node that heard of it may leave the rest to one of these.
    pub collects: IdSet,
    /// At-most-once jobs of `active` that wait in their queue or for their time. Nobody else will queue them.
    pub waiting_once: IdSet,
    /// Jobs that others had just handed over, which were not yet where the operator wants them. Nobody was told that they are.
    pub arriving: IdSet,
    /// Nothing that anybody was told depends on what the end took away.
    pub keeps: bool,
    /// What was promised to be on the disk is there.
    pub keeps_synced: bool,
}

/// What an audit saw, for the next one.
#[derive(Debug, Default)]
pub struct Seen {
    at: u64,
    acked: IdSet,
    collects: IdSet,
}

impl Known {
    pub fn of(engine: &Engine) -> Known {
        let mut known = Known::default();
        walk(engine, |record| match record {
            Record::Job(job) => {
                let id = job.image.id.text();
                known.active.insert(id);
                let waits = job.image.state == JobRecord::QUEUED || !job.requeue_at.is_never();
                if job.image.retry.is_zero() && waits {
                    known.waiting_once.insert(id);
                }
            }
            Record::Acked(acked) => {
                known.acked.insert(acked.id.text());
                if acked.holders.contains(&engine.me()) {
                    known.collects.insert(acked.id.text());
                }
            }
            _ => {}
        });
        known
    }
}

fn walk(engine: &Engine, mut show: impl FnMut(&Record<'_>)) {
    let mut walk = Walk::Start;
    while walk != Walk::Done {
        walk = engine.walk(walk, usize::MAX, &mut show);
    }
}

impl World {
    /// What a node knows, or will know again when it is back.
    pub fn known_at(&self, node: usize) -> Known {
        let state = &self.nodes[node];
        match (&state.engine, &state.remembers) {
            (Some(engine), _) => Known::of(engine),
            (None, Some(known)) => known.clone(),
            (None, None) => Known::default(),
        }
    }

    /// Compares what a node knows with what it knew when it was looked at last.
    pub fn look_at_acks(&mut self, node: usize) {
        let now = self.now;
        let Some(engine) = &self.nodes[node].engine else { return };
        let known = Known::of(engine);
        let before = std::mem::take(&mut self.nodes[node].seen);
        if now < before.at + REMEMBERED {
            let again = before.acked.iter().find(|id| known.active.contains(*id));
            if let Some(id) = again {
                let text = format!("{} at node {node}", text(id));
                self.violate("acknowledged job is active again", text);
            }
            self.judge_forgotten(node, now, &before.collects, &known);
        }
        self.nodes[node].seen = Seen { at: now, acked: known.acked, collects: known.collects };
    }

    /// That a job is done may be forgotten when all who may have it know. Judged where nothing else takes copies or
    /// knowledge away.
    fn judge_forgotten(&mut self, node: usize, now: u64, before: &IdSet, known: &Known) {
        // With 85 % in use a few jobs more suffice to have acknowledgements evicted.
        let takes_away =
            [Kind::Forget, Kind::NewId, Kind::Flush, Kind::Merge, Kind::MemoryHigh, Kind::MemoryCritical];
        let judged = self.plan.rc1 == 0
            && self.plan.second_cluster == 0
            && !self.plan.faults.iter().any(|fault| takes_away.contains(&fault.kind));
        if !judged {
            return;
        }
        let forgotten: Vec<Id> = before.difference(&known.acked).copied().collect();
        if forgotten.is_empty() {
            return;
        }
        for other in (0..self.nodes.len()).filter(|other| *other != node) {
            let others = self.known_at(other);
            let left = forgotten.iter().find(|id| {
                let ended = self.ledger.may_have_expired(id, now);
                others.active.contains(*id) && self.ledger.is_done(id) && !ended
            });
            if let Some(id) = left {
                let text = format!("{} by node {node}, and node {other} has it", text(id));
                return self.violate("forgotten while somebody has it", text);
            }
        }
    }

    /// Counts copies, and those that none of the other holders knows of.
    pub fn count_holders(&mut self) {
        let mut holders: HashMap<Id, Vec<(NodeId, Vec<NodeId>)>, FixedState> = HashMap::default();
        for state in &self.nodes {
            let Some(engine) = &state.engine else { continue };
            walk(engine, |record| {
                if let Record::Job(job) = record {
                    let known = job.image.nodes.to_vec();
                    holders.entry(job.image.id.text()).or_default().push((engine.me(), known));
                }
            });
        }
        for views in holders.values().filter(|views| views.len() > 1) {
            for (holder, _) in views {
                let others = views.iter().filter(|(other, _)| other != holder);
                let known = others.into_iter().any(|(_, nodes)| nodes.contains(holder));
                self.ledger.counts.copies_seen += 1;
                self.ledger.counts.copies_unknown += u64::from(!known);
            }
        }
    }
}
