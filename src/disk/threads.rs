//! The writer thread, and the loop's handle to it and to its helpers.
//!
//! The loop puts what it has framed in a turn into the box and goes on; the writer takes all that has gathered
//! since it last looked. So the more there is to do, the more is done at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use std::{io, mem, thread};

use parking_lot::{Condvar, Mutex};

use super::helper::{self, Errand};
use crate::aof::{
    Failure, FileLayer, Finished, Health, LogFile, Origin, Rewriter, Seq, SyncPolicy, SyncTask, Writer,
};
use crate::types::Millis;

/// Wakes the loop.
pub type Wake = Box<dyn Fn() + Send + Sync>;

/// Milliseconds since the threads were started.
#[derive(Clone, Copy, Debug)]
pub struct Clock(Instant);

impl Clock {
    fn now(self) -> Millis {
        Millis(self.0.elapsed().as_millis() as u64)
    }
}

/// What the loop is told of a rewrite.
#[derive(Debug)]
pub enum Event<F> {
    /// The log is there to be switched to, and the base is begun.
    Begun(LogFile<F>),
    /// The base is finished and has its name.
    Finished(Finished),
    /// It has failed, and was given up.
    Failed(Failure),
}

/// The writer, as the loop sees it.
#[derive(Clone, Debug, Default)]
pub struct DiskStatus {
    /// Whether the file can be written, and is believed.
    pub health: Health,
    /// How far the log is durable.
    pub durable: Seq,
    /// Number of the log at hand.
    pub log_number: u64,
    /// Its size.
    pub log_size: u64,
    /// Whether a sync is under way.
    pub syncing: bool,
    /// How often a sync was due while the one before was under way.
    pub delayed_syncs: u64,
}

/// What the loop, the writer and its helpers share.
pub(super) struct Shared<L: FileLayer> {
    inbox: Mutex<Inbox<L>>,
    filled: Condvar,
    written: AtomicU64,
    durable: AtomicU64,
    /// The loop wants to be woken when this much is written, or durable.
    awaited: AtomicBool,
    status: Mutex<DiskStatus>,
    status_changed: AtomicBool,
    /// Number of the last log that was to be switched to.
    newest_log: AtomicU64,
    events: Mutex<Vec<Event<L::File>>>,
    base_backlog: AtomicUsize,
    wake: Wake,
}

struct Inbox<L: FileLayer> {
    bytes: Vec<u8>,
    switch: Option<LogFile<L::File>>,
    /// Frames for the log that is switched to.
    behind: Vec<u8>,
    want_sync: Seq,
    policy: Option<SyncPolicy>,
    anchored: Option<u64>,
    synced: Option<(SyncTask<L::File>, io::Result<()>)>,
    idle: bool,
    stop: bool,
}

impl<L: FileLayer> Default for Inbox<L> {
    fn default() -> Inbox<L> {
        Inbox {
            bytes: Vec::new(),
            switch: None,
            behind: Vec::new(),
            want_sync: Seq(0),
            policy: None,
            anchored: None,
            synced: None,
            idle: false,
            stop: false,
        }
    }
}

impl<L: FileLayer> Inbox<L> {
    fn has_work(&self) -> bool {
        !self.bytes.is_empty()
            || self.switch.is_some()
            || self.want_sync > Seq(0)
            || self.policy.is_some()
            || self.anchored.is_some()
            || self.synced.is_some()
            || self.stop
    }
}

impl<L: FileLayer> Shared<L> {
    fn order(&self, put: impl FnOnce(&mut Inbox<L>)) {
        let mut inbox = self.inbox.lock();
        put(&mut inbox);
        if mem::take(&mut inbox.idle) {
            drop(inbox);
            self.filled.notify_one();
        }
    }

    pub(super) fn synced(&self, task: SyncTask<L::File>, result: io::Result<()>) {
        self.order(|inbox| inbox.synced = Some((task, result)));
    }

    pub(super) fn anchored(&self, number: u64) {
        self.order(|inbox| inbox.anchored = Some(number));
    }

    pub(super) fn base_written(&self, len: usize) {
        self.base_backlog.fetch_sub(len, Ordering::Relaxed);
        (self.wake)();
    }

    pub(super) fn tell(&self, event: Event<L::File>) {
        self.events.lock().push(event);
        (self.wake)();
    }
}

/// The loop's handle. Dropping it without [`Disk::stop`] leaves what was not written unwritten.
pub struct Disk<L: FileLayer> {
    shared: Arc<Shared<L>>,
    errands: Sender<Errand>,
    writer: JoinHandle<()>,
    syncer: JoinHandle<()>,
    helper: JoinHandle<()>,
}

impl<L> Disk<L>
where
    L: FileLayer + Clone + Send + 'static,
    L::File: Send + Sync,
{
    /// Starts the threads on a log that was loaded. `wake` is called when there is something for the loop.
    pub fn start(
        layer: L,
        log: LogFile<L::File>,
        rewriter: Rewriter<L>,
        policy: SyncPolicy,
        wake: Wake,
    ) -> io::Result<Disk<L>> {
        let shared = Arc::new(Shared {
            inbox: Mutex::new(Inbox::default()),
            filled: Condvar::new(),
            written: AtomicU64::new(0),
            durable: AtomicU64::new(0),
            awaited: AtomicBool::new(false),
            status: Mutex::new(DiskStatus {
                log_number: log.number,
                log_size: log.size,
                ..DiskStatus::default()
            }),
            status_changed: AtomicBool::new(false),
            newest_log: AtomicU64::new(log.number),
            events: Mutex::new(Vec::new()),
            base_backlog: AtomicUsize::new(0),
            wake,
        });
        let (errands, receiver) = channel();
        let helper_shared = Arc::clone(&shared);
        let helper = thread::Builder::new()
            .name("aof-helper".to_owned())
            .spawn(move || helper::run(rewriter, &receiver, &helper_shared))?;
        let (syncs, tasks) = channel();
        let (syncer_layer, syncer_shared) = (layer.clone(), Arc::clone(&shared));
        let syncer = thread::Builder::new()
            .name("aof-sync".to_owned())
            .spawn(move || helper::run_syncs(syncer_layer, &tasks, &syncer_shared))?;
        let clock = Clock(Instant::now());
        let writer = Writer::new(layer, log, policy, clock.now());
        let mut driver = Driver { writer, policy, clock, shared: Arc::clone(&shared), syncs };
        let writer = thread::Builder::new().name("aof-writer".to_owned()).spawn(move || driver.run())?;
        Ok(Disk { shared, errands, writer, syncer, helper })
    }

    /// Hands over what was framed; the buffer is empty afterwards, and often one that was used before.
    pub fn write(&self, bytes: &mut Vec<u8>) {
        self.shared.order(|inbox| {
            let into = if inbox.switch.is_some() { &mut inbox.behind } else { &mut inbox.bytes };
            if into.is_empty() { mem::swap(into, bytes) } else { into.append(bytes) }
        });
    }

    /// What is written from now on goes to this log. What was framed for the old one must have been handed over, and
    /// the last switch must be over.
    pub fn switch(&self, log: LogFile<L::File>) {
        self.shared.newest_log.store(log.number, Ordering::Relaxed);
        self.shared.order(|inbox| {
            assert!(inbox.switch.is_none(), "one log after the other");
            inbox.switch = Some(log);
        });
    }

    /// Whether a log waits to be switched to, however far the writer has got with it; no rewrite can begin before.
    pub fn is_switching(&self) -> bool {
        self.shared.newest_log.load(Ordering::Relaxed) != self.shared.status.lock().log_number
    }

    /// Everything up to here is to be synced, whatever the policy.
    pub fn want_sync(&self, up_to: Seq) {
        self.shared.order(|inbox| inbox.want_sync = inbox.want_sync.max(up_to));
    }

    /// Changes when what is written is synced.
    pub fn set_policy(&self, policy: SyncPolicy) {
        self.shared.order(|inbox| inbox.policy = Some(policy));
    }

    /// How far the log is written.
    pub fn written(&self) -> Seq {
        Seq(self.shared.written.load(Ordering::Acquire))
    }

    /// How far it is durable.
    pub fn durable(&self) -> Seq {
        Seq(self.shared.durable.load(Ordering::Acquire))
    }

    /// The loop waits for progress: it wants to be woken by the next. To be called before it looks how far the
    /// log is, so that nothing is missed.
    pub fn await_progress(&self) {
        self.shared.awaited.store(true, Ordering::SeqCst);
    }

    /// How the writer is, if that has changed.
    pub fn changed_status(&self) -> Option<DiskStatus> {
        self.shared.status_changed.swap(false, Ordering::AcqRel).then(|| self.shared.status.lock().clone())
    }

    /// How the writer is.
    pub fn status(&self) -> DiskStatus {
        self.shared.status.lock().clone()
    }

    /// What has become of a rewrite.
    pub fn events(&self) -> Vec<Event<L::File>> {
        mem::take(&mut self.shared.events.lock())
    }

    /// Begins a rewrite: log and base with this number are made. An [`Event`] tells.
    pub fn begin_rewrite(&self, number: u64, log: Origin, base: Origin, incremental_sync: bool) {
        self.errand(Errand::Begin { number, log, base, incremental_sync });
    }

    /// Appends frames to the base.
    pub fn write_base(&self, bytes: Vec<u8>) {
        self.shared.base_backlog.fetch_add(bytes.len(), Ordering::Relaxed);
        self.errand(Errand::Base(bytes));
    }

    /// How many bytes of the base are handed over and not written.
    pub fn base_backlog(&self) -> usize {
        self.shared.base_backlog.load(Ordering::Relaxed)
    }

    /// The base is whole. An [`Event`] tells when it is in force.
    pub fn finish_rewrite(&self) {
        self.errand(Errand::Finish);
    }

    fn errand(&self, errand: Errand) {
        self.errands.send(errand).expect("the helper runs until its errands end");
    }

    /// Writes and syncs everything, and ends the threads. Waits for the disk. Returns how far it came.
    pub fn stop(self) -> DiskStatus {
        self.shared.order(|inbox| inbox.stop = true);
        self.writer.join().expect("a panic of a thread ends the process");
        self.syncer.join().expect("a panic of a thread ends the process");
        drop(self.errands);
        self.helper.join().expect("a panic of a thread ends the process");
        self.shared.status.lock().clone()
    }
}

/// The writer thread.
struct Driver<L: FileLayer> {
    writer: Writer<L>,
    policy: SyncPolicy,
    clock: Clock,
    shared: Arc<Shared<L>>,
    syncs: Sender<SyncTask<L::File>>,
}

impl<L> Driver<L>
where
    L: FileLayer + Send,
    L::File: Send + Sync,
{
    fn run(&mut self) {
        let mut taken = Inbox::default();
        loop {
            self.wait(&mut taken);
            let stop = taken.stop;
            self.take(&mut taken);
            if stop {
                return self.end(&mut taken);
            }
            self.work();
        }
    }

    /// Writes and syncs all there is. A sync that is under way is waited for: if it fails, the system may report success
    /// to the next one.
    fn end(&mut self, taken: &mut Inbox<L>) {
        while self.writer.is_syncing() {
            self.wait(taken);
            self.take(taken);
            self.work();
        }
        self.writer.sync_now(self.clock.now());
        self.publish();
    }

    /// Waits until there is something to do, and takes all of it. Emptied buffers are left in exchange.
    fn wait(&mut self, taken: &mut Inbox<L>) {
        let mut inbox = self.shared.inbox.lock();
        let deadline = self.writer.next_time().map(|at| self.clock.0 + Duration::from_millis(at.0));
        while !inbox.has_work() {
            inbox.idle = true;
            let timed_out = match deadline {
                Some(at) => self.shared.filled.wait_until(&mut inbox, at).timed_out(),
                None => {
                    self.shared.filled.wait(&mut inbox);
                    false
                }
            };
            if timed_out {
                break;
            }
        }
        inbox.idle = false;
        mem::swap(&mut *inbox, taken);
        inbox.idle = false;
    }

    fn take(&mut self, taken: &mut Inbox<L>) {
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
        self.writer.want_sync(mem::take(&mut taken.want_sync));
        // It came behind some of the bytes; for those before it what was promised then counts.
        if let Some(policy) = taken.policy.take() {
            self.policy = policy;
            self.writer.set_policy(policy);
        }
        taken.stop = false;
    }

    /// Writes, syncs or has synced, tells.
    fn work(&mut self) {
        while let Some(task) = self.writer.run(self.clock.now()) {
            // Whoever waits for this sync waits for the writer anyway, and what is written meanwhile would only
            // make the disk's work longer. A sync that one client asked for holds up no other.
            if self.policy == SyncPolicy::Always || self.writer.is_switching() {
                self.writer.perform(&task);
            } else if self.syncs.send(task).is_err() {
                unreachable!("the thread for syncs runs until its tasks end");
            }
        }
        self.publish();
    }

    fn publish(&mut self) {
        let progress = self.writer.progress();
        let shared = &self.shared;
        let advanced = shared.written.swap(progress.written.0, Ordering::SeqCst) != progress.written.0
            || shared.durable.load(Ordering::SeqCst) != progress.durable.0;
        shared.durable.store(progress.durable.0, Ordering::SeqCst);
        let mut status = shared.status.lock();
        let changed = status.health != progress.health;
        *status = DiskStatus {
            health: progress.health,
            durable: progress.durable,
            log_number: self.writer.log().number,
            log_size: self.writer.log().size,
            syncing: self.writer.is_syncing(),
            delayed_syncs: self.writer.delayed_syncs(),
        };
        drop(status);
        if changed {
            shared.status_changed.store(true, Ordering::Release);
        }
        if changed || (advanced && shared.awaited.swap(false, Ordering::SeqCst)) {
            (shared.wake)();
        }
    }
}
