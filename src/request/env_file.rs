//! The files of `--env-file` and `--label-file`: `NAME=VALUE` or `NAME` a line, `#` comments, no quoting, no expansion.

/// One line that says something: its name and, after the first `=`, everything else as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line<'a> {
    pub name: &'a str,
    pub value: Option<&'a str>,
}

/// Take a file apart as docker does: a byte order mark and blanks at the start of a line are skipped, a carriage return
/// at its end too. Errors have docker's text and the line's number.
pub fn parse<'a>(path: &str, bytes: &'a [u8]) -> Result<Vec<Line<'a>>, String> {
    let mut lines = Vec::new();
    for (index, raw) in bytes.split(|b| *b == b'\n').enumerate() {
        let number = index + 1;
        let failed = |what: String| format!("invalid env file ({path}): {what} ({path}:{number})");
        let raw = raw.strip_suffix(b"\r").unwrap_or(raw);
        let raw = if index == 0 { raw.strip_prefix(b"\xef\xbb\xbf").unwrap_or(raw) } else { raw };
        let text = std::str::from_utf8(raw).map_err(|_| {
            let shown: Vec<String> = raw.iter().take(16).map(u8::to_string).collect();
            failed(format!("invalid utf8 bytes at line {number}: [{}]", shown.join(" ")))
        })?;
        let text = text.trim_start();
        if text.is_empty() || text.starts_with('#') {
            continue;
        }
        let (name, value) = match text.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (text, None),
        };
        if name.contains([' ', '\t']) {
            return Err(failed(format!("variable '{name}' contains whitespaces")));
        }
        if name.is_empty() {
            return Err(failed(format!("no variable name on line '{text}'")));
        }
        if text.contains('\0') {
            return Err(failed(format!("variable '{name}' contains a NUL byte")));
        }
        lines.push(Line { name, value });
    }
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pairs(bytes: &[u8]) -> Result<Vec<(String, Option<String>)>, String> {
        Ok(parse("f", bytes)?.iter().map(|l| (l.name.to_owned(), l.value.map(str::to_owned))).collect())
    }

    fn pair(name: &str, value: Option<&str>) -> (String, Option<String>) {
        (name.to_owned(), value.map(str::to_owned))
    }

    #[test]
    fn lines_are_taken_as_they_stand() {
        let text = b"\xef\xbb\xbfA=1\r\n# no\n\n  B= two \nC\n\tD=\"x # y\"\nE=a=b";
        assert_eq!(
            pairs(text),
            Ok(vec![
                pair("A", Some("1")),
                pair("B", Some(" two ")),
                pair("C", None),
                pair("D", Some("\"x # y\"")),
                pair("E", Some("a=b")),
            ])
        );
    }

    #[test]
    fn slips_have_dockers_text_and_the_line() {
        assert_eq!(
            pairs(b"A=1\nb c=2\n"),
            Err("invalid env file (f): variable 'b c' contains whitespaces (f:2)".into())
        );
        assert_eq!(pairs(b"\n=x"), Err("invalid env file (f): no variable name on line '=x' (f:2)".into()));
        assert_eq!(
            pairs(b"\xff=1"),
            Err("invalid env file (f): invalid utf8 bytes at line 1: [255 61 49] (f:1)".into())
        );
        assert!(pairs(b"A \n").is_err());
        assert!(pairs(b"A=a\0b").is_err());
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(lines in prop::collection::vec(("[A-Z_]{1,8}", "[ -~]{0,20}"), 0..8)) {
            let text: String = lines.iter().map(|(k, v)| format!("{k}={v}\n")).collect();
            let expected = lines.iter().map(|(k, v)| pair(k, Some(v))).collect::<Vec<_>>();
            prop_assert_eq!(pairs(text.as_bytes()), Ok(expected));
        }
        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = pairs(&bytes);
        }
    }
}
