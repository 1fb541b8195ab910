//! Instants and spans. Mixing them does not compile.

use std::fmt;
use std::ops::{Add, AddAssign, Sub};

/// A span of time in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Millis(pub u64);

impl Millis {
    /// A span of whole seconds; saturates.
    pub const fn from_secs(secs: u64) -> Millis {
        Millis(secs.saturating_mul(1000))
    }

    /// Whole seconds, rounded up: what replies and RC1 peers are told about a span with a fraction.
    pub const fn secs_ceil(self) -> u64 {
        self.0.div_ceil(1000)
    }
}

/// An instant: milliseconds since the Unix epoch on the node's one time axis, which never goes back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixMillis(pub u64);

impl UnixMillis {
    /// Later than every real instant: "never".
    pub const NEVER: UnixMillis = UnixMillis(u64::MAX);

    /// Whole seconds since the epoch, rounded down.
    pub const fn secs(self) -> u64 {
        self.0 / 1000
    }

    /// The span from `earlier` to `self`, zero if `earlier` is later.
    pub const fn since(self, earlier: UnixMillis) -> Millis {
        Millis(self.0.saturating_sub(earlier.0))
    }

    /// Whether this is [`UnixMillis::NEVER`].
    pub const fn is_never(self) -> bool {
        self.0 == u64::MAX
    }
}

/// Saturates at [`UnixMillis::NEVER`]: a deadline too far away is no deadline.
impl Add<Millis> for UnixMillis {
    type Output = UnixMillis;

    fn add(self, span: Millis) -> UnixMillis {
        UnixMillis(self.0.saturating_add(span.0))
    }
}

impl AddAssign<Millis> for UnixMillis {
    fn add_assign(&mut self, span: Millis) {
        *self = *self + span;
    }
}

/// Saturates at the epoch.
impl Sub<Millis> for UnixMillis {
    type Output = UnixMillis;

    fn sub(self, span: Millis) -> UnixMillis {
        UnixMillis(self.0.saturating_sub(span.0))
    }
}

/// Creation time of a job, the sort key of queues: Unix milliseconds × 1,000,000 plus a sequence number.
///
/// Unique and increasing on the node that created the job; copies on other nodes keep it (commands.md 4.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ctime(pub u64);

impl Ctime {
    /// The first creation time of a millisecond.
    pub const fn at(now: UnixMillis) -> Ctime {
        Ctime(now.0.saturating_mul(1_000_000))
    }

    /// The millisecond of the creation.
    pub const fn millis(self) -> UnixMillis {
        UnixMillis(self.0 / 1_000_000)
    }
}

/// A span in four bytes: whole seconds up to 68 years, or milliseconds up to 24 days.
///
/// Jobs keep their DELAY and RETRY in this form. Spans of whole seconds, all that RC1 knows, are exact;
/// a span with a fraction is exact too unless it is longer than 24 days, when it is rounded up to seconds.
/// The highest bit tells milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Span32(u32);

impl Span32 {
    /// No time at all: at most once, or no delay.
    pub const ZERO: Span32 = Span32(0);
    /// The longest span, 2³¹ − 1 seconds.
    pub const MAX: Millis = Millis((MILLIS_BIT as u64 - 1) * 1000);

    /// The nearest span that is not shorter; saturates at [`Span32::MAX`].
    pub const fn new(span: Millis) -> Span32 {
        let Millis(ms) = span;
        if !ms.is_multiple_of(1000) && ms < MILLIS_BIT as u64 {
            return Span32(ms as u32 | MILLIS_BIT);
        }
        let secs = span.secs_ceil();
        if secs >= MILLIS_BIT as u64 { Span32(MILLIS_BIT - 1) } else { Span32(secs as u32) }
    }

    /// The span in milliseconds.
    pub const fn millis(self) -> Millis {
        if self.0 & MILLIS_BIT == 0 {
            Millis(self.0 as u64 * 1000)
        } else {
            Millis((self.0 & !MILLIS_BIT) as u64)
        }
    }

    /// The four bytes as a number, for files.
    pub const fn bits(self) -> u32 {
        self.0
    }

    /// The span of these four bytes. Any number is one.
    pub const fn from_bits(bits: u32) -> Span32 {
        // By way of the milliseconds, since equal spans must have equal bits.
        Span32::new(Span32(bits).millis())
    }

    /// Whether the span is empty.
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }
}

const MILLIS_BIT: u32 = 1 << 31;

/// Why a duration could not be read. The caller knows what the duration was for and says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DurationError {
    /// Not a number with an optional unit.
    NotADuration,
    /// A minus sign before a number.
    Negative,
    /// More milliseconds than 63 bits hold.
    TooLong,
}

impl fmt::Display for DurationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            DurationError::NotADuration => {
                "not a number of seconds, nor a number with the unit ms, s, m, h or d"
            }
            DurationError::Negative => "negative",
            DurationError::TooLong => "too long",
        })
    }
}

/// Reads a duration: a bare integer is seconds, as in RC1; with a unit it is `250ms`, `10s`, `5m`, `2h` or `7d`.
///
/// A leading `+` and the empty string (zero) are accepted, because RC1 accepts them (commands.md 5).
/// Units may have any case.
pub fn parse_duration(text: &[u8]) -> Result<Millis, DurationError> {
    let digits_end = text.iter().position(|b| b.is_ascii_alphabetic()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits_end);
    let factor = match unit.to_ascii_lowercase().as_slice() {
        b"" | b"s" => 1000,
        b"ms" => 1,
        b"m" => 60_000,
        b"h" => 3_600_000,
        b"d" => 86_400_000,
        _ => return Err(DurationError::NotADuration),
    };
    if number.is_empty() && !unit.is_empty() {
        return Err(DurationError::NotADuration);
    }
    let (negative, digits) = match number {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        rest => (false, rest),
    };
    if (digits.is_empty() && !number.is_empty()) || !digits.iter().all(u8::is_ascii_digit) {
        return Err(DurationError::NotADuration);
    }
    let mut value: u64 = 0;
    for digit in digits {
        value = value
            .checked_mul(10)
            .and_then(|v| v.checked_add(u64::from(digit - b'0')))
            .ok_or(DurationError::TooLong)?;
    }
    if negative && value > 0 {
        return Err(DurationError::Negative);
    }
    let millis =
        value.checked_mul(factor).filter(|ms| *ms <= i64::MAX as u64).ok_or(DurationError::TooLong)?;
    Ok(Millis(millis))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bare_numbers_are_seconds_and_units_are_honoured() {
        for (text, ms) in [
            ("0", 0),
            ("", 0),
            ("7", 7_000),
            ("+7", 7_000),
            ("-0", 0),
            ("250ms", 250),
            ("10s", 10_000),
            ("5M", 300_000),
            ("2h", 7_200_000),
            ("7d", 604_800_000),
        ] {
            assert_eq!(parse_duration(text.as_bytes()), Ok(Millis(ms)), "{text}");
        }
    }

    #[test]
    fn nonsense_is_refused_with_its_reason() {
        for (text, why) in [
            ("soon", DurationError::NotADuration),
            ("1.5", DurationError::NotADuration),
            ("1 s", DurationError::NotADuration),
            ("s", DurationError::NotADuration),
            ("-", DurationError::NotADuration),
            ("-s", DurationError::NotADuration),
            ("10w", DurationError::NotADuration),
            ("1s2", DurationError::NotADuration),
            ("-1", DurationError::Negative),
            ("-1ms", DurationError::Negative),
            ("9223372036854776", DurationError::TooLong),
            ("99999999999999999999999", DurationError::TooLong),
        ] {
            assert_eq!(parse_duration(text.as_bytes()), Err(why), "{text}");
        }
        assert_eq!(parse_duration(b"9223372036854775807ms"), Ok(Millis(i64::MAX as u64)));
    }

    #[test]
    fn a_compact_span_keeps_seconds_and_short_fractions_exactly() {
        for ms in [0, 1, 250, 999, 1000, 1500, 86_400_000, 2_147_483_647, 2_147_484_000, Span32::MAX.0] {
            let kept = Span32::new(Millis(ms)).millis().0;
            assert!(kept >= ms && kept - ms < 1000, "{ms} became {kept}");
            assert!(kept == ms || ms > 2_147_483_647, "{ms} became {kept}");
        }
        assert_eq!(Span32::new(Millis(u64::MAX)).millis(), Span32::MAX);
        assert!(Span32::new(Millis(0)).is_zero() && !Span32::new(Millis(1)).is_zero());
    }
}
