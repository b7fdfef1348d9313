use super::prelude::*;

pub const RULE: Rule = Rule {
    id: "selinux-disabled",
    severity: Severity::High,
    summary: "no SELinux confinement",
    risk: "a process that gets out of the container may read and write what its user may",
    instead: "leave label=disable out; another type: --security-opt label=type:TYPE",
    example: "--security-opt label=disable IMAGE",
    overriding: Override::Loosens("the process runs without a container type; the other layers stay on"),
    references: &["CIS 5.3", "PSS baseline SELinux"],
    check,
};

/// Types that confine nothing.
const OPEN: &[&str] = &["spc_t", "unconfined_t", "container_runtime_t", "unconfined_service_t", "init_t", "kernel_t"];

fn check(draft: &Draft, _facts: &Facts) -> Vec<Finding> {
    let selinux = &draft.selinux;
    match &selinux.value {
        SeLinux::Disabled => vec![Finding::new(RULE.id, asked(selinux, "--security-opt", "label=disable"))],
        SeLinux::Labels { process, .. } => match process.split(':').nth(2).filter(|t| OPEN.contains(t)) {
            Some(kind) => {
                let what = asked(selinux, "--security-opt", format!("label=type:{kind}"));
                vec![Finding::new(RULE.id, what).detail("a type that confines nothing")]
            }
            None => vec![],
        },
        SeLinux::Unavailable => vec![],
    }
}
