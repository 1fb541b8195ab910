//! Commands about the connection itself: AUTH, PING, and what Redis clients expect beside them. All run in the
//! shell.

use super::spec::{ArgDoc, ArgType, Arity, CommandSpec, Flags, Group, Runs, ShellCommand};

const BASE: CommandSpec = CommandSpec { group: Group::Connection, ..CommandSpec::BASE };

pub(super) const AUTH: CommandSpec = CommandSpec {
    name: "auth",
    // Three arguments at most, which the shell checks: old clients send one, new ones two.
    arity: Arity::AtLeast(2),
    flags: Flags::READONLY
        .and(Flags::LOADING)
        .and(Flags::FAST)
        .and(Flags::NO_AUTH)
        .and(Flags::NO_MULTI)
        .and(Flags::SECRET),
    summary: "Gives the password, after which other commands run.",
    args: &[
        ArgDoc::required("username", ArgType::Text, "default, if given at all").optional(),
        ArgDoc::required("password", ArgType::Text, "what requirepass says"),
    ],
    runs: Runs::InShell(ShellCommand::Auth),
    ..BASE
};

pub(super) const PING: CommandSpec = CommandSpec {
    name: "ping",
    arity: Arity::AtLeast(1),
    flags: Flags::READONLY.and(Flags::FAST).and(Flags::NEEDS_AOF),
    summary: "Answers PONG, or the message.",
    args: &[ArgDoc::required("message", ArgType::Text, "what to answer").optional()],
    runs: Runs::InShell(ShellCommand::Ping),
    ..BASE
};

pub(super) const ECHO: CommandSpec = CommandSpec {
    name: "echo",
    arity: Arity::Exactly(2),
    flags: Flags::READONLY.and(Flags::FAST),
    summary: "Answers the message.",
    args: &[ArgDoc::required("message", ArgType::Text, "what to answer")],
    runs: Runs::InShell(ShellCommand::Echo),
    ..BASE
};

pub(super) const SELECT: CommandSpec = CommandSpec {
    name: "select",
    arity: Arity::Exactly(2),
    flags: Flags::READONLY.and(Flags::LOADING).and(Flags::FAST),
    summary: "Does nothing; there is one database, and its number is 0.",
    args: &[ArgDoc::required("index", ArgType::Integer, "0")],
    runs: Runs::InShell(ShellCommand::Select),
    ..BASE
};

pub(super) const QUIT: CommandSpec = CommandSpec {
    name: "quit",
    arity: Arity::Any,
    flags: Flags::READONLY.and(Flags::LOADING).and(Flags::FAST).and(Flags::NO_AUTH).and(Flags::AT_ONCE),
    summary: "Closes the connection.",
    runs: Runs::InShell(ShellCommand::Quit),
    ..BASE
};

pub(super) const RESET: CommandSpec = CommandSpec {
    name: "reset",
    arity: Arity::Exactly(1),
    flags: Flags::READONLY.and(Flags::LOADING).and(Flags::FAST).and(Flags::NO_AUTH).and(Flags::AT_ONCE),
    summary: "Brings the connection back to the state of a new one.",
    runs: Runs::InShell(ShellCommand::Reset),
    ..BASE
};

pub(super) const READONLY: CommandSpec = CommandSpec {
    name: "readonly",
    arity: Arity::Exactly(1),
    flags: Flags::READONLY.and(Flags::FAST),
    summary: "Does nothing; for clients that read from Redis replicas.",
    runs: Runs::InShell(ShellCommand::Readonly),
    ..BASE
};

pub(super) const READWRITE: CommandSpec = CommandSpec {
    name: "readwrite",
    arity: Arity::Exactly(1),
    flags: Flags::READONLY.and(Flags::FAST),
    summary: "Does nothing; for clients that read from Redis replicas.",
    runs: Runs::InShell(ShellCommand::Readwrite),
    ..BASE
};
