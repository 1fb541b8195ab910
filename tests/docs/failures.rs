//! Every error code and every warning of the server is explained in the manual.

use std::collections::BTreeSet;
use std::path::Path;

use crate::pages;

/// The files of the server in which the texts of errors stand.
const ERROR_TEXTS: [&str; 3] =
    ["src/command/error.rs", "src/command/reply/refusal.rs", "src/net/shell/connection.rs"];

/// The text in front of the tests of a file.
fn code_of(path: &Path) -> String {
    let text = std::fs::read_to_string(path).expect("the source is text");
    text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default().to_owned()
}

/// The string literals of a program text, without comments.
fn literals(code: &str) -> Vec<String> {
    let lines = code.lines().map(|line| if line.trim_start().starts_with("//") { "" } else { line });
    let code = lines.collect::<Vec<_>>().join("\n");
    let mut literals = Vec::new();
    let mut chars = code.chars().peekable();
    while let Some(c) = chars.next() {
        if c == '\'' && chars.peek() == Some(&'"') {
            chars.next();
        } else if c == '"' {
            let mut literal = String::new();
            while let Some(c) = chars.next() {
                match c {
                    '"' => break,
                    // A backslash at the end of a line joins it to the next one.
                    '\\' if chars.peek() == Some(&'\n') => {
                        while chars.peek().is_some_and(|c| c.is_whitespace()) {
                            chars.next();
                        }
                    }
                    '\\' => literal.extend(chars.next()),
                    c => literal.push(c),
                }
            }
            literals.push(literal);
        }
    }
    literals
}

/// The whole manual with single blanks.
fn manual() -> String {
    let pages: Vec<String> = pages::manual().iter().map(|page| pages::read(page)).collect();
    pages.join(" ").split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn every_error_code_has_a_heading() {
    let mut codes = BTreeSet::new();
    for file in ERROR_TEXTS {
        for literal in literals(&code_of(&pages::path(file))) {
            if let Some((code, rest)) = literal.split_once(' ')
                && code.len() > 2
                && code.chars().all(|c| c.is_ascii_uppercase())
                && !rest.is_empty()
            {
                codes.insert(code.to_owned());
            }
        }
    }
    assert!(codes.contains("NOREPL") && codes.contains("ERR"), "codes are found: {codes:?}");
    let page = pages::read("docs/manual/failures.md");
    let missing: Vec<_> = codes.iter().filter(|code| !page.contains(&format!("\n### {code}\n"))).collect();
    assert!(missing.is_empty(), "docs/manual/failures.md does not explain {missing:?}");
}

/// The messages of `tracing::warn!` and `tracing::error!` in a program text.
fn warnings(code: &str) -> Vec<String> {
    let mut messages = Vec::new();
    for start in ["tracing::warn!(", "tracing::error!("] {
        for rest in code.split(start).skip(1) {
            let call = rest.split(';').next().unwrap_or_default();
            // Of what is filled in, the text in front of it is looked for.
            let message = literals(call).into_iter().find(|literal| literal.contains(' '));
            messages.extend(message.map(|text| text.split('{').next().unwrap_or_default().trim().to_owned()));
        }
    }
    messages
}

fn sources(dir: &Path, found: &mut Vec<String>) {
    for entry in std::fs::read_dir(dir).expect("the directory is part of the source") {
        let path = entry.expect("it can be read").path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.extend(warnings(&code_of(&path)));
        }
    }
}

#[test]
fn every_warning_of_the_log_is_explained() {
    let mut messages = Vec::new();
    sources(&pages::path("src"), &mut messages);
    assert!(messages.len() > 30, "warnings are found");
    let manual = manual();
    let missing: Vec<_> = messages.iter().filter(|message| !manual.contains(message.as_str())).collect();
    assert!(missing.is_empty(), "docs/manual/failures.md does not explain {missing:#?}");
}

#[test]
fn literals_are_found_over_lines_and_not_in_comments() {
    let code = "a(\"one \\\n     two\"); // \"no\"\n// \"three\"\nb('\"', \"four\")";
    let found = literals(code);
    assert_eq!(found[0], "one two");
    assert!(!found.contains(&"three".to_owned()) && found.contains(&"four".to_owned()));
    let code = "tracing::warn!(%error, socket = %a.display(), \"it fails {why}\"); tracing::info!(\"b c\");";
    assert_eq!(warnings(code), ["it fails"]);
}
