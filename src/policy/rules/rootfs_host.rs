use super::prelude::*;

pub const RULE: Rule = Rule {
    id: "rootfs-host",
    severity: Severity::High,
    summary: "a folder of the host as the root",
    risk: "what runs is no image with a digest: anyone who can write to the folder decides",
    instead: "make an image of it: tar -C DIR -c . | hardrun import - NAME",
    example: "--rootfs /srv/root sh",
    overriding: Override::Loosens(
        "that folder is the lower layer of the root; what is written goes to a layer of its own",
    ),
    references: &["NIST SP 800-190 4.1.5"],
    check,
};

fn check(draft: &Draft, _facts: &Facts) -> Vec<Finding> {
    match &draft.asked.rootfs {
        Some(rootfs) => vec![Finding::new(RULE.id, format!("--rootfs {}", rootfs.display()))],
        None => vec![],
    }
}
