//! The site's policy, as root lays it down in /etc/hardrun: each command runs in a mount namespace of its own that has one laid
//! over /etc. There is no other way to give hardrun a policy, or to take it away.

pub mod held;
pub mod images;

use crate::harness::env::s;
use crate::harness::{Env, Outcome, Run, host};
use crate::{cases, check, check_eq};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

cases!("policy":
    nothing_starts_under_a_policy_that_cannot_be_trusted, overrides_need_permission, ceilings_hold_inside,
    what_exists_is_judged_again, policy_and_log_are_out_of_reach, further_paths, defaults_of_the_site,
    a_change_is_tried_before_it_counts,
);

/// Lays FOLDER/hardrun over /etc/hardrun, without touching the host's /etc, and becomes the command.
const UNDER: &str = r#"set -e
d=$1; before=$2; shift 2
mount -t tmpfs -o mode=755 tmpfs "$d/mnt"
mkdir -m 755 "$d/mnt/u" "$d/mnt/w"
cp -a "$d/hardrun" "$d/mnt/u/hardrun"
mount -t overlay -o "lowerdir=/etc,upperdir=$d/mnt/u,workdir=$d/mnt/w" overlay /etc
eval "$before"
exec "$@""#;

/// A policy, and hardrun under it.
struct Site<'a> {
    env: &'a Env,
    folder: PathBuf,
    root: PathBuf,
}

impl<'a> Site<'a> {
    fn new(env: &'a Env, root: &Path, policy: &str) -> Outcome<Site<'a>> {
        let folder = env.dir("site")?;
        std::fs::create_dir(folder.join("hardrun"))?;
        std::fs::create_dir(folder.join("mnt"))?;
        let site = Site { env, folder, root: root.to_owned() };
        site.write(policy)?;
        site.mode("", "755")?;
        Ok(site)
    }
    /// The policy, with a first line that lets these cases' own store be used.
    fn write(&self, policy: &str) -> Outcome {
        self.write_whole(&format!("roots = [{:?}]\n{policy}", self.root))
    }
    fn write_whole(&self, policy: &str) -> Outcome {
        std::fs::write(self.file(), policy)?;
        self.mode("policy.toml", "644")
    }
    fn file(&self) -> PathBuf {
        self.folder.join("hardrun/policy.toml")
    }
    fn mode(&self, name: &str, mode: &str) -> Outcome {
        Run::new("chmod").args([mode, s(&self.folder.join("hardrun").join(name))]).go()?.ok()?;
        Ok(())
    }
    fn run(&self, args: &[&str]) -> Run {
        self.after("", args)
    }
    /// With a line of shell run in the namespace before.
    fn after(&self, before: &str, args: &[&str]) -> Run {
        Run::new("unshare")
            .args(["-m", "--propagation", "private", "sh", "-c", UNDER, "sh", s(&self.folder), before])
            .args([s(&self.env.hardrun), "--root", s(&self.root)])
            .args(args)
            .unset("HARDRUN_ROOT")
            .unset("DOCKER_HOST")
            .env("DOCKER_CONFIG", "/nonexistent")
            .limit(120)
    }
}

fn nothing_starts_under_a_policy_that_cannot_be_trusted(env: &Env) -> Outcome {
    let root = env.own_root()?;
    let at = |args: &[&str]| env.at(&root, args);
    at(&["create", "--name", "made", "--restart", "always", "busybox", "true"]).go()?.ok()?;
    at(&["run", "-d", "--name", "up", "busybox", "sleep", "600"]).go()?.ok()?;
    let site = Site::new(env, &root, "")?;
    let all: [&[&str]; 8] = [
        &["run", "--rm", "busybox", "true"],
        &["create", "busybox", "true"],
        &["start", "made"],
        &["restart", "up"],
        &["exec", "up", "true"],
        &["update", "--memory", "64m", "up"],
        &["system", "start-all"],
        &["explain", "busybox", "true"],
    ];
    let refused = |why: &str| -> Outcome {
        for args in all {
            let out = site.run(args).go()?.exits(125)?;
            out.complains(&["the site's policy cannot be used, so nothing starts", why])?;
        }
        // What is there can be seen and stopped all the same.
        site.run(&["ps", "-a"]).go()?.ok()?;
        Ok(())
    };
    site.write("unknown = true\n")?;
    refused("policy.toml:2: unknown: unknown field")?;
    site.write("deny = [\n\"host-netwrk\"]\n")?;
    refused("policy.toml:3: deny[0]: there is no rule")?;
    for empty in ["", "# nothing\n"] {
        site.write_whole(empty)?;
        refused("policy.toml:1: it says nothing")?;
    }
    site.write_whole("deny = []\n")?;
    site.run(&["run", "--rm", "busybox", "true"])
        .go()?
        .exits(125)?
        .complains(&["does not list this folder", "roots = ["])?;
    site.write("")?;
    site.mode("policy.toml", "664")?;
    refused("can be written by others than root (mode 0664)")?;
    site.mode("policy.toml", "644")?;
    site.mode("", "777")?;
    refused("/etc/hardrun can be written by others")?;
    site.mode("", "755")?;
    Run::new("chown").args(["1000", s(&site.file())]).go()?.ok()?;
    refused("belongs to uid 1000, not to root")?;
    std::fs::remove_file(site.file())?;
    std::os::unix::fs::symlink("/dev/null", site.file())?;
    refused("links are not followed")?;
    std::fs::remove_file(site.file())?;
    // No file is no policy.
    site.run(&["exec", "up", "echo", "in"]).go()?.ok()?.says("in")?;
    // An empty one neither; and a parent that others can write to is as bad as the file.
    site.write("")?;
    site.run(&["run", "--rm", "busybox", "echo", "in"]).go()?.ok()?.says("in")?;
    let out = site.after("chmod 777 /etc", &["run", "--rm", "busybox", "true"]).go()?.exits(125)?;
    out.complains(&["/etc can be written by others"])?;
    at(&["rm", "-f", "made", "up"]).go()?.ok()?;
    Ok(())
}

fn overrides_need_permission(env: &Env) -> Outcome {
    let root = env.own_root()?;
    let site = Site::new(
        env,
        &root,
        "unlisted-overrides = \"deny\"\n[[allow]]\nrule = \"host-uts\"\nreason = \"a test of it\"\nexpires = \"2999-12-31\"\n\
         [[allow]]\nrule = \"host-ipc\"\nreason = \"long ago\"\nexpires = \"2001-12-31\"\n\
         [[allow]]\nrule = \"host-pid\"\nusers = [\"nobody\"]\nreason = \"somebody else\"\nexpires = \"2999-12-31\"\n\
         [messages]\nhost-network = \"ask the network team\"\n",
    )?;
    let run = |flags: &[&str]| site.run(&["run", "--rm"]).args(flags).args(["busybox", "echo", "ran"]);
    run(&["--uts", "host", "--allow", "host-uts=why not"]).go()?.ok()?.says("ran")?;
    for (flags, why) in [
        (["--network", "host", "--allow", "host-network"], "not among the overrides that are permitted"),
        (["--ipc", "host", "--allow", "host-ipc"], "expired on 2001-12-31"),
        (["--pid", "host", "--allow", "host-pid"], "permitted to nobody only"),
    ] {
        let out = run(&flags).go()?.exits(125)?.complains(&["not here, by the site's policy", why])?;
        check!(!out.err().contains("override  --allow"), "{}", out.told());
    }
    run(&["--network", "host"]).go()?.exits(125)?.complains(&["site      ask the network team"])?;
    // Neither a variable nor another root is a way around.
    let other = Site { env, folder: site.folder.clone(), root: env.own_root()? };
    let words = ["run", "--rm", "--pid", "host", "--allow", "host-pid", "busybox", "true"];
    let out = site.after("export HARDRUN_POLICY=/dev/null SUDO_UID=65534", &words).go()?.exits(125)?;
    out.complains(&["permitted to nobody only"])?;
    other.after(":", &words).go()?.exits(125)?.complains(&["the site's policy does not list this folder"])?;
    let explained = site.run(&["explain", "--uts", "host", "--allow", "host-uts=x", "busybox", "true"]).go()?.ok()?;
    check!(
        explained
            .out()
            .lines()
            .any(|l| l.contains("host-uts until 2999-12-31: a test of it") && l.contains("site policy")),
        "{}",
        explained.told()
    );
    let log = env.at(&root, &["audit-log", "show"]).go()?.ok()?.out();
    check!(log.contains("permitted by the site's policy until 2999-12-31: a test of it"), "{log}");
    check!(log.contains("not permitted by the site's policy: host-ipc: what permitted it expired"), "{log}");
    check!(log.lines().any(|l| l.contains("launch") && l.contains("site policy sha256:")), "{log}");
    env.at(&root, &["audit-log", "verify"]).go()?.ok()?;
    Ok(())
}

fn ceilings_hold_inside(env: &Env) -> Outcome {
    let root = env.own_root()?;
    let site = Site::new(
        env,
        &root,
        "[limits]\nmemory = \"64m\"\npids = 50\ntmpfs-size = \"1m\"\nshm-size = \"2m\"\n[limits.ulimits]\nnofile = 300\n",
    )?;
    let script = "ulimit -Hn; df -k /dev/shm | tail -1 | awk '{print $2}'; df -k /t | tail -1 | awk '{print $2}'";
    let out = site.run(&["run", "--rm", "--tmpfs", "/t", "busybox", "sh", "-c", script]).go()?.ok()?;
    check_eq!(out.out(), "300\n2048\n1024\n");
    check!(out.err().contains("by the site's policy"), "{}", out.told());
    for (flags, instead) in [
        (["--memory", "65m"], "--memory 64m"),
        (["--pids-limit", "51"], "--pids-limit 50"),
        (["--ulimit", "nofile=301"], "--ulimit nofile=300"),
        (["--shm-size", "3m"], "--shm-size 2m"),
        (["--tmpfs", "/t:size=2m"], "--tmpfs /t:size=1m"),
    ] {
        let out = site.run(&["run", "--rm"]).args(flags).args(["busybox", "true"]).go()?.exits(125)?;
        out.complains(&["site-limit", "the ceiling is", instead, "the site's policy decides this"])?;
    }
    site.run(&["run", "--rm", "--memory", "32m", "--pids-limit", "20", "busybox", "true"]).go()?.ok()?;
    let plan: Value = serde_json::from_slice(
        &site.run(&["run", "--dry-run", "--format", "json", "busybox", "true"]).go()?.ok()?.stdout,
    )?;
    check_eq!(plan["draft"]["process"]["rlimits"]["nofile"]["source"], "site");
    Ok(())
}

fn what_exists_is_judged_again(env: &Env) -> Outcome {
    let root = env.own_root()?;
    let at = |args: &[&str]| env.at(&root, args);
    let flags = ["--uts", "host", "--allow", "host-uts", "busybox", "sleep", "600"];
    at(&["create", "--name", "made"]).args(flags).go()?.ok()?;
    at(&["run", "-d", "--name", "up"]).args(flags).go()?.ok()?;
    let site = Site::new(env, &root, "deny = [\"host-uts\"]\n")?;
    let why = ["host-uts", "nobody may override this rule"];
    site.run(&["start", "made"]).go()?.exits(1)?.complains(&why)?;
    site.run(&["exec", "up", "true"]).go()?.exits(125)?.complains(&why)?;
    site.run(&["update", "--memory", "64m", "up"]).go()?.complains(&why)?;
    site.run(&["restart", "-t", "0", "up"]).go()?.exits(1)?.complains(&why)?;
    site.write("")?;
    site.run(&["start", "made"]).go()?.ok()?;
    at(&["rm", "-f", "made", "up"]).go()?.ok()?;
    Ok(())
}

fn policy_and_log_are_out_of_reach(env: &Env) -> Outcome {
    let root = env.own_root()?;
    let site = Site::new(env, &root, "preset = \"default\"\n")?;
    let link = env.dir("link")?.join("innocent");
    std::os::unix::fs::symlink("/etc/hardrun", &link)?;
    let alias = env.dir("alias")?;
    let mount = format!("mount --bind /etc/hardrun {}", s(&alias));
    let parent = env.dir("parent")?;
    let above = format!("mount --bind /etc {}", s(&parent));
    let (log, below) = (format!("{}/audit.log:/x", s(&root)), format!("{}/hardrun:/x:ro", s(&parent)));
    for (before, volume) in [
        ("", "/etc/hardrun:/x:ro"),
        ("", "/etc/hardrun/policy.toml:/x:ro"),
        ("", "/etc/../etc/hardrun/.:/x:ro"),
        ("", log.as_str()),
        ("", &format!("{}:/x:ro", s(&link))),
        (mount.as_str(), &format!("{}:/x:ro", s(&alias))),
        (above.as_str(), below.as_str()),
    ] {
        let out = site.after(before, &["run", "--rm", "-v", volume, "busybox", "true"]).go()?.exits(125)?;
        out.complains(&["own-state", "no override"])?;
    }
    let device = "type=volume,dst=/x,volume-opt=type=none,volume-opt=o=bind,volume-opt=device=/etc/hardrun";
    site.run(&["run", "--rm", "--mount", device, "busybox", "true"]).go()?.exits(125)?.complains(&["own-state"])?;
    // A folder above it can be shown, but not what it holds; where SELinux is in force it would refuse /etc as a whole.
    let labels: &[&str] = match host::has_selinux() {
        true => &["--security-opt", "label=disable", "--allow", "selinux-disabled"],
        false => &[],
    };
    for (before, source) in [("", "/etc"), (above.as_str(), s(&parent))] {
        let volume = format!("{source}:/x:ro");
        let script = "cat /x/hardrun/policy.toml 2>&1; ls /x/hardrun; head -c 4 /x/passwd";
        let words = [&["run", "--rm", "-v", &volume], labels, &["busybox", "sh", "-c", script]].concat();
        let out = site.after(before, &words).go()?.ok()?;
        check!(!out.out().contains("preset") && out.out().ends_with("root"), "{}", out.told());
    }
    Ok(())
}

fn further_paths(env: &Env) -> Outcome {
    let (root, data) = (env.own_root()?, env.dir("data")?);
    for name in ["keys", "conf"] {
        std::fs::create_dir(data.join(name))?;
        std::fs::write(data.join(name).join("file"), "content")?;
    }
    let path = |name: &str, mode: &str| {
        format!("[[path]]\npath = \"{}/{name}\"\nmode = \"{mode}\"\nreason = \"a test\"\n", s(&data))
    };
    let site = Site::new(env, &root, &(path("keys", "never") + &path("conf", "read-only")))?;
    let run = |volume: &str, script: &str| {
        site.run(&["run", "--rm", "-v", &volume.replace("DATA", s(&data)), "busybox", "sh", "-c", script])
    };
    run("DATA/keys:/x:ro", "true").go()?.exits(125)?.complains(&["site-path", "a test, by the site's policy"])?;
    run("DATA/conf:/x:rw", "true").go()?.exits(125)?.complains(&["sensitive-mount-rw"])?;
    run("DATA/conf:/x", "cat /x/file; ! touch /x/new 2>/dev/null").go()?.ok()?.says("content")?;
    let script = "ls /x/keys; cat /x/conf/file; touch /x/new && ! touch /x/conf/new 2>/dev/null";
    run("DATA:/x:rw", script).go()?.ok()?.says("content")?;
    Ok(())
}

fn defaults_of_the_site(env: &Env) -> Outcome {
    let root = env.own_root()?;
    let site = Site::new(env, &root, "preset = \"strict\"\npublish-address = \"127.0.0.9\"\n")?;
    let dry = |flags: &[&str]| -> Outcome<Value> {
        let out = site.run(&["run", "--dry-run", "--format", "json"]).args(flags).args(["busybox", "true"]).go()?;
        Ok(serde_json::from_slice(&out.stdout)?)
    };
    let plan = dry(&[])?;
    check_eq!(plan["draft"]["preset"], json!({"value": "strict", "source": "site"}));
    let plan = dry(&["--preset", "default", "-p", "8080:80"])?;
    check_eq!(plan["draft"]["preset"]["value"], "default");
    check_eq!(plan["draft"]["network"]["publish"][0]["host_ip"], "127.0.0.9");
    // One of the site's own folder, which everybody can name, and which is the default where the policy says so.
    std::fs::create_dir(site.folder.join("hardrun/presets"))?;
    std::fs::write(
        site.folder.join("hardrun/presets/ours.toml"),
        "description = \"the site's own\"\nuser = \"1234:1234\"\n",
    )?;
    site.mode("presets/ours.toml", "644")?;
    let listed = site.run(&["preset", "list"]).go()?.ok()?.out();
    check!(listed.contains("the site's own"), "{listed}");
    check_eq!(dry(&["--preset", "ours"])?["draft"]["process"]["user"]["value"]["uid"], 1234);
    site.write("preset = \"ours\"\n")?;
    check_eq!(dry(&[])?["draft"]["preset"], json!({"value": "ours", "source": "site"}));
    // What is in the caller's own folder, or where he stands, is not the site's word.
    let config = env.dir("config")?;
    std::fs::create_dir_all(config.join("hardrun/presets"))?;
    std::fs::write(config.join("hardrun/presets/mine.toml"), "description = \"x\"\n")?;
    site.write("preset = \"mine\"\n")?;
    let out = site.run(&["run", "--rm", "busybox", "true"]).env("XDG_CONFIG_HOME", &config).go()?.exits(125)?;
    out.complains(&["no preset named \"mine\""])?;
    Ok(())
}

fn a_change_is_tried_before_it_counts(env: &Env) -> Outcome {
    let (root, work) = (env.own_root()?, env.dir("work")?);
    let at = |args: &[&str]| env.at(&root, args).dir(&work);
    let write = |name: &str, text: &str| -> Outcome { Ok(std::fs::write(work.join(name), text)?) };
    write(
        "new.toml",
        "unlisted-overrides = \"deny\"\n[limits]\nmemory = \"64m\"\n[images]\nregistries = [\"docker.io/\"]\nlocal = true\n",
    )?;
    write("bad.toml", "\n\nlimit = 1\n")?;
    at(&["policy", "check", "new.toml"]).go()?.ok()?.says("new.toml: sound")?;
    let out = at(&["policy", "check", "bad.toml"]).go()?.exits(1)?;
    check!(out.out().starts_with("bad.toml:3: limit: unknown field"), "{}", out.told());
    // Sound, and less than it looks.
    write("gap.toml", "[[signature]]\nimages = [\"reg.lan/\"]\nkeys = [\"ours.pub\"]\n")?;
    env.needs("openssl")?;
    images::key_pair(&work, "ours")?;
    let out = at(&["policy", "check", "gap.toml"]).go()?.ok()?.says("gap.toml: sound")?;
    check!(out.err().contains("under another name") && out.err().contains("list the registries"), "{}", out.told());
    let listed =
        "[images]\nregistries = [\"reg.lan/\"]\n[[signature]]\nimages = [\"reg.lan/\"]\nkeys = [\"ours.pub\"]\n";
    write("gap.toml", listed)?;
    check_eq!(at(&["policy", "check", "gap.toml"]).go()?.ok()?.err(), "");
    let text = at(&["policy", "check", "--format", "json", "bad.toml"]).go()?.exits(1)?.stdout;
    check_eq!(serde_json::from_slice::<Value>(&text)?["problems"][0]["line"], 3);

    write(
        "cases.toml",
        "[[case]]\nrun = \"docker run busybox\"\nverdict = \"passes\"\n\
         [[case]]\nrun = \"docker run --memory 1g busybox\"\nverdict = \"refused\"\nrules = [\"site-limit\"]\n\
         [[case]]\nrun = \"docker run --network host --allow host-network busybox\"\nverdict = \"refused\"\nrules = [\"host-network\"]\n\
         [[case]]\nrun = \"docker run quay.io/x/y\"\nverdict = \"refused\"\nrules = [\"site-registry\"]\n",
    )?;
    at(&["policy", "test", "--policy", "new.toml", "cases.toml"]).go()?.ok()?;
    let out = at(&["policy", "test", "cases.toml"]).go()?.exits(1)?;
    check!(out.out().contains("4 cases, 3 not as they should be"), "{}", out.told());

    std::fs::create_dir(work.join("scripts"))?;
    write(
        "scripts/a.sh",
        "docker run --rm --memory \\\n  1g busybox true\ndocker run busybox\ndocker run \"$IMAGE\"\ndocker run --privileged busybox\n",
    )?;
    let out = at(&["policy", "test", "--policy", "new.toml", "scripts"]).go()?.exits(1)?;
    for line in [
        "scripts/a.sh:1: would be refused by site-limit, passes now",
        "scripts/a.sh:3: passes",
        "scripts/a.sh:4: cannot be judged: it holds shell variables",
        "scripts/a.sh:5: refused by privileged",
        "4 calls in scripts: 2 refused, 1 of them pass now, 1 cannot be judged",
    ] {
        check!(out.out().contains(line), "{line}\n{}", out.told());
    }
    let text = at(&["policy", "test", "--format", "json", "--policy", "new.toml", "scripts"]).go()?.exits(1)?.stdout;
    check_eq!(serde_json::from_slice::<Value>(&text)?["calls"][0]["rules"][0], "site-limit");

    at(&["run", "--rm", "busybox", "true"]).go()?.ok()?;
    at(&["run", "--rm", "--uts", "host", "--allow", "host-uts", "busybox", "true"]).go()?.ok()?;
    at(&["create", "--name", "big", "--memory", "1g", "busybox", "true"]).go()?.ok()?;
    at(&["start", "-a", "big"]).go()?.ok()?;
    let out = at(&["policy", "test", "--policy", "new.toml", "--audit-log", "--since", "1h"]).go()?.exits(1)?;
    check!(out.out().contains("3 launches in the audit log: 2 would be refused"), "{}", out.told());
    check!(out.out().contains("host-uts: it is not among the overrides"), "{}", out.told());
    check!(out.out().contains("site-limit: --memory 1 GiB"), "{}", out.told());
    at(&["rm", "big"]).go()?.ok()?;
    // What is in force is shown as it counts.
    let site = Site::new(env, &root, &std::fs::read_to_string(work.join("new.toml"))?)?;
    let out = site.run(&["policy", "show"]).go()?.ok()?.out();
    check!(out.contains("memory 64 MiB") && out.contains("are denied"), "{out}");
    site.run(&["policy", "check"]).go()?.ok()?.says("/etc/hardrun/policy.toml: sound")?;
    Ok(())
}
