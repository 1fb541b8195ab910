//! Engines in one process that make a cluster: joining, failing, moving, leaving, forgetting, the odd ones, and the life
//! of a job on several nodes.
#![allow(missing_docs, unreachable_pub, reason = "a test program has no public interface")]

mod acks;
mod contest;
mod copies;
mod disks;
mod edges;
mod failing;
mod faults;
mod federation;
mod forgetting;
mod joining;
mod load;
mod moving;
mod net;
mod odd;
mod repair;
mod rest;
mod talk;
