//! Every call failing in every way: the log recovers without a restart, and confirms nothing that it has not.

use disque::aof::{Damage, Health, Seq, SyncPolicy};

use crate::Chance;
use crate::node::{Node, Rewrite, load};
use crate::sim_disk::{EINTR, EIO, ENOSPC, Fault, SimDisk};

/// A history that rewrites the log when it is lost, as the loop does.
fn live(node: &mut Node, seed: u64, turns: u32) -> Vec<&'static str> {
    let mut chance = Chance(seed);
    let mut seen = Vec::new();
    for turn in 0..turns {
        for _ in 0..chance.draw(4) {
            let job = chance.draw(20) as u32;
            if chance.draw(3) == 0 { node.forget(job) } else { node.put(job) }
        }
        node.turn(200);
        match node.writer.progress().health {
            Health::Failing(_) => seen.push("failing"),
            Health::Lost(_) => {
                seen.push("lost");
                node.begin_rewrite();
            }
            Health::Recovering(_) if !node.is_rewriting() => {
                node.begin_rewrite();
            }
            Health::Recovering(_) => seen.push("recovering"),
            Health::Good => {}
        }
        if turn % 15 == 7 && !node.is_rewriting() {
            node.begin_rewrite();
        }
        if node.is_rewriting() && node.go_on(5) == Rewrite::Failed {
            seen.push("rewrite failed");
        }
    }
    seen
}

/// Lets things come to rest: no more changes, time passes.
fn settle(node: &mut Node) {
    for _ in 0..30 {
        node.turn(1100);
        let health = node.writer.progress().health;
        if health.needs_rewrite(node.is_rewriting()) {
            node.begin_rewrite();
        }
        while node.is_rewriting() {
            node.go_on(5);
        }
    }
    node.writer.sync_now(node.now);
}

fn run_with(fault: Fault, policy: SyncPolicy) -> Vec<&'static str> {
    let whole = SimDisk::new();
    live(&mut Node::start(&whole, policy).expect("it can be started").0, 7, 50);
    let mut seen = Vec::new();
    for call in 0..whole.calls() {
        let disk = SimDisk::new();
        disk.fault_at(call, fault);
        let what = format!("{policy:?}, {fault:?} at call {call}, {}", whole.call_log()[call as usize]);
        let Ok((mut node, _)) = Node::start(&disk, policy) else {
            seen.push("start refused");
            continue;
        };
        let now = live(&mut node, 7, 50);
        // At any time what was confirmed survives.
        check(&node, &disk, &what);
        settle(&mut node);
        let progress = node.writer.progress();
        assert_eq!(progress.health, Health::Good, "{what}");
        assert_eq!(progress.durable, last(&node), "{what}");
        check(&node, &disk, &what);
        assert_eq!(load(&disk.after_kill(), true).expect("it can be loaded").0, node.jobs, "{what}");
        seen.extend(now);
    }
    seen.sort_unstable();
    seen.dedup();
    seen
}

fn last(node: &Node) -> Seq {
    node.changes.last().map_or(Seq(0), |change| change.at)
}

fn check(node: &Node, disk: &SimDisk, what: &str) {
    let progress = node.writer.progress();
    let (found, _) = load(&disk.after_kill(), true).unwrap_or_else(|error| panic!("{what}: {error}"));
    node.expect(progress.written, &found).unwrap_or_else(|error| panic!("{what}: killed: {error}"));
    let mut chance = Chance(1);
    for _ in 0..5 {
        let after = disk.after_power_cut(|below| chance.draw(below));
        let (found, _) = load(&after, true).unwrap_or_else(|error| panic!("{what}: {error}"));
        node.expect(progress.durable, &found).unwrap_or_else(|error| panic!("{what}: power cut: {error}"));
    }
}

#[test]
fn any_call_may_fail_with_eio() {
    let seen = run_with(Fault::Error(EIO), SyncPolicy::Always);
    assert_eq!(seen, ["failing", "lost", "recovering", "rewrite failed", "start refused"]);
    run_with(Fault::Error(EIO), SyncPolicy::EverySecond);
}

#[test]
fn any_call_may_fail_with_enospc() {
    let seen = run_with(Fault::Error(ENOSPC), SyncPolicy::Always);
    assert_eq!(seen, ["failing", "lost", "recovering", "rewrite failed", "start refused"]);
    run_with(Fault::Error(ENOSPC), SyncPolicy::No);
}

#[test]
fn any_call_may_be_interrupted_or_write_less_than_asked() {
    for policy in [SyncPolicy::Always, SyncPolicy::EverySecond, SyncPolicy::No] {
        assert!(run_with(Fault::Error(EINTR), policy).is_empty(), "nobody notices");
        assert!(run_with(Fault::Short, policy).is_empty(), "nobody notices");
    }
}

#[test]
fn a_disk_that_is_full_for_a_while_is_waited_for() {
    for policy in [SyncPolicy::Always, SyncPolicy::EverySecond, SyncPolicy::No] {
        let disk = SimDisk::new();
        let (mut node, _) = Node::start(&disk, policy).expect("it can be started");
        live(&mut node, 1, 20);
        settle(&mut node);
        let confirmed = node.writer.progress().written;
        disk.set_broken(Some(ENOSPC));
        for job in 0..10 {
            node.put(job);
            node.turn(300);
        }
        assert!(matches!(node.writer.progress().health, Health::Failing(_)));
        assert_eq!(node.writer.progress().written, confirmed, "nothing is confirmed meanwhile");
        check(&node, &disk, "while the disk is full");
        disk.set_broken(None);
        node.turn(1000);
        node.turn(1000);
        assert_eq!(node.writer.progress().health, Health::Good);
        assert_eq!(node.writer.progress().written, last(&node));
        check(&node, &disk, "afterwards");
    }
}

#[test]
fn a_failed_sync_is_never_believed_again() {
    let disk = SimDisk::new();
    let (mut node, _) = Node::start(&disk, SyncPolicy::Always).expect("it can be started");
    node.put(1);
    node.turn(1);
    let confirmed = node.writer.progress().durable;
    node.put(2);
    disk.fault_at(disk.calls() + 1, Fault::Error(EIO));
    node.turn(1);
    assert!(matches!(node.writer.progress().health, Health::Lost(_)));
    let calls = disk.calls();
    node.put(3);
    node.turn(5000);
    node.turn(5000);
    assert_eq!(disk.calls(), calls, "the file is left alone");
    assert_eq!(node.writer.progress().durable, confirmed);
    assert!(node.begin_rewrite());
    node.put(4);
    node.turn(1);
    assert_eq!(node.writer.progress().durable, confirmed, "there is no base yet");
    while node.go_on(10) == Rewrite::Running {}
    node.turn(1);
    assert_eq!((node.writer.progress().health, node.writer.progress().durable), (Health::Good, last(&node)));
    check(&node, &disk, "afterwards");
}

/// Found by the simulated cluster: the disk had failed when the log was made, and a power cut left other bytes in it.
#[test]
fn a_log_that_does_not_begin_like_one_is_reported_and_does_not_stop_the_start() {
    for (first, other) in [(b'x', 0), (b'*', b'*'), (0, 7), (b'D', b'Q')] {
        let disk = SimDisk::new();
        let (mut node, _) = Node::start(&disk, SyncPolicy::Always).expect("it can be started");
        node.put(1);
        node.turn(1);
        assert!(node.begin_rewrite());
        while node.go_on(10) == Rewrite::Running {}
        node.put(2);
        node.turn(1);
        let log = disk.names().into_iter().rfind(|name| name.ends_with(".log")).expect("there is a log");
        let mut bytes = disk.get(&log).expect("it is there");
        let len = bytes.len() as u64;
        (bytes[0], bytes[1]) = (first, other);
        bytes[2..130].fill(9);
        disk.put(&log, &bytes);
        for start in 0..3 {
            let (mut node, found) = Node::start(&disk, SyncPolicy::Always).expect("it can be started");
            let damage = Damage { file: log.clone(), at: 0, len };
            assert_eq!((found.damage_count, found.damages), (1, vec![damage]), "{first}, start {start}");
            assert!(node.jobs.contains_key(&1) && !node.jobs.contains_key(&2));
            node.put(10 + start);
            node.turn(1);
        }
        let (mut node, _) = Node::start(&disk, SyncPolicy::Always).expect("it can be started");
        assert_eq!(node.jobs.len(), 4, "what came later is kept");
        assert!(node.begin_rewrite());
        while node.go_on(10) == Rewrite::Running {}
        assert_eq!(Node::start(&disk, SyncPolicy::Always).expect("it can be started").1.damage_count, 0);
    }
}
