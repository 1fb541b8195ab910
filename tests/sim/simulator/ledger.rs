//! What clients were told, and what follows from it.
//!
//! The ledger hears requests as they are sent and replies as they are received; it never looks into a node. Two
//! things it is told by the world, since no client can know them: when a node sent a reply (leases run from there),
//! when a crash took the last copy of a job, or the last knowledge that it is done
//! (a disk that is to keep its promises takes nothing).
//!
//! What is checked:
//! * nothing is delivered that was not added, or whose add was refused; queue, body and ID are those of the add;
//! * a job added once has one ID;
//! * a RETRY 0 job is delivered once at the most, and once unless something excuses its loss;
//! * no delivery before the delay is over, or after the expiry;
//! * without a fault, no delivery before the lease has run out, and none after an acknowledgement or FASTACK; after a fault,
//!   none after an acknowledgement that the cluster had time to spread;
//! * a confirmed job is delivered until somebody acknowledges it, unless crashes took the last copy, and as many as
//!   its producer was promised;
//! * paused means paused.

use std::collections::BTreeMap;

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use super::chance::mix;
use super::history::History;
use super::plan::{Kind, MS, OLDEST_BYTES, SECOND};

pub type Id = [u8; 40];

/// What was found wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    pub at: u64,
    /// Short and always the same for the same kind, for counting and shrinking.
    pub kind: &'static str,
    pub text: String,
}

/// What a producer asks for.
#[derive(Clone, Debug)]
pub struct Wish {
    pub queue: u8,
    pub body_len: usize,
    pub replicate: Option<u16>,
    pub retry: Option<u64>,
    pub ttl: u64,
    pub delay: u64,
    pub asynchronous: bool,
    /// The copies are to be on disks.
    pub sync: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Asked for; no answer yet, or none that says what became of it.
    Unknown,
    Refused,
    Told,
}

#[derive(Debug)]
pub struct Job {
    pub wish: Wish,
    pub asked_at: u64,
    pub told_at: u64,
    pub outcome: Outcome,
    pub id: Option<Id>,
    pub deliveries: u32,
    /// When the last delivery, or the last answer to WORKING, was sent: the lease runs from there.
    lease_from: u64,
    last_node: usize,
    /// Somebody asked for another delivery, or otherwise meddled, since the last one.
    asked_again: bool,
    /// When the first answer to an ACKJOB was sent.
    pub acked_at: u64,
    pub ack_tried: bool,
    /// DELJOB or FASTACK was sent.
    pub cancelled: bool,
    /// When the first answer to a FASTACK was sent.
    fast_acked_at: u64,
    pub fate: Fate,
}

/// What happened to a job that no client can know.
#[derive(Clone, Copy, Debug, Default)]
pub struct Fate {
    /// How many copies crashes took, and with them what their nodes knew of the other holders.
    copies_lost: u32,
    /// How many of them although their disks had failed, were flipped, emptied or exchanged: no others may be of those that
    /// SYNC has promised.
    disks_lost: u32,
    /// One of them was the last.
    gone: bool,
    /// A crash took from the last node that knew it what it knew of the acknowledgement.
    ack_forgotten: bool,
    /// A disk that failed, was emptied or changed took the acknowledgement from a node, perhaps not the last one.
    ack_disk_lost: bool,
    /// A node went on from a file that did not tell how things stood last.
    stale: bool,
    /// Something happened by which an at-most-once job may be lost.
    pub excused: bool,
    /// Nodes handed it to each other.
    moved: bool,
}

impl Fate {
    fn take(&mut self, news: Fate) {
        self.copies_lost += news.copies_lost;
        self.disks_lost += news.disks_lost;
        self.gone |= news.gone;
        self.ack_forgotten |= news.ack_forgotten;
        self.ack_disk_lost |= news.ack_disk_lost;
        self.stale |= news.stale;
        self.excused |= news.excused;
        self.moved |= news.moved;
    }
}

impl Job {
    pub fn is_at_most_once(&self) -> bool {
        self.wish.retry == Some(0)
    }

    fn retry(&self) -> u64 {
        // The default of ADDJOB: a tenth of the life, between one second and five minutes.
        let tenth = self.wish.ttl / SECOND / 10 * SECOND;
        self.wish.retry.unwrap_or(tenth.clamp(SECOND, 300 * SECOND))
    }
}

/// Totals over all jobs.
#[derive(Clone, Debug, Default)]
pub struct Counts {
    pub adds: u64,
    pub told: u64,
    pub refused: u64,
    pub unknown: u64,
    pub deliveries: u64,
    pub acks: u64,
    pub operations: u64,
    /// Extra deliveries by cause.
    pub extra: BTreeMap<String, u64>,
    pub lost_beyond: u64,
    /// ASYNC jobs of which no node had promised a copy.
    pub lost_unconfirmed: u64,
    pub at_most_once: u64,
    pub at_most_once_excused: u64,
    /// RETRY 0 jobs delivered twice, since the record of the first delivery was lost with a disk.
    pub at_most_once_stale: u64,
    /// Starts from an append-only file, those after which nothing may be missing, and the jobs that they brought back.
    pub restarts: u64,
    pub restarts_whole: u64,
    pub restored: u64,
    /// Copies of jobs with several that were seen when all was well again, and those that no other holder knew of.
    pub copies_seen: u64,
    pub copies_unknown: u64,
}

#[derive(Debug, Default)]
pub struct Ledger {
    pub jobs: Vec<Job>,
    by_id: HashMap<Id, u32, FixedState>,
    /// Of jobs whose IDs nobody was told yet.
    strangers: HashMap<Id, Fate, FixedState>,
    /// How far wall clocks were set, in all.
    pub clocks_set_by: u64,
    pub counts: Counts,
    pub violations: Vec<Violation>,
    pub history: History,
    /// Queues that are paused in output at a node, and since when.
    paused_out: BTreeMap<(usize, u8), u64>,
    paused_in: BTreeMap<(usize, u8), u64>,
}

/// Without faults, an acknowledgement reaches all holders within this time, and leases are exact up to it.
const CALM_SLACK: u64 = SECOND;
/// An acknowledgement that met no fault for this long is known to all holders: one round of the collection with
/// its longest period, and what it takes to get links up again.
const SPREAD: u64 = 200 * SECOND;
const MAX_VIOLATIONS: usize = 20;

/// The body of the job with this number.
pub fn body(number: usize, len: usize) -> Vec<u8> {
    let mut body = format!("job {number};").into_bytes();
    let mut word = number as u64;
    while body.len() < len {
        word = mix(word.wrapping_add(1));
        body.extend_from_slice(&word.to_le_bytes());
    }
    body
}

fn number_in(body: &[u8]) -> Option<usize> {
    let end = body.iter().position(|byte| *byte == b';')?;
    std::str::from_utf8(body.get(4..end)?).ok()?.parse().ok()
}

pub fn queue_name(queue: u8) -> Vec<u8> {
    format!("queue-{queue}").into_bytes()
}

pub fn text(id: &[u8]) -> String {
    String::from_utf8_lossy(id).into_owned()
}

impl Ledger {
    pub fn violate(&mut self, at: u64, kind: &'static str, text: String) {
        if self.violations.len() < MAX_VIOLATIONS {
            self.violations.push(Violation { at, kind, text });
        }
    }

    /// A producer sends ADDJOB; gives the job's number.
    pub fn add(&mut self, wish: Wish, now: u64) -> usize {
        self.counts.adds += 1;
        self.counts.operations += 1;
        self.counts.at_most_once += u64::from(wish.retry == Some(0));
        self.jobs.push(Job {
            wish,
            asked_at: now,
            told_at: u64::MAX,
            outcome: Outcome::Unknown,
            id: None,
            deliveries: 0,
            lease_from: 0,
            last_node: usize::MAX,
            asked_again: false,
            acked_at: u64::MAX,
            ack_tried: false,
            cancelled: false,
            fast_acked_at: u64::MAX,
            fate: Fate::default(),
        });
        self.jobs.len() - 1
    }

    pub fn told(&mut self, number: usize, id: &[u8], node: usize, sent: u64, now: u64) {
        self.counts.told += 1;
        self.name(number, id, now);
        let job = &mut self.jobs[number];
        (job.outcome, job.told_at) = (Outcome::Told, now);
        let queue = job.wish.queue;
        if let Some(since) = self.paused_in.get(&(node, queue))
            && self.jobs[number].asked_at > *since
        {
            let text =
                format!("node {node} took job {number} for queue {queue}, paused at {since}, sent {sent}");
            self.violate(now, "paused in input", text);
        }
    }

    pub fn refused(&mut self, number: usize, now: u64) {
        self.counts.refused += 1;
        self.jobs[number].outcome = Outcome::Refused;
        if self.jobs[number].deliveries > 0 {
            self.violate(now, "refused and delivered", format!("job {number}"));
        }
    }

    pub fn unknown(&mut self, _number: usize) {
        self.counts.unknown += 1;
    }

    /// One job of a GETJOB reply.
    pub fn delivered(
        &mut self,
        node: usize,
        queue: &[u8],
        id: &[u8],
        given: &[u8],
        sent: u64,
        now: u64,
    ) -> usize {
        self.counts.deliveries += 1;
        self.counts.operations += 1;
        let known = number_in(given).filter(|number| *number < self.jobs.len());
        let Some(number) = known else {
            self.violate(now, "invented", format!("node {node} delivered {}, never added", text(id)));
            return usize::MAX;
        };
        let wish = &self.jobs[number].wish;
        if body(number, wish.body_len) != given || queue_name(wish.queue) != queue {
            self.violate(now, "changed", format!("node {node} delivered job {number} with other contents"));
        }
        self.name(number, id, now);
        self.judge_delivery(number, node, sent, now);
        let job = &mut self.jobs[number];
        job.deliveries += 1;
        job.lease_from = job.lease_from.max(sent);
        job.last_node = node;
        job.asked_again = false;
        number
    }

    fn judge_delivery(&mut self, number: usize, node: usize, sent: u64, now: u64) {
        let job = &self.jobs[number];
        let queue = job.wish.queue;
        if let Some(since) = self.paused_out.get(&(node, queue))
            && sent > *since
        {
            self.violate(
                now,
                "paused in output",
                format!("node {node} delivered job {number} of queue {queue}"),
            );
        }
        let job = &self.jobs[number];
        if job.outcome == Outcome::Told {
            // What is left of a life is told as a span, and grows by the time that a copy is on its way.
            let felt = self.history.between(job.asked_at, sent) != 0;
            let slack = 3 * SECOND
                + if felt { OLDEST_BYTES } else { 0 }
                + job.wish.ttl / 50
                + self.history.overlap(job.asked_at, sent)
                + self.clocks_set_by;
            if sent > job.told_at + job.wish.ttl + slack {
                let late = (sent - job.told_at - job.wish.ttl) / MS;
                self.violate(now, "delivered after expiry", format!("job {number}, {late} ms late"));
            }
        }
        let job = &self.jobs[number];
        if job.outcome == Outcome::Refused {
            self.violate(now, "refused and delivered", format!("job {number} by node {node}"));
        }
        let job = &self.jobs[number];
        if sent > job.fast_acked_at.saturating_add(CALM_SLACK)
            && self.history.between(job.asked_at, sent) == 0
        {
            self.violate(now, "delivered after FASTACK", format!("job {number} by node {node}"));
        }
        let job = &self.jobs[number];
        if job.deliveries == 0 && !job.asked_again {
            // The producer's time of asking and the node's of hearing it are apart by the latency, in the right direction.
            let slack = SECOND + job.wish.delay / 50 + self.clocks_set_by;
            if sent + slack < job.asked_at + job.wish.delay {
                let early = (job.asked_at + job.wish.delay - sent) / MS;
                self.violate(
                    now,
                    "delivered before its delay",
                    format!("job {number} by node {node}, {early} ms early"),
                );
            }
        }
        let job = &self.jobs[number];
        if job.deliveries == 0 && job.acked_at == u64::MAX {
            return;
        }
        if job.is_at_most_once() && job.deliveries > 0 && job.fate.stale {
            self.counts.at_most_once_stale += 1;
            return;
        }
        if job.is_at_most_once() && job.deliveries > 0 {
            let text = format!(
                "job {number} {} from node {} and node {node}",
                text(&job.id.unwrap_or([0; 40])),
                job.last_node
            );
            return self.violate(now, "RETRY 0 delivered twice", text);
        }
        let cause = self.cause(number, node, sent, now);
        *self.counts.extra.entry(cause).or_default() += 1;
    }

    /// Why a job was delivered once more.
    fn cause(&mut self, number: usize, node: usize, sent: u64, now: u64) -> String {
        let job = &self.jobs[number];
        let faults = self.history.between(job.asked_at, sent);
        let chief = History::chief(faults);
        if job.acked_at != u64::MAX && sent > job.acked_at + CALM_SLACK {
            let since = (sent - job.acked_at) / MS;
            let acked_at = job.acked_at;
            let forgot =
                job.fate.ack_forgotten || job.fate.copies_lost > 0 || self.operators_forgot(job, sent);
            let whole = self.history.was_whole_for(SPREAD, acked_at, sent);
            if faults == 0 || (whole && !forgot && !job.cancelled) {
                let text = format!("job {number} by node {node}, {since} ms after the acknowledgement");
                self.violate(now, "delivered after acknowledgement", text);
            }
            return format!("after ack: {}", chief.map_or("no fault".to_owned(), |kind| format!("{kind:?}")));
        }
        let job = &self.jobs[number];
        if job.asked_again {
            return "asked for".to_owned();
        }
        if job.deliveries == 0 || job.acked_at != u64::MAX {
            return "crossed the ack".to_owned();
        }
        let (retry, passed) = (job.retry(), sent.saturating_sub(job.lease_from));
        // Clocks may differ by what drift and slewing allow, and the codec of RC1 tells spans in seconds.
        if passed + retry / 50 + 20 * MS >= retry {
            return "lease ran out".to_owned();
        }
        let (from, moved) = (job.last_node, job.fate.moved);
        if faults == 0 && !moved {
            let (passed, retry) = (passed / MS, retry / MS);
            let text = format!("job {number} by node {node}, {passed} ms after node {from}, of {retry} ms");
            self.violate(now, "lease cut short", text);
        }
        let same = match (moved && faults == 0, from == node) {
            // While a job is on its way from one node to another, nobody answers a holder that announces itself.
            (true, _) => "moved between nodes",
            (false, true) => "same node",
            (false, false) => "other node",
        };
        format!("early, {same}: {}", chief.map_or("no fault".to_owned(), |kind| format!("{kind:?}")))
    }

    /// Ties a job to its ID.
    fn name(&mut self, number: usize, id: &[u8], now: u64) {
        let Ok(id): Result<Id, _> = id.try_into() else {
            return self.violate(now, "malformed ID", text(id));
        };
        match self.jobs[number].id {
            None => {
                self.jobs[number].id = Some(id);
                self.by_id.insert(id, number as u32);
                if let Some(stranger) = self.strangers.remove(&id) {
                    self.jobs[number].fate.take(stranger);
                }
            }
            Some(other) if other != id => {
                let text = format!("job {number} is {} and {}", text(&other), text(&id));
                self.violate(now, "two IDs for one job", text);
            }
            Some(_) => {}
        }
    }

    /// Whether something that operators did may have made nodes forget that a job is acknowledged.
    fn operators_forgot(&self, job: &Job, now: u64) -> bool {
        let forgetting = 1 << Kind::NewId as u8 | 1 << Kind::MemoryCritical as u8 | 1 << Kind::Forget as u8;
        // Another cluster cannot know what was acknowledged in this one.
        let elsewhere = self.history.between(job.acked_at, job.acked_at) & (1 << Kind::Merge as u8) != 0;
        elsewhere || self.history.between(job.asked_at, now) & forgetting != 0
    }

    /// Whether a worker was told that this job is acknowledged, neither operators nor disks made nodes forget it, and it
    /// still lives.
    pub fn is_remembered(&self, id: &Id, now: u64) -> bool {
        let job = self.number(id).and_then(|number| self.jobs.get(number));
        self.is_done(id)
            && !self.may_have_expired(id, now)
            && job.is_some_and(|job| !job.fate.ack_disk_lost && !self.operators_forgot(job, now))
    }

    /// Whether a worker was told that this job is acknowledged, and nobody went behind its back or forgot.
    pub fn is_done(&self, id: &Id) -> bool {
        let job = self.number(id).and_then(|number| self.jobs.get(number));
        job.is_some_and(|job| {
            let forgotten = job.fate.ack_forgotten || job.fate.stale || job.fate.copies_lost > 0;
            // One whose producer waits for copies is taken back with DELJOB when they do not come in time. Spare copies of
            // one that may be delivered once are never queued, and may stay until they expire.
            let was_added = job.outcome == Outcome::Told && !job.is_at_most_once();
            was_added && job.acked_at != u64::MAX && !job.cancelled && !forgotten
        })
    }

    /// Whether clocks may take this job's life for over.
    pub fn may_have_expired(&self, id: &Id, now: u64) -> bool {
        let job = self.number(id).and_then(|number| self.jobs.get(number));
        job.is_some_and(|job| {
            now + SECOND + job.wish.ttl / 50 + self.clocks_set_by >= job.asked_at + job.wish.ttl
        })
    }

    pub fn number(&self, id: &[u8]) -> Option<usize> {
        let id: &Id = id.try_into().ok()?;
        self.by_id.get(id).map(|number| *number as usize)
    }

    fn job_mut(&mut self, id: &[u8]) -> Option<&mut Job> {
        let number = self.number(id)?;
        self.jobs.get_mut(number)
    }

    pub fn ack_sent(&mut self, id: &[u8]) {
        self.counts.operations += 1;
        if let Some(job) = self.job_mut(id) {
            job.ack_tried = true;
        }
    }

    pub fn ack_told(&mut self, id: &[u8], sent: u64) {
        self.counts.acks += 1;
        if let Some(job) = self.job_mut(id) {
            job.acked_at = job.acked_at.min(sent);
        }
    }

    pub fn fast_ack_told(&mut self, id: &[u8], sent: u64) {
        if let Some(job) = self.job_mut(id) {
            job.fast_acked_at = job.fast_acked_at.min(sent);
        }
    }

    pub fn cancel_sent(&mut self, id: &[u8]) {
        self.counts.operations += 1;
        if let Some(job) = self.job_mut(id) {
            job.cancelled = true;
            job.asked_again = true;
        }
    }

    /// NACK, ENQUEUE or DEQUEUE: leases mean nothing until the next delivery.
    pub fn meddled(&mut self, id: &[u8]) {
        self.counts.operations += 1;
        if let Some(job) = self.job_mut(id) {
            job.asked_again = true;
        }
    }

    pub fn working_told(&mut self, id: &[u8], sent: u64) {
        self.counts.operations += 1;
        if let Some(job) = self.job_mut(id) {
            job.lease_from = job.lease_from.max(sent);
        }
    }

    /// A reply, or a message that moves jobs, will never arrive; this at-most-once job may be gone.
    pub fn excuse(&mut self, id: &[u8]) {
        self.tell_or_keep(id, Fate { excused: true, ..Fate::default() });
    }

    /// A node hands the job to another one.
    pub fn moved(&mut self, id: &[u8]) {
        self.tell_or_keep(id, Fate { moved: true, ..Fate::default() });
    }

    /// A node lost its copy of this job, and perhaps it was the last one; or what its disk had kept of it.
    pub fn copy_lost(&mut self, id: &[u8], last: bool, disk: bool) {
        let disks_lost = u32::from(disk);
        self.tell_or_keep(
            id,
            Fate { copies_lost: 1, disks_lost, gone: last, excused: true, ..Fate::default() },
        );
    }

    /// The last node that knew it forgot that this job is done.
    pub fn ack_lost(&mut self, id: &[u8]) {
        self.tell_or_keep(id, Fate { ack_forgotten: true, ..Fate::default() });
    }

    /// A node lost what its disk had kept of the acknowledgement.
    pub fn ack_disk_lost(&mut self, id: &[u8]) {
        self.tell_or_keep(id, Fate { ack_disk_lost: true, ..Fate::default() });
    }

    /// A node goes on with this job from a state that may not be the last.
    pub fn is_stale(&mut self, id: &[u8]) {
        self.tell_or_keep(id, Fate { stale: true, ..Fate::default() });
    }

    /// A node ended before a copy that it had confirmed to nobody was safe. It does not count as lost, but there may be no
    /// other one.
    pub fn unstored_copy_lost(&mut self, id: &[u8], last: bool) {
        self.tell_or_keep(id, Fate { gone: last, ..Fate::default() });
    }

    /// What another node had just handed to this one was not yet stored: the end of one that may be delivered only once.
    pub fn import_lost(&mut self, id: &[u8]) {
        if let Some(job) = self.job_mut(id)
            && job.fate.moved
        {
            job.fate.excused = true;
        }
    }

    fn tell_or_keep(&mut self, id: &[u8], news: Fate) {
        let Ok(id): Result<Id, _> = id.try_into() else { return };
        match self.by_id.get(&id) {
            Some(number) => self.jobs[*number as usize].fate.take(news),
            None => self.strangers.entry(id).or_default().take(news),
        }
    }

    /// An operator was told that a queue is paused, or sends the request to open it.
    pub fn pause(&mut self, node: usize, queue: u8, output: Option<u64>, input: Option<u64>) {
        self.paused_out.remove(&(node, queue));
        self.paused_in.remove(&(node, queue));
        output.map(|at| self.paused_out.insert((node, queue), at));
        input.map(|at| self.paused_in.insert((node, queue), at));
    }

    pub fn unpause_all(&mut self, node: Option<usize>) {
        self.paused_out.retain(|(at, _), _| node.is_some_and(|node| *at != node));
        self.paused_in.retain(|(at, _), _| node.is_some_and(|node| *at != node));
    }

    /// Told jobs that nobody acknowledged yet and that must still be delivered.
    pub fn pending(&self, now: u64) -> usize {
        let kept =
            |number: &usize| !self.jobs[*number].fate.gone && !self.may_have_no_copy(&self.jobs[*number]);
        (0..self.jobs.len()).filter(|number| self.is_pending(*number, now) && kept(number)).count()
    }

    fn is_pending(&self, number: usize, now: u64) -> bool {
        let job = &self.jobs[number];
        if job.outcome != Outcome::Told || job.cancelled || job.asked_at + job.wish.ttl < now + 60 * SECOND {
            return false;
        }
        let excused = job.is_at_most_once() && (job.deliveries > 0 || self.may_be_lost(job, now));
        !job.ack_tried && !excused
    }

    /// Whether something may have taken an at-most-once job on its way.
    fn may_be_lost(&self, job: &Job, now: u64) -> bool {
        // What a node gets from one that it has forgotten meanwhile it does not take.
        let forgot = self.history.between(job.asked_at, now) & (1 << Kind::Forget as u8) != 0;
        job.fate.excused || forgot || self.may_have_no_copy(job)
    }

    /// ASYNC at a node that keeps no copy itself, because it is leaving or short of memory: the client is told an ID
    /// before anybody has confirmed anything, and the others may refuse or not be reached.
    fn may_have_no_copy(&self, job: &Job) -> bool {
        let external = 1 << Kind::Leave as u8 | 1 << Kind::MemoryHigh as u8 | 1 << Kind::MemoryCritical as u8;
        job.wish.asynchronous && self.history.between(job.asked_at, job.told_at) & external != 0
    }

    /// Whether copies of this at-most-once job may stay until it expires: it was delivered, or lost on its way to where
    /// it was to be queued, or promised to nobody.
    pub fn may_stay(&self, id: &[u8], now: u64) -> bool {
        self.number(id).map(|number| &self.jobs[number]).is_none_or(|job| {
            job.outcome != Outcome::Told || job.deliveries > 0 || self.may_be_lost(job, now)
        })
    }

    /// Whether a job is gone although fewer copies were lost than its producer was promised; or for no reason, if it may
    /// be delivered once.
    fn is_broken_promise(&self, job: &Job, now: u64) -> bool {
        if job.is_at_most_once() {
            return !job.fate.excused;
        }
        // Short of memory, nodes give up copies of which others have more.
        let evicted = self.history.between(job.asked_at, now) & (1 << Kind::MemoryCritical as u8) != 0;
        let promised = job.wish.replicate.filter(|_| !job.wish.asynchronous).map_or(1, u32::from);
        let lost = if job.wish.sync { job.fate.disks_lost } else { job.fate.copies_lost };
        !evicted && lost < promised
    }

    /// After the calm: whatever was promised and did not come is lost.
    pub fn judge_the_end(&mut self, now: u64) {
        for number in 0..self.jobs.len() {
            let job = &self.jobs[number];
            self.counts.at_most_once_excused +=
                u64::from(job.is_at_most_once() && job.fate.excused && job.deliveries == 0);
            if !self.is_pending(number, now) {
                continue;
            }
            let job = &self.jobs[number];
            let id = text(&job.id.unwrap_or([b'?'; 40]));
            if job.fate.gone && !self.is_broken_promise(job, now) {
                self.counts.lost_beyond += 1;
                continue;
            }
            if self.may_have_no_copy(job) {
                self.counts.lost_unconfirmed += 1;
                continue;
            }
            let job = &self.jobs[number];
            let (copies, deliveries) = (job.wish.replicate, job.deliveries);
            let (kind, asynchronous) = if job.is_at_most_once() {
                ("RETRY 0 lost", "")
            } else {
                ("lost", if job.wish.asynchronous { " ASYNC" } else { "" })
            };
            let text = format!(
                "job {number}{asynchronous} {id} REPLICATE {copies:?}, told at {}, delivered {deliveries} times, {} copies lost",
                job.told_at / MS,
                job.fate.copies_lost
            );
            self.violate(now, kind, text);
        }
    }
}
