//! Copies that were lost are made anew (W25 and W26 of reliability.md).

use std::cell::Cell;
use std::rc::Rc;

use disque::engine::{Control, Persistence};
use disque::types::Millis;

use crate::net::{Net, Place};

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

/// Found by the simulated cluster: the new holder was told that there was no delay, and queued the job after a retry period.
#[test]
fn a_copy_that_is_made_anew_waits_for_the_delay_too() {
    let mut net = Net::cluster(3);
    net.cut(0, 2);
    net.run(Millis(60_000));
    let job = net.add_job(0, "ADDJOB q hello 1000 REPLICATE 2 RETRY 2 DELAY 300");
    net.heal();
    net.kill(0);
    net.run(Millis(60_000));
    // The one that has made the copy cannot answer the other one.
    net.cut(1, 2);
    net.cut(2, 1);
    net.run(Millis(220_000));
    assert_eq!(net.states(&job), ["active", "active"]);
    net.run(Millis(30_000));
    for place in 1..3 {
        assert!(net.take(place, "q").is_some(), "node {place}");
    }
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

/// Found by the simulated cluster: nodes on two sides had made copies anew. RC1 compares numbers of holders, which were
/// the same, so that it deleted the acknowledged job without the holder that it did not know.
#[test]
fn holders_that_rc1_does_not_know_make_themselves_known_to_it() {
    let mut net = Net::cluster(5);
    net.turn_rc1(0, true);
    net.run(Millis(5_000));
    let jobs: Vec<String> =
        (0..40).map(|_| net.add_job(0, "ADDJOB q hello 10000 REPLICATE 2 RETRY 2000")).collect();
    for alone in [1, 0] {
        let others = (0..5).filter(|place| *place != alone);
        others.for_each(|other| {
            net.cut(alone, other);
            net.cut(other, alone);
        });
        net.run(Millis(60_000));
        net.heal();
        net.run(Millis(20_000));
    }
    for job in &jobs {
        let known = net.show(0, job, "nodes-delivered").expect("it added the job");
        assert_eq!(known, net.holders(job).to_string(), "{:?}", net.states(job));
        assert_eq!(net.say(0, &format!("ACKJOB {job}")), ":1");
    }
    net.run(Millis(300_000));
    assert_eq!(jobs.iter().map(|job| net.holders(job)).sum::<usize>(), 0);
}

/// A node is killed and comes back at once with nothing, as if its file had been damaged all over, and says so if `tells`.
fn lose_everything(net: &mut Net, place: Place, tells: bool) -> Place {
    net.kill(place);
    let place = net.restart(place);
    if tells {
        net.control(place, Control::RecordsLost);
    }
    net.run(Millis(15_000));
    place
}

#[test]
fn a_node_that_has_lost_records_gets_its_copies_again() {
    for tells in [false, true] {
        let mut net = Net::cluster(3);
        // Those that it had queued nobody else would speak of before RETRY is over.
        let jobs: Vec<String> =
            (0..300).map(|_| net.add_job(0, "ADDJOB q hello 1000 REPLICATE 3 RETRY 600")).collect();
        lose_everything(&mut net, 0, tells);
        for job in &jobs {
            assert_eq!(net.holders(job), if tells { 3 } else { 2 }, "{:?}", net.states(job));
        }
        let made = net.delivered.get("REPLJOB").copied().unwrap_or_default();
        // Two when it was added; then one, to a node that the third holder takes for a holder anyway.
        assert_eq!(made, if tells { 900 } else { 600 }, "one of the holders acts, not each");
        net.run(Millis(700_000));
        let places = 1..net.nodes.len();
        let taken = places.flat_map(|place| std::iter::from_fn(|| net.take(place, "q")).collect::<Vec<_>>());
        assert_eq!(taken.count(), 300, "each is delivered once");
    }
}

#[test]
fn a_node_that_has_lost_an_acknowledgement_is_told_again() {
    let mut net = Net::cluster(3);
    let job = net.add_job(0, "ADDJOB q hello 1000 REPLICATE 3 RETRY 600");
    // Node 2 does not answer, so that the others remember; node 1 has confirmed.
    net.cut(2, 0);
    net.cut(2, 1);
    assert_eq!(net.say(0, &format!("ACKJOB {job}")), ":1");
    net.run(Millis(1_000));
    net.kill(1);
    let again = net.restart(1);
    net.control(again, Control::Persist(Persistence::On));
    net.control(again, Control::RecordsLost);
    let told = Rc::new(Cell::new(false));
    let seen = Rc::clone(&told);
    net.lose = Some(Box::new(move |_, to, message| {
        seen.set(seen.get() || (to == again && message.name() == "SETACK"));
        false
    }));
    net.run(Millis(900));
    assert!(told.get());
}

#[test]
fn only_those_who_know_the_question_are_asked_and_only_for_a_while() {
    let mut net = Net::cluster(3);
    net.turn_rc1(1, true);
    net.kill(0);
    let again = net.restart(0);
    net.control(again, Control::RecordsLost);
    net.run(Millis(10_000));
    assert_eq!(net.delivered.get("LOSTJOBS"), Some(&1), "RC1 does not know it");
    // A link that breaks is asked on again.
    net.cut_link(again, 2);
    net.heal();
    net.run(Millis(10_000));
    assert_eq!(net.delivered.get("LOSTJOBS"), Some(&2));
    net.run(Millis(10 * 60_000));
    net.cut_link(again, 2);
    net.heal();
    net.run(Millis(10_000));
    assert_eq!(net.delivered.get("LOSTJOBS"), Some(&2));
}

#[test]
fn a_node_that_asks_before_there_is_a_link_to_it_is_told_later() {
    let mut net = Net::cluster(2);
    let job = net.add_job(0, "ADDJOB q hello 1000 REPLICATE 2 RETRY 600");
    let again = lose_everything(&mut net, 0, false);
    let copies = |net: &mut Net| net.show(again, &job, "state").is_some();
    net.cut_link(1, again);
    net.control(again, Control::RecordsLost);
    net.run(Millis(100));
    assert!(!copies(&mut net));
    net.heal();
    net.run_until(Millis(10_000), copies).expect("it gets its copy");
}
