//! Where job records live: pages of 1,024 slots that never move.
//!
//! A new record goes to the lowest slot of the lowest page that has room, so that the pages above can run
//! empty; an empty page is given back to the allocator wherever it lies, and its number used again when
//! all other pages are full. One empty page is kept, lest a job that comes and goes costs a page each time.

use super::super::job::Job;

/// Slots of a page; 120 KiB of records stay below the size from which glibc asks the system for every block.
const PAGE_SLOTS: usize = 1024;
const PAGE_BITS: u32 = PAGE_SLOTS.ilog2();
const WORDS: usize = PAGE_SLOTS / 64;
/// One less than slot numbers allow: other structures use the highest number for "none".
const MAX_PAGES: usize = (1 << (u32::BITS - PAGE_BITS)) - 1;

/// How many pages may be missing before a new one: jobs of an earlier run come in the order of their slots, most often.
const MOST_MISSING: usize = 64;

type Slots = [Option<Job>; PAGE_SLOTS];

pub(super) struct Slab {
    /// `None`: the page is given back.
    pages: Vec<Option<Box<Slots>>>,
    /// Apart from the pages' addresses, which every access to a job reads.
    usage: Vec<PageUse>,
    /// Pages that exist and have a free slot.
    room: PageSet,
    /// Pages that were given back.
    absent: PageSet,
    /// The only page that exists without a job, if there is one.
    spare: Option<usize>,
    len: usize,
}

/// The first slot of the page after the one of `slot`.
pub(super) fn next_page(slot: u32) -> u64 {
    (u64::from(slot) | (PAGE_SLOTS as u64 - 1)) + 1
}

impl Slab {
    pub(super) fn new() -> Slab {
        Slab {
            pages: Vec::new(),
            usage: Vec::new(),
            room: PageSet::default(),
            absent: PageSet::default(),
            spare: None,
            len: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn slot_count(&self) -> usize {
        self.pages.len() * PAGE_SLOTS
    }

    pub(super) fn get(&self, slot: u32) -> Option<&Job> {
        self.slot(slot)?.as_ref()
    }

    pub(super) fn get_mut(&mut self, slot: u32) -> Option<&mut Job> {
        let page = self.pages.get_mut((slot >> PAGE_BITS) as usize)?.as_mut()?;
        page[slot as usize % PAGE_SLOTS].as_mut()
    }

    /// The slot, if its page exists.
    pub(super) fn slot(&self, slot: u32) -> Option<&Option<Job>> {
        let page = self.pages.get((slot >> PAGE_BITS) as usize)?.as_ref()?;
        Some(&page[slot as usize % PAGE_SLOTS])
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, &Job)> {
        let pages = self.pages.iter().zip(0u32..);
        let pages = pages.filter_map(|(page, number)| Some((page.as_ref()?, number << PAGE_BITS)));
        pages.flat_map(|(page, first)| {
            page.iter().zip(first..).filter_map(|(slot, number)| Some((number, slot.as_ref()?)))
        })
    }

    /// Puts a job into a free slot; `make` is told which.
    pub(super) fn insert(&mut self, make: impl FnOnce(u32) -> Job) -> u32 {
        let page = self.room.first().unwrap_or_else(|| self.add_page());
        let slot = self.usage[page].take();
        let number = (page << PAGE_BITS | slot) as u32;
        self.put(page, slot, make(number));
        number
    }

    /// Whether the slot is free, and there is a page for it, or there can be one without many missing before it.
    pub(super) fn has_room_at(&self, slot: u32) -> bool {
        let (page, offset) = ((slot >> PAGE_BITS) as usize, slot as usize % PAGE_SLOTS);
        match self.usage.get(page) {
            Some(usage) => usage.is_free(offset),
            None => page < MAX_PAGES && page - self.pages.len() < MOST_MISSING,
        }
    }

    /// Puts a job into this slot, for which there must be room.
    pub(super) fn insert_at(&mut self, slot: u32, job: Job) {
        let (page, offset) = ((slot >> PAGE_BITS) as usize, slot as usize % PAGE_SLOTS);
        while self.pages.len() <= page {
            self.absent.insert(self.pages.len());
            self.pages.push(None);
            self.usage.push(PageUse::EMPTY);
        }
        if self.pages[page].is_none() {
            self.make_page(page);
        }
        self.usage[page].take_at(offset);
        self.put(page, offset, job);
    }

    /// Puts a job into a slot that was taken for it.
    fn put(&mut self, page: usize, slot: usize, job: Job) {
        if usize::from(self.usage[page].used) == PAGE_SLOTS {
            self.room.remove(page);
        }
        if self.spare == Some(page) {
            self.spare = None;
        }
        self.len += 1;
        let slots = self.pages[page].as_mut().expect("a page with room exists");
        slots[slot] = Some(job);
    }

    pub(super) fn remove(&mut self, slot: u32) -> Job {
        let (page, offset) = ((slot >> PAGE_BITS) as usize, slot as usize % PAGE_SLOTS);
        let slots = self.pages[page].as_mut().expect("the page of a job exists");
        let job = slots[offset].take().expect("the slot of a job is not empty");
        self.len -= 1;
        self.usage[page].give_back(offset);
        match usize::from(self.usage[page].used) {
            0 => self.page_ran_empty(page),
            used if used == PAGE_SLOTS - 1 => self.room.insert(page),
            _ => {}
        }
        job
    }

    fn add_page(&mut self) -> usize {
        let page = self.absent.first().unwrap_or_else(|| {
            assert!(self.pages.len() < MAX_PAGES, "no slot number is left for another job");
            self.pages.push(None);
            self.usage.push(PageUse::EMPTY);
            self.pages.len() - 1
        });
        self.make_page(page);
        page
    }

    fn make_page(&mut self, page: usize) {
        let slots: Box<[Option<Job>]> = (0..PAGE_SLOTS).map(|_| None).collect();
        self.pages[page] = Some(slots.try_into().expect("as many as a page has"));
        self.absent.remove(page);
        self.room.insert(page);
    }

    /// Keeps the lower of two empty pages, because it is filled first.
    fn page_ran_empty(&mut self, page: usize) {
        let Some(other) = self.spare else {
            self.spare = Some(page);
            return;
        };
        self.spare = Some(page.min(other));
        let page = page.max(other);
        self.pages[page] = None;
        self.room.remove(page);
        self.absent.insert(page);
        while let Some(None) = self.pages.last() {
            self.pages.pop();
            self.usage.pop();
            self.absent.remove(self.pages.len());
        }
    }

    #[cfg(test)]
    pub(super) fn heap_bytes(&self) -> usize {
        let pages = self.pages.iter().flatten().count();
        pages * size_of::<Slots>()
            + self.pages.capacity() * size_of::<Option<Box<Slots>>>()
            + self.usage.capacity() * size_of::<PageUse>()
            + self.room.heap_bytes()
            + self.absent.heap_bytes()
    }

    pub(super) fn audit(&self) -> Result<(), String> {
        let mut len = 0;
        for (page, slots) in self.pages.iter().enumerate() {
            let used = |slot: &usize| slots.as_ref().is_some_and(|slots| slots[*slot].is_some());
            let count = (0..PAGE_SLOTS).filter(used).count();
            let usage = &self.usage[page];
            len += count;
            if usize::from(usage.used) != count || (0..PAGE_SLOTS).any(|s| usage.is_free(s) == used(&s)) {
                return Err(format!("page {page}: the notes about its {count} jobs are wrong"));
            }
            let (exists, has_room) = (slots.is_some(), slots.is_some() && count < PAGE_SLOTS);
            if self.room.contains(page) != has_room || self.absent.contains(page) == exists {
                return Err(format!("page {page}: wrong in a set of pages; it has {count} jobs"));
            }
            if exists && (count == 0) != (self.spare == Some(page)) {
                return Err(format!("page {page}: {count} jobs, but the spare page is {:?}", self.spare));
            }
        }
        let beyond = self.pages.len();
        if self.room.any_from(beyond) || self.absent.any_from(beyond) || self.spare >= Some(beyond) {
            return Err(format!("a page from {beyond} on is remembered, but is not there"));
        }
        if len != self.len {
            return Err(format!("{len} records, {} counted", self.len));
        }
        Ok(())
    }
}

/// Which slots of a page are free.
struct PageUse {
    free: [u64; WORDS],
    /// Which words of `free` are not zero.
    words: u16,
    used: u16,
}

const _: () = assert!(WORDS == 16, "one bit of `words` for each");

impl PageUse {
    const EMPTY: PageUse = PageUse { free: [u64::MAX; WORDS], words: u16::MAX, used: 0 };

    /// Takes the lowest free slot; there must be one.
    fn take(&mut self) -> usize {
        let word = self.words.trailing_zeros() as usize;
        let bit = self.free[word].trailing_zeros() as usize;
        self.free[word] &= self.free[word] - 1;
        if self.free[word] == 0 {
            self.words &= self.words - 1;
        }
        self.used += 1;
        word * 64 + bit
    }

    /// Takes this slot, which must be free.
    fn take_at(&mut self, slot: usize) {
        assert!(self.is_free(slot));
        self.free[slot / 64] &= !(1 << (slot % 64));
        if self.free[slot / 64] == 0 {
            self.words &= !(1 << (slot / 64));
        }
        self.used += 1;
    }

    fn give_back(&mut self, slot: usize) {
        self.free[slot / 64] |= 1 << (slot % 64);
        self.words |= 1 << (slot / 64);
        self.used -= 1;
    }

    fn is_free(&self, slot: usize) -> bool {
        self.free[slot / 64] & 1 << (slot % 64) != 0 && self.words & 1 << (slot / 64) != 0
    }
}

/// A set of page numbers whose least is found at once: bits, and a bit for each word of bits that is not
/// zero, so that 4 million slots are one word to look at.
#[derive(Default)]
struct PageSet {
    words: Vec<u64>,
    groups: Vec<u64>,
}

impl PageSet {
    fn first(&self) -> Option<usize> {
        let group = self.groups.iter().position(|group| *group != 0)?;
        let word = group * 64 + self.groups[group].trailing_zeros() as usize;
        Some(word * 64 + self.words[word].trailing_zeros() as usize)
    }

    fn insert(&mut self, page: usize) {
        let word = page / 64;
        if word >= self.words.len() {
            self.words.resize(word + 1, 0);
            self.groups.resize(word / 64 + 1, 0);
        }
        self.words[word] |= 1 << (page % 64);
        self.groups[word / 64] |= 1 << (word % 64);
    }

    fn remove(&mut self, page: usize) {
        let word = page / 64;
        let Some(bits) = self.words.get_mut(word) else { return };
        *bits &= !(1 << (page % 64));
        if *bits == 0 {
            self.groups[word / 64] &= !(1 << (word % 64));
        }
    }

    fn contains(&self, page: usize) -> bool {
        self.words.get(page / 64).is_some_and(|word| word & 1 << (page % 64) != 0)
    }

    fn any_from(&self, page: usize) -> bool {
        (page..self.words.len() * 64).any(|page| self.contains(page))
    }

    #[cfg(test)]
    fn heap_bytes(&self) -> usize {
        (self.words.capacity() + self.groups.capacity()) * size_of::<u64>()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    use super::super::super::job::tests::sample;
    use super::*;

    fn filled(len: u32) -> Slab {
        let mut slab = Slab::new();
        for n in 0..len {
            assert_eq!(slab.insert(|_| sample(n, 1)), n, "the lowest slot is used first");
        }
        slab
    }

    #[test]
    fn all_but_one_empty_page_are_given_back_while_the_oldest_jobs_leave() {
        let mut slab = filled(10 * 1024);
        let full = slab.heap_bytes();
        for slot in 0..9 * 1024 {
            slab.remove(slot);
        }
        slab.audit().unwrap();
        assert!(slab.heap_bytes() < full / 4, "two pages of ten are left");
        assert_eq!(slab.slot_count(), 10 * 1024, "the last page has kept its place");
        for slot in 9 * 1024..10 * 1024 {
            slab.remove(slot);
        }
        slab.audit().unwrap();
        assert_eq!((slab.len(), slab.slot_count()), (0, 1024));
    }

    #[test]
    fn a_given_back_page_is_used_again_once_the_others_are_full() {
        let mut slab = filled(3 * 1024);
        for slot in (0..2 * 1024).rev() {
            slab.remove(slot);
        }
        let taken: BTreeSet<u32> = (0..2 * 1024).map(|n| slab.insert(|_| sample(n, 1))).collect();
        assert_eq!(taken, (0..2 * 1024).collect());
        assert_eq!(slab.insert(|_| sample(0, 1)), 3 * 1024, "then a new page");
        slab.audit().unwrap();
    }

    #[test]
    fn a_job_that_comes_and_goes_does_not_cost_a_page_each_time() {
        let mut slab = filled(2 * 1024);
        let before = slab.insert(|_| sample(0, 1));
        slab.remove(before);
        assert_eq!(slab.spare, Some(2), "kept for the next job");
        assert_eq!(slab.insert(|_| sample(0, 1)), before);
        assert_eq!(slab.spare, None);
    }

    #[test]
    fn a_slot_far_from_all_others_is_not_taken_and_a_taken_one_not_again() {
        let mut slab = Slab::new();
        let far = (MOST_MISSING * PAGE_SLOTS) as u32;
        assert!(slab.has_room_at(far - 1) && !slab.has_room_at(far) && !slab.has_room_at(u32::MAX));
        slab.insert_at(far - 1, sample(1, 1));
        slab.audit().unwrap();
        assert!(!slab.has_room_at(far - 1) && slab.has_room_at(far) && slab.has_room_at(0));
        assert_eq!(
            (slab.len(), slab.insert(|_| sample(2, 1))),
            (1, far - 1024),
            "a page that is there has room"
        );
        slab.remove(far - 1);
        slab.remove(far - 1024);
        slab.audit().unwrap();
    }

    proptest! {
        #[test]
        fn jobs_are_put_into_the_slots_that_are_asked_for(slots in prop::collection::vec(0..5000u32, 1..300)) {
            let (mut slab, mut model) = (Slab::new(), BTreeSet::new());
            for (n, slot) in slots.into_iter().enumerate() {
                prop_assert_eq!(slab.has_room_at(slot), !model.contains(&slot));
                if model.remove(&slot) {
                    slab.remove(slot);
                } else if n % 3 == 0 {
                    prop_assert!(model.insert(slab.insert(|_| sample(0, 1))));
                } else {
                    slab.insert_at(slot, sample(0, 1));
                    model.insert(slot);
                }
                slab.audit().map_err(TestCaseError::fail)?;
            }
            prop_assert!(slab.iter().map(|(slot, _)| slot).eq(model));
        }

        #[test]
        fn the_least_of_a_page_set_is_the_least(ops in prop::collection::vec((any::<bool>(), 0usize..9000), 1..200)) {
            let (mut set, mut model) = (PageSet::default(), BTreeSet::new());
            for (add, page) in ops {
                if add { set.insert(page); model.insert(page); } else { set.remove(page); model.remove(&page); }
                prop_assert_eq!(set.first(), model.first().copied());
                prop_assert_eq!(set.contains(page), model.contains(&page));
            }
        }
    }
}
