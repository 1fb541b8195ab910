//! Helpers of this room's tests.

use super::{CommandTable, Runs, resolve};
use crate::engine::{GetJob, JScan, Request};
use crate::types::{ArgList, Args, Span};

/// A job ID that the reference server made.
pub(super) const ID: &str = "D-da584d4c-nITAwKSg4Lm+fvdj4/V9fZLS-05a1";
/// Well-shaped, but no job's.
pub(super) const UNKNOWABLE_ID: &str = "D-XXXXXXXX-XXXXXXXXXXXXXXXXXXXXXXXX-XXXX";
/// Without the shape of an ID.
pub(super) const BAD_ID: &str = "D-da584d4c-nITAwKSg4Lm+fvdj4/V9fZLS-05a";

/// Calls `use_args` with the arguments as a connection would hold them.
pub(super) fn with_args<R>(args: &[impl AsRef<[u8]>], use_args: impl FnOnce(Args<'_>) -> R) -> R {
    let mut buffer = Vec::new();
    let mut spans = Vec::new();
    for arg in args.iter().map(AsRef::as_ref) {
        spans.push(Span::Buffer { start: buffer.len() as u32, len: arg.len() as u32 });
        buffer.extend_from_slice(arg);
    }
    use_args(Args::new(&spans, &buffer, &mut []))
}

/// Resolves and parses `args`: the request as text, or the error after a `-`, or the shell's command.
pub(super) fn outcome(table: &CommandTable, args: &[impl AsRef<[u8]>]) -> String {
    with_args(args, |args| match resolve(table, &args) {
        Err(error) => format!("-{error}"),
        Ok(spec) => match spec.runs {
            Runs::InShell(command) => format!("shell {command:?}"),
            Runs::InEngine(parse) => match parse(args) {
                Ok(request) => show(&request),
                Err(error) => format!("-{error}"),
            },
        },
    })
}

/// Checks what becomes of a line; `''` is an empty argument.
pub(super) fn check_parsing(line: &str, expected: &str) {
    let args: Vec<&str> = line.split(' ').map(|arg| if arg == "''" { "" } else { arg }).collect();
    assert_eq!(outcome(&CommandTable::new(), &args), expected, "{line}");
}

/// A request as text without the places where its bytes lie.
fn show(request: &Request<'_>) -> String {
    match request {
        Request::AddJob(add) => {
            let body = text(add.body.bytes());
            format!(
                "AddJob {{ queue: {}, body: {body}, timeout: {}, replicate: {:?}, ttl: {}, retry: {:?}, \
                 delay: {}, maxlen: {:?}, replication: {:?} }}",
                text(add.queue),
                add.timeout.0,
                add.replicate,
                add.ttl.0,
                add.retry.map(|retry| retry.millis().0),
                add.delay.millis().0,
                add.maxlen,
                add.replication
            )
        }
        Request::GetJob(GetJob { queues, count, wait, with_counters }) => format!(
            "GetJob {{ queues: {}, count: {count}, wait: {}, with_counters: {with_counters} }}",
            list(queues),
            format!("{wait:?}").replace("Millis(", "").replace("))", ")")
        ),
        Request::AckJob { ids } => format!("AckJob {{ ids: {} }}", list(ids)),
        Request::FastAck { ids } => format!("FastAck {{ ids: {} }}", list(ids)),
        Request::DelJob { ids } => format!("DelJob {{ ids: {} }}", list(ids)),
        Request::Enqueue { ids } => format!("Enqueue {{ ids: {} }}", list(ids)),
        Request::Nack { ids } => format!("Nack {{ ids: {} }}", list(ids)),
        Request::Dequeue { ids } => format!("Dequeue {{ ids: {} }}", list(ids)),
        Request::QLen { queue } => format!("QLen {{ queue: {} }}", text(queue)),
        Request::QPeek { queue, count } => format!("QPeek {{ queue: {}, count: {count} }}", text(queue)),
        Request::QStat { queue } => format!("QStat {{ queue: {} }}", text(queue)),
        Request::QScan(scan) => format!("{scan:?}"),
        Request::JScan(JScan { cursor, budget, queue, states, reply }) => format!(
            "JScan {{ cursor: {cursor}, budget: {budget:?}, queue: {}, states: {states:?}, reply: {reply:?} }}",
            queue.map_or("None".to_owned(), |queue| format!("Some({})", text(queue)))
        ),
        Request::Pause { queue, change, broadcast } => format!(
            "Pause {{ queue: {}, change: {}, broadcast: {broadcast} }}",
            text(queue),
            change.map_or("None".to_owned(), |change| format!("Some({})", change.word()))
        ),
        Request::Working { .. }
        | Request::Show { .. }
        | Request::Hello
        | Request::Cluster(_)
        | Request::FlushAll => {
            format!("{request:?}")
        }
    }
}

fn list(args: &ArgList<'_>) -> String {
    format!("[{}]", args.iter().map(text).collect::<Vec<_>>().join(", "))
}

fn text(bytes: &[u8]) -> String {
    format!("\"{}\"", bytes.escape_ascii())
}
