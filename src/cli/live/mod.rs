//! Modes that go on until they are stopped, or until standard input ends: rates, latency, one queue, mass insertion,
//! MONITOR.
//!
//! * `view`: all nodes of a cluster, looked at again and again. `queues`: their queues, summed.
//! * `stat`, `watch`, `top`: what is shown of it. `latency`, `pipe`, `monitor`: one connection.
//! * `pace`: the time between two looks, and Ctrl-C.

mod latency;
mod monitor;
mod pace;
mod pipe;
mod queues;
mod stat;
mod top;
mod view;
mod watch;

use std::io;
use std::time::Duration;

use super::Exit;
use super::cluster::{Cluster, Fault};
use pace::Pace;

/// Between two looks, unless said otherwise.
const PERIOD: Duration = Duration::from_secs(1);

/// What is to go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    Stat,
    Top,
    Latency,
    Watch(Vec<u8>),
    Monitor,
    Pipe {
        /// How long to wait for the last replies; `None` is without end.
        patience: Option<Duration>,
    },
}

/// How often, and in which form.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Manner {
    /// `None` is without end.
    pub(super) times: Option<u64>,
    pub(super) interval: Option<Duration>,
    pub(super) json: bool,
}

/// Runs a mode to its end.
pub(super) fn run(cluster: Cluster, mode: &Mode, manner: Manner) -> io::Result<Exit> {
    let mut pace = Pace::start(manner.interval.unwrap_or(PERIOD), manner.times)?;
    let outcome = match mode {
        Mode::Stat => stat::run(cluster, &mut pace, manner.json),
        Mode::Top => top::run(cluster, &pace),
        Mode::Watch(queue) => watch::run(cluster, queue, &mut pace, manner.json),
        Mode::Latency => latency::run(cluster.target, &mut pace, manner.json),
        Mode::Monitor => monitor::run(cluster.target, &pace),
        Mode::Pipe { patience } => pipe::run(cluster.target, *patience),
    };
    match outcome {
        Ok(exit) => Ok(exit),
        Err(Fault::Output(error)) => Err(error),
        Err(fault) => Ok(fault.tell()),
    }
}
