//! Users and groups by name, looked up in the image.

use super::view::View;
use crate::error::{Error, Result};
use crate::plan::UserPlan;
use std::collections::HashSet;
use std::path::Path;

/// Accounts of a directory service, exported into a file, are the largest in use.
const FILE_MAX: u64 = 16 << 20;
/// The largest id docker takes.
const ID_MAX: u32 = i32::MAX as u32;
/// The kernel's NGROUPS_MAX.
const GROUPS_MAX: usize = 65_536;

struct User<'a> {
    name: &'a str,
    uid: u32,
    gid: u32,
    home: &'a str,
}

struct Group<'a> {
    name: &'a str,
    gid: u32,
    members: &'a str,
}

/// Resolve `name|uid[:group|gid]` as docker does, with the groups of `--group-add`. The first group of the result's
/// additional ones is the primary group, as docker has it since CVE-2022-36109.
///
/// # Errors
/// A name that the image does not have, an id out of range.
pub fn resolve(view: &View, user: &str, group_add: &[String]) -> Result<UserPlan> {
    let read = |path: &str| -> Result<String> {
        let bytes = view.read(Path::new(path), FILE_MAX)?.unwrap_or_default();
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    resolve_in(&read("/etc/passwd")?, &read("/etc/group")?, user, group_add)
}

fn resolve_in(passwd: &str, group: &str, spec: &str, group_add: &[String]) -> Result<UserPlan> {
    let (user_part, group_part) = spec.split_once(':').unwrap_or((spec, ""));
    let wanted_uid = id(user_part)?;
    let users = || passwd.lines().filter_map(user);
    let groups = || group.lines().filter_map(self::group);

    let known = users().find(|u| match user_part {
        "" => u.uid == 0,
        name => u.name == name || Some(u.uid) == wanted_uid,
    });
    let mut plan = UserPlan::default();
    match (&known, wanted_uid) {
        (Some(user), _) => {
            (plan.uid, plan.gid) = (user.uid, user.gid);
            plan.home = Some(user.home.to_owned());
        }
        (None, Some(uid)) => plan.uid = uid,
        (None, None) if user_part.is_empty() => {}
        (None, None) => {
            return Err(Error::runner(format!("unable to find user {user_part}: no matching entries in passwd file")));
        }
    }
    let mut extra = Vec::new();
    if group_part.is_empty() {
        if let Some(user) = &known {
            extra.extend(groups().filter(|g| g.members.split(',').any(|m| m == user.name)).map(|g| g.gid));
        }
    } else {
        plan.gid = find_group(groups(), group_part)?;
    }
    for name in group_add {
        extra.push(find_group(groups(), name)?);
    }
    // A group file of 16 MiB has room for a million of them.
    let mut seen = HashSet::from([plan.gid]);
    plan.additional_gids = vec![plan.gid];
    plan.additional_gids.extend(extra.into_iter().filter(|gid| seen.insert(*gid)));
    if plan.additional_gids.len() > GROUPS_MAX {
        return Err(Error::runner(format!(
            "user {spec:?} is in {} groups of the image; the kernel takes {GROUPS_MAX}",
            plan.additional_gids.len()
        )));
    }
    plan.home = plan.home.filter(|h| !h.is_empty()).or_else(|| Some("/".into()));
    Ok(plan)
}

fn find_group<'a>(mut groups: impl Iterator<Item = Group<'a>>, wanted: &str) -> Result<u32> {
    let gid = id(wanted)?;
    match groups.find(|g| g.name == wanted || Some(g.gid) == gid) {
        Some(group) => Ok(group.gid),
        None => gid
            .ok_or_else(|| Error::runner(format!("unable to find group {wanted}: no matching entries in group file"))),
    }
}

/// The number that a name may be.
fn id(text: &str) -> Result<Option<u32>> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Ok(None);
    }
    match text.parse::<u32>() {
        Ok(id) if id <= ID_MAX => Ok(Some(id)),
        _ => Err(Error::runner(format!("invalid user or group {text}: uids and gids must be in range 0-{ID_MAX}"))),
    }
}

/// A line of /etc/passwd. Docker's parser takes an id that is no number for 0, which makes root of a damaged line; here
/// such a line is no user.
fn user(line: &str) -> Option<User<'_>> {
    let mut fields = line.trim().split(':');
    let name = fields.next().filter(|n| !n.is_empty() && !n.starts_with('#'))?;
    let (uid, gid) = (fields.nth(1)?.parse().ok()?, fields.next()?.parse().ok()?);
    let home = fields.nth(1).unwrap_or_default();
    (uid <= ID_MAX && gid <= ID_MAX).then_some(User { name, uid, gid, home })
}

fn group(line: &str) -> Option<Group<'_>> {
    let mut fields = line.trim().split(':');
    let name = fields.next().filter(|n| !n.is_empty() && !n.starts_with('#'))?;
    let gid = fields.nth(1)?.parse().ok().filter(|gid| *gid <= ID_MAX)?;
    Some(Group { name, gid, members: fields.next().unwrap_or_default() })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\n\
        # comment\nbroken:x:notanumber:0::/:/bin/sh\n\
        app:x:1000:1000:App,,,:/home/app:/bin/sh\n7:x:70:70::/seven:/bin/sh\nbare:x:5:5\n";
    const GROUP: &str = "root:x:0:\nwheel:x:10:app,root\nvideo:x:44:app\napp:x:1000:\nbroken:x:x:app\n";

    fn plan(spec: &str, add: &[&str]) -> Result<(u32, u32, Vec<u32>, String)> {
        let add: Vec<String> = add.iter().map(ToString::to_string).collect();
        resolve_in(PASSWD, GROUP, spec, &add).map(|p| (p.uid, p.gid, p.additional_gids, p.home.unwrap()))
    }

    #[test]
    fn users_by_name_number_and_default() {
        assert_eq!(plan("", &[]).unwrap(), (0, 0, vec![0, 10], "/root".into()));
        assert_eq!(plan("app", &[]).unwrap(), (1000, 1000, vec![1000, 10, 44], "/home/app".into()));
        assert_eq!(plan("1000", &[]).unwrap(), (1000, 1000, vec![1000, 10, 44], "/home/app".into()));
        assert_eq!(plan("4242", &[]).unwrap(), (4242, 0, vec![0], "/".into()));
        assert_eq!(plan("bare", &[]).unwrap(), (5, 5, vec![5], "/".into()));
    }

    #[test]
    fn a_group_given_replaces_the_users_groups() {
        assert_eq!(plan("app:video", &[]).unwrap(), (1000, 44, vec![44], "/home/app".into()));
        assert_eq!(plan("1:2", &["wheel", "99", "2"]).unwrap(), (1, 2, vec![2, 10, 99], "/".into()));
        assert_eq!(plan(":wheel", &[]).unwrap().1, 10);
    }

    #[test]
    fn more_groups_than_the_kernel_takes_are_an_error_and_not_a_wait() {
        let groups: String = (0..600_000).map(|gid| format!("g:x:{gid}:app\n")).collect();
        let message = |lines: &str| resolve_in(PASSWD, lines, "app", &[]).map_err(|e| e.message);
        assert!(message(&groups).unwrap_err().contains("600000 groups"));
        let some: String = groups.lines().take(70_000).filter(|l| l.len() < 12).map(|l| format!("{l}\n")).collect();
        assert_eq!(message(&some).unwrap().additional_gids.len(), 1001);
    }

    #[test]
    fn unknown_names_and_ids_out_of_range_are_errors() {
        let text = |spec: &str, add: &[&str]| plan(spec, add).unwrap_err().to_string();
        assert_eq!(text("nobody", &[]), "unable to find user nobody: no matching entries in passwd file");
        assert_eq!(text("app:nogroup", &[]), "unable to find group nogroup: no matching entries in group file");
        assert_eq!(text("app", &["nogroup"]), "unable to find group nogroup: no matching entries in group file");
        assert!(text("2147483648", &[]).contains("0-2147483647"));
        assert!(text("-1", &[]).contains("0-2147483647"));
        assert!(plan("broken", &[]).is_err(), "a line whose id is no number is nobody, not root");
    }
}
