//! Looking up the names of `cluster-seeds` on a thread of its own, since the system may take its time.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;

use mio::Waker;
use std::sync::Arc;

use crate::config::Seed;
use crate::engine::{Control, Input};
use crate::net::server::Server;
use crate::types::{Millis, UnixMillis};

/// How long after one look-up comes the next while the node is alone, at first and at last.
const FIRST_DELAY: Millis = Millis(1_000);
const LAST_DELAY: Millis = Millis(30_000);
/// How often to look whether the node is alone again.
const JOINED_DELAY: Millis = Millis(5_000);
/// Most addresses of one name that are taken.
const MAX_ADDRESSES: usize = 64;

/// The thread that looks names up, as the loop sees it. It ends when this is dropped, or with the process: nobody
/// waits for it.
#[derive(Debug)]
pub(in crate::net) struct Resolver {
    questions: Sender<()>,
    answers: Receiver<Answer>,
    /// A look-up is under way.
    asked: bool,
    next: UnixMillis,
    delay: Millis,
}

/// All addresses known so far in one look-up.
#[derive(Debug)]
struct Answer {
    addresses: Vec<SocketAddr>,
    is_last: bool,
}

impl Resolver {
    /// Starts the thread; it wakes the loop when it has an answer.
    pub(in crate::net) fn start(seeds: &[Seed], waker: Arc<Waker>, now: UnixMillis) -> io::Result<Resolver> {
        let (questions, asked) = mpsc::channel();
        let (answer, answers) = mpsc::channel();
        let mut names: Vec<Name> =
            seeds.iter().map(|seed| Name { seed: seed.clone(), found: None }).collect();
        let run = move || {
            while asked.recv().is_ok() {
                if !look_up(&mut names, &answer, &waker) {
                    return;
                }
            }
        };
        thread::Builder::new().name("seeds".to_owned()).spawn(run)?;
        Ok(Resolver { questions, answers, asked: false, next: now, delay: FIRST_DELAY })
    }

    pub(in crate::net) fn next_deadline(&self) -> Option<UnixMillis> {
        (!self.asked).then_some(self.next)
    }
}

/// A seed, and whether it was found when it was last looked for.
struct Name {
    seed: Seed,
    found: Option<bool>,
}

/// Looks up all names, and tells after each what is known so far: one that takes long holds up no other that was
/// found. False if nobody listens any more.
fn look_up(names: &mut [Name], answer: &Sender<Answer>, waker: &Waker) -> bool {
    let mut addresses = Vec::new();
    let count = names.len();
    for (at, name) in names.iter_mut().enumerate() {
        name.look_up(&mut addresses);
        let told = answer.send(Answer { addresses: addresses.clone(), is_last: at + 1 == count });
        if told.is_err() || waker.wake().is_err() {
            return false;
        }
    }
    true
}

impl Name {
    /// Says so in the log when a name begins or ceases to be found.
    fn look_up(&mut self, addresses: &mut Vec<SocketAddr>) {
        let Seed { host, port } = &self.seed;
        let result = (host.as_str(), *port).to_socket_addrs();
        let found = match &result {
            Ok(_) => true,
            Err(error) => {
                if self.found != Some(false) {
                    tracing::warn!(host, %error, "cannot find a node of cluster-seeds; it will be tried again");
                }
                false
            }
        };
        if found && self.found == Some(false) {
            tracing::info!(host, "found a node of cluster-seeds");
        }
        self.found = Some(found);
        for address in result.into_iter().flatten().take(MAX_ADDRESSES) {
            let address = SocketAddr::new(address.ip().to_canonical(), address.port());
            if !addresses.contains(&address) {
                addresses.push(address);
            }
        }
    }
}

impl Server {
    /// Looks the seeds up again while the node is alone.
    pub(in crate::net) fn look_for_seeds(&mut self) {
        let alone = self.engine.is_alone();
        let Some(resolver) = &mut self.resolver else { return };
        if resolver.asked || self.now < resolver.next {
            return;
        }
        if !alone {
            resolver.delay = FIRST_DELAY;
            resolver.next = self.now + JOINED_DELAY;
            return;
        }
        resolver.asked = resolver.questions.send(()).is_ok();
        resolver.next = self.now + resolver.delay;
        resolver.delay = Millis(resolver.delay.0 * 2).min(LAST_DELAY);
    }

    /// Tells the engine what was found.
    pub(in crate::net) fn seeds_found(&mut self) {
        while let Some(resolver) = &mut self.resolver
            && let Ok(Answer { addresses, is_last }) = resolver.answers.try_recv()
        {
            if is_last {
                resolver.asked = false;
            }
            self.step(Input::Control(Control::Seeds(addresses)), u32::MAX);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(host: &str) -> Name {
        Name { seed: Seed { host: host.to_owned(), port: 7711 }, found: None }
    }

    #[test]
    fn addresses_are_found_once_and_in_their_plain_form() {
        let mut addresses = Vec::new();
        for host in ["10.0.0.1", "::ffff:10.0.0.1", "::1", "10.0.0.1"] {
            name(host).look_up(&mut addresses);
        }
        let texts: Vec<String> = addresses.iter().map(SocketAddr::to_string).collect();
        assert_eq!(texts, ["10.0.0.1:7711", "[::1]:7711"]);
    }

    #[test]
    fn a_name_that_cannot_be_found_leaves_the_others() {
        let poll = mio::Poll::new().expect("the system has event loops");
        let waker = Waker::new(poll.registry(), mio::Token(0)).expect("it can be woken");
        let (answer, answers) = mpsc::channel();
        // A label of 64 characters is refused without asking anybody.
        let mut names = [name("10.0.0.1"), name(&"n".repeat(64)), name("10.0.0.2")];
        assert!(look_up(&mut names, &answer, &waker));
        let told: Vec<(usize, bool)> =
            answers.try_iter().map(|answer| (answer.addresses.len(), answer.is_last)).collect();
        assert_eq!(told, [(1, false), (1, false), (2, true)]);
        drop(answers);
        assert!(!look_up(&mut names, &answer, &waker), "nobody listens");
    }
}
