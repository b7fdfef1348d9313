//! What images take on the disk, for `system df`.

use super::digest::Digest;
use super::list::Row;
use super::store::Store;
use super::{layers, usage};
use crate::error::Result;
use std::collections::{BTreeMap, BTreeSet};

/// One image, whatever names it has.
#[derive(Debug)]
pub struct OnDisk {
    /// A row for each of its names.
    pub rows: Vec<Row>,
    /// Bytes of each of its layers.
    pub layers: BTreeMap<Digest, u64>,
    /// Containers that were made from it.
    pub containers: usize,
}

impl OnDisk {
    pub fn size(&self) -> u64 {
        self.layers.values().sum()
    }

    /// Bytes of layers that `others` have too.
    pub fn shared(&self, others: &[OnDisk]) -> u64 {
        let used_by = |layer: &Digest| others.iter().filter(|image| image.layers.contains_key(layer)).count();
        self.layers.iter().filter(|(layer, _)| used_by(layer) > 1).map(|(_, size)| size).sum()
    }
}

/// Bytes of the layers of all images, and of these what no container needs.
pub fn totals(images: &[OnDisk]) -> (u64, u64) {
    let all: BTreeMap<&Digest, u64> =
        images.iter().flat_map(|i| &i.layers).map(|(layer, size)| (layer, *size)).collect();
    let used: BTreeSet<&Digest> = images.iter().filter(|i| i.containers > 0).flat_map(|i| i.layers.keys()).collect();
    let free = all.iter().filter(|(layer, _)| !used.contains(*layer)).map(|(_, size)| size).sum();
    (all.values().sum(), free)
}

impl Store {
    /// Every image, the newest first.
    pub fn on_disk(&self) -> Result<Vec<OnDisk>> {
        let containers = usage::containers(&self.paths)?;
        let mut images: Vec<OnDisk> = Vec::new();
        for row in self.list(&[])? {
            if let Some(known) = images.iter_mut().find(|i| i.rows[0].id == row.id) {
                known.rows.push(row);
                continue;
            }
            let config = self.config(&row.id)?;
            let diff_ids = config.rootfs().diff_ids().iter().filter_map(|d| Digest::parse(d).ok());
            let sized = diff_ids.filter_map(|d| layers::size(&self.paths.layers(), &d).map(|size| (d, size)));
            images.push(OnDisk {
                layers: sized.collect(),
                containers: containers.iter().filter(|c| c.config.as_ref() == Some(&row.id)).count(),
                rows: vec![row],
            });
        }
        Ok(images)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(id: &str, layers: &[(&str, u64)], containers: usize) -> OnDisk {
        let digest = |text: &str| Digest::parse(&format!("sha256:{text:0>64}")).unwrap();
        let row = Row {
            repository: None,
            tag: None,
            digest: None,
            id: digest(id),
            created: None,
            size: 0,
            labels: Default::default(),
        };
        OnDisk { rows: vec![row], layers: layers.iter().map(|(l, s)| (digest(l), *s)).collect(), containers }
    }

    #[test]
    fn a_layer_counts_once_and_is_needed_by_whoever_has_it() {
        let images = [image("a", &[("1", 10), ("2", 5)], 1), image("b", &[("1", 10), ("3", 7)], 0)];
        assert_eq!(totals(&images), (22, 7));
        assert_eq!((images[0].size(), images[0].shared(&images)), (15, 10));
        assert_eq!(totals(&[]), (0, 0));
    }
}
