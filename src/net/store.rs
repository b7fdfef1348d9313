//! Networks on disk: `ROOT/networks/NAME.json`, written as a whole under the lock `RUN/net/lock`.

use super::names::builtin_id;
use super::pool;
use super::prefix::Prefix;
use crate::error::{Context as _, Error, Result};
use crate::state::{Paths, Stamp};
use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{ErrorKind, Write};
use std::net::IpAddr;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Name of the network that a container is on where none is named.
pub const BRIDGE: &str = "bridge";
/// Networks that every root has.
pub const BUILT_IN: [&str; 3] = [BRIDGE, "host", "none"];

/// A network as it was asked for, and what was chosen for it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Network {
    /// Version of this format, [`Network::VERSION`].
    pub version: u32,
    pub name: String,
    /// 64 lower-case hexadecimal digits.
    pub id: String,
    pub created: Stamp,
    /// `bridge`, or of the built-in ones `host` and `null`.
    pub driver: String,
    #[serde(default)]
    pub enable_ipv6: bool,
    /// At most one network of each address family, IPv4 first.
    #[serde(default)]
    pub ipam: Vec<IpamConfig>,
    /// The IPv4 network was chosen by hardrun: another may take its place while nobody uses it.
    #[serde(default)]
    pub chosen: bool,
    #[serde(default)]
    pub internal: bool,
    #[serde(default)]
    pub attachable: bool,
    #[serde(default)]
    pub options: BTreeMap<String, String>,
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IpamConfig {
    pub subnet: Prefix,
    /// The host's own address on the bridge.
    pub gateway: IpAddr,
    /// From which addresses are given out where none is asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ip_range: Option<Prefix>,
}

impl Network {
    pub const VERSION: u32 = 1;

    /// Name of its bridge on the host.
    pub fn bridge(&self) -> String {
        match self.options.get("com.docker.network.bridge.name") {
            Some(name) => name.clone(),
            None => format!("hr-{}", &self.id[..12]),
        }
    }

    pub fn is_built_in(&self) -> bool {
        BUILT_IN.contains(&self.name.as_str())
    }

    /// Names are answered between its containers.
    pub fn has_names(&self) -> bool {
        self.name != BRIDGE
    }

    /// Containers may talk to each other.
    pub fn icc(&self) -> bool {
        self.flag("com.docker.network.bridge.enable_icc")
    }

    /// Containers leave under the host's address.
    pub fn masquerades(&self) -> bool {
        self.flag("com.docker.network.bridge.enable_ip_masquerade") && !self.internal
    }

    fn flag(&self, key: &str) -> bool {
        self.options.get(key).is_none_or(|v| crate::request::parse_bool(v).unwrap_or(true))
    }

    pub fn mtu(&self) -> Option<u32> {
        self.options.get("com.docker.network.driver.mtu")?.parse().ok()
    }

    /// The configuration for one address family.
    pub fn config(&self, ipv4: bool) -> Option<&IpamConfig> {
        self.ipam.iter().find(|c| c.subnet.is_ipv4() == ipv4)
    }
}

/// Held while networks, bridges, rules or leases of a root change.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

/// The networks of one root.
#[derive(Debug, Clone)]
pub struct Store<'a> {
    paths: &'a Paths,
}

impl<'a> Store<'a> {
    pub fn new(paths: &'a Paths) -> Store<'a> {
        Store { paths }
    }

    fn folder(&self) -> PathBuf {
        self.paths.root.join("networks")
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder().join(format!("{name}.json"))
    }

    /// Wait for whoever is changing something.
    pub fn lock(&self) -> Result<Lock> {
        let folder = run_folder(self.paths);
        let attempt = || format!("lock the networks in {}", folder.display());
        make_private(&folder).verb_context(attempt)?;
        let mut options = File::options();
        options.read(true).write(true).create(true).truncate(false).mode(0o600).custom_flags(libc::O_NOFOLLOW);
        let file = options.open(folder.join("lock")).verb_context(attempt)?;
        loop {
            match flock(&file, FlockOperation::LockExclusive) {
                Err(rustix::io::Errno::INTR) => {}
                other => break other.verb_context(attempt)?,
            }
        }
        Ok(Lock { _file: file })
    }

    /// Every network, by name. The built-in ones are there also where nothing was ever written.
    pub fn list(&self) -> Result<Vec<Network>> {
        let mut all: Vec<Network> = Vec::new();
        let folder = self.folder();
        let attempt = || format!("list the networks in {}", folder.display());
        match std::fs::read_dir(&folder) {
            Ok(entries) => {
                for entry in entries {
                    let path = entry.verb_context(attempt)?.path();
                    let named = path.extension().is_some_and(|e| e == "json");
                    // One that another command removes meanwhile was not there.
                    if named && let Some(network) = read(&path)? {
                        all.push(network);
                    }
                }
            }
            Err(e) if e.kind() == ErrorKind::NotFound => {}
            Err(e) => return Err(e).verb_context(attempt),
        }
        for name in BUILT_IN {
            if !all.iter().any(|n| n.name == name) {
                all.push(self.built_in(name));
            }
        }
        all.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(all)
    }

    /// By name, id, or the beginning of an id that no other network shares.
    pub fn find(&self, reference: &str) -> Result<Option<Network>> {
        if crate::request::is_network_name(reference)
            && let Some(network) = read(&self.file(reference))?
        {
            return Ok(Some(network));
        }
        let all = self.list()?;
        if let Some(exact) = all.iter().find(|n| n.name == reference || n.id == reference) {
            return Ok(Some(exact.clone()));
        }
        let mut found = all.iter().filter(|n| !reference.is_empty() && n.id.starts_with(reference));
        match (found.next(), found.next()) {
            (Some(_), Some(_)) => Err(Error::verb(format!(
                "network {reference} is ambiguous ({} matches found based on ID prefix)",
                2 + found.count()
            ))),
            (one, _) => Ok(one.cloned()),
        }
    }

    /// As [`Store::find`], with docker's error where there is none.
    pub fn get(&self, reference: &str) -> Result<Network> {
        self.find(reference)?.ok_or_else(|| Error::verb(format!("network {reference} not found")))
    }

    /// What a network that every root has looks like before it is first used.
    fn built_in(&self, name: &str) -> Network {
        let driver = match name {
            "none" => "null",
            other => other,
        };
        let options = match name {
            BRIDGE => [
                ("com.docker.network.bridge.default_bridge", "true"),
                ("com.docker.network.bridge.enable_icc", "true"),
                ("com.docker.network.bridge.enable_ip_masquerade", "true"),
                ("com.docker.network.bridge.host_binding_ipv4", "127.0.0.1"),
                ("com.docker.network.driver.mtu", "1500"),
            ]
            .map(|(k, v)| (k.to_owned(), v.to_owned()))
            .into(),
            _ => BTreeMap::new(),
        };
        Network {
            version: Network::VERSION,
            name: name.to_owned(),
            id: builtin_id(self.paths, name),
            created: Stamp::default(),
            driver: driver.to_owned(),
            enable_ipv6: false,
            ipam: Vec::new(),
            chosen: name == BRIDGE,
            internal: false,
            attachable: false,
            options,
            labels: BTreeMap::new(),
        }
    }

    /// Give a network the addresses that it has not got, choosing what meets none of `used`.
    pub fn choose(network: &mut Network, used: &[Prefix]) -> Result<()> {
        let exhausted = |family| {
            Error::verb(format!("could not find an available, non-overlapping {family} address pool among the defaults to assign to the network"))
                .hint("name one: --subnet 10.89.0.0/24")
        };
        let mut found = Vec::new();
        if network.config(true).is_none() {
            found.push(pool::choose(used, network.name == BRIDGE).ok_or_else(|| exhausted("IPv4"))?);
            network.chosen = true;
        }
        if network.enable_ipv6 && network.config(false).is_none() {
            found.push(pool::choose_v6(&network.id, used).ok_or_else(|| exhausted("IPv6"))?);
        }
        for subnet in found {
            let gateway = subnet.hosts().next().ok_or_else(|| exhausted("usable"))?;
            network.ipam.push(IpamConfig { subnet, gateway, ip_range: None });
        }
        network.ipam.sort_by_key(|c| !c.subnet.is_ipv4());
        Ok(())
    }

    /// As [`Store::choose`], beside what the host uses and what networks claim that may not be up now. Where no range is
    /// left, default bridges of other roots give way that are not up: they choose another when they come up.
    pub fn choose_beside(&self, network: &mut Network, host: &[Prefix]) -> Result<()> {
        let used = |claims| Ok::<_, Error>([host, &self.claimed(&network.id, claims)?].concat());
        let (all, lasting) = (used(Claims::All)?, used(Claims::Lasting)?);
        Self::choose(network, &all).or_else(|_| Self::choose(network, &lasting))
    }

    /// Write a network. The lock is held by the caller.
    pub fn write(&self, _lock: &Lock, network: &Network) -> Result<()> {
        let path = self.file(&network.name);
        let attempt = || format!("write {}", path.display());
        make_private(&self.folder()).verb_context(attempt)?;
        let json = serde_json::to_vec(network).verb_context(attempt)?;
        write_whole(&path, &json, true).verb_context(attempt)?;
        claim(self.paths, network, &path)
    }

    /// Forget a network. The lock is held by the caller.
    pub fn remove(&self, _lock: &Lock, network: &Network) -> Result<()> {
        let path = self.file(&network.name);
        for path in [path, claims(self.paths).join(&network.id)] {
            match std::fs::remove_file(&path) {
                Err(e) if e.kind() != ErrorKind::NotFound => {
                    return Err(e).verb_context(|| format!("remove {}", path.display()));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Networks of every root but this one network: also those whose bridge is not there now.
    pub fn claimed(&self, but: &str, which: Claims) -> Result<Vec<Prefix>> {
        let mut all: Vec<Prefix> = Vec::new();
        for network in self.list()?.iter().filter(|n| n.id != but) {
            all.extend(network.ipam.iter().map(|c| c.subnet));
        }
        let folder = claims(self.paths);
        let entries = match std::fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(all),
            Err(e) => return Err(e).verb_context(|| format!("read {}", folder.display())),
        };
        for entry in entries.flatten() {
            let Ok(text) = std::fs::read_to_string(entry.path()) else { continue };
            let mut lines = text.lines();
            // A root that was deleted takes its claims along.
            let default = format!("{BRIDGE}.json");
            let stands = lines.next().map(Path::new).is_some_and(|path| {
                path.exists() && (which == Claims::All || path.file_name().is_none_or(|n| n != default.as_str()))
            });
            if stands && entry.file_name().to_string_lossy() != but {
                all.extend(lines.filter_map(|l| l.parse::<Prefix>().ok()));
            }
        }
        Ok(all)
    }
}

/// Whose claims count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claims {
    All,
    /// But those of other roots' default bridges, which are no promise to anybody.
    Lasting,
}

/// Where what belongs to running containers' networks is kept.
pub fn run_folder(paths: &Paths) -> PathBuf {
    paths.run.join("net")
}

/// Host-wide, whatever --root says: which address ranges are taken by networks whose bridges may not be there now. The
/// first line of a file is the network's own.
fn claims(paths: &Paths) -> PathBuf {
    // Tests need no rights on the host.
    let run = if cfg!(test) { &paths.run } else { &Paths::host_run() };
    run.join("subnets")
}

fn claim(paths: &Paths, network: &Network, file: &Path) -> Result<()> {
    let folder = claims(paths);
    let path = folder.join(&network.id);
    let attempt = || format!("write {}", path.display());
    make_private(&folder).verb_context(attempt)?;
    let mut text = format!("{}\n", file.display());
    for config in &network.ipam {
        text.push_str(&format!("{}\n", config.subnet));
    }
    // Roots share the folder, and a network's file is there before its claim is: with the lock none is taken for one that is gone.
    let held = std::fs::File::open(&folder).verb_context(attempt)?;
    rustix::fs::flock(&held, rustix::fs::FlockOperation::LockExclusive).verb_context(attempt)?;
    write_whole(&path, text.as_bytes(), false).verb_context(attempt)?;
    forget_gone(&folder);
    Ok(())
}

/// Remove the claims of networks that went with their root: whoever deleted that told nobody. What cannot be removed claims nothing all
/// the same.
fn forget_gone(folder: &Path) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let Ok(text) = std::fs::read_to_string(entry.path()) else { continue };
        // Whoever was writing one was killed: the lock is ours.
        let unfinished = entry.path().extension().is_some_and(|e| e == "new");
        if unfinished || text.lines().next().is_some_and(|file| !Path::new(file).exists()) {
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

fn read(path: &Path) -> Result<Option<Network>> {
    let attempt = || format!("read {}", path.display());
    let json = match std::fs::read(path) {
        Ok(json) => json,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(e).verb_context(attempt),
    };
    let network: Network = serde_json::from_slice(&json).verb_context(attempt)?;
    if network.version > Network::VERSION {
        return Err(Error::verb(attempt()).hint(format!(
            "it has version {} of its format; this hardrun knows {}",
            network.version,
            Network::VERSION
        )));
    }
    Ok(Some(network))
}

/// Replace a file as a whole; whoever writes holds the lock.
pub(super) fn write_whole(path: &Path, bytes: &[u8], durable: bool) -> std::io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.new", std::process::id()));
    let new = path.with_file_name(name);
    let mut options = File::options();
    options.write(true).create(true).truncate(true).mode(0o600).custom_flags(libc::O_NOFOLLOW);
    let mut file = options.open(&new)?;
    file.write_all(bytes)?;
    if durable {
        file.sync_all()?;
    }
    std::fs::rename(&new, path)
}

pub(super) fn make_private(folder: &Path) -> std::io::Result<()> {
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(dir: &tempfile::TempDir) -> Paths {
        Paths::new(Some(dir.path()))
    }

    #[test]
    fn claims_of_a_root_that_is_gone_go_with_the_next_network() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("subnets");
        std::fs::create_dir(&folder).unwrap();
        let there = dir.path().join("there.json");
        std::fs::write(&there, "").unwrap();
        let claims = [
            ("a", format!("{}\n10.0.0.0/24\n", there.display())),
            ("b", "/nowhere/networks/bridge.json\n10.0.1.0/24\n".into()),
            ("c.12.new", String::new()),
        ];
        for (name, text) in claims {
            std::fs::write(folder.join(name), text).unwrap();
        }
        forget_gone(&folder);
        let left: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(left, ["a"]);
    }

    fn network(name: &str, id: &str) -> Network {
        let mut network = Network {
            version: Network::VERSION,
            name: name.into(),
            id: id.repeat(64 / id.len()),
            created: Stamp::now(),
            driver: "bridge".into(),
            enable_ipv6: true,
            ipam: Vec::new(),
            chosen: false,
            internal: false,
            attachable: false,
            options: BTreeMap::new(),
            labels: BTreeMap::new(),
        };
        Store::choose(&mut network, &[]).unwrap();
        network
    }

    #[test]
    fn the_built_in_ones_are_always_there() {
        let dir = tempfile::tempdir().unwrap();
        let paths = paths(&dir);
        let store = Store::new(&paths);
        let names: Vec<String> = store.list().unwrap().into_iter().map(|n| n.name).collect();
        assert_eq!(names, BUILT_IN);
        assert_eq!(store.get("none").unwrap().driver, "null");
        let id = store.get("bridge").unwrap().id;
        assert_eq!(store.get(&id[..12]).unwrap().name, "bridge");
        assert_eq!(store.get("nope").unwrap_err().message, "network nope not found");
    }

    #[test]
    fn what_is_written_is_found_by_name_and_id() {
        let dir = tempfile::tempdir().unwrap();
        let paths = paths(&dir);
        let store = Store::new(&paths);
        let lock = store.lock().unwrap();
        let (a, b) = (network("front", "a1"), network("back", "a2"));
        for n in [&a, &b] {
            store.write(&lock, n).unwrap();
        }
        assert_eq!(store.get("front").unwrap(), a);
        assert_eq!(store.get("a2a2").unwrap(), b);
        assert!(store.get("a").unwrap_err().message.contains("ambiguous"));
        assert_eq!(a.ipam[0].gateway.to_string(), "172.18.0.1");
        assert!(a.ipam[1].subnet.to_string().starts_with("fda1:"));
        assert!(store.claimed(&a.id, Claims::All).unwrap().contains(&b.ipam[0].subnet));
        store.remove(&lock, &a).unwrap();
        store.remove(&lock, &b).unwrap();
        assert!(store.find("front").unwrap().is_none());
    }

    #[test]
    fn a_file_of_a_newer_version_is_not_guessed_at() {
        let dir = tempfile::tempdir().unwrap();
        let paths = paths(&dir);
        let store = Store::new(&paths);
        let lock = store.lock().unwrap();
        let newer = Network { version: 99, ..network("n", "b1") };
        store.write(&lock, &newer).unwrap();
        assert!(store.get("n").unwrap_err().hint.unwrap().contains("version 99"));
        store.remove(&lock, &newer).unwrap();
    }
}
