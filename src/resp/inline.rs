//! Splitting a line into arguments, with quotes: inline requests and lines of the configuration file.
//!
//! An argument is a run of bytes without blanks, optionally ending in one quoted part. Inside double quotes
//! `\n \r \t \b \a \xHH` are control bytes and any other `\c` is `c`; inside single quotes only `\'` is
//! special. A closing quote must be followed by a blank or the end (commands.md 2.2). Every other byte stands
//! for itself, NUL included, and `""` is an argument like any other (defect O9 of commands.md).

use std::fmt;
use std::ops::Range;

/// A quote that is not closed, or a closing quote with something right behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnbalancedQuotes;

impl fmt::Display for UnbalancedQuotes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("unbalanced quotes")
    }
}

impl std::error::Error for UnbalancedQuotes {}

/// The arguments of a line, unquoted.
pub fn split_quoted(line: &[u8]) -> Result<Vec<Vec<u8>>, UnbalancedQuotes> {
    let mut words = Words::new(line);
    let mut split = Vec::new();
    while let Some(word) = words.next()? {
        split.push(match word {
            Word::Plain(range) => line[range].to_vec(),
            Word::Unquoted(bytes) => bytes,
        });
    }
    Ok(split)
}

/// One argument of a line.
#[derive(Debug)]
pub(super) enum Word {
    /// It stands in the line as it is meant.
    Plain(Range<usize>),
    /// It had a quoted part; these are the bytes meant.
    Unquoted(Vec<u8>),
}

/// The arguments of a line, one after the other.
#[derive(Debug)]
pub(super) struct Words<'a> {
    line: &'a [u8],
    at: usize,
}

impl<'a> Words<'a> {
    /// From the first byte of `line` on.
    pub(super) fn new(line: &'a [u8]) -> Words<'a> {
        Words { line, at: 0 }
    }

    /// The next argument, `None` at the end of the line.
    pub(super) fn next(&mut self) -> Result<Option<Word>, UnbalancedQuotes> {
        self.at += self.run(is_blank);
        let start = self.at;
        self.at += self.run(|byte| !is_blank(byte) && byte != b'"' && byte != b'\'');
        let plain = start..self.at;
        match self.line.get(self.at) {
            Some(&quote @ (b'"' | b'\'')) => {
                let mut bytes = self.line[plain].to_vec();
                self.at += 1;
                self.unquote(quote, &mut bytes)?;
                Ok(Some(Word::Unquoted(bytes)))
            }
            _ if plain.is_empty() => Ok(None),
            _ => Ok(Some(Word::Plain(plain))),
        }
    }

    /// How many bytes from here on satisfy `belongs`.
    fn run(&self, belongs: impl Fn(u8) -> bool) -> usize {
        let rest = &self.line[self.at..];
        rest.iter().position(|byte| !belongs(*byte)).unwrap_or(rest.len())
    }

    /// Takes the rest of a quoted part, its closing quote and the boundary that must follow.
    fn unquote(&mut self, quote: u8, bytes: &mut Vec<u8>) -> Result<(), UnbalancedQuotes> {
        loop {
            match self.take()? {
                byte if byte == quote => break,
                b'\\' if quote == b'"' => bytes.push(self.escaped()?),
                b'\\' if self.line.get(self.at) == Some(&b'\'') => bytes.push(self.take()?),
                byte => bytes.push(byte),
            }
        }
        match self.line.get(self.at) {
            Some(byte) if !is_blank(*byte) => Err(UnbalancedQuotes),
            _ => Ok(()),
        }
    }

    /// What a backslash inside double quotes and the bytes after it mean.
    fn escaped(&mut self) -> Result<u8, UnbalancedQuotes> {
        Ok(match self.take()? {
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'b' => 0x08,
            b'a' => 0x07,
            b'x' => match self.line[self.at..] {
                [high, low, ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                    self.at += 2;
                    hex(high) << 4 | hex(low)
                }
                _ => b'x',
            },
            byte => byte,
        })
    }

    fn take(&mut self) -> Result<u8, UnbalancedQuotes> {
        let byte = *self.line.get(self.at).ok_or(UnbalancedQuotes)?;
        self.at += 1;
        Ok(byte)
    }
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

fn hex(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        _ => (digit | 0x20) - b'a' + 10,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn split(line: &str) -> Result<Vec<Vec<u8>>, UnbalancedQuotes> {
        split_quoted(line.as_bytes())
    }

    fn words(list: &[&[u8]]) -> Result<Vec<Vec<u8>>, UnbalancedQuotes> {
        Ok(list.iter().map(|word| word.to_vec()).collect())
    }

    #[test]
    fn blanks_separate_and_do_not_count() {
        assert_eq!(split(" \tping\r \n two  "), words(&[b"ping", b"two"]));
        assert_eq!(split(""), words(&[]));
        assert_eq!(split(" \r\n\t"), words(&[]));
    }

    #[test]
    fn quoted_parts_end_an_argument() {
        assert_eq!(split("ab\"cd ef\" g'h i'"), words(&[b"abcd ef", b"gh i"]));
        assert_eq!(split("\"a\"b"), Err(UnbalancedQuotes));
        assert_eq!(split("'a'\"b\""), Err(UnbalancedQuotes));
    }

    #[test]
    fn empty_quotes_are_an_empty_argument() {
        assert_eq!(split("PING \"\" ''"), words(&[b"PING", b"", b""]));
    }

    #[test]
    fn escapes_mean_bytes_inside_double_quotes_only() {
        assert_eq!(split(r#""\n\r\t\b\a\x00\xfF\"\\\q""#), words(&[b"\n\r\t\x08\x07\x00\xff\"\\q"]));
        assert_eq!(split(r#""\xg0" "\x4""#), words(&[b"xg0", b"x4"]));
        assert_eq!(split(r"'\n\'\\ '"), words(&[br"\n'\\ "]));
        assert_eq!(split(r"a\n"), words(&[br"a\n"]));
    }

    #[test]
    fn open_quotes_are_refused() {
        for line in ["\"", "'", "a \"b", r#""\"#, r#""a\""#, r"'\'", "it's"] {
            assert_eq!(split(line), Err(UnbalancedQuotes), "{line}");
        }
    }

    #[test]
    fn nul_is_a_byte_like_any_other() {
        assert_eq!(split("a\0b \"\0\""), words(&[b"a\0b", b"\0"]));
    }

    proptest! {
        #[test]
        fn whatever_is_quoted_comes_back(args in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..20), 0..8)) {
            let mut line = Vec::new();
            for arg in &args {
                line.extend_from_slice(b" \"");
                for byte in arg {
                    match byte {
                        b'"' | b'\\' => line.extend_from_slice(&[b'\\', *byte]),
                        0..=31 => line.extend_from_slice(format!("\\x{byte:02x}").as_bytes()),
                        _ => line.push(*byte),
                    }
                }
                line.push(b'"');
            }
            prop_assert_eq!(split_quoted(&line), Ok(args));
        }

        #[test]
        fn any_line_splits_or_is_refused(line in prop::collection::vec(prop::sample::select(b"ab '\"\\x0\0\r\xff".to_vec()), 0..30)) {
            let _ = split_quoted(&line);
        }
    }
}
