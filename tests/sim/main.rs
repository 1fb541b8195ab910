//! The cluster in simulation, under a fixed number of seeds.
#![allow(missing_docs, reason = "a test program has no public interface")]

mod simulator;

use simulator::{Plan, Talk, Totals, run};

#[test]
fn one() {
    let mut totals = Totals::default();
    let from: u64 = std::env::var("FROM").ok().and_then(|v| v.parse().ok()).unwrap_or(0);
    let count: u64 = std::env::var("COUNT").ok().and_then(|v| v.parse().ok()).unwrap_or(20);
    let nodes: usize = std::env::var("NODES").ok().and_then(|v| v.parse().ok()).unwrap_or(1);
    let begin = std::time::Instant::now();
    for seed in from..from + count {
        let outcome = run(Plan::draw(seed, nodes), Talk::Silent, 0);
        if let Some(first) = outcome.violations.first() {
            println!("{seed}: {first:?}");
        }
        totals.add(&outcome);
    }
    println!("{}", totals.summary());
    println!("{}", totals.json(&(from..from + count), "", begin.elapsed()));
}
