//! The command table shown: COMMAND with its subcommands.

use super::spec::{ArgDoc, CommandSpec, Repeats};
use super::{CommandError, CommandTable};
use crate::resp::{Protocol, Value};
use crate::types::Args;

/// COMMAND with whatever subcommand.
pub fn command_reply(
    table: &CommandTable,
    args: &Args<'_>,
    protocol: Protocol,
) -> Result<Value, CommandError> {
    let Some(subcommand) = args.get(1) else {
        return Ok(command_rows(table, protocol));
    };
    let is = |word: &str| subcommand.eq_ignore_ascii_case(word.as_bytes());
    let names: Vec<&[u8]> = args.iter().skip(2).collect();
    if is("info") {
        Ok(command_info(table, &names, protocol))
    } else if is("docs") {
        Ok(command_docs(table, &names))
    } else if is("count") && names.is_empty() {
        Ok(command_count(table))
    } else if is("list") && names.is_empty() {
        Ok(command_list(table))
    } else {
        Err(CommandError::CommandSubcommand)
    }
}

/// COMMAND: all commands.
pub fn command_rows(table: &CommandTable, protocol: Protocol) -> Value {
    Value::Array(table.iter().map(|spec| row(spec, protocol)).collect())
}

/// COMMAND COUNT.
pub fn command_count(table: &CommandTable) -> Value {
    Value::Int(table.iter().count() as i64)
}

/// COMMAND INFO: the named commands; null for those that do not exist.
pub fn command_info(table: &CommandTable, names: &[&[u8]], protocol: Protocol) -> Value {
    let entry = |name: &&[u8]| table.find(name).map_or(Value::NullBulk, |spec| row(spec, protocol));
    Value::Array(names.iter().map(entry).collect())
}

/// COMMAND LIST: all names.
pub fn command_list(table: &CommandTable) -> Value {
    Value::Array(table.iter().map(|spec| bulk(spec.name)).collect())
}

/// COMMAND DOCS: the documentation of the named commands, or of all; those that do not exist are left out.
pub fn command_docs(table: &CommandTable, names: &[&[u8]]) -> Value {
    let docs = |spec: &CommandSpec| (bulk(spec.name), documentation(spec));
    Value::Map(if names.is_empty() {
        table.iter().map(docs).collect()
    } else {
        names.iter().filter_map(|name| table.find(name)).map(docs).collect()
    })
}

/// Name, arity, flags; the three zeros say that no argument is a key.
///
/// In RESP3 a list of ACL categories follows, which is empty: redis-py takes for granted that a server that
/// speaks RESP3 has it. RESP2 has the published six elements.
fn row(spec: &CommandSpec, protocol: Protocol) -> Value {
    let flags = spec.flags.words().map(|word| Value::Status(word.to_owned())).collect();
    let no_keys = [Value::Int(0), Value::Int(0), Value::Int(0)];
    let mut row = vec![bulk(spec.name), Value::Int(spec.arity.number()), Value::Array(flags)];
    row.extend(no_keys);
    if protocol == Protocol::Resp3 {
        row.push(Value::Array(Vec::new()));
    }
    Value::Array(row)
}

/// The shape that redis-cli 7 reads (redis-clients.md 6.1).
fn documentation(spec: &CommandSpec) -> Value {
    let mut pairs = vec![
        (bulk("summary"), bulk(spec.summary)),
        (bulk("since"), bulk(spec.since)),
        (bulk("group"), bulk(spec.group.word())),
        (bulk("complexity"), bulk(spec.complexity)),
    ];
    let arguments: Vec<Value> = spec.arguments().map(argument).collect();
    if !arguments.is_empty() {
        pairs.push((bulk("arguments"), Value::Array(arguments)));
    }
    Value::Map(pairs)
}

fn argument(doc: &ArgDoc) -> Value {
    let mut pairs = vec![(bulk("name"), bulk(doc.name)), (bulk("type"), bulk(doc.kind.word()))];
    if let Some(token) = doc.token {
        pairs.push((bulk("token"), bulk(token)));
    }
    pairs.push((bulk("summary"), bulk(doc.summary)));
    let repeats: &[&str] = match doc.repeats {
        Repeats::Never => &[],
        Repeats::Value => &["multiple"],
        Repeats::TokenAndValue => &["multiple", "multiple_token"],
    };
    let optional = doc.optional.then_some("optional");
    let flags: Vec<Value> = optional
        .into_iter()
        .chain(repeats.iter().copied())
        .map(|flag| Value::Status(flag.to_owned()))
        .collect();
    if !flags.is_empty() {
        pairs.push((bulk("flags"), Value::Array(flags)));
    }
    Value::Map(pairs)
}

fn bulk(text: &str) -> Value {
    Value::Bulk(text.as_bytes().to_vec())
}
