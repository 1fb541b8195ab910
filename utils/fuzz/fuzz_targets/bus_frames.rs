//! See `targets/bus_frames.rs`.
#![no_main]

disque_fuzz::fuzz!(disque_fuzz::targets::BUS_FRAMES);
