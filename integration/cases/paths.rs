//! Declared paths and ports: inside they work, one step outside is EACCES, for the first process, `exec` and health checks.

use super::lifecycle::Kept;
use crate::harness::env::s;
use crate::harness::{Env, Outcome, host};
use crate::{cases, check, check_eq};
use hardrun::facts::kernel::Release;
use std::path::PathBuf;

cases!("paths":
    by_list_inside_and_one_step_outside, denied_below_allowed, no_way_round_a_denied_name,
    another_mount_of_a_denied_folder, another_name_of_a_denied_file, ports_by_list,
    socket_families_by_list, exec_and_health_checks_are_under_it, a_debian_program_with_its_list, the_documentations_nginx,
    what_holds_nowhere_does_not_start, it_can_be_seen, profiles_are_printed_and_parse,
);

pub fn preset(env: &Env, text: &str) -> Outcome<PathBuf> {
    let file = env.dir("paths")?.join("declared.toml");
    std::fs::write(&file, format!("description = \"declared\"\n{text}"))?;
    Ok(file)
}

/// An archive of busybox with a secret, a file in /srv, and an `ls` of its own.
pub fn image(env: &Env) -> Outcome<PathBuf> {
    env.fixtures.busybox_with("declared", |root| {
        std::fs::remove_file(root.join("bin/ls"))?;
        std::fs::copy(root.join("bin/busybox"), root.join("bin/ls"))?;
        std::fs::write(root.join("srv/kept"), "")?;
        std::fs::write(root.join("etc/shadow"), "root:secret\n")
    })
}

/// A store with that as busybox.
fn store(env: &Env) -> Outcome<PathBuf> {
    let store = env.dir("store")?;
    env.at(&store, &["import", s(&image(env)?), "busybox"]).go()?.ok()?;
    Ok(store)
}

/// `[paths]` for busybox: its one program may run, and /srv is read.
pub const LISTED: &str =
    "[paths]\nread = [\"/srv/**\", \"/etc/group\"]\nwrite = [\"/tmp/**\"]\nexecute = [\"/bin/busybox\"]\n";

/// Four steps inside [`LISTED`], and some outside.
pub const STEPS: [&str; 12] = [
    "echo text >/tmp/file && cat /tmp/file && mkdir /tmp/d && mv /tmp/file /tmp/d/ && rm -r /tmp/d",
    "cat /etc/group",
    "cat /etc/hosts /etc/resolv.conf /proc/self/status && head -c 1 /dev/urandom && echo >/dev/null",
    "ls /srv",
    // One step outside.
    "cat /etc/shadow",
    "ls /etc",
    "ls /root",
    "echo x >/srv/file",
    "echo x >>/etc/group",
    "echo x >/file",
    "mkdir /srv/d",
    "cp /bin/busybox /tmp/copy && chmod 755 /tmp/copy && /tmp/copy true",
];

/// What each line of a script came to: `ok`, or the error's text.
pub fn tries(lines: &[&str]) -> String {
    let one = |line: &&str| format!("m=$( ({line}) 2>&1 >/dev/null) && echo ok || echo \"${{m##*: }}\"\n");
    lines.iter().map(one).collect()
}

pub const DENIED: &str = "Permission denied";

fn by_list_inside_and_one_step_outside(env: &Env) -> Outcome {
    let file = preset(env, LISTED)?;
    let script = tries(&STEPS);
    let store = store(env)?;
    for flags in [&[][..], &["--user", "1000:1000"]] {
        let front = ["run", "--rm", "--preset", s(&file), "--tmpfs", "/tmp:exec", "--network", "none"];
        let out = env.at(&store, &front).args(flags).args(["busybox", "sh", "-c", &script]).go()?.ok()?;
        let got = out.out();
        let lines: Vec<&str> = got.lines().collect();
        check_eq!(lines[..4], ["ok"; 4], "{}", out.told());
        check!(lines.len() == 12 && lines[4..].iter().all(|l| *l == DENIED), "{}", out.told());
    }
    Ok(())
}

fn denied_below_allowed(env: &Env) -> Outcome {
    let file = preset(
        env,
        "[paths]\nall = true\ndeny = [{ path = \"/etc/shadow\", access = \"r\" }, { path = \"/bin/ls\", access = \"x\" }, \
         { path = \"/srv/**\", access = \"w\" }]\n",
    )?;
    let store = store(env)?;
    let script = tries(&[
        "cat /etc/group /etc/passwd",
        "echo x >/root/file && cat /root/file",
        "cat /srv/kept",
        "ls /",
        "cat /etc/shadow",
        "echo x >/srv/kept",
        "touch /srv/new",
        "rm /srv/kept",
        "/bin/ls",
    ])
    .replace("ls /)", "busybox ls /)");
    let words = ["run", "--rm", "--network", "none", "--preset", s(&file), "busybox", "sh", "-c", &script];
    let out = env.at(&store, &words).go()?.ok()?;
    let got = out.out();
    let lines: Vec<&str> = got.lines().collect();
    check_eq!(lines[..4], ["ok"; 4], "{}", out.told());
    check!(lines.len() == 9 && lines[4..].iter().all(|l| *l == DENIED), "{}", out.told());
    Ok(())
}

fn no_way_round_a_denied_name(env: &Env) -> Outcome {
    let file = preset(env, "[paths]\nall = true\ndeny = [{ path = \"/etc/shadow\", access = \"rw\" }]\n")?;
    let store = store(env)?;
    let kept = Kept::run_at(env, &store, &["--preset", s(&file)], &["sleep", "1000"])?;
    let script = "cd /; ln -s /etc/shadow /tmp/link; cat /tmp/link; ln /etc/shadow /tmp/hard; cat /tmp/hard; \
                  mv /etc/shadow /etc/other; cat /etc/other; mv /etc/shadow /tmp/; cat /tmp/shadow; mv /etc /gone; cat /gone/shadow; \
                  cat /proc/1/root/etc/shadow /proc/self/cwd/etc/shadow; mount --bind /etc /mnt; cat /mnt/shadow; \
                  cp /etc/shadow /tmp/copy; cat /tmp/copy";
    // Twice: what the first one has changed is what the second one's rules are made from.
    for _ in 0..2 {
        let out = kept.exec(&[], &["sh", "-c", script]).go()?;
        check!(!out.out().contains("root:"), "{}", out.told());
        check!(out.err().matches(DENIED).count() >= 3, "{}", out.told());
    }
    // Without the rule it is there.
    let words = ["run", "--rm", "--network", "none", "busybox", "cat", "/etc/shadow"];
    env.at(&store, &words).go()?.ok()?.says("root:secret")?;
    Ok(())
}

fn another_mount_of_a_denied_folder(env: &Env) -> Outcome {
    let file = preset(
        env,
        "[paths]\nall = true\ndeny = [{ path = \"/many/*\", access = \"rw\" }, { path = \"/data/file\", access = \"rw\" }]\n",
    )?;
    let (many, data) = (env.dir("many")?, env.dir("data")?);
    for i in 0..40 {
        std::fs::write(many.join(i.to_string()), "")?;
    }
    std::fs::create_dir(data.join("sub"))?;
    for name in ["file", "open", "sub/open"] {
        std::fs::write(data.join(name), format!("text of {name}\n"))?;
    }
    let volumes = [(&many, "many"), (&data, "data"), (&data, "alias"), (&data.join("sub"), "inner")];
    let volumes = volumes.map(|(from, to)| format!("{}:/{to}", s(from)));
    let flags = [&["--preset", s(&file)][..], &volumes.each_ref().map(|v| ["-v", v.as_str()]).concat()].concat();
    let script = tries(&[
        "cat /data/open /alias/open /data/sub/open /inner/open",
        "echo x >/alias/sub/new && cat /inner/new",
        "cat /data/file",
        "cat /alias/file",
        "cat /many/39",
    ]);
    let out = env.sh(&flags, &script)?.ok()?;
    let got = out.out();
    check_eq!(got.lines().collect::<Vec<_>>(), ["ok", "ok", DENIED, DENIED, DENIED], "{}", out.told());
    Ok(())
}

fn another_name_of_a_denied_file(env: &Env) -> Outcome {
    let root = env.fixtures.busybox_with("linked", |root| {
        for folder in ["srv/x", "srv/whole/deep", "srv/pub"] {
            std::fs::create_dir_all(root.join(folder))?;
        }
        for (name, link) in [("srv/x/secret", "srv/pub/h"), ("srv/whole/deep/secret", "srv/pub/h2")] {
            std::fs::write(root.join(name), "secret\n")?;
            std::fs::hard_link(root.join(name), root.join(link))?;
        }
        std::fs::write(root.join("srv/pub/open"), "open\n")
    })?;
    let store = env.dir("store")?;
    env.at(&store, &["import", s(&root), "linked"]).go()?.ok()?;
    let file = preset(
        env,
        "[paths]\nall = true\ndeny = [{ path = \"/srv/x/secret\", access = \"rw\" }, { path = \"/srv/whole/**\", access = \"rw\" }]\n",
    )?;
    let names = ["pub/open", "x/secret", "pub/h", "whole/deep/secret", "pub/h2"].map(|n| format!("cat /srv/{n}"));
    let script = tries(&names.each_ref().map(String::as_str));
    let words = ["run", "--rm", "--network", "none", "--preset", s(&file), "linked", "sh", "-c", &script];
    let out = env.at(&store, &words).go()?.ok()?;
    let got = out.out();
    check_eq!(got.lines().collect::<Vec<_>>(), ["ok", DENIED, DENIED, DENIED, DENIED], "{}", out.told());
    // A changed mode copies the file up under one of its names: for a later process they are two files, and no other two names.
    let hold = [
        "run",
        "-d",
        "--network",
        "none",
        "--preset",
        s(&file),
        "linked",
        "sh",
        "-c",
        "chmod 604 /srv/x/secret; sleep 100",
    ];
    let id = env.at(&store, &hold).go()?.ok()?.out().trim_end().to_owned();
    if host::has_apparmor() {
        // A profile refuses the change already.
        env.at(&store, &["exec", &id, "chmod", "604", "/srv/x/secret"]).go()?.exits(1)?.complains(&[DENIED])?;
        env.at(&store, &["exec", &id, "cat", "/srv/pub/h"]).go()?.exits(1)?.complains(&[DENIED])?;
        env.at(&store, &["rm", "-f", &id]).go()?.ok()?;
        return Ok(());
    }
    let parted =
        || env.at(&store, &["exec", &id, "stat", "-c", "%a", "/srv/x/secret"]).go().ok().filter(|o| o.out() == "604\n");
    check!(
        crate::harness::env::wait_for(std::time::Duration::from_secs(5), parted).is_some(),
        "the mode was not changed"
    );
    env.at(&store, &["exec", &id, "cat", "/srv/pub/h"]).go()?.exits(1)?.complains(&[DENIED])?;
    env.at(&store, &["rm", "-f", &id]).go()?.ok()?;
    Ok(())
}

fn ports_by_list(env: &Env) -> Outcome {
    let file = preset(env, "[ports]\nlisten = [8080]\nconnect = [8080]\n")?;
    if host::kernel()? < Release(6, 7) {
        // Nothing can refuse them; the plan says so.
        let plan = env.verb(&["explain", "--preset", s(&file), "busybox", "true"]).go()?.ok()?;
        check!(plan.out().contains("Landlock knows ports from Linux 6.7 on"), "{}", plan.told());
        return Ok(());
    }
    // netcat names the error; a listener that stays is ended by its own time.
    let script = "timeout 2 nc -l -p 8080 -e true & sleep 0.3; nc -w 1 127.0.0.1 8080 </dev/null && echo connected; wait; \
                  timeout 2 nc -l -p 8081 -e true; nc -w 1 127.0.0.1 9 </dev/null; \
                  cat /proc/sys/net/ipv4/tcp_fastopen";
    let out = env.sh(&["--preset", s(&file), "--network", "none"], script)?;
    check!(out.out().contains("connected") && out.out().ends_with("0\n"), "{}", out.told());
    check_eq!(out.err().matches(DENIED).count(), 2, "{}", out.told());
    Ok(())
}

fn socket_families_by_list(env: &Env) -> Outcome {
    let file = preset(env, "[sockets]\nallow = [\"inet tcp\"]\ndeny = [\"raw\", \"packet\"]\n")?;
    let made = env.probe(&["--preset", s(&file), "--network", "none"], &["sockets"])?.ok()?.fields();
    for open in ["family-unix", "inet-tcp", "netlink-route"] {
        check_eq!(made[open], "open", "{open}");
    }
    for shut in ["inet6-tcp", "inet-udp", "inet6-udp", "inet-icmp", "family-packet", "inet-raw"] {
        check!(made[shut] != "open", "{shut} is open");
    }
    Ok(())
}

fn exec_and_health_checks_are_under_it(env: &Env) -> Outcome {
    let file = preset(env, LISTED)?;
    let check = "cat /etc/shadow >/dev/null 2>&1 && exit 1; cat /etc/group >/dev/null";
    let flags = ["--preset", s(&file), "--tmpfs", "/tmp", "--health-cmd", check, "--health-interval", "200ms"];
    let kept = Kept::run_at(env, &store(env)?, &flags, &["sleep", "1000"])?;
    kept.exec(&[], &["cat", "/etc/group"]).go()?.ok()?;
    for user in ["root", "1000"] {
        let user = ["-u", user];
        kept.exec(&user, &["cat", "/etc/shadow"]).go()?.exits(1)?.complains(&[DENIED])?;
    }
    kept.until(10, |s| s["health"]["status"] == "healthy" || s["health"]["Status"] == "healthy")?;
    Ok(())
}

fn a_debian_program_with_its_list(env: &Env) -> Outcome {
    let image = env.debian()?;
    let file = preset(
        env,
        "[paths]\nread = [\"/usr/share/perl/**\", \"/etc/perl/**\"]\nexecute = [\"/usr/bin/perl\", \"/bin/id\"]\n",
    )?;
    let words = |command: &[&str]| {
        env.verb(&["run", "--rm", "--network", "none", "--preset", s(&file), image]).args(command).limit(120)
    };
    words(&["perl", "-MPOSIX", "-e", "print strftime('%Y', gmtime(0)), \"\\n\""]).go()?.ok()?.says("1970")?;
    // Through the link /bin, and names of users.
    words(&["/usr/bin/id", "-un"]).go()?.ok()?.says("root")?;
    let open = "open(F, '<', '/etc/shadow') or print \"$!\\n\"; exec '/bin/sh', '-c', 'echo shell' or print \"$!\\n\"";
    words(&["perl", "-e", open]).go()?.ok()?.says(&format!("{DENIED}\n{DENIED}"))?;
    // The loader cannot run what it cannot read either.
    words(&["/lib64/ld-linux-x86-64.so.2", "/bin/sh", "-c", "echo shell"]).go()?.exits(127)?;
    words(&["/bin/sh", "-c", "true"]).go()?.exits(126)?;
    Ok(())
}

/// The example of Docker's documentation in a preset's words, as a service.
pub const NGINX: &str = r#"
capabilities = ["CHOWN", "DAC_OVERRIDE", "SETUID", "SETGID", "NET_BIND_SERVICE"]
apparmor-rules = ["umount", "deny mount"]
[sockets]
allow = ["inet tcp", "inet udp", "inet icmp"]
deny = ["raw", "packet"]
[ports]
listen = [80]
[paths]
all = true
allow = [{ path = "/var/run/nginx.pid", access = "w" }, { path = "/usr/sbin/nginx", access = "ix" }]
audit = [{ path = "/**", access = "w" }]
deny = [
    { path = "/bin/**", access = "wl" }, { path = "/boot/**", access = "wl" }, { path = "/dev/**", access = "wl" },
    { path = "/etc/**", access = "wl" }, { path = "/home/**", access = "wl" }, { path = "/lib/**", access = "wl" },
    { path = "/lib64/**", access = "wl" }, { path = "/media/**", access = "wl" }, { path = "/mnt/**", access = "wl" },
    { path = "/opt/**", access = "wl" }, { path = "/proc/**", access = "wl" }, { path = "/root/**", access = "wl" },
    { path = "/sbin/**", access = "wl" }, { path = "/srv/**", access = "wl" }, { path = "/tmp/**", access = "wl" },
    { path = "/sys/**", access = "wl" }, { path = "/usr/**", access = "wl" },
    { path = "/bin/dash", access = "mrwklx" }, { path = "/bin/sh", access = "mrwklx" }, { path = "/usr/bin/top", access = "mrwklx" },
    { path = "@{PROC}/*", access = "w" },
    { path = "@{PROC}/{[^1-9],[^1-9][^0-9],[^1-9s][^0-9y][^0-9s],[^1-9][^0-9][^0-9][^0-9]*}/**", access = "w" },
    { path = "@{PROC}/sysrq-trigger", access = "rwklx" }, { path = "@{PROC}/kcore", access = "rwklx" },
    { path = "/sys/[^f]*/**", access = "wklx" }, { path = "/sys/firmware/**", access = "rwklx" },
]
"#;

fn the_documentations_nginx(env: &Env) -> Outcome {
    let store = env.dir("store")?;
    env.at(&store, &["import", s(&env.fixtures.services()?), "services"]).limit(300).go()?.ok()?;
    let file = preset(env, NGINX)?;
    // `network inet tcp` leaves IPv6 out, which Debian's own configuration listens on.
    let conf = env.dir("conf")?.join("nginx.conf");
    std::fs::write(
        &conf,
        "user www-data;\npid /run/nginx.pid;\nevents {}\nhttp { access_log off; server { listen 80; root /var/www/html; \
         index index.nginx-debian.html; } }\n",
    )?;
    let conf = format!("{}:/etc/nginx/nginx.conf:ro", s(&conf));
    let words = ["run", "-d", "--network", "none", "-v", &conf, "--preset", s(&file), "services"];
    let run = env.at(&store, &words).args(["nginx", "-g", "daemon off; error_log stderr notice;"]).go()?.ok()?;
    let id = run.out().trim().to_owned();
    let exec = |words: &[&str]| env.at(&store, &["exec", &id]).args(words).limit(30).go();
    let tried = (|| {
        let fetch = ["curl", "-sf", "--retry", "20", "--retry-connrefused", "--retry-delay", "1", "http://127.0.0.1/"];
        let page = exec(&fetch)?;
        check!(page.code == 0, "{}\n{}", page.told(), env.at(&store, &["logs", &id]).go()?.told());
        check!(page.out().contains("nginx"), "{}", page.told());
        // One step outside.
        for shell in [&["/bin/sh", "-c", "true"][..], &["/bin/dash", "-c", "true"], &["/usr/bin/dash", "-c", "true"]] {
            exec(shell)?.exits(126)?;
        }
        for (words, path) in [
            (["touch", "/etc/nginx/new"], "a file in /etc"),
            (["touch", "/usr/share/new"], "a file in /usr"),
            (["touch", "/root/new"], "a file in /root"),
        ] {
            let out = exec(&words)?;
            check!(out.code != 0 && out.err().contains(DENIED), "{path}: {}", out.told());
        }
        exec(&["bash", "-c", "echo x > /dev/tcp/127.0.0.1/80"])?.ok()?;
        Ok(())
    })();
    env.at(&store, &["rm", "-f", &id]).go()?;
    tried
}

fn what_holds_nowhere_does_not_start(env: &Env) -> Outcome {
    if std::path::Path::new("/sys/kernel/security/apparmor").exists() {
        return crate::harness::skip("AppArmor would enforce it");
    }
    let file = preset(env, "[paths]\nall = true\ndeny = [{ path = \"/proc/*/environ\", access = \"r\" }]\n")?;
    let out = env.sh(&["--preset", s(&file)], "true")?.exits(125)?;
    out.complains(&["/proc/*/environ", "cannot be enforced here"])?;
    Ok(())
}

fn it_can_be_seen(env: &Env) -> Outcome {
    let file = preset(env, &format!("{LISTED}[ports]\nlisten = [80]\n"))?;
    let out = env.verb(&["explain", "--preset", s(&file), "-v", "/srv:/data", "busybox", "true"]).go()?.ok()?;
    for part in ["/srv/** r", "/bin/busybox mrix", "/data{,/,/**}", "flag --volume", "TCP ports to listen on", "files"]
    {
        check!(out.out().contains(part), "{part}: {}", out.told());
    }
    let kept = Kept::create(env, &["--preset", s(&file)], &["true"])?;
    let seen = kept.verb(&["inspect", "--format", "{{json .Hardrun.Paths}}"]).go()?.ok()?;
    check!(seen.out().contains("/bin/busybox") && seen.out().contains("\"listen\""), "{}", seen.told());
    let shown = env.verb(&["preset", "show", "--resolved", s(&file)]).go()?.ok()?;
    check!(shown.out().contains("paths.execute") && shown.out().contains("ports.listen"), "{}", shown.told());
    Ok(())
}

fn profiles_are_printed_and_parse(env: &Env) -> Outcome {
    let file = preset(env, NGINX)?;
    let shown = env.verb(&["apparmor", "show", s(&file)]).go()?.ok()?.out().replace("audit deny ", "deny ");
    for line in ["deny /bin/dash mrwklx,", "audit /** w,", "/usr/sbin/nginx ix,", "umount,", "deny network inet raw,"] {
        check!(shown.lines().any(|l| l.trim() == line), "{line} is not in\n{shown}");
    }
    let kept = Kept::create(env, &["--preset", s(&file)], &["true"])?;
    let of_container = kept.verb(&["apparmor", "show"]).go()?.ok()?.out();
    check!(of_container.contains("deny /bin/dash mrwklx,"), "{of_container}");
    // What only AppArmor can carry out is in the text for a host that has it.
    let only = preset(env, "[paths]\ndeny = [{ path = \"/proc/*/environ\", access = \"r\" }]\n")?;
    let shown = env.verb(&["apparmor", "show", s(&only)]).go()?.ok()?.out();
    check!(shown.contains("deny /proc/*/environ r,"), "{shown}");
    let flags = ["--security-opt", "apparmor=unconfined", "--allow", "apparmor-unconfined"];
    let without = Kept::create(env, &flags, &["true"])?;
    without.verb(&["apparmor", "show"]).go()?.exits(1)?.complains(&["without an AppArmor profile"])?;
    let dir = env.dir("profiles")?;
    let written = env.verb(&["apparmor", "export", "-o", s(&dir)]).go()?.ok()?.out();
    check!(written.lines().count() >= 2, "{written}");
    env.needs("apparmor_parser")?;
    let one = dir.join("nginx");
    std::fs::write(&one, &shown)?;
    for path in written.lines().chain([s(&one)]) {
        let parser = crate::harness::Run::new("apparmor_parser").args(["-Q", "--skip-kernel-load", "--skip-cache"]);
        parser.arg(path).go()?.ok()?;
    }
    Ok(())
}
