//! How values of parameters are read and printed: the trait, its errors, and the plain types.

use std::fmt;
use std::ops::RangeInclusive;

use crate::types::Millis;

/// Why a value was not taken. Reads as the end of a sentence that begins with the parameter's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ValueError {
    /// Not what the parameter takes; names what it takes.
    Expected(&'static str),
    /// Not a whole number, or one that is too large for any parameter.
    NotANumber,
    /// Not a whole number within the limits of the parameter.
    OutOfRange {
        /// The smallest number that is taken.
        min: u64,
        /// The largest number that is taken.
        max: u64,
    },
    /// A meaningful value that this version does not serve; names the remedy.
    Unavailable(&'static str),
}

impl ValueError {
    /// The same error, now that the limits of the parameter are known.
    pub(super) fn within(self, range: &RangeInclusive<u64>) -> ValueError {
        match self {
            ValueError::NotANumber => ValueError::OutOfRange { min: *range.start(), max: *range.end() },
            other => other,
        }
    }
}

impl fmt::Display for ValueError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ValueError::Expected(what) => write!(f, "must be {what}"),
            ValueError::NotANumber => f.write_str("must be a whole number"),
            ValueError::OutOfRange { min, max } => write!(f, "must be a whole number from {min} to {max}"),
            ValueError::Unavailable(remedy) => write!(f, "cannot have this value: {remedy}"),
        }
    }
}

impl std::error::Error for ValueError {}

/// A type that parameters can have.
///
/// What [`Value::show`] prints, and what [`Value::write`] writes, [`Value::parse`] reads as the same value.
pub(super) trait Value: Sized {
    /// Whether several words make one value; CONFIG SET takes them in one argument, separated by blanks.
    const MANY_WORDS: bool = false;

    /// Reads the words that follow the parameter's name.
    fn parse(words: &[&[u8]]) -> Result<Self, ValueError>;

    /// What CONFIG GET answers.
    fn show(&self) -> Vec<u8>;

    /// What stands in a file after the name, or `None` when unset is best said by no line at all.
    fn write(&self) -> Option<Vec<u8>> {
        Some(self.show())
    }

    /// Takes `new` in the place of the old value.
    fn replace(&mut self, new: Self) {
        *self = new;
    }
}

/// A value whose size can be limited.
pub(super) trait Number {
    /// The number that limits apply to.
    fn number(&self) -> u64;
}

/// Checks a number against the limits of its parameter.
pub(super) fn check_range(value: &impl Number, range: &RangeInclusive<u64>) -> Result<(), ValueError> {
    if range.contains(&value.number()) { Ok(()) } else { Err(ValueError::NotANumber.within(range)) }
}

/// The only word, or an error that names what the one word should be.
pub(super) fn one<'a>(words: &[&'a [u8]], expected: &'static str) -> Result<&'a [u8], ValueError> {
    match words {
        [word] => Ok(word),
        _ => Err(ValueError::Expected(expected)),
    }
}

/// Reads decimal digits. No sign, no blanks: RC1 reads `timeout abc` as 0, and that hides mistakes.
pub(super) fn digits(word: &[u8]) -> Result<u64, ValueError> {
    if word.is_empty() {
        return Err(ValueError::NotANumber);
    }
    let mut number: u64 = 0;
    for byte in word {
        if !byte.is_ascii_digit() {
            return Err(ValueError::NotANumber);
        }
        number = number
            .checked_mul(10)
            .and_then(|n| n.checked_add(u64::from(byte - b'0')))
            .ok_or(ValueError::NotANumber)?;
    }
    Ok(number)
}

macro_rules! integers {
    ($($type:ty),+) => { $(
        impl Value for $type {
            fn parse(words: &[&[u8]]) -> Result<Self, ValueError> {
                let [word] = words else { return Err(ValueError::NotANumber) };
                <$type>::try_from(digits(word)?).map_err(|_| ValueError::NotANumber)
            }

            fn show(&self) -> Vec<u8> {
                self.to_string().into_bytes()
            }
        }

        impl Number for $type {
            fn number(&self) -> u64 {
                u64::from(*self)
            }
        }
    )+ };
}

integers!(u16, u32);

macro_rules! spans {
    ($($type:ident),+) => { $(
        impl Value for $type {
            fn parse(words: &[&[u8]]) -> Result<Self, ValueError> {
                let [word] = words else { return Err(ValueError::NotANumber) };
                digits(word).map($type)
            }

            fn show(&self) -> Vec<u8> {
                self.0.to_string().into_bytes()
            }
        }

        impl Number for $type {
            fn number(&self) -> u64 {
                self.0
            }
        }
    )+ };
}

/// A span of time in whole seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Seconds(pub u64);

impl Seconds {
    /// The same span in milliseconds.
    pub const fn millis(self) -> Millis {
        Millis::from_secs(self.0)
    }
}

spans!(Seconds, Millis);

impl Value for bool {
    fn parse(words: &[&[u8]]) -> Result<Self, ValueError> {
        const EXPECTED: &str = "'yes' or 'no'";
        let word = one(words, EXPECTED)?;
        match word.to_ascii_lowercase().as_slice() {
            b"yes" => Ok(true),
            b"no" => Ok(false),
            _ => Err(ValueError::Expected(EXPECTED)),
        }
    }

    fn show(&self) -> Vec<u8> {
        if *self { b"yes".to_vec() } else { b"no".to_vec() }
    }
}

/// A number of bytes. In files it may carry a unit: `b`, `k`, `kb`, `m`, `mb`, `g` or `gb`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteSize(pub u64);

/// Most bytes a size can name: clients read CONFIG's answers into 64 bits with a sign.
const MAX_BYTE_SIZE: u64 = i64::MAX as u64;

impl ByteSize {
    /// Reads one size (operations.md 2.2): units with a `b` count by 1024, those without by 1000.
    pub(super) fn parse_word(word: &[u8]) -> Result<ByteSize, ValueError> {
        const EXPECTED: ValueError =
            ValueError::Expected("a number of bytes, with a unit (b, k, kb, m, mb, g, gb) or without");
        let unit_start = word.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(word.len());
        let (number, unit) = word.split_at(unit_start);
        let factor: u64 = match unit.to_ascii_lowercase().as_slice() {
            b"" | b"b" => 1,
            b"k" => 1000,
            b"kb" => 1 << 10,
            b"m" => 1_000_000,
            b"mb" => 1 << 20,
            b"g" => 1_000_000_000,
            b"gb" => 1 << 30,
            _ => return Err(EXPECTED),
        };
        let bytes = digits(number).ok().and_then(|number| number.checked_mul(factor));
        bytes.filter(|bytes| *bytes <= MAX_BYTE_SIZE).map(ByteSize).ok_or(EXPECTED)
    }

    /// The shortest exact form: with the largest unit that divides it.
    pub(super) fn write_word(self) -> String {
        let units = [(1 << 30, "gb"), (1 << 20, "mb"), (1 << 10, "kb")];
        match units.iter().find(|(factor, _)| self.0 > 0 && self.0.is_multiple_of(*factor)) {
            Some((factor, unit)) => format!("{}{unit}", self.0 / factor),
            None => self.0.to_string(),
        }
    }
}

impl Value for ByteSize {
    fn parse(words: &[&[u8]]) -> Result<Self, ValueError> {
        ByteSize::parse_word(one(words, "one number of bytes")?)
    }

    fn show(&self) -> Vec<u8> {
        self.0.to_string().into_bytes()
    }

    fn write(&self) -> Option<Vec<u8>> {
        Some(self.write_word().into_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn sizes_take_every_unit_in_any_case_and_nothing_else() {
        for (text, bytes) in [
            ("0", 0),
            ("5", 5),
            ("5b", 5),
            ("5k", 5_000),
            ("5Kb", 5_120),
            ("5m", 5_000_000),
            ("5mB", 5_242_880),
            ("5G", 5_000_000_000),
            ("5GB", 5_368_709_120),
            ("9223372036854775807", i64::MAX as u64),
        ] {
            assert_eq!(ByteSize::parse(&[text.as_bytes()]), Ok(ByteSize(bytes)), "{text}");
        }
        for text in
            ["", "gb", "5tb", "-5", "+5", "5 mb", "1.5gb", "5kbb", "9223372036854775808", "99999999999gb"]
        {
            assert!(ByteSize::parse(&[text.as_bytes()]).is_err(), "{text}");
        }
    }

    #[test]
    fn sizes_are_written_with_the_largest_exact_unit() {
        for (bytes, text) in [
            (0, "0"),
            (1023, "1023"),
            (1024, "1kb"),
            (1025, "1025"),
            (64 << 20, "64mb"),
            (1 << 30, "1gb"),
            (1 << 40, "1024gb"),
        ] {
            assert_eq!(ByteSize(bytes).write_word(), text);
        }
    }

    #[test]
    fn integers_are_digits_and_nothing_else() {
        assert_eq!(u32::parse(&[b"007"]), Ok(7));
        assert_eq!(u16::parse(&[b"65535"]), Ok(65535));
        for text in ["65536", "", "abc", "12x", "-1", "+1", " 1", "99999999999999999999999"] {
            assert_eq!(u16::parse(&[text.as_bytes()]), Err(ValueError::NotANumber), "{text}");
        }
        assert_eq!(u16::parse(&[b"1", b"2"]), Err(ValueError::NotANumber));
        assert_eq!(u16::parse(&[]), Err(ValueError::NotANumber));
    }

    #[test]
    fn limits_hold_on_both_sides_and_are_named() {
        for (number, fits) in [(0, false), (1, true), (5, true), (6, false)] {
            assert_eq!(check_range(&Seconds(number), &(1..=5)).is_ok(), fits, "{number}");
        }
        let error = check_range(&Seconds(6), &(1..=5)).unwrap_err();
        assert_eq!(error.to_string(), "must be a whole number from 1 to 5");
    }

    proptest! {
        #[test]
        fn printed_values_read_back(
            small: u16, medium: u32, large: u64, size in 0..=MAX_BYTE_SIZE, yes: bool,
        ) {
            prop_assert_eq!(u16::parse(&[&small.show()]), Ok(small));
            prop_assert_eq!(u32::parse(&[&medium.show()]), Ok(medium));
            prop_assert_eq!(Millis::parse(&[&Millis(large).show()]), Ok(Millis(large)));
            prop_assert_eq!(Seconds::parse(&[&Seconds(large).show()]), Ok(Seconds(large)));
            prop_assert_eq!(bool::parse(&[&yes.show()]), Ok(yes));
            let size = ByteSize(size);
            prop_assert_eq!(ByteSize::parse(&[&size.show()]), Ok(size));
            prop_assert_eq!(ByteSize::parse(&[size.write_word().as_bytes()]), Ok(size));
        }

        #[test]
        fn round_sizes_read_back(number in 0..1_000_000u64, shift in 0..43u32) {
            let size = ByteSize(number << shift);
            prop_assert_eq!(ByteSize::parse(&[size.write_word().as_bytes()]), Ok(size));
        }
    }
}
