//! From our files to one of RC1, and back.
//!
//! Only what a restart would know is written: the files are read twice, first for how each job stands at the
//! end, then for the jobs themselves. So what is kept in memory is some hundred bytes per job, whatever their
//! bodies.

use std::io;
use std::path::Path;

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use hashbrown::hash_map::Entry;
use rand::TryRng as _;
use rand::rngs::SysRng;

use super::files::{self, append, split};
use super::{INVALID, Terminal, VALID, say, shown};
use crate::aof::{
    BaseFrames, Chain, FileLayer as _, JobRecord, Names, Origin, Record, Rewriter, Standing, encode_rc1,
};
use crate::disk::{Lock, OsFiles};
use crate::types::{JobId, NodeId, UnixMillis};

/// How a job stands at the end.
#[derive(Debug, Default)]
struct Final {
    /// Which of the records is the job's last.
    record: u64,
    standing: Option<Standing>,
    holders: Option<Vec<NodeId>>,
    acked: bool,
}

#[derive(Debug)]
struct Finals {
    jobs: HashMap<JobId, Final, FixedState>,
    records: u64,
}

/// How many bytes are gathered before they are written.
const PIECE: usize = 1 << 20;

impl Finals {
    fn new() -> Finals {
        Finals { jobs: HashMap::with_hasher(FixedState::with_seed(0)), records: 0 }
    }

    fn learn(&mut self, record: &Record<'_>) {
        self.records += 1;
        match record {
            Record::Job(job) => match self.jobs.entry(job.image.id) {
                // As the server takes it: done is done, and of RC1's records of a job the first counts.
                Entry::Occupied(known) if known.get().acked || job.requeue_at == JobRecord::DUE_UNKNOWN => {}
                entry => drop(entry.insert(Final { record: self.records, ..Final::default() })),
            },
            Record::Standing(standing) => {
                if let Some(job) = self.jobs.get_mut(&standing.id) {
                    job.standing = Some(*standing);
                }
            }
            Record::Holders { id, holders } => {
                if let Some(job) = self.jobs.get_mut(id) {
                    job.holders = Some(holders.to_vec());
                }
            }
            Record::Acked(acked) => {
                self.jobs.entry(acked.id).or_default().acked = true;
            }
            Record::Forgotten { id } => drop(self.jobs.remove(id)),
            Record::Flushed => self.jobs.clear(),
            Record::Pause { .. } | Record::End { .. } | Record::Slots { .. } => {}
        }
    }

    /// The record number `number` is read again: the job as it stands at the end, if this is its record.
    fn last<'a>(&self, number: u64, record: Record<'a>) -> Option<Record<'a>> {
        let Record::Job(JobRecord { mut image, mut requeue_at }) = record else { return None };
        let job = self.jobs.get(&image.id).filter(|job| job.record == number && !job.acked)?;
        if let Some(standing) = &job.standing {
            image.nacks = standing.nacks;
            image.additional_deliveries = standing.additional_deliveries;
            image.flags = standing.flags;
            image.state = if standing.queued { JobRecord::QUEUED } else { JobRecord::ACTIVE };
            requeue_at = standing.requeue_at;
        }
        if let Some(holders) = &job.holders {
            image.nodes = holders.clone().into();
        }
        Some(Record::Job(JobRecord { image, requeue_at }))
    }
}

/// Reads `source` twice; gives each job that is left to `write`. How many there are, and what was wrong.
fn convert(
    source: &Path,
    terminal: &mut Terminal<'_>,
    mut write: impl FnMut(&Record<'_>) -> io::Result<()>,
) -> io::Result<Result<(u64, u64), String>> {
    let mut finals = Finals::new();
    let Some(found) = files::records(source, terminal, |record| {
        finals.learn(&record);
        Ok(())
    })?
    else {
        return Ok(Err(format!("Cannot open file: {}", shown(source))));
    };
    if let Err(error) = found {
        return Ok(Err(error));
    }
    let (mut number, mut jobs) = (0, 0);
    let again = files::records(source, terminal, |record| {
        number += 1;
        finals.last(number, record).map_or(Ok(()), |record| {
            jobs += 1;
            write(&record)
        })
    })?;
    Ok(match again {
        Some(Ok(damages)) => Ok((jobs, damages)),
        Some(Err(error)) => Err(error),
        None => Err(format!("Cannot open file: {}", shown(source))),
    })
}

/// Says how it went.
fn verdict(
    outcome: Result<(u64, u64), String>,
    output: &Path,
    terminal: &mut Terminal<'_>,
) -> io::Result<u8> {
    match outcome {
        Ok((jobs, 0)) => say(terminal, &format!("{jobs} jobs written to {}", shown(output))).map(|()| VALID),
        Ok((jobs, damages)) => {
            let text = format!(
                "{jobs} jobs written to {}; {damages} damaged places of the source are left out",
                shown(output)
            );
            say(terminal, &text).map(|()| INVALID)
        }
        Err(error) => say(terminal, &error).map(|()| INVALID),
    }
}

pub(super) fn to_rc1(source: &Path, output: &Path, terminal: &mut Terminal<'_>) -> io::Result<u8> {
    let (dir, name) = split(output);
    let mut layer = OsFiles::new(&dir)?;
    if output.exists() {
        return say(terminal, &format!("{} exists; choose another name", shown(output))).map(|()| INVALID);
    }
    let beside = format!("{name}.tmp");
    let file = layer.create(&beside)?;
    let (mut bytes, mut at) = (Vec::new(), 0);
    let outcome = convert(source, terminal, |record| {
        encode_rc1(record, &mut bytes);
        if bytes.len() > PIECE {
            at = append(&mut layer, &file, at, &mut bytes)?;
        }
        Ok(())
    })?;
    if outcome.is_err() {
        layer.remove(&beside)?;
        return verdict(outcome, output, terminal);
    }
    append(&mut layer, &file, at, &mut bytes)?;
    layer.sync(&file)?;
    layer.rename(&beside, &name)?;
    layer.sync_dir()?;
    verdict(outcome, output, terminal)
}

pub(super) fn from_rc1(source: &Path, output: &Path, terminal: &mut Terminal<'_>) -> io::Result<u8> {
    if !super::options::is_rc1(source)? {
        return say(terminal, &format!("{} is no append-only file of RC1", shown(source))).map(|()| INVALID);
    }
    if !files::is_single(source) {
        let text = format!("{0} goes on in files of this server; --to-rc1 converts them all", shown(source));
        return say(terminal, &text).map(|()| INVALID);
    }
    let (dir, name) = split(output);
    let names = Names::new(&name);
    let _lock = Lock::take(&dir.join(names.lock())).map_err(io::Error::other)?;
    let mut layer = OsFiles::new(&dir)?;
    if names.chain(&layer.list()?) != Ok(Chain::default()) {
        let text = format!("there are files of {} already; choose another name", shown(output));
        return say(terminal, &text).map(|()| INVALID);
    }
    let mut rewriter = Rewriter::new(layer, names, &Chain::default());
    let failed =
        |failure: crate::aof::Failure| io::Error::other(format!("{}: {}", failure.call, failure.reason));
    rewriter.make_log(1, origin()?).map_err(failed)?;
    let base = origin()?;
    rewriter.begin(1, base).map_err(failed)?;
    let (mut frames, mut bytes) = (BaseFrames::new(base.salt), Vec::new());
    let outcome = convert(source, terminal, |record| {
        frames.add(record, &mut bytes);
        if bytes.len() > PIECE {
            rewriter.write(&bytes).map_err(failed)?;
            bytes.clear();
        }
        Ok(())
    })?;
    if outcome.is_err() {
        rewriter.give_up();
        return verdict(outcome, output, terminal);
    }
    frames.end(&mut bytes);
    rewriter.write(&bytes).map_err(failed)?;
    rewriter.finish().map_err(failed)?;
    verdict(outcome, output, terminal)
}

/// No node wrote this file.
fn origin() -> io::Result<Origin> {
    let mut salt = [0; 8];
    SysRng.try_fill_bytes(&mut salt).map_err(io::Error::other)?;
    let created: UnixMillis = files::now();
    Ok(Origin { created, node: NodeId::from_bytes([0; 20]), salt: u64::from_le_bytes(salt) })
}
