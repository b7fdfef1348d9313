//! The table's patterns against what exists.

use crate::facts::{Held, PathClass};
use crate::policy::sensitive::pattern::{Relation, components, glob, relate};
use crate::policy::sensitive::table::TABLE;
use std::path::{Path, PathBuf};

/// Homes of accounts that someone can log in to, from /etc/passwd, with /root and what is below /home.
pub fn homes() -> Vec<PathBuf> {
    let mut homes = vec![PathBuf::from("/root")];
    homes.extend(children(Path::new("/home")).map(|name| Path::new("/home").join(name)));
    let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    homes.extend(passwd_homes(&passwd));
    homes.sort();
    homes.dedup();
    homes
}

fn passwd_homes(passwd: &str) -> Vec<PathBuf> {
    const CLOSED: &[&str] = &["nologin", "false", "sync", "true"];
    passwd
        .lines()
        .filter_map(|line| {
            let mut fields = line.split(':').skip(5);
            let (home, shell) = (fields.next()?, fields.next()?);
            let open = shell.rsplit('/').next().is_some_and(|name| !name.is_empty() && !CLOSED.contains(&name));
            // A home of `/` or `/var` would make every file of the host a user's.
            let deep = home.starts_with('/') && home.split('/').filter(|p| !p.is_empty()).count() >= 1 && home != "/";
            (open && deep).then(|| PathBuf::from(home))
        })
        .collect()
}

fn children(dir: &Path) -> impl Iterator<Item = String> {
    let entries = std::fs::read_dir(dir).into_iter().flatten();
    entries.flatten().filter_map(|e| e.file_name().into_string().ok())
}

/// What a path in a home outside /root and /home is: `/srv/ci/.aws/credentials`.
pub fn in_home(path: &Path, homes: &[PathBuf]) -> Vec<Held> {
    let mut out = Vec::new();
    for home in homes {
        if home.starts_with("/home") || home == Path::new("/root") {
            continue;
        }
        let Ok(rest) = path.strip_prefix(home) else { continue };
        let rest = components(rest);
        if rest.is_empty() {
            continue;
        }
        for entry in TABLE {
            let Some(pattern) = entry.path.strip_prefix("~/") else { continue };
            if matches!(relate(&rest, pattern), Some(Relation::Is | Relation::Inside)) {
                out.push(Held { path: path.to_owned(), class: entry.class, why: entry.why.into() });
            }
        }
    }
    out
}

/// Everything of the table that exists strictly below a folder and is hidden, made read-only or refused with it.
pub fn below(source: &Path, homes: &[PathBuf]) -> Vec<Held> {
    use PathClass::*;
    let mut out: Vec<Held> = Vec::new();
    for entry in TABLE.iter().filter(|e| matches!(e.class, Startup | Secret | EngineData | EngineSocket | Own)) {
        let roots: Vec<(PathBuf, &str)> = if let Some(rest) = entry.path.strip_prefix("~/") {
            homes.iter().map(|home| (home.clone(), rest)).collect()
        } else if let Some(rest) = entry.path.strip_prefix("**/") {
            let near = homes.iter().filter(|home| home.starts_with(source) && *home != source);
            std::iter::once(source.to_owned()).chain(near.cloned()).map(|root| (root, rest)).collect()
        } else {
            vec![("/".into(), entry.path.trim_start_matches('/'))]
        };
        for (root, pattern) in roots {
            // Only roots that lead to something below the source are worth a look at the disk.
            if root.starts_with(source) || source.starts_with(&root) {
                expand(root, pattern, source, &mut |path| {
                    if path != source && path.starts_with(source) {
                        out.push(Held { path, class: entry.class, why: entry.why.into() });
                    }
                });
            }
        }
    }
    out.sort_by(|a, b| a.path.cmp(&b.path).then(b.class.cmp(&a.class)));
    out.dedup_by(|b, a| a.path == b.path);
    // What lies in a covered folder is covered with it.
    let covered: Vec<PathBuf> =
        out.iter().filter(|h| matches!(h.class, Secret | Own)).map(|h| h.path.clone()).collect();
    out.retain(|h| !covered.iter().any(|c| h.path != *c && h.path.starts_with(c)));
    out
}

/// Call `found` for every path that exists and matches `pattern` below `at`, without leaving the line to `source`.
fn expand(at: PathBuf, pattern: &str, source: &Path, found: &mut dyn FnMut(PathBuf)) {
    let (part, rest) = pattern.split_once('/').map_or((pattern, None), |(part, rest)| (part, Some(rest)));
    let mut step = |name: &str| {
        let next = at.join(name);
        if !next.starts_with(source) && !source.starts_with(&next) {
            return;
        }
        match rest {
            Some(rest) => expand(next, rest, source, found),
            // The container sees a link, which leads into its own root: away from what is bound, unless the target is bound
            // as well (~/.ssh -> dotfiles/ssh). Then that is the secret; `found` takes what lies below the source only.
            None if std::fs::symlink_metadata(&next).is_ok() => {
                if let Ok(real) = next.canonicalize() {
                    found(real);
                }
            }
            None => {}
        }
    };
    if part.contains('*') {
        for name in children(&at).filter(|name| glob(name, part)) {
            step(&name);
        }
    } else {
        step(part);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn homes_come_from_accounts_with_a_shell() {
        let text = "root:x:0:0:root:/root:/bin/bash\nwww:x:33:33::/var/www:/usr/sbin/nologin\nci:x:990:990::/srv/ci:/bin/sh\n\
                    odd:x:5:5::/:/bin/sh\nshort:x\nsync:x:4:65534:sync:/bin:/bin/sync\n";
        assert_eq!(passwd_homes(text), [PathBuf::from("/root"), PathBuf::from("/srv/ci")]);
    }

    #[test]
    fn a_home_elsewhere_has_secrets_too() {
        let homes = [PathBuf::from("/srv/ci")];
        let class = |path: &str| in_home(Path::new(path), &homes).first().map(|h| h.class);
        assert_eq!(class("/srv/ci/.aws/credentials"), Some(PathClass::Secret));
        assert_eq!(class("/srv/ci/.bashrc"), Some(PathClass::Startup));
        assert_eq!(class("/srv/ci/project/.aws"), None);
        assert_eq!(class("/srv/ci"), None);
    }

    #[test]
    fn what_a_folder_holds() {
        let dir = tempfile::tempdir().unwrap();
        let home = dir.path().join("ann");
        for sub in [".ssh", ".docker/run", "project/.docker", ".config/gh"] {
            std::fs::create_dir_all(home.join(sub)).unwrap();
        }
        for file in [".bashrc", ".netrc", "project/.npmrc"] {
            std::fs::write(home.join(file), "").unwrap();
        }
        std::os::unix::fs::symlink("/etc", home.join(".aws")).unwrap();
        // As `stow` leaves them.
        std::fs::create_dir_all(home.join("dotfiles/kube")).unwrap();
        std::os::unix::fs::symlink("dotfiles/kube", home.join(".kube")).unwrap();
        let names = |source: &Path| -> Vec<String> {
            let held = below(source, std::slice::from_ref(&home));
            held.iter().map(|h| h.path.strip_prefix(&home).unwrap().display().to_string()).collect()
        };
        let all = [".bashrc", ".config/gh", ".docker", ".netrc", ".ssh", "dotfiles/kube"];
        assert_eq!(
            names(&home),
            all,
            "what lies in a covered folder is covered with it, and links lead out or are followed"
        );
        assert_eq!(names(dir.path()), all, "from above as well");
        assert_eq!(names(&home.join("project")), [] as [&str; 0], "a project's files are the project's");
        assert_eq!(names(&home.join(".config")), [".config/gh"]);
    }
}
