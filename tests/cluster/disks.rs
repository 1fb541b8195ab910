//! ADDJOB … SYNC: copies on the disks of all holders; and what waits for a disk.

use disque::bus::Message;
use disque::engine::{ClusterRequest, Control, Hold, Persistence};
use disque::types::Millis;

use crate::net::Net;

const FEW: &str = "-NOREPL Not enough reachable nodes that can put the job on their disks, as SYNC asks for; turn their \
                   append-only files on with appendonly yes, or lower REPLICATE";
const OFF: &str = "-ERR SYNC needs the append-only file, which is off at this node; turn it on with CONFIG SET appendonly yes";

#[test]
fn sync_needs_the_file_at_the_node_that_is_asked() {
    let mut net = Net::cluster(2);
    for replicate in [1, 2] {
        assert_eq!(net.say(0, &format!("ADDJOB q x 1000 REPLICATE {replicate} SYNC")), OFF);
    }
    // A file that is written once holds what was known then, and nothing that comes.
    net.control(0, Control::Persist(Persistence::Once));
    assert_eq!(net.say(0, "ADDJOB q x 1000 REPLICATE 1 SYNC"), OFF);
    net.control(0, Control::Persist(Persistence::On));
    net.add_job(0, "ADDJOB q x 1000 REPLICATE 1 SYNC");
    assert_eq!(net.nodes[0].last_reply, Hold::Disk);
    net.add_job(0, "ADDJOB q x 1000 REPLICATE 1");
    assert_eq!(net.nodes[0].last_reply, Hold::Policy);
}

#[test]
fn only_nodes_with_a_file_are_asked_for_copies_on_disk() {
    let mut net = Net::cluster(5);
    net.turn_files_on(&[0, 1, 3]);
    for _ in 0..20 {
        let job = net.add_job(0, "ADDJOB q x 1000 REPLICATE 3 SYNC RETRY 60");
        assert_eq!(net.states(&job), ["queued", "active", "-", "active", "-"]);
    }
    assert_eq!(net.say(0, "ADDJOB q x 1000 REPLICATE 4 SYNC"), FEW);
    let level = "-NOREPL Not enough reachable nodes for the requested replication level";
    assert_eq!(net.say(0, "ADDJOB q x 1000 REPLICATE 6 SYNC"), level);
    net.add_job(0, "ADDJOB q x 1000 REPLICATE 4");
}

#[test]
fn nodes_of_rc1_and_nodes_without_a_file_do_not_count() {
    let mut net = Net::cluster(3);
    net.turn_files_on(&[0, 1]);
    net.turn_rc1(1, true);
    assert_eq!(net.say(0, "ADDJOB q x 1000 REPLICATE 2 SYNC"), FEW);
    net.turn_rc1(1, false);
    net.add_job(0, "ADDJOB q x 1000 REPLICATE 2 SYNC");
    net.control(1, Control::Persist(Persistence::Off));
    net.run(Millis(16_000));
    assert_eq!(net.say(0, "ADDJOB q x 1000 REPLICATE 2 SYNC"), FEW);
}

#[test]
fn the_producer_waits_for_the_disk_of_every_holder() {
    for hangs in [0, 1] {
        let mut net = Net::cluster(2);
        net.turn_files_on(&[0, 1]);
        net.let_disk_hang(hangs, true);
        let client = net.tell(0, "ADDJOB q x 0 REPLICATE 2 SYNC RETRY 60");
        assert_eq!(net.await_answer(0, client, Millis(5_000)), None, "the disk of node {hangs} hangs");
        net.add_job(0, "ADDJOB q y 1000 REPLICATE 2 RETRY 60");
        net.let_disk_hang(hangs, false);
        let answer = net.await_answer(0, client, Millis(100)).expect("it is on both disks");
        assert!(answer.starts_with("+D-"), "{answer}");
    }
}

#[test]
fn a_holder_that_turned_its_file_off_is_replaced() {
    let mut net = Net::cluster(4);
    net.turn_files_on(&[0, 1, 2]);
    // The others do not know it yet.
    net.control(1, Control::Persist(Persistence::Off));
    for _ in 0..10 {
        let job = net.add_job(0, "ADDJOB q x 1000 REPLICATE 2 SYNC RETRY 60");
        assert_eq!(net.states(&job), ["queued", "-", "active", "-"]);
    }
}

#[test]
fn a_node_that_turns_its_own_file_off_meanwhile_cannot_promise_it() {
    let mut net = Net::cluster(2);
    net.turn_files_on(&[0, 1]);
    let client = net.tell(0, "ADDJOB q x 0 REPLICATE 2 SYNC RETRY 60");
    net.control(0, Control::Persist(Persistence::Off));
    assert_eq!(net.await_answer(0, client, Millis(1000)), Some(OFF.to_owned()));
    net.run(Millis(100));
    assert_eq!(net.jobs(), 0, "and no copy is left");
}

#[test]
fn a_node_that_keeps_no_copy_finds_disks_elsewhere() {
    let mut net = Net::cluster(4);
    net.turn_files_on(&[0, 1, 2]);
    net.ask(0, ClusterRequest::SetLeaving(true));
    let job = net.add_job(0, "ADDJOB q x 1000 REPLICATE 2 SYNC RETRY 60");
    net.run(Millis(100));
    let mut states = net.states(&job);
    assert_eq!((states.remove(0), states.remove(2)), ("-".to_owned(), "-".to_owned()));
    states.sort();
    assert_eq!(states, ["active", "queued"]);
    assert_eq!(net.say(0, "ADDJOB q x 1000 REPLICATE 3 SYNC"), FEW);
}

#[test]
fn what_is_confirmed_again_waits_like_the_first_time() {
    let mut net = Net::cluster(2);
    net.turn_files_on(&[0, 1]);
    let mut lost = false;
    net.lose = Some(Box::new(move |_, _, message| {
        let first = message.name() == "GOTJOB" && !lost;
        lost |= first;
        first
    }));
    let job = net.add_job(0, "ADDJOB q x 1000 REPLICATE 2 SYNC RETRY 60");
    assert_eq!(net.nodes[1].confirmed, [("GOTJOB", Hold::Disk), ("GOTJOB", Hold::Disk)]);
    net.nodes[1].confirmed.clear();
    let mut left = 2;
    net.lose = Some(Box::new(move |_, _, message| {
        let lose = matches!(message.name(), "GOTACK" | "DELJOB") && left > 0;
        left -= usize::from(lose);
        lose
    }));
    assert_eq!(net.say(0, &format!("ACKJOB {job}")), ":1");
    assert_eq!(net.say(0, &format!("ACKJOB {job}")), ":0");
    assert_eq!(net.nodes[0].last_reply, Hold::Policy, "it may be what the first one was not told");
    net.run(Millis(10_000));
    assert!(net.nodes[1].confirmed.len() > 1, "{:?}", net.nodes[1].confirmed);
    assert!(net.nodes[1].confirmed.iter().all(|(_, hold)| *hold == Hold::Policy));
}

#[test]
fn an_ordinary_copy_is_confirmed_without_asking_for_the_disk() {
    let mut net = Net::cluster(2);
    net.turn_files_on(&[0, 1]);
    net.lose = Some(Box::new(|_, _, message| {
        assert!(!matches!(message, Message::SyncJob { .. }));
        false
    }));
    net.add_job(0, "ADDJOB q x 1000 REPLICATE 2 RETRY 60");
    assert_eq!(net.nodes[1].confirmed, [("GOTJOB", Hold::Policy)]);
}

/// Found by the simulated cluster: the holder had not written down that it was to queue the job, and nobody else would.
#[test]
fn a_delayed_job_that_may_be_delivered_once_survives_the_restart_of_the_node_it_was_placed_with() {
    let mut net = Net::cluster(2);
    net.turn_files_on(&[1]);
    net.say(0, "CLUSTER LEAVING yes");
    net.run(Millis(2_000));
    let job = net.add_job(0, "ADDJOB q hello 1000 REPLICATE 1 RETRY 0 DELAY 20");
    net.run(Millis(1_000));
    assert_eq!(net.show(1, &job, "state").as_deref(), Some("active"));
    net.kill(1);
    let back = net.restart_from_file(1);
    net.run(Millis(15_000));
    assert_eq!(net.take(back, "q"), None, "its delay is not over");
    net.run(Millis(10_000));
    assert_eq!(net.take(back, "q"), Some(job));
}

/// Found by the simulated cluster: the disk was full. The node told the other holder to forget the job, lost power, and came
/// back with the job from before the acknowledgement.
#[test]
fn others_are_told_to_forget_only_what_this_node_will_not_remember_as_pending() {
    let mut net = Net::cluster(2);
    net.turn_files_on(&[0, 1]);
    let job = net.add_job(0, "ADDJOB q hello 1000 REPLICATE 2 RETRY 60");
    net.run(Millis(1_000));
    net.say(0, &format!("ACKJOB {job}"));
    net.run(Millis(1_000));
    assert_eq!(net.nodes[0].confirmed, [("DELJOB", Hold::Policy)]);
}

/// Found by the simulated cluster: a node made a copy elsewhere, lost power before it had stored where, and let the job be
/// forgotten when it was acknowledged, without that copy.
#[test]
fn a_copy_that_replaces_another_leaves_when_its_holder_will_be_remembered() {
    let mut net = Net::cluster(3);
    net.turn_files_on(&[0, 1, 2]);
    net.cut(0, 2);
    net.run(Millis(60_000));
    net.add_job(0, "ADDJOB q hello 1000 REPLICATE 2 RETRY 600");
    net.run(Millis(1_000));
    assert_eq!(net.nodes[0].confirmed, [], "its producer waits for the first copies");
    net.heal();
    net.kill(1);
    net.run(Millis(60_000));
    assert_eq!(net.nodes[0].confirmed, [("REPLJOB", Hold::Policy)]);
}
