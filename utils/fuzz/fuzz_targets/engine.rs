//! See `targets/engine.rs`.
#![no_main]

disque_fuzz::fuzz!(disque_fuzz::targets::ENGINE);
