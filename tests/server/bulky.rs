//! Much at once: announcements without bytes, large bodies, long lists, long pipelines.

use std::io::{Read as _, Write as _};
use std::time::Instant;

use disque::resp::Value;

use crate::support::{Server, request};
use crate::tools::{freeze, info_number, rss_kib, text};

/// How much resident memory may grow by what clients only announce: a little for each connection.
const MAY_GROW_KIB: u64 = 64 * 1024;

#[test]
fn announcing_much_takes_no_memory() {
    let server = Server::start(&[]);
    let mut other = server.connect();
    other.run("PING");
    let before = rss_kib(&server);
    let starts = [
        b"*1000000\r\n".as_slice(),
        b"*1\r\n$536870912\r\n",
        b"*2\r\n$4\r\nECHO\r\n$536870912\r\nhalf",
        b"*1048576\r\n$1\r\nx\r\n$536870912\r\nx",
    ];
    let mut clients = Vec::new();
    for start in starts.iter().cycle().take(200) {
        let mut client = server.connect();
        client.send_raw(start);
        clients.push(client);
    }
    assert_eq!(other.run("PING"), Value::status("PONG"));
    let grown = rss_kib(&server).saturating_sub(before);
    println!("200 announcements: {grown} KiB more");
    assert!(grown < MAY_GROW_KIB, "{grown} KiB");
    drop(clients);
    assert_eq!(other.run("PING"), Value::status("PONG"));
}

#[test]
fn bodies_of_every_size_come_back_as_they_went_in() {
    let server = Server::start(&[]);
    let mut client = server.connect();
    for len in [0, 1, 511, 32_767, 32_768, 65_535, 65_536, 65_537, 1 << 20, 64 << 20] {
        let body: Vec<u8> = (0..len).map(|i: u32| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        client.send(&[b"ADDJOB".as_slice(), b"q", &body, b"0"]);
        assert!(matches!(client.reply(), Value::Status(_)));
        let Value::Array(jobs) = client.run("GETJOB FROM q") else { panic!("there is a job") };
        let Value::Array(fields) = &jobs[0] else { panic!("a job has fields") };
        assert!(fields[2] == Value::Bulk(body), "{len} bytes");
        client.send(&["ACKJOB".to_owned(), text(&fields[1])]);
        assert_eq!(client.reply(), Value::Int(1));
    }
    assert_eq!(info_number(&mut client, "registered_jobs"), 0);
}

/// What is read of a client depends on whether the request before had a large argument.
#[test]
fn large_and_small_requests_behind_each_other_are_all_answered_in_order() {
    let server = Server::start(&[]);
    let mut client = server.connect();
    let lens = [40_000, 40_000, 3, 100_000, 0, 0, 33_000, 2_000, 70_000, 5_000_000, 1, 65_536];
    let bodies = || (0..10).flat_map(|_| lens).enumerate().map(|(n, len)| vec![n as u8; len]);
    let requests: Vec<u8> = bodies()
        .flat_map(|body| {
            let head = format!("*2\r\n$4\r\nECHO\r\n${}\r\n", body.len());
            [head.as_bytes(), &body, b"\r\n"].concat()
        })
        .collect();
    let mut writing = client.stream.try_clone().expect("a socket can be cloned");
    let writer = std::thread::spawn(move || writing.write_all(&requests));
    for (n, body) in bodies().enumerate() {
        assert!(client.reply() == Value::Bulk(body), "request {n}");
    }
    writer.join().expect("it does not panic").expect("the server reads");
}

#[test]
fn a_hundred_thousand_ids_in_small_pieces_are_one_command() {
    const IDS: usize = 100_000;
    let server = Server::start(&[]);
    let (mut client, mut other) = (server.connect(), server.connect());
    let mut ids = vec!["ACKJOB".to_owned()];
    for _ in 0..IDS / 1000 {
        client.send_raw(&request(&["ADDJOB", "q", "x", "0"]).repeat(1000));
        ids.extend((0..1000).map(|_| text(&client.reply())));
    }
    assert_eq!(client.run("QLEN q"), Value::Int(IDS as i64));
    let begin = Instant::now();
    for (turn, piece) in request(&ids).chunks(1000).enumerate() {
        client.send_raw(piece);
        if turn % 100 == 0 {
            assert_eq!(other.run("PING"), Value::status("PONG"));
        }
    }
    assert_eq!(client.reply(), Value::Int(IDS as i64));
    println!("ACKJOB of {IDS} IDs in pieces of 1000 bytes: {:?}", begin.elapsed());
    assert_eq!(other.run("QLEN q"), Value::Int(0));
    assert_eq!(info_number(&mut other, "registered_jobs"), 0);
    assert_eq!(other.run("DEBUG AUDIT"), Value::ok());
}

#[test]
fn a_hundred_thousand_commands_in_one_write_are_all_answered_in_order() {
    const COMMANDS: usize = 100_000;
    let server = Server::start(&[]);
    let mut client = server.connect();
    let requests: Vec<u8> = (0..COMMANDS).flat_map(|n| request(&["ECHO", &n.to_string()])).collect();
    let begin = Instant::now();
    // Not a byte is read before all is written: the server takes the replies upon itself.
    client.stream.write_all(&requests).expect("the server reads");
    let mut replies = String::new();
    client.stream.shutdown(std::net::Shutdown::Write).expect("it is connected");
    client.stream.read_to_string(&mut replies).expect("all replies come");
    println!("{COMMANDS} commands in one write: {:?}", begin.elapsed());
    let expected: String = (0..COMMANDS).map(|n| format!("${}\r\n{n}\r\n", n.to_string().len())).collect();
    assert!(replies == expected);
}

#[test]
fn a_flood_of_requests_starves_nobody() {
    const FLOOD: usize = 100_000;
    let server = Server::start(&[]);
    let (mut flooder, mut other) = (server.connect(), server.connect());
    let before = info_number(&mut other, "total_commands_processed");
    let mut writing = flooder.stream.try_clone().expect("a socket can be cloned");
    let frozen = freeze(&server);
    // As much as surely fits into the system's buffers is there before the other client speaks.
    const FIRST: usize = 30_000;
    flooder.send_raw(&b"PING\r\n".repeat(FIRST));
    let flood = std::thread::spawn(move || writing.write_all(&b"PING\r\n".repeat(FLOOD - FIRST)));
    other.send(&["INFO", "stats"]);
    drop(frozen);
    let stats = text(&other.reply());
    let line = stats.lines().find_map(|line| line.strip_prefix("total_commands_processed:"));
    let run: u64 = line.and_then(|number| number.parse().ok()).expect("INFO tells");
    println!("commands of a flood of {FLOOD} that were run before another client's one: {}", run - before);
    assert!(run - before < 5000);
    flood.join().expect("the thread ends").expect("the server reads");
    flooder.send(&["QUIT"]);
    assert!(flooder.rest() == [b"+PONG\r\n".repeat(FLOOD), b"+OK\r\n".to_vec()].concat());
}
