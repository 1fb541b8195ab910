//! Signals, shutdowns and restarts: what ends, what stays, and who the node is afterwards.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use disque::resp::Value;

use crate::support::{Connection, Scratch, Server};
use crate::tools::{answers, info, launch, launch_piped, let_pass, signal, text, wait_until, words};

#[test]
fn every_regular_end_is_clean() {
    for end in ["TERM", "INT", "SHUTDOWN", "shutdown"] {
        let dir = Scratch::new();
        let mut server = launch(dir.path(), |port| {
            words(&format!("--port {port} --bind 127.0.0.1 --pidfile my.pid --unixsocket my.sock"))
        });
        let pid = fs::read_to_string(dir.path().join("my.pid")).expect("it is written");
        assert_eq!(pid, format!("{}\n", server.child.id()));
        let mut client = server.connect();
        let mut waiting = server.connect();
        waiting.send(&["GETJOB", "FROM", "q"]);
        client.run("PING");
        match end {
            "TERM" | "INT" => signal(&server, end),
            command => client.send(&[command]),
        }
        assert_eq!(server.wait(), Some(0), "{end}");
        assert_eq!(client.rest(), b"", "{end}: no reply, but an end");
        assert_eq!(waiting.rest(), b"");
        let mut left: Vec<_> =
            fs::read_dir(dir.path()).expect("it is there").flatten().map(|entry| entry.file_name()).collect();
        left.sort();
        assert_eq!(left, ["nodes.conf"], "{end}");
    }
}

#[test]
fn nothing_behind_shutdown_is_confirmed() {
    let mut server = Server::start(&[]);
    let mut client = server.connect();
    client.send_raw(b"PING\r\nSHUTDOWN\r\nADDJOB q x 0\r\nPING\r\n");
    assert_eq!(client.rest(), b"+PONG\r\n");
    assert_eq!(server.wait(), Some(0));
}

#[test]
fn a_hang_up_signal_opens_the_log_again() {
    let dir = Scratch::new();
    let server =
        launch(dir.path(), |port| words(&format!("--port {port} --bind 127.0.0.1 --logfile my.log")));
    let (log, moved) = (dir.path().join("my.log"), dir.path().join("my.log.1"));
    assert!(fs::read_to_string(&log).expect("it is text").contains("ready to accept connections"));
    fs::rename(&log, &moved).expect("it is there");
    let mut client = server.connect();
    client.run("CONFIG SET timeout 100");
    assert!(!log.exists());
    signal(&server, "HUP");
    wait_until("there is a new log", || log.exists());
    client.run("CONFIG SET timeout 200");
    let holds = |path: &Path, n: usize| {
        fs::read_to_string(path).is_ok_and(|text| text.matches("configuration changed").count() == n)
    };
    wait_until("the new log is written", || holds(&log, 1));
    assert!(holds(&moved, 1), "and the old one no longer");
}

#[test]
fn a_log_that_nobody_reads_any_more_ends_nobody() {
    let dir = Scratch::new();
    let (mut child, port) = launch_piped(dir.path(), "--loglevel debug");
    drop((child.stdout.take(), child.stderr.take()));
    for _ in 0..3 {
        let mut client = Connection::open(port);
        assert_eq!(client.run("CONFIG SET timeout 0"), Value::ok());
    }
    Connection::open(port).send(&["SHUTDOWN"]);
    assert_eq!(child.wait().expect("the child is ours").code(), Some(0));
}

fn start_again(dir: &Path) -> Server {
    launch(dir, |port| words(&format!("--port {port} --bind 127.0.0.1")))
}

#[test]
fn a_node_stays_who_it_is_however_it_ended() {
    let dir = Scratch::new();
    let mut server = start_again(dir.path());
    let node = server.connect().run("CLUSTER MYID");
    server.connect().send(&["SHUTDOWN"]);
    server.wait();
    for _ in 0..3 {
        let server = start_again(dir.path());
        assert_eq!(server.connect().run("CLUSTER MYID"), node);
        assert_eq!(server.connect().run("CLUSTER LEAVING yes"), Value::ok());
        drop(server); // Which kills it.
    }
    let server = start_again(dir.path());
    assert_eq!(server.connect().run("CLUSTER LEAVING"), Value::status("yes"), "confirmed is kept");
}

#[test]
fn the_node_table_is_whole_whenever_the_process_is_killed() {
    const KILLS: u32 = 16;
    let dir = Scratch::new();
    let mut server = start_again(dir.path());
    for round in 0..KILLS {
        let mut client = server.connect();
        assert_eq!(client.run("CLUSTER RESET HARD"), Value::ok());
        let confirmed = text(&client.run("CLUSTER MYID"));
        // Killed while it saves another identity, a little later each time.
        client.send(&["CLUSTER", "RESET", "HARD"]);
        let_pass(Duration::from_micros(100) * round);
        server.child.kill().expect("it lives");
        server.child.wait().expect("the child is ours");
        let later_was_confirmed = !client.rest().is_empty();
        let table = fs::read_to_string(dir.path().join("nodes.conf")).expect("it is text");
        assert!(table.contains(" myself ") && table.ends_with('\n'), "{table:?}");
        server = start_again(dir.path());
        let now = text(&server.connect().run("CLUSTER MYID"));
        assert!(table.starts_with(&now), "{table:?}");
        assert!(now != confirmed || !later_was_confirmed, "what was confirmed is lost");
    }
}

#[test]
fn nobody_is_told_ok_about_a_node_table_that_could_not_be_saved() {
    let server = Server::start(&[]);
    let mut client = server.connect();
    fs::remove_dir_all(server.dir.path()).expect("the directory is ours");
    for command in ["CLUSTER SAVECONFIG", "CLUSTER LEAVING yes", "CLUSTER RESET HARD"] {
        let error = "ERR error saving the cluster node config: No such file or directory";
        assert_eq!(client.run(command), Value::error(error), "{command}");
    }
    // Found by the simulated cluster: once the disk had room again the old table stood there until the next change.
    fs::create_dir(server.dir.path()).expect("it can be made");
    let node = text(&client.run("CLUSTER MYID"));
    wait_until("the node table is saved", || {
        let table = fs::read_to_string(server.dir.path().join("nodes.conf"));
        table.is_ok_and(|table| table.starts_with(&node))
    });
}

#[test]
fn debug_restarts_keep_the_process_and_the_node() {
    let dir = Scratch::new();
    fs::create_dir(dir.path().join("data")).expect("it can be made");
    fs::write(dir.path().join("my.conf"), "dir data\nbind 127.0.0.1\n").expect("it is writable");
    // The path of the file is relative to the directory of the start, which `dir` is not.
    let server = launch(dir.path(), |port| {
        words(&format!("my.conf --port {port} --unixsocket my.sock --pidfile my.pid"))
    });
    let pid = server.child.id();
    let node = server.connect().run("CLUSTER MYID");
    for restart in
        ["DEBUG RESTART", "DEBUG RESTART 10", "DEBUG CRASH-AND-RECOVER", "DEBUG CRASH-AND-RECOVER 10"]
    {
        let mut client = server.connect();
        client.run("ADDJOB q x 0");
        let run = info(&mut client, "run_id");
        client.run("CONFIG SET maxclients 1234");
        let requests = [restart.as_bytes(), b"\r\nPING\r\n"].concat();
        client.stream.write_all(&requests).expect("the server reads");
        assert_eq!(client.rest(), b"", "{restart}");
        wait_until("it is back", || answers(pid, server.port));
        let mut client = server.connect();
        assert_ne!(info(&mut client, "run_id"), run);
        assert_eq!(client.run("CLUSTER MYID"), node);
        assert_eq!(client.run("QLEN q"), Value::Int(0), "jobs are in memory only");
        assert!(dir.path().join("data/my.sock").exists() && dir.path().join("data/my.pid").exists());
    }
    let mut client = server.connect();
    let maxclients = client.run("CONFIG GET maxclients");
    assert_eq!(
        maxclients,
        Value::Array(vec!["maxclients".into(), "1234".into()]),
        "RESTART rewrites the file"
    );
}

#[test]
fn a_crash_leaves_a_report_in_the_log() {
    let dir = Scratch::new();
    let mut server =
        launch(dir.path(), |port| words(&format!("--port {port} --bind 127.0.0.1 --logfile my.log")));
    let mut client = server.connect();
    client.send(&["DEBUG", "ASSERT"]);
    assert_eq!(client.rest(), b"");
    assert_eq!(server.wait(), None, "by a signal");
    let log = fs::read_to_string(dir.path().join("my.log")).expect("it is text");
    assert!(
        log.contains("=== DISQUE BUG REPORT: ") && log.contains("DEBUG ASSERT asked for a crash"),
        "{log}"
    );
}
