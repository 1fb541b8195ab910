//! DEBUG: what tests and those who hunt for defects use.

use std::time::Duration;

use crate::command::integer;
use crate::engine::Request;
use crate::net::server::{Ending, Server};
use crate::types::{Args, Millis};

const CANNOT_RESTART: &[u8] = b"ERR failed to restart the server. Check server logs.";

impl Server {
    pub(super) fn debug(&mut self, slot: u32, args: &Args<'_>) {
        let word = args.at(1).to_ascii_lowercase();
        match (word.as_slice(), args.len()) {
            (b"flushall", _) => self.ask_engine(slot, Request::FlushAll),
            (b"sleep", 3) => self.debug_sleep(slot, args.at(2)),
            (b"error", 3) => self.refuse(slot, args.at(2)),
            (b"loadaof", 2) => self.debug_load_aof(slot),
            (b"audit", 2) => match self.engine.audit() {
                Ok(()) => self.reply_ok(slot),
                Err(contradiction) => self.refuse(slot, format!("ERR {contradiction}").as_bytes()),
            },
            (b"loop-histogram", 2) => {
                let rows = self.operator.turns.render();
                self.reply(slot, rows);
            }
            (b"restart", 2 | 3) => self.debug_restart(slot, args.get(2), Ending::Restart),
            (b"crash-and-recover", 2 | 3) => self.debug_restart(slot, args.get(2), Ending::CrashAndRestart),
            (b"segfault" | b"assert" | b"oom", 2) => {
                panic!("DEBUG {} asked for a crash", String::from_utf8_lossy(&word).to_uppercase())
            }
            _ => {
                let start = b"ERR Unknown DEBUG subcommand or wrong number of arguments for '".as_slice();
                self.refuse(slot, &[start, args.at(1), b"'"].concat());
            }
        }
    }

    /// Forgets everything and takes it from the append-only file.
    fn debug_load_aof(&mut self, slot: u32) {
        if !self.config.appendonly {
            return self.refuse(slot, b"ERR the append-only file is off");
        }
        match self.load_again() {
            Ok(()) => self.reply_ok(slot),
            Err(error) => {
                tracing::error!(%error, "DEBUG LOADAOF failed");
                self.refuse(slot, b"ERR Error trying to load the AOF file. Check server logs.");
            }
        }
    }

    /// Stops the whole server for a time; text counts as zero.
    fn debug_sleep(&mut self, slot: u32, seconds: &[u8]) {
        let seconds: f64 =
            std::str::from_utf8(seconds).ok().and_then(|text| text.parse().ok()).unwrap_or(0.0);
        // An absurd time is no time: nobody wants a server that sleeps for ever.
        std::thread::sleep(Duration::try_from_secs_f64(seconds).unwrap_or_default());
        self.reply_ok(slot);
    }

    fn debug_restart(&mut self, slot: u32, delay: Option<&[u8]>, ending: fn(Millis) -> Ending) {
        match delay.map_or(Ok(0), integer) {
            Ok(delay) => match ending(Millis(delay.max(0) as u64)) {
                Ending::Restart(_) if !self.keep_config() => self.refuse(slot, CANNOT_RESTART),
                ending => self.end(slot, ending),
            },
            Err(error) => self.refuse(slot, &error.text()),
        }
    }

    /// What was set at run time is to hold after a restart, if there is a file to write it to.
    fn keep_config(&mut self) -> bool {
        self.operator.config_path.is_none() || self.config_rewrite().is_ok()
    }
}
