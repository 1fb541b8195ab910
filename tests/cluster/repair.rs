//! Copies that were lost are made anew (W25 and W26 of reliability.md).

use disque::types::Millis;

use crate::net::Net;

#[test]
fn when_a_holder_fails_its_copies_are_made_elsewhere() {
    let mut net = Net::cluster(5);
    let jobs: Vec<String> =
        (0..20).map(|_| net.add_job(0, "ADDJOB q hello 1000 REPLICATE 3 RETRY 600")).collect();
    net.kill(0);
    net.run(Millis(60_000));
    for job in &jobs {
        assert_eq!(net.holders(job), 3, "{:?}", net.states(job));
    }
    net.run(Millis(700_000));
    let taken: Vec<String> =
        (1..5).flat_map(|place| std::iter::from_fn(|| net.take(place, "q")).collect::<Vec<_>>()).collect();
    assert_eq!(taken.len(), 20, "each is delivered once");
}

#[test]
fn a_forgotten_holder_is_replaced() {
    let mut net = Net::cluster(4);
    let job = net.add_job(0, "ADDJOB q hello 1000 REPLICATE 3 RETRY 600");
    let gone = (1..4).find(|place| net.show(*place, &job, "state").is_some()).expect("a copy");
    net.kill(gone);
    let id = net.nodes[gone].engine.me();
    for place in (0..4).filter(|place| *place != gone) {
        net.forget(place, id);
    }
    net.run(Millis(5_000));
    assert_eq!(net.holders(&job), 3, "{:?}", net.states(&job));
}

#[test]
fn a_node_that_is_back_changes_nothing_about_jobs_with_enough_copies() {
    let mut net = Net::cluster(3);
    let job = net.add_job(0, "ADDJOB q hello 1000 REPLICATE 2 RETRY 600");
    net.cut(0, 2);
    net.cut(2, 0);
    net.run(Millis(30_000));
    net.heal();
    net.run(Millis(30_000));
    assert_eq!(net.holders(&job), 2);
}
