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
fn a_dummy_that_hears_of_the_real_job_does_not_become_half_of_it() {
    let notices = [
        (Notice::SetAck { nodes_known: 2, digest: 0 }, false),
        (Notice::SetAck { nodes_known: 2, digest: 77 }, false),
        (Notice::GotJob, true),
        (Notice::WillQueue, true),
    ];
    for (notice, stays) in notices {
        let mut net = Net::cluster(3);
        net.kill(1);
        net.say(2, "ACKJOB D-01234567-abcdefghijklmnopqrstuvwx-05a1");
        net.run(Millis(10));
        assert_eq!(net.nodes[2].engine.job_count(), 1, "the dead may know it");
        let job = JobId::parse(b"D-01234567-abcdefghijklmnopqrstuvwx-05a1").expect("an ID");
        let (header, from) = (net.nodes[0].engine.header(), net.nodes[0].ip);
        net.inject(2, from, &header, Message::Notice { job, notice });
        assert_eq!(net.nodes[2].engine.job_count(), usize::from(stays), "{notice:?}");
    }
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

#[test]
fn evicted_acknowledgements_are_remembered_for_a_while() {
    // W12: in RC1 whoever was away delivers the job again.
    let mut net = Net::cluster(3);
    let job = net.add_job(0, "ADDJOB q hello 1000 REPLICATE 3 RETRY 30");
    for place in [0, 1] {
        net.cut(place, 2);
        net.cut(2, place);
    }
    assert_eq!(net.say(0, &format!("ACKJOB {job}")), ":1");
    net.run(Millis(1_000));
    for place in [0, 1] {
        net.set_short_of_memory(place, true);
        net.control(place, disque::engine::Control::ShellMemory(1 << 20));
        net.say(place, "QLEN q");
        assert_eq!(net.nodes[place].engine.job_count(), 0, "it is evicted");
    }
    net.heal();
    net.run(Millis(50_000));
    assert_eq!(net.take(2, "q"), None);
    assert_eq!(net.jobs(), 0);
}

#[test]
fn half_of_a_life_is_counted_without_the_clock_of_another_node() {
    // W7: RC1 compares its clock with that of the node that made the job.
    for ahead in [0, 1] {
        let mut net = Net::of(2);
        net.nodes[ahead].skew = Millis(600_000);
        net.meet(0, 1);
        net.run(Millis(10_000));
        let job = net.add_job(0, "ADDJOB q hello 1000 REPLICATE 2 RETRY 60 TTL 600");
        net.run(Millis(290_000));
        assert_eq!(net.say(1, &format!("WORKING {job}")), ":60", "clock {ahead} is ahead");
        net.run(Millis(20_000));
        assert!(net.say(1, &format!("WORKING {job}")).starts_with("-TOOLATE"), "clock {ahead} is ahead");
    }
}

#[test]
fn who_leaves_while_a_producer_waits_still_keeps_his_word() {
    // Defect 27: RC1 refuses the job, although it was about to be copied.
    let mut net = Net::cluster(3);
    net.set_short_of_memory(2, true);
    let client = net.tell(0, "ADDJOB q hello 0 REPLICATE 3 RETRY 60");
    net.run(Millis(200));
    assert_eq!(net.say(0, "CLUSTER LEAVING yes"), "+OK");
    net.set_short_of_memory(2, false);
    assert!(net.await_answer(0, client, Millis(2_000)).is_some_and(|answer| answer.starts_with("+D-")));
}

#[test]
fn imported_jobs_are_delivered_in_the_order_of_their_creation() {
    let mut net = Net::cluster(2);
    let old: Vec<String> = (0..3).map(|_| net.add_job(0, "ADDJOB q old 0 REPLICATE 1 RETRY 600")).collect();
    net.run(Millis(10));
    net.say(1, "PAUSE q out");
    let young = net.add_job(1, "ADDJOB q young 0 REPLICATE 1 RETRY 600");
    let client = net.tell(1, "GETJOB TIMEOUT 100 FROM q");
    net.await_answer(1, client, Millis(200));
    assert_eq!(net.say(1, "QLEN q"), ":2", "one was imported");
    net.say(1, "PAUSE q none");
    assert_eq!([net.take(1, "q"), net.take(1, "q")], [Some(old[0].clone()), Some(young)]);
}

#[test]
fn duties_are_done_with_rc1_peers_too() {
    for rc1 in [1, 2] {
        let mut net = Net::cluster(3);
        net.turn_rc1(rc1, true);
        // Consumed elsewhere, given back, worked on, and acknowledged where it was consumed.
        let job = net.add_job(0, "ADDJOB q hello 1000 REPLICATE 2 RETRY 5");
        let client = net.tell(rc1, "GETJOB TIMEOUT 20000 FROM q");
        let answer = net.await_answer(rc1, client, Millis(20_000)).expect("it is served");
        assert_eq!(job_in(&answer), Some(job.clone()));
        assert_eq!(net.say(rc1, &format!("NACK {job}")), ":1");
        assert_eq!(net.take(rc1, "q"), Some(job.clone()));
        for _ in 0..4 {
            net.run(Millis(3_000));
            assert_eq!(net.say(rc1, &format!("WORKING {job}")), ":5");
            assert!((0..3).all(|place| net.take(place, "q").is_none()));
        }
        assert_eq!(net.say(rc1, &format!("ACKJOB {job}")), ":1");
        net.run(Millis(20_000));
        assert_eq!(net.jobs(), 0, "RC1 at {rc1}: {:?}", net.states(&job));
        // Pausing everywhere.
        assert_eq!(net.say(0, "PAUSE p in bcast"), "+in");
        net.run(Millis(10));
        assert!(net.say(rc1, "ADDJOB p hello 0 REPLICATE 1").starts_with("-PAUSED"));
    }
}

#[test]
fn nothing_that_is_said_grows_with_time() {
    // Two workers hold one job at two nodes, each sure that it is his; and nobody acknowledges anything.
    let mut net = Net::cluster(2);
    let job = net.add_job(0, "ADDJOB q hello 1000 REPLICATE 2 RETRY 2");
    net.cut(0, 1);
    net.cut(1, 0);
    net.run(Millis(5_000));
    assert_eq!([net.take(0, "q"), net.take(1, "q")], [Some(job.clone()), Some(job.clone())]);
    net.heal();
    let mut last = None;
    for _ in 0..5 {
        net.delivered.clear();
        net.run(Millis(60_000));
        let said: usize = ["WILLQUEUE", "QUEUED", "WORKING", "HOLDERS", "REPLJOB", "GOTJOB"]
            .iter()
            .filter_map(|name| net.delivered.get(name))
            .sum();
        assert!(said < 150 && last.is_none_or(|last| said <= last + 20), "{said}, before {last:?}");
        last = Some(said);
    }
    assert_eq!(net.states(&job).iter().filter(|state| *state == "queued").count(), 1, "it comes back, once");
}

#[test]
fn a_delivered_at_most_once_job_that_a_peer_wants_queued_later_keeps_nobody_busy() {
    let mut net = Net::cluster(2);
    let text = net.add_job(0, "ADDJOB q hello 0 REPLICATE 1 RETRY 0");
    assert_eq!(net.take(0, "q"), Some(text.clone()));
    let job = JobId::parse(text.as_bytes()).expect("an ID");
    let (header, from) = (net.nodes[1].engine.header(), net.nodes[1].ip);
    let notice = Notice::Enqueue { delay: Span32::new(Millis(2_000)) };
    net.inject(0, from, &header, Message::Notice { job, notice });
    net.skip(Millis(3_000));
    let engine = &mut net.nodes[0].engine;
    for _ in 0..20 {
        engine.advance(net.now, &mut disque::engine::Effects::new());
    }
    assert!(engine.next_deadline().is_some_and(|at| at > net.now), "there is nothing more to do now");
    assert_eq!(net.take(0, "q"), None);
}
