//! Into the kernel, through `apparmor_parser`.

use super::{Profile, users};
use crate::error::{Context, Error, Result};
use crate::state::Paths;
use std::fs::{self, DirBuilder};
use std::io::Write;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Every profile in the kernel, one a line: `name (mode)`.
const LOADED: &str = "/sys/kernel/security/apparmor/profiles";

/// What the kernel has of each profile, a folder each: `NAME.NUMBER`.
const POLICY: &str = "/sys/kernel/security/apparmor/policy/profiles";

/// Have the kernel know the profile. One that is there counts only where it is what was loaded under this name the last time (`users`).
/// `run` is the host's run folder.
pub fn load(run: &Path, paths: &Paths, profile: &Profile) -> Result<()> {
    let loaded = fs::read_to_string(LOADED)
        .context(|| "list the AppArmor profiles".to_owned())
        .map_err(|e| e.hint("mount securityfs at /sys/kernel/security"))?;
    if is_enforced(&loaded, &profile.name) && is_as_noted(run, &profile.name) {
        return Ok(());
    }
    let cache = paths.cache().join("apparmor");
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&cache)
        .context(|| format!("make the AppArmor cache {}", cache.display()))?;
    let cache = format!("--cache-loc={}", cache.display());
    self::run(&profile.text, &["--replace", "--write-cache", &cache])?;
    let loaded = fs::read_to_string(LOADED).context(|| "list the AppArmor profiles".to_owned())?;
    if is_enforced(&loaded, &profile.name) {
        return users::note(run, &profile.name, hash(&profile.name).as_deref());
    }
    Err(Error::runner(format!("the AppArmor profile {} is not in the kernel after it was loaded", profile.name)))
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
        Ok(loaded) => Ok(mode_in(&loaded, name)),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e).context(|| "list the AppArmor profiles".to_owned()),
    }
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

/// Feed the parser, with a clean environment and no configuration of the host's.
pub(super) fn run(text: &str, arguments: &[&str]) -> Result<()> {
    let program = parser().ok_or_else(|| {
        Error::runner("AppArmor is on, but apparmor_parser is not installed").hint(
            "install the package apparmor, or pass --security-opt apparmor=unconfined --allow apparmor-unconfined",
        )
    })?;
    let attempt = || format!("run {}", program.display());
    let mut child = Command::new(&program)
        .args(arguments)
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .context(attempt)?;
    let mut input = child.stdin.take().ok_or_else(|| Error::runner(attempt()))?;
    // A parser that stops reading says why on stderr, which is the better message.
    let written = input.write_all(text.as_bytes());
    drop(input);
    let output = child.wait_with_output().context(attempt)?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        return Err(Error::runner("the AppArmor profile was not accepted").because(said));
    }
    written.context(attempt)
}

fn parser() -> Option<PathBuf> {
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
        let error =
            run("profile x { nonsense }", &["--skip-kernel-load", "--skip-cache", "--skip-read-cache"]).unwrap_err();
        assert!(error.chain().join(" ").contains("syntax error"), "{:?}", error.chain());
    }
}
