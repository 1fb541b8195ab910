//! The command line. RC1's usage and its refusals come first: `[--fix] <file>`.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

/// What is to be done with which file.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Options {
    pub(super) action: Action,
    pub(super) file: PathBuf,
    pub(super) fix: bool,
    pub(super) json: bool,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Action {
    Verify,
    ToRc1 { output: PathBuf },
    FromRc1 { output: PathBuf },
    Help(String),
}

const HELP: &str = "\
disque-check-aof: verifies, repairs and converts append-only files.

  disque-check-aof [--fix] [--json] FILE    verify; say what is in it; with --fix repair, after a question
  disque-check-aof --to-rc1 OUT FILE        write what FILE holds as one file for Disque 1.0-rc1
  disque-check-aof --from-rc1 NAME FILE     write what RC1's FILE holds as files for this server

FILE is one file (disque.aof.3.log), or the name that appendfilename sets (disque.aof): then all files of
that name are read as the server would. NAME is such a name; the server must not be running on it.

Exit status: 0 all in order (after --fix: repaired), 1 damaged, incomplete or unreadable.";

/// Reads the arguments; an error is the text to print.
pub(super) fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Options, String> {
    let mut arguments = arguments.into_iter();
    let program = arguments.next().map(|name| PathBuf::from(name).display().to_string());
    let program = program.unwrap_or_else(|| "disque-check-aof".to_owned());
    let mut options = Options { action: Action::Verify, file: PathBuf::new(), fix: false, json: false };
    let mut files = Vec::new();
    let mut count = 0;
    while let Some(argument) = arguments.next() {
        count += 1;
        let mut output = || arguments.next().map(PathBuf::from).ok_or(usage(&program));
        match argument.to_str() {
            Some("--fix") => options.fix = true,
            Some("--json") => options.json = true,
            Some("--to-rc1") => options.action = Action::ToRc1 { output: output()? },
            Some("--from-rc1") => options.action = Action::FromRc1 { output: output()? },
            Some("--help" | "-h") => options.action = Action::Help(HELP.to_owned()),
            Some("--version" | "-V") => {
                options.action = Action::Help(format!("disque-check-aof {}", env!("CARGO_PKG_VERSION")));
            }
            Some(unknown) if unknown.starts_with("--") => return Err(format!("Invalid argument: {unknown}")),
            _ => files.push(PathBuf::from(argument)),
        }
    }
    if matches!(options.action, Action::Help(_)) {
        return Ok(options);
    }
    match <[PathBuf; 1]>::try_from(files) {
        Ok([file]) => options.file = file,
        Err(files) if count == 2 && files.len() == 2 => {
            return Err(format!("Invalid argument: {}", files[0].display()));
        }
        Err(files) if files.len() > 1 => return Err("Invalid arguments".to_owned()),
        Err(_) => return Err(usage(&program)),
    }
    if options.fix && options.action != Action::Verify {
        return Err("Invalid arguments".to_owned());
    }
    Ok(options)
}

fn usage(program: &str) -> String {
    format!("Usage: {program} [--fix] <file.aof>")
}

/// Whether the file is one of RC1: it is there under just this name, and does not begin as ours do.
pub(super) fn is_rc1(path: &Path) -> io::Result<bool> {
    let Ok(file) = File::open(path) else { return Ok(false) };
    let mut magic = Vec::new();
    file.take(5).read_to_end(&mut magic)?;
    Ok(magic != b"DQAOF" && !magic.iter().all(|byte| *byte == 0) || magic.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &str) -> Result<Options, String> {
        super::parse(words.split(' ').map(OsString::from))
    }

    #[test]
    fn what_rc1_refuses_is_refused_in_its_words() {
        for (words, text) in [
            ("check", "Usage: check [--fix] <file.aof>"),
            ("check --fix", "Usage: check [--fix] <file.aof>"),
            ("check a b", "Invalid argument: a"),
            ("check --fox a", "Invalid argument: --fox"),
            ("check --fix a b", "Invalid arguments"),
            ("check a b c", "Invalid arguments"),
        ] {
            assert_eq!(parse(words), Err(text.to_owned()), "{words}");
        }
    }

    #[test]
    fn options_stand_anywhere() {
        let verify = |fix, json| Options { action: Action::Verify, file: "f".into(), fix, json };
        assert_eq!(parse("check f"), Ok(verify(false, false)));
        assert_eq!(parse("check --fix f"), Ok(verify(true, false)));
        assert_eq!(parse("check f --json --fix"), Ok(verify(true, true)));
        let convert = parse("check f --to-rc1 out").expect("it is understood");
        assert_eq!(convert.action, Action::ToRc1 { output: "out".into() });
        assert!(matches!(parse("check --help").expect("it is understood").action, Action::Help(_)));
    }
}
