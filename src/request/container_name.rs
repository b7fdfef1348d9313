//! `--name` and `--hostname`

/// A container name: `[a-zA-Z0-9][a-zA-Z0-9_.-]+`. One leading slash is taken off, as docker does; an empty word is no name.
pub fn parse_name(text: &str) -> Result<Option<String>, String> {
    let name = text.strip_prefix('/').unwrap_or(text);
    if text.is_empty() {
        return Ok(None);
    }
    let valid = name.len() >= 2
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c));
    if !valid {
        return Err(format!("invalid container name ({text}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed"));
    }
    Ok(Some(name.to_owned()))
}

/// A host name or NIS domain name: what the kernel's 64 bytes hold and one word of /etc/hosts can be.
pub fn parse_hostname(text: &str) -> Result<Option<String>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    let valid = text.len() <= 64
        && !text.starts_with('-')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c));
    if !valid {
        return Err(format!("invalid hostname {text:?}: at most 64 letters, digits, dots, dashes and underscores"));
    }
    Ok(Some(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names() {
        assert_eq!(parse_name("foo"), Ok(Some("foo".into())));
        assert_eq!(parse_name("/foo"), Ok(Some("foo".into())));
        assert_eq!(parse_name(""), Ok(None));
        for bad in ["a", "/", "//ab", "foo/bar", "-x1", ".ab", "a b", "..", "ab\n", "äb"] {
            assert!(parse_name(bad).unwrap_err().contains("only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed"), "{bad}");
        }
    }

    #[test]
    fn hostnames() {
        assert_eq!(parse_hostname("a_b.example"), Ok(Some("a_b.example".into())));
        assert_eq!(parse_hostname(""), Ok(None));
        assert!(parse_hostname(&"a".repeat(64)).is_ok());
        for bad in ["a b", "-a", "a\nb", &"a".repeat(65)] {
            assert!(parse_hostname(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        /// A name is a folder's name too.
        #[test]
        fn names_never_leave_a_folder(text in ".{0,12}|[./a]{0,6}") {
            if let Ok(Some(name)) = parse_name(&text) {
                prop_assert!(!name.contains('/') && name != ".." && name != ".");
            }
        }
    }
}
