//! Requests: as many bytes as are allowed, in the time that is allowed, parsed by `httparse`.

use std::io::{self, Read as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use percent_encoding::percent_decode_str;

use super::response::{Connection, Response, WithBody};

/// Most bytes of the head of a request, and most header fields in it.
const MAX_HEAD: usize = 8 * 1024;
const MAX_HEADERS: usize = 64;
/// Most bytes of a body: a queue's name, and what to do with it.
const MAX_BODY: usize = 16 * 1024;
/// How long a request may take to arrive, the silence before it included.
const PATIENCE: Duration = Duration::from_secs(15);

/// What was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Request {
    pub(super) method: Method,
    /// Without the query.
    pub(super) path: String,
    query: String,
    headers: Vec<(String, Vec<u8>)>,
    pub(super) body: Vec<u8>,
    keeps_alive: bool,
}

/// The methods that there is something for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Method {
    Get,
    Head,
    Post,
    Other,
}

/// Why there is no request.
pub(super) enum ReadError {
    /// The other end has gone, or was silent for too long.
    Gone,
    /// What came is answered by this, and the connection is closed.
    Refused(Response),
}

impl From<io::Error> for ReadError {
    fn from(_: io::Error) -> ReadError {
        ReadError::Gone
    }
}

/// Reads the requests of one connection.
pub(super) struct Reader<'a> {
    stream: &'a TcpStream,
    /// What was read and belongs to no request yet.
    buffer: Vec<u8>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(stream: &'a TcpStream) -> Reader<'a> {
        Reader { stream, buffer: Vec::new() }
    }

    /// Waits for the next request.
    pub(super) fn next(&mut self) -> Result<Request, ReadError> {
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some((mut request, head, body)) = parse(&self.buffer).map_err(ReadError::Refused)? {
                while self.buffer.len() < head + body {
                    self.read_more(until)?;
                }
                request.body = self.buffer[head..head + body].to_vec();
                self.buffer.drain(..head + body);
                return Ok(request);
            }
            self.read_more(until)?;
        }
    }

    fn read_more(&mut self, until: Instant) -> Result<(), ReadError> {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(ReadError::Gone);
        }
        self.stream.set_read_timeout(Some(left))?;
        let mut piece = [0; 4096];
        match self.stream.read(&mut piece) {
            Ok(0) => Err(ReadError::Gone),
            Ok(n) => {
                self.buffer.extend_from_slice(&piece[..n]);
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

/// The request at the front of the bytes, without its body, and how long its head and its body are; `None` if the head
/// is not complete.
fn parse(bytes: &[u8]) -> Result<Option<(Request, usize, usize)>, Response> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut parsed = httparse::Request::new(&mut headers);
    let head = match parsed.parse(&bytes[..bytes.len().min(MAX_HEAD)]) {
        Ok(httparse::Status::Complete(head)) => head,
        Ok(httparse::Status::Partial) if bytes.len() >= MAX_HEAD => return Err(too_large()),
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(httparse::Error::TooManyHeaders) => return Err(too_large()),
        Err(error) => return Err(Response::text(400, format!("this is no HTTP request: {error}\n"))),
    };
    let method = match parsed.method.unwrap_or_default() {
        "GET" => Method::Get,
        "HEAD" => Method::Head,
        "POST" => Method::Post,
        _ => Method::Other,
    };
    let target = parsed.path.unwrap_or_default();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let headers = parsed.headers.iter();
    let headers: Vec<_> =
        headers.map(|field| (field.name.to_ascii_lowercase(), field.value.to_vec())).collect();
    let (path, query) = (path.to_owned(), query.to_owned());
    let mut request = Request { method, path, query, headers, body: Vec::new(), keeps_alive: false };
    let wish = request.header("connection").unwrap_or_default().to_ascii_lowercase();
    request.keeps_alive = parsed.version == Some(1) && !wish.windows(5).any(|word| word == b"close");
    let body = body_len(&request)?;
    Ok(Some((request, head, body)))
}

fn too_large() -> Response {
    Response::text(
        431,
        format!("the head of a request has at most {MAX_HEAD} bytes and {MAX_HEADERS} fields\n"),
    )
}

/// How long the body is. Whoever reads it otherwise than another reader on the way would take a part of it for a
/// request, so what is not plain is refused.
fn body_len(request: &Request) -> Result<usize, Response> {
    if request.header("transfer-encoding").is_some() {
        return Err(Response::text(411, "bodies come with Content-Length here\n"));
    }
    let mut lengths = request.headers.iter().filter(|(name, _)| name == "content-length");
    let Some((_, length)) = lengths.next() else { return Ok(0) };
    let digits = !length.is_empty() && length.iter().all(u8::is_ascii_digit);
    let length = std::str::from_utf8(length).ok().filter(|_| digits && lengths.next().is_none());
    match length.map(str::parse::<usize>) {
        Some(Ok(length)) if length <= MAX_BODY => Ok(length),
        Some(_) => Err(Response::text(413, format!("a body has at most {MAX_BODY} bytes\n"))),
        None => Err(Response::text(400, "Content-Length is no number\n")),
    }
}

impl Request {
    /// The value of a header field; `name` in lower case. The first, if there are several.
    pub(super) fn header(&self, name: &str) -> Option<&[u8]> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_slice())
    }

    /// The value of a parameter of the query, decoded.
    pub(super) fn parameter(&self, name: &str) -> Option<Vec<u8>> {
        self.query.split('&').find_map(|pair| {
            let (key, value) = pair.split_once('=')?;
            (key == name).then(|| percent_decode_str(value).collect())
        })
    }

    /// A parameter that is a number.
    pub(super) fn number(&self, name: &str) -> Option<usize> {
        std::str::from_utf8(&self.parameter(name)?).ok()?.parse().ok()
    }

    pub(super) fn connection(&self) -> Connection {
        if self.keeps_alive { Connection::KeepAlive } else { Connection::Close }
    }

    pub(super) fn with_body(&self) -> WithBody {
        if self.method == Method::Head { WithBody::No } else { WithBody::Yes }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// The request in these bytes, which must be a whole one without a body.
    pub(in crate::net::http) fn parsed(text: &str) -> Request {
        let parsed = parse(text.as_bytes());
        let (request, head, body) =
            parsed.unwrap_or_else(|refusal| panic!("{}", refusal.code())).expect("it is complete");
        assert_eq!((head, body), (text.len(), 0));
        request
    }

    fn refusal(bytes: &[u8]) -> Option<u16> {
        parse(bytes).err().map(|response| response.code())
    }

    #[test]
    fn a_request_is_read_however_it_is_cut() {
        let text = b"GET /api/queue?name=a%20b%ff&jobs=3 HTTP/1.1\r\nHost: h\r\nX: y\r\n\r\n";
        for cut in 0..text.len() {
            assert!(parse(&text[..cut]).is_ok_and(|parsed| parsed.is_none()), "{cut}");
        }
        let request = parsed(std::str::from_utf8(text).expect("it is ASCII"));
        assert_eq!((request.method, request.path.as_str()), (Method::Get, "/api/queue"));
        assert_eq!(request.parameter("name").as_deref(), Some(b"a b\xff".as_slice()));
        assert_eq!(
            (request.number("jobs"), request.number("name"), request.number("none")),
            (Some(3), None, None)
        );
        assert_eq!(request.header("host"), Some(b"h".as_slice()));
        assert_eq!(request.connection(), Connection::KeepAlive);
    }

    #[test]
    fn old_clients_and_those_who_say_so_get_one_answer() {
        for text in ["GET / HTTP/1.0\r\n\r\n", "GET / HTTP/1.1\r\nConnection: Close\r\n\r\n"] {
            assert_eq!(parsed(text).connection(), Connection::Close);
        }
    }

    #[test]
    fn heads_end_at_their_limits() {
        let with = |length: usize| {
            let fixed = "GET / HTTP/1.1\r\nX: \r\n\r\n".len();
            format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(length - fixed)).into_bytes()
        };
        assert!(parse(&with(MAX_HEAD)).is_ok_and(|parsed| parsed.is_some()));
        assert_eq!(refusal(&with(MAX_HEAD + 1)), Some(431));
        let many = format!("GET / HTTP/1.1\r\n{}\r\n", "x: y\r\n".repeat(MAX_HEADERS + 1));
        assert_eq!(refusal(many.as_bytes()), Some(431));
    }

    #[test]
    fn bodies_that_could_be_read_in_two_ways_are_refused() {
        let post = |fields: &str| format!("POST /x HTTP/1.1\r\n{fields}\r\n\r\n").into_bytes();
        assert_eq!(refusal(&post("Transfer-Encoding: chunked")), Some(411));
        assert_eq!(refusal(&post("Content-Length: 1\r\nContent-Length: 2")), Some(400));
        for length in ["+1", "-1", "1 ", "0x1", "", "1,1"] {
            let refused = refusal(&post(&format!("Content-Length: {length}x")));
            assert_eq!(refused, Some(400), "{length}");
        }
        assert_eq!(refusal(&post(&format!("Content-Length: {MAX_BODY}"))), None);
        assert_eq!(refusal(&post(&format!("Content-Length: {}", MAX_BODY + 1))), Some(413));
        assert_eq!(refusal(&post("Content-Length: 99999999999999999999999")), Some(413));
        assert_eq!(refusal(b"\x16\x03\x01\x02\x00 hello\r\n\r\n"), Some(400));
    }
}
