//! What is printed from the tables of commands, parameters and options stands in the documents.

use std::collections::BTreeSet;
use std::process::Command;

use disque::admin;
use disque::command::{self, COMMANDS, CommandTable, Group};
use disque::config;
use disque::resp::Value;

use crate::pages::{self, Piece};
use crate::support::Server;

#[test]
fn the_commands_of_the_readme_are_those_of_the_table() {
    pages::expect_part("README.md", "commands", &command::readme_table());
}

#[test]
fn the_manual_says_of_every_command_what_the_table_says() {
    const PAGE: &str = "docs/manual/commands.md";
    pages::expect_part(PAGE, "contents", &command::manual_contents());
    for spec in &COMMANDS {
        pages::expect_part(PAGE, spec.name, &spec.manual());
    }
    let mut wanted = Vec::new();
    for group in Group::ALL {
        wanted.push(format!("Commands: {}", group.title()));
        let commands = COMMANDS.iter().filter(|spec| spec.group == group);
        wanted.extend(commands.map(|spec| spec.name.to_uppercase()));
    }
    let page = pages::pieces(&pages::read(PAGE));
    let headings: Vec<String> = page
        .iter()
        .filter_map(|piece| match piece {
            Piece::Prose(_, line) if !line.starts_with("####") => pages::heading(line).map(str::to_owned),
            _ => None,
        })
        .filter(|title| wanted.contains(title))
        .collect();
    assert_eq!(headings, wanted, "the sections stand in the order of the table");
}

#[test]
fn the_manual_explains_every_parameter() {
    pages::expect_part("docs/manual/configuration.md", "parameters", &config::manual());
}

#[test]
fn the_manual_explains_every_field_of_info() {
    const PAGE: &str = "docs/manual/info.md";
    let wanted = admin::info_manual();
    pages::expect_part(PAGE, "fields", &wanted);
    let server = Server::start(&["--appendonly", "yes"]);
    let mut connection = server.connect();
    connection.run("ADDJOB q body 0");
    let Value::Bulk(text) = connection.run("INFO all") else { panic!("INFO is a text") };
    let text = String::from_utf8(text).expect("INFO is text");
    let fields: Vec<&str> = text.lines().filter_map(|line| Some(line.split_once(':')?.0)).collect();
    assert!(fields.len() > 90, "{text}");
    for field in fields {
        let is_explained = field.starts_with("cmdstat_") || wanted.contains(&format!("\n| `{field}` | "));
        assert!(is_explained, "{PAGE}: {field} is missing");
    }
}

#[test]
fn the_manual_shows_the_help_of_every_program() {
    for (name, program) in [
        ("disque", env!("CARGO_BIN_EXE_disque")),
        ("disque-server", env!("CARGO_BIN_EXE_disque-server")),
        ("disque-benchmark", env!("CARGO_BIN_EXE_disque-benchmark")),
        ("disque-check-aof", env!("CARGO_BIN_EXE_disque-check-aof")),
    ] {
        let output = Command::new(program).arg("--help").output().expect("the program was built");
        assert!(output.status.success(), "{name} --help");
        let help = String::from_utf8(output.stdout).expect("help is text");
        let lines: Vec<&str> = help.trim().lines().map(str::trim_end).collect();
        pages::expect_part("docs/manual/tools.md", name, &format!("```text\n{}\n```", lines.join("\n")));
    }
}

#[test]
fn command_and_command_docs_tell_about_every_command_of_the_table() {
    let names: BTreeSet<&str> = COMMANDS.iter().map(|spec| spec.name).collect();
    assert_eq!(names.len(), COMMANDS.len(), "names are unique");
    let table = CommandTable::new();
    let Value::Map(docs) = command::command_docs(&table, &[]) else { panic!("COMMAND DOCS is a map") };
    let documented: BTreeSet<String> = docs
        .iter()
        .map(|(name, _)| match name {
            Value::Bulk(name) => String::from_utf8_lossy(name).into_owned(),
            other => panic!("{other:?} is no name"),
        })
        .collect();
    assert_eq!(documented.iter().map(String::as_str).collect::<BTreeSet<_>>(), names);
    for (name, doc) in docs {
        let Value::Map(fields) = doc else { panic!("{name:?} is documented by a map") };
        for field in ["summary", "since", "group", "complexity"] {
            let found = fields.iter().find(|(key, _)| *key == Value::bulk(field));
            assert!(
                matches!(found, Some((_, Value::Bulk(text))) if !text.is_empty()),
                "{name:?} lacks {field}"
            );
        }
    }
}
