//! Opening and closing links and saying things on them, as the engine wants it.

use std::net::SocketAddr;

use super::link::{self, Side};
use super::log_limit::Said;
use super::{Bus, Opening};
use crate::admin::Cut;
use crate::bus::{Features, Header, Message, Notice};
use crate::config::Config;
use crate::engine::{LinkId, SendTo};
use crate::net::server::Server;
use crate::types::{Millis, UnixMillis};
use mio::Registry;

/// Shortest time that connecting may take.
const MIN_PATIENCE: Millis = Millis(1_000);
/// Most bytes that may wait on a link of a peer: it is only sent PONGs.
const MAX_PEER_OUTPUT: usize = 1024 * 1024;

/// What carrying out the engine's wishes needs of the loop.
#[derive(Clone, Copy)]
pub(in crate::net) struct Carrier<'a> {
    pub(in crate::net) registry: &'a Registry,
    pub(in crate::net) config: &'a Config,
    pub(in crate::net) now: UnixMillis,
}

impl Bus {
    /// Begins to open a link.
    pub(in crate::net) fn open_link(&mut self, id: LinkId, address: SocketAddr, by: Carrier<'_>) {
        if by.config.bus_port().is_none() {
            if let Some(unsaid) = self.log.due(Said::NoBus, by.now) {
                tracing::warn!(%address, unsaid, "cannot connect to a node: without a port there is no cluster");
            }
            return self.downs.push_back(id);
        }
        let patience = Millis(by.config.cluster_node_timeout.0 / 2).max(MIN_PATIENCE);
        let source = link::source_for(address, by.config.bind.addresses());
        self.open(id, address, source, Opening { registry: by.registry, now: by.now, patience });
    }

    /// Gives up a link; nothing more is heard of it.
    pub(in crate::net) fn close_link(&mut self, id: LinkId, by: Carrier<'_>) {
        self.downs.retain(|down| *down != id);
        if let Some(slot) = self.own_slot(id) {
            // What was said before closing is still said if the socket takes it.
            self.write(slot, by.registry);
            self.downs.retain(|down| *down != id);
            self.remove(slot, by.registry);
        }
    }

    /// What the other end of an own link understands, as the engine found out.
    pub(in crate::net) fn set_features(&mut self, id: LinkId, features: Option<Features>) {
        if let Some(link) = self.own_slot(id).and_then(|slot| self.links.get_mut(slot)) {
            link.output.set_features(features);
        }
    }

    /// Says something on a link, if it is there.
    pub(in crate::net) fn send(
        &mut self,
        to: SendTo,
        header: &Header,
        message: &Message<'_>,
        by: Carrier<'_>,
    ) {
        let slot = match to {
            SendTo::Own(link) => self.own_slot(link),
            SendTo::Peer(link) => self.peer_slot(link),
        };
        let Some(slot) = slot else { return };
        let Some(link) = self.links.get(slot) else { return };
        if !link.is_up() {
            return;
        }
        let limit = output_limit(&link.side, by.config);
        if link.output.pending() >= limit && !self.has_room_after_writing(slot, limit, by) {
            return;
        }
        let Some(link) = self.links.get_mut(slot) else { return };
        if !link.output.push(header, message, by.now) {
            return;
        }
        self.traffic.count_message_out();
        self.traffic.count_frames_out(link.output.take_frames());
        if is_urgent(message) {
            self.mark_dirty(slot);
        } else {
            self.mark_lazy(slot, by.now);
        }
    }

    /// A link that takes nothing is closed before what waits for it fills the memory.
    fn has_room_after_writing(&mut self, slot: u32, limit: usize, by: Carrier<'_>) -> bool {
        self.write(slot, by.registry);
        let Some(link) = self.links.get(slot) else { return false };
        let (address, bytes) = (link.address(), link.output.pending());
        if bytes < limit {
            return true;
        }
        self.traffic.count_cut(Cut::Overflow);
        if let Some(unsaid) = self.log.due(Said::Overflow, by.now) {
            tracing::warn!(
                %address, bytes, limit, unsaid,
                "closing a link between nodes: the other takes too slowly what it is sent"
            );
        }
        self.lose(slot, by.registry, "too much waited to be sent");
        false
    }

    /// Writes what the socket takes.
    pub(super) fn write(&mut self, slot: u32, registry: &Registry) {
        let Some(link) = self.links.get_mut(slot) else { return };
        if !link.is_up() {
            return;
        }
        match link.flush() {
            Ok((written, go_on)) => {
                self.traffic.count_output(written);
                if go_on {
                    self.unwritten.push(slot);
                }
            }
            Err(error) => self.lose(slot, registry, &error.to_string()),
        }
    }
}

impl Server {
    /// Writes what is to be said on all links: one system call for each, most often.
    pub(in crate::net) fn flush_links(&mut self) {
        if self.ending.is_some() || self.bus.lazy_until.is_some_and(|until| until <= self.now) {
            self.bus.wake_lazy();
        }
        for slot in std::mem::take(&mut self.bus.dirty) {
            if let Some(link) = self.bus.links.get_mut(slot) {
                link.dirty = false;
                self.bus.write(slot, self.poll.registry());
            }
        }
    }
}

/// Whether somebody waits for a message, or would be misled for as long as it is not there. All others only let
/// nodes forget what is acknowledged, and need no frame and no system call of their own.
fn is_urgent(message: &Message<'_>) -> bool {
    !matches!(message, Message::Notice { notice: Notice::GotAck { .. } | Notice::DelJob, .. })
}

fn output_limit(side: &Side, config: &Config) -> usize {
    let configured = config.cluster_link_sendbuf_limit.0;
    match side {
        Side::Peer { .. } => MAX_PEER_OUTPUT,
        Side::Own { .. } if configured == 0 => usize::MAX,
        Side::Own { .. } => usize::try_from(configured).unwrap_or(usize::MAX),
    }
}
