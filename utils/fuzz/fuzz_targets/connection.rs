//! See `targets/connection.rs`.
#![no_main]

disque_fuzz::fuzz!(disque_fuzz::targets::CONNECTION);
