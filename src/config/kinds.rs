//! The types of parameters that are more than a number: addresses, paths, passwords, choices.

use std::ffi::OsString;
use std::fmt;
use std::net::IpAddr;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use super::value::{ByteSize, Number, Seconds, Value, ValueError, digits, one};
use super::words::quote;
use crate::engine::EvictionPolicy;
use crate::types::limits::MAX_PASSWORD_LEN;

/// Makes a [`Value`] of an enum whose variants are each one word, in any case.
macro_rules! one_of {
    ($type:ident, $expected:literal, $($word:literal => $variant:ident),+) => {
        impl Value for $type {
            fn parse(words: &[&[u8]]) -> Result<Self, ValueError> {
                let word = one(words, $expected)?.to_ascii_lowercase();
                $(if word == $word.as_bytes() {
                    return Ok($type::$variant);
                })+
                Err(ValueError::Expected($expected))
            }

            fn show(&self) -> Vec<u8> {
                match self {
                    $($type::$variant => $word.as_bytes().to_vec()),+
                }
            }
        }
    };
}

/// How much is logged; each level includes those below it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// What only a developer wants to see.
    Debug,
    /// Clients and nodes coming and going.
    Verbose,
    /// What an operator wants to see of a healthy server.
    Notice,
    /// What an operator must see.
    Warning,
}

one_of!(LogLevel, "one of debug, verbose, notice, warning",
    "debug" => Debug, "verbose" => Verbose, "notice" => Notice, "warning" => Warning);

/// What a line of the log looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// Time, level, text and fields, for people.
    Plain,
    /// An object of JSON.
    Json,
}

one_of!(LogFormat, "one of plain, json", "plain" => Plain, "json" => Json);

/// When the append-only file is forced to the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fsync {
    /// Before the commands that it records are answered.
    Always,
    /// About once a second.
    EverySecond,
    /// When the operating system likes.
    No,
}

one_of!(Fsync, "'no', 'always' or 'everysec'",
    "always" => Always, "everysec" => EverySecond, "no" => No);

one_of!(EvictionPolicy, "'acks' or 'noeviction'", "acks" => Acks, "noeviction" => NoEviction);

/// After how much silence the system probes whether the client is still there; zero means never.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeepAlive(pub Seconds);

impl KeepAlive {
    /// What `yes` stands for.
    const YES: KeepAlive = KeepAlive(Seconds(300));
}

/// A number of seconds; `yes` and `no` too, which is what RC1 takes at run time.
impl Value for KeepAlive {
    fn parse(words: &[&[u8]]) -> Result<Self, ValueError> {
        match bool::parse(words) {
            Ok(true) => Ok(KeepAlive::YES),
            Ok(false) => Ok(KeepAlive(Seconds(0))),
            Err(_) => Seconds::parse(words).map(KeepAlive),
        }
    }

    fn show(&self) -> Vec<u8> {
        self.0.show()
    }
}

impl Number for KeepAlive {
    fn number(&self) -> u64 {
        self.0.number()
    }
}

/// From how many microseconds on a command counts as slow; `None` means that none does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlowerThan(pub Option<u64>);

impl Value for SlowerThan {
    fn parse(words: &[&[u8]]) -> Result<Self, ValueError> {
        const EXPECTED: ValueError =
            ValueError::Expected("a whole number of microseconds, or -1 to log nothing");
        let [word] = words else { return Err(EXPECTED) };
        match word {
            [b'-', number @ ..] => digits(number).map(|_| SlowerThan(None)),
            number => digits(number).map(|micros| SlowerThan(Some(micros))),
        }
        .map_err(|_| EXPECTED)
    }

    fn show(&self) -> Vec<u8> {
        self.0.map_or(b"-1".to_vec(), |micros| micros.to_string().into_bytes())
    }
}

/// A frequency. Limited to 1–500 rather than refused beyond, as in RC1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hertz(pub u16);

impl Value for Hertz {
    fn parse(words: &[&[u8]]) -> Result<Self, ValueError> {
        let [word] = words else { return Err(ValueError::NotANumber) };
        digits(word).map(|hertz| Hertz(hertz.clamp(1, 500) as u16))
    }

    fn show(&self) -> Vec<u8> {
        self.0.show()
    }
}

/// Permission bits of a file; zero leaves them as the system made them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileMode(pub u32);

impl Value for FileMode {
    fn parse(words: &[&[u8]]) -> Result<Self, ValueError> {
        const EXPECTED: &str = "octal permissions from 0 to 777";
        let word = one(words, EXPECTED)?;
        let octal = !word.is_empty() && word.iter().all(|byte| (b'0'..=b'7').contains(byte));
        let mode = std::str::from_utf8(word).ok().and_then(|word| u32::from_str_radix(word, 8).ok());
        mode.filter(|mode| octal && *mode <= 0o777).map(FileMode).ok_or(ValueError::Expected(EXPECTED))
    }

    fn show(&self) -> Vec<u8> {
        format!("{:o}", self.0).into_bytes()
    }
}

/// Reads a path. The system's calls end paths at a NUL byte, so none may be inside.
fn path(words: &[&[u8]]) -> Result<PathBuf, ValueError> {
    const EXPECTED: &str = "one path (in quotes if it contains blanks)";
    let word = one(words, EXPECTED)?;
    if word.contains(&0) {
        return Err(ValueError::Expected(EXPECTED));
    }
    Ok(PathBuf::from(OsString::from_vec(word.to_vec())))
}

fn bytes(path: &Path) -> &[u8] {
    path.as_os_str().as_bytes()
}

/// A path, or none, which is written as the empty string.
impl Value for Option<PathBuf> {
    fn parse(words: &[&[u8]]) -> Result<Self, ValueError> {
        path(words).map(|path| Some(path).filter(|path| !path.as_os_str().is_empty()))
    }

    fn show(&self) -> Vec<u8> {
        self.as_deref().map_or(Vec::new(), |path| bytes(path).to_vec())
    }

    fn write(&self) -> Option<Vec<u8>> {
        Some(quote(&self.show()))
    }
}

/// A directory. A relative one is relative to the directory that was set before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Directory(PathBuf);

impl Directory {
    /// The directory at `path`.
    pub fn new(path: &Path) -> Directory {
        // Collecting the components drops `.` and doubled slashes. `..` must stay: behind a symbolic link it
        // does not lead back to where one came from.
        Directory(path.components().collect())
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Value for Directory {
    fn parse(words: &[&[u8]]) -> Result<Self, ValueError> {
        let path = path(words)?;
        if path.as_os_str().is_empty() {
            return Err(ValueError::Expected("the path of a directory"));
        }
        Ok(Directory::new(&path))
    }

    fn show(&self) -> Vec<u8> {
        bytes(&self.0).to_vec()
    }

    fn write(&self) -> Option<Vec<u8>> {
        Some(quote(&self.show()))
    }

    fn replace(&mut self, new: Directory) {
        *self = Directory::new(&self.0.join(new.0));
    }
}

/// The path of a file that must have one; a relative one starts from the working directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilePath(PathBuf);

impl FilePath {
    /// The file at `path`, which must not be empty.
    pub(super) fn new(path: &str) -> FilePath {
        assert!(!path.is_empty());
        FilePath(PathBuf::from(path))
    }

    /// The path, possibly relative to the working directory.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Value for FilePath {
    fn parse(words: &[&[u8]]) -> Result<Self, ValueError> {
        let path = path(words)?;
        if path.as_os_str().is_empty() {
            return Err(ValueError::Expected("the path of a file"));
        }
        Ok(FilePath(path))
    }

    fn show(&self) -> Vec<u8> {
        bytes(&self.0).to_vec()
    }

    fn write(&self) -> Option<Vec<u8>> {
        Some(quote(&self.show()))
    }
}

/// The name of a file in the working directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileName(PathBuf);

impl FileName {
    /// The file called `name`, which must not be empty or contain a slash.
    pub(super) fn new(name: &str) -> FileName {
        assert!(!name.is_empty() && !name.contains('/'));
        FileName(PathBuf::from(name))
    }

    /// The name, relative to the working directory.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Value for FileName {
    fn parse(words: &[&[u8]]) -> Result<Self, ValueError> {
        let path = path(words)?;
        let name = bytes(&path);
        if name.is_empty() || name.contains(&b'/') || name == b"." || name == b".." {
            return Err(ValueError::Expected("the name of a file in the directory 'dir', without a path"));
        }
        Ok(FileName(path))
    }

    fn show(&self) -> Vec<u8> {
        bytes(&self.0).to_vec()
    }

    fn write(&self) -> Option<Vec<u8>> {
        Some(quote(&self.show()))
    }
}

/// What clients must present to AUTH; possibly nothing. Not shown by `Debug`, lest it end up in a log.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(Vec<u8>);

impl Password {
    /// No password: everybody may do everything.
    pub const NONE: Password = Password(Vec::new());

    /// The password, if one is set. Compare all of it: RC1 stops at a NUL byte (commands.md 15, O12).
    pub fn bytes(&self) -> Option<&[u8]> {
        Some(self.0.as_slice()).filter(|bytes| !bytes.is_empty())
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_empty() { "Password(none)" } else { "Password(set)" })
    }
}

impl Value for Password {
    fn parse(words: &[&[u8]]) -> Result<Self, ValueError> {
        const EXPECTED: &str = "one password of at most 512 bytes";
        let word = one(words, EXPECTED)?;
        if word.len() > MAX_PASSWORD_LEN {
            return Err(ValueError::Expected(EXPECTED));
        }
        Ok(Password(word.to_vec()))
    }

    fn show(&self) -> Vec<u8> {
        self.0.clone()
    }

    fn write(&self) -> Option<Vec<u8>> {
        self.bytes().map(quote)
    }
}

/// The addresses to listen on; none means all of the machine's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BindAddresses(Vec<IpAddr>);

/// Most addresses to listen on (operations.md 2.3).
const MAX_BIND_ADDRESSES: usize = 16;

impl BindAddresses {
    /// The machine itself only.
    pub(super) fn loopback() -> BindAddresses {
        BindAddresses(vec![IpAddr::V4(std::net::Ipv4Addr::LOCALHOST)])
    }

    /// The addresses, as they were given. Empty: all addresses, IPv4 and IPv6.
    pub fn addresses(&self) -> &[IpAddr] {
        &self.0
    }
}

impl Value for BindAddresses {
    const MANY_WORDS: bool = true;

    fn parse(words: &[&[u8]]) -> Result<Self, ValueError> {
        const EXPECTED: ValueError =
            ValueError::Expected("1 to 16 IP addresses, such as 127.0.0.1 or ::1 (no host names)");
        if matches!(words, [b""]) {
            return Ok(BindAddresses::default());
        }
        if words.is_empty() || words.len() > MAX_BIND_ADDRESSES {
            return Err(EXPECTED);
        }
        let address = |word: &&[u8]| std::str::from_utf8(word).ok().and_then(|word| word.parse().ok());
        words.iter().map(address).collect::<Option<Vec<IpAddr>>>().map(BindAddresses).ok_or(EXPECTED)
    }

    fn show(&self) -> Vec<u8> {
        let addresses: Vec<String> = self.0.iter().map(IpAddr::to_string).collect();
        addresses.join(" ").into_bytes()
    }

    fn write(&self) -> Option<Vec<u8>> {
        // Not no line: all addresses are not the default of every parameter.
        Some(if self.0.is_empty() { quote(b"") } else { self.show() })
    }
}

/// How much output may wait for a client before the client is closed; zero means no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OutputLimit {
    /// Closed as soon as this much waits.
    pub hard: ByteSize,
    /// Closed when this much has waited for longer than `soft_seconds`.
    pub soft: ByteSize,
    /// For how long the soft limit may be exceeded.
    pub soft_seconds: Seconds,
}

/// Groups of `normal HARD SOFT SECONDS`, of which the last counts. There is one class of clients.
impl Value for OutputLimit {
    const MANY_WORDS: bool = true;

    fn parse(words: &[&[u8]]) -> Result<Self, ValueError> {
        const EXPECTED: ValueError =
            ValueError::Expected("'normal', a hard limit, a soft limit and a number of seconds");
        let (groups, []) = words.as_chunks::<4>() else { return Err(EXPECTED) };
        let mut last = Err(EXPECTED);
        for [class, hard, soft, seconds] in groups {
            if !class.eq_ignore_ascii_case(b"normal") {
                return Err(EXPECTED);
            }
            last = Ok(OutputLimit {
                hard: ByteSize::parse_word(hard)?,
                soft: ByteSize::parse_word(soft)?,
                soft_seconds: Seconds::parse(&[seconds]).map_err(|_| EXPECTED)?,
            });
        }
        last
    }

    fn show(&self) -> Vec<u8> {
        format!("normal {} {} {}", self.hard.0, self.soft.0, self.soft_seconds.0).into_bytes()
    }

    fn write(&self) -> Option<Vec<u8>> {
        let (hard, soft) = (self.hard.write_word(), self.soft.write_word());
        Some(format!("normal {hard} {soft} {}", self.soft_seconds.0).into_bytes())
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Debug;

    use proptest::prelude::*;

    use super::*;
    use crate::resp::split_quoted;

    fn parse<T: Value>(line: &str) -> Result<T, ValueError> {
        let words = split_quoted(line.as_bytes()).expect("the tests' lines are balanced");
        T::parse(&words.iter().map(Vec::as_slice).collect::<Vec<_>>())
    }

    /// What is shown, taken as CONFIG SET takes it, and what is written, taken as a file's line, is the
    /// value.
    fn reads_back<T: Value + PartialEq + Debug>(value: &T) {
        let shown = value.show();
        let set = if T::MANY_WORDS && !shown.is_empty() {
            T::parse(&shown.split(|byte| *byte == b' ').collect::<Vec<_>>())
        } else {
            T::parse(&[&shown])
        };
        assert_eq!(set.as_ref(), Ok(value));
        if let Some(written) = value.write() {
            let words = split_quoted(&written).expect("what is written is balanced");
            let read = T::parse(&words.iter().map(Vec::as_slice).collect::<Vec<_>>());
            assert_eq!(read.as_ref(), Ok(value));
        }
    }

    #[test]
    fn choices_ignore_case_and_refuse_other_words() {
        assert_eq!(parse("NOTICE"), Ok(LogLevel::Notice));
        assert_eq!(parse("everysec"), Ok(Fsync::EverySecond));
        assert_eq!(parse("NoEviction"), Ok(EvictionPolicy::NoEviction));
        let error = parse::<LogLevel>("loud").unwrap_err();
        assert_eq!(error.to_string(), "must be one of debug, verbose, notice, warning");
        assert!(parse::<LogLevel>("notice notice").is_err() && parse::<LogLevel>("").is_err());
        for level in [LogLevel::Debug, LogLevel::Verbose, LogLevel::Notice, LogLevel::Warning] {
            reads_back(&level);
        }
        for fsync in [Fsync::Always, Fsync::EverySecond, Fsync::No] {
            reads_back(&fsync);
        }
    }

    #[test]
    fn keep_alive_takes_seconds_and_yes_and_no() {
        for (text, seconds) in [("60", 60), ("yes", 300), ("NO", 0), ("0", 0)] {
            assert_eq!(parse(text), Ok(KeepAlive(Seconds(seconds))), "{text}");
        }
        assert_eq!(parse::<KeepAlive>("-1"), Err(ValueError::NotANumber));
    }

    #[test]
    fn a_negative_slow_limit_disables_the_log() {
        for (text, limit) in [("0", Some(0)), ("10000", Some(10_000)), ("-1", None), ("-70", None)] {
            assert_eq!(parse(text), Ok(SlowerThan(limit)), "{text}");
        }
        for text in ["-", "--1", "fast", "\"\"", "1 2"] {
            assert!(parse::<SlowerThan>(text).is_err(), "{text}");
        }
    }

    #[test]
    fn frequencies_are_clamped_not_refused() {
        for (text, hertz) in [("0", 1), ("1", 1), ("10", 10), ("500", 500), ("501", 500), ("70000", 500)] {
            assert_eq!(parse(text), Ok(Hertz(hertz)), "{text}");
        }
        assert!(parse::<Hertz>("-1").is_err());
    }

    #[test]
    fn permissions_are_octal_up_to_777() {
        assert_eq!(parse("0700"), Ok(FileMode(0o700)));
        assert_eq!(parse("777"), Ok(FileMode(0o777)));
        assert_eq!(FileMode(0o755).show(), b"755");
        for text in ["1000", "8", "+7", "-7", "rwx", "\"\"", "77777777777777"] {
            assert!(parse::<FileMode>(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_empty_string_is_no_path_and_no_directory() {
        assert_eq!(parse(r#""""#), Ok(None::<PathBuf>));
        assert_eq!(parse("'/a b'"), Ok(Some(PathBuf::from("/a b"))));
        assert!(parse::<Option<PathBuf>>("a b").is_err() && parse::<Option<PathBuf>>(r#""a\x00""#).is_err());
        assert!(parse::<Directory>(r#""""#).is_err() && parse::<FilePath>(r#""""#).is_err());
    }

    #[test]
    fn relative_directories_follow_one_another() {
        let mut directory = Directory::new(Path::new("/start"));
        for (line, now) in
            [("./", "/start"), ("a/./b", "/start/a/b"), ("../c", "/start/a/b/../c"), ("/x/", "/x")]
        {
            directory.replace(parse(line).unwrap());
            assert_eq!(directory.path(), Path::new(now));
            assert_eq!(directory.show(), now.as_bytes(), "{line}");
        }
    }

    #[test]
    fn file_names_have_no_path() {
        assert_eq!(parse::<FileName>("disque.aof"), Ok(FileName::new("disque.aof")));
        for text in ["a/b", "/a", "a/", ".", "..", "\"\"", "a b"] {
            assert!(parse::<FileName>(text).is_err(), "{text}");
        }
    }

    #[test]
    fn passwords_hold_512_bytes_and_are_not_in_debug_output() {
        let longest = "x".repeat(512);
        assert_eq!(parse::<Password>(&longest).unwrap().bytes(), Some(longest.as_bytes()));
        assert!(parse::<Password>(&"x".repeat(513)).is_err());
        assert_eq!(parse::<Password>(r#""""#), Ok(Password::NONE));
        assert_eq!((Password::NONE.bytes(), Password::NONE.write()), (None, None));
        assert_eq!(format!("{:?}", parse::<Password>("secret").unwrap()), "Password(set)");
    }

    #[test]
    fn one_to_sixteen_addresses_bind() {
        let both = parse::<BindAddresses>("127.0.0.1 ::1").unwrap();
        assert_eq!(both.addresses(), [[127, 0, 0, 1].into(), "::1".parse::<IpAddr>().unwrap()]);
        assert!(parse::<BindAddresses>(&"::1 ".repeat(16)).is_ok());
        for line in [&"::1 ".repeat(17), "localhost", "127.0.0.1 \"\"", "", "127.0.0.1:80"] {
            assert!(parse::<BindAddresses>(line).is_err(), "{line}");
        }
        reads_back(&both);
        reads_back(&BindAddresses::default());
    }

    #[test]
    fn output_limits_come_in_groups_of_four() {
        let limit = OutputLimit { hard: ByteSize(32 << 20), soft: ByteSize(8000), soft_seconds: Seconds(60) };
        assert_eq!(parse("normal 32mb 8k 60"), Ok(limit));
        assert_eq!(parse("normal 1 1 1 NORMAL 33554432 8000 60"), Ok(limit));
        assert_eq!(limit.show(), b"normal 33554432 8000 60");
        assert_eq!(limit.write().as_deref(), Some(b"normal 32mb 8000 60".as_slice()));
        for line in ["", "normal", "normal 1 1", "pubsub 0 0 0", "normal 0 0 -1", "normal 0 0 0 normal"] {
            assert!(parse::<OutputLimit>(line).is_err(), "{line}");
        }
    }

    fn addresses() -> impl Strategy<Value = BindAddresses> {
        prop::collection::vec(any::<IpAddr>(), 0..=MAX_BIND_ADDRESSES).prop_map(BindAddresses)
    }

    proptest! {
        #[test]
        fn what_is_printed_reads_back(
            seconds: u64, micros: Option<u64>, hertz in 1..=500u16, mode in 0..=0o777u32,
            hard in 0..1u64 << 63, soft in 0..1u64 << 63, bind in addresses(),
        ) {
            reads_back(&KeepAlive(Seconds(seconds)));
            reads_back(&SlowerThan(micros));
            reads_back(&Hertz(hertz));
            reads_back(&FileMode(mode));
            reads_back(&bind);
            let (hard, soft) = (ByteSize(hard), ByteSize(soft));
            reads_back(&OutputLimit { hard, soft, soft_seconds: Seconds(seconds) });
        }

        #[test]
        fn strings_of_any_bytes_read_back(bytes in prop::collection::vec(any::<u8>(), 0..=MAX_PASSWORD_LEN)) {
            reads_back(&Password(bytes.clone()));
            if let Ok(path) = Option::<PathBuf>::parse(&[&bytes]) {
                reads_back(&path);
            }
            if let Ok(path) = FilePath::parse(&[&bytes]) {
                reads_back(&path);
            }
            if let Ok(name) = FileName::parse(&[&bytes]) {
                reads_back(&name);
            }
            if let Ok(directory) = Directory::parse(&[&bytes]) {
                reads_back(&directory);
            }
        }
    }
}
