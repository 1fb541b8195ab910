//! What the system knows of the server process: who it is, its processor time, its memory.
//!
//! Reads `/proc`; the functions that take text are what is worth testing. Where there is no `/proc`, and for
//! servers elsewhere, there is no process and reports leave its columns empty.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Microseconds per unit of `utime` and `stime`. The kernel counts in units of its own but shows hundredths of
/// a second on every architecture we build for.
pub(super) const TICK_MICROS: u64 = 10_000;
/// The state of a listening socket in `/proc/net/tcp`.
const LISTENING: &str = "0A";

/// The process of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Process {
    pub(super) pid: u32,
}

impl Process {
    /// The process that listens on a local address, as far as we may see it.
    pub(super) fn listening_on(address: SocketAddr) -> Option<Process> {
        if !is_local(address.ip()) {
            return None;
        }
        let tables =
            ["/proc/net/tcp", "/proc/net/tcp6"].map(|path| fs::read_to_string(path).unwrap_or_default());
        let inodes: Vec<u64> = tables
            .iter()
            .flat_map(|table| listeners(table, address.port()))
            .map(|(_, inode)| inode)
            .collect();
        let names: Vec<String> = inodes.iter().map(|inode| format!("socket:[{inode}]")).collect();
        let pids = fs::read_dir("/proc")
            .ok()?
            .flatten()
            .filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        pids.map(|pid| Process { pid }).find(|process| process.owns_one_of(&names))
    }

    fn owns_one_of(self, sockets: &[String]) -> bool {
        // Processes of others cannot be looked into; theirs is the same answer as "no".
        let Ok(descriptors) = fs::read_dir(format!("/proc/{}/fd", self.pid)) else { return false };
        descriptors
            .flatten()
            .filter_map(|descriptor| fs::read_link(descriptor.path()).ok())
            .any(|link| sockets.iter().any(|socket| link.as_os_str() == socket.as_str()))
    }

    /// Processor time used until now, in ticks; `None` once the process is gone.
    pub(super) fn ticks(self) -> Option<u64> {
        ticks(&fs::read_to_string(format!("/proc/{}/stat", self.pid)).ok()?)
    }

    /// Resident memory in bytes.
    pub(super) fn resident(self) -> Option<u64> {
        resident(&fs::read_to_string(format!("/proc/{}/status", self.pid)).ok()?)
    }
}

/// Whether this process goes before all others that do not (policies FIFO and RR).
pub(super) fn is_realtime() -> bool {
    fs::read_to_string("/proc/self/stat").is_ok_and(|stat| matches!(policy(&stat), Some(1 | 2)))
}

/// The scheduling policy of `/proc/<pid>/stat`, the 41st field.
fn policy(stat: &str) -> Option<u32> {
    let (_, behind_name) = stat.rsplit_once(')')?;
    behind_name.split_whitespace().nth(38)?.parse().ok()
}

/// Whether an address is one of this machine: its port can be bound only if it is.
fn is_local(ip: IpAddr) -> bool {
    ip.is_loopback() || std::net::UdpSocket::bind((ip, 0)).is_ok()
}

/// The addresses and inodes of the sockets in a table of `/proc/net` that listen on a port.
fn listeners(table: &str, port: u16) -> Vec<(IpAddr, u64)> {
    let listener = |line: &str| {
        let mut fields = line.split_whitespace();
        let (address, local_port) = fields.nth(1)?.split_once(':')?;
        let state = fields.nth(1)?;
        let inode = fields.nth(5)?.parse().ok()?;
        let fits = state == LISTENING && u16::from_str_radix(local_port, 16).ok()? == port;
        fits.then_some((address_of(address)?, inode))
    };
    table.lines().filter_map(listener).collect()
}

/// An address as the kernel prints it: words of 32 bits, each in the byte order of the machine.
fn address_of(hex: &str) -> Option<IpAddr> {
    let word = |at: usize| Some(u32::from_str_radix(hex.get(at..at + 8)?, 16).ok()?.to_ne_bytes());
    if hex.len() == 8 {
        return Some(Ipv4Addr::from(word(0)?).into());
    }
    let mut bytes = [0; 16];
    for (i, quarter) in bytes.chunks_mut(4).enumerate() {
        quarter.copy_from_slice(&word(8 * i)?);
    }
    Some(Ipv6Addr::from(bytes).into())
}

/// utime + stime of `/proc/<pid>/stat`. The name of the program comes second, in parentheses, and may contain
/// blanks and parentheses itself.
fn ticks(stat: &str) -> Option<u64> {
    let (_, behind_name) = stat.rsplit_once(')')?;
    let mut fields = behind_name.split_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

/// VmRSS of `/proc/<pid>/status`, in bytes.
fn resident(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kib * 1024)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    const TCP: &str = "\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1E1F 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 81611 1 0000000000000000 100 0 0 10 0
   1: 0100007F:1E1F 0100007F:D3A8 01 00000000:00000000 00:00000000 00000000  1000        0 81700 1 0000000000000000 20 4 0 10 -1
   2: 00000000:1E20 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 777 1 0000000000000000 100 0 0 10 0
";
    const TCP6: &str = "\
  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000000000000000000001000000:1E1F 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 99 1 0000000000000000 100 0 0 10 0
";

    #[test]
    #[cfg(target_endian = "little")]
    fn only_listeners_of_the_port_are_found() {
        assert_eq!(listeners(TCP, 7711), [(Ipv4Addr::LOCALHOST.into(), 81_611)]);
        assert_eq!(listeners(TCP, 7712), [(Ipv4Addr::UNSPECIFIED.into(), 777)]);
        assert_eq!(listeners(TCP6, 7711), [(Ipv6Addr::LOCALHOST.into(), 99)]);
        assert_eq!(listeners(TCP, 7713), []);
        assert_eq!(listeners("", 7711), []);
    }

    #[test]
    fn processor_time_is_found_behind_any_program_name() {
        let behind = "S 1 2 3 0 -1 4194560 5 0 0 0 1234 66 9 9 20 0 1 0 100 1 1";
        for name in ["(disque-server)", "(a b)", "(a) R 1 (x)"] {
            assert_eq!(ticks(&format!("42 {name} {behind}")), Some(1300));
        }
        assert_eq!(ticks("42 (cut) S 1"), None);
    }

    #[test]
    fn policy_is_the_forty_first_field() {
        let fields: Vec<String> = (3..=52).map(|number| number.to_string()).collect();
        assert_eq!(policy(&format!("1 (a b) {}", fields.join(" "))), Some(41));
        assert!(!is_realtime(), "tests are not");
    }

    #[test]
    fn resident_memory_is_in_bytes() {
        assert_eq!(resident("Name:\tx\nVmPeak:\t  9 kB\nVmRSS:\t    5120 kB\n"), Some(5_242_880));
        assert_eq!(resident("Name:\tkthreadd\n"), None);
    }

    #[test]
    fn process_that_listens_is_found() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("the loopback interface is up");
        let found = Process::listening_on(listener.local_addr().expect("it is bound")).expect("it is ours");
        assert_eq!(found.pid, std::process::id());
        assert!(found.ticks().is_some() && found.resident() > Some(0));
    }
}
