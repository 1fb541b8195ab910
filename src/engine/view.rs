//! What the shell may look at between two steps, without a request: queues in pieces, one queue, one job, the members.

use super::Engine;
use super::job::NameId;
use super::queue_table::Queue;
use super::reply::{JobDetails, QueueFacts};
use crate::bus::NodesConf;
use crate::types::{JobId, UnixMillis};

impl Engine {
    /// Shows the queues in `slots` slots from `from` on. Returns where to go on; `None` means that this was the end. A
    /// queue that exists throughout is seen once.
    pub fn queues_from(&self, from: usize, slots: usize, mut see: impl FnMut(QueueFacts)) -> Option<usize> {
        let end = from.saturating_add(slots).min(self.queues.slots());
        for slot in from..end {
            if let Some((id, queue)) = self.queues.slot(slot) {
                see(self.facts_of(id, queue));
            }
        }
        (end < self.queues.slots()).then_some(end)
    }

    /// One queue; `None` if it does not exist.
    pub fn queue_facts(&self, name: &[u8]) -> Option<QueueFacts> {
        let (id, queue) = self.queues.find_queue(name)?;
        Some(self.facts_of(id, queue))
    }

    /// The next jobs of a queue, at most `count`, in the order in which they will be handed out.
    pub fn next_jobs(&self, name: &[u8], count: usize) -> Vec<JobDetails> {
        let Some((_, queue)) = self.queues.find_queue(name) else { return Vec::new() };
        queue.lanes.iter(&self.jobs).take(count).map(|index| self.job_details(&self.jobs[index])).collect()
    }

    /// A job, in whatever state; `None` if this node does not know it.
    pub fn job(&self, id: &JobId) -> Option<JobDetails> {
        self.jobs.find(id).map(|index| self.job_details(&self.jobs[index]))
    }

    /// The nodes that this one knows, as CLUSTER NODES shows them.
    pub fn known_nodes(&self) -> NodesConf {
        self.nodes_shown()
    }

    /// Whether this node is leaving its cluster.
    pub fn is_leaving(&self) -> bool {
        self.nodes.is_leaving()
    }

    /// When the first job of a queue was created.
    pub(super) fn oldest_in(&self, queue: &Queue) -> Option<UnixMillis> {
        queue.lanes.first(&self.jobs).map(|index| self.jobs[index].ctime.millis())
    }

    fn facts_of(&self, id: NameId, queue: &Queue) -> QueueFacts {
        QueueFacts {
            name: self.queues.name(id).into(),
            len: queue.lanes.len() as u64,
            blocked: queue.line.len(),
            jobs_in: queue.jobs_in,
            jobs_out: queue.jobs_out,
            in_flight: self.queues.in_flight(id),
            oldest: self.oldest_in(queue),
            pause: queue.pause,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::effect::Effects;
    use super::super::input::{ClientId, Input};
    use super::super::request::{PauseState, Request};
    use super::super::{EngineSettings, Seed};
    use super::*;
    use crate::types::NodeId;

    const NOW: UnixMillis = UnixMillis(1_000_000);

    fn engine_with_queues(count: usize) -> Engine {
        let conf = NodesConf::alone(NodeId::from_bytes([7; 20]), 7711);
        let mut engine = Engine::new(EngineSettings::default(), &conf, Seed([1; 32]), NOW);
        let mut effects = Effects::new();
        for number in 0..count {
            let queue = format!("q{number}").into_bytes();
            let change = Some(PauseState { input: true, output: false });
            let request = Request::Pause { queue: &queue, change, broadcast: false };
            effects.clear();
            engine.step(NOW, Input::Request { client: ClientId(1), request }, &mut effects);
        }
        engine
    }

    #[test]
    fn pieces_of_any_size_show_every_queue_once() {
        let engine = engine_with_queues(20);
        for slots in [1, 7, 20, 100] {
            let (mut from, mut seen) = (Some(0), Vec::new());
            while let Some(at) = from {
                from = engine.queues_from(at, slots, |queue| seen.push(queue.name));
            }
            seen.sort();
            seen.dedup();
            assert_eq!(seen.len(), 20, "{slots} slots a piece");
        }
        assert_eq!(engine.queues_from(usize::MAX, usize::MAX, |_| panic!("nothing is there")), None);
    }

    #[test]
    fn an_unknown_queue_has_no_facts_and_no_jobs() {
        let engine = engine_with_queues(1);
        assert!(engine.queue_facts(b"q0").is_some_and(|queue| queue.pause.input && queue.oldest.is_none()));
        assert!(engine.queue_facts(b"other").is_none() && engine.next_jobs(b"other", 3).is_empty());
    }
}
