//! A machine with a server on it: process, clock, disk, connections.

use std::collections::{BTreeSet, VecDeque};

use disque::bus::NodesConf;
use disque::engine::{ClientId, Effects, Engine, EngineSettings, LinkId, PeerLinkId, Seed};
use disque::types::NodeId;
use foldhash::fast::FixedState;
use hashbrown::HashMap;

use super::chance::Chance;
use super::clock::NodeClock;
use super::world::Event;

/// What is on the disk. `nodes.conf` is replaced by write, sync, rename, sync of the directory, so that after any
/// crash one of the two versions is there whole; a full disk keeps the old one.
#[derive(Debug, Default)]
pub struct Disk {
    pub nodes_conf: Option<Vec<u8>>,
    pub full: bool,
}

pub struct Node {
    pub index: usize,
    /// `None`: the process does not run.
    pub engine: Option<Engine>,
    /// Counts the processes.
    pub life: u32,
    pub clock: NodeClock,
    pub settings: EngineSettings,
    pub disk: Disk,
    /// How many faults make the process stand still.
    pub paused: u32,
    /// What happened to it meanwhile.
    pub held: VecDeque<Event>,
    pub links: HashMap<LinkId, u64, FixedState>,
    pub peers: HashMap<PeerLinkId, u64, FixedState>,
    pub clients: HashMap<ClientId, u64, FixedState>,
    /// All connections with an end here.
    pub conns: BTreeSet<u64>,
    pub wake_at: u64,
    /// World time and number of the last wake-ups, to find an engine that never gets done.
    pub woken_at: u64,
    pub woken: u32,
    pub steps: u64,
    pub next_audit: u64,
    /// The process ends after so many effects of its next step.
    pub dies_after: Option<u32>,
    pub next_id: u64,
    pub effects: Effects,
    /// Whether somebody started it yet: joiners come later.
    pub exists: bool,
    /// Identities that it had before.
    pub former: Vec<NodeId>,
    chance: Chance,
}

impl Node {
    pub fn new(index: usize, clock: NodeClock, settings: EngineSettings, chance: Chance) -> Node {
        Node {
            index,
            engine: None,
            life: 0,
            clock,
            settings,
            disk: Disk::default(),
            paused: 0,
            held: VecDeque::new(),
            links: HashMap::default(),
            peers: HashMap::default(),
            clients: HashMap::default(),
            conns: BTreeSet::new(),
            wake_at: u64::MAX,
            woken_at: 0,
            woken: 0,
            steps: 0,
            next_audit: 0,
            dies_after: None,
            next_id: 1,
            effects: Effects::new(),
            exists: false,
            former: Vec::new(),
            chance,
        }
    }

    /// Starts a process with what is on the disk.
    pub fn start(&mut self, now: u64) -> Result<(), String> {
        let me = self.new_id();
        let conf = match &self.disk.nodes_conf {
            Some(text) => {
                NodesConf::parse(text).map_err(|why| format!("nodes.conf of node {}: {why}", self.index))?
            }
            None => NodesConf::alone(me, self.settings.port),
        };
        self.disk.nodes_conf = Some(conf.to_string().into_bytes());
        self.clock.start_process(now);
        let axis = self.clock.tick(now);
        let seed = Seed(self.chance.bytes32());
        self.engine = Some(Engine::new(self.settings.clone(), &conf, seed, axis));
        self.life += 1;
        self.exists = true;
        self.wake_at = u64::MAX;
        self.dies_after = None;
        Ok(())
    }

    pub fn runs(&self) -> bool {
        self.engine.is_some()
    }

    pub fn is_busy(&self) -> bool {
        self.paused > 0
    }

    fn new_id(&mut self) -> NodeId {
        let bytes = self.chance.bytes32();
        NodeId::from_bytes(*bytes.first_chunk().expect("32 bytes are more than 20"))
    }
}
