//! How the world moves the append-only files: when disks answer, what waits for them, and what a process that ends
//! leaves behind.

use disque::aof::SyncPolicy;
use disque::engine::{Control, Input};
use disque::types::Millis;

use super::ledger::Id;
use super::log::{HeldMessage, Told, Wait};
use super::node::Node;
use super::plan::MS;
use super::views::{IdSet, Known, Seen};
use super::wire::{Piece, Purpose};
use super::world::{Event, Part, World};

/// How a process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// What the system has, it keeps.
    Process,
    /// What is not on the disk is gone.
    Power,
}

impl World {
    /// What the append-only file of a node does next.
    pub fn disk_event(&mut self, node: usize, life: u32, part: Part) {
        let now = self.now;
        let state = &mut self.nodes[node];
        if state.life != life || state.log.is_none() {
            return;
        }
        if state.is_busy() {
            state.held.push_back(Event::Disk { node, life, part });
            return;
        }
        let Node { log: Some(log), disk, engine: Some(engine), clock, .. } = state else { return };
        let mut told = None;
        match part {
            Part::Timer if log.writer_busy => return,
            Part::Timer | Part::Writer => {
                log.writer_busy = log.write_on(writer_time(clock.mono(now)));
                if log.writer_busy {
                    self.disk_in_time(node, Part::Writer);
                }
            }
            Part::Helper => {
                told = log.run_errand(&mut disk.files);
                log.helper_busy = false;
            }
            Part::Walk => {
                if log.walk(engine) {
                    self.disk_in_time(node, Part::Walk);
                }
            }
            Part::Look => {}
        }
        if self.nodes[node].disk.files.is_stopped() {
            self.coverage.mark("stopped at a call of the disk");
            return self.machine_stops(node);
        }
        self.loop_hears(node, told);
    }

    /// The disk has something to say to the loop: it got further, or fails, or a rewrite goes on.
    fn loop_hears(&mut self, node: usize, told: Option<Told>) {
        let now = self.now;
        let min_size = self.plan.rewrite_min;
        let Node { log: Some(log), disk, engine: Some(engine), clock, .. } = &mut self.nodes[node] else {
            return;
        };
        let changed = log.update();
        if log.is_lost() {
            self.coverage.mark("the file was not believed any more");
        }
        let fails = log.failure.is_some();
        let mut walks = false;
        if let Some(told) = &told {
            walks = log.hear(told, now);
            self.coverage.mark(match told {
                Told::Begun(_) => "a rewrite began",
                Told::Finished(_) => "a rewrite was finished",
                Told::Failed => "a rewrite failed",
            });
            if matches!(told, Told::Finished(_)) {
                disk.suspect = false;
            }
        }
        log.consider_rewrite(engine.me(), min_size, clock.tick(now), now);
        if changed {
            self.trace.note(now, || format!("n{node} disk fails: {fails}"));
            if fails {
                self.coverage.mark("the file could not be written");
            }
            self.step(node, Input::Control(Control::DiskFailing(fails)));
        }
        if walks {
            self.disk_in_time(node, Part::Walk);
        }
        self.release_held(node);
        self.submit(node);
    }

    /// The end of a turn: what was framed is handed over, and whoever has work gets to it.
    pub fn submit(&mut self, node: usize) {
        let now = self.now;
        let Node { log: Some(log), clock, life, .. } = &mut self.nodes[node] else { return };
        log.submit();
        let (life, writes) = (*life, !log.writer_busy && log.writer_has_work());
        let helps = !log.helper_busy && log.helper_has_work();
        log.writer_busy |= writes;
        log.helper_busy |= helps;
        let mono = clock.mono(now);
        let timer = (!log.writer_busy).then(|| log.next_time()).flatten();
        let timer = timer.map(|at| now + (at.0 * MS).saturating_sub(mono) + MS);
        let rewrite = log.next_rewrite().map(|at| at.max(now + 10 * MS));
        if writes {
            self.disk_in_time(node, Part::Writer);
        }
        if helps {
            self.disk_in_time(node, Part::Helper);
        }
        for (at, part) in [(timer, Part::Timer), (rewrite, Part::Look)] {
            let known = &mut self.nodes[node].disk_timers[usize::from(part == Part::Look)];
            // One that is under way suffices, if it is not too late.
            if let Some(at) = at.filter(|at| *known <= now || *known > *at) {
                *known = at;
                self.at(at, Event::Disk { node, life, part });
            }
        }
    }

    /// A disk answers after a while.
    fn disk_in_time(&mut self, node: usize, part: Part) {
        let (min, max) = self.plan.disk_latency;
        let mut wait = self.disk_chance.spread(min, max) + self.net.slow[node];
        if part == Part::Walk {
            wait = wait.min(5 * MS);
        }
        let life = self.nodes[node].life;
        self.at(self.now + wait, Event::Disk { node, life, part });
    }

    /// A message to another node waits for a record.
    pub fn hold_message(&mut self, node: usize, held: HeldMessage) {
        self.coverage.mark("a message waited for the disk");
        self.nodes[node].log.as_mut().expect("what waits waits for a file").hold(held);
    }

    /// A client's output waits for a record, and what is to follow it too. True if it was taken.
    pub fn hold_reply(&mut self, node: usize, conn: u64, hold: Option<Wait>, bytes: &[u8]) -> bool {
        let now = self.now;
        let Some(Purpose::Client { server, .. }) = self.conns.get_mut(&conn).map(|state| &mut state.purpose)
        else {
            return false;
        };
        if hold.is_none() && server.hold.is_none() {
            return false;
        }
        if server.hold.is_none() {
            server.held_since = now;
            self.coverage.mark("a reply waited for the disk");
            let log = self.nodes[node].log.as_mut().expect("what waits waits for a file");
            log.held_conns.push(conn);
        }
        server.hold = match (server.hold, hold) {
            (Some(before), Some(hold)) => Some(before.and(hold)),
            (before, hold) => hold.or(before),
        };
        server.held.extend_from_slice(bytes);
        true
    }

    /// Sends what waited long enough.
    fn release_held(&mut self, node: usize) {
        while let Some(log) = &mut self.nodes[node].log
            && let Some(HeldMessage { to, message, only_here, .. }) = log.released()
        {
            self.send_message(node, to, &message, only_here);
        }
        self.flush_written();
        let Some(log) = &mut self.nodes[node].log else { return };
        for conn in std::mem::take(&mut log.held_conns) {
            let Some(Purpose::Client { server, .. }) =
                self.conns.get_mut(&conn).map(|state| &mut state.purpose)
            else {
                continue;
            };
            let Some(wait) = server.hold else { continue };
            let log = self.nodes[node].log.as_mut().expect("it was just there");
            if !log.lets_go(wait) {
                log.held_conns.push(conn);
                continue;
            }
            server.hold = None;
            let (bytes, sent) = (std::mem::take(&mut server.held), server.held_since);
            self.send(conn, 1, Piece { sent, ..Piece::of(bytes) });
        }
    }

    /// A connection is gone, with what was to be said on it.
    pub fn drop_held(&mut self, conn: u64) {
        let Some(Purpose::Client { server, .. }) = self.conns.get_mut(&conn).map(|state| &mut state.purpose)
        else {
            return;
        };
        server.hold = None;
        let bytes = std::mem::take(&mut server.held);
        self.excuse_ids_in(&bytes);
    }

    /// A process ends: what it knew is gone, or waits on its disk.
    pub fn memory_ends(&mut self, node: usize, how: End) {
        let mut known = self.known_at(node);
        let state = &mut self.nodes[node];
        let Some(log) = state.log.take() else {
            return self.memory_is_lost(node, &known.active, &known.acked, false);
        };
        known.arriving = log.arriving().collect();
        known.keeps_synced = how == End::Process || !state.disk.untrusted;
        known.keeps = !state.clock.was_set()
            && match how {
                End::Process => log.failure.is_none() || log.policy == SyncPolicy::Always,
                End::Power => log.policy == SyncPolicy::Always && !state.disk.untrusted,
            };
        state.remembers = Some(known);
        for held in log.into_held() {
            held.only_here.iter().for_each(|id| self.ledger.excuse(id));
        }
        if how == End::Power {
            self.cut_power_of_disk(node);
        }
    }

    pub fn cut_power_of_disk(&mut self, node: usize) {
        let chance = &mut self.disk_chance;
        let files = self.nodes[node].disk.files.after_power_cut(|below| chance.below(below.max(1)));
        self.nodes[node].disk.files = files;
        self.nodes[node].disk.set_faults();
    }

    /// An operator empties the node.
    pub fn memory_is_flushed(&mut self, node: usize) {
        if self.nodes[node].runs() {
            let known = self.known_at(node);
            self.memory_is_lost(node, &known.active, &known.acked, true);
            self.nodes[node].seen = Seen::default();
            self.ledger.unpause_all(Some(node));
        }
    }

    fn known_elsewhere(&self, node: usize) -> Vec<Known> {
        (0..self.nodes.len()).filter(|other| *other != node).map(|other| self.known_at(other)).collect()
    }

    /// Tells the ledger of which jobs this was the last node to hold them, or to know that they are done. `disk`: even
    /// what was on its disk may be lost.
    pub fn memory_is_lost(&mut self, node: usize, active: &IdSet, acked: &IdSet, disk: bool) {
        let others = self.known_elsewhere(node);
        for id in active {
            let last = !others.iter().any(|known| known.active.contains(id));
            self.ledger.copy_lost(id, last, disk);
        }
        for id in acked {
            if !others.iter().any(|known| known.acked.contains(id)) {
                self.ledger.ack_lost(id);
            }
        }
    }

    /// A node has read its file: what it knew before and does not know now is lost.
    pub fn compare_with_the_past(&mut self, node: usize) {
        let Some(mut before) = self.nodes[node].remembers.take() else { return };
        // The clock may have been set while the machine was off, and what is on the disk tells wall times.
        let was_set = self.nodes[node].clock.was_set();
        before.keeps &= !was_set;
        before.keeps_synced &= !was_set;
        let after = self.known_at(node);
        self.ledger.counts.restarts += 1;
        self.ledger.counts.restored += (after.active.len() + after.acked.len()) as u64;
        let is_missing = |id: &&Id| !after.active.contains(*id) && !after.acked.contains(*id);
        let missing: IdSet = before.active.iter().filter(is_missing).copied().collect();
        let now = self.now;
        self.trace.note(now, || {
            let ids: Vec<String> = missing.iter().map(|id| super::ledger::text(id)).collect();
            format!("n{node} is back, all was kept: {}, missing: {}", before.keeps, ids.join(" "))
        });
        let here = self.id_of(node).map(|id| id.text());
        for id in &before.waiting_once {
            let may_be = !before.keeps || before.arriving.contains(id);
            if may_be && after.active.contains(id) && !after.waiting_once.contains(id) {
                // It was placed here by another node, which has forgotten it.
                let elsewhere = here.is_none_or(|here| here[..8] != id[2..10]);
                if elsewhere { self.ledger.excuse(id) } else { self.ledger.import_lost(id) }
            }
        }
        if before.keeps {
            self.ledger.counts.restarts_whole += 1;
            self.coverage.mark("restart after which nothing may be missing");
            let others = self.known_elsewhere(node);
            for id in &missing {
                let last = !others.iter().any(|known| known.active.contains(id));
                self.ledger.unstored_copy_lost(id, last);
                if before.arriving.contains(id) {
                    self.ledger.import_lost(id);
                }
            }
            self.judge_acks_after(node, &before, &after, &others);
            return;
        }
        let forgotten: IdSet = before.acked.difference(&after.acked).copied().collect();
        self.memory_is_lost(node, &missing, &forgotten, !before.keeps_synced);
        forgotten.iter().for_each(|id| self.ledger.ack_disk_lost(id));
        for id in &after.active {
            self.ledger.is_stale(id);
            if !before.active.contains(id) {
                self.ledger.ack_lost(id);
            }
        }
    }
}

impl World {
    /// Where all nodes confirm nothing before it is on their disks, a restart does not take the last knowledge that a job
    /// is done from a cluster in which somebody would deliver it again (W3 of reliability.md).
    fn judge_acks_after(&mut self, node: usize, before: &Known, after: &Known, others: &[Known]) {
        if !self.plan.logs.iter().all(|policy| *policy == Some(SyncPolicy::Always)) {
            return;
        }
        let now = self.now;
        let lost = before.acked.difference(&after.acked).find(|id| {
            let is_known = others.iter().any(|known| known.acked.contains(*id));
            let lives = others.iter().chain([after]).any(|known| known.active.contains(*id));
            lives && !is_known && self.ledger.is_remembered(id, now)
        });
        if let Some(id) = lost {
            let text = format!("{} at node {node}", super::ledger::text(id));
            self.violate("acknowledgement lost by a restart", text);
        }
    }
}

/// The writer's clock.
fn writer_time(mono: u64) -> Millis {
    Millis(mono / MS)
}
