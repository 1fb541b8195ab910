//! Copies on other nodes (job-lifecycle.md 5 to 7).

use disque::bus::Message;
use disque::engine::{ClusterRequest, Control};
use disque::types::Millis;

use crate::net::Net;
use crate::talk::job_in;

#[test]
fn a_producer_is_answered_when_the_copies_are_confirmed_and_not_before() {
    let mut net = Net::cluster(3);
    let client = net.tell(0, "ADDJOB q hello 1000 REPLICATE 3 RETRY 60");
    assert_eq!(net.answer(0, client), None, "nothing is confirmed yet");
    let begin = net.now;
    let answer = net.await_answer(0, client, Millis(1000)).expect("the copies are confirmed");
    let job = job_in(answer.trim_start_matches('+')).expect("an ID");
    assert_eq!(net.now.since(begin), Millis(2), "a round trip of two milliseconds, no more");
    assert_eq!(net.states(&job), ["queued", "active", "active"]);
    for place in 0..3 {
        assert_eq!(net.show(place, &job, "nodes-delivered"), Some("3".to_owned()), "node {place}");
        assert_eq!(net.show(place, &job, "body"), Some("hello".to_owned()));
    }
}

#[test]
fn three_copies_are_the_default_of_a_large_cluster() {
    let mut net = Net::cluster(5);
    let job = net.add_job(0, "ADDJOB q hello 1000");
    assert_eq!(net.holders(&job), 3);
}

#[test]
fn a_silent_node_is_replaced_by_another_after_50_ms() {
    let mut net = Net::cluster(4);
    // Node 1 refuses: its memory is short.
    net.set_short_of_memory(1, true);
    net.set_short_of_memory(2, true);
    for _ in 0..5 {
        let begin = net.now;
        let job = net.add_job(0, "ADDJOB q hello 5000 REPLICATE 2 RETRY 60");
        assert!(net.now.since(begin) <= Millis(120), "{:?}", net.now.since(begin));
        assert_eq!(net.states(&job), ["queued", "-", "-", "active"]);
    }
}

#[test]
fn a_node_that_had_no_room_is_asked_again() {
    let mut net = Net::cluster(2);
    net.set_short_of_memory(1, true);
    let client = net.tell(0, "ADDJOB q hello 5000 REPLICATE 2");
    assert_eq!(net.await_answer(0, client, Millis(2000)), None);
    net.set_short_of_memory(1, false);
    assert!(net.await_answer(0, client, Millis(1000)).is_some_and(|answer| answer.starts_with("+D-")));
}

#[test]
fn a_node_whose_disk_fails_takes_no_copies_until_it_is_back() {
    let mut net = Net::cluster(2);
    net.control(1, Control::DiskFailing(true));
    let client = net.tell(0, "ADDJOB q hello 5000 REPLICATE 2");
    assert_eq!(net.await_answer(0, client, Millis(2000)), None);
    net.control(1, Control::DiskFailing(false));
    assert!(net.await_answer(0, client, Millis(1000)).is_some_and(|answer| answer.starts_with("+D-")));
}

#[test]
fn when_the_time_is_over_the_producer_is_told_and_no_copy_stays() {
    let mut net = Net::cluster(3);
    net.set_short_of_memory(2, true);
    let client = net.tell(0, "ADDJOB q hello 500 REPLICATE 3");
    let begin = net.now;
    let answer = net.await_answer(0, client, Millis(2000)).expect("it is told");
    assert_eq!(answer, "-NOREPL Timeout reached before replicating to the requested number of nodes");
    assert_eq!(net.now.since(begin), Millis(500));
    net.run(Millis(10));
    assert_eq!(net.jobs(), 0);
}

#[test]
fn a_producer_that_goes_takes_its_unconfirmed_job_with_it() {
    let mut net = Net::cluster(3);
    net.set_short_of_memory(2, true);
    let client = net.tell(0, "ADDJOB q hello 0 REPLICATE 3");
    net.run(Millis(100));
    assert_eq!(net.jobs(), 2);
    net.hang_up(0, client);
    net.run(Millis(10));
    assert_eq!(net.jobs(), 0);
}

#[test]
fn a_job_whose_life_ends_while_it_waits_is_refused() {
    let mut net = Net::cluster(2);
    net.set_short_of_memory(1, true);
    let client = net.tell(0, "ADDJOB q hello 0 REPLICATE 2 TTL 1");
    let answer = net.await_answer(0, client, Millis(3000)).expect("it is told");
    assert_eq!(answer, "-NOREPL job removed (expired?) before the requested replication level was achieved");
    net.run(Millis(10));
    assert_eq!(net.jobs(), 0);
}

#[test]
fn more_copies_than_reachable_nodes_are_refused_at_once() {
    let mut net = Net::cluster(2);
    let answer = net.say(0, "ADDJOB q hello 0 REPLICATE 3");
    assert_eq!(answer, "-NOREPL Not enough reachable nodes for the requested replication level");
}

#[test]
fn asynchronous_copies_exist_a_moment_after_the_answer() {
    let mut net = Net::cluster(3);
    let client = net.tell(0, "ADDJOB q hello 0 REPLICATE 3 ASYNC");
    let answer = net.answer(0, client).expect("it is answered at once");
    net.run(Millis(10));
    let job = job_in(answer.trim_start_matches('+')).expect("an ID");
    assert_eq!(net.states(&job), ["queued", "active", "active"]);
}

#[test]
fn asynchronous_copies_that_were_lost_are_made_anew() {
    let mut net = Net::cluster(3);
    net.lose = Some(Box::new(|_, _, message| matches!(message, Message::ReplJob { .. })));
    let job = net.add_job(0, "ADDJOB q hello 0 REPLICATE 3 ASYNC");
    net.run(Millis(1000));
    assert_eq!(net.holders(&job), 1);
    net.lose = None;
    net.run(Millis(4000));
    assert_eq!(net.holders(&job), 3);
}

#[test]
fn a_delayed_job_is_queued_once_and_by_its_first_node() {
    let mut net = Net::cluster(3);
    let job = net.add_job(1, "ADDJOB q hello 1000 REPLICATE 3 DELAY 10 RETRY 60");
    assert_eq!(net.states(&job), ["active"; 3]);
    net.run(Millis(9_000));
    assert_eq!(net.states(&job), ["active"; 3]);
    net.run(Millis(1_100));
    assert_eq!(net.states(&job), ["active", "queued", "active"]);
    net.run(Millis(100_000));
    assert_eq!(net.states(&job), ["active", "queued", "active"]);
    assert_eq!(net.show(0, &job, "additional-deliveries"), Some("0".to_owned()));
}

#[test]
fn a_node_that_leaves_places_jobs_elsewhere_and_keeps_none() {
    let mut net = Net::cluster(3);
    assert_eq!(net.say(0, "CLUSTER LEAVING yes"), "+OK");
    net.run(Millis(100));
    for line in ["ADDJOB q hello 1000 REPLICATE 2 RETRY 60", "ADDJOB q hello 0 REPLICATE 2 RETRY 60 ASYNC"] {
        let job = net.add_job(0, line);
        net.run(Millis(10));
        let states = net.states(&job);
        assert_eq!(states[0], "-");
        assert_eq!(states.iter().filter(|state| *state == "queued").count(), 1, "{states:?}");
        assert_eq!(states.iter().filter(|state| *state == "active").count(), 1, "{states:?}");
    }
    let answer = net.say(0, "ADDJOB q hello 0 REPLICATE 3");
    assert!(answer.ends_with("for the following reason: I'm leaving the cluster"), "{answer}");
}

#[test]
fn an_at_most_once_job_that_is_placed_elsewhere_is_delivered() {
    // W4: RC1 returns an ID and never delivers.
    for rc1 in [false, true] {
        let mut net = Net::cluster(3);
        (1..3).for_each(|place| net.turn_rc1(place, rc1));
        net.say(0, "CLUSTER LEAVING yes");
        net.run(Millis(1000));
        for line in ["ADDJOB q hello 1000 REPLICATE 1 RETRY 0", "ADDJOB q hello 0 REPLICATE 1 RETRY 0 ASYNC"]
        {
            net.add_job(0, line);
            net.run(Millis(10));
            let taken: Vec<_> = (0..3).filter_map(|place| net.take(place, "q")).collect();
            net.run(Millis(1000));
            let later: Vec<_> = (0..3).filter_map(|place| net.take(place, "q")).collect();
            assert_eq!(taken.len() + later.len(), 1, "{line}, RC1 {rc1}");
        }
    }
}

#[test]
fn an_at_most_once_job_with_a_delay_that_is_placed_elsewhere_is_delivered_then() {
    // RC1 would queue it at once: found by the simulated cluster.
    for rc1 in [false, true] {
        let mut net = Net::cluster(2);
        net.turn_rc1(1, rc1);
        net.say(0, "CLUSTER LEAVING yes");
        net.run(Millis(1_000));
        net.add_job(0, "ADDJOB q hello 1000 REPLICATE 1 RETRY 0 DELAY 5");
        let client = net.tell(1, "GETJOB FROM q");
        net.run(Millis(4_900));
        assert_eq!(net.answer(1, client), None, "RC1 {rc1}");
        net.await_answer(1, client, Millis(40_000)).expect("its delay is over");
    }
}

#[test]
fn a_paused_queue_takes_no_copies() {
    let mut net = Net::cluster(2);
    assert_eq!(net.say(1, "PAUSE q in"), "+in");
    let client = net.tell(0, "ADDJOB q hello 300 REPLICATE 2");
    assert!(net.await_answer(0, client, Millis(1000)).is_some_and(|answer| answer.starts_with("-NOREPL")));
    assert_eq!(net.say(1, "PAUSE q none bcast"), "+none");
    assert_eq!(net.say(1, "PAUSE q in bcast"), "+in");
    net.run(Millis(10));
    assert_eq!(net.say(0, "ADDJOB q hello 300 REPLICATE 2"), "-PAUSED Queue paused in input, try later");
}

#[test]
fn a_late_copy_of_a_job_that_is_over_is_not_kept() {
    let mut net = Net::cluster(3);
    // The first REPLJOB to node 2 is overtaken by everything.
    let mut first = true;
    net.lose = Some(Box::new(move |_, to, message| {
        to == 2 && matches!(message, Message::ReplJob { .. }) && std::mem::take(&mut first)
    }));
    let job = net.add_job(0, "ADDJOB q hello 1000 REPLICATE 3 RETRY 60");
    net.lose = None;
    assert_eq!(net.say(0, &format!("ACKJOB {job}")), ":1");
    net.run(Millis(100));
    assert_eq!(net.jobs(), 0);
}

/// Found by the simulator (seed 1): the copies were told a delay of 68 years, since the node that keeps none has no time
/// for the job. Without ENQUEUE nobody ever queued it.
#[test]
fn a_job_that_its_node_does_not_keep_is_queued_even_if_enqueue_is_lost() {
    let mut net = Net::cluster(3);
    net.ask(0, ClusterRequest::SetLeaving(true));
    net.run(Millis(5000));
    net.lose = Some(Box::new(|_, _, message| message.name() == "ENQUEUE"));
    let job = net.add_job(0, "ADDJOB q hello 1000 REPLICATE 2 RETRY 10 ASYNC");
    net.run(Millis(9000));
    assert!(!net.states(&job).contains(&"queued".to_owned()), "RETRY after reception");
    net.run(Millis(3000));
    assert!(net.states(&job).contains(&"queued".to_owned()), "{:?}", net.states(&job));
}
