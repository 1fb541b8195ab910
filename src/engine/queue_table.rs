//! Queue names, interned, and the queues that hang below them while they are in use.
//!
//! A name lives as long as a job refers to it or its queue exists. A queue comes into being when a job is
//! queued, a client waits for it or PAUSE sets a state; it goes when it has been idle for long.
//!
//! Invariants: every name is in the index exactly once; a name without queue and without jobs is gone; a queue
//! that is empty, open and without waiting clients has an entry in `idle`.

use std::collections::BTreeSet;

use foldhash::fast::FixedState;
use hashbrown::HashTable;
use std::hash::BuildHasher as _;

use super::blocking::Line;
use super::federation::Traffic;
use super::job::NameId;
use super::queue::Lanes;
use super::request::PauseState;
use crate::types::{Millis, UnixMillis};

/// How long a queue must have been idle before it is removed (commands.md 4.3).
pub(super) const IDLE_TIME: Millis = Millis(300_000);

/// A queue in use.
pub(super) struct Queue {
    pub(super) lanes: Lanes,
    pub(super) line: Line,
    pub(super) pause: PauseState,
    pub(super) created: UnixMillis,
    /// When a job was last queued or fetched.
    pub(super) last_access: UnixMillis,
    pub(super) jobs_in: u64,
    pub(super) jobs_out: u64,
    /// What is known about its traffic between nodes; nothing on a lone node.
    pub(super) traffic: Option<Box<Traffic>>,
    /// When this queue is looked at as a candidate for removal, if it is.
    idle_check: Option<UnixMillis>,
}

impl Queue {
    fn new(now: UnixMillis) -> Queue {
        Queue {
            lanes: Lanes::default(),
            line: Line::default(),
            pause: PauseState::NONE,
            created: now,
            last_access: now,
            jobs_in: 0,
            jobs_out: 0,
            traffic: None,
            idle_check: None,
        }
    }

    /// Whether nothing holds the queue but its age.
    pub(super) fn is_unused(&self) -> bool {
        let hungry = self.traffic.as_ref().is_some_and(|traffic| traffic.ask_at.is_some());
        self.lanes.is_empty() && self.line.is_empty() && self.pause == PauseState::NONE && !hungry
    }
}

struct Entry {
    name: Box<[u8]>,
    /// How many jobs refer to the name.
    jobs: u32,
    /// How many of them are in flight. Here and not in the queue, which may go while workers have its jobs.
    in_flight: u32,
    queue: Option<Box<Queue>>,
}

/// All names and queues of a node.
pub(super) struct QueueTable {
    entries: Vec<Option<Entry>>,
    free: Vec<u32>,
    index: HashTable<NameId>,
    hasher: FixedState,
    queues: usize,
    bytes: usize,
    idle: BTreeSet<(UnixMillis, NameId)>,
}

/// Bytes that a name and its queue are accounted for, beside the name itself.
const NAME_BYTES: usize = size_of::<Option<Entry>>() + size_of::<NameId>() + 16;
const _: () = assert!(size_of::<Option<Entry>>() == 32, "a name is looked up for every job");
const QUEUE_BYTES: usize = size_of::<Queue>() + size_of::<(UnixMillis, NameId)>() + 16;

impl QueueTable {
    pub(super) fn new(seed: u64) -> QueueTable {
        QueueTable {
            entries: Vec::new(),
            free: Vec::new(),
            index: HashTable::new(),
            hasher: FixedState::with_seed(seed),
            queues: 0,
            bytes: 0,
            idle: BTreeSet::new(),
        }
    }

    /// How many queues exist.
    pub(super) fn len(&self) -> usize {
        self.queues
    }

    /// Accounted bytes of all names and queues, without the entries for jobs.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// One more than the highest name ever in use: the end of a scan.
    pub(super) fn slots(&self) -> usize {
        self.entries.len()
    }

    /// The queue in a slot, for scans.
    pub(super) fn slot(&self, slot: usize) -> Option<(NameId, &Queue)> {
        let queue = self.entries.get(slot)?.as_ref()?.queue.as_deref()?;
        Some((NameId(slot as u32), queue))
    }

    pub(super) fn find(&self, name: &[u8]) -> Option<NameId> {
        let entries = &self.entries;
        self.index.find(self.hash(name), |id| *entry(entries, *id).name == *name).copied()
    }

    /// The name's ID and its queue, if it has one.
    pub(super) fn find_queue(&self, name: &[u8]) -> Option<(NameId, &Queue)> {
        let id = self.find(name)?;
        Some((id, self.queue(id)?))
    }

    pub(super) fn name(&self, id: NameId) -> &[u8] {
        &entry(&self.entries, id).name
    }

    pub(super) fn queue(&self, id: NameId) -> Option<&Queue> {
        entry(&self.entries, id).queue.as_deref()
    }

    pub(super) fn queue_mut(&mut self, id: NameId) -> Option<&mut Queue> {
        self.entry_mut(id).queue.as_deref_mut()
    }

    /// The name's ID; a name that was not known is added. A job or a queue must follow.
    pub(super) fn intern(&mut self, name: &[u8]) -> NameId {
        if let Some(id) = self.find(name) {
            return id;
        }
        let entry = Entry { name: name.into(), jobs: 0, in_flight: 0, queue: None };
        let id = match self.free.pop() {
            Some(slot) => NameId(slot),
            None => {
                self.entries.push(None);
                NameId(self.entries.len() as u32 - 1)
            }
        };
        self.bytes += NAME_BYTES + name.len();
        self.entries[id.0 as usize] = Some(entry);
        let (hasher, entries) = (&self.hasher, &self.entries);
        let hash = hasher.hash_one(name);
        self.index.insert_unique(hash, id, |id| hasher.hash_one(&*self::entry(entries, *id).name));
        id
    }

    /// A job refers to the name from now on.
    pub(super) fn retain(&mut self, id: NameId) {
        self.entry_mut(id).jobs += 1;
    }

    /// A job no longer refers to the name.
    pub(super) fn release(&mut self, id: NameId) {
        let entry = self.entry_mut(id);
        entry.jobs -= 1;
        if entry.jobs == 0 && entry.queue.is_none() {
            self.remove_name(id);
        }
    }

    /// A worker has a job of this name from now on.
    pub(super) fn flight_begins(&mut self, id: NameId) {
        self.entry_mut(id).in_flight += 1;
    }

    /// A job of this name that a worker had is acknowledged, gone, or to be queued again.
    pub(super) fn flight_ends(&mut self, id: NameId) {
        self.entry_mut(id).in_flight -= 1;
    }

    /// How many jobs of this name workers have; see `Job::is_in_flight`.
    pub(super) fn in_flight(&self, id: NameId) -> u32 {
        entry(&self.entries, id).in_flight
    }

    /// The name's queue, made if it does not exist.
    pub(super) fn open(&mut self, id: NameId, now: UnixMillis) -> &mut Queue {
        if self.entry_mut(id).queue.is_none() {
            self.entry_mut(id).queue = Some(Box::new(Queue::new(now)));
            self.queues += 1;
            self.bytes += QUEUE_BYTES;
            self.watch_idle(id, now);
        }
        self.entry_mut(id).queue.as_deref_mut().expect("the queue was made above if it was missing")
    }

    /// To be called when a queue may have become unused: sees to it that its removal is considered in time.
    pub(super) fn watch_idle(&mut self, id: NameId, now: UnixMillis) {
        let Some(queue) = self.queue_mut(id) else { return };
        if queue.idle_check.is_none() && queue.is_unused() {
            // It counts since the last job, not since the last waiting client left or the pause was lifted.
            let at = (queue.last_access + IDLE_TIME).max(now);
            queue.idle_check = Some(at);
            self.idle.insert((at, id));
        }
    }

    /// When the next queue is to be considered.
    pub(super) fn next_idle_check(&self) -> Option<UnixMillis> {
        self.idle.first().map(|(at, _)| *at)
    }

    /// Considers one queue that is due: removes it if it has been idle for long, else says when to look again.
    /// False if none is due.
    pub(super) fn consider_idle(&mut self, now: UnixMillis) -> bool {
        let Some(&(at, id)) = self.idle.first() else { return false };
        if at > now {
            return false;
        }
        self.idle.pop_first();
        let Some(queue) = self.queue_mut(id) else { return true };
        queue.idle_check = None;
        if !queue.is_unused() {
            return true;
        }
        let due = queue.last_access + IDLE_TIME;
        if due <= now {
            self.remove_queue(id);
        } else {
            queue.idle_check = Some(due);
            self.idle.insert((due, id));
        }
        true
    }

    /// Removes the queue in this slot if it is unused and was not accessed for `idle`; true if it was removed.
    pub(super) fn remove_if_idle(&mut self, slot: usize, now: UnixMillis, idle: Millis) -> bool {
        let Some((id, queue)) = self.slot(slot) else { return false };
        let remove = queue.is_unused() && now.since(queue.last_access) >= idle;
        if remove {
            self.remove_queue(id);
        }
        remove
    }

    fn remove_queue(&mut self, id: NameId) {
        let Some(queue) = self.entry_mut(id).queue.take() else { return };
        debug_assert!(queue.is_unused());
        if let Some(at) = queue.idle_check {
            self.idle.remove(&(at, id));
        }
        self.queues -= 1;
        self.bytes -= QUEUE_BYTES;
        if self.entry_mut(id).jobs == 0 {
            self.remove_name(id);
        }
    }

    fn remove_name(&mut self, id: NameId) {
        let name = self.entries[id.0 as usize].take().expect("a name is removed once").name;
        self.bytes -= NAME_BYTES + name.len();
        self.free.push(id.0);
        let hash = self.hash(&name);
        match self.index.find_entry(hash, |found| *found == id) {
            Ok(found) => drop(found.remove()),
            Err(_) => unreachable!("every name is in the index"),
        }
    }

    /// Forgets all names and queues.
    pub(super) fn clear(&mut self) {
        self.entries.clear();
        self.free.clear();
        self.index.clear();
        self.idle.clear();
        self.queues = 0;
        self.bytes = 0;
    }

    fn hash(&self, name: &[u8]) -> u64 {
        self.hasher.hash_one(name)
    }

    fn entry_mut(&mut self, id: NameId) -> &mut Entry {
        self.entries[id.0 as usize].as_mut().expect("a name in use is in the table")
    }

    /// Recounts names, queues and what is watched; `jobs_of` tells how many jobs refer to a name,
    /// and how many of them are in flight.
    pub(super) fn audit(&self, jobs_of: impl Fn(NameId) -> (u32, u32)) -> Result<(), String> {
        let (mut names, mut queues, mut bytes) = (0, 0, 0);
        for (slot, entry) in self.entries.iter().enumerate() {
            let Some(entry) = entry else { continue };
            let id = NameId(slot as u32);
            names += 1;
            bytes += NAME_BYTES + entry.name.len();
            if self.find(&entry.name) != Some(id) {
                return Err(format!("name {slot} is not found by its text"));
            }
            let counted = (entry.jobs, entry.in_flight);
            if counted != jobs_of(id) {
                let exist = jobs_of(id);
                return Err(format!("name {slot}: jobs, in flight: {counted:?} counted, {exist:?} exist"));
            }
            match &entry.queue {
                None if entry.jobs == 0 => return Err(format!("name {slot} is not used")),
                None => {}
                Some(queue) => {
                    queues += 1;
                    bytes += QUEUE_BYTES;
                    let watched = queue.idle_check.is_some_and(|at| self.idle.contains(&(at, id)));
                    if watched != queue.idle_check.is_some() || (queue.is_unused() && !watched) {
                        return Err(format!("queue {slot}: removal is not watched"));
                    }
                }
            }
        }
        let counted = (self.index.len(), self.queues, self.bytes, self.free.len());
        let exist = (names, queues, bytes, self.entries.len() - names);
        if counted == exist {
            Ok(())
        } else {
            Err(format!("names, queues, bytes, free: {counted:?}, {exist:?}"))
        }
    }
}

fn entry(entries: &[Option<Entry>], id: NameId) -> &Entry {
    entries[id.0 as usize].as_ref().expect("a name in use is in the table")
}
