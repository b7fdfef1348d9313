//! Which image a draft is of, as far as names can be trusted: a name is given by whoever may tag or load, so what counts is
//! the repositories that the store has noted when it pulled or pushed; before a pull there is only the name that was typed.

use super::pattern::{Named, Pattern};
use crate::image::reference::Reference;
use crate::plan::{Draft, ImagePlan};

/// Repositories that gave or have the image. Without a tag: which tag it had there nobody has noted, and the one that was typed
/// may have been given here.
pub fn origins(image: &ImagePlan) -> Vec<Reference> {
    image.repositories.iter().filter_map(|name| Reference::parse_bare(name).ok()).collect()
}

/// The name that was typed, if it is one and not an ID.
pub fn typed(image: &ImagePlan) -> Option<Reference> {
    let id = image.config_digest.strip_prefix("sha256:").unwrap_or_default();
    let is_id = !id.is_empty() && id.starts_with(image.name.as_str());
    if is_id { None } else { image.name.parse().ok() }
}

/// Whether there is an image at all: a volume that is a folder of the host is judged without one.
pub fn is_any(draft: &Draft) -> bool {
    draft.asked.rootfs.is_some() || !draft.image.reference.is_empty()
}

/// Whether nothing is known of it but its name.
pub fn is_unknown(image: &ImagePlan) -> bool {
    image.manifest_digest.is_empty()
}

pub fn digests(image: &ImagePlan) -> Vec<&str> {
    [Some(&image.manifest_digest), Some(&image.config_digest), image.index_digest.as_ref()]
        .into_iter()
        .flatten()
        .map(String::as_str)
        .filter(|d| !d.is_empty())
        .collect()
}

/// Whether it comes from where the pattern says, or is what it says.
pub fn fits(pattern: &Pattern, image: &ImagePlan) -> bool {
    let digests = digests(image);
    let mut names = origins(image);
    if is_unknown(image) {
        names.extend(typed(image));
    }
    let one = |reference| pattern.fits(Named { reference, digests: &digests });
    one(None) || names.iter().any(|name| one(Some(name)))
}

/// Whether it is or calls itself what the pattern says: for demands, which a new name must not shake off.
pub fn concerns(pattern: &Pattern, image: &ImagePlan) -> bool {
    fits(pattern, image)
        || typed(image).is_some_and(|name| pattern.fits(Named { reference: Some(&name), digests: &digests(image) }))
}
