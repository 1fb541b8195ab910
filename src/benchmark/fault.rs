//! Why a measurement failed, in words for the one who started it.

use std::fmt;
use std::io;

/// Why a measurement failed.
#[derive(Debug)]
pub(super) enum Fault {
    Connect {
        address: String,
        error: io::Error,
    },
    /// The server closed a connection.
    Closed,
    /// The server answered with an error.
    Refused(String),
    /// The bytes received are no reply.
    Malformed(String),
    /// No reply for so many seconds.
    Stalled(u64),
    /// A queue we are to use has jobs of others.
    QueueInUse {
        queue: String,
        jobs: i64,
    },
    /// So few of the wanted clients came to block.
    NotBlocked {
        blocked: u64,
        wanted: u64,
    },
    /// So many jobs had not come so long after the last one was added.
    Undelivered {
        jobs: u64,
        seconds: u64,
    },
    /// A file of results cannot be used.
    Results {
        file: String,
        why: String,
    },
    Io(io::Error),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Connect { address, error } => write!(f, "cannot connect to {address}: {error}"),
            Fault::Closed => f.write_str("the server closed the connection"),
            Fault::Refused(text) => write!(f, "the server answers with an error: {text}"),
            Fault::Malformed(text) => write!(f, "not a reply: {text:?}"),
            Fault::Stalled(seconds) => write!(f, "no reply for {seconds} seconds"),
            Fault::QueueInUse { queue, jobs } => {
                write!(f, "queue {queue:?} has {jobs} jobs already; choose another one with --queue")
            }
            Fault::NotBlocked { blocked, wanted } => {
                write!(f, "only {blocked} of {wanted} clients block; is the limit of open files too low?")
            }
            Fault::Undelivered { jobs, seconds } => {
                write!(
                    f,
                    "{jobs} jobs have not come {seconds} seconds after the last one was added; is the rate too high?"
                )
            }
            Fault::Results { file, why } => write!(f, "{file}: {why}"),
            Fault::Io(error) => write!(f, "input or output failed: {error}"),
        }
    }
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Fault {
        Fault::Io(error)
    }
}
