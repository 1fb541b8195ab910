//! Bytes of a connection, through reader, table and engine, to decoded replies.
//!
//! The first two bytes choose the cuts; the rest is what the client sends, see [`expand`]. Two things stand for
//! what bytes cannot say by themselves: `CLOCK ms` lets time pass, and an argument `$1` to `$9` is the ID of the
//! last added job, the one before it, and so on.
//!
//! Claims: every request gets exactly one well-formed reply, in the version of the protocol that was chosen, and
//! a protocol error ends the connection with one error; the engine stays free of contradictions.
//!
//! Of the shell's commands only those are here that need no connection: PING, ECHO, COMMAND, HELLO with a
//! version, DEBUG FLUSHALL, SLOWLOG and LATENCY. The others are refused.

use disque::admin::{KeptArgs, Latency, LatencyEvent, Slowlog};
use disque::command::reply::{ReplyContext, encode};
use disque::command::{
    CommandError, CommandSpec, CommandTable, Runs, ShellCommand, command_reply, integer, resolve,
};
use disque::engine::{ClientId, Effect, Effects, Engine, EngineSettings, Input, Reply, Request, Seed};
use disque::resp::{Next, Output, Protocol, RequestReader, Value, write};
use disque::types::{Args, JobId, Millis, NodeId, UnixMillis};

use super::command_table::{Layout, with_args};
use super::pieces::{Cuts, FEW, expand};
use super::replies::{assert_one_reply, drain};

/// Most requests of one connection.
const MAX_REQUESTS: usize = 300;
/// How often timers may run before a client that still waits is given up.
const MAX_ADVANCES: usize = 50;
/// Beyond this, creation times would leave their 64 bits.
const END: UnixMillis = UnixMillis(10_000_000_000_000);

pub(super) fn run(data: &[u8]) {
    let Some(([high, low], input)) = data.split_first_chunk().map(|([a, b], rest)| ([*a, *b], rest)) else {
        return;
    };
    let stream = expand(input, FEW);
    let mut world = World::new();
    let mut reader = RequestReader::new();
    let mut buffer = Vec::new();
    for piece in Cuts::Seeded(u16::from_be_bytes([high, low])).of(&stream) {
        buffer.extend_from_slice(piece);
        if !world.serve(&mut reader, &mut buffer) {
            break;
        }
    }
    if let Err(contradiction) = world.engine.audit() {
        panic!("audit: {contradiction}");
    }
}

pub(super) fn words() -> Vec<Vec<u8>> {
    let mut words = super::command_table::words();
    words.extend(super::request_reader::words());
    let lines: [&[u8]; 14] = [
        b"ADDJOB q hello 0\r\n",
        b"ADDJOB q hello 0 RETRY 1 TTL 10\r\n",
        b"GETJOB FROM q\r\n",
        b"GETJOB NOHANG WITHCOUNTERS COUNT 3 FROM q w\r\n",
        b"ACKJOB $1\r\n",
        b"NACK $1 $2\r\n",
        b"SHOW $1\r\n",
        b"CLOCK 1000\r\n",
        b"HELLO 3\r\n",
        b"HELLO 2\r\n",
        b"DEBUG FLUSHALL\r\n",
        b"SLOWLOG GET\r\n",
        b"LATENCY DOCTOR\r\n",
        b"JSCAN REPLY ALL\r\n",
    ];
    words.extend(lines.iter().map(|line| line.to_vec()));
    words
}

struct World {
    engine: Engine,
    table: CommandTable,
    effects: Effects,
    now: UnixMillis,
    client: ClientId,
    protocol: Protocol,
    output: Output,
    slowlog: Slowlog,
    latency: Latency,
    /// The IDs of added jobs.
    added: Vec<JobId>,
    requests: usize,
}

impl World {
    fn new() -> World {
        let now = UnixMillis(1_800_000_000_000);
        let me = NodeId::from_bytes([0xab; 20]);
        World {
            engine: Engine::new(
                EngineSettings::default(),
                &disque::bus::NodesConf::alone(me, 7711),
                Seed([7; 32]),
                now,
            ),
            table: CommandTable::new(),
            effects: Effects::new(),
            now,
            client: ClientId(1),
            protocol: Protocol::Resp2,
            output: Output::new(),
            slowlog: Slowlog::new(0, 8),
            latency: Latency::new(1),
            added: Vec::new(),
            requests: 0,
        }
    }

    /// Runs what is in the buffer; false if the connection has ended.
    fn serve(&mut self, reader: &mut RequestReader, buffer: &mut Vec<u8>) -> bool {
        let mut at = 0;
        loop {
            match reader.next(&buffer[at..]) {
                Ok(Next::Request { end }) => {
                    self.answer(reader.args(&buffer[at..]));
                    reader.finish();
                    at += end;
                    self.requests += 1;
                    if self.requests >= MAX_REQUESTS {
                        return false;
                    }
                }
                Ok(Next::NeedMore { keep }) => {
                    buffer.truncate(at + keep);
                    buffer.drain(..at);
                    return true;
                }
                Err(error) => {
                    write::error(self.output.bytes_mut(), format!("ERR {error}").as_bytes());
                    self.check_reply();
                    return false;
                }
            }
        }
    }

    /// Runs one request and checks its reply.
    fn answer(&mut self, args: Args<'_>) {
        let is_id = |arg: &[u8]| matches!(arg, [b'$', b'1'..=b'9']);
        if args.at(0).eq_ignore_ascii_case(b"CLOCK") {
            let millis = args.get(1).and_then(|text| integer(text).ok()).unwrap_or(1);
            return self.pass_time(Millis(millis.unsigned_abs()));
        }
        if args.iter().any(is_id) {
            let words = args.to_vecs().into_iter();
            let words: Vec<_> =
                words.map(|word| if is_id(&word) { self.id(word[1]) } else { word }).collect();
            with_args(&words, Layout::Beside, |args| self.execute(args));
        } else {
            self.execute(args);
        }
        if self.engine.is_blocked(self.client) {
            self.wait();
        } else {
            self.check_reply();
        }
    }

    /// The ID of an added job, counted backwards from the last one.
    fn id(&self, digit: u8) -> Vec<u8> {
        let back = usize::from(digit - b'1');
        self.added.iter().rev().nth(back).map_or(b"$".to_vec(), |id| id.text().to_vec())
    }

    fn execute(&mut self, args: Args<'_>) {
        let spec = match resolve(&self.table, &args) {
            Ok(spec) => spec,
            Err(error) => return self.refuse(&error),
        };
        self.slowlog.record(self.now, 1, KeptArgs::of(spec.name, args.iter()));
        match spec.runs {
            Runs::InEngine(parse) => match parse(args) {
                Ok(request) => self.ask(request),
                Err(error) => self.refuse(&error),
            },
            Runs::InShell(command) => self.run_in_shell(spec, command, &args),
        }
    }

    fn run_in_shell(&mut self, spec: &CommandSpec, command: ShellCommand, args: &Args<'_>) {
        let value = match command {
            ShellCommand::Ping | ShellCommand::Echo => args.get(1).map_or(Value::status("PONG"), Value::bulk),
            ShellCommand::Command => match command_reply(&self.table, args, self.protocol) {
                Ok(value) => value,
                Err(error) => return self.refuse(&error),
            },
            ShellCommand::HelloHandshake => {
                let is_three = integer(args.at(1)) == Ok(3);
                self.protocol = if is_three { Protocol::Resp3 } else { Protocol::Resp2 };
                Value::Map(vec![(Value::bulk("proto"), Value::Int(if is_three { 3 } else { 2 }))])
            }
            ShellCommand::Debug if args.at(1).eq_ignore_ascii_case(b"flushall") => {
                return self.ask(Request::FlushAll);
            }
            ShellCommand::Slowlog => self.slowlog.answer(args),
            ShellCommand::Latency => {
                self.latency.record(LatencyEvent::Command, self.now.secs(), self.requests as u64);
                self.latency.answer(args, self.now)
            }
            _ => Value::error(format!("ERR {} needs a server", spec.name)),
        };
        value.encode(self.protocol, self.output.bytes_mut());
    }

    fn refuse(&mut self, error: &CommandError) {
        write::error(self.output.bytes_mut(), &error.text());
    }

    fn ask(&mut self, request: Request<'_>) {
        self.effects.clear();
        let client = self.client;
        self.engine.step(self.now, Input::Request { client, request }, &mut self.effects);
        self.perform();
    }

    fn perform(&mut self) {
        for effect in self.effects.iter() {
            let Effect::Reply { client, reply } = effect else { continue };
            assert_eq!(*client, self.client, "nobody else asks");
            if let Reply::JobId(id) = reply {
                self.added.push(*id);
            }
            let context = ReplyContext { protocol: self.protocol, local_ip: None, port: 7711 };
            encode(reply, &self.effects, &context, &mut self.output);
        }
    }

    fn pass_time(&mut self, span: Millis) {
        let until = (self.now + span).min(END);
        for _ in 0..MAX_ADVANCES {
            let Some(at) = self.engine.next_deadline().filter(|at| *at <= until) else { break };
            self.now = self.now.max(at);
            self.advance();
        }
        self.now = self.now.max(until);
        self.advance();
        assert!(self.output.is_empty(), "nobody waits, so nobody is answered");
    }

    fn advance(&mut self) {
        self.effects.clear();
        self.engine.advance(self.now, &mut self.effects);
        self.perform();
    }

    /// Lets time pass until the client is answered; else it gives up and another one takes its place.
    fn wait(&mut self) {
        assert!(self.output.is_empty(), "a client that waits has no reply yet");
        for _ in 0..MAX_ADVANCES {
            let Some(at) = self.engine.next_deadline() else { break };
            self.now = self.now.max(at.min(END));
            self.advance();
            if !self.engine.is_blocked(self.client) {
                return self.check_reply();
            }
        }
        let client = self.client;
        self.effects.clear();
        self.engine.step(self.now, Input::ClientGone { client }, &mut self.effects);
        assert!(self.effects.is_empty() && !self.engine.is_blocked(client));
        self.client = ClientId(client.0 + 1);
    }

    fn check_reply(&mut self) {
        let bytes = drain(&mut self.output);
        assert_one_reply(&bytes, self.protocol);
    }
}
