//! The chunks of a ring. There is always one, and most queues have no other: it lies in the queue's record, where it
//! costs no block of its own and no look into memory that is not in the cache.

use std::collections::VecDeque;
use std::iter;
use std::ops::{Index, IndexMut};

/// Places of jobs, the oldest first.
#[derive(Default)]
pub(super) struct Chunk {
    /// Slot numbers and holes.
    pub(super) places: Vec<u32>,
    /// How many of the places hold jobs.
    pub(super) jobs: u32,
}

/// At least one chunk.
#[derive(Default)]
pub(super) struct Chunks {
    first: Chunk,
    /// All but the first. `None` if there was no other since the ring was empty.
    #[allow(clippy::box_collection, reason = "8 bytes instead of 32 in the record of every queue")]
    others: Option<Box<VecDeque<Chunk>>>,
}

impl Chunks {
    /// How many there are.
    pub(super) fn len(&self) -> usize {
        1 + self.others.as_ref().map_or(0, |others| others.len())
    }

    /// The newest.
    pub(super) fn last(&self) -> &Chunk {
        self.others.as_ref().and_then(|others| others.back()).unwrap_or(&self.first)
    }

    /// The newest.
    pub(super) fn last_mut(&mut self) -> &mut Chunk {
        self.others.as_mut().and_then(|others| others.back_mut()).unwrap_or(&mut self.first)
    }

    /// Adds one behind all others.
    pub(super) fn push(&mut self, chunk: Chunk) {
        self.others.get_or_insert_default().push_back(chunk);
    }

    /// Takes the oldest out, behind which there must be another.
    pub(super) fn pop_first(&mut self) {
        let second = self.others.as_mut().and_then(|others| others.pop_front());
        self.first = second.expect("a ring keeps one chunk");
    }

    /// Takes the newest out, before which there must be another.
    pub(super) fn pop_last(&mut self) {
        let last = self.others.as_mut().and_then(|others| others.pop_back());
        assert!(last.is_some(), "a ring keeps one chunk");
    }

    /// Leaves only the oldest.
    pub(super) fn keep_first(&mut self) {
        self.others = None;
    }

    /// All of them, the oldest first.
    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = &Chunk> {
        iter::once(&self.first).chain(self.others.iter().flat_map(|others| others.iter()))
    }

    /// Bytes beside the places.
    #[cfg(test)]
    pub(super) fn heap_bytes(&self) -> usize {
        let bytes =
            |others: &VecDeque<Chunk>| size_of::<VecDeque<Chunk>>() + others.capacity() * size_of::<Chunk>();
        self.others.as_ref().map_or(0, |others| bytes(others))
    }
}

impl Index<usize> for Chunks {
    type Output = Chunk;

    fn index(&self, at: usize) -> &Chunk {
        match at {
            0 => &self.first,
            _ => &self.others.as_ref().expect("there are as many chunks")[at - 1],
        }
    }
}

impl IndexMut<usize> for Chunks {
    fn index_mut(&mut self, at: usize) -> &mut Chunk {
        match at {
            0 => &mut self.first,
            _ => &mut self.others.as_mut().expect("there are as many chunks")[at - 1],
        }
    }
}
