//! A node reduced to what the log sees: it knows numbered jobs, adds and forgets them, rewrites its log, and tells
//! what it has confirmed.

use std::borrow::Cow;
use std::collections::BTreeMap;

use disque::aof::{
    BaseFrames, HEADER_LEN, Health, JobRecord, Journal, LoadError, Loader, Names, Origin, Ready, Record,
    Rewriter, Seq, Step, Summary, SyncPolicy, Writer,
};
use disque::types::{BodyArg, Ctime, JobId, JobImage, Millis, NodeId, Span32, UnixMillis};

use crate::sim_disk::SimDisk;

pub const NAME: &str = "disque.aof";

/// The job with this number, in its n-th version.
pub fn record(number: u32, version: u16) -> Record<'static> {
    let image = JobImage {
        id: job_id(number),
        state: JobRecord::ACTIVE,
        flags: 0,
        replicate: 1,
        expires_at: UnixMillis(u64::MAX),
        ctime: Ctime(u64::from(number)),
        delay: Span32::ZERO,
        retry: Span32::ZERO,
        nacks: version,
        additional_deliveries: 0,
        queue: Cow::Borrowed(b"q"),
        body: BodyArg::Owned(vec![number as u8; 20 + number as usize % 700]),
        nodes: Cow::Borrowed(&[]),
    };
    Record::Job(JobRecord { image, requeue_at: UnixMillis::NEVER })
}

pub fn job_id(number: u32) -> JobId {
    let mut bytes = [0; 24];
    bytes[..4].copy_from_slice(&number.to_be_bytes());
    JobId::from_bytes(bytes)
}

fn number(id: &JobId) -> u32 {
    u32::from_be_bytes(id.bytes()[..4].try_into().expect("four bytes"))
}

/// What the jobs are: their versions by their numbers.
pub type Jobs = BTreeMap<u32, u16>;

/// A change, and the position at which it is confirmed.
#[derive(Clone, Copy, Debug)]
pub struct Change {
    pub job: u32,
    /// `None`: forgotten.
    pub version: Option<u16>,
    pub at: Seq,
}

pub struct Node {
    pub disk: SimDisk,
    pub jobs: Jobs,
    journal: Journal,
    pub writer: Writer<SimDisk>,
    rewriter: Rewriter<SimDisk>,
    next_number: u64,
    walk: Option<Walk>,
    pub now: Millis,
    pub changes: Vec<Change>,
    salt: u64,
}

struct Walk {
    number: u64,
    frames: BaseFrames,
    /// Jobs from here on are not visited yet.
    from: u32,
}

/// How a rewrite does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rewrite {
    Running,
    Finished,
    Failed,
}

/// Loads what a disk has.
pub fn load(disk: &SimDisk, allow_truncated: bool) -> Result<(Jobs, Ready<SimDisk>), LoadError> {
    let mut jobs = Jobs::new();
    let mut loader = Loader::new(disk.clone(), Names::new(NAME))?;
    while loader.step(1000, &mut |record| restore(&mut jobs, record))? == Step::More {}
    Ok((jobs, loader.finish(allow_truncated, origin(disk.calls()))?))
}

fn restore(jobs: &mut Jobs, record: Record<'_>) {
    match record {
        Record::Job(job) => {
            let number = number(&job.image.id);
            assert!(job.image.body.bytes().iter().all(|byte| *byte == number as u8), "bodies are as added");
            jobs.insert(number, job.image.nacks);
        }
        Record::Forgotten { id } => {
            jobs.remove(&number(&id));
        }
        other => panic!("{other:?} was never written"),
    }
}

fn origin(salt: u64) -> Origin {
    Origin { created: UnixMillis(1), node: NodeId::from_bytes([1; 20]), salt }
}

impl Node {
    /// Starts with what the disk has.
    pub fn start(disk: &SimDisk, policy: SyncPolicy) -> Result<(Node, Summary), LoadError> {
        let (jobs, ready) = load(disk, true)?;
        let node = Node {
            disk: disk.clone(),
            jobs,
            journal: Journal::new(ready.salt, ready.log.size),
            next_number: ready.log.number + 1,
            writer: Writer::new(disk.clone(), ready.log, policy, Millis(0)),
            rewriter: ready.rewriter,
            walk: None,
            now: Millis(0),
            changes: Vec::new(),
            salt: 1000,
        };
        Ok((node, ready.summary))
    }

    /// Adds a job, or makes a new version of it.
    pub fn put(&mut self, job: u32) {
        let version = self.jobs.get(&job).map_or(0, |version| version + 1);
        self.jobs.insert(job, version);
        self.append(job, Some(version), &record(job, version));
    }

    pub fn forget(&mut self, job: u32) {
        self.jobs.remove(&job);
        self.append(job, None, &Record::Forgotten { id: job_id(job) });
    }

    fn append(&mut self, job: u32, version: Option<u16>, record: &Record<'_>) {
        let mut payload = Vec::new();
        record.encode(&mut payload);
        let at = self.journal.append(record.kind(), &payload);
        self.changes.push(Change { job, version, at });
    }

    /// A turn of the loop and of the writer, so much later.
    pub fn turn(&mut self, later: u64) {
        self.now.0 += later;
        self.writer.feed(self.journal.buffer());
        while let Some(task) = self.writer.run(self.now) {
            self.writer.perform(&task);
            if self.writer.progress().health != Health::Good {
                break;
            }
        }
    }

    /// Begins a rewrite. False if that fails.
    pub fn begin_rewrite(&mut self) -> bool {
        if self.writer.is_switching() {
            return false;
        }
        self.walk = None;
        self.salt += 1;
        let (number, log_salt, base_salt) = (self.next_number, self.salt, self.salt + 5_000);
        let Ok(log) = self.rewriter.make_log(number, origin(log_salt)) else { return false };
        self.next_number += 1;
        self.writer.feed(self.journal.buffer());
        self.writer.switch(log);
        self.journal.switch(log_salt, HEADER_LEN as u64);
        if self.rewriter.begin(number, origin(base_salt)).is_err() {
            return false;
        }
        self.walk = Some(Walk { number, frames: BaseFrames::new(base_salt), from: 0 });
        true
    }

    pub fn is_rewriting(&self) -> bool {
        self.walk.is_some()
    }

    /// Goes on with the rewrite: a few jobs.
    pub fn go_on(&mut self, jobs: usize) -> Rewrite {
        let Some(walk) = &mut self.walk else { return Rewrite::Failed };
        let mut bytes = Vec::new();
        let mut left = false;
        for (visited, (job, version)) in self.jobs.range(walk.from..).enumerate() {
            if visited == jobs {
                left = true;
                break;
            }
            walk.frames.add(&record(*job, *version), &mut bytes);
            walk.from = job + 1;
        }
        let number = walk.number;
        if !left {
            self.walk.take().expect("it runs").frames.end(&mut bytes);
        }
        let outcome = self.rewriter.write(&bytes);
        if outcome.is_err() {
            self.rewriter.give_up();
            self.walk = None;
            return Rewrite::Failed;
        }
        if left {
            return Rewrite::Running;
        }
        match self.rewriter.finish() {
            Ok(_) => {
                self.writer.anchored(number);
                Rewrite::Finished
            }
            Err(_) => Rewrite::Failed,
        }
    }

    /// What the jobs must be after a restart: for each, the states it may be in. The last confirmed one, or any
    /// later.
    pub fn expect(&self, confirmed: Seq, found: &Jobs) -> Result<(), String> {
        let mut possible: BTreeMap<u32, Vec<Option<u16>>> = BTreeMap::new();
        for change in &self.changes {
            let states = possible.entry(change.job).or_insert_with(|| vec![None]);
            if change.at <= confirmed {
                states.clear();
            }
            states.push(change.version);
        }
        for (job, states) in &possible {
            let state = found.get(job).copied();
            if !states.contains(&state) {
                return Err(format!("job {job} is {state:?} and not one of {states:?}"));
            }
        }
        match found.keys().find(|job| !possible.contains_key(job)) {
            Some(job) => Err(format!("job {job} was never added")),
            None => Ok(()),
        }
    }
}
