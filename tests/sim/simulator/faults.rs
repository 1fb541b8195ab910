//! How faults begin and end.

use disque::aof::SyncPolicy;
use disque::bus::NodeFlags;
use disque::engine::{
    Control, Effect, Effects, Input, JScan, JScanReply, JobDetails, JobState, JobStates, Persistence, Reply,
    Request, ScanBudget,
};
use disque::types::NodeId;

use super::gate::End;
use super::ledger;
use super::node::NoStart;
use super::plan::{Fault, Kind, MS, SECOND};
use super::process::{OPERATOR, address};
use super::sim_disk;
use super::wire::Purpose;
use super::world::{Event, Phase, World};

impl World {
    pub fn fault(&mut self, index: usize, phase: Phase) {
        if self.calm {
            return;
        }
        let fault = self.plan.faults[index];
        match phase {
            Phase::Begin => self.begin_fault(index, &fault),
            Phase::Flap => self.flap(index, &fault),
            Phase::End => {
                self.trace.note(self.now, || format!("FAULT ends {fault:?}"));
                self.end_fault(&fault);
                if matches!(fault.kind, Kind::NewId | Kind::Forget) {
                    // Others may not know it yet: the operator looks after that.
                    self.unmet.push(fault.kind);
                } else {
                    self.ledger.history.end(fault.kind, self.now);
                }
            }
        }
    }

    fn begin_fault(&mut self, index: usize, fault: &Fault) {
        self.trace.note(self.now, || format!("FAULT {fault:?}"));
        self.faults_done += 1;
        self.cover(fault);
        self.ledger.history.begin(fault.kind, self.now);
        self.apply(index, fault);
        if fault.lasts == 0 {
            self.ledger.history.end(fault.kind, self.now);
        } else {
            self.at(self.now + fault.lasts, Event::Fault { index, phase: Phase::End });
        }
    }

    fn cover(&mut self, fault: &Fault) {
        let jobs = self.nodes[fault.a].engine.as_ref().map_or([0; 4], disque::engine::Engine::job_counts);
        let mut messages = 0;
        for conn in &self.nodes[fault.a].conns {
            if let Some(conn) = self.conns.get(conn) {
                let pieces = conn.pipes.iter().flat_map(|pipe| &pipe.pieces);
                messages |= pieces.fold(0, |kinds, piece| kinds | piece.kinds);
            }
        }
        self.coverage.struck(fault.kind, jobs, messages);
        let loses_memory =
            matches!(fault.kind, Kind::Crash | Kind::PowerLoss | Kind::CrashMidStep | Kind::CrashAgain);
        if loses_memory && self.nodes[fault.a].log.as_ref().is_some_and(super::log::Log::is_rewriting) {
            self.coverage.mark("a crash during a rewrite");
        }
        if loses_memory && jobs[JobState::WaitReplication as usize] > 0 {
            self.coverage.mark("copies awaited at a crash");
        }
    }

    fn apply(&mut self, index: usize, fault: &Fault) {
        let Fault { a, b, amount, .. } = *fault;
        match fault.kind {
            Kind::LinkReset => self.reset_links(a, b, amount),
            Kind::Delay => self.delay(fault, true),
            Kind::Slow => self.net.slow[a] += amount,
            Kind::Loss => self.net.loss_permille += amount,
            Kind::OneWayCut | Kind::PairCut | Kind::Halves | Kind::Bridge => self.cut(fault, true),
            Kind::Flapping => {
                self.cut_exactly(fault, true);
                self.at(self.now + fault.lasts / 16 + MS, Event::Fault { index, phase: Phase::Flap });
            }
            Kind::Crash | Kind::NewId => self.end_process(a, amount.is_multiple_of(2)),
            Kind::PowerLoss => self.lose_power(a),
            Kind::CrashMidStep => self.nodes[a].dies_after = Some((amount % 3) as u32),
            Kind::CrashAgain => {
                self.end_process(a, true);
                self.at(self.now + fault.lasts / 3, Event::Fault { index, phase: Phase::Flap });
            }
            Kind::Pause | Kind::Freeze => {
                self.nodes[a].paused += 1;
                if fault.kind == Kind::Freeze {
                    self.nodes[a].clock.set_suspended(self.now, true);
                }
            }
            Kind::ClockJump => {
                let far = amount as i64;
                self.nodes[a].clock.jump(if b.is_multiple_of(2) { far } else { -far });
                // What is on a disk tells wall times.
                self.ledger.clocks_set_by += amount;
            }
            Kind::Drift => {
                let ppm = amount as i64;
                self.nodes[a].clock.set_drift(self.now, if b.is_multiple_of(2) { ppm } else { -ppm });
            }
            Kind::Join => {
                self.start_node(a);
                self.meet(b, a);
            }
            Kind::Merge => {
                // Until all know each other the clusters are two.
                self.unmet.push(Kind::Merge);
                self.meet(b, a);
            }
            Kind::Leave => drop(self.ask(a, &[b"CLUSTER", b"LEAVING", b"yes"])),
            Kind::Forget => self.forget_node(a, amount),
            Kind::MemoryHigh | Kind::MemoryCritical => self.squeeze(fault),
            Kind::DiskFull | Kind::SyncFails | Kind::DiskBroken => self.disk_fails(fault, true),
            Kind::DiskLost => {
                self.end_process(a, amount.is_multiple_of(2));
                self.lose_files(a);
            }
            Kind::BitFlip => {
                self.end_process(a, amount.is_multiple_of(2));
                self.flip_bits(a);
            }
            Kind::DiskStop => {
                if let Some(log) = &mut self.nodes[a].log {
                    if amount.is_multiple_of(2) {
                        log.ask_rewrite();
                    }
                    let files = &self.nodes[a].disk.files;
                    files.fault_at(files.calls() + amount / 2, sim_disk::Fault::Stop);
                    self.submit(a);
                }
            }
            Kind::ClientsCut => self.cut_clients(a),
            Kind::QueuePause => self.pause_queue(fault, true),
            Kind::Flush => {
                self.memory_is_flushed(a);
                self.step(a, Input::Request { client: OPERATOR, request: Request::FlushAll });
            }
        }
    }

    fn end_fault(&mut self, fault: &Fault) {
        let Fault { a, b, amount, .. } = *fault;
        match fault.kind {
            Kind::Delay => self.delay(fault, false),
            Kind::Slow => self.net.slow[a] = self.net.slow[a].saturating_sub(amount),
            Kind::Loss => self.net.loss_permille = self.net.loss_permille.saturating_sub(amount),
            Kind::OneWayCut | Kind::PairCut | Kind::Halves | Kind::Bridge => {
                self.cut(fault, false);
                self.heal();
            }
            Kind::Flapping => {
                self.cut_exactly(fault, false);
                self.heal();
            }
            Kind::Crash | Kind::CrashAgain | Kind::DiskLost | Kind::BitFlip => self.start_node(a),
            Kind::PowerLoss => self.restore_power(a),
            Kind::DiskStop => {
                self.nodes[a].disk.files.clear_faults();
                self.restore_power(a);
            }
            Kind::CrashMidStep => {
                self.nodes[a].dies_after = None;
                self.start_node(a);
            }
            Kind::Pause | Kind::Freeze => {
                if fault.kind == Kind::Freeze {
                    self.nodes[a].clock.set_suspended(self.now, false);
                }
                self.resume_node(a);
            }
            Kind::Drift => self.nodes[a].clock.set_drift(self.now, 0),
            Kind::Leave => drop(self.ask(a, &[b"CLUSTER", b"LEAVING", b"no"])),
            Kind::Forget => self.meet_all(a),
            Kind::NewId => self.return_with_new_id(a, b, amount),
            Kind::MemoryHigh | Kind::MemoryCritical => self.set_maxmemory(a, 0),
            Kind::DiskFull | Kind::SyncFails | Kind::DiskBroken => self.disk_fails(fault, false),
            Kind::QueuePause => self.pause_queue(fault, false),
            _ => {}
        }
    }

    fn flap(&mut self, index: usize, fault: &Fault) {
        match fault.kind {
            Kind::Flapping => {
                let on = self.fault_chance.permille(500);
                self.cut_exactly(fault, on);
                self.heal();
                let next = self.now + self.fault_chance.between(10 * MS, fault.lasts / 8 + 20 * MS);
                let end = fault.at + fault.lasts;
                if next < end {
                    self.at(next, Event::Fault { index, phase: Phase::Flap });
                }
            }
            Kind::CrashAgain if self.nodes[fault.a].runs() => self.end_process(fault.a, true),
            Kind::CrashAgain => {
                let files = self.nodes[fault.a].disk.files.clone();
                if self.fault_chance.permille(500) {
                    files.fault_at(files.calls() + self.fault_chance.spread(1, 40), sim_disk::Fault::Stop);
                }
                self.start_node(fault.a);
                files.clear_faults();
                let next = self.now + self.fault_chance.spread(100, fault.lasts / 4 + 200);
                self.at(next, Event::Fault { index, phase: Phase::Flap });
            }
            _ => {}
        }
    }

    fn reset_links(&mut self, a: usize, b: usize, amount: u64) {
        let links: Vec<u64> = self.nodes[a].conns.iter().copied().collect();
        for conn in links {
            let Some(state) = self.conns.get(&conn) else { continue };
            let between = state.hosts == [a, b] || state.hosts == [b, a];
            let bus = matches!(state.purpose, Purpose::Bus { .. });
            if bus && state.up && (between || amount.is_multiple_of(8)) {
                self.reset(conn);
            }
        }
    }

    fn delay(&mut self, fault: &Fault, on: bool) {
        let ways = [(fault.a, fault.b), (fault.b, fault.a)];
        let both = if fault.at.is_multiple_of(2) { 2 } else { 1 };
        for (from, to) in ways.into_iter().take(both) {
            let delay = &mut self.net.delay[from][to];
            *delay = if on { *delay + fault.amount } else { delay.saturating_sub(fault.amount) };
        }
    }

    /// The directions that a fault cuts.
    fn cut_ways(&self, fault: &Fault) -> Vec<(usize, usize)> {
        let Fault { a, b, amount, .. } = *fault;
        let hosts = self.nodes.len();
        let is_in = |node: usize| amount & (1 << node) != 0;
        let bridge = if fault.kind == Kind::Bridge { a } else { usize::MAX };
        match fault.kind {
            Kind::OneWayCut => vec![(a, b)],
            Kind::PairCut | Kind::Flapping => vec![(a, b), (b, a)],
            _ => (0..hosts)
                .flat_map(|from| (0..hosts).map(move |to| (from, to)))
                .filter(|(from, to)| is_in(*from) != is_in(*to) && *from != bridge && *to != bridge)
                .collect(),
        }
    }

    fn cut(&mut self, fault: &Fault, on: bool) {
        for (from, to) in self.cut_ways(fault) {
            self.net.cut(from, to, on);
        }
    }

    /// A pair that flaps is cut by this fault or not, however often it is asked for.
    fn cut_exactly(&mut self, fault: &Fault, on: bool) {
        for (from, to) in self.cut_ways(fault) {
            self.net.set_flap(from, to, on);
        }
    }

    pub fn start_node(&mut self, node: usize) {
        if self.nodes[node].runs() {
            return;
        }
        let now = self.now;
        self.trace.note(now, || format!("n{node} starts"));
        match self.nodes[node].start(now) {
            Ok(()) => self.has_started(node),
            Err(NoStart::Log(why)) => self.cannot_load(node, why),
            Err(NoStart::Conf(why)) => self.violate("does not start", why),
        }
    }

    fn has_started(&mut self, node: usize) {
        if self.nodes[node].log.is_some() {
            let (damages, tails) = std::mem::take(&mut self.nodes[node].loaded);
            if damages > 0 {
                self.coverage.mark("damage was found");
            }
            if tails > 0 {
                self.coverage.mark("an end was cut off");
            }
            self.compare_with_the_past(node);
            self.step(node, Input::Control(Control::Persist(Persistence::On)));
            if damages > 0 || tails > 0 {
                self.step(node, Input::Control(Control::RecordsLost));
            }
        }
        self.wake_in_time(node);
    }

    /// The file cannot be read: the machine stopped once more, the disk fails, or an operator must help.
    fn cannot_load(&mut self, node: usize, why: String) {
        let now = self.now;
        self.trace.note(now, || format!("n{node} cannot load: {why}"));
        let disk = &mut self.nodes[node].disk;
        if disk.files.is_stopped() {
            self.coverage.mark("stopped in recovery");
            self.power_fails_at_rest(node);
        } else if disk.full + disk.sync_fails + disk.broken > 0 {
            self.coverage.mark("did not start from a failing disk");
        } else if disk.damaged {
            self.coverage.mark("given up as unreadable");
            self.lose_files(node);
            self.start_node(node);
        } else {
            self.violate("does not start", why);
        }
    }

    fn disk_fails(&mut self, fault: &Fault, on: bool) {
        let disk = &mut self.nodes[fault.a].disk;
        let count = match fault.kind {
            Kind::DiskFull => &mut disk.full,
            Kind::SyncFails => &mut disk.sync_fails,
            _ => &mut disk.broken,
        };
        *count = if on { *count + 1 } else { count.saturating_sub(1) };
        disk.set_faults();
        // The server tries it again until it can.
        if disk.unsaved
            && disk.full == 0
            && let Some(engine) = &self.nodes[fault.a].engine
        {
            let conf = engine.nodes_conf().to_string().into_bytes();
            self.nodes[fault.a].disk.save_conf(conf);
        }
        let disk = &mut self.nodes[fault.a].disk;
        let healthy = disk.full + disk.sync_fails + disk.broken == 0;
        if healthy && self.nodes[fault.a].exists && self.net.powered[fault.a] {
            self.start_node(fault.a);
        }
    }

    /// The append-only file is not there any more.
    fn lose_files(&mut self, node: usize) {
        let state = &mut self.nodes[node];
        state.disk.files = sim_disk::SimDisk::new();
        (state.disk.suspect, state.disk.damaged) = (false, false);
        state.disk.set_faults();
        if let Some(known) = &mut state.remembers {
            (known.keeps, known.keeps_synced) = (false, false);
        }
    }

    fn flip_bits(&mut self, node: usize) {
        let state = &mut self.nodes[node];
        let files = &state.disk.files;
        let names: Vec<String> = files.names();
        if names.is_empty() {
            return;
        }
        for _ in 0..self.fault_chance.spread(1, 16) {
            let name = &names[self.fault_chance.below(names.len() as u64) as usize];
            let bits = files.get(name).map_or(0, |bytes| bytes.len() as u64 * 8);
            if bits > 0 {
                files.flip(name, self.fault_chance.below(bits));
            }
        }
        state.disk.damaged = true;
        if let Some(known) = &mut state.remembers {
            (known.keeps, known.keeps_synced) = (false, false);
        }
    }

    /// The power fails while no process runs.
    fn power_fails_at_rest(&mut self, node: usize) {
        let state = &mut self.nodes[node];
        let synced = !state.disk.suspect;
        if let Some(known) = &mut state.remembers {
            known.keeps &= synced && state.policy == Some(SyncPolicy::Always);
            known.keeps_synced &= synced;
        }
        self.cut_power_of_disk(node);
    }

    /// The process ends, with all it remembers. Connections are closed, or reset at once.
    pub fn end_process(&mut self, node: usize, gently: bool) {
        if !self.nodes[node].runs() {
            return;
        }
        for (conn, end) in self.take_down(node, End::Process) {
            if gently {
                if let Some(state) = self.conns.get_mut(&conn) {
                    state.open[end] = true;
                }
                self.close(conn, end);
            } else {
                self.reset(conn);
            }
        }
    }

    /// The machine ends; nobody is told.
    fn lose_power(&mut self, node: usize) {
        self.net.powered[node] = false;
        if self.nodes[node].runs() {
            self.take_down(node, End::Power);
        } else if self.nodes[node].policy.is_some() {
            self.power_fails_at_rest(node);
        }
    }

    /// The machine stops at a call of the disk, until its power is restored.
    pub fn machine_stops(&mut self, node: usize) {
        self.lose_power(node);
    }

    pub fn restore_power(&mut self, node: usize) {
        self.net.powered[node] = true;
        // Peers hear that their connections are unknown here when they next say something.
        let mut stale: Vec<(u64, usize)> = Vec::new();
        for (conn, state) in &self.conns {
            for end in 0..2 {
                let died =
                    state.hosts[1 - end] == node && !state.open[1 - end] && state.node_at(1 - end).is_some();
                if died && state.open[end] && state.up {
                    stale.push((*conn, end));
                }
            }
        }
        stale.sort_unstable();
        for (conn, end) in stale {
            let wait = self.fault_chance.below(SECOND);
            self.at(self.now + wait, Event::Gone { conn, end });
        }
        self.start_node(node);
        self.heal();
    }

    /// Takes the process away; gives the connections that it had, and which end of each was here.
    fn take_down(&mut self, node: usize, how: End) -> Vec<(u64, usize)> {
        let now = self.now;
        self.trace.note(now, || format!("n{node} ends"));
        self.memory_ends(node, how);
        self.ledger.unpause_all(Some(node));
        let state = &mut self.nodes[node];
        if let Some(engine) = state.engine.take() {
            state.former.push(engine.me());
        }
        state.wake_at = u64::MAX;
        state.held.clear();
        state.links.clear();
        state.peers.clear();
        state.clients.clear();
        state.dies_after = None;
        self.out.clear();
        let conns: Vec<u64> = std::mem::take(&mut state.conns).into_iter().collect();
        let mut ends = Vec::new();
        for conn in conns {
            let Some(state) = self.conns.get_mut(&conn) else { continue };
            let end = usize::from(!(state.hosts[0] == node && state.node_at(0).is_some()));
            state.open[end] = false;
            self.drop_held(conn);
            ends.push((conn, end));
            self.forget_if_closed(conn);
        }
        ends
    }

    /// Everything that a node knows of jobs.
    pub fn jobs_at(&mut self, node: usize) -> Vec<JobDetails> {
        let state = &mut self.nodes[node];
        let Some(engine) = &mut state.engine else { return Vec::new() };
        let axis = state.clock.tick(self.now);
        let mut effects = Effects::new();
        let scan = JScan {
            cursor: 0,
            budget: ScanBudget::BusyLoop,
            queue: None,
            states: JobStates::default(),
            reply: JScanReply::All,
        };
        engine.step(axis, Input::Request { client: OPERATOR, request: Request::JScan(scan) }, &mut effects);
        let jobs = effects.iter().find_map(|effect| match effect {
            Effect::Reply { reply: Reply::JobScanAll { jobs, .. }, .. } => Some(jobs.clone()),
            _ => None,
        });
        jobs.unwrap_or_default()
    }

    pub fn resume_node(&mut self, node: usize) {
        let state = &mut self.nodes[node];
        state.paused = state.paused.saturating_sub(1);
        if state.paused > 0 {
            return;
        }
        // Timers act first, as in a turn of the event loop.
        let life = state.life;
        let held: Vec<Event> = state.held.drain(..).collect();
        state.wake_at = self.now;
        self.at(self.now, Event::Wake { node, life });
        for event in held {
            if !matches!(event, Event::Wake { .. }) {
                self.at(self.now, event);
            }
        }
    }

    pub fn meet(&mut self, from: usize, to: usize) {
        let ip = address(to).to_string();
        drop(self.ask(from, &[b"CLUSTER", b"MEET", ip.as_bytes(), b"7711"]));
    }

    /// What was forgotten on purpose must be met on purpose.
    fn meet_all(&mut self, node: usize) {
        for other in 0..self.nodes.len() {
            if other != node && self.nodes[other].exists {
                self.meet(other, node);
                self.meet(node, other);
            }
        }
    }

    /// The clusters are made at the beginning: by the operator, or by `cluster-seeds`.
    pub fn found_clusters(&mut self) {
        let second = self.plan.second_cluster;
        let first = self.plan.nodes - second;
        let by_seeds = self.plan.seed.is_multiple_of(2);
        if second > 0 {
            self.ledger.history.begin(Kind::Merge, 0);
        }
        for (founder, members) in [(0, 1..first), (first, first + 1..self.plan.nodes)] {
            for member in members {
                if by_seeds {
                    let seeds = vec![std::net::SocketAddr::new(address(founder), 7711)];
                    self.step(member, Input::Control(Control::Seeds(seeds)));
                } else {
                    self.meet(founder, member);
                }
            }
        }
    }

    fn forget_node(&mut self, node: usize, amount: u64) {
        let Some(id) = self.id_of(node) else { return };
        for other in (0..self.nodes.len()).filter(|other| *other != node) {
            drop(self.ask(other, &[b"CLUSTER", b"FORGET", &id.text()]));
            if amount.is_multiple_of(2)
                && let Some(other) = self.id_of(other)
            {
                drop(self.ask(node, &[b"CLUSTER", b"FORGET", &other.text()]));
            }
        }
    }

    pub fn id_of(&self, node: usize) -> Option<NodeId> {
        self.nodes[node].engine.as_ref().map(disque::engine::Engine::me)
    }

    fn return_with_new_id(&mut self, node: usize, introducer: usize, amount: u64) {
        if self.nodes[node].runs() {
            return;
        }
        let old = self.nodes[node].former.last().copied();
        self.nodes[node].disk.nodes_conf = None;
        if amount.is_multiple_of(8) {
            self.lose_files(node);
        }
        self.start_node(node);
        self.meet(introducer, node);
        let Some(old) = old.filter(|_| amount % 4 < 2) else { return };
        for other in 0..self.nodes.len() {
            drop(self.ask(other, &[b"CLUSTER", b"FORGET", &old.text()]));
        }
    }

    /// Lowers `maxmemory` so that what is in use is above a threshold.
    fn squeeze(&mut self, fault: &Fault) {
        let Some(engine) = &self.nodes[fault.a].engine else { return };
        let used = engine.memory_use().total().max(1);
        let share = if fault.kind == Kind::MemoryHigh { 85 } else { 97 };
        self.set_maxmemory(fault.a, used * 100 / share);
    }

    pub fn set_maxmemory(&mut self, node: usize, bytes: u64) {
        self.nodes[node].settings.maxmemory = bytes;
        let settings = self.nodes[node].settings.clone();
        self.step(node, Input::Control(Control::Settings(settings)));
    }

    fn cut_clients(&mut self, node: usize) {
        let conns: Vec<u64> = self.nodes[node].conns.iter().copied().collect();
        for conn in conns {
            let is_client =
                self.conns.get(&conn).is_some_and(|state| matches!(state.purpose, Purpose::Client { .. }));
            if is_client {
                self.reset(conn);
            }
        }
    }

    fn pause_queue(&mut self, fault: &Fault, on: bool) {
        let queue = (fault.amount % self.plan.queues.max(1)) as u8;
        let broadcast = fault.amount & 4 != 0;
        let name = ledger::queue_name(queue);
        let (word, input, output): (&[u8], bool, bool) = match (on, fault.amount % 3) {
            (false, _) => (b"none", false, false),
            (true, 0) => (b"in", true, false),
            (true, 1) => (b"out", false, true),
            (true, _) => (b"all", true, true),
        };
        let mut args: Vec<&[u8]> = vec![b"PAUSE", &name, word];
        if broadcast {
            args.push(b"bcast");
            self.broadcast_pauses.insert(queue);
        }
        for node in 0..self.nodes.len() {
            if node == fault.a || broadcast {
                self.ledger.pause(node, queue, None, None);
            }
        }
        let told = self.ask(fault.a, &args).is_some();
        // What others broadcast may still be on its way.
        if told && !self.broadcast_pauses.contains(&queue) {
            let now = self.now;
            self.ledger.pause(fault.a, queue, output.then_some(now), input.then_some(now));
        }
    }

    /// Whether a node says that it is leaving.
    pub fn is_leaving(&self, node: usize) -> bool {
        let conf = self.nodes[node].engine.as_ref().map(disque::engine::Engine::nodes_conf);
        conf.and_then(|conf| conf.myself().map(|me| me.flags.has(NodeFlags::LEAVING))).unwrap_or(false)
    }
}
