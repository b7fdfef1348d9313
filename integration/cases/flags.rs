//! Flags of `docker run` do what docker's do; beside docker where it is to be had.

use crate::harness::env::{needs_user_namespaces, s};
use crate::harness::{Env, Outcome, Stop};
use crate::{cases, check, check_eq};

cases!("flags":
    cidfile, env_file_and_env, users, groups, workdir, hostname_and_hosts, entrypoint, tmpfs, mounts, read_only_root,
    relative_and_spaced_binds, missing_bind_sources, bunched_and_equals_forms, words_after_the_image, labels_and_name,
    pull_never_and_platform, umask_and_unsetenv, timeout,
);

/// stdout of the same script is the same under hardrun and docker.
fn as_docker(env: &Env, flags: &[&str], script: &str) -> Outcome<String> {
    let ours = env.sh(flags, script)?.ok()?;
    match env.peers.docker(env) {
        Ok(docker) => {
            let run = docker.run(&["run", "--rm", "--network", "none"]).args(flags);
            let theirs = run.args(["busybox", "sh", "-c", script]).go()?.ok()?;
            check_eq!(ours.out(), theirs.out(), "hardrun and docker differ on {}", ours.argv);
        }
        Err(Stop::Skip(_)) => {}
        Err(stop) => return Err(stop),
    }
    Ok(ours.out())
}

fn cidfile(env: &Env) -> Outcome {
    let file = env.dir("cid")?.join("id");
    env.sh(&["--cidfile", s(&file)], "true")?.ok()?;
    let id = std::fs::read_to_string(&file)?;
    check!(id.len() == 64 && id.bytes().all(|b| b.is_ascii_hexdigit()), "{id:?}");
    env.sh(&["--cidfile", s(&file)], "true")?.exits(125)?.complains(&[s(&file)])?;
    check_eq!(std::fs::read_to_string(&file)?, id);
    Ok(())
}

fn env_file_and_env(env: &Env) -> Outcome {
    let file = env.dir("env")?.join("file");
    std::fs::write(&file, "\u{feff}A=1\n# a comment\nB=two words = \"kept\"\n\nFROM_CALLER\nNOT_SET_ANYWHERE\nC=\n")?;
    let script = "echo \"$A|$B|$FROM_CALLER|${NOT_SET_ANYWHERE-unset}|${C-unset}|$D|${E-unset}\"";
    let flags = ["--env-file", s(&file), "-e", "D=x=y", "-e", "FROM_CALLER", "--env", "E"];
    let out = env.sh_in("busybox", &flags, script).env("FROM_CALLER", "caller").unset("E").go()?.ok()?;
    out.says("1|two words = \"kept\"|caller|unset||x=y|unset")?;
    // Nothing else of the caller's comes along.
    let out = env.sh_in("busybox", &[], "env").env("SECRET_OF_CALLER", "s").go()?.ok()?;
    check!(!out.out().contains("SECRET"), "{}", out.told());
    check!(out.out().contains("HOME=/root") && out.out().contains("HOSTNAME="), "{}", out.told());
    std::fs::write(&file, "BAD KEY=1\n")?;
    env.sh(&["--env-file", s(&file)], "true")?.exits(125)?.complains(&["BAD KEY"])?;
    env.sh(&["--env-file", "/no/such/file"], "true")?.exits(125)?.complains(&["/no/such/file"])?;
    Ok(())
}

fn users(env: &Env) -> Outcome {
    let script = "id -u; id -g; id -G; echo $HOME";
    for user in ["app", "1000", "app:staff", "1000:50", "nobody", "1234", "1234:77", "root", "0:0"] {
        as_docker(env, &["-u", user], script)?;
    }
    env.sh(&["-u", "nosuch"], "true")?.exits(125)?.complains(&["nosuch"])?;
    env.sh(&["-u", "app:nosuch"], "true")?.exits(125)?.complains(&["nosuch"])?;
    Ok(())
}

fn groups(env: &Env) -> Outcome {
    let flags = ["-u", "1234", "--group-add", "staff", "--group-add", "777"];
    if needs_user_namespaces().is_ok() {
        as_docker(env, &flags, "id -G")?;
    } else {
        // The host's own groups.
        env.sh(&flags, "id -G")?.exits(125)?.complains(&["privileged-group", "50, 777"])?;
    }
    as_docker(env, &["-u", "1234", "--group-add", "7777"], "id -G")?;
    env.sh(&["--group-add", "nosuch"], "true")?.exits(125)?;
    Ok(())
}

fn workdir(env: &Env) -> Outcome {
    as_docker(env, &["-w", "/tmp"], "pwd")?;
    as_docker(env, &["-w", "/not/there/yet"], "pwd; ls -ld /not | cut -c1-10")?;
    as_docker(env, &["-w", "/usr/../tmp/./"], "pwd")?;
    env.sh(&["-w", "tmp"], "true")?.exits(125)?;
    Ok(())
}

fn hostname_and_hosts(env: &Env) -> Outcome {
    let script = "hostname; cat /etc/hostname; grep extra /etc/hosts";
    env.sh(&["-h", "named", "--add-host", "extra:10.1.2.3"], script)?.ok()?.says("named\nnamed\n10.1.2.3\textra")?;
    let out = env.sh(&[], "hostname; cat /etc/hostname")?.ok()?.out();
    let lines: Vec<&str> = out.lines().collect();
    check!(lines.len() == 2 && lines[0] == lines[1] && lines[0].len() == 12, "{out:?}");
    let flags = ["--dns", "192.0.2.1", "--dns-search", "example.test", "--dns-option", "ndots:3"];
    // On the default bridge hardrun answers itself, and asks those: they are in the file where there is no such network.
    let here = env.sh(&flags, "cat /etc/resolv.conf")?.ok()?.out();
    for want in ["nameserver 127.0.0.11", "search example.test", "options ndots:3"] {
        check!(here.contains(want), "{want}: {here:?}");
    }
    let out = env.sh(&[&flags[..], &["--network", "none"]].concat(), "cat /etc/resolv.conf")?.ok()?.out();
    for want in ["nameserver 192.0.2.1", "search example.test", "options ndots:3"] {
        check!(out.contains(want), "{want}: {out:?}");
    }
    Ok(())
}

fn entrypoint(env: &Env) -> Outcome {
    env.verb(&["run", "--rm", "--entrypoint", "echo", "busybox", "a", "b"]).go()?.ok()?.says("a b")?;
    env.verb(&["run", "--rm", "--entrypoint", "", "busybox", "echo", "c"]).go()?.ok()?.says("c")?;
    // An image without a command, and none given.
    env.verb(&["run", "--rm", "busybox"]).go()?.exits(125)?.complains(&["command"])?;
    Ok(())
}

fn tmpfs(env: &Env) -> Outcome {
    let script = "echo x > /t/f && cat /t/f; grep ' /t ' /proc/mounts; stat -c %a /t; cp /bin/busybox /t/true; /t/true";
    let out = env.sh(&["--tmpfs", "/t:size=4m,mode=1750"], script)?;
    check!(out.code == 126, "a program ran from a noexec tmpfs\n{}", out.told());
    let text = out.out();
    for want in ["x\n", "nosuid", "nodev", "noexec", "size=4096k", "1750"] {
        check!(text.contains(want), "{want}\n{}", out.told());
    }
    env.sh(&["--tmpfs", "/t:exec"], "cp /bin/busybox /t/echo && /t/echo ran")?.ok()?.says("ran")?;
    // No size asked for is still a limit, for it is memory: at most half, as the kernel itself would take.
    let out = env
        .sh(&["--tmpfs", "/t"], "df -k /t | tail -n 1 | awk '{print $2}'; awk '/MemTotal/ {print $2}' /proc/meminfo")?;
    let out = out.ok()?.out();
    let kib: Vec<u64> = out.lines().filter_map(|l| l.parse().ok()).collect();
    check!(kib.len() == 2 && kib[0] > 0 && kib[0] <= kib[1] / 2, "{out:?} KiB");
    let out = env
        .sh(&["--mount", "type=tmpfs,dst=/t,tmpfs-size=2m,tmpfs-mode=700"], "stat -c %a /t; df -k /t | tail -n 1")?
        .ok()?;
    check!(out.out().starts_with("700\n") && out.out().contains("2048"), "{}", out.told());
    Ok(())
}

fn mounts(env: &Env) -> Outcome {
    let dir = env.dir("bind")?;
    std::fs::write(dir.join("in"), "in\n")?;
    let from = s(&dir);
    let rw = format!("type=bind,source={from},target=/m");
    env.sh(&["--mount", &rw], "cat /m/in; echo out > /m/out")?.ok()?.says("in")?;
    check_eq!(std::fs::read_to_string(dir.join("out"))?, "out\n");
    for ro in [format!("{rw},readonly"), format!("{rw},ro=true"), format!("{rw},ro")] {
        env.sh(&["--mount", &ro], "cat /m/in; echo no > /m/out")?.exits(1)?.complains(&["Read-only"])?;
    }
    env.sh(&["-v", &format!("{from}:/m:ro")], "echo no > /m/out")?.exits(1)?.complains(&["Read-only"])?;
    check_eq!(std::fs::read_to_string(dir.join("out"))?, "out\n");
    let file = format!("{from}/in:/etc/conf");
    env.sh(&["-v", &file], "cat /etc/conf")?.ok()?.says("in")?;
    env.sh(&["--mount", "type=bind,src=/no/such/source,dst=/m"], "true")?
        .exits(125)?
        .complains(&["/no/such/source"])?;
    env.sh(&["--mount", "type=bind,src=/tmp"], "true")?.exits(125)?;
    env.sh(&["--mount", "type=bind,src=/tmp,dst=/m,nonsense=1"], "true")?.exits(125)?.complains(&["nonsense"])?;
    env.sh(&["-v", &format!("{from}:/m:nonsense")], "true")?.exits(125)?.complains(&["nonsense"])?;
    env.sh(&["-v", &format!("{from}:relative")], "true")?.exits(125)?.complains(&["relative"])?;
    Ok(())
}

fn read_only_root(env: &Env) -> Outcome {
    let out = env.sh(&["--read-only"], "echo x > /etc/x")?.exits(1)?;
    check!(out.err().contains("Read-only"), "{}", out.told());
    env.sh(&["--read-only", "--tmpfs", "/tmp"], "echo x > /tmp/x && cat /tmp/x")?.ok()?.says("x")?;
    env.sh(&["--read-only=false"], "echo x > /etc/x && cat /etc/x")?.ok()?.says("x")?;
    Ok(())
}

fn relative_and_spaced_binds(env: &Env) -> Outcome {
    let dir = env.dir("spaced")?;
    let sub = dir.join("a folder with spaces");
    std::fs::create_dir(&sub)?;
    std::fs::write(sub.join("file"), "here\n")?;
    let relative = "./a folder with spaces:/m y:ro";
    let run = env.verb(&["run", "--rm", "-v", relative, "busybox", "cat", "/m y/file"]).dir(&dir);
    run.go()?.ok()?.says("here")?;
    let absolute = format!("{}:/m", sub.display());
    env.verb(&["run", "--rm", "-v", &absolute, "busybox", "cat", "/m/file"]).go()?.ok()?.says("here")?;
    let quoted = format!("type=bind,\"src={}\",dst=/m", sub.display());
    env.verb(&["run", "--rm", "--mount", &quoted, "busybox", "cat", "/m/file"]).go()?.ok()?.says("here")?;
    Ok(())
}

fn missing_bind_sources(env: &Env) -> Outcome {
    // `-v` of a folder that is not there makes it, as docker does; the note says so.
    let dir = env.dir("missing")?.join("made/by/run");
    let bind = format!("{}:/m", dir.display());
    let out = env.sh(&["-v", &bind], "echo x > /m/x")?.ok()?;
    check!(dir.join("x").is_file(), "{}", out.told());
    Ok(())
}

fn bunched_and_equals_forms(env: &Env) -> Outcome {
    env.verb(&["run", "--rm", "-ie", "A=1", "busybox", "sh", "-c", "echo $A; cat"])
        .stdin("in")
        .go()?
        .ok()?
        .says("1\nin")?;
    env.verb(&["run", "--rm=true", "-i=false", "-eA=2", "busybox", "sh", "-c", "echo $A"]).go()?.ok()?.says("2")?;
    env.verb(&["run", "--rm", "--env=A=3", "-w=/tmp", "busybox", "sh", "-c", "echo $A $PWD"])
        .go()?
        .ok()?
        .says("3 /tmp")?;
    Ok(())
}

fn words_after_the_image(env: &Env) -> Outcome {
    env.verb(&["run", "--rm", "busybox", "echo", "--rm", "-e", "--help", "--", "x"])
        .go()?
        .ok()?
        .says("--rm -e --help -- x")?;
    env.verb(&["run", "--rm", "--", "busybox", "echo", "y"]).go()?.ok()?.says("y")?;
    Ok(())
}

fn labels_and_name(env: &Env) -> Outcome {
    env.sh(&["-l", "a=b", "--label", "c", "--name", "it-named", "--annotation", "x=y"], "true")?.ok()?;
    env.sh(&["--name", "-bad-"], "true")?.exits(125)?;
    env.sh(&["--name", "a/b"], "true")?.exits(125)?.complains(&["a/b"])?;
    let held = env.hold(&["--name", "it-taken"])?;
    env.sh(&["--name", "it-taken"], "true")?.exits(125)?.complains(&["it-taken"])?;
    held.end()?.ok()?;
    env.sh(&["--name", "it-taken"], "true")?.ok()?;
    Ok(())
}

fn pull_never_and_platform(env: &Env) -> Outcome {
    env.verb(&["run", "--rm", "--pull=never", "nowhere:1", "true"]).go()?.exits(125)?.complains(&["nowhere:1"])?;
    env.verb(&["run", "--rm", "--pull=never", "--platform", "linux/s390x", "busybox", "true"]).go()?.exits(125)?;
    Ok(())
}

fn umask_and_unsetenv(env: &Env) -> Outcome {
    env.sh(&[], "umask")?.ok()?.says("0022")?;
    env.sh(&["--umask", "0077"], "umask")?.ok()?.says("0077")?;
    // podman's: what the image sets goes, what the caller sets by name stays.
    let root = env.dir("root")?;
    env.at(&root, &["import", "-c", "ENV A=1", "-c", "ENV B=2", s(&env.fixtures.busybox()?), "with"]).go()?.ok()?;
    let run =
        env.at(&root, &["run", "--rm", "--unsetenv", "A", "-e", "C=3", "with", "sh", "-c", "echo ${A-unset} $B $C"]);
    run.go()?.ok()?.says("unset 2 3")?;
    Ok(())
}

fn timeout(env: &Env) -> Outcome {
    let out = env.verb(&["run", "--rm", "--timeout", "1", "busybox", "sleep", "30"]).limit(20).go()?;
    check!(out.code != 0 && out.took.as_secs() < 10, "{}", out.told());
    Ok(())
}
