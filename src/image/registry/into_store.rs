//! The image store as the place where a pull puts things.

use super::platform::Platform;
use super::sink::{Incoming, Pulled, Sink};
use crate::error::{Error, Result};
use crate::image::blob::BlobWriter;
use crate::image::digest::Digest;
use crate::image::ingest::{self, Ingest};
use crate::image::layout;
use crate::image::reference::Reference;
use crate::site::signature::{self, Signature};

impl Incoming for BlobWriter {
    fn offset(&self) -> u64 {
        self.resume_offset()
    }
    fn restart(&mut self) -> Result<()> {
        BlobWriter::restart(self)
    }
    fn commit(self: Box<Self>) -> Result<()> {
        BlobWriter::commit(*self)
    }
}

impl Sink for Ingest<'_> {
    fn has(&self, digest: &str) -> Result<bool> {
        self.store().has_blob(digest)
    }

    fn begin(&self, digest: &str, size: u64) -> Result<Option<Box<dyn Incoming + '_>>> {
        Ok(self.blob_writer(digest, Some(size))?.map(|writer| Box::new(writer) as Box<dyn Incoming>))
    }

    fn is_current(&self, reference: &Reference, digest: &str, platform: Option<&Platform>) -> Result<bool> {
        let index = self.store().index()?;
        let Some(entry) = ingest::entry(&index, reference) else { return Ok(false) };
        let known_as = format!("{}@{digest}", reference.name());
        let same = entry.digest.as_str() == digest
            || entry.annotations.get(layout::REPO_DIGESTS).is_some_and(|all| all.split(' ').any(|one| one == known_as));
        if !same {
            return Ok(false);
        }
        // Of an index another platform's image may be here, which without a wish would do for `run`, but not for `pull`.
        let platform = match platform {
            None if entry.is_index() => Some(Platform::host().to_string()),
            other => other.map(Platform::to_string),
        };
        // An image with parts missing is not an error here but the reason to pull.
        Ok(matches!(self.store().lookup(reference, platform.as_deref()), Ok(Some(_))))
    }

    fn publish(&self, pulled: &Pulled, unpacked: &mut dyn FnMut(usize)) -> Result<()> {
        let manifest = self.put_manifest(pulled.manifest, pulled.media_type)?;
        if manifest.digest.as_str() != pulled.manifest_digest {
            return Err(Error::verb(format!(
                "manifest {} became {} on its way into the store",
                pulled.manifest_digest, manifest.digest
            )));
        }
        self.unpack_image(&manifest.digest)?;
        for i in 0..pulled.layers.len() {
            unpacked(i);
        }
        let mut entry = match pulled.index {
            Some((media_type, bytes)) => self.put_manifest(bytes, media_type)?,
            None => manifest,
        };
        let known_as = format!("{}@{}", pulled.reference.name(), pulled.repo_digest);
        entry.annotations.insert(layout::REPO_DIGESTS.into(), known_as);
        self.store().record(Some(pulled.reference), &entry)?;
        Ok(())
    }

    fn sign(&self, digest: &str, signatures: &[Signature]) -> Result<()> {
        signature::keep(&self.store().paths, digest, signatures)
    }

    fn read(&self, digest: &str, limit: u64) -> Result<Vec<u8>> {
        self.store().read_blob(&Digest::parse(digest)?, limit)
    }
}
