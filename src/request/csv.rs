//! One record of comma-separated values as Go's encoding/csv reads it: `--mount`, `--network`, `--gpus`.

/// Split at commas; a field that begins with `"` ends at its closing one, `""` inside it is a quote.
pub fn record(text: &str) -> Result<Vec<String>, String> {
    if text.is_empty() {
        return Err("EOF".into());
    }
    // Go would take the first line and drop the rest without a word.
    if text.contains(['\n', '\r']) {
        return Err("a line break is not allowed here".into());
    }
    let failed = |at: usize, what: &str| Err(format!("parse error on line 1, column {}: {what}", at + 1));
    let mut fields = Vec::new();
    let mut at = 0;
    loop {
        let rest = &text[at..];
        if let Some(quoted) = rest.strip_prefix('"') {
            let mut field = String::new();
            let mut inside = quoted;
            loop {
                let Some(end) = inside.find('"') else {
                    return failed(text.len(), "extraneous or missing \" in quoted-field");
                };
                field.push_str(&inside[..end]);
                inside = &inside[end + 1..];
                match inside.strip_prefix('"') {
                    Some(after) => {
                        field.push('"');
                        inside = after;
                    }
                    None => break,
                }
            }
            fields.push(field);
            at = text.len() - inside.len();
            if inside.is_empty() {
                return Ok(fields);
            }
            if !inside.starts_with(',') {
                return failed(at - 1, "extraneous or missing \" in quoted-field");
            }
            at += 1;
        } else {
            let end = rest.find(',').unwrap_or(rest.len());
            if let Some(quote) = rest[..end].find('"') {
                return failed(at + quote, "bare \" in non-quoted-field");
            }
            fields.push(rest[..end].to_owned());
            if end == rest.len() {
                return Ok(fields);
            }
            at += end + 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn fields(text: &str) -> Vec<String> {
        record(text).unwrap()
    }

    #[test]
    fn commas_and_quotes() {
        assert_eq!(fields("a,b"), ["a", "b"]);
        assert_eq!(fields("a,"), ["a", ""]);
        assert_eq!(fields(","), ["", ""]);
        assert_eq!(fields("\"a,b\",c"), ["a,b", "c"]);
        assert_eq!(fields("a,\"b\"\"c\""), ["a", "b\"c"]);
        assert_eq!(fields("\"\""), [""]);
        assert_eq!(fields(" a, b"), [" a", " b"]);
    }

    #[test]
    fn slips_are_gos() {
        assert_eq!(record(""), Err("EOF".into()));
        assert_eq!(
            record("type=bind,src=\"/a\",dst=/c"),
            Err("parse error on line 1, column 15: bare \" in non-quoted-field".into())
        );
        assert!(record("\"a").unwrap_err().contains("missing \" in quoted-field"));
        assert!(record("\"a\"b").unwrap_err().contains("extraneous"));
        assert!(record("a\nb").is_err());
    }

    proptest! {
        #[test]
        fn quoted_fields_round_trip(parts in prop::collection::vec("[^\n\r]{0,10}", 1..5)) {
            let text = parts.iter().map(|p| format!("\"{}\"", p.replace('"', "\"\""))).collect::<Vec<_>>().join(",");
            prop_assert_eq!(record(&text), Ok(parts));
        }
        #[test]
        fn no_text_panics(text in ".{0,20}|[\",a]{0,12}") {
            let _ = record(&text);
        }
    }
}
