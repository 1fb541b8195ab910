//! What `--help` and `--version` print.

use super::{Config, Parameter};

/// What `--help` lists; the rest is in `disque.conf`.
const OFTEN_USED: &[Parameter] = &[
    Parameter::Port,
    Parameter::Bind,
    Parameter::RequirePass,
    Parameter::Dir,
    Parameter::LogFile,
    Parameter::LogLevel,
    Parameter::MaxMemory,
    Parameter::MaxClients,
    Parameter::ClusterNodeTimeout,
];

/// What `--version` prints.
pub(super) fn version() -> String {
    format!("Disque server v={} bits={}\n", env!("CARGO_PKG_VERSION"), usize::BITS)
}

/// What `--help` prints.
pub(super) fn help() -> String {
    let mut text = String::from(
        "Usage: disque-server [FILE | -] [--directive value ...] ...\n       \
         disque-server -v | --version | -h | --help\n\n\
         Reads its configuration from FILE, or from the standard input for '-'; directives on the\n\
         command line come after those of the file and win. Without any of them the defaults hold.\n\n\
         Often used directives, with their defaults:\n\n",
    );
    for parameter in OFTEN_USED {
        let value = default_text(*parameter);
        text += &format!("  --{} {value}\n     {}\n", parameter.name(), parameter.doc()[0]);
    }
    text += "\nAll directives are explained in disque.conf, which comes with the server.\n\n\
             Examples:\n  \
             disque-server                          (the defaults: port 7711 on all addresses)\n  \
             disque-server /etc/disque/disque.conf\n  \
             disque-server --port 7712 --dir /var/lib/disque --bind 127.0.0.1 10.0.0.5\n";
    text
}

/// The default of `parameter`, as a file holds it.
pub(super) fn default_text(parameter: Parameter) -> String {
    let value = Config::default().write(parameter).unwrap_or(b"\"\"".to_vec());
    String::from_utf8(value).expect("defaults are ASCII")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn help_fits_a_screen_and_shows_defaults() {
        assert!(help().lines().all(|line| line.chars().count() <= 110));
        assert!(help().lines().any(|line| line == "  --port 7711"));
    }

    #[test]
    fn the_version_is_one_line() {
        assert_eq!(version().lines().count(), 1);
    }
}
