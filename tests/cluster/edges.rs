//! Where two rules meet: limits of queues and copies, long bodies, ENQUEUE and DEQUEUE among nodes of two kinds,
//! imports into full memory, nodes that come back with what others have forgotten.

use disque::types::Millis;

use crate::net::{Net, id};
use crate::talk::job_in;

#[test]
fn maxlen_counts_what_waits_here_and_a_refused_job_leaves_no_copies() {
    let mut net = Net::cluster(3);
    net.add_job(0, "ADDJOB q one 0 REPLICATE 3 MAXLEN 2");
    net.add_job(0, "ADDJOB q two 0 REPLICATE 3 MAXLEN 2");
    let jobs = net.jobs();
    let refused = net.say(0, "ADDJOB q three 0 REPLICATE 3 MAXLEN 2");
    assert!(refused.starts_with("-MAXLEN"), "{refused}");
    net.run(Millis(100));
    assert_eq!(net.jobs(), jobs, "no node keeps anything of the refused job");
    // The others have copies of two jobs, but none in their queues.
    net.add_job(1, "ADDJOB q four 0 REPLICATE 3 MAXLEN 1");
}

#[test]
fn a_body_of_megabytes_reaches_nodes_of_both_kinds_and_the_consumer_of_a_third() {
    let mut net = Net::cluster(3);
    net.turn_rc1(1, true);
    let body = "x".repeat(5 << 20);
    let job = net.add_job(0, &format!("ADDJOB q {body} 2000 REPLICATE 3"));
    assert_eq!(net.holders(&job), 3);
    for place in 0..3 {
        assert_eq!(net.show(place, &job, "body").map(|body| body.len()), Some(5 << 20), "node {place}");
    }
    let client = net.tell(2, "GETJOB FROM q");
    let answer = net.await_answer(2, client, Millis(5_000)).expect("it is served from node 0");
    assert!(answer.contains(&body));
}

#[test]
fn enqueue_and_dequeue_keep_one_delivery_among_nodes_of_both_kinds() {
    let mut net = Net::cluster(3);
    net.turn_rc1(2, true);
    let job = net.add_job(0, "ADDJOB q hello 0 REPLICATE 3 RETRY 3600");
    for place in [0, 1, 2] {
        // Wherever it is taken out, it is in no queue then; wherever it is put in, it is in that queue alone.
        net.say(0, &format!("DEQUEUE {job}"));
        net.say(1, &format!("DEQUEUE {job}"));
        net.say(2, &format!("DEQUEUE {job}"));
        assert!((0..3).all(|place| net.take(place, "q").is_none()), "out of all queues before {place}");
        assert_eq!(net.say(place, &format!("ENQUEUE {job}")), ":1");
        net.run(Millis(20));
        let queued = net.states(&job).iter().filter(|state| *state == "queued").count();
        assert_eq!(queued, 1, "put in at {place}: {:?}", net.states(&job));
    }
    let taken: Vec<String> = (0..3).filter_map(|place| net.take(place, "q")).collect();
    assert_eq!(taken, [job]);
}

#[test]
fn a_consumer_at_a_node_without_memory_loses_no_job_that_is_sent_to_it() {
    let mut net = Net::cluster(2);
    net.set_short_of_memory(1, true);
    let once = net.add_job(0, "ADDJOB q once 0 REPLICATE 1 RETRY 0");
    let often = net.add_job(0, "ADDJOB q often 0 REPLICATE 1");
    let mut served = Vec::new();
    for _ in 0..2 {
        let client = net.tell(1, "GETJOB FROM q");
        let answer = net.await_answer(1, client, Millis(10_000));
        served.extend(answer.as_deref().and_then(job_in));
        net.hang_up(1, client);
    }
    let left: Vec<String> = (0..2).filter_map(|_| net.take(0, "q")).collect();
    let mut all = [served, left].concat();
    all.sort();
    let mut expected = [once, often];
    expected.sort();
    assert_eq!(all, expected, "each is delivered once, here or there");
}

#[test]
fn a_node_that_was_forgotten_and_is_met_again_does_not_deliver_what_is_acknowledged() {
    let mut net = Net::cluster(3);
    let done = net.add_job(0, "ADDJOB q done 0 REPLICATE 3 RETRY 5");
    let open = net.add_job(0, "ADDJOB q open 0 REPLICATE 3 RETRY 5");
    net.freeze(2);
    net.run(Millis(40_000));
    net.forget(0, id(3));
    net.forget(1, id(3));
    assert_eq!(net.take(0, "q"), Some(done.clone()));
    net.say(0, &format!("ACKJOB {done}"));
    net.run(Millis(1_000));
    assert_eq!(
        (net.show(0, &done, "state"), net.show(1, &done, "state")),
        (None, None),
        "collected without it"
    );
    net.thaw(2);
    net.meet(0, 2);
    net.meet(1, 2);
    let all = |net: &mut Net| (0..3).all(|place| net.members(place).len() == 2);
    assert!(net.run_until(Millis(30_000), all).is_some(), "it is a member again");
    net.run(Millis(30_000));
    let taken: Vec<String> = (0..3).filter_map(|place| net.take(place, "q")).collect();
    assert_eq!(taken, [open], "what was acknowledged stays so");
    assert_eq!(net.holders(&done), 0, "and is forgotten by who came back: {:?}", net.states(&done));
}
