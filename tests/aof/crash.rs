//! The process killed, or the power cut, at every call: nothing that was confirmed is lost or comes back.

use disque::aof::{Health, Seq, SyncPolicy};

use crate::Chance;
use crate::node::{Node, load};
use crate::sim_disk::{Fault, SimDisk};

/// A history of changes and rewrites, the same for a seed. Ends early if the machine stops.
fn live(node: &mut Node, seed: u64, turns: u32) {
    let mut chance = Chance(seed);
    for _ in 0..turns {
        for _ in 0..chance.draw(6) {
            let job = chance.draw(40) as u32;
            if chance.draw(3) == 0 { node.forget(job) } else { node.put(job) }
        }
        node.turn(chance.draw(700));
        match chance.draw(12) {
            0 if !node.is_rewriting() => {
                node.begin_rewrite();
            }
            _ if node.is_rewriting() => {
                node.go_on(8);
            }
            _ => {}
        }
        if node.disk.is_stopped() {
            return;
        }
    }
}

fn start(disk: &SimDisk, policy: SyncPolicy) -> Node {
    Node::start(disk, policy).expect("an empty disk can be used").0
}

const POLICIES: [SyncPolicy; 3] = [SyncPolicy::Always, SyncPolicy::EverySecond, SyncPolicy::No];

#[test]
fn stopped_at_any_call_it_knows_what_was_confirmed() {
    let (mut points, mut images) = (0_u64, 0_u64);
    for (seed, policy) in (0..6).flat_map(|seed| POLICIES.map(|policy| (seed, policy))) {
        let whole = SimDisk::new();
        live(&mut start(&whole, policy), seed, 60);
        for call in 0..whole.calls() {
            let disk = SimDisk::new();
            let mut node = match Node::start(&stop_at(&disk, call), policy) {
                Ok((node, _)) => node,
                Err(_) => {
                    assert!(disk.is_stopped());
                    continue;
                }
            };
            live(&mut node, seed, 60);
            assert!(disk.is_stopped(), "the same history has the same calls");
            let what = format!("seed {seed}, {policy:?}, stopped at call {call}");
            let progress = node.writer.progress();
            check(&node, progress.written, &disk.after_kill(), &format!("{what}, killed"));
            let mut chance = Chance(seed << 32 | call);
            for cut in 0..10 {
                let after = disk.after_power_cut(|below| chance.draw(below));
                check(&node, progress.durable, &after, &format!("{what}, power cut {cut}"));
                images += 1;
            }
            points += 1;
        }
    }
    assert!(points > 1500 && images > 15_000, "{points} points, {images} images");
}

fn stop_at(disk: &SimDisk, call: u64) -> SimDisk {
    disk.fault_at(call, Fault::Stop);
    disk.clone()
}

fn check(node: &Node, confirmed: Seq, after: &SimDisk, what: &str) {
    let (found, ready) = load(after, true).unwrap_or_else(|error| panic!("{what}: {error}"));
    node.expect(confirmed, &found).unwrap_or_else(|error| panic!("{what}: {error}"));
    let damages = ready.summary.damage_count;
    assert!(damages == 0 || node.writer.progress().durable < node.writer.progress().written, "{what}");
}

#[test]
fn a_start_that_is_stopped_at_any_call_changes_nothing_that_was_known() {
    for seed in 0..20 {
        let disk = SimDisk::new();
        let mut node = start(&disk, SyncPolicy::Always);
        live(&mut node, seed, 40);
        let mut chance = Chance(seed);
        // In the middle of a write, so that there is a tail to cut off.
        let before = if seed % 2 == 0 { disk.after_kill() } else { disk.after_power_cut(|n| chance.draw(n)) };
        let (jobs, _) = load(&copy(&before), true).expect("it can be loaded");
        let calls = {
            let disk = copy(&before);
            load(&disk, true).expect("it can be loaded");
            disk.calls()
        };
        for call in 0..calls {
            let disk = copy(&before);
            disk.fault_at(call, Fault::Stop);
            assert!(load(&disk, true).is_err());
            for after in [disk.after_kill(), disk.after_power_cut(|n| chance.draw(n))] {
                let (again, _) = load(&after, true).expect("it can be loaded again");
                assert_eq!(again, jobs, "seed {seed}, stopped at call {call}");
            }
        }
    }
}

fn copy(disk: &SimDisk) -> SimDisk {
    disk.after_kill()
}

#[test]
fn many_lives_end_where_one_would() {
    for seed in 0..30 {
        let mut chance = Chance(seed);
        let mut disk = SimDisk::new();
        let mut jobs = None;
        for life in 0..8 {
            let policy = POLICIES[chance.draw(3) as usize];
            let (mut node, summary) = Node::start(&disk, policy).expect("it can be started");
            assert_eq!(summary.damage_count, 0);
            assert_eq!(jobs.take().unwrap_or_default(), node.jobs, "seed {seed}, life {life}");
            live(&mut node, seed * 100 + life, 30);
            node.writer.sync_now(node.now);
            assert_eq!(node.writer.progress().health, Health::Good);
            assert_eq!(node.writer.progress().durable, node.writer.progress().written);
            jobs = Some(node.jobs.clone());
            disk = disk.after_power_cut(|below| chance.draw(below));
        }
    }
}

#[test]
fn the_disk_holds_no_more_than_two_bases_and_the_logs_since() {
    let disk = SimDisk::new();
    let mut node = start(&disk, SyncPolicy::EverySecond);
    for round in 0..20 {
        for job in 0..50 {
            node.put(job);
        }
        node.turn(10);
        assert!(node.begin_rewrite());
        while node.go_on(10) == crate::node::Rewrite::Running {
            node.turn(10);
        }
        node.turn(2000);
        let mut names = disk.names();
        names.sort();
        let number = round + 2;
        assert_eq!(names, [format!("disque.aof.{number}.base"), format!("disque.aof.{number}.log")]);
    }
}

/// What a killed process has written is in the system's memory. The next process reads it from there and tells others
/// of it, so it must not be lost after that.
#[test]
fn what_a_start_has_read_survives_a_power_cut() {
    let disk = SimDisk::new();
    let mut node = start(&disk, SyncPolicy::EverySecond);
    node.put(1);
    node.turn(0);
    assert_eq!(node.writer.progress().durable, Seq(0), "it is only written");
    let next = start(&disk, SyncPolicy::Always);
    assert!(next.jobs.contains_key(&1));
    let (found, _) = load(&disk.after_power_cut(|_| 0), true).expect("the file can be read");
    assert_eq!(found, next.jobs);
}

/// A base is synced before it gets its name: if it is empty, or zeros, the disk has lost it.
#[test]
fn a_base_without_a_header_is_damage_and_is_told() {
    for left in [0, 50, 4000] {
        let disk = SimDisk::new();
        let mut node = start(&disk, SyncPolicy::Always);
        node.put(1);
        node.turn(0);
        assert!(node.begin_rewrite());
        while node.is_rewriting() {
            node.go_on(5);
        }
        node.turn(0);
        disk.put("disque.aof.2.base", &vec![0; left]);
        let (_, ready) = load(&disk, true).expect("what is left can be loaded");
        assert_eq!((ready.summary.damage_count, ready.summary.tails.len()), (1, 0), "{left} bytes are left");
    }
}
