//! Files of this server: verified one by one or as the log they make, and repaired.
//!
//! Repairing cuts off what stands behind the last record, and writes files with damage in the middle anew without
//! it. A file is replaced by rename when its successor is on the disk.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use super::jobs::Jobs;
use super::options::Options;
use super::progress::Progress;
use super::report::Report;
use super::{INVALID, Terminal, VALID, bytes, confirmed, say, shown};
use crate::aof::{
    Damage, FileHeader, FileKind, FileLayer as _, Format, Framer, HEADER_LEN, LoadError, Loader, Names, Next,
    Reader, Record, Step, Summary,
};
use crate::disk::{Lock, OsFiles};
use crate::types::UnixMillis;

pub(super) fn now() -> UnixMillis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    UnixMillis(since.map_or(0, |since| since.as_millis() as u64))
}

pub(super) fn verify(options: &Options, terminal: &mut Terminal<'_>) -> io::Result<u8> {
    let report = match read(&options.file, terminal) {
        Ok(Some(report)) => report,
        Ok(None) => {
            return say(terminal, &format!("Cannot open file: {}", shown(&options.file))).map(|()| INVALID);
        }
        Err(error) => return Err(error),
    };
    if options.json {
        say(terminal, &report.json().to_string())?;
    } else {
        say(terminal, &report.text())?;
    }
    if report.is_valid() {
        return Ok(VALID);
    }
    if !options.fix || report.error.is_some() {
        return Ok(INVALID);
    }
    repair(&options.file, &report, terminal)
}

/// Whether this is a file by itself, and not the name of a log that has others, too: those of RC1 and of this server may
/// have the same name.
pub(super) fn is_single(path: &Path) -> bool {
    let (dir, name) = split(path);
    let names = Names::new(&name);
    let listed = OsFiles::new(&dir).and_then(|mut layer| layer.list()).unwrap_or_default();
    let alone = names.chain(&listed).is_ok_and(|chain| names.files(&chain).iter().all(|file| *file == name));
    alone && path.is_file()
}

/// Reads one file, or all that belong to a name; `None` if there is neither.
pub(super) fn read(path: &Path, terminal: &mut Terminal<'_>) -> io::Result<Option<Report>> {
    if is_single(path) {
        return read_file(path, terminal).map(Some);
    }
    let (dir, name) = split(path);
    let Ok(layer) = OsFiles::new(&dir) else { return Ok(None) };
    let loader = match Loader::new(layer, Names::new(&name)) {
        Ok(loader) if loader.files().is_empty() => return Ok(None),
        Ok(loader) => loader,
        Err(error) => return Ok(Some(failed(error.to_string()))),
    };
    read_chain(loader, terminal).map(Some)
}

/// Reads this one file, of whatever format.
pub(super) fn read_one(path: &Path, terminal: &mut Terminal<'_>) -> io::Result<Report> {
    read_file(path, terminal)
}

/// Gives all records of one file, or of all that belong to a name, to `visit`; how many places were damaged, or
/// why reading ended early. `None` if there is neither.
pub(super) fn records(
    path: &Path,
    terminal: &mut Terminal<'_>,
    mut visit: impl FnMut(Record<'_>) -> io::Result<()>,
) -> io::Result<Option<Result<u64, String>>> {
    if is_single(path) {
        let mut damages = 0;
        let outcome = walk(path, |_, piece| match piece {
            Piece::Record(record) => visit(record),
            Piece::Damaged(_) => {
                damages += 1;
                Ok(())
            }
            Piece::Unknown | Piece::Tail(_) => Ok(()),
        })?;
        return Ok(Some(outcome.map(|_| damages)));
    }
    let (dir, name) = split(path);
    let Ok(layer) = OsFiles::new(&dir) else { return Ok(None) };
    let mut loader = match Loader::new(layer, Names::new(&name)) {
        Ok(loader) if loader.files().is_empty() => return Ok(None),
        Ok(loader) => loader,
        Err(error) => return Ok(Some(Err(error.to_string()))),
    };
    let mut progress = Progress::new(terminal.progress, loader.summary().bytes);
    let mut outcome = Ok(());
    loop {
        let step = loader.step(STEP, &mut |record| {
            if outcome.is_ok() {
                outcome = visit(record);
            }
        });
        match step {
            Ok(Step::More) => progress.at(loader.summary().bytes_read),
            Ok(Step::Done) => break,
            Err(error) => return Ok(Some(Err(error.to_string()))),
        }
    }
    outcome?;
    Ok(Some(Ok(loader.summary().damage_count)))
}

/// How much is read between two looks at the progress.
const STEP: usize = 16 << 20;

/// The directory of a path, and the name in it.
pub(super) fn split(path: &Path) -> (PathBuf, String) {
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    (dir.to_owned(), path.file_name().unwrap_or_default().to_string_lossy().into_owned())
}

fn failed(error: String) -> Report {
    Report { files: Vec::new(), found: Summary::default(), error: Some(error), jobs: Jobs::new(), now: now() }
}

/// As the server loads it, without changing anything.
fn read_chain(mut loader: Loader<OsFiles>, terminal: &mut Terminal<'_>) -> io::Result<Report> {
    let mut report = failed(String::new());
    report.error = None;
    let mut layer = loader.layer().clone();
    for file in loader.files() {
        let size = layer.open(file).and_then(|open| layer.size(&open)).unwrap_or(0);
        report.files.push((file.clone(), size));
    }
    let mut progress = Progress::new(terminal.progress, loader.summary().bytes);
    let jobs = &mut report.jobs;
    let outcome: Result<(), LoadError> = loop {
        match loader.step(STEP, &mut |record| jobs.apply(&record)) {
            Ok(Step::More) => progress.at(loader.summary().bytes_read),
            Ok(Step::Done) => break Ok(()),
            Err(error) => break Err(error),
        }
    };
    report.found = loader.summary().clone();
    report.error = outcome.err().map(|error| error.to_string());
    Ok(report)
}

/// One file by itself: what it says of jobs that another file knows is not counted.
fn read_file(path: &Path, terminal: &mut Terminal<'_>) -> io::Result<Report> {
    let name = split(path).1;
    let size = path.metadata()?.len();
    let mut report = failed(String::new());
    report.error = None;
    report.files.push((name.clone(), size));
    report.found.bytes = size;
    let mut sealed = false;
    let mut progress = Progress::new(terminal.progress, size);
    let header = walk(path, |at, piece| {
        progress.at(at);
        match piece {
            Piece::Record(record) => {
                sealed = record == Record::End { records: report.found.records + report.found.unknown };
                report.found.records += 1;
                report.jobs.apply(&record);
            }
            Piece::Unknown => report.found.unknown += 1,
            Piece::Damaged(len) => {
                report.found.add(Damage { file: name.clone(), at, len });
            }
            Piece::Tail(len) => report.found.tails.push(Damage { file: name.clone(), at, len }),
        }
        Ok(())
    })?;
    match header {
        Err(error) => report.error = Some(error),
        Ok(Some((header, damaged))) => {
            if damaged {
                report.found.add(Damage { file: name.clone(), at: 0, len: HEADER_LEN as u64 });
            }
            if header.kind == FileKind::Base && !sealed {
                report.error = Some(format!("{name} is a base and lacks its end"));
            }
        }
        Ok(None) => {}
    }
    Ok(report)
}

enum Piece<'a> {
    Record(Record<'a>),
    Unknown,
    Damaged(u64),
    Tail(u64),
}

type Header = Result<Option<(FileHeader, bool)>, String>;

/// Goes through a file of ours; what it begins with, or why it cannot be read.
fn walk(path: &Path, mut visit: impl FnMut(u64, Piece<'_>) -> io::Result<()>) -> io::Result<Header> {
    let mut file = File::open(path)?;
    let mut reader = Reader::new();
    loop {
        match reader.advance() {
            Err(error) => return Ok(Err(error.to_string())),
            Ok(Next::Record { at, record, .. }) => visit(at, Piece::Record(record))?,
            Ok(Next::Unknown { at, .. }) => visit(at, Piece::Unknown)?,
            Ok(Next::Damaged { at, len }) => visit(at, Piece::Damaged(len))?,
            Ok(Next::NeedMore) => drop(reader.fill(|room| file.read(room))?),
            Ok(Next::End { at, tail }) => {
                if tail > 0 {
                    visit(at, Piece::Tail(tail))?;
                }
                return Ok(Ok(match reader.format() {
                    Some(Format::Framed { header, damaged }) => Some((header, damaged)),
                    _ => None,
                }));
            }
        }
    }
}

fn repair(path: &Path, report: &Report, terminal: &mut Terminal<'_>) -> io::Result<u8> {
    let Summary { damaged_files, tails, .. } = &report.found;
    let damaged = damaged_files.iter().map(|(_, bytes)| bytes);
    let lost: u64 = damaged.chain(tails.iter().map(|tail| &tail.len)).sum();
    say(terminal, &format!("This will remove {} that are no record", bytes(lost)))?;
    if !confirmed(terminal)? {
        return Ok(INVALID);
    }
    let (dir, name) = split(path);
    let one_file = is_single(path);
    if !one_file && damaged_files.iter().any(|(file, _)| *file == name) {
        return Err(io::Error::other(format!(
            "{name} is a file of Disque 1.0, from which damage cannot be removed; the server's next rewrite leaves it out"
        )));
    }
    // A server that writes to the file would go on at a place that is no longer its end.
    let _lock = if one_file {
        None
    } else {
        Some(Lock::take(&dir.join(Names::new(&name).lock())).map_err(io::Error::other)?)
    };
    for (file, _) in damaged_files {
        let path = dir.join(file);
        match header_of(&path) {
            Ok(header) => rewrite(&path, header)?,
            // Nothing in it can be told from chance. An empty log is a good one.
            Err(_) => cut(&path, 0)?,
        }
    }
    // What was rewritten has no tail.
    for tail in tails.iter().filter(|tail| damaged_files.iter().all(|(file, _)| *file != tail.file)) {
        cut(&dir.join(&tail.file), tail.at)?;
    }
    say(terminal, "Successfully repaired AOF")?;
    Ok(VALID)
}

fn cut(path: &Path, at: u64) -> io::Result<()> {
    let file = File::options().write(true).open(path)?;
    file.set_len(at)?;
    file.sync_all()
}

/// Writes the file anew with the records that can be read. Those of later versions, which cannot be, are kept
/// only by leaving the file alone.
fn rewrite(path: &Path, header: FileHeader) -> io::Result<()> {
    let (dir, name) = split(path);
    let mut layer = OsFiles::new(&dir)?;
    let beside = format!("{name}.repaired");
    let file = layer.create(&beside)?;
    let mut bytes = Vec::new();
    let (mut framer, mut payload) = (None, Vec::new());
    let mut written = 0;
    let mut records = 0;
    let mut unknown = 0;
    framer.replace(Framer::new(header.salt, HEADER_LEN as u64));
    bytes.extend_from_slice(&header.encode());
    let outcome = walk(path, |_, piece| {
        let Piece::Record(record) = piece else {
            unknown += u64::from(matches!(piece, Piece::Unknown));
            return Ok(());
        };
        if matches!(record, Record::End { .. }) {
            return Ok(());
        }
        payload.clear();
        record.encode(&mut payload);
        framer.as_mut().expect("it was just put there").frame(record.kind(), &payload, &mut bytes);
        records += 1;
        if bytes.len() > 1 << 20 {
            written = append(&mut layer, &file, written, &mut bytes)?;
        }
        Ok(())
    })?;
    outcome.map_err(io::Error::other)?;
    if unknown > 0 {
        return Err(io::Error::other(format!(
            "{name} has {unknown} records of a later version; use the disque-check-aof of that version"
        )));
    }
    if header.kind == FileKind::Base {
        payload.clear();
        let end = Record::End { records };
        end.encode(&mut payload);
        framer.as_mut().expect("it was just put there").frame(end.kind(), &payload, &mut bytes);
    }
    append(&mut layer, &file, written, &mut bytes)?;
    layer.sync(&file)?;
    layer.rename(&beside, &name)?;
    layer.sync_dir()
}

fn header_of(path: &Path) -> io::Result<FileHeader> {
    let mut bytes = [0; HEADER_LEN];
    File::open(path)?.read_exact(&mut bytes)?;
    Ok(FileHeader::decode(&bytes).map_err(io::Error::other)?.0)
}

/// Appends the bytes to a file that has `at`; returns how many it has then.
pub(super) fn append(
    layer: &mut OsFiles,
    file: &<OsFiles as crate::aof::FileLayer>::File,
    mut at: u64,
    bytes: &mut Vec<u8>,
) -> io::Result<u64> {
    let mut rest = &bytes[..];
    while !rest.is_empty() {
        let written = layer.write(file, at, rest)?;
        at += written as u64;
        rest = &rest[written..];
    }
    bytes.clear();
    Ok(at)
}
