//! The open load: jobs are added at a fixed rate, whatever becomes of those before, and waiting consumers get them.
//!
//! Every job carries the time at which it was to be added. Its latency counts from then until a consumer has it, so
//! a server that stops for a while pays for all jobs that should have come meanwhile (no coordinated omission). One
//! thread adds and consumes; between jobs it does not sleep but looks, since sleeping is less exact than the figures.
//! With realtime priority it does sleep, for moments: it is exact then, and the system stops realtime programs that never
//! do, for 50 ms of each second.

use std::collections::VecDeque;
use std::thread;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use mio::{Events, Interest, Poll, Token};
use serde_json::json;

use super::fault::Fault;
use super::peer::{Peer, Step};
use super::process;
use super::progress::Progress;
use super::report::Findings;
use super::speech::Speech;
use super::statistics::{Cost, latencies};
use super::target::Target;
use super::wire::{Scratch, Wire};

/// How long the load runs before it is recorded: connections, buffers and caches become what they stay.
const WARM_UP: Duration = Duration::from_secs(1);
/// So long is waited for the jobs that are still on their way when all have been sent.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long a realtime program sleeps if no job is due within twice that.
const NAP: Duration = Duration::from_micros(10);
/// Hexadecimal digits of the time at the start of a body.
pub(super) const STAMP_LEN: usize = 16;
/// What is done with every job.
const STEPS: &[Step] = &[Step::Add, Step::Get, Step::Ack];

/// Adds so many jobs per second for a while.
pub(super) fn run(target: &mut Target, rate: u32) -> Result<Findings, Fault> {
    let resident_before = target.resident();
    let mut load = OpenLoad::connect(target, rate)?;
    let mut progress = Progress::new(target.display);
    let mut ticks = None;
    while !load.tally.is_complete() {
        if ticks.is_none() && load.tally.started.elapsed() >= WARM_UP {
            ticks = Some(target.ticks());
        }
        load.turn(&target.speech)?;
        progress.show(STEPS, load.tally.delivered * STEPS.len() as u64, load.tally.started);
    }
    progress.clear();
    let ticks = target.ticks().zip(ticks.flatten()).map(|(after, before)| after - before);
    let tally = load.tally;
    drop(load.voices);
    let jobs = tally.end_to_end.len();
    let elapsed = tally.started.elapsed().saturating_sub(WARM_UP);
    let cost = Cost { operations: jobs * STEPS.len() as u64, jobs, elapsed, ticks };
    let resident_after = target.resident();
    target.remove_queues()?;
    let mut findings = Findings::new(cost, &tally.end_to_end, 0, resident_before, resident_after);
    findings.note_latency("add_latency", "confirmed after", &tally.confirmed);
    findings.note("rate", json!(rate));
    Ok(findings)
}

/// One connection, of a producer or a consumer.
struct Voice {
    wire: Wire,
    inbox: Vec<u8>,
    queue: u32,
    part: Part,
}

enum Part {
    /// When the jobs were to be added that are not confirmed yet, in nanoseconds since the start.
    Producer { unconfirmed: VecDeque<u64> },
    /// How many more jobs the request that stands will bring, and what is to be said to those that came.
    Consumer { wanted: u32, answer: Vec<u8> },
}

struct OpenLoad {
    poll: Poll,
    events: Events,
    /// Producers first, then consumers.
    voices: Vec<Voice>,
    producers: u64,
    scratch: Scratch,
    body: Vec<u8>,
    naps: bool,
    tally: Tally,
}

/// What has happened so far.
struct Tally {
    started: Instant,
    /// Nanoseconds between two jobs.
    interval: f64,
    total: u64,
    sent: u64,
    delivered: u64,
    /// Replies to acknowledgements, and how many one brings.
    acknowledged: u64,
    replies_per_ack: u64,
    end_to_end: Histogram<u64>,
    confirmed: Histogram<u64>,
}

impl OpenLoad {
    fn connect(target: &Target, rate: u32) -> Result<OpenLoad, Fault> {
        let speech = &target.speech;
        let poll = Poll::new()?;
        let connections = target.connections.max(2);
        let producers = connections / 2;
        let mut voices = Vec::new();
        for (number, address) in (0..connections).zip(target.addresses.iter().cycle()) {
            let mut wire = Wire::open(*address, speech, number)?;
            let interest = Interest::READABLE | Interest::WRITABLE;
            poll.registry().register(&mut wire.stream, Token(number as usize), interest)?;
            let queue = number % producers % speech.queues.len() as u32;
            let inbox = wire.inbox.clone();
            let part = if number < producers {
                Part::Producer { unconfirmed: VecDeque::new() }
            } else {
                let wanted = speech.write_wait(&mut wire.output, &inbox, queue);
                wire.send()?;
                Part::Consumer { wanted, answer: Vec::new() }
            };
            voices.push(Voice { wire, inbox, queue, part });
        }
        Ok(OpenLoad {
            poll,
            events: Events::with_capacity(voices.len()),
            voices,
            producers: u64::from(producers),
            scratch: Scratch::new(),
            body: speech.bodies.of(0).to_vec(),
            naps: process::is_realtime(),
            tally: Tally::new(target, rate),
        })
    }

    /// Adds what is due, then hears what has come.
    fn turn(&mut self, speech: &Speech) -> Result<(), Fault> {
        let now = self.tally.now();
        while self.tally.sent < self.tally.total && self.tally.due(self.tally.sent) <= now {
            self.add(speech)?;
        }
        self.tally.check_patience(now)?;
        if self.naps && self.tally.due(self.tally.sent) > self.tally.now() + 2 * NAP.as_nanos() as u64 {
            thread::sleep(NAP);
        }
        self.poll.poll(&mut self.events, Some(Duration::ZERO))?;
        for event in &self.events {
            let voice = &mut self.voices[event.token().0];
            voice.wire.send()?;
            while voice.hear(speech, &mut self.scratch, &mut self.tally)? {}
        }
        Ok(())
    }

    fn add(&mut self, speech: &Speech) -> Result<(), Fault> {
        let number = self.tally.sent;
        let due = self.tally.due(number);
        self.body[..STAMP_LEN].copy_from_slice(format!("{due:016x}").as_bytes());
        let voice = &mut self.voices[(number % self.producers) as usize];
        let queue = (number % speech.queues.len() as u64) as u32;
        speech.write_add(&mut voice.wire.output, &voice.inbox, queue, &self.body);
        if let Part::Producer { unconfirmed } = &mut voice.part {
            unconfirmed.push_back(due);
        }
        self.tally.sent += 1;
        voice.wire.send()
    }
}

impl Voice {
    /// Reads once and answers; whether there may be more to read.
    fn hear(&mut self, speech: &Speech, scratch: &mut Scratch, tally: &mut Tally) -> Result<bool, Fault> {
        let Voice { wire, inbox, queue, part } = self;
        match part {
            Part::Producer { unconfirmed } => wire.receive(speech, scratch, |_| {
                let due = unconfirmed.pop_front();
                let due = due.ok_or_else(|| Fault::Malformed("a reply to nothing".to_string()))?;
                tally.note_confirmed(due);
                Ok(())
            }),
            Part::Consumer { wanted, answer } => {
                let more = wire.receive(speech, scratch, |heard| {
                    if heard.jobs.is_empty() {
                        tally.acknowledged += 1;
                    }
                    for job in heard.jobs {
                        tally.note_delivered(&heard.bytes[job.body.clone()])?;
                        speech.write_ack(answer, *queue, &[&heard.bytes[job.id.clone()]]);
                        *wanted -= 1;
                        if *wanted == 0 {
                            *wanted = speech.write_wait(answer, inbox, *queue);
                        }
                    }
                    Ok(())
                })?;
                wire.output.append(answer);
                wire.send()?;
                Ok(more)
            }
        }
    }
}

impl Tally {
    fn new(target: &Target, rate: u32) -> Tally {
        let jobs_in = |time: Duration| (f64::from(rate) * time.as_secs_f64()) as u64;
        let recorded = target.count.unwrap_or_else(|| jobs_in(target.duration)).max(1);
        Tally {
            started: Instant::now(),
            interval: 1e9 / f64::from(rate),
            total: jobs_in(WARM_UP) + recorded,
            sent: 0,
            delivered: 0,
            acknowledged: 0,
            replies_per_ack: match target.speech.peer {
                Peer::Nats => 0,
                _ => u64::from(target.speech.expected(Step::Ack, 1).replies),
            },
            end_to_end: latencies(),
            confirmed: latencies(),
        }
    }

    /// Nanoseconds since the start.
    fn now(&self) -> u64 {
        self.started.elapsed().as_nanos() as u64
    }

    /// When the job of this number is to be added.
    fn due(&self, number: u64) -> u64 {
        (number as f64 * self.interval) as u64
    }

    fn is_complete(&self) -> bool {
        self.delivered >= self.total && self.acknowledged >= self.total * self.replies_per_ack
    }

    fn check_patience(&self, now: u64) -> Result<(), Fault> {
        if now <= self.due(self.total) + PATIENCE.as_nanos() as u64 {
            return Ok(());
        }
        Err(Fault::Undelivered {
            jobs: self.total.saturating_sub(self.delivered),
            seconds: PATIENCE.as_secs(),
        })
    }

    fn note_confirmed(&mut self, due: u64) {
        if due >= WARM_UP.as_nanos() as u64 {
            self.confirmed.saturating_record(self.now().saturating_sub(due));
        }
    }

    fn note_delivered(&mut self, body: &[u8]) -> Result<(), Fault> {
        let stamp = body.get(..STAMP_LEN).and_then(|stamp| std::str::from_utf8(stamp).ok());
        let due = stamp.and_then(|stamp| u64::from_str_radix(stamp, 16).ok());
        let due = due.ok_or_else(|| Fault::Malformed("a job of somebody else".to_string()))?;
        self.delivered += 1;
        if due >= WARM_UP.as_nanos() as u64 {
            self.end_to_end.saturating_record(self.now().saturating_sub(due));
        }
        Ok(())
    }
}
