//! README, the command table and COMMAND DOCS say the same. That disque.conf and the parameter table do is
//! tested beside the table, in `config/sample.rs`.

use std::collections::BTreeSet;
use std::path::Path;

use disque::command::{self, COMMANDS, CommandTable};
use disque::resp::Value;

const START: &str =
    "<!-- commands: made from the command table; UPDATE_GOLDEN=1 cargo test --test docs makes it anew -->\n";
const END: &str = "<!-- end of commands -->";

fn read(name: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name))
        .expect("the file is part of the source")
}

#[test]
fn the_commands_of_the_readme_are_those_of_the_table() {
    let readme = read("README.md");
    let (before, rest) = readme.split_once(START).expect("README.md has a place for the commands");
    let (commands, after) = rest.split_once(END).expect("the place ends");
    let wanted = format!("{}\n", command::readme_table().trim_end());
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
        std::fs::write(path, format!("{before}{START}{wanted}{END}{after}"))
            .expect("README.md can be written");
        return;
    }
    assert_eq!(commands, wanted, "run UPDATE_GOLDEN=1 cargo test --test docs");
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
