//! Words of a line: splitting it as an inline request is split, and quoting a word so that it splits back.

/// A quote without its partner, or a closing quote that something other than a blank follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct UnbalancedQuotes;

/// Splits `line` at blanks, honouring quotes (operations.md 2.1).
///
/// In double quotes `\n \r \t \b \a \xHH` stand for bytes, and a backslash before any other byte for that
/// byte; in single quotes only `\'` is special. A quote may begin inside a word, but only a blank may follow
/// its end.
pub(super) fn split_quoted(line: &[u8]) -> Result<Vec<Vec<u8>>, UnbalancedQuotes> {
    let mut words = Vec::new();
    let mut rest = line.trim_ascii_start();
    while !rest.is_empty() {
        let mut word = Vec::new();
        rest = read_word(rest, &mut word)?.trim_ascii_start();
        words.push(word);
    }
    Ok(words)
}

/// Reads one word, which `rest` begins with, and returns what follows it.
fn read_word<'a>(mut rest: &'a [u8], word: &mut Vec<u8>) -> Result<&'a [u8], UnbalancedQuotes> {
    while let [first, after @ ..] = rest {
        match first {
            b'"' => return at_blank(read_double_quoted(after, word)?),
            b'\'' => return at_blank(read_single_quoted(after, word)?),
            blank if blank.is_ascii_whitespace() => return Ok(rest),
            plain => word.push(*plain),
        }
        rest = after;
    }
    Ok(rest)
}

fn at_blank(rest: &[u8]) -> Result<&[u8], UnbalancedQuotes> {
    if rest.first().is_none_or(u8::is_ascii_whitespace) { Ok(rest) } else { Err(UnbalancedQuotes) }
}

fn read_double_quoted<'a>(mut rest: &'a [u8], word: &mut Vec<u8>) -> Result<&'a [u8], UnbalancedQuotes> {
    loop {
        let (byte, after) = match rest {
            [] => return Err(UnbalancedQuotes),
            [b'"', after @ ..] => return Ok(after),
            [b'\\', b'x', high, low, after @ ..] if is_hex(*high) && is_hex(*low) => {
                (hex_value(*high) << 4 | hex_value(*low), after)
            }
            [b'\\', escaped, after @ ..] => (unescape(*escaped), after),
            [plain, after @ ..] => (*plain, after),
        };
        word.push(byte);
        rest = after;
    }
}

fn read_single_quoted<'a>(mut rest: &'a [u8], word: &mut Vec<u8>) -> Result<&'a [u8], UnbalancedQuotes> {
    loop {
        let (byte, after) = match rest {
            [] => return Err(UnbalancedQuotes),
            [b'\'', after @ ..] => return Ok(after),
            [b'\\', b'\'', after @ ..] => (b'\'', after),
            [plain, after @ ..] => (*plain, after),
        };
        word.push(byte);
        rest = after;
    }
}

fn unescape(byte: u8) -> u8 {
    match byte {
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'b' => 0x08,
        b'a' => 0x07,
        other => other,
    }
}

fn is_hex(byte: u8) -> bool {
    byte.is_ascii_hexdigit()
}

/// The value of a hexadecimal digit.
fn hex_value(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        _ => (digit | 0x20) - b'a' + 10,
    }
}

/// Writes `word` in double quotes, so that [`split_quoted`] reads exactly it.
///
/// Bytes above ASCII stay as they are, so that a file in UTF-8 stays readable.
pub(super) fn quote(word: &[u8]) -> Vec<u8> {
    let mut quoted = vec![b'"'];
    for byte in word {
        match byte {
            b'"' | b'\\' => quoted.extend([b'\\', *byte]),
            b'\n' => quoted.extend(b"\\n"),
            b'\r' => quoted.extend(b"\\r"),
            b'\t' => quoted.extend(b"\\t"),
            0x08 => quoted.extend(b"\\b"),
            0x07 => quoted.extend(b"\\a"),
            control if control.is_ascii_control() => quoted.extend(format!("\\x{control:02x}").bytes()),
            plain => quoted.push(*plain),
        }
    }
    quoted.push(b'"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn words(line: &str) -> Result<Vec<String>, UnbalancedQuotes> {
        let words = split_quoted(line.as_bytes())?;
        Ok(words.into_iter().map(|word| String::from_utf8(word).expect("the tests use UTF-8")).collect())
    }

    #[test]
    fn blanks_separate_and_quotes_group() {
        assert_eq!(words("  a \t b\r\n").unwrap(), ["a", "b"]);
        assert_eq!(words("").unwrap(), [""; 0]);
        assert_eq!(words(r#"logfile """#).unwrap(), ["logfile", ""]);
        assert_eq!(words(r#"a "b c" 'd e'"#).unwrap(), ["a", "b c", "d e"]);
        assert_eq!(words(r#"a"b c""#).unwrap(), ["ab c"]);
    }

    #[test]
    fn double_quotes_know_escapes_and_single_quotes_only_themselves() {
        assert_eq!(words(r#""\n\r\t\b\a\x41\\\"\q""#).unwrap(), ["\n\r\t\u{8}\u{7}A\\\"q"]);
        assert_eq!(words(r#""\xZZ""#).unwrap(), ["xZZ"]);
        assert_eq!(words(r"'\n\'\x'").unwrap(), [r"\n'\x"]);
        assert_eq!(split_quoted(br#""\xfF""#).unwrap(), [vec![0xff]]);
    }

    #[test]
    fn a_quote_must_close_and_a_blank_must_follow() {
        for line in [r#""a"#, "'a", r#""a"b"#, "'a'b", r#""a\""#, r#""a""b""#, "\"a\\"] {
            assert_eq!(words(line), Err(UnbalancedQuotes), "{line}");
        }
    }

    proptest! {
        #[test]
        fn quoted_words_split_back(given in prop::collection::vec(any::<Vec<u8>>(), 0..5)) {
            let line = given.iter().map(|word| quote(word)).collect::<Vec<_>>().join(&b' ');
            prop_assert_eq!(split_quoted(&line), Ok(given));
        }

        #[test]
        fn any_line_splits_or_is_refused(line: Vec<u8>) {
            let _ = split_quoted(&line);
        }
    }
}
