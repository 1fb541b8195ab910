//! Loading the file at the start, in slices between which clients are told that they must wait.

use std::time::{Duration, Instant};

use super::{AofError, OpenFile, lock, origin, place, policy};
use crate::admin::Loading;
use crate::aof::{LoadError, Loader, Record, Step};
use crate::config::Config;
use crate::disk::{Lock, OsFiles};
use crate::engine::{Control, Input, Persistence, Requeueing};
use crate::net::server::Server;
use crate::net::{bus, tokens};
use crate::types::UnixMillis;

/// How long one slice may take. Clients that ask meanwhile wait so long for an answer that says no.
const SLICE: Duration = Duration::from_millis(20);
/// How much is read between two looks at the clock.
const STEP: usize = 1 << 20;

/// A file that is being loaded.
pub(crate) struct Load {
    loader: Loader<OsFiles>,
    files: OsFiles,
    lock: Lock,
    started: UnixMillis,
    begin: Instant,
    /// Tenths that were told of.
    told: u64,
}

impl Load {
    /// Finds the files that a configuration asks for; `None` if none are to be loaded.
    pub(crate) fn open(config: &Config, now: UnixMillis) -> Result<Option<Load>, AofError> {
        if !config.appendonly && !config.aof_enqueue_jobs_once {
            return Ok(None);
        }
        let (files, names) = place(config)?;
        let lock = lock(&files, &names)?;
        let loader = Loader::new(files.clone(), names.clone()).map_err(AofError::Load)?;
        if !config.appendonly && loader.files().is_empty() {
            return Err(AofError::Nothing { name: names.rc1() });
        }
        let begin = Instant::now();
        Ok(Some(Load { loader, files, lock, started: now, begin, told: 0 }))
    }

    /// What INFO tells.
    pub(in crate::net) fn facts(&self) -> Loading {
        let summary = self.loader.summary();
        Loading { started: self.started, total_bytes: summary.bytes, loaded_bytes: summary.bytes_read }
    }

    fn slice(&mut self, restore: &mut impl FnMut(Record<'_>)) -> Result<Step, LoadError> {
        let begin = Instant::now();
        while begin.elapsed() < SLICE {
            if self.loader.step(STEP, restore)? == Step::Done {
                return Ok(Step::Done);
            }
        }
        self.tell_progress();
        Ok(Step::More)
    }

    fn tell_progress(&mut self) {
        let summary = self.loader.summary();
        let tenths = summary.bytes_read * 10 / summary.bytes.max(1);
        if tenths > self.told {
            self.told = tenths;
            tracing::info!(bytes = summary.bytes_read, of = summary.bytes, "loading the append-only file");
        }
    }

    /// Whether records are missing that somebody may have been told of.
    fn is_incomplete(&self) -> bool {
        let summary = self.loader.summary();
        summary.damage_count > 0 || !summary.tails.is_empty()
    }

    /// Says what was found damaged. Loudly, since jobs may be missing.
    fn complain(&self) {
        let summary = self.loader.summary();
        for damage in &summary.damages {
            tracing::error!(
                file = damage.file,
                at = damage.at,
                bytes = damage.len,
                "the append-only file is damaged: these bytes are no record, and were skipped"
            );
        }
        if summary.damage_count > 0 {
            tracing::error!(
                places = summary.damage_count,
                "jobs of this node may be missing; other nodes are asked for those of which they hold copies, and \
                 BGREWRITEAOF writes the file anew without the damage"
            );
        }
        if summary.unknown > 0 {
            tracing::warn!(records = summary.unknown, "records of a later version were skipped");
        }
        for tail in &summary.tails {
            tracing::warn!(
                file = tail.file,
                at = tail.at,
                bytes = tail.len,
                "!!! Warning: short read while loading the AOF file !!!"
            );
        }
    }
}

impl Server {
    /// Loads for a while; when all is loaded, the server begins its work.
    pub(in crate::net) fn load_on(&mut self) -> Result<(), AofError> {
        let Some(load) = &mut self.aof.load else { return Ok(()) };
        let engine = &mut self.engine;
        let step = load.slice(&mut |record| engine.restore(record)).map_err(AofError::Load)?;
        if step == Step::More {
            return Ok(());
        }
        let load = self.aof.load.take().expect("it was just there");
        load.complain();
        let requeueing = if self.config.aof_enqueue_jobs_once { Requeueing::All } else { Requeueing::Own };
        self.now = self.clock.tick();
        let queued = self.engine.finish_restore(self.now, requeueing);
        tracing::info!(
            jobs = self.engine.job_count(),
            queued,
            records = load.loader.summary().records,
            "DB loaded from append only file: {:.3} seconds",
            load.begin.elapsed().as_secs_f64()
        );
        // Other nodes are talked to when this one knows what it holds; when it loads again they are already.
        if !std::mem::replace(&mut self.hears_peers, true) {
            let registry = self.poll.registry();
            bus::register(&mut self.bus_listeners, registry, tokens::bus_listener).map_err(AofError::Io)?;
        }
        let incomplete = load.is_incomplete();
        if self.config.appendonly {
            self.go_on_writing(*load)?;
        }
        // If the file cannot be written on, the next start is to queue everything again.
        self.end_of_enqueue_once();
        if incomplete {
            self.step(Input::Control(Control::RecordsLost), u32::MAX);
        }
        crate::net::announce(self);
        Ok(())
    }

    fn go_on_writing(&mut self, load: Load) -> Result<(), AofError> {
        let truncated = load.loader.summary().tails.first().map(|tail| tail.at);
        let origin = origin(self.engine.me(), self.now)?;
        let ready = load.loader.finish(self.config.aof_load_truncated, origin).map_err(AofError::Load)?;
        if let Some(at) = truncated {
            tracing::warn!("!!! Truncating the AOF at offset {at} !!!");
            tracing::warn!("AOF loaded anyway because aof-load-truncated is enabled");
        }
        let policy = policy(self.config.appendfsync);
        self.aof.file = Some(Box::new(OpenFile::start(ready, load.files, policy, load.lock, &self.waker)?));
        self.step(Input::Control(Control::Persist(Persistence::On)), u32::MAX);
        Ok(())
    }

    /// `aof-enqueue-jobs-once` turns itself off, in the file too.
    fn end_of_enqueue_once(&mut self) {
        if !self.config.aof_enqueue_jobs_once {
            return;
        }
        self.config.aof_enqueue_jobs_once = false;
        if self.operator.config_path.is_some()
            && let Err(error) = self.config_rewrite()
        {
            tracing::error!(error, "aof-enqueue-jobs-once could not be turned off in the configuration file");
        }
    }
}
