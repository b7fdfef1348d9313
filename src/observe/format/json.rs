//! JSON as Go's encoder writes it: structs in the order of their fields, maps in that of their keys, no escapes for HTML.

use super::print::go_float;
use super::value::{List, Map, Value};
use std::fmt::Write as _;

/// On one line: what `{{json .}}` gives.
pub fn compact(value: &Value) -> String {
    let mut out = String::new();
    write(value, None, &mut out);
    out
}

/// Four spaces a level, as `docker inspect` prints.
pub fn indented(value: &Value) -> String {
    let mut out = String::new();
    write(value, Some(0), &mut out);
    out
}

/// `level`: of indentation, where lines are broken at all.
fn write(value: &Value, level: Option<usize>, out: &mut String) {
    match value {
        Value::Absent(_) | Value::Null | Value::NilPointer(_) | Value::Lookup(_) => out.push_str("null"),
        Value::List(List(None)) | Value::Map(Map { entries: None, .. }) => out.push_str("null"),
        Value::Bool(b) => out.push_str(if *b { "true" } else { "false" }),
        Value::Int(n) | Value::Duration(n) => {
            let _ = write!(out, "{n}");
        }
        // JSON has no word for infinity.
        Value::Float(f) if f.is_finite() => out.push_str(&number(*f)),
        Value::Float(_) => out.push_str("null"),
        Value::Text(s) => quoted(s, out),
        Value::Time(at) => quoted(&at.to_string(), out),
        Value::List(list) => series('[', ']', list.items().iter().map(|v| (None, v)), level, out),
        Value::Map(map) => series('{', '}', map.iter().map(|(k, v)| (Some(k.as_str()), v)), level, out),
        Value::Struct(s) if s.entry => {
            let mut plain = String::new();
            series('{', '}', s.json_fields().into_iter().map(|(k, v)| (Some(k), v)), level, &mut plain);
            // Nothing but strings can hold these.
            out.push_str(&plain.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026"));
        }
        Value::Struct(s) => series('{', '}', s.json_fields().into_iter().map(|(k, v)| (Some(k), v)), level, out),
    }
}

fn series<'a>(
    open: char,
    close: char,
    items: impl Iterator<Item = (Option<&'a str>, &'a Value)>,
    level: Option<usize>,
    out: &mut String,
) {
    let inner = level.map(|l| l + 1);
    let mut any = false;
    out.push(open);
    for (key, value) in items {
        if any {
            out.push(',');
        }
        any = true;
        line_break(inner, out);
        if let Some(key) = key {
            quoted(key, out);
            out.push_str(if level.is_some() { ": " } else { ":" });
        }
        write(value, inner, out);
    }
    if any {
        line_break(level, out);
    }
    out.push(close);
}

fn line_break(level: Option<usize>, out: &mut String) {
    if let Some(level) = level {
        out.push('\n');
        out.extend(std::iter::repeat_n("    ", level));
    }
}

/// Plain from 1e-6 to 1e21, as in JavaScript.
fn number(f: f64) -> String {
    let size = f.abs();
    if size != 0.0 && !(1e-6..1e21).contains(&size) {
        // `1e-07` in Go's text, `1e-7` in its JSON.
        return go_float(f, 'e', None).replace("e-0", "e-");
    }
    go_float(f, 'f', None)
}

fn quoted(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            // The last two are line ends to JavaScript.
            '\0'..'\u{20}' | '\u{2028}' | '\u{2029}' => {
                let _ = write!(out, "\\u{:04x}", c as u32);
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_go_writes() {
        let text = r#"{"a":[1,{"b":null},1.5,1e+21,1e-7],"c":"<&\u2028\b\u0001\"\\é","d":{},"e":[]}"#;
        let value = Value::from(serde_json::from_str::<serde_json::Value>(text).unwrap());
        assert_eq!(compact(&value), text);
        assert_eq!(
            indented(&Value::from(serde_json::json!([{"a": [], "b": [1, 2]}]))),
            "[\n    {\n        \"a\": [],\n        \"b\": [\n            1,\n            2\n        ]\n    }\n]"
        );
    }
}
