//! Who asks. All who run containers are root to the kernel today, most of them by way of sudo: the login uid, which the
//! kernel keeps through sudo and su, tells them apart. `SUDO_UID` is not asked: a caller can write into it what it likes.

use super::schema::Name;
use serde::{Deserialize, Serialize};

/// Whom grants are compared with.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Caller {
    pub uid: u32,
    pub user: Option<String>,
    /// Ids and names.
    pub groups: Vec<(u32, String)>,
}

const UNSET: u32 = u32::MAX;

impl Caller {
    /// This process. Of root: the login uid where there was a login, else 0 (services, cron without PAM, early boot).
    pub fn me() -> Caller {
        let real = crate::rootless::host_uid(nix::unistd::getuid().as_raw());
        if real != 0 {
            // Whoever is not root is who the kernel says: a login uid that nobody has set yet is anybody's to write.
            return Self::of(real);
        }
        let login = std::fs::read_to_string("/proc/self/loginuid").ok().and_then(|t| t.trim().parse().ok());
        Self::of(login.filter(|uid| *uid != UNSET).unwrap_or(real))
    }

    /// By `/etc/passwd` and `/etc/group`.
    pub fn of(uid: u32) -> Caller {
        let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        Self::in_files(uid, &read("/etc/passwd"), &read("/etc/group"))
    }

    pub fn in_files(uid: u32, passwd: &str, group: &str) -> Caller {
        let user = passwd.lines().find_map(|line| {
            let mut fields = line.split(':');
            let name = fields.next()?;
            let of: u32 = fields.nth(1)?.parse().ok()?;
            (of == uid).then(|| (name.to_owned(), fields.next().and_then(|gid| gid.parse::<u32>().ok())))
        });
        let (user, primary) = user.map_or((None, None), |(name, gid)| (Some(name), gid));
        let member = |line: &str| {
            let mut fields = line.split(':');
            let name = fields.next()?;
            let gid: u32 = fields.nth(1)?.parse().ok()?;
            let listed =
                fields.next().is_some_and(|all| user.as_deref().is_some_and(|u| all.split(',').any(|m| m == u)));
            (listed || primary == Some(gid)).then(|| (gid, name.to_owned()))
        };
        Caller { uid, groups: group.lines().filter_map(member).collect(), user }
    }

    /// Whether one of these users or groups is meant; nobody named means everybody.
    pub fn is_one_of(&self, users: &[Name], groups: &[Name]) -> bool {
        let user = |name: &Name| match name {
            Name::Id(id) => *id == self.uid,
            Name::Name(name) => self.user.as_ref() == Some(name),
        };
        let group = |name: &Name| match name {
            Name::Id(id) => self.groups.iter().any(|(gid, _)| gid == id),
            Name::Name(name) => self.groups.iter().any(|(_, is)| is == name),
        };
        (users.is_empty() && groups.is_empty()) || users.iter().any(user) || groups.iter().any(group)
    }
}

impl std::fmt::Display for Caller {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.user {
            Some(name) => write!(f, "{name} (uid {})", self.uid),
            None => write!(f, "uid {}", self.uid),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_and_groups_by_name_and_number() {
        let passwd = "root:x:0:0::/root:/bin/sh\nann:x:1000:1000::/home/ann:/bin/sh\n";
        let group = "root:x:0:\nann:x:1000:\nops:x:50:bob,ann\nadm:x:4:bob\n";
        let ann = Caller::in_files(1000, passwd, group);
        let name = |text: &str| Name::Name(text.into());
        assert!(ann.is_one_of(&[], &[]));
        assert!(ann.is_one_of(&[name("ann")], &[]) && ann.is_one_of(&[Name::Id(1000)], &[]));
        assert!(ann.is_one_of(&[name("bob")], &[name("ops")]) && ann.is_one_of(&[], &[Name::Id(1000)]));
        assert!(!ann.is_one_of(&[name("bob")], &[name("adm")]) && !ann.is_one_of(&[Name::Id(0)], &[]));
        let nobody = Caller::in_files(7, passwd, group);
        assert_eq!((nobody.user.clone(), nobody.groups.len()), (None, 0));
        assert!(!nobody.is_one_of(&[name("")], &[]));
    }
}
