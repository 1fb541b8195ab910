//! `--latency`: how long PING takes, in numbers and as a histogram.

use std::io::{self, IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use serde_json::json;

use super::pace::Pace;
use crate::cli::Exit;
use crate::cli::cluster::Fault;
use crate::client::session::{Session, Target};
use crate::types::counted;

/// Between two PINGs.
const PERIOD: Duration = Duration::from_millis(10);
/// How long one may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// Widest bar of the histogram.
const BAR: u64 = 50;

pub(super) fn run(target: Target, pace: &mut Pace, as_json: bool) -> Result<Exit, Fault> {
    let mut session = Session::new(target);
    session.connect(None).map_err(|error| Fault::Unreachable(error.to_string()))?;
    let longest = PATIENCE.as_micros() as u64;
    let mut all = Histogram::<u64>::new_with_bounds(1, longest, 3).expect("the bounds are in order");
    let live = io::stdout().is_terminal() && !as_json;
    let mut next_report = Instant::now() + pace.interval();
    let mut reports = pace.reports();
    while reports != Some(0) && !pace.is_stopped() {
        let begin = Instant::now();
        let reply = session.ask_within(&["PING"], PATIENCE);
        reply.map_err(|lost| {
            Fault::Unreachable(format!("Connection to {} lost: {lost}", session.address()))
        })?;
        // Up to a microsecond counts as one.
        all.saturating_record((begin.elapsed().as_micros() as u64).max(1));
        if Instant::now() >= next_report {
            next_report += pace.interval();
            reports = reports.map(|reports| reports - 1);
            report(&all, live, as_json)?;
        }
        pace.rest_until(begin + PERIOD);
    }
    if !as_json {
        let mut stdout = io::stdout().lock();
        if live {
            writeln!(stdout)?;
        }
        bars(&all).iter().try_for_each(|line| writeln!(stdout, "{line}"))?;
    }
    Ok(Exit::Success)
}

/// What has been measured since the start.
fn report(all: &Histogram<u64>, live: bool, as_json: bool) -> io::Result<()> {
    let at = |quantile: f64| all.value_at_quantile(quantile);
    let mut stdout = io::stdout().lock();
    if as_json {
        let object = json!({
            "pings": all.len(), "min_us": all.min(), "mean_us": all.mean(), "p50_us": at(0.5), "p99_us": at(0.99),
            "p999_us": at(0.999), "max_us": all.max(),
        });
        writeln!(stdout, "{object}")?;
        return stdout.flush();
    }
    let line = format!(
        "{}: min {}, mean {}, median {}, 99 % {}, 99.9 % {}, max {}",
        counted(all.len(), "ping", "pings"),
        shown(all.min()),
        shown(all.mean() as u64),
        shown(at(0.5)),
        shown(at(0.99)),
        shown(at(0.999)),
        shown(all.max()),
    );
    match live {
        true => write!(stdout, "\r\x1b[K{line}")?,
        false => writeln!(stdout, "{line}")?,
    }
    stdout.flush()
}

/// One line for each power of two in which something lies, and for those between them.
fn bars(all: &Histogram<u64>) -> Vec<String> {
    let mut counts: Vec<(u64, u64)> = Vec::new();
    for bucket in all.iter_recorded() {
        let bound = (bucket.value_iterated_to() + 1).next_power_of_two();
        match counts.last_mut() {
            Some((last, count)) if *last == bound => *count += bucket.count_at_value(),
            Some((last, _)) => {
                let gaps = (last.ilog2() + 1)..bound.ilog2();
                counts.extend(gaps.map(|bits| (1 << bits, 0)));
                counts.push((bound, bucket.count_at_value()));
            }
            None => counts.push((bound, bucket.count_at_value())),
        }
    }
    let most = counts.iter().map(|(_, count)| *count).max().unwrap_or(0).max(1);
    let total = all.len().max(1);
    let line = |(bound, count): &(u64, u64)| {
        let bar = "#".repeat((count * BAR).div_ceil(most) as usize);
        let share = *count as f64 * 100.0 / total as f64;
        format!("below {:>8}  {count:>8}  {share:>6.2} %  {bar}", shown(*bound)).trim_end().to_string()
    };
    counts.iter().map(line).collect()
}

/// Microseconds for people.
fn shown(micros: u64) -> String {
    match micros {
        0..1000 => format!("{micros} us"),
        1000..10_000 => format!("{:.2} ms", micros as f64 / 1e3),
        10_000..1_000_000 => format!("{:.0} ms", micros as f64 / 1e3),
        _ => format!("{:.2} s", micros as f64 / 1e6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_have_no_gaps_and_count_all() {
        let mut all = Histogram::<u64>::new_with_bounds(1, 1_000_000, 3).expect("the bounds are in order");
        [100, 100, 127, 128, 1000].into_iter().for_each(|micros| all.record(micros).expect("within bounds"));
        let lines = bars(&all);
        assert_eq!(lines.len(), 4, "{lines:#?}");
        assert!(lines[0].starts_with("below   128 us         3   60.00 %  ##"), "{}", lines[0]);
        assert!(lines[2].starts_with("below   512 us         0    0.00 %"), "{}", lines[2]);
        assert!(lines[3].starts_with("below  1.02 ms         1"), "{}", lines[3]);
        assert!(bars(&Histogram::<u64>::new(3).expect("three digits")).is_empty());
    }
}
