//! Making a base, and the log that goes with it, beside a log that is being written.
//!
//! The steps of a rewrite, of which the loop performs 2 and 3 and this file the others:
//!
//! 1. log N is made, empty, and its name is made durable ([`Rewriter::make_log`]);
//! 2. from a moment that the loop chooses, records go to log N;
//! 3. the loop walks over all that it knows, in slices, and gives the records here ([`Rewriter::write`]). What
//!    changes meanwhile is in log N too, and reading it on top of a later state ends in the right one;
//! 4. base N gets its `End`, is synced, and gets its name ([`Rewriter::finish`]); the name is made durable;
//! 5. what has a lower number is removed.
//!
//! Until the rename in 4 is durable, the old base and all logs are the truth, and they are all there. While a
//! rewrite runs, the disk holds the old base, the logs and the new base: at most twice what is known, plus what
//! was logged since the last rewrite.

use std::io;

use super::chain::{Base, Chain, Names};
use super::frame::{FileHeader, FileKind, Framer, HEADER_LEN};
use super::layer::{FileLayer, uninterrupted, write_all};
use super::record::Record;
use super::writer::{Failure, LogFile};
use crate::types::{NodeId, UnixMillis};

/// What a new file says of itself.
#[derive(Clone, Copy, Debug)]
pub struct Origin {
    /// When it is made.
    pub created: UnixMillis,
    /// By whom.
    pub node: NodeId,
    /// Random bytes that nobody is told.
    pub salt: u64,
}

/// Makes files.
#[derive(Debug)]
pub struct Rewriter<L: FileLayer> {
    layer: L,
    names: Names,
    base: Option<Unfinished<L::File>>,
    /// Sync the base each time so much was written; 0: only at its end.
    sync_each: u64,
    /// The base in force is a file of RC1.
    replaces_rc1: bool,
}

#[derive(Debug)]
struct Unfinished<F> {
    file: F,
    number: u64,
    size: u64,
    synced: u64,
}

/// A base under its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Finished {
    /// Its number.
    pub number: u64,
    /// Its size.
    pub size: u64,
}

/// How much of a base is written between syncs. Small enough that a sync of the log, which may have to wait for
/// it, does not wait long.
pub const BASE_SYNC_BYTES: u64 = 4 << 20;

impl<L: FileLayer> Rewriter<L> {
    /// Makes files with these names, in the place of `chain`.
    pub fn new(layer: L, names: Names, chain: &Chain) -> Rewriter<L> {
        let replaces_rc1 = chain.base == Some(Base::Rc1);
        Rewriter { layer, names, base: None, sync_each: BASE_SYNC_BYTES, replaces_rc1 }
    }

    /// Whether a base is synced while it is written, or only at its end.
    pub fn set_incremental_sync(&mut self, incremental: bool) {
        self.sync_each = if incremental { BASE_SYNC_BYTES } else { 0 };
    }

    /// Makes an empty log, durably.
    pub fn make_log(&mut self, number: u64, origin: Origin) -> Result<LogFile<L::File>, Failure> {
        let name = self.names.log(number);
        let header = FileHeader::new(FileKind::Log, number, origin.created, origin.salt, origin.node);
        let file = self.make(&name, &header)?;
        self.call("fsync", |layer| layer.sync(&file))?;
        self.call("fsync of the directory", FileLayer::sync_dir)?;
        Ok(LogFile { file, number, size: HEADER_LEN as u64 })
    }

    /// Begins a base; what was begun before is given up.
    pub fn begin(&mut self, number: u64, origin: Origin) -> Result<(), Failure> {
        self.give_up();
        let name = self.names.unfinished_base(number);
        let header = FileHeader::new(FileKind::Base, number, origin.created, origin.salt, origin.node);
        let file = self.make(&name, &header)?;
        let size = HEADER_LEN as u64;
        self.base = Some(Unfinished { file, number, size, synced: size });
        Ok(())
    }

    fn make(&mut self, name: &str, header: &FileHeader) -> Result<L::File, Failure> {
        let file = self.call("open", |layer| layer.create(name))?;
        let bytes = header.encode();
        write_all(&mut self.layer, &file, 0, &bytes).map_err(|error| Failure::new("write", &error))?;
        Ok(file)
    }

    /// Appends frames to the base.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        let Some(base) = &mut self.base else { return Ok(()) };
        write_all(&mut self.layer, &base.file, base.size, bytes)
            .map_err(|error| Failure::new("write", &error))?;
        base.size += bytes.len() as u64;
        if self.sync_each > 0 && base.size - base.synced >= self.sync_each {
            base.synced = base.size;
            let file = base.file.clone();
            self.call("fsync", |layer| layer.sync(&file))?;
        }
        Ok(())
    }

    /// The base is whole: it gets its name, and what it stands for goes. An error before the name is durable
    /// leaves the old files in force; then the base may have its name all the same, which is no harm. One that has not
    /// got it is removed: the disk may be full.
    pub fn finish(&mut self) -> Result<Finished, Failure> {
        let base = self.base.as_ref().expect("a base was begun");
        let (file, finished) = (base.file.clone(), Finished { number: base.number, size: base.size });
        let (from, to) = (self.names.unfinished_base(base.number), self.names.base(base.number));
        let named = self
            .call("fsync", |layer| layer.sync(&file))
            .and_then(|()| self.call("rename", |layer| layer.rename(&from, &to)));
        if let Err(failure) = named {
            self.give_up();
            return Err(failure);
        }
        self.base = None;
        self.call("fsync of the directory", FileLayer::sync_dir)?;
        self.tidy();
        Ok(finished)
    }

    /// Removes what is left over, as far as possible: it is tried again after the next rewrite and at the start.
    pub fn tidy(&mut self) {
        let Ok(listed) = self.layer.list() else { return };
        let Ok(chain) = self.names.chain(&listed) else { return };
        self.tidy_leftovers(&chain);
        // Only the file that was loaded. Another one with its name is not known to be in the base.
        if matches!(chain.base, Some(Base::Framed(_))) && std::mem::take(&mut self.replaces_rc1) {
            let _ = self.layer.rename(&self.names.rc1(), &self.names.replaced_rc1());
        }
    }

    pub(super) fn tidy_leftovers(&mut self, chain: &Chain) {
        for name in &chain.leftovers {
            let _ = self.layer.remove(name);
        }
    }

    pub(super) fn layer_mut(&mut self) -> &mut L {
        &mut self.layer
    }

    /// Gives up the base that was begun, if any.
    pub fn give_up(&mut self) {
        if let Some(base) = self.base.take() {
            let name = self.names.unfinished_base(base.number);
            let _ = self.layer.remove(&name);
        }
    }

    fn call<T>(
        &mut self,
        what: &'static str,
        mut call: impl FnMut(&mut L) -> io::Result<T>,
    ) -> Result<T, Failure> {
        uninterrupted(|| call(&mut self.layer)).map_err(|error| Failure::new(what, &error))
    }
}

/// Frames the records of a base. Belongs to whoever walks over what is known.
#[derive(Clone, Debug)]
pub struct BaseFrames {
    framer: Framer,
    records: u64,
    payload: Vec<u8>,
}

impl BaseFrames {
    /// For a base whose file has this salt.
    pub fn new(salt: u64) -> BaseFrames {
        BaseFrames { framer: Framer::new(salt, HEADER_LEN as u64), records: 0, payload: Vec::new() }
    }

    /// Appends the frame of a record to `out`.
    pub fn add(&mut self, record: &Record<'_>, out: &mut Vec<u8>) {
        self.payload.clear();
        record.encode(&mut self.payload);
        self.framer.frame(record.kind(), &self.payload, out);
        self.records += 1;
    }

    /// Appends the last record, which says that the base is whole.
    pub fn end(mut self, out: &mut Vec<u8>) {
        let records = self.records;
        self.add(&Record::End { records }, out);
    }
}
