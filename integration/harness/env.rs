//! What a case is given: the binary under test, roots of its own, images, and the machine.

use super::command::{Output, Run, Running};
use super::fixtures::Fixtures;
use super::peers::Peers;
use super::{Outcome, Stop, host, skip};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

pub struct Env {
    pub hardrun: PathBuf,
    pub fixtures: Fixtures,
    /// Everything of this run lies under here; removed at the end.
    pub scratch: PathBuf,
    /// A store with `busybox` in it that cases share; cases that spoil a store use [`Env::own_root`].
    pub root: PathBuf,
    pub peers: Peers,
    probe: OnceLock<Result<(), String>>,
    debian: OnceLock<Result<(), String>>,
    build: OnceLock<Result<(), String>>,
    count: AtomicU32,
}

impl Env {
    pub fn new() -> Result<Env, String> {
        let hardrun = match std::env::var_os("HARDRUN_BIN") {
            Some(path) => PathBuf::from(path),
            None => PathBuf::from(env!("CARGO_BIN_EXE_hardrun")),
        };
        if !hardrun.is_file() {
            return Err(format!("{} is no file: build hardrun or set HARDRUN_BIN", hardrun.display()));
        }
        let scratch = PathBuf::from(format!("/tmp/hardrun-it-{}", std::process::id()));
        std::fs::create_dir_all(&scratch).map_err(|e| format!("cannot make {}: {e}", scratch.display()))?;
        // Containers reach their bind sources as mapped users.
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(&scratch, std::fs::Permissions::from_mode(0o755)).map_err(|e| e.to_string())?;
        // What cases bind is made below, and most of them are not about labels: as if each bind had been made with `z`.
        label(&scratch).map_err(|e| format!("cannot label {}: {e}", scratch.display()))?;
        let fixtures = Fixtures::find(&scratch)?;
        let root = scratch.join("root");
        let peers = Peers::new(&scratch);
        Ok(Env {
            hardrun,
            fixtures,
            scratch,
            root,
            peers,
            probe: OnceLock::new(),
            debian: OnceLock::new(),
            build: OnceLock::new(),
            count: AtomicU32::new(0),
        })
    }

    /// Fill the shared store with what most cases run.
    pub fn prepare(&self) -> Outcome {
        self.verb(&["import", s(&self.fixtures.busybox()?), "busybox:latest"]).limit(120).go()?.ok()?;
        Ok(())
    }

    /// A fresh folder, mode 0755, that no other case uses.
    pub fn dir(&self, name: &str) -> Outcome<PathBuf> {
        let n = self.count.fetch_add(1, Ordering::Relaxed);
        let dir = self.scratch.join(format!("{name}-{n}"));
        std::fs::create_dir_all(&dir)?;
        Ok(dir)
    }

    /// A store of the case's own with busybox in it.
    pub fn own_root(&self) -> Outcome<PathBuf> {
        let root = self.dir("root")?;
        self.at(&root, &["import", s(&self.fixtures.busybox()?), "busybox:latest"]).go()?.ok()?;
        Ok(root)
    }

    /// `hardrun --root ROOT ARGS…`, with an environment that says little.
    pub fn at(&self, root: &Path, args: &[&str]) -> Run {
        Run::new(&self.hardrun).arg("--root").arg(root).args(args).unset("HARDRUN_ROOT").unset("DOCKER_HOST")
    }

    /// A verb on the shared store.
    pub fn verb(&self, args: &[&str]) -> Run {
        self.at(&self.root, args)
    }

    /// `hardrun run --rm FLAGS… busybox sh -c SCRIPT`.
    pub fn sh(&self, flags: &[&str], script: &str) -> Outcome<Output> {
        self.sh_in("busybox", flags, script).go()
    }

    pub fn sh_in(&self, image: &str, flags: &[&str], script: &str) -> Run {
        self.verb(&["run", "--rm"]).args(flags).args([image, "sh", "-c", script])
    }

    /// The probe inside a container.
    pub fn probe(&self, flags: &[&str], what: &[&str]) -> Outcome<Output> {
        self.verb(&["run", "--rm"]).args(flags).args([self.probe_image()?, "/probe", "probe"]).args(what).go()
    }

    /// A container that stays until [`Held::end`]: started, and its first process found from the host.
    pub fn hold(&self, flags: &[&str]) -> Outcome<Held> {
        self.hold_at(&self.root, flags, &["busybox", "sh", "-c", "echo up; exec cat"])
    }

    /// As [`Env::hold`], with the words after the flags given; the command must wait for the end of its stdin.
    pub fn hold_at(&self, root: &Path, flags: &[&str], command: &[&str]) -> Outcome<Held> {
        let run = self.at(root, &["run", "--rm", "-i"]).args(flags).args(command).open_stdin();
        let mut front = run.start()?;
        let found = wait_for(Duration::from_secs(20), || match host::container_init(front.pid()) {
            Some(init) => Some(Some(init)),
            None => (!front.running()).then_some(None),
        });
        if let Some(Some(init)) = found {
            return Ok(Held { front, init });
        }
        // Ended before anything ran, or nothing runs: its own words say why.
        let _ = front.signal(nix::sys::signal::SIGTERM);
        front.close_stdin();
        super::fail(format!("no process of the container was found\n{}", front.finish()?.told()))
    }

    /// Busybox with this very program as `/probe` in the shared store, imported when first asked for.
    pub fn probe_image(&self) -> Outcome<&'static str> {
        self.imported("probe", &self.probe, || self.fixtures.probe())
    }

    /// The Debian image in the shared store, imported when first asked for.
    pub fn debian(&self) -> Outcome<&'static str> {
        self.imported("debian", &self.debian, || self.fixtures.debian())
    }

    /// Debian with a compiler, git and Python in the shared store, imported when first asked for.
    pub fn build_image(&self) -> Outcome<&'static str> {
        self.imported("build", &self.build, || self.fixtures.build())
    }

    fn imported(
        &self,
        name: &'static str,
        once: &OnceLock<Result<(), String>>,
        tar: impl Fn() -> Outcome<PathBuf>,
    ) -> Outcome<&'static str> {
        let tar = tar()?;
        let done =
            once.get_or_init(|| match self.verb(&["import", s(&tar), name]).limit(300).go().and_then(Output::ok) {
                Ok(_) => Ok(()),
                Err(Stop::Fail(e) | Stop::Skip(e)) => Err(e),
            });
        match done {
            Ok(()) => Ok(name),
            Err(e) => super::fail(e.clone()),
        }
    }

    /// Skip the case unless a program is installed; see [`super::absent`].
    pub fn needs(&self, program: &str) -> Outcome {
        let found =
            std::env::var_os("PATH").is_some_and(|p| std::env::split_paths(&p).any(|d| d.join(program).is_file()));
        if found { Ok(()) } else { super::absent(format!("{program} is not installed")) }
    }
}

/// A container that waits for its stdin to end.
pub struct Held {
    pub front: Running,
    /// The container's first process, as the host numbers it.
    pub init: i32,
}

impl Held {
    pub fn end(mut self) -> Outcome<Output> {
        self.front.close_stdin();
        self.front.finish()
    }
}

/// Ask until there is an answer or the time is over.
pub fn wait_for<T>(limit: Duration, mut ask: impl FnMut() -> Option<T>) -> Option<T> {
    let (since, limit) = (Instant::now(), limit * slowness());
    loop {
        if let Some(answer) = ask() {
            return Some(answer);
        }
        if since.elapsed() > limit {
            return None;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Skips a case about user namespaces where they are switched off.
pub fn needs_user_namespaces() -> Outcome {
    let limit = std::fs::read_to_string("/proc/sys/user/max_user_namespaces").unwrap_or_default();
    if matches!(limit.trim(), "0" | "") { skip("user namespaces are switched off here") } else { Ok(()) }
}

/// How many times longer than on an idle host everything may take: `HARDRUN_SLOW`, set where a processor is emulated.
pub fn slowness() -> u32 {
    std::env::var("HARDRUN_SLOW").ok().and_then(|n| n.parse().ok()).filter(|n| *n > 0).unwrap_or(1)
}

/// A path as text; the harness makes only names that are.
pub fn s(path: &Path) -> &str {
    path.to_str().expect("the harness's own paths are UTF-8")
}

/// Where SELinux is in force: what is made in this folder is for containers.
pub fn label(folder: &Path) -> std::io::Result<()> {
    if super::host::has_selinux() {
        let label = b"system_u:object_r:container_file_t:s0";
        rustix::fs::lsetxattr(folder, "security.selinux", label, rustix::fs::XattrFlags::empty())?;
    }
    Ok(())
}
