//! Single rules of the codec. Recorded bytes and what holds for all messages: `tests/compat`.

use std::borrow::Cow;
use std::net::IpAddr;

use super::*;
use crate::types::{
    BodyArg, Ctime, ImageError, JobId, JobIdError, JobImage, Millis, NodeId, Span32, UnixMillis,
};

const NOW: UnixMillis = UnixMillis(1_795_315_000_000);
const BODY: usize = 144;

fn header() -> Header {
    Header {
        sender: NodeId::from_bytes([0xab; 20]),
        ip: None,
        port: 7711,
        bus_port: None,
        leaving: false,
        features: None,
    }
}

fn job_id() -> JobId {
    JobId::new([1; 4], [2; 18], Millis(60_000), true)
}

fn image() -> JobImage<'static> {
    JobImage {
        id: job_id(),
        state: 1,
        flags: 0,
        replicate: 1,
        expires_at: NOW,
        ctime: Ctime::at(NOW),
        delay: Span32::ZERO,
        retry: Span32::ZERO,
        nacks: 0,
        additional_deliveries: 0,
        queue: Cow::Borrowed(b"q"),
        body: BodyArg::Borrowed(b"b"),
        nodes: Cow::Owned(Vec::new()),
    }
}

fn gossip(ip: &str) -> Gossip {
    let ip = Some(ip.parse().expect("an address"));
    Gossip {
        node: NodeId::from_bytes([0xcd; 20]),
        ping_sent: 1,
        pong_received: 2,
        ip,
        port: 7712,
        bus_port: None,
        flags: NodeFlags::FAIL,
    }
}

fn notice(notice: Notice) -> Message<'static> {
    Message::Notice { job: job_id(), notice }
}

fn frame(message: &Message<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    encode(&header(), message, NOW, &mut out);
    out
}

fn message(frame: &[u8]) -> Message<'_> {
    decode(frame, NOW).unwrap_or_else(|error| panic!("{error}")).1
}

fn refusal(frame: &[u8]) -> BusError {
    decode(frame, NOW).expect_err("a bad frame")
}

fn put(frame: &mut [u8], at: usize, number: u32) {
    frame[at..at + 4].copy_from_slice(&number.to_be_bytes());
}

#[test]
fn needjobs_asks_for_one_to_a_hundred_jobs_whatever_is_said() {
    for (said, meant) in [(0, 1), (1, 1), (100, 100), (101, 100), (u32::MAX, 100)] {
        let mut bytes = frame(&Message::NeedJobs { queue: Cow::Borrowed(b"q"), count: said });
        assert_eq!(bytes[BODY..BODY + 4], u32::to_be_bytes(meant), "{said}");
        put(&mut bytes, BODY, said);
        assert_eq!(message(&bytes), Message::NeedJobs { queue: Cow::Borrowed(b"q"), count: meant });
    }
}

#[test]
fn yourjobs_brings_as_many_jobs_as_it_announces() {
    let good = frame(&Message::YourJobs { jobs: vec![image(), image()] });
    for (announced, error) in [
        (0, BusError::JobCount(0)),
        (3, BusError::Image(ImageError::Lengths)),
        (100, BusError::Image(ImageError::Lengths)),
        (101, BusError::JobCount(101)),
        (u32::MAX, BusError::JobCount(u32::MAX)),
    ] {
        let mut bytes = good.clone();
        put(&mut bytes, BODY, announced);
        assert_eq!(refusal(&bytes), error, "{announced}");
    }
    let hundred = frame(&Message::YourJobs { jobs: vec![image(); 100] });
    assert_eq!(message(&hundred), Message::YourJobs { jobs: vec![image(); 100] });
}

#[test]
fn a_length_inside_that_disagrees_with_the_frame_is_a_wrong_length() {
    let repljob = frame(&Message::ReplJob { job: image(), no_reply: false });
    let needjobs = frame(&Message::NeedJobs { queue: Cow::Borrowed(b"queue"), count: 1 });
    for (good, message_type) in [(repljob, 4), (needjobs, 12)] {
        let right = good.len() as u32 - 152;
        // The last one is right if computed in 32 bits (defect 5 of cluster-bus.md).
        for wrong in [0, right - 1, right + 1, u32::MAX, right.wrapping_sub(8)] {
            let mut bytes = good.clone();
            put(&mut bytes, BODY + 4, wrong);
            assert_eq!(refusal(&bytes), BusError::Length { message_type, len: bytes.len() });
        }
        let mut short = good[..151].to_vec();
        put(&mut short, 4, 151);
        assert_eq!(refusal(&short), BusError::Length { message_type, len: 151 });
    }
}

#[test]
fn a_delay_that_rc1_could_not_compute_with_is_cut() {
    for (ms, secs) in [(0, 0), (1, 1), (4_294_967_000, 4_294_967), (4_294_968_000, 4_294_967)] {
        let bytes = frame(&notice(Notice::Enqueue { delay: Span32::new(Millis(ms)) }));
        assert_eq!(bytes[184..188], u32::to_be_bytes(secs), "{ms}");
    }
}

#[test]
fn numbers_and_flags_that_mean_nothing_are_ignored() {
    let mut bytes = frame(&notice(Notice::GotAck { known: false }));
    put(&mut bytes, 184, 0x0100_0000);
    assert_eq!(message(&bytes), notice(Notice::GotAck { known: true }), "anything but 0 is yes");
    let mut bytes = frame(&notice(Notice::Queued { counts: Counts::NACK, totals: None }));
    bytes[141] |= 0xf9;
    put(&mut bytes, 184, 77);
    assert_eq!(message(&bytes), notice(Notice::Queued { counts: Counts::NACK, totals: None }));
    let mut bytes = frame(&Message::Pause { queue: Cow::Borrowed(b""), input: false, output: false });
    put(&mut bytes, BODY, 0xffff_fffe);
    assert_eq!(message(&bytes), Message::Pause { queue: Cow::Borrowed(b""), input: false, output: true });
}

#[test]
fn job_ids_that_no_node_makes_are_refused() {
    let good = frame(&notice(Notice::DelJob));
    for (at, error) in [(BODY, JobIdError::BadShape), (BODY + 2, JobIdError::Unknowable)] {
        let mut bytes = good.clone();
        bytes[at] = b'X';
        assert_eq!(refusal(&bytes), BusError::JobId(error));
    }
}

#[test]
fn node_ids_that_are_not_hexadecimal_are_refused() {
    let good = frame(&Message::Fail { node: NodeId::from_bytes([1; 20]) });
    for at in [16, 55, BODY, BODY + 39] {
        let mut bytes = good.clone();
        bytes[at] = b'A';
        assert_eq!(refusal(&bytes), BusError::NodeId, "at {at}");
    }
}

#[test]
fn gossip_about_a_node_that_cannot_be_named_is_left_out() {
    let entries = [gossip("10.0.0.1"), gossip("10.0.0.2"), gossip("10.0.0.3")];
    let mut bytes = frame(&Message::Ping { gossip: entries.to_vec() });
    bytes[BODY + 104] = b'G';
    assert_eq!(message(&bytes), Message::Ping { gossip: vec![entries[0], entries[2]] });
}

#[test]
fn an_address_is_read_up_to_its_zero_byte_or_not_at_all() {
    let longest = "ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255";
    for (field, ip) in [
        ("10.0.0.1\0".to_owned(), Some("10.0.0.1")),
        ("::1\0junk".to_owned(), Some("::1")),
        (format!("{longest}\0"), Some(longest)),
        (format!("{longest}5"), None),
        ("\0".to_owned(), None),
        ("localhost\0".to_owned(), None),
        ("10.0.0.1 \0".to_owned(), None),
    ] {
        let mut bytes = frame(&Message::Pong { gossip: vec![gossip("0.0.0.0")] });
        bytes[BODY + 48..BODY + 94].fill(0);
        bytes[BODY + 48..][..field.len()].copy_from_slice(field.as_bytes());
        let ip: Option<IpAddr> = ip.map(|ip| ip.parse().expect("an address"));
        let expected = Gossip { ip, ..gossip("0.0.0.0") };
        assert_eq!(message(&bytes), Message::Pong { gossip: vec![expected] }, "{field:?}");
    }
}

#[test]
fn features_are_announced_behind_a_marker_in_bytes_that_rc1_does_not_read() {
    let features = Some(Features::from_bits(0x8000_0001));
    let mut bytes = Vec::new();
    let message = Message::Ping { gossip: Vec::new() };
    encode(&Header { features, ..header() }, &message, NOW, &mut bytes);
    let mut silent = frame(&message);
    assert!(bytes[..102] == silent[..102] && bytes[110..] == silent[110..]);
    assert_eq!(bytes[102..110], *b"DqF1\x80\0\0\x01");
    assert_eq!(decode(&bytes, NOW).expect("a frame").0.features, features);
    // Bits behind another marker, or behind none, mean nothing.
    silent[106..110].fill(0xff);
    assert_eq!(decode(&silent, NOW).expect("a frame").0.features, None);
    silent[102..106].copy_from_slice(b"DqF2");
    assert_eq!(decode(&silent, NOW).expect("a frame").0.features, None);
    assert!(Features::from_bits(3).contains(Features::from_bits(2)));
    assert!(!Features::NONE.contains(Features::from_bits(2)));
}

#[test]
fn the_version_is_looked_at_first_then_the_type_then_the_sender() {
    let mut bytes = frame(&Message::Ping { gossip: Vec::new() });
    bytes[16] = b'X';
    assert_eq!(refusal(&bytes), BusError::NodeId);
    bytes[13] = 16;
    assert_eq!(refusal(&bytes), BusError::UnknownType(16));
    bytes[9] = 2;
    assert_eq!(refusal(&bytes), BusError::Version(2));
}

#[test]
fn only_errors_of_framing_close_the_link() {
    for error in [
        BusError::Signature,
        BusError::FrameTooShort { len: 8 },
        BusError::FrameTooLong { len: 1001, limit: 1000 },
    ] {
        assert!(error.closes_link(), "{error}");
    }
    for error in [
        BusError::Version(2),
        BusError::UnknownType(16),
        BusError::Length { message_type: 3, len: 144 },
        BusError::NodeId,
        BusError::JobId(JobIdError::BadShape),
        BusError::JobCount(0),
        BusError::Image(ImageError::Lengths),
    ] {
        assert!(!error.closes_link(), "{error}");
    }
}

#[test]
#[should_panic(expected = "0 jobs in one message")]
fn yourjobs_without_jobs_is_never_sent() {
    frame(&Message::YourJobs { jobs: Vec::new() });
}
