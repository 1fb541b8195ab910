//! Bytes as what a link of the bus brings: frames that are messages or errors, and can be said again.
//!
//! Bytes that begin with the signature are taken as they are. Of others the first two say what frame the rest is the
//! body of, so that the lengths in front need not be guessed.

use disque::bus::{Features, FrameReader, FrameWriter, Header, MAX_FRAME_LEN, Message, decode};
use disque::types::{NodeId, UnixMillis};

const NOW: UnixMillis = UnixMillis(1_795_315_000_123);
const SENDER: [u8; 20] = [0xab; 20];

pub(super) fn run(data: &[u8]) {
    if data.starts_with(b"DbuZ") {
        return stream(data);
    }
    let Some(([message_type, bits], body)) = data.split_first_chunk() else { return };
    stream(&frame(*message_type, *bits, body));
}

/// A frame with a good header: its type, the number of its gossip entries, its message flags, and whether it has the
/// marker of nodes that know more than RC1.
fn frame(message_type: u8, bits: u8, body: &[u8]) -> Vec<u8> {
    let features = (bits & 0x80 != 0).then_some(Features::NONE);
    let header = Header {
        sender: NodeId::from_bytes(SENDER),
        ip: None,
        port: 7711,
        bus_port: None,
        leaving: false,
        features,
    };
    let mut frame = said(None, &header, &[Message::Ping { gossip: Vec::new() }]);
    frame.extend_from_slice(body);
    let len = frame.len() as u32;
    frame[4..8].copy_from_slice(&len.to_be_bytes());
    frame[13] = message_type % 18;
    frame[15] = bits >> 3 & 15;
    frame[141] = bits & 7;
    frame
}

/// Whole and in small pieces, the same frames come out.
fn stream(data: &[u8]) {
    let (mut whole, mut pieces) = (FrameReader::new(MAX_FRAME_LEN), FrameReader::new(MAX_FRAME_LEN));
    whole.feed(data);
    data.chunks(7).for_each(|piece| pieces.feed(piece));
    loop {
        let outcome = whole.next_frame();
        assert_eq!(pieces.next_frame(), outcome);
        match outcome {
            Ok(Some(frame)) => check(frame),
            Ok(None) => return,
            Err(error) => return assert!(error.closes_link()),
        }
    }
}

fn check(frame: &[u8]) {
    let (header, messages) = match decode(frame, NOW) {
        Ok(decoded) => decoded,
        Err(error) => return assert!(!error.to_string().is_empty()),
    };
    let mut understood = Vec::new();
    for message in messages {
        match message {
            Ok(message) => understood.push(message),
            Err(error) => assert!(!error.closes_link() && !error.to_string().is_empty()),
        }
    }
    let able = Header { features: Some(Features::ALL), ..header };
    same(&said(Some(Features::ALL), &able, &understood), &understood);
    for message in &understood {
        match message {
            Message::Holders { .. }
            | Message::HaveJobs { .. }
            | Message::SyncJob { .. }
            | Message::LostJobs => {}
            message => twice(&header, message),
        }
    }
}

fn said(peer: Option<Features>, header: &Header, messages: &[Message<'_>]) -> Vec<u8> {
    let mut writer = FrameWriter::new();
    writer.set_features(peer);
    messages.iter().for_each(|message| assert!(writer.push(header, message, NOW)));
    let bytes = writer.bytes().to_vec();
    writer.consume(bytes.len());
    assert_eq!(writer.pending(), 0);
    bytes
}

/// That the stream says these messages.
fn same(stream: &[u8], messages: &[Message<'_>]) {
    let mut reader = FrameReader::new(MAX_FRAME_LEN);
    reader.feed(stream);
    let mut expected = messages.iter();
    while let Some(frame) = reader.next_frame().expect("what is written is framed") {
        let (_, heard) = decode(frame, NOW).expect("what is written can be read");
        for heard in heard {
            assert_eq!(Some(&heard.expect("what is written can be read")), expected.next());
        }
    }
    assert_eq!(expected.next(), None);
}

/// What RC1 hears may be less, but says itself without a loss.
fn twice(header: &Header, message: &Message<'_>) {
    let once = said(None, header, std::slice::from_ref(message));
    let (header, mut heard) = decode(&once, NOW).expect("what is written can be read");
    let heard = heard.next().expect("a message").expect("what is written can be read");
    assert_eq!(said(None, &header, std::slice::from_ref(&heard)), once);
}

pub(super) fn words() -> Vec<Vec<u8>> {
    let node = NodeId::from_bytes(SENDER);
    let mut words: Vec<Vec<u8>> = [
        &b"DbuZ\0\0\0\x90"[..],
        b"DqF1\0\0\0\x03",
        b"D-5ca1ab1e-PPPPPPPPPPPPPPPPPPPPPPPP-05a1",
        b"127.0.0.1\0",
        b"\xff\xff\xff\xff",
        b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
        b"\0\0\0\x01",
        b"\x01\0\0\0",
    ]
    .iter()
    .map(|word| word.to_vec())
    .collect();
    words.push(node.text().to_vec());
    words.push(node.bytes().to_vec());
    // The messages of a batch that have nothing but a job ID, one after the other.
    words.extend([5, 9, 10, 11, 14].map(|kind| [&[kind][..], &[7; 24]].concat()));
    words
}
