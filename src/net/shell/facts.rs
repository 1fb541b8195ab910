//! INFO: collects what the other rooms know.

use crate::admin::{
    self, ClientFacts, ClusterFacts, CpuFacts, InfoSource, JobCounts, MemoryFacts, ServerFacts,
};
use crate::command::{COMMANDS, CommandError};
use crate::engine::EvictionPolicy;
use crate::net::process;
use crate::net::server::Server;
use crate::resp::Value;
use crate::types::Args;

/// What INFO calls the allocator: the platform's, which the standard library uses.
const ALLOCATOR: &str = "libc";

impl Server {
    pub(super) fn info(&mut self, slot: u32, args: &Args<'_>) {
        if args.len() > 2 {
            return self.refuse(slot, &CommandError::Syntax.text());
        }
        self.operator.traffic.turn(self.now);
        let used = self.engine.memory_use().total();
        self.operator.used_memory_peak = self.operator.used_memory_peak.max(used);
        let os = process::os_name();
        let executable = std::env::current_exe().map(|path| path.display().to_string()).unwrap_or_default();
        let config_file = self.operator.config_path.as_ref().map(|path| path.display().to_string());
        let source = InfoSource {
            server: self.server_facts(&os, &executable, config_file.as_deref().unwrap_or_default()),
            memory: self.memory_facts(used),
            ..self.counts()
        };
        let text = admin::render(&source, args.get(1));
        self.reply(slot, Value::bulk(text));
    }

    fn server_facts<'a>(&'a self, os: &'a str, executable: &'a str, config_file: &'a str) -> ServerFacts<'a> {
        ServerFacts {
            os,
            multiplexing_api: "epoll",
            process_id: std::process::id(),
            run_id: &self.operator.run_id,
            tcp_port: self.config.port,
            started: self.operator.started,
            hz: u32::from(self.config.hz.0),
            executable,
            config_file,
            ..ServerFacts::default()
        }
    }

    fn memory_facts(&self, used: u64) -> MemoryFacts<'_> {
        MemoryFacts {
            used,
            rss: process::resident_bytes(),
            peak: self.operator.used_memory_peak,
            allocator: ALLOCATOR,
            maxmemory: self.config.maxmemory.0,
            maxmemory_policy: match self.config.maxmemory_policy {
                EvictionPolicy::Acks => "acks",
                EvictionPolicy::NoEviction => "noeviction",
            },
        }
    }

    /// Everything that is a number or a reference to the operator's books.
    pub(in crate::net) fn counts(&self) -> InfoSource<'_> {
        let (sys_micros, user_micros) = process::cpu_micros();
        let names: Vec<&str> = COMMANDS.iter().map(|spec| spec.name).collect();
        let counts = self.engine.job_counts();
        InfoSource {
            now: self.now,
            server: ServerFacts::default(),
            clients: self.client_facts(),
            memory: MemoryFacts::default(),
            registered_jobs: self.engine.job_count() as u64,
            jobs: Some(JobCounts {
                wait_repl: counts[0],
                active: counts[1],
                queued: counts[2],
                acked: counts[3],
            }),
            registered_queues: self.engine.queue_count() as u64,
            loading: self.aof.load.as_ref().map(|load| load.facts()),
            aof: self.aof.facts(self.now),
            traffic: &self.operator.traffic,
            loop_turns: &self.operator.turns,
            cpu: CpuFacts { sys_micros, user_micros },
            cluster: self.cluster_facts(),
            bus: self.bus.facts(),
            commands: self.operator.stats.used(&names),
        }
    }

    fn cluster_facts(&self) -> ClusterFacts {
        let info = self.engine.cluster_info();
        ClusterFacts {
            bus_port: self.config.bus_port().unwrap_or(0),
            known_nodes: info.known_nodes,
            reachable_nodes: info.reachable_nodes,
            size: info.size,
        }
    }

    fn client_facts(&self) -> ClientFacts {
        let clients = || self.clients.iter().map(|(_, client)| client);
        ClientFacts {
            connected: self.clients.len() as u64,
            longest_output_list: clients().map(|client| client.output.blocks() as u64).max().unwrap_or(0),
            biggest_input_buf: clients().map(|client| client.input.capacity() as u64).max().unwrap_or(0),
            blocked: self.engine.blocked_count() as u64,
            maxclients: u64::from(self.config.maxclients),
        }
    }
}
