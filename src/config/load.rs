//! From the command line and files to a configuration. Reads nothing itself: the caller passes a reader.

use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use super::error::{ConfigError, Place, Problem, Source, Warning, nearest};
use super::kinds::Directory;
use super::reference;
use super::retired;
use super::words::quote;
use super::{Config, Parameter};
use crate::resp::split_quoted;

/// How deep files may include files.
const MAX_INCLUDE_DEPTH: usize = 16;

/// How many files may be included in all; else sixteen files that include each other twice would take for
/// ever.
const MAX_INCLUDED_FILES: usize = 1000;

/// Most characters of a line that an error shows.
const MAX_LINE_SHOWN: usize = 200;

/// Below this `maxmemory` there is a warning (operations.md 1.2).
const LITTLE_MEMORY: u64 = 1 << 20;

/// Reads all of a file, or of the standard input. [`read_source`](super::read_source) is the real one.
pub type ReadSource<'a> = dyn FnMut(&Source) -> io::Result<Vec<u8>> + 'a;

/// What the command line asks for.
#[derive(Debug)]
pub enum StartAction {
    /// Run with this configuration.
    Run(Box<Loaded>),
    /// Print this text to the standard output and exit with 0.
    Print(String),
}

/// A configuration and what goes with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loaded {
    /// The parameters. `dir` is absolute if the start directory was.
    pub config: Config,
    /// The main file, absolute; what INFO shows and CONFIG REWRITE writes. `None` without a file, and for
    /// `-`.
    pub file: Option<PathBuf>,
    /// What to log, once.
    pub warnings: Vec<Warning>,
    /// Commands to rename, in order. Whether they exist is for those to check who know the commands.
    pub renamed_commands: Vec<RenamedCommand>,
}

/// One `rename-command`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RenamedCommand {
    /// The name until now, as it was written.
    pub from: Vec<u8>,
    /// The name from now on; empty to remove the command.
    pub to: Vec<u8>,
    /// Where it was asked for.
    pub place: Place,
}

impl RenamedCommand {
    /// The error to stop with if the command cannot be renamed.
    pub fn error(&self, problem: Problem) -> ConfigError {
        let words = [b"rename-command".to_vec(), quote(&self.from), quote(&self.to)];
        ConfigError::BadLine { place: self.place.clone(), text: shown(&words.join(&b' ')), problem }
    }
}

/// Reads the arguments of `disque-server`, without the program's name (operations.md 1.1).
///
/// The first argument is a file, or `-`, unless it begins with `--`; each `--name` begins a line that the
/// arguments after it continue; `--name=value` is one line by itself. These lines come after the file's, so
/// the command line wins. Relative paths of files start from `start_dir`, and so does a relative `dir`.
pub fn load(
    args: impl IntoIterator<Item = OsString>,
    start_dir: &Path,
    read: &mut ReadSource<'_>,
) -> Result<StartAction, ConfigError> {
    let args: Vec<Vec<u8>> = args.into_iter().map(OsString::into_vec).collect();
    match args.first().map(Vec::as_slice) {
        Some(b"-v" | b"--version") => return Ok(StartAction::Print(reference::version())),
        Some(b"-h" | b"--help") => return Ok(StartAction::Print(reference::help())),
        _ => {}
    }
    let (file, options) = match args.split_first() {
        Some((first, options)) if !first.starts_with(b"--") => (Some(first), options),
        _ => (None, args.as_slice()),
    };
    let source = file.map(|name| match name.as_slice() {
        b"-" => Source::StandardInput,
        name => Source::File(start_dir.join(OsString::from_vec(name.to_vec()))),
    });
    let mut loader = Loader::new(start_dir, read);
    let mut lines_of_file = 0;
    if let Some(source) = &source {
        let text = loader.read_source(source, None)?;
        lines_of_file = text.iter().filter(|byte| **byte == b'\n').count();
        loader.text(source, &text, 0)?;
    }
    // The options begin on a line of their own below the last one of the file.
    for (index, line) in option_lines(options).iter().enumerate() {
        loader.line(Place { source: Source::CommandLine, line: lines_of_file + 2 + index }, line, 0)?;
    }
    if args.is_empty() {
        loader.loaded.warnings.push(Warning::NoConfigFile);
    }
    loader.loaded.file = source.and_then(|source| match source {
        Source::File(path) => Some(path),
        Source::StandardInput | Source::CommandLine => None,
    });
    loader.finish().map(|loaded| StartAction::Run(Box::new(loaded)))
}

/// The lines that command line options stand for.
fn option_lines(options: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let mut lines: Vec<Vec<u8>> = Vec::new();
    for option in options {
        match (option.strip_prefix(b"--"), lines.last_mut()) {
            (Some(directive), _) => lines.push(option_line(directive)),
            (None, Some(line)) => {
                line.push(b' ');
                line.extend(quote(option));
            }
            (None, None) => lines.push(quote(option)),
        }
    }
    lines
}

/// Turns `name=value` into a line; leaves everything else, `name` or `name value`, as it is.
fn option_line(directive: &[u8]) -> Vec<u8> {
    let name_end = directive.iter().position(|byte| !byte.is_ascii_alphanumeric() && *byte != b'-');
    match name_end.map(|end| directive.split_at(end)) {
        Some((name, [b'=', value @ ..])) if !name.is_empty() => [name, b" ", &quote(value)].concat(),
        _ => directive.to_vec(),
    }
}

/// Takes lines one after the other.
struct Loader<'a, 'r> {
    loaded: Loaded,
    included_files: usize,
    read: &'a mut ReadSource<'r>,
}

impl<'a, 'r> Loader<'a, 'r> {
    fn new(start_dir: &Path, read: &'a mut ReadSource<'r>) -> Loader<'a, 'r> {
        let config = Config { dir: Directory::new(start_dir), ..Config::default() };
        let loaded = Loaded { config, file: None, warnings: Vec::new(), renamed_commands: Vec::new() };
        Loader { loaded, included_files: 0, read }
    }

    fn read_source(&mut self, source: &Source, included_at: Option<&Place>) -> Result<Vec<u8>, ConfigError> {
        (self.read)(source).map_err(|error| ConfigError::Unreadable {
            source: source.clone(),
            included_at: included_at.cloned(),
            reason: error.to_string(),
        })
    }

    fn text(&mut self, source: &Source, text: &[u8], depth: usize) -> Result<(), ConfigError> {
        for (index, line) in text.split(|byte| *byte == b'\n').enumerate() {
            self.line(Place { source: source.clone(), line: index + 1 }, line, depth)?;
        }
        Ok(())
    }

    fn line(&mut self, place: Place, line: &[u8], depth: usize) -> Result<(), ConfigError> {
        let line = line.trim_ascii();
        if line.is_empty() || line.starts_with(b"#") {
            return Ok(());
        }
        let bad_line = |place: Place, problem| ConfigError::BadLine { place, text: shown(line), problem };
        let Ok(words) = split_quoted(line) else {
            return Err(bad_line(place, Problem::UnbalancedQuotes));
        };
        let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
        let (name, values) = words.split_first().expect("a line that is not blank has a word");
        match (name.to_ascii_lowercase().as_slice(), values) {
            (b"include", [path]) if !path.is_empty() => {
                if depth >= MAX_INCLUDE_DEPTH || self.included_files >= MAX_INCLUDED_FILES {
                    return Err(bad_line(place, Problem::TooManyIncludes));
                }
                self.include(&place, path, depth)
            }
            (b"include", _) => Err(bad_line(place, Problem::WrongWords(retired::INCLUDE_USAGE))),
            (b"rename-command", [from, to]) => {
                let (from, to) = (from.to_vec(), to.to_vec());
                self.loaded.renamed_commands.push(RenamedCommand { from, to, place });
                Ok(())
            }
            (b"rename-command", _) => Err(bad_line(place, Problem::WrongWords(retired::RENAME_USAGE))),
            _ => self.parameter(name, values, depth).map_err(|problem| bad_line(place, problem)),
        }
    }

    fn include(&mut self, place: &Place, path: &[u8], depth: usize) -> Result<(), ConfigError> {
        self.included_files += 1;
        // RC1 enters `dir` at once, so that a relative path starts from the one set above.
        let path = self.loaded.config.dir.path().join(OsString::from_vec(path.to_vec()));
        let source = Source::File(path);
        let text = self.read_source(&source, Some(place))?;
        self.text(&source, &text, depth + 1)
    }

    fn parameter(&mut self, name: &[u8], values: &[&[u8]], depth: usize) -> Result<(), Problem> {
        if let Some(parameter) = Parameter::named(name) {
            let config = &mut self.loaded.config;
            let bad_value = |error| Problem::BadValue { name: parameter.name(), error };
            config.assign(parameter, values).map_err(bad_value)?;
            if depth > 0 {
                config.set_by_includes.insert(parameter);
            }
            return Ok(());
        }
        if let Some(retired) = retired::named(name) {
            let warning = retired
                .accept(values)
                .map_err(|error| Problem::BadValue { name: retired.name, error })?
                .map(|reason| Warning::NoEffect { name: retired.name, reason });
            if let Some(warning) = warning
                && !self.loaded.warnings.contains(&warning)
            {
                self.loaded.warnings.push(warning);
            }
            return Ok(());
        }
        let names = Parameter::ALL.iter().map(|parameter| parameter.name());
        let nearest = nearest(name, names.chain(retired::DIRECTIVES.iter().copied()));
        Err(Problem::UnknownDirective { name: cut(name), nearest })
    }

    /// Checks what only the whole can tell.
    fn finish(self) -> Result<Loaded, ConfigError> {
        let mut loaded = self.loaded;
        let config = &loaded.config;
        if config.port == 0 && config.unixsocket.is_none() {
            return Err(ConfigError::ListensNowhere);
        }
        if (1..LITTLE_MEMORY).contains(&config.maxmemory.0) {
            loaded.warnings.push(Warning::LittleMemory { maxmemory: config.maxmemory.0 });
        }
        if config.hz != Config::default().hz {
            let (name, reason) = (Parameter::Hz.name(), "timers fire exactly when they are due");
            loaded.warnings.push(Warning::NoEffect { name, reason });
        }
        Ok(loaded)
    }
}

/// A line as an error shows it: cut if it is long, and without a password, even if its name is misspelt.
fn shown(line: &[u8]) -> String {
    let secret = Parameter::RequirePass.name();
    let mut words = line.split(|byte| byte.is_ascii_whitespace() || matches!(byte, b'"' | b'\'' | b'='));
    let name = words.find(|word| !word.is_empty()).unwrap_or_default();
    if nearest(name, std::iter::once(secret)).is_some() {
        return format!("{} (not shown)", String::from_utf8_lossy(name));
    }
    cut(line)
}

fn cut(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    if text.chars().count() <= MAX_LINE_SHOWN {
        return text.into_owned();
    }
    text.chars().take(MAX_LINE_SHOWN).chain("…".chars()).collect()
}
