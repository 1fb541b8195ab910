//! Where replies end, and the one string of each that matters to us.
//!
//! Knows RESP2 only, which is what a connection speaks until it asks for more. Does not keep anything between
//! calls: whoever reads the bytes keeps those of a reply that is not complete yet and offers them again.

use std::ops::Range;

/// The bulk string to pick, counted from 0 across the whole reply. GETJOB answers queue, ID, body; XREADGROUP
/// answers key, ID, fields and values; so for both it is the second.
const PICKED: u32 = 1;
/// More elements than this in one reply are not a reply to anything we ask.
const MAX_ELEMENTS: i64 = 1 << 24;
/// Longest string a server may send.
const MAX_BULK_LEN: i64 = 1 << 30;
/// How much of bytes that are no reply is shown.
const EXCERPT_LEN: usize = 80;

/// A complete reply at the start of some bytes.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Reply {
    /// Its length in bytes.
    pub(super) len: usize,
    /// Where its second bulk string is.
    pub(super) picked: Option<Range<usize>>,
    /// Whether it says that nothing was done: null, an empty array or the number 0.
    pub(super) void: bool,
}

/// Bytes that are no reply, or a reply that is an error.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unwanted {
    Error(String),
    Malformed(String),
}

/// Finds the reply at the start of the bytes; `None` if it is not complete.
pub(super) fn reply(bytes: &[u8]) -> Result<Option<Reply>, Unwanted> {
    let mut at = 0;
    let mut pending = 1;
    let mut bulks = 0;
    let mut reply = Reply { len: 0, picked: None, void: false };
    while pending > 0 {
        let Some(end) = line_end(bytes, at)? else { return Ok(None) };
        let line = &bytes[at + 1..end - 2];
        pending -= 1;
        let outermost = at == 0;
        match bytes[at] {
            b'+' => {}
            b':' => reply.void = outermost && line == b"0",
            b'-' => return Err(Unwanted::Error(String::from_utf8_lossy(line).into_owned())),
            b'$' => {
                let len = length(line, MAX_BULK_LEN).ok_or_else(|| malformed(bytes, at))?;
                let Ok(len) = usize::try_from(len) else {
                    reply.void |= outermost;
                    at = end;
                    continue;
                };
                // The string and its line end are beyond what has come, or the reply goes on behind them.
                if bytes.len() < end + len + 2 {
                    return Ok(None);
                }
                if bulks == PICKED {
                    reply.picked = Some(end..end + len);
                }
                bulks += 1;
                at = end + len + 2;
                continue;
            }
            b'*' => {
                let elements = length(line, MAX_ELEMENTS).ok_or_else(|| malformed(bytes, at))?;
                reply.void |= outermost && elements <= 0;
                pending += elements.max(0);
            }
            _ => return Err(malformed(bytes, at)),
        }
        at = end;
    }
    reply.len = at;
    Ok(Some(reply))
}

/// Where the line that starts at `at` ends, its CR LF included; `None` if it does not.
fn line_end(bytes: &[u8], at: usize) -> Result<Option<usize>, Unwanted> {
    // Most lines are lengths: a few digits, for which a search routine would only be a detour.
    let Some(line_feed) = bytes[at..].iter().position(|byte| *byte == b'\n') else { return Ok(None) };
    let end = at + line_feed + 1;
    // The type byte, CR and LF are the least there can be.
    let well_ended = line_feed >= 2 && bytes[end - 2] == b'\r';
    if well_ended { Ok(Some(end)) } else { Err(malformed(bytes, at)) }
}

/// A length from −1 to the limit.
fn length(digits: &[u8], limit: i64) -> Option<i64> {
    if digits == b"-1" {
        return Some(-1);
    }
    // Checked by the length first, so that the sum cannot overflow.
    if digits.is_empty() || digits.len() > 10 {
        return None;
    }
    let mut value = 0;
    for digit in digits {
        if !digit.is_ascii_digit() {
            return None;
        }
        value = value * 10 + i64::from(digit - b'0');
    }
    (value <= limit).then_some(value)
}

fn malformed(bytes: &[u8], at: usize) -> Unwanted {
    let excerpt = &bytes[at..bytes.len().min(at + EXCERPT_LEN)];
    Unwanted::Malformed(String::from_utf8_lossy(excerpt).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const JOB: &[u8] = b"*1\r\n*3\r\n$1\r\nq\r\n$4\r\nD-12\r\n$3\r\na\r\n\r\n";

    fn whole(bytes: &[u8]) -> Reply {
        reply(bytes).expect("a reply").expect("complete")
    }

    #[test]
    fn second_string_of_a_reply_is_picked() {
        assert_eq!(&JOB[whole(JOB).picked.expect("there is one")], b"D-12");
        let stream = b"*1\r\n*2\r\n$1\r\nq\r\n*1\r\n*2\r\n$3\r\n1-0\r\n*2\r\n$1\r\nb\r\n$1\r\nx\r\n";
        assert_eq!(&stream[whole(stream).picked.expect("there is one")], b"1-0");
        assert_eq!(whole(b"$1\r\nx\r\n").picked, None);
    }

    #[test]
    fn reply_ends_where_the_next_begins() {
        for first in [JOB, b"+OK\r\n", b":12\r\n", b"$0\r\n\r\n", b"$-1\r\n", b"*-1\r\n", b"*0\r\n"] {
            let both = [first, b"+PONG\r\n"].concat();
            assert_eq!(whole(&both).len, first.len());
        }
    }

    #[test]
    fn a_reply_cut_anywhere_is_not_complete() {
        for bytes in [JOB, b"+OK\r\n", b":12\r\n", b"$0\r\n\r\n", b"$-1\r\n", b"*2\r\n:1\r\n$-1\r\n"] {
            for cut in 0..bytes.len() {
                assert_eq!(reply(&bytes[..cut]), Ok(None), "{} cut at {cut}", bytes.escape_ascii());
            }
            assert_eq!(whole(bytes).len, bytes.len());
        }
    }

    #[test]
    fn null_empty_array_and_zero_are_void() {
        for void in [b"$-1\r\n".as_slice(), b"*-1\r\n", b"*0\r\n", b":0\r\n"] {
            assert!(whole(void).void, "{}", void.escape_ascii());
        }
        for full in [b"$0\r\n\r\n".as_slice(), b"*1\r\n$-1\r\n", b"*1\r\n:0\r\n", b":10\r\n", b"+OK\r\n"] {
            assert!(!whole(full).void, "{}", full.escape_ascii());
        }
    }

    #[test]
    fn errors_are_found_with_their_text_also_within_arrays() {
        let error = |bytes| reply(bytes).expect_err("an error");
        assert_eq!(error(b"-ERR no\r\n"), Unwanted::Error("ERR no".to_string()));
        assert_eq!(error(b"*2\r\n:1\r\n-OOM x\r\n"), Unwanted::Error("OOM x".to_string()));
    }

    #[test]
    fn what_is_no_reply_is_refused() {
        for bytes in [
            b"HTTP/1.1 400\r\n".as_slice(),
            b"$x\r\n",
            b"$\r\n",
            b"$-2\r\n",
            b"$1073741825\r\n",
            b"+\n",
            b"+a\n",
            b"*16777217\r\n",
            b"*99999999999999999999\r\n",
        ] {
            assert!(matches!(reply(bytes), Err(Unwanted::Malformed(_))), "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn longest_lengths_are_accepted() {
        assert_eq!(reply(b"$1073741824\r\n"), Ok(None));
        assert_eq!(reply(b"*16777216\r\n"), Ok(None));
    }
}
