//! Which nodes are taken for failing: PFAIL by this node's own experience, FAIL by majority (cluster-bus.md 12).

use super::Engine;
use super::effect::Effects;
use crate::types::{NodeId, NodeIndex};

impl Engine {
    pub(super) fn fail_message(&mut self, _sender: NodeIndex, _node: NodeId, _out: &mut Effects) {}
}
