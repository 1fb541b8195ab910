//! See `targets/aof_reader.rs`.
#![no_main]

disque_fuzz::fuzz!(disque_fuzz::targets::AOF_READER);
