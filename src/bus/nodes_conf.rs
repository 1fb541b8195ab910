//! The node table as text: the file `nodes.conf` and the reply of CLUSTER NODES (cluster-bus.md 16).
//!
//! One line per node: ID, address, flags, time of the unanswered ping, time of the last pong, link state. What RC1
//! has no place for stands in lines that it skips, `vars` with a name and a value:
//!
//! | name        | value                  | says                                                       |
//! |-------------|------------------------|------------------------------------------------------------|
//! | `bus-port`  | `<node ID>@<port>`     | the node's bus port, if not 10000 above its client port    |
//! | `forgotten` | `<node ID>@<time>`     | the node was forgotten, and gossip does not bring it back before that time |

use std::fmt;
use std::net::IpAddr;

use crate::types::{NodeId, UnixMillis};

/// The node table as it is printed and stored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodesConf {
    /// One entry per known node, exactly one of them this node itself.
    pub nodes: Vec<NodeLine>,
    /// Nodes that were forgotten, and until when that holds. CLUSTER NODES does not show them.
    pub forgotten: Vec<(NodeId, UnixMillis)>,
}

impl NodesConf {
    /// The table of a node that knows no other.
    pub fn alone(id: NodeId, port: u16) -> NodesConf {
        let myself = NodeLine {
            id,
            ip: None,
            port,
            bus_port: None,
            flags: NodeFlags::MYSELF,
            ping_sent: UnixMillis(0),
            pong_received: UnixMillis(0),
            connected: true,
        };
        NodesConf { nodes: vec![myself], forgotten: Vec::new() }
    }
}

/// One line of the node table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeLine {
    /// The node's identity.
    pub id: NodeId,
    /// Its address, if known.
    pub ip: Option<IpAddr>,
    /// Its client port; 0 if not known.
    pub port: u16,
    /// Its bus port, if it is not 10000 above the client port. CLUSTER NODES does not show it.
    pub bus_port: Option<u16>,
    /// What is known about its state.
    pub flags: NodeFlags,
    /// When the ping was sent that is not answered yet; the epoch if there is none.
    pub ping_sent: UnixMillis,
    /// When the last pong came; the epoch if never.
    pub pong_received: UnixMillis,
    /// Whether there is a link to it.
    pub connected: bool,
}

/// The state of a node, as bits of the bus and words of the file (cluster-bus.md 3.1).
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct NodeFlags(u16);

impl NodeFlags {
    /// Nothing to say.
    pub const NONE: NodeFlags = NodeFlags(0);
    /// Suspected to fail.
    pub const PFAIL: NodeFlags = NodeFlags(1);
    /// Failing by majority.
    pub const FAIL: NodeFlags = NodeFlags(2);
    /// This node itself.
    pub const MYSELF: NodeFlags = NodeFlags(4);
    /// Not yet a member.
    pub const HANDSHAKE: NodeFlags = NodeFlags(8);
    /// Its address is not known.
    pub const NOADDR: NodeFlags = NodeFlags(16);
    /// It is leaving the cluster.
    pub const LEAVING: NodeFlags = NodeFlags(128);

    const NAMED: u16 = 0x9f;

    const WORDS: [(NodeFlags, &'static str); 6] = [
        (NodeFlags::MYSELF, "myself"),
        (NodeFlags::PFAIL, "fail?"),
        (NodeFlags::FAIL, "fail"),
        (NodeFlags::HANDSHAKE, "handshake"),
        (NodeFlags::NOADDR, "noaddr"),
        (NodeFlags::LEAVING, "leaving"),
    ];

    /// The flags among these bits that have a name. The others are never sent by RC1, and an RC1 node that is
    /// gossiped flags without any of the named ones aborts.
    pub const fn from_bits(bits: u16) -> NodeFlags {
        NodeFlags(bits & NodeFlags::NAMED)
    }

    /// The bits as they travel on the bus.
    pub const fn bits(self) -> u16 {
        self.0
    }

    /// Whether all of `flags` are set.
    pub const fn has(self, flags: NodeFlags) -> bool {
        self.0 & flags.0 == flags.0
    }

    /// Sets or clears `flags`.
    pub fn set(&mut self, flags: NodeFlags, on: bool) {
        if on {
            self.0 |= flags.0;
        } else {
            self.0 &= !flags.0;
        }
    }

    fn parse(words: &str) -> Option<NodeFlags> {
        let mut flags = NodeFlags::NONE;
        for word in words.split(',') {
            if word.eq_ignore_ascii_case("noflags") {
                continue;
            }
            let (flag, _) = NodeFlags::WORDS.iter().find(|(_, name)| word.eq_ignore_ascii_case(name))?;
            flags.set(*flag, true);
        }
        Some(flags)
    }
}

impl fmt::Display for NodeFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for (flag, word) in NodeFlags::WORDS {
            if self.has(flag) {
                write!(f, "{separator}{word}")?;
                separator = ",";
            }
        }
        if separator.is_empty() { f.write_str("noflags") } else { Ok(()) }
    }
}

impl fmt::Debug for NodeFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Why a node table could not be read; line numbers count from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NodesConfError {
    /// The line does not have six words.
    WordCount {
        /// Which line.
        line: usize,
        /// How many words it has.
        words: usize,
    },
    /// One of the words of the line is not what it should be.
    BadWord {
        /// Which line.
        line: usize,
        /// What the word should have been.
        expected: &'static str,
        /// The word.
        word: String,
    },
    /// Not exactly one line describes this node.
    MyselfCount {
        /// How many do.
        found: usize,
    },
    /// The text is not even text.
    NotText,
}

impl fmt::Display for NodesConfError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NodesConfError::WordCount { line, words } => {
                write!(f, "line {line} has {words} words instead of 6")
            }
            NodesConfError::BadWord { line, expected, word } => {
                write!(f, "line {line}: {word:?} is not {expected}")
            }
            NodesConfError::MyselfCount { found } => {
                write!(f, "{found} lines carry the flag 'myself' instead of one")
            }
            NodesConfError::NotText => f.write_str("the file is not text"),
        }
    }
}

impl std::error::Error for NodesConfError {}

impl NodesConf {
    /// Reads the text of `nodes.conf`; blank lines are skipped, and so is what stands in `vars` lines and is not
    /// understood, as RC1 skips it.
    pub fn parse(text: &[u8]) -> Result<NodesConf, NodesConfError> {
        let text = std::str::from_utf8(text).map_err(|_| NodesConfError::NotText)?;
        let mut conf = NodesConf::default();
        let mut bus_ports: Vec<(NodeId, u16)> = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let words: Vec<&str> = line.split_ascii_whitespace().collect();
            match words.first() {
                None => continue,
                Some(word) if word.eq_ignore_ascii_case("vars") => {
                    for pair in words[1..].chunks_exact(2) {
                        match pair[0] {
                            "bus-port" => bus_ports.extend(parse_var(pair[1])),
                            "forgotten" => {
                                conf.forgotten
                                    .extend(parse_var(pair[1]).map(|(id, at)| (id, UnixMillis(at))));
                            }
                            _ => {}
                        }
                    }
                }
                Some(_) => conf.nodes.push(parse_line(index + 1, &words)?),
            }
        }
        for (id, port) in bus_ports {
            for node in conf.nodes.iter_mut().filter(|node| node.id == id) {
                node.bus_port = Some(port);
            }
        }
        let found = conf.nodes.iter().filter(|node| node.flags.has(NodeFlags::MYSELF)).count();
        if found == 1 { Ok(conf) } else { Err(NodesConfError::MyselfCount { found }) }
    }

    /// The line that describes this node.
    pub fn myself(&self) -> Option<&NodeLine> {
        self.nodes.iter().find(|node| node.flags.has(NodeFlags::MYSELF))
    }
}

/// A value of a `vars` line: something about a node.
fn parse_var<T: std::str::FromStr>(value: &str) -> Option<(NodeId, T)> {
    let (id, about) = value.split_once('@')?;
    Some((NodeId::parse(id.as_bytes())?, about.parse().ok()?))
}

fn parse_line(line: usize, words: &[&str]) -> Result<NodeLine, NodesConfError> {
    let &[id, address, flags, ping_sent, pong_received, link] = words else {
        return Err(NodesConfError::WordCount { line, words: words.len() });
    };
    let bad = |expected, word: &str| NodesConfError::BadWord { line, expected, word: word.to_owned() };
    let (ip, port) = parse_address(address).ok_or_else(|| bad("an address like 10.0.0.1:7711", address))?;
    let time = |word: &str| word.parse().map(UnixMillis).map_err(|_| bad("a time in milliseconds", word));
    Ok(NodeLine {
        id: NodeId::parse(id.as_bytes())
            .ok_or_else(|| bad("a node ID of 40 lower-case hexadecimal digits", id))?,
        ip,
        port,
        bus_port: None,
        flags: NodeFlags::parse(flags).ok_or_else(|| bad("a list of known flags", flags))?,
        ping_sent: time(ping_sent)?,
        pong_received: time(pong_received)?,
        connected: link == "connected",
    })
}

/// The separator is the last colon: IPv6 addresses stand without brackets.
fn parse_address(word: &str) -> Option<(Option<IpAddr>, u16)> {
    let (ip, port) = word.rsplit_once(':')?;
    let ip = if ip.is_empty() { None } else { Some(ip.parse().ok()?) };
    Some((ip, port.parse().ok()?))
}

impl fmt::Display for NodeLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.id)?;
        if let Some(ip) = self.ip {
            write!(f, "{ip}")?;
        }
        let link = if self.connected { "connected" } else { "disconnected" };
        write!(f, ":{} {} {} {} {link}", self.port, self.flags, self.ping_sent.0, self.pong_received.0)
    }
}

impl fmt::Display for NodesConf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for node in &self.nodes {
            writeln!(f, "{node}")?;
        }
        for (id, bus_port) in self.nodes.iter().filter_map(|node| Some((node.id, node.bus_port?))) {
            writeln!(f, "vars bus-port {id}@{bus_port}")?;
        }
        for (id, until) in &self.forgotten {
            writeln!(f, "vars forgotten {id}@{}", until.0)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ME: &str = "9be310b6f70a7b5c1430f7f83f94145a407ecdc6";

    #[test]
    fn recorded_lines_survive_reading_and_printing() {
        let text = format!(
            "81e0709c07681f685b03b12781e83c1f96514be3 127.0.0.1:7812 noflags 0 1795314702439 connected\n\
             526e784451f819dbd0595c8bdbe6f125e6074dbd ::1:7819 handshake 1795314703243 0 disconnected\n\
             {ME} 127.0.0.1:7811 myself,leaving 0 0 connected\n\
             0ec08ca06215984c8a0156b12fba9767246ea46b :0 noaddr 1795314709558 1795314707555 disconnected\n"
        );
        let conf = NodesConf::parse(text.as_bytes()).expect("lines of the reference server");
        assert_eq!(conf.to_string(), text);
        assert_eq!(conf.myself().map(|me| me.id.to_string()), Some(ME.to_owned()));
        assert!(conf.nodes[2].flags.has(NodeFlags::LEAVING));
    }

    #[test]
    fn a_damaged_table_is_refused_with_its_line() {
        let good = format!("{ME} :7711 myself 0 0 connected\n");
        for (text, error) in [
            (String::new(), NodesConfError::MyselfCount { found: 0 }),
            (good.repeat(2), NodesConfError::MyselfCount { found: 2 }),
            (
                format!("\nvars currentEpoch 0\n{ME} :7711 myself 0 0\n"),
                NodesConfError::WordCount { line: 3, words: 5 },
            ),
            (
                good.replace("myself", "boss"),
                NodesConfError::BadWord {
                    line: 1,
                    expected: "a list of known flags",
                    word: "boss".to_owned(),
                },
            ),
        ] {
            assert_eq!(NodesConf::parse(text.as_bytes()), Err(error), "{text}");
        }
        assert_eq!(NodesConf::parse(b"\xff"), Err(NodesConfError::NotText));
    }

    #[test]
    fn an_id_that_is_not_hexadecimal_is_refused_with_what_it_should_be() {
        let id = "g".repeat(40);
        let error = NodesConf::parse(format!("{id} :7711 myself 0 0 connected\n").as_bytes()).unwrap_err();
        let expected = format!("line 1: {id:?} is not a node ID of 40 lower-case hexadecimal digits");
        assert_eq!(error.to_string(), expected);
    }

    #[test]
    fn flags_without_a_name_are_not_kept() {
        assert_eq!(NodeFlags::from_bits(0xffff).bits(), 0x9f);
        assert_eq!(NodeFlags::from_bits(0xff60), NodeFlags::NONE);
        for (flag, _) in NodeFlags::WORDS {
            assert_eq!(NodeFlags::from_bits(flag.bits()), flag);
        }
    }

    fn any_line() -> impl Strategy<Value = NodeLine> {
        let state = (any::<u16>(), any::<u64>(), any::<u64>(), any::<bool>());
        let ports = (any::<u16>(), any::<Option<u16>>());
        (any::<[u8; 20]>(), any::<Option<IpAddr>>(), ports, state).prop_map(
            |(id, ip, (port, bus_port), (flags, ping_sent, pong_received, connected))| NodeLine {
                id: NodeId::from_bytes(id),
                ip,
                port,
                bus_port,
                flags: NodeFlags::from_bits(flags & !NodeFlags::MYSELF.bits()),
                ping_sent: UnixMillis(ping_sent),
                pong_received: UnixMillis(pong_received),
                connected,
            },
        )
    }

    proptest! {
        #[test]
        fn any_table_survives_printing(
            mut nodes in proptest::collection::vec(any_line(), 1..9),
            forgotten in proptest::collection::vec((any::<[u8; 20]>(), any::<u64>()), 0..9),
        ) {
            nodes[0].flags.set(NodeFlags::MYSELF, true);
            let forgotten =
                forgotten.into_iter().map(|(id, at)| (NodeId::from_bytes(id), UnixMillis(at))).collect();
            let conf = NodesConf { nodes, forgotten };
            let text = conf.to_string();
            prop_assert!(text.lines().all(|line| line.len() <= 1022), "RC1 reads lines of 1023 bytes");
            prop_assert_eq!(NodesConf::parse(text.as_bytes()), Ok(conf));
        }

        #[test]
        fn any_text_is_a_table_or_an_error(text in "([0-9a-f]{40}|:|[ ,\n:]|myself|fail\\?|[0-9]{1,30}|.){0,40}") {
            let _ = NodesConf::parse(text.as_bytes());
        }
    }
}
