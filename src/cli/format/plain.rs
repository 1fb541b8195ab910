//! The forms for other programs that read text: raw and CSV.

use crate::resp::Reply;

/// Bare values; the elements of arrays, however nested, separated by `delimiter`. A null is nothing.
pub(super) fn write_raw(out: &mut Vec<u8>, reply: &Reply, delimiter: &[u8]) {
    let mut first = true;
    for_each_leaf(reply, &mut |leaf| {
        if !std::mem::take(&mut first) {
            out.extend_from_slice(delimiter);
        }
        match leaf {
            Reply::Nil | Reply::NilArray => {}
            Reply::Error(text) => out.extend_from_slice(text),
            other => out.extend_from_slice(&scalar(other)),
        }
    });
    out.push(b'\n');
}

/// One record per reply, as RFC 4180 has it: strings in quotes, quotes inside doubled, line breaks kept.
///
/// Numbers and the words `NIL` and `ERROR` are bare, so that they cannot be taken for strings.
pub(super) fn write_csv(out: &mut Vec<u8>, reply: &Reply) {
    let mut first = true;
    for_each_leaf(reply, &mut |leaf| {
        if !std::mem::take(&mut first) {
            out.push(b',');
        }
        match leaf {
            Reply::Nil | Reply::NilArray => out.extend_from_slice(b"NIL"),
            Reply::Error(text) => {
                out.extend_from_slice(b"ERROR,");
                write_csv_string(out, text);
            }
            other => match other.bytes() {
                Some(bytes) => write_csv_string(out, bytes),
                None => out.extend_from_slice(&scalar(other)),
            },
        }
    });
    out.push(b'\n');
}

fn write_csv_string(out: &mut Vec<u8>, text: &[u8]) {
    out.push(b'"');
    for &byte in text {
        if byte == b'"' {
            out.push(b'"');
        }
        out.push(byte);
    }
    out.push(b'"');
}

fn for_each_leaf(reply: &Reply, visit: &mut impl FnMut(&Reply)) {
    match reply {
        Reply::Array(elements) | Reply::Set(elements) | Reply::Push(elements) => {
            elements.iter().for_each(|element| for_each_leaf(element, visit));
        }
        Reply::Map(pairs) => {
            for (name, value) in pairs {
                for_each_leaf(name, visit);
                for_each_leaf(value, visit);
            }
        }
        leaf => visit(leaf),
    }
}

fn scalar(reply: &Reply) -> Vec<u8> {
    match reply {
        Reply::Integer(number) => number.to_string().into_bytes(),
        Reply::Double(number) => number.to_string().into_bytes(),
        Reply::Boolean(truth) => truth.to_string().into_bytes(),
        Reply::BigNumber(digits) => digits.clone(),
        other => other.bytes().unwrap_or_default().to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::text;
    use super::*;

    fn csv(reply: &Reply) -> String {
        let mut out = Vec::new();
        write_csv(&mut out, reply);
        String::from_utf8(out).expect("these are all UTF-8")
    }

    fn raw(reply: &Reply, delimiter: &str) -> Vec<u8> {
        let mut out = Vec::new();
        write_raw(&mut out, reply, delimiter.as_bytes());
        out
    }

    #[test]
    fn csv_doubles_quotes_and_keeps_line_breaks() {
        assert_eq!(csv(&text("say \"hi\",\nnow")), "\"say \"\"hi\"\",\nnow\"\n");
    }

    #[test]
    fn csv_flattens_and_marks_what_is_no_string() {
        let inner = Reply::Array(vec![text("q"), Reply::Nil, Reply::Integer(1)]);
        assert_eq!(csv(&Reply::Array(vec![inner, text("NIL")])), "\"q\",NIL,1,\"NIL\"\n");
        assert_eq!(csv(&Reply::Error(b"ERR no".to_vec())), "ERROR,\"ERR no\"\n");
        assert_eq!(csv(&Reply::Array(vec![])), "\n");
    }

    #[test]
    fn raw_puts_the_delimiter_between_elements_only() {
        let nested =
            Reply::Array(vec![text("a"), Reply::Array(vec![text("b"), Reply::Nil]), Reply::Integer(2)]);
        assert_eq!(raw(&nested, "\n"), b"a\nb\n\n2\n");
        assert_eq!(raw(&nested, "; "), b"a; b; ; 2\n");
    }

    #[test]
    fn raw_leaves_bytes_alone() {
        assert_eq!(raw(&Reply::Text(b"\xff\0\n".to_vec()), "\n"), b"\xff\0\n\n");
        assert_eq!(raw(&Reply::Nil, "\n"), b"\n");
        assert_eq!(raw(&Reply::Error(b"ERR no".to_vec()), "\n"), b"ERR no\n");
    }
}
