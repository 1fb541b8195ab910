//! From job IDs to slots.
//!
//! An extensible hash table: a directory, addressed by some bits of the hash, of shards that are small hash
//! tables of slot numbers. A full shard is split in two by one more bit; the directory doubles when a shard
//! needs more bits than it has. So growth costs the same 0.1 to 0.3 ms, most of it cache misses, however many jobs there
//! are, where one big table would stop the node for a tenth of a second. The keys are in the records; a
//! split reads those of one shard.

use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

use super::slab::Slab;
use crate::types::JobId;

/// Jobs of a shard before it is split: as many as fit into 512 buckets. Larger shards make splits
/// slower, smaller ones make the directory heavier; between 256 and 4,096 neither matters much. Tests split
/// more often.
const SHARD_CAPACITY: usize = if cfg!(test) { 28 } else { 448 };

/// Bits of the hash from this one on address the directory. Shards find buckets by the lowest bits and tell
/// entries apart by the seven highest, and would work badly if all their entries agreed in those.
const DIRECTORY_SHIFT: u32 = 32;

/// Most bits that the directory uses, and the highest that it may; shards of the last depth just grow.
const MAX_DEPTH: u8 = 24;

/// A shard with at least so many buckets gives some back when it is nearly empty.
const SHRINK_FROM_BUCKETS: usize = 32;

pub(super) struct IdIndex {
    keys: [u64; 3],
    /// Number of a shard for each value of the directory bits; 2^depth entries.
    directory: Vec<u32>,
    shards: Vec<Shard>,
    len: usize,
}

struct Shard {
    slots: HashTable<u32>,
    /// How many of the directory bits all entries agree in.
    depth: u8,
}

impl IdIndex {
    pub(super) fn new(seed: u64) -> IdIndex {
        let mut state = seed;
        let keys = [(); 3].map(|()| next_key(&mut state));
        IdIndex { keys, directory: vec![0], shards: vec![Shard::default()], len: 0 }
    }

    pub(super) fn clear(&mut self) {
        self.directory = vec![0];
        self.shards = vec![Shard::default()];
        self.len = 0;
    }

    pub(super) fn find(&self, id: &JobId, slab: &Slab) -> Option<u32> {
        let hash = hash(&self.keys, id);
        let shard = &self.shards[self.shard_of(hash)];
        shard.slots.find(hash, |slot| id_at(slab, *slot) == id).copied()
    }

    /// Adds the record in `slot`, whose ID must be new.
    pub(super) fn insert(&mut self, slot: u32, slab: &Slab) {
        if let Err(other) = self.try_insert(slot, slab) {
            panic!("{} is added twice, first in slot {other}", id_at(slab, slot));
        }
    }

    /// Adds the record in `slot`, unless there is one with its ID: then its slot is the error.
    pub(super) fn try_insert(&mut self, slot: u32, slab: &Slab) -> Result<(), u32> {
        let id = id_at(slab, slot);
        let keys = self.keys;
        let hash = hash(&keys, id);
        let mut shard = self.shard_of(hash);
        while self.shards[shard].slots.len() >= SHARD_CAPACITY && self.shards[shard].depth < MAX_DEPTH {
            self.split(shard, slab);
            shard = self.shard_of(hash);
        }
        let rehash = |slot: &u32| self::hash(&keys, id_at(slab, *slot));
        match self.shards[shard].slots.entry(hash, |other| id_at(slab, *other) == id, rehash) {
            Entry::Vacant(entry) => drop(entry.insert(slot)),
            Entry::Occupied(entry) => return Err(*entry.get()),
        }
        self.len += 1;
        Ok(())
    }

    /// Takes out the record in `slot`, which must still be there.
    pub(super) fn remove(&mut self, slot: u32, slab: &Slab) {
        self.len -= 1;
        let keys = self.keys;
        let hash = hash(&keys, id_at(slab, slot));
        let shard = self.shard_of(hash);
        let slots = &mut self.shards[shard].slots;
        // Comparing slots instead of IDs: no record but the one at hand is read.
        let entry = slots.find_entry(hash, |other| *other == slot).expect("every record is indexed");
        entry.remove();
        let buckets = slots.num_buckets();
        if buckets >= SHRINK_FROM_BUCKETS && slots.len() < buckets / 8 {
            slots.shrink_to(buckets / 4, |slot| self::hash(&keys, id_at(slab, *slot)));
        }
    }

    fn shard_of(&self, hash: u64) -> usize {
        self.directory[directory_bits(hash) & (self.directory.len() - 1)] as usize
    }

    fn split(&mut self, shard: usize, slab: &Slab) {
        let Shard { slots, depth } = std::mem::take(&mut self.shards[shard]);
        // A loop of its own for the hashes: each waits for a record to come from memory, and the shorter
        // the loop is, the more of them the processor fetches at a time.
        let hash_of = |slot: u32| hash(&self.keys, id_at(slab, slot));
        let entries: Vec<(u64, u32)> = slots.into_iter().map(|slot| (hash_of(slot), slot)).collect();
        let bit = 1 << depth;
        let mut halves = [(); 2].map(|()| HashTable::with_capacity(SHARD_CAPACITY));
        for (hash, slot) in &entries {
            let half = usize::from(directory_bits(*hash) & bit != 0);
            halves[half].insert_unique(*hash, *slot, |slot| hash_of(*slot));
        }
        if self.directory.len() == bit {
            self.directory.extend_from_within(..);
        }
        let (common, _) = entries.first().expect("only full shards are split");
        let first = directory_bits(*common) & (bit - 1) | bit;
        let number = self.shards.len() as u32;
        for entry in self.directory.iter_mut().skip(first).step_by(2 * bit) {
            *entry = number;
        }
        let [low, high] = halves.map(|slots| Shard { slots, depth: depth + 1 });
        self.shards[shard] = low;
        self.shards.push(high);
    }

    #[cfg(test)]
    pub(super) fn heap_bytes(&self) -> usize {
        self.directory.capacity() * size_of::<u32>()
            + self.shards.capacity() * size_of::<Shard>()
            + self.shards.iter().map(|shard| shard.slots.allocation_size()).sum::<usize>()
    }

    /// Whether no job is in the index.
    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// `indexed` records should be here. Together with the table's own check that every record is found, this
    /// leaves no room for strays.
    pub(super) fn audit(&self, indexed: usize) -> Result<(), String> {
        let len: usize = self.shards.iter().map(|shard| shard.slots.len()).sum();
        if len != indexed || len != self.len {
            return Err(format!("{len} entries in the index, {} counted, {indexed} records", self.len));
        }
        let mut seen = vec![0; self.shards.len()];
        self.directory.iter().for_each(|shard| seen[*shard as usize] += 1);
        match (0..seen.len()).find(|i| seen[*i] << self.shards[*i].depth != self.directory.len()) {
            Some(shard) => {
                Err(format!("shard {shard} of the index is {} times in the directory", seen[shard]))
            }
            None => Ok(()),
        }
    }
}

impl Default for Shard {
    fn default() -> Shard {
        Shard { slots: HashTable::new(), depth: 0 }
    }
}

fn id_at(slab: &Slab, slot: u32) -> &JobId {
    &slab.get(slot).expect("the index holds slots in use").id
}

fn directory_bits(hash: u64) -> usize {
    (hash >> DIRECTORY_SHIFT) as usize
}

/// Two multiplications, each of 64 by 64 bits and with its halves folded together, by secret keys.
///
/// Not a cryptographic function. It keeps those from harm who choose IDs without seeing hashes, which is
/// all that a client can do.
fn hash(keys: &[u64; 3], id: &JobId) -> u64 {
    let [a, b, c] = id.words();
    fold(fold(a ^ keys[0], b ^ keys[1]) ^ c, keys[2])
}

pub(super) fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    product as u64 ^ (product >> 64) as u64
}

/// Stretches the seed: a counter through a mixer that changes half of the bits for each bit changed.
pub(super) fn next_key(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut key = *state;
    key = (key ^ key >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    key = (key ^ key >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    key ^ key >> 31
}

#[cfg(test)]
mod tests {
    use super::super::super::job::tests::sample;
    use super::*;

    #[test]
    fn shards_stay_small_and_shrink_when_they_run_empty() {
        let (mut slab, mut index) = (Slab::new(), IdIndex::new(7));
        let small = index.heap_bytes();
        for n in 0..20_000 {
            let slot = slab.insert(|_| sample(n, 1));
            index.insert(slot, &slab);
        }
        index.audit(slab.len()).unwrap();
        assert!(index.shards.iter().all(|shard| shard.slots.len() <= SHARD_CAPACITY));
        assert!(index.shards.len() < 2 * 20_000 / (SHARD_CAPACITY / 2), "{} shards", index.shards.len());
        let full = index.heap_bytes();
        for slot in 0..20_000 {
            assert_eq!(index.find(&sample(slot, 1).id, &slab), Some(slot));
            index.remove(slot, &slab);
            slab.remove(slot);
        }
        index.audit(slab.len()).unwrap();
        assert!(index.shards.iter().all(|shard| shard.slots.num_buckets() < SHRINK_FROM_BUCKETS));
        assert!(index.heap_bytes() < full && full > small);
    }

    #[test]
    fn every_part_of_an_id_and_of_the_seed_changes_the_hash() {
        let keys = IdIndex::new(1).keys;
        let id = |random: [u8; 18]| JobId::new([0; 4], random, crate::types::Millis(0), false);
        let plain = hash(&keys, &id([0; 18]));
        for i in 0..18 {
            let mut random = [0; 18];
            random[i] = 1;
            let changed = (hash(&keys, &id(random)) ^ plain).count_ones();
            assert!((10..=54).contains(&changed), "byte {i} changes {changed} bits of 64");
        }
        assert_ne!(hash(&IdIndex::new(2).keys, &id([0; 18])), plain);
    }
}
