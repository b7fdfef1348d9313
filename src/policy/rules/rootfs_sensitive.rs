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
    let own = facts.own_paths.iter().find(|own| rootfs.starts_with(own)).map(|_| "hardrun's own state".to_owned());
    let Some(why) = classify(rootfs).map(|m| m.why).or(own) else { return vec![] };
    vec![Finding::new(RULE.id, format!("--rootfs {}", rootfs.display())).detail(why)]
}
