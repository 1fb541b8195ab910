//! The bodies of jobs: one length, or lengths that are spread.

use std::fmt;
use std::str::FromStr;

/// Longest body in bytes; the server's own limit is lower.
const MAX_LEN: u32 = 64 << 20;

/// Lengths of bodies as they are asked for.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Lengths {
    /// `100`: all alike.
    Fixed(u32),
    /// `50-500`: each length as likely as any other, both ends included.
    Uniform(u32, u32),
    /// `100:9,4096:1`: lengths and how often each comes in proportion to the others.
    Weighted(Vec<(u32, u32)>),
}

impl FromStr for Lengths {
    type Err = String;

    fn from_str(text: &str) -> Result<Lengths, String> {
        let wrong = || format!("{text:?} is neither BYTES nor FROM-TO nor BYTES:WEIGHT,...");
        let length = |digits: &str| match digits.parse() {
            Ok(length) if length <= MAX_LEN => Ok(length),
            Ok(length) => Err(format!("{length} bytes are too many, {MAX_LEN} are the most")),
            Err(_) => Err(wrong()),
        };
        if let Some((from, to)) = text.split_once('-') {
            let (from, to) = (length(from)?, length(to)?);
            return if from <= to { Ok(Lengths::Uniform(from, to)) } else { Err(wrong()) };
        }
        if !text.contains(':') {
            return Ok(Lengths::Fixed(length(text)?));
        }
        let pair = |part: &str| {
            let (digits, weight) = part.split_once(':').ok_or_else(wrong)?;
            let weight: u16 = weight.parse().map_err(|_| wrong())?;
            Ok((length(digits)?, u32::from(weight)))
        };
        let pairs = text.split(',').map(pair).collect::<Result<Vec<_>, String>>()?;
        if pairs.iter().all(|(_, weight)| *weight == 0) { Err(wrong()) } else { Ok(Lengths::Weighted(pairs)) }
    }
}

impl fmt::Display for Lengths {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Lengths::Fixed(length) => write!(f, "{length}"),
            Lengths::Uniform(from, to) => write!(f, "{from}-{to}"),
            Lengths::Weighted(pairs) => {
                let words: Vec<String> =
                    pairs.iter().map(|(length, weight)| format!("{length}:{weight}")).collect();
                f.write_str(&words.join(","))
            }
        }
    }
}

impl Lengths {
    /// The shortest that can come.
    pub(super) fn shortest(&self) -> u32 {
        match self {
            Lengths::Fixed(length) | Lengths::Uniform(length, _) => *length,
            Lengths::Weighted(pairs) => pairs.iter().map(|(length, _)| *length).min().unwrap_or(0),
        }
    }

    fn longest(&self) -> u32 {
        match self {
            Lengths::Fixed(length) | Lengths::Uniform(_, length) => *length,
            Lengths::Weighted(pairs) => pairs.iter().map(|(length, _)| *length).max().unwrap_or(0),
        }
    }

    /// The length that the job of this number has: always the same one, so that runs can be repeated.
    fn of(&self, number: u64) -> u32 {
        match self {
            Lengths::Fixed(length) => *length,
            Lengths::Uniform(from, to) => from + (scattered(number) % u64::from(to - from + 1)) as u32,
            Lengths::Weighted(pairs) => {
                let all: u64 = pairs.iter().map(|(_, weight)| u64::from(*weight)).sum();
                let mut left = scattered(number) % all;
                for (length, weight) in pairs {
                    match left.checked_sub(u64::from(*weight)) {
                        None => return *length,
                        Some(rest) => left = rest,
                    }
                }
                unreachable!("the remainder of a division by the sum of the weights is less than it")
            }
        }
    }
}

/// A number that shows no pattern, as splitmix64 makes it.
fn scattered(number: u64) -> u64 {
    let mut x = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// Bodies of such lengths.
pub(super) struct Bodies {
    lengths: Lengths,
    bytes: Vec<u8>,
}

impl Bodies {
    pub(super) fn new(lengths: Lengths) -> Bodies {
        Bodies { bytes: vec![b'x'; lengths.longest() as usize], lengths }
    }

    /// The body of the job of this number.
    pub(super) fn of(&self, number: u64) -> &[u8] {
        &self.bytes[..self.lengths.of(number) as usize]
    }

    /// Whether there is only one.
    pub(super) fn are_alike(&self) -> bool {
        matches!(self.lengths, Lengths::Fixed(_))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_one_a_range_or_a_choice() {
        assert_eq!("100".parse(), Ok(Lengths::Fixed(100)));
        assert_eq!("5-9".parse(), Ok(Lengths::Uniform(5, 9)));
        assert_eq!("100:9,4096:1".parse(), Ok(Lengths::Weighted(vec![(100, 9), (4096, 1)])));
        for text in ["100", "5-9", "100:9,4096:1"] {
            assert_eq!(text.parse::<Lengths>().expect(text).to_string(), text);
        }
        for text in ["", "x", "9-5", "1-", "1:0", "1:2,3", "67108865", "-1", "1:70000"] {
            assert!(text.parse::<Lengths>().is_err(), "{text}");
        }
    }

    #[test]
    fn ranges_include_their_ends_and_nothing_beyond() {
        let lengths = Lengths::Uniform(3, 5);
        let seen: std::collections::BTreeSet<u32> = (0..100).map(|number| lengths.of(number)).collect();
        assert_eq!(seen.into_iter().collect::<Vec<_>>(), [3, 4, 5]);
    }

    #[test]
    fn weights_are_kept_and_weight_zero_never_comes() {
        let lengths = Lengths::Weighted(vec![(1, 9), (7, 0), (2, 1)]);
        let count = |wanted| (0..10_000).filter(|number| lengths.of(*number) == wanted).count();
        assert_eq!((count(7), count(1) + count(2)), (0, 10_000));
        assert!((8_800..9_200).contains(&count(1)), "{}", count(1));
    }
}
