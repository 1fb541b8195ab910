//! Who was forgotten, so that gossip does not bring them back (W22 of reliability.md).

use crate::types::{Millis, NodeId, UnixMillis};

/// How long a forgotten node stays forgotten: seven days.
///
/// RC1 remembers for a minute, and a node that was away longer than that gossips the forgotten one back into the
/// cluster. It must exceed the time for which a member may be away and still return.
const MEMORY: Millis = Millis(7 * 86_400_000);

/// Most nodes that are remembered; the one that would be let in again first makes room.
const MAX_FORGOTTEN: usize = 256;

/// The forgotten nodes, and until when each stays so.
#[derive(Debug, Default)]
pub(super) struct Forgotten {
    nodes: Vec<(NodeId, UnixMillis)>,
}

impl Forgotten {
    /// What a node table remembers.
    pub(super) fn new(nodes: &[(NodeId, UnixMillis)], now: UnixMillis) -> Forgotten {
        let mut forgotten = Forgotten::default();
        for (id, until) in nodes {
            // A clock that was wrong when the file was written must not make it for ever.
            forgotten.add(*id, (*until).min(now + MEMORY), now);
        }
        forgotten
    }

    /// Remembers a node from now on.
    pub(super) fn remember(&mut self, id: NodeId, now: UnixMillis) {
        self.add(id, now + MEMORY, now);
    }

    fn add(&mut self, id: NodeId, until: UnixMillis, now: UnixMillis) {
        self.nodes.retain(|(other, until)| *other != id && *until > now);
        if until <= now {
            return;
        }
        if self.nodes.len() == MAX_FORGOTTEN {
            let first = (0..self.nodes.len()).min_by_key(|at| self.nodes[*at].1).expect("it is full");
            self.nodes.remove(first);
        }
        self.nodes.push((id, until));
    }

    /// The node may come back. True if it was forgotten.
    pub(super) fn pardon(&mut self, id: &NodeId) -> bool {
        let before = self.nodes.len();
        self.nodes.retain(|(other, _)| other != id);
        self.nodes.len() < before
    }

    pub(super) fn clear(&mut self) {
        self.nodes.clear();
    }

    /// Whether gossip about this node means nothing.
    pub(super) fn contains(&self, id: &NodeId, now: UnixMillis) -> bool {
        self.nodes.iter().any(|(other, until)| other == id && *until > now)
    }

    /// What is to be stored.
    pub(super) fn list(&self, now: UnixMillis) -> Vec<(NodeId, UnixMillis)> {
        self.nodes.iter().copied().filter(|(_, until)| *until > now).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixMillis = UnixMillis(1_800_000_000_000);

    fn id(n: u16) -> NodeId {
        let mut bytes = [0; 20];
        bytes[..2].copy_from_slice(&n.to_be_bytes());
        NodeId::from_bytes(bytes)
    }

    #[test]
    fn a_node_stays_forgotten_for_a_week_unless_it_is_pardoned() {
        let mut forgotten = Forgotten::default();
        forgotten.remember(id(1), NOW);
        let last = UnixMillis((NOW + MEMORY).0 - 1);
        assert!(forgotten.contains(&id(1), last) && !forgotten.contains(&id(1), NOW + MEMORY));
        assert!(forgotten.pardon(&id(1)) && !forgotten.pardon(&id(1)));
        assert!(!forgotten.contains(&id(1), NOW));
    }

    #[test]
    fn the_memory_is_bounded_and_drops_who_would_be_let_in_first() {
        let mut forgotten = Forgotten::default();
        for n in 0..=MAX_FORGOTTEN as u16 {
            forgotten.remember(id(n), NOW + Millis(u64::from(n)));
        }
        assert_eq!(forgotten.list(NOW).len(), MAX_FORGOTTEN);
        assert!(!forgotten.contains(&id(0), NOW) && forgotten.contains(&id(1), NOW));
    }

    #[test]
    fn what_a_wrong_clock_stored_does_not_last_for_ever() {
        let forgotten = Forgotten::new(&[(id(1), UnixMillis::NEVER), (id(2), NOW)], NOW);
        assert!(forgotten.contains(&id(1), NOW) && !forgotten.contains(&id(1), NOW + MEMORY));
        assert_eq!(forgotten.list(NOW), [(id(1), NOW + MEMORY)]);
    }
}
