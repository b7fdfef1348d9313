//! Capability names as docker takes them.

use std::str::FromStr;

/// `ALL` or an upper-case name with its prefix (`CAP_SYS_ADMIN`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CapName {
    pub name: String,
    /// With its flag: `--cap-add sys_admin`.
    pub typed: String,
}

/// Every capability of Linux 5.9 and later, by number.
pub const CAPABILITIES: [&str; 41] = [
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_DAC_READ_SEARCH",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETPCAP",
    "CAP_LINUX_IMMUTABLE",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_BROADCAST",
    "CAP_NET_ADMIN",
    "CAP_NET_RAW",
    "CAP_IPC_LOCK",
    "CAP_IPC_OWNER",
    "CAP_SYS_MODULE",
    "CAP_SYS_RAWIO",
    "CAP_SYS_CHROOT",
    "CAP_SYS_PTRACE",
    "CAP_SYS_PACCT",
    "CAP_SYS_ADMIN",
    "CAP_SYS_BOOT",
    "CAP_SYS_NICE",
    "CAP_SYS_RESOURCE",
    "CAP_SYS_TIME",
    "CAP_SYS_TTY_CONFIG",
    "CAP_MKNOD",
    "CAP_LEASE",
    "CAP_AUDIT_WRITE",
    "CAP_AUDIT_CONTROL",
    "CAP_SETFCAP",
    "CAP_MAC_OVERRIDE",
    "CAP_MAC_ADMIN",
    "CAP_SYSLOG",
    "CAP_WAKE_ALARM",
    "CAP_BLOCK_SUSPEND",
    "CAP_AUDIT_READ",
    "CAP_PERFMON",
    "CAP_BPF",
    "CAP_CHECKPOINT_RESTORE",
];

impl CapName {
    pub fn is_all(&self) -> bool {
        self.name == "ALL"
    }
}

impl FromStr for CapName {
    type Err = String;

    /// Any case, with or without `CAP_`.
    fn from_str(text: &str) -> Result<Self, String> {
        let upper = text.trim().to_ascii_uppercase();
        let name = if upper == "ALL" || upper == "CAP_ALL" {
            "ALL".to_owned()
        } else if upper.starts_with("CAP_") {
            upper
        } else {
            format!("CAP_{upper}")
        };
        if name != "ALL" && !CAPABILITIES.contains(&name.as_str()) {
            return Err(format!("unknown capability: {name:?}"));
        }
        Ok(CapName { name, typed: text.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn name(text: &str) -> Result<String, String> {
        text.parse::<CapName>().map(|c| c.name)
    }

    #[test]
    fn every_spelling_is_one_name() {
        for text in ["SYS_ADMIN", "sys_admin", "CAP_SYS_ADMIN", "cap_sys_admin", "Cap_Sys_Admin", " sys_admin "] {
            assert_eq!(name(text), Ok("CAP_SYS_ADMIN".into()), "{text}");
        }
        assert_eq!(name("all"), Ok("ALL".into()));
        assert_eq!(name("CAP_ALL"), Ok("ALL".into()));
    }

    #[test]
    fn unknown_names_are_errors() {
        assert_eq!(name("foo"), Err("unknown capability: \"CAP_FOO\"".into()));
        assert_eq!(name(""), Err("unknown capability: \"CAP_\"".into()));
        assert!(name("CAP_CAP_CHOWN").is_err());
        assert!(name("CHOWN,KILL").is_err());
    }

    #[test]
    fn the_table_agrees_with_the_oci_types() {
        for name in CAPABILITIES {
            let parsed: Result<oci_spec::runtime::Capability, _> = serde_json::from_value(serde_json::json!(name));
            assert!(parsed.is_ok(), "{name}");
        }
    }

    proptest! {
        #[test]
        fn case_does_not_matter(index in 0_usize..41, upper: bool, prefix: bool) {
            let full = CAPABILITIES[index];
            let text = if prefix { full } else { &full[4..] };
            let text = if upper { text.to_owned() } else { text.to_lowercase() };
            prop_assert_eq!(name(&text), Ok(full.to_owned()));
        }
    }
}
