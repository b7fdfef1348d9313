//! Into the kernel and out of it. `apparmor_parser` compiles; what it made is kept, for it takes as long as the rest of a start.

use super::{Profile, users};
use crate::error::{Context, Error, Result};
use crate::facts::{Enforcement, kernel};
use crate::state::Compiled;
use sha2::{Digest, Sha256};
use std::fs::{self, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

/// Every profile in the kernel, one a line: `name (mode)`.
pub(super) const LOADED: &str = "/sys/kernel/security/apparmor/profiles";

/// Where compiled profiles are written to, each in one piece, and where the names of those are that are to go.
pub(super) const REPLACE: &str = "/sys/kernel/security/apparmor/.replace";
const REMOVE: &str = "/sys/kernel/security/apparmor/.remove";

/// The file that a profile's `abi <abi/3.0>` stands for: what the parser reads of the host beside the text.
pub(super) const ABI: &str = "/etc/apparmor.d/abi/3.0";

/// Longest profile that is kept, in bytes: those with every rule of the documentation's example have some 100 thousand.
const LONGEST: usize = 1 << 20;

/// How long the parser may take: patterns such as `/**a??????????????` can cost it minutes.
const PARSER: Duration = Duration::from_secs(60);

/// What the kernel has of each profile, a folder each: `NAME.NUMBER`.
const POLICY: &str = "/sys/kernel/security/apparmor/policy/profiles";

/// Have the kernel know the profile. One that is there counts only where it is what was loaded under this name the last time (`users`).
/// `run` is the host's run folder.
pub fn load(run: &Path, profile: &Profile) -> Result<()> {
    let loaded = fs::read_to_string(LOADED)
        .context(|| "list the AppArmor profiles".to_owned())
        .map_err(|e| e.hint("mount securityfs at /sys/kernel/security"))?;
    if is_enforced(&loaded, &profile.name) && is_as_noted(run, &profile.name) {
        return Ok(());
    }
    replace(run, profile)?;
    users::note(run, &profile.name, hash(&profile.name).as_deref())
}

/// Compiled before, where the kernel takes that, or compiled now. It is kept beside what belongs to the host and not in a store, for
/// profiles are the host's: what one store brought would be in force for containers of another. It goes with the reboot.
fn replace(run: &Path, profile: &Profile) -> Result<()> {
    let kept = Compiled::new(run.join("apparmor-compiled"), LONGEST);
    let key = key(&profile.text)?;
    let before = || kept.read(&key).map(|policy| enforce(&profile.name, &policy));
    if let Some(Ok(())) = before() {
        return Ok(());
    }
    // All that start at once after a boot want the same: one compiles.
    let _lock = kept.lock();
    match before() {
        Some(Ok(())) => return Ok(()),
        Some(Err(e)) => tracing::debug!("the AppArmor profile that was compiled before is not taken: {e}"),
        None => {}
    }
    let policy = compile(&profile.text)?;
    enforce(&profile.name, &policy)?;
    kept.keep(&key, &policy);
    Ok(())
}

fn enforce(name: &str, policy: &[u8]) -> Result<()> {
    tell(REPLACE, policy).context(|| format!("load the AppArmor profile {name}"))?;
    let loaded = fs::read_to_string(LOADED).context(|| "list the AppArmor profiles".to_owned())?;
    if is_enforced(&loaded, name) {
        return Ok(());
    }
    Err(Error::runner(format!("the AppArmor profile {name} is not enforced after it was loaded")))
}

/// Names what was compiled from a text, by this parser with this ABI for this kernel.
fn key(text: &str) -> Result<String> {
    const FORM: u8 = 1;
    let mut hash = Sha256::new();
    hash.update([FORM]);
    let version = fs::read_to_string("/proc/version").context(|| "read /proc/version".to_owned())?;
    hash.update(Sha256::digest(version));
    for file in [program()?.as_path(), Path::new(ABI)] {
        // Its inode changes when it is upgraded. Without an ABI the parser says what is missing.
        let file = fs::metadata(file).map(|m| [m.dev(), m.ino(), m.size(), m.ctime() as u64, m.ctime_nsec() as u64]);
        file.unwrap_or_default().iter().for_each(|n| hash.update(n.to_le_bytes()));
    }
    hash.update(text);
    Ok(hex::encode(hash.finalize()))
}

/// Take a profile away.
pub(super) fn remove(name: &str) -> Result<()> {
    tell(REMOVE, name.as_bytes()).context(|| format!("take the AppArmor profile {name} out of the kernel"))
}

/// One message to the kernel, which takes it whole or not at all.
fn tell(file: &str, message: &[u8]) -> std::io::Result<()> {
    let taken = OpenOptions::new().write(true).open(file)?.write(message)?;
    if taken == message.len() { Ok(()) } else { Err(std::io::ErrorKind::WriteZero.into()) }
}

/// Whether what the kernel has under the name is what hardrun loaded, as far as it tells: who may load profiles may have put another text
/// there.
pub(super) fn is_as_noted(run: &Path, name: &str) -> bool {
    match hash(name) {
        Some(hash) => users::noted(run, name).as_deref() == Some(&hash),
        // A kernel without CONFIG_SECURITY_APPARMOR_HASH.
        None => true,
    }
}

/// The kernel's digest of the compiled profile: of SHA-256 since Linux 6.8, of SHA-1 before.
fn hash(name: &str) -> Option<String> {
    let start = format!("{name}.");
    let folders = fs::read_dir(POLICY).ok()?.flatten();
    let mut own = folders.filter(|f| f.file_name().to_string_lossy().starts_with(&start)).map(|f| f.path());
    let folder = own.find(|f| fs::read_to_string(f.join("name")).is_ok_and(|n| n.trim_end() == name))?;
    ["sha256", "sha1"].iter().find_map(|file| fs::read_to_string(folder.join(file)).ok()).map(|h| h.trim().to_owned())
}

/// In which mode (`enforce`, `complain`, `kill`, `unconfined`) the kernel has a profile, or a part of it (`NAME//CHILD`) that refuses less;
/// `None` where it has none of the name, or no AppArmor.
pub fn mode(name: &str) -> Result<Option<String>> {
    match fs::read_to_string(LOADED) {
        Ok(loaded) => match mode_in(&loaded, name) {
            Some(own) => Ok(Some(match kernel::apparmor_mode()? {
                Enforcement::Watches(of_all) => of_all,
                _ => own,
            })),
            None => Ok(None),
        },
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e).context(|| "list the AppArmor profiles".to_owned()),
    }
}

/// The mode of a profile that a container names, as [`mode`] has it.
///
/// # Errors
/// The kernel has no profile of the name: nothing could enter it.
pub fn mode_of_named(name: &str) -> Result<Option<String>> {
    // Judged by a rule: it is no profile.
    if super::is_unconfined(name) {
        return Ok(None);
    }
    mode(name)?.map(Some).ok_or_else(|| {
        Error::runner(format!("the kernel has no AppArmor profile named {name:?} now"))
            .hint("load it again: apparmor_parser -r FILE")
    })
}

/// Modes stand in parentheses at the end, behind a name that may have blanks.
fn mode_in(loaded: &str, name: &str) -> Option<String> {
    let child = format!("{name}//");
    let all = || loaded.lines().filter_map(|line| line.strip_suffix(')')?.rsplit_once(" ("));
    let (_, own) = all().find(|(held, _)| *held == name)?;
    let weak = |mode: &str| !matches!(mode, "enforce" | "kill");
    let weaker = all().find(|(held, mode)| held.starts_with(&child) && weak(mode)).map(|(_, mode)| mode);
    Some(weaker.filter(|_| !weak(own)).unwrap_or(own).to_owned())
}

fn is_enforced(loaded: &str, name: &str) -> bool {
    loaded.lines().any(|line| line.strip_suffix(" (enforce)") == Some(name))
}

fn program() -> Result<PathBuf> {
    parser().ok_or_else(|| {
        Error::runner("AppArmor is on, but apparmor_parser is not installed").hint(
            "install the package apparmor, or pass --security-opt apparmor=unconfined --allow apparmor-unconfined",
        )
    })
}

/// Feed the parser, with a clean environment and no configuration of the host's (parser.conf could ask for complain mode, or for another
/// ABI): what the kernel reads.
pub(super) fn compile(text: &str) -> Result<Vec<u8>> {
    compile_within(text, PARSER)
}

fn compile_within(text: &str, limit: Duration) -> Result<Vec<u8>> {
    let program = program()?;
    let attempt = || format!("run {}", program.display());
    let mut child = Command::new(&program)
        .args(["--config-file=/dev/null", "--skip-kernel-load", "--skip-cache", "--skip-read-cache", "--stdout"])
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        // It starts others, which are to end with it.
        .process_group(0)
        .spawn()
        .context(attempt)?;
    let mut input = child.stdin.take().ok_or_else(|| Error::runner(attempt()))?;
    // A parser that stops reading says why on stderr, which is the better message. It reads all of its input before it writes.
    let written = input.write_all(text.as_bytes());
    drop(input);
    let Some(output) = output(child, limit).context(attempt)? else {
        return Err(Error::runner("compile the AppArmor profile")
            .because(format!("{} was not done after {} s", program.display(), limit.as_secs()))
            .hint("patterns with many `?` or `*` behind a `**` take it longest"));
    };
    if !output.status.success() || output.stdout.is_empty() {
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        return Err(Error::runner("the AppArmor profile was not accepted").because(said));
    }
    written.context(attempt)?;
    Ok(output.stdout)
}

/// What it says, and how it ends. `None`: the time is over, and it was killed.
fn output(mut child: Child, limit: Duration) -> std::io::Result<Option<Output>> {
    let pid = rustix::process::Pid::from_child(&child);
    let pidfd = rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty())?;
    let (out, err) = (child.stdout.take(), child.stderr.take());
    std::thread::scope(|scope| {
        let out = scope.spawn(|| read(out));
        let err = scope.spawn(|| read(err));
        let in_time = crate::rootless::wait::readable(&pidfd, limit)?;
        if !in_time {
            rustix::process::kill_process_group(pid, rustix::process::Signal::KILL)?;
        }
        let status = child.wait()?;
        let ended = |_| std::io::Error::other("a thread ended");
        let (stdout, stderr) = (out.join().map_err(ended)??, err.join().map_err(ended)??);
        Ok(in_time.then_some(Output { status, stdout, stderr }))
    })
}

fn read(from: Option<impl Read>) -> std::io::Result<Vec<u8>> {
    let mut all = Vec::new();
    from.map_or(Ok(0), |mut from| from.read_to_end(&mut all))?;
    Ok(all)
}

pub(super) fn parser() -> Option<PathBuf> {
    ["/usr/sbin/apparmor_parser", "/sbin/apparmor_parser"]
        .iter()
        .map(Path::new)
        .find(|p| p.exists())
        .map(Path::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_counts_only_when_it_is_enforced() {
        let loaded = "docker-default (enforce)\nhardrun-0123456789ab (complain)\nhardrun-1 (enforce)\n";
        assert!(is_enforced(loaded, "hardrun-1"));
        assert!(!is_enforced(loaded, "hardrun-0123456789ab"));
        assert!(!is_enforced(loaded, "hardrun"));
        assert_eq!(mode_in(loaded, "hardrun-0123456789ab").as_deref(), Some("complain"));
        assert_eq!(mode_in(loaded, "docker"), None);
        let parts = "a (enforce)\na//b (enforce)\na//c d (complain)\nab (unconfined)\n";
        assert_eq!(mode_in(parts, "a").as_deref(), Some("complain"), "a part of it refuses nothing");
        assert_eq!(mode_in(&parts.replace("a//c d", "x//c"), "a").as_deref(), Some("enforce"));
    }

    #[test]
    fn what_the_parser_says_is_in_the_error() {
        if parser().is_none() {
            eprintln!("skipped: apparmor_parser is not installed");
            return;
        }
        let error = compile("profile x { nonsense }").unwrap_err();
        assert!(error.chain().join(" ").contains("syntax error"), "{:?}", error.chain());
    }

    #[test]
    fn a_pattern_that_takes_minutes_is_given_up() {
        if parser().is_none() {
            eprintln!("skipped: apparmor_parser is not installed");
            return;
        }
        let text = format!("profile x {{\n  deny /srv/**a{} r,\n  file,\n}}\n", "?".repeat(18));
        let begun = std::time::Instant::now();
        let error = compile_within(&text, Duration::from_secs(1)).unwrap_err();
        assert!(error.chain().join(" ").contains("not done after 1 s") && error.hint.is_some(), "{:?}", error.chain());
        // Nobody who works on holds its output open.
        assert!(begun.elapsed() < Duration::from_secs(10));
    }
}
