//! SELinux: which labels a container's processes and files get where SELinux is on.
//!
//! The type keeps a container from the host's files, the two categories keep containers from one another's.

mod relabel;

pub use relabel::{ATTRIBUTE, relabel, relabel_if_other};

use crate::error::{Context, Error, Result};
use crate::plan::SeLinux;
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{Read, Write};

/// The type of processes for which no other is asked.
pub const TYPE: &str = "container_t";

/// `--security-opt label=KEY:VALUE`: what was asked, the last of each key.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    pub user: Option<String>,
    pub role: Option<String>,
    /// Of the processes.
    pub kind: Option<String>,
    /// Of the files.
    pub filetype: Option<String>,
    /// `s0:c1,c2`
    pub level: Option<String>,
}

/// The labels of the container `id` (64 hexadecimal digits).
pub fn labels(id: &str, wanted: &Wanted) -> Result<SeLinux> {
    let part = |key: &str, value: &Option<String>, default: &str| match value {
        None => Ok(default.to_owned()),
        Some(value) if is_name(value) => Ok(value.clone()),
        Some(value) => {
            Err(Error::runner(format!("--security-opt label={key}:{value}: {value:?} is not an SELinux {key}"))
                .hint("letters, digits, _, - and ."))
        }
    };
    let level = match &wanted.level {
        None => categories(id),
        Some(level) if is_level(level) => level.clone(),
        Some(level) => {
            return Err(Error::runner(format!(
                "--security-opt label=level:{level}: {level:?} is not an SELinux level"
            ))
            .hint("as s0:c100,c200"));
        }
    };
    let user = part("user", &wanted.user, "system_u")?;
    let role = part("role", &wanted.role, "system_r")?;
    let kind = part("type", &wanted.kind, TYPE)?;
    let filetype = part("filetype", &wanted.filetype, "container_file_t")?;
    Ok(SeLinux::Labels {
        process: format!("{user}:{role}:{kind}:{level}"),
        mount: format!("{user}:object_r:{filetype}:{level}"),
    })
}

/// Sockets that `make` makes get a label of their own: who enters a container's label and goes on (`--init`) has to use them.
pub fn with_socket_label<T>(label: &str, make: impl FnOnce() -> Result<T>) -> Result<T> {
    let set = |text: &str| {
        std::fs::write("/proc/thread-self/attr/sockcreate", text).context(|| format!("label sockets {label}"))
    };
    set(label)?;
    let made = make();
    // A line without anything is none.
    set("\n")?;
    made
}

/// Ask the kernel whether its policy knows the labels: with one that has no types for containers nothing would start, and the
/// kernel's own answer (EINVAL) tells nobody why.
pub fn check(labels: &SeLinux) -> Result<()> {
    let SeLinux::Labels { process, mount } = labels else { return Ok(()) };
    for label in [process, mount] {
        std::fs::write(CONTEXT, label).map_err(|e| {
            Error::runner(format!("the SELinux policy of this host does not know the label {label}"))
                .because(e)
                .hint(format!("{REMEDY}; or name a type that it has: --security-opt label=type:TYPE"))
        })?;
    }
    Ok(())
}

/// Whether the policy makes the type of these processes permissive (`semanage permissive -a TYPE`): what it does not allow them is done all
/// the same, and logged, whatever mode the host is in. False for labels that the policy does not know: [`check`] refuses those.
///
/// # Errors
/// The kernel cannot be asked, or answers otherwise than since Linux 2.6.27.
pub fn is_permissive(labels: &SeLinux) -> Result<bool> {
    let SeLinux::Labels { process, .. } = labels else { return Ok(false) };
    let attempt = || format!("ask the kernel whether its SELinux policy makes {process} permissive");
    let class = std::fs::read_to_string("/sys/fs/selinux/class/process/index").context(attempt)?;
    let mut access = File::options().read(true).write(true).open("/sys/fs/selinux/access").context(attempt)?;
    match access.write_all(format!("{process} {process} {}", class.trim()).as_bytes()) {
        Err(e) if e.kind() == std::io::ErrorKind::InvalidInput => return Ok(false),
        written => written.context(attempt)?,
    }
    let mut answer = String::new();
    access.read_to_string(&mut answer).context(attempt)?;
    flags(&answer).map(|flags| flags & PERMISSIVE != 0).ok_or_else(|| {
        Error::runner(attempt()).because(format!("its answer is {answer:?}, of which hardrun knows six numbers"))
    })
}

/// The last of what is allowed, decided, logged and not logged, of which policy, and the flags; all but the fifth hexadecimal.
fn flags(answer: &str) -> Option<u32> {
    let numbers: Vec<&str> = answer.trim_end_matches(['\0', '\n']).split(' ').collect();
    let [_, _, _, _, _, flags] = numbers[..] else { return None };
    u32::from_str_radix(flags, 16).ok()
}

/// `AVD_FLAGS_PERMISSIVE`
const PERMISSIVE: u32 = 1;

/// The type in a label.
pub fn kind(label: &str) -> &str {
    label.split(':').nth(2).unwrap_or_default()
}

/// The level in a label, which has colons of its own.
pub fn level(label: &str) -> &str {
    label.splitn(4, ':').nth(3).unwrap_or_default()
}

/// Whether the policy has the types of containers.
pub fn has_types() -> bool {
    labels("", &Wanted::default()).and_then(|labels| check(&labels)).is_ok()
}

/// Whether it makes that of processes permissive.
///
/// # Errors
/// As those of [`is_permissive`].
pub fn default_is_permissive() -> Result<bool> {
    labels("", &Wanted::default()).and_then(|labels| is_permissive(&labels))
}

/// Label an empty folder, and so what is made in it, for all containers, where SELinux is on: a caller's folder is out of their reach.
///
/// # Errors
/// The policy has no types for containers, or the label cannot be set.
pub fn open_to_containers(folder: &std::path::Path) -> Result<()> {
    if !crate::facts::kernel::selinux()? {
        return Ok(());
    }
    let labels = labels("", &Wanted::default())?;
    check(&labels)?;
    match labels {
        SeLinux::Labels { mount, .. } => relabel(folder, &shared(&mount)),
        _ => Ok(()),
    }
}

/// The kernel takes a label here if its policy knows it.
const CONTEXT: &str = "/sys/fs/selinux/context";
/// What brings the types.
pub const REMEDY: &str = "on Fedora and its kin install the package container-selinux, elsewhere load the module in \
     hardrun's sources: semodule -i docs/selinux/hardrun.cil";

/// A file label without the categories that keep other containers out: what `:z` gives.
pub fn shared(label: &str) -> String {
    let level = level(label);
    format!("{}{}", &label[..label.len() - level.len()], level.split(':').next().unwrap_or_default())
}

/// The mount option that labels everything on a file system (overlay, tmpfs, mqueue). The quotes keep the comma of the
/// categories from ending the option.
pub fn mount_option(label: &str) -> String {
    format!("context=\"{label}\"")
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'))
}

/// `s0`, `s0:c1,c2`, `s0:c0.c1023`, `s0-s0:c0.c1023`
fn is_level(text: &str) -> bool {
    let number = |text: &str, letter: char, max: u32| {
        let digits = text.strip_prefix(letter).filter(|d| !d.is_empty() && d.bytes().all(|b| b.is_ascii_digit()));
        digits.and_then(|d| d.parse::<u32>().ok()).is_some_and(|n| n <= max)
    };
    let category = |text: &str| match text.split_once('.') {
        Some((from, to)) => number(from, 'c', 1023) && number(to, 'c', 1023),
        None => number(text, 'c', 1023),
    };
    let one = |text: &str| match text.split_once(':') {
        Some((sensitivity, categories)) => number(sensitivity, 's', 15) && categories.split(',').all(category),
        None => number(text, 's', 15),
    };
    text.split_once('-').map_or_else(|| one(text), |(low, high)| one(low) && one(high))
}

/// How many categories a level that is one reaches, by its upper end: 1024 in `s0-s0:c0.c1023`.
pub fn reach(level: &str) -> u32 {
    let upper = level.rsplit('-').next().unwrap_or_default();
    let number = |c: &str| c.trim_start_matches('c').parse::<u32>().unwrap_or_default();
    let Some((_, list)) = upper.split_once(':') else { return 0 };
    let each = list.split(',').map(|one| match one.split_once('.') {
        Some((from, to)) => (number(to) + 1).saturating_sub(number(from)),
        None => 1,
    });
    each.sum()
}

/// Whether none of the containers `others` (their ids) has the pair that the container `id` would have.
pub fn is_pair_free(id: &str, others: &[String]) -> bool {
    let own = categories(id);
    others.iter().all(|other| categories(other) != own)
}

/// Two different ones of the 1024 categories, by the container's id.
fn categories(id: &str) -> String {
    let hash = Sha256::digest(id);
    let number = u32::from_be_bytes([hash[0], hash[1], hash[2], hash[3]]);
    let (a, b) = (number % 1024, number / 1024 % 1023);
    let b = if b >= a { b + 1 } else { b };
    format!("s0:c{},c{}", a.min(b), a.max(b))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some(value: &str) -> Option<String> {
        Some(value.to_owned())
    }

    #[test]
    fn defaults_and_what_was_asked() {
        let SeLinux::Labels { process, mount } = labels(&"ab".repeat(32), &Wanted::default()).unwrap() else {
            panic!()
        };
        let level = process.strip_prefix("system_u:system_r:container_t:").unwrap();
        assert_eq!(mount.strip_prefix("system_u:object_r:container_file_t:").unwrap(), level);
        assert!(is_level(level), "{level}");
        let wanted = Wanted {
            user: some("user_u"),
            role: some("user_r"),
            kind: some("svirt_apache_t"),
            filetype: some("svirt_apache_file_t"),
            level: some("s0:c100,c200"),
        };
        let expected = SeLinux::Labels {
            process: "user_u:user_r:svirt_apache_t:s0:c100,c200".into(),
            mount: "user_u:object_r:svirt_apache_file_t:s0:c100,c200".into(),
        };
        assert_eq!(labels("ab", &wanted).unwrap(), expected);
    }

    #[test]
    fn categories_are_counted_at_the_upper_end() {
        let counts = [("s0", 0), ("s0:c1,c2", 2), ("s0:c5", 1), ("s0:c0.c1023", 1024), ("s0-s0:c0.c3,c9", 5)];
        for (level, count) in counts {
            assert_eq!(reach(level), count, "{level}");
        }
    }

    #[test]
    fn flags_are_the_sixth_number() {
        assert_eq!(flags("0 ffffffff 0 ffffffff 17 1"), Some(1));
        assert_eq!(flags("3f ffffffff 0 ffffffff 17 0\0"), Some(0));
        for bad in ["", "0 ffffffff 0 ffffffff 17", "0 ffffffff 0 ffffffff 17 1 1", "0 0 0 0 0 x"] {
            assert_eq!(flags(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn two_categories_that_differ_and_depend_on_the_id() {
        let mut seen = std::collections::BTreeSet::new();
        for n in 0..2000 {
            let level = categories(&format!("{n:064x}"));
            let (a, b) = level.strip_prefix("s0:c").unwrap().split_once(",c").unwrap();
            let (a, b): (u32, u32) = (a.parse().unwrap(), b.parse().unwrap());
            assert!(a < b && b < 1024, "{level}");
            seen.insert(level);
        }
        assert!(seen.len() > 1950, "{} of 2000 differ", seen.len());
    }

    #[test]
    fn a_pair_is_one_containers() {
        let id = |n: u32| format!("{n:064x}");
        // The first two ids of these that have one pair.
        let mut seen = std::collections::BTreeMap::new();
        let twins = (0..u32::MAX).find_map(|n| seen.insert(categories(&id(n)), n).map(|before| (before, n)));
        let (first, second) = twins.unwrap();
        assert!(!is_pair_free(&id(second), &[id(first)]));
        assert!(is_pair_free(&id(second), &[id(second + 1)]));
    }

    #[test]
    fn labels_cannot_be_broken_out_of() {
        for bad in ["", "a:b", "a b", "container_t\n", "t,rw", "é"] {
            let wanted = Wanted { kind: some(bad), ..Wanted::default() };
            assert!(labels("ab", &wanted).unwrap_err().message.contains("is not an SELinux type"), "{bad:?}");
        }
        for good in ["s0", "s0:c1", "s0:c0.c1023", "s0-s0:c0.c1023", "s15:c1,c5.c7"] {
            assert!(is_level(good), "{good}");
        }
        for bad in ["", "s", "s16", "s0:", "s0:c1024", "s0:c1,", "s0:c1 ", "s0:c1,rw", "c1", "s0:c1:c2", "s0-"] {
            let wanted = Wanted { level: some(bad), ..Wanted::default() };
            assert!(labels("ab", &wanted).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_shared_label_has_no_categories() {
        assert_eq!(shared("system_u:object_r:container_file_t:s0:c1,c2"), "system_u:object_r:container_file_t:s0");
        assert_eq!(shared("system_u:object_r:container_file_t:s0"), "system_u:object_r:container_file_t:s0");
    }

    #[test]
    fn the_mount_option_keeps_its_comma() {
        assert_eq!(mount_option("u:object_r:t:s0:c1,c2"), "context=\"u:object_r:t:s0:c1,c2\"");
    }

    #[test]
    fn the_remedy_is_a_sentence() {
        assert!(!REMEDY.contains("  "), "{REMEDY}");
    }
}
