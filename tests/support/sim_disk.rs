//! A disk in memory with two images: what the system shows, and what survives a power cut.
//!
//! The fault model:
//!
//! * A write, a truncation or a new name is seen at once and durable after a sync. At a power cut each write that
//!   was not synced is kept, dropped, or kept up to a multiple of 512 bytes, independently of the others; a file
//!   grows over what was dropped with zeros. Of the changes of names that were not synced a prefix is kept, as
//!   journaling file systems do it, except that a file without a durable name may be empty.
//! * Any call may fail, with nothing done or, for writes, with a part done. After a failed sync what was not
//!   synced is as if it had been (the system has forgotten that it was not), but survives no power cut.
//! * The machine may stop at any call.
#![allow(dead_code, reason = "each test program uses its part")]

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::rc::Rc;

use disque::aof::FileLayer;

/// What goes wrong at a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It fails with this number.
    Error(i32),
    /// A write writes one byte less than it is asked to, but at least one.
    Short,
    /// The machine stops: this and all later calls fail.
    Stop,
}

pub const EINTR: i32 = 4;
pub const EIO: i32 = 5;
pub const ENOSPC: i32 = 28;

/// `durable` with `pending` on top is `live`, but for what was not durable when a sync failed: that never will be.
#[derive(Clone, Debug, Default)]
struct Inode {
    live: Vec<u8>,
    durable: Vec<u8>,
    pending: Vec<Change>,
}

#[derive(Clone, Debug)]
enum Change {
    Write { at: usize, bytes: Vec<u8> },
    Truncate(usize),
}

#[derive(Clone, Debug)]
enum Naming {
    Set(String, usize),
    Remove(String),
}

#[derive(Debug, Default)]
struct State {
    inodes: Vec<Inode>,
    names: BTreeMap<String, usize>,
    durable_names: BTreeMap<String, usize>,
    pending_names: Vec<Naming>,
    calls: u64,
    faults: BTreeMap<u64, Fault>,
    /// Every call from here on fails with this, until it is taken back.
    broken: Option<i32>,
    /// The same for syncs alone.
    sync_error: Option<i32>,
    /// There is no room: files cannot be made, and of what is written at most a part finds a place.
    full: bool,
    stopped: bool,
    log: Vec<&'static str>,
}

/// The disk. Clones are the same one.
#[derive(Clone, Debug, Default)]
pub struct SimDisk(Rc<RefCell<State>>);

impl SimDisk {
    pub fn new() -> SimDisk {
        SimDisk::default()
    }

    /// Lets the call with this number go wrong; the first is 0.
    pub fn fault_at(&self, call: u64, fault: Fault) {
        self.0.borrow_mut().faults.insert(call, fault);
    }

    /// Lets all calls fail, or none any more.
    pub fn set_broken(&self, error: Option<i32>) {
        self.0.borrow_mut().broken = error;
    }

    /// Lets all syncs fail, or none any more.
    pub fn set_sync_error(&self, error: Option<i32>) {
        self.0.borrow_mut().sync_error = error;
    }

    pub fn set_full(&self, full: bool) {
        self.0.borrow_mut().full = full;
    }

    /// What was to go wrong at certain calls does not.
    pub fn clear_faults(&self) {
        self.0.borrow_mut().faults.clear();
    }

    /// Nothing goes wrong any more.
    pub fn mend(&self) {
        let mut state = self.0.borrow_mut();
        (state.broken, state.sync_error, state.full) = (None, None, false);
        state.faults.clear();
    }

    /// Turns over one bit of a file, for good.
    pub fn flip(&self, name: &str, bit: u64) {
        let mut state = self.0.borrow_mut();
        let Some(inode) = state.names.get(name).copied() else { return };
        let inode = &mut state.inodes[inode];
        for image in [&mut inode.live, &mut inode.durable] {
            if let Some(byte) = image.get_mut((bit / 8) as usize) {
                *byte ^= 1 << (bit % 8);
            }
        }
    }

    /// How many calls there were.
    pub fn calls(&self) -> u64 {
        self.0.borrow().calls
    }

    /// The names of the calls.
    pub fn call_log(&self) -> Vec<&'static str> {
        self.0.borrow().log.clone()
    }

    pub fn is_stopped(&self) -> bool {
        self.0.borrow().stopped
    }

    /// The process ends, the machine goes on: a disk with all that was written.
    pub fn after_kill(&self) -> SimDisk {
        let state = self.0.borrow();
        let disk = SimDisk::new();
        for (name, inode) in &state.names {
            disk.put(name, &state.inodes[*inode].live);
        }
        disk
    }

    /// The power fails: a disk with what was synced and some of the rest.
    pub fn after_power_cut(&self, mut draw: impl FnMut(u64) -> u64) -> SimDisk {
        let state = self.0.borrow();
        let mut names = state.durable_names.clone();
        let kept = draw(state.pending_names.len() as u64 + 1) as usize;
        for naming in &state.pending_names[..kept] {
            match naming {
                Naming::Set(name, inode) => {
                    names.retain(|_, other| other != inode);
                    names.insert(name.clone(), *inode);
                }
                Naming::Remove(name) => {
                    names.remove(name);
                }
            }
        }
        let disk = SimDisk::new();
        for (name, inode) in names {
            disk.put(&name, &state.inodes[inode].after_power_cut(&mut draw));
        }
        disk
    }

    /// A file that has always been there.
    pub fn put(&self, name: &str, bytes: &[u8]) {
        let mut state = self.0.borrow_mut();
        let inode = Inode { live: bytes.to_vec(), durable: bytes.to_vec(), ..Inode::default() };
        state.inodes.push(inode);
        let number = state.inodes.len() - 1;
        state.names.insert(name.to_owned(), number);
        state.durable_names.insert(name.to_owned(), number);
    }

    pub fn get(&self, name: &str) -> Option<Vec<u8>> {
        let state = self.0.borrow();
        Some(state.inodes[*state.names.get(name)?].live.clone())
    }

    pub fn names(&self) -> Vec<String> {
        self.0.borrow().names.keys().cloned().collect()
    }

    /// Counts a call, and lets it go wrong if it is to.
    fn call(&self, name: &'static str) -> io::Result<Option<Fault>> {
        let mut state = self.0.borrow_mut();
        if state.stopped {
            return Err(io::Error::other("the machine has stopped"));
        }
        let number = state.calls;
        state.calls += 1;
        state.log.push(name);
        if let Some(error) = state.broken {
            return Err(io::Error::from_raw_os_error(error));
        }
        match state.faults.get(&number).copied() {
            Some(Fault::Error(error)) => Err(io::Error::from_raw_os_error(error)),
            Some(Fault::Stop) => {
                state.stopped = true;
                Err(io::Error::other("the machine has stopped"))
            }
            other => Ok(other),
        }
    }
}

impl Inode {
    fn change(&mut self, change: Change) {
        apply(&mut self.live, &change);
        self.pending.push(change);
    }

    fn sync(&mut self) {
        for change in std::mem::take(&mut self.pending) {
            apply(&mut self.durable, &change);
        }
    }

    /// What was not synced is lost, and the system thinks that it was written.
    fn forget(&mut self) {
        self.pending.clear();
    }

    fn after_power_cut(&self, draw: &mut impl FnMut(u64) -> u64) -> Vec<u8> {
        let mut bytes = self.durable.clone();
        for change in &self.pending {
            match (draw(3), change) {
                (0, _) => {}
                (1, Change::Write { at, bytes: written }) => {
                    let cut = (*at + draw(written.len() as u64 + 1) as usize) / 512 * 512;
                    let kept = cut.saturating_sub(*at).min(written.len());
                    apply(&mut bytes, &Change::Write { at: *at, bytes: written[..kept].to_vec() });
                }
                (_, change) => apply(&mut bytes, change),
            }
        }
        bytes
    }
}

fn apply(image: &mut Vec<u8>, change: &Change) {
    match change {
        Change::Truncate(len) => image.truncate(*len),
        Change::Write { bytes, .. } if bytes.is_empty() => {}
        Change::Write { at, bytes } => {
            let end = at + bytes.len();
            if image.len() < end {
                image.resize(end, 0);
            }
            image[*at..end].copy_from_slice(bytes);
        }
    }
}

impl FileLayer for SimDisk {
    type File = usize;

    fn create(&mut self, name: &str) -> io::Result<usize> {
        self.call("create")?;
        let mut state = self.0.borrow_mut();
        if state.full {
            return Err(io::Error::from_raw_os_error(ENOSPC));
        }
        state.inodes.push(Inode::default());
        let inode = state.inodes.len() - 1;
        state.names.insert(name.to_owned(), inode);
        state.pending_names.push(Naming::Set(name.to_owned(), inode));
        Ok(inode)
    }

    fn open(&mut self, name: &str) -> io::Result<usize> {
        self.call("open")?;
        self.0.borrow().names.get(name).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn read(&mut self, file: &usize, at: u64, room: &mut [u8]) -> io::Result<usize> {
        self.call("read")?;
        let state = self.0.borrow();
        let bytes = state.inodes[*file].live.get(at as usize..).unwrap_or_default();
        let read = bytes.len().min(room.len());
        room[..read].copy_from_slice(&bytes[..read]);
        Ok(read)
    }

    fn write(&mut self, file: &usize, at: u64, bytes: &[u8]) -> io::Result<usize> {
        let fault = self.call("write")?;
        let mut len = if fault == Some(Fault::Short) { (bytes.len() - 1).max(1) } else { bytes.len() };
        if self.0.borrow().full {
            // The first call fills what is left, the next finds nothing.
            len /= 2;
            if len < 16 {
                return Err(io::Error::from_raw_os_error(ENOSPC));
            }
        }
        let change = Change::Write { at: at as usize, bytes: bytes[..len].to_vec() };
        self.0.borrow_mut().inodes[*file].change(change);
        Ok(len)
    }

    fn size(&mut self, file: &usize) -> io::Result<u64> {
        self.call("size")?;
        Ok(self.0.borrow().inodes[*file].live.len() as u64)
    }

    fn truncate(&mut self, file: &usize, len: u64) -> io::Result<()> {
        self.call("truncate")?;
        self.0.borrow_mut().inodes[*file].change(Change::Truncate(len as usize));
        Ok(())
    }

    fn sync(&mut self, file: &usize) -> io::Result<()> {
        let mut result = self.call("sync");
        let mut state = self.0.borrow_mut();
        if let (Ok(_), Some(error)) = (&result, state.sync_error) {
            result = Err(io::Error::from_raw_os_error(error));
        }
        let stopped = state.stopped;
        match result {
            Ok(_) => state.inodes[*file].sync(),
            Err(ref error) if !stopped && error.raw_os_error() != Some(EINTR) => {
                state.inodes[*file].forget();
            }
            Err(_) => {}
        }
        result.map(drop)
    }

    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        self.call("rename")?;
        let mut state = self.0.borrow_mut();
        let inode = state.names.remove(from).ok_or(io::ErrorKind::NotFound)?;
        state.names.insert(to.to_owned(), inode);
        state.pending_names.push(Naming::Set(to.to_owned(), inode));
        Ok(())
    }

    fn remove(&mut self, name: &str) -> io::Result<()> {
        self.call("remove")?;
        let mut state = self.0.borrow_mut();
        state.names.remove(name).ok_or(io::ErrorKind::NotFound)?;
        state.pending_names.push(Naming::Remove(name.to_owned()));
        Ok(())
    }

    fn list(&mut self) -> io::Result<Vec<String>> {
        self.call("list")?;
        Ok(self.names())
    }

    fn sync_dir(&mut self) -> io::Result<()> {
        self.call("sync_dir")?;
        let mut state = self.0.borrow_mut();
        if let Some(error) = state.sync_error {
            return Err(io::Error::from_raw_os_error(error));
        }
        state.pending_names.clear();
        state.durable_names = state.names.clone();
        // What has no name any more can only be written to, and is never read again.
        let State { inodes, names, .. } = &mut *state;
        for (number, inode) in inodes.iter_mut().enumerate() {
            if !names.values().any(|named| *named == number) {
                *inode = Inode::default();
            }
        }
        Ok(())
    }
}
