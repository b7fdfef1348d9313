//! Where presets come from: those built in, those of the site's folder, and files named by path.

use super::layer::Preset;
use super::schema::{self, PresetFile};
use crate::error::{Context as _, Error, Result};
use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// What a container gets that nobody chose a preset for.
pub const DEFAULT: &str = "default";

macro_rules! builtin {
    ($($name:literal),* $(,)?) => { &[$(($name, include_str!(concat!("../../presets/", $name, ".toml")))),*] };
}

/// Name and text of the presets that are part of the program.
#[rustfmt::skip] // a list stays a list
pub const BUILTIN: &[(&str, &str)] = builtin![
    "default", "strict", "untrusted",
    "nginx", "haproxy", "static-server", "postgres", "mariadb", "redis", "memcached",
    "node", "python", "jvm", "static-binary",
    "batch", "ci-build", "network-tool",
];

/// The site's presets, one `NAME.toml` each.
pub const SITE: &str = "/etc/hardrun/presets";

/// A chain of presets can only be this long: a longer one is a mistake or a loop.
const DEEPEST: usize = 8;

/// A preset that can be named.
pub struct Listed {
    pub name: String,
    /// `None`: part of the program.
    pub path: Option<PathBuf>,
    pub file: PresetFile,
}

/// All presets that can be named: the program's, then the site's, then the user's. An earlier one hides a later one.
pub fn list() -> Result<Vec<Listed>> {
    listed(&|_| true)
}

/// Those of the program's own whose text `matters`, and all others.
fn listed(matters: &dyn Fn(&str) -> bool) -> Result<Vec<Listed>> {
    let mut all: Vec<Listed> = Vec::new();
    for (name, text) in BUILTIN.iter().filter(|(_, text)| matters(text)) {
        all.push(Listed { name: (*name).to_owned(), path: None, file: schema::parse(text, name)? });
    }
    for folder in folders() {
        for path in files(&folder)? {
            let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            if all.iter().all(|known| known.name != name) && BUILTIN.iter().all(|(known, _)| *known != name) {
                let file = schema::parse(&own_file(&folder, &path)?, &path.display().to_string())?;
                all.push(Listed { name, path: Some(path), file });
            }
        }
    }
    Ok(all)
}

/// Names of presets with the images that they are for, if `word` may be part of one's name. Reading them all takes longer than all
/// else that a start decides.
pub(super) fn images(word: &str) -> Result<Vec<(String, BTreeSet<String>)>> {
    Ok(listed(&|text| text.contains(word))?
        .into_iter()
        .map(|p| (p.name, p.file.images))
        .filter(|(_, images)| !images.is_empty())
        .collect())
}

/// Where presets lie besides those of the program: the site's folder, then the caller's.
fn folders() -> Vec<PathBuf> {
    let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|p| p.is_absolute());
    let config = absolute("XDG_CONFIG_HOME").or_else(|| absolute("HOME").map(|home| home.join(".config")));
    let own = config.map(|config| config.join("hardrun/presets"));
    std::iter::once(PathBuf::from(SITE)).chain(own).collect()
}

/// The preset files of a folder, by name; none where there is no folder.
fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Ok(Vec::new()),
        Err(e) => return Err(e).verb_context(|| format!("cannot read {}", folder.display())),
    };
    let mut paths = Vec::new();
    for entry in entries {
        let path = entry.verb_context(|| format!("cannot read {}", folder.display()))?.path();
        if path.extension().is_some_and(|e| e == "toml") {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

/// A preset by name or, where the word holds a slash or ends in `.toml`, by path, with everything it extends.
pub fn load(name: &str) -> Result<Preset> {
    resolve(name, &read)
}

/// The same for a preset that the site's policy names: only what is part of the program or lies in the site's folder, all along
/// the chain. What is in the caller's home, or where he stands, is his word and not the site's.
pub fn of_site(name: &str) -> Result<Preset> {
    resolve(name, &|name| schema::parse(&named(name, &[PathBuf::from(SITE)])?, name))
}

/// Layer the preset `name` on what it extends; `read` finds a file by name.
pub fn resolve(name: &str, read: &dyn Fn(&str) -> Result<PresetFile>) -> Result<Preset> {
    let mut chain: Vec<(String, PresetFile)> = Vec::new();
    let mut next = Some(name.to_owned());
    while let Some(name) = next {
        if chain.len() == DEEPEST || chain.iter().any(|(seen, _)| *seen == name) {
            let names: Vec<&str> = chain.iter().map(|(n, _)| n.as_str()).collect();
            return Err(Error::runner(format!("presets extend one another in a circle: {}, {name}", names.join(", "))));
        }
        let file = read(&name)?;
        next = match (&file.extends, name.as_str()) {
            (Some(parent), _) => Some(parent.clone()),
            (None, DEFAULT) => None,
            (None, _) => Some(DEFAULT.to_owned()),
        };
        chain.push((name, file));
    }
    let mut preset = Preset::nothing();
    for (name, file) in chain.iter().rev() {
        preset.layer(name, file)?;
    }
    preset.complete()
}

fn read(name: &str) -> Result<PresetFile> {
    schema::parse(&source(name)?, name)
}

/// The text of a preset's own file.
pub fn source(name: &str) -> Result<String> {
    let built_in = BUILTIN.iter().any(|(n, _)| *n == name);
    if !built_in && (name.contains('/') || name.ends_with(".toml")) {
        return std::fs::read_to_string(name).context(|| format!("cannot read preset {name}"));
    }
    named(name, &folders())
}

/// The text of a preset that is built in or lies in one of these folders.
fn named(name: &str, folders: &[PathBuf]) -> Result<String> {
    if let Some((_, text)) = BUILTIN.iter().find(|(n, _)| *n == name) {
        return Ok((*text).to_owned());
    }
    if !name.contains('/') {
        for folder in folders {
            let path = folder.join(format!("{name}.toml"));
            match path.try_exists() {
                Ok(true) => return own_file(folder, &path),
                Ok(false) => {}
                Err(e) => return Err(e).context(|| format!("cannot look at {}", path.display())),
            }
        }
    }
    let error = Error::runner(format!("no preset named {name:?}"));
    Err(match folders {
        [only] => error.hint(format!("the site's policy takes presets of the program and of {} only", only.display())),
        _ => error.hint(format!(
            "hardrun preset list shows them; others are files in {SITE} or ~/.config/hardrun/presets, or named by path (./{name}.toml)"
        )),
    })
}

/// Files of the site's presets that were seen to be root's, by file system and number.
static ROOTS: OnceLock<Vec<(u64, u64)>> = OnceLock::new();

/// Note which of the site's presets are root's: in a user namespace everybody else's files look alike.
pub fn remember() {
    ROOTS.get_or_init(|| {
        let Ok(entries) = std::fs::read_dir(SITE) else { return Vec::new() };
        let all = entries.flatten().map(|e| e.path()).chain([SITE.into()]);
        let roots = all.filter_map(|path| path.metadata().ok()).filter(|meta| meta.uid() == 0);
        roots.map(|meta| (meta.dev(), meta.ino())).collect()
    });
}

fn is_roots(meta: &std::fs::Metadata) -> bool {
    crate::rootless::current().is_some() && ROOTS.get().is_some_and(|all| all.contains(&(meta.dev(), meta.ino())))
}

/// A preset is policy: only root, or in a folder of the caller's own the caller, may have been able to write it.
fn own_file(folder: &Path, path: &Path) -> Result<String> {
    let caller = if folder == Path::new(SITE) { 0 } else { rustix::process::geteuid().as_raw() };
    for checked in [path, folder] {
        let meta = checked.metadata().context(|| format!("cannot look at {}", checked.display()))?;
        if !([0, caller].contains(&meta.uid()) || is_roots(&meta)) || meta.mode() & 0o022 != 0 {
            return Err(Error::runner(format!("{} can be written by others than root", checked.display()))
                .hint(format!("chown root {0} && chmod go-w {0}", checked.display())));
        }
    }
    std::fs::read_to_string(path).context(|| format!("cannot read preset {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::preset::{Amount, Key};

    fn preset(files: &[(&str, &str)], name: &str) -> Result<Preset> {
        resolve(name, &|wanted| match files.iter().find(|(n, _)| *n == wanted) {
            Some((name, text)) => schema::parse(text, name),
            None => read(wanted),
        })
    }

    #[test]
    fn built_in_presets_resolve_and_say_where_each_value_is_from() {
        let strict = load("strict").unwrap();
        assert!(strict.capabilities.value.is_empty() && strict.read_only.value && strict.non_root.value);
        assert_eq!(strict.read_only.source.to_string(), "preset strict");
        assert_eq!(strict.stop_timeout.source.to_string(), "preset default");
        assert_eq!(strict.memory.as_ref().unwrap().value, Amount::Bytes(1 << 30));
        assert_eq!(strict.lock[&Key::Pids], "strict");
        let default = load("default").unwrap();
        assert_eq!(default.capabilities.value.len(), 7);
        assert!(default.capabilities.value.contains("CAP_CHOWN"));
        assert!(default.lock.is_empty());
    }

    #[test]
    fn a_layer_may_tighten_what_is_locked_but_not_loosen_it() {
        let tighter = "description = \"\"\nextends = \"strict\"\n[limits]\npids = 16\n";
        assert_eq!(preset(&[("t", tighter)], "t").unwrap().pids.unwrap().value, 16);
        for (looser, key) in [
            ("capabilities = [\"CHOWN\"]", "capabilities"),
            ("read-only = false", "read-only"),
            ("non-root = false", "non-root"),
            ("network = \"bridge\"", "network"),
            ("seccomp-open = [\"io-uring\"]", "seccomp-open"),
            ("oom-score-adj = 0", "oom-score-adj"),
            ("[limits]\npids = 4096", "pids"),
            ("[limits]\nmemory = \"2g\"", "memory"),
            ("[limits]\nmemory = \"90%\"", "memory"),
            ("[limits]\ncpus = \"2\"", "cpus"),
            ("[limits]\nnofile = 65536", "nofile"),
            ("[limits]\ncore = 1", "core"),
            ("[limits]\nshm-size = \"1g\"", "shm-size"),
            ("[limits]\ntmpfs-size = \"1g\"", "tmpfs-size"),
        ] {
            let text = format!("description = \"\"\nextends = \"strict\"\n{looser}\n");
            let e = preset(&[("looser", &text)], "looser").unwrap_err().to_string();
            assert!(e.contains("looser") && e.contains("strict") && e.contains(key), "{looser}: {e}");
        }
    }

    #[test]
    fn paths_and_ports_that_are_locked_are_only_tightened() {
        let below = "description = \"\"\nlock = [\"paths\", \"ports\", \"sockets\", \"apparmor-rules\"]\n\
                     apparmor-rules = [\"deny mount\"]\n\
                     [paths]\nread = [\"/etc/**\"]\nexecute = [\"/usr/bin/**\"]\ndeny = [{ path = \"/bin/sh\", access = \"rx\" }]\n\
                     [ports]\nlisten = [80, 443]\n[sockets]\nallow = [\"inet tcp\"]\ndeny = [\"raw\"]\n";
        let with = |more: &str| {
            let text = format!("description = \"\"\nextends = \"below\"\n{more}\n");
            preset(&[("below", below), ("above", &text)], "above")
        };
        let p = with("[paths]\nread = [\"/etc/nginx/**\"]\nexecute = [\"/usr/bin/nginx\"]\n[ports]\nlisten = [80]")
            .unwrap();
        let paths = p.paths.unwrap();
        let lines: Vec<String> =
            paths.value.rules.iter().map(|r| format!("{} {}", r.value.pattern, r.source)).collect();
        assert_eq!(lines, ["/bin/sh preset below", "/etc/nginx/** preset above", "/usr/bin/nginx preset above"]);
        assert_eq!(p.ports.listen.unwrap().value, [80].into());
        assert_eq!(p.sockets.deny[0].source.to_string(), "preset below");
        for (looser, key) in [
            ("[paths]\nall = true", "paths"),
            ("[paths]\nread = [\"/var/**\"]", "paths"),
            ("[paths]\nwrite = [\"/etc/x\"]", "paths"),
            ("[ports]\nlisten = [8080]", "ports"),
            ("[sockets]\nallow = [\"inet udp\"]", "sockets"),
            ("apparmor-rules = [\"umount\"]", "apparmor-rules"),
            ("apparmor-rules = []", "apparmor-rules"),
        ] {
            let e = with(looser).unwrap_err().to_string();
            assert!(e.contains("above") && e.contains("below") && e.contains(key), "{looser}: {e}");
        }
    }

    #[test]
    fn a_lock_holds_through_a_preset_that_does_not_mention_it() {
        let middle = "description = \"\"\nextends = \"strict\"\n";
        let end = "description = \"\"\nextends = \"middle\"\nread-only = false\n";
        let e = preset(&[("middle", middle), ("end", end)], "end").unwrap_err().to_string();
        assert!(e.contains("end") && e.contains("strict"), "{e}");
    }

    #[test]
    fn a_preset_of_the_site_comes_from_nowhere_else() {
        assert_eq!(of_site("strict").unwrap().name, "strict");
        let folder = tempfile::tempdir().unwrap();
        let own = folder.path().join("own.toml");
        std::fs::write(&own, "description = \"\"\n").unwrap();
        let own = own.to_str().unwrap();
        assert!(load(own).is_ok() && of_site(own).is_err());
        // A folder of the caller's counts for the caller alone.
        let folders = [PathBuf::from(SITE), folder.path().to_owned()];
        assert!(named("own", &folders).is_ok() && named("own", &folders[..1]).is_err());
        assert!(named("../own", &folders).is_err());
    }

    #[test]
    fn a_circle_is_an_error_and_not_a_hang() {
        let files = [("a", "description = \"\"\nextends = \"b\"\n"), ("b", "description = \"\"\nextends = \"a\"\n")];
        assert!(preset(&files, "a").unwrap_err().to_string().contains("circle"));
    }

    #[test]
    fn an_unknown_capability_size_or_umask_names_the_preset() {
        for bad in [
            "capabilities = [\"SYS_ADMINS\"]",
            "umask = \"9\"",
            "[limits]\nmemory = \"lots\"",
            "[limits]\ncpus = \"x\"",
            "[[tmpfs]]\npath = \"tmp\"",
            "[limits]\npids = 0",
            "oom-score-adj = -5",
            "[paths]\nread = [\"etc\"]",
            "[paths]\ndeny = [{ path = \"/a\", access = \"q\" }]",
            "[sockets]\nallow = [\"tcp inet\"]",
            "apparmor-rules = [\"file\"]",
        ] {
            let text = format!("description = \"\"\n{bad}\n");
            let e = preset(&[("bad", &text)], "bad").unwrap_err().chain().join(": ");
            assert!(e.contains("preset bad"), "{bad}: {e}");
        }
    }
}
