//! The slot of a job inside the job's own ID.
//!
//! This node draws the IDs of the jobs that are added here, so it can put into one where the record lies: four of
//! the 18 random bytes are the slot number, masked by a keyed hash of the other fourteen and of the time to live.
//! Such a job needs no entry in the index, which saves 8 to 11 bytes of memory per job and, with many jobs, the
//! cache misses of looking into the index when the job is added, acknowledged and removed: while a backlog grows to a
//! million, more than half of the cost of an ADDJOB, measured.
//!
//! To everybody else the ID is as random as any: 112 bits are, and the mask can be computed by nobody without the
//! key. The record decides: a slot read from an ID counts only if the record there has that very ID, so crafted IDs
//! and those of other nodes are simply not found this way. The append-only file keeps the key, so that after a restart the
//! jobs find their old slots: looking into an index was two fifths of the time that loading a million jobs took.

use crate::types::JobId;

/// Turns slots into four bytes of an ID and back.
#[derive(Debug)]
pub(super) struct SlotCode {
    keys: [u64; 2],
}

impl SlotCode {
    pub(super) fn new(keys: [u64; 2]) -> SlotCode {
        SlotCode { keys }
    }

    pub(super) fn keys(&self) -> [u64; 2] {
        self.keys
    }

    /// The slot that the ID names, if this table made it; any number otherwise.
    pub(super) fn slot(&self, id: &JobId) -> u32 {
        id.slot_bytes() ^ self.mask(id)
    }

    /// The same ID with its four bytes set so that it names `slot`.
    pub(super) fn name(&self, id: &JobId, slot: u32) -> JobId {
        id.with_slot_bytes(slot ^ self.mask(id))
    }

    /// Depends on all of the ID but the node's prefix and the four bytes.
    fn mask(&self, id: &JobId) -> u32 {
        let [_, b, c] = id.words();
        let folded = super::id_index::fold(b ^ self.keys[0], c ^ self.keys[1]);
        (folded ^ folded >> 32) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Millis;

    proptest::proptest! {
        #[test]
        fn an_id_names_the_slot_it_was_made_for(random: [u8; 18], keys: [u64; 2], slot: u32, other: u32) {
            let code = SlotCode::new(keys);
            let id = code.name(&JobId::new([1, 2, 3, 4], random, Millis(60_000), true), slot);
            proptest::prop_assert_eq!(code.slot(&id), slot);
            proptest::prop_assert_eq!(code.slot(&code.name(&id, other)), other);
            proptest::prop_assert_eq!(id.node_prefix(), [1, 2, 3, 4]);
            proptest::prop_assert!(id.is_at_least_once());
        }
    }
}
