//! What goes wrong in the middle of something else: nodes forgotten while a producer waits, acknowledgements where nobody
//! expects them, nodes that come back without their jobs.

use std::borrow::Cow;

use disque::bus::{Message, Notice};
use disque::types::{BodyArg, Ctime, JobId, JobImage, Millis, NodeId, Span32, UnixMillis};

use crate::net::{Net, id};
use crate::talk::job_in;

#[test]
fn a_node_may_be_forgotten_while_a_producer_waits_for_its_copy() {
    let mut net = Net::cluster(4);
    net.set_short_of_memory(2, true);
    net.set_short_of_memory(3, true);
    let client = net.tell(0, "ADDJOB q hello 0 REPLICATE 3");
    net.run(Millis(300));
    net.kill(2);
    net.forget(0, id(3));
    net.run(Millis(5_000));
    net.set_short_of_memory(3, false);
    let answer = net.await_answer(0, client, Millis(5_000)).expect("the fourth node keeps the third copy");
    let job = job_in(answer.trim_start_matches('+')).expect("an ID");
    assert_eq!(net.show(0, &job, "nodes-delivered"), Some("3".to_owned()));
}

#[test]
fn an_acknowledgement_at_the_node_whose_producer_waits_answers_the_producer() {
    // Defect 5: in RC1 the producer never gets its ID.
    let mut net = Net::cluster(3);
    net.set_short_of_memory(2, true);
    let client = net.tell(0, "ADDJOB q hello 0 REPLICATE 3 RETRY 1");
    net.run(Millis(3_000));
    let job = net.take(1, "q").expect("the safety net");
    assert_eq!(net.say(0, &format!("ACKJOB {job}")), ":1");
    assert_eq!(net.await_answer(0, client, Millis(1000)), Some(format!("+{job}")));
    net.run(Millis(10_000));
    assert_eq!(net.jobs(), 0);
}

#[test]
fn an_acknowledgement_of_an_unknown_job_ends_when_a_holder_has_taken_over() {
    let mut net = Net::cluster(4);
    let job = net.add_job(0, "ADDJOB q hello 0 REPLICATE 1 RETRY 600");
    // Node 3 does not know the job, and its question to node 0 is lost; then node 0 learns it otherwise.
    net.lose = Some(Box::new(|from, _, message| {
        from == 3 && matches!(message, Message::Notice { notice: Notice::SetAck { .. }, .. })
    }));
    net.say(3, &format!("ACKJOB {job}"));
    net.cut(1, 0);
    net.say(0, &format!("ACKJOB {job}"));
    net.lose = None;
    net.heal();
    net.run(Millis(10_000));
    assert_eq!(net.jobs(), 0, "{:?}", net.states(&job));
}

#[test]
fn a_dummy_that_hears_of_the_real_job_does_not_become_half_of_it() {
    let mut net = Net::cluster(3);
    let job = net.add_job(0, "ADDJOB q hello 1000 REPLICATE 2 RETRY 600");
    let outsider = (1..3).find(|place| net.show(*place, &job, "state").is_none()).expect("no copy");
    net.lose = Some(Box::new(move |from, _, _| from == outsider));
    net.say(outsider, &format!("ACKJOB {job}"));
    // The holder tells it of a copy, and of an acknowledgement with its own list.
    net.lose = None;
    net.say(0, &format!("ACKJOB {job}"));
    net.run(Millis(10_000));
    assert_eq!(net.jobs(), 0, "{:?}", net.states(&job));
}

#[test]
fn a_delay_counts_from_the_command_and_not_from_the_copies() {
    let mut net = Net::cluster(2);
    net.set_short_of_memory(1, true);
    let begin = net.now;
    let client = net.tell(0, "ADDJOB q hello 0 REPLICATE 2 TTL 10 DELAY 9 RETRY 60");
    net.run(Millis(3_000));
    net.set_short_of_memory(1, false);
    assert!(net.await_answer(0, client, Millis(1000)).is_some());
    net.run_until(Millis(9_000), |net| net.take(0, "q").is_some()).expect("it is delivered in its life");
    assert!(net.now.since(begin) <= Millis(9_010), "{:?}", net.now.since(begin));
}

#[test]
fn a_client_that_waited_before_there_was_a_cluster_is_served_by_it() {
    let mut net = Net::of(2);
    let client = net.tell(1, "GETJOB FROM q");
    let job = net.add_job(0, "ADDJOB q hello 0 REPLICATE 1");
    net.run(Millis(1000));
    net.meet(0, 1);
    let answer = net.await_answer(1, client, Millis(3_000)).expect("it is served");
    assert_eq!(job_in(&answer), Some(job));
}

#[test]
fn a_job_is_offered_to_the_next_when_the_first_who_was_told_needs_it_no_more() {
    let mut net = Net::cluster(3);
    let (one, other) = (net.tell(1, "GETJOB FROM q"), net.tell(2, "GETJOB FROM q"));
    net.run(Millis(5_000));
    // Whoever is told first, its client has just gone.
    let mut told = None;
    net.lose = Some(Box::new(move |_, to, message| {
        matches!(message, Message::HaveJobs { .. }) && *told.get_or_insert(to) == to
    }));
    net.add_job(0, "ADDJOB q hello 0 REPLICATE 1");
    let begin = net.now;
    let served = |net: &mut Net| {
        [(1, one), (2, other)].into_iter().any(|(place, client)| net.answer(place, client).is_some())
    };
    net.run_until(Millis(1_000), served).expect("the other is served");
    assert!(net.now.since(begin) <= Millis(100), "{:?}", net.now.since(begin));
}

#[test]
fn strangers_among_the_holders_take_no_rows_for_ever() {
    let mut net = Net::cluster(2);
    // Three clusters of jobs whose holders nobody here knows.
    for round in 0..5 {
        for stranger in 0..8 {
            let node = id(1000 + round * 8 + stranger);
            let job = copy_of_job(round * 8 + stranger, net.now + Millis(60_000), vec![id(1), node]);
            let (header, from) = (net.nodes[0].engine.header(), net.nodes[0].ip);
            net.inject(1, from, &header, Message::ReplJob { job, no_reply: true });
        }
        assert_eq!(net.nodes[1].engine.job_count(), 8, "round {round}");
        net.run(Millis(70_000));
        assert_eq!(net.nodes[1].engine.job_count(), 0, "their lives are over");
    }
    // There is room for as many members as ever.
    (1..63).for_each(|n| {
        let node = net.add_node(n + 10, disque::engine::EngineSettings::default());
        net.meet(node, 1);
    });
    net.run(Millis(20_000));
    assert_eq!(net.members(1).len(), 63);
}

/// A copy of a job that an unknown number of nodes may hold.
fn copy_of_job(number: usize, expires_at: UnixMillis, nodes: Vec<NodeId>) -> JobImage<'static> {
    let mut random = [7; 18];
    random[..8].copy_from_slice(&number.to_be_bytes());
    JobImage {
        id: JobId::new([1, 2, 3, 4], random, Millis(60_000), true),
        state: 1,
        flags: 0,
        replicate: 2,
        expires_at,
        ctime: Ctime(number as u64),
        delay: Span32::ZERO,
        retry: Span32::new(Millis(600_000)),
        nacks: 0,
        additional_deliveries: 0,
        queue: Cow::Borrowed(b"q"),
        body: BodyArg::Owned(b"hello".to_vec()),
        nodes: Cow::Owned(nodes),
    }
}

#[test]
fn a_worker_keeps_its_job_when_a_half_that_queued_it_comes_back() {
    let mut net = Net::cluster(2);
    let job = net.add_job(0, "ADDJOB q hello 1000 REPLICATE 2 RETRY 5");
    assert_eq!(net.take(0, "q"), Some(job.clone()));
    net.cut(0, 1);
    net.cut(1, 0);
    net.run(Millis(4_000));
    assert_eq!(net.say(0, &format!("WORKING {job}")), ":5");
    net.run(Millis(3_000));
    assert_eq!(net.states(&job), ["active", "queued"], "the other half did not hear");
    assert_eq!(net.say(0, &format!("WORKING {job}")), ":5");
    net.heal();
    net.run(Millis(1_500));
    net.say(0, &format!("WORKING {job}"));
    net.run_until(Millis(9_000), |net| net.states(&job) == ["active", "active"]).expect("one delivery");
}

#[test]
fn a_lease_is_told_to_a_half_that_queued_the_job_when_it_comes_back() {
    let mut net = Net::cluster(2);
    let job = net.add_job(0, "ADDJOB q hello 1000 REPLICATE 2 RETRY 30");
    assert_eq!(net.take(0, "q"), Some(job.clone()));
    net.cut(0, 1);
    net.cut(1, 0);
    net.run(Millis(29_000));
    assert_eq!(net.say(0, &format!("WORKING {job}")), ":30");
    net.run(Millis(3_000));
    assert_eq!(net.states(&job), ["active", "queued"], "the other half did not hear");
    net.heal();
    net.run(Millis(10_000));
    assert_eq!(net.states(&job), ["active", "active"], "the worker still has it");
}

#[test]
fn a_retry_of_milliseconds_makes_no_duplicates_while_the_job_waits() {
    for retry in ["1ms", "10ms", "100ms"] {
        let mut net = Net::cluster(3);
        let job = net.add_job(0, &format!("ADDJOB q hello 1000 REPLICATE 3 RETRY {retry}"));
        for _ in 0..300 {
            net.run(Millis(97));
            assert_eq!(net.states(&job), ["queued", "active", "active"], "RETRY {retry}");
        }
        assert_eq!(net.show(0, &job, "additional-deliveries"), Some("0".to_owned()));
    }
}

#[test]
fn an_asynchronous_job_that_nobody_else_takes_is_kept_where_it_was_added() {
    // RC1 returns an ID and keeps nothing when all nodes are above 75 % of their memory.
    let mut net = Net::cluster(3);
    (0..3).for_each(|place| net.set_short_of_memory(place, true));
    for line in [
        "ADDJOB q hello 0 REPLICATE 1 RETRY 60 ASYNC",
        "ADDJOB q hello 0 REPLICATE 2 RETRY 60 ASYNC",
        "ADDJOB q hello 0 REPLICATE 1 RETRY 0 ASYNC",
    ] {
        let job = net.add_job(0, line);
        net.run(Millis(5_000));
        assert_eq!(net.take(0, "q"), Some(job), "{line}");
    }
}

#[test]
fn a_node_that_is_back_without_its_jobs_gets_copies_again() {
    let mut net = Net::cluster(3);
    let jobs: Vec<String> =
        (0..10).map(|_| net.add_job(0, "ADDJOB q hello 1000 REPLICATE 3 RETRY 600")).collect();
    let taken = net.take(0, "q").expect("one is with a worker");
    let delayed = net.add_job(0, "ADDJOB q hello 1000 REPLICATE 3 RETRY 600 DELAY 900");
    // One after the other is restarted, as for an upgrade; none has a disk for jobs.
    net.kill(1);
    net.run(Millis(200));
    net.restart(1);
    net.run(Millis(5_000));
    for job in jobs.iter().chain([&taken, &delayed]) {
        assert_eq!(net.holders(job), 3, "{:?}", net.states(job));
    }
}
