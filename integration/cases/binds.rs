//! Host folders inside: whose files are whose, and what can be left behind.

use super::lifecycle::Kept;
use crate::harness::env::{label, needs_user_namespaces, s};
use crate::harness::{Env, Outcome, host, skip};
use crate::{cases, check, check_eq};
use nix::unistd::{Gid, Uid, chown};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

cases!("binds":
    what_is_made_in_a_users_folder_is_the_users, a_root_owned_folder_works, chown_inside_reaches_no_host_root,
    no_setid_file_is_left_behind, file_capabilities_are_not_the_hosts, submounts_are_read_only_too,
    a_sensitive_path_is_read_only_by_itself, sockets_and_devices_in_binds, a_users_private_folder,
    other_owners_files_stay_theirs, a_builds_output, without_user_namespaces_owners_are_the_hosts,
    what_cannot_be_mapped_is_told,
);

fn owned_by(env: &Env, uid: u32, mode: u32) -> Outcome<PathBuf> {
    let dir = env.dir("owned")?;
    std::fs::set_permissions(&dir, std::fs::Permissions::from_mode(mode))?;
    chown(&dir, Some(Uid::from_raw(uid)), Some(Gid::from_raw(uid)))?;
    Ok(dir)
}

fn bound(dir: &Path) -> String {
    format!("{}:/m", dir.display())
}

fn owner(path: &Path) -> Outcome<(u32, u32)> {
    let m = std::fs::symlink_metadata(path)?;
    Ok((m.uid(), m.gid()))
}

fn what_is_made_in_a_users_folder_is_the_users(env: &Env) -> Outcome {
    needs_user_namespaces()?;
    for user in ["root", "app", "1234", "65534"] {
        let dir = owned_by(env, 1000, 0o755)?;
        let script = "touch /m/file; mkdir -p /m/a/b; ln -s x /m/link; stat -c %u /m/file > /m/seen; id -u >> /m/seen";
        env.sh(&["-u", user, "-v", &bound(&dir)], script)?.ok()?;
        for name in ["file", "a", "a/b", "link", "seen"] {
            check_eq!(owner(&dir.join(name))?, (1000, 1000), "{name} made as {user}");
        }
        let seen = std::fs::read_to_string(dir.join("seen"))?;
        let lines: Vec<&str> = seen.lines().collect();
        check_eq!(lines[0], lines[1], "inside, the file belongs to who made it");
    }
    Ok(())
}

fn a_users_private_folder(env: &Env) -> Outcome {
    needs_user_namespaces()?;
    let dir = owned_by(env, 1000, 0o700)?;
    std::fs::write(dir.join("in"), "private\n")?;
    chown(&dir.join("in"), Some(Uid::from_raw(1000)), Some(Gid::from_raw(1000)))?;
    env.sh(&["-v", &bound(&dir)], "cat /m/in; echo more >> /m/in")?.ok()?.says("private")?;
    check_eq!(std::fs::read_to_string(dir.join("in"))?, "private\nmore\n");
    Ok(())
}

/// Nothing can be mapped there: root inside has no more than its number in a user's folder, which is said with what helps.
fn without_user_namespaces_owners_are_the_hosts(env: &Env) -> Outcome {
    if needs_user_namespaces().is_ok() {
        return skip("user namespaces are on here");
    }
    let dir = owned_by(env, 1000, 0o755)?;
    let out = env.sh(&["-v", &bound(&dir)], "echo x > /m/file")?.exits(1)?;
    let out = out.complains(&["Permission denied", "the owners in -v", "-u UID:GID"])?;
    check!(!dir.join("file").exists(), "{}", out.told());
    env.sh(&["-u", "1000:1000", "-v", &bound(&dir)], "echo x > /m/file; chown 0 /m/file; true")?.ok()?;
    check_eq!(owner(&dir.join("file"))?, (1000, 1000));
    let out = env.sh(&["-v", &format!("{}:ro", bound(&dir))], "cat /m/file")?.ok()?.says("x")?;
    check!(!out.err().contains("the owners in -v"), "{}", out.told());
    Ok(())
}

fn a_root_owned_folder_works(env: &Env) -> Outcome {
    let dir = owned_by(env, 0, 0o755)?;
    std::fs::write(dir.join("in"), "root's\n")?;
    let script = "cat /m/in; echo out > /m/out; mkdir /m/sub && touch /m/sub/x && mv /m/sub /m/moved && rm /m/in";
    env.sh(&["-v", &bound(&dir)], script)?.ok()?.says("root's")?;
    check_eq!(std::fs::read_to_string(dir.join("out"))?, "out\n");
    check!(dir.join("moved/x").exists() && !dir.join("in").exists());
    Ok(())
}

fn other_owners_files_stay_theirs(env: &Env) -> Outcome {
    needs_user_namespaces()?;
    let dir = owned_by(env, 1000, 0o755)?;
    let secret = dir.join("roots");
    std::fs::write(&secret, "root only\n")?;
    std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o600))?;
    // Host root's file in a user's folder: not readable, not writable, not owned by anybody inside.
    let out =
        env.sh(&["-v", &bound(&dir)], "cat /m/roots; echo x >> /m/roots; chown 0 /m/roots; stat -c %u /m/roots")?;
    check!(!out.out().contains("root only"), "{}", out.told());
    check!(out.out().trim() != "0", "host root's file is the container root's: {}", out.told());
    check_eq!(std::fs::read_to_string(&secret)?, "root only\n");
    check_eq!(owner(&secret)?, (0, 0));
    Ok(())
}

fn chown_inside_reaches_no_host_root(env: &Env) -> Outcome {
    needs_user_namespaces()?;
    let dir = owned_by(env, 1000, 0o777)?;
    let script =
        "for u in 0 1 999 1000 1001 5000 65533 65534; do touch /m/$u; chown $u:$u /m/$u; chmod 777 /m/$u; done; true";
    env.sh(&["-v", &bound(&dir)], script)?.ok()?;
    for entry in std::fs::read_dir(&dir)?.flatten() {
        let m = entry.metadata()?;
        check!(m.uid() != 0 && m.gid() != 0, "{} belongs to host root", entry.path().display());
    }
    Ok(())
}

fn setid_below(dir: &Path) -> Outcome<Vec<String>> {
    let mut found = Vec::new();
    for rel in crate::harness::leaks::files(dir) {
        let m = std::fs::symlink_metadata(dir.join(&rel))?;
        if !m.is_symlink() && m.mode() & 0o6000 != 0 {
            found.push(format!("{rel} {:o} of {}", m.mode(), m.uid()));
        }
    }
    Ok(found)
}

fn no_setid_file_is_left_behind(env: &Env) -> Outcome {
    for uid in [0, 1000] {
        for flags in [&[][..], &["-u", "app"]] {
            let dir = owned_by(env, uid, 0o777)?;
            let bind = bound(&dir);
            let flags = [&["-v", bind.as_str()], flags].concat();
            let ways = env.probe(&flags, &["setid", "/m"])?.ok()?;
            check!(ways.fields().len() >= 15, "{}", ways.told());
            let left = setid_below(&dir)?;
            check!(left.is_empty(), "in a folder of {uid} with {flags:?}: {left:?}\n{}", ways.told());
            // A rename out of the image's root, and what tools do.
            let script = "cp /bin/busybox /tmp/b; chmod 4755 /tmp/b; mv /tmp/b /m/moved; cp -p /bin/busybox /m/copied; \
                          chmod u+s /m/copied; install -m 4755 /bin/busybox /m/installed; \
                          cd /tmp && touch t && chmod 6755 t; tar cf t.tar t; tar xpf t.tar -C /m; true";
            env.sh(&flags, script)?.ok()?;
            let left = setid_below(&dir)?;
            check!(left.is_empty(), "in a folder of {uid} with {flags:?}: {left:?}");
        }
    }
    Ok(())
}

fn file_capabilities_are_not_the_hosts(env: &Env) -> Outcome {
    env.needs("getcap")?;
    let dir = owned_by(env, 1000, 0o777)?;
    let image = env.debian()?;
    let script = "cp /bin/true /m/t; command -v setcap >/dev/null && setcap cap_setuid+ep /m/t; true";
    env.sh_in(image, &["-v", &bound(&dir)], script).go()?.ok()?;
    let out = crate::harness::Run::new("getcap").arg("-n").arg(dir.join("t")).go()?;
    check!(out.out().is_empty() || out.out().contains("rootid="), "{}", out.told());
    Ok(())
}

fn submounts_are_read_only_too(env: &Env) -> Outcome {
    let dir = env.dir("nested")?;
    let sub = dir.join("sub");
    std::fs::create_dir(&sub)?;
    nix::mount::mount(Some("tmpfs"), &sub, Some("tmpfs"), nix::mount::MsFlags::empty(), Some("size=1m"))?;
    label(&sub)?;
    std::fs::write(sub.join("file"), "below\n")?;
    let ro = format!("{}:/m:ro", dir.display());
    let out = env.sh(&["-v", &ro], "cat /m/sub/file; echo x > /m/sub/new; echo x > /m/new");
    nix::mount::umount(&sub)?;
    let out = out?;
    check!(out.out() == "below\n", "{}", out.told());
    check_eq!(out.err().matches("Read-only").count(), 2, "{}", out.told());
    Ok(())
}

fn a_sensitive_path_is_read_only_by_itself(env: &Env) -> Outcome {
    let out = env.sh(&["--network", "none", "-v", "/usr/share:/m"], "ls /m | head -n 1; touch /m/hardrun-was-here")?;
    check!(out.code != 0 && out.err().contains("Read-only"), "{}", out.told());
    check!(!Path::new("/usr/share/hardrun-was-here").exists());
    let said: Vec<String> = out.err().lines().filter(|l| l.contains("/usr/share")).map(str::to_owned).collect();
    check!(said.iter().any(|l| l.contains("read-only")), "no line says that it is read-only\n{}", out.told());
    // Asked for in words there is nothing to tell.
    let out = env.sh(&["--network", "none", "-v", "/usr/share:/m:ro"], "true")?.ok()?;
    check_eq!(out.err(), "");
    Ok(())
}

fn sockets_and_devices_in_binds(env: &Env) -> Outcome {
    let dir = owned_by(env, 1000, 0o777)?;
    use nix::sys::stat::{Mode, SFlag, makedev, mknod};
    mknod(&dir.join("null"), SFlag::S_IFCHR, Mode::from_bits_truncate(0o666), makedev(1, 3))?;
    let out = env.probe(&["-v", &bound(&dir)], &["open-for-reading", "/m/null"])?.ok()?;
    check!(out.fields()["/m/null"] != "open", "a device in a bound folder opens: {}", out.told());
    Ok(())
}

fn a_builds_output(env: &Env) -> Outcome {
    needs_user_namespaces()?;
    let dir = owned_by(env, 1000, 0o755)?;
    let script =
        "mkdir -p out && echo built > out/program && chmod 755 out/program && ln out/program out/again && sync";
    let run = env.verb(&["run", "--rm", "-v", ".:/src", "-w", "/src", "busybox", "sh", "-c", script]).dir(&dir);
    run.go()?.ok()?;
    check_eq!(std::fs::read_to_string(dir.join("out/again"))?, "built\n");
    check_eq!(std::fs::metadata(dir.join("out/program"))?.mode() & 0o777, 0o755);
    let held = env.hold(&["-v", &bound(&dir)])?;
    let mounts = host::mounts(held.init)?;
    held.end()?.ok()?;
    check!(mounts.iter().any(|m| m.target == "/m" && m.options.contains("rw")), "{}", s(&dir));
    Ok(())
}

/// In the background as well, where the launcher's own stderr is nobody's.
fn what_cannot_be_mapped_is_told(env: &Env) -> Outcome {
    needs_user_namespaces()?;
    let dir = env.dir("unmapped")?;
    nix::mount::mount(Some("ramfs"), &dir, Some("ramfs"), nix::mount::MsFlags::empty(), None::<&str>)?;
    label(&dir)?;
    let bind = bound(&dir);
    let tried = || {
        let front = env.sh(&["-v", &bind], "true")?;
        let back = env.verb(&["run", "-d", "--rm", "--network", "none", "-v", &bind, "busybox", "true"]).go()?;
        let kept = Kept::create(env, &["-v", &bind], &["true"])?;
        Outcome::Ok([front, back, kept.verb(&["start"]).go()?])
    };
    let tried = tried();
    nix::mount::umount2(&dir, nix::mount::MntFlags::MNT_DETACH)?;
    for out in tried? {
        let out = out.ok()?.complains(&["cannot be idmapped"])?;
        check_eq!(out.err().matches("cannot be idmapped").count(), 1, "{}", out.told());
    }
    Ok(())
}
