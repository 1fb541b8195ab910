//! Bytes that are no requests, requests in every piece, and arguments of every kind (commands.md 2 and 3).

use std::net::Shutdown;

use disque::resp::Value;

use crate::support::{Connection, Server, request};
use crate::tools::{bodies, error, info, text};

/// What cannot be understood, and the text after `ERR Protocol error: `.
fn malformed() -> Vec<(Vec<u8>, &'static str)> {
    let fixed: [(&[u8], &str); 24] = [
        (b"PING \"unclosed\r\n", "unbalanced quotes in request"),
        (b"PING 'unclosed\n", "unbalanced quotes in request"),
        (b"PING \"a\"b\r\n", "unbalanced quotes in request"),
        (b"*abc\r\n", "invalid multibulk length"),
        (b"*\r\n", "invalid multibulk length"),
        (b"*+1\r\n", "invalid multibulk length"),
        (b"*01\r\n", "invalid multibulk length"),
        (b"* 1\r\n", "invalid multibulk length"),
        (b"*1.0\r\n", "invalid multibulk length"),
        (b"*1\0\r\n", "invalid multibulk length"),
        (b"*-0\r\n", "invalid multibulk length"),
        (b"*1048577\r\n", "invalid multibulk length"),
        (b"*18446744073709551617\r\n", "invalid multibulk length"),
        (b"*1\r\nPING\r\n", "expected '$', got 'P'"),
        (b"*1\r\n:4\r\n", "expected '$', got ':'"),
        (b"*1\r\n\r\n", "expected '$', got ' '"),
        (b"*2\r\n$4\r\nPING\r\n*1\r\n", "expected '$', got '*'"),
        (b"*1\r\n$-1\r\n", "invalid bulk length"),
        (b"*1\r\n$\r\n", "invalid bulk length"),
        (b"*1\r\n$+4\r\nPING\r\n", "invalid bulk length"),
        (b"*1\r\n$04\r\nPING\r\n", "invalid bulk length"),
        (b"*1\r\n$4 \r\nPING\r\n", "invalid bulk length"),
        (b"*1\r\n$536870913\r\n", "invalid bulk length"),
        (b"*1\r\n$99999999999999999999\r\n", "invalid bulk length"),
    ];
    fixed.into_iter().map(|(bytes, text)| (bytes.to_vec(), text)).collect()
}

#[test]
fn malformed_requests_are_told_and_nothing_after_them_is_run() {
    let server = Server::start(&[]);
    for (bytes, text) in malformed() {
        let mut client = server.connect();
        let before = request(&["ADDJOB", "before", "x", "0"]);
        let after = request(&["ADDJOB", "after", "x", "0"]);
        client.send_raw(&[&before, &bytes, &after, b"PING\r\n".as_slice()].concat());
        assert!(matches!(client.reply(), Value::Status(_)), "what came before is answered");
        let rest = String::from_utf8(client.rest()).expect("an error is text");
        assert_eq!(rest, format!("-ERR Protocol error: {text}\r\n"), "{:?}", String::from_utf8_lossy(&bytes));
    }
    let mut client = server.connect();
    assert_eq!(client.run("QLEN before"), Value::Int(malformed().len() as i64));
    assert_eq!(client.run("QLEN after"), Value::Int(0));
    assert_eq!(info(&mut client, "connected_clients"), "1", "all others were closed");
}

#[test]
fn lines_that_do_not_end_are_told_once_they_are_too_long() {
    let server = Server::start(&[]);
    for (start, filler, text) in [
        ("", b'a', "too big inline request"),
        ("", b' ', "too big inline request"),
        ("", 0, "too big inline request"),
        ("*", b'1', "too big mbulk count string"),
        ("*1\r\n$", b'1', "too big bulk count string"),
        ("*2\r\n$4\r\nPING\r\n$", b'x', "too big bulk count string"),
    ] {
        let mut client = server.connect();
        client.send_raw(start.as_bytes());
        // Exactly the limit may still become something.
        let line_start = start.rfind('\n').map_or(start.len(), |end| start.len() - end - 1);
        client.send_raw(&vec![filler; 65_536 - line_start]);
        assert!(server.connect().run("PING") == Value::status("PONG"));
        client.send_raw(&[filler]);
        let rest = String::from_utf8(client.rest()).expect("an error is text");
        assert_eq!(rest, format!("-ERR Protocol error: {text}\r\n"), "{start:?} {filler}");
    }
}

#[test]
fn an_endless_line_ends_its_client_only() {
    let server = Server::start(&[]);
    let mut other = server.connect();
    let mut client = server.connect();
    let junk = vec![b'x'; 1 << 20];
    // Writing fails as soon as the server has closed; nobody would ever stop it otherwise.
    while std::io::Write::write_all(&mut client.stream, &junk).is_ok() {
        assert_eq!(other.run("PING"), Value::status("PONG"));
    }
}

#[test]
fn empty_requests_have_no_reply() {
    let server = Server::start(&[]);
    let mut client = server.connect();
    client.send_raw(b"*0\r\n*-1\r\n*-9223372036854775808\r\n\r\n \t \r\n\n*0\r\nPING\r\n");
    client.stream.shutdown(Shutdown::Write).expect("it is connected");
    assert_eq!(client.rest(), b"+PONG\r\n");
}

#[test]
fn lines_may_end_in_a_bare_line_feed() {
    let server = Server::start(&[]);
    let mut client = server.connect();
    client.send_raw(b"PING\r\n\nPING\nPING a\n*1\r\n$4\r\nPING\r\nPING b\r\n");
    client.stream.shutdown(Shutdown::Write).expect("it is connected");
    assert_eq!(client.rest(), b"+PONG\r\n+PONG\r\n$1\r\na\r\n+PONG\r\n$1\r\nb\r\n");
}

/// Requests of all forms, and their replies.
fn conversation() -> (Vec<u8>, Vec<u8>) {
    let requests = [
        b"PING\r\n".to_vec(),
        request(&["ECHO", "*1\r\n$4\r\nPING\r\n"]),
        b"*0\r\nECHO \"a \\x00 b\\r\\n\"\r\n\r\n".to_vec(),
        request(&["nonsense", "\0"]),
        b"QLEN nowhere\n".to_vec(),
        request(&["GETJOB", "NOHANG", "FROM", "nowhere"]),
        request(&["ECHO", ""]),
    ];
    let replies = "+PONG\r\n$14\r\n*1\r\n$4\r\nPING\r\n\r\n$7\r\na \0 b\r\n\r\n-ERR unknown command 'nonsense'\r\n\
                   :0\r\n*-1\r\n$0\r\n\r\n";
    (requests.concat(), replies.as_bytes().to_vec())
}

fn expect_exactly(client: &mut Connection, replies: &[u8], what: &str) {
    let mut got = vec![0; replies.len()];
    std::io::Read::read_exact(&mut client.stream, &mut got).expect("the replies come");
    assert_eq!(String::from_utf8_lossy(&got), String::from_utf8_lossy(replies), "{what}");
}

#[test]
fn a_pipeline_may_be_cut_anywhere() {
    let server = Server::start(&[]);
    let (requests, replies) = conversation();
    let (mut client, mut other) = (server.connect(), server.connect());
    for cut in 0..=requests.len() {
        client.send_raw(&requests[..cut]);
        // Once this is answered, the server has read what was sent before.
        other.run("PING");
        client.send_raw(&requests[cut..]);
        expect_exactly(&mut client, &replies, &format!("cut at {cut}"));
    }
}

#[test]
fn a_client_that_sends_byte_by_byte_is_served_and_holds_nobody_up() {
    let server = Server::start(&[]);
    let (requests, replies) = conversation();
    let (mut client, mut other) = (server.connect(), server.connect());
    for byte in &requests {
        client.send_raw(&[*byte]);
        assert_eq!(other.run("PING"), Value::status("PONG"));
    }
    expect_exactly(&mut client, &replies, "byte by byte");
}

#[test]
fn nul_bytes_are_bytes_like_all_others() {
    let server = Server::start(&["--requirepass", "sekret"]);
    let mut client = server.connect();
    client.send(&[b"AUTH".as_slice(), b"sekret\0junk"]);
    assert_eq!(client.reply(), error("ERR invalid password"));
    assert_eq!(client.run("AUTH sekret"), Value::ok());

    client.send(&[b"ADDJOB".as_slice(), b"\0q\r\n", b"\0body\0", b"0"]);
    assert!(matches!(client.reply(), Value::Status(_)));
    client.send(&[b"QLEN".as_slice(), b""]);
    assert_eq!(client.reply(), Value::Int(0), "the name does not end at the NUL");
    client.send(&[b"GETJOB".as_slice(), b"FROM", b"\0q\r\n"]);
    assert_eq!(bodies(&client.reply()), ["\0body\0"]);

    for (words, reply) in [
        ([b"ADDJOB".as_slice(), b"q", b"x", b"0\0"], "ERR timeout is not an integer or out of range"),
        ([b"ADDJOB", b"q", b"x", b"\0"], "ERR timeout is not an integer or out of range"),
        ([b"GETJOB", b"NOHANG\0", b"FROM", b"q"], "ERR syntax error"),
        ([b"CONFIG", b"SET", b"timeout", b"1\0"], "ERR Invalid argument '1\0' for CONFIG SET 'timeout'"),
        ([b"PING\0", b"", b"", b""], "ERR unknown command 'PING'"),
        ([b"\0", b"", b"", b""], "ERR unknown command ''"),
        (
            [b"CLIENT", b"SETNAME", b"a\0b", b""],
            "ERR Syntax error, try CLIENT (LIST | KILL ip:port | GETNAME | SETNAME connection-name)",
        ),
    ] {
        client.send(&words);
        assert_eq!(text(&client.reply()), reply, "{words:?}");
    }
    client.send_raw(b"ECHO a\0b\r\n");
    assert_eq!(client.reply(), Value::bulk("a\0b"));
}

#[test]
fn refused_commands_change_nothing_and_keep_the_connection() {
    let server = Server::start(&[]);
    let mut client = server.connect();
    for (words, reply) in [
        ("FOO", "ERR unknown command 'FOO'"),
        ("ADDJOB", "ERR wrong number of arguments for 'addjob' command"),
        ("aDdJoB q b", "ERR wrong number of arguments for 'addjob' command"),
        ("ADDJOB q b 0 FOO", "ERR syntax error"),
        ("ADDJOB q b 0 RETRY", "ERR syntax error"),
        ("ADDJOB q b 0 RETRY soon", "ERR RETRY time must be a non negative number"),
        ("ADDJOB q b -1", "ERR timeout is negative"),
        ("ADDJOB q b 0 TTL 0", "ERR TTL must be a number > 0"),
        ("ADDJOB q b 0 REPLICATE 0", "ERR REPLICATE must be between 1 and 65535"),
        ("ADDJOB q b 0 REPLICATE 65536", "ERR REPLICATE must be between 1 and 65535"),
        ("ADDJOB q b 0 MAXLEN 0", "ERR MAXLEN must be a positive number"),
        ("GETJOB", "ERR wrong number of arguments for 'getjob' command"),
        ("GETJOB FROM", "ERR syntax error"),
        ("GETJOB COUNT 0 FROM q", "ERR COUNT must be a number greater than zero"),
        ("GETJOB TIMEOUT -1 FROM q", "ERR timeout is negative"),
        ("GETJOB TIMEOUT 9223372036854775808 FROM q", "ERR timeout is not an integer or out of range"),
        ("ACKJOB D-nonsense", "BADID Invalid Job ID format."),
        ("QLEN", "ERR wrong number of arguments for 'qlen' command"),
        ("QPEEK q x", "ERR value is not an integer or out of range"),
        ("PING a b", "ERR wrong number of arguments for 'ping' command"),
        ("INFO a b", "ERR syntax error"),
        ("CONFIG FOO", "ERR CONFIG subcommand must be one of GET, SET, RESETSTAT, REWRITE"),
        ("CONFIG get", "ERR Wrong number of arguments for CONFIG get"),
        ("CONFIG REWRITE", "ERR The server is running without a config file"),
        ("CONFIG SET maxclients 1000000000", "ERR The operating system is not able to handle the specified"),
        ("CONFIG SET dir /nowhere", "ERR Changing directory: No such file or directory"),
        ("SHUTDOWN SAVE", "ERR syntax error"),
        ("DEBUG FOO", "ERR Unknown DEBUG subcommand or wrong number of arguments for 'FOO'"),
        ("DEBUG RESTART soon", "ERR value is not an integer or out of range"),
    ] {
        let answer = text(&client.run(words));
        assert!(answer.starts_with(reply), "{words}: {answer}");
    }
    assert_eq!(info(&mut client, "registered_jobs"), "0");
    assert_eq!(info(&mut client, "registered_queues"), "0");
}
