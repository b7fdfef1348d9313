//! `--uidmap`, `--gidmap`: `CONTAINER:HOST[:LENGTH]`

use std::str::FromStr;

/// One line of an id map.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdMap {
    pub container: u32,
    pub host: u32,
    pub size: u32,
    /// Without its flag.
    pub typed: String,
}

impl FromStr for IdMap {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts: Vec<&str> = text.split(':').collect();
        let (container, host, size) = match parts[..] {
            [container, host] => (container, host, "1"),
            [container, host, size] => (container, host, size),
            _ => return Err(format!("invalid id map {text:?}: CONTAINER:HOST[:LENGTH] is wanted")),
        };
        let number = |what: &str, word: &str| {
            let digits = word.bytes().all(|b| b.is_ascii_digit());
            digits
                .then(|| word.parse::<u32>().ok())
                .flatten()
                .ok_or_else(|| format!("invalid id map {text:?}: {what} {word:?} is not an id"))
        };
        let map = IdMap {
            container: number("container id", container)?,
            host: number("host id", host)?,
            size: number("length", size)?,
            typed: text.to_owned(),
        };
        if map.size == 0 || map.container.checked_add(map.size).is_none() || map.host.checked_add(map.size).is_none() {
            return Err(format!("invalid id map {text:?}: the range is empty or ends beyond the last id"));
        }
        Ok(map)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn maps() {
        let map: IdMap = "0:100000:65536".parse().unwrap();
        assert_eq!((map.container, map.host, map.size), (0, 100_000, 65_536));
        assert_eq!("5:6".parse::<IdMap>().unwrap().size, 1);
        for bad in ["", "0", "0:1:0", "0:4294967295:2", "a:1:1", "@0:1:1", "+0:1:1", "0:1:2:3", "0:-1:1"] {
            assert!(bad.parse::<IdMap>().unwrap_err().starts_with(&format!("invalid id map {bad:?}")), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn ranges_never_wrap(container: u32, host: u32, size: u32) {
            if let Ok(map) = format!("{container}:{host}:{size}").parse::<IdMap>() {
                prop_assert!(map.container.checked_add(map.size).is_some() && map.host.checked_add(map.size).is_some());
            }
        }
    }
}
