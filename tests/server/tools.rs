//! What the tests share: processes and what the system knows of them, waiting for conditions, reading answers.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use disque::resp::Value;

use crate::support::{Connection, PATIENCE, Scratch, Server, free_port};

pub const PROGRAM: &str = env!("CARGO_BIN_EXE_disque-server");

/// Held by tests that need many descriptors or measure processor time: they take turns.
pub fn alone() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    // A test that failed leaves nothing behind that the next one could trip over.
    TURN.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// Waits until the condition holds; `what` is told if it never does.
pub fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < until, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Lets at least this much time pass, for what is promised to happen within it, or not to.
pub fn let_pass(span: Duration) {
    let until = Instant::now() + span;
    while let Some(left) = until.checked_duration_since(Instant::now()) {
        std::thread::sleep(left);
    }
}

/// The text of a status, an error or a bulk.
pub fn text(value: &Value) -> String {
    match value {
        Value::Status(text) => text.clone(),
        Value::Error(bytes) | Value::Bulk(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        other => panic!("no text: {other:?}"),
    }
}

pub fn error(text: &str) -> Value {
    Value::error(text)
}

/// A field of INFO.
pub fn info(connection: &mut Connection, field: &str) -> String {
    let all = text(&connection.run("INFO"));
    let line = all.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    line.unwrap_or_else(|| panic!("INFO tells {field}")).to_owned()
}

pub fn info_number(connection: &mut Connection, field: &str) -> u64 {
    info(connection, field).parse().expect("the field is a number")
}

/// Waits until so many clients wait for jobs.
pub fn wait_blocked(operator: &mut Connection, count: u64) {
    wait_until("clients are blocked", || info_number(operator, "blocked_clients") == count);
}

/// The line of CLIENT LIST about a connection, if the server still has it.
pub fn client_line(operator: &mut Connection, of: &Connection) -> Option<String> {
    let addr = of.stream.local_addr().expect("it is connected");
    let list = text(&operator.run("CLIENT LIST"));
    list.lines().find(|line| line.contains(&format!(" addr={addr} "))).map(str::to_owned)
}

/// The other end's address of a connection, as the server names it.
pub fn addr_of(connection: &Connection) -> String {
    connection.stream.local_addr().expect("it is connected").to_string()
}

/// Whether the queue's job in `GETJOB`'s answer has this body.
pub fn bodies(value: &Value) -> Vec<String> {
    let Value::Array(rows) = value else { return Vec::new() };
    let body = |row: &Value| match row {
        Value::Array(fields) => text(&fields[2]),
        other => panic!("not a job: {other:?}"),
    };
    rows.iter().map(body).collect()
}

/// A field of `/proc/<pid>/status` in KiB.
fn status_kib(pid: u32, field: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("the process lives");
    let line = status.lines().find_map(|line| line.strip_prefix(field)).expect("the field exists");
    line.trim_matches([':', '\t', ' ']).trim_end_matches(" kB").parse().expect("a number of KiB")
}

/// Resident memory in KiB.
pub fn rss_kib(server: &Server) -> u64 {
    status_kib(server.child.id(), "VmRSS")
}

/// The most resident memory there ever was, in KiB.
pub fn peak_rss_kib(server: &Server) -> u64 {
    status_kib(server.child.id(), "VmHWM")
}

/// The fields of `/proc/<pid>/stat` after the program's name, which may contain anything.
fn stat(pid: u32) -> Vec<String> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("the process lives");
    let (_, fields) = stat.rsplit_once(") ").expect("the name stands in parentheses");
    fields.split_whitespace().map(str::to_owned).collect()
}

/// Processor time used until now, in ticks of a hundredth of a second.
pub fn cpu_ticks(server: &Server) -> u64 {
    let fields = stat(server.child.id());
    let field = |index: usize| fields[index].parse::<u64>().expect("a number of ticks");
    field(11) + field(12)
}

/// Processor time used in a second in which nobody asks for anything, in ticks.
pub fn idle_second(server: &Server) -> u64 {
    let before = cpu_ticks(server);
    let_pass(Duration::from_secs(1));
    cpu_ticks(server) - before
}

/// Sends a signal by its name.
pub fn signal(server: &Server, name: &str) {
    let pid = server.child.id().to_string();
    let sent = Command::new("kill").args([&format!("-{name}"), &pid]).status();
    assert!(sent.expect("there is a kill command").success());
}

/// A server that is stopped while this lives: what is sent meanwhile reaches it in one turn of its loop.
pub struct Frozen<'a>(&'a Server);

pub fn freeze(server: &Server) -> Frozen<'_> {
    signal(server, "STOP");
    wait_until("the process is stopped", || stat(server.child.id())[0] == "T");
    Frozen(server)
}

impl Drop for Frozen<'_> {
    fn drop(&mut self) {
        signal(self.0, "CONT");
    }
}

/// How a program ended, and what it said.
#[derive(Debug)]
pub struct Outcome {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

/// Runs the server in a directory until it ends by itself.
pub fn run_to_end(dir: &Path, args: &[&str], stdin: &[u8]) -> Outcome {
    let mut command = Command::new(PROGRAM);
    command.args(args).current_dir(dir);
    finish(command, stdin)
}

/// Runs a command until it ends by itself.
pub fn finish(mut command: Command, stdin: &[u8]) -> Outcome {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the program can be started");
    child.stdin.take().expect("it is piped").write_all(stdin).expect("little fits into a pipe");
    let until = Instant::now() + PATIENCE;
    while child.try_wait().expect("the child is ours").is_none() {
        if Instant::now() > until {
            let _ = child.kill();
            panic!("the program did not end: {command:?}");
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    let output = child.wait_with_output().expect("the child is ours");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("the server writes text");
    Outcome { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

/// Starts a server in a directory with exactly these arguments, which depend on the port, and waits until it
/// answers. The directory stays when the server goes.
pub fn launch(dir: &Path, args: impl Fn(&str) -> Vec<String>) -> Server {
    launch_with(dir, args, b"")
}

/// The same with something on its standard input.
pub fn launch_with(dir: &Path, args: impl Fn(&str) -> Vec<String>, stdin: &[u8]) -> Server {
    // Another process may take the port between the choice and the start; then another one is chosen.
    for _ in 0..5 {
        let port = free_port();
        match launch_at(port, dir, &args(&port.to_string()), stdin) {
            Ok(server) => return server,
            Err(text) => assert!(text.contains("in use"), "the server did not start: {text}"),
        }
    }
    panic!("no server could be started");
}

/// Starts a server with these arguments besides port and address, whose output the test reads or does not.
pub fn launch_piped(dir: &Path, args: &str) -> (Child, u16) {
    let port = free_port();
    let child = Command::new(PROGRAM)
        .args(words(&format!("--port {port} --bind 127.0.0.1 {args}")))
        .current_dir(dir)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the server program was built");
    wait_until("it answers", || answers(child.id(), port));
    (child, port)
}

/// Starts a server that will listen on this port; what it said if it ends instead.
pub fn launch_at(port: u16, dir: &Path, args: &[String], stdin: &[u8]) -> Result<Server, String> {
    let mut child = Command::new(PROGRAM)
        .args(args)
        .current_dir(dir)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the server program was built");
    child.stdin.take().expect("it is piped").write_all(stdin).expect("little fits into a pipe");
    wait_for_answer(&mut child, port)?;
    Ok(Server { port, child, dir: Scratch::new() })
}

/// Waits until this very process answers; what it said if it ends instead.
fn wait_for_answer(child: &mut Child, port: u16) -> Result<(), String> {
    let until = Instant::now() + PATIENCE;
    while Instant::now() < until {
        if child.try_wait().expect("the child is ours").is_some() {
            let mut text = String::new();
            let mut stderr = child.stderr.take().expect("it is piped");
            stderr.read_to_string(&mut text).expect("the server writes text");
            return Err(text);
        }
        if answers(child.id(), port) {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    panic!("the server does not answer");
}

/// Whether the process with this ID answers at the port.
pub fn answers(pid: u32, port: u16) -> bool {
    let Ok(mut stream) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)) else { return false };
    let _ = stream.set_read_timeout(Some(PATIENCE));
    let mut reply = Vec::new();
    let asked = stream.write_all(b"INFO server\r\nQUIT\r\n").and_then(|()| stream.read_to_end(&mut reply));
    let reply = String::from_utf8_lossy(&reply).into_owned();
    // With a password set there is an answer, but it does not tell who gives it.
    asked.is_ok() && (reply.contains(&format!("process_id:{pid}\r\n")) || reply.starts_with("-NOAUTH"))
}

/// Words as arguments of a program.
pub fn words(line: &str) -> Vec<String> {
    line.split_whitespace().map(str::to_owned).collect()
}
