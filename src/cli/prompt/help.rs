//! The answer to `help`, made from the server's own documentation.

use super::super::format::Colour;
use super::docs::{CommandDoc, Docs};

const GENERAL: &str = "\
Type a command of the server, quoted where needed: ADDJOB myqueue \"a body\" 0
A number before it repeats it: 3 PING
TAB completes; the grey text shows what a command takes. Ctrl-C ends a wait, Ctrl-D ends the client.

  help COMMAND        what a command does
  help @GROUP         the commands of a group
  connect HOST PORT   go to another server
  clear               clear the screen
  quit, exit          leave
";

/// The text for `help` with these words after it.
pub(super) fn help(docs: &Docs, topic: &[Vec<u8>], colour: Colour) -> String {
    let Some(first) = topic.first() else {
        return general(docs);
    };
    if let Some(group) = first.strip_prefix(b"@") {
        let wanted = String::from_utf8_lossy(group).to_lowercase();
        let members = docs.commands.iter().filter(|command| command.group.to_lowercase() == wanted);
        let lines: Vec<_> = members.map(|command| summary_line(command, colour)).collect();
        return match lines.is_empty() {
            true => format!("The server has no group of commands named {wanted}.{}\n", groups(docs)),
            false => lines.concat(),
        };
    }
    match docs.find(topic) {
        Some((command, named_by)) => entry(&name_in_full(topic, named_by), command, colour),
        None if docs.commands.is_empty() => "The server gave no documentation of its commands.\n".to_string(),
        None => format!("The server has no command {}.\n", String::from_utf8_lossy(first).to_uppercase()),
    }
}

fn general(docs: &Docs) -> String {
    match docs.groups().is_empty() {
        true => GENERAL.to_string(),
        false => format!("{GENERAL}\n{}\n", groups(docs).trim_start()),
    }
}

fn groups(docs: &Docs) -> String {
    let names: Vec<_> = docs.groups().into_iter().map(|group| format!("@{group}")).collect();
    if names.is_empty() { String::new() } else { format!(" Groups: {}", names.join(" ")) }
}

fn name_in_full(topic: &[Vec<u8>], named_by: usize) -> String {
    let words: Vec<_> =
        topic[..named_by].iter().map(|word| String::from_utf8_lossy(word).to_uppercase()).collect();
    words.join(" ")
}

fn summary_line(command: &CommandDoc, colour: Colour) -> String {
    format!("{}  {}\n", colour.cyan(&format!("{:<14}", command.name)), command.summary)
}

fn entry(name: &str, command: &CommandDoc, colour: Colour) -> String {
    let mut text = format!("\n  {} {}\n", colour.cyan(name), colour.grey(&command.syntax().join(" ")));
    for (field, value) in
        [("summary", &command.summary), ("since", &command.since), ("group", &command.group)]
    {
        if !value.is_empty() {
            text.push_str(&format!("  {field}: {value}\n"));
        }
    }
    for subcommand in &command.subcommands {
        text.push_str(&format!("    {}", summary_line(subcommand, colour)));
    }
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::super::docs::tests::disque;
    use super::*;

    fn shown(topic: &str) -> String {
        let words: Vec<_> = topic.split_whitespace().map(|word| word.as_bytes().to_vec()).collect();
        help(&disque(), &words, Colour::Off)
    }

    #[test]
    fn command_help_shows_syntax_and_summary() {
        assert_eq!(
            shown("pause"),
            "\n  PAUSE queue in|none\n  summary: Pauses a queue.\n  since: 1.0.0\n  group: queues\n\n"
        );
        assert!(shown("config get").starts_with("\n  CONFIG GET pattern\n  summary: Reads one.\n"));
    }

    #[test]
    fn group_help_lists_its_commands() {
        assert_eq!(shown("@QUEUES"), "PAUSE           Pauses a queue.\n");
        assert_eq!(
            shown("@none"),
            "The server has no group of commands named none. Groups: @jobs @queues @server\n"
        );
    }

    #[test]
    fn general_help_names_the_groups() {
        assert!(shown("").ends_with("leave\n\nGroups: @jobs @queues @server\n"));
    }

    #[test]
    fn unknown_commands_and_missing_docs_are_told_apart() {
        assert_eq!(shown("nonsense"), "The server has no command NONSENSE.\n");
        let nothing = help(&Docs::default(), &[b"ping".to_vec()], Colour::Off);
        assert_eq!(nothing, "The server gave no documentation of its commands.\n");
    }
}
