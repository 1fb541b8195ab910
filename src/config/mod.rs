//! The parameter table behind the file, the command line, CONFIG and disque.conf.
//!
//! `parameters.rs` declares every parameter once, with its type, default, limits, and explanation. From that
//! come the struct [`Config`], which the rest of the server reads fields of, and all texts that name
//! parameters.
//!
//! This room applies nothing: it does not enter `dir`, open `logfile`, raise the limit of descriptors or
//! rename commands. It reads no files either, but for [`read_source`]; [`load`] gets that passed. Rewriting
//! is text to text; the caller writes the file.
//!
//! Invariants:
//! * A [`Config`] only ever holds values that its table takes; a refused change leaves it as it was.
//! * What a value is printed as, in CONFIG GET or in a file, reads as the same value.
//! * No text, of any bytes, makes it panic.
//!
//! Where it differs from RC1: numbers and units are strict (RC1 reads `timeout abc` as 0 and `5tb` as 5
//! bytes); what the file takes, CONFIG SET takes, and the other way around; `maxmemory 0` means no limit;
//! `tcp-keepalive` is a number of seconds everywhere; patterns of CONFIG GET ignore case.

mod access;
mod error;
mod glob;
mod kinds;
mod load;
mod manual;
mod parameters;
mod reference;
mod retired;
mod rewrite;
mod sample;
mod seeds;
mod system;
mod table;
mod value;
mod words;

pub use error::{ConfigError, Place, Problem, SetError, Source, Warning};
pub use kinds::{
    BindAddresses, Directory, FileMode, FileName, FilePath, Fsync, Hertz, KeepAlive, LogFormat, LogLevel,
    OutputLimit, Password, SlowerThan,
};
pub use load::{Loaded, ReadSource, RenamedCommand, StartAction, load};
pub use manual::manual;
pub use parameters::{Config, Parameter};
pub use sample::sample;
pub use seeds::{AnnouncedIp, Seed, Seeds};
pub use system::read_source;
pub use table::{Change, ParameterSet, Section};
pub use value::{ByteSize, Seconds, ValueError};

use std::path::{Path, PathBuf};

use crate::engine::EngineSettings;
use crate::types::limits::BUS_PORT_OFFSET;

impl Config {
    /// The part that the engine needs. After a change, tell the engine if this differs from before.
    pub fn engine(&self) -> EngineSettings {
        EngineSettings {
            port: announced(self.cluster_announce_port, self.port),
            bus_port: announced(self.cluster_announce_bus_port, self.bus_port().unwrap_or(0)),
            announce_ip: self.cluster_announce_ip.0,
            maxmemory: self.maxmemory.0,
            maxmemory_policy: self.maxmemory_policy,
            node_timeout: self.cluster_node_timeout,
        }
    }

    /// The port on which the other nodes connect; `None` if no TCP port is listened on, since a node that nobody
    /// can name cannot be in a cluster.
    pub fn bus_port(&self) -> Option<u16> {
        (self.port != 0).then(|| announced(self.cluster_port, self.port + BUS_PORT_OFFSET))
    }

    /// Where a file is whose path an operator gave: relative paths start from `dir`.
    pub fn path_of(&self, path: &Path) -> PathBuf {
        self.dir.path().join(path)
    }
}

/// The number that is announced, unless it is 0, else the real one.
fn announced(number: u16, real: u16) -> u16 {
    if number == 0 { real } else { number }
}

#[cfg(test)]
mod tests;
