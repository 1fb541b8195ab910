//! The texts of refusals (commands.md 16). They are published behaviour: clients match on them.

use std::borrow::Cow;

use crate::engine::Refusal;

/// The text of a refusal, its first word included.
pub fn refusal_text(refusal: Refusal) -> Cow<'static, [u8]> {
    let text = match refusal {
        Refusal::AtMostOnceReplicated => {
            "ERR With RETRY set to 0 please explicitly set  REPLICATE to 1 (at-most-once delivery)"
        }
        Refusal::DelayNotBelowTtl => {
            "ERR The specified DELAY is greater than TTL. Job refused since would never be delivered"
        }
        Refusal::NotEnoughNodes => "NOREPL Not enough reachable nodes for the requested replication level",
        Refusal::NotEnoughNodesLeaving => {
            "NOREPL Not enough reachable nodes for the requested replication level, since I'm unable to \
             hold a copy of the message for the following reason: I'm leaving the cluster"
        }
        Refusal::NotEnoughNodesNoMemory => {
            "NOREPL Not enough reachable nodes for the requested replication level, since I'm unable to \
             hold a copy of the message for the following reason: I'm out of memory"
        }
        Refusal::NotEnoughDisks => {
            "NOREPL Not enough reachable nodes that can put the job on their disks, as SYNC asks for; \
             turn their append-only files on with appendonly yes, or lower REPLICATE"
        }
        Refusal::NoFile => {
            "ERR SYNC needs the append-only file, which is off at this node; turn it on with CONFIG SET appendonly yes"
        }
        Refusal::NotReplicated => {
            "NOREPL Timeout reached before replicating to the requested number of nodes"
        }
        Refusal::GoneBeforeReplicated => {
            "NOREPL job removed (expired?) before the requested replication level was achieved"
        }
        Refusal::QueueTooLong => "MAXLEN Queue is already longer than the specified MAXLEN count",
        Refusal::Paused => "PAUSED Queue paused in input, try later",
        Refusal::Leaving => "LEAVING This node is leaving the cluster, please connect to a different one",
        Refusal::UnknownJob => "NOJOB Job not known in the context of this node.",
        Refusal::TooLate => {
            "TOOLATE Half of job TTL already elapsed, you are no longer allowed to postpone the next delivery."
        }
        Refusal::Acked => "ACKED Job already acknowledged, it will not be delivered again.",
        Refusal::OutOfMemory => "OOM command not allowed when used memory > 'maxmemory'.",
        Refusal::ForgetMyself => "ERR I tried hard but I can't forget myself...",
        Refusal::TooManyNodes => {
            "ERR This node knows 63 other nodes, the most there can be; forget one with CLUSTER FORGET"
        }
        Refusal::TooManyHandshakes => {
            "ERR Too many handshakes are under way, try again when CLUSTER NODES shows fewer"
        }
        Refusal::UnknownNode(id) => return Cow::Owned(format!("ERR Unknown node {id}").into_bytes()),
    };
    Cow::Borrowed(text.as_bytes())
}
