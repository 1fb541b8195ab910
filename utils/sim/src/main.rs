//! Runs the cluster of `tests/sim` under a range of seeds, on all cores.
//!
//! ```text
//! disque-sim [OPTIONS] FROM..TO      a range of seeds
//! disque-sim --replay SEED           one seed, with everything that happens
//! disque-sim --shrink SEED           the smallest schedule of faults under which it still fails
//! disque-sim --rounds N FROM..TO     one seed after the other until N have failed; how many seeds each took
//! disque-sim --plant FILE DIRECTORY  makes a mistake of `tests/sim/planted` in a copy of the tree
//!
//! --threads N       instead of one per core
//! --nodes N         at most so many nodes
//! --brief           storms of five minutes at most
//! --until-failure   stop at the first seed that fails; prints how many it took
//! --from MILLIS     with --replay: print only what happens from then on
//! ```
//!
//! Progress goes to standard error; the last line on standard output is one line of JSON with the totals. Seeds that
//! fail are shown with their last events, and make the exit status 1.

#[path = "../../../tests/sim/planting.rs"]
mod planting;
#[path = "../../../tests/sim/simulator/mod.rs"]
mod simulator;

use std::ops::Range;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use simulator::{Outcome, Plan, Talk, Totals, run, shrink};

const USAGE: &str = "usage: disque-sim [--threads N] [--nodes N] [--brief] [--until-failure] FROM..TO\n       \
                     disque-sim [--nodes N] --replay SEED [--from MILLIS]\n       disque-sim [--nodes N] --shrink SEED";
/// How many failing seeds are shown in full.
const SHOW_FAILURES: usize = 3;

struct Options {
    seeds: Range<u64>,
    threads: usize,
    nodes: usize,
    brief: bool,
    until_failure: bool,
    replay: Option<u64>,
    shrink: Option<u64>,
    rounds: u64,
    from: u64,
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if let [command, file, tree] = &args[..]
        && command == "--plant"
    {
        return match planting::plant(Path::new(file), Path::new(tree)) {
            Ok(()) => ExitCode::SUCCESS,
            Err(why) => {
                eprintln!("{file}: {why}");
                ExitCode::FAILURE
            }
        };
    }
    let Some(options) = parse(args.into_iter()) else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    if let Some(seed) = options.replay {
        return replay(seed, &options);
    }
    if let Some(seed) = options.shrink {
        return show_shrunk(seed, &options);
    }
    if options.rounds > 0 {
        return rounds(&options);
    }
    range(&options)
}

impl Options {
    fn plan(&self, seed: u64) -> Plan {
        let plan = Plan::draw(seed, self.nodes);
        if self.brief { plan.brief() } else { plan }
    }
}

/// How many seeds it takes to find what is wrong, again and again.
fn rounds(options: &Options) -> ExitCode {
    std::panic::set_hook(Box::new(|_| {}));
    let (mut found, mut since, mut kinds) = (Vec::new(), 0, std::collections::BTreeMap::new());
    for seed in options.seeds.clone() {
        since += 1;
        let outcome = run(options.plan(seed), Talk::Silent, 0);
        if let Some(violation) = outcome.violations.first() {
            *kinds.entry(violation.kind).or_insert(0_u64) += 1;
            found.push(std::mem::take(&mut since));
        }
        if found.len() as u64 == options.rounds {
            break;
        }
    }
    found.sort_unstable();
    let median = found.get(found.len() / 2);
    println!(
        "{}",
        serde_json::json!({ "found": found.len(), "median_seeds": median, "seeds": found, "as": kinds })
    );
    if found.is_empty() { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn parse(mut args: impl Iterator<Item = String>) -> Option<Options> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let mut options = Options {
        seeds: 0..0,
        threads: cores,
        nodes: usize::MAX,
        brief: false,
        until_failure: false,
        replay: None,
        shrink: None,
        rounds: 0,
        from: 0,
    };
    while let Some(arg) = args.next() {
        let mut number = || args.next()?.parse().ok();
        match arg.as_str() {
            "--threads" => options.threads = number()? as usize,
            "--nodes" => options.nodes = number()? as usize,
            "--replay" => options.replay = Some(number()?),
            "--shrink" => options.shrink = Some(number()?),
            "--rounds" => options.rounds = number()?,
            "--from" => options.from = number()?,
            "--brief" => options.brief = true,
            "--until-failure" => options.until_failure = true,
            range => {
                let (from, to) = range.split_once("..")?;
                options.seeds = from.parse().ok()?..to.parse().ok()?;
            }
        }
    }
    let has_work = !options.seeds.is_empty() || options.replay.is_some() || options.shrink.is_some();
    (has_work && options.threads > 0).then_some(options)
}

fn replay(seed: u64, options: &Options) -> ExitCode {
    let plan = options.plan(seed);
    println!("{plan:#?}");
    let outcome = run(plan, Talk::Print, options.from * 1000);
    println!("hash {:016x}, {} events, {:?}", outcome.hash, outcome.events, outcome.counts);
    for violation in &outcome.violations {
        println!("{violation:?}");
    }
    if outcome.violations.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn show_shrunk(seed: u64, options: &Options) -> ExitCode {
    let outcome = run(options.plan(seed), Talk::Silent, 0);
    if outcome.violations.is_empty() {
        println!("seed {seed} does not fail");
        return ExitCode::SUCCESS;
    }
    let plan = shrink::shrink(&outcome);
    println!("{plan:#?}");
    let outcome = run(plan, Talk::Print, options.from * 1000);
    println!("{:?}", outcome.violations);
    ExitCode::FAILURE
}

/// What the threads share.
struct Shared {
    next: AtomicU64,
    stop: AtomicBool,
    totals: Mutex<Totals>,
    failures: Mutex<Vec<Outcome>>,
}

fn range(options: &Options) -> ExitCode {
    let begin = Instant::now();
    let shared = Shared {
        next: AtomicU64::new(options.seeds.start),
        stop: AtomicBool::new(false),
        totals: Mutex::default(),
        failures: Mutex::default(),
    };
    std::thread::scope(|scope| {
        for _ in 0..options.threads {
            scope.spawn(|| work(options, &shared, begin));
        }
    });
    let totals = shared.totals.into_inner().expect("no thread panicked");
    let mut failures = shared.failures.into_inner().expect("no thread panicked");
    failures.sort_by_key(|outcome| outcome.seed);
    for outcome in failures.iter().take(SHOW_FAILURES) {
        show_failure(outcome, options);
    }
    eprint!("{}", totals.summary());
    println!("{}", totals.json(&options.seeds, &commit(), begin.elapsed()));
    if failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn work(options: &Options, shared: &Shared, begin: Instant) {
    while !shared.stop.load(Ordering::Relaxed) {
        let seed = shared.next.fetch_add(1, Ordering::Relaxed);
        if seed >= options.seeds.end {
            return;
        }
        let outcome = run(options.plan(seed), Talk::Silent, 0);
        let failed = !outcome.violations.is_empty();
        let mut totals = shared.totals.lock().expect("no thread panicked");
        totals.add(&outcome);
        if totals.seeds.is_multiple_of(500) {
            progress(&totals, begin.elapsed());
        }
        drop(totals);
        if failed {
            eprintln!("seed {seed}: {:?}", outcome.violations[0]);
            shared.failures.lock().expect("no thread panicked").push(outcome);
            if options.until_failure {
                shared.stop.store(true, Ordering::Relaxed);
            }
        }
    }
}

fn progress(totals: &Totals, passed: Duration) {
    let days = totals.simulated as f64 / 86_400e6;
    let speed = days * 86_400.0 / passed.as_secs_f64();
    eprintln!(
        "{} seeds, {days:.2} cluster-days, {speed:.0} times real time, {} failed",
        totals.seeds,
        totals.failed.len()
    );
}

/// The same seed again, this time with its last events.
fn show_failure(outcome: &Outcome, options: &Options) {
    let again = run(options.plan(outcome.seed), Talk::KeepTheEnd, 0);
    eprintln!("\nseed {}; the last events:", outcome.seed);
    again.last_lines.iter().for_each(|line| eprintln!("{line}"));
    for violation in &again.violations {
        eprintln!("{violation:?}");
    }
    if again.hash != outcome.hash {
        eprintln!("the second run took another course: {:016x}, {:016x}", outcome.hash, again.hash);
    }
}

fn commit() -> String {
    let output = std::process::Command::new("git").args(["rev-parse", "--short", "HEAD"]).output();
    let text = output.ok().filter(|output| output.status.success()).map(|output| output.stdout);
    text.map_or("unknown".to_owned(), |text| String::from_utf8_lossy(&text).trim().to_owned())
}
