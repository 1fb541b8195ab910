//! When the writer writes and syncs.

use disque::aof::{Failure, Health, LogFile, Names, Origin, Rewriter, Seq, SyncPolicy, SyncTask, Writer};
use disque::types::{Millis, NodeId, UnixMillis};

use crate::sim_disk::{EIO, Fault, SimDisk};

fn writer(disk: &SimDisk, policy: SyncPolicy) -> Writer<SimDisk> {
    Writer::new(disk.clone(), log(disk, 1), policy, Millis(0))
}

fn log(disk: &SimDisk, number: u64) -> LogFile<usize> {
    let mut rewriter = Rewriter::new(disk.clone(), Names::new("a"), &disque::aof::Chain::default());
    let origin = Origin { created: UnixMillis(1), node: NodeId::from_bytes([1; 20]), salt: 1 };
    rewriter.make_log(number, origin).expect("the disk is good")
}

fn feed(writer: &mut Writer<SimDisk>, bytes: &[u8]) {
    writer.feed(&mut bytes.to_vec());
}

fn is_due(task: &Option<SyncTask<usize>>) -> bool {
    task.is_some()
}

#[test]
fn what_came_together_is_written_and_synced_together() {
    let disk = SimDisk::new();
    let mut writer = writer(&disk, SyncPolicy::Always);
    let before = disk.calls();
    for _ in 0..100 {
        feed(&mut writer, b"record");
    }
    let task = writer.run(Millis(1)).expect("a sync is due");
    writer.perform(&task);
    assert_eq!(disk.calls() - before, 2);
    assert_eq!(writer.progress().durable, Seq(600));
    assert!(!is_due(&writer.run(Millis(2))));
}

#[test]
fn once_a_second_means_a_second_after_the_last_time_even_if_nothing_more_comes() {
    let disk = SimDisk::new();
    let mut writer = writer(&disk, SyncPolicy::EverySecond);
    feed(&mut writer, b"one");
    assert!(!is_due(&writer.run(Millis(100))));
    assert_eq!(writer.progress().written, Seq(3));
    assert_eq!(writer.next_time(), Some(Millis(1000)));
    assert!(!is_due(&writer.run(Millis(999))));
    let task = writer.run(Millis(1000)).expect("a sync is due");
    // While it is under way, writing goes on, and no other sync is begun.
    feed(&mut writer, b"two");
    assert!(!is_due(&writer.run(Millis(2500))));
    assert_eq!((writer.progress().written, writer.progress().durable), (Seq(6), Seq(0)));
    writer.synced(&task, Ok(()));
    assert_eq!(writer.progress().durable, Seq(3), "what was written before it began");
    assert!(is_due(&writer.run(Millis(2500))));
}

#[test]
fn a_wish_for_a_sync_counts_whatever_the_policy() {
    let disk = SimDisk::new();
    let mut writer = writer(&disk, SyncPolicy::No);
    feed(&mut writer, b"one");
    assert!(!is_due(&writer.run(Millis(100_000))));
    writer.want_sync(Seq(3));
    let task = writer.run(Millis(100_000)).expect("a sync is due");
    writer.perform(&task);
    feed(&mut writer, b"two");
    assert!(!is_due(&writer.run(Millis(200_000))), "only what was asked for");
}

#[test]
fn pauses_between_tries_grow_to_a_second_and_are_short_again_after_a_success() {
    let disk = SimDisk::new();
    let mut writer = writer(&disk, SyncPolicy::No);
    feed(&mut writer, b"one");
    disk.set_broken(Some(EIO));
    let mut now = Millis(0);
    let mut pauses = Vec::new();
    for _ in 0..7 {
        writer.run(now);
        let next = writer.next_time().expect("it is tried again");
        pauses.push(next.0 - now.0);
        let calls = disk.calls();
        writer.run(Millis(next.0 - 1));
        assert_eq!(disk.calls(), calls, "not before");
        now = next;
    }
    assert_eq!(pauses, [50, 100, 200, 400, 800, 1000, 1000]);
    let failure = Failure { call: "write", reason: "Input/output error".to_owned(), code: Some(EIO) };
    assert_eq!(writer.progress().health, Health::Failing(failure));
    disk.set_broken(None);
    writer.run(now);
    assert_eq!((writer.progress().health, writer.progress().written), (Health::Good, Seq(3)));
    disk.set_broken(Some(EIO));
    feed(&mut writer, b"two");
    writer.run(now);
    assert_eq!(writer.next_time(), Some(Millis(now.0 + 50)));
}

#[test]
fn a_next_log_is_begun_when_the_one_before_is_synced() {
    for policy in [SyncPolicy::EverySecond, SyncPolicy::No] {
        switch(policy);
    }
}

fn switch(policy: SyncPolicy) {
    let disk = SimDisk::new();
    let mut writer = writer(&disk, policy);
    feed(&mut writer, b"old");
    writer.run(Millis(1));
    writer.switch(log(&disk, 2));
    feed(&mut writer, b"new");
    let task = writer.run(Millis(2)).expect("the old one is synced whatever the policy");
    assert_eq!((writer.log().number, writer.waiting_len()), (1, 3));
    writer.synced(&task, Ok(()));
    writer.run(Millis(3));
    assert_eq!((writer.log().number, writer.waiting_len()), (2, 0));
    assert_eq!(writer.progress().written, Seq(6));
    let old = disk.get("a.1.log").expect("it is there");
    let new = disk.get("a.2.log").expect("it is there");
    assert!(old.ends_with(b"old") && new.ends_with(b"new"));
}

#[test]
fn a_finished_base_stands_for_a_log_that_cannot_be_written() {
    let disk = SimDisk::new();
    let mut writer = writer(&disk, SyncPolicy::Always);
    let next = log(&disk, 2);
    feed(&mut writer, b"old");
    disk.set_broken(Some(EIO));
    writer.run(Millis(1));
    writer.switch(next);
    feed(&mut writer, b"new");
    writer.run(Millis(1));
    assert!(matches!(writer.progress().health, Health::Failing(_)));
    disk.set_broken(None);
    writer.anchored(2);
    assert_eq!((writer.progress().health, writer.progress().durable), (Health::Good, Seq(3)));
    let task = writer.run(Millis(1)).expect("a sync is due");
    writer.perform(&task);
    assert_eq!(writer.progress().durable, Seq(6));
}

/// Nobody was told that the sync had failed, since another log was at hand at once. When its base failed, too, no other
/// rewrite was asked for, and whoever waited for the disk waited for ever.
#[test]
fn a_log_that_is_lost_while_the_next_one_waits_says_so_until_there_is_a_base() {
    let disk = SimDisk::new();
    let mut writer = writer(&disk, SyncPolicy::EverySecond);
    feed(&mut writer, b"old");
    writer.run(Millis(1));
    writer.switch(log(&disk, 2));
    feed(&mut writer, b"new");
    let task = writer.run(Millis(2)).expect("the old one is synced");
    writer.synced(&task, Err(std::io::Error::from_raw_os_error(EIO)));
    writer.run(Millis(3));
    let health = writer.progress().health;
    assert_eq!(health.failure().and_then(|failure| failure.code), Some(EIO));
    assert!(health.needs_rewrite(false), "the base may have failed");
    assert!(!health.needs_rewrite(true), "it may not");
    assert_eq!(writer.progress().written, Seq(3), "nothing advances meanwhile");
    writer.anchored(2);
    let health = writer.progress().health;
    assert_eq!((health.failure(), health.needs_rewrite(false)), (None, false));
    assert_eq!(writer.progress().written, Seq(6));
}

/// The disk was full, and stayed so.
#[test]
fn a_base_that_cannot_be_finished_leaves_nothing() {
    let disk = SimDisk::new();
    let mut rewriter = Rewriter::new(disk.clone(), Names::new("a"), &disque::aof::Chain::default());
    let origin = Origin { created: UnixMillis(1), node: NodeId::from_bytes([1; 20]), salt: 1 };
    for fault in [1, 2] {
        rewriter.begin(2, origin).expect("the disk is good");
        rewriter.write(b"frames").expect("the disk is good");
        disk.fault_at(disk.calls() + fault - 1, Fault::Error(EIO));
        rewriter.finish().expect_err("the sync fails, or the rename");
        assert_eq!(disk.names(), [""; 0]);
    }
}

/// Whoever waited for the disk under `always` waited for ever, if the policy became `no` before the writer came to it.
#[test]
fn what_was_fed_under_always_is_synced_whatever_the_policy_becomes() {
    for policy in [SyncPolicy::No, SyncPolicy::EverySecond] {
        let disk = SimDisk::new();
        let mut writer = writer(&disk, SyncPolicy::Always);
        feed(&mut writer, b"one");
        writer.set_policy(policy);
        let task = writer.run(Millis(1)).expect("it was promised");
        writer.perform(&task);
        feed(&mut writer, b"two");
        assert!(!is_due(&writer.run(Millis(2))), "{policy:?}");
    }
}
