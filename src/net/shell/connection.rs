//! Commands about the connection itself: AUTH, HELLO with a version, PING, SELECT, RESET, QUIT.

use crate::command::{CommandError, integer};
use crate::net::client::{Closing, ReplyMode};
use crate::net::server::Server;
use crate::resp::{Protocol, Value};
use crate::types::Args;
use crate::types::limits::is_client_name;

/// The only user there is.
const USER: &[u8] = b"default";
const WRONG_PASS: &[u8] = b"WRONGPASS invalid username-password pair or user is disabled.";

/// What HELLO was asked for, once everything about it is known to be right.
#[derive(Debug, Default)]
struct Handshake {
    authenticates: bool,
    name: Option<Vec<u8>>,
}

impl Server {
    /// AUTH password, or AUTH default password.
    pub(super) fn auth(&mut self, slot: u32, args: &Args<'_>) {
        let (user, password) = match args.len() {
            2 => (None, args.at(1)),
            3 => (Some(args.at(1)), args.at(2)),
            _ => return self.refuse(slot, &CommandError::WrongArity("auth").text()),
        };
        let expected = self.config.requirepass.bytes();
        let error = match (user, expected) {
            (Some(user), _) if user != USER => WRONG_PASS,
            // Libraries send a user and a password whenever the application has them.
            (Some(_), None) => return self.reply_ok(slot),
            (None, None) => b"ERR Client sent AUTH, but no password is set".as_slice(),
            (_, Some(expected)) if is_same_secret(password, expected) => {
                self.clients.acting(slot).authenticated = true;
                return self.reply_ok(slot);
            }
            (_, Some(_)) => {
                // A connection that had authenticated loses it (commands.md 12).
                self.clients.acting(slot).authenticated = false;
                b"ERR invalid password"
            }
        };
        self.refuse(slot, error);
    }

    pub(super) fn ping(&mut self, slot: u32, args: &Args<'_>) {
        match args.len() {
            1 => self.reply(slot, Value::status("PONG")),
            2 => self.reply(slot, Value::bulk(args.at(1))),
            _ => self.refuse(slot, &CommandError::WrongArity("ping").text()),
        }
    }

    pub(super) fn select(&mut self, slot: u32, index: &[u8]) {
        match integer(index) {
            Ok(0) => self.reply_ok(slot),
            Ok(_) => self.refuse(slot, b"ERR DB index is out of range"),
            Err(error) => self.refuse(slot, &error.text()),
        }
    }

    pub(super) fn quit(&mut self, slot: u32) {
        self.reply_ok(slot);
        self.clients.close(slot, Closing::AfterReply);
    }

    /// RESET: as if the connection were new.
    pub(super) fn reset(&mut self, slot: u32) {
        let client = self.clients.acting(slot);
        client.protocol = Protocol::Resp2;
        client.replies = ReplyMode::On;
        client.authenticated = false;
        client.about.name.clear();
        client.about.transaction = None;
        if std::mem::take(&mut client.is_monitor) {
            self.clients.monitors.retain(|monitor| *monitor != slot);
        }
        self.reply(slot, Value::status("RESET"));
    }

    /// HELLO with a protocol version: the handshake of Redis clients (redis-clients.md 4). Nothing changes unless
    /// everything about it is right.
    pub(super) fn handshake(&mut self, slot: u32, args: &Args<'_>) {
        let protocol = match integer(args.at(1)) {
            Ok(2) => Protocol::Resp2,
            Ok(3) => Protocol::Resp3,
            Ok(_) => return self.refuse(slot, b"NOPROTO unsupported protocol version"),
            Err(_) => return self.refuse(slot, b"ERR Protocol version is not an integer or out of range"),
        };
        match self.read_handshake(slot, args) {
            Ok(handshake) => {
                let client = self.clients.acting(slot);
                client.authenticated |= handshake.authenticates;
                if let Some(name) = handshake.name {
                    client.about.name = name;
                }
                client.protocol = protocol;
                let greeting = self.greeting(slot);
                self.reply(slot, greeting);
            }
            Err(error) => self.refuse(slot, &error),
        }
    }

    fn read_handshake(&mut self, slot: u32, args: &Args<'_>) -> Result<Handshake, Vec<u8>> {
        let mut handshake = Handshake::default();
        let mut credentials = None;
        let mut at = 2;
        while let Some(word) = args.get(at) {
            match (word.to_ascii_lowercase().as_slice(), args.get(at + 1), args.get(at + 2)) {
                (b"auth", Some(user), Some(password)) => {
                    credentials = Some((user, password));
                    at += 3;
                }
                (b"setname", Some(name), _) => {
                    handshake.name = Some(name.to_vec());
                    at += 2;
                }
                _ => return Err([b"ERR Syntax error in HELLO option '", word, b"'"].concat()),
            }
        }
        self.check_credentials(slot, credentials, &mut handshake)?;
        match &handshake.name {
            Some(name) if !is_client_name(name) => Err(super::client::BAD_NAME.to_vec()),
            _ => Ok(handshake),
        }
    }

    fn check_credentials(
        &mut self,
        slot: u32,
        credentials: Option<(&[u8], &[u8])>,
        handshake: &mut Handshake,
    ) -> Result<(), Vec<u8>> {
        let expected = self.config.requirepass.bytes();
        let client = self.clients.acting(slot);
        if let Some((user, password)) = credentials {
            let right = expected.is_none_or(|expected| is_same_secret(password, expected));
            if user != USER || !right {
                client.authenticated = false;
                return Err(WRONG_PASS.to_vec());
            }
            handshake.authenticates = true;
        } else if expected.is_some() && !client.authenticated {
            return Err(NOAUTH_HELLO.to_vec());
        }
        Ok(())
    }

    fn greeting(&mut self, slot: u32) -> Value {
        let node = self.engine.me().to_string();
        let client = self.clients.acting(slot);
        let proto = if client.protocol == Protocol::Resp3 { 3 } else { 2 };
        Value::Map(vec![
            ("server".into(), "disque".into()),
            ("version".into(), env!("CARGO_PKG_VERSION").into()),
            ("proto".into(), Value::Int(proto)),
            ("id".into(), Value::Int(client.about.serial as i64)),
            ("mode".into(), "standalone".into()),
            ("role".into(), "master".into()),
            ("modules".into(), Value::Array(Vec::new())),
            ("node".into(), node.into()),
        ])
    }
}

const NOAUTH_HELLO: &[u8] = b"NOAUTH HELLO must be called with the client already authenticated, otherwise the \
    HELLO <proto> AUTH <user> <pass> option can be used to authenticate the client and select the RESP protocol \
    version at the same time";

/// Compares whole secrets in a time that depends on the length of what was sent only.
pub(in crate::net) fn is_same_secret(given: &[u8], expected: &[u8]) -> bool {
    let same_len = given.len() == expected.len();
    let differing = given.iter().enumerate().fold(0, |differing, (i, byte)| {
        differing | (byte ^ expected.get(i % expected.len().max(1)).copied().unwrap_or(0))
    });
    // `black_box` keeps the loop from ending at the first difference.
    same_len && std::hint::black_box(differing) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_compared_as_a_whole() {
        assert!(is_same_secret(b"sekret", b"sekret"));
        for wrong in [&b"sekre"[..], b"sekret\0junk", b"Sekret", b"", b"sekretsekret"] {
            assert!(!is_same_secret(wrong, b"sekret"), "{wrong:?}");
        }
    }
}
