//! The documents say what the program does: README, the manual, the command table and COMMAND DOCS.
//!
//! That disque.conf and the parameter table agree is tested beside the table, in `config/sample.rs`. What is printed from
//! tables is made anew by `UPDATE_GOLDEN=1 cargo test --test docs`, and so is the output of examples that no longer
//! fits; look at what changed before you keep it.
#![allow(missing_docs, unreachable_pub, reason = "a test program has no public interface")]

#[path = "../support/mod.rs"]
mod support;

mod console;
mod directives;
mod examples;
mod failures;
mod links;
mod pages;
mod tables;
