//! podman's `--secret NAME[,type=mount|env][,target=…][,uid=,gid=,mode=]`

use std::str::FromStr;

/// A named secret. There is no secret store to take it from: see `Request::unsupported`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Secret {
    pub name: String,
    /// Without its flag.
    pub typed: String,
}

impl FromStr for Secret {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut fields = text.split(',');
        let name = fields.next().unwrap_or_default();
        if name.is_empty() || name.contains(['=', '/']) {
            return Err(format!("invalid secret {text:?}: it begins with the secret's name"));
        }
        for field in fields {
            match field.split_once('=') {
                Some(("type", "mount" | "env")) => {}
                Some(("target" | "uid" | "gid" | "mode", value)) if !value.is_empty() => {}
                _ => return Err(format!("invalid secret {text:?}: unknown option {field:?}")),
            }
        }
        Ok(Secret { name: name.to_owned(), typed: text.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets() {
        assert_eq!("db,type=env,target=PW".parse::<Secret>().unwrap().name, "db");
        for bad in ["", "a/b", "type=env", "db,type=x", "db,foo", "db,mode="] {
            assert!(bad.parse::<Secret>().unwrap_err().starts_with(&format!("invalid secret {bad:?}")), "{bad}");
        }
    }
}
