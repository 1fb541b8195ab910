//! The targets as functions of bytes, and what they share.
//!
//! They use the public interface of the package only, and no libFuzzer, so that a plain test can run them.

mod aof_reader;
mod bus_frames;
mod command_table;
mod config_file;
mod connection;
mod engine;
mod job_image;
mod ledger;
mod member;
mod mutate;
mod nodes_conf;
mod pieces;
mod replies;
mod request_reader;

pub use mutate::{Chance, mutate};

/// A target of the fuzzer.
#[derive(Clone, Copy)]
pub struct Target {
    /// Its name, which is also that of its program and of its directory in the corpus.
    pub name: &'static str,
    /// Panics if what is claimed does not hold for these bytes.
    pub run: fn(&[u8]),
    /// Words that the bytes may well contain; for the mutator.
    pub words: fn() -> Vec<Vec<u8>>,
}

/// Bytes cut anywhere, read as requests.
pub const REQUEST_READER: Target =
    Target { name: "request_reader", run: request_reader::run, words: request_reader::words };
/// Arguments made into requests of the engine.
pub const COMMAND_TABLE: Target =
    Target { name: "command_table", run: command_table::run, words: command_table::words };
/// Bytes as a configuration file, or as a command line.
pub const CONFIG_FILE: Target =
    Target { name: "config_file", run: config_file::run, words: config_file::words };
/// Bytes as a node table.
pub const NODES_CONF: Target = Target { name: "nodes_conf", run: nodes_conf::run, words: nodes_conf::words };
/// Bytes as a file of the log.
pub const AOF_READER: Target = Target { name: "aof_reader", run: aof_reader::run, words: aof_reader::words };
/// Bytes as a history of requests, clock moves and disconnects.
pub const ENGINE: Target = Target { name: "engine", run: engine::run, words: Vec::new };
/// Bytes of a connection, through reader, table and engine, to decoded replies.
pub const CONNECTION: Target = Target { name: "connection", run: connection::run, words: connection::words };

/// Bytes as what a link between nodes brings.
pub const BUS_FRAMES: Target = Target { name: "bus_frames", run: bus_frames::run, words: bus_frames::words };
/// Bytes as the image of a job.
pub const JOB_IMAGE: Target = Target { name: "job_image", run: job_image::run, words: job_image::words };

/// Bytes as the life of a node among others.
pub const MEMBER: Target = Target { name: "member", run: member::run, words: Vec::new };

/// All targets.
pub const ALL: [Target; 10] = [
    REQUEST_READER,
    COMMAND_TABLE,
    CONFIG_FILE,
    NODES_CONF,
    AOF_READER,
    ENGINE,
    CONNECTION,
    BUS_FRAMES,
    JOB_IMAGE,
    MEMBER,
];
