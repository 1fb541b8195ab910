//! Appends encoded values.

use std::io::Write;

use super::Protocol;

/// `+text`.
pub fn status(out: &mut Vec<u8>, text: &[u8]) {
    line(out, b'+', text);
}

/// `-text`.
pub fn error(out: &mut Vec<u8>, text: &[u8]) {
    line(out, b'-', text);
}

/// `:n`.
pub fn int(out: &mut Vec<u8>, n: i64) {
    let _ = write!(out, ":{n}\r\n");
}

/// A string of bytes.
pub fn bulk(out: &mut Vec<u8>, bytes: &[u8]) {
    bulk_header(out, bytes.len());
    out.extend_from_slice(bytes);
    out.extend_from_slice(b"\r\n");
}

/// What stands before the bytes.
pub fn bulk_header(out: &mut Vec<u8>, len: usize) {
    let _ = write!(out, "${len}\r\n");
}

/// What stands before the elements.
pub fn array(out: &mut Vec<u8>, len: usize) {
    let _ = write!(out, "*{len}\r\n");
}

/// What stands before the pairs.
pub fn map(out: &mut Vec<u8>, pairs: usize, protocol: Protocol) {
    match protocol {
        Protocol::Resp2 => array(out, pairs * 2),
        Protocol::Resp3 => {
            let _ = write!(out, "%{pairs}\r\n");
        }
    }
}

/// No string.
pub fn null(out: &mut Vec<u8>, protocol: Protocol) {
    let text: &[u8] = if protocol == Protocol::Resp2 { b"$-1\r\n" } else { b"_\r\n" };
    out.extend_from_slice(text);
}

/// No array.
pub fn null_array(out: &mut Vec<u8>, protocol: Protocol) {
    let text: &[u8] = if protocol == Protocol::Resp2 { b"*-1\r\n" } else { b"_\r\n" };
    out.extend_from_slice(text);
}

fn line(out: &mut Vec<u8>, kind: u8, text: &[u8]) {
    out.push(kind);
    out.extend_from_slice(text);
    out.extend_from_slice(b"\r\n");
}
