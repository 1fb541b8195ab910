//! What a link carries to a node of RC1 and to one that announced more.

use std::borrow::Cow;

use disque::bus::{
    BatchFault, BusError, Features, FrameReader, FrameWriter, Header, MAX_FRAME_LEN, MAX_JOBS, Message,
    Notice, decode,
};
use disque::types::{BodyArg, JobId, JobImage, Millis, NodeId, Span32, UnixMillis};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::arbitrary::{features, header, message, message_of_rc1, now, rich_message};
use crate::frames::NOW;
use crate::wire::{frame_for, frames, only, rc1_frame};

/// Where the body of a frame begins.
const BODY: usize = 144;

fn header_of_ours() -> Header {
    Header {
        sender: NodeId::from_bytes([0xab; 20]),
        ip: None,
        port: 7711,
        bus_port: None,
        leaving: false,
        features: Some(Features::OURS),
    }
}

fn job_id(number: u8) -> JobId {
    JobId::new([1; 4], [number; 18], Millis(60_000), true)
}

fn image(body: &[u8]) -> JobImage<'_> {
    JobImage {
        id: job_id(2),
        state: 1,
        flags: 0,
        replicate: 3,
        expires_at: NOW + Millis(86_400_000),
        ctime: disque::types::Ctime::at(NOW),
        delay: Span32::ZERO,
        retry: Span32::new(Millis(1500)),
        nacks: 0,
        additional_deliveries: 0,
        queue: Cow::Borrowed(b"emails"),
        body: BodyArg::Borrowed(body),
        nodes: Cow::Owned(vec![NodeId::from_bytes([7; 20]); 3]),
    }
}

fn notice(number: u8) -> Message<'static> {
    Message::Notice { job: job_id(number), notice: Notice::GotJob }
}

/// A writer for a peer that announced all that there is.
fn writer() -> FrameWriter {
    let mut writer = FrameWriter::new();
    writer.set_features(Some(Features::ALL));
    writer
}

/// All messages of a stream, in order.
fn messages(stream: &[u8], now: UnixMillis) -> Vec<Message<'_>> {
    let mut found = Vec::new();
    let mut rest = stream;
    while let Some(len) = rest.get(4..8) {
        let len = u32::from_be_bytes(len.try_into().expect("four bytes")) as usize;
        let (frame, behind) = rest.split_at(len);
        let (_, messages) = decode(frame, now).unwrap_or_else(|error| panic!("{error}"));
        found.extend(messages.map(|message| message.unwrap_or_else(|error| panic!("{error}"))));
        rest = behind;
    }
    assert!(rest.is_empty());
    found
}

fn message_type(frame: &[u8]) -> u16 {
    u16::from_be_bytes([frame[12], frame[13]])
}

fn is_heartbeat(frame: &[u8]) -> bool {
    message_type(frame) < 3
}

/// Bytes of a frame that an RC1 node always sends as zero, apart from the announcement in heartbeats.
fn reserved(frame: &[u8]) -> Vec<u8> {
    let mut bytes = [&frame[10..12], &frame[110..136], &frame[140..141]].concat();
    if is_heartbeat(frame) {
        for entry in frame[BODY..].chunks(104) {
            bytes.extend_from_slice(&entry[98..]);
        }
    } else {
        bytes.extend_from_slice(&frame[14..16]);
        bytes.extend_from_slice(&frame[56..110]);
        bytes.extend_from_slice(&frame[142..144]);
    }
    bytes
}

#[test]
fn what_is_pushed_in_one_turn_is_one_batch_in_the_same_order() {
    let mut writer = writer();
    let said = [notice(1), Message::ReplJob { job: image(b"body"), no_reply: false }, notice(2)];
    for message in &said {
        assert!(writer.push(&header_of_ours(), message, NOW));
    }
    let stream = writer.bytes().to_vec();
    assert_eq!(frames(&stream).len(), 1);
    assert_eq!(messages(&stream, NOW), said);
    writer.consume(stream.len());
    assert_eq!(writer.pending(), 0);
    // The next turn begins a new one.
    writer.push(&header_of_ours(), &said[0], NOW);
    assert_eq!(messages(writer.bytes(), NOW), said[..1]);
}

#[test]
fn a_heartbeat_overtakes_nothing() {
    let mut writer = writer();
    let said = [notice(1), Message::Ping { gossip: Vec::new() }, notice(2), notice(3)];
    for message in &said {
        writer.push(&header_of_ours(), message, NOW);
    }
    let stream = writer.bytes().to_vec();
    assert_eq!(frames(&stream).iter().map(|frame| message_type(frame)).collect::<Vec<_>>(), [16, 0, 16]);
    assert_eq!(messages(&stream, NOW), said);
}

#[test]
fn a_batch_is_closed_at_64_kib_and_takes_a_longer_message_whole() {
    let mut writer = writer();
    let long = vec![7; 100_000];
    let mut said = vec![notice(1); 5000];
    said.push(Message::ReplJob { job: image(&long), no_reply: false });
    said.push(notice(2));
    for message in &said {
        writer.push(&header_of_ours(), message, NOW);
    }
    let stream = writer.bytes().to_vec();
    let lens: Vec<usize> = frames(&stream).iter().map(Vec::len).collect();
    // 144 + 2616 × 25 is the first length that is not less.
    assert_eq!(lens[0], 65_544);
    assert_eq!(lens.len(), 3);
    assert!(lens[1] > 100_000, "the rest of the notices and the long job");
    assert_eq!(lens[2], 144 + 25);
    assert_eq!(messages(&stream, NOW), said);
}

#[test]
fn a_writer_grows_to_what_a_turn_needs_and_gives_back_what_only_one_needed() {
    let mut writer = writer();
    let mut turn = |body: &[u8]| {
        for _ in 0..64 {
            writer.push(&header_of_ours(), &Message::ReplJob { job: image(body), no_reply: false }, NOW);
        }
        // A link that takes half at a time.
        while writer.pending() > 0 {
            let len = writer.bytes().len().div_ceil(2);
            writer.consume(len);
        }
        writer.heap_bytes()
    };
    let needed = turn(&[7; 100]);
    for _ in 0..100 {
        assert_eq!(turn(&[7; 100]), needed);
    }
    assert!(turn(&[7; 100_000]) <= 256 * 1024);
}

#[test]
fn features_that_are_learned_later_leave_what_was_said_as_it_is() {
    let mut writer = FrameWriter::new();
    writer.push(&header_of_ours(), &notice(1), NOW);
    writer.set_features(Some(Features::OURS));
    writer.push(&header_of_ours(), &notice(2), NOW);
    writer.set_features(None);
    writer.push(&header_of_ours(), &notice(3), NOW);
    let stream = writer.bytes().to_vec();
    assert_eq!(frames(&stream).iter().map(|frame| message_type(frame)).collect::<Vec<_>>(), [5, 16, 5]);
    assert_eq!(messages(&stream, NOW), [notice(1), notice(2), notice(3)]);
}

#[test]
fn messages_that_rc1_does_not_know_are_not_sent_to_it() {
    let holders = Message::Holders { job: job_id(1), nodes: Cow::Borrowed(&[]) };
    let have_jobs = Message::HaveJobs { queue: Cow::Borrowed(b"q") };
    for peer in [None, Some(Features::NONE), Some(Features::CHECKSUM)] {
        let mut writer = FrameWriter::new();
        writer.set_features(peer);
        for message in [&holders, &have_jobs, &Message::SyncJob { job: image(b"x") }, &Message::LostJobs] {
            assert!(!writer.push(&header_of_ours(), message, NOW));
        }
        assert_eq!((writer.pending(), writer.bytes().len()), (0, 0));
    }
}

#[test]
fn each_message_of_ours_goes_only_to_those_who_announced_that_they_know_it() {
    let sync_job = Message::SyncJob { job: image(b"x") };
    for (message, feature) in [(sync_job, Features::DISK), (Message::LostJobs, Features::LOSSES)] {
        for (peer, knows) in [
            (Features::BATCH, false),
            (feature, false),
            (Features::from_bits(Features::ALL.bits() & !feature.bits()), false),
            (Features::BATCH.and(feature), true),
            (Features::ALL, true),
        ] {
            let mut writer = FrameWriter::new();
            writer.set_features(Some(peer));
            assert_eq!(writer.push(&header_of_ours(), &message, NOW), knows, "{} {peer:?}", message.name());
            assert_eq!(messages(writer.bytes(), NOW), if knows { vec![message.clone()] } else { vec![] });
        }
    }
}

#[test]
fn a_node_that_announces_nothing_is_taken_for_rc1_and_speaks_like_it() {
    let header = Header { features: None, ..header_of_ours() };
    let mut writer = writer();
    writer.push(&header, &notice(1), NOW);
    writer.push(&header, &Message::Fail { node: header.sender }, NOW);
    let expected = [
        rc1_frame(&header, &notice(1), NOW),
        rc1_frame(&header, &Message::Fail { node: header.sender }, NOW),
    ];
    assert_eq!(writer.bytes(), expected.concat());
}

#[test]
fn more_jobs_than_one_message_takes_go_in_several() {
    let jobs = vec![image(b"body"); 250];
    for peer in [None, Some(Features::OURS)] {
        let mut writer = FrameWriter::new();
        writer.set_features(peer);
        writer.push(&header_of_ours(), &Message::YourJobs { jobs: jobs.clone() }, NOW);
        let stream = writer.bytes().to_vec();
        let lens: Vec<usize> = messages(&stream, NOW)
            .iter()
            .map(|message| match message {
                Message::YourJobs { jobs } => jobs.len(),
                other => panic!("{}", other.name()),
            })
            .collect();
        assert_eq!(lens, [100, 100, 50], "{peer:?}");
    }
    let long = vec![7; 7 << 20];
    let mut writer = FrameWriter::new();
    let jobs = vec![image(&long); 5];
    writer.push(&header_of_ours(), &Message::YourJobs { jobs }, NOW);
    let frames = frames(writer.bytes());
    assert_eq!(frames.len(), 3, "two of 7 MiB make a message of less than 16 MiB");
    assert!(frames.iter().all(|frame| frame.len() < 16 << 20));
}

/// A batch of one notice, whose body is replaced by `body`.
fn batch(body: &[u8]) -> Vec<u8> {
    let peer = Some(Features::BATCH);
    let mut bytes = frame_for(peer, &header_of_ours(), &notice(1), NOW);
    bytes.truncate(BODY);
    bytes.extend_from_slice(body);
    let len = bytes.len() as u32;
    bytes[4..8].copy_from_slice(&len.to_be_bytes());
    bytes
}

#[test]
fn a_message_that_cannot_be_read_ends_its_batch_but_not_the_link() {
    let good = batch(&frame_for(Some(Features::BATCH), &header_of_ours(), &notice(1), NOW)[BODY..]);
    let entry = &good[BODY..];
    let with_id = |head: u8, behind: &[u8]| [&[head], &entry[1..], behind].concat();
    for (kind, bad, fault) in [
        (5, entry[..24].to_vec(), BatchFault::Cut),
        (0, vec![0; 40], BatchFault::Kind),
        (16, vec![16; 40], BatchFault::Kind),
        (31, vec![0xff; 40], BatchFault::Kind),
        (6, with_id(6, &[0xff; 10]), BatchFault::Number),
        (6, with_id(6, &[0xff; 9]), BatchFault::Cut),
        (8, with_id(8, &[0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0x1f]), BatchFault::Number),
        (12, vec![12, 1, 5, b'q'], BatchFault::Cut),
        (13, vec![13, 0], BatchFault::JobCount(0)),
        (13, vec![13, 101], BatchFault::JobCount(101)),
        (13, vec![13, 100], BatchFault::Cut),
        (17, with_id(17, &[3, 0]), BatchFault::Cut),
        (17, with_id(17, &[0x81, 0x80, 4]), BatchFault::TooLong { part: "list of nodes", len: 65_537 }),
        (
            18,
            vec![18, 0x81, 0x80, 0x80, 0x80, 2],
            BatchFault::TooLong { part: "queue name", len: (512 << 20) + 1 },
        ),
    ] {
        let behind = if fault == BatchFault::Cut { &[][..] } else { entry };
        let frame = batch(&[entry, &bad, behind].concat());
        let (_, mut messages) = decode(&frame, NOW).expect("a batch");
        assert_eq!(messages.next(), Some(Ok(notice(1))), "what stands before is taken");
        let error = BusError::InBatch { kind, at: BODY + entry.len(), fault };
        assert_eq!(messages.next(), Some(Err(error)));
        assert_eq!(messages.next(), None);
        assert!(!error.closes_link());
    }
    let empty = batch(b"");
    assert_eq!(decode(&empty, NOW).map(|_| ()), Err(BusError::Length { message_type: 16, len: BODY }));
}

#[test]
fn a_batch_without_the_marker_is_an_unknown_message() {
    let mut frame = frame_for(Some(Features::BATCH), &header_of_ours(), &notice(1), NOW);
    assert!(only(&frame, NOW).is_ok());
    frame[102] = 0;
    assert_eq!(only(&frame, NOW), Err(BusError::UnknownType(16)));
}

#[test]
fn a_job_in_a_batch_says_no_more_than_one_in_a_frame() {
    let job = JobImage { flags: 0xff, ..image(b"body") };
    let frame =
        frame_for(Some(Features::BATCH), &header_of_ours(), &Message::ReplJob { job, no_reply: true }, NOW);
    assert_eq!(frame[BODY + 1 + 25], 0xfb, "that its holder delivered it is for the holder");
    let mut believed = frame.clone();
    believed[BODY + 1 + 25] = 0xff;
    believed[BODY + 1 + 24] = 0xa1;
    assert_eq!(only(&believed, NOW), only(&frame, NOW));
}

/// The offsets of the tables in `bus/batch`.
#[test]
fn a_batch_is_laid_out_as_documented() {
    let job = JobImage { nodes: Cow::Owned(vec![NodeId::from_bytes([7; 20])]), nacks: 300, ..image(b"body") };
    let said = Message::ReplJob { job, no_reply: true };
    let frame = frame_for(Some(Features::BATCH), &header_of_ours(), &said, NOW);
    let mut expected = vec![4 | 1 << 5];
    expected.extend_from_slice(job_id(2).bytes());
    expected.extend_from_slice(&[1, 0, 3, 0]);
    expected.extend_from_slice(&(NOW.0 * 1_000_000).to_le_bytes());
    expected.extend_from_slice(&[0x80, 0xb8, 0x99, 0x29]); // 86,400,000
    expected.push(0);
    expected.extend_from_slice(&[0xdc, 0x0b]); // 1500
    expected.extend_from_slice(&[0xac, 0x02, 0]); // 300 and 0
    expected.extend_from_slice(b"\x06emails\x04body\x01");
    expected.extend_from_slice(&[7; 20]);
    assert_eq!(frame[BODY..], expected);
    assert_eq!(frame[12..14], [0, 16]);
    assert_eq!(frame[102..110], *b"DqF1\0\0\0\x07");
}

fn sealed_frames() -> Vec<Vec<u8>> {
    let gossip = Message::Pong { gossip: Vec::new() };
    let job = Message::ReplJob { job: image(b"Hello, world"), no_reply: false };
    vec![
        frame_for(Some(Features::CHECKSUM), &header_of_ours(), &gossip, NOW),
        frame_for(Some(Features::CHECKSUM), &header_of_ours(), &notice(1), NOW),
        frame_for(Some(Features::OURS), &header_of_ours(), &job, NOW),
    ]
}

/// CRC-16/XMODEM, one bit at a time.
fn naive_checksum(bytes: &[u8]) -> u16 {
    let shift = |sum: u16, bit: u8| (sum << 1) ^ if sum >> 15 == u16::from(bit) { 0 } else { 0x1021 };
    bytes.iter().fold(0, |sum, byte| (0..8).rev().fold(sum, |sum, at| shift(sum, byte >> at & 1)))
}

#[test]
fn the_checksum_and_its_sign_stand_where_documented() {
    assert_eq!(naive_checksum(b"123456789"), 0x31c3);
    for mut frame in sealed_frames() {
        let word = |at: usize| u16::from_be_bytes([frame[at], frame[at + 1]]);
        let (checksum, inverted) = (word(134), word(10));
        assert_eq!((inverted, frame[140]), (!checksum, 0xc5));
        frame[134..136].fill(0);
        frame[10..12].fill(0);
        assert_eq!(naive_checksum(&frame), checksum);
    }
}

/// Panics if one of these damages, patterns that begin with bit `first`, goes unnoticed.
fn assert_noticed(frame: &mut [u8], first: usize, patterns: impl Iterator<Item = u16>) {
    for pattern in patterns {
        flip(frame, first, pattern);
        assert!(decode(frame, NOW).is_err(), "bit {first}, pattern {pattern:016b}");
        flip(frame, first, pattern);
    }
}

#[test]
fn every_damage_within_16_bits_of_a_frame_with_a_checksum_is_noticed() {
    for mut frame in sealed_frames() {
        only(&frame, NOW).expect("a good frame");
        for first in 0..frame.len() * 8 {
            // Single bits and short bursts everywhere, all others at some places: the sum knows no places.
            let longest = if first % 127 == 0 { u16::MAX } else { 15 };
            assert_noticed(&mut frame, first, (1..=longest).step_by(2));
        }
    }
}

#[test]
fn damage_that_reaches_into_the_checksum_or_its_sign_is_noticed() {
    let mut frame = sealed_frames().swap_remove(0);
    for border in [10, 12, 134, 136, 140, 141] {
        for first in border * 8 - 15..border * 8 {
            assert_noticed(&mut frame, first, (1..=u16::MAX).step_by(2));
        }
    }
}

/// Flips the bits of a pattern, the lowest at `first`; those beyond the end are lost.
fn flip(frame: &mut [u8], first: usize, pattern: u16) {
    for bit in (0..16).filter(|bit| pattern >> bit & 1 == 1) {
        if let Some(byte) = frame.get_mut((first + bit) / 8) {
            *byte ^= 0x80 >> ((first + bit) % 8);
        }
    }
}

#[test]
fn a_wrong_checksum_closes_the_link() {
    for frame in sealed_frames() {
        for at in [60, 100, 138, BODY - 1, frame.len() - 1] {
            let mut damaged = frame.clone();
            damaged[at] ^= 0x10;
            let error = decode(&damaged, NOW).map(|_| ()).expect_err("it is damaged");
            assert!(matches!(error, BusError::Checksum { .. }) && error.closes_link(), "{error}");
        }
    }
}

/// The frames of a stream that comes in pieces of these sizes, again and again.
fn frames_in_pieces(stream: &[u8], sizes: &[usize]) -> Vec<Vec<u8>> {
    let (mut reader, mut found, mut rest) = (FrameReader::new(MAX_FRAME_LEN), Vec::new(), stream);
    for size in sizes.iter().cycle() {
        let (piece, behind) = rest.split_at((*size).min(rest.len()));
        rest = behind;
        reader.feed(piece);
        while let Some(frame) = reader.next_frame().expect("good frames") {
            found.push(frame.to_vec());
        }
        if rest.is_empty() {
            return found;
        }
    }
    unreachable!("sizes repeat")
}

fn plain_talk() -> impl Strategy<Value = (UnixMillis, Header, Vec<Message<'static>>)> {
    now().prop_flat_map(|now| (Just(now), header(), vec(message(now), 1..30)))
}

fn rich_talk() -> impl Strategy<Value = (UnixMillis, Header, Vec<Message<'static>>)> {
    now().prop_flat_map(|now| (Just(now), header(), vec(rich_message(now), 1..30)))
}

proptest! {
    #[test]
    fn capable_peers_hear_everything_however_the_stream_is_split(
        (now, header, said) in rich_talk(),
        sizes in vec(1_usize..900, 1..20),
        turns in vec(any::<bool>(), 30),
    ) {
        let header = Header { features: Some(Features::ALL), ..header };
        let (mut writer, mut stream) = (writer(), Vec::new());
        for (message, turn) in said.iter().zip(turns) {
            prop_assert!(writer.push(&header, message, now));
            if turn {
                let len = writer.bytes().len();
                let part = sizes[0].min(len);
                stream.extend_from_slice(&writer.bytes()[..part]);
                writer.consume(part);
            }
        }
        stream.extend_from_slice(writer.bytes());
        prop_assert_eq!(frames_in_pieces(&stream, &sizes), frames(&stream));
        prop_assert_eq!(messages(&stream, now), said);
    }

    #[test]
    fn rc1_hears_all_that_it_can_be_told((now, header, said) in plain_talk()) {
        let mut writer = FrameWriter::new();
        said.iter().for_each(|message| assert!(writer.push(&header, message, now)));
        prop_assert_eq!(messages(writer.bytes(), now), said);
    }

    #[test]
    fn an_rc1_peer_gets_nothing_new_but_the_announcement((now, header, said) in rich_talk()) {
        let mut writer = FrameWriter::new();
        for message in &said {
            writer.push(&header, message, now);
        }
        for frame in frames(writer.bytes()) {
            prop_assert!(message_type(&frame) <= 15);
            prop_assert!(reserved(&frame).iter().all(|byte| *byte == 0));
            let body = &frame[BODY..];
            match message_type(&frame) {
                0..=2 => for entry in body.chunks(104) {
                    let flags = u16::from_be_bytes([entry[96], entry[97]]);
                    prop_assert_eq!(flags & !0x9f, 0, "flags without a name make it abort");
                },
                4 => prop_assert_eq!(&body[..4], &[0, 0, 0, 1]),
                6 => {
                    let secs = u32::from_be_bytes(body[40..44].try_into().expect("four bytes"));
                    prop_assert!(secs.checked_mul(1000).is_some());
                }
                12 => {
                    let count = u32::from_be_bytes(body[..4].try_into().expect("four bytes"));
                    prop_assert!((1..=MAX_JOBS).contains(&count), "it writes past an array");
                }
                13 => prop_assert!(u32::from_be_bytes(body[..4].try_into().expect("four bytes")) <= MAX_JOBS),
                _ => {}
            }
        }
    }

    #[test]
    fn only_peers_that_announced_it_get_checksums_and_batches(
        (now, header, said) in rich_talk(),
        peer in proptest::option::of(features()),
    ) {
        let mut writer = FrameWriter::new();
        writer.set_features(peer);
        for message in &said {
            writer.push(&header, message, now);
        }
        let both = |feature| [peer, header.features].iter().all(|side| side.is_some_and(|f| f.contains(feature)));
        for frame in frames(writer.bytes()) {
            prop_assert_eq!(frame[140] == 0xc5, both(Features::CHECKSUM));
            prop_assert_eq!(message_type(&frame) == 16, both(Features::BATCH) && !is_heartbeat(&frame));
        }
    }

    #[test]
    fn what_rc1_hears_of_a_rich_message_is_the_same_message((now, header, said) in rich_talk()) {
        for message in said {
            let mut writer = FrameWriter::new();
            if !writer.push(&header, &message, now) {
                let ours = ["HOLDERS", "HAVEJOBS", "SYNCJOB", "LOSTJOBS"];
                prop_assert!(ours.contains(&message.name()), "{}", message.name());
                continue;
            }
            let stream = writer.bytes().to_vec();
            let heard = messages(&stream, now);
            prop_assert_eq!(heard.len(), 1);
            assert_rounded(&heard[0], &message_of_rc1(message), now);
        }
    }

    #[test]
    fn any_bytes_in_a_batch_are_messages_or_an_error(body in vec(any::<u8>(), 1..400)) {
        crate::properties::assert_sound(&batch(&body));
    }

    #[test]
    fn damaged_batches_do_no_harm(
        (now, header, said) in rich_talk(),
        flips in vec(any::<prop::sample::Index>(), 1..6),
    ) {
        let without_checksum = Some(Features::BATCH.and(Features::LOSSES).and(Features::DISK));
        let header = Header { features: without_checksum, ..header };
        let mut writer = FrameWriter::new();
        writer.set_features(without_checksum);
        said.iter().for_each(|message| assert!(writer.push(&header, message, now)));
        let mut stream = writer.bytes().to_vec();
        let body = BODY..stream.len();
        for flip in flips.iter().filter(|_| !body.is_empty()) {
            let bit = flip.index(body.len() * 8);
            stream[BODY + bit / 8] ^= 1 << (bit % 8);
        }
        let mut reader = FrameReader::new(MAX_FRAME_LEN);
        reader.feed(&stream);
        while let Ok(Some(frame)) = reader.next_frame() {
            crate::properties::assert_sound(frame);
        }
    }
}

/// That spans came over rounded up to seconds, or cut, and all else as it was.
fn assert_rounded(heard: &Message<'_>, said: &Message<'static>, now: UnixMillis) {
    let round = |span: Span32| {
        let secs = span.millis().secs_ceil().min(u64::from(JobImage::MAX_SPAN_SECS));
        Span32::new(Millis::from_secs(secs))
    };
    let round_job = |job: JobImage<'static>| {
        let most = u64::from(u32::MAX).saturating_sub(now.secs()) - 1;
        let left = job.expires_at.since(now).secs_ceil().min(most);
        let expires_at = now + Millis::from_secs(left);
        JobImage { expires_at, delay: round(job.delay), retry: round(job.retry), ..job }
    };
    let expected = match said.clone() {
        Message::Notice { job, notice: Notice::Enqueue { delay } } => {
            Message::Notice { job, notice: Notice::Enqueue { delay: round(delay) } }
        }
        Message::ReplJob { job, no_reply } => Message::ReplJob { job: round_job(job), no_reply },
        Message::YourJobs { jobs } => Message::YourJobs { jobs: jobs.into_iter().map(round_job).collect() },
        other => other,
    };
    assert_eq!(*heard, expected);
}
