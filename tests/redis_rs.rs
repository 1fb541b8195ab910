//! redis-rs, unmodified, against a real server: blocking, multiplexed and managed connections, in both protocols.
//!
//! The clients of other languages are in `tests/clients`.
#![allow(missing_docs, unreachable_pub, reason = "a test program has no public interface")]

mod support;

use std::collections::HashMap;
use std::time::Instant;

use redis::aio::ConnectionLike;
use redis::{Client, Cmd, Connection, ErrorKind, FromRedisValue, RedisError, RedisResult, Value, cmd, pipe};
use support::{PATIENCE, Server};

/// What stands behind the address to choose each protocol; the default is RESP2.
const PROTOCOLS: [&str; 3] = ["", "?protocol=resp2", "?protocol=resp3"];
const PASSWORD: &str = "sekret";

/// A row of GETJOB with counters.
type Counted = (String, String, Vec<u8>, String, u64, String, u64);

fn client(server: &Server, credentials: &str, options: &str) -> Client {
    let url = format!("redis://{credentials}127.0.0.1:{}/{options}", server.port);
    Client::open(url).expect("the address is right")
}

fn connect(server: &Server, protocol: &str) -> Connection {
    client(server, "", protocol).get_connection().expect("the handshake succeeds")
}

/// A command from words.
fn words(line: &str) -> Cmd {
    let mut words = line.split_whitespace();
    let mut command = cmd(words.next().expect("a command has a name"));
    for word in words {
        command.arg(word);
    }
    command
}

fn run<T: FromRedisValue>(connection: &mut Connection, line: &str) -> T {
    words(line).query(connection).unwrap_or_else(|error| panic!("{line}: {error}"))
}

fn error_of(result: RedisResult<Value>) -> RedisError {
    result.expect_err("the command is refused")
}

fn until_blocked(server: &Server, clients: u64) {
    let mut operator = connect(server, "");
    let end = Instant::now() + PATIENCE;
    while Instant::now() < end {
        let info: redis::InfoDict = run(&mut operator, "INFO");
        if info.get("blocked_clients") == Some(clients) {
            return;
        }
    }
    panic!("never {clients} clients blocked");
}

#[test]
fn jobs_go_through_their_life() {
    let server = Server::start(&[]);
    for protocol in PROTOCOLS {
        let mut connection = connect(&server, protocol);
        let id: String = run(&mut connection, "ADDJOB q body 0 RETRY 600");
        assert_eq!(run::<u64>(&mut connection, "QLEN q"), 1);
        let rows: Vec<(String, String, Vec<u8>)> = run(&mut connection, "GETJOB COUNT 5 FROM q");
        assert_eq!(rows, [("q".into(), id.clone(), b"body".to_vec())], "{protocol}");
        assert_eq!(run::<u64>(&mut connection, &format!("NACK {id}")), 1);
        let rows: Vec<Counted> = run(&mut connection, "GETJOB WITHCOUNTERS FROM q");
        assert_eq!((rows[0].4, rows[0].6), (1, 0), "{protocol}");
        let shown: HashMap<String, Value> = run(&mut connection, &format!("SHOW {id}"));
        assert_eq!(shown["state"], Value::BulkString(b"active".to_vec()), "{protocol}");
        assert_eq!((&shown["nacks"], shown.len()), (&Value::Int(1), 15), "{protocol}");
        let state: HashMap<String, Value> = run(&mut connection, "QSTAT q");
        assert_eq!(state["len"], Value::Int(0), "{protocol}");
        assert_eq!(run::<u64>(&mut connection, &format!("ACKJOB {id}")), 1);
        assert_eq!(run::<Option<Vec<Value>>>(&mut connection, &format!("SHOW {id}")), None);
        for nothing in ["GETJOB NOHANG FROM q", "GETJOB TIMEOUT 30 FROM q", "QSTAT unknown"] {
            assert_eq!(run::<Option<Vec<Value>>>(&mut connection, nothing), None, "{protocol}");
        }
    }
}

#[test]
fn passwords_let_in_or_keep_out() {
    let server = Server::start(&["--requirepass", PASSWORD]);
    for protocol in PROTOCOLS {
        for right in [":sekret@", "default:sekret@"] {
            let mut connection = client(&server, right, protocol).get_connection().expect("it is right");
            assert_eq!(run::<u64>(&mut connection, "QLEN q"), 0, "{protocol}");
        }
        for wrong in [":wrong@", "default:wrong@", "somebody:sekret@"] {
            let error = client(&server, wrong, protocol).get_connection().err().expect("it is wrong");
            // The library has a kind for what AUTH says, and none for what HELLO says.
            let failed = error.kind() == ErrorKind::AuthenticationFailed || error.code() == Some("WRONGPASS");
            assert!(failed, "{protocol} {wrong} {error}");
        }
        let refused =
            client(&server, "", protocol).get_connection().and_then(|mut c| words("QLEN q").query(&mut c));
        assert_eq!(error_of(refused).code(), Some("NOAUTH"), "{protocol}");
    }
    // A password that nobody asked for does no harm, if it comes with the user.
    let open = Server::start(&[]);
    for protocol in PROTOCOLS {
        let connection = client(&open, "default:any@", protocol).get_connection();
        assert_eq!(run::<u64>(&mut connection.expect("it is not asked for"), "QLEN q"), 0);
    }
}

#[test]
fn waiting_fetch_is_woken_by_a_producer() {
    let server = Server::start(&[]);
    for protocol in PROTOCOLS {
        let mut worker = connect(&server, protocol);
        let waiting =
            std::thread::spawn(move || run::<Vec<(String, String, String)>>(&mut worker, "GETJOB FROM q"));
        until_blocked(&server, 1);
        let id: String = run(&mut connect(&server, protocol), "ADDJOB q body 0");
        let rows = waiting.join().expect("the worker gets the job");
        assert_eq!(rows, [("q".into(), id, "body".into())], "{protocol}");
    }
}

#[test]
fn errors_are_errors() {
    let server = Server::start(&[]);
    for protocol in PROTOCOLS {
        let mut connection = connect(&server, protocol);
        for (line, code) in [
            ("NOSUCH", "ERR"),
            ("ADDJOB q", "ERR"),
            ("ACKJOB not-an-id", "BADID"),
            ("ADDJOB q body 100 REPLICATE 3", "NOREPL"),
        ] {
            let error = error_of(words(line).query(&mut connection));
            assert_eq!(error.code(), Some(code), "{protocol} {line}: {error}");
        }
        assert_eq!(run::<String>(&mut connection, "PING"), "PONG");
        let error = client(&server, "", &format!("1{protocol}")).get_connection().err();
        assert!(error.is_some(), "there is one database");
    }
}

#[test]
fn atomic_pipeline_is_a_transaction() {
    let server = Server::start(&[]);
    for protocol in PROTOCOLS {
        let mut connection = connect(&server, protocol);
        let mut transaction = pipe();
        transaction.atomic();
        transaction.add_command(words("ADDJOB q body 0")).add_command(words("QLEN q"));
        transaction.add_command(words("GETJOB FROM q")).add_command(words("GETJOB TIMEOUT 60000 FROM q"));
        type Replies = (String, u64, Vec<(String, String, String)>, Option<Vec<Value>>);
        let (id, len, rows, nothing): Replies = transaction.query(&mut connection).expect("it runs");
        assert_eq!((len, rows, nothing), (1, vec![("q".into(), id, "body".into())], None), "{protocol}");

        let mut broken = pipe();
        broken.atomic().add_command(words("ADDJOB q never 0")).add_command(words("ADDJOB q"));
        assert_eq!(error_of(broken.query(&mut connection)).code(), Some("EXECABORT"), "{protocol}");
        assert_eq!(run::<u64>(&mut connection, "QLEN q"), 0);
    }
}

#[test]
fn pipeline_keeps_the_order() {
    let server = Server::start(&[]);
    for protocol in PROTOCOLS {
        let mut connection = connect(&server, protocol);
        let mut pipeline = pipe();
        for number in 0..1000 {
            pipeline.cmd("ADDJOB").arg("q").arg(number).arg(0);
        }
        let ids: Vec<String> = pipeline.query(&mut connection).expect("all are added");
        let rows: Vec<(String, String, u32)> = run(&mut connection, "GETJOB COUNT 1000 FROM q");
        let fetched: Vec<_> = rows.into_iter().map(|(_, id, number)| (number, id)).collect();
        assert_eq!(fetched, (0..).zip(ids).collect::<Vec<_>>(), "{protocol}");
    }
}

#[test]
fn scan_visits_every_queue() {
    let server = Server::start(&[]);
    let mut connection = connect(&server, PROTOCOLS[2]);
    for number in 0..300 {
        run::<String>(&mut connection, &format!("ADDJOB queue/{number} body 0"));
    }
    let (mut cursor, mut found) = ("0".to_owned(), std::collections::BTreeSet::new());
    loop {
        let (next, queues): (String, Vec<String>) = run(&mut connection, &format!("QSCAN {cursor} COUNT 20"));
        found.extend(queues);
        cursor = next;
        if cursor == "0" {
            break;
        }
    }
    assert_eq!(found.len(), 300);
}

#[test]
fn large_bodies_come_back_whole() {
    let server = Server::start(&[]);
    for protocol in PROTOCOLS {
        let mut connection = connect(&server, protocol);
        for megabytes in [1, 20] {
            let body: Vec<u8> = (0..megabytes << 20).map(|i: u32| (i ^ i >> 8) as u8).collect();
            let id: String =
                cmd("ADDJOB").arg("q").arg(&body).arg(0).query(&mut connection).expect("it is added");
            let rows: Vec<(String, String, Vec<u8>)> = run(&mut connection, "GETJOB FROM q");
            assert!(rows == [("q".into(), id.clone(), body)], "{protocol} {megabytes} MB");
            run::<u64>(&mut connection, &format!("ACKJOB {id}"));
        }
    }
}

#[test]
fn configuration_is_a_map() {
    let server = Server::start(&[]);
    for protocol in PROTOCOLS {
        let mut connection = connect(&server, protocol);
        let config: HashMap<String, String> = run(&mut connection, "CONFIG GET *");
        assert_eq!(config["appendonly"], "no", "{protocol}");
        let list: String = run(&mut connection, "CLIENT LIST");
        assert!(list.contains(" lib-name=redis-rs lib-ver=1.8.1 "), "{list}");
    }
}

#[test]
fn worker_that_goes_away_gets_no_job() {
    let server = Server::start(&[]);
    for protocol in PROTOCOLS {
        let mut worker = connect(&server, protocol);
        worker.send_packed_command(&words("GETJOB FROM q").get_packed_command()).expect("it is sent");
        until_blocked(&server, 1);
        drop(worker);
        let mut living = connect(&server, protocol);
        run::<String>(&mut living, "ADDJOB q body 0");
        let rows: Vec<Counted> = run(&mut living, "GETJOB NOHANG WITHCOUNTERS FROM q");
        assert_eq!((rows.len(), rows[0].4, rows[0].6), (1, 0, 0), "{protocol}");
    }
}

async fn ask<T: FromRedisValue>(connection: &mut impl ConnectionLike, line: &str) -> T {
    words(line).query_async(connection).await.unwrap_or_else(|error| panic!("{line}: {error}"))
}

#[tokio::test]
async fn multiplexed_connection_serves_many_tasks() {
    let server = Server::start(&[]);
    for protocol in PROTOCOLS {
        let client = client(&server, "", protocol);
        let connection = client.get_multiplexed_async_connection().await.expect("the handshake succeeds");
        let tasks: Vec<_> = (0..50)
            .map(|task| {
                let mut connection = connection.clone();
                tokio::spawn(async move {
                    for number in 0..20 {
                        ask::<String>(&mut connection, &format!("ADDJOB q {task}-{number} 0")).await;
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.expect("all jobs are added");
        }
        let mut connection = connection;
        let rows: Vec<(String, String, String)> = ask(&mut connection, "GETJOB COUNT 2000 FROM q").await;
        let bodies: std::collections::BTreeSet<_> = rows.into_iter().map(|(_, _, body)| body).collect();
        assert_eq!(bodies.len(), 1000, "{protocol}");
        assert_eq!(ask::<Option<Vec<Value>>>(&mut connection, "GETJOB NOHANG FROM q").await, None);
        let transaction = {
            let mut transaction = pipe();
            transaction.atomic().add_command(words("ADDJOB q body 0")).add_command(words("QLEN q"));
            transaction
        };
        let (_, len): (String, u64) = transaction.query_async(&mut connection).await.expect("it runs");
        assert_eq!(len, 1, "{protocol}");
        ask::<Vec<Value>>(&mut connection, "GETJOB FROM q").await;
    }
}

/// The trap of 7.3 in the specification: the library stops waiting after half a second and keeps the connection.
#[tokio::test]
async fn multiplexed_connection_gives_up_a_long_fetch_and_goes_on() {
    let server = Server::start(&[]);
    for protocol in PROTOCOLS {
        let client = client(&server, "", protocol);
        let mut connection = client.get_multiplexed_async_connection().await.expect("the handshake succeeds");
        let given_up: RedisResult<Value> =
            words("GETJOB TIMEOUT 700 FROM q").query_async(&mut connection).await;
        assert!(error_of(given_up).is_timeout(), "{protocol}");
        assert_eq!(ask::<String>(&mut connection, "PING").await, "PONG", "{protocol}");
    }
}

#[tokio::test]
async fn managed_connection_survives_a_restart() {
    let server = Server::start(&[]);
    for protocol in PROTOCOLS {
        let mut manager = client(&server, "", protocol).get_connection_manager().await.expect("it connects");
        let before: redis::InfoDict = ask(&mut manager, "INFO server").await;
        let _: RedisResult<Value> = words("DEBUG RESTART").query_async(&mut manager).await;
        let end = Instant::now() + PATIENCE;
        loop {
            assert!(Instant::now() < end, "never back");
            let info: RedisResult<redis::InfoDict> = words("INFO server").query_async(&mut manager).await;
            let run_id = info.ok().and_then(|info| info.get::<String>("run_id"));
            if run_id.is_some() && run_id != before.get("run_id") {
                break;
            }
            // The manager connects again on this thread.
            tokio::task::yield_now().await;
        }
        assert_eq!(ask::<String>(&mut manager, "ADDJOB q after 0").await.len(), 40, "{protocol}");
    }
}
