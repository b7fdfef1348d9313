use super::prelude::*;
use crate::policy::capabilities::{Danger, find};

pub const RULE: Rule = Rule {
    id: "dangerous-capability",
    severity: Severity::Critical,
    summary: "a capability that counts on the host, or opens kernel code that has let containers out",
    risk: "with it, known ways lead from the container to root on the host",
    instead: "leave it out: package managers and entrypoints have what they need; `hardrun rules dangerous-capability` says why each is refused",
    example: "--cap-add SYS_ADMIN IMAGE",
    overriding: Override::Loosens(
        "those capabilities, inside the container's own user namespace where there is one, and the system calls that go with them; SYS_ADMIN can unmount masks, and leaves no Landlock ruleset",
    ),
    references: &["CIS 5.4", "PSS baseline Capabilities", "NIST SP 800-190 4.4.3"],
    check,
};

fn check(draft: &Draft, _facts: &Facts) -> Vec<Finding> {
    let private = matches!(draft.namespaces.user.value, UserNamespace::Private { .. });
    let flag = match &draft.capabilities.source {
        Source::Flag(flag) => flag.as_str(),
        _ => "--cap-add",
    };
    // `--privileged` has a rule of its own, which stands for its capabilities inside a private user namespace.
    if private && draft.asked.privileged {
        return vec![];
    }
    if draft.asked.cap_add_all {
        let detail = "every capability: SYS_ADMIN, SYS_MODULE, SYS_PTRACE, DAC_READ_SEARCH and the rest";
        return vec![Finding::new(RULE.id, "--cap-add ALL").detail(detail)];
    }
    let shared = writable_identity_bind(draft);
    draft
        .capabilities
        .value
        .iter()
        .filter_map(|name| {
            let known = find(name);
            let why = match known {
                None => "unknown to hardrun, and so taken for the worst",
                Some(_) if !private => "there is no user namespace, so it counts on the host",
                Some(cap) if cap.danger == Danger::Dangerous => cap.why,
                // File capabilities made by a container root that is the host's root on that folder count on the host.
                Some(cap) if cap.name == "CAP_SETFCAP" && shared.is_some() => {
                    "in a folder of the host's root bound writable, it makes files that give the host's users capabilities"
                }
                Some(_) => return None,
            };
            let bare = name.strip_prefix("CAP_").unwrap_or(name);
            Some(Finding::new(RULE.id, format!("{flag} {bare}")).detail(why))
        })
        .collect()
}

/// A bind in which the container's root is the host's.
fn writable_identity_bind(draft: &Draft) -> Option<&MountPlan> {
    draft
        .mounts
        .iter()
        .find(|m| !m.readonly.value && matches!(m.kind, MountKind::Bind { idmap: BindIdmap::Identity, .. }))
}
