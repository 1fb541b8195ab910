//! The cluster in simulation: the real engine and codecs under thousands of seeded faults.
//!
//! A failing seed is replayed with everything that happens by
//!
//! ```text
//! DISQUE_SIM_SEED=… cargo test --test sim -- --nocapture
//! ```
//!
//! and `utils/sim` runs ranges of seeds for as long as one likes.
#![allow(missing_docs, reason = "a test program has no public interface")]

mod planting;
mod simulator;

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use simulator::{Outcome, Plan, Talk, Totals, run};

/// What every run of the tests covers.
const SEEDS: u64 = 200;
const CLUSTER_DAYS: f64 = 5.0;
const JOB_OPERATIONS: u64 = 2_000_000;
const FAULTS_PER_SEED: u64 = 20;
/// How many of the seeds run twice, to see that they take the same course.
const TWICE: u64 = 10;

fn outcome(seed: u64) -> Outcome {
    run(Plan::draw(seed, usize::MAX), Talk::Silent, 0)
}

/// Runs seeds on two threads.
fn totals(seeds: u64) -> Totals {
    let (next, totals) = (AtomicU64::new(0), Mutex::new(Totals::default()));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds {
                        return;
                    }
                    let outcome = outcome(seed);
                    for violation in &outcome.violations {
                        println!("seed {seed}: {violation:?}");
                    }
                    totals.lock().expect("no thread panics").add(&outcome);
                }
            });
        }
    });
    totals.into_inner().expect("no thread panics")
}

#[test]
fn no_promise_is_broken_under_the_seeds_of_every_run() {
    if let Ok(seed) = std::env::var("DISQUE_SIM_SEED") {
        return replay(seed.parse().expect("DISQUE_SIM_SEED is a number"));
    }
    let totals = totals(SEEDS);
    println!("{}", totals.summary());
    assert!(totals.failed.is_empty(), "seeds {:?}: replay with DISQUE_SIM_SEED", totals.failed);
    let days = totals.simulated as f64 / 86_400e6;
    assert!(days >= CLUSTER_DAYS, "{days} cluster-days");
    assert!(totals.counts.operations >= JOB_OPERATIONS, "{} job operations", totals.counts.operations);
    assert!(totals.faults >= FAULTS_PER_SEED * SEEDS, "{} faults", totals.faults);
}

fn replay(seed: u64) {
    let outcome = run(Plan::draw(seed, usize::MAX), Talk::Print, 0);
    println!("{:#?}\nhash {:016x}", outcome.plan, outcome.hash);
    assert!(outcome.violations.is_empty(), "{:#?}", outcome.violations);
}

#[test]
fn the_same_seed_takes_the_same_course() {
    for seed in (0..TWICE).map(|n| n * 11) {
        let (first, second) = (outcome(seed), outcome(seed));
        assert_eq!(
            (first.hash, first.events, first.messages),
            (second.hash, second.events, second.messages),
            "seed {seed}"
        );
    }
}

#[test]
fn every_planted_bug_still_fits_the_source() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut count = 0;
    for entry in std::fs::read_dir(root.join("tests/sim/planted")).expect("it is there") {
        let path = entry.expect("it can be read").path();
        let text = std::fs::read_to_string(&path).expect("planted bugs are text");
        for change in planting::parse(&text).unwrap_or_else(|why| panic!("{}: {why}", path.display())) {
            let text =
                planting::changed(&change, root).unwrap_or_else(|why| panic!("{}: {why}", path.display()));
            assert!(!text.is_empty());
        }
        count += 1;
    }
    assert!(count >= 22, "{count} planted bugs");
}
