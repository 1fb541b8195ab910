//! What holds for all messages and for all bytes.

use disque::bus::{Features, FrameReader, Gossip, Header, MAX_FRAME_LEN, Message, decode};
use disque::types::{Form, JobImage, NodeId, UnixMillis};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::arbitrary::{header, job_image, message, now};
use crate::frames::NOW;
use crate::vectors;
use crate::wire::{frame_for, only, rc1_frame};

/// The length of a message's frame by the table of cluster-bus.md 5.
fn documented_len(message: &Message<'_>) -> usize {
    let job = |job: &JobImage<'_>| 4 + 80 + job.queue.len() + job.body.len() + 40 * job.nodes.len();
    match message {
        Message::Ping { gossip } | Message::Pong { gossip } | Message::Meet { gossip } => {
            144 + 104 * gossip.len()
        }
        Message::Fail { .. } => 184,
        Message::ReplJob { job: image, .. } => 152 + job(image),
        Message::YourJobs { jobs } => 152 + jobs.iter().map(job).sum::<usize>(),
        Message::NeedJobs { queue, .. } | Message::Pause { queue, .. } => 152 + queue.len(),
        _ => 188,
    }
}

/// A header as it arrives with a message that is a frame of its own.
fn arrived(header: Header, message: &Message<'_>) -> Header {
    match message {
        Message::Ping { .. } | Message::Pong { .. } | Message::Meet { .. } => header,
        _ => Header { ip: None, bus_port: None, features: None, ..header },
    }
}

/// Lists that a message holds must not have taken more memory than a few times what the frame has bytes for them.
fn assert_modest(message: &Message<'_>, frame_len: usize) {
    const { assert!(size_of::<Gossip>() < 104 && size_of::<NodeId>() < 40 && size_of::<JobImage<'_>>() < 2 * 84) }
    let nodes = |job: &JobImage<'_>| 40 * job.nodes.clone().into_owned().capacity();
    let bytes = match message {
        Message::Ping { gossip } | Message::Pong { gossip } | Message::Meet { gossip } => {
            104 * gossip.capacity()
        }
        Message::ReplJob { job, .. } => 84 + nodes(job),
        Message::YourJobs { jobs } => 84 * jobs.capacity() + jobs.iter().map(nodes).sum::<usize>(),
        Message::Holders { nodes, .. } => 40 * nodes.clone().into_owned().capacity(),
        _ => 0,
    };
    // In a batch a node takes half, and the shortest job is half as long.
    assert!(bytes <= 2 * frame_len, "{bytes} bytes for a frame of {frame_len}");
}

/// Whatever a frame says, what was understood of it can be said again, and is then understood the same.
pub fn assert_sound(frame_bytes: &[u8]) {
    let Ok((header, messages)) = decode(frame_bytes, NOW) else { return };
    // What is said again is said by a node that may say everything.
    let header = Header { features: Some(Features::ALL), ..header };
    for message in messages.map_while(Result::ok) {
        assert_modest(&message, frame_bytes.len());
        let said_again = frame_for(Some(Features::ALL), &header, &message, NOW);
        let (again, same) = only(&said_again, NOW).expect("what was encoded can be decoded");
        assert_eq!((again, same), (header, message.clone()));
        let is_ours = matches!(
            message,
            Message::Holders { .. } | Message::HaveJobs { .. } | Message::SyncJob { .. } | Message::LostJobs
        );
        if !is_ours {
            let told_rc1 = rc1_frame(&header, &message, NOW);
            let (header, message) = only(&told_rc1, NOW).expect("what was encoded can be decoded");
            assert!(
                rc1_frame(&header, &message, NOW) == told_rc1,
                "once cut to what RC1 takes, nothing changes any more"
            );
        }
    }
}

fn with_time() -> impl Strategy<Value = (UnixMillis, Header, Message<'static>)> {
    now().prop_flat_map(|now| (Just(now), header(), message(now)))
}

/// Bytes that pass the first checks, with any type and any body.
fn almost_a_frame() -> impl Strategy<Value = Vec<u8>> {
    (header(), prop_oneof![0..18_u16, Just(16)], 0..4_u16, vec(any::<u8>(), 0..400), any::<u32>()).prop_map(
        |(header, message_type, count, mut body, number)| {
            let mut bytes = rc1_frame(&header, &Message::Ping { gossip: Vec::new() }, NOW);
            // Sometimes with a count and a length in front of the body that could be right.
            if number % 2 == 0 && body.len() >= 12 {
                let len = body.len() as u32;
                body[..4].copy_from_slice(&(number % 5).to_be_bytes());
                body[4..8].copy_from_slice(&(len - 8).to_be_bytes());
                body[8..12].copy_from_slice(&(len - 12).to_le_bytes());
            }
            bytes.extend_from_slice(&body);
            let len = bytes.len() as u32;
            bytes[4..8].copy_from_slice(&len.to_be_bytes());
            bytes[12..14].copy_from_slice(&message_type.to_be_bytes());
            bytes[14..16].copy_from_slice(&count.to_be_bytes());
            bytes
        },
    )
}

#[test]
fn no_flipped_bit_of_a_recorded_frame_does_harm() {
    for name in vectors::frame_names() {
        let mut bytes = vectors::frame(&name);
        for bit in 0..bytes.len() * 8 {
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert_sound(&bytes);
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
    }
}

/// Every length and count of a job, one after the other, at values where arithmetic goes wrong.
#[test]
fn no_number_in_a_recorded_frame_does_harm() {
    for name in vectors::frame_names() {
        let bytes = vectors::frame(&name);
        for at in (4..bytes.len().saturating_sub(3)).chain([4]) {
            for number in [0, 1, 40, 0x0666_6667, 0x7fff_ffff, 0x8000_0000, 0xffff_fffb, 0xffff_ffff_u32] {
                for field in [number.to_be_bytes(), number.to_le_bytes()] {
                    let mut damaged = bytes.clone();
                    damaged[at..at + 4].copy_from_slice(&field);
                    assert_sound(&damaged);
                }
            }
        }
    }
}

proptest! {
    #[test]
    fn what_was_encoded_is_decoded_to_the_same_message((now, header, message) in with_time()) {
        let bytes = rc1_frame(&header, &message, now);
        prop_assert_eq!(bytes.len(), documented_len(&message));
        prop_assert_eq!(only(&bytes, now), Ok((arrived(header, &message), message)));
    }

    #[test]
    fn an_image_survives_a_file(image in job_image(Form::Storage), behind in vec(any::<u8>(), 0..9)) {
        let mut bytes = Vec::new();
        image.encode(Form::Storage, &mut bytes);
        prop_assert_eq!(bytes.len(), image.encoded_len());
        bytes.extend_from_slice(&behind);
        prop_assert_eq!(JobImage::decode(&bytes, Form::Storage), Ok((image, &behind[..])));
    }

    #[test]
    fn any_bytes_are_a_message_or_an_error(bytes in vec(any::<u8>(), 0..400)) {
        assert_sound(&bytes);
        let _ = JobImage::decode(&bytes, Form::Storage);
    }

    #[test]
    fn anything_behind_a_good_header_is_a_message_or_an_error(bytes in almost_a_frame()) {
        assert_sound(&bytes);
    }

    #[test]
    fn flipped_bits_of_any_message_do_no_harm(
        (now, header, message) in with_time(),
        flips in vec(any::<prop::sample::Index>(), 1..6),
    ) {
        let mut bytes = rc1_frame(&header, &message, now);
        for flip in flips {
            let bit = flip.index(bytes.len() * 8);
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
        assert_sound(&bytes);
    }

    #[test]
    fn a_stream_gives_the_same_frames_however_it_is_split(
        messages in vec(with_time(), 0..8),
        sizes in vec(1_usize..400, 1..20),
    ) {
        let frames: Vec<Vec<u8>> =
            messages.iter().map(|(now, header, message)| rc1_frame(header, message, *now)).collect();
        let stream = frames.concat();
        let (mut reader, mut found, mut at) = (FrameReader::new(MAX_FRAME_LEN), Vec::new(), 0);
        for size in sizes.iter().cycle() {
            let end = stream.len().min(at + size);
            reader.feed(&stream[at..end]);
            at = end;
            // Not every turn of a loop takes all that is there.
            for _ in 0..size % 4 {
                found.extend(reader.next_frame().expect("good frames").map(<[u8]>::to_vec));
            }
            if at == stream.len() {
                break;
            }
        }
        while let Some(frame) = reader.next_frame().expect("good frames") {
            found.push(frame.to_vec());
        }
        prop_assert_eq!(found, frames);
        prop_assert_eq!(reader.pending(), 0);
    }

    #[test]
    fn a_reader_holds_little_more_than_it_was_fed(chunks in vec(vec(any::<u8>(), 0..600), 0..20)) {
        let mut reader = FrameReader::new(MAX_FRAME_LEN);
        let mut fed = 0;
        for chunk in &chunks {
            reader.feed(chunk);
            fed += chunk.len();
            while let Ok(Some(_)) = reader.next_frame() {}
            prop_assert!(reader.pending() <= fed && reader.heap_bytes() <= 2 * fed + 16);
        }
    }
}
