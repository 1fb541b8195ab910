//! The server that is measured, or the cluster: addresses, processes, queues, and what we want of it.

use std::net::{SocketAddr, ToSocketAddrs};
use std::time::Duration;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use redis_protocol::resp2::types::OwnedFrame;

use super::control::Control;
use super::fault::Fault;
use super::options::{Options, Workload};
use super::peer::Speech;
use super::process::Process;

/// How many queues are prepared with one round trip.
const CHUNK: usize = 1_000;

/// The server that is measured, ready to be loaded.
pub(super) struct Target {
    /// At least one; questions go to the first.
    pub(super) addresses: Vec<SocketAddr>,
    /// Empty if not all of them are known.
    pub(super) processes: Vec<Process>,
    pub(super) speech: Speech,
    pub(super) control: Control,
    pub(super) workload: Workload,
    pub(super) connections: u32,
    pub(super) window: u32,
    pub(super) count: Option<u64>,
    pub(super) duration: Duration,
}

impl Target {
    /// Finds the server and makes sure that the queues exist and are empty.
    pub(super) fn open(options: &Options, workload: Workload) -> Result<Target, Fault> {
        let named = format!("{}:{}", options.host, options.port);
        let mut addresses = vec![address_of((options.host.as_str(), options.port), &named)?];
        for node in &options.nodes {
            addresses.push(address_of(node, node)?);
        }
        raise_descriptor_limit();
        let processes = match options.pid.as_slice() {
            [] => addresses.iter().map(|address| Process::listening_on(*address)).collect(),
            pids => Some(pids.iter().map(|pid| Process { pid: *pid }).collect()),
        };
        let speech = Speech::new(options.peer, &options.queue, options.queues(), options.body as usize);
        let mut target = Target {
            control: Control::open(addresses[0])?,
            addresses,
            processes: processes.unwrap_or_default(),
            speech: speech.replicated(options.replicate),
            workload,
            connections: options.connections,
            window: options.window,
            count: options.count,
            duration: options.duration(),
        };
        target.prepare_queues()?;
        Ok(target)
    }

    fn prepare_queues(&mut self) -> Result<(), Fault> {
        let lengths = self.of_every_queue(Speech::write_len)?;
        for (queue, length) in self.speech.queues.iter().zip(lengths) {
            match length {
                OwnedFrame::Integer(0) => {}
                OwnedFrame::Integer(jobs) => {
                    let queue = String::from_utf8_lossy(queue).into_owned();
                    return Err(Fault::QueueInUse { queue, jobs });
                }
                other => return Err(Fault::Malformed(format!("{other:?}"))),
            }
        }
        self.of_every_queue(Speech::write_create)?;
        Ok(())
    }

    /// Removes what would be left of the queues.
    pub(super) fn remove_queues(&mut self) -> Result<(), Fault> {
        self.of_every_queue(Speech::write_remove)?;
        Ok(())
    }

    /// The replies to what is to be said for each queue.
    fn of_every_queue(
        &mut self,
        write: fn(&Speech, &mut Vec<u8>, u32) -> usize,
    ) -> Result<Vec<OwnedFrame>, Fault> {
        let mut replies = Vec::new();
        let queues = self.speech.queues.len();
        for start in (0..queues).step_by(CHUNK) {
            let mut bytes = Vec::new();
            let chunk = start..queues.min(start + CHUNK);
            let requests = chunk.map(|queue| write(&self.speech, &mut bytes, queue as u32)).sum();
            self.control.send(&bytes)?;
            for _ in 0usize..requests {
                replies.push(self.control.reply()?);
            }
        }
        Ok(replies)
    }

    /// Resident memory of all servers in bytes.
    pub(super) fn resident(&self) -> Option<u64> {
        self.sum(Process::resident)
    }

    /// Processor time of all servers in ticks.
    pub(super) fn ticks(&self) -> Option<u64> {
        self.sum(Process::ticks)
    }

    fn sum(&self, of: fn(Process) -> Option<u64>) -> Option<u64> {
        let numbers = self.processes.iter().map(|process| of(*process)).collect::<Option<Vec<u64>>>()?;
        (!numbers.is_empty()).then(|| numbers.iter().sum())
    }
}

fn address_of(node: impl ToSocketAddrs, named: &str) -> Result<SocketAddr, Fault> {
    let fault = |error| Fault::Connect { address: named.to_owned(), error };
    let mut addresses = node.to_socket_addrs().map_err(fault)?;
    addresses.next().ok_or_else(|| fault(std::io::ErrorKind::NotFound.into()))
}

/// Thousands of connections need as many descriptors. If they are not granted, connecting will say so.
fn raise_descriptor_limit() {
    if let Ok((_, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
    }
}
