//! From text to law, with the line and the key of everything that is wrong.

use super::law::{Ceilings, Grant, Law, Signed, SitePath};
use super::pattern::Pattern;
use super::schema::{CeilingsFile, GrantFile, ImagesFile, PathFile, PolicyFile, SignatureFile};
use super::signature;
use crate::policy::{Override, registry};
use crate::preset::Amount;
use crate::request::{Cpus, Ulimit, clean_path};
use jiff::civil::Date;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use toml::de::{DeTable, DeValue};

/// Docker's smallest memory limit.
const LEAST_MEMORY: u64 = 6 << 20;

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Problem {
    /// From 1.
    pub line: usize,
    /// `allow[0].rule`; empty where the text is no TOML.
    pub key: String,
    pub what: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = if self.key.is_empty() { String::new() } else { format!("{}: ", self.key) };
        write!(f, "{}: {key}{}", self.line, self.what)
    }
}

/// Gives the text of a key file that lies beside the policy.
pub type KeyFile<'a> = &'a dyn Fn(&str) -> Result<String, String>;

/// Read a policy. `key_file` is asked for every key that is a name and not the key itself.
pub fn parse(text: &str, key_file: KeyFile) -> Result<Law, Vec<Problem>> {
    let file: PolicyFile = toml::from_str(text).map_err(|e| {
        let at = e.span().map_or(0, |s| s.start);
        let named = e.message().starts_with("unknown field").then(|| e.span().and_then(|s| text.get(s))).flatten();
        let key = named.unwrap_or_default().trim().to_owned();
        vec![Problem { line: line_at(text, at), key, what: e.message().replace('\n', " ") }]
    })?;
    if DeTable::parse(text).is_ok_and(|table| table.get_ref().is_empty()) {
        // Such is a file that is being written just now: for that moment it must not be a policy that decides nothing.
        let what =
            "it says nothing: take the file away if nothing is to be decided, or move a whole one into its place";
        return Err(vec![Problem { line: 1, key: String::new(), what: what.into() }]);
    }
    let mut reader = Reader { text, problems: Vec::new() };
    let law = reader.law(file, key_file);
    if reader.problems.is_empty() { Ok(law) } else { Err(reader.problems) }
}

struct Reader<'a> {
    text: &'a str,
    problems: Vec<Problem>,
}

impl Reader<'_> {
    fn wrong(&mut self, key: &str, what: impl fmt::Display) {
        let line = line_at(self.text, span_of(self.text, key).unwrap_or(0));
        self.problems.push(Problem { line, key: key.to_owned(), what: what.to_string() });
    }

    /// The value, or the problem noted and nothing.
    fn take<T, E: fmt::Display>(&mut self, key: &str, value: Result<T, E>) -> Option<T> {
        value.map_err(|e| self.wrong(key, e)).ok()
    }

    fn law(&mut self, file: PolicyFile, key_file: KeyFile) -> Law {
        // Taken apart without `..`: a key that is read and forgotten does not compile.
        let PolicyFile {
            unlisted_overrides,
            deny,
            allow,
            roots,
            images,
            signature,
            limits,
            path,
            preset,
            publish_address,
            messages,
        } = file;
        let ImagesFile { registries, local, require_digest } = images;
        for (i, rule) in deny.iter().enumerate() {
            self.overridable(&format!("deny[{i}]"), rule);
        }
        for rule in messages.keys() {
            if registry::find(rule).is_none() {
                self.wrong(&format!("messages.{rule}"), no_rule(rule));
            }
        }
        if let Some(address) = &publish_address
            && address.parse::<std::net::IpAddr>().is_err()
        {
            self.wrong("publish-address", format!("{address:?} is no IP address"));
        }
        if preset.as_deref().is_some_and(str::is_empty) {
            self.wrong("preset", "it is empty");
        }
        if preset.as_deref().is_some_and(|name| name.contains('/') || name.ends_with(".toml")) {
            let what = format!("the name of a preset is wanted, of one of the program's or of {}", crate::preset::SITE);
            self.wrong("preset", what);
        }
        Law {
            unlisted_overrides,
            deny,
            allow: allow.into_iter().enumerate().filter_map(|(i, g)| self.grant(i, g)).collect(),
            roots: roots.iter().enumerate().filter_map(|(i, path)| self.folder(&format!("roots[{i}]"), path)).collect(),
            registries: registries.map(|all| self.repositories("images.registries", &all)),
            local_images: local,
            require_digest,
            signatures: signature.into_iter().enumerate().map(|(i, s)| self.signed(i, s, key_file)).collect(),
            limits: self.ceilings(limits),
            paths: path.into_iter().enumerate().filter_map(|(i, p)| self.path(i, p)).collect(),
            preset,
            publish_address,
            messages,
        }
    }

    fn overridable(&mut self, key: &str, rule: &str) {
        match registry::find(rule).map(|r| r.overriding) {
            None => self.wrong(key, no_rule(rule)),
            Some(Override::Never(_)) => self.wrong(key, format!("rule {rule} has no override")),
            Some(Override::Loosens(_)) => {}
        }
    }

    fn patterns(&mut self, key: &str, words: &[String]) -> Vec<Pattern> {
        let one = |(i, word): (usize, &String)| self.take(&format!("{key}[{i}]"), Pattern::parse(word));
        words.iter().enumerate().filter_map(one).collect()
    }

    /// Of repositories as a whole: a tag means another image tomorrow, and neither tag nor digest need be typed to get one.
    fn repositories(&mut self, key: &str, words: &[String]) -> Vec<Pattern> {
        let all = self.patterns(key, words);
        for (i, word) in words.iter().enumerate() {
            let whole = match Pattern::parse(word) {
                Ok(Pattern::Below(_)) | Err(_) => true,
                Ok(Pattern::One(r)) => r.tag.is_none() && r.digest.is_none(),
                Ok(Pattern::Digest(_)) => false,
            };
            if !whole {
                let what = "a repository or a folder of them is wanted, without tag and digest";
                self.wrong(&format!("{key}[{i}]"), what);
            }
        }
        all
    }

    fn grant(&mut self, i: usize, grant: GrantFile) -> Option<Grant> {
        let GrantFile { rule, users, groups, images, reason, expires } = grant;
        let at = |key: &str| format!("allow[{i}].{key}");
        self.overridable(&at("rule"), &rule);
        if reason.trim().is_empty() {
            self.wrong(&at("reason"), "a reason is wanted");
        }
        let day = |text: &str| {
            Date::from_str(text)
                .ok()
                .filter(|d| d.to_string() == text)
                .ok_or_else(|| format!("{text:?} is no day such as 2027-01-31"))
        };
        let expires = self.take(&at("expires"), day(&expires))?.to_string();
        let images = self.patterns(&at("images"), &images);
        for (n, pattern) in images.iter().enumerate() {
            if matches!(pattern, Pattern::One(r) if r.tag.is_some()) {
                let what = "a tag is given by whoever may run `hardrun tag`: name the repository, or a digest";
                self.wrong(&format!("{}[{n}]", at("images")), what);
            }
        }
        Some(Grant { rule, users, groups, images, reason, expires })
    }

    fn signed(&mut self, i: usize, entry: SignatureFile, key_file: KeyFile) -> Signed {
        let SignatureFile { images, keys, identity } = entry;
        let at = |key: &str| format!("signature[{i}].{key}");
        if keys.is_empty() {
            self.wrong(&at("keys"), "a key is wanted");
        }
        let mut pem = Vec::new();
        for (n, word) in keys.iter().enumerate() {
            let key = format!("{}[{n}]", at("keys"));
            let text = if word.contains("-----BEGIN") {
                Ok(word.clone())
            } else if word.is_empty() || word.contains('/') || word.starts_with('.') {
                Err("a key, or the name of a file in the policy's folder, is wanted".to_owned())
            } else {
                key_file(word)
            };
            pem.extend(self.take(&key, text.and_then(|text| signature::check_key(&text).map(|()| text))));
        }
        let identity = identity.and_then(|text| match Pattern::parse(&text) {
            Ok(Pattern::One(r)) if r.tag.is_none() && r.digest.is_none() => Some(r.name()),
            Ok(_) => {
                self.wrong(&at("identity"), format!("{text:?} is no repository such as registry.example.org/team/app"));
                None
            }
            Err(e) => {
                self.wrong(&at("identity"), e);
                None
            }
        });
        Signed { images: self.repositories(&at("images"), &images), keys: pem, identity }
    }

    fn ceilings(&mut self, file: CeilingsFile) -> Ceilings {
        let CeilingsFile { memory, memory_swap, pids, cpus, shm_size, tmpfs_size, timeout, ulimits } = file;
        for (key, bad) in [("pids", pids.is_some_and(|n| n < 1)), ("timeout", timeout == Some(0))] {
            if bad {
                self.wrong(&format!("limits.{key}"), "at least 1 is wanted");
            }
        }
        for name in ulimits.keys() {
            if format!("{name}=1").parse::<Ulimit>().is_err() {
                self.wrong(&format!("limits.ulimits.{name}"), format!("{name:?} is no limit of a process"));
            }
        }
        let mut size = |key: &str, text: Option<String>| {
            let text = text?;
            let bytes = match Amount::parse(&text) {
                Ok(Amount::Bytes(bytes)) if i64::try_from(bytes).is_ok() => Ok(bytes),
                _ => Err(format!("{text:?} is no size such as \"512m\"")),
            };
            self.take(&format!("limits.{key}"), bytes)
        };
        let (memory, memory_swap) = (size("memory", memory), size("memory-swap", memory_swap));
        let (shm_size, tmpfs_size) = (size("shm-size", shm_size), size("tmpfs-size", tmpfs_size));
        let nano_cpus = cpus.and_then(|text| {
            let nano = Cpus::from_str(&text).ok().map(|c| c.nano).filter(|n| *n >= 10_000_000);
            self.take("limits.cpus", nano.ok_or_else(|| format!("{text:?} is no number of CPUs of at least 0.01")))
        });
        for (key, size) in [("memory", memory), ("memory-swap", memory_swap)] {
            if size.is_some_and(|n| n < LEAST_MEMORY) {
                self.wrong(&format!("limits.{key}"), "a container does not start with less than 6m");
            }
        }
        // Swap on top of a limit is memory all the same, and both together are no less than memory alone.
        let memory = memory.into_iter().chain(memory_swap).min();
        let memory_swap = memory_swap.or(memory);
        Ceilings { memory, memory_swap, pids, nano_cpus, shm_size, tmpfs_size, timeout, ulimits }
    }

    fn path(&mut self, i: usize, entry: PathFile) -> Option<SitePath> {
        let PathFile { path, mode, reason } = entry;
        let path = self.folder(&format!("path[{i}].path"), &path)?;
        Some(SitePath { path, mode, reason })
    }

    fn folder(&mut self, key: &str, path: &str) -> Option<PathBuf> {
        let clean = if path.starts_with('/') && path != "/" && !path.contains('*') {
            Ok(clean_path(path))
        } else {
            Err(format!("{path:?} is no absolute path of a file or folder"))
        };
        self.take(key, clean).map(Into::into)
    }
}

fn no_rule(rule: &str) -> String {
    match crate::policy::allow::near(rule).as_slice() {
        [] => format!("there is no rule {rule:?}; `hardrun rules` lists them"),
        near => format!("there is no rule {rule:?}; did you mean {}?", near.join(" or ")),
    }
}

fn line_at(text: &str, at: usize) -> usize {
    text.as_bytes().iter().take(at).filter(|b| **b == b'\n').count() + 1
}

/// Where the value of a key such as `allow[0].rule` begins; where the innermost table that is there does, if it is not.
fn span_of(text: &str, key: &str) -> Option<usize> {
    let root = DeTable::parse(text).ok()?;
    let mut at = None;
    let mut value: Option<&DeValue> = None;
    for part in key.split('.') {
        let (name, indexes) = part.split_once('[').map_or((part, None), |(n, i)| (n, Some(i)));
        let table = match value {
            None => root.get_ref(),
            Some(DeValue::Table(table)) => table,
            Some(_) => return at,
        };
        let Some((_, found)) = table.iter().find(|(k, _)| k.get_ref() == name) else { return at };
        (at, value) = (Some(found.span().start), Some(found.get_ref()));
        if let (Some(index), Some(DeValue::Array(all))) = (indexes, value)
            && let Some(one) = index.trim_end_matches(']').parse::<usize>().ok().and_then(|i| all.get(i))
        {
            (at, value) = (Some(one.span().start), Some(one.get_ref()));
        }
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(text: &str) -> Vec<String> {
        let none = |name: &str| Err(format!("there is no {name}"));
        parse(text, &none).expect_err("it is wrong").iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_file_that_says_nothing_is_none_that_is_whole() {
        for text in ["", "\n \n", "# nothing\n"] {
            assert!(problems(text)[0].contains("it says nothing"), "{text:?}");
        }
        assert_eq!(parse("deny = []", &|_| Err(String::new())).unwrap(), Law::default());
    }

    #[test]
    fn every_problem_has_its_line_and_key() {
        for (text, want) in [
            ("\nunknown = 1\n", "2: unknown: unknown field"),
            ("[images]\nregistry = []\n", "2: registry: unknown field"),
            (
                "deny = [\n \"host-network\",\n \"host-netwrk\"]\n",
                "3: deny[1]: there is no rule \"host-netwrk\"; did you mean host-network",
            ),
            ("deny = [\"kernel-mountpoint\"]", "1: deny[0]: rule kernel-mountpoint has no override"),
            ("x = ", "1: "),
            (
                "[[allow]]\nrule = \"host-pid\"\nreason = \"\"\nexpires = \"2027-01-31\"",
                "3: allow[0].reason: a reason is wanted",
            ),
            ("[[allow]]\nrule = \"host-pid\"\nexpires = \"2027-01-31\"", "1: missing field `reason`"),
            (
                "[[allow]]\nrule = \"host-pid\"\nreason = \"r\"\nexpires = \"31.1.2027\"",
                "4: allow[0].expires: \"31.1.2027\" is no day",
            ),
            ("[[allow]]\nrule = \"host-pid\"\nreason = \"r\"\nexpires = \"2027-02-30\"", "4: allow[0].expires"),
            ("[images]\nregistries = [\n\"busybox\"]", "3: images.registries[0]: \"busybox\" does not begin"),
            ("[images]\nregistries = [\"docker.io/library/busybox:1\"]", "2: images.registries[0]: a repository"),
            (
                "[[allow]]\nrule = \"host-pid\"\nimages = [\"reg.lan/app:1\"]\nreason = \"r\"\nexpires = \"2027-02-20\"",
                "3: allow[0].images[0]: a tag is given",
            ),
            ("[limits]\nmemory = \"lots\"", "2: limits.memory: \"lots\" is no size"),
            ("[limits]\nmemory = \"50%\"", "2: limits.memory"),
            ("[limits]\nmemory = \"5m\"", "2: limits.memory: a container does not start"),
            ("[limits]\npids = 0", "2: limits.pids: at least 1"),
            ("[limits]\ncpus = \"0\"", "2: limits.cpus"),
            ("[limits.ulimits]\nnofiles = 1", "2: limits.ulimits.nofiles: \"nofiles\" is no limit"),
            (
                "[[path]]\npath = \"srv\"\nmode = \"never\"\nreason = \"r\"",
                "2: path[0].path: \"srv\" is no absolute path",
            ),
            ("[[path]]\npath = \"/srv\"\nmode = \"none\"\nreason = \"r\"", "3: unknown variant"),
            ("roots = [\"/srv\", \"store\"]", "1: roots[1]: \"store\" is no absolute path"),
            ("roots = [\"/\"]", "1: roots[0]"),
            ("preset = \"./own.toml\"", "1: preset: the name of a preset is wanted"),
            ("preset = \"own.toml\"", "1: preset: the name of a preset is wanted"),
            ("publish-address = \"host\"", "1: publish-address: \"host\" is no IP address"),
            ("[messages]\nhost-net = \"x\"", "2: messages.host-net: there is no rule"),
            ("[[signature]]\nkeys = []", "2: signature[0].keys: a key is wanted"),
            ("[[signature]]\nkeys = [\"cosign.pub\"]", "2: signature[0].keys[0]: there is no cosign.pub"),
            ("[[signature]]\nkeys = [\"../cosign.pub\"]", "2: signature[0].keys[0]: a key, or the name"),
            (
                "[[signature]]\nkeys = [\"-----BEGIN PUBLIC KEY-----\\nAAAA\\n-----END PUBLIC KEY-----\"]",
                "2: signature[0].keys[0]: ",
            ),
        ] {
            let problems = problems(text);
            assert!(problems[0].starts_with(want), "{text}: {problems:?}");
        }
    }

    #[test]
    fn all_problems_are_told_at_once() {
        let text = "deny = [\"a-b-c-d\"]\npublish-address = \"x\"\n[limits]\nmemory = \"x\"\n";
        assert_eq!(problems(text).len(), 3);
    }

    #[test]
    fn demands_are_for_whole_repositories() {
        for word in [
            "reg.lan/app:1".to_owned(),
            format!("reg.lan/app@sha256:{}", "a".repeat(64)),
            format!("sha256:{}", "a".repeat(64)),
        ] {
            let text = format!("[[signature]]\nimages = [{word:?}]\nkeys = []");
            let all = problems(&text);
            assert!(all.iter().any(|p| p.starts_with("2: signature[0].images[0]: a repository")), "{word}: {all:?}");
        }
    }

    #[test]
    fn words_become_values() {
        let text = "
            unlisted-overrides = \"deny\"
            preset = \"strict\"
            publish-address = \"192.0.2.1\"
            deny = [\"privileged\"]
            [[allow]]
            rule = \"host-network\"
            users = [\"ann\", 1000]
            groups = [\"ops\"]
            images = [\"reg.lan/mon/\"]
            reason = \"it watches the host\"
            expires = \"2027-01-31\"
            [images]
            registries = [\"reg.lan/\", \"docker.io/library/busybox\"]
            require-digest = true
            [limits]
            memory = \"2g\"
            pids = 100
            cpus = \"1.5\"
            [limits.ulimits]
            nofile = 4096
            [[path]]
            path = \"/srv//keys/\"
            mode = \"never\"
            reason = \"keys\"
            [messages]
            host-network = \"ask ops\"
        ";
        let law = parse(text, &|_| Err(String::new())).unwrap();
        assert_eq!(law.limits.memory, Some(2 << 30));
        assert_eq!(law.limits.memory_swap, Some(2 << 30), "swap counts as memory where nothing is said of it");
        assert_eq!((law.limits.nano_cpus, law.limits.ulimits["nofile"]), (Some(1_500_000_000), 4096));
        assert_eq!(law.paths[0].path, std::path::Path::new("/srv/keys"));
        assert_eq!(law.allow[0].users.len(), 2);
        assert_eq!(law.registries.as_ref().unwrap().len(), 2);
        assert!(!law.local_images && law.require_digest);
        let json = serde_json::to_string(&law).unwrap();
        assert_eq!(serde_json::from_str::<Law>(&json).unwrap(), law);
    }
}
