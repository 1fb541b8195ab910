//! The line that MONITOR shows for a command.

use std::io::Write;

use super::redact::redacted;
use super::text::one_line;

/// Appends the trace of one command: `+SECONDS.MICROS [0 PEER] "arg" "arg"…` and a line end.
///
/// The 0 stands for Redis's database number: clients read this form and not RC1's, which lacks it. Secrets are
/// hidden. `command` is the built-in name, `args` begins with the name as it was sent, `peer` is `ip:port`
/// or `unix:PATH`. The caller writes the line to its monitors before the command runs.
pub fn trace_line<'a>(
    unix_micros: u64,
    peer: &str,
    command: &str,
    args: impl ExactSizeIterator<Item = &'a [u8]>,
    out: &mut Vec<u8>,
) {
    let (secs, micros) = (unix_micros / 1_000_000, unix_micros % 1_000_000);
    write!(out, "+{secs}.{micros:06} [0 {}]", one_line(peer)).expect("a Vec takes everything");
    for arg in redacted(command, args) {
        out.extend_from_slice(b" \"");
        arg.iter().for_each(|byte| push_escaped(*byte, out));
        out.push(b'"');
    }
    out.extend_from_slice(b"\r\n");
}

fn push_escaped(byte: u8, out: &mut Vec<u8>) {
    let letter = match byte {
        b'\\' | b'"' => byte,
        b'\n' => b'n',
        b'\r' => b'r',
        b'\t' => b't',
        7 => b'a',
        8 => b'b',
        b' '..=b'~' => return out.push(byte),
        _ => {
            out.extend_from_slice(b"\\x");
            return out.extend([byte >> 4, byte & 15].map(|digit| b"0123456789abcdef"[digit as usize]));
        }
    };
    out.extend([b'\\', letter]);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(peer: &str, command: &str, args: &[&[u8]]) -> String {
        let mut out = Vec::new();
        trace_line(1_795_314_519_003_964, peer, command, args.iter().copied(), &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_trace_line_has_the_form_that_redis_clients_read() {
        assert_eq!(
            line("127.0.0.1:59514", "ping", &[b"PING", b"a\"b\n\x01"]),
            "+1795314519.003964 [0 127.0.0.1:59514] \"PING\" \"a\\\"b\\n\\x01\"\r\n"
        );
        assert_eq!(
            line("unix:/tmp/d.sock", "ping", &[b"ping", b""]),
            "+1795314519.003964 [0 unix:/tmp/d.sock] \"ping\" \"\"\r\n"
        );
    }

    #[test]
    fn bytes_that_do_not_print_are_escaped() {
        let escaped = line("p", "ping", &[b"\\ \r\t\x07\x08\0\x1f~\x7f\xff"]);
        assert!(escaped.ends_with(" \"\\\\ \\r\\t\\a\\b\\x00\\x1f~\\x7f\\xff\"\r\n"), "{escaped}");
    }

    #[test]
    fn passwords_are_not_shown() {
        let shown = line("p", "auth", &[b"AUTH", b"sekret"]);
        assert_eq!(shown, "+1795314519.003964 [0 p] \"AUTH\" \"(redacted)\"\r\n");
    }
}
