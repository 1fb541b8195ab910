//! Real servers that are killed, stopped and cut off.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::network::{self, Namespace};
use crate::people::Connection;
use crate::support::{PATIENCE, Scratch, free_port};

const SERVER: &str = env!("CARGO_BIN_EXE_disque-server");

/// One server, and what it starts from again.
pub struct Node {
    pub address: SocketAddr,
    space: Option<Namespace>,
    dir: Scratch,
    process: Option<Child>,
}

pub struct Cluster {
    pub nodes: Vec<Node>,
}

impl Node {
    fn new(number: usize, spaces: bool) -> Node {
        let space = spaces.then(|| Namespace::new(number));
        let address = match &space {
            Some(_) => format!("{}:7711", network::address(number)),
            None => format!("127.0.0.1:{}", free_port()),
        };
        let (address, dir) = (address.parse().expect("an address"), Scratch::new());
        if spaces {
            network::mount_small_disk(dir.path());
        }
        Node { address, space, dir, process: None }
    }

    /// Starts the server with what is in its directory, and waits until it is ready.
    pub fn start(&mut self) {
        let mut command = match &self.space {
            Some(space) => space.command(SERVER),
            None => Command::new(SERVER),
        };
        let mut child = command
            .args(["--port", &self.address.port().to_string(), "--bind", &self.address.ip().to_string()])
            .args(["--appendonly", "yes", "--appendfsync", "always", "--cluster-node-timeout", "1000"])
            .arg("--dir")
            .arg(self.dir.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the server was built");
        let log = BufReader::new(child.stdout.take().expect("its log is piped"));
        let (ready, is_ready) = mpsc::channel();
        std::thread::spawn(move || {
            for line in log.lines().map_while(Result::ok) {
                if line.contains("ready to accept connections") {
                    let _ = ready.send(());
                }
            }
        });
        self.process = Some(child);
        is_ready.recv_timeout(PATIENCE).expect("the server starts");
    }

    /// kill -9.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().expect("the process is ours");
            process.wait().expect("the process is ours");
        }
    }

    /// SIGSTOP or SIGCONT.
    pub fn signal(&self, signal: Signal) {
        if let Some(process) = &self.process {
            kill(Pid::from_raw(process.id() as i32), signal).expect("the process is ours");
        }
    }

    /// Leaves no room on the disk, or the room that there was. Only for nodes with a disk of their own.
    pub fn fill_disk(&self, on: bool) {
        let ballast = self.dir.path().join("ballast");
        if !on {
            return std::fs::remove_file(ballast).expect("it was just written");
        }
        let mut file = std::fs::File::create(ballast).expect("there is room for a name");
        let chunk = vec![0; 1 << 16];
        let mut written = 0;
        while file.write(&chunk).is_ok_and(|len| len > 0) {
            written += chunk.len() as u64;
            assert!(written <= network::DISK_BYTES, "this is not the small disk");
        }
    }

    /// What this node sends is delayed and partly lost, or no longer.
    pub fn narrow(&self, on: bool) {
        self.space.iter().for_each(|space| space.narrow(on));
    }

    /// Cuts or mends what this node says to another; without a namespace it cannot.
    pub fn cut(&self, to: usize, on: bool) {
        self.space.iter().for_each(|space| space.cut(to, on));
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.kill();
        if self.space.is_some() {
            network::unmount(self.dir.path());
        }
    }
}

impl Cluster {
    /// Servers that know and reach each other.
    pub fn start(nodes: usize, spaces: bool) -> Cluster {
        if spaces {
            network::make_bridge();
        }
        let mut cluster = Cluster { nodes: (0..nodes).map(|number| Node::new(number, spaces)).collect() };
        cluster.nodes.iter_mut().for_each(Node::start);
        let mut first = cluster.connect(0);
        for node in &cluster.nodes[1..] {
            let (ip, port) = (node.address.ip().to_string(), node.address.port().to_string());
            assert!(first.ask(&["CLUSTER", "MEET", &ip, &port]).starts_with(b"+OK"));
        }
        cluster.wait_until_whole();
        cluster
    }

    fn connect(&self, node: usize) -> Connection {
        Connection::open(self.nodes[node].address, PATIENCE).expect("the server accepts connections")
    }

    /// Every node reaches all others.
    pub fn wait_until_whole(&self) {
        let until = Instant::now() + PATIENCE;
        let wanted = format!("cluster_reachable_nodes:{}\r\n", self.nodes.len() - 1);
        for node in 0..self.nodes.len() {
            let mut connection = self.connect(node);
            while !contains(&connection.ask(&["CLUSTER", "INFO"]), wanted.as_bytes()) {
                assert!(Instant::now() < until, "node {node} does not reach all others");
                std::thread::sleep(Duration::from_millis(20));
            }
        }
    }
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}
