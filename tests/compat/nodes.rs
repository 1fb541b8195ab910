//! Node tables as servers wrote them.

use disque::bus::{NodeFlags, NodesConf};

use crate::vectors::{file, text};

fn read(name: &str) -> NodesConf {
    NodesConf::parse(&file(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

#[test]
fn every_recorded_table_is_read_and_printed_to_the_same_bytes() {
    for name in ["nodes.conf", "nodes-initial.conf", "nodes-fail.conf", "nodes-leaving-noaddr.conf"] {
        assert_eq!(read(name).to_string(), text(name), "{name}");
    }
}

#[test]
fn the_flags_of_recorded_tables_are_understood() {
    let failing = read("nodes-fail.conf");
    let failing: Vec<u16> =
        failing.nodes.iter().filter(|node| node.flags.has(NodeFlags::FAIL)).map(|node| node.port).collect();
    assert_eq!(failing, [7825]);

    let table = read("nodes-leaving-noaddr.conf");
    let me = table.myself().expect("a line about the node itself");
    assert!(me.flags.has(NodeFlags::LEAVING));
    let lost = &table.nodes[2];
    assert!(lost.flags.has(NodeFlags::NOADDR) && !lost.connected);
    assert_eq!((lost.ip, lost.port), (None, 0));
    assert_eq!((lost.ping_sent.0, lost.pong_received.0), (1_795_315_550_590, 1_795_315_549_588));

    let new = read("nodes-initial.conf");
    assert_eq!((new.nodes.len(), new.nodes[0].ip, new.nodes[0].port), (1, None, 0));
}

#[test]
fn the_newlines_that_rc1_pads_a_shrunken_table_with_are_skipped() {
    let padded = text("nodes.conf") + &"\n".repeat(100);
    assert_eq!(NodesConf::parse(padded.as_bytes()), Ok(read("nodes.conf")));
}
