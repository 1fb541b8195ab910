//! Responses: a status, a body, and header fields that tell browsers to be careful.

use std::borrow::Cow;
use std::io::{self, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// How long a response may take to be read.
const PATIENCE: Duration = Duration::from_secs(30);
/// How much is written between two looks at the clock.
const PIECE: usize = 64 * 1024;

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
        mut stream: &TcpStream,
        connection: Connection,
        with_body: WithBody,
    ) -> io::Result<()> {
        let mut bytes = self.head(connection).into_bytes();
        if with_body == WithBody::Yes {
            bytes.extend_from_slice(&self.body);
        }
        let until = Instant::now() + PATIENCE;
        for piece in bytes.chunks(PIECE) {
            let left = until.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
            stream.set_write_timeout(Some(left))?;
            stream.write_all(piece)?;
        }
        Ok(())
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
