//! A connection with its handshake: protocol version, password, and coming back after a loss.

use std::fmt;
use std::io;
use std::time::{Duration, Instant};

use super::connection::{Address, Breaker, Connection, Lost, Writer, reason};

use crate::resp::Reply;

/// As whom to connect.
#[derive(Clone, PartialEq)]
pub(crate) struct Credentials {
    /// `None` is the default user.
    pub(crate) user: Option<Vec<u8>>,
    pub(crate) password: Vec<u8>,
}

// By hand, so that no password gets into a panic message.
impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("user", &self.user).finish_non_exhaustive()
    }
}

/// Which protocol to speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// RESP3 where the server knows it, RESP2 otherwise.
    Best,
    Resp2,
    Resp3,
}

/// Everything that decides how to connect.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) address: Address,
    pub(crate) credentials: Option<Credentials>,
    pub(crate) protocol: Protocol,
    /// Bounds the connection attempt and each step of the handshake.
    pub(crate) timeout: Option<Duration>,
}

/// Why there is no session.
#[derive(Debug, PartialEq)]
pub(crate) enum ConnectError {
    Unreachable {
        address: Address,
        reason: String,
    },
    /// The server did not accept the password.
    Denied(String),
    /// RESP3 was demanded, and the server does not speak it.
    NoResp3(String),
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ConnectError::Unreachable { address, reason } => {
                writeln!(f, "Could not connect to disque at {address}: {reason}")?;
                let option = match address {
                    Address::Tcp { port, .. } => format!("--port {port}"),
                    Address::Unix(path) => format!("--unixsocket {}", path.display()),
                };
                write!(f, "Is a server running there? This starts one: disque-server {option}")
            }
            ConnectError::Denied(text) => write!(f, "The server did not accept the password: {text}"),
            ConnectError::NoResp3(text) => write!(f, "The server does not speak RESP3 (-3): {text}"),
        }
    }
}

/// Whoever wants to end waits from another thread; told which connection is waited on.
pub(crate) trait Watch {
    /// An attempt to connect begins, which nothing can end.
    fn connecting(&self);
    /// The attempt has failed.
    fn gave_up(&self);
    /// The connection is open. The breaker ends its waits, those of the handshake included.
    fn watch(&self, breaker: Breaker);
}

/// A place to send commands to, connected or not.
pub(crate) struct Session {
    target: Target,
    connection: Option<Connection>,
}

impl Session {
    /// A session that is not connected yet.
    pub(crate) fn new(target: Target) -> Session {
        Session { target, connection: None }
    }

    /// Where the session leads.
    pub(crate) fn address(&self) -> &Address {
        &self.target.address
    }

    /// Leads the session elsewhere; the connection to the old place is closed.
    pub(crate) fn redirect(&mut self, address: Address) {
        self.connection = None;
        self.target.address = address;
    }

    /// Uses these credentials from the next connection on.
    pub(crate) fn remember(&mut self, credentials: Credentials) {
        self.target.credentials = Some(credentials);
    }

    /// Whether there is a connection, as far as is known without looking.
    pub(crate) fn is_connected(&self) -> bool {
        self.connection.is_some()
    }

    /// Whether the server has closed the connection since the last reply.
    pub(crate) fn was_closed_meanwhile(&mut self) -> bool {
        self.connection.as_mut().is_some_and(Connection::is_closed)
    }

    /// Connects anew and shakes hands. The handshake can be interrupted like any wait for a reply.
    pub(crate) fn connect(&mut self, interrupts: Option<&dyn Watch>) -> Result<(), ConnectError> {
        self.connection = None;
        let opened = self.open(interrupts);
        if let (Err(_), Some(interrupts)) = (&opened, interrupts) {
            interrupts.gave_up();
        }
        self.connection = Some(opened.map_err(|error| self.unreachable(reason(&error)))?);
        let outcome = self.shake_hands().and_then(|()| self.wait_for_ever());
        if outcome.is_err() {
            self.connection = None;
        }
        outcome
    }

    fn open(&self, interrupts: Option<&dyn Watch>) -> io::Result<Connection> {
        let timeout = self.target.timeout;
        if let Some(interrupts) = interrupts {
            interrupts.connecting();
        }
        let connection = Connection::open(&self.target.address, timeout)?;
        connection.limit_reads(timeout)?;
        if let Some(interrupts) = interrupts {
            interrupts.watch(connection.breaker()?);
        }
        Ok(connection)
    }

    /// From here on replies may take as long as they like: a job may be days away.
    fn wait_for_ever(&self) -> Result<(), ConnectError> {
        let unlimited = self.connection.as_ref().map_or(Ok(()), |connection| connection.limit_reads(None));
        unlimited.map_err(|error| self.unreachable(reason(&error)))
    }

    /// Settles protocol and password on an open connection. Harmless to repeat.
    pub(crate) fn shake_hands(&mut self) -> Result<(), ConnectError> {
        if self.target.protocol != Protocol::Resp2 && self.hello()? {
            return Ok(());
        }
        self.authenticate()
    }

    /// Sends a command and waits for its reply. After an error the session is no longer connected.
    pub(crate) fn ask(&mut self, args: &[Vec<u8>]) -> Result<Reply, Lost> {
        let outcome = match &mut self.connection {
            Some(connection) => connection.send(args).and_then(|()| connection.receive()),
            None => Err(Lost::Closed),
        };
        if outcome.is_err() {
            self.connection = None;
        }
        outcome
    }

    /// Sends a command and waits so long for its reply. After an error the session is no longer connected.
    pub(crate) fn ask_within<Word: AsRef<[u8]>>(
        &mut self,
        args: &[Word],
        limit: Duration,
    ) -> Result<Reply, Lost> {
        let deadline = Instant::now() + limit;
        let outcome = match &mut self.connection {
            Some(connection) => (|| {
                connection.limit_writes(limit)?;
                connection.send(args)?;
                connection.receive_by(deadline)
            })(),
            None => Err(Lost::Closed),
        };
        if outcome.is_err() {
            self.connection = None;
        }
        outcome
    }

    /// Sends commands at once and waits so long for all replies. After an error the session is no longer connected.
    pub(crate) fn ask_many<Word: AsRef<[u8]>>(
        &mut self,
        requests: &[Vec<Word>],
        limit: Duration,
    ) -> Result<Vec<Reply>, Lost> {
        let deadline = Instant::now() + limit;
        let outcome = match &mut self.connection {
            Some(connection) => (|| {
                connection.limit_writes(limit)?;
                connection.send_many(requests)?;
                requests.iter().map(|_| connection.receive_by(deadline)).collect()
            })(),
            None => Err(Lost::Closed),
        };
        if outcome.is_err() {
            self.connection = None;
        }
        outcome
    }

    /// A handle with which another thread sends commands, whose replies are read by `next_reply_within`.
    pub(crate) fn writer(&self) -> io::Result<Writer> {
        match &self.connection {
            Some(connection) => connection.writer(),
            None => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    /// Waits so long for one more reply. After an error other than [`Lost::TimedOut`] the session is no longer
    /// connected; after that one the reply may still come.
    pub(crate) fn next_reply_within(&mut self, limit: Duration) -> Result<Reply, Lost> {
        let deadline = Instant::now() + limit;
        let outcome =
            self.connection.as_mut().map_or(Err(Lost::Closed), |connection| connection.receive_by(deadline));
        if !matches!(outcome, Ok(_) | Err(Lost::TimedOut)) {
            self.connection = None;
        }
        outcome
    }

    /// Waits for one more reply, as MONITOR sends them. After an error the session is no longer connected.
    pub(crate) fn next_reply(&mut self) -> Result<Reply, Lost> {
        let outcome = self.connection.as_mut().map_or(Err(Lost::Closed), Connection::receive);
        if outcome.is_err() {
            self.connection = None;
        }
        outcome
    }

    /// Offers RESP3, with the password if there is one. Whether the server took it.
    fn hello(&mut self) -> Result<bool, ConnectError> {
        let mut args = vec![b"HELLO".to_vec(), b"3".to_vec()];
        if let Some(Credentials { user, password }) = self.target.credentials.clone() {
            args.extend([b"AUTH".to_vec(), user.unwrap_or_else(|| b"default".to_vec()), password]);
        }
        let refusal = match self.ask_in_handshake(&args)? {
            Reply::Map(_) => return Ok(true),
            Reply::Error(text) if text.starts_with(b"WRONGPASS") => {
                return Err(ConnectError::Denied(String::from_utf8_lossy(&text).into_owned()));
            }
            // Whether it speaks RESP3 will be seen when the user has authenticated.
            Reply::Error(text) if text.starts_with(b"NOAUTH") => return Ok(false),
            Reply::Error(text) => String::from_utf8_lossy(&text).into_owned(),
            // Some Disque servers ignore the arguments and describe their cluster.
            _ => "it answered HELLO 3 with its own greeting".to_string(),
        };
        match self.target.protocol {
            Protocol::Resp3 => Err(ConnectError::NoResp3(refusal)),
            Protocol::Best | Protocol::Resp2 => Ok(false),
        }
    }

    fn authenticate(&mut self) -> Result<(), ConnectError> {
        let Some(Credentials { user, password }) = self.target.credentials.clone() else {
            return Ok(());
        };
        let mut args = vec![b"AUTH".to_vec()];
        args.extend(user);
        args.push(password);
        match self.ask_in_handshake(&args)? {
            Reply::Error(text) => {
                let text = String::from_utf8_lossy(&text).into_owned();
                // The server wants no password, so a needless one shuts nobody out.
                let needless = ["no password is set", "without any password configured"];
                if needless.iter().any(|words| text.contains(words)) {
                    return Ok(());
                }
                Err(ConnectError::Denied(text))
            }
            _ => Ok(()),
        }
    }

    fn ask_in_handshake(&mut self, args: &[Vec<u8>]) -> Result<Reply, ConnectError> {
        self.ask(args).map_err(|lost| {
            self.unreachable(match lost {
                Lost::Failed(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    "it accepted the connection but did not answer in time".to_string()
                }
                other => other.to_string(),
            })
        })
    }

    fn unreachable(&self, reason: String) -> ConnectError {
        ConnectError::Unreachable { address: self.target.address.clone(), reason }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failure_names_the_place_and_the_remedy() {
        let tcp = Address::Tcp { host: "10.0.0.1".into(), port: 7712 };
        let error = ConnectError::Unreachable { address: tcp, reason: "Connection refused".into() };
        assert_eq!(
            error.to_string(),
            "Could not connect to disque at 10.0.0.1:7712: Connection refused\n\
             Is a server running there? This starts one: disque-server --port 7712"
        );
        let unix = ConnectError::Unreachable {
            address: Address::Unix("/tmp/d".into()),
            reason: "No such file".into(),
        };
        assert!(unix.to_string().ends_with("disque-server --unixsocket /tmp/d"));
    }

    #[test]
    fn debug_output_has_no_password() {
        let credentials = Credentials { user: None, password: b"hunter2".to_vec() };
        assert_eq!(format!("{credentials:?}"), "Credentials { user: None, .. }");
    }
}
