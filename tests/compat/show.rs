//! Decoded values in the words of `frames.txt` and `records.txt`.

use std::fmt::Write as _;

use disque::bus::{Counts, Gossip, Header, Message, Notice};
use disque::types::{JobImage, Span32, UnixMillis};

use crate::vectors::Legend;

/// A frame: one line, and one more for each gossip entry and each job.
pub fn frame(
    name: &str,
    totlen: usize,
    header: &Header,
    message: &Message<'_>,
    now: UnixMillis,
    legend: &Legend,
) -> String {
    let mut text = format!(
        "{name} {} totlen={totlen} sender={} port={} leaving={}",
        message.name(),
        legend.name(header.sender),
        header.port,
        yes_no(header.leaving)
    );
    let mut lines = Vec::new();
    match message {
        Message::Ping { gossip: entries }
        | Message::Pong { gossip: entries }
        | Message::Meet { gossip: entries } => {
            lines.extend(entries.iter().map(|entry| gossip(entry, legend)));
        }
        Message::Fail { node } => text += &format!(" node={}", legend.name(*node)),
        Message::ReplJob { job: image, no_reply } => {
            text += &format!(" no_reply={} jobs=1", yes_no(*no_reply));
            lines.push(job(image, relative(image, now), legend));
        }
        Message::YourJobs { jobs } => {
            text += &format!(" jobs={}", jobs.len());
            lines.extend(jobs.iter().map(|image| job(image, relative(image, now), legend)));
        }
        Message::Notice { job, notice } => {
            text += &format!(" job={job}");
            text += &match notice {
                Notice::Enqueue { delay } => format!(" delay={}", seconds(*delay)),
                Notice::Queued { counts, .. } => format!(" counts={}", count_words(*counts)),
                Notice::SetAck { nodes_known, .. } => format!(" nodes_known={nodes_known}"),
                Notice::GotAck { known } => format!(" known={}", yes_no(*known)),
                Notice::GotJob | Notice::WillQueue | Notice::DelJob | Notice::Working => String::new(),
            };
        }
        Message::NeedJobs { queue, count } => text += &format!(" queue={} count={count}", quoted(queue)),
        Message::Pause { queue, input, output } => {
            text += &format!(" queue={} input={} output={}", quoted(queue), way(*input), way(*output));
        }
        Message::Holders { .. } | Message::HaveJobs { .. } | Message::SyncJob { .. } | Message::LostJobs => {
            unreachable!("RC1 does not know it")
        }
    }
    for line in lines {
        write!(text, "\n  {line}").expect("strings take everything");
    }
    text
}

/// A job whose expiry was `etime` on the wire.
pub fn job(image: &JobImage<'_>, etime: u64, legend: &Legend) -> String {
    format!(
        "job {} len={} state={} flags={} repl={} etime={etime} ctime={} delay={} retry={} nacks={} deliv={} \
         queue={} body={} nodes={}",
        image.id,
        image.encoded_len() - 4,
        image.state,
        image.flags,
        image.replicate,
        image.ctime.0,
        seconds(image.delay),
        seconds(image.retry),
        image.nacks,
        image.additional_deliveries,
        quoted(&image.queue),
        body(image.body.bytes()),
        image.nodes.iter().map(|node| legend.name(*node)).collect::<String>()
    )
}

fn gossip(entry: &Gossip, legend: &Legend) -> String {
    format!(
        "gossip {} ping_sent={} pong_received={} ip={} port={} flags={}",
        legend.name(entry.node),
        entry.ping_sent,
        entry.pong_received,
        entry.ip.map_or_else(|| "none".to_owned(), |ip| ip.to_string()),
        entry.port,
        entry.flags.bits()
    )
}

/// The number that the wire carries for what is left of a job's life.
fn relative(image: &JobImage<'_>, now: UnixMillis) -> u64 {
    let left = image.expires_at.since(now).0;
    assert_eq!(left % 1000, 0, "the wire has whole seconds");
    left / 1000 + 1
}

fn seconds(span: Span32) -> u64 {
    let ms = span.millis().0;
    assert_eq!(ms % 1000, 0, "the wire has whole seconds");
    ms / 1000
}

fn yes_no(yes: bool) -> &'static str {
    if yes { "yes" } else { "no" }
}

fn way(paused: bool) -> &'static str {
    if paused { "paused" } else { "open" }
}

fn count_words(counts: Counts) -> &'static str {
    match (counts.nack, counts.delivery) {
        (false, false) => "none",
        (true, false) => "nack",
        (false, true) => "delivery",
        (true, true) => "both",
    }
}

fn quoted(bytes: &[u8]) -> String {
    format!("\"{}\"", bytes.escape_ascii())
}

fn body(bytes: &[u8]) -> String {
    if bytes.iter().copied().eq(0..=255) { "00..ff".to_owned() } else { quoted(bytes) }
}
