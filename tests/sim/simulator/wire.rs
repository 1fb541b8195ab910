//! Connections as TCP gives them: bytes in order, late, or not at all; never garbled, never twice.
//!
//! The model. What one step of a node writes to one connection travels as one piece, sometimes as two that are cut
//! anywhere. A piece arrives after the latency of the pair of hosts, never before the one in front of it. While a
//! direction is cut, pieces wait and are repeated by the kernel at growing intervals, so that they arrive some time
//! after the cut is healed. A reset destroys what has not arrived, perhaps in the middle of a frame; a close
//! lets what was written arrive first, so that bytes of an old connection may come after those of its successor. A
//! machine without power answers nothing; when it is back, it resets connections that it does not know.

use std::collections::VecDeque;

use disque::bus::{FrameReader, FrameWriter};
use disque::engine::{ClientId, LinkId, PeerLinkId};
use disque::resp::RequestReader;

use super::ledger::Id;
use super::log::Wait;

/// A piece of a stream on its way.
#[derive(Debug)]
pub struct Piece {
    pub at: u64,
    /// When the node decided to say it; 0: when it is sent.
    pub sent: u64,
    pub bytes: Vec<u8>,
    /// The end of the stream.
    pub fin: bool,
    /// Types of the messages in it, as bits, for coverage.
    pub kinds: u32,
    /// At-most-once jobs that are nowhere else.
    pub only_here: Vec<Id>,
}

impl Piece {
    /// Bytes, and nothing to be said of them.
    pub fn of(bytes: Vec<u8>) -> Piece {
        Piece { at: 0, sent: 0, bytes, fin: false, kinds: 0, only_here: Vec::new() }
    }
}

/// One direction of a connection.
#[derive(Debug, Default)]
pub struct Pipe {
    pub pieces: VecDeque<Piece>,
    /// No piece arrives before the one in front of it.
    pub last_at: u64,
    /// Since when the front piece waits for a cut to heal.
    pub stalled_since: Option<u64>,
}

/// What a connection is for.
#[derive(Debug)]
pub enum Purpose {
    /// From one node's engine to another's.
    Bus { link: LinkId, peer: PeerLinkId, readers: [FrameReader; 2], writers: Box<[FrameWriter; 2]> },
    /// A client's; the acceptor reads requests.
    Client { client: usize, id: ClientId, server: Box<Serving> },
}

/// The server's side of a client connection.
#[derive(Debug)]
pub struct Serving {
    pub reader: RequestReader,
    pub input: Vec<u8>,
    /// The engine has a request of it.
    pub blocked: bool,
    /// Output that waits for the disk, for what, and since when.
    pub held: Vec<u8>,
    pub hold: Option<Wait>,
    pub held_since: u64,
}

#[derive(Debug)]
pub struct Conn {
    pub purpose: Purpose,
    /// Hosts of the opener and of the acceptor. A client shares the host of its home node.
    pub hosts: [usize; 2],
    /// Whether each end still has it open.
    pub open: [bool; 2],
    pub up: bool,
    /// It broke: its ends may not have heard yet, and what they say from then on goes nowhere.
    pub broken: bool,
    /// How often connecting was tried.
    pub tries: u32,
    /// From opener to acceptor, and back.
    pub pipes: [Pipe; 2],
}

impl Conn {
    pub fn new(purpose: Purpose, hosts: [usize; 2]) -> Conn {
        let pipes = [Pipe::default(), Pipe::default()];
        Conn { purpose, hosts, open: [true, false], up: false, broken: false, tries: 0, pipes }
    }

    /// Whether nodes speak on it.
    pub fn is_bus(&self) -> bool {
        matches!(self.purpose, Purpose::Bus { .. })
    }

    /// The node at an end, if there is one.
    pub fn node_at(&self, end: usize) -> Option<usize> {
        match self.purpose {
            Purpose::Client { .. } if end == 0 => None,
            _ => Some(self.hosts[end]),
        }
    }
}

/// The network between hosts.
#[derive(Debug)]
pub struct Net {
    /// How many faults cut each direction.
    cuts: Vec<Vec<u32>>,
    /// Directions that flap, and are cut at the moment.
    flaps: Vec<Vec<bool>>,
    pub latency: Vec<Vec<u64>>,
    /// What faults add to it.
    pub delay: Vec<Vec<u64>>,
    pub slow: Vec<u64>,
    pub loss_permille: u64,
    /// Machines without power hear and say nothing.
    pub powered: Vec<bool>,
}

impl Net {
    pub fn new(latency: Vec<Vec<u64>>, loss_permille: u64) -> Net {
        let hosts = latency.len();
        Net {
            cuts: vec![vec![0; hosts]; hosts],
            flaps: vec![vec![false; hosts]; hosts],
            delay: vec![vec![0; hosts]; hosts],
            slow: vec![0; hosts],
            powered: vec![true; hosts],
            latency,
            loss_permille,
        }
    }

    pub fn is_cut(&self, from: usize, to: usize) -> bool {
        self.cuts[from][to] > 0 || self.flaps[from][to] || !self.powered[from] || !self.powered[to]
    }

    pub fn cut(&mut self, from: usize, to: usize, on: bool) {
        if from != to {
            let cuts = &mut self.cuts[from][to];
            *cuts = if on { *cuts + 1 } else { cuts.saturating_sub(1) };
        }
    }

    pub fn set_flap(&mut self, from: usize, to: usize, on: bool) {
        self.flaps[from][to] = on;
    }

    pub fn heal_everything(&mut self) {
        let hosts = self.powered.len();
        self.flaps = vec![vec![false; hosts]; hosts];
        self.cuts = vec![vec![0; hosts]; hosts];
        self.delay = vec![vec![0; hosts]; hosts];
        self.slow = vec![0; hosts];
        self.loss_permille = 0;
    }
}
