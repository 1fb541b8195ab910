//! The fields of one job or queue as aligned `name: value` lines.

use super::{Colour, terminal};
use crate::resp::Reply;

/// Writes one line per pair. Values are bare where that cannot be misread, since the type is plain from the name.
pub(super) fn write(out: &mut Vec<u8>, pairs: &[(&Reply, &Reply)], colour: Colour) {
    let names: Vec<_> = pairs.iter().map(|(name, _)| bare(name.bytes().unwrap_or_default()) + ":").collect();
    let width = names.iter().map(String::len).max().unwrap_or(0);
    for (name, (_, value)) in names.iter().zip(pairs) {
        let gap = width - name.len() + 1;
        out.extend_from_slice(format!("{}{:gap$}", colour.cyan(name), "").as_bytes());
        write_value(out, value, colour);
        out.push(b'\n');
    }
}

fn write_value(out: &mut Vec<u8>, value: &Reply, colour: Colour) {
    match value {
        Reply::Integer(number) => out.extend_from_slice(number.to_string().as_bytes()),
        Reply::Text(text) | Reply::Status(text) => out.extend_from_slice(bare(text).as_bytes()),
        Reply::Array(elements) | Reply::Set(elements) if !elements.is_empty() => {
            for (n, element) in elements.iter().enumerate() {
                if n > 0 {
                    out.extend_from_slice(b", ");
                }
                write_value(out, element, colour);
            }
        }
        Reply::Map(pairs) if !pairs.is_empty() => {
            for (n, (name, value)) in pairs.iter().enumerate() {
                if n > 0 {
                    out.extend_from_slice(b", ");
                }
                write_value(out, name, colour);
                out.push(b'=');
                write_value(out, value, colour);
            }
        }
        leaf => terminal::write_leaf(out, leaf, colour),
    }
}

/// The text as it is if it consists of plain visible characters and single words' spaces, quoted otherwise.
pub(super) fn bare(text: &[u8]) -> String {
    let plain = |&byte: &u8| matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\');
    match std::str::from_utf8(text) {
        Ok(visible) if !text.is_empty() && text.trim_ascii() == text && text.iter().all(plain) => {
            visible.to_string()
        }
        _ => terminal::quoted(text),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::text;
    use super::*;

    #[test]
    fn values_line_up_and_are_quoted_only_when_needed() {
        let fields = [
            (text("state"), text("queued")),
            (text("nodes-delivered"), Reply::Array(vec![text("n1"), text("n2")])),
            (text("nodes-confirmed"), Reply::Array(vec![])),
            (text("ttl"), Reply::Integer(60)),
            (text("body"), text("two words, \"quoted\"")),
            (text("none"), text("")),
        ];
        let pairs: Vec<_> = fields.iter().map(|(name, value)| (name, value)).collect();
        let mut out = Vec::new();
        write(&mut out, &pairs, Colour::Off);
        let expected = "state:           queued\n\
                        nodes-delivered: n1, n2\n\
                        nodes-confirmed: (empty array)\n\
                        ttl:             60\n\
                        body:            \"two words, \\\"quoted\\\"\"\n\
                        none:            \"\"\n";
        assert_eq!(String::from_utf8(out).expect("ASCII"), expected);
    }
}
