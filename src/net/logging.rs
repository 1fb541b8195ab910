//! The log: lines of facts with fields, to a file or to standard output, with a level that may change at run time.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Registry, reload};

use crate::config::LogLevel;

/// Where log lines go, and what sets their level.
#[derive(Clone)]
pub(crate) struct LogFile {
    target: Arc<Mutex<Target>>,
    level: reload::Handle<LevelFilter, Registry>,
}

enum Target {
    Stdout,
    File(PathBuf, File),
}

/// RC1's levels in terms of ours: what RC1 calls verbose, one line per connection, is debug, its notice is info.
fn filter_of(level: LogLevel) -> LevelFilter {
    match level {
        LogLevel::Debug | LogLevel::Verbose => LevelFilter::DEBUG,
        LogLevel::Notice => LevelFilter::INFO,
        LogLevel::Warning => LevelFilter::WARN,
    }
}

impl LogFile {
    /// Installs the log of this process; once per process.
    pub(crate) fn install(path: Option<&Path>, level: LogLevel) -> io::Result<LogFile> {
        let target = match path {
            None => Target::Stdout,
            Some(path) => Target::File(path.to_owned(), open(path)?),
        };
        let (filter, handle) = reload::Layer::new(filter_of(level));
        let log = LogFile { target: Arc::new(Mutex::new(target)), level: handle };
        let lines =
            tracing_subscriber::fmt::layer().with_target(false).with_ansi(false).with_writer(log.clone());
        tracing_subscriber::registry().with(filter).with(lines).init();
        Ok(log)
    }

    pub(crate) fn set_level(&self, level: LogLevel) {
        // Fails only if the subscriber is gone, and then there is nobody to tell.
        let _ = self.level.modify(|filter| *filter = filter_of(level));
    }

    /// Opens the file again, so that one that was moved away by log rotation is let go.
    pub(crate) fn reopen(&self) -> io::Result<()> {
        let mut target = self.target.lock();
        if let Target::File(path, file) = &mut *target {
            *file = open(path)?;
        }
        Ok(())
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path)
}

impl<'a> MakeWriter<'a> for LogFile {
    type Writer = LogFile;

    fn make_writer(&'a self) -> LogFile {
        self.clone()
    }
}

impl Write for LogFile {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        match &mut *self.target.lock() {
            Target::Stdout => io::stdout().write(line),
            Target::File(_, file) => file.write(line),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut *self.target.lock() {
            Target::Stdout => io::stdout().flush(),
            Target::File(_, file) => file.flush(),
        }
    }
}
