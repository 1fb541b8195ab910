//! What a seed, and many of them, sum up to.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::coverage::Coverage;
use super::ledger::{Counts, Violation};
use super::plan::{Plan, SECOND};
use super::world::World;

/// What became of one seed.
pub struct Outcome {
    pub seed: u64,
    pub plan: Plan,
    pub hash: u64,
    pub violations: Vec<Violation>,
    pub counts: Counts,
    pub coverage: Coverage,
    pub simulated: u64,
    pub events: u64,
    pub messages: u64,
    pub faults: u64,
    /// Time from the end of the storm until everything was at rest.
    pub rest: u64,
    pub last_lines: Vec<String>,
}

impl Outcome {
    pub(super) fn of(world: World) -> Outcome {
        Outcome {
            seed: world.plan.seed,
            hash: world.trace.hash(),
            violations: world.ledger.violations,
            counts: world.ledger.counts,
            coverage: world.coverage,
            simulated: world.now,
            events: world.events_done,
            messages: world.messages,
            faults: world.faults_done,
            rest: world.rest_at.map_or(0, |at| at - world.calm_since),
            last_lines: world.trace.lines.into(),
            plan: world.plan,
        }
    }
}

/// What became of many.
#[derive(Clone, Debug, Default)]
pub struct Totals {
    pub seeds: u64,
    pub failed: Vec<u64>,
    pub simulated: u64,
    pub events: u64,
    pub messages: u64,
    pub faults: u64,
    pub counts: Counts,
    pub coverage: Coverage,
    pub rests: Vec<u64>,
    /// Over all trace hashes, whatever the order in which the seeds ran.
    pub hash: u64,
    pub violations: BTreeMap<&'static str, u64>,
}

impl Totals {
    pub fn add(&mut self, outcome: &Outcome) {
        self.seeds += 1;
        if let Some(first) = outcome.violations.first() {
            self.failed.push(outcome.seed);
            *self.violations.entry(first.kind).or_default() += 1;
        } else {
            self.rests.push(outcome.rest);
        }
        self.simulated += outcome.simulated;
        self.events += outcome.events;
        self.messages += outcome.messages;
        self.faults += outcome.faults;
        self.hash ^= super::chance::mix(outcome.hash ^ outcome.seed);
        self.coverage.add(&outcome.coverage);
        let (into, from) = (&mut self.counts, &outcome.counts);
        into.adds += from.adds;
        into.told += from.told;
        into.refused += from.refused;
        into.unknown += from.unknown;
        into.deliveries += from.deliveries;
        into.acks += from.acks;
        into.operations += from.operations;
        into.lost_beyond += from.lost_beyond;
        into.lost_unconfirmed += from.lost_unconfirmed;
        into.at_most_once += from.at_most_once;
        into.at_most_once_excused += from.at_most_once_excused;
        into.at_most_once_stale += from.at_most_once_stale;
        into.restarts += from.restarts;
        into.restarts_whole += from.restarts_whole;
        into.restored += from.restored;
        into.copies_seen += from.copies_seen;
        into.copies_unknown += from.copies_unknown;
        for (cause, count) in &from.extra {
            *into.extra.entry(cause.clone()).or_default() += count;
        }
    }

    pub fn merge(&mut self, other: Totals) {
        let Totals {
            seeds,
            failed,
            simulated,
            events,
            messages,
            faults,
            counts,
            coverage,
            rests,
            hash,
            violations,
        } = other;
        self.seeds += seeds;
        self.failed.extend(failed);
        self.failed.sort_unstable();
        self.simulated += simulated;
        self.events += events;
        self.messages += messages;
        self.faults += faults;
        self.rests.extend(rests);
        self.hash ^= hash;
        self.coverage.add(&coverage);
        for (kind, count) in violations {
            *self.violations.entry(kind).or_default() += count;
        }
        let into = &mut self.counts;
        into.adds += counts.adds;
        into.told += counts.told;
        into.refused += counts.refused;
        into.unknown += counts.unknown;
        into.deliveries += counts.deliveries;
        into.acks += counts.acks;
        into.operations += counts.operations;
        into.lost_beyond += counts.lost_beyond;
        into.lost_unconfirmed += counts.lost_unconfirmed;
        into.at_most_once += counts.at_most_once;
        into.at_most_once_excused += counts.at_most_once_excused;
        into.at_most_once_stale += counts.at_most_once_stale;
        into.restarts += counts.restarts;
        into.restarts_whole += counts.restarts_whole;
        into.restored += counts.restored;
        into.copies_seen += counts.copies_seen;
        into.copies_unknown += counts.copies_unknown;
        for (cause, count) in counts.extra {
            *into.extra.entry(cause).or_default() += count;
        }
    }

    /// The time in which so many of a hundred seeds were at rest, in seconds.
    fn rest_percentile(&self, percent: usize) -> f64 {
        let mut rests = self.rests.clone();
        rests.sort_unstable();
        let at = (rests.len() * percent / 100).min(rests.len().saturating_sub(1));
        rests.get(at).map_or(0.0, |rest| *rest as f64 / SECOND as f64)
    }

    /// One line of JSON.
    pub fn json(&self, seeds: &std::ops::Range<u64>, commit: &str, wall: std::time::Duration) -> String {
        let wall = wall.as_secs_f64();
        let simulated = self.simulated as f64 / SECOND as f64;
        let (reached, all) = self.coverage.cells();
        let map = |entries: Vec<(String, u64)>| -> serde_json::Value {
            entries.into_iter().map(|(key, count)| (key, serde_json::Value::from(count))).collect()
        };
        let counts = &self.counts;
        let value = serde_json::json!({
            "commit": commit,
            "seeds": format!("{}..{}", seeds.start, seeds.end),
            "count": self.seeds,
            "violations": self.failed.len(),
            "failed_seeds": self.failed.iter().take(20).collect::<Vec<_>>(),
            "by_kind": map(self.violations.iter().map(|(kind, n)| ((*kind).to_owned(), *n)).collect()),
            "cluster_days": round(simulated / 86_400.0),
            "job_operations": counts.operations,
            "adds": counts.adds,
            "acknowledged_adds": counts.told,
            "deliveries": counts.deliveries,
            "acks": counts.acks,
            "lost_beyond_assumption": counts.lost_beyond,
            "lost_async_without_copy": counts.lost_unconfirmed,
            "at_most_once": counts.at_most_once,
            "at_most_once_lost_to_faults": counts.at_most_once_excused,
            "at_most_once_twice_after_lost_disk": counts.at_most_once_stale,
            "restarts_from_a_file": counts.restarts,
            "restarts_after_which_nothing_may_be_missing": counts.restarts_whole,
            "jobs_restored": counts.restored,
            "copies_seen": counts.copies_seen,
            "copies_no_other_holder_knows": counts.copies_unknown,
            "extra_deliveries": map(counts.extra.iter().map(|(cause, n)| (cause.clone(), *n)).collect()),
            "faults": self.faults,
            "faults_per_seed": round(self.faults as f64 / self.seeds.max(1) as f64),
            "faults_by_kind": map(self.coverage.faults().iter().map(|(kind, n)| (format!("{kind:?}"), *n)).collect()),
            "messages": self.messages,
            "messages_by_type": map(self.coverage.messages().iter().map(|(name, n)| ((*name).to_owned(), *n)).collect()),
            "marks": map(self.coverage.marks().iter().map(|(name, n)| ((*name).to_owned(), *n)).collect()),
            "events": self.events,
            "cells_reached": reached,
            "cells": all,
            "never_reached": self.coverage.missing(),
            "rest_seconds_p50": self.rest_percentile(50),
            "rest_seconds_p99": self.rest_percentile(99),
            "hash": format!("{:016x}", self.hash),
            "wall_seconds": round(wall),
            "times_real_time": round(simulated / wall),
            "events_per_second": round(self.events as f64 / wall),
        });
        value.to_string()
    }

    /// A few lines for people.
    pub fn summary(&self) -> String {
        let mut text = String::new();
        let days = self.simulated as f64 / SECOND as f64 / 86_400.0;
        let (reached, all) = self.coverage.cells();
        let _ = writeln!(
            text,
            "{} seeds, {days:.2} cluster-days, {} job operations, {} faults, {} messages, {} failed {:?}",
            self.seeds,
            self.counts.operations,
            self.faults,
            self.messages,
            self.failed.len(),
            self.violations
        );
        let _ = writeln!(text, "extra deliveries: {:?}", self.counts.extra);
        let _ =
            writeln!(text, "cells {reached} of {all}; never reached: {}", self.coverage.missing().join(", "));
        text
    }
}

fn round(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}
