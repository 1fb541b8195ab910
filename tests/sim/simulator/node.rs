//! A machine with a server on it: process, clock, disk, connections.

use std::collections::{BTreeSet, VecDeque};

use disque::aof::SyncPolicy;
use disque::bus::NodesConf;
use disque::engine::{ClientId, Effects, Engine, EngineSettings, LinkId, PeerLinkId, Seed};
use disque::types::{Millis, NodeId};
use foldhash::fast::FixedState;
use hashbrown::HashMap;

use super::chance::Chance;
use super::clock::NodeClock;
use super::log::{self, Log};
use super::sim_disk::{EIO, SimDisk};
use super::views::{Known, Seen};
use super::world::Event;

/// What is on the disk. `nodes.conf` is replaced by write, sync, rename, sync of the directory, so that after any
/// crash one of the two versions is there whole; a full disk keeps the old one. The append-only file is written call
/// by call.
#[derive(Debug, Default)]
pub struct Disk {
    pub nodes_conf: Option<Vec<u8>>,
    /// The node table has changed since, while there was no room for it.
    pub unsaved: bool,
    /// How many faults fill it, and let syncs and everything else fail.
    pub full: u32,
    pub sync_fails: u32,
    pub broken: u32,
    pub files: SimDisk,
    /// A sync has failed since the last base was finished: the system shows what the disk may not have.
    pub suspect: bool,
    /// The process has read what the disk may not have.
    pub untrusted: bool,
    /// Somebody or something has changed what is on it.
    pub damaged: bool,
}

impl Disk {
    /// Lets calls fail as the faults of the moment demand.
    pub fn set_faults(&mut self) {
        self.files.set_full(self.full > 0);
        self.files.set_sync_error((self.sync_fails > 0).then_some(EIO));
        self.files.set_broken((self.broken > 0).then_some(EIO));
        self.suspect |= self.sync_fails > 0 || self.broken > 0;
    }

    /// Replaces the node table; false if there is no room.
    pub fn save_conf(&mut self, text: Vec<u8>) -> bool {
        self.unsaved = self.full > 0;
        if !self.unsaved {
            self.nodes_conf = Some(text);
        }
        !self.unsaved
    }

    pub fn mend(&mut self) {
        (self.full, self.sync_fails, self.broken) = (0, 0, 0);
        self.files.mend();
    }
}

/// Why a process does not start.
#[derive(Debug)]
pub enum NoStart {
    Conf(String),
    Log(String),
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
    /// When its append-only file is synced, if it has one.
    pub policy: Option<SyncPolicy>,
    pub log: Option<Log>,
    /// What it knew when its process ended, if it will read it again.
    pub remembers: Option<Known>,
    /// World time of the timers of the file that are under way.
    pub disk_timers: [u64; 2],
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
    /// What the last audit saw of acknowledgements.
    pub seen: Seen,
    /// The process ends after so many effects of its next step.
    pub dies_after: Option<u32>,
    pub next_id: u64,
    pub effects: Effects,
    /// Whether somebody started it yet: joiners come later.
    pub exists: bool,
    /// Identities that it had before.
    pub former: Vec<NodeId>,
    /// Damaged places and cut ends that the last start found.
    pub loaded: (u64, u64),
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
            policy: None,
            log: None,
            remembers: None,
            disk_timers: [0; 2],
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
            seen: Seen::default(),
            dies_after: None,
            next_id: 1,
            effects: Effects::new(),
            exists: false,
            former: Vec::new(),
            loaded: (0, 0),
            chance,
        }
    }

    /// Starts a process with what is on the disk.
    pub fn start(&mut self, now: u64) -> Result<(), NoStart> {
        let me = self.new_id();
        let conf = match &self.disk.nodes_conf {
            Some(text) => NodesConf::parse(text)
                .map_err(|why| NoStart::Conf(format!("nodes.conf of node {}: {why}", self.index)))?,
            None => NodesConf::alone(me, self.settings.port),
        };
        self.disk.nodes_conf = Some(conf.to_string().into_bytes());
        self.disk.unsaved = false;
        self.clock.start_process(now);
        let axis = self.clock.tick(now);
        let seed = Seed(self.chance.bytes32());
        let mut engine = Engine::new(self.settings.clone(), &conf, seed, axis);
        if let Some(policy) = self.policy {
            self.open_log(&mut engine, policy, now)?;
        }
        self.engine = Some(engine);
        self.seen = Seen::default();
        self.life += 1;
        self.exists = true;
        self.wake_at = u64::MAX;
        self.dies_after = None;
        Ok(())
    }

    /// Gives the engine what the file has.
    fn open_log(&mut self, engine: &mut Engine, policy: SyncPolicy, now: u64) -> Result<(), NoStart> {
        let axis = self.clock.tick(now);
        let salt = self.chance.next();
        let loaded = log::load(&self.disk.files, engine, axis, salt);
        let (ready, summary) = loaded.map_err(|why| NoStart::Log(why.to_string()))?;
        self.loaded = (summary.damage_count, summary.tails.len() as u64);
        self.disk.untrusted = self.disk.suspect;
        let mono = Millis(self.clock.mono(now) / 1000);
        self.log = Some(Log::start(&self.disk.files, ready, policy, mono, self.chance.split(1)));
        self.disk_timers = [0; 2];
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
