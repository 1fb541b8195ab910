//! Fetching jobs and putting them back, and queues as such: GETJOB, ENQUEUE, NACK, DEQUEUE, WORKING, QLEN,
//! QPEEK, QSTAT, PAUSE.

use super::job::{ID, IDS};
use super::options::{self, OptionRow};
use super::spec::{ArgDoc, ArgType, Arity, CommandSpec, Flags, Group, Runs};
use super::{CommandError, arguments};
use crate::engine::{GetJob, PauseState, Request, Wait};
use crate::types::{Args, Millis};

const QUEUE: ArgDoc = ArgDoc::required("queue", ArgType::Text, "the queue");

pub(super) const GETJOB: CommandSpec = CommandSpec {
    name: "getjob",
    arity: Arity::AtLeast(2),
    flags: Flags::WRITE.and(Flags::DRAINS).and(Flags::FAST).and(Flags::BLOCKING),
    group: Group::Queues,
    summary: "Fetches jobs from the first of some queues that have any, waiting for one if there is none.",
    complexity: "O(N + M), N the queues named, M the jobs returned",
    options: &GETJOB_DOCS,
    runs: Runs::InEngine(parse_getjob),
    ..CommandSpec::BASE
};

pub(super) const ENQUEUE: CommandSpec = CommandSpec {
    name: "enqueue",
    flags: Flags::WRITE.and(Flags::DRAINS).and(Flags::DENYOOM).and(Flags::FAST),
    summary: "Queues jobs now that are not queued.",
    runs: Runs::InEngine(|args| Ok(Request::Enqueue { ids: arguments::job_ids(args)? })),
    ..ON_JOBS
};

pub(super) const NACK: CommandSpec = CommandSpec {
    name: "nack",
    flags: Flags::WRITE.and(Flags::DRAINS).and(Flags::DENYOOM).and(Flags::FAST),
    summary: "Gives jobs back that a worker could not do, to be delivered again now.",
    runs: Runs::InEngine(|args| Ok(Request::Nack { ids: arguments::job_ids(args)? })),
    ..ON_JOBS
};

pub(super) const DEQUEUE: CommandSpec = CommandSpec {
    name: "dequeue",
    flags: Flags::WRITE.and(Flags::DRAINS).and(Flags::FAST),
    summary: "Takes jobs out of their queue on this node; they come back at their retry time.",
    runs: Runs::InEngine(|args| Ok(Request::Dequeue { ids: arguments::job_ids(args)? })),
    ..ON_JOBS
};

const ON_JOBS: CommandSpec = CommandSpec {
    arity: Arity::AtLeast(1),
    group: Group::Queues,
    complexity: "O(N log M), N the number of IDs, M the jobs in their queues",
    args: &[IDS],
    ..CommandSpec::BASE
};

pub(super) const WORKING: CommandSpec = CommandSpec {
    name: "working",
    arity: Arity::Exactly(2),
    flags: Flags::WRITE.and(Flags::DRAINS).and(Flags::FAST),
    group: Group::Queues,
    summary: "Tells that a worker still works on a job, which postpones its next delivery.",
    args: &[ID],
    runs: Runs::InEngine(|args| Ok(Request::Working { id: arguments::job_id(args.at(1))? })),
    ..CommandSpec::BASE
};

pub(super) const QLEN: CommandSpec = CommandSpec {
    name: "qlen",
    arity: Arity::Exactly(2),
    flags: Flags::READONLY.and(Flags::FAST),
    group: Group::Queues,
    summary: "Counts the jobs in a queue on this node.",
    args: &[QUEUE],
    runs: Runs::InEngine(|args| Ok(Request::QLen { queue: args.into_arg(1) })),
    ..CommandSpec::BASE
};

pub(super) const QPEEK: CommandSpec = CommandSpec {
    name: "qpeek",
    arity: Arity::Exactly(3),
    flags: Flags::READONLY,
    group: Group::Queues,
    summary: "Shows jobs at either end of a queue without taking them.",
    complexity: "O(N), N the jobs shown",
    args: &[
        QUEUE,
        ArgDoc::required("count", ArgType::Integer, "how many from the oldest or, negative, from the newest"),
    ],
    runs: Runs::InEngine(|args| {
        let count = arguments::integer(args.at(2))?;
        Ok(Request::QPeek { queue: args.into_arg(1), count })
    }),
    ..CommandSpec::BASE
};

pub(super) const QSTAT: CommandSpec = CommandSpec {
    name: "qstat",
    arity: Arity::Exactly(2),
    flags: Flags::READONLY.and(Flags::FAST),
    group: Group::Queues,
    summary: "Tells everything that this node knows about a queue.",
    args: &[QUEUE],
    runs: Runs::InEngine(|args| Ok(Request::QStat { queue: args.into_arg(1) })),
    ..CommandSpec::BASE
};

pub(super) const PAUSE: CommandSpec = CommandSpec {
    name: "pause",
    arity: Arity::AtLeast(3),
    flags: Flags::READONLY.and(Flags::FAST),
    group: Group::Queues,
    summary: "Stops jobs from entering or leaving a queue, lets them again, or tells which it is.",
    args: &[
        QUEUE,
        ArgDoc::required(
            "in|out|all|none|state|bcast",
            ArgType::Text,
            "the new state, nothing new with state only; bcast for all nodes",
        )
        .multiple(),
    ],
    runs: Runs::InEngine(parse_pause),
    ..CommandSpec::BASE
};

/// The options of GETJOB with their defaults.
struct GetJobOptions {
    no_hang: bool,
    timeout: Millis,
    count: u64,
    with_counters: bool,
    first_queue: Option<usize>,
}

static GETJOB_OPTIONS: [OptionRow<GetJobOptions>; 5] = [
    OptionRow::flag("NOHANG", "nohang", "do not wait when there is no job", |options| options.no_hang = true),
    OptionRow::value(
        "TIMEOUT",
        "ms-timeout",
        ArgType::Integer,
        "how long to wait for a job, 0 or nothing for ever",
        |options, value| {
            options.timeout = arguments::timeout(value)?;
            Ok(())
        },
    ),
    OptionRow::value(
        "COUNT",
        "count",
        ArgType::Integer,
        "how many jobs to return at most, 1 if not given; never more than one after waiting",
        |options, value| {
            let count = arguments::integer(value).ok().and_then(|count| u64::try_from(count).ok());
            options.count = count.filter(|count| *count > 0).ok_or(CommandError::CountNotPositive)?;
            Ok(())
        },
    ),
    OptionRow::flag(
        "WITHCOUNTERS",
        "withcounters",
        "tell how often each job was given back and delivered again",
        |options| options.with_counters = true,
    ),
    OptionRow::rest("FROM", "queue", "the queues, visited in this order", |options, first| {
        options.first_queue = Some(first);
    }),
];

static GETJOB_DOCS: [ArgDoc; 5] = options::docs(&GETJOB_OPTIONS);

fn parse_getjob(args: Args<'_>) -> Result<Request<'_>, CommandError> {
    let mut options = GetJobOptions {
        no_hang: false,
        timeout: Millis(0),
        count: 1,
        with_counters: false,
        first_queue: None,
    };
    options::parse(&GETJOB_OPTIONS, &args, 1, &mut options, options::refuse)?;
    let first_queue = options.first_queue.ok_or(CommandError::Syntax)?;
    let wait = match (options.no_hang, options.timeout) {
        (true, _) => Wait::No,
        (false, Millis(0)) => Wait::Forever,
        (false, timeout) => Wait::For(timeout),
    };
    Ok(Request::GetJob(GetJob {
        queues: args.list_from(first_queue),
        count: options.count,
        wait,
        with_counters: options.with_counters,
    }))
}

/// Words take effect from left to right, starting from "nothing paused" (commands.md 9.4).
fn parse_pause(args: Args<'_>) -> Result<Request<'_>, CommandError> {
    let mut state = PauseState::NONE;
    let (mut changes, mut broadcast) = (false, false);
    for word in args.iter().skip(2) {
        let is = |option: &str| option.as_bytes().eq_ignore_ascii_case(word);
        if is("state") {
            continue;
        } else if is("bcast") {
            broadcast = true;
            continue;
        } else if is("in") {
            state.input = true;
        } else if is("out") {
            state.output = true;
        } else if is("all") {
            state = PauseState { input: true, output: true };
        } else if is("none") {
            state = PauseState::NONE;
        } else {
            return Err(CommandError::Syntax);
        }
        changes = true;
    }
    Ok(Request::Pause { queue: args.into_arg(1), change: changes.then_some(state), broadcast })
}

#[cfg(test)]
mod tests {
    use crate::command::testing::{BAD_ID, ID, UNKNOWABLE_ID, check_parsing};

    #[test]
    fn getjob_reads_its_options_up_to_from() {
        let one = |wait: &str| {
            format!("GetJob {{ queues: [\"q\"], count: 1, wait: {wait}, with_counters: false }}")
        };
        for (line, expected) in [
            ("GETJOB FROM q", one("Forever")),
            ("getjob from q", one("Forever")),
            ("GETJOB NOHANG FROM q", one("No")),
            ("GETJOB TIMEOUT 0 FROM q", one("Forever")),
            ("GETJOB TIMEOUT '' FROM q", one("Forever")),
            ("GETJOB TIMEOUT 5 FROM q", one("For(5)")),
            ("GETJOB TIMEOUT 5 TIMEOUT 7 FROM q", one("For(7)")),
            ("GETJOB TIMEOUT 9223372036854775807 FROM q", one("Forever")),
            ("GETJOB NOHANG TIMEOUT 5 FROM q", one("No")),
            ("GETJOB TIMEOUT 5 NOHANG FROM q", one("No")),
            ("GETJOB COUNT 5 FROM q", one("Forever").replace("count: 1", "count: 5")),
            (
                "GETJOB WITHCOUNTERS FROM q",
                one("Forever").replace("with_counters: false", "with_counters: true"),
            ),
            (
                "GETJOB FROM a NOHANG COUNT FROM a",
                one("Forever").replace("[\"q\"]", "[\"a\", \"NOHANG\", \"COUNT\", \"FROM\", \"a\"]"),
            ),
            ("GETJOB FROM ''", one("Forever").replace("\"q\"", "\"\"")),
        ] {
            check_parsing(line, &expected);
        }
    }

    #[test]
    fn getjob_refuses_with_the_published_texts() {
        for (line, expected) in [
            ("GETJOB", "-ERR wrong number of arguments for 'getjob' command"),
            ("GETJOB q", "-ERR syntax error"),
            ("GETJOB FROM", "-ERR syntax error"),
            ("GETJOB NOHANG", "-ERR syntax error"),
            ("GETJOB NOHANG FROM", "-ERR syntax error"),
            ("GETJOB COUNT", "-ERR syntax error"),
            ("GETJOB TIMEOUT", "-ERR syntax error"),
            ("GETJOB COUNT 5", "-ERR syntax error"),
            ("GETJOB NOSUCH FROM q", "-ERR syntax error"),
            ("GETJOB COUNT FROM q", "-ERR COUNT must be a number greater than zero"),
            ("GETJOB COUNT 0 FROM q", "-ERR COUNT must be a number greater than zero"),
            ("GETJOB COUNT -1 FROM q", "-ERR COUNT must be a number greater than zero"),
            ("GETJOB COUNT '' FROM q", "-ERR COUNT must be a number greater than zero"),
            ("GETJOB TIMEOUT FROM q", "-ERR timeout is not an integer or out of range"),
            ("GETJOB TIMEOUT -1 FROM q", "-ERR timeout is negative"),
            ("GETJOB TIMEOUT -1 NOSUCH", "-ERR timeout is negative"),
        ] {
            check_parsing(line, expected);
        }
    }

    #[test]
    fn lists_of_ids_are_checked_before_they_are_used() {
        for (command, request) in [("ENQUEUE", "Enqueue"), ("NACK", "Nack"), ("DEQUEUE", "Dequeue")] {
            check_parsing(command, &format!("{request} {{ ids: [] }}"));
            check_parsing(
                &format!("{command} {ID} {UNKNOWABLE_ID}"),
                &format!("{request} {{ ids: [{ID:?}, {UNKNOWABLE_ID:?}] }}"),
            );
            check_parsing(&format!("{command} {ID} {BAD_ID}"), "-BADID Invalid Job ID format.");
        }
        check_parsing(&format!("WORKING {ID}"), &format!("Working {{ id: Some({ID}) }}"));
        check_parsing(&format!("WORKING {UNKNOWABLE_ID}"), "Working { id: None }");
        check_parsing(&format!("WORKING {BAD_ID}"), "-BADID Invalid Job ID format.");
        check_parsing("WORKING", "-ERR wrong number of arguments for 'working' command");
        check_parsing(&format!("WORKING {ID} {ID}"), "-ERR wrong number of arguments for 'working' command");
    }

    #[test]
    fn queues_are_named_by_any_bytes() {
        for (line, expected) in [
            ("QLEN q", "QLen { queue: \"q\" }"),
            ("QLEN ''", "QLen { queue: \"\" }"),
            ("QSTAT q", "QStat { queue: \"q\" }"),
            ("QPEEK q 3", "QPeek { queue: \"q\", count: 3 }"),
            ("QPEEK q -3", "QPeek { queue: \"q\", count: -3 }"),
            ("QPEEK q ''", "QPeek { queue: \"q\", count: 0 }"),
            ("QPEEK q x", "-ERR value is not an integer or out of range"),
            ("QPEEK q", "-ERR wrong number of arguments for 'qpeek' command"),
            ("QLEN a b", "-ERR wrong number of arguments for 'qlen' command"),
        ] {
            check_parsing(line, expected);
        }
    }

    #[test]
    fn pause_words_take_effect_from_left_to_right() {
        for (words, change, broadcast) in [
            ("in", "Some(in)", false),
            ("IN OUT", "Some(all)", false),
            ("all", "Some(all)", false),
            ("none", "Some(none)", false),
            ("in none", "Some(none)", false),
            ("none in", "Some(in)", false),
            ("all none out", "Some(out)", false),
            ("state", "None", false),
            ("state bcast", "None", true),
            ("bcast out state", "Some(out)", true),
        ] {
            check_parsing(
                &format!("PAUSE q {words}"),
                &format!("Pause {{ queue: \"q\", change: {change}, broadcast: {broadcast} }}"),
            );
        }
        check_parsing("PAUSE q in what", "-ERR syntax error");
        check_parsing("PAUSE q ''", "-ERR syntax error");
        check_parsing("PAUSE q", "-ERR wrong number of arguments for 'pause' command");
    }
}
