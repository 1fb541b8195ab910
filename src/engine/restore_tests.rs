//! What is restored, and how it then stands.

use std::borrow::Cow;

use super::effect::Effects;
use super::input::{ClientId, Control, Input};
use super::persist::{Hold, Persistence, Walk};
use super::restore::Requeueing;
use super::settings::EngineSettings;
use super::{Engine, Seed};
use crate::aof::{Acked, JobRecord, Record, Standing};
use crate::bus::NodesConf;
use crate::types::{BodyArg, Ctime, JobId, JobImage, Millis, NodeId, Span32, UnixMillis};

const NOW: UnixMillis = UnixMillis(1_800_000_000_000);
const ME: NodeId = NodeId::from_bytes([1; 20]);
const OTHER: NodeId = NodeId::from_bytes([2; 20]);

fn engine() -> Engine {
    engine_with(5)
}

fn engine_with(seed: u8) -> Engine {
    Engine::new(EngineSettings::default(), &NodesConf::alone(ME, 7711), Seed([seed; 32]), NOW)
}

fn id(number: u8, retry: u64) -> JobId {
    JobId::new([1; 4], [number; 18], Millis(86_400_000), retry > 0)
}

/// A queued job; `retry` in seconds.
fn job(number: u8, retry: u64, nodes: &[NodeId]) -> JobRecord<'static> {
    let image = JobImage {
        id: id(number, retry),
        state: JobRecord::QUEUED,
        flags: 1,
        replicate: 1,
        expires_at: NOW + Millis::from_secs(1000),
        ctime: Ctime::at(NOW - Millis::from_secs(10 * u64::from(number))),
        delay: Span32::ZERO,
        retry: Span32::new(Millis::from_secs(retry)),
        nacks: 0,
        additional_deliveries: 0,
        queue: Cow::Borrowed(b"q"),
        body: BodyArg::Owned(vec![number]),
        nodes: Cow::Owned(nodes.to_vec()),
    };
    let requeue_at = if retry == 0 { UnixMillis::NEVER } else { NOW + Millis::from_secs(retry) };
    JobRecord { image, requeue_at }
}

fn restored(records: Vec<Record<'_>>, requeueing: Requeueing) -> Engine {
    let mut engine = engine();
    records.into_iter().for_each(|record| engine.restore(record));
    engine.finish_restore(NOW, requeueing);
    engine.audit().expect("the parts agree");
    engine
}

/// How many jobs are active, queued, acknowledged.
fn counts(engine: &Engine) -> [u64; 3] {
    let [0, active, queued, acked] = engine.job_counts() else { panic!("no job waits for copies") };
    [active, queued, acked]
}

/// How many jobs are queued when so many milliseconds have passed since the restart.
fn queued_after(engine: &mut Engine, millis: u64) -> u64 {
    let until = NOW + Millis(millis);
    while let Some(at) = engine.next_deadline().filter(|at| *at <= until) {
        engine.advance(at, &mut Effects::new());
    }
    counts(engine)[1]
}

/// How many jobs wait in a queue.
fn waiting_in(engine: &Engine, queue: &[u8]) -> u64 {
    engine.queue_facts(queue).map_or(0, |facts| facts.len)
}

/// A job of one copy; `delay` in seconds.
fn add(delay: u64) -> super::Request<'static> {
    super::Request::AddJob(super::AddJob {
        queue: b"q",
        body: BodyArg::Borrowed(b"x"),
        timeout: Millis(0),
        replicate: Some(1),
        ttl: Millis(1_000_000),
        retry: None,
        delay: Span32::new(Millis::from_secs(delay)),
        maxlen: None,
        replication: super::Replication::Sync,
    })
}

fn delivered(number: u8, retry: u64) -> Record<'static> {
    Record::Standing(Standing {
        id: id(number, retry),
        requeue_at: NOW + Millis::from_secs(7),
        nacks: 3,
        additional_deliveries: 2,
        flags: 1 | JobRecord::DELIVERED,
        queued: false,
    })
}

#[test]
fn what_only_this_node_has_is_queued_again_and_the_rest_waits() {
    let jobs = || {
        vec![
            Record::Job(job(1, 100, &[ME])),
            Record::Job(job(2, 100, &[ME, OTHER])),
            Record::Job(job(3, 0, &[ME])),
            Record::Job(job(4, 0, &[ME])),
            delivered(4, 0),
            Record::Job(job(5, 100, &[ME])),
            delivered(5, 100),
        ]
    };
    // The other node of job 2 is no member now, but may have it queued and come back (W11 of reliability.md).
    let mut engine = restored(jobs(), Requeueing::Own);
    assert_eq!(counts(&engine), [3, 2, 0]);
    assert_eq!(queued_after(&mut engine, 6_999), 2, "the lease goes on where it was");
    assert_eq!(queued_after(&mut engine, 7_000), 3);
    assert_eq!(counts(&restored(jobs(), Requeueing::All)), [2, 3, 0]);
}

#[test]
fn jobs_that_workers_had_before_the_restart_are_in_flight_after_it() {
    let over = |number, retry, requeue_at| {
        let Record::Standing(standing) = delivered(number, retry) else { unreachable!("it makes one") };
        Record::Standing(Standing { requeue_at, ..standing })
    };
    let records = vec![
        Record::Job(job(1, 100, &[ME, OTHER])),
        Record::Job(job(2, 100, &[ME])),
        delivered(2, 100),
        Record::Job(job(3, 0, &[ME])),
        delivered(3, 0),
        Record::Job(job(4, 100, &[ME])),
        over(4, 100, NOW),
        Record::Job(job(5, 0, &[ME])),
        delivered(5, 0),
        Record::Forgotten { id: id(5, 0) },
        Record::Job(job(6, 0, &[ME])),
        delivered(6, 0),
        Record::Job(job(6, 0, &[ME])),
        Record::Job(job(7, 100, &[ME])),
    ];
    let mut engine = restored(records, Requeueing::Own);
    let in_flight = |engine: &Engine| engine.queue_facts(b"q").map(|queue| (queue.len, queue.in_flight));
    assert_eq!(
        in_flight(&engine),
        Some((2, 2)),
        "6 and 7 wait; 2 and 3 are at work, 1 is elsewhere, 4 is late"
    );
    assert_eq!(queued_after(&mut engine, 7_000), 4, "2 and 4 are queued again");
    assert_eq!(in_flight(&engine), Some((4, 1)));
    assert_eq!(engine.audit(), Ok(()));
}

/// Found by the simulated cluster: a job that had come from another node, which is then among its holders, was never
/// queued again.
#[test]
fn what_may_be_delivered_once_is_queued_again_whoever_had_it_before() {
    let records = vec![
        Record::Job(job(1, 0, &[ME, OTHER])),
        Record::Job(job(2, 0, &[OTHER])),
        Record::Job(job(3, 0, &[ME, OTHER])),
        delivered(3, 0),
    ];
    assert_eq!(counts(&restored(records, Requeueing::Own)), [1, 2, 0]);
}

/// Found by the simulated cluster: somebody had set the clock back by hours, and the job waited for as long.
#[test]
fn a_clock_that_was_set_back_postpones_nothing() {
    let mut late = job(1, 100, &[ME, OTHER]);
    late.image.state = JobRecord::ACTIVE;
    late.requeue_at = NOW + Millis::from_secs(20_000);
    let mut never = job(2, 0, &[OTHER]);
    never.image.state = JobRecord::ACTIVE;
    let mut engine = restored(vec![Record::Job(late), Record::Job(never)], Requeueing::Own);
    assert_eq!(queued_after(&mut engine, 99_000), 0);
    assert_eq!(queued_after(&mut engine, 102_000), 1);
    assert_eq!(queued_after(&mut engine, 900_000), 1, "a copy of a job that may be delivered once waits");
}

/// Found by the simulated cluster: creation times never go back, so that those of new jobs were hours ahead, and delays
/// counted from them.
#[test]
fn a_clock_that_was_set_back_postpones_no_new_job_either() {
    let mut ahead = job(1, 100, &[ME]);
    ahead.image.ctime = Ctime::at(NOW + Millis::from_secs(20_000));
    let rc1 = JobRecord { requeue_at: JobRecord::DUE_UNKNOWN, ..ahead.clone() };
    let mut rc1 = Record::Job(rc1);
    let Record::Job(delayed) = &mut rc1 else { unreachable!() };
    (delayed.image.delay, delayed.image.state) = (Span32::new(Millis::from_secs(60)), JobRecord::ACTIVE);
    let mut engine = restored(vec![rc1], Requeueing::Own);
    engine.step(NOW, Input::Request { client: ClientId(1), request: add(30) }, &mut Effects::new());
    assert_eq!(queued_after(&mut engine, 29_999), 0);
    assert_eq!(queued_after(&mut engine, 30_000), 1);
    assert_eq!(queued_after(&mut engine, 60_000), 2, "one that RC1 wrote down");
}

#[test]
fn jobs_of_rc1_wait_for_their_retry_unless_all_are_queued() {
    let rc1 = |number, retry| {
        Record::Job(JobRecord { requeue_at: JobRecord::DUE_UNKNOWN, ..job(number, retry, &[ME]) })
    };
    let mut engine = restored(vec![rc1(1, 100), rc1(2, 0)], Requeueing::Own);
    assert_eq!(counts(&engine), [2, 0, 0]);
    assert_eq!(queued_after(&mut engine, 99_999), 0);
    assert_eq!(queued_after(&mut engine, 100_000), 1);
    assert_eq!(counts(&restored(vec![rc1(1, 100), rc1(2, 0)], Requeueing::All)), [0, 2, 0]);
}

#[test]
fn a_delay_of_rc1_counts_from_the_creation() {
    let mut delayed = job(1, 100, &[ME]);
    delayed.requeue_at = JobRecord::DUE_UNKNOWN;
    delayed.image.state = JobRecord::ACTIVE;
    delayed.image.delay = Span32::new(Millis::from_secs(60));
    let mut engine = restored(vec![Record::Job(delayed)], Requeueing::Own);
    assert_eq!(queued_after(&mut engine, 49_999), 0, "it was made ten seconds ago");
    assert_eq!(queued_after(&mut engine, 50_000), 1);
}

#[test]
fn a_later_record_of_a_job_counts_but_not_in_files_of_rc1_nor_when_it_is_done() {
    let mut later = job(1, 100, &[ME]);
    later.image.queue = Cow::Borrowed(b"other");
    let two = vec![Record::Job(job(1, 100, &[ME])), Record::Job(later.clone())];
    let engine = restored(two, Requeueing::Own);
    assert_eq!((engine.queue_count(), waiting_in(&engine, b"other")), (1, 1));
    later.requeue_at = JobRecord::DUE_UNKNOWN;
    let two = vec![Record::Job(job(1, 100, &[ME])), Record::Job(later.clone())];
    let engine = restored(two, Requeueing::Own);
    assert_eq!((engine.queue_count(), waiting_in(&engine, b"q")), (1, 1));
    let acked = Record::Acked(Acked {
        id: id(1, 100),
        expires_at: NOW + Millis::from_secs(9),
        holders: Cow::Borrowed(&[ME, OTHER]),
        confirmed: Cow::Borrowed(&[ME]),
    });
    let Record::Standing(mut standing) = delivered(1, 100) else { unreachable!("it is one") };
    standing.queued = true;
    for later in [Record::Job(job(1, 100, &[ME])), Record::Standing(standing)] {
        let done = vec![Record::Job(job(1, 100, &[ME])), acked.clone(), later];
        assert_eq!(counts(&restored(done, Requeueing::All)), [0, 0, 1]);
    }
}

#[test]
fn an_acknowledgement_of_an_unknown_job_is_kept_until_it_expires() {
    let acked = |number, expires_at| {
        Record::Acked(Acked {
            id: id(number, 100),
            expires_at,
            holders: Cow::Borrowed(&[OTHER]),
            confirmed: Cow::Borrowed(&[]),
        })
    };
    let records = vec![acked(1, NOW), acked(2, NOW + Millis(1))];
    assert_eq!(counts(&restored(records, Requeueing::Own)), [0, 0, 1]);
}

/// Found by the simulated cluster: the job had been acknowledged and forgotten, and then acknowledged once more; a power cut
/// left a hole where the file said the first.
#[test]
fn an_acknowledgement_of_a_job_that_seemed_unknown_is_that_of_the_known_job() {
    let acked = Record::Acked(Acked {
        id: id(1, 100),
        expires_at: NOW + Millis::from_secs(9),
        holders: Cow::Borrowed(&[]),
        confirmed: Cow::Borrowed(&[OTHER]),
    });
    let mut engine = restored(vec![Record::Job(job(1, 100, &[ME])), acked], Requeueing::Own);
    assert_eq!(counts(&engine), [0, 0, 1]);
    assert_eq!(queued_after(&mut engine, 5_000), 0);
    assert_eq!(engine.job_count(), 0, "nobody else is to be told");
}

#[test]
fn what_others_may_hold_waits_until_links_are_up() {
    let mut overdue = job(1, 100, &[ME]);
    overdue.requeue_at = NOW - Millis(1);
    // That another node may have it is known from a later record only.
    let holders = Record::Holders { id: id(1, 100), holders: Cow::Borrowed(&[ME, OTHER]) };
    let mut engine = restored(vec![Record::Job(overdue), holders], Requeueing::Own);
    assert_eq!(counts(&engine), [1, 0, 0]);
    assert_eq!(queued_after(&mut engine, 2_999), 0);
    assert_eq!(queued_after(&mut engine, 5_000), 1);
}

/// Whatever it says of the queue: it was handed out.
#[test]
fn what_may_be_delivered_once_and_was_is_never_queued_again() {
    let engine_of = |flags, queued| {
        let mut once = job(1, 0, &[ME]);
        once.image.flags = flags;
        once.image.state = if queued { JobRecord::QUEUED } else { JobRecord::ACTIVE };
        once.requeue_at = NOW + Millis(1);
        restored(vec![Record::Job(once)], Requeueing::All)
    };
    for queued in [false, true] {
        let mut engine = engine_of(1 | JobRecord::DELIVERED, queued);
        assert_eq!(queued_after(&mut engine, 900_000), 0);
    }
    assert_eq!(counts(&engine_of(1, true)), [0, 1, 0]);
    assert_eq!(queued_after(&mut engine_of(1, false), 1), 1, "its delay goes on");
}

/// The order of jobs must not turn round because the wall clock was set back meanwhile.
#[test]
fn jobs_that_are_added_after_a_restart_are_younger_than_those_before() {
    let own = JobId::new(ME.bytes()[..4].try_into().expect("four bytes"), [1; 18], Millis(86_400_000), true);
    let mut late = job(1, 100, &[ME]);
    late.image.id = own;
    late.image.ctime = Ctime::at(NOW + Millis::from_secs(500));
    let mut engine = restored(vec![Record::Job(late)], Requeueing::Own);
    engine.step(NOW, Input::Request { client: ClientId(1), request: add(0) }, &mut Effects::new());
    let ids: Vec<JobId> = engine.next_jobs(b"q", 2).into_iter().map(|job| job.id).collect();
    assert_eq!((ids.len(), ids[0]), (2, own));
}

#[test]
fn what_was_forgotten_or_flushed_or_is_expired_stays_away() {
    let mut expired = job(2, 100, &[ME]);
    expired.image.expires_at = NOW;
    let records = vec![
        Record::Job(job(1, 100, &[ME])),
        Record::Forgotten { id: id(1, 100) },
        Record::Forgotten { id: id(9, 100) },
        Record::Job(expired),
        delivered(7, 100),
    ];
    let engine = restored(records, Requeueing::All);
    assert_eq!((engine.job_count(), engine.queue_count()), (0, 0));
    let records = vec![
        Record::Job(job(1, 100, &[ME])),
        Record::Pause { queue: Cow::Borrowed(b"p"), input: true, output: false },
        Record::Flushed,
        Record::Job(job(3, 100, &[ME])),
    ];
    let engine = restored(records, Requeueing::Own);
    assert_eq!((engine.job_count(), engine.queue_count()), (1, 1));
}

/// What a walk shows, restored elsewhere, is shown there again.
#[test]
fn a_walk_tells_all_that_is_known() {
    let mut engine = engine();
    let mut records = Vec::new();
    for number in 1..100 {
        records.push(Record::Job(job(number, u64::from(number % 3) * 50, &[ME])));
        if number % 5 == 0 {
            records.push(delivered(number, u64::from(number % 3) * 50));
        }
    }
    records.push(Record::Pause { queue: Cow::Borrowed(b"p"), input: false, output: true });
    records.into_iter().for_each(|record| engine.restore(record));
    engine.finish_restore(NOW, Requeueing::Own);
    let shown = |engine: &Engine, slots| {
        let (mut lines, mut walk) = (Vec::new(), Walk::Start);
        while walk != Walk::Done {
            walk = engine.walk(walk, slots, |record| lines.push(format!("{record:?}")));
        }
        lines.sort();
        lines
    };
    let all = shown(&engine, 7);
    assert_eq!(all.len(), 99 + 1 + 1, "jobs, a pause, how IDs name slots");
    assert_eq!(all, shown(&engine, 1000));
    let mut again = self::engine();
    let mut walk = Walk::Start;
    while walk != Walk::Done {
        walk = engine.walk(walk, 10, |record| again.restore(record.clone()));
    }
    again.finish_restore(NOW, Requeueing::Own);
    again.audit().expect("the parts agree");
    assert_eq!(shown(&again, 50), all);
}

#[test]
fn steps_tell_nothing_unless_they_are_asked_to() {
    let mut engine = engine();
    let mut out = Effects::new();
    let flush = || Input::Request { client: ClientId(1), request: super::Request::FlushAll };
    engine.step(NOW, flush(), &mut out);
    assert_eq!(out.appended().count(), 0);
    engine.step(NOW, Input::Control(Control::Persist(Persistence::On)), &mut out);
    assert_eq!((out.appended().count(), out.hold()), (1, Hold::No), "how IDs name slots");
    out.clear();
    engine.step(NOW, flush(), &mut out);
    assert_eq!((out.appended().count(), out.hold()), (1, Hold::Policy));
}

#[test]
fn jobs_that_were_added_here_are_found_by_their_ids_after_a_restart_too() {
    let mut first = engine();
    let mut log: Vec<(u8, Vec<u8>)> = Vec::new();
    let mut step = |engine: &mut Engine, input: Input<'_>| {
        let mut out = Effects::new();
        engine.step(NOW, input, &mut out);
        log.extend(out.appended().map(|(kind, payload)| (kind, payload.to_vec())));
    };
    step(&mut first, Input::Control(Control::Persist(Persistence::On)));
    for _ in 0..3000 {
        step(&mut first, Input::Request { client: ClientId(1), request: add(0) });
    }
    let mut base: Vec<(u8, Vec<u8>)> = Vec::new();
    let mut walk = Walk::Start;
    while walk != Walk::Done {
        walk = first.walk(walk, 100, |record| {
            let mut payload = Vec::new();
            record.encode(&mut payload);
            base.push((record.kind(), payload));
        });
    }
    for records in [log, base] {
        let mut again = engine_with(2);
        for (kind, payload) in &records {
            let mut nodes = Vec::new();
            again.restore(
                Record::decode(*kind, payload, &mut nodes).expect("a record").expect("a known kind"),
            );
        }
        again.finish_restore(NOW, Requeueing::Own);
        again.audit().expect("the parts agree");
        assert_eq!((again.job_count(), again.jobs.indexed()), (3000, 0));
    }
}

/// 4,096 jobs of a mebibyte each were put into memory at once by SHUTDOWN REWRITE-AOF.
#[test]
fn a_step_of_a_walk_shows_few_long_bodies_and_all_steps_show_all() {
    let mut engine = engine();
    for number in 1..=40 {
        let mut long = job(number, 100, &[ME]);
        long.image.body = BodyArg::Owned(vec![number; 100 << 10]);
        engine.restore(Record::Job(long));
    }
    engine.finish_restore(NOW, Requeueing::Own);
    let (mut walk, mut steps) = (Walk::Start, Vec::new());
    while walk != Walk::Done {
        let mut jobs = 0;
        walk = engine.walk(walk, 1000, |record| jobs += u64::from(matches!(record, Record::Job(_))));
        steps.push(jobs);
    }
    assert_eq!((steps.iter().sum::<u64>(), steps.iter().max()), (40, Some(&3)));
}
