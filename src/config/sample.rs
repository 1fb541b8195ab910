//! The sample `disque.conf`, printed from the table of parameters.

use super::reference::default_text;
use super::{Change, Config, Parameter, Section};

/// The text of `disque.conf`: every parameter with its explanation and its default.
///
/// Prose begins with `# `; a directive that is better left out than set to its default begins with `#` alone.
pub fn sample() -> String {
    let mut text = String::from(SAMPLE_HEAD);
    for section in Parameter::SECTIONS {
        text += &sample_section(section);
    }
    text += SAMPLE_TAIL;
    text
}

const SAMPLE_HEAD: &str = "\
# disque.conf: all directives of disque-server, with their defaults.
#
# Start the server with the path of this file: disque-server /path/to/disque.conf
# As it is, it means the same as no file. Change what you need; what you remove goes back to its default.
#
# One directive a line: its name, then its values, separated by blanks. A value with blanks, or an empty
# one, stands in quotes. Names and words like yes ignore case. Later lines win over earlier ones, and options
# of the command line, such as --port 7712, over all lines. Only whole lines can be comments. Mistakes are
# not guessed around: a name, number or unit that does not exist keeps the server from starting, and the
# error says where.
#
# Sizes take units: 1k is 1000 bytes, 1kb 1024, 1m 1000 x 1000, 1mb 1024 x 1024, and so on with g and gb.
";

const SAMPLE_TAIL: &str = "
# ==== Other directives ====

# Read another file here. A relative path starts from the directory dir that was set above.
# Example, for what differs between machines:
#include /etc/disque/local.conf

# Give a command another name, or, with \"\", none at all. May be repeated.
# Example, to take DEBUG away:
#rename-command DEBUG \"\"
";

fn sample_section(section: &Section) -> String {
    let mut text = format!("\n# ==== {} ====\n", section.title);
    for parameter in section.parameters {
        text.push('\n');
        for line in parameter.doc() {
            text += &format!("#{line}\n");
        }
        text += match parameter.change() {
            Change::AtStart => "# Changes with a restart.\n",
            Change::AtRunTime => "# Changes with a restart or CONFIG SET.\n",
        };
        let comment = if Config::default().write(*parameter).is_none() { "#" } else { "" };
        text += &format!("{comment}{} {}\n", parameter.name(), default_text(*parameter));
    }
    text
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::retired;
    use super::super::tests::{load_text, start_dir};
    use super::*;

    /// With UPDATE_GOLDEN set, the file is written anew. The other tests read the text it must be equal to.
    #[test]
    fn sample_file_is_what_the_table_says() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("disque.conf");
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(&path, sample()).expect("the repository can be written");
        }
        let file = std::fs::read_to_string(&path).expect("disque.conf stands beside Cargo.toml");
        assert!(file == sample(), "make disque.conf anew: UPDATE_GOLDEN=1 cargo test sample");
    }

    /// The directives of the sample, those that are commented out included.
    fn directives(sample: &str) -> Vec<&str> {
        let is_prose = |line: &str| line.is_empty() || line == "#" || line.starts_with("# ");
        let lines = sample.lines().filter(|line| !is_prose(line));
        lines.map(|line| line.strip_prefix('#').unwrap_or(line)).collect()
    }

    #[test]
    fn sample_has_every_parameter_once_with_its_default_and_nothing_else() {
        let sample = sample();
        let mut names: Vec<&str> = Vec::new();
        for directive in directives(&sample) {
            let name = directive.split(' ').next().unwrap();
            names.push(name);
            if !retired::DIRECTIVES.contains(&name) {
                assert!(Parameter::named(name.as_bytes()).is_some_and(|p| p.name() == name), "{name}");
                assert_eq!(load_text(directive).unwrap().config, load_text("").unwrap().config, "{name}");
            }
        }
        let parameters = Parameter::ALL.iter().map(|parameter| parameter.name());
        let mut expected: Vec<&str> = parameters.chain(retired::DIRECTIVES.iter().copied()).collect();
        names.sort_unstable();
        expected.sort_unstable();
        assert_eq!(names, expected);
    }

    #[test]
    fn sample_means_the_same_as_no_file() {
        let sample = load_text(&sample()).unwrap();
        assert_eq!(sample.config, Config { dir: start_dir(), ..Config::default() });
        assert_eq!((sample.warnings.as_slice(), sample.renamed_commands.as_slice()), (&[][..], &[][..]));
    }

    #[test]
    fn sample_survives_a_rewrite_but_for_its_dir() {
        let sample = sample();
        let rewritten = load_text(&sample).unwrap().config.rewrite(sample.as_bytes());
        let expected = sample.replace("\ndir \".\"\n", "\ndir \"/start\"\n");
        assert_eq!(String::from_utf8(rewritten).unwrap(), expected);
    }

    #[test]
    fn sample_fits_a_screen() {
        assert!(sample().lines().all(|line| line.chars().count() <= 112));
    }
}
