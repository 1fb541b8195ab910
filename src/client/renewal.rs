//! WORKING for jobs that take longer than their retry time, from a thread beside the worker.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::config::Config;
use super::connection::Address;
use super::error::Error;
use super::session::Session;
use super::{JobId, Reply};

/// When to try again after the node could not be asked.
const AFTER_FAILURE: Duration = Duration::from_millis(200);
/// With many jobs whose lease is long, there is no use in looking more rarely.
const LOOK_AGAIN: Duration = Duration::from_secs(60);

/// Keeps the leases of held jobs alive.
pub(super) struct Renewal {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
    first: Duration,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    held: Vec<Held>,
    /// The job that is being renewed at this moment. To be given back, a job must not be: WORKING that arrives
    /// after NACK would take it out of the queue again.
    busy: Option<JobId>,
    over: bool,
    renewed: u64,
}

struct Held {
    id: JobId,
    /// The node that delivered the job, which knows it for sure.
    node: Address,
    due: Instant,
}

impl Renewal {
    pub(super) fn start(config: Config, first: Duration) -> Result<Renewal, Error> {
        let shared = Arc::new(Shared::default());
        let theirs = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("working".to_string())
            .spawn(move || theirs.run(&config))
            .map_err(Error::NoThread)?;
        Ok(Renewal { shared, thread: Some(thread), first })
    }

    /// From now on the job is renewed.
    pub(super) fn hold(&self, id: JobId, node: Address) {
        let due = Instant::now() + self.first;
        self.shared.lock().held.push(Held { id, node, due });
        self.shared.changed.notify_all();
    }

    /// From the return of this call on the job is not renewed any more.
    pub(super) fn release(&self, id: &JobId) {
        let mut state = self.shared.lock();
        state.held.retain(|held| held.id != *id);
        while state.busy == Some(*id) {
            state = self.shared.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// How many times a lease was renewed.
    pub(super) fn renewed(&self) -> u64 {
        self.shared.lock().renewed
    }
}

impl Drop for Renewal {
    fn drop(&mut self) {
        self.shared.lock().over = true;
        self.shared.changed.notify_all();
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has nothing to hand back.
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self, config: &Config) {
        let mut session: Option<Session> = None;
        let mut state = self.lock();
        while !state.over {
            let now = Instant::now();
            let next = state.held.iter().min_by_key(|held| held.due);
            let Some((id, node)) =
                next.filter(|held| held.due <= now).map(|held| (held.id, held.node.clone()))
            else {
                let wait = next.map_or(LOOK_AGAIN, |held| held.due - now);
                let woken = self.changed.wait_timeout(state, wait);
                state = woken.unwrap_or_else(PoisonError::into_inner).0;
                continue;
            };
            state.busy = Some(id);
            drop(state);
            let outcome = renew(&mut session, config, &id, node);
            state = self.lock();
            state.busy = None;
            match outcome {
                Outcome::Renewed(lease) => {
                    state.renewed += 1;
                    state.postpone(&id, lease / 2);
                }
                Outcome::Failed => state.postpone(&id, AFTER_FAILURE),
                // Done elsewhere, too old, or delivered only once: nothing can be postponed.
                Outcome::Refused => state.held.retain(|held| held.id != id),
            }
            self.changed.notify_all();
        }
    }
}

impl State {
    fn postpone(&mut self, id: &JobId, by: Duration) {
        if let Some(held) = self.held.iter_mut().find(|held| held.id == *id) {
            held.due = Instant::now() + by;
        }
    }
}

enum Outcome {
    Renewed(Duration),
    Refused,
    Failed,
}

fn renew(session: &mut Option<Session>, config: &Config, id: &JobId, node: Address) -> Outcome {
    let session = match session.take() {
        Some(open) if open.is_connected() && *open.address() == node => session.insert(open),
        _ => {
            let mut fresh = Session::new(config.target(node));
            if fresh.connect(None).is_err() {
                return Outcome::Failed;
            }
            session.insert(fresh)
        }
    };
    match session.ask_within(&[b"WORKING".as_slice(), &id.text()], config.reply_timeout) {
        Ok(Reply::Integer(seconds)) if seconds > 0 => {
            Outcome::Renewed(Duration::from_secs(seconds.unsigned_abs()))
        }
        Ok(_) => Outcome::Refused,
        Err(_) => Outcome::Failed,
    }
}
