//! The Rust client against real servers: jobs, nodes that go, workers.
#![allow(missing_docs, unreachable_pub, reason = "a test program has no public interface")]

mod support;

use std::cell::Cell;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use disque::client::{AddOptions, Client, Config, Error, GetOptions, Job, Pool, Worker};
use disque::resp::Value;
use support::{PATIENCE, Server};

fn config(servers: &[&Server]) -> Config {
    let addresses: Vec<_> = servers.iter().map(|server| format!("127.0.0.1:{}", server.port)).collect();
    Config::new(&addresses.join(",")).expect("well-formed addresses")
}

fn client(server: &Server) -> Client {
    Client::connect(config(&[server])).expect("the server runs")
}

fn no_wait() -> GetOptions {
    GetOptions::new().timeout(Duration::ZERO)
}

/// Asks until the answer is yes.
fn eventually(mut question: impl FnMut() -> bool, what: &str) {
    let until = Instant::now() + PATIENCE;
    while !question() {
        assert!(Instant::now() < until, "{what}");
        std::thread::yield_now();
    }
}

/// Two nodes that each know the other as working.
fn pair() -> (Server, Server) {
    let (one, two) = (Server::start(&[]), Server::start(&[]));
    let meet = one.connect().run(&format!("CLUSTER MEET 127.0.0.1 {}", two.port));
    assert_eq!(meet, Value::ok());
    for server in [&one, &two] {
        let mut client = client(server).refreshed();
        eventually(|| client.sees_one_good_node(), "the nodes find each other");
    }
    (one, two)
}

trait Refreshed {
    fn refreshed(self) -> Client;
    fn sees_one_good_node(&mut self) -> bool;
}

impl Refreshed for Client {
    /// A client that asks for the nodes before each command.
    fn refreshed(self) -> Client {
        let node = self.node().expect("it is connected");
        let config = Config::new(&node).expect("an address").refresh(Duration::ZERO);
        Client::connect(config).expect("the server runs")
    }

    fn sees_one_good_node(&mut self) -> bool {
        self.command(&["PING"]).expect("the server runs");
        matches!(self.other_nodes(), [other] if other.priority == 1)
    }
}

#[test]
fn a_job_is_added_fetched_looked_at_given_back_and_acknowledged() {
    let server = Server::start(&[]);
    let mut client = client(&server);
    let options = AddOptions::new().retry(Duration::from_secs(90)).ttl(Duration::from_secs(1000));
    let id = client.add_job_with("q", b"a\r\nb\0", &options).expect("room for a job");
    assert_eq!(client.queue_len("q").expect("QLEN"), 1);
    let expected =
        Job { queue: b"q".into(), id, body: b"a\r\nb\0".into(), nacks: 0, additional_deliveries: 0 };
    assert_eq!(client.peek("q", 1).expect("QPEEK"), std::slice::from_ref(&expected));
    assert_eq!(client.get_jobs(&["none", "q"], no_wait()).expect("GETJOB"), [expected]);
    assert_eq!(client.working(&id).expect("WORKING"), Duration::from_secs(90));
    assert_eq!(client.nack(&[id]).expect("NACK"), 1);
    let again = client.get_jobs(&["q"], no_wait()).expect("GETJOB");
    assert_eq!(again.iter().map(|job| job.nacks).collect::<Vec<_>>(), [1]);
    let fields = client.show(&id).expect("SHOW").expect("it is known");
    assert_eq!((fields.text("state").as_deref(), fields.number("retry")), (Some("active"), Some(90)));
    assert_eq!(client.ack(&[id]).expect("ACKJOB"), 1);
    assert_eq!(client.show(&id).expect("SHOW"), None);
    assert_eq!(client.queue_stat("q").expect("QSTAT").expect("a queue").number("jobs-out"), Some(2));
}

#[test]
fn waiting_for_a_job_ends_at_its_time() {
    let server = Server::start(&[]);
    let options = GetOptions::new().timeout(Duration::from_millis(1));
    assert_eq!(client(&server).get_jobs(&["q"], options).expect("a server"), []);
}

#[test]
fn refusals_tell_their_code() {
    let server = Server::start(&[]);
    let mut client = client(&server);
    let error = client.add_job_with("q", "b", &AddOptions::new().replicate(2)).expect_err("a lone node");
    assert_eq!(error.code(), Some("NOREPL"));
    let error = client.command(&["NONSENSE"]).expect_err("no such command");
    assert_eq!(error.code(), Some("ERR"), "{error}");
}

#[test]
fn password_is_needed_and_travels_in_the_url() {
    let server = Server::start(&["--requirepass", "se:cret"]);
    let connect = |user: &str| {
        let config = Config::new(&format!("disque://{user}127.0.0.1:{}", server.port)).expect("a URL");
        Client::connect(config).map(drop)
    };
    assert!(matches!(connect(""), Err(Error::Denied { .. })));
    assert!(matches!(connect(":wrong@"), Err(Error::Denied { .. })));
    assert!(connect(":se:cret@").is_ok());
}

#[test]
fn nobody_there_is_said_with_every_address_after_bounded_rounds() {
    let port = support::free_port();
    let config = Config::new(&format!("127.0.0.1:{port}")).expect("an address").rounds(2);
    let Err(Error::Unreachable { tried }) = Client::connect(config).map(drop) else {
        panic!("nobody listens")
    };
    assert_eq!(tried, [(format!("127.0.0.1:{port}"), "Connection refused".to_string())]);
}

#[test]
fn a_client_goes_on_at_another_node_when_its_own_dies() {
    let (mut one, two) = pair();
    let mut client = client(&one);
    client.add_job_with("q", "b", &AddOptions::new().replicate(1)).expect("room for a job");
    one.child.kill().expect("it runs");
    one.wait();
    // The address of the second node is known from the first alone.
    client.queue_len("q").expect("there is another node");
    assert_eq!(client.node(), Some(format!("127.0.0.1:{}", two.port)));
}

#[test]
fn a_client_leaves_a_node_that_is_leaving() {
    let (one, two) = pair();
    let mut patient = client(&one);
    let mut curious = client(&one).refreshed();
    assert_eq!(one.connect().run("CLUSTER LEAVING yes"), Value::ok());
    curious.command(&["PING"]).expect("there is another node");
    assert_eq!(curious.node(), Some(format!("127.0.0.1:{}", two.port)), "HELLO said so");
    assert_eq!(patient.node(), Some(format!("127.0.0.1:{}", one.port)), "it has not asked");
    let options = GetOptions::new().timeout(Duration::from_millis(1));
    assert_eq!(patient.get_jobs(&["q"], options).expect("there is another node"), []);
    assert_eq!(patient.node(), Some(format!("127.0.0.1:{}", two.port)), "-LEAVING said so");
}

#[test]
fn an_addjob_whose_reply_was_lost_is_not_sent_again() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("bound").port();
    let (said, heard) = mpsc::channel();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut lines = BufReader::new(stream.try_clone().expect("a second handle")).lines();
            while let Some(Ok(line)) = lines.next() {
                match line.as_str() {
                    "HELLO" => stream.write_all(b"*0\r\n").expect("the client reads"),
                    "ADDJOB" => {
                        said.send(()).expect("the test listens");
                        break;
                    }
                    _ => {}
                }
            }
        }
    });
    let mut client =
        Client::connect(Config::new(&format!("127.0.0.1:{port}")).expect("an address")).expect("it greets");
    let error = client.add_job("q", "b").expect_err("no reply");
    assert!(matches!(error, Error::Lost { .. }), "{error}");
    drop(client);
    assert_eq!(heard.try_iter().count(), 1);
}

#[test]
fn a_mute_server_costs_the_reply_timeout_and_no_more() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("bound").port();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a client");
        let mut request = [0; 64];
        let _ = stream.read(&mut request).expect("a greeting");
        stream.write_all(b"*0\r\n").expect("the client reads");
        std::io::copy(&mut stream, &mut std::io::sink())
    });
    let config = Config::new(&format!("127.0.0.1:{port}")).expect("an address");
    let mut client = Client::connect(config.reply_timeout(Duration::from_millis(20))).expect("it greets");
    let error = client.command(&["PING"]).expect_err("no reply");
    assert!(error.to_string().contains("no reply came in time"), "{error}");
}

#[test]
fn a_pool_hands_out_as_many_clients_as_it_has() {
    let server = Server::start(&[]);
    let pool = Pool::new(&config(&[&server]), 1);
    let mut first = pool.get(Duration::ZERO).expect("one is free");
    first.add_job("q", "b").expect("room for a job");
    assert!(matches!(pool.get(Duration::ZERO).map(drop), Err(Error::PoolBusy { size: 1, .. })));
    let theirs = pool.clone();
    let waiter =
        std::thread::spawn(move || theirs.get(PATIENCE).and_then(|mut client| client.queue_len("q")));
    drop(first);
    assert_eq!(waiter.join().expect("no panic").expect("one came back"), 1);
}

#[test]
fn a_worker_acknowledges_what_succeeds_and_gives_back_what_fails() {
    let server = Server::start(&[]);
    let mut client = client(&server);
    client.add_job("q", "bad").expect("room for a job");
    client.add_job("q", "good").expect("room for a job");
    let worker = Worker::new(config(&[&server]), ["q"]);
    let stop = worker.stop_handle();
    let mut seen = Vec::new();
    let report = worker.run(|job| {
        seen.push((String::from_utf8_lossy(&job.body).into_owned(), job.nacks));
        if seen.len() == 3 {
            stop.stop();
        }
        if job.nacks == 0 && job.body == b"bad" { Err("not today") } else { Ok(()) }
    });
    let report = report.expect("the server runs");
    assert_eq!((report.done, report.failed, report.returned), (2, 1, 0));
    seen.sort();
    assert_eq!(seen, [("bad".into(), 0), ("bad".into(), 1), ("good".to_string(), 0)]);
    let info = server.connect().run("INFO jobs");
    assert!(
        matches!(&info, Value::Bulk(text) if text.starts_with(b"# Jobs\r\nregistered_jobs:0\r\n")),
        "{info:?}"
    );
}

#[test]
fn a_worker_renews_the_lease_of_a_job_that_takes_long() {
    let server = Server::start(&[]);
    let mut watcher = client(&server);
    watcher.add_job_with("q", "b", &AddOptions::new().retry(Duration::from_secs(1))).expect("room for a job");
    let worker = Worker::new(config(&[&server]), ["q"]).first_renewal(Duration::from_millis(50));
    let stop = worker.stop_handle();
    let deliveries = Cell::new(0);
    let report = worker.run(|job| {
        deliveries.set(deliveries.get() + 1);
        let mut last = i64::MAX;
        let mut rises = 0;
        // The time to the next delivery only falls, unless somebody says WORKING.
        eventually(
            || {
                let fields = watcher.show(&job.id).expect("SHOW").expect("it is known");
                let left = fields.number("next-requeue-within").expect("a time");
                rises += i32::from(left > last);
                last = left;
                rises == 3
            },
            "WORKING is said again and again",
        );
        stop.stop();
        Ok::<(), Error>(())
    });
    let report = report.expect("the server runs");
    assert_eq!((report.done, deliveries.get()), (1, 1));
    assert!(report.renewed >= 3, "{report:?}");
}

#[test]
fn a_stopped_worker_queues_again_what_it_has_not_begun() {
    let server = Server::start(&[]);
    let mut client = client(&server);
    for body in ["a", "b", "c"] {
        client.add_job("q", body).expect("room for a job");
    }
    let worker = Worker::new(config(&[&server]), ["q"]).count(3);
    let stop = worker.stop_handle();
    let report = worker.run(|_| {
        stop.stop();
        Ok::<(), Error>(())
    });
    let report = report.expect("the server runs");
    assert_eq!((report.done, report.returned), (1, 2));
    assert_eq!(client.queue_len("q").expect("QLEN"), 2);
}

#[test]
fn a_worker_outlives_its_node() {
    let (mut one, two) = pair();
    let worker = Worker::new(config(&[&one]), ["q"]);
    let stop = worker.stop_handle();
    let (said, heard) = mpsc::channel();
    let thread = std::thread::spawn(move || {
        worker.run(|job| said.send(job.body.clone()).map_err(|_| "the test is over"))
    });
    client(&one).add_job_with("q", "first", &AddOptions::new().replicate(1)).expect("room for a job");
    assert_eq!(heard.recv_timeout(PATIENCE).expect("the worker runs"), b"first");
    one.child.kill().expect("it runs");
    one.wait();
    client(&two).add_job_with("q", "second", &AddOptions::new().replicate(1)).expect("room for a job");
    assert_eq!(heard.recv_timeout(PATIENCE).expect("the worker found the other node"), b"second");
    stop.stop();
    assert_eq!(thread.join().expect("no panic").expect("a node runs").done, 2);
}
