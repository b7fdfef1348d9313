//! Cheap questions to the kernel.

use super::Enforcement;
use super::{read, read_if_there};
use crate::error::{Context as _, Error, Result};
use std::path::Path;
use std::str::FromStr;

/// Major and minor number of a kernel release.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Release(pub u32, pub u32);

impl FromStr for Release {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        let mut numbers = text.split(|c: char| !c.is_ascii_digit()).map(str::parse);
        match (numbers.next(), numbers.next()) {
            (Some(Ok(major)), Some(Ok(minor))) => Ok(Release(major, minor)),
            _ => Err(Error::runner(format!("cannot read the kernel release {text:?}"))),
        }
    }
}

/// File systems by their statfs magic number, and the first release that can idmap them.
const IDMAPPABLE: &[(u64, &str, Release)] = &[
    (0xef53, "ext4", Release(5, 12)),
    (0x5846_5342, "xfs", Release(5, 12)),
    (0x4d44, "vfat", Release(5, 12)),
    (0x9123_683e, "btrfs", Release(5, 15)),
    (0xf2f5_2010, "f2fs", Release(5, 18)),
    (0xe0f5_e1e2, "erofs", Release(5, 19)),
    (0x7371_7368, "squashfs", Release(6, 2)),
    (0x0102_1994, "tmpfs", Release(6, 3)),
    (0x2fc1_2fc1, "zfs", Release(5, 12)),
    (0xca45_1a4e, "bcachefs", Release(6, 7)),
    (0x00c3_6400, "ceph", Release(6, 7)),
];

impl Release {
    /// Whether an overlay can stand on idmapped layers (Linux 5.19) of the file system with this magic number.
    pub fn idmapped_overlay(self, magic: u64) -> bool {
        self >= Release(5, 19) && IDMAPPABLE.iter().any(|(m, _, since)| *m == magic && self >= *since)
    }
}

/// A name for the file system with this magic number, for sentences.
pub fn filesystem_name(magic: u64) -> String {
    match IDMAPPABLE.iter().find(|(m, ..)| *m == magic) {
        Some((_, name, _)) => (*name).to_owned(),
        None => format!("file system {magic:#x}"),
    }
}

/// Magic number of the file system that `path`, or its nearest parent that exists, is on.
pub fn filesystem(path: &Path) -> Result<u64> {
    for dir in path.ancestors() {
        match rustix::fs::statfs(dir) {
            Ok(answer) => return Ok(answer.f_type as u64),
            Err(rustix::io::Errno::NOENT) => {}
            Err(e) => return Err(e).context(|| format!("cannot look at the file system of {}", dir.display())),
        }
    }
    Err(Error::runner(format!("cannot look at the file system of {}", path.display())))
}

pub fn user_namespaces() -> Result<bool> {
    // Absent without CONFIG_USER_NS; 0 where an operator switched them off.
    Ok(read_if_there("/proc/sys/user/max_user_namespaces")?.is_some_and(|n| n.trim() != "0"))
}

pub fn apparmor() -> Result<bool> {
    Ok(read_if_there("/sys/module/apparmor/parameters/enabled")?.is_some_and(|text| text.trim() == "Y"))
}

/// What AppArmor does with what its profiles deny; of the module as a whole, whatever the kernel says of each profile.
///
/// # Errors
/// The mode cannot be read: whether anything is refused is not known then.
pub fn apparmor_mode() -> Result<Enforcement> {
    // `apparmor.mode=complain` at boot, or written here since. Root's to read.
    let mode = read("/sys/module/apparmor/parameters/mode")?.trim().to_owned();
    Ok(match mode.as_str() {
        "enforce" | "kill" | "user" => Enforcement::Refuses,
        _ => Enforcement::Watches(mode),
    })
}

/// The same of SELinux.
pub fn selinux_mode() -> Result<Enforcement> {
    Ok(match read("/sys/fs/selinux/enforce")?.trim() {
        "1" => Enforcement::Refuses,
        _ => Enforcement::Watches("permissive".to_owned()),
    })
}

pub fn selinux() -> Result<bool> {
    // `enforce` is 0 in permissive mode, in which labels are still wanted.
    if read_if_there("/sys/fs/selinux/enforce")?.is_some() {
        return Ok(true);
    }
    // A kernel without it has no such file system; one that started it and was given no policy calls every process `kernel`.
    let label = std::fs::read_to_string("/proc/self/attr/current").unwrap_or_default();
    if label.matches(':').count() >= 2 && read("/proc/filesystems")?.lines().any(|l| l.ends_with("\tselinuxfs")) {
        return Err(Error::runner(format!(
            "SELinux is on (this process is {}), and its file system is not mounted on /sys/fs/selinux",
            label.trim_end_matches(['\0', '\n'])
        ))
        .hint("mount -t selinuxfs selinuxfs /sys/fs/selinux"));
    }
    Ok(false)
}

pub fn seccomp() -> Result<bool> {
    // Absent without CONFIG_SECCOMP_FILTER.
    Ok(read_if_there("/proc/sys/kernel/seccomp/actions_avail")?.is_some())
}

pub fn cpus() -> Result<u32> {
    // Not the affinity of this process: a limit is a share of the host.
    let online = read("/sys/devices/system/cpu/online")?;
    count_list(online.trim()).ok_or_else(|| Error::runner(format!("cannot read the list of CPUs {:?}", online.trim())))
}

/// Members of a kernel list such as `0-3,7`.
fn count_list(text: &str) -> Option<u32> {
    let mut count = 0;
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last): (u32, u32) = (first.parse().ok()?, last.parse().ok()?);
        count += last.checked_sub(first)? + 1;
    }
    Some(count)
}

pub fn memory() -> u64 {
    let info = rustix::system::sysinfo();
    (info.totalram as u64).saturating_mul(u64::from(info.mem_unit))
}

pub fn bounding() -> Result<u64> {
    let mut mask = 0;
    for capability in caps::all() {
        // A kernel older than this capability answers EINVAL: then nobody has it.
        if caps::has_cap(None, caps::CapSet::Bounding, capability).unwrap_or(false) {
            mask |= capability.bitmask();
        }
    }
    Ok(mask)
}

pub fn oom_score_adj() -> Result<i32> {
    let text = read("/proc/self/oom_score_adj")?;
    text.trim().parse().context(|| format!("cannot read /proc/self/oom_score_adj: {:?}", text.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_of_distributions_are_read() {
        assert_eq!("6.1.0-18-amd64".parse::<Release>().unwrap(), Release(6, 1));
        assert_eq!("5.15.0-1051-aws".parse::<Release>().unwrap(), Release(5, 15));
        assert_eq!("6.18".parse::<Release>().unwrap(), Release(6, 18));
        assert!("six".parse::<Release>().is_err());
    }

    #[test]
    fn an_overlay_on_idmapped_layers_needs_5_19_and_a_file_system_that_can() {
        let ext4 = 0xef53;
        assert!(!Release(5, 15).idmapped_overlay(ext4));
        assert!(Release(5, 19).idmapped_overlay(ext4));
        let tmpfs = 0x0102_1994;
        assert!(!Release(6, 1).idmapped_overlay(tmpfs));
        assert!(Release(6, 3).idmapped_overlay(tmpfs));
        let nfs = 0x6969;
        assert!(!Release(6, 18).idmapped_overlay(nfs));
    }

    #[test]
    fn lists_of_cpus_are_counted() {
        assert_eq!(count_list("0"), Some(1));
        assert_eq!(count_list("0-1"), Some(2));
        assert_eq!(count_list("0-3,7,9-10"), Some(7));
        assert_eq!(count_list("3-1"), None);
    }

    #[test]
    fn the_file_system_of_a_folder_that_is_not_there_is_its_parents() {
        assert_eq!(filesystem(Path::new("/proc/no/such/folder")).unwrap(), 0x9fa0);
    }
}
