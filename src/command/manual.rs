//! The documents that are printed from the command table.

use std::fmt::Write as _;

use super::spec::{ArgDoc, ArgType, CommandSpec, Flags, Group, Repeats};
use super::table::COMMANDS;

impl CommandSpec {
    /// How the command is written: `QPEEK queue count`.
    pub fn syntax(&self) -> String {
        let words = self.arguments().map(ArgDoc::syntax);
        std::iter::once(self.name.to_uppercase()).chain(words).collect::<Vec<_>>().join(" ")
    }

    /// What the table says about the command, in Markdown, for its section of the manual.
    pub fn manual(&self) -> String {
        let mut text = format!("```text\n{}\n```\n\n{}\n", self.syntax(), self.summary);
        if self.arguments().next().is_some() {
            text += "\n| Argument | Kind | Meaning |\n| --- | --- | --- |\n";
            for argument in self.arguments() {
                text += &argument_row(argument);
            }
        }
        let _ = write!(text, "\nCost: {}.", self.complexity);
        for (applies, sentence) in self.remarks() {
            if applies {
                let _ = write!(text, " {sentence}");
            }
        }
        text.push('\n');
        text
    }

    fn remarks(&self) -> [(bool, &'static str); 7] {
        [
            (self.flags.has(Flags::BLOCKING), "May wait before it answers."),
            (self.flags.has(Flags::DENYOOM), "Refused with `OOM` when memory is short."),
            (
                self.needs_working_aof(),
                "Refused with `MISCONF` while the append-only file cannot be written.",
            ),
            (self.is_allowed_without_auth(), "Runs before the password is given."),
            (self.is_allowed_while_loading(), "Runs while the append-only file is being loaded."),
            (self.flags.has(Flags::NO_MULTI), "Not allowed inside `MULTI`."),
            (self.flags.has(Flags::SECRET), "`MONITOR` and `SLOWLOG` do not show its arguments."),
        ]
    }
}

fn argument_row(argument: &ArgDoc) -> String {
    let kind = match argument.kind {
        ArgType::Text => "text",
        ArgType::Integer => "integer",
        ArgType::Duration => "duration",
        ArgType::Flag => "word",
    };
    let optional = if argument.optional { ", optional" } else { "" };
    let repeats = if argument.repeats == Repeats::Never { "" } else { ", repeatable" };
    let name = match (argument.token, argument.kind) {
        (Some(token), ArgType::Flag) => token.to_owned(),
        (Some(token), _) => format!("{token} {}", argument.name),
        (None, _) => argument.name.to_owned(),
    };
    format!("| `{}` | {kind}{optional}{repeats} | {} |\n", cell(&name), cell(argument.summary))
}

/// A bar ends a cell even inside code.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

/// The list of commands for README.md: one Markdown table for each group.
pub fn readme_table() -> String {
    let mut text = String::new();
    for group in Group::ALL {
        let separator = if text.is_empty() { "" } else { "\n" };
        let _ =
            write!(text, "{separator}### {}\n\n| Command | What it does |\n| --- | --- |\n", group.title());
        for spec in COMMANDS.iter().filter(|spec| spec.group == group) {
            let _ = writeln!(text, "| `{}` | {} |", cell(&spec.syntax()), cell(spec.summary));
        }
    }
    text
}

/// The list of commands at the beginning of the manual's page of commands, with links to their sections.
pub fn manual_contents() -> String {
    let mut text = String::from("| Group | Commands |\n| --- | --- |\n");
    for group in Group::ALL {
        let commands = COMMANDS.iter().filter(|spec| spec.group == group);
        let links = commands.map(|spec| format!("[{}](#{})", spec.name.to_uppercase(), spec.name));
        let _ = writeln!(text, "| {} | {} |", group.title(), links.collect::<Vec<_>>().join(" "));
    }
    text
}
