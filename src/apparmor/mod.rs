//! AppArmor: a profile made from the plan, loaded where the kernel has AppArmor.
//!
//! The profile says what the plan says, for a second reader: which paths are hidden or read-only, where a read-only
//! root may be written, which capabilities and socket families there are. Its name comes from its text, so containers
//! that may do the same share one profile and a profile is never replaced under a running container.

mod load;
mod policy;
mod trial;
mod users;

pub use load::{load, mode, mode_of_named};
pub use trial::{PRIVILEGED, trial};
pub use users::{Use, has_one_user, release, restore, sweep};

/// Whether a name, or a part of it, stands for no profile: `unconfined`, `:namespace:unconfined`, `//&unconfined` stacks.
pub fn is_unconfined(name: &str) -> bool {
    name.split([':', '/', '&', ' ']).any(|part| part == "unconfined")
}

use crate::paths::SocketRule;
use crate::plan::{Draft, MountKind};
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use std::fmt::Write as _;

/// A profile before it is in the kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    /// `hardrun-` and 32 hexadecimal digits of its text's digest.
    pub name: String,
    /// In apparmor.d(5)'s language, version 3.0.
    pub text: String,
}

/// The profile of a container. Paths are the container's own.
pub fn profile(draft: &Draft) -> Profile {
    let body = body(draft);
    let ptrace = if opens(draft, "ptrace") { "read, readby, trace, tracedby" } else { "read, readby" };
    let text = |name: &str| {
        // Alone and in a stack, whose parts are in the order of their names.
        let peers = [name, &format!("{name}//&**"), &format!("**//&{name}")]
            .map(|peer| format!("  signal (send) peer=\"{peer}\",\n  ptrace ({ptrace}) peer=\"{peer}\",\n"));
        format!(
            "abi <abi/3.0>,\n\n{}profile {name} flags=(attach_disconnected,mediate_deleted) {{\n{body}{}}}\n",
            policy::variables(&body),
            peers.concat(),
        )
    };
    let name = format!("hardrun-{}", &hex::encode(Sha256::digest(text("")))[..32]);
    Profile { text: text(&name), name }
}

/// Whether a label, as the kernel shows it without its mode, confines as the profile does: it is the profile, or a stack of it and of
/// nothing else but `unconfined`. Where `kernel.apparmor_restrict_unprivileged_unconfined` is on (Linux 6.7) the kernel keeps what a process
/// without CAP_MAC_OVERRIDE on the host was in beside what it changes to, and asks both: nothing is allowed by the one alone. What the
/// container executes then may find a profile of the host's for its path in the place of `unconfined`; it refuses besides.
pub fn is_label_of(label: &str, profile: &str) -> bool {
    let parts = |label: &str| -> BTreeSet<String> {
        label.split("//&").filter(|part| *part != "unconfined").map(str::to_owned).collect()
    };
    label == profile || (!parts(profile).is_empty() && parts(label) == parts(profile))
}

fn opens(draft: &Draft, group: &str) -> bool {
    draft.seccomp.opened.contains(group)
}

/// Everything but the name.
fn body(draft: &Draft) -> String {
    let mut out = String::new();
    files(draft, &mut out);
    for capability in &draft.capabilities.value {
        let name = capability.trim_start_matches("CAP_").to_ascii_lowercase();
        line(&mut out, &format!("capability {name},"));
    }
    for rule in ["unix,", "network unix,", "network netlink raw,", "network netlink dgram,"] {
        line(&mut out, rule);
    }
    match &draft.paths.sockets.allow {
        // The parser knows ICMP of IPv4 only; of IPv6 it is a datagram socket.
        Some(listed) => listed.value.iter().for_each(|rule| {
            let rule = rule.to_string().replace("inet6 icmp", "inet6 dgram");
            line(&mut out, &format!("network {rule},"));
        }),
        None => internet(draft, &mut out),
    }
    for (group, family) in [("packet-sockets", "packet"), ("vsock", "vsock")] {
        if opens(draft, group) {
            line(&mut out, &format!("network {family},"));
        }
    }
    let denied: BTreeSet<String> = draft.paths.sockets.deny.iter().flat_map(|rule| denied(&rule.value)).collect();
    denied.iter().for_each(|rule| line(&mut out, &format!("deny network {rule},")));
    mounts(draft, &mut out);
    // From hardrun and the host's tools, whatever they are in: a supervisor whose signals were refused could not end its container, nor
    // would its own death. Who else is confined is bound by what that profile lets it send.
    line(&mut out, "signal (receive),");
    out
}

/// A type alone is one of every family in AppArmor's language: `deny network raw` would take netlink along, by which a C library asks for
/// addresses, and which the filter leaves. So the families are named that it leaves or can be opened to.
fn denied(rule: &SocketRule) -> Vec<String> {
    let families: &[&str] = match rule.parts() {
        (Some(_), _) => return vec![rule.to_string().replace("inet6 icmp", "inet6 dgram")],
        (None, Some("raw")) => &["inet", "inet6", "packet"],
        (None, Some("stream" | "dgram" | "seqpacket")) => &["inet", "inet6", "vsock"],
        // Of IPv6 it would be every datagram; the filter refuses it.
        (None, Some("icmp")) => &["inet"],
        (None, _) => &["inet", "inet6"],
    };
    families.iter().map(|family| format!("{family} {rule}")).collect()
}

fn internet(draft: &Draft, out: &mut String) {
    for family in ["inet", "inet6"] {
        line(out, &format!("network {family} stream,"));
        line(out, &format!("network {family} dgram,"));
        if opens(draft, "raw-sockets") {
            line(out, &format!("network {family} raw,"));
        }
        if opens(draft, "sctp") {
            line(out, &format!("network {family} seqpacket,"));
        }
    }
}

/// The mount tree: nothing is allowed that is not listed; refusing in words keeps it out of a profile that is added to.
fn mounts(draft: &Draft, out: &mut String) {
    let declared = &draft.paths.apparmor_rules;
    let verb = if opens(draft, "mount") { "" } else { "deny " };
    for kind in ["mount", "remount", "umount", "pivot_root"] {
        if !declared.iter().any(|rule| rule.value.kind() == kind) {
            line(out, &format!("{verb}{kind},"));
        }
    }
    for rule in declared {
        line(out, &format!("{},", rule.value));
    }
}

fn files(draft: &Draft, out: &mut String) {
    if let Some(declared) = &draft.paths.policy {
        policy::files(declared, out);
    } else if draft.root.readonly.value {
        line(out, "/ r,");
        line(out, "/** rmkix,");
        for folder in ["/dev", "/proc"] {
            line(out, &format!("{folder}/** wlk,"));
        }
        for mount in &draft.mounts {
            if mount.readonly.value || matches!(mount.kind, MountKind::Image { .. }) {
                continue;
            }
            line(out, &format!("{} w,", quote(&mount.destination, "")));
            line(out, &format!("{} wlk,", quote(&mount.destination, "/{,**}")));
        }
    } else {
        line(out, "file,");
    }
    // Entries directly in /proc are the kernel's, not a process's.
    line(out, "deny /proc/* w,");
    for path in &draft.readonly_paths.value {
        line(out, &format!("deny {} wl,", quote(path, "{,/**}")));
    }
    for path in &draft.masked_paths.value {
        line(out, &format!("deny {} rwklx,", quote(path, "{,/**}")));
    }
    let sys = if draft.asked.writable_cgroups { "deny /sys/{[^f]*,f[^s]*}/** wl," } else { "deny /sys/** wl," };
    line(out, sys);
    line(out, "deny /sys/kernel/security/{,**} rwklx,");
    // A profile is changed by writing here; nothing in a container has a reason to.
    line(out, "deny /proc/*/attr/{,**} wl,");
    line(out, "deny /proc/*/task/*/attr/{,**} wl,");
}

fn line(out: &mut String, rule: &str) {
    // Writing to a string cannot fail.
    let _ = writeln!(out, "  {rule}");
}

/// A path as text of the profile language, with `glob` behind it that keeps its meaning.
fn quote(path: &str, glob: &str) -> String {
    let mut quoted = String::from("\"");
    for byte in path.trim_end_matches('/').bytes() {
        match byte {
            b'*' | b'?' | b'[' | b']' | b'{' | b'}' | b'^' | b'@' | b',' => {
                quoted.push('\\');
                quoted.push(byte.into());
            }
            // The parser's lexer takes `\\"` for a quotation mark: these two go in as numbers, too.
            0x20..=0x7e if !matches!(byte, b'"' | b'\\') => quoted.push(byte.into()),
            // Control characters and what is not ASCII: three octal digits.
            _ => {
                let _ = write!(quoted, "\\{byte:03o}");
            }
        }
    }
    quoted + glob + "\""
}

#[cfg(test)]
mod tests;
