//! Loading the log: all files of the chain, record by record, and where to go on writing.
//!
//! What is found damaged is skipped and counted, be it a whole log; what is cut off at the end is cut away, if that is
//! allowed. Only what would make the result meaningless is an error: a file that is missing, a base that is none or not
//! ours, or a file that the disk does not give.

use std::fmt;
use std::io;

use super::chain::{Base, Chain, MissingFile, Names};
use super::frame::{FileHeader, FileKind};
use super::layer::{FileLayer, uninterrupted};
use super::reader::{Format, Next, ReadError, Reader};
use super::record::Record;
use super::rewriter::{Origin, Rewriter};
use super::writer::{Failure, LogFile};

/// Reads the files of a chain.
#[derive(Debug)]
pub struct Loader<L: FileLayer> {
    layer: L,
    names: Names,
    chain: Chain,
    files: Vec<String>,
    /// Which of the files is being read.
    index: usize,
    current: Option<Current<L::File>>,
    summary: Summary,
}

#[derive(Debug)]
struct Current<F> {
    file: F,
    reader: Reader,
    position: u64,
    records: u64,
    /// The record that says that a base is whole was the last one.
    sealed: bool,
}

/// What was found in the files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Bytes of all files.
    pub bytes: u64,
    /// Bytes read so far.
    pub bytes_read: u64,
    /// Records given out.
    pub records: u64,
    /// Whole records of kinds that this version does not know.
    pub unknown: u64,
    /// Pieces that are no records, with records behind them; the first [`MAX_DAMAGES`] of them.
    pub damages: Vec<Damage>,
    /// How many such pieces there are.
    pub damage_count: u64,
    /// The files that have some, in the order in which they were read, and how many bytes of each are no records.
    pub damaged_files: Vec<(String, u64)>,
    /// What is cut off at the ends.
    pub tails: Vec<Damage>,
    /// The newest header, if any file of ours was read.
    pub header: Option<FileHeader>,
}

/// Bytes that are no record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// In which file.
    pub file: String,
    /// Where they begin.
    pub at: u64,
    /// How many they are.
    pub len: u64,
}

/// So many damaged places are told one by one.
pub const MAX_DAMAGES: usize = 100;

/// Why the log cannot be loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LoadError {
    /// The system refuses something.
    Io {
        /// Which file.
        file: String,
        /// What and why.
        failure: Failure,
    },
    /// Not all files are there.
    Missing(MissingFile),
    /// A file that cannot be understood.
    Read {
        /// Which file.
        file: String,
        /// Why.
        error: ReadError,
    },
    /// A file has another number, or is of another kind, than its name says.
    WrongName {
        /// Which file.
        file: String,
    },
    /// The end is cut off, and `aof-load-truncated` is no.
    Truncated(Damage),
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LoadError::Io { file, failure } => {
                write!(f, "{} of the append-only file {file}: {}", failure.call, failure.reason)
            }
            LoadError::Missing(missing) => missing.fmt(f),
            LoadError::Read { file, error } => write!(f, "the append-only file {file}: {error}"),
            LoadError::WrongName { file } => write!(
                f,
                "the append-only file {file} is another one than its name says; was it copied over?"
            ),
            LoadError::Truncated(damage) => write!(
                f,
                "Unexpected end of file reading the append only file: {} has {} bytes behind offset {} that are \
                 no record. Make a backup, then cut it with 'disque-check-aof --fix', or set aof-load-truncated yes",
                damage.file, damage.len, damage.at
            ),
        }
    }
}

impl std::error::Error for LoadError {}

/// How far a step came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// There is more.
    More,
    /// All files are read.
    Done,
}

impl<L: FileLayer> Loader<L> {
    /// Finds the files and their sizes.
    pub fn new(mut layer: L, names: Names) -> Result<Loader<L>, LoadError> {
        let listed = uninterrupted(|| layer.list()).map_err(|error| io_error("", "list", &error))?;
        let chain = names.chain(&listed).map_err(LoadError::Missing)?;
        let files = names.files(&chain);
        let mut summary = Summary::default();
        for file in &files {
            summary.bytes += size(&mut layer, file)?;
        }
        Ok(Loader { layer, names, chain, files, index: 0, current: None, summary })
    }

    /// The files that are read, in order.
    pub fn files(&self) -> &[String] {
        &self.files
    }

    /// What the files are read through.
    pub fn layer(&self) -> &L {
        &self.layer
    }

    /// Which files there are.
    pub fn chain(&self) -> &Chain {
        &self.chain
    }

    /// What was found so far.
    pub fn summary(&self) -> &Summary {
        &self.summary
    }

    /// Reads about so many bytes, at least one chunk, and gives their records to `restore`.
    pub fn step(
        &mut self,
        mut bytes: usize,
        restore: &mut impl FnMut(Record<'_>),
    ) -> Result<Step, LoadError> {
        loop {
            let Some(name) = self.files.get(self.index).cloned() else { return Ok(Step::Done) };
            if self.current.is_none() {
                let file = uninterrupted(|| self.layer.open(&name))
                    .map_err(|error| io_error(&name, "open", &error))?;
                let reader = Reader::new();
                self.current = Some(Current { file, reader, position: 0, records: 0, sealed: false });
            }
            if self.records(&name, restore)? {
                continue;
            }
            if bytes == 0 {
                return Ok(Step::More);
            }
            bytes = bytes.saturating_sub(self.fill(&name)?);
        }
    }

    /// Gives out the records at hand; true if the file is at its end.
    fn records(&mut self, name: &str, restore: &mut impl FnMut(Record<'_>)) -> Result<bool, LoadError> {
        let is_log = self.expected(self.index).0 == FileKind::Log;
        let current = self.current.as_mut().expect("a file is being read");
        let summary = &mut self.summary;
        loop {
            let next = match current.reader.advance() {
                Ok(next) => next,
                Err(error) if is_log && error.is_damage() => return self.skip_file(name),
                Err(error) => return Err(LoadError::Read { file: name.to_owned(), error }),
            };
            match next {
                Next::Record { record, .. } => {
                    current.sealed = record == Record::End { records: current.records };
                    current.records += 1;
                    summary.records += 1;
                    if !matches!(record, Record::End { .. }) {
                        restore(record);
                    }
                }
                Next::Unknown { .. } => {
                    current.records += 1;
                    summary.unknown += 1;
                }
                Next::Damaged { at, len } => summary.add(Damage { file: name.to_owned(), at, len }),
                Next::NeedMore => return Ok(false),
                Next::End { at, tail } => {
                    // A log that begins with a star is not RC1's file, which is a base.
                    if is_log && tail > 0 && current.reader.format() == Some(Format::Rc1) {
                        return self.skip_file(name);
                    }
                    self.end_of_file(name, at, tail)?;
                    return Ok(true);
                }
            }
        }
    }

    /// A log that does not begin like one: a power cut can leave it so, after a disk that failed when the log was made.
    /// The file stays as it is until a base stands for it.
    fn skip_file(&mut self, name: &str) -> Result<bool, LoadError> {
        let len = size(&mut self.layer, name)?;
        self.summary.add(Damage { file: name.to_owned(), at: 0, len });
        self.current = None;
        self.index += 1;
        Ok(true)
    }

    fn fill(&mut self, name: &str) -> Result<usize, LoadError> {
        let (layer, current) = (&mut self.layer, self.current.as_mut().expect("a file is being read"));
        let position = current.position;
        let file = &current.file;
        let read = current.reader.fill(|room| uninterrupted(|| layer.read(file, position, room)));
        let read = read.map_err(|error| io_error(name, "read", &error))?;
        current.position += read as u64;
        self.summary.bytes_read += read as u64;
        Ok(read)
    }

    fn end_of_file(&mut self, name: &str, at: u64, tail: u64) -> Result<(), LoadError> {
        let current = self.current.take().expect("a file is being read");
        let rest = Damage { file: name.to_owned(), at, len: tail };
        match current.reader.format() {
            Some(Format::Framed { header, damaged }) => {
                if self.expected(self.index) != (header.kind, header.number) {
                    return Err(LoadError::WrongName { file: name.to_owned() });
                }
                self.summary.header = Some(header);
                if damaged {
                    self.summary.add(Damage { file: name.to_owned(), at: 0, len: 0 });
                }
                // A base was synced before it got its name: what lacks at its end was lost later.
                let incomplete = header.kind == FileKind::Base && (!current.sealed || tail > 0);
                if incomplete {
                    self.summary.add(rest);
                } else if tail > 0 {
                    self.summary.tails.push(rest);
                }
            }
            // It had a header, at least, when it got its name.
            None if self.is_base(self.index) => self.summary.add(rest),
            Some(Format::Rc1) | None if tail > 0 => self.summary.tails.push(rest),
            Some(Format::Rc1) | None => {}
        }
        // What follows a tail shows that it was not the end.
        if current.records > 0 {
            let earlier = |damage: &Damage| damage.file != name && damage.file != self.names.rc1();
            let (holes, tails) = std::mem::take(&mut self.summary.tails).into_iter().partition(earlier);
            self.summary.tails = tails;
            let holes: Vec<Damage> = holes;
            holes.into_iter().for_each(|damage| self.summary.add(damage));
        }
        self.index += 1;
        Ok(())
    }

    fn is_base(&self, index: usize) -> bool {
        index == 0 && matches!(self.chain.base, Some(Base::Framed(_)))
    }

    /// Kind and number that the name of a file of ours tells.
    fn expected(&self, index: usize) -> (FileKind, u64) {
        match self.chain.base {
            Some(Base::Framed(number)) if index == 0 => (FileKind::Base, number),
            Some(_) if index == 0 => (FileKind::Base, 0),
            Some(_) => (FileKind::Log, self.chain.logs[index - 1]),
            None => (FileKind::Log, self.chain.logs[index]),
        }
    }

    /// Makes the files ready for writing: cuts off tails, removes what is left over, and opens the last log, or
    /// makes one. `origin` is for a new one.
    pub fn finish(mut self, allow_truncated: bool, origin: Origin) -> Result<Ready<L>, LoadError> {
        if let Some(tail) = self.summary.tails.first().filter(|_| !allow_truncated) {
            return Err(LoadError::Truncated(tail.clone()));
        }
        for tail in &self.summary.tails {
            cut(&mut self.layer, tail)?;
        }
        let last = self.chain.logs.last().copied();
        let header =
            self.summary.header.filter(|header| header.kind == FileKind::Log && Some(header.number) == last);
        // A process that was killed leaves what the system has and the disk may not have. From here on it is told to
        // others, so it must be safe first; only then may older files go.
        sync_all(&mut self.layer, &self.files)?;
        let mut rewriter = Rewriter::new(self.layer, self.names.clone(), &self.chain);
        rewriter.tidy_leftovers(&self.chain);
        let (log, salt) = match (last, header) {
            (Some(number), Some(header)) => {
                let name = self.names.log(number);
                let layer = rewriter.layer_mut();
                let size = size(layer, &name)?;
                let file =
                    uninterrupted(|| layer.open(&name)).map_err(|error| io_error(&name, "open", &error))?;
                (LogFile { file, number, size }, header.salt)
            }
            _ => {
                let number = last.map_or(1, |number| number + 1);
                let made = rewriter.make_log(number, origin);
                let file = self.names.log(number);
                (made.map_err(|failure| LoadError::Io { file, failure })?, origin.salt)
            }
        };
        Ok(Ready { log, salt, rewriter, summary: self.summary, chain: self.chain })
    }
}

/// A log that was loaded, ready to be written on.
#[derive(Debug)]
pub struct Ready<L: FileLayer> {
    /// The log to go on with.
    pub log: LogFile<L::File>,
    /// The salt in its header.
    pub salt: u64,
    /// Makes the files of the next rewrite.
    pub rewriter: Rewriter<L>,
    /// What was found.
    pub summary: Summary,
    /// Which files were there.
    pub chain: Chain,
}

impl Summary {
    /// Notes a piece that is no record.
    pub fn add(&mut self, damage: Damage) {
        self.damage_count += 1;
        match self.damaged_files.last_mut() {
            Some((file, bytes)) if *file == damage.file => *bytes += damage.len,
            _ => self.damaged_files.push((damage.file.clone(), damage.len)),
        }
        if self.damages.len() < MAX_DAMAGES {
            self.damages.push(damage);
        }
    }
}

fn cut<L: FileLayer>(layer: &mut L, tail: &Damage) -> Result<(), LoadError> {
    let name = &tail.file;
    let file = uninterrupted(|| layer.open(name)).map_err(|error| io_error(name, "open", &error))?;
    uninterrupted(|| layer.truncate(&file, tail.at))
        .and_then(|()| uninterrupted(|| layer.sync(&file)))
        .map_err(|error| io_error(name, "truncate", &error))
}

fn sync_all<L: FileLayer>(layer: &mut L, files: &[String]) -> Result<(), LoadError> {
    for name in files {
        let file = uninterrupted(|| layer.open(name)).map_err(|error| io_error(name, "open", &error))?;
        uninterrupted(|| layer.sync(&file)).map_err(|error| io_error(name, "fsync", &error))?;
    }
    if files.is_empty() {
        return Ok(());
    }
    uninterrupted(|| layer.sync_dir()).map_err(|error| io_error("", "fsync of the directory", &error))
}

fn size<L: FileLayer>(layer: &mut L, name: &str) -> Result<u64, LoadError> {
    let file = uninterrupted(|| layer.open(name)).map_err(|error| io_error(name, "open", &error))?;
    uninterrupted(|| layer.size(&file)).map_err(|error| io_error(name, "size", &error))
}

fn io_error(file: &str, call: &'static str, error: &io::Error) -> LoadError {
    LoadError::Io { file: file.to_owned(), failure: Failure::new(call, error) }
}
