//! Instructions that the hot paths take, counted by valgrind and compared with the table beside this file.
//!
//!     cargo run --release --example instructions             # compare; fails if a count is off by more than 3 %
//!     cargo run --release --example instructions -- --update # write the table anew
//!
//! Instructions do not depend on what else the machine does, unlike times, so a regression of a few percent is seen
//! wherever the tests run. They are not the whole truth: a cache miss costs a hundred of them. docs/performance.md has
//! the times.
//!
//! Each path is run twice in a process of its own, with 1,000 and with 3,000 items on the same preparation; the
//! difference, divided by 2,000, is what an item takes. So neither the start of the program nor the preparation count.
//!
//! An example and not a bench: benches are built without `panic = "abort"`, which is not what is shipped.
#![allow(missing_docs, reason = "a program has no public interface")]

mod paths;
mod sample;
mod table;

use std::env;
use std::process::{Command, ExitCode};

use table::{Counts, Table};

/// Items of the shorter and of the longer run.
const FEW: u64 = 1_000;
const MANY: u64 = 3_000;

fn main() -> ExitCode {
    let args: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        ["--path", name, items] => run_path(name, items),
        [] => check(),
        ["--update"] => measure().and_then(|counts| table::write(&Table { rustc: rustc()?, counts })),
        _ => Err("usage: instructions [--update]".to_string()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(text) => {
            eprintln!("instructions: {text}");
            ExitCode::FAILURE
        }
    }
}

/// The process that valgrind watches.
fn run_path(name: &str, items: &str) -> Result<(), String> {
    let (_, run) = paths::ALL.iter().find(|(known, _)| *known == name).ok_or("no such path")?;
    let items = items.parse().map_err(|_| "not a number of items")?;
    if items > paths::PREPARED {
        return Err(format!("{} items are prepared", paths::PREPARED));
    }
    run(items);
    Ok(())
}

fn check() -> Result<(), String> {
    let recorded = table::read()?;
    let measured = measure()?;
    let rustc = rustc()?;
    let wrong = table::compare(&recorded.counts, &measured);
    if wrong == 0 {
        println!("all within {} %", table::TOLERANCE_PERCENT);
        return Ok(());
    }
    let remedy = "--update writes the table anew; say why in the commit";
    if rustc == recorded.rustc {
        return Err(format!("{wrong} counts are off by more than {} %; {remedy}", table::TOLERANCE_PERCENT));
    }
    println!("{wrong} counts differ, and so does the compiler; this proves nothing about the change.");
    println!("recorded with {}\nmeasured with {rustc}\n{remedy}", recorded.rustc);
    Ok(())
}

fn measure() -> Result<Counts, String> {
    paths::ALL
        .iter()
        .map(|(name, _)| {
            let (few, many) = (instructions(name, FEW)?, instructions(name, MANY)?);
            let items = (MANY - FEW) as f64;
            Ok((name.to_string(), many.saturating_sub(few) as f64 / items))
        })
        .collect()
}

/// Instructions that a process takes for a path.
fn instructions(name: &str, items: u64) -> Result<u64, String> {
    let program = env::current_exe().map_err(|error| error.to_string())?;
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(program)
        .args(["--path", name, &items.to_string()])
        // The C library has copying routines for each kind of processor, with other counts; all have these.
        .env("GLIBC_TUNABLES", "glibc.cpu.hwcaps=-AVX512F,-AVX512VL,-AVX2,-AVX,-ERMS,-FSRM")
        .output()
        .map_err(|error| format!("valgrind cannot be run ({error}); it is in the package of that name"))?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let collected = said.lines().find_map(|line| line.split("Collected : ").nth(1)?.trim().parse().ok());
    match collected {
        Some(count) if output.status.success() => Ok(count),
        _ => Err(format!("valgrind failed with {name}:\n{said}")),
    }
}

fn rustc() -> Result<String, String> {
    let output = Command::new("rustc").arg("--version").output().map_err(|error| error.to_string())?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_string())
}
