//! Producers and workers of real servers: each with one connection, little patience, and another node when it is at its
//! end. What they ask and what they are told goes into the ledger of the simulation.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use disque::resp::Value;

use crate::simulator::chance::Chance;
use crate::simulator::ledger::{self, Id, Ledger, Wish};
use crate::simulator::plan::{MS, SECOND};
use crate::support::{decode, request};

const PATIENCE: Duration = Duration::from_secs(2);
const QUEUES: u64 = 4;

pub struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    pub fn open(address: SocketAddr, patience: Duration) -> io::Result<Connection> {
        let stream = TcpStream::connect_timeout(&address, patience)?;
        stream.set_read_timeout(Some(patience))?;
        stream.set_nodelay(true)?;
        Ok(Connection { stream, buffer: Vec::new() })
    }

    fn try_ask(&mut self, args: &[&[u8]]) -> io::Result<Value> {
        self.stream.write_all(&request(args))?;
        let mut chunk = [0; 65_536];
        loop {
            if let Some((value, len)) = decode(&self.buffer) {
                self.buffer.drain(..len);
                return Ok(value);
            }
            let n = self.stream.read(&mut chunk)?;
            if n == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.buffer.extend_from_slice(&chunk[..n]);
        }
    }

    /// The bytes of a reply; for those who ask servers that run.
    pub fn ask(&mut self, args: &[&str]) -> Vec<u8> {
        let args: Vec<&[u8]> = args.iter().map(|arg| arg.as_bytes()).collect();
        match self.try_ask(&args).expect("the server answers") {
            Value::Status(text) => format!("+{text}").into_bytes(),
            Value::Bulk(bytes) => bytes.to_vec(),
            other => format!("{other:?}").into_bytes(),
        }
    }
}

/// What all of them share.
pub struct World {
    pub ledger: Mutex<Ledger>,
    pub begin: Instant,
    pub addresses: Vec<SocketAddr>,
    /// Producers stop first.
    pub produce: AtomicBool,
    pub work: AtomicBool,
}

impl World {
    pub fn now(&self) -> u64 {
        self.begin.elapsed().as_micros() as u64
    }

    fn ledger(&self) -> std::sync::MutexGuard<'_, Ledger> {
        self.ledger.lock().expect("nobody panics with the ledger")
    }
}

struct Person<'a> {
    world: &'a World,
    chance: Chance,
    node: usize,
    connection: Option<Connection>,
}

impl<'a> Person<'a> {
    fn new(world: &'a World, number: u64) -> Person<'a> {
        let node = number as usize % world.addresses.len();
        Person { world, chance: Chance::new(number).split(1), node, connection: None }
    }

    /// One question; nothing if the connection failed, and then the next one goes to any node.
    fn ask(&mut self, args: &[&[u8]]) -> Option<Value> {
        if self.connection.is_none() {
            self.connection = Connection::open(self.world.addresses[self.node], PATIENCE).ok();
        }
        let answer = self.connection.as_mut().and_then(|connection| connection.try_ask(args).ok());
        if answer.is_none() {
            self.connection = None;
            self.node = self.chance.below(self.world.addresses.len() as u64) as usize;
            std::thread::sleep(Duration::from_millis(self.chance.between(5, 50)));
        }
        answer
    }
}

/// Adds jobs until production ends.
pub fn produce(world: &World, number: u64) {
    let mut person = Person::new(world, number);
    while world.produce.load(Ordering::Relaxed) {
        std::thread::sleep(Duration::from_millis(person.chance.between(2, 20)));
        let wish = wish(&mut person.chance);
        let job = world.ledger().add(wish.clone(), world.now());
        let (queue, body) = (ledger::queue_name(wish.queue), ledger::body(job, wish.body_len));
        let copies = wish.replicate.unwrap_or(1).to_string();
        let retry = (wish.retry.unwrap_or(0) / SECOND).to_string();
        let mut args: Vec<&[u8]> = vec![b"ADDJOB", &queue, &body, b"1000"];
        args.extend([b"REPLICATE", copies.as_bytes(), b"RETRY", retry.as_bytes()]);
        if wish.sync {
            args.push(b"SYNC");
        }
        let reply = person.ask(&args);
        let now = world.now();
        let (node, mut ledger) = (person.node, world.ledger());
        match reply {
            Some(Value::Status(id)) => {
                ledger.told(job, id.as_bytes(), node, now, now);
                if wish.retry == Some(0) {
                    // It may be in a reply that a killed server had written and nobody read; nobody can know.
                    ledger.excuse(id.as_bytes());
                }
            }
            _ => ledger.unknown(job),
        }
    }
}

fn wish(chance: &mut Chance) -> Wish {
    let once = chance.permille(150);
    Wish {
        queue: chance.below(QUEUES) as u8,
        body_len: chance.between(16, 300) as usize,
        replicate: Some(if once { 1 } else { chance.between(1, 3) as u16 }),
        retry: Some(if once { 0 } else { chance.between(1, 2) * SECOND }),
        ttl: 86_400 * SECOND,
        delay: 0,
        asynchronous: false,
        sync: chance.permille(100),
    }
}

/// Takes and acknowledges jobs until everything is done. Some it takes and forgets.
pub fn work(world: &World, number: u64) {
    let mut person = Person::new(world, number);
    let queues: Vec<Vec<u8>> = (0..QUEUES as u8).map(ledger::queue_name).collect();
    let mut args: Vec<&[u8]> = vec![b"GETJOB", b"TIMEOUT", b"200", b"COUNT", b"5", b"FROM"];
    args.extend(queues.iter().map(Vec::as_slice));
    while world.work.load(Ordering::Relaxed) {
        let Some(Value::Array(jobs)) = person.ask(&args) else { continue };
        for job in &jobs {
            let Value::Array(parts) = job else { panic!("a job is a list, not {job:?}") };
            let [Value::Bulk(queue), Value::Bulk(id), Value::Bulk(body)] = &parts[..] else {
                panic!("a job has three parts, not {parts:?}")
            };
            let now = world.now();
            world.ledger().delivered(person.node, queue, id, body, now, now);
            if world.produce.load(Ordering::Relaxed) && person.chance.permille(50) {
                continue;
            }
            acknowledge(&mut person, id);
        }
    }
}

fn acknowledge(person: &mut Person<'_>, id: &[u8]) {
    let world = person.world;
    let Ok(id): Result<Id, _> = id.try_into() else { panic!("an ID has 40 bytes") };
    for _ in 0..20 {
        if let Some(Value::Int(_)) = person.ask(&[b"ACKJOB", &id]) {
            let mut ledger = world.ledger();
            // Only what was answered counts: a request that was lost with a server promises nothing.
            ledger.ack_sent(&id);
            ledger.ack_told(&id, world.begin.elapsed().as_millis() as u64 * MS);
            return;
        }
    }
}
