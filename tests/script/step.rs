//! The language of the cases.
//!
//! ```text
//! ## an at-most-once job is not requeued     a case begins, with its claim
//! needs server                               it uses commands of the shell
//! > ADDJOB q hello 0 RETRY 0                 client `main` sends a command, quoted like on the prompt
//! < $job                                     its next reply: see `pattern.rs`
//! b> GETJOB FROM q                           client `b` does
//! b blocked                                  and has no reply yet
//! b< [[q $job hello]]
//! b hangs up                                 its connection ends
//! clock +10m                                 time passes
//! # a comment
//! ```

use std::path::Path;

use disque::resp::split_quoted;
use disque::types::parse_duration;

use crate::pattern::Pattern;

/// One conversation.
pub struct Case {
    /// File and claim.
    pub name: String,
    pub needs_server: bool,
    pub steps: Vec<Step>,
}

/// One line of it.
pub struct Step {
    pub line: usize,
    pub action: Action,
}

pub enum Action {
    Send { client: String, words: Vec<Vec<u8>> },
    Expect { client: String, pattern: Pattern },
    Blocked { client: String },
    HangUp { client: String },
    Clock { millis: u64 },
}

impl Case {
    pub fn moves_clock(&self) -> bool {
        self.steps.iter().any(|step| matches!(step.action, Action::Clock { .. }))
    }
}

/// Reads the cases of a file; a line that is not understood is a defect of the test.
pub fn parse_file(path: &Path) -> Vec<Case> {
    let text = std::fs::read_to_string(path).expect("cases are text");
    let file = path.file_name().expect("a file has a name").to_string_lossy().into_owned();
    let mut cases: Vec<Case> = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if let Some(claim) = line.strip_prefix("## ") {
            cases.push(Case { name: format!("{file} [{claim}]"), needs_server: false, steps: Vec::new() });
        } else if line.is_empty() || line.starts_with('#') {
            continue;
        } else {
            let case = cases.last_mut().unwrap_or_else(|| panic!("{file}: a case begins with '## claim'"));
            if line == "needs server" {
                case.needs_server = true;
                continue;
            }
            let action = parse_line(line).unwrap_or_else(|why| panic!("{file}:{}: {why}", index + 1));
            case.steps.push(Step { line: index + 1, action });
        }
    }
    cases
}

fn parse_line(line: &str) -> Result<Action, String> {
    if let Some(span) = line.strip_prefix("clock +") {
        let span = parse_duration(span.as_bytes()).map_err(|error| error.to_string())?;
        return Ok(Action::Clock { millis: span.0 });
    }
    if let Some(client) = line.strip_suffix(" blocked") {
        return Ok(Action::Blocked { client: client.to_owned() });
    }
    if let Some(client) = line.strip_suffix(" hangs up") {
        return Ok(Action::HangUp { client: client.to_owned() });
    }
    let at = line.find(['<', '>']).ok_or("neither a command nor a reply")?;
    let client = if at == 0 { "main" } else { line[..at].trim() }.to_owned();
    let rest = line[at + 1..].trim();
    if line.as_bytes()[at] == b'<' {
        return Ok(Action::Expect { client, pattern: Pattern::parse(rest)? });
    }
    let words = split_quoted(rest.as_bytes()).map_err(|_| "unbalanced quotes")?;
    Ok(Action::Send { client, words })
}
