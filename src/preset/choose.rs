//! Which preset a container gets: the one that `--preset` names; else the one that the image's label names; else the one
//! that is for images of this name; else `default`.
//!
//! Label and name are the word of whoever made the image. They can only choose among the presets of this host, by name
//! and not by path, and the choice is taken only as far as it is no looser than `default`: the worst that a hostile label
//! does is to make its own container stricter.

use super::layer::Preset;
use super::load;
use super::schema::Key;
use crate::error::{Error, Result};
use crate::image::reference::Reference;
use crate::image::store::Image;
use crate::plan::Sourced;
use crate::request::Request;
use crate::ui::clean;
use std::collections::BTreeSet;

/// The label of an image that names its preset.
pub const LABEL: &str = "hardrun.preset";

/// The preset of a container, and what there is to say about the choice. `ground`: the preset where nobody chooses one, and the
/// loosest that an image can choose. `memory`: the host's, in bytes.
pub fn choose(request: &Request, image: &Image, ground: &str, memory: u64) -> Result<(Preset, Vec<String>)> {
    if let Some(name) = &request.own.preset {
        return Ok((load::load(name)?, Vec::new()));
    }
    let ground = load::of_site(ground)?;
    let (name, why) = match (label(image), own_command(request, image)) {
        (Some(name), _) => {
            check_name(&name)?;
            (name, format!("the image's label {LABEL}"))
        }
        (None, true) => match by_name(&image.name)? {
            Some((preset, of)) => (preset, format!("the image's name, {of}")),
            None => return Ok((ground, Vec::new())),
        },
        (None, false) => return Ok((ground, Vec::new())),
    };
    if name == ground.name {
        return Ok((ground, Vec::new()));
    }
    let mut preset = load::load(&name).map_err(|e| {
        Error::runner(format!("{why} names a preset that cannot be used"))
            .hint("--preset default goes on without it")
            .because(e)
    })?;
    let mut notices = vec![format!(
        "preset {name}, because of {why}; --preset default, or another, says otherwise and without this line"
    )];
    let taken_back = preset.hold_within(&ground, memory);
    preset.chosen_by_image = true;
    if !taken_back.is_empty() {
        let keys: Vec<&str> = taken_back.into_iter().map(Key::name).collect();
        notices.push(format!(
            "an image chooses nothing looser than preset {}: {} of preset {name} is held to it; --preset {name} gives it whole",
            ground.name,
            keys.join(", ")
        ));
    }
    Ok((preset, notices))
}

fn label(image: &Image) -> Option<String> {
    let labels = image.config.config().as_ref()?.labels().as_ref()?;
    labels.get(LABEL).filter(|name| !name.is_empty()).cloned()
}

/// A label is no path: it would read a file of the host, or one that the image's maker put there.
fn check_name(name: &str) -> Result<()> {
    let plain = name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    if plain && name.len() <= 64 && !name.starts_with('-') {
        return Ok(());
    }
    let shown: String = clean(name).chars().take(80).collect();
    Err(Error::runner(format!("the image's label {LABEL} is {shown:?}, which is no name of a preset"))
        .hint("--preset default goes on without it"))
}

/// What an image's name says is what its own program needs; `hardrun run nginx bash` is a shell.
fn own_command(request: &Request, image: &Image) -> bool {
    let base = |word: &str| word.rsplit('/').next().unwrap_or_default().to_owned();
    if request.process.entrypoint.is_some() || request.source.rootfs.is_some() {
        return false;
    }
    match request.args.first() {
        None => true,
        Some(word) if word.starts_with('-') => true,
        Some(word) => {
            let command = image.config.config().as_ref().and_then(|c| c.cmd().clone()).unwrap_or_default();
            command.first().is_some_and(|own| base(own) == base(word))
        }
    }
}

/// The preset whose `images` has this name, and the name as it is written there.
fn by_name(image: &str) -> Result<Option<(String, String)>> {
    let Ok(reference) = Reference::parse_bare(image) else { return Ok(None) };
    let name = reference.name();
    let last = name.rsplit('/').next().unwrap_or_default();
    for (preset, images) in load::images(last)? {
        if let Some(of) = images.into_iter().find(|of| Reference::parse_bare(of).is_ok_and(|r| r.name() == name)) {
            return Ok(Some((preset, of)));
        }
    }
    Ok(None)
}

impl Preset {
    /// Take back whatever is looser than `ground`, and say what that was. Sizes of shared memory and of folders in memory are
    /// left where the ground has them as `default` has and does not lock them: they count against the container's memory.
    pub fn hold_within(&mut self, ground: &Preset, memory: u64) -> Vec<Key> {
        let mut keys = BTreeSet::new();
        let mut sets = |key, mine: &mut BTreeSet<String>, most: &BTreeSet<String>| {
            if !mine.is_subset(most) {
                mine.retain(|name| most.contains(name));
                keys.insert(key);
            }
        };
        sets(Key::Capabilities, &mut self.capabilities.value, &ground.capabilities.value);
        sets(Key::SeccompOpen, &mut self.seccomp_open.value, &ground.seccomp_open.value);
        hold_limit(Key::Egress, &mut self.egress, &ground.egress, BTreeSet::is_subset, &mut keys);
        hold_limit(Key::Paths, &mut self.paths, &ground.paths, |mine, most| mine.is_as_tight_as(most), &mut keys);
        let (mine, most) = (&mut self.ports, &ground.ports);
        hold_limit(Key::Ports, &mut mine.listen, &most.listen, BTreeSet::is_subset, &mut keys);
        hold_limit(Key::Ports, &mut mine.connect, &most.connect, BTreeSet::is_subset, &mut keys);
        hold_limit(Key::Sockets, &mut self.sockets.allow, &ground.sockets.allow, BTreeSet::is_subset, &mut keys);
        self.sockets.deny.extend(ground.sockets.deny.iter().cloned());
        // Lines of the AppArmor profile may open something.
        if let Some(rules) = &mut self.apparmor_rules {
            let most = ground.apparmor_rules.as_ref().map(|rules| &rules.value);
            let before = rules.value.len();
            rules.value.retain(|rule| rule.denies() || most.is_some_and(|most| most.contains(rule)));
            if rules.value.len() < before {
                keys.insert(Key::ApparmorRules);
            }
        }
        // What `default` has shut and this preset never mentions was there before it was laid on.
        self.seccomp_shut.value.extend(ground.seccomp_shut.value.iter().cloned());
        let (calls, most) = (self.calls(), ground.calls());
        if !calls.is_subset(&most) {
            let names = calls.intersection(&most).map(|c| (*c).to_owned()).collect();
            if let Some(listed) = &mut self.system_calls {
                listed.value = names;
            }
            keys.insert(Key::SystemCalls);
        }
        let mut value = |key, looser: bool, take: &mut dyn FnMut()| {
            if looser {
                take();
                keys.insert(key);
            }
        };
        value(Key::ReadOnly, ground.read_only.value && !self.read_only.value, &mut || {
            self.read_only = ground.read_only.clone();
        });
        value(Key::NonRoot, ground.non_root.value && !self.non_root.value, &mut || {
            self.non_root = ground.non_root.clone();
            self.user = self.user.take().or_else(|| ground.user.clone());
        });
        value(Key::Network, self.network.value > ground.network.value, &mut || self.network = ground.network.clone());
        value(Key::OomScoreAdj, self.oom_score_adj.value < ground.oom_score_adj.value, &mut || {
            self.oom_score_adj = ground.oom_score_adj.clone();
        });
        value(Key::Timeout, more(&self.timeout, &ground.timeout, |t| *t), &mut || {
            self.timeout = ground.timeout.clone();
        });
        value(Key::Memory, more(&self.memory, &ground.memory, |m| m.of(memory)), &mut || {
            self.memory = ground.memory.clone();
        });
        value(Key::Pids, more(&self.pids, &ground.pids, |n| *n), &mut || self.pids = ground.pids.clone());
        value(Key::Cpus, more(&self.nano_cpus, &ground.nano_cpus, |n| *n), &mut || {
            self.nano_cpus = ground.nano_cpus.clone();
        });
        value(Key::Nofile, more(&self.nofile, &ground.nofile, |n| *n), &mut || self.nofile = ground.nofile.clone());
        value(Key::Core, more(&self.core, &ground.core, |n| *n), &mut || self.core = ground.core.clone());
        self.stack = match more(&self.stack, &ground.stack, |n| *n) {
            true => ground.stack.clone(),
            false => self.stack.take(),
        };
        // Who it runs as is the ground's to say, where it says it.
        self.user = ground.user.clone().or_else(|| self.user.take());
        keys.extend(self.hold_sizes(ground, memory));
        self.hold_folders(ground);
        self.umask.value |= ground.umask.value;
        for (key, by) in &ground.lock {
            self.lock.entry(*key).or_insert_with(|| by.clone());
        }
        keys.into_iter().collect()
    }
}

impl Preset {
    fn hold_sizes(&mut self, ground: &Preset, memory: u64) -> Vec<Key> {
        let default = load::load(load::DEFAULT).expect("the program's own presets are sound");
        let mut keys = Vec::new();
        let (mine, most, usual) = (self.shm_size.value, ground.shm_size.value, default.shm_size.value);
        if mine > most && (most < usual || ground.lock.contains_key(&Key::ShmSize)) {
            self.shm_size = ground.shm_size.clone();
            keys.push(Key::ShmSize);
        }
        let [mine, most, usual] = [&*self, ground, &default].map(|p| p.tmpfs_size.value.of(memory));
        if most < usual || ground.lock.contains_key(&Key::TmpfsSize) {
            let mut held = mine > most;
            if held {
                self.tmpfs_size = ground.tmpfs_size.clone();
            }
            for folder in &mut self.tmpfs {
                let theirs = ground.tmpfs.iter().find(|g| g.value.path == folder.value.path);
                let most = theirs.and_then(|g| g.value.size).unwrap_or(most);
                if folder.value.size.is_some_and(|size| size > most) {
                    folder.value.size = Some(most);
                    held = true;
                }
            }
            keys.extend(held.then_some(Key::TmpfsSize));
        }
        keys
    }

    /// Where nothing can be written but what the ground says, nothing that was written is run, and nothing stays.
    fn hold_folders(&mut self, ground: &Preset) {
        if !ground.read_only.value {
            return;
        }
        self.volumes.retain(|mine| ground.volumes.iter().any(|g| g.value == mine.value));
        for folder in &mut self.tmpfs {
            let theirs = ground.tmpfs.iter().find(|g| g.value.path == folder.value.path);
            folder.value.exec &= theirs.is_some_and(|g| g.value.exec);
        }
    }
}

/// What is absent is without a bound.
fn hold_limit<T: Clone>(
    key: Key,
    mine: &mut Option<Sourced<T>>,
    most: &Option<Sourced<T>>,
    as_tight: impl Fn(&T, &T) -> bool,
    keys: &mut BTreeSet<Key>,
) {
    let Some(held) = most else { return };
    if mine.as_ref().is_none_or(|mine| !as_tight(&mine.value, &held.value)) {
        *mine = most.clone();
        keys.insert(key);
    }
}

/// Is a limit above the ground's? Without one there is no end to it.
fn more<T, N: PartialOrd>(mine: &Option<Sourced<T>>, most: &Option<Sourced<T>>, of: impl Fn(&T) -> N) -> bool {
    match (mine, most) {
        (_, None) => false,
        (None, Some(_)) => true,
        (Some(mine), Some(most)) => of(&mine.value) > of(&most.value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::preset::{BUILTIN, DEFAULT, resolve, schema};

    fn image(name: &str, config: serde_json::Value) -> Image {
        let json = serde_json::json!({ "architecture": "amd64", "os": "linux", "config": config, "rootfs": { "type": "layers", "diff_ids": [] } });
        Image {
            name: name.into(),
            manifest_digest: String::new(),
            config_digest: String::new(),
            index_digest: None,
            repositories: Vec::new(),
            signatures: Vec::new(),
            config: serde_json::from_value(json).unwrap(),
            healthcheck: None,
            layers: Vec::new(),
        }
    }

    fn choice(image: &Image, words: &[&str], preset: Option<&str>) -> Result<(Preset, Vec<String>)> {
        let args = words.iter().map(|w| (*w).to_owned()).collect();
        let mut request = Request { args, ..Request::default() };
        request.own.preset = preset.map(Into::into);
        choose(&request, image, DEFAULT, 8 << 30)
    }

    #[test]
    fn a_flag_comes_before_a_label_and_a_label_before_a_name() {
        let labelled = image("docker.io/library/nginx:1.25", serde_json::json!({ "Labels": { LABEL: "strict" } }));
        assert_eq!(choice(&labelled, &[], Some("default")).unwrap().0.name, "default");
        let (preset, said) = choice(&labelled, &["sh"], None).unwrap();
        assert!(preset.name == "strict" && preset.chosen_by_image && said[0].contains("label"), "{said:?}");
        let plain = image("docker.io/library/nginx:1.25", serde_json::json!({ "Cmd": ["nginx", "-g", "daemon off;"] }));
        let (preset, said) = choice(&plain, &[], None).unwrap();
        assert!(preset.name == "nginx" && said[0].contains("name"), "{said:?}");
    }

    #[test]
    fn a_name_says_nothing_about_another_command() {
        let nginx = image("nginx:1.25", serde_json::json!({ "Cmd": ["nginx"] }));
        for (words, preset) in [
            (&[][..], "nginx"),
            (&["-c", "x.conf"], "nginx"),
            (&["/usr/sbin/nginx", "-t"], "nginx"),
            (&["bash"], "default"),
        ] {
            assert_eq!(choice(&nginx, words, None).unwrap().0.name, preset, "{words:?}");
        }
        for other in ["registry.example/nginx:1", "somebody/nginx", "nginxx"] {
            assert_eq!(choice(&image(other, serde_json::json!({})), &[], None).unwrap().0.name, "default", "{other}");
        }
    }

    #[test]
    fn a_label_is_no_path_and_no_escape_sequence() {
        for bad in ["./own.toml", "/etc/passwd", "../x", "a.toml", "\u{1b}[2J", "A", "no such", &"a".repeat(65)] {
            let hostile = image("x", serde_json::json!({ "Labels": { LABEL: bad } }));
            let error = choice(&hostile, &[], None).unwrap_err().chain().join(": ");
            assert!(!error.contains('\u{1b}') && error.contains("label"), "{bad}: {error}");
        }
        let unknown = image("x", serde_json::json!({ "Labels": { LABEL: "nosuch" } }));
        assert!(choice(&unknown, &[], None).unwrap_err().to_string().contains("label"));
    }

    #[test]
    fn what_an_image_chooses_is_no_looser_than_default() {
        let loose = "description = \"\"\ncapabilities = [\"CHOWN\", \"NET_ADMIN\"]\nseccomp-open = [\"io-uring\"]\n\
            system-calls = [\"start\", \"ptrace\"]\numask = \"0\"\noom-score-adj = 0\n\
            [limits]\nmemory = \"100%\"\npids = 9999\nnofile = 999999\ncore = 1\nshm-size = \"1g\"\n";
        let mut preset = resolve("loose", &|name| match name {
            "loose" => schema::parse(loose, name),
            _ => schema::parse(&load::source(name)?, name),
        })
        .unwrap();
        let keys = preset.hold_within(&load::load(DEFAULT).unwrap(), 8 << 30);
        let names: Vec<&str> = keys.into_iter().map(Key::name).collect();
        let all = ["capabilities", "system-calls", "seccomp-open", "oom-score-adj", "memory", "pids", "nofile", "core"];
        assert_eq!(names, all);
        assert_eq!(preset.capabilities.value, BTreeSet::from(["CAP_CHOWN".to_owned()]));
        assert!(!preset.calls().contains("ptrace") && preset.calls().contains("execve"));
        assert_eq!((preset.umask.value, preset.shm_size.value), (0o022, 1 << 30));
    }

    #[test]
    fn a_ground_that_is_stricter_holds_everything_and_keeps_its_locks() {
        let mut preset = load::load(DEFAULT).unwrap();
        preset.hold_within(&load::load("strict").unwrap(), 8 << 30);
        assert!(preset.capabilities.value.is_empty() && preset.read_only.value && preset.non_root.value);
        assert!(preset.user.is_some() && preset.locked(Key::Network).is_some());
    }

    #[test]
    fn a_strict_ground_holds_folders_sizes_and_user() {
        let loose = "description = \"\"\nuser = \"1:1\"\n\
            [limits]\nshm-size = \"1g\"\ntmpfs-size = \"1g\"\nstack = \"64m\"\n\
            [[tmpfs]]\npath = \"/tmp\"\nexec = true\nsize = \"1g\"\n[[volumes]]\npath = \"/data\"\n";
        let mut preset = resolve("loose", &|name| match name {
            "loose" => schema::parse(loose, name),
            _ => schema::parse(&load::source(name)?, name),
        })
        .unwrap();
        assert!(preset.tmpfs.iter().any(|t| t.value.exec) && !preset.volumes.is_empty(), "else nothing is tested");
        let strict = load::load("strict").unwrap();
        let keys = preset.hold_within(&strict, 8 << 30);
        assert!(keys.contains(&Key::ShmSize) && keys.contains(&Key::TmpfsSize), "{keys:?}");
        assert_eq!(preset.shm_size.value, strict.shm_size.value);
        assert_eq!(preset.tmpfs_size.value, strict.tmpfs_size.value);
        assert!(preset.tmpfs.iter().all(|t| !t.value.exec && t.value.size.is_none_or(|n| n <= 64 << 20)));
        assert!(preset.volumes.is_empty());
        assert_eq!(preset.user.unwrap().value, strict.user.unwrap().value);
    }

    #[test]
    fn built_in_presets_that_images_choose_are_taken_whole() {
        for (name, text) in BUILTIN {
            if schema::parse(text, name).unwrap().images.is_empty() {
                continue;
            }
            let mut preset = load::load(name).unwrap();
            let keys = preset.hold_within(&load::load(DEFAULT).unwrap(), 64 << 30);
            assert!(keys.is_empty(), "{name}: {keys:?}");
        }
    }
}
