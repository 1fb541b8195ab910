//! The checksum of a frame: CRC-16/XMODEM (polynomial 0x1021, nothing added before or after), of the crate crc16.
//!
//! It notices every error that lies within 16 bits, every odd number of wrong bits, and all but one in 65,536 of the
//! others. That is enough against cables and memory, and nothing against malice.
//!
//! | offset | size | field                                                                          |
//! |--------|------|--------------------------------------------------------------------------------|
//! | 10     | 2    | the checksum with all bits inverted                                            |
//! | 134    | 2    | the checksum of the frame with both fields zero                                |
//! | 140    | 1    | 0xc5, the sign that there is a checksum                                        |
//!
//! There is a checksum if the sign is there, or if the two fields fit each other: damage within 16 bits cannot undo
//! both. The inverted copy is what notices damage that reaches from the field into its neighbours, since the field
//! itself is not covered. Frames of RC1 have zeros in all three places, and reserved bytes with other contents are
//! no checksum, either.

use crc16::{CrcType, XMODEM};

use super::error::BusError;
use super::header::HEADER_LEN;

const INVERTED_AT: usize = 10;
const CHECKSUM_AT: usize = 134;
const SIGN_AT: usize = 140;
const SIGN: u8 = 0xc5;

/// Puts a checksum into a whole frame that has none yet.
pub(super) fn seal(frame: &mut [u8]) {
    frame[SIGN_AT] = SIGN;
    let checksum = XMODEM::get(update(XMODEM::init(), frame));
    frame[CHECKSUM_AT..][..2].copy_from_slice(&checksum.to_be_bytes());
    frame[INVERTED_AT..][..2].copy_from_slice(&(!checksum).to_be_bytes());
}

/// Checks the checksum of a frame, if it has one.
pub(super) fn verify(head: &[u8; HEADER_LEN], body: &[u8]) -> Result<(), BusError> {
    let word = |at: usize| u16::from_be_bytes([head[at], head[at + 1]]);
    let (said, inverted, sign) = (word(CHECKSUM_AT), word(INVERTED_AT), head[SIGN_AT] == SIGN);
    if !sign && said != !inverted {
        return Ok(());
    }
    let mut head = *head;
    head[CHECKSUM_AT..][..2].fill(0);
    head[INVERTED_AT..][..2].fill(0);
    let computed = XMODEM::get(update(update(XMODEM::init(), &head), body));
    if sign && said == !inverted && said == computed {
        return Ok(());
    }
    Err(BusError::Checksum { said, computed })
}

/// How many bytes are taken in at once.
const BLOCK: usize = 16;

/// Sixteen bytes at a time. One byte after the other, each waits for the state that those before it make; here only
/// the two bytes of the state do, and all others are looked up meanwhile. As the crate has it, the state is the
/// remainder of what was taken in, without zeros behind it, so the last two bytes of a block add themselves.
fn update(mut state: u16, bytes: &[u8]) -> u16 {
    let (blocks, rest) = bytes.as_chunks::<BLOCK>();
    for block in blocks {
        let mut sum = u16::from_be_bytes([block[BLOCK - 2], block[BLOCK - 1]]);
        for at in 0..BLOCK - 2 {
            sum ^= BEFORE[at + 2][usize::from(block[at])];
        }
        let [high, low] = state.to_be_bytes();
        let before = BEFORE[0][usize::from(high)] ^ BEFORE[1][usize::from(low)];
        state = sum ^ before;
    }
    XMODEM::update(state, rest)
}

/// What each byte of the state, and then of the block, leaves at the end of the block.
static BEFORE: [[u16; 256]; BLOCK] = {
    let mut tables = [[0; 256]; BLOCK];
    let mut at = 0;
    while at < BLOCK {
        let mut byte = 0;
        while byte < 256 {
            tables[at][byte] = shifted(byte as u16, 8 * (BLOCK + 1 - at));
            byte += 1;
        }
        at += 1;
    }
    tables
};

/// The remainder of a state with so many zero bits behind it.
const fn shifted(mut state: u16, bits: usize) -> u16 {
    const POLYNOMIAL: u16 = 0x1021;
    let mut bit = 0;
    while bit < bits {
        let carry = state & 0x8000 != 0;
        state <<= 1;
        if carry {
            state ^= POLYNOMIAL;
        }
        bit += 1;
    }
    state
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_give_the_same_sum_as_one_byte_after_the_other() {
        let bytes: Vec<u8> = (0..1000_u32).map(|i| (i * 31 + i / 7) as u8).collect();
        for start in [0, 1, 500] {
            for end in start..bytes.len() {
                let bytes = &bytes[start..end];
                for state in [0, 0x1234] {
                    assert_eq!(update(state, bytes), XMODEM::update(state, bytes), "{start}..{end}");
                }
            }
        }
        assert_eq!(XMODEM::get(update(XMODEM::init(), b"123456789")), 0x31c3, "the published check value");
    }

    #[test]
    fn reserved_bytes_of_other_servers_are_no_checksum() {
        for filling in [0, 0xff, 0xee] {
            assert_eq!(verify(&[filling; HEADER_LEN], b"body"), Ok(()), "{filling:#x}");
        }
    }
}
