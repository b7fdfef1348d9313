//! Durations as Go writes them: `1h30m`, `1.5s`, `300ms`.

use std::str::FromStr;

/// Nanoseconds; may be negative.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct GoDuration {
    pub nanos: i64,
}

impl FromStr for GoDuration {
    type Err = String;

    /// `time.ParseDuration`: an optional sign, then numbers with fractions, each with its unit; or a bare `0`.
    fn from_str(text: &str) -> Result<Self, String> {
        let invalid = || format!("time: invalid duration {text:?}");
        let (negative, mut rest) = match text.as_bytes().first() {
            Some(b'-') => (true, &text[1..]),
            Some(b'+') => (false, &text[1..]),
            _ => (false, text),
        };
        if rest == "0" {
            return Ok(GoDuration::default());
        }
        if rest.is_empty() {
            return Err(invalid());
        }
        let mut total: i128 = 0;
        while !rest.is_empty() {
            let (whole, after) = digits(rest);
            let (fraction, after) = match after.strip_prefix('.') {
                Some(after) => digits(after),
                None => ("", after),
            };
            if whole.is_empty() && fraction.is_empty() {
                return Err(invalid());
            }
            let end = after.find(|c: char| c == '.' || c.is_ascii_digit()).unwrap_or(after.len());
            let (unit, after) = after.split_at(end);
            if unit.is_empty() {
                return Err(format!("time: missing unit in duration {text:?}"));
            }
            let scale = nanos_of(unit).ok_or_else(|| format!("time: unknown unit {unit:?} in duration {text:?}"))?;
            total = amount(whole, fraction, scale).and_then(|n| total.checked_add(n)).ok_or_else(invalid)?;
            rest = after;
        }
        let nanos = i64::try_from(if negative { -total } else { total }).map_err(|_| invalid())?;
        Ok(GoDuration { nanos })
    }
}

fn digits(text: &str) -> (&str, &str) {
    text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()))
}

fn nanos_of(unit: &str) -> Option<i128> {
    Some(match unit {
        "ns" => 1,
        // The micro sign and the Greek letter.
        "us" | "\u{b5}s" | "\u{3bc}s" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60 * 1_000_000_000,
        "h" => 3600 * 1_000_000_000,
        _ => return None,
    })
}

fn amount(whole: &str, fraction: &str, unit: i128) -> Option<i128> {
    let whole: i128 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    // As Go: the fraction's digits as a whole number for as long as 63 bits hold them, then one multiplication in floating
    // point, cut to nanoseconds. Another way of rounding would give other numbers than docker's for thirds of an hour.
    let (mut digits, mut scale): (u64, f64) = (0, 1.0);
    for digit in fraction.bytes() {
        let next = digits.checked_mul(10).and_then(|d| d.checked_add(u64::from(digit - b'0')));
        match next.filter(|n| i64::try_from(*n).is_ok()) {
            Some(next) => digits = next,
            None => break,
        }
        scale *= 10.0;
    }
    let part = (digits as f64 * (unit as f64 / scale)) as i128;
    whole.checked_mul(unit)?.checked_add(part)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn nanos(text: &str) -> Result<i64, String> {
        text.parse::<GoDuration>().map(|d| d.nanos)
    }

    #[test]
    fn go_durations() {
        for (text, expected) in [
            ("0", 0),
            ("+0", 0),
            ("5s", 5_000_000_000),
            ("1h1m1.5s", 3_661_500_000_000),
            ("1.234567891s", 1_234_567_891),
            (".5s", 500_000_000),
            ("1.s", 1_000_000_000),
            ("-1.5h", -5_400_000_000_000),
            ("1us", 1_000),
            ("1\u{b5}s", 1_000),
            ("1\u{3bc}s", 1_000),
            ("0.3333333333333333333h", 1_200_000_000_000),
            ("9223372036854775807ns", i64::MAX),
        ] {
            assert_eq!(nanos(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn slips_are_gos() {
        for (text, error) in [
            ("", "time: invalid duration \"\""),
            ("-", "time: invalid duration \"-\""),
            ("s", "time: invalid duration \"s\""),
            (".s", "time: invalid duration \".s\""),
            ("1", "time: missing unit in duration \"1\""),
            ("1d", "time: unknown unit \"d\" in duration \"1d\""),
            ("1 s", "time: unknown unit \" s\" in duration \"1 s\""),
            ("9223372036854775808ns", "time: invalid duration \"9223372036854775808ns\""),
        ] {
            assert_eq!(nanos(text), Err(error.into()), "{text}");
        }
    }

    proptest! {
        #[test]
        fn nanoseconds_round_trip(n: i64) {
            prop_assert_eq!(nanos(&format!("{n}ns")), Ok(n));
        }
        #[test]
        fn parts_add_up(h in 0_i64..1000, m in 0_i64..60, ms in 0_i64..100_000) {
            prop_assert_eq!(nanos(&format!("{h}h{m}m{ms}ms")), Ok(((h * 60 + m) * 60_000 + ms) * 1_000_000));
        }
        #[test]
        fn no_text_panics(text in ".{0,30}") {
            let _ = nanos(&text);
        }
    }
}
