//! Frames that servers sent.

use disque::bus::{BusError, FrameReader, Header, MAX_FRAME_LEN, Message, compare_for_job, decode};
use disque::types::{JobId, NodeId, UnixMillis};
use std::cmp::Ordering;

use crate::show;
use crate::vectors::{Legend, frame, frame_names, text};
use crate::wire::{only, rc1_frame};

/// When the frames are received, in these tests. Not a whole second: nothing may depend on that.
pub const NOW: UnixMillis = UnixMillis(1_795_315_000_123);

/// Takes bytes as a link does: cut into a frame, decoded, nothing left over.
pub fn receive(bytes: &[u8], check: impl FnOnce(Result<(Header, Message<'_>), BusError>)) {
    let mut reader = FrameReader::new(MAX_FRAME_LEN);
    reader.feed(bytes);
    match reader.next_frame() {
        Ok(frame) => check(only(frame.expect("a whole frame"), NOW)),
        Err(error) => check(Err(error)),
    }
    assert!(reader.next_frame().is_err() || reader.pending() == 0);
}

/// What is documented of each frame, by its name.
fn documented(text: &str) -> Vec<(&str, String)> {
    let blocks = text.split("\n\n").skip(1);
    blocks.map(|block| (block.split(' ').next().expect("a name"), block.trim_end().to_owned())).collect()
}

#[test]
fn every_recorded_frame_says_what_is_documented_and_is_encoded_to_the_same_bytes() {
    let text = text("frames.txt");
    let legend = Legend::of(&text);
    let documented = documented(&text);
    let names: Vec<String> = frame_names().into_iter().filter(|name| !name.starts_with("probe-")).collect();
    assert_eq!(documented.len(), names.len());
    for (name, expected) in documented {
        let bytes = frame(name);
        receive(&bytes, |outcome| {
            let (header, message) = outcome.unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!(show::frame(name, bytes.len(), &header, &message, NOW, &legend), expected);
            assert_eq!(header.features, None, "{name}: servers of that version announce nothing");
            assert!(rc1_frame(&header, &message, NOW) == bytes, "{name}: other bytes");
        });
    }
}

#[test]
fn a_recorded_frame_with_another_length_than_it_announces_is_no_message() {
    for name in frame_names().iter().filter(|name| !name.starts_with("probe-")) {
        let bytes = frame(name);
        for cut in [0, 8, 143, 144, bytes.len() - 1] {
            if cut < bytes.len() {
                assert!(decode(&bytes[..cut], NOW).is_err(), "{name} cut to {cut}");
            }
        }
        let longer = [&bytes[..], &[0]].concat();
        assert!(matches!(only(&longer, NOW), Err(BusError::Length { .. })), "{name} with one byte more");
    }
}

/// Observed: a node with the job queued that receives QUEUED takes it out if the sender is the greater one.
#[test]
fn the_greater_of_two_nodes_is_the_one_that_kept_the_job() {
    let node = |text: &str| NodeId::parse(text.as_bytes()).expect("a node ID");
    let sender = node("9009a8a8acf4609f97c11fbde2557d6e1fd5e4b1");
    let receiver = node("bb5714630a234f53e617425af46821df785cac14");
    for (job, sender_kept_it) in [
        ("D-9009a8a8-EqV8ib8HDy88YtDtXbiufMdI-05a1", true),
        ("D-9009a8a8-8X2Y4rUmer/BH3M1XS0DRdJu-05a1", false),
        ("D-9009a8a8-PnBIKpi99lSi0tcL21pffWQJ-05a1", true),
        ("D-9009a8a8-EeNajnez0LHtfROUrWW6XnI3-05a1", true),
        ("D-9009a8a8-EM3HMRb1OcWrhQ7TTJ+chcVG-05a1", true),
        ("D-9009a8a8-6MOwUxOVHMWndqNCIEPx3mnP-05a1", false),
        ("D-9009a8a8-QC4vkRB5ICpeyOxJRkSq1LI7-05a1", true),
        ("D-9009a8a8-S1L10e0tza93Ce6KRDiKpFfe-05a1", true),
    ] {
        let id = JobId::parse(job.as_bytes()).expect("a job ID");
        let order = if sender_kept_it { Ordering::Greater } else { Ordering::Less };
        assert_eq!(compare_for_job(id, sender, receiver), order, "{job}");
        assert_eq!(compare_for_job(id, receiver, sender), order.reverse(), "{job}");
    }
}
