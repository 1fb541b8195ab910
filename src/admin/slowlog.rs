//! The commands that took long.

use std::collections::VecDeque;

use super::redact::redacted;
use super::text::{int, integer, not_an_integer};
use crate::resp::Value;
use crate::types::{Args, UnixMillis};

/// The latest slow commands, newest first.
#[derive(Debug)]
pub struct Slowlog {
    entries: VecDeque<Entry>,
    next_id: u64,
    /// In microseconds; `None` logs nothing.
    threshold: Option<u64>,
    max_len: usize,
}

#[derive(Debug)]
struct Entry {
    id: u64,
    at: UnixMillis,
    micros: u64,
    args: KeptArgs,
}

/// The arguments of a command in the form that the log keeps: cut to bounds, without secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptArgs(Vec<Box<[u8]>>);

impl Slowlog {
    /// An empty log for commands of at least `threshold` microseconds (none if negative), at most `max_len`.
    pub fn new(threshold: i64, max_len: usize) -> Slowlog {
        Slowlog { entries: VecDeque::new(), next_id: 0, threshold: u64::try_from(threshold).ok(), max_len }
    }

    /// Takes over `slowlog-log-slower-than`: microseconds, negative for logging nothing, 0 for everything.
    pub fn set_threshold(&mut self, threshold: i64) {
        self.threshold = u64::try_from(threshold).ok();
    }

    /// Takes over `slowlog-max-len`; drops the oldest entries beyond it at once.
    pub fn set_max_len(&mut self, max_len: usize) {
        self.max_len = max_len;
        self.entries.truncate(max_len);
    }

    /// Whether a command that ran for `micros` belongs into the log. Every command asks this.
    #[inline]
    pub fn is_slow(&self, micros: u64) -> bool {
        self.threshold.is_some_and(|threshold| micros >= threshold) && self.max_len > 0
    }

    /// Adds a command that [`Slowlog::is_slow`] took for slow; it ended at `at`.
    pub fn record(&mut self, at: UnixMillis, micros: u64, args: KeptArgs) {
        self.entries.push_front(Entry { id: self.next_id, at, micros, args });
        self.entries.truncate(self.max_len);
        self.next_id += 1;
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are no entries.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Drops all entries. The numbering goes on, so that nobody takes a new entry for a known one.
    pub fn reset(&mut self) {
        self.entries.clear();
    }

    /// The newest `count` entries, all if negative: `[id, Unix seconds, microseconds, [argument…]]`.
    pub fn newest(&self, count: i64) -> Value {
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        Value::Array(self.entries.iter().take(count).map(Entry::value).collect())
    }

    /// Runs SLOWLOG; `args` begins with the command name.
    pub fn answer(&mut self, args: &Args<'_>) -> Value {
        let word = args.get(1).unwrap_or_default().to_ascii_lowercase();
        match (word.as_slice(), args.len()) {
            (b"get", 2) => self.newest(DEFAULT_COUNT),
            (b"get", 3) => integer(args.at(2)).map_or_else(not_an_integer, |count| self.newest(count)),
            (b"len", 2) => int(self.len() as u64),
            (b"reset", 2) => {
                self.reset();
                Value::Status("OK".into())
            }
            _ => Value::Error(UNKNOWN_SUBCOMMAND.into()),
        }
    }
}

impl Entry {
    fn value(&self) -> Value {
        let args = self.args.0.iter().map(|arg| Value::Bulk(arg.to_vec())).collect();
        Value::Array(vec![int(self.id), int(self.at.secs()), int(self.micros), Value::Array(args)])
    }
}

impl KeptArgs {
    /// What the log keeps of the arguments of `command` (the built-in name); `args` begins with the name as sent.
    ///
    /// Execution may move a large body out of the arguments: keep them before it when there is one.
    pub fn of<'a>(command: &str, args: impl ExactSizeIterator<Item = &'a [u8]>) -> KeptArgs {
        let count = args.len();
        let whole = if count > MAX_ARGS { MAX_ARGS - 1 } else { count };
        let mut kept: Vec<_> = redacted(command, args).take(whole).map(keep_arg).collect();
        if count > whole {
            kept.push(format!("... ({} more arguments)", count - whole).into_bytes().into());
        }
        KeptArgs(kept)
    }
}

fn keep_arg(arg: &[u8]) -> Box<[u8]> {
    match arg.get(..MAX_ARG_LEN) {
        Some(head) if arg.len() > MAX_ARG_LEN => {
            let tail = format!("... ({} more bytes)", arg.len() - MAX_ARG_LEN);
            [head, tail.as_bytes()].concat().into()
        }
        _ => arg.into(),
    }
}

/// Most arguments that an entry keeps, the note about the others included.
const MAX_ARGS: usize = 32;
/// Most bytes that an entry keeps of an argument, the note about the others excluded.
const MAX_ARG_LEN: usize = 128;
/// How many entries SLOWLOG GET shows when it does not say.
const DEFAULT_COUNT: i64 = 10;
const UNKNOWN_SUBCOMMAND: &str = "ERR Unknown SLOWLOG subcommand or wrong # of args. Try GET, RESET, LEN.";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::text::spans_of_words;
    use proptest::prelude::*;

    fn kept(command: &str, args: &[&[u8]]) -> Vec<String> {
        let KeptArgs(kept) = KeptArgs::of(command, args.iter().copied());
        kept.iter().map(|arg| String::from_utf8(arg.to_vec()).unwrap()).collect()
    }

    fn answer(log: &mut Slowlog, line: &str) -> Value {
        let spans = spans_of_words(line);
        log.answer(&Args::new(&spans, line.as_bytes(), &mut []))
    }

    fn ids(value: &Value) -> Vec<i64> {
        let Value::Array(entries) = value else { panic!("no array: {value:?}") };
        let id = |entry: &Value| match entry {
            Value::Array(fields) => match fields[0] {
                Value::Int(id) => id,
                _ => panic!("no id: {entry:?}"),
            },
            _ => panic!("no entry: {entry:?}"),
        };
        entries.iter().map(id).collect()
    }

    fn record(log: &mut Slowlog, micros: u64) {
        log.record(UnixMillis(5_999), micros, KeptArgs::of("ping", [&b"PING"[..]].into_iter()));
    }

    #[test]
    fn an_entry_has_four_elements_newest_first() {
        let mut log = Slowlog::new(10, 128);
        record(&mut log, 11);
        log.record(UnixMillis(7_000), 12, KeptArgs::of("qlen", [&b"QLEN"[..], b"q"].into_iter()));
        let entry = |id, secs, micros, args: &[&str]| {
            let args = args.iter().map(|arg| Value::Bulk(arg.as_bytes().to_vec())).collect();
            Value::Array(vec![Value::Int(id), Value::Int(secs), Value::Int(micros), Value::Array(args)])
        };
        let expected = Value::Array(vec![entry(1, 7, 12, &["QLEN", "q"]), entry(0, 5, 11, &["PING"])]);
        assert_eq!(answer(&mut log, "SLOWLOG GET"), expected);
    }

    #[test]
    fn get_shows_ten_or_as_many_as_asked_for() {
        let mut log = Slowlog::new(0, 128);
        (0..12).for_each(|_| record(&mut log, 1));
        assert_eq!(ids(&answer(&mut log, "slowlog get")), (2..12).rev().collect::<Vec<_>>());
        assert_eq!(ids(&answer(&mut log, "slowlog get 2")), [11, 10]);
        assert_eq!(ids(&answer(&mut log, "slowlog get 0")), [0i64; 0]);
        assert_eq!(ids(&answer(&mut log, "slowlog get -1")).len(), 12);
        assert_eq!(answer(&mut log, "slowlog get x"), not_an_integer());
        assert_eq!(answer(&mut log, "slowlog len"), Value::Int(12));
    }

    #[test]
    fn reset_drops_entries_but_not_the_numbering() {
        let mut log = Slowlog::new(0, 128);
        record(&mut log, 1);
        assert_eq!(answer(&mut log, "SLOWLOG RESET"), Value::Status("OK".into()));
        assert_eq!(answer(&mut log, "SLOWLOG LEN"), Value::Int(0));
        record(&mut log, 1);
        assert_eq!(ids(&log.newest(-1)), [1]);
    }

    #[test]
    fn other_words_and_counts_are_refused() {
        let mut log = Slowlog::new(0, 128);
        for line in ["slowlog help", "slowlog get 1 2", "slowlog len 1", "slowlog reset 1", "slowlog"] {
            assert_eq!(answer(&mut log, line), Value::Error(UNKNOWN_SUBCOMMAND.into()), "{line}");
        }
    }

    #[test]
    fn slow_means_at_least_the_threshold_and_negative_means_never() {
        let mut log = Slowlog::new(10, 1);
        assert_eq!([9, 10].map(|micros| log.is_slow(micros)), [false, true]);
        log.set_threshold(0);
        assert!(log.is_slow(0));
        log.set_threshold(-1);
        assert!(!log.is_slow(u64::MAX));
        log.set_threshold(0);
        log.set_max_len(0);
        assert!(!log.is_slow(u64::MAX));
    }

    #[test]
    fn arguments_are_cut_just_beyond_the_bounds() {
        let (full, long) = (vec![b'x'; 128], vec![b'x'; 130]);
        assert_eq!(kept("ping", &[&full])[0].len(), 128);
        assert_eq!(kept("ping", &[&long]), [format!("{}... (2 more bytes)", "x".repeat(128))]);
        assert_eq!(kept("ackjob", &[&b"a"[..]; 32]), ["a"; 32]);
        let many = kept("ackjob", &[&b"a"[..]; 33]);
        assert_eq!((many.len(), many[31].as_str()), (32, "... (2 more arguments)"));
    }

    #[test]
    fn passwords_are_not_kept() {
        assert_eq!(kept("auth", &[b"AUTH", b"sekret"]), ["AUTH", "(redacted)"]);
        assert_eq!(kept("config", &[b"config", b"set", b"requirepass", b"s"])[3], "(redacted)");
    }

    proptest! {
        #[test]
        fn the_log_keeps_what_a_list_cut_to_length_keeps(
            steps in prop::collection::vec(prop_oneof![
                6 => Just(None),
                1 => (0usize..6).prop_map(Some),
            ], 0..80),
        ) {
            let mut log = Slowlog::new(0, 4);
            let (mut model, mut max_len, mut next) = (Vec::new(), 4, 0i64);
            for step in steps {
                match step {
                    None if log.is_slow(1) => {
                        record(&mut log, 1);
                        model.push(next);
                        next += 1;
                    }
                    None => prop_assert_eq!(max_len, 0),
                    Some(len) => {
                        log.set_max_len(len);
                        max_len = len;
                    }
                }
                model.drain(..model.len().saturating_sub(max_len));
                let newest_first: Vec<_> = model.iter().rev().copied().collect();
                prop_assert_eq!(ids(&log.newest(-1)), newest_first);
            }
        }

        #[test]
        fn kept_arguments_are_bounded_and_lose_nothing_silently(
            args in prop::collection::vec(prop::collection::vec(b'a'..=b'z', 0..300), 1..80),
        ) {
            let slices: Vec<&[u8]> = args.iter().map(Vec::as_slice).collect();
            let kept = kept("ackjob", &slices);
            prop_assert_eq!(kept.len(), args.len().min(32));
            let told = if args.len() > 32 { 31 } else { args.len() };
            for (arg, kept) in args.iter().zip(&kept).take(told) {
                let arg = std::str::from_utf8(arg).unwrap();
                match kept.split_once("... (") {
                    Some((head, note)) => {
                        prop_assert_eq!(head, &arg[..128]);
                        prop_assert_eq!(note, format!("{} more bytes)", arg.len() - 128));
                    }
                    None => prop_assert!(kept == arg && arg.len() <= 128),
                }
            }
            if told < args.len() {
                prop_assert_eq!(&kept[31], &format!("... ({} more arguments)", args.len() - 31));
            }
        }
    }
}
