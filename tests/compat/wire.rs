//! Frames with one message, for tests about messages.

use disque::bus::{BusError, Features, FrameReader, FrameWriter, Header, MAX_FRAME_LEN, Message, decode};
use disque::types::UnixMillis;

/// The bytes of a message for a peer that announced these features.
pub fn frame_for(peer: Option<Features>, header: &Header, message: &Message<'_>, now: UnixMillis) -> Vec<u8> {
    let mut writer = FrameWriter::new();
    writer.set_features(peer);
    assert!(writer.push(header, message, now), "{} can be said", message.name());
    writer.bytes().to_vec()
}

/// The frame that an RC1 node is sent.
pub fn rc1_frame(header: &Header, message: &Message<'_>, now: UnixMillis) -> Vec<u8> {
    frame_for(None, header, message, now)
}

/// The message of a frame that has one; its first error.
pub fn only(frame: &[u8], now: UnixMillis) -> Result<(Header, Message<'_>), BusError> {
    let (header, mut messages) = decode(frame, now)?;
    let message = messages.next().expect("a frame has a message, or is none")?;
    assert_eq!(messages.next(), None);
    Ok((header, message))
}

/// The frames of a stream.
pub fn frames(stream: &[u8]) -> Vec<Vec<u8>> {
    let mut reader = FrameReader::new(MAX_FRAME_LEN);
    reader.feed(stream);
    let mut frames = Vec::new();
    while let Some(frame) = reader.next_frame().expect("good frames") {
        frames.push(frame.to_vec());
    }
    assert_eq!(reader.pending(), 0);
    frames
}
