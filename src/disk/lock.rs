//! One process at a time uses the files.

use std::fmt;
use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

/// Holds the files of a log; given back when it is dropped, or when the process ends, however it ends.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

/// Why the files cannot be held.
#[derive(Debug)]
pub enum LockError {
    /// Another process holds them.
    Held(PathBuf),
    /// The lock file cannot be used.
    Io(PathBuf, io::Error),
}

impl fmt::Display for LockError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LockError::Held(path) => write!(
                f,
                "the append-only file is used by another process, which holds {}; \
                 give each node its own directory with --dir",
                path.display()
            ),
            LockError::Io(path, error) => {
                write!(f, "cannot lock the append-only file with {}: {error}", path.display())
            }
        }
    }
}

impl std::error::Error for LockError {}

impl Lock {
    /// Takes the lock file, which is made if it is not there and never removed: two processes must not hold two
    /// files of the same name.
    pub fn take(path: &Path) -> Result<Lock, LockError> {
        let io = |error| LockError::Io(path.to_owned(), error);
        let file = OpenOptions::new().write(true).create(true).truncate(false).open(path).map_err(io)?;
        match file.try_lock() {
            Ok(()) => Ok(Lock { _file: file }),
            Err(TryLockError::WouldBlock) => Err(LockError::Held(path.to_owned())),
            Err(TryLockError::Error(error)) => Err(io(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_held_once_until_it_is_dropped() {
        let path = std::env::temp_dir().join(format!("disque-lock-{}", std::process::id()));
        let lock = Lock::take(&path).expect("nobody holds it");
        assert!(matches!(Lock::take(&path), Err(LockError::Held(held)) if held == path));
        drop(lock);
        Lock::take(&path).expect("nobody holds it any more");
        std::fs::remove_file(&path).expect("it is there");
        let nowhere = Path::new("/nowhere/at/all");
        assert!(matches!(Lock::take(nowhere), Err(LockError::Io(..))));
    }
}
