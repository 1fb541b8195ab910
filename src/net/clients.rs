//! All client connections, and who of them has something to write or to go on with.

use std::net::IpAddr;

use super::client::{About, Awaited, Client, Closing, Hold, ReplyMode};
use super::stream::Stream;
use crate::command::reply::{self, ReplyContext};
use crate::engine::{ClientId, Effects, Reply};
use crate::resp::{Output, Value, write};
use crate::types::UnixMillis;

/// The connections by slot. The low bits of a [`ClientId`] are the slot, the rest is a number that was not used
/// before, so that an ID is found at once and never names two connections.
#[derive(Debug, Default)]
pub(crate) struct Clients {
    slots: Vec<Option<Box<Client>>>,
    free: Vec<u32>,
    /// Slots that were left in this turn. What the system reports about them may be about those who left, so
    /// nobody else gets them before the next turn.
    left: Vec<u32>,
    last_serial: u64,
    /// Numbers for the engine; see [`Clients::new_id`].
    last_id: u64,
    len: usize,
    /// Slots with output to flush, or to be closed, at the end of the turn.
    pub(crate) dirty: Vec<u32>,
    /// Slots with requests to go on with in the next turn.
    pub(crate) resume: Vec<u32>,
    /// What the replies of the step at hand wait for.
    pub(crate) hold: Hold,
    /// Slots of MONITOR connections.
    pub(crate) monitors: Vec<u32>,
}

const SLOT_BITS: u32 = 24;

impl Clients {
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Takes a connection in; the slot is its token.
    pub(crate) fn insert(&mut self, stream: Stream, peer: String, now: UnixMillis) -> u32 {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            self.slots.len() as u32 - 1
        });
        self.last_serial += 1;
        let id = self.new_id(slot);
        let about = About { serial: self.last_serial, peer, created: now, ..About::default() };
        self.slots[slot as usize] = Some(Box::new(Client::new(id, stream, about, now)));
        self.len += 1;
        slot
    }

    /// A name for a client, or for one more request of it. Numbers begin anew after 2⁴⁰ requests, when no request
    /// with the same number can be left.
    fn new_id(&mut self, slot: u32) -> ClientId {
        self.last_id += 1;
        ClientId(self.last_id << SLOT_BITS | u64::from(slot))
    }

    /// The client is adding a job whose copies are not there yet; its next request may be run all the same.
    pub(crate) fn await_answer(&mut self, slot: u32) {
        let id = self.new_id(slot);
        let client = self.acting(slot);
        client.blocked = false;
        let asked = std::mem::replace(&mut client.id, id);
        client.awaiting.push_back(Awaited { id: asked, reply: None });
    }

    pub(crate) fn remove(&mut self, slot: u32) -> Option<Box<Client>> {
        let client = self.slots.get_mut(slot as usize)?.take()?;
        self.left.push(slot);
        self.len -= 1;
        if client.is_monitor {
            self.monitors.retain(|monitor| *monitor != slot);
        }
        Some(client)
    }

    /// The turn is over: slots that were left in it may be used again.
    pub(crate) fn recycle_slots(&mut self) {
        self.free.append(&mut self.left);
    }

    pub(crate) fn get(&self, slot: u32) -> Option<&Client> {
        self.slots.get(slot as usize)?.as_deref()
    }

    pub(crate) fn get_mut(&mut self, slot: u32) -> Option<&mut Client> {
        self.slots.get_mut(slot as usize)?.as_deref_mut()
    }

    /// The client whose command is being run: it is there until the turn ends.
    pub(crate) fn acting(&mut self, slot: u32) -> &mut Client {
        self.get_mut(slot).expect("connections are closed only at the end of a turn")
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, &Client)> {
        self.slots.iter().enumerate().filter_map(|(slot, client)| Some((slot as u32, client.as_deref()?)))
    }

    /// All slots in use.
    pub(crate) fn slots(&self) -> Vec<u32> {
        self.iter().map(|(slot, _)| slot).collect()
    }

    /// Sees to it that the client is flushed, and closed if it must be, at the end of the turn.
    pub(crate) fn mark_dirty(&mut self, slot: u32) {
        if let Some(client) = self.get_mut(slot)
            && !client.dirty
        {
            client.dirty = true;
            self.dirty.push(slot);
        }
    }

    /// Sees to it that the client's requests are gone on with in the next turn.
    pub(crate) fn mark_resume(&mut self, slot: u32) {
        if let Some(client) = self.get_mut(slot)
            && !client.resuming
        {
            client.resuming = true;
            self.resume.push(slot);
        }
    }

    /// Ends a connection at the end of the turn, or once its output is written.
    pub(crate) fn close(&mut self, slot: u32, closing: Closing) {
        if let Some(client) = self.get_mut(slot) {
            client.closing = client.closing.max(closing);
            self.mark_dirty(slot);
        }
    }

    /// Writes the engine's reply to the client's output. `port` is what HELLO tells about this node.
    /// A reply for a connection that is gone has nowhere to go.
    pub(crate) fn reply(&mut self, id: ClientId, reply: &Reply, effects: &Effects, acting: u32, port: u16) {
        self.answer(id, acting, |client| {
            let local_ip = hello_ip(client, reply);
            let context = ReplyContext { protocol: client.protocol, local_ip, port };
            move |output: &mut Output| reply::encode(reply, effects, &context, output)
        });
    }

    /// Answers the client's request in the engine with an error, because an effect before the reply failed.
    pub(crate) fn reply_failure(&mut self, id: ClientId, text: &str, acting: u32) {
        self.answer(id, acting, |_| |output: &mut Output| write::error(output.bytes_mut(), text.as_bytes()));
    }

    #[inline]
    fn answer<W: FnOnce(&mut Output)>(
        &mut self,
        id: ClientId,
        acting: u32,
        writer: impl FnOnce(&Client) -> W,
    ) {
        let slot = (id.0 & ((1 << SLOT_BITS) - 1)) as u32;
        let hold = self.hold;
        let Some(client) = self.get_mut(slot) else { return };
        client.hold = client.hold.and(hold);
        let write = writer(client);
        if client.id != id {
            if client.answer_awaited(id, write) {
                let go_on = client.awaiting.is_empty() || client.held_back;
                if go_on && slot != acting {
                    self.mark_resume(slot);
                }
                self.mark_dirty(slot);
            }
            return;
        }
        let was_blocked = std::mem::take(&mut client.blocked);
        if client.replies == ReplyMode::On {
            client.answer_in_order(write);
        }
        if was_blocked && slot != acting {
            client.end_skip();
            self.mark_resume(slot);
        }
        self.mark_dirty(slot);
    }

    /// Writes a reply of the shell's own.
    pub(crate) fn reply_value(&mut self, slot: u32, value: &Value) {
        if let Some(client) = self.get_mut(slot) {
            if client.replies == ReplyMode::On {
                value.encode(client.protocol, client.output.bytes_mut());
            }
            self.mark_dirty(slot);
        }
    }
}

/// The client's way to us is asked for only when it is told.
fn hello_ip(client: &Client, reply: &Reply) -> Option<IpAddr> {
    if matches!(reply, Reply::Hello { .. }) { client.stream.local_ip() } else { None }
}
