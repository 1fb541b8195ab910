//! How pieces travel, connections open and end.

use disque::bus::{FrameReader, FrameWriter, MAX_FRAME_LEN};
use disque::engine::{Input, LinkId, PeerLinkId};

use super::ledger::Id;
use super::plan::{MS, OLDEST_BYTES, SECOND};
use super::wire::{Conn, Piece, Purpose};
use super::world::{Event, World};

/// After so many repetitions a kernel gives up connecting: about two minutes.
const CONNECT_TRIES: u32 = 7;
/// The first repetition of a lost packet on a connection that is up.
const RETRANSMIT: u64 = 200 * MS;

impl World {
    fn latency(&mut self, from: usize, to: usize) -> u64 {
        let base = self.net.latency[from][to];
        let jitter = self.net_chance.below(base / 4 + 20);
        let mut latency = base + jitter + self.net.delay[from][to] + self.net.slow[from] + self.net.slow[to];
        if from != to && self.net.loss_permille > 0 {
            let mut repeat = RETRANSMIT;
            while self.net_chance.permille(self.net.loss_permille) && repeat < 10 * SECOND {
                latency += repeat;
                repeat *= 2;
            }
        }
        latency
    }

    /// Sends bytes on their way.
    pub fn send(&mut self, conn: u64, way: usize, mut piece: Piece) {
        let Some(state) = self.conns.get(&conn) else { return self.lose(piece) };
        let (hosts, broken) = (state.hosts, state.broken);
        if way == 1 && matches!(state.purpose, Purpose::Client { .. }) {
            piece.only_here = ids_in(&piece.bytes);
        }
        if broken {
            return self.lose(piece);
        }
        let latency = self.latency(hosts[way], hosts[1 - way]);
        self.trace.mix_bytes(&piece.bytes);
        let pipe = &mut self.conns.get_mut(&conn).expect("it was just there").pipes[way];
        if piece.sent == 0 {
            piece.sent = self.now;
        }
        piece.at = (self.now + latency).max(pipe.last_at + 1);
        // Sometimes the kernel cuts what was written as one piece.
        let cut = piece.bytes.len() > 1 && self.net_chance.permille(15);
        if cut {
            let at = self.net_chance.between(1, piece.bytes.len() as u64 - 1) as usize;
            let rest = piece.bytes.split_off(at);
            let later = piece.at + 1 + self.net_chance.below(latency + 1);
            let first = Piece { kinds: piece.kinds, only_here: Vec::new(), fin: false, ..piece };
            let rest = Piece { at: later, bytes: rest, only_here: piece.only_here, ..first };
            self.put(conn, way, first);
            self.put(conn, way, rest);
        } else {
            self.put(conn, way, piece);
        }
    }

    fn put(&mut self, conn: u64, way: usize, piece: Piece) {
        let at = piece.at;
        let pipe = &mut self.conns.get_mut(&conn).expect("it is there").pipes[way];
        pipe.last_at = at;
        pipe.pieces.push_back(piece);
        self.at(at, Event::Arrive { conn, way });
    }

    /// The front piece of a pipe arrives, if nothing is in its way.
    pub fn arrive(&mut self, conn: u64, way: usize) {
        let now = self.now;
        let Some(state) = self.conns.get_mut(&conn) else { return };
        if state.pipes[way].pieces.front().is_none_or(|piece| piece.at > now) {
            return;
        }
        if state.pipes[way].stalled_since.is_some() {
            return;
        }
        let end = 1 - way;
        if self.net.is_cut(state.hosts[way], state.hosts[end]) {
            state.pipes[way].stalled_since = Some(now);
            self.stalled.insert((conn, way));
            return;
        }
        if let Some(node) = state.node_at(end)
            && self.nodes[node].is_busy()
        {
            self.nodes[node].held.push_back(Event::Arrive { conn, way });
            return;
        }
        let piece = state.pipes[way].pieces.pop_front().expect("it was just looked at");
        if !state.open[end] {
            return self.lose(piece);
        }
        if piece.fin {
            return self.gone(conn, end);
        }
        self.receive(conn, end, piece);
    }

    fn receive(&mut self, conn: u64, end: usize, piece: Piece) {
        let purpose = &self.conns[&conn].purpose;
        match (purpose, end) {
            (Purpose::Bus { .. }, end) => self.bus_bytes(conn, end, &piece.bytes),
            (Purpose::Client { .. }, 1) => self.request_bytes(conn, &piece.bytes),
            (Purpose::Client { client, .. }, _) => {
                let client = *client;
                self.reply_bytes(client, conn, &piece);
            }
        }
        self.recycle(piece.bytes);
    }

    pub fn recycle(&mut self, mut bytes: Vec<u8>) {
        if self.spare.len() < 64 && bytes.capacity() < 1 << 16 {
            bytes.clear();
            self.spare.push(bytes);
        }
    }

    /// Bytes will never arrive.
    pub fn lose(&mut self, piece: Piece) {
        piece.only_here.iter().for_each(|id| self.ledger.excuse(id));
        self.recycle(piece.bytes);
    }

    /// Job IDs in a reply that its client does not get.
    pub fn excuse_ids_in(&mut self, bytes: &[u8]) {
        ids_in(bytes).iter().for_each(|id| self.ledger.excuse(id));
    }

    /// A path may have become free: what waited on it is repeated by the kernels before long.
    pub fn heal(&mut self) {
        let free: Vec<(u64, usize)> = self
            .stalled
            .iter()
            .copied()
            .filter(|(conn, way)| {
                self.conns
                    .get(conn)
                    .is_none_or(|conn| !self.net.is_cut(conn.hosts[*way], conn.hosts[1 - way]))
            })
            .collect();
        for (conn, way) in free {
            self.stalled.remove(&(conn, way));
            self.unstall(conn, way);
        }
    }

    fn unstall(&mut self, conn: u64, way: usize) {
        let now = self.now;
        let Some(state) = self.conns.get_mut(&conn) else { return };
        let since = state.pipes[way].stalled_since.take().unwrap_or(now);
        if now - since > OLDEST_BYTES && state.is_bus() {
            return self.reset(conn);
        }
        // The next repetition is at most as far away as the cut lasted, and at most a minute.
        let wait = self.net_chance.below((now - since + RETRANSMIT).min(60 * SECOND));
        let mut at = now + wait;
        let Some(pipe) = self.conns.get_mut(&conn).map(|conn| &mut conn.pipes[way]) else { return };
        let mut times = Vec::with_capacity(pipe.pieces.len());
        for piece in &mut pipe.pieces {
            piece.at = piece.at.max(at);
            at = piece.at + 1;
            times.push(piece.at);
        }
        pipe.last_at = pipe.last_at.max(at);
        for time in times {
            self.at(time, Event::Arrive { conn, way });
        }
    }

    /// A node's engine wants a link.
    pub fn open_link(&mut self, node: usize, link: LinkId, target: Option<usize>) {
        let conn = self.next_conn;
        self.next_conn += 1;
        let to = target.unwrap_or(node);
        let readers = [FrameReader::new(MAX_FRAME_LEN), FrameReader::new(MAX_FRAME_LEN)];
        let writers = Box::new([FrameWriter::new(), FrameWriter::new()]);
        let purpose = Purpose::Bus { link, peer: PeerLinkId(0), readers, writers };
        self.conns.insert(conn, Conn::new(purpose, [node, to]));
        self.nodes[node].links.insert(link, conn);
        self.nodes[node].conns.insert(conn);
        if target.is_some() {
            let latency = self.latency(node, to);
            self.at(self.now + latency, Event::Connect { conn });
        } else {
            // Nobody has this address.
            self.at(self.now + 2 * SECOND, Event::Gone { conn, end: 0 });
        }
    }

    /// An attempt to connect reaches the other machine, or does not.
    pub fn connect(&mut self, conn: u64) {
        let Some(state) = self.conns.get_mut(&conn) else { return };
        let [from, to] = state.hosts;
        if !state.open[0] || state.up || state.broken {
            return;
        }
        if self.net.is_cut(from, to) || self.net.is_cut(to, from) {
            state.tries += 1;
            let next = if state.tries > CONNECT_TRIES {
                Event::Gone { conn, end: 0 }
            } else {
                Event::Connect { conn }
            };
            let wait = SECOND << state.tries.min(CONNECT_TRIES);
            return self.at(self.now + wait / 2, next);
        }
        let back = self.latency(to, from);
        if !self.nodes[to].runs() {
            self.coverage.mark("connection refused");
            return self.at(self.now + back, Event::Gone { conn, end: 0 });
        }
        let id = self.nodes[to].next_id;
        self.nodes[to].next_id += 1;
        self.nodes[to].conns.insert(conn);
        let state = self.conns.get_mut(&conn).expect("it was just there");
        (state.up, state.open[1]) = (true, true);
        match &mut state.purpose {
            Purpose::Bus { peer, .. } => {
                *peer = PeerLinkId(id);
                self.nodes[to].peers.insert(PeerLinkId(id), conn);
            }
            Purpose::Client { id: client, .. } => {
                *client = disque::engine::ClientId(id);
                let client = *client;
                self.nodes[to].clients.insert(client, conn);
            }
        }
        self.at(self.now + back, Event::Up { conn });
    }

    /// The opener hears that it is connected.
    pub fn up(&mut self, conn: u64) {
        let Some(state) = self.conns.get(&conn) else { return };
        if !state.open[0] {
            return;
        }
        if let Some(node) = state.node_at(0)
            && self.nodes[node].is_busy()
        {
            return self.nodes[node].held.push_back(Event::Up { conn });
        }
        match state.purpose {
            Purpose::Bus { link, .. } => {
                let node = state.hosts[0];
                self.trace.note(self.now, || format!("n{node} link {} up", link.0));
                self.step(node, Input::LinkUp { link });
            }
            Purpose::Client { client, .. } => self.client_connected(client, conn),
        }
    }

    /// An end hears that its connection is gone.
    pub fn gone(&mut self, conn: u64, end: usize) {
        let Some(state) = self.conns.get_mut(&conn) else { return };
        if !state.open[end] {
            return;
        }
        let [from, to] = [state.hosts[1 - end], state.hosts[end]];
        if state.up && !state.open[1 - end] && self.net.is_cut(from, to) {
            // The reset does not arrive either; the next one is as far away as the next thing this end says.
            return self.at(self.now + SECOND, Event::Gone { conn, end });
        }
        if let Some(node) = state.node_at(end)
            && self.nodes[node].is_busy()
        {
            self.nodes[node].held.push_back(Event::Gone { conn, end });
            return;
        }
        state.open[end] = false;
        let lost: Vec<Piece> = state.pipes[1 - end].pieces.drain(..).collect();
        lost.into_iter().for_each(|piece| self.lose(piece));
        self.end_is_gone(conn, end);
        self.forget_if_closed(conn);
    }

    fn end_is_gone(&mut self, conn: u64, end: usize) {
        let state = &self.conns[&conn];
        let node = state.node_at(end);
        match (&state.purpose, end) {
            (Purpose::Bus { link, .. }, 0) => {
                let (node, link) = (node.expect("nodes open links"), *link);
                self.nodes[node].conns.remove(&conn);
                if self.nodes[node].links.remove(&link).is_some() {
                    self.trace.note(self.now, || format!("n{node} link {} down", link.0));
                    self.step(node, Input::LinkDown { link });
                }
            }
            (Purpose::Bus { peer, .. }, _) => {
                let (node, peer) = (node.expect("nodes accept links"), *peer);
                self.nodes[node].conns.remove(&conn);
                self.nodes[node].peers.remove(&peer);
            }
            (Purpose::Client { client, .. }, 0) => {
                let client = *client;
                if self.clients[client].conn == Some(conn) {
                    self.clients[client].conn = None;
                    self.client_failed(client, "connection lost");
                }
            }
            (Purpose::Client { id, server, .. }, _) => {
                let (node, id, blocked) = (node.expect("nodes serve"), *id, server.blocked);
                self.nodes[node].conns.remove(&conn);
                self.nodes[node].clients.remove(&id);
                self.drop_held(conn);
                if blocked {
                    self.step(node, Input::ClientGone { client: id });
                }
            }
        }
    }

    /// An end closes: what it wrote still arrives.
    pub fn close(&mut self, conn: u64, end: usize) {
        let Some(state) = self.conns.get_mut(&conn) else { return };
        if !state.open[end] {
            return;
        }
        state.open[end] = false;
        if let Some(node) = state.node_at(end) {
            self.nodes[node].conns.remove(&conn);
        }
        if state.up && state.open[1 - end] {
            let fin = Piece { fin: true, ..Piece::of(Vec::new()) };
            self.send(conn, end, fin);
        }
        self.forget_if_closed(conn);
    }

    /// A connection breaks under both of its ends; what is under way is lost, a part of it perhaps still heard.
    pub fn reset(&mut self, conn: u64) {
        for way in 0..2 {
            let Some(state) = self.conns.get_mut(&conn) else { return };
            state.broken = true;
            state.pipes[way].stalled_since = None;
            self.stalled.remove(&(conn, way));
            let state = self.conns.get_mut(&conn).expect("it was just there");
            let mut pieces = std::mem::take(&mut state.pipes[way].pieces);
            let end = 1 - way;
            let hears = state.open[end] && state.node_at(end).is_none_or(|node| !self.nodes[node].is_busy());
            if let Some(mut first) = pieces.pop_front() {
                if hears && first.bytes.len() > 1 && self.net_chance.permille(500) {
                    let len = self.net_chance.between(1, first.bytes.len() as u64 - 1) as usize;
                    self.coverage.mark("frame cut off");
                    let heard = first.bytes[..len].to_vec();
                    let kept = std::mem::take(&mut first.only_here);
                    kept.iter().for_each(|id| self.ledger.excuse(id));
                    self.lose(first);
                    let piece = Piece { at: self.now, sent: self.now, ..Piece::of(heard) };
                    self.receive(conn, end, piece);
                } else {
                    self.lose(first);
                }
            }
            pieces.into_iter().for_each(|piece| self.lose(piece));
        }
        for end in 0..2 {
            let wait = self.net_chance.below(5 * MS);
            self.at(self.now + wait, Event::Gone { conn, end });
        }
    }

    pub fn forget_if_closed(&mut self, conn: u64) {
        let Some(state) = self.conns.get(&conn) else { return };
        if state.open == [false, false] {
            self.drop_held(conn);
            let mut state = self.conns.remove(&conn).expect("it was just there");
            for way in 0..2 {
                self.stalled.remove(&(conn, way));
                let pieces: Vec<Piece> = state.pipes[way].pieces.drain(..).collect();
                pieces.into_iter().for_each(|piece| self.lose(piece));
            }
        }
    }
}

/// All job IDs in a text.
fn ids_in(bytes: &[u8]) -> Vec<Id> {
    let is_id = |at: &&[u8]| at[0] == b'D' && at[1] == b'-' && at[10] == b'-' && at[35] == b'-';
    bytes.windows(40).filter(is_id).map(|id| id.try_into().expect("it is as long")).collect()
}
