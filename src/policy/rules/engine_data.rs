use super::prelude::*;

pub const RULE: Rule = Rule {
    id: "engine-data",
    severity: Severity::Critical,
    summary: "a container engine's images, volumes and state inside the container",
    risk: "other containers' files, environment and secrets can be read, and their programs replaced",
    instead: "-v of a volume by its name (-v NAME:DEST), or docker cp / skopeo copy for an image",
    example: "-v /var/lib/docker:/x IMAGE",
    overriding: Override::Loosens("that folder is mounted, read-only unless said otherwise"),
    references: &["CIS 5.6", "CIS 1.1.2", "NIST SP 800-190 4.5.5"],
    check,
};

fn check(draft: &Draft, facts: &Facts) -> Vec<Finding> {
    mount::of_class(RULE.id, PathClass::EngineData, draft, facts)
}
