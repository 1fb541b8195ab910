//! The grey text behind the cursor: what the command still takes.

use super::docs::{Argument, CommandDoc, Docs};
use super::words_to_complete;
use crate::resp::split_quoted;

/// What to show behind `line`, if it names a command. Begins with a space unless the line ends with one.
pub(super) fn hint(docs: &Docs, line: &str) -> Option<String> {
    let words = split_quoted(line.as_bytes()).ok()?;
    let words = words_to_complete(&words);
    let (command, named_by) = docs.find(words)?;
    let typed = &words[named_by..];
    let rest = remaining(command, typed).join(" ");
    let gap = if line.ends_with(char::is_whitespace) { "" } else { " " };
    (!rest.is_empty()).then(|| format!("{gap}{rest}"))
}

/// The syntax of the arguments that `typed` leaves open.
///
/// A guess where a value could also be the name of an option: the server alone knows.
fn remaining(command: &CommandDoc, typed: &[Vec<u8>]) -> Vec<String> {
    if command.arguments.is_empty() {
        return if typed.is_empty() { command.syntax() } else { Vec::new() };
    }
    let mut open: Vec<&Argument> = command.arguments.iter().collect();
    // The values of an option that has been begun, then what may repeat.
    let mut awaited: Vec<String> = Vec::new();
    let mut repeatable: Option<String> = None;
    for word in typed {
        if !awaited.is_empty() {
            awaited.remove(0);
            continue;
        }
        let next_is_positional =
            open.first().is_some_and(|argument| is_positional(argument) && !argument.optional);
        let option = open.iter().enumerate().find_map(|(n, a)| a.after_token(word).map(|values| (n, values)));
        match option {
            Some((n, values)) if !next_is_positional => {
                let argument = open.remove(n);
                awaited = values;
                repeatable = argument.multiple.then(|| argument.more());
            }
            _ if repeatable.is_some() => {}
            _ => match open.iter().position(|argument| is_positional(argument)) {
                Some(n) => {
                    let argument = open.remove(n);
                    awaited = values_after_first(argument);
                    repeatable = argument.multiple.then(|| argument.more());
                }
                None => return Vec::new(),
            },
        }
    }
    awaited.into_iter().chain(repeatable).chain(open.into_iter().map(Argument::syntax)).collect()
}

/// Whether the argument is known by its place, not by a word that announces it.
fn is_positional(argument: &Argument) -> bool {
    argument.tokens().is_empty() || (argument.token.is_none() && !argument.optional)
}

/// A positional argument of several words: what follows its first.
fn values_after_first(argument: &Argument) -> Vec<String> {
    match argument.kind {
        super::docs::Kind::Block => argument.parts.iter().skip(1).map(Argument::syntax).collect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::docs::tests::disque;
    use super::*;

    fn shown(line: &str) -> String {
        hint(&disque(), line).unwrap_or_default()
    }

    #[test]
    fn hint_shows_what_is_left() {
        let options = "[REPLICATE count] [RETRY seconds] [ASYNC]";
        assert_eq!(shown("addjob"), format!(" queue job ms-timeout {options}"));
        assert_eq!(shown("addjob "), format!("queue job ms-timeout {options}"));
        assert_eq!(shown("addjob q \"a b\" "), format!("ms-timeout {options}"));
        assert_eq!(shown("addjob q b 0"), format!(" {options}"));
    }

    #[test]
    fn begun_option_awaits_its_value() {
        assert_eq!(shown("addjob q b 0 retry "), "seconds [REPLICATE count] [ASYNC]");
        assert_eq!(shown("addjob q b 0 retry 5 async "), "[REPLICATE count]");
    }

    #[test]
    fn positional_argument_may_look_like_an_option() {
        assert_eq!(shown("addjob retry async "), "ms-timeout [REPLICATE count] [RETRY seconds] [ASYNC]");
    }

    #[test]
    fn options_come_in_any_order() {
        assert_eq!(shown("getjob count 3 "), "[NOHANG] FROM queue [queue ...]");
        assert_eq!(shown("getjob from "), "queue [queue ...] [NOHANG] [COUNT count]");
        assert_eq!(shown("getjob count 3 from q1 q2 "), "[queue ...] [NOHANG]");
    }

    #[test]
    fn subcommands_choices_and_blocks_are_followed() {
        assert_eq!(shown("config "), "GET|SET");
        assert_eq!(shown("config get "), "pattern");
        assert_eq!(shown("config set a "), "value [parameter value ...]");
        assert_eq!(shown("pause q "), "in|none");
        assert_eq!(shown("pause q in"), "");
    }

    #[test]
    fn repeat_count_before_the_command_is_passed_over() {
        assert_eq!(shown("3 ackjob D-x "), "[id ...]");
    }

    #[test]
    fn no_hint_for_unknown_or_unfinished_words() {
        for line in ["", "add", "nonsense ", "addjob \"q", "config get x y"] {
            assert_eq!(shown(line), "", "{line}");
        }
    }
}
