//! Which stores may be used. A store is believed: its index says which registry gave an image, its folders are what runs. One that
//! somebody has put together himself, in a volume of a container for example, which is root's on the host, would say whatever
//! the policy asks for.

use super::Site;
use crate::error::{Error, Result};
use crate::state::Paths;
use std::path::{Path, PathBuf};

impl Site {
    /// The store that `--root` names, with links followed: what is checked is what is used. Without a policy every one will do.
    ///
    /// # Errors
    /// The policy does not list it.
    pub fn root(&self, given: &Paths) -> Result<Paths> {
        if self.digest.is_none() || given.is_usual() {
            return Ok(given.clone());
        }
        let real = real(&given.root);
        if self.law.roots.iter().any(|listed| self::real(listed) == real) {
            return Ok(Paths::new(Some(&real)));
        }
        Err(Error::runner(format!("--root {}: the site's policy does not list this folder", given.root.display()))
            .hint(format!("leave --root out for {}, or let {} say: roots = [{real:?}]", Paths::ROOT, super::PATH)))
    }
}

/// Links followed as far as the path exists.
fn real(path: &Path) -> PathBuf {
    for there in path.ancestors() {
        if let Ok(real) = there.canonicalize() {
            let rest = path.strip_prefix(there).unwrap_or(Path::new(""));
            return if rest.as_os_str().is_empty() { real } else { real.join(rest) };
        }
    }
    path.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn under_a_policy_only_listed_roots_are_used() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().canonicalize().unwrap().join(name);
        std::fs::create_dir_all(at("store/volumes/data")).unwrap();
        std::os::unix::fs::symlink(at("store"), at("link")).unwrap();
        std::os::unix::fs::symlink(at("store/volumes/data"), at("store2")).unwrap();
        let mut site = Site::default();
        let root = |site: &Site, path: &Path| site.root(&Paths::new(Some(path))).map(|paths| paths.root);
        assert_eq!(root(&site, &at("link")).unwrap(), at("link"), "no policy, no list");
        site.digest = Some("sha256:0".into());
        assert_eq!(site.root(&Paths::new(None)).unwrap(), Paths::new(None));
        assert!(root(&site, &at("store")).unwrap_err().message.contains("does not list"));
        site.law.roots = vec![at("store"), at("later")];
        assert_eq!(root(&site, &at("store")).unwrap(), at("store"));
        assert_eq!(root(&site, &at("link")).unwrap(), at("store"), "the folder itself is used, not the link");
        assert_eq!(root(&site, &at("later")).unwrap(), at("later"));
        for other in ["store/volumes/data", "store2", "store/later", "later/x"] {
            assert!(root(&site, &at(other)).is_err(), "{other}");
        }
    }
}
