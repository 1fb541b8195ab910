//! Conversations in text files, run against the engine in this process and against the real server.
//!
//! A case is a list of steps, one per line; see `step.rs` for the language. Each case runs on both drivers,
//! unless it moves the clock (`clock`) or changes settings, which only the engine's driver can, or uses commands of
//! the shell (`needs server`). After every step the engine or the server (DEBUG AUDIT) is audited.
#![allow(missing_docs, unreachable_pub, reason = "a test program has no public interface")]

#[path = "../support/mod.rs"]
mod support;

mod engine_driver;
mod pattern;
mod server_driver;
mod step;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use disque::resp::Value;
use step::{Action, Case, Setting, Step};

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
    /// Makes sure that the server has closed the client's connection.
    fn expect_closed(&mut self, client: &str) -> Result<(), String>;
    /// Changes a setting of the engine.
    fn set(&mut self, setting: Setting) -> Result<(), String>;
    /// Makes sure that no reply was overlooked, as far as can be told without waiting.
    fn finish(&mut self) -> Result<(), String>;
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
    driver.finish().map_err(|why| format!("{}: {why}", case.name))
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
        Action::Repeat { client, times, words } => {
            (1..=*times).try_for_each(|number| repeat(driver, client, number, words))
        }
        Action::Scan { client, elements, words } => scan(driver, client, words, *elements),
        Action::Closed { client } => driver.expect_closed(client),
        Action::Settings(setting) => driver.set(*setting),
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

/// Sends a command with `#` as a number; its reply must not be an error.
fn repeat(driver: &mut dyn Driver, client: &str, number: usize, words: &[Vec<u8>]) -> Result<(), String> {
    let number = number.to_string();
    let args = words.iter().map(|word| {
        let parts: Vec<&[u8]> = word.split(|byte| *byte == b'#').collect();
        pattern::substitute(&parts.join(number.as_bytes()), &BTreeMap::new())
    });
    driver.send(client, &args.collect::<Result<Vec<_>, _>>()?);
    match driver.reply(client)? {
        Value::Error(text) => Err(format!("number {number}: {}", String::from_utf8_lossy(&text))),
        _ => Ok(()),
    }
}

/// Scans to the end; the elements must be so many, and different.
fn scan(driver: &mut dyn Driver, client: &str, words: &[Vec<u8>], elements: usize) -> Result<(), String> {
    let mut seen = BTreeSet::new();
    let mut cursor = b"0".to_vec();
    loop {
        driver.send(client, &[words, &[cursor]].concat());
        let reply = driver.reply(client)?;
        let Value::Array(parts) = &reply else { return Err(format!("no scan: {}", pattern::show(&reply))) };
        let [Value::Bulk(next), Value::Array(found)] = parts.as_slice() else {
            return Err(format!("no scan: {}", pattern::show(&reply)));
        };
        for element in found.iter().map(pattern::show) {
            if !seen.insert(element.clone()) {
                return Err(format!("{element} is shown twice"));
            }
        }
        if next == b"0" {
            break;
        }
        cursor = next.clone();
    }
    if seen.len() == elements { Ok(()) } else { Err(format!("{} elements, not {elements}", seen.len())) }
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
    run_all(|case| !case.needs_engine(), || Box::new(server_driver::ServerDriver::new(server.port)));
}
