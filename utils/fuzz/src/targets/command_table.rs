//! Arguments made into requests of the engine.
//!
//! Each line is one list of arguments, quoted like an inline request; a line `rename OLD NEW` renames a command
//! for the lines below it. Claims:
//! * nothing panics, and every refusal is one line that begins with a word in capitals;
//! * a name in any case, and arguments in the buffer or beside it, make the same request;
//! * a request holds what its documentation promises, and written out as arguments again, it is parsed to itself.

use disque::admin::trace_line;
use disque::command::{
    COMMANDS, CommandError, CommandTable, Runs, ShellCommand, command_reply, lookup, resolve,
};
use disque::engine::{
    AddJob, ClusterRequest, GetJob, JScan, JScanReply, JobState, JobStates, QScan, Replication, Request,
    ScanBudget, Wait,
};
use disque::resp::{Protocol, split_quoted, write};
use disque::types::limits::MAX_TTL;
use disque::types::{ArgList, Args, JobId, Millis, Span, Span32};

use super::replies::assert_one_reply;

/// Well-shaped, but no job's.
const UNKNOWABLE_ID: &[u8] = b"D-XXXXXXXX-XXXXXXXXXXXXXXXXXXXXXXXX-XXXX";

pub(super) fn run(data: &[u8]) {
    let mut table = CommandTable::new();
    for line in data.split(|byte| *byte == b'\n') {
        let words = split_quoted(line)
            .unwrap_or_else(|_| line.split(|byte| *byte == b' ').map(<[u8]>::to_vec).collect());
        match words.as_slice() {
            [] => {}
            [word, old, new] if word.eq_ignore_ascii_case(b"rename") => rename(&mut table, old, new),
            words => check(&table, words),
        }
    }
}

pub(super) fn words() -> Vec<Vec<u8>> {
    let names = COMMANDS.iter().map(|spec| format!("{} ", spec.name));
    let options = COMMANDS.iter().flat_map(|spec| spec.arguments().filter_map(|doc| doc.token));
    let others = [
        "nodes",
        "myid",
        "info",
        "forget",
        "reset",
        "hard",
        "leaving",
        "yes",
        "meet",
        "saveconfig",
        "docs",
        "count",
        "list",
        "in",
        "out",
        "all",
        "none",
        "state",
        "bcast",
        "queued",
        "acked",
        "active",
        "wait-repl",
        "id",
        "250ms",
        "7d",
        "5m",
        "rename",
        "\n",
        "\"\"",
        "'",
        " ",
        "D-da584d4c-nITAwKSg4Lm+fvdj4/V9fZLS-05a1",
        "9be310b6f70a7b5c1430f7f83f94145a407ecdc6",
    ];
    let words = names.chain(options.map(|token| format!(" {token} ")));
    words.chain(others.map(str::to_owned)).map(String::into_bytes).collect()
}

fn rename(table: &mut CommandTable, old: &[u8], new: &[u8]) {
    let before = table.find(old);
    match table.rename(old, new) {
        Ok(()) => {
            let spec = before.expect("only what exists is renamed");
            let found = table.find(new).map(|found| found.index);
            assert_eq!(found, (!new.is_empty()).then_some(spec.index));
            assert_eq!(
                table.iter().filter(|other| other.index == spec.index).count(),
                usize::from(!new.is_empty())
            );
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

/// Checks what becomes of one list of arguments.
fn check(table: &CommandTable, words: &[Vec<u8>]) {
    let outcome = with_args(words, Layout::Buffer, |args| outcome(table, args));
    assert_eq!(with_args(words, Layout::Beside, |args| self::outcome(table, args)), outcome);
    let mut shouted = words.to_vec();
    shouted[0].make_ascii_uppercase();
    if !matches!(outcome, Err(CommandError::UnknownCommand(_))) {
        assert_eq!(with_args(&shouted, Layout::Buffer, |args| self::outcome(table, args)), outcome);
    }
    match outcome {
        Ok(Some(again)) => {
            // Under its built-in name, whatever the table calls it.
            let reparsed =
                with_args(&again, Layout::Buffer, |args| self::outcome(&CommandTable::new(), args));
            assert_eq!(reparsed, Ok(Some(again)), "from {words:?}");
        }
        Ok(None) => {}
        Err(error) => check_refusal(&error),
    }
}

/// The arguments that stand for the request; none if the command runs in the shell.
fn outcome(table: &CommandTable, args: Args<'_>) -> Result<Option<Vec<Vec<u8>>>, CommandError> {
    let spec = resolve(table, &args)?;
    assert!(spec.arity.admits(args.len()));
    assert_eq!(lookup(spec.name.as_bytes()).map(|found| found.index), Some(spec.index));
    let mut line = Vec::new();
    trace_line(0, "127.0.0.1:1", spec.name, args.iter(), &mut line);
    assert_eq!(line.iter().position(|byte| *byte == b'\n'), Some(line.len() - 1), "a trace is one line");
    match spec.runs {
        Runs::InEngine(parse) => {
            let request = parse(args)?;
            check_promises(&request);
            Ok(Some(written_out(&request)))
        }
        Runs::InShell(ShellCommand::Command) => {
            for protocol in [Protocol::Resp2, Protocol::Resp3] {
                let value = command_reply(table, &args, protocol)?;
                let mut bytes = Vec::new();
                value.encode(protocol, &mut bytes);
                assert_one_reply(&bytes, protocol);
            }
            Ok(None)
        }
        Runs::InShell(_) => Ok(None),
    }
}

fn check_refusal(error: &CommandError) {
    let text = error.text();
    let code = text.split(|byte| *byte == b' ').next().unwrap_or_default();
    assert!(code.len() > 1 && code.iter().all(u8::is_ascii_uppercase), "{error}");
    assert!(!text.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0)), "{error:?}");
    let mut bytes = Vec::new();
    write::error(&mut bytes, &text);
    assert_one_reply(&bytes, Protocol::Resp2);
    assert!(text.len() < 512, "a refusal is short");
}

/// What the documentation of the requests says about their fields.
fn check_promises(request: &Request<'_>) {
    match request {
        Request::AddJob(add) => {
            assert!(add.ttl > Millis(0) && add.ttl <= MAX_TTL);
            assert!(add.replicate != Some(0) && add.maxlen != Some(0));
        }
        Request::GetJob(get) => {
            assert!(!get.queues.is_empty() && get.count > 0 && get.wait != Wait::For(Millis(0)));
        }
        Request::AckJob { ids }
        | Request::FastAck { ids }
        | Request::DelJob { ids }
        | Request::Enqueue { ids }
        | Request::Nack { ids }
        | Request::Dequeue { ids } => assert!(ids.iter().all(JobId::is_well_shaped)),
        _ => {}
    }
}

/// Arguments that mean the request, one spelling for each meaning.
fn written_out(request: &Request<'_>) -> Vec<Vec<u8>> {
    let on_ids = |name: &str, ids: &ArgList<'_>| {
        let mut words = Words::new(name);
        ids.iter().for_each(|id| words.bytes(id));
        words
    };
    let on_queue = |name: &str, queue: &[u8]| {
        let mut words = Words::new(name);
        words.bytes(queue);
        words
    };
    let words = match request {
        Request::AddJob(add) => addjob(add),
        Request::GetJob(get) => getjob(get),
        Request::AckJob { ids } => on_ids("ACKJOB", ids),
        Request::FastAck { ids } => on_ids("FASTACK", ids),
        Request::DelJob { ids } => on_ids("DELJOB", ids),
        Request::Enqueue { ids } => on_ids("ENQUEUE", ids),
        Request::Nack { ids } => on_ids("NACK", ids),
        Request::Dequeue { ids } => on_ids("DEQUEUE", ids),
        Request::Working { id } => on_queue("WORKING", &id_text(*id)),
        Request::Show { id } => on_queue("SHOW", &id_text(*id)),
        Request::QLen { queue } => on_queue("QLEN", queue),
        Request::QStat { queue } => on_queue("QSTAT", queue),
        Request::QPeek { queue, count } => {
            let mut words = on_queue("QPEEK", queue);
            words.add(count);
            words
        }
        Request::QScan(scan) => qscan(scan),
        Request::JScan(scan) => jscan(scan),
        Request::Pause { queue, change, broadcast } => {
            let mut words = on_queue("PAUSE", queue);
            words.add(change.map_or("state", |change| change.word()));
            words.option("bcast", broadcast.then_some(""));
            words
        }
        Request::Hello => Words::new("HELLO"),
        Request::Cluster(request) => cluster(request),
        Request::FlushAll => panic!("the shell alone makes this request"),
    };
    words.0
}

/// A list of arguments that grows.
struct Words(Vec<Vec<u8>>);

impl Words {
    fn new(name: &str) -> Words {
        Words(vec![name.as_bytes().to_vec()])
    }

    fn bytes(&mut self, word: &[u8]) {
        self.0.push(word.to_vec());
    }

    fn add(&mut self, word: impl std::fmt::Display) {
        self.0.push(word.to_string().into_bytes());
    }

    /// The option with its value if there is one; a value without text is left out.
    fn option(&mut self, name: &str, value: Option<impl std::fmt::Display>) {
        if let Some(value) = value {
            self.add(name);
            let value = value.to_string();
            if !value.is_empty() {
                self.add(value);
            }
        }
    }
}

fn id_text(id: Option<JobId>) -> Vec<u8> {
    id.map_or(UNKNOWABLE_ID.to_vec(), |id| id.text().to_vec())
}

fn addjob(add: &AddJob<'_>) -> Words {
    let millis = |span: Span32| format!("{}ms", span.millis().0);
    let mut words = Words::new("ADDJOB");
    words.bytes(add.queue);
    words.bytes(add.body.bytes());
    words.add(add.timeout.0);
    words.option("REPLICATE", add.replicate);
    words.option("TTL", Some(format!("{}ms", add.ttl.0)));
    words.option("RETRY", add.retry.map(millis));
    words.option("DELAY", Some(millis(add.delay)));
    words.option("MAXLEN", add.maxlen);
    words.option("ASYNC", (add.replication == Replication::Async).then_some(""));
    words
}

fn getjob(get: &GetJob<'_>) -> Words {
    let mut words = Words::new("GETJOB");
    match get.wait {
        Wait::No => words.add("NOHANG"),
        Wait::Forever => {}
        Wait::For(Millis(ms)) => words.option("TIMEOUT", Some(ms)),
    }
    words.option("COUNT", Some(get.count));
    words.option("WITHCOUNTERS", get.with_counters.then_some(""));
    words.add("FROM");
    get.queues.iter().for_each(|queue| words.bytes(queue));
    words
}

fn budget(words: &mut Words, budget: ScanBudget) {
    match budget {
        ScanBudget::Count(count) => words.option("COUNT", Some(count)),
        ScanBudget::BusyLoop => words.add("BUSYLOOP"),
    }
}

fn qscan(scan: &QScan) -> Words {
    let mut words = Words::new("QSCAN");
    words.add(scan.cursor);
    budget(&mut words, scan.budget);
    words.option("MINLEN", scan.min_len);
    words.option("MAXLEN", scan.max_len);
    words.option("IMPORTRATE", scan.import_rate);
    words
}

fn jscan(scan: &JScan<'_>) -> Words {
    let mut words = Words::new("JSCAN");
    words.add(scan.cursor);
    budget(&mut words, scan.budget);
    if let Some(queue) = scan.queue {
        words.add("QUEUE");
        words.bytes(queue);
    }
    if scan.states != JobStates::default() {
        let states = JobState::ALL.into_iter().filter(|state| scan.states.admits(*state));
        states.for_each(|state| words.option("STATE", Some(state.word())));
    }
    words.option("REPLY", Some(if scan.reply == JScanReply::Id { "ID" } else { "ALL" }));
    words
}

fn cluster(request: &ClusterRequest) -> Words {
    let mut words = Words::new("CLUSTER");
    match request {
        ClusterRequest::Nodes => words.add("NODES"),
        ClusterRequest::Meet { ip, port, bus_port } => {
            words.option("MEET", Some(ip));
            words.add(port);
            words.add(bus_port);
        }
        ClusterRequest::MyId => words.add("MYID"),
        ClusterRequest::Info => words.add("INFO"),
        ClusterRequest::SaveConfig => words.add("SAVECONFIG"),
        ClusterRequest::Forget { id } => words.option("FORGET", Some(id)),
        ClusterRequest::Reset { hard } => words.option("RESET", Some(if *hard { "HARD" } else { "SOFT" })),
        ClusterRequest::IsLeaving => words.add("LEAVING"),
        ClusterRequest::SetLeaving(leaving) => {
            words.option("LEAVING", Some(if *leaving { "yes" } else { "no" }));
        }
    }
    words
}

/// Where arguments lie.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Layout {
    /// All of them in the connection's buffer.
    Buffer,
    /// Each in a block of its own.
    Beside,
}

/// Calls `use_args` with the words as arguments.
pub(super) fn with_args<R>(words: &[Vec<u8>], layout: Layout, use_args: impl FnOnce(Args<'_>) -> R) -> R {
    let mut large = words.to_vec();
    let buffer = words.concat();
    let mut start = 0;
    let spans: Vec<Span> = (0u32..)
        .zip(words)
        .map(|(index, word)| {
            let span = Span::Buffer { start, len: word.len() as u32 };
            start += word.len() as u32;
            if layout == Layout::Buffer { span } else { Span::Large(index) }
        })
        .collect();
    use_args(Args::new(&spans, &buffer, &mut large))
}
