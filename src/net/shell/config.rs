//! CONFIG: telling, changing and storing the parameters.

use std::io;
use std::path::Path;

use crate::config::{Config, Parameter, SetError};
use crate::engine::{Control, Input};
use crate::net::aof::Purpose;
use crate::net::durable;
use crate::net::process::{self, os_text};
use crate::net::server::Server;
use crate::resp::Value;
use crate::types::Args;

impl Server {
    pub(super) fn config_command(&mut self, slot: u32, args: &Args<'_>) {
        let word = args.at(1).to_ascii_lowercase();
        match (word.as_slice(), args.len()) {
            (b"get", 3) => {
                let pairs = self.config.get(args.at(2)).into_iter();
                let pairs = pairs.map(|(name, value)| (Value::bulk(name), Value::Bulk(value))).collect();
                self.reply(slot, Value::Map(pairs));
            }
            (b"set", 4) => match self.config_set(args.at(2), args.at(3)) {
                Ok(()) => self.reply_ok(slot),
                Err(error) => self.refuse(slot, format!("ERR {error}").as_bytes()),
            },
            (b"resetstat", 2) => {
                self.operator.reset_stats();
                self.bus.traffic.reset();
                self.reply_ok(slot);
            }
            (b"rewrite", 2) => match self.config_rewrite() {
                Ok(()) => self.reply_ok(slot),
                Err(text) => self.refuse(slot, format!("ERR {text}").as_bytes()),
            },
            (b"get" | b"set" | b"resetstat" | b"rewrite", _) => {
                self.refuse(slot, &[b"ERR Wrong number of arguments for CONFIG ", args.at(1)].concat());
            }
            _ => self.refuse(slot, b"ERR CONFIG subcommand must be one of GET, SET, RESETSTAT, REWRITE"),
        }
    }

    /// Tries the change on a copy, so that one that cannot be applied leaves everything as it was.
    fn config_set(&mut self, name: &[u8], value: &[u8]) -> Result<(), SetError> {
        let mut changed = self.config.clone();
        let parameter = changed.set(name, value)?;
        self.try_apply(parameter, &changed)?;
        let engine = changed.engine();
        let tell_engine = engine != self.config.engine();
        self.config = changed;
        self.operator.configure(&self.config);
        self.http.iter().for_each(|desk| desk.configure(&self.config));
        self.change_sync_policy();
        if tell_engine {
            self.step(Input::Control(Control::Settings(engine)), u32::MAX);
        }
        tracing::info!(parameter = parameter.name(), "configuration changed");
        Ok(())
    }

    /// The changes that the system may refuse.
    fn try_apply(&mut self, parameter: Parameter, changed: &Config) -> Result<(), SetError> {
        match parameter {
            Parameter::Dir => std::env::set_current_dir(changed.dir.path())
                .map_err(|error| SetError::ChangingDirectory { reason: os_text(&error) }),
            Parameter::MaxClients => match process::reserve_descriptors(changed.maxclients) {
                Ok(granted) if granted >= changed.maxclients => Ok(()),
                Ok(possible) => Err(SetError::TooManyClients { possible }),
                Err(_) => Err(SetError::TooManyClients { possible: self.config.maxclients }),
            },
            Parameter::AppendOnly => self.switch_file(changed),
            Parameter::LogLevel => {
                self.operator.log.set_level(changed.loglevel);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn switch_file(&mut self, changed: &Config) -> Result<(), SetError> {
        if !changed.appendonly {
            self.turn_off_file();
            return Ok(());
        }
        self.turn_on_file(Purpose::ToStay).map_err(|error| {
            tracing::error!(%error, "the append-only file cannot be turned on");
            SetError::AppendOnly
        })
    }

    pub(in crate::net) fn config_rewrite(&mut self) -> Result<(), String> {
        let Some(path) = self.operator.config_path.clone() else {
            return Err("The server is running without a config file".to_owned());
        };
        self.rewrite_file(&path).map_err(|error| {
            tracing::warn!(%error, path = %path.display(), "CONFIG REWRITE failed");
            format!("Rewriting config file: {}", os_text(&error))
        })?;
        tracing::info!("CONFIG REWRITE executed with success.");
        Ok(())
    }

    fn rewrite_file(&self, path: &Path) -> io::Result<()> {
        let old = match std::fs::read(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            read => read?,
        };
        durable::replace(path, &self.config.rewrite(&old)).map(drop)
    }
}
