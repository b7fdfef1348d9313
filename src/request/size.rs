//! Sizes as docker's go-units reads them: `512m`, `1.5g`, `64KiB`, `1024`.

use super::Refusal;
use std::str::FromStr;

/// Bytes, never negative.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(pub i64);

impl FromStr for Size {
    type Err = Refusal;

    /// `units.RAMInBytes`: a decimal number, at most one space, `b` or one of `kmgtp` with an optional `b` or `ib`, in
    /// either case; powers of 1024. Unlike docker's a size that does not fit is an error and not a random number.
    fn from_str(text: &str) -> Result<Self, Refusal> {
        let invalid = || format!("invalid size: '{text}'");
        let last = text.rfind(|c: char| c.is_ascii_digit() || c == '.' || c == ' ').ok_or_else(invalid)?;
        let (number, suffix) = match text.as_bytes()[last] {
            b' ' => (&text[..last], &text[last + 1..]),
            _ => text.split_at(last + 1),
        };
        let value = parse_float(number)?;
        if value < 0.0 {
            return Err(invalid().into());
        }
        let bytes = value * multiplier(suffix)?;
        // 2^63 is exact in a double, so everything below it fits.
        if !bytes.is_finite() || bytes >= 9_223_372_036_854_775_808.0 {
            return Err(Refusal::engine(format!("invalid size: '{text}': too large")));
        }
        Ok(Size(bytes as i64))
    }
}

fn parse_float(number: &str) -> Result<f64, String> {
    let fail = || format!("strconv.ParseFloat: parsing {number:?}: invalid syntax");
    // Rust reads the words `inf` and `nan` too; a size is digits.
    if !number.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'e' | b'E' | b'+' | b'-')) {
        return Err(fail());
    }
    number.parse().map_err(|_| fail())
}

fn multiplier(suffix: &str) -> Result<f64, String> {
    let bad = || format!("invalid suffix: '{suffix}'");
    let lower = suffix.to_ascii_lowercase();
    let mut chars = lower.chars();
    let power = match chars.next() {
        None => return Ok(1.0),
        Some('b') => 0,
        Some('k') => 1,
        Some('m') => 2,
        Some('g') => 3,
        Some('t') => 4,
        Some('p') => 5,
        Some(_) => return Err(bad()),
    };
    match (power, chars.as_str()) {
        (_, "") => {}
        (0, _) => return Err(bad()),
        (_, "b" | "ib") => {}
        _ => return Err(bad()),
    }
    Ok(1024_f64.powi(power))
}

/// `--memory-swap`: a size, or -1 for no limit.
pub fn parse_memory_swap(text: &str) -> Result<i64, Refusal> {
    if text == "-1" { Ok(-1) } else { text.parse::<Size>().map(|s| s.0) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn size(text: &str) -> Result<i64, String> {
        text.parse::<Size>().map(|s| s.0).map_err(String::from)
    }

    #[test]
    fn units_are_powers_of_1024_in_any_case() {
        for (text, bytes) in [
            ("0", 0),
            ("1024", 1024),
            ("32b", 32),
            ("32B", 32),
            ("32k", 32 << 10),
            ("32kb", 32 << 10),
            ("32KiB", 32 << 10),
            ("32Mib", 32 << 20),
            ("1.5g", 3 << 29),
            ("1 g", 1 << 30),
            (".5g", 1 << 29),
            ("1.g", 1 << 30),
            ("1e3", 1000),
            ("+1g", 1 << 30),
            ("1t", 1 << 40),
            ("1p", 1 << 50),
        ] {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
    }

    #[test]
    fn slips_are_named_as_docker_names_them() {
        for (text, error) in [
            ("", "invalid size: ''"),
            ("b", "invalid size: 'b'"),
            ("-1", "invalid size: '-1'"),
            ("NaN", "invalid size: 'NaN'"),
            ("1x", "invalid suffix: 'x'"),
            ("1ib", "invalid suffix: 'ib'"),
            ("1bb", "invalid suffix: 'bb'"),
            ("1e", "invalid suffix: 'e'"),
            (" 1g", "strconv.ParseFloat: parsing \" 1\": invalid syntax"),
            ("1g ", "strconv.ParseFloat: parsing \"1g\": invalid syntax"),
            ("0x10", "strconv.ParseFloat: parsing \"0x10\": invalid syntax"),
            ("1,5g", "strconv.ParseFloat: parsing \"1,5\": invalid syntax"),
            ("99999999999999999999g", "invalid size: '99999999999999999999g': too large"),
            ("8192p", "invalid size: '8192p': too large"),
        ] {
            assert_eq!(size(text), Err(error.into()), "{text}");
        }
    }

    #[test]
    fn only_memory_swap_takes_minus_one() {
        assert_eq!(parse_memory_swap("-1"), Ok(-1));
        assert_eq!(parse_memory_swap("-1g"), Err("invalid size: '-1g'".into()));
        assert_eq!(parse_memory_swap("2g"), Ok(2 << 30));
    }

    proptest! {
        #[test]
        fn whole_numbers_round_trip(n in 0_i64..1 << 40, unit in 0_u32..2) {
            let text = format!("{n}{}", ["b", "k"][unit as usize]);
            prop_assert_eq!(size(&text), Ok(n * 1024_i64.pow(unit)));
        }
        #[test]
        fn never_negative_never_panics(text in ".{0,12}") {
            if let Ok(n) = size(&text) {
                prop_assert!(n >= 0);
            }
        }
    }
}
