//! What operators look at: INFO, SLOWLOG, LATENCY, MONITOR, CLIENT, statistics.
//!
//! Keeps numbers and makes text of them. Performs no I/O and reads no clock.

mod client_list;
mod command_stats;
mod histogram;
mod latency;
mod latency_text;
mod monitor;
mod redact;
mod slowlog;
mod text;
mod traffic;

pub use client_list::{ClientFlags, ClientLine, Kill, KillError, KillFilter};
pub use command_stats::{CommandStats, CommandUse};
pub use histogram::Histogram;
pub use latency::{Latency, LatencyEvent};
pub use monitor::trace_line;
pub use redact::{REDACTED, redacted};
pub use slowlog::{KeptArgs, Slowlog};
pub use traffic::Traffic;
