//! From rules to the kernel.

use super::{Files, Right, Rules};
use crate::error::{Context, Error, Result};
use landlock::{
    AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, NetPort, PathBeneath, PathFd, PathFdError, Ruleset,
    RulesetAttr, RulesetCreatedAttr, RulesetStatus, Scope, make_bitflags,
};
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat2};
use rustix::io::Errno;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

impl Rules {
    /// Restrict the calling thread and everything that it starts, for good.
    ///
    /// Called inside the container's root with no_new_privs set. The paths are opened by the container's own user: one
    /// that it cannot reach is left out, for it could not write there either.
    pub fn apply(&self) -> Result<()> {
        let attempt = || "restrict the container with Landlock".to_owned();
        let handled = self.handled();
        let mut ruleset = Ruleset::default()
            .set_compatibility(CompatLevel::HardRequirement)
            .handle_access(handled)
            .context(attempt)?;
        if self.own_abstract_sockets {
            ruleset = ruleset.scope(Scope::AbstractUnixSocket).context(attempt)?;
        }
        for (listed, access) in [(&self.listen, AccessNet::BindTcp), (&self.connect, AccessNet::ConnectTcp)] {
            if listed.is_some() {
                ruleset = ruleset.handle_access(access).context(attempt)?;
            }
        }
        let looked = self.files.as_ref().map(Files::look).transpose()?;
        let trial = super::verify::Trial::prepare(self, looked.as_ref());
        let mut created = ruleset.create().context(attempt)?;
        for (listed, access) in [(&self.listen, AccessNet::BindTcp), (&self.connect, AccessNet::ConnectTcp)] {
            for port in listed.iter().flatten() {
                created = created.add_rule(NetPort::new(*port, access)).context(attempt)?;
            }
        }
        for granted in looked.iter().flat_map(|l| &l.grants) {
            let attempt = || format!("allow {} with Landlock", granted.path.display());
            // Looked at without following links, and opened so: what `exec` finds may have been changed meanwhile.
            let Some((path, folder)) = open_plain(&granted.path).context(attempt)? else { continue };
            let rights = granted.rights & handled;
            let rights = if folder { rights } else { rights & FILE_RIGHTS };
            if folder == granted.folder && !rights.is_empty() {
                created = created.add_rule(PathBeneath::new(path, rights)).context(attempt)?;
            }
        }
        for grant in &self.grants {
            let attempt = || format!("allow {} with Landlock", grant.path);
            let Some((path, folder)) = open(&grant.path).context(attempt)? else { continue };
            let mut rights = grant.right.rights() & handled;
            if !folder {
                rights &= FILE_RIGHTS;
            }
            if !rights.is_empty() {
                created = created.add_rule(PathBeneath::new(path, rights)).context(attempt)?;
            }
        }
        if self.abi >= 7 {
            created = created.log_new_exec(true).context(attempt)?;
        }
        let status = created.no_new_privs(false).restrict_self().context(attempt)?;
        if status.ruleset != RulesetStatus::FullyEnforced {
            return Err(Error::runner(attempt()).because(format!("the kernel enforces it {:?}", status.ruleset)));
        }
        trial.hold()
    }

    /// The accesses that are refused where no grant allows them. What would be granted everywhere is not handled, and
    /// so costs nothing.
    fn handled(&self) -> BitFlags<AccessFs> {
        // Renaming is refused by every ruleset that does not handle it.
        let mut handled: BitFlags<AccessFs> = AccessFs::Refer.into();
        if !self.device_nodes {
            handled |= make_bitflags!(AccessFs::{MakeChar | MakeBlock});
        }
        if self.writes_by_list {
            handled |= WRITE;
        }
        if self.writes_by_list && self.abi >= 3 {
            handled |= AccessFs::Truncate;
        }
        if self.files.is_some() {
            handled |= Files::handled();
            if self.abi < 3 {
                handled.remove(AccessFs::Truncate);
            }
        }
        if self.abi >= 5 {
            handled |= AccessFs::IoctlDev;
        }
        handled
    }
}

const WRITE: BitFlags<AccessFs> = make_bitflags!(AccessFs::{
    WriteFile | RemoveDir | RemoveFile | MakeDir | MakeReg | MakeSock | MakeFifo | MakeSym
});

/// What the kernel takes on a file that is not a folder.
const FILE_RIGHTS: BitFlags<AccessFs> =
    make_bitflags!(AccessFs::{ReadFile | Execute | WriteFile | Truncate | IoctlDev});

impl Right {
    fn rights(self) -> BitFlags<AccessFs> {
        match self {
            Right::Rename => AccessFs::Refer.into(),
            Right::WriteFiles => make_bitflags!(AccessFs::{WriteFile | Truncate}),
            Right::Write => WRITE | make_bitflags!(AccessFs::{Truncate | Refer}),
            Right::Devices => AccessFs::IoctlDev.into(),
            Right::WriteDevices => WRITE | make_bitflags!(AccessFs::{Truncate | Refer | IoctlDev}),
        }
    }
}

/// The path as it is, and whether it is a folder. `None`: out of this user's reach.
fn open(path: &str) -> io::Result<Option<(PathFd, bool)>> {
    let fd = match PathFd::new(path) {
        Ok(fd) => fd,
        Err(PathFdError::OpenCall { source, .. }) if source.kind() == io::ErrorKind::PermissionDenied => {
            return Ok(None);
        }
        Err(PathFdError::OpenCall { source, .. }) => return Err(source),
        Err(e) => return Err(io::Error::other(e)),
    };
    let kind = rustix::fs::FileType::from_raw_mode(rustix::fs::fstat(fd.as_fd())?.st_mode);
    Ok(Some((fd, kind.is_dir())))
}

/// The same without following any link. `None` also where it is gone.
fn open_plain(path: &Path) -> io::Result<Option<(OwnedFd, bool)>> {
    let how = OFlags::PATH | OFlags::CLOEXEC;
    let fd = match openat2(CWD, path, how, Mode::empty(), ResolveFlags::NO_SYMLINKS) {
        Ok(fd) => fd,
        Err(Errno::ACCESS | Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(None),
        Err(e) => return Err(e.into()),
    };
    let kind = rustix::fs::FileType::from_raw_mode(rustix::fs::fstat(&fd)?.st_mode);
    Ok(Some((fd, kind.is_dir())))
}
