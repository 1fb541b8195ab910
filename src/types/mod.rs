//! Leaf vocabulary: the words that every room shares. No behaviour beyond parsing, printing and comparing.

mod args;
mod body;
mod counted;
mod job_id;
mod job_image;
pub mod limits;
mod node;
mod time;

pub use args::{ArgList, Args, Span};
pub use body::{Body, BodyArg};
pub use counted::counted;
pub use job_id::{JobId, JobIdError};
pub use job_image::{Form, ImageError, JobImage};
pub use node::{NodeId, NodeIndex, NodeSet};
pub use time::{Ctime, DurationError, Millis, Span32, UnixMillis, parse_duration};
