//! What the records of a log come to: which jobs there are, in which state, in which queue.

use std::collections::BTreeMap;

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use crate::aof::{JobRecord, Record, Standing};
use crate::types::{JobId, UnixMillis};

/// The jobs that the records read so far leave.
#[derive(Debug)]
pub(super) struct Jobs {
    known: HashMap<JobId, Known, FixedState>,
    queues: HashMap<Vec<u8>, u32, FixedState>,
    names: Vec<Vec<u8>>,
    paused: u64,
}

#[derive(Clone, Copy, Debug)]
struct Known {
    state: State,
    delivered: bool,
    queue: u32,
    body: u32,
    created: UnixMillis,
    expires_at: UnixMillis,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Active,
    Queued,
    Acked,
}

/// Numbers about the jobs of one queue, or of all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) active: u64,
    pub(super) queued: u64,
    pub(super) acked: u64,
    pub(super) delivered: u64,
    pub(super) expired: u64,
    pub(super) body_bytes: u64,
    pub(super) largest_body: u64,
    pub(super) oldest: Option<UnixMillis>,
    pub(super) newest: Option<UnixMillis>,
}

impl Counts {
    /// Jobs of all states, expired ones not.
    pub(super) fn jobs(&self) -> u64 {
        self.active + self.queued + self.acked
    }

    fn add(&mut self, job: &Known, now: UnixMillis) {
        if job.expires_at <= now {
            self.expired += 1;
            return;
        }
        match job.state {
            State::Active => self.active += 1,
            State::Queued => self.queued += 1,
            State::Acked => return self.acked += 1,
        }
        self.delivered += u64::from(job.delivered);
        self.body_bytes += u64::from(job.body);
        self.largest_body = self.largest_body.max(u64::from(job.body));
        self.oldest = Some(self.oldest.unwrap_or(job.created).min(job.created));
        self.newest = Some(self.newest.unwrap_or(job.created).max(job.created));
    }
}

/// For acknowledgements of jobs that are not known.
const NO_QUEUE: u32 = u32::MAX;

impl Jobs {
    pub(super) fn new() -> Jobs {
        Jobs {
            known: HashMap::with_hasher(FixedState::with_seed(0)),
            queues: HashMap::with_hasher(FixedState::with_seed(0)),
            names: Vec::new(),
            paused: 0,
        }
    }

    pub(super) fn apply(&mut self, record: &Record<'_>) {
        match record {
            Record::Job(job) => self.put(job),
            Record::Standing(Standing { id, queued, flags, .. }) => {
                if let Some(known) = self.known.get_mut(id).filter(|known| known.state != State::Acked) {
                    known.state = if *queued { State::Queued } else { State::Active };
                    known.delivered = flags & JobRecord::DELIVERED != 0;
                }
            }
            Record::Acked(acked) => {
                let unknown = Known {
                    state: State::Acked,
                    delivered: false,
                    queue: NO_QUEUE,
                    body: 0,
                    created: UnixMillis(0),
                    expires_at: acked.expires_at,
                };
                self.known.entry(acked.id).or_insert(unknown).state = State::Acked;
            }
            Record::Forgotten { id } => drop(self.known.remove(id)),
            Record::Pause { input, output, .. } => self.paused += u64::from(*input || *output),
            Record::Flushed => {
                self.known.clear();
                self.paused = 0;
            }
            Record::Holders { .. } | Record::End { .. } | Record::Slots { .. } => {}
        }
    }

    fn put(&mut self, job: &JobRecord<'_>) {
        let image = &job.image;
        // As the server takes it: done is done, and of RC1's records of a job the first counts.
        if let Some(known) = self.known.get(&image.id)
            && (known.state == State::Acked || job.requeue_at == JobRecord::DUE_UNKNOWN)
        {
            return;
        }
        let queue = match self.queues.get(&image.queue[..]) {
            Some(queue) => *queue,
            None => {
                let number = self.names.len() as u32;
                self.names.push(image.queue.to_vec());
                self.queues.insert(image.queue.to_vec(), number);
                number
            }
        };
        let known = Known {
            state: if image.state == JobRecord::QUEUED { State::Queued } else { State::Active },
            delivered: image.flags & JobRecord::DELIVERED != 0,
            queue,
            body: image.body.len() as u32,
            created: image.ctime.millis(),
            expires_at: image.expires_at,
        };
        self.known.insert(image.id, known);
    }

    /// Numbers about all jobs.
    pub(super) fn totals(&self, now: UnixMillis) -> Counts {
        let mut totals = Counts::default();
        self.known.values().for_each(|job| totals.add(job, now));
        totals
    }

    /// Numbers about the jobs of each queue, by its name.
    pub(super) fn by_queue(&self, now: UnixMillis) -> BTreeMap<&[u8], Counts> {
        let mut queues: BTreeMap<&[u8], Counts> = BTreeMap::new();
        for job in self.known.values().filter(|job| job.queue != NO_QUEUE) {
            queues.entry(&self.names[job.queue as usize]).or_default().add(job, now);
        }
        queues.retain(|_, counts| counts.jobs() > 0);
        queues
    }
}
