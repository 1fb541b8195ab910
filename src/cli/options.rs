//! The command line.

use std::ffi::OsString;
use std::io::{self, Write};
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, ArgGroup, CommandFactory, Parser, ValueEnum};
use clap_complete::Shell;

use super::batch::Repeat;
use super::cluster::Action;
use super::format::{Colour, Format};
use super::live::{Manner, Mode};
use crate::client::connection::{Address, DEFAULT_PORT};
use crate::client::session::{Credentials, Protocol, Target};
use crate::client::url::ServerUrl;

/// How long `--pipe` waits for the last replies, unless said otherwise.
const PIPE_PATIENCE: Duration = Duration::from_secs(30);
/// Looks at a whole cluster are no more frequent than this.
const SHORTEST_LOOK: Duration = Duration::from_millis(50);

const AFTER_HELP: &str = "\
Without a command, disque reads commands: at a prompt if standard input is a terminal, else one per line.

In JSON, a string that is not UTF-8 is {\"base64\": \"...\"} and an error is {\"error\": \"...\"}.

Exit code: 0 success, 1 the server refused a command, 2 wrong usage, 3 no connection.

Environment: DISQUE_PASSWORD (as --password, but not visible to other users), DISQUE_HISTORY (file of the
prompt's history instead of ~/.disque_history; empty for none), NO_COLOR, FAKETTY (terminal form into pipes).";

/// The client of a disque server: sends commands, shows replies.
#[derive(Debug, Parser)]
#[command(name = "disque", version, after_help = AFTER_HELP, disable_help_flag = true, disable_version_flag = true)]
#[command(override_usage = "disque [OPTIONS] [COMMAND [ARG]...]")]
#[command(group = ArgGroup::new("form").args(["raw", "no_raw", "csv", "json"]))]
#[command(group = ArgGroup::new("mode").args(["stat", "top", "latency", "watch", "monitor", "pipe"]).conflicts_with_all(["command", "last_from_stdin", "cluster"]))]
#[command(group = ArgGroup::new("repeats").args(["command", "stat", "latency", "watch"]).multiple(true))]
#[command(group = ArgGroup::new("pauses").args(["repeat", "stat", "top", "latency", "watch"]).multiple(true))]
pub(super) struct Options {
    /// Server to connect to [default: 127.0.0.1]
    #[arg(short = 'h', long, value_name = "HOST")]
    host: Option<String>,

    /// Its port [default: 7711]
    #[arg(short, long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    port: Option<u16>,

    /// Unix socket to connect to instead
    #[arg(short, long, value_name = "PATH", conflicts_with_all = ["host", "port", "timeout"])]
    socket: Option<PathBuf>,

    /// Server as disque://[user:password@]host[:port]
    #[arg(short, long, value_name = "URL", conflicts_with_all = ["host", "port", "socket"])]
    url: Option<ServerUrl>,

    /// Password; see DISQUE_PASSWORD below
    #[arg(short = 'a', long, value_name = "PASSWORD", allow_hyphen_values = true)]
    password: Option<OsString>,

    /// User that the password belongs to
    #[arg(long, value_name = "NAME")]
    user: Option<OsString>,

    /// Give up connecting after so many seconds
    #[arg(short, long, value_name = "SECONDS", value_parser = positive_seconds)]
    timeout: Option<Duration>,

    /// Send the command, or look, N times; -1 without end
    #[arg(short, value_name = "N", allow_hyphen_values = true, requires = "repeats")]
    #[arg(value_parser = clap::value_parser!(i64).range(-1..))]
    repeat: Option<i64>,

    /// Wait so many seconds between repetitions [default: 0; between looks 1]
    #[arg(short = 'i', value_name = "SECONDS", value_parser = seconds, allow_negative_numbers = true, requires = "pauses")]
    interval: Option<Duration>,

    /// Read the last argument from standard input
    #[arg(short = 'x', requires = "command")]
    pub(super) last_from_stdin: bool,

    /// Speak RESP2
    #[arg(short = '2', conflicts_with = "resp3")]
    resp2: bool,

    /// Insist on RESP3, which is tried first anyway
    #[arg(short = '3')]
    resp3: bool,

    /// Print bare values (default unless standard output is a terminal)
    #[arg(long)]
    raw: bool,

    /// Print types and quotes, as on a terminal
    #[arg(long)]
    no_raw: bool,

    /// Print each reply as a line of CSV
    #[arg(long)]
    csv: bool,

    /// Print each reply as a line of JSON
    #[arg(long)]
    pub(super) json: bool,

    /// Print bare values with this between the elements of an array [default: a newline]
    #[arg(short, value_name = "DELIM", allow_hyphen_values = true, conflicts_with_all = ["no_raw", "csv", "json"])]
    delimiter: Option<OsString>,

    /// Work on a cluster: ACTION takes the words that follow
    #[arg(long, value_name = "ACTION", value_enum, conflicts_with_all = ["raw", "no_raw", "csv", "delimiter", "repeat", "last_from_stdin"])]
    pub(super) cluster: Option<Action>,

    /// Give up waiting for the nodes after so many seconds [default: 60; drain and remove wait for jobs without end]
    #[arg(long, value_name = "SECONDS", value_parser = positive_seconds, requires = "cluster")]
    pub(super) wait: Option<Duration>,

    /// Show rates of all nodes and queues again and again
    #[arg(long, conflicts_with_all = ["raw", "no_raw", "csv", "delimiter"])]
    stat: bool,

    /// Show all nodes and queues on the whole screen, with sorting and a filter
    #[arg(long, conflicts_with_all = ["form", "delimiter", "repeat"])]
    top: bool,

    /// Show a queue on all nodes again and again
    #[arg(long, value_name = "QUEUE", conflicts_with_all = ["raw", "no_raw", "csv", "delimiter"])]
    watch: Option<OsString>,

    /// Measure how long PING takes, until Ctrl-C or for -r reports
    #[arg(long, conflicts_with_all = ["raw", "no_raw", "csv", "delimiter"])]
    latency: bool,

    /// Show what all clients do, across losses of the connection
    #[arg(long, conflicts_with_all = ["form", "delimiter", "repeat"])]
    monitor: bool,

    /// Send standard input as it is, lines or protocol, and count the replies: for many commands
    #[arg(long, conflicts_with_all = ["form", "delimiter", "repeat"])]
    pipe: bool,

    /// Give up waiting for the last replies of --pipe after so many seconds; 0 never does [default: 30]
    #[arg(long, value_name = "SECONDS", value_parser = seconds, requires = "pipe", conflicts_with = "command")]
    pipe_timeout: Option<Duration>,

    /// Print the man page, or completions for a shell
    #[arg(long, value_name = "WHAT", value_enum, exclusive = true)]
    pub(super) generate: Option<Document>,

    /// Print this help (also -h as the last argument)
    #[arg(long, action = ArgAction::Help)]
    help: Option<bool>,

    /// Print the version
    #[arg(short, long, action = ArgAction::Version)]
    version: Option<bool>,

    /// Command with its arguments
    #[arg(value_name = "COMMAND", trailing_var_arg = true, hide = true)]
    pub(super) command: Vec<OsString>,
}

impl Options {
    /// Where and how to connect; `env_password` counts if neither an option nor the URL has a password.
    pub(super) fn target(&self, env_password: Option<OsString>) -> Result<Target, &'static str> {
        let (address, of_url) = match (&self.socket, &self.url) {
            (Some(path), _) => (Address::Unix(path.clone()), None),
            (None, Some(url)) => (url.address.clone(), url.credentials.clone()),
            (None, None) => {
                let host = self.host.clone().unwrap_or_else(|| "127.0.0.1".to_string());
                (Address::Tcp { host, port: self.port.unwrap_or(DEFAULT_PORT) }, None)
            }
        };
        let (url_user, url_password) =
            of_url.map_or((None, None), |of_url| (of_url.user, Some(of_url.password)));
        let user = self.user.clone().map(OsString::into_vec).or(url_user);
        let option = self.password.clone().map(OsString::into_vec);
        let password = option.or(url_password).or(env_password.map(OsString::into_vec));
        let credentials = match (user, password) {
            (user, Some(password)) => Some(Credentials { user, password }),
            (None, None) => None,
            (Some(_), None) => return Err("--user needs a password: -a PASSWORD, or DISQUE_PASSWORD"),
        };
        let protocol = match (self.resp2, self.resp3) {
            (true, _) => Protocol::Resp2,
            (_, true) => Protocol::Resp3,
            _ => Protocol::Best,
        };
        Ok(Target { address, credentials, protocol, timeout: self.timeout })
    }

    /// Whether the server to connect to was chosen, not left to the default.
    pub(super) fn names_server(&self) -> bool {
        self.host.is_some() || self.port.is_some() || self.socket.is_some() || self.url.is_some()
    }

    /// The output format, if one was asked for.
    pub(super) fn format(&self) -> Option<Format> {
        let delimiter = || self.delimiter.clone().map_or_else(|| b"\n".to_vec(), OsString::into_vec);
        match self {
            Options { json: true, .. } => Some(Format::Json),
            Options { csv: true, .. } => Some(Format::Csv),
            Options { no_raw: true, .. } => Some(Format::Terminal(Colour::Off)),
            Options { raw: true, .. } | Options { delimiter: Some(_), .. } => {
                Some(Format::Raw { delimiter: delimiter() })
            }
            _ => None,
        }
    }

    /// What is to go on until it is stopped, if anything.
    pub(super) fn mode(&self) -> Option<Mode> {
        match self {
            Options { stat: true, .. } => Some(Mode::Stat),
            Options { top: true, .. } => Some(Mode::Top),
            Options { latency: true, .. } => Some(Mode::Latency),
            Options { monitor: true, .. } => Some(Mode::Monitor),
            Options { pipe: true, .. } => {
                let patience = self.pipe_timeout.unwrap_or(PIPE_PATIENCE);
                Some(Mode::Pipe { patience: Some(patience).filter(|patience| !patience.is_zero()) })
            }
            Options { watch: Some(queue), .. } => Some(Mode::Watch(queue.clone().into_vec())),
            _ => None,
        }
    }

    /// How often a mode looks, and in which form it prints.
    pub(super) fn manner(&self) -> Manner {
        let times = self.repeat.and_then(|times| u64::try_from(times).ok());
        let interval = self.interval.map(|interval| interval.max(SHORTEST_LOOK));
        Manner { times, interval, json: self.json }
    }

    /// How often to send the command.
    pub(super) fn repeat(&self) -> Repeat {
        let times = match self.repeat {
            None => Some(1),
            Some(times) => u64::try_from(times).ok(),
        };
        Repeat { times, pause: self.interval.unwrap_or_default() }
    }
}

/// What can be made from the options.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Document {
    Man,
    Bash,
    Zsh,
    Fish,
    Elvish,
    Powershell,
}

/// Prints a document on standard output.
pub(super) fn generate(document: Document) -> io::Result<()> {
    let mut text = Vec::new();
    let mut complete = |shell: Shell| {
        clap_complete::generate(shell, &mut Options::command(), "disque", &mut text);
    };
    match document {
        Document::Man => clap_mangen::Man::new(Options::command()).render(&mut text)?,
        Document::Bash => complete(Shell::Bash),
        Document::Zsh => complete(Shell::Zsh),
        Document::Fish => complete(Shell::Fish),
        Document::Elvish => complete(Shell::Elvish),
        Document::Powershell => complete(Shell::PowerShell),
    }
    io::stdout().write_all(&text)
}

/// Prints the help text on standard output.
pub(super) fn print_help() -> io::Result<()> {
    Options::command().print_help()
}

fn seconds(text: &str) -> Result<Duration, String> {
    let number = text.parse::<f64>().map_err(|_| "not a number of seconds".to_string())?;
    Duration::try_from_secs_f64(number).map_err(|_| "not a number of seconds that can be waited".to_string())
}

fn positive_seconds(text: &str) -> Result<Duration, String> {
    match seconds(text)? {
        Duration::ZERO => Err("must be more than 0 seconds".to_string()),
        duration => Ok(duration),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Options {
        Options::try_parse_from(line.split(' ')).expect(line)
    }

    fn refused(line: &str) -> bool {
        Options::try_parse_from(line.split(' ')).is_err()
    }

    #[test]
    fn definition_is_consistent() {
        Options::command().debug_assert();
    }

    #[test]
    fn everything_after_the_command_belongs_to_it() {
        let options = parsed("disque -p 1 ADDJOB q -x -h --json -r");
        assert_eq!(options.command, ["ADDJOB", "q", "-x", "-h", "--json", "-r"]);
        assert!(!options.json && !options.last_from_stdin && options.repeat.is_none());
    }

    #[test]
    fn address_comes_from_options_or_url_not_both() {
        let tcp = |host: &str, port| Address::Tcp { host: host.to_string(), port };
        let address = |line: &str| parsed(line).target(None).expect(line).address;
        assert_eq!(address("disque"), tcp("127.0.0.1", 7711));
        assert_eq!(address("disque -h a -p 1 PING"), tcp("a", 1));
        assert_eq!(address("disque -u disque://b:2"), tcp("b", 2));
        assert_eq!(address("disque -s /tmp/s"), Address::Unix("/tmp/s".into()));
        assert!(refused("disque -u disque://b -p 1"));
        assert!(refused("disque -s /tmp/s -h a"));
        assert!(refused("disque -p 0"));
    }

    #[test]
    fn password_of_an_option_wins_over_url_and_environment() {
        let password = |line: &str| {
            let target = parsed(line).target(Some("env".into())).expect(line);
            target.credentials.map(|credentials| credentials.password)
        };
        assert_eq!(password("disque"), Some(b"env".to_vec()));
        assert_eq!(password("disque -u disque://:url@h"), Some(b"url".to_vec()));
        assert_eq!(password("disque -u disque://:url@h -a opt"), Some(b"opt".to_vec()));
        assert!(parsed("disque --user u").target(None).is_err());
    }

    #[test]
    fn negative_repeat_is_without_end() {
        let repeat = |line: &str| parsed(line).repeat();
        assert_eq!(repeat("disque PING").times, Some(1));
        assert_eq!(repeat("disque -r 3 PING").times, Some(3));
        let endless = repeat("disque -r -1 -i 0.5 PING");
        assert_eq!(endless, Repeat { times: None, pause: Duration::from_millis(500) });
        assert!(refused("disque -r 3"), "nothing to repeat");
        assert!(refused("disque -i 1 PING"), "no repetition to pause in");
        assert!(refused("disque -r 2 -i -1 PING"));
    }

    #[test]
    fn modes_take_no_command_and_have_a_rhythm_of_their_own() {
        assert_eq!(parsed("disque --stat -i 2 -r 3").mode(), Some(Mode::Stat));
        let manner = parsed("disque --watch q -i 0 --json").manner();
        assert_eq!((manner.times, manner.interval, manner.json), (None, Some(SHORTEST_LOOK), true));
        assert_eq!(parsed("disque --watch q").mode(), Some(Mode::Watch(b"q".to_vec())));
        let pipe = |line: &str| parsed(line).mode();
        assert_eq!(pipe("disque --pipe"), Some(Mode::Pipe { patience: Some(PIPE_PATIENCE) }));
        assert_eq!(pipe("disque --pipe --pipe-timeout 0"), Some(Mode::Pipe { patience: None }));
        assert_eq!(parsed("disque PING").mode(), None);
        for line in [
            "disque --stat PING",
            "disque --stat --latency",
            "disque --stat --cluster info",
            "disque --stat --csv",
            "disque --pipe -r 2",
            "disque --monitor --json",
            "disque --pipe-timeout 3 PING",
            "disque --watch",
        ] {
            assert!(refused(line), "{line}");
        }
    }

    #[test]
    fn delimiter_means_raw_and_forms_exclude_each_other() {
        assert_eq!(parsed("disque -d ; PING").format(), Some(Format::Raw { delimiter: b";".to_vec() }));
        assert_eq!(parsed("disque PING").format(), None);
        assert!(refused("disque --csv --json PING"));
        assert!(refused("disque -d ; --json PING"));
        assert!(refused("disque -2 -3 PING"));
    }

    #[test]
    fn unknown_options_are_refused_not_sent() {
        assert!(refused("disque --bogus PING"));
        assert!(refused("disque -n 1 PING"));
    }
}
