//! What the bus costs: nanoseconds per message for writing, reading and checking, in both dialects.
//!
//!     cargo bench --bench bus
//!
//! The messages are those of jobs that are added with two copies on other nodes, delivered and acknowledged: per job
//! two REPLJOB, GOTJOB, SETACK, GOTACK and DELJOB each, 64 jobs in one turn of the loop. Each figure is the best of
//! many rounds of 640 messages.
#![allow(missing_docs, reason = "a program has no public interface")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use disque::bus::{
    Features, FrameReader, FrameWriter, Header, MAX_FRAME_LEN, Message, Notice, decode, holders_digest,
};
use disque::types::NodeId;

#[path = "../examples/instructions/sample.rs"]
mod sample;

use sample::{NOW, header, image, job_id, three_nodes};

/// Messages that are written before the link takes them.
const WINDOW: usize = 64;
/// Short rounds and many: a round that nothing interrupts is what counts.
const TURNS: usize = 10;
const ROUNDS: usize = 300;

fn main() {
    let (header, nodes) = (header(), three_nodes());
    let bench = Bench { header, nodes: &nodes };
    println!("{:<26} {:>8} {:>10} {:>10}", "per message", "bytes", "write ns", "read ns");
    let mut sums = Vec::new();
    for (dialect, peer) in [
        ("RC1", None),
        ("RC1 + checksum", Some(Features::CHECKSUM)),
        ("batch", Some(Features::BATCH)),
        ("batch + checksum", Some(Features::OURS)),
    ] {
        let job = bench.measure(dialect, peer, "REPLJOB", |number| bench.repl_job(number));
        let mut sum = job;
        for (name, notice) in bench.notices() {
            sum = sum.plus(bench.measure(dialect, peer, name, |number| notice_about(number, notice)));
        }
        sums.push((dialect, sum));
    }
    println!();
    println!(
        "{:<26} {:>8} {:>10} {:>10} {:>10}",
        "per job, 10 messages", "bytes", "write ns", "read ns", "both ns"
    );
    for (dialect, Cost { bytes, write, read }) in sums {
        let [bytes, write, read] = [bytes, write, read].map(|sum| 2.0 * sum);
        println!("{dialect:<26} {bytes:>8.0} {write:>10.0} {read:>10.0} {:>10.0}", write + read);
    }
}

/// Of one message; times in nanoseconds.
#[derive(Clone, Copy)]
struct Cost {
    bytes: f64,
    write: f64,
    read: f64,
}

impl Cost {
    fn plus(self, other: Cost) -> Cost {
        Cost {
            bytes: self.bytes + other.bytes,
            write: self.write + other.write,
            read: self.read + other.read,
        }
    }
}

struct Bench<'a> {
    header: Header,
    nodes: &'a [NodeId],
}

impl<'a> Bench<'a> {
    fn repl_job(&self, number: u64) -> Message<'a> {
        Message::ReplJob { job: image(number, self.nodes), no_reply: false }
    }

    fn notices(&self) -> [(&'static str, Notice); 4] {
        let digest = holders_digest(self.nodes.iter().copied());
        [
            ("GOTJOB", Notice::GotJob),
            ("SETACK", Notice::SetAck { nodes_known: 3, digest }),
            ("GOTACK", Notice::GotAck { known: true }),
            ("DELJOB", Notice::DelJob),
        ]
    }

    fn measure(
        &self,
        dialect: &str,
        peer: Option<Features>,
        name: &str,
        message: impl Fn(u64) -> Message<'a>,
    ) -> Cost {
        let messages: Vec<Message<'_>> = (0..WINDOW as u64).map(message).collect();
        let mut writer = FrameWriter::new();
        writer.set_features(peer);
        let mut turn = |stream: &mut Vec<u8>| {
            for message in black_box(&messages) {
                writer.push(&self.header, message, NOW);
            }
            let len = writer.bytes().len();
            stream.clear();
            stream.extend_from_slice(writer.bytes());
            writer.consume(len);
        };
        let mut stream = Vec::new();
        let write = best(|| (0..TURNS).for_each(|_| turn(&mut stream)));
        let mut reader = FrameReader::new(MAX_FRAME_LEN);
        let read = best(|| (0..TURNS).for_each(|_| assert_eq!(read(&mut reader, &stream), WINDOW)));
        let per_message = |time: Duration| time.as_nanos() as f64 / (TURNS * WINDOW) as f64;
        let cost = Cost {
            bytes: stream.len() as f64 / WINDOW as f64,
            write: per_message(write),
            read: per_message(read),
        };
        println!(
            "{:<26} {:>8.0} {:>10.1} {:>10.1}",
            format!("{dialect} {name}"),
            cost.bytes,
            cost.write,
            cost.read
        );
        cost
    }
}

/// Reads a stream as a link does; how many messages there were.
fn read(reader: &mut FrameReader, stream: &[u8]) -> usize {
    reader.feed(black_box(stream));
    let mut count = 0;
    while let Some(frame) = reader.next_frame().expect("good frames") {
        let (header, messages) = decode(frame, NOW).expect("a good frame");
        black_box(header);
        for message in messages {
            black_box(message.expect("a good message"));
            count += 1;
        }
    }
    count
}

fn best(mut round: impl FnMut()) -> Duration {
    let times = (0..ROUNDS).map(|_| {
        let start = Instant::now();
        round();
        start.elapsed()
    });
    times.min().expect("there are rounds")
}

fn notice_about(number: u64, notice: Notice) -> Message<'static> {
    Message::Notice { job: job_id(number), notice }
}
