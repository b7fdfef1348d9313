use super::prelude::*;

pub const RULE: Rule = Rule {
    id: "apparmor-weaker",
    severity: Severity::High,
    summary: "an AppArmor profile that refuses nothing",
    risk: "what the profile does not allow is written to the log and done all the same",
    instead: "have the kernel enforce it: aa-enforce PROFILE, or leave apparmor=PROFILE out",
    example: "--security-opt apparmor=PROFILE-IN-COMPLAIN-MODE IMAGE",
    overriding: Override::Loosens("that profile; Landlock and the filter stay on"),
    references: &["CIS 5.2", "PSS baseline AppArmor"],
    check,
};

/// What the kernel has of a profile is compiled: its rules cannot be compared with the built-in profile's, its mode can.
fn check(draft: &Draft, _facts: &Facts) -> Vec<Finding> {
    let (AppArmor::Named(name), Some(mode)) = (&draft.apparmor.value, &draft.asked.apparmor_mode) else {
        return vec![];
    };
    if matches!(mode.as_str(), "enforce" | "kill") {
        return vec![];
    }
    let asked = asked(&draft.apparmor, "--security-opt", format!("apparmor={name}"));
    vec![
        Finding::new(RULE.id, asked)
            .detail(format!("the kernel has it, or a part of it, in {mode} mode; the built-in one is enforced")),
    ]
}
