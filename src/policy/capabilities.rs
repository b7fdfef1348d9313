//! Every capability of Linux 6.x: what it does inside a private user namespace, and whether it may be added freely.
//!
//! A capability in a private user namespace counts only for what that namespace owns: its own ids, its own network,
//! its own mounts. Checks that ask for the capability on the host (`capable()` in the kernel) still say no. "Free" is
//! one that acts on the container's own ids, or does nothing there; "dangerous" is one that opens kernel code which has
//! let containers out before, or that counts on the host. Without a user namespace every one is dangerous.

use crate::error::{Error, Result};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Danger {
    /// May be added inside a private user namespace.
    Free,
    /// Refused until overridden.
    Dangerous,
}

pub struct Capability {
    /// `CAP_CHOWN`
    pub name: &'static str,
    pub danger: Danger,
    pub why: &'static str,
}

const fn free(name: &'static str, why: &'static str) -> Capability {
    Capability { name, danger: Danger::Free, why }
}

const fn no(name: &'static str, why: &'static str) -> Capability {
    Capability { name, danger: Danger::Dangerous, why }
}

pub const TABLE: &[Capability] = &[
    free("CAP_CHOWN", "changes owners within the container's own ids"),
    free("CAP_DAC_OVERRIDE", "passes file modes of files that the container's own ids own"),
    no("CAP_DAC_READ_SEARCH", "opens files by handle, around every mount: the shocker escape"),
    free("CAP_FOWNER", "acts as owner of files of the container's own ids"),
    free("CAP_FSETID", "keeps setuid bits on files of the container's own ids"),
    free("CAP_KILL", "signals the container's own processes"),
    free("CAP_SETGID", "takes on the container's own group ids"),
    free("CAP_SETUID", "takes on the container's own user ids"),
    free("CAP_SETPCAP", "gives up capabilities"),
    no("CAP_LINUX_IMMUTABLE", "makes files that the host's root cannot delete"),
    free("CAP_NET_BIND_SERVICE", "listens on ports below 1024 of the container's own network"),
    no("CAP_NET_BROADCAST", "unused by the kernel: nothing needs it"),
    no("CAP_NET_ADMIN", "opens netfilter and traffic control, where most recent kernel escapes began (CVE-2024-1086)"),
    no("CAP_NET_RAW", "sends forged packets to neighbours and the host (CVE-2020-14386, ARP spoofing)"),
    free("CAP_IPC_LOCK", "asks for locked memory: the kernel wants it on the host, so the memlock limit still holds"),
    no("CAP_IPC_OWNER", "passes the modes of shared memory and queues"),
    no("CAP_SYS_MODULE", "loads code into the kernel"),
    no("CAP_SYS_RAWIO", "reads and writes ports, kernel memory and disks"),
    free("CAP_SYS_CHROOT", "changes the root folder within the container's own"),
    no("CAP_SYS_PTRACE", "reads and writes memory of other processes, the launcher's helpers among them"),
    no("CAP_SYS_PACCT", "switches process accounting: a file that the kernel writes"),
    no(
        "CAP_SYS_ADMIN",
        "mounts, namespaces, bpf and a hundred other doors: the new root (CVE-2022-0185, CVE-2022-0492)",
    ),
    no("CAP_SYS_BOOT", "restarts the host or loads another kernel"),
    no("CAP_SYS_NICE", "takes processor time from the host's own processes"),
    no("CAP_SYS_RESOURCE", "raises the limits that keep the host alive"),
    no("CAP_SYS_TIME", "sets the host's clock: certificates and logs become wrong"),
    no("CAP_SYS_TTY_CONFIG", "hangs up terminals"),
    no("CAP_MKNOD", "makes device files: the host's disks, where anything opens them"),
    free("CAP_LEASE", "is told when another process opens a file of the container's own"),
    free("CAP_AUDIT_WRITE", "writes to the audit log: the kernel wants it on the host, so nothing is written"),
    no("CAP_AUDIT_CONTROL", "switches the host's audit log off"),
    free("CAP_SETFCAP", "gives file capabilities that count inside the container only"),
    no("CAP_MAC_OVERRIDE", "passes mandatory access control (Smack)"),
    no("CAP_MAC_ADMIN", "changes mandatory access control"),
    no("CAP_SYSLOG", "reads the kernel's log and addresses, which exploits need"),
    no("CAP_WAKE_ALARM", "wakes the host from sleep"),
    no("CAP_BLOCK_SUSPEND", "keeps the host from sleeping"),
    no("CAP_AUDIT_READ", "reads the host's audit log"),
    no("CAP_PERFMON", "reads performance counters and memory through them"),
    no("CAP_BPF", "loads programs into the kernel (CVE-2021-31440, CVE-2023-2163)"),
    no("CAP_CHECKPOINT_RESTORE", "chooses process ids and reads memory maps of others"),
];

/// The canonical name for any spelling: `sys_admin`, `SYS_ADMIN`, `cap_sys_admin`. `ALL` stays `ALL`.
pub fn canonical(text: &str) -> Result<&'static str> {
    let upper = text.trim().to_ascii_uppercase();
    let bare = upper.strip_prefix("CAP_").unwrap_or(&upper);
    if bare == "ALL" {
        return Ok("ALL");
    }
    TABLE
        .iter()
        .find(|c| c.name.strip_prefix("CAP_") == Some(bare))
        .map(|c| c.name)
        .ok_or_else(|| Error::runner(format!("invalid capability \"{text}\"")).hint("`man 7 capabilities` lists them"))
}

/// What is known about a capability in its canonical spelling.
pub fn find(name: &str) -> Option<&'static Capability> {
    TABLE.iter().find(|c| c.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_capability_of_the_kernel_is_classified_once() {
        assert_eq!(TABLE.len(), 41, "CAP_LAST_CAP is 40");
        for (i, cap) in TABLE.iter().enumerate() {
            assert!(TABLE[..i].iter().all(|c| c.name != cap.name), "{} is listed twice", cap.name);
            assert!(!cap.why.is_empty());
        }
        for cap in caps::all() {
            assert!(find(&cap.to_string()).is_some(), "{cap} is missing");
        }
    }

    #[test]
    fn spellings() {
        for text in ["sys_admin", "SYS_ADMIN", "cap_sys_admin", "CAP_SYS_ADMIN", " Sys_Admin "] {
            assert_eq!(canonical(text).unwrap(), "CAP_SYS_ADMIN");
        }
        assert_eq!(canonical("all").unwrap(), "ALL");
        assert_eq!(canonical("CAP_ALL").unwrap(), "ALL");
        assert!(canonical("CAP_NONSENSE").is_err());
        assert!(canonical("").is_err());
    }
}
