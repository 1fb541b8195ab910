//! Golden texts of INFO.

use super::*;
use crate::admin::bus_traffic::{Cut, Dropped};
use crate::admin::info_fields;

const NOW: UnixMillis = UnixMillis(1_795_314_519_500);
const RUN_ID: &str = "0123456789abcdef0123456789abcdef01234567";

fn info(edit: impl FnOnce(&mut InfoSource<'_>), section: Option<&str>) -> String {
    let mut traffic = Traffic::new(UnixMillis(NOW.0 - 1000));
    traffic.count_connection();
    traffic.count_rejected();
    traffic.count_input(4096);
    traffic.count_output(8192);
    (0..32).for_each(|_| traffic.count_command());
    traffic.turn(NOW);
    let mut bus = BusTraffic::default();
    bus.count_input(6);
    bus.count_output(7);
    bus.count_dropped(Dropped::Job);
    bus.count_cut(Cut::TooMany);
    let mut loop_turns = Histogram::new();
    [3, 4, 90].into_iter().for_each(|micros| loop_turns.record(micros));
    let mut source = InfoSource {
        now: NOW,
        server: ServerFacts {
            git_sha1: None,
            git_dirty: false,
            build_id: 0xab,
            os: "Linux 6.1.0 x86_64",
            multiplexing_api: "epoll",
            process_id: 42,
            run_id: RUN_ID,
            tcp_port: 7711,
            started: UnixMillis(NOW.0 - 86_401_999),
            hz: 10,
            executable: "/usr/bin/disque-server",
            config_file: "",
        },
        clients: ClientFacts {
            connected: 2,
            longest_output_list: 1,
            biggest_input_buf: 7,
            blocked: 1,
            maxclients: 10_000,
        },
        memory: MemoryFacts {
            used: 829_030,
            rss: 1_658_060,
            peak: 2_097_152,
            allocator: "libc",
            maxmemory: 1 << 30,
            maxmemory_policy: "acks",
        },
        registered_jobs: 10,
        jobs: None,
        registered_queues: 3,
        loading: None,
        aof: AofFacts::default(),
        traffic: &traffic,
        loop_turns: &loop_turns,
        cpu: CpuFacts { sys_micros: 1_234_567, user_micros: 20_000 },
        cluster: ClusterFacts { bus_port: 17711, known_nodes: 3, reachable_nodes: 2, size: 3 },
        bus: BusFacts { links_own: 2, links_connecting: 1, links_peer: 4, output_bytes: 5, traffic: &bus },
        commands: vec![CommandUse { name: "ping", calls: 2, nanos: 3_000 }],
    };
    edit(&mut source);
    render(&source, section.map(str::as_bytes))
}

fn lines(lines: &[&str]) -> String {
    lines.iter().flat_map(|line| [line, "\r\n"]).collect()
}

#[test]
fn the_default_text_has_every_field_in_its_place() {
    let version = concat!("disque_version:", env!("CARGO_PKG_VERSION"));
    let bits = format!("arch_bits:{}", usize::BITS);
    let run_id = format!("run_id:{RUN_ID}");
    #[rustfmt::skip]
    let expected = lines(&[
        "# Server", version, "disque_git_sha1:00000000", "disque_git_dirty:0", "disque_build_id:ab",
        "os:Linux 6.1.0 x86_64", &bits, "multiplexing_api:epoll", "gcc_version:none", "process_id:42",
        &run_id, "tcp_port:7711", "uptime_in_seconds:86401", "uptime_in_days:1", "hz:10",
        "executable:/usr/bin/disque-server", "config_file:", "redis_version:7.2.0", "redis_mode:standalone",
        "disque_compatible_version:1.0-rc1", "",
        "# Clients", "connected_clients:2", "client_longest_output_list:1", "client_biggest_input_buf:7",
        "blocked_clients:1", "maxclients:10000", "",
        "# Memory", "used_memory:829030", "used_memory_human:809.60K", "used_memory_rss:1658060",
        "used_memory_peak:2097152", "used_memory_peak_human:2.00M", "mem_fragmentation_ratio:2.00",
        "mem_allocator:libc", "maxmemory:1073741824", "maxmemory_human:1.00G", "maxmemory_policy:acks", "",
        "# Jobs", "registered_jobs:10", "",
        "# Queues", "registered_queues:3", "",
        "# Persistence", "loading:0", "aof_enabled:0", "aof_state:off", "aof_rewrite_in_progress:0",
        "aof_rewrite_scheduled:0", "aof_last_rewrite_time_sec:-1", "aof_current_rewrite_time_sec:-1",
        "aof_last_bgrewrite_status:ok", "aof_last_write_status:ok", "",
        "# Stats", "total_connections_received:1", "total_commands_processed:32",
        "instantaneous_ops_per_sec:20", "total_net_input_bytes:4096", "total_net_output_bytes:8192",
        "instantaneous_input_kbps:2.50", "instantaneous_output_kbps:5.00", "rejected_connections:1",
        "latest_fork_usec:0", "loop_turns:3", "loop_turn_p50_usec:4", "loop_turn_p99_usec:90",
        "loop_turn_max_usec:90", "",
        "# CPU", "used_cpu_sys:1.23", "used_cpu_user:0.02", "used_cpu_sys_children:0.00",
        "used_cpu_user_children:0.00", "",
        "# Cluster", "cluster_bus_port:17711", "cluster_known_nodes:3", "cluster_reachable_nodes:2",
        "cluster_size:3", "cluster_links_own:2", "cluster_links_connecting:1", "cluster_links_peer:4",
        "cluster_links_output_bytes:5", "cluster_stats_bytes_sent:7", "cluster_stats_bytes_received:6",
        "cluster_stats_frames_sent:0", "cluster_stats_frames_received:0", "cluster_stats_messages_sent:0",
        "cluster_stats_messages_received:0", "cluster_frames_dropped_version:0",
        "cluster_frames_dropped_unknown_type:0", "cluster_frames_dropped_length:0",
        "cluster_frames_dropped_identity:0", "cluster_frames_dropped_job:1",
        "cluster_frames_dropped_checksum:0", "cluster_frames_dropped_batch:0", "cluster_links_cut_garbage:0",
        "cluster_links_cut_stalled:0", "cluster_links_cut_overflow:0", "cluster_links_cut_too_many:1",
    ]);
    assert_eq!(info(|_| {}, None), expected);
    assert_eq!(info(|_| {}, Some("Default")), expected);
}

#[test]
fn all_adds_the_commands_and_a_name_gives_one_section() {
    let stats = lines(&["# Commandstats", "cmdstat_ping:calls=2,usec=3,usec_per_call=1.50"]);
    assert_eq!(info(|_| {}, Some("commandstats")), stats);
    let all = info(|_| {}, Some("ALL"));
    assert_eq!(all, format!("{}\r\n{stats}", info(|_| {}, None)));
    assert_eq!(info(|_| {}, Some("everything")), all);
    assert_eq!(info(|_| {}, Some("JOBS")), "# Jobs\r\nregistered_jobs:10\r\n");
    assert_eq!(info(|_| {}, Some("replication")), "");
    assert_eq!(info(|_| {}, Some("")), "");
}

#[test]
fn an_aof_in_use_is_told_about() {
    let text = info(
        |source| {
            source.aof = AofFacts {
                state: AofState::WaitRewrite,
                rewrite_in_progress: true,
                rewrite_scheduled: true,
                last_rewrite_secs: Some(0),
                current_rewrite_secs: Some(4),
                last_rewrite_failed: true,
                last_write_failed: true,
                details: AofDetails {
                    current_size: 1,
                    base_size: 2,
                    pending_rewrite: true,
                    buffer_length: 3,
                    rewrite_buffer_length: 4,
                    pending_fsync: 5,
                    delayed_fsync: 6,
                    load_damages: 7,
                    load_cut_bytes: 8,
                },
            };
        },
        Some("persistence"),
    );
    #[rustfmt::skip]
    let expected = lines(&[
        "# Persistence", "loading:0", "aof_enabled:1", "aof_state:wait-rewrite", "aof_rewrite_in_progress:1",
        "aof_rewrite_scheduled:1", "aof_last_rewrite_time_sec:0", "aof_current_rewrite_time_sec:4",
        "aof_last_bgrewrite_status:err", "aof_last_write_status:err", "aof_current_size:1", "aof_base_size:2",
        "aof_pending_rewrite:1", "aof_buffer_length:3", "aof_rewrite_buffer_length:4",
        "aof_pending_bio_fsync:5", "aof_delayed_fsync:6", "aof_load_damages:7", "aof_load_cut_bytes:8",
    ]);
    assert_eq!(text, expected);
}

#[test]
fn loading_is_told_about_and_the_aof_counts_as_off_meanwhile() {
    let text = info(
        |source| {
            source.aof.state = AofState::On;
            let started = UnixMillis(NOW.0 - 10_000);
            source.loading = Some(Loading { started, total_bytes: 300, loaded_bytes: 100 });
        },
        Some("persistence"),
    );
    #[rustfmt::skip]
    let expected = lines(&[
        "# Persistence", "loading:1", "aof_enabled:0", "aof_state:off", "aof_rewrite_in_progress:0",
        "aof_rewrite_scheduled:0", "aof_last_rewrite_time_sec:-1", "aof_current_rewrite_time_sec:-1",
        "aof_last_bgrewrite_status:ok", "aof_last_write_status:ok", "loading_start_time:1795314509",
        "loading_total_bytes:300", "loading_loaded_bytes:100", "loading_loaded_perc:33.33",
        "loading_eta_seconds:20",
    ]);
    assert_eq!(text, expected);
}

#[test]
fn loading_takes_one_more_second_until_it_has_a_speed() {
    let eta = |elapsed, loaded_bytes| {
        let started = UnixMillis(NOW.0 - elapsed);
        Loading { started, total_bytes: 100, loaded_bytes }.eta_secs(NOW)
    };
    assert_eq!([eta(999, 50), eta(5000, 0), eta(1000, 50), eta(1000, 100)], [1, 1, 1, 0]);
}

#[test]
fn counted_jobs_stand_at_the_end_of_their_section() {
    let counts = JobCounts { wait_repl: 1, active: 2, queued: 3, acked: 4 };
    let text = info(|source| source.jobs = Some(counts), Some("jobs"));
    let expected = ["# Jobs", "registered_jobs:10", "jobs_wait_repl:1", "jobs_active:2", "jobs_queued:3"];
    assert_eq!(text, lines(&[&expected[..], &["jobs_acked:4"]].concat()));
}

#[test]
fn no_value_holds_a_number_sign_or_a_line_end() {
    let text = info(|source| source.server.config_file = "/etc/#1\r\nx.conf", Some("server"));
    assert!(text.contains("config_file:/etc/?1??x.conf\r\n"), "{text}");
    assert_eq!(text.matches('#').count(), 1);
}

#[test]
fn bytes_for_people_have_two_decimals_from_a_kilobyte_on() {
    let human = [0, 1023, 1024, 809 * 1024 + 614, 1 << 20, 1 << 30, 1 << 40, 1 << 50, u64::MAX].map(human);
    assert_eq!(human, ["0B", "1023B", "1.00K", "809.60K", "1.00M", "1.00G", "1.00T", "1.00P", "16384.00P"]);
}

/// The names of the fields of each section, in their order.
fn fields_of(text: &str) -> Vec<(String, Vec<String>)> {
    let mut sections: Vec<(String, Vec<String>)> = Vec::new();
    for line in text.lines().filter(|line| !line.is_empty()) {
        match line.strip_prefix("# ") {
            Some(title) => sections.push((title.to_ascii_lowercase(), Vec::new())),
            None => {
                let (name, _) = line.split_once(':').expect("a field has a value");
                sections.last_mut().expect("a field belongs to a section").1.push(name.to_owned());
            }
        }
    }
    sections
}

#[test]
fn the_table_of_the_manual_explains_exactly_what_is_printed_in_its_order() {
    let full = fields_of(&info(
        |source| {
            source.jobs = Some(JobCounts::default());
            source.aof.state = AofState::On;
        },
        None,
    ));
    let loading = fields_of(&info(
        |source| source.loading = Some(Loading { started: NOW, total_bytes: 1, loaded_bytes: 0 }),
        None,
    ));
    assert_eq!(full.len(), info_fields::SECTIONS.len());
    for ((section, (name, fields)), (_, while_loading)) in
        info_fields::SECTIONS.iter().zip(&full).zip(&loading)
    {
        let only_then = while_loading.iter().filter(|field| !fields.contains(field));
        let printed: Vec<&str> = fields.iter().chain(only_then).map(String::as_str).collect();
        let explained: Vec<&str> = section.fields.iter().map(|(field, _)| *field).collect();
        assert_eq!((section.name, explained), (name.as_str(), printed));
    }
}
