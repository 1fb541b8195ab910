//! The prompt: reads lines with editing, completion, hints and history, and sends them.
//!
//! A lost connection is made anew and the command sent once more, unless that could do harm: see [`may_repeat`].

mod complete;
mod docs;
mod help;
mod hint;
mod history;

use std::borrow::Cow;
use std::io;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use rustyline::completion::{Completer, Pair};
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::FileHistory;
use rustyline::validate::Validator;
use rustyline::{ColorMode, CompletionType, Config, Context, Editor};

use super::Exit;
use super::format::Colour;
use super::interrupt::Interrupts;
use super::output::{Printer, is, streams};
use crate::client::connection::{Address, DEFAULT_PORT, Lost};
use crate::client::session::{Credentials, Session};
use crate::resp::Reply;
use crate::resp::{UnbalancedQuotes, split_quoted};
use docs::Docs;

/// Commands that take this long have their time shown.
const SLOW: Duration = Duration::from_millis(500);

/// Words that the prompt understands by itself.
const LOCAL_WORDS: &[&str] = &["help", "quit", "exit", "clear", "connect"];

/// Runs the prompt until the user leaves.
pub(super) fn run(session: Session, printer: Printer, colour: Colour) -> io::Result<Exit> {
    let mut prompt = Prompt::new(session, printer, colour)?;
    prompt.connect();
    prompt.talk()?;
    Ok(Exit::Success)
}

/// Whether to go on after a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flow {
    On,
    Leave,
}

/// Whether to go on repeating a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Repetition {
    On,
    Over,
}

struct Prompt {
    session: Session,
    printer: Printer,
    colour: Colour,
    editor: Editor<Assistant, FileHistory>,
    history: Option<PathBuf>,
    interrupts: Interrupts,
    /// Whether the server has been asked for documentation, which some cannot give. Asked once, so that a server
    /// that answers by closing can still be used.
    asked_for_docs: bool,
    /// Between MULTI and EXEC. What is queued is lost with the connection.
    in_transaction: bool,
}

impl Prompt {
    fn new(session: Session, printer: Printer, colour: Colour) -> io::Result<Prompt> {
        let color_mode = if colour == Colour::On { ColorMode::Forced } else { ColorMode::Disabled };
        let config = Config::builder()
            .max_history_size(history::LINES_MAX)
            .map_err(io::Error::other)?
            .completion_type(CompletionType::List)
            .color_mode(color_mode)
            .build();
        let mut editor = Editor::with_config(config).map_err(io::Error::other)?;
        editor.set_helper(Some(Assistant { docs: Docs::default(), colour }));
        let history = history::file(std::env::var_os("DISQUE_HISTORY"), std::env::var_os("HOME"));
        if let Some(path) = &history {
            // There is none the first time, and a history that cannot be read must not keep anybody out.
            let _ = editor.load_history(path);
        }
        let interrupts = Interrupts::install()?;
        Ok(Prompt {
            session,
            printer,
            colour,
            editor,
            history,
            interrupts,
            asked_for_docs: false,
            in_transaction: false,
        })
    }

    fn talk(&mut self) -> io::Result<()> {
        loop {
            match self.editor.readline(&self.label()) {
                Ok(line) => {
                    if self.line(&line)? == Flow::Leave {
                        return Ok(());
                    }
                }
                Err(ReadlineError::Interrupted) => {}
                Err(ReadlineError::Eof) => return Ok(()),
                Err(ReadlineError::Io(error)) => return Err(error),
                Err(other) => return Err(io::Error::other(other)),
            }
        }
    }

    fn label(&self) -> String {
        let transaction = if self.in_transaction { "(TX)" } else { "" };
        match self.session.address() {
            _ if !self.session.is_connected() => "not connected> ".to_string(),
            Address::Unix(path) => format!("disque {}{transaction}> ", path.display()),
            tcp => format!("{tcp}{transaction}> "),
        }
    }

    fn line(&mut self, line: &str) -> io::Result<Flow> {
        let words = split_quoted(line.as_bytes());
        self.remember(line, words.as_deref().ok());
        let words = match words {
            Ok(words) if words.is_empty() => return Ok(Flow::On),
            Ok(words) => words,
            Err(UnbalancedQuotes) => {
                eprintln!("Invalid argument(s): unbalanced quotes");
                return Ok(Flow::On);
            }
        };
        match words[0].to_ascii_lowercase().as_slice() {
            b"quit" | b"exit" => return Ok(Flow::Leave),
            b"clear" if words.len() == 1 => self.editor.clear_screen().map_err(io::Error::other)?,
            b"help" | b"?" => {
                let text = help::help(self.docs(), &words[1..], self.colour);
                self.printer.text(text.as_bytes())?;
            }
            b"connect" => self.connect_elsewhere(&words[1..]),
            _ => self.repeated(&words)?,
        }
        Ok(Flow::On)
    }

    fn remember(&mut self, line: &str, words: Option<&[Vec<u8>]>) {
        let loose_words = || line.split_whitespace().map(|word| word.as_bytes().to_vec()).collect();
        let words = words.map_or_else(loose_words, <[_]>::to_vec);
        if words.is_empty() || history::is_secret(&words) {
            return;
        }
        // A history that cannot be written is a smaller nuisance than a complaint about it after each line.
        let _ = self.editor.add_history_entry(line);
        if let Some(path) = &self.history {
            let _ = self.editor.append_history(path);
        }
    }

    /// Sends the command, as often as the number before it says.
    fn repeated(&mut self, words: &[Vec<u8>]) -> io::Result<()> {
        let command = words_to_complete(words);
        let times = match command.len() < words.len() {
            true => std::str::from_utf8(&words[0]).ok().and_then(|digits| digits.parse::<u64>().ok()),
            false => Some(1),
        };
        let Some(times) = times else {
            eprintln!("The number of repetitions is too large");
            return Ok(());
        };
        self.interrupts.take();
        for _ in 0..times {
            if self.command(command)? == Repetition::Over || self.interrupts.take() {
                break;
            }
        }
        Ok(())
    }

    fn command(&mut self, command: &[Vec<u8>]) -> io::Result<Repetition> {
        if (!self.session.is_connected() || self.session.was_closed_meanwhile()) && !self.come_back(command) {
            return Ok(Repetition::Over);
        }
        let started = Instant::now();
        let outcome = self.session.ask(command);
        let reply = match outcome {
            Ok(reply) => reply,
            Err(lost) => match self.after_loss(command, &lost) {
                Some(reply) => reply,
                None => return Ok(Repetition::Over),
            },
        };
        self.printer.reply(command, &reply)?;
        if started.elapsed() >= SLOW && self.printer.is_for_people() {
            self.printer.text(format!("({:.2}s)\n", started.elapsed().as_secs_f64()).as_bytes())?;
        }
        self.follow_up(command, &reply)
    }

    /// What a reply means for the sequel: streams, passwords, transactions.
    fn follow_up(&mut self, command: &[Vec<u8>], reply: &Reply) -> io::Result<Repetition> {
        if streams(command, reply) {
            let lost = self.printer.stream(&mut self.session, command)?;
            if !self.interrupted()? {
                eprintln!("Connection lost: {lost}");
            }
            return Ok(Repetition::Over);
        }
        match (command, reply.is_error()) {
            ([name, ..], false) if name.eq_ignore_ascii_case(b"multi") => self.in_transaction = true,
            ([name, ..], _) if name.eq_ignore_ascii_case(b"exec") => self.in_transaction = false,
            ([name, ..], false) if name.eq_ignore_ascii_case(b"discard") => self.in_transaction = false,
            ([name, user @ .., password], false)
                if name.eq_ignore_ascii_case(b"auth") && !self.in_transaction =>
            {
                self.session
                    .remember(Credentials { user: user.first().cloned(), password: password.clone() });
                self.settle();
            }
            _ => {}
        }
        Ok(Repetition::On)
    }

    /// Repeats the handshake, which may have been refused for want of the password.
    fn settle(&mut self) {
        match self.session.shake_hands() {
            Ok(()) if self.docs().commands.is_empty() => self.load_docs(),
            Ok(()) => {}
            Err(error) => eprintln!("{error}"),
        }
    }

    /// Connects before `command` is sent; whether it may be sent then.
    fn come_back(&mut self, command: &[Vec<u8>]) -> bool {
        let lost_transaction = std::mem::take(&mut self.in_transaction);
        let connected = self.connect();
        if lost_transaction {
            let name = String::from_utf8_lossy(&command[0]).to_uppercase();
            eprintln!("The connection was lost, and the transaction with it. {name} was not sent.");
        }
        connected && !lost_transaction
    }

    /// The reply to a second attempt, if there may be one and it succeeds.
    fn after_loss(&mut self, command: &[Vec<u8>], lost: &Lost) -> Option<Reply> {
        let in_transaction = std::mem::take(&mut self.in_transaction);
        // Nothing more can be said if standard output is gone; the next reply will show it.
        if self.interrupted().unwrap_or(true) {
            return None;
        }
        // A server that shuts down answers by closing, and is not there to come back to.
        if is(command, "shutdown") {
            return None;
        }
        eprintln!("Connection lost: {lost}.");
        if let Err(reason) = may_repeat(command, in_transaction) {
            eprintln!("{reason}");
            self.connect();
            return None;
        }
        if !self.connect() {
            return None;
        }
        self.session.ask(command).map_err(|lost| eprintln!("Connection lost again: {lost}.")).ok()
    }

    /// Whether the user broke off; if so, ends the line and connects anew.
    fn interrupted(&mut self) -> io::Result<bool> {
        if !self.interrupts.take() {
            return Ok(false);
        }
        self.printer.text(b"\n")?;
        self.connect();
        Ok(true)
    }

    fn connect_elsewhere(&mut self, place: &[Vec<u8>]) {
        let texts: Vec<_> = place.iter().map(|word| String::from_utf8_lossy(word).into_owned()).collect();
        let (host, port) = match &*texts {
            [host] => (host, Some(DEFAULT_PORT)),
            [host, port] => (host, port.parse().ok().filter(|port| *port > 0)),
            _ => return eprintln!("Use: connect HOST PORT"),
        };
        let Some(port) = port else {
            return eprintln!("{} is not a port, which is a number from 1 to 65535", texts[1]);
        };
        self.session.redirect(Address::Tcp { host: host.clone(), port });
        self.in_transaction = false;
        self.set_docs(Docs::default());
        self.asked_for_docs = false;
        self.connect();
    }

    /// Connects, the first time also for the documentation of the commands; says what went wrong.
    fn connect(&mut self) -> bool {
        if !self.connect_only() {
            return false;
        }
        if self.asked_for_docs {
            return true;
        }
        self.load_docs();
        self.session.is_connected() || self.connect_only()
    }

    fn connect_only(&mut self) -> bool {
        let outcome = self.session.connect(Some(&self.interrupts));
        if let Err(error) = &outcome {
            eprintln!("{error}");
        }
        outcome.is_ok()
    }

    /// Full documentation, or names only, or nothing: the prompt works all the same.
    fn load_docs(&mut self) {
        self.asked_for_docs = true;
        let full = self.session.ask(&[b"COMMAND".to_vec(), b"DOCS".to_vec()]).ok();
        let docs = full.and_then(|reply| Docs::from_command_docs(&reply)).or_else(|| {
            let names = self.session.ask(&[b"COMMAND".to_vec()]).ok()?;
            Docs::from_command(&names)
        });
        self.set_docs(docs.unwrap_or_default());
    }

    fn docs(&self) -> &Docs {
        &self.editor.helper().expect("set when the editor was made").docs
    }

    fn set_docs(&mut self, docs: Docs) {
        self.editor.helper_mut().expect("set when the editor was made").docs = docs;
    }
}

/// Whether a command whose reply was lost may be sent again; if not, why.
fn may_repeat(command: &[Vec<u8>], in_transaction: bool) -> Result<(), &'static str> {
    if in_transaction {
        return Err("Not sent again: the transaction was lost with the connection.");
    }
    if is(command, "addjob") {
        return Err("Not sent again: the job may have been added, and a repeated ADDJOB would add it twice.");
    }
    // Its subcommands crash and block servers on purpose.
    if is(command, "debug") {
        return Err("Not sent again: DEBUG may have been what ended the connection.");
    }
    Ok(())
}

/// The words without the number of repetitions before them.
fn words_to_complete(words: &[Vec<u8>]) -> &[Vec<u8>] {
    match words {
        [count, command @ ..]
            if !command.is_empty() && count.iter().all(u8::is_ascii_digit) && count != b"" =>
        {
            command
        }
        words => words,
    }
}

/// Helps the line editor: completion and hints from the documentation.
struct Assistant {
    docs: Docs,
    colour: Colour,
}

impl rustyline::Helper for Assistant {}

impl Validator for Assistant {}

impl Completer for Assistant {
    type Candidate = Pair;

    fn complete(&self, line: &str, cursor: usize, _: &Context<'_>) -> rustyline::Result<(usize, Vec<Pair>)> {
        let (start, words) = complete::candidates(&self.docs, &line[..cursor]);
        let pair = |word: String| Pair { replacement: format!("{word} "), display: word };
        Ok((start, words.into_iter().map(pair).collect()))
    }
}

impl Hinter for Assistant {
    type Hint = Grey;

    fn hint(&self, line: &str, cursor: usize, _: &Context<'_>) -> Option<Grey> {
        // Without colour, nobody could tell the hint from what was typed.
        if cursor < line.len() || self.colour == Colour::Off {
            return None;
        }
        hint::hint(&self.docs, line).map(Grey)
    }
}

impl Highlighter for Assistant {
    fn highlight_hint<'h>(&self, hint: &'h str) -> Cow<'h, str> {
        Cow::Owned(self.colour.grey(hint))
    }
}

/// A hint to look at. Moving right at the end of the line does not take it over, since `queue` is no value.
struct Grey(String);

impl rustyline::hint::Hint for Grey {
    fn display(&self) -> &str {
        &self.0
    }

    fn completion(&self) -> Option<&str> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<Vec<u8>> {
        split_quoted(line.as_bytes()).expect("balanced")
    }

    #[test]
    fn addjob_is_never_repeated() {
        assert!(may_repeat(&words("AddJob q b 0"), false).is_err_and(|reason| reason.contains("twice")));
        assert_eq!(may_repeat(&words("getjob from q"), false), Ok(()));
    }

    #[test]
    fn nothing_is_repeated_out_of_its_transaction() {
        assert!(may_repeat(&words("ping"), true).is_err());
    }

    #[test]
    fn number_before_a_command_is_its_count() {
        assert_eq!(words_to_complete(&words("3 ping")), words("ping"));
        assert_eq!(words_to_complete(&words("3")), words("3"));
        assert_eq!(words_to_complete(&words("'' ping")), words("'' ping"));
    }
}
