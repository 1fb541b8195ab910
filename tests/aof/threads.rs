//! The threads, on real files and on a disk that hangs.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use disque::aof::{
    BaseFrames, FileLayer, HEADER_LEN, Health, Journal, Loader, Names, Origin, Ready, Record, Seq, Step,
    SyncPolicy,
};
use disque::disk::{Disk, Event, OsFiles};
use disque::types::{NodeId, UnixMillis};
use parking_lot::{Condvar, Mutex};

use crate::node::{NAME, job_id, record};

/// A directory of its own, removed at the end.
struct Dir(PathBuf);

impl Dir {
    fn new() -> Dir {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let dir = std::env::temp_dir().join(format!("disque-aof-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&dir).expect("a directory can be made");
        Dir(dir)
    }

    fn files(&self) -> OsFiles {
        OsFiles::new(&self.0).expect("it is there")
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Real files, with a gate before every write and sync.
#[derive(Clone)]
struct Gated {
    files: OsFiles,
    gate: Arc<(Mutex<bool>, Condvar)>,
    full: Arc<AtomicBool>,
    /// The gate is only before syncs of the thread with this name, which then fail if so.
    only: Arc<Mutex<Option<(&'static str, bool)>>>,
}

impl Gated {
    fn new(files: OsFiles) -> Gated {
        Gated { files, gate: Arc::default(), full: Arc::default(), only: Arc::default() }
    }

    fn set_shut(&self, shut: bool) {
        *self.gate.0.lock() = shut;
        self.gate.1.notify_all();
    }

    fn pass(&self) -> io::Result<()> {
        let mut shut = self.gate.0.lock();
        self.gate.1.wait_while(&mut shut, |shut| *shut);
        if self.full.load(Ordering::Relaxed) { Err(io::Error::from_raw_os_error(28)) } else { Ok(()) }
    }
}

impl FileLayer for Gated {
    type File = <OsFiles as FileLayer>::File;

    fn create(&mut self, name: &str) -> io::Result<Self::File> {
        self.files.create(name)
    }
    fn open(&mut self, name: &str) -> io::Result<Self::File> {
        self.files.open(name)
    }
    fn read(&mut self, file: &Self::File, at: u64, room: &mut [u8]) -> io::Result<usize> {
        self.files.read(file, at, room)
    }
    fn write(&mut self, file: &Self::File, at: u64, bytes: &[u8]) -> io::Result<usize> {
        if self.only.lock().is_none() {
            self.pass()?;
        }
        self.files.write(file, at, bytes)
    }
    fn size(&mut self, file: &Self::File) -> io::Result<u64> {
        self.files.size(file)
    }
    fn truncate(&mut self, file: &Self::File, len: u64) -> io::Result<()> {
        self.files.truncate(file, len)
    }
    fn sync(&mut self, file: &Self::File) -> io::Result<()> {
        let only = *self.only.lock();
        match only {
            Some((thread, _)) if std::thread::current().name() != Some(thread) => {}
            Some((_, true)) => {
                self.pass()?;
                return Err(io::Error::from_raw_os_error(5));
            }
            _ => self.pass()?,
        }
        self.files.sync(file)
    }
    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        self.files.rename(from, to)
    }
    fn remove(&mut self, name: &str) -> io::Result<()> {
        self.files.remove(name)
    }
    fn list(&mut self) -> io::Result<Vec<String>> {
        self.files.list()
    }
    fn sync_dir(&mut self) -> io::Result<()> {
        self.files.sync_dir()
    }
}

/// The loop, as far as the disk is concerned.
struct Loop {
    disk: Disk<Gated>,
    journal: Journal,
    woken: Receiver<()>,
}

fn origin(salt: u64) -> Origin {
    Origin { created: UnixMillis(1), node: NodeId::from_bytes([1; 20]), salt }
}

fn load(layer: &Gated) -> (Vec<Record<'static>>, Ready<Gated>) {
    let mut loader = Loader::new(layer.clone(), Names::new(NAME)).expect("the files are there");
    let mut ids = Vec::new();
    let mut restore = |record: Record<'_>| {
        ids.extend(record.job_id().map(|id| Record::Forgotten { id }));
    };
    while loader.step(1 << 20, &mut restore).expect("they can be read") == Step::More {}
    (ids, loader.finish(true, origin(1)).expect("they can be written"))
}

impl Loop {
    fn start(layer: &Gated, policy: SyncPolicy) -> Loop {
        let (_, ready) = load(layer);
        let (sender, woken) = channel();
        let sender = Mutex::new(sender);
        let wake = Box::new(move || _ = sender.lock().send(()));
        let journal = Journal::new(ready.salt, ready.log.size);
        let disk = Disk::start(layer.clone(), ready.log, ready.rewriter, policy, wake);
        Loop { disk: disk.expect("threads can be started"), journal, woken }
    }

    fn add(&mut self, job: u32) -> Seq {
        let record = record(job, 0);
        let mut payload = Vec::new();
        record.encode(&mut payload);
        let seq = self.journal.append(record.kind(), &payload);
        self.disk.write(self.journal.buffer());
        seq
    }

    /// Waits until the writer has come so far, as the loop does: asks to be woken, then looks.
    fn wait(&self, mut reached: impl FnMut(&Disk<Gated>) -> bool) {
        loop {
            self.disk.await_progress();
            if reached(&self.disk) {
                return;
            }
            let woken = self.woken.recv_timeout(Duration::from_secs(30));
            woken.expect("the loop is woken when there is progress");
        }
    }
}

#[test]
fn what_is_handed_over_becomes_durable_and_the_loop_is_woken() {
    let dir = Dir::new();
    let layer = Gated::new(dir.files());
    let mut node = Loop::start(&layer, SyncPolicy::Always);
    for job in 0..100 {
        let seq = node.add(job);
        if job % 10 == 0 {
            node.wait(|disk| disk.durable() >= seq);
            assert!(node.disk.written() >= seq);
        }
    }
    node.disk.stop();
    assert_eq!(load(&layer).0.len(), 100);
}

#[test]
fn once_a_second_comes_without_anything_else_happening() {
    let dir = Dir::new();
    let mut node = Loop::start(&Gated::new(dir.files()), SyncPolicy::EverySecond);
    let seq = node.add(1);
    node.wait(|disk| disk.durable() >= seq);
    node.disk.stop();
}

#[test]
fn a_sync_that_is_asked_for_comes_whatever_the_policy() {
    let dir = Dir::new();
    let mut node = Loop::start(&Gated::new(dir.files()), SyncPolicy::No);
    let seq = node.add(1);
    node.disk.want_sync(seq);
    node.wait(|disk| disk.durable() >= seq);
    node.disk.set_policy(SyncPolicy::Always);
    let seq = node.add(2);
    node.wait(|disk| disk.durable() >= seq);
    node.disk.stop();
}

#[test]
fn a_disk_that_hangs_holds_up_nobody_who_hands_something_over() {
    let dir = Dir::new();
    let layer = Gated::new(dir.files());
    let mut node = Loop::start(&layer, SyncPolicy::Always);
    layer.set_shut(true);
    let seqs: Vec<Seq> = (0..1000).map(|job| node.add(job)).collect();
    assert!(node.disk.durable() < seqs[0]);
    assert_eq!(node.disk.status().health, Health::Good, "nothing has failed");
    layer.set_shut(false);
    node.wait(|disk| disk.durable() >= seqs[999]);
    node.disk.stop();
    assert_eq!(load(&layer).0.len(), 1000);
}

#[test]
fn a_full_disk_is_told_and_so_is_its_end() {
    let dir = Dir::new();
    let layer = Gated::new(dir.files());
    let mut node = Loop::start(&layer, SyncPolicy::EverySecond);
    layer.full.store(true, Ordering::Relaxed);
    let seq = node.add(1);
    node.wait(|disk| disk.changed_status().is_some_and(|status| matches!(status.health, Health::Failing(_))));
    assert!(node.disk.written() < seq);
    layer.full.store(false, Ordering::Relaxed);
    node.wait(|disk| disk.changed_status().is_some_and(|status| status.health == Health::Good));
    node.wait(|disk| disk.written() >= seq);
    node.disk.stop();
}

#[test]
fn a_rewrite_goes_on_beside_the_writing() {
    let dir = Dir::new();
    let layer = Gated::new(dir.files());
    let mut node = Loop::start(&layer, SyncPolicy::Always);
    for job in 0..50 {
        node.add(job);
    }
    node.disk.begin_rewrite(2, origin(20), origin(21), true);
    let mut begun = None;
    node.wait(|disk| {
        begun = begun.take().or_else(|| disk.events().pop());
        begun.is_some()
    });
    let Some(Event::Begun(log)) = begun else { panic!("{begun:?}") };
    node.disk.switch(log);
    node.journal.switch(20, HEADER_LEN as u64);
    let mut base = BaseFrames::new(21);
    let mut bytes = Vec::new();
    (0..50).for_each(|job| base.add(&record(job, 0), &mut bytes));
    node.add(50);
    base.end(&mut bytes);
    node.disk.write_base(bytes);
    node.disk.finish_rewrite();
    let last = node.add(51);
    let mut finished = None;
    node.wait(|disk| {
        finished = finished.take().or_else(|| disk.events().pop());
        finished.is_some() && disk.durable() >= last
    });
    assert!(matches!(finished, Some(Event::Finished(_))));
    assert_eq!(node.disk.base_backlog(), 0);
    node.disk.stop();
    let (records, ready) = load(&layer);
    let expected: Vec<_> = (0..52).map(|job| Record::Forgotten { id: job_id(job) }).collect();
    assert_eq!((records, ready.log.number), (expected, 2));
    let mut names = layer.files.clone().list().expect("it can be listed");
    names.sort();
    assert_eq!(names, ["disque.aof.2.base", "disque.aof.2.log"]);
}

/// The system reports an error once: the last sync of the process succeeded, and clients were told that they were safe.
#[test]
fn a_sync_that_fails_while_the_writer_ends_is_not_believed() {
    let dir = Dir::new();
    let layer = Gated::new(dir.files());
    let mut node = Loop::start(&layer, SyncPolicy::No);
    let seq = node.add(1);
    node.wait(|disk| disk.written() >= seq);
    *layer.only.lock() = Some(("aof-sync", true));
    layer.set_shut(true);
    node.disk.want_sync(seq);
    while !node.disk.status().syncing {
        std::thread::yield_now();
    }
    let opener = layer.clone();
    let opening = std::thread::spawn(move || {
        // As late as may be; nothing depends on it.
        (0..10_000).for_each(|_| std::thread::yield_now());
        opener.set_shut(false);
    });
    let status = node.disk.stop();
    opening.join().expect("it only waits");
    assert!(matches!(status.health, Health::Lost(_)), "{status:?}");
    assert!(status.durable < seq);
}

/// While the writer stood in a call, a rewrite could begin and end, and the next one made the server stop: there was a
/// log that waited already.
#[test]
fn a_log_waits_to_be_switched_to_from_the_moment_that_it_is_handed_over() {
    let dir = Dir::new();
    let layer = Gated::new(dir.files());
    let mut node = Loop::start(&layer, SyncPolicy::Always);
    assert!(!node.disk.is_switching());
    node.disk.begin_rewrite(2, origin(20), origin(21), true);
    let mut begun = None;
    node.wait(|disk| {
        begun = begun.take().or_else(|| disk.events().pop());
        begun.is_some()
    });
    let Some(Event::Begun(log)) = begun else { panic!("{begun:?}") };
    layer.set_shut(true);
    node.add(1);
    node.disk.switch(log);
    assert!(node.disk.is_switching(), "the writer may not have heard of it");
    layer.set_shut(false);
    while node.disk.is_switching() {
        std::thread::yield_now();
    }
    node.disk.stop();
}

/// The last sync of a large base takes long, and so may the end of the base before it: the log is synced meanwhile.
#[test]
fn the_log_is_synced_while_a_base_is() {
    let dir = Dir::new();
    let layer = Gated::new(dir.files());
    let mut node = Loop::start(&layer, SyncPolicy::EverySecond);
    *layer.only.lock() = Some(("aof-helper", false));
    layer.set_shut(true);
    node.disk.begin_rewrite(2, origin(20), origin(21), false);
    let seq = node.add(1);
    node.wait(|disk| disk.durable() >= seq);
    assert!(node.disk.events().is_empty(), "the helper waits");
    layer.set_shut(false);
    node.disk.stop();
}
