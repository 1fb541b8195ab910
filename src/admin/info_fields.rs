//! What the fields of INFO mean, for the manual. A test holds the table to what `info` prints.

use std::fmt::Write as _;

/// A section of INFO, and what its fields mean, in the order in which they are printed.
pub(super) struct Section {
    pub(super) name: &'static str,
    /// When it, or a part of it, is told; empty: always.
    when: &'static str,
    /// Name and meaning.
    pub(super) fields: &'static [(&'static str, &'static str)],
}

/// All sections but `commandstats`, whose fields are named after commands.
pub(super) const SECTIONS: [Section; 9] = [
    Section {
        name: "server",
        when: "",
        fields: &[
            ("disque_version", "the version of the server"),
            ("disque_git_sha1", "of RC1; always `00000000`"),
            ("disque_git_dirty", "of RC1; always 0"),
            ("disque_build_id", "of RC1; always 0"),
            ("os", "name, release and machine of the system"),
            ("arch_bits", "bits of an address"),
            ("multiplexing_api", "how the event loop waits: `epoll`"),
            ("gcc_version", "of RC1; always `none`"),
            ("process_id", "the process"),
            ("run_id", "40 digits, new at every start: tells a restart from a connection that was lost"),
            ("tcp_port", "the port for clients"),
            ("uptime_in_seconds", "how long the server has been running"),
            ("uptime_in_days", "the same in whole days"),
            ("hz", "the directive `hz`, which has no effect"),
            ("executable", "path of the program"),
            ("config_file", "path of the configuration file; empty if there is none"),
            (
                "redis_version",
                "what clients of Redis may take this server for; not a version of anything here",
            ),
            ("redis_mode", "for clients of Redis; always `standalone`"),
            ("disque_compatible_version", "the version of Disque whose commands and replies these are"),
        ],
    },
    Section {
        name: "clients",
        when: "",
        fields: &[
            ("connected_clients", "connections of clients; other nodes do not count"),
            ("client_longest_output_list", "most blocks of replies that wait for one client"),
            ("client_biggest_input_buf", "most bytes of unfinished requests of one client"),
            ("blocked_clients", "clients that wait for a job, or for the copies of theirs"),
            ("maxclients", "how many clients may be connected, as it is in force"),
        ],
    },
    Section {
        name: "memory",
        when: "",
        fields: &[
            ("used_memory", "bytes of jobs, queues and buffers: what `maxmemory` limits"),
            ("used_memory_human", "the same for people"),
            ("used_memory_rss", "bytes that the process has in the memory of the machine"),
            ("used_memory_peak", "the most that `used_memory` was seen to be"),
            ("used_memory_peak_human", "the same for people"),
            ("mem_fragmentation_ratio", "`used_memory_rss` by `used_memory`"),
            ("mem_allocator", "who manages the memory: `libc`"),
            ("maxmemory", "the directive `maxmemory` in bytes; 0 means no limit"),
            ("maxmemory_human", "the same for people"),
            ("maxmemory_policy", "what may be given up near the limit: `acks` or `noeviction`"),
        ],
    },
    Section {
        name: "jobs",
        when: "",
        fields: &[
            ("registered_jobs", "jobs that this node knows, in any state"),
            ("jobs_wait_repl", "of them, jobs that wait for their copies"),
            ("jobs_active", "delivered ones, delayed ones, and copies of jobs that another node has queued"),
            ("jobs_queued", "jobs in the queues of this node"),
            ("jobs_acked", "done, and kept until all nodes that may hold a copy know it"),
        ],
    },
    Section {
        name: "queues",
        when: "",
        fields: &[("registered_queues", "queues of this node, empty ones included")],
    },
    Section {
        name: "persistence",
        when: "`aof_current_size` and what follows is told while the append-only file is in use, `loading_start_time` \
               and what follows while it is being loaded.",
        fields: &[
            ("loading", "1 while the append-only file is being loaded and commands are refused"),
            ("aof_enabled", "1 while the append-only file is in use; 0 also during loading"),
            ("aof_state", "`off`, `on`, or `wait-rewrite` until its first version is complete"),
            ("aof_rewrite_in_progress", "1 while a short version is being written"),
            ("aof_rewrite_scheduled", "1 if one was asked for that is not finished"),
            ("aof_last_rewrite_time_sec", "seconds that the last one took; -1 if there was none"),
            ("aof_current_rewrite_time_sec", "seconds since the running one began; -1 if none runs"),
            ("aof_last_bgrewrite_status", "`err` if the last one failed, else `ok`"),
            (
                "aof_last_write_status",
                "`err` while the file cannot be written and new jobs are refused, else `ok`",
            ),
            ("aof_current_size", "bytes of the file"),
            ("aof_base_size", "bytes after the last rewrite or at the start; growth is measured from it"),
            ("aof_pending_rewrite", "the same as `aof_rewrite_scheduled`"),
            ("aof_buffer_length", "bytes that are not written yet"),
            ("aof_rewrite_buffer_length", "bytes of a running rewrite that are not written yet"),
            ("aof_pending_bio_fsync", "1 while a sync is under way"),
            ("aof_delayed_fsync", "writes that had to wait for a sync"),
            ("aof_load_damages", "damaged places that were skipped at the start"),
            ("aof_load_cut_bytes", "bytes that were cut off at the end of the file at the start"),
            ("loading_start_time", "when loading began, in Unix seconds"),
            ("loading_total_bytes", "bytes to load"),
            ("loading_loaded_bytes", "bytes that are loaded"),
            ("loading_loaded_perc", "the same in percent"),
            ("loading_eta_seconds", "seconds until the rest is loaded, at the speed so far"),
        ],
    },
    Section {
        name: "stats",
        when: "Totals count since the start or `CONFIG RESETSTAT`.",
        fields: &[
            ("total_connections_received", "connections that were accepted"),
            ("total_commands_processed", "commands that were executed"),
            ("instantaneous_ops_per_sec", "commands per second lately"),
            ("total_net_input_bytes", "bytes read from clients"),
            ("total_net_output_bytes", "bytes written to clients"),
            ("instantaneous_input_kbps", "KiB read per second lately"),
            ("instantaneous_output_kbps", "KiB written per second lately"),
            ("rejected_connections", "connections that were refused because of `maxclients`"),
            ("latest_fork_usec", "of RC1; always 0, since nothing is forked"),
            ("loop_turns", "turns of the event loop"),
            ("loop_turn_p50_usec", "microseconds that half of them did not exceed"),
            ("loop_turn_p99_usec", "microseconds that 99 of 100 did not exceed"),
            ("loop_turn_max_usec", "microseconds of the longest: so long every client waited once"),
        ],
    },
    Section {
        name: "cpu",
        when: "",
        fields: &[
            ("used_cpu_sys", "seconds of processor time in the system"),
            ("used_cpu_user", "seconds of processor time in the program"),
            ("used_cpu_sys_children", "of RC1; always 0.00, there are no child processes"),
            ("used_cpu_user_children", "of RC1; always 0.00"),
        ],
    },
    Section {
        name: "cluster",
        when: "From `cluster_stats_bytes_sent` on these are totals since the start or `CONFIG RESETSTAT`.",
        fields: &[
            ("cluster_bus_port", "the port for other nodes; 0 if there is none"),
            (
                "cluster_known_nodes",
                "nodes that this one knows, itself and those on their way to join included",
            ),
            ("cluster_reachable_nodes", "other nodes that could take a copy now"),
            ("cluster_size", "members, this node and failing ones included"),
            ("cluster_links_own", "links that this node opened and that are up"),
            ("cluster_links_connecting", "links that it is opening"),
            ("cluster_links_peer", "links that other nodes opened to it"),
            ("cluster_links_output_bytes", "bytes that wait to be sent to other nodes"),
            ("cluster_stats_bytes_sent", "bytes sent to other nodes"),
            ("cluster_stats_bytes_received", "bytes that came from them"),
            ("cluster_stats_frames_sent", "frames sent; one may bring many messages"),
            ("cluster_stats_frames_received", "frames that came, dropped ones included"),
            ("cluster_stats_messages_sent", "messages sent"),
            ("cluster_stats_messages_received", "messages that came and were read"),
            ("cluster_frames_dropped_version", "frames dropped for another version of the protocol"),
            ("cluster_frames_dropped_unknown_type", "frames dropped for a type that this node does not know"),
            ("cluster_frames_dropped_length", "frames dropped for a length that is not that of their type"),
            ("cluster_frames_dropped_identity", "frames dropped for an ID of a node or job that is none"),
            ("cluster_frames_dropped_job", "frames dropped for jobs that cannot be read"),
            ("cluster_frames_dropped_checksum", "frames dropped because they were damaged on their way"),
            ("cluster_frames_dropped_batch", "batches dropped from a message on that cannot be read"),
            ("cluster_links_cut_garbage", "links ended for bytes that are no frames"),
            (
                "cluster_links_cut_stalled",
                "links ended for a frame that did not go on, or took too much memory",
            ),
            ("cluster_links_cut_overflow", "links ended because `cluster-link-sendbuf-limit` was reached"),
            ("cluster_links_cut_too_many", "links ended because there were too many"),
        ],
    },
];

/// The fields of INFO, section by section, for the manual.
pub fn info_manual() -> String {
    let mut text = String::new();
    for Section { name, when, fields } in &SECTIONS {
        let gap = if text.is_empty() { "" } else { "\n" };
        let when = if when.is_empty() { String::new() } else { format!("{when}\n\n") };
        writeln!(text, "{gap}## INFO {name}\n\n{when}| Field | Meaning |\n| --- | --- |").expect(ENDLESS);
        for (field, meaning) in *fields {
            writeln!(text, "| `{field}` | {meaning} |").expect(ENDLESS);
        }
    }
    text
}

const ENDLESS: &str = "a String takes everything";
