//! What the clients of a server do before it is killed, and what they were told.

use std::collections::BTreeSet;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::time::{Duration, Instant};

use disque::resp::Value;

use crate::support::{PATIENCE, decode, request};

/// What is done with the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scenario {
    /// Jobs are added, taken and ended, and the file is rewritten twice.
    Always,
    /// The same without waiting for the disk.
    EverySecond,
    /// The same on the files that such a life has left.
    Again,
}

impl Scenario {
    pub const ALL: [Scenario; 3] = [Scenario::Always, Scenario::EverySecond, Scenario::Again];

    pub fn fsync(self) -> &'static str {
        match self {
            Scenario::Always | Scenario::Again => "always",
            Scenario::EverySecond => "everysec",
        }
    }

    pub fn starts_on_files(self) -> bool {
        self == Scenario::Again
    }
}

/// What clients know.
#[derive(Debug, Default)]
pub struct Ledger {
    /// Jobs whose ID was told, and whose end was not asked for.
    present: BTreeSet<String>,
    /// Jobs whose end was confirmed.
    ended: BTreeSet<String>,
    /// At-most-once jobs that were handed out.
    handed_out: BTreeSet<String>,
    /// At-most-once jobs that nobody has asked for.
    waiting: BTreeSet<String>,
}

/// A connection that may break at any time.
struct Client {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Client {
    /// Connects as soon as the server listens; `None` if it is gone.
    fn connect(port: u16, is_gone: &dyn Fn() -> bool) -> Option<Client> {
        while !is_gone() {
            if let Ok(stream) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)) {
                stream.set_read_timeout(Some(PATIENCE)).expect("a timeout can be set");
                let mut client = Client { stream, buffer: Vec::new() };
                // It says LOADING until it has read its files.
                while client.run(&["PING"])? != Value::status("PONG") {}
                return Some(client);
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        None
    }

    /// The reply; `None` if the server was killed before it came.
    fn run(&mut self, words: &[&str]) -> Option<Value> {
        self.stream.write_all(&request(words)).ok()?;
        loop {
            if let Some((value, len)) = decode(&self.buffer) {
                self.buffer.drain(..len);
                return Some(value);
            }
            let mut chunk = [0; 4096];
            match self.stream.read(&mut chunk) {
                Ok(n @ 1..) => self.buffer.extend_from_slice(&chunk[..n]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => panic!("{words:?} is not answered"),
                _ => return None,
            }
        }
    }

    fn text(&mut self, words: &[&str]) -> Option<String> {
        match self.run(words)? {
            Value::Status(text) => Some(text),
            Value::Bulk(bytes) => String::from_utf8(bytes).ok(),
            other => panic!("{words:?}: {other:?}"),
        }
    }
}

/// A life; ends early if the server does.
pub fn live(port: u16, scenario: Scenario, mut ledger: Ledger, is_gone: &dyn Fn() -> bool) -> Ledger {
    if let Some(client) = Client::connect(port, is_gone) {
        let _ = act(client, scenario, &mut ledger);
    }
    ledger
}

fn act(mut client: Client, scenario: Scenario, ledger: &mut Ledger) -> Option<()> {
    for round in 0..6 {
        for n in 0..10 {
            let body = format!("body {round} {n}");
            let mut words = vec!["ADDJOB", "q", &body, "0", "RETRY", "1000"];
            if scenario == Scenario::EverySecond && n % 2 == 0 {
                words.push("SYNC");
            }
            let id = client.text(&words)?;
            ledger.present.insert(id.clone());
            if n % 3 == 0 {
                ledger.present.remove(&id);
                if client.run(&["ACKJOB", &id])? == Value::Int(1) {
                    ledger.ended.insert(id);
                }
            }
        }
        let once = client.text(&["ADDJOB", "once", "x", "0", "RETRY", "0"])?;
        if round % 2 == 0 {
            take(&mut client, ledger, &once)?;
        } else {
            ledger.waiting.insert(once);
        }
        if round < 3 {
            // The one before may still be under way.
            client.run(&["BGREWRITEAOF"])?;
        }
    }
    wait_for_rewrites(&mut client)?;
    if scenario == Scenario::Again {
        client.run(&["SHUTDOWN", "REWRITE-AOF"])?;
    }
    client.run(&["SHUTDOWN"])?;
    Some(())
}

/// Takes everything there is at most once.
fn take(client: &mut Client, ledger: &mut Ledger, id: &str) -> Option<()> {
    // Whether they were handed out is not known until the reply comes.
    let asked = std::mem::take(&mut ledger.waiting);
    let Value::Array(rows) = client.run(&["GETJOB", "NOHANG", "COUNT", "10", "FROM", "once"])? else {
        panic!("{id} is there, of {asked:?}")
    };
    for row in rows {
        let Value::Array(fields) = row else { panic!("a job has fields") };
        let Value::Bulk(id) = &fields[1] else { panic!("a job has an ID") };
        let id = String::from_utf8_lossy(id).into_owned();
        assert!(!ledger.handed_out.contains(&id), "{id} is handed out twice");
        ledger.handed_out.insert(id);
    }
    Some(())
}

fn wait_for_rewrites(client: &mut Client) -> Option<()> {
    let until = Instant::now() + PATIENCE;
    while Instant::now() < until {
        let info = client.text(&["INFO", "persistence"])?;
        if info.contains("aof_rewrite_in_progress:0") && info.contains("aof_rewrite_scheduled:0") {
            return Some(());
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    panic!("the rewrite does not end")
}

impl Ledger {
    /// Compares with what a server knows that was started on the files.
    pub fn compare(&self, port: u16, is_gone: &dyn Fn() -> bool) -> Result<(), String> {
        let mut client = Client::connect(port, is_gone).ok_or("the server does not start again")?;
        let mut known =
            |id: &str| client.run(&["SHOW", id]).is_some_and(|value| matches!(value, Value::Array(_)));
        if let Some(id) = self.present.iter().find(|id| !known(id)) {
            return Err(format!("{id} is lost"));
        }
        if let Some(id) = self.ended.iter().find(|id| known(id)) {
            return Err(format!("{id} is back"));
        }
        let left = client.run(&["GETJOB", "NOHANG", "COUNT", "100", "FROM", "once"]);
        let left = format!("{left:?}");
        let debug = |id: &str| format!("{:?}", Value::bulk(id));
        if let Some(id) = self.handed_out.iter().find(|id| left.contains(&debug(id))) {
            return Err(format!("{id} is handed out a second time"));
        }
        if let Some(id) = self.waiting.iter().find(|id| !left.contains(&debug(id))) {
            return Err(format!("{id} is never handed out"));
        }
        match client.run(&["DEBUG", "AUDIT"]) {
            Some(answer) if answer == Value::ok() => Ok(()),
            other => Err(format!("{other:?}")),
        }
    }
}
