//! The program `disque-benchmark`: load for this server and for Redis, and what it costs them.
//!
//! The load is closed: every connection sends a window of requests, waits for all their replies and sends the
//! next. That measures what a server can do and what a request costs it; the latencies it shows are those of a
//! busy server and of requests that wait for their window.
//!
//! * `options`: what the user asks for.
//! * `peer`: the requests of each kind of server for the same work.
//! * `scan`: finds the ends of replies and picks job IDs out of them, fast.
//! * `load`, `link`: the event loop that drives the connections, and one connection.
//! * `workload`, `backlog`, `blocked`: what is done, in which order, and which part of it is measured.
//! * `control`: the side connection for questions like INFO.
//! * `process`: what the system knows of the server process. `statistics`, `report`: results and how they look.
//! * `null`: a server that answers +OK to everything, the floor under all numbers.
//!
//! One thread. Invariants: no more than connections × window requests are in flight; a reply that is an error
//! ends the program with its text; a server that was measured has no job of ours left, unless a run failed.

mod backlog;
mod blocked;
mod control;
mod fault;
mod link;
mod load;
mod null;
mod options;
mod peer;
mod process;
mod report;
mod scan;
mod statistics;
mod target;
mod workload;

use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{CommandFactory as _, Parser as _};

use fault::Fault;
use options::{Options, Workload};
use report::Reporter;
use target::Target;

/// Exit code of a measurement that failed; that of wrong usage is clap's 2.
const FAILED: u8 = 1;

/// Runs the program with the arguments and streams of this process.
pub fn run() -> ExitCode {
    let options = Options::parse();
    let outcome = match (options.null, options.workload) {
        (Some(port), None) => null::serve(port).map_err(Fault::Io),
        (None, Some(workload)) => measure(&options, workload),
        _ => Options::command().error(ErrorKind::MissingSubcommand, "either a workload or --null").exit(),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            eprintln!("disque-benchmark: {fault}");
            ExitCode::from(FAILED)
        }
    }
}

fn measure(options: &Options, workload: Workload) -> Result<(), Fault> {
    let mut reporter = Reporter::new(options);
    for _ in 0..options.repeat {
        let mut target = Target::open(options, workload)?;
        let result = match workload {
            Workload::Backlog { jobs } => backlog::run(&mut target, jobs),
            Workload::Blocked { clients, .. } => blocked::run(&mut target, clients),
            _ => workload::run(&mut target),
        };
        reporter.run(workload, &result?)?;
    }
    Ok(reporter.finish()?)
}
