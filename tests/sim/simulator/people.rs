//! How the world moves clients: their timers, connections, requests and replies.

use disque::engine::ClientId;
use disque::resp::RequestReader;

use super::client::{Act, Role};
use super::plan::SECOND;
use super::resp::{self, Value};
use super::wire::{Conn, Piece, Purpose, Serving};
use super::world::{Event, World};

impl World {
    /// A client's time has come: it acts, or its patience is at its end.
    pub fn client_timer(&mut self, client: usize, turn: u32) {
        if self.clients[client].turn != turn {
            return;
        }
        if self.calm && self.clients[client].role != Role::Drainer {
            return self.retire(client);
        }
        if self.clients[client].waits {
            if let Some(conn) = self.clients[client].conn.take() {
                self.clients[client].input.clear();
                self.close(conn, 0);
            }
            return self.client_failed(client, "out of patience");
        }
        self.client_acts(client);
    }

    /// In the calm the clients of the storm go home; what they held is delivered again.
    pub fn retire(&mut self, client: usize) {
        if let Some(conn) = self.clients[client].conn.take() {
            self.clients[client].input.clear();
            self.close(conn, 0);
        }
        let now = self.now;
        self.clients[client].failed(&self.plan, &mut self.ledger);
        self.clients[client].turn += 1;
        self.trace.note(now, || format!("c{client} goes home"));
    }

    fn client_acts(&mut self, client: usize) {
        let now = self.now;
        let act = self.clients[client].next(now, &self.plan, &mut self.ledger);
        match act {
            Act::Connect => self.client_connects(client),
            Act::Sleep(wait) => self.client_timer_in(client, wait),
            Act::HangUp(wait) => {
                if let Some(conn) = self.clients[client].conn.take() {
                    self.close(conn, 0);
                }
                self.client_timer_in(client, wait);
            }
            Act::Send(bytes, patience) => {
                let conn = self.clients[client].conn.expect("it is connected");
                self.clients[client].waits = true;
                self.client_timer_in(client, patience);
                self.send(conn, 0, Piece::of(bytes));
            }
        }
    }

    fn client_timer_in(&mut self, client: usize, wait: u64) {
        self.clients[client].turn += 1;
        let turn = self.clients[client].turn;
        self.at(self.now + wait.max(1), Event::Client { client, turn });
    }

    fn client_connects(&mut self, client: usize) {
        let (home, node) = (self.clients[client].home, self.clients[client].node);
        let conn = self.next_conn;
        self.next_conn += 1;
        let server = Serving {
            reader: RequestReader::new(),
            input: Vec::new(),
            blocked: false,
            held: Vec::new(),
            hold: None,
            held_since: 0,
        };
        let purpose = Purpose::Client { client, id: ClientId(0), server: Box::new(server) };
        self.conns.insert(conn, Conn::new(purpose, [home, node]));
        self.clients[client].conn = Some(conn);
        self.clients[client].waits = true;
        self.clients[client].input.clear();
        let patience = self.plan.patience.max(SECOND / 2);
        self.client_timer_in(client, patience);
        let latency = self.net.latency[home][node];
        self.at(self.now + latency, Event::Connect { conn });
    }

    pub fn client_connected(&mut self, client: usize, conn: u64) {
        if self.clients[client].conn != Some(conn) {
            return;
        }
        self.clients[client].waits = false;
        self.client_acts(client);
    }

    pub fn client_failed(&mut self, client: usize, why: &str) {
        let now = self.now;
        self.clients[client].input.clear();
        let state = &mut self.clients[client];
        state.waits = false;
        let node = state.node;
        let wait = state.failed(&self.plan, &mut self.ledger);
        self.trace.note(now, || format!("c{client} at n{node}: {why}"));
        self.client_timer_in(client, wait);
    }

    /// Bytes of a reply have come.
    pub fn reply_bytes(&mut self, client: usize, conn: u64, piece: &Piece) {
        if self.clients[client].conn != Some(conn) {
            return piece.only_here.iter().for_each(|id| self.ledger.excuse(id));
        }
        let (bytes, sent) = (&piece.bytes, piece.sent);
        let mut input = std::mem::take(&mut self.clients[client].input);
        input.extend_from_slice(bytes);
        let Some((value, len)) = resp::parse(&input) else {
            self.clients[client].input = input;
            return;
        };
        if len != input.len() || !self.clients[client].waits {
            return self.violate("reply to nothing", format!("client {client}: {value:?}"));
        }
        let now = self.now;
        self.trace.note(now, || format!("c{client} hears {}", show(&value)));
        self.mark_reply(client, &value);
        self.clients[client].waits = false;
        if self.calm && self.clients[client].role != Role::Drainer {
            // It has gone home; nobody works on what it was handed.
            if self.clients[client].role == Role::Worker {
                self.excuse_ids_in(&input);
            }
        } else {
            let state = &mut self.clients[client];
            state.replied(&value, sent, now, &self.plan, &mut self.ledger);
        }
        self.client_timer_in(client, 1);
    }

    fn mark_reply(&mut self, client: usize, value: &Value<'_>) {
        match value {
            Value::Error(text) => {
                let word = text.split(|byte| *byte == b' ').next().unwrap_or_default();
                self.coverage.mark(&String::from_utf8_lossy(word));
            }
            Value::Nil if self.clients[client].waits_for_jobs() => self.coverage.mark("no job in time"),
            Value::Array(jobs) if self.clients[client].waits_for_jobs() => {
                for job in jobs.iter().map(Value::items).filter(|job| job.len() == 7) {
                    if job[4] != Value::Int(0) {
                        self.coverage.mark("counted as nacked");
                    }
                    if job[6] != Value::Int(0) {
                        self.coverage.mark("counted as delivered again");
                    }
                }
            }
            _ => {}
        }
    }
}

fn show(value: &Value<'_>) -> String {
    match value {
        Value::Array(items) => format!("[{}]", items.iter().map(show).collect::<Vec<_>>().join(" ")),
        Value::Status(bytes) | Value::Error(bytes) | Value::Bulk(bytes) => {
            String::from_utf8_lossy(&bytes[..bytes.len().min(60)]).escape_debug().collect()
        }
        Value::Int(n) => n.to_string(),
        Value::Nil => "nil".to_owned(),
    }
}
