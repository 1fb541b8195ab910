//! How often each command ran, and for how long.

use std::fmt;

/// Calls and run time per command, by the command's place in the command table.
#[derive(Clone, Debug)]
pub struct CommandStats {
    totals: Box<[Totals]>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Totals {
    calls: u64,
    nanos: u64,
}

/// One line of INFO commandstats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CommandUse<'a> {
    /// The built-in name, lower case.
    pub name: &'a str,
    /// How often it ran.
    pub calls: u64,
    /// How long all its runs took, in nanoseconds.
    pub nanos: u64,
}

impl CommandStats {
    /// Statistics for a table of `commands` commands, all zero.
    pub fn new(commands: usize) -> CommandStats {
        CommandStats { totals: vec![Totals::default(); commands].into() }
    }

    /// Counts one run of the command at `index`, which must be in the table.
    #[inline]
    pub fn count(&mut self, index: usize) {
        self.totals[index].calls += 1;
    }

    /// Adds the time of one or several runs, which are counted apart: not every run is timed.
    ///
    /// Nanoseconds, because most commands take less than a microsecond and would otherwise add nothing.
    #[inline]
    pub fn add_time(&mut self, index: usize, nanos: u64) {
        let totals = &mut self.totals[index];
        totals.nanos = totals.nanos.saturating_add(nanos);
    }

    /// Forgets everything (CONFIG RESETSTAT).
    pub fn reset(&mut self) {
        self.totals.fill(Totals::default());
    }

    /// The commands that ran, in the order of INFO commandstats: first those that RC1 has, as it lists them,
    /// then ours by their place in the table. `names` are the built-in names in the table's order.
    pub fn used<'a>(&self, names: &[&'a str]) -> Vec<CommandUse<'a>> {
        assert_eq!(names.len(), self.totals.len());
        let mut used: Vec<_> = names
            .iter()
            .zip(&self.totals)
            .filter(|(_, totals)| totals.calls > 0)
            .map(|(name, totals)| CommandUse { name, calls: totals.calls, nanos: totals.nanos })
            .collect();
        // The sort is stable: commands that RC1 does not have keep the table's order.
        used.sort_by_key(|command| rank(command.name));
        used
    }
}

/// `cmdstat_NAME:calls=N,usec=N,usec_per_call=N.NN`
impl fmt::Display for CommandUse<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let CommandUse { name, calls, nanos } = self;
        let usec_per_call = if *calls == 0 { 0.0 } else { *nanos as f64 / 1000.0 / *calls as f64 };
        write!(f, "cmdstat_{name}:calls={calls},usec={},usec_per_call={usec_per_call:.2}", nanos / 1000)
    }
}

fn rank(name: &str) -> usize {
    RC1_ORDER.iter().position(|rc1| *rc1 == name).unwrap_or(RC1_ORDER.len())
}

/// The order in which RC1 lists its commands (operations.md 4).
const RC1_ORDER: [&str; 32] = [
    "auth",
    "ping",
    "info",
    "shutdown",
    "monitor",
    "debug",
    "config",
    "cluster",
    "client",
    "slowlog",
    "time",
    "command",
    "latency",
    "hello",
    "addjob",
    "getjob",
    "ackjob",
    "fastack",
    "deljob",
    "show",
    "loadjob",
    "bgrewriteaof",
    "qlen",
    "qpeek",
    "qstat",
    "qscan",
    "jscan",
    "enqueue",
    "nack",
    "dequeue",
    "working",
    "pause",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_commands_that_ran_are_listed_in_the_order_of_rc1() {
        let names = ["echo", "qlen", "addjob", "ping", "asking"];
        let mut stats = CommandStats::new(names.len());
        for (index, nanos) in [(4, 1), (1, 1_500), (1, 1_600), (0, 999), (3, 2_000_000)] {
            stats.count(index);
            stats.add_time(index, nanos);
        }
        let lines: Vec<_> = stats.used(&names).iter().map(ToString::to_string).collect();
        assert_eq!(
            lines,
            [
                "cmdstat_ping:calls=1,usec=2000,usec_per_call=2000.00",
                "cmdstat_qlen:calls=2,usec=3,usec_per_call=1.55",
                "cmdstat_echo:calls=1,usec=0,usec_per_call=1.00",
                "cmdstat_asking:calls=1,usec=0,usec_per_call=0.00",
            ]
        );
        stats.reset();
        assert_eq!(stats.used(&names), []);
    }
}
