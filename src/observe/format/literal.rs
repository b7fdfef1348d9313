//! Numbers, characters and strings as Go writes them.

use super::node::Number;
use super::print::quote;
use crate::request::golang;

/// A number as its token has it. The error is docker's.
pub fn number(text: &str) -> Result<Number, String> {
    let illegal = || format!("illegal number syntax: {}", quote(text));
    if let Ok(n) = golang::parse_int(text) {
        return Ok(Number::Int(n));
    }
    let size = text.trim_start_matches(['+', '-']);
    // What is written like an integer is no float, however large it is.
    let hex = size.starts_with("0x") || size.starts_with("0X");
    if size.contains('.') || (!hex && size.contains(['e', 'E'])) {
        let plain = text.replace('_', "");
        return plain.parse::<f64>().map(Number::Float).map_err(|_| illegal());
    }
    match golang::parse_uint(text, u64::MAX) {
        Ok(_) => Ok(Number::TooLarge),
        // Go has tried it as a float by now: `08` is one.
        Err(_) if !hex && text.replace('_', "").parse::<f64>().is_ok() => {
            Err(format!("integer overflow: {}", quote(text)))
        }
        Err(_) => Err(illegal()),
    }
}

/// `'a'`: the character's number.
pub fn character(text: &str) -> Result<Number, String> {
    let malformed = || format!("malformed character constant: {text}");
    let inner = text.strip_prefix('\'').and_then(|t| t.strip_suffix('\'')).ok_or_else(malformed)?;
    let (piece, rest) = piece(inner, '\'').ok_or_else(malformed)?;
    if !rest.is_empty() {
        return Err(malformed());
    }
    Ok(Number::Int(match piece {
        Piece::Char(c) => c as i64,
        Piece::Byte(b) => b.into(),
    }))
}

/// A string in quotes or in backquotes.
pub fn string(text: &str) -> Result<String, String> {
    if let Some(raw) = text.strip_prefix('`') {
        return Ok(raw.strip_suffix('`').unwrap_or(raw).replace('\r', ""));
    }
    let invalid = || "invalid syntax".to_owned();
    let mut rest = text.strip_prefix('"').and_then(|t| t.strip_suffix('"')).ok_or_else(invalid)?;
    let mut bytes = Vec::with_capacity(rest.len());
    while !rest.is_empty() {
        let (piece, after) = piece(rest, '"').ok_or_else(invalid)?;
        match piece {
            Piece::Char(c) => bytes.extend(c.encode_utf8(&mut [0; 4]).as_bytes()),
            Piece::Byte(b) => bytes.push(b),
        }
        rest = after;
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

enum Piece {
    Char(char),
    /// `\xff` is a byte, not a character.
    Byte(u8),
}

/// The first character, and what follows it.
fn piece(text: &str, quote: char) -> Option<(Piece, &str)> {
    let mut chars = text.chars();
    let first = chars.next()?;
    if first != '\\' {
        return (first != quote).then_some((Piece::Char(first), chars.as_str()));
    }
    let kind = chars.next()?;
    let rest = chars.as_str();
    let simple = match kind {
        'a' => '\u{7}',
        'b' => '\u{8}',
        'f' => '\u{c}',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'v' => '\u{b}',
        '\\' => '\\',
        c if c == quote => c,
        'x' => return digits(rest, 2, 16).map(|(n, rest)| (Piece::Byte(n as u8), rest)),
        'u' => return digits(rest, 4, 16).and_then(|(n, rest)| Some((Piece::Char(char::from_u32(n)?), rest))),
        'U' => return digits(rest, 8, 16).and_then(|(n, rest)| Some((Piece::Char(char::from_u32(n)?), rest))),
        '0'..='7' => {
            let (n, rest) = digits(&text[1..], 3, 8)?;
            return Some((Piece::Byte(u8::try_from(n).ok()?), rest));
        }
        _ => return None,
    };
    Some((Piece::Char(simple), rest))
}

fn digits(text: &str, count: usize, radix: u32) -> Option<(u32, &str)> {
    let digits = text.get(..count)?;
    if !digits.chars().all(|c| c.is_digit(radix)) {
        return None;
    }
    Some((u32::from_str_radix(digits, radix).ok()?, &text[count..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        for (text, wanted) in [
            ("1_000", Number::Int(1000)),
            ("-0x1F", Number::Int(-31)),
            ("0b11", Number::Int(3)),
            ("0o17", Number::Int(15)),
            ("017", Number::Int(15)),
            ("0", Number::Int(0)),
            (".5", Number::Float(0.5)),
            ("-1e3", Number::Float(-1000.0)),
            ("0x1e3", Number::Int(0x1e3)),
            ("00.5", Number::Float(0.5)),
            ("18446744073709551615", Number::TooLarge),
        ] {
            assert_eq!(number(text), Ok(wanted), "{text}");
        }
        for bad in ["08", "1__0", "1_", "0x", "18446744073709551616", "-", "1e", "0b2", "."] {
            assert!(number(bad).is_err(), "{bad}");
        }
        assert_eq!(character("'\\n'"), Ok(Number::Int(10)));
        assert_eq!(character("'é'"), Ok(Number::Int(0xe9)));
        for bad in ["''", "'ab'", "'\\q'", "'''"] {
            assert_eq!(character(bad).unwrap_err(), format!("malformed character constant: {bad}"));
        }
    }

    #[test]
    fn strings() {
        assert_eq!(string(r#""a\tb\u00e9\x41\101\xc3\xa9\"'""#).unwrap(), "a\tbéAAé\"'");
        assert_eq!(string(r"`a\n`").unwrap(), r"a\n");
        for bad in [r#""\q""#, r#""\x4""#, r#""\'""#, r#""\uD800""#, r#""\400""#, r#""\""#] {
            assert!(string(bad).is_err(), "{bad}");
        }
    }
}
