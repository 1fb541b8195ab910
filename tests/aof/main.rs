//! The log over a simulated disk: stopped at every call, with every call failing, with the power cut at any time.
#![allow(missing_docs, unreachable_pub, reason = "a test program has no public interface")]

mod crash;
mod faults;
mod node;
#[path = "../support/sim_disk.rs"]
mod sim_disk;
mod threads;
mod writer;

/// A stream of random numbers that is the same everywhere (SplitMix64).
pub struct Chance(pub u64);

impl Chance {
    pub fn draw(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % below.max(1)
    }
}
