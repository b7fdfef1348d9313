//! Host paths with wildcards, compared component by component, on normalised text.

use std::path::{Component, Path};

/// How a path stands to a pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Relation {
    /// It is the thing.
    Is,
    /// It lies below the thing.
    Inside,
    /// The thing would lie below it.
    Contains,
}

/// Take `.`, `..`, `//` and a trailing slash out. Symlinks are the caller's.
pub fn components(path: &Path) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    for component in path.components() {
        match component {
            Component::Normal(name) => out.push(name.to_string_lossy().into_owned()),
            Component::ParentDir => {
                out.pop();
            }
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    out
}

/// Compare with a pattern. `~` stands for `/root` and `/home/*`; a leading `**/` for any folder; `*` within a
/// component for any run of characters. A `**/` pattern is never `Contains`: only the disk can tell.
pub fn relate(path: &[String], pattern: &str) -> Option<Relation> {
    if let Some(rest) = pattern.strip_prefix("~/") {
        return ["/root/", "/home/*/"].iter().find_map(|home| relate(path, &format!("{home}{rest}")));
    }
    if let Some(rest) = pattern.strip_prefix("**/") {
        let depth = rest.split('/').count();
        return (0..path.len()).find_map(|start| match relate_fixed(&path[start..], rest) {
            Some(Relation::Contains) | None => None,
            Some(_) if path.len() - start == depth => Some(Relation::Is),
            Some(_) => Some(Relation::Inside),
        });
    }
    relate_fixed(path, pattern.trim_start_matches('/'))
}

fn relate_fixed(path: &[String], pattern: &str) -> Option<Relation> {
    let mut parts = pattern.split('/').filter(|p| !p.is_empty());
    for name in path {
        match parts.next() {
            Some(part) if glob(name, part) => {}
            Some(_) => return None,
            None => return Some(Relation::Inside),
        }
    }
    Some(if parts.next().is_none() { Relation::Is } else { Relation::Contains })
}

/// One component against one pattern component with any number of `*`.
pub fn glob(name: &str, pattern: &str) -> bool {
    let Some((head, tail)) = pattern.split_once('*') else { return name == pattern };
    let Some(mut rest) = name.strip_prefix(head) else { return false };
    let mut pieces: Vec<&str> = tail.split('*').collect();
    let last = pieces.pop().unwrap_or("");
    for piece in pieces {
        match rest.find(piece) {
            Some(at) => rest = &rest[at + piece.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn relate_text(path: &str, pattern: &str) -> Option<Relation> {
        relate(&components(Path::new(path)), pattern)
    }

    #[test]
    fn spellings_of_one_path_are_one_path() {
        for text in ["/etc", "/etc/", "//etc", "/./etc", "/etc/../etc", "/usr/../etc/.", "/../etc"] {
            assert_eq!(relate_text(text, "/etc"), Some(Relation::Is), "{text}");
        }
    }

    #[test]
    fn relations() {
        use Relation::*;
        for (path, pattern, want) in [
            ("/etc/ssh", "/etc", Some(Inside)),
            ("/etcetera", "/etc", None),
            ("/run", "/run/docker.sock", Some(Contains)),
            ("/", "/run/docker.sock", Some(Contains)),
            ("/run/user/1000", "/run/user/*/bus", Some(Contains)),
            ("/run/user/1000/bus", "/run/user/*/bus", Some(Is)),
            ("/home/a/.ssh/id", "~/.ssh", Some(Inside)),
            ("/root/.ssh", "~/.ssh", Some(Is)),
            ("/srv/a/.ssh", "~/.ssh", None),
            ("/srv/a/.ssh/id", "**/.ssh", Some(Inside)),
            ("/srv/a/.ssh", "**/.ssh", Some(Is)),
            ("/srv/a", "**/.ssh", None),
            ("/etc/ssh/ssh_host_rsa_key", "/etc/ssh/ssh_host_*_key", Some(Is)),
            ("/etc/ssh/ssh_host_rsa_key.pub", "/etc/ssh/ssh_host_*_key", None),
        ] {
            assert_eq!(relate_text(path, pattern), want, "{path} against {pattern}");
        }
    }

    #[test]
    fn globs() {
        assert!(glob("agent.123", "agent.*") && glob("ssh-XXabc", "ssh-*") && glob("anything", "*"));
        assert!(glob("ab", "a*b") && !glob("a", "a*a"));
    }
}
