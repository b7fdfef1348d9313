//! Words as Go's strconv reads them: docker's flags take `--rm=T`, `--cpu-period 0x3e8` and `1_000`, and so do scripts.

/// `strconv.ParseBool`.
pub fn parse_bool(text: &str) -> Result<bool, String> {
    match text {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Ok(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Ok(false),
        _ => Err(format!("strconv.ParseBool: parsing {text:?}: invalid syntax")),
    }
}

/// `strconv.ParseInt(text, 0, 64)`: decimal, `0x`, `0o` or `0`, `0b`, with underscores between digits.
pub fn parse_int(text: &str) -> Result<i64, String> {
    let (negative, rest) = match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    };
    let failed = |why: &str| format!("strconv.ParseInt: parsing {text:?}: {why}");
    let value = magnitude(rest).map_err(|e| failed(e.text()))?;
    let value = if negative { -i128::from(value) } else { i128::from(value) };
    i64::try_from(value).map_err(|_| failed("value out of range"))
}

/// `strconv.ParseUint(text, 0, 64)`: as [`parse_int`] without a sign.
pub fn parse_uint(text: &str, max: u64) -> Result<u64, String> {
    let failed = |why: &str| format!("strconv.ParseUint: parsing {text:?}: {why}");
    let value = magnitude(text).map_err(|e| failed(e.text()))?;
    if value > max { Err(failed("value out of range")) } else { Ok(value) }
}

/// `strconv.ParseInt(text, 10, 64)`.
pub fn parse_decimal(text: &str) -> Result<i64, String> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(format!("strconv.ParseInt: parsing {text:?}: invalid syntax"));
    }
    text.parse().map_err(|_| format!("strconv.ParseInt: parsing {text:?}: value out of range"))
}

/// What went wrong as Go says it: `no such file or directory`.
pub fn io_error(error: &std::io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut chars = text.chars();
    chars.next().map(|c| c.to_lowercase().chain(chars).collect()).unwrap_or_default()
}

enum Slip {
    Syntax,
    Range,
}

impl Slip {
    fn text(&self) -> &'static str {
        match self {
            Slip::Syntax => "invalid syntax",
            Slip::Range => "value out of range",
        }
    }
}

fn magnitude(text: &str) -> Result<u64, Slip> {
    let (radix, digits, prefixed) = match text.as_bytes() {
        [b'0', b'x' | b'X', ..] => (16, &text[2..], true),
        [b'0', b'b' | b'B', ..] => (2, &text[2..], true),
        [b'0', b'o' | b'O', ..] => (8, &text[2..], true),
        [b'0', _, ..] => (8, &text[1..], true),
        _ => (10, text, false),
    };
    let mut value: u64 = 0;
    let mut over = false;
    // An underscore may stand between digits, and between a base's prefix and the first digit.
    let mut digit_before = prefixed;
    let mut digits_seen = 0;
    for c in digits.chars() {
        if c == '_' {
            if !digit_before {
                return Err(Slip::Syntax);
            }
            digit_before = false;
            continue;
        }
        let digit = c.to_digit(radix).ok_or(Slip::Syntax)?;
        digit_before = true;
        digits_seen += 1;
        match value.checked_mul(u64::from(radix)).and_then(|v| v.checked_add(u64::from(digit))) {
            Some(v) => value = v,
            None => over = true,
        }
    }
    if digits_seen == 0 || !digit_before {
        return Err(Slip::Syntax);
    }
    if over { Err(Slip::Range) } else { Ok(value) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn booleans_are_gos() {
        for word in ["1", "t", "T", "TRUE", "true", "True"] {
            assert_eq!(parse_bool(word), Ok(true));
        }
        for word in ["0", "f", "F", "FALSE", "false", "False"] {
            assert_eq!(parse_bool(word), Ok(false));
        }
        for word in ["", "yes", "on", "tRUE", " true"] {
            assert_eq!(parse_bool(word), Err(format!("strconv.ParseBool: parsing {word:?}: invalid syntax")));
        }
    }

    #[test]
    fn integers_take_every_base() {
        assert_eq!(parse_int("0x10"), Ok(16));
        assert_eq!(parse_int("010"), Ok(8));
        assert_eq!(parse_int("0o10"), Ok(8));
        assert_eq!(parse_int("-0b11"), Ok(-3));
        assert_eq!(parse_int("1_000"), Ok(1000));
        assert_eq!(parse_int("0x_f"), Ok(15));
        assert_eq!(parse_int("0"), Ok(0));
        assert_eq!(parse_int("-9223372036854775808"), Ok(i64::MIN));
        for bad in ["", "-", "0x", "1__0", "_1", "1_", "1.5", "08", "a", "--1"] {
            assert_eq!(parse_int(bad), Err(format!("strconv.ParseInt: parsing {bad:?}: invalid syntax")), "{bad}");
        }
        assert_eq!(
            parse_int("9223372036854775808"),
            Err("strconv.ParseInt: parsing \"9223372036854775808\": value out of range".into())
        );
    }

    #[test]
    fn unsigned_has_no_sign_and_a_width() {
        assert_eq!(parse_uint("65535", 65535), Ok(65535));
        assert_eq!(parse_uint("70000", 65535), Err("strconv.ParseUint: parsing \"70000\": value out of range".into()));
        assert!(parse_uint("-1", 10).unwrap_err().ends_with("invalid syntax"));
    }

    #[test]
    fn io_errors_are_gos() {
        assert_eq!(io_error(&std::io::Error::from_raw_os_error(libc::ENOENT)), "no such file or directory");
        assert_eq!(io_error(&std::io::Error::from_raw_os_error(libc::EACCES)), "permission denied");
    }

    proptest! {
        #[test]
        fn decimal_round_trips(n: i64) {
            prop_assert_eq!(parse_int(&n.to_string()), Ok(n));
            prop_assert_eq!(parse_decimal(&n.to_string()), Ok(n));
        }
        #[test]
        fn hexadecimal_round_trips(n in 0..i64::MAX) {
            prop_assert_eq!(parse_int(&format!("{n:#x}")), Ok(n));
        }
        #[test]
        fn no_text_panics(text in ".*") {
            let _ = parse_int(&text);
            let _ = parse_uint(&text, u64::MAX);
            let _ = parse_decimal(&text);
        }
    }
}
