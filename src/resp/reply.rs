//! What clients need: replies of either protocol and their decoding; requests and their encoding.
//!
//! Single values are the work of `redis-protocol`. Arrays, sets and maps are taken apart here, because
//! its decoder loses the order of maps, refuses sets of arrays (which Redis sends) and knows the nulls of RESP2
//! only in a mode of its own, while a server that refused `HELLO 3` speaks RESP2 and a user may type `HELLO 2`.

use std::fmt;

use redis_protocol::resp3::decode::complete as resp3;
use redis_protocol::resp3::types::RangeFrame;

use super::write;

/// How deep replies may be nested. Real ones stay below ten; without a bound, a hostile one exhausts the stack.
const DEPTH_MAX: usize = 128;

/// One reply of the server, of either protocol.
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    /// A short text such as `OK`.
    Status(Vec<u8>),
    /// The server refused: code and text.
    Error(Vec<u8>),
    /// An integer.
    Integer(i64),
    /// A string of any bytes.
    Text(Vec<u8>),
    /// Text that is meant to be read as it is, never quoted.
    Verbatim(Vec<u8>),
    /// Nothing: the null of RESP3, or the null string of RESP2.
    Nil,
    /// The null array of RESP2, which says the same as [`Reply::Nil`].
    NilArray,
    /// True or false.
    Boolean(bool),
    /// A number with a fraction.
    Double(f64),
    /// Decimal digits, beyond 64 bits.
    BigNumber(Vec<u8>),
    /// A list.
    Array(Vec<Reply>),
    /// A list whose order says nothing.
    Set(Vec<Reply>),
    /// Keys and values in the order of the server.
    Map(Vec<(Reply, Reply)>),
    /// A message that answers no request.
    Push(Vec<Reply>),
}

impl Reply {
    /// The bytes of a string-like reply.
    pub fn bytes(&self) -> Option<&[u8]> {
        match self {
            Reply::Status(bytes) | Reply::Text(bytes) | Reply::Verbatim(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// The elements of an array or set.
    pub fn elements(&self) -> Option<&[Reply]> {
        match self {
            Reply::Array(elements) | Reply::Set(elements) | Reply::Push(elements) => Some(elements),
            _ => None,
        }
    }

    /// Name and value pairs: a map, or the flat array that RESP2 sends in place of one.
    pub fn pairs(&self) -> Option<Vec<(&Reply, &Reply)>> {
        match self {
            Reply::Map(pairs) => Some(pairs.iter().map(|(name, value)| (name, value)).collect()),
            Reply::Array(flat) if flat.len().is_multiple_of(2) => {
                Some(flat.chunks_exact(2).map(|pair| (&pair[0], &pair[1])).collect())
            }
            _ => None,
        }
    }

    /// Whether it says that there is nothing.
    pub fn is_nil(&self) -> bool {
        matches!(self, Reply::Nil | Reply::NilArray)
    }

    /// Whether the server refused the command.
    pub fn is_error(&self) -> bool {
        matches!(self, Reply::Error(_))
    }
}

/// Bytes that are no reply in either protocol.
#[derive(Debug, PartialEq)]
pub struct Garbled(String);

impl fmt::Display for Garbled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the reply is neither RESP2 nor RESP3 ({})", self.0)
    }
}

/// The request as an array of bulk strings, which both protocols share.
pub fn encode_request<Word: AsRef<[u8]>>(args: &[Word]) -> Vec<u8> {
    let mut wire = Vec::new();
    write::array(&mut wire, args.len());
    args.iter().for_each(|arg| write::bulk(&mut wire, arg.as_ref()));
    wire
}

/// The first reply in `buffer` and its length, or `None` if it is not complete yet.
///
/// Both protocols at once, since they differ only in how they write a null: so nobody has to track which one the
/// connection is in.
pub fn decode_reply(buffer: &[u8]) -> Result<Option<(Reply, usize)>, Garbled> {
    let mut cursor = Cursor { buffer, at: 0 };
    match cursor.reply(DEPTH_MAX) {
        Ok(reply) => Ok(Some((reply, cursor.at))),
        Err(Stop::Incomplete) => Ok(None),
        Err(Stop::Garbled(garbled)) => Err(garbled),
    }
}

/// Reads replies from their start; stands before the next one.
struct Cursor<'a> {
    buffer: &'a [u8],
    at: usize,
}

enum Stop {
    Incomplete,
    Garbled(Garbled),
}

impl Cursor<'_> {
    fn reply(&mut self, depth: usize) -> Result<Reply, Stop> {
        let rest = &self.buffer[self.at..];
        let kind = *rest.first().ok_or(Stop::Incomplete)?;
        if depth == 0 {
            return Err(garbled("nested too deeply"));
        }
        Ok(match kind {
            b'$' if rest.starts_with(b"$-1") => self.null(Reply::Nil)?,
            b'*' if rest.starts_with(b"*-1") => self.null(Reply::NilArray)?,
            b'*' => Reply::Array(self.elements(depth)?),
            b'~' => Reply::Set(self.elements(depth)?),
            b'>' => Reply::Push(self.elements(depth)?),
            b'%' => Reply::Map(self.pairs(depth)?),
            b'|' => {
                // Attributes describe the reply that follows to those who know them.
                self.pairs(depth)?;
                self.reply(depth - 1)?
            }
            b'+' | b'-' | b':' | b'$' | b'_' | b'#' | b',' | b'(' | b'=' | b'!' => self.leaf()?,
            other => return Err(garbled(&format!("it begins with {:?}", char::from(other)))),
        })
    }

    fn elements(&mut self, depth: usize) -> Result<Vec<Reply>, Stop> {
        // Not allocated in advance: a length is only a claim.
        (0..self.count()?).map(|_| self.reply(depth - 1)).collect()
    }

    fn pairs(&mut self, depth: usize) -> Result<Vec<(Reply, Reply)>, Stop> {
        (0..self.count()?).map(|_| Ok((self.reply(depth - 1)?, self.reply(depth - 1)?))).collect()
    }

    fn null(&mut self, null: Reply) -> Result<Reply, Stop> {
        match self.line()? {
            b"-1" => Ok(null),
            _ => Err(garbled("a negative length")),
        }
    }

    fn count(&mut self) -> Result<usize, Stop> {
        let digits = std::str::from_utf8(self.line()?).ok();
        digits.and_then(|digits| digits.parse().ok()).ok_or_else(|| garbled("no number of elements"))
    }

    /// What stands between the kind of a reply and the end of its first line.
    fn line(&mut self) -> Result<&[u8], Stop> {
        let rest = &self.buffer[self.at + 1..];
        let length = rest.windows(2).position(|pair| pair == b"\r\n").ok_or(Stop::Incomplete)?;
        self.at += 1 + length + 2;
        Ok(&rest[..length])
    }

    fn leaf(&mut self) -> Result<Reply, Stop> {
        let rest = &self.buffer[self.at..];
        match resp3::decode_range(rest) {
            Ok(Some((frame, length))) => {
                self.at += length;
                from_leaf(rest, &frame)
            }
            Ok(None) => Err(Stop::Incomplete),
            Err(error) => Err(garbled(error.details())),
        }
    }
}

fn garbled(reason: &str) -> Stop {
    Stop::Garbled(Garbled(reason.to_string()))
}

fn from_leaf(buffer: &[u8], frame: &RangeFrame) -> Result<Reply, Stop> {
    let slice = |(start, end): (usize, usize)| buffer[start..end].to_vec();
    Ok(match frame {
        RangeFrame::SimpleString { data, .. } => Reply::Status(slice(*data)),
        RangeFrame::SimpleError { data, .. } | RangeFrame::BlobError { data, .. } => {
            Reply::Error(slice(*data))
        }
        RangeFrame::Number { data, .. } => Reply::Integer(*data),
        RangeFrame::BlobString { data, .. } => Reply::Text(slice(*data)),
        RangeFrame::VerbatimString { data, .. } => Reply::Verbatim(slice(*data)),
        RangeFrame::Null => Reply::Nil,
        RangeFrame::Boolean { data, .. } => Reply::Boolean(*data),
        RangeFrame::Double { data, .. } => Reply::Double(*data),
        RangeFrame::BigNumber { data, .. } => Reply::BigNumber(slice(*data)),
        _ => return Err(garbled("a frame that servers do not send")),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(text: &str) -> Reply {
        Reply::Text(text.as_bytes().to_vec())
    }

    fn whole(wire: &[u8]) -> Reply {
        let (reply, length) = decode_reply(wire).expect("well-formed").expect("complete");
        assert_eq!(length, wire.len());
        reply
    }

    #[test]
    fn request_is_an_array_of_bulk_strings() {
        let wire = encode_request(&[b"PING".to_vec(), b"\r\n\0".to_vec()]);
        assert_eq!(&wire[..], b"*2\r\n$4\r\nPING\r\n$3\r\n\r\n\0\r\n");
    }

    #[test]
    fn all_three_nulls_are_told_apart_only_as_arrays() {
        assert_eq!(whole(b"$-1\r\n"), Reply::Nil);
        assert_eq!(whole(b"*-1\r\n"), Reply::NilArray);
        assert_eq!(whole(b"_\r\n"), Reply::Nil);
    }

    #[test]
    fn resp2_nulls_are_found_inside_an_array() {
        let expected = Reply::Array(vec![text("a"), Reply::Nil, Reply::NilArray, Reply::Integer(-7)]);
        assert_eq!(whole(b"*4\r\n$1\r\na\r\n$-1\r\n*-1\r\n:-7\r\n"), expected);
    }

    #[test]
    fn every_prefix_of_a_reply_asks_for_more() {
        for wire in [
            &b"*3\r\n$1\r\na\r\n$-1\r\n*1\r\n+x\r\n"[..],
            b"%1\r\n$1\r\nk\r\n*2\r\n_\r\n:1\r\n",
            b"=8\r\ntxt:some\r\n",
            b"-ERR no\r\n",
        ] {
            for cut in 0..wire.len() {
                assert_eq!(decode_reply(&wire[..cut]), Ok(None), "{cut} bytes of {wire:?}");
            }
            whole(wire);
        }
    }

    #[test]
    fn map_keeps_the_order_of_the_server() {
        let pairs: Vec<_> =
            ["z", "a", "m"].iter().enumerate().map(|(n, k)| (text(k), Reply::Integer(n as i64))).collect();
        assert_eq!(whole(b"%3\r\n$1\r\nz\r\n:0\r\n$1\r\na\r\n:1\r\n$1\r\nm\r\n:2\r\n"), Reply::Map(pairs));
    }

    #[test]
    fn error_need_not_be_utf8() {
        assert_eq!(whole(b"-ERR \xff\r\n"), Reply::Error(b"ERR \xff".to_vec()));
    }

    #[test]
    fn resp3_scalars_are_told_apart() {
        assert_eq!(whole(b"#t\r\n"), Reply::Boolean(true));
        assert_eq!(whole(b",1.5\r\n"), Reply::Double(1.5));
        assert_eq!(whole(b"(123456789012345678901\r\n"), Reply::BigNumber(b"123456789012345678901".to_vec()));
        assert_eq!(whole(b"=8\r\ntxt:some\r\n"), Reply::Verbatim(b"some".to_vec()));
        assert_eq!(whole(b"!5\r\nERR x\r\n"), Reply::Error(b"ERR x".to_vec()));
        assert_eq!(whole(b"~1\r\n+a\r\n"), Reply::Set(vec![Reply::Status(b"a".to_vec())]));
    }

    #[test]
    fn sets_and_maps_may_hold_anything() {
        let array = || Reply::Array(vec![Reply::Integer(1)]);
        assert_eq!(whole(b"~1\r\n*1\r\n:1\r\n"), Reply::Set(vec![array()]));
        assert_eq!(whole(b"%1\r\n*1\r\n:1\r\n*-1\r\n"), Reply::Map(vec![(array(), Reply::NilArray)]));
    }

    #[test]
    fn attributes_are_passed_over() {
        assert_eq!(whole(b"|1\r\n+ttl\r\n:9\r\n+OK\r\n"), Reply::Status(b"OK".to_vec()));
    }

    #[test]
    fn nesting_is_bounded() {
        assert!(decode_reply(&b"*1\r\n".repeat(DEPTH_MAX - 1)).is_ok());
        assert!(decode_reply(&b"*1\r\n".repeat(DEPTH_MAX + 1)).is_err());
    }

    #[test]
    fn absurd_lengths_are_refused_or_waited_for() {
        assert_eq!(decode_reply(b"*9999999999\r\n"), Ok(None));
        assert!(decode_reply(b"*99999999999999999999999\r\n").is_err());
        assert!(decode_reply(b"$-2\r\n").is_err());
        assert!(decode_reply(b"*-10\r\n").is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_panic(wire in "[-+:$*%~>|_#,(=!0-9tfx\r\n]{0,40}") {
            let _ = decode_reply(wire.as_bytes());
        }
    }

    #[test]
    fn text_of_another_protocol_is_garbled() {
        let error = decode_reply(b"HTTP/1.1 400 Bad Request\r\n").expect_err("no RESP");
        assert_eq!(error.to_string(), "the reply is neither RESP2 nor RESP3 (it begins with 'H')");
    }

    #[test]
    fn pairs_come_from_maps_and_flat_arrays_alike() {
        let flat = Reply::Array(vec![text("a"), text("b")]);
        let map = Reply::Map(vec![(text("a"), text("b"))]);
        assert_eq!(flat.pairs(), map.pairs());
        assert_eq!(Reply::Array(vec![text("a")]).pairs(), None);
    }
}
