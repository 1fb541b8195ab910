//! See README.
#[path = "../../../tests/sim/simulator/mod.rs"]
mod simulator;

use simulator::{Plan, Talk, Totals, run};

fn main() {
    let mut totals = Totals::default();
    let var = |name: &str, default: u64| std::env::var(name).ok().and_then(|v| v.parse().ok()).unwrap_or(default);
    let (from, count, nodes) = (var("FROM", 0), var("COUNT", 20), var("NODES", 1) as usize);
    let print = var("PRINT", 0) == 1;
    let begin = std::time::Instant::now();
    for seed in from..from + count {
        let begin = std::time::Instant::now();
        eprint!("{seed} ");
        let outcome = run(Plan::draw(seed, nodes), if print { Talk::Print } else { Talk::Silent }, var("AFTER", 0) * 1000);
        eprintln!("{:?} for {} s, {} events", begin.elapsed(), outcome.simulated / 1_000_000, outcome.events);
        if let Some(first) = outcome.violations.first() {
            println!("{seed}: {first:?}");
        }
        totals.add(&outcome);
    }
    println!("{}", totals.summary());
    println!("{}", totals.json(&(from..from + count), "", begin.elapsed()));
}
