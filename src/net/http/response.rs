//! Responses: a status, a body, and header fields that tell browsers to be careful.

use std::borrow::Cow;
use std::io::{self, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// How long a response may take to be read.
const PATIENCE: Duration = Duration::from_secs(30);

/// Nothing may be loaded from elsewhere, nothing inline may run, and nobody may frame the page.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
     connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// What a request is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Response {
    code: u16,
    kind: &'static str,
    body: Cow<'static, [u8]>,
    /// Further header fields.
    fields: Vec<(&'static str, String)>,
}

/// What becomes of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Connection {
    KeepAlive,
    Close,
}

/// Whether the body is sent; to HEAD it is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WithBody {
    Yes,
    No,
}

impl Response {
    pub(super) fn new(code: u16, kind: &'static str, body: impl Into<Cow<'static, [u8]>>) -> Response {
        Response { code, kind, body: body.into(), fields: Vec::new() }
    }

    /// Text for people.
    pub(super) fn text(code: u16, text: impl Into<String>) -> Response {
        Response::new(code, "text/plain; charset=utf-8", text.into().into_bytes())
    }

    pub(super) fn json(value: &serde_json::Value) -> Response {
        Response::new(200, "application/json", value.to_string().into_bytes())
    }

    pub(super) fn unavailable(text: impl Into<String>) -> Response {
        Response::text(503, text)
    }

    /// With one more header field.
    pub(super) fn with(mut self, name: &'static str, value: impl Into<String>) -> Response {
        self.fields.push((name, value.into()));
        self
    }

    pub(super) fn code(&self) -> u16 {
        self.code
    }

    pub(super) fn write(
        &self,
        stream: &TcpStream,
        connection: Connection,
        with_body: WithBody,
    ) -> io::Result<()> {
        let mut bytes = self.head(connection).into_bytes();
        if with_body == WithBody::Yes {
            bytes.extend_from_slice(&self.body);
        }
        write_until(stream, &bytes, Instant::now() + PATIENCE)
    }

    fn head(&self, connection: Connection) -> String {
        let mut head = format!(
            "HTTP/1.1 {} {}\r\nContent-Type: {}\r\nContent-Length: {}\r\nCache-Control: no-store\r\n\
             Content-Security-Policy: {POLICY}\r\nX-Content-Type-Options: nosniff\r\n\
             Referrer-Policy: no-referrer\r\nCross-Origin-Resource-Policy: same-origin\r\nX-Frame-Options: DENY\r\n",
            self.code,
            reason(self.code),
            self.kind,
            self.body.len(),
        );
        for (name, value) in &self.fields {
            head.extend([name, ": ", value, "\r\n"]);
        }
        if connection == Connection::Close {
            head.push_str("Connection: close\r\n");
        }
        head.push_str("\r\n");
        head
    }
}

/// Writes all bytes in the time that is allowed, however often the other end reads a little.
fn write_until(mut stream: &TcpStream, mut bytes: &[u8], until: Instant) -> io::Result<()> {
    while !bytes.is_empty() {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        stream.set_write_timeout(Some(left))?;
        match stream.write(bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => bytes = &bytes[written..],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn reason(code: u16) -> &'static str {
    match code {
        200 => "OK",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        411 => "Length Required",
        413 => "Content Too Large",
        431 => "Request Header Fields Too Large",
        503 => "Service Unavailable",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::net::{Ipv4Addr, TcpListener};

    use super::*;

    fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("the loopback interface is up");
        let address = listener.local_addr().expect("it is bound");
        let near = TcpStream::connect(address).expect("it listens");
        (near, listener.accept().expect("somebody has connected").0)
    }

    #[test]
    fn a_response_is_over_when_its_time_is_however_willing_the_reader() {
        let (near, mut far) = pair();
        let reading = std::thread::spawn(move || far.read_to_end(&mut Vec::new()));
        let outcome = write_until(&near, b"hello", Instant::now());
        assert_eq!(outcome.expect_err("its time is over").kind(), io::ErrorKind::TimedOut);
        let bytes = vec![b'x'; 4 << 20];
        write_until(&near, &bytes, Instant::now() + PATIENCE).expect("the other end reads");
        drop(near);
        assert_eq!(reading.join().expect("it reads").expect("it can read"), bytes.len());
    }
}
