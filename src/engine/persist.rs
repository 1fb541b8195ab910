//! What a restart must know of a step: records for the append-only file.
//!
//! Jobs that changed are noted, and looked at once the step is over: one record tells how each stands then, whatever
//! happened in between. So the records of a step come before all its replies and messages, which wait until the
//! records are where they are to be. Only what cannot do harm if it is forgotten lets replies go first: a delivery
//! of a job that may be delivered again.
//!
//! Nothing is written of a job before it has its copies, nor of its expiry, which its record tells.

use std::borrow::Cow;

use super::Engine;
use super::effect::{Appended, Effects};
use super::job::{Job, JobIndex};
use super::request::JobState;
use crate::aof::{Acked, JobRecord, Record, Standing};
use crate::types::{BodyArg, JobImage, NodeId, NodeSet};

/// What is to be remembered, and what is noted of the step at hand.
#[derive(Debug, Default)]
pub(super) struct Persist {
    on: bool,
    /// The file is there to stay: what is in it can be promised.
    lasting: bool,
    touched: Vec<(JobIndex, Touch)>,
    log: Appended,
    /// Kept for its capacity.
    nodes: Vec<NodeId>,
}

/// What has changed of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Touch {
    /// Where it is in its life.
    Standing,
    /// Who may hold it.
    Holders,
    /// It is new to the file.
    New,
}

/// How many bytes of bodies a step of a walk shows before it stops.
const WALK_BYTES: usize = 256 << 10;

/// Where a walk over all that is known goes on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Walk {
    /// At its beginning.
    #[default]
    Start,
    /// At this slot of the job table.
    Jobs(u64),
    /// At this slot of the queues.
    Queues(usize),
    /// Nowhere: all was visited.
    Done,
}

impl Engine {
    /// Whether steps tell what to append. Off at first.
    pub(super) fn set_persistent(&mut self, persistence: Persistence) {
        let on = persistence != Persistence::Off;
        self.persist = Persist { on, lasting: persistence == Persistence::On, ..Persist::default() };
        if on {
            self.persist.log.add(&Record::Slots { key: self.jobs.key() }, Hold::No);
        }
    }

    /// Whether what is promised to be on the disk will be.
    pub(super) fn has_file(&self) -> bool {
        self.persist.lasting
    }

    /// Makes the replies of the step at hand wait for what was told to be appended, in it or before: they say that
    /// something is so which may not be safe yet.
    #[inline]
    pub(super) fn hold_replies(&mut self, hold: Hold) {
        if self.persist.on {
            self.persist.log.hold(hold);
        }
    }

    /// Notes that a job has changed.
    #[inline]
    pub(super) fn touch(&mut self, index: JobIndex, touch: Touch) {
        if !self.persist.on {
            return;
        }
        match self.persist.touched.last_mut() {
            Some((last, noted)) if *last == index => *noted = touch.max(*noted),
            _ => self.persist.touched.push((index, touch)),
        }
    }

    /// Notes that a job is being forgotten.
    #[inline]
    pub(super) fn forgotten(&mut self, index: JobIndex) {
        let job = &self.jobs[index];
        if self.persist.on && job.state != JobState::WaitReplication && job.expires_at > self.now {
            self.persist.log.add(&Record::Forgotten { id: job.id }, Hold::Policy);
        }
    }

    /// Notes that everything is forgotten.
    pub(super) fn flushed(&mut self) {
        self.persist.touched.clear();
        if self.persist.on {
            self.persist.log.add(&Record::Flushed, Hold::Policy);
        }
    }

    /// Notes that a queue was paused or resumed.
    pub(super) fn paused(&mut self, queue: &[u8], input: bool, output: bool) {
        if self.persist.on {
            self.persist.log.add(&Record::Pause { queue: Cow::Borrowed(queue), input, output }, Hold::Policy);
        }
    }

    /// Tells what the step has changed.
    #[inline]
    pub(super) fn remember(&mut self, out: &mut Effects) {
        if !self.persist.on {
            return;
        }
        let mut touched = std::mem::take(&mut self.persist.touched);
        for (index, touch) in touched.drain(..) {
            self.remember_job(index, touch);
        }
        self.persist.touched = touched;
        out.append(&mut self.persist.log);
    }

    fn remember_job(&mut self, index: JobIndex, touch: Touch) {
        let mut nodes = std::mem::take(&mut self.persist.nodes);
        let mut log = std::mem::take(&mut self.persist.log);
        if let Some(job) = self.jobs.get(index)
            && job.state != JobState::WaitReplication
        {
            let known = touch != Touch::New && job.state != JobState::Acked;
            if known {
                if touch == Touch::Holders {
                    nodes.clear();
                    nodes.extend(self.ids_of(job.delivered));
                    let holders = Cow::Borrowed(&nodes[..]);
                    log.add(&Record::Holders { id: job.id, holders }, Hold::No);
                }
                let hold = if job.retry.is_zero() { Hold::Policy } else { Hold::No };
                log.add(&Record::Standing(standing_of(job)), hold);
            } else {
                self.with_record(job, &mut nodes, |record| log.add(record, Hold::Policy));
            }
        }
        self.persist.log = log;
        self.persist.nodes = nodes;
    }

    /// Shows the record that says all of a job.
    fn with_record<T>(&self, job: &Job, nodes: &mut Vec<NodeId>, show: impl FnOnce(&Record<'_>) -> T) -> T {
        nodes.clear();
        nodes.extend(self.ids_of(job.delivered));
        if job.state == JobState::Acked {
            let holders = nodes.len();
            nodes.extend(self.ids_of(job.confirmed));
            let (holders, confirmed) = nodes.split_at(holders);
            return show(&Record::Acked(Acked {
                id: job.id,
                expires_at: job.expires_at,
                holders: Cow::Borrowed(holders),
                confirmed: Cow::Borrowed(confirmed),
            }));
        }
        let image = JobImage {
            id: job.id,
            state: if job.state == JobState::Queued { JobRecord::QUEUED } else { JobRecord::ACTIVE },
            flags: job.flags.stored(),
            replicate: u16::from(job.replicate),
            expires_at: job.expires_at,
            ctime: job.ctime,
            delay: job.delay,
            retry: job.retry,
            nacks: job.nacks,
            additional_deliveries: job.additional_deliveries,
            queue: Cow::Borrowed(self.queue_name_of(job).unwrap_or_default()),
            body: BodyArg::Borrowed(job.body.bytes()),
            nodes: Cow::Borrowed(&nodes[..]),
        };
        show(&Record::Job(JobRecord { image, requeue_at: job.requeue_at }))
    }

    /// The identities of a set of nodes.
    fn ids_of(&self, nodes: NodeSet) -> impl Iterator<Item = NodeId> + '_ {
        nodes.iter().map(|node| self.nodes.id(node))
    }

    /// Goes over all that is known from `walk` on, looks at about so many slots, and shows what it finds: one record
    /// for each job and each paused queue. Stops early where long bodies come together, so that what it shows is never much
    /// more than 256 KiB and one body. Returns where to go on.
    ///
    /// Jobs and queues that are there from the first call to the last are shown exactly once. What changes meanwhile is
    /// told by the steps that change it.
    pub fn walk(&self, walk: Walk, slots: usize, mut show: impl FnMut(&Record<'_>)) -> Walk {
        match walk {
            Walk::Start => {
                show(&Record::Slots { key: self.jobs.key() });
                self.walk(Walk::Jobs(0), slots, show)
            }
            Walk::Jobs(cursor) => {
                let (mut nodes, mut shown) = (Vec::new(), 0);
                let next = self.jobs.scan(cursor, slots, |_, job| {
                    if job.state != JobState::WaitReplication {
                        self.with_record(job, &mut nodes, &mut show);
                        shown += job.body.len();
                    }
                    shown < WALK_BYTES
                });
                if next == 0 { Walk::Queues(0) } else { Walk::Jobs(next) }
            }
            Walk::Queues(from) => {
                let to = self.queues.slots().min(from.saturating_add(slots));
                for slot in from..to {
                    let Some((name, queue)) = self.queues.slot(slot) else { continue };
                    let pause = queue.pause;
                    if pause.input || pause.output {
                        let queue = Cow::Borrowed(self.queues.name(name));
                        show(&Record::Pause { queue, input: pause.input, output: pause.output });
                    }
                }
                if to == self.queues.slots() { Walk::Done } else { Walk::Queues(to) }
            }
            Walk::Done => Walk::Done,
        }
    }
}

/// Whether steps tell what is to be appended, and what becomes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Persistence {
    /// They do not.
    Off,
    /// They do, to a file that is written once and then left: nothing can be promised about it.
    Once,
    /// They do.
    On,
}

/// What the replies of a step, and its messages that confirm something, wait for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Hold {
    /// Nothing.
    #[default]
    No,
    /// That all that was appended so far is where the operator wants it.
    Policy,
    /// That it is on the disk, whatever the operator wants.
    Disk,
}

fn standing_of(job: &Job) -> Standing {
    Standing {
        id: job.id,
        requeue_at: job.requeue_at,
        nacks: job.nacks,
        additional_deliveries: job.additional_deliveries,
        flags: job.flags.stored(),
        queued: job.state == JobState::Queued,
    }
}
