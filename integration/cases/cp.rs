//! Files in and out of containers: `cp` beside docker's, hostile paths, `diff`, `commit`, `export`.

use crate::harness::env::{needs_user_namespaces, s};
use crate::harness::peers::Docker;
use crate::harness::{Env, Outcome, Output, Run};
use crate::{cases, check, check_eq};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

cases!("cp":
    the_same_as_docker_both_ways, a_container_that_was_never_started, owners_and_rights, hostile_links_lead_nowhere,
    volumes_and_read_only_roots, what_a_container_changed, an_image_of_the_changes, a_whole_root_as_an_archive,
);

fn at(env: &Env, root: &Path, args: &[&str]) -> Run {
    env.at(root, args).limit(120)
}

/// A container that stays up until it is removed.
fn up(env: &Env, root: &Path, name: &str, flags: &[&str], script: &str) -> Outcome {
    let script = format!("{script}; touch /tmp/ready; exec sleep 1000");
    at(env, root, &["run", "-d", "--name", name, "--network", "none"])
        .args(flags)
        .args(["busybox", "sh", "-c", &script])
        .go()?
        .ok()?;
    ready(|| at(env, root, &["exec", name, "ls", "/tmp/ready"]).go())
}

fn ready(mut ask: impl FnMut() -> Outcome<Output>) -> Outcome {
    for _ in 0..100 {
        if ask()?.code == 0 {
            return Ok(());
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    crate::harness::fail("the container does not come up")
}

/// Names, kinds, modes and contents below a folder.
fn listing(top: &Path) -> Outcome<Vec<String>> {
    let (mut out, mut todo) = (Vec::new(), vec![top.to_owned()]);
    while let Some(folder) = todo.pop() {
        for entry in std::fs::read_dir(&folder)? {
            let path = entry?.path();
            let meta = path.symlink_metadata()?;
            let name = path.strip_prefix(top).unwrap_or(&path).display().to_string();
            let what = if meta.is_dir() {
                todo.push(path.clone());
                "folder".to_owned()
            } else if meta.is_symlink() {
                format!("-> {}", std::fs::read_link(&path)?.display())
            } else {
                std::fs::read_to_string(&path).unwrap_or_default()
            };
            out.push(format!("{name} {:o} {what}", meta.mode() & 0o7777));
        }
    }
    out.sort();
    Ok(out)
}

const MADE: &str = "mkdir -p /d/sub; echo hi >/d/f; echo deep >/d/sub/g; ln -s /d/f /lnk; ln -s /d /dl; chmod 640 /d/f";

/// Each side in a folder of its own with the same files in it.
fn the_same_as_docker_both_ways(env: &Env) -> Outcome {
    let docker = env.peers.docker(env)?;
    let root = env.own_root()?;
    up(env, &root, "cc", &[], MADE)?;
    let script = format!("{MADE}; touch /tmp/ready; exec sleep 1000");
    docker.run(&["run", "-d", "--name", "cc", "--network", "none", "busybox", "sh", "-c", &script]).go()?.ok()?;
    ready(|| docker.run(&["exec", "cc", "ls", "/tmp/ready"]).go())?;
    let (ours, theirs) = (env.dir("ours")?, env.dir("theirs")?);
    for side in [&ours, &theirs] {
        std::fs::create_dir_all(side.join("dd/e"))?;
        std::fs::write(side.join("host"), "from the host\n")?;
        std::fs::write(side.join("dd/x"), "x\n")?;
        symlink("host", side.join("link"))?;
    }
    let outcome = compare(env, &root, docker, &ours, &theirs);
    docker.run(&["rm", "-f", "cc"]).go()?;
    at(env, &root, &["rm", "-f", "cc"]).go()?.ok()?;
    outcome
}

fn compare(env: &Env, root: &Path, docker: &Docker, ours: &Path, theirs: &Path) -> Outcome {
    let lines: &[&[&str]] = &[
        &["cc:/d/f", "f1"],
        &["cc:/d", "out"],
        &["cc:/d", "out"],
        &["cc:/d/.", "out2"],
        &["cc:/d/.", "out2"],
        &["cc:/d/", "out3"],
        &["cc:d/f", "relative"],
        &["cc:/d/f", "nodir/"],
        &["cc:/d/f", "nodir/x"],
        &["cc:/d", "f1"],
        &["cc:/nope", "x"],
        &["nope:/x", "x"],
        &["cc:/lnk", "l1"],
        &["-L", "cc:/lnk", "l2"],
        &["cc:/dl", "l3"],
        &["-L", "cc:/dl", "l4"],
        &["cc:/dl/.", "l5"],
        &["cc:/d", "cc:/e"],
        &["x", "y"],
        &["-", "-"],
        &["host", "-"],
        &["cc:/d/f", "/dev/null"],
        &["host", "cc:/d/in"],
        &["host", "cc:/d"],
        &["host", "cc:/d/"],
        &["host", "cc:/lnk"],
        &["host", "cc:/dl/through"],
        &["host", "cc:/nodir/x"],
        &["dd", "cc:/newd"],
        &["dd", "cc:/newd"],
        &["dd/.", "cc:/d"],
        &["dd", "cc:/d/f"],
        &["link", "cc:/copied"],
        &["-L", "link", "cc:/followed"],
        &["nofile", "cc:/d"],
        &["host/", "cc:/d"],
        &["host", "nope:/d"],
        &["-a", "host", "cc:/d/arch"],
    ];
    for words in lines {
        let one = at(env, root, &["cp"]).args(*words).dir(ours).go()?;
        let two = docker.run(&["cp"]).args(*words).dir(theirs).go()?;
        check_eq!((one.code, one.out()), (two.code, two.out()), "{words:?}\n{}\n{}", one.told(), two.told());
        check_eq!(listing(ours)?, listing(theirs)?, "after {words:?}\n{}\n{}", one.told(), two.told());
        // The last line is what went wrong; docker's client chatters before it.
        let said = two.err().lines().last().unwrap_or_default().replace("Error response from daemon: ", "");
        let said = said.replace(s(theirs), s(ours));
        check!(one.err().contains(&said), "{words:?}: docker says {said:?}\n{}", one.told());
    }
    let inside = "cd /; for p in /d /newd /copied /followed /lnk; do find $p -exec stat -c '%n %F %a %u %g' {} \\; ; done | sort; cat /d/in /d/through /d/f";
    let (one, two) = (
        at(env, root, &["exec", "cc", "sh", "-c", inside]).go()?.ok()?,
        docker.run(&["exec", "cc", "sh", "-c", inside]).go()?.ok()?,
    );
    check_eq!(one.out(), two.out());
    // Archives: the same names.
    for path in ["cc:/d", "cc:/d/f", "cc:/d/."] {
        let names = |out: Output| -> Outcome<Vec<String>> {
            let mut names = Vec::new();
            for entry in tar::Archive::new(out.stdout.as_slice()).entries()? {
                // Below `/.` docker writes `./name`, hardrun `name`: the same file to whoever unpacks it.
                let name = entry?.path()?.display().to_string();
                names.push(name.strip_prefix("./").map_or(name.clone(), str::to_owned));
            }
            names.sort();
            Ok(names)
        };
        check_eq!(
            names(at(env, root, &["cp", path, "-"]).go()?.ok()?)?,
            names(docker.run(&["cp", path, "-"]).go()?.ok()?)?
        );
    }
    Ok(())
}

fn a_container_that_was_never_started(env: &Env) -> Outcome {
    let root = env.own_root()?;
    let host = env.dir("host")?;
    std::fs::write(host.join("in"), "put there\n")?;
    at(
        env,
        &root,
        &[
            "create",
            "--name",
            "cc",
            "--network",
            "none",
            "busybox",
            "sh",
            "-c",
            "cat /srv/in; stat -c '%u %g' /srv/in; echo 2 >/srv/out",
        ],
    )
    .go()?
    .ok()?;
    at(env, &root, &["cp", "cc:/etc/passwd", s(&host.join("passwd"))]).go()?.ok()?;
    check!(std::fs::read_to_string(host.join("passwd"))?.starts_with("root:"), "not the image's file");
    at(env, &root, &["cp", s(&host.join("in")), "cc:/srv"]).go()?.ok()?;
    at(env, &root, &["start", "-a", "cc"]).go()?.ok()?.says("put there\n0 0")?;
    at(env, &root, &["cp", "cc:/srv/out", "-"]).go()?.ok()?;
    at(env, &root, &["cp", "cc:/srv/out", s(&host.join("out"))]).go()?.ok()?;
    check_eq!(std::fs::read_to_string(host.join("out"))?, "2\n");
    let tar = Run::new("tar").args(["-C", s(&host), "-cf", "-", "in"]).go()?.ok()?;
    at(env, &root, &["cp", "-", "cc:/home"]).stdin(tar.stdout).go()?.ok()?;
    at(env, &root, &["cp", "cc:/home/in", s(&host.join("back"))]).go()?.ok()?;
    check_eq!(std::fs::read_to_string(host.join("back"))?, "put there\n");
    at(env, &root, &["cp", "-", "cc:/home"]).stdin("junk").go()?.exits(1)?;
    at(env, &root, &["cp", "-", "cc:/etc/passwd"]).stdin("").go()?.exits(1)?.complains(&["must be a directory"])?;
    at(env, &root, &["rm", "cc"]).go()?.ok()?;
    Ok(())
}

fn owners_and_rights(env: &Env) -> Outcome {
    // Without them nobody inside can give a file away.
    needs_user_namespaces()?;
    let root = env.own_root()?;
    let host = env.dir("host")?;
    up(env, &root, "cc", &[], "echo x >/s; chown 33:44 /s; chmod 4755 /s; cp /bin/busybox /owned; chown 7:8 /owned")?;
    let out = at(env, &root, &["cp", "cc:/s", s(&host.join("s"))]).go()?.ok()?;
    out.complains(&["set-id modes were dropped from 1 files"])?;
    let meta = std::fs::metadata(host.join("s"))?;
    check_eq!((meta.uid(), meta.gid(), meta.mode() & 0o7777), (0, 0, 0o755));
    at(env, &root, &["cp", "-a", "cc:/s", s(&host.join("a"))]).go()?.ok()?;
    let meta = std::fs::metadata(host.join("a"))?;
    check_eq!((meta.uid(), meta.gid(), meta.mode() & 0o7777), (33, 44, 0o755));
    std::fs::write(host.join("mine"), "m")?;
    std::os::unix::fs::chown(host.join("mine"), Some(1234), Some(1235))?;
    std::fs::set_permissions(host.join("mine"), std::fs::Permissions::from_mode(0o640))?;
    at(env, &root, &["cp", s(&host.join("mine")), "cc:/without"]).go()?.ok()?;
    at(env, &root, &["cp", "-a", s(&host.join("mine")), "cc:/with"]).go()?.ok()?;
    let seen = at(env, &root, &["exec", "cc", "stat", "-c", "%u %g %a", "/without", "/with"]).go()?.ok()?;
    seen.says("0 0 640\n1234 1235 640")?;
    at(env, &root, &["rm", "-f", "cc"]).go()?.ok()?;
    Ok(())
}

fn hostile_links_lead_nowhere(env: &Env) -> Outcome {
    let root = env.own_root()?;
    let host = env.dir("host")?;
    std::fs::write(host.join("secret"), "of the host\n")?;
    std::fs::write(host.join("f"), "new\n")?;
    let secret = host.join("secret");
    let script = format!(
        "ln -s {0} /abs; ln -s ../../../../../../../..{0} /up; ln -s /proc/1/root{0} /magic; mkdir /evil; ln -s {1} /evil/dir; \
         ln -s /proc/self/exe /exe",
        s(&secret),
        s(&host)
    );
    up(env, &root, "cc", &[], &script)?;
    for running in [true, false] {
        for path in ["/abs", "/up", "/magic", "/evil/dir/secret"] {
            let tried = at(env, &root, &["cp", "-L", &format!("cc:{path}"), s(&host.join("got"))]).go()?.exits(1)?;
            check!(!host.join("got").exists(), "{path} running {running}: {}", tried.told());
        }
        // Into the container, by way of what it has made of its paths.
        for path in ["/abs", "/up", "/evil/dir/secret", "/evil/dir/made"] {
            at(env, &root, &["cp", s(&host.join("f")), &format!("cc:{path}")]).go()?;
        }
        check_eq!(std::fs::read_to_string(&secret)?, "of the host\n");
        check!(!host.join("made").exists(), "a file was made on the host");
        // Nor by the same copy once more.
        let report = host.join(format!("report-{running}"));
        at(env, &root, &["cp", "cc:/abs", s(&report)]).go()?.ok()?;
        check!(report.is_symlink(), "the link itself is copied");
        at(env, &root, &["cp", "cc:/etc/passwd", s(&report)]).go()?.ok()?;
        check!(!report.is_symlink() && report.is_file(), "a link is replaced");
        symlink(&host, host.join("to-folder")).or_else(|e| if running { Err(e) } else { Ok(()) })?;
        let refused = at(env, &root, &["cp", "cc:/etc/passwd", s(&host.join("to-folder"))]).go()?.exits(1)?;
        refused.complains(&["is a symlink to a folder"])?;
        // A link that is copied out is not followed by what is copied after it.
        at(env, &root, &["cp", "cc:/evil/.", s(&host)]).go()?;
        check_eq!(std::fs::read_to_string(&secret)?, "of the host\n");
        at(env, &root, &["kill", "cc"]).go()?;
        at(env, &root, &["wait", "cc"]).go()?;
    }
    at(env, &root, &["rm", "-f", "cc"]).go()?.ok()?;
    Ok(())
}

fn volumes_and_read_only_roots(env: &Env) -> Outcome {
    let root = env.own_root()?;
    let host = env.dir("host")?;
    std::fs::write(host.join("f"), "data\n")?;
    let flags = ["--read-only", "-v", "vol:/v", "-v", "fixed:/w:ro", "--tmpfs", "/tmp"];
    up(env, &root, "cc", &flags, "true")?;
    let f = host.join("f");
    for _ in 0..2 {
        at(env, &root, &["cp", s(&f), "cc:/x"]).go()?.exits(1)?.complains(&["container rootfs is marked read-only"])?;
        at(env, &root, &["cp", s(&f), "cc:/v/x"]).go()?.ok()?;
        let data = root.join("volumes/vol/_data/x");
        check_eq!((std::fs::read_to_string(&data)?, std::fs::metadata(&data)?.uid()), ("data\n".into(), 0));
        std::fs::remove_file(data)?;
        at(env, &root, &["cp", s(&f), "cc:/w/x"]).go()?.exits(1)?.complains(&["read-only"])?;
        at(env, &root, &["kill", "cc"]).go()?;
        at(env, &root, &["wait", "cc"]).go()?;
    }
    at(env, &root, &["rm", "-f", "cc"]).go()?.ok()?;
    Ok(())
}

fn what_a_container_changed(env: &Env) -> Outcome {
    let root = env.own_root()?;
    let script = "mkdir -p /a/b; echo >/a/b/c; rm /etc/group; echo x >>/etc/passwd; ln -s /a /l";
    at(env, &root, &["run", "--name", "cc", "--network", "none", "busybox", "sh", "-c", script]).go()?.ok()?;
    let sorted = |out: Output| -> Vec<String> {
        let mut lines: Vec<String> = out.out().lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    let ours = sorted(at(env, &root, &["diff", "cc"]).go()?.ok()?);
    check_eq!(ours, ["A /a", "A /a/b", "A /a/b/c", "A /l", "C /etc", "C /etc/passwd", "D /etc/group"]);
    if let Ok(docker) = env.peers.docker(env) {
        docker.run(&["run", "--name", "dd", "--network", "none", "busybox", "sh", "-c", script]).go()?.ok()?;
        let theirs = sorted(docker.run(&["diff", "dd"]).go()?.ok()?);
        docker.run(&["rm", "dd"]).go()?;
        check_eq!(ours, theirs);
    }
    at(env, &root, &["diff", "nope"]).go()?.exits(1)?.complains(&["No such container: nope"])?;
    at(env, &root, &["create", "--name", "new", "busybox", "true"]).go()?.ok()?;
    at(env, &root, &["diff", "new"]).go()?.ok()?.says("")?;
    at(env, &root, &["rm", "cc", "new"]).go()?.ok()?;
    Ok(())
}

fn an_image_of_the_changes(env: &Env) -> Outcome {
    // Without them nobody inside can give a file away.
    needs_user_namespaces()?;
    let root = env.own_root()?;
    let script = "rm -r /etc/group /home; mkdir /home; echo new >/home/f; echo 1 >/owned; chown 33:44 /owned; chmod 2755 /owned || true";
    up(env, &root, "cc", &["-e", "FROM_RUN=1", "-l", "k=v", "-w", "/srv"], script)?;
    let id = at(
        env,
        &root,
        &["commit", "-a", "me", "-m", "made here", "-c", "ENV A=b", "-c", r#"CMD ["env"]"#, "cc", "made:1"],
    )
    .go()?
    .ok()?;
    check!(id.out().starts_with("sha256:") && id.out().trim().len() == 71, "{}", id.told());
    at(env, &root, &["exec", "cc", "true"]).go()?.ok()?;
    at(env, &root, &["rm", "-f", "cc"]).go()?.ok()?;
    let run = |script: &str| at(env, &root, &["run", "--rm", "--network", "none", "made:1", "sh", "-c", script]).go();
    run("cat /home/f; ls /home; ls /etc/group 2>&1; stat -c '%u %g' /owned; echo $FROM_RUN $A; pwd")?
        .ok()?
        .says("new\nf\nls: /etc/group: No such file or directory\n33 44\n1 b\n/srv")?;
    let env_of = at(env, &root, &["run", "--rm", "--network", "none", "made:1"]).go()?.ok()?;
    check!(env_of.out().contains("A=b\n") && env_of.out().contains("FROM_RUN=1\n"), "{}", env_of.told());
    let history =
        at(env, &root, &["history", "--format", "{{.Comment}}|{{.CreatedBy}}", "--no-trunc", "made:1"]).go()?.ok()?;
    check!(history.out().starts_with("made here|sh -c rm -r /etc/group"), "{}", history.told());
    // It is an image as any other, for others too.
    let out: PathBuf = env.dir("saved")?.join("made.tar");
    at(env, &root, &["save", "-o", s(&out), "made:1"]).go()?.ok()?;
    if let Ok(docker) = env.peers.docker(env) {
        docker.run(&["load", "-i", s(&out)]).go()?.ok()?;
        let seen = docker
            .run(&["run", "--rm", "--network", "none", "made:1", "sh", "-c", "cat /home/f; ls /etc/group"])
            .go()?;
        check_eq!(seen.out(), "new\n");
        docker.run(&["rmi", "-f", "made:1"]).go()?;
    }
    at(env, &root, &["commit", "nope"]).go()?.exits(1)?.complains(&["No such container: nope"])?;
    Ok(())
}

fn a_whole_root_as_an_archive(env: &Env) -> Outcome {
    // Without them nobody inside can give a file away.
    needs_user_namespaces()?;
    let root = env.own_root()?;
    up(env, &root, "cc", &["-v", "vol:/v"], "echo kept >/kept; chown 5:6 /kept; echo not >/v/f")?;
    let out = env.dir("exported")?.join("out.tar");
    for _ in 0..2 {
        at(env, &root, &["export", "-o", s(&out), "cc"]).go()?.ok()?;
        let mut names = Vec::new();
        for entry in tar::Archive::new(std::fs::File::open(&out)?).entries()? {
            let entry = entry?;
            let name = entry.path()?.display().to_string();
            if name == "kept" {
                check_eq!((entry.header().uid()?, entry.header().gid()?), (5, 6));
            }
            names.push(name);
        }
        check!(names.iter().any(|n| n == "kept") && names.iter().any(|n| n == "bin/sh"), "{names:?}");
        let foreign = names.iter().find(|n| n.starts_with("proc/1") || n.starts_with("sys/k") || *n == "v/f");
        check_eq!(foreign, None);
        at(env, &root, &["kill", "cc"]).go()?;
        at(env, &root, &["wait", "cc"]).go()?;
    }
    at(env, &root, &["import", s(&out), "again"]).go()?.ok()?;
    at(env, &root, &["run", "--rm", "--network", "none", "again", "cat", "/kept"]).go()?.ok()?.says("kept")?;
    at(env, &root, &["rm", "-f", "cc"]).go()?.ok()?;
    Ok(())
}
