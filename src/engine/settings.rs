//! The part of the configuration that the engine needs.

use std::net::IpAddr;

use crate::types::Millis;

/// What may be evicted when memory runs short (operations.md 13.8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EvictionPolicy {
    /// Acknowledged jobs, and delivered at-most-once jobs.
    Acks,
    /// Nothing: refuse new jobs at once.
    NoEviction,
}

/// Settings of the engine; all may change at run time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineSettings {
    /// The client port that is announced to others.
    pub port: u16,
    /// The bus port that is announced to others.
    pub bus_port: u16,
    /// The address that is announced to others; `None` leaves it to them to see where links come from.
    pub announce_ip: Option<IpAddr>,
    /// Bytes that jobs and queues may use; 0 means no limit.
    pub maxmemory: u64,
    /// What to evict above 95 % of `maxmemory`.
    pub maxmemory_policy: EvictionPolicy,
    /// How long a node may be silent before it is suspected to fail.
    pub node_timeout: Millis,
}

impl Default for EngineSettings {
    fn default() -> EngineSettings {
        EngineSettings {
            port: 7711,
            bus_port: 17711,
            announce_ip: None,
            maxmemory: 1 << 30,
            maxmemory_policy: EvictionPolicy::Acks,
            node_timeout: Millis(15_000),
        }
    }
}
