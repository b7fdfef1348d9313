//! Volumes: made, listed, shared, filled, removed, limited.

use crate::harness::env::{needs_user_namespaces, s};
use crate::harness::{Env, Outcome, Run};
use crate::{cases, check, check_eq};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

cases!("volumes":
    made_listed_and_removed, the_same_words_as_docker, shared_between_containers, options_become_binds_and_memory,
    one_made_before_still_works, a_quota_holds_or_is_refused, a_folder_of_the_host_is_judged_when_it_is_made,
    there_from_create_on,
);

fn at(env: &Env, root: &Path, args: &[&str]) -> Run {
    env.at(root, args)
}

fn made_listed_and_removed(env: &Env) -> Outcome {
    let root = env.own_root()?;
    at(env, &root, &["volume", "create", "--label", "a=b", "data"]).go()?.ok()?.says("data")?;
    let unnamed = at(env, &root, &["volume", "create"]).go()?.ok()?;
    check_eq!(unnamed.out().trim().len(), 64);
    let listed = at(env, &root, &["volume", "ls"]).go()?.ok()?;
    check!(listed.out().starts_with("DRIVER    VOLUME NAME\nlocal     "), "{}", listed.told());
    at(env, &root, &["volume", "ls", "-q", "-f", "label=a"]).go()?.ok()?.says("data")?;
    let inspected = at(env, &root, &["volume", "inspect", "data"]).go()?.ok()?;
    let json: serde_json::Value = serde_json::from_slice(&inspected.stdout)?;
    check_eq!(json[0]["Mountpoint"].as_str(), Some(s(&root.join("volumes/data/_data"))));
    check_eq!(json[0]["Labels"]["a"].as_str(), Some("b"));
    // What a run makes is a volume as any other.
    at(env, &root, &["run", "--rm", "--network", "none", "-v", "made:/x", "busybox", "sh", "-c", "echo 1234 >/x/f"])
        .go()?
        .ok()?;
    check_eq!(std::fs::read_to_string(root.join("volumes/made/_data/f"))?, "1234\n");
    check_eq!(std::fs::metadata(root.join("volumes/made/_data/f"))?.uid(), 0, "ids on disk are the container's");
    let pruned = at(env, &root, &["volume", "prune", "-f"]).go()?.ok()?;
    check_eq!(pruned.out(), format!("Deleted Volumes:\n{}\n\nTotal reclaimed space: 0B\n", unnamed.out().trim()));
    at(env, &root, &["volume", "prune", "-a", "-f", "--filter", "label!=a"])
        .go()?
        .ok()?
        .says("Deleted Volumes:\nmade\n\nTotal reclaimed space: 5B")?;
    let left = at(env, &root, &["volume", "rm", "nope", "data"]).go()?.exits(1)?.says("data")?;
    left.complains(&["get nope: no such volume"])?;
    at(env, &root, &["volume", "rm", "-f", "nope"]).go()?.ok()?.says("nope")?;
    at(env, &root, &["volume", "ls", "-q"]).go()?.ok()?.says("")?;
    // An anonymous volume goes with its container.
    at(env, &root, &["run", "--rm", "--network", "none", "-v", "/x", "busybox", "touch", "/x/f"]).go()?.ok()?;
    at(env, &root, &["volume", "ls", "-q"]).go()?.ok()?.says("")?;
    Ok(())
}

/// Word for word, for what a script can see.
fn the_same_words_as_docker(env: &Env) -> Outcome {
    let docker = env.peers.docker(env)?;
    let root = env.own_root()?;
    let lines: &[&[&str]] = &[
        &["volume", "create", "words-a"],
        &["volume", "create", "words-a", "--label", "x"],
        &["volume", "create", "--label", "k=v", "--label", "e", "words-b"],
        &["volume", "create", "-o", "type=tmpfs", "-o", "device=tmpfs", "words-c"],
        &["volume", "create", "-o", "type=ext4", "words-d"],
        &["volume", "create", "-o", "foo=bar", "words-d"],
        &["volume", "create", "-d", "nope", "words-d"],
        &["volume", "create", "x"],
        &["volume", "create", "--name", "a", "b"],
        &["volume", "ls", "-f", "name=words"],
        &["volume", "ls", "-q", "-f", "label=k=v"],
        &["volume", "ls", "-q", "-f", "name=words", "-f", "dangling=false"],
        &["volume", "ls", "-f", "nope=x"],
        &["volume", "ls", "-f", "dangling=x"],
        &[
            "volume",
            "ls",
            "-f",
            "name=words-",
            "--format",
            "{{.Name}}\t{{.Driver}} {{.Scope}} {{.Label \"k\"}} {{.Links}}",
        ],
        &["volume", "rm", "words-nope", "words-a"],
        &["volume", "rm", "-f", "words-nope", "words-b", "words-c"],
        &["volume", "inspect", "words-nope"],
    ];
    for words in lines {
        let (ours, theirs) = (at(env, &root, words).go()?, docker.run(words).go()?);
        check_eq!((ours.code, ours.out()), (theirs.code, theirs.out()), "{words:?}\n{}", ours.told());
        let said = theirs.err();
        let told = said.trim().strip_prefix("Error response from daemon: ").unwrap_or(said.trim());
        check!(ours.err().contains(told), "{words:?}: docker says {told:?}\n{}", ours.told());
    }
    Ok(())
}

fn shared_between_containers(env: &Env) -> Outcome {
    let root = env.own_root()?;
    let run = |script: &str| {
        at(env, &root, &["run", "--rm", "--network", "none", "-v", "shared:/x", "busybox", "sh", "-c", script]).go()
    };
    run("echo one >/x/f; chown 33:44 /x/f; chmod 640 /x/f")?.ok()?;
    // Without user namespaces nobody inside may give a file away.
    let owners = if needs_user_namespaces().is_ok() { "33 44" } else { "0 0" };
    run("cat /x/f; stat -c '%u %g %a' /x/f")?.ok()?.says(&format!("one\n{owners} 640"))?;
    let outcomes: Vec<_> = std::thread::scope(|scope| {
        let many: Vec<_> = (0..6)
            .map(|n| {
                let root = &root;
                let words = format!("echo {n} >/y/{n}");
                scope.spawn(move || {
                    env.at(
                        root,
                        &["run", "--rm", "--network", "none", "-v", "together:/y", "busybox", "sh", "-c", &words],
                    )
                    .go()
                })
            })
            .collect();
        many.into_iter().map(|t| t.join()).collect()
    });
    for outcome in outcomes {
        match outcome {
            Ok(output) => output?.ok()?,
            Err(_) => return crate::harness::fail("a thread panicked"),
        };
    }
    check_eq!(std::fs::read_dir(root.join("volumes/together/_data"))?.count(), 6);
    Ok(())
}

fn options_become_binds_and_memory(env: &Env) -> Outcome {
    let root = env.own_root()?;
    let host = env.dir("host")?;
    std::fs::write(host.join("seen"), "from the host\n")?;
    let create = |name: &str, device: &str, o: &str, kind: &str| {
        let (device, o, kind) = (format!("device={device}"), format!("o={o}"), format!("type={kind}"));
        at(env, &root, &["volume", "create", "-o", &kind, "-o", &device, "-o", &o, name]).go()
    };
    create("bound", s(&host), "bind,ro", "none")?.ok()?;
    let words =
        ["run", "--rm", "--network", "none", "-v", "bound:/x", "busybox", "sh", "-c", "cat /x/seen; touch /x/y"];
    at(env, &root, &words).go()?.exits(1)?.says("from the host")?;
    // The same rules as for a bind, when it is made and when it is used.
    create("evil", "/proc", "bind", "none")?.exits(125)?.complains(&["host-proc-mount"])?;
    create("shadow", "/etc/shadow", "bind", "none")?.exits(125)?.complains(&["host-secrets"])?;
    let late = env.dir("late")?.join("socket");
    create("late", s(&late), "bind", "none")?.ok()?;
    std::os::unix::fs::symlink("/etc/shadow", &late)?;
    let refused = at(env, &root, &["run", "--rm", "-v", "late:/x", "busybox", "cat", "/x"]).go()?.exits(125)?;
    refused.complains(&["host-secrets"])?;
    create("memory", "tmpfs", "size=1m,uid=7,mode=0700", "tmpfs")?.ok()?;
    let words = [
        "run",
        "--rm",
        "--network",
        "none",
        "-v",
        "memory:/x",
        "busybox",
        "sh",
        "-c",
        "stat -f -c %T /x; stat -c '%u %a' /x",
    ];
    at(env, &root, &words).go()?.ok()?.says("tmpfs\n7 700")?;
    create("nfs", ":/export", "addr=10.0.0.1", "nfs")?.exits(1)?.complains(&["is not mounted by hardrun"])?;
    Ok(())
}

fn one_made_before_still_works(env: &Env) -> Outcome {
    let root = env.own_root()?;
    let data = root.join("volumes/old/_data");
    std::fs::create_dir_all(&data)?;
    std::fs::write(data.join("kept"), "kept\n")?;
    at(env, &root, &["volume", "inspect", "old"]).go()?.ok()?;
    at(env, &root, &["run", "--rm", "--network", "none", "-v", "old:/x", "busybox", "cat", "/x/kept"])
        .go()?
        .ok()?
        .says("kept")?;
    check!(root.join("volumes/old/volume.json").exists(), "it has no description yet");
    at(env, &root, &["volume", "rm", "old"]).go()?.ok()?;
    Ok(())
}

/// On an ext4 made for this, where loop devices are to be had; everywhere else the refusal.
fn a_quota_holds_or_is_refused(env: &Env) -> Outcome {
    let root = env.own_root()?;
    let tried = at(env, &root, &["volume", "create", "-o", "size=4m", "small"]).go()?;
    if tried.code != 0 {
        tried.exits(1)?.complains(&["quota size requested but no quota support", "prjquota"])?;
        at(env, &root, &["volume", "ls", "-q"]).go()?.ok()?.says("")?;
    }
    env.needs("mkfs.ext4")?;
    let (image, at_path) = (env.dir("quota")?.join("disk"), env.dir("mounted")?);
    std::fs::File::create(&image)?.set_len(256 << 20)?;
    Run::new("mkfs.ext4").args(["-q", "-O", "quota,project", "-E", "quotatype=prjquota", s(&image)]).go()?.ok()?;
    let mounted = Run::new("mount").args(["-o", "loop,prjquota", s(&image), s(&at_path)]).go()?;
    if mounted.code != 0 {
        return crate::harness::skip(format!("no file system with project quotas here: {}", mounted.err().trim()));
    }
    let outcome = quota_holds(env, &at_path.join("root"));
    Run::new("umount").arg(s(&at_path)).go()?.ok()?;
    outcome
}

fn quota_holds(env: &Env, root: &Path) -> Outcome {
    at(env, root, &["import", s(&env.fixtures.busybox()?), "busybox"]).go()?.ok()?;
    at(env, root, &["volume", "create", "-o", "size=4m", "small"]).go()?.ok()?;
    let write =
        "dd if=/dev/zero of=/x/f bs=1M count=3 2>/dev/null && echo fits; dd if=/dev/zero of=/x/g bs=1M count=3 2>&1";
    let full = at(env, root, &["run", "--rm", "--network", "none", "-v", "small:/x", "busybox", "sh", "-c", write])
        .go()?
        .exits(1)?;
    check!(full.out().starts_with("fits\n"), "{}", full.told());
    at(env, root, &["volume", "rm", "small"]).go()?.ok()?;
    Ok(())
}

/// Whoever makes a volume need not be who uses it: what a container would be refused is refused at the door.
fn a_folder_of_the_host_is_judged_when_it_is_made(env: &Env) -> Outcome {
    let root = env.own_root()?;
    let folder = env.dir("bound")?;
    let of = |device: &str, name: &str, more: &[&str]| {
        let device = format!("device={device}");
        let words = ["volume", "create", "-o", "type=none", "-o", "o=bind", "-o", &device, name];
        at(env, &root, &[words.as_slice(), more].concat()).go()
    };
    for (device, rule) in [("/", "host-root-mount"), ("/dev", "host-dev-mount"), ("/proc", "host-proc-mount")] {
        of(device, "bad", &[])?.exits(125)?.complains(&[rule, "--allow"])?;
    }
    of(s(&root), "bad", &[])?.exits(125)?.complains(&["own-state"])?;
    at(env, &root, &["volume", "inspect", "bad"]).go()?.exits(1)?;
    of(s(&folder), "good", &[])?.ok()?.says("good")?;
    // As with docker, one that is not there yet may be made.
    of("/no/such/folder", "later", &[])?.ok()?.says("later")?;
    of("/proc", "asked", &["--allow", "host-proc-mount=a test"])?.ok()?.says("asked")?;
    let log = at(env, &root, &["audit-log", "show"]).go()?.ok()?;
    check!(log.out().contains("host-proc-mount") && log.out().contains("a test"), "{}", log.told());
    // The override was for the making: the container that mounts it needs one of its own.
    let run = at(env, &root, &["run", "--rm", "--network", "none", "-v", "asked:/x", "busybox", "true"]).go()?;
    run.exits(125)?.complains(&["host-proc-mount"])?;
    Ok(())
}

fn there_from_create_on(env: &Env) -> Outcome {
    let root = env.own_root()?;
    let create = ["create", "--name", "vc", "--network", "none", "-v", "named:/etc", "-v", "/anonymous", "busybox"];
    at(env, &root, &[create.as_slice(), &["ls", "/etc"]].concat()).go()?.ok()?;
    let listed = at(env, &root, &["volume", "ls", "-q"]).go()?.ok()?;
    check!(listed.out().lines().count() == 2 && listed.out().contains("named\n"), "{}", listed.told());
    at(env, &root, &["volume", "rm", "named"]).go()?.exits(1)?.complains(&["volume is in use"])?;
    // What the image has there comes into it at the first start.
    let started = at(env, &root, &["start", "-a", "vc"]).go()?.ok()?;
    check!(started.out().contains("passwd"), "{}", started.told());
    at(env, &root, &["rm", "-v", "vc"]).go()?.ok()?;
    at(env, &root, &["volume", "ls", "-q"]).go()?.ok()?.says("named")?;
    Ok(())
}
