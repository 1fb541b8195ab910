//! What is told about queues.

use super::text::Samples;
use super::{Metric, MetricKind, family};
use crate::types::Millis;

/// What the metrics of a queue are made of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueueMetrics<'a> {
    /// Its name.
    pub name: &'a str,
    /// Jobs in it.
    pub jobs: u64,
    /// Jobs of it that workers have and have not acknowledged.
    pub in_flight: u64,
    /// Jobs queued so far.
    pub jobs_in: u64,
    /// Jobs handed out so far.
    pub jobs_out: u64,
    /// Clients that wait for a job.
    pub waiting: u64,
    /// How long ago the first job in it was created; zero without jobs.
    pub oldest: Millis,
    /// How many queues accept no jobs: one or none, unless it is the sum of many.
    pub paused_in: u64,
    /// How many hand out no jobs.
    pub paused_out: u64,
}

impl QueueMetrics<'_> {
    /// Counts another queue in.
    pub fn add(&mut self, other: &QueueMetrics<'_>) {
        self.jobs += other.jobs;
        self.in_flight += other.in_flight;
        self.jobs_in += other.jobs_in;
        self.jobs_out += other.jobs_out;
        self.waiting += other.waiting;
        self.oldest = self.oldest.max(other.oldest);
        self.paused_in += other.paused_in;
        self.paused_out += other.paused_out;
    }
}

/// Most bytes of a queue's name that are told. Prometheus refuses a whole answer with a label that is too long for it.
const MAX_LABEL: usize = 200;

/// Whether a queue can be told about by its name: it is text, and no novel. Others are counted with the rest.
pub fn is_fit_for_label(name: &[u8]) -> Option<&str> {
    std::str::from_utf8(name).ok().filter(|name| !name.is_empty() && name.len() <= MAX_LABEL)
}

pub(super) struct Family {
    pub(super) metric: Metric,
    pub(super) samples: fn(&QueueMetrics<'_>, (&str, &str), &mut Samples<'_>),
}

pub(super) const FAMILIES: [Family; 7] = [
    family!(Gauge "disque_queue_jobs" ["queue,rest"]
        "Jobs that wait in the queue on this node. Queues beyond http-metrics-queues are summed under rest=yes.",
        |queue, label, out| out.labelled(&[label], queue.jobs)),
    family!(Gauge "disque_queue_jobs_in_flight" ["queue,rest"]
        "Jobs of the queue that workers got from this node and neither acknowledged nor gave back; \
         not told while the queue is forgotten for being idle.",
        |queue, label, out| out.labelled(&[label], queue.in_flight)),
    family!(Counter "disque_queue_jobs_in_total" ["queue,rest"]
        "Jobs that were put into the queue on this node, again ones included; anew when the queue was idle for long.",
        |queue, label, out| out.labelled(&[label], queue.jobs_in)),
    family!(Counter "disque_queue_jobs_out_total" ["queue,rest"]
        "Jobs that were handed out from the queue on this node; anew when the queue was idle for long.",
        |queue, label, out| out.labelled(&[label], queue.jobs_out)),
    family!(Gauge "disque_queue_clients_waiting" ["queue,rest"]
        "Clients that wait for a job from the queue.",
        |queue, label, out| out.labelled(&[label], queue.waiting)),
    family!(Gauge "disque_queue_oldest_job_age_seconds" ["queue,rest"]
        "How long ago the first job in the queue was created; 0 without jobs.",
        |queue, label, out| out.labelled(&[label], queue.oldest.0 as f64 / 1e3)),
    family!(Gauge "disque_queue_paused" ["queue,rest,direction"]
    "Whether the queue accepts no jobs (direction in) or hands out none (out); for the rest, how many do.",
    |queue, label, out| {
        out.labelled(&[label, ("direction", "in")], queue.paused_in);
        out.labelled(&[label, ("direction", "out")], queue.paused_out);
    }),
];
