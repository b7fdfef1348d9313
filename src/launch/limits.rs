//! The limits of a container's control group, file by file: written, read back, taken back.
//!
//! What the kernel takes is not always what holds. On cgroup v2 `cpuset.cpus` may name processors that a group above does not have:
//! there is no error, and the set of the group above holds instead.

use super::cgroup::{self, Placement};
use super::limit_files::{controller, devices_found, devices_planned, holds, key, numbers, who};
use super::{cgroup_v1, cgroup_v2};
use crate::error::{Context, Error, Result};
use crate::facts::Limit;
use crate::plan::{Plan, ResourcesPlan};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A file of the control group and what is written to it.
pub type Setting = (&'static str, String);

/// Every file that the limits of a plan are in.
pub fn of(group: &Placement, resources: &ResourcesPlan) -> Result<Vec<Setting>> {
    match cgroup_v2::folder(group) {
        Some(folder) => Ok(cgroup_v2::settings(resources, folder.join("io.bfq.weight").exists())),
        None => Ok(cgroup_v1::settings(&crate::spec::limits(resources)?)),
    }
}

/// The same at a start: with what only a start sets, on cgroup v1 the device rules too.
pub fn of_start(group: &Placement, plan: &Plan) -> Result<Vec<Setting>> {
    let draft = &plan.draft;
    if cgroup_v2::folder(group).is_some() {
        return of(group, &draft.resources);
    }
    let mut settings = cgroup_v1::settings(&crate::spec::resources(draft)?);
    if folder(group, "devices").is_none() && devices_are_left_out(plan) {
        settings.retain(|(file, _)| controller(file) != "devices");
    }
    Ok(settings)
}

/// Whether the plan says that this host cannot judge devices, and what takes the place of that.
pub fn devices_are_left_out(plan: &Plan) -> bool {
    let devices = format!("{} limit", Limit::Devices.name());
    plan.fallbacks.iter().any(|f| f.layer == "cgroups" || f.layer == devices)
}

/// The container's folder with the files of a controller. `None`: it is in no group of that.
fn folder(group: &Placement, controller: &str) -> Option<PathBuf> {
    let hierarchy = cgroup::holding(&group.hierarchies, controller)?;
    Some(hierarchy.mount.join(group.path.trim_start_matches('/')))
}

fn folder_of(group: &Placement, file: &str) -> Result<PathBuf> {
    let controller = controller(file);
    folder(group, controller).ok_or_else(|| {
        let why = match group.hierarchies.is_empty() {
            true => "the container has no control group of its own".to_owned(),
            false => format!("the container is in no group of the {controller} controller"),
        };
        Error::runner(format!("set {file}: {why}")).hint("`hardrun doctor` says which limits this host can set")
    })
}

/// A controller that the settings need, and that the container is in no group of.
pub fn missing<'a>(group: &Placement, settings: &'a [Setting]) -> Option<&'a str> {
    settings.iter().map(|(file, _)| controller(file)).find(|controller| folder(group, controller).is_none())
}

/// Write the files, in this order. `asked` says which flags they are of.
///
/// # Errors
/// A controller that the container is in no group of: then nothing is written. What the kernel does not take: a limit below what
/// is in use, a CPU that is not there.
pub fn write(group: &Placement, settings: &[Setting], asked: &ResourcesPlan) -> Result<()> {
    let folders = settings.iter().map(|(file, _)| folder_of(group, file)).collect::<Result<Vec<_>>>()?;
    for (folder, (file, value)) in folders.iter().zip(settings) {
        let mut written = write_one(folder, file, value);
        // On cgroup v1, `update` to more memory than memory and swap together may be now: the kernel wants that one first.
        let swap = settings.iter().find(|(name, _)| *name == "memory.memsw.limit_in_bytes");
        if let (Err(_), Some((first, total)), "memory.limit_in_bytes") = (&written, swap, *file) {
            written = write_one(folder, first, total).and_then(|()| write_one(folder, file, value));
        }
        written.map_err(|e| {
            let error = Error::runner(format!("{}: set {file} to {value:?}", who(file, value, asked))).because(e);
            match effective(group, file).and_then(|effective| narrowest(group, effective, value)) {
                Some(hint) => error.hint(hint),
                None => error,
            }
        })?;
    }
    Ok(())
}

fn write_one(folder: &Path, file: &str, value: &str) -> std::io::Result<()> {
    // An empty write does not reach the kernel; a line's end alone says the same.
    let text = if value.is_empty() { "\n" } else { value };
    cgroup::write(&folder.join(file), text)
}

/// Compare each file with what was written to it, and the sets of processors and memory nodes with those that are in force.
///
/// # Errors
/// A limit that did not take effect, named by the flag that asked for it.
pub fn check(group: &Placement, settings: &[Setting], asked: &ResourcesPlan) -> Result<()> {
    let mut wrong = Vec::new();
    let mut texts = BTreeMap::<&str, String>::new();
    let mut hint = None;
    for (n, (file, value)) in settings.iter().enumerate().filter(|(_, (file, _))| controller(file) != "devices") {
        // Of two that say something of the same, the later holds.
        if settings[n + 1..].iter().any(|(f, v)| f == file && key(f, v) == key(file, value)) {
            continue;
        }
        let folder = folder_of(group, file)?;
        if !texts.contains_key(file) {
            texts.insert(file, read(&folder, file)?);
        }
        let who = who(file, value, asked);
        if !holds(file, value, &texts[file]) {
            wrong.push(format!("{who}: {file} was set to {value}, the kernel has {}", shown(&texts[file])));
        } else if let (Some(effective), false) = (effective(group, file), value.is_empty()) {
            let found = read(&folder, effective)?;
            if numbers(value) != numbers(&found) {
                wrong.push(format!("{who}: {file} is {value}, in force ({effective}) is {}", shown(&found)));
                hint = hint.or_else(|| narrowest(group, effective, value));
            }
        }
    }
    if settings.iter().any(|(file, _)| controller(file) == "devices") {
        let list = read(&folder_of(group, "devices.list")?, "devices.list")?;
        let (planned, found) = (devices_planned(settings), devices_found(&list));
        if planned != found {
            wrong.push(format!("device rules: planned {planned:?}, the kernel has {found:?}"));
        }
    }
    if wrong.is_empty() {
        return Ok(());
    }
    let hint = hint.unwrap_or_else(|| "`hardrun doctor` says which limits this host can set".to_owned());
    Err(Error::runner(format!("a limit did not take effect: {}", wrong.join("; "))).hint(hint))
}

fn read(folder: &Path, file: &str) -> Result<String> {
    let text = std::fs::read_to_string(folder.join(file)).context(|| format!("read back {file}"))?;
    Ok(text.trim().to_owned())
}

fn shown(text: &str) -> String {
    if text.is_empty() { "nothing".into() } else { text.replace('\n', ", ") }
}

/// The file with the set that is in force.
fn effective(group: &Placement, file: &str) -> Option<&'static str> {
    let v2 = cgroup_v2::folder(group).is_some();
    match (file, v2) {
        ("cpuset.cpus", true) => Some("cpuset.cpus.effective"),
        ("cpuset.mems", true) => Some("cpuset.mems.effective"),
        ("cpuset.cpus", false) => Some("cpuset.effective_cpus"),
        ("cpuset.mems", false) => Some("cpuset.effective_mems"),
        _ => None,
    }
}

/// What to do about a set that a group above the container's does not have: which group that is, and what it has.
fn narrowest(group: &Placement, file: &str, value: &str) -> Option<String> {
    let (wanted, hierarchy) = (numbers(value), cgroup::holding(&group.hierarchies, controller(file))?);
    let above: Vec<&Path> = Path::new(&group.path).ancestors().skip(1).collect();
    let has = |path: &Path| read(&hierarchy.mount.join(path.strip_prefix("/").unwrap_or(path)), file).ok();
    // The root of the hierarchy of v2 has such a file as well; nobody can give that more.
    let (at, has) = above.iter().rev().find_map(|path| {
        let text = has(path)?;
        (!wanted.is_subset(&numbers(&text))).then_some((path, text))
    })?;
    if at.parent().is_none() {
        return Some(format!("this host has {} only", shown(&has)));
    }
    let property = if file.contains("cpus") { "AllowedCPUs=" } else { "AllowedMemoryNodes=" };
    Some(format!(
        "the group {} above the container's has {} only: ask for some of these, or give it more (with systemd by {property})",
        at.display(),
        shown(&has)
    ))
}

/// What takes those of `set` back that `wanted` says nothing of: the kernel's defaults, the last one first.
pub fn undone(group: &Placement, set: &[Setting], wanted: &[Setting]) -> Result<Vec<Setting>> {
    let said = |(file, value): &Setting| wanted.iter().any(|(f, v)| f == file && key(f, v) == key(file, value));
    // Where the container is in no group, nothing was set.
    let there = |file: &str| folder(group, controller(file)).is_some();
    set.iter().rev().filter(|s| !said(s) && there(s.0)).map(|s| default(group, s)).collect()
}

/// What a group has that nobody has set anything for.
fn default(group: &Placement, (file, value): &Setting) -> Result<Setting> {
    let v2 = cgroup_v2::folder(group).is_some();
    let key = key(file, value);
    let text = match (*file, key) {
        ("memory.max" | "memory.swap.max" | "pids.max", _) => "max".to_owned(),
        ("memory.limit_in_bytes" | "memory.memsw.limit_in_bytes" | "memory.soft_limit_in_bytes", _) => "-1".into(),
        ("cpu.cfs_quota_us", _) => "-1".into(),
        ("cpu.max", _) => "max 100000".into(),
        ("cpu.cfs_period_us", _) => "100000".into(),
        ("cpu.weight", _) => "100".into(),
        ("cpu.shares", _) => "1024".into(),
        ("cpu.rt_period_us", _) => "1000000".into(),
        ("cpuset.cpus" | "cpuset.mems", _) if v2 => String::new(),
        // A new group has what the one above has: of v1 it was given that (`inherit_cpuset`).
        ("cpuset.cpus" | "cpuset.mems" | "memory.swappiness", _) => {
            let folder = folder_of(group, file)?;
            read(folder.parent().unwrap_or(&folder), file)?
        }
        ("blkio.weight", _) => "500".into(),
        (_, Some("default")) => "default 100".into(),
        ("io.max", Some(key)) => format!("{key}=max"),
        (_, Some(key)) if v2 => format!("{key} default"),
        (_, Some(key)) => format!("{key} 0"),
        // memory.low, cpu.rt_runtime_us, memory.oom_control.
        (_, None) => "0".into(),
    };
    Ok((file, text))
}

#[cfg(test)]
mod tests {
    use super::super::cgroup::Hierarchy;
    use super::super::update;
    use super::*;
    use crate::plan::{BlkioDevice, Fallback, Sourced};

    /// A stand-in for a hierarchy: `/slice/box` with plain files.
    fn group(root: &Path, v2: bool, controllers: &[&str], files: &[(&str, &str)]) -> Placement {
        std::fs::create_dir_all(root.join("slice/box")).unwrap();
        for (file, text) in files {
            std::fs::write(root.join(file), text).unwrap();
        }
        let controllers = controllers.iter().map(|c| (*c).to_owned()).collect();
        let hierarchies = vec![Hierarchy { controllers, mount: root.into(), v2 }];
        Placement { path: "/slice/box".into(), hierarchies, held: Vec::new() }
    }

    fn flag<T>(value: T, name: &str) -> Option<Sourced<T>> {
        Some(Sourced::flag(value, name))
    }

    #[test]
    fn a_set_of_processors_that_is_not_in_force_is_named_with_the_group_that_lacks_it() {
        let dir = tempfile::tempdir().unwrap();
        let resources = ResourcesPlan { cpuset_cpus: flag("1".into(), "--cpuset-cpus"), ..Default::default() };
        let files = [
            ("cpuset.cpus.effective", "0-3\n"),
            ("slice/cpuset.cpus.effective", "0\n"),
            ("slice/box/cpuset.cpus", ""),
            ("slice/box/cpuset.cpus.effective", "0\n"),
        ];
        let group = group(dir.path(), true, &[], &files);
        let settings = of(&group, &resources).unwrap();
        write(&group, &settings, &resources).unwrap();
        let error = check(&group, &settings, &resources).unwrap_err();
        let says = "--cpuset-cpus: cpuset.cpus is 1, in force (cpuset.cpus.effective) is 0";
        assert!(error.message.contains(says), "{error}");
        let hint = error.hint.unwrap();
        assert!(
            hint.contains("/slice above") && hint.contains("has 0 only") && hint.contains("AllowedCPUs="),
            "{hint}"
        );
        std::fs::write(dir.path().join("slice/box/cpuset.cpus.effective"), "1\n").unwrap();
        check(&group, &settings, &resources).unwrap();
    }

    #[test]
    fn every_file_is_read_back_and_the_later_of_two_holds() {
        let dir = tempfile::tempdir().unwrap();
        let device = |value| BlkioDevice { path: "/dev/sda".into(), major: 8, minor: 0, value };
        let resources = ResourcesPlan {
            memory: flag(64 << 20, "--memory"),
            cpu_quota: flag(50_000, "--cpus"),
            read_bps: vec![
                Sourced::flag(device(7), "--device-read-bps"),
                Sourced::flag(device(1 << 20), "--device-read-bps"),
            ],
            ..Default::default()
        };
        let right = [
            ("slice/box/memory.max", "67108864\n"),
            ("slice/box/cpu.max", "50000 100000\n"),
            ("slice/box/io.max", "8:0 rbps=1048576 wbps=max riops=max wiops=max\n"),
        ];
        let group = group(dir.path(), true, &[], &right);
        let settings = of(&group, &resources).unwrap();
        check(&group, &settings, &resources).unwrap();
        for ((file, _), flag) in right.iter().zip(["--memory", "--cpus", "--device-read-bps"]) {
            let (path, before) = (dir.path().join(file), std::fs::read(dir.path().join(file)).unwrap());
            std::fs::write(&path, "max 100000\n").unwrap();
            let error = check(&group, &settings, &resources).unwrap_err();
            assert!(error.message.contains(flag) && error.message.contains("the kernel has max 100000"), "{error}");
            std::fs::write(&path, before).unwrap();
        }
    }

    #[test]
    fn an_update_that_fails_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let files = [
            ("slice/box/cpu.weight", "59"),
            ("slice/box/cpu.max", "max 100000"),
            ("slice/box/cpuset.cpus", "0"),
            ("slice/box/cpuset.cpus.effective", "0"),
        ];
        let group = group(dir.path(), true, &[], &files);
        let before = ResourcesPlan {
            cpu_shares: flag(512, "--cpu-shares"),
            cpuset_cpus: flag("0".into(), "--cpuset-cpus"),
            ..Default::default()
        };
        let wanted = ResourcesPlan {
            cpu_quota: flag(50_000, "--cpus"),
            cpu_shares: flag(1024, "--cpu-shares"),
            cpuset_cpus: flag("1".into(), "--cpuset-cpus"),
            ..Default::default()
        };
        let read = |file: &str| std::fs::read_to_string(dir.path().join("slice/box").join(file)).unwrap();
        update::apply(&group, &before, &wanted).unwrap_err();
        assert_eq!([read("cpu.max"), read("cpu.weight"), read("cpuset.cpus")], ["50000 100000", "100", "1"]);
        update::apply(&group, &wanted, &before).unwrap();
        assert_eq!([read("cpu.max"), read("cpu.weight"), read("cpuset.cpus")], ["max 100000", "59", "0"]);
    }

    #[test]
    fn what_was_not_there_before_gets_the_kernels_default() {
        let dir = tempfile::tempdir().unwrap();
        let files = [("slice/cpuset.mems", "0-1\n"), ("slice/memory.swappiness", "60\n")];
        let v1 = group(dir.path(), false, &["cpu", "cpuset", "memory", "blkio"], &files);
        let set = |pairs: &[(&'static str, &str)]| -> Vec<Setting> {
            pairs.iter().map(|(f, v)| (*f, (*v).to_owned())).collect()
        };
        let new = set(&[
            ("memory.limit_in_bytes", "1"),
            ("memory.memsw.limit_in_bytes", "1"),
            ("memory.swappiness", "1"),
            ("pids.max", "1"),
            ("cpu.shares", "2"),
            ("cpu.cfs_period_us", "1000"),
            ("cpu.cfs_quota_us", "1000"),
            ("cpuset.mems", "0"),
            ("blkio.throttle.read_bps_device", "8:0 1"),
            ("blkio.throttle.read_bps_device", "8:16 1"),
        ]);
        let old = set(&[("cpu.shares", "512"), ("blkio.throttle.read_bps_device", "8:0 5")]);
        // The group is in no hierarchy of pids.
        let expected = set(&[
            ("blkio.throttle.read_bps_device", "8:16 0"),
            ("cpuset.mems", "0-1"),
            ("cpu.cfs_quota_us", "-1"),
            ("cpu.cfs_period_us", "100000"),
            ("memory.swappiness", "60"),
            ("memory.memsw.limit_in_bytes", "-1"),
            ("memory.limit_in_bytes", "-1"),
        ]);
        assert_eq!(undone(&v1, &new, &old).unwrap(), expected);
        let v2 = group(dir.path(), true, &[], &[]);
        let new = set(&[
            ("memory.low", "1"),
            ("pids.max", "1"),
            ("cpu.weight", "1"),
            ("cpuset.cpus", "0"),
            ("io.weight", "default 1"),
            ("io.weight", "8:0 1"),
            ("io.max", "8:0 rbps=1"),
            ("io.max", "8:0 wbps=1"),
        ]);
        let expected = set(&[
            ("io.max", "8:0 wbps=max"),
            ("io.weight", "8:0 default"),
            ("io.weight", "default 100"),
            ("cpuset.cpus", ""),
            ("cpu.weight", "100"),
            ("pids.max", "max"),
            ("memory.low", "0"),
        ]);
        assert_eq!(undone(&v2, &new, &set(&[("io.max", "8:0 rbps=2")])).unwrap(), expected);
    }

    #[test]
    fn a_controller_that_the_container_is_in_no_group_of_is_named_and_nothing_is_written() {
        let dir = tempfile::tempdir().unwrap();
        let files = [("slice/box/memory.limit_in_bytes", "1")];
        let group = group(dir.path(), false, &["memory"], &files);
        let before = ResourcesPlan { memory: flag(1, "--memory"), ..Default::default() };
        let wanted =
            ResourcesPlan { memory: flag(2, "--memory"), cpu_quota: flag(1000, "--cpus"), ..Default::default() };
        let error = update::apply(&group, &before, &wanted).unwrap_err();
        assert!(error.message.contains("started without a limit of the cpu controller"), "{error}");
        assert_eq!(std::fs::read_to_string(dir.path().join(files[0].0)).unwrap(), "1");
        let nowhere = Placement { path: "/x".into(), hierarchies: Vec::new(), held: Vec::new() };
        assert!(
            write(&nowhere, &of(&nowhere, &wanted).unwrap(), &wanted).unwrap_err().message.contains("no control group")
        );
    }

    #[test]
    fn devices_that_cannot_be_judged_end_the_start_unless_the_plan_says_so() {
        let dir = tempfile::tempdir().unwrap();
        let group = group(dir.path(), false, &["pids"], &[("slice/box/pids.max", "")]);
        let (draft, facts) = (crate::policy::testkit::draft(), crate::policy::testkit::facts());
        let mut plan = Plan::new(draft, Vec::new(), &facts);
        plan.draft.resources = ResourcesPlan::default();
        plan.fallbacks.clear();
        let settings = of_start(&group, &plan).unwrap();
        assert_eq!(missing(&group, &settings), Some("devices"));
        assert!(write(&group, &settings, &plan.draft.resources).is_err());
        let fallback = |layer: &str| Fallback { layer: layer.into(), missing: String::new(), instead: String::new() };
        plan.fallbacks = vec![fallback("devices limit")];
        assert_eq!(of_start(&group, &plan).unwrap(), []);
    }
}
