//! Copies on other nodes.
use super::Engine;
use super::effect::Effects;
use crate::types::{JobId, JobImage, NodeIndex};

impl Engine {
    pub(super) fn repl_job(
        &mut self,
        _sender: NodeIndex,
        _job: JobImage<'_>,
        _no_reply: bool,
        _out: &mut Effects,
    ) {
    }
    pub(super) fn got_job(&mut self, _sender: NodeIndex, _job: JobId, _out: &mut Effects) {}
}
