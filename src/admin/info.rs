//! INFO: facts that the shell collects, as text that people and monitoring tools read.
//!
//! Sections, fields and their order are RC1's (operations.md 4); what is ours stands at the end of a section.
//! No value holds a `#`, because there are clients that split the text at every one.

use std::fmt::{Display, Write};

use super::bus_traffic::BusTraffic;
use super::command_stats::CommandUse;
use super::histogram::Histogram;
use super::traffic::Traffic;
use crate::types::UnixMillis;

/// Everything INFO tells.
#[derive(Clone, Debug)]
pub struct InfoSource<'a> {
    /// The time of the request; [`Traffic::turn`] must have heard of it.
    pub now: UnixMillis,
    /// The process.
    pub server: ServerFacts<'a>,
    /// The connections.
    pub clients: ClientFacts,
    /// The memory.
    pub memory: MemoryFacts<'a>,
    /// Jobs that this node knows, in any state.
    pub registered_jobs: u64,
    /// The jobs by state, if somebody counts them.
    pub jobs: Option<JobCounts>,
    /// Queues in memory, empty ones included.
    pub registered_queues: u64,
    /// How far the AOF is loaded, if it is being loaded.
    pub loading: Option<Loading>,
    /// The append-only file.
    pub aof: AofFacts,
    /// Totals and rates.
    pub traffic: &'a Traffic,
    /// How long the turns of the event loop took.
    pub loop_turns: &'a Histogram,
    /// The processor.
    pub cpu: CpuFacts,
    /// The other nodes.
    pub cluster: ClusterFacts,
    /// The links to them.
    pub bus: BusFacts<'a>,
    /// The commands that ran, in the order to show.
    pub commands: Vec<CommandUse<'a>>,
}

/// The process and its machine.
#[derive(Clone, Debug, Default)]
pub struct ServerFacts<'a> {
    /// The first 8 digits of the commit, if known.
    pub git_sha1: Option<&'a str>,
    /// Whether the sources differed from that commit.
    pub git_dirty: bool,
    /// Tells builds apart.
    pub build_id: u64,
    /// System name, release and machine.
    pub os: &'a str,
    /// How the event loop waits: `epoll`, `kqueue`.
    pub multiplexing_api: &'a str,
    /// The process ID.
    pub process_id: u32,
    /// 40 hex digits, new at every start.
    pub run_id: &'a str,
    /// The client port.
    pub tcp_port: u16,
    /// When the server started.
    pub started: UnixMillis,
    /// The parameter `hz`.
    pub hz: u32,
    /// Absolute path of the program.
    pub executable: &'a str,
    /// Absolute path of the configuration, or empty.
    pub config_file: &'a str,
}

/// Client connections; links between nodes do not count.
#[derive(Clone, Copy, Debug, Default)]
pub struct ClientFacts {
    /// How many there are.
    pub connected: u64,
    /// Most blocks of replies that one of them has waiting.
    pub longest_output_list: u64,
    /// Most bytes of requests that one of them has waiting.
    pub biggest_input_buf: u64,
    /// How many wait in GETJOB or in a replicating ADDJOB.
    pub blocked: u64,
    /// The parameter `maxclients`.
    pub maxclients: u64,
}

/// Memory, in bytes.
#[derive(Clone, Copy, Debug, Default)]
pub struct MemoryFacts<'a> {
    /// In use, the number that `maxmemory` limits.
    pub used: u64,
    /// Resident, as the system sees it.
    pub rss: u64,
    /// The most that was in use.
    pub peak: u64,
    /// The allocator's name.
    pub allocator: &'a str,
    /// The limit; 0 means none.
    pub maxmemory: u64,
    /// What happens at the limit: `acks`, `noeviction`.
    pub maxmemory_policy: &'a str,
}

/// The jobs of this node by state.
#[derive(Clone, Copy, Debug, Default)]
pub struct JobCounts {
    /// Waiting for their copies.
    pub wait_repl: u64,
    /// Delivered or delayed, not in a queue of this node.
    pub active: u64,
    /// In a queue of this node.
    pub queued: u64,
    /// Acknowledged but not yet forgotten.
    pub acked: u64,
}

/// How far the AOF is loaded.
#[derive(Clone, Copy, Debug)]
pub struct Loading {
    /// When it began.
    pub started: UnixMillis,
    /// Size of the file.
    pub total_bytes: u64,
    /// How much of it is done.
    pub loaded_bytes: u64,
}

/// The append-only file.
#[derive(Clone, Copy, Debug, Default)]
pub struct AofFacts {
    /// Whether it is written.
    pub state: AofState,
    /// Whether it is being rewritten.
    pub rewrite_in_progress: bool,
    /// Whether a rewrite waits for its turn.
    pub rewrite_scheduled: bool,
    /// Seconds that the last rewrite took, if there was one.
    pub last_rewrite_secs: Option<u64>,
    /// Seconds since the running rewrite began, if one runs.
    pub current_rewrite_secs: Option<u64>,
    /// Whether the last rewrite failed.
    pub last_rewrite_failed: bool,
    /// Whether the last write failed.
    pub last_write_failed: bool,
    /// Shown unless the state is off.
    pub details: AofDetails,
}

/// Whether the append-only file is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AofState {
    /// No.
    #[default]
    Off,
    /// Yes.
    On,
    /// It was turned on and its first version is being written.
    WaitRewrite,
}

/// What is told about an append-only file in use.
#[derive(Clone, Copy, Debug, Default)]
pub struct AofDetails {
    /// Bytes in the file.
    pub current_size: u64,
    /// Bytes in it after the last rewrite or at the start.
    pub base_size: u64,
    /// Whether a rewrite is due.
    pub pending_rewrite: bool,
    /// Bytes that wait to be written.
    pub buffer_length: u64,
    /// Bytes that wait to be written to the file of a running rewrite.
    pub rewrite_buffer_length: u64,
    /// Places in the files that were found damaged when they were loaded, and skipped.
    pub load_damages: u64,
    /// Bytes that were cut off at their ends then.
    pub load_cut_bytes: u64,
    /// Syncs that were asked for and are not done.
    pub pending_fsync: u64,
    /// Writes that had to wait for a sync.
    pub delayed_fsync: u64,
}

/// Processor time of the process, in microseconds. There are no child processes.
#[derive(Clone, Copy, Debug, Default)]
pub struct CpuFacts {
    /// In the system.
    pub sys_micros: u64,
    /// In the program.
    pub user_micros: u64,
}

/// What this node knows of its cluster.
#[derive(Clone, Copy, Debug, Default)]
pub struct ClusterFacts {
    /// The port for other nodes; 0 if there is none.
    pub bus_port: u16,
    /// Nodes in the table, handshakes and this node included.
    pub known_nodes: u64,
    /// Other nodes that could take a copy.
    pub reachable_nodes: u64,
    /// Members, this node and failing ones included.
    pub size: u64,
}

/// The links between this node and others.
#[derive(Clone, Copy, Debug)]
pub struct BusFacts<'a> {
    /// Links that this node opened and that are connected.
    pub links_own: u64,
    /// Links that are being connected.
    pub links_connecting: u64,
    /// Links that other nodes opened.
    pub links_peer: u64,
    /// Bytes that wait to be sent.
    pub output_bytes: u64,
    /// Totals.
    pub traffic: &'a BusTraffic,
}

/// The text of INFO, or of one of its sections; empty for a section that does not exist.
///
/// `default` and no name mean all sections but commandstats, `all` and `everything` mean all.
pub fn render(source: &InfoSource<'_>, section: Option<&[u8]>) -> String {
    let wanted = section.unwrap_or(b"default").to_ascii_lowercase();
    let mut page = Page::default();
    for (name, in_default, write) in SECTIONS {
        let all = match wanted.as_slice() {
            b"default" => in_default,
            b"all" | b"everything" => true,
            _ => false,
        };
        if all || wanted == name.as_bytes() {
            write(source, &mut page);
        }
    }
    page.text
}

type WriteSection = fn(&InfoSource<'_>, &mut Page);

/// Name, whether it belongs to `default`, and what writes it.
const SECTIONS: [(&str, bool, WriteSection); 10] = [
    ("server", true, server),
    ("clients", true, clients),
    ("memory", true, memory),
    ("jobs", true, jobs),
    ("queues", true, queues),
    ("persistence", true, persistence),
    ("stats", true, stats),
    ("cpu", true, cpu),
    ("cluster", true, cluster),
    ("commandstats", false, command_stats),
];

fn server(source: &InfoSource<'_>, page: &mut Page) {
    let server = &source.server;
    let uptime = source.now.since(server.started).0 / 1000;
    page.section("Server");
    page.field("disque_version", env!("CARGO_PKG_VERSION"));
    page.field("disque_git_sha1", server.git_sha1.unwrap_or("00000000"));
    page.flag("disque_git_dirty", server.git_dirty);
    page.field("disque_build_id", format_args!("{:x}", server.build_id));
    page.field("os", server.os);
    page.field("arch_bits", usize::BITS);
    page.field("multiplexing_api", server.multiplexing_api);
    // No part of the server is compiled by gcc; the field stays for those who look for it.
    page.field("gcc_version", "none");
    page.field("process_id", server.process_id);
    page.field("run_id", server.run_id);
    page.field("tcp_port", server.tcp_port);
    page.field("uptime_in_seconds", uptime);
    page.field("uptime_in_days", uptime / 86_400);
    page.field("hz", server.hz);
    page.field("executable", server.executable);
    page.field("config_file", server.config_file);
    // Redis clients and dashboards choose by these two what they may ask for (redis-clients.md 6.2).
    page.field("redis_version", "7.2.0");
    page.field("redis_mode", "standalone");
    page.field("disque_compatible_version", "1.0-rc1");
}

fn clients(source: &InfoSource<'_>, page: &mut Page) {
    let clients = &source.clients;
    page.section("Clients");
    page.field("connected_clients", clients.connected);
    page.field("client_longest_output_list", clients.longest_output_list);
    page.field("client_biggest_input_buf", clients.biggest_input_buf);
    page.field("blocked_clients", clients.blocked);
    page.field("maxclients", clients.maxclients);
}

fn memory(source: &InfoSource<'_>, page: &mut Page) {
    let memory = &source.memory;
    page.section("Memory");
    page.field("used_memory", memory.used);
    page.field("used_memory_human", human(memory.used));
    page.field("used_memory_rss", memory.rss);
    page.field("used_memory_peak", memory.peak);
    page.field("used_memory_peak_human", human(memory.peak));
    page.field("mem_fragmentation_ratio", format_args!("{:.2}", ratio(memory.rss, memory.used)));
    page.field("mem_allocator", memory.allocator);
    page.field("maxmemory", memory.maxmemory);
    page.field("maxmemory_human", human(memory.maxmemory));
    page.field("maxmemory_policy", memory.maxmemory_policy);
}

fn jobs(source: &InfoSource<'_>, page: &mut Page) {
    page.section("Jobs");
    page.field("registered_jobs", source.registered_jobs);
    if let Some(jobs) = source.jobs {
        page.field("jobs_wait_repl", jobs.wait_repl);
        page.field("jobs_active", jobs.active);
        page.field("jobs_queued", jobs.queued);
        page.field("jobs_acked", jobs.acked);
    }
}

fn queues(source: &InfoSource<'_>, page: &mut Page) {
    page.section("Queues");
    page.field("registered_queues", source.registered_queues);
}

fn persistence(source: &InfoSource<'_>, page: &mut Page) {
    let aof = &source.aof;
    // While it is being loaded, nothing is appended.
    let state = if source.loading.is_some() { AofState::Off } else { aof.state };
    page.section("Persistence");
    page.flag("loading", source.loading.is_some());
    page.flag("aof_enabled", state != AofState::Off);
    page.field("aof_state", state.name());
    page.flag("aof_rewrite_in_progress", aof.rewrite_in_progress);
    page.flag("aof_rewrite_scheduled", aof.rewrite_scheduled);
    page.secs("aof_last_rewrite_time_sec", aof.last_rewrite_secs);
    page.secs("aof_current_rewrite_time_sec", aof.current_rewrite_secs);
    page.status("aof_last_bgrewrite_status", aof.last_rewrite_failed);
    page.status("aof_last_write_status", aof.last_write_failed);
    if state != AofState::Off {
        let details = &aof.details;
        page.field("aof_current_size", details.current_size);
        page.field("aof_base_size", details.base_size);
        page.flag("aof_pending_rewrite", details.pending_rewrite);
        page.field("aof_buffer_length", details.buffer_length);
        page.field("aof_rewrite_buffer_length", details.rewrite_buffer_length);
        page.field("aof_pending_bio_fsync", details.pending_fsync);
        page.field("aof_delayed_fsync", details.delayed_fsync);
        page.field("aof_load_damages", details.load_damages);
        page.field("aof_load_cut_bytes", details.load_cut_bytes);
    }
    if let Some(loading) = source.loading {
        page.field("loading_start_time", loading.started.secs());
        page.field("loading_total_bytes", loading.total_bytes);
        page.field("loading_loaded_bytes", loading.loaded_bytes);
        let loaded = ratio(loading.loaded_bytes, loading.total_bytes) * 100.0;
        page.field("loading_loaded_perc", format_args!("{loaded:.2}"));
        page.field("loading_eta_seconds", loading.eta_secs(source.now));
    }
}

fn stats(source: &InfoSource<'_>, page: &mut Page) {
    let (traffic, turns) = (source.traffic, source.loop_turns);
    page.section("Stats");
    page.field("total_connections_received", traffic.connections());
    page.field("total_commands_processed", traffic.commands());
    page.field("instantaneous_ops_per_sec", traffic.commands_per_sec());
    page.field("total_net_input_bytes", traffic.input());
    page.field("total_net_output_bytes", traffic.output());
    page.field("instantaneous_input_kbps", format_args!("{:.2}", traffic.input_kib_per_sec()));
    page.field("instantaneous_output_kbps", format_args!("{:.2}", traffic.output_kib_per_sec()));
    page.field("rejected_connections", traffic.rejected());
    // The AOF is rewritten without fork.
    page.field("latest_fork_usec", 0);
    page.field("loop_turns", turns.total());
    page.field("loop_turn_p50_usec", turns.quantile(500));
    page.field("loop_turn_p99_usec", turns.quantile(990));
    page.field("loop_turn_max_usec", turns.max());
}

fn cpu(source: &InfoSource<'_>, page: &mut Page) {
    let secs = |micros: u64| format!("{:.2}", micros as f64 / 1e6);
    page.section("CPU");
    page.field("used_cpu_sys", secs(source.cpu.sys_micros));
    page.field("used_cpu_user", secs(source.cpu.user_micros));
    page.field("used_cpu_sys_children", secs(0));
    page.field("used_cpu_user_children", secs(0));
}

fn cluster(source: &InfoSource<'_>, page: &mut Page) {
    let (cluster, bus) = (&source.cluster, &source.bus);
    page.section("Cluster");
    page.field("cluster_bus_port", cluster.bus_port);
    page.field("cluster_known_nodes", cluster.known_nodes);
    page.field("cluster_reachable_nodes", cluster.reachable_nodes);
    page.field("cluster_size", cluster.size);
    page.field("cluster_links_own", bus.links_own);
    page.field("cluster_links_connecting", bus.links_connecting);
    page.field("cluster_links_peer", bus.links_peer);
    page.field("cluster_links_output_bytes", bus.output_bytes);
    bus.traffic.fields().for_each(|(name, total)| page.field(&name, total));
}

fn command_stats(source: &InfoSource<'_>, page: &mut Page) {
    page.section("Commandstats");
    source.commands.iter().for_each(|command| page.line(format_args!("{command}")));
}

impl AofState {
    fn name(self) -> &'static str {
        match self {
            AofState::Off => "off",
            AofState::On => "on",
            AofState::WaitRewrite => "wait-rewrite",
        }
    }
}

impl Loading {
    /// Seconds until the rest is loaded, at the speed so far; 1 until there is a speed.
    fn eta_secs(&self, now: UnixMillis) -> u64 {
        let elapsed = now.since(self.started).0 / 1000;
        if elapsed == 0 || self.loaded_bytes == 0 {
            return 1;
        }
        let rest = u128::from(self.total_bytes.saturating_sub(self.loaded_bytes));
        u64::try_from(u128::from(elapsed) * rest / u128::from(self.loaded_bytes)).unwrap_or(u64::MAX)
    }
}

/// The text so far.
#[derive(Default)]
struct Page {
    text: String,
}

impl Page {
    fn section(&mut self, title: &str) {
        if !self.text.is_empty() {
            self.text.push_str("\r\n");
        }
        self.text.extend(["# ", title, "\r\n"]);
    }

    fn field(&mut self, name: &str, value: impl Display) {
        self.line(format_args!("{name}:{value}"));
    }

    fn flag(&mut self, name: &str, value: bool) {
        self.field(name, u8::from(value));
    }

    fn status(&mut self, name: &str, failed: bool) {
        self.field(name, if failed { "err" } else { "ok" });
    }

    fn secs(&mut self, name: &str, secs: Option<u64>) {
        match secs {
            Some(secs) => self.field(name, secs),
            None => self.field(name, -1),
        }
    }

    /// Adds a line. Paths may hold anything: what would end the line or begin a section becomes `?`.
    fn line(&mut self, line: impl Display) {
        let start = self.text.len();
        write!(self.text, "{line}").expect("a String takes everything");
        let unfit = |c: char| c == '#' || c.is_control();
        if self.text[start..].contains(unfit) {
            let fit = self.text[start..].replace(unfit, "?");
            self.text.truncate(start);
            self.text.push_str(&fit);
        }
        self.text.push_str("\r\n");
    }
}

/// Bytes for people: `512B`, `809.60K`, `1.00G`.
fn human(bytes: u64) -> String {
    if bytes < 1024 {
        return format!("{bytes}B");
    }
    let step = (bytes.ilog2() / 10).min(5);
    let unit = ["K", "M", "G", "T", "P"][step as usize - 1];
    format!("{:.2}{unit}", bytes as f64 / (1u64 << (10 * step)) as f64)
}

/// `part / whole`, 0 of nothing.
fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

#[cfg(test)]
#[path = "info_tests.rs"]
mod tests;
