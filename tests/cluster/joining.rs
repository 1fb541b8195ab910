//! How nodes become members.

use std::net::SocketAddr;

use disque::bus::{Message, NodeFlags};
use disque::engine::{ClusterRequest, Control, EngineSettings, Refusal, Reply};
use disque::types::Millis;

use crate::net::{Net, Place, id, ip};

fn seeds(net: &Net, places: &[Place]) -> Control {
    let address = |place: &Place| SocketAddr::new(net.nodes[*place].ip, net.nodes[*place].settings.port);
    Control::Seeds(places.iter().map(address).collect())
}

#[test]
fn one_meet_makes_two_nodes_members_of_each_other() {
    let mut net = Net::of(2);
    net.meet(0, 1);
    assert!(net.run_until(Millis(20), Net::agrees).is_some(), "a few round trips are enough");
    assert!(net.nodes[0].disk.nodes.iter().any(|line| line.id == id(2)), "it is stored");
    assert_eq!(net.nodes[1].disk.myself().and_then(|line| line.ip), Some(ip(2)), "it learns its own address");
    let info = net.info(0);
    assert_eq!((info.known_nodes, info.reachable_nodes, info.size), (2, 1, 2));
    assert_eq!((info.messages_sent, info.messages_received), (2, 2), "MEET, PONG, and the same back");
}

#[test]
fn a_whole_cluster_agrees_after_two_seconds() {
    for count in [3, 5, 25, 50] {
        let mut net = Net::of(count);
        for place in 1..count {
            net.meet(place, 0);
        }
        let took = net.run_until(Millis(2000), Net::agrees);
        assert!(took.is_some(), "{count} nodes that join at once");
        // Each pair greets both ways, and each greeting is answered; a third of that again for those who met twice.
        let (frames, bytes) = net.traffic();
        assert!(frames <= 3 * count * (count - 1), "{frames} frames");
        println!("{count} nodes that join at once: {took:?}, {frames} frames, {bytes} bytes");
    }
}

/// Defect 11 of cluster-bus.md: RC1 says MEET once. If it is lost, PING follows, and the node that was to be met
/// never makes the other a member.
#[test]
fn a_meet_that_is_lost_is_said_again() {
    let mut net = Net::of(2);
    let mut lost = 0;
    net.lose = Some(Box::new(move |_, _, message| {
        lost += 1;
        lost <= 3 && matches!(message, Message::Meet { .. })
    }));
    net.meet(0, 1);
    assert!(net.run_until(Millis(5000), Net::agrees).is_some());
}

#[test]
fn a_node_that_is_not_there_yet_is_met_when_it_comes() {
    let mut net = Net::of(2);
    net.kill(1);
    net.meet(0, 1);
    net.run(Millis(2000));
    net.restart(1);
    assert!(net.run_until(Millis(1000), Net::agrees).is_some());
    assert_eq!(net.delivered["MEET"], 1);
}

/// Defect 11 again, by another way: the greeting is answered, but the way back is closed until the other side has
/// given up its handshake.
#[test]
fn a_node_that_could_not_connect_back_learns_of_the_member_later() {
    let mut net = Net::of(2);
    net.kill(0);
    let hidden = EngineSettings { bus_port: 1, ..net.nodes[0].settings.clone() };
    let disk = net.nodes[0].disk.clone();
    let place = net.start(ip(9), hidden, disk);
    net.nodes[place].rc1 = true;
    net.meet(place, 1);
    net.run(Millis(60_000));
    assert_eq!(net.members(place).len(), 1, "it has been answered");
    assert_eq!(net.members(1).len(), 0, "nobody answers where it says that it is");
    net.nodes[place].rc1 = false;
    assert!(net.run_until(Millis(10_000), Net::agrees).is_some(), "now it says where it really is");
}

#[test]
fn a_handshake_that_nobody_answers_ends_with_the_node_timeout() {
    let mut net = Net::of(1);
    for _ in 0..2 {
        let request = ClusterRequest::Meet { ip: ip(7), port: 7711, bus_port: 17711 };
        assert!(matches!(net.ask(0, request), Reply::Ok));
    }
    let lines = net.lines(0);
    assert_eq!(lines.len(), 2, "one handshake for one address");
    assert!(lines[1].flags == NodeFlags::HANDSHAKE && lines[1].ip == Some(ip(7)));
    assert_eq!((net.info(0).known_nodes, net.info(0).size), (2, 1));
    assert_eq!(net.nodes[0].disk.nodes.len(), 1, "handshakes are not stored");
    net.run(Millis(15_000));
    assert_eq!(net.lines(0).len(), 2);
    net.run(Millis(200));
    assert_eq!(net.lines(0).len(), 1);
    assert_eq!(net.nodes[0].engine.next_deadline(), None, "a node that is alone sleeps");
}

#[test]
fn a_node_that_meets_itself_stays_alone() {
    let mut net = Net::of(1);
    net.meet(0, 0);
    net.run(Millis(1000));
    assert_eq!(net.lines(0).len(), 1);
    assert_eq!(net.nodes[0].engine.next_deadline(), None);
    assert_eq!(net.nodes[0].opened.len(), 1);
}

#[test]
fn two_clusters_that_meet_are_one() {
    let mut net = Net::of(6);
    for (place, other) in [(1, 0), (2, 0), (4, 3), (5, 3)] {
        net.meet(place, other);
    }
    net.run(Millis(5000));
    assert!((0..6).all(|place| net.members(place).len() == 2));
    net.meet(1, 4);
    assert!(net.run_until(Millis(20_000), Net::agrees).is_some());
}

#[test]
fn seeds_are_met_without_anybody_typing_it() {
    let mut net = Net::of(3);
    for place in 0..3 {
        let control = seeds(&net, &[0, 1, 2]);
        net.control(place, control);
    }
    assert!(net.run_until(Millis(100), Net::agrees).is_some());
    net.run(Millis(5000));
    let to_itself =
        |place: Place| net.nodes[place].opened.iter().filter(|(_, to)| to.ip() == ip(place + 1)).count();
    assert_eq!([0, 1, 2].map(to_itself), [1, 1, 1], "each finds out that one of the seeds is itself");
}

#[test]
fn a_seed_that_is_down_is_met_when_it_comes_even_after_hours() {
    let mut net = Net::of(2);
    net.kill(1);
    let control = seeds(&net, &[1]);
    net.control(0, control);
    net.run(Millis(3 * 3_600_000));
    let attempts = net.nodes[0].opened.len();
    assert!(attempts < 10_000, "{attempts} connections, not one every 100 ms");
    net.restart(1);
    assert!(net.run_until(Millis(60_000), Net::agrees).is_some());
}

#[test]
fn a_seed_whose_node_goes_by_another_address_is_met_once() {
    let mut net = Net::of(1);
    let settings = EngineSettings { announce_ip: Some(ip(200)), ..net.nodes[0].settings.clone() };
    let place = net.add_node(2, settings);
    let control = seeds(&net, &[place]);
    net.control(0, control);
    net.run(Millis(120_000));
    let to_seed = net.nodes[0].opened.iter().filter(|(_, to)| to.ip() == ip(2)).count();
    assert_eq!(to_seed, 1);
}

#[test]
fn a_full_table_refuses_another_node_and_says_so() {
    let mut net = Net::of(65);
    for place in 1..64 {
        net.meet(place, 0);
    }
    net.run(Millis(30_000));
    assert_eq!(net.members(0).len(), 63);
    let request = ClusterRequest::Meet { ip: ip(65), port: 7711, bus_port: 17711 };
    assert!(matches!(net.ask(0, request), Reply::Refused(Refusal::TooManyNodes)));
    net.meet(64, 0);
    net.run(Millis(30_000));
    assert_eq!(net.members(0).len(), 63);
    net.forget(0, id(64));
    assert_eq!(net.members(0).len(), 62);
}
