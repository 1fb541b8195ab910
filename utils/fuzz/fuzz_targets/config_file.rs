//! See `targets/config_file.rs`.
#![no_main]

disque_fuzz::fuzz!(disque_fuzz::targets::CONFIG_FILE);
