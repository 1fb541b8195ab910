//! What was found, for people and for programs.

use serde_json::{Map, Value, json};

use super::jobs::{Counts, Jobs};
use crate::aof::Damage;
use crate::types::{UnixMillis, counted};

/// What was found in the files.
#[derive(Debug)]
pub(super) struct Report {
    pub(super) files: Vec<(String, u64)>,
    pub(super) bytes: u64,
    pub(super) records: u64,
    pub(super) unknown: u64,
    pub(super) damages: Vec<Damage>,
    pub(super) damage_count: u64,
    pub(super) tails: Vec<Damage>,
    /// Why reading ended early.
    pub(super) error: Option<String>,
    pub(super) jobs: Jobs,
    pub(super) now: UnixMillis,
}

/// So many queues are listed for people; programs get all.
const QUEUES_SHOWN: usize = 20;

impl Report {
    pub(super) fn is_valid(&self) -> bool {
        self.damage_count == 0 && self.tails.is_empty() && self.error.is_none()
    }

    /// Lines for people, the verdict last.
    pub(super) fn text(&self) -> String {
        let mut lines = Vec::new();
        for (file, size) in &self.files {
            lines.push(format!("{file}: {size} bytes"));
        }
        lines.push(counted(self.records, "record", "records"));
        if self.unknown > 0 {
            lines.push(format!("{} of a later version, skipped", counted(self.unknown, "record", "records")));
        }
        for damage in &self.damages {
            let Damage { file, at, len } = damage;
            lines.push(format!("DAMAGED: {file}: {len} bytes at offset {at} are no record"));
        }
        let untold = self.damage_count - self.damages.len() as u64;
        if untold > 0 {
            lines.push(format!("DAMAGED: {}", counted(untold, "more place", "more places")));
        }
        for Damage { file, at, len } in &self.tails {
            lines.push(format!("CUT OFF: {file}: {len} bytes behind offset {at} are no record"));
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
            "bodies: {} bytes, the largest {}{}",
            totals.body_bytes,
            totals.largest_body,
            self.ages(&totals)
        ));
        let queues = self.jobs.by_queue(self.now);
        for (name, counts) in queues.iter().take(QUEUES_SHOWN) {
            lines.push(format!(
                "  queue {:?}: {} queued, {} active, {} acknowledged, {} bytes{}",
                String::from_utf8_lossy(name),
                counts.queued,
                counts.active,
                counts.acked,
                counts.body_bytes,
                self.ages(counts)
            ));
        }
        if queues.len() > QUEUES_SHOWN {
            lines.push(format!("  and {} more queues; --json has all", queues.len() - QUEUES_SHOWN));
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
            "bytes": self.bytes,
            "records": self.records,
            "unknown_records": self.unknown,
            "damaged_places": self.damage_count,
            "damaged": self.damages.iter().map(damage).collect::<Vec<_>>(),
            "cut_off": self.tails.iter().map(damage).collect::<Vec<_>>(),
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
