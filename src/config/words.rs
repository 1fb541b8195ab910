//! Quoting a word of a configuration line, so that it splits back into itself.

/// Writes `word` in double quotes, so that [`split_quoted`](crate::resp::split_quoted) reads exactly it.
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
    use crate::resp::split_quoted;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn quoted_words_split_back(given in prop::collection::vec(any::<Vec<u8>>(), 0..5)) {
            let line = given.iter().map(|word| quote(word)).collect::<Vec<_>>().join(&b' ');
            prop_assert_eq!(split_quoted(&line), Ok(given));
        }
    }
}
