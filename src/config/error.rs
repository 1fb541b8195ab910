//! What can be wrong with a configuration, told so that the operator can put it right.

use std::fmt;
use std::path::PathBuf;

use super::value::ValueError;

/// Where lines come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A file.
    File(PathBuf),
    /// The standard input, for the file name `-`.
    StandardInput,
    /// The options of the command line, which count as lines below those of the file.
    CommandLine,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::File(path) => write!(f, "'{}'", path.display()),
            Source::StandardInput => f.write_str("the standard input"),
            Source::CommandLine => f.write_str("the command line"),
        }
    }
}

/// One line of a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// What the line is part of.
    pub source: Source,
    /// Its number, from 1.
    pub line: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.source {
            Source::CommandLine => {
                write!(f, "Reading the command line, at line {} of file and options together", self.line)
            }
            source => write!(f, "Reading the configuration file, at line {} of {source}", self.line),
        }
    }
}

/// Why the server cannot start with a configuration. Several lines, for the standard error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfigError {
    /// A line is wrong.
    BadLine {
        /// Which.
        place: Place,
        /// The line, without a password, and cut if it is long.
        text: String,
        /// What is wrong.
        problem: Problem,
    },
    /// A file cannot be read.
    Unreadable {
        /// Which.
        source: Source,
        /// The line that includes it, if it is not the main file.
        included_at: Option<Place>,
        /// What the system says.
        reason: String,
    },
    /// There is neither a TCP port nor a Unix socket.
    ListensNowhere,
}

/// What is wrong with a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// Quotes that do not pair up.
    UnbalancedQuotes,
    /// A name that does not exist.
    UnknownDirective {
        /// The name.
        name: String,
        /// A name that exists and looks similar.
        nearest: Option<&'static str>,
    },
    /// A value that the parameter does not take.
    BadValue {
        /// The parameter.
        name: &'static str,
        /// What it takes.
        error: ValueError,
    },
    /// Another number of words than `include` and `rename-command` take; names what they take.
    WrongWords(&'static str),
    /// A file that is included by an included file, and so on, too often; or too many files in all.
    TooManyIncludes,
    /// `rename-command` of a command that does not exist. Found by those who know the commands.
    NoSuchCommand,
    /// `rename-command` to a name that is taken. Found by those who know the commands.
    CommandExists,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ConfigError::BadLine { place, text, problem } => {
                write!(f, "*** FATAL CONFIG FILE ERROR ***\n{place}\n>>> '{text}'\n{problem}")
            }
            ConfigError::Unreadable { source, included_at, reason } => {
                write!(f, "Fatal error, can't open config file {source}: {reason}")?;
                included_at.as_ref().map_or(Ok(()), |place| write!(f, "\n{place}, which includes it"))
            }
            ConfigError::ListensNowhere => f.write_str(
                "Configured to not listen anywhere, exiting.\n\
                 port is 0: set unixsocket, or a port from 1 to 55535",
            ),
        }
    }
}

impl std::error::Error for ConfigError {}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const BAD_DIRECTIVE: &str = "Bad directive or wrong number of arguments";
        match self {
            Problem::UnbalancedQuotes => f.write_str("Unbalanced quotes in configuration line"),
            Problem::UnknownDirective { name, nearest } => {
                write!(f, "{BAD_DIRECTIVE}: there is no '{name}'")?;
                nearest.map_or(Ok(()), |nearest| write!(f, "; did you mean '{nearest}'?"))
            }
            Problem::BadValue { name, error } => write!(f, "{name} {error}"),
            Problem::WrongWords(usage) => write!(f, "{BAD_DIRECTIVE}: write {usage}"),
            Problem::TooManyIncludes => {
                f.write_str("Too many files are included; does a file include itself?")
            }
            Problem::NoSuchCommand => f.write_str("No such command in rename-command"),
            Problem::CommandExists => f.write_str("Target command name already exists"),
        }
    }
}

/// What is odd about a configuration, but does not keep the server from starting. To be logged once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Warning {
    /// The server was started without a file and without options.
    NoConfigFile,
    /// A directive that is only accepted so that old files load.
    NoEffect {
        /// Its name.
        name: &'static str,
        /// Why it has none.
        reason: &'static str,
    },
    /// `maxmemory` is so low that hardly a job fits; probably its unit is missing.
    LittleMemory {
        /// Its value in bytes.
        maxmemory: u64,
    },
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Warning::NoConfigFile => f.write_str(
                "no config file given, using the defaults; to give one: disque-server /path/to/disque.conf",
            ),
            Warning::NoEffect { name, reason } => write!(f, "{name} has no effect: {reason}"),
            Warning::LittleMemory { maxmemory } => write!(
                f,
                "maxmemory is only {maxmemory} bytes, less than 1 MB; \
                 is its unit missing? Write 1gb for a gigabyte"
            ),
        }
    }
}

/// Why CONFIG SET refuses. `Display` is the text of the error reply, without its code `ERR`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SetError {
    /// No such parameter.
    Unsupported {
        /// The name, as it was sent.
        name: String,
    },
    /// A parameter that is only read when the server starts.
    NeedsRestart {
        /// The name, as it was sent.
        name: String,
    },
    /// Not a value of the parameter.
    Invalid {
        /// The name, as it was sent.
        name: String,
        /// The value, as it was sent.
        value: String,
    },
    /// A meaningful value that this version does not serve.
    Unavailable {
        /// The name, as it was sent.
        name: String,
        /// The value, as it was sent.
        value: String,
        /// What to do instead.
        remedy: &'static str,
    },
    /// `appendonly` cannot be turned on. Found by those who apply the change.
    AppendOnly,
    /// `dir` cannot be entered. Found by those who apply the change.
    ChangingDirectory {
        /// What the system says.
        reason: String,
    },
    /// The system does not grant descriptors for so many clients. Found by those who apply the change.
    TooManyClients {
        /// How many are possible.
        possible: u32,
    },
}

impl fmt::Display for SetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SetError::Unsupported { name } => write!(f, "Unsupported CONFIG parameter: {name}"),
            SetError::NeedsRestart { name } => write!(
                f,
                "Unsupported CONFIG parameter: {name} (it cannot change at run time: \
                 change it in the config file or on the command line and restart)"
            ),
            SetError::Invalid { name, value } => {
                write!(f, "Invalid argument '{value}' for CONFIG SET '{name}'")
            }
            SetError::Unavailable { name, value, remedy } => {
                write!(f, "Invalid argument '{value}' for CONFIG SET '{name}': {remedy}")
            }
            SetError::AppendOnly => f.write_str("Unable to turn on AOF. Check server logs."),
            SetError::ChangingDirectory { reason } => write!(f, "Changing directory: {reason}"),
            SetError::TooManyClients { possible } => write!(
                f,
                "The operating system is not able to handle the specified number of clients, \
                 try with {possible}"
            ),
        }
    }
}

impl std::error::Error for SetError {}

/// The one of `names` that differs from `name` by at most two insertions, deletions or replacements.
pub(super) fn nearest(name: &[u8], names: impl Iterator<Item = &'static str>) -> Option<&'static str> {
    const MAX_DISTANCE: usize = 2;
    let distances = names.map(|candidate| (distance(name, candidate.as_bytes()), candidate));
    // A name that could be turned into any other by the changes allowed resembles none.
    let best = distances.filter(|(distance, _)| *distance <= MAX_DISTANCE && *distance < name.len()).min()?;
    Some(best.1)
}

/// How many insertions, deletions and replacements turn `a` into `b`, ignoring case.
fn distance(a: &[u8], b: &[u8]) -> usize {
    if a.len() > 2 * b.len() {
        return a.len() - b.len(); // Enough to be refused, and no time is spent on very long words.
    }
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(!x.eq_ignore_ascii_case(y));
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distance_counts_single_changes() {
        for (a, b, steps) in
            [("", "", 0), ("", "ab", 2), ("port", "PORT", 0), ("prot", "port", 2), ("kitten", "sitting", 3)]
        {
            assert_eq!(distance(a.as_bytes(), b.as_bytes()), steps, "{a} {b}");
        }
    }

    #[test]
    fn the_nearest_name_is_close_or_none() {
        let nearest = |name: &str| nearest(name.as_bytes(), ["port", "dir", "loglevel"].into_iter());
        assert_eq!(nearest("prt"), Some("port"));
        assert_eq!(nearest("log-level"), Some("loglevel"));
        assert_eq!((nearest("lglvl"), nearest("save"), nearest("d"), nearest("")), (None, None, None, None));
        assert_eq!(nearest(&"x".repeat(1_000_000)), None);
    }
}
