//! The simulation's own chance: integers only, so that every build and every machine draws the same.

/// A stream of random numbers (SplitMix64). Streams for different purposes are split off, so that one more draw
/// for one purpose does not change all others.
#[derive(Clone, Debug)]
pub struct Chance(u64);

impl Chance {
    pub fn new(seed: u64) -> Chance {
        Chance(seed)
    }

    /// A stream of its own for the purpose with this number.
    pub fn split(&self, purpose: u64) -> Chance {
        let mut seed = Chance(self.0 ^ purpose.wrapping_mul(0xd6e8_feb8_6659_fd93));
        Chance(seed.next())
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// Uniform below `n`, which is above 0.
    pub fn below(&mut self, n: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(n)) >> 64) as u64
    }

    /// Uniform, both ends included.
    pub fn between(&mut self, min: u64, max: u64) -> u64 {
        min + self.below(max - min + 1)
    }

    /// Spread over the orders of magnitude between two positive numbers: small ones as often as large ones.
    pub fn spread(&mut self, min: u64, max: u64) -> u64 {
        let (low, high) = (min.max(1).ilog2(), max.max(1).ilog2());
        let magnitude = 1 << self.between(u64::from(low), u64::from(high));
        (magnitude + self.below(magnitude)).clamp(min, max)
    }

    /// True in so many of a thousand cases.
    pub fn permille(&mut self, n: u64) -> bool {
        self.below(1000) < n
    }

    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u64) as usize]
    }

    pub fn bytes32(&mut self) -> [u8; 32] {
        let mut bytes = [0; 32];
        for eight in bytes.as_chunks_mut::<8>().0 {
            *eight = self.next().to_le_bytes();
        }
        bytes
    }
}

/// Makes each bit depend on every other.
pub fn mix(word: u64) -> u64 {
    let word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}
