//! What things of one root are called in the kernel, so that several roots do not meet.

use crate::state::Paths;
use sha2::{Digest, Sha256};

/// Names that follow from the root alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names {
    /// Of the two nftables tables.
    pub table: String,
    /// With which the host ends of all links to containers begin. The rules let nothing pass a port that begins so and is
    /// not listed.
    pub ports: String,
}

impl Names {
    pub fn of(paths: &Paths) -> Names {
        let digest = digest(&paths.root.to_string_lossy());
        let table = match paths.is_usual() {
            true => "hardrun".to_owned(),
            false => format!("hardrun_{}", &digest[..12]),
        };
        Names { table, ports: format!("hr{}", &digest[..6]) }
    }

    /// The host end of a link; 15 bytes are all that the kernel takes.
    pub fn port(&self, endpoint: &str) -> String {
        format!("{}{}", self.ports, &endpoint[..7])
    }
}

/// Id of a network that every root has: no file has to be written to name it.
pub fn builtin_id(paths: &Paths, name: &str) -> String {
    digest(&format!("{name}\0{}", paths.root.display()))
}

fn digest(text: &str) -> String {
    hex::encode(Sha256::digest(text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn roots_have_names_of_their_own_that_fit() {
        let (ours, other) = (Paths::new(None), Paths::new(Some(Path::new("/srv/x"))));
        let (a, b) = (Names::of(&ours), Names::of(&other));
        assert_eq!(a.table, "hardrun");
        assert!(b.table.starts_with("hardrun_") && a.ports != b.ports);
        assert_eq!(a.port("0123456789abcdef").len(), 15);
        assert_ne!(builtin_id(&ours, "bridge"), builtin_id(&other, "bridge"));
        assert_ne!(builtin_id(&ours, "bridge"), builtin_id(&ours, "host"));
    }
}
