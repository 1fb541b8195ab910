//! The links between nodes: one that this node opens to each other node, and those that others open to it.
//!
//! * On an own link goes out all that this node says but PONG, and PONG comes back; on a link of a peer it is the
//!   other way around. Any message is taken from either.
//! * The engine decides which links there are and what is said; here are sockets, bytes and limits.
//! * What is to be sent is gathered and written once per turn, so that all messages of a turn for one node share a
//!   system call.
//! * One link may bring so much in one turn and no more; a link that brings garbage, stalls in the middle of a frame
//!   or does not take what it is sent is closed. A link that is closed comes again, and the nodes repair what was
//!   lost with it.
//!
//! Invariants: `own` names exactly the links that this node opened; a link in `dirty` or `resume` says so;
//! `input_held` is the sum over the readers of the links.

mod link;
mod log_limit;
mod receive;
mod seeds;
mod send;
mod slots;
#[cfg(test)]
mod tests;
mod watch;

use std::collections::{BTreeSet, VecDeque};
use std::io;
use std::net::{IpAddr, SocketAddr};

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use mio::{Interest, Registry, Token};

use super::server::Server;
use super::tokens;
use crate::admin::{BusFacts, BusTraffic};
use crate::engine::{Input, LinkId, PeerLinkId};
use crate::types::{Millis, UnixMillis};
use link::{Link, Side};
use log_limit::{LogLimit, Said};
use slots::Slots;

pub(super) use seeds::Resolver;
pub(super) use send::Carrier;

/// All links, and who of them has something to write or to go on with.
#[derive(Debug)]
pub(super) struct Bus {
    links: Slots<Link>,
    /// The slots of own links. Their names are numbers that the engine counts up, so nobody can make them collide.
    own: HashMap<LinkId, u32, FixedState>,
    /// Number of links that others opened.
    peers: usize,
    last_peer: u64,
    /// Links to flush at the end of the turn.
    dirty: Vec<u32>,
    /// Links that have only such messages to carry as nobody waits for.
    lazy: Vec<u32>,
    /// When those are flushed at the latest.
    lazy_until: Option<UnixMillis>,
    /// Links to read on from in the next turn.
    resume: Vec<u32>,
    /// Links that had more to write than a turn's share.
    unwritten: Vec<u32>,
    /// Own links that ended, which the engine must be told.
    downs: VecDeque<LinkId>,
    /// Own links that are being connected, by when they must be.
    connecting: BTreeSet<(UnixMillis, u32)>,
    /// Bus listeners at which nodes may be waiting although no more readiness will be reported.
    accept_again: Vec<usize>,
    /// Bytes of frames that are not finished, or wait for the next turn.
    input_held: usize,
    /// Whether an idle link was already looked for in this turn, to make room for another.
    made_room: bool,
    next_check: UnixMillis,
    log: LogLimit,
    pub(super) traffic: BusTraffic,
}

/// Most links that others may have open: four for each node of the largest cluster, since a node that comes back
/// opens new ones before the old ones are known to be dead.
const MAX_PEER_LINKS: usize = 256;
/// The low bits of a [`PeerLinkId`] are the slot.
const SLOT_BITS: u32 = 24;
/// Most bytes of unfinished frames on all links together: one frame of the greatest length, and some.
const MAX_INPUT_HELD: usize = crate::bus::MAX_FRAME_LEN + 64 * 1024 * 1024;
/// How often links are looked at that stall in the middle of a frame.
const CHECK_PERIOD: Millis = Millis(500);
/// How long messages that nobody waits for may wait for others to share their frame.
const LAZINESS: Millis = Millis(1);

impl Bus {
    pub(super) fn new(now: UnixMillis) -> Bus {
        Bus {
            links: Slots::new(),
            own: HashMap::default(),
            peers: 0,
            last_peer: 0,
            dirty: Vec::new(),
            lazy: Vec::new(),
            lazy_until: None,
            resume: Vec::new(),
            unwritten: Vec::new(),
            downs: VecDeque::new(),
            connecting: BTreeSet::new(),
            accept_again: Vec::new(),
            input_held: 0,
            made_room: false,
            next_check: now,
            log: LogLimit::default(),
            traffic: BusTraffic::default(),
        }
    }

    /// Whether the next turn must not wait.
    pub(super) fn has_work(&self) -> bool {
        !(self.resume.is_empty() && self.unwritten.is_empty() && self.downs.is_empty())
    }

    /// When the links must next be looked at, whatever happens.
    pub(super) fn next_deadline(&self) -> Option<UnixMillis> {
        let connect_by = self.connecting.first().map(|(at, _)| *at);
        let stalled = (self.input_held > 0).then_some(self.next_check);
        [connect_by, stalled, self.lazy_until].into_iter().flatten().min()
    }

    /// Bytes that the links hold, for the memory account.
    pub(super) fn heap_bytes(&self) -> usize {
        self.links.iter().map(|(_, link)| size_of::<Link>() + link.heap_bytes()).sum()
    }

    pub(super) fn facts(&self) -> BusFacts<'_> {
        let up = self.links.iter().filter(|(_, link)| link.is_up()).count() - self.peers;
        BusFacts {
            links_own: up as u64,
            links_connecting: self.connecting.len() as u64,
            links_peer: self.peers as u64,
            output_bytes: self.links.iter().map(|(_, link)| link.output.pending() as u64).sum(),
            traffic: &self.traffic,
        }
    }

    /// The slot of an own link.
    fn own_slot(&self, link: LinkId) -> Option<u32> {
        self.own.get(&link).copied()
    }

    /// The slot of a link that a peer opened.
    fn peer_slot(&self, link: PeerLinkId) -> Option<u32> {
        let slot = (link.0 & ((1 << SLOT_BITS) - 1)) as u32;
        let side = self.links.get(slot)?.side;
        matches!(side, Side::Peer { id, .. } if id == link).then_some(slot)
    }

    /// Begins to open a link; that it cannot be opened is told later, too.
    fn open(&mut self, id: LinkId, address: SocketAddr, source: Option<IpAddr>, open: Opening<'_>) {
        let connect_by = open.now + open.patience;
        let mut stream = match link::connect(address, source) {
            Ok(stream) => stream,
            Err(error) => {
                tracing::debug!(%address, %error, "cannot connect to a node");
                return self.downs.push_back(id);
            }
        };
        let slot = self.links.insert(|slot| {
            let registered = open.registry.register(
                &mut stream,
                tokens::link(slot),
                Interest::READABLE | Interest::WRITABLE,
            );
            if let Err(error) = registered {
                tracing::warn!(%address, %error, "cannot watch a connection to a node");
            }
            Link::new(Side::Own { id, address, connect_by: Some(connect_by) }, stream, open.now)
        });
        self.own.insert(id, slot);
        self.connecting.insert((connect_by, slot));
    }

    /// The own link that is connected now, if it is.
    fn finish_connecting(&mut self, slot: u32, registry: &Registry) -> Option<LinkId> {
        let link = self.links.get_mut(slot)?;
        match (link.is_connected(), &mut link.side) {
            (Ok(true), Side::Own { id, connect_by, .. }) => {
                connect_by.take().map(|at| self.connecting.remove(&(at, slot)));
                Some(*id)
            }
            (Ok(_), _) => None,
            (Err(error), _) => {
                self.lose(slot, registry, &error.to_string());
                None
            }
        }
    }

    /// The turn is over: slots that were left in it may be used again.
    pub(super) fn recycle_slots(&mut self) {
        self.links.recycle();
    }

    /// Takes in a link that a peer opened.
    fn admit(
        &mut self,
        mut stream: mio::net::TcpStream,
        address: SocketAddr,
        registry: &Registry,
        now: UnixMillis,
    ) {
        let to = stream.local_addr().and_then(|to| {
            link::prepare_accepted(&stream)?;
            Ok(to.ip().to_canonical())
        });
        let to = match to {
            Ok(to) => to,
            // It is gone already.
            Err(error) => return tracing::debug!(%address, %error, "a node connected in vain"),
        };
        self.last_peer += 1;
        let serial = self.last_peer;
        let mut registered = Ok(());
        let slot = self.links.insert(|slot| {
            let interest = Interest::READABLE | Interest::WRITABLE;
            registered = registry.register(&mut stream, tokens::link(slot), interest);
            let id = PeerLinkId(serial << SLOT_BITS | u64::from(slot));
            Link::new(Side::Peer { id, address, to }, stream, now)
        });
        self.peers += 1;
        if let Err(error) = registered {
            tracing::warn!(%address, %error, "cannot watch a connection of a node");
            self.remove(slot, registry);
        }
    }

    /// Forgets a link and closes its socket.
    fn remove(&mut self, slot: u32, registry: &Registry) -> Option<Link> {
        let mut link = self.links.remove(slot)?;
        self.input_held -= link.reader.pending();
        match link.side {
            Side::Own { id, connect_by, .. } => {
                self.own.remove(&id);
                connect_by.map(|at| self.connecting.remove(&(at, slot)));
            }
            Side::Peer { .. } => self.peers -= 1,
        }
        if let Err(error) = registry.deregister(&mut link.stream) {
            tracing::debug!(%error, "cannot stop watching a link");
        }
        Some(link)
    }

    /// Ends a link that did not end by the engine's will.
    fn lose(&mut self, slot: u32, registry: &Registry, why: &str) {
        let Some(link) = self.remove(slot, registry) else { return };
        tracing::debug!(address = %link.address(), why, "a link between nodes ended");
        if let Side::Own { id, .. } = link.side {
            self.downs.push_back(id);
        }
    }

    /// Sees to it that a link is flushed at the end of the turn.
    fn mark_dirty(&mut self, slot: u32) {
        if let Some(link) = self.links.get_mut(slot)
            && !link.dirty
        {
            link.dirty = true;
            self.dirty.push(slot);
        }
    }

    /// Sees to it that a link is flushed soon, if nothing urgent makes that sooner.
    fn mark_lazy(&mut self, slot: u32, now: UnixMillis) {
        if let Some(link) = self.links.get_mut(slot)
            && !link.dirty
            && !link.lazy
        {
            link.lazy = true;
            self.lazy.push(slot);
            self.lazy_until.get_or_insert(now + LAZINESS);
        }
    }

    /// Sees to it that the links that could wait are flushed at the end of the turn.
    fn wake_lazy(&mut self) {
        self.lazy_until = None;
        for slot in std::mem::take(&mut self.lazy) {
            if let Some(link) = self.links.get_mut(slot)
                && std::mem::take(&mut link.lazy)
                && link.output.pending() > 0
            {
                self.mark_dirty(slot);
            }
        }
    }

    /// Sees to it that a link is read on from in the next turn.
    fn mark_resume(&mut self, slot: u32) {
        if let Some(link) = self.links.get_mut(slot)
            && !link.resuming
        {
            link.resuming = true;
            self.resume.push(slot);
        }
    }

    /// Room for one more link of a peer: one that has been silent for so long that its node must be gone makes way.
    fn make_room(&mut self, registry: &Registry, now: UnixMillis, silence: Millis) -> bool {
        if self.peers < MAX_PEER_LINKS {
            return true;
        }
        if std::mem::replace(&mut self.made_room, true) {
            return false;
        }
        let peers = self.links.iter().filter(|(_, link)| matches!(link.side, Side::Peer { .. }));
        let silent =
            peers.min_by_key(|(_, link)| link.last_input).filter(|(_, l)| now.since(l.last_input) > silence);
        let Some((slot, _)) = silent else { return false };
        self.lose(slot, registry, "silent for long, and others want to connect");
        true
    }
}

/// What opening a link needs of the loop.
struct Opening<'a> {
    registry: &'a Registry,
    now: UnixMillis,
    /// How long connecting may take.
    patience: Millis,
}

impl Server {
    /// Something happened to a link's socket.
    pub(super) fn link_event(&mut self, slot: u32, event: &mio::event::Event) {
        let Some(link) = self.bus.links.get_mut(slot) else { return };
        if !link.is_up() && !self.finish_connecting(slot) {
            return;
        }
        let Some(link) = self.bus.links.get_mut(slot) else { return };
        let has_output = link.output.pending() > 0;
        if event.is_readable() || event.is_read_closed() || event.is_error() {
            link.readable = true;
            link.hung_up |= event.is_read_closed();
            // One that goes on from the last turn has its share of this one coming.
            if !link.resuming {
                self.serve_link(slot);
            }
        }
        if event.is_writable() && has_output {
            self.bus.mark_dirty(slot);
        }
    }

    /// Tells the engine if a connection is there now. False if it is not.
    fn finish_connecting(&mut self, slot: u32) -> bool {
        let up = self.bus.finish_connecting(slot, self.poll.registry());
        if let Some(link) = up {
            self.step(Input::LinkUp { link }, u32::MAX);
        }
        up.is_some()
    }

    /// Nodes connect to this one.
    pub(super) fn accept_peers(&mut self, offset: usize) {
        const ACCEPTS_PER_EVENT: usize = 100;
        for _ in 0..ACCEPTS_PER_EVENT {
            match self.bus_listeners[offset].accept() {
                Ok((stream, address)) => self.admit_peer(stream, address),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection of a node");
                    break;
                }
            }
        }
        self.bus.accept_again.push(offset);
    }

    fn admit_peer(&mut self, stream: mio::net::TcpStream, address: SocketAddr) {
        let address = SocketAddr::new(address.ip().to_canonical(), address.port());
        let silence = Millis(self.config.cluster_node_timeout.0 * 2);
        if self.bus.make_room(self.poll.registry(), self.now, silence) {
            tracing::debug!(%address, "a node connected");
            return self.bus.admit(stream, address, self.poll.registry(), self.now);
        }
        self.bus.traffic.count_cut(crate::admin::Cut::TooMany);
        if let Some(unsaid) = self.bus.log.due(Said::TooMany, self.now) {
            tracing::warn!(%address, limit = MAX_PEER_LINKS, unsaid, "refused a link: too many nodes are connected");
        }
    }

    /// Goes on with links that had more to say than the turn before took.
    pub(super) fn go_on_with_links(&mut self, resumed: Vec<u32>) {
        for offset in std::mem::take(&mut self.bus.accept_again) {
            self.accept_peers(offset);
        }
        for slot in resumed {
            if let Some(link) = self.bus.links.get_mut(slot) {
                link.resuming = false;
                self.serve_link(slot);
            }
        }
    }

    /// The links that are to be gone on with in this turn.
    pub(super) fn take_resumed_links(&mut self) -> Vec<u32> {
        std::mem::take(&mut self.bus.resume)
    }
}

pub(super) type BusListener = mio::net::TcpListener;

pub(super) fn register(
    listeners: &mut [BusListener],
    registry: &Registry,
    token: impl Fn(usize) -> Token,
) -> io::Result<()> {
    for (offset, listener) in listeners.iter_mut().enumerate() {
        registry.register(listener, token(offset), Interest::READABLE)?;
    }
    Ok(())
}
