//! The identity of jobs.

use std::fmt;

use super::node::HEX;
use super::{Millis, NodeId};

/// A job's identity in 24 bytes: 4 of the creating node, 18 random, 2 for the time to live in minutes.
///
/// The text form has 40 characters: `D-` 8 hex digits `-` 24 characters of base 64 `-` 4 hex digits
/// (commands.md 4.1). The lowest bit of the minutes tells at least once (1) from at most once (0).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobId([u8; 24]);

/// Why some bytes do not name a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobIdError {
    /// Not 40 bytes with `D` and the dashes in their places.
    BadShape,
    /// Well-shaped, but printing the parsed form would give another text: no job can have this ID.
    Unknowable,
}

impl JobId {
    /// Length of the text form.
    pub const TEXT_LEN: usize = 40;

    /// Makes an ID: `node` is the creator's prefix, `random` must be unpredictable and unique.
    pub fn new(node: [u8; 4], random: [u8; 18], ttl: Millis, at_least_once: bool) -> JobId {
        let minutes = (ttl.0 / 60_000).min(0xffff) as u16;
        let minutes = if at_least_once { minutes | 1 } else { minutes & !1 };
        let mut bytes = [0; 24];
        bytes[..4].copy_from_slice(&node);
        bytes[4..22].copy_from_slice(&random);
        bytes[22..].copy_from_slice(&minutes.to_be_bytes());
        JobId(bytes)
    }

    /// The ID with this packed form; all 24 bytes are some ID.
    pub const fn from_bytes(bytes: [u8; 24]) -> JobId {
        JobId(bytes)
    }

    /// The packed form.
    pub const fn bytes(&self) -> &[u8; 24] {
        &self.0
    }

    /// The packed form as three words: what the job table hashes.
    pub fn words(&self) -> [u64; 3] {
        let [a, b, c] = *self.0.as_chunks::<8>().0 else { unreachable!("24 bytes are three words") };
        [a, b, c].map(u64::from_le_bytes)
    }

    /// Four of the random bytes, in which the node that makes an ID may keep a number.
    pub fn slot_bytes(&self) -> u32 {
        u32::from_le_bytes([self.0[4], self.0[5], self.0[6], self.0[7]])
    }

    /// The same ID with those four bytes replaced.
    #[must_use]
    pub fn with_slot_bytes(mut self, bytes: u32) -> JobId {
        self.0[4..8].copy_from_slice(&bytes.to_le_bytes());
        self
    }

    /// The prefix of the node that created the job.
    pub fn node_prefix(&self) -> [u8; 4] {
        [self.0[0], self.0[1], self.0[2], self.0[3]]
    }

    /// Whether the ID was made by the node with this identity, as far as eight digits tell.
    pub fn is_from(&self, node: &NodeId) -> bool {
        self.node_prefix() == node.prefix()
    }

    /// The time to live that the ID carries, in minutes.
    pub fn ttl_minutes(&self) -> u16 {
        u16::from_be_bytes([self.0[22], self.0[23]])
    }

    /// Whether the job may be delivered again (RETRY > 0).
    pub fn is_at_least_once(&self) -> bool {
        self.0[23] & 1 == 1
    }

    /// Whether the bytes have the shape of an ID; all that commands check before they act (commands.md 4.1).
    pub fn is_well_shaped(text: &[u8]) -> bool {
        text.len() == JobId::TEXT_LEN
            && text[0] == b'D'
            && text[1] == b'-'
            && text[10] == b'-'
            && text[35] == b'-'
    }

    /// Reads the text form.
    pub fn parse(text: &[u8]) -> Result<JobId, JobIdError> {
        if !JobId::is_well_shaped(text) {
            return Err(JobIdError::BadShape);
        }
        JobId::unpack(text).ok_or(JobIdError::Unknowable)
    }

    fn unpack(text: &[u8]) -> Option<JobId> {
        let text: &[u8; JobId::TEXT_LEN] = text.try_into().ok()?;
        let mut bytes = [0; 24];
        // What is no digit is seen in what all digits have together, so it is looked at once.
        let mut seen = hex_into(&mut bytes[..4], &text[2..10]);
        for (out, quad) in bytes[4..22].as_chunks_mut::<3>().0.iter_mut().zip(text[11..35].as_chunks::<4>().0)
        {
            let [a, b, c, d] = quad.map(|c| BASE64_VALUES[usize::from(c)]);
            seen |= a | b | c | d;
            let word = u32::from(a) << 18 | u32::from(b) << 12 | u32::from(c) << 6 | u32::from(d);
            out.copy_from_slice(&word.to_be_bytes()[1..]);
        }
        seen |= hex_into(&mut bytes[22..], &text[36..40]);
        (seen & NO_DIGIT == 0).then_some(JobId(bytes))
    }

    /// The text form.
    pub fn text(&self) -> [u8; 40] {
        let mut text = [b'-'; 40];
        text[0] = b'D';
        hex_from(&mut text[2..10], &self.0[..4]);
        for (quad, bytes) in
            text[11..35].as_chunks_mut::<4>().0.iter_mut().zip(self.0[4..22].as_chunks::<3>().0)
        {
            let word = u32::from_be_bytes([0, bytes[0], bytes[1], bytes[2]]);
            for (i, c) in quad.iter_mut().enumerate() {
                *c = BASE64[(word >> (18 - 6 * i) & 63) as usize];
            }
        }
        hex_from(&mut text[36..40], &self.0[22..]);
        text
    }
}

/// Reads hex digits, and says which bits their values have: [`NO_DIGIT`] if one is none.
fn hex_into(bytes: &mut [u8], text: &[u8]) -> u8 {
    let mut seen = 0;
    for (byte, pair) in bytes.iter_mut().zip(text.as_chunks::<2>().0) {
        let [high, low] = pair.map(|c| HEX_VALUES[usize::from(c)]);
        seen |= high | low;
        *byte = high << 4 | low & 15;
    }
    seen
}

fn hex_from(text: &mut [u8], bytes: &[u8]) {
    for (pair, byte) in text.as_chunks_mut::<2>().0.iter_mut().zip(bytes) {
        *pair = [HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]];
    }
}

const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
/// Bits that the value of no digit has.
const NO_DIGIT: u8 = 0xc0;
const BASE64_VALUES: [u8; 256] = digit_values(BASE64);
const HEX_VALUES: [u8; 256] = digit_values(HEX);

/// The value of each byte as a digit, [`NO_DIGIT`] if it is none.
const fn digit_values(digits: &[u8]) -> [u8; 256] {
    let mut values = [NO_DIGIT; 256];
    let mut i = 0;
    while i < digits.len() {
        values[digits[i] as usize] = i as u8;
        i += 1;
    }
    values
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.text().iter().try_for_each(|byte| write!(f, "{}", char::from(*byte)))
    }
}

impl fmt::Debug for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_observed_id_survives_packing() {
        let text = b"D-da584d4c-nITAwKSg4Lm+fvdj4/V9fZLS-05a1";
        let id = JobId::parse(text).expect("an ID of the reference server");
        assert_eq!(&id.text(), text);
        assert_eq!(id.ttl_minutes(), 0x05a1);
        assert!(id.is_at_least_once());
        assert_eq!(id.node_prefix(), [0xda, 0x58, 0x4d, 0x4c]);
        assert_eq!(id.to_string().as_bytes(), text);
    }

    #[test]
    fn shape_and_knowability_are_told_apart() {
        for bad in
            ["", "D", "X-da584d4c-nITAwKSg4Lm+fvdj4/V9fZLS-05a1", "D-da584d4c-nITAwKSg4Lm+fvdj4/V9fZLS-05a"]
        {
            assert_eq!(JobId::parse(bad.as_bytes()), Err(JobIdError::BadShape), "{bad}");
        }
        for unknowable in [
            "D-XXXXXXXX-XXXXXXXXXXXXXXXXXXXXXXXX-XXXX",
            "D-DA584D4C-nITAwKSg4Lm+fvdj4/V9fZLS-05a1",
            "D-da584d4c-nITAwKSg4Lm!fvdj4/V9fZLS-05a1",
        ] {
            assert_eq!(JobId::parse(unknowable.as_bytes()), Err(JobIdError::Unknowable), "{unknowable}");
        }
    }

    #[test]
    fn the_ttl_field_is_minutes_with_the_delivery_promise_in_its_lowest_bit() {
        for (secs, at_least_once, field) in [
            (86_400, true, 0x05a1),
            (86_400, false, 0x05a0),
            (59, true, 0x0001),
            (60, true, 0x0001),
            (120, true, 0x0003),
            (119, false, 0x0000),
            (179, false, 0x0002),
            (3_932_160, true, 0xffff),
            (3_932_160, false, 0xfffe),
        ] {
            let id = JobId::new([1; 4], [2; 18], Millis::from_secs(secs), at_least_once);
            assert_eq!(id.ttl_minutes(), field, "TTL {secs}");
            assert_eq!(id.is_at_least_once(), at_least_once);
        }
    }

    proptest::proptest! {
        #[test]
        fn every_id_survives_its_text_form(node: [u8; 4], random: [u8; 18], ttl: u64, promise: bool) {
            let id = JobId::new(node, random, Millis(ttl), promise);
            proptest::prop_assert_eq!(JobId::parse(&id.text()), Ok(id));
        }

        #[test]
        fn any_forty_bytes_are_parsed_or_refused(text in proptest::collection::vec(0u8.., 0..60)) {
            if let Ok(id) = JobId::parse(&text) {
                proptest::prop_assert_eq!(&id.text()[..], &text[..]);
            }
        }
    }
}
