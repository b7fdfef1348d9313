//! What a preset file says. Every key may be left out: then the preset that it extends decides.

use crate::error::{Context as _, Error, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// A hardrun preset
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct PresetFile {
    /// One line: which workloads it is for
    pub description: String,
    /// Name of the preset that this one changes; `default` where it is left out
    pub extends: Option<String>,
    /// Settings that flags and presets that extend this one may tighten but not loosen
    #[serde(default)]
    pub lock: BTreeSet<Key>,
    /// Capabilities that the container gets inside its own user namespace, as `CHOWN` or `CAP_CHOWN`
    pub capabilities: Option<BTreeSet<String>>,
    /// Mount the root file system read-only
    pub read_only: Option<bool>,
    /// `uid:gid` to start as where neither a flag nor the image names a user, or the image's is root and `non-root` is on
    pub user: Option<String>,
    /// Refuse to start as uid 0
    pub non_root: Option<bool>,
    /// Network where no flag names one
    pub network: Option<PresetNetwork>,
    /// Where the container may connect to, as `--egress` says it: `HOST`, `NETWORK` or `NAME`, with `:PORT` if only that one;
    /// an empty list: nowhere
    pub egress: Option<BTreeSet<String>>,
    /// The only system calls: names of sets, of groups of the built-in seccomp profile, and of single calls
    pub system_calls: Option<BTreeSet<String>>,
    /// Run a small init as process 1
    pub init: Option<bool>,
    /// Octal, as `0022`
    pub umask: Option<String>,
    /// From 0 to 1000: how much sooner than others the kernel ends the container when memory runs out
    #[schemars(range(min = 0, max = 1000))]
    pub oom_score_adj: Option<i32>,
    /// Signal that asks the program to end, where neither a flag nor the image names one
    pub stop_signal: Option<String>,
    /// Seconds between the stop signal and the kill
    pub stop_timeout: Option<i64>,
    /// Seconds after which the container is killed
    pub timeout: Option<u64>,
    /// Groups of the built-in seccomp profile to open besides
    pub seccomp_open: Option<BTreeSet<String>>,
    /// Groups of the built-in seccomp profile to shut besides
    pub seccomp_shut: Option<BTreeSet<String>>,
    #[serde(default)]
    pub limits: LimitsFile,
    /// Folders in memory that the container gets besides
    #[serde(default)]
    pub tmpfs: Vec<TmpfsFile>,
    /// What may be done to files; where it is left out, what the other layers leave
    pub paths: Option<PathsFile>,
    /// TCP ports
    #[serde(default)]
    pub ports: PortsFile,
    /// Families and types of sockets
    #[serde(default)]
    pub sockets: SocketsFile,
    /// Further lines of the AppArmor profile: `mount`, `umount`, `remount` or `pivot_root`, each with `deny` or `audit`
    /// before it or not. The seccomp filter and Landlock shut all four whatever is said here
    pub apparmor_rules: Option<BTreeSet<String>>,
    /// Folders whose content outlives the container: each a volume of its own where nothing else is mounted there
    #[serde(default)]
    pub volumes: Vec<VolumeFile>,
    /// How to see whether the program does its work, where neither a flag nor the image says it
    pub health: Option<HealthFile>,
    /// Images that this preset is for, by name without tag: it is taken where no flag and no label names another. Not
    /// inherited
    #[serde(default)]
    pub images: BTreeSet<String>,
}

/// A volume
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct VolumeFile {
    /// Absolute
    pub path: String,
}

/// A health check
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct HealthFile {
    /// Program and arguments; status 0 is healthy
    pub command: Vec<String>,
    /// Time between two checks, as `30s`
    pub interval: Option<String>,
    /// Time after which a check counts as failed
    pub timeout: Option<String>,
    /// Time at the start in which failures do not count
    pub start_period: Option<String>,
    /// Failures in a row until the container counts as unhealthy
    pub retries: Option<u32>,
}

/// What may be done to files. Patterns are AppArmor's: `*` is anything but `/`, `**` is anything, and there are `?`,
/// `[a-z]`, `[^a-z]`, `{a,b}` and the variables `@{PROC}`, `@{sys}`, `@{run}`, `@{HOME}` and `@{pid}`
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct PathsFile {
    /// Allow besides what every program needs: libraries, /dev/null, its own part of /proc, names and time zones. On
    /// where it is left out
    pub base: Option<bool>,
    /// Allow everything that `deny` does not name (AppArmor's `file,`)
    pub all: Option<bool>,
    /// Patterns of what may be read; `dir/**` is `dir` itself too
    pub read: Option<Vec<String>>,
    /// Patterns of what may be read, written, made, removed, linked and locked
    pub write: Option<Vec<String>>,
    /// Patterns of programs and libraries: read, mapped and executed
    pub execute: Option<Vec<String>>,
    /// What may be done in single letters
    pub allow: Option<Vec<PathFile>>,
    /// What may be done, with a line in the kernel's log each time (by AppArmor only)
    pub audit: Option<Vec<PathFile>>,
    /// What may not be done, whatever allows it. A preset that extends this one adds to it
    #[serde(default)]
    pub deny: Vec<PathFile>,
}

/// Access to a path
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct PathFile {
    /// Pattern
    pub path: String,
    /// Letters of `mrwklx`: map as code, read, write (and make, and remove), lock, link, execute (`ix` is the same)
    pub access: String,
}

/// TCP ports. Enforced by Landlock from Linux 6.7 on
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct PortsFile {
    /// Ports inside the container that it may listen on; any where it is left out
    pub listen: Option<BTreeSet<u16>>,
    /// Ports that it may connect to; any where it is left out
    pub connect: Option<BTreeSet<u16>>,
}

/// Families and types of sockets, as `inet tcp`, `inet6`, `raw`
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct SocketsFile {
    /// Only these besides unix sockets and the netlink of name look-ups; where it is left out, what the seccomp filter
    /// leaves
    pub allow: Option<BTreeSet<String>>,
    /// None of these, whatever allows it. A preset that extends this one adds to it
    #[serde(default)]
    pub deny: BTreeSet<String>,
}

/// Limits
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct LimitsFile {
    /// Size (`512m`, `2g`) or share of the host's memory (`75%`); swap is not added
    pub memory: Option<String>,
    /// Processes and threads
    #[schemars(range(min = 1))]
    pub pids: Option<i64>,
    /// Number of CPUs, as `1.5`
    pub cpus: Option<String>,
    /// Open files of a process
    pub nofile: Option<u64>,
    /// Bytes of a core file
    pub core: Option<u64>,
    /// Size of the stack
    pub stack: Option<String>,
    /// Size of /dev/shm
    pub shm_size: Option<String>,
    /// Size of a tmpfs for which none is given, or share of the container's memory
    pub tmpfs_size: Option<String>,
}

/// A folder in memory
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct TmpfsFile {
    /// Absolute
    pub path: String,
    /// Size; `tmpfs-size` where it is left out
    pub size: Option<String>,
    /// Octal; `1777` where it is left out
    pub mode: Option<String>,
    /// Allow programs to be started from it
    #[serde(default)]
    pub exec: bool,
}

/// Network where no flag names one
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PresetNetwork {
    /// Loopback only
    None,
    Bridge,
}

/// A setting that can be locked
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Key {
    Capabilities,
    ReadOnly,
    NonRoot,
    Network,
    Egress,
    SystemCalls,
    SeccompOpen,
    SeccompShut,
    Timeout,
    OomScoreAdj,
    Memory,
    Pids,
    Cpus,
    Nofile,
    Core,
    ShmSize,
    TmpfsSize,
    Paths,
    Ports,
    Sockets,
    ApparmorRules,
}

impl Key {
    /// As a preset writes it.
    pub fn name(self) -> &'static str {
        match self {
            Key::Capabilities => "capabilities",
            Key::ReadOnly => "read-only",
            Key::NonRoot => "non-root",
            Key::Network => "network",
            Key::Egress => "egress",
            Key::SystemCalls => "system-calls",
            Key::SeccompOpen => "seccomp-open",
            Key::SeccompShut => "seccomp-shut",
            Key::Timeout => "timeout",
            Key::OomScoreAdj => "oom-score-adj",
            Key::Memory => "memory",
            Key::Pids => "pids",
            Key::Cpus => "cpus",
            Key::Nofile => "nofile",
            Key::Core => "core",
            Key::ShmSize => "shm-size",
            Key::TmpfsSize => "tmpfs-size",
            Key::Paths => "paths",
            Key::Ports => "ports",
            Key::Sockets => "sockets",
            Key::ApparmorRules => "apparmor-rules",
        }
    }
}

/// Bytes, or a share of something in hundredths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Amount {
    Bytes(u64),
    Percent(u8),
}

impl Amount {
    /// `512m` or `75%`.
    pub fn parse(text: &str) -> Result<Amount> {
        let bad = || Error::runner(format!("{text:?} is neither a size such as \"512m\" nor a share such as \"50%\""));
        if let Some(share) = text.strip_suffix('%') {
            return match share.parse() {
                Ok(percent @ 1..=100) => Ok(Amount::Percent(percent)),
                _ => Err(bad()),
            };
        }
        let (digits, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
        let shift = match unit.to_ascii_lowercase().as_str() {
            "" | "b" => 0,
            "k" => 10,
            "m" => 20,
            "g" => 30,
            "t" => 40,
            _ => return Err(bad()),
        };
        let number: u64 = digits.parse().map_err(|_| bad())?;
        number.checked_mul(1 << shift).filter(|n| *n > 0).map(Amount::Bytes).ok_or_else(bad)
    }

    /// In bytes, where a share is one of `whole`.
    pub fn of(self, whole: u64) -> u64 {
        match self {
            Amount::Bytes(bytes) => bytes,
            // A limit is rounded down to whole pages by the kernel: do it here, so that what is shown is what holds.
            Amount::Percent(percent) => (u128::from(whole) * u128::from(percent) / 100) as u64 / 4096 * 4096,
        }
    }
}

/// Read a preset file's text; the error shows the line and a caret.
pub fn parse(text: &str, origin: &str) -> Result<PresetFile> {
    let say = || format!("cannot read preset {origin}");
    match toml::from_str(text) {
        Ok(file) => Ok(file),
        // By path any file of the host can be named; what stands in it is not for the caller's eyes.
        Err(e) if origin.contains('/') || origin.ends_with(".toml") => {
            Err(Error::runner(say()).because(without_text(text, &e)))
        }
        Err(e) => Err(e).context(say),
    }
}

/// Line and kind of what is wrong, and the key if it is a plain word.
fn without_text(text: &str, e: &toml::de::Error) -> String {
    let at = e.span().map_or(0, |s| s.start);
    let line = text.as_bytes().iter().take(at).filter(|b| **b == b'\n').count() + 1;
    let before = text.as_bytes().get(..at).unwrap_or_default().rsplit(|b| *b == b'\n').next().unwrap_or_default();
    let key = match std::str::from_utf8(before).ok().and_then(|t| t.split_once('=')) {
        Some((key, _)) => key,
        None if e.message().starts_with("unknown field") => e.span().and_then(|s| text.get(s)).unwrap_or_default(),
        None => "",
    };
    let plain = |word: &str| word.len() < 24 && word.bytes().all(|b| b.is_ascii_lowercase() || b == b'-');
    let key = Some(key.trim()).filter(|k| !k.is_empty() && plain(k)).map(|k| format!("{k}: ")).unwrap_or_default();
    let what = match e.message().split([':', ',', '`', '"', '\'']).next().unwrap_or_default().trim() {
        "" => "it is no preset",
        what => what,
    };
    format!("line {line}: {key}{what}")
}

/// `0022` and `022` alike.
pub fn octal(text: &str, most: u32) -> Result<u32> {
    u32::from_str_radix(text, 8)
        .ok()
        .filter(|n| *n <= most)
        .ok_or_else(|| Error::runner(format!("{text:?} is not an octal number up to {most:04o}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_in_a_file_named_by_path_is_not_told() {
        for (text, said) in [
            ("root:$y$secret:1:0:\n", "line 1: "),
            ("secret\n", "line 1: "),
            ("description = \"\"\nnon-root = \"secret\"\n", "line 2: non-root: invalid type"),
            ("description = \"\"\nprest = \"secret\"\n", "line 2: prest: unknown field"),
        ] {
            let chain = parse(text, "/etc/shadow").unwrap_err().chain().join(": ");
            assert!(chain.contains(said) && !chain.contains("secret") && !chain.contains("$y"), "{chain}");
        }
    }

    #[test]
    fn amounts_are_sizes_or_shares() {
        assert_eq!(Amount::parse("512m").unwrap(), Amount::Bytes(512 << 20));
        assert_eq!(Amount::parse("4096").unwrap(), Amount::Bytes(4096));
        assert_eq!(Amount::parse("75%").unwrap().of(1000 * 4096), 750 * 4096);
        for bad in ["", "0", "0%", "101%", "1x", "m", "-1", "99999999999t"] {
            assert!(Amount::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_unknown_key_is_shown_with_its_line_and_a_caret() {
        let e = parse("description = \"x\"\nreadonly = true\n", "mine").unwrap_err();
        let text = e.chain().join("\n");
        assert!(
            text.contains("preset mine") && text.contains("line 2") && text.contains('^') && text.contains("readonly"),
            "{text}"
        );
    }
}
