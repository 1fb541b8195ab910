//! disque: a distributed, in-memory job queue server that speaks the Redis protocol.
//!
//! The map of the rooms, from the bottom up; ARCHITECTURE.md tells what each owes the others.
//!
//! * [`types`]: leaf vocabulary: IDs, times, bodies, arguments, limits.
//! * [`resp`]: bytes to client protocol values and back, incremental.
//! * [`bus`]: what nodes tell each other, and the node table as text.
//! * [`aof`]: what is kept on disk: records, frames, reading them back, the duties of the writer.
//! * [`disk`]: the append-only file on a real disk: files, the lock, and the threads that wait for them.
//! * [`engine`]: the state machine. No I/O, no clock, no entropy.
//! * [`command`]: the command table; arguments to requests, replies to RESP.
//! * [`config`]: the parameter table; file, command line, CONFIG.
//! * [`admin`]: what operators look at: INFO, SLOWLOG, LATENCY, statistics.
//! * [`net`]: the event loop, connections, signals: everything that touches the world.
//! * [`client`]: a client of the server for programs in Rust.
//! * [`cli`]: the command line client `disque`.
//! * [`check`]: the program `disque-check-aof`: verifies, repairs and converts append-only files.
//! * [`benchmark`]: the program `disque-benchmark`: load for this server and for Redis, and what it costs them.

pub mod admin;
pub mod aof;
pub mod benchmark;
pub mod bus;
pub mod check;
pub mod cli;
pub mod client;
pub mod command;
pub mod config;
pub mod disk;
pub mod engine;
pub mod net;
pub mod resp;
pub mod types;

/// The examples in Rust of the documents for users, which the tests compile.
#[cfg(doctest)]
mod documents {
    #[doc = include_str!("../README.md")]
    struct Readme;
    #[doc = include_str!("../docs/manual/clients.md")]
    struct Clients;
}
