//! The append-only file on a real disk: files, the lock, and the three threads that wait for them.
//!
//! What is done, and when, is decided in `aof/`; here it is driven. The loop never waits for anything here: it
//! puts orders into a box, and is woken when something has come of them.

mod files;
mod helper;
mod lock;
mod threads;

pub use files::OsFiles;
pub use lock::{Lock, LockError};
pub use threads::{Clock, Disk, DiskStatus, Event, Wake};
