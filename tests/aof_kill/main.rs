//! The server killed at every system call that touches its append-only file: nothing that was answered is lost, and
//! nothing that was ended comes back.
//!
//! The test traces the server: a run to the end counts the calls, then each of them is the last of a run of its own.
//! Whoever is killed there is started again, and compared with what clients were told. By default at least 500 points
//! are tried; with `DISQUE_KILL_POINTS=all` every one.
//!
//! Also a server whose disk does not answer (`hang.rs`).
//!
//! A program of its own, since it waits for all children of its process: one test after the other. Registers are read, so it is written for one
//! kind of processor.
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]
#![allow(missing_docs, unreachable_pub, reason = "a test program has no public interface")]

mod hang;
#[path = "../support/mod.rs"]
mod support;
mod trace;
mod workload;

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use support::{Scratch, free_port};
use workload::{Ledger, Scenario};

/// How many points are tried unless all are asked for.
const POINTS: usize = 500;

#[test]
fn killed_at_any_call_it_knows_what_it_answered() {
    let _turn = turn();
    let mut points = Vec::new();
    for scenario in Scenario::ALL {
        let calls = run(scenario, None).calls;
        assert!(calls > 20, "{scenario:?} has {calls} calls");
        points.extend((1..=calls).map(|call| (scenario, call)));
    }
    let all = std::env::var("DISQUE_KILL_POINTS").is_ok_and(|value| value == "all");
    let step = if all { 1 } else { (points.len() / POINTS).max(1) };
    let tried = points.iter().step_by(step).count();
    assert!(tried >= POINTS, "{tried} points of {}", points.len());
    println!("{} calls touch the files, {tried} are the last of a run", points.len());
    for (scenario, call) in points.into_iter().step_by(step) {
        run(scenario, Some(call));
    }
}

static TURN: Mutex<()> = Mutex::new(());

/// Only one test at a time may trace.
fn turn() -> impl Drop {
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Run {
    calls: usize,
}

/// One life of a server, up to the end or to a call, and a look at what the next one knows.
fn run(scenario: Scenario, until: Option<usize>) -> Run {
    let dir = Scratch::new();
    let mut ledger = Ledger::default();
    if scenario.starts_on_files() {
        let port = free_port();
        let mut server = trace::spawn(dir.path(), trace::arguments(port, scenario));
        ledger = workload::live(port, scenario, ledger);
        server.end_now();
    }
    let port = free_port();
    let traced = trace::Traced::start(dir.path(), trace::arguments(port, scenario));
    let client = std::thread::spawn(move || workload::live(port, scenario, ledger));
    let calls = traced.run(until);
    let ledger = client.join().expect("the client says what it was told");
    check(dir.path(), scenario, &ledger, until);
    Run { calls }
}

fn check(dir: &Path, scenario: Scenario, ledger: &Ledger, until: Option<usize>) {
    let port = free_port();
    let mut server = trace::spawn(dir, trace::arguments(port, scenario));
    let found = ledger.compare(port);
    server.end_now();
    if let Err(error) = found {
        panic!("{scenario:?}, killed at call {until:?}: {error}");
    }
}
