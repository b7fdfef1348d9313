//! `--device-read-bps DEV:RATE` and its like, `--blkio-weight-device DEV:WEIGHT`

use super::size::Size;
use std::path::PathBuf;

/// A device path and its weight, bytes per second or operations per second.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceValue {
    /// Begins with /dev/.
    pub path: PathBuf,
    pub value: u64,
    /// Without its flag: `/dev/sda:1mb`.
    pub typed: String,
}

impl DeviceValue {
    /// `DEVICE:RATE` in bytes per second, with units.
    pub fn bytes(text: &str) -> Result<Self, String> {
        Self::parse(text, |value| {
            value.parse::<Size>().ok().and_then(|s| u64::try_from(s.0).ok()).ok_or_else(|| {
                format!(
                    "invalid rate for device: {text}. The correct format is <device-path>:<number>[<unit>]. Number must \
                     be a positive integer. Unit is optional and can be kb, mb, or gb"
                )
            })
        })
    }

    /// `DEVICE:RATE` in operations per second.
    pub fn operations(text: &str) -> Result<Self, String> {
        Self::parse(text, |value| {
            plain(value).ok_or_else(|| {
                format!(
                    "invalid rate for device: {text}. The correct format is <device-path>:<number>. Number must be a \
                     positive integer"
                )
            })
        })
    }

    /// `DEVICE:WEIGHT`, 10 to 1000 or 0.
    pub fn weight(text: &str) -> Result<Self, String> {
        Self::parse(text, |value| {
            plain(value)
                .filter(|w| *w == 0 || (10..=1000).contains(w))
                .ok_or_else(|| format!("invalid weight for device: {text}"))
        })
    }

    fn parse(text: &str, value: impl Fn(&str) -> Result<u64, String>) -> Result<Self, String> {
        let (path, rest) = match text.split_once(':') {
            Some((path, rest)) if !path.is_empty() => (path, rest),
            _ => return Err(format!("bad format: {text}")),
        };
        if !path.starts_with("/dev/") {
            return Err(format!("bad format for device path: {text}"));
        }
        Ok(DeviceValue { path: path.into(), value: value(rest)?, typed: text.to_owned() })
    }
}

fn plain(text: &str) -> Option<u64> {
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn rates_and_weights() {
        assert_eq!(DeviceValue::bytes("/dev/sda:1mb").unwrap().value, 1 << 20);
        assert_eq!(DeviceValue::operations("/dev/sda:100").unwrap().value, 100);
        assert_eq!(DeviceValue::weight("/dev/sda:1000").unwrap().value, 1000);
        assert_eq!(DeviceValue::weight("/dev/sda:0").unwrap().path, PathBuf::from("/dev/sda"));
    }

    #[test]
    fn slips_are_dockers() {
        assert_eq!(DeviceValue::bytes("/dev/sda"), Err("bad format: /dev/sda".into()));
        assert_eq!(DeviceValue::bytes("sda:1"), Err("bad format for device path: sda:1".into()));
        for bad in ["/dev/sda:x", "/dev/sda:-1", "/dev/a:b:1", "/dev/sda:"] {
            assert!(DeviceValue::bytes(bad).unwrap_err().starts_with(&format!("invalid rate for device: {bad}. ")));
        }
        assert!(
            DeviceValue::operations("/dev/sda:1k").unwrap_err().starts_with("invalid rate for device: /dev/sda:1k")
        );
        assert_eq!(DeviceValue::weight("/dev/sda:5"), Err("invalid weight for device: /dev/sda:5".into()));
        assert_eq!(DeviceValue::weight("/dev/sda:1001"), Err("invalid weight for device: /dev/sda:1001".into()));
    }

    proptest! {
        #[test]
        fn rates_round_trip(rate in 0_u64..1 << 50) {
            prop_assert_eq!(DeviceValue::operations(&format!("/dev/x:{rate}")).map(|d| d.value), Ok(rate));
            prop_assert_eq!(DeviceValue::bytes(&format!("/dev/x:{rate}b")).map(|d| d.value), Ok(rate));
        }
    }
}
