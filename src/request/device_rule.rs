//! `--device-cgroup-rule "TYPE MAJOR:MINOR ACCESS"`

use std::str::FromStr;

/// One checked rule, as typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceRule {
    /// `a`, `c` or `b`
    pub kind: char,
    /// `None` is `*`.
    pub major: Option<u32>,
    pub minor: Option<u32>,
    pub access: String,
    /// Without its flag: what goes into `Draft::device_cgroup_rules`.
    pub typed: String,
}

impl FromStr for DeviceRule {
    type Err = String;

    /// `^[acb] (\d+|\*):(\d+|\*) [rwm]{1,3}$`
    fn from_str(text: &str) -> Result<Self, String> {
        parse(text).ok_or_else(|| format!("invalid device cgroup format '{text}'"))
    }
}

fn parse(text: &str) -> Option<DeviceRule> {
    let [kind, numbers, access] = text.split(' ').collect::<Vec<_>>()[..] else { return None };
    let kind = match kind {
        "a" => 'a',
        "b" => 'b',
        "c" => 'c',
        _ => return None,
    };
    let (major, minor) = numbers.split_once(':')?;
    if !(1..=3).contains(&access.len()) || !access.bytes().all(|b| b"rwm".contains(&b)) {
        return None;
    }
    Some(DeviceRule {
        kind,
        major: number(major)?,
        minor: number(minor)?,
        access: access.to_owned(),
        typed: text.to_owned(),
    })
}

fn number(text: &str) -> Option<Option<u32>> {
    match text {
        "*" => Some(None),
        _ if text.bytes().all(|b| b.is_ascii_digit()) => text.parse().ok().map(Some),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn rules() {
        let rule: DeviceRule = "c 1:3 rwm".parse().unwrap();
        assert_eq!((rule.kind, rule.major, rule.minor, rule.access.as_str()), ('c', Some(1), Some(3), "rwm"));
        let rule: DeviceRule = "a *:* r".parse().unwrap();
        assert_eq!((rule.major, rule.minor), (None, None));
    }

    #[test]
    fn slips() {
        for bad in [
            "",
            "c 1:3",
            "d 1:3 r",
            "c 1:3 rwmr",
            "c  1:3 r",
            "c 1:3 x",
            "c 1 r",
            "c -1:3 r",
            "c +1:3 r",
            "c 99999999999:1 r",
        ] {
            assert_eq!(bad.parse::<DeviceRule>(), Err(format!("invalid device cgroup format '{bad}'")));
        }
    }

    proptest! {
        #[test]
        fn round_trips(major: u32, minor: u32, kind in "[abc]", access in "[rwm]{1,3}") {
            let text = format!("{kind} {major}:{minor} {access}");
            let rule: DeviceRule = text.parse().unwrap();
            prop_assert_eq!((rule.major, rule.minor, rule.access, rule.typed), (Some(major), Some(minor), access, text));
        }
    }
}
