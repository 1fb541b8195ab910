//! Commands for operators: INFO, CONFIG, CLIENT, SLOWLOG, LATENCY, MONITOR, DEBUG, COMMAND, TIME, SHUTDOWN,
//! BGREWRITEAOF. All run in the shell.

use super::spec::{ArgDoc, ArgType, Arity, CommandSpec, Flags, Group, Runs, ShellCommand};

const SUBCOMMAND: ArgDoc = ArgDoc::required("subcommand", ArgType::Text, "what to do");
const ARGUMENTS: ArgDoc =
    ArgDoc::required("argument", ArgType::Text, "what the subcommand needs").multiple().optional();

const BASE: CommandSpec = CommandSpec { group: Group::Server, ..CommandSpec::BASE };

pub(super) const INFO: CommandSpec = CommandSpec {
    name: "info",
    arity: Arity::AtLeast(1),
    flags: Flags::READONLY.and(Flags::LOADING),
    summary: "Reports the state of the server, section by section.",
    args: &[ArgDoc::required(
        "section",
        ArgType::Text,
        "one section, or all; all but commandstats if not given",
    )
    .optional()],
    runs: Runs::InShell(ShellCommand::Info),
    ..BASE
};

pub(super) const SHUTDOWN: CommandSpec = CommandSpec {
    name: "shutdown",
    arity: Arity::AtLeast(1),
    flags: Flags::READONLY.and(Flags::ADMIN).and(Flags::LOADING).and(Flags::NO_MULTI),
    summary: "Ends the server in good order.",
    complexity: "O(1); with REWRITE-AOF O(N), N the jobs of this node",
    args: &[
        ArgDoc {
            token: Some("REWRITE-AOF"),
            ..ArgDoc::required("rewrite-aof", ArgType::Flag, "write a fresh append-only file first")
        }
        .optional(),
        ArgDoc {
            token: Some("NOSAVE"),
            ..ArgDoc::required("nosave", ArgType::Flag, "do not wait for the disk")
        }
        .optional(),
    ],
    runs: Runs::InShell(ShellCommand::Shutdown),
    ..BASE
};

pub(super) const MONITOR: CommandSpec = CommandSpec {
    name: "monitor",
    arity: Arity::Exactly(1),
    flags: Flags::READONLY.and(Flags::ADMIN).and(Flags::NO_MULTI),
    summary: "Shows every command that any client runs from now on.",
    runs: Runs::InShell(ShellCommand::Monitor),
    ..BASE
};

pub(super) const DEBUG: CommandSpec = CommandSpec {
    name: "debug",
    arity: Arity::AtLeast(2),
    flags: Flags::ADMIN,
    summary: "Helps tests: FLUSHALL deletes all jobs and queues of this node; others sleep, reload, restart.",
    complexity: "O(N) for FLUSHALL and LOADAOF, N the jobs of this node",
    args: &[SUBCOMMAND, ARGUMENTS],
    runs: Runs::InShell(ShellCommand::Debug),
    ..BASE
};

pub(super) const CONFIG: CommandSpec = CommandSpec {
    name: "config",
    arity: Arity::AtLeast(2),
    flags: Flags::READONLY.and(Flags::ADMIN),
    summary: "Reads and changes the configuration: GET, SET, RESETSTAT, REWRITE.",
    complexity: "O(N), N the configuration parameters",
    args: &[SUBCOMMAND, ARGUMENTS],
    runs: Runs::InShell(ShellCommand::Config),
    ..BASE
};

pub(super) const CLIENT: CommandSpec = CommandSpec {
    name: "client",
    arity: Arity::AtLeast(2),
    flags: Flags::READONLY.and(Flags::ADMIN).and(Flags::WHILE_LOADING),
    summary: "Looks at connections and manages them: LIST, INFO, ID, KILL, PAUSE, GETNAME, SETNAME and others.",
    complexity: "O(N) for LIST and KILL, N the connections",
    args: &[SUBCOMMAND, ARGUMENTS],
    runs: Runs::InShell(ShellCommand::Client),
    ..BASE
};

pub(super) const SLOWLOG: CommandSpec = CommandSpec {
    name: "slowlog",
    arity: Arity::AtLeast(2),
    flags: Flags::READONLY,
    summary: "Shows the commands that took longest to run: GET, LEN, RESET.",
    complexity: "O(N), N the entries returned",
    args: &[SUBCOMMAND, ARGUMENTS],
    runs: Runs::InShell(ShellCommand::Slowlog),
    ..BASE
};

pub(super) const TIME: CommandSpec = CommandSpec {
    name: "time",
    arity: Arity::Exactly(1),
    flags: Flags::READONLY.and(Flags::FAST),
    summary: "Tells the server's clock in seconds and microseconds.",
    runs: Runs::InShell(ShellCommand::Time),
    ..BASE
};

pub(super) const COMMAND: CommandSpec = CommandSpec {
    name: "command",
    arity: Arity::Any,
    flags: Flags::READONLY.and(Flags::LOADING),
    summary: "Describes the commands of this server: nothing, COUNT, INFO, LIST or DOCS.",
    complexity: "O(N), N the commands described",
    args: &[
        SUBCOMMAND.optional(),
        ArgDoc::required("name", ArgType::Text, "a command").multiple().optional(),
    ],
    runs: Runs::InShell(ShellCommand::Command),
    ..BASE
};

pub(super) const LATENCY: CommandSpec = CommandSpec {
    name: "latency",
    arity: Arity::AtLeast(2),
    flags: Flags::READONLY.and(Flags::ADMIN).and(Flags::LOADING),
    summary: "Shows when the server was slow and at what: LATEST, HISTORY, GRAPH, DOCTOR, RESET.",
    args: &[SUBCOMMAND, ARGUMENTS],
    runs: Runs::InShell(ShellCommand::Latency),
    ..BASE
};

pub(super) const BGREWRITEAOF: CommandSpec = CommandSpec {
    name: "bgrewriteaof",
    arity: Arity::Exactly(1),
    flags: Flags::READONLY.and(Flags::ADMIN),
    summary: "Writes a fresh, shorter append-only file in the background.",
    complexity: "O(1); the work in the background O(N), N the jobs of this node",
    runs: Runs::InShell(ShellCommand::Bgrewriteaof),
    ..BASE
};
