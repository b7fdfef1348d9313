//! The whole as scripts drive it: `integration/scripts` are run by `sh` with `docker` being a link to hardrun, and real
//! servers in the containers; then many containers at once.

use crate::harness::command::{Output, Run};
use crate::harness::env::{s, wait_for};
use crate::harness::leaks::Picture;
use crate::harness::{Env, Outcome, fail, host};
use crate::{cases, check, check_eq};
use nix::sys::signal::Signal;
use std::collections::BTreeSet;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering};
use std::time::Duration;

cases!("script":
    nginx_behind_a_published_port, postgres_on_a_volume, names_on_a_network, health_and_restarts, a_pipelines_script,
    after_a_boot, roots_side_by_side, a_name_has_one_winner, @alone hundreds_leave_nothing,
);

const PRELUDE: &str = include_str!("../scripts/prelude");

/// Run a script on a root of its own that has busybox in it.
fn script(env: &Env, name: &str, text: &str) -> Outcome {
    script_at(env, &env.own_root()?, name, text)
}

/// Run a script on the root that has the servers in it: one after the other, for it is imported once.
fn with_services(env: &Env, name: &str, text: &str) -> Outcome {
    static ROOT: Mutex<Option<PathBuf>> = Mutex::new(None);
    let archive = env.fixtures.services()?;
    let Ok(mut root) = ROOT.lock() else { return fail("another script panicked") };
    if root.is_none() {
        let new = env.own_root()?;
        env.at(&new, &["import", s(&archive), "services"]).limit(600).go()?.ok()?;
        *root = Some(new);
    }
    match root.as_deref() {
        Some(root) => script_at(env, root, name, text),
        None => fail("there is no root"),
    }
}

fn script_at(env: &Env, root: &Path, name: &str, text: &str) -> Outcome {
    let before = Picture::of_root(root);
    let scratch = env.dir(name)?;
    let file = scratch.join("script");
    std::fs::write(&file, format!("{PRELUDE}{text}"))?;
    let run = shell(env, root, &scratch)?.env("OTHER_ROOT", env.own_root()?).arg(&file).limit(300).go()?;
    if run.code != 0 {
        // Nothing of a failed one is to disturb the next.
        let left = env.at(root, &["ps", "-aq"]).go()?.out();
        env.at(root, &["rm", "-f"]).args(left.split_whitespace()).go()?;
        return fail(run.told());
    }
    check_eq!(Picture::of_root(root), before, "left in the root");
    Ok(())
}

/// `sh` whose `docker` is hardrun.
fn shell(env: &Env, root: &Path, scratch: &Path) -> Outcome<Run> {
    let bin = scratch.join("bin");
    std::fs::create_dir_all(&bin)?;
    std::os::unix::fs::symlink(&env.hardrun, bin.join("docker"))?;
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap_or_default());
    let run = Run::new("sh").env("PATH", path).env("HARDRUN_ROOT", root).env("SCRATCH", scratch).unset("DOCKER_HOST");
    Ok(run.env("PORT", ports().to_string()))
}

/// The first of ten ports that nobody listens on, other ones at each call.
fn ports() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let base = 20_000 + (std::process::id() % 800) as u16 * 10;
    loop {
        let first = base + NEXT.fetch_add(10, Ordering::Relaxed) % 2000;
        if (first..first + 10).all(|port| TcpListener::bind(("127.0.0.1", port)).is_ok()) {
            return first;
        }
    }
}

fn nginx_behind_a_published_port(env: &Env) -> Outcome {
    env.needs("curl")?;
    with_services(env, "web", include_str!("../scripts/web"))
}

fn postgres_on_a_volume(env: &Env) -> Outcome {
    with_services(env, "postgres", include_str!("../scripts/postgres"))
}

fn names_on_a_network(env: &Env) -> Outcome {
    script(env, "names", include_str!("../scripts/names"))
}

fn health_and_restarts(env: &Env) -> Outcome {
    env.needs("curl")?;
    script(env, "health", include_str!("../scripts/health"))
}

fn a_pipelines_script(env: &Env) -> Outcome {
    script(env, "ci", include_str!("../scripts/ci"))
}

fn after_a_boot(env: &Env) -> Outcome {
    script(env, "boot", include_str!("../scripts/boot"))
}

fn roots_side_by_side(env: &Env) -> Outcome {
    script(env, "roots", include_str!("../scripts/roots"))
}

/// Start all of them, `at_once` at a time, and give what they left in any order.
fn in_parallel<T: Send>(count: usize, at_once: usize, each: impl Fn(usize) -> Outcome<T> + Sync) -> Outcome<Vec<T>> {
    let (next, done, first) = (AtomicUsize::new(0), Mutex::new(Vec::new()), Mutex::new(None));
    std::thread::scope(|scope| {
        for _ in 0..at_once {
            scope.spawn(|| {
                loop {
                    let n = next.fetch_add(1, Ordering::Relaxed);
                    if n >= count || first.lock().is_ok_and(|f| f.is_some()) {
                        return;
                    }
                    match each(n) {
                        Ok(value) => done.lock().expect("no thread panics with it").push(value),
                        Err(stop) => *first.lock().expect("no thread panics with it") = Some(stop),
                    }
                }
            });
        }
    });
    match first.into_inner().ok().flatten() {
        Some(stop) => Err(stop),
        None => Ok(done.into_inner().unwrap_or_default()),
    }
}

fn a_name_has_one_winner(env: &Env) -> Outcome {
    let root = env.own_root()?;
    let create = |words: &[&str]| {
        env.at(&root, &["create"]).args(words).args(["--network", "none", "busybox", "true"]).limit(200).go()
    };
    let all = in_parallel(200, 200, |_| create(&["--name", "taken"]))?;
    let (won, lost): (Vec<&Output>, Vec<&Output>) = all.iter().partition(|o| o.code == 0);
    check_eq!(won.len(), 1, "winners");
    for one in &lost {
        check!(one.code == 1 && one.err().contains("\"/taken\" is already in use"), "{}", one.told());
    }
    check_eq!(env.at(&root, &["inspect", "-f", "{{.Id}}", "taken"]).go()?.ok()?.out(), won[0].out());
    let all = in_parallel(200, 200, |_| create(&[])?.ok())?;
    let ids: BTreeSet<String> = all.iter().map(Output::out).collect();
    check_eq!(ids.len(), 200, "ids");
    let names = env.at(&root, &["ps", "-a", "--format", "{{.Names}}"]).go()?.ok()?.out();
    check_eq!(names.lines().collect::<BTreeSet<_>>().len(), 201, "names");
    let ids = env.at(&root, &["ps", "-aq"]).go()?.ok()?.out();
    env.at(&root, &["rm"]).args(ids.split_whitespace()).limit(200).go()?.ok()?;
    check_eq!(std::fs::read_dir(root.join("containers"))?.count(), 0);
    check_eq!(std::fs::read_dir(root.join("names"))?.count(), 0);
    Ok(())
}

/// How many of them; fewer where somebody has no time.
fn hundreds() -> usize {
    std::env::var("HARDRUN_MANY").ok().and_then(|n| n.parse().ok()).unwrap_or(500)
}

fn hundreds_leave_nothing(env: &Env) -> Outcome {
    let root = env.own_root()?;
    env.at(&root, &["volume", "create", "shared"]).go()?.ok()?;
    env.at(&root, &["run", "--rm", "-v", "shared:/v", "busybox", "true"]).go()?.ok()?;
    let before = Picture::take(&root)?;
    in_parallel(hundreds(), 20, |n| one_of_many(env, &root, n))?;
    // The next command finds what the killed ones left.
    let left = env.at(&root, &["ps", "-aq"]).go()?.ok()?.out();
    check_eq!(left, "", "containers are left");
    env.at(&root, &["run", "--rm", "busybox", "true"]).go()?.ok()?;
    before.nothing_new(&root)
}

/// Ten kinds: seven of them on the default bridge, two of these with ports.
fn one_of_many(env: &Env, root: &Path, n: usize) -> Outcome {
    let name = format!("many-{n}");
    let hardrun = |words: &[&str]| env.at(root, words).limit(120).go();
    let up = |flags: &[&str], script: &str| {
        let words = [&["run", "-d", "--name", &name], flags, &["busybox", "sh", "-c", script]].concat();
        hardrun(&words)?.ok()
    };
    match n % 10 {
        0 => hardrun(&["run", "--rm", "--name", &name, "busybox", "true"])?.ok().map(drop),
        1 => hardrun(&["run", "--rm", "--network", "none", "busybox", "sh", "-c", "exit 3"])?.exits(3).map(drop),
        2 => {
            hardrun(&["create", "--name", &name, "-v", "shared:/v", "-v", "/own", "busybox", "sleep", "1000"])?.ok()?;
            hardrun(&["start", &name])?.ok()?;
            hardrun(&["stop", "-t", "0", &name])?.ok()?;
            hardrun(&["rm", "-v", &name])?.ok().map(drop)
        }
        3 | 4 => {
            up(&["-p", "127.0.0.1::8080", "--init"], "exec nc -l -p 8080 -e echo served")?;
            let port = hardrun(&["port", &name, "8080"])?.ok()?.out();
            let reached = wait_for(Duration::from_secs(20), || served(port.trim()).then_some(()));
            check!(reached.is_some(), "{name} is not reached at {port}");
            hardrun(&["rm", "-f", &name])?.ok().map(drop)
        }
        5 => {
            up(&["--restart", "always"], "sleep 0.3; exit 1")?;
            std::thread::sleep(Duration::from_millis(700));
            hardrun(&["rm", "-f", &name])?.ok().map(drop)
        }
        6 => {
            up(&["--network", "none", "-v", "shared:/v:ro", "-m", "64m"], "sleep 1000 & exec sleep 1000")?;
            hardrun(&["exec", &name, "true"])?.ok()?;
            hardrun(&["kill", &name])?.ok()?;
            hardrun(&["wait", &name])?.ok()?.says("137")?;
            hardrun(&["rm", &name])?.ok().map(drop)
        }
        7 | 8 => {
            up(&["-v", "shared:/v", "-p", "127.0.0.1::80"], "sleep 1000 & exec sleep 1000")?;
            std::thread::sleep(Duration::from_millis((n * 37 % 400) as u64));
            kill_supervisor(env, root, &name)?;
            hardrun(&["rm", "-f", &name])?.ok().map(drop)
        }
        _ => {
            // In the middle of its start.
            let words = ["run", "--rm", "--name", &name, "--network", "none", "busybox", "sleep", "20"];
            let run = env.at(root, &words).start()?;
            std::thread::sleep(Duration::from_millis((n * 13 % 300) as u64));
            run.signal(Signal::SIGKILL)?;
            check_eq!(run.finish()?.code, 137);
            hardrun(&["rm", "-f", &name])?.ok().map(drop)
        }
    }
}

fn served(at: &str) -> bool {
    let Some(address) = at.parse().ok() else { return false };
    let Ok(mut to) = TcpStream::connect_timeout(&address, Duration::from_secs(2)) else { return false };
    let mut text = String::new();
    to.set_read_timeout(Some(Duration::from_secs(5))).is_ok()
        && std::io::Read::read_to_string(&mut to, &mut text).is_ok()
        && text == "served\n"
}

/// Kill what watches over a container, and wait until nothing of it runs.
fn kill_supervisor(env: &Env, root: &Path, name: &str) -> Outcome {
    let said = env.at(root, &["inspect", "-f", "{{.State.Pid}}", name]).go()?.ok()?.out();
    let Some(init) = said.trim().parse::<i32>().ok().filter(|p| *p > 1) else { return Ok(()) };
    let all = host::processes();
    let mut above = vec![init];
    while let Some((_, parent)) = above.last().and_then(|pid| all.iter().find(|(p, _)| p == pid)) {
        if *parent <= 1 || host::status(*parent).get("Name").is_none_or(|n| n != "hardrun") {
            break;
        }
        above.push(*parent);
    }
    let supervisor = above.last().copied().unwrap_or(init);
    check!(supervisor != init, "{name} has no supervisor");
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(supervisor), Signal::SIGKILL)?;
    let proc = PathBuf::from(format!("/proc/{init}"));
    let gone = wait_for(Duration::from_secs(10), || (!proc.exists()).then_some(()));
    check!(gone.is_some(), "the container of {name} outlives its supervisor");
    Ok(())
}
