//! `--restart`

use super::Refusal;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RestartPolicy {
    #[default]
    No,
    Always,
    UnlessStopped,
    OnFailure {
        /// 0 is without end.
        max: u32,
    },
}

impl RestartPolicy {
    /// Docker's `RestartPolicy.Name`.
    pub fn name(self) -> &'static str {
        match self {
            RestartPolicy::No => "no",
            RestartPolicy::Always => "always",
            RestartPolicy::UnlessStopped => "unless-stopped",
            RestartPolicy::OnFailure { .. } => "on-failure",
        }
    }
}

impl fmt::Display for RestartPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RestartPolicy::OnFailure { max } if *max > 0 => write!(f, "on-failure:{max}"),
            other => f.write_str(other.name()),
        }
    }
}

impl FromStr for RestartPolicy {
    type Err = Refusal;

    /// The client tells a name from a count; which names there are, and which may have a count, its engine says.
    fn from_str(text: &str) -> Result<Self, Refusal> {
        let (name, count) = match text.split_once(':') {
            Some(("", _)) => return Err("invalid restart policy format: no policy provided before colon".into()),
            Some((name, count)) => (name, Some(count)),
            None => (text, None),
        };
        let count = match count {
            None | Some("") => None,
            Some(count) => Some(
                super::golang::parse_decimal(count)
                    .map_err(|_| "invalid restart policy format: maximum retry count must be an integer")?,
            ),
        };
        match (name, count) {
            ("on-failure", count) => match u32::try_from(count.unwrap_or(0)) {
                Ok(max) => Ok(RestartPolicy::OnFailure { max }),
                Err(_) => Err(Refusal::engine("maximum retry count cannot be negative")),
            },
            ("" | "no" | "always" | "unless-stopped", Some(_)) => {
                let why = format!("maximum retry count cannot be used with restart policy '{name}'");
                Err(Refusal::engine(why))
            }
            ("" | "no", None) => Ok(RestartPolicy::No),
            ("always", None) => Ok(RestartPolicy::Always),
            ("unless-stopped", None) => Ok(RestartPolicy::UnlessStopped),
            _ => Err(Refusal::engine(format!("invalid restart policy '{name}'"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn policies() {
        for (text, policy) in [
            ("", RestartPolicy::No),
            ("no", RestartPolicy::No),
            ("always", RestartPolicy::Always),
            ("unless-stopped", RestartPolicy::UnlessStopped),
            ("on-failure", RestartPolicy::OnFailure { max: 0 }),
            ("on-failure:5", RestartPolicy::OnFailure { max: 5 }),
        ] {
            assert_eq!(text.parse(), Ok(policy), "{text}");
        }
    }

    #[test]
    fn slips() {
        for (text, part) in [
            (":", "no policy provided before colon"),
            ("on-failure:x", "must be an integer"),
            ("on-failure:5:6", "must be an integer"),
            ("on-failure:-1", "cannot be negative"),
            ("always:5", "cannot be used with restart policy 'always'"),
            ("foo", "invalid restart policy 'foo'"),
        ] {
            assert!(text.parse::<RestartPolicy>().unwrap_err().words.contains(part), "{text}");
        }
    }

    proptest! {
        #[test]
        fn counts_round_trip(max: u32) {
            prop_assert_eq!(format!("on-failure:{max}").parse(), Ok(RestartPolicy::OnFailure { max }));
        }
    }
}
