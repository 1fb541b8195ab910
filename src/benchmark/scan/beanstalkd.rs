//! Replies of beanstalkd: a line, and behind some of them data of a length that the line tells.

use super::{Pick, Says, Scanned, line, malformed, number};
use crate::benchmark::fault::Fault;

pub(super) fn reply(bytes: &[u8], picks: &mut Vec<Pick>) -> Result<Option<Scanned>, Fault> {
    let Some(line) = line(bytes)? else { return Ok(None) };
    let end = line.len() + 2;
    let mut words = line.split(|byte| *byte == b' ');
    let first = words.next().unwrap_or_default();
    let says = match first {
        b"INSERTED" | b"DELETED" | b"USING" | b"WATCHING" => Says::Done,
        b"TIMED_OUT" | b"DEADLINE_SOON" | b"NOT_FOUND" | b"NOT_IGNORED" => Says::Nothing,
        b"RESERVED" | b"OK" => {
            let id = if first == b"RESERVED" { words.next().unwrap_or_default().len() } else { 0 };
            let len = words.next().and_then(number).ok_or_else(|| malformed(bytes))?;
            let whole = end + len + 2;
            if bytes.len() < whole {
                return Ok(None);
            }
            if id > 0 {
                let start = first.len() + 1;
                picks.push(Pick { id: start..start + id, body: end..end + len });
            }
            return Ok(Some(Scanned { len: whole, says: Says::Done }));
        }
        b"OUT_OF_MEMORY" | b"INTERNAL_ERROR" | b"BAD_FORMAT" | b"UNKNOWN_COMMAND" | b"EXPECTED_CRLF"
        | b"JOB_TOO_BIG" | b"DRAINING" | b"BURIED" => {
            return Err(Fault::Refused(String::from_utf8_lossy(line).into_owned()));
        }
        _ => return Err(malformed(bytes)),
    };
    Ok(Some(Scanned { len: end, says }))
}

#[cfg(test)]
mod tests {
    use super::super::whole_reply;
    use super::*;

    fn whole(bytes: &[u8]) -> (Scanned, Vec<Pick>) {
        whole_reply(reply, bytes)
    }

    #[test]
    fn reserved_job_is_picked_with_its_body() {
        let bytes = b"RESERVED 12 4\r\na\r\nb\r\n";
        let (scanned, picks) = whole(bytes);
        assert_eq!(scanned, Scanned { len: bytes.len(), says: Says::Done });
        assert_eq!(
            (&bytes[picks[0].id.clone()], &bytes[picks[0].body.clone()]),
            (&b"12"[..], &b"a\r\nb"[..])
        );
    }

    #[test]
    fn lines_tell_whether_something_was_done() {
        for (bytes, says) in [
            (b"INSERTED 5\r\n".as_slice(), Says::Done),
            (b"DELETED\r\n", Says::Done),
            (b"TIMED_OUT\r\n", Says::Nothing),
            (b"OK 2\r\nab\r\n", Says::Done),
        ] {
            assert_eq!(whole(bytes), (Scanned { len: bytes.len(), says }, Vec::new()));
        }
        assert!(matches!(reply(b"JOB_TOO_BIG\r\n", &mut Vec::new()), Err(Fault::Refused(_))));
        assert!(matches!(reply(b"+OK\r\n", &mut Vec::new()), Err(Fault::Malformed(_))));
        assert!(matches!(reply(b"RESERVED 1\r\n", &mut Vec::new()), Err(Fault::Malformed(_))));
    }
}
