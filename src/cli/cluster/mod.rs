//! `--cluster`: making, changing and judging a cluster from outside, through the commands that every node has.
//!
//! Each action connects to the nodes itself. What a node says about the others is looked up in CLUSTER NODES; nothing
//! is believed that one node alone says about all.

mod change;
mod drain;
mod info;
mod inspect;
mod node;
mod progress;

use std::fmt;
use std::io;
use std::time::Duration;

use clap::ValueEnum;

use super::Exit;
use crate::client::connection::Address;
use crate::client::session::Target;
use crate::client::url::ServerUrl;
pub(super) use node::{Node, all as all_nodes, short};

/// How long nodes may take to agree, unless said otherwise: a handshake that fails is repeated within 15 s.
const PATIENCE: Duration = Duration::from_secs(60);
/// Bounds each question to a node.
const REPLY_TIMEOUT: Duration = Duration::from_secs(5);

/// What `--cluster` can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Action {
    /// ADDRESS ADDRESS...: makes one cluster of nodes that are alone
    Create,
    /// NEW EXISTING: adds a node that is alone
    Add,
    /// NODE-ID|ADDRESS: drains a node and makes all others forget it
    Remove,
    /// [ADDRESS]: compares what all nodes say; exit code 1 if something is wrong
    Check,
    /// [ADDRESS]: shows the nodes
    Info,
    /// [ADDRESS]: makes a node leave and waits until it holds no jobs
    Drain,
}

/// Why an action ended early.
#[derive(Debug)]
pub(super) enum Fault {
    /// The words after the action are not what it takes.
    Usage(String),
    /// A node that is needed cannot be reached.
    Unreachable(String),
    /// A node refuses, or the cluster is not in the state that the action needs.
    Refused(String),
    /// It took too long.
    Late(String),
    Output(io::Error),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Usage(text) | Fault::Unreachable(text) | Fault::Refused(text) | Fault::Late(text) => {
                f.write_str(text)
            }
            Fault::Output(error) => error.fmt(f),
        }
    }
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Fault {
        Fault::Output(error)
    }
}

/// Where the action begins, and how patient it is.
pub(super) struct Cluster {
    /// The node of the connection options, and the password for all nodes.
    pub(super) target: Target,
    /// Whether the user named that node; then no word may name another.
    pub(super) target_is_named: bool,
    /// How long to wait for the nodes; `None` is the default of the action.
    pub(super) patience: Option<Duration>,
    /// Whether what is found is printed as JSON.
    pub(super) json: bool,
}

/// Runs an action with its words.
pub(super) fn run(cluster: &Cluster, action: Action, words: &[String]) -> io::Result<Exit> {
    let outcome = match (action, words) {
        (action, _) if cluster.json && !matches!(action, Action::Check | Action::Info) => {
            Err(Fault::Usage("--cluster check|info --json [ADDRESS]: the other actions print no JSON".into()))
        }
        (Action::Create, [_, _, ..]) => change::create(cluster, words),
        (Action::Add, [new, existing]) => change::add(cluster, new, existing),
        (Action::Remove, [node]) => drain::remove(cluster, node),
        (Action::Check, [] | [_]) => inspect::check(cluster, words.first()),
        (Action::Info, [] | [_]) => info::info(cluster, words.first()),
        (Action::Drain, [] | [_]) => drain::drain(cluster, words.first()),
        (Action::Create, _) => Err(Fault::Usage("--cluster create ADDRESS ADDRESS...".into())),
        (Action::Add, _) => Err(Fault::Usage("--cluster add NEW EXISTING".into())),
        (Action::Remove, _) => Err(Fault::Usage("--cluster remove NODE-ID|ADDRESS".into())),
        (Action::Check, _) => Err(Fault::Usage("--cluster check [ADDRESS]".into())),
        (Action::Info, _) => Err(Fault::Usage("--cluster info [ADDRESS]".into())),
        (Action::Drain, _) => Err(Fault::Usage("--cluster drain [ADDRESS]".into())),
    };
    let fault = match outcome {
        Ok(exit) => return Ok(exit),
        Err(Fault::Output(error)) => return Err(error),
        Err(fault) => fault,
    };
    Ok(fault.tell())
}

impl Fault {
    /// Says it on standard error; what the exit code is to be.
    pub(super) fn tell(&self) -> Exit {
        let usage = if let Fault::Usage(_) = self { "usage: disque " } else { "" };
        eprintln!("{usage}{self}");
        match self {
            Fault::Usage(_) => Exit::Usage,
            Fault::Unreachable(_) => Exit::Disconnected,
            _ => Exit::Refused,
        }
    }
}

impl Cluster {
    /// The node at an address, or at that of the connection options.
    pub(super) fn node(&self, address: Option<&String>) -> Result<Node, Fault> {
        let address = match address {
            Some(_) if self.target_is_named => {
                let text = "... name nodes either as words after the action or by -h, -p, -s or -u";
                return Err(Fault::Usage(text.to_string()));
            }
            Some(text) => parse(text)?,
            None => self.target.address.clone(),
        };
        self.open(address)
    }

    pub(super) fn open(&self, address: Address) -> Result<Node, Fault> {
        let timeout = Some(self.target.timeout.unwrap_or(REPLY_TIMEOUT));
        Node::open(Target { address, timeout, ..self.target.clone() })
    }

    fn patience(&self) -> Duration {
        self.patience.unwrap_or(PATIENCE)
    }
}

fn parse(text: &str) -> Result<Address, Fault> {
    let url = if text.contains("://") { text.to_string() } else { format!("disque://{text}") };
    let url: ServerUrl = url.parse().map_err(|fault| Fault::Usage(format!("... {text}: {fault}")))?;
    match url.credentials {
        Some(_) => {
            Err(Fault::Usage("... the password goes to DISQUE_PASSWORD, it counts for all nodes".into()))
        }
        None => Ok(url.address),
    }
}
