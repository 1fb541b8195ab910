//! The parameters as the manual shows them, printed from their table.

use super::reference::default_text;
use super::{Change, Parameter, Section};

/// Every parameter with its default and its explanation, in Markdown, for docs/manual/configuration.md.
pub fn manual() -> String {
    let mut text = String::new();
    for section in Parameter::SECTIONS {
        text += &section_text(section);
    }
    text
}

fn section_text(section: &Section) -> String {
    let mut text = format!("### {}\n", section.title);
    for parameter in section.parameters {
        let change = match parameter.change() {
            Change::AtStart => "changes with a restart",
            Change::AtRunTime => "changes with a restart or `CONFIG SET`",
        };
        let (name, default) = (parameter.name(), default_text(*parameter));
        text += &format!("\n#### {name}\n\nDefault: `{name} {default}`; {change}.\n\n");
        for line in parameter.doc() {
            let line = line.trim();
            match line.strip_prefix("Example: ") {
                Some(example) => text += &format!("Example: `{example}`\n"),
                None => text += &format!("{line}\n"),
            }
        }
    }
    text.push('\n');
    text
}
