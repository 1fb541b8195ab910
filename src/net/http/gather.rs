//! What the event loop is asked for, in pieces that it does not notice.

use std::fs;
use std::sync::mpsc;
use std::time::Duration;

use nix::sys::resource::{Resource, getrlimit};

use super::Shared;
use super::response::Response;
use crate::admin::{
    self, CpuFacts, Loading, MemoryFacts, MetricsSource, NodeCounts, ProcessFacts, QueueMetrics, ServerFacts,
};
use crate::bus::{NodeFlags, NodesConf};
use crate::engine::QueueFacts;
use crate::net::process;
use crate::net::server::Server;
use crate::types::UnixMillis;

/// How long the event loop may take to answer a question before it counts as stuck.
const PATIENCE: Duration = Duration::from_secs(2);
/// How many queues one question is about: each costs up to half a microsecond.
const QUEUES_PER_QUESTION: usize = 512;

/// Why the event loop did not answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoAnswer {
    /// It is busy with something, or stuck.
    Late,
    /// It is reading the append-only file: there is nothing to be told yet.
    Loading,
}

impl From<NoAnswer> for Response {
    fn from(why: NoAnswer) -> Response {
        Response::unavailable(match why {
            NoAnswer::Late => "the event loop has not answered for 2 seconds\n",
            NoAnswer::Loading => "the append-only file is being loaded\n",
        })
    }
}

/// How the server does.
#[derive(Clone, Debug)]
pub(super) struct Condition {
    pub(super) loading: Option<Loading>,
    pub(super) leaving: bool,
    /// Why the append-only file cannot be written, if so.
    pub(super) aof_failure: Option<String>,
}

/// What the page tells about the node.
#[derive(Clone, Debug)]
pub(super) struct Overview {
    pub(super) now: UnixMillis,
    pub(super) started: UnixMillis,
    pub(super) jobs: [u64; 4],
    pub(super) queues: u64,
    pub(super) clients: u64,
    pub(super) blocked: u64,
    pub(super) memory_used: u64,
    pub(super) memory_max: u64,
    pub(super) commands: u64,
    pub(super) aof_enabled: bool,
    pub(super) aof_bytes: u64,
    pub(super) condition: Condition,
    pub(super) nodes: NodesConf,
}

impl Shared {
    /// Has this done in the event loop, between two steps, and waits for what comes of it.
    pub(super) fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&mut Server) -> T + Send + 'static,
    ) -> Result<T, NoAnswer> {
        let (answer, answers) = mpsc::sync_channel(1);
        let asked = self.questions.try_send(Box::new(move |server| {
            // Nobody waits any more if it took too long.
            let _ = answer.send(question(server));
        }));
        asked.map_err(|_| NoAnswer::Late)?;
        self.waker.wake().map_err(|_| NoAnswer::Late)?;
        answers.recv_timeout(PATIENCE).map_err(|_| NoAnswer::Late)
    }

    /// The same, for what has a meaning only once the append-only file is loaded.
    pub(super) fn ask_loaded<T: Send + 'static>(
        &self,
        question: impl FnOnce(&mut Server) -> T + Send + 'static,
    ) -> Result<T, NoAnswer> {
        let answer = self.ask(|server| server.aof.load.is_none().then(|| question(server)))?;
        answer.ok_or(NoAnswer::Loading)
    }

    /// All queues, in no order, and the time.
    pub(super) fn queues(&self) -> Result<(Vec<QueueFacts>, UnixMillis), NoAnswer> {
        let mut queues: Vec<QueueFacts> = Vec::new();
        let (mut from, mut now) = (Some(0), UnixMillis(0));
        while let Some(at) = from {
            let (mut found, next, asked_at) = self.ask_loaded(move |server| {
                let mut found = Vec::new();
                let next = server.engine.queues_from(at, QUEUES_PER_QUESTION, |queue| found.push(queue));
                (found, next, server.now)
            })?;
            queues.append(&mut found);
            (from, now) = (next, asked_at);
        }
        Ok((queues, now))
    }

    /// What /metrics answers.
    pub(super) fn metrics(&self) -> Result<String, NoAnswer> {
        let (mut text, started_ms) = self.ask(|server| (server.node_metrics(), server.operator.started.0))?;
        text.push_str(&admin::process_metrics(&process_facts(started_ms)));
        let (queues, now) = match self.queues() {
            Err(NoAnswer::Loading) => (Vec::new(), UnixMillis(0)),
            queues => queues?,
        };
        let limit = self.settings().metrics_queues;
        text.push_str(&queue_text(&queues, now, limit));
        Ok(text)
    }
}

/// The queues that have had most jobs one by one, which hardly changes from scrape to scrape, and the others together.
fn queue_text(queues: &[QueueFacts], now: UnixMillis, limit: usize) -> String {
    let mut named = Vec::new();
    let mut rest = Vec::new();
    for queue in queues {
        match admin::is_fit_for_label(&queue.name) {
            Some(name) => named.push(queue_metrics(queue, name, now)),
            None => rest.push(queue_metrics(queue, "", now)),
        }
    }
    if named.len() > limit {
        named.select_nth_unstable_by_key(limit, |queue| (std::cmp::Reverse(queue.jobs_in), queue.name));
        rest.extend(named.drain(limit..));
    }
    named.sort_unstable_by_key(|queue| queue.name);
    let sum = rest.iter().copied().reduce(|mut sum, queue| {
        sum.add(&queue);
        sum
    });
    admin::queue_metrics(&named, sum.as_ref())
}

fn queue_metrics<'a>(queue: &QueueFacts, name: &'a str, now: UnixMillis) -> QueueMetrics<'a> {
    QueueMetrics {
        name,
        jobs: queue.len,
        in_flight: u64::from(queue.in_flight),
        jobs_in: queue.jobs_in,
        jobs_out: queue.jobs_out,
        waiting: u64::from(queue.blocked),
        oldest: queue.oldest.map(|oldest| now.since(oldest)).unwrap_or_default(),
        paused_in: u64::from(queue.pause.input),
        paused_out: u64::from(queue.pause.output),
    }
}

fn process_facts(started_ms: u64) -> ProcessFacts {
    let (system, user) = process::cpu_micros();
    ProcessFacts {
        cpu_micros: system + user,
        resident_bytes: Some(process::resident_bytes()).filter(|bytes| *bytes > 0),
        open_fds: fs::read_dir("/proc/self/fd").ok().map(|fds| fds.count() as u64),
        max_fds: getrlimit(Resource::RLIMIT_NOFILE).ok().map(|(soft, _)| soft),
        started_ms,
    }
}

impl Server {
    fn node_metrics(&mut self) -> String {
        self.operator.traffic.turn(self.now);
        let used = self.engine.memory_use().total();
        self.operator.saw_memory(used);
        let http = self.http.as_ref().expect("it has asked").facts();
        let mut info = self.counts();
        info.server = ServerFacts { started: self.operator.started, ..ServerFacts::default() };
        info.memory = MemoryFacts {
            used,
            peak: self.operator.used_memory_peak,
            maxmemory: self.config.maxmemory.0,
            ..MemoryFacts::default()
        };
        info.cpu = CpuFacts::default();
        let nodes = node_counts(&self.engine.known_nodes());
        admin::node_metrics(&MetricsSource { info, leaving: self.engine.is_leaving(), nodes, http: &http })
    }

    pub(super) fn condition(&self) -> Condition {
        Condition {
            loading: self.aof.load.as_ref().map(|load| load.facts()),
            leaving: self.engine.is_leaving(),
            aof_failure: self.aof.failure().map(str::to_owned),
        }
    }

    pub(super) fn overview(&self) -> Overview {
        let aof = self.aof.facts(self.now);
        Overview {
            now: self.now,
            started: self.operator.started,
            jobs: self.engine.job_counts(),
            queues: self.engine.queue_count() as u64,
            clients: self.clients.len() as u64,
            blocked: self.engine.blocked_count() as u64,
            memory_used: self.engine.memory_use().total(),
            memory_max: self.config.maxmemory.0,
            commands: self.operator.traffic.commands(),
            aof_enabled: self.aof.file.is_some(),
            aof_bytes: aof.details.current_size,
            condition: self.condition(),
            nodes: self.engine.known_nodes(),
        }
    }
}

fn node_counts(nodes: &NodesConf) -> NodeCounts {
    let mut counts = NodeCounts::default();
    for node in &nodes.nodes {
        let count = match node.flags {
            flags if flags.has(NodeFlags::HANDSHAKE) => &mut counts.handshakes,
            flags if flags.has(NodeFlags::FAIL) => &mut counts.failing,
            flags if flags.has(NodeFlags::PFAIL) => &mut counts.suspected,
            _ => &mut counts.good,
        };
        *count += 1;
        counts.leaving += u64::from(node.flags.has(NodeFlags::LEAVING));
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::PauseState;

    fn queue(name: &[u8], jobs_in: u64) -> QueueFacts {
        QueueFacts {
            name: name.into(),
            len: 1,
            in_flight: 3,
            blocked: 2,
            jobs_in,
            jobs_out: 0,
            oldest: Some(UnixMillis(1000)),
            pause: PauseState::NONE,
        }
    }

    fn jobs(text: &str) -> Vec<&str> {
        text.lines().filter(|line| line.starts_with("disque_queue_jobs{")).collect()
    }

    #[test]
    fn the_busiest_queues_are_told_of_and_the_rest_is_summed() {
        let queues = [queue(b"b", 5), queue(b"quiet", 1), queue(b"a", 9), queue(b"\xff", 50)];
        let text = queue_text(&queues, UnixMillis(3500), 2);
        let expected = [
            "disque_queue_jobs{queue=\"a\"} 1",
            "disque_queue_jobs{queue=\"b\"} 1",
            "disque_queue_jobs{rest=\"yes\"} 2",
        ];
        assert_eq!(jobs(&text), expected);
        assert!(text.contains("disque_queue_oldest_job_age_seconds{rest=\"yes\"} 2.5\n"));
        assert!(text.contains("disque_queue_jobs_in_flight{rest=\"yes\"} 6\n"));
        assert_eq!(jobs(&queue_text(&queues[..3], UnixMillis(0), 3)).len(), 3, "no rest");
        assert_eq!(jobs(&queue_text(&queues, UnixMillis(0), 0)), ["disque_queue_jobs{rest=\"yes\"} 4"]);
    }
}
