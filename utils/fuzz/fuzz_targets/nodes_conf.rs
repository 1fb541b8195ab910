//! See `targets/nodes_conf.rs`.
#![no_main]

disque_fuzz::fuzz!(disque_fuzz::targets::NODES_CONF);
