//! The nodes: CLUSTER, and HELLO, which without arguments greets a cluster and with a protocol version is the
//! handshake of Redis clients.

use std::net::IpAddr;

use super::spec::{ArgDoc, ArgType, Arity, CommandSpec, Flags, Group, Runs, ShellCommand};
use super::{CommandError, arguments};
use crate::engine::{ClusterRequest, Request};
use crate::types::{Args, NodeId, limits};

pub(super) const CLUSTER: CommandSpec = CommandSpec {
    name: "cluster",
    arity: Arity::AtLeast(2),
    flags: Flags::READONLY.and(Flags::ADMIN),
    group: Group::Cluster,
    summary: "Looks at the cluster and changes it: MEET, NODES, MYID, INFO, SAVECONFIG, FORGET, RESET, LEAVING.",
    complexity: "O(N), N the known nodes; RESET also the jobs of this node",
    args: &[
        ArgDoc::required("subcommand", ArgType::Text, "what to do"),
        ArgDoc::required("argument", ArgType::Text, "what the subcommand needs").multiple().optional(),
    ],
    runs: Runs::InEngine(parse_cluster),
    ..CommandSpec::BASE
};

/// HELLO's place in the table, which its second row shares.
pub(super) const HELLO_INDEX: u8 = 13;

pub(super) const HELLO: CommandSpec = CommandSpec { with_arguments: Some(&HELLO_HANDSHAKE), ..GREETING };

const GREETING: CommandSpec = CommandSpec {
    name: "hello",
    arity: Arity::AtLeast(1),
    flags: Flags::READONLY.and(Flags::FAST),
    group: Group::Cluster,
    summary: "Tells which nodes there are; with a protocol version, sets up the connection of a Redis client.",
    complexity: "O(N), N the known nodes",
    args: &[
        ArgDoc::required("protocol-version", ArgType::Integer, "2 or 3").optional(),
        ArgDoc {
            token: Some("AUTH"),
            ..ArgDoc::required("username password", ArgType::Text, "the user is default")
        }
        .optional(),
        ArgDoc {
            token: Some("SETNAME"),
            ..ArgDoc::required("name", ArgType::Text, "a name for the connection")
        }
        .optional(),
    ],
    runs: Runs::InEngine(|_| Ok(Request::Hello)),
    ..CommandSpec::BASE
};

static HELLO_HANDSHAKE: CommandSpec = CommandSpec {
    flags: Flags::READONLY
        .and(Flags::LOADING)
        .and(Flags::FAST)
        .and(Flags::NO_AUTH)
        .and(Flags::NO_MULTI)
        .and(Flags::SECRET),
    runs: Runs::InShell(ShellCommand::HelloHandshake),
    index: HELLO_INDEX,
    ..GREETING
};

fn parse_cluster(args: Args<'_>) -> Result<Request<'_>, CommandError> {
    let is = |word: &str| args.at(1).eq_ignore_ascii_case(word.as_bytes());
    let request = match args.len() {
        2 if is("nodes") => ClusterRequest::Nodes,
        2 if is("myid") => ClusterRequest::MyId,
        2 if is("info") => ClusterRequest::Info,
        2 if is("saveconfig") => ClusterRequest::SaveConfig,
        2 if is("reset") => ClusterRequest::Reset { hard: false },
        2 if is("leaving") => ClusterRequest::IsLeaving,
        2 if is("slots") || is("shards") => return Err(CommandError::NoSlots),
        3 if is("reset") => ClusterRequest::Reset { hard: reset_is_hard(args.at(2))? },
        3 if is("leaving") => ClusterRequest::SetLeaving(leaving(args.at(2))?),
        3 if is("forget") => return forget(args),
        4 | 5 if is("meet") => meet(args)?,
        _ => return Err(CommandError::ClusterSubcommand),
    };
    Ok(Request::Cluster(request))
}

fn reset_is_hard(word: &[u8]) -> Result<bool, CommandError> {
    if word.eq_ignore_ascii_case(b"hard") {
        Ok(true)
    } else if word.eq_ignore_ascii_case(b"soft") {
        Ok(false)
    } else {
        Err(CommandError::Syntax)
    }
}

fn leaving(word: &[u8]) -> Result<bool, CommandError> {
    if word.eq_ignore_ascii_case(b"yes") {
        Ok(true)
    } else if word.eq_ignore_ascii_case(b"no") {
        Ok(false)
    } else {
        Err(CommandError::LeavingArgument)
    }
}

fn forget(args: Args<'_>) -> Result<Request<'_>, CommandError> {
    let text = args.into_arg(2);
    if text.len() != NodeId::TEXT_LEN {
        return Err(CommandError::BadNodeId);
    }
    // What cannot be the ID of a node is in no table; the engine need not look.
    let id = NodeId::parse(text).ok_or_else(|| CommandError::UnknownNode(text.to_vec()))?;
    Ok(Request::Cluster(ClusterRequest::Forget { id }))
}

/// CLUSTER MEET ip port [bus-port]. The client port must leave room for RC1's bus port even if another one is given,
/// since nodes of RC1 that hear of the new node refuse it otherwise.
fn meet(args: Args<'_>) -> Result<ClusterRequest, CommandError> {
    let (ip, port) = (args.at(2), args.at(3));
    let number = arguments::integer(port).map_err(|_| CommandError::BadPort(port.to_vec()))?;
    let bad = || CommandError::BadAddress { ip: ip.to_vec(), port: port.to_vec() };
    let is_port = (1..=i64::from(limits::MAX_CLIENT_PORT)).contains(&number);
    let number = u16::try_from(number).ok().filter(|_| is_port).ok_or_else(bad)?;
    let text = std::str::from_utf8(ip).map_err(|_| bad())?;
    let ip = text.parse::<IpAddr>().map_err(|_| bad())?;
    let bus_port = match args.len() {
        4 => number + limits::BUS_PORT_OFFSET,
        _ => bus_port(args.at(4))?,
    };
    Ok(ClusterRequest::Meet { ip, port: number, bus_port })
}

fn bus_port(text: &[u8]) -> Result<u16, CommandError> {
    let number = arguments::integer(text).ok().and_then(|number| u16::try_from(number).ok());
    number.filter(|number| *number > 0).ok_or_else(|| CommandError::BadPort(text.to_vec()))
}

#[cfg(test)]
mod tests {
    use crate::command::testing::check_parsing;

    const NODE: &str = "9be310b6f70a7b5c1430f7f83f94145a407ecdc6";

    #[test]
    fn cluster_subcommands_are_told_apart_by_word_and_number() {
        for (line, expected) in [
            ("CLUSTER NODES", "Nodes"),
            ("cluster nodes", "Nodes"),
            ("CLUSTER MYID", "MyId"),
            ("CLUSTER INFO", "Info"),
            ("CLUSTER SAVECONFIG", "SaveConfig"),
            ("CLUSTER RESET", "Reset { hard: false }"),
            ("CLUSTER RESET SOFT", "Reset { hard: false }"),
            ("CLUSTER RESET hard", "Reset { hard: true }"),
            ("CLUSTER LEAVING", "IsLeaving"),
            ("CLUSTER LEAVING yes", "SetLeaving(true)"),
            ("CLUSTER LEAVING No", "SetLeaving(false)"),
        ] {
            check_parsing(line, &format!("Cluster({expected})"));
        }
        check_parsing(&format!("CLUSTER FORGET {NODE}"), &format!("Cluster(Forget {{ id: {NODE} }})"));
    }

    #[test]
    fn cluster_refuses_with_the_published_texts() {
        const WRONG: &str = "-ERR Wrong CLUSTER subcommand or number of arguments";
        let unknowable = NODE.to_uppercase();
        for (line, expected) in [
            ("CLUSTER", "-ERR wrong number of arguments for 'cluster' command"),
            ("CLUSTER NOSUCH", WRONG),
            ("CLUSTER ''", WRONG),
            ("CLUSTER NODES x", WRONG),
            ("CLUSTER FORGET", WRONG),
            ("CLUSTER RESET HARD x", WRONG),
            ("CLUSTER LEAVING yes x", WRONG),
            ("CLUSTER MEET 127.0.0.1", WRONG),
            ("CLUSTER MEET 127.0.0.1 7711 17711 x", WRONG),
            ("CLUSTER SLOTS", "-ERR This instance has cluster support disabled"),
            ("CLUSTER SHARDS", "-ERR This instance has cluster support disabled"),
            ("CLUSTER RESET harder", "-ERR syntax error"),
            ("CLUSTER LEAVING maybe", "-ERR Wrong argument for CLUSTER LEAVING. Use 'yes' or 'no'"),
            ("CLUSTER FORGET abc", "-ERR Invalid node identifier"),
            (&format!("CLUSTER FORGET {unknowable}"), &format!("-ERR Unknown node {unknowable}")),
        ] {
            check_parsing(line, expected);
        }
    }

    #[test]
    fn meet_takes_an_address_and_maybe_a_bus_port() {
        for (address, expected) in [
            ("127.0.0.1 7711", "Cluster(Meet { ip: 127.0.0.1, port: 7711, bus_port: 17711 })"),
            ("::1 55535", "Cluster(Meet { ip: ::1, port: 55535, bus_port: 65535 })"),
            ("10.0.0.1 1 65535", "Cluster(Meet { ip: 10.0.0.1, port: 1, bus_port: 65535 })"),
            ("127.0.0.1 x", "-ERR Invalid TCP port specified: x"),
            ("nonsense x", "-ERR Invalid TCP port specified: x"),
            ("127.0.0.1 0", "-ERR Invalid node address specified: 127.0.0.1:0"),
            ("127.0.0.1 ''", "-ERR Invalid node address specified: 127.0.0.1:"),
            ("127.0.0.1 55536", "-ERR Invalid node address specified: 127.0.0.1:55536"),
            ("127.0.0.1 -1", "-ERR Invalid node address specified: 127.0.0.1:-1"),
            ("127.0.0.1 4294975111", "-ERR Invalid node address specified: 127.0.0.1:4294975111"),
            ("127.0.0.01 7711", "-ERR Invalid node address specified: 127.0.0.01:7711"),
            ("localhost 7711", "-ERR Invalid node address specified: localhost:7711"),
            ("127.0.0.1 7711 0", "-ERR Invalid TCP port specified: 0"),
            ("127.0.0.1 7711 65536", "-ERR Invalid TCP port specified: 65536"),
            ("127.0.0.1 7711 x", "-ERR Invalid TCP port specified: x"),
        ] {
            check_parsing(&format!("CLUSTER MEET {address}"), expected);
        }
    }

    #[test]
    fn hello_is_a_greeting_without_and_a_handshake_with_arguments() {
        check_parsing("HELLO", "Hello");
        check_parsing("HELLO 3", "shell HelloHandshake");
        check_parsing("hello 2 AUTH default secret", "shell HelloHandshake");
    }
}
