//! What an ordinary user has: the same containers, without root. Each case makes a user of its own and removes it.

use super::net::lab::Lan;
use crate::harness::env::{s, wait_for};
use crate::harness::{Env, Outcome, Output, Run, Stop, fail, host, skip};
use crate::{cases, check, check_eq};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

cases!("rootless":
    @alone a_container_is_confined_as_roots_are, @alone files_belong_to_the_user_and_roots_stay_roots, @alone verbs_work_on_what_runs,
    @alone the_same_is_refused_and_the_same_codes_come_back, @alone ports_names_and_a_way_out, @alone the_hosts_addresses_are_out_of_reach,
    @alone a_killed_supervisor_leaves_nothing, @alone a_killed_keeper_is_replaced, @alone two_users_do_not_meet,
    @alone without_subordinate_ids_there_is_one, @alone a_store_that_overlay_cannot_use_is_fuses, @alone limits_are_systemds_or_said_to_be_missing, @alone the_sites_policy_holds,
    @alone where_users_have_no_namespaces_one_error_says_why,
);

static COUNT: AtomicU32 = AtomicU32::new(0);

/// An ordinary user with a home, subordinate ids, and hardrun.
pub(super) struct User {
    name: String,
    uid: u32,
    home: PathBuf,
    hardrun: PathBuf,
    lingers: bool,
}

impl User {
    fn new(env: &Env) -> Outcome<User> {
        let user = Self::without_images(env)?;
        let archive = user.home.join("busybox.tar");
        std::fs::copy(env.fixtures.busybox()?, &archive)?;
        std::fs::set_permissions(&archive, PermissionsExt::from_mode(0o644))?;
        user.hardrun(&["import", s(&archive), "busybox:latest"]).limit(120).go()?.ok()?;
        Ok(user)
    }

    pub(super) fn without_images(env: &Env) -> Outcome<User> {
        env.needs("newuidmap")?;
        env.needs("useradd")?;
        let n = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("hr{}x{n}", std::process::id());
        let home = env.dir(&name)?.join("home");
        Run::new("useradd").args(["--create-home", "--home-dir", s(&home), "--shell", "/bin/sh", &name]).go()?.ok()?;
        let id = Run::new("id").args(["-u", &name]).go()?.ok()?.out();
        let user = User { name, uid: id.trim().parse()?, hardrun: home.join("hardrun"), home, lingers: false };
        // Where useradd gives none, as root would with usermod.
        for file in ["/etc/subuid", "/etc/subgid"] {
            let text = std::fs::read_to_string(file).unwrap_or_default();
            if !text.lines().any(|l| l.starts_with(&format!("{}:", user.name))) {
                let first = 0x3000_0000 + user.uid * 65_536;
                std::fs::write(file, format!("{text}{}:{first}:65536\n", user.name))?;
            }
        }
        std::fs::copy(&env.hardrun, &user.hardrun)?;
        std::fs::set_permissions(&user.hardrun, PermissionsExt::from_mode(0o755))?;
        Ok(user)
    }

    /// As this user, with nothing of the caller's environment.
    fn run(&self, words: &[&str]) -> Run {
        let id = self.uid.to_string();
        let home = format!("HOME={}", self.home.display());
        let enter =
            ["--reuid", &id, "--regid", &id, "--init-groups", "env", "-i", &home, "PATH=/usr/sbin:/usr/bin:/sbin:/bin"];
        let bus = self.lingers.then(|| format!("XDG_RUNTIME_DIR=/run/user/{id}"));
        Run::new("setpriv").args(enter).args(bus).args(words).dir(&self.home)
    }

    pub(super) fn hardrun(&self, words: &[&str]) -> Run {
        let mut all = vec![s(&self.hardrun)];
        all.extend(words);
        self.run(&all)
    }

    fn sh(&self, flags: &[&str], script: &str) -> Outcome<Output> {
        let mut words = vec!["run", "--rm"];
        words.extend(flags);
        words.extend(["busybox", "sh", "-c", script]);
        self.hardrun(&words).go()
    }

    /// A container in the background, by name.
    fn start(&self, flags: &[&str], command: &[&str]) -> Outcome {
        let mut words = vec!["run", "-d"];
        words.extend(flags);
        words.push("busybox");
        words.extend(command);
        self.hardrun(&words).go()?.ok().map(drop)
    }

    fn pid(&self, name: &str) -> Outcome<i32> {
        let out = self.hardrun(&["inspect", "-f", "{{.State.Pid}}", name]).go()?.ok()?.out();
        Ok(out.trim().parse()?)
    }

    /// What of this user's runs, by the names of the processes.
    fn processes(&self) -> Vec<(i32, String)> {
        let mine = |pid: i32| {
            let status = host::status(pid);
            let uid = status.get("Uid")?.split_whitespace().next()?.parse::<u32>().ok()?;
            let alive = !status.get("State")?.starts_with('Z');
            (uid == self.uid && alive).then(|| (pid, status.get("Name").cloned().unwrap_or_default()))
        };
        host::processes().into_iter().filter_map(|(pid, _)| mine(pid)).collect()
    }

    fn named(&self, name: &str) -> Option<i32> {
        self.processes().into_iter().find(|(_, n)| n == name).map(|(pid, _)| pid)
    }

    /// Nothing of this user's runs any more.
    fn nothing_runs(&self) -> Outcome {
        match wait_for(Duration::from_secs(5), || self.processes().is_empty().then_some(())) {
            Some(()) => Ok(()),
            None => fail(format!("still there: {:?}", self.processes())),
        }
    }
}

impl Drop for User {
    fn drop(&mut self) {
        for (pid, _) in self.processes() {
            let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::SIGKILL);
        }
        let _ = wait_for(Duration::from_secs(5), || self.processes().is_empty().then_some(()));
        if self.lingers {
            let _ = Run::new("loginctl").args(["disable-linger", &self.name]).go();
        }
        let _ = Run::new("userdel").arg(&self.name).go();
        for file in ["/etc/subuid", "/etc/subgid"] {
            if let Ok(text) = std::fs::read_to_string(file) {
                let kept: String = text
                    .lines()
                    .filter(|l| !l.starts_with(&format!("{}:", self.name)))
                    .map(|l| format!("{l}\n"))
                    .collect();
                let _ = std::fs::write(file, kept);
            }
        }
        let _ = std::fs::remove_dir_all(format!("/tmp/hardrun-{}", self.uid));
        let _ = std::fs::remove_dir_all(&self.home);
    }
}

fn a_container_is_confined_as_roots_are(env: &Env) -> Outcome {
    let user = User::new(env)?;
    user.start(&["--name", "one"], &["sleep", "100"])?;
    let pid = user.pid("one")?;
    let status = host::status(pid);
    let field = |name: &str| status.get(name).map(String::as_str).unwrap_or_default();
    // On the host its root is the user, and nothing more.
    check_eq!(field("Uid"), format!("{0}\t{0}\t{0}\t{0}", user.uid));
    check_eq!((field("NoNewPrivs"), field("Seccomp")), ("1", "2"));
    check_eq!(field("Groups").trim(), user.uid.to_string());
    let inside = env.hold(&[])?;
    let roots = host::capabilities(inside.init);
    inside.end()?;
    check_eq!(host::capabilities(pid), roots);
    for kind in ["user", "pid", "mnt", "ipc", "uts", "net"] {
        check!(
            host::namespace(pid, kind)? != host::namespace(std::process::id() as i32, kind)?,
            "{kind} is the host's"
        );
    }
    let map = std::fs::read_to_string(format!("/proc/{pid}/uid_map"))?;
    let lines: Vec<Vec<&str>> = map.lines().map(|l| l.split_whitespace().collect()).collect();
    check_eq!(lines.len(), 2);
    check_eq!(lines[0], ["0", &user.uid.to_string(), "1"]);
    check_eq!((lines[1][0], lines[1][2]), ("1", "65535"));
    let mounts = std::fs::read_to_string(format!("/proc/{pid}/mountinfo"))?;
    let root = mounts.lines().find(|l| l.split(' ').nth(4) == Some("/")).unwrap_or_default();
    check!(root.contains("nosuid,nodev") && root.contains("overlay") && root.contains("userxattr"), "{root}");
    // Nothing that would need a right over the host.
    let out =
        user.sh(&[], "cat /proc/self/uid_map; cat /proc/1/environ > /dev/null; mknod /x c 1 3; mount -t tmpfs x /tmp")?;
    check!(out.code != 0 && out.out().split_whitespace().next() == Some("0"), "{}", out.told());
    check_eq!(user.hardrun(&["audit-log", "verify"]).go()?.code, 0);
    let log = std::fs::read_to_string(user.home.join(".local/share/hardrun/audit.log"))?;
    check!(log.contains(&format!("\"uid\":{}", user.uid)), "{log}");
    user.hardrun(&["rm", "-f", "one"]).go()?.ok()?;
    user.nothing_runs()
}

fn files_belong_to_the_user_and_roots_stay_roots(env: &Env) -> Outcome {
    let user = User::new(env)?;
    let project = user.home.join("project");
    user.run(&["mkdir", s(&project)]).go()?.ok()?;
    let bind = format!("{}:/p", project.display());
    let out = user.sh(&["-v", &bind], "echo x > /p/new && stat -c %u /p; chmod u+s /p/new; chown 5 /p/new")?;
    check!(out.out().starts_with("0\n"), "{}", out.told());
    let made = project.join("new").metadata()?;
    // chown to another id of the user's is the user's own affair; root's it cannot be, and set-id it is not.
    check!(made.uid() != 0 && made.mode() & 0o6000 == 0, "uid {} mode {:o}", made.uid(), made.mode());
    // A file that only root may read, in a folder that everybody may enter.
    let closed = env.dir("closed")?;
    std::fs::set_permissions(&closed, PermissionsExt::from_mode(0o755))?;
    std::fs::write(closed.join("roots"), "secret")?;
    std::fs::set_permissions(closed.join("roots"), PermissionsExt::from_mode(0o600))?;
    let out =
        user.sh(&["-v", &format!("{}:/c", closed.display())], "cat /c/roots; echo y > /c/more; chmod 777 /c/roots")?;
    check!(out.code != 0 && !out.out().contains("secret") && !closed.join("more").exists(), "{}", out.told());
    // Volumes are the container's own.
    user.sh(&["-v", "data:/d"], "echo v > /d/x && chown 7:8 /d/x")?.ok()?;
    user.sh(&["-v", "data:/d"], "stat -c %u:%g /d/x")?.ok()?.says("7:8")?;
    // What a container removes of its image stays removed, folders that it makes anew are empty.
    user.start(&["--name", "one"], &["sh", "-c", "rm -r /etc; mkdir /etc; sleep 100"])?;
    let listed = || Ok::<_, Stop>(user.hardrun(&["exec", "one", "ls", "/etc"]).go()?.out());
    let empty = wait_for(Duration::from_secs(5), || listed().ok().filter(|l| !l.contains("passwd")));
    check!(empty.is_some(), "{}", listed()?);
    user.hardrun(&["commit", "one", "changed"]).go()?.ok()?;
    user.hardrun(&["run", "--rm", "changed", "ls", "/etc/passwd"]).go()?.exits(1)?;
    user.hardrun(&["rm", "-f", "one"]).go()?.ok()?;
    user.hardrun(&["volume", "rm", "data"]).go()?.ok()?;
    user.nothing_runs()
}

fn verbs_work_on_what_runs(env: &Env) -> Outcome {
    let user = User::new(env)?;
    user.start(&["--name", "one", "--restart", "always"], &["sh", "-c", "echo started; sleep 100"])?;
    let ps = user.hardrun(&["ps", "--format", "{{.Names}} {{.Image}}"]).go()?.ok()?;
    ps.says("one busybox")?;
    user.hardrun(&["exec", "one", "sh", "-c", "grep -E 'Seccomp:|NoNewPrivs' /proc/self/status; id -u"])
        .go()?
        .ok()?
        .says("NoNewPrivs:\t1\nSeccomp:\t2\n0")?;
    user.hardrun(&["logs", "one"]).go()?.ok()?.says("started")?;
    user.hardrun(&["exec", "one", "sh", "-c", "echo inside > /made"]).go()?.ok()?;
    user.hardrun(&["cp", "one:/made", "made"]).go()?.ok()?;
    check_eq!(std::fs::metadata(user.home.join("made"))?.uid(), user.uid);
    user.hardrun(&["diff", "one"]).go()?.ok()?.says("A /made")?;
    // Started anew by its policy, from the same namespaces.
    user.hardrun(&["kill", "one"]).go()?.ok()?;
    user.hardrun(&["start", "one"]).go()?.ok()?;
    user.hardrun(&["restart", "-t", "0", "one"]).go()?.ok()?;
    user.hardrun(&["exec", "one", "cat", "/made"]).go()?.ok()?.says("inside")?;
    user.hardrun(&["exec", "one", "sh", "-c", "kill -9 -1; kill -9 1"]).go()?;
    user.hardrun(&["stop", "-t", "0", "one"]).go()?.ok()?;
    user.hardrun(&["cp", "one:/made", "again"]).go()?.ok()?;
    user.hardrun(&["rm", "one"]).go()?.ok()?;
    // From a folder that the user may not enter.
    let here = env.dir("closed")?;
    std::fs::set_permissions(&here, PermissionsExt::from_mode(0o700))?;
    user.hardrun(&["run", "--rm", "busybox", "echo", "here"]).dir(&here).go()?.ok()?.says("here")?;
    user.nothing_runs()
}

fn the_same_is_refused_and_the_same_codes_come_back(env: &Env) -> Outcome {
    let user = User::new(env)?;
    for (flags, rule) in [
        (&["--privileged"][..], "privileged"),
        (&["--network", "host"], "host-network"),
        (&["--pid", "host"], "host-pid"),
        (&["-v", "/:/host"], "host-root"),
        (&["-v", "/etc/shadow:/x:ro"], "host-secrets"),
        (&["--cap-add", "SYS_ADMIN"], "dangerous-capability"),
        (&["--security-opt", "seccomp=unconfined"], "seccomp-unconfined"),
    ] {
        let out = user.sh(flags, "true")?.exits(125)?;
        check!(out.err().contains("refused by"), "{rule}: {}", out.told());
        let roots = env.sh(flags, "true")?.exits(125)?;
        // The same rules, word for word.
        let first = |text: &str| {
            text.lines()
                .filter(|l| l.starts_with("  ") && !l.starts_with("    "))
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        check_eq!(first(&out.err()), first(&roots.err()));
    }
    let own = user.home.join(".ssh");
    user.run(&["mkdir", s(&own)]).go()?.ok()?;
    user.sh(&["-v", &format!("{}:/k", own.display())], "true")?.exits(125)?;
    user.sh(&["-v", &format!("{}/.local/share/hardrun:/k", user.home.display())], "true")?
        .exits(125)?
        .complains(&["own-state"])?;
    user.sh(&[], "exit 7")?.exits(7)?;
    user.sh(&[], "sh -c 'kill -9 $$'; exit $?")?.exits(137)?;
    user.hardrun(&["run", "--rm", "busybox", "nosuch"]).go()?.exits(127)?;
    user.hardrun(&["run", "--rm", "busybox", "/etc"]).go()?.exits(126)?;
    user.hardrun(&["run", "--rm", "-i", "busybox", "cat"]).stdin("through").go()?.ok()?.says("through")?;
    user.nothing_runs()
}

/// udev gives it to everybody; a host without udev may not have.
fn needs_tun() -> Outcome {
    let tun = Path::new("/dev/net/tun");
    match tun.metadata() {
        Ok(meta) if meta.mode() & 0o006 == 0o006 => Ok(()),
        Ok(_) => Ok(std::fs::set_permissions(tun, PermissionsExt::from_mode(0o666))?),
        Err(e) => skip(format!("no /dev/net/tun: {e}")),
    }
}

fn get(address: &str) -> Outcome<String> {
    let attempt = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        stream.write_all(b"GET / HTTP/1.0\r\n\r\n")?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        if text.is_empty() { Err(std::io::ErrorKind::UnexpectedEof.into()) } else { Ok(text) }
    };
    let got = wait_for(Duration::from_secs(10), || attempt().ok());
    got.ok_or_else(|| Stop::Fail(format!("{address} does not answer: {:?}", attempt())))
}

fn ports_names_and_a_way_out(env: &Env) -> Outcome {
    env.needs("pasta")?;
    needs_tun()?;
    let (user, lan) = (User::new(env)?, Lan::new()?);
    let serve = "mkdir /www; echo hello > /www/index.html; exec httpd -f -p 80 -h /www";
    user.hardrun(&["network", "create", "front"]).go()?.ok()?;
    user.start(&["--name", "web", "-p", "80", "--network", "front"], &["sh", "-c", serve])?;
    let port = user.hardrun(&["port", "web", "80"]).go()?.ok()?.out();
    check!(port.starts_with("127.0.0.1:"), "{port}");
    check!(get(port.trim())?.ends_with("hello\n"), "the published port says something else");
    // The neighbour does not reach what is published on loopback.
    let number: u16 = port.trim().rsplit(':').next().unwrap_or_default().parse()?;
    check!(lan.space.reach(super::net::lab::at(lan.host_ip(), number)).is_err(), "the neighbour reached it");
    // Another container by name; the answer of a web server is enough.
    let ask = |at: &str| format!("(printf 'GET / HTTP/1.0\\r\\n\\r\\n'; sleep 1) | nc -w 5 {at} | tail -n 1");
    user.sh(&["--network", "front"], &ask("web 80"))?.ok()?.says("hello")?;
    let out = lan.space.serve("0.0.0.0:0")?;
    let said = user.sh(&[], &format!("sleep 1 | nc -w 5 {} {out}", lan.ip()))?.ok()?.out();
    check_eq!(said.trim(), lan.host_ip().to_string());
    // Taken ports are docker's error.
    let taken = format!("127.0.0.1:{number}:80");
    user.sh(&["-p", &taken], "true")?.exits(125)?.complains(&["port is already allocated"])?;
    // The host's own network, where that was overridden.
    let flags = ["--network", "host", "--allow", "host-network"];
    let seen = user.sh(&flags, "cat /proc/net/dev")?.ok()?.out();
    check!(seen.contains(lan.interface()), "{seen}");
    user.hardrun(&["network", "create", "--internal", "apart"]).go()?.ok()?;
    let out = user.sh(&["--network", "apart"], &format!("nc -w 2 {} {out} < /dev/null", lan.ip()))?;
    check!(out.code != 0, "{}", out.told());
    user.hardrun(&["network", "rm", "apart"]).go()?.ok()?;
    user.hardrun(&["rm", "-f", "web"]).go()?.ok()?;
    user.hardrun(&["network", "rm", "front"]).go()?.ok()?;
    check!(TcpStream::connect(port.trim()).is_err(), "the port is there without its container");
    user.nothing_runs()
}

fn the_hosts_addresses_are_out_of_reach(env: &Env) -> Outcome {
    env.needs("pasta")?;
    needs_tun()?;
    let (user, lan) = (User::new(env)?, Lan::new()?);
    let port = super::net::lab::serve(std::net::TcpListener::bind("0.0.0.0:0")?)?;
    let reached = |flags: &[&str], ip: String| -> Outcome<String> {
        Ok(user.sh(flags, &format!("sleep 1 | nc -w 2 {ip} {port} 2>&1"))?.out())
    };
    for ip in [lan.host_ip().to_string(), "169.254.169.254".into()] {
        let said = reached(&[], ip.clone())?;
        check!(said.contains("can't connect") || said.contains("timed out"), "{ip}: {said}");
    }
    user.nothing_runs()
}

fn a_killed_supervisor_leaves_nothing(env: &Env) -> Outcome {
    let user = User::new(env)?;
    user.start(&["--name", "one", "-p", "80"], &["sleep", "100"])?;
    let pid = user.pid("one")?;
    let supervisor = host::status(pid).get("PPid").and_then(|p| p.parse().ok()).unwrap_or(0);
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(supervisor), nix::sys::signal::SIGKILL)?;
    // The container, what passes its port on, the keeper and pasta.
    user.nothing_runs()?;
    let ps = user.hardrun(&["ps", "-a", "--format", "{{.Names}} {{.State}}"]).go()?.ok()?;
    ps.says("one exited")?;
    user.hardrun(&["start", "one"]).go()?.ok()?;
    user.hardrun(&["rm", "-f", "one"]).go()?.ok()?;
    user.nothing_runs()
}

fn a_killed_keeper_is_replaced(env: &Env) -> Outcome {
    let user = User::new(env)?;
    user.hardrun(&["network", "create", "front"]).go()?.ok()?;
    user.start(&["--name", "one", "--network", "front"], &["sh", "-c", "echo here > /f; exec httpd -f -p 80 -h /"])?;
    let Some(keeper) = user.named("hardrun-keeper") else { return fail("there is no keeper") };
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(keeper), nix::sys::signal::SIGKILL)?;
    let gone = wait_for(Duration::from_secs(5), || user.named("hardrun-keeper").is_none().then_some(()));
    check!(gone.is_some(), "{:?}", user.processes());
    // The same namespaces as before: exec enters, and a new container reaches the old one.
    user.hardrun(&["exec", "one", "cat", "/f"]).go()?.ok()?.says("here")?;
    let ask = "(printf 'GET /f HTTP/1.0\\r\\n\\r\\n'; sleep 1) | nc -w 5 one 80 | tail -n 1";
    user.sh(&["--network", "front"], ask)?.ok()?.says("here")?;
    user.hardrun(&["rm", "-f", "one"]).go()?.ok()?;
    user.nothing_runs()
}

fn two_users_do_not_meet(env: &Env) -> Outcome {
    let (ann, bob) = (User::new(env)?, User::new(env)?);
    ann.start(&["--name", "mine"], &["sleep", "100"])?;
    bob.start(&["--name", "mine"], &["sleep", "100"])?;
    check_eq!(ann.hardrun(&["ps", "-q"]).go()?.ok()?.out().lines().count(), 1);
    bob.hardrun(&["exec", "mine", "true"]).go()?.ok()?;
    ann.hardrun(&["rm", "-f", "mine"]).go()?.ok()?;
    bob.hardrun(&["exec", "mine", "true"]).go()?.ok()?;
    // Another's store and keeper are closed.
    let store = ann.home.join(".local/share/hardrun");
    bob.hardrun(&["--root", s(&store), "ps"]).go()?.exits(1)?;
    check!(
        host::namespace(bob.pid("mine")?, "net")? != host::namespace(std::process::id() as i32, "net")?,
        "bob's network is the host's"
    );
    bob.hardrun(&["rm", "-f", "mine"]).go()?.ok()?;
    ann.nothing_runs()?;
    bob.nothing_runs()
}

fn without_subordinate_ids_there_is_one(env: &Env) -> Outcome {
    let user = User::new(env)?;
    for file in ["/etc/subuid", "/etc/subgid"] {
        let text = std::fs::read_to_string(file)?;
        let kept: String =
            text.lines().filter(|l| !l.starts_with(&format!("{}:", user.name))).map(|l| format!("{l}\n")).collect();
        std::fs::write(file, kept)?;
    }
    let archive = user.home.join("busybox.tar");
    let alone = user.home.join("alone");
    let hardrun = |words: &[&str]| {
        let mut all = vec!["--root", s(&alone)];
        all.extend(words);
        user.hardrun(&all)
    };
    hardrun(&["import", s(&archive), "busybox:latest"]).limit(120).go()?.ok()?;
    let out = hardrun(&["run", "--rm", "busybox", "sh", "-c", "id -u; cat /proc/self/uid_map"]).go()?.ok()?.out();
    check_eq!(out.split_whitespace().collect::<Vec<_>>(), ["0", "0", "0", "1"]);
    hardrun(&["run", "-d", "--name", "one", "busybox", "sleep", "100"]).go()?.ok()?;
    hardrun(&["exec", "one", "id", "-u"]).go()?.ok()?.says("0")?;
    hardrun(&["rm", "-f", "one"]).go()?.ok()?;
    hardrun(&["run", "--rm", "-u", "5", "busybox", "id"]).go()?.exits(125)?.complains(&["id 5 is not among"])?;
    let out = hardrun(&["explain", "busybox", "sh"]).go()?.ok()?.out();
    check!(out.contains("no subordinate ids"), "{out}");
    user.nothing_runs()
}

/// On an overlay (a user in another container, say) the kernel's own makes no writable folder.
fn a_store_that_overlay_cannot_use_is_fuses(env: &Env) -> Outcome {
    env.needs("fuse-overlayfs")?;
    let user = User::new(env)?;
    let device = Path::new("/dev/fuse");
    let Ok(meta) = device.metadata() else { return skip("no /dev/fuse") };
    // udev's own mode, which a host without udev may not have.
    std::fs::set_permissions(device, PermissionsExt::from_mode(meta.mode() | 0o666))?;
    let folder = env.dir("overlaid")?;
    for name in ["lower", "upper", "work", "merged"] {
        std::fs::create_dir(folder.join(name))?;
    }
    let merged = folder.join("merged");
    let at = |name: &str| folder.join(name).display().to_string();
    let options = format!("lowerdir={},upperdir={},workdir={}", at("lower"), at("upper"), at("work"));
    Run::new("mount").args(["-t", "overlay", "overlay", "-o", &options, s(&merged)]).go()?.ok()?;
    std::os::unix::fs::chown(&merged, Some(user.uid), None)?;
    let store = merged.join("store");
    let hardrun = |words: &[&str]| user.hardrun(&[&["--root", s(&store)], words].concat());
    let tried = || -> Outcome {
        hardrun(&["import", s(&user.home.join("busybox.tar")), "busybox:latest"]).limit(120).go()?.ok()?;
        let script = "echo new > /new && rm /etc/passwd && chown 7 /new && stat -c %u /new && grep -c fuse-overlayfs /proc/self/mountinfo";
        let out = hardrun(&["run", "--rm", "busybox", "sh", "-c", script]).go()?.ok()?;
        check!(out.err().contains("fuse-overlayfs takes its place"), "{}", out.told());
        out.says("7\n1")?;
        user.nothing_runs()
    };
    let result = tried();
    std::fs::set_permissions(device, PermissionsExt::from_mode(meta.mode()))?;
    Run::new("umount").arg(s(&merged)).go()?.ok()?;
    result
}

fn limits_are_systemds_or_said_to_be_missing(env: &Env) -> Outcome {
    let mut user = User::new(env)?;
    let booted = Path::new("/run/systemd/system").is_dir() && Path::new("/sys/fs/cgroup/cgroup.controllers").exists();
    if !booted || Run::new("loginctl").args(["enable-linger", &user.name]).go()?.code != 0 {
        let out = user.sh(&["-m", "64m"], "true")?.ok()?;
        check!(out.err().contains("--memory") && out.err().contains("discarded"), "{}", out.told());
        user.nothing_runs()?;
        return skip("no systemd that has a user's bus here; the line was said");
    }
    user.lingers = true;
    let bus = PathBuf::from(format!("/run/user/{}/bus", user.uid));
    check!(wait_for(Duration::from_secs(60), || bus.exists().then_some(())).is_some(), "no bus at {}", bus.display());
    user.start(&["--name", "one", "-m", "64m", "--pids-limit", "33"], &["sleep", "100"])?;
    let text = std::fs::read_to_string(format!("/proc/{}/cgroup", user.pid("one")?))?;
    let path = text.lines().find_map(|l| l.strip_prefix("0::")).unwrap_or_default().to_owned();
    check!(path.contains(&format!("/user@{}.service/", user.uid)) && path.contains("hardrun-"), "{path}");
    let folder = Path::new("/sys/fs/cgroup").join(path.trim_start_matches('/'));
    let read = |file: &str| std::fs::read_to_string(folder.join(file)).map(|t| t.trim().to_owned());
    check_eq!((read("memory.max")?, read("pids.max")?), ((64u64 << 20).to_string(), "33".to_owned()));
    // exec is in the same group, and pausing works.
    user.hardrun(&["exec", "one", "true"]).go()?.ok()?;
    user.hardrun(&["pause", "one"]).go()?.ok()?;
    user.hardrun(&["unpause", "one"]).go()?.ok()?;
    user.sh(&["-m", "16m"], "tail /dev/zero")?.exits(137)?;
    user.hardrun(&["rm", "-f", "one"]).go()?.ok()?;
    check!(
        wait_for(Duration::from_secs(5), || (!folder.exists()).then_some(())).is_some(),
        "{} is left",
        folder.display()
    );
    Ok(())
}

fn the_sites_policy_holds(env: &Env) -> Outcome {
    let folder = Path::new("/etc/hardrun");
    if folder.exists() {
        return skip("this host has a policy of its own");
    }
    let user = User::new(env)?;
    struct Policy;
    impl Drop for Policy {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all("/etc/hardrun");
        }
    }
    std::fs::create_dir(folder)?;
    let _policy = Policy;
    std::fs::set_permissions(folder, PermissionsExt::from_mode(0o755))?;
    let write = |text: &str| -> Outcome {
        std::fs::write(folder.join("policy.toml"), text)?;
        Ok(std::fs::set_permissions(folder.join("policy.toml"), PermissionsExt::from_mode(0o644))?)
    };
    write("deny = [\"host-pid\"]\n")?;
    user.sh(&[], "true")?.ok()?;
    user.sh(&["--pid", "host", "--allow", "host-pid"], "true")?.exits(125)?;
    // By who asks: this user, and nobody else.
    write(&format!(
        "unlisted-overrides = \"deny\"\n[[allow]]\nrule = \"publish-any-address\"\nusers = [\"{}\"]\nreason = \"a test\"\nexpires = \"2099-12-31\"\n",
        user.name
    ))?;
    user.sh(&["-p", "0.0.0.0::80", "--allow", "publish-any-address"], "true")?.ok()?;
    let other = User::new(env)?;
    other.sh(&["-p", "0.0.0.0::80", "--allow", "publish-any-address"], "true")?.exits(125)?;
    // Somebody else could have written it.
    std::os::unix::fs::chown(folder.join("policy.toml"), Some(user.uid), None)?;
    user.sh(&[], "true")?.exits(125)?.complains(&["policy cannot be used"])?;
    Ok(())
}

/// A setting of the whole host, put back.
struct Sysctl(&'static str, String);

impl Drop for Sysctl {
    fn drop(&mut self) {
        let _ = std::fs::write(self.0, &self.1);
    }
}

fn where_users_have_no_namespaces_one_error_says_why(env: &Env) -> Outcome {
    let user = User::new(env)?;
    user.nothing_runs()?;
    let path = "/proc/sys/user/max_user_namespaces";
    let before = Sysctl(path, std::fs::read_to_string(path)?);
    if let Err(e) = std::fs::write(path, "0") {
        return skip(format!("this host lets nobody change user.max_user_namespaces: {e}"));
    }
    let out = user.sh(&[], "true")?.exits(125)?;
    check!(out.err().contains("user.max_user_namespaces is 0") && out.err().contains("sysctl -w"), "{}", out.told());
    check_eq!(user.hardrun(&["doctor"]).go()?.code, 1);
    drop(before);
    user.sh(&[], "true")?.ok().map(drop)
}
