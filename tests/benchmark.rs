//! The program `disque-benchmark` against a real server: every workload, with little to do.
#![allow(unreachable_pub, reason = "the helpers are shared between test programs")]

mod support;

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Output, Stdio};

use disque::resp::Value;
use support::Server;

fn benchmark(port: u16, words: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_disque-benchmark"))
        .args(["--port", &port.to_string()])
        .args(words.split_whitespace())
        .output()
        .expect("the program was built")
}

/// The fields of the only line that a run with `--json` prints.
fn measured(port: u16, words: &str) -> serde_json::Value {
    let output = benchmark(port, &format!("{words} --json"));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{words}: {}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(text.lines().count(), 1, "{text}");
    serde_json::from_str(&text).expect("JSON")
}

/// The null server, killed when dropped.
struct Null(Child);

impl Null {
    fn start() -> (Null, u16) {
        let mut child = Command::new(env!("CARGO_BIN_EXE_disque-benchmark"))
            .args(["--null", "0"])
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program was built");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("it is piped");
        BufReader::new(stdout).read_line(&mut line).expect("it tells its port");
        let port = line.trim().rsplit(':').next().and_then(|port| port.parse().ok()).expect("a port");
        (Null(child), port)
    }
}

impl Drop for Null {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn every_workload_does_its_count_and_leaves_no_job() {
    let server = Server::start(&[]);
    for (words, operations) in [
        ("ping --count 100", 100),
        ("add --count 100", 100),
        ("get --count 100", 100),
        ("ack --count 100", 100),
        ("cycle --count 100", 300),
        ("backlog 105", 315),
        ("queues 7 --count 100", 300),
        ("stages --count 100", 300),
        ("cycle --count 1000 --get-batch 64 --ack-batch 50", 3_000),
        ("cycle --count 100 --waiting 1000", 300),
        ("cycle --count 100 --body 1-300", 300),
        // More than the socket buffers hold, so that writing has to wait for reading.
        ("cycle --count 1500 --body 20000", 4_500),
    ] {
        let fields = measured(server.port, &format!("{words} --connections 3 --window 500"));
        assert_eq!(fields["operations"], operations, "{words}");
        assert_eq!(fields["voids"], 0, "{words}");
        assert_eq!(fields["workload"], words.split(' ').next().expect("a word"));
        assert_eq!(server.connect().run("DEBUG AUDIT"), Value::Status("OK".to_string()));
        let info = server.connect().run("INFO jobs");
        let Value::Bulk(info) = info else { panic!("INFO answers {info:?}") };
        assert!(String::from_utf8_lossy(&info).contains("registered_jobs:0\r\n"), "{words}");
    }
}

#[test]
fn process_of_the_server_is_found_by_its_port() {
    let server = Server::start(&[]);
    let fields = measured(server.port, "backlog 5 --connections 1");
    assert!(fields["rss_full"].as_u64() > Some(0), "{fields}");
    assert!(fields["cpu_ticks"].is_u64(), "{fields}");
    assert_eq!(fields["slices"].as_array().map(Vec::len), Some(10), "{fields}");
    assert!(fields["drain_cpu_usec_per_job"].is_number(), "{fields}");
    assert_eq!(fields["jobs"], 5, "{fields}");
}

#[test]
fn every_job_of_the_open_load_is_delivered_and_timed() {
    let server = Server::start(&[]);
    let fields = measured(server.port, "latency 2000 --count 500 --connections 6 --spread 3");
    assert_eq!((&fields["jobs"], &fields["rate"]), (&500.into(), &2000.into()));
    for name in ["latency", "add_latency"] {
        let of = |quantile: &str| fields[format!("{name}_{quantile}_usec")].as_f64().expect("a number");
        assert!(of("p50") > 0.0 && of("p50") <= of("p999") && of("p999") <= of("max"), "{fields}");
    }
    let Value::Bulk(info) = server.connect().run("INFO jobs") else { panic!("INFO is text") };
    assert!(String::from_utf8_lossy(&info).contains("registered_jobs:0\r\n"), "none is left");
}

#[test]
fn stages_are_measured_each_for_itself() {
    let server = Server::start(&[]);
    let fields = measured(server.port, "stages --count 5000");
    for stage in ["add", "get", "ack"] {
        assert!(fields[format!("{stage}_cpu_usec_per_job")].is_number(), "{fields}");
    }
    assert_eq!(fields["jobs"], 5_000);
}

#[test]
fn progress_is_shown_where_there_is_no_terminal_only_on_request() {
    let (_null, port) = Null::start();
    let quiet = benchmark(port, "ping --seconds 0.01 --peer null");
    let said = String::from_utf8_lossy(&quiet.stderr).into_owned();
    assert!(!said.contains("operations,"), "{said}");
    let told = benchmark(port, "ping --seconds 1.1 --peer null --progress");
    let said = String::from_utf8_lossy(&told.stderr).into_owned();
    assert!(said.starts_with("ping: ") && said.contains("operations,"), "{said}");
}

#[test]
fn what_a_peer_cannot_do_is_wrong_usage() {
    let output = benchmark(1, "cycle --peer beanstalkd --get-batch 2");
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("beanstalkd has no requests for several jobs"));
}

#[test]
fn load_is_spread_over_all_nodes_that_are_named() {
    let servers = [Server::start(&[]), Server::start(&[]), Server::start(&[])];
    let nodes = format!("--nodes 127.0.0.1:{},localhost:{}", servers[1].port, servers[2].port);
    let words = format!("cycle --count 600 --connections 3 --window 1 --replicate 1 {nodes}");
    let fields = measured(servers[0].port, &words);
    assert_eq!((&fields["operations"], &fields["voids"]), (&1_800.into(), &0.into()));
    assert!(fields["cpu_ticks"].is_u64(), "{fields}");
    for server in &servers {
        let Value::Bulk(stats) = server.connect().run("INFO commandstats") else { panic!("INFO is text") };
        let stats = String::from_utf8_lossy(&stats).into_owned();
        assert!(stats.contains("cmdstat_addjob:calls="), "it had its share:\n{stats}");
    }
    let alone = benchmark(servers[0].port, "add --count 1 --replicate 2");
    let said = String::from_utf8_lossy(&alone.stderr).into_owned();
    assert!(said.contains("NOREPL"), "copies are asked for: {said}");
}

#[test]
fn blocked_clients_are_counted_and_measured() {
    let server = Server::start(&[]);
    let fields = measured(server.port, "blocked 20 3 --seconds 0.01");
    assert_eq!((&fields["clients"], &fields["queues"]), (&20.into(), &3.into()));
    assert!(fields["rss_per_client"].is_number(), "{fields}");
}

#[test]
fn queue_with_jobs_of_others_is_not_touched() {
    let server = Server::start(&[]);
    server.connect().run("ADDJOB mine body 0");
    let output = benchmark(server.port, "cycle --count 1 --queue mine");
    assert_eq!(output.status.code(), Some(1));
    let expected = "disque-benchmark: queue \"mine\" has 1 jobs already; choose another one with --queue\n";
    assert_eq!(String::from_utf8_lossy(&output.stderr), expected);
    assert_eq!(server.connect().run("QLEN mine"), Value::Int(1));
}

#[test]
fn error_of_the_server_ends_the_run_with_its_text() {
    let server = Server::start(&["--maxmemory", "1"]);
    let output = benchmark(server.port, "add --count 1");
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(text.starts_with("disque-benchmark: the server answers with an error: OOM"), "{text}");
}

#[test]
fn null_server_is_asked_as_ours_is() {
    let (_null, port) = Null::start();
    let fields = measured(port, "cycle --count 1000 --peer null --window 7");
    assert_eq!((&fields["operations"], &fields["voids"]), (&3_000.into(), &0.into()));
}

#[test]
fn csv_has_one_head_and_a_line_per_run() {
    let (_null, port) = Null::start();
    let output = benchmark(port, "ping --count 10 --peer null --repeat 2 --csv");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 3, "{text}");
    assert!(
        lines[0].starts_with("title,workload,peer,") && lines[2].starts_with("ping window 16,ping,null,"),
        "{text}"
    );
}

#[test]
fn files_of_results_are_summed_up_compared_and_drawn() {
    let dir = std::env::temp_dir().join(format!("disque-benchmark-{}", std::process::id()));
    let _ = fs::remove_dir_all(&dir);
    fs::create_dir_all(&dir).expect("a place for files");
    let (_null, port) = Null::start();
    let output = benchmark(port, "cycle --count 10 --peer null --repeat 3 --json --title one,two");
    let path = |name: &str| dir.join(name).to_string_lossy().into_owned();
    fs::write(path("a.json"), &output.stdout).expect("it can be written");
    let text = |words: &str| {
        let output = benchmark(port, words);
        assert!(output.status.success(), "{words}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let table = text(&format!("summary {} --svg {}", path("a.json"), path("plots")));
    assert!(table.starts_with("### one,two\n\n| server |") && table.contains("| null |"), "{table}");
    let chart = fs::read_to_string(dir.join("plots/one-two.svg")).expect("a chart");
    assert!(chart.starts_with("<svg ") && chart.contains(">null</text>"), "{chart}");
    let same = text(&format!("compare {} {}", path("a.json"), path("a.json")));
    assert!(same.contains("one,two, null") && same.contains("+0.0 %"), "{same}");
    fs::write(path("b.json"), "{}\n").expect("it can be written");
    let wrong = benchmark(port, &format!("compare {} {}", path("a.json"), path("b.json")));
    let said = String::from_utf8_lossy(&wrong.stderr).into_owned();
    assert!(said.contains("b.json: line 1: has no title"), "{said}");
    fs::remove_dir_all(&dir).expect("it is ours");
}
