//! Engines in one process that make a cluster: joining, failing, moving, leaving, forgetting, and the life of a job on
//! several nodes.

mod acks;
mod contest;
mod copies;
mod federation;
mod joining;
mod net;
mod repair;
mod talk;
