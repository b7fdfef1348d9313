use super::prelude::*;

pub const RULE: Rule = Rule {
    id: "apparmor-unconfined",
    severity: Severity::High,
    summary: "no AppArmor profile",
    risk: "files and mounts that other layers forget are no longer refused by name",
    instead: "leave apparmor=unconfined out, or name a profile: --security-opt apparmor=PROFILE",
    example: "--security-opt apparmor=unconfined IMAGE",
    overriding: Override::Loosens("no AppArmor profile; Landlock and the filter stay on"),
    references: &["CIS 5.2", "PSS baseline AppArmor"],
    check,
};

fn check(draft: &Draft, _facts: &Facts) -> Vec<Finding> {
    let apparmor = &draft.apparmor;
    let name = match &apparmor.value {
        AppArmor::Unconfined => "unconfined",
        AppArmor::Named(name) if crate::apparmor::is_unconfined(name) => name,
        AppArmor::Named(_) | AppArmor::Builtin | AppArmor::Unavailable => return vec![],
    };
    vec![Finding::new(RULE.id, asked(apparmor, "--security-opt", format!("apparmor={name}")))]
}
