//! Which typed lines are remembered, and where.

use std::ffi::OsString;
use std::path::PathBuf;

/// How many lines the history keeps.
pub(super) const LINES_MAX: usize = 1000;

/// The history file: what `DISQUE_HISTORY` names, or `~/.disque_history`. `None` keeps nothing on disk.
pub(super) fn file(named: Option<OsString>, home: Option<OsString>) -> Option<PathBuf> {
    match named {
        Some(path) if path.is_empty() || path == "/dev/null" => None,
        Some(path) => Some(path.into()),
        None => home.filter(|home| !home.is_empty()).map(|home| PathBuf::from(home).join(".disque_history")),
    }
}

/// Whether the words hold a password, which must not end up in a file.
pub(super) fn is_secret(words: &[Vec<u8>]) -> bool {
    let lower: Vec<_> = words.iter().map(|word| word.to_ascii_lowercase()).collect();
    let has = |part: &[u8]| lower.iter().any(|word| word.windows(part.len()).any(|window| window == part));
    // A repeat count may stand before the command.
    let command = lower.iter().find(|word| !word.iter().all(u8::is_ascii_digit)).map(Vec::as_slice);
    match command {
        Some(b"auth") => true,
        Some(b"hello") => has(b"auth"),
        Some(b"config") => has(b"pass") || has(b"auth") || has(b"secret"),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resp::split_quoted;

    #[test]
    fn passwords_are_not_remembered() {
        let secret = |line: &str| is_secret(&split_quoted(line.as_bytes()).expect("balanced"));
        for line in ["auth x", "2 AUTH u p", "HELLO 3 Auth default x", "config set requirepass x"] {
            assert!(secret(line), "{line}");
        }
        assert!(secret("CONFIG SET maxmemory 1 cluster-secret x"));
        for line in ["hello 3", "addjob auth password 0", "config get maxmemory", "", "3"] {
            assert!(!secret(line), "{line}");
        }
    }

    #[test]
    fn environment_chooses_the_file_or_none() {
        let home = || Some(OsString::from("/home/u"));
        assert_eq!(file(None, home()), Some("/home/u/.disque_history".into()));
        assert_eq!(file(Some("/tmp/h".into()), home()), Some("/tmp/h".into()));
        assert_eq!(file(Some("".into()), home()), None);
        assert_eq!(file(None, None), None);
    }
}
