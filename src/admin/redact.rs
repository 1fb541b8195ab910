//! Which arguments of a command nobody may see: passwords.
//!
//! One rule for everything that shows commands to people (SLOWLOG, MONITOR, logs). What does not parse is
//! hidden from there on: a password in the wrong place is still a password.

/// What stands in the place of a secret.
pub const REDACTED: &[u8] = b"(redacted)";

/// The arguments of `command` (its built-in name, whatever it was renamed to) with secrets replaced by
/// [`REDACTED`]. `args` begins with the command name as it was sent.
///
/// Secret are all arguments of AUTH; the user and password of HELLO's AUTH option; everything after
/// `requirepass` in CONFIG SET.
pub fn redacted<'a, I>(command: &str, args: I) -> impl ExactSizeIterator<Item = &'a [u8]> + use<'a, I>
where
    I: ExactSizeIterator<Item = &'a [u8]>,
{
    let after_name = match command.to_ascii_lowercase().as_str() {
        "auth" => Next::Secrets,
        "hello" => Next::HelloVersion,
        "config" => Next::ConfigWord,
        _ => Next::Open,
    };
    let mut next = None;
    args.map(move |arg| {
        let (visible, then) = next.map_or((true, after_name), |expected| look(expected, arg));
        next = Some(then);
        if visible { arg } else { REDACTED }
    })
}

/// What the next argument is.
#[derive(Clone, Copy)]
enum Next {
    /// Nothing secret, like all that follows.
    Open,
    /// A secret, like all that follows.
    Secrets,
    HelloVersion,
    HelloOption,
    HelloName,
    HelloUser,
    HelloPassword,
    ConfigWord,
    ConfigSetWord,
}

/// Whether `arg` may be shown where `expected` stands, and what comes after it.
fn look(expected: Next, arg: &[u8]) -> (bool, Next) {
    match expected {
        Next::Open => (true, Next::Open),
        Next::Secrets => (false, Next::Secrets),
        Next::HelloVersion if arg.iter().all(u8::is_ascii_digit) => (true, Next::HelloOption),
        Next::HelloOption if arg.eq_ignore_ascii_case(b"auth") => (true, Next::HelloUser),
        Next::HelloOption if arg.eq_ignore_ascii_case(b"setname") => (true, Next::HelloName),
        Next::HelloVersion | Next::HelloOption => (false, Next::Secrets),
        Next::HelloName => (true, Next::HelloOption),
        Next::HelloUser => (false, Next::HelloPassword),
        Next::HelloPassword => (false, Next::HelloOption),
        Next::ConfigWord if arg.eq_ignore_ascii_case(b"set") => (true, Next::ConfigSetWord),
        Next::ConfigWord => (true, Next::Open),
        Next::ConfigSetWord if arg.eq_ignore_ascii_case(b"requirepass") => (true, Next::Secrets),
        Next::ConfigSetWord => (true, Next::ConfigSetWord),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(command: &str, sent: &str) -> String {
        let args: Vec<&[u8]> = sent.split(' ').map(str::as_bytes).collect();
        let shown = redacted(command, args.into_iter());
        let words: Vec<_> = shown.map(|arg| String::from_utf8(arg.to_vec()).unwrap()).collect();
        words.join(" ").replace("(redacted)", "*")
    }

    #[test]
    fn passwords_are_hidden_and_nothing_else_is() {
        for (command, sent, expected) in [
            ("auth", "AUTH pw", "AUTH *"),
            ("auth", "AUTH default pw", "AUTH * *"),
            ("auth", "renamed pw more", "renamed * *"),
            ("hello", "HELLO", "HELLO"),
            ("hello", "HELLO 3", "HELLO 3"),
            ("hello", "hello 3 auth u pw setname n", "hello 3 auth * * setname n"),
            ("hello", "HELLO 2 SETNAME auth AUTH u pw", "HELLO 2 SETNAME auth AUTH * *"),
            ("config", "CONFIG SET requirepass pw", "CONFIG SET requirepass *"),
            ("config", "config set loglevel debug RequirePass pw", "config set loglevel debug RequirePass *"),
            ("config", "CONFIG SET maxmemory 1gb", "CONFIG SET maxmemory 1gb"),
            ("config", "CONFIG GET requirepass", "CONFIG GET requirepass"),
            ("config", "CONFIG GET set requirepass x", "CONFIG GET set requirepass x"),
            ("addjob", "ADDJOB auth pw 0", "ADDJOB auth pw 0"),
        ] {
            assert_eq!(shown(command, sent), expected);
        }
    }

    #[test]
    fn what_does_not_parse_is_hidden_from_there_on() {
        for (command, sent, expected) in [
            ("hello", "HELLO AUTH u pw", "HELLO * * *"),
            ("hello", "HELLO 3 SETNAME AUTH u pw", "HELLO 3 SETNAME AUTH * *"),
            ("hello", "HELLO 3 AUTH pw", "HELLO 3 AUTH *"),
            ("hello", "HELLO 3 AUTH u pw pw", "HELLO 3 AUTH * * *"),
            ("config", "CONFIG SET requirepass my pass word", "CONFIG SET requirepass * * *"),
            ("config", "CONFIG SET loglevel requirepass pw", "CONFIG SET loglevel requirepass *"),
        ] {
            assert_eq!(shown(command, sent), expected);
        }
    }
}
