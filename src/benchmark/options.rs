//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, Subcommand};

use super::bodies::Lengths;
use super::latency::STAMP_LEN;
use super::peer::Peer;

const AFTER_HELP: &str = "\
An operation is one ping, add, get or acknowledgement; a cycle of one job is three. The processor time is that of \
the server process, counted by the system in hundredths of a second, so runs must be long enough. The latencies \
are those of requests that wait for their whole window, except with 'latency', where they count from the time at \
which a job was to be added until a consumer has it. Memory is measured best on a server that was just started: \
what it has freed before, it uses again before it grows.

Exit code: 0 success, 1 the measurement failed, 2 wrong usage.";

/// What the program is to do.
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub(super) enum Action {
    #[command(flatten)]
    Measure(Workload),
    /// Compare two files of results (--json) line by line
    Compare {
        /// Results of before
        before: PathBuf,
        /// Results of after
        after: PathBuf,
    },
    /// Medians of files of results (--json), and how each server stands to the first one named
    Summary {
        /// Results of --json; the lines of all are taken together
        #[arg(required = true)]
        files: Vec<PathBuf>,
        /// Write a chart per title into this directory
        #[arg(long, value_name = "DIR")]
        svg: Option<PathBuf>,
        /// With --svg: instead, a chart with all titles side by side for each figure, its name starting with this
        #[arg(long, value_name = "NAME", requires = "svg")]
        across: Option<String>,
    },
}

/// What is done to the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Subcommand)]
pub(super) enum Workload {
    /// PING only
    Ping,
    /// Add jobs
    Add,
    /// Get jobs of a queue that was filled before
    Get,
    /// Acknowledge jobs that were got before
    Ack,
    /// Steady state: every connection adds a window of jobs, gets as many, acknowledges them
    Cycle,
    /// Fill the queue with N jobs, then drain it, measured in slices
    Backlog {
        /// How many jobs
        #[arg(value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
        jobs: u64,
    },
    /// The cycle spread over N queues
    Queues {
        /// How many queues
        #[arg(value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
        queues: u32,
    },
    /// Add, then get, then acknowledge: the processor time of each for itself, over all nodes
    Stages,
    /// Open load: R jobs per second, whatever becomes of those before, to consumers that wait for them
    Latency {
        /// Jobs per second
        #[arg(value_name = "R", value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
        rate: u32,
    },
    /// What N clients cost that wait for jobs of Q queues and get none
    Blocked {
        /// How many clients
        #[arg(value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
        clients: u32,
        /// On how many queues
        #[arg(value_name = "Q", value_parser = clap::value_parser!(u32).range(1..))]
        queues: u32,
    },
}

impl Workload {
    /// Its name on the command line and in reports.
    pub(super) fn name(self) -> &'static str {
        match self {
            Workload::Ping => "ping",
            Workload::Add => "add",
            Workload::Get => "get",
            Workload::Ack => "ack",
            Workload::Cycle => "cycle",
            Workload::Backlog { .. } => "backlog",
            Workload::Queues { .. } => "queues",
            Workload::Stages => "stages",
            Workload::Latency { .. } => "latency",
            Workload::Blocked { .. } => "blocked",
        }
    }
}

/// Measures a disque server, or another one doing the same work.
#[derive(Debug, Parser)]
#[command(name = "disque-benchmark", version, after_help = AFTER_HELP, arg_required_else_help = true)]
pub(super) struct Options {
    #[command(subcommand)]
    pub(super) action: Option<Action>,

    /// Instead of measuring, be a server that answers +OK to everything: the floor of the protocol
    #[arg(long, value_name = "PORT", exclusive = true)]
    pub(super) null: Option<u16>,

    /// Server to measure
    #[arg(long, global = true, value_name = "HOST", default_value = "127.0.0.1")]
    pub(super) host: String,

    /// Its port
    #[arg(long, global = true, value_name = "PORT", default_value_t = 7711, value_parser = clap::value_parser!(u16).range(1..))]
    pub(super) port: u16,

    /// Further nodes of its cluster: connections are spread over all, processor time and memory are those of all
    #[arg(long, global = true, value_name = "HOST:PORT", value_delimiter = ',')]
    pub(super) nodes: Vec<String>,

    /// The processes, for processor time and memory [default: those that listen on the ports, if they are local]
    #[arg(long, global = true, value_name = "PID", value_delimiter = ',')]
    pub(super) pid: Vec<u32>,

    /// Copies of each job, waited for before it is confirmed [default: what the server takes, 3 or all nodes]
    #[arg(long, global = true, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub(super) replicate: Option<u16>,

    /// Kind of server, and what of it serves as a queue
    #[arg(long, global = true, value_name = "PEER", value_enum, default_value = "disque")]
    pub(super) peer: Peer,

    /// Connections that the load comes from
    #[arg(long, global = true, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=65_535))]
    pub(super) connections: u32,

    /// Jobs per connection that are in flight together
    #[arg(long, global = true, value_name = "W", default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(super) window: u32,

    /// Jobs that one request asks for, where the peer has such requests
    #[arg(long, global = true, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(super) get_batch: u32,

    /// Jobs that one request acknowledges, where the peer has such requests
    #[arg(long, global = true, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(super) ack_batch: u32,

    /// Bytes of a job's body; or FROM-TO; or BYTES:WEIGHT,BYTES:WEIGHT,...
    #[arg(long, global = true, value_name = "BYTES", default_value = "100")]
    pub(super) body: Lengths,

    /// With cycle and queues: jobs that wait in front of those that are measured
    #[arg(long, global = true, value_name = "N", default_value_t = 0)]
    pub(super) waiting: u64,

    /// How long to measure [default: 3]; backlog takes the time it takes
    #[arg(long, global = true, value_name = "SECONDS", value_parser = seconds, conflicts_with = "count")]
    seconds: Option<Duration>,

    /// Measure so many jobs, or pings, instead
    #[arg(long, global = true, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(super) count: Option<u64>,

    /// Queue to use; with several queues, the start of their names
    #[arg(long, global = true, value_name = "NAME", default_value = "disque-benchmark")]
    pub(super) queue: String,

    /// Spread the jobs over so many queues
    #[arg(long, global = true, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    spread: u32,

    /// Measure so many times
    #[arg(long, global = true, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) repeat: u32,

    /// Name of this measurement in summaries [default: made of the workload and what differs from the defaults]
    #[arg(long, global = true, value_name = "TEXT")]
    pub(super) title: Option<String>,

    /// Show progress on standard error also where that is no terminal
    #[arg(long, global = true)]
    pub(super) progress: bool,

    /// One line of JSON per run
    #[arg(long, global = true)]
    pub(super) json: bool,

    /// A line of column names, then one line of comma-separated values per run
    #[arg(long, global = true, conflicts_with = "json")]
    pub(super) csv: bool,
}

impl Options {
    /// How long to measure what has no count.
    pub(super) fn duration(&self) -> Duration {
        self.seconds.unwrap_or(Duration::from_secs(3))
    }

    /// How many queues the jobs go to.
    pub(super) fn queues(&self) -> u32 {
        match self.action {
            Some(Action::Measure(Workload::Queues { queues } | Workload::Blocked { queues, .. })) => queues,
            _ => self.spread,
        }
    }

    /// What the peer cannot do, or the workload cannot be given, in words.
    pub(super) fn contradiction(&self, workload: Workload) -> Option<String> {
        let peer = self.peer.name();
        let batched = self.get_batch > 1 || self.ack_batch > 1;
        let needs_jobs = matches!(workload, Workload::Latency { .. } | Workload::Blocked { .. });
        if batched && !self.peer.takes_batches() {
            Some(format!("{peer} has no requests for several jobs that could be told how many"))
        } else if batched && self.queues() > 1 {
            Some("batches are for a single queue".to_string())
        } else if self.queues() > 1 && !self.peer.takes_queues() {
            Some(format!("{peer} is measured with a single queue"))
        } else if needs_jobs && self.peer == Peer::Null {
            Some("the null server has no jobs to wait for".to_string())
        } else if needs_jobs && batched {
            Some("consumers that wait take jobs one by one".to_string())
        } else if matches!(workload, Workload::Latency { .. })
            && self.queues() > self.connections.div_euclid(2)
        {
            Some("latency needs two connections for each queue".to_string())
        } else if matches!(workload, Workload::Latency { .. })
            && (!matches!(self.body, Lengths::Fixed(_)) || (self.body.shortest() as usize) < STAMP_LEN)
        {
            Some(format!("latency needs bodies of one length, at least {STAMP_LEN} bytes"))
        } else if self.waiting > 0 && !matches!(workload, Workload::Cycle | Workload::Queues { .. }) {
            Some("--waiting is for cycle and queues".to_string())
        } else if self.replicate.is_some() && !matches!(self.peer, Peer::Disque | Peer::Nats | Peer::Null) {
            Some(format!("{peer} cannot be asked for copies"))
        } else {
            None
        }
    }
}

fn seconds(text: &str) -> Result<Duration, String> {
    let number = text.parse::<f64>().map_err(|_| "not a number of seconds".to_string())?;
    match Duration::try_from_secs_f64(number) {
        Ok(duration) if duration > Duration::ZERO => Ok(duration),
        _ => Err("not a number of seconds above 0".to_string()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    fn parsed(line: &str) -> Options {
        Options::try_parse_from(line.split(' ')).expect(line)
    }

    #[test]
    fn definition_is_consistent() {
        Options::command().debug_assert();
    }

    #[test]
    fn options_stand_before_or_after_the_workload() {
        for line in ["b --port 1 --peer redis-lists cycle", "b cycle --peer redis-lists --port 1"] {
            let options = parsed(line);
            assert_eq!((options.port, options.peer), (1, Peer::RedisLists));
            assert_eq!(options.action, Some(Action::Measure(Workload::Cycle)));
        }
    }

    #[test]
    fn queues_come_from_the_workload_or_from_spread() {
        assert_eq!(parsed("b cycle").queues(), 1);
        assert_eq!(parsed("b backlog 10 --spread 7").queues(), 7);
        assert_eq!(parsed("b queues 5").queues(), 5);
        assert_eq!(parsed("b blocked 9 3").queues(), 3);
    }

    #[test]
    fn contradictions_are_refused() {
        for line in [
            "b",
            "b cycle --seconds 1 --count 1",
            "b cycle --json --csv",
            "b --null 1 --port 2",
            "b queues 0",
            "b cycle --window 0",
            "b cycle --seconds 0",
        ] {
            assert!(Options::try_parse_from(line.split(' ')).is_err(), "{line}");
        }
    }

    #[test]
    fn what_a_peer_cannot_do_is_said() {
        let said = |line: &str| {
            let options = parsed(line);
            let Some(Action::Measure(workload)) = options.action else { panic!("{line}") };
            options.contradiction(workload)
        };
        for line in [
            "b cycle --peer nats --get-batch 2",
            "b cycle --peer redis-lists --ack-batch 2",
            "b cycle --spread 2 --ack-batch 2",
            "b queues 2 --peer beanstalkd",
            "b latency 100 --peer null",
            "b latency 100 --body 15",
            "b latency 100 --body 16-20",
            "b latency 100 --spread 26",
            "b add --waiting 1",
            "b add --replicate 2 --peer redis-lists",
        ] {
            assert!(said(line).is_some(), "{line}");
        }
        for line in [
            "b latency 100 --body 16 --spread 25",
            "b cycle --get-batch 9 --waiting 7",
            "b cycle --peer nats",
        ] {
            assert_eq!(said(line), None, "{line}");
        }
    }
}
