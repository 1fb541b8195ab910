//! Replies of RESP2, which is what a connection speaks until it asks for more.

use std::ops::Range;

use super::{Pick, Says, Scanned, malformed};
use crate::benchmark::fault::Fault;

/// More elements than this in one reply are not a reply to anything we ask.
const MAX_ELEMENTS: i64 = 1 << 24;
/// Longest string a server may send.
const MAX_BULK_LEN: i64 = 1 << 30;
/// Strings per job: queue, ID, body; or, behind the key of a stream, ID, field, value.
const STRINGS_PER_JOB: u32 = 3;

/// How jobs look in replies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// As GETJOB answers.
    Job,
    /// As XREADGROUP answers for one stream.
    Entry,
    /// A string by itself, which is the body and, as there is no other, the ID.
    Bare,
    /// There are none.
    None,
}

/// Finds the reply at the start of the bytes; `None` if it is not complete.
pub(super) fn reply(bytes: &[u8], form: Form, picks: &mut Vec<Pick>) -> Result<Option<Scanned>, Fault> {
    let mut at = 0;
    let mut pending = 1;
    let mut bulks = 0;
    let mut says = Says::Done;
    while pending > 0 {
        let Some(end) = line_end(bytes, at)? else { return Ok(None) };
        let line = &bytes[at + 1..end - 2];
        pending -= 1;
        let outermost = at == 0;
        match bytes[at] {
            b'+' => {}
            b':' if outermost => says = integer(line).ok_or_else(|| malformed(bytes))?,
            b':' => {}
            b'-' => return Err(Fault::Refused(String::from_utf8_lossy(line).into_owned())),
            b'$' => {
                let len = length(line, MAX_BULK_LEN).ok_or_else(|| malformed(&bytes[at..]))?;
                let Ok(len) = usize::try_from(len) else {
                    if outermost {
                        says = Says::Nothing;
                    }
                    at = end;
                    continue;
                };
                // The string and its line end are beyond what has come, or the reply goes on behind them.
                if bytes.len() < end + len + 2 {
                    return Ok(None);
                }
                note_string(picks, form, bulks, end..end + len);
                bulks += 1;
                at = end + len + 2;
                continue;
            }
            b'*' => {
                let elements = length(line, MAX_ELEMENTS).ok_or_else(|| malformed(&bytes[at..]))?;
                if outermost && elements <= 0 {
                    says = Says::Nothing;
                }
                pending += elements.max(0);
            }
            _ => return Err(malformed(&bytes[at..])),
        }
        at = end;
    }
    Ok(Some(Scanned { len: at, says }))
}

/// Takes a string for the ID or the body of a job by its number in the reply.
fn note_string(picks: &mut Vec<Pick>, form: Form, number: u32, range: Range<usize>) {
    let place = number % STRINGS_PER_JOB;
    match (form, place) {
        (Form::Bare, _) | (Form::Job | Form::Entry, 1) => picks.push(Pick { id: range.clone(), body: range }),
        (Form::Job, 2) | (Form::Entry, 0) => {
            if let Some(pick) = picks.last_mut() {
                pick.body = range;
            }
        }
        _ => {}
    }
}

fn integer(digits: &[u8]) -> Option<Says> {
    let number: i64 = std::str::from_utf8(digits).ok()?.parse().ok()?;
    Some(if number == 0 { Says::Nothing } else { Says::Number(number) })
}

/// Where the line that starts at `at` ends, its CR LF included; `None` if it does not.
fn line_end(bytes: &[u8], at: usize) -> Result<Option<usize>, Fault> {
    // Most lines are lengths: a few digits, for which a search routine would only be a detour.
    let Some(line_feed) = bytes[at..].iter().position(|byte| *byte == b'\n') else { return Ok(None) };
    let end = at + line_feed + 1;
    // The type byte, CR and LF are the least there can be.
    let well_ended = line_feed >= 2 && bytes[end - 2] == b'\r';
    if well_ended { Ok(Some(end)) } else { Err(malformed(&bytes[at..])) }
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

#[cfg(test)]
mod tests {
    use super::*;

    const JOB: &[u8] = b"*1\r\n*3\r\n$1\r\nq\r\n$4\r\nD-12\r\n$3\r\na\r\n\r\n";

    fn scanned(bytes: &[u8]) -> Result<Option<Scanned>, Fault> {
        reply(bytes, Form::Job, &mut Vec::new())
    }

    fn whole(bytes: &[u8]) -> Scanned {
        scanned(bytes).expect("a reply").expect("complete")
    }

    fn picked(bytes: &[u8], form: Form) -> Vec<(&[u8], &[u8])> {
        let mut picks = Vec::new();
        reply(bytes, form, &mut picks).expect("a reply").expect("complete");
        picks.into_iter().map(|pick| (&bytes[pick.id], &bytes[pick.body])).collect()
    }

    #[test]
    fn ids_and_bodies_of_all_jobs_are_picked() {
        assert_eq!(picked(JOB, Form::Job), [(&b"D-12"[..], &b"a\r\n"[..])]);
        let two = b"*2\r\n*3\r\n$1\r\nq\r\n$1\r\nA\r\n$1\r\na\r\n*3\r\n$1\r\nq\r\n$1\r\nB\r\n$1\r\nb\r\n";
        assert_eq!(picked(two, Form::Job), [(&b"A"[..], &b"a"[..]), (b"B", b"b")]);
        let stream = b"*1\r\n*2\r\n$1\r\nq\r\n*2\r\n*2\r\n$3\r\n1-0\r\n*2\r\n$1\r\nb\r\n$1\r\nx\r\n\
                       *2\r\n$3\r\n2-0\r\n*2\r\n$1\r\nb\r\n$1\r\ny\r\n";
        assert_eq!(picked(stream, Form::Entry), [(&b"1-0"[..], &b"x"[..]), (b"2-0", b"y")]);
        assert_eq!(picked(b"$1\r\nx\r\n", Form::Bare), [(&b"x"[..], &b"x"[..])]);
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
                let cut_off = scanned(&bytes[..cut]);
                assert!(matches!(cut_off, Ok(None)), "{} cut at {cut}", bytes.escape_ascii());
            }
            assert_eq!(whole(bytes).len, bytes.len());
        }
    }

    #[test]
    fn null_empty_array_and_zero_say_that_nothing_was_done() {
        for void in [b"$-1\r\n".as_slice(), b"*-1\r\n", b"*0\r\n", b":0\r\n"] {
            assert_eq!(whole(void).says, Says::Nothing, "{}", void.escape_ascii());
        }
        for full in [b"$0\r\n\r\n".as_slice(), b"*1\r\n$-1\r\n", b"*1\r\n:0\r\n", b"+OK\r\n"] {
            assert_eq!(whole(full).says, Says::Done, "{}", full.escape_ascii());
        }
        assert_eq!(whole(b":10\r\n").says, Says::Number(10));
    }

    #[test]
    fn errors_are_found_with_their_text_also_within_arrays() {
        for (bytes, text) in [(b"-ERR no\r\n".as_slice(), "ERR no"), (b"*2\r\n:1\r\n-OOM x\r\n", "OOM x")] {
            let Err(Fault::Refused(said)) = scanned(bytes) else { panic!("{}", bytes.escape_ascii()) };
            assert_eq!(said, text);
        }
    }

    #[test]
    fn what_is_no_reply_is_refused() {
        for bytes in [
            b"HTTP/1.1 400\r\n".as_slice(),
            b"$x\r\n",
            b"$\r\n",
            b"$-2\r\n",
            b":x\r\n",
            b"$1073741825\r\n",
            b"+\n",
            b"+a\n",
            b"*16777217\r\n",
            b"*99999999999999999999\r\n",
        ] {
            assert!(matches!(scanned(bytes), Err(Fault::Malformed(_))), "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn longest_lengths_are_accepted() {
        assert!(matches!(scanned(b"$1073741824\r\n"), Ok(None)));
        assert!(matches!(scanned(b"*16777216\r\n"), Ok(None)));
    }
}
