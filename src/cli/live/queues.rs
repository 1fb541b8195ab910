//! Queues: what QSTAT says about them, and what they are together on all nodes.

use std::collections::BTreeMap;

use super::view::{Place, per_second};
use crate::resp::Reply;

/// A queue on one node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Queue {
    pub(super) name: Vec<u8>,
    pub(super) jobs: u64,
    pub(super) jobs_in: u64,
    pub(super) jobs_out: u64,
    /// Clients that wait for a job.
    pub(super) waiting: u64,
    /// Jobs that workers have; servers of old do not say.
    pub(super) in_flight: Option<u64>,
    /// Seconds since the first job was created; servers of old do not say.
    pub(super) oldest: Option<u64>,
    pub(super) pause: String,
}

impl Queue {
    /// What QSTAT answers; `None` for a queue that is gone.
    pub(super) fn read(reply: &Reply) -> Option<Queue> {
        let mut queue = Queue::default();
        let pairs = reply.pairs().filter(|pairs| !pairs.is_empty())?;
        for (name, value) in pairs {
            let number = match value {
                Reply::Integer(number) => u64::try_from(*number).unwrap_or(0),
                _ => 0,
            };
            match name.bytes()? {
                b"name" => queue.name = value.bytes()?.to_vec(),
                b"len" => queue.jobs = number,
                b"jobs-in" => queue.jobs_in = number,
                b"jobs-out" => queue.jobs_out = number,
                b"blocked" => queue.waiting = number,
                b"oldest" => queue.oldest = Some(number),
                b"in-flight" => queue.in_flight = Some(number),
                b"pause" => queue.pause = String::from_utf8_lossy(value.bytes()?).into_owned(),
                _ => {}
            }
        }
        Some(queue)
    }
}

/// A queue on all nodes together.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Total {
    pub(super) jobs: u64,
    /// On the nodes that say it, if any does.
    pub(super) in_flight: Option<u64>,
    /// Per second; `None` until there were two looks.
    pub(super) into: Option<f64>,
    pub(super) out: Option<f64>,
    pub(super) waiting: u64,
    /// The most on any node.
    pub(super) oldest: Option<u64>,
    /// How many nodes have it, and how many have paused it.
    pub(super) nodes: usize,
    pub(super) paused: usize,
}

/// All queues by their names.
pub(super) fn totals(places: &[Place]) -> BTreeMap<Vec<u8>, Total> {
    let mut totals: BTreeMap<Vec<u8>, Total> = BTreeMap::new();
    for place in places {
        let Some(last) = &place.last else { continue };
        let earlier: BTreeMap<&[u8], &Queue> = place
            .before
            .iter()
            .flat_map(|before| &before.queues)
            .map(|queue| (queue.name.as_slice(), queue))
            .collect();
        for queue in &last.queues {
            let total = totals.entry(queue.name.clone()).or_default();
            total.add(queue);
            let Some(before) = &place.before else { continue };
            let (was_in, was_out) =
                earlier.get(queue.name.as_slice()).map_or((0, 0), |was| (was.jobs_in, was.jobs_out));
            *total.into.get_or_insert(0.0) += per_second(before, last, was_in, queue.jobs_in);
            *total.out.get_or_insert(0.0) += per_second(before, last, was_out, queue.jobs_out);
        }
    }
    totals
}

impl Total {
    fn add(&mut self, queue: &Queue) {
        self.jobs += queue.jobs;
        if let Some(in_flight) = queue.in_flight {
            *self.in_flight.get_or_insert(0) += in_flight;
        }
        self.waiting += queue.waiting;
        self.oldest = self.oldest.max(queue.oldest);
        self.nodes += 1;
        self.paused += usize::from(!matches!(queue.pause.as_str(), "none" | ""));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_of_qstat_are_read_by_name() {
        let text = |text: &str| Reply::Text(text.as_bytes().to_vec());
        let fields =
            vec![text("name"), text("q"), text("new"), Reply::Integer(1), text("len"), Reply::Integer(5)];
        let queue = Queue::read(&Reply::Array(fields)).expect("a queue");
        assert_eq!((queue.name.as_slice(), queue.jobs, queue.oldest), (b"q".as_slice(), 5, None));
        assert_eq!(Queue::read(&Reply::Nil), None);
    }

    #[test]
    fn queues_are_summed_over_nodes() {
        let mut total = Total::default();
        let open = Queue { pause: "none".into(), ..Queue::default() };
        total.add(&open);
        assert_eq!(total.in_flight, None, "a server of old does not say");
        total.add(&Queue { jobs: 2, in_flight: Some(3), oldest: Some(7), ..open.clone() });
        total.add(&Queue {
            jobs: 3,
            in_flight: Some(4),
            waiting: 1,
            oldest: Some(4),
            pause: "in".into(),
            ..open
        });
        let Total { jobs, in_flight, waiting, oldest, nodes, paused, .. } = total;
        assert_eq!((jobs, in_flight, waiting, oldest, nodes, paused), (5, Some(7), 1, Some(7), 3, 1));
    }
}
