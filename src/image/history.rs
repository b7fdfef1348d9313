//! `hardrun history`: the steps that an image was made in, the newest first.

use super::digest::Digest;
use super::gc::no_such_image;
use super::layers;
use super::store::Store;
use crate::error::{Error, Result};
use jiff::Timestamp;

/// One step.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// The image's ID, on the newest step; docker shows `<missing>` on the others.
    pub id: Option<Digest>,
    pub created: Option<Timestamp>,
    pub created_by: String,
    /// Bytes of the files in its layer; 0 for a step that only changed the config.
    pub size: u64,
    pub comment: String,
}

impl Store {
    pub fn history(&self, name: &str, platform: Option<&str>) -> Result<Vec<Step>> {
        let (entry, _) = self.find_entry(name)?.ok_or_else(|| no_such_image(name))?;
        let manifest = self.choose(&entry, platform)?.ok_or_else(|| {
            let wanted = platform.unwrap_or("of this host");
            Error::verb(format!("image {name} is not there for the platform {wanted}"))
        })?;
        let id = self.manifest(&manifest)?.config.digest;
        let config = self.config(&id)?;
        let folder = self.paths.layers();
        let mut sizes = config.rootfs().diff_ids().iter().map(|diff_id| {
            let diff_id = Digest::parse(diff_id).ok()?;
            layers::size(&folder, &diff_id)
        });
        let mut steps: Vec<Step> = Vec::new();
        for step in config.history().iter().flatten() {
            let size = match step.empty_layer() {
                Some(true) => 0,
                _ => sizes.next().flatten().unwrap_or(0),
            };
            steps.push(Step {
                id: None,
                created: step.created().as_ref().and_then(|text| text.parse().ok()),
                created_by: step.created_by().clone().unwrap_or_default(),
                size,
                comment: step.comment().clone().unwrap_or_default(),
            });
        }
        steps.reverse();
        if let Some(newest) = steps.first_mut() {
            newest.id = Some(id);
        }
        Ok(steps)
    }
}
