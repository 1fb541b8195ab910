//! `nodes.conf` on disk: read at start, locked while the server runs, replaced durably when the table changes.

use std::fmt;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::durable;
use crate::bus::{NodesConf, NodesConfError};
use crate::types::{Millis, UnixMillis};

/// How long after a failure the file is written again.
const RETRY: Millis = Millis(1000);

/// The node table's file. Exactly one process has it at a time.
#[derive(Debug)]
pub(crate) struct NodesFile {
    path: PathBuf,
    /// Holds the lock; the file is replaced together with it.
    locked: File,
    /// It lacks something, and is written again then.
    retry_at: Option<UnixMillis>,
}

/// Why the node table could not be taken.
#[derive(Debug)]
pub enum NodesFileError {
    /// Another process holds it.
    InUse(PathBuf),
    /// It cannot be read or written.
    Io(PathBuf, io::Error),
    /// It holds something else.
    Corrupted(PathBuf, NodesConfError),
}

impl fmt::Display for NodesFileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NodesFileError::InUse(path) => write!(
                f,
                "the cluster configuration file {} is already used by a different node; \
                 give each node its own directory with --dir, or its own file with --cluster-config-file",
                path.display()
            ),
            NodesFileError::Io(path, error) => write!(
                f,
                "the cluster configuration file {}: {error}; the node keeps its identity there, \
                 so choose a writable directory with --dir",
                path.display()
            ),
            NodesFileError::Corrupted(path, error) => write!(
                f,
                "the cluster configuration file {} is corrupted: {error}; restore it from a copy, \
                 or move it away to start with a new identity",
                path.display()
            ),
        }
    }
}

impl std::error::Error for NodesFileError {}

impl NodesFile {
    /// Opens and locks the file, and reads the table; `None` if the file is new or empty.
    pub(crate) fn open(path: &Path) -> Result<(NodesFile, Option<NodesConf>), NodesFileError> {
        let io = |error| NodesFileError::Io(path.to_owned(), error);
        let mut locked =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path).map_err(io)?;
        lock(&locked, path)?;
        // The other process may have replaced the file between our opening and our locking it; the lock that
        // counts is then the one on the new file.
        if fs::metadata(path).map_err(io)?.ino() != locked.metadata().map_err(io)?.ino() {
            return Err(NodesFileError::InUse(path.to_owned()));
        }
        let mut text = Vec::new();
        locked.read_to_end(&mut text).map_err(io)?;
        let file = NodesFile { path: path.to_owned(), locked, retry_at: None };
        if text.is_empty() {
            return Ok((file, None));
        }
        match NodesConf::parse(&text) {
            Ok(conf) => Ok((file, Some(conf))),
            Err(error) => Err(NodesFileError::Corrupted(path.to_owned(), error)),
        }
    }

    /// Replaces the file, durably and together with its lock (W17 of reliability.md).
    pub(crate) fn save(&mut self, conf: &NodesConf, now: UnixMillis) -> io::Result<()> {
        self.retry_at = Some(now + RETRY);
        self.locked = durable::replace(&self.path, conf.to_string().as_bytes())?;
        self.retry_at = None;
        Ok(())
    }

    /// When the file is to be written again, if that has failed: a restart would otherwise find the node in the cluster of
    /// before.
    pub(crate) fn next_retry(&self) -> Option<UnixMillis> {
        self.retry_at
    }
}

fn lock(file: &File, path: &Path) -> Result<(), NodesFileError> {
    match file.try_lock() {
        Ok(()) => Ok(()),
        Err(TryLockError::WouldBlock) => Err(NodesFileError::InUse(path.to_owned())),
        Err(TryLockError::Error(error)) => Err(NodesFileError::Io(path.to_owned(), error)),
    }
}
