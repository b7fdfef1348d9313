//! `--detach-keys`: the key sequence that detaches a terminal client.

use std::str::FromStr;

/// The sequence as typed and as bytes; no bytes: none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DetachKeys {
    pub typed: String,
    pub bytes: Vec<u8>,
}

impl FromStr for DetachKeys {
    type Err = String;

    /// Single letters and `ctrl-` with a letter or one of `@[\]^_`, joined by commas; an empty word switches detaching off.
    fn from_str(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Ok(DetachKeys { typed: String::new(), bytes: Vec::new() });
        }
        let bytes = text
            .split(',')
            .map(|key| byte_of(key).ok_or_else(|| format!("invalid detach keys {text:?}: unknown key {key:?}")))
            .collect::<Result<_, _>>()?;
        Ok(DetachKeys { typed: text.to_owned(), bytes })
    }
}

fn byte_of(key: &str) -> Option<u8> {
    match (key.strip_prefix("ctrl-").map(str::as_bytes), key.as_bytes()) {
        (Some([c @ b'a'..=b'z']), _) => Some(c - b'a' + 1),
        (Some([c @ (b'@' | b'[' | b'\\' | b']' | b'^' | b'_')]), _) => Some(c - b'@'),
        (Some(_), _) => None,
        (None, [c]) if c.is_ascii() => Some(*c),
        (None, _) if key == "DEL" => Some(127),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bytes(text: &str) -> Result<Vec<u8>, String> {
        text.parse::<DetachKeys>().map(|k| k.bytes)
    }

    #[test]
    fn keys() {
        assert_eq!(bytes("ctrl-p,ctrl-q"), Ok(vec![16, 17]));
        assert_eq!(bytes("a"), Ok(vec![b'a']));
        assert_eq!(bytes("ctrl-@,ctrl-[,ctrl-\\,ctrl-_"), Ok(vec![0, 27, 28, 31]));
        assert_eq!(bytes(""), Ok(vec![]));
        assert!(bytes("foo").unwrap_err().contains("unknown key \"foo\""));
        assert!(bytes("ctrl-,a").is_err());
        assert!(bytes("a,").is_err());
    }

    proptest! {
        #[test]
        fn one_byte_a_key(keys in prop::collection::vec("ctrl-[a-z]|[a-z]", 1..5)) {
            prop_assert_eq!(bytes(&keys.join(",")).map(|b| b.len()), Ok(keys.len()));
        }
    }
}
