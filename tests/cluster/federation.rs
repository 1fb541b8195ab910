//! Jobs flow to their consumers (job-lifecycle.md 11).

use disque::bus::{Counts, Message, Notice};
use disque::types::{JobId, Millis};

use crate::net::Net;
use crate::talk::job_in;

#[test]
fn a_blocked_consumer_is_served_from_another_node_within_some_round_trips() {
    // W19: in RC1 it may wait for the next question to everybody, up to 30 seconds.
    let mut net = Net::cluster(3);
    for wait in [10, 3_000, 70_000] {
        let client = net.tell(2, "GETJOB FROM q");
        net.run(Millis(wait));
        let begin = net.now;
        let job = net.add_job(0, "ADDJOB q hello 0 REPLICATE 1");
        let answer = net.await_answer(2, client, Millis(1000)).expect("it is served");
        assert_eq!(job_in(&answer), Some(job.clone()));
        assert!(
            net.now.since(begin) <= Millis(10),
            "after {wait} ms of waiting it took {:?}",
            net.now.since(begin)
        );
        net.say(2, &format!("ACKJOB {job}"));
        net.run(Millis(100));
        assert_eq!(net.jobs(), 0);
    }
}

#[test]
fn a_consumer_finds_what_already_waits_elsewhere() {
    let mut net = Net::cluster(3);
    let job = net.add_job(0, "ADDJOB q hello 0 REPLICATE 1");
    let client = net.tell(2, "GETJOB FROM q");
    let answer = net.await_answer(2, client, Millis(100)).expect("it is served");
    assert_eq!(job_in(&answer), Some(job));
}

#[test]
fn a_node_that_waits_for_jobs_of_rc1_asks_as_rc1_does() {
    let mut net = Net::cluster(2);
    net.turn_rc1(0, true);
    let client = net.tell(1, "GETJOB FROM q");
    net.run(Millis(100));
    let job = net.add_job(0, "ADDJOB q hello 0 REPLICATE 1");
    let answer =
        net.await_answer(1, client, Millis(5000)).expect("the second question comes after 4 s at most");
    assert_eq!(job_in(&answer), Some(job));
}

#[test]
fn an_imported_job_is_a_job_held() {
    let mut net = Net::cluster(2);
    let job = net.add_job(0, "ADDJOB q hello 0 REPLICATE 1 RETRY 3");
    let client = net.tell(1, "GETJOB FROM q");
    net.await_answer(1, client, Millis(100)).expect("it is served");
    for place in 0..2 {
        assert_eq!(net.show(place, &job, "nodes-delivered"), Some("2".to_owned()), "node {place}");
    }
    // The source does not deliver it while the worker holds it, and does when the worker's node is gone.
    net.run(Millis(2_900));
    assert_eq!(net.take(0, "q"), None);
    net.kill(1);
    net.run(Millis(4_000));
    assert_eq!(net.take(0, "q"), Some(job));
}

#[test]
fn an_at_most_once_job_leaves_its_source() {
    let mut net = Net::cluster(2);
    let job = net.add_job(0, "ADDJOB q hello 0 REPLICATE 1 RETRY 0");
    let client = net.tell(1, "GETJOB FROM q");
    net.await_answer(1, client, Millis(100)).expect("it is served");
    net.run(Millis(10));
    assert_eq!(net.states(&job), ["-", "active"]);
}

/// Found by the simulated cluster: what the source had said of it before arrived by an older connection, and took the job
/// from the only queue that it was in.
#[test]
fn an_at_most_once_job_stays_where_it_was_handed_to_whatever_its_source_had_said_before() {
    for (from, to) in [(0, 1), (1, 0)] {
        let mut net = Net::cluster(2);
        let jobs: Vec<String> =
            (0..20).map(|_| net.add_job(from, "ADDJOB q hello 0 REPLICATE 1 RETRY 0")).collect();
        let client = net.tell(to, "GETJOB FROM q");
        net.await_answer(to, client, Millis(100)).expect("it is served");
        net.run(Millis(10));
        let moved: Vec<&String> = jobs.iter().filter(|job| net.states(job)[to] == "queued").collect();
        assert!(moved.len() > 3, "others came with it");
        for job in &moved {
            assert_eq!(net.show(to, job, "nodes-delivered"), Some("1".to_owned()));
            let id = JobId::parse(job.as_bytes()).expect("an ID");
            let notice = Notice::Queued { counts: Counts::NONE, totals: None };
            let (header, ip) = (net.nodes[from].engine.header(), net.nodes[from].ip);
            net.inject(to, ip, &header, Message::Notice { job: id, notice });
        }
        assert_eq!(net.say(to, "QLEN q"), format!(":{}", moved.len()));
    }
}

#[test]
fn one_question_does_not_empty_a_queue() {
    let mut net = Net::cluster(2);
    for _ in 0..10 {
        net.add_job(0, "ADDJOB q hello 0 REPLICATE 1");
    }
    let client = net.tell(1, "GETJOB FROM q");
    net.await_answer(1, client, Millis(100)).expect("it is served");
    net.run(Millis(5));
    // One for the client, and then, for those who may come, half of what is left.
    assert_eq!(net.say(0, "QLEN q"), ":5");
}

#[test]
fn a_consumer_elsewhere_drains_a_queue_without_pauses() {
    let mut net = Net::cluster(3);
    for _ in 0..500 {
        net.add_job(0, "ADDJOB q hello 0 REPLICATE 1 RETRY 600");
    }
    let begin = net.now;
    for _ in 0..500 {
        let client = net.tell(1, "GETJOB FROM q");
        let answer = net.await_answer(1, client, Millis(1000)).expect("it is served");
        let job = job_in(&answer).expect("a job");
        net.say(1, &format!("ACKJOB {job}"));
    }
    assert!(net.now.since(begin) < Millis(3_000), "{:?}", net.now.since(begin));
    net.run(Millis(5_000));
    assert_eq!(net.jobs(), 0);
}

#[test]
fn a_queue_that_is_paused_in_output_gives_nothing_away() {
    let mut net = Net::cluster(2);
    net.add_job(0, "ADDJOB q hello 0 REPLICATE 1");
    net.say(0, "PAUSE q out");
    let client = net.tell(1, "GETJOB FROM q");
    assert_eq!(net.await_answer(1, client, Millis(1000)), None);
    net.say(0, "PAUSE q none");
    assert!(net.await_answer(1, client, Millis(100)).is_some(), "it is told when the pause ends");
}

#[test]
fn a_leaving_node_does_not_ask_but_gives() {
    let mut net = Net::cluster(2);
    let job = net.add_job(0, "ADDJOB q hello 0 REPLICATE 1");
    net.say(0, "CLUSTER LEAVING yes");
    net.run(Millis(100));
    assert!(net.say(0, "GETJOB FROM empty").starts_with("-LEAVING"));
    let client = net.tell(1, "GETJOB FROM q");
    let answer = net.await_answer(1, client, Millis(1000)).expect("it is drained by others");
    assert_eq!(job_in(&answer), Some(job));
}

#[test]
fn a_job_does_not_leave_when_there_is_no_way_to_the_one_who_asks() {
    // Defect 8: RC1 takes it out of the queue and loses it.
    let mut net = Net::cluster(2);
    let job = net.add_job(0, "ADDJOB q hello 0 REPLICATE 1 RETRY 0");
    net.cut_link(0, 1);
    net.tell(1, "GETJOB FROM q");
    net.run(Millis(5));
    assert_eq!(net.take(0, "q"), Some(job));
}

#[test]
fn waiting_for_ten_minutes_makes_no_burst_of_questions() {
    // Defect 18: RC1's pause overflows after some nine minutes.
    let mut net = Net::cluster(2);
    net.tell(1, "GETJOB FROM q");
    net.run(Millis(600_000));
    assert!(net.delivered["NEEDJOBS"] < 30, "{}", net.delivered["NEEDJOBS"]);
}

#[test]
fn the_import_rate_is_shown() {
    let mut net = Net::cluster(2);
    for _ in 0..20 {
        net.add_job(0, "ADDJOB q hello 0 REPLICATE 1");
    }
    let client = net.tell(1, "GETJOB COUNT 3 FROM q");
    net.await_answer(1, client, Millis(1000)).expect("it is served");
    let stat = net.say(1, "QSTAT q");
    assert!(stat.contains("import-rate :20"), "{stat}");
}

/// Found by the simulated cluster: the server stopped, since the row of the node was free.
#[test]
fn a_queue_tells_no_forgotten_node_among_those_it_imports_from() {
    let mut net = Net::cluster(2);
    let job = net.add_job(1, "ADDJOB q hello 1000 REPLICATE 1");
    let client = net.tell(0, "GETJOB FROM q");
    let answer = net.await_answer(0, client, Millis(1_000)).expect("it comes from the other node");
    assert!(answer.contains(&job), "{answer}");
    assert!(net.say(0, "QSTAT q").contains(&net.nodes[1].engine.me().to_string()));
    net.say(0, &format!("ACKJOB {job}"));
    net.run(Millis(1_000));
    let other = net.nodes[1].engine.me();
    net.forget(0, other);
    net.run(Millis(500));
    assert!(!net.say(0, "QSTAT q").contains(&other.to_string()));
}
