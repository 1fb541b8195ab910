//! Results as people and programs read them.

use std::io::{self, Write as _};

use hdrhistogram::Histogram;
use serde_json::{Map, Value, json};

use super::options::{Options, Workload};
use super::statistics::{Cost, ENOUGH_TICKS, median, ratio};

/// Columns of `--csv`; each workload leaves some empty.
const COLUMNS: &[&str] = &[
    "title",
    "workload",
    "peer",
    "connections",
    "window",
    "body",
    "queues",
    "nodes",
    "replicate",
    "get_batch",
    "ack_batch",
    "waiting",
    "rate",
    "jobs",
    "jobs_per_second",
    "cpu_usec_per_job",
    "operations",
    "seconds",
    "operations_per_second",
    "cpu_ticks",
    "cpu_usec_per_operation",
    "fill_jobs_per_second",
    "fill_cpu_usec_per_job",
    "drain_jobs_per_second",
    "drain_cpu_usec_per_job",
    "add_cpu_usec_per_job",
    "get_cpu_usec_per_job",
    "ack_cpu_usec_per_job",
    "latency_p50_usec",
    "latency_p90_usec",
    "latency_p99_usec",
    "latency_p999_usec",
    "latency_max_usec",
    "add_latency_p50_usec",
    "add_latency_p90_usec",
    "add_latency_p99_usec",
    "add_latency_p999_usec",
    "add_latency_max_usec",
    "rss_before",
    "rss_full",
    "rss_after",
    "rss_per_job",
    "clients",
    "rss_per_client",
    "cpu_percent",
    "loop_turn_max_usec_before",
    "loop_turn_max_usec_after",
    "voids",
];

/// What one run has found.
pub(super) struct Findings {
    /// The same as fields, for programs.
    fields: Map<String, Value>,
    /// For people; lines that begin with two blanks.
    pub(super) text: String,
    warnings: Vec<String>,
    cost: Cost,
    resident_before: Option<u64>,
}

impl Findings {
    pub(super) fn new(
        cost: Cost,
        latency: &Histogram<u64>,
        voids: u64,
        resident_before: Option<u64>,
        resident_after: Option<u64>,
    ) -> Findings {
        let mut findings =
            Findings { fields: Map::new(), text: String::new(), warnings: Vec::new(), cost, resident_before };
        findings.note_cost(voids);
        findings.note_latency("latency", "latency", latency);
        findings.note("rss_before", json!(resident_before));
        findings.note("rss_after", json!(resident_after));
        if let (Some(before), Some(after)) = (resident_before, resident_after) {
            let text =
                format!("  resident memory {} before, {} after\n", mebibytes(before), mebibytes(after));
            findings.text.push_str(&text);
        }
        findings
    }

    /// Adds a field.
    pub(super) fn note(&mut self, name: &str, value: Value) {
        self.fields.insert(name.to_string(), value);
    }

    /// By how many bytes resident memory is above that before the run.
    pub(super) fn resident_growth(&self, resident: Option<u64>) -> Option<f64> {
        Some(resident? as f64 - self.resident_before? as f64)
    }

    fn note_cost(&mut self, voids: u64) {
        let cost = self.cost;
        self.note("operations", json!(cost.operations));
        self.note("jobs", json!(cost.jobs));
        self.note("seconds", json!(cost.elapsed.as_secs_f64()));
        self.note("cpu_ticks", json!(cost.ticks));
        self.note("voids", json!(voids));
        if voids > 0 {
            self.warnings.push(format!(
                "{voids} answers say that nothing was done; is somebody else using the queue? (A few go with --nodes: \
                 jobs wander between them.)"
            ));
        }
        if cost.operations == 0 {
            return;
        }
        self.note("jobs_per_second", json!(ratio(cost.jobs as f64, cost.elapsed.as_secs_f64())));
        self.note("cpu_usec_per_job", json!(cost.cpu_per(cost.jobs)));
        self.note("operations_per_second", json!(cost.operations_per_second()));
        self.note("cpu_usec_per_operation", json!(cost.cpu_per_operation()));
        self.text.push_str(&format!(
            "  {:.0} operations per second ({} in {:.2} s)\n",
            cost.operations_per_second(),
            cost.operations,
            cost.elapsed.as_secs_f64()
        ));
        match cost.ticks.zip(cost.cpu_per_operation()) {
            Some((ticks, cpu)) => {
                let job = cost.cpu_per(cost.jobs).unwrap_or(cpu);
                let text = format!(
                    "  {cpu:.3} us of the server's processor time per operation, {job:.3} us per job ({ticks} ticks)\n"
                );
                self.text.push_str(&text);
                if ticks < ENOUGH_TICKS {
                    self.warnings.push(format!(
                        "{ticks} ticks of processor time are too few for a figure, {ENOUGH_TICKS} are needed; measure longer"
                    ));
                }
            }
            None => self.warnings.push("the server process is not known; see --pid".to_string()),
        }
    }

    /// Adds the quantiles of latencies, as fields that start with this name and as a line.
    pub(super) fn note_latency(&mut self, name: &str, words: &str, latency: &Histogram<u64>) {
        if latency.is_empty() {
            return;
        }
        let micros = |nanos: u64| nanos as f64 / 1_000.0;
        let quantiles = [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p999", 0.999), ("max", 1.0)];
        let mut texts = Vec::new();
        for (quantile_name, quantile) in quantiles {
            let value = micros(latency.value_at_quantile(quantile));
            self.note(&format!("{name}_{quantile_name}_usec"), json!(value));
            texts.push(format!("{quantile_name} {value:.0} us"));
        }
        self.text.push_str(&format!("  {words} {}\n", texts.join(", ")));
    }
}

/// Prints runs in the form that was asked for.
pub(super) struct Reporter<'a> {
    options: &'a Options,
    costs: Vec<Cost>,
}

impl<'a> Reporter<'a> {
    pub(super) fn new(options: &'a Options) -> Reporter<'a> {
        Reporter { options, costs: Vec::new() }
    }

    /// Prints one run.
    pub(super) fn run(&mut self, workload: Workload, findings: &Findings) -> io::Result<()> {
        let mut out = io::stdout().lock();
        let row = self.row(workload, findings);
        if self.options.json {
            writeln!(out, "{}", Value::Object(row))?;
        } else if self.options.csv {
            if self.costs.is_empty() {
                writeln!(out, "{}", COLUMNS.join(","))?;
            }
            writeln!(out, "{}", csv_line(&row))?;
        } else {
            writeln!(out, "{}", self.head(workload))?;
            write!(out, "{}", findings.text)?;
        }
        for warning in &findings.warnings {
            eprintln!("disque-benchmark: warning: {warning}");
        }
        self.costs.push(findings.cost);
        out.flush()
    }

    /// Prints the medians of several runs, for people; programs compute theirs.
    pub(super) fn finish(&self) -> io::Result<()> {
        if self.costs.len() < 2 || self.options.json || self.options.csv {
            return Ok(());
        }
        let rates: Vec<f64> = self.costs.iter().map(Cost::operations_per_second).collect();
        let cpu: Vec<f64> = self.costs.iter().filter_map(Cost::cpu_per_operation).collect();
        let mut out = io::stdout().lock();
        if let Some(rate) = median(&rates) {
            write!(out, "median of {} runs: {rate:.0} operations per second", self.costs.len())?;
        }
        if let Some(cpu) = median(&cpu) {
            write!(out, ", {cpu:.3} us of processor time per operation")?;
        }
        writeln!(out)
    }

    fn head(&self, workload: Workload) -> String {
        let options = self.options;
        let (peer, name) = (options.peer.name(), workload.name());
        match workload {
            Workload::Blocked { .. } => format!("{peer} {name}:"),
            _ => format!(
                "{peer} {name}: {} connections, window {}, body {} bytes, queues {}",
                options.connections,
                options.window,
                options.body,
                options.queues()
            ),
        }
    }

    /// What this measurement is called, whoever is measured.
    fn title(&self, workload: Workload) -> String {
        let options = self.options;
        if let Some(title) = &options.title {
            return title.clone();
        }
        let mut words = match workload {
            Workload::Backlog { jobs } => format!("backlog of {jobs}"),
            Workload::Queues { queues } => format!("cycle over {queues} queues"),
            Workload::Latency { rate } => format!("latency at {rate} jobs per second"),
            Workload::Blocked { clients, queues } => format!("{clients} clients wait on {queues} queues"),
            _ => workload.name().to_string(),
        };
        if !matches!(workload, Workload::Latency { .. } | Workload::Blocked { .. }) {
            words.push_str(&format!(" window {}", options.window));
        }
        let body = options.body.to_string();
        if body != "100" {
            words.push_str(&format!(" body {body}"));
        }
        for (name, number, usual) in [
            ("connections", u64::from(options.connections), 50),
            ("nodes", options.nodes.len() as u64 + 1, 1),
            ("replicate", u64::from(options.replicate.unwrap_or(0)), 0),
            ("get-batch", u64::from(options.get_batch), 1),
            ("ack-batch", u64::from(options.ack_batch), 1),
            ("waiting", options.waiting, 0),
        ] {
            if number != usual {
                words.push_str(&format!(" {name} {number}"));
            }
        }
        words
    }

    fn row(&self, workload: Workload, findings: &Findings) -> Map<String, Value> {
        let options = self.options;
        let mut row = Map::new();
        row.insert("title".to_string(), json!(self.title(workload)));
        row.insert("workload".to_string(), json!(workload.name()));
        row.insert("peer".to_string(), json!(options.peer.name()));
        row.insert("connections".to_string(), json!(options.connections));
        row.insert("window".to_string(), json!(options.window));
        row.insert("body".to_string(), json!(options.body.to_string()));
        row.insert("queues".to_string(), json!(options.queues()));
        row.insert("nodes".to_string(), json!(options.nodes.len() + 1));
        row.insert("replicate".to_string(), json!(options.replicate));
        row.insert("get_batch".to_string(), json!(options.get_batch));
        row.insert("ack_batch".to_string(), json!(options.ack_batch));
        row.insert("waiting".to_string(), json!(options.waiting));
        row.extend(findings.fields.clone());
        row.insert("warnings".to_string(), json!(findings.warnings));
        row
    }
}

fn csv_line(row: &Map<String, Value>) -> String {
    let cell = |column: &&str| match row.get(*column) {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) if text.contains([',', '"']) => {
            format!("\"{}\"", text.replace('"', "\"\""))
        }
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    };
    COLUMNS.iter().map(cell).collect::<Vec<_>>().join(",")
}

fn mebibytes(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::statistics::latencies;
    use super::*;

    fn findings(ticks: Option<u64>, voids: u64) -> Findings {
        let mut latency = latencies();
        latency.record(2_000).expect("within the bounds");
        let cost = Cost { operations: 1_000, jobs: 1_000, elapsed: Duration::from_secs(2), ticks };
        Findings::new(cost, &latency, voids, Some(1 << 20), Some(3 << 20))
    }

    #[test]
    fn too_few_ticks_are_warned_of_and_enough_are_not() {
        assert_eq!(findings(Some(ENOUGH_TICKS), 0).warnings, Vec::<String>::new());
        assert_eq!(findings(Some(ENOUGH_TICKS - 1), 0).warnings.len(), 1);
        assert_eq!(findings(None, 0).warnings, ["the server process is not known; see --pid"]);
    }

    #[test]
    fn answers_that_nothing_was_done_are_warned_of() {
        assert_eq!(findings(Some(ENOUGH_TICKS), 1).warnings.len(), 1);
    }

    #[test]
    fn csv_has_a_cell_for_each_column_and_leaves_the_unknown_empty() {
        let line = csv_line(&findings(None, 0).fields);
        let cells: Vec<&str> = line.split(',').collect();
        assert_eq!(cells.len(), COLUMNS.len());
        let cell = |name| cells[COLUMNS.iter().position(|column| *column == name).expect("a column")];
        assert_eq!(
            (cell("operations"), cell("operations_per_second"), cell("cpu_ticks")),
            ("1000", "500.0", "")
        );
        assert_eq!((cell("rss_before"), cell("rss_full")), ("1048576", ""));
    }

    #[test]
    fn every_field_that_is_a_number_has_a_column() {
        let findings = findings(Some(ENOUGH_TICKS), 0);
        let fields: Vec<&String> = findings.fields.keys().collect();
        assert!(fields.iter().all(|field| COLUMNS.contains(&field.as_str())), "{fields:?}");
    }
}
