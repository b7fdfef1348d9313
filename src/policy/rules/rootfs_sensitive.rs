use super::prelude::*;

pub const RULE: Rule = Rule {
    id: "rootfs-sensitive",
    severity: Severity::Critical,
    summary: "the host's own file system as the root",
    risk: "the container would run with every file of the host, secrets included, as its own",
    instead: "debootstrap or mmdebstrap makes a root of its own: mmdebstrap bookworm - | hardrun import - debian",
    example: "--rootfs / sh",
    overriding: Override::Never("the host's files are not an image"),
    references: &["CIS 5.6"],
    check,
};

use crate::policy::sensitive::classify;

fn check(draft: &Draft, facts: &Facts) -> Vec<Finding> {
    let Some(rootfs) = &draft.asked.rootfs else { return vec![] };
    // The layer is the folder with symlinks followed.
    let names = std::iter::once(rootfs).chain(draft.image.layers.first());
    let why = names.into_iter().find_map(|path| {
        let own = facts.own_paths.iter().any(|own| path.starts_with(own)).then(|| "hardrun's own state".to_owned());
        own.or_else(|| classify(path).map(|m| m.why))
    });
    let finding = |why: String| Finding::new(RULE.id, format!("--rootfs {}", rootfs.display())).detail(why);
    why.map(finding).into_iter().collect()
}
