//! Rewriting the file while everything goes on: in slices between the other duties of the loop.

use std::time::{Duration, Instant};

use super::control::Purpose;
use super::{OpenFile, origin};
use crate::admin::AofFacts;
use crate::aof::{BaseFrames, Failure, HEADER_LEN};
use crate::config::Config;
use crate::disk::Event;
use crate::engine::Walk;
use crate::net::server::Server;
use crate::types::{Millis, UnixMillis};

/// How long one slice may take.
const SLICE: Duration = Duration::from_micros(800);
/// How much longer than a slice the loop does other things.
const SHARE: u32 = 3;
/// How many slots are visited between two looks at the clock.
const SLOTS: usize = 64;
/// Frames are handed over in pieces of this size.
const PIECE: usize = 256 << 10;
/// The walk waits while so much is handed over and not written.
const MAX_BACKLOG: usize = 8 << 20;
/// Pause if the log of the last rewrite cannot be switched to yet.
const SWITCH_PAUSE: Millis = Millis(50);
/// Pause after a rewrite that failed, and the longest.
const FIRST_PAUSE: Millis = Millis(1000);
const LONGEST_PAUSE: Millis = Millis(60_000);

/// What is known about rewrites.
#[derive(Debug)]
pub(super) struct Rewrites {
    next_number: u64,
    running: Option<Rewrite>,
    asked: bool,
    base_size: u64,
    last_took: Option<u64>,
    last_failed: bool,
    not_before: UnixMillis,
    pause: Millis,
}

/// A rewrite under way.
#[derive(Debug)]
pub(crate) struct Rewrite {
    number: u64,
    log_salt: u64,
    base_salt: u64,
    began: UnixMillis,
    /// Nothing before the log is there to be switched to, and nothing when the walk is over.
    walk: Option<(Walk, BaseFrames)>,
    bytes: Vec<u8>,
    next_slice: Instant,
}

impl Rewrites {
    pub(super) fn new(next_number: u64, base_size: u64) -> Rewrites {
        Rewrites {
            next_number,
            running: None,
            asked: false,
            base_size,
            last_took: None,
            last_failed: false,
            not_before: UnixMillis(0),
            pause: FIRST_PAUSE,
        }
    }

    /// One is wanted, as soon as possible.
    pub(super) fn ask(&mut self) {
        self.asked = true;
    }

    pub(super) fn is_asked(&self) -> bool {
        self.asked
    }

    pub(super) fn next_try(&self) -> Option<UnixMillis> {
        (self.asked && self.running.is_none()).then_some(self.not_before)
    }

    pub(super) fn base_size(&self) -> u64 {
        self.base_size
    }

    pub(super) fn running(&self) -> Option<&Rewrite> {
        self.running.as_ref()
    }

    pub(super) fn facts(&self, now: UnixMillis) -> AofFacts {
        AofFacts {
            rewrite_in_progress: self.running.is_some(),
            rewrite_scheduled: self.asked,
            last_rewrite_secs: self.last_took,
            current_rewrite_secs: self.running.as_ref().map(|running| now.since(running.began).0 / 1000),
            last_rewrite_failed: self.last_failed,
            ..AofFacts::default()
        }
    }

    /// Grown enough since the last time (aof.md 6.1).
    fn is_due(&self, size: u64, config: &Config) -> bool {
        let percentage = u64::from(config.auto_aof_rewrite_percentage);
        let grown = size.saturating_mul(100) / self.base_size.max(1);
        percentage > 0 && size > config.auto_aof_rewrite_min_size.0 && grown >= 100 + percentage
    }

    fn failed(&mut self, now: UnixMillis) {
        self.running = None;
        self.last_failed = true;
        self.not_before = now + self.pause;
        self.pause = Millis((self.pause.0 * 2).min(LONGEST_PAUSE.0));
    }
}

impl Rewrite {
    /// When the walk goes on; `None` while it waits for the disk.
    pub(crate) fn next_slice(&self) -> Option<Instant> {
        self.walk.as_ref().map(|_| self.next_slice)
    }
}

impl OpenFile {
    /// Begins a rewrite if one is wanted or due, and possible.
    fn consider_rewrite(&mut self, config: &Config, node: crate::types::NodeId, now: UnixMillis) {
        let status = self.disk.status();
        let size = self.earlier_bytes + status.log_size;
        let rewrites = &mut self.rewrites;
        if !rewrites.asked && rewrites.is_due(size, config) {
            tracing::info!(size, base = rewrites.base_size, "Starting automatic rewriting of AOF");
            rewrites.asked = true;
        }
        if !rewrites.asked || rewrites.running.is_some() || now < rewrites.not_before {
            return;
        }
        if self.disk.is_switching() {
            rewrites.not_before = now + SWITCH_PAUSE;
            return;
        }
        let (Ok(log), Ok(base)) = (origin(node, now), origin(node, now)) else {
            return rewrites.failed(now);
        };
        let number = rewrites.next_number;
        rewrites.asked = false;
        rewrites.running = Some(Rewrite {
            number,
            log_salt: log.salt,
            base_salt: base.salt,
            began: now,
            walk: None,
            bytes: Vec::new(),
            next_slice: Instant::now(),
        });
        let incremental = config.aof_rewrite_incremental_fsync && !config.no_appendfsync_on_rewrite;
        self.disk.begin_rewrite(number, log, base, incremental);
        tracing::info!(number, "Background append only file rewriting started");
    }

    /// The new log is there: records go to it from here on, and the walk begins.
    fn switch(&mut self, log: crate::aof::LogFile<<crate::disk::OsFiles as crate::aof::FileLayer>::File>) {
        let Some(running) = &mut self.rewrites.running else { return };
        self.rewrites.next_number = log.number + 1;
        let old_size = self.disk.status().log_size + self.journal.buffer().len() as u64;
        self.submitted = self.journal.seq();
        self.disk.write(self.journal.buffer());
        self.disk.switch(log);
        self.journal.switch(running.log_salt, HEADER_LEN as u64);
        self.earlier_bytes += old_size;
        running.walk = Some((Walk::Start, BaseFrames::new(running.base_salt)));
    }

    fn finished(&mut self, size: u64, now: UnixMillis) {
        let Some(running) = self.rewrites.running.take() else { return };
        let took = now.since(running.began);
        self.earlier_bytes = size;
        self.awaits_base = false;
        let rewrites = &mut self.rewrites;
        rewrites.base_size = size + self.disk.status().log_size;
        rewrites.last_took = Some(took.0 / 1000);
        rewrites.last_failed = false;
        rewrites.pause = FIRST_PAUSE;
        tracing::info!(
            number = running.number,
            size,
            ms = took.0,
            "Background AOF rewrite finished successfully"
        );
    }

    fn rewrite_failed(&mut self, failure: &Failure, now: UnixMillis) {
        tracing::error!(call = failure.call, reason = failure.reason, "Background AOF rewrite failed");
        self.rewrites.failed(now);
        if self.awaits_base || self.failure.is_some() {
            self.rewrites.ask();
        }
    }
}

impl Server {
    /// What the helper has to say of the rewrite.
    pub(super) fn rewrite_events(&mut self) {
        let now = self.now;
        let Some(file) = &mut self.aof.file else { return };
        for event in file.disk.events() {
            match event {
                Event::Begun(log) => file.switch(log),
                Event::Finished(finished) => {
                    file.finished(finished.size, now);
                    if file.once {
                        return self.turn_off_file();
                    }
                }
                Event::Failed(failure) => file.rewrite_failed(&failure, now),
            }
        }
    }

    /// Begins a rewrite if one is due; asked from time to time, and when one is wanted.
    pub(in crate::net) fn consider_rewrite(&mut self) {
        if let Some(file) = &mut self.aof.file {
            file.consider_rewrite(&self.config, self.engine.me(), self.now);
        }
    }

    /// BGREWRITEAOF: whether one could be asked for.
    pub(in crate::net) fn ask_for_rewrite(&mut self) -> Result<(), &'static [u8]> {
        if self.aof.file.is_none() {
            return self.turn_on_file(Purpose::Once).map_err(|error| {
                tracing::error!(%error, "the append-only file cannot be written");
                b"ERR Can't write the append-only file. Check server logs.".as_slice()
            });
        }
        let Some(file) = &mut self.aof.file else { return Ok(()) };
        if file.rewrites.running.is_some() {
            return Err(b"ERR Background append only file rewriting already in progress");
        }
        file.rewrites.ask();
        file.rewrites.not_before = UnixMillis(0);
        self.consider_rewrite();
        Ok(())
    }

    /// Goes on with the walk for a while, if it is its turn.
    pub(in crate::net) fn walk_on(&mut self) {
        let Some(file) = &mut self.aof.file else { return };
        let Some(running) = &mut file.rewrites.running else { return };
        let begin = Instant::now();
        if running.walk.is_none() || begin < running.next_slice || file.disk.base_backlog() > MAX_BACKLOG {
            return;
        }
        let (mut walk, mut frames) = running.walk.take().expect("it was just there");
        while walk != Walk::Done && begin.elapsed() < SLICE {
            let bytes = &mut running.bytes;
            walk = self.engine.walk(walk, SLOTS, |record| frames.add(record, bytes));
            if bytes.len() >= PIECE {
                file.disk.write_base(std::mem::take(bytes));
            }
        }
        running.next_slice = begin + begin.elapsed() * (SHARE + 1);
        if walk == Walk::Done {
            frames.end(&mut running.bytes);
            file.disk.write_base(std::mem::take(&mut running.bytes));
            file.disk.finish_rewrite();
        } else {
            running.walk = Some((walk, frames));
        }
    }

    /// How long the loop may sleep before the walk goes on.
    pub(in crate::net) fn time_to_walk(&self) -> Option<Duration> {
        let file = self.aof.file.as_ref()?;
        let next = file.rewrites.running()?.next_slice()?;
        // The helper wakes the loop when it has written something.
        let waits = file.disk.base_backlog() > MAX_BACKLOG;
        (!waits).then(|| next.saturating_duration_since(Instant::now()))
    }
}
