//! Things with small numbers that serve as tokens of the event loop.

/// Things by number. A number that became free is not given again before [`Slots::recycle`], since what the system
/// still reports about it in this turn is about the thing that left.
#[derive(Debug)]
pub(super) struct Slots<T> {
    items: Vec<Option<T>>,
    free: Vec<u32>,
    left: Vec<u32>,
}

impl<T> Slots<T> {
    pub(super) fn new() -> Slots<T> {
        Slots { items: Vec::new(), free: Vec::new(), left: Vec::new() }
    }

    pub(super) fn insert(&mut self, make: impl FnOnce(u32) -> T) -> u32 {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.items.push(None);
            self.items.len() as u32 - 1
        });
        self.items[slot as usize] = Some(make(slot));
        slot
    }

    pub(super) fn remove(&mut self, slot: u32) -> Option<T> {
        let item = self.items.get_mut(slot as usize)?.take()?;
        self.left.push(slot);
        Some(item)
    }

    pub(super) fn get(&self, slot: u32) -> Option<&T> {
        self.items.get(slot as usize)?.as_ref()
    }

    pub(super) fn get_mut(&mut self, slot: u32) -> Option<&mut T> {
        self.items.get_mut(slot as usize)?.as_mut()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, &T)> {
        self.items.iter().enumerate().filter_map(|(slot, item)| Some((slot as u32, item.as_ref()?)))
    }

    /// The turn is over: free numbers may be given again.
    pub(super) fn recycle(&mut self) {
        self.free.append(&mut self.left);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_given_again_only_after_the_turn() {
        let mut slots = Slots::new();
        let first = slots.insert(|slot| slot);
        assert_eq!((slots.remove(first), slots.remove(first)), (Some(first), None));
        let second = slots.insert(|slot| slot);
        assert_ne!(first, second);
        slots.recycle();
        assert_eq!(slots.insert(|slot| slot), first);
        assert_eq!(slots.iter().count(), 2);
    }
}
