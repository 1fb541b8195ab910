//! Replies as a client library sees them. Written for speed and independent of the server's own code.

/// A reply, still in the bytes it came in.
#[derive(Clone, Debug, PartialEq)]
pub enum Value<'a> {
    Status(&'a [u8]),
    Error(&'a [u8]),
    Int(i64),
    Bulk(&'a [u8]),
    Nil,
    Array(Vec<Value<'a>>),
}

impl<'a> Value<'a> {
    pub fn bytes(&self) -> Option<&'a [u8]> {
        match self {
            Value::Status(bytes) | Value::Bulk(bytes) => Some(bytes),
            _ => None,
        }
    }

    pub fn items(&self) -> &[Value<'a>] {
        match self {
            Value::Array(items) => items,
            _ => &[],
        }
    }
}

/// The reply at the beginning of `bytes` and its length; `None` if it is not complete.
///
/// # Panics
/// On bytes that are no reply: the simulated wire does not garble client connections.
pub fn parse(bytes: &[u8]) -> Option<(Value<'_>, usize)> {
    let line_end = bytes.iter().position(|byte| *byte == b'\r')?;
    if bytes.len() < line_end + 2 {
        return None;
    }
    let (line, after) = (&bytes[1..line_end], line_end + 2);
    match bytes[0] {
        b'+' => Some((Value::Status(line), after)),
        b'-' => Some((Value::Error(line), after)),
        b':' => Some((Value::Int(number(line)), after)),
        b'$' => {
            let Ok(len) = usize::try_from(number(line)) else { return Some((Value::Nil, after)) };
            (bytes.len() >= after + len + 2)
                .then(|| (Value::Bulk(&bytes[after..after + len]), after + len + 2))
        }
        b'*' => {
            let Ok(count) = usize::try_from(number(line)) else { return Some((Value::Nil, after)) };
            let (mut items, mut at) = (Vec::with_capacity(count), after);
            for _ in 0..count {
                let (item, len) = parse(&bytes[at..])?;
                items.push(item);
                at += len;
            }
            Some((Value::Array(items), at))
        }
        other => panic!("a reply begins with {other:?}"),
    }
}

fn number(line: &[u8]) -> i64 {
    std::str::from_utf8(line).ok().and_then(|text| text.parse().ok()).expect("a length is a number")
}

/// A request in the form that client libraries send.
pub fn request(args: &[&[u8]]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(16 + args.iter().map(|arg| arg.len() + 16).sum::<usize>());
    header(b'*', args.len(), &mut bytes);
    for arg in args {
        header(b'$', arg.len(), &mut bytes);
        bytes.extend_from_slice(arg);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes
}

fn header(kind: u8, n: usize, bytes: &mut Vec<u8>) {
    use std::io::Write as _;
    bytes.push(kind);
    write!(bytes, "{n}\r\n").expect("writing to memory works");
}
