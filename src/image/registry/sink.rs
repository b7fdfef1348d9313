//! Where verified things go: the store, or a fake one in the tests of the protocol.

use super::manifest::Descriptor;
use super::platform::Platform;
use crate::error::Result;
use crate::image::reference::Reference;
use crate::site::signature::Signature;
use std::io::Write;

/// A blob on its way in. Dropped before `commit`, what was written stays for the next attempt.
pub trait Incoming: Write + Send {
    /// Bytes that an earlier attempt left, hashed already.
    fn offset(&self) -> u64;
    /// Begin again: the server sends everything.
    fn restart(&mut self) -> Result<()>;
    /// Check size and digest, and keep it; wrong bytes are thrown away.
    fn commit(self: Box<Self>) -> Result<()>;
}

/// What a pull found for one name.
pub struct Pulled<'a> {
    pub reference: &'a Reference,
    /// The index that the image was chosen from: media type and bytes.
    pub index: Option<(&'a str, &'a [u8])>,
    /// Media type, digest and bytes of the manifest of the chosen platform.
    pub media_type: &'a str,
    pub manifest_digest: &'a str,
    pub manifest: &'a [u8],
    /// Digest by which the registry knows the name: of the index where there is one.
    pub repo_digest: &'a str,
    pub layers: &'a [Descriptor],
}

pub trait Sink: Sync {
    /// Whether the blob is here whole.
    fn has(&self, digest: &str) -> Result<bool>;
    /// Begin or take up a blob; `None` if it is here whole. Waits while another process fetches it.
    fn begin(&self, digest: &str, size: u64) -> Result<Option<Box<dyn Incoming + '_>>>;
    /// Whether the name stands for this digest (`Pulled::repo_digest`) here, and the image for the platform is here whole.
    fn is_current(&self, reference: &Reference, digest: &str, platform: Option<&Platform>) -> Result<bool>;
    /// All blobs are here: unpack the layers and give the image its name. `unpacked` is called for each layer, by position.
    fn publish(&self, pulled: &Pulled, unpacked: &mut dyn FnMut(usize)) -> Result<()>;
    /// Keep the signatures of a manifest or index, instead of those that were kept before.
    fn sign(&self, digest: &str, signatures: &[Signature]) -> Result<()>;
    /// Content of a blob that is here whole.
    fn read(&self, digest: &str, limit: u64) -> Result<Vec<u8>>;
}
