//! What was found, for people and for programs.

use serde_json::{Map, Value, json};

use super::bytes;
use super::jobs::{Counts, Jobs};
use crate::aof::{Damage, Summary};
use crate::types::{UnixMillis, counted};

/// What was found in the files.
#[derive(Debug)]
pub(super) struct Report {
    pub(super) files: Vec<(String, u64)>,
    pub(super) found: Summary,
    /// Why reading ended early.
    pub(super) error: Option<String>,
    pub(super) jobs: Jobs,
    pub(super) now: UnixMillis,
}

/// So many queues are listed for people; programs get all.
const QUEUES_SHOWN: usize = 20;

impl Report {
    pub(super) fn is_valid(&self) -> bool {
        self.found.damage_count == 0 && self.found.tails.is_empty() && self.error.is_none()
    }

    /// Lines for people, the verdict last.
    pub(super) fn text(&self) -> String {
        let mut lines = Vec::new();
        for (file, size) in &self.files {
            lines.push(format!("{file}: {}", bytes(*size)));
        }
        lines.push(counted(self.found.records, "record", "records"));
        if self.found.unknown > 0 {
            lines.push(format!(
                "{} of a later version, skipped",
                counted(self.found.unknown, "record", "records")
            ));
        }
        for damage in &self.found.damages {
            let Damage { file, at, len } = damage;
            lines.push(format!("DAMAGED: {file}: {} at offset {at} are no record", bytes(*len)));
        }
        let untold = self.found.damage_count - self.found.damages.len() as u64;
        if untold > 0 {
            lines.push(format!("DAMAGED: {}", counted(untold, "more place", "more places")));
        }
        for Damage { file, at, len } in &self.found.tails {
            lines.push(format!("CUT OFF: {file}: {} behind offset {at} are no record", bytes(*len)));
        }
        lines.extend(self.summary());
        lines.extend(self.error.iter().map(|error| format!("ERROR: {error}")));
        lines.push(if self.is_valid() { "AOF is valid" } else { "AOF is not valid" }.to_owned());
        lines.join("\n")
    }

    /// What the jobs are, in a few lines.
    pub(super) fn summary(&self) -> Vec<String> {
        let totals = self.jobs.totals(self.now);
        let mut lines = vec![format!(
            "{}: {} queued, {} active, {} acknowledged; {} more expired",
            counted(totals.jobs(), "job", "jobs"),
            totals.queued,
            totals.active,
            totals.acked,
            totals.expired
        )];
        lines.push(format!(
            "bodies: {}, the largest {}{}",
            bytes(totals.body_bytes),
            totals.largest_body,
            self.ages(&totals)
        ));
        let queues = self.jobs.by_queue(self.now);
        for (name, counts) in queues.iter().take(QUEUES_SHOWN) {
            lines.push(format!(
                "  queue {:?}: {} queued, {} active, {} acknowledged, {}{}",
                String::from_utf8_lossy(name),
                counts.queued,
                counts.active,
                counts.acked,
                bytes(counts.body_bytes),
                self.ages(counts)
            ));
        }
        if queues.len() > QUEUES_SHOWN {
            let more = counted((queues.len() - QUEUES_SHOWN) as u64, "more queue", "more queues");
            lines.push(format!("  and {more}; --json has all"));
        }
        lines
    }

    fn ages(&self, counts: &Counts) -> String {
        match (counts.oldest, counts.newest) {
            (Some(oldest), Some(newest)) => format!(
                "; oldest job {} s, newest {} s old",
                self.now.since(oldest).0 / 1000,
                self.now.since(newest).0 / 1000
            ),
            _ => String::new(),
        }
    }

    /// One JSON object.
    pub(super) fn json(&self) -> Value {
        let damage = |damage: &Damage| json!({"file": damage.file, "at": damage.at, "bytes": damage.len});
        let queues: Map<String, Value> = self
            .jobs
            .by_queue(self.now)
            .into_iter()
            .map(|(name, counts)| (name.escape_ascii().to_string(), self.counts(&counts)))
            .collect();
        json!({
            "valid": self.is_valid(),
            "error": self.error,
            "files": self.files.iter().map(|(file, size)| json!({"file": file, "bytes": size}))
                .collect::<Vec<_>>(),
            "bytes": self.found.bytes,
            "records": self.found.records,
            "unknown_records": self.found.unknown,
            "damaged_places": self.found.damage_count,
            "damaged": self.found.damages.iter().map(damage).collect::<Vec<_>>(),
            "cut_off": self.found.tails.iter().map(damage).collect::<Vec<_>>(),
            "jobs": self.counts(&self.jobs.totals(self.now)),
            "queues": queues,
        })
    }

    fn counts(&self, counts: &Counts) -> Value {
        let age = |at: Option<UnixMillis>| at.map(|at| self.now.since(at).0);
        json!({
            "queued": counts.queued,
            "active": counts.active,
            "acked": counts.acked,
            "delivered": counts.delivered,
            "expired": counts.expired,
            "body_bytes": counts.body_bytes,
            "largest_body": counts.largest_body,
            "oldest_age_ms": age(counts.oldest),
            "newest_age_ms": age(counts.newest),
        })
    }
}
