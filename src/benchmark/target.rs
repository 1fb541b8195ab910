//! The server that is measured, or the cluster: addresses, processes, queues, and what we want of it.

use std::net::{SocketAddr, ToSocketAddrs};
use std::time::Duration;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use redis_protocol::resp2::types::OwnedFrame;

use super::bodies::Bodies;
use super::control::Control;
use super::fault::Fault;
use super::options::{Options, Workload};
use super::peer::Peer;
use super::process::Process;
use super::progress::Display;
use super::side::Side;
use super::speech::Speech;

/// So often the nodes of a cluster are asked for jobs in vain before it is believed that there are none.
const EMPTY_ROUNDS: usize = 5;

/// The server that is measured, ready to be loaded.
pub(super) struct Target {
    /// At least one; questions go to the first.
    pub(super) addresses: Vec<SocketAddr>,
    /// Empty if not all of them are known.
    pub(super) processes: Vec<Process>,
    pub(super) speech: Speech,
    pub(super) side: Side,
    pub(super) workload: Workload,
    pub(super) connections: u32,
    pub(super) window: u32,
    pub(super) count: Option<u64>,
    pub(super) duration: Duration,
    /// Jobs that wait in front of those of the cycle.
    pub(super) waiting: u64,
    pub(super) display: Display,
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
        let bodies = Bodies::new(options.body.clone());
        let mut speech = Speech::new(options.peer, &options.queue, options.queues(), bodies);
        speech.replicate = options.replicate;
        (speech.get_batch, speech.ack_batch) = (options.get_batch, options.ack_batch);
        speech.stamped = matches!(workload, Workload::Latency { .. });
        let mut target = Target {
            side: Side::open(addresses[0], options.peer)?,
            addresses,
            processes: processes.unwrap_or_default(),
            speech,
            workload,
            connections: options.connections,
            window: options.window,
            count: options.count,
            duration: options.duration(),
            waiting: options.waiting,
            display: Display::choose(options.progress),
        };
        target.side.prepare(&target.speech)?;
        Ok(target)
    }

    /// Removes what would be left of the queues.
    pub(super) fn remove_queues(&mut self) -> Result<(), Fault> {
        self.side.remove(&self.speech)?;
        if self.addresses.len() > 1 && self.speech.peer == Peer::Disque {
            self.drain_nodes()?;
        }
        Ok(())
    }

    /// Takes out the jobs that went from one node to another, since a queue ran empty there: no connection looked for
    /// them where they are now. Looking for them makes them wander again, so it is done until there are none.
    fn drain_nodes(&mut self) -> Result<(), Fault> {
        let mut controls: Vec<Control> = Vec::new();
        for address in &self.addresses {
            controls.push(Control::open(*address)?);
        }
        let mut empty_rounds = 0;
        while empty_rounds < EMPTY_ROUNDS {
            let mut found = 0;
            for control in &mut controls {
                for queue in &self.speech.queues {
                    found += drain(control, queue)?;
                }
            }
            empty_rounds = if found == 0 { empty_rounds + 1 } else { 0 };
        }
        Ok(())
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

/// Gets and acknowledges the jobs of a queue; how many there were.
fn drain(control: &mut Control, queue: &[u8]) -> Result<usize, Fault> {
    let mut found = 0;
    while let OwnedFrame::Array(jobs) =
        control.ask([b"GETJOB", b"NOHANG", b"COUNT", b"1000", b"FROM", queue])?
    {
        found += jobs.len();
        for job in jobs {
            let OwnedFrame::Array(fields) = job else { continue };
            if let Some(OwnedFrame::BulkString(id)) = fields.get(1) {
                control.ask([b"ACKJOB", id])?;
            }
        }
    }
    Ok(found)
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
