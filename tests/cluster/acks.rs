//! Forgetting everywhere (job-lifecycle.md 10).

use disque::bus::{Message, Notice};
use disque::types::Millis;

use crate::net::Net;

#[test]
fn an_acknowledged_job_is_forgotten_everywhere_by_six_messages() {
    for place in 0..3 {
        let mut net = Net::cluster(3);
        let job = net.add_job(0, "ADDJOB q hello 1000 REPLICATE 3 RETRY 60");
        net.delivered.clear();
        assert_eq!(net.say(place, &format!("ACKJOB {job}")), ":1");
        net.run(Millis(20));
        assert_eq!(net.jobs(), 0);
        let count = |name| net.delivered.get(name).copied().unwrap_or(0);
        assert_eq!((count("SETACK"), count("GOTACK"), count("DELJOB")), (2, 2, 2));
        assert_eq!(net.say(place, &format!("ACKJOB {job}")), ":0");
        net.run(Millis(20));
        assert_eq!(net.jobs(), 0, "an acknowledgement of what is gone leaves nothing behind");
    }
}

#[test]
fn a_node_that_was_away_learns_of_the_acknowledgement_as_soon_as_it_is_back() {
    // W27: RC1 tells it up to three minutes later.
    let mut net = Net::cluster(3);
    let job = net.add_job(0, "ADDJOB q hello 1000 REPLICATE 3 RETRY 120");
    for place in [0, 1] {
        net.cut(place, 2);
        net.cut(2, place);
    }
    assert_eq!(net.say(0, &format!("ACKJOB {job}")), ":1");
    net.run(Millis(100_000));
    assert_eq!(net.states(&job), ["acked", "acked", "active"]);
    net.heal();
    net.run_until(Millis(9_000), |net| net.jobs() == 0).expect("all forget");
}

#[test]
fn an_acknowledgement_at_a_node_that_is_no_holder_waits_for_all_holders() {
    // W2: RC1 compares the sizes of two sets, and forgets one confirmation too early.
    let mut net = Net::cluster(4);
    let job = net.add_job(0, "ADDJOB q hello 1000 REPLICATE 3 RETRY 5");
    let outsider = (0..4).find(|place| net.show(*place, &job, "state").is_none()).expect("one holds no copy");
    let away = (1..4).find(|place| *place != outsider).expect("another holder");
    // The outsider imports the job, as its consumer asks for it.
    let client = net.tell(outsider, "GETJOB FROM q");
    net.await_answer(outsider, client, Millis(1000)).expect("it is served");
    for place in (0..4).filter(|place| *place != away) {
        net.cut(place, away);
        net.cut(away, place);
    }
    assert_eq!(net.say(outsider, &format!("ACKJOB {job}")), ":1");
    net.run(Millis(3_000));
    let acked = net.states(&job).iter().filter(|state| *state == "acked").count();
    assert!(acked >= 1, "somebody remembers: {:?}", net.states(&job));
    net.heal();
    net.run(Millis(20_000));
    assert_eq!(net.jobs(), 0);
    assert!((0..4).all(|place| net.take(place, "q").is_none()));
}

#[test]
fn lists_of_equal_length_and_different_content_are_told_apart() {
    let mut net = Net::cluster(4);
    let job = net.add_job(0, "ADDJOB q hello 1000 REPLICATE 2 RETRY 60");
    // A third holder that only one of the two knows.
    net.say(0, &format!("DEQUEUE {job}"));
    net.say(0, &format!("ENQUEUE {job}"));
    let outsider = (1..4).find(|place| net.show(*place, &job, "state").is_none()).expect("no copy");
    net.lose = Some(Box::new(|_, _, message| matches!(message, Message::Holders { .. })));
    let client = net.tell(outsider, "GETJOB FROM q");
    net.await_answer(outsider, client, Millis(1000)).expect("it is served");
    net.lose = None;
    let other = (1..4)
        .find(|place| *place != outsider && net.show(*place, &job, "state").is_some())
        .expect("the copy");
    assert_eq!(net.say(other, &format!("ACKJOB {job}")), ":1");
    net.run(Millis(5_000));
    assert_eq!(net.jobs(), 0, "{:?}", net.states(&job));
}

#[test]
fn an_acknowledgement_of_an_unknown_job_finds_it() {
    let mut net = Net::cluster(4);
    let job = net.add_job(0, "ADDJOB q hello 1000 REPLICATE 1 RETRY 60");
    assert_eq!(net.say(3, &format!("ACKJOB {job}")), ":0", "it is not known there");
    net.run(Millis(3_000));
    assert_eq!(net.jobs(), 0);
}

#[test]
fn an_acknowledgement_of_an_unknown_job_waits_for_the_holder_that_is_away() {
    let mut net = Net::cluster(3);
    let job = net.add_job(0, "ADDJOB q hello 1000 REPLICATE 1 RETRY 5");
    for place in [1, 2] {
        net.cut(0, place);
        net.cut(place, 0);
    }
    net.say(1, &format!("ACKJOB {job}"));
    net.say(2, &format!("ACKJOB {job}"));
    net.run(Millis(60_000));
    assert!(net.states(&job)[1..].contains(&"acked".to_owned()), "two dummies do not end each other");
    net.heal();
    net.run(Millis(30_000));
    assert_eq!(net.jobs(), 0, "{:?}", net.states(&job));
}

#[test]
fn an_acknowledgement_of_a_job_that_nobody_has_is_dropped_when_all_have_said_so() {
    let mut net = Net::cluster(3);
    net.say(1, "ACKJOB D-01234567-abcdefghijklmnopqrstuvwx-05a1");
    net.run(Millis(100));
    assert_eq!(net.jobs(), 0);
    // Of an at-most-once job nothing is remembered at all.
    net.cut(1, 0);
    net.say(1, "ACKJOB D-01234567-abcdefghijklmnopqrstuvwx-05a0");
    assert_eq!(net.jobs(), 0);
}

#[test]
fn an_acknowledged_at_most_once_job_is_forgotten_by_its_holder() {
    let mut net = Net::cluster(2);
    let job = net.add_job(0, "ADDJOB q hello 1000 REPLICATE 1 RETRY 0");
    assert_eq!(net.take(0, "q"), Some(job.clone()));
    net.say(1, &format!("ACKJOB {job}"));
    net.run(Millis(10));
    assert_eq!(net.jobs(), 0);
}

#[test]
fn a_forgotten_node_is_not_waited_for() {
    // W11: RC1 tries until the job's life ends.
    let mut net = Net::cluster(3);
    let job = net.add_job(0, "ADDJOB q hello 1000 REPLICATE 3 RETRY 600 TTL 86400");
    net.kill(2);
    assert_eq!(net.say(0, &format!("ACKJOB {job}")), ":1");
    net.run(Millis(10_000));
    assert_eq!(net.jobs(), 2);
    let gone = net.nodes[2].engine.me();
    net.forget(0, gone);
    net.forget(1, gone);
    net.run(Millis(200_000));
    assert_eq!(net.jobs(), 0);
}

#[test]
fn acknowledged_is_final_even_if_the_job_is_sent_again() {
    // W6: RC1 queues an acknowledged job that another node sends.
    let mut net = Net::cluster(2);
    let job = net.add_job(0, "ADDJOB q hello 1000 REPLICATE 2 RETRY 600");
    net.lose = Some(Box::new(|_, _, message| {
        matches!(message, Message::Notice { notice: Notice::SetAck { .. }, .. })
    }));
    assert_eq!(net.say(1, &format!("ACKJOB {job}")), ":1");
    // Node 0 still has it queued; a consumer at node 1 asks for it.
    let client = net.tell(1, "GETJOB TIMEOUT 500 FROM q");
    assert_eq!(net.await_answer(1, client, Millis(1000)), Some("*-1".to_owned()));
    net.lose = None;
    net.run(Millis(10_000));
    assert_eq!(net.jobs(), 0);
}

#[test]
fn fastack_deletes_everywhere_without_asking_back() {
    let mut net = Net::cluster(3);
    let job = net.add_job(0, "ADDJOB q hello 1000 REPLICATE 3");
    assert_eq!(net.say(1, &format!("FASTACK {job}")), ":1");
    net.run(Millis(10));
    assert_eq!(net.jobs(), 0);
    let job = net.add_job(0, "ADDJOB q hello 1000 REPLICATE 1");
    assert_eq!(net.say(1, &format!("FASTACK {job}")), ":0");
    net.run(Millis(10));
    assert_eq!(net.jobs(), 0);
}

#[test]
fn deljob_deletes_here_only() {
    let mut net = Net::cluster(3);
    let job = net.add_job(0, "ADDJOB q hello 1000 REPLICATE 3");
    assert_eq!(net.say(1, &format!("DELJOB {job}")), ":1");
    net.run(Millis(10));
    assert_eq!(net.states(&job), ["queued", "-", "active"]);
}

#[test]
fn an_acknowledgement_while_the_producer_waits_answers_the_producer() {
    let mut net = Net::cluster(3);
    net.set_short_of_memory(2, true);
    let client = net.tell(0, "ADDJOB q hello 0 REPLICATE 3 RETRY 1");
    net.run(Millis(3_000));
    // Node 1 has the copy, and after its retry it delivers it.
    let job = net.take(1, "q").expect("the safety net");
    assert_eq!(net.say(1, &format!("ACKJOB {job}")), ":1");
    let answer = net.await_answer(0, client, Millis(1000)).expect("the producer gets the ID");
    assert_eq!(answer, format!("+{job}"));
    net.run(Millis(10_000));
    assert_eq!(net.jobs(), 0);
}

/// Found by the simulator (seed 213): SHOW of a job whose acknowledgement a node had confirmed that is no holder, and
/// that was forgotten since, made the server stop.
#[test]
fn one_who_only_confirmed_and_is_forgotten_is_named_no_more() {
    let mut net = Net::cluster(4);
    let job = net.add_job(0, "ADDJOB q hello 1000 REPLICATE 2 RETRY 60");
    let states = net.states(&job);
    let (holder, outsider) = if states[1] == "-" {
        (states.iter().skip(2).position(|state| state != "-").expect("two copies") + 2, 1)
    } else {
        (1, 2)
    };
    net.kill(holder);
    net.say(outsider, &format!("ACKJOB {job}"));
    net.run(Millis(500));
    assert_eq!(net.show(0, &job, "nodes-confirmed"), Some("2".to_owned()));
    net.forget(0, crate::net::id(outsider + 1));
    net.run(Millis(500));
    assert_eq!(net.show(0, &job, "nodes-confirmed"), Some("1".to_owned()));
}

/// Found by the simulator (seed 35): the record of an acknowledgement alone, met by one who knew the job, took him for
/// its only holder and thought of itself as a copy.
#[test]
fn the_record_of_an_unknown_job_that_meets_its_owner_stays_one_until_it_is_let_go() {
    let mut net = Net::cluster(2);
    let job = net.add_job(0, "ADDJOB q hello 1000 REPLICATE 2 RETRY 60");
    assert_eq!(net.say(1, &format!("DELJOB {job}")), ":1");
    net.lose = Some(Box::new(|_, _, message| matches!(message, Message::Notice { .. })));
    assert_eq!(net.say(0, &format!("ACKJOB {job}")), ":1");
    assert_eq!(net.say(1, &format!("ACKJOB {job}")), ":0");
    net.lose = Some(Box::new(|from, _, message| {
        from == 1 && matches!(message, Message::Notice { notice: Notice::SetAck { .. }, .. })
    }));
    net.run(Millis(10_000));
    for place in 0..2 {
        net.nodes[place].engine.audit().expect("the books agree");
    }
    net.lose = None;
    net.run(Millis(400_000));
    assert_eq!(net.jobs(), 0, "both have let it go");
}

/// Found by the simulated cluster: the clock of the other holder had stood still with its machine.
#[test]
fn an_acknowledged_job_whose_life_is_over_is_told_to_those_for_whom_it_lives_on() {
    let mut net = Net::cluster(2);
    let job = net.add_job(0, "ADDJOB q hello 1000 REPLICATE 2 RETRY 10 TTL 30");
    net.cut(0, 1);
    net.cut(1, 0);
    net.say(0, &format!("ACKJOB {job}"));
    net.nodes[0].skew = Millis(40_000);
    net.run(Millis(1_000));
    assert_eq!(net.states(&job), ["-", "active"]);
    net.heal();
    net.run(Millis(20_000));
    assert_eq!(net.take(1, "q"), None);
    assert_eq!(net.states(&job)[1], "-");
}
