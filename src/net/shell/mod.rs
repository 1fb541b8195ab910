//! The commands that need connections, files or the process: everything that the engine must not know.

mod client;
mod config;
mod connection;
mod debug;
mod facts;

pub(super) use connection::is_same_secret;

use super::client::Closing;
use super::server::{Ending, Server};
use crate::command::{CommandError, ShellCommand, command_reply};
use crate::resp::Value;
use crate::types::Args;

impl Server {
    pub(super) fn run_in_shell(&mut self, slot: u32, command: ShellCommand, args: Args<'_>) {
        match command {
            ShellCommand::Auth => self.auth(slot, &args),
            ShellCommand::Ping => self.ping(slot, &args),
            ShellCommand::Echo => self.reply(slot, Value::bulk(args.at(1))),
            ShellCommand::Select => self.select(slot, args.at(1)),
            ShellCommand::Quit => self.quit(slot),
            ShellCommand::Reset => self.reset(slot),
            ShellCommand::HelloHandshake => self.handshake(slot, &args),
            ShellCommand::Info => self.info(slot, &args),
            ShellCommand::Config => self.config_command(slot, &args),
            ShellCommand::Client => self.client_command(slot, args),
            ShellCommand::Slowlog => {
                let answer = self.operator.slowlog.answer(&args);
                self.reply(slot, answer);
            }
            ShellCommand::Latency => {
                let answer = self.operator.latency.answer(&args, self.now);
                self.reply(slot, answer);
            }
            ShellCommand::Monitor => self.monitor(slot),
            ShellCommand::Debug => self.debug(slot, &args),
            ShellCommand::Command => self.command(slot, &args),
            ShellCommand::Time => self.time(slot),
            ShellCommand::Shutdown => self.shutdown_command(slot, &args),
            ShellCommand::Bgrewriteaof => match self.ask_for_rewrite() {
                Ok(()) => self.reply(slot, Value::status("Background append only file rewriting started")),
                Err(text) => self.refuse(slot, text),
            },
            ShellCommand::Multi => self.multi(slot),
            ShellCommand::Exec => self.exec(slot),
            ShellCommand::Discard => self.discard(slot),
            ShellCommand::Watch => self.watch(slot),
            ShellCommand::Unwatch | ShellCommand::Readonly | ShellCommand::Readwrite => self.reply_ok(slot),
        }
    }

    pub(super) fn reply(&mut self, slot: u32, value: Value) {
        self.clients.reply_value(slot, &value);
    }

    fn syntax_error(&mut self, slot: u32) {
        self.refuse(slot, &CommandError::Syntax.text());
    }

    fn command(&mut self, slot: u32, args: &Args<'_>) {
        let protocol = self.clients.acting(slot).protocol;
        match command_reply(&self.commands, args, protocol) {
            Ok(answer) => self.reply(slot, answer),
            Err(error) => self.refuse(slot, &error.text()),
        }
    }

    fn time(&mut self, slot: u32) {
        let us = self.clock.now_us();
        let parts = [us / 1_000_000, us % 1_000_000];
        self.reply(slot, parts.iter().map(|part| Value::bulk(part.to_string())).collect());
    }

    /// A second MONITOR on the same connection changes nothing (defect O10).
    fn monitor(&mut self, slot: u32) {
        self.reply_ok(slot);
        let client = self.clients.acting(slot);
        if !client.is_monitor {
            client.is_monitor = true;
            self.clients.monitors.push(slot);
        }
    }

    /// The loop ends with this turn. Nothing that the client sent behind the command is run: it would be confirmed
    /// and lost.
    fn end(&mut self, slot: u32, ending: Ending) {
        self.ending = Some(ending);
        self.clients.close(slot, Closing::AfterReply);
    }

    fn shutdown_command(&mut self, slot: u32, args: &Args<'_>) {
        match args.get(1) {
            None if args.len() == 1 => self.end(slot, Ending::Shutdown),
            Some(word) if args.len() == 2 && word.eq_ignore_ascii_case(b"NOSAVE") => {
                self.end(slot, Ending::NoSave);
            }
            Some(word) if args.len() == 2 && word.eq_ignore_ascii_case(b"REWRITE-AOF") => {
                match self.rewrite_for_shutdown() {
                    Ok(()) => self.end(slot, Ending::Shutdown),
                    Err(error) => {
                        tracing::error!(%error, "the append-only file cannot be rewritten");
                        self.refuse(slot, b"ERR Errors trying to SHUTDOWN. Check logs.");
                    }
                }
            }
            _ => self.syntax_error(slot),
        }
    }
}
