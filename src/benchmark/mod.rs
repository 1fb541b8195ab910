//! The program `disque-benchmark`: load for this server and for others that do the same work, and what it costs them.
//!
//! Most loads are closed: every connection sends a window of requests, waits for all their replies and sends the
//! next. That measures what a server can do and what a request costs it; the latencies are those of a busy server
//! and of requests that wait for their window. `latency` is an open load for those that users would see.
//!
//! * `options`, `bodies`: what the user asks for.
//! * `peer`, `speech`, `scan`: the kinds of servers; what to say to each; where replies end and the jobs in them.
//! * `wire`, `link`, `load`: a connection; its steps in a closed load; the event loop that drives all of them.
//! * `workload`, `backlog`, `stages`, `blocked`, `latency`: what is done, in which order, and which part is measured.
//! * `target`, `side`, `control`: the servers, and what is asked and arranged besides the load.
//! * `process`: what the system knows of the server process. `statistics`, `report`, `progress`: results of a run.
//! * `results`, `summary`, `compare`, `chart`: files of results, their medians, differences and pictures.
//! * `null`: a server that answers +OK to everything, the floor under all numbers.
//!
//! One thread. Invariants: in a closed load no more than connections × window requests are in flight; a reply that
//! is an error ends the program with its text; a server that was measured has no job of ours left, unless a run
//! failed.

mod backlog;
mod blocked;
mod bodies;
mod chart;
mod compare;
mod control;
mod fault;
mod latency;
mod link;
mod load;
mod null;
mod options;
mod peer;
mod process;
mod progress;
mod report;
mod results;
mod scan;
mod side;
mod speech;
mod stages;
mod statistics;
mod summary;
mod target;
mod wire;
mod workload;

use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{CommandFactory as _, Parser as _};

use fault::Fault;
use options::{Action, Options, Workload};
use report::Reporter;
use target::Target;

/// Exit code of a measurement that failed; that of wrong usage is clap's 2.
const FAILED: u8 = 1;

/// Runs the program with the arguments and streams of this process.
pub fn run() -> ExitCode {
    let options = Options::parse();
    let wrong = |kind, text: &str| Options::command().error(kind, text).exit();
    let outcome = match (options.null, &options.action) {
        (Some(port), None) => null::serve(port).map_err(Fault::Io),
        (None, Some(Action::Compare { before, after })) => compare::run(before, after),
        (None, Some(Action::Summary { files, svg, across })) => {
            summary::run(files, svg.as_deref(), across.as_deref())
        }
        (None, Some(Action::Measure(workload))) => match options.contradiction(*workload) {
            None => measure(&options, *workload),
            Some(text) => wrong(ErrorKind::ArgumentConflict, &text),
        },
        _ => wrong(ErrorKind::MissingSubcommand, "either a workload or --null"),
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
            Workload::Stages => stages::run(&mut target),
            Workload::Latency { rate } => latency::run(&mut target, rate),
            _ => workload::run(&mut target),
        };
        reporter.run(workload, &result?)?;
    }
    Ok(reporter.finish()?)
}
