//! A server that is traced: its system calls are seen before they happen.

use std::cell::RefCell;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use nix::sys::ptrace::{self, Options};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use crate::workload::Scenario;

/// The calls of x86-64 that change files, or open them, with the argument that names the file.
const CALLS: [(u64, Names); 11] = [
    (17, Names::Descriptor), // pread64
    (18, Names::Descriptor), // pwrite64
    (74, Names::Descriptor), // fsync
    (75, Names::Descriptor), // fdatasync
    (77, Names::Descriptor), // ftruncate
    (82, Names::Path(0)),    // rename
    (87, Names::Path(0)),    // unlink
    (257, Names::Path(1)),   // openat
    (263, Names::Path(1)),   // unlinkat
    (264, Names::Path(1)),   // renameat
    (316, Names::Path(1)),   // renameat2
];

#[derive(Clone, Copy)]
enum Names {
    Descriptor,
    /// Which argument.
    Path(usize),
}

/// A server that nobody watches.
pub struct Plain(RefCell<Child>);

impl Plain {
    /// Whether it has ended by itself.
    pub fn has_ended(&self) -> bool {
        self.0.borrow_mut().try_wait().expect("it is ours").is_some()
    }

    /// Waits until it has ended by itself; its exit status.
    pub fn end(&self) -> Option<i32> {
        self.0.borrow_mut().wait().expect("it is ours").code()
    }

    /// Kills it, unless it has ended by itself; its exit status if so.
    pub fn end_now(&self) -> Option<i32> {
        self.0.borrow_mut().kill().expect("it is ours");
        self.end()
    }
}

/// Kills a server if the thread that holds this fails: nobody else would end it.
pub struct EndIfPanicking(pub Pid);

impl Drop for EndIfPanicking {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let _ = kill(self.0, Signal::SIGKILL);
        }
    }
}

pub fn arguments(port: u16, scenario: Scenario) -> Vec<String> {
    let line = format!("--port {port} --bind 127.0.0.1 --appendonly yes --appendfsync {}", scenario.fsync());
    line.split(' ').map(str::to_owned).collect()
}

pub fn spawn(dir: &Path, arguments: Vec<String>) -> Plain {
    let child = Command::new(env!("CARGO_BIN_EXE_disque-server"))
        .args(arguments)
        .current_dir(dir)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    Plain(RefCell::new(child.expect("the server program was built")))
}

/// A server whose calls are seen.
pub struct Traced {
    pid: Pid,
}

impl Traced {
    /// Starts a server that waits for its tracer before it does anything.
    #[expect(clippy::zombie_processes, reason = "whoever traces a process waits for it by waitpid")]
    pub fn start(dir: &Path, arguments: Vec<String>) -> Traced {
        let child = Command::new("/bin/sh")
            .args(["-c", "kill -STOP $$; exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_disque-server")])
            .args(arguments)
            .current_dir(dir)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("there is a shell");
        let pid = Pid::from_raw(child.id() as i32);
        let stopped = waitpid(pid, Some(WaitPidFlag::WUNTRACED)).expect("it is ours");
        assert_eq!(stopped, WaitStatus::Stopped(pid, Signal::SIGSTOP));
        let options = Options::PTRACE_O_TRACESYSGOOD
            | Options::PTRACE_O_TRACECLONE
            | Options::PTRACE_O_TRACEEXEC
            | Options::PTRACE_O_EXITKILL;
        ptrace::seize(pid, options).expect("it may be traced");
        kill(pid, Signal::SIGCONT).expect("it is ours");
        Traced { pid }
    }

    pub fn pid(&self) -> Pid {
        self.pid
    }

    /// Lets it run to its end. A thread that is about to make a call that `hang` names stands still until that lets it go:
    /// to the rest of the process it looks as if the disk did not answer.
    pub fn run_with(self, hang: &Hang) {
        let mut still = None;
        loop {
            let status = waitpid(None, Some(WaitPidFlag::__WALL)).expect("the server is still there");
            if hang.call.load(Ordering::SeqCst) == 0
                && let Some(thread) = still.take()
            {
                let _ = ptrace::syscall(thread, None);
            }
            match status {
                WaitStatus::PtraceSyscall(thread) => {
                    let wanted = hang.call.load(Ordering::SeqCst);
                    if still.is_none() && wanted != 0 && touches_the_files(thread) == Some(wanted) {
                        still = Some(thread);
                        hang.hangs.store(true, Ordering::SeqCst);
                        continue;
                    }
                    let _ = ptrace::syscall(thread, None);
                }
                status => {
                    if self.go_on(status) {
                        return;
                    }
                }
            }
        }
    }

    /// What there is to do about anything but a call. True if the server is gone.
    fn go_on(&self, status: WaitStatus) -> bool {
        match status {
            WaitStatus::PtraceEvent(thread, ..) => {
                let _ = ptrace::syscall(thread, None);
            }
            WaitStatus::Stopped(thread, signal) => {
                let passed = !matches!(signal, Signal::SIGSTOP | Signal::SIGTRAP);
                let _ = ptrace::syscall(thread, passed.then_some(signal));
            }
            WaitStatus::Exited(pid, _) | WaitStatus::Signaled(pid, ..) => return pid == self.pid,
            _ => {}
        }
        false
    }

    /// Lets it run to its end, or to the call with this number, at which it is killed.
    pub fn run(self, until: Option<usize>) -> End {
        let mut calls = 0;
        loop {
            // Whoever is gone meanwhile is no error: its end is reported too.
            let status = waitpid(None, Some(WaitPidFlag::__WALL)).expect("the server is still there");
            match status {
                WaitStatus::PtraceSyscall(thread) => {
                    if touches_the_files(thread).is_some() {
                        calls += 1;
                        if Some(calls) == until {
                            kill(self.pid, Signal::SIGKILL).expect("it is ours");
                            continue;
                        }
                    }
                    let _ = ptrace::syscall(thread, None);
                }
                status => {
                    if self.go_on(status) {
                        return End { calls, how: status };
                    }
                }
            }
        }
    }
}

/// The end of a server.
pub struct End {
    /// How many calls touched the files.
    pub calls: usize,
    pub how: WaitStatus,
}

/// A disk that does not answer, as the threads of one server see it.
#[derive(Default)]
pub struct Hang {
    /// The call that does not return; 0: the disk answers.
    call: AtomicU64,
    hangs: AtomicBool,
}

impl Hang {
    /// `pwrite64`.
    pub const WRITE: u64 = 18;
    /// `fdatasync`.
    pub const SYNC: u64 = 75;

    /// The next such call does not return.
    pub fn begin(&self, call: u64) {
        self.hangs.store(false, Ordering::SeqCst);
        self.call.store(call, Ordering::SeqCst);
    }

    /// Whether a thread waits for the disk.
    pub fn hangs(&self) -> bool {
        self.hangs.load(Ordering::SeqCst)
    }

    /// The disk answers again; noticed with the server's next call of any kind.
    pub fn end(&self) {
        self.call.store(0, Ordering::SeqCst);
    }
}

/// The call about the append-only file that a thread is about to make, if it is.
fn touches_the_files(thread: Pid) -> Option<u64> {
    // What a call returns is "no such call" until it has been made.
    const NOT_YET: u64 = -38_i64 as u64;
    let regs = ptrace::getregs(thread).ok()?;
    if regs.rax != NOT_YET {
        return None;
    }
    let (_, names) = CALLS.iter().find(|(number, _)| *number == regs.orig_rax)?;
    let name = match names {
        Names::Descriptor => {
            let link = format!("/proc/{thread}/fd/{}", regs.rdi);
            std::fs::read_link(link).map(|path| path.display().to_string()).unwrap_or_default()
        }
        Names::Path(argument) => path_at(thread, [regs.rdi, regs.rsi][*argument]),
    };
    let ours = name.contains("disque.aof") || (regs.orig_rax == 74 && name.contains("disque-test"));
    ours.then_some(regs.orig_rax)
}

/// The path at an address of the server.
fn path_at(thread: Pid, address: u64) -> String {
    let mut path = Vec::new();
    for word in 0..512 {
        let Ok(word) = ptrace::read(thread, (address + word * 8) as ptrace::AddressType) else { break };
        for byte in word.to_ne_bytes() {
            if byte == 0 {
                return String::from_utf8_lossy(&path).into_owned();
            }
            path.push(byte);
        }
    }
    String::from_utf8_lossy(&path).into_owned()
}
