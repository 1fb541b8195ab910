//! Producers and workers, with the habits of real ones and of real client libraries: one request at a time on a
//! connection, a limit to their patience, a new connection, perhaps to another node, when it is exhausted.

use std::collections::VecDeque;

use super::chance::Chance;
use super::ledger::{self, Id, Ledger, Wish};
use super::plan::{MS, Plan, SECOND};
use super::resp::{self, Value};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Producer,
    Worker,
    /// A worker of the calm at the end: takes everything, acknowledges at once.
    Drainer,
}

/// What a client does next.
#[derive(Debug)]
pub enum Act {
    /// Connects to its node.
    Connect,
    /// Sends a request and waits so long for the reply.
    Send(Vec<u8>, u64),
    /// Closes its connection, and goes on so much later.
    HangUp(u64),
    Sleep(u64),
}

/// What the reply will be about.
#[derive(Clone, Debug)]
enum Asked {
    Add(usize),
    Get,
    Ack(Id),
    FastAck(Id),
    Working(Id),
    Other,
}

/// What a worker means to do with a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Intent {
    Ack,
    AckTwice,
    FastAck,
    Nack,
    Vanish,
    /// WORKING so many times more, then ACKJOB.
    Working(u32),
}

#[derive(Clone, Copy, Debug)]
struct Held {
    id: Id,
    retry: u64,
    intent: Intent,
    due: u64,
    elsewhere: bool,
}

pub struct Client {
    pub role: Role,
    /// Where its machine stands: it shares the network of this node.
    pub home: usize,
    /// The node it talks to.
    pub node: usize,
    pub conn: Option<u64>,
    /// Bytes of a reply that is not complete.
    pub input: Vec<u8>,
    /// Counts what it waits for, so that a timer set for something else does nothing.
    pub turn: u32,
    pub waits: bool,
    chance: Chance,
    asked: Asked,
    hand: VecDeque<Held>,
    next_think: u64,
}

impl Client {
    pub fn new(role: Role, home: usize, chance: Chance) -> Client {
        Client {
            role,
            home,
            node: home,
            conn: None,
            input: Vec::new(),
            turn: 0,
            waits: false,
            chance,
            asked: Asked::Other,
            hand: VecDeque::new(),
            next_think: 0,
        }
    }

    /// Whether the reply that it waits for may hold jobs that are then its own.
    pub fn waits_for_jobs(&self) -> bool {
        self.waits && matches!(self.asked, Asked::Get)
    }

    pub fn next(&mut self, now: u64, plan: &Plan, ledger: &mut Ledger) -> Act {
        if self.conn.is_none() {
            return Act::Connect;
        }
        match self.role {
            Role::Producer => self.produce(now, plan, ledger),
            Role::Worker | Role::Drainer => self.work(now, plan, ledger),
        }
    }

    fn produce(&mut self, now: u64, plan: &Plan, ledger: &mut Ledger) -> Act {
        if now < self.next_think {
            return Act::Sleep(self.next_think - now);
        }
        self.next_think = now + self.chance.between(plan.think.0, plan.think.1);
        let (wish, args) = self.wish(plan);
        let number = ledger.add(wish.clone(), now);
        self.asked = Asked::Add(number);
        let (queue, body) = (ledger::queue_name(wish.queue), ledger::body(number, wish.body_len));
        let timeout = format!("{}", plan.patience / MS / 2);
        let mut all: Vec<&[u8]> = vec![b"ADDJOB", &queue, &body, timeout.as_bytes()];
        all.extend(args.iter().map(String::as_bytes));
        Act::Send(resp::request(&all), plan.patience)
    }

    /// What to ask for, and the options that say so.
    fn wish(&mut self, plan: &Plan) -> (Wish, Vec<String>) {
        let (chance, wishes) = (&mut self.chance, &plan.wishes);
        let nodes = plan.nodes as u64;
        let at_most_once = chance.permille(wishes.at_most_once);
        let retry = chance.between(wishes.retry_ms.0, wishes.retry_ms.1) * MS;
        // RC1 counts in seconds; so do all who may share a cluster with it.
        let retry = if plan.rc1 != 0 { retry.div_ceil(SECOND) * SECOND } else { retry };
        let ttl =
            if chance.permille(wishes.short_ttl) { chance.between(2, 120) * SECOND } else { 86_400 * SECOND };
        let given_retry = ttl < 86_400 * SECOND || !chance.permille(20);
        let delay = chance.permille(wishes.delayed).then(|| chance.between(1, 30) * SECOND);
        let asynchronous = chance.permille(wishes.asynchronous);
        let wish = Wish {
            queue: chance.below(plan.queues) as u8,
            body_len: chance.between(plan.wishes.body.0, plan.wishes.body.1) as usize
                + if chance.permille(20) { 3000 } else { 16 },
            replicate: if at_most_once {
                Some(1)
            } else {
                chance.permille(800).then(|| chance.between(1, nodes.min(4)) as u16)
            },
            retry: if at_most_once { Some(0) } else { given_retry.then_some(retry.min(ttl)) },
            ttl,
            delay: delay.filter(|delay| *delay < ttl).unwrap_or(0),
            asynchronous,
            sync: !asynchronous && plan.logs.iter().any(Option::is_some) && chance.permille(wishes.sync),
        };
        let mut args = Vec::new();
        let mut option = |name: &str, value: String| args.extend([name.to_owned(), value]);
        if let Some(n) = wish.replicate {
            option("REPLICATE", n.to_string());
        }
        if let Some(retry) = wish.retry {
            option("RETRY", span(retry));
        }
        if wish.ttl != 86_400 * SECOND {
            option("TTL", span(wish.ttl));
        }
        if wish.delay > 0 {
            option("DELAY", span(wish.delay));
        }
        if chance.permille(wishes.maxlen) {
            option("MAXLEN", chance.spread(10, 1000).to_string());
        }
        if wish.asynchronous {
            args.push("ASYNC".to_owned());
        }
        if wish.sync {
            args.push("SYNC".to_owned());
        }
        (wish, args)
    }

    fn work(&mut self, now: u64, plan: &Plan, ledger: &mut Ledger) -> Act {
        let due = (0..self.hand.len()).find(|at| self.hand[*at].due <= now);
        if let Some(at) = due {
            return self.act_on(at, now, plan, ledger);
        }
        let busy = self.hand.iter().filter(|held| held.due < now + 60 * SECOND).count();
        if busy > 0 {
            let next = self.hand.iter().map(|held| held.due).min().expect("there is one");
            return Act::Sleep(next.saturating_sub(now));
        }
        if now < self.next_think {
            return Act::Sleep(self.next_think - now);
        }
        if self.role == Role::Worker && self.chance.permille(plan.manners.meddle) {
            return self.meddle(plan, ledger);
        }
        self.asked = Asked::Get;
        let (args, wait) = self.get(now, plan);
        let args: Vec<&[u8]> = args.iter().map(Vec::as_slice).collect();
        Act::Send(resp::request(&args), plan.patience.max(500 * MS) + wait)
    }

    fn get(&mut self, now: u64, plan: &Plan) -> (Vec<Vec<u8>>, u64) {
        let mut args = vec![b"GETJOB".to_vec()];
        let mut wait = 0;
        // Somebody with promises to keep does not wait for long.
        if self.hand.is_empty() && !self.chance.permille(200) {
            wait = self.chance.spread(50 * MS, 20 * SECOND);
            args.extend([b"TIMEOUT".to_vec(), (wait / MS).to_string().into_bytes()]);
        } else {
            // Whoever polls does not do it all the time.
            args.push(b"NOHANG".to_vec());
            self.next_think = now + self.chance.spread(50 * MS, 2 * SECOND);
        }
        let drains = self.role == Role::Drainer;
        let count = if drains { 20 } else { self.chance.pick(&[1, 1, 1, 5, 20]) };
        if count > 1 {
            args.extend([b"COUNT".to_vec(), count.to_string().into_bytes()]);
        }
        if self.chance.permille(300) {
            args.push(b"WITHCOUNTERS".to_vec());
        }
        args.push(b"FROM".to_vec());
        let all = drains || self.chance.permille(700);
        let first = self.chance.below(plan.queues) as u8;
        let many = if all { plan.queues } else { 1 };
        args.extend((0..many as u8).map(|n| ledger::queue_name((first + n) % plan.queues as u8)));
        (args, wait)
    }

    /// Does with a job what is due.
    fn act_on(&mut self, at: usize, now: u64, plan: &Plan, ledger: &mut Ledger) -> Act {
        let held = self.hand[at];
        if held.elsewhere && plan.nodes > 1 {
            self.hand[at].elsewhere = false;
            self.node = (self.node + 1 + self.chance.below(plan.nodes as u64 - 1) as usize) % plan.nodes;
            return Act::HangUp(0);
        }
        let one = |name: &[u8]| resp::request(&[name, &held.id]);
        let request = match held.intent {
            Intent::Vanish => {
                self.hand.clear();
                return Act::HangUp(self.chance.between(MS, 5 * SECOND));
            }
            Intent::Ack | Intent::AckTwice => {
                ledger.ack_sent(&held.id);
                self.asked = Asked::Ack(held.id);
                one(b"ACKJOB")
            }
            Intent::FastAck => {
                ledger.cancel_sent(&held.id);
                self.asked = Asked::FastAck(held.id);
                one(b"FASTACK")
            }
            Intent::Nack => {
                ledger.meddled(&held.id);
                self.asked = Asked::Other;
                one(b"NACK")
            }
            Intent::Working(_) => {
                self.asked = Asked::Working(held.id);
                one(b"WORKING")
            }
        };
        match held.intent {
            Intent::AckTwice => {
                self.hand[at].intent = Intent::Ack;
                self.hand[at].due = now + self.chance.spread(MS, 100 * SECOND);
            }
            Intent::Working(more) if more > 0 => {
                self.hand[at].intent = Intent::Working(more - 1);
                self.hand[at].due = now + held.retry.clamp(SECOND, 60 * SECOND) / 2;
            }
            Intent::Working(_) => self.hand[at].intent = Intent::Ack,
            _ => drop(self.hand.remove(at)),
        }
        Act::Send(request, plan.patience)
    }

    /// Asks for something about a job it only heard of, or just looks around.
    fn meddle(&mut self, plan: &Plan, ledger: &mut Ledger) -> Act {
        self.asked = Asked::Other;
        let recent = ledger.jobs.len().min(500) as u64;
        let known = (recent > 0).then(|| ledger.jobs.len() - 1 - self.chance.below(recent) as usize);
        let id = known.and_then(|number| ledger.jobs[number].id);
        let queue = ledger::queue_name(self.chance.below(plan.queues) as u8);
        let request = match (self.chance.below(14), id) {
            (0, Some(id)) => {
                ledger.meddled(&id);
                resp::request(&[b"ENQUEUE", &id])
            }
            (1, Some(id)) => {
                ledger.meddled(&id);
                // One that is delivered at most once waits for ENQUEUE now.
                ledger.excuse(&id);
                resp::request(&[b"DEQUEUE", &id])
            }
            (2, Some(id)) => {
                ledger.meddled(&id);
                resp::request(&[b"NACK", &id])
            }
            (3, Some(id)) => {
                self.asked = Asked::Working(id);
                ledger.meddled(&id);
                // It is taken out of its queue, as by DEQUEUE.
                ledger.excuse(&id);
                resp::request(&[b"WORKING", &id])
            }
            (4, Some(id)) => {
                ledger.ack_sent(&id);
                self.asked = Asked::Ack(id);
                resp::request(&[b"ACKJOB", &id])
            }
            (5, Some(id)) => {
                ledger.cancel_sent(&id);
                resp::request(&[b"DELJOB", &id])
            }
            (6, Some(id)) => resp::request(&[b"SHOW", &id]),
            (7, _) => resp::request(&[b"QPEEK", &queue, b"-5"]),
            (8, _) => resp::request(&[b"QSTAT", &queue]),
            (9, _) => resp::request(&[b"QLEN", &queue]),
            (10, _) => resp::request(&[b"JSCAN", b"0", b"COUNT", b"10", b"REPLY", b"all"]),
            (11, _) => resp::request(&[b"QSCAN", b"0", b"BUSYLOOP"]),
            (12, _) => resp::request(&[b"CLUSTER", b"NODES"]),
            _ => resp::request(&[b"HELLO"]),
        };
        Act::Send(request, plan.patience)
    }

    /// The reply has come. `sent` is when the node wrote it.
    pub fn replied(&mut self, value: &Value<'_>, sent: u64, now: u64, plan: &Plan, ledger: &mut Ledger) {
        let asked = std::mem::replace(&mut self.asked, Asked::Other);
        match (asked, value) {
            (Asked::Add(number), Value::Status(id)) => ledger.told(number, id, self.node, sent, now),
            (Asked::Add(number), Value::Error(why)) if leaves_copies(why) => ledger.unknown(number),
            (Asked::Add(number), Value::Error(_)) => ledger.refused(number, now),
            (Asked::Get, Value::Array(jobs)) => {
                jobs.iter().for_each(|job| self.take(job, sent, now, plan, ledger));
            }
            (Asked::Ack(id), Value::Int(_)) => ledger.ack_told(&id, sent),
            (Asked::FastAck(id), Value::Int(_)) => ledger.fast_ack_told(&id, sent),
            (Asked::Working(id), Value::Int(_)) => ledger.working_told(&id, sent),
            (Asked::Working(id), Value::Error(_)) => {
                self.hand.retain(|held| held.id != id || !matches!(held.intent, Intent::Working(_)))
            }
            _ => {}
        }
    }

    fn take(&mut self, job: &Value<'_>, sent: u64, now: u64, plan: &Plan, ledger: &mut Ledger) {
        let [queue, id, body, ..] = job.items() else { panic!("a job has three parts") };
        let part = |value: &Value<'_>| -> Vec<u8> { value.bytes().expect("parts are strings").to_vec() };
        let (queue, id, body) = (part(queue), part(id), part(body));
        let number = ledger.delivered(self.node, &queue, &id, &body, sent, now);
        let Ok(id): Result<Id, _> = id.as_slice().try_into() else { return };
        let retry = ledger.jobs.get(number).and_then(|job| job.wish.retry).unwrap_or(10 * SECOND);
        let held = self.intend(id, retry, now, plan);
        self.hand.push_back(held);
    }

    fn intend(&mut self, id: Id, retry: u64, now: u64, plan: &Plan) -> Held {
        let (chance, manners) = (&mut self.chance, plan.manners);
        let honest = Held { id, retry, intent: Intent::Ack, due: now, elsewhere: false };
        if self.role == Role::Drainer {
            return honest;
        }
        // An honest worker has asked for a retry period that suffices.
        let work = chance.spread(plan.work.0, plan.work.1).min(retry.max(4 * SECOND) / 4);
        let mut held = Held { due: now + work, elsewhere: chance.permille(manners.ack_elsewhere), ..honest };
        let mut roll = chance.below(1000);
        let choices = [
            (manners.vanish, Intent::Vanish),
            (manners.ack_twice, Intent::AckTwice),
            (manners.fast_ack, Intent::FastAck),
            (manners.nack, Intent::Nack),
            (manners.working, Intent::Working(chance.between(1, 5) as u32)),
            (manners.working_forever, Intent::Working(u32::MAX)),
        ];
        for (share, intent) in choices {
            if roll < share {
                held.intent = intent;
                return held;
            }
            roll -= share;
        }
        if roll < manners.ack_late {
            held.due = now + retry + chance.spread(MS, retry.max(SECOND) * 2);
        }
        held
    }

    /// The connection is gone, could not be made, or the patience is at its end; goes on so much later.
    pub fn failed(&mut self, plan: &Plan, ledger: &mut Ledger) -> u64 {
        self.input.clear();
        match std::mem::replace(&mut self.asked, Asked::Other) {
            Asked::Add(number) => ledger.unknown(number),
            Asked::Ack(id) if self.chance.permille(700) => {
                let due = 0;
                self.hand.push_back(Held { id, retry: SECOND, intent: Intent::Ack, due, elsewhere: false });
            }
            _ => {}
        }
        if !self.chance.permille(plan.sticky) && self.role != Role::Drainer {
            self.node = self.chance.below(plan.nodes as u64) as usize;
        }
        self.chance.spread(10 * MS, SECOND)
    }

    /// Whether it has no job to work on, and no request that may bring one or acknowledges one.
    pub fn has_empty_hands(&self) -> bool {
        self.hand.is_empty() && (!self.waits || self.waits_for_jobs())
    }
}

/// Errors after which copies of the job may exist.
fn leaves_copies(why: &[u8]) -> bool {
    why.starts_with(b"NOREPL Timeout")
        || why.starts_with(b"NOREPL job removed")
        || why.starts_with(b"ERR SYNC")
        || why.starts_with(b"LEAVING")
}

/// Spans as ADDJOB takes them.
fn span(micros: u64) -> String {
    if micros.is_multiple_of(SECOND) { (micros / SECOND).to_string() } else { format!("{}ms", micros / MS) }
}
