//! Some clients for many threads.

use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::Client;
use super::config::Config;
use super::error::Error;

/// A bounded number of clients, connected when first used and handed out one at a time. Cheap to clone; all clones
/// are the same pool.
#[derive(Clone)]
pub struct Pool {
    shared: Arc<Shared>,
}

struct Shared {
    idle: Mutex<Vec<Client>>,
    returned: Condvar,
    size: usize,
}

impl Pool {
    /// A pool of so many clients, at least one. Nothing is connected yet.
    pub fn new(config: &Config, size: usize) -> Pool {
        let size = size.max(1);
        let idle = (0..size).map(|_| Client::new(config.clone())).collect();
        Pool { shared: Arc::new(Shared { idle: Mutex::new(idle), returned: Condvar::new(), size }) }
    }

    /// A client for the time being; it returns to the pool when dropped. Waits at most so long for one.
    pub fn get(&self, patience: Duration) -> Result<PooledClient, Error> {
        let deadline = Instant::now() + patience;
        let mut idle = self.shared.idle.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            // The last one returned is the likeliest to be connected.
            if let Some(client) = idle.pop() {
                return Ok(PooledClient { client: Some(client), shared: Arc::clone(&self.shared) });
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(Error::PoolBusy { size: self.shared.size, waited: patience });
            }
            let woken = self.shared.returned.wait_timeout(idle, left);
            idle = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

/// A [`Client`] that belongs to a [`Pool`].
pub struct PooledClient {
    client: Option<Client>,
    shared: Arc<Shared>,
}

impl Deref for PooledClient {
    type Target = Client;

    fn deref(&self) -> &Client {
        self.client.as_ref().expect("it is there until dropped")
    }
}

impl DerefMut for PooledClient {
    fn deref_mut(&mut self) -> &mut Client {
        self.client.as_mut().expect("it is there until dropped")
    }
}

impl Drop for PooledClient {
    fn drop(&mut self) {
        if let Some(client) = self.client.take() {
            self.shared.idle.lock().unwrap_or_else(PoisonError::into_inner).push(client);
            self.shared.returned.notify_one();
        }
    }
}
