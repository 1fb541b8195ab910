//! What a reply must look like.
//!
//! ```text
//! +OK            a status                  -ERR syntax error   an error, to the end of the line
//! :5             an integer                :5..9               an integer in a range, both ends included
//! word "a b"     a bulk                    nil  nil-array      the two nulls
//! [a b]          an array                  [a b ...]           an array that begins so
//! {a b}          an array with these elements in any order
//! $name          a status or bulk: bound at its first use, compared afterwards; also inside commands
//! *              anything
//! ```

use std::collections::BTreeMap;

use disque::resp::Value;

#[derive(Debug, PartialEq)]
pub enum Pattern {
    Status(String),
    Error(String),
    Int(i64, i64),
    Bulk(Vec<u8>),
    Nil,
    NilArray,
    Array(Vec<Pattern>),
    Prefix(Vec<Pattern>),
    AnyOrder(Vec<Pattern>),
    Variable(String),
    Anything,
}

impl Pattern {
    pub fn parse(text: &str) -> Result<Pattern, String> {
        if let Some(error) = text.strip_prefix('-')
            && error.starts_with(|c: char| c.is_ascii_uppercase())
        {
            return Ok(Pattern::Error(error.to_owned()));
        }
        let mut tokens = tokens(text)?;
        tokens.reverse();
        let pattern = Pattern::take(&mut tokens)?;
        if tokens.is_empty() { Ok(pattern) } else { Err(format!("too much: {tokens:?}")) }
    }

    fn take(tokens: &mut Vec<Token>) -> Result<Pattern, String> {
        match tokens.pop().ok_or("the pattern ends too early")? {
            Token::Quoted(bytes) => Ok(Pattern::Bulk(bytes)),
            Token::Word(word) if word == "[" || word == "{" => Pattern::take_list(word == "{", tokens),
            Token::Word(word) => Pattern::word(&word),
        }
    }

    fn take_list(any_order: bool, tokens: &mut Vec<Token>) -> Result<Pattern, String> {
        let mut elements = Vec::new();
        loop {
            match tokens.last() {
                Some(Token::Word(word)) if word == "]" || word == "}" => {
                    tokens.pop();
                    return Ok(if any_order {
                        Pattern::AnyOrder(elements)
                    } else {
                        Pattern::Array(elements)
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
            (Pattern::Variable(name), value) => check_variable(name, value, bound),
            _ => Err(format!("expected {self:?}")),
        }
    }
}

fn check_variable(name: &str, value: &Value, bound: &mut BTreeMap<String, Vec<u8>>) -> Result<(), String> {
    let got = match value {
        Value::Status(text) => text.as_bytes().to_vec(),
        Value::Bulk(bytes) => bytes.clone(),
        _ => return Err(format!("expected a status or bulk for ${name}")),
    };
    let want = bound.entry(name.to_owned()).or_insert_with(|| got.clone());
    if *want == got { Ok(()) } else { Err(format!("${name} is {:?}", String::from_utf8_lossy(want))) }
}

/// Replaces `$name` by what it is bound to.
pub fn substitute(word: &[u8], bound: &BTreeMap<String, Vec<u8>>) -> Result<Vec<u8>, String> {
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
            '[' | ']' | '{' | '}' => 1,
            '"' => quoted_len(rest)?,
            _ => rest.find([' ', ']', '}']).unwrap_or(rest.len()),
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
    ] {
        let pattern_value = Pattern::parse(pattern).expect("the patterns above are right");
        assert_eq!(pattern_value.check(&array, &mut bound).is_ok(), fits, "{pattern}");
    }
    let variable = Pattern::parse("$x").expect("a variable");
    assert!(variable.check(&Value::Bulk(b"1".to_vec()), &mut bound).is_ok());
    assert!(variable.check(&Value::Bulk(b"2".to_vec()), &mut bound).is_err());
    assert_eq!(Pattern::parse("-ERR syntax error"), Ok(Pattern::Error("ERR syntax error".to_owned())));
}
