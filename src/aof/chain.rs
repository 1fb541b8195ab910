//! Which files make up the log. There is no list of them: the directory is the list.
//!
//! With the name `disque.aof` configured, the files are
//!
//! | name                      | what                                                                        |
//! |---------------------------|-----------------------------------------------------------------------------|
//! | `disque.aof.N.base`       | what was known when log N began; whole, since it gets this name at its end   |
//! | `disque.aof.N.log`        | what happened since then; goes on in log N+1                                 |
//! | `disque.aof.N.base.tmp`   | a base that is being written                                                 |
//! | `disque.aof`              | a file of RC1, which stands for base 0; only a cut off end is ever removed   |
//! | `disque.aof.rc1`          | the same, once a base stands for what was in it; ours no more                 |
//!
//! The log is the base with the highest number and the logs from that number on, without a gap. Everything of a
//! lower number is left over from before that base was finished. So finishing a base is one rename, which is
//! atomic, and nothing besides the files themselves can be lost or disagree with them.

use std::fmt;

/// The files that make up the log, in the order of reading.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Chain {
    /// What the logs go on from.
    pub base: Option<Base>,
    /// The numbers of the logs, rising by one.
    pub logs: Vec<u64>,
    /// Files that are no longer needed, or never will be.
    pub leftovers: Vec<String>,
}

/// The file to begin with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Base {
    /// A base of ours.
    Framed(u64),
    /// A file of RC1.
    Rc1,
}

/// Files are missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MissingFile {
    /// The first that is missing.
    pub name: String,
    /// One that needs it.
    pub needed_by: String,
}

impl fmt::Display for MissingFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the file {} is missing, and {} goes on from it; restore both from the same copy",
            self.name, self.needed_by
        )
    }
}

impl std::error::Error for MissingFile {}

/// The names of the files of one log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names {
    prefix: String,
}

impl Names {
    /// `prefix` is the configured name, a plain file name.
    pub fn new(prefix: &str) -> Names {
        Names { prefix: prefix.to_owned() }
    }

    /// The base with this number.
    pub fn base(&self, number: u64) -> String {
        format!("{}.{number}.base", self.prefix)
    }

    /// That base while it is being written.
    pub fn unfinished_base(&self, number: u64) -> String {
        format!("{}.{number}.base.tmp", self.prefix)
    }

    /// The log with this number.
    pub fn log(&self, number: u64) -> String {
        format!("{}.{number}.log", self.prefix)
    }

    /// A file of RC1.
    pub fn rc1(&self) -> String {
        self.prefix.clone()
    }

    /// A file of RC1 that is no longer needed. Kept, since it is the way back.
    pub fn replaced_rc1(&self) -> String {
        format!("{}.rc1", self.prefix)
    }

    /// The file that whoever uses the others holds a lock on.
    pub fn lock(&self) -> String {
        format!("{}.lock", self.prefix)
    }

    /// Number and kind of a file.
    fn parse<'a>(&self, name: &'a str) -> Option<(u64, &'a str)> {
        let (number, kind) = name.strip_prefix(&self.prefix)?.strip_prefix('.')?.split_once('.')?;
        let canonical = !number.starts_with('0') && number.bytes().all(|digit| digit.is_ascii_digit());
        // There is always a next number.
        Some((number.parse().ok().filter(|number| canonical && *number < u64::MAX)?, kind))
    }

    /// The files that a directory with these names has.
    pub fn chain(&self, names: &[String]) -> Result<Chain, MissingFile> {
        let of_kind = |wanted: &str| {
            let parsed = names.iter().filter_map(|name| self.parse(name));
            let mut numbers: Vec<u64> =
                parsed.filter(|(_, kind)| *kind == wanted).map(|(number, _)| number).collect();
            numbers.sort_unstable();
            numbers
        };
        let (bases, logs) = (of_kind("base"), of_kind("log"));
        let newest = bases.last().copied();
        let first = newest.unwrap_or(1);
        let mut leftovers: Vec<String> =
            of_kind("base.tmp").into_iter().map(|n| self.unfinished_base(n)).collect();
        leftovers.extend(bases.iter().filter(|n| **n < first).map(|n| self.base(*n)));
        leftovers.extend(logs.iter().filter(|n| **n < first).map(|n| self.log(*n)));
        let logs: Vec<u64> = logs.into_iter().filter(|n| *n >= first).collect();
        for (expected, number) in (first..).zip(&logs) {
            if expected != *number {
                return Err(MissingFile { name: self.log(expected), needed_by: self.log(*number) });
            }
        }
        let base = match newest {
            Some(number) if logs.is_empty() => {
                return Err(MissingFile { name: self.log(number), needed_by: self.base(number) });
            }
            Some(number) => Some(Base::Framed(number)),
            None => names.contains(&self.rc1()).then_some(Base::Rc1),
        };
        Ok(Chain { base, logs, leftovers })
    }

    /// The files of a chain that are read, in order.
    pub fn files(&self, chain: &Chain) -> Vec<String> {
        let base = chain.base.map(|base| match base {
            Base::Framed(number) => self.base(number),
            Base::Rc1 => self.rc1(),
        });
        base.into_iter().chain(chain.logs.iter().map(|number| self.log(*number))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chain(names: &[&str]) -> Result<Chain, MissingFile> {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        Names::new("d.aof").chain(&names)
    }

    #[test]
    fn the_log_is_the_newest_base_and_what_follows_it() {
        let found = chain(&["d.aof.2.log", "x", "d.aof.3.log", "d.aof.2.base", "d.aof.1.log", "nodes.conf"]);
        let expected = Chain {
            base: Some(Base::Framed(2)),
            logs: vec![2, 3],
            leftovers: vec!["d.aof.1.log".to_owned()],
        };
        assert_eq!(found, Ok(expected.clone()));
        assert_eq!(Names::new("d.aof").files(&expected), ["d.aof.2.base", "d.aof.2.log", "d.aof.3.log"]);
    }

    #[test]
    fn a_base_that_was_not_finished_is_left_over() {
        let found = chain(&["d.aof.1.log", "d.aof.2.log", "d.aof.2.base.tmp"]).expect("a chain");
        assert_eq!((found.base, found.logs), (None, vec![1, 2]));
        assert_eq!(found.leftovers, ["d.aof.2.base.tmp"]);
    }

    #[test]
    fn a_file_of_rc1_is_the_base_until_there_is_one() {
        assert_eq!(chain(&["d.aof"]).expect("a chain").base, Some(Base::Rc1));
        assert_eq!(chain(&["d.aof", "d.aof.1.log"]).expect("a chain").base, Some(Base::Rc1));
        let later = chain(&["d.aof", "d.aof.2.base", "d.aof.2.log"]).expect("a chain");
        assert_eq!(
            (later.base, later.leftovers.len()),
            (Some(Base::Framed(2)), 0),
            "it is not ours to remove"
        );
        assert_eq!(chain(&[]), Ok(Chain::default()));
    }

    #[test]
    fn a_gap_is_told_by_the_file_that_is_missing() {
        for (names, name, needed_by) in [
            (&["d.aof.2.log"][..], "d.aof.1.log", "d.aof.2.log"),
            (&["d.aof.1.log", "d.aof.3.log"], "d.aof.2.log", "d.aof.3.log"),
            (&["d.aof.5.base"], "d.aof.5.log", "d.aof.5.base"),
            (&["d.aof.5.base", "d.aof.6.log"], "d.aof.5.log", "d.aof.6.log"),
        ] {
            let missing = MissingFile { name: name.to_owned(), needed_by: needed_by.to_owned() };
            assert_eq!(chain(names), Err(missing));
        }
    }

    #[test]
    fn names_that_we_do_not_write_are_not_ours() {
        let found = chain(&[
            "d.aof.01.log",
            "d.aof.+1.log",
            "d.aof..log",
            "d.aof.1.logs",
            "e.aof.1.log",
            "d.aof.x.base",
            "d.aof.18446744073709551615.base",
            "d.aof.18446744073709551615.log",
            "d.aof.18446744073709551616.log",
        ]);
        assert_eq!(found, Ok(Chain::default()));
    }
}
