//! The client `disque` as a program: what it sends, what it prints, how it exits.
//!
//! It talks to a server made of a closure, on a port the system chooses.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

type Request = Vec<Vec<u8>>;

/// What the fake server does about a request.
enum Answer {
    Send(Vec<u8>),
    SendAndClose(&'static [u8]),
    Close,
    Silence,
}

fn send(bytes: &[u8]) -> Answer {
    Answer::Send(bytes.to_vec())
}

const HELLO3: &[u8] = b"%2\r\n$6\r\nserver\r\n$6\r\ndisque\r\n$5\r\nproto\r\n:3\r\n";
const OLD_HELLO: &[u8] = b"-ERR wrong number of arguments for 'hello' command\r\n";

struct FakeServer {
    port: u16,
    seen: Arc<Mutex<Vec<Request>>>,
}

impl FakeServer {
    /// Answers every request by the closure, which sees the words joined by spaces.
    fn start(answer: impl Fn(&str) -> Answer + Send + Sync + 'static) -> FakeServer {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (answer, log) = (Arc::new(answer), Arc::clone(&seen));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (answer, log) = (Arc::clone(&answer), Arc::clone(&log));
                std::thread::spawn(move || serve(stream, &*answer, &log));
            }
        });
        FakeServer { port, seen }
    }

    /// A RESP3 server with one answer to everything but the handshake.
    fn resp3(reply: &'static [u8]) -> FakeServer {
        FakeServer::start(move |request| send(if request.starts_with("HELLO") { HELLO3 } else { reply }))
    }

    /// A server of the time before RESP3.
    fn resp2(reply: &'static [u8]) -> FakeServer {
        FakeServer::start(move |request| send(if request.starts_with("HELLO") { OLD_HELLO } else { reply }))
    }

    fn disque(&self, args: &[&str]) -> Command {
        let mut command = disque(&["-p", &self.port.to_string()]);
        command.args(args);
        command
    }

    fn run(&self, args: &[&str]) -> Output {
        self.disque(args).output().expect("the client runs")
    }

    /// Standard output of a run that must succeed.
    fn shown(&self, args: &[&str]) -> String {
        let output = self.run(args);
        assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), String::new()), "{args:?}");
        text(&output.stdout)
    }

    fn requests(&self) -> Vec<String> {
        self.seen.lock().expect("no panic while held").iter().map(joined).collect()
    }
}

fn serve(mut stream: TcpStream, answer: &dyn Fn(&str) -> Answer, log: &Mutex<Vec<Request>>) {
    let mut reader = BufReader::new(stream.try_clone().expect("a second handle"));
    while let Some(request) = read_request(&mut reader) {
        let words = joined(&request);
        log.lock().expect("no panic while held").push(request);
        match answer(&words) {
            Answer::Send(bytes) => {
                if stream.write_all(&bytes).is_err() {
                    return;
                }
            }
            Answer::SendAndClose(bytes) => {
                // The client may be gone already; what it makes of the bytes is the test's business.
                let _ = stream.write_all(bytes);
                return;
            }
            Answer::Close => return,
            Answer::Silence => {}
        }
    }
}

fn read_request(reader: &mut impl BufRead) -> Option<Request> {
    fn number(reader: &mut impl BufRead, kind: char) -> Option<usize> {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        line.strip_prefix(kind)?.trim_end().parse().ok()
    }
    (0..number(reader, '*')?)
        .map(|_| {
            let mut word = vec![0; number(reader, '$')? + 2];
            reader.read_exact(&mut word).ok()?;
            word.truncate(word.len() - 2);
            Some(word)
        })
        .collect()
}

fn joined(request: &Request) -> String {
    request.iter().map(|word| String::from_utf8_lossy(word)).collect::<Vec<_>>().join(" ")
}

fn disque(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_disque"));
    command.args(args).stdin(Stdio::null()).env_remove("DISQUE_PASSWORD").env_remove("FAKETTY");
    command
}

/// Runs the client with `input` on its standard input.
fn fed(mut command: Command, input: &[u8]) -> Output {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the client runs");
    child.stdin.take().expect("piped").write_all(input).expect("the client reads");
    child.wait_with_output().expect("the client ends")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("these are all UTF-8")
}

/// A port on which nothing listens.
fn dead_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port").port()
}

const JOBS: &[u8] =
    b"*2\r\n*3\r\n$1\r\nq\r\n$3\r\nD-1\r\n$5\r\nsay \"\r\n*3\r\n$1\r\nq\r\n$3\r\nD-2\r\n$0\r\n\r\n";

#[test]
fn one_command_is_sent_as_given_and_its_reply_printed() {
    let server = FakeServer::resp3(b"$3\r\nD-1\r\n");
    assert_eq!(server.shown(&["ADDJOB", "q", "a body", "0", "-x", "--json"]), "D-1\n");
    let seen = server.seen.lock().expect("no panic while held");
    assert_eq!(seen[1], [&b"ADDJOB"[..], b"q", b"a body", b"0", b"-x", b"--json"]);
}

#[test]
fn each_form_shows_the_same_jobs() {
    let server = FakeServer::resp3(JOBS);
    let getjob = |form: &[&str]| server.shown(&[form, &["GETJOB", "FROM", "q"]].concat());
    assert_eq!(getjob(&[]), "q\nD-1\nsay \"\nq\nD-2\n\n");
    assert_eq!(getjob(&["-d", ","]), "q,D-1,say \",q,D-2,\n");
    assert_eq!(getjob(&["--csv"]), "\"q\",\"D-1\",\"say \"\"\",\"q\",\"D-2\",\"\"\n");
    assert_eq!(getjob(&["--json"]), "[[\"q\",\"D-1\",\"say \\\"\"],[\"q\",\"D-2\",\"\"]]\n");
    let terminal = "1) 1) \"q\"\n   2) \"D-1\"\n   3) \"say \\\"\"\n2) 1) \"q\"\n   2) \"D-2\"\n   3) \"\"\n";
    assert_eq!(getjob(&["--no-raw"]), terminal);
}

#[test]
fn nothing_looks_the_same_in_both_protocols() {
    let nothing = [FakeServer::resp3(b"_\r\n"), FakeServer::resp2(b"*-1\r\n"), FakeServer::resp2(b"$-1\r\n")];
    for server in nothing {
        assert_eq!(server.shown(&["--no-raw", "GETJOB", "NOHANG", "FROM", "q"]), "(nil)\n");
        assert_eq!(server.shown(&["--json", "GETJOB", "NOHANG", "FROM", "q"]), "null\n");
        assert_eq!(server.shown(&["--csv", "GETJOB", "NOHANG", "FROM", "q"]), "NIL\n");
        assert_eq!(server.shown(&["GETJOB", "NOHANG", "FROM", "q"]), "\n");
    }
    for server in [FakeServer::resp3(b"*0\r\n"), FakeServer::resp2(b"*0\r\n")] {
        assert_eq!(server.shown(&["--no-raw", "QPEEK", "q", "1"]), "(empty array)\n");
        assert_eq!(server.shown(&["--json", "QPEEK", "q", "1"]), "[]\n");
    }
}

#[test]
fn maps_are_objects_and_flat_arrays_stay_arrays() {
    let map = FakeServer::resp3(b"%1\r\n$2\r\nhz\r\n$2\r\n10\r\n");
    assert_eq!(map.shown(&["--json", "CONFIG", "GET", "hz"]), "{\"hz\":\"10\"}\n");
    assert_eq!(map.shown(&["--no-raw", "CONFIG", "GET", "hz"]), "1# \"hz\" => \"10\"\n");
    let flat = FakeServer::resp2(b"*2\r\n$2\r\nhz\r\n$2\r\n10\r\n");
    assert_eq!(flat.shown(&["--json", "CONFIG", "GET", "hz"]), "[\"hz\",\"10\"]\n");
}

#[test]
fn faketty_gives_the_terminal_form_without_colours() {
    let server = FakeServer::resp3(b"*4\r\n$4\r\nname\r\n$1\r\nq\r\n$3\r\nlen\r\n:4\r\n");
    let output = server.disque(&["QSTAT", "q"]).env("FAKETTY", "1").output().expect("the client runs");
    assert_eq!(text(&output.stdout), "name: q\nlen:  4\n");
}

#[test]
fn error_reply_exits_1_in_every_form() {
    let server = FakeServer::resp3(b"-ERR no \"such\" thing\r\n");
    let forms: [(&[&str], &str); 4] = [
        (&[], "ERR no \"such\" thing\n"),
        (&["--no-raw"], "(error) ERR no \"such\" thing\n"),
        (&["--csv"], "ERROR,\"ERR no \"\"such\"\" thing\"\n"),
        (&["--json"], "{\"error\":\"ERR no \\\"such\\\" thing\"}\n"),
    ];
    for (form, expected) in forms {
        let output = server.run(&[form, &["NONSENSE"]].concat());
        assert_eq!((output.status.code(), text(&output.stdout)), (Some(1), expected.to_string()));
    }
}

#[test]
fn wrong_usage_exits_2_without_connecting() {
    let server = FakeServer::resp3(b"+PONG\r\n");
    let cases: [&[&str]; 5] =
        [&["--bogus", "PING"], &["--csv", "--json", "PING"], &["-r", "2"], &["--user", "u", "PING"], &["-p"]];
    for args in cases {
        let output = server.run(args);
        assert_eq!((output.status.code(), output.stdout.is_empty()), (Some(2), true), "{args:?}");
        assert!(!output.stderr.is_empty(), "{args:?}");
    }
    assert!(server.requests().is_empty());
}

#[test]
fn unreachable_server_exits_3_and_says_how_to_start_one() {
    let port = dead_port();
    let output = disque(&["-p", &port.to_string(), "PING"]).output().expect("the client runs");
    let expected = format!(
        "Could not connect to disque at 127.0.0.1:{port}: Connection refused\n\
         Is a server running there? This starts one: disque-server --port {port}\n"
    );
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(3), expected));
}

#[test]
fn help_and_version_exit_0() {
    for help in [&["--help"][..], &["-h"], &["-p", "1", "-h"]] {
        let output = disque(help).output().expect("the client runs");
        assert_eq!(output.status.code(), Some(0), "{help:?}");
        assert!(text(&output.stdout).contains("Usage: disque"), "{help:?}");
    }
    let output = disque(&["-v"]).output().expect("the client runs");
    assert_eq!(text(&output.stdout), format!("disque {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn man_page_and_completions_are_made_from_the_options() {
    let generated = |what: &str| {
        let output = disque(&["--generate", what]).output().expect("the client runs");
        assert_eq!(output.status.code(), Some(0), "{what}");
        text(&output.stdout)
    };
    let man = generated("man");
    assert!(man.contains(".TH disque 1") && man.contains("\\-\\-cluster"), "{man}");
    for (shell, start) in
        [("bash", "_disque() {"), ("zsh", "#compdef disque"), ("fish", "complete -c disque")]
    {
        let completions = generated(shell);
        assert!(completions.contains(start) && completions.contains("cluster"), "{shell}");
    }
}

#[test]
fn lost_connection_exits_3_and_addjob_is_sent_once() {
    let server = FakeServer::start(|request| match request {
        hello if hello.starts_with("HELLO") => send(HELLO3),
        _ => Answer::Close,
    });
    let output = server.run(&["ADDJOB", "q", "b", "0"]);
    assert_eq!(output.status.code(), Some(3));
    let expected = format!(
        "Connection to 127.0.0.1:{} lost: the server closed the connection. \
         The job may have been added or not; adding it again may add it twice\n",
        server.port
    );
    assert_eq!(text(&output.stderr), expected);
    assert_eq!(server.requests(), ["HELLO 3", "ADDJOB q b 0"]);
}

#[test]
fn shutdown_is_answered_by_closing() {
    let server = FakeServer::start(|request| match request {
        hello if hello.starts_with("HELLO") => send(HELLO3),
        _ => Answer::Close,
    });
    assert_eq!(server.shown(&["shutdown", "nosave"]), "");
}

#[test]
fn lines_are_commands_and_failures_are_named_by_line() {
    let server = FakeServer::start(|request| match request {
        hello if hello.starts_with("HELLO") => send(HELLO3),
        "nonsense" => send(b"-ERR unknown command\r\n"),
        _ => send(b"+OK\r\n"),
    });
    let output = fed(server.disque(&[]), b"ADDJOB q \"a b\" 0\n\nnonsense\nECHO \"x\nPING");
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(text(&output.stdout), "OK\nERR unknown command\nOK\n");
    assert_eq!(text(&output.stderr), "line 3: ERR unknown command\nline 4: unbalanced quotes\n");
    assert_eq!(server.requests(), ["HELLO 3", "ADDJOB q a b 0", "nonsense", "PING"]);
}

#[test]
fn lines_without_failure_exit_0() {
    let server = FakeServer::resp3(b"+PONG\r\n");
    let output = fed(server.disque(&["--json"]), b"PING\nPING\r\n");
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(0), "\"PONG\"\n\"PONG\"\n".to_string()));
}

#[test]
fn last_argument_comes_from_standard_input_byte_for_byte() {
    let server = FakeServer::resp3(b"+OK\r\n");
    let output = fed(server.disque(&["-x", "ECHO"]), b"a\xff\0 \n");
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(server.seen.lock().expect("no panic while held")[1], [&b"ECHO"[..], b"a\xff\0 \n"]);
}

#[test]
fn command_is_repeated_as_often_as_asked() {
    let server = FakeServer::resp3(b"+PONG\r\n");
    assert_eq!(server.shown(&["-r", "3", "-i", "0.001", "PING"]), "PONG\nPONG\nPONG\n");
    assert_eq!(server.requests(), ["HELLO 3", "PING", "PING", "PING"]);
    assert_eq!(server.shown(&["-r", "0", "PING"]), "");
}

#[test]
fn password_travels_in_the_handshake_wherever_it_comes_from() {
    let server = FakeServer::resp3(b"+PONG\r\n");
    let url = format!("disque://ann:p%40ss@127.0.0.1:{}", server.port);
    server.shown(&["-a", "secret", "PING"]);
    server.shown(&["--user", "bob", "-a", "-dash", "PING"]);
    let output =
        server.disque(&["PING"]).env("DISQUE_PASSWORD", "from env").output().expect("the client runs");
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), String::new()));
    disque(&["-u", &url, "PING"]).output().expect("the client runs");
    let hellos: Vec<_> = server.requests().into_iter().filter(|request| request != "PING").collect();
    assert_eq!(
        hellos,
        [
            "HELLO 3 AUTH default secret",
            "HELLO 3 AUTH bob -dash",
            "HELLO 3 AUTH default from env",
            "HELLO 3 AUTH ann p@ss"
        ]
    );
}

#[test]
fn old_server_gets_the_password_by_auth() {
    let server = FakeServer::resp2(b"+OK\r\n");
    server.shown(&["-a", "secret", "PING"]);
    assert_eq!(server.requests(), ["HELLO 3 AUTH default secret", "AUTH secret", "PING"]);
}

#[test]
fn wrong_password_exits_1_and_sends_nothing_more() {
    let denying = FakeServer::start(|_| send(b"-WRONGPASS invalid username-password pair\r\n"));
    let output = denying.run(&["-a", "wrong", "PING"]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        text(&output.stderr),
        "The server did not accept the password: WRONGPASS invalid username-password pair\n"
    );
    assert_eq!(denying.requests(), ["HELLO 3 AUTH default wrong"]);
}

#[test]
fn needless_password_shuts_nobody_out() {
    let server = FakeServer::start(|request| match request {
        "PING" => send(b"+PONG\r\n"),
        hello if hello.starts_with("HELLO") => send(OLD_HELLO),
        _ => send(b"-ERR Client sent AUTH, but no password is set\r\n"),
    });
    assert_eq!(server.shown(&["-a", "x", "PING"]), "PONG\n");
}

#[test]
fn protocol_is_as_chosen() {
    let old = FakeServer::resp2(b"+PONG\r\n");
    assert_eq!(old.shown(&["-2", "PING"]), "PONG\n");
    assert_eq!(old.requests(), ["PING"], "RESP2 needs no handshake");
    let output = old.run(&["-3", "PING"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).starts_with("The server does not speak RESP3 (-3): ERR wrong number"));
}

#[test]
fn monitor_prints_until_the_connection_ends() {
    let server = FakeServer::start(|request| match request {
        hello if hello.starts_with("HELLO") => send(HELLO3),
        _ => Answer::SendAndClose(b"+OK\r\n+1.0 [0 a] \"PING\"\r\n+2.0 [0 a] \"PING\"\r\n"),
    });
    let output = server.run(&["MONITOR"]);
    assert_eq!(output.status.code(), Some(3));
    assert_eq!(text(&output.stdout), "OK\n1.0 [0 a] \"PING\"\n2.0 [0 a] \"PING\"\n");
}

#[test]
fn timeout_bounds_the_handshake_but_not_the_command() {
    let mute = FakeServer::start(|_| Answer::Silence);
    let output = mute.run(&["-t", "0.05", "PING"]);
    assert_eq!(output.status.code(), Some(3));
    assert!(text(&output.stderr).contains("it accepted the connection but did not answer in time"));
    let slow = FakeServer::start(|request| {
        if request.starts_with("GETJOB") {
            // Longer than the timeout: what must be waited for is the point here.
            std::thread::sleep(Duration::from_millis(700));
            return send(b"*0\r\n");
        }
        send(HELLO3)
    });
    assert_eq!(slow.shown(&["-t", "0.5", "--json", "GETJOB", "FROM", "q"]), "[]\n");
}

#[test]
fn unix_sockets_work_like_ports() {
    let directory = std::env::temp_dir().join(format!("disque-cli-{}", std::process::id()));
    std::fs::create_dir_all(&directory).expect("a place for the socket");
    let path = directory.join("socket");
    let listener = std::os::unix::net::UnixListener::bind(&path).expect("a fresh path");
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a client");
        let mut reader = BufReader::new(stream.try_clone().expect("a second handle"));
        while let Some(request) = read_request(&mut reader) {
            stream
                .write_all(if request[0] == b"PING" { b"+PONG\r\n" } else { HELLO3 })
                .expect("the client reads");
        }
    });
    let output = disque(&["-s", path.to_str().expect("UTF-8"), "PING"]).output().expect("the client runs");
    server.join().expect("no panic");
    std::fs::remove_dir_all(&directory).expect("ours to remove");
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(0), "PONG\n".to_string()));
}

#[test]
fn reader_that_has_seen_enough_ends_the_client() {
    let server = FakeServer::resp3(b"+PONG\r\n");
    let mut child: Child =
        server.disque(&["-r", "-1", "PING"]).stdout(Stdio::piped()).spawn().expect("the client runs");
    let mut line = String::new();
    BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line).expect("a line");
    assert_eq!(line, "PONG\n");
    assert_eq!(child.wait().expect("the client ends").code(), Some(0));
}
