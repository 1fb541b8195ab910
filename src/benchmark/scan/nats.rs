//! What a NATS server says: lines, and behind MSG and HMSG a payload.
//!
//! A message whose reply subject is one of acknowledgements is a job. Others are answers of the stream, in JSON, or
//! a status without a payload, which ends a fetch.

use super::{Pick, Says, Scanned, line, malformed, number};
use crate::benchmark::fault::Fault;

/// Start of the subjects to which jobs are acknowledged.
const ACK_PREFIX: &[u8] = b"$JS.ACK.";
/// Words of a MSG line: subject, subscription, perhaps a reply subject, length. HMSG has the length of its head in
/// front of that.
const MSG_WORDS: std::ops::RangeInclusive<usize> = 3..=5;

pub(super) fn reply(bytes: &[u8], picks: &mut Vec<Pick>) -> Result<Option<Scanned>, Fault> {
    let Some(line) = line(bytes)? else { return Ok(None) };
    let end = line.len() + 2;
    let says = match line {
        b"PONG" => Says::Done,
        b"PING" => Says::AreYouThere,
        b"+OK" => Says::Remark,
        _ if line.starts_with(b"INFO ") => Says::Remark,
        _ if line.starts_with(b"-ERR") => {
            return Err(Fault::Refused(String::from_utf8_lossy(line).into_owned()));
        }
        _ if line.starts_with(b"MSG ") || line.starts_with(b"HMSG ") => {
            return message(bytes, line, end, picks);
        }
        _ => return Err(malformed(bytes)),
    };
    Ok(Some(Scanned { len: end, says }))
}

fn message(bytes: &[u8], line: &[u8], start: usize, picks: &mut Vec<Pick>) -> Result<Option<Scanned>, Fault> {
    let words: Vec<&[u8]> = line.split(|byte| *byte == b' ').skip(1).collect();
    let has_head = line[0] == b'H';
    if !MSG_WORDS.contains(&words.len()) {
        return Err(malformed(bytes));
    }
    let mut lengths = words.iter().rev().map_while(|word| number(word));
    let total = lengths.next().ok_or_else(|| malformed(bytes))?;
    let head = if has_head { lengths.next().ok_or_else(|| malformed(bytes))? } else { 0 };
    let len = start + total + 2;
    if head > total {
        return Err(malformed(bytes));
    }
    if bytes.len() < len {
        return Ok(None);
    }
    let payload = start + head..start + total;
    let reply_subject = words[2];
    if reply_subject.starts_with(ACK_PREFIX) {
        let id_start = "MSG ".len() + usize::from(has_head) + words[0].len() + words[1].len() + 2;
        picks.push(Pick { id: id_start..id_start + reply_subject.len(), body: payload });
        return Ok(Some(Scanned { len, says: Says::Done }));
    }
    if has_head && payload.is_empty() {
        return status(&bytes[start..start + head]).map(|says| Some(Scanned { len, says }));
    }
    let answer = &bytes[payload];
    if answer.windows(9).take(64).any(|part| part == br#"{"error":"#) || answer.starts_with(b"-ERR") {
        return Err(Fault::Refused(String::from_utf8_lossy(answer).into_owned()));
    }
    Ok(Some(Scanned { len, says: Says::Done }))
}

/// 404 and 408: there are no jobs, or no more.
fn status(head: &[u8]) -> Result<Says, Fault> {
    let first = head.split(|byte| *byte == b'\r').next().unwrap_or_default();
    match first.get(..12) {
        Some(b"NATS/1.0 404" | b"NATS/1.0 408") => Ok(Says::End),
        _ => Err(Fault::Refused(String::from_utf8_lossy(first).into_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::super::whole_reply;
    use super::*;

    fn whole(bytes: &[u8]) -> (Scanned, Vec<Pick>) {
        whole_reply(reply, bytes)
    }

    #[test]
    fn job_is_picked_with_the_subject_of_its_acknowledgement() {
        let plain = b"MSG q 1 $JS.ACK.q.c.1.2.3.4.5 3\r\nabc\r\n".as_slice();
        let headed = b"HMSG q 1 $JS.ACK.q.c.1.2.3.4.5 12 15\r\nNATS/1.0\r\n\r\nabc\r\n".as_slice();
        for bytes in [plain, headed] {
            let (scanned, picks) = whole(bytes);
            assert_eq!(scanned, Scanned { len: bytes.len(), says: Says::Done });
            assert_eq!(&bytes[picks[0].id.clone()], b"$JS.ACK.q.c.1.2.3.4.5");
            assert_eq!(&bytes[picks[0].body.clone()], b"abc");
        }
    }

    #[test]
    fn answers_of_the_stream_are_no_jobs_and_errors_are_faults() {
        let good = b"MSG _INBOX.1 1 24\r\n{\"stream\":\"q\", \"seq\":11}\r\n";
        assert_eq!(whole(good), (Scanned { len: good.len(), says: Says::Done }, Vec::new()));
        let bad = b"MSG _INBOX.1 1 22\r\n{\"error\":{\"code\":503}}\r\n";
        assert!(matches!(reply(bad, &mut Vec::new()), Err(Fault::Refused(_))));
        assert!(matches!(reply(b"-ERR 'no'\r\n", &mut Vec::new()), Err(Fault::Refused(_))));
    }

    #[test]
    fn status_without_jobs_ends_a_fetch() {
        let none = b"HMSG _INBOX.1 1 28 28\r\nNATS/1.0 404 No Messages\r\n\r\n\r\n";
        assert_eq!(whole(none).0.says, Says::End);
        let nobody = b"HMSG _INBOX.1 1 16 16\r\nNATS/1.0 503\r\n\r\n\r\n";
        assert!(matches!(reply(nobody, &mut Vec::new()), Err(Fault::Refused(_))));
    }

    #[test]
    fn what_the_server_says_of_itself_is_no_reply() {
        assert_eq!(whole(b"PING\r\n").0.says, Says::AreYouThere);
        assert_eq!(whole(b"INFO {}\r\n").0.says, Says::Remark);
        assert_eq!(whole(b"PONG\r\n").0.says, Says::Done);
        for bytes in [b"MSG q\r\n".as_slice(), b"MSG a b c d\r\n", b"HMSG a 1 9 3\r\n", b"OK\r\n", b"\n"] {
            assert!(matches!(reply(bytes, &mut Vec::new()), Err(Fault::Malformed(_))));
        }
    }
}
