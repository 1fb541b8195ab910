//! Signals as readable sockets: the handler only writes a byte, everything else happens in the loop.

use std::io::{self, Read as _};

use mio::net::UnixStream;
use mio::{Interest, Registry};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::low_level::pipe;

use super::tokens;

/// The signals that the loop answers. SIGPIPE is ignored by the Rust runtime.
const SIGNALS: [(i32, &str); 3] = [(SIGTERM, "SIGTERM"), (SIGINT, "SIGINT"), (SIGHUP, "SIGHUP")];

/// One socket per signal.
#[derive(Debug)]
pub(crate) struct Signals {
    receivers: Vec<(UnixStream, i32, &'static str)>,
}

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signal {
    /// SIGTERM or SIGINT, with its name.
    Shutdown(&'static str),
    /// SIGHUP: open the log file again, for log rotation.
    Reopen,
}

impl Signals {
    /// Installs the handlers and watches their sockets.
    pub(crate) fn install(registry: &Registry) -> io::Result<Signals> {
        let mut receivers = Vec::new();
        for (offset, (number, name)) in SIGNALS.into_iter().enumerate() {
            let (receiver, sender) = std::os::unix::net::UnixStream::pair()?;
            receiver.set_nonblocking(true)?;
            pipe::register(number, sender)?;
            let mut receiver = UnixStream::from_std(receiver);
            registry.register(&mut receiver, tokens::signal(offset), Interest::READABLE)?;
            receivers.push((receiver, number, name));
        }
        Ok(Signals { receivers })
    }

    /// What came in under the token with this offset.
    pub(crate) fn receive(&mut self, offset: usize) -> Option<Signal> {
        let (receiver, number, name) = self.receivers.get_mut(offset)?;
        let mut bytes = [0; 64];
        let mut received = false;
        while let Ok(1..) = receiver.read(&mut bytes) {
            received = true;
        }
        received.then_some(if *number == SIGHUP { Signal::Reopen } else { Signal::Shutdown(name) })
    }
}
