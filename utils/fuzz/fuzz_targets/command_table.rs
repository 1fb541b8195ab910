//! See `targets/command_table.rs`.
#![no_main]

disque_fuzz::fuzz!(disque_fuzz::targets::COMMAND_TABLE);
