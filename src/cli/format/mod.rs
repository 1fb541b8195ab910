//! How replies look: for people on a terminal, raw, CSV, JSON.

mod json;
mod plain;
mod table;
mod terminal;

pub(super) use json::text as json_text;

use crate::resp::Reply;

/// An output format with its settings.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Format {
    /// Types shown, strings quoted, nesting numbered.
    Terminal(Colour),
    /// Bare values.
    Raw {
        /// Between the elements of an array.
        delimiter: Vec<u8>,
    },
    /// One line per reply, all nesting flattened.
    Csv,
    /// One line per reply.
    Json,
}

/// Whether the terminal form uses colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Colour {
    On,
    Off,
}

impl Colour {
    pub(crate) fn red(self, text: &str) -> String {
        self.painted("31", text)
    }

    pub(crate) fn cyan(self, text: &str) -> String {
        self.painted("36", text)
    }

    /// For what is there but says little: nulls, hints.
    pub(crate) fn grey(self, text: &str) -> String {
        self.painted("90", text)
    }

    fn painted(self, code: &str, text: &str) -> String {
        match self {
            Colour::On => format!("\x1b[{code}m{text}\x1b[0m"),
            Colour::Off => text.to_string(),
        }
    }
}

/// The reply to `command` as printed, with its final newline.
pub(crate) fn render(format: &Format, command: &[Vec<u8>], reply: &Reply) -> Vec<u8> {
    let mut out = Vec::new();
    match format {
        Format::Terminal(colour) => match (readable_text(command, reply), name_value_pairs(command, reply)) {
            (Some(text), _) => {
                out.extend_from_slice(text);
                if !text.ends_with(b"\n") {
                    out.push(b'\n');
                }
            }
            (None, Some(pairs)) => table::write(&mut out, &pairs, *colour),
            (None, None) => terminal::write(&mut out, reply, 0, *colour),
        },
        Format::Raw { delimiter } => plain::write_raw(&mut out, reply, delimiter),
        Format::Csv => plain::write_csv(&mut out, reply),
        Format::Json => json::write(&mut out, reply, name_value_pairs(command, reply)),
    }
    out
}

/// A name for a table: as it is if that is plain, quoted otherwise.
pub(super) fn shown_name(name: &[u8]) -> String {
    table::bare(name)
}

/// Text that was made to be read, which quoting would make unreadable.
fn readable_text<'a>(command: &[Vec<u8>], reply: &'a Reply) -> Option<&'a [u8]> {
    const TEXTS: &[&[&str]] = &[
        &["info"],
        &["cluster", "nodes"],
        &["cluster", "info"],
        &["client", "list"],
        &["client", "info"],
        &["latency", "graph"],
        &["latency", "doctor"],
    ];
    let of_such_a_command =
        TEXTS.iter().any(|words| words.iter().enumerate().all(|(n, word)| is_word(command.get(n), word)));
    match reply {
        Reply::Verbatim(text) => Some(text),
        Reply::Text(text) if of_such_a_command => Some(text),
        _ => None,
    }
}

/// The fields of a job or a queue. They travel as a flat array in both protocols, for the sake of old libraries.
fn name_value_pairs<'a>(command: &[Vec<u8>], reply: &'a Reply) -> Option<Vec<(&'a Reply, &'a Reply)>> {
    if !["show", "qstat"].iter().any(|word| is_word(command.first(), word)) {
        return None;
    }
    reply.pairs().filter(|pairs| !pairs.is_empty() && pairs.iter().all(|(name, _)| name.bytes().is_some()))
}

fn is_word(arg: Option<&Vec<u8>>, word: &str) -> bool {
    arg.is_some_and(|arg| arg.eq_ignore_ascii_case(word.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Format = Format::Terminal(Colour::Off);

    pub(super) fn text(text: &str) -> Reply {
        Reply::Text(text.as_bytes().to_vec())
    }

    fn shown(format: &Format, command: &str, reply: &Reply) -> String {
        let words: Vec<_> = command.split(' ').map(|word| word.as_bytes().to_vec()).collect();
        String::from_utf8(render(format, &words, reply)).expect("these are all UTF-8")
    }

    #[test]
    fn reports_are_not_quoted_on_a_terminal() {
        let report = text("a:1\r\nb:2\r\n");
        assert_eq!(shown(&PLAIN, "Info server", &report), "a:1\r\nb:2\r\n");
        assert_eq!(shown(&PLAIN, "CLUSTER nodes", &text("x")), "x\n");
        assert_eq!(shown(&PLAIN, "CLUSTER MYID", &text("x")), "\"x\"\n");
        assert_eq!(shown(&PLAIN, "ECHO", &report), "\"a:1\\r\\nb:2\\r\\n\"\n");
        assert_eq!(shown(&PLAIN, "ECHO", &Reply::Verbatim(b"x".to_vec())), "x\n");
    }

    #[test]
    fn refused_report_is_shown_as_an_error() {
        assert_eq!(shown(&PLAIN, "INFO", &Reply::Error(b"NOAUTH x".to_vec())), "(error) NOAUTH x\n");
    }

    #[test]
    fn fields_of_a_job_are_a_table_on_a_terminal_and_an_object_in_json() {
        let show = Reply::Array(vec![text("id"), text("D-x"), text("repl"), Reply::Integer(1)]);
        assert_eq!(shown(&PLAIN, "show D-x", &show), "id:   D-x\nrepl: 1\n");
        assert_eq!(shown(&Format::Json, "SHOW D-x", &show), "{\"id\":\"D-x\",\"repl\":1}\n");
        assert_eq!(shown(&Format::Csv, "SHOW D-x", &show), "\"id\",\"D-x\",\"repl\",1\n");
        assert_eq!(shown(&Format::Json, "CONFIG GET x", &show), "[\"id\",\"D-x\",\"repl\",1]\n");
    }

    #[test]
    fn unknown_job_is_nil_not_an_empty_table() {
        assert_eq!(shown(&PLAIN, "SHOW D-x", &Reply::Nil), "(nil)\n");
        assert_eq!(shown(&Format::Json, "SHOW D-x", &Reply::Nil), "null\n");
    }

    #[test]
    fn colours_are_off_unless_on() {
        assert_eq!(Colour::Off.red("x"), "x");
        assert_eq!(Colour::On.red("x"), "\x1b[31mx\x1b[0m");
    }
}
