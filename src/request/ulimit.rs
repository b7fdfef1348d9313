//! `--ulimit NAME=SOFT[:HARD]`

use super::golang::parse_decimal;
use std::str::FromStr;

/// A resource limit; `u64::MAX` is unlimited.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ulimit {
    /// Lower case, as docker names it (`nofile`).
    pub name: String,
    pub soft: u64,
    pub hard: u64,
}

/// The names docker knows; `as` is not among them.
pub const NAMES: &[&str] = &[
    "core",
    "cpu",
    "data",
    "fsize",
    "locks",
    "memlock",
    "msgqueue",
    "nice",
    "nofile",
    "nproc",
    "rss",
    "rtprio",
    "rttime",
    "sigpending",
    "stack",
];

impl FromStr for Ulimit {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, limits) = text.split_once('=').ok_or_else(|| format!("invalid ulimit argument: {text}"))?;
        if !NAMES.contains(&name) {
            return Err(format!("invalid ulimit type: {name}"));
        }
        let parts: Vec<&str> = limits.split(':').collect();
        let (soft, hard) = match parts[..] {
            [both] => {
                let both = parse_decimal(both)?;
                (both, both)
            }
            [soft, hard] => (parse_decimal(soft)?, parse_decimal(hard)?),
            _ => {
                return Err(format!(
                    "too many limit value arguments - {limits}, can only have up to two, `soft[:hard]`"
                ));
            }
        };
        if hard != -1 {
            if soft == -1 {
                return Err(format!(
                    "ulimit soft limit must be less than or equal to hard limit: soft: -1 (unlimited), hard: {hard}"
                ));
            }
            if soft > hard {
                return Err(format!("ulimit soft limit must be less than or equal to hard limit: {soft} > {hard}"));
            }
        }
        Ok(Ulimit { name: name.to_owned(), soft: limit(soft)?, hard: limit(hard)? })
    }
}

fn limit(value: i64) -> Result<u64, String> {
    match value {
        -1 => Ok(u64::MAX),
        // docker hands the number on and the runtime reads it as an enormous one; nobody means that.
        _ => u64::try_from(value).map_err(|_| format!("a limit is -1 (unlimited), zero or more: {value}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(text: &str) -> Result<(u64, u64), String> {
        text.parse::<Ulimit>().map(|u| (u.soft, u.hard))
    }

    #[test]
    fn soft_and_hard() {
        assert_eq!(parse("nofile=1"), Ok((1, 1)));
        assert_eq!(parse("nofile=1:2"), Ok((1, 2)));
        assert_eq!(parse("nofile=-1"), Ok((u64::MAX, u64::MAX)));
        assert_eq!(parse("nofile=5:-1"), Ok((5, u64::MAX)));
        for name in NAMES {
            assert_eq!(format!("{name}=0").parse::<Ulimit>().unwrap().name, *name);
        }
    }

    #[test]
    fn slips_are_dockers() {
        for (text, error) in [
            ("nofile", "invalid ulimit argument: nofile"),
            ("as=1", "invalid ulimit type: as"),
            ("NOFILE=1", "invalid ulimit type: NOFILE"),
            ("nofile=", "strconv.ParseInt: parsing \"\": invalid syntax"),
            ("nofile=unlimited", "strconv.ParseInt: parsing \"unlimited\": invalid syntax"),
            ("nofile=2:1", "ulimit soft limit must be less than or equal to hard limit: 2 > 1"),
            (
                "nofile=-1:5",
                "ulimit soft limit must be less than or equal to hard limit: soft: -1 (unlimited), hard: 5",
            ),
            ("nofile=1:2:3", "too many limit value arguments - 1:2:3, can only have up to two, `soft[:hard]`"),
            ("nofile=-2", "a limit is -1 (unlimited), zero or more: -2"),
        ] {
            assert_eq!(parse(text), Err(error.into()), "{text}");
        }
    }

    proptest! {
        #[test]
        fn accepted_limits_are_ordered(soft in -3_i64..10, hard in -3_i64..10) {
            if let Ok((soft, hard)) = parse(&format!("stack={soft}:{hard}")) {
                prop_assert!(soft <= hard);
            }
        }
    }
}
