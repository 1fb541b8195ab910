//! Why a command is refused before it runs. The texts are published behaviour (commands.md 16).

use std::borrow::Cow;
use std::fmt;

/// Why a command is refused before it runs: the arguments are wrong, or dispatch does not let it through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CommandError {
    /// There is no such command; the name as it was sent.
    UnknownCommand(Vec<u8>),
    /// Wrong number of arguments for the command with this built-in name.
    WrongArity(&'static str),
    /// The password has not been given.
    NoAuth,
    /// More memory is used than `maxmemory` allows.
    OutOfMemory,
    /// The append-only file could not be written, with the text of the operating system.
    AofBroken(String),
    /// The data is being loaded.
    Loading,
    /// The list of options is malformed.
    Syntax,
    /// Not an integer of 64 bits.
    NotAnInteger,
    /// A timeout is not an integer.
    TimeoutNotAnInteger,
    /// A timeout is negative.
    TimeoutNegative,
    /// REPLICATE out of its range.
    ReplicateRange,
    /// TTL is no duration, or zero.
    TtlNotPositive,
    /// RETRY is no duration.
    RetryNotADuration,
    /// DELAY is no duration.
    DelayNotADuration,
    /// MAXLEN is not above zero.
    MaxlenNotPositive,
    /// SYNC and ASYNC of ADDJOB together.
    SyncAndAsync,
    /// COUNT of GETJOB is not above zero.
    CountNotPositive,
    /// An ID has not the shape of one.
    BadJobId,
    /// A word of a scan is neither an option nor a cursor.
    BadCursor,
    /// STATE of JSCAN is no state.
    BadJobState,
    /// REPLY of JSCAN is neither ID nor ALL.
    BadReplyType,
    /// LOADJOB came from a client.
    LoadjobFromClient,
    /// No such subcommand of CLUSTER, or wrong number of arguments for it.
    ClusterSubcommand,
    /// A Redis Cluster client asks for slots.
    NoSlots,
    /// The port of CLUSTER MEET is no integer.
    BadPort(Vec<u8>),
    /// The address of CLUSTER MEET is none.
    BadAddress {
        /// The address as it was sent.
        ip: Vec<u8>,
        /// The port as it was sent.
        port: Vec<u8>,
    },
    /// The ID for CLUSTER FORGET has not the length of one.
    BadNodeId,
    /// CLUSTER FORGET of something that no node can have as its ID.
    UnknownNode(Vec<u8>),
    /// CLUSTER LEAVING with something else than yes or no.
    LeavingArgument,
    /// No such subcommand of COMMAND, or wrong number of arguments for it.
    CommandSubcommand,
    /// MULTI inside MULTI.
    MultiNested,
    /// EXEC without MULTI.
    ExecWithoutMulti,
    /// DISCARD without MULTI.
    DiscardWithoutMulti,
    /// WATCH inside MULTI.
    WatchInsideMulti,
    /// EXEC after a command that was refused while it was being queued.
    ExecAborted,
    /// More commands or bytes between MULTI and EXEC than one connection may have.
    TransactionTooLarge,
    /// A command that must not stand inside MULTI, by its built-in name.
    NotInsideMulti(&'static str),
}

/// Most bytes of an argument that an error text repeats.
const ECHO_MAX: usize = 128;

impl CommandError {
    /// The text of the error reply, its first word included, the leading `-` not. One line, whatever was sent.
    pub fn text(&self) -> Cow<'static, [u8]> {
        match self {
            CommandError::UnknownCommand(name) => echo(&[b"ERR unknown command '", name, b"'"]),
            CommandError::WrongArity(name) => {
                echo(&[b"ERR wrong number of arguments for '", name.as_bytes(), b"' command"])
            }
            CommandError::AofBroken(why) => {
                echo(&[b"MISCONF Errors writing to the AOF file: ", why.as_bytes()])
            }
            CommandError::BadPort(port) => echo(&[b"ERR Invalid TCP port specified: ", port]),
            CommandError::BadAddress { ip, port } => {
                echo(&[b"ERR Invalid node address specified: ", ip, b":", port])
            }
            CommandError::UnknownNode(id) => echo(&[b"ERR Unknown node ", id]),
            CommandError::NotInsideMulti(name) => {
                echo(&[b"ERR '", name.as_bytes(), b"' is not allowed inside MULTI"])
            }
            fixed => Cow::Borrowed(fixed.fixed_text().as_bytes()),
        }
    }

    fn fixed_text(&self) -> &'static str {
        match self {
            CommandError::NoAuth => "NOAUTH Authentication required.",
            CommandError::OutOfMemory => "OOM command not allowed when used memory > 'maxmemory'.",
            CommandError::Loading => "LOADING Disque is loading the dataset in memory",
            CommandError::Syntax => "ERR syntax error",
            CommandError::NotAnInteger => "ERR value is not an integer or out of range",
            CommandError::TimeoutNotAnInteger => "ERR timeout is not an integer or out of range",
            CommandError::TimeoutNegative => "ERR timeout is negative",
            CommandError::ReplicateRange => "ERR REPLICATE must be between 1 and 65535",
            CommandError::TtlNotPositive => "ERR TTL must be a number > 0",
            CommandError::RetryNotADuration => "ERR RETRY time must be a non negative number",
            CommandError::DelayNotADuration => "ERR DELAY time must be a non negative number",
            CommandError::MaxlenNotPositive => "ERR MAXLEN must be a positive number",
            CommandError::SyncAndAsync => {
                "ERR SYNC waits until the job is on disks, and ASYNC for nothing; give one of them"
            }
            CommandError::CountNotPositive => "ERR COUNT must be a number greater than zero",
            CommandError::BadJobId => "BADID Invalid Job ID format.",
            CommandError::BadCursor => "ERR invalid cursor or option name",
            CommandError::BadJobState => "ERR Invalid job state name",
            CommandError::BadReplyType => "ERR Invalid REPLY type, try ID or ALL",
            CommandError::LoadjobFromClient => "ERR LOADJOB is a special command only processed from AOF",
            CommandError::ClusterSubcommand => "ERR Wrong CLUSTER subcommand or number of arguments",
            CommandError::NoSlots => "ERR This instance has cluster support disabled",
            CommandError::BadNodeId => "ERR Invalid node identifier",
            CommandError::LeavingArgument => "ERR Wrong argument for CLUSTER LEAVING. Use 'yes' or 'no'",
            CommandError::CommandSubcommand => "ERR Unknown subcommand or wrong number of arguments.",
            CommandError::MultiNested => "ERR MULTI calls can not be nested",
            CommandError::ExecWithoutMulti => "ERR EXEC without MULTI",
            CommandError::DiscardWithoutMulti => "ERR DISCARD without MULTI",
            CommandError::WatchInsideMulti => "ERR WATCH inside MULTI is not allowed",
            CommandError::ExecAborted => "EXECABORT Transaction discarded because of previous errors.",
            CommandError::TransactionTooLarge => {
                "ERR Transaction is too large: send EXEC after fewer or smaller commands"
            }
            CommandError::UnknownCommand(_)
            | CommandError::WrongArity(_)
            | CommandError::AofBroken(_)
            | CommandError::BadPort(_)
            | CommandError::BadAddress { .. }
            | CommandError::UnknownNode(_)
            | CommandError::NotInsideMulti(_) => {
                unreachable!("texts with a variable part are made in text()")
            }
        }
    }
}

/// Joins the parts; each is cut at its first NUL and at [`ECHO_MAX`] bytes, and line ends become blanks, so that
/// whatever was sent makes one line.
fn echo(parts: &[&[u8]]) -> Cow<'static, [u8]> {
    let clean = |byte: u8| if matches!(byte, b'\r' | b'\n') { b' ' } else { byte };
    let cut = |part: &[u8]| {
        let len = part.iter().take(ECHO_MAX).position(|byte| *byte == 0).unwrap_or(part.len().min(ECHO_MAX));
        part[..len].iter().map(|byte| clean(*byte)).collect::<Vec<u8>>()
    };
    Cow::Owned(parts.iter().flat_map(|part| cut(part)).collect())
}

impl fmt::Display for CommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.text()))
    }
}

impl std::error::Error for CommandError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_sent_is_repeated_as_one_short_line() {
        for (name, echoed) in [
            (&b"FOO"[..], "FOO"),
            (b"", ""),
            (b"a\r\nb", "a  b"),
            (b"foo\0bar", "foo"),
            (b"\0", ""),
            (&[b'x'; 128], &"x".repeat(128)),
            (&[b'x'; 129], &"x".repeat(128)),
        ] {
            let error = CommandError::UnknownCommand(name.to_vec());
            assert_eq!(error.to_string(), format!("ERR unknown command '{echoed}'"));
        }
        let raw = CommandError::UnknownCommand(vec![0xff, b'\n']);
        assert_eq!(
            &raw.text()[..],
            b"ERR unknown command '\xff '",
            "bytes that are no text stay as they are"
        );
    }

    #[test]
    fn texts_with_variable_parts_are_as_published() {
        for (error, text) in [
            (CommandError::WrongArity("ping"), "ERR wrong number of arguments for 'ping' command"),
            (
                CommandError::AofBroken("No space left on device".to_owned()),
                "MISCONF Errors writing to the AOF file: No space left on device",
            ),
            (CommandError::NotInsideMulti("auth"), "ERR 'auth' is not allowed inside MULTI"),
            (CommandError::NoAuth, "NOAUTH Authentication required."),
            (CommandError::OutOfMemory, "OOM command not allowed when used memory > 'maxmemory'."),
            (CommandError::Loading, "LOADING Disque is loading the dataset in memory"),
            (CommandError::MultiNested, "ERR MULTI calls can not be nested"),
            (CommandError::ExecWithoutMulti, "ERR EXEC without MULTI"),
            (CommandError::DiscardWithoutMulti, "ERR DISCARD without MULTI"),
            (CommandError::WatchInsideMulti, "ERR WATCH inside MULTI is not allowed"),
            (CommandError::ExecAborted, "EXECABORT Transaction discarded because of previous errors."),
        ] {
            assert_eq!(error.to_string(), text);
        }
    }
}
