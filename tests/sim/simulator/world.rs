//! The world: one thread, one clock, one queue of what is to come, ordered by time and then by number.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};

use disque::engine::EngineSettings;
use disque::types::Millis;
use foldhash::fast::FixedState;
use hashbrown::HashMap;

use super::chance::Chance;
use super::client::{Client, Role};
use super::clock::NodeClock;
use super::coverage::Coverage;
use super::ledger::Ledger;
use super::node::Node;
use super::plan::{Kind, MS, Plan, SECOND};
use super::trace::{Talk, Trace};
use super::wire::{Conn, Net};

/// Something to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Event {
    /// A node's engine wanted to be called.
    Wake { node: usize, life: u32 },
    /// The front piece of a pipe arrives; the number is the direction.
    Arrive { conn: u64, way: usize },
    /// Somebody's attempt to connect reaches the other side, or is repeated.
    Connect { conn: u64 },
    /// The opener of a connection hears that it is up.
    Up { conn: u64 },
    /// An end hears that its connection is gone.
    Gone { conn: u64, end: usize },
    /// A client's timer.
    Client { client: usize, turn: u32 },
    /// A fault of the schedule begins, ends, or has its next turn.
    Fault { index: usize, phase: Phase },
    /// The faults are over.
    Calm,
    /// The append-only file of a node has something to do.
    Disk { node: usize, life: u32, part: Part },
    /// The operator looks after the cluster, and whether everything is at rest.
    Operate,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    Begin,
    Flap,
    End,
}

/// Who has something to do with an append-only file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// The writer's thread goes on.
    Writer,
    /// It is woken by its clock.
    Timer,
    /// The helper's thread does an errand.
    Helper,
    /// The loop goes on with a rewrite.
    Walk,
    /// The loop looks whether a rewrite can begin.
    Look,
}

pub struct World {
    pub plan: Plan,
    pub now: u64,
    events: BinaryHeap<Reverse<(u64, u64, Event)>>,
    sequence: u64,
    pub events_done: u64,
    pub nodes: Vec<Node>,
    pub clients: Vec<Client>,
    pub conns: HashMap<u64, Conn, FixedState>,
    pub next_conn: u64,
    pub net: Net,
    /// Pipes whose front piece waits for a cut to heal.
    pub stalled: BTreeSet<(u64, usize)>,
    /// Client connections whose next request can be run.
    pub resume: Vec<u64>,
    /// What the nodes wrote in the step at hand, by connection and direction.
    pub out: Vec<super::process::Written>,
    /// Buffers to use again.
    pub spare: Vec<Vec<u8>>,
    pub net_chance: Chance,
    pub fault_chance: Chance,
    pub disk_chance: Chance,
    pub ledger: Ledger,
    pub trace: Trace,
    pub coverage: Coverage,
    pub calm: bool,
    pub calm_since: u64,
    /// Whether the clusters of the beginning were seen to be whole.
    pub founded: bool,
    /// Faults that have ended and after which not all nodes have met yet.
    pub unmet: Vec<Kind>,
    /// Whether the holders of jobs were counted.
    pub counted: bool,
    pub rest_at: Option<u64>,
    /// Queues for which a PAUSE was broadcast.
    pub broadcast_pauses: BTreeSet<u8>,
    pub messages: u64,
    pub requests: u64,
    pub faults_done: u64,
    /// What the last request of an operator was answered.
    pub operator_reply: Option<Vec<u8>>,
}

/// Deterministic work between two audits of a node: so many steps, and more when it has many jobs.
pub const AUDIT_EVERY: u64 = 500;

impl World {
    pub fn new(plan: Plan, talk: Talk, from: u64) -> World {
        let seed = Chance::new(plan.seed);
        let hosts = plan.nodes + plan.joiners;
        let mut net_chance = seed.split(3);
        let latency = (0..hosts)
            .map(|from| {
                (0..hosts)
                    .map(|to| if from == to { 30 } else { net_chance.spread(plan.latency.0, plan.latency.1) })
                    .collect()
            })
            .collect();
        let mut world = World {
            now: 0,
            events: BinaryHeap::new(),
            sequence: 0,
            events_done: 0,
            nodes: Vec::new(),
            clients: Vec::new(),
            conns: HashMap::default(),
            next_conn: 1,
            net: Net::new(latency, plan.loss_permille),
            stalled: BTreeSet::new(),
            resume: Vec::new(),
            out: Vec::new(),
            spare: Vec::new(),
            net_chance,
            fault_chance: seed.split(4),
            disk_chance: seed.split(6),
            ledger: Ledger::default(),
            trace: Trace::new(talk, from),
            coverage: Coverage::default(),
            calm: false,
            calm_since: 0,
            founded: false,
            unmet: Vec::new(),
            counted: false,
            rest_at: None,
            broadcast_pauses: BTreeSet::new(),
            messages: 0,
            requests: 0,
            faults_done: 0,
            operator_reply: None,
            plan,
        };
        world.populate(&seed);
        world
    }

    fn populate(&mut self, seed: &Chance) {
        let hosts = self.plan.nodes + self.plan.joiners;
        let mut chance = seed.split(5);
        for index in 0..hosts {
            let drift = chance.below(2 * self.plan.drift_ppm + 1) as i64 - self.plan.drift_ppm as i64;
            let skew = chance.below(2 * self.plan.wall_skew + 1) as i64 - self.plan.wall_skew as i64;
            let settings = EngineSettings {
                node_timeout: Millis(self.plan.node_timeout_ms),
                port: 7711,
                bus_port: 17711,
                maxmemory: 0,
                ..EngineSettings::default()
            };
            let clock = NodeClock::new(drift, skew);
            let mut node = Node::new(index, clock, settings, seed.split(100 + index as u64));
            node.policy = self.plan.logs[index];
            self.nodes.push(node);
        }
        if self.plan.loss_permille > 0 {
            self.ledger.history.begin(Kind::Loss, 0);
        }
        for index in 0..self.plan.nodes {
            self.start_node(index);
        }
        self.found_clusters();
        let people = [(Role::Producer, self.plan.producers), (Role::Worker, self.plan.workers)];
        for (role, count) in people {
            for _ in 0..count {
                let home = chance.below(self.plan.nodes as u64) as usize;
                self.add_client(role, home, 5 * SECOND + chance.below(SECOND));
            }
        }
        for (index, fault) in self.plan.faults.clone().into_iter().enumerate() {
            self.at(fault.at, Event::Fault { index, phase: Phase::Begin });
        }
        self.at(10 * SECOND, Event::Operate);
        self.at(self.plan.storm, Event::Calm);
    }

    pub fn add_client(&mut self, role: Role, home: usize, start: u64) {
        let client = self.clients.len();
        let chance = Chance::new(self.plan.seed).split(10_000 + client as u64);
        self.clients.push(Client::new(role, home, chance));
        self.at(self.now + start, Event::Client { client, turn: 0 });
    }

    /// Puts something to come into the queue.
    pub fn at(&mut self, time: u64, event: Event) {
        self.sequence += 1;
        self.events.push(Reverse((time.max(self.now), self.sequence, event)));
    }

    /// Runs until everything is at rest, something is wrong, or the time for the calm is over.
    pub fn run(&mut self) {
        while let Some(Reverse((time, _, event))) = self.events.pop() {
            self.now = time;
            self.events_done += 1;
            self.trace.mix(time);
            self.happen(event);
            if self.rest_at.is_some() || !self.ledger.violations.is_empty() {
                return;
            }
        }
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Wake { node, life } => self.wake(node, life),
            Event::Arrive { conn, way } => self.arrive(conn, way),
            Event::Connect { conn } => self.connect(conn),
            Event::Up { conn } => self.up(conn),
            Event::Gone { conn, end } => self.gone(conn, end),
            Event::Client { client, turn } => self.client_timer(client, turn),
            Event::Fault { index, phase } => self.fault(index, phase),
            Event::Calm => self.begin_calm(),
            Event::Disk { node, life, part } => self.disk_event(node, life, part),
            Event::Operate => self.operate(),
        }
    }

    pub fn violate(&mut self, kind: &'static str, text: String) {
        let now = self.now;
        self.trace.note(now, || format!("VIOLATION {kind}: {text}"));
        self.ledger.violate(now, kind, text);
    }

    /// How long the calm may take: everything that was delayed or leased comes back, and a round of the collection
    /// of acknowledgements with its longest pause passes twice.
    pub fn calm_limit(&self) -> u64 {
        let retry = self.plan.wishes.retry_ms.1 * MS;
        let slow = self.ledger.jobs.iter().any(|job| job.wish.retry.is_none());
        let lease = if slow { 300 * SECOND } else { retry };
        2 * lease + 2 * 190 * SECOND + 30 * SECOND + 4 * self.plan.node_timeout_ms * MS + 120 * SECOND
    }
}
