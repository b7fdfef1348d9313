//! What is mounted into the container besides its root.

use super::{Found, Inputs, Kind, lock, of_preset, resources};
use crate::error::{Error, Result};
use crate::plan::{BindIdmap, MountKind, MountPlan, ResourcesPlan, SeLinux, Source, Sourced, UserPlan};
use crate::policy::sensitive;
use crate::preset::{Key, PresetTmpfs};
use crate::request::clean_path;
use crate::request::{BindRequest, ImageVolume, MountRequest, TmpfsRequest, VolumeRequest};
use crate::storage::volumes::{self, Backing};
use std::path::{Path, PathBuf};

pub(super) fn resolve(
    inputs: &Inputs<'_>,
    limits: &ResourcesPlan,
    user: &Sourced<UserPlan>,
    notices: &mut Vec<String>,
) -> Result<Vec<MountPlan>> {
    let mut mounts: Vec<MountPlan> = Vec::new();
    let mut anonymous = 0;
    for asked in &inputs.request.mounts.mounts {
        let destination = destination(asked)?;
        let mount = match asked {
            MountRequest::Bind(bind) => self::bind(inputs, bind, destination, notices)?,
            MountRequest::Volume(volume) => self::volume(inputs, limits, volume, destination, &mut anonymous, notices)?,
            MountRequest::Tmpfs(tmpfs) => self::tmpfs(inputs, limits, tmpfs, destination, notices)?,
            MountRequest::Image(image) => {
                return Err(Error::runner(format!("{}: image mounts are not carried out", image.typed))
                    .hint(format!("hardrun run {} with -v, or build the files into the image", image.reference)));
            }
        };
        if mounts.iter().any(|m| m.destination == mount.destination) {
            return Err(Error::runner(format!("duplicate mount point: {}", mount.destination)));
        }
        mounts.push(mount);
    }
    for typed in &inputs.request.mounts.volumes_from {
        volumes_from(inputs, typed, &mut mounts)?;
    }
    let taken = |mounts: &[MountPlan], path: &str| mounts.iter().any(|m| m.destination == path);
    for entry in &inputs.preset.tmpfs {
        if !taken(&mounts, &entry.value.path) {
            mounts.push(preset_tmpfs(inputs, limits, entry, user));
        }
    }
    for entry in &inputs.preset.volumes {
        if !taken(&mounts, &entry.value) {
            mounts.push(preset_volume(inputs, entry, &mut anonymous));
        }
    }
    image_volumes(inputs, limits, &mut mounts, &mut anonymous, notices);
    Ok(mounts)
}

/// `--volumes-from CONTAINER[:ro|rw]`: its volumes and binds, where nothing else is asked for there. Rules judge them anew.
fn volumes_from(inputs: &Inputs<'_>, typed: &str, mounts: &mut Vec<MountPlan>) -> Result<()> {
    let (name, mode) = typed.split_once(':').unwrap_or((typed, ""));
    let flag = format!("--volumes-from {typed}");
    let readonly = match mode {
        "" | "rw" | "z" | "Z" => false,
        "ro" => true,
        _ => return Err(Error::runner(format!("{flag}: invalid mode: {mode}"))),
    };
    for mount in inputs.other(name)?.draft.mounts {
        let shared = matches!(mount.kind, MountKind::Volume { .. } | MountKind::Bind { .. });
        if !shared || mounts.iter().any(|m| m.destination == mount.destination) {
            continue;
        }
        let readonly = if readonly { Sourced::flag(true, "--volumes-from") } else { mount.readonly };
        let kind = looked_at(inputs, mount.kind);
        mounts.push(MountPlan { readonly, kind, asked: format!("{flag} ({})", mount.asked), ..mount });
    }
    Ok(())
}

/// What a bind holds as it is now: since the other container was created, a socket or a key may have come to lie in it.
fn looked_at(inputs: &Inputs<'_>, kind: MountKind) -> MountKind {
    match kind {
        MountKind::Bind { source, typed, uid, gid, directory, create, recursive, mode_asked, idmap, .. } => {
            let seen = inputs.host.seen(&source, inputs.facts);
            // The other container has labelled its files; labelled anew they would be lost to it.
            let relabel = None;
            MountKind::Bind { source, typed, uid, gid, directory, create, recursive, mode_asked, idmap, relabel, seen }
        }
        other => other,
    }
}

/// Parents before children; otherwise in the order asked for.
pub(super) fn sort(mounts: &mut [MountPlan]) {
    mounts.sort_by_key(|m| m.destination.matches('/').count());
}

/// What was typed for the first host folder that can be written to.
pub(super) fn writable_bind(mounts: &[MountPlan]) -> Option<String> {
    mounts.iter().find(|m| matches!(m.kind, MountKind::Bind { .. }) && !m.readonly.value).map(|m| m.asked.clone())
}

fn destination(asked: &MountRequest) -> Result<String> {
    let destination = clean_path(asked.destination());
    if !asked.destination().starts_with('/') {
        return Err(Error::runner(format!(
            "{}: invalid mount path: {:?} mount path must be absolute",
            asked.typed(),
            asked.destination()
        )));
    }
    if destination == "/" {
        return Err(Error::runner(format!("{}: invalid specification: destination can't be '/'", asked.typed())));
    }
    Ok(destination)
}

fn propagation(asked: Option<&String>, typed: &str) -> Sourced<String> {
    match asked {
        Some(mode) => Sourced::flag(mode.clone(), typed),
        None => Sourced::default("private".into()),
    }
}

fn flag_of(typed: &str) -> &str {
    match typed.split([' ', '=']).next() {
        Some("-v") | None => "--volume",
        Some(flag) => flag,
    }
}

/// A missing folder as it will be made: below its nearest parent that exists, symlinks followed, and owned by whoever
/// owns that one, so that the folder of a user does not get a part that is root's.
fn missing(inputs: &Inputs<'_>, path: &Path) -> Result<Found> {
    for parent in path.ancestors().skip(1) {
        if let Some(found) = inputs.host.look(parent)? {
            if found.kind != Kind::Directory {
                return Err(Error::runner(format!("{} is not a folder", found.path.display())));
            }
            let rest = path.strip_prefix(parent).unwrap_or(path);
            if rest.components().any(|c| !matches!(c, std::path::Component::Normal(_))) {
                return Err(Error::runner(format!("{} holds .. below a folder that is missing", path.display())));
            }
            return Ok(Found { path: found.path.join(rest), ..found });
        }
    }
    Err(Error::runner(format!("{} does not exist", path.display())))
}

/// The label for `:z` (every container may use the files) and `:Z` (this container alone).
fn relabel(
    inputs: &Inputs<'_>,
    asked: &BindRequest,
    source: &Path,
    is_sensitive: bool,
    notices: &mut Vec<String>,
) -> Result<Option<String>> {
    let (Some(how), typed) = (asked.relabel, &asked.typed) else { return Ok(None) };
    if !inputs.facts.selinux {
        notices.push(format!("{typed}: SELinux is not on here: {how} has no effect"));
        return Ok(None);
    }
    // A host whose own programs may not read their files any more does not come up again.
    if is_sensitive {
        return Err(Error::runner(format!("{typed}: {} is the host's own: it is not relabelled", source.display()))
            .hint("leave z and Z out, and let the container's type read it: --security-opt label=type:TYPE"));
    }
    Ok(match super::isolation::selinux(inputs, &mut Vec::new())?.value {
        SeLinux::Labels { mount, .. } if how == 'Z' => Some(mount),
        SeLinux::Labels { mount, .. } => Some(crate::selinux::shared(&mount)),
        SeLinux::Disabled | SeLinux::Unavailable => None,
    })
}

fn bind(inputs: &Inputs<'_>, asked: &BindRequest, destination: String, notices: &mut Vec<String>) -> Result<MountPlan> {
    let typed = &asked.typed;
    let (found, create) = match inputs.host.look(&asked.source)? {
        Some(found) => (found, false),
        None if asked.create => (missing(inputs, &asked.source)?, true),
        None => {
            return Err(Error::runner(format!(
                "invalid mount config for type \"bind\": bind source path does not exist: {}",
                asked.source.display()
            ))
            .hint("-v would make the folder"));
        }
    };
    let seen = inputs.host.seen(&found.path, inputs.facts);
    let is_sensitive = sensitive::is_sensitive(&found.path, &asked.source, &seen, inputs.facts);
    let flag = flag_of(typed);
    let readonly = match asked.readonly {
        Some(readonly) => Sourced::flag(readonly, flag),
        None if is_sensitive => {
            notices.push(format!("{typed}: {} is sensitive on this host: mounted read-only", found.path.display()));
            Sourced::default(true)
        }
        None => Sourced::default(false),
    };
    if create {
        notices.push(format!("{typed}: made the missing folder {}", found.path.display()));
    }
    let relabel = relabel(inputs, asked, &found.path, is_sensitive, notices)?;
    let idmap = match found.uid {
        _ if inputs.facts.rootless.is_some() => BindIdmap::Caller,
        _ if is_sensitive => BindIdmap::NoRoot,
        0 => BindIdmap::Identity,
        _ => BindIdmap::Owner,
    };
    Ok(MountPlan {
        destination,
        kind: MountKind::Bind {
            source: found.path,
            typed: asked.source.clone(),
            uid: found.uid,
            gid: found.gid,
            directory: found.kind == Kind::Directory,
            create,
            recursive: asked.recursive,
            mode_asked: asked.readonly.is_some(),
            idmap,
            relabel,
            seen,
        },
        readonly,
        noexec: asked.noexec,
        asked: typed.clone(),
        propagation: propagation(asked.propagation.as_ref(), typed),
    })
}

fn volume(
    inputs: &Inputs<'_>,
    limits: &ResourcesPlan,
    asked: &VolumeRequest,
    destination: String,
    anonymous: &mut u32,
    notices: &mut Vec<String>,
) -> Result<MountPlan> {
    let typed = &asked.typed;
    if let Some(driver) = asked.driver.as_ref().filter(|d| *d != "local" && !d.is_empty()) {
        return Err(Error::runner(format!("{typed}: there are no volume plugins: driver {driver:?} is not known")));
    }
    if !asked.opts.is_empty() {
        return hidden_mount(inputs, asked, destination, notices);
    }
    let source = match &asked.name {
        Some(name) => {
            let as_runner = |e: Error| e.of_kind(crate::error::Kind::Runner);
            volumes::check_name(name).map_err(as_runner)?;
            if let Some(mount) = made_with_options(inputs, limits, asked, name, &destination, notices)? {
                return Ok(mount);
            }
            volumes::data(inputs.paths, name)
        }
        None => anonymous_folder(inputs, anonymous),
    };
    Ok(MountPlan {
        destination,
        kind: MountKind::Volume {
            source,
            name: asked.name.clone(),
            copy_up: !asked.nocopy,
            subpath: asked.subpath.clone(),
            labels: asked.labels.iter().cloned().collect(),
        },
        readonly: asked.readonly.map_or(Sourced::default(false), |r| Sourced::flag(r, flag_of(typed))),
        noexec: asked.noexec,
        asked: typed.clone(),
        propagation: Sourced::default("private".into()),
    })
}

/// A volume that was made with `-o type=…` is no folder of its own but a bind or a tmpfs, and is judged as such.
fn made_with_options(
    inputs: &Inputs<'_>,
    limits: &ResourcesPlan,
    asked: &VolumeRequest,
    name: &str,
    destination: &str,
    notices: &mut Vec<String>,
) -> Result<Option<MountPlan>> {
    let json = inputs.host.read(&volumes::meta_file(inputs.paths, name))?;
    match volumes::parse_options(&volumes::options_in(&json)?)? {
        Backing::Folder { .. } => Ok(None),
        Backing::Bind { device, recursive, readonly, noexec } => {
            let bind = BindRequest {
                source: device,
                destination: destination.to_owned(),
                readonly: if readonly { Some(true) } else { asked.readonly },
                create: false,
                recursive,
                recursive_readonly: crate::request::RecursiveReadonly::Enabled,
                propagation: None,
                relabel: None,
                noexec: asked.noexec || noexec,
                typed: asked.typed.clone(),
            };
            self::bind(inputs, &bind, destination.to_owned(), notices).map(Some)
        }
        Backing::Tmpfs { options } => {
            let text = if options.is_empty() { destination.to_owned() } else { format!("{destination}:{options}") };
            let failed = |e: String| {
                Error::runner(format!("{}: the volume {name} has the options {options:?}", asked.typed)).because(e)
            };
            let MountRequest::Tmpfs(mut tmpfs) = crate::request::parse_tmpfs(&text).map_err(failed)? else {
                return Err(failed("they make no tmpfs".into()));
            };
            tmpfs.typed = asked.typed.clone();
            tmpfs.readonly = asked.readonly.or(tmpfs.readonly);
            notices.push(format!("{}: the volume {name} is a tmpfs: each container gets its own", asked.typed));
            self::tmpfs(inputs, limits, &tmpfs, destination.to_owned(), notices).map(Some)
        }
    }
}

/// A name of 64 hexadecimal digits, as docker gives; derived from the container's id, so that a plan stays a pure function.
fn anonymous_folder(inputs: &Inputs<'_>, anonymous: &mut u32) -> PathBuf {
    *anonymous += 1;
    volumes::data(inputs.paths, &volumes::anonymous_name(inputs.id, *anonymous))
}

/// `volume-opt=type=…,o=bind,device=…` is a bind by another name, or a tmpfs; anything else would be a mount of the
/// host's for which there is no rule.
fn hidden_mount(
    inputs: &Inputs<'_>,
    asked: &VolumeRequest,
    destination: String,
    notices: &mut Vec<String>,
) -> Result<MountPlan> {
    let opt = |key: &str| asked.opts.iter().rev().find(|(k, _)| k == key).map(|(_, v)| v.as_str());
    let words: Vec<&str> = opt("o").unwrap_or("").split(',').filter(|w| !w.is_empty()).collect();
    let binds = words.iter().any(|w| *w == "bind" || *w == "rbind");
    match (binds, opt("device")) {
        (true, Some(device)) if device.starts_with('/') => {
            let said = if words.contains(&"ro") { Some(true) } else { asked.readonly };
            let bind = BindRequest {
                source: device.into(),
                destination: destination.clone(),
                readonly: said,
                create: false,
                recursive: words.contains(&"rbind"),
                recursive_readonly: crate::request::RecursiveReadonly::Enabled,
                propagation: None,
                relabel: None,
                noexec: asked.noexec || words.contains(&"noexec"),
                typed: asked.typed.clone(),
            };
            self::bind(inputs, &bind, destination, notices)
        }
        _ => Err(Error::runner(format!("{}: of volume-opt only o=bind with an absolute device is known", asked.typed))
            .hint("use --mount type=bind or type=tmpfs")),
    }
}

/// What a tmpfs gets that names no size, and the most that a lock lets one have. In bytes.
fn tmpfs_size(inputs: &Inputs<'_>, limits: &ResourcesPlan) -> u64 {
    let memory = match limits.memory.as_ref().map(|m| m.value) {
        Some(bytes) if bytes > 0 => bytes as u64,
        _ => resources::preset_memory(inputs).unwrap_or(inputs.facts.memory),
    };
    inputs.preset.tmpfs_size.value.of(memory).max(4096)
}

fn tmpfs(
    inputs: &Inputs<'_>,
    limits: &ResourcesPlan,
    asked: &TmpfsRequest,
    destination: String,
    notices: &mut Vec<String>,
) -> Result<MountPlan> {
    let most = tmpfs_size(inputs, limits);
    let typed = &asked.typed;
    let size = match asked.size {
        Some(0) | None => most,
        Some(size) => {
            lock(inputs.preset, Key::TmpfsSize, typed, size <= most, || format!("is {most}"))?;
            size
        }
    };
    if asked.suid == Some(true) || asked.dev == Some(true) {
        notices.push(format!("{typed}: suid and dev are not given: every mount is nosuid, nodev"));
    }
    Ok(MountPlan {
        destination,
        kind: MountKind::Tmpfs {
            size,
            mode: asked.mode.unwrap_or(0o1777),
            uid: asked.uid.unwrap_or(0),
            gid: asked.gid.unwrap_or(0),
        },
        readonly: asked.readonly.map_or(Sourced::default(false), |r| Sourced::flag(r, flag_of(typed))),
        // Docker's default for --tmpfs as well; `--mount type=tmpfs` has the same.
        noexec: asked.exec != Some(true),
        asked: typed.clone(),
        propagation: Sourced::default("private".into()),
    })
}

fn preset_tmpfs(
    inputs: &Inputs<'_>,
    limits: &ResourcesPlan,
    entry: &Sourced<PresetTmpfs>,
    user: &Sourced<UserPlan>,
) -> MountPlan {
    let PresetTmpfs { path, size, mode, exec } = &entry.value;
    // A folder that is not for everybody is for the user that the container starts as.
    let own = mode & 0o002 == 0;
    MountPlan {
        destination: path.clone(),
        kind: MountKind::Tmpfs {
            size: size.unwrap_or_else(|| tmpfs_size(inputs, limits)),
            mode: *mode,
            uid: if own { user.value.uid } else { 0 },
            gid: if own { user.value.gid } else { 0 },
        },
        readonly: Sourced::new(false, entry.source.clone()),
        noexec: !exec,
        asked: format!("tmpfs {path} of {}", entry.source),
        propagation: Sourced::default("private".into()),
    }
}

/// What an image's VOLUME is, where the image says nothing of it.
fn preset_volume(inputs: &Inputs<'_>, entry: &Sourced<String>, anonymous: &mut u32) -> MountPlan {
    MountPlan {
        destination: entry.value.clone(),
        kind: MountKind::Volume {
            source: anonymous_folder(inputs, anonymous),
            name: None,
            copy_up: true,
            subpath: None,
            labels: Default::default(),
        },
        readonly: Sourced::new(false, entry.source.clone()),
        noexec: false,
        asked: format!("volume {} of {}", entry.value, entry.source),
        propagation: Sourced::default("private".into()),
    }
}

/// As docker: an anonymous volume each, with what the image has there. Where the preset insists on a read-only root,
/// in memory: nothing of such a container is to reach the disk.
fn image_volumes(
    inputs: &Inputs<'_>,
    limits: &ResourcesPlan,
    mounts: &mut Vec<MountPlan>,
    anonymous: &mut u32,
    notices: &mut Vec<String>,
) {
    let volumes = inputs.image.config.config().as_ref().and_then(|c| c.volumes().clone()).unwrap_or_default();
    let locked = inputs.preset.locked(Key::ReadOnly).is_some();
    let asked = inputs.request.source.image_volume;
    let mode = asked.unwrap_or(if locked { ImageVolume::Tmpfs } else { ImageVolume::Anonymous });
    let mut paths: Vec<String> = volumes.iter().map(|v| clean_path(v)).filter(|v| v != "/").collect();
    paths.sort();
    paths.dedup();
    for path in paths {
        if mounts.iter().any(|m| m.destination == path) {
            continue;
        }
        let kind = match mode {
            ImageVolume::Ignore => continue,
            ImageVolume::Anonymous => MountKind::Volume {
                source: anonymous_folder(inputs, anonymous),
                name: None,
                copy_up: true,
                subpath: None,
                labels: Default::default(),
            },
            ImageVolume::Tmpfs => {
                if asked.is_none() {
                    notices.push(format!("VOLUME {path} of the image is an empty folder in memory under this preset"));
                }
                MountKind::Tmpfs { size: tmpfs_size(inputs, limits), mode: 0o1777, uid: 0, gid: 0 }
            }
        };
        let noexec = matches!(kind, MountKind::Tmpfs { .. });
        let readonly = match asked {
            Some(_) => Sourced::flag(false, "--image-volume"),
            None if locked => of_preset(inputs.preset, false),
            None => Sourced::new(false, Source::Image),
        };
        mounts.push(MountPlan {
            destination: path.clone(),
            kind,
            readonly,
            noexec,
            asked: format!("VOLUME {path} of the image"),
            propagation: Sourced::default("private".into()),
        });
    }
}
