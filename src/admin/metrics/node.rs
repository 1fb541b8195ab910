//! What is told about the node as a whole.

use super::text::Samples;
use super::{Metric, MetricKind, MetricsSource, family};
use crate::admin::info::AofState;

pub(super) struct Family {
    pub(super) metric: Metric,
    pub(super) samples: fn(&MetricsSource<'_>, &mut Samples<'_>),
}

/// Bounds of the histogram of turns: powers of two from 32 µs to a second.
const TURN_BOUND_BITS: std::ops::RangeInclusive<u32> = 5..=20;

pub(super) const FAMILIES: [Family; 47] = [
    family!(Gauge "disque_build_info" ["version"]
        "Always 1; the label tells the version of the server.",
        |_, out| out.labelled(&[("version", env!("CARGO_PKG_VERSION"))], 1)),
    family!(Gauge "disque_loading" [""]
        "Whether the append-only file is being loaded, so that commands are refused.",
        |source, out| out.flag(source.info.loading.is_some())),
    family!(Gauge "disque_loading_bytes" [""]
        "Size of the append-only file that is being loaded; 0 if none is.",
        |source, out| out.int(source.info.loading.map_or(0, |loading| loading.total_bytes))),
    family!(Gauge "disque_loading_loaded_bytes" [""]
        "How much of it is loaded.",
        |source, out| out.int(source.info.loading.map_or(0, |loading| loading.loaded_bytes))),
    family!(Gauge "disque_leaving" [""]
        "Whether the node is leaving its cluster (CLUSTER LEAVING).",
        |source, out| out.flag(source.leaving)),
    family!(Gauge "disque_clients_connected" [""]
        "Connected clients.",
        |source, out| out.int(source.info.clients.connected)),
    family!(Gauge "disque_clients_blocked" [""]
        "Clients that wait for a job, or for the copies of theirs.",
        |source, out| out.int(source.info.clients.blocked)),
    family!(Gauge "disque_clients_max" [""]
        "How many clients may be connected (maxclients).",
        |source, out| out.int(source.info.clients.maxclients)),
    family!(Counter "disque_connections_total" [""]
        "Connections of clients that were accepted.",
        |source, out| out.int(source.info.traffic.connections())),
    family!(Counter "disque_connections_rejected_total" [""]
        "Connections that were refused because of maxclients.",
        |source, out| out.int(source.info.traffic.rejected())),
    family!(Counter "disque_commands_total" [""]
        "Commands of clients that ran.",
        |source, out| out.int(source.info.traffic.commands())),
    family!(Counter "disque_command_calls_total" ["command"]
    "Calls by command; those that were never called are missing.",
    |source, out| {
        source.info.commands.iter().for_each(|used| out.labelled(&[("command", used.name)], used.calls));
    }),
    family!(Counter "disque_command_seconds_total" ["command"]
    "Time that the calls took, without waiting; of short commands one in sixteen is measured.",
    |source, out| {
        let seconds = |nanos: u64| nanos as f64 / 1e9;
        source.info.commands.iter().for_each(|used| {
            out.labelled(&[("command", used.name)], seconds(used.nanos));
        });
    }),
    family!(Counter "disque_net_input_bytes_total" [""]
        "Bytes that clients sent.",
        |source, out| out.int(source.info.traffic.input())),
    family!(Counter "disque_net_output_bytes_total" [""]
        "Bytes that were sent to clients.",
        |source, out| out.int(source.info.traffic.output())),
    family!(Gauge "disque_memory_used_bytes" [""]
        "Memory in use, the number that maxmemory limits.",
        |source, out| out.int(source.info.memory.used)),
    family!(Gauge "disque_memory_used_peak_bytes" [""]
        "The most that was in use.",
        |source, out| out.int(source.info.memory.peak)),
    family!(Gauge "disque_memory_max_bytes" [""]
        "The limit (maxmemory); 0 means none. Above 75 % of it other nodes are asked to keep new jobs, above 95 % they \
         are refused.",
        |source, out| out.int(source.info.memory.maxmemory)),
    family!(Gauge "disque_jobs" ["state"]
        "Jobs that this node knows, by state: wait-repl, active (delivered, delayed, or queued elsewhere), queued, \
         acked.",
        jobs),
    family!(Gauge "disque_queues" [""]
        "Queues in memory, empty ones included.",
        |source, out| out.int(source.info.registered_queues)),
    family!(Gauge "disque_aof_enabled" [""]
        "Whether the append-only file is written.",
        |source, out| out.flag(source.info.aof.state != AofState::Off)),
    family!(Gauge "disque_aof_write_failing" [""]
        "Whether it cannot be written, so that new jobs are refused.",
        |source, out| out.flag(source.info.aof.last_write_failed)),
    family!(Gauge "disque_aof_rewrite_failed" [""]
        "Whether the last rewrite failed.",
        |source, out| out.flag(source.info.aof.last_rewrite_failed)),
    family!(Gauge "disque_aof_rewrite_in_progress" [""]
        "Whether it is being rewritten.",
        |source, out| out.flag(source.info.aof.rewrite_in_progress)),
    family!(Gauge "disque_aof_rewrite_last_duration_seconds" [""]
        "How long the last rewrite took; 0 if there was none.",
        |source, out| out.int(source.info.aof.last_rewrite_secs.unwrap_or(0))),
    family!(Gauge "disque_aof_size_bytes" [""]
        "Size of the append-only file.",
        |source, out| out.int(source.info.aof.details.current_size)),
    family!(Gauge "disque_aof_base_size_bytes" [""]
        "Its size after the last rewrite, or at the start.",
        |source, out| out.int(source.info.aof.details.base_size)),
    family!(Gauge "disque_aof_buffer_bytes" [""]
        "Bytes that wait to be written to it.",
        |source, out| out.int(source.info.aof.details.buffer_length)),
    family!(Counter "disque_aof_fsync_delayed_total" [""]
        "Writes that had to wait for the disk to finish a sync.",
        |source, out| out.int(source.info.aof.details.delayed_fsync)),
    family!(Histogram "disque_loop_turn_seconds" [""]
        "How long the turns of the event loop took, without sleeping.",
        turns),
    family!(Gauge "disque_loop_turn_max_seconds" [""]
        "The longest turn.",
        |source, out| out.float(source.info.loop_turns.max() as f64 / 1e6)),
    family!(Gauge "disque_cluster_nodes" ["state"]
    "Nodes as this one sees them, itself included: good, suspected (no answer), failing (by majority), handshake.",
    |source, out| {
        let nodes = &source.nodes;
        let states = [
            ("good", nodes.good),
            ("suspected", nodes.suspected),
            ("failing", nodes.failing),
            ("handshake", nodes.handshakes),
        ];
        states.iter().for_each(|(state, count)| out.labelled(&[("state", state)], count));
    }),
    family!(Gauge "disque_cluster_nodes_leaving" [""]
        "Nodes that are leaving, this one included.",
        |source, out| out.int(source.nodes.leaving)),
    family!(Gauge "disque_cluster_reachable_nodes" [""]
        "Other nodes that could take a copy of a job.",
        |source, out| out.int(source.info.cluster.reachable_nodes)),
    family!(Gauge "disque_cluster_size" [""]
        "Members of the cluster, this node and failing ones included.",
        |source, out| out.int(source.info.cluster.size)),
    family!(Gauge "disque_cluster_links" ["kind"]
    "Links to other nodes: own (opened by this node and up), connecting, peer (opened by others).",
    |source, out| {
        let bus = &source.info.bus;
        let kinds =
            [("own", bus.links_own), ("connecting", bus.links_connecting), ("peer", bus.links_peer)];
        kinds.iter().for_each(|(kind, count)| out.labelled(&[("kind", kind)], count));
    }),
    family!(Gauge "disque_cluster_link_output_bytes" [""]
        "Bytes that wait to be sent to other nodes.",
        |source, out| out.int(source.info.bus.output_bytes)),
    family!(Counter "disque_cluster_sent_bytes_total" [""]
        "Bytes that were sent to other nodes.",
        |source, out| bus_total(source, "cluster_stats_bytes_sent", out)),
    family!(Counter "disque_cluster_received_bytes_total" [""]
        "Bytes that came from other nodes.",
        |source, out| bus_total(source, "cluster_stats_bytes_received", out)),
    family!(Counter "disque_cluster_messages_sent_total" [""]
        "Messages that were sent to other nodes.",
        |source, out| bus_total(source, "cluster_stats_messages_sent", out)),
    family!(Counter "disque_cluster_messages_received_total" [""]
        "Messages that came from other nodes.",
        |source, out| bus_total(source, "cluster_stats_messages_received", out)),
    family!(Counter "disque_cluster_frames_dropped_total" ["reason"]
        "Frames of other nodes that could not be read, by reason.",
        |source, out| bus_totals(source, "cluster_frames_dropped_", out)),
    family!(Counter "disque_cluster_links_cut_total" ["reason"]
        "Links that this node ended, by reason.",
        |source, out| bus_totals(source, "cluster_links_cut_", out)),
    family!(Gauge "disque_uptime_seconds" [""]
        "How long the server runs.",
        |source, out| out.int(source.info.now.since(source.info.server.started).0 / 1000)),
    family!(Counter "disque_http_requests_total" ["code"]
    "Requests over HTTP that were answered, by status code.",
    |source, out| {
        for (code, count) in &source.http.requests {
            out.labelled(&[("code", &code.to_string())], count);
        }
    }),
    family!(Counter "disque_http_loop_seconds_total" [""]
        "Time that the event loop spent on requests over HTTP.",
        |source, out| out.float(source.http.loop_nanos as f64 / 1e9)),
    family!(Gauge "disque_http_loop_max_seconds" [""]
        "The longest that one piece of such work held the event loop up.",
        |source, out| out.float(source.http.longest_nanos as f64 / 1e9)),
];

fn jobs(source: &MetricsSource<'_>, out: &mut Samples<'_>) {
    let jobs = source.info.jobs.unwrap_or_default();
    let states = [
        ("wait-repl", jobs.wait_repl),
        ("active", jobs.active),
        ("queued", jobs.queued),
        ("acked", jobs.acked),
    ];
    states.iter().for_each(|(state, count)| out.labelled(&[("state", state)], count));
}

fn turns(source: &MetricsSource<'_>, out: &mut Samples<'_>) {
    let turns = source.info.loop_turns;
    for bits in TURN_BOUND_BITS {
        let bound = (1_u64 << bits) as f64 / 1e6;
        out.part("_bucket", &[("le", &bound.to_string())], turns.below(1 << bits));
    }
    out.part("_bucket", &[("le", "+Inf")], turns.total());
    out.part("_sum", &[], turns.sum() as f64 / 1e6);
    out.part("_count", &[], turns.total());
}

fn bus_total(source: &MetricsSource<'_>, field: &str, out: &mut Samples<'_>) {
    let total = source.info.bus.traffic.fields().find(|(name, _)| name == field);
    out.int(total.expect("the totals of the bus have this field").1);
}

/// The totals whose names begin with `prefix`, by what follows.
fn bus_totals(source: &MetricsSource<'_>, prefix: &str, out: &mut Samples<'_>) {
    for (name, total) in source.info.bus.traffic.fields() {
        if let Some(reason) = name.strip_prefix(prefix) {
            out.labelled(&[("reason", reason)], total);
        }
    }
}
