//! Unpacked layers: one folder per diff id, shared by all images that have the layer.
//!
//! `layers/<hex>/root` is the tree and `layers/<hex>/complete` the marker that it is whole (`complete-opaque`: and hides
//! every layer below it); `linked` beside them says which files have several names, once somebody has asked. The folder appears
//! by one rename, when everything in it is on disk. A running container holds a shared lock on the folder; gc takes it
//! exclusively and passes over the layer where it cannot.

use super::digest::{Digest, HashReader};
use super::unpack::{self, Limits, Report};
use super::work::{Workdir, is_still};
use super::{compress, fsutil};
use crate::error::{Context, Error, Result};
use crate::ui;
use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{BufReader, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

const COMPLETE: &str = "complete";
const COMPLETE_OPAQUE: &str = "complete-opaque";
const ROOT: &str = "root";

/// The digest of an archive with nothing in it (two blocks of zeroes): what stands under an image without layers.
const EMPTY_ARCHIVE: [u8; 1024] = [0; 1024];

/// Content of the marker.
#[derive(Debug, Serialize, Deserialize)]
struct Marker {
    diff_id: Digest,
    /// Bytes of all regular files.
    size: u64,
    entries: u64,
}

/// The diff id of the layer that stands for no layers.
pub(super) fn empty() -> Digest {
    Digest::of(&EMPTY_ARCHIVE)
}

/// The layer folders of an image, lowest first, or `None` if one of them is not there.
pub(super) fn unpacked(layers: &Path, diff_ids: &[String]) -> Result<Option<Vec<PathBuf>>> {
    let mut out: Vec<PathBuf> = Vec::with_capacity(diff_ids.len().max(1));
    let empty = [empty().to_string()];
    let diff_ids = if diff_ids.is_empty() { &empty[..] } else { diff_ids };
    for diff_id in diff_ids {
        let folder = layers.join(Digest::parse(diff_id)?.hex());
        if !folder.join(COMPLETE).exists() {
            if !folder.join(COMPLETE_OPAQUE).exists() {
                return Ok(None);
            }
            out.clear();
        }
        let root = folder.join(ROOT);
        // overlayfs takes no folder twice. The upper of the two shows everything that the lower one could.
        out.retain(|known| *known != root);
        out.push(root);
    }
    Ok(Some(out))
}

/// Bytes of the files of a layer, as docker counts them; `None` if it is not unpacked.
pub(super) fn size(layers: &Path, diff_id: &Digest) -> Option<u64> {
    let folder = layers.join(diff_id.hex());
    let bytes = std::fs::read(folder.join(COMPLETE)).or_else(|_| std::fs::read(folder.join(COMPLETE_OPAQUE))).ok()?;
    serde_json::from_slice::<Marker>(&bytes).ok().map(|m| m.size)
}

/// A layer to unpack.
pub(super) struct Source<R> {
    pub blob: R,
    /// Digest and size of the blob as stored; checked.
    pub stored: Option<(Digest, u64)>,
    /// Digest of the uncompressed archive; checked.
    pub diff_id: Option<Digest>,
}

/// Unpack a layer and give it its place. Returns its diff id.
pub(super) fn unpack<R: Read>(source: Source<R>, layers: &Path, work: &Workdir) -> Result<Digest> {
    let mut stage = tempfile::Builder::new();
    let private = std::os::unix::fs::PermissionsExt::from_mode(0o700);
    let stage = stage
        .prefix("layer-")
        .permissions(private)
        .tempdir_in(work.path())
        .verb_context(|| "making a folder for a layer".into())?;
    // Removed by `Workdir`, which can remove trees of any depth.
    let stage = stage.keep();
    let root = stage.join(ROOT);
    std::fs::create_dir(&root).verb_context(|| format!("making {}", root.display()))?;
    std::fs::set_permissions(&root, std::os::unix::fs::PermissionsExt::from_mode(0o755))
        .verb_context(|| format!("setting the mode of {}", root.display()))?;

    let mut stored = HashReader::new(source.blob);
    let (kind, sniffed) = compress::sniff(&mut stored)?;
    let mut plain = HashReader::new(compress::decoder(kind, sniffed)?);
    let limits = Limits::of_disk(work.path())?;
    let report = unpack::unpack(BufReader::with_capacity(128 * 1024, &mut plain), &root, limits)?;
    let (diff_id, _) = plain.finish();
    let note = source.stored.as_ref().map(|(digest, _)| from(digest));
    if let Some((digest, size)) = source.stored {
        // What stands behind the compressed data belongs to the blob as well.
        std::io::copy(&mut stored, &mut std::io::sink()).verb_context(|| format!("reading blob {digest}"))?;
        let (found, count) = stored.finish();
        if found != digest || count != size {
            return Err(Error::verb(format!(
                "blob {digest} of {size} bytes has the digest {found} and {count} bytes: it was damaged or tampered with"
            ))
            .hint("remove the image, then load or pull it again"));
        }
    }
    if let Some(expected) = source.diff_id.filter(|e| *e != diff_id) {
        return Err(Error::verb(format!(
            "the layer's content has the digest {diff_id}, the image's config says {expected}"
        )));
    }
    if let Some(note) = note {
        write_private(&stage.join(&note), b"").verb_context(|| format!("writing {note}"))?;
    }
    finish(&stage, &diff_id, &report)?;
    settle(&stage, layers, &diff_id)?;
    tell(&diff_id, &report);
    Ok(diff_id)
}

/// Make sure that a blob is what a layer that is here already was unpacked from, or would unpack to it. An image that names
/// some blob of its own and the diff id of another image's layer would run, and read, what it does not hold.
/// Decompressed and hashed once; a note beside the layer says so from then on.
pub(super) fn check_known<R: Read>(blob: R, stored: &Digest, diff_id: &Digest, layers: &Path) -> Result<()> {
    let folder = layers.join(diff_id.hex());
    let note = folder.join(from(stored));
    if stored == diff_id || note.exists() {
        return Ok(());
    }
    let (kind, sniffed) = compress::sniff(blob)?;
    let mut plain = HashReader::new(compress::decoder(kind, sniffed)?);
    let known = std::fs::read(folder.join(COMPLETE)).or_else(|_| std::fs::read(folder.join(COMPLETE_OPAQUE)));
    let known: Marker = known
        .and_then(|bytes| serde_json::from_slice(&bytes).map_err(Into::into))
        .verb_context(|| format!("reading the marker of layer {diff_id}"))?;
    // Far more than headers and padding can be: a bomb ends here. Holes of sparse files only make it less.
    let most = known.size + (known.entries + 16) * (4 << 20);
    std::io::copy(&mut (&mut plain).take(most), &mut std::io::sink())
        .verb_context(|| format!("reading blob {stored}"))?;
    let (found, _) = plain.finish();
    if found != *diff_id {
        return Err(Error::verb(format!(
            "the layer's content has the digest {found}, the image's config says {diff_id}"
        )));
    }
    write_private(&note, b"").verb_context(|| format!("writing {}", note.display()))
}

/// The note that a layer was unpacked from this blob.
fn from(stored: &Digest) -> String {
    format!("from-{}", stored.hex())
}

/// A new file, or one that is there with the same content.
fn write_private(path: &Path, content: &[u8]) -> std::io::Result<()> {
    File::options().write(true).create(true).truncate(true).mode(0o600).open(path)?.write_all(content)
}

/// The folder that stands for no layers.
pub(super) fn unpack_empty(layers: &Path, work: &Workdir) -> Result<Digest> {
    unpack(Source { blob: &EMPTY_ARCHIVE[..], stored: None, diff_id: None }, layers, work)
}

fn finish(stage: &Path, diff_id: &Digest, report: &Report) -> Result<()> {
    let marker = Marker { diff_id: diff_id.clone(), size: report.size, entries: report.entries };
    let name = if report.opaque_root { COMPLETE_OPAQUE } else { COMPLETE };
    let bytes = serde_json::to_vec(&marker).expect("plain data");
    write_private(&stage.join(name), &bytes).verb_context(|| format!("writing the marker of layer {diff_id}"))?;
    // A marker that survives a power cut while the files under it do not would be a lie.
    let folder = File::open(stage).verb_context(|| format!("opening {}", stage.display()))?;
    rustix::fs::syncfs(&folder).verb_context(|| format!("syncing layer {diff_id}"))
}

/// Move a finished folder to its place. Where another process was faster, its folder stays.
fn settle(stage: &Path, layers: &Path, diff_id: &Digest) -> Result<()> {
    let place = layers.join(diff_id.hex());
    match std::fs::rename(stage, &place) {
        Ok(()) => fsutil::sync_dir(layers),
        Err(e) if matches!(e.raw_os_error(), Some(libc::ENOTEMPTY | libc::EEXIST)) => Ok(()),
        Err(e) => Err(e).verb_context(|| format!("moving a layer to {}", place.display())),
    }
}

fn tell(diff_id: &Digest, report: &Report) {
    let short = diff_id.short();
    if report.devices_left_out > 0 {
        ui::note(&format!(
            "layer {short}: left out {} device nodes; a container gets its own /dev",
            report.devices_left_out
        ));
    }
    if report.xattrs_left_out > 0 {
        ui::note(&format!(
            "layer {short}: left out {} extended attributes other than file capabilities and user.*",
            report.xattrs_left_out
        ));
    }
}

/// Shared locks on layer folders: while one of these descriptors is open, in any process, the layers stay.
#[derive(Debug)]
pub struct Hold {
    fds: Vec<OwnedFd>,
}

impl Hold {
    /// Hand the locks over, to be inherited by the process that lives as long as the container.
    pub fn into_fds(self) -> Vec<OwnedFd> {
        self.fds
    }
}

/// Lock an image's manifest, which says that the image is in use, and the folders that [`unpacked`] returned.
pub(super) fn hold<'a>(manifest: &Path, roots: &'a [PathBuf]) -> Result<Hold> {
    let mut fds = Vec::with_capacity(roots.len() + 1);
    let folder = |root: &'a PathBuf| {
        root.parent().ok_or_else(|| Error::runner(format!("{} is no layer: it has no folder", root.display())))
    };
    let folders = roots.iter().map(folder).collect::<Result<Vec<_>>>()?;
    for path in std::iter::once(manifest).chain(folders) {
        let gone = || {
            Error::runner(format!("{} was removed while the container was being started", path.display()))
                .hint("another command removed the image; load or pull it again")
        };
        let file = File::open(path).map_err(|e| gone().because(e))?;
        // Whoever removes it holds the exclusive lock for the time of one rename.
        flock(&file, FlockOperation::LockShared).context(|| format!("locking {}", path.display()))?;
        if !is_still(&file, path) {
            return Err(gone());
        }
        fds.push(file.into());
    }
    Ok(Hold { fds })
}

/// Whether somebody holds a shared lock on it.
pub(super) fn in_use(path: &Path) -> bool {
    File::open(path).is_ok_and(|file| flock(&file, FlockOperation::NonBlockingLockExclusive).is_err())
}

/// Remove a layer unless a container uses it. The folder vanishes with one rename; what is in it follows.
pub(super) fn remove(layers: &Path, hex: &str, work: &Workdir) -> Result<bool> {
    let folder = layers.join(hex);
    let Ok(file) = File::open(&folder) else { return Ok(false) };
    if flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
        return Ok(false);
    }
    let trash = work.path().join(hex);
    std::fs::rename(&folder, &trash).verb_context(|| format!("removing layer {}", folder.display()))?;
    Ok(true)
}
