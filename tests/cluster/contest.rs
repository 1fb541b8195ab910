//! One delivery: WILLQUEUE, QUEUED, WORKING (job-lifecycle.md 8).

use disque::types::Millis;

use crate::net::Net;

/// How many deliveries a worker at node 0 sees that takes jobs from `q` and works on each for ever, in a time.
fn deliveries(net: &mut Net, span: Millis) -> usize {
    let end = net.now + span;
    let mut count = 0;
    while net.now < end {
        for place in 0..net.nodes.len() {
            if net.nodes[place].up {
                count += usize::from(net.take(place, "q").is_some());
            }
        }
        net.run(Millis(50));
    }
    count
}

#[test]
fn a_job_that_waits_is_queued_at_one_node_however_long() {
    let mut net = Net::cluster(3);
    let job = net.add_job(0, "ADDJOB q hello 1000 REPLICATE 3 RETRY 2");
    for _ in 0..50 {
        net.run(Millis(700));
        assert_eq!(net.states(&job), ["queued", "active", "active"]);
    }
    assert_eq!(net.show(0, &job, "additional-deliveries"), Some("0".to_owned()));
    assert!(net.delivered["WILLQUEUE"] > 10);
}

#[test]
fn the_lease_starts_at_delivery_on_all_nodes() {
    // W1: RC1 delivers a job again soon after it was handed out, if it had waited.
    for waits in [0, 500, 1000, 1900, 2500, 3900] {
        let mut net = Net::cluster(3);
        let job = net.add_job(0, "ADDJOB q hello 1000 REPLICATE 3 RETRY 4");
        net.run(Millis(waits));
        assert_eq!(net.take(0, "q"), Some(job.clone()));
        let begin = net.now;
        assert_eq!(deliveries(&mut net, Millis(3_900)), 0, "waited {waits} ms");
        net.run_until(Millis(2_000), |net| net.take(0, "q").is_some() || net.take(1, "q").is_some())
            .unwrap_or_else(|| panic!("it comes back after its retry: {:?}", net.states(&job)));
        assert!(net.now.since(begin) >= Millis(4_000));
    }
}

#[test]
fn working_keeps_a_job_from_coming_back() {
    let mut net = Net::cluster(3);
    let job = net.add_job(0, "ADDJOB q hello 1000 REPLICATE 3 RETRY 2");
    assert_eq!(net.take(0, "q"), Some(job.clone()));
    for turn in 0..20 {
        net.run(Millis(1500));
        // Any node that knows the job may be told.
        assert_eq!(net.say(turn % 3, &format!("WORKING {job}")), ":2");
        assert_eq!(net.states(&job), ["active"; 3]);
    }
    assert_eq!(deliveries(&mut net, Millis(1_900)), 0);
    assert_eq!(deliveries(&mut net, Millis(2_000)), 1);
}

#[test]
fn when_the_node_of_the_worker_dies_another_delivers_the_job() {
    let mut net = Net::cluster(3);
    let job = net.add_job(0, "ADDJOB q hello 1000 REPLICATE 3 RETRY 3");
    assert_eq!(net.take(0, "q"), Some(job));
    net.kill(0);
    net.run(Millis(2_000));
    assert_eq!(deliveries(&mut net, Millis(2_500)), 1);
}

/// How many jobs of `q` workers of each node have. A queue is there to be asked about.
fn in_flight(net: &mut Net) -> Vec<String> {
    let of = |net: &mut Net, place| {
        net.say(place, "PAUSE q out");
        let stat = net.say(place, "QSTAT q");
        net.say(place, "PAUSE q none");
        stat.split("in-flight :").nth(1).map(str::to_owned).unwrap_or(stat)
    };
    (0..net.nodes.len()).map(|place| of(net, place)).collect()
}

#[test]
fn a_job_is_in_flight_where_its_worker_is() {
    let mut net = Net::cluster(3);
    let job = net.add_job(0, "ADDJOB q hello 1000 REPLICATE 3 RETRY 2");
    assert_eq!(in_flight(&mut net), ["0", "0", "0"]);
    assert_eq!(net.take(0, "q"), Some(job.clone()));
    net.run(Millis(500));
    assert_eq!(in_flight(&mut net), ["1", "0", "0"]);
    // The worker's node is gone, or it goes to another one at least.
    net.say(1, &format!("WORKING {job}"));
    net.run(Millis(500));
    assert_eq!(in_flight(&mut net), ["0", "1", "0"]);
    net.run(Millis(10_000));
    assert_eq!(in_flight(&mut net), ["0", "0", "0"], "{:?}", net.states(&job));
    let at = (0..3).find(|place| net.take(*place, "q").is_some()).expect("it was queued again");
    assert_eq!(in_flight(&mut net)[at], "1");
    assert_eq!(net.say((at + 1) % 3, &format!("ACKJOB {job}")), ":1");
    net.run(Millis(5_000));
    assert_eq!((net.jobs(), in_flight(&mut net)), (0, vec!["0".to_owned(); 3]));
}

#[test]
fn a_nacked_job_is_delivered_again_at_once_and_counted_everywhere() {
    let mut net = Net::cluster(3);
    let job = net.add_job(0, "ADDJOB q hello 1000 REPLICATE 3 RETRY 60");
    for round in 1..4 {
        assert_eq!(net.take(0, "q"), Some(job.clone()));
        assert_eq!(net.say(0, &format!("NACK {job}")), ":1");
        net.run(Millis(10));
        for place in 0..3 {
            assert_eq!(net.show(place, &job, "nacks"), Some(round.to_string()));
        }
    }
}

#[test]
fn counts_that_a_cut_link_lost_are_made_up() {
    // W20: RC1 counts messages, and loses what it does not hear.
    let mut net = Net::cluster(2);
    let job = net.add_job(0, "ADDJOB q hello 1000 REPLICATE 2 RETRY 60");
    net.cut(0, 1);
    for _ in 0..3 {
        assert_eq!(net.take(0, "q"), Some(job.clone()));
        assert_eq!(net.say(0, &format!("NACK {job}")), ":1");
    }
    net.run(Millis(100));
    assert_eq!(net.show(1, &job, "nacks"), Some("0".to_owned()));
    net.heal();
    assert_eq!(net.take(0, "q"), Some(job.clone()));
    assert_eq!(net.say(0, &format!("NACK {job}")), ":1");
    net.run(Millis(100));
    assert_eq!(net.show(1, &job, "nacks"), Some("4".to_owned()));
}

#[test]
fn two_halves_that_queued_a_job_agree_on_one_when_they_meet_again() {
    let mut net = Net::cluster(2);
    let job = net.add_job(0, "ADDJOB q hello 1000 REPLICATE 2 RETRY 2");
    net.cut(0, 1);
    net.cut(1, 0);
    net.run(Millis(4_000));
    assert_eq!(net.states(&job), ["queued", "queued"]);
    net.heal();
    net.run(Millis(5_000));
    let states = net.states(&job);
    assert_eq!(states.iter().filter(|state| *state == "queued").count(), 1, "{states:?}");
}

#[test]
fn a_mixed_cluster_delivers_once_too() {
    for rc1 in [0, 1, 2] {
        let mut net = Net::cluster(3);
        net.turn_rc1(rc1, true);
        let job = net.add_job(0, "ADDJOB q hello 1000 REPLICATE 3 RETRY 2");
        net.run(Millis(30_000));
        assert_eq!(net.states(&job), ["queued", "active", "active"], "RC1 at {rc1}");
        assert_eq!(net.take(0, "q"), Some(job.clone()));
        assert_eq!(deliveries(&mut net, Millis(1_900)), 0);
        assert_eq!(net.say(1, &format!("ACKJOB {job}")), ":1");
        net.run(Millis(5_000));
        assert_eq!(net.jobs(), 0, "{:?}", net.states(&job));
    }
}
