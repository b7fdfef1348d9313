//! `--label KEY[=VALUE]` and `--annotation KEY=VALUE`

/// A label. Without `=` the value is empty.
pub fn parse_label(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').unwrap_or((text, ""));
    if key.is_empty() {
        return Err(format!("invalid label '{text}': empty name"));
    }
    if key.contains(char::is_whitespace) {
        return Err(format!("label '{key}' contains whitespaces"));
    }
    Ok((key.to_owned(), value.to_owned()))
}

/// An annotation: docker's client takes anything, but one without a name says nothing.
pub fn parse_annotation(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').unwrap_or((text, ""));
    if key.is_empty() {
        return Err(format!("invalid annotation '{text}': empty name"));
    }
    Ok((key.to_owned(), value.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn labels() {
        assert_eq!(parse_label("a=b=c"), Ok(("a".into(), "b=c".into())));
        assert_eq!(parse_label("a"), Ok(("a".into(), String::new())));
        assert_eq!(parse_label(""), Err("invalid label '': empty name".into()));
        assert_eq!(parse_label("=b"), Err("invalid label '=b': empty name".into()));
        assert_eq!(parse_label("a b=c"), Err("label 'a b' contains whitespaces".into()));
    }

    #[test]
    fn annotations() {
        assert_eq!(parse_annotation("a=b"), Ok(("a".into(), "b".into())));
        assert_eq!(parse_annotation("=b"), Err("invalid annotation '=b': empty name".into()));
    }

    proptest! {
        #[test]
        fn keys_never_hold_blanks(text in ".{0,20}") {
            if let Ok((key, _)) = parse_label(&text) {
                prop_assert!(!key.is_empty() && !key.contains(char::is_whitespace));
            }
        }
    }
}
