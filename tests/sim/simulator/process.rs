//! What a server process does with its engine: hands it what happens, performs what it wants, exactly as the shell
//! in `src/net` owes it. Requests and messages pass as bytes through the codecs.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use disque::bus::{self, Features, FrameReader, Header, Message, Notice};
use disque::command::reply::{self, ReplyContext};
use disque::command::{self, CommandError, CommandTable, Runs};
use disque::engine::{ClientId, Effect, Effects, Input, LinkId, Outgoing, Reply, SendTo, Via};
use disque::resp::{Next, Output, Protocol, RequestReader, write};
use disque::types::Args;

use super::coverage::message_bit;
use super::ledger::Id;
use super::log::{HeldMessage, Wait};
use super::wire::{Piece, Purpose};
use super::world::{AUDIT_EVERY, Event, World};

/// What a step writes to one connection.
#[derive(Debug)]
pub struct Written {
    conn: u64,
    way: usize,
    bytes: Vec<u8>,
    kinds: u32,
    only_here: Vec<Id>,
}

/// An engine that wants to be woken so often at one instant will never get done.
const WAKES_AT_ONCE: u32 = 3000;

static COMMANDS: CommandTable = CommandTable::new();

/// The address of a node: the servers of one world stand in one network.
pub fn address(node: usize) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(10, 0, 0, node as u8 + 1))
}

impl World {
    /// Hands the engine of a node one thing that happened, and performs what it wants.
    pub fn step(&mut self, node: usize, input: Input<'_>) {
        let state = &mut self.nodes[node];
        let Some(engine) = &mut state.engine else { return };
        let axis = state.clock.tick(self.now);
        state.effects.clear();
        engine.step(axis, input, &mut state.effects);
        self.after_step(node);
    }

    fn after_step(&mut self, node: usize) {
        let effects = std::mem::take(&mut self.nodes[node].effects);
        self.perform(node, &effects);
        self.nodes[node].effects = effects;
        self.flush_written();
        self.submit(node);
        self.nodes[node].steps += 1;
        self.audit_sometimes(node);
        self.wake_in_time(node);
        // A client's next request may have waited for this reply.
        while let Some(conn) = self.resume.pop() {
            self.serve(conn);
        }
    }

    fn perform(&mut self, node: usize, effects: &Effects) {
        let mut unsaved = false;
        let hold = self.nodes[node].log.as_mut().and_then(|log| log.append(effects));
        for (done, effect) in effects.iter().enumerate() {
            if let Some(left) = &mut self.nodes[node].dies_after {
                if *left == 0 {
                    self.lose_effects(effects, done);
                    return self.end_process(node, true);
                }
                *left -= 1;
            }
            match effect {
                Effect::Reply { client, reply } => {
                    self.write_reply(node, *client, reply, (unsaved, hold), effects)
                }
                Effect::SaveNodes(conf) => {
                    unsaved = !self.nodes[node].disk.save_conf(conf.to_string().into_bytes());
                    if unsaved {
                        self.coverage.mark("identity could not be saved");
                    }
                }
                Effect::OpenLink { link, address } => self.open(node, *link, *address),
                Effect::CloseLink { link } => {
                    if let Some(conn) = self.nodes[node].links.remove(link) {
                        self.close(conn, 0);
                    }
                }
                Effect::PeerFeatures { link, features } => {
                    let conn = self.nodes[node].links.get(link).copied();
                    self.set_features(conn, 0, *features);
                }
                Effect::Send { to, message } => self.write_message(node, *to, message, (hold, effects)),
            }
        }
    }

    fn open(&mut self, node: usize, link: LinkId, address: SocketAddr) {
        let IpAddr::V4(ip) = address.ip() else { return self.open_link(node, link, None) };
        let host = usize::from(ip.octets()[3]).wrapping_sub(1);
        let listens = host < self.nodes.len() && address.port() == 17711 && ip.octets()[..3] == [10, 0, 0];
        self.open_link(node, link, listens.then_some(host));
    }

    /// The process ends before it has done all that a step asked for.
    fn lose_effects(&mut self, effects: &Effects, done: usize) {
        for effect in effects.iter().skip(done) {
            if let Effect::Send { message, .. } = effect {
                only_in(&effects.message(message)).iter().for_each(|id| self.ledger.excuse(id));
            }
        }
    }

    fn write_message(
        &mut self,
        node: usize,
        to: SendTo,
        outgoing: &Outgoing,
        (hold, effects): (Option<Wait>, &Effects),
    ) {
        let message = effects.message(outgoing);
        let only_here = only_in(&message);
        if let Message::YourJobs { jobs } = &message {
            jobs.iter().for_each(|job| self.ledger.moved(&job.id.text()));
        }
        match hold.filter(|_| outgoing.is_promise()) {
            Some(wait) => {
                let message = message.to_static();
                self.hold_message(node, HeldMessage { wait, to, message, only_here });
            }
            None => self.send_message(node, to, &message, only_here),
        }
    }

    /// Says something to another node, if there is a link.
    pub fn send_message(&mut self, node: usize, to: SendTo, message: &Message<'_>, only_here: Vec<Id>) {
        let (conn, way) = match to {
            SendTo::Own(link) => (self.nodes[node].links.get(&link).copied(), 0),
            SendTo::Peer(peer) => (self.nodes[node].peers.get(&peer).copied(), 1),
        };
        let up =
            conn.is_some_and(|conn| self.conns.get(&conn).is_some_and(|state| state.up && state.open[way]));
        let Some(conn) = conn.filter(|_| up) else {
            only_here.iter().for_each(|id| self.ledger.excuse(id));
            return;
        };
        self.messages += 1;
        if matches!(message, Message::Notice { notice: Notice::SetAck { nodes_known: 0, .. }, .. }) {
            self.coverage.mark("acknowledgement of an unknown job");
        }
        let header = self.header(node);
        let now = self.nodes[node].clock.tick(self.now);
        let receiver = self.conns[&conn].hosts[1 - way];
        let (time, name) = (self.now, message.name());
        self.trace.note(time, || format!("n{node} > n{receiver} {}", describe(message)));
        self.coverage.sent(name);
        let Some(Purpose::Bus { writers, .. }) = self.conns.get_mut(&conn).map(|state| &mut state.purpose)
        else {
            unreachable!("links are between nodes")
        };
        if !writers[way].push(&header, message, now) {
            // The peer's dialect has no such message.
            return;
        }
        let at = self.written(conn, way);
        let written = &mut self.out[at];
        written.kinds |= message_bit(name);
        written.only_here.extend(only_here);
    }

    /// What the peer of a link understands; a node that speaks only RC1's protocol does not see it.
    fn set_features(&mut self, conn: Option<u64>, way: usize, features: Option<Features>) {
        if let Some(Purpose::Bus { writers, .. }) =
            conn.and_then(|conn| self.conns.get_mut(&conn)).map(|state| &mut state.purpose)
        {
            writers[way].set_features(features);
        }
    }

    /// What a node says about itself in each frame. One that speaks only RC1's protocol announces nothing.
    fn header(&self, node: usize) -> Header {
        let mut header = self.nodes[node].engine.as_ref().expect("a node that sends runs").header();
        if self.is_rc1(node) {
            header.features = None;
        }
        header
    }

    fn is_rc1(&self, node: usize) -> bool {
        self.plan.rc1 & (1 << node) != 0
    }

    /// The buffer for what this step writes to a connection.
    fn written(&mut self, conn: u64, way: usize) -> usize {
        if let Some(at) = self.out.iter().position(|written| written.conn == conn && written.way == way) {
            return at;
        }
        let bytes = self.spare.pop().unwrap_or_default();
        self.out.push(Written { conn, way, bytes, kinds: 0, only_here: Vec::new() });
        self.out.len() - 1
    }

    pub fn flush_written(&mut self) {
        for written in std::mem::take(&mut self.out) {
            let Written { conn, way, mut bytes, kinds, only_here } = written;
            if let Some(Purpose::Bus { writers, .. }) =
                self.conns.get_mut(&conn).map(|state| &mut state.purpose)
            {
                bytes.extend_from_slice(writers[way].bytes());
                let len = bytes.len();
                writers[way].consume(len);
            }
            self.send(conn, way, Piece { kinds, only_here, ..Piece::of(bytes) });
        }
    }

    fn write_reply(
        &mut self,
        node: usize,
        client: ClientId,
        reply: &Reply,
        (unsaved, hold): (bool, Option<Wait>),
        effects: &Effects,
    ) {
        let context = ReplyContext { protocol: Protocol::Resp2, local_ip: Some(address(node)), port: 7711 };
        let mut output = Output::new();
        if unsaved && matches!(reply, Reply::Ok) {
            write::error(output.bytes_mut(), b"ERR error saving the cluster node config");
        } else {
            reply::encode(reply, effects, &context, &mut output);
        }
        if client == OPERATOR {
            let mut bytes = Vec::new();
            drain(&mut output, &mut bytes);
            self.operator_reply = Some(bytes);
            return;
        }
        let Some(conn) = self.nodes[node].clients.get(&client).copied() else {
            let mut bytes = Vec::new();
            drain(&mut output, &mut bytes);
            return self.excuse_ids_in(&bytes);
        };
        let mut bytes = self.spare.pop().unwrap_or_default();
        drain(&mut output, &mut bytes);
        if !self.hold_reply(node, conn, hold, &bytes) {
            let at = self.written(conn, 1);
            self.out[at].bytes.extend_from_slice(&bytes);
        }
        self.recycle(bytes);
        let state = self.conns.get_mut(&conn).expect("a known connection");
        if let Purpose::Client { server, .. } = &mut state.purpose {
            server.blocked = false;
            if !server.input.is_empty() {
                self.resume.push(conn);
            }
        }
    }

    /// A client's bytes have come.
    pub fn request_bytes(&mut self, conn: u64, bytes: &[u8]) {
        let Some(state) = self.conns.get_mut(&conn) else { return };
        let Purpose::Client { server, .. } = &mut state.purpose else {
            unreachable!("clients send requests")
        };
        server.input.extend_from_slice(bytes);
        self.serve(conn);
    }

    /// Runs a client's requests until one has no reply yet.
    fn serve(&mut self, conn: u64) {
        let Some(state) = self.conns.get_mut(&conn) else { return };
        let node = state.hosts[1];
        let Purpose::Client { id, server, .. } = &mut state.purpose else {
            unreachable!("clients are served")
        };
        let id = *id;
        if server.blocked || server.input.is_empty() {
            return;
        }
        let mut reader = std::mem::replace(&mut server.reader, RequestReader::new());
        let mut input = std::mem::take(&mut server.input);
        let mut whole = false;
        match reader.next(&input) {
            Ok(Next::Request { end }) => {
                self.requests += 1;
                self.execute(node, id, Some(conn), reader.args(&input));
                reader.finish();
                input.drain(..end);
                whole = true;
            }
            Ok(Next::NeedMore { keep }) => input.truncate(keep),
            Err(error) => panic!("clients send well-formed requests: {error}"),
        }
        let Some(state) = self.conns.get_mut(&conn) else { return };
        let Purpose::Client { server, .. } = &mut state.purpose else { unreachable!("it was one") };
        (server.reader, server.input) = (reader, input);
        if whole && !server.blocked && !server.input.is_empty() && !self.resume.contains(&conn) {
            self.serve(conn);
        }
    }

    /// Runs one request on a node's engine.
    fn execute(&mut self, node: usize, client: ClientId, conn: Option<u64>, args: Args<'_>) {
        let now = self.now;
        self.trace.note(now, || format!("n{node} < {} {}", client.0, show_args(&args)));
        let spec = command::resolve(&COMMANDS, &args).expect("clients know the commands");
        if spec.needs_working_aof()
            && let Some(failure) = self.nodes[node].log.as_ref().and_then(|log| log.failure.as_ref())
        {
            let text = CommandError::AofBroken(failure.reason.clone()).text();
            return self.refuse(node, conn, &text);
        }
        let Runs::InEngine(parse) = spec.runs else { panic!("{} runs in the shell", spec.name) };
        match parse(args) {
            Ok(request) => {
                if let Some(Purpose::Client { server, .. }) =
                    conn.and_then(|conn| self.conns.get_mut(&conn)).map(|state| &mut state.purpose)
                {
                    server.blocked = true;
                }
                self.step(node, Input::Request { client, request });
            }
            Err(error) => {
                panic!("clients send sensible arguments: {}", String::from_utf8_lossy(&error.text()))
            }
        }
    }

    /// Answers with an error without asking the engine.
    fn refuse(&mut self, node: usize, conn: Option<u64>, text: &[u8]) {
        let mut bytes = Vec::new();
        write::error(&mut bytes, text);
        match conn {
            None => self.operator_reply = Some(bytes),
            Some(conn) if self.hold_reply(node, conn, None, &bytes) => {}
            Some(conn) => self.send(conn, 1, Piece::of(bytes)),
        }
    }

    /// An operator beside the machine asks something; `None` if the process does not run or does not answer at once.
    pub fn ask(&mut self, node: usize, args: &[&[u8]]) -> Option<Vec<u8>> {
        if !self.nodes[node].runs() {
            return None;
        }
        let bytes = super::resp::request(args);
        let mut reader = RequestReader::new();
        let whole = matches!(reader.next(&bytes), Ok(Next::Request { end }) if end == bytes.len());
        assert!(whole, "operators send whole requests");
        self.operator_reply = None;
        self.execute(node, OPERATOR, None, reader.args(&bytes));
        self.operator_reply.take()
    }

    /// Bytes of another node have come.
    pub fn bus_bytes(&mut self, conn: u64, end: usize, bytes: &[u8]) {
        let Some(state) = self.conns.get_mut(&conn) else { return };
        let (node, sender) = (state.hosts[end], state.hosts[1 - end]);
        let Purpose::Bus { link, peer, readers, .. } = &mut state.purpose else {
            unreachable!("nodes speak so")
        };
        let via = if end == 0 {
            Via::Own(*link)
        } else {
            Via::Peer { link: *peer, from: address(sender), to: address(node) }
        };
        let mut reader = std::mem::replace(&mut readers[end], FrameReader::new(0));
        reader.feed(bytes);
        loop {
            match reader.next_frame() {
                Ok(Some(frame)) => self.frame(node, sender, via, frame),
                Ok(None) => break,
                Err(error) => {
                    self.violate("garbled", format!("node {node} read from node {sender}: {error}"));
                    break;
                }
            }
            // The node may have ended, or closed this very link, because of what it read.
            let open = self.conns.get(&conn).is_some_and(|state| state.open[end]);
            if !open {
                return;
            }
        }
        if let Some(Purpose::Bus { readers, .. }) = self.conns.get_mut(&conn).map(|state| &mut state.purpose)
        {
            readers[end] = reader;
        }
    }

    fn frame(&mut self, node: usize, sender: usize, via: Via, frame: &[u8]) {
        let now = self.nodes[node].clock.tick(self.now);
        let (mut header, messages) = match bus::decode(frame, now) {
            Ok(decoded) => decoded,
            Err(error) => {
                return self.violate("garbled", format!("node {node} got from node {sender}: {error}"));
            }
        };
        // What RC1 does not read it does not know.
        if self.is_rc1(node) {
            header.features = None;
        }
        if let Via::Peer { link, .. } = via {
            let conn = self.nodes[node].peers.get(&link).copied();
            self.set_features(conn, 1, header.features);
        }
        for message in messages {
            match message {
                Ok(message) => {
                    self.coverage.received(message.name());
                    let time = self.now;
                    self.trace.note(time, || format!("n{node} < n{sender} {}", describe(&message)));
                    if let Some(log) = &mut self.nodes[node].log {
                        handed_over(&message).into_iter().for_each(|job| log.arrives(job));
                    }
                    self.step(node, Input::Message { via, header: &header, message });
                }
                Err(error) => {
                    return self.violate("garbled", format!("node {node} got from node {sender}: {error}"));
                }
            }
        }
    }

    /// The engine of a node is called when it asked for it.
    pub fn wake(&mut self, node: usize, life: u32) {
        let now = self.now;
        let state = &mut self.nodes[node];
        if state.life != life || now < state.wake_at {
            return;
        }
        if state.is_busy() {
            state.held.push_front(Event::Wake { node, life });
            return;
        }
        state.wake_at = u64::MAX;
        let Some(engine) = &mut state.engine else { return };
        let axis = state.clock.tick(now);
        state.woken = if state.woken_at == now { state.woken + 1 } else { 1 };
        state.woken_at = now;
        if state.woken > WAKES_AT_ONCE {
            return self.violate("busy loop", format!("node {node} is woken again and again at one instant"));
        }
        if engine.next_deadline().is_some_and(|at| at <= axis) {
            state.effects.clear();
            engine.advance(axis, &mut state.effects);
            self.trace.note(now, || format!("n{node} timers"));
            self.after_step(node);
        } else {
            self.wake_in_time(node);
        }
    }

    /// Sees to it that the node is woken when its engine wants to be.
    pub fn wake_in_time(&mut self, node: usize) {
        let now = self.now;
        let slow = self.net.slow[node];
        let state = &mut self.nodes[node];
        let Some(at) = state.engine.as_ref().and_then(disque::engine::Engine::next_deadline) else { return };
        let time = state.clock.when(now, at) + slow;
        if time < state.wake_at {
            state.wake_at = time;
            let life = state.life;
            self.at(time, Event::Wake { node, life });
        }
    }

    fn audit_sometimes(&mut self, node: usize) {
        let state = &self.nodes[node];
        if state.steps >= state.next_audit {
            self.audit(node);
        }
    }

    pub fn audit(&mut self, node: usize) {
        let state = &mut self.nodes[node];
        let Some(engine) = &state.engine else { return };
        state.next_audit = state.steps + AUDIT_EVERY + 2 * engine.job_count() as u64;
        if let Err(why) = engine.audit() {
            self.violate("audit", format!("node {node}: {why}"));
        }
        self.look_at_acks(node);
    }
}

/// Under this number an operator beside the machine speaks to the engine.
pub const OPERATOR: ClientId = ClientId(u64::MAX);

fn drain(output: &mut Output, bytes: &mut Vec<u8>) {
    while !output.is_empty() {
        let mut slices = [std::io::IoSlice::new(&[]); 16];
        let count = output.slices(&mut slices);
        slices[..count].iter().for_each(|slice| bytes.extend_from_slice(slice));
        let len = slices[..count].iter().map(|slice| slice.len()).sum();
        output.consume(len);
    }
}

fn show_args(args: &Args<'_>) -> String {
    let show = |arg: &[u8]| -> String {
        String::from_utf8_lossy(&arg[..arg.len().min(40)]).escape_debug().collect()
    };
    args.iter().map(show).collect::<Vec<_>>().join(" ")
}

fn describe(message: &Message<'_>) -> String {
    match message {
        Message::Notice { job, notice } => format!("{notice:?} {job}"),
        Message::ReplJob { job, no_reply } => format!("REPLJOB {} no_reply={no_reply}", job.id),
        Message::YourJobs { jobs } => {
            format!("YOURJOBS {}", jobs.iter().map(|job| job.id.to_string()).collect::<Vec<_>>().join(" "))
        }
        Message::Ping { gossip } | Message::Pong { gossip } | Message::Meet { gossip } => {
            format!("{} with {} entries", message.name(), gossip.len())
        }
        other => format!("{other:?}"),
    }
}

/// The jobs that become the receiver's.
fn handed_over(message: &Message<'_>) -> Vec<Id> {
    match message {
        Message::YourJobs { jobs } => jobs.iter().map(|job| job.id.text()).collect(),
        Message::Notice { job, notice: Notice::Enqueue { .. } } => vec![job.text()],
        _ => Vec::new(),
    }
}

/// The jobs that nobody would deliver if this message were lost.
fn only_in(message: &Message<'_>) -> Vec<Id> {
    match message {
        Message::YourJobs { jobs } => {
            jobs.iter().filter(|job| job.retry.is_zero()).map(|job| job.id.text()).collect()
        }
        // Nobody else will queue it.
        Message::Notice { job, notice: Notice::Enqueue { .. } } => vec![job.text()],
        _ => Vec::new(),
    }
}
