//! Fuzz targets of disque: bytes from anywhere must never make a room contradict itself.
//!
//! [`targets`] holds what is shared: each target is a function of bytes that panics if a claim of the room does
//! not hold. It runs in two places:
//!
//! * under libFuzzer, one small program per target in `fuzz_targets/`; `run SECONDS [TARGET …]` starts them;
//! * in `tests/fuzz_corpus.rs` of the package, over `corpus/` and some thousand mutations of it, with every
//!   `cargo test`.
//!
//! `corpus/TARGET/` is kept small and by hand: seeds with a speaking name, and what a run of the fuzzer added,
//! minimised, under its hash. What a run finds beyond that stays below `target/`.

pub mod targets;

/// The entry points of a fuzz program: libFuzzer calls the target, and lets our mutator have every other turn.
#[macro_export]
macro_rules! fuzz {
    ($target:expr) => {
        libfuzzer_sys::fuzz_target!(|data: &[u8]| ($target.run)(data));

        libfuzzer_sys::fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
            static WORDS: std::sync::LazyLock<Vec<Vec<u8>>> = std::sync::LazyLock::new($target.words);
            let mut chance = $crate::targets::Chance::new(u64::from(seed));
            if chance.below(2) == 0 {
                return libfuzzer_sys::fuzzer_mutate(data, size, max_size);
            }
            let mut mutated = data[..size].to_vec();
            $crate::targets::mutate(&mut mutated, max_size, &WORDS, &mut chance);
            data[..mutated.len()].copy_from_slice(&mutated);
            mutated.len()
        });
    };
}
