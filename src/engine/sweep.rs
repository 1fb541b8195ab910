//! Going through all jobs, piece by piece, after something happened to a node.
use super::Engine;
use crate::types::NodeIndex;

impl Engine {
    /// A member can be talked to again: what it may have missed is told again (W27 of reliability.md).
    pub(super) fn peer_is_back(&mut self, _node: NodeIndex) {}
    /// A member was forgotten: it confirms nothing any more, and its copies do not count (W11).
    pub(super) fn peer_is_forgotten(&mut self, _node: NodeIndex) {}
    /// A member is failing: its copies do not count (W26).
    pub(super) fn peer_has_failed(&mut self, _node: NodeIndex) {}
}
