//! What a connection still has to send: its own bytes, and large blocks shared with the jobs they belong to.
//!
//! Invariants:
//! * `sent` is at most the length of the first block, or of `tail` when there is no block before it;
//! * no block is empty;
//! * nothing of `tail` has been sent while there are blocks before it.

use std::collections::VecDeque;
use std::io::IoSlice;
use std::sync::Arc;

/// Capacity up to which a drained buffer is kept for the next reply; larger ones are given back. Replies are
/// mostly far below it, and ten thousand connections that were once busy must not hold ten thousand peaks.
const KEEP_CAPACITY: usize = 64 * 1024;

/// How many sent bytes are dragged along at the head of the tail before the rest is moved down. A reader that
/// never quite catches up would otherwise make the tail grow for ever.
const COMPACT_FROM: usize = 16 * 1024;

/// Blocks for which the drained list keeps its room.
const KEEP_BLOCKS: usize = 32;

/// Encoded replies that wait to be sent, in order.
#[derive(Debug, Default)]
pub struct Output {
    /// Closed blocks, oldest first; all of them precede `tail`.
    blocks: VecDeque<Block>,
    /// Bytes of `blocks` together, sent ones included.
    blocks_len: usize,
    /// Where new bytes go.
    tail: Vec<u8>,
    /// How much of the first block, or of the tail, has been sent.
    sent: usize,
}

#[derive(Debug)]
enum Block {
    Own(Vec<u8>),
    Shared(Arc<Vec<u8>>),
}

impl Block {
    fn bytes(&self) -> &[u8] {
        match self {
            Block::Own(bytes) => bytes,
            Block::Shared(bytes) => bytes,
        }
    }
}

impl Output {
    /// Nothing to send, and no heap.
    pub const fn new() -> Output {
        Output { blocks: VecDeque::new(), blocks_len: 0, tail: Vec::new(), sent: 0 }
    }

    /// The buffer that replies are appended to. Bytes already in it must stay as they are.
    pub fn bytes_mut(&mut self) -> &mut Vec<u8> {
        &mut self.tail
    }

    /// Appends a shared block without copying it.
    pub fn push_shared(&mut self, block: Arc<Vec<u8>>) {
        if block.is_empty() {
            return;
        }
        self.close_tail();
        self.blocks_len += block.len();
        self.blocks.push_back(Block::Shared(block));
    }

    /// Number of bytes still to be sent.
    pub fn len(&self) -> usize {
        self.blocks_len + self.tail.len() - self.sent
    }

    /// Whether everything has been sent.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Number of blocks still to be sent, the one being appended to included.
    pub fn blocks(&self) -> usize {
        self.blocks.len() + usize::from(!self.tail.is_empty())
    }

    /// Fills `into` with what is to be sent next; says how many slices it used.
    pub fn slices<'a>(&'a self, into: &mut [IoSlice<'a>]) -> usize {
        let blocks = self.blocks.iter().map(Block::bytes).chain([&self.tail[..]]);
        let mut skip = self.sent;
        let pending =
            blocks.map(|bytes| &bytes[std::mem::take(&mut skip)..]).filter(|bytes| !bytes.is_empty());
        let mut used = 0;
        for (slot, bytes) in into.iter_mut().zip(pending) {
            *slot = IoSlice::new(bytes);
            used += 1;
        }
        used
    }

    /// Forgets the first `len` bytes, because they have been sent; at most [`Output::len`].
    pub fn consume(&mut self, len: usize) {
        assert!(len <= self.len(), "more bytes sent than there were");
        self.sent += len;
        while let Some(first) = self.blocks.front() {
            let first_len = first.bytes().len();
            if self.sent < first_len {
                return;
            }
            self.sent -= first_len;
            self.blocks_len -= first_len;
            if let Some(Block::Own(bytes)) = self.blocks.pop_front() {
                self.reuse(bytes);
            }
        }
        if self.sent == self.tail.len() {
            self.rewind();
        } else if self.sent >= COMPACT_FROM && self.sent >= self.tail.len() / 2 {
            self.tail.drain(..self.sent);
            self.sent = 0;
        }
    }

    /// All bytes still to be sent, in one piece.
    pub fn into_bytes(self) -> Vec<u8> {
        if self.blocks.is_empty() && self.sent == 0 {
            return self.tail;
        }
        let blocks = self.blocks.iter().map(Block::bytes).chain([&self.tail[..]]);
        blocks.flatten().skip(self.sent).copied().collect()
    }

    /// Forgets everything, sent or not.
    pub fn clear(&mut self) {
        *self = Output::new();
    }

    /// Gives back the memory kept for the next reply, if there is nothing to send.
    pub fn shrink(&mut self) {
        if self.is_empty() {
            self.clear();
        }
    }

    fn close_tail(&mut self) {
        if self.tail.is_empty() {
            return;
        }
        self.blocks_len += self.tail.len();
        self.blocks.push_back(Block::Own(std::mem::take(&mut self.tail)));
    }

    /// Makes the buffer of a sent block the tail again, if the tail has none.
    fn reuse(&mut self, mut bytes: Vec<u8>) {
        if self.tail.capacity() == 0 && bytes.capacity() <= KEEP_CAPACITY {
            bytes.clear();
            self.tail = bytes;
        }
    }

    /// Starts over when all has been sent.
    fn rewind(&mut self) {
        self.sent = 0;
        self.tail.clear();
        if self.tail.capacity() > KEEP_CAPACITY {
            self.tail = Vec::new();
        }
        if self.blocks.capacity() > KEEP_BLOCKS {
            self.blocks = VecDeque::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pending(output: &Output, slots: usize) -> Vec<u8> {
        let mut slices = vec![IoSlice::new(&[]); slots];
        let used = output.slices(&mut slices);
        slices[..used].iter().flat_map(|slice| slice.iter().copied()).collect()
    }

    #[test]
    fn shared_blocks_keep_their_place() {
        let mut output = Output::new();
        output.bytes_mut().extend_from_slice(b"one");
        let block = Arc::new(b"two".to_vec());
        output.push_shared(block.clone());
        output.bytes_mut().extend_from_slice(b"three");
        assert_eq!((output.len(), output.blocks()), (11, 3));
        assert_eq!(pending(&output, 8), b"onetwothree");
        assert_eq!(pending(&output, 2), b"onetwo");
        assert_eq!(Arc::strong_count(&block), 2, "not copied");
        output.consume(4);
        assert_eq!(pending(&output, 8), b"wothree");
        output.consume(7);
        assert_eq!((output.is_empty(), output.blocks(), Arc::strong_count(&block)), (true, 0, 1));
    }

    #[test]
    fn empty_shared_blocks_are_nothing() {
        let mut output = Output::new();
        output.push_shared(Arc::new(Vec::new()));
        assert_eq!((output.blocks(), output.is_empty()), (0, true));
    }

    #[test]
    fn drained_outputs_keep_small_buffers_only() {
        let mut output = Output::new();
        output.bytes_mut().resize(KEEP_CAPACITY + 1, 0);
        output.consume(KEEP_CAPACITY + 1);
        assert_eq!(output.tail.capacity(), 0);
        output.bytes_mut().extend_from_slice(b"small");
        output.consume(5);
        assert_ne!(output.tail.capacity(), 0, "kept for the next reply");
        output.shrink();
        assert_eq!(output.tail.capacity(), 0);
    }

    #[test]
    fn shrink_leaves_what_is_to_be_sent() {
        let mut output = Output::new();
        output.bytes_mut().extend_from_slice(b"x");
        output.shrink();
        assert_eq!(output.len(), 1);
        output.clear();
        assert!(output.is_empty());
    }

    #[test]
    fn buffer_of_a_sent_block_is_used_again() {
        let mut output = Output::new();
        output.bytes_mut().reserve(1000);
        output.bytes_mut().push(b'x');
        output.push_shared(Arc::new(vec![b'y']));
        output.consume(2);
        assert!(output.tail.capacity() >= 1000);
    }

    #[test]
    fn reader_that_never_catches_up_does_not_make_the_tail_grow() {
        let mut output = Output::new();
        output.bytes_mut().extend_from_slice(&[0; 100]);
        for _ in 0..10_000 {
            output.bytes_mut().extend_from_slice(&[0; 1000]);
            output.consume(1000);
        }
        assert_eq!(output.len(), 100);
        assert!(output.tail.capacity() < 4 * COMPACT_FROM, "{}", output.tail.capacity());
    }

    #[derive(Clone, Debug)]
    enum Op {
        Append(usize),
        Share(usize),
        Consume(usize),
        Clear,
        Shrink,
    }

    fn op() -> impl Strategy<Value = Op> {
        prop_oneof![
            4 => (0..40_000usize).prop_map(Op::Append),
            3 => (0..3000usize).prop_map(Op::Share),
            6 => (0..60_000usize).prop_map(Op::Consume),
            1 => Just(Op::Clear),
            1 => Just(Op::Shrink),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]
        #[test]
        fn output_is_a_queue_of_bytes(ops in prop::collection::vec(op(), 0..40)) {
            let (mut output, mut model) = (Output::new(), Vec::new());
            let mut next = 0u8;
            let mut fresh = |len: usize| -> Vec<u8> {
                (0..len).map(|_| { next = next.wrapping_mul(5).wrapping_add(17); next }).collect()
            };
            for op in ops {
                match op {
                    Op::Append(len) => {
                        let bytes = fresh(len);
                        output.bytes_mut().extend_from_slice(&bytes);
                        model.extend(bytes);
                    }
                    Op::Share(len) => {
                        let bytes = fresh(len);
                        output.push_shared(Arc::new(bytes.clone()));
                        model.extend(bytes);
                    }
                    Op::Consume(len) => {
                        let len = len.min(output.len());
                        output.consume(len);
                        model.drain(..len);
                    }
                    Op::Clear => {
                        output.clear();
                        model.clear();
                    }
                    Op::Shrink => output.shrink(),
                }
                prop_assert_eq!(output.len(), model.len());
                prop_assert_eq!(output.is_empty(), model.is_empty());
                prop_assert_eq!(output.blocks() == 0, model.is_empty());
                prop_assert!(pending(&output, 100) == model);
            }
        }
    }
}
