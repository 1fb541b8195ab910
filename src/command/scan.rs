//! Walking over everything, piece by piece: QSCAN, JSCAN.

use super::options::{self, OptionRow};
use super::spec::{ArgDoc, ArgType, Arity, CommandSpec, Flags, Group, Runs};
use super::{CommandError, arguments};
use crate::engine::{JScan, JScanReply, JobState, JobStates, QScan, Request, ScanBudget};
use crate::types::Args;

const CURSOR: ArgDoc =
    ArgDoc::required("cursor", ArgType::Integer, "where to go on, as the last call told; 0 to start")
        .optional();

/// Elements after which one call stops, unless told otherwise.
const DEFAULT_COUNT: i64 = 100;

pub(super) const QSCAN: CommandSpec = CommandSpec {
    name: "qscan",
    arity: Arity::AtLeast(1),
    flags: Flags::READONLY,
    group: Group::Queues,
    summary: "Lists the queues of this node, piece by piece.",
    complexity: "O(N) for each call, N its COUNT; all queues with BUSYLOOP",
    args: &[CURSOR],
    options: &QSCAN_DOCS,
    runs: Runs::InEngine(parse_qscan),
    ..CommandSpec::BASE
};

pub(super) const JSCAN: CommandSpec = CommandSpec {
    name: "jscan",
    arity: Arity::AtLeast(1),
    flags: Flags::READONLY,
    group: Group::Jobs,
    summary: "Lists the jobs of this node, piece by piece.",
    complexity: "O(N) for each call, N its COUNT; all jobs with BUSYLOOP",
    args: &[CURSOR],
    options: &JSCAN_DOCS,
    runs: Runs::InEngine(parse_jscan),
    ..CommandSpec::BASE
};

/// What both scans have: where to go on, and how far.
struct Walk {
    cursor: Option<u64>,
    count: i64,
    busy_loop: bool,
}

impl Walk {
    const START: Walk = Walk { cursor: None, count: DEFAULT_COUNT, busy_loop: false };

    fn set_cursor(&mut self, word: &[u8]) -> Result<(), CommandError> {
        // The second word that is no option is wrong even if it is a number.
        if self.cursor.is_some() {
            return Err(CommandError::Syntax);
        }
        self.cursor = Some(arguments::cursor(word)?);
        Ok(())
    }

    fn set_count(&mut self, value: &[u8]) -> Result<(), CommandError> {
        self.count = arguments::integer(value)?;
        Ok(())
    }

    fn budget(&self) -> ScanBudget {
        if self.busy_loop { ScanBudget::BusyLoop } else { ScanBudget::Count(self.count) }
    }
}

/// The options of QSCAN.
struct QScanOptions {
    walk: Walk,
    min_len: Option<i64>,
    max_len: Option<i64>,
    import_rate: Option<i64>,
}

const COUNT_HELP: &str = "after about how many elements to stop, 100 if not given";
const BUSYLOOP_HELP: &str = "go through everything in this one call";

static QSCAN_OPTIONS: [OptionRow<QScanOptions>; 5] = [
    OptionRow::value("COUNT", "count", ArgType::Integer, COUNT_HELP, |options, value| {
        options.walk.set_count(value)
    }),
    OptionRow::flag("BUSYLOOP", "busyloop", BUSYLOOP_HELP, |options| options.walk.busy_loop = true),
    OptionRow::value(
        "MINLEN",
        "length",
        ArgType::Integer,
        "only queues at least so long",
        |options, value| {
            options.min_len = filter(value)?;
            Ok(())
        },
    ),
    OptionRow::value(
        "MAXLEN",
        "length",
        ArgType::Integer,
        "only queues at most so long",
        |options, value| {
            options.max_len = filter(value)?;
            Ok(())
        },
    ),
    OptionRow::value(
        "IMPORTRATE",
        "rate",
        ArgType::Integer,
        "only queues that get at least so many jobs per second from other nodes",
        |options, value| {
            options.import_rate = filter(value)?;
            Ok(())
        },
    ),
];

static QSCAN_DOCS: [ArgDoc; 5] = options::docs(&QSCAN_OPTIONS);

/// −1 is the published way to say "no filter".
fn filter(value: &[u8]) -> Result<Option<i64>, CommandError> {
    Ok(Some(arguments::integer(value)?).filter(|bound| *bound != -1))
}

fn parse_qscan(args: Args<'_>) -> Result<Request<'_>, CommandError> {
    let mut options = QScanOptions { walk: Walk::START, min_len: None, max_len: None, import_rate: None };
    options::parse(&QSCAN_OPTIONS, &args, 1, &mut options, |options, word| options.walk.set_cursor(word))?;
    Ok(Request::QScan(QScan {
        cursor: options.walk.cursor.unwrap_or(0),
        budget: options.walk.budget(),
        min_len: options.min_len,
        max_len: options.max_len,
        import_rate: options.import_rate,
    }))
}

/// The options of JSCAN.
struct JScanOptions {
    walk: Walk,
    queue: Option<usize>,
    states: JobStates,
    reply: JScanReply,
}

static JSCAN_OPTIONS: [OptionRow<JScanOptions>; 5] = [
    OptionRow::value("COUNT", "count", ArgType::Integer, COUNT_HELP, |options, value| {
        options.walk.set_count(value)
    }),
    OptionRow::flag("BUSYLOOP", "busyloop", BUSYLOOP_HELP, |options| options.walk.busy_loop = true),
    OptionRow::place("QUEUE", "queue", "only jobs of this queue", |options, at| options.queue = Some(at)),
    OptionRow::value(
        "STATE",
        "wait-repl|active|queued|acked",
        ArgType::Text,
        "only jobs in one of these states",
        |options: &mut JScanOptions, value| {
            let state =
                JobState::ALL.into_iter().find(|state| state.word().as_bytes().eq_ignore_ascii_case(value));
            options.states.insert(state.ok_or(CommandError::BadJobState)?);
            Ok(())
        },
    )
    .accumulating(),
    OptionRow::value(
        "REPLY",
        "id|all",
        ArgType::Text,
        "only the ID of each job, or everything that SHOW tells; the ID if not given",
        |options, value| {
            options.reply = if value.eq_ignore_ascii_case(b"id") {
                JScanReply::Id
            } else if value.eq_ignore_ascii_case(b"all") {
                JScanReply::All
            } else {
                return Err(CommandError::BadReplyType);
            };
            Ok(())
        },
    ),
];

static JSCAN_DOCS: [ArgDoc; 5] = options::docs(&JSCAN_OPTIONS);

fn parse_jscan(args: Args<'_>) -> Result<Request<'_>, CommandError> {
    let mut options =
        JScanOptions { walk: Walk::START, queue: None, states: JobStates::default(), reply: JScanReply::Id };
    options::parse(&JSCAN_OPTIONS, &args, 1, &mut options, |options, word| options.walk.set_cursor(word))?;
    Ok(Request::JScan(JScan {
        cursor: options.walk.cursor.unwrap_or(0),
        budget: options.walk.budget(),
        queue: options.queue.map(|at| args.into_arg(at)),
        states: options.states,
        reply: options.reply,
    }))
}

#[cfg(test)]
mod tests {
    use crate::command::testing::check_parsing;

    fn qscan(cursor: &str, budget: &str, filters: [&str; 3]) -> String {
        let [min, max, rate] = filters;
        format!(
            "QScan {{ cursor: {cursor}, budget: {budget}, min_len: {min}, max_len: {max}, import_rate: {rate} }}"
        )
    }

    #[test]
    fn qscan_reads_options_and_cursor_in_any_order() {
        let none = ["None"; 3];
        for (line, expected) in [
            ("QSCAN", qscan("0", "Count(100)", none)),
            ("QSCAN 5", qscan("5", "Count(100)", none)),
            ("QSCAN ''", qscan("0", "Count(100)", none)),
            ("QSCAN -1", qscan("18446744073709551615", "Count(100)", none)),
            ("QSCAN COUNT 10 5", qscan("5", "Count(10)", none)),
            ("QSCAN 5 count 10", qscan("5", "Count(10)", none)),
            ("QSCAN COUNT -7", qscan("0", "Count(-7)", none)),
            ("QSCAN COUNT 0 COUNT 3", qscan("0", "Count(3)", none)),
            ("QSCAN BUSYLOOP", qscan("0", "BusyLoop", none)),
            ("QSCAN BUSYLOOP COUNT 1 7", qscan("7", "BusyLoop", none)),
            ("QSCAN MINLEN 5", qscan("0", "Count(100)", ["Some(5)", "None", "None"])),
            ("QSCAN MAXLEN 5", qscan("0", "Count(100)", ["None", "Some(5)", "None"])),
            ("QSCAN IMPORTRATE 1", qscan("0", "Count(100)", ["None", "None", "Some(1)"])),
            ("QSCAN MINLEN 5 MINLEN -1", qscan("0", "Count(100)", none)),
            ("QSCAN MINLEN -2", qscan("0", "Count(100)", ["Some(-2)", "None", "None"])),
        ] {
            check_parsing(line, &expected);
        }
    }

    #[test]
    fn a_word_that_is_no_option_is_the_cursor() {
        for (line, expected) in [
            ("QSCAN NOSUCH", "-ERR invalid cursor or option name"),
            ("QSCAN COUNT", "-ERR invalid cursor or option name"),
            ("QSCAN 5 COUNT", "-ERR syntax error"),
            ("QSCAN 5 6", "-ERR syntax error"),
            ("QSCAN 5 NOSUCH", "-ERR syntax error"),
            ("QSCAN COUNT x", "-ERR value is not an integer or out of range"),
            ("QSCAN MINLEN x", "-ERR value is not an integer or out of range"),
            ("QSCAN MAXLEN 1.5", "-ERR value is not an integer or out of range"),
            ("QSCAN IMPORTRATE x", "-ERR value is not an integer or out of range"),
            ("QSCAN x COUNT x", "-ERR invalid cursor or option name"),
            ("QSCAN QUEUE q", "-ERR invalid cursor or option name"),
            ("JSCAN NOSUCH", "-ERR invalid cursor or option name"),
            ("JSCAN QUEUE", "-ERR invalid cursor or option name"),
            ("JSCAN STATE", "-ERR invalid cursor or option name"),
            ("JSCAN 1 REPLY", "-ERR syntax error"),
            ("JSCAN MINLEN 5", "-ERR invalid cursor or option name"),
            ("JSCAN STATE done", "-ERR Invalid job state name"),
            ("JSCAN STATE ''", "-ERR Invalid job state name"),
            ("JSCAN REPLY both", "-ERR Invalid REPLY type, try ID or ALL"),
            ("JSCAN STATE done REPLY both", "-ERR Invalid job state name"),
            ("JSCAN COUNT x", "-ERR value is not an integer or out of range"),
        ] {
            check_parsing(line, expected);
        }
    }

    #[test]
    fn jscan_adds_states_up_and_takes_the_last_of_all_else() {
        let jscan = |queue: &str, states: &str, reply: &str| {
            format!(
                "JScan {{ cursor: 0, budget: Count(100), queue: {queue}, states: JobStates({states}), reply: {reply} }}"
            )
        };
        for (line, expected) in [
            ("JSCAN", jscan("None", "0", "Id")),
            ("JSCAN QUEUE a QUEUE b", jscan("Some(\"b\")", "0", "Id")),
            ("JSCAN QUEUE ''", jscan("Some(\"\")", "0", "Id")),
            ("JSCAN QUEUE COUNT", jscan("Some(\"COUNT\")", "0", "Id")),
            ("JSCAN STATE queued", jscan("None", "4", "Id")),
            ("JSCAN STATE WAIT-REPL STATE acked STATE active", jscan("None", "11", "Id")),
            ("JSCAN REPLY all", jscan("None", "0", "All")),
            ("JSCAN REPLY ALL REPLY ID", jscan("None", "0", "Id")),
            ("JSCAN BUSYLOOP", jscan("None", "0", "Id").replace("Count(100)", "BusyLoop")),
            ("JSCAN QUEUE q 7", jscan("Some(\"q\")", "0", "Id").replace("cursor: 0", "cursor: 7")),
        ] {
            check_parsing(line, &expected);
        }
    }
}
