//! The mio shell: everything that touches the world. Event loop, listeners, connections, clock, signals, files.
//!
//! It decodes what comes in, hands it to the engine, performs the engine's effects in order, and runs the
//! commands that need connections or the process. It decides nothing about jobs.

mod aof;
mod bus;
mod client;
mod clients;
mod clock;
mod dispatch;
mod durable;
mod http;
mod listener;
mod logging;
mod nodes_file;
mod notify;
mod operator;
mod process;
mod serve;
mod server;
mod shell;
mod signals;
mod stream;
mod tokens;

use std::fmt;
use std::fs;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use mio::{Poll, Waker};
use rand::TryRng as _;
use rand::rngs::SysRng;

use crate::bus::NodesConf;
use crate::command::{CommandTable, RenameError};
use crate::config::{Config, Loaded, Problem, Warning};
use crate::engine::{Engine, Seed};
use crate::types::{Millis, NodeId, UnixMillis};
use bus::{BusListener, Resolver};
use clock::Clock;
use listener::Listener;
use logging::LogFile;
use nodes_file::NodesFile;
use operator::Operator;
use server::{Ending, Parts, RunError, Server};
use signals::Signals;

pub use aof::AofError;
pub use listener::{ListenError, Place};
pub use nodes_file::NodesFileError;

/// Why the server could not start, or had to end.
#[derive(Debug)]
pub enum ServeError {
    /// A directory, file or socket that the configuration names cannot be used.
    Setup {
        /// What was tried.
        what: String,
        /// What the system said.
        error: io::Error,
    },
    /// A listening socket cannot be opened.
    Listen(ListenError),
    /// The configuration leaves nothing to listen on.
    NowhereToListen,
    /// The configuration asks for a cluster, but leaves the node without a port to be known by.
    NoPortForCluster,
    /// The node table cannot be used.
    Nodes(NodesFileError),
    /// A line of the configuration that needs the command table to be judged.
    Config(crate::config::ConfigError),
    /// The append-only file cannot be used.
    Aof(AofError),
    /// The event loop failed.
    Loop(io::Error),
}

impl fmt::Display for ServeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ServeError::Setup { what, error } => write!(f, "{what}: {error}"),
            ServeError::Listen(error) => error.fmt(f),
            ServeError::NowhereToListen => f.write_str(
                "Configured to not listen anywhere, exiting. Set a port (--port 7711) or a unixsocket.",
            ),
            ServeError::NoPortForCluster => f.write_str(
                "cluster-port and cluster-seeds need a TCP port, by which the other nodes know this one; set port, or \
                 remove them.",
            ),
            ServeError::Nodes(error) => error.fmt(f),
            ServeError::Config(error) => error.fmt(f),
            ServeError::Aof(error) => error.fmt(f),
            ServeError::Loop(error) => write!(f, "the event loop failed: {error}"),
        }
    }
}

impl std::error::Error for ServeError {}

fn setup<T>(what: impl Into<String>, result: io::Result<T>) -> Result<T, ServeError> {
    result.map_err(|error| ServeError::Setup { what: what.into(), error })
}

/// Runs a server with this configuration until it is shut down.
///
/// Installs the process-wide log and signal handlers, so it can be called once per process. The exit code is 0
/// after a clean shutdown.
pub fn serve(loaded: Loaded) -> Result<ExitCode, ServeError> {
    let mut config = loaded.config.clone();
    let commands = renamed_commands(&loaded)?;
    let start_dir = setup("cannot tell the current directory", std::env::current_dir())?;
    enter_dir(&config)?;
    let log = open_log(&config)?;
    log_panics();
    for warning in &loaded.warnings {
        match warning {
            // Nothing is wrong with the defaults.
            Warning::NoConfigFile => tracing::info!("{warning}"),
            warning => tracing::warn!("{warning}"),
        }
    }
    grant_descriptors(&mut config);
    let server = Server::new(assemble(config, commands, log, loaded.file)?).map_err(ServeError::Loop)?;
    run(server, &start_dir)
}

fn enter_dir(config: &Config) -> Result<(), ServeError> {
    let dir = config.dir.path();
    let what = format!("cannot use the directory {} (make it, or choose another with --dir)", dir.display());
    setup(what, std::env::set_current_dir(dir))
}

fn open_log(config: &Config) -> Result<LogFile, ServeError> {
    let path = config.logfile.as_ref().map(|path| config.path_of(path));
    let shown = path.as_deref().unwrap_or(Path::new("")).display();
    let what =
        format!("cannot open the log file {shown} (make its directory, or choose another with --logfile)");
    setup(what, LogFile::install(path.as_deref(), config.loglevel, config.log_format))
}

fn renamed_commands(loaded: &Loaded) -> Result<CommandTable, ServeError> {
    let mut commands = CommandTable::new();
    for renamed in &loaded.renamed_commands {
        commands
            .rename(&renamed.from, &renamed.to)
            .map_err(|error| ServeError::Config(renamed.error(problem_of(error))))?;
    }
    Ok(commands)
}

fn problem_of(error: RenameError) -> Problem {
    match error {
        RenameError::NoSuchCommand => Problem::NoSuchCommand,
        RenameError::NameTaken => Problem::CommandExists,
    }
}

/// Asks for as many descriptors as `maxclients` needs, and lowers `maxclients` to what is granted.
fn grant_descriptors(config: &mut Config) {
    match process::reserve_descriptors(config.maxclients) {
        Ok(granted) if granted >= config.maxclients => {}
        Ok(granted) => {
            tracing::warn!(
                asked = config.maxclients,
                granted,
                "maxclients lowered: the limit of open files is too low; raise it with 'ulimit -n'"
            );
            config.maxclients = granted.max(1);
        }
        Err(error) => tracing::warn!(%error, "cannot read the limit of open files"),
    }
}

fn assemble(
    config: Config,
    commands: CommandTable,
    log: LogFile,
    config_path: Option<PathBuf>,
) -> Result<Parts, ServeError> {
    let poll = setup("cannot create the event loop", Poll::new())?;
    // The system has room for one, so all other threads share it.
    let waker = setup("cannot create the event loop", Waker::new(poll.registry(), tokens::waker()))?;
    let waker = Arc::new(waker);
    let signals = setup("cannot handle signals", Signals::install(poll.registry()))?;
    let mut clock = Clock::new();
    let now = clock.tick();
    let mut seed = [0; 32];
    let mut identity = [0; 40];
    let random = SysRng.try_fill_bytes(&mut seed).and_then(|()| SysRng.try_fill_bytes(&mut identity));
    setup("the system gives no random bytes", random.map_err(io::Error::other))?;

    check_places(&config)?;
    // Before the Unix socket: one that another server listens on must not be taken away from it.
    let nodes_path = config.path_of(config.cluster_config_file.path());
    let (mut nodes_file, nodes) = NodesFile::open(&nodes_path).map_err(ServeError::Nodes)?;
    let listeners = open_listeners(&config).map_err(ServeError::Listen)?;
    let bus_listeners = open_bus_listeners(&config).map_err(ServeError::Listen)?;
    let resolver = setup("cannot look up cluster-seeds", start_resolver(&config, &waker, now))?;
    let nodes = match nodes {
        Some(nodes) => {
            tracing::info!("Node configuration loaded, I'm {}", nodes.myself().expect("it was checked").id);
            nodes
        }
        None => {
            let me = new_identity(&identity);
            tracing::info!("No cluster configuration found, I'm {me}");
            NodesConf::alone(me, config.port)
        }
    };
    let engine = Engine::new(config.engine(), &nodes, Seed(seed), now);
    // Even if nothing has changed: that it cannot be saved is better known now than when something has.
    let saved = nodes_file.save(&nodes, now);
    saved.map_err(|error| ServeError::Nodes(NodesFileError::Io(nodes_path, error)))?;
    let run_id = identity[20..].iter().map(|byte| format!("{byte:02x}")).collect();
    let http = http::start(&config, &waker).map_err(ServeError::Listen)?;
    let load = aof::Load::open(&config, now).map_err(ServeError::Aof)?;
    let mut operator = Operator::new(&config, now, log, run_id);
    operator.config_path = config_path;
    Ok(Parts {
        poll,
        waker,
        listeners,
        bus_listeners,
        resolver,
        signals,
        clock,
        engine,
        config,
        commands,
        nodes_file,
        operator,
        http,
        load,
    })
}

/// Refuses what leaves nothing to listen on, for clients or for the other nodes.
fn check_places(config: &Config) -> Result<(), ServeError> {
    if config.port != 0 {
        return Ok(());
    }
    if config.unixsocket.is_none() {
        return Err(ServeError::NowhereToListen);
    }
    if config.cluster_port != 0 || !config.cluster_seeds.seeds().is_empty() {
        return Err(ServeError::NoPortForCluster);
    }
    Ok(())
}

fn open_listeners(config: &Config) -> Result<Vec<Listener>, ListenError> {
    let mut listeners = Vec::new();
    if config.port != 0 {
        let tcp = listener::open_tcp(config.bind.addresses(), config.port, backlog(config), Place::Tcp)?;
        listeners.extend(tcp.into_iter().map(Listener::Tcp));
    }
    if let Some(path) = &config.unixsocket {
        listeners.push(listener::open_unix(&config.path_of(path), config.unixsocketperm.0)?);
    }
    Ok(listeners)
}

/// Where the other nodes connect: at the addresses for clients, since one of them is what others know of this node.
fn open_bus_listeners(config: &Config) -> Result<Vec<BusListener>, ListenError> {
    match config.bus_port() {
        Some(port) => listener::open_tcp(config.bind.addresses(), port, backlog(config), Place::Bus),
        None => Ok(Vec::new()),
    }
}

fn backlog(config: &Config) -> i32 {
    config.tcp_backlog.min(i32::MAX as u32) as i32
}

/// The thread that looks up `cluster-seeds`, if there are any.
fn start_resolver(config: &Config, waker: &Arc<Waker>, now: UnixMillis) -> io::Result<Option<Resolver>> {
    let seeds = config.cluster_seeds.seeds();
    if seeds.is_empty() {
        return Ok(None);
    }
    Resolver::start(seeds, Arc::clone(waker), now).map(Some)
}

/// The identity of a node that had none.
fn new_identity(random: &[u8; 40]) -> NodeId {
    let mut bytes = [0; 20];
    bytes.copy_from_slice(&random[..20]);
    NodeId::from_bytes(bytes)
}

fn run(mut server: Server, start_dir: &Path) -> Result<ExitCode, ServeError> {
    // Where they are now: `dir` may be changed while the server runs.
    let pidfile = server.config.pidfile.as_ref().map(|path| server.config.path_of(path));
    let unixsocket = server.config.unixsocket.as_ref().map(|path| server.config.path_of(path));
    if let Some(path) = &pidfile
        && let Err(error) = fs::write(path, format!("{}\n", std::process::id()))
    {
        tracing::warn!(%error, path = %path.display(), "cannot write the pid file");
    }
    if server.aof.load.is_none() {
        announce(&server);
    } else {
        notify::tell(notify::State::Loading);
    }
    let ending = server.run().map_err(|error| match error {
        RunError::Loop(error) => ServeError::Loop(error),
        RunError::Aof(error) => ServeError::Aof(error),
    })?;
    if let Ending::CrashAndRestart(delay) = ending {
        return Err(start_again(delay, start_dir));
    }
    tracing::info!("User requested shutdown...");
    if !matches!(ending, Ending::Restart(_)) {
        notify::tell(notify::State::Stopping);
    }
    if ending != Ending::NoSave {
        server.close_file();
    }
    server.flush_dirty();
    if let Some(path) = &pidfile {
        tracing::info!("Removing the pid file.");
        let _ = fs::remove_file(path);
    }
    if let Some(path) = &unixsocket {
        tracing::info!("Removing the unix socket file.");
        let _ = fs::remove_file(path);
    }
    tracing::info!("Disque is now ready to exit, bye bye...");
    match ending {
        Ending::Restart(delay) => Err(start_again(delay, start_dir)),
        _ => Ok(ExitCode::SUCCESS),
    }
}

fn announce(server: &Server) {
    tracing::info!("Server started, Disque version {}", env!("CARGO_PKG_VERSION"));
    if let Some(port) = server.config.bus_port() {
        tracing::info!("Other nodes reach this one on port {port}");
    }
    if server.config.port != 0 {
        tracing::info!("The server is now ready to accept connections on port {}", server.config.port);
    }
    if server.config.http_port != 0 {
        tracing::info!("HTTP is served on port {}", server.config.http_port);
    }
    if let Some(path) = &server.config.unixsocket {
        tracing::info!("The server is now ready to accept connections at {}", path.display());
    }
    notify::tell(notify::State::Ready);
}

/// Becomes a new run of the same program, with the same arguments, which may hold relative paths, and the same
/// process ID. Returns only if that fails.
fn start_again(delay: Millis, start_dir: &Path) -> ServeError {
    thread::sleep(Duration::from_millis(delay.0));
    let mut arguments = std::env::args_os();
    let program =
        std::env::current_exe().map(Into::into).ok().or_else(|| arguments.next()).unwrap_or_default();
    let error = Command::new(program).args(std::env::args_os().skip(1)).current_dir(start_dir).exec();
    ServeError::Setup { what: "cannot start the server again".to_owned(), error }
}

/// A panic is a defect of the server: it is logged with its place before the process aborts.
fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let backtrace = std::backtrace::Backtrace::force_capture();
        tracing::error!("=== DISQUE BUG REPORT: {panic}\n{backtrace}");
    }));
}
