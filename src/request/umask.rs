//! `--umask`: octal

use std::str::FromStr;

/// Permission bits that are taken away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Umask(pub u32);

impl FromStr for Umask {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match u32::from_str_radix(text, 8) {
            Ok(mask) if mask <= 0o777 && (1..=4).contains(&text.len()) && !text.starts_with('+') => Ok(Umask(mask)),
            _ => Err(format!("invalid umask {text:?}: up to four octal digits are wanted, at most 0777")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn octal_only() {
        assert_eq!("0022".parse(), Ok(Umask(0o022)));
        assert_eq!("77".parse(), Ok(Umask(0o077)));
        for bad in ["", "8", "1000", "00022", "-1", "+22", "0x2"] {
            assert!(bad.parse::<Umask>().is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn round_trips(mask in 0_u32..=0o777) {
            prop_assert_eq!(format!("{mask:04o}").parse(), Ok(Umask(mask)));
        }
    }
}
