//! Real servers for tests: started on a free port in a directory of their own, killed when dropped.
#![allow(dead_code, reason = "each test program uses its part")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use disque::resp::{self, Reply, Value};

/// How long a test waits for what must come; only failing tests wait this long.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A directory that goes away with the test.
pub struct Scratch(PathBuf);

impl Scratch {
    pub fn new() -> Scratch {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("disque-test-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&path).expect("the temporary directory is writable");
        Scratch(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A running server.
pub struct Server {
    pub port: u16,
    pub child: Child,
    pub dir: Scratch,
}

impl Server {
    /// Starts a server with these further arguments and waits until it accepts connections.
    pub fn start(args: &[&str]) -> Server {
        Server::start_in(Scratch::new(), args)
    }

    /// The same in a given directory.
    pub fn start_in(dir: Scratch, args: &[&str]) -> Server {
        // Another process may take the port between the choice and the start; then another one is chosen.
        for _ in 0..20 {
            let port = free_port();
            let mut child = spawn(dir.path(), port, args);
            if wait_until_ready(&mut child) {
                return Server { port, child, dir };
            }
            let _ = child.wait();
        }
        panic!("no server could be started");
    }

    pub fn connect(&self) -> Connection {
        Connection::open(self.port)
    }

    /// Waits until the process has ended by itself and returns its exit code.
    pub fn wait(&mut self) -> Option<i32> {
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until {
            if let Some(status) = self.child.try_wait().expect("the child is ours") {
                return status.code();
            }
            std::thread::yield_now();
        }
        panic!("the server did not end in time");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A port of the loopback interface that is free, and so is the one 10000 above it for other nodes.
///
/// Both lie below those that the system gives to whoever connects, or asks for any: of these one that is free now may be
/// somebody's before the server has it, if many tests run. No process is given a port twice.
pub fn free_port() -> u16 {
    const FIRST: u32 = 10_000;
    const COUNT: u32 = 12_000;
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let is_free = |port: u32| TcpListener::bind((Ipv4Addr::LOCALHOST, port as u16)).is_ok();
    loop {
        // Each process begins elsewhere.
        let number = std::process::id().wrapping_mul(7919).wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
        let port = FIRST + number % COUNT;
        if is_free(port) && is_free(port + 10_000) {
            return port as u16;
        }
    }
}

fn spawn(dir: &Path, port: u16, args: &[&str]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_disque-server"))
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--dir"])
        .arg(dir)
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the server program was built")
}

/// Reads the log until the server says that it is ready; then lets the rest of the log go.
fn wait_until_ready(child: &mut Child) -> bool {
    let mut log = BufReader::new(child.stdout.take().expect("the log is piped"));
    let mut line = String::new();
    while log.read_line(&mut line).is_ok_and(|n| n > 0) {
        if line.contains("ready to accept connections") {
            std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
            return true;
        }
        line.clear();
    }
    false
}

/// A client connection that speaks bytes and decodes replies with the library.
pub struct Connection {
    pub stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    pub fn open(port: u16) -> Connection {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("the server accepts connections");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout can be set");
        stream.set_nodelay(true).expect("an option can be set");
        Connection { stream, buffer: Vec::new() }
    }

    pub fn send_raw(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).expect("the server reads");
    }

    pub fn send<A: AsRef<[u8]>>(&mut self, args: &[A]) {
        self.send_raw(&request(args));
    }

    /// Sends a command, given as words, and returns its reply.
    pub fn run(&mut self, words: &str) -> Value {
        self.send(&words.split_whitespace().collect::<Vec<_>>());
        self.reply()
    }

    /// The next reply.
    pub fn reply(&mut self) -> Value {
        loop {
            if let Some((value, len)) = decode(&self.buffer) {
                self.buffer.drain(..len);
                return value;
            }
            let mut chunk = [0; 65_536];
            let n = match self.stream.read(&mut chunk) {
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                read => read.expect("a reply comes in time"),
            };
            assert!(
                n > 0,
                "the server closed the connection; pending: {:?}",
                String::from_utf8_lossy(&self.buffer)
            );
            self.buffer.extend_from_slice(&chunk[..n]);
        }
    }

    /// Everything until the server closes the connection.
    pub fn rest(&mut self) -> Vec<u8> {
        let mut rest = std::mem::take(&mut self.buffer);
        let _ = self.stream.read_to_end(&mut rest);
        rest
    }
}

/// A request as the bytes of a multi-bulk.
pub fn request<A: AsRef<[u8]>>(args: &[A]) -> Vec<u8> {
    resp::encode_request(args)
}

/// Decodes one reply of either protocol, if it is complete, into the form in which the server composes replies.
pub fn decode(bytes: &[u8]) -> Option<(Value, usize)> {
    let (reply, len) = resp::decode_reply(bytes).expect("replies are well-formed")?;
    Some((value(reply), len))
}

fn value(reply: Reply) -> Value {
    match reply {
        Reply::Status(text) => Value::Status(String::from_utf8_lossy(&text).into_owned()),
        Reply::Error(text) => Value::Error(text),
        Reply::Integer(number) => Value::Int(number),
        Reply::Text(bytes) => Value::Bulk(bytes),
        Reply::Nil => Value::NullBulk,
        Reply::NilArray => Value::NullArray,
        Reply::Array(list) => Value::Array(list.into_iter().map(value).collect()),
        Reply::Map(pairs) => Value::Map(pairs.into_iter().map(|(k, v)| (value(k), value(v))).collect()),
        other => panic!("the server sends no {other:?}"),
    }
}
