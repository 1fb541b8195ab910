//! What a row of the command table says.

use super::CommandError;
use crate::engine::Request;
use crate::types::Args;

/// The release in which a command first appeared, unless its row says otherwise.
pub(super) const FIRST_RELEASE: &str = "0.1.0";

/// One command.
#[derive(Clone, Copy, Debug)]
pub struct CommandSpec {
    /// Its built-in name, lower case.
    pub name: &'static str,
    /// How many arguments it takes.
    pub arity: Arity,
    /// What dispatch must know about it.
    pub flags: Flags,
    /// The chapter of the documentation in which it stands.
    pub group: Group,
    /// The first release that has it.
    pub since: &'static str,
    /// What it does, in one sentence.
    pub summary: &'static str,
    /// How its cost grows.
    pub complexity: &'static str,
    /// The arguments that have their place, before the options.
    pub args: &'static [ArgDoc],
    /// The options, as the parser knows them.
    pub options: &'static [ArgDoc],
    /// Where and how it runs.
    pub runs: Runs,
    /// The row that takes over as soon as there is any argument: HELLO is two commands with one name.
    pub with_arguments: Option<&'static CommandSpec>,
    /// Its place in [`COMMANDS`](super::COMMANDS), for whoever keeps something per command.
    pub index: u8,
}

impl CommandSpec {
    /// What most rows have in common; a base for struct updates.
    pub(super) const BASE: CommandSpec = CommandSpec {
        name: "",
        arity: Arity::Any,
        flags: Flags::NONE,
        group: Group::Server,
        since: FIRST_RELEASE,
        summary: "",
        complexity: "O(1)",
        args: &[],
        options: &[],
        runs: Runs::InShell(ShellCommand::Ping),
        with_arguments: None,
        index: 0,
    };

    /// All arguments in the order in which they are documented.
    pub fn arguments(&self) -> impl Iterator<Item = &'static ArgDoc> + use<> {
        self.args.iter().chain(self.options)
    }

    /// Whether it runs before the client has given the password.
    pub const fn is_allowed_without_auth(&self) -> bool {
        self.flags.has(Flags::NO_AUTH)
    }

    /// Whether it is ADDJOB, of which a client may have several under way.
    pub fn adds_a_job(&self) -> bool {
        self.name == "ADDJOB"
    }

    /// Whether it runs while the data is being loaded.
    pub const fn is_allowed_while_loading(&self) -> bool {
        self.flags.has(Flags::LOADING) || self.flags.has(Flags::WHILE_LOADING)
    }

    /// Whether it is refused after the append-only file could not be written (commands.md 3, step 6).
    pub const fn needs_working_aof(&self) -> bool {
        self.flags.has(Flags::WRITE) || self.flags.has(Flags::NEEDS_AOF)
    }
}

/// How many arguments a command takes, its name included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arity {
    /// So many.
    Exactly(u8),
    /// So many or more.
    AtLeast(u8),
    /// Any number.
    Any,
}

impl Arity {
    /// The number that COMMAND shows: negative for "at least", zero for "any".
    pub const fn number(self) -> i64 {
        match self {
            Arity::Exactly(n) => n as i64,
            Arity::AtLeast(n) => -(n as i64),
            Arity::Any => 0,
        }
    }

    /// Whether so many arguments will do.
    pub const fn admits(self, len: usize) -> bool {
        match self {
            Arity::Exactly(n) => len == n as usize,
            Arity::AtLeast(n) => len >= n as usize,
            Arity::Any => true,
        }
    }
}

/// What dispatch must know about a command.
///
/// The first six are shown by COMMAND, in this order, exactly as the reference server shows them
/// (commands.md 3.1). The others are ours and are not shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flags(u16);

impl Flags {
    /// Nothing to know.
    pub const NONE: Flags = Flags(0);
    /// Changes jobs; refused after the append-only file could not be written.
    pub const WRITE: Flags = Flags(1);
    /// Changes no job.
    pub const READONLY: Flags = Flags(1 << 1);
    /// Refused when out of memory.
    pub const DENYOOM: Flags = Flags(1 << 2);
    /// For operators.
    pub const ADMIN: Flags = Flags(1 << 3);
    /// Runs while the data is being loaded.
    pub const LOADING: Flags = Flags(1 << 4);
    /// Counted as `fast-command` by the latency monitor.
    pub const FAST: Flags = Flags(1 << 5);
    /// Runs before the password is given.
    pub const NO_AUTH: Flags = Flags(1 << 6);
    /// Runs while the data is being loaded, which the reference server does not say and so COMMAND neither.
    pub const WHILE_LOADING: Flags = Flags(1 << 7);
    /// Refused like a write after the append-only file could not be written, so that health checks see it.
    pub const NEEDS_AOF: Flags = Flags(1 << 8);
    /// Runs at once inside MULTI instead of being queued.
    pub const AT_ONCE: Flags = Flags(1 << 9);
    /// Refused inside MULTI.
    pub const NO_MULTI: Flags = Flags(1 << 10);
    /// May wait for something before it answers.
    pub const BLOCKING: Flags = Flags(1 << 11);
    /// Its arguments hold a password: neither MONITOR nor SLOWLOG shows them.
    pub const SECRET: Flags = Flags(1 << 12);

    const WORDS: [(Flags, &'static str); 6] = [
        (Flags::WRITE, "write"),
        (Flags::READONLY, "readonly"),
        (Flags::DENYOOM, "denyoom"),
        (Flags::ADMIN, "admin"),
        (Flags::LOADING, "loading"),
        (Flags::FAST, "fast"),
    ];

    /// These and those.
    pub const fn and(self, other: Flags) -> Flags {
        Flags(self.0 | other.0)
    }

    /// Whether all of `flags` are set.
    pub const fn has(self, flags: Flags) -> bool {
        self.0 & flags.0 == flags.0
    }

    /// The words that COMMAND shows.
    pub fn words(self) -> impl Iterator<Item = &'static str> {
        Flags::WORDS.into_iter().filter(move |(flag, _)| self.has(*flag)).map(|(_, word)| word)
    }
}

/// A chapter of the documentation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// Adding and inspecting jobs, and saying what became of them.
    Jobs,
    /// Fetching jobs, and queues as such.
    Queues,
    /// The nodes.
    Cluster,
    /// For operators.
    Server,
    /// About the connection itself.
    Connection,
    /// Several commands as one.
    Transactions,
}

impl Group {
    /// All, in the order of README.md.
    pub const ALL: [Group; 6] =
        [Group::Jobs, Group::Queues, Group::Cluster, Group::Server, Group::Connection, Group::Transactions];

    /// The word of COMMAND DOCS.
    pub const fn word(self) -> &'static str {
        match self {
            Group::Jobs => "jobs",
            Group::Queues => "queues",
            Group::Cluster => "cluster",
            Group::Server => "server",
            Group::Connection => "connection",
            Group::Transactions => "transactions",
        }
    }

    /// The title of the chapter.
    pub const fn title(self) -> &'static str {
        match self {
            Group::Jobs => "Jobs",
            Group::Queues => "Queues",
            Group::Cluster => "Cluster",
            Group::Server => "Server",
            Group::Connection => "Connection",
            Group::Transactions => "Transactions",
        }
    }
}

/// The documentation of one argument or option.
#[derive(Clone, Copy, Debug)]
pub struct ArgDoc {
    /// What the value is called.
    pub name: &'static str,
    /// What kind of value it is.
    pub kind: ArgType,
    /// The word before the value, if there is one; for [`ArgType::Flag`] the word is all there is.
    pub token: Option<&'static str>,
    /// Whether it may be left out.
    pub optional: bool,
    /// Whether it may be repeated.
    pub repeats: Repeats,
    /// What it says, without a full stop.
    pub summary: &'static str,
}

impl ArgDoc {
    /// An argument that must be there.
    pub(super) const fn required(name: &'static str, kind: ArgType, summary: &'static str) -> ArgDoc {
        ArgDoc { name, kind, token: None, optional: false, repeats: Repeats::Never, summary }
    }

    /// The same argument, but it may be left out.
    pub(super) const fn optional(self) -> ArgDoc {
        ArgDoc { optional: true, ..self }
    }

    /// The same argument, but there may be several.
    pub(super) const fn multiple(self) -> ArgDoc {
        ArgDoc { repeats: Repeats::Value, ..self }
    }

    /// How the argument is written in a line of help: `[REPLICATE copies]`, `FROM queue [queue ...]`.
    pub fn syntax(&self) -> String {
        let word = match (self.token, self.kind) {
            (Some(token), ArgType::Flag) => token.to_owned(),
            (Some(token), _) => format!("{token} {}", self.name),
            (None, _) => self.name.to_owned(),
        };
        let words = match self.repeats {
            Repeats::Never => word,
            Repeats::Value => format!("{word} [{} ...]", self.name),
            Repeats::TokenAndValue => format!("{word} [{word} ...]"),
        };
        if self.optional { format!("[{words}]") } else { words }
    }
}

/// What kind of value an argument is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArgType {
    /// Any bytes, or one of some words.
    Text,
    /// An integer.
    Integer,
    /// Seconds, or a number with a unit.
    Duration,
    /// A word that says all.
    Flag,
}

impl ArgType {
    /// The word of COMMAND DOCS.
    pub const fn word(self) -> &'static str {
        match self {
            // Redis clients know no durations.
            ArgType::Text | ArgType::Duration => "string",
            ArgType::Integer => "integer",
            ArgType::Flag => "pure-token",
        }
    }
}

/// Whether an argument may be repeated with another value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repeats {
    /// It is there once; if an option is repeated, the last one counts.
    Never,
    /// The value may be repeated.
    Value,
    /// The value may be repeated together with its token.
    TokenAndValue,
}

/// Makes a request of the arguments, whose number has been checked.
pub type Parser = for<'a> fn(Args<'a>) -> Result<Request<'a>, CommandError>;

/// Where and how a command runs.
#[derive(Clone, Copy, Debug)]
pub enum Runs {
    /// In the engine, with the request that the parser makes.
    InEngine(Parser),
    /// In the shell, which looks at the arguments itself.
    InShell(ShellCommand),
}

/// The commands of the shell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShellCommand {
    /// AUTH.
    Auth,
    /// PING.
    Ping,
    /// ECHO.
    Echo,
    /// SELECT.
    Select,
    /// QUIT.
    Quit,
    /// RESET.
    Reset,
    /// HELLO with arguments; without them it runs in the engine.
    HelloHandshake,
    /// INFO.
    Info,
    /// CONFIG.
    Config,
    /// CLIENT.
    Client,
    /// SLOWLOG.
    Slowlog,
    /// LATENCY.
    Latency,
    /// MONITOR.
    Monitor,
    /// DEBUG; its FLUSHALL becomes [`Request::FlushAll`].
    Debug,
    /// COMMAND; answered by [`command_reply`](super::command_reply).
    Command,
    /// TIME.
    Time,
    /// SHUTDOWN.
    Shutdown,
    /// BGREWRITEAOF.
    Bgrewriteaof,
    /// MULTI.
    Multi,
    /// EXEC.
    Exec,
    /// DISCARD.
    Discard,
    /// WATCH.
    Watch,
    /// UNWATCH.
    Unwatch,
    /// READONLY.
    Readonly,
    /// READWRITE.
    Readwrite,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arity_counts_as_command_shows_it() {
        for (arity, number, admitted, refused) in [
            (Arity::Exactly(2), 2, vec![2], vec![1, 3]),
            (Arity::AtLeast(2), -2, vec![2, 3, 900], vec![0, 1]),
            (Arity::Any, 0, vec![0, 1, 900], vec![]),
        ] {
            assert_eq!(arity.number(), number);
            assert!(admitted.iter().all(|len| arity.admits(*len)), "{arity:?}");
            assert!(!refused.iter().any(|len| arity.admits(*len)), "{arity:?}");
        }
    }

    #[test]
    fn the_syntax_of_an_argument_shows_token_choice_and_repetition() {
        let id = ArgDoc::required("id", ArgType::Text, "");
        let with = |token, kind| ArgDoc { token: Some(token), kind, ..id };
        for (doc, syntax) in [
            (id, "id"),
            (id.optional(), "[id]"),
            (id.multiple(), "id [id ...]"),
            (id.multiple().optional(), "[id [id ...]]"),
            (with("FROM", ArgType::Text).multiple(), "FROM id [id ...]"),
            (with("ASYNC", ArgType::Flag).optional(), "[ASYNC]"),
            (
                ArgDoc { repeats: Repeats::TokenAndValue, ..with("STATE", ArgType::Text) }.optional(),
                "[STATE id [STATE id ...]]",
            ),
        ] {
            assert_eq!(doc.syntax(), syntax);
        }
    }
}
