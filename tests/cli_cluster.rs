//! `disque --cluster` on real servers: what it does to them, what it says, how it exits.
#![allow(missing_docs, unreachable_pub, reason = "a test program has no public interface")]

mod support;

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Output, Stdio};

use disque::resp::Value;
use support::Server;

fn disque(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_disque"));
    command.args(args).stdin(Stdio::null()).env_remove("DISQUE_PASSWORD");
    command
}

/// Runs `disque --cluster` and returns its exit code and what it printed, both streams in a row.
fn cluster(args: &[&str]) -> (Option<i32>, String) {
    let Output { status, stdout, stderr } =
        disque(&[&["--cluster"], args].concat()).output().expect("the client runs");
    (status.code(), String::from_utf8_lossy(&[stdout, stderr].concat()).into_owned())
}

fn start<const N: usize>() -> [Server; N] {
    std::array::from_fn(|_| Server::start(&[]))
}

fn address(server: &Server) -> String {
    format!("127.0.0.1:{}", server.port)
}

fn text(server: &Server, command: &str) -> String {
    match server.connect().run(command) {
        Value::Bulk(text) => String::from_utf8_lossy(&text).into_owned(),
        other => panic!("{command}: {other:?}"),
    }
}

fn members(server: &Server) -> usize {
    text(server, "CLUSTER NODES").lines().count()
}

fn created(servers: &[Server]) {
    let addresses: Vec<_> = servers.iter().map(address).collect();
    let words: Vec<_> = ["create"].into_iter().chain(addresses.iter().map(String::as_str)).collect();
    let (code, output) = cluster(&words);
    assert_eq!(code, Some(0), "{output}");
    assert!(output.ends_with(&format!("A cluster of {} nodes.\n", servers.len())), "{output}");
}

#[test]
fn create_makes_one_cluster_and_can_be_repeated_and_check_is_content() {
    let servers: [Server; 3] = start();
    created(&servers);
    assert_eq!(servers.iter().map(members).collect::<Vec<_>>(), [3, 3, 3]);
    created(&servers);
    let (code, output) = cluster(&["check", &address(&servers[1])]);
    let expected = "All is well: 3 nodes that know each other, all links up, clocks together.\n";
    assert_eq!((code, output.as_str()), (Some(0), expected));
}

#[test]
fn check_of_a_lone_node_says_that_it_is_alone() {
    let server = Server::start(&[]);
    let (code, output) = cluster(&["check", &address(&server)]);
    assert_eq!((code, output.as_str()), (Some(0), "All is well: the node is alone.\n"));
}

#[test]
fn create_refuses_the_same_node_twice_and_nodes_of_other_clusters() {
    let servers: [Server; 3] = start();
    let [one, two, three] = [0, 1, 2].map(|n| address(&servers[n]));
    let (code, output) = cluster(&["create", &one, &one]);
    assert_eq!((code, output), (Some(1), format!("{one} and {one} are the same node\n")));
    created(&servers[..2]);
    let (code, output) = cluster(&["create", &one, &three]);
    assert_eq!(code, Some(1));
    assert!(output.contains("belongs to a cluster already") && output.contains(&two), "{output}");
    assert_eq!(members(&servers[2]), 1);
}

#[test]
fn add_takes_a_lone_node_into_the_cluster_of_another() {
    let servers: [Server; 3] = start();
    created(&servers[..2]);
    let (code, output) = cluster(&["add", &address(&servers[2]), &address(&servers[0])]);
    assert_eq!(code, Some(0), "{output}");
    assert!(output.ends_with("belongs to a cluster of 3 nodes now.\n"), "{output}");
    assert_eq!(servers.iter().map(members).collect::<Vec<_>>(), [3, 3, 3]);
    let (code, output) = cluster(&["add", &address(&servers[2]), &address(&servers[0])]);
    assert_eq!(code, Some(1));
    assert!(output.ends_with("belongs to that cluster already\n"), "{output}");
}

#[test]
fn drain_waits_until_the_last_job_is_gone() {
    let servers: [Server; 2] = start();
    created(&servers);
    let mut connection = servers[0].connect();
    let id = match connection.run("ADDJOB q b 0 REPLICATE 1") {
        Value::Status(id) => id,
        Value::Bulk(id) => String::from_utf8_lossy(&id).into_owned(),
        other => panic!("{other:?}"),
    };
    let mut child = disque(&["--cluster", "drain", &address(&servers[0])])
        .stdout(Stdio::piped())
        .spawn()
        .expect("the client runs");
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    let mut next = || lines.next().expect("a line").expect("text");
    assert_eq!(next(), format!("{} is leaving and holds 1 job", address(&servers[0])));
    assert_eq!(connection.run(&format!("ACKJOB {id}")), Value::Int(1));
    let last = next();
    assert!(last.ends_with("holds no jobs. It can be stopped now."), "{last}");
    let id = text(&servers[0], "CLUSTER MYID");
    assert_eq!(next(), format!("So that the others forget it: disque --cluster remove {id}"));
    assert_eq!(child.wait().expect("the client ends").code(), Some(0));
}

#[test]
fn drain_of_a_lone_node_is_refused_and_changes_nothing() {
    let server = Server::start(&[]);
    let (code, output) = cluster(&["drain", &address(&server)]);
    assert_eq!(code, Some(1));
    assert!(output.contains("its jobs have nowhere to go"), "{output}");
    assert_eq!(server.connect().run("CLUSTER LEAVING"), Value::status("no"));
}

#[test]
fn remove_makes_all_others_forget_a_node_that_runs() {
    let servers: [Server; 3] = start();
    created(&servers);
    let (code, output) = cluster(&["remove", &address(&servers[2])]);
    assert_eq!(code, Some(0), "{output}");
    assert!(output.ends_with("is forgotten by 2 nodes. Stop it now.\n"), "{output}");
    assert_eq!((members(&servers[0]), members(&servers[1])), (2, 2));
}

#[test]
fn a_node_that_died_is_found_by_check_shown_by_info_and_removed_by_its_id() {
    let mut servers: [Server; 3] = start();
    created(&servers);
    let (dead, id) = (address(&servers[2]), text(&servers[2], "CLUSTER MYID"));
    servers[2].child.kill().expect("it runs");
    servers[2].wait();
    let port = servers[0].port.to_string();
    let (code, output) = cluster(&["check", &address(&servers[0])]);
    assert_eq!(code, Some(1));
    let remedy = format!("Wrong: {dead} ({}) cannot be reached", &id[..8]);
    assert!(output.contains(&remedy) && output.contains(&format!("--cluster remove {id}")), "{output}");
    let (code, output) = cluster(&["info", &address(&servers[1])]);
    assert_eq!((code, output.lines().count()), (Some(1), 4), "{output}");
    let row = output.lines().find(|line| line.starts_with(&dead)).expect("the dead node is shown");
    assert_eq!(row.split_whitespace().skip(1).take(2).collect::<Vec<_>>(), [&id[..8], "unreachable"]);
    let (code, output) = cluster(&["remove", &dead]);
    assert_eq!(code, Some(3));
    assert!(output.ends_with("which --cluster check of another node tells\n"), "{output}");
    let removal = disque(&["-p", &port, "--cluster", "remove", &id]).output().expect("the client runs");
    assert_eq!(removal.status.code(), Some(0), "{}", String::from_utf8_lossy(&removal.stderr));
    assert_eq!((members(&servers[0]), members(&servers[1])), (2, 2));
}

#[test]
fn info_shows_each_node_in_a_row() {
    let servers: [Server; 2] = start();
    created(&servers);
    assert!(matches!(
        servers[0].connect().run("ADDJOB q b 0 REPLICATE 1"),
        Value::Status(_) | Value::Bulk(_)
    ));
    let (code, output) = cluster(&["info", &address(&servers[1])]);
    assert_eq!(code, Some(0), "{output}");
    let mut lines = output.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let header = lines.next().expect("a header");
    let row = lines.find(|cells| cells[0] == address(&servers[0])).expect("each node has a row");
    let cell = |name: &str| row[header.iter().position(|title| *title == name).expect("a column")];
    assert_eq!((cell("flags"), cell("jobs"), cell("queues"), cell("links")), ("-", "1", "1", "1/1"));
    assert_eq!(cell("version"), env!("CARGO_PKG_VERSION"));
}

#[test]
fn the_password_counts_for_all_nodes_and_its_lack_is_told() {
    let servers: [Server; 2] = std::array::from_fn(|_| Server::start(&["--requirepass", "secret"]));
    let [one, two] = [0, 1].map(|n| address(&servers[n]));
    let (code, output) = cluster(&["create", &one, &two]);
    assert_eq!(code, Some(1));
    assert!(output.contains("NOAUTH"), "{output}");
    let mut command = disque(&["--cluster", "create", &one, &two]);
    let output = command.env("DISQUE_PASSWORD", "secret").output().expect("the client runs");
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_node_is_named_once() {
    let output = disque(&["-p", "1", "--cluster", "info", "a:1"]).output().expect("the client runs");
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(
        said,
        "usage: disque ... name nodes either as words after the action or by -h, -p, -s or -u\n"
    );
}

#[test]
fn wrong_words_exit_2_and_say_which_are_right() {
    for (words, expected) in [
        (&["create", "a:1"][..], "usage: disque --cluster create ADDRESS ADDRESS...\n"),
        (&["add", "a:1"], "usage: disque --cluster add NEW EXISTING\n"),
        (&["check", "a:0"], "\"0\" is not a port, which is a number from 1 to 65535\n"),
        (&["check", "a:1", "b:1"], "usage: disque --cluster check [ADDRESS]\n"),
        (&["check", "--csv"], "For more information, try '--help'.\n"),
    ] {
        let (code, output) = cluster(words);
        assert_eq!(code, Some(2), "{words:?}: {output}");
        assert!(output.ends_with(expected), "{words:?}: {output}");
    }
}
