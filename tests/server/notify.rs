//! What a service manager is told over the socket that `NOTIFY_SOCKET` names.

use std::io::ErrorKind;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::Path;
use std::process::{Command, Stdio};

use disque::resp::Value;

use crate::support::{Scratch, Server, free_port};
use crate::tools::{PROGRAM, answers, launch, signal, text, wait_until, words};

/// The end of the socket that a service manager holds.
struct Manager {
    socket: UnixDatagram,
    name: String,
}

impl Manager {
    fn at_path(dir: &Path) -> Manager {
        let path = dir.join("notify");
        let socket = UnixDatagram::bind(&path).expect("the directory is ours");
        Manager::of(socket, path.to_str().expect("it is text").to_owned())
    }

    fn at_abstract_name(name: &str) -> Manager {
        let address = SocketAddr::from_abstract_name(name).expect("a short name");
        Manager::of(UnixDatagram::bind_addr(&address).expect("nobody else has this name"), format!("@{name}"))
    }

    fn of(socket: UnixDatagram, name: String) -> Manager {
        socket.set_nonblocking(true).expect("an option can be set");
        Manager { socket, name }
    }

    fn heard(&self) -> Option<String> {
        let mut message = [0; 256];
        match self.socket.recv(&mut message) {
            Ok(len) => Some(String::from_utf8(message[..len].to_vec()).expect("messages are text")),
            Err(error) if error.kind() == ErrorKind::WouldBlock => None,
            Err(error) => panic!("{error}"),
        }
    }

    /// The next message.
    fn hear(&self) -> String {
        let mut message = None;
        wait_until("the service manager is told something", || {
            message = self.heard();
            message.is_some()
        });
        message.expect("it was waited for")
    }

    /// Starts a server that is to tell this manager, and returns it with its first message.
    fn start(&self, dir: &Path, options: &str) -> (Server, String) {
        for _ in 0..5 {
            let port = free_port();
            let mut child = Command::new(PROGRAM)
                .args(words(&format!("--bind 127.0.0.1 --port {port} {options}")))
                .current_dir(dir)
                .env("NOTIFY_SOCKET", &self.name)
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .expect("the server program was built");
            let mut first = None;
            let mut ended = false;
            wait_until("the server speaks or ends", || {
                first = self.heard();
                ended = child.try_wait().expect("the child is ours").is_some();
                first.is_some() || ended
            });
            // Another process may have taken the port between the choice and the start.
            if let (Some(first), false) = (first, ended) {
                return (Server { port, child, dir: Scratch::new() }, first);
            }
        }
        panic!("no server could be started");
    }
}

const READY: &str = "READY=1\nSTATUS=Accepting connections";

#[test]
fn a_service_manager_is_told_that_the_server_is_ready_and_that_it_stops() {
    let dir = Scratch::new();
    let name = format!("disque-test-notify-{}", std::process::id());
    for manager in [Manager::at_path(dir.path()), Manager::at_abstract_name(&name)] {
        let (mut server, first) = manager.start(dir.path(), "");
        assert_eq!(first, READY);
        assert!(answers(server.child.id(), server.port), "who is ready answers");
        assert_eq!(manager.heard(), None, "nothing more is said while nothing changes");
        signal(&server, "TERM");
        assert_eq!(manager.hear(), "STOPPING=1\nSTATUS=Shutting down");
        assert_eq!(server.wait(), Some(0));
        assert_eq!(manager.heard(), None);
    }
}

#[test]
fn ready_is_said_when_everything_is_loaded() {
    let dir = Scratch::new();
    let mut server =
        launch(dir.path(), |port| words(&format!("--bind 127.0.0.1 --port {port} --appendonly yes")));
    text(&server.connect().run("ADDJOB q kept 0"));
    signal(&server, "TERM");
    assert_eq!(server.wait(), Some(0));

    let manager = Manager::at_path(dir.path());
    let (server, first) = manager.start(dir.path(), "--appendonly yes");
    assert_eq!(first, "STATUS=Loading the append-only file");
    assert_eq!(manager.hear(), READY);
    assert_eq!(server.connect().run("QLEN q"), Value::Int(1));
}

#[test]
fn a_server_that_starts_itself_again_does_not_say_that_it_stops() {
    let dir = Scratch::new();
    let manager = Manager::at_path(dir.path());
    let (server, first) = manager.start(dir.path(), "");
    assert_eq!(first, READY);
    server.connect().send(&["DEBUG", "CRASH-AND-RECOVER"]);
    assert_eq!(manager.hear(), READY);
}

#[test]
fn a_service_manager_that_is_not_there_keeps_nobody_from_starting() {
    let dir = Scratch::new();
    let port = free_port();
    let child = Command::new(PROGRAM)
        .args(words(&format!("--bind 127.0.0.1 --port {port}")))
        .current_dir(dir.path())
        .env("NOTIFY_SOCKET", dir.path().join("nobody"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the server program was built");
    let server = Server { port, child, dir: Scratch::new() };
    wait_until("the server answers", || answers(server.child.id(), port));
}
