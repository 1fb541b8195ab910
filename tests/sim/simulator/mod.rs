//! A cluster of real engines in one thread, on a clock that only moves when nothing is left to do, under faults, with
//! a ledger that knows what was promised.
//!
//! Everything follows from one seed: `plan` draws how large the cluster is, who uses it and what goes wrong; `world`
//! lets it happen. Requests and messages pass as bytes through the codecs of the server. Nothing reads a clock,
//! draws foreign chance or depends on the order of a hash map, so that the same seed does the same in every build.
//!
//! | file | duty |
//! | --- | --- |
//! | `chance.rs` | random numbers |
//! | `clock.rs` | the clocks of a node |
//! | `plan.rs` | what a seed draws in advance |
//! | `world.rs` | the queue of events |
//! | `wire.rs`, `streams.rs` | connections, and how bytes travel |
//! | `node.rs`, `process.rs` | a machine, its disk, and what the server does with its engine |
//! | `log.rs`, `gate.rs` | the append-only file of a node, and what waits for it |
//! | `client.rs`, `people.rs`, `resp.rs` | producers and workers |
//! | `faults.rs` | what goes wrong |
//! | `calm.rs` | the end: everything must come to rest |
//! | `ledger.rs`, `history.rs` | what was promised, and what excuses a breach |
//! | `views.rs` | what nodes know of jobs, compared with what they knew and with each other |
//! | `coverage.rs`, `trace.rs`, `report.rs` | what was reached, what happened, what it sums up to |
//! | `shrink.rs` | the smallest schedule that still fails |
#![allow(
    dead_code,
    missing_docs,
    unreachable_pub,
    unused_imports,
    reason = "shared by two tests and a tool, which each use a part"
)]

mod calm;
pub mod chance;
mod client;
mod clock;
pub mod coverage;
mod faults;
mod gate;
pub mod history;
pub mod ledger;
mod log;
mod node;
mod people;
pub mod plan;
mod process;
pub mod report;
mod resp;
pub mod shrink;
#[path = "../../support/sim_disk.rs"]
mod sim_disk;
mod streams;
mod trace;
mod views;
mod wire;
mod world;

pub use plan::Plan;
pub use report::{Outcome, Totals};
pub use trace::Talk;
use world::World;

/// Runs a plan to its end. A panic, in the engine or in the simulation itself, is a violation like any other.
pub fn run(plan: Plan, talk: Talk, from: u64) -> Outcome {
    let mut world = None;
    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        world.insert(World::new(plan.clone(), talk, from)).run();
    }));
    let Some(mut world) = world else { panic!("seed {} cannot begin", plan.seed) };
    if let Err(panic) = result {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        world.violate("panic", text.unwrap_or_default());
    }
    Outcome::of(world)
}
