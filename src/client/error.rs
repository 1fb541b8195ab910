//! What can go wrong for a program that talks to a cluster, and what to do about it.

use std::fmt;
use std::time::Duration;

/// Why a call failed. Its text names the cause and the remedy.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// An address that cannot be understood; nothing was connected.
    BadAddress {
        /// The address as given, without its password.
        address: String,
        /// What is wrong with it.
        reason: String,
    },
    /// No node could be reached within all rounds of attempts.
    Unreachable {
        /// Each address of the last round, and why it failed.
        tried: Vec<(String, String)>,
    },
    /// A node did not accept the password, or wants one.
    Denied {
        /// The node.
        node: String,
        /// Its words.
        text: String,
    },
    /// The node answered the command with an error; nothing was done.
    Refused {
        /// The node.
        node: String,
        /// The first word of the error, such as `NOREPL`.
        code: String,
        /// The whole error.
        text: String,
    },
    /// The connection was lost while a command was under way. The command may have been done.
    Lost {
        /// The node.
        node: String,
        /// The name of the command.
        command: String,
        /// How the connection was lost.
        reason: String,
    },
    /// A reply that makes no sense as an answer to the command.
    Unexpected {
        /// The name of the command.
        command: String,
        /// The reply.
        reply: String,
    },
    /// All connections of a pool were in use for this long.
    PoolBusy {
        /// How many there are.
        size: usize,
        /// How long was waited.
        waited: Duration,
    },
    /// The system refused a thread for the renewal of leases.
    NoThread(std::io::Error),
}

impl Error {
    /// The code of a refusal, such as `NOREPL`; `None` for all other errors.
    pub fn code(&self) -> Option<&str> {
        match self {
            Error::Refused { code, .. } => Some(code),
            _ => None,
        }
    }

    /// Whether the same call may succeed later without anybody changing it or the configuration.
    pub fn is_passing(&self) -> bool {
        match self {
            Error::Unreachable { .. } | Error::Lost { .. } | Error::PoolBusy { .. } => true,
            Error::Refused { code, .. } => {
                matches!(&**code, "LEAVING" | "LOADING" | "NOREPL" | "OOM" | "PAUSED" | "MAXLEN" | "MISCONF")
            }
            _ => false,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::BadAddress { address, reason } => {
                write!(f, "\"{address}\" is no address of a server: {reason}; write host:port or ")?;
                f.write_str("disque://[user:password@]host[:port]")
            }
            Error::Unreachable { tried } => {
                f.write_str("no node could be reached")?;
                for (n, (address, reason)) in tried.iter().enumerate() {
                    write!(f, "{}{address}: {reason}", if n == 0 { " (" } else { "; " })?;
                }
                let end = if tried.is_empty() { "" } else { ")" };
                write!(f, "{end}; check that a server runs there and that the network lets you through")
            }
            Error::Denied { node, text } => {
                write!(f, "{node} did not let us in: {text}; check the password in the URL")
            }
            Error::Refused { node, code, text } => {
                write!(f, "{node} refused: {text}")?;
                remedy(code).map_or(Ok(()), |remedy| write!(f, "; {remedy}"))
            }
            Error::Lost { node, command, reason } => {
                write!(f, "the connection to {node} was lost during {command}: {reason}")?;
                match &**command {
                    "ADDJOB" => f.write_str(
                        "; the job may have been added or not, so add it again only if twice does no harm",
                    ),
                    _ => f.write_str("; it may have been done or not"),
                }
            }
            Error::Unexpected { command, reply } => {
                write!(f, "{command} was answered by {reply}; is this a disque server?")
            }
            Error::PoolBusy { size, waited } => {
                write!(f, "all {size} connections were in use for {waited:?}; make the pool larger")
            }
            Error::NoThread(error) => write!(f, "no thread for WORKING could be started: {error}"),
        }
    }
}

impl std::error::Error for Error {}

/// What helps against a refusal, for the codes whose text does not say so.
fn remedy(code: &str) -> Option<&'static str> {
    Some(match code {
        "NOREPL" => "bring nodes back or ask for fewer copies (REPLICATE)",
        "OOM" => "let workers catch up, add nodes, or raise maxmemory",
        "MAXLEN" => "let workers catch up, or raise MAXLEN",
        "PAUSED" => "wait until somebody says PAUSE with none",
        "LEAVING" => "add the addresses of other nodes",
        "LOADING" => "wait until the server has read its file",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_end_with_a_remedy_where_one_is_known() {
        let refused =
            |code: &str| Error::Refused { node: "h:1".into(), code: code.into(), text: format!("{code} no") };
        let text = refused("NOREPL").to_string();
        assert_eq!(text, "h:1 refused: NOREPL no; bring nodes back or ask for fewer copies (REPLICATE)");
        assert_eq!(refused("ERR").to_string(), "h:1 refused: ERR no");
        assert!(refused("OOM").is_passing() && !refused("ERR").is_passing());
    }

    #[test]
    fn a_lost_addjob_says_that_nobody_knows() {
        let lost = Error::Lost { node: "h:1".into(), command: "ADDJOB".into(), reason: "closed".into() };
        assert!(lost.to_string().ends_with("add it again only if twice does no harm"));
    }

    #[test]
    fn every_address_that_was_tried_is_named() {
        let tried = vec![("a:1".to_string(), "refused".to_string()), ("b:2".to_string(), "late".to_string())];
        let text = Error::Unreachable { tried }.to_string();
        assert!(text.starts_with("no node could be reached (a:1: refused; b:2: late); check"), "{text}");
    }
}
