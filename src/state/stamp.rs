//! A moment, written as docker writes it.

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;

/// RFC 3339 in UTC with up to nine digits of a second; docker's zero is the first moment of year 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stamp(pub Timestamp);

impl Stamp {
    /// Seconds from 1970 to the first moment of year 1.
    const ZERO: i64 = -62_135_596_800;

    pub fn now() -> Stamp {
        Stamp(Timestamp::now())
    }

    pub fn is_zero(self) -> bool {
        self.0.as_second() == Self::ZERO
    }
}

/// Docker's zero: it has not happened.
impl Default for Stamp {
    fn default() -> Self {
        Stamp(Timestamp::from_second(Self::ZERO).expect("year 1 is within jiff's range"))
    }
}

impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl Serialize for Stamp {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Stamp {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = String::deserialize(d)?;
        text.parse().map(Stamp).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_read_back_and_zero_is_dockers() {
        assert_eq!(Stamp::default().to_string(), "0001-01-01T00:00:00Z");
        let now = Stamp::now();
        let json = serde_json::to_string(&now).unwrap();
        assert!(json.ends_with("Z\""), "{json}");
        assert_eq!(serde_json::from_str::<Stamp>(&json).unwrap(), now);
        assert!(!now.is_zero() && Stamp::default().is_zero());
    }
}
