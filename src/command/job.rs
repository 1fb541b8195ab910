//! Commands on single jobs: ADDJOB, SHOW, DELJOB, LOADJOB.

use super::options::{self, OptionRow};
use super::spec::{ArgDoc, ArgType, Arity, CommandSpec, Flags, Group, Runs};
use super::{CommandError, arguments};
use crate::engine::{AddJob, Replication, Request};
use crate::types::{Args, Millis, Span32, limits};

/// The list of job IDs that many commands take.
pub(super) const IDS: ArgDoc = ArgDoc::required("id", ArgType::Text, "a job ID").multiple().optional();
/// The one job ID that some commands take.
pub(super) const ID: ArgDoc = ArgDoc::required("id", ArgType::Text, "the job's ID");

pub(super) const ADDJOB: CommandSpec = CommandSpec {
    name: "addjob",
    arity: Arity::AtLeast(4),
    flags: Flags::WRITE.and(Flags::DENYOOM).and(Flags::FAST).and(Flags::BLOCKING),
    group: Group::Jobs,
    summary: "Adds a job to a queue and returns its ID once enough nodes have a copy.",
    complexity: "O(log N) at worst, N the jobs in the queue; O(1) for a new job, the youngest of its queue",
    args: &[
        ArgDoc::required("queue", ArgType::Text, "the queue"),
        ArgDoc::required("body", ArgType::Text, "what the worker gets"),
        ArgDoc::required("ms-timeout", ArgType::Integer, "how long to wait for the copies, 0 for ever"),
    ],
    options: &ADDJOB_DOCS,
    runs: Runs::InEngine(parse_addjob),
    ..CommandSpec::BASE
};

pub(super) const SHOW: CommandSpec = CommandSpec {
    name: "show",
    arity: Arity::Exactly(2),
    flags: Flags::READONLY.and(Flags::FAST),
    group: Group::Jobs,
    summary: "Tells everything that this node knows about a job.",
    args: &[ID],
    runs: Runs::InEngine(|args| Ok(Request::Show { id: arguments::job_id(args.at(1))? })),
    ..CommandSpec::BASE
};

pub(super) const DELJOB: CommandSpec = CommandSpec {
    name: "deljob",
    arity: Arity::AtLeast(1),
    flags: Flags::WRITE.and(Flags::DRAINS).and(Flags::FAST),
    group: Group::Jobs,
    summary: "Deletes jobs from this node only, without telling the other nodes.",
    complexity: "O(N), N the number of IDs",
    args: &[IDS],
    runs: Runs::InEngine(|args| Ok(Request::DelJob { ids: arguments::job_ids(args)? })),
    ..CommandSpec::BASE
};

pub(super) const LOADJOB: CommandSpec = CommandSpec {
    name: "loadjob",
    arity: Arity::Exactly(2),
    flags: Flags::WRITE,
    group: Group::Jobs,
    summary: "Restores a job; only valid inside an append-only file, always refused from clients.",
    args: &[ArgDoc::required("data", ArgType::Text, "a stored job")],
    runs: Runs::InEngine(|_| Err(CommandError::LoadjobFromClient)),
    ..CommandSpec::BASE
};

/// The options of ADDJOB with their defaults (commands.md 6.1).
#[derive(Clone, Copy)]
struct AddJobOptions {
    replicate: Option<u16>,
    ttl: Millis,
    retry: Option<Span32>,
    delay: Span32,
    maxlen: Option<u64>,
    answers_at_once: bool,
    on_disk: bool,
}

static ADDJOB_OPTIONS: [OptionRow<AddJobOptions>; 7] = [
    OptionRow::value(
        "REPLICATE",
        "copies",
        ArgType::Integer,
        "on how many nodes the job is to be; 3, or fewer in a smaller cluster, if not given",
        |options, value| {
            let copies = arguments::integer(value).ok().and_then(|copies| u16::try_from(copies).ok());
            options.replicate =
                Some(copies.filter(|copies| *copies > 0).ok_or(CommandError::ReplicateRange)?);
            Ok(())
        },
    ),
    OptionRow::value(
        "TTL",
        "duration",
        ArgType::Duration,
        "how long the job lives at most, in seconds or with a unit; one day if not given",
        |options, value| {
            options.ttl = arguments::duration(value, CommandError::TtlNotPositive)?;
            if options.ttl > Millis(0) { Ok(()) } else { Err(CommandError::TtlNotPositive) }
        },
    ),
    OptionRow::value(
        "RETRY",
        "duration",
        ArgType::Duration,
        "after what time without acknowledgement the job is queued again, 0 for never; \
         a tenth of TTL up to five minutes if not given",
        |options, value| {
            options.retry = Some(Span32::new(arguments::duration(value, CommandError::RetryNotADuration)?));
            Ok(())
        },
    ),
    OptionRow::value(
        "DELAY",
        "duration",
        ArgType::Duration,
        "how long the job waits before it is queued first, less than TTL",
        |options, value| {
            options.delay = Span32::new(arguments::duration(value, CommandError::DelayNotADuration)?);
            Ok(())
        },
    ),
    OptionRow::value(
        "MAXLEN",
        "count",
        ArgType::Integer,
        "refuse the job if so many jobs are already queued here",
        |options, value| {
            let count = arguments::integer(value).ok().and_then(|count| u64::try_from(count).ok());
            options.maxlen = Some(count.filter(|count| *count > 0).ok_or(CommandError::MaxlenNotPositive)?);
            Ok(())
        },
    ),
    OptionRow::flag("ASYNC", "async", "answer at once, without waiting for the copies", |options| {
        options.answers_at_once = true;
    }),
    OptionRow::flag(
        "SYNC",
        "sync",
        "answer when every copy is on its node's disk, whatever appendfsync says there; \
         needs the append-only file here and on the nodes with the copies",
        |options| options.on_disk = true,
    ),
];

static ADDJOB_DOCS: [ArgDoc; 7] = options::docs(&ADDJOB_OPTIONS);

fn parse_addjob(args: Args<'_>) -> Result<Request<'_>, CommandError> {
    let mut options = AddJobOptions {
        replicate: None,
        ttl: limits::DEFAULT_TTL,
        retry: None,
        delay: Span32::ZERO,
        maxlen: None,
        answers_at_once: false,
        on_disk: false,
    };
    options::parse(&ADDJOB_OPTIONS, &args, 4, &mut options, options::refuse)?;
    let replication = match (options.answers_at_once, options.on_disk) {
        (false, false) => Replication::Sync,
        (true, false) => Replication::Async,
        (false, true) => Replication::OnDisk,
        (true, true) => return Err(CommandError::SyncAndAsync),
    };
    // After the options: that order is published (commands.md 6.2).
    let timeout = arguments::timeout(args.at(3))?;
    let (queue, body) = args.into_name_and_body(1, 2);
    let AddJobOptions { replicate, ttl, retry, delay, maxlen, .. } = options;
    Ok(Request::AddJob(AddJob { queue, body, timeout, replicate, ttl, retry, delay, maxlen, replication }))
}

#[cfg(test)]
mod tests {
    use crate::command::testing::{BAD_ID, ID, UNKNOWABLE_ID, check_parsing};

    const SYNC_AND_ASYNC: &str =
        "-ERR SYNC waits until the job is on disks, and ASYNC for nothing; give one of them";

    const DEFAULTS: &str = "AddJob { queue: \"q\", body: \"b\", timeout: 0, replicate: None, ttl: 86400000, \
                            retry: None, delay: 0, maxlen: None, replication: Sync }";

    fn with(field: &str, value: &str) -> String {
        let (head, tail) = DEFAULTS.split_once(field).expect("a field of ADDJOB");
        let end = tail.find([',', '}']).expect("a field has an end");
        format!(
            "{head}{field}: {value}{}{}",
            if tail[end..].starts_with('}') { " " } else { "" },
            &tail[end..]
        )
    }

    #[test]
    fn addjob_reads_its_options() {
        for (line, expected) in [
            ("ADDJOB q b 0", DEFAULTS.to_owned()),
            ("addjob q b 0", DEFAULTS.to_owned()),
            ("ADDJOB q b ''", DEFAULTS.to_owned()),
            ("ADDJOB q b +5", with("timeout", "5")),
            ("ADDJOB q b 9223372036854775807", with("timeout", "0")),
            ("ADDJOB '' '' 0", DEFAULTS.replace("\"q\"", "\"\"").replace("\"b\"", "\"\"")),
            ("ADDJOB q b 0 REPLICATE 1", with("replicate", "Some(1)")),
            ("ADDJOB q b 0 replicate 65535", with("replicate", "Some(65535)")),
            ("ADDJOB q b 0 TTL 5", with("ttl", "5000")),
            ("ADDJOB q b 0 TTL +5", with("ttl", "5000")),
            ("ADDJOB q b 0 TTL 5 TTL 7", with("ttl", "7000")),
            ("ADDJOB q b 0 TTL 250ms", with("ttl", "250")),
            ("ADDJOB q b 0 TTL 7d", with("ttl", "604800000")),
            ("ADDJOB q b 0 TTL 2147483648", with("ttl", "2147483647000")),
            ("ADDJOB q b 0 TTL 4294967296", with("ttl", "2147483647000")),
            ("ADDJOB q b 0 RETRY 0", with("retry", "Some(0)")),
            ("ADDJOB q b 0 RETRY ''", with("retry", "Some(0)")),
            ("ADDJOB q b 0 RETRY 1500ms", with("retry", "Some(1500)")),
            ("ADDJOB q b 0 RETRY 9999999999", with("retry", "Some(2147483647000)")),
            ("ADDJOB q b 0 DELAY 9", with("delay", "9000")),
            ("ADDJOB q b 0 DELAY 4294967296", with("delay", "2147483647000")),
            ("ADDJOB q b 0 MAXLEN 1", with("maxlen", "Some(1)")),
            ("ADDJOB q b 0 ASYNC", with("replication", "Async")),
            ("ADDJOB q b 0 aSyNc ASYNC", with("replication", "Async")),
            ("ADDJOB q b 0 SYNC sync", with("replication", "OnDisk")),
            (
                "ADDJOB q b 0 TTL 1000 DELAY 2000",
                with("ttl", "1000000").replace("delay: 0", "delay: 2000000"),
            ),
        ] {
            check_parsing(line, &expected);
        }
    }

    #[test]
    fn addjob_refuses_with_the_published_texts_in_the_published_order() {
        for (line, expected) in [
            ("ADDJOB q b", "-ERR wrong number of arguments for 'addjob' command"),
            ("ADDJOB q b -1", "-ERR timeout is negative"),
            ("ADDJOB q b abc", "-ERR timeout is not an integer or out of range"),
            ("ADDJOB q b 5s", "-ERR timeout is not an integer or out of range"),
            ("ADDJOB q b abc NOSUCH", "-ERR syntax error"),
            ("ADDJOB q b abc REPLICATE 2 RETRY 0", "-ERR timeout is not an integer or out of range"),
            ("ADDJOB q b -1 TTL 0", "-ERR TTL must be a number > 0"),
            ("ADDJOB q b 0 TTL 0 REPLICATE 0", "-ERR TTL must be a number > 0"),
            ("ADDJOB q b 0 TTL 0 TTL 5", "-ERR TTL must be a number > 0"),
            ("ADDJOB q b 0 REPLICATE", "-ERR syntax error"),
            ("ADDJOB q b 0 TTL", "-ERR syntax error"),
            ("ADDJOB q b 0 RETRY", "-ERR syntax error"),
            ("ADDJOB q b 0 DELAY", "-ERR syntax error"),
            ("ADDJOB q b 0 MAXLEN", "-ERR syntax error"),
            ("ADDJOB q b 0 ASYNC 1", "-ERR syntax error"),
            ("ADDJOB q b 0 SYNC 1", "-ERR syntax error"),
            ("ADDJOB q b 0 SYNC ASYNC", SYNC_AND_ASYNC),
            ("ADDJOB q b abc ASYNC SYNC", SYNC_AND_ASYNC),
            ("ADDJOB q b 0 ''", "-ERR syntax error"),
            ("ADDJOB q b 0 REPLICATE 0", "-ERR REPLICATE must be between 1 and 65535"),
            ("ADDJOB q b 0 REPLICATE -1", "-ERR REPLICATE must be between 1 and 65535"),
            ("ADDJOB q b 0 REPLICATE 65536", "-ERR REPLICATE must be between 1 and 65535"),
            ("ADDJOB q b 0 REPLICATE TTL", "-ERR REPLICATE must be between 1 and 65535"),
            ("ADDJOB q b 0 REPLICATE ''", "-ERR REPLICATE must be between 1 and 65535"),
            ("ADDJOB q b 0 TTL ''", "-ERR TTL must be a number > 0"),
            ("ADDJOB q b 0 TTL -1", "-ERR TTL must be a number > 0"),
            ("ADDJOB q b 0 TTL 1.5", "-ERR TTL must be a number > 0"),
            ("ADDJOB q b 0 TTL 0ms", "-ERR TTL must be a number > 0"),
            ("ADDJOB q b 0 TTL 9223372036854775808", "-ERR TTL must be a number > 0"),
            ("ADDJOB q b 0 RETRY -1", "-ERR RETRY time must be a non negative number"),
            ("ADDJOB q b 0 RETRY soon", "-ERR RETRY time must be a non negative number"),
            ("ADDJOB q b 0 DELAY -1", "-ERR DELAY time must be a non negative number"),
            ("ADDJOB q b 0 DELAY later", "-ERR DELAY time must be a non negative number"),
            ("ADDJOB q b 0 MAXLEN 0", "-ERR MAXLEN must be a positive number"),
            ("ADDJOB q b 0 MAXLEN -1", "-ERR MAXLEN must be a positive number"),
            ("ADDJOB q b 0 MAXLEN x", "-ERR MAXLEN must be a positive number"),
        ] {
            check_parsing(line, expected);
        }
    }

    #[test]
    fn commands_on_single_jobs_check_the_shape_of_ids_first() {
        for (line, expected) in [
            (format!("SHOW {ID}"), format!("Show {{ id: Some({ID}) }}")),
            (format!("SHOW {UNKNOWABLE_ID}"), "Show { id: None }".to_owned()),
            (format!("SHOW {BAD_ID}"), "-BADID Invalid Job ID format.".to_owned()),
            ("SHOW ''".to_owned(), "-BADID Invalid Job ID format.".to_owned()),
            ("SHOW a b".to_owned(), "-ERR wrong number of arguments for 'show' command".to_owned()),
            ("DELJOB".to_owned(), "DelJob { ids: [] }".to_owned()),
            (format!("DELJOB {ID} {ID}"), format!("DelJob {{ ids: [{ID:?}, {ID:?}] }}")),
            (format!("DELJOB {ID} {BAD_ID}"), "-BADID Invalid Job ID format.".to_owned()),
            ("LOADJOB x".to_owned(), "-ERR LOADJOB is a special command only processed from AOF".to_owned()),
        ] {
            check_parsing(&line, &expected);
        }
    }
}
