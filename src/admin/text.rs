//! Small pieces of reading and writing that several files of this room share.

use std::borrow::Cow;

use crate::resp::Value;
#[cfg(test)]
use crate::types::Span;

/// Reads a whole argument as an integer.
pub(super) fn integer(arg: &[u8]) -> Option<i64> {
    std::str::from_utf8(arg).ok()?.parse().ok()
}

/// The error that every bad integer gets.
pub(super) fn not_an_integer() -> Value {
    Value::Error("ERR value is not an integer or out of range".into())
}

/// The error that every word out of place gets.
pub(super) fn syntax_error() -> Value {
    Value::Error("ERR syntax error".into())
}

/// An error that quotes what the client sent; its line ends become blanks, since an error is one line.
pub(super) fn error_quoting(before: &str, arg: &[u8], after: &str) -> Value {
    let mut line = before.as_bytes().to_vec();
    line.extend(arg.iter().map(|b| if matches!(b, b'\r' | b'\n') { b' ' } else { *b }));
    line.extend_from_slice(after.as_bytes());
    Value::Error(line)
}

/// A count as an integer reply.
pub(super) fn int(count: u64) -> Value {
    Value::Int(i64::try_from(count).unwrap_or(i64::MAX))
}

/// Text for one line of output; a path, say, may hold line ends, a line may not.
pub(super) fn one_line(text: &str) -> Cow<'_, str> {
    if text.contains(char::is_control) { text.replace(char::is_control, "?").into() } else { text.into() }
}

/// Where the words of a command line lie in it.
#[cfg(test)]
pub(super) fn spans_of_words(line: &str) -> Vec<Span> {
    let mut start = 0;
    let mut spans = Vec::new();
    for word in line.split(' ') {
        spans.push(Span::Buffer { start, len: word.len() as u32 });
        start += word.len() as u32 + 1;
    }
    spans
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_integers_are_integers() {
        assert_eq!(integer(b"-12"), Some(-12));
        for text in [&b""[..], b"1 ", b"0x1", b"1.0", b"9223372036854775808", b"1\0", b"\xff"] {
            assert_eq!(integer(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_quoted_argument_cannot_break_the_line() {
        assert_eq!(error_quoting("ERR no '", b"a\r\n+OK", "'"), Value::Error("ERR no 'a  +OK'".into()));
        assert_eq!(one_line("/tmp/a\nb:0"), "/tmp/a?b:0");
    }
}
