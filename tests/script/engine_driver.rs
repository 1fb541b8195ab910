//! Runs a case on an engine in this process: bytes in, bytes out, on a clock that only the case moves.

use std::collections::{BTreeMap, VecDeque};

use disque::command::reply::{self, ReplyContext};
use disque::command::{self, CommandTable, Runs};
use disque::engine::{ClientId, Control, Effect, Effects, Engine, EngineSettings, Input, Seed};
use disque::resp::{Next, Output, Protocol, RequestReader, Value, write};
use disque::types::{NodeId, UnixMillis};

use crate::Driver;
use crate::step::Setting;
use crate::support;

pub struct EngineDriver {
    engine: Engine,
    settings: EngineSettings,
    now: UnixMillis,
    clients: BTreeMap<String, Client>,
    next_client: u64,
}

struct Client {
    id: ClientId,
    /// Requests that wait until the one before is answered.
    held: VecDeque<Vec<u8>>,
    waits: bool,
    replies: Vec<u8>,
}

impl EngineDriver {
    pub fn new() -> EngineDriver {
        let now = UnixMillis(1_800_000_000_000);
        let me = NodeId::from_bytes([0xab; 20]);
        let settings = EngineSettings::default();
        let engine =
            Engine::new(settings.clone(), &disque::bus::NodesConf::alone(me, 7711), Seed([7; 32]), now);
        EngineDriver { engine, settings, now, clients: BTreeMap::new(), next_client: 1 }
    }

    fn client(&mut self, name: &str) -> &mut Client {
        let next = self.next_client;
        let fresh =
            || Client { id: ClientId(next), held: VecDeque::new(), waits: false, replies: Vec::new() };
        let client = self.clients.entry(name.to_owned()).or_insert_with(fresh);
        self.next_client += u64::from(client.id == ClientId(next));
        client
    }

    /// Runs a client's requests until one has no reply yet.
    fn go_on(&mut self, name: &str) {
        while let Some(request) = self
            .clients
            .get_mut(name)
            .filter(|client| !client.waits)
            .and_then(|client| client.held.pop_front())
        {
            self.execute(name, &request);
        }
    }

    fn execute(&mut self, name: &str, bytes: &[u8]) {
        let mut reader = RequestReader::new();
        let complete = matches!(reader.next(bytes), Ok(Next::Request { end }) if end == bytes.len());
        assert!(complete, "the driver sends whole requests");
        let args = reader.args(bytes);
        let client = self.clients.get_mut(name).expect("it sent the request");
        let id = client.id;
        let parsed = command::resolve(&CommandTable::new(), &args).and_then(|spec| match spec.runs {
            Runs::InEngine(parse) => parse(args),
            Runs::InShell(_) => panic!("{} runs in the shell; say 'needs server'", spec.name),
        });
        match parsed {
            Err(error) => write::error(&mut client.replies, &error.text()),
            Ok(request) => {
                client.waits = true;
                let mut effects = Effects::new();
                self.engine.step(self.now, Input::Request { client: id, request }, &mut effects);
                self.perform(&effects);
            }
        }
    }

    fn perform(&mut self, effects: &Effects) {
        let mut answered = Vec::new();
        for effect in effects.iter() {
            let Effect::Reply { client: id, reply } = effect else { continue };
            let Some((name, client)) = self.clients.iter_mut().find(|(_, client)| client.id == *id) else {
                continue;
            };
            let context = ReplyContext { protocol: Protocol::Resp2, local_ip: None, port: 7711 };
            let mut output = Output::new();
            reply::encode(reply, effects, &context, &mut output);
            client.replies.extend(bytes_of(&mut output));
            client.waits = false;
            answered.push(name.clone());
        }
        answered.iter().for_each(|name| self.go_on(name));
    }
}

fn bytes_of(output: &mut Output) -> Vec<u8> {
    let mut bytes = Vec::new();
    while !output.is_empty() {
        let mut slices = [std::io::IoSlice::new(&[]); 16];
        let count = output.slices(&mut slices);
        slices[..count].iter().for_each(|slice| bytes.extend_from_slice(slice));
        let written = slices[..count].iter().map(|slice| slice.len()).sum();
        output.consume(written);
    }
    bytes
}

impl Driver for EngineDriver {
    fn send(&mut self, client: &str, args: &[Vec<u8>]) {
        let request = support::request(args);
        self.client(client).held.push_back(request);
        self.go_on(client);
    }

    fn reply(&mut self, client: &str) -> Result<Value, String> {
        let client = self.client(client);
        let (value, len) = Some(&client.replies)
            .filter(|replies| !replies.is_empty())
            .and_then(|replies| support::decode(replies))
            .ok_or("there is no reply")?;
        client.replies.drain(..len);
        Ok(value)
    }

    fn expect_blocked(&mut self, client: &str) -> Result<(), String> {
        let client = self.client(client);
        if client.waits && client.replies.is_empty() { Ok(()) } else { Err("it is not blocked".to_owned()) }
    }

    fn hang_up(&mut self, client: &str) {
        if let Some(client) = self.clients.remove(client) {
            let mut effects = Effects::new();
            self.engine.step(self.now, Input::ClientGone { client: client.id }, &mut effects);
            self.perform(&effects);
        }
    }

    fn expect_closed(&mut self, _: &str) -> Result<(), String> {
        Err("the engine closes no connections; say 'needs server'".to_owned())
    }

    fn set(&mut self, setting: Setting) -> Result<(), String> {
        match setting {
            Setting::MaxMemory(bytes) => self.settings.maxmemory = bytes,
            Setting::Policy(policy) => self.settings.maxmemory_policy = policy,
        }
        let mut effects = Effects::new();
        let control = Control::Settings(self.settings.clone());
        self.engine.step(self.now, Input::Control(control), &mut effects);
        self.perform(&effects);
        Ok(())
    }

    fn finish(&mut self) -> Result<(), String> {
        match self.clients.iter().find(|(_, client)| !client.replies.is_empty()) {
            Some((name, _)) => Err(format!("{name} has a reply that nobody expects")),
            None => Ok(()),
        }
    }

    fn clock(&mut self, millis: u64) -> Result<(), String> {
        let until = UnixMillis(self.now.0 + millis);
        // The engine is woken when it asks to be, and never finds that it should have been woken before.
        while let Some(at) = self.engine.next_deadline().filter(|at| *at <= until) {
            self.now = self.now.max(at);
            let mut effects = Effects::new();
            self.engine.advance(self.now, &mut effects);
            self.perform(&effects);
            self.engine.audit()?;
        }
        self.now = until;
        Ok(())
    }

    fn audit(&mut self) -> Result<(), String> {
        self.engine.audit()
    }
}
