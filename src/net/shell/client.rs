//! CLIENT: who is connected, under which name, and making them wait or go.

use crate::admin::{ClientFlags, ClientLine, Kill};
use crate::command::timeout;
use crate::net::client::{Client, Closing, ReplyMode};
use crate::net::server::Server;
use crate::resp::{Protocol, Value};
use crate::types::limits::is_client_name;
use crate::types::{Args, UnixMillis};

pub(super) const BAD_NAME: &[u8] = b"ERR Client names cannot contain spaces, newlines or special characters.";
const SYNTAX: &[u8] =
    b"ERR Syntax error, try CLIENT (LIST | KILL ip:port | GETNAME | SETNAME connection-name)";

impl Server {
    pub(super) fn client_command(&mut self, slot: u32, args: Args<'_>) {
        let word = args.at(1).to_ascii_lowercase();
        match (word.as_slice(), args.len()) {
            (b"list", 2) => self.client_list(slot),
            (b"info", 2) => {
                let line = client_line(self.clients.acting(slot), self.now);
                self.reply(slot, Value::Bulk(line));
            }
            (b"id", 2) => {
                let id = self.clients.acting(slot).about.serial;
                self.reply(slot, Value::Int(id as i64));
            }
            (b"kill", _) => self.client_kill(slot, args),
            (b"getname", 2) => {
                let name = self.clients.acting(slot).about.name.clone();
                self.reply(slot, if name.is_empty() { Value::NullBulk } else { Value::Bulk(name) });
            }
            (b"setname", 3) => self.client_set_name(slot, args.at(2)),
            (b"setinfo", 4) => self.client_set_info(slot, args.at(2), args.at(3)),
            (b"pause", 3) => self.client_pause(slot, args.at(2)),
            (b"reply", 3) => self.client_reply(slot, args.at(2)),
            // There is nothing to evict or to touch, and no key whose change could be tracked.
            (b"no-evict" | b"no-touch", 3) => self.client_switch(slot, args.at(2)),
            (b"tracking", 3..) => self.client_switch(slot, args.at(2)),
            _ => self.client_unknown(slot, args.at(1)),
        }
    }

    fn client_unknown(&mut self, slot: u32, word: &[u8]) {
        // Redis clients look for this wording when they probe for what a server can do.
        if word.eq_ignore_ascii_case(b"maint_notifications") || word.eq_ignore_ascii_case(b"capa") {
            return self.refuse(slot, b"ERR unknown subcommand of CLIENT");
        }
        self.refuse(slot, SYNTAX);
    }

    fn client_list(&mut self, slot: u32) {
        let mut lines = Vec::new();
        let mut clients: Vec<&Client> = self.clients.iter().map(|(_, client)| client).collect();
        clients.sort_by_key(|client| client.about.serial);
        clients.iter().for_each(|client| lines.extend(client_line(client, self.now)));
        self.reply(slot, Value::Bulk(lines));
    }

    fn client_kill(&mut self, slot: u32, args: Args<'_>) {
        let kill = match Kill::parse(args.list_from(2)) {
            Ok(kill) => kill,
            Err(error) => return self.reply(slot, error.value()),
        };
        let caller = self.clients.acting(slot).about.serial;
        let meant = |client: &Client| kill.matches(client.about.serial, &client.about.peer, caller);
        let slots: Vec<u32> =
            self.clients.iter().filter(|(_, client)| meant(client)).map(|(slot, _)| slot).collect();
        self.reply(slot, kill.answer(slots.len()));
        for killed in slots {
            if killed == slot {
                // The caller gets its reply first.
                self.clients.close(killed, Closing::AfterReply);
            } else {
                // It goes at the end of the turn, but must not be handed a job before.
                self.withdraw(killed);
                self.clients.close(killed, Closing::Now);
            }
        }
    }

    fn client_set_name(&mut self, slot: u32, name: &[u8]) {
        if !is_client_name(name) {
            return self.refuse(slot, BAD_NAME);
        }
        self.clients.acting(slot).about.name = name.to_vec();
        self.reply_ok(slot);
    }

    fn client_set_info(&mut self, slot: u32, field: &[u8], value: &[u8]) {
        if !is_client_name(value) {
            let text = [field, b" cannot contain spaces, newlines or special characters."].concat();
            return self.refuse(slot, &[b"ERR ", text.as_slice()].concat());
        }
        let about = &mut self.clients.acting(slot).about;
        match field.to_ascii_lowercase().as_slice() {
            b"lib-name" => about.lib_name = value.to_vec(),
            b"lib-ver" => about.lib_ver = value.to_vec(),
            _ => return self.refuse(slot, &[b"ERR Unrecognized option '", field, b"'"].concat()),
        }
        self.reply_ok(slot);
    }

    /// Until the time has passed no client's requests are run; a longer pause in force stays.
    fn client_pause(&mut self, slot: u32, span: &[u8]) {
        match timeout(span) {
            Err(error) => self.refuse(slot, &error.text()),
            Ok(span) => {
                let until = self.now + span;
                if until > self.now {
                    self.paused_until = Some(self.paused_until.map_or(until, |pause| pause.max(until)));
                }
                self.reply_ok(slot);
            }
        }
    }

    fn client_reply(&mut self, slot: u32, word: &[u8]) {
        let client = self.clients.acting(slot);
        match word.to_ascii_lowercase().as_slice() {
            b"on" => {
                client.replies = ReplyMode::On;
                self.reply_ok(slot);
            }
            b"off" => client.replies = ReplyMode::Off,
            b"skip" if client.replies == ReplyMode::Off => {}
            b"skip" => client.replies = ReplyMode::SkipNext,
            _ => self.refuse(slot, b"ERR syntax error"),
        }
    }

    fn client_switch(&mut self, slot: u32, word: &[u8]) {
        if word.eq_ignore_ascii_case(b"on") || word.eq_ignore_ascii_case(b"off") {
            self.reply_ok(slot);
        } else {
            self.refuse(slot, b"ERR syntax error");
        }
    }
}

/// The client's line in CLIENT LIST.
fn client_line(client: &Client, now: UnixMillis) -> Vec<u8> {
    let mut line = Vec::new();
    let about = &client.about;
    ClientLine {
        id: about.serial,
        addr: &about.peer,
        fd: client.stream.fd(),
        name: &about.name,
        age: now.since(about.created).0 / 1000,
        idle: now.since(client.last_interaction).0 / 1000,
        flags: ClientFlags {
            monitor: client.is_monitor,
            blocked: client.blocked,
            close_after_reply: client.closing == Closing::AfterReply,
            unblocked: client.resuming,
            close_asap: client.closing == Closing::Now,
            unix_socket: client.stream.is_unix(),
        },
        qbuf: client.input.len() + client.reader.taken_bytes(),
        qbuf_free: client.input.capacity() - client.input.len(),
        obl: 0,
        oll: client.output.blocks(),
        omem: client.output.len(),
        waits_to_read: true,
        waits_to_write: !client.output.is_empty(),
        cmd: client.last_command.map(|spec| spec.name),
        lib_name: &about.lib_name,
        lib_ver: &about.lib_ver,
        resp: if client.protocol == Protocol::Resp3 { 3 } else { 2 },
    }
    .write(&mut line);
    line
}
