//! The append-only file: what survives the end of the process, how files come and go, and what is said of them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use disque::resp::Value;

use crate::support::{Connection, Scratch, Server, free_port};
use crate::tools::{PROGRAM, bodies, error, info, info_number, launch, signal, text, wait_until, words};

const FSYNC: [&str; 3] = ["always", "everysec", "no"];

fn start(dir: &Path, more: &str) -> Server {
    launch(dir, |port| words(&format!("--port {port} --bind 127.0.0.1 --appendonly yes {more}")))
}

fn kill(mut server: Server) {
    server.child.kill().expect("it runs");
    server.child.wait().expect("it is ours");
}

/// The files of the log, sorted.
fn files(dir: &Path) -> Vec<String> {
    let names = fs::read_dir(dir).expect("it is there").flatten();
    let mut names: Vec<String> = names.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.retain(|name| name.starts_with("disque.aof") && !name.ends_with(".lock"));
    names.sort();
    names
}

fn ids(value: &Value) -> Vec<String> {
    let Value::Array(rows) = value else { return Vec::new() };
    let id = |row: &Value| match row {
        Value::Array(fields) => text(&fields[1]),
        other => panic!("not a job: {other:?}"),
    };
    rows.iter().map(id).collect()
}

/// A field of SHOW.
fn shown(client: &mut Connection, id: &str, field: &str) -> Value {
    let Value::Array(fields) = client.run(&format!("SHOW {id}")) else { panic!("{id} is not known") };
    let at = fields.iter().position(|value| *value == Value::bulk(field)).expect("SHOW tells the field");
    fields[at + 1].clone()
}

fn recorded(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/compat/vectors").join(name)
}

#[test]
fn what_was_answered_survives_the_end_of_the_process() {
    for fsync in FSYNC {
        let dir = Scratch::new();
        let server = start(dir.path(), &format!("--appendfsync {fsync}"));
        let mut client = server.connect();
        let mut left = Vec::new();
        for n in 0..200 {
            let id = text(&client.run(&format!("ADDJOB q body{n} 0")));
            if n % 3 == 0 {
                assert_eq!(client.run(&format!("ACKJOB {id}")), Value::Int(1));
            } else {
                left.push(format!("body{n}"));
            }
        }
        kill(server);
        let server = start(dir.path(), &format!("--appendfsync {fsync}"));
        let mut client = server.connect();
        assert_eq!(client.run("QLEN q"), Value::Int(left.len() as i64), "{fsync}");
        assert_eq!(bodies(&client.run("GETJOB COUNT 1000 FROM q")), left, "{fsync}: in their order");
        assert_eq!(client.run("DEBUG AUDIT"), Value::ok());
    }
}

#[test]
fn deliveries_leases_delays_counters_and_pauses_survive() {
    let dir = Scratch::new();
    let server = start(dir.path(), "");
    let mut client = server.connect();
    let once = text(&client.run("ADDJOB once gone 0 RETRY 0"));
    client.run("ADDJOB once waits 0 RETRY 0");
    assert_eq!(ids(&client.run("GETJOB FROM once")), std::slice::from_ref(&once));
    let leased = text(&client.run("ADDJOB least x 0 RETRY 100"));
    client.run("GETJOB FROM least");
    let nacked = text(&client.run("ADDJOB least y 0 RETRY 100"));
    client.run("GETJOB FROM least");
    client.run(&format!("NACK {nacked}"));
    let delayed = text(&client.run("ADDJOB least z 0 DELAY 1000 RETRY 100"));
    let late_once = text(&client.run("ADDJOB once late 0 DELAY 1000 RETRY 0"));
    client.run("PAUSE stopped all");
    client.run("PAUSE resumed all");
    client.run("PAUSE resumed none");
    kill(server);

    let server = start(dir.path(), "");
    let mut client = server.connect();
    assert_eq!(
        bodies(&client.run("GETJOB NOHANG COUNT 10 FROM once")),
        ["waits"],
        "the other was handed out"
    );
    assert_eq!(shown(&mut client, &once, "state"), Value::bulk("active"));
    assert_eq!(
        ids(&client.run("GETJOB NOHANG COUNT 10 FROM least")),
        std::slice::from_ref(&nacked),
        "the other is leased"
    );
    assert_eq!(shown(&mut client, &nacked, "nacks"), Value::Int(1));
    for (id, most) in [(&leased, 100_000), (&delayed, 1_000_000), (&late_once, 1_000_000)] {
        let Value::Int(left) = shown(&mut client, id, "next-requeue-within") else { panic!("it has a time") };
        assert!(left <= most && left > most - 90_000, "{left} of {most} ms are left");
    }
    assert_eq!(client.run("PAUSE stopped state"), Value::status("all"));
    assert_eq!(client.run("PAUSE resumed state"), Value::status("none"));
    assert_eq!(client.run("ADDJOB stopped x 0"), error("PAUSED Queue paused in input, try later"));
}

#[test]
fn a_clean_end_writes_everything() {
    for end in ["TERM", "SHUTDOWN", "SHUTDOWN REWRITE-AOF"] {
        let dir = Scratch::new();
        let mut server = start(dir.path(), "--appendfsync no");
        let mut client = server.connect();
        client.run("ADDJOB q one 0");
        match end {
            "TERM" => signal(&server, "TERM"),
            command => client.send(&words(command)),
        }
        assert_eq!(server.wait(), Some(0), "{end}");
        let expected: &[&str] = match end {
            "SHUTDOWN REWRITE-AOF" => &["disque.aof.2.base", "disque.aof.2.log"],
            _ => &["disque.aof.1.log"],
        };
        assert_eq!(files(dir.path()), expected, "{end}");
        let server = start(dir.path(), "");
        assert_eq!(server.connect().run("QLEN q"), Value::Int(1), "{end}");
    }
}

#[test]
fn shutdown_nosave_ends_at_once() {
    let dir = Scratch::new();
    let mut server = start(dir.path(), "");
    let mut client = server.connect();
    client.run("ADDJOB q one 0");
    client.send(&["SHUTDOWN", "NOSAVE"]);
    assert_eq!(server.wait(), Some(0));
}

#[test]
fn a_rewrite_keeps_what_is_known_and_forgets_the_rest() {
    let dir = Scratch::new();
    let server = start(dir.path(), "");
    let mut client = server.connect();
    for n in 0..2000 {
        let id = text(&client.run(&format!("ADDJOB q body{n} 0")));
        if n % 2 == 0 {
            client.run(&format!("ACKJOB {id}"));
        }
    }
    let before = info_number(&mut client, "aof_current_size");
    assert_eq!(client.run("BGREWRITEAOF"), Value::status("Background append only file rewriting started"));
    let mut other = server.connect();
    let added = text(&other.run("ADDJOB q during 0"));
    wait_until("it is rewritten", || info(&mut client, "aof_last_rewrite_time_sec") != "-1");
    assert_eq!(info(&mut client, "aof_rewrite_in_progress"), "0");
    assert_eq!(info(&mut client, "aof_last_bgrewrite_status"), "ok");
    assert!(info_number(&mut client, "aof_current_size") < before);
    assert_eq!(files(dir.path()), ["disque.aof.2.base", "disque.aof.2.log"]);
    other.run("ADDJOB q after 0");
    kill(server);
    let server = start(dir.path(), "");
    let mut client = server.connect();
    assert_eq!(client.run("QLEN q"), Value::Int(1002));
    assert_eq!(shown(&mut client, &added, "state"), Value::bulk("queued"));
}

#[test]
fn a_file_that_has_grown_is_rewritten_by_itself() {
    let dir = Scratch::new();
    let server = start(dir.path(), "--auto-aof-rewrite-min-size 64kb");
    let mut client = server.connect();
    wait_until("it is rewritten", || {
        let id = text(&client.run("ADDJOB q x 0"));
        client.run(&format!("ACKJOB {id}"));
        info(&mut client, "aof_last_rewrite_time_sec") != "-1"
    });
    assert!(info_number(&mut client, "aof_base_size") < 64 << 10);
}

#[test]
fn the_file_is_turned_on_and_off_at_run_time() {
    let dir = Scratch::new();
    let server = launch(dir.path(), |port| words(&format!("--port {port} --bind 127.0.0.1")));
    let mut client = server.connect();
    client.run("ADDJOB q before 0");
    assert_eq!(info(&mut client, "aof_state"), "off");
    assert_eq!(client.run("CONFIG SET appendonly yes"), Value::ok());
    client.run("ADDJOB q after 0");
    wait_until("it is on", || info(&mut client, "aof_state") == "on");
    assert_eq!(client.run("CONFIG SET appendonly no"), Value::ok());
    client.run("ADDJOB q never 0");
    let written = files(dir.path());
    assert_eq!(written, ["disque.aof.2.base", "disque.aof.2.log"]);
    // What there is from before must not come back.
    client.run("DEBUG FLUSHALL");
    client.run("ADDJOB q later 0");
    assert_eq!(client.run("CONFIG SET appendonly yes"), Value::ok());
    wait_until("it is on", || info(&mut client, "aof_state") == "on");
    kill(server);
    let server = start(dir.path(), "");
    assert_eq!(bodies(&server.connect().run("GETJOB COUNT 9 FROM q")), ["later"]);
}

#[test]
fn without_the_file_a_rewrite_writes_it_once() {
    let dir = Scratch::new();
    let server = launch(dir.path(), |port| words(&format!("--port {port} --bind 127.0.0.1")));
    let mut client = server.connect();
    client.run("ADDJOB q kept 0");
    assert_eq!(client.run("BGREWRITEAOF"), Value::status("Background append only file rewriting started"));
    wait_until("it is off again", || info(&mut client, "aof_state") == "off");
    client.run("ADDJOB q not-kept 0");
    kill(server);
    let server = start(dir.path(), "");
    assert_eq!(bodies(&server.connect().run("GETJOB COUNT 9 FROM q")), ["kept"]);
}

#[test]
fn a_file_of_rc1_is_loaded_and_converted_by_the_next_rewrite() {
    let dir = Scratch::new();
    fs::copy(recorded("appendonly.aof"), dir.path().join("disque.aof")).expect("it can be copied");
    fs::copy(recorded("nodes.conf"), dir.path().join("nodes.conf")).expect("it can be copied");
    let server = start(dir.path(), "");
    let mut client = server.connect();
    assert_eq!(info(&mut client, "registered_jobs"), "7");
    for queue in ["emails", "later", "from"] {
        assert_eq!(
            client.run(&format!("QLEN {queue}")),
            Value::Int(0),
            "nothing is queued by a normal start"
        );
    }
    let id = "D-8633cd53-JRASElh4+KrgYAjQELXHx3S4-ffff";
    assert_eq!(shown(&mut client, id, "state"), Value::bulk("active"));
    let Value::Int(left) = shown(&mut client, id, "next-requeue-within") else { panic!("it has a time") };
    assert!((30_000..=60_500).contains(&left), "{left} ms");
    assert_eq!(files(dir.path()), ["disque.aof", "disque.aof.1.log"]);
    client.run("BGREWRITEAOF");
    wait_until("it is converted", || info(&mut client, "aof_last_rewrite_time_sec") != "-1");
    assert_eq!(files(dir.path()), ["disque.aof.2.base", "disque.aof.2.log", "disque.aof.rc1"]);
    kill(server);
    let server = start(dir.path(), "");
    assert_eq!(info(&mut server.connect(), "registered_jobs"), "7");
}

#[test]
fn a_controlled_restart_queues_what_was_queued_and_only_once() {
    let dir = Scratch::new();
    fs::copy(recorded("appendonly-rewritten.aof"), dir.path().join("disque.aof")).expect("it can be copied");
    fs::copy(recorded("nodes.conf"), dir.path().join("nodes.conf")).expect("it can be copied");
    let conf = dir.path().join("disque.conf");
    fs::write(&conf, "aof-enqueue-jobs-once yes\n").expect("it can be written");
    let server = launch(dir.path(), |port| words(&format!("disque.conf --port {port} --bind 127.0.0.1")));
    let mut client = server.connect();
    assert_eq!(info(&mut client, "registered_jobs"), "8");
    assert_eq!(client.run("QLEN emails"), Value::Int(3));
    client.send(&["QLEN", "retry me"]);
    assert_eq!(client.reply(), Value::Int(1));
    client.send(&["QLEN", "two words"]);
    assert_eq!(client.reply(), Value::Int(0), "it had been delivered");
    client.send(&[&b"QLEN"[..], b"bin \x00q\xff\x0d\x0a\"x"]);
    assert_eq!(client.reply(), Value::Int(1), "an at-most-once job that was not delivered is");
    let counters = shown(&mut client, "D-8633cd53-JRASElh4+KrgYAjQELXHx3S4-ffff", "additional-deliveries");
    assert_eq!(counters, Value::Int(0), "a restart is no delivery");
    let text = fs::read_to_string(&conf).expect("it is text");
    assert!(text.contains("aof-enqueue-jobs-once no"), "{text}");
}

#[test]
fn a_controlled_restart_of_this_server_keeps_the_queues() {
    let dir = Scratch::new();
    let conf = dir.path().join("disque.conf");
    fs::write(&conf, "").expect("it can be written");
    let launch = || launch(dir.path(), |port| words(&format!("disque.conf --port {port} --bind 127.0.0.1")));
    let mut server = launch();
    let mut client = server.connect();
    client.run("ADDJOB q waits 0 RETRY 0");
    client.run("ADDJOB p taken 0 RETRY 0");
    client.run("GETJOB FROM p");
    client.run("CONFIG SET aof-enqueue-jobs-once yes");
    client.run("CONFIG REWRITE");
    client.send(&["SHUTDOWN", "REWRITE-AOF"]);
    assert_eq!(server.wait(), Some(0));
    let server = launch();
    let mut client = server.connect();
    assert_eq!(bodies(&client.run("GETJOB NOHANG FROM q p")), ["waits"]);
    assert_eq!(client.run("CONFIG GET aof-enqueue-jobs-once"), words_value(&["aof-enqueue-jobs-once", "no"]));
    assert_eq!(info(&mut client, "aof_state"), "off");
}

fn words_value(words: &[&str]) -> Value {
    Value::Array(words.iter().map(|word| Value::bulk(*word)).collect())
}

/// What a start that fails says, and its exit status.
fn refusal(dir: &Path, more: &str) -> (Option<i32>, String) {
    let output = Command::new(PROGRAM)
        .args(words(&format!("--port {} --bind 127.0.0.1 --appendonly yes {more}", free_port())))
        .current_dir(dir)
        .stdin(Stdio::null())
        .output()
        .expect("the server program was built");
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn files_that_cannot_be_used_are_refused_by_name() {
    let dir = Scratch::new();
    let put = |name: &str, bytes: &[u8]| fs::write(dir.path().join(name), bytes).expect("it can be written");
    let recorded = |name: &str| fs::read(recorded(name)).expect("it is there");
    for (name, bytes, more, expected) in [
        (
            "disque.aof",
            recorded("appendonly-corrupt-framing.aof"),
            "",
            "Bad file format reading the append only",
        ),
        (
            "disque.aof",
            recorded("appendonly-truncated.aof"),
            "--aof-load-truncated no",
            "Unexpected end of file",
        ),
        ("disque.aof", b"hello".to_vec(), "--aof-load-truncated no", "Unexpected end of file"),
        ("disque.aof.2.log", Vec::new(), "", "the file disque.aof.1.log is missing"),
    ] {
        put(name, &bytes);
        let (code, text) = refusal(dir.path(), more);
        assert_eq!(code, Some(1), "{name}: {text}");
        assert!(text.contains(expected), "{name}: {text}");
        assert!(fs::read(dir.path().join(name)).expect("it is there") == bytes, "{name} is as it was");
        fs::remove_file(dir.path().join(name)).expect("it is there");
    }
    put("disque.aof.1.log", b"");
    put("disque.aof.1.base", &[b'x'; 200]);
    let (code, text) = refusal(dir.path(), "");
    assert!(code == Some(1) && text.contains("this is no append-only file"), "{text}");
    fs::remove_file(dir.path().join("disque.aof.1.log")).expect("it is there");
    fs::remove_file(dir.path().join("disque.aof.1.base")).expect("it is there");
    let once = "--appendonly no --aof-enqueue-jobs-once yes";
    let (code, text) = refusal(dir.path(), once);
    assert!(code == Some(1) && text.contains("can't open the append log file for reading"), "{text}");
}

#[test]
fn a_cut_file_of_rc1_is_cut_where_rc1_cuts_it() {
    for (name, size, jobs) in
        [("appendonly-truncated.aof", 2187, "7"), ("appendonly-truncated-header.aof", 2352, "8")]
    {
        let dir = Scratch::new();
        fs::copy(recorded(name), dir.path().join("disque.aof")).expect("it can be copied");
        let server = start(dir.path(), "");
        assert_eq!(info(&mut server.connect(), "registered_jobs"), jobs, "{name}");
        assert_eq!(fs::metadata(dir.path().join("disque.aof")).expect("it is there").len(), size);
    }
}

#[test]
fn damage_in_the_middle_costs_the_damaged_job_and_the_node_starts() {
    let dir = Scratch::new();
    let server = start(dir.path(), "");
    let mut client = server.connect();
    for n in 0..10 {
        client.run(&format!("ADDJOB q body{n} 0"));
    }
    kill(server);
    let path = dir.path().join("disque.aof.1.log");
    let mut bytes = fs::read(&path).expect("it is there");
    let at = bytes.windows(5).position(|window| window == b"body4").expect("bodies are not hidden");
    bytes[at] ^= 1;
    bytes.extend_from_slice(&[0; 4096]);
    fs::write(&path, &bytes).expect("it can be written");
    let server = start(dir.path(), "--logfile disque.log");
    let expected: Vec<String> = (0..10).filter(|n| *n != 4).map(|n| format!("body{n}")).collect();
    let mut client = server.connect();
    assert_eq!(bodies(&client.run("GETJOB COUNT 20 FROM q")), expected);
    assert_eq!(info(&mut client, "aof_load_damages"), "1");
    assert_eq!(info(&mut client, "aof_load_cut_bytes"), "4096");
    let log = fs::read_to_string(dir.path().join("disque.log")).expect("it is text");
    assert!(log.contains("the append-only file is damaged") && log.contains("short read"), "{log}");
    let now = fs::read(&path).expect("it is there");
    let whole = bytes.len() - 4096;
    assert!(
        now[..whole] == bytes[..whole] && !now[whole..].starts_with(&[0; 12]),
        "the zeros are cut off, nothing else"
    );
}

#[test]
fn one_process_at_a_time_uses_the_files() {
    let dir = Scratch::new();
    let _server = start(dir.path(), "");
    let (code, text) = refusal(dir.path(), "--cluster-config-file other.conf");
    assert_eq!(code, Some(1));
    assert!(text.contains("used by another process") && text.contains("disque.aof.lock"), "{text}");
}

/// Loading happens in slices, and clients are answered in between.
#[test]
fn while_the_file_is_loaded_clients_are_told_so() {
    let dir = Scratch::new();
    let mut server = start(dir.path(), "");
    let mut client = server.connect();
    let body = "x".repeat(1000);
    let many: Vec<u8> =
        (0..100).flat_map(|_| crate::support::request(&["ADDJOB", "q", &body, "0"])).collect();
    for _ in 0..1000 {
        client.send_raw(&many);
        (0..100).for_each(|_| drop(client.reply()));
    }
    client.send(&["SHUTDOWN"]);
    assert_eq!(server.wait(), Some(0));
    let port = free_port();
    let mut child = Command::new(PROGRAM)
        .args(words(&format!("--port {port} --bind 127.0.0.1 --appendonly yes --logfile disque.log")))
        .current_dir(dir.path())
        .spawn()
        .expect("the server program was built");
    let connected = || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok();
    wait_until("it listens", connected);
    let mut client = Connection::open(port);
    let first = client.run("QLEN q");
    assert_eq!(first, error("LOADING Disque is loading the dataset in memory"));
    wait_until("all is loaded", || client.run("QLEN q") == Value::Int(100_000));
    assert_eq!(info(&mut client, "loading"), "0");
    let log = fs::read_to_string(dir.path().join("disque.log")).expect("it is text");
    assert!(log.contains("DB loaded from append only file"), "{log}");
    client.send(&["SHUTDOWN", "NOSAVE"]);
    child.wait().expect("it is ours");
}

#[test]
fn the_file_can_be_loaded_again() {
    let dir = Scratch::new();
    let server = start(dir.path(), "");
    let mut client = server.connect();
    for n in 0..100 {
        client.run(&format!("ADDJOB q body{n} 0"));
    }
    assert_eq!(client.run("DEBUG LOADAOF"), Value::ok());
    assert_eq!(client.run("QLEN q"), Value::Int(100));
    client.run("ADDJOB q more 0");
    assert_eq!(client.run("DEBUG LOADAOF"), Value::ok());
    assert_eq!(client.run("QLEN q"), Value::Int(101));
    let off = Server::start(&[]);
    assert_eq!(off.connect().run("DEBUG LOADAOF"), error("ERR the append-only file is off"));
}

/// The size that the process may give its files ends where a disk would be full, and grows again without a restart.
#[test]
fn a_full_disk_refuses_new_jobs_and_is_waited_for() {
    let dir = Scratch::new();
    let port = free_port();
    let arguments = words(&format!("--port {port} --bind 127.0.0.1 --appendonly yes --appendfsync always"));
    let child = Command::new("/bin/sh")
        .args(["-c", "trap '' XFSZ; ulimit -S -f 200; exec \"$0\" \"$@\"", PROGRAM])
        .args(&arguments)
        .current_dir(dir.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .expect("there is a shell");
    let mut server = Server { port, child, dir };
    wait_until("it answers", || {
        let connected = std::net::TcpStream::connect(("127.0.0.1", port)).is_ok();
        connected && Connection::open(port).run("PING") == Value::status("PONG")
    });
    let (mut operator, mut producer) = (server.connect(), server.connect());
    let body = "x".repeat(5000);
    let mut confirmed = Vec::new();
    loop {
        producer.send(&["ADDJOB", "q", &body, "0"]);
        wait_until("it is answered, or the disk is full", || {
            has_answer(&producer) || info(&mut operator, "aof_last_write_status") == "err"
        });
        if info(&mut operator, "aof_last_write_status") == "err" {
            break;
        }
        confirmed.push(text(&producer.reply()));
    }
    let full = "MISCONF Errors writing to the AOF file: File too large";
    let mut worker = server.connect();
    assert_eq!(worker.run("PING"), error(full));
    assert_eq!(worker.run("ADDJOB q more 0"), error(full));
    assert_eq!(worker.run("QLEN q"), Value::Int(confirmed.len() as i64 + 1), "reading goes on");
    let taken = ids(&worker.run("GETJOB FROM q"));
    assert_eq!(taken, confirmed[..1], "a worker can go on");
    let pid = server.child.id().to_string();
    let raised = Command::new("prlimit").args(["--pid", &pid, "--fsize=unlimited"]).status();
    assert!(raised.expect("prlimit runs").success());
    confirmed.push(text(&producer.reply()));
    wait_until("it is over", || info(&mut operator, "aof_last_write_status") == "ok");
    confirmed.push(text(&worker.run("ADDJOB q more 0")));
    server.child.kill().expect("it runs");
    server.child.wait().expect("it is ours");
    let again = start(server.dir.path(), "");
    let mut client = again.connect();
    for id in &confirmed {
        assert!(matches!(client.run(&format!("SHOW {id}")), Value::Array(_)), "{id} was confirmed");
    }
}

/// Whether something came that was not read.
fn has_answer(client: &Connection) -> bool {
    client.stream.set_nonblocking(true).expect("it can be set");
    let there = client.stream.peek(&mut [0]).is_ok_and(|n| n > 0);
    client.stream.set_nonblocking(false).expect("it can be set");
    there
}

/// The job of one damaged record comes back from the node with the other copy, long before it is due anywhere.
#[test]
fn a_node_whose_file_is_damaged_gets_its_copies_from_the_others() {
    let cluster = "--cluster-node-timeout 1000 --logfile disque.log";
    let (dir, other_dir) = (Scratch::new(), Scratch::new());
    let server = start(dir.path(), cluster);
    let other = start(other_dir.path(), cluster);
    let mut client = server.connect();
    assert_eq!(client.run(&format!("CLUSTER MEET 127.0.0.1 {}", other.port)), Value::ok());
    wait_until("they are one cluster", || info(&mut client, "cluster_reachable_nodes") == "1");
    let add = |n: u32| format!("ADDJOB q body{n} 5000 REPLICATE 2 RETRY 3600");
    let jobs: Vec<String> = (0..10).map(|n| text(&client.run(&add(n)))).collect();
    kill(server);
    let path = dir.path().join("disque.aof.1.log");
    let mut bytes = fs::read(&path).expect("it is there");
    let at = bytes.windows(5).position(|window| window == b"body4").expect("bodies are not hidden");
    bytes[at] ^= 1;
    fs::write(&path, &bytes).expect("it can be written");
    let server = start(dir.path(), cluster);
    let mut client = server.connect();
    assert_eq!(info(&mut client, "aof_load_damages"), "1");
    wait_until("its copy is there again", || info(&mut client, "registered_jobs") == "10");
    assert_eq!(shown(&mut client, &jobs[4], "body"), Value::bulk("body4"));
    for client in [&mut client, &mut other.connect()] {
        let Value::Array(holders) = shown(client, &jobs[4], "nodes-delivered") else { panic!("a list") };
        assert_eq!(holders.len(), 2);
    }
    let log = fs::read_to_string(other_dir.path().join("disque.log")).expect("it is text");
    assert!(log.contains("a node has lost records"), "{log}");
}

/// What a start that failed had turned off was off at the next one.
#[test]
fn a_controlled_restart_that_fails_can_be_tried_again() {
    let dir = Scratch::new();
    fs::copy(recorded("appendonly-truncated.aof"), dir.path().join("disque.aof")).expect("it can be copied");
    let conf = dir.path().join("disque.conf");
    let text = "aof-enqueue-jobs-once yes\nappendonly yes\naof-load-truncated no\n";
    fs::write(&conf, text).expect("it can be written");
    let output = Command::new(PROGRAM)
        .args(words(&format!("disque.conf --port {} --bind 127.0.0.1", free_port())))
        .current_dir(dir.path())
        .stdin(Stdio::null())
        .output()
        .expect("the server program was built");
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(fs::read_to_string(&conf).expect("it is text"), text);
}
