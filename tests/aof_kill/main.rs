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
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use nix::sys::signal::Signal;
use nix::sys::wait::WaitStatus;
use support::{Scratch, free_port};
use workload::{Ledger, Scenario};

/// How many points are tried unless all are asked for.
const POINTS: usize = 500;

#[test]
fn killed_at_any_call_it_knows_what_it_answered() {
    let _turn = turn();
    let mut points = Vec::new();
    for scenario in Scenario::ALL {
        let calls = run(scenario, None);
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

/// One life of a server, up to the end or to a call, and a look at what the next one knows. How many calls there were.
fn run(scenario: Scenario, until: Option<usize>) -> usize {
    let dir = Scratch::new();
    let mut ledger = Ledger::default();
    if scenario.starts_on_files() {
        let port = free_port();
        let server = trace::spawn(dir.path(), trace::arguments(port, scenario));
        ledger = workload::live(port, scenario, ledger, &|| server.has_ended());
        assert_eq!(server.end(), Some(0), "{scenario:?}: the server before ends in good order");
    }
    let port = free_port();
    let traced = trace::Traced::start(dir.path(), trace::arguments(port, scenario));
    let ended = Arc::new(AtomicBool::new(false));
    let (seen, pid) = (Arc::clone(&ended), traced.pid());
    let living = std::thread::spawn(move || {
        let _end = trace::EndIfPanicking(pid);
        workload::live(port, scenario, ledger, &|| seen.load(Ordering::SeqCst))
    });
    let end = traced.run(until);
    ended.store(true, Ordering::SeqCst);
    let ledger = living.join().expect("the client says what it was told");
    // It may end before it comes to the call: how often it writes depends on what comes together.
    let as_expected = match end.how {
        WaitStatus::Exited(_, code) => code == 0,
        WaitStatus::Signaled(_, signal, _) => until.is_some() && signal == Signal::SIGKILL,
        _ => false,
    };
    assert!(
        as_expected,
        "{scenario:?}, to be killed at call {until:?}: {:?} after {} calls",
        end.how, end.calls
    );
    check(dir.path(), scenario, &ledger, until);
    end.calls
}

fn check(dir: &Path, scenario: Scenario, ledger: &Ledger, until: Option<usize>) {
    let port = free_port();
    let server = trace::spawn(dir, trace::arguments(port, scenario));
    let found = ledger.compare(port, &|| server.has_ended());
    let ended = server.end_now();
    if let Err(error) = found {
        panic!(
            "{scenario:?}, killed at call {until:?}: {error}; the server that was started again ended: {ended:?}"
        );
    }
}
