//! Requests out of the bytes that a connection has read, as they come.
//!
//! A request is either `*<argc>` followed by that many strings, or a line (commands.md 2.2). The reader does
//! not own the connection's buffer: it remembers how far it has understood it and where the arguments lie.
//! The exception are arguments of [`LARGE_FROM`] bytes and more that are still on their way: each becomes a
//! block of its own, which the socket is read into directly and which later becomes a job's body, so that
//! their bytes are never moved again.
//!
//! It deliberately does not limit the buffer (the shell closes clients with too much pending) and knows no
//! command.
//!
//! Invariants:
//! * work is linear in the bytes: a line is searched once, payloads are not looked at;
//! * memory is bounded by what has arrived, not by what was announced, except for one first reservation of
//!   [`FIRST_RESERVATION`] bytes;
//! * spans lie inside the buffer, in front of `at`.
//!
//! As in RC1, the two bytes after a payload and the byte after the CR of a length line are not looked at
//! (defect O22, which is optional to repair, and some client may rely on it).

use std::fmt;

use super::inline::{UnbalancedQuotes, Word, Words};
use crate::types::limits::{MAX_ARGS, MAX_BULK_LEN, MAX_LINE_LEN};
use crate::types::{Args, Span};

/// Length from which an argument that has not arrived completely gets a block of its own: 32 KiB. Below it,
/// copying costs less than the system calls that reading into the block takes.
pub const LARGE_FROM: usize = 32 * 1024;

/// Most memory reserved for a large argument before any of it has arrived. Reserved is not touched: the
/// system hands out the pages as they are written.
const FIRST_RESERVATION: usize = 1024 * 1024;

/// Spans for which the reader keeps its room between requests.
const KEEP_SPANS: usize = 64;

/// Finds requests in what one connection has read.
#[derive(Debug)]
pub struct RequestReader {
    /// Where the arguments understood so far lie.
    spans: Vec<Span>,
    /// The arguments that do not lie in the buffer; the last one may be incomplete.
    large: Vec<Vec<u8>>,
    /// Capacity of the blocks in `large`, apart from an incomplete one.
    large_bytes: usize,
    /// Offset of the first byte not understood yet.
    at: usize,
    /// Up to where the line that begins at `at` has been searched for its end.
    searched: usize,
    /// How many arguments are still to come.
    missing: usize,
    stage: Stage,
    /// How many bytes have been looked at, for the test that this is linear.
    #[cfg(test)]
    examined: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// At the first byte of a request.
    Start,
    /// Where a `$` line is due.
    Length,
    /// At the payload of an argument in the buffer.
    Payload { len: usize },
    /// In the middle of the last large argument.
    Large { len: usize },
    /// Behind a large argument, before the two bytes that follow it.
    AfterLarge,
    /// The request is complete.
    Complete,
}

/// What came of looking at the buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// A request of at least one argument: [`RequestReader::args`] tells it. It and any empty requests
    /// before it take the first `end` bytes of the buffer.
    Request {
        /// Where the next request begins.
        end: usize,
    },
    /// The request is not complete. The first `keep` bytes of the buffer must be there at the next call, with
    /// new ones behind them; those after `keep` have been taken over and must not come again.
    ///
    /// 0 if no request has begun: empty ones are forgotten then. Empty requests in front of one that has begun
    /// are kept with it.
    NeedMore {
        /// How many bytes to keep.
        keep: usize,
    },
}

/// Where the bytes that come next belong.
#[derive(Debug)]
pub struct LargeArg<'a> {
    /// What is there of the argument; to be appended to.
    pub bytes: &'a mut Vec<u8>,
    /// How many bytes may be appended: what `bytes` has room for, and not more than the argument still
    /// lacks. Ask again afterwards, since room is made as the bytes come. Never 0.
    pub room: usize,
}

/// A request that cannot be understood; the connection must be closed. Shows as the text after `ERR `.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProtocolError {
    /// An inline request longer than [`MAX_LINE_LEN`] without its end.
    InlineTooLong,
    /// Bad quoting in an inline request.
    UnbalancedQuotes,
    /// The line with the number of arguments does not end.
    CountLineTooLong,
    /// The number of arguments is none, or too large.
    InvalidCount,
    /// The line with the length of an argument does not end.
    LengthLineTooLong,
    /// This byte stood where the `$` of a length was due.
    ExpectedLength(u8),
    /// The length of an argument is none, negative or too large.
    InvalidLength,
}

impl fmt::Display for ProtocolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Protocol error: ")?;
        f.write_str(match self {
            ProtocolError::InlineTooLong => "too big inline request",
            ProtocolError::UnbalancedQuotes => "unbalanced quotes in request",
            ProtocolError::CountLineTooLong => "too big mbulk count string",
            ProtocolError::InvalidCount => "invalid multibulk length",
            ProtocolError::LengthLineTooLong => "too big bulk count string",
            ProtocolError::ExpectedLength(byte) => return write!(f, "expected '$', got '{}'", shown(*byte)),
            ProtocolError::InvalidLength => "invalid bulk length",
        })
    }
}

impl std::error::Error for ProtocolError {}

impl From<UnbalancedQuotes> for ProtocolError {
    fn from(_: UnbalancedQuotes) -> ProtocolError {
        ProtocolError::UnbalancedQuotes
    }
}

/// Line ends would end the reply, and a byte that is not ASCII is no character.
fn shown(byte: u8) -> char {
    match byte {
        b'\r' | b'\n' => ' ',
        0x80.. => '?',
        _ => char::from(byte),
    }
}

impl Default for RequestReader {
    fn default() -> RequestReader {
        RequestReader::new()
    }
}

impl RequestReader {
    /// At the start of a connection; holds no heap.
    pub const fn new() -> RequestReader {
        RequestReader {
            spans: Vec::new(),
            large: Vec::new(),
            large_bytes: 0,
            at: 0,
            searched: 0,
            missing: 0,
            stage: Stage::Start,
            #[cfg(test)]
            examined: 0,
        }
    }

    /// Whether a part of the current request was seen already.
    pub fn has_begun(&self) -> bool {
        self.stage != Stage::Start || self.searched > 0
    }

    /// Whether a large argument has come in part.
    pub fn is_in_large(&self) -> bool {
        matches!(self.stage, Stage::Large { .. })
    }

    /// Goes on with the current request, which begins at the first byte of `buffer`.
    ///
    /// The buffer must begin with the bytes that the previous call said to keep, and must be shorter than
    /// 4 GiB. After an error the reader is of no further use. After [`Next::Request`] the same is said again
    /// until [`RequestReader::finish`] is called.
    pub fn next(&mut self, buffer: &[u8]) -> Result<Next, ProtocolError> {
        assert!(buffer.len() >= self.at, "bytes that were to be kept are missing");
        assert!(buffer.len() <= u32::MAX as usize, "the buffer is longer than spans can tell");
        if self.stage == Stage::Start
            && let Some(next) = self.start(buffer)?
        {
            return Ok(next);
        }
        if !self.resume(buffer) {
            // Bytes that belong to a large argument have been taken over, others not.
            let keep = if matches!(self.stage, Stage::Large { .. }) { self.at } else { buffer.len() };
            return Ok(Next::NeedMore { keep });
        }
        self.arguments(buffer)
    }

    /// The arguments of the complete request; `buffer` is the one that completed it.
    pub fn args<'a>(&'a mut self, buffer: &'a [u8]) -> Args<'a> {
        assert_eq!(self.stage, Stage::Complete);
        Args::new(&self.spans, buffer, &mut self.large)
    }

    /// Forgets the request. The caller goes on with a buffer that begins behind it.
    pub fn finish(&mut self) {
        self.at = 0;
        self.searched = 0;
        self.missing = 0;
        self.stage = Stage::Start;
        self.spans.clear();
        if self.spans.capacity() > KEEP_SPANS {
            self.spans = Vec::new();
        }
        if self.large.capacity() > 0 {
            self.large = Vec::new();
            self.large_bytes = 0;
        }
    }

    /// The large argument that the bytes coming next belong to, `None` once it is complete.
    ///
    /// The caller may read into it, or hand the bytes to [`RequestReader::next`] behind those kept.
    pub fn large(&mut self) -> Option<LargeArg<'_>> {
        let Stage::Large { len } = self.stage else { return None };
        let bytes = self.large.last_mut()?;
        if bytes.len() >= len {
            return None;
        }
        make_room(bytes, len);
        let room = bytes.capacity().min(len) - bytes.len();
        Some(LargeArg { bytes, room })
    }

    /// Bytes of the current request that have left the buffer: large arguments, complete or not.
    pub fn taken_bytes(&self) -> usize {
        let incomplete = match self.stage {
            Stage::Large { .. } => self.large.last().map_or(0, Vec::len),
            _ => 0,
        };
        self.large_bytes + incomplete
    }

    /// Memory held beside the buffer, in bytes.
    pub fn held_bytes(&self) -> usize {
        let incomplete = match self.stage {
            Stage::Large { .. } => self.large.last().map_or(0, Vec::capacity),
            _ => 0,
        };
        let lists = self.spans.capacity() * size_of::<Span>() + self.large.capacity() * size_of::<Vec<u8>>();
        lists + self.large_bytes + incomplete
    }

    /// Skips empty requests, and takes an inline request or the number of arguments. `None` means that
    /// arguments are to follow.
    fn start(&mut self, buffer: &[u8]) -> Result<Option<Next>, ProtocolError> {
        loop {
            match buffer.get(self.at) {
                None => {
                    self.finish();
                    return Ok(Some(Next::NeedMore { keep: 0 }));
                }
                Some(b'*') => {
                    let Some((count, end)) = self.count_line(buffer)? else {
                        return Ok(Some(Next::NeedMore { keep: buffer.len() }));
                    };
                    self.at = end;
                    if count > 0 {
                        self.missing = count;
                        self.stage = Stage::Length;
                        self.spans.reserve(count.min(KEEP_SPANS));
                        return Ok(None);
                    }
                }
                Some(_) => {
                    let Some(line_end) = self.inline_end(buffer)? else {
                        return Ok(Some(Next::NeedMore { keep: buffer.len() }));
                    };
                    self.inline_request(&buffer[self.at..line_end])?;
                    // Exactly the line feed, which may be the last byte there is (defect O8 of commands.md).
                    self.at = line_end + 1;
                    if !self.spans.is_empty() {
                        self.stage = Stage::Complete;
                        return Ok(Some(Next::Request { end: self.at }));
                    }
                }
            }
        }
    }

    /// Takes the rest of the argument that an earlier call left incomplete; `false` if it still is.
    fn resume(&mut self, buffer: &[u8]) -> bool {
        if let Stage::Payload { len } = self.stage {
            if !holds(buffer, self.at, len + 2) {
                return false;
            }
            self.spans.push(span(self.at, len));
            self.at += len + 2;
            self.missing -= 1;
            self.stage = Stage::Length;
        }
        if let Stage::Large { len } = self.stage
            && !self.fill_large(buffer, len)
        {
            return false;
        }
        if self.stage == Stage::AfterLarge {
            if !holds(buffer, self.at, 2) {
                return false;
            }
            self.at += 2;
            self.stage = Stage::Length;
        }
        true
    }

    /// Takes arguments until the request or the buffer ends.
    fn arguments(&mut self, buffer: &[u8]) -> Result<Next, ProtocolError> {
        // In locals, so that the loop need not store them with every argument.
        let (mut at, mut missing) = (self.at, self.missing);
        while missing > 0 {
            let short = match buffer.get(at) {
                Some(b'$') if self.searched <= at => short_number(&buffer[at + 1..]),
                _ => None,
            };
            let (len, start) = match short {
                Some((len, used)) if len <= MAX_BULK_LEN => {
                    self.note(used);
                    (len, at + 1 + used)
                }
                _ => {
                    (self.at, self.missing) = (at, missing);
                    let Some(header) = self.length_line(buffer)? else {
                        return Ok(Next::NeedMore { keep: buffer.len() });
                    };
                    header
                }
            };
            if !holds(buffer, start, len + 2) {
                (self.at, self.missing) = (start, missing);
                return Ok(Next::NeedMore { keep: self.expect_payload(buffer, len) });
            }
            self.spans.push(span(start, len));
            at = start + len + 2;
            missing -= 1;
        }
        (self.at, self.missing) = (at, missing);
        self.stage = Stage::Complete;
        Ok(Next::Request { end: at })
    }

    /// Prepares for a payload whose end has not arrived; says what to keep of the buffer.
    #[cold]
    fn expect_payload(&mut self, buffer: &[u8], len: usize) -> usize {
        if len < LARGE_FROM || holds(buffer, self.at, len) {
            self.stage = Stage::Payload { len };
            return buffer.len();
        }
        self.spans.push(Span::Large(self.large.len() as u32));
        self.large.push(Vec::new());
        self.missing -= 1;
        self.stage = Stage::Large { len };
        self.fill_large(buffer, len);
        self.at
    }

    /// Moves what the buffer has of the incomplete large argument into it; `false` if it is still incomplete.
    fn fill_large(&mut self, buffer: &[u8], len: usize) -> bool {
        let mut come = &buffer[self.at..];
        while let Some(LargeArg { bytes, room }) = self.large()
            && !come.is_empty()
        {
            let (fits, rest) = come.split_at(room.min(come.len()));
            bytes.extend_from_slice(fits);
            come = rest;
        }
        let arg = self.large.last().expect("this stage begins with a push");
        assert!(arg.len() <= len, "more bytes appended than there was room for");
        if arg.len() < len {
            return false;
        }
        self.large_bytes += arg.capacity();
        self.at = buffer.len() - come.len();
        self.stage = Stage::AfterLarge;
        true
    }

    /// Takes an inline request without its line feed.
    fn inline_request(&mut self, line: &[u8]) -> Result<(), ProtocolError> {
        let mut words = Words::new(line);
        while let Some(word) = words.next()? {
            self.spans.push(match word {
                Word::Plain(range) => span(self.at + range.start, range.len()),
                Word::Unquoted(bytes) => {
                    self.large_bytes += bytes.capacity();
                    self.large.push(bytes);
                    Span::Large(self.large.len() as u32 - 1)
                }
            });
        }
        Ok(())
    }

    /// Where the line feed of the inline request at `at` is.
    fn inline_end(&mut self, buffer: &[u8]) -> Result<Option<usize>, ProtocolError> {
        self.search(buffer, b'\n', ProtocolError::InlineTooLong)
    }

    /// The number of arguments in the `*` line at `at`, 0 for negative ones, and where the line ends.
    fn count_line(&mut self, buffer: &[u8]) -> Result<Option<(usize, usize)>, ProtocolError> {
        if self.searched <= self.at
            && let Some((count, used)) = short_number(&buffer[self.at + 1..])
            && count <= MAX_ARGS
        {
            self.note(used);
            return Ok(Some((count, self.at + 1 + used)));
        }
        let Some(end) = self.number_end(buffer, ProtocolError::CountLineTooLong)? else { return Ok(None) };
        let count = canonical(&buffer[self.at + 1..end]).ok_or(ProtocolError::InvalidCount)?;
        match usize::try_from(count.max(0)) {
            Ok(count) if count <= MAX_ARGS => Ok(Some((count, end + 2))),
            _ => Err(ProtocolError::InvalidCount),
        }
    }

    /// The length in the `$` line at `at`, and where the line ends.
    #[cold]
    fn length_line(&mut self, buffer: &[u8]) -> Result<Option<(usize, usize)>, ProtocolError> {
        let Some(end) = self.number_end(buffer, ProtocolError::LengthLineTooLong)? else { return Ok(None) };
        // Only now, as in RC1: until its end has come, the line may still turn out too long.
        if buffer[self.at] != b'$' {
            return Err(ProtocolError::ExpectedLength(buffer[self.at]));
        }
        let len = canonical(&buffer[self.at + 1..end]).and_then(|len| usize::try_from(len).ok());
        match len {
            Some(len) if len <= MAX_BULK_LEN => Ok(Some((len, end + 2))),
            _ => Err(ProtocolError::InvalidLength),
        }
    }

    /// Where the CR of the line at `at` is, once the byte behind it is there too.
    fn number_end(&mut self, buffer: &[u8], too_long: ProtocolError) -> Result<Option<usize>, ProtocolError> {
        Ok(self.search(buffer, b'\r', too_long)?.filter(|end| end + 1 < buffer.len()))
    }

    /// The first `stop` of the line at `at`; goes on where the previous search for it ended.
    fn search(
        &mut self,
        buffer: &[u8],
        stop: u8,
        too_long: ProtocolError,
    ) -> Result<Option<usize>, ProtocolError> {
        let from = self.searched.max(self.at);
        let found = buffer[from..].iter().position(|byte| *byte == stop).map(|offset| from + offset);
        self.searched = found.unwrap_or(buffer.len());
        self.note(self.searched - from + 1);
        if found.is_none() && buffer.len() - self.at > MAX_LINE_LEN {
            return Err(too_long);
        }
        Ok(found)
    }

    #[cfg(test)]
    fn note(&mut self, examined: usize) {
        self.examined += examined;
    }

    #[cfg(not(test))]
    fn note(&mut self, _examined: usize) {}
}

/// Makes room for at least one more byte of an argument of `len` bytes. Doubles what is there, so that it is
/// copied a bounded number of times, and ends with exactly `len`, so that the job's body wastes nothing.
fn make_room(bytes: &mut Vec<u8>, len: usize) {
    if bytes.len() == bytes.capacity() {
        let capacity = len.min(FIRST_RESERVATION.max(bytes.len() * 2));
        bytes.reserve_exact(capacity - bytes.len());
    }
}

fn holds(buffer: &[u8], start: usize, len: usize) -> bool {
    buffer.len() - start >= len
}

fn span(start: usize, len: usize) -> Span {
    // Cannot cut anything off: the buffer is shorter than 4 GiB.
    Span::Buffer { start: start as u32, len: len as u32 }
}

/// A canonical number of at most nine digits in front of a complete line end, and how many bytes both take.
/// Nearly every number in nearly every request is one; whatever else stands there is looked at by
/// [`canonical`].
#[inline(always)]
fn short_number(line: &[u8]) -> Option<(usize, usize)> {
    let value = |digit: u8| usize::from(digit - b'0');
    // Most have one to three digits, for which no loop is needed.
    match *line {
        [a @ b'0'..=b'9', b'\r', _, ..] => Some((value(a), 3)),
        [a @ b'1'..=b'9', b @ b'0'..=b'9', b'\r', _, ..] => Some((value(a) * 10 + value(b), 4)),
        [a @ b'1'..=b'9', b @ b'0'..=b'9', c @ b'0'..=b'9', b'\r', _, ..] => {
            Some((value(a) * 100 + value(b) * 10 + value(c), 5))
        }
        _ => number_of_nine_digits(line),
    }
}

/// The same for up to nine digits.
fn number_of_nine_digits(line: &[u8]) -> Option<(usize, usize)> {
    let mut value = 0;
    for (len, byte) in line.iter().enumerate().take(10) {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            let canonical = len == 1 || len > 1 && line[0] != b'0';
            let complete = *byte == b'\r' && line.len() > len + 1;
            return (canonical && complete).then_some((value, len + 2));
        }
        value = value * 10 + usize::from(digit);
    }
    None
}

/// A decimal number without plus sign, leading zeros, blanks or a negative zero.
fn canonical(text: &[u8]) -> Option<i64> {
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    match digits {
        b"0" if digits.len() == text.len() => Some(0),
        [b'1'..=b'9', ..] if digits.iter().all(u8::is_ascii_digit) => {
            std::str::from_utf8(text).ok()?.parse().ok()
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests;
