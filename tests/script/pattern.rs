//! What a reply must look like.
//!
//! ```text
//! +OK            a status                  -ERR syntax error   an error, to the end of the line
//! :5             an integer                :5..9               an integer in a range, both ends included
//! word "a b"     a bulk                    nil  nil-array      the two nulls
//! [a b]          an array                  [a b ...]           an array that begins so
//! {a b}          an array with these elements in any order
//! (a :1 b *)     an array of names and values, or a map, that has these among others
//! map [a :1]     a map, names and values in order
//! ~word          a status or bulk that contains the word
//! -ERR no ...    an error that begins so
//! $name          a status, bulk or integer: bound at its first use, compared afterwards; also inside commands
//! *              anything
//! ```

use std::collections::BTreeMap;

use disque::resp::Value;

#[derive(Debug, PartialEq)]
pub enum Pattern {
    Status(String),
    Error(String),
    ErrorPrefix(String),
    Int(i64, i64),
    Bulk(Vec<u8>),
    Nil,
    NilArray,
    Array(Vec<Pattern>),
    Prefix(Vec<Pattern>),
    AnyOrder(Vec<Pattern>),
    /// Names and values, one after the other.
    Fields(Vec<Pattern>),
    Map(Vec<Pattern>),
    Contains(String),
    Variable(String),
    Anything,
}

impl Pattern {
    pub fn parse(text: &str) -> Result<Pattern, String> {
        if let Some(error) = text.strip_prefix('-')
            && error.starts_with(|c: char| c.is_ascii_uppercase())
        {
            return Ok(match error.strip_suffix(" ...") {
                Some(start) => Pattern::ErrorPrefix(start.to_owned()),
                None => Pattern::Error(error.to_owned()),
            });
        }
        let mut tokens = tokens(text)?;
        tokens.reverse();
        let pattern = Pattern::take(&mut tokens)?;
        if tokens.is_empty() { Ok(pattern) } else { Err(format!("too much: {tokens:?}")) }
    }

    fn take(tokens: &mut Vec<Token>) -> Result<Pattern, String> {
        match tokens.pop().ok_or("the pattern ends too early")? {
            Token::Quoted(bytes) => Ok(Pattern::Bulk(bytes)),
            Token::Word(word) if ["[", "{", "("].contains(&word.as_str()) => {
                Pattern::take_list(&word, tokens)
            }
            Token::Word(word) if word == "map" => match Pattern::take(tokens)? {
                Pattern::Array(pairs) if pairs.len() % 2 == 0 => Ok(Pattern::Map(pairs)),
                _ => Err("map is followed by a list of names and values".to_owned()),
            },
            Token::Word(word) => Pattern::word(&word),
        }
    }

    fn take_list(open: &str, tokens: &mut Vec<Token>) -> Result<Pattern, String> {
        let mut elements = Vec::new();
        loop {
            match tokens.last() {
                Some(Token::Word(word)) if ["]", "}", ")"].contains(&word.as_str()) => {
                    tokens.pop();
                    return Ok(match open {
                        "{" => Pattern::AnyOrder(elements),
                        "(" => Pattern::Fields(elements),
                        _ => Pattern::Array(elements),
                    });
                }
                Some(Token::Word(word)) if word == "..." => {
                    tokens.pop();
                    tokens.pop();
                    return Ok(Pattern::Prefix(elements));
                }
                _ => elements.push(Pattern::take(tokens)?),
            }
        }
    }

    fn word(word: &str) -> Result<Pattern, String> {
        let int = |text: &str| text.parse::<i64>().map_err(|_| format!("{text} is not an integer"));
        Ok(match word {
            "nil" => Pattern::Nil,
            "nil-array" => Pattern::NilArray,
            "*" => Pattern::Anything,
            _ => match (word.as_bytes()[0], &word[1..]) {
                (b'+', status) => Pattern::Status(status.to_owned()),
                (b'$', name) => Pattern::Variable(name.to_owned()),
                (b'~', text) => Pattern::Contains(text.to_owned()),
                (b':', range) => match range.split_once("..") {
                    Some((low, high)) => Pattern::Int(int(low)?, int(high)?),
                    None => Pattern::Int(int(range)?, int(range)?),
                },
                _ => Pattern::Bulk(word.as_bytes().to_vec()),
            },
        })
    }

    pub fn check(&self, value: &Value, bound: &mut BTreeMap<String, Vec<u8>>) -> Result<(), String> {
        let all = |patterns: &[Pattern], values: &[Value], bound: &mut BTreeMap<String, Vec<u8>>| {
            patterns.iter().zip(values).try_for_each(|(pattern, value)| pattern.check(value, bound))
        };
        match (self, value) {
            (Pattern::Anything, _) => Ok(()),
            (Pattern::Status(want), Value::Status(got)) if want == got => Ok(()),
            (Pattern::Error(want), Value::Error(got)) if want.as_bytes() == got => Ok(()),
            (Pattern::ErrorPrefix(want), Value::Error(got)) if got.starts_with(want.as_bytes()) => Ok(()),
            (Pattern::Contains(want), Value::Bulk(got)) if String::from_utf8_lossy(got).contains(want) => {
                Ok(())
            }
            (Pattern::Contains(want), Value::Status(got)) if got.contains(want) => Ok(()),
            (Pattern::Int(low, high), Value::Int(got)) if (low..=high).contains(&got) => Ok(()),
            (Pattern::Bulk(want), Value::Bulk(got)) if want == got => Ok(()),
            (Pattern::Nil, Value::NullBulk) | (Pattern::NilArray, Value::NullArray) => Ok(()),
            (Pattern::Array(want), Value::Array(got)) if want.len() == got.len() => all(want, got, bound),
            (Pattern::Prefix(want), Value::Array(got)) if want.len() <= got.len() => all(want, got, bound),
            (Pattern::AnyOrder(want), Value::Array(got)) if want.len() == got.len() => {
                let mut left: Vec<&Value> = got.iter().collect();
                for pattern in want {
                    let found =
                        left.iter().position(|value| pattern.check(value, &mut bound.clone()).is_ok());
                    let found = found.ok_or_else(|| format!("no element is like {pattern:?}"))?;
                    pattern.check(left.remove(found), bound)?;
                }
                Ok(())
            }
            (Pattern::Fields(want), Value::Array(got)) => check_fields(want, got.chunks(2), bound),
            (Pattern::Fields(want), Value::Map(got)) => {
                let pairs: Vec<[Value; 2]> = got.iter().cloned().map(<[Value; 2]>::from).collect();
                check_fields(want, pairs.iter().map(|pair| &pair[..]), bound)
            }
            (Pattern::Map(want), Value::Map(got)) if want.len() == 2 * got.len() => {
                let flat: Vec<Value> = got.iter().cloned().flat_map(<[Value; 2]>::from).collect();
                all(want, &flat, bound)
            }
            (Pattern::Variable(name), value) => check_variable(name, value, bound),
            _ => Err(format!("expected {self:?}")),
        }
    }
}

/// Whether each wanted name is among those that there are, with the wanted value.
fn check_fields<'a>(
    want: &[Pattern],
    got: impl Iterator<Item = &'a [Value]> + Clone,
    bound: &mut BTreeMap<String, Vec<u8>>,
) -> Result<(), String> {
    for field in want.chunks(2) {
        let [name, value] = field else { return Err("a name without a value".to_owned()) };
        let found = got.clone().find(|pair| name.check(&pair[0], &mut bound.clone()).is_ok());
        let found = found.and_then(|pair| pair.get(1)).ok_or_else(|| format!("there is no {name:?}"))?;
        value.check(found, bound).map_err(|why| format!("{name:?}: {why}"))?;
    }
    Ok(())
}

fn check_variable(name: &str, value: &Value, bound: &mut BTreeMap<String, Vec<u8>>) -> Result<(), String> {
    let got = match value {
        Value::Status(text) => text.as_bytes().to_vec(),
        Value::Bulk(bytes) => bytes.clone(),
        Value::Int(number) => number.to_string().into_bytes(),
        _ => return Err(format!("expected a status, bulk or integer for ${name}")),
    };
    let want = bound.entry(name.to_owned()).or_insert_with(|| got.clone());
    if *want == got { Ok(()) } else { Err(format!("${name} is {:?}", String::from_utf8_lossy(want))) }
}

/// Replaces `$name` by what it is bound to, and `%100` by 100 bytes.
pub fn substitute(word: &[u8], bound: &BTreeMap<String, Vec<u8>>) -> Result<Vec<u8>, String> {
    if let Some(len) = word.strip_prefix(b"%")
        && let Some(len) = std::str::from_utf8(len).ok().and_then(|len| len.parse().ok())
    {
        return Ok(vec![b'x'; len]);
    }
    let Some(name) = word.strip_prefix(b"$") else { return Ok(word.to_vec()) };
    let name = String::from_utf8_lossy(name);
    bound.get(name.as_ref()).cloned().ok_or_else(|| format!("${name} is not bound yet"))
}

#[derive(Debug)]
enum Token {
    Word(String),
    Quoted(Vec<u8>),
}

fn tokens(text: &str) -> Result<Vec<Token>, String> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let len = match first {
            '[' | ']' | '{' | '}' | '(' | ')' => 1,
            '"' => quoted_len(rest)?,
            _ => rest.find([' ', ']', '}', ')']).unwrap_or(rest.len()),
        };
        let (token, tail) = rest.split_at(len);
        if first == '"' {
            let words = disque::resp::split_quoted(token.as_bytes()).map_err(|_| "unbalanced quotes")?;
            tokens.push(Token::Quoted(words.concat()));
        } else {
            tokens.push(Token::Word(token.to_owned()));
        }
        rest = tail.trim_start();
    }
    Ok(tokens)
}

fn quoted_len(text: &str) -> Result<usize, String> {
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            b'"' if !escaped => return Ok(at + 1),
            b'\\' => escaped = !escaped,
            _ => escaped = false,
        }
    }
    Err("a quote is not closed".to_owned())
}

/// A reply in the notation of the patterns.
pub fn show(value: &Value) -> String {
    let list = |values: &[Value]| values.iter().map(show).collect::<Vec<_>>().join(" ");
    match value {
        Value::Status(text) => format!("+{text}"),
        Value::Error(text) => format!("-{}", String::from_utf8_lossy(text)),
        Value::Int(number) => format!(":{number}"),
        Value::Bulk(bytes) => format!("{:?}", String::from_utf8_lossy(bytes)),
        Value::NullBulk => "nil".to_owned(),
        Value::NullArray => "nil-array".to_owned(),
        Value::Array(values) => format!("[{}]", list(values)),
        Value::Map(pairs) => {
            let pairs: Vec<String> =
                pairs.iter().map(|(key, value)| format!("{}: {}", show(key), show(value))).collect();
            format!("map {{{}}}", pairs.join(", "))
        }
    }
}

#[test]
fn patterns_tell_replies_apart() {
    let mut bound = BTreeMap::new();
    let array = Value::Array(vec![Value::Bulk(b"a b".to_vec()), Value::Int(7), Value::NullBulk]);
    for (pattern, fits) in [
        ("[\"a b\" :7 nil]", true),
        ("[\"a b\" :5..9 nil]", true),
        ("[\"a b\" :8..9 nil]", false),
        ("[\"a b\" ...]", true),
        ("[\"a b\" :7]", false),
        ("{nil \"a b\" :7}", true),
        ("{nil \"a b\" :8}", false),
        ("[+a :7 nil]", false),
        ("[\"a b\" :7 nil-array]", false),
        ("*", true),
        ("(\"a b\" :7)", true),
        ("(\"a b\" :8)", false),
        ("(:7 *)", false),
        ("map [\"a b\" :7]", false),
    ] {
        let pattern_value = Pattern::parse(pattern).expect("the patterns above are right");
        assert_eq!(pattern_value.check(&array, &mut bound).is_ok(), fits, "{pattern}");
    }
    let map = Value::Map(vec![("proto".into(), Value::Int(3)), ("id".into(), Value::Int(7))]);
    for (pattern, fits) in [
        ("map [proto :3 id :7]", true),
        ("map [id :7 proto :3]", false),
        ("map [proto :3]", false),
        ("(id :7)", true),
        ("(id :8)", false),
        ("[proto :3 id :7]", false),
    ] {
        let pattern_value = Pattern::parse(pattern).expect("the patterns above are right");
        assert_eq!(pattern_value.check(&map, &mut bound).is_ok(), fits, "{pattern}");
    }
    let text = Value::Bulk(b"# Jobs\r\nregistered_jobs:3\r\n".to_vec());
    for (pattern, fits) in [("~registered_jobs:3", true), ("~registered_jobs:4", false)] {
        let pattern_value = Pattern::parse(pattern).expect("the patterns above are right");
        assert_eq!(pattern_value.check(&text, &mut bound).is_ok(), fits, "{pattern}");
    }
    let error = Value::error("NOAUTH HELLO must");
    for (pattern, fits) in [("-NOAUTH HELLO ...", true), ("-NOAUTH HELLO", false), ("-NOAUTH X ...", false)] {
        let pattern_value = Pattern::parse(pattern).expect("the patterns above are right");
        assert_eq!(pattern_value.check(&error, &mut bound).is_ok(), fits, "{pattern}");
    }
    let variable = Pattern::parse("$x").expect("a variable");
    assert!(variable.check(&Value::Bulk(b"1".to_vec()), &mut bound).is_ok());
    assert!(variable.check(&Value::Bulk(b"2".to_vec()), &mut bound).is_err());
    assert_eq!(Pattern::parse("-ERR syntax error"), Ok(Pattern::Error("ERR syntax error".to_owned())));
}
