//! What AppArmor or SELinux refused a container, in the words of the kernel's log: the program that was refused sees "Permission
//! denied" and no more.

use crate::error::Error;
use crate::plan::SeLinux;
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
    /// What marks the container's own: `profile="NAME"`, `scontext=LABEL`.
    marks: Vec<String>,
    /// AppArmor's profile, if it is hardrun's own.
    profile: Option<String>,
}

impl Denials {
    /// From now on. `None` where neither module confines the container, or the log cannot be read.
    pub fn watch(apparmor: Option<&str>, selinux: &SeLinux) -> Option<Denials> {
        let profile = apparmor.filter(|name| *name != "unconfined");
        let mut marks: Vec<String> = profile.iter().map(|name| format!("profile=\"{name}\"")).collect();
        if let SeLinux::Labels { process, .. } = selinux {
            marks.push(format!("scontext={process} "));
        }
        if marks.is_empty() {
            return None;
        }
        let log = open(LOG, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC, Mode::empty()).ok()?;
        seek(&log, SeekFrom::End(0)).ok()?;
        Some(Denials { log, marks, profile: profile.map(str::to_owned) })
    }

    /// What was refused since, and where the rules are to be read. `None`: nothing was.
    fn told(&self) -> Option<String> {
        let mut told: Vec<String> = Vec::new();
        let mut buffer = [0; 8192];
        loop {
            match rustix::io::read(&self.log, &mut buffer) {
                Ok(n) if n > 0 => {
                    let record = String::from_utf8_lossy(&buffer[..n]);
                    let one = self.denial(record.split_once(';').map_or("", |(_, text)| text));
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
            None => "`hardrun explain` has its labels".to_owned(),
        };
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        (!told.is_empty()).then(|| format!("{}{more} ({rules})", told.join(", ")))
    }

    /// One line of the log, if it is one of ours.
    fn denial(&self, line: &str) -> Option<String> {
        let line = line.lines().next()?;
        if !self.marks.iter().any(|mark| line.contains(mark)) {
            return None;
        }
        if line.contains("apparmor=\"DENIED\"") { apparmor(line) } else { selinux(line) }
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

/// `apparmor="DENIED" operation="open" … name="/x" … comm="cat" requested_mask="r" denied_mask="r"`
fn apparmor(line: &str) -> Option<String> {
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
fn selinux(line: &str) -> Option<String> {
    let (_, rest) = line.split_once("avc:  denied  { ")?;
    let (access, rest) = rest.split_once(" }")?;
    let name = value(rest, "path").or_else(|| value(rest, "name")).unwrap_or_default();
    let kind = value(rest, "tcontext").unwrap_or_default();
    let kind = kind.split(':').nth(2).unwrap_or_default().to_owned();
    let class = value(rest, "tclass").unwrap_or_default();
    let words = [access, &class, &name].join(" ");
    Some(format!("{} ({kind}) of {} by SELinux", words.trim_end(), value(rest, "comm").unwrap_or_default()))
}

/// A name is a container's to choose: nothing in it ends a line or looks like the next entry, and it has an end.
fn told_by_a_container(text: &str) -> String {
    const LONGEST: usize = 200;
    text.chars().take(LONGEST).map(|c| if c.is_control() || matches!(c, ',' | '(' | ')') { '?' } else { c }).collect()
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
            assert_eq!(apparmor(&line(rest)).unwrap(), told);
        }
        let line = r#"audit: type=1400 audit(1.2:3): avc:  denied  { read open } for  pid=9 comm="cat" name="shadow" dev="vda" ino=7 scontext=system_u:system_r:container_t:s0:c1,c2 tcontext=system_u:object_r:shadow_t:s0 tclass=file permissive=0"#;
        assert_eq!(selinux(line).unwrap(), "read open file shadow (shadow_t) of cat by SELinux");
    }
}
