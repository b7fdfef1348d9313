//! Names: a link `names/NAME` to the id, made in one step, so that of two containers only one gets it.

use super::Paths;
use super::folder::make_private;
use crate::error::{Context, Error, Result};
use std::io::ErrorKind;

/// Take `name` for `id`.
///
/// # Errors
/// Docker's conflict where a container that is there has it.
pub fn take(paths: &Paths, name: &str, id: &str) -> Result<()> {
    let names = paths.names();
    let attempt = || format!("take the name {name}");
    make_private(&names).context(attempt)?;
    let link = names.join(name);
    let mut alone = None;
    loop {
        match std::os::unix::fs::symlink(id, &link) {
            Ok(()) => return Ok(()),
            Err(e) if e.kind() == ErrorKind::AlreadyExists => {}
            Err(e) => return Err(e).context(attempt),
        }
        let holder = match std::fs::read_link(&link) {
            Ok(holder) => holder,
            Err(e) if e.kind() == ErrorKind::NotFound => continue,
            Err(e) => return Err(e).context(attempt),
        };
        // The folder of one that is being made has a dot before its name.
        let hidden = format!(".{}", holder.display());
        if paths.containers().join(&holder).exists() || paths.containers().join(hidden).exists() {
            return Err(Error::runner(format!(
                "Conflict. The container name \"/{name}\" is already in use by container \"{}\". \
                 You have to remove (or rename) that container to be able to reuse that name.",
                holder.display()
            )));
        }
        // Its container is gone: whoever made it was killed. Looked at once more with nobody else about to take it away: theirs may
        // be the link of one who has the name by now.
        if alone.is_none() {
            alone = Some(lock(&names).context(attempt)?);
            continue;
        }
        match std::fs::remove_file(&link) {
            Err(e) if e.kind() != ErrorKind::NotFound => return Err(e).context(attempt),
            _ => {}
        }
    }
}

/// One at a time takes away names that were left behind. The lock ends with the descriptor.
fn lock(names: &std::path::Path) -> std::io::Result<std::fs::File> {
    let folder = std::fs::File::open(names)?;
    rustix::fs::flock(&folder, rustix::fs::FlockOperation::LockExclusive)?;
    Ok(folder)
}

/// Give `name` back, if `id` has it.
pub fn release(paths: &Paths, name: &str, id: &str) -> Result<()> {
    let link = paths.names().join(name);
    match std::fs::read_link(&link) {
        Ok(holder) if holder.as_os_str() == id => match std::fs::remove_file(&link) {
            Err(e) if e.kind() != ErrorKind::NotFound => Err(e).context(|| format!("free the name {name}")),
            _ => Ok(()),
        },
        _ => Ok(()),
    }
}

/// Which id has the name.
pub fn holder(paths: &Paths, name: &str) -> Option<String> {
    let id = std::fs::read_link(paths.names().join(name)).ok()?;
    id.to_str().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_many_who_find_a_name_left_behind_one_gets_it() {
        for _ in 0..20 {
            let dir = tempfile::tempdir().unwrap();
            let paths = Paths { root: dir.path().into(), run: dir.path().join("run") };
            std::fs::create_dir_all(paths.names()).unwrap();
            std::os::unix::fs::symlink("gone", paths.names().join("web")).unwrap();
            let takers: Vec<_> = (0..8)
                .map(|n| {
                    let (paths, id) = (paths.clone(), format!("id{n}"));
                    std::fs::create_dir_all(paths.containers().join(&id)).unwrap();
                    std::thread::spawn(move || take(&paths, "web", &id).is_ok())
                })
                .collect();
            let got = takers.into_iter().map(|t| t.join().unwrap()).filter(|ok| *ok).count();
            assert_eq!(got, 1);
        }
    }
}
