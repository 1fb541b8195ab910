//! The append-only files that servers of that version wrote, through the reader that loads them.

use disque::aof::{Flaw, Format, JobRecord, Next, Rc1Error, ReadError, Reader, Record, encode_rc1};
use disque::types::JobId;

use crate::vectors::file;

/// Reads a file to its end; shows each record to `visit`. What was skipped as damaged, and the end and tail.
/// Two numbers about places in a file.
type Places = (u64, u64);

fn read(
    bytes: &[u8],
    piece: usize,
    mut visit: impl FnMut(&Record<'_>),
) -> Result<(Vec<Places>, Places), ReadError> {
    let (mut reader, mut rest, mut damaged) = (Reader::new(), bytes, Vec::new());
    loop {
        match reader.advance()? {
            Next::Record { record, .. } => visit(&record),
            Next::Damaged { at, len } => damaged.push((at, len)),
            Next::End { at, tail } => {
                assert_eq!(reader.format(), Some(Format::Rc1));
                return Ok((damaged, (at, tail)));
            }
            Next::Unknown { .. } => unreachable!("RC1 has two kinds of records"),
            Next::NeedMore => {
                let n = piece.min(rest.len());
                let filled = reader.fill(|room| {
                    room[..n].copy_from_slice(&rest[..n]);
                    Ok(n)
                });
                assert_eq!(filled.expect("it is only copied"), n);
                rest = &rest[n..];
            }
        }
    }
}

/// The jobs that a file leaves: IDs and whether they are queued, in the order of the file.
fn jobs(bytes: &[u8]) -> Vec<(JobId, bool)> {
    let mut jobs: Vec<(JobId, bool)> = Vec::new();
    read(bytes, 1000, |record| match record {
        Record::Job(job) => {
            assert_eq!(job.requeue_at, JobRecord::DUE_UNKNOWN);
            jobs.push((job.image.id, job.image.state == JobRecord::QUEUED));
        }
        Record::Forgotten { id } => jobs.retain(|(known, _)| known != id),
        other => unreachable!("RC1 does not write {other:?}"),
    })
    .expect("a good file");
    jobs
}

fn job_id(text: &str) -> JobId {
    JobId::parse(text.as_bytes()).expect("a job ID")
}

#[test]
fn the_recorded_files_leave_the_documented_jobs() {
    let ids = |list: &[&str]| list.iter().map(|id| job_id(id)).collect::<Vec<_>>();
    let left = |name: &str| jobs(&file(name)).into_iter().map(|(id, _)| id).collect::<Vec<_>>();
    // The one with a time to live of a second is in the file too; whoever loads it finds it expired.
    let expected = ids(&[
        "D-8633cd53-JRASElh4+KrgYAjQELXHx3S4-ffff",
        "D-8633cd53-kZHRUQAr64DZmdNs7MlpqQ8R-ffff",
        "D-8633cd53-dZmf37lWVs7R0VPQEGryMrTO-ffff",
        "D-8633cd53-piPMTPO/f2zsLDe19VB19WcD-fffe",
        "D-8633cd53-OP86evLVVeGvLw5AwHq2tlt8-ffff",
        "D-8633cd53-NczwsLMPT9jsbAHWlmTWFgUc-0001",
        "D-8633cd53-G/d9PSTiImpNTfMoaJoSEs9Y-ffff",
        "D-33e6f3c8-Jb8FBQ9zs/KXF/4Z2aKeXpN6-ffff",
    ]);
    assert_eq!(left("appendonly.aof"), expected);
    assert_eq!(left("appendonly-truncated.aof"), expected);
    let with_fast_acked = [expected, ids(&["D-8633cd53-OQT1dVdenhSnJ9O8fKW/v2cW-ffff"])].concat();
    assert_eq!(left("appendonly-truncated-header.aof"), with_fast_acked);
    assert_eq!(left("appendonly-replica.aof").len(), 3);

    let queued = jobs(&file("appendonly-rewritten.aof")).into_iter().filter(|(_, queued)| *queued);
    let queued: Vec<JobId> = queued.map(|(id, _)| id).collect();
    assert_eq!(
        queued,
        ids(&[
            "D-8633cd53-G/d9PSTiImpNTfMoaJoSEs9Y-ffff",
            "D-8633cd53-OP86evLVVeGvLw5AwHq2tlt8-ffff",
            "D-8633cd53-piPMTPO/f2zsLDe19VB19WcD-fffe",
            "D-8633cd53-JRASElh4+KrgYAjQELXHx3S4-ffff",
            "D-8633cd53-3Yj19cLsrMDgYFgOTpar6zFi-ffff",
        ])
    );
}

#[test]
fn a_recorded_file_that_is_cut_ends_where_rc1_cuts_it() {
    for (name, end, tail) in [
        ("appendonly.aof", 2415, 0),
        ("appendonly-truncated.aof", 2187, 100),
        ("appendonly-truncated-header.aof", 2352, 6),
    ] {
        for piece in [1, 7, 100_000] {
            let (damaged, found) = read(&file(name), piece, |_| {}).expect("a good file");
            assert_eq!((damaged.len(), found), (0, (end, tail)), "{name} in pieces of {piece}");
        }
    }
}

/// RC1 refuses both files. A wrong framing is refused here too, since nothing behind it can be trusted; a job
/// that is inconsistent has an end, and is skipped.
#[test]
fn recorded_damage_is_refused_or_skipped_and_told() {
    let flaw = Rc1Error { at: 258, flaw: Flaw::Framing };
    assert_eq!(read(&file("appendonly-corrupt-framing.aof"), 64, |_| {}), Err(ReadError::Rc1(flaw)));
    let mut loaded = 0;
    let outcome = read(&file("appendonly-corrupt-job.aof"), 64, |_| loaded += 1);
    assert_eq!(outcome, Ok((vec![(258, 237)], (2415, 0))));
    assert_eq!(loaded, 11);
}

#[test]
fn whatever_follows_the_last_record_of_rc1_is_an_end_unless_it_is_a_record() {
    let whole = file("appendonly.aof");
    for tail in
        [&b"\n"[..], b"\0", &[0; 4096], b"garbage*3\r\n$3\r\nfoo", b"*1\r\n$4\r\nPING\r\n", b"SHUTDOWN\r\n"]
    {
        let bytes = [&whole[..], tail].concat();
        let outcome = read(&bytes, 50, |_| {}).expect("a good file");
        assert_eq!(outcome, (vec![], (2415, tail.len() as u64)), "{}", tail.escape_ascii());
        let more = [&bytes[..], &whole[..258]].concat();
        let error = read(&more, 50, |_| {}).expect_err("records follow");
        assert!(matches!(error, ReadError::Rc1(Rc1Error { at: 2415, .. })), "{}", tail.escape_ascii());
    }
}

#[test]
fn a_file_of_rc1_cut_anywhere_keeps_its_whole_records() {
    let whole = file("appendonly.aof");
    let mut ends = Vec::new();
    for cut in 0..=whole.len() {
        let mut records = 0;
        if cut == 0 {
            continue;
        }
        let (damaged, (end, tail)) = read(&whole[..cut], 500, |_| records += 1).expect("a good file");
        assert_eq!((damaged.len(), end + tail), (0, cut as u64));
        assert!(end as usize <= cut);
        ends.push((end, records));
    }
    ends.dedup();
    assert_eq!(ends.iter().map(|(_, records)| *records).collect::<Vec<_>>(), (0..=12).collect::<Vec<_>>());
}

#[test]
fn what_is_written_for_rc1_is_what_rc1_wrote() {
    for name in ["appendonly.aof", "appendonly-replica.aof", "appendonly-rewritten.aof"] {
        let (whole, mut again) = (file(name), Vec::new());
        read(&whole, 1000, |record| encode_rc1(record, &mut again)).expect("a good file");
        assert!(again == whole, "{name}");
    }
}

#[test]
fn several_ids_in_one_deljob_are_several_ends_and_a_bad_one_voids_all() {
    let ids = ["D-8633cd53-JRASElh4+KrgYAjQELXHx3S4-ffff", "D-8633cd53-OQT1dVdenhSnJ9O8fKW/v2cW-ffff"];
    let record = |ids: [&str; 2]| {
        let [a, b] = ids.map(|id| format!("${}\r\n{id}\r\n", id.len()));
        format!("*3\r\n$6\r\ndelJOB\r\n{a}{b}").into_bytes()
    };
    let mut seen = Vec::new();
    let (damaged, _) = read(&record(ids), 9, |record| seen.push(record.job_id())).expect("a good file");
    assert_eq!((damaged.len(), seen), (0, ids.map(|id| Some(job_id(id))).to_vec()));
    let bad = record([ids[0], "nonsense"]);
    let outcome = read(&bad, 9, |record| panic!("{record:?}"));
    assert_eq!(outcome, Ok((vec![(0, bad.len() as u64)], (bad.len() as u64, 0))));
}
