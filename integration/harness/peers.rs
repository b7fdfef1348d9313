//! Other engines beside which hardrun is looked at: started here, on sockets and folders of their own, and stopped by
//! pid. Where one is not installed or does not start, the cases that want it are skipped and say so.

use super::command::Run;
use super::env::{Env, s, wait_for};
use super::{Outcome, Stop, absent};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, OnceLock};
use std::time::Duration;

pub struct Peers {
    dir: PathBuf,
    docker: OnceLock<Result<Docker, String>>,
    podman: OnceLock<Result<Podman, String>>,
    daemons: Mutex<Vec<Child>>,
}

/// Debian's dockerd without a bridge, on a socket of its own, with the images `busybox` and `probe`.
#[derive(Debug, Clone)]
pub struct Docker {
    pub host: String,
    /// The daemon's own state folder: the OCI bundles of running containers are below it.
    pub exec_root: PathBuf,
}

impl Docker {
    pub fn command(&self) -> Vec<String> {
        vec!["docker".into(), "-H".into(), self.host.clone()]
    }
    /// `docker ARGS…`
    pub fn run(&self, args: &[&str]) -> Run {
        Run::new("docker").args(["-H", &self.host]).args(args)
    }
}

/// podman on folders of its own, with the images `localhost/busybox` and `localhost/probe`.
#[derive(Debug, Clone)]
pub struct Podman {
    global: Vec<String>,
    /// What `run` needs on this machine: limits that the host's bounding set can give, the runtime that starts.
    pub run_flags: Vec<String>,
}

impl Podman {
    /// The words up to and with the flags of `run`.
    pub fn run_command(&self) -> Vec<String> {
        let mut words = vec!["podman".to_owned()];
        words.extend(self.global.iter().cloned());
        words.push("run".into());
        words.extend(self.run_flags.iter().cloned());
        words
    }
    pub fn command(&self, args: &[&str]) -> Run {
        Run::new("podman").args(&self.global).args(args)
    }
}

impl Peers {
    pub fn new(scratch: &Path) -> Peers {
        Peers {
            dir: scratch.join("peers"),
            docker: OnceLock::new(),
            podman: OnceLock::new(),
            daemons: Mutex::new(Vec::new()),
        }
    }

    /// Where engines have their folders: what they leave mounted below it is unmounted at the end.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// End this engine too, when all cases are over.
    pub fn adopt(&self, engine: Child) {
        if let Ok(mut daemons) = self.daemons.lock() {
            daemons.push(engine);
        }
    }

    /// Docker, started when first asked for; skips the case where there is none.
    pub fn docker(&self, env: &Env) -> Outcome<&Docker> {
        env.needs("docker")?;
        env.needs("dockerd")?;
        let started = self.docker.get_or_init(|| self.start_docker(env).map_err(text));
        started.as_ref().or_else(|e| absent(format!("dockerd does not work here: {e}")))
    }

    /// podman, tried when first asked for; skips the case where it does not start a container.
    pub fn podman(&self, env: &Env) -> Outcome<&Podman> {
        env.needs("podman")?;
        let tried = self.podman.get_or_init(|| self.try_podman(env).map_err(text));
        tried.as_ref().or_else(|e| absent(format!("podman does not work here: {e}")))
    }

    fn start_docker(&self, env: &Env) -> Outcome<Docker> {
        let dir = self.dir.join("docker");
        std::fs::create_dir_all(&dir)?;
        std::fs::write(dir.join("daemon.json"), "{}")?;
        let log = std::fs::File::create(dir.join("log"))?;
        let host = format!("unix://{}", s(&dir.join("socket")));
        let daemon = Command::new("dockerd")
            .arg("--config-file")
            .arg(dir.join("daemon.json"))
            .args(["-H", &host])
            .arg("--data-root")
            .arg(dir.join("data"))
            .arg("--exec-root")
            .arg(dir.join("exec"))
            .arg("--pidfile")
            .arg(dir.join("pid"))
            .args(["--bridge", "none", "--iptables=false", "--ip6tables=false"])
            // A container that writes without end must not fill the disk with its log.
            .args(["--log-driver", "none"])
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()?;
        self.adopt(daemon);
        let docker = Docker { host, exec_root: dir.join("exec") };
        let up =
            wait_for(Duration::from_secs(40), || docker.run(&["version"]).limit(20).go().ok().filter(|o| o.code == 0));
        if up.is_none() {
            let log = std::fs::read_to_string(dir.join("log")).unwrap_or_default();
            return super::fail(log.lines().last().unwrap_or("no word from it").to_owned());
        }
        docker.run(&["import", s(&env.fixtures.busybox()?), "busybox"]).go()?.ok()?;
        docker.run(&["import", s(&env.fixtures.probe()?), "probe"]).go()?.ok()?;
        docker.run(&["run", "--rm", "--network", "none", "busybox", "true"]).go()?.ok()?;
        Ok(docker)
    }

    fn try_podman(&self, env: &Env) -> Outcome<Podman> {
        let dir = self.dir.join("podman");
        let global = ["--root", s(&dir.join("root")), "--runroot", s(&dir.join("run"))].map(str::to_owned);
        let mut podman = Podman { global: global.into(), run_flags: Vec::new() };
        podman.global.extend(["--cgroup-manager", "cgroupfs", "--storage-driver", "overlay"].map(str::to_owned));
        podman.command(&["import", s(&env.fixtures.busybox()?), "localhost/busybox"]).go()?.ok()?;
        podman.command(&["import", s(&env.fixtures.probe()?), "localhost/probe"]).go()?.ok()?;
        // podman asks for limits that a host without CAP_SYS_RESOURCE cannot give, and Debian's crun refuses hybrid
        // cgroups: the first of these that starts a container is what is compared.
        let hard = nix::sys::resource::getrlimit(nix::sys::resource::Resource::RLIMIT_NOFILE)?.1;
        let files = format!("nofile=1024:{}", hard.min(1 << 20));
        let limits = ["--ulimit", files.as_str(), "--ulimit", "nproc=4096:4096"];
        let tries: [&[&str]; 4] =
            [&[], &limits, &["--runtime", "crun"], &[limits[0], limits[1], limits[2], limits[3], "--runtime", "runc"]];
        let mut last = String::new();
        for flags in tries {
            podman.run_flags = flags.iter().map(|f| f.to_string()).collect();
            let words = podman.run_command();
            let tried = Run::new(&words[0])
                .args(&words[1..])
                .args(["--rm", "--network", "none", "--pull", "never", "localhost/busybox", "true"])
                .go()?;
            if tried.code == 0 {
                return Ok(podman);
            }
            last = tried.err().trim().to_owned();
        }
        super::fail(last)
    }

    /// End what was started here.
    pub fn stop(&self) {
        let mut daemons = self.daemons.lock().map(|mut d| std::mem::take(&mut *d)).unwrap_or_default();
        for daemon in &daemons {
            let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(daemon.id() as i32), nix::sys::signal::SIGTERM);
        }
        for daemon in &mut daemons {
            let gone = wait_for(Duration::from_secs(20), || daemon.try_wait().ok().flatten());
            if gone.is_none() {
                let _ = daemon.kill();
                let _ = daemon.wait();
            }
        }
        // Mounts that an engine leaves behind would keep the scratch folder busy.
        let prefix = self.dir.to_string_lossy().into_owned();
        let left = super::host::mounts(std::process::id() as i32).unwrap_or_default();
        for mount in left.iter().rev().filter(|m| m.target.starts_with(&prefix)) {
            let _ = nix::mount::umount2(mount.target.as_str(), nix::mount::MntFlags::MNT_DETACH);
        }
    }
}

fn text(stop: Stop) -> String {
    match stop {
        Stop::Fail(why) | Stop::Skip(why) => why,
    }
}
