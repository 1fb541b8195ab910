//! What the operating system knows of this process, and what it grants.

use std::fs;
use std::io;

use nix::sys::resource::{Resource, UsageWho, getrlimit, getrusage, setrlimit};
use nix::sys::time::TimeValLike as _;

use crate::types::NodeSet;

/// Descriptors that are not client connections: listeners, log, node table, epoll, HTTP with its listeners, and two links
/// for each other node of the largest cluster.
const RESERVED_DESCRIPTORS: u64 = 64 + HTTP_DESCRIPTORS + 2 * NodeSet::CAPACITY as u64;
const HTTP_DESCRIPTORS: u64 = 48;

/// Processor time in microseconds: in the system, in the program.
pub(crate) fn cpu_micros() -> (u64, u64) {
    match getrusage(UsageWho::RUSAGE_SELF) {
        Ok(usage) => {
            (usage.system_time().num_microseconds() as u64, usage.user_time().num_microseconds() as u64)
        }
        Err(_) => (0, 0),
    }
}

/// Resident memory in bytes; 0 where the system does not tell.
pub(crate) fn resident_bytes() -> u64 {
    let Ok(status) = fs::read_to_string("/proc/self/status") else { return 0 };
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().next()).and_then(|kib| kib.parse::<u64>().ok());
    kib.unwrap_or(0) * 1024
}

/// System name, release and machine.
pub(crate) fn os_name() -> String {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!("{} {} {}", std::env::consts::OS, release.trim(), std::env::consts::ARCH)
}

/// Raises the limit of open files so that `maxclients` fit; tells how many do. The hard limit stays as it is.
pub(crate) fn reserve_descriptors(maxclients: u32) -> io::Result<u32> {
    let wanted = u64::from(maxclients) + RESERVED_DESCRIPTORS;
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    if soft >= wanted {
        return Ok(maxclients);
    }
    // Privileged processes may raise the hard limit too; if not, its height has to do.
    if setrlimit(Resource::RLIMIT_NOFILE, wanted, hard.max(wanted)).is_err() {
        setrlimit(Resource::RLIMIT_NOFILE, wanted.min(hard), hard)?;
    }
    let (soft, _) = getrlimit(Resource::RLIMIT_NOFILE)?;
    Ok(soft.min(wanted).saturating_sub(RESERVED_DESCRIPTORS) as u32)
}

/// The system's text without the number that Rust adds.
pub(crate) fn os_text(error: &io::Error) -> String {
    let text = error.to_string();
    match text.split_once(" (os error") {
        Some((text, _)) => text.to_owned(),
        None => text,
    }
}
