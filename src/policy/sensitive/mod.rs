//! Which host paths are not ordinary ones, and what follows for a bind of them.
//!
//! The decisions here, where Docker's command line leaves room:
//!
//! - A project folder is an ordinary path, also below `/root` and `/home`: `-v "$PWD":/src` runs as it always did.
//! - A home as a whole (`cd; hardrun run -v "$PWD":/src …`) runs too: keys and tokens inside it are covered, start-up
//!   files (`.bashrc`) are read-only, and one line says so. Root's own home as a whole is refused.
//! - A folder that holds secrets (`/etc`) is bound with these covered; one that holds an engine's socket or its data is
//!   refused, for what is in there comes and goes while the container runs.

pub mod pattern;
pub mod table;

use crate::facts::{BindSeen, Facts, Held, PathClass};
use crate::plan::{MountKind, MountPlan};
use crate::site::PathMode;
use pattern::{Relation, components, relate};
use std::path::{Path, PathBuf};

/// What a path is, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Match {
    pub class: PathClass,
    pub relation: Relation,
    /// The table's path (with its wildcards), or the host's.
    pub path: String,
    pub why: String,
}

/// All that a canonical path is or lies in, and the sockets that it would contain, the gravest first.
pub fn classify_all(path: &Path) -> Vec<Match> {
    let path = components(path);
    let mut found: Vec<Match> = table::TABLE
        .iter()
        .filter_map(|entry| {
            let relation = relate(&path, entry.path)?;
            let counts = match relation {
                Relation::Is => true,
                Relation::Inside => entry.tree && !exempt(&path, entry.class),
                Relation::Contains => entry.early && !path.is_empty(),
            };
            counts.then(|| Match { class: entry.class, relation, path: entry.path.into(), why: entry.why.into() })
        })
        .collect();
    found.sort_by_key(|m| std::cmp::Reverse(m.class));
    found
}

/// Harmless device nodes, and shared memory files, are ordinary although they lie below /dev.
fn exempt(path: &[String], class: PathClass) -> bool {
    const NODES: &[&str] = &["null", "zero", "full", "random", "urandom", "tty"];
    class == PathClass::Devices
        && match path {
            [_, name] => NODES.contains(&name.as_str()),
            [_, folder, _, ..] => folder == "shm",
            _ => false,
        }
}

/// The gravest class of a canonical path by its name alone; `None` for an ordinary path.
pub fn classify(path: &Path) -> Option<Match> {
    classify_all(path).into_iter().next()
}

/// All that the source of a bind is: by its names, by what the disk showed, and by the facts. The gravest first.
pub fn classify_bind(source: &Path, typed: &Path, seen: &BindSeen, facts: &Facts) -> Vec<Match> {
    let mut found = classify_all(source);
    // The typed name counts as well: what it leads to may change between now and the launch.
    found.extend(classify_all(typed));
    let held = |held: &Held, relation| Match {
        class: held.class,
        relation,
        path: held.path.display().to_string(),
        why: held.why.clone(),
    };
    found.extend(seen.is.iter().map(|h| {
        let known = held(h, Relation::Is);
        let why = match h.path == source {
            true => known.why,
            false => format!("{} under another name: {}", known.path, known.why),
        };
        Match { why, ..known }
    }));
    if let Some(engine) = &seen.engine {
        found.push(Match {
            class: PathClass::EngineSocket,
            relation: Relation::Is,
            path: source.display().to_string(),
            why: format!("a socket that {engine} listens on"),
        });
    }
    for socket in &facts.engine_sockets {
        if let Some(relation) = relate_paths(source, socket) {
            found.push(Match {
                class: PathClass::EngineSocket,
                relation,
                path: socket.display().to_string(),
                why: "an engine's control socket".into(),
            });
        }
    }
    for own in &facts.own_paths {
        if let Some(relation @ (Relation::Is | Relation::Inside)) = relate_paths(source, own) {
            found.push(Match {
                class: PathClass::Own,
                relation,
                path: own.display().to_string(),
                why: "hardrun's own state".into(),
            });
        }
    }
    for site in &facts.site.law.paths {
        for source in [source, typed] {
            if let Some(relation @ (Relation::Is | Relation::Inside)) = relate_paths(source, &site.path) {
                found.push(Match {
                    class: site_class(site.mode),
                    relation,
                    path: site.path.display().to_string(),
                    why: format!("{}, by the site's policy", site.reason),
                });
            }
        }
    }
    found.extend(seen.holds.iter().map(|h| held(h, Relation::Contains)));
    found.sort_by_key(|m| std::cmp::Reverse(m.class));
    found
}

/// What a path is that the site's policy names.
pub fn site_class(mode: PathMode) -> PathClass {
    match mode {
        PathMode::ReadOnly => PathClass::Sensitive,
        PathMode::Never => PathClass::Barred,
    }
}

/// Whether a bind of this source is read-only when no mode was asked, and hides the host's root ids.
pub fn is_sensitive(source: &Path, typed: &Path, seen: &BindSeen, facts: &Facts) -> bool {
    classify_bind(source, typed, seen, facts)
        .iter()
        .any(|m| m.relation != Relation::Contains || m.class == PathClass::EngineSocket)
}

fn relate_paths(path: &Path, thing: &Path) -> Option<Relation> {
    if path == thing {
        Some(Relation::Is)
    } else if path.starts_with(thing) {
        Some(Relation::Inside)
    } else if thing.starts_with(path) {
        Some(Relation::Contains)
    } else {
        None
    }
}

/// What is done inside binds whose folder holds something that is not for the container.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Covers {
    /// Container paths for [`Draft::masked_paths`](crate::plan::Draft::masked_paths).
    pub masked: Vec<String>,
    /// Container paths for [`Draft::readonly_paths`](crate::plan::Draft::readonly_paths).
    pub readonly: Vec<String>,
    /// One line a bind, for stderr.
    pub notices: Vec<String>,
}

/// Cover secrets and hardrun's own folders inside bound folders. A covered path that is itself the destination of a
/// mount, or has one below it, was asked for by name: it stays, and a rule judges that mount.
pub fn covers(mounts: &[MountPlan]) -> Covers {
    let mut out = Covers::default();
    for mount in mounts {
        let MountKind::Bind { source, seen, .. } = &mount.kind else { continue };
        let mut names = Vec::new();
        for held in &seen.holds {
            let Some(inside) = inside(mount, source, &held.path) else { continue };
            if mounts
                .iter()
                .any(|m| Path::new(&m.destination).starts_with(&inside) && m.destination != mount.destination)
            {
                continue;
            }
            let inside = inside.display().to_string();
            match held.class {
                PathClass::Secret | PathClass::Own | PathClass::Barred => {
                    names.push(format!("{inside} (hidden)"));
                    out.masked.push(inside);
                }
                PathClass::Startup if !mount.readonly.value => {
                    names.push(format!("{inside} (read-only)"));
                    out.readonly.push(inside);
                }
                _ => {}
            }
        }
        if !names.is_empty() {
            const SHOWN: usize = 4;
            let more = names.len().saturating_sub(SHOWN);
            names.truncate(SHOWN);
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            out.notices.push(format!(
                "{}: keys and start-up files of the host are not for the container: {}{more}",
                mount.asked,
                names.join(", ")
            ));
        }
    }
    out.masked.dedup();
    out.readonly.dedup();
    out
}

/// Where a host path below the source of a mount appears in the container.
pub fn inside(mount: &MountPlan, source: &Path, path: &Path) -> Option<PathBuf> {
    let rest = path.strip_prefix(source).ok()?;
    Some(Path::new(&mount.destination).join(rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::testkit::{bind, facts, seen};

    fn class(path: &str) -> Option<PathClass> {
        classify(Path::new(path)).map(|m| m.class)
    }

    #[test]
    fn what_a_path_is() {
        use PathClass::*;
        for (path, want) in [
            ("/home/ann/project", None),
            ("/root/project", None),
            ("/srv/data", None),
            ("/tmp", None),
            ("/opt", None),
            ("/var/www", None),
            ("/home/ann", None),
            ("/run/mysqld/mysqld.sock", None),
            ("/dev/null", None),
            ("/", Some(Root)),
            ("/etc", Some(Sensitive)),
            ("/etc/nginx/nginx.conf", Some(Sensitive)),
            ("/home", Some(Sensitive)),
            ("/home/ann/.bashrc", Some(Startup)),
            ("/etc/shadow", Some(Secret)),
            ("/root", Some(Secret)),
            ("/var/lib/docker", Some(EngineData)),
            ("/dev", Some(Devices)),
            ("/proc/self", Some(Kernel)),
            ("/run", Some(EngineSocket)),
            ("/var/lib/hardrun/images", Some(Own)),
        ] {
            assert_eq!(class(path), want, "{path}");
        }
    }

    #[test]
    fn facts_and_disk_add_to_the_name() {
        let sensitive =
            |source: &str, seen: &BindSeen| is_sensitive(Path::new(source), Path::new(source), seen, &facts());
        assert!(!sensitive("/srv/app", &BindSeen::default()));
        assert!(sensitive("/srv/store/images", &BindSeen::default()), "hardrun's own folder of this host");
        let engine = BindSeen { engine: Some("docker".into()), ..BindSeen::default() };
        assert!(sensitive("/srv/x.sock", &engine));
        let held = |path: &str, class| Held { path: path.into(), class, why: "a test".into() };
        let keys = BindSeen { holds: vec![held("/srv/app/.ssh", PathClass::Secret)], ..BindSeen::default() };
        assert!(!sensitive("/srv/app", &keys), "a project that holds keys stays writable: they are covered");
    }

    #[test]
    fn a_bound_home_hides_keys_and_protects_start_up_files() {
        let held = |path: &str, class| Held { path: path.into(), class, why: "a test".into() };
        let home = |spec: &str| {
            seen(bind(spec), |s| {
                s.holds = vec![
                    held("/home/ann/.bashrc", PathClass::Startup),
                    held("/home/ann/.ssh", PathClass::Secret),
                    held("/home/ann/.local/share/containers", PathClass::EngineData),
                ];
            })
        };
        let writable = covers(&[home("/home/ann:/src:rw")]);
        assert_eq!(writable.masked, ["/src/.ssh"]);
        assert_eq!(writable.readonly, ["/src/.bashrc"]);
        assert_eq!(writable.notices.len(), 1);
        let readonly = covers(&[home("/home/ann:/src:ro")]);
        assert_eq!((readonly.masked.len(), readonly.readonly.len()), (1, 0));
        // What was asked for by name is not covered; a rule judges that mount.
        let asked = covers(&[home("/home/ann:/src:ro"), bind("/home/ann/.ssh:/src/.ssh:ro")]);
        assert_eq!(asked, Covers::default());
        let below = covers(&[home("/home/ann:/src:ro"), bind("/home/ann/.ssh/config:/src/.ssh/config:ro")]);
        assert_eq!(below, Covers::default());
    }

    #[test]
    fn a_long_list_is_cut() {
        let mount = seen(bind("/home:/h:ro"), |s| {
            s.holds = (0..9)
                .map(|n| Held { path: format!("/home/u{n}/.ssh").into(), class: PathClass::Secret, why: "keys".into() })
                .collect();
        });
        let covers = covers(&[mount]);
        assert_eq!(covers.masked.len(), 9);
        assert!(covers.notices[0].ends_with("and 5 more"), "{}", covers.notices[0]);
    }
}
