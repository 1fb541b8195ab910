//! The words of NATS and of JetStream. Whatever is answered goes to the inbox of the connection.

use std::io::Write as _;

use super::super::wire::Greeting;

/// Name of the consumer of every stream.
pub(in super::super) const CONSUMER: &str = "benchmark";

/// Nanoseconds that a request for jobs stands that expects them. A stream confirms a job a little before it gives it
/// out, so not to wait at all would be to miss some.
const SHORT: u64 = 5_000_000_000;

/// How long a request for jobs stands if there are none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Patience {
    Short,
    Endless,
}

/// A job; the stream answers that it has it.
pub(super) fn publish(out: &mut Vec<u8>, subject: &[u8], inbox: &[u8], body: &[u8]) {
    out.extend_from_slice(b"PUB ");
    out.extend_from_slice(subject);
    out.push(b' ');
    out.extend_from_slice(inbox);
    write!(out, " {}\r\n", body.len()).expect("memory takes all that is written");
    out.extend_from_slice(body);
    out.extend_from_slice(b"\r\n");
}

pub(super) fn fetch(out: &mut Vec<u8>, stream: &[u8], inbox: &[u8], jobs: u32, patience: Patience) {
    let options = match patience {
        Patience::Short => format!(r#"{{"batch":{jobs},"expires":{SHORT}}}"#),
        Patience::Endless => format!(r#"{{"batch":{jobs}}}"#),
    };
    out.extend_from_slice(b"PUB $JS.API.CONSUMER.MSG.NEXT.");
    out.extend_from_slice(stream);
    write!(out, ".{CONSUMER} ").expect("memory takes all that is written");
    out.extend_from_slice(inbox);
    write!(out, " {}\r\n{options}\r\n", options.len()).expect("memory takes all that is written");
}

/// The ID of a job is the subject to which its acknowledgement goes.
pub(super) fn ack(out: &mut Vec<u8>, id: &[u8]) {
    out.extend_from_slice(b"PUB ");
    out.extend_from_slice(id);
    out.extend_from_slice(b" 4\r\n+ACK\r\n");
}

/// What every connection says of itself. Headers carry what a stream has to say besides jobs.
pub(in super::super) fn hello(inbox: &[u8]) -> Vec<u8> {
    let mut bytes =
        br#"CONNECT {"verbose":false,"pedantic":false,"headers":true,"no_responders":true}"#.to_vec();
    bytes.extend_from_slice(b"\r\nSUB ");
    bytes.extend_from_slice(inbox);
    bytes.extend_from_slice(b" 1\r\nPING\r\n");
    bytes
}

pub(super) fn greeting(inbox: &[u8]) -> Greeting {
    Greeting { hears_first: true, bytes: hello(inbox), last: Some(b"PONG\r\n") }
}
