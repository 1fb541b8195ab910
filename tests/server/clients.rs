//! Commands about connections: who may speak, who is answered, who has to wait, who has to go.

use std::time::{Duration, Instant};

use disque::resp::Value;

use crate::support::{Connection, Server, request};
use crate::tools::{
    addr_of, bodies, client_line, error, freeze, info, let_pass, text, wait_blocked, wait_until,
};

const NOAUTH: &str = "NOAUTH Authentication required.";

#[test]
fn without_the_password_nothing_but_auth_and_quit_is_run() {
    let server = Server::start(&["--requirepass", "sekret"]);
    let mut client = server.connect();
    for words in
        ["PING", "ADDJOB q x 0", "GETJOB FROM q", "INFO", "CONFIG GET *", "SHUTDOWN", "MONITOR", "MULTI"]
    {
        assert_eq!(client.run(words), error(NOAUTH), "{words}");
    }
    assert_eq!(client.run("FOO"), error("ERR unknown command 'FOO'"), "published order of the checks");
    assert_eq!(client.run("QLEN"), error("ERR wrong number of arguments for 'qlen' command"));
    assert_eq!(client.run("AUTH wrong"), error("ERR invalid password"));
    assert_eq!(client.run("PING"), error(NOAUTH));
    assert_eq!(client.run("AUTH sekret"), Value::ok());
    assert_eq!(client.run("PING"), Value::status("PONG"));
    assert_eq!(client.run("AUTH wrong"), error("ERR invalid password"));
    assert_eq!(client.run("PING"), error(NOAUTH), "a wrong password takes the right away");
    let mut other = server.connect();
    assert_eq!(other.run("QUIT with any words"), Value::ok());
    assert_eq!(other.rest(), b"");
}

#[test]
fn a_pipeline_of_one_without_the_password_is_refused_reply_by_reply() {
    let server = Server::start(&["--requirepass", "sekret"]);
    let mut client = server.connect();
    let add = request(&["ADDJOB", "q", "x", "0"]);
    client.send_raw(
        &[add.clone(), request(&["AUTH", "no"]), add.clone(), request(&["AUTH", "sekret"]), add].concat(),
    );
    assert_eq!(client.reply(), error(NOAUTH));
    assert_eq!(client.reply(), error("ERR invalid password"));
    assert_eq!(client.reply(), error(NOAUTH));
    assert_eq!(client.reply(), Value::ok());
    assert!(matches!(client.reply(), Value::Status(_)));
    assert_eq!(client.run("QLEN q"), Value::Int(1));
}

#[test]
fn a_password_set_at_run_time_holds_at_once_for_all() {
    let server = Server::start(&[]);
    let (mut setter, mut other) = (server.connect(), server.connect());
    assert_eq!(setter.run("AUTH x"), error("ERR Client sent AUTH, but no password is set"));
    assert_eq!(other.run("PING"), Value::status("PONG"));
    assert_eq!(setter.run("CONFIG SET requirepass sekret"), Value::ok());
    assert_eq!(setter.run("PING"), error(NOAUTH));
    assert_eq!(other.run("PING"), error(NOAUTH));
    assert_eq!(other.run("AUTH sekret"), Value::ok());
    other.send(&["CONFIG", "SET", "requirepass", ""]);
    assert_eq!(other.reply(), Value::ok());
    assert_eq!(setter.run("PING"), Value::status("PONG"));
}

#[test]
fn quit_is_answered_and_ends_the_pipeline() {
    let server = Server::start(&[]);
    let mut client = server.connect();
    client.send_raw(&[b"PING\r\nqUiT\r\n".to_vec(), request(&["ADDJOB", "q", "x", "0"])].concat());
    assert_eq!(client.rest(), b"+PONG\r\n+OK\r\n");
    assert_eq!(server.connect().run("QLEN q"), Value::Int(0));
}

#[test]
fn commands_behind_a_blocking_one_wait_for_it() {
    let server = Server::start(&[]);
    let (mut client, mut other) = (server.connect(), server.connect());
    let get = request(&["GETJOB", "FROM", "q"]);
    client.send_raw(&[get.clone(), b"PING\r\n".to_vec(), get, b"PING 2\r\n".to_vec()].concat());
    wait_blocked(&mut other, 1);
    other.run("ADDJOB q one 0");
    assert_eq!(bodies(&client.reply()), ["one"]);
    assert_eq!(client.reply(), Value::status("PONG"));
    wait_blocked(&mut other, 1);
    other.run("ADDJOB q two 0");
    assert_eq!(bodies(&client.reply()), ["two"]);
    assert_eq!(client.reply(), Value::bulk("2"));
}

#[test]
fn a_blocked_client_may_send_much_and_is_served_when_it_is_free() {
    const PINGS: usize = 50_000;
    let server = Server::start(&[]);
    let (mut client, mut other) = (server.connect(), server.connect());
    client.send(&["GETJOB", "FROM", "q"]);
    wait_blocked(&mut other, 1);
    let mut writing = client.stream.try_clone().expect("a socket can be cloned");
    let flood =
        std::thread::spawn(move || std::io::Write::write_all(&mut writing, &b"PING\r\n".repeat(PINGS)));
    assert_eq!(other.run("PING"), Value::status("PONG"));
    other.run("ADDJOB q x 0");
    assert_eq!(bodies(&client.reply()), ["x"]);
    for _ in 0..PINGS {
        assert_eq!(client.reply(), Value::status("PONG"));
    }
    flood.join().expect("the thread ends").expect("the server reads");
}

/// A trace line without its time.
fn trace(monitor: &mut Connection) -> String {
    let line = text(&monitor.reply());
    let (time, rest) = line.split_once(' ').expect("a time and more");
    assert!(
        time.split_once('.').is_some_and(|(secs, micros)| secs.len() == 10 && micros.len() == 6),
        "{line}"
    );
    rest.to_owned()
}

#[test]
fn monitors_see_every_command_but_no_password() {
    let server = Server::start(&["--requirepass", "sekret"]);
    let (mut monitor, mut client) = (server.connect(), server.connect());
    assert_eq!(monitor.run("AUTH sekret"), Value::ok());
    assert_eq!(monitor.run("MONITOR"), Value::ok());
    let (me, it) = (addr_of(&monitor), addr_of(&client));
    client.run("PING"); // Refused, and not shown.
    client.run("AUTH sekret");
    assert_eq!(trace(&mut monitor), format!("[0 {it}] \"AUTH\" \"(redacted)\""));
    client.send(&[b"ECHO".as_slice(), b"a\"b\\\r\n\t\0\x07\x08\xff"]);
    client.reply();
    assert_eq!(trace(&mut monitor), format!(r#"[0 {it}] "ECHO" "a\"b\\\r\n\t\x00\a\b\xff""#));
    for words in
        ["FOO", "QLEN", "CONFIG SET requirepass sekret2", "AUTH sekret2", "HELLO 2 AUTH default sekret2"]
    {
        client.run(words);
    }
    assert_eq!(trace(&mut monitor), format!(r#"[0 {it}] "CONFIG" "SET" "requirepass" "(redacted)""#));
    assert_eq!(trace(&mut monitor), format!(r#"[0 {it}] "AUTH" "(redacted)""#));
    assert_eq!(trace(&mut monitor), format!(r#"[0 {it}] "HELLO" "2" "AUTH" "(redacted)" "(redacted)""#));
    // Its own commands too, before their replies; a second MONITOR is answered (defect O10).
    monitor.send(&["monitor"]);
    assert_eq!(trace(&mut monitor), format!(r#"[0 {me}] "monitor""#));
    assert_eq!(monitor.reply(), Value::ok());
    client.send_raw(b"ADDJOB q x 0\r\nGETJOB FROM q\r\n");
    assert_eq!(trace(&mut monitor), format!(r#"[0 {it}] "ADDJOB" "q" "x" "0""#));
    assert_eq!(trace(&mut monitor), format!(r#"[0 {it}] "GETJOB" "FROM" "q""#));
    drop(monitor);
    wait_until("the monitor is gone", || info(&mut client_of(&server), "connected_clients") == "2");
}

/// redis-py sends every pipeline as a transaction: who watched such an application once saw MULTI, EXEC and
/// nothing in between.
#[test]
fn monitors_see_the_commands_of_a_transaction() {
    let server = Server::start(&[]);
    let (mut monitor, mut client) = (server.connect(), server.connect());
    assert_eq!(monitor.run("MONITOR"), Value::ok());
    let it = addr_of(&client);
    for words in ["MULTI", "ADDJOB q x 0", "QLEN q", "EXEC"] {
        client.run(words);
    }
    for shown in [r#""MULTI""#, r#""EXEC""#, r#""ADDJOB" "q" "x" "0""#, r#""QLEN" "q""#] {
        assert_eq!(trace(&mut monitor), format!("[0 {it}] {shown}"));
    }
}

/// A connection that has given the password of the test above.
fn client_of(server: &Server) -> Connection {
    let mut client = server.connect();
    client.run("AUTH sekret2");
    client
}

/// The ID of a connection in CLIENT LIST.
fn id_of(operator: &mut Connection, of: &Connection) -> String {
    let line = client_line(operator, of).expect("it is connected");
    let id = line.strip_prefix("id=").and_then(|rest| rest.split(' ').next());
    id.expect("the line begins with the ID").to_owned()
}

#[test]
fn client_kill_closes_whom_it_names() {
    let server = Server::start(&[]);
    let mut operator = server.connect();
    let mut victims: Vec<Connection> = (0..4).map(|_| server.connect()).collect();
    victims.iter_mut().for_each(|victim| drop(victim.run("PING")));
    let id = id_of(&mut operator, &victims[0]);
    let addr = addr_of(&victims[1]);
    for (words, reply) in [
        ("CLIENT KILL".to_owned(), error("ERR syntax error")),
        ("CLIENT KILL 127.0.0.1:1".to_owned(), error("ERR No such client")),
        ("CLIENT KILL ID".to_owned(), error("ERR No such client")),
        ("CLIENT KILL ID x".to_owned(), error("ERR value is not an integer or out of range")),
        ("CLIENT KILL TYPE slave".to_owned(), error("ERR Unknown client type 'slave'")),
        ("CLIENT KILL SKIPME maybe".to_owned(), error("ERR syntax error")),
        ("CLIENT KILL ID 1 ADDR".to_owned(), error("ERR syntax error")),
        ("CLIENT KILL ADDR 127.0.0.1:1".to_owned(), Value::Int(0)),
        (format!("CLIENT KILL ID {id} ADDR {addr}"), Value::Int(0)),
        (format!("CLIENT KILL id {id} type NORMAL skipme yes"), Value::Int(1)),
        (format!("CLIENT KILL {addr}"), Value::ok()),
        (format!("CLIENT KILL {addr}"), error("ERR No such client")),
        (format!("CLIENT KILL ADDR {}", addr_of(&victims[2])), Value::Int(1)),
    ] {
        assert_eq!(operator.run(&words), reply, "{words}");
    }
    for victim in &mut victims[..3] {
        assert_eq!(victim.rest(), b"");
    }
    assert_eq!(victims[3].run("PING"), Value::status("PONG"));
    assert_eq!(operator.run("CLIENT KILL TYPE normal"), Value::Int(1), "all but the caller");
    assert_eq!(victims[3].rest(), b"");
    assert_eq!(operator.run("PING"), Value::status("PONG"));
}

#[test]
fn a_client_that_kills_itself_is_told_first_and_runs_nothing_more() {
    let server = Server::start(&[]);
    for kill in ["CLIENT KILL SKIPME no".to_owned(), String::new()] {
        let mut client = server.connect();
        client.run("PING");
        let kill = if kill.is_empty() { format!("CLIENT KILL {}", addr_of(&client)) } else { kill };
        let words: Vec<&str> = kill.split(' ').collect();
        client.send_raw(&[request(&words), request(&["ADDJOB", "q", "x", "0"])].concat());
        let rest = String::from_utf8(client.rest()).expect("replies are text");
        assert!(["+OK\r\n", ":1\r\n"].contains(&rest.as_str()), "{kill}: {rest}");
    }
    assert_eq!(server.connect().run("QLEN q"), Value::Int(0));
}

#[test]
fn killed_clients_that_wait_are_forgotten() {
    let server = Server::start(&[]);
    let mut operator = server.connect();
    let mut waiting: Vec<Connection> = (0..10).map(|_| server.connect()).collect();
    waiting.iter_mut().for_each(|client| client.send(&["GETJOB", "FROM", "a", "b"]));
    wait_blocked(&mut operator, 10);
    assert_eq!(operator.run("CLIENT KILL TYPE normal"), Value::Int(10));
    waiting.iter_mut().for_each(|client| assert_eq!(client.rest(), b""));
    wait_blocked(&mut operator, 0);
    operator.run("ADDJOB a x 0 RETRY 0");
    assert_eq!(operator.run("QLEN a"), Value::Int(1));
    assert_eq!(operator.run("DEBUG AUDIT"), Value::ok());
}

#[test]
fn a_pause_holds_requests_back_and_then_runs_them_all() {
    let server = Server::start(&[]);
    let (mut operator, mut client) = (server.connect(), server.connect());
    let mut half_closed = server.connect();
    client.run("PING");
    half_closed.run("PING");
    let begin = Instant::now();
    assert_eq!(operator.run("CLIENT PAUSE 300"), Value::ok());
    client.send_raw(&request(&["ADDJOB", "q", "x", "0"]).repeat(1000));
    half_closed.send_raw(b"PING\r\nPING\r\n");
    half_closed.stream.shutdown(std::net::Shutdown::Write).expect("it is connected");
    let mut new = server.connect();
    new.send(&["QLEN", "nowhere"]);
    for _ in 0..1000 {
        assert!(matches!(client.reply(), Value::Status(_)));
    }
    assert!(begin.elapsed() >= Duration::from_millis(300));
    assert_eq!(new.reply(), Value::Int(0));
    assert_eq!(half_closed.rest(), b"+PONG\r\n+PONG\r\n");
    assert_eq!(client.run("QLEN q"), Value::Int(1000));
    println!("pause of 300 ms: {:?}", begin.elapsed());
}

#[test]
fn a_shorter_pause_does_not_end_a_longer_one_and_timers_go_on() {
    let server = Server::start(&[]);
    let (mut operator, mut worker) = (server.connect(), server.connect());
    worker.send(&["GETJOB", "FROM", "q"]);
    wait_blocked(&mut operator, 1);
    operator.run("ADDJOB q x 0 DELAY 100ms");
    operator.send_raw(b"CLIENT PAUSE 60000\r\nCLIENT PAUSE 1\r\nPING\r\n");
    assert_eq!(operator.reply(), Value::ok());
    // The one who waited gets the job that becomes due during the pause.
    assert_eq!(bodies(&worker.reply()), ["x"]);
    worker.send(&["PING"]);
    operator.stream.set_read_timeout(Some(Duration::from_millis(200))).expect("an option can be set");
    let mut byte = [0];
    assert!(std::io::Read::read(&mut operator.stream, &mut byte).is_err(), "still paused, so no PONG");
}

#[test]
fn pauses_out_of_range_are_refused() {
    let server = Server::start(&[]);
    let mut client = server.connect();
    assert_eq!(client.run("CLIENT PAUSE -1"), error("ERR timeout is negative"));
    assert_eq!(client.run("CLIENT PAUSE soon"), error("ERR timeout is not an integer or out of range"));
    assert_eq!(client.run("CLIENT PAUSE 0"), Value::ok());
    assert_eq!(client.run("PING"), Value::status("PONG"));
}

#[test]
fn replies_can_be_turned_off_and_skipped() {
    let server = Server::start(&[]);
    let mut client = server.connect();
    client.send_raw(
        b"CLIENT REPLY OFF\r\nPING 1\r\nFOO\r\nCLIENT REPLY SKIP\r\nPING 2\r\nPING 3\r\nCLIENT REPLY ON\r\n\
          CLIENT REPLY SKIP\r\nPING 4\r\nPING 5\r\nCLIENT REPLY SKIP\r\nCLIENT REPLY SKIP\r\nPING 6\r\nPING 7\r\n\
          CLIENT REPLY MAYBE\r\nQUIT\r\n",
    );
    let rest = String::from_utf8(client.rest()).expect("replies are text");
    assert_eq!(rest, "+OK\r\n$1\r\n5\r\n$1\r\n7\r\n-ERR syntax error\r\n+OK\r\n");
}

#[test]
fn the_skipped_reply_may_be_one_that_is_waited_for() {
    let server = Server::start(&[]);
    let (mut client, mut other) = (server.connect(), server.connect());
    client.send_raw(b"CLIENT REPLY SKIP\r\nGETJOB FROM q\r\nPING\r\nPING 2\r\n");
    wait_blocked(&mut other, 1);
    other.run("ADDJOB q x 0");
    assert_eq!(client.reply(), Value::status("PONG"));
    assert_eq!(client.reply(), Value::bulk("2"));
}

#[test]
fn idle_clients_are_closed_and_waiting_ones_are_not() {
    let server = Server::start(&["--timeout", "1"]);
    let (mut idle, mut waiting) = (server.connect(), server.connect());
    idle.run("PING");
    waiting.send(&["GETJOB", "FROM", "q"]);
    let begin = Instant::now();
    assert_eq!(idle.rest(), b"");
    println!("timeout of 1 s: closed after {:?}", begin.elapsed());
    assert!(begin.elapsed() >= Duration::from_secs(1));
    let_pass(Duration::from_millis(500));
    server.connect().run("ADDJOB q x 0");
    assert_eq!(bodies(&waiting.reply()), ["x"]);
}

#[test]
fn a_job_goes_to_who_has_waited_longest_even_if_all_come_at_once() {
    let server = Server::start(&[]);
    let mut other = server.connect();
    let mut waiting: Vec<Connection> = (0..20).map(|_| server.connect()).collect();
    for (n, client) in (1..).zip(&mut waiting) {
        client.send(&["GETJOB", "FROM", "q"]);
        wait_blocked(&mut other, n);
    }
    let frozen = freeze(&server);
    other.send_raw(&(0..20).flat_map(|n| request(&["ADDJOB", "q", &n.to_string(), "0"])).collect::<Vec<_>>());
    drop(frozen);
    for (n, client) in waiting.iter_mut().enumerate() {
        assert_eq!(bodies(&client.reply()), [n.to_string()]);
    }
}
