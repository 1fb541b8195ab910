//! Changes bytes at random, with words that the target knows; the same seed makes the same change.

/// A stream of random numbers that is the same everywhere (SplitMix64).
#[derive(Clone, Debug)]
pub struct Chance(u64);

impl Chance {
    /// The stream of this seed.
    pub fn new(seed: u64) -> Chance {
        Chance(seed)
    }

    /// The next number.
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`; 0 if there is none.
    pub fn below(&mut self, bound: usize) -> usize {
        (self.draw() % bound.max(1) as u64) as usize
    }

    /// A range inside `0..len`, more often short than long.
    fn range(&mut self, len: usize) -> std::ops::Range<usize> {
        let start = self.below(len + 1);
        let longest = if self.below(4) == 0 { len } else { 16 };
        start..len.min(start + self.below(longest + 1))
    }
}

/// Numbers at which something changes somewhere.
const NUMBERS: [&str; 16] = [
    "0",
    "-1",
    "1",
    "2",
    "7",
    "63",
    "64",
    "255",
    "2047",
    "2048",
    "65535",
    "65536",
    "2147483647",
    "4294967296",
    "9223372036854775807",
    "18446744073709551615",
];

/// Changes `data` in one to four places; it does not grow beyond `max_len`.
pub fn mutate(data: &mut Vec<u8>, max_len: usize, words: &[Vec<u8>], chance: &mut Chance) {
    for _ in 0..1 + chance.below(4) {
        mutate_once(data, words, chance);
    }
    data.truncate(max_len);
}

fn mutate_once(data: &mut Vec<u8>, words: &[Vec<u8>], chance: &mut Chance) {
    match chance.below(9) {
        0 | 1 if !words.is_empty() => {
            let range = if chance.below(2) == 0 { chance.range(data.len()) } else { at(data.len(), chance) };
            let word = &words[chance.below(words.len())];
            data.splice(range, word.iter().copied());
        }
        0 | 2 => replace_number(data, chance),
        3 => {
            let range = chance.range(data.len());
            data.drain(range);
        }
        4 => {
            let piece = data[chance.range(data.len())].to_vec();
            data.splice(at(data.len(), chance), piece);
        }
        5 => {
            let piece = data[chance.range(data.len())].to_vec();
            let range = chance.range(data.len());
            data.splice(range, piece);
        }
        6 => {
            let at = chance.below(data.len());
            if let Some(byte) = data.get_mut(at) {
                *byte ^= 1 << chance.below(8);
            }
        }
        7 => {
            let range = chance.range(data.len());
            data[range].iter_mut().for_each(|byte| *byte = chance.draw() as u8);
        }
        _ => {
            let bytes: Vec<u8> = (0..1 + chance.below(4)).map(|_| chance.draw() as u8).collect();
            data.splice(at(data.len(), chance), bytes);
        }
    }
}

fn at(len: usize, chance: &mut Chance) -> std::ops::Range<usize> {
    let at = chance.below(len + 1);
    at..at
}

/// Puts another number in the place of one, if there is one behind a place drawn at random.
fn replace_number(data: &mut Vec<u8>, chance: &mut Chance) {
    let from = chance.below(data.len());
    let Some(start) = data[from..].iter().position(u8::is_ascii_digit).map(|start| from + start) else {
        return;
    };
    let len = data[start..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    let number = if chance.below(2) == 0 {
        NUMBERS[chance.below(NUMBERS.len())].to_owned()
    } else {
        (chance.draw() >> chance.below(64)).to_string()
    };
    data.splice(start..start + len, number.into_bytes());
}
