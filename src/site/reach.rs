//! Files of the host that a verb reads or writes for its caller, where no mount is judged: sources and destinations of `cp`, files
//! of variables and labels. Whoever may run hardrun as root, and no more, shall not get by these what a bind is refused.

use super::{Permission, Site};
use crate::error::{Error, Result};
use crate::facts::{Facts, PathClass};
use crate::policy::sensitive::pattern::Relation;
use crate::policy::sensitive::{Match, classify_bind};
use crate::policy::{Rule, rules};
use crate::state::Paths;
use std::fs::File;
use std::os::fd::AsRawFd;
use std::path::Path;

/// Whether the site's policy lets this file be read for the caller. What was opened is judged, not the name that was typed.
///
/// # Errors
/// `site-path`, `own-state` or `host-secrets` refuse it; the policy cannot be used.
pub fn may_read_file(what: &str, file: &File) -> Result<()> {
    let site = super::load()?;
    if site.digest.is_none() {
        return Ok(());
    }
    // A pipe has no path that could be judged, and nothing behind it that its writer could not read.
    match Path::new(&format!("/proc/self/fd/{}", file.as_raw_fd())).canonicalize() {
        Ok(path) => judge_read(what, &path, &Facts::gather(&Paths::new(None))?),
        Err(_) => Ok(()),
    }
}

/// The same for what `cp` packs: a folder holds what lies below it.
pub fn may_read(what: &str, path: &Path, facts: &Facts) -> Result<()> {
    if facts.site.digest.is_none() {
        return Ok(());
    }
    match path.canonicalize() {
        Ok(path) => judge_read(what, &path, facts),
        Err(_) => Ok(()),
    }
}

fn judge_read(what: &str, path: &Path, facts: &Facts) -> Result<()> {
    for found in matches(path, facts) {
        let rule = match found.class {
            PathClass::Barred => &super::rules::PATH,
            PathClass::Own => &rules::own_state::RULE,
            PathClass::Secret if !may_have_secrets(&facts.site) => &rules::host_secrets::RULE,
            _ => continue,
        };
        return Err(refused(rule, what, path, &found));
    }
    Ok(())
}

/// No image is asked: what is permitted for some images is permitted for binds of theirs.
fn may_have_secrets(site: &Site) -> bool {
    matches!(site.permits_anywhere(rules::host_secrets::RULE.id), Permission::Given(_))
}

/// Whether something may be written to `path`; `tree`: a folder with whatever is in it, which may hold what lies below.
///
/// # Errors
/// It is hardrun's own: images, state, policy or audit log.
pub fn may_write(what: &str, path: &Path, tree: bool, facts: &Facts) -> Result<()> {
    let own = |found: &Match| found.class == PathClass::Own && (tree || found.relation != Relation::Contains);
    let all = matches(path, facts);
    let below = || {
        let held = [Path::new(Paths::ROOT), Path::new(Paths::RUN), Path::new("/etc/hardrun")];
        let mut held = held.into_iter().chain(facts.own_paths.iter().map(|p| p.as_path()));
        let held = held.find(|own| tree && own.starts_with(path))?;
        let (class, relation, why) = (PathClass::Own, Relation::Contains, "hardrun's own".to_owned());
        Some(Match { class, relation, path: held.display().to_string(), why })
    };
    match all.into_iter().find(own).or_else(below) {
        Some(found) => Err(refused(&rules::own_state::RULE, what, path, &found)),
        None => Ok(()),
    }
}

fn matches(path: &Path, facts: &Facts) -> Vec<Match> {
    classify_bind(path, path, &crate::facts::bind::look(path, facts), facts)
}

fn refused(rule: &Rule, what: &str, path: &Path, found: &Match) -> Error {
    let of = if Path::new(&found.path) == path { String::new() } else { format!(" ({})", found.path) };
    Error::runner(format!("refused by rule {}: {what} {}{of}: {}", rule.id, path.display(), found.why))
        .hint(format!("risk: {}", rule.risk))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::testkit;
    use crate::site::{PathMode, SitePath, Unlisted};

    fn facts(barred: &Path) -> Facts {
        let mut facts = testkit::facts();
        facts.site.digest = Some("sha256:0".into());
        let path = SitePath { path: barred.into(), mode: PathMode::Never, reason: "a test".into() };
        facts.site.law.paths = vec![path];
        facts
    }

    #[test]
    fn what_the_site_keeps_is_not_read_by_another_way() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().canonicalize().unwrap().join(name);
        std::fs::create_dir(at("keys")).unwrap();
        for name in ["keys/one", "plain"] {
            std::fs::write(at(name), "x").unwrap();
        }
        std::os::unix::fs::symlink(at("keys/one"), at("link")).unwrap();
        let facts = facts(&at("keys"));
        for barred in ["keys", "keys/one", "link", ""] {
            let e = may_read("cp", &at(barred), &facts).expect_err(barred);
            assert!(e.message.contains("rule site-path"), "{}", e.message);
        }
        may_read("cp", &at("plain"), &facts).unwrap();
        may_read("cp", &at("keys/one"), &testkit::facts()).unwrap();
    }

    #[test]
    fn secrets_are_read_where_their_override_is_given_to_everybody() {
        let mut facts = facts(Path::new("/nonexistent"));
        let shadow = Path::new("/etc/shadow");
        may_read("cp", shadow, &facts).unwrap();
        facts.site.law.unlisted_overrides = Unlisted::Deny;
        assert!(may_read("cp", shadow, &facts).unwrap_err().message.contains("rule host-secrets"));
    }

    #[test]
    fn nothing_is_written_over_hardruns_own() {
        let facts = testkit::facts();
        for (path, tree) in [
            ("/etc/hardrun/policy.toml", false),
            ("/etc/hardrun", true),
            ("/etc", true),
            ("/", true),
            ("/var/lib/hardrun/images/index.json", false),
        ] {
            let e = may_write("cp", Path::new(path), tree, &facts).expect_err(path);
            assert!(e.message.contains("rule own-state"), "{}", e.message);
        }
        for (path, tree) in [("/etc/motd", false), ("/srv/here", true), ("/etc/nginx", true)] {
            may_write("cp", Path::new(path), tree, &facts).expect(path);
        }
    }
}
