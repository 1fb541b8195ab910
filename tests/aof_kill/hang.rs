//! A disk that does not answer: a thread of the server stands still in its call, and everything goes on that need not wait.
//! No time is measured: what must happen meanwhile is waited for, and what must not has had its chance.

use std::net::{Ipv4Addr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Instant;

use disque::resp::Value;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::{Connection, PATIENCE, Scratch, free_port};
use crate::trace::{Hang, Traced, spawn};
use crate::turn;

fn arguments(port: u16, more: &str) -> Vec<String> {
    let line = format!("--port {port} --bind 127.0.0.1 --cluster-node-timeout 1000 {more}");
    line.split(' ').map(str::to_owned).collect()
}

fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < until, "waited in vain until {what}");
        std::thread::yield_now();
    }
}

fn connect(port: u16) -> Connection {
    wait_until("the server listens", || TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok());
    let mut client = Connection::open(port);
    wait_until("it has loaded its file", || client.run("PING") == Value::status("PONG"));
    client
}

fn has_answer(client: &Connection) -> bool {
    client.stream.set_nonblocking(true).expect("it can be set");
    let there = client.stream.peek(&mut [0]).is_ok_and(|n| n > 0);
    client.stream.set_nonblocking(false).expect("it can be set");
    there
}

fn id(value: &Value) -> String {
    match value {
        Value::Status(id) => id.clone(),
        other => panic!("no ID: {other:?}"),
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::Bulk(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        other => panic!("no text: {other:?}"),
    }
}

fn join(client: &mut Connection, others: &[u16]) {
    for port in others {
        assert_eq!(client.run(&format!("CLUSTER MEET 127.0.0.1 {port}")), Value::ok());
    }
    let size = format!("cluster_reachable_nodes:{}", others.len());
    wait_until("they are joined", || text(&client.run("CLUSTER INFO")).contains(&size));
}

/// When a node last heard of the only other one, and whether it thinks well of it.
fn heard(client: &mut Connection) -> (String, bool) {
    let lines = text(&client.run("CLUSTER NODES"));
    let line = lines.lines().find(|line| !line.contains("myself")).expect("there is another node");
    let words: Vec<&str> = line.split(' ').collect();
    (words[4].to_owned(), !words[2].contains("fail") && words[5] == "connected")
}

/// Gossip goes on: three more answers of the other node come, and it is not suspected then. In between it may be, if the
/// machine has so much to do that an answer takes a second.
fn gossip_goes_on(client: &mut Connection) {
    let mut last = heard(client).0;
    for _ in 0..3 {
        wait_until("the other node answers once more", || {
            let (now, well) = heard(client);
            let more = now != last;
            last = now;
            more && well
        });
    }
}

/// Traces a server while `act` runs on a thread of its own, and ends the server afterwards.
fn trace(dir: &Path, arguments: Vec<String>, act: impl FnOnce(&Hang) + Send + 'static) {
    let hang = Arc::new(Hang::default());
    let traced = Traced::start(dir, arguments);
    let pid = traced.pid();
    let seen = Arc::clone(&hang);
    let acting: JoinHandle<()> = std::thread::spawn(move || {
        let _end = End(pid);
        act(&seen);
    });
    traced.run_with(&hang);
    if let Err(panic) = acting.join() {
        std::panic::resume_unwind(panic);
    }
}

/// Ends the server, also when the test fails.
struct End(Pid);

impl Drop for End {
    fn drop(&mut self) {
        let _ = kill(self.0, Signal::SIGKILL);
    }
}

#[test]
fn a_disk_that_hangs_stops_neither_reading_nor_taking_nor_gossip() {
    let _turn = turn();
    for (policy, call) in [("always", Hang::SYNC), ("everysec", Hang::WRITE), ("no", Hang::WRITE)] {
        let (dir, other_dir) = (Scratch::new(), Scratch::new());
        let (port, other_port) = (free_port(), free_port());
        let other = spawn(other_dir.path(), arguments(other_port, "--appendonly no"));
        let line = format!("--appendonly yes --appendfsync {policy}");
        trace(dir.path(), arguments(port, &line), move |hang| {
            let (mut client, mut neighbour) = (connect(port), connect(other_port));
            join(&mut client, &[other_port]);
            let first = id(&client.run("ADDJOB q first 0 REPLICATE 1"));
            hang.begin(call);
            let mut producer = connect(port);
            producer.send(&["ADDJOB", "q", "second", "0", "REPLICATE", "1"]);
            wait_until("the disk hangs", || hang.hangs());
            assert_eq!(client.run("QLEN q"), Value::Int(2), "{policy}");
            let Value::Array(rows) = client.run("GETJOB NOHANG WITHCOUNTERS FROM q") else { panic!("a job") };
            assert!(format!("{rows:?}").contains(&format!("{:?}", Value::bulk(first.as_str()))), "{rows:?}");
            assert!(matches!(client.run(&format!("SHOW {first}")), Value::Array(_)));
            assert!(text(&client.run("INFO persistence")).contains("aof_last_write_status:ok"));
            gossip_goes_on(&mut client);
            gossip_goes_on(&mut neighbour);
            assert!(!has_answer(&producer), "{policy}: it is not confirmed before it is safe");
            hang.end();
            client.run("PING");
            id(&producer.reply());
        });
        other.end_now();
    }
}

#[test]
fn sync_waits_for_the_disk_of_another_node_and_makes_nobody_else_wait() {
    let _turn = turn();
    let (dir, other_dir) = (Scratch::new(), Scratch::new());
    let (port, other_port) = (free_port(), free_port());
    let other = spawn(other_dir.path(), arguments(other_port, "--appendonly yes --appendfsync no"));
    trace(dir.path(), arguments(port, "--appendonly yes --appendfsync no"), move |hang| {
        let (mut client, mut neighbour) = (connect(port), connect(other_port));
        join(&mut neighbour, &[port]);
        wait_until("its file is known", || {
            matches!(neighbour.run("ADDJOB w x 5000 REPLICATE 2 SYNC"), Value::Status(_))
        });
        // Here the holder that was asked.
        hang.begin(Hang::SYNC);
        let mut producer = connect(other_port);
        producer.send(&["ADDJOB", "q", "safe", "0", "REPLICATE", "2", "SYNC"]);
        wait_until("the disk hangs", || hang.hangs());
        // Its confirmation would have come before that of this one, on the same link.
        wait_until("an ordinary job is confirmed", || {
            matches!(neighbour.run("ADDJOB q ordinary 5000 REPLICATE 2"), Value::Status(_))
        });
        assert!(!has_answer(&producer));
        let waiting = format!("{:?}", neighbour.run("JSCAN 0 COUNT 1000 STATE wait-repl REPLY id"));
        assert!(waiting.contains("D-"), "{waiting}");
        hang.end();
        client.run("PING");
        id(&producer.reply());
        // And the node itself.
        hang.begin(Hang::SYNC);
        let mut producer = connect(port);
        producer.send(&["ADDJOB", "q", "safe", "0", "REPLICATE", "1", "SYNC"]);
        wait_until("the disk hangs", || hang.hangs());
        id(&client.run("ADDJOB q ordinary 0 REPLICATE 1"));
        assert!(!has_answer(&producer));
        hang.end();
        client.run("PING");
        id(&producer.reply());
    });
    other.end_now();
}
