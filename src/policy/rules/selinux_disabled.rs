use super::prelude::*;

pub const RULE: Rule = Rule {
    id: "selinux-disabled",
    severity: Severity::High,
    summary: "no SELinux confinement, or a level that reaches other containers",
    risk: "a process that gets out of the container may read and write what its user may",
    instead: "leave label=disable out; another type: --security-opt label=type:TYPE; a level of two categories: label=level:s0:c1,c2",
    example: "--security-opt label=disable IMAGE",
    overriding: Override::Loosens(
        "the process runs without a container type, or with that level; the other layers stay on",
    ),
    references: &["CIS 5.3", "PSS baseline SELinux"],
    check,
};

/// Types that confine nothing.
const OPEN: &[&str] = &["spc_t", "unconfined_t", "container_runtime_t", "unconfined_service_t", "init_t", "kernel_t"];

fn check(draft: &Draft, _facts: &Facts) -> Vec<Finding> {
    let selinux = &draft.selinux;
    match &selinux.value {
        SeLinux::Disabled => vec![Finding::new(RULE.id, asked(selinux, "--security-opt", "label=disable"))],
        SeLinux::Labels { process, .. } => {
            let kind = crate::selinux::kind(process);
            let level = crate::selinux::level(process);
            let open = OPEN.contains(&kind).then(|| {
                let what = asked(selinux, "--security-opt", format!("label=type:{kind}"));
                Finding::new(RULE.id, what).detail("a type that confines nothing")
            });
            // That of all containers is the host's own choice, and said at every start.
            let watched = (draft.asked.selinux_permissive && kind != crate::selinux::TYPE).then(|| {
                let what = asked(selinux, "--security-opt", format!("label=type:{kind}"));
                Finding::new(RULE.id, what).detail("the host's policy makes it permissive: it confines nothing")
            });
            let wide = (crate::selinux::reach(level) > 2).then(|| {
                let what = asked(selinux, "--security-opt", format!("label=level:{level}"));
                Finding::new(RULE.id, what)
                    .detail("a level of more than two categories holds the pairs of other containers: their files are open to it")
            });
            open.into_iter().chain(watched).chain(wide).collect()
        }
        SeLinux::Unavailable => vec![],
    }
}
