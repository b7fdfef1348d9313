//! The user that a case makes, and removes.

use crate::harness::env::{s, wait_for};
use crate::harness::{Env, Outcome, Output, Run, fail, host, skip};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

static COUNT: AtomicU32 = AtomicU32::new(0);

/// An ordinary user with a home, subordinate ids, and hardrun.
pub struct User {
    pub name: String,
    pub uid: u32,
    pub gid: u32,
    pub home: PathBuf,
    pub hardrun: PathBuf,
    /// What comes with a session: a systemd of the user's own, and its bus.
    pub lingers: bool,
    /// A control group (its folder) that what is run goes into first, as what comes from another session is in another.
    pub group: Option<PathBuf>,
}

impl User {
    /// With busybox in the store. Skips where no user has a namespace, or nowhere to write.
    pub fn new(env: &Env) -> Outcome<User> {
        if let Some(switch) = hardrun::rootless::trouble::switch() {
            return skip(format!("ordinary users have no namespaces here: {switch}"));
        }
        env.needs("nft")?;
        let user = Self::bare(env)?;
        let mark = rustix::fs::setxattr(&user.home, "user.tried", b"1", rustix::fs::XattrFlags::empty());
        if let Err(e) = mark {
            return skip(format!(
                "{} takes no attributes of users, and so no overlay of theirs: {e}",
                user.home.display()
            ));
        }
        user.import(env)?;
        Ok(user)
    }

    /// Without an image.
    pub fn bare(env: &Env) -> Outcome<User> {
        for program in ["newuidmap", "useradd", "setpriv"] {
            env.needs(program)?;
        }
        let n = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("hr{}x{n}", std::process::id());
        let home = env.dir(&name)?.join("home");
        Run::new("useradd").args(["--create-home", "--home-dir", s(&home), "--shell", "/bin/sh", &name]).go()?.ok()?;
        let id =
            |which: &str| -> Outcome<u32> { Ok(Run::new("id").args([which, &name]).go()?.ok()?.out().trim().parse()?) };
        let (uid, gid) = (id("-u")?, id("-g")?);
        let user = User { name, uid, gid, hardrun: home.join("hardrun"), home, lingers: false, group: None };
        // Where useradd gives none, as root would with usermod.
        for file in ["/etc/subuid", "/etc/subgid"] {
            let text = std::fs::read_to_string(file).unwrap_or_default();
            if !text.lines().any(|l| l.starts_with(&format!("{}:", user.name))) {
                let first = 0x3000_0000 + (user.uid % 4096) * 65_536;
                std::fs::write(file, format!("{text}{}:{first}:65536\n", user.name))?;
            }
        }
        std::fs::copy(&env.hardrun, &user.hardrun)?;
        std::fs::set_permissions(&user.hardrun, PermissionsExt::from_mode(0o755))?;
        Ok(user)
    }

    pub fn import(&self, env: &Env) -> Outcome {
        self.import_as(&env.fixtures.busybox()?, "busybox")
    }

    pub fn import_as(&self, archive: &Path, name: &str) -> Outcome {
        let archive = self.give(archive, &format!("{name}.tar"))?;
        self.hardrun(&["import", s(&archive), name]).limit(120).go()?.ok().map(drop)
    }

    /// Give the user a systemd of its own, as a session does. Skips where the host has nothing that could.
    pub fn linger(&mut self, env: &Env) -> Outcome {
        if !Path::new("/run/systemd/system").is_dir() {
            return skip("systemd is not pid 1 here: nobody delegates control groups to users");
        }
        if !Path::new("/sys/fs/cgroup/cgroup.controllers").exists() {
            return skip("control groups are version 1 here: systemd delegates none of them to users");
        }
        env.needs("loginctl")?;
        if !Path::new("/usr/lib/systemd/user/dbus.socket").exists() {
            return skip("users have no bus here: dbus-user-session is not installed");
        }
        Run::new("loginctl").args(["enable-linger", &self.name]).go()?.ok()?;
        self.lingers = true;
        let bus = self.session().join("bus");
        match wait_for(Duration::from_secs(60), || bus.exists().then_some(())) {
            Some(()) => Ok(()),
            None => fail(format!("no bus at {}", bus.display())),
        }
    }

    fn session(&self) -> PathBuf {
        PathBuf::from(format!("/run/user/{}", self.uid))
    }

    /// A copy in the home, for the user to read.
    pub fn give(&self, from: &Path, name: &str) -> Outcome<PathBuf> {
        let to = self.home.join(name);
        std::fs::copy(from, &to)?;
        std::fs::set_permissions(&to, PermissionsExt::from_mode(0o644))?;
        Ok(to)
    }

    /// As this user, with nothing of the caller's environment.
    pub fn run(&self, words: &[&str]) -> Run {
        let (id, group) = (self.uid.to_string(), self.gid.to_string());
        let home = format!("HOME={}", self.home.display());
        let enter = [
            "--reuid",
            &id,
            "--regid",
            &group,
            "--init-groups",
            "env",
            "-i",
            &home,
            "PATH=/usr/sbin:/usr/bin:/sbin:/bin",
        ];
        let bus = self.lingers.then(|| format!("XDG_RUNTIME_DIR=/run/user/{id}"));
        let run = match &self.group {
            None => Run::new("setpriv"),
            Some(group) => {
                let script = "echo $$ > $0/cgroup.procs && exec setpriv \"$@\"";
                Run::new("sh").args(["-c", script, s(group)])
            }
        };
        run.args(enter).args(bus).args(words).dir(&self.home)
    }

    pub fn hardrun(&self, words: &[&str]) -> Run {
        let mut all = vec![s(&self.hardrun)];
        all.extend(words);
        self.run(&all)
    }

    pub fn sh(&self, flags: &[&str], script: &str) -> Outcome<Output> {
        let mut words = vec!["run", "--rm"];
        words.extend(flags);
        words.extend(["busybox", "sh", "-c", script]);
        self.hardrun(&words).go()
    }

    /// A container in the background, by name.
    pub fn start(&self, flags: &[&str], command: &[&str]) -> Outcome {
        let mut words = vec!["run", "-d"];
        words.extend(flags);
        words.push("busybox");
        words.extend(command);
        self.hardrun(&words).go()?.ok().map(drop)
    }

    pub fn pid(&self, name: &str) -> Outcome<i32> {
        let out = self.hardrun(&["inspect", "-f", "{{.State.Pid}}", name]).go()?.ok()?.out();
        Ok(out.trim().parse()?)
    }

    /// What of this user's runs, by the names of the processes.
    pub fn processes(&self) -> Vec<(i32, String)> {
        let mine = |pid: i32| {
            let status = host::status(pid);
            let uid = status.get("Uid")?.split_whitespace().next()?.parse::<u32>().ok()?;
            let alive = !status.get("State")?.starts_with('Z');
            (uid == self.uid && alive).then(|| (pid, status.get("Name").cloned().unwrap_or_default()))
        };
        host::processes().into_iter().filter_map(|(pid, _)| mine(pid)).collect()
    }

    pub fn named(&self, name: &str) -> Option<i32> {
        self.processes().into_iter().find(|(_, n)| n == name).map(|(pid, _)| pid)
    }

    /// Nothing of this user's runs any more.
    pub fn nothing_runs(&self) -> Outcome {
        match wait_for(Duration::from_secs(5), || self.processes().is_empty().then_some(())) {
            Some(()) => Ok(()),
            None => fail(format!("still there: {:?}", self.processes())),
        }
    }
}

impl Drop for User {
    fn drop(&mut self) {
        if self.lingers {
            // The next user may get the same id: what systemd keeps for this one has to be gone.
            let _ = Run::new("loginctl").args(["disable-linger", &self.name]).go();
            let _ = Run::new("loginctl").args(["terminate-user", &self.name]).go();
            let _ = wait_for(Duration::from_secs(30), || (!self.session().exists()).then_some(()));
        }
        for (pid, _) in self.processes() {
            let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::SIGKILL);
        }
        let _ = wait_for(Duration::from_secs(5), || self.processes().is_empty().then_some(()));
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

/// The mode of a device, as udev leaves it; a host without udev has root's alone. Put back with this value.
pub struct Opened(PathBuf, u32);

impl Opened {
    /// Skips where there is no such device.
    pub fn to_all(device: &str) -> Outcome<Opened> {
        let mode = match Path::new(device).metadata() {
            Ok(meta) => meta.mode(),
            Err(e) => return skip(format!("no {device}: {e}")),
        };
        std::fs::set_permissions(device, PermissionsExt::from_mode(mode | 0o666))?;
        Ok(Opened(device.into(), mode))
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        let _ = std::fs::set_permissions(&self.0, PermissionsExt::from_mode(self.1));
    }
}

/// A file of settings, put back.
pub struct Setting(&'static str, String);

impl Setting {
    /// # Errors
    /// The host lets nobody change it.
    pub fn change(path: &'static str, to: &str) -> std::io::Result<Setting> {
        let before = std::fs::read_to_string(path)?;
        std::fs::write(path, to)?;
        Ok(Setting(path, before))
    }
}

impl Drop for Setting {
    fn drop(&mut self) {
        let _ = std::fs::write(self.0, &self.1);
    }
}
