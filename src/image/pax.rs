//! PAX extended headers: records of the form `LENGTH KEY=VALUE\n`. Values are bytes: they may hold newlines (binary
//! attributes do), so the length decides and nothing else.

/// Key and value.
pub type Record<'a> = (&'a [u8], &'a [u8]);

/// The records in order.
///
/// # Errors
/// What is wrong with the header, as a few words.
pub fn records(mut data: &[u8]) -> Result<Vec<Record<'_>>, &'static str> {
    let mut out = Vec::new();
    while !data.is_empty() {
        let space = data.iter().take(20).position(|b| *b == b' ').ok_or("a PAX record without a length")?;
        let digits = &data[..space];
        if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
            return Err("a PAX record whose length is not a number");
        }
        let length: usize = ascii(digits).parse().map_err(|_| "a PAX record whose length is too large")?;
        if length <= space + 1 || length > data.len() {
            return Err("a PAX record that is longer than its header");
        }
        let record =
            data[space + 1..length].strip_suffix(b"\n").ok_or("a PAX record that does not end in a newline")?;
        let equals = record.iter().position(|b| *b == b'=').ok_or("a PAX record without a key")?;
        if equals == 0 {
            return Err("a PAX record without a key");
        }
        out.push((&record[..equals], &record[equals + 1..]));
        data = &data[length..];
    }
    Ok(out)
}

/// A decimal number and nothing else.
pub fn number(value: &[u8]) -> Option<u64> {
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return None;
    }
    ascii(value).parse().ok()
}

/// Seconds with an optional fraction, before 1970 too: whole seconds (rounded down) and nanoseconds.
pub fn time(value: &[u8]) -> Option<(i64, u32)> {
    let text = std::str::from_utf8(value).ok()?;
    let (negative, text) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let seconds = i64::try_from(number(whole.as_bytes())?).ok()?;
    let nanos: u32 = format!("{:0<9.9}", fraction).parse().ok()?;
    match (negative, nanos) {
        (false, _) => Some((seconds, nanos)),
        (true, 0) => Some((-seconds, 0)),
        (true, _) => Some((-seconds - 1, 1_000_000_000 - nanos)),
    }
}

fn ascii(digits: &[u8]) -> &str {
    std::str::from_utf8(digits).expect("digits")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_bytes_of_the_length_given() {
        let records = records(b"12 path=a\nb\n10 k=\xff\x00=\n\n").unwrap();
        assert_eq!(records, [(&b"path"[..], &b"a\nb"[..]), (&b"k"[..], &b"\xff\x00=\n"[..])]);
    }

    #[test]
    fn broken_records_are_named() {
        for bad in [
            &b"6 path=a\n"[..],
            b"99 path=a\n",
            b"x path=a\n",
            b"9 path=ab",
            b"5 ab\n",
            b"6 =ab\n",
            b"18446744073709551616 a=b\n",
            b"0 a=b\n",
        ] {
            assert!(records(bad).is_err(), "{}", String::from_utf8_lossy(bad));
        }
    }

    #[test]
    fn times_have_fractions_and_signs() {
        assert_eq!(time(b"12"), Some((12, 0)));
        assert_eq!(time(b"12.5"), Some((12, 500_000_000)));
        assert_eq!(time(b"12.1234567899"), Some((12, 123_456_789)));
        assert_eq!(time(b"-1.25"), Some((-2, 750_000_000)));
        assert_eq!(time(b"1e9"), None);
        assert_eq!(time(b""), None);
    }
}
