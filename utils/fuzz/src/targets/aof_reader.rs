//! Bytes as a file of the log: every reading ends where the file does, and says the same whatever the pieces.

use disque::aof::{FileHeader, FileKind, HEADER_LEN, Journal, Next, Reader, Record};
use disque::types::{NodeId, UnixMillis};

/// The salt of the files that the target makes itself.
const SALT: u64 = 0xf5a1_7e57;

/// The first byte says what the bytes are: a whole file, what follows the header of one, or lengths of records
/// to make a file of and bytes to change in it.
pub(super) fn run(data: &[u8]) {
    let Some((mode, rest)) = data.split_first() else { return };
    match mode % 3 {
        0 => check(rest),
        1 => check(&[&header()[..], rest].concat()),
        _ => damaged(rest),
    }
}

fn header() -> [u8; HEADER_LEN] {
    FileHeader::new(FileKind::Log, 1, UnixMillis(1), SALT, NodeId::from_bytes([1; 20])).encode()
}

/// A file of pauses, whose queue names are the records' lengths, changed in some places.
fn damaged(data: &[u8]) {
    let mut journal = Journal::new(SALT, HEADER_LEN as u64);
    let half = data.len() / 2;
    for len in &data[..half] {
        let queue = vec![*len; usize::from(*len)].into();
        let mut payload = Vec::new();
        let record = Record::Pause { queue, input: true, output: false };
        record.encode(&mut payload);
        journal.append(record.kind(), &payload);
    }
    let mut file = header().to_vec();
    file.append(journal.buffer());
    for change in data[half..].as_chunks::<3>().0 {
        let at = usize::from(u16::from_le_bytes([change[0], change[1]])) % file.len();
        file[at] ^= change[2];
    }
    check(&file);
}

/// What a reader says: places and payloads of records, places and lengths of damage, the end.
#[derive(Debug, PartialEq)]
enum Seen {
    Record(u64, u64, Vec<u8>),
    Unknown(u64, u8),
    Damaged(u64, u64),
    End(u64, u64),
    Refused,
}

fn check(file: &[u8]) {
    let whole = read(file, file.len().max(1));
    assert_eq!(read(file, 7), whole);
    let mut last = 0;
    for seen in &whole {
        match seen {
            Seen::Record(at, end, payload) => {
                assert!(*at >= last && end > at && *end <= file.len() as u64);
                assert!(payload.len() as u64 <= end - at || file[0] == b'*');
                last = *end;
            }
            Seen::Damaged(at, len) => {
                assert!(*at >= last && *len > 0);
                last = at + len;
            }
            Seen::Unknown(at, _) => assert!(*at >= last),
            Seen::End(at, tail) => assert!(*at >= last && at + tail == file.len() as u64),
            Seen::Refused => {}
        }
    }
}

fn read(mut file: &[u8], piece: usize) -> Vec<Seen> {
    let (mut reader, mut seen) = (Reader::new(), Vec::new());
    loop {
        match reader.advance() {
            Err(error) => {
                assert!(!error.to_string().is_empty());
                seen.push(Seen::Refused);
                return seen;
            }
            Ok(Next::Record { at, end, record }) => {
                let mut payload = Vec::new();
                record.encode(&mut payload);
                let again = &mut Vec::new();
                assert_eq!(Record::decode(record.kind(), &payload, again), Ok(Some(record)));
                // Several jobs may be deleted by one record of RC1.
                seen.push(Seen::Record(at, end, payload));
                if let [.., Seen::Record(before, ..), Seen::Record(now, ..)] = &seen[..]
                    && before == now
                {
                    seen.pop();
                }
            }
            Ok(Next::Unknown { at, kind }) => seen.push(Seen::Unknown(at, kind)),
            Ok(Next::Damaged { at, len }) => seen.push(Seen::Damaged(at, len)),
            Ok(Next::End { at, tail }) => {
                seen.push(Seen::End(at, tail));
                return seen;
            }
            Ok(Next::NeedMore) => {
                let filled = reader.fill(|room| {
                    let n = piece.min(file.len()).min(room.len());
                    room[..n].copy_from_slice(&file[..n]);
                    Ok(n)
                });
                file = &file[filled.expect("it is only copied")..];
            }
        }
    }
}

pub(super) fn words() -> Vec<Vec<u8>> {
    const WORDS: [&[u8]; 9] = [
        b"DQAOF\r\n\x1a",
        b"*2\r\n$7\r\nLOADJOB\r\n$",
        b"*2\r\n$6\r\nDELJOB\r\n$40\r\n",
        b"D-9009a8a8-EqV8ib8HDy88YtDtXbiufMdI-05a1\r\n",
        b"*3\r\n",
        b"\r\n",
        b"\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
        b"$536870912\r\n",
        b"\xff\xff\xff\xff",
    ];
    WORDS.iter().map(|word| word.to_vec()).collect()
}
