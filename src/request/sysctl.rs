//! `--sysctl KEY=VALUE`

use std::str::FromStr;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sysctl {
    /// With dots.
    pub key: String,
    pub value: String,
}

/// Keys of the ipc namespace that docker lets through; everything under net. and fs.mqueue. besides.
const IPC: &[&str] = &[
    "kernel.msgmax",
    "kernel.msgmnb",
    "kernel.msgmni",
    "kernel.sem",
    "kernel.shmall",
    "kernel.shmmax",
    "kernel.shmmni",
    "kernel.shm_rmid_forced",
];

impl FromStr for Sysctl {
    type Err = String;

    /// What docker's client lets through; the policy judges the rest. A key that climbs (`net..`, `net./../x`) is no key.
    fn from_str(text: &str) -> Result<Self, String> {
        let refused = || format!("sysctl '{text}' is not allowed");
        let (key, value) = text.split_once('=').ok_or_else(refused)?;
        let word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '/');
        if key.split('.').any(str::is_empty) || !key.chars().all(word) || value.contains('\n') {
            return Err(refused());
        }
        let allowed = IPC.contains(&key) || key.starts_with("net.") || key.starts_with("fs.mqueue.");
        if !allowed {
            return Err(refused());
        }
        Ok(Sysctl { key: key.to_owned(), value: value.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn namespaced_keys_pass() {
        for text in ["net.ipv4.ip_forward=1", "kernel.shmmax=1", "fs.mqueue.msg_max=5", "net.ipv4.tcp_rmem=1 2 3"] {
            let sysctl: Sysctl = text.parse().unwrap();
            assert_eq!(format!("{}={}", sysctl.key, sysctl.value), text);
        }
    }

    #[test]
    fn the_rest_is_refused_in_dockers_words() {
        for text in [
            "foo",
            "foo=1",
            "",
            "=1",
            "kernel.core_pattern=x",
            "kernel/core_pattern=x",
            "kernel.shm=1",
            "net.=1",
            "net..x=1",
            "net.ipv4.../x=1",
            "net/ipv4/x=1",
            "vm.overcommit_memory=1",
            "net.x\n=1",
            "net.x=1\n2",
            "net.a b=1",
        ] {
            assert_eq!(text.parse::<Sysctl>(), Err(format!("sysctl '{text}' is not allowed")));
        }
    }

    proptest! {
        /// Whatever passes stays below /proc/sys/{net,fs/mqueue,kernel} when dots become slashes.
        #[test]
        fn no_key_climbs(text in "(net|fs.mqueue|kernel|net/)?[./a-z]{0,20}=1") {
            if let Ok(sysctl) = text.parse::<Sysctl>() {
                prop_assert!(!sysctl.key.split('.').any(|part| part.is_empty() || part == ".." ));
            }
        }
    }
}
