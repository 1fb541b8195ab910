//! Ten thousand connections.

use std::time::Instant;

use disque::resp::Value;
use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::support::{Connection, Server};
use crate::tools::{alone, bodies, freeze, idle_second, info, rss_kib, wait_blocked, wait_until};

/// How many connections this process can have, up to ten thousand.
fn crowd_size() -> usize {
    const WANTED: u64 = 10_000;
    const OTHERS: u64 = 500;
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("limits can be read");
    if soft < WANTED + OTHERS {
        let raised = hard.min(WANTED + OTHERS);
        setrlimit(Resource::RLIMIT_NOFILE, raised, hard).expect("the hard limit may be reached");
    }
    let (soft, _) = getrlimit(Resource::RLIMIT_NOFILE).expect("limits can be read");
    let size = WANTED.min(soft.saturating_sub(OTHERS));
    if size < WANTED {
        println!("only {size} connections instead of {WANTED}: the limit of open files is {soft}");
    }
    size as usize
}

fn start(size: usize) -> Server {
    Server::start(&["--maxclients", &(size + 100).to_string(), "--tcp-backlog", "4096"])
}

#[test]
fn ten_thousand_idle_clients_cost_nothing_and_are_served() {
    let _turn = alone();
    let size = crowd_size();
    let server = start(size);
    let mut operator = server.connect();
    operator.run("PING");
    let before = rss_kib(&server);
    let begin = Instant::now();
    let mut crowd: Vec<Connection> = (0..size).map(|_| server.connect()).collect();
    wait_until("all are in", || info(&mut operator, "connected_clients") == (size + 1).to_string());
    println!("{size} connections: {:?}, {} KiB", begin.elapsed(), rss_kib(&server) - before);
    let ticks = idle_second(&server);
    println!("{size} idle clients: {ticks} ticks of processor time in a second");
    assert!(ticks <= 2, "{ticks} ticks");
    let begin = Instant::now();
    crowd.iter_mut().for_each(|client| client.send(&["PING"]));
    for client in &mut crowd {
        assert_eq!(client.reply(), Value::status("PONG"));
    }
    println!("{size} PINGs: {:?}", begin.elapsed());
    drop(crowd);
    wait_until("all are gone", || info(&mut operator, "connected_clients") == "1");
}

#[test]
fn ten_thousand_blocked_clients_cost_nothing_and_each_gets_its_job() {
    let _turn = alone();
    let size = crowd_size();
    let queues = size / 10;
    let server = start(size);
    let mut operator = server.connect();
    let mut crowd: Vec<Connection> = (0..size).map(|_| server.connect()).collect();
    for (n, client) in crowd.iter_mut().enumerate() {
        client.send(&["GETJOB", "FROM", &format!("q{}", n % queues)]);
    }
    wait_blocked(&mut operator, size as u64);
    let ticks = idle_second(&server);
    println!("{size} blocked clients on {queues} queues: {ticks} ticks of processor time in a second");
    assert!(ticks <= 2, "{ticks} ticks");
    let begin = Instant::now();
    for n in 0..size {
        operator.send(&[
            "ADDJOB",
            &format!("q{}", n % queues),
            &format!("q{}", n % queues),
            "0",
            "RETRY",
            "0",
        ]);
    }
    for _ in 0..size {
        assert!(matches!(operator.reply(), Value::Status(_)));
    }
    for (n, client) in crowd.iter_mut().enumerate() {
        assert_eq!(bodies(&client.reply()), [format!("q{}", n % queues)]);
    }
    println!("{size} jobs to {size} blocked clients: {:?}", begin.elapsed());
    assert_eq!(info(&mut operator, "blocked_clients"), "0");
    assert_eq!(operator.run("DEBUG AUDIT"), Value::ok());
    // And again, but all vanish at once: no job goes with them.
    for client in &mut crowd {
        client.send(&["GETJOB", "FROM", "q0"]);
    }
    wait_blocked(&mut operator, size as u64);
    drop(crowd);
    wait_blocked(&mut operator, 0);
    operator.run("ADDJOB q0 x 0 RETRY 0");
    assert_eq!(operator.run("QLEN q0"), Value::Int(1));
    assert_eq!(operator.run("DEBUG AUDIT"), Value::ok());
}

#[test]
fn more_clients_than_one_turn_accepts_are_accepted_without_waiting_for_another() {
    let _turn = alone();
    let backlog = std::fs::read_to_string("/proc/sys/net/core/somaxconn").expect("the limit can be read");
    let backlog: usize = backlog.trim().parse().expect("it is a number");
    let size = crowd_size().min(backlog).min(3000);
    let server = start(size);
    let frozen = freeze(&server);
    let mut crowd: Vec<Connection> = (0..size).map(|_| server.connect()).collect();
    let last = crowd.last_mut().expect("there are some");
    last.send(&["PING"]);
    drop(frozen);
    assert_eq!(last.reply(), Value::status("PONG"), "nobody else says anything");
}

#[test]
fn clients_above_the_limit_are_told_so_and_counted() {
    let server = Server::start(&["--maxclients", "3"]);
    let mut first = server.connect();
    first.run("PING");
    let second = server.connect();
    let mut third = server.connect();
    third.run("PING");
    assert_eq!(server.connect().rest(), b"-ERR max number of clients reached\r\n");
    assert_eq!(info(&mut first, "rejected_connections"), "1");
    assert_eq!(info(&mut first, "maxclients"), "3");
    drop(second);
    wait_until("there is room", || info(&mut first, "connected_clients") == "2");
    assert_eq!(server.connect().run("PING"), Value::status("PONG"));
    wait_until("there is room", || info(&mut first, "connected_clients") == "2");
    assert_eq!(first.run("CONFIG SET maxclients 2"), Value::ok());
    assert_eq!(server.connect().rest(), b"-ERR max number of clients reached\r\n");
    assert_eq!(third.run("PING"), Value::status("PONG"), "lowering the limit closes nobody");
}
