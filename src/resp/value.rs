//! Replies as values, for everything that is not hot: composed first, encoded for the connection's protocol
//! afterwards.
//!
//! Encoding is left to the `redis-protocol` crate. It cannot express three things: a null array in RESP2
//! (its null is always the null string), an error that is not UTF-8 (texts quote what clients sent), and a
//! RESP3 map whose keys repeat or are aggregates (its maps are hash maps). A value with one of these in it is
//! written by [`mod@write`], which the tests hold against the same crate.

use redis_protocol::resp2::{encode as encode2, types::OwnedFrame as Frame2, types::Resp2Frame};
use redis_protocol::resp3::types::{FrameMap, OwnedFrame as Frame3, Resp3Frame};
use redis_protocol::resp3::{encode::complete as encode3, types::FrameKind};

use super::{Protocol, write};

/// A reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// A short text such as `OK`.
    Status(String),
    /// An error: code and text, without the leading dash. May quote bytes that clients sent.
    Error(Vec<u8>),
    /// An integer.
    Int(i64),
    /// A string of any bytes.
    Bulk(Vec<u8>),
    /// Nothing, where something would be a string.
    NullBulk,
    /// Nothing, where something would be an array.
    NullArray,
    /// A list of values.
    Array(Vec<Value>),
    /// Keys and values in order: a flat array in RESP2, a map in RESP3.
    Map(Vec<(Value, Value)>),
}

impl Value {
    /// The status `OK`.
    pub fn ok() -> Value {
        Value::status("OK")
    }

    /// A status.
    pub fn status(text: impl Into<String>) -> Value {
        Value::Status(text.into())
    }

    /// An error; `text` begins with its code.
    pub fn error(text: impl Into<Vec<u8>>) -> Value {
        Value::Error(text.into())
    }

    /// A string.
    pub fn bulk(bytes: impl Into<Vec<u8>>) -> Value {
        Value::Bulk(bytes.into())
    }

    /// Appends the bytes that tell this value in `protocol`. Line ends in errors and statuses become blanks.
    pub fn encode(&self, protocol: Protocol, out: &mut Vec<u8>) {
        let start = out.len();
        let len = match protocol {
            Protocol::Resp2 => self.frame2().and_then(|frame| {
                out.resize(start + frame.encode_len(false), 0);
                encode2::encode(&mut out[start..], &frame, false).ok()
            }),
            Protocol::Resp3 => self.frame3().and_then(|frame| {
                out.resize(start + frame.encode_len(false), 0);
                encode3::encode(&mut out[start..], &frame, false).ok()
            }),
        };
        // The crate counts digits with floating point and may announce a byte too many for integers of 16
        // digits and more; what it says it wrote is right.
        out.truncate(start + len.unwrap_or(0));
        if len.is_none() {
            self.write(protocol, out);
        }
    }

    /// The same without the crate: this level is written, the levels below try the crate again.
    fn write(&self, protocol: Protocol, out: &mut Vec<u8>) {
        match self {
            Value::Status(text) => write::status(out, text.as_bytes()),
            Value::Error(text) => write::error(out, text),
            Value::Int(value) => write::int(out, *value),
            Value::Bulk(bytes) => write::bulk(out, bytes),
            Value::NullBulk => write::null(out, protocol),
            Value::NullArray => write::null_array(out, protocol),
            Value::Array(list) => {
                write::array(out, list.len());
                list.iter().for_each(|value| value.encode(protocol, out));
            }
            Value::Map(pairs) => {
                write::map(out, pairs.len(), protocol);
                pairs
                    .iter()
                    .flat_map(|(key, value)| [key, value])
                    .for_each(|value| value.encode(protocol, out));
            }
        }
    }

    /// The value as the crate sees it, if it can.
    fn frame2(&self) -> Option<Frame2> {
        Some(match self {
            Value::Status(text) => Frame2::SimpleString(one_line(text).into_bytes()),
            Value::Error(text) => Frame2::Error(one_line(std::str::from_utf8(text).ok()?)),
            Value::Int(value) => Frame2::Integer(*value),
            Value::Bulk(bytes) => Frame2::BulkString(bytes.clone()),
            Value::NullBulk => Frame2::Null,
            Value::NullArray => return None,
            Value::Array(list) => Frame2::Array(list.iter().map(Value::frame2).collect::<Option<_>>()?),
            Value::Map(pairs) => {
                let flat = pairs.iter().flat_map(|(key, value)| [key, value]);
                Frame2::Array(flat.map(Value::frame2).collect::<Option<_>>()?)
            }
        })
    }

    fn frame3(&self) -> Option<Frame3> {
        let attributes = None;
        Some(match self {
            Value::Status(text) => Frame3::SimpleString { data: one_line(text).into_bytes(), attributes },
            Value::Error(text) => {
                Frame3::SimpleError { data: one_line(std::str::from_utf8(text).ok()?), attributes }
            }
            Value::Int(value) => Frame3::Number { data: *value, attributes },
            Value::Bulk(bytes) => Frame3::BlobString { data: bytes.clone(), attributes },
            Value::NullBulk | Value::NullArray => Frame3::Null,
            Value::Array(list) => {
                Frame3::Array { data: list.iter().map(Value::frame3).collect::<Option<_>>()?, attributes }
            }
            Value::Map(pairs) => Frame3::Map { data: frame_map(pairs)?, attributes },
        })
    }
}

fn frame_map(pairs: &[(Value, Value)]) -> Option<FrameMap<Frame3, Frame3>> {
    let mut map = FrameMap::with_capacity(pairs.len());
    for (key, value) in pairs {
        let key = key.frame3()?;
        let hashable = FrameKind::can_hash(&key.kind());
        if !hashable || map.insert(key, value.frame3()?).is_some() {
            return None;
        }
    }
    Some(map)
}

fn one_line(text: &str) -> String {
    text.replace(['\r', '\n'], " ")
}

impl From<i64> for Value {
    fn from(value: i64) -> Value {
        Value::Int(value)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Value {
        Value::bulk(text)
    }
}

impl From<String> for Value {
    fn from(text: String) -> Value {
        Value::bulk(text)
    }
}

impl From<&[u8]> for Value {
    fn from(bytes: &[u8]) -> Value {
        Value::bulk(bytes)
    }
}

impl From<Vec<u8>> for Value {
    fn from(bytes: Vec<u8>) -> Value {
        Value::Bulk(bytes)
    }
}

impl From<Vec<Value>> for Value {
    fn from(list: Vec<Value>) -> Value {
        Value::Array(list)
    }
}

impl From<Vec<(Value, Value)>> for Value {
    fn from(pairs: Vec<(Value, Value)>) -> Value {
        Value::Map(pairs)
    }
}

impl FromIterator<Value> for Value {
    fn from_iter<I: IntoIterator<Item = Value>>(list: I) -> Value {
        Value::Array(list.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use redis_protocol::{resp2, resp3};

    use super::*;

    fn encoded(value: &Value, protocol: Protocol) -> Vec<u8> {
        let mut out = b"before".to_vec();
        value.encode(protocol, &mut out);
        out.split_off(6)
    }

    fn check(value: Value, resp2: &[u8], resp3: &[u8]) {
        assert_eq!(encoded(&value, Protocol::Resp2), resp2, "{value:?}");
        assert_eq!(encoded(&value, Protocol::Resp3), resp3, "{value:?}");
    }

    #[test]
    fn leaves_have_the_published_form() {
        check(Value::ok(), b"+OK\r\n", b"+OK\r\n");
        check(Value::error("ERR no"), b"-ERR no\r\n", b"-ERR no\r\n");
        check(Value::Int(-42), b":-42\r\n", b":-42\r\n");
        check("a\r\nb".into(), b"$4\r\na\r\nb\r\n", b"$4\r\na\r\nb\r\n");
        check(Value::NullBulk, b"$-1\r\n", b"_\r\n");
        check(Value::NullArray, b"*-1\r\n", b"_\r\n");
        check(Value::Array(Vec::new()), b"*0\r\n", b"*0\r\n");
    }

    #[test]
    fn maps_are_flat_in_resp2() {
        let map = Value::Map(vec![("a".into(), 1.into()), ("b".into(), Value::NullBulk)]);
        check(map, b"*4\r\n$1\r\na\r\n:1\r\n$1\r\nb\r\n$-1\r\n", b"%2\r\n$1\r\na\r\n:1\r\n$1\r\nb\r\n_\r\n");
    }

    #[test]
    fn maps_may_repeat_keys_or_have_lists_as_keys() {
        let list = || Value::Array(vec![Value::Int(1)]);
        check(
            Value::Map(vec![(list(), 1.into()), ("a".into(), 2.into()), ("a".into(), 3.into())]),
            b"*6\r\n*1\r\n:1\r\n:1\r\n$1\r\na\r\n:2\r\n$1\r\na\r\n:3\r\n",
            b"%3\r\n*1\r\n:1\r\n:1\r\n$1\r\na\r\n:2\r\n$1\r\na\r\n:3\r\n",
        );
    }

    #[test]
    fn line_ends_in_lines_become_blanks() {
        check(Value::error("ERR a\r\nb\n"), b"-ERR a  b \r\n", b"-ERR a  b \r\n");
        check(Value::error(b"ERR \xff\n"), b"-ERR \xff \r\n", b"-ERR \xff \r\n");
        check(Value::status("a\nb"), b"+a b\r\n", b"+a b\r\n");
    }

    #[test]
    fn null_arrays_and_any_errors_are_encoded_inside_arrays() {
        let value =
            Value::Array(vec![Value::Array(vec![Value::NullArray]), Value::error(b"\x80"), Value::ok()]);
        check(value, b"*3\r\n*1\r\n*-1\r\n-\x80\r\n+OK\r\n", b"*3\r\n*1\r\n_\r\n-\x80\r\n+OK\r\n");
    }

    #[test]
    fn integers_of_every_length_are_encoded() {
        for digits in 0..19 {
            for value in [10i64.pow(digits) - 1, 10i64.pow(digits), -(10i64.pow(digits) - 1)] {
                let text = format!(":{value}\r\n").into_bytes();
                check(Value::Int(value), &text, &text);
                let list = format!("*1\r\n:{value}\r\n").into_bytes();
                check([Value::Int(value)].into_iter().collect(), &list, &list);
            }
        }
        check(Value::Int(i64::MIN), b":-9223372036854775808\r\n", b":-9223372036854775808\r\n");
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            "[ -~\r\n]{0,12}".prop_map(Value::Status),
            prop::collection::vec(any::<u8>(), 0..12).prop_map(Value::Error),
            any::<i64>().prop_map(Value::Int),
            prop::collection::vec(any::<u8>(), 0..40).prop_map(Value::Bulk),
            Just(Value::NullBulk),
            Just(Value::NullArray),
        ];
        leaf.prop_recursive(3, 24, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::Array),
                prop::collection::vec((inner.clone(), inner), 0..6).prop_map(Value::Map),
            ]
        })
    }

    /// The value with the crate left out on every level.
    fn plain(value: &Value, protocol: Protocol, out: &mut Vec<u8>) {
        match value {
            Value::Array(list) => {
                write::array(out, list.len());
                list.iter().for_each(|value| plain(value, protocol, out));
            }
            Value::Map(pairs) => {
                write::map(out, pairs.len(), protocol);
                pairs.iter().for_each(|(key, value)| {
                    plain(key, protocol, out);
                    plain(value, protocol, out);
                });
            }
            leaf => leaf.write(protocol, out),
        }
    }

    proptest! {
        #[test]
        fn both_ways_of_encoding_agree(value in value()) {
            for protocol in [Protocol::Resp2, Protocol::Resp3] {
                let mut expected = Vec::new();
                plain(&value, protocol, &mut expected);
                prop_assert_eq!(encoded(&value, protocol), expected);
            }
        }

        #[test]
        fn what_the_crate_can_express_decodes_as_its_frame(value in value()) {
            if let Some(frame) = value.frame2() {
                let bytes = encoded(&value, Protocol::Resp2);
                prop_assert_eq!(resp2::decode::decode(&bytes).expect("valid"), Some((frame, bytes.len())));
            }
            if let Some(frame) = value.frame3() {
                let bytes = encoded(&value, Protocol::Resp3);
                prop_assert_eq!(resp3::decode::complete::decode(&bytes).expect("valid"), Some((frame, bytes.len())));
            }
        }
    }
}
