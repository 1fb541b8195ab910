//! Bytes cut anywhere, read as requests.
//!
//! The first two bytes choose the cuts, and `0xFF` as the first one allows a long stream; the rest is the stream,
//! see [`expand`]. Claims:
//! * where the stream is cut, and whether large arguments are read in place, changes no request;
//! * what is held is bounded by what has come, not by what was announced;
//! * a request that another implementation understands too has the same arguments in both.
//!
//! One thing depends on the cuts by design: a line is too long once that many bytes of it have come without its
//! end. In one piece, the end is there.

use disque::resp::{LARGE_FROM, LargeArg, Next, ProtocolError, RequestReader};
use redis_protocol::resp2;
use redis_protocol::resp2::types::{OwnedFrame, Resp2Frame};

use super::pieces::{Cuts, FEW, MANY, expand};

type Request = Vec<Vec<u8>>;

/// Longest stream that is also read byte by byte.
const EVERYWHERE_UP_TO: usize = 512;

pub(super) fn run(data: &[u8]) {
    let Some(([high, low], input)) = data.split_first_chunk().map(|([a, b], rest)| ([*a, *b], rest)) else {
        return;
    };
    let stream = expand(input, if high == 0xFF { MANY } else { FEW });
    let whole = read(&stream, Cuts::Nowhere, LargeInto::Buffer);
    whole
        .requests
        .iter()
        .zip(&whole.bytes_of)
        .for_each(|(request, bytes)| compare_with_crate(request, bytes));
    let seeded = Cuts::Seeded(u16::from_be_bytes([high, low]));
    let cut: &[Cuts] = if stream.len() <= EVERYWHERE_UP_TO { &[seeded, Cuts::Everywhere] } else { &[seeded] };
    for cuts in cut {
        for into in [LargeInto::Buffer, LargeInto::Place] {
            compare(&whole, &read(&stream, *cuts, into));
        }
    }
    well_formed_requests_are_read(input, seeded);
}

pub(super) fn words() -> Vec<Vec<u8>> {
    let words: [&[u8]; 20] = [
        b"*1\r\n$4\r\nPING\r\n",
        b"*2\r\n$1\r\na\r\n$0\r\n\r\n",
        b"*3\r\n",
        b"*0\r\n",
        b"*-1\r\n",
        b"*1048576\r\n",
        b"$0\r\n\r\n",
        b"$5\r\n",
        b"$-1\r\n",
        b"$32768\r\n",
        b"$40000\r\n",
        b"$1048577\r\n",
        b"$536870912\r\n",
        b"\r\n",
        b"PING \"a\\x41\"\r\n",
        b"'",
        b"\"",
        b"\xfe\x20x",
        b"\xfe\x40\n",
        b"\xfe\xff1",
    ];
    words.iter().map(|word| word.to_vec()).collect()
}

/// What became of a stream.
#[derive(Debug, Default)]
struct Outcome {
    requests: Vec<Request>,
    /// The bytes that each request took, empty requests before it included.
    bytes_of: Vec<Vec<u8>>,
    error: Option<ProtocolError>,
}

/// Where bytes of a large argument are read to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LargeInto {
    /// The connection's buffer, like all others.
    Buffer,
    /// Right where they belong.
    Place,
}

/// Reads the stream as a connection would.
fn read(stream: &[u8], cuts: Cuts, into: LargeInto) -> Outcome {
    let mut reader = RequestReader::new();
    let mut buffer = Vec::new();
    let mut outcome = Outcome::default();
    let mut arrived = 0;
    for piece in cuts.of(stream) {
        arrived += piece.len();
        let rest = if into == LargeInto::Place { read_in_place(&mut reader, piece) } else { piece };
        buffer.extend_from_slice(rest);
        if let Err(error) = run_requests(&mut reader, &mut buffer, arrived, &mut outcome) {
            outcome.error = Some(error);
            break;
        }
    }
    outcome
}

/// Gives the large argument that is incomplete its bytes, and says what is left of the piece.
fn read_in_place<'a>(reader: &mut RequestReader, mut piece: &'a [u8]) -> &'a [u8] {
    while let Some(LargeArg { bytes, room }) = reader.large() {
        assert!(room > 0, "there is room for what is asked for");
        let capacity = bytes.capacity();
        let (fits, rest) = piece.split_at(room.min(piece.len()));
        bytes.extend_from_slice(fits);
        assert_eq!(bytes.capacity(), capacity, "reading within the room does not allocate");
        piece = rest;
        if fits.len() < room {
            break;
        }
    }
    piece
}

fn run_requests(
    reader: &mut RequestReader,
    buffer: &mut Vec<u8>,
    arrived: usize,
    outcome: &mut Outcome,
) -> Result<(), ProtocolError> {
    let mut at = 0;
    loop {
        let rest = &buffer[at..];
        let next = reader.next(rest)?;
        assert_bounded(reader.held_bytes() + rest.len(), arrived);
        match next {
            Next::Request { end } => {
                assert_eq!(reader.next(rest), Ok(next), "the same is said again");
                let args = reader.args(rest).to_vecs();
                assert!(!args.is_empty() && end <= rest.len());
                outcome.requests.push(args);
                outcome.bytes_of.push(rest[..end].to_vec());
                reader.finish();
                at += end;
            }
            Next::NeedMore { keep } => {
                assert!(keep <= rest.len());
                buffer.truncate(at + keep);
                buffer.drain(..at);
                return Ok(());
            }
        }
    }
}

/// An argument may be announced by three bytes (`"" `) and then takes a place in two lists that double.
fn assert_bounded(held: usize, arrived: usize) {
    const FIRST_RESERVATION: usize = 1 << 20;
    const LISTS: usize = 8192;
    let bound = FIRST_RESERVATION + LISTS + 32 * arrived;
    assert!(held <= bound, "{held} bytes held after {arrived} came");
}

fn compare(whole: &Outcome, cut: &Outcome) {
    use ProtocolError::{CountLineTooLong, InlineTooLong, LengthLineTooLong};
    if let Some(InlineTooLong | CountLineTooLong | LengthLineTooLong) = cut.error {
        let so_far = whole.requests.get(..cut.requests.len());
        return assert_eq!(so_far, Some(&cut.requests[..]), "the same up to the long line");
    }
    assert_eq!(whole.requests, cut.requests);
    assert_eq!(whole.error, cut.error);
}

/// What the crate reads in the same bytes, if it can read them: it is stricter about line ends.
fn compare_with_crate(request: &Request, bytes: &[u8]) {
    let is_exact = bytes == multibulk(request);
    // Behind empty requests, or inline, there is nothing that the crate would know.
    if !bytes.starts_with(b"*") || (!is_exact && (bytes.starts_with(b"*0") || bytes.starts_with(b"*-"))) {
        return;
    }
    match resp2::decode::decode(bytes) {
        Ok(Some((frame, used))) => {
            assert_eq!(used, bytes.len(), "both see the same end");
            assert_eq!(frame, frame_of(request));
        }
        other => assert!(!is_exact, "{other:?} for {}", bytes.escape_ascii()),
    }
}

/// What another implementation writes is read, wherever it is cut.
fn well_formed_requests_are_read(input: &[u8], cuts: Cuts) {
    let request: Request = input.split(|byte| *byte == b' ').map(|arg| expand(arg, LARGE_FROM + 1)).collect();
    let frame = frame_of(&request);
    let mut bytes = vec![0; frame.encode_len(false)];
    let len =
        resp2::encode::encode(&mut bytes, &frame, false).expect("there is as much room as it asked for");
    bytes.truncate(len);
    let twice = bytes.repeat(2);
    // Twice the longest large argument, so that the second one begins in a buffer with a past.
    let outcome = read(if twice.len() < 4 * LARGE_FROM { &twice } else { &bytes }, cuts, LargeInto::Place);
    assert_eq!(outcome.error, None);
    assert!(!outcome.requests.is_empty() && outcome.requests.iter().all(|read| *read == request));
}

fn frame_of(request: &Request) -> OwnedFrame {
    OwnedFrame::Array(request.iter().cloned().map(OwnedFrame::BulkString).collect())
}

fn multibulk(request: &Request) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", request.len()).into_bytes();
    for arg in request {
        bytes.extend_from_slice(format!("${}\r\n", arg.len()).as_bytes());
        bytes.extend_from_slice(arg);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes
}
