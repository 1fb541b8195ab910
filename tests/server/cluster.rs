//! Several servers as one cluster: they meet, move, leave, are killed and come back, and hand each other jobs.

use std::path::Path;

use disque::resp::Value;

use crate::support::{Connection, Scratch, Server, request};
use crate::tools::{alone, bodies, error, freeze, info, info_number, launch, text, wait_until, words};

/// A server and the directory that outlives it.
struct Node {
    server: Server,
    dir: Scratch,
    id: String,
}

/// Settings that all nodes of these tests have: failures are found in a second or two.
const COMMON: &str = "--bind 127.0.0.1 --cluster-node-timeout 1000 --logfile log --loglevel verbose";

impl Node {
    fn start(more: &str) -> Node {
        let dir = Scratch::new();
        let server = run(dir.path(), more);
        let id = text(&server.connect().run("CLUSTER MYID"));
        Node { server, dir, id }
    }

    fn run(&self, words: &str) -> Value {
        self.connect().run(words)
    }

    fn connect(&self) -> Connection {
        self.server.connect()
    }

    fn port(&self) -> u16 {
        self.server.port
    }

    /// Ends the process without a warning.
    fn kill(&mut self) {
        self.server.child.kill().expect("the child is ours");
        self.server.child.wait().expect("the child is ours");
    }

    /// Starts it again, on another port.
    fn come_back(&mut self) {
        self.server = run(self.dir.path(), "");
        assert_eq!(text(&self.run("CLUSTER MYID")), self.id, "it is still the same node");
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    /// What this node tells of another: a line of CLUSTER NODES.
    fn line_about(&self, other: &Node) -> Option<String> {
        let all = text(&self.run("CLUSTER NODES"));
        all.lines().find(|line| line.starts_with(&other.id)).map(str::to_owned)
    }

    /// Whether this node can reach so many others, and knows no more.
    fn reaches(&self, others: usize) -> bool {
        let mut connection = self.connect();
        let mut number = |field: &str| info_number(&mut connection, field);
        number("cluster_reachable_nodes") == others as u64
            && number("cluster_known_nodes") == others as u64 + 1
    }
}

fn run(dir: &Path, more: &str) -> Server {
    launch(dir, |port| words(&format!("{COMMON} --port {port} {}", more.replace("PORT", port))))
}

fn wait_until_joined(nodes: &[Node]) {
    for node in nodes {
        wait_until("the nodes are one cluster", || node.reaches(nodes.len() - 1));
    }
}

/// Nodes that met each other through the first.
fn cluster(size: usize, more: &str) -> Vec<Node> {
    let nodes: Vec<Node> = (0..size).map(|_| Node::start(more)).collect();
    for other in &nodes[1..] {
        assert_eq!(nodes[0].run(&format!("CLUSTER MEET 127.0.0.1 {}", other.port())), Value::ok());
    }
    wait_until_joined(&nodes);
    nodes
}

fn wait_until_forgotten(nodes: &[Node]) {
    for node in nodes {
        let mut connection = node.connect();
        wait_until("nobody knows the job any more", || info(&mut connection, "registered_jobs") == "0");
    }
}

#[test]
fn nodes_that_meet_one_know_all_and_remember_them() {
    let nodes = cluster(3, "");
    for node in &nodes {
        for other in &nodes {
            let line = node.line_about(other).expect("each knows each");
            assert!(line.contains(&format!("127.0.0.1:{}", other.port())), "{line}");
        }
        let mut connection = node.connect();
        wait_until("each has a link to and from each", || {
            info(&mut connection, "cluster_links_own") == "2"
                && info(&mut connection, "cluster_links_peer") == "2"
        });
        let file = std::fs::read_to_string(node.dir.path().join("nodes.conf")).expect("it is there");
        for other in &nodes {
            assert!(file.contains(&other.id), "{file}");
        }
        assert_eq!(node.run("DEBUG AUDIT"), Value::ok());
        for field in ["version", "unknown_type", "length", "identity", "job", "checksum", "batch"] {
            assert_eq!(info(&mut connection, &format!("cluster_frames_dropped_{field}")), "0", "{field}");
        }
    }
}

/// A producer waits for one turn of the slowest holder: REPLJOB is read, kept and confirmed in the same one. The
/// turns that timers begin meanwhile are in what is counted here.
#[test]
fn a_copy_takes_a_holder_less_than_two_turns() {
    const JOBS: u64 = 1000;
    let nodes = cluster(3, "");
    let mut holders = [nodes[1].connect(), nodes[2].connect()];
    let mut turns = || holders.each_mut().map(|holder| info_number(holder, "loop_turns"));
    let mut producer = nodes[0].connect();
    let before = turns();
    for _ in 0..JOBS {
        assert!(matches!(producer.run("ADDJOB q x 5000 REPLICATE 3"), Value::Status(_)));
    }
    for (before, after) in before.into_iter().zip(turns()) {
        let per_job = (after - before) as f64 / JOBS as f64;
        println!("{per_job:.3} turns of a holder per job");
        assert!(per_job < 2.0, "{per_job} turns per job");
    }
}

#[test]
fn nodes_join_by_seeds_of_which_one_is_a_name_and_one_themselves() {
    let first = Node::start("--cluster-seeds 127.0.0.1:PORT");
    let seeds = format!("--cluster-seeds localhost:{} 127.0.0.1:PORT nowhere.invalid:7711", first.port());
    let nodes = [first, Node::start(&seeds), Node::start(&seeds)];
    wait_until_joined(&nodes);
    wait_until("what cannot be found is said", || {
        nodes[1].log().contains("cannot find a node of cluster-seeds")
            && nodes[1].log().contains("nowhere.invalid")
    });
}

#[test]
fn a_node_that_was_killed_is_found_again_at_another_port() {
    let mut nodes = cluster(3, "");
    let old_port = nodes[1].port();
    nodes[1].kill();
    wait_until("it is missed", || !nodes[0].reaches(2) && !nodes[2].reaches(2));
    nodes[1].come_back();
    assert_ne!(nodes[1].port(), old_port);
    wait_until_joined(&nodes);
    for node in &nodes {
        let line = node.line_about(&nodes[1]).expect("it is known");
        assert!(line.contains(&format!("127.0.0.1:{}", nodes[1].port())), "{line}");
    }
}

#[test]
fn a_node_that_leaves_is_named_last_and_one_that_was_forgotten_not_at_all() {
    let mut nodes = cluster(3, "");
    assert_eq!(nodes[2].run("CLUSTER LEAVING yes"), Value::ok());
    let priority = |of: &Node, about: &Node| -> Option<String> {
        let Value::Array(rows) = of.run("HELLO") else { panic!("HELLO is an array") };
        rows[2..].iter().find_map(|row| match row {
            Value::Array(fields) if text(&fields[0]) == about.id => Some(text(&fields[3])),
            _ => None,
        })
    };
    for node in &nodes[..2] {
        wait_until("the others know", || priority(node, &nodes[2]).as_deref() == Some("100"));
    }
    assert!(matches!(nodes[0].run("ADDJOB q x 500 REPLICATE 3"), Value::Error(_)), "nothing is given to it");
    assert!(matches!(nodes[0].run("ADDJOB q x 5000 REPLICATE 2"), Value::Status(_)));
    nodes[2].kill();
    for node in &nodes[..2] {
        assert_eq!(node.run(&format!("CLUSTER FORGET {}", nodes[2].id)), Value::ok());
    }
    for node in &nodes[..2] {
        wait_until("two are left", || node.reaches(1) && node.line_about(&nodes[2]).is_none());
    }
}

#[test]
fn a_job_is_added_here_fetched_there_and_acknowledged_elsewhere() {
    let nodes = cluster(3, "");
    let added = nodes[0].run("ADDJOB q hello 5000 REPLICATE 3 RETRY 60");
    let Value::Status(id) = &added else { panic!("{added:?}") };
    for node in &nodes {
        let mut connection = node.connect();
        assert_eq!(
            info(&mut connection, "registered_jobs"),
            "1",
            "each has a copy when the client is answered"
        );
    }
    let mut worker = nodes[1].connect();
    assert_eq!(bodies(&worker.run("GETJOB TIMEOUT 10000 FROM q")), ["hello"]);
    assert_eq!(nodes[2].run(&format!("ACKJOB {id}")), Value::Int(1));
    wait_until_forgotten(&nodes);
    for node in &nodes {
        assert_eq!(node.run("DEBUG AUDIT"), Value::ok());
    }
}

#[test]
fn a_worker_that_waits_elsewhere_gets_the_job() {
    let nodes = cluster(2, "");
    let mut worker = nodes[1].connect();
    worker.send(&words("GETJOB FROM q"));
    let mut operator = nodes[1].connect();
    wait_until("it waits", || info(&mut operator, "blocked_clients") == "1");
    let added = nodes[0].run("ADDJOB q hello 5000 REPLICATE 1 RETRY 60");
    let Value::Status(id) = &added else { panic!("{added:?}") };
    assert_eq!(bodies(&worker.reply()), ["hello"]);
    assert_eq!(worker.run(&format!("ACKJOB {id}")), Value::Int(1));
    wait_until_forgotten(&nodes);
}

#[test]
fn a_job_outlives_the_node_that_took_it() {
    let mut nodes = cluster(3, "");
    let mut client = nodes[0].connect();
    for number in 0..20 {
        let added = client.run(&format!("ADDJOB q job-{number} 5000 REPLICATE 3 RETRY 1"));
        assert!(matches!(added, Value::Status(_)), "{added:?}");
    }
    nodes[0].kill();
    let mut worker = nodes[1].connect();
    let mut seen = std::collections::BTreeSet::new();
    while seen.len() < 20 {
        let jobs = worker.run("GETJOB WITHCOUNTERS COUNT 20 FROM q");
        let Value::Array(rows) = &jobs else { panic!("{jobs:?}") };
        seen.extend(bodies(&jobs));
        for row in rows {
            let Value::Array(fields) = row else { panic!("{row:?}") };
            worker.run(&format!("ACKJOB {}", text(&fields[1])));
        }
    }
    nodes[0].come_back();
    wait_until_joined(&nodes);
    wait_until_forgotten(&nodes);
}

#[test]
fn copies_that_cannot_be_made_are_refused() {
    let nodes = cluster(2, "");
    let refused = nodes[0].run("ADDJOB q x 5000 REPLICATE 3");
    assert_eq!(refused, error("NOREPL Not enough reachable nodes for the requested replication level"));
    wait_until_forgotten(&nodes);
}

/// A node that is stopped takes nothing: what waits for it is bounded, and neither clients nor the third node wait.
#[test]
fn a_node_that_takes_nothing_holds_up_nobody_and_catches_up() {
    let _turn = alone();
    let nodes = cluster(3, "--cluster-link-sendbuf-limit 1mb");
    let frozen = freeze(&nodes[2].server);
    let mut client = nodes[0].connect();
    let body = "b".repeat(100_000);
    let mut cut = false;
    for _ in 0..400 {
        client.send(&["ADDJOB", "q", &body, "0", "REPLICATE", "3", "ASYNC", "RETRY", "600"]);
        let added = client.reply();
        if !matches!(added, Value::Status(_)) {
            assert!(text(&added).starts_with("NOREPL"), "{added:?}");
            break;
        }
        cut |= info_number(&mut client, "cluster_links_cut_overflow") > 0;
        assert!(info_number(&mut client, "cluster_links_output_bytes") < 4 << 20);
        if cut {
            break;
        }
    }
    assert!(cut, "the link to the stopped node was closed");
    assert!(nodes[0].log().contains("the other takes too slowly what it is sent"), "{}", nodes[0].log());
    drop(frozen);
    wait_until_joined(&nodes);
    let mut other = nodes[2].connect();
    assert!(matches!(client.run("ADDJOB late x 10000 REPLICATE 3"), Value::Status(_)));
    wait_until("it takes copies again", || info_number(&mut other, "registered_jobs") > 0);
}

#[test]
fn many_jobs_of_one_connection_are_copied_at_the_same_time_and_answered_in_order() {
    let nodes = cluster(3, "");
    let mut connection = nodes[0].connect();
    assert_eq!(connection.run("PAUSE closed in"), Value::status("in"));
    let mut bytes = Vec::new();
    let mut ask = |words: String| bytes.extend(request(&words.split(' ').collect::<Vec<_>>()));
    for number in 0..500 {
        match number % 100 {
            50 => ask("ADDJOB closed body 5000 REPLICATE 3".to_owned()),
            70 => ask("ADDJOB q body soon".to_owned()),
            // The job before it is there, and the one behind it is not.
            80 => ask(format!("QLEN q{}", number - 1)),
            81 => ask(format!("QLEN q{}", number + 1)),
            _ => ask(format!("ADDJOB q{number} body 5000 REPLICATE 3")),
        }
    }
    let mut other = nodes[1].connect();
    let frames_before = info_number(&mut other, "cluster_stats_frames_sent");
    connection.send_raw(&bytes);
    for number in 0..500 {
        let reply = connection.reply();
        match number % 100 {
            50 => assert!(text(&reply).starts_with("PAUSED"), "{number}: {reply:?}"),
            70 => assert!(text(&reply).starts_with("ERR timeout"), "{number}: {reply:?}"),
            80 => assert_eq!(reply, Value::Int(1), "{number}"),
            81 => assert_eq!(reply, Value::Int(0), "{number}"),
            _ => {
                let shown = format!("{:?}", other.run(&format!("SHOW {}", text(&reply))));
                let queue = format!("{:?}", Value::Bulk(format!("q{number}").into_bytes()));
                assert!(shown.contains(&queue), "{number}: {shown}");
            }
        }
    }
    // One by one, each of the 480 jobs would be confirmed by a frame of its own.
    let frames = info_number(&mut other, "cluster_stats_frames_sent") - frames_before;
    assert!(frames < 200, "{frames} frames");
}
