//! The event loop that drives the connections through a plan.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use mio::{Events, Interest, Poll, Token};

use super::fault::Fault;
use super::link::Link;
use super::peer::Step;
use super::progress::Progress;
use super::speech::Speech;
use super::wire::Scratch;

/// A server that says nothing for so long is stuck.
const PATIENCE: Duration = Duration::from_secs(20);

/// What every connection does, again and again, and when it is enough.
#[derive(Clone, Copy)]
pub(super) struct Plan<'a> {
    pub(super) steps: &'a [Step],
    pub(super) window: u32,
    pub(super) limit: Limit,
}

/// When a connection starts no further turn.
#[derive(Clone, Copy, Debug)]
pub(super) enum Limit {
    /// When all connections together have begun so many jobs.
    Jobs(u64),
    /// When this time has passed.
    Time(Duration),
    /// When it has begun to get as many jobs as it added: each from the node to which it added them.
    Added,
    /// When it holds no jobs any more; for acknowledging what was got.
    Held,
}

/// What driving a plan has brought.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Driven {
    pub(super) operations: u64,
    /// Jobs that were begun.
    pub(super) jobs: u64,
    pub(super) voids: u64,
    pub(super) elapsed: Duration,
}

/// Connections and the loop that drives them.
pub(super) struct Load {
    poll: Poll,
    events: Events,
    links: Vec<Link>,
    scratch: Scratch,
    progress: Progress,
}

impl Load {
    /// Connects to the addresses in turn.
    pub(super) fn open(
        addresses: &[SocketAddr],
        connections: u32,
        speech: &Speech,
        progress: Progress,
    ) -> Result<Load, Fault> {
        let poll = Poll::new()?;
        let mut links = Vec::new();
        for (number, address) in (0..connections).zip(addresses.iter().cycle()) {
            let mut link = Link::open(*address, speech, number)?;
            let interest = Interest::READABLE | Interest::WRITABLE;
            poll.registry().register(&mut link.wire.stream, Token(number as usize), interest)?;
            links.push(link);
        }
        Ok(Load {
            poll,
            events: Events::with_capacity(connections as usize),
            links,
            scratch: Scratch::new(),
            progress,
        })
    }

    /// Drives all connections until each has come to the limit and everything is answered.
    pub(super) fn drive(
        &mut self,
        speech: &Speech,
        plan: Plan<'_>,
        latency: &mut Histogram<u64>,
    ) -> Result<Driven, Fault> {
        let started = Instant::now();
        let mut drive = Drive { speech, plan, latency, started, begun: 0, operations: 0, voids: 0 };
        let mut busy = 0;
        for link in &mut self.links {
            link.next_step = plan.steps.len();
            busy += usize::from(drive.send_next(link, Instant::now())?);
        }
        while busy > 0 {
            self.poll.poll(&mut self.events, Some(PATIENCE))?;
            if self.events.is_empty() {
                return Err(Fault::Stalled(PATIENCE.as_secs()));
            }
            for event in &self.events {
                let link = &mut self.links[event.token().0];
                if link.is_waiting() && !drive.go_on(link, &mut self.scratch)? {
                    busy -= 1;
                }
            }
            self.progress.show(plan.steps, drive.operations, started);
        }
        self.progress.clear();
        let Drive { operations, begun: jobs, voids, .. } = drive;
        Ok(Driven { operations, jobs, voids, elapsed: started.elapsed() })
    }
}

/// A plan while it is carried out.
struct Drive<'a> {
    speech: &'a Speech,
    plan: Plan<'a>,
    latency: &'a mut Histogram<u64>,
    started: Instant,
    /// How many jobs have been begun.
    begun: u64,
    operations: u64,
    voids: u64,
}

impl Drive<'_> {
    /// Receives what has come and, if that was all, sends the next window; false if there is none.
    fn go_on(&mut self, link: &mut Link, scratch: &mut Scratch) -> Result<bool, Fault> {
        link.wire.send()?;
        loop {
            let received = link.receive(self.speech, scratch)?;
            // One look at the clock for all replies that came together.
            let now = Instant::now();
            if received.jobs > 0 {
                let waited = now.duration_since(link.sent_at).as_nanos() as u64;
                self.latency.saturating_record_n(waited, u64::from(received.jobs));
                self.operations += u64::from(received.jobs);
                self.voids += u64::from(received.voids);
            }
            if !link.is_waiting() {
                return self.send_next(link, now);
            }
            if !received.more {
                return Ok(true);
            }
        }
    }

    fn send_next(&mut self, link: &mut Link, now: Instant) -> Result<bool, Fault> {
        // A step can be empty: if nothing was got, nothing is acknowledged. Every turn has one that is not.
        while !link.is_waiting() {
            if link.next_step == self.plan.steps.len() {
                let jobs = self.jobs_of_next_turn(link, now);
                if jobs == 0 {
                    return Ok(false);
                }
                link.turn = (self.begun, jobs);
                self.begun += u64::from(jobs);
                link.next_step = 0;
            }
            link.prepare(self.speech, self.plan.steps[link.next_step], self.plan.window);
            link.next_step += 1;
        }
        link.sent_at = now;
        link.wire.send()?;
        Ok(true)
    }

    fn jobs_of_next_turn(&self, link: &Link, now: Instant) -> u32 {
        let window = self.plan.window;
        let at_most = |jobs: u64| jobs.min(u64::from(window)) as u32;
        match self.plan.limit {
            Limit::Jobs(jobs) => at_most(jobs - self.begun),
            Limit::Time(time) if now.duration_since(self.started) < time => window,
            Limit::Time(_) => 0,
            Limit::Added => at_most(link.added),
            Limit::Held => at_most(link.held.len() as u64),
        }
    }
}
