//! What a seed draws before anything happens: how large the cluster is, who uses it and how, what goes wrong
//! and when. Whole kinds of faults are switched off in most seeds (swarm testing): bugs that a storm of everything
//! hides come out when one kind has the stage to itself.
//!
//! The faults stand in a list, so that a failing one can be shortened while everything else stays as it is.

use disque::aof::SyncPolicy;

use super::chance::Chance;

pub const MS: u64 = 1_000;
pub const SECOND: u64 = 1_000 * MS;
/// How long a byte may be on its way between nodes, which tell the kernel so (src/net/bus/link.rs).
pub const OLDEST_BYTES: u64 = 30 * SECOND;
pub const MINUTE: u64 = 60 * SECOND;

/// What can go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Kind {
    /// A connection between two nodes breaks, often in the middle of a frame.
    LinkReset,
    /// Packets between two nodes take longer.
    Delay,
    /// Packets are lost everywhere; TCP repeats them, and what is behind them waits.
    Loss,
    /// Nothing arrives in one direction.
    OneWayCut,
    /// Two nodes do not hear each other.
    PairCut,
    /// The cluster falls into halves.
    Halves,
    /// It falls into halves that share one node.
    Bridge,
    /// Two nodes lose and find each other again and again.
    Flapping,
    /// A process ends, and its memory with it; its connections are reset.
    Crash,
    /// A machine loses power: nobody is told.
    PowerLoss,
    /// A process ends between two effects of one step.
    CrashMidStep,
    /// A process ends, and again while it recovers.
    CrashAgain,
    /// A process stands still.
    Pause,
    /// A machine is suspended: the process and its monotonic clock stand still.
    Freeze,
    /// Everything at a node takes longer.
    Slow,
    /// Somebody sets a wall clock.
    ClockJump,
    /// A clock runs too fast or too slow.
    Drift,
    /// A node that was not there joins.
    Join,
    /// A node is told to leave, and later to stay.
    Leave,
    /// A node is forgotten by the others, and met again later.
    Forget,
    /// A node comes back without its node table, under a new identity.
    NewId,
    /// Two clusters of their own are made one by a MEET.
    Merge,
    /// A node uses more than 75 % of its memory.
    MemoryHigh,
    /// A node uses more than 95 % of its memory.
    MemoryCritical,
    /// The node table cannot be saved, nor anything appended.
    DiskFull,
    /// Syncs fail, and what was to be synced is forgotten.
    SyncFails,
    /// Everything that is asked of the disk fails.
    DiskBroken,
    /// A process ends, and its file is not there any more.
    DiskLost,
    /// A process ends, and some bits of its file are turned over.
    BitFlip,
    /// The power fails at some call of the disk, often in the middle of a rewrite.
    DiskStop,
    /// The connections of all clients of a node break.
    ClientsCut,
    /// An operator pauses a queue, and opens it again.
    QueuePause,
    /// An operator empties a node.
    Flush,
}

impl Kind {
    pub const ALL: [Kind; 33] = [
        Kind::LinkReset,
        Kind::Delay,
        Kind::Loss,
        Kind::OneWayCut,
        Kind::PairCut,
        Kind::Halves,
        Kind::Bridge,
        Kind::Flapping,
        Kind::Crash,
        Kind::PowerLoss,
        Kind::CrashMidStep,
        Kind::CrashAgain,
        Kind::Pause,
        Kind::Freeze,
        Kind::Slow,
        Kind::ClockJump,
        Kind::Drift,
        Kind::Join,
        Kind::Leave,
        Kind::Forget,
        Kind::NewId,
        Kind::Merge,
        Kind::MemoryHigh,
        Kind::MemoryCritical,
        Kind::DiskFull,
        Kind::SyncFails,
        Kind::DiskBroken,
        Kind::DiskLost,
        Kind::BitFlip,
        Kind::DiskStop,
        Kind::ClientsCut,
        Kind::QueuePause,
        Kind::Flush,
    ];

    /// Those that need somebody else in the cluster.
    const fn needs_others(self) -> bool {
        matches!(
            self,
            Kind::LinkReset
                | Kind::Delay
                | Kind::OneWayCut
                | Kind::PairCut
                | Kind::Halves
                | Kind::Bridge
                | Kind::Flapping
                | Kind::Join
                | Kind::Forget
                | Kind::NewId
                | Kind::Merge
        )
    }

    /// Those that need a node with an append-only file.
    const fn needs_a_file(self) -> bool {
        matches!(self, Kind::SyncFails | Kind::DiskBroken | Kind::DiskLost | Kind::BitFlip | Kind::DiskStop)
    }

    /// How long it lasts, as a range in microseconds.
    const fn lasts(self) -> (u64, u64) {
        match self {
            Kind::LinkReset | Kind::ClockJump | Kind::ClientsCut | Kind::Flush => (0, 0),
            Kind::Pause | Kind::Freeze => (100 * MS, 60 * SECOND),
            Kind::Crash | Kind::PowerLoss | Kind::CrashMidStep | Kind::CrashAgain => (200 * MS, 120 * SECOND),
            Kind::Join | Kind::Merge => (0, 0),
            Kind::Leave | Kind::Forget | Kind::NewId => (5 * SECOND, 180 * SECOND),
            _ => (200 * MS, 120 * SECOND),
        }
    }
}

/// One fault of the schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    pub at: u64,
    pub lasts: u64,
    pub kind: Kind,
    /// The node it is about, and another one where two are needed.
    pub a: usize,
    pub b: usize,
    /// What else the kind needs: a mask of nodes, an amount.
    pub amount: u64,
}

/// How workers treat jobs: shares of a thousand. What is left over is honest work.
#[derive(Clone, Copy, Debug)]
pub struct Manners {
    pub vanish: u64,
    pub ack_twice: u64,
    pub ack_late: u64,
    pub ack_elsewhere: u64,
    pub nack: u64,
    pub working: u64,
    pub working_forever: u64,
    pub fast_ack: u64,
    /// Requests with IDs that the worker only heard of.
    pub meddle: u64,
}

/// What producers ask for.
#[derive(Clone, Copy, Debug)]
pub struct Wishes {
    pub asynchronous: u64,
    pub sync: u64,
    pub at_most_once: u64,
    pub delayed: u64,
    pub short_ttl: u64,
    pub retry_ms: (u64, u64),
    pub body: (u64, u64),
    pub maxlen: u64,
}

#[derive(Clone, Debug)]
pub struct Plan {
    pub seed: u64,
    /// Nodes at the beginning, and those that may join later.
    pub nodes: usize,
    pub joiners: usize,
    /// The first nodes form one cluster, the others another that is merged into it later.
    pub second_cluster: usize,
    /// Nodes that speak only the protocol of RC1, as a mask.
    pub rc1: u64,
    pub storm: u64,
    pub node_timeout_ms: u64,
    /// One-way latency between two nodes in microseconds, as a range from which each pair draws its own.
    pub latency: (u64, u64),
    pub loss_permille: u64,
    pub drift_ppm: u64,
    pub wall_skew: u64,
    pub queues: u64,
    pub producers: usize,
    pub workers: usize,
    /// Time between two requests of one producer.
    pub think: (u64, u64),
    /// Time a worker needs for a job.
    pub work: (u64, u64),
    /// How long clients wait for a reply before they give up.
    pub patience: u64,
    /// Whether clients stay with one node.
    pub sticky: u64,
    pub manners: Manners,
    pub wishes: Wishes,
    /// When each node syncs its append-only file, if it has one.
    pub logs: Vec<Option<SyncPolicy>>,
    /// How long a disk takes for what is asked of it at once, in microseconds.
    pub disk_latency: (u64, u64),
    /// Files smaller than this are not rewritten.
    pub rewrite_min: u64,
    pub faults: Vec<Fault>,
}

impl Plan {
    pub fn draw(seed: u64, max_nodes: usize) -> Plan {
        let chance = &mut Chance::new(seed).split(1);
        let nodes = if chance.permille(80) { 1 } else { chance.pick(&[2, 3, 3, 3, 3, 4, 4, 5, 5, 5, 7, 9]) };
        let nodes = nodes.min(max_nodes);
        let many = nodes > 1;
        let calm = chance.permille(100);
        let second_cluster = if many && nodes >= 4 && !calm && chance.permille(60) { nodes / 2 } else { 0 };
        let mut plan = Plan {
            seed,
            nodes,
            joiners: if many && !calm && chance.permille(300) { chance.between(1, 2) as usize } else { 0 },
            second_cluster,
            rc1: if many && chance.permille(200) { chance.below(1 << nodes) } else { 0 },
            storm: chance.spread(4 * MINUTE, 120 * MINUTE),
            node_timeout_ms: chance.pick(&[1_000, 2_000, 5_000, 15_000]),
            latency: chance.pick(&[(50, 200), (100, 2 * MS), (500, 10 * MS), (5 * MS, 80 * MS)]),
            loss_permille: if calm || chance.permille(700) { 0 } else { chance.between(1, 20) },
            drift_ppm: chance.pick(&[0, 20, 200]),
            wall_skew: chance.pick(&[0, 0, 50 * MS, 10 * SECOND, 600 * SECOND]),
            queues: chance.spread(1, 16),
            producers: chance.between(1, 5) as usize,
            workers: chance.between(1, 8) as usize,
            think: (10 * MS, 0),
            work: chance.pick(&[(MS, 10 * MS), (MS, 200 * MS), (50 * MS, 5 * SECOND)]),
            patience: chance.pick(&[100 * MS, 500 * MS, 2 * SECOND, 10 * SECOND]),
            sticky: chance.pick(&[1000, 1000, 900, 500]),
            manners: draw_manners(chance),
            wishes: draw_wishes(chance),
            logs: Vec::new(),
            disk_latency: (0, 0),
            rewrite_min: 0,
            faults: Vec::new(),
        };
        plan.draw_load(chance);
        plan.draw_disks(&mut Chance::new(seed).split(7));
        if !calm {
            plan.draw_faults(&mut Chance::new(seed).split(2));
        }
        plan
    }

    /// The same with a storm of a few minutes, to go through many seeds.
    pub fn brief(mut self) -> Plan {
        self.storm = self.storm.min(5 * MINUTE);
        let storm = self.storm;
        self.faults.retain(|fault| fault.at < storm);
        self
    }

    /// So much that a seed has some thousand jobs, whether its storm is short or long.
    fn draw_load(&mut self, chance: &mut Chance) {
        let jobs = chance.spread(512, 8_500);
        let each = self.storm / jobs * self.producers as u64;
        self.think = (each / 4, each + each * 3 / 4);
    }

    /// All nodes alike, or each as it likes.
    fn draw_disks(&mut self, chance: &mut Chance) {
        const EACH: [Option<SyncPolicy>; 4] =
            [None, Some(SyncPolicy::Always), Some(SyncPolicy::EverySecond), Some(SyncPolicy::No)];
        let mixed = chance.permille(350);
        let shares: &[usize] = if mixed { &[0, 1, 1, 2, 2, 3] } else { &[0, 0, 1, 1, 1, 2] };
        let all = chance.pick(shares);
        for _ in 0..self.nodes + self.joiners {
            self.logs.push(EACH[if mixed { chance.pick(shares) } else { all }]);
        }
        self.disk_latency = chance.pick(&[(20, 200), (MS, 10 * MS), (5 * MS, 200 * MS)]);
        self.rewrite_min = chance.spread(16 << 10, 1 << 20);
    }

    fn draw_faults(&mut self, chance: &mut Chance) {
        // Each kind is in play or not; those in play have rates of their own.
        let share = chance.pick(&[100, 300, 300, 600]);
        let mut rates = Vec::new();
        for kind in Kind::ALL {
            if self.is_possible(kind) && chance.permille(share) {
                rates.push((kind, chance.spread(1, 16)));
            }
        }
        if rates.is_empty() {
            let kind = if self.nodes > 1 { Kind::Halves } else { Kind::Crash };
            rates.push((kind, 1));
        }
        let total: u64 = rates.iter().map(|(_, rate)| rate).sum();
        let count = chance.spread(8, 96);
        let gentle = chance.pick(&[1, 1, 4]);
        for _ in 0..count {
            let mut at = chance.below(total);
            let kind = rates.iter().find(|(_, rate)| {
                let found = at < *rate;
                at = at.wrapping_sub(*rate);
                found
            });
            let kind = kind.expect("the rates add up").0;
            let fault = self.draw_fault(kind, gentle, chance);
            self.faults.push(fault);
        }
        for joiner in 0..self.joiners {
            let at = chance.between(MINUTE, self.storm / 2 + MINUTE);
            self.faults.push(Fault {
                at,
                lasts: 0,
                kind: Kind::Join,
                a: self.nodes + joiner,
                b: 0,
                amount: 0,
            });
        }
        if self.second_cluster > 0 {
            let at = chance.between(MINUTE, self.storm / 2 + MINUTE);
            let a = self.nodes - 1;
            self.faults.push(Fault { at, lasts: 0, kind: Kind::Merge, a, b: 0, amount: 0 });
        }
        self.faults.sort_by_key(|fault| fault.at);
    }

    fn is_possible(&self, kind: Kind) -> bool {
        match kind {
            // Drawn apart.
            Kind::Join | Kind::Merge => false,
            Kind::Bridge => self.nodes >= 3,
            kind if kind.needs_a_file() => self.logs[..self.nodes].iter().any(Option::is_some),
            kind => self.nodes > 1 || !kind.needs_others(),
        }
    }

    fn draw_fault(&self, kind: Kind, gentle: u64, chance: &mut Chance) -> Fault {
        let nodes = self.nodes as u64;
        let a = chance.below(nodes) as usize;
        let with_file: Vec<usize> = (0..self.nodes).filter(|node| self.logs[*node].is_some()).collect();
        let a = if kind.needs_a_file() { with_file[a % with_file.len()] } else { a };
        let b = (a + 1 + chance.below(nodes.max(2) - 1) as usize) % self.nodes;
        let (min, max) = kind.lasts();
        let lasts = if max == 0 { 0 } else { chance.spread(min, max) / gentle };
        let amount = match kind {
            Kind::Halves | Kind::Bridge => chance.between(1, (1 << nodes) - 2),
            Kind::Delay => chance.spread(10 * MS, 3 * SECOND),
            Kind::Slow => chance.spread(MS, 500 * MS),
            Kind::Loss => chance.between(10, 200),
            Kind::ClockJump => chance.spread(100 * MS, 24 * 60 * MINUTE),
            Kind::Drift => chance.between(1_000, 10_000),
            Kind::QueuePause => chance.below(8),
            Kind::DiskStop => 2 * chance.spread(1, 400) + chance.below(2),
            _ => chance.next(),
        };
        Fault { at: chance.between(20 * SECOND, self.storm), lasts, kind, a, b, amount }
    }
}

fn draw_manners(chance: &mut Chance) -> Manners {
    let mut some = |most: u64| if chance.permille(500) { 0 } else { chance.between(1, most) };
    Manners {
        vanish: some(100),
        ack_twice: some(100),
        ack_late: some(60),
        ack_elsewhere: some(300),
        nack: some(100),
        working: some(100),
        working_forever: some(5),
        fast_ack: some(100),
        meddle: some(20),
    }
}

fn draw_wishes(chance: &mut Chance) -> Wishes {
    let low = chance.pick(&[1_000, 2_000, 10_000]);
    let high = low * chance.between(1, 10);
    let mut some = |most: u64| if chance.permille(500) { 0 } else { chance.between(1, most) };
    Wishes {
        asynchronous: some(300),
        sync: some(300),
        at_most_once: some(300),
        delayed: some(300),
        short_ttl: some(100),
        retry_ms: (low, high),
        body: (0, 300),
        maxlen: some(50),
    }
}
