//! Images and packages that the cases use, made by the script `integration/fixtures` from Debian packages.

use super::{Outcome, Stop, absent, fail};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

pub struct Fixtures {
    dir: PathBuf,
    script: PathBuf,
    scratch: PathBuf,
    /// One at a time: the script's own caches are not made for more.
    making: Mutex<()>,
}

impl Fixtures {
    pub fn find(scratch: &Path) -> Result<Fixtures, String> {
        let project = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
        let dir = match std::env::var_os("HARDRUN_FIXTURES") {
            Some(dir) => PathBuf::from(dir),
            None => project.join("target/fixtures"),
        };
        std::fs::create_dir_all(&dir).map_err(|e| format!("cannot make {}: {e}", dir.display()))?;
        let script = project.join("integration/fixtures");
        Ok(Fixtures { dir, script, scratch: scratch.to_owned(), making: Mutex::new(()) })
    }

    /// The path of a fixture. The script makes it anew where its recipe changed; without the script (in a virtual
    /// machine) what is there is used.
    pub fn get(&self, name: &str) -> Outcome<PathBuf> {
        let _one = self.making.lock();
        let path = self.dir.join(name);
        if !self.script.is_file() {
            return if path.exists() { Ok(path) } else { absent(format!("no fixture {name} here")) };
        }
        let out = Command::new(&self.script).arg(name).env("HARDRUN_FIXTURES", &self.dir).output()?;
        match out.status.code() {
            Some(0) => Ok(path),
            // What is missing is said in one line, with the status that scripts skip with.
            Some(77) => absent(String::from_utf8_lossy(&out.stderr).trim().to_owned()),
            _ => fail(format!("integration/fixtures {name}: {}", String::from_utf8_lossy(&out.stderr))),
        }
    }

    /// A root of busybox-static with links for its applets, some users and groups.
    pub fn busybox(&self) -> Outcome<PathBuf> {
        self.get("busybox.tar")
    }
    /// The same as an archive that `docker load` takes.
    pub fn busybox_docker(&self) -> Outcome<PathBuf> {
        self.get("busybox-docker.tar")
    }
    /// The same as an OCI archive.
    pub fn busybox_oci(&self) -> Outcome<PathBuf> {
        self.get("busybox-oci.tar")
    }
    /// Debian's smallest root.
    pub fn debian(&self) -> Outcome<PathBuf> {
        self.get("debian.tar")
    }
    /// Debian with a C compiler, make, git and Python.
    pub fn build(&self) -> Outcome<PathBuf> {
        self.get("build.tar")
    }
    /// Debian with nginx, PostgreSQL and curl.
    pub fn services(&self) -> Outcome<PathBuf> {
        self.get("services.tar")
    }
    /// A folder of packages for the Debian root: users, setuid files, a file capability.
    pub fn packages(&self) -> Outcome<PathBuf> {
        self.get("packages")
    }

    /// The busybox root with this very program as `/probe`.
    pub fn probe(&self) -> Outcome<PathBuf> {
        let path = self.scratch.join("probe.tar");
        if path.exists() {
            return Ok(path);
        }
        let mut from = tar::Archive::new(std::fs::File::open(self.busybox()?)?);
        let mut to = tar::Builder::new(std::fs::File::create(self.scratch.join("probe.tmp"))?);
        for entry in from.entries()? {
            let mut entry = entry?;
            let mut header = entry.header().clone();
            let name = entry.path()?.into_owned();
            match entry.link_name()? {
                Some(link) => to.append_link(&mut header, name, &link)?,
                None => to.append_data(&mut header, name, &mut entry)?,
            }
        }
        let mut program = std::fs::File::open(std::env::current_exe()?)?;
        let mut header = tar::Header::new_gnu();
        header.set_size(program.metadata()?.len());
        header.set_mode(0o755);
        to.append_data(&mut header, "probe", &mut program)?;
        to.into_inner()?;
        std::fs::rename(self.scratch.join("probe.tmp"), &path)?;
        Ok(path)
    }

    /// A root of busybox with changes: `edit` gets the unpacked folder.
    pub fn busybox_with(&self, name: &str, edit: impl FnOnce(&Path) -> std::io::Result<()>) -> Outcome<PathBuf> {
        // Several cases may want the same one at the same time.
        static MADE: AtomicUsize = AtomicUsize::new(0);
        let n = MADE.fetch_add(1, Ordering::Relaxed);
        let dir = self.scratch.join(format!("{name}-{n}-edit"));
        std::fs::create_dir_all(&dir)?;
        let tar = self.scratch.join(format!("{name}-{n}.tar"));
        let run = |c: &mut Command| match c.status() {
            Ok(s) if s.success() => Ok(()),
            other => Err(Stop::Fail(format!("tar for {name}: {other:?}"))),
        };
        run(Command::new("tar").arg("-C").arg(&dir).arg("-xpf").arg(self.busybox()?))?;
        edit(&dir)?;
        run(Command::new("tar").arg("-C").arg(&dir).args(["--numeric-owner", "-cf"]).arg(&tar).arg("."))?;
        std::fs::remove_dir_all(&dir)?;
        Ok(tar)
    }
}
