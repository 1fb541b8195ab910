//! A blocking client: jobs as typed calls, several nodes as one, a pool, and a worker loop.
//!
//! ```no_run
//! use disque::client::{AddOptions, Client, Config, Worker};
//! use std::time::Duration;
//!
//! # fn main() -> Result<(), disque::client::Error> {
//! let config = Config::new("disque://queue-1.example,queue-2.example:7712")?;
//! let mut client = Client::connect(config.clone())?;
//! let id = client.add_job("emails", "welcome alice")?;
//! println!("{id}");
//! client.add_job_with("emails", "remind bob", &AddOptions::new().delay(Duration::from_secs(60)))?;
//!
//! let worker = Worker::new(config, ["emails"]);
//! let stop = worker.stop_handle(); // stop.stop() from another thread or a signal handler ends run()
//! let report = worker.run(|job| {
//!     println!("{}", String::from_utf8_lossy(&job.body));
//!     Ok::<(), std::io::Error>(())
//! })?;
//! println!("{} jobs done", report.done);
//! # drop(stop); Ok(())
//! # }
//! ```
//!
//! * A client talks to one node and knows the others by HELLO. It goes where the priority is best, leaves a node
//!   that is leaving, and finds another when the connection is lost, in bounded rounds with growing pauses.
//! * Nothing waits for ever: connecting, replies and whole calls are bounded by [`Config`].
//! * A command whose reply was lost is sent again only if doing it twice is the same as once, or as a job delivered
//!   twice. ADDJOB, NACK and what [`Client::command`] sends are not: the call fails with [`Error::Lost`].

mod config;
pub(crate) mod connection;
mod error;
mod jobs;
mod nodes;
mod pool;
mod renewal;
pub(crate) mod session;
pub(crate) mod url;
mod worker;

use std::time::{Duration, Instant};

use connection::Address;
use nodes::Greeting;
use session::{ConnectError, Session};

pub use crate::resp::Reply;
pub use crate::types::JobId;
pub use config::Config;
pub use error::Error;
pub use jobs::{AddOptions, Fields, GetOptions, Job};
pub use nodes::Node;
pub use pool::{Pool, PooledClient};
pub use worker::{Report, Stop, Worker};

/// How often a command is sent at most when nodes turn out to be leaving, loading or gone.
const SENDINGS_MAX: u32 = 3;

/// Whether doing a command twice does harm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Twice {
    Harmless,
    Harmful,
}

/// A connection to whichever node of a cluster serves best.
pub struct Client {
    config: Config,
    /// What the last greeting said, in its order of preference.
    known: Vec<Node>,
    current: Option<Current>,
}

/// The node in use.
struct Current {
    session: Session,
    greeting: Greeting,
    greeted: Instant,
}

impl Client {
    /// Connects to the best node that can be reached.
    pub fn connect(config: Config) -> Result<Client, Error> {
        let mut client = Client::new(config);
        client.session()?;
        Ok(client)
    }

    /// A client that connects when it is first used.
    pub fn new(config: Config) -> Client {
        Client { config, known: Vec::new(), current: None }
    }

    /// The node in use, as `host:port`; `None` if there is none at the moment.
    pub fn node(&self) -> Option<String> {
        self.current.as_ref().map(|current| current.session.address().to_string())
    }

    /// The other nodes of the cluster, best first, as the node in use said lately.
    pub fn other_nodes(&self) -> &[Node] {
        &self.known
    }

    /// Sends any command once and returns its reply; an error of the server is [`Error::Refused`].
    ///
    /// Commands that wait, other than those with a method of their own, are bounded by the reply time-out.
    pub fn command<Word: AsRef<[u8]>>(&mut self, words: &[Word]) -> Result<Reply, Error> {
        let words: Vec<_> = words.iter().map(|word| word.as_ref().to_vec()).collect();
        self.run(&words, Twice::Harmful, Duration::ZERO)
    }

    /// Sends a command that may itself take `patience`; finds another node if this one is leaving, still loads, or is
    /// lost while repeating does no harm.
    fn run(&mut self, words: &[Vec<u8>], twice: Twice, patience: Duration) -> Result<Reply, Error> {
        let limit = self.config.reply_timeout + patience;
        for sending in 1.. {
            let last = sending >= SENDINGS_MAX;
            let session = self.session()?;
            let node = session.address().to_string();
            match session.ask_within(words, limit) {
                Ok(Reply::Error(text)) => {
                    let refused = refusal(node, &text);
                    let elsewhere = matches!(refused.code(), Some("LEAVING" | "LOADING"));
                    if !elsewhere {
                        return Err(refused);
                    }
                    self.current = None;
                    if last {
                        return Err(refused);
                    }
                }
                Ok(reply) => return Ok(reply),
                Err(lost) => {
                    self.current = None;
                    if last || twice == Twice::Harmful {
                        let command = name_of(words);
                        return Err(Error::Lost { node, command, reason: lost.to_string() });
                    }
                }
            }
        }
        unreachable!("the last sending returns")
    }

    /// The connection in use, made anew or elsewhere if need be.
    fn session(&mut self) -> Result<&mut Session, Error> {
        if self.current.as_mut().is_some_and(|current| current.session.was_closed_meanwhile()) {
            self.current = None;
        }
        if let Some(current) = &mut self.current
            && current.greeted.elapsed() >= self.config.refresh
        {
            match greet(&mut current.session, &self.config) {
                Ok(greeting) if !greeting.knows_better() => {
                    self.known = greeting.others();
                    current.greeting = greeting;
                    current.greeted = Instant::now();
                }
                _ => self.current = None,
            }
        }
        let current = match self.current.take() {
            Some(current) => current,
            None => self.find()?,
        };
        Ok(&mut self.current.insert(current).session)
    }

    /// Tries all that is known, round after round.
    fn find(&mut self) -> Result<Current, Error> {
        let mut pause = self.config.backoff_min;
        let mut tried = Vec::new();
        for round in 0..self.config.rounds {
            if round > 0 {
                std::thread::sleep(pause);
                pause = (pause * 2).min(self.config.backoff_max);
            }
            tried.clear();
            if let Some(current) = self.round(&mut tried)? {
                return Ok(current);
            }
        }
        Err(Error::Unreachable { tried })
    }

    /// Tries each address once, the best first. A node that knows better ones is taken only if those fail.
    fn round(&mut self, tried: &mut Vec<(String, String)>) -> Result<Option<Current>, Error> {
        let mut visited: Vec<Address> = Vec::new();
        let mut second_best: Option<Current> = None;
        while let Some(address) = self.candidate(&visited, second_best.as_ref()) {
            visited.push(address.clone());
            let current = match open(&self.config, address.clone()) {
                Ok(current) => current,
                Err(Attempt::Denied(text)) => {
                    return Err(Error::Denied { node: address.to_string(), text });
                }
                Err(Attempt::Failed(reason)) => {
                    tried.push((address.to_string(), reason));
                    continue;
                }
            };
            self.known = current.greeting.others();
            if !current.greeting.knows_better() {
                return Ok(Some(current));
            }
            let priority = |current: &Current| current.greeting.own_priority();
            if second_best.as_ref().is_none_or(|second| priority(&current) < priority(second)) {
                second_best = Some(current);
            }
        }
        Ok(second_best)
    }

    /// The best address not visited yet: nodes that are known, then those of the configuration.
    fn candidate(&self, visited: &[Address], second_best: Option<&Current>) -> Option<Address> {
        let in_use = second_best.map(|current| current.greeting.id.as_str());
        let known = self.known.iter().filter(|node| Some(node.id.as_str()) != in_use).map(Node::address);
        known.chain(self.config.seeds.iter().cloned()).find(|address| !visited.contains(address))
    }
}

/// Why one node cannot be used.
enum Attempt {
    Failed(String),
    Denied(String),
}

fn open(config: &Config, address: Address) -> Result<Current, Attempt> {
    let mut session = Session::new(config.target(address));
    session.connect(None).map_err(|error| match error {
        ConnectError::Unreachable { reason, .. } => Attempt::Failed(reason),
        ConnectError::Denied(text) | ConnectError::NoResp3(text) => Attempt::Denied(text),
    })?;
    let greeting = greet(&mut session, config)?;
    Ok(Current { session, greeting, greeted: Instant::now() })
}

fn greet(session: &mut Session, config: &Config) -> Result<Greeting, Attempt> {
    match session.ask_within(&["HELLO"], config.connect_timeout) {
        Ok(Reply::Error(text)) if text.starts_with(b"NOAUTH") => Err(Attempt::Denied(lossy(&text))),
        Ok(Reply::Error(text)) if text.starts_with(b"LOADING") => Err(Attempt::Failed(lossy(&text))),
        // A server that describes no cluster is one without others.
        Ok(reply) => Ok(Greeting::from_reply(&reply).unwrap_or_default()),
        Err(lost) => Err(Attempt::Failed(lost.to_string())),
    }
}

fn refusal(node: String, text: &[u8]) -> Error {
    let text = lossy(text);
    let code = text.split(' ').next().unwrap_or_default().to_string();
    match &*code {
        "NOAUTH" | "WRONGPASS" => Error::Denied { node, text },
        _ => Error::Refused { node, code, text },
    }
}

fn name_of(words: &[Vec<u8>]) -> String {
    lossy(words.first().map_or(&[], Vec::as_slice)).to_uppercase()
}

fn lossy(text: &[u8]) -> String {
    String::from_utf8_lossy(text).into_owned()
}
