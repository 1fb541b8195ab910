//! CLIENT LIST's lines, and which clients CLIENT KILL means.

use std::fmt;
use std::io::Write;

use super::text::{error_quoting, int, integer, not_an_integer, one_line, syntax_error};
use crate::resp::Value;
use crate::types::ArgList;

/// What CLIENT LIST and CLIENT INFO tell about one connection.
#[derive(Clone, Copy, Debug, Default)]
pub struct ClientLine<'a> {
    /// Counted from 1, never reused.
    pub id: u64,
    /// `ip:port`, `[ipv6]:port`, or `PATH:0` for a Unix socket.
    pub addr: &'a str,
    /// The descriptor.
    pub fd: i32,
    /// From CLIENT SETNAME; may be empty.
    pub name: &'a [u8],
    /// Seconds since the connection was accepted.
    pub age: u64,
    /// Seconds since anything was read or written.
    pub idle: u64,
    /// States worth a letter.
    pub flags: ClientFlags,
    /// Bytes read but not yet executed.
    pub qbuf: usize,
    /// Bytes free in the read buffer.
    pub qbuf_free: usize,
    /// Bytes of replies in the first output buffer.
    pub obl: usize,
    /// Further blocks of replies.
    pub oll: usize,
    /// Bytes in those blocks.
    pub omem: usize,
    /// Whether the loop waits for the client to send.
    pub waits_to_read: bool,
    /// Whether the loop waits for room to write.
    pub waits_to_write: bool,
    /// The built-in name of the last command, if there was one.
    pub cmd: Option<&'a str>,
    /// From CLIENT SETINFO; may be empty.
    pub lib_name: &'a [u8],
    /// From CLIENT SETINFO; may be empty.
    pub lib_ver: &'a [u8],
    /// The protocol version, 2 or 3.
    pub resp: u8,
}

/// States of a connection that CLIENT LIST shows as letters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClientFlags {
    /// `O`: watches with MONITOR.
    pub monitor: bool,
    /// `b`: waits in a blocking command.
    pub blocked: bool,
    /// `c`: closed once its replies are written.
    pub close_after_reply: bool,
    /// `u`: was just unblocked.
    pub unblocked: bool,
    /// `A`: closed as soon as possible.
    pub close_asap: bool,
    /// `U`: came through the Unix socket.
    pub unix_socket: bool,
}

impl ClientLine<'_> {
    /// Appends the line with its line feed. Fields that RC1 does not have stand at the end.
    pub fn write(&self, out: &mut Vec<u8>) {
        let ClientLine { id, fd, age, idle, flags, qbuf, qbuf_free, obl, oll, omem, resp, .. } = self;
        let addr = one_line(self.addr);
        let [name, lib_name, lib_ver] = [self.name, self.lib_name, self.lib_ver].map(String::from_utf8_lossy);
        let events = match (self.waits_to_read, self.waits_to_write) {
            (true, true) => "rw",
            (true, false) => "r",
            (false, true) => "w",
            (false, false) => "",
        };
        let cmd = self.cmd.unwrap_or("NULL");
        writeln!(
            out,
            "id={id} addr={addr} fd={fd} name={name} age={age} idle={idle} flags={flags} qbuf={qbuf} \
             qbuf-free={qbuf_free} obl={obl} oll={oll} omem={omem} events={events} cmd={cmd} \
             lib-name={lib_name} lib-ver={lib_ver} resp={resp}"
        )
        .expect("a Vec takes everything");
    }
}

/// The letters of the states, `N` if there are none.
impl fmt::Display for ClientFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let letters = [
            (self.monitor, "O"),
            (self.blocked, "b"),
            (self.close_after_reply, "c"),
            (self.unblocked, "u"),
            (self.close_asap, "A"),
            (self.unix_socket, "U"),
        ];
        if *self == ClientFlags::default() {
            return f.write_str("N");
        }
        letters.iter().filter(|(set, _)| *set).try_for_each(|(_, letter)| f.write_str(letter))
    }
}

/// What CLIENT KILL was asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kill<'a> {
    /// `CLIENT KILL addr`: that one client, the caller too. Answered with OK or [`KillError::NoSuchClient`].
    Address(&'a [u8]),
    /// `CLIENT KILL filter value …`: every client that passes. Answered with their number.
    Matching(KillFilter<'a>),
}

/// The filters of CLIENT KILL; a client must pass all of them.
///
/// There is no field for `TYPE normal`: all connections that CLIENT KILL can reach are of this type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KillFilter<'a> {
    id: Option<u64>,
    addr: Option<&'a [u8]>,
    spare_caller: bool,
}

/// Why CLIENT KILL killed nobody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KillError<'a> {
    /// An unknown filter, a filter without value, no filter at all, or neither yes nor no.
    Syntax,
    /// The ID is not a number.
    NotAnInteger,
    /// A TYPE other than `normal`.
    UnknownType(&'a [u8]),
    /// No client has the address.
    NoSuchClient,
}

impl<'a> Kill<'a> {
    /// Reads the words after `CLIENT KILL`.
    pub fn parse(words: ArgList<'a>) -> Result<Kill<'a>, KillError<'a>> {
        let mut words = words.iter();
        if words.len() == 1
            && let Some(addr) = words.next()
        {
            return Ok(Kill::Address(addr));
        }
        let mut filter = KillFilter { id: None, addr: None, spare_caller: true };
        if words.len() == 0 {
            return Err(KillError::Syntax);
        }
        while let Some(word) = words.next() {
            filter.read(word, words.next().ok_or(KillError::Syntax)?)?;
        }
        Ok(Kill::Matching(filter))
    }

    /// Whether the client with this ID and address is meant.
    pub fn matches(&self, id: u64, addr: &str, caller_id: u64) -> bool {
        match self {
            Kill::Address(wanted) => *wanted == addr.as_bytes(),
            Kill::Matching(filter) => {
                filter.id.is_none_or(|wanted| wanted == id)
                    && filter.addr.is_none_or(|wanted| wanted == addr.as_bytes())
                    && !(filter.spare_caller && id == caller_id)
            }
        }
    }

    /// The answer when `killed` clients were meant.
    pub fn answer(&self, killed: usize) -> Value {
        match self {
            Kill::Address(_) if killed == 0 => KillError::NoSuchClient.value(),
            Kill::Address(_) => Value::Status("OK".into()),
            Kill::Matching(_) => int(killed as u64),
        }
    }
}

impl<'a> KillFilter<'a> {
    fn read(&mut self, word: &[u8], value: &'a [u8]) -> Result<(), KillError<'a>> {
        match word.to_ascii_lowercase().as_slice() {
            b"id" => {
                let id = integer(value).ok_or(KillError::NotAnInteger)?;
                // 0 is no filter, as in RC1. No client has a negative ID, nor one as large as it becomes here.
                self.id = Some(id as u64).filter(|id| *id != 0);
            }
            b"addr" => self.addr = Some(value),
            b"type" if value.eq_ignore_ascii_case(b"normal") => {}
            b"type" => return Err(KillError::UnknownType(value)),
            b"skipme" if value.eq_ignore_ascii_case(b"yes") => self.spare_caller = true,
            b"skipme" if value.eq_ignore_ascii_case(b"no") => self.spare_caller = false,
            _ => return Err(KillError::Syntax),
        }
        Ok(())
    }
}

impl KillError<'_> {
    /// The error as a reply.
    pub fn value(&self) -> Value {
        match self {
            KillError::Syntax => syntax_error(),
            KillError::NotAnInteger => not_an_integer(),
            KillError::UnknownType(name) => error_quoting("ERR Unknown client type '", name, "'"),
            KillError::NoSuchClient => Value::Error("ERR No such client".into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::text::spans_of_words;
    use crate::types::Args;

    fn line(client: ClientLine<'_>) -> String {
        let mut out = Vec::new();
        client.write(&mut out);
        String::from_utf8(out).unwrap()
    }

    /// Whom of clients 1 (the caller), 2 and 3 the command kills, or why nobody.
    fn killed(command: &str) -> Result<Vec<u64>, Value> {
        let spans = spans_of_words(command);
        let args = Args::new(&spans, command.as_bytes(), &mut []).list_from(2);
        let kill = Kill::parse(args).map_err(|error| error.value())?;
        let clients = [(1, "127.0.0.1:1"), (2, "127.0.0.1:2"), (3, "/tmp/s:0")];
        Ok(clients.iter().filter(|(id, addr)| kill.matches(*id, addr, 1)).map(|(id, _)| *id).collect())
    }

    #[test]
    fn a_line_has_the_fields_of_rc1_and_ours_at_the_end() {
        let client = ClientLine {
            id: 115,
            addr: "127.0.0.1:38294",
            fd: 7,
            qbuf_free: 32768,
            waits_to_read: true,
            cmd: Some("client"),
            resp: 2,
            ..ClientLine::default()
        };
        assert_eq!(
            line(client),
            "id=115 addr=127.0.0.1:38294 fd=7 name= age=0 idle=0 flags=N qbuf=0 qbuf-free=32768 obl=0 oll=0 \
             omem=0 events=r cmd=client lib-name= lib-ver= resp=2\n"
        );
        let client = ClientLine {
            id: 1,
            addr: "[::1]:9",
            fd: 8,
            name: b"w1",
            age: 60,
            idle: 2,
            flags: ClientFlags { blocked: true, unix_socket: true, ..ClientFlags::default() },
            qbuf: 3,
            qbuf_free: 4,
            obl: 5,
            oll: 6,
            omem: 7,
            waits_to_read: true,
            waits_to_write: true,
            cmd: None,
            lib_name: b"redis-py(x)",
            lib_ver: b"8.1.0",
            resp: 3,
        };
        assert_eq!(
            line(client),
            "id=1 addr=[::1]:9 fd=8 name=w1 age=60 idle=2 flags=bU qbuf=3 qbuf-free=4 obl=5 oll=6 omem=7 \
             events=rw cmd=NULL lib-name=redis-py(x) lib-ver=8.1.0 resp=3\n"
        );
    }

    #[test]
    fn flags_stand_in_the_order_of_rc1() {
        let all = ClientFlags {
            monitor: true,
            blocked: true,
            close_after_reply: true,
            unblocked: true,
            close_asap: true,
            unix_socket: true,
        };
        assert_eq!(all.to_string(), "ObcuAU");
    }

    #[test]
    fn kill_by_address_hits_exactly_that_client_even_the_caller() {
        assert_eq!(killed("CLIENT KILL 127.0.0.1:1"), Ok(vec![1]));
        assert_eq!(killed("CLIENT KILL /tmp/s:0"), Ok(vec![3]));
        assert_eq!(killed("CLIENT KILL 127.0.0.1"), Ok(vec![]));
        let kill = Kill::Address(b"x");
        assert_eq!(kill.answer(0), Value::Error("ERR No such client".into()));
        assert_eq!(kill.answer(1), Value::Status("OK".into()));
    }

    #[test]
    fn kill_filters_are_anded_and_spare_the_caller_unless_told_otherwise() {
        for (command, ids) in [
            ("client kill id 2", vec![2]),
            ("client kill id 1", vec![]),
            ("client kill id 1 skipme no", vec![1]),
            ("client kill ID 0", vec![2, 3]),
            ("client kill id -1", vec![]),
            ("client kill TYPE Normal", vec![2, 3]),
            ("client kill type normal SKIPME NO", vec![1, 2, 3]),
            ("client kill addr 127.0.0.1:2 id 2", vec![2]),
            ("client kill addr 127.0.0.1:2 id 3", vec![]),
            ("client kill skipme yes", vec![2, 3]),
        ] {
            assert_eq!(killed(command), Ok(ids), "{command}");
        }
        let filter = KillFilter { id: None, addr: None, spare_caller: true };
        assert_eq!(Kill::Matching(filter).answer(2), Value::Int(2));
    }

    #[test]
    fn bad_filters_are_refused_with_their_reason() {
        for (command, error) in [
            ("client kill", "ERR syntax error"),
            ("client kill id 2 type", "ERR syntax error"),
            ("client kill user x", "ERR syntax error"),
            ("client kill skipme perhaps", "ERR syntax error"),
            ("client kill id x", "ERR value is not an integer or out of range"),
            ("client kill id x type", "ERR value is not an integer or out of range"),
            ("client kill type Slave", "ERR Unknown client type 'Slave'"),
        ] {
            assert_eq!(killed(command), Err(Value::Error(error.into())), "{command}");
        }
    }
}
