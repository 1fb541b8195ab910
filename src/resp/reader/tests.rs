use std::io::Read;

use proptest::prelude::*;
use redis_protocol::resp2;

use super::*;

type Request = Vec<Vec<u8>>;

/// A connection as the shell keeps one.
#[derive(Default)]
struct Connection {
    reader: RequestReader,
    buffer: Vec<u8>,
    requests: Vec<Request>,
    /// Bytes of `pieces` so far.
    fed: usize,
    calls: usize,
}

/// Where a connection reads bytes of a large argument to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Into {
    Buffer,
    Large,
}

impl Connection {
    fn feed(&mut self, mut piece: &[u8], into: Into) -> Result<(), ProtocolError> {
        self.fed += piece.len();
        if into == Into::Large {
            while let Some(LargeArg { bytes, room }) = self.reader.large() {
                let capacity = bytes.capacity();
                let read = piece.by_ref().take(room as u64).read_to_end(bytes).expect("memory");
                assert_eq!(bytes.capacity(), capacity, "reading within the room does not allocate");
                if read < room {
                    break;
                }
            }
        }
        self.buffer.extend_from_slice(piece);
        loop {
            self.calls += 1;
            match self.reader.next(&self.buffer)? {
                Next::Request { end } => {
                    assert_eq!(self.reader.next(&self.buffer), Ok(Next::Request { end }), "said again");
                    self.requests.push(self.reader.args(&self.buffer).to_vecs());
                    self.buffer.drain(..end);
                    self.reader.finish();
                }
                Next::NeedMore { keep } => {
                    self.buffer.truncate(keep);
                    let held = self.reader.held_bytes() + self.buffer.len();
                    assert!(held <= FIRST_RESERVATION + 8192 + 20 * self.fed, "{held} of {}", self.fed);
                    return Ok(());
                }
            }
        }
    }
}

fn read_pieces<'a>(
    pieces: impl IntoIterator<Item = &'a [u8]>,
    into: Into,
) -> (Vec<Request>, Option<ProtocolError>, usize) {
    let mut connection = Connection::default();
    let error = pieces.into_iter().find_map(|piece| connection.feed(piece, into).err());
    (connection.requests, error, connection.buffer.len())
}

fn read(bytes: &[u8]) -> (Vec<Request>, Option<ProtocolError>) {
    let (requests, error, _) = read_pieces([bytes], Into::Buffer);
    (requests, error)
}

fn requests(list: &[&[&str]]) -> Vec<Request> {
    list.iter().map(|args| args.iter().map(|arg| arg.as_bytes().to_vec()).collect()).collect()
}

fn multibulk(args: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", args.len()).into_bytes();
    for arg in args {
        bytes.extend_from_slice(format!("${}\r\n", arg.len()).as_bytes());
        bytes.extend_from_slice(arg);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes
}

#[test]
fn new_reader_holds_no_heap() {
    const READER: RequestReader = RequestReader::new();
    assert_eq!(READER.held_bytes(), 0);
}

#[test]
fn requests_of_both_forms_follow_each_other() {
    let (got, error) = read(b"*1\r\n$4\r\nPING\r\nPING x\r\n*2\r\n$4\r\nQLEN\r\n$0\r\n\r\n");
    assert_eq!((got, error), (requests(&[&["PING"], &["PING", "x"], &["QLEN", ""]]), None));
}

#[test]
fn line_feeds_alone_end_lines() {
    let (got, error) = read(b"PING\nPING\n\nQLEN q\n");
    assert_eq!((got, error), (requests(&[&["PING"], &["PING"], &["QLEN", "q"]]), None));
}

#[test]
fn empty_and_nul_arguments_of_lines_are_kept() {
    let (got, error) = read(b"PING \"\"\r\nPI\0NG '\0'\r\n\"\"\n");
    assert_eq!((got, error), (requests(&[&["PING", ""], &["PI\0NG", "\0"], &[""]]), None));
}

#[test]
fn empty_requests_are_skipped() {
    let bytes = b"*0\r\n\r\n*-1\r\n  \n*-9000000000\r\n*1\r\n$1\r\nx\r\n";
    assert_eq!(read(bytes), (requests(&[&["x"]]), None));
    let mut reader = RequestReader::new();
    assert_eq!(reader.next(bytes), Ok(Next::Request { end: bytes.len() }), "their bytes count");
}

#[test]
fn empty_requests_alone_need_not_be_kept() {
    let mut reader = RequestReader::new();
    assert_eq!(reader.next(b"*0\r\n\r\n"), Ok(Next::NeedMore { keep: 0 }));
    assert_eq!(reader.next(b"*0\r\n*"), Ok(Next::NeedMore { keep: 5 }));
    assert_eq!(reader.next(b"*0\r\n*0\r\n"), Ok(Next::NeedMore { keep: 0 }));
}

#[test]
fn bytes_after_payloads_and_carriage_returns_are_not_checked() {
    assert_eq!(
        read(b"*2\rx$4\r\nPINGab$1\r\nxcd*1\r\n$1\r\ny--"),
        (requests(&[&["PING", "x"], &["y"]]), None)
    );
}

fn error_text(bytes: &[u8]) -> Option<String> {
    read(bytes).1.map(|error| error.to_string())
}

fn long(start: &str, len: usize, end: &str) -> Vec<u8> {
    [start.as_bytes(), &vec![b'1'; len - start.len()], end.as_bytes()].concat()
}

#[test]
fn each_protocol_error_has_its_text() {
    let long_bulk = |len| [b"*1\r\n".to_vec(), long("$", len, "")].concat();
    let rows: [(Vec<u8>, &str); 16] = [
        (long("a", 65_537, ""), "too big inline request"),
        (b"PING \"a\r\n".into(), "unbalanced quotes in request"),
        (b"PING 'a'b\r\n".into(), "unbalanced quotes in request"),
        (long("*", 65_537, ""), "too big mbulk count string"),
        (b"*1048577\r\n".into(), "invalid multibulk length"),
        (b"*x\r\n".into(), "invalid multibulk length"),
        (b"*\r\n".into(), "invalid multibulk length"),
        (long("*", 65_537, "\r\n"), "invalid multibulk length"),
        (long_bulk(65_537), "too big bulk count string"),
        (b"*1\r\nPING\r\n".into(), "expected '$', got 'P'"),
        (b"*1\r\n\r\n".into(), "expected '$', got ' '"),
        (b"*1\r\n\nx\r\n".into(), "expected '$', got ' '"),
        (b"*1\r\n\xe9\r\n".into(), "expected '$', got '?'"),
        (b"*1\r\n$-1\r\n".into(), "invalid bulk length"),
        (b"*1\r\n$536870913\r\n".into(), "invalid bulk length"),
        (b"*1\r\n$\r\n".into(), "invalid bulk length"),
    ];
    for (bytes, text) in rows {
        let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(30)]).into_owned();
        assert_eq!(error_text(&bytes), Some(format!("Protocol error: {text}")), "{shown:?}");
    }
}

#[test]
fn limits_themselves_are_allowed() {
    let long_bulk = [b"*1\r\n".to_vec(), long("$", 65_536, "")].concat();
    let allowed: [Vec<u8>; 6] = [
        long("a", 65_536, ""),
        long("a", 100_000, "\n"),
        long("*", 65_536, ""),
        long_bulk,
        b"*1048576\r\n".into(),
        b"*1\r\n$536870912\r\n".into(),
    ];
    for bytes in allowed {
        assert_eq!(error_text(&bytes), None);
    }
}

#[test]
fn nothing_but_canonical_numbers_is_a_length() {
    for number in
        ["+1", "01", "00", "-0", " 1", "1 ", "1x", "", "-", "--1", "1.0", "99999999999999999999", "0x1"]
    {
        let error = error_text(format!("*{number}\r\n").as_bytes());
        assert_eq!(error.as_deref(), Some("Protocol error: invalid multibulk length"), "{number:?}");
        let error = error_text(format!("*1\r\n${number}\r\n").as_bytes());
        assert_eq!(error.as_deref(), Some("Protocol error: invalid bulk length"), "{number:?}");
    }
    assert_eq!(canonical(b"-9223372036854775808"), Some(i64::MIN));
}

#[test]
fn nothing_is_read_behind_an_error() {
    let (got, error) = read(b"PING\r\n*x\r\nPING\r\n");
    assert_eq!((got, error), (requests(&[&["PING"]]), Some(ProtocolError::InvalidCount)));
}

#[test]
fn large_arguments_get_a_block_of_their_own_as_they_come() {
    let mut reader = RequestReader::new();
    let head = b"*2\r\n$1\r\na\r\n$40000\r\n";
    assert_eq!(reader.next(&[&head[..], b"xyz"].concat()), Ok(Next::NeedMore { keep: head.len() }));
    assert_eq!(reader.taken_bytes(), 3);
    let LargeArg { bytes, room } = reader.large().expect("on its way");
    assert_eq!((&bytes[..], room, bytes.capacity()), (&b"xyz"[..], 39_997, 40_000));
    bytes.resize(40_000, b'-');
    assert!(reader.large().is_none(), "complete");
    assert_eq!(reader.next(head), Ok(Next::NeedMore { keep: head.len() }));
    assert_eq!(reader.taken_bytes(), 40_000);
    let buffer = [&head[..], b"\r\nPING"].concat();
    assert_eq!(reader.next(&buffer), Ok(Next::Request { end: head.len() + 2 }));
    let args = reader.args(&buffer).to_vecs();
    assert_eq!((&args[0][..], args[1].len(), &args[1][..4]), (&b"a"[..], 40_000, &b"xyz-"[..]));
    reader.finish();
    assert!(reader.held_bytes() <= KEEP_SPANS * size_of::<Span>());
    assert_eq!(reader.taken_bytes(), 0, "memory kept for the next request is not part of one");
}

#[test]
fn arguments_that_are_there_or_small_stay_in_the_buffer() {
    for (len, there) in [(LARGE_FROM, LARGE_FROM), (LARGE_FROM - 1, 10)] {
        let mut reader = RequestReader::new();
        let mut buffer = format!("*1\r\n${len}\r\n").into_bytes();
        buffer.resize(buffer.len() + there, b'x');
        assert_eq!(reader.next(&buffer), Ok(Next::NeedMore { keep: buffer.len() }));
        assert!(reader.large().is_none());
    }
}

#[test]
fn announcing_reserves_little() {
    let mut connection = Connection::default();
    connection.feed(b"*1048576\r\n$536870912\r\n", Into::Large).expect("no error");
    let few_spans = 2 * KEEP_SPANS * size_of::<Span>();
    assert!(connection.reader.held_bytes() <= FIRST_RESERVATION + few_spans);
}

#[test]
fn large_arguments_end_with_exactly_their_length() {
    let len = 5 * FIRST_RESERVATION + 123;
    let bytes = multibulk(&[vec![b'x'; len]]);
    for into in [Into::Buffer, Into::Large] {
        let mut connection = Connection::default();
        let last = bytes.len() - 1;
        for piece in bytes[..last].chunks(60_000) {
            connection.feed(piece, into).expect("no error");
        }
        assert_eq!(connection.reader.large[0].capacity(), len);
        connection.feed(&bytes[last..], into).expect("no error");
        assert_eq!(connection.requests[0][0].len(), len);
        assert_eq!(connection.buffer.len(), 0);
    }
}

#[test]
fn long_argument_lists_are_given_back() {
    let mut reader = RequestReader::new();
    let bytes = multibulk(&vec![b"x".to_vec(); 10_000]);
    assert_eq!(reader.next(&bytes), Ok(Next::Request { end: bytes.len() }));
    assert!(reader.held_bytes() >= 10_000 * size_of::<Span>());
    reader.finish();
    assert_eq!(reader.held_bytes(), 0);
}

#[test]
fn hundred_thousand_arguments_in_small_pieces_are_linear_work() {
    let args: Vec<_> = (0..100_000u32).map(|i| i.to_string().into_bytes()).collect();
    let bytes = multibulk(&args);
    let mut connection = Connection::default();
    // Not through `feed`, whose checks are not linear.
    let Connection { reader, buffer, .. } = &mut connection;
    let mut complete = false;
    for piece in bytes.chunks(7) {
        buffer.extend_from_slice(piece);
        complete = reader.next(buffer).expect("no error") == Next::Request { end: bytes.len() };
    }
    assert!(complete);
    assert!(reader.examined <= 2 * bytes.len(), "{} for {}", reader.examined, bytes.len());
    assert_eq!(reader.args(buffer).to_vecs(), args);
}

#[test]
fn line_in_small_pieces_is_linear_work() {
    let bytes = long("a", 60_000, "\n");
    let mut reader = RequestReader::new();
    for end in (1..=bytes.len()).step_by(3) {
        reader.next(&bytes[..end]).expect("no error");
    }
    assert_eq!(reader.next(&bytes), Ok(Next::Request { end: bytes.len() }));
    assert!(reader.examined <= 2 * bytes.len(), "{}", reader.examined);
}

fn argument() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        8 => prop::collection::vec(any::<u8>(), 0..20),
        1 => (LARGE_FROM - 2..LARGE_FROM + 5000, any::<u8>()).prop_map(|(len, byte)| vec![byte; len]),
    ]
}

/// A request, or nothing, and bytes that tell it.
fn told() -> impl Strategy<Value = (Option<Request>, Vec<u8>)> {
    let list = prop::collection::vec(argument(), 1..6);
    let words = prop::collection::vec("[a-z0-9\0]{1,9}", 1..5);
    let end = prop::sample::select(vec!["\n", "\r\n", " \t\r\n"]);
    let empty = prop::sample::select(vec!["\r\n", "\n", "*0\r\n", "*-1\r\n", " \r\n"]);
    prop_oneof![
        6 => list.prop_map(|args| { let bytes = multibulk(&args); (Some(args), bytes) }),
        2 => (words, end).prop_map(|(words, end)| {
            let line = [words.join(" ").as_bytes(), b" \"\" 'a b'", end.as_bytes()].concat();
            let args = words.into_iter().map(String::into_bytes).chain([Vec::new(), b"a b".to_vec()]);
            (Some(args.collect()), line)
        }),
        1 => empty.prop_map(|text| (None, text.into())),
    ]
}

fn stream() -> impl Strategy<Value = (Vec<Request>, Vec<u8>)> {
    prop::collection::vec(told(), 1..6).prop_map(|list| {
        let bytes = list.iter().flat_map(|(_, bytes)| bytes).copied().collect();
        (list.into_iter().filter_map(|(request, _)| request).collect(), bytes)
    })
}

/// Cuts of very different sizes, so that all of a length line, all of a payload and more are cut.
fn cut<'a>(bytes: &'a [u8], sizes: &[usize]) -> Vec<&'a [u8]> {
    let (mut pieces, mut rest) = (Vec::new(), bytes);
    for size in sizes.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (piece, after) = rest.split_at((*size).clamp(1, rest.len()));
        pieces.push(piece);
        rest = after;
    }
    pieces
}

fn sizes() -> impl Strategy<Value = Vec<usize>> {
    prop::collection::vec(prop_oneof![1..4usize, 1..40usize, 1..50_000usize], 1..20)
}

fn into() -> impl Strategy<Value = Into> {
    prop_oneof![Just(Into::Buffer), Just(Into::Large)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn pieces_tell_the_same_requests_as_the_whole((requests, bytes) in stream(), sizes in sizes(), into in into()) {
        let (got, error, rest) = read_pieces([&bytes[..]], into);
        prop_assert!(got == requests && error.is_none() && rest == 0);
        let (got, error, rest) = read_pieces(cut(&bytes, &sizes), into);
        prop_assert!(got == requests && error.is_none() && rest == 0);
    }

    #[test]
    fn every_single_cut_tells_the_same_requests((requests, bytes) in stream(), into in into()) {
        // Inside long payloads nothing changes from byte to byte.
        let long = bytes.len() > 4000;
        for at in (0..bytes.len()).step_by(if long { 1013 } else { 1 }) {
            let (got, error, rest) = read_pieces([&bytes[..at], &bytes[at..]], into);
            prop_assert!(got == requests && error.is_none() && rest == 0, "cut at {}", at);
        }
    }

    #[test]
    fn lists_are_understood_as_the_crate_does(args in prop::collection::vec(argument(), 1..8)) {
        let bytes = multibulk(&args);
        let expected = resp2::decode::decode(&bytes).expect("valid").expect("complete");
        let mut reader = RequestReader::new();
        prop_assert_eq!(reader.next(&bytes), Ok(Next::Request { end: expected.1 }));
        let strings = reader.args(&bytes).iter().map(|arg| resp2::types::OwnedFrame::BulkString(arg.to_vec())).collect();
        prop_assert_eq!(resp2::types::OwnedFrame::Array(strings), expected.0);
    }

    #[test]
    fn any_bytes_are_survived_in_any_pieces(
        bytes in prop::collection::vec(prop_oneof![
            4 => prop::sample::select(vec!["*1\r\n", "*3\r\n", "$3\r\nabc\r\n", "$0\r\n\r\n", "$", "*", "\r\n", "-",
                "99999", "0", "$40000\r\n", "$999999999999\r\n", "*1048576\r\n", " ", "\"", "'", "\\", "ab"])
                .prop_map(|text| text.as_bytes().to_vec()),
            1 => prop::collection::vec(any::<u8>(), 0..9),
        ], 0..40),
        sizes in sizes(),
        into in into(),
    ) {
        // Feeding asserts that the memory held stays bounded.
        let bytes = bytes.concat();
        let (whole, whole_error, _) = read_pieces([&bytes[..]], into);
        let (got, error, _) = read_pieces(cut(&bytes, &sizes), into);
        prop_assert_eq!((got, error), (whole, whole_error));
    }
}
