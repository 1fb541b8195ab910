//! Replies written straight into a buffer, for those too frequent to become a [`Value`](super::Value) first.
//!
//! A reply of one job is some dozen pieces; as a tree of frames, building it costs more than everything else
//! GETJOB does. The tests decode all of this with the same crate that encodes values.

use super::Protocol;

/// A status, such as `OK`. Line ends inside become blanks, since they would end the reply.
pub fn status(out: &mut Vec<u8>, text: &[u8]) {
    line(out, b'+', text);
}

/// A status that is known to have no line end inside: a job ID.
pub fn plain_status(out: &mut Vec<u8>, text: &[u8]) {
    out.push(b'+');
    out.extend_from_slice(text);
    out.extend_from_slice(b"\r\n");
}

/// An error: its code and text, without the leading dash. Line ends inside become blanks.
pub fn error(out: &mut Vec<u8>, text: &[u8]) {
    line(out, b'-', text);
}

/// An integer.
pub fn int(out: &mut Vec<u8>, value: i64) {
    number_line(out, b':', value < 0, value.unsigned_abs());
}

/// A string of any bytes.
pub fn bulk(out: &mut Vec<u8>, bytes: &[u8]) {
    bulk_header(out, bytes.len());
    out.extend_from_slice(bytes);
    out.extend_from_slice(b"\r\n");
}

/// What precedes a string whose `len` bytes, and the CR LF after them, the caller adds.
pub fn bulk_header(out: &mut Vec<u8>, len: usize) {
    number_line(out, b'$', false, len as u64);
}

/// What precedes the `len` elements of an array.
pub fn array(out: &mut Vec<u8>, len: usize) {
    number_line(out, b'*', false, len as u64);
}

/// What precedes `pairs` keys, each followed by its value: in RESP2 they are a flat array.
pub fn map(out: &mut Vec<u8>, pairs: usize, protocol: Protocol) {
    match protocol {
        Protocol::Resp2 => array(out, pairs * 2),
        Protocol::Resp3 => number_line(out, b'%', false, pairs as u64),
    }
}

/// Nothing, where something would be a string.
pub fn null(out: &mut Vec<u8>, protocol: Protocol) {
    out.extend_from_slice(match protocol {
        Protocol::Resp2 => b"$-1\r\n",
        Protocol::Resp3 => b"_\r\n",
    });
}

/// Nothing, where something would be an array.
pub fn null_array(out: &mut Vec<u8>, protocol: Protocol) {
    out.extend_from_slice(match protocol {
        Protocol::Resp2 => b"*-1\r\n",
        Protocol::Resp3 => b"_\r\n",
    });
}

fn line(out: &mut Vec<u8>, sigil: u8, text: &[u8]) {
    out.reserve(text.len() + 3);
    out.push(sigil);
    out.extend(text.iter().map(|byte| if matches!(byte, b'\r' | b'\n') { b' ' } else { *byte }));
    out.extend_from_slice(b"\r\n");
}

/// Sigil, a sign if `negative`, digits and line end.
fn number_line(out: &mut Vec<u8>, sigil: u8, negative: bool, magnitude: u64) {
    let digit = |unit: u64| b'0' + (magnitude / unit % 10) as u8;
    // Nearly all numbers are short, and what has a fixed length is appended without a loop and a call.
    match magnitude {
        _ if negative => long_number_line(out, sigil, negative, magnitude),
        0..10 => out.extend_from_slice(&[sigil, digit(1), b'\r', b'\n']),
        10..100 => out.extend_from_slice(&[sigil, digit(10), digit(1), b'\r', b'\n']),
        100..1000 => out.extend_from_slice(&[sigil, digit(100), digit(10), digit(1), b'\r', b'\n']),
        _ => long_number_line(out, sigil, negative, magnitude),
    }
}

/// The same for any number, made from the right and appended in one go.
fn long_number_line(out: &mut Vec<u8>, sigil: u8, negative: bool, magnitude: u64) {
    const LEN: usize = 1 + 1 + 20 + 2;
    let mut text = [0; LEN];
    text[LEN - 2..].copy_from_slice(b"\r\n");
    let mut at = LEN - 2;
    let mut rest = magnitude;
    loop {
        at -= 1;
        text[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    if negative {
        at -= 1;
        text[at] = b'-';
    }
    at -= 1;
    text[at] = sigil;
    out.extend_from_slice(&text[at..]);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use redis_protocol::{resp2, resp3};

    use super::*;

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
        let mut out = Vec::new();
        write(&mut out);
        out
    }

    fn decode2(bytes: &[u8]) -> resp2::types::OwnedFrame {
        let (frame, used) = resp2::decode::decode(bytes).expect("valid").expect("complete");
        assert_eq!(used, bytes.len());
        frame
    }

    fn decode3(bytes: &[u8]) -> resp3::types::OwnedFrame {
        let (frame, used) = resp3::decode::complete::decode(bytes).expect("valid").expect("complete");
        assert_eq!(used, bytes.len());
        frame
    }

    fn bulk3(bytes: &[u8]) -> resp3::types::OwnedFrame {
        resp3::types::OwnedFrame::BlobString { data: bytes.to_vec(), attributes: None }
    }

    #[test]
    fn the_bytes_are_those_of_the_protocol() {
        assert_eq!(written(|out| status(out, b"OK")), b"+OK\r\n");
        assert_eq!(written(|out| plain_status(out, b"OK")), b"+OK\r\n");
        assert_eq!(written(|out| error(out, b"ERR a\r\nb")), b"-ERR a  b\r\n");
        assert_eq!(written(|out| int(out, i64::MIN)), b":-9223372036854775808\r\n");
        assert_eq!(written(|out| int(out, i64::MAX)), b":9223372036854775807\r\n");
        for number in [0, 9, 10, 99, 100, 999, 1000, -1, -10] {
            assert_eq!(written(|out| int(out, number)), format!(":{number}\r\n").as_bytes());
        }
        assert_eq!(written(|out| bulk(out, b"")), b"$0\r\n\r\n");
        assert_eq!(written(|out| bulk_header(out, usize::MAX)), b"$18446744073709551615\r\n");
        assert_eq!(written(|out| array(out, 10)), b"*10\r\n");
        assert_eq!(written(|out| map(out, 7, Protocol::Resp2)), b"*14\r\n");
        assert_eq!(written(|out| map(out, 7, Protocol::Resp3)), b"%7\r\n");
        assert_eq!(written(|out| null(out, Protocol::Resp2)), b"$-1\r\n");
        assert_eq!(written(|out| null(out, Protocol::Resp3)), b"_\r\n");
        assert_eq!(written(|out| null_array(out, Protocol::Resp2)), b"*-1\r\n");
        assert_eq!(written(|out| null_array(out, Protocol::Resp3)), b"_\r\n");
    }

    #[test]
    fn nulls_decode_as_nothing() {
        assert_eq!(decode2(&written(|out| null(out, Protocol::Resp2))), resp2::types::OwnedFrame::Null);
        assert_eq!(decode2(&written(|out| null_array(out, Protocol::Resp2))), resp2::types::OwnedFrame::Null);
        assert_eq!(decode3(&written(|out| null(out, Protocol::Resp3))), resp3::types::OwnedFrame::Null);
    }

    proptest! {
        #[test]
        fn integers_decode_as_themselves(wide: i64, shift in 0..64u32) {
            let value = wide >> shift;
            let bytes = written(|out| int(out, value));
            prop_assert_eq!(decode2(&bytes), resp2::types::OwnedFrame::Integer(value));
            prop_assert_eq!(decode3(&bytes), resp3::types::OwnedFrame::Number { data: value, attributes: None });
        }

        #[test]
        fn strings_in_arrays_decode_as_themselves(
            list in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..12),
        ) {
            let bytes = written(|out| {
                array(out, list.len());
                list.iter().for_each(|item| bulk(out, item));
            });
            let frames = list.iter().cloned().map(resp2::types::OwnedFrame::BulkString).collect();
            prop_assert_eq!(decode2(&bytes), resp2::types::OwnedFrame::Array(frames));
            let data = list.iter().map(|item| bulk3(item)).collect();
            prop_assert_eq!(decode3(&bytes), resp3::types::OwnedFrame::Array { data, attributes: None });
        }

        #[test]
        fn maps_decode_as_maps_or_flat_arrays(keys in prop::collection::btree_set("[a-z]{0,9}", 0..12), value: i64) {
            let entries = |protocol| written(|out| {
                map(out, keys.len(), protocol);
                keys.iter().for_each(|key| { bulk(out, key.as_bytes()); int(out, value) });
            });
            let flat = keys.iter().flat_map(|key| {
                let key = resp2::types::OwnedFrame::BulkString(key.as_bytes().to_vec());
                [key, resp2::types::OwnedFrame::Integer(value)]
            });
            prop_assert_eq!(decode2(&entries(Protocol::Resp2)), resp2::types::OwnedFrame::Array(flat.collect()));
            let number = || resp3::types::OwnedFrame::Number { data: value, attributes: None };
            let data = keys.iter().map(|key| (bulk3(key.as_bytes()), number())).collect();
            prop_assert_eq!(decode3(&entries(Protocol::Resp3)), resp3::types::OwnedFrame::Map { data, attributes: None });
        }

        #[test]
        fn lines_decode_with_blanks_for_line_ends(text in "[ -~\r\né]{0,40}") {
            let shown = text.replace(['\r', '\n'], " ");
            let bytes = written(|out| error(out, text.as_bytes()));
            prop_assert_eq!(decode2(&bytes), resp2::types::OwnedFrame::Error(shown.clone()));
            prop_assert_eq!(
                decode3(&bytes),
                resp3::types::OwnedFrame::SimpleError { data: shown.clone(), attributes: None }
            );
            let bytes = written(|out| status(out, text.as_bytes()));
            prop_assert_eq!(decode2(&bytes), resp2::types::OwnedFrame::SimpleString(shown.into_bytes()));
        }
    }
}
