//! The house rules that a machine can check: which room may use which, how long files and functions are, what the
//! pure rooms must not touch, and that every file of the engine is on the map.

use std::fs;
use std::path::{Path, PathBuf};

/// Rooms and what they may use of the package; see ARCHITECTURE.md, "Rooms".
const ROOMS: [(&str, &[&str]); 14] = [
    ("types", &["types"]),
    ("resp", &["types", "resp"]),
    ("bus", &["types", "bus"]),
    ("aof", &["types", "aof"]),
    ("disk", &["types", "aof", "disk"]),
    ("check", &["types", "aof", "disk", "check"]),
    ("engine", &["types", "bus", "aof", "engine"]),
    ("command", &["types", "resp", "engine", "command"]),
    ("config", &["types", "resp", "engine", "config"]),
    ("admin", &["types", "resp", "admin"]),
    ("net", &["types", "resp", "bus", "aof", "disk", "engine", "command", "config", "admin", "net"]),
    ("client", &["types", "resp", "client"]),
    ("cli", &["types", "resp", "client", "cli"]),
    ("benchmark", &["types", "resp", "benchmark"]),
];

/// Rooms whose results depend on their arguments only, and what would make them depend on more.
const PURE: [&str; 7] = ["types", "resp", "bus", "aof", "engine", "command", "admin"];
const IMPURE: [&str; 10] = [
    "Instant::now",
    "SystemTime",
    "std::fs",
    "std::thread",
    "std::env",
    "std::net::Tcp",
    "rand::rng()",
    "SysRng",
    "collections::HashMap",
    "collections::HashSet",
];

const MAX_FILE_LINES: usize = 600;
const MAX_FUNCTION_LINES: usize = 70;

fn sources(room: &str) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut dirs = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(room)];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(&dir).expect("the room exists") {
            let path = entry.expect("the room can be read").path();
            if path.is_dir() {
                dirs.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).expect("sources are text");
                found.push((path, text));
            }
        }
    }
    assert!(!found.is_empty(), "{room} has sources");
    found
}

/// The part of a file that is not tests, without comments.
fn code(path: &Path, text: &str) -> Vec<String> {
    if path.components().any(|part| part.as_os_str() == "tests") || path.ends_with("testing.rs") {
        return Vec::new();
    }
    if path.file_stem().is_some_and(|stem| stem.to_string_lossy().ends_with("tests")) {
        return Vec::new();
    }
    let lines = text.lines().take_while(|line| *line != "#[cfg(test)]" && !line.starts_with("mod tests {"));
    lines.map(|line| line.split("//").next().unwrap_or_default().to_owned()).collect()
}

#[test]
fn rooms_use_only_what_lies_below_them() {
    let mut wrong = Vec::new();
    for (room, allowed) in ROOMS {
        for (path, text) in sources(room) {
            for line in code(&path, &text) {
                for used in line.split("crate::").skip(1) {
                    let name: String =
                        used.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
                    if !name.is_empty() && !allowed.contains(&name.as_str()) {
                        wrong.push(format!("{}: crate::{name}", path.display()));
                    }
                }
            }
        }
    }
    assert!(wrong.is_empty(), "these lines reach upwards:\n{}", wrong.join("\n"));
}

#[test]
fn pure_rooms_touch_no_clock_no_file_and_no_hidden_chance() {
    let mut wrong = Vec::new();
    for room in PURE {
        for (path, text) in sources(room) {
            for line in code(&path, &text) {
                wrong.extend(
                    IMPURE
                        .iter()
                        .filter(|word| line.contains(**word))
                        .map(|word| format!("{}: {word}", path.display())),
                );
            }
        }
    }
    assert!(wrong.is_empty(), "these rooms must stay pure:\n{}", wrong.join("\n"));
}

#[test]
fn files_and_functions_can_be_seen_whole() {
    let mut wrong = Vec::new();
    for (room, _) in ROOMS {
        for (path, text) in sources(room) {
            let lines = code(&path, &text).len();
            if lines > MAX_FILE_LINES {
                wrong.push(format!("{}: {lines} lines", path.display()));
            }
            wrong.extend(long_functions(&path, &code(&path, &text)));
        }
    }
    assert!(wrong.is_empty(), "too long:\n{}", wrong.join("\n"));
}

/// Functions by their indentation, which `cargo fmt` guarantees: from `fn` to the brace that closes at its column.
fn long_functions(path: &Path, code: &[String]) -> Vec<String> {
    let mut long = Vec::new();
    for (start, line) in code.iter().enumerate() {
        let indent = line.len() - line.trim_start().len();
        let is_function = line.trim_start().split("fn ").next().is_some_and(|before| {
            line.contains("fn ")
                && before.split_whitespace().all(|word| word.starts_with("pub") || word == "const")
        });
        if !is_function || line.trim_end().ends_with(';') {
            continue;
        }
        let close = format!("{}}}", " ".repeat(indent));
        let length = code[start..].iter().position(|line| line.trim_end() == close).unwrap_or(0) + 1;
        if length > MAX_FUNCTION_LINES {
            long.push(format!("{}: {} has {length} lines", path.display(), line.trim()));
        }
    }
    long
}

#[test]
fn every_file_of_the_engine_is_on_the_map() {
    let map = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("ARCHITECTURE.md"))
        .expect("it is there");
    for (path, _) in sources("engine") {
        let name = path.file_name().expect("a file has a name").to_string_lossy().into_owned();
        let in_folder = path.parent().and_then(Path::file_name).is_some_and(|folder| folder != "engine");
        assert!(in_folder || map.contains(&format!("`{name}`")), "ARCHITECTURE.md does not mention {name}");
    }
}
