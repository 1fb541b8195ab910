//! Tests of the table as a whole.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::testing::{BAD_ID, ID, outcome, with_args};
use super::*;
use crate::resp::{Protocol, Value};

/// commands.md 3.1, with the arities that redis-clients.md widens; in the order of operations.md 4.
const PUBLISHED: &str = "
    auth -2 readonly loading fast
    ping -1 readonly fast
    info -1 readonly loading
    shutdown -1 readonly admin loading
    monitor 1 readonly admin
    debug -2 admin
    config -2 readonly admin
    cluster -2 readonly admin
    client -2 readonly admin
    slowlog -2 readonly
    time 1 readonly fast
    command 0 readonly loading
    latency -2 readonly admin loading
    hello -1 readonly fast
    addjob -4 write denyoom fast
    getjob -2 write fast
    ackjob -1 write fast
    fastack -1 write fast
    deljob -1 write fast
    show 2 readonly fast
    loadjob 2 write
    bgrewriteaof 1 readonly admin
    qlen 2 readonly fast
    qpeek 3 readonly
    qstat 2 readonly fast
    qscan -1 readonly
    jscan -1 readonly
    enqueue -1 write denyoom fast
    nack -1 write denyoom fast
    dequeue -1 write fast
    working 2 write fast
    pause -3 readonly fast";

fn encoded(value: &Value, protocol: Protocol) -> String {
    let mut bytes = Vec::new();
    value.encode(protocol, &mut bytes);
    String::from_utf8(bytes).expect("the table is text").replace("\r\n", "|")
}

fn table_with(renames: &[(&str, &str)]) -> CommandTable {
    let mut table = CommandTable::new();
    for (old, new) in renames {
        table.rename(old.as_bytes(), new.as_bytes()).expect("the test renames what exists");
    }
    table
}

#[test]
fn the_first_commands_are_those_of_the_reference_server() {
    let published: Vec<&str> = PUBLISHED.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let ours: Vec<String> = COMMANDS
        .iter()
        .take(published.len())
        .map(|spec| {
            let flags: Vec<&str> = spec.flags.words().collect();
            format!("{} {} {}", spec.name, spec.arity.number(), flags.join(" "))
        })
        .collect();
    assert_eq!(ours, published);
    let added: Vec<&str> = COMMANDS.iter().skip(published.len()).map(|spec| spec.name).collect();
    let expected = "echo select reset quit multi exec discard watch unwatch readonly readwrite";
    assert_eq!(added.join(" "), expected);
}

#[test]
fn every_row_is_complete() {
    for (index, spec) in COMMANDS.iter().enumerate() {
        let name = spec.name;
        assert_eq!(usize::from(spec.index), index, "{name}");
        assert!(!name.is_empty() && name == name.to_lowercase(), "{name}");
        assert!(spec.summary.ends_with('.') && !spec.complexity.is_empty(), "{name}");
        assert!(spec.since.split('.').count() == 3, "{name}");
        assert!(spec.flags.has(Flags::WRITE) != spec.flags.has(Flags::READONLY) || name == "debug", "{name}");
        // PING is what a row runs that forgets to say what it runs.
        assert_eq!(matches!(spec.runs, Runs::InShell(ShellCommand::Ping)), name == "ping", "{name}");
        for doc in spec.arguments() {
            assert!(!doc.name.is_empty() && !doc.summary.is_empty(), "{name}: {doc:?}");
            assert!(!doc.summary.ends_with('.'), "{name}: {doc:?}");
            assert!(doc.kind != ArgType::Flag || doc.token.is_some(), "{name}: {doc:?}");
        }
        let documented = spec.arguments().filter(|doc| !doc.optional).map(|doc| match doc.token {
            Some(_) => 2,
            None => 1,
        });
        let needed = 1 + documented.sum::<i64>();
        // GETJOB's published arity is lower than what its parser accepts; AUTH's and PAUSE's are not.
        let arity = if name == "getjob" { 3 } else { spec.arity.number().abs().max(1) };
        assert_eq!(needed, arity, "{name}: the required arguments are as many as the arity says");
    }
    let names: BTreeSet<&str> = COMMANDS.iter().map(|spec| spec.name).collect();
    assert_eq!(names.len(), COMMANDS.len());
}

#[test]
fn every_command_is_found_in_any_case_and_nothing_else_is() {
    for spec in &COMMANDS {
        for name in [spec.name.to_owned(), spec.name.to_uppercase(), capitalised(spec.name)] {
            let found = lookup(name.as_bytes()).map(|found| found.index);
            assert_eq!(found, Some(spec.index), "{name}");
        }
        for name in [format!("{}x", spec.name), spec.name[1..].to_owned(), format!("{}\0", spec.name)] {
            assert!(lookup(name.as_bytes()).is_none(), "{name:?}");
        }
    }
    // Bytes that only differ from letters in bit 5.
    assert!(lookup(b"").is_none() && lookup(b"\x10ing").is_none() && lookup(&[b'a'; 1000]).is_none());
}

fn capitalised(name: &str) -> String {
    name[..1].to_uppercase() + &name[1..]
}

#[test]
fn dispatch_refuses_unknown_commands_before_it_counts_arguments() {
    let table = CommandTable::new();
    for (args, expected) in [
        (vec!["NOSUCH"], "-ERR unknown command 'NOSUCH'"),
        (vec!["", "x"], "-ERR unknown command ''"),
        (vec!["a\r\nb"], "-ERR unknown command 'a  b'"),
        (vec!["qlen\0x", "q"], "-ERR unknown command 'qlen'"),
        (vec!["QLEN"], "-ERR wrong number of arguments for 'qlen' command"),
        (vec!["Auth"], "-ERR wrong number of arguments for 'auth' command"),
        (vec!["TIME", "x"], "-ERR wrong number of arguments for 'time' command"),
        (vec!["WATCH"], "-ERR wrong number of arguments for 'watch' command"),
        (vec!["ECHO"], "-ERR wrong number of arguments for 'echo' command"),
        (vec!["COMMAND"], "shell Command"),
        (vec!["QUIT", "now", "please"], "shell Quit"),
        (vec!["multi"], "shell Multi"),
    ] {
        assert_eq!(outcome(&table, &args), expected, "{args:?}");
    }
    assert_eq!(outcome(&table, &[] as &[&str]), "-ERR unknown command ''");
}

#[test]
fn a_renamed_command_has_its_new_name_only_but_is_shown_under_the_old_one() {
    let table = table_with(&[("CONFIG", "Secret"), ("debug", "")]);
    assert_eq!(outcome(&table, &["sECRET", "GET", "x"]), "shell Config");
    assert_eq!(outcome(&table, &["secret"]), "-ERR wrong number of arguments for 'config' command");
    assert_eq!(outcome(&table, &["CONFIG", "GET", "x"]), "-ERR unknown command 'CONFIG'");
    assert_eq!(outcome(&table, &["DEBUG", "FLUSHALL"]), "-ERR unknown command 'DEBUG'");
    assert_eq!(outcome(&table, &["QLEN", "q"]), "QLen { queue: \"q\" }");
    assert_eq!(command_count(&table), Value::Int(42));
    let info = command_info(&table, &[b"config", b"secret"], Protocol::Resp2);
    let info = encoded(&info, Protocol::Resp2);
    assert_eq!(info, "*2|$-1|*6|$6|config|:-2|*2|+readonly|+admin|:0|:0|:0|");
}

#[test]
fn renaming_needs_an_old_name_that_exists_and_a_new_one_that_does_not() {
    let mut table = table_with(&[("CONFIG", "secret"), ("DEBUG", "")]);
    assert_eq!(table.rename(b"NOSUCH", b"x"), Err(RenameError::NoSuchCommand));
    assert_eq!(table.rename(b"CONFIG", b"x"), Err(RenameError::NoSuchCommand));
    assert_eq!(table.rename(b"DEBUG", b"x"), Err(RenameError::NoSuchCommand));
    assert_eq!(table.rename(b"INFO", b"Ping"), Err(RenameError::NameTaken));
    assert_eq!(table.rename(b"INFO", b"SECRET"), Err(RenameError::NameTaken));
    assert_eq!(table.rename(b"INFO", b"info"), Ok(()), "its own name is free for a command");
    assert_eq!(table.rename(b"INFO", b"debug"), Ok(()), "a removed command's name is free");
    assert_eq!(table.rename(b"secret", b"config"), Ok(()), "a renamed command can be renamed back");
    assert_eq!(outcome(&table, &["debug"]), "shell Info");
    assert_eq!(outcome(&table, &["config", "x"]), "shell Config");
    assert_eq!(table.iter().count(), COMMANDS.len() - 1);
}

#[test]
fn only_few_commands_run_without_password_or_while_loading() {
    let names = |admits: fn(&CommandSpec) -> bool| {
        let names: Vec<&str> = COMMANDS.iter().filter(|spec| admits(spec)).map(|spec| spec.name).collect();
        names.join(" ")
    };
    assert_eq!(names(CommandSpec::is_allowed_without_auth), "auth reset quit");
    assert_eq!(
        names(CommandSpec::is_allowed_while_loading),
        "auth info shutdown client command latency select reset quit"
    );
    assert_eq!(names(CommandSpec::needs_working_aof), "ping addjob loadjob");
    assert_eq!(names(|spec| spec.flags.has(Flags::BLOCKING)), "addjob getjob");
    assert_eq!(names(|spec| spec.flags.has(Flags::NO_MULTI)), "auth shutdown monitor");
    assert_eq!(names(|spec| spec.flags.has(Flags::AT_ONCE)), "reset quit multi exec discard watch");
    let handshake = with_args(&["HELLO", "3"], |args| resolve(&CommandTable::new(), &args)).expect("exists");
    assert!(handshake.is_allowed_without_auth() && handshake.is_allowed_while_loading());
    assert!(handshake.flags.has(Flags::SECRET) && handshake.flags.has(Flags::NO_MULTI));
    assert_eq!((handshake.name, handshake.index), ("hello", lookup(b"hello").expect("exists").index));
}

fn command(args: &[&str]) -> Result<Value, CommandError> {
    command_in(Protocol::Resp2, args)
}

fn command_in(protocol: Protocol, args: &[&str]) -> Result<Value, CommandError> {
    with_args(args, |args| command_reply(&CommandTable::new(), &args, protocol))
}

#[test]
fn command_has_acl_categories_in_resp3_because_redis_py_reads_them() {
    let reply = command_in(Protocol::Resp3, &["COMMAND", "INFO", "qlen", "nosuch"]).expect("valid");
    assert_eq!(encoded(&reply, Protocol::Resp3), "*2|*7|$4|qlen|:2|*2|+readonly|+fast|:0|:0|:0|*0|_|");
    let Ok(Value::Array(rows)) = command_in(Protocol::Resp3, &["COMMAND"]) else { panic!("a list") };
    assert!(rows.iter().all(|row| matches!(row, Value::Array(row) if row.len() == 7)));
}

#[test]
fn command_describes_commands_as_the_reference_server_does() {
    let addjob = "*6|$6|addjob|:-4|*3|+write|+denyoom|+fast|:0|:0|:0|";
    for (args, expected) in [
        (&["COMMAND", "COUNT"][..], ":43|".to_owned()),
        (&["COMMAND", "info"], "*0|".to_owned()),
        (&["COMMAND", "INFO", "AddJob"], format!("*1|{addjob}")),
        (&["COMMAND", "INFO", "nosuch", "addjob"], format!("*2|$-1|{addjob}")),
    ] {
        assert_eq!(encoded(&command(args).expect("valid"), Protocol::Resp2), expected, "{args:?}");
    }
    let Ok(Value::Array(rows)) = command(&["COMMAND"]) else { panic!("COMMAND is a list") };
    assert_eq!(rows.len(), COMMANDS.len());
    assert_eq!(encoded(&rows[14], Protocol::Resp2), addjob);
    let Ok(Value::Array(names)) = command(&["COMMAND", "LIST"]) else { panic!("COMMAND LIST is a list") };
    assert_eq!((names.len(), &names[0]), (COMMANDS.len(), &Value::Bulk(b"auth".to_vec())));
    for args in [
        &["COMMAND", "NOSUCH"][..],
        &["COMMAND", "GETKEYS", "x"],
        &["COMMAND", "COUNT", "x"],
        &["COMMAND", "LIST", "FILTERBY", "MODULE", "x"],
        &["COMMAND", ""],
    ] {
        let error = command(args).expect_err("refused").to_string();
        assert_eq!(error, "ERR Unknown subcommand or wrong number of arguments.", "{args:?}");
    }
}

#[test]
fn command_docs_are_maps_with_arguments() {
    let docs = command(&["COMMAND", "DOCS", "qpeek", "nosuch"]).expect("valid");
    let argument = |name: &str, kind: &str, summary: &str| {
        format!(
            "%3|$4|name|${}|{name}|$4|type|${}|{kind}|$7|summary|${}|{summary}|",
            name.len(),
            kind.len(),
            summary.len()
        )
    };
    let summary = "Shows jobs at either end of a queue without taking them.";
    let expected = format!(
        "%1|$5|qpeek|%5|$7|summary|${}|{summary}|$5|since|$5|0.1.0|$5|group|$6|queues|\
         $10|complexity|$22|O(N), N the jobs shown|$9|arguments|*2|{}{}",
        summary.len(),
        argument("queue", "string", "the queue"),
        argument("count", "integer", "how many from the oldest or, negative, from the newest"),
    );
    assert_eq!(encoded(&docs, Protocol::Resp3), expected);
    let flat = encoded(&docs, Protocol::Resp2);
    assert!(flat.starts_with("*2|$5|qpeek|*10|$7|summary|"), "{flat}");
    let jscan = encoded(&command(&["COMMAND", "DOCS", "jscan"]).expect("valid"), Protocol::Resp3);
    assert!(jscan.contains("$5|token|$5|STATE|"), "{jscan}");
    assert!(jscan.contains("$5|flags|*3|+optional|+multiple|+multiple_token|"), "{jscan}");
    assert!(jscan.contains("$4|type|$10|pure-token|$5|token|$8|BUSYLOOP|"), "{jscan}");
    let Ok(Value::Map(all)) = command(&["COMMAND", "DOCS"]) else { panic!("COMMAND DOCS is a map") };
    assert_eq!(all.len(), COMMANDS.len());
}

#[test]
fn the_readme_lists_every_command_once_with_its_syntax() {
    let text = readme_table();
    for spec in &COMMANDS {
        let cell = format!("| `{}` |", spec.syntax().replace('|', "\\|"));
        assert_eq!(text.matches(&cell).count(), 1, "{cell}");
    }
    for line in [
        "### Jobs",
        "| `ADDJOB queue body ms-timeout [REPLICATE copies] [TTL duration] [RETRY duration] [DELAY duration] \
         [MAXLEN count] [ASYNC] [SYNC]` | Adds a job to a queue and returns its ID once enough nodes have a copy. |",
        "| `GETJOB [NOHANG] [TIMEOUT ms-timeout] [COUNT count] [WITHCOUNTERS] FROM queue [queue ...]` | Fetches \
         jobs from the first of some queues that have any, waiting for one if there is none. |",
        "| `HELLO [protocol-version] [AUTH username password] [SETNAME name]` | Tells which nodes there are; with \
         a protocol version, sets up the connection of a Redis client. |",
    ] {
        assert!(text.lines().any(|other| other == line), "{line}\nin\n{text}");
    }
}

proptest! {
    #[test]
    fn no_arguments_make_a_parser_panic(
        command in 0..COMMANDS.len(),
        words in proptest::collection::vec(word(), 0..12),
    ) {
        let mut args = vec![COMMANDS[command].name.as_bytes().to_vec()];
        args.extend(words);
        let shown = outcome(&CommandTable::new(), &args);
        prop_assert!(!shown.contains(['\r', '\n']), "{shown}");
        with_args(&args, |args| { let _ = command_reply(&CommandTable::new(), &args, Protocol::Resp2); });
    }

    #[test]
    fn any_name_is_found_or_refused(name in proptest::collection::vec(0u8.., 0..40)) {
        let found = lookup(&name).map(|spec| spec.name.as_bytes().to_vec());
        let naive = COMMANDS.iter().find(|spec| spec.name.as_bytes().eq_ignore_ascii_case(&name));
        prop_assert_eq!(found, naive.map(|spec| spec.name.as_bytes().to_vec()));
    }
}

/// Words that mean something somewhere, among words that mean nothing.
fn word() -> impl Strategy<Value = Vec<u8>> {
    const KNOWN: &[&str] = &[
        "REPLICATE",
        "TTL",
        "RETRY",
        "DELAY",
        "MAXLEN",
        "ASYNC",
        "NOHANG",
        "TIMEOUT",
        "COUNT",
        "FROM",
        "BUSYLOOP",
        "MINLEN",
        "QUEUE",
        "STATE",
        "REPLY",
        "all",
        "queued",
        "0",
        "1",
        "-1",
        "9223372036854775807",
        "+",
        "1d",
        "in",
        "MEET",
        "FORGET",
        "RESET",
        "127.0.0.1",
        "DOCS",
        "",
        ID,
        BAD_ID,
    ];
    prop_oneof![
        4 => proptest::sample::select(KNOWN).prop_map(|word| word.as_bytes().to_vec()),
        1 => proptest::collection::vec(0u8.., 0..50),
    ]
}
