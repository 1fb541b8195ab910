//! What is done to the engine and the model, and how it is drawn.

use disque::engine::{JobState, PauseState, Wait};
use disque::types::Millis;
use proptest::prelude::*;

/// One thing that happens. Clients and jobs are numbers that the run gives a meaning.
#[derive(Clone, Debug)]
pub enum Turn {
    /// So many milliseconds pass.
    Clock(u64),
    /// A client's connection ends.
    Gone(usize),
    /// A client asks, on a clock that is so many milliseconds behind. Its place in a line is lost if it waits.
    Ask { client: usize, behind: u64, draft: Draft },
}

/// A request in which jobs are numbered: 0 is the newest.
#[derive(Clone, Debug)]
pub enum Draft {
    List(ListCommand, Vec<usize>),
    Working(usize),
    Show(usize),
    /// Goes on with a scan of all jobs, or of all queues, by so many elements.
    ScanJobs(i64),
    ScanQueues(i64),
    Whole(Ask),
}

/// A request.
#[derive(Clone, Debug)]
pub enum Ask {
    Add(Add),
    Get(Get),
    List(ListCommand, Vec<Vec<u8>>),
    Working(Vec<u8>),
    Show(Vec<u8>),
    QLen(Vec<u8>),
    QPeek(Vec<u8>, i64),
    QStat(Vec<u8>),
    Pause(Vec<u8>, Option<PauseState>),
    JScan(Option<Vec<u8>>, Vec<JobState>),
    QScan(Option<i64>, Option<i64>),
    IsLeaving,
    SetLeaving(bool),
    Flush,
    Reset(bool),
}

#[derive(Clone, Copy, Debug)]
pub enum ListCommand {
    AckJob,
    FastAck,
    DelJob,
    Enqueue,
    Nack,
    Dequeue,
}

#[derive(Clone, Debug)]
pub struct Add {
    pub queue: Vec<u8>,
    pub body: Vec<u8>,
    pub ttl: u64,
    pub retry: Option<u64>,
    pub delay: u64,
    pub replicate: Option<u16>,
    pub maxlen: Option<u64>,
    pub asynchronous: bool,
}

#[derive(Clone, Debug)]
pub struct Get {
    pub queues: Vec<Vec<u8>>,
    pub count: u64,
    pub wait: Wait,
    pub counters: bool,
}

/// A few queues, so that much happens in each; one has no name and one an odd one.
fn queue() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![3 => Just(b"q".to_vec()), 2 => Just(b"\r\n\0".to_vec()), 1 => Just(Vec::new())]
}

/// Spans that are equal, multiples of each other, or just beside that.
fn span() -> impl Strategy<Value = u64> {
    prop::sample::select(vec![1, 99, 100, 101, 500, 999, 1000, 1001, 2000, 3000, 10_000])
}

fn add() -> impl Strategy<Value = Add> {
    let ttl = prop_oneof![1 => span(), 1 => Just(60_000), 2 => Just(86_400_000)];
    let retry = prop::option::weighted(0.8, prop_oneof![2 => Just(0), 5 => span()]);
    let delay = prop_oneof![3 => Just(0), 1 => span()];
    let replicate = prop::option::weighted(0.1, 1..3u16);
    let maxlen = prop::option::weighted(0.2, 1..4u64);
    let body = prop_oneof![9 => Just(1), 1 => Just(0), 1 => Just(5000)];
    (queue(), body, ttl, retry, delay, replicate, maxlen, any::<bool>()).prop_map(
        |(queue, body, ttl, retry, delay, replicate, maxlen, asynchronous)| {
            let body = vec![b'x'; body];
            Add { queue, body, ttl, retry, delay, replicate, maxlen, asynchronous }
        },
    )
}

fn get() -> impl Strategy<Value = Get> {
    let wait = prop_oneof![1 => Just(Wait::No), 2 => Just(Wait::Forever), 2 => span().prop_map(|ms| Wait::For(Millis(ms)))];
    (prop::collection::vec(queue(), 1..4), 1..4u64, wait, any::<bool>())
        .prop_map(|(queues, count, wait, counters)| Get { queues, count, wait, counters })
}

fn list() -> impl Strategy<Value = Draft> {
    let command = prop::sample::select(vec![
        ListCommand::AckJob,
        ListCommand::FastAck,
        ListCommand::DelJob,
        ListCommand::Enqueue,
        ListCommand::Enqueue,
        ListCommand::Nack,
        ListCommand::Nack,
        ListCommand::Dequeue,
        ListCommand::Dequeue,
    ]);
    (command, prop::collection::vec(job(), 0..4)).prop_map(|(command, ids)| Draft::List(command, ids))
}

/// A recent job, often; the numbers beyond the first one stand for IDs that nobody knows.
fn job() -> impl Strategy<Value = usize> {
    prop_oneof![3 => 0..3usize, 1 => 0..12usize]
}

fn pause() -> impl Strategy<Value = Ask> {
    let state = (any::<bool>(), any::<bool>()).prop_map(|(input, output)| PauseState { input, output });
    // Mostly open, or nothing would ever happen in the queues.
    let change = prop_oneof![1 => Just(None), 3 => Just(Some(PauseState::NONE)), 3 => state.prop_map(Some)];
    (queue(), change).prop_map(|(queue, change)| Ask::Pause(queue, change))
}

fn look() -> impl Strategy<Value = Ask> {
    prop_oneof![
        queue().prop_map(Ask::QLen),
        queue().prop_map(Ask::QStat),
        (queue(), -3..4i64).prop_map(|(queue, count)| Ask::QPeek(queue, count)),
        (prop::option::of(queue()), prop::collection::vec(prop::sample::select(&JobState::ALL[..]), 0..3))
            .prop_map(|(queue, states)| Ask::JScan(queue, states)),
        (prop::option::of(-2..4i64), prop::option::of(-2..4i64)).prop_map(|(min, max)| Ask::QScan(min, max)),
        Just(Ask::IsLeaving),
    ]
}

/// What changes everything at once.
fn upheaval() -> impl Strategy<Value = Ask> {
    prop_oneof![
        3 => Just(Ask::SetLeaving(true)),
        6 => Just(Ask::SetLeaving(false)),
        1 => Just(Ask::Flush),
        1 => any::<bool>().prop_map(Ask::Reset),
    ]
}

fn draft() -> impl Strategy<Value = Draft> {
    prop_oneof![
        20 => add().prop_map(|add| Draft::Whole(Ask::Add(add))),
        20 => get().prop_map(|get| Draft::Whole(Ask::Get(get))),
        20 => list(),
        5 => job().prop_map(Draft::Working),
        10 => job().prop_map(Draft::Show),
        8 => pause().prop_map(Draft::Whole),
        10 => look().prop_map(Draft::Whole),
        3 => (1..4i64).prop_map(Draft::ScanJobs),
        3 => (1..3i64).prop_map(Draft::ScanQueues),
        1 => upheaval().prop_map(Draft::Whole),
    ]
}

/// One turn.
pub fn turn() -> impl Strategy<Value = Turn> {
    let long = prop::sample::select(vec![60_000, 299_999, 300_000, 300_001]);
    let behind = prop_oneof![9 => Just(0), 1 => 1..5000u64];
    prop_oneof![
        30 => (0..5usize, behind, draft())
            .prop_map(|(client, behind, draft)| Turn::Ask { client, behind, draft }),
        10 => prop_oneof![1 => 0..3u64, 3 => span()].prop_map(Turn::Clock),
        1 => long.prop_map(Turn::Clock),
        2 => (0..5usize).prop_map(Turn::Gone),
    ]
}
