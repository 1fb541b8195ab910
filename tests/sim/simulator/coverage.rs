//! What the seeds have reached: which fault met which state of jobs and which message under way, which messages
//! and replies were seen, which rare things happened. What was never reached is listed.

use std::collections::BTreeMap;

use disque::engine::JobState;

use super::plan::Kind;

/// All messages of the bus, by name.
pub const MESSAGES: [&str; 20] = [
    "PING",
    "PONG",
    "MEET",
    "FAIL",
    "REPLJOB",
    "SYNCJOB",
    "LOSTJOBS",
    "YOURJOBS",
    "NEEDJOBS",
    "PAUSE",
    "HOLDERS",
    "HAVEJOBS",
    "GOTJOB",
    "ENQUEUE",
    "QUEUED",
    "SETACK",
    "WILLQUEUE",
    "GOTACK",
    "DELJOB",
    "WORKING",
];

/// Rare things that can be seen from outside.
pub const MARKS: [&str; 32] = [
    "NOREPL",
    "LEAVING",
    "OOM",
    "PAUSED",
    "MAXLEN",
    "TOOLATE",
    "NOJOB",
    "ACKED",
    "no job in time",
    "counted as nacked",
    "counted as delivered again",
    "acknowledgement of an unknown job",
    "copies awaited at a crash",
    "connection refused",
    "frame cut off",
    "identity could not be saved",
    "MISCONF",
    "a message waited for the disk",
    "a reply waited for the disk",
    "a rewrite began",
    "a rewrite was finished",
    "a rewrite failed",
    "a crash during a rewrite",
    "the file could not be written",
    "the file was not believed any more",
    "damage was found",
    "an end was cut off",
    "stopped at a call of the disk",
    "stopped in recovery",
    "given up as unreadable",
    "did not start from a failing disk",
    "restart after which nothing may be missing",
];

/// The bit of a message in a set of messages.
pub fn message_bit(name: &str) -> u32 {
    MESSAGES.iter().position(|known| *known == name).map_or(0, |at| 1 << at)
}

#[derive(Clone, Debug, Default)]
pub struct Coverage {
    sent: BTreeMap<&'static str, u64>,
    received: BTreeMap<&'static str, u64>,
    marks: BTreeMap<&'static str, u64>,
    faults: BTreeMap<Kind, u64>,
    /// (fault, state of a job at the node, message on the way to or from it; the last one is "none").
    cells: BTreeMap<(Kind, u8, u8), u64>,
}

impl Coverage {
    pub fn sent(&mut self, name: &'static str) {
        *self.sent.entry(name).or_default() += 1;
    }

    pub fn received(&mut self, name: &'static str) {
        *self.received.entry(name).or_default() += 1;
    }

    pub fn mark(&mut self, name: &str) {
        if let Some(mark) = MARKS.iter().find(|mark| **mark == name) {
            *self.marks.entry(mark).or_default() += 1;
        }
    }

    /// A fault strikes a node that has jobs in these states, while these messages are on their way.
    pub fn struck(&mut self, kind: Kind, jobs: [u64; 4], messages: u32) {
        *self.faults.entry(kind).or_default() += 1;
        for state in (0..4_u8).filter(|state| jobs[usize::from(*state)] > 0) {
            for message in (0..MESSAGES.len() as u8).filter(|message| messages & (1 << message) != 0) {
                *self.cells.entry((kind, state, message)).or_default() += 1;
            }
            if messages == 0 {
                *self.cells.entry((kind, state, MESSAGES.len() as u8)).or_default() += 1;
            }
        }
    }

    pub fn add(&mut self, other: &Coverage) {
        fn merge<K: Ord + Copy>(into: &mut BTreeMap<K, u64>, from: &BTreeMap<K, u64>) {
            from.iter().for_each(|(key, count)| *into.entry(*key).or_default() += count);
        }
        merge(&mut self.sent, &other.sent);
        merge(&mut self.received, &other.received);
        merge(&mut self.marks, &other.marks);
        merge(&mut self.faults, &other.faults);
        merge(&mut self.cells, &other.cells);
    }

    pub fn faults(&self) -> &BTreeMap<Kind, u64> {
        &self.faults
    }

    pub fn messages(&self) -> &BTreeMap<&'static str, u64> {
        &self.received
    }

    pub fn marks(&self) -> &BTreeMap<&'static str, u64> {
        &self.marks
    }

    /// Cells reached, and how many there are. All combinations are counted, also those that cannot happen.
    pub fn cells(&self) -> (usize, usize) {
        (self.cells.len(), Kind::ALL.len() * 4 * (MESSAGES.len() + 1))
    }

    /// Everything that was never seen.
    pub fn missing(&self) -> Vec<String> {
        let mut missing = Vec::new();
        for name in MESSAGES {
            if !self.received.contains_key(name) {
                missing.push(format!("message {name}"));
            }
        }
        missing.extend(
            MARKS.iter().filter(|mark| !self.marks.contains_key(*mark)).map(|mark| format!("mark {mark}")),
        );
        for kind in Kind::ALL {
            if !self.faults.contains_key(&kind) {
                missing.push(format!("fault {kind:?}"));
                continue;
            }
            for (state, name) in JobState::ALL.iter().enumerate() {
                let reached = self.cells.keys().any(|(k, s, _)| *k == kind && usize::from(*s) == state);
                if !reached {
                    missing.push(format!("{kind:?} with a job {}", name.word()));
                }
            }
        }
        missing
    }
}
