//! The event loop: one thread, one turn after the other.
//!
//! A turn waits for readiness or for the engine's next deadline, lets due timers act, reads and runs what
//! clients sent (so much of each, so that nobody waits for one client's flood), and writes all replies. The time
//! is read once per turn.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::{Events, Poll, Waker};

use super::aof::{Aof, AofError, Load};
use super::bus::{self, Bus, BusListener, Carrier, Resolver};
use super::client::Closing;
use super::clients::Clients;
use super::clock::Clock;
use super::http::Desk;
use super::listener::Listener;
use super::nodes_file::NodesFile;
use super::operator::Operator;
use super::process::os_text;
use super::signals::{Signal, Signals};
use super::tokens::{self, Source};
use crate::command::CommandTable;
use crate::config::Config;
use crate::engine::{ClientId, Control, Effect, Effects, Engine, Input, Reply};
use crate::types::{Millis, UnixMillis};

/// Everything that runs on the loop's thread.
pub(crate) struct Server {
    pub(super) poll: Poll,
    pub(super) listeners: Vec<Listener>,
    pub(super) bus_listeners: Vec<BusListener>,
    pub(super) resolver: Option<Resolver>,
    pub(super) signals: Signals,
    pub(super) clock: Clock,
    pub(super) now: UnixMillis,
    pub(super) engine: Engine,
    pub(super) effects: Effects,
    pub(super) clients: Clients,
    pub(super) bus: Bus,
    pub(super) config: Config,
    pub(super) commands: CommandTable,
    pub(super) nodes_file: NodesFile,
    pub(super) operator: Operator,
    pub(super) aof: Aof,
    pub(super) http: Option<Desk>,
    pub(super) waker: Arc<Waker>,
    /// Whether other nodes can connect.
    pub(super) hears_peers: bool,
    /// Read buffer that all connections share: an idle connection holds none.
    pub(super) scratch: Box<[u8]>,
    /// Requests are held back until then (CLIENT PAUSE).
    pub(super) paused_until: Option<UnixMillis>,
    next_housekeeping: UnixMillis,
    next_memory_report: UnixMillis,
    /// Why the loop is to end.
    pub(super) ending: Option<Ending>,
}

/// Why the loop cannot go on.
#[derive(Debug)]
pub(crate) enum RunError {
    /// The system refuses to wait.
    Loop(io::Error),
    /// The append-only file cannot be loaded.
    Aof(AofError),
}

/// How the loop ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// SHUTDOWN or a signal.
    Shutdown,
    /// SHUTDOWN NOSAVE: without waiting for the disk.
    NoSave,
    /// DEBUG RESTART: shut down, and start the same program again after this time.
    Restart(Millis),
    /// DEBUG CRASH-AND-RECOVER: the same without shutting down.
    CrashAndRestart(Millis),
}

pub(super) const READ_BUFFER: usize = 64 * 1024;
const ACCEPTS_PER_EVENT: usize = 1000;
const EVENTS: usize = 1024;
/// How often idle clients and soft limits are looked at, if there is anything to look at.
const HOUSEKEEPING: Millis = Millis(1000);
/// How often the engine is told what the connections hold.
const MEMORY_REPORT: Millis = Millis(100);

/// What the server is made of; see `net::start`.
pub(crate) struct Parts {
    pub(crate) poll: Poll,
    pub(crate) listeners: Vec<Listener>,
    pub(crate) bus_listeners: Vec<BusListener>,
    pub(crate) resolver: Option<Resolver>,
    pub(crate) signals: Signals,
    pub(crate) clock: Clock,
    pub(crate) engine: Engine,
    pub(crate) config: Config,
    pub(crate) commands: CommandTable,
    pub(crate) nodes_file: NodesFile,
    pub(crate) operator: Operator,
    pub(crate) http: Option<Desk>,
    pub(crate) load: Option<Load>,
    pub(crate) waker: Arc<Waker>,
}

impl Server {
    pub(crate) fn new(mut parts: Parts) -> io::Result<Server> {
        for (offset, listener) in parts.listeners.iter_mut().enumerate() {
            listener.register(parts.poll.registry(), tokens::listener(offset))?;
        }
        let hears_peers = parts.load.is_none();
        if hears_peers {
            bus::register(&mut parts.bus_listeners, parts.poll.registry(), tokens::bus_listener)?;
        }
        let now = parts.clock.tick();
        Ok(Server {
            poll: parts.poll,
            listeners: parts.listeners,
            bus_listeners: parts.bus_listeners,
            resolver: parts.resolver,
            signals: parts.signals,
            clock: parts.clock,
            now,
            engine: parts.engine,
            effects: Effects::new(),
            clients: Clients::default(),
            bus: Bus::new(now),
            config: parts.config,
            commands: parts.commands,
            nodes_file: parts.nodes_file,
            operator: parts.operator,
            aof: Aof::loading(parts.load),
            http: parts.http,
            waker: parts.waker,
            hears_peers,
            scratch: vec![0; READ_BUFFER].into_boxed_slice(),
            paused_until: None,
            next_housekeeping: now,
            next_memory_report: now,
            ending: None,
        })
    }

    /// Runs until shutdown.
    pub(crate) fn run(&mut self) -> Result<Ending, RunError> {
        let mut events = Events::with_capacity(EVENTS);
        loop {
            let timeout = self.time_to_sleep();
            match self.poll.poll(&mut events, timeout) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                result => result.map_err(RunError::Loop)?,
            }
            self.now = self.clock.tick();
            let begin = self.clock.instant();
            self.operator.traffic.turn(self.now);
            self.turn(&events);
            self.load_on().map_err(RunError::Aof)?;
            self.operator.turn_ended(begin.elapsed());
            if let Some(ending) = self.ending {
                return Ok(ending);
            }
        }
    }

    fn turn(&mut self, events: &Events) {
        self.drop_vanished(events);
        self.advance();
        let resumed = std::mem::take(&mut self.clients.resume);
        let resumed_links = self.take_resumed_links();
        for event in events {
            self.event(event);
        }
        self.go_on(resumed);
        self.go_on_with_links(resumed_links);
        self.watch_links();
        self.look_for_seeds();
        self.save_nodes_again();
        self.end_pause();
        self.housekeeping();
        self.walk_on();
        self.answer_questions();
        self.submit_records();
        self.flush_dirty();
        self.release_held();
    }

    /// Not at all while there is work, else until something is due.
    fn time_to_sleep(&mut self) -> Option<Duration> {
        let asked = self.http.as_ref().is_some_and(Desk::is_due);
        if asked || !self.clients.resume.is_empty() || self.bus.has_work() || self.aof.load.is_some() {
            return Some(Duration::ZERO);
        }
        let housekeeping = self.needs_housekeeping().then_some(self.next_housekeeping);
        let seeds = self.resolver.as_ref().and_then(Resolver::next_deadline);
        let others = [self.bus.next_deadline(), seeds, self.aof.next_rewrite(), self.nodes_file.next_retry()];
        let next = [self.engine.next_deadline(), self.paused_until, housekeeping];
        let next = next.into_iter().chain(others).flatten().min();
        let until = next.map(|next| {
            self.clock.tick();
            self.clock.until(next)
        });
        until.into_iter().chain(self.time_to_walk()).min()
    }

    /// Lets due timers act.
    fn advance(&mut self) {
        // What was restored is put in order when all is.
        if self.aof.load.is_some() {
            return;
        }
        if self.engine.next_deadline().is_some_and(|at| at <= self.now) {
            self.effects.clear();
            let begin = Instant::now();
            self.engine.advance(self.now, &mut self.effects);
            self.operator.timers_ran(self.now, begin.elapsed());
            self.perform(u32::MAX);
        }
    }

    /// Writes the node table once more if that has failed.
    fn save_nodes_again(&mut self) {
        if self.nodes_file.next_retry().is_none_or(|at| at > self.now) {
            return;
        }
        match self.nodes_file.save(&self.engine.nodes_conf(), self.now) {
            Ok(()) => tracing::info!("the node table is saved now"),
            Err(error) => tracing::debug!(%error, "still cannot save the node table"),
        }
    }

    /// Clients that wait for a job and are gone must not be handed one by a timer, nor by those who come after
    /// them in the same turn (redis-clients.md 7.3).
    fn drop_vanished(&mut self, events: &Events) {
        for event in events {
            let Source::Client(slot) = tokens::source(event.token()) else { continue };
            let closed = event.is_read_closed() || event.is_write_closed() || event.is_error();
            if closed && self.clients.get(slot).is_some_and(|client| client.blocked) {
                self.close_now(slot);
            }
        }
    }

    fn event(&mut self, event: &mio::event::Event) {
        match tokens::source(event.token()) {
            Source::Client(slot) => self.client_event(slot, event),
            Source::Link(slot) => self.link_event(slot, event),
            Source::Listener(offset) => self.accept(offset),
            Source::BusListener(offset) => self.accept_peers(offset),
            Source::Signal(offset) => self.signal(offset),
            Source::Waker => {
                self.http.iter_mut().for_each(Desk::woken);
                self.seeds_found();
                self.disk_event();
            }
        }
    }

    fn client_event(&mut self, slot: u32, event: &mio::event::Event) {
        let Some(client) = self.clients.get_mut(slot) else { return };
        if event.is_writable() && !client.output.is_empty() {
            self.clients.mark_dirty(slot);
        }
        if event.is_readable() || event.is_read_closed() || event.is_error() {
            let client = self.clients.acting(slot);
            client.readable = true;
            // A read that drains the socket stops before it would see the end of file.
            client.read_closed |= event.is_read_closed();
            // One that goes on from the last turn has its share of this one coming.
            if !client.resuming {
                self.serve(slot);
            }
        }
    }

    fn signal(&mut self, offset: usize) {
        match self.signals.receive(offset) {
            Some(Signal::Shutdown(name)) => {
                tracing::info!("Received {name} scheduling shutdown...");
                self.ending = Some(Ending::Shutdown);
            }
            Some(Signal::Reopen) => match self.operator.log.reopen() {
                Ok(()) => tracing::info!("log file opened again"),
                Err(error) => tracing::error!(%error, "cannot open the log file again"),
            },
            None => {}
        }
    }

    fn accept(&mut self, offset: usize) {
        for _ in 0..ACCEPTS_PER_EVENT {
            match self.listeners[offset].accept(&self.operator.unix_path) {
                Ok((stream, peer)) => self.admit(stream, peer),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    // Out of descriptors, or the client gave up in between. Others wait in the kernel's queue;
                    // readiness is not reported again for them, so the next turn tries again.
                    tracing::warn!(%error, "cannot accept a connection");
                    self.operator.accept_again.push(offset);
                    return;
                }
            }
        }
        self.operator.accept_again.push(offset);
    }

    fn admit(&mut self, mut stream: super::stream::Stream, peer: String) {
        use std::io::Write as _;
        if self.clients.len() >= self.config.maxclients as usize {
            self.operator.traffic.count_rejected();
            // The socket's buffer is empty, so a short write does not happen; if it does, the close says enough.
            let _ = stream.write(b"-ERR max number of clients reached\r\n");
            return;
        }
        let idle = Duration::from_secs(self.config.tcp_keepalive.0.0);
        if !idle.is_zero()
            && let Err(error) = stream.keep_alive(idle)
        {
            tracing::debug!(%error, %peer, "cannot set keep-alive");
        }
        tracing::debug!(%peer, "Accepted");
        self.operator.traffic.count_connection();
        let slot = self.clients.insert(stream, peer, self.now);
        let registered =
            self.clients.acting(slot).stream.register(self.poll.registry(), tokens::client(slot));
        if let Err(error) = registered {
            tracing::warn!(%error, "cannot watch a connection");
            self.clients.close(slot, Closing::Now);
        }
    }

    /// Goes on with clients that ran out of budget in the turn before, or were unblocked with requests pending.
    fn go_on(&mut self, resumed: Vec<u32>) {
        for offset in std::mem::take(&mut self.operator.accept_again) {
            self.accept(offset);
        }
        for slot in resumed {
            if let Some(client) = self.clients.get_mut(slot) {
                client.resuming = false;
                self.serve(slot);
            }
        }
    }

    /// Hands one thing to the engine and does what it wants done.
    pub(super) fn step(&mut self, input: Input<'_>, acting: u32) {
        self.effects.clear();
        self.engine.step(self.now, input, &mut self.effects);
        self.perform(acting);
    }

    /// Performs the effects at hand, in order.
    fn perform(&mut self, acting: u32) {
        let mut unsaved: Option<String> = None;
        let hold = self.aof.append(&self.effects);
        self.clients.hold = hold;
        let holds = !hold.is_none();
        let mut header = None;
        let by = Carrier { registry: self.poll.registry(), config: &self.config, now: self.now };
        for effect in self.effects.iter() {
            match (effect, &unsaved) {
                // Nobody is told OK about a change that a restart would forget.
                (Effect::Reply { client, reply: Reply::Ok }, Some(why)) => {
                    self.clients.reply_failure(*client, why, acting);
                }
                (Effect::Reply { client, reply }, _) => {
                    self.clients.reply(*client, reply, &self.effects, acting, self.config.port);
                }
                (Effect::Send { to, message }, _) => {
                    let promises = message.is_promise();
                    let message = self.effects.message(message);
                    let header = header.get_or_insert_with(|| self.engine.header());
                    if holds && promises {
                        self.aof.hold_back(hold, *to, &message);
                    } else {
                        self.bus.send(*to, header, &message, by);
                    }
                }
                (Effect::OpenLink { link, address }, _) => self.bus.open_link(*link, *address, by),
                (Effect::CloseLink { link }, _) => self.bus.close_link(*link, by),
                (Effect::PeerFeatures { link, features }, _) => self.bus.set_features(*link, *features),
                (Effect::SaveNodes(conf), _) => {
                    if let Err(error) = self.nodes_file.save(conf, self.now) {
                        tracing::error!(%error, "cannot save the node table");
                        unsaved =
                            Some(format!("ERR error saving the cluster node config: {}", os_text(&error)));
                    }
                }
            }
        }
    }

    /// Writes all output, and closes who is to be closed: the one place where anything leaves. Other nodes come first,
    /// since clients wait for what these answer.
    pub(super) fn flush_dirty(&mut self) {
        self.flush_links();
        while !self.clients.dirty.is_empty() {
            for slot in std::mem::take(&mut self.clients.dirty) {
                self.flush(slot);
            }
        }
        // What closing clients made the engine say.
        self.flush_links();
        self.clients.recycle_slots();
        self.bus.recycle_slots();
    }

    fn flush(&mut self, slot: u32) {
        let Some(client) = self.clients.get_mut(slot) else { return };
        client.dirty = false;
        if self.is_held(slot) {
            return;
        }
        let Some(client) = self.clients.get_mut(slot) else { return };
        let result = if client.closing == Closing::Now { Ok(0) } else { client.flush() };
        match result {
            Ok(written) => {
                if written > 0 {
                    client.last_interaction = self.now;
                    self.operator.traffic.count_output(written);
                }
                let done = client.output.is_empty();
                if client.closing == Closing::Now
                    || (client.closing == Closing::AfterReply && done && client.awaiting.is_empty())
                {
                    self.close_now(slot);
                } else if !done || client.over_soft_limit.is_some() {
                    self.check_output_limit(slot);
                }
            }
            Err(error) => {
                tracing::debug!(%error, peer = client.about.peer, "Writing to client");
                self.close_now(slot);
            }
        }
    }

    /// A client that does not read its replies is closed before they fill the memory (operations.md 13.7).
    fn check_output_limit(&mut self, slot: u32) {
        let limit = self.config.client_output_buffer_limit;
        let client = self.clients.acting(slot);
        let len = client.output.len() as u64;
        let over_soft = limit.soft.0 > 0 && len >= limit.soft.0;
        client.over_soft_limit = over_soft.then(|| client.over_soft_limit.unwrap_or(self.now));
        let soft_for = client.over_soft_limit.map_or(Millis(0), |since| self.now.since(since));
        if (limit.hard.0 > 0 && len >= limit.hard.0) || soft_for > Millis::from_secs(limit.soft_seconds.0) {
            let peer = &client.about.peer;
            tracing::warn!(
                peer,
                bytes = len,
                "Client scheduled to be closed ASAP for overcoming of output buffer limits."
            );
            self.close_now(slot);
        }
    }

    /// Ends a connection now, whatever is pending.
    pub(super) fn close_now(&mut self, slot: u32) {
        let Some(mut client) = self.clients.remove(slot) else { return };
        tracing::debug!(peer = client.about.peer, "Client closed connection");
        if let Err(error) = client.stream.deregister(self.poll.registry()) {
            tracing::debug!(%error, "cannot stop watching a connection");
        }
        for asked in client.asked() {
            self.gone(asked);
        }
    }

    fn gone(&mut self, client: ClientId) {
        self.step(Input::ClientGone { client }, u32::MAX);
    }

    fn end_pause(&mut self) {
        if self.paused_until.is_some_and(|until| until <= self.now) {
            self.paused_until = None;
            for slot in self.clients.slots() {
                let client = self.clients.acting(slot);
                if client.readable || !client.input.is_empty() || client.read_closed {
                    self.clients.mark_resume(slot);
                }
            }
        }
    }

    fn needs_housekeeping(&self) -> bool {
        self.config.timeout.0 > 0 || self.config.client_output_buffer_limit.soft.0 > 0
    }

    /// What is done from time to time while there are turns: idle clients, soft limits, memory in use.
    fn housekeeping(&mut self) {
        // The loop does not sleep while one is due.
        if self.aof.next_rewrite().is_some_and(|at| at <= self.now) {
            self.consider_rewrite();
        }
        if self.now >= self.next_memory_report {
            self.next_memory_report = self.now + MEMORY_REPORT;
            let held = self.clients.iter().map(|(_, client)| client.heap_bytes() as u64).sum::<u64>();
            let shell = held + self.bus.heap_bytes() as u64 + (READ_BUFFER + EVENTS * 16) as u64;
            self.step(Input::Control(Control::ShellMemory(shell)), u32::MAX);
            self.operator.saw_memory(self.engine.memory_use().total());
            self.consider_rewrite();
        }
        if !self.needs_housekeeping() || self.now < self.next_housekeeping {
            return;
        }
        self.next_housekeeping = self.now + HOUSEKEEPING;
        let limit = Millis::from_secs(self.config.timeout.0);
        for slot in self.clients.slots() {
            let client = self.clients.acting(slot);
            let idle = limit.0 > 0 && self.now.since(client.last_interaction) > limit;
            if idle && !client.blocked && !client.is_monitor {
                tracing::debug!(peer = client.about.peer, "Closing idle client");
                self.close_now(slot);
            } else if !client.output.is_empty() {
                self.check_output_limit(slot);
            }
        }
    }
}
