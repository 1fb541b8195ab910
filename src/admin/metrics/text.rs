//! Samples as lines.

use std::fmt::{Display, Write as _};

/// The samples of one family.
pub(super) struct Samples<'a> {
    name: &'static str,
    text: &'a mut String,
}

impl<'a> Samples<'a> {
    pub(super) fn new(name: &'static str, text: &'a mut String) -> Samples<'a> {
        Samples { name, text }
    }

    /// The only sample of the family, a whole number.
    pub(super) fn int(&mut self, value: u64) {
        self.line("", &[], value);
    }

    pub(super) fn flag(&mut self, value: bool) {
        self.line("", &[], u8::from(value));
    }

    pub(super) fn float(&mut self, value: f64) {
        self.line("", &[], value);
    }

    /// One of several samples.
    pub(super) fn labelled(&mut self, labels: &[(&str, &str)], value: impl Display) {
        self.line("", labels, value);
    }

    /// A sample whose name is longer than that of its family: the parts of a histogram.
    pub(super) fn part(&mut self, suffix: &str, labels: &[(&str, &str)], value: impl Display) {
        self.line(suffix, labels, value);
    }

    fn line(&mut self, suffix: &str, labels: &[(&str, &str)], value: impl Display) {
        self.text.push_str(self.name);
        self.text.push_str(suffix);
        for (at, (name, value)) in labels.iter().enumerate() {
            self.text.extend([if at == 0 { "{" } else { "," }, name, "=\""]);
            escape(value, self.text);
            self.text.push('"');
        }
        self.text.push_str(if labels.is_empty() { " " } else { "} " });
        writeln!(self.text, "{value}").expect("a String takes everything");
    }
}

/// What the format has a sign for; everything else stands for itself.
fn escape(value: &str, text: &mut String) {
    for c in value.chars() {
        match c {
            '\\' => text.push_str("\\\\"),
            '"' => text.push_str("\\\""),
            '\n' => text.push_str("\\n"),
            c => text.push(c),
        }
    }
}
