//! Appending what steps tell, and holding replies back until it is where the operator wants it.
//!
//! A client's output is held from the first reply that waits for a record up to the last; whatever else it is to be
//! sent waits with it, since replies have an order. `always` waits for the disk, the other policies for the system,
//! so that what was confirmed survives the end of the process. What SYNC asks for waits for the disk in any case, and
//! what stands behind it for another client or node does not wait with it.

use super::{Aof, OpenFile};
use crate::aof::{Seq, SyncPolicy};
use crate::bus::Message;
use crate::engine::{self, Control, Effects, Input, SendTo};
use crate::net::bus::Carrier;
use crate::net::client::{Closing, Hold};
use crate::net::server::Server;

impl Aof {
    /// Appends what a step tells. Returns what its replies must wait for.
    #[inline]
    pub(crate) fn append(&mut self, effects: &Effects) -> Hold {
        let Some(file) = self.file.as_mut() else { return Hold::NONE };
        for (kind, payload) in effects.appended() {
            file.journal.append(kind, payload);
        }
        let written = file.journal.seq();
        // While the disk is away nothing new is taken in, and what changes of the rest may be forgotten: an
        // acknowledgement that is leads to another delivery. Under `always` it must not be.
        let may_forget = file.failure.is_some() && file.policy != SyncPolicy::Always;
        match effects.hold() {
            engine::Hold::No => Hold::NONE,
            engine::Hold::Policy if may_forget => Hold::NONE,
            engine::Hold::Policy => Hold { written, ..Hold::NONE },
            engine::Hold::Disk => {
                file.sync_wanted = written;
                Hold { written, durable: written }
            }
        }
    }
}

/// A message to another node that waits for a record.
#[derive(Debug)]
pub(crate) struct HeldMessage {
    hold: Hold,
    to: SendTo,
    message: Message<'static>,
}

impl Aof {
    /// Keeps a message until the record at this position is where the operator wants it. Gossip and questions pass
    /// it by: a slow disk delays what is confirmed to others, and makes nobody look dead.
    pub(in crate::net) fn hold_back(&mut self, hold: Hold, to: SendTo, message: &Message<'_>) {
        let held = HeldMessage { hold, to, message: message.to_static() };
        self.held_messages[usize::from(hold.durable > Seq(0))].push_back(held);
    }

    fn holds_messages(&self) -> bool {
        self.held_messages.iter().any(|held| !held.is_empty())
    }
}

impl OpenFile {
    /// Hands over what was framed since the last time.
    fn submit(&mut self) {
        if self.journal.seq() > self.submitted {
            self.submitted = self.journal.seq();
            self.disk.write(self.journal.buffer());
        }
        let wanted = std::mem::take(&mut self.sync_wanted);
        if wanted > self.disk.durable() && self.policy != SyncPolicy::Always {
            self.disk.want_sync(wanted);
        }
    }

    /// Writes and syncs everything and ends; whether all of it is on the disk. Waits for the disk.
    pub(super) fn stop(self) -> bool {
        let last = self.submitted;
        let status = self.disk.stop();
        if let Some(failure) = status.health.failure() {
            tracing::error!(
                call = failure.call,
                reason = failure.reason,
                "the append-only file could not be written to its end"
            );
        }
        status.durable >= last
    }

    /// Whether output that waits so may go.
    fn lets_go(&self, hold: Hold) -> bool {
        let open = match self.policy {
            SyncPolicy::Always => self.disk.durable(),
            SyncPolicy::EverySecond | SyncPolicy::No => self.disk.written(),
        };
        hold.written <= open && (hold.durable == Seq(0) || hold.durable <= self.disk.durable())
    }
}

impl Server {
    /// Hands the turn's records to the writer.
    pub(in crate::net) fn submit_records(&mut self) {
        if let Some(file) = &mut self.aof.file {
            file.submit();
        }
    }

    /// Whether a client's output must wait. It is then looked at again when the disk has got further.
    pub(in crate::net) fn is_held(&mut self, slot: u32) -> bool {
        let Some(client) = self.clients.get_mut(slot) else { return false };
        if client.hold.is_none() || client.closing == Closing::Now {
            return false;
        }
        if self.aof.file.as_ref().is_none_or(|file| file.lets_go(client.hold)) {
            client.hold = Hold::NONE;
            return false;
        }
        if !client.is_held {
            client.is_held = true;
            self.aof.held.push(slot);
        }
        true
    }

    /// Flushes those whose records are where they are to be.
    pub(in crate::net) fn release_held(&mut self) {
        if self.aof.held.is_empty() && !self.aof.holds_messages() {
            return;
        }
        // Before looking: what comes while it looks wakes the loop.
        if let Some(file) = &self.aof.file {
            file.disk.await_progress();
        }
        self.release_messages();
        let mut held = std::mem::take(&mut self.aof.held);
        held.retain(|slot| {
            let Some(client) = self.clients.get_mut(*slot).filter(|client| client.is_held) else {
                return false;
            };
            let goes = self.aof.file.as_ref().is_none_or(|file| file.lets_go(client.hold));
            if goes {
                client.is_held = false;
                self.clients.mark_dirty(*slot);
            }
            !goes
        });
        self.aof.held = held;
        self.flush_dirty();
    }

    /// Sends what waited long enough; in order, since positions only grow.
    fn release_messages(&mut self) {
        let header = self.engine.header();
        let by = Carrier { registry: self.poll.registry(), config: &self.config, now: self.now };
        for held in &mut self.aof.held_messages {
            while let Some(first) = held.front() {
                if self.aof.file.as_ref().is_some_and(|file| !file.lets_go(first.hold)) {
                    break;
                }
                let HeldMessage { to, message, .. } = held.pop_front().expect("it was just seen");
                self.bus.send(to, &header, &message, by);
            }
        }
    }

    /// There is nothing to wait for any more. Those whose records did not reach the disk are not answered.
    pub(super) fn end_of_holding(&mut self, all_written: bool) {
        if !all_written {
            self.aof.held_messages.iter_mut().for_each(std::collections::VecDeque::clear);
        }
        for slot in std::mem::take(&mut self.aof.held) {
            let Some(client) = self.clients.get_mut(slot).filter(|client| client.is_held) else { continue };
            client.is_held = false;
            client.hold = Hold::NONE;
            if all_written {
                self.clients.mark_dirty(slot);
            } else {
                self.clients.close(slot, Closing::Now);
            }
        }
        // Those with replies of this turn, who were not looked at yet.
        for slot in self.clients.dirty.clone() {
            if let Some(client) = self.clients.get_mut(slot)
                && !std::mem::take(&mut client.hold).is_none()
                && !all_written
            {
                client.closing = Closing::Now;
            }
        }
    }

    /// The disk has something to say: it got further, or fails, or a rewrite goes on.
    pub(in crate::net) fn disk_event(&mut self) {
        let Some(file) = &mut self.aof.file else { return };
        if file.update() {
            let fails = file.failure.is_some();
            self.step(Input::Control(Control::DiskFailing(fails)), u32::MAX);
        }
        self.rewrite_events();
        self.consider_rewrite();
        self.release_held();
    }
}
