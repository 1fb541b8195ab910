//! Frames of type 16: any sequence of messages but PING, PONG and MEET, in a compact form, for peers that
//! announced [`Features::BATCH`](super::Features::BATCH).
//!
//! Behind the header stand messages, at least one, back to back. Integers are little-endian. A *number* has seven
//! bits in each byte, the lowest first, and the highest bit set in all bytes but the last. *Spans* are numbers of
//! milliseconds. A *name* is the number of its bytes and the bytes. Node IDs have 20 bytes, job IDs 24.
//!
//! A message begins with a byte whose lower five bits are its kind, which is the number of the type that RC1 has
//! for it; the upper three are flags.
//!
//! | kind         | flags                        | what follows                                          |
//! |--------------|------------------------------|-------------------------------------------------------|
//! | 3 FAIL       |                              | node ID                                               |
//! | 4 REPLJOB    | 1 do not confirm             | job                                                   |
//! | 5 GOTJOB     |                              | job ID                                                |
//! | 6 ENQUEUE    |                              | job ID, delay: span                                   |
//! | 7 QUEUED     | 1 totals, 2 nack, 4 delivery | job ID; totals: 2 bytes nacks, 2 bytes additional deliveries |
//! | 8 SETACK     |                              | job ID, 4 bytes digest, nodes known: number           |
//! | 9 WILLQUEUE  |                              | job ID                                                |
//! | 10 GOTACK    | 1 known                      | job ID                                                |
//! | 11 DELJOB    |                              | job ID                                                |
//! | 12 NEEDJOBS  |                              | jobs wanted: number, queue: name                      |
//! | 13 YOURJOBS  |                              | number of jobs, the jobs                              |
//! | 14 WORKING   |                              | job ID                                                |
//! | 15 PAUSE     | 1 input, 2 output            | queue: name                                           |
//! | 17 HOLDERS   |                              | job ID, number of nodes, their IDs                    |
//! | 18 HAVEJOBS  |                              | queue: name                                           |
//! | 19 SYNCJOB   |                              | job                                                   |
//! | 20 LOSTJOBS  |                              |                                                       |
//!
//! A job:
//!
//! | offset | size | field                                                         |
//! |--------|------|---------------------------------------------------------------|
//! | 0      | 24   | job ID                                                        |
//! | 24     | 1    | state in the low four bits, the others 0 and not read         |
//! | 25     | 1    | flags                                                         |
//! | 26     | 2    | copies asked for                                              |
//! | 28     | 8    | creation time                                                 |
//! | 36     | …    | rest of its life: span                                        |
//! |        | …    | delay and retry as given: spans                               |
//! |        | …    | nacks and additional deliveries: numbers of up to 16 bits     |
//! |        | …    | queue and body: names                                         |
//! |        | …    | number of nodes that may hold the job, their IDs              |
//!
//! Flags without a meaning are not read. A message that cannot be read ends the batch: where the next one begins is
//! not known.

mod decode;
mod encode;

pub(super) use decode::Entries;
pub(super) use encode::{encode, encode_your_jobs};

/// Where the flags of a message begin.
const FLAG_SHIFT: u32 = 5;
/// The bits of the kind.
const KIND_MASK: u8 = (1 << FLAG_SHIFT) - 1;

/// Flags, beside those that a message has as a frame of its own.
mod flag {
    pub(super) const TOTALS: u8 = 1;
    pub(super) const KNOWN: u8 = 1;
}

/// Where the numbers of a job begin.
const JOB_FIXED_LEN: usize = 36;
/// Length of the shortest job: five numbers, two names and a list of one byte each.
const JOB_MIN_LEN: usize = JOB_FIXED_LEN + 8;
