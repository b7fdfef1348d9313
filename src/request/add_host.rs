//! `--add-host host:ip`, `host=ip`, `host:host-gateway`.

use std::net::IpAddr;
use std::str::FromStr;

/// One extra line of /etc/hosts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddHost {
    pub name: String,
    /// An address, or the word `host-gateway`.
    pub address: String,
}

impl FromStr for AddHost {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bad = || format!("bad format for add-host: {text:?}");
        let (name, address) = text.split_once('=').or_else(|| text.split_once(':')).ok_or_else(bad)?;
        // A name is one word of a line that others are written to.
        if name.is_empty() || name.contains(|c: char| c.is_whitespace() || c.is_control() || c == '#') {
            return Err(bad());
        }
        if address == "host-gateway" {
            return Ok(AddHost { name: name.to_owned(), address: address.to_owned() });
        }
        let bare = address.strip_prefix('[').and_then(|a| a.strip_suffix(']')).unwrap_or(address);
        let parsed: IpAddr = bare.parse().map_err(|_| format!("invalid IP address in add-host: {address:?}"))?;
        Ok(AddHost { name: name.to_owned(), address: parsed.to_string() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(text: &str) -> Result<(String, String), String> {
        text.parse::<AddHost>().map(|h| (h.name, h.address))
    }

    #[test]
    fn both_separators_and_families() {
        for (text, address) in [
            ("a:1.2.3.4", "1.2.3.4"),
            ("a=1.2.3.4", "1.2.3.4"),
            ("a:::1", "::1"),
            ("a=::1", "::1"),
            ("a=[::1]", "::1"),
            ("a:[::1]", "::1"),
            ("a:host-gateway", "host-gateway"),
        ] {
            assert_eq!(parse(text), Ok(("a".into(), address.into())), "{text}");
        }
    }

    #[test]
    fn slips_are_dockers() {
        assert_eq!(parse("a"), Err("bad format for add-host: \"a\"".into()));
        assert_eq!(parse(":1.2.3.4"), Err("bad format for add-host: \":1.2.3.4\"".into()));
        assert_eq!(parse("a:"), Err("invalid IP address in add-host: \"\"".into()));
        assert_eq!(parse("a=b=c"), Err("invalid IP address in add-host: \"b=c\"".into()));
        assert!(parse("a\n127.0.0.1 b:1.2.3.4").is_err());
    }

    proptest! {
        #[test]
        fn any_address_round_trips(address: IpAddr) {
            prop_assert_eq!(parse(&format!("h:{address}")), Ok(("h".into(), address.to_string())));
            prop_assert_eq!(parse(&format!("h={address}")), Ok(("h".into(), address.to_string())));
        }
    }
}
