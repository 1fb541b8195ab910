//! Networks and disks of their own for the servers, where the machine allows it: each stands in a network namespace
//! and is connected to the others by a bridge in the namespace of this process; its directory is a small file system.
//! Nothing leaves them, and they vanish with the processes in them.

use std::path::Path;
use std::process::{Child, Command, Stdio};

/// What fits on the disk of a server.
pub const DISK_BYTES: u64 = 128 << 20;

/// Set where this process runs in a namespace that was made for it.
pub const INSIDE: &str = "DISQUE_TEST_NAMESPACE";

/// Whether namespaces, bridges, pairs of interfaces, narrow links and file systems can be made.
pub fn is_possible() -> bool {
    let try_it = "ip link set lo up && ip link add try0 type bridge && ip link add try1 type veth peer name try2 \
                  && ip route add blackhole 10.77.0.99/32 && tc qdisc add dev try1 root tbf rate 1mbit burst 2kb limit 4kb \
                  && mount -t tmpfs none /mnt";
    let tried = Command::new("unshare")
        .args(["--net", "--mount", "sh", "-c", try_it])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    tried.is_ok_and(|status| status.success())
}

/// Runs this test program again in a namespace of its own; true if it succeeded there.
pub fn run_inside(test: &str) -> bool {
    let program = std::env::current_exe().expect("this program has a path");
    let status = Command::new("unshare")
        .args(["--net", "--mount"])
        .arg(program)
        .args(["--exact", test, "--nocapture"])
        .env(INSIDE, "1")
        .status();
    status.expect("unshare was there a moment ago").success()
}

/// The bridge to which all servers are connected, and this process.
pub fn make_bridge() {
    ip("link set lo up");
    ip("link add hub type bridge");
    ip("addr add 10.77.0.254/24 dev hub");
    ip("link set hub up");
}

/// A namespace. It lasts as long as the process in it, which waits for the end of its input.
pub struct Namespace {
    keeper: Child,
}

impl Namespace {
    pub fn new(number: usize) -> Namespace {
        let keeper = Command::new("unshare")
            .args(["--net", "cat"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .expect("unshare was there a moment ago");
        let space = Namespace { keeper };
        let ours = std::fs::read_link("/proc/self/ns/net").expect("every process has a network");
        while std::fs::read_link(format!("/proc/{}/ns/net", space.pid())).is_ok_and(|its| its == ours) {
            std::thread::yield_now();
        }
        ip(&format!("link add node{number} type veth peer name eth netns {}", space.pid()));
        ip(&format!("link set node{number} master hub up"));
        space.ip("link set lo up");
        space.ip(&format!("addr add {}/24 dev eth", address(number)));
        space.ip("link set eth up");
        space
    }

    fn pid(&self) -> u32 {
        self.keeper.id()
    }

    /// The beginning of a command that runs in it.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["-t", &self.pid().to_string(), "-n", program]);
        command
    }

    fn ip(&self, words: &str) {
        run(self.command("ip").args(words.split(' ')), words);
    }

    /// Nothing that is said here reaches the node with this number, or it does again.
    pub fn cut(&self, to: usize, on: bool) {
        let word = if on { "add" } else { "del" };
        self.ip(&format!("route {word} blackhole {}/32", address(to)));
    }
}

impl Namespace {
    /// What leaves this node goes through a link that is so narrow that it delays most packets and loses many, or is
    /// as wide as ever again.
    pub fn narrow(&self, on: bool) {
        let rest = if on { " tbf rate 400kbit burst 2kb limit 6kb" } else { "" };
        let words = format!("qdisc {} dev eth root{rest}", if on { "add" } else { "del" });
        run(self.command("tc").args(words.split(' ')), &words);
    }
}

/// Makes this directory a file system of its own.
pub fn mount_small_disk(dir: &Path) {
    let options = format!("size={DISK_BYTES}");
    run(Command::new("mount").args(["-t", "tmpfs", "-o", &options, "none"]).arg(dir), "mount");
}

pub fn unmount(dir: &Path) {
    // The worst is an empty directory that stays.
    let _ = Command::new("umount").arg(dir).status();
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = self.keeper.kill();
        let _ = self.keeper.wait();
    }
}

pub fn address(number: usize) -> String {
    format!("10.77.0.{}", number + 1)
}

fn ip(words: &str) {
    run(Command::new("ip").args(words.split(' ')), words);
}

fn run(command: &mut Command, words: &str) {
    let output = command.output().expect("ip was there a moment ago");
    assert!(output.status.success(), "ip {words}: {}", String::from_utf8_lossy(&output.stderr));
}
