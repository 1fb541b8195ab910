//! The log: lines of facts with fields, plain or as JSON, to a file or to an output of the process, with a level that may
//! change at run time.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::{self, MakeWriter};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer as _, Registry, reload};

use crate::config::{LogFormat, LogLevel};

/// Where log lines go, and what sets their level.
#[derive(Clone)]
pub(crate) struct LogFile {
    target: Arc<Mutex<Target>>,
    level: reload::Handle<LevelFilter, Registry>,
}

enum Target {
    Stdout,
    Stderr,
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
    pub(crate) fn install(path: Option<&Path>, level: LogLevel, format: LogFormat) -> io::Result<LogFile> {
        let target = match path {
            None => Target::Stdout,
            // Not opened by their names: a socket, as systemd gives, cannot be.
            Some(path) if path == Path::new("/dev/stdout") => Target::Stdout,
            Some(path) if path == Path::new("/dev/stderr") => Target::Stderr,
            Some(path) => Target::File(path.to_owned(), open(path)?),
        };
        let (filter, handle) = reload::Layer::new(filter_of(level));
        let log = LogFile { target: Arc::new(Mutex::new(target)), level: handle };
        let lines = fmt::layer().with_target(false).with_ansi(false).with_writer(log.clone());
        let lines = match format {
            LogFormat::Plain => lines.boxed(),
            // Flat: what collects logs looks for the fields at the top.
            LogFormat::Json => lines.json().flatten_event(true).with_span_list(false).boxed(),
        };
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
            Target::Stderr => io::stderr().write(line),
            Target::File(_, file) => file.write(line),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut *self.target.lock() {
            Target::Stdout => io::stdout().flush(),
            Target::Stderr => io::stderr().flush(),
            Target::File(_, file) => file.flush(),
        }
    }
}
