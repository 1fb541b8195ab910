//! Files of records, whole and damaged.

use proptest::collection::vec;
use proptest::prelude::*;

use super::record::tests::{any_record, sample_job};
use super::*;
use crate::types::{BodyArg, NodeId, UnixMillis};

const SALT: u64 = 0x1234_5678_9abc_def0;

/// A file of these records, and where each frame begins; its end comes last.
fn file<'a>(records: impl IntoIterator<Item = &'a Record<'a>>) -> (Vec<u8>, Vec<u64>) {
    let header = FileHeader::new(FileKind::Log, 1, UnixMillis(1), SALT, NodeId::from_bytes([1; 20]));
    let mut bytes = header.encode().to_vec();
    let mut framer = Framer::new(SALT, HEADER_LEN as u64);
    let mut places = vec![framer.offset()];
    let mut payload = Vec::new();
    for record in records {
        payload.clear();
        record.encode(&mut payload);
        framer.frame(record.kind(), &payload, &mut bytes);
        places.push(framer.offset());
    }
    assert_eq!(framer.offset(), bytes.len() as u64);
    (bytes, places)
}

fn jobs(count: u32) -> Vec<Record<'static>> {
    (0..count).map(sample_job).collect()
}

/// What a reader says of a file.
#[derive(Debug, Default, PartialEq)]
struct Reading {
    /// The places of the records, and their payloads.
    records: Vec<(u64, Vec<u8>)>,
    unknown: Vec<u8>,
    damaged: Vec<(u64, u64)>,
    /// Where the records end, and how many bytes follow.
    end: (u64, u64),
    header_damaged: bool,
}

impl Reading {
    fn places(&self) -> Vec<u64> {
        self.records.iter().map(|(at, _)| *at).collect()
    }

    fn is_clean(&self) -> bool {
        self.damaged.is_empty() && self.end.1 == 0 && !self.header_damaged
    }
}

/// Reads a file that comes in pieces of at most `piece` bytes.
fn read(mut bytes: &[u8], piece: usize) -> Result<Reading, ReadError> {
    let mut reader = Reader::new();
    let mut reading = Reading::default();
    loop {
        match reader.advance()? {
            Next::Record { at, end, record } => {
                let mut payload = Vec::new();
                record.encode(&mut payload);
                assert_eq!(end - at, (FRAME_HEADER_LEN + payload.len()) as u64);
                reading.records.push((at, payload));
            }
            Next::Unknown { kind, .. } => reading.unknown.push(kind),
            Next::Damaged { at, len } => reading.damaged.push((at, len)),
            Next::End { at, tail } => {
                reading.end = (at, tail);
                reading.header_damaged =
                    matches!(reader.format(), Some(Format::Framed { damaged: true, .. }));
                return Ok(reading);
            }
            Next::NeedMore => {
                let n = piece.min(bytes.len());
                let filled = reader.fill(|room| {
                    room[..n].copy_from_slice(&bytes[..n]);
                    Ok(n)
                });
                assert_eq!(filled.expect("it is only copied"), n);
                bytes = &bytes[n..];
            }
        }
    }
}

fn read_whole(bytes: &[u8]) -> Reading {
    read(bytes, 1 << 16).expect("the file can be read")
}

#[test]
fn one_flipped_bit_anywhere_is_noticed_and_costs_its_record_only() {
    let records = jobs(100);
    let (whole, places) = file(&records);
    for at in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[at] ^= 1 << (at % 8);
        let reading = read_whole(&bytes);
        assert!(!reading.is_clean(), "byte {at} is not noticed");
        let hit = places.windows(2).position(|place| (place[0]..place[1]).contains(&(at as u64)));
        let expected: Vec<u64> =
            (0..100).filter(|number| Some(*number) != hit).map(|number| places[number]).collect();
        assert_eq!(reading.places(), expected, "byte {at}");
        match hit {
            None => assert!(reading.header_damaged, "byte {at}"),
            Some(99) => assert_eq!(reading.end, (places[99], places[100] - places[99]), "byte {at}"),
            Some(hit) => {
                assert_eq!(reading.damaged, [(places[hit], places[hit + 1] - places[hit])], "byte {at}");
                assert_eq!(reading.end, (places[100], 0));
            }
        }
    }
}

#[test]
fn a_record_that_was_not_written_to_its_end_is_the_end_wherever_it_was_cut() {
    let (whole, places) = file(&jobs(3));
    for cut in places[2]..=places[3] {
        let reading = read_whole(&whole[..cut as usize]);
        let (end, records) = if cut == places[3] { (places[3], 3) } else { (places[2], 2) };
        assert_eq!(reading.end, (end, cut - end), "cut at {cut}");
        assert_eq!((reading.records.len(), reading.damaged.len()), (records, 0), "cut at {cut}");
    }
}

#[test]
fn zeros_and_garbage_behind_a_cut_record_are_the_end() {
    let (whole, places) = file(&jobs(3));
    let garbage: Vec<u8> = (0..5000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    // An old block: the file's own beginning, at another place.
    let stale = [&whole[..], &whole[..]].concat();
    for cut in places[2]..=places[3] {
        for tail in [&[0; 4096][..], &garbage, &stale, b"\n"] {
            let bytes = [&whole[..cut as usize], tail].concat();
            let reading = read_whole(&bytes);
            let (end, records) = if cut == places[3] { (places[3], 3) } else { (places[2], 2) };
            assert_eq!(reading.records.len(), records, "cut at {cut}");
            assert_eq!(reading.end, (end, bytes.len() as u64 - end), "cut at {cut}");
        }
    }
}

#[test]
fn a_file_that_was_never_written_to_is_empty() {
    let (whole, _) = file(&[]);
    for bytes in [&[][..], &whole[..1], &whole[..HEADER_LEN - 1], &[0; 100], &[0; 10_000]] {
        let reading = read_whole(bytes);
        assert_eq!((reading.records.len(), reading.end), (0, (0, bytes.len() as u64)));
    }
    assert_eq!(read_whole(&whole).end, (HEADER_LEN as u64, 0));
    let mut other = [0; 10_000];
    other[9_999] = 1;
    assert_eq!(read(&other, 10_000), Err(ReadError::Header(HeaderError::NotOurs)));
    assert_eq!(read(&[b'x'; 300], 10), Err(ReadError::Header(HeaderError::NotOurs)));
}

/// What a client puts into a body is never taken for a record, whatever is damaged around it.
#[test]
fn a_file_inside_a_body_stays_inside() {
    let (inner, _) = file(&jobs(5));
    let mut records = jobs(3);
    let Record::Job(job) = &mut records[1] else { unreachable!("they are jobs") };
    job.image.body = BodyArg::Owned([&inner[..], &inner[HEADER_LEN..], &[0; 7], &inner[..]].concat());
    let (whole, places) = file(&records);
    for damaged in 0..FRAME_HEADER_LEN {
        let mut bytes = whole.clone();
        bytes[places[1] as usize + damaged] ^= 0x10;
        let reading = read_whole(&bytes);
        assert_eq!(reading.places(), [places[0], places[2]]);
        assert_eq!(reading.damaged, [(places[1], places[2] - places[1])]);
    }
}

#[test]
fn several_damaged_records_in_a_row_are_one_damage() {
    let (mut bytes, places) = file(&jobs(10));
    for hit in [places[3] + 50, places[4] + 2, places[5] + 11, places[8] + 100] {
        bytes[hit as usize] ^= 1;
    }
    let reading = read_whole(&bytes);
    assert_eq!(reading.damaged, [(places[3], places[6] - places[3]), (places[8], places[9] - places[8])]);
    assert_eq!(reading.records.len(), 6);
}

#[test]
fn a_hole_of_any_length_costs_what_lay_in_it() {
    let (whole, places) = file(&jobs(6));
    // The bytes behind a hole keep their places: a block of the disk that cannot be read any more.
    for (from, to) in [(places[1], places[4]), (places[1] + 5, places[4] - 5), (places[2] - 1, places[2] + 1)]
    {
        let mut bytes = whole.clone();
        bytes[from as usize..to as usize].fill(0);
        let reading = read_whole(&bytes);
        let lost = |at: &u64| {
            let next = places[places.iter().position(|place| place == at).expect("a place") + 1];
            *at < to && next > from
        };
        let expected: Vec<u64> = places[..6].iter().filter(|at| !lost(at)).copied().collect();
        assert_eq!(reading.places(), expected, "{from}..{to}");
        assert_eq!(reading.damaged.len(), 1);
    }
}

#[test]
fn kinds_of_a_later_minor_version_are_skipped_and_counted() {
    let header = FileHeader {
        minor: 7,
        ..FileHeader::new(FileKind::Log, 1, UnixMillis(1), SALT, NodeId::from_bytes([1; 20]))
    };
    assert!(header.is_newer());
    let mut bytes = header.encode().to_vec();
    let mut framer = Framer::new(SALT, HEADER_LEN as u64);
    framer.frame(200, b"of the future", &mut bytes);
    framer.frame(7, b"", &mut bytes);
    let reading = read_whole(&bytes);
    assert_eq!((reading.unknown, reading.records.len(), reading.end.1), (vec![200], 1, 0));
}

proptest! {
    #[test]
    fn every_file_is_read_back_whatever_its_pieces(records in vec(any_record(), 0..30), piece in 1..2000_usize) {
        let (bytes, places) = file(&records);
        let reading = read(&bytes, piece).expect("a good file");
        prop_assert!(reading.is_clean());
        prop_assert_eq!(reading.end, (bytes.len() as u64, 0));
        prop_assert_eq!(&reading.places()[..], &places[..records.len()]);
        for ((_, payload), record) in reading.records.iter().zip(&records) {
            let mut expected = Vec::new();
            record.encode(&mut expected);
            prop_assert_eq!(payload, &expected);
        }
    }

    #[test]
    fn pieces_make_no_difference_to_a_damaged_file(
        records in vec(any_record(), 1..10),
        hits in vec((any::<prop::sample::Index>(), 1..=255_u8), 1..5),
        cut: prop::sample::Index,
        piece in 1..500_usize,
    ) {
        let (mut bytes, _) = file(&records);
        let len = bytes.len();
        for (at, change) in hits {
            bytes[HEADER_LEN.min(len - 1) + at.index(len - HEADER_LEN.min(len - 1))] ^= change;
        }
        bytes.truncate(HEADER_LEN + cut.index(len - HEADER_LEN + 1));
        prop_assert_eq!(read(&bytes, piece), read(&bytes, 1 << 20));
    }

    #[test]
    fn any_bytes_have_a_reading(start in 0..3_usize, bytes in vec(any::<u8>(), 0..600), piece in 1..100_usize) {
        let (header, _) = file(&[]);
        let front = [&[][..], &header, b"*2\r\n$7\r\nLOADJOB\r\n$"][start];
        let bytes = [front, &bytes].concat();
        if let Ok(reading) = read(&bytes, piece) {
            let (end, tail) = reading.end;
            prop_assert_eq!(end + tail, bytes.len() as u64);
        }
    }
}
