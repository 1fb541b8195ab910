//! The append-only file of a node: the halves that ship, without their threads. What the loop, the writer's thread
//! and the helper's thread do with them in `src/net/aof` and `src/disk` is done here in the same order, each at its
//! own time, which `gate.rs` tells.

use std::collections::VecDeque;

use disque::aof::{
    BaseFrames, Failure, Finished, HEADER_LEN, Health, Journal, LoadError, Loader, LogFile, Names, Origin,
    Progress, Ready, Rewriter, Seq, Step, Summary, SyncPolicy, SyncTask, Writer,
};
use disque::bus::Message;
use disque::engine::{Effects, Engine, Hold, SendTo, Walk};
use disque::types::{Millis, NodeId, UnixMillis};

use super::chance::Chance;
use super::ledger::Id;
use super::sim_disk::SimDisk;

const NAME: &str = "disque.aof";
/// How much is read of a file at once.
const READ: usize = 1 << 16;
/// Job slots that a rewrite visits at once.
const SLOTS: usize = 200;
/// Pause after a rewrite that failed, and the longest, in microseconds of the world.
const FIRST_PAUSE: u64 = 1_000_000;
const LONGEST_PAUSE: u64 = 60_000_000;

/// What a reply or message waits for: positions in the file that must be where the policy wants them, and on the disk in
/// any case; 0 for none.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wait {
    written: Seq,
    durable: Seq,
}

impl Wait {
    pub fn and(self, other: Wait) -> Wait {
        Wait { written: self.written.max(other.written), durable: self.durable.max(other.durable) }
    }

    /// Which of the queues a message waits in: SYNC makes nobody wait who did not ask for it.
    fn queue(self) -> usize {
        usize::from(self.durable > Seq(0))
    }
}

/// A message to another node that waits for a record.
#[derive(Debug)]
pub struct HeldMessage {
    pub wait: Wait,
    pub to: SendTo,
    pub message: Message<'static>,
    pub only_here: Vec<Id>,
}

/// What the loop has handed to the writer, and the helper told it, since it last looked.
#[derive(Debug, Default)]
struct Inbox {
    bytes: Vec<u8>,
    switch: Option<LogFile<usize>>,
    behind: Vec<u8>,
    anchored: Option<u64>,
    synced: Option<(SyncTask<usize>, std::io::Result<()>)>,
    want_sync: Seq,
}

impl Inbox {
    fn has_work(&self) -> bool {
        !self.bytes.is_empty()
            || self.switch.is_some()
            || self.anchored.is_some()
            || self.synced.is_some()
            || self.want_sync > Seq(0)
    }
}

#[derive(Debug)]
enum Errand {
    Sync(SyncTask<usize>),
    Begin { number: u64, log: Origin, base: Origin },
    Base(Vec<u8>),
    Finish,
}

/// What the helper tells the loop of a rewrite.
#[derive(Debug)]
pub enum Told {
    Begun(LogFile<usize>),
    Finished(Finished),
    Failed,
}

/// A rewrite under way; without a walk before its log is there, and when everything was visited.
#[derive(Debug)]
struct Rewrite {
    number: u64,
    log_salt: u64,
    base_salt: u64,
    walk: Option<(Walk, BaseFrames)>,
}

/// A file that is written.
#[derive(Debug)]
pub struct Log {
    pub policy: SyncPolicy,
    journal: Journal,
    /// SYNC was asked for up to here in this turn.
    sync_wanted: Seq,
    writer: Writer<SimDisk>,
    rewriter: Rewriter<SimDisk>,
    inbox: Inbox,
    /// The sync that the writer's thread waits for itself.
    syncing: Option<SyncTask<usize>>,
    pub writer_busy: bool,
    errands: VecDeque<Errand>,
    pub helper_busy: bool,
    helper_failed: bool,
    /// What the writer has published.
    progress: Progress,
    seen_health: Health,
    pub failure: Option<Failure>,
    held: [VecDeque<HeldMessage>; 2],
    /// Connections of clients whose output waits.
    pub held_conns: Vec<u64>,
    /// Jobs that others handed over, and positions in the records that say so.
    arrivals: Vec<(Id, Seq)>,
    rewrite: Option<Rewrite>,
    asked: bool,
    not_before: u64,
    pause: u64,
    next_number: u64,
    base_size: u64,
    earlier_bytes: u64,
    salts: Chance,
}

/// Gives an engine what a disk has, and makes the disk ready for writing.
pub fn load(
    disk: &SimDisk,
    engine: &mut Engine,
    now: UnixMillis,
    salt: u64,
) -> Result<(Ready<SimDisk>, Summary), LoadError> {
    let mut loader = Loader::new(disk.clone(), Names::new(NAME))?;
    while loader.step(READ, &mut |record| engine.restore(record))? == Step::More {}
    engine.finish_restore(now, disque::engine::Requeueing::Own);
    let ready = loader.finish(true, origin(engine.me(), now, salt))?;
    let summary = ready.summary.clone();
    Ok((ready, summary))
}

fn origin(node: NodeId, created: UnixMillis, salt: u64) -> Origin {
    Origin { created, node, salt }
}

impl Log {
    pub fn start(
        disk: &SimDisk,
        ready: Ready<SimDisk>,
        policy: SyncPolicy,
        now: Millis,
        salts: Chance,
    ) -> Log {
        let tails: u64 = ready.summary.tails.iter().map(|tail| tail.len).sum();
        let total = ready.summary.bytes - tails;
        let (number, size) = (ready.log.number, ready.log.size);
        Log {
            policy,
            journal: Journal::new(ready.salt, size),
            sync_wanted: Seq(0),
            writer: Writer::new(disk.clone(), ready.log, policy, now),
            rewriter: ready.rewriter,
            inbox: Inbox::default(),
            syncing: None,
            writer_busy: false,
            errands: VecDeque::new(),
            helper_busy: false,
            helper_failed: false,
            progress: Progress::default(),
            seen_health: Health::Good,
            failure: None,
            held: Default::default(),
            held_conns: Vec::new(),
            arrivals: Vec::new(),
            rewrite: None,
            asked: false,
            not_before: 0,
            pause: FIRST_PAUSE,
            next_number: number + 1,
            base_size: total.max(1),
            earlier_bytes: total.saturating_sub(size),
            salts,
        }
    }

    /// Appends what a step tells; the position that its replies must wait for, if they must.
    pub fn append(&mut self, effects: &Effects) -> Option<Wait> {
        for (kind, payload) in effects.appended() {
            self.journal.append(kind, payload);
        }
        let may_forget = self.failure.is_some() && self.policy != SyncPolicy::Always;
        let written = self.journal.seq();
        let wait = match effects.hold() {
            Hold::No => return None,
            Hold::Policy if may_forget => return None,
            Hold::Policy => Wait { written, ..Wait::default() },
            Hold::Disk => {
                self.sync_wanted = written;
                Wait { written, durable: written }
            }
        };
        // What waits behind others goes when they do.
        (!self.held[wait.queue()].is_empty() || !self.lets_go(wait)).then_some(wait)
    }

    /// The loop hands over what was framed in its turn.
    pub fn submit(&mut self) {
        let inbox = &mut self.inbox;
        let into = if inbox.switch.is_some() { &mut inbox.behind } else { &mut inbox.bytes };
        into.append(self.journal.buffer());
        let wanted = std::mem::take(&mut self.sync_wanted);
        if wanted > self.progress.durable && self.policy != SyncPolicy::Always {
            inbox.want_sync = inbox.want_sync.max(wanted);
        }
    }

    /// A message waits until a record is where it is to be.
    pub fn hold(&mut self, held: HeldMessage) {
        self.held[held.wait.queue()].push_back(held);
    }

    /// The next message that waited long enough.
    pub fn released(&mut self) -> Option<HeldMessage> {
        let goes =
            |log: &Log, queue: usize| log.held[queue].front().is_some_and(|held| log.lets_go(held.wait));
        let queue = (0..self.held.len()).find(|queue| goes(self, *queue))?;
        self.held[queue].pop_front()
    }

    /// In the next step another node hands over this job.
    pub fn arrives(&mut self, job: Id) {
        let arrivals = std::mem::take(&mut self.arrivals);
        self.arrivals = arrivals.into_iter().filter(|(_, seq)| !self.is_safe(*seq)).collect();
        self.arrivals.push((job, Seq(self.journal.seq().0 + 1)));
    }

    /// Jobs that were handed over, and are not yet where the operator wants them.
    pub fn arriving(&self) -> impl Iterator<Item = Id> {
        self.arrivals.iter().filter(|(_, seq)| !self.is_safe(*seq)).map(|(job, _)| *job)
    }

    fn is_safe(&self, written: Seq) -> bool {
        self.lets_go(Wait { written, ..Wait::default() })
    }

    /// All messages that still wait.
    pub fn into_held(self) -> impl Iterator<Item = HeldMessage> {
        self.held.into_iter().flatten()
    }

    pub fn writer_has_work(&self) -> bool {
        self.inbox.has_work()
    }

    pub fn helper_has_work(&self) -> bool {
        !self.errands.is_empty()
    }

    /// When the writer acts although it is handed nothing.
    pub fn next_time(&self) -> Option<Millis> {
        self.writer.next_time()
    }

    /// The writer's thread goes on, after its call of the disk; true if it makes another one.
    pub fn write_on(&mut self, now: Millis) -> bool {
        match self.syncing.take() {
            Some(task) => self.writer.perform(&task),
            None => self.take_inbox(),
        }
        while let Some(task) = self.writer.run(now) {
            if self.policy == SyncPolicy::Always || self.writer.is_switching() {
                self.syncing = Some(task);
                return true;
            }
            self.errands.push_back(Errand::Sync(task));
        }
        self.progress = self.writer.progress();
        false
    }

    fn take_inbox(&mut self) {
        let mut taken = std::mem::take(&mut self.inbox);
        if let Some((task, result)) = taken.synced.take() {
            self.writer.synced(&task, result);
        }
        self.writer.feed(&mut taken.bytes);
        if let Some(log) = taken.switch.take() {
            self.writer.switch(log);
            self.writer.feed(&mut taken.behind);
        }
        if let Some(number) = taken.anchored.take() {
            self.writer.anchored(number);
        }
        self.writer.want_sync(taken.want_sync);
    }

    /// The helper's thread does its next errand.
    pub fn run_errand(&mut self, layer: &mut SimDisk) -> Option<Told> {
        match self.errands.pop_front()? {
            Errand::Sync(task) => {
                let result = task.perform(layer);
                self.inbox.synced = Some((task, result));
                None
            }
            Errand::Begin { number, log, base } => {
                let rewriter = &mut self.rewriter;
                let begun = rewriter
                    .make_log(number, log)
                    .and_then(|file| rewriter.begin(number, base).map(|()| file));
                self.helper_failed = begun.is_err();
                Some(begun.map_or(Told::Failed, Told::Begun))
            }
            Errand::Base(_) | Errand::Finish if self.helper_failed => None,
            Errand::Base(bytes) => {
                let written = self.rewriter.write(&bytes);
                self.helper_failed = written.is_err();
                written.is_err().then(|| {
                    self.rewriter.give_up();
                    Told::Failed
                })
            }
            Errand::Finish => Some(self.rewriter.finish().map_or(Told::Failed, |finished| {
                self.inbox.anchored = Some(finished.number);
                Told::Finished(finished)
            })),
        }
    }

    /// The loop looks at what has become of the writing. True if the file can be written now and could not, or the
    /// other way.
    pub fn update(&mut self) -> bool {
        let health = self.progress.health.clone();
        if health == self.seen_health {
            return false;
        }
        self.seen_health = health.clone();
        self.asked |= health.needs_rewrite(self.rewrite.is_some());
        let failure = health.failure().cloned();
        let changed = self.failure.is_some() != failure.is_some();
        self.failure = failure;
        changed
    }

    pub fn is_lost(&self) -> bool {
        matches!(self.seen_health, Health::Lost(_))
    }

    /// Whether what waits so may go.
    pub fn lets_go(&self, wait: Wait) -> bool {
        let open = match self.policy {
            SyncPolicy::Always => self.progress.durable,
            SyncPolicy::EverySecond | SyncPolicy::No => self.progress.written,
        };
        wait.written <= open && wait.durable <= self.progress.durable
    }

    /// BGREWRITEAOF.
    pub fn ask_rewrite(&mut self) {
        self.asked = true;
        self.not_before = 0;
    }

    pub fn is_rewriting(&self) -> bool {
        self.rewrite.is_some()
    }

    /// When a rewrite that is wanted, and cannot begin yet, is to be tried again.
    pub fn next_rewrite(&self) -> Option<u64> {
        (self.asked && self.rewrite.is_none()).then_some(self.not_before)
    }

    /// Begins a rewrite if one is wanted or due, and possible.
    pub fn consider_rewrite(&mut self, node: NodeId, min_size: u64, axis: UnixMillis, now: u64) {
        let size = self.earlier_bytes + self.writer.log().size;
        self.asked |= size > min_size && size >= self.base_size.saturating_mul(2);
        if !self.asked || self.rewrite.is_some() || now < self.not_before {
            return;
        }
        if self.writer.is_switching() || self.inbox.switch.is_some() {
            self.not_before = now + 50_000;
            return;
        }
        let number = self.next_number;
        let (log_salt, base_salt) = (self.salts.next(), self.salts.next());
        self.asked = false;
        self.rewrite = Some(Rewrite { number, log_salt, base_salt, walk: None });
        self.errands.push_back(Errand::Begin {
            number,
            log: origin(node, axis, log_salt),
            base: origin(node, axis, base_salt),
        });
    }

    /// What the helper told; true if the walk begins.
    pub fn hear(&mut self, told: &Told, now: u64) -> bool {
        match told {
            Told::Begun(log) => {
                self.switch(log.clone());
                return true;
            }
            Told::Finished(finished) => {
                self.rewrite = None;
                self.earlier_bytes = finished.size;
                self.base_size = finished.size + self.writer.log().size;
                self.pause = FIRST_PAUSE;
            }
            Told::Failed => {
                self.rewrite = None;
                self.not_before = now + self.pause;
                self.pause = (self.pause * 2).min(LONGEST_PAUSE);
                self.asked |= self.failure.is_some();
            }
        }
        false
    }

    fn switch(&mut self, log: LogFile<usize>) {
        let Some(rewrite) = &mut self.rewrite else { return };
        self.next_number = log.number + 1;
        let old_size = self.writer.log().size + self.journal.buffer().len() as u64;
        rewrite.walk = Some((Walk::Start, BaseFrames::new(rewrite.base_salt)));
        let salt = rewrite.log_salt;
        self.submit();
        self.inbox.switch = Some(log);
        self.journal.switch(salt, HEADER_LEN as u64);
        self.earlier_bytes += old_size;
    }

    /// The loop goes on with the walk of a rewrite; true if there is more of it.
    pub fn walk(&mut self, engine: &Engine) -> bool {
        let Some((walk, mut frames)) = self.rewrite.as_mut().and_then(|rewrite| rewrite.walk.take()) else {
            return false;
        };
        let mut bytes = Vec::new();
        let walk = engine.walk(walk, SLOTS, |record| frames.add(record, &mut bytes));
        let done = walk == Walk::Done;
        if done {
            frames.end(&mut bytes);
        } else if let Some(rewrite) = &mut self.rewrite {
            rewrite.walk = Some((walk, frames));
        }
        self.errands.push_back(Errand::Base(bytes));
        if done {
            self.errands.push_back(Errand::Finish);
        }
        !done
    }
}
