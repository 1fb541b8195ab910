//! Replies as a client sees them: decoded by a crate that is not ours.

use disque::resp::{Output, Protocol};
use redis_protocol::{resp2, resp3};

/// Takes all bytes out of the output.
pub(super) fn drain(output: &mut Output) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(output.len());
    while !output.is_empty() {
        let mut slices = [std::io::IoSlice::new(&[]); 16];
        let count = output.slices(&mut slices);
        assert!(count > 0, "an output that is not empty has something to send");
        slices[..count].iter().for_each(|slice| bytes.extend_from_slice(slice));
        let sent = slices[..count].iter().map(|slice| slice.len()).sum();
        output.consume(sent);
    }
    bytes
}

/// Panics unless the bytes are exactly one reply.
pub(super) fn assert_one_reply(bytes: &[u8], protocol: Protocol) {
    let bytes = &readable(bytes);
    let len = match protocol {
        Protocol::Resp2 => resp2::decode::decode(bytes).ok().flatten().map(|(_, len)| len),
        Protocol::Resp3 => resp3::decode::complete::decode(bytes).ok().flatten().map(|(_, len)| len),
    };
    assert_eq!(len, Some(bytes.len()), "one {protocol:?} reply: {}", bytes.escape_ascii());
}

/// The crate insists on errors that are UTF-8; ours repeat what clients sent.
fn readable(bytes: &[u8]) -> Vec<u8> {
    let is_error = bytes.starts_with(b"-");
    bytes.iter().map(|byte| if is_error && !byte.is_ascii() { b'?' } else { *byte }).collect()
}
