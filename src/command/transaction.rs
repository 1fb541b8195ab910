//! Several commands as one, as the default pipelines of Redis clients ask for: MULTI, EXEC, DISCARD, WATCH,
//! UNWATCH. All run in the shell.

use super::spec::{ArgDoc, ArgType, Arity, CommandSpec, Flags, Group, Runs, ShellCommand};

const BASE: CommandSpec = CommandSpec {
    arity: Arity::Exactly(1),
    flags: Flags::READONLY.and(Flags::FAST).and(Flags::AT_ONCE),
    group: Group::Transactions,
    ..CommandSpec::BASE
};

pub(super) const MULTI: CommandSpec = CommandSpec {
    name: "multi",
    summary: "Queues the commands that follow, to be run together by EXEC.",
    runs: Runs::InShell(ShellCommand::Multi),
    ..BASE
};

pub(super) const EXEC: CommandSpec = CommandSpec {
    name: "exec",
    flags: Flags::READONLY.and(Flags::AT_ONCE),
    summary: "Runs the commands queued since MULTI and returns all their replies.",
    complexity: "That of the commands",
    runs: Runs::InShell(ShellCommand::Exec),
    ..BASE
};

pub(super) const DISCARD: CommandSpec = CommandSpec {
    name: "discard",
    summary: "Forgets the commands queued since MULTI.",
    runs: Runs::InShell(ShellCommand::Discard),
    ..BASE
};

pub(super) const WATCH: CommandSpec = CommandSpec {
    name: "watch",
    arity: Arity::AtLeast(2),
    summary: "Does nothing, since nothing that can be watched ever changes.",
    args: &[ArgDoc::required("key", ArgType::Text, "ignored").multiple()],
    runs: Runs::InShell(ShellCommand::Watch),
    ..BASE
};

pub(super) const UNWATCH: CommandSpec = CommandSpec {
    name: "unwatch",
    flags: Flags::READONLY.and(Flags::FAST),
    summary: "Does nothing, since nothing is ever watched.",
    runs: Runs::InShell(ShellCommand::Unwatch),
    ..BASE
};
