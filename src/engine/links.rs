//! The links that this node opens: one to each other node (cluster-bus.md 2).

use super::Engine;
use super::effect::Effects;
use super::input::LinkId;

impl Engine {
    pub(super) fn link_up(&mut self, _link: LinkId, _out: &mut Effects) {}

    pub(super) fn link_down(&mut self, _link: LinkId) {}
}
