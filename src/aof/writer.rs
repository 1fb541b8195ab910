//! What is done with appended records: when they are written, when they are synced, what an error means.
//!
//! The writer has no thread and no clock. Whoever drives it feeds it bytes, calls [`Writer::run`] with the time,
//! performs the sync that it asks for, and publishes its [`Progress`].
//!
//! * All that is waiting is written at once and synced at once: whoever waits for the disk shares the wait.
//! * A write that fails leaves nothing: the file is cut to what it was, the bytes are kept, and it is tried again
//!   with growing pauses, up to a second. Nothing is lost, and it ends when the disk is back.
//! * A sync that fails is not tried again, since systems forget what they could not write and then report
//!   success. From then on the file is not believed: bytes are dropped, nothing more counts as durable, and only
//!   another file with a new base, made of what is in memory, ends it.
//! * The same happens if the disk is away for so long that the bytes kept are too many.

use std::io;

use super::layer::{FileLayer, uninterrupted, write_all};
use crate::types::Millis;

/// A position in the stream of appended bytes, counted since the writer was started, over all files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Seq(pub u64);

/// When written bytes are synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SyncPolicy {
    /// Before anybody is told of them.
    Always,
    /// Once a second.
    EverySecond,
    /// When the system likes.
    No,
}

/// How far the writer is, and how it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// What survives the process.
    pub written: Seq,
    /// What survives a power cut.
    pub durable: Seq,
    /// Whether the file can be written, and is believed.
    pub health: Health,
}

/// How a file is doing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Health {
    /// Well.
    #[default]
    Good,
    /// It cannot be written at the moment; tried again.
    Failing(Failure),
    /// It is not believed: another file and a new base are needed.
    Lost(Failure),
    /// Another file is being written instead of the one that failed so, and its base is not finished.
    Recovering(Failure),
}

impl Health {
    /// What is wrong, for as long as it matters to those who wait for the file.
    pub fn failure(&self) -> Option<&Failure> {
        match self {
            Health::Good => None,
            Health::Failing(failure) | Health::Lost(failure) | Health::Recovering(failure) => Some(failure),
        }
    }

    /// Whether a rewrite must be asked for; without one, the file stays as it is for ever. Of a file that recovers the base
    /// may have failed before it was known that the base was needed.
    pub fn needs_rewrite(&self, is_rewriting: bool) -> bool {
        match self {
            Health::Good | Health::Failing(_) => false,
            Health::Lost(_) => true,
            Health::Recovering(_) => !is_rewriting,
        }
    }
}

/// An error of the disk, in words that can be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What was tried.
    pub call: &'static str,
    /// What the system said.
    pub reason: String,
    /// Its number for it, if it has one.
    pub code: Option<i32>,
}

impl Failure {
    pub(super) fn new(call: &'static str, error: &io::Error) -> Failure {
        let text = error.to_string();
        let reason = text.split(" (os error").next().unwrap_or_default().to_owned();
        Failure { call, reason, code: error.raw_os_error() }
    }
}

/// A log that can be written to.
#[derive(Clone, Debug)]
pub struct LogFile<F> {
    /// The open file.
    pub file: F,
    /// Its number.
    pub number: u64,
    /// Where its last record ends.
    pub size: u64,
}

/// A sync that is due: the driver performs it on this file and reports to [`Writer::synced`].
#[derive(Clone, Debug)]
pub struct SyncTask<F> {
    file: F,
    number: u64,
    up_to: Seq,
}

#[derive(Debug)]
struct NextLog<F> {
    log: LogFile<F>,
    from: Seq,
    waiting: Vec<u8>,
}

impl<F> SyncTask<F> {
    /// Syncs the file, by way of any layer for the same directory.
    pub fn perform<L: FileLayer<File = F>>(&self, layer: &mut L) -> io::Result<()> {
        uninterrupted(|| layer.sync(&self.file))
    }
}

/// Writes and decides.
#[derive(Debug)]
pub struct Writer<L: FileLayer> {
    layer: L,
    policy: SyncPolicy,
    log: LogFile<L::File>,
    /// Bytes that are not written yet.
    waiting: Vec<u8>,
    /// The log that comes next, where in the stream it begins, and its bytes so far.
    next: Option<NextLog<L::File>>,
    /// The position behind everything that was fed.
    fed: Seq,
    written: Seq,
    durable: Seq,
    /// Somebody asked that everything up to here be synced, whatever the policy.
    sync_wanted: Seq,
    syncing: bool,
    last_sync: Millis,
    delayed_syncs: u64,
    health: Health,
    /// What was published when the file was lost: stays until the new one has its base.
    frozen: Option<(Seq, Seq)>,
    retry_at: Millis,
    pause: Millis,
}

/// Pause after the first failed write, and the longest one.
const FIRST_PAUSE: Millis = Millis(50);
const LONGEST_PAUSE: Millis = Millis(1000);
const SECOND: Millis = Millis(1000);

/// So many bytes are kept while the disk is away. Then it is cheaper to begin anew when it is back.
const MAX_WAITING: usize = 256 << 20;
/// A larger buffer is given back once it is empty.
const KEPT_CAPACITY: usize = 4 << 20;

impl<L: FileLayer> Writer<L> {
    /// A writer that goes on with this log, all of which is durable.
    pub fn new(layer: L, log: LogFile<L::File>, policy: SyncPolicy, now: Millis) -> Writer<L> {
        Writer {
            layer,
            policy,
            log,
            waiting: Vec::new(),
            next: None,
            fed: Seq(0),
            written: Seq(0),
            durable: Seq(0),
            sync_wanted: Seq(0),
            syncing: false,
            last_sync: now,
            delayed_syncs: 0,
            health: Health::Good,
            frozen: None,
            retry_at: Millis(0),
            pause: FIRST_PAUSE,
        }
    }

    /// Takes appended frames, and leaves an empty buffer. If the writer waits for nothing, the two change places,
    /// so that buffers go back and forth.
    pub fn feed(&mut self, bytes: &mut Vec<u8>) {
        self.fed.0 += bytes.len() as u64;
        let waiting = self.next.as_mut().map_or(&mut self.waiting, |next| &mut next.waiting);
        if matches!(self.health, Health::Lost(_)) {
            bytes.clear();
        } else if waiting.is_empty() {
            std::mem::swap(waiting, bytes);
            bytes.clear();
        } else {
            waiting.append(bytes);
        }
    }

    /// Everything up to here is to be synced soon, whatever the policy.
    pub fn want_sync(&mut self, up_to: Seq) {
        self.sync_wanted = self.sync_wanted.max(up_to);
    }

    /// Changes the policy. What was fed under `always` is synced still: nobody had to ask for it.
    pub fn set_policy(&mut self, policy: SyncPolicy) {
        if self.policy == SyncPolicy::Always {
            self.want_sync(self.fed);
        }
        self.policy = policy;
    }

    /// Frames that are fed from now on are for another log. It is begun when everything before is written and
    /// synced, whatever the policy: a later file must not know more than an earlier one. A lost file is left as
    /// it is.
    ///
    /// Must not be called again before that; see [`Writer::is_switching`].
    pub fn switch(&mut self, log: LogFile<L::File>) {
        assert!(self.next.is_none(), "one log after the other");
        self.next = Some(NextLog { log, from: self.fed, waiting: Vec::new() });
        if matches!(self.health, Health::Lost(_)) {
            let next = self.next.take().expect("it was just put there");
            self.take_over(next);
        }
    }

    /// The next log stands for everything before it.
    fn take_over(&mut self, next: NextLog<L::File>) {
        (self.log, self.waiting) = (next.log, next.waiting);
        (self.written, self.durable) = (next.from, next.from);
        self.syncing = false;
        self.retry_at = Millis(0);
        self.health = match std::mem::take(&mut self.health) {
            Health::Failing(failure) | Health::Lost(failure) => Health::Recovering(failure),
            health => health,
        };
    }

    /// Whether a log is waiting to be begun.
    pub fn is_switching(&self) -> bool {
        self.next.is_some()
    }

    /// Everything before the next log is in its place.
    fn begin_next(&mut self) {
        let next = self.next.take().expect("there is a next log");
        (self.log, self.waiting) = (next.log, next.waiting);
        self.syncing = false;
    }

    /// The base with this number is finished: what the log with this number has can be believed, and what was to
    /// be written before it need not be any more.
    pub fn anchored(&mut self, number: u64) {
        if let Some(next) = self.next.take_if(|next| next.log.number == number) {
            self.take_over(next);
        }
        if number != self.log.number {
            return;
        }
        if matches!(self.health, Health::Recovering(_)) {
            self.health = Health::Good;
        }
        if !matches!(self.health, Health::Lost(_)) {
            self.frozen = None;
        }
    }

    /// Writes what waits, if it is time to. Returns the sync that is due.
    pub fn run(&mut self, now: Millis) -> Option<SyncTask<L::File>> {
        if now >= self.retry_at {
            self.write(now);
        }
        if self.next.as_ref().is_some_and(|next| self.durable >= next.from) {
            self.begin_next();
            self.write(now);
        }
        self.due_sync(now)
    }

    fn write(&mut self, now: Millis) {
        if self.waiting.is_empty() || matches!(self.health, Health::Lost(_)) {
            return;
        }
        match write_all(&mut self.layer, &self.log.file, self.log.size, &self.waiting) {
            Ok(()) => {
                self.log.size += self.waiting.len() as u64;
                self.written.0 += self.waiting.len() as u64;
                self.waiting.clear();
                self.waiting.shrink_to(KEPT_CAPACITY);
                self.pause = FIRST_PAUSE;
                self.health = match std::mem::take(&mut self.health) {
                    Health::Failing(_) if self.frozen.is_none() => Health::Good,
                    Health::Failing(failure) => Health::Recovering(failure),
                    health => health,
                };
            }
            Err(error) => self.write_failed(Failure::new("write", &error), now),
        }
    }

    fn write_failed(&mut self, failure: Failure, now: Millis) {
        // Whether that works or not, the next try writes in the same place; a piece of a record at the end is
        // what a reader expects there.
        let (layer, log) = (&mut self.layer, &self.log);
        let _ = uninterrupted(|| layer.truncate(&log.file, log.size));
        self.retry_at = Millis(now.0 + self.pause.0);
        self.pause = Millis((self.pause.0 * 2).min(LONGEST_PAUSE.0));
        if self.waiting_len() > MAX_WAITING {
            self.lose(failure);
        } else {
            self.health = Health::Failing(failure);
        }
    }

    fn lose(&mut self, failure: Failure) {
        self.frozen.get_or_insert((self.written, self.durable));
        self.waiting = Vec::new();
        self.health = Health::Lost(failure);
        // Whatever the next log was for, it does instead of this one from where it begins.
        if let Some(next) = self.next.take() {
            self.take_over(next);
        }
    }

    fn due_sync(&mut self, now: Millis) -> Option<SyncTask<L::File>> {
        let nothing_new = self.durable >= self.written || matches!(self.health, Health::Lost(_));
        if nothing_new {
            return None;
        }
        let by_policy = match self.policy {
            SyncPolicy::Always => true,
            SyncPolicy::EverySecond => now.0 >= self.last_sync.0 + SECOND.0,
            SyncPolicy::No => false,
        };
        if self.syncing {
            self.delayed_syncs += u64::from(by_policy);
            return None;
        }
        let due = by_policy || self.next.is_some() || self.sync_wanted > self.durable;
        due.then(|| self.begin_sync(now))
    }

    fn begin_sync(&mut self, now: Millis) -> SyncTask<L::File> {
        self.syncing = true;
        self.last_sync = now;
        SyncTask { file: self.log.file.clone(), number: self.log.number, up_to: self.written }
    }

    /// A sync that was asked for is over. One of a file that was left meanwhile tells nothing.
    pub fn synced(&mut self, task: &SyncTask<L::File>, result: io::Result<()>) {
        if task.number != self.log.number {
            return;
        }
        self.syncing = false;
        match result {
            Ok(()) => self.durable = self.durable.max(task.up_to),
            Err(error) if matches!(self.health, Health::Lost(_)) => drop(error),
            Err(error) => self.lose(Failure::new("fsync", &error)),
        }
    }

    /// Writes and syncs everything here and now, for those who end.
    pub fn sync_now(&mut self, now: Millis) {
        self.retry_at = now;
        self.want_sync(self.fed);
        // One that is under way may have begun too early.
        self.syncing = false;
        // Once for the log at hand, and once for the next one.
        for _ in 0..2 {
            if let Some(task) = self.run(now) {
                self.perform(&task);
            }
        }
    }

    /// Performs a sync on the driver's own thread.
    pub fn perform(&mut self, task: &SyncTask<L::File>) {
        let result = task.perform(&mut self.layer);
        self.synced(task, result);
    }

    /// How often a sync was due while the one before was under way.
    pub fn delayed_syncs(&self) -> u64 {
        self.delayed_syncs
    }

    /// When [`Writer::run`] has something to do although nothing was fed.
    pub fn next_time(&self) -> Option<Millis> {
        if matches!(self.health, Health::Lost(_)) {
            return None;
        }
        let retry = (self.waiting_len() > 0).then_some(self.retry_at);
        let unsynced = self.durable < self.written && self.policy == SyncPolicy::EverySecond && !self.syncing;
        let sync = unsynced.then_some(Millis(self.last_sync.0 + SECOND.0));
        retry.into_iter().chain(sync).min()
    }

    /// How far it is. While a lost file has no successor with a base, nothing advances.
    pub fn progress(&self) -> Progress {
        let (written, durable) = self.frozen.unwrap_or((self.written, self.durable));
        Progress { written, durable, health: self.health.clone() }
    }

    /// The log at hand.
    pub fn log(&self) -> &LogFile<L::File> {
        &self.log
    }

    /// How many bytes wait to be written.
    pub fn waiting_len(&self) -> usize {
        self.waiting.len() + self.next.as_ref().map_or(0, |next| next.waiting.len())
    }

    /// Whether a sync is under way.
    pub fn is_syncing(&self) -> bool {
        self.syncing
    }

    /// Ends it, and gives back the files.
    pub fn into_layer(self) -> L {
        self.layer
    }
}
