//! Every rule refuses, writes nothing, says how to go on, and lets pass what is overridden by name; all of it is logged.

use crate::harness::env::{needs_user_namespaces, s};
use crate::harness::{Env, Outcome, Output, fail, host, leaks};
use crate::{cases, check, check_eq};
use serde_json::Value;
use std::collections::BTreeSet;

cases!("refusals":
    every_rule_has_a_case, @alone every_rule_refuses_and_writes_nothing, @alone every_override_lets_pass,
    @alone every_example_is_refused, exec_is_judged_too, @alone spelling_does_not_matter, several_findings_are_all_told, overrides_are_never_a_blanket,
    an_override_loosens_only_its_layer, the_log_tells_it_all,
);

struct Case {
    rule: &'static str,
    /// Words after `run --rm`; `IMAGE` stands for the image, with nothing after it `true` is run.
    words: &'static str,
    /// No override exists.
    never: bool,
    /// As docker's, the command line's parser answers before any rule is asked; the rule is there for other doors.
    parsed: bool,
}

const fn case(rule: &'static str, words: &'static str) -> Case {
    Case { rule, words, never: false, parsed: false }
}
const fn never(rule: &'static str, words: &'static str) -> Case {
    Case { rule, words, never: true, parsed: false }
}

const REFUSED: &[Case] = &[
    case("engine-socket", "-v /var/run/docker.sock:/s:ro IMAGE"),
    case("host-root-mount", "-v /:/host IMAGE"),
    case("host-secrets", "-v /etc/shadow:/s:ro IMAGE"),
    case("engine-data", "-v /var/lib/docker:/x:ro IMAGE"),
    case("host-proc-mount", "-v /proc:/p IMAGE"),
    case("host-sys-mount", "-v /sys:/s IMAGE"),
    case("host-dev-mount", "-v /dev:/d IMAGE"),
    case("sensitive-mount-rw", "-v /usr/share:/x:rw IMAGE"),
    case("shared-propagation", "--mount type=bind,src=/srv,dst=/x,bind-propagation=rshared IMAGE"),
    never("kernel-mountpoint", "-v /srv:/proc/sys IMAGE"),
    never("own-state", "-v ROOT:/x IMAGE"),
    case("privileged", "--privileged IMAGE"),
    case("dangerous-capability", "--cap-add SYS_ADMIN IMAGE"),
    case("new-privileges", "--security-opt no-new-privileges=false IMAGE"),
    case("privileged-group", "--userns host --group-add 6 IMAGE"),
    case("host-id-map", "--uidmap 0:0:65536 IMAGE"),
    case("device", "--device /dev/kmsg IMAGE"),
    case("device-cgroup-rule", "--device-cgroup-rule 'b 8:* rwm' IMAGE"),
    case("gpus", "--gpus all IMAGE"),
    never("api-socket", "--use-api-socket IMAGE"),
    case("preserve-fds", "--preserve-fds 1 IMAGE"),
    case("env-host", "--env-host IMAGE"),
    case("seccomp-unconfined", "--security-opt seccomp=unconfined IMAGE"),
    case("seccomp-weaker", "--security-opt seccomp=PROFILE IMAGE"),
    case("seccomp-policy-image", "--seccomp-policy image IMAGE"),
    case("apparmor-unconfined", "--security-opt apparmor=unconfined IMAGE"),
    case("apparmor-weaker", "--security-opt apparmor=PROFILE-IN-COMPLAIN-MODE IMAGE"),
    case("selinux-disabled", "--security-opt label=disable IMAGE"),
    case("paths-unmasked", "--security-opt systempaths=unconfined IMAGE"),
    case("writable-cgroups", "--security-opt writable-cgroups=true IMAGE"),
    case("personality", "--personality LINUX32 IMAGE"),
    case("host-userns", "--userns host IMAGE"),
    case("host-pid", "--pid host IMAGE"),
    case("host-network", "--network host IMAGE"),
    case("host-ipc", "--ipc host IMAGE"),
    case("host-uts", "--uts host IMAGE"),
    case("host-cgroupns", "--cgroupns host IMAGE"),
    case("foreign-container", "--userns container:elsewhere IMAGE"),
    Case { rule: "host-sysctl", words: "--sysctl vm.overcommit_memory=1 IMAGE", never: true, parsed: true },
    case("sysctl", "--sysctl net.ipv4.ip_forward=1 IMAGE"),
    case("no-memory-limit", "--memory 64m --memory-swap -1 IMAGE"),
    case("no-pids-limit", "--pids-limit -1 IMAGE"),
    case("no-files-limit", "--ulimit nofile=-1 IMAGE"),
    case("core-dumps", "--ulimit core=-1 IMAGE"),
    case("oom-kill-disable", "--oom-kill-disable -m 64m IMAGE"),
    case("negative-oom-score", "--oom-score-adj -500 IMAGE"),
    case("cpu-rt", "--cpu-rt-runtime 1000 IMAGE"),
    case("cgroup-parent", "--cgroup-parent /elsewhere IMAGE"),
    case("cgroups-disabled", "--cgroups disabled IMAGE"),
    case("cgroup-conf", "--cgroup-conf memory.high=1000000 IMAGE"),
    case("privileged-port", "-p 127.0.0.1:80:80 IMAGE"),
    case("publish-all", "-P IMAGE"),
    case("publish-any-address", "-p 0.0.0.0:8080:80 IMAGE"),
    case("ssh-in-container", "IMAGE /usr/sbin/sshd -D"),
    case("insecure-registry", "--tls-verify=false registry.example/app:1"),
    case("rootfs-host", "--rootfs ROOTFS /bin/true"),
    never("rootfs-sensitive", "--rootfs / /bin/true"),
    never("workdir-through-proc", "-w /proc/self/fd/7 IMAGE"),
];

/// The rules as the program lists them.
fn rules(env: &Env) -> Outcome<Vec<Value>> {
    let text = env.verb(&["rules", "--format", "json"]).go()?.ok()?.stdout;
    match serde_json::from_slice::<Value>(&text)? {
        Value::Array(rules) => Ok(rules),
        other => fail(format!("rules --format json is no array: {other}")),
    }
}

fn id(rule: &Value) -> &str {
    rule["id"].as_str().unwrap_or("without an id")
}

/// The rules about `exec`, which need a container that runs as another user than root.
const EXEC: &[(&str, &[&str])] = &[
    ("exec-privileged", &["exec --privileged NAME id", "exec --privileged -w / NAME id"]),
    ("exec-root", &["exec -u root NAME id", "exec --user 0:0 NAME id", "exec -u 0 -i NAME id"]),
];

fn every_rule_has_a_case(env: &Env) -> Outcome {
    let rules = rules(env)?;
    let known: BTreeSet<&str> = rules.iter().map(id).collect();
    let tried: BTreeSet<&str> = REFUSED.iter().map(|c| c.rule).chain(EXEC.iter().map(|e| e.0)).collect();
    check_eq!(known.difference(&tried).collect::<Vec<_>>(), Vec::<&&str>::new(), "rules without a case");
    check_eq!(tried.difference(&known).collect::<Vec<_>>(), Vec::<&&str>::new(), "cases without a rule");
    check!(known.len() >= 30);
    Ok(())
}

/// What rules are about and this machine may not have: made for the time of a case, and only where nothing is.
struct StandIns {
    made: Vec<&'static str>,
    _socket: Option<std::os::unix::net::UnixListener>,
}

const SOCKET: &str = "/run/docker.sock";
const ENGINE: &str = "/var/lib/docker";

impl StandIns {
    fn make() -> Outcome<StandIns> {
        let mut made = Vec::new();
        let socket = match std::path::Path::new(SOCKET).exists() {
            true => None,
            false => Some(std::os::unix::net::UnixListener::bind(SOCKET)?),
        };
        made.extend(socket.is_some().then_some(SOCKET));
        if !std::path::Path::new(ENGINE).exists() {
            std::fs::create_dir(ENGINE)?;
            made.push(ENGINE);
        }
        Ok(StandIns { made, _socket: socket })
    }
}

impl Drop for StandIns {
    fn drop(&mut self) {
        for path in &self.made {
            let gone = if *path == SOCKET { std::fs::remove_file(path) } else { std::fs::remove_dir(path) };
            if let Err(e) = gone {
                eprintln!("cannot remove {path}: {e}");
            }
        }
    }
}

/// The words of a case on this machine.
fn words(env: &Env, text: &str) -> Outcome<Vec<String>> {
    let profile = env.scratch.join("allow-all.json");
    if !profile.exists() {
        std::fs::write(&profile, r#"{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[]}"#)?;
    }
    let rootfs = env.scratch.join("rootfs");
    if !rootfs.exists() {
        std::fs::create_dir(&rootfs)?;
        let untar = crate::harness::Run::new("tar").args(["-C", s(&rootfs), "-xpf", s(&env.fixtures.busybox()?)]);
        untar.go()?.ok()?;
    }
    // Examples name files that a reader would have.
    let text = text.replace("docker-default.json", "PROFILE").replace("/srv/root", "ROOTFS");
    let text = text.replace("--group-add docker", "--group-add 6");
    let text = text.replace("PROFILE", s(&profile)).replace("ROOTFS", s(&rootfs)).replace("ROOT", s(&env.root));
    let text = match text.strip_suffix(" IMAGE") {
        Some(flags) => format!("{flags} busybox true"),
        None => text.replace("IMAGE", "busybox"),
    };
    shlex::split(&text).map_or_else(|| fail(format!("bad quotes in {text}")), Ok)
}

fn run(env: &Env, front: &[&str], text: &str) -> Outcome<Output> {
    env.verb(&[&["run", "--rm"], front].concat()).args(words(env, text)?).limit(30).go()
}

fn every_rule_refuses_and_writes_nothing(env: &Env) -> Outcome {
    let _these = StandIns::make()?;
    let mut wrong = Vec::new();
    for c in REFUSED.iter().filter(|c| !impossible(c)) {
        words(env, c.words)?;
        let before = state(env)?;
        let out = run(env, &[], c.words)?;
        let err = out.err();
        if c.parsed {
            out.exits(125)?;
            continue;
        }
        let override_told = c.never || err.contains(&format!("--allow {}", c.rule));
        if out.code != 125 || !err.contains(c.rule) || !override_told || !out.stdout.is_empty() {
            wrong.push(format!("{} is not refused as it should be\n{}", c.rule, out.told()));
        }
        if state(env)? != before {
            wrong.push(format!("the refusal by {} wrote something", c.rule));
        }
    }
    if wrong.is_empty() { Ok(()) } else { fail(wrong.join("\n      ")) }
}

/// Everything in the store but the log, which a refusal is written to.
fn state(env: &Env) -> Outcome<Vec<String>> {
    use std::os::unix::fs::MetadataExt;
    let files = leaks::files(&env.root).into_iter().filter(|f| !f.starts_with("audit.") && !f.starts_with("layers/"));
    files
        .map(|f| {
            let m = std::fs::symlink_metadata(env.root.join(&f))?;
            // A folder's time changes with a lock file that comes and goes.
            let time = if m.is_dir() { 0 } else { m.mtime_nsec() };
            Ok(format!("{f} {:o} {} {time}", m.mode(), m.size()))
        })
        .collect()
}

/// Cases that this machine cannot ask for: without CAP_SYS_RESOURCE the limit of open files is what the caller has.
fn impossible(c: &Case) -> bool {
    let sys_resource = host::capabilities(std::process::id() as i32)["CapBnd"] & (1 << 24) != 0;
    // That one takes a profile in the kernel that is in complain mode.
    c.rule == "no-files-limit" && !sys_resource || c.rule == "apparmor-weaker"
}

fn every_override_lets_pass(env: &Env) -> Outcome {
    let _these = StandIns::make()?;
    let mut wrong = Vec::new();
    for c in REFUSED.iter().filter(|c| !impossible(c)) {
        let allow = format!("{}=the integration tests", c.rule);
        let mut front = vec!["--allow", allow.as_str(), "--dry-run", "--format", "json"];
        // Where asking for one thing asks for another too, that one is overridden by its own name.
        for other in also(c.rule) {
            front.extend(["--allow", other]);
        }
        let out = run(env, &front, c.words)?;
        let refused = out.code == 125 && out.err().contains(&format!("--allow {}", c.rule));
        if c.never {
            if out.code != 125 {
                wrong.push(format!("{} has an override though it should have none\n{}", c.rule, out.told()));
            }
            continue;
        }
        let pending = [
            "privileged-port",
            "publish-all",
            "publish-any-address",
            "insecure-registry",
            "host-id-map",
            "gpus",
            "foreign-container",
        ];
        if pending.contains(&c.rule) {
            // What comes after the rule says that it is not carried out yet, or needs a registry that is not there.
            if refused {
                wrong.push(format!("{} still refuses\n{}", c.rule, out.told()));
            }
            continue;
        }
        let plan: Value = serde_json::from_slice(&out.stdout).unwrap_or_default();
        let told = plan["overrides"].as_array().is_some_and(|all| all.iter().any(|o| o["rule"] == c.rule));
        if out.code != 0 || !told {
            wrong.push(format!("{} does not let pass, or the plan does not tell\n{}", c.rule, out.told()));
        }
    }
    if wrong.is_empty() { Ok(()) } else { fail(wrong.join("\n      ")) }
}

fn also(rule: &str) -> &'static [&'static str] {
    match rule {
        "privileged-group" => &["host-userns"],
        "host-root-mount" => &["engine-socket"],
        "host-userns" => &["privileged-group"],
        "privileged" => &["dangerous-capability"],
        _ => &[],
    }
}

fn every_example_is_refused(env: &Env) -> Outcome {
    let _these = StandIns::make()?;
    let mut wrong = Vec::new();
    for rule in rules(env)? {
        let Some(example) = rule["example"].as_str() else { continue };
        let example = example.trim_start_matches("hardrun run ");
        // `--network ns:` is no network name of docker's, and the parser says so.
        let parsed = id(&rule) == "foreign-container";
        // Those of exec are tried where there is a container.
        let of_exec = EXEC.iter().any(|e| e.0 == id(&rule));
        if parsed || of_exec || REFUSED.iter().any(|c| c.rule == id(&rule) && (c.parsed || impossible(c))) {
            continue;
        }
        let out = run(env, &[], example)?;
        if out.code != 125 || !out.err().contains(id(&rule)) {
            wrong.push(format!("the example of {} is not refused by it\n{}", id(&rule), out.told()));
        }
    }
    if wrong.is_empty() { Ok(()) } else { fail(wrong.join("\n      ")) }
}

fn exec_is_judged_too(env: &Env) -> Outcome {
    let name = "judged";
    let held = env.hold(&["--name", name, "-u", "app", "--network", "none"])?;
    for rule in rules(env)? {
        let Some((_, lines)) = EXEC.iter().find(|e| e.0 == id(&rule)) else { continue };
        let example = rule["example"].as_str().unwrap_or_default().trim_start_matches("hardrun ");
        for line in lines.iter().copied().chain([example]) {
            let words: Vec<&str> = line.split(' ').map(|w| if w == "NAME" { name } else { w }).collect();
            let out = env.verb(&words).go()?.exits(125)?;
            out.complains(&[id(&rule), &format!("--allow {}", id(&rule))])?.says("")?;
        }
        // With its reason it passes, as far as the container itself goes and no further.
        let allow = format!("{}=the integration tests", id(&rule));
        for line in *lines {
            let words: Vec<&str> = line.split(' ').skip(1).map(|w| if w == "NAME" { name } else { w }).collect();
            env.verb(&["exec", "--allow", &allow]).args(words).go()?.ok()?;
        }
    }
    // The container's own user, and others that are not root, need none.
    env.verb(&["exec", name, "id", "-u"]).go()?.ok()?.says("1000")?;
    env.verb(&["exec", "-u", "nobody", name, "id", "-u"]).go()?.ok()?.says("65534")?;
    held.end()?.ok()?;
    Ok(())
}

fn spelling_does_not_matter(env: &Env) -> Outcome {
    let dir = env.dir("spelling")?;
    std::os::unix::fs::symlink("/etc", dir.join("to-etc"))?;
    std::os::unix::fs::symlink("/", dir.join("to-root"))?;
    let to_etc = format!("-v {}/to-etc:/x:rw IMAGE", dir.display());
    let to_root = format!("-v {}/to-root:/x IMAGE", dir.display());
    let below = format!("-v {}/to-root/usr/share:/x:rw IMAGE", dir.display());
    for (rule, words) in [
        ("dangerous-capability", "--cap-add=CAP_SYS_ADMIN IMAGE"),
        ("dangerous-capability", "--cap-add sys_admin IMAGE"),
        ("dangerous-capability", "--cap-add ALL IMAGE"),
        ("dangerous-capability", "--cap-drop ALL --cap-add cap_sys_ptrace IMAGE"),
        ("sensitive-mount-rw", "-v /etc/../usr/./share//:/x:rw IMAGE"),
        ("sensitive-mount-rw", "--mount type=bind,src=/usr/share,dst=/x,readonly=false IMAGE"),
        ("sensitive-mount-rw", &below),
        ("host-root-mount", "--volume=//:/x IMAGE"),
        ("host-root-mount", "-v /usr/..:/x:ro IMAGE"),
        ("host-root-mount", &to_root),
        ("shared-propagation", "-v /srv:/x:rshared IMAGE"),
        ("shared-propagation", "-v /srv:/x:ro,slave IMAGE"),
        ("host-pid", "--pid=host IMAGE"),
        ("host-network", "--net host IMAGE"),
        ("host-network", "--network name=host IMAGE"),
        ("seccomp-unconfined", "--security-opt=seccomp:unconfined IMAGE"),
        ("new-privileges", "--security-opt no-new-privileges:false IMAGE"),
        ("privileged", "--privileged=true IMAGE"),
        ("no-pids-limit", "--pids-limit=0 IMAGE"),
        ("ssh-in-container", "--entrypoint /usr/sbin/sshd IMAGE -D"),
    ] {
        let out = run(env, &[], words)?.exits(125)?;
        out.complains(&[rule])?;
    }
    let out = run(env, &[], &to_etc)?.exits(125)?;
    check!(out.err().contains("/etc"), "{}", out.told());
    // A folder that holds an engine's socket is as good as the socket.
    let _these = StandIns::make()?;
    for words in ["-v /run:/x:ro IMAGE", "--mount type=bind,src=/var/run/docker.sock,dst=/s,readonly IMAGE"] {
        run(env, &[], words)?.exits(125)?.complains(&["engine-socket"])?;
    }
    // And what is turned off is not asked for.
    run(env, &[], "--privileged=false --network none IMAGE")?.ok()?;
    Ok(())
}

fn several_findings_are_all_told(env: &Env) -> Outcome {
    let out = run(env, &[], "--privileged --pid host -v /usr/share:/x:rw --security-opt seccomp=unconfined IMAGE")?;
    let out = out.exits(125)?;
    for rule in ["privileged", "host-pid", "sensitive-mount-rw", "seccomp-unconfined"] {
        check!(out.err().contains(&format!("--allow {rule}")), "{rule} is not told\n{}", out.told());
    }
    // One override leaves the others.
    let out = run(env, &["--allow", "host-pid"], "--pid host --ipc host IMAGE")?.exits(125)?;
    check!(out.err().contains("--allow host-ipc") && !out.err().contains("--allow host-pid"), "{}", out.told());
    Ok(())
}

fn overrides_are_never_a_blanket(env: &Env) -> Outcome {
    for word in ["all", "*", "ALL", "", "no-such-rule", "host-pid,host-ipc"] {
        run(env, &["--allow", word], "--network none IMAGE")?.exits(125)?;
    }
    Ok(())
}

fn an_override_loosens_only_its_layer(env: &Env) -> Outcome {
    let held = env.hold(&["--ipc", "host", "--allow", "host-ipc=measured"])?;
    let own = std::process::id() as i32;
    let mut differ = Vec::new();
    for kind in ["user", "pid", "mnt", "ipc", "uts", "net", "cgroup"] {
        if crate::harness::host::namespace(held.init, kind)? != crate::harness::host::namespace(own, kind)? {
            differ.push(kind);
        }
    }
    let status = crate::harness::host::status(held.init);
    held.end()?.ok()?;
    let mut all = vec!["user", "pid", "mnt", "uts", "net", "cgroup"];
    all.retain(|kind| *kind != "user" || needs_user_namespaces().is_ok());
    check_eq!(differ, all);
    check_eq!((status["Seccomp"].as_str(), status["NoNewPrivs"].as_str()), ("2", "1"));
    Ok(())
}

fn the_log_tells_it_all(env: &Env) -> Outcome {
    let root = env.own_root()?;
    let run = |words: &[&str]| env.at(&root, &[&["run", "--rm"], words].concat()).go();
    run(&["--network", "none", "busybox", "true"])?.ok()?;
    run(&["--pid", "host", "busybox", "true"])?.exits(125)?;
    run(&["--pids-limit", "-1", "--allow", "no-pids-limit=a long reason", "busybox", "true"])?.ok()?;
    env.at(&root, &["audit-log", "verify"]).go()?.ok()?;
    let shown = env.at(&root, &["audit-log", "show"]).go()?.ok()?;
    for want in ["host-pid", "no-pids-limit", "a long reason"] {
        check!(shown.out().contains(want), "{want} is not in the log\n{}", shown.told());
    }
    // One letter changed, one line less, two lines swapped: each is found.
    let log = root.join("audit.log");
    let text = std::fs::read_to_string(&log)?;
    let lines: Vec<&str> = text.lines().collect();
    check!(lines.len() >= 3, "{} lines", lines.len());
    let swapped = [&[lines[1], lines[0]], &lines[2..]].concat().join("\n") + "\n";
    for spoilt in [text.replace("a long reason", "A long reason"), lines[1..].join("\n") + "\n", swapped] {
        std::fs::write(&log, &spoilt)?;
        let out = env.at(&root, &["audit-log", "verify"]).go()?;
        check!(out.code != 0, "a spoilt log passes for whole\n{}", out.told());
    }
    std::fs::write(&log, &text)?;
    env.at(&root, &["audit-log", "verify"]).go()?.ok()?;
    Ok(())
}
