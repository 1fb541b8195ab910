//! The form for people: types shown, strings quoted and escaped, nesting numbered and indented.

use super::Colour;
use crate::resp::Reply;

/// The text in double quotes, everything unprintable escaped; reads back as a word of a command line.
pub(crate) fn quoted(text: &[u8]) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for &byte in text {
        match byte {
            b'"' => out.push_str("\\\""),
            b'\\' => out.push_str("\\\\"),
            b'\n' => out.push_str("\\n"),
            b'\r' => out.push_str("\\r"),
            b'\t' => out.push_str("\\t"),
            0x07 => out.push_str("\\a"),
            0x08 => out.push_str("\\b"),
            b' '..=b'~' => out.push(char::from(byte)),
            _ => out.push_str(&format!("\\x{byte:02x}")),
        }
    }
    out.push('"');
    out
}

/// Writes the reply; lines after the first are indented by `indent` columns.
pub(super) fn write(out: &mut Vec<u8>, reply: &Reply, indent: usize, colour: Colour) {
    match reply {
        Reply::Array(elements) if !elements.is_empty() => numbered(out, elements, ')', indent, colour),
        Reply::Set(elements) if !elements.is_empty() => numbered(out, elements, '~', indent, colour),
        Reply::Push(elements) if !elements.is_empty() => numbered(out, elements, '>', indent, colour),
        Reply::Map(pairs) if !pairs.is_empty() => numbered_pairs(out, pairs, indent, colour),
        leaf => {
            write_leaf(out, leaf, colour);
            out.push(b'\n');
        }
    }
}

/// Writes what fits on one line: anything but a filled array, set or map.
pub(super) fn write_leaf(out: &mut Vec<u8>, reply: &Reply, colour: Colour) {
    let shown = match reply {
        Reply::Status(bytes) | Reply::Verbatim(bytes) => return out.extend_from_slice(bytes),
        Reply::Error(bytes) => {
            out.extend_from_slice(colour.red("(error)").as_bytes());
            out.push(b' ');
            return out.extend_from_slice(bytes);
        }
        Reply::BigNumber(digits) => format!("(big number) {}", String::from_utf8_lossy(digits)),
        Reply::Text(bytes) => quoted(bytes),
        Reply::Integer(number) => format!("(integer) {number}"),
        Reply::Double(number) => format!("(double) {number}"),
        Reply::Boolean(truth) => format!("({truth})"),
        Reply::Nil | Reply::NilArray => colour.grey("(nil)"),
        Reply::Array(_) | Reply::Push(_) => colour.grey("(empty array)"),
        Reply::Set(_) => colour.grey("(empty set)"),
        Reply::Map(_) => colour.grey("(empty map)"),
    };
    out.extend_from_slice(shown.as_bytes());
}

fn numbered(out: &mut Vec<u8>, elements: &[Reply], mark: char, indent: usize, colour: Colour) {
    let width = elements.len().to_string().len();
    for (n, element) in elements.iter().enumerate() {
        start_line(out, n, width, mark, indent);
        write(out, element, indent + width + 2, colour);
    }
}

fn numbered_pairs(out: &mut Vec<u8>, pairs: &[(Reply, Reply)], indent: usize, colour: Colour) {
    let width = pairs.len().to_string().len();
    let inner = indent + width + 2;
    for (n, (name, value)) in pairs.iter().enumerate() {
        start_line(out, n, width, '#', indent);
        write(out, name, inner, colour);
        // The value goes on the line of its name, so the end of that line is taken back.
        out.pop();
        out.extend_from_slice(b" => ");
        let filled = matches!(value, Reply::Map(pairs) if !pairs.is_empty())
            || value.elements().is_some_and(|elements| !elements.is_empty());
        if filled {
            out.pop();
            out.push(b'\n');
            out.resize(out.len() + inner, b' ');
        }
        write(out, value, inner, colour);
    }
}

/// The number of an element; the first one stands on the line of its parent.
fn start_line(out: &mut Vec<u8>, n: usize, width: usize, mark: char, indent: usize) {
    let margin = if n == 0 { 0 } else { indent };
    out.extend_from_slice(format!("{:margin$}{:>width$}{mark} ", "", n + 1).as_bytes());
}

#[cfg(test)]
mod tests {
    use super::super::tests::text;
    use super::*;

    fn shown(reply: &Reply) -> String {
        let mut out = Vec::new();
        write(&mut out, reply, 0, Colour::Off);
        String::from_utf8(out).expect("these are all UTF-8")
    }

    #[test]
    fn leaves_show_their_type() {
        assert_eq!(shown(&Reply::Status(b"PONG".to_vec())), "PONG\n");
        assert_eq!(shown(&Reply::Error(b"ERR no".to_vec())), "(error) ERR no\n");
        assert_eq!(shown(&Reply::Integer(-3)), "(integer) -3\n");
        assert_eq!(shown(&Reply::Nil), "(nil)\n");
        assert_eq!(shown(&Reply::Boolean(true)), "(true)\n");
        assert_eq!(shown(&Reply::Double(1.5)), "(double) 1.5\n");
        assert_eq!(shown(&text("a \"b\"\n\u{e9}\0")), "\"a \\\"b\\\"\\n\\xc3\\xa9\\x00\"\n");
    }

    #[test]
    fn empty_collections_say_so() {
        assert_eq!(shown(&Reply::Array(vec![])), "(empty array)\n");
        assert_eq!(shown(&Reply::Set(vec![])), "(empty set)\n");
        assert_eq!(shown(&Reply::Map(vec![])), "(empty map)\n");
    }

    #[test]
    fn nested_arrays_are_numbered_and_indented() {
        let job = |n: i64| Reply::Array(vec![text("q"), Reply::Integer(n)]);
        let expected = "1) 1) \"q\"\n   2) (integer) 1\n2) 1) \"q\"\n   2) (integer) 2\n3) (empty array)\n";
        assert_eq!(shown(&Reply::Array(vec![job(1), job(2), Reply::Array(vec![])])), expected);
    }

    #[test]
    fn numbers_of_long_arrays_line_up() {
        let ten = Reply::Array((1..=10).map(Reply::Integer).collect());
        let output = shown(&ten);
        let lines: Vec<_> = output.lines().collect();
        assert_eq!((lines[0], lines[9]), (" 1) (integer) 1", "10) (integer) 10"));
    }

    #[test]
    fn maps_show_name_and_value() {
        let map = Reply::Map(vec![
            (text("a"), Reply::Integer(1)),
            (text("b"), Reply::Array(vec![text("x"), text("y")])),
            (text("c"), Reply::Map(vec![])),
        ]);
        let expected =
            "1# \"a\" => (integer) 1\n2# \"b\" =>\n   1) \"x\"\n   2) \"y\"\n3# \"c\" => (empty map)\n";
        assert_eq!(shown(&map), expected);
    }

    proptest::proptest! {
        #[test]
        fn what_is_quoted_reads_back_as_words(words: Vec<Vec<u8>>) {
            let line: Vec<u8> = words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ").into_bytes();
            proptest::prop_assert_eq!(crate::resp::split_quoted(&line), Ok(words));
        }
    }
}
