//! The grammar that all commands share (commands.md 5): integers, timeouts, durations, cursors, job IDs.
//!
//! An empty argument is the integer zero, as in the reference server; text after a NUL byte is not ignored,
//! unlike there.

use super::CommandError;
use crate::types::{ArgList, Args, DurationError, JobId, Millis, Span32, parse_duration};

/// Longest timeout that is told from "for ever": 68 years, as long as the longest time to live.
const TIMEOUT_MAX: i64 = Span32::MAX.0 as i64;

/// Reads an integer of 64 bits with an optional sign; the empty string is zero.
pub fn integer(text: &[u8]) -> Result<i64, CommandError> {
    signed(text).ok_or(CommandError::NotAnInteger)
}

fn signed(text: &[u8]) -> Option<i64> {
    let (negative, digits) = split_sign(text)?;
    let value = decimal(digits)?;
    if negative { 0i64.checked_sub_unsigned(value) } else { i64::try_from(value).ok() }
}

/// Reads a timeout in milliseconds. Zero is "no timeout"; so is what no one lives to see.
pub fn timeout(text: &[u8]) -> Result<Millis, CommandError> {
    match signed(text).ok_or(CommandError::TimeoutNotAnInteger)? {
        ..0 => Err(CommandError::TimeoutNegative),
        ms @ 0..=TIMEOUT_MAX => Ok(Millis(ms.unsigned_abs())),
        _ => Ok(Millis(0)),
    }
}

/// Reads an option of ADDJOB that is a span of time. Spans that are too long are cut to [`Span32::MAX`]; the
/// caller has the error for all else, among it numbers that do not fit 64 bits.
pub(super) fn duration(text: &[u8], error: CommandError) -> Result<Millis, CommandError> {
    match parse_duration(text) {
        Ok(span) => Ok(span.min(Span32::MAX)),
        Err(DurationError::TooLong) => {
            let unit = text.iter().position(u8::is_ascii_alphabetic).unwrap_or(text.len());
            signed(&text[..unit]).map(|_| Span32::MAX).ok_or(error)
        }
        Err(DurationError::Negative | DurationError::NotADuration) => Err(error),
    }
}

/// Reads the cursor of a scan: an unsigned number, of which a minus sign gives the complement.
pub(super) fn cursor(text: &[u8]) -> Result<u64, CommandError> {
    let (negative, digits) = split_sign(text).ok_or(CommandError::BadCursor)?;
    let value = decimal(digits).ok_or(CommandError::BadCursor)?;
    Ok(if negative { value.wrapping_neg() } else { value })
}

/// The list of job IDs that begins after the command name, all of them well-shaped.
pub(super) fn job_ids(args: Args<'_>) -> Result<ArgList<'_>, CommandError> {
    let ids = args.list_from(1);
    if ids.iter().all(JobId::is_well_shaped) { Ok(ids) } else { Err(CommandError::BadJobId) }
}

/// The only job ID of a command; `None` if it is well-shaped but no job can have it.
pub(super) fn job_id(text: &[u8]) -> Result<Option<JobId>, CommandError> {
    if JobId::is_well_shaped(text) { Ok(JobId::parse(text).ok()) } else { Err(CommandError::BadJobId) }
}

/// The sign, and what follows it. A sign must be followed by something.
fn split_sign(text: &[u8]) -> Option<(bool, &[u8])> {
    match text {
        [b'-' | b'+'] => None,
        [b'-', digits @ ..] => Some((true, digits)),
        [b'+', digits @ ..] => Some((false, digits)),
        digits => Some((false, digits)),
    }
}

fn decimal(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0u64, |value, digit| {
        let digit = digit.is_ascii_digit().then(|| u64::from(digit - b'0'))?;
        value.checked_mul(10)?.checked_add(digit)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_have_a_sign_and_sixty_four_bits() {
        for (text, value) in [
            ("0", 0),
            ("", 0),
            ("-0", 0),
            ("7", 7),
            ("+5", 5),
            ("-5", -5),
            ("007", 7),
            ("9223372036854775807", i64::MAX),
            ("-9223372036854775808", i64::MIN),
        ] {
            assert_eq!(integer(text.as_bytes()), Ok(value), "{text}");
        }
        for text in [
            "+",
            "-",
            "--5",
            "+-5",
            " 5",
            "5 ",
            "0x10",
            "1.5",
            "1e3",
            "abc",
            "5\0",
            "5\0junk",
            "9223372036854775808",
            "-9223372036854775809",
            "18446744073709551616",
        ] {
            assert_eq!(integer(text.as_bytes()), Err(CommandError::NotAnInteger), "{text:?}");
        }
    }

    #[test]
    fn timeouts_are_not_negative_and_huge_ones_are_none() {
        for (text, result) in [
            ("0", Ok(Millis(0))),
            ("", Ok(Millis(0))),
            ("+5", Ok(Millis(5))),
            ("-0", Ok(Millis(0))),
            ("2147483647000", Ok(Millis(2_147_483_647_000))),
            ("2147483647001", Ok(Millis(0))),
            ("9223372036854775807", Ok(Millis(0))),
            ("9223372036854775808", Err(CommandError::TimeoutNotAnInteger)),
            ("-1", Err(CommandError::TimeoutNegative)),
            ("5s", Err(CommandError::TimeoutNotAnInteger)),
        ] {
            assert_eq!(timeout(text.as_bytes()), result, "{text}");
        }
    }

    #[test]
    fn durations_that_are_too_long_are_cut_and_numbers_that_are_too_long_are_refused() {
        let error = CommandError::TtlNotPositive;
        for (text, result) in [
            ("5", Ok(Millis(5000))),
            ("250ms", Ok(Millis(250))),
            ("", Ok(Millis(0))),
            ("2147483647", Ok(Span32::MAX)),
            ("2147483648", Ok(Span32::MAX)),
            ("9223372036854775807", Ok(Span32::MAX)),
            ("+9223372036854775807", Ok(Span32::MAX)),
            ("9223372036854775807d", Ok(Span32::MAX)),
            ("9223372036854775808", Err(error.clone())),
            ("9223372036854775808d", Err(error.clone())),
            ("-1", Err(error.clone())),
            ("soon", Err(error.clone())),
        ] {
            assert_eq!(duration(text.as_bytes(), error.clone()), result, "{text}");
        }
    }

    #[test]
    fn cursors_are_unsigned_and_a_minus_wraps() {
        for (text, value) in
            [("", 0), ("0", 0), ("+7", 7), ("-1", u64::MAX), ("18446744073709551615", u64::MAX)]
        {
            assert_eq!(cursor(text.as_bytes()), Ok(value), "{text}");
        }
        for text in ["-", "x", "1 ", "18446744073709551616"] {
            assert_eq!(cursor(text.as_bytes()), Err(CommandError::BadCursor), "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn every_integer_that_rust_reads_is_read_alike(text in "[+-]?[0-9]{1,21}") {
            proptest::prop_assert_eq!(integer(text.as_bytes()).ok(), text.parse::<i64>().ok());
        }
    }
}
