//! Ctrl-C at the prompt: it ends the wait for a reply, not the program.
//!
//! Without [`Interrupts::install`] the signal ends the program, which is right for scripts.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use signal_hook::consts::SIGINT;
use signal_hook::iterator::Signals;

use crate::client::connection::Breaker;
use crate::client::session::Watch;

/// What shells report for a program that an interrupt ended.
const EXIT_INTERRUPTED: i32 = 130;

/// Turns interrupts into closed connections.
///
/// A command that waits cannot be taken back: its reply would answer the next one, and a job in it would be lost.
/// So the connection goes, and the server knows that nobody waits any more.
pub(crate) struct Interrupts {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    watched: Mutex<Option<Breaker>>,
    connecting: AtomicBool,
    fired: AtomicBool,
}

impl Interrupts {
    /// Takes over the signal for the rest of the process.
    pub(crate) fn install() -> io::Result<Interrupts> {
        let shared = Arc::new(Shared::default());
        let mut signals = Signals::new([SIGINT])?;
        let theirs = Arc::clone(&shared);
        std::thread::Builder::new().name("interrupt".to_string()).spawn(move || {
            for _ in signals.forever() {
                theirs.fired.store(true, Ordering::SeqCst);
                // Nothing else ends an attempt to connect, and it can take minutes.
                if theirs.connecting.load(Ordering::SeqCst) {
                    std::process::exit(EXIT_INTERRUPTED);
                }
                if let Some(breaker) = &*theirs.watched.lock().unwrap_or_else(PoisonError::into_inner) {
                    breaker.close();
                }
            }
        })?;
        Ok(Interrupts { shared })
    }

    /// Whether there was an interrupt since the last call.
    pub(crate) fn take(&self) -> bool {
        self.shared.fired.swap(false, Ordering::SeqCst)
    }
}

impl Watch for Interrupts {
    /// From now to the next `watch` or `gave_up` an interrupt ends the program.
    fn connecting(&self) {
        self.shared.connecting.store(true, Ordering::SeqCst);
    }

    /// The attempt to connect has failed.
    fn gave_up(&self) {
        self.shared.connecting.store(false, Ordering::SeqCst);
    }

    /// The connection that the next interrupt closes, in place of any earlier one.
    fn watch(&self, breaker: Breaker) {
        *self.shared.watched.lock().unwrap_or_else(PoisonError::into_inner) = Some(breaker);
        self.shared.connecting.store(false, Ordering::SeqCst);
    }
}
