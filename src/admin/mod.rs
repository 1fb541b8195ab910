//! What operators look at: INFO, SLOWLOG, LATENCY, MONITOR, CLIENT, statistics.
//!
//! Keeps numbers and makes text of them. Performs no I/O and reads no clock.

mod client_list;
mod text;

pub use client_list::{ClientFlags, ClientLine, Kill, KillError, KillFilter};
