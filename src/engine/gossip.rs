//! PING, PONG and MEET: what nodes tell each other about themselves and about others (cluster-bus.md 9 to 11, 13).

use super::Engine;
use super::effect::Effects;
use super::input::Via;
use crate::bus::{Gossip, Header};

/// Which of the three messages that look alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Heartbeat {
    /// "Are you there?"
    Ping,
    /// "I am."
    Pong,
    /// "Let me be a member."
    Meet,
}

impl Engine {
    pub(super) fn heartbeat(
        &mut self,
        _via: Via,
        _header: &Header,
        _heartbeat: Heartbeat,
        _gossip: &[Gossip],
        _out: &mut Effects,
    ) {
    }
}
