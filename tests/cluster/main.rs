//! Engines in one process that make a cluster: joining, failing, moving, leaving, forgetting, and the odd ones.
#![allow(missing_docs, unreachable_pub, reason = "a test program has no public interface")]

mod failing;
mod forgetting;
mod joining;
mod moving;
mod net;
mod odd;
mod rest;
