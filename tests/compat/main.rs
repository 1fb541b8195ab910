//! Recorded bytes of Disque 1.0-rc1: decoding must find what is documented, encoding must give the same bytes.
//!
//! And, beyond the recordings, what must hold for all bytes and all messages (`properties.rs`).
#![allow(missing_docs, unreachable_pub, reason = "a test program has no public interface")]

mod arbitrary;
mod dialects;
mod frames;
mod nodes;
mod probes;
mod properties;
mod reactions;
mod records;
mod show;
mod vectors;
mod wire;
