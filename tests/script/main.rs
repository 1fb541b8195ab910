//! Conversations in text files, run against the engine in this process and against the real server.
//!
//! A case is a list of steps, one per line; see `step.rs` for the language. Each case runs on both drivers,
//! unless it moves the clock (`clock`), which only the engine's driver can, or uses commands of the shell
//! (`needs server`). After every step the engine is audited, after every case the server is (DEBUG AUDIT).
#![allow(missing_docs, unreachable_pub, reason = "a test program has no public interface")]

#[path = "../support/mod.rs"]
mod support;

mod engine_driver;
mod pattern;
mod server_driver;
mod step;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use disque::resp::Value;
use step::{Action, Case, Step};

/// What runs a case: clients by name, and the time.
trait Driver {
    /// Sends a command on a client's connection.
    fn send(&mut self, client: &str, args: &[Vec<u8>]);
    /// The client's next reply.
    fn reply(&mut self, client: &str) -> Result<Value, String>;
    /// Makes sure that the client waits for its reply.
    fn expect_blocked(&mut self, client: &str) -> Result<(), String>;
    /// Ends the client's connection.
    fn hang_up(&mut self, client: &str);
    /// Lets time pass.
    fn clock(&mut self, millis: u64) -> Result<(), String>;
    /// Checks what must always hold.
    fn audit(&mut self) -> Result<(), String>;
}

fn run(case: &Case, driver: &mut dyn Driver) -> Result<(), String> {
    let mut bound = BTreeMap::new();
    for step in &case.steps {
        run_step(step, driver, &mut bound).map_err(|why| format!("{}:{}: {why}", case.name, step.line))?;
        driver.audit().map_err(|why| format!("{}:{}: audit: {why}", case.name, step.line))?;
    }
    Ok(())
}

fn run_step(
    step: &Step,
    driver: &mut dyn Driver,
    bound: &mut BTreeMap<String, Vec<u8>>,
) -> Result<(), String> {
    match &step.action {
        Action::Send { client, words } => {
            let args: Result<Vec<_>, _> = words.iter().map(|word| pattern::substitute(word, bound)).collect();
            driver.send(client, &args?);
            Ok(())
        }
        Action::Expect { client, pattern } => {
            let value = driver.reply(client)?;
            pattern.check(&value, bound).map_err(|why| format!("{why}\n  reply: {}", pattern::show(&value)))
        }
        Action::Blocked { client } => driver.expect_blocked(client),
        Action::HangUp { client } => {
            driver.hang_up(client);
            Ok(())
        }
        Action::Clock { millis } => driver.clock(*millis),
    }
}

fn cases() -> Vec<Case> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/script/cases");
    let mut paths: Vec<PathBuf> = std::fs::read_dir(&dir)
        .expect("the cases are part of the source")
        .map(|entry| entry.expect("the directory can be read").path())
        .collect();
    paths.sort();
    assert!(!paths.is_empty(), "cases are found");
    paths.iter().flat_map(|path| step::parse_file(path)).collect()
}

/// Runs all cases that `wants` picks and reports every failure, not only the first.
fn run_all(wants: impl Fn(&Case) -> bool, mut driver: impl FnMut() -> Box<dyn Driver>) {
    let mut failures = String::new();
    let mut ran = 0;
    for case in cases().iter().filter(|case| wants(case)) {
        ran += 1;
        if let Err(why) = run(case, driver().as_mut()) {
            writeln!(failures, "{why}").expect("a string takes everything");
        }
    }
    assert!(ran > 0, "no case was run");
    assert!(failures.is_empty(), "{failures}");
}

#[test]
fn every_conversation_holds_on_the_engine() {
    run_all(|case| !case.needs_server, || Box::new(engine_driver::EngineDriver::new()));
}

#[test]
fn every_conversation_holds_on_the_server() {
    let server = support::Server::start(&[]);
    run_all(|case| !case.moves_clock(), || Box::new(server_driver::ServerDriver::new(server.port)));
}
