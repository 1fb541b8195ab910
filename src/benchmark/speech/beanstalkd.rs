//! The words of beanstalkd. A connection uses one tube for all it does.

use std::io::Write as _;

use super::super::wire::Greeting;

/// Seconds after which a job that was reserved and not deleted is ready again: longer than any run.
const TIME_TO_RUN: u32 = 36_000;

pub(super) fn put(out: &mut Vec<u8>, body: &[u8]) {
    write!(out, "put 0 0 {TIME_TO_RUN} {}\r\n", body.len()).expect("memory takes all that is written");
    out.extend_from_slice(body);
    out.extend_from_slice(b"\r\n");
}

pub(super) fn delete(out: &mut Vec<u8>, id: &[u8]) {
    out.extend_from_slice(b"delete ");
    out.extend_from_slice(id);
    out.extend_from_slice(b"\r\n");
}

pub(super) fn use_tube(out: &mut Vec<u8>, tube: &[u8]) {
    out.extend_from_slice(b"use ");
    out.extend_from_slice(tube);
    out.extend_from_slice(b"\r\n");
}

/// Puts into the tube and reserves from it alone.
pub(super) fn greeting(tube: &[u8]) -> Greeting {
    let mut bytes = Vec::new();
    use_tube(&mut bytes, tube);
    bytes.extend_from_slice(b"watch ");
    bytes.extend_from_slice(tube);
    bytes.extend_from_slice(b"\r\nignore default\r\n");
    Greeting { hears_first: false, bytes, last: Some(b"WATCHING 1\r\n") }
}
