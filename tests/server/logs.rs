//! The log: its formats, where it goes, and what is not in it.

use std::fs;
use std::io::Read as _;

use crate::support::{Connection, Scratch};
use crate::tools::{launch, launch_piped, text, wait_until, words};

#[test]
fn a_line_of_the_json_log_is_an_object_with_its_fields_at_the_top() {
    let dir = Scratch::new();
    let mut server = launch(dir.path(), |port| {
        words(&format!("--port {port} --bind 127.0.0.1 --logfile my.log --log-format json"))
    });
    server.connect().run("CONFIG SET timeout 100");
    server.connect().send(&["SHUTDOWN"]);
    server.wait();
    let log = fs::read_to_string(dir.path().join("my.log")).expect("it is text");
    let lines: Vec<serde_json::Value> =
        log.lines().map(|line| serde_json::from_str(line).expect("a line is an object")).collect();
    for line in &lines {
        let has = |field: &str| line[field].as_str().is_some_and(|text| !text.is_empty());
        assert!(has("timestamp") && has("level") && has("message"), "{line}");
    }
    let changed = lines.iter().find(|line| line["message"] == "configuration changed").expect("it is logged");
    assert_eq!((&changed["parameter"], &changed["level"]), (&"timeout".into(), &"INFO".into()));
}

#[test]
fn the_log_goes_to_standard_error_if_that_is_its_name() {
    let dir = Scratch::new();
    let (mut child, port) = launch_piped(dir.path(), "--logfile /dev/stderr");
    Connection::open(port).send(&["SHUTDOWN"]);
    assert_eq!(child.wait().expect("the child is ours").code(), Some(0));
    let (mut out, mut error) = (String::new(), String::new());
    child.stdout.take().expect("piped").read_to_string(&mut out).expect("it is text");
    child.stderr.take().expect("piped").read_to_string(&mut error).expect("it is text");
    assert_eq!(out, "");
    assert!(error.contains("ready to accept connections"), "{error}");
}

#[test]
fn jobs_leave_no_lines_in_the_log_above_debug() {
    let dir = Scratch::new();
    let server = launch(dir.path(), |port| {
        words(&format!("--port {port} --bind 127.0.0.1 --logfile my.log --appendonly yes"))
    });
    let lines = || fs::read_to_string(dir.path().join("my.log")).expect("it is text").lines().count();
    let mut client = server.connect();
    client.run("PING");
    let before = lines();
    for _ in 0..50 {
        let id = text(&client.run("ADDJOB q x 0 RETRY 50ms TTL 2s"));
        client.run("GETJOB FROM q");
        client.run(&format!("NACK {id}"));
        client.run(&format!("WORKING {id}"));
        client.run("GETJOB FROM q");
        client.run(&format!("ACKJOB {id}"));
        client.run("ADDJOB gone x 0 TTL 20ms");
    }
    wait_until("jobs that nobody wants are over", || client.run("QLEN gone") == disque::resp::Value::Int(0));
    assert_eq!(lines(), before);
}
