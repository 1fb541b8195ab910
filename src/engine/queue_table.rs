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
///
/// The fields are laid out as written, and few: with many queues, the time of most operations is the time to fetch the
/// cache lines of this record, of its [`Entry`] and of the jobs' places.
#[repr(C)]
pub(super) struct Queue {
    pub(super) lanes: Lanes,
    pub(super) jobs_in: u64,
    pub(super) jobs_out: u64,
    /// When a job was last queued or fetched.
    pub(super) last_access: UnixMillis,
    /// When this queue is looked at as a candidate for removal; NEVER: it is not.
    idle_check: UnixMillis,
    /// What is known about its traffic between nodes; nothing on a lone node.
    pub(super) traffic: Option<Box<Traffic>>,
    pub(super) pause: PauseState,
    pub(super) line: Line,
    pub(super) created: UnixMillis,
}

// 100,000 queues are 15 MB of records.
const _: () = assert!(size_of::<Queue>() == 152);

impl Queue {
    fn new(now: UnixMillis) -> Queue {
        Queue {
            lanes: Lanes::default(),
            jobs_in: 0,
            jobs_out: 0,
            last_access: now,
            idle_check: UnixMillis::NEVER,
            traffic: None,
            pause: PauseState::NONE,
            line: Line::default(),
            created: now,
        }
    }

    /// Whether nothing holds the queue but its age.
    pub(super) fn is_unused(&self) -> bool {
        let hungry = self.traffic.as_ref().is_some_and(|traffic| traffic.ask_at.is_some());
        self.lanes.is_empty() && self.line.is_empty() && self.pause == PauseState::NONE && !hungry
    }
}

/// A name and what refers to it: one cache line, with the name itself unless it is long.
#[repr(align(64))]
struct Entry {
    name: Name,
    /// How many jobs refer to the name.
    jobs: u32,
    /// How many of them are in flight. Here and not in the queue, which may go while workers have its jobs.
    in_flight: u32,
    queue: Option<Box<Queue>>,
}

const _: () = assert!(size_of::<Option<Entry>>() == 64);

/// The text of a name. Names that fit have no block of their own.
enum Name {
    Short { len: u8, bytes: [u8; Name::SHORT] },
    Long(Box<[u8]>),
}

impl Name {
    /// The longest name without a block.
    const SHORT: usize = 46;

    fn new(name: &[u8]) -> Name {
        if name.len() > Name::SHORT {
            return Name::Long(name.into());
        }
        let mut bytes = [0; Name::SHORT];
        bytes[..name.len()].copy_from_slice(name);
        Name::Short { len: name.len() as u8, bytes }
    }

    fn bytes(&self) -> &[u8] {
        match self {
            Name::Short { len, bytes } => &bytes[..usize::from(*len)],
            Name::Long(bytes) => bytes,
        }
    }
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

/// Bytes that a name is accounted for beside its text: with the text of a name of 20 bytes, an entry and two places in
/// the index. Longer names that fit into the entry count more than they take.
const NAME_BYTES: usize = size_of::<Option<Entry>>() + 2 * size_of::<NameId>() - 20;
/// Bytes that a queue is accounted for, without the entries for jobs: its record, its entry in `idle`, and the block of
/// the first places.
const QUEUE_BYTES: usize = size_of::<Queue>() + size_of::<(UnixMillis, NameId)>() + 40;

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
        self.index.find(self.hash(name), |id| *entry(entries, *id).name.bytes() == *name).copied()
    }

    /// The name's ID and its queue, if it has one.
    pub(super) fn find_queue(&self, name: &[u8]) -> Option<(NameId, &Queue)> {
        let id = self.find(name)?;
        Some((id, self.queue(id)?))
    }

    pub(super) fn name(&self, id: NameId) -> &[u8] {
        entry(&self.entries, id).name.bytes()
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
        let entry = Entry { name: Name::new(name), jobs: 0, in_flight: 0, queue: None };
        let id = match self.free.pop() {
            Some(slot) => NameId(slot),
            None => {
                self.entries.push(None);
                NameId(self.entries.len() as u32 - 1)
            }
        };
        self.bytes += NAME_BYTES + entry.name.bytes().len();
        self.entries[id.0 as usize] = Some(entry);
        let (hasher, entries) = (&self.hasher, &self.entries);
        let hash = hasher.hash_one(name);
        self.index.insert_unique(hash, id, |id| hasher.hash_one(self::entry(entries, *id).name.bytes()));
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
        if queue.idle_check.is_never() && queue.is_unused() {
            // It counts since the last job, not since the last waiting client left or the pause was lifted.
            let at = (queue.last_access + IDLE_TIME).max(now);
            queue.idle_check = at;
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
        queue.idle_check = UnixMillis::NEVER;
        if !queue.is_unused() {
            return true;
        }
        let due = queue.last_access + IDLE_TIME;
        if due <= now {
            self.remove_queue(id);
        } else {
            queue.idle_check = due;
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
        self.idle.remove(&(queue.idle_check, id));
        self.queues -= 1;
        self.bytes -= QUEUE_BYTES;
        if self.entry_mut(id).jobs == 0 {
            self.remove_name(id);
        }
    }

    fn remove_name(&mut self, id: NameId) {
        let name = self.entries[id.0 as usize].take().expect("a name is removed once").name;
        self.bytes -= NAME_BYTES + name.bytes().len();
        self.free.push(id.0);
        let hash = self.hash(name.bytes());
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
            bytes += NAME_BYTES + entry.name.bytes().len();
            if self.find(entry.name.bytes()) != Some(id) {
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
                    let watched = self.idle.contains(&(queue.idle_check, id));
                    if watched == queue.idle_check.is_never() || (queue.is_unused() && !watched) {
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    const NOW: UnixMillis = UnixMillis(1_000_000);

    #[derive(Clone, Debug)]
    enum Op {
        AddJob(Vec<u8>),
        /// Of the name with this number.
        RemoveJob(usize),
        OpenQueue(Vec<u8>),
        /// All queues that are idle.
        Retire,
    }

    /// Short and long names, with those around the greatest length that needs no block.
    fn name() -> impl Strategy<Value = Vec<u8>> {
        let len = prop_oneof![0..4usize, Name::SHORT - 1..Name::SHORT + 2, Just(300)];
        (len, prop::sample::select(vec![b'a', b'b'])).prop_map(|(len, byte)| vec![byte; len])
    }

    fn op() -> impl Strategy<Value = Op> {
        prop_oneof![
            4 => name().prop_map(Op::AddJob),
            4 => any::<usize>().prop_map(Op::RemoveJob),
            2 => name().prop_map(Op::OpenQueue),
            1 => Just(Op::Retire),
        ]
    }

    proptest! {
        #[test]
        fn names_live_as_long_as_a_job_or_a_queue_has_them(ops in prop::collection::vec(op(), 1..80)) {
            let mut table = QueueTable::new(7);
            // Jobs and whether there is a queue.
            let mut model: BTreeMap<Vec<u8>, (u32, bool)> = BTreeMap::new();
            for op in ops {
                match op {
                    Op::AddJob(name) => {
                        let id = table.intern(&name);
                        table.retain(id);
                        model.entry(name).or_default().0 += 1;
                    }
                    Op::RemoveJob(nth) => {
                        let mut names = model.iter_mut().filter(|(_, (jobs, _))| *jobs > 0).collect::<Vec<_>>();
                        if let Some(at) = nth.checked_rem(names.len()) {
                            let (name, (jobs, _)) = &mut names[at];
                            table.release(table.find(name).unwrap());
                            *jobs -= 1;
                        }
                    }
                    Op::OpenQueue(name) => {
                        let id = table.intern(&name);
                        table.open(id, NOW);
                        model.entry(name).or_default().1 = true;
                    }
                    Op::Retire => {
                        while table.consider_idle(NOW + IDLE_TIME) {}
                        model.values_mut().for_each(|(_, queue)| *queue = false);
                    }
                }
                model.retain(|_, (jobs, queue)| *jobs > 0 || *queue);
                let jobs_of = |id| (model[table.name(id)].0, 0);
                prop_assert_eq!(table.audit(jobs_of), Ok(()));
                prop_assert_eq!(table.len(), model.values().filter(|(_, queue)| *queue).count());
                for (name, (_, queue)) in &model {
                    prop_assert_eq!(table.find_queue(name).is_some(), *queue);
                }
                prop_assert_eq!(table.entries.iter().flatten().count(), model.len());
            }
        }
    }
}
