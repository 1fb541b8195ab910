//! Leaving, being forgotten, and coming back.

use disque::bus::NodeFlags;
use disque::engine::{ClusterRequest, Refusal, Reply};
use disque::types::Millis;

use crate::net::{Net, id, ip};

const DAY: Millis = Millis(86_400_000);

/// W22 of reliability.md: RC1 remembers for a minute, and a node that was away for longer gossips the forgotten one
/// back into the cluster.
#[test]
fn a_node_that_was_away_for_days_does_not_bring_back_whom_the_others_forgot() {
    let mut net = Net::cluster(4);
    net.kill(3);
    net.run(Millis(60_000));
    // Node 3 is to go. It is alive, and node 4 does not hear of it.
    for place in 0..2 {
        net.forget(place, id(3));
    }
    net.skip(Millis(6 * DAY.0));
    let late = net.restart(3);
    net.run(Millis(60_000));
    assert!(net.members(late).contains(&id(3)), "the one that was away knows it still");
    for place in 0..2 {
        assert!(!net.members(place).contains(&id(3)), "node {place}");
    }
    net.skip(DAY);
    net.run(Millis(60_000));
    assert!(net.members(0).contains(&id(3)), "after a week gossip counts again");
}

#[test]
fn what_was_forgotten_stays_so_over_a_restart() {
    let mut net = Net::cluster(3);
    net.forget(0, id(3));
    net.kill(0);
    let again = net.restart(0);
    net.run(Millis(120_000));
    assert_eq!(net.members(again).into_iter().collect::<Vec<_>>(), [id(2)]);
    assert!(net.members(2).contains(&id(1)), "the forgotten one does not know, and gets its PONGs");
}

#[test]
fn a_forgotten_node_that_is_met_is_a_member_again() {
    for meets in [(0, 2), (2, 0)] {
        let mut net = Net::cluster(3);
        net.forget(0, id(3));
        net.run(Millis(5000));
        assert!(!net.members(0).contains(&id(3)));
        net.meet(meets.0, meets.1);
        net.run(Millis(5000));
        assert!(net.members(0).contains(&id(3)), "{meets:?}");
        assert!(net.agrees());
        assert!(net.nodes[0].disk.forgotten.is_empty());
    }
}

#[test]
fn forget_knows_itself_strange_ids_and_handshakes() {
    let mut net = Net::cluster(2);
    for (node, refusal) in [(id(1), Refusal::ForgetMyself), (id(9), Refusal::UnknownNode(id(9)))] {
        match net.ask(0, ClusterRequest::Forget { id: node }) {
            Reply::Refused(why) => assert_eq!(why, refusal),
            reply => panic!("{reply:?}"),
        }
    }
    let request = ClusterRequest::Meet { ip: ip(9), port: 7711, bus_port: 17711 };
    net.ask(0, request);
    let handshake = net.lines(0)[2].id;
    net.forget(0, handshake);
    assert_eq!(net.lines(0).len(), 2);
    net.forget(0, id(2));
    assert!(matches!(
        net.ask(0, ClusterRequest::Forget { id: id(2) }),
        Reply::Refused(Refusal::UnknownNode(node)) if node == id(2)
    ));
    net.run(Millis(1000));
    assert_eq!(net.nodes[0].engine.next_deadline(), None, "alone again, it sleeps");
}

#[test]
fn a_leaving_node_is_known_as_such_within_a_round_trip_and_after_restarts() {
    let mut net = Net::cluster(3);
    net.ask(2, ClusterRequest::SetLeaving(true));
    net.run(Millis(5));
    for place in 0..2 {
        assert!(net.line(place, id(3)).flags.has(NodeFlags::LEAVING));
        assert_eq!((net.hello(place, id(3)).priority, net.info(place).reachable_nodes), (100, 1));
        assert!(net.nodes[place].disk.nodes.iter().any(|line| line.flags.has(NodeFlags::LEAVING)));
    }
    net.kill(2);
    net.kill(1);
    let (leaver, other) = (net.restart(2), net.restart(1));
    assert!(matches!(net.ask(leaver, ClusterRequest::IsLeaving), Reply::Leaving(true)));
    assert!(net.line(other, id(3)).flags.has(NodeFlags::LEAVING), "it knows that before it hears of it");
    net.run(Millis(1000));
    net.ask(leaver, ClusterRequest::SetLeaving(false));
    net.run(Millis(5));
    assert!(!net.line(0, id(3)).flags.has(NodeFlags::LEAVING));
    assert_eq!(net.info(0).reachable_nodes, 2);
}

#[test]
fn a_reset_node_is_alone_and_the_others_lose_its_address_if_it_is_a_new_one() {
    let mut net = Net::cluster(3);
    net.ask(2, ClusterRequest::Reset { hard: true });
    assert_ne!(net.nodes[2].engine.me(), id(3));
    assert_eq!(net.lines(2).len(), 1);
    assert_eq!(net.nodes[2].disk.nodes.len(), 1);
    net.run(Millis(30_000));
    assert_eq!(net.nodes[2].engine.next_deadline(), None);
    for place in 0..2 {
        assert!(net.line(place, id(3)).flags.has(NodeFlags::NOADDR));
        net.forget(place, id(3));
    }
    net.meet(2, 1);
    assert!(net.run_until(Millis(10_000), Net::agrees).is_some());
}

/// Found by the simulator (seed 2): the row of the forgotten node was given to nobody, and the job that still named it
/// made the server stop.
#[test]
fn a_job_that_waits_for_copies_does_not_wait_for_a_node_that_was_forgotten() {
    let mut net = Net::cluster(3);
    net.set_short_of_memory(1, true);
    net.set_short_of_memory(2, true);
    let client = net.tell(0, "ADDJOB q hello 60000 REPLICATE 3");
    net.run(Millis(1000));
    net.forget(0, id(3));
    net.run(Millis(5000));
    net.set_short_of_memory(1, false);
    net.run(Millis(5000));
    assert_eq!(net.answer(0, client), None, "two copies are not three");
}

/// Found by the simulator (seed 35): nothing was left of the acknowledgement, so the node delivered its copy.
#[test]
fn a_job_is_done_for_its_other_holder_too_that_was_forgotten_and_is_back() {
    let mut net = Net::cluster(2);
    let job = net.add_job(0, "ADDJOB q hello 1000 REPLICATE 2 RETRY 10");
    assert_eq!(net.take(0, "q"), Some(job.clone()));
    net.cut(0, 1);
    net.say(0, &format!("ACKJOB {job}"));
    net.forget(0, id(2));
    net.run(Millis(3000));
    net.heal();
    net.meet(0, 1);
    net.run(Millis(30_000));
    assert_eq!(net.take(1, "q"), None);
}
