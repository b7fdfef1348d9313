use super::prelude::*;

pub const RULE: Rule = Rule {
    id: "publish-all",
    severity: Severity::Medium,
    summary: "-P: every port that the image names",
    risk: "the image decides what is open, and the next version of it may decide otherwise",
    instead: "the ports that are needed, by name: -p 127.0.0.1:8080:80",
    example: "-P IMAGE",
    overriding: Override::Loosens("every port that the image exposes is published, on 127.0.0.1"),
    references: &["CIS 5.9", "CIS 5.14"],
    check,
};

fn check(draft: &Draft, _facts: &Facts) -> Vec<Finding> {
    match draft.asked.publish_all {
        true => vec![Finding::new(RULE.id, "--publish-all")],
        false => vec![],
    }
}
