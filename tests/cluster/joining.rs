//! How nodes become members.

use disque::engine::{ClusterRequest, Control, LinkId, Refusal, Reply};
use disque::types::Millis;

use crate::net::{Net, id, ip};

#[test]
fn one_meet_makes_two_nodes_members_of_each_other() {
    let mut net = Net::of(2);
    net.meet(0, 1);
    let took = net.run_until(Millis(1000), Net::agrees).expect("they meet");
    assert!(took <= Millis(20), "{took:?}");
    assert!(net.nodes[0].disk.nodes.iter().any(|line| line.id == id(2)), "it is stored");
    assert_eq!(net.nodes[1].disk.myself().and_then(|line| line.ip), Some(ip(2)), "it learns its own address");
}

#[test]
fn three_nodes_find_each_other_through_the_one_that_both_met() {
    let mut net = Net::of(3);
    net.meet(1, 0);
    net.meet(2, 0);
    let took = net.run_until(Millis(10_000), Net::agrees).expect("they agree");
    println!("3 nodes agree after {took:?} and {:?}", net.delivered);
}

#[test]
fn large_clusters_agree() {
    for count in [5, 25, 50] {
        let mut net = Net::of(count);
        for place in 1..count {
            net.meet(place, 0);
        }
        let took = net.run_until(Millis(60_000), Net::agrees).expect("they agree");
        println!(
            "{count} nodes that join at once agree after {took:?}: {:?}, {:?}",
            net.traffic(),
            net.delivered
        );
    }
}
