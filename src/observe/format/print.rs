//! Values as text, as Go's `fmt` prints them: slices `[a b]`, maps `map[a:1]`, structs `{a b}`.

use super::value::{Struct, Value};
use jiff::Timestamp;
use jiff::tz::TimeZone;

/// The flags, width and precision of a `printf` verb.
#[derive(Debug, Clone, Copy, Default)]
pub struct Spec {
    pub minus: bool,
    pub plus: bool,
    pub sharp: bool,
    pub space: bool,
    pub zero: bool,
    /// `%+v`: structs with the names of their fields.
    pub names: bool,
    pub width: Option<usize>,
    pub precision: Option<usize>,
}

/// `%v`
pub fn plain(value: &Value) -> String {
    let mut out = String::new();
    format(value, 'v', &Spec::default(), &mut out);
    out
}

/// Go's `Sprint`: a space between two operands of which neither is text.
pub fn sprint(values: &[Value]) -> String {
    let mut out = String::new();
    let mut before_text = true;
    for (at, value) in values.iter().enumerate() {
        let text = matches!(value, Value::Text(_));
        if at > 0 && !text && !before_text {
            out.push(' ');
        }
        out.push_str(&plain(value));
        before_text = text;
    }
    out
}

/// Go's `Sprintln`.
pub fn sprintln(values: &[Value]) -> String {
    values.iter().map(plain).collect::<Vec<_>>().join(" ") + "\n"
}

/// One value under one verb. Slices, maps and structs pass the verb on to what is in them.
pub fn format(value: &Value, verb: char, spec: &Spec, out: &mut String) {
    if verb == 'T' {
        return pad(value.type_name(), spec, out);
    }
    match value {
        Value::Absent(_) | Value::Null if verb == 'v' => pad("<nil>", spec, out),
        Value::Absent(_) | Value::Null => out.push_str(&format!("%!{verb}(<nil>)")),
        Value::NilPointer(_) if matches!(verb, 'v' | 's') => pad("<nil>", spec, out),
        Value::Bool(b) if matches!(verb, 'v' | 't') => pad(if *b { "true" } else { "false" }, spec, out),
        Value::Int(n) if "vdboOxXcqU".contains(verb) => integer(*n, verb, spec, out),
        Value::Float(f) if "vbgGxXfFeE".contains(verb) => float(*f, verb, spec, out),
        Value::Text(s) if "vsxXq".contains(verb) => string(s, verb, spec, out),
        Value::Time(at) if "vsxXq".contains(verb) => string(&go_time(*at), verb, spec, out),
        Value::Duration(n) if "vs".contains(verb) => string(&go_duration(*n), verb, spec, out),
        Value::Duration(n) if "dboOxXcqU".contains(verb) => integer(*n, verb, spec, out),
        Value::List(list) => {
            out.push('[');
            separated(list.items().iter(), out, |item, out| format(item, verb, spec, out));
            out.push(']');
        }
        Value::Map(map) => {
            out.push_str("map[");
            separated(map.iter(), out, |(key, item), out| {
                format(&Value::text(key.as_str()), verb, spec, out);
                out.push(':');
                format(item, verb, spec, out);
            });
            out.push(']');
        }
        Value::Struct(s) => structure(s, verb, spec, out),
        other => {
            out.push_str(&format!("%!{verb}({}=", other.type_name()));
            format(other, 'v', &Spec::default(), out);
            out.push(')');
        }
    }
}

fn structure(s: &Struct, verb: char, spec: &Spec, out: &mut String) {
    if let Some(text) = &s.text
        && "vsxXq".contains(verb)
    {
        return string(text, verb, spec, out);
    }
    out.push('{');
    separated(s.fields.iter(), out, |field, out| {
        if spec.names {
            out.push_str(field.name);
            out.push(':');
        }
        format(&field.value, verb, spec, out);
    });
    out.push('}');
}

fn separated<T>(items: impl Iterator<Item = T>, out: &mut String, mut one: impl FnMut(T, &mut String)) {
    for (at, item) in items.enumerate() {
        if at > 0 {
            out.push(' ');
        }
        one(item, out);
    }
}

/// Widths count characters.
fn pad(text: &str, spec: &Spec, out: &mut String) {
    let blanks = spec.width.unwrap_or(0).saturating_sub(text.chars().count());
    if !spec.minus {
        out.extend(std::iter::repeat_n(if spec.zero { '0' } else { ' ' }, blanks));
    }
    out.push_str(text);
    if spec.minus {
        out.extend(std::iter::repeat_n(' ', blanks));
    }
}

/// A number: `0` fills up between the sign and the digits.
fn pad_number(sign: &str, digits: &str, spec: &Spec, out: &mut String) {
    let length = sign.len() + digits.len();
    let zeros = if spec.zero && !spec.minus { spec.width.unwrap_or(0).saturating_sub(length) } else { 0 };
    pad(&format!("{sign}{}{digits}", "0".repeat(zeros)), &Spec { zero: false, ..*spec }, out);
}

fn sign(negative: bool, spec: &Spec) -> &'static str {
    match negative {
        true => "-",
        false if spec.plus => "+",
        false if spec.space => " ",
        false => "",
    }
}

fn integer(n: i64, verb: char, spec: &Spec, out: &mut String) {
    let size = n.unsigned_abs();
    let character = || u32::try_from(n).ok().and_then(char::from_u32).unwrap_or('\u{fffd}');
    let (prefix, digits) = match verb {
        'c' => return pad(&character().to_string(), spec, out),
        'q' => return pad(&rune(character()), spec, out),
        'U' if spec.sharp => return pad(&format!("U+{size:04X} '{}'", character()), spec, out),
        'U' => return pad(&format!("U+{size:04X}"), spec, out),
        'b' => (if spec.sharp { "0b" } else { "" }, format!("{size:b}")),
        'o' => (if spec.sharp { "0" } else { "" }, format!("{size:o}")),
        'O' => ("0o", format!("{size:o}")),
        'x' => (if spec.sharp { "0x" } else { "" }, format!("{size:x}")),
        'X' => (if spec.sharp { "0X" } else { "" }, format!("{size:X}")),
        _ => ("", size.to_string()),
    };
    let sign = format!("{}{prefix}", sign(n < 0, spec));
    match spec.precision {
        // As many digits at least, and zeros fill up nothing any more.
        Some(least) => pad_number(&sign, &format!("{digits:0>least$}"), &Spec { zero: false, ..*spec }, out),
        None => pad_number(&sign, &digits, spec, out),
    }
}

fn float(f: f64, verb: char, spec: &Spec, out: &mut String) {
    let precision = spec.precision.or(if "eEfF".contains(verb) { Some(6) } else { None });
    let digits = match verb {
        'v' | 'g' => go_float(f.abs(), 'g', precision),
        'G' => go_float(f.abs(), 'g', precision).to_uppercase(),
        'E' => go_float(f.abs(), 'e', precision).to_uppercase(),
        'e' => go_float(f.abs(), 'e', precision),
        'f' | 'F' => go_float(f.abs(), 'f', precision),
        // Powers of two: nobody asks docker for those.
        _ => return out.push_str(&format!("%!{verb}(float64={})", go_float(f, 'g', None))),
    };
    let plus_for_infinity = if f.is_infinite() && verb == 'v' { "+" } else { "" };
    let sign = match sign(f.is_sign_negative() && !f.is_nan(), spec) {
        "" => plus_for_infinity,
        other => other,
    };
    pad_number(sign, &digits, &Spec { zero: spec.zero && f.is_finite(), ..*spec }, out);
}

/// `strconv.FormatFloat` for `e`, `f` and `g`; without a precision as many digits as tell the number from its neighbours.
pub fn go_float(f: f64, verb: char, precision: Option<usize>) -> String {
    if f.is_nan() {
        return "NaN".into();
    }
    if f.is_infinite() {
        return if f < 0.0 { "-Inf" } else { "Inf" }.into();
    }
    match (verb, precision) {
        ('f', Some(digits)) => format!("{f:.digits$}"),
        ('f', None) => format!("{f}"),
        ('e', Some(digits)) => two_digit_exponent(&format!("{f:.digits$e}")),
        ('e', None) => two_digit_exponent(&format!("{f:e}")),
        (_, precision) => {
            let text = match precision {
                Some(digits) => format!("{f:.*e}", digits.max(1) - 1),
                None => format!("{f:e}"),
            };
            let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
            let exponent: i32 = exponent.parse().unwrap_or(0);
            let mantissa =
                if mantissa.contains('.') { mantissa.trim_end_matches('0').trim_end_matches('.') } else { mantissa };
            let count = mantissa.chars().filter(char::is_ascii_digit).count() as i32;
            let limit = match precision {
                None => 6,
                Some(p) if p as i32 > count && count > exponent => count,
                Some(p) => p.max(1) as i32,
            };
            if exponent < -4 || exponent >= limit {
                return two_digit_exponent(&format!("{mantissa}e{exponent}"));
            }
            format!("{f:.*}", (count - 1 - exponent).max(0) as usize)
        }
    }
}

/// Rust's `1e6` is Go's `1e+06`.
fn two_digit_exponent(text: &str) -> String {
    let (mantissa, exponent) = text.split_once('e').unwrap_or((text, "0"));
    let (sign, digits) = match exponent.strip_prefix('-') {
        Some(digits) => ('-', digits),
        None => ('+', exponent),
    };
    format!("{mantissa}e{sign}{digits:0>2}")
}

fn string(text: &str, verb: char, spec: &Spec, out: &mut String) {
    let cut: String = match spec.precision {
        Some(most) if verb != 'x' && verb != 'X' => text.chars().take(most).collect(),
        _ => text.to_owned(),
    };
    let text = match verb {
        'q' if spec.sharp && !cut.contains(['`', '\u{7f}']) && !cut.chars().any(|c| c.is_control() && c != '\t') => {
            format!("`{cut}`")
        }
        'q' => quote(&cut),
        'x' => spaced(hex::encode(cut), spec),
        'X' => spaced(hex::encode_upper(cut), spec),
        _ => cut,
    };
    pad(&text, spec, out);
}

/// `% x`: a blank between two bytes.
fn spaced(digits: String, spec: &Spec) -> String {
    if !spec.space {
        return digits;
    }
    let between = |(at, c): (usize, char)| if at > 0 && at % 2 == 0 { vec![' ', c] } else { vec![c] };
    digits.chars().enumerate().flat_map(between).collect()
}

/// `strconv.Quote`
pub fn quote(text: &str) -> String {
    let inner: String = text.chars().map(|c| if c == '\'' { "'".into() } else { escaped(c) }).collect();
    format!("\"{inner}\"")
}

fn rune(c: char) -> String {
    let inner = if c == '"' { "\"".into() } else { escaped(c) };
    format!("'{inner}'")
}

fn escaped(c: char) -> String {
    match c {
        '\u{7}' => "\\a".into(),
        '\u{8}' => "\\b".into(),
        '\u{c}' => "\\f".into(),
        '\n' => "\\n".into(),
        '\r' => "\\r".into(),
        '\t' => "\\t".into(),
        '\u{b}' => "\\v".into(),
        '\'' | '"' | '\\' => format!("\\{c}"),
        ' '..='~' => c.to_string(),
        '\0'..'\u{80}' => format!("\\x{:02x}", c as u32),
        // Rust's idea of what can be printed; Go's differs in newer letters and in combining marks only.
        c if c.escape_debug().count() == 1 => c.to_string(),
        c if (c as u32) < 0x10000 => format!("\\u{:04x}", c as u32),
        c => format!("\\U{:08x}", c as u32),
    }
}

/// `time.Time`'s own text, in UTC: `2006-01-02 15:04:05.999999999 +0000 UTC`.
pub fn go_time(at: Timestamp) -> String {
    at.to_zoned_datetime(TimeZone::UTC).strftime("%Y-%m-%d %H:%M:%S%.f +0000 UTC").to_string()
}

/// `time.Duration`'s own text: `1m30s`, `1.5ms`, `0s`.
fn go_duration(nanoseconds: i64) -> String {
    let sign = if nanoseconds < 0 { "-" } else { "" };
    let n = nanoseconds.unsigned_abs();
    let fraction = |unit: u64| {
        let digits = (unit as f64).log10().round() as usize;
        let text = format!("{}.{:0digits$}", n / unit, n % unit);
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    };
    let text = match n {
        0 => "0s".into(),
        1..1_000 => format!("{n}ns"),
        1_000..1_000_000 => format!("{}µs", fraction(1_000)),
        1_000_000..1_000_000_000 => format!("{}ms", fraction(1_000_000)),
        _ => {
            let (minutes, rest) = (n / 60_000_000_000, n % 60_000_000_000);
            let seconds = format!("{}.{:09}", rest / 1_000_000_000, rest % 1_000_000_000);
            let seconds = seconds.trim_end_matches('0').trim_end_matches('.');
            match (minutes / 60, minutes % 60) {
                (0, 0) => format!("{seconds}s"),
                (0, minutes) => format!("{minutes}m{seconds}s"),
                (hours, minutes) => format!("{hours}h{minutes}m{seconds}s"),
            }
        }
    };
    format!("{sign}{text}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_durations_as_go_prints_them() {
        for (n, text) in [
            (0, "0s"),
            (1, "1ns"),
            (1_500, "1.5µs"),
            (2_000_001, "2.000001ms"),
            (30_000_000_000, "30s"),
            (-90_500_000_000, "-1m30.5s"),
            (3_600_000_000_000, "1h0m0s"),
        ] {
            assert_eq!(go_duration(n), text);
        }
        for (text, wanted) in [
            ("2026-11-28T06:41:18.257663877Z", "2026-11-28 06:41:18.257663877 +0000 UTC"),
            ("2026-11-28T06:41:18.5Z", "2026-11-28 06:41:18.5 +0000 UTC"),
            ("0001-01-01T00:00:00Z", "0001-01-01 00:00:00 +0000 UTC"),
        ] {
            assert_eq!(go_time(text.parse().unwrap()), wanted);
        }
    }

    #[test]
    fn nested_values() {
        let value = Value::from(serde_json::json!({"b": [1, "x", null], "a": {"c": true}}));
        assert_eq!(plain(&value), "map[a:map[c:true] b:[1 x <nil>]]");
        assert_eq!(sprint(&[Value::Int(1), Value::Int(2), Value::text("a"), Value::Int(3)]), "1 2a3");
        assert_eq!(sprintln(&[Value::text("a"), Value::Int(1)]), "a 1\n");
    }
}
