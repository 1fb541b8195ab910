//! Engines in one process that make a cluster: joining, failing, moving, leaving, forgetting, and the odd ones.

mod joining;
mod net;
