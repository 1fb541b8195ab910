//! Jobs flow to consumers.
use super::Engine;
use super::effect::Effects;
use crate::types::{JobImage, NodeIndex};

impl Engine {
    pub(super) fn need_jobs(&mut self, _sender: NodeIndex, _queue: &[u8], _count: u32, _out: &mut Effects) {}
    pub(super) fn your_jobs(&mut self, _sender: NodeIndex, _jobs: Vec<JobImage<'_>>, _out: &mut Effects) {}
    pub(super) fn have_jobs(&mut self, _sender: NodeIndex, _queue: &[u8], _out: &mut Effects) {}
}
