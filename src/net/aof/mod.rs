//! The append-only file as the loop sees it: what is appended, who waits for it, and how it does.
//!
//! Nothing here waits for the disk but turning the file on and off (BGREWRITEAOF without a file does both), DEBUG LOADAOF,
//! and the end of the server.

mod control;
mod gate;
mod load;
mod rewrite;

use std::path::Path;

use std::collections::VecDeque;

use mio::Waker;
use rand::TryRng as _;
use rand::rngs::SysRng;
use std::fmt;
use std::io;
use std::sync::Arc;

use super::process::os_text;
use crate::admin::{AofDetails, AofFacts, AofState};
use crate::aof::{
    Chain, Failure, FileLayer as _, Journal, LoadError, Names, Origin, Ready, Rewriter, Seq, SyncPolicy,
};
use crate::config::{Config, Fsync};
use crate::disk::{Disk, Lock, LockError, OsFiles};
use crate::types::{NodeId, UnixMillis};
pub(in crate::net) use control::Purpose;
use gate::HeldMessage;
pub(crate) use load::Load;
use rewrite::Rewrites;

/// The file, or its absence.
#[derive(Default)]
pub(crate) struct Aof {
    pub(super) file: Option<Box<OpenFile>>,
    /// What is being loaded.
    pub(super) load: Option<Box<Load>>,
    /// Slots of clients whose output waits for the disk.
    held: Vec<u32>,
    /// Messages to other nodes that wait for it: as safe as `appendfsync` says, and on the disk.
    held_messages: [VecDeque<HeldMessage>; 2],
}

/// A file that is written.
pub(super) struct OpenFile {
    disk: Disk<OsFiles>,
    journal: Journal,
    policy: SyncPolicy,
    /// The last position that was handed over.
    submitted: Seq,
    /// Somebody waits until this much is on the disk, whatever the policy.
    sync_wanted: Seq,
    /// Whether it cannot be written at the moment, and why.
    failure: Option<Failure>,
    rewrites: Rewrites,
    /// It was turned on, and does not hold yet what was known then.
    awaits_base: bool,
    /// It is written once, by BGREWRITEAOF, and turned off again.
    once: bool,
    /// Bytes of the files besides the log at hand.
    earlier_bytes: u64,
    /// What was wrong with them when they were loaded.
    load_damages: u64,
    load_cut_bytes: u64,
    _lock: Lock,
}

/// Why the file cannot be used.
#[derive(Debug)]
pub enum AofError {
    /// Another process uses it, or its directory cannot be written.
    Lock(LockError),
    /// It cannot be read or made.
    Load(LoadError),
    /// The system refuses something else.
    Io(io::Error),
    /// There is none, and it was to be loaded.
    Nothing {
        /// What was looked for.
        name: String,
    },
}

impl fmt::Display for AofError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AofError::Lock(error) => error.fmt(f),
            AofError::Load(error) => error.fmt(f),
            AofError::Io(error) => write!(f, "the append-only file: {}", os_text(error)),
            AofError::Nothing { name } => {
                write!(f, "Fatal error: can't open the append log file for reading: there is no {name}")
            }
        }
    }
}

impl std::error::Error for AofError {}

/// Names and directory of the files that a configuration asks for.
pub(super) fn place(config: &Config) -> Result<(OsFiles, Names), AofError> {
    let name = config.appendfilename.path().to_string_lossy().into_owned();
    let dir = config.path_of(Path::new("."));
    Ok((OsFiles::new(&dir).map_err(AofError::Io)?, Names::new(&name)))
}

pub(super) fn lock(files: &OsFiles, names: &Names) -> Result<Lock, AofError> {
    Lock::take(&files.path(&names.lock())).map_err(AofError::Lock)
}

/// What a new file says of itself.
pub(super) fn origin(node: NodeId, created: UnixMillis) -> Result<Origin, AofError> {
    let mut salt = [0; 8];
    SysRng.try_fill_bytes(&mut salt).map_err(|error| AofError::Io(io::Error::other(error)))?;
    Ok(Origin { created, node, salt: u64::from_le_bytes(salt) })
}

pub(super) fn policy(fsync: Fsync) -> SyncPolicy {
    match fsync {
        Fsync::Always => SyncPolicy::Always,
        Fsync::EverySecond => SyncPolicy::EverySecond,
        Fsync::No => SyncPolicy::No,
    }
}

impl OpenFile {
    /// Starts to write on where loading has ended.
    pub(super) fn start(
        ready: Ready<OsFiles>,
        files: OsFiles,
        policy: SyncPolicy,
        lock: Lock,
        waker: &Arc<Waker>,
    ) -> Result<OpenFile, AofError> {
        let (salt, log, rewriter) = (ready.salt, ready.log, ready.rewriter);
        let load_cut_bytes = ready.summary.tails.iter().map(|tail| tail.len).sum::<u64>();
        let total = ready.summary.bytes - load_cut_bytes;
        let (number, size) = (log.number, log.size);
        let waker = Arc::clone(waker);
        let wake = Box::new(move || {
            if let Err(error) = waker.wake() {
                tracing::error!(%error, "cannot wake the event loop");
            }
        });
        let disk = Disk::start(files, log, rewriter, policy, wake).map_err(AofError::Io)?;
        Ok(OpenFile {
            disk,
            journal: Journal::new(salt, size),
            policy,
            submitted: Seq(0),
            sync_wanted: Seq(0),
            failure: None,
            rewrites: Rewrites::new(number + 1, total.max(1)),
            awaits_base: false,
            once: false,
            earlier_bytes: total.saturating_sub(size),
            load_damages: ready.summary.damage_count,
            load_cut_bytes,
            _lock: lock,
        })
    }

    /// Makes a file beside whatever there is, and asks for a rewrite: what is known now is in none of the files.
    pub(super) fn turn_on(
        config: &Config,
        node: NodeId,
        now: UnixMillis,
        waker: &Arc<Waker>,
    ) -> Result<OpenFile, AofError> {
        let (mut files, names) = place(config)?;
        let lock = lock(&files, &names)?;
        let listed = files.list().map_err(AofError::Io)?;
        let chain = names.chain(&listed).map_err(|missing| AofError::Load(LoadError::Missing(missing)))?;
        let number = chain.logs.last().map_or(1, |last| last + 1);
        let mut rewriter = Rewriter::new(files.clone(), names.clone(), &chain);
        let origin = origin(node, now)?;
        let log = rewriter
            .make_log(number, origin)
            .map_err(|failure| AofError::Load(LoadError::Io { file: names.log(number), failure }))?;
        let ready =
            Ready { log, salt: origin.salt, rewriter, summary: Default::default(), chain: Chain::default() };
        let mut file = OpenFile::start(ready, files, policy(config.appendfsync), lock, waker)?;
        file.awaits_base = true;
        file.rewrites.ask();
        Ok(file)
    }

    /// Changes when it is synced.
    pub(super) fn set_policy(&mut self, policy: SyncPolicy) {
        if self.policy != policy {
            self.policy = policy;
            self.disk.set_policy(policy);
        }
    }

    /// Takes over what has become of the writing. True if it can be written now and could not, or the other way.
    fn update(&mut self) -> bool {
        let Some(status) = self.disk.changed_status() else { return false };
        if status.health.needs_rewrite(self.rewrites.running().is_some()) {
            self.rewrites.ask();
        }
        let failure = status.health.failure().cloned();
        match (&self.failure, &failure) {
            (None, Some(Failure { call, reason, .. })) => {
                tracing::error!(
                    call,
                    reason,
                    "Error writing to the AOF file; new jobs are refused until it can be written"
                );
            }
            (Some(_), None) => tracing::warn!("AOF write error looks solved, new jobs are accepted again"),
            _ => {}
        }
        let changed = self.failure.is_some() != failure.is_some();
        self.failure = failure;
        changed
    }

    /// What INFO tells.
    fn facts(&self, now: UnixMillis) -> AofFacts {
        let status = self.disk.status();
        let current_size = self.earlier_bytes + status.log_size;
        AofFacts {
            state: if self.awaits_base { AofState::WaitRewrite } else { AofState::On },
            last_write_failed: self.failure.is_some(),
            details: AofDetails {
                current_size,
                base_size: self.rewrites.base_size(),
                pending_rewrite: self.rewrites.is_asked(),
                buffer_length: self.journal.seq().0.saturating_sub(self.disk.written().0),
                rewrite_buffer_length: self.disk.base_backlog() as u64,
                pending_fsync: u64::from(status.syncing),
                delayed_fsync: status.delayed_syncs,
                load_damages: self.load_damages,
                load_cut_bytes: self.load_cut_bytes,
            },
            ..self.rewrites.facts(now)
        }
    }
}

impl Aof {
    /// Nothing is written before what there is, if any, is loaded.
    pub(super) fn loading(load: Option<Load>) -> Aof {
        Aof { load: load.map(Box::new), ..Aof::default() }
    }

    /// What INFO tells.
    pub(super) fn facts(&self, now: UnixMillis) -> AofFacts {
        self.file.as_ref().map_or_else(AofFacts::default, |file| file.facts(now))
    }

    /// Why new jobs are refused, if they are.
    pub(super) fn failure(&self) -> Option<&str> {
        Some(&self.file.as_ref()?.failure.as_ref()?.reason)
    }

    /// When a rewrite that is wanted, and cannot begin yet, is to be tried again.
    pub(super) fn next_rewrite(&self) -> Option<UnixMillis> {
        self.file.as_ref()?.rewrites.next_try()
    }
}
