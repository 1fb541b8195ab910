//! Files of RC1, as RC1's own program sees them: arrays of byte strings, whatever is in them (aof.md 9.1).
//!
//! When the framing is right, the contents are looked at too, which RC1 leaves to the server.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read as _};

use super::options::Options;
use super::progress::Progress;
use super::{INVALID, Terminal, VALID, confirmed, files, say, shown};

/// Longest line that RC1's program reads.
const MAX_LINE: u64 = 127;

pub(super) fn verify(options: &Options, terminal: &mut Terminal<'_>) -> io::Result<u8> {
    let path = &options.file;
    // For writing too, as RC1 does: who checks a file that he could not repair should know it.
    let Ok(file) = OpenOptions::new().read(true).write(true).open(path) else {
        return say(terminal, &format!("Cannot open file: {}", shown(path))).map(|()| INVALID);
    };
    let size = file.metadata()?.len();
    if size == 0 {
        return say(terminal, &format!("Empty file: {}", shown(path))).map(|()| INVALID);
    }
    if options.json {
        return report(options, terminal);
    }
    let mut scan = Scan { input: BufReader::with_capacity(1 << 20, &file), at: 0 };
    let (ok_up_to, error) = scan.records(&mut Progress::new(terminal.progress, size))?;
    if let Some(Flaw { at, what }) = error {
        say(terminal, &format!("0x{at:>16x}: {what}"))?;
    }
    let diff = size - ok_up_to;
    say(terminal, &format!("AOF analyzed: size={size}, ok_up_to={ok_up_to}, diff={diff}"))?;
    if diff == 0 {
        return contents(options, terminal);
    }
    if !options.fix {
        return say(terminal, "AOF is not valid").map(|()| INVALID);
    }
    say(
        terminal,
        &format!("This will shrink the AOF from {size} bytes, with {diff} bytes, to {ok_up_to} bytes"),
    )?;
    if !confirmed(terminal)? {
        return Ok(INVALID);
    }
    match file.set_len(ok_up_to).and_then(|()| file.sync_all()) {
        Ok(()) => say(terminal, "Successfully truncated AOF").map(|()| VALID),
        Err(_) => say(terminal, "Failed to truncate AOF").map(|()| INVALID),
    }
}

/// The framing is right; whether the records say something.
fn contents(options: &Options, terminal: &mut Terminal<'_>) -> io::Result<u8> {
    let report = files::read_one(&options.file, terminal)?;
    for damage in &report.found.damages {
        say(
            terminal,
            &format!("0x{:>16x}: a record of {} bytes holds no job and no job ID", damage.at, damage.len),
        )?;
    }
    if let Some(error) = &report.error {
        say(terminal, error)?;
    }
    let (verdict, code) =
        if report.is_valid() { ("AOF is valid", VALID) } else { ("AOF is not valid", INVALID) };
    say(terminal, verdict)?;
    Ok(code)
}

fn report(options: &Options, terminal: &mut Terminal<'_>) -> io::Result<u8> {
    let report = files::read_one(&options.file, terminal)?;
    say(terminal, &report.json().to_string())?;
    Ok(if report.is_valid() { VALID } else { INVALID })
}

struct Scan<'a> {
    input: BufReader<&'a File>,
    at: u64,
}

struct Flaw {
    at: u64,
    what: String,
}

/// A part of a record: read, wrong, or not there because the file ends.
enum Part<T> {
    Read(T),
    Wrong(Flaw),
    Missing,
}

impl Scan<'_> {
    /// Where the last whole record ends, and what is wrong with the next.
    fn records(&mut self, progress: &mut Progress<'_>) -> io::Result<(u64, Option<Flaw>)> {
        loop {
            let start = self.at;
            progress.at(start);
            match self.record()? {
                Part::Read(()) => {}
                Part::Wrong(flaw) => return Ok((start, Some(flaw))),
                Part::Missing => return Ok((start, None)),
            }
        }
    }

    fn record(&mut self) -> io::Result<Part<()>> {
        let count = match self.number('*')? {
            Part::Read(count) => count,
            Part::Wrong(flaw) => return Ok(Part::Wrong(flaw)),
            Part::Missing => return Ok(Part::Missing),
        };
        for _ in 0..count {
            match self.argument()? {
                Part::Read(()) => {}
                other => return Ok(other),
            }
        }
        Ok(Part::Read(()))
    }

    fn argument(&mut self) -> io::Result<Part<()>> {
        let len = match self.number('$')? {
            Part::Read(len) => len,
            Part::Wrong(flaw) => return Ok(Part::Wrong(flaw)),
            Part::Missing => return Ok(Part::Missing),
        };
        let at = self.at;
        let wanted = len.saturating_add(2);
        let mut bytes = (&mut self.input).take(len);
        let mut got = io::copy(&mut bytes, &mut io::sink())?;
        let mut end = Vec::new();
        got += (&mut self.input).take(2).read_to_end(&mut end)? as u64;
        self.at += got;
        Ok(if got < wanted {
            Part::Wrong(Flaw { at, what: format!("Expected to read {wanted} bytes, got {got} bytes") })
        } else if end != b"\r\n" {
            Part::Wrong(Flaw { at, what: format!("Expected \\r\\n, got: {}", hex(&end)) })
        } else {
            Part::Read(())
        })
    }

    /// A line of a sign and a number; numbers are read as far as they are some.
    fn number(&mut self, sign: char) -> io::Result<Part<u64>> {
        let at = self.at;
        let mut line = Vec::new();
        (&mut self.input).take(MAX_LINE).read_until(b'\n', &mut line)?;
        self.at += line.len() as u64;
        let Some(first) = line.first() else { return Ok(Part::Missing) };
        let Some(text) = line.strip_suffix(b"\r\n") else {
            let last = &line[line.len().saturating_sub(2)..];
            return Ok(Part::Wrong(Flaw { at, what: format!("Expected \\r\\n, got: {}", hex(last)) }));
        };
        if char::from(*first) != sign {
            let what = format!("Expected prefix '{sign}', got: '{}'", first.escape_ascii());
            return Ok(Part::Wrong(Flaw { at, what }));
        }
        let digits = text[1..].iter().take_while(|byte| byte.is_ascii_digit());
        let value = |value: u64, digit: &u8| value.saturating_mul(10).saturating_add(u64::from(digit - b'0'));
        Ok(Part::Read(digits.fold(0, value)))
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
