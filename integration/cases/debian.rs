//! A real distribution under the default preset: packages with maintainer scripts and setuid files, su, chown, archives,
//! version control, a compiler, Python.

use crate::harness::env::s;
use crate::harness::{Env, Outcome};
use crate::{cases, check, check_eq};

cases!("debian":
    apt_get_installs_packages, dpkg_removes_them, su_and_users, chown_and_tar, git_clone, a_c_build, a_python_venv,
    perl_and_locales_start,
);

fn apt_get_installs_packages(env: &Env) -> Outcome {
    let image = env.debian()?;
    let packages = env.fixtures.packages()?;
    let script = "set -e; export DEBIAN_FRONTEND=noninteractive; apt-get install -y --no-install-recommends /debs/*.deb >&2; \
        id -u uuidd >/dev/null && echo user; \
        stat -c %a /usr/bin/sudo; stat -c '%a %G' /usr/bin/crontab; \
        dpkg -s sudo cron uuid-runtime iputils-ping | grep -c 'ok installed'; dpkg --audit; touch /debs/x 2>/dev/null || echo read-only";
    let bind = format!("{}:/debs:ro", packages.display());
    let out = env.sh_in(image, &["-v", &bind], script).limit(240).go()?.ok()?;
    check_eq!(out.out(), "user\n4755\n2755 crontab\n4\nread-only\n", "{}", out.told());
    Ok(())
}

fn dpkg_removes_them(env: &Env) -> Outcome {
    let image = env.debian()?;
    let bind = format!("{}:/debs:ro", env.fixtures.packages()?.display());
    let script = "set -e; dpkg -i /debs/cron-daemon-common*.deb /debs/sensible-utils*.deb >&2; dpkg -i /debs/cron_*.deb >&2; dpkg --purge cron >&2; \
                  dpkg -s cron 2>/dev/null | grep -c installed || echo gone";
    let out = env.sh_in(image, &["-v", &bind], script).limit(240).go()?.ok()?;
    check!(out.out().ends_with("gone\n"), "{}", out.told());
    Ok(())
}

fn su_and_users(env: &Env) -> Outcome {
    let image = env.debian()?;
    let script = "set -e; useradd -m worker; su worker -c 'id -un; touch ~/mine; stat -c %U ~/mine'; \
                  su - worker -c pwd; setpriv --reuid worker --clear-groups --regid worker id -u >/dev/null; \
                  usermod -aG audio worker; id -nG worker; userdel worker";
    let out = env.sh_in(image, &[], script).limit(120).go()?.ok()?;
    check_eq!(out.out(), "worker\nworker\n/home/worker\nworker audio\n", "{}", out.told());
    Ok(())
}

fn chown_and_tar(env: &Env) -> Outcome {
    let image = env.debian()?;
    let script = "set -e; cd /tmp; mkdir t; touch t/a; chown 33:33 t/a; chmod 4711 t/a; ln t/a t/b; mkfifo t/p; \
                  tar -cf t.tar t; rm -r t; tar -xpf t.tar; stat -c '%u:%g %a %h' t/a; \
                  chown -R www-data:nogroup t; stat -c '%U %G' t/p; install -o 7 -g 7 -m 640 t.tar c; stat -c '%u %a' c";
    let out = env.sh_in(image, &[], script).limit(120).go()?.ok()?;
    check_eq!(out.out(), "33:33 4711 2\nwww-data nogroup\n7 640\n", "{}", out.told());
    Ok(())
}

fn git_clone(env: &Env) -> Outcome {
    let image = env.build_image()?;
    let script = "set -e; git config --global user.email a@b.example; git config --global user.name a; \
        git init -q /tmp/from; cd /tmp/from; echo text > file; git add file; git commit -qm first; \
        git clone -q /tmp/from /tmp/to; git clone -q file:///tmp/from /tmp/far; cat /tmp/to/file /tmp/far/file; \
        git -C /tmp/far fsck >&2; git -C /tmp/far gc -q";
    let out = env.sh_in(image, &[], script).limit(120).go()?.ok()?;
    check_eq!(out.out(), "text\ntext\n", "{}", out.told());
    Ok(())
}

fn a_c_build(env: &Env) -> Outcome {
    let image = env.build_image()?;
    let dir = env.dir("c-build")?;
    std::fs::write(dir.join("hello.c"), "#include <stdio.h>\nint main(void) { return puts(\"built\") < 0; }\n")?;
    std::fs::write(dir.join("Makefile"), "check: hello\n\t./hello\nhello: hello.c\n\tgcc -O2 -pipe -o $@ $<\n")?;
    nix::unistd::chown(&dir, Some(1000.into()), Some(1000.into()))?;
    let bind = format!("{}:/src", s(&dir));
    let run = env.verb(&["run", "--rm", "-i", "-v", &bind, "-w", "/src", image, "make", "-j2", "-s", "check"]);
    run.limit(120).go()?.ok()?.says("built")?;
    use std::os::unix::fs::MetadataExt;
    check_eq!(std::fs::metadata(dir.join("hello"))?.uid(), 1000);
    Ok(())
}

fn a_python_venv(env: &Env) -> Outcome {
    let image = env.build_image()?;
    let script = "set -e; python3 -m venv /tmp/venv; . /tmp/venv/bin/activate; pip --version | cut -d' ' -f1; \
        python -c 'import threading, multiprocessing, subprocess, socket, ssl, sqlite3, tempfile\n\
t = threading.Thread(target=print, args=(\"thread\",)); t.start(); t.join()\n\
print(multiprocessing.Pool(2).map(abs, [-1, -2]))\n\
print(subprocess.check_output([\"echo\", \"child\"], text=True), end=\"\")\n\
s = socket.create_server((\"127.0.0.1\", 80)); print(\"socket\")'";
    let out = env.sh_in(image, &[], script).limit(180).go()?.ok()?;
    check_eq!(out.out(), "pip\nthread\n[1, 2]\nchild\nsocket\n", "{}", out.told());
    Ok(())
}

fn perl_and_locales_start(env: &Env) -> Outcome {
    let image = env.debian()?;
    let script = "perl -e 'print \"perl\\n\"'; bash -c 'echo bash'; ls -l / >/dev/null; ps >/dev/null 2>&1; date +%Z; df / >/dev/null";
    env.sh_in(image, &[], script).go()?.ok()?.says("perl\nbash\nUTC")?;
    Ok(())
}
