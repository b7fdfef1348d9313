//! The state of the container as the kernel has it, compared with the plan before the workload's first instruction.
//!
//! libcontainer passes over some failures in silence (no_new_privs, masked paths that do not stat), an idmapped upper
//! folder turns an overlay read-only without an error, unknown mount options do nothing. So nothing is believed: what the
//! plan promises is read from /proc, and any difference ends the container.

use super::cgroup::Placement;
use super::{limit_files, limits};
use crate::error::{Context, Error, Result};
use crate::plan::{Draft, Namespace, NetworkMode, Plan, SeLinux, UserNamespace};
use crate::spec;
use rustix::fs::{AtFlags, Mode, OFlags, ResolveFlags, StatxAttributes, StatxFlags, open, openat2, statx};
use std::collections::{BTreeSet, HashMap};
use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

/// What to compare with.
#[derive(Debug)]
pub struct Expected<'a> {
    pub plan: &'a Plan,
    /// First host id of the container's user namespace, if it has one.
    pub base: Option<u32>,
    /// The cgroup that the container was put into.
    pub group: &'a Placement,
    pub apparmor: Option<&'a str>,
    pub own: &'a Own,
}

impl Expected<'_> {
    fn profile(&self) -> Option<&str> {
        self.apparmor.filter(|p| *p != "unconfined")
    }
}

/// Namespace links of a process: kind → `kind:[inode]`.
type Namespaces = HashMap<&'static str, PathBuf>;

const KINDS: [&str; 7] = ["user", "pid", "mnt", "ipc", "uts", "net", "cgroup"];

/// Read the namespace links of `pid` (`self` for our own).
fn namespaces(pid: &str) -> Result<Namespaces> {
    KINDS
        .into_iter()
        .map(|kind| {
            let link = format!("/proc/{pid}/ns/{kind}");
            std::fs::read_link(&link).map(|target| (kind, target)).context(|| format!("read {link}"))
        })
        .collect()
}

/// Our own namespaces, read before anything was joined or left.
#[derive(Debug)]
pub struct Own {
    links: Namespaces,
    _held: Vec<File>,
}

impl Own {
    /// Of a process that stays in them.
    pub fn staying() -> Result<Self> {
        Ok(Own { links: namespaces("self")?, _held: Vec::new() })
    }

    /// Of a start, which leaves two of them. The kernel gives a namespace's number to another one, the container's for one, as soon as
    /// nobody is in it, and nobody else may be: an ordinary user's start makes its own, root's caller may be `unshare -m`. So they are
    /// held. What is mounted there is in the start's namespace as well: this keeps nothing busy that is not.
    pub fn leaving() -> Result<Self> {
        let open = |kind| {
            let link = format!("/proc/self/ns/{kind}");
            File::open(&link).context(|| format!("open {link}"))
        };
        Ok(Own { _held: vec![open("mnt")?, open("net")?], ..Self::staying()? })
    }
}

/// Everything that is final when the container is built: the process itself may be confining itself meanwhile.
pub fn as_built(pid: i32, expected: &Expected<'_>) -> Result<()> {
    let mut differences = Differences::default();
    check_namespaces(pid, expected, &mut differences)?;
    check_maps(pid, expected, &mut differences)?;
    check_mounts(pid, expected, &mut differences)?;
    check_cgroup(pid, expected, &mut differences)?;
    check_processors(pid, expected, &mut differences)?;
    differences.done()
}

/// What the process has made of itself, when it is confined and waits for the word to go.
pub fn before_exec(pid: i32, expected: &Expected<'_>) -> Result<()> {
    let mut differences = Differences::default();
    check_status(pid, expected, &mut differences)?;
    check_selinux(pid, expected, &mut differences)?;
    check_apparmor(pid, expected, &mut differences)?;
    check_inherited(pid, &mut differences)?;
    differences.done()
}

/// Another process of a running container, confined and waiting: what the plan (with this process in it) says, and for the rest what
/// the first process, `init`, has.
pub fn exec(pid: i32, init: i32, expected: &Expected<'_>) -> Result<()> {
    let mut differences = Differences::default();
    let plan = expected.plan;
    check_maps(pid, expected, &mut differences)?;
    check_status(pid, expected, &mut differences)?;
    check_selinux(pid, expected, &mut differences)?;
    check_apparmor(pid, expected, &mut differences)?;
    check_inherited(pid, &mut differences)?;
    let (ours, theirs) = (namespaces(&pid.to_string())?, namespaces(&init.to_string())?);
    for kind in KINDS {
        differences.compare(&format!("the container's {kind} namespace"), theirs.get(kind), ours.get(kind));
    }
    let of = |pid: i32, file: &str| read(format!("/proc/{pid}/{file}"));
    // An ordinary user's without a group of its own is in that of whoever started it, and nobody else can be moved there.
    let of_init = of(init, "cgroup")?;
    let own = |rootless| {
        of_init
            .lines()
            .any(|l| super::cgroup_rootless::is_delegated(l.rsplit(':').next().unwrap_or_default(), rootless))
    };
    if crate::rootless::current().is_none_or(own) {
        differences.compare("the container's cgroup", of_init.clone(), of(pid, "cgroup")?);
    }
    // The first process may have changed what is its own to change since it began: its chance to be killed, more filters. Neither
    // is to keep others, and the health checks, out.
    let chance = plan.draft.process.oom_score_adj.value.to_string();
    differences.compare("oom_score_adj", chance.as_str(), of(pid, "oom_score_adj")?.trim());
    let (inits, own, found) = (filters(&init.to_string())?, filters("self")?, filters(&pid.to_string())?);
    let wanted = own.map(|own| own + u32::from(crate::seccomp::has_filter(&plan.draft.seccomp)));
    differences.compare("number of seccomp filters", wanted, found);
    differences.compare("as many filters on the first process", true, inits >= found);
    differences.done()
}

/// How many filters a process has. `None` before Linux 5.9.
fn filters(pid: &str) -> Result<Option<u32>> {
    let text = read(format!("/proc/{pid}/status"))?;
    let line = text.lines().find_map(|l| l.strip_prefix("Seccomp_filters:"));
    Ok(line.and_then(|n| n.trim().parse().ok()))
}

/// First host id of the user namespace of process `init`; `None` where the plan has no namespace of its own.
pub fn base(init: i32, plan: &Plan) -> Result<Option<u32>> {
    base_of(init, plan.draft.namespaces.user.value != UserNamespace::Host)
}

/// First host id of the user namespace of process `init`, if it is one of its own.
pub fn base_of(init: i32, own: bool) -> Result<Option<u32>> {
    if !own {
        return Ok(None);
    }
    let text = read(format!("/proc/{init}/uid_map"))?;
    let base = text.split_whitespace().nth(1).and_then(|n| n.parse().ok());
    base.map(Some).ok_or_else(|| Error::runner(format!("the user namespace of process {init} has no map")))
}

/// Namespaces that process `init` has in common with us.
pub fn shared_with(init: i32, own: &Own) -> Result<BTreeSet<&'static str>> {
    let theirs = namespaces(&init.to_string())?;
    Ok(KINDS.into_iter().filter(|kind| theirs.get(kind) == own.links.get(kind)).collect())
}

#[derive(Debug, Default)]
struct Differences(Vec<String>);

impl Differences {
    fn compare<T: PartialEq + std::fmt::Debug>(&mut self, what: &str, planned: T, found: T) {
        if planned != found {
            self.0.push(format!("{what}: planned {planned:?}, the kernel has {found:?}"));
        }
    }

    fn done(self) -> Result<()> {
        if self.0.is_empty() {
            return Ok(());
        }
        Err(Error::runner(format!("the container's state is not the planned one: {}", self.0.join("; ")))
            .hint("the container was ended before its first instruction; `hardrun doctor` says what this host lacks"))
    }
}

fn read(path: String) -> Result<String> {
    // Files of /proc have no size: room is made at once, for every small read makes the kernel start again.
    let mut text = String::with_capacity(16 * 1024);
    File::open(&path)
        .and_then(|mut file| std::io::Read::read_to_string(&mut file, &mut text))
        .context(|| format!("read the container's state from {path}"))?;
    Ok(text)
}

fn check_namespaces(pid: i32, expected: &Expected<'_>, differences: &mut Differences) -> Result<()> {
    let found = namespaces(&pid.to_string())?;
    let wanted = &expected.plan.draft.namespaces;
    let own = |mode: &Namespace| *mode != Namespace::Host;
    for (kind, separate) in [
        ("user", wanted.user.value != UserNamespace::Host),
        ("pid", own(&wanted.pid.value)),
        ("mnt", true),
        ("ipc", own(&wanted.ipc.value)),
        ("uts", own(&wanted.uts.value)),
        ("net", wanted.network.value != NetworkMode::Host),
        ("cgroup", own(&wanted.cgroup.value)),
    ] {
        differences.compare(
            &format!("own {kind} namespace"),
            separate,
            found.get(kind) != expected.own.links.get(kind),
        );
    }
    Ok(())
}

fn check_maps(pid: i32, expected: &Expected<'_>, differences: &mut Differences) -> Result<()> {
    let draft = &expected.plan.draft;
    let UserNamespace::Private { .. } = draft.namespaces.user.value else { return Ok(()) };
    let base = expected.base.ok_or_else(|| Error::runner("the plan wants a user namespace that was not made"))?;
    for (file, lines) in ["uid_map", "gid_map"].into_iter().zip(crate::storage::idrange::maps(draft, base)) {
        let text = read(format!("/proc/{pid}/{file}"))?;
        let found: Vec<&str> = text.split_whitespace().collect();
        let planned = lines.iter().flat_map(|l| [l.inside, l.outside, l.count]).map(|n| n.to_string());
        differences.compare(file, planned.collect::<Vec<_>>(), found.iter().map(|n| (*n).to_owned()).collect());
    }
    Ok(())
}

fn check_status(pid: i32, expected: &Expected<'_>, differences: &mut Differences) -> Result<()> {
    let text = read(format!("/proc/{pid}/status"))?;
    let status: HashMap<&str, &str> =
        text.lines().filter_map(|l| l.split_once(':')).map(|(k, v)| (k, v.trim())).collect();
    let field = |name: &str| status.get(name).copied().unwrap_or("absent");
    let draft = &expected.plan.draft;
    let user = &draft.process.user.value;
    let base = expected.base.unwrap_or(0);

    let four = |id: u32| vec![(base + id).to_string(); 4];
    let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    differences.compare("user ids", four(user.uid), words(field("Uid")));
    differences.compare("group ids", four(user.gid), words(field("Gid")));
    let planned = user.additional_gids.iter().map(|g| (base + g).to_string());
    let mut groups: BTreeSet<String> =
        if crate::rootless::keeps_groups() { own_groups()?.into_iter().collect() } else { planned.collect() };
    let found: BTreeSet<String> = words(field("Groups")).into_iter().collect();
    // The kernel may list the primary group among the supplementary ones; it adds nothing.
    if found.contains(&(base + user.gid).to_string()) && user.additional_gids.contains(&user.gid) {
        groups.insert((base + user.gid).to_string());
    }
    differences.compare("supplementary groups", groups, found);

    let sets = spec::sets(draft);
    for (name, set) in [
        ("CapInh", &sets.inheritable),
        ("CapPrm", &sets.permitted),
        ("CapEff", &sets.effective),
        ("CapBnd", &sets.bounding),
        ("CapAmb", &sets.ambient),
    ] {
        differences.compare(name, format!("{:016x}", mask(set)?), field(name).to_owned());
    }
    let bit = |on: bool| if on { "1" } else { "0" };
    differences.compare("no_new_privs", bit(draft.process.no_new_privileges.value), field("NoNewPrivs"));
    differences.compare("umask", format!("{:04o}", draft.process.umask.value), field("Umask").to_owned());
    let filtered = crate::seccomp::has_filter(&draft.seccomp);
    differences.compare("seccomp mode", if filtered { "2" } else { "0" }, field("Seccomp"));
    Ok(())
}

/// What a process has of whoever started it, and nothing resets on the way: priority, scheduling class, personality. Ours are the
/// ordinary ones, or what could not be helped, which was said then.
fn check_inherited(pid: i32, differences: &mut Differences) -> Result<()> {
    let (own, found) = (read("/proc/self/stat".into())?, read(format!("/proc/{pid}/stat"))?);
    for (what, field) in [("nice", 19), ("scheduling class", 41)] {
        differences.compare(what, stat_field(&own, field), stat_field(&found, field));
    }
    differences.compare("personality", "00000000", read(format!("/proc/{pid}/personality"))?.trim());
    Ok(())
}

/// Field `n` of a `/proc/PID/stat`, as proc(5) counts them. The name, in parentheses, may hold anything.
fn stat_field(text: &str, n: usize) -> Option<&str> {
    text.rsplit_once(')')?.1.split_whitespace().nth(n.checked_sub(3)?)
}

/// On every processor that its group has: the caller's were reset.
fn check_processors(pid: i32, expected: &Expected<'_>, differences: &mut Differences) -> Result<()> {
    let Some(hierarchy) = super::cgroup::holding(&expected.group.hierarchies, "cpuset") else { return Ok(()) };
    let file = if hierarchy.v2 { "cpuset.cpus.effective" } else { "cpuset.effective_cpus" };
    let path = hierarchy.mount.join(expected.group.path.trim_start_matches('/')).join(file);
    // Where the controller is not passed on to the group, the group has no file.
    let Ok(group) = std::fs::read_to_string(path) else { return Ok(()) };
    let status = read(format!("/proc/{pid}/status"))?;
    let allowed = status.lines().find_map(|l| l.strip_prefix("Cpus_allowed_list:")).unwrap_or_default();
    let allowed = limit_files::numbers(allowed);
    let missing: Vec<u32> = limit_files::numbers(&group).difference(&allowed).copied().collect();
    differences.compare("processors of the group that are not the container's", Vec::new(), missing);
    Ok(())
}

/// Groups of this process, which the container could not leave.
fn own_groups() -> Result<Vec<String>> {
    let text = read("/proc/self/status".into())?;
    let line = text.lines().find_map(|l| l.strip_prefix("Groups:")).unwrap_or_default();
    Ok(line.split_whitespace().map(str::to_owned).collect())
}

/// Bit mask of a set of capability names.
fn mask(set: &BTreeSet<String>) -> Result<u64> {
    set.iter().try_fold(0u64, |mask, name| {
        let cap: caps::Capability = name.parse().context(|| format!("unknown capability {name}"))?;
        Ok(mask | 1 << cap.index())
    })
}

/// One line of mountinfo.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Mounted {
    id: u64,
    /// What of its file system is mounted.
    root: String,
    point: String,
    options: Vec<String>,
    propagation: Vec<String>,
    kind: String,
    super_options: Vec<String>,
}

impl Mounted {
    fn has(&self, option: &str) -> bool {
        self.options.iter().any(|o| o == option)
    }
}

fn parse_mountinfo(text: &str) -> Vec<Mounted> {
    text.lines()
        .filter_map(|line| {
            let (head, tail) = line.split_once(" - ")?;
            let head: Vec<&str> = head.split(' ').collect();
            let tail: Vec<&str> = tail.split(' ').collect();
            let list = |text: &str| text.split(',').map(str::to_owned).collect();
            Some(Mounted {
                id: head.first()?.parse().ok()?,
                root: unescape(head.get(3)?),
                point: unescape(head.get(4)?),
                options: list(head.get(5)?),
                propagation: head.get(6..)?.iter().map(|s| (*s).to_owned()).collect(),
                kind: (*tail.first()?).to_owned(),
                super_options: list(tail.get(2)?),
            })
        })
        .collect()
}

/// The kernel writes space, tab, newline and backslash as octal escapes.
fn unescape(text: &str) -> String {
    let mut out = Vec::new();
    let bytes = text.as_bytes();
    let mut i = 0;
    while i < bytes.len() {
        let octal = (bytes[i] == b'\\').then(|| text.get(i + 1..i + 4)).flatten();
        match octal.and_then(|o| u8::from_str_radix(o, 8).ok()) {
            Some(byte) => {
                out.push(byte);
                i += 4;
            }
            None => {
                out.push(bytes[i]);
                i += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn check_mounts(pid: i32, expected: &Expected<'_>, differences: &mut Differences) -> Result<()> {
    let mounted = parse_mountinfo(&read(format!("/proc/{pid}/mountinfo"))?);
    let draft = &expected.plan.draft;
    for m in mounted.iter().filter(|m| !m.propagation.is_empty()) {
        differences.compare(&format!("propagation of {}", m.point), "", &m.propagation.join(" "));
    }
    let shares = draft.namespaces.pid.value == Namespace::Host || draft.namespaces.network.value == NetworkMode::Host;
    let host = if shares { parse_mountinfo(&read("/proc/self/mountinfo".into())?) } else { Vec::new() };
    for stray in strays(&mounted, draft, &host) {
        differences.compare("mounts over the kernel's file systems", String::new(), stray);
    }
    let inside = Inside::open(pid, &mounted)?;
    match inside.mount_at("/")? {
        None => differences.compare("root mount", "present", "absent"),
        Some(root) => {
            differences.compare("root nosuid", true, root.has("nosuid"));
            differences.compare("root nodev", true, root.has("nodev"));
            let readonly = root.has("ro") || root.super_options.iter().any(|o| o == "ro");
            differences.compare("root read-only", draft.root.readonly.value, readonly);
        }
    }
    for mount in &draft.mounts {
        let at = &mount.destination;
        let Some(found) = inside.mount_at(at)? else {
            differences.compare(&format!("mount on {at}"), "present", "absent");
            continue;
        };
        differences.compare(&format!("{at} nosuid"), true, found.has("nosuid"));
        differences.compare(&format!("{at} nodev"), true, found.has("nodev"));
        differences.compare(&format!("{at} read-only"), mount.readonly.value, found.has("ro"));
        if mount.noexec {
            differences.compare(&format!("{at} noexec"), true, found.has("noexec"));
        }
    }
    for path in &draft.masked_paths.value {
        if let At::Part(kind) = inside.at(path)?
            && !(spec::empty_in_sysfs(draft, path) && kind == Some("sysfs") && inside.is_empty(path)?)
        {
            differences.compare(&format!("{path} masked"), true, false);
        }
    }
    for path in &draft.readonly_paths.value {
        match inside.at(path)? {
            At::Nothing => {}
            At::Mount(m) if m.has("ro") => {}
            At::Mount(_) | At::Part(_) => differences.compare(&format!("{path} read-only"), true, false),
        }
    }
    Ok(())
}

/// Mounts on or below /proc, /sys and /dev that nobody planned there: a symlink in the image, or in a folder that is
/// mounted before, sent them (CVE-2025-31133, CVE-2025-52881). Masks and read-only paths are the launch's own; with the
/// host's pid or network namespace, /proc or /sys is the host's, with what `host` has mounted below it.
fn strays(mounted: &[Mounted], draft: &Draft, host: &[Mounted]) -> Vec<String> {
    let namespaces = &draft.namespaces;
    let host_proc = namespaces.pid.value == Namespace::Host;
    let host_sys = namespaces.network.value == NetworkMode::Host;
    let planned = |list: &[String], point: &str| list.iter().any(|p| p.trim_end_matches('/') == point);
    let mut seen = BTreeSet::new();
    let mut found = Vec::new();
    for m in mounted {
        let point = m.point.as_str();
        let below = |folder: &str| point.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'));
        // A mask is an empty read-only folder, or the null device for a file (the host's, or one made for the container).
        let null = m.root == "/null" && matches!(m.kind.as_str(), "devtmpfs" | "tmpfs");
        let mask = null || m.kind == "tmpfs" && m.has("ro");
        let as_planned = match point {
            "/proc" | "/sys" | "/dev" => {
                let kind = match point {
                    "/proc" => "proc",
                    "/sys" => "sysfs",
                    _ => "tmpfs",
                };
                m.kind == kind && seen.insert(point)
            }
            _ if below("/proc") || below("/sys") => {
                planned(&draft.masked_paths.value, point) && mask
                    || planned(&draft.readonly_paths.value, point) && matches!(m.kind.as_str(), "proc" | "sysfs")
                    || matches!(m.kind.as_str(), "cgroup" | "cgroup2" | "tmpfs") && point.starts_with("/sys/fs/cgroup")
                    || (if below("/proc") { host_proc } else { host_sys })
                        && host.iter().any(|h| h.point == point && h.kind == m.kind && h.root == m.root)
            }
            _ if below("/dev") => {
                matches!(m.kind.as_str(), "devpts" | "mqueue" | "devtmpfs")
                    || point == "/dev/shm"
                    || draft.mounts.iter().any(|planned| planned.destination == point)
                    || !crate::policy::rules::kernel_mountpoint::reserved(Path::new(point))
                    || draft.devices.iter().any(|d| d.value.container == point)
            }
            _ => true,
        };
        if !as_planned {
            found.push(format!("{} on {point}", m.kind));
        }
    }
    found
}

/// The container's file tree, looked at from outside through its root, links followed inside it only.
struct Inside<'a> {
    root: OwnedFd,
    by_id: HashMap<u64, &'a Mounted>,
}

impl<'a> Inside<'a> {
    fn open(pid: i32, mounted: &'a [Mounted]) -> Result<Inside<'a>> {
        let path = format!("/proc/{pid}/root");
        let root = open(&path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
            .context(|| format!("open {path}"))?;
        Ok(Inside { root, by_id: mounted.iter().map(|m| (m.id, m)).collect() })
    }

    fn resolve(&self, path: &str) -> rustix::io::Result<OwnedFd> {
        openat2(&self.root, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), ResolveFlags::IN_ROOT)
    }

    /// What is at `path`. Linux 5.8.
    fn at(&self, path: &str) -> Result<At<'a>> {
        let file = match self.resolve(path) {
            Ok(file) => file,
            Err(rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR) => return Ok(At::Nothing),
            Err(e) => return Err(Error::runner(format!("look at {path} inside the container")).because(e)),
        };
        let stat = statx(&file, "", AtFlags::EMPTY_PATH, StatxFlags::MNT_ID)
            .context(|| format!("look at {path} inside the container"))?;
        if !stat.stx_attributes.contains(StatxAttributes::MOUNT_ROOT) {
            return Ok(At::Part(self.by_id.get(&stat.stx_mnt_id).map(|m| m.kind.as_str())));
        }
        Ok(self.by_id.get(&stat.stx_mnt_id).map_or(At::Part(None), |m| At::Mount(m)))
    }

    /// Whether `path` is a folder without entries.
    fn is_empty(&self, path: &str) -> Result<bool> {
        let attempt = || format!("look into {path} inside the container");
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = openat2(&self.root, path, flags, Mode::empty(), ResolveFlags::IN_ROOT).context(attempt)?;
        let mut buffer = [std::mem::MaybeUninit::uninit(); 512];
        let mut entries = rustix::fs::RawDir::new(folder, &mut buffer);
        while let Some(entry) = entries.next() {
            if !matches!(entry.context(attempt)?.file_name().to_bytes(), b"." | b"..") {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The mount whose root is at `path`, if it is one.
    fn mount_at(&self, path: &str) -> Result<Option<&'a Mounted>> {
        Ok(match self.at(path)? {
            At::Mount(m) => Some(m),
            At::Nothing | At::Part(_) => None,
        })
    }
}

/// What a path of the container leads to.
enum At<'a> {
    Nothing,
    /// A file or folder inside another mount, of this kind of file system.
    Part(Option<&'a str>),
    /// The root of a mount.
    Mount(&'a Mounted),
}

fn check_apparmor(pid: i32, expected: &Expected<'_>, differences: &mut Differences) -> Result<()> {
    let Some(profile) = expected.profile() else { return Ok(()) };
    // AppArmor's own attribute; before Linux 5.8 it is among those of all modules.
    let read = |folder: &str| std::fs::read_to_string(format!("/proc/{pid}/attr/{folder}current"));
    let found =
        read("apparmor/").or_else(|_| read("")).context(|| format!("read the AppArmor profile of process {pid}"))?;
    let found = found.trim_end_matches(['\0', '\n']);
    let (label, mode) = found.strip_suffix(')').and_then(|f| f.rsplit_once(" (")).unwrap_or((found, ""));
    // One that refuses nothing is there only where that was judged.
    let judged = expected.plan.draft.asked.apparmor_mode.as_deref();
    if !crate::apparmor::is_label_of(label, profile) || !(matches!(mode, "enforce" | "kill") || judged == Some(mode)) {
        differences.compare(
            "AppArmor profile",
            format!("{profile} ({})", judged.unwrap_or("enforce")),
            found.to_owned(),
        );
    }
    Ok(())
}

fn check_selinux(pid: i32, expected: &Expected<'_>, differences: &mut Differences) -> Result<()> {
    if let SeLinux::Labels { process, mount } = &expected.plan.draft.selinux.value {
        let found = read(format!("/proc/{pid}/attr/current"))?;
        differences.compare("SELinux label", process.as_str(), found.trim_end_matches(['\0', '\n']));
        let mut found = [0; 4096];
        let root = format!("/proc/{pid}/root/.");
        let n = rustix::fs::getxattr(&root, crate::selinux::ATTRIBUTE, &mut found[..])
            .context(|| "read the SELinux label of the root".into())?;
        let found = String::from_utf8_lossy(&found[..n]);
        differences.compare("SELinux label of the root", mount.as_str(), found.trim_end_matches('\0'));
    }
    Ok(())
}

fn check_cgroup(pid: i32, expected: &Expected<'_>, differences: &mut Differences) -> Result<()> {
    let text = read(format!("/proc/{pid}/cgroup"))?;
    // An ordinary user's container without a group of its own is in that of whoever started it.
    if !expected.group.hierarchies.is_empty()
        && !text.lines().any(|l| l.rsplit(':').next() == Some(expected.group.path.as_str()))
    {
        differences.compare("cgroup", expected.group.path.clone(), text.replace('\n', " "));
    }
    // A limit counts only for those who are in the group.
    let settings = limits::of_start(expected.group, expected.plan)?;
    let controllers: BTreeSet<&str> = settings.iter().map(|(file, _)| limit_files::controller(file)).collect();
    for controller in controllers {
        // One that is not there at all is an error of the limit's.
        let Some(hierarchy) = super::cgroup::holding(&expected.group.hierarchies, controller) else { continue };
        let member = member_of(&text, controller, hierarchy.v2);
        differences.compare(&format!("{controller} group"), Some(expected.group.path.as_str()), member);
    }
    limits::check(expected.group, &settings, &expected.plan.draft.resources)
}

/// The group of a process in a controller's hierarchy, from its /proc/PID/cgroup.
pub(super) fn member_of<'a>(text: &'a str, controller: &str, v2: bool) -> Option<&'a str> {
    text.lines().find_map(|line| {
        let mut fields = line.splitn(3, ':');
        let (number, controllers, path) = (fields.next()?, fields.next()?, fields.next()?);
        let own = if v2 { number == "0" } else { controllers.split(',').any(|c| c == controller) };
        own.then_some(path)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_group_is_that_of_the_limits_hierarchy() {
        let text = "4:pids:/hardrun/abc\n3:cpu,memory:/user.slice\n0::/a:b\n";
        assert_eq!(member_of(text, "pids", false), Some("/hardrun/abc"));
        assert_eq!(member_of(text, "memory", false), Some("/user.slice"));
        assert_eq!(member_of(text, "memory", true), Some("/a:b"));
        assert_eq!(member_of(text, "cpuset", false), None);
    }

    #[test]
    fn mounts_that_links_sent_over_the_kernels_folders_are_strays() {
        let mut draft = crate::policy::testkit::draft();
        draft.masked_paths.value = vec!["/proc/kcore".into(), "/sys/firmware".into()];
        draft.readonly_paths.value = vec!["/proc/sys".into()];
        let line = |point: &str, options: &str, kind: &str| {
            let root = if kind == "devtmpfs" { "/null" } else { "/" };
            format!("1 0 0:1 {root} {point} {options} - {kind} x rw\n")
        };
        let good = [
            line("/", "rw", "overlay"),
            line("/proc", "rw", "proc"),
            line("/dev", "rw", "tmpfs"),
            line("/dev/pts", "rw", "devpts"),
            line("/dev/shm", "rw", "tmpfs"),
            line("/dev/null", "rw", "devtmpfs"),
            line("/sys", "ro", "sysfs"),
            line("/proc/sys", "ro", "proc"),
            line("/proc/kcore", "rw", "devtmpfs"),
            line("/sys/firmware", "ro", "tmpfs"),
            line("/procession", "rw", "ext4"),
        ]
        .concat();
        assert_eq!(strays(&parse_mountinfo(&good), &draft, &[]), [""; 0]);
        for (point, options, kind) in [
            ("/proc", "rw", "ext4"),
            ("/proc", "rw", "proc"),
            ("/dev", "rw", "ext4"),
            ("/dev", "rw", "tmpfs"),
            ("/sys", "ro", "tmpfs"),
            ("/proc/sys", "ro", "ext4"),
            ("/proc/sys/kernel", "rw", "ext4"),
            ("/proc/1/attr/exec", "rw", "tmpfs"),
            ("/proc/kcore", "rw", "ext4"),
            ("/dev/null", "rw", "ext4"),
        ] {
            let bad = parse_mountinfo(&(good.clone() + &line(point, options, kind)));
            assert_eq!(strays(&bad, &draft, &[]), [format!("{kind} on {point}")], "{point} {kind}");
        }
    }

    #[test]
    fn the_hosts_sys_comes_with_what_the_host_has_mounted_there() {
        let text = "1 0 0:1 / /sys ro - sysfs x rw\n2 0 0:1 / /sys/kernel/debug ro - debugfs x rw\n";
        let (mounted, mut draft) = (parse_mountinfo(text), crate::policy::testkit::draft());
        assert_eq!(strays(&mounted, &draft, &mounted), ["debugfs on /sys/kernel/debug"]);
        draft.namespaces.network.value = NetworkMode::Host;
        assert_eq!(strays(&mounted, &draft, &mounted), [""; 0]);
        assert_eq!(strays(&mounted, &draft, &[]), ["debugfs on /sys/kernel/debug"]);
    }

    #[test]
    fn mountinfo_is_taken_apart() {
        let text = "36 35 98:0 /mnt1 /a\\040b rw,noatime shared:1 master:2 - ext3 /dev/root rw,errors=continue\n";
        let m = &parse_mountinfo(text)[0];
        assert_eq!(m.point, "/a b");
        assert_eq!(m.propagation, ["shared:1", "master:2"]);
        assert_eq!((m.kind.as_str(), m.super_options[0].as_str()), ("ext3", "rw"));
    }

    #[test]
    fn fields_of_stat_are_taken_apart() {
        assert_eq!(stat_field("7 (a) b) S 1 2", 3), Some("S"));
        assert_eq!(stat_field("7 (a) b) S 1 2", 5), Some("2"));
        assert_eq!(stat_field("7 (a", 3), None);
    }

    #[test]
    fn capability_names_become_the_kernels_mask() {
        let set = ["CAP_CHOWN", "CAP_SYS_ADMIN"].map(str::to_owned).into();
        assert_eq!(mask(&set).unwrap(), 1 | 1 << 21);
        assert!(mask(&["CAP_NOPE".to_owned()].into()).is_err());
    }

    #[test]
    fn any_difference_is_named() {
        let mut d = Differences::default();
        d.compare("no_new_privs", "1", "0");
        let error = d.done().unwrap_err();
        assert!(error.message.contains("no_new_privs: planned \"1\", the kernel has \"0\""), "{error}");
    }
}
