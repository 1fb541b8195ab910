//! What nodes tell each other, and what a node remembers about the others.

mod nodes_conf;

pub use nodes_conf::{NodeFlags, NodeLine, NodesConf, NodesConfError};
