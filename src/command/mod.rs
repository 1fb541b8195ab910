//! The command table, and the way from arguments to requests and from replies to RESP.
//!
//! One row per command ([`CommandSpec`]), one file of rows per family. From the rows come dispatch, the check
//! of the number of arguments, COMMAND with its subcommands, and the commands in README.md and the manual. A command
//! runs in one of two places: the engine, to which its parser hands a typed request, or the shell, which has
//! the connections and the files. Nothing here touches either; behaviour lives there.
//!
//! The way of a request: [`resolve`] finds the row, the shell checks what the row's [`Flags`] ask for, then
//! the row's parser makes a [`Request`](crate::engine::Request), and [`reply::encode`] writes the answer.
//!
//! Invariants, checked when the package is compiled or tested:
//! * names are lower case and unique; the first 32 rows stand in the order of the reference server;
//! * options are documented by the rows that parse them;
//! * no arguments make a parser panic, once [`resolve`] has let their number pass.

mod ack;
mod arguments;
mod cluster;
mod connection;
mod error;
mod introspection;
mod job;
mod manual;
mod options;
mod queue;
pub mod reply;
mod scan;
mod server;
mod spec;
mod table;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod transaction;

pub use arguments::{integer, timeout};
pub use error::CommandError;
pub use introspection::{
    command_count, command_docs, command_info, command_list, command_reply, command_rows,
};
pub use manual::{manual_contents, readme_table};
pub use spec::{ArgDoc, ArgType, Arity, CommandSpec, Flags, Group, Parser, Repeats, Runs, ShellCommand};
pub use table::{COMMANDS, CommandTable, RenameError, lookup, resolve};
