//! See `targets/request_reader.rs`.
#![no_main]

disque_fuzz::fuzz!(disque_fuzz::targets::REQUEST_READER);
