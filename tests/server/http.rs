//! The HTTP port: metrics, health, the page's questions, and what it refuses.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, TcpStream};
use std::time::Duration;

use disque::admin;
use disque::resp::Value;

use crate::support::{PATIENCE, Server, free_port};
use crate::tools::{alone, text, wait_until};

/// What came back.
struct Answer {
    code: u16,
    head: String,
    body: String,
}

impl Answer {
    fn json(&self) -> serde_json::Value {
        assert_eq!(self.code, 200, "{}", self.body);
        serde_json::from_str(&self.body).expect("the answer is JSON")
    }
}

/// A server with an HTTP port.
struct Http {
    server: Server,
    port: u16,
}

impl Http {
    fn start(args: &[&str]) -> Http {
        let port = free_port();
        let number = port.to_string();
        let server = Server::start(&[&["--http-port", &number], args].concat());
        Http { server, port }
    }

    fn stream(&self) -> TcpStream {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).expect("HTTP is served");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout can be set");
        stream
    }

    /// Sends these bytes and reads until the server closes.
    fn exchange(&self, bytes: &[u8]) -> Answer {
        let mut stream = self.stream();
        stream.write_all(bytes).expect("the server reads");
        let mut all = Vec::new();
        stream.read_to_end(&mut all).expect("an answer comes, and the end");
        answer(&all)
    }

    fn get_with(&self, path: &str, fields: &str) -> Answer {
        let request = format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n{fields}\r\n");
        self.exchange(request.as_bytes())
    }

    fn get(&self, path: &str) -> Answer {
        self.get_with(path, "")
    }

    fn post(&self, path: &str, fields: &str, body: &str) -> Answer {
        let length = body.len();
        let request = format!(
            "POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nContent-Length: {length}\r\n\
             {fields}\r\n{body}"
        );
        self.exchange(request.as_bytes())
    }

    fn metric(&self, series: &str) -> f64 {
        let all = self.get("/metrics").body;
        let value = all.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        value.unwrap_or_else(|| panic!("{series} in\n{all}")).parse().expect("values are numbers")
    }
}

fn answer(bytes: &[u8]) -> Answer {
    let all = String::from_utf8_lossy(bytes).into_owned();
    let (head, body) = all.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no HTTP: {all:?}"));
    let code = head.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status line");
    Answer { code, head: head.to_owned(), body: body.to_owned() }
}

#[test]
fn metrics_tell_every_family_of_the_table_and_count_jobs() {
    let http = Http::start(&[]);
    let mut connection = http.server.connect();
    for body in ["a", "b", "c"] {
        connection.run(&format!("ADDJOB mail {body} 0"));
    }
    connection.run("GETJOB FROM mail");
    let answer = http.get("/metrics");
    assert_eq!(answer.code, 200);
    assert!(answer.head.contains("Content-Type: text/plain; version=0.0.4; charset=utf-8"));
    let typed: Vec<&str> = answer.body.lines().filter_map(|line| line.strip_prefix("# TYPE ")).collect();
    let told: Vec<&str> = typed.iter().filter_map(|line| line.split(' ').next()).collect();
    let known: Vec<&str> = admin::metrics().map(|metric| metric.name).collect();
    assert_eq!(told, known);
    let has =
        |line: &str| assert!(answer.body.lines().any(|found| found == line), "{line} in\n{}", answer.body);
    has("disque_jobs{state=\"queued\"} 2");
    has("disque_queue_jobs{queue=\"mail\"} 2");
    has("disque_queue_jobs_in_flight{queue=\"mail\"} 1");
    has("disque_queue_jobs_in_total{queue=\"mail\"} 3");
    has("disque_queue_jobs_out_total{queue=\"mail\"} 1");
    has("disque_command_calls_total{command=\"addjob\"} 3");
    has("disque_cluster_nodes{state=\"good\"} 1");
}

#[test]
fn queues_beyond_the_limit_are_summed() {
    let http = Http::start(&["--http-metrics-queues", "2"]);
    let mut connection = http.server.connect();
    for queue in ["a", "b", "b", "c", "c", "c"] {
        connection.run(&format!("ADDJOB {queue} x 0"));
    }
    let told = || -> BTreeMap<String, String> {
        let all = http.get("/metrics").body;
        let samples = all.lines().filter_map(|line| line.strip_prefix("disque_queue_jobs{"));
        let samples = samples.filter_map(|sample| sample.split_once("} "));
        samples.map(|(label, value)| (label.to_owned(), value.to_owned())).collect()
    };
    let expected = [("queue=\"b\"", "2"), ("queue=\"c\"", "3"), ("rest=\"yes\"", "1")];
    assert_eq!(told(), expected.map(|(label, value)| (label.to_owned(), value.to_owned())).into());
    connection.run("CONFIG SET http-metrics-queues 3");
    assert_eq!(told().len(), 3);
    assert!(!told().contains_key("rest=\"yes\""));
}

#[test]
fn a_lone_node_is_alive_and_ready_and_says_why_not() {
    let http = Http::start(&[]);
    assert_eq!((http.get("/health/live").code, http.get("/health/live").body.as_str()), (200, "alive\n"));
    assert_eq!((http.get("/health/ready").code, http.get("/health/ready").body.as_str()), (200, "ready\n"));
    http.server.connect().run("CLUSTER LEAVING yes");
    let answer = http.get("/health/ready");
    assert_eq!((answer.code, answer.body.as_str()), (503, "leaving the cluster\n"));
    assert_eq!(http.get("/health/live").code, 200);
    http.server.connect().run("CLUSTER LEAVING no");
    assert_eq!(http.get("/health/ready").code, 200);
}

#[test]
fn a_stuck_event_loop_is_neither_alive_nor_ready() {
    let http = Http::start(&[]);
    http.server.connect().send(&["DEBUG", "SLEEP", "8"]);
    wait_until("the loop sleeps", || http.get("/health/live").code == 503);
    let answer = http.get("/health/ready");
    assert_eq!((answer.code, answer.body.as_str()), (503, "the event loop has not answered for 2 seconds\n"));
    wait_until("it is awake again", || http.get("/health/live").code == 200);
}

#[test]
fn with_a_password_only_the_health_is_for_everybody() {
    let http = Http::start(&["--requirepass", "sekret", "--http-page", "yes"]);
    for path in ["/health/live", "/health/ready"] {
        assert_eq!(http.get(path).code, 200, "{path}");
    }
    for path in ["/metrics", "/", "/page.js", "/api/overview", "/api/queues", "/nothing"] {
        let refused = http.get(path);
        assert_eq!(refused.code, 401, "{path}");
        assert!(refused.head.contains("WWW-Authenticate: Basic realm=\"disque\""));
        assert_eq!(http.get_with(path, "Authorization: Bearer sekre\r\n").code, 401, "{path}");
    }
    // user:sekret
    for field in ["Authorization: Basic dXNlcjpzZWtyZXQ=\r\n", "Authorization: Bearer sekret\r\n"] {
        assert_eq!(http.get_with("/metrics", field).code, 200);
        assert_eq!(http.get_with("/", field).code, 200);
    }
    let mut connection = http.server.connect();
    connection.run("AUTH sekret");
    connection.run("CONFIG SET requirepass other");
    assert_eq!(http.get_with("/metrics", "Authorization: Bearer sekret\r\n").code, 401);
}

#[test]
fn the_page_is_off_unless_it_is_turned_on() {
    let http = Http::start(&[]);
    for path in ["/", "/page.js", "/api/overview", "/api/queue?name=q"] {
        assert_eq!(http.get(path).code, 404, "{path}");
    }
    http.server.connect().run("CONFIG SET http-page yes");
    for path in ["/", "/page.js", "/page.css", "/api/overview", "/api/queues"] {
        let answer = http.get(path);
        assert_eq!(answer.code, 200, "{path}");
        assert!(
            answer.head.contains("Content-Security-Policy: default-src 'none'; script-src 'self'"),
            "{path}"
        );
        assert!(answer.head.contains("X-Content-Type-Options: nosniff"), "{path}");
    }
    let foreign = http.exchange(b"GET /api/overview HTTP/1.0\r\nHost: evil.example\r\n\r\n");
    assert_eq!(foreign.code, 403, "a name that others can choose");
}

#[test]
fn the_page_is_told_of_queues_and_jobs_as_data() {
    let http = Http::start(&["--http-page", "yes"]);
    let mut connection = http.server.connect();
    connection.send(&["ADDJOB", "<b>", "<script>alert(1)</script>", "0"]);
    let id = text(&connection.reply());
    connection.send(&[b"ADDJOB".as_slice(), b"raw\xff", b"\x00\xfe", b"0"]);
    connection.reply();
    let overview = http.get("/api/overview").json();
    assert_eq!((&overview["jobs"]["queued"], &overview["queues"]), (&2.into(), &2.into()));
    let queues = http.get("/api/queues?sort=name").json();
    let names: Vec<_> =
        queues["queues"].as_array().expect("a list").iter().map(|queue| &queue["name"]).collect();
    assert_eq!(names, [&serde_json::json!("<b>"), &serde_json::json!({"base64": "cmF3/w=="})]);
    let found = http.get("/api/queues?find=B%3E&limit=1").json();
    assert_eq!(
        (&found["total"], &found["found"], &found["queues"][0]["name"]),
        (&2.into(), &1.into(), &"<b>".into())
    );
    let queue = http.get("/api/queue?name=%3Cb%3E").json();
    assert_eq!(queue["next"][0]["body"], "<script>alert(1)</script>");
    let raw = http.get("/api/queue?name=raw%ff").json();
    assert_eq!(raw["next"][0]["body"], serde_json::json!({"base64": "AP4="}));
    let job = http.get(&format!("/api/job?id={id}").replace('+', "%2B")).json();
    assert_eq!((&job["state"], &job["queue"], &job["size"]), (&"queued".into(), &"<b>".into(), &25.into()));
    assert_eq!(http.get("/api/job?id=D-1").code, 400);
    assert_eq!(http.get("/api/queue?name=none").code, 404);
}

const OWN: &str = "X-Disque-Action: pause\r\nContent-Type: application/json\r\n";

#[test]
fn the_page_can_pause_and_resume_and_nothing_else() {
    let http = Http::start(&["--http-page", "yes"]);
    let wish = |state: &str| format!(r#"{{"queue": "q", "state": "{state}"}}"#);
    let paused = http.post("/api/pause", OWN, &wish("in")).json();
    assert_eq!(paused["state"], "in");
    let mut connection = http.server.connect();
    assert_eq!(text(&connection.run("PAUSE q state")), "in");
    assert!(matches!(connection.run("ADDJOB q x 0"), Value::Error(text) if text.starts_with(b"PAUSED")));
    http.post("/api/pause", OWN, &wish("none")).json();
    assert_eq!(text(&connection.run("PAUSE q state")), "none");
    assert_eq!(http.post("/api/pause", OWN, &wish("gone")).code, 400);
    for (fields, why) in [
        ("Content-Type: application/json\r\n".to_owned(), "a form of another page cannot send the field"),
        (format!("{OWN}Origin: http://evil.example\r\n"), "another page"),
        (format!("{OWN}Sec-Fetch-Site: cross-site\r\n"), "another site"),
    ] {
        assert_eq!(http.post("/api/pause", &fields, &wish("all")).code, 403, "{why}");
    }
    assert_eq!(text(&connection.run("PAUSE q state")), "none");
    assert_eq!(http.get("/api/pause").code, 405);
    for path in ["/", "/metrics", "/api/queues", "/health/live", "/health/ready"] {
        assert_eq!(http.post(path, OWN, "{}").code, 405, "{path}");
    }
    assert_eq!(http.post("/api/delete", OWN, "{}").code, 404);
}

#[test]
fn a_connection_carries_many_requests_and_their_pipelines() {
    let http = Http::start(&[]);
    let mut stream = http.stream();
    let three = "GET /health/live HTTP/1.1\r\n\r\nHEAD /health/live HTTP/1.1\r\n\r\n\
                 GET /health/ready HTTP/1.1\r\nConnection: close\r\n\r\n";
    stream.write_all(three.as_bytes()).expect("the server reads");
    let mut all = String::new();
    stream.read_to_string(&mut all).expect("the server closes after the last");
    assert_eq!(all.matches("HTTP/1.1 200 OK").count(), 3);
    assert_eq!(all.matches("alive\n").count(), 1, "HEAD has no body");
    assert!(all.ends_with("ready\n"));
}

#[test]
fn what_is_no_request_is_answered_and_closed() {
    let http = Http::start(&[]);
    let long = format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(10_000));
    let large = "POST /api/pause HTTP/1.1\r\nContent-Length: 100000\r\n\r\n".to_owned();
    let chunked = "POST /api/pause HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned();
    let cases = [("*1\r\n$4\r\nPING\r\n\r\n".to_owned(), 400), (long, 431), (large, 413), (chunked, 411)];
    for (bytes, code) in cases {
        let mut stream = http.stream();
        // The server may close before it has read all.
        let _ = stream.write_all(bytes.as_bytes());
        let _ = stream.shutdown(Shutdown::Write);
        let mut all = Vec::new();
        let _ = stream.read_to_end(&mut all);
        assert_eq!(answer(&all).code, code, "{bytes:.60}");
    }
    assert_eq!(http.exchange(b"BREW / HTTP/1.0\r\n\r\n").code, 404);
    assert_eq!(http.exchange(b"BREW /metrics HTTP/1.0\r\n\r\n").code, 405);
}

#[test]
fn connections_beyond_the_limit_are_told_so_and_places_become_free() {
    let http = Http::start(&[]);
    let mut held: Vec<TcpStream> = Vec::new();
    let is_full = |stream: &mut TcpStream| {
        stream.write_all(b"GET /health/live HTTP/1.1\r\n\r\n").expect("the server reads");
        let mut bytes = [0; 1024];
        let n = stream.read(&mut bytes).expect("an answer comes");
        answer(&bytes[..n]).code == 503
    };
    loop {
        let mut stream = http.stream();
        if is_full(&mut stream) {
            break;
        }
        held.push(stream);
        assert!(held.len() < 1000, "there is a limit");
    }
    assert_eq!(held.len(), 32);
    held.clear();
    wait_until("places are free", || !is_full(&mut http.stream()));
}

#[test]
fn a_scrape_of_many_queues_holds_nobody_up() {
    let _alone = alone();
    let http = Http::start(&["--http-metrics-queues", "100000", "--http-page", "yes"]);
    let mut connection = http.server.connect();
    const QUEUES: usize = 10_000;
    for batch in 0..QUEUES / 500 {
        let wire: Vec<u8> = (0..500)
            .flat_map(|n| {
                crate::support::request(&["ADDJOB", &format!("queue-{:05}", batch * 500 + n), "x", "0"])
            })
            .collect();
        connection.send_raw(&wire);
        (0..500).for_each(|_| drop(connection.reply()));
    }
    let begin = std::time::Instant::now();
    let all = http.get("/metrics");
    let took = begin.elapsed();
    let told: BTreeSet<&str> =
        all.body.lines().filter(|line| line.starts_with("disque_queue_jobs{")).collect();
    assert_eq!(told.len(), QUEUES);
    let spent = http.metric("disque_http_loop_seconds_total");
    let longest = http.metric("disque_http_loop_max_seconds");
    // Not asserted: it depends on the machine. One question is about 512 queues, whatever there is to tell.
    println!(
        "scrape of {QUEUES} queues: {} bytes in {took:?}; the event loop spent {:?}, at most {:?} at a time",
        all.body.len(),
        Duration::from_secs_f64(spent),
        Duration::from_secs_f64(longest),
    );
    let queues = http.get("/api/queues?sort=jobs&limit=50").json();
    assert_eq!((&queues["total"], queues["queues"].as_array().map(Vec::len)), (&QUEUES.into(), Some(50)));
}

#[test]
fn a_port_that_is_taken_keeps_the_server_from_starting() {
    let http = Http::start(&[]);
    let output = std::process::Command::new(crate::tools::PROGRAM)
        .args(["--port", &free_port().to_string(), "--http-port", &http.port.to_string(), "--dir"])
        .arg(http.server.dir.path().join(".."))
        .args(["--cluster-config-file", &format!("taken-{}.conf", http.port)])
        .output()
        .expect("the program runs");
    let _ = std::fs::remove_file(http.server.dir.path().join(format!("../taken-{}.conf", http.port)));
    assert_eq!(output.status.code(), Some(1));
    let said =
        String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("choose another port with --http-port"), "{said}");
}
