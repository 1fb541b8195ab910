//! Splits a typed line into words, with the quoting rules of the inline protocol.

/// The line ends inside quotes, or a closing quote is followed by something other than a space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct UnbalancedQuotes;

/// The words of `line`.
///
/// Words are separated by white space. In double quotes, `\n \r \t \b \a`, `\xHH` and `\` before any other byte
/// are escapes; in single quotes only `\'` is. A quote opens anywhere in a word and its end must end the word.
pub(crate) fn split_quoted(line: &[u8]) -> Result<Vec<Vec<u8>>, UnbalancedQuotes> {
    let mut words = Vec::new();
    let mut rest = line.trim_ascii_start();
    while !rest.is_empty() {
        let (word, after) = first_word(rest)?;
        words.push(word);
        rest = after.trim_ascii_start();
    }
    Ok(words)
}

fn first_word(mut rest: &[u8]) -> Result<(Vec<u8>, &[u8]), UnbalancedQuotes> {
    let mut word = Vec::new();
    loop {
        rest = match rest {
            [] => return Ok((word, rest)),
            [byte, ..] if byte.is_ascii_whitespace() => return Ok((word, rest)),
            [b'"', inside @ ..] => return double_quoted(inside, word),
            [b'\'', inside @ ..] => return single_quoted(inside, word),
            [byte, after @ ..] => {
                word.push(*byte);
                after
            }
        };
    }
}

fn double_quoted(mut rest: &[u8], mut word: Vec<u8>) -> Result<(Vec<u8>, &[u8]), UnbalancedQuotes> {
    loop {
        let (byte, after) = match rest {
            [] | [b'\\'] => return Err(UnbalancedQuotes),
            [b'"', after @ ..] => return ended(word, after),
            [b'\\', b'x', high, low, after @ ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                (hex_value(*high) << 4 | hex_value(*low), after)
            }
            [b'\\', escaped, after @ ..] => (unescaped(*escaped), after),
            [byte, after @ ..] => (*byte, after),
        };
        word.push(byte);
        rest = after;
    }
}

fn single_quoted(mut rest: &[u8], mut word: Vec<u8>) -> Result<(Vec<u8>, &[u8]), UnbalancedQuotes> {
    loop {
        let (byte, after) = match rest {
            [] => return Err(UnbalancedQuotes),
            [b'\'', after @ ..] => return ended(word, after),
            [b'\\', b'\'', after @ ..] => (b'\'', after),
            [byte, after @ ..] => (*byte, after),
        };
        word.push(byte);
        rest = after;
    }
}

fn ended(word: Vec<u8>, after: &[u8]) -> Result<(Vec<u8>, &[u8]), UnbalancedQuotes> {
    match after.first() {
        Some(byte) if !byte.is_ascii_whitespace() => Err(UnbalancedQuotes),
        _ => Ok((word, after)),
    }
}

fn unescaped(letter: u8) -> u8 {
    match letter {
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'b' => 0x08,
        b'a' => 0x07,
        other => other,
    }
}

fn hex_value(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        _ => digit.to_ascii_lowercase() - b'a' + 10,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::format::quoted;
    use super::*;

    fn words(line: &str) -> Vec<Vec<u8>> {
        split_quoted(line.as_bytes()).expect("balanced")
    }

    #[test]
    fn white_space_separates_words() {
        assert_eq!(words("  ADDJOB\tq  body 0 \r\n"), [&b"ADDJOB"[..], b"q", b"body", b"0"]);
        assert_eq!(words("   "), Vec::<Vec<u8>>::new());
    }

    #[test]
    fn double_quotes_know_escapes() {
        assert_eq!(words(r#""a b\n\x00\xfF\"\\\q""#), [b"a b\n\x00\xff\"\\q"]);
        assert_eq!(words(r#""\xZ1""#), [b"xZ1"]);
    }

    #[test]
    fn single_quotes_know_only_their_own() {
        assert_eq!(words(r"'a\n\'b' ''"), [&br"a\n'b"[..], b""]);
    }

    #[test]
    fn quotes_may_open_inside_a_word_but_must_end_it() {
        assert_eq!(words(r#"a"b c" d"#), [&b"ab c"[..], b"d"]);
        assert_eq!(split_quoted(br#""a"b"#), Err(UnbalancedQuotes));
    }

    #[test]
    fn open_quotes_are_refused() {
        for line in [&b"\"abc"[..], b"'abc", b"a \"\\\"", b"\"\\"] {
            assert_eq!(split_quoted(line), Err(UnbalancedQuotes), "{line:?}");
        }
    }

    proptest! {
        #[test]
        fn what_the_terminal_form_quotes_reads_back(words: Vec<Vec<u8>>) {
            let line: Vec<u8> = words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ").into_bytes();
            prop_assert_eq!(split_quoted(&line), Ok(words));
        }

        #[test]
        fn no_line_panics(line: Vec<u8>) {
            let _ = split_quoted(&line);
        }
    }
}
