//! The HTTP port: metrics, health, and the web page with what it asks for.
//!
//! Each connection has a thread of its own, of which there are few. Reading, judging and answering requests happens
//! there, and so does all that takes time: sorting queues, writing text. What only the event loop knows it is asked
//! for in small questions (`desk`), of which it answers about a millisecond's worth per turn, so that clients do not
//! notice, however many queues there are. *Alternative:* HTTP within the event loop saves the threads; writing 10,000
//! queues as text would then have to be cut into slices by hand, and a stalled loop could not say that it is.
//!
//! * `request`, `response`: bytes of HTTP, within limits. `access`: who may ask.
//! * `routes`: what there is. `gather`: asking the event loop. `json`: what the page is told.
//! * `desk`: the side of the event loop.

mod access;
mod desk;
mod gather;
mod json;
mod request;
mod response;
mod routes;

use std::collections::BTreeMap;
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, SyncSender};
use std::thread;
use std::time::Duration;

use mio::Waker;
use parking_lot::{Mutex, RwLock};

use super::listener::{self, ListenError, Place};
use crate::config::Config;
pub(crate) use desk::Desk;
use desk::Question;
use request::{ReadError, Reader};
use response::Response;

/// Most connections at the same time; further ones are told so and closed.
const MAX_CONNECTIONS: usize = 32;
/// Questions that may wait for the event loop: more only pile up while it is stuck.
const MAX_QUESTIONS: usize = 2 * MAX_CONNECTIONS;
/// Threads need no more: they hold no deep calls and no large values.
const STACK: usize = 256 * 1024;
/// How long to wait after an accept that the system refused.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);

/// What the threads of the HTTP port share.
struct Shared {
    questions: SyncSender<Question>,
    waker: Arc<Waker>,
    settings: RwLock<Settings>,
    connections: AtomicUsize,
    /// Requests by status code.
    requests: Mutex<BTreeMap<u16, u64>>,
}

/// What of the configuration may change while the server runs.
#[derive(Clone, PartialEq, Eq)]
struct Settings {
    password: Option<Vec<u8>>,
    page: bool,
    metrics_queues: usize,
}

impl Settings {
    fn of(config: &Config) -> Settings {
        Settings {
            password: config.requirepass.bytes().map(<[u8]>::to_vec),
            page: config.http_page,
            metrics_queues: config.http_metrics_queues as usize,
        }
    }
}

/// Opens the port, if there is to be one, and starts to serve it. The threads end with the process.
pub(crate) fn start(config: &Config, waker: &Arc<Waker>) -> Result<Option<Desk>, ListenError> {
    if config.http_port == 0 {
        return Ok(None);
    }
    let listeners = listener::open_blocking(config.http_bind.addresses(), config.http_port, Place::Http)?;
    let (questions, asked) = mpsc::sync_channel(MAX_QUESTIONS);
    let shared = Arc::new(Shared {
        questions,
        waker: Arc::clone(waker),
        settings: RwLock::new(Settings::of(config)),
        connections: AtomicUsize::new(0),
        requests: Mutex::default(),
    });
    for (address, listener) in listeners {
        let theirs = Arc::clone(&shared);
        let accepting = thread::Builder::new().name("http".to_owned()).stack_size(STACK);
        let started = accepting.spawn(move || accept(&listener, &theirs));
        started.map_err(|error| ListenError { place: Place::Http(address), error })?;
    }
    Ok(Some(Desk::new(asked, shared)))
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    loop {
        match listener.accept() {
            Ok((stream, peer)) => admit(stream, peer, shared),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => {
                tracing::warn!(%error, "cannot accept an HTTP connection");
                thread::sleep(ACCEPT_AGAIN);
            }
        }
    }
}

/// Serves a connection on a thread of its own, unless there are too many.
fn admit(stream: TcpStream, peer: SocketAddr, shared: &Arc<Shared>) {
    let place = Occupied::take(shared);
    let Some(place) = place else {
        // There is nobody to wait until it is read; it fits into the socket's buffer.
        if stream.set_nonblocking(true).is_ok() {
            let response = Response::unavailable("too many HTTP connections\n");
            let _ = response.write(&stream, response::Connection::Close, response::WithBody::Yes);
            shared.count(&response);
        }
        return;
    };
    let serving = thread::Builder::new().name("http".to_owned()).stack_size(STACK);
    let started = serving.spawn(move || {
        tracing::debug!(%peer, "HTTP connection");
        serve(&stream, peer, &place.0);
    });
    if let Err(error) = started {
        tracing::warn!(%error, "cannot start a thread for an HTTP connection");
    }
}

/// One request after the other, until either side has enough.
fn serve(stream: &TcpStream, peer: SocketAddr, shared: &Shared) {
    let mut reader = Reader::new(stream);
    loop {
        let request = match reader.next() {
            Ok(request) => request,
            Err(ReadError::Gone) => return,
            Err(ReadError::Refused(response)) => {
                shared.count(&response);
                let _ = response.write(stream, response::Connection::Close, response::WithBody::Yes);
                return;
            }
        };
        let response = routes::answer(&request, peer, shared);
        shared.count(&response);
        let connection = request.connection();
        let written = response.write(stream, connection, request.with_body());
        if written.is_err() || connection == response::Connection::Close {
            return;
        }
    }
}

/// One of the places for connections; free again when dropped.
struct Occupied(Arc<Shared>);

impl Occupied {
    fn take(shared: &Arc<Shared>) -> Option<Occupied> {
        let taken = shared.connections.fetch_update(Ordering::AcqRel, Ordering::Acquire, |taken| {
            (taken < MAX_CONNECTIONS).then_some(taken + 1)
        });
        taken.is_ok().then(|| Occupied(Arc::clone(shared)))
    }
}

impl Drop for Occupied {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Shared {
    fn settings(&self) -> Settings {
        self.settings.read().clone()
    }

    fn count(&self, response: &Response) {
        *self.requests.lock().entry(response.code()).or_default() += 1;
    }
}
