//! The words of this server and of Redis.
//!
//! With bodies that are all alike, LREM finds the oldest taken job at once. That is the best case for lists: with
//! acknowledgements out of order it walks through all that were taken.

use std::io::Write as _;

use super::super::peer::Peer;
use super::Speech;

/// Consumer group, and consumer, of the streams.
const GROUP: &[u8] = b"benchmark";
/// Answers the null server's lack of IDs: of the length of a real one.
const NO_ID: &[u8] = b"D-00000000-000000000000000000000000-05a1";

pub(super) fn add(speech: &Speech, out: &mut Vec<u8>, queue: u32, body: &[u8]) {
    let name = speech.queues[queue as usize].as_slice();
    match (speech.peer, speech.replicate) {
        (Peer::RedisLists, _) => request(out, [b"LPUSH", name, body]),
        (Peer::RedisStreams, _) => request(out, [b"XADD", name, b"*", b"b", body]),
        (_, None) => request(out, [b"ADDJOB", name, body, b"0"]),
        (_, Some(copies)) => {
            let copies = copies.to_string();
            request(out, [b"ADDJOB", name, body, b"0", b"REPLICATE", copies.as_bytes()]);
        }
    }
}

pub(super) fn get(speech: &Speech, out: &mut Vec<u8>, queue: u32, jobs: u32) {
    let name = speech.queues[queue as usize].as_slice();
    match speech.peer {
        Peer::RedisLists => move_one(speech, out, queue),
        Peer::RedisStreams => {
            let count = jobs.to_string();
            let count = count.as_bytes();
            request(out, [b"XREADGROUP", b"GROUP", GROUP, GROUP, b"COUNT", count, b"STREAMS", name, b">"]);
        }
        _ if jobs == 1 => request(out, [b"GETJOB", b"NOHANG", b"FROM", name]),
        _ => {
            let count = jobs.to_string();
            request(out, [b"GETJOB", b"NOHANG", b"COUNT", count.as_bytes(), b"FROM", name]);
        }
    }
}

fn move_one(speech: &Speech, out: &mut Vec<u8>, queue: u32) {
    let (name, taken) = (&speech.queues[queue as usize], &speech.taken[queue as usize]);
    request(out, [b"LMOVE", name, taken, b"RIGHT", b"LEFT"]);
}

pub(super) fn ack(speech: &Speech, out: &mut Vec<u8>, queue: u32, ids: &[&[u8]]) {
    let name = speech.queues[queue as usize].as_slice();
    match speech.peer {
        Peer::RedisLists => {
            let body = if speech.needs_ids() { ids[0] } else { speech.bodies.of(0) };
            request(out, [b"LREM", speech.taken[queue as usize].as_slice(), b"-1", body]);
        }
        Peer::RedisStreams => {
            words(out, &[b"XACK", name, GROUP], ids);
            words(out, &[b"XDEL", name], ids);
        }
        Peer::Null => {
            length(out, b'*', 1 + ids.len());
            word(out, b"ACKJOB");
            ids.iter().for_each(|_| word(out, NO_ID));
        }
        _ => words(out, &[b"ACKJOB"], ids),
    }
}

pub(super) fn wait(speech: &Speech, out: &mut Vec<u8>, queue: u32) {
    let name = speech.queues[queue as usize].as_slice();
    match speech.peer {
        Peer::RedisLists => {
            request(out, [b"BLMOVE", name, &speech.taken[queue as usize], b"RIGHT", b"LEFT", b"0"]);
        }
        Peer::RedisStreams => {
            let head = [b"XREADGROUP".as_slice(), b"GROUP", GROUP, GROUP, b"COUNT", b"1", b"BLOCK", b"0"];
            words(out, &head, &[b"STREAMS", name, b">"]);
        }
        _ => request(out, [b"GETJOB", b"FROM", name]),
    }
}

pub(super) fn len(speech: &Speech, out: &mut Vec<u8>, queue: u32) -> usize {
    let name = speech.queues[queue as usize].as_slice();
    match speech.peer {
        Peer::Disque => request(out, [b"QLEN", name]),
        Peer::RedisLists => request(out, [b"LLEN", name]),
        Peer::RedisStreams => request(out, [b"XLEN", name]),
        _ => return 0,
    }
    1
}

pub(super) fn create(speech: &Speech, out: &mut Vec<u8>, queue: u32) -> usize {
    if speech.peer != Peer::RedisStreams {
        return 0;
    }
    // A stream that is left over may have the group already.
    let removals = remove(speech, out, queue);
    request(out, [b"XGROUP", b"CREATE", &speech.queues[queue as usize], GROUP, b"$", b"MKSTREAM"]);
    removals + 1
}

pub(super) fn remove(speech: &Speech, out: &mut Vec<u8>, queue: u32) -> usize {
    match speech.peer {
        Peer::RedisLists => request(out, [b"DEL", speech.taken[queue as usize].as_slice()]),
        Peer::RedisStreams => request(out, [b"DEL", speech.queues[queue as usize].as_slice()]),
        _ => return 0,
    }
    1
}

/// Writes a request of these words.
pub(in super::super) fn request<const N: usize>(out: &mut Vec<u8>, words: [&[u8]; N]) {
    length(out, b'*', N);
    words.iter().for_each(|text| word(out, text));
}

fn words(out: &mut Vec<u8>, head: &[&[u8]], rest: &[&[u8]]) {
    length(out, b'*', head.len() + rest.len());
    head.iter().chain(rest).for_each(|text| word(out, text));
}

fn word(out: &mut Vec<u8>, text: &[u8]) {
    length(out, b'$', text.len());
    out.extend_from_slice(text);
    out.extend_from_slice(b"\r\n");
}

/// Lengths are short, and formatting them through `fmt` would be half the cost of a request.
fn length(out: &mut Vec<u8>, kind: u8, length: usize) {
    let digit = |number: usize| b'0' + number as u8;
    match length {
        0..=9 => out.extend_from_slice(&[kind, digit(length), b'\r', b'\n']),
        10..=99 => out.extend_from_slice(&[kind, digit(length / 10), digit(length % 10), b'\r', b'\n']),
        _ => write!(out, "{}{length}\r\n", char::from(kind)).expect("memory takes all that is written"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_framed_with_their_lengths() {
        let mut out = Vec::new();
        request(&mut out, [b"A".as_slice(), &[b'x'; 10], &[b'y'; 100], b""]);
        let expected = format!(
            "*4\r\n$1\r\nA\r\n$10\r\n{}\r\n$100\r\n{}\r\n$0\r\n\r\n",
            "x".repeat(10),
            "y".repeat(100)
        );
        assert_eq!(String::from_utf8(out), Ok(expected));
    }
}
