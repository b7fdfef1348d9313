//! What AppArmor or SELinux refused a container, in the words of the kernel's log: the program that was refused sees "Permission
//! denied" and no more.
//!
//! Whoever may write to the log can put a line there, and containers that may do the same have one AppArmor profile: a record counts that
//! the kernel itself wrote, as an access vector's, and that is this container's as far as it shows.

use crate::apparmor;
use crate::error::Error;
use crate::plan::SeLinux;
use crate::state::Paths;
use crate::storage::idrange;
use crate::ui;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags, SeekFrom, open, seek};
use rustix::io::Errno;
use std::os::fd::OwnedFd;

const LOG: &str = "/dev/kmsg";
/// How many are told; the rest is counted.
const TOLD: usize = 3;
/// The kernel writes a refusal down a moment after it.
const MOMENT: Timespec = Timespec { tv_sec: 0, tv_nsec: 200_000_000 };

/// The kernel's log from one moment on.
pub struct Denials {
    log: OwnedFd,
    /// AppArmor's profile.
    profile: Option<String>,
    /// SELinux's label, with the container's categories in it.
    label: Option<String>,
    owner: Owner,
}

/// Whose a record is, besides the profile that it names.
struct Owner {
    /// The first of the container's host ids, which no other running container has. `None`: it has none of its own.
    base: Option<u32>,
    /// The lines of its first process's /proc/PID/cgroup.
    groups: Vec<String>,
}

impl Denials {
    /// From now on, of the container with first process `init`, whose ids begin at `base`. `None` where neither module confines it, or the
    /// log cannot be read.
    pub fn watch(apparmor: Option<&str>, selinux: &SeLinux, init: i32, base: Option<u32>) -> Option<Denials> {
        let profile = apparmor.filter(|name| *name != "unconfined").map(str::to_owned);
        let label = match selinux {
            SeLinux::Labels { process, .. } => Some(process.clone()),
            _ => None,
        };
        if profile.is_none() && label.is_none() {
            return None;
        }
        let log = open(LOG, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC, Mode::empty()).ok()?;
        seek(&log, SeekFrom::End(0)).ok()?;
        // Ids of a user's own containers are partly the same, and known otherwise to the kernel's log.
        let base = base.filter(|_| crate::rootless::current().is_none());
        Some(Denials { log, profile, label, owner: Owner { base, groups: groups(init).unwrap_or_default() } })
    }

    /// What was refused since, and where the rules are to be read. `None`: nothing was.
    fn told(&self) -> Option<String> {
        let mut told: Vec<String> = Vec::new();
        let mut buffer = [0; 8192];
        loop {
            match rustix::io::read(&self.log, &mut buffer) {
                Ok(n) if n > 0 => {
                    let record = String::from_utf8_lossy(&buffer[..n]);
                    let one = by_kernel(&record).and_then(|line| self.denial(line));
                    told.extend(one.filter(|one| !told.contains(one)));
                }
                // Overwritten before it was read: the next is there.
                Err(Errno::PIPE) => {}
                _ => break,
            }
        }
        let more = told.len().saturating_sub(TOLD);
        told.truncate(TOLD);
        let rules = match &self.profile {
            Some(name) => format!("profile {name}: `hardrun apparmor show CONTAINER` prints it"),
            None => "`hardrun explain` has its labels; what is bound gets one with :z, or :Z for this container alone"
                .to_owned(),
        };
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        (!told.is_empty()).then(|| format!("{}{more} ({rules})", told.join(", ")))
    }

    /// One line of the log, if it is one of ours.
    fn denial(&self, line: &str) -> Option<String> {
        let is =
            |key: &str, wanted: &Option<String>| wanted.as_ref().is_some_and(|wanted| has_value(line, key, wanted));
        if line.starts_with("apparmor=\"DENIED\" ") && is("profile", &self.profile) {
            let alone = || self.profile.as_ref().is_some_and(|name| apparmor::has_one_user(&Paths::host_run(), name));
            return self.owner.owns(line, alone).then(|| of_apparmor(line)).flatten();
        }
        // Where SELinux only watches, nothing was refused.
        if line.starts_with("avc:  denied  { ") && is("scontext", &self.label) && !line.contains(" permissive=1") {
            return self.owner.owns(line, || true).then(|| of_selinux(line)).flatten();
        }
        None
    }

    /// Say what was refused, if anything was: for a command that failed.
    pub fn say(&self) {
        if let Some(told) = self.told() {
            ui::note(&format!("refused in this container: {told}"));
        }
    }

    /// A command that could not be executed for want of permission.
    pub fn explain(&self, error: Error) -> Error {
        let denied = |e: &Error| e.message.ends_with("permission denied") || e.message.ends_with("not permitted");
        if error.hint.is_some() || !denied(&error) {
            return error;
        }
        let told = self.told().or_else(|| {
            poll(&mut [PollFd::new(&self.log, PollFlags::IN)], Some(&MOMENT)).ok().filter(|n| *n > 0)?;
            self.told()
        });
        match told {
            Some(told) => error.hint(format!("refused: {told}")),
            None => error,
        }
    }
}

/// What stands behind an access vector's record, `audit: type=1400 audit(TIME:NUMBER): …`. The other types may carry a program's own
/// words. `record` is one of /dev/kmsg: level and facility, further numbers, a semicolon, the text; what is not the kernel's own word has
/// another facility than 0, whatever its writer asked for.
fn by_kernel(record: &str) -> Option<&str> {
    let (numbers, text) = record.split_once(';')?;
    let priority: u32 = numbers.split(',').next()?.parse().ok()?;
    let (stamp, rest) = text.lines().next()?.strip_prefix("audit: type=1400 audit(")?.split_once("): ")?;
    let stamped = !stamp.is_empty() && stamp.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b':'));
    (priority >> 3 == 0 && stamped).then_some(rest)
}

impl Owner {
    /// Whether a record is the container's. Of a process that has gone and of which no id is written down nothing tells but the name of
    /// the profile: `alone` says whether that is this container's only.
    fn owns(&self, line: &str, alone: impl Fn() -> bool) -> bool {
        let number = |key: &str| value(line, key).and_then(|n| n.parse::<u32>().ok());
        if let (Some(base), Some(uid)) = (self.base, number("fsuid")) {
            return (base..base + idrange::SIZE).contains(&uid);
        }
        match number("pid").and_then(|pid| groups(pid as i32)) {
            Some(theirs) if self.groups.is_empty() || theirs.is_empty() => false,
            Some(theirs) => self.groups.iter().all(|own| theirs.iter().any(|g| is_within(g, own))),
            None => alone(),
        }
    }
}

/// `None`: the process has gone.
fn groups(pid: i32) -> Option<Vec<String>> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
    Some(text.lines().map(str::to_owned).collect())
}

fn is_within(group: &str, of: &str) -> bool {
    group.strip_prefix(of).is_some_and(|rest| rest.is_empty() || rest.starts_with('/') || of.ends_with('/'))
}

/// `apparmor="DENIED" operation="open" … name="/x" … comm="cat" requested_mask="r" denied_mask="r"`
fn of_apparmor(line: &str) -> Option<String> {
    let operation = value(line, "operation")?;
    let what = match (value(line, "capname"), value(line, "family"), value(line, "name")) {
        (Some(capability), ..) => format!("{operation} {capability}"),
        (_, Some(family), _) => {
            format!("{operation} {family} {}", value(line, "sock_type").unwrap_or_default())
        }
        (.., Some(name)) => {
            let access = value(line, "denied_mask").map(|mask| format!(" ({mask})")).unwrap_or_default();
            format!("{operation} {name}{access}")
        }
        _ => operation,
    };
    Some(format!("{} of {} by AppArmor", what.trim_end(), value(line, "comm").unwrap_or_default()))
}

/// `avc:  denied  { read } for  pid=1 comm="cat" name="x" … tcontext=u:r:shadow_t:s0 tclass=file`
fn of_selinux(line: &str) -> Option<String> {
    let (_, rest) = line.split_once("avc:  denied  { ")?;
    let (access, rest) = rest.split_once(" }")?;
    let name = value(rest, "path").or_else(|| value(rest, "name")).unwrap_or_default();
    let label = value(rest, "tcontext").unwrap_or_default();
    let kind = crate::selinux::kind(&label);
    let class = value(rest, "tclass").unwrap_or_default();
    let words = [access, &class, &name].join(" ");
    Some(format!("{} ({kind}) of {} by SELinux", words.trim_end(), value(rest, "comm").unwrap_or_default()))
}

/// A name is a container's to choose: nothing in it ends a line or looks like the next entry, and it has an end.
fn told_by_a_container(text: &str) -> String {
    const LONGEST: usize = 200;
    text.chars().take(LONGEST).map(|c| if c.is_control() || matches!(c, ',' | '(' | ')') { '?' } else { c }).collect()
}

/// Whether ` key=` has this value, as the kernel writes it: quoted, in hexadecimal digits, or bare.
fn has_value(line: &str, key: &str, wanted: &str) -> bool {
    let mark = format!(" {key}=");
    let Some(rest) = line.find(&mark).map(|at| &line[at + mark.len()..]) else { return false };
    match rest.strip_prefix('"') {
        Some(quoted) => quoted.split_once('"').is_some_and(|(value, _)| value == wanted),
        None => {
            let bare = rest.split(' ').next().unwrap_or_default();
            bare == wanted || hex::decode(bare).is_ok_and(|bytes| bytes == wanted.as_bytes())
        }
    }
}

/// The value of ` key=`: quoted, or in hexadecimal digits where it has characters that could end a quotation, or bare.
fn value(line: &str, key: &str) -> Option<String> {
    let mark = format!(" {key}=");
    let rest = &line[line.find(&mark)? + mark.len()..];
    if let Some(quoted) = rest.strip_prefix('"') {
        return quoted.split('"').next().map(told_by_a_container);
    }
    let bare = rest.split(' ').next()?;
    let coded = matches!(key, "name" | "path" | "comm").then(|| hex::decode(bare).ok()).flatten();
    Some(coded.map_or_else(|| told_by_a_container(bare), |bytes| told_by_a_container(&String::from_utf8_lossy(&bytes))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_told_in_few_words() {
        let line = |rest: &str| format!(r#"audit: type=1400 audit(1.2:3): apparmor="DENIED" {rest}"#);
        for (rest, told) in [
            (
                r#"operation="open" class="file" profile="hardrun-0" name="/etc/shadow" pid=9 comm="cat" requested_mask="r" denied_mask="r" fsuid=1 ouid=0"#,
                "open /etc/shadow (r) of cat by AppArmor",
            ),
            (
                r#"operation="capable" class="cap" profile="hardrun-0" pid=9 comm="sh" capability=21  capname="sys_admin""#,
                "capable sys_admin of sh by AppArmor",
            ),
            (
                r#"operation="create" class="net" profile="hardrun-0" pid=9 comm=6120622A family="packet" sock_type="raw" protocol=3"#,
                "create packet raw of a b* by AppArmor",
            ),
            (
                r#"operation="exec" profile="hardrun-0" name=2F6120622F63 pid=9 comm="sh" requested_mask="x" denied_mask="x""#,
                "exec /a b/c (x) of sh by AppArmor",
            ),
        ] {
            assert_eq!(of_apparmor(&line(rest)).unwrap(), told);
        }
        let line = r#"audit: type=1400 audit(1.2:3): avc:  denied  { read open } for  pid=9 comm="cat" name="shadow" dev="vda" ino=7 scontext=system_u:system_r:container_t:s0:c1,c2 tcontext=system_u:object_r:shadow_t:s0 tclass=file permissive=0"#;
        assert_eq!(of_selinux(line).unwrap(), "read open file shadow (shadow_t) of cat by SELinux");
    }

    fn denials(base: Option<u32>, groups: &[&str]) -> Denials {
        Denials {
            log: std::fs::File::open("/dev/null").unwrap().into(),
            profile: Some("hardrun-0".into()),
            label: Some("u:r:container_t:s0:c1,c2".into()),
            owner: Owner { base, groups: groups.iter().map(|g| (*g).to_owned()).collect() },
        }
    }

    const OPEN: &str = r#"apparmor="DENIED" operation="open" class="file" profile="hardrun-0" name="/x" pid=4194304 comm="cat" requested_mask="r" denied_mask="r" fsuid=1879048192 ouid=0"#;

    #[test]
    fn only_the_kernels_own_records_of_access_vectors_count() {
        let told = |record: &str| by_kernel(record).and_then(|l| denials(Some(0x7000_0000), &[]).denial(l));
        let good = format!("5,100,200,-;audit: type=1400 audit(1700000000.123:45): {OPEN}\n SUBSYSTEM=x\n");
        assert_eq!(told(&good).unwrap(), "open /x (r) of cat by AppArmor");
        for forged in [
            // Written to /dev/kmsg: facility "user".
            good.replacen("5,", "13,", 1),
            // A program's own words in another record, or behind something else.
            good.replace("type=1400", "type=1107"),
            good.replace("audit: type", "x: audit: type"),
            good.replace("audit(1700000000.123:45): ", "audit(1700000000.123:45): msg='"),
            good.replace("audit(1700000000.123:45)", "audit(x)"),
            good.replace("DENIED", "ALLOWED"),
            good.replace("class=\"file\" profile=\"hardrun-0\"", "profile=\"other\" peer_profile=\"hardrun-0\""),
        ] {
            assert_ne!(forged, good);
            assert_eq!(told(&forged), None, "{forged}");
        }
    }

    #[test]
    fn a_record_is_of_the_container_whose_ids_or_group_it_has() {
        // The process has gone, its id tells.
        assert!(denials(Some(0x7000_0000), &[]).denial(OPEN).is_some());
        assert!(denials(Some(0x7001_0000), &[]).denial(OPEN).is_none());
        // It lives: its group tells, in ours or below it.
        let own = groups(std::process::id() as i32).unwrap();
        let line = OPEN.replace("4194304", &std::process::id().to_string()).replace("fsuid", "x");
        let own: Vec<&str> = own.iter().map(String::as_str).collect();
        assert!(denials(Some(0x7000_0000), &own).denial(&line).is_some());
        let other: Vec<String> = own.iter().map(|l| format!("{}/hardrun-other", l.trim_end_matches('/'))).collect();
        let other: Vec<&str> = other.iter().map(String::as_str).collect();
        assert!(denials(Some(0x7000_0000), &other).denial(&line).is_none());
        assert!(is_within("0::/a/b", "0::/a") && is_within("0::/a", "0::/") && !is_within("0::/ab", "0::/a"));
        // It has gone without an id: nobody may be named who is not the only one. No container has this profile.
        assert!(denials(Some(0x7000_0000), &[]).denial(&OPEN.replace("fsuid", "x")).is_none());
    }

    #[test]
    fn selinuxs_label_has_the_containers_categories() {
        let line = r#"avc:  denied  { read } for  pid=4194304 comm="cat" name="x" scontext=u:r:container_t:s0:c1,c2 tcontext=u:object_r:shadow_t:s0 tclass=file permissive=0"#;
        let told = |line: &str| denials(None, &[]).denial(line);
        assert_eq!(told(line).unwrap(), "read file x (shadow_t) of cat by SELinux");
        assert_eq!(told(&line.replace("c1,c2", "c1,c23")), None);
        assert_eq!(told(&line.replace("permissive=0", "permissive=1")), None);
    }
}
