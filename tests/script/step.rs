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
//! b closed                                   the server has closed it, without another reply
//! 512 times > ADDJOB q# %100 0               sends it so often, with # as 1, 2, 3 …; no reply is an error
//! scan 512 > JSCAN COUNT 10                  from cursor 0 to 0: so many elements, each once
//! clock +10m                                 time passes
//! settings maxmemory=100000                  the engine's settings change (also maxmemory-policy)
//! # a comment
//! ```
//!
//! In commands `$name` is what a pattern bound, and `%100` is an argument of 100 bytes.

use std::path::Path;

use disque::engine::EvictionPolicy;
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
    Closed { client: String },
    Repeat { client: String, times: usize, words: Vec<Vec<u8>> },
    Scan { client: String, elements: usize, words: Vec<Vec<u8>> },
    Clock { millis: u64 },
    Settings(Setting),
}

/// A setting of the engine that a case changes.
#[derive(Clone, Copy)]
pub enum Setting {
    MaxMemory(u64),
    Policy(EvictionPolicy),
}

impl Case {
    /// Whether it does what cannot be done to a real server: moving its clock, or measuring its memory to the byte.
    pub fn needs_engine(&self) -> bool {
        self.steps.iter().any(|step| matches!(step.action, Action::Clock { .. } | Action::Settings(_)))
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
    if let Some(setting) = line.strip_prefix("settings ") {
        return Ok(Action::Settings(parse_setting(setting)?));
    }
    for (words, action) in [
        (" blocked", (|client| Action::Blocked { client }) as fn(String) -> Action),
        (" hangs up", |client| Action::HangUp { client }),
        (" closed", |client| Action::Closed { client }),
    ] {
        if let Some(client) = line.strip_suffix(words)
            && !client.contains(['<', '>'])
        {
            return Ok(action(client.to_owned()));
        }
    }
    let at = line.find(['<', '>']).ok_or("neither a command nor a reply")?;
    let (head, rest) = (line[..at].trim(), line[at + 1..].trim());
    if line.as_bytes()[at] == b'<' {
        return Ok(Action::Expect { client: name(head), pattern: Pattern::parse(rest)? });
    }
    let words = split_quoted(rest.as_bytes()).map_err(|_| "unbalanced quotes")?;
    let number = |text: &str| text.parse().map_err(|_| format!("{text} is not a number"));
    let head: Vec<&str> = head.split_whitespace().collect();
    match head.as_slice() {
        [times, "times", client @ ..] => {
            Ok(Action::Repeat { client: name(&client.concat()), times: number(times)?, words })
        }
        ["scan", elements, client @ ..] => {
            Ok(Action::Scan { client: name(&client.concat()), elements: number(elements)?, words })
        }
        client => Ok(Action::Send { client: name(&client.concat()), words }),
    }
}

fn name(client: &str) -> String {
    if client.is_empty() { "main" } else { client }.to_owned()
}

fn parse_setting(text: &str) -> Result<Setting, String> {
    match text.split_once('=') {
        Some(("maxmemory", bytes)) => {
            bytes.parse().map(Setting::MaxMemory).map_err(|_| format!("{bytes} is not a number"))
        }
        Some(("maxmemory-policy", "acks")) => Ok(Setting::Policy(EvictionPolicy::Acks)),
        Some(("maxmemory-policy", "noeviction")) => Ok(Setting::Policy(EvictionPolicy::NoEviction)),
        _ => Err(format!("no setting: {text}")),
    }
}
