//! See `targets/member.rs`.
#![no_main]

disque_fuzz::fuzz!(disque_fuzz::targets::MEMBER);
