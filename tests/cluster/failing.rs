//! Who is taken for failing, when, and until when.

use disque::bus::{Header, Message, NodeFlags};
use disque::engine::EngineSettings;
use disque::types::{Millis, UnixMillis};

use crate::net::{Net, Place, id, ip};

/// Clusters of these tests have a node timeout of three seconds.
fn quick(count: usize) -> Net {
    let mut net = Net::of(0);
    for n in 1..=count {
        net.add_node(
            n,
            EngineSettings { maxmemory: 0, node_timeout: Millis(3000), ..EngineSettings::default() },
        );
    }
    for place in 1..count {
        net.meet(place, 0);
    }
    net.run(Millis(10_000));
    assert!(net.agrees());
    net
}

fn is(net: &mut Net, place: Place, node: usize, flag: NodeFlags) -> bool {
    net.line(place, id(node)).flags.has(flag)
}

#[test]
fn hello_tells_how_a_killed_node_fails_and_comes_back() {
    let mut net = quick(3);
    net.kill(2);
    net.run(Millis(2));
    assert_eq!(net.hello(0, id(3)).priority, 5);
    assert_eq!(net.info(0).reachable_nodes, 1, "nobody asks it to keep a copy");
    let pfail =
        net.run_until(Millis(10_000), |net| is(net, 0, 3, NodeFlags::PFAIL)).expect("it is suspected");
    assert!((3000..=4700).contains(&pfail.0), "{pfail:?}");
    assert_eq!(net.hello(0, id(3)).priority, 10);
    assert!(net.nodes[0].disk.nodes.iter().all(|line| line.flags.bits() & NodeFlags::PFAIL.bits() == 0));
    let fail = net.run_until(Millis(10_000), |net| (0..2).all(|place| is(net, place, 3, NodeFlags::FAIL)));
    assert!(fail.expect("a majority suspects it") <= Millis(2000), "{fail:?}");
    assert_eq!(net.hello(1, id(3)).priority, 100);
    assert!(net.nodes[1].disk.nodes.iter().any(|line| line.flags.has(NodeFlags::FAIL)), "it is stored");
    net.run(Millis(60_000));
    net.restart(2);
    let back = net.run_until(Millis(1000), |net| (0..2).all(|place| net.hello(place, id(3)).priority == 1));
    assert!(back.is_some(), "it says that it is back, and is asked at once, whatever the back-off");
    assert!(
        net.nodes[1].disk.nodes.iter().all(|line| !line.flags.has(NodeFlags::FAIL)),
        "that is stored, too"
    );
}

#[test]
fn a_node_that_stands_still_is_suspected_between_one_and_one_and_a_half_timeouts() {
    let mut net = quick(5);
    net.freeze(4);
    let pfail =
        net.run_until(Millis(10_000), |net| is(net, 0, 5, NodeFlags::PFAIL)).expect("it is suspected");
    assert!((3000..=4800).contains(&pfail.0), "{pfail:?}");
    assert!(
        net.run_until(Millis(10_000), |net| (0..4).all(|place| is(net, place, 5, NodeFlags::FAIL))).is_some()
    );
    net.thaw(4);
    assert!(net.run_until(Millis(5000), Net::agrees).is_some());
    net.run(Millis(5000));
    assert!(
        (0..5).all(|place| net.lines(place).iter().all(|line| line.flags.bits() & 3 == 0)),
        "nobody fails"
    );
}

#[test]
fn two_nodes_have_no_majority() {
    let mut net = quick(2);
    net.kill(1);
    net.run(Millis(60_000));
    assert!(is(&mut net, 0, 2, NodeFlags::PFAIL) && !is(&mut net, 0, 2, NodeFlags::FAIL));
}

#[test]
fn a_minority_takes_nobody_for_failing() {
    let mut net = quick(5);
    for other in 2..5 {
        for place in 0..2 {
            net.cut(place, other);
            net.cut(other, place);
        }
    }
    net.run(Millis(30_000));
    for (place, others) in [(0, [3, 4, 5]), (1, [3, 4, 5])] {
        for other in others {
            assert!(
                is(&mut net, place, other, NodeFlags::PFAIL) && !is(&mut net, place, other, NodeFlags::FAIL)
            );
        }
    }
    for place in 2..5 {
        assert!(is(&mut net, place, 1, NodeFlags::FAIL) && is(&mut net, place, 2, NodeFlags::FAIL));
    }
    net.heal();
    let healed = |net: &mut Net| {
        (0..5).all(|place| net.lines(place).iter().all(|line| line.connected && line.flags.bits() & 3 == 0))
    };
    let took = net.run_until(Millis(10_000), healed);
    assert!(took.is_some(), "healing is noticed within the longest pause and a connection's time-out");
}

/// One cut in one direction: the two cannot agree, but the majority knows better.
#[test]
fn a_one_way_link_makes_nobody_fail() {
    let mut net = quick(3);
    net.cut(0, 2);
    net.run(Millis(30_000));
    assert!(is(&mut net, 0, 3, NodeFlags::PFAIL) && !is(&mut net, 0, 3, NodeFlags::FAIL));
    assert!(!is(&mut net, 1, 3, NodeFlags::PFAIL) && !is(&mut net, 1, 3, NodeFlags::FAIL));
    assert!(net.members(2).contains(&id(1)));
}

fn fail_about(net: &mut Net, place: Place, sender: usize, node: usize) {
    let header = Header { sender: id(sender), ..net.nodes[sender - 1].engine.header() };
    net.inject(place, ip(sender), &header, Message::Fail { node: id(node) });
}

/// Defect 10 of cluster-bus.md: RC1 believes any FAIL, and a healthy node is avoided until its next PONG.
#[test]
fn a_node_that_answers_is_not_failing_because_one_other_says_so() {
    let mut net = quick(5);
    let saves = net.nodes[0].saves;
    fail_about(&mut net, 0, 2, 3);
    assert!(!is(&mut net, 0, 3, NodeFlags::FAIL));
    assert_eq!(net.info(0).reachable_nodes, 4);
    assert!(net.line(0, id(3)).ping_sent > UnixMillis(0), "it is asked at once");
    net.run(Millis(10));
    assert_eq!(net.line(0, id(3)).ping_sent, UnixMillis(0), "and answers");
    assert_eq!(net.nodes[0].saves, saves);
}

#[test]
fn a_node_that_does_not_answer_is_failing_when_another_says_so() {
    let mut net = quick(5);
    net.freeze(2);
    net.run(Millis(2000));
    assert!(!is(&mut net, 0, 3, NodeFlags::PFAIL), "not yet suspected");
    fail_about(&mut net, 0, 2, 3);
    assert!(is(&mut net, 0, 3, NodeFlags::FAIL));
    // About nodes that are not known, and about itself, nothing is believed.
    fail_about(&mut net, 0, 2, 77);
    fail_about(&mut net, 0, 2, 1);
    assert!(!is(&mut net, 0, 1, NodeFlags::FAIL));
    net.thaw(2);
    net.run(Millis(5000));
    assert!(!is(&mut net, 0, 3, NodeFlags::FAIL));
}

#[test]
fn who_stood_still_does_not_suspect_everybody_else() {
    let mut net = quick(3);
    let asks = |net: &mut Net| net.lines(0).iter().any(|line| line.ping_sent > UnixMillis(0));
    assert!(net.run_until(Millis(5000), asks).is_some());
    net.freeze(0);
    net.run(Millis(60_000));
    net.thaw(0);
    net.run(Millis(100));
    assert!([2, 3].iter().all(|node| !is(&mut net, 0, *node, NodeFlags::PFAIL)));
    net.run(Millis(10_000));
    assert!(net.agrees());
}

#[test]
fn a_link_on_which_nothing_comes_is_opened_anew() {
    let mut net = quick(2);
    net.run(Millis(10_000));
    let opened = net.nodes[0].opened.len();
    net.wear_out();
    let reopened = net.run_until(Millis(10_000), |net| net.nodes[0].opened.len() > opened);
    assert!(reopened.expect("it is not waited for the operating system") <= Millis(5000), "{reopened:?}");
    net.run(Millis(5000));
    assert!(net.agrees() && !is(&mut net, 0, 2, NodeFlags::PFAIL));
}

#[test]
fn clocks_that_differ_by_ten_minutes_do_not_matter() {
    let mut net = Net::of(0);
    for n in 1..=3 {
        net.add_node(
            n,
            EngineSettings { maxmemory: 0, node_timeout: Millis(3000), ..EngineSettings::default() },
        );
    }
    net.nodes[1].skew = Millis(600_000);
    net.nodes[2].skew = Millis(86_400_000);
    net.meet(1, 0);
    net.meet(2, 0);
    assert!(net.run_until(Millis(5000), Net::agrees).is_some());
    net.run(Millis(60_000));
    assert!(
        (0..3).all(|place| net.lines(place).iter().all(|line| line.connected && line.flags.bits() & 3 == 0))
    );
}

/// Defect 15 of cluster-bus.md: RC1 connects every 100 ms to each dead node, for ever.
#[test]
fn a_dead_node_is_called_less_and_less_often() {
    let mut net = quick(3);
    net.kill(2);
    let before = net.nodes[0].opened.len();
    net.run(Millis(1000));
    let first = net.nodes[0].opened.len() - before;
    assert!((4..=10).contains(&first), "{first} in the first second");
    net.run(Millis(59_000));
    let minute = net.nodes[0].opened.len() - before;
    assert!(minute <= 30, "{minute} in a minute");
}
