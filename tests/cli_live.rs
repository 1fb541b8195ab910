//! The modes of `disque` that go on, on real servers: `--stat`, `--watch`, `--latency`, `--pipe`, `--monitor`.
#![allow(missing_docs, unreachable_pub, reason = "a test program has no public interface")]

mod support;

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, Command, Output, Stdio};

use disque::resp::Value;
use serde_json::Value as Json;
use support::Server;

fn disque(server: &Server, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_disque"));
    command.args(["-p", &server.port.to_string()]).args(args);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).env_remove("DISQUE_PASSWORD");
    command
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Standard output of a run that must succeed.
fn shown(server: &Server, args: &[&str]) -> String {
    let Output { status, stdout, stderr } = disque(server, args).output().expect("the client runs");
    assert_eq!((status.code(), text(&stderr)), (Some(0), String::new()), "{args:?}");
    text(&stdout)
}

fn json_lines(text: &str) -> Vec<Json> {
    text.lines().map(|line| serde_json::from_str(line).expect("a line is an object")).collect()
}

fn piped(server: &Server, args: &[&str], input: &[u8]) -> Output {
    let mut child = disque(server, args).stdin(Stdio::piped()).spawn().expect("the client runs");
    let mut stdin = child.stdin.take().expect("piped");
    let input = input.to_vec();
    let writer = std::thread::spawn(move || drop(stdin.write_all(&input)));
    let output = child.wait_with_output().expect("the client ends");
    writer.join().expect("no panic");
    output
}

fn pair() -> [Server; 2] {
    let servers: [Server; 2] = std::array::from_fn(|_| Server::start(&[]));
    let addresses = servers.each_ref().map(|server| format!("127.0.0.1:{}", server.port));
    let made =
        Command::new(env!("CARGO_BIN_EXE_disque")).args(["--cluster", "create"]).args(addresses).output();
    assert!(made.expect("the client runs").status.success());
    servers
}

#[test]
fn stat_shows_all_nodes_and_sums_queues() {
    let servers = pair();
    for (server, jobs) in servers.iter().zip([2, 3]) {
        (0..=jobs).for_each(|_| drop(server.connect().run("ADDJOB mail x 0 REPLICATE 1")));
        server.connect().run("GETJOB FROM mail");
    }
    let looks = json_lines(&shown(&servers[0], &["--stat", "--json", "-r", "2", "-i", "0.05"]));
    assert_eq!(looks.len(), 2);
    let last = &looks[1];
    assert_eq!(last["nodes"].as_array().map(Vec::len), Some(2));
    assert!(last["nodes"].as_array().expect("a list").iter().all(|node| node["state"] == "ok"), "{last}");
    assert_eq!(last["queues"][0]["queue"], "mail");
    assert_eq!(last["queues"][0]["jobs_in_flight"], 2, "one on each node");
    assert_eq!((&last["queues"][0]["jobs"], &last["queues"][0]["nodes"]), (&5.into(), &2.into()));
    let rate = last["nodes"][0]["commands_per_second"].as_f64().expect("two looks make a rate");
    assert!(rate > 0.0, "the looks themselves are commands");
    let table = shown(&servers[0], &["--stat", "-r", "1", "-i", "0.05"]);
    assert!(table.starts_with("node "), "{table}");
    assert!(table.lines().any(|line| line.starts_with("mail ") && line.contains(" 5 ")), "{table}");
}

#[test]
fn stat_keeps_a_node_that_is_gone_in_view_and_says_so() {
    let [first, mut second] = pair();
    second.child.kill().expect("it runs");
    second.child.wait().expect("it is ours");
    let output = disque(&first, &["--stat", "-r", "1", "-i", "0.05"]).output().expect("the client runs");
    let table = text(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{table}");
    let lost = format!("127.0.0.1:{}", second.port);
    assert!(table.lines().any(|line| line.starts_with(&lost) && line.contains("unreachable")), "{table}");
}

#[test]
fn watch_shows_one_queue_of_all_nodes() {
    let servers = pair();
    servers.iter().for_each(|server| drop(server.connect().run("ADDJOB mail x 0 REPLICATE 1")));
    servers[0].connect().run("ADDJOB other x 0");
    servers[1].connect().run("PAUSE mail in");
    let look = &json_lines(&shown(&servers[0], &["--watch", "mail", "--json", "-r", "1", "-i", "0.05"]))[0];
    assert_eq!((&look["jobs"], &look["nodes"], &look["nodes_paused"]), (&2.into(), &2.into(), &1.into()));
    let lines = shown(&servers[0], &["--watch", "mail", "-r", "2", "-i", "0.05"]);
    let rows: Vec<&str> = lines.lines().collect();
    assert_eq!(rows.len(), 3, "{lines}");
    assert!(rows[1].ends_with("paused on 1 node"), "{lines}");
    let nothing = shown(&servers[0], &["--watch", "none", "-r", "1", "-i", "0.05", "--json"]);
    assert_eq!(json_lines(&nothing)[0]["nodes"], 0);
    let nothing = shown(&servers[0], &["--watch", "none", "-r", "1", "-i", "0.05"]);
    assert!(nothing.ends_with("  no node has this queue\n"), "{nothing}");
}

#[test]
fn latency_reports_and_ends_with_a_histogram() {
    let server = Server::start(&[]);
    let report = &json_lines(&shown(&server, &["--latency", "--json", "-r", "1", "-i", "0.2"]))[0];
    let number = |name: &str| report[name].as_f64().expect("a number");
    assert!(number("pings") >= 1.0 && number("min_us") <= number("p50_us"), "{report}");
    assert!(number("p50_us") <= number("p99_us") && number("p99_us") <= number("max_us"), "{report}");
    let text = shown(&server, &["--latency", "-r", "2", "-i", "0.1"]);
    assert_eq!(
        text.lines().filter(|line| line.contains(" pings: min ") || line.starts_with("1 ping: min ")).count(),
        2,
        "{text}"
    );
    assert!(
        text.lines().last().is_some_and(|line| line.starts_with("below ") && line.contains('%')),
        "{text}"
    );
}

#[test]
fn pipe_inserts_lines_and_protocol_and_counts_what_came_back() {
    let server = Server::start(&[]);
    let lines: String = (0..20_000).map(|n| format!("ADDJOB mass \"job {n}\" 0\n")).collect();
    let output = piped(&server, &["--pipe"], lines.as_bytes());
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(text(&output.stdout).starts_with("20000 replies, 0 errors, "), "{}", text(&output.stdout));
    assert_eq!(server.connect().run("QLEN mass"), Value::Int(20_000));
    let wire =
        [support::request(&["ADDJOB", "mass", "a\r\nb", "0"]), support::request(&["NONSENSE"])].concat();
    let output = piped(&server, &["--pipe"], &wire);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stdout).starts_with("2 replies, 1 error, "), "{}", text(&output.stdout));
    assert!(text(&output.stderr).contains("reply 2: ERR unknown command"), "{}", text(&output.stderr));
    let output = piped(&server, &["--pipe"], b"PING");
    assert!(text(&output.stdout).starts_with("1 reply, 0 errors, "), "a line without an end is one");
    let output = piped(&server, &["--pipe"], b"");
    assert!(text(&output.stdout).starts_with("0 replies, 0 errors, "));
}

#[test]
fn pipe_gives_up_waiting_for_replies() {
    let server = Server::start(&[]);
    let output = piped(&server, &["--pipe", "--pipe-timeout", "0.2"], b"GETJOB FROM never\n");
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("--pipe-timeout"), "{}", text(&output.stderr));
}

/// A running `--monitor`, and its lines.
struct Monitor {
    child: Child,
    lines: std::io::Lines<BufReader<std::process::ChildStdout>>,
}

impl Monitor {
    fn start(server: &Server) -> Monitor {
        let mut child = disque(server, &["--monitor"]).spawn().expect("the client runs");
        let lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        Monitor { child, lines }
    }

    fn waits_for(&mut self, part: &str) {
        assert!(self.lines.any(|line| line.is_ok_and(|line| line.contains(part))), "{part} is shown");
    }
}

impl Drop for Monitor {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn monitor_comes_back_after_a_loss_and_ends_on_a_signal() {
    let server = Server::start(&[]);
    let mut monitor = Monitor::start(&server);
    monitor.waits_for("OK");
    server.connect().run("PING first");
    monitor.waits_for("\"first\"");
    let mut operator = server.connect();
    let clients = match operator.run("CLIENT LIST") {
        Value::Bulk(text) => String::from_utf8_lossy(&text).into_owned(),
        other => panic!("{other:?}"),
    };
    let line = clients.lines().find(|line| line.contains("flags=O")).expect("the monitor is listed");
    let address = line.split(' ').find_map(|field| field.strip_prefix("addr=")).expect("it has an address");
    operator.run(&format!("CLIENT KILL {address}"));
    monitor.waits_for("OK");
    operator.run("PING second");
    monitor.waits_for("\"second\"");
    let id = i32::try_from(monitor.child.id()).expect("process IDs are small");
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(id), nix::sys::signal::Signal::SIGINT)
        .expect("it runs");
    assert_eq!(monitor.child.wait().expect("it ends").code(), Some(0));
}

#[test]
fn a_server_that_is_not_there_is_no_connection() {
    let port = support::free_port();
    for mode in ["--stat", "--latency", "--monitor", "--pipe"] {
        let output =
            Command::new(env!("CARGO_BIN_EXE_disque")).args(["-p", &port.to_string(), mode]).output();
        assert_eq!(output.expect("the client runs").status.code(), Some(3), "{mode}");
    }
}

#[test]
fn info_and_check_print_json() {
    let servers = pair();
    let info = &json_lines(&shown(&servers[0], &["--cluster", "info", "--json"]))[0];
    assert_eq!(info["nodes"].as_array().map(Vec::len), Some(2));
    assert!(info["nodes"].as_array().expect("a list").iter().all(|node| node["reachable"] == true), "{info}");
    let check = &json_lines(&shown(&servers[0], &["--cluster", "check", "--json"]))[0];
    assert_eq!(
        (&check["well"], &check["nodes"], &check["faults"]),
        (&true.into(), &2.into(), &serde_json::json!([]))
    );
    let output = disque(&servers[0], &["--cluster", "drain", "--json"]).output().expect("the client runs");
    assert_eq!(output.status.code(), Some(2), "drain prints progress, not JSON");
}

/// A terminal of its own, in tmux; ended when dropped.
struct Tmux(String);

impl Tmux {
    /// `None` where there is no tmux.
    fn start(command: &str) -> Option<Tmux> {
        let socket = format!("disque-test-{}", std::process::id());
        let run = Command::new("tmux")
            .args(["-L", &socket, "-f", "/dev/null", "new-session", "-d", "-x", "140", "-y", "30", command])
            .output();
        run.is_ok_and(|run| run.status.success()).then_some(Tmux(socket))
    }

    fn run(&self, args: &[&str]) -> Output {
        Command::new("tmux").args(["-L", &self.0]).args(args).output().expect("it was run before")
    }

    fn shows(&self, what: &str, holds: impl Fn(&str) -> bool) {
        let until = std::time::Instant::now() + support::PATIENCE;
        loop {
            let screen = text(&self.run(&["capture-pane", "-p"]).stdout);
            if holds(&screen) {
                return;
            }
            assert!(std::time::Instant::now() < until, "waited in vain until {what}:\n{screen}");
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    }
}

impl Drop for Tmux {
    fn drop(&mut self) {
        self.run(&["kill-server"]);
    }
}

#[test]
fn top_shows_a_cluster_on_a_terminal_and_goes_at_q() {
    let servers = pair();
    (0..3).for_each(|_| drop(servers[0].connect().run("ADDJOB mail x 0 REPLICATE 1")));
    servers[1].connect().run("ADDJOB images x 0 REPLICATE 1");
    let program = env!("CARGO_BIN_EXE_disque");
    let command = format!("'{program}' -p {} --top -i 0.1; echo it ended with $?; read", servers[0].port);
    let Some(terminal) = Tmux::start(&command) else {
        println!("SKIPPED: --top is not tested on a terminal without tmux (apt-get install tmux)");
        return;
    };
    terminal.shows("both nodes are well", |screen| screen.contains("2 of 2 nodes well  4 jobs in 2 queues"));
    let first_queue = |screen: &str| screen.lines().nth(6).unwrap_or_default().to_owned();
    terminal.shows("the longest queue comes first", |screen| first_queue(screen).starts_with("mail "));
    terminal.run(&["send-keys", "/", "imag", "Enter"]);
    terminal.shows("the filter holds", |screen| {
        first_queue(screen).starts_with("images ") && !screen.contains("mail ")
    });
    terminal.run(&["send-keys", "q"]);
    terminal
        .shows("it is gone", |screen| screen.contains("it ended with 0") && !screen.contains("nodes well"));
    let piped = disque(&servers[0], &["--top"]).output().expect("the client runs");
    assert_eq!(piped.status.code(), Some(2), "it needs a terminal");
}
