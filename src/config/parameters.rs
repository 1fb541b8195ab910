//! The table of parameters: the one place where a parameter is declared.
//!
//! The file, the command line, CONFIG GET, SET and REWRITE, `--help` and `disque.conf` all come from these
//! rows. Whoever changes a row makes `disque.conf` anew: `UPDATE_GOLDEN=1 cargo test sample`.

use std::path::{Path, PathBuf};

use super::kinds::{
    BindAddresses, Directory, FileMode, FileName, FilePath, Fsync, Hertz, KeepAlive, LogFormat, LogLevel,
    OutputLimit, Password, SlowerThan,
};
use super::seeds::{AnnouncedIp, Seeds};
use super::table::{Change, ParameterSet, Section, parameters};
use super::value::{ByteSize, Seconds, Value, ValueError, check_range};
use crate::engine::EvictionPolicy;
use crate::types::Millis;
use crate::types::limits::MAX_CLIENT_PORT;

/// The largest value of plain numbers: what RC1 held in its integers.
const MAX_INTEGER: u64 = i32::MAX as u64;

parameters! {
    "Network" {
        /// The TCP port for clients. 0 listens on no TCP port; then set unixsocket.
        /// Nodes talk to each other on the port 10000 above it, so it is at most 55535, and both must be open
        /// between the nodes.
        Port = "port", port: u16 = 7711, AtStart, in 0..=u64::from(MAX_CLIENT_PORT);

        /// The addresses to listen on, 1 to 16 of them, separated by blanks; none means all, IPv4 and IPv6.
        /// Anybody who reaches the port can add, take and delete jobs, so outside a closed network name the
        /// addresses of the inner side here. The other nodes must reach at least one of them.
        /// Example: bind 127.0.0.1 10.0.0.5
        Bind = "bind", bind: BindAddresses = BindAddresses::default(), AtStart;

        /// A Unix socket to listen on, in addition to the TCP port; the empty string means none.
        /// Clients on the same machine save a little by it. A file in its place is removed at the start.
        UnixSocket = "unixsocket", unixsocket: Option<PathBuf> = None, AtStart;

        /// The permissions of the Unix socket, in octal; 0 leaves them as the system made them.
        /// 770 admits the user and the group of the server, 777 everybody on the machine.
        UnixSocketPerm = "unixsocketperm", unixsocketperm: FileMode = FileMode(0), AtStart;

        /// How many connections may wait to be accepted.
        /// Raise it if many clients connect at the same moment. Linux cuts it to net.core.somaxconn.
        TcpBacklog = "tcp-backlog", tcp_backlog: u32 = 511, AtStart, in 0..=MAX_INTEGER;

        /// After how many seconds of silence the system probes whether a client is still there; 0 never does.
        /// Without it a client that vanished with its machine or network keeps its connection for ever, and a
        /// job may be delivered to it. 300 is a good value. Yes means 300, no means 0.
        TcpKeepalive = "tcp-keepalive", tcp_keepalive: KeepAlive = KeepAlive(Seconds(0)), AtRunTime,
            in 0..=MAX_INTEGER;

        /// Close clients that have been idle for more than this many seconds; 0 never does.
        /// Clients that wait for jobs are not idle. Against clients that vanish prefer tcp-keepalive.
        Timeout = "timeout", timeout: Seconds = Seconds(0), AtRunTime, in 0..=MAX_INTEGER;

        /// How many clients may be connected at the same time; more are refused with an error.
        /// Each needs a file descriptor. If the system grants fewer, the number is lowered, with a warning.
        MaxClients = "maxclients", maxclients: u32 = 10_000, AtRunTime, in 1..=MAX_INTEGER;

        /// Close clients that read their replies too slowly: normal HARD SOFT SECONDS; zeros mean no limit.
        /// A client is closed as soon as HARD bytes wait for it, or when SOFT bytes have waited for more than
        /// SECONDS. Units are allowed. Limit it if you do not trust all clients: what waits takes memory.
        /// Example: client-output-buffer-limit normal 256mb 64mb 60
        ClientOutputBufferLimit = "client-output-buffer-limit", client_output_buffer_limit: OutputLimit =
            OutputLimit::default(), AtRunTime;
    }

    "Access" {
        /// The password that clients must give with AUTH, up to 512 bytes; the empty string asks for none.
        /// Attackers can try very many passwords in a second, so take a long random one. It travels and is
        /// stored in clear text: it protects against mistakes more than against listeners. A change holds at
        /// once for every connection that has not authenticated.
        RequirePass = "requirepass", requirepass: Password = Password::NONE, AtRunTime;
    }

    "Metrics, health and web page" {
        /// The port of HTTP: /metrics for Prometheus, /health/live and /health/ready; 0 serves no HTTP.
        /// The names of the metrics are in docs/metrics.md, a dashboard and alerts in utils/monitoring. With
        /// requirepass, all but /health asks for the password: HTTP basic with any user, or as bearer token. It is
        /// not encrypted.
        HttpPort = "http-port", http_port: u16 = 0, AtStart;

        /// The addresses on which http-port is served, 1 to 16 of them, separated by blanks; "" means all.
        /// Prometheus, and what asks for the health in a container, come from elsewhere: name the address they reach.
        HttpBind = "http-bind", http_bind: BindAddresses = BindAddresses::loopback(), AtStart;

        /// Serve a web page on http-port too, at /, with nodes, queues and waiting jobs.
        /// It shows bodies of jobs and can pause queues, and nothing else. Without requirepass it is only given to
        /// those who ask for it by an IP address or as localhost, lest pages of others can read it.
        HttpPage = "http-page", http_page: bool = false, AtRunTime;

        /// How many queues /metrics tells about one by one; the others are told of in one sum.
        /// Those count that have had most jobs. Each queue costs Prometheus seven time series.
        HttpMetricsQueues = "http-metrics-queues", http_metrics_queues: u32 = 1000, AtRunTime, in 0..=100_000;
    }

    "Process, files and log" {
        /// The working directory; relative names of files, logfile too, start from it.
        /// Give each node its own: nodes.conf, which holds the node's identity, is kept there. A relative
        /// include is looked for in the directory that was set above it.
        Dir = "dir", dir: Directory = Directory::new(Path::new(".")), AtRunTime;

        /// The file to append the log to; the empty string logs to the standard output, /dev/stderr to the other.
        /// Under systemd or in a container leave it empty: what collects the output keeps and rotates it. A file is
        /// opened again on SIGHUP, so logrotate moves it away and then sends that signal (postrotate).
        LogFile = "logfile", logfile: Option<PathBuf> = None, AtStart;

        /// How much to log: debug, verbose, notice or warning.
        /// Notice suits production. Debug writes about single jobs, which costs speed and disk.
        LogLevel = "loglevel", loglevel: LogLevel = LogLevel::Notice, AtRunTime;

        /// How a line of the log looks: plain for people, or json, an object per line.
        LogFormat = "log-format", log_format: LogFormat = LogFormat::Plain, AtStart;

        /// A file to write the process ID to; the empty string writes none.
        /// Only needed by tools that find the process by it. Systemd does not.
        PidFile = "pidfile", pidfile: Option<PathBuf> = None, AtStart;

        /// Must be no: the server stays in the foreground.
        /// To run it in the background use systemd, or: setsid disque-server disque.conf &
        Daemonize = "daemonize", daemonize: bool = false, AtStart, check foreground_only;

        /// Has no effect: timers fire exactly when they are due, not so many times in a second.
        /// Kept, from 1 to 500, because INFO shows it and tools of Disque 1.0 read it.
        Hz = "hz", hz: Hertz = Hertz(10), AtRunTime;
    }

    "Memory" {
        /// How many bytes jobs and queues may use, with a unit or without; 0 means no limit.
        /// Units: k, m, g count by 1000; kb, mb, gb by 1024. Above 75 % a node keeps no copies of new jobs
        /// and asks other nodes to. Above 95 % maxmemory-policy decides. Buffers of clients come on top, so
        /// leave room: two thirds of what the process may use is a sound start.
        MaxMemory = "maxmemory", maxmemory: ByteSize = ByteSize(1 << 30), AtRunTime;

        /// What to do above 95 % of maxmemory: acks or noeviction.
        /// With acks, jobs that are already acknowledged, and jobs with RETRY 0 that are already delivered,
        /// are forgotten early. No job that must still be delivered is lost, but an acknowledged one may in
        /// rare cases be delivered again. With noeviction, commands that need memory fail instead.
        MaxMemoryPolicy = "maxmemory-policy", maxmemory_policy: EvictionPolicy =
            EvictionPolicy::Acks, AtRunTime;
    }

    "Append-only file" {
        /// Write what happens to jobs to a file, so that they survive the end of the process, and of the machine.
        /// Jobs survive a node without it as long as another node that holds a copy lives; see REPLICATE of ADDJOB.
        /// With it a restarted node takes up its jobs, delays, leases and acknowledgements where they were.
        AppendOnly = "appendonly", appendonly: bool = false, AtRunTime;

        /// What the names of the append-only files begin with, in the directory dir.
        /// The files are NAME.N.base, what was known at some time, and NAME.N.log, what happened since. A file called
        /// just NAME is taken for one of Disque 1.0, and is loaded if there is no base.
        AppendFileName = "appendfilename", appendfilename: FileName = FileName::new("disque.aof"), AtStart;

        /// When to force the file to the disk: always, everysec or no.
        /// Always loses nothing that was answered: replies wait for the disk, all of a moment together. With everysec
        /// replies wait until the system has the data, so that the end of the process loses nothing, but a failure of
        /// the machine may lose the last second or two. No leaves it to the system, some 30 seconds.
        AppendFsync = "appendfsync", appendfsync: Fsync = Fsync::EverySecond, AtRunTime;

        /// Leave it to the end of a rewrite to force the new file to the disk.
        /// Syncs of what is appended go on in any case: a disk that cannot do both is too slow for always.
        NoAppendFsyncOnRewrite = "no-appendfsync-on-rewrite", no_appendfsync_on_rewrite: bool = false,
            AtRunTime;

        /// Rewrite the file when it has grown by this many percent since the last rewrite; 0 never does.
        /// Lower keeps the file smaller and works the disk more. With 100 the disk holds at most twice what is needed
        /// for the jobs, three times while it is being rewritten.
        AutoAofRewritePercentage = "auto-aof-rewrite-percentage", auto_aof_rewrite_percentage: u32 = 100,
            AtRunTime, in 0..=MAX_INTEGER;

        /// Do not rewrite the file by itself while it is smaller than this.
        /// Reading 64mb takes a fraction of a second at the next start, so smaller gains little.
        AutoAofRewriteMinSize = "auto-aof-rewrite-min-size", auto_aof_rewrite_min_size: ByteSize =
            ByteSize(64 << 20), AtRunTime;

        /// Force the file to the disk piece by piece while it is being rewritten, not all at the end.
        /// Avoids one long pause of the disk.
        AofRewriteIncrementalFsync = "aof-rewrite-incremental-fsync", aof_rewrite_incremental_fsync: bool =
            true, AtRunTime;

        /// Start even if the end of the file is cut off, as after a failure of power.
        /// What is cut off was never confirmed under appendfsync always. With no, the server refuses to start until an
        /// operator has repaired the file with disque-check-aof --fix.
        AofLoadTruncated = "aof-load-truncated", aof_load_truncated: bool = true, AtRunTime;

        /// Load the file at the next start, whatever appendonly says, and queue again all jobs that were queued; once.
        /// For a controlled restart: set it, CONFIG REWRITE, SHUTDOWN REWRITE-AOF, start. It then turns itself off.
        /// Otherwise jobs of which other nodes hold copies wait until the nodes agree on who queues them.
        AofEnqueueJobsOnce = "aof-enqueue-jobs-once", aof_enqueue_jobs_once: bool = false, AtRunTime;
    }

    "Cluster" {
        /// How many milliseconds a node may be silent before the others suspect that it has failed.
        /// Shorter finds failures sooner; below some round trips, or the longest pause of a busy machine, it
        /// finds failures that are none. Use the same on all nodes.
        ClusterNodeTimeout = "cluster-node-timeout", cluster_node_timeout: Millis = Millis(15_000), AtRunTime,
            in 1..=MAX_INTEGER;

        /// The file in which the node keeps its identity and what it knows of the others. Not to be edited.
        /// Relative to dir. Each node needs its own: nodes that share it would take each other's identity.
        ClusterConfigFile = "cluster-config-file", cluster_config_file: FilePath =
            FilePath::new("nodes.conf"), AtStart;

        /// The port on which the other nodes connect to this one; 0 means 10000 above port.
        /// It listens on the same addresses as port. Nodes of Disque 1.0 look for it 10000 above port, so leave it
        /// at 0 in a cluster with such.
        ClusterPort = "cluster-port", cluster_port: u16 = 0, AtStart;

        /// Nodes to join, as HOST:PORT with the ports for clients, separated by blanks; none joins nobody.
        /// Names are looked up, all addresses of a name count, and this node itself may be among them: the same
        /// line can stand on all nodes. While the node has joined nobody it tries again, within half a minute. The
        /// seeds must listen for other nodes 10000 above these ports; for others use CLUSTER MEET.
        /// Without seeds, join nodes with CLUSTER MEET.
        /// Example: cluster-seeds disque-0.example.com:7711 disque-1.example.com:7711 10.0.0.5:7711
        ClusterSeeds = "cluster-seeds", cluster_seeds: Seeds = Seeds::default(), AtStart;

        /// The address at which the other nodes and clients reach this one, if it is not the one that its
        /// connections come from; the empty string means that it is.
        /// Needed behind a translation of addresses, as with the port mappings of containers. Nodes of Disque 1.0
        /// do not know it.
        ClusterAnnounceIp = "cluster-announce-ip", cluster_announce_ip: AnnouncedIp = AnnouncedIp(None),
            AtRunTime;

        /// The port at which clients reach this node, if it is not port; 0 means that it is.
        ClusterAnnouncePort = "cluster-announce-port", cluster_announce_port: u16 = 0, AtRunTime,
            in 0..=u64::from(MAX_CLIENT_PORT);

        /// The port at which the other nodes reach this one, if it is not the one it listens on; 0 means that it is.
        ClusterAnnounceBusPort = "cluster-announce-bus-port", cluster_announce_bus_port: u16 = 0, AtRunTime;

        /// Close the connection to another node when this much waits to be sent to it; 0 means no limit.
        /// What waits takes memory. The connection comes again, and the nodes repair what was lost with it: jobs
        /// whose copies did not arrive are copied again, or elsewhere.
        ClusterLinkSendbufLimit = "cluster-link-sendbuf-limit", cluster_link_sendbuf_limit: ByteSize =
            ByteSize(256 << 20), AtRunTime;
    }

    "Slow commands and latency" {
        /// Remember commands that took at least this many microseconds; 0 remembers all, -1 none.
        /// Only the time of the execution counts, not the waiting for jobs. Read them with SLOWLOG GET.
        SlowlogLogSlowerThan = "slowlog-log-slower-than", slowlog_log_slower_than: SlowerThan =
            SlowerThan(Some(10_000)), AtRunTime;

        /// How many slow commands to remember; older ones are forgotten.
        /// Each takes some memory, which SLOWLOG RESET gives back.
        SlowlogMaxLen = "slowlog-max-len", slowlog_max_len: u32 = 128, AtRunTime, in 0..=MAX_INTEGER;

        /// Remember pauses of the server of at least this many milliseconds; 0 remembers none.
        /// Turn it on when you hunt latency, with what you want to find, say 100. Read them with LATENCY.
        LatencyMonitorThreshold = "latency-monitor-threshold", latency_monitor_threshold: Millis = Millis(0),
            AtRunTime, in 0..=MAX_INTEGER;
    }
}

/// A set of parameters is 64 bits.
const _: () = assert!(Parameter::ALL.len() <= 64);

impl Parameter {
    /// The parameter called `name`, in any case.
    pub fn named(name: &[u8]) -> Option<Parameter> {
        Parameter::ALL
            .iter()
            .find(|parameter| parameter.name().as_bytes().eq_ignore_ascii_case(name))
            .copied()
    }
}

fn foreground_only(daemonize: &bool) -> Result<(), ValueError> {
    refuse_yes(
        *daemonize,
        "this server does not go into the background by itself; \
         set daemonize no and use systemd, or start it with: setsid disque-server … &",
    )
}

fn refuse_yes(yes: bool, remedy: &'static str) -> Result<(), ValueError> {
    if yes { Err(ValueError::Unavailable(remedy)) } else { Ok(()) }
}
