//! Nodes that change their address, their identity, or what they understand.

use disque::bus::{Message, NodeFlags, NodesConf};
use disque::engine::EngineSettings;
use disque::types::Millis;

use crate::net::{Net, id, ip};

#[test]
fn a_node_that_comes_back_elsewhere_is_followed_at_once() {
    let mut net = Net::cluster(3);
    net.kill(2);
    let (disk, settings) = (net.nodes[2].disk.clone(), net.nodes[2].settings.clone());
    let settings = EngineSettings { port: 7799, bus_port: 17799, ..settings };
    net.start(ip(33), settings, disk);
    let took = net.run_until(Millis(1000), Net::agrees);
    assert!(took.is_some(), "it calls the others, and they follow");
    let line = net.line(0, id(3));
    assert_eq!((line.ip, line.port), (Some(ip(33)), 7799));
    assert!(net.nodes[0].disk.nodes.iter().any(|line| line.ip == Some(ip(33))), "it is stored");
}

/// Its old machine is silent, so the old connections are not even closed.
#[test]
fn a_node_that_moves_without_closing_its_connections_is_followed_after_a_question() {
    let mut net = Net::cluster(3);
    net.freeze(2);
    let (disk, settings) = (net.nodes[2].disk.clone(), net.nodes[2].settings.clone());
    net.start(ip(33), settings, disk);
    let took = net.run_until(Millis(10_000), Net::agrees);
    assert!(took.expect("they follow") <= Millis(2000), "{took:?}");
}

#[test]
fn a_node_with_an_empty_disk_is_another_node_and_the_old_one_has_no_address() {
    let mut net = Net::cluster(3);
    net.kill(2);
    let settings = net.nodes[2].settings.clone();
    let reborn = net.start(ip(3), settings, NodesConf::alone(id(30), 7711));
    net.run(Millis(10_000));
    let line = net.line(0, id(3));
    assert!(line.flags.has(NodeFlags::NOADDR) && line.ip.is_none() && line.port == 0);
    assert_eq!(line.to_string().split(' ').nth(1), Some(":0"));
    assert_eq!(net.members(0).len(), 2, "who does not ask to be met is not");
    net.meet(reborn, 1);
    net.run(Millis(10_000));
    assert!((0..2).all(|place| net.members(place).contains(&id(30))));
    for place in [0, 1, reborn] {
        if net.members(place).contains(&id(3)) {
            net.forget(place, id(3));
        }
    }
    assert!(net.run_until(Millis(10_000), Net::agrees).is_some());
}

/// Two processes with a copy of one disk: RC1 runs from one to the other with every PING.
#[test]
fn two_nodes_with_one_identity_do_not_make_the_others_run_to_and_fro() {
    let mut net = Net::cluster(3);
    let (disk, settings) = (net.nodes[2].disk.clone(), net.nodes[2].settings.clone());
    net.start(ip(33), settings, disk);
    let opened = net.nodes[0].opened.len();
    net.run(Millis(60_000));
    assert_eq!(net.line(0, id(3)).ip, Some(ip(3)));
    assert_eq!(net.nodes[0].opened.len(), opened, "the link that works is kept");
}

#[test]
fn announced_address_and_ports_are_used_by_all() {
    let mut net = Net::of(2);
    let settings = EngineSettings {
        port: 7000,
        bus_port: 4000,
        announce_ip: Some(ip(33)),
        maxmemory: 0,
        ..EngineSettings::default()
    };
    // Behind a translation of addresses: its links come from elsewhere than it can be reached.
    let hidden = net.add_node(3, settings);
    net.nodes[hidden].ip = ip(33);
    net.meet(1, 0);
    net.meet(hidden, 0);
    assert!(net.run_until(Millis(5000), Net::agrees).is_some());
    for place in 0..2 {
        let line = net.line(place, id(3));
        assert_eq!((line.ip, line.port), (Some(ip(33)), 7000));
        assert!(net.nodes[place].opened.iter().any(|(_, to)| to.port() == 4000));
    }
    assert_eq!(net.line(hidden, id(3)).ip, Some(ip(33)), "it shows itself as it is announced");
    // What was learned outlives a restart, although RC1's lines have no place for it.
    net.kill(1);
    let again = net.restart(1);
    net.run(Millis(5));
    assert!(net.nodes[again].opened.iter().any(|(_, to)| *to == (ip(33), 4000).into()));
}

#[test]
fn an_address_that_is_announced_anew_is_followed() {
    let mut net = Net::cluster(2);
    net.nodes[1].settings.announce_ip = Some(ip(50));
    let settings = net.nodes[1].settings.clone();
    net.control(1, disque::engine::Control::Settings(settings));
    net.nodes[1].ip = ip(50);
    net.run(Millis(10_000));
    assert_eq!(net.line(0, id(2)).ip, Some(ip(50)));
    assert!(net.agrees());
}

#[test]
fn what_a_peer_understands_is_told_for_each_link_and_not_kept_for_the_next() {
    let mut net = Net::cluster(2);
    let told = net.nodes[0].features.clone();
    assert_eq!(told.iter().map(|(_, capable)| *capable).collect::<Vec<_>>(), [true]);
    // It comes back as RC1, with the same disk.
    net.kill(1);
    let rc1 = net.restart(1);
    net.nodes[rc1].rc1 = true;
    // Node 1 is connected before it hears whom it is connected to.
    net.lose = Some(Box::new(move |from, _, message| from == rc1 && matches!(message, Message::Ping { .. })));
    net.run(Millis(1000));
    net.lose = None;
    net.run(Millis(30_000));
    assert!(net.agrees());
    assert_eq!(net.nodes[0].features, told, "nothing is promised for the new link");
    net.kill(rc1);
    net.restart(rc1);
    assert!(net.run_until(Millis(5000), Net::agrees).is_some());
    net.run(Millis(1));
    assert!(net.nodes[0].features.len() == 2 && net.nodes[0].features[1].1);
}

#[test]
fn a_restarted_node_finds_its_cluster_without_being_met() {
    let mut net = Net::cluster(3);
    net.kill(1);
    net.run(Millis(60_000));
    let again = net.restart(1);
    assert!(net.run_until(Millis(1000), Net::agrees).is_some());
    assert_eq!(net.nodes[again].disk.nodes.len(), 3);
}
