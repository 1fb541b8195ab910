//! A stream of bytes in pieces, as sockets deliver it.

use super::Chance;

/// Stands for a run of one byte, so that small inputs can hold large arguments: `0xFE n b` is `n` KiB of `b`,
/// unless `n` is 0, when it is the byte `0xFE` itself and what follows stands for itself.
pub(super) const RUN: u8 = 0xFE;

/// Bytes that inputs commonly stand for at most: enough for two large arguments.
pub(super) const FEW: usize = 96 * 1024;
/// Bytes that an input may stand for at most: more than the reader's first reservation for a large argument.
pub(super) const MANY: usize = 3 << 19;

/// The bytes that an input stands for; runs end where there are `limit` of them.
pub(super) fn expand(mut input: &[u8], limit: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(input.len());
    while let [first, rest @ ..] = input {
        input = rest;
        match rest {
            [n @ 1..=255, byte, after @ ..] if *first == RUN => {
                let room = limit.saturating_sub(bytes.len());
                bytes.resize(bytes.len() + room.min(usize::from(*n) * 1024), *byte);
                input = after;
            }
            [0, after @ ..] if *first == RUN => {
                bytes.push(RUN);
                input = after;
            }
            _ => bytes.push(*first),
        }
    }
    bytes
}

/// How a stream is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cuts {
    /// Not at all.
    Nowhere,
    /// Behind every byte.
    Everywhere,
    /// At places that follow from a seed.
    Seeded(u16),
}

/// Most pieces that a seed may cut a stream into.
const MAX_PIECES: usize = 2048;

impl Cuts {
    /// The pieces of `bytes`, in order.
    pub(super) fn of(self, bytes: &[u8]) -> Vec<&[u8]> {
        match self {
            Cuts::Nowhere => vec![bytes],
            Cuts::Everywhere => bytes.chunks(1).collect(),
            Cuts::Seeded(seed) => seeded(bytes, seed),
        }
    }
}

/// Pieces of a few bytes up to all there are; small ones are as likely as large ones.
fn seeded(mut bytes: &[u8], seed: u16) -> Vec<&[u8]> {
    let mut chance = Chance::new(u64::from(seed));
    let least = 1 + bytes.len() / MAX_PIECES;
    let scale = 1 + chance.below(18);
    let mut pieces = Vec::new();
    while !bytes.is_empty() {
        let bits = chance.below(scale);
        let len = least.max(1 + chance.below(1 << bits)).min(bytes.len());
        let (piece, rest) = bytes.split_at(len);
        pieces.push(piece);
        bytes = rest;
    }
    pieces
}
