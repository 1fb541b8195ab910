//! The program `disque-check-aof`, on files that servers of RC1 wrote, and on ours.
#![allow(missing_docs, unreachable_pub, reason = "a test program has no public interface")]

use std::borrow::Cow;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use disque::aof::{BaseFrames, FileHeader, FileKind, HEADER_LEN, JobRecord, Journal, Record, Standing};
use disque::types::{BodyArg, Ctime, JobId, JobImage, Millis, NodeId, Span32, UnixMillis};

/// A directory of its own, removed at the end.
struct Dir(PathBuf);

impl Dir {
    fn new() -> Dir {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let dir = std::env::temp_dir().join(format!("disque-check-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&dir).expect("a directory can be made");
        Dir(dir)
    }

    fn put(&self, name: &str, bytes: &[u8]) {
        std::fs::write(self.0.join(name), bytes).expect("a file can be written");
    }

    fn get(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.0.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// Runs the program in the directory; its exit status and what it said.
    fn check(&self, arguments: &[&str], answer: &str) -> (i32, String) {
        let mut child = Command::new(env!("CARGO_BIN_EXE_disque-check-aof"))
            .args(arguments)
            .current_dir(&self.0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program runs");
        let mut input = child.stdin.take().expect("it was piped");
        // It may have ended without reading.
        let _ = input.write_all(answer.as_bytes());
        drop(input);
        let output = child.wait_with_output().expect("it ends");
        (output.status.code().expect("it exits"), String::from_utf8(output.stdout).expect("it is text"))
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn recorded(name: &str) -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/compat/vectors").join(name))
        .unwrap_or_else(|error| panic!("{name}: {error}"))
}

#[test]
fn without_a_file_it_says_what_rc1_says() {
    let dir = Dir::new();
    let (code, text) = dir.check(&[], "");
    assert_eq!(code, 1);
    assert!(text.starts_with("Usage: ") && text.ends_with(" [--fix] <file.aof>\n"), "{text}");
    assert_eq!(dir.check(&["--fox", "a"], ""), (1, "Invalid argument: --fox\n".to_owned()));
    assert_eq!(dir.check(&["a", "b", "c"], ""), (1, "Invalid arguments\n".to_owned()));
    assert_eq!(dir.check(&["nothing.aof"], ""), (1, "Cannot open file: nothing.aof\n".to_owned()));
    dir.put("empty.aof", b"");
    assert_eq!(dir.check(&["empty.aof"], ""), (1, "Empty file: empty.aof\n".to_owned()));
}

/// vectors/README.md 8.3, with two differences: roles are not exchanged, and contents are looked at.
#[test]
fn recorded_files_are_judged_as_documented() {
    for (name, code, output) in [
        ("appendonly.aof", 0, "AOF analyzed: size=2415, ok_up_to=2415, diff=0\nAOF is valid\n"),
        (
            "appendonly-truncated.aof",
            1,
            "0x             8a2: Expected to read 142 bytes, got 77 bytes\n\
             AOF analyzed: size=2287, ok_up_to=2187, diff=100\nAOF is not valid\n",
        ),
        (
            "appendonly-truncated-header.aof",
            1,
            "0x             934: Expected \\r\\n, got: 2436\n\
             AOF analyzed: size=2358, ok_up_to=2352, diff=6\nAOF is not valid\n",
        ),
        (
            "appendonly-corrupt-framing.aof",
            1,
            "0x             106: Expected prefix '$', got: '#'\n\
             AOF analyzed: size=2415, ok_up_to=258, diff=2157\nAOF is not valid\n",
        ),
        (
            "appendonly-corrupt-job.aof",
            1,
            "AOF analyzed: size=2415, ok_up_to=2415, diff=0\n\
             0x             102: a record of 237 bytes holds no job and no job ID\nAOF is not valid\n",
        ),
    ] {
        let dir = Dir::new();
        dir.put(name, &recorded(name));
        assert_eq!(dir.check(&[name], ""), (code, output.to_owned()), "{name}");
    }
}

#[test]
fn a_recorded_file_is_cut_after_a_yes_and_only_then() {
    for (name, size) in [
        ("appendonly-truncated.aof", 2187),
        ("appendonly-truncated-header.aof", 2352),
        ("appendonly-corrupt-framing.aof", 258),
    ] {
        let (dir, whole) = (Dir::new(), recorded(name));
        dir.put(name, &whole);
        for answer in ["n\n", "", "maybe\n"] {
            let (code, text) = dir.check(&["--fix", name], answer);
            let ending = format!("to {size} bytes\nContinue? [y/N]: Aborting...\n");
            assert!(code == 1 && text.ends_with(&ending), "{name}: {text}");
            assert!(dir.get(name) == whole);
        }
        let (code, text) = dir.check(&["--fix", name], "y\n");
        let len = whole.len();
        let shrink = format!(
            "This will shrink the AOF from {len} bytes, with {} bytes, to {size} bytes\n",
            len - size
        );
        let ending = format!("{shrink}Continue? [y/N]: Successfully truncated AOF\n");
        assert!(code == 0 && text.ends_with(&ending), "{name}: {text}");
        assert!(dir.get(name) == whole[..size]);
        assert_eq!(dir.check(&[name], "").0, 0);
    }
}

fn job_id(number: u8, at_least_once: bool) -> JobId {
    JobId::new([1; 4], [number; 18], Millis(86_400_000), at_least_once)
}

fn job(number: u8, queue: &'static [u8]) -> Record<'static> {
    let image = JobImage {
        id: job_id(number, true),
        state: JobRecord::QUEUED,
        flags: 0,
        replicate: 1,
        expires_at: UnixMillis(4_000_000_000_000),
        ctime: Ctime(1_795_315_000_000_000_000 + u64::from(number)),
        delay: Span32::ZERO,
        retry: Span32::new(Millis(60_000)),
        nacks: 0,
        additional_deliveries: 0,
        queue: Cow::Borrowed(queue),
        body: BodyArg::Owned(vec![number; 50]),
        nodes: Cow::Owned(vec![NodeId::from_bytes([9; 20])]),
    };
    Record::Job(JobRecord { image, requeue_at: UnixMillis(1_795_315_060_000) })
}

fn delivered(number: u8) -> Record<'static> {
    Record::Standing(Standing {
        id: job_id(number, true),
        requeue_at: UnixMillis(1_795_315_090_000),
        nacks: 2,
        additional_deliveries: 1,
        flags: JobRecord::DELIVERED,
        queued: false,
    })
}

/// A log with these records, and where they begin; their end comes last.
fn log(number: u64, records: &[Record<'_>]) -> (Vec<u8>, Vec<u64>) {
    let mut bytes = header(FileKind::Log, number);
    let mut journal = Journal::new(7, HEADER_LEN as u64);
    let mut places = vec![HEADER_LEN as u64];
    for record in records {
        let mut payload = Vec::new();
        record.encode(&mut payload);
        journal.append(record.kind(), &payload);
        places.push(HEADER_LEN as u64 + journal.seq().0);
    }
    bytes.append(journal.buffer());
    (bytes, places)
}

fn base(number: u64, records: &[Record<'_>]) -> Vec<u8> {
    let mut bytes = header(FileKind::Base, number);
    let mut frames = BaseFrames::new(7);
    records.iter().for_each(|record| frames.add(record, &mut bytes));
    frames.end(&mut bytes);
    bytes
}

fn header(kind: FileKind, number: u64) -> Vec<u8> {
    FileHeader::new(kind, number, UnixMillis(1), 7, NodeId::from_bytes([9; 20])).encode().to_vec()
}

/// Four jobs are left: one delivered, one in another queue.
fn example(dir: &Dir) {
    dir.put("disque.aof.2.base", &base(2, &[job(1, b"emails"), job(2, b"emails"), job(3, b"emails")]));
    let acked = Record::Forgotten { id: job_id(2, true) };
    dir.put("disque.aof.2.log", &log(2, &[job(4, b"emails"), acked, delivered(1), job(5, b"pics")]).0);
    // Left over from before, and so without meaning.
    dir.put("disque.aof.1.log", &log(1, &[job(9, b"emails")]).0);
}

fn json(text: &str) -> serde_json::Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[test]
fn all_files_of_a_name_are_summed_up() {
    let dir = Dir::new();
    example(&dir);
    let (code, text) = dir.check(&["disque.aof"], "");
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("4 jobs: 3 queued, 1 active, 0 acknowledged; 0 more expired\n"), "{text}");
    assert!(text.contains("queue \"emails\": 2 queued, 1 active, 0 acknowledged, 150 bytes"), "{text}");
    assert!(text.ends_with("AOF is valid\n"), "{text}");
    let (code, text) = dir.check(&["--json", "disque.aof"], "");
    let report = json(&text);
    assert_eq!((code, &report["valid"], &report["records"]), (0, &true.into(), &8.into()));
    assert_eq!((&report["jobs"]["queued"], &report["jobs"]["delivered"]), (&3.into(), &1.into()));
    assert_eq!(
        (&report["queues"]["pics"]["queued"], &report["jobs"]["body_bytes"]),
        (&1.into(), &200.into())
    );
    assert_eq!(report["files"][0]["file"], "disque.aof.2.base");
}

#[test]
fn one_file_is_judged_by_itself() {
    let dir = Dir::new();
    example(&dir);
    assert_eq!(dir.check(&["disque.aof.2.base"], "").0, 0);
    let (_, text) = dir.check(&["--json", "disque.aof.1.log"], "");
    assert_eq!(json(&text)["jobs"]["queued"], 1);
    let whole = dir.get("disque.aof.2.base");
    // Cut where a record ends: only the missing end tells.
    dir.put("disque.aof.2.base", &whole[..whole.len() - 20]);
    let (code, text) = dir.check(&["disque.aof.2.base"], "");
    assert!(code == 1 && text.contains("lacks its end"), "{text}");
    let (code, text) = dir.check(&["disque.aof"], "");
    assert!(code == 1 && text.contains("DAMAGED: disque.aof.2.base"), "{text}");
}

#[test]
fn a_missing_file_is_told_by_name() {
    let dir = Dir::new();
    example(&dir);
    std::fs::remove_file(dir.0.join("disque.aof.2.log")).expect("it is there");
    let (code, text) = dir.check(&["disque.aof"], "");
    assert!(code == 1 && text.contains("the file disque.aof.2.log is missing"), "{text}");
}

#[test]
fn damage_and_tails_are_removed_after_a_yes_and_nothing_else() {
    let dir = Dir::new();
    let (mut bytes, places) = log(1, &[job(1, b"q"), job(2, b"q"), job(3, b"q")]);
    bytes[places[1] as usize + 40] ^= 4;
    bytes.extend_from_slice(&[0; 100]);
    dir.put("a.1.log", &bytes);
    let (code, text) = dir.check(&["a"], "");
    assert_eq!(code, 1);
    let damaged =
        format!("DAMAGED: a.1.log: {} bytes at offset {} are no record", places[2] - places[1], places[1]);
    assert!(text.contains(&damaged), "{text}");
    let cut = format!("CUT OFF: a.1.log: 100 bytes behind offset {} are no record", places[3]);
    assert!(text.contains(&cut), "{text}");
    assert_eq!(dir.check(&["--fix", "a"], "n\n").0, 1);
    assert!(dir.get("a.1.log") == bytes);
    let (code, text) = dir.check(&["--fix", "a"], "Y\n");
    assert!(code == 0 && text.ends_with("Successfully repaired AOF\n"), "{text}");
    assert!(dir.get("a.1.log") == log(1, &[job(1, b"q"), job(3, b"q")]).0);
    assert_eq!(dir.check(&["a"], "").0, 0);
}

/// Only some of the places are told one by one.
#[test]
fn all_files_are_repaired_however_many_places_are_damaged() {
    let dir = Dir::new();
    let (mut bytes, places) = log(1, &(0..250).map(|number| job(number, b"q")).collect::<Vec<_>>());
    (0..250).step_by(2).for_each(|place| bytes[places[place] as usize + 40] ^= 4);
    dir.put("a.1.log", &bytes);
    let (mut bytes, places) = log(2, &[job(250, b"q"), job(251, b"q")]);
    bytes[places[0] as usize + 40] ^= 4;
    dir.put("a.2.log", &bytes);
    let (_, text) = dir.check(&["a"], "");
    assert!(text.contains("DAMAGED: 26 more places"), "{text}");
    let (code, text) = dir.check(&["--fix", "a"], "Y\n");
    assert!(code == 0 && text.ends_with("Successfully repaired AOF\n"), "{text}");
    let (code, text) = dir.check(&["a"], "");
    assert!(code == 0 && text.contains("126 records"), "{text}");
}

#[test]
fn a_repaired_base_is_whole_again() {
    let dir = Dir::new();
    let mut bytes = base(1, &[job(1, b"q"), job(2, b"q")]);
    bytes[HEADER_LEN + 3] ^= 1;
    dir.put("a.1.base", &bytes);
    dir.put("a.1.log", &log(1, &[]).0);
    assert_eq!(dir.check(&["--fix", "a"], "y\n").0, 0);
    assert!(dir.get("a.1.base") == base(1, &[job(2, b"q")]));
    assert_eq!(dir.check(&["a"], "").0, 0);
}

#[test]
fn what_a_log_comes_to_is_written_for_rc1() {
    let dir = Dir::new();
    example(&dir);
    assert_eq!(
        dir.check(&["--to-rc1", "out.aof", "disque.aof"], ""),
        (0, "4 jobs written to out.aof\n".to_owned())
    );
    assert_eq!(dir.check(&["out.aof"], "").0, 0);
    let (_, text) = dir.check(&["--json", "out.aof"], "");
    let report = json(&text);
    assert_eq!((&report["records"], &report["jobs"]["queued"]), (&4.into(), &3.into()));
    assert_eq!(report["jobs"]["delivered"], 1);
    assert_eq!(dir.check(&["--to-rc1", "out.aof", "disque.aof"], "").0, 1, "nothing is written over");
}

#[test]
fn a_file_of_rc1_is_written_for_this_server_and_back() {
    let dir = Dir::new();
    dir.put("old.aof", &recorded("appendonly-rewritten.aof"));
    assert_eq!(
        dir.check(&["--from-rc1", "new.aof", "old.aof"], ""),
        (0, "8 jobs written to new.aof\n".to_owned())
    );
    let (code, text) = dir.check(&["--json", "new.aof"], "");
    assert_eq!((code, &json(&text)["jobs"]["queued"]), (0, &5.into()));
    assert_eq!(dir.check(&["--to-rc1", "back.aof", "new.aof"], "").0, 0);
    assert!(dir.get("back.aof") == dir.get("old.aof"), "byte for byte");
    assert_eq!(dir.check(&["--from-rc1", "new.aof", "old.aof"], "").0, 1, "nothing is written over");
}

/// A million jobs and more are read with a line of progress for each tenth; here it is enough that small files
/// say nothing.
#[test]
fn help_and_version_are_told() {
    let dir = Dir::new();
    let (code, text) = dir.check(&["--help"], "");
    assert!(code == 0 && text.contains("--from-rc1 NAME FILE"), "{text}");
    let version = format!("disque-check-aof {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(dir.check(&["--version"], ""), (0, version));
}

/// What happened since the server had taken over RC1's file was left out, and what was done since came back.
#[test]
fn a_file_of_rc1_that_this_server_went_on_from_is_read_with_what_followed() {
    let dir = Dir::new();
    dir.put("disque.aof", &recorded("appendonly-rewritten.aof"));
    let (_, text) = dir.check(&["--json", "disque.aof"], "");
    assert_eq!(json(&text)["jobs"]["queued"], 5);
    let known = JobId::parse(b"D-8633cd53-JRASElh4+KrgYAjQELXHx3S4-ffff").expect("it is an ID");
    let (log, _) = log(1, &[Record::Forgotten { id: known }, job(1, b"new"), job(2, b"new")]);
    dir.put("disque.aof.1.log", &log);
    let (code, text) = dir.check(&["--json", "disque.aof"], "");
    assert_eq!((code, &json(&text)["queues"]["new"]["queued"]), (0, &2.into()));
    assert_eq!(
        dir.check(&["--to-rc1", "out.aof", "disque.aof"], ""),
        (0, "9 jobs written to out.aof\n".to_owned())
    );
    let (code, text) = dir.check(&["--from-rc1", "new.aof", "disque.aof"], "");
    assert_eq!(
        (code, text.as_str()),
        (1, "disque.aof goes on in files of this server; --to-rc1 converts them all\n")
    );
}

/// The server takes done for done, also if a copy of the job is recorded later.
#[test]
fn a_job_that_is_done_is_not_brought_back_by_a_later_record() {
    let dir = Dir::new();
    let acked = Record::Acked(disque::aof::Acked {
        id: job_id(1, true),
        expires_at: UnixMillis(4_000_000_000_000),
        holders: Cow::Owned(Vec::new()),
        confirmed: Cow::Owned(Vec::new()),
    });
    dir.put("a.1.log", &log(1, &[acked, job(1, b"q"), job(2, b"q")]).0);
    let (_, text) = dir.check(&["--json", "a"], "");
    let jobs = &json(&text)["jobs"];
    assert_eq!((&jobs["queued"], &jobs["acked"]), (&1.into(), &1.into()));
    assert_eq!(dir.check(&["--to-rc1", "out.aof", "a"], ""), (0, "1 jobs written to out.aof\n".to_owned()));
}
