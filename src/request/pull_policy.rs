//! `--pull`

use std::str::FromStr;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PullPolicy {
    Always,
    Missing,
    Never,
    /// podman: as `always` where the registry has a newer one.
    Newer,
}

impl FromStr for PullPolicy {
    type Err = String;

    /// docker's three words, an empty one (`missing`), and podman's `newer`, `true` and `false`.
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "always" => Ok(PullPolicy::Always),
            "" | "missing" | "true" => Ok(PullPolicy::Missing),
            "never" | "false" => Ok(PullPolicy::Never),
            "newer" => Ok(PullPolicy::Newer),
            _ => Err(format!("invalid pull option: '{text}': must be one of \"always\", \"missing\" or \"never\"")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words() {
        assert_eq!("always".parse(), Ok(PullPolicy::Always));
        assert_eq!("".parse(), Ok(PullPolicy::Missing));
        assert_eq!("never".parse(), Ok(PullPolicy::Never));
        assert_eq!("newer".parse(), Ok(PullPolicy::Newer));
        assert_eq!(
            "foo".parse::<PullPolicy>(),
            Err("invalid pull option: 'foo': must be one of \"always\", \"missing\" or \"never\"".into())
        );
    }
}
