//! The two sides: a network namespace each, so that ports, bridges and firewall rules are its own, a folder with a
//! program called `docker`, and images of the same content.

use super::list::{Script, Transcript};
use super::normal::Normaliser;
use crate::harness::env::{s, wait_for};
use crate::harness::{Env, Outcome, Run, Stop, command::Running, fail};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// What `docker` is on a side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Docker,
    Hardrun,
}

/// One side.
pub struct Side {
    pub kind: Kind,
    dir: PathBuf,
    /// Holds the network namespace; it is gone when this process's stdin is closed.
    _network: Running,
    helper: PathBuf,
    holder: String,
    /// Where scripts find the engine: an environment variable and its value.
    engine: (&'static str, String),
    state: PathBuf,
    count: u32,
}

/// Images of every side: name, and changes to the busybox root.
const IMAGES: &[(&str, &[&str])] = &[
    ("busybox:latest", &["CMD [\"sh\"]"]),
    ("busybox:1", &["CMD [\"sh\"]", "LABEL version=1"]),
    ("hello:latest", &["CMD [\"echo\",\"hello from the image\"]"]),
    ("tool:1", &["ENTRYPOINT [\"echo\",\"tool\"]", "CMD [\"--help\"]", "WORKDIR /srv"]),
    (
        "app:1.0",
        &[
            "ENV APP=app MODE=prod",
            "USER app",
            "WORKDIR /home/app",
            "LABEL maintainer=me version=1.0",
            "CMD [\"sh\",\"-c\",\"echo $APP $MODE; id -un; pwd\"]",
        ],
    ),
    ("web:latest", &["EXPOSE 80", "WORKDIR /srv", "CMD [\"httpd\",\"-f\",\"-h\",\"/srv\"]"]),
    ("db:latest", &["VOLUME /var/lib/db", "EXPOSE 5432", "CMD [\"sleep\",\"1000\"]"]),
    (
        "sick:latest",
        &["HEALTHCHECK --interval=1s --timeout=5s --retries=2 CMD test -e /ok", "CMD [\"sleep\",\"1000\"]"],
    ),
];

/// Leaves nothing but the images above. Written for both: what docker does not know is no error here.
const TIDY: &str = r#"
ids=$(docker ps -aq --no-trunc) && [ -z "$ids" ] || docker rm -f -v $ids
volumes=$(docker volume ls -q) && [ -z "$volumes" ] || docker volume rm -f $volumes
for n in $(docker network ls --format '{{.Name}}'); do
    case $n in bridge | host | none) ;; *) docker network rm $n ;; esac
done
for i in $(docker images --format '{{.Repository}}:{{.Tag}}'); do
    case " $BASE " in *" $i "*) ;; *:'<none>') ;; *) docker rmi -f $i ;; esac
done
docker image prune -f
"#;

impl Side {
    /// Start a side in `dir`.
    pub fn start(env: &Env, kind: Kind, dir: PathBuf) -> Outcome<Side> {
        let helper = std::env::current_exe()?;
        std::fs::create_dir_all(&dir)?;
        if kind == Kind::Docker {
            // The engine syncs its files with the disk many times a container: in memory it is a quarter faster. The end
            // of the peers unmounts it.
            let flags = nix::mount::MsFlags::empty();
            nix::mount::mount(Some("peer"), &dir, Some("tmpfs"), flags, Some("mode=755"))?;
        }
        std::fs::create_dir_all(dir.join("bin"))?;
        let network = Run::new(&helper).args(["helper", "hold-network"]).open_stdin().limit(3600).start()?;
        let holder = network.pid().to_string();
        // The namespace is there when its loopback is up.
        let ours = std::fs::read_link("/proc/self/ns/net")?;
        let up = wait_for(Duration::from_secs(10), || {
            let namespace = std::fs::read_link(format!("/proc/{holder}/ns/net")).ok()?;
            let routes = std::fs::read_to_string(format!("/proc/{holder}/net/fib_trie")).ok()?;
            (namespace != ours && routes.contains("127.0.0.1")).then_some(())
        });
        if up.is_none() {
            return fail("no network namespace of its own for a side");
        }
        let (state, engine, program) = match kind {
            Kind::Docker => {
                (dir.join("data"), ("DOCKER_HOST", format!("unix://{}", s(&dir.join("socket")))), client()?)
            }
            Kind::Hardrun => {
                let root = dir.join("root");
                (root.clone(), ("HARDRUN_ROOT", s(&root).to_owned()), env.hardrun.clone())
            }
        };
        std::os::unix::fs::symlink(program, dir.join("bin/docker"))?;
        let side = Side { kind, dir, _network: network, helper, holder, engine, state, count: 0 };
        if kind == Kind::Docker {
            side.start_engine(env)?;
        }
        for (name, changes) in IMAGES {
            let changes = changes.iter().flat_map(|c| ["--change", c]);
            let import = side.docker(&["import"]).args(changes).arg(env.fixtures.busybox()?).arg(name);
            import.limit(60).go()?.ok()?;
        }
        Ok(side)
    }

    fn start_engine(&self, env: &Env) -> Outcome {
        let dir = &self.dir;
        std::fs::write(dir.join("daemon.json"), "{}")?;
        let log = std::fs::File::create(dir.join("log"))?;
        let engine = Command::new(&self.helper)
            .args(["helper", "in-network", &self.holder, "dockerd", "--config-file"])
            .arg(dir.join("daemon.json"))
            .args(["-H", &self.engine.1, "--data-root"])
            .arg(&self.state)
            .arg("--exec-root")
            .arg(dir.join("exec"))
            .arg("--pidfile")
            .arg(dir.join("pid"))
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()?;
        env.peers.adopt(engine);
        let up =
            wait_for(Duration::from_secs(40), || self.docker(&["version"]).limit(20).go().ok().filter(|o| o.code == 0));
        if up.is_some() {
            return Ok(());
        }
        let log = std::fs::read_to_string(dir.join("log")).unwrap_or_default();
        fail(log.lines().last().unwrap_or("no word from dockerd").to_owned())
    }

    /// A program on this side, found as scripts find it.
    fn run(&self, words: &[&str]) -> Run {
        let path = std::env::var("PATH").unwrap_or_default();
        Run::new(&self.helper)
            .args(["helper", "in-network", &self.holder])
            .args(words)
            .env("PATH", format!("{}:{path}", s(&self.dir.join("bin"))))
            .env("HOME", &self.dir)
            .env("BASE", IMAGES.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(" "))
            .env(self.engine.0, &self.engine.1)
            .unset("DOCKER_CONTEXT")
            .unset(match self.kind {
                Kind::Docker => "HARDRUN_ROOT",
                Kind::Hardrun => "DOCKER_HOST",
            })
    }

    fn docker(&self, words: &[&str]) -> Run {
        self.run(&[&["docker"], words].concat())
    }

    /// Run a script in a folder of its own.
    pub fn script(&mut self, script: &Script) -> Outcome<Transcript> {
        self.count += 1;
        let dir = self.dir.join(format!("case-{}", self.count));
        std::fs::create_dir_all(&dir)?;
        let ran = self.run(&["sh", "-c", &script.text, "script"]).dir(&dir).limit(script.limit).go();
        let folders = vec![(s(&dir).to_owned(), "HERE"), (s(&self.state).to_owned(), "DATA")];
        let seen = match ran {
            Ok(o) => Normaliser::new(folders).transcript(&o.out(), &o.err(), o.code),
            Err(Stop::Fail(why)) | Err(Stop::Skip(why)) => {
                let last = why.lines().map(str::to_owned).collect();
                Transcript { stdout: last, stderr: Vec::new(), status: -1 }
            }
        };
        // A folder that is still mounted somewhere is no case's failure.
        let _ = std::fs::remove_dir_all(&dir);
        Ok(seen)
    }

    /// What containers a script left, by name.
    pub fn left(&self) -> Outcome<Vec<String>> {
        let seen = self.docker(&["ps", "-a", "--format", "{{.Names}}"]).limit(20).go()?;
        Ok(seen.out().lines().map(str::to_owned).collect())
    }

    /// Remove all that scripts left.
    pub fn tidy(&self) -> Outcome {
        self.run(&["sh", "-c", TIDY]).limit(60).go()?;
        Ok(())
    }
}

/// Debian's client, which is what the engine beside it was packaged with; `HARDRUN_DOCKER` names another.
fn client() -> Outcome<PathBuf> {
    let path = match std::env::var_os("HARDRUN_DOCKER") {
        Some(path) => PathBuf::from(path),
        None => PathBuf::from("/usr/bin/docker"),
    };
    if path.is_file() { Ok(path) } else { crate::harness::skip(format!("{} is not there", path.display())) }
}

/// Both sides, in a folder.
pub struct Pair {
    pub docker: Side,
    pub hardrun: Side,
}

impl Pair {
    pub fn start(env: &Env, dir: &Path, second: Kind) -> Outcome<Pair> {
        Ok(Pair {
            docker: Side::start(env, Kind::Docker, dir.join("docker"))?,
            hardrun: Side::start(env, second, dir.join("hardrun"))?,
        })
    }

    /// Whether docker is compared with itself.
    pub fn twice(&self) -> bool {
        self.hardrun.kind == Kind::Docker
    }
}
