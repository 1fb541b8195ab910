//! The paths: each prepares the same, whatever the number of items, and then does so many.

use std::hint::black_box;

use disque::aof::{JobRecord, Journal, Record};
use disque::bus::{
    FrameReader, FrameWriter, MAX_FRAME_LEN, Message, NodesConf, Notice, decode, holders_digest,
};
use disque::command::reply::{self, ReplyContext};
use disque::command::{self, CommandTable, Runs};
use disque::engine::{ClientId, Effect, Effects, Engine, EngineSettings, Input, Seed};
use disque::resp::{Next, Output, Protocol, RequestReader, encode_request};
use disque::types::{NodeId, UnixMillis};

use crate::sample::{BODY, NOW, header, image, job_id, three_nodes};

/// How many items a path may be asked for.
pub(crate) const PREPARED: u64 = 4_000;
/// Messages in one frame of the bus, and records between two writes.
const BATCH: u64 = 50;

/// A path by its name.
pub(crate) type Path = (&'static str, fn(u64));

pub(crate) const ALL: &[Path] = &[
    ("request: parse ADDJOB", parse_add),
    ("request: parse ACKJOB", parse_ack),
    ("node: ADDJOB, bytes to bytes", add),
    ("node: GETJOB, bytes to bytes", get),
    ("node: ACKJOB, bytes to bytes", ack),
    ("node: a delayed job becomes due", timer),
    ("bus: write REPLJOB", |items| write_bus(items, BusItem::Job)),
    ("bus: read REPLJOB", |items| read_bus(items, BusItem::Job)),
    ("bus: write SETACK", |items| write_bus(items, BusItem::SetAck)),
    ("bus: read SETACK", |items| read_bus(items, BusItem::SetAck)),
    ("aof: write a job", write_aof),
    ("aof: read a job", read_aof),
];

fn parse_add(items: u64) {
    parse(items, &[b"ADDJOB", b"emails", &BODY, b"0"]);
}

fn parse_ack(items: u64) {
    parse(items, &[b"ACKJOB", b"D-dcb833cf-8YL1NT17e9+wsA/09NqxscQI-05a1"]);
}

/// Bytes to a request of the engine, which is then dropped.
fn parse(items: u64, words: &[&[u8]]) {
    let bytes = encode_request(words);
    let commands = CommandTable::new();
    let mut reader = RequestReader::new();
    for _ in 0..items {
        let complete =
            matches!(reader.next(black_box(&bytes)), Ok(Next::Request { end }) if end == bytes.len());
        assert!(complete, "the request is whole");
        let args = reader.args(&bytes);
        let spec = command::resolve(&commands, &args).expect("a command");
        let Runs::InEngine(parse) = spec.runs else { panic!("{} runs in the engine", spec.name) };
        black_box(parse(args).expect("a good request"));
        reader.finish();
    }
}

/// An engine with what a connection has around it: bytes in, bytes out.
struct Node {
    engine: Engine,
    commands: CommandTable,
    reader: RequestReader,
    effects: Effects,
    output: Output,
    now: UnixMillis,
}

impl Node {
    fn new() -> Node {
        let nodes = NodesConf::alone(NodeId::from_bytes([0xab; 20]), 7711);
        Node {
            engine: Engine::new(EngineSettings::default(), &nodes, Seed([7; 32]), NOW),
            commands: CommandTable::new(),
            reader: RequestReader::new(),
            effects: Effects::new(),
            output: Output::new(),
            now: NOW,
        }
    }

    /// A node with so many jobs that were just added.
    fn with_jobs(jobs: u64) -> Node {
        let mut node = Node::new();
        let bytes = encode_request::<&[u8]>(&[b"ADDJOB", b"emails", &BODY, b"0"]);
        for _ in 0..jobs {
            node.ask(&bytes);
        }
        node
    }

    /// The answer to a request, until the next one.
    fn ask(&mut self, bytes: &[u8]) -> &[u8] {
        let complete = matches!(self.reader.next(bytes), Ok(Next::Request { end }) if end == bytes.len());
        assert!(complete, "the request is whole");
        let args = self.reader.args(bytes);
        let spec = command::resolve(&self.commands, &args).expect("a command");
        let Runs::InEngine(parse) = spec.runs else { panic!("{} runs in the engine", spec.name) };
        let request = parse(args).expect("a good request");
        self.effects.clear();
        self.engine.step(self.now, Input::Request { client: ClientId(1), request }, &mut self.effects);
        self.reader.finish();
        let context = ReplyContext { protocol: Protocol::Resp2, local_ip: None, port: 7711 };
        let answered = self.output.len();
        self.output.consume(answered);
        for effect in self.effects.iter() {
            if let Effect::Reply { reply, .. } = effect {
                reply::encode(reply, &self.effects, &context, &mut self.output);
            }
        }
        self.output.bytes_mut()
    }
}

fn add(items: u64) {
    let mut node = Node::with_jobs(PREPARED);
    let bytes = encode_request::<&[u8]>(&[b"ADDJOB", b"emails", &BODY, b"0"]);
    for _ in 0..items {
        black_box(node.ask(&bytes));
    }
}

fn get(items: u64) {
    let mut node = Node::with_jobs(PREPARED);
    let bytes = encode_request::<&[u8]>(&[b"GETJOB", b"NOHANG", b"FROM", b"emails"]);
    for _ in 0..items {
        assert!(black_box(node.ask(&bytes)).len() > BODY.len(), "there is a job");
    }
}

fn ack(items: u64) {
    let mut node = Node::with_jobs(PREPARED);
    let get = encode_request::<&[u8]>(&[b"GETJOB", b"NOHANG", b"FROM", b"emails"]);
    let acks: Vec<Vec<u8>> = (0..PREPARED)
        .map(|_| {
            let reply = node.ask(&get);
            let start = reply.windows(2).position(|part| part == b"D-").expect("an ID");
            encode_request::<&[u8]>(&[b"ACKJOB", &reply[start..start + 40]])
        })
        .collect();
    for bytes in acks.iter().take(items as usize) {
        assert_eq!(black_box(node.ask(bytes)), b":1\r\n");
    }
}

/// Jobs that are due in one second each: every advance finds one.
fn timer(items: u64) {
    let mut node = Node::new();
    for second in 1..=PREPARED {
        let delay = second.to_string();
        node.ask(&encode_request::<&[u8]>(&[b"ADDJOB", b"emails", &BODY, b"0", b"DELAY", delay.as_bytes()]));
    }
    for _ in 0..items {
        node.now = UnixMillis(node.now.0 + 1_000);
        node.effects.clear();
        node.engine.advance(node.now, &mut node.effects);
        black_box(&node.effects);
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum BusItem {
    Job,
    SetAck,
}

fn message(item: BusItem, number: u64, nodes: &[NodeId]) -> Message<'_> {
    match item {
        BusItem::Job => Message::ReplJob { job: image(number, nodes), no_reply: false },
        BusItem::SetAck => {
            let digest = holders_digest(nodes.iter().copied());
            Message::Notice { job: job_id(number), notice: Notice::SetAck { nodes_known: 3, digest } }
        }
    }
}

fn write_bus(items: u64, item: BusItem) {
    let (header, nodes) = (header(), three_nodes());
    let messages: Vec<Message<'_>> = (0..BATCH).map(|number| message(item, number, &nodes)).collect();
    let mut writer = FrameWriter::new();
    writer.set_features(header.features);
    for _ in 0..items / BATCH {
        for message in black_box(&messages) {
            writer.push(&header, message, NOW);
        }
        let len = black_box(writer.bytes()).len();
        writer.consume(len);
    }
}

fn read_bus(items: u64, item: BusItem) {
    let (header, nodes) = (header(), three_nodes());
    let mut writer = FrameWriter::new();
    writer.set_features(header.features);
    for number in 0..BATCH {
        writer.push(&header, &message(item, number, &nodes), NOW);
    }
    let stream = writer.bytes().to_vec();
    let mut reader = FrameReader::new(MAX_FRAME_LEN);
    for _ in 0..items / BATCH {
        reader.feed(black_box(&stream));
        let mut count = 0;
        while let Some(frame) = reader.next_frame().expect("good frames") {
            let (header, messages) = decode(frame, NOW).expect("a good frame");
            black_box(header);
            for message in messages {
                black_box(message.expect("a good message"));
                count += 1;
            }
        }
        assert_eq!(count, BATCH);
    }
}

fn record(number: u64, nodes: &[NodeId]) -> Record<'_> {
    Record::Job(JobRecord { image: image(number, nodes), requeue_at: NOW })
}

fn write_aof(items: u64) {
    let nodes = three_nodes();
    let records: Vec<Record<'_>> = (0..BATCH).map(|number| record(number, &nodes)).collect();
    let mut journal = Journal::new(42, 0);
    let mut payload = Vec::new();
    for _ in 0..items / BATCH {
        for record in black_box(&records) {
            payload.clear();
            record.encode(&mut payload);
            journal.append(record.kind(), &payload);
        }
        black_box(journal.buffer()).clear();
    }
}

fn read_aof(items: u64) {
    let nodes = three_nodes();
    let record = record(1, &nodes);
    let mut payload = Vec::new();
    record.encode(&mut payload);
    let mut scratch = Vec::new();
    for _ in 0..items {
        let read = Record::decode(record.kind(), black_box(&payload), &mut scratch);
        black_box(read.expect("a good record").expect("a known kind"));
    }
}
