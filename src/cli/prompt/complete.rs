//! TAB: command names, subcommands, and the option words of a command.

use super::docs::Docs;
use super::{LOCAL_WORDS, words_to_complete};
use crate::resp::split_quoted;

/// Where the last word of `line` begins, and what it may become.
pub(super) fn candidates(docs: &Docs, line: &str) -> (usize, Vec<String>) {
    let start = line.rfind(char::is_whitespace).map_or(0, |space| space + 1);
    let (before, begun) = line.split_at(start);
    // Inside quotes a word is data, and its beginning is not where the last space is.
    let Ok(words) = split_quoted(before.as_bytes()) else {
        return (start, Vec::new());
    };
    let mut words: Vec<_> = possible_words(docs, words_to_complete(&words))
        .into_iter()
        .filter(|word| word.len() >= begun.len() && word.is_char_boundary(begun.len()))
        .filter(|word| word[..begun.len()].eq_ignore_ascii_case(begun))
        .map(|word| in_the_case_of(begun, &word))
        .collect();
    words.sort_unstable();
    words.dedup();
    (start, words)
}

/// Everything that can be typed literally after `before`.
fn possible_words(docs: &Docs, before: &[Vec<u8>]) -> Vec<String> {
    let names = || docs.commands.iter().map(|command| command.name.clone());
    let local = LOCAL_WORDS.iter().map(|word| word.to_string());
    match before {
        [] => names().chain(local).collect(),
        [help] if help.eq_ignore_ascii_case(b"help") || help == b"?" => {
            names().chain(docs.groups().into_iter().map(|group| format!("@{group}"))).collect()
        }
        [help, inner @ ..] if help.eq_ignore_ascii_case(b"help") => {
            docs.find(inner).map_or_else(Vec::new, |(command, _)| subcommand_names(command))
        }
        words => match docs.find(words) {
            Some((command, 1)) if words.len() == 1 && !command.subcommands.is_empty() => {
                subcommand_names(command)
            }
            Some((command, named_by)) => {
                let tokens = command.arguments.iter().flat_map(|argument| argument.tokens());
                let typed = &words[named_by..];
                tokens
                    .filter(|token| !typed.iter().any(|word| word.eq_ignore_ascii_case(token.as_bytes())))
                    .map(str::to_string)
                    .collect()
            }
            None => Vec::new(),
        },
    }
}

fn subcommand_names(command: &super::docs::CommandDoc) -> Vec<String> {
    command.subcommands.iter().map(|subcommand| subcommand.name.clone()).collect()
}

/// Somebody who types in lower case goes on in lower case; otherwise the word is as the server spells it.
fn in_the_case_of(begun: &str, word: &str) -> String {
    let lower =
        begun.chars().any(|c| c.is_ascii_lowercase()) && !begun.chars().any(|c| c.is_ascii_uppercase());
    if lower { word.to_ascii_lowercase() } else { word.to_string() }
}

#[cfg(test)]
mod tests {
    use super::super::docs::tests::disque;
    use super::*;

    fn offered(line: &str) -> Vec<String> {
        candidates(&disque(), line).1
    }

    #[test]
    fn command_names_complete_in_the_case_typed() {
        assert_eq!(offered("a"), ["ackjob", "addjob"]);
        assert_eq!(offered("AD"), ["ADDJOB"]);
        assert_eq!(offered("he"), ["help"]);
    }

    #[test]
    fn option_words_complete_until_used() {
        assert_eq!(offered("addjob q b 0 "), ["ASYNC", "REPLICATE", "RETRY"]);
        assert_eq!(offered("addjob q b 0 retry 5 r"), ["replicate"]);
        assert_eq!(offered("pause q "), ["in", "none"]);
    }

    #[test]
    fn subcommands_complete_after_their_command() {
        assert_eq!(offered("config "), ["GET", "SET"]);
        assert_eq!(offered("config g"), ["get"]);
        assert!(offered("config get ").is_empty());
    }

    #[test]
    fn help_completes_names_and_groups() {
        assert_eq!(offered("help @"), ["@jobs", "@queues", "@server"]);
        assert_eq!(offered("help get"), ["getjob"]);
        assert_eq!(offered("help config s"), ["set"]);
    }

    #[test]
    fn completion_starts_at_the_last_word() {
        assert_eq!(candidates(&disque(), "3 getjob co"), (9, vec!["count".to_string()]));
    }

    #[test]
    fn nothing_is_offered_inside_quotes_or_for_unknown_commands() {
        assert!(offered("addjob \"a ").is_empty());
        assert!(offered("nonsense a").is_empty());
        assert!(offered("addj\u{f6}").is_empty());
    }
}
