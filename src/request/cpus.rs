//! `--cpus`: a decimal number of CPUs.

use super::Refusal;
use std::str::FromStr;

/// Billionths of a CPU, as docker counts them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cpus {
    pub nano: i64,
}

impl FromStr for Cpus {
    type Err = Refusal;

    /// A rational number as Go's `big.Rat` reads it: `1.5`, `3/2`, `1e-1`, `0x2`, with at most nine places.
    fn from_str(text: &str) -> Result<Self, Refusal> {
        let too_large = || Refusal::engine("value is too large");
        let (numerator, denominator) =
            rational(text).ok_or_else(|| format!("failed to parse {text} as a rational number"))?;
        let scaled = numerator.checked_mul(1_000_000_000).ok_or_else(too_large)?;
        if scaled % denominator != 0 {
            return Err("value is too precise".into());
        }
        let nano = i64::try_from(scaled / denominator).map_err(|_| too_large())?;
        if nano < 0 {
            return Err(Refusal::engine("range of CPUs is from 0.01"));
        }
        Ok(Cpus { nano })
    }
}

fn rational(text: &str) -> Option<(i128, i128)> {
    if let Some((top, bottom)) = text.split_once('/') {
        let (top, bottom) = (integer(top)?, integer(bottom)?);
        return (bottom > 0).then_some((top, bottom));
    }
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    if unsigned.len() > 2 && unsigned.starts_with('0') && unsigned.as_bytes()[1].is_ascii_alphabetic() {
        return Some((integer(text)?, 1));
    }
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
        None => (unsigned, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let mut top: i128 = digits.trim_end_matches('0').parse().unwrap_or(0);
    let zeros = digits.len() - digits.trim_end_matches('0').len();
    let places = i64::try_from(fraction.len()).ok()? - i64::try_from(zeros).ok()? - i64::from(exponent);
    if digits.trim_end_matches('0').len() > 30 {
        return None;
    }
    let mut bottom: i128 = 1;
    if top != 0 {
        let power = 10_i128.checked_pow(u32::try_from(places.unsigned_abs()).ok()?)?;
        if places > 0 {
            bottom = power;
        } else {
            top = top.checked_mul(power)?;
        }
    }
    Some((if text.starts_with('-') { -top } else { top }, bottom))
}

fn integer(text: &str) -> Option<i128> {
    super::golang::parse_int(text).ok().map(i128::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn nano(text: &str) -> Result<i64, String> {
        text.parse::<Cpus>().map(|c| c.nano).map_err(String::from)
    }

    #[test]
    fn rationals() {
        for (text, expected) in [
            ("1", 1_000_000_000),
            ("0", 0),
            ("1.5", 1_500_000_000),
            (".5", 500_000_000),
            ("1.", 1_000_000_000),
            ("1/2", 500_000_000),
            ("1e2", 100_000_000_000),
            ("1e-9", 1),
            ("0x1", 1_000_000_000),
            ("0.000000001", 1),
            ("1.500000000000", 1_500_000_000),
            ("00.5", 500_000_000),
        ] {
            assert_eq!(nano(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn slips() {
        for (text, error) in [
            ("", "failed to parse  as a rational number"),
            ("abc", "failed to parse abc as a rational number"),
            (".", "failed to parse . as a rational number"),
            ("1/0", "failed to parse 1/0 as a rational number"),
            ("0.0000000001", "value is too precise"),
            ("1/3", "value is too precise"),
            ("99999999999", "value is too large"),
            ("-1", "range of CPUs is from 0.01"),
        ] {
            assert_eq!(nano(text), Err(error.into()), "{text}");
        }
    }

    proptest! {
        #[test]
        fn thousandths_are_exact(n in 0_i64..1_000_000) {
            prop_assert_eq!(nano(&format!("{}.{:03}", n / 1000, n % 1000)), Ok(n * 1_000_000));
        }
        #[test]
        fn no_text_panics(text in ".{0,40}") {
            let _ = nano(&text);
        }
    }
}
