//! JSON, one line per reply.
//!
//! | reply | JSON |
//! | --- | --- |
//! | string, status | string |
//! | string that is not UTF-8 | `{"base64": "…"}` |
//! | integer, double | number; a double that is infinite or no number: string |
//! | big number | string |
//! | null, boolean | null, boolean |
//! | array, set | array |
//! | map; fields of SHOW and QSTAT | object, in the order sent; a name that is not UTF-8: `base64:…` |
//! | error | `{"error": "…"}` |

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Number, Value, json};

use crate::resp::Reply;

/// Writes the reply; `fields` are its pairs if it is to be an object despite its type.
pub(super) fn write(out: &mut Vec<u8>, reply: &Reply, fields: Option<Vec<(&Reply, &Reply)>>) {
    let value = match fields {
        Some(pairs) => object(pairs.into_iter()),
        None => value(reply),
    };
    out.extend_from_slice(value.to_string().as_bytes());
    out.push(b'\n');
}

fn value(reply: &Reply) -> Value {
    match reply {
        Reply::Status(bytes) | Reply::Text(bytes) | Reply::Verbatim(bytes) => text(bytes),
        // For people, who gain nothing from an exact rendering of stray bytes.
        Reply::Error(text) => json!({ "error": String::from_utf8_lossy(text) }),
        Reply::Integer(number) => Value::from(*number),
        Reply::Double(number) => {
            Number::from_f64(*number).map_or_else(|| number.to_string().into(), Value::Number)
        }
        Reply::BigNumber(digits) => Value::from(String::from_utf8_lossy(digits)),
        Reply::Boolean(truth) => Value::from(*truth),
        Reply::Nil | Reply::NilArray => Value::Null,
        Reply::Array(elements) | Reply::Set(elements) | Reply::Push(elements) => {
            elements.iter().map(value).collect()
        }
        Reply::Map(pairs) => object(pairs.iter().map(|(name, value)| (name, value))),
    }
}

/// A string of any bytes.
pub(in crate::cli) fn text(bytes: &[u8]) -> Value {
    match std::str::from_utf8(bytes) {
        Ok(text) => Value::from(text),
        Err(_) => json!({ "base64": STANDARD.encode(bytes) }),
    }
}

fn object<'a>(pairs: impl Iterator<Item = (&'a Reply, &'a Reply)>) -> Value {
    Value::Object(pairs.map(|(name, element)| (object_name(name), value(element))).collect::<Map<_, _>>())
}

fn object_name(reply: &Reply) -> String {
    match reply.bytes().map(|bytes| (std::str::from_utf8(bytes), bytes)) {
        Some((Ok(text), _)) => text.to_string(),
        Some((Err(_), bytes)) => format!("base64:{}", STANDARD.encode(bytes)),
        None => value(reply).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::text as reply;
    use super::*;

    fn shown(reply: &Reply) -> String {
        let mut out = Vec::new();
        write(&mut out, reply, None);
        String::from_utf8(out).expect("JSON is UTF-8")
    }

    #[test]
    fn text_is_kept_and_other_bytes_are_base64() {
        assert_eq!(shown(&reply("é \"q\"\n\0")), "\"é \\\"q\\\"\\n\\u0000\"\n");
        assert_eq!(shown(&Reply::Text(b"\xff\xfe\xfd".to_vec())), "{\"base64\":\"//79\"}\n");
    }

    #[test]
    fn maps_are_objects_in_the_order_sent() {
        let map = Reply::Map(vec![
            (reply("z"), Reply::Nil),
            (reply("a"), Reply::Array(vec![Reply::Boolean(true), Reply::Double(0.5)])),
            (Reply::Integer(7), Reply::Error(b"ERR no".to_vec())),
            (Reply::Text(b"\xff".to_vec()), Reply::Double(f64::INFINITY)),
        ]);
        let expected = r#"{"z":null,"a":[true,0.5],"7":{"error":"ERR no"},"base64:/w==":"inf"}"#;
        assert_eq!(shown(&map).trim_end(), expected);
    }

    #[test]
    fn error_is_an_object() {
        assert_eq!(shown(&Reply::Error(b"ERR no".to_vec())), "{\"error\":\"ERR no\"}\n");
    }
}
