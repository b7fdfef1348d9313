//! Past escapes, each with a safe probe.

use crate::harness::env::{s, wait_for};
use crate::harness::{Env, Outcome, host};
use crate::{cases, check, check_eq};
use sha2::{Digest, Sha256};
use std::os::fd::OwnedFd;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::Duration;

cases!("guards":
    @alone the_launchers_binary_is_out_of_reach, @alone the_launcher_runs_from_a_protected_copy, symlinked_mount_destinations,
    a_symlinked_dev_is_refused, symlinked_proc_and_sys_are_refused, workdir_through_a_descriptor,
    symlinked_etc_files, a_workdir_symlink_stays_inside, links_to_the_kernels_folders_are_refused,
    a_device_under_another_name_is_that_device,
);

fn digest(path: &Path) -> Outcome<Vec<u8>> {
    Ok(Sha256::digest(std::fs::read(path)?).to_vec())
}

/// An image with changes, in a store of its own.
fn image(env: &Env, name: &str, edit: impl FnOnce(&Path) -> std::io::Result<()>) -> Outcome<PathBuf> {
    let tar = env.fixtures.busybox_with(name, edit)?;
    let root = env.dir("root")?;
    env.at(&root, &["import", s(&tar), name]).go()?.ok()?;
    Ok(root)
}

/// CVE-2019-5736: the image makes the launcher execute itself, keeps a handle on what runs, and writes to it once it is no
/// longer busy. Ours may run, inside and confined; what can never be is a handle that writes.
fn the_launchers_binary_is_out_of_reach(env: &Env) -> Outcome {
    let before = digest(&env.hardrun)?;
    let root = image(env, "exe", |root| {
        symlink("/proc/self/exe", root.join("entry"))?;
        std::fs::write(root.join("script"), "#!/proc/self/exe\n")?;
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(root.join("script"), std::fs::Permissions::from_mode(0o755))
    })?;
    for command in ["/proc/self/exe", "/entry"] {
        // `load` waits for its input, so there is time to take hold of the program that runs.
        let run = env.at(&root, &["run", "--rm", "-i", "exe", command, "--root", "/tmp/r", "load"]).open_stdin();
        let mut front = run.start()?;
        let init = wait_for(Duration::from_secs(10), || {
            host::descendants(front.pid())
                .into_iter()
                .find(|p| host::status(*p).get("Seccomp").is_some_and(|s| s == "2"))
        });
        // One that ends meanwhile was not started: the status says so below.
        let handle = init.and_then(|pid| keep(pid).ok());
        front.close_stdin();
        let out = front.finish()?;
        // It either was not started, or what was running cannot be written to even by the host's root.
        match handle {
            Some(handle) => refuses_writing(&handle)?,
            None => check!(out.code != 0, "{}", out.told()),
        }
    }
    env.at(&root, &["run", "--rm", "exe", "/script", "--version"]).limit(20).go()?;
    // With --init pid 1 is hardrun's own program, for as long as the container runs.
    for flags in [&["--init"][..], &[]] {
        let out = env.probe(flags, &["open-for-writing", "/proc/1/exe", "/proc/self/exe"])?.ok()?;
        check!(out.fields()["/proc/1/exe"] != "open", "{}", out.told());
    }
    let held = env.hold(&["--init"])?;
    let handle = keep(held.init)?;
    held.end()?.ok()?;
    refuses_writing(&handle)?;
    check_eq!(digest(&env.hardrun)?, before, "the binary has changed");
    Ok(())
}

/// A handle on a running program that outlives it.
fn keep(pid: i32) -> Outcome<OwnedFd> {
    use rustix::fs::{Mode, OFlags};
    Ok(rustix::fs::open(format!("/proc/{pid}/exe"), OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?)
}

/// Fail unless the file behind a handle is read-only or sealed, now that nothing executes it: the kernel looks at who
/// executes it first (ETXTBSY), so no other case may run hardrun at the same time.
fn refuses_writing(handle: &OwnedFd) -> Outcome {
    use std::os::fd::AsRawFd;
    let path = format!("/proc/self/fd/{}", handle.as_raw_fd());
    let errno = std::fs::OpenOptions::new().write(true).open(path).err().and_then(|e| e.raw_os_error());
    check!(matches!(errno, Some(libc::EROFS | libc::EPERM)), "errno {errno:?} on opening it for writing");
    Ok(())
}

fn the_launcher_runs_from_a_protected_copy(env: &Env) -> Outcome {
    let held = env.hold(&[])?;
    let handle = keep(held.front.pid())?;
    let same = std::fs::metadata(format!("/proc/{}/exe", held.front.pid()))?;
    held.end()?.ok()?;
    check!(same.is_file());
    refuses_writing(&handle)
}

/// CVE-2021-30465 and its kin: a mount's destination is a link out of the root.
pub fn symlinked_mount_destinations(env: &Env) -> Outcome {
    let outside = env.dir("outside")?;
    let inside = env.dir("inside")?;
    std::fs::write(inside.join("mark"), "mounted\n")?;
    let far = format!("/../../../../../..{}", outside.display());
    let root = image(env, "links", |root| {
        symlink(&far, root.join("m"))?;
        symlink("/../../..", root.join("up"))?;
        symlink("/proc", root.join("p"))
    })?;
    let before = std::fs::read_dir(&outside)?.count();
    let bind = |to: &str| format!("{}:{to}", inside.display());
    let out = env.at(&root, &["run", "--rm", "-v", &bind("/m"), "links", "sh", "-c", "cat /m/mark"]).go()?;
    check!(out.code == 125 || (out.code == 0 && out.out() == "mounted\n"), "{}", out.told());
    let out = env.at(&root, &["run", "--rm", "--tmpfs", "/up/etc", "links", "cat", "/etc/passwd"]).go()?;
    check!(out.code == 125 || out.code == 0 || out.code == 1, "{}", out.told());
    for to in ["/p", "/p/sys", "/p/self/attr"] {
        // Wherever the link leads, procfs is not covered.
        let out = env.at(&root, &["run", "--rm", "-v", &bind(to), "links", "cat", "/proc/self/comm"]).go()?;
        check!(out.code == 125 || out.out() == "cat\n", "{}", out.told());
    }
    check_eq!(std::fs::read_dir(&outside)?.count(), before, "something was made outside of the root");
    check!(Path::new("/etc/passwd").exists());
    Ok(())
}

/// CVE-2026-41579, CVE-2026-47766.
pub fn a_symlinked_dev_is_refused(env: &Env) -> Outcome {
    let outside = env.dir("outside-dev")?;
    let root = image(env, "dev", |root| {
        std::fs::remove_dir(root.join("dev"))?;
        symlink(format!("/../../../../..{}", outside.display()), root.join("dev"))
    })?;
    env.at(&root, &["run", "--rm", "dev", "true"]).go()?.exits(125)?.complains(&["/dev"])?;
    check_eq!(std::fs::read_dir(&outside)?.count(), 0, "files were made outside of the root");
    Ok(())
}

fn symlinked_proc_and_sys_are_refused(env: &Env) -> Outcome {
    for name in ["proc", "sys"] {
        let root = image(env, &format!("link-{name}"), |root| {
            std::fs::remove_dir(root.join(name))?;
            symlink("/tmp", root.join(name))
        })?;
        let image = format!("link-{name}");
        env.at(&root, &["run", "--rm", &image, "true"]).go()?.exits(125)?.complains(&[name])?;
    }
    Ok(())
}

/// CVE-2024-21626.
pub fn workdir_through_a_descriptor(env: &Env) -> Outcome {
    for dir in ["/proc/self/fd/7", "/proc/self/fd/8/../..", "/proc/1/cwd", "/proc/thread-self/root"] {
        let out = env.sh(&["-w", dir], "pwd; ls /")?.exits(125)?;
        check_eq!(out.out(), "");
    }
    let root = image(env, "cwd", |root| symlink("/proc/self/fd/7", root.join("work")))?;
    let out = env.at(&root, &["run", "--rm", "-w", "/work", "cwd", "sh", "-c", "pwd; ls -d /home/app"]).go()?;
    check!(out.code != 0 || out.out().contains("/home/app"), "{}", out.told());
    Ok(())
}

fn symlinked_etc_files(env: &Env) -> Outcome {
    let outside = env.dir("outside-etc")?;
    let file = outside.join("victim");
    std::fs::write(&file, "untouched\n")?;
    let link = format!("/../../../..{}", file.display());
    let root = image(env, "etc", |root| {
        for name in ["hosts", "hostname", "resolv.conf"] {
            symlink(&link, root.join("etc").join(name))?;
        }
        Ok(())
    })?;
    let out = env.at(&root, &["run", "--rm", "etc", "sh", "-c", "echo x >> /etc/hosts; echo done"]).go()?;
    check!(out.code == 0 || out.code == 125, "{}", out.told());
    check_eq!(std::fs::read_to_string(&file)?, "untouched\n");
    Ok(())
}

fn a_workdir_symlink_stays_inside(env: &Env) -> Outcome {
    let outside = env.dir("outside-work")?;
    let link = format!("/../../../..{}", outside.display());
    let root = image(env, "work", |root| symlink(&link, root.join("w")))?;
    // Docker makes a missing working directory: inside the root, never at the link's end on the host.
    let out = env.at(&root, &["run", "--rm", "-w", "/w/made", "work", "pwd"]).go()?;
    check!(out.code == 0 || out.code == 125, "{}", out.told());
    check_eq!(std::fs::read_dir(&outside)?.count(), 0, "made on the host");
    let held = env.hold(&[])?;
    check!(host::status(held.init).contains_key("Seccomp"));
    held.end()?.ok()?;
    Ok(())
}

/// CVE-2025-52881: a link sends a mount over what the confinement is set up through.
pub fn links_to_the_kernels_folders_are_refused(env: &Env) -> Outcome {
    let inside = env.dir("over")?;
    let root = image(env, "over", |root| {
        symlink("/dev", root.join("d"))?;
        symlink("/proc", root.join("p"))
    })?;
    for to in ["/d", "/p/sys/kernel", "/p/1/attr"] {
        let bind = format!("{}:{to}", inside.display());
        env.at(&root, &["run", "--rm", "-v", &bind, "over", "true"]).go()?.exits(125)?.complains(&["leads to"])?;
    }
    check_eq!(std::fs::read_dir(&inside)?.count(), 0, "devices were made in a folder of the host");
    env.at(&root, &["run", "--rm", "-w", "/p/self", "over", "true"]).go()?.exits(125)?;
    let root = image(env, "hosts", |root| symlink("/proc/1/attr/exec", root.join("etc/hosts")))?;
    env.at(&root, &["run", "--rm", "hosts", "true"]).go()?.exits(125)?.complains(&["/proc/1/attr/exec"])?;
    // The link is in a folder of the host, so it only shows when the state is read back.
    let bound = env.dir("bound")?;
    symlink("/proc", bound.join("p"))?;
    let flags = [format!("{}:/b", bound.display()), format!("{}:/b/p/sys/kernel", inside.display())];
    env.sh(&["-v", &flags[0], "-v", &flags[1]], "true")?.exits(125)?.complains(&["/proc/sys/kernel"])?;
    Ok(())
}

/// What the container's path of a device is called on the host is nobody's business.
fn a_device_under_another_name_is_that_device(env: &Env) -> Outcome {
    let name = format!("/dev/shm/hardrun-it-{}", std::process::id());
    std::fs::write(&name, "the host's\n")?;
    let device = format!("/dev/null:{name}");
    let out = env.sh(&["--device", &device], &format!("echo lost > {name}; cat {name}; test -c {name} && echo device"));
    let content = std::fs::read_to_string(&name)?;
    std::fs::remove_file(&name)?;
    check_eq!(out?.ok()?.out(), "device\n");
    check_eq!(content, "the host's\n", "the container wrote to a file of the host");
    let out = env.sh(&["--device", "/dev/zero:/dev/nothing-here"], "head -c 3 /dev/nothing-here | od -An -tx1")?;
    check_eq!(out.ok()?.out().trim(), "00 00 00");
    Ok(())
}
