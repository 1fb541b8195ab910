//! The built server as a process: what reaches it over sockets, signals, files and limits.
//!
//! Each test starts servers of its own. What a test must not disturb by its load, or be disturbed in, waits its
//! turn (`tools::alone`). Measured numbers are printed, not asserted: `cargo test --test server -- --nocapture`.
#![allow(missing_docs, unreachable_pub, reason = "a test program has no public interface")]

#[path = "../support/mod.rs"]
mod support;
mod tools;

mod aof;
mod bulky;
mod bus;
mod clients;
mod cluster;
mod crowd;
mod http;
mod lifetime;
mod logs;
mod notify;
mod peers;
mod pressure;
mod protocol;
mod startup;
