//! What docker has no key for.

use crate::control::{Answer, Ask, Client};
use crate::plan::UserNamespace;
use crate::state::Container;
use serde_json::{Value, json};

/// The key that it is under.
pub const KEY: &str = "Hardrun";

pub fn own(container: &Container) -> Value {
    let record = &container.record;
    let draft = &record.plan.draft;
    let userns = match draft.namespaces.user.value {
        UserNamespace::Host => Value::Null,
        UserNamespace::Private { size, .. } => json!({
            // Known from the first start on.
            "Base": container.status.base,
            "Size": size,
        }),
    };
    let limits: serde_json::Map<String, Value> = draft
        .process
        .rlimits
        .iter()
        .map(|(name, l)| (name.clone(), json!(format!("{}:{}", bound(l.value.soft), bound(l.value.hard)))))
        .collect();
    let egress = draft.network.egress.as_ref().map(|rules| {
        let rules: Vec<String> = rules.value.iter().map(ToString::to_string).collect();
        let (packets, bytes) = refused(container).unzip();
        json!({ "Allowed": rules, "RefusedPackets": packets, "RefusedBytes": bytes })
    });
    json!({
        "Preset": draft.preset.value,
        "PlanDigest": record.digest,
        "Overrides": record.plan.overrides,
        "Fallbacks": record.plan.fallbacks,
        "UserNamespace": userns,
        "Capabilities": draft.capabilities.value,
        "NoNewPrivileges": draft.process.no_new_privileges.value,
        "Seccomp": draft.seccomp.profile.value,
        "SeccompOpened": draft.seccomp.opened,
        "Landlock": draft.landlock.value,
        "AppArmor": draft.apparmor.value,
        "Paths": (!draft.paths.is_empty()).then_some(&draft.paths),
        "Ulimits": limits,
        "HostAccess": draft.network.host_access,
        "Egress": egress,
        "Supervisor": container.status.supervisor,
    })
}

fn bound(limit: u64) -> String {
    if limit == u64::MAX { "unlimited".into() } else { limit.to_string() }
}

/// Packets and bytes that `--egress` has refused; `None` where the container does not run.
fn refused(container: &Container) -> Option<(u64, u64)> {
    if !container.is_running() {
        return None;
    }
    let answer = Client::connect(&container.folder).ok()??.ask(&Ask::Refused);
    match answer {
        Ok((Answer::Refused { packets, bytes }, _)) => Some((packets, bytes)),
        Ok(_) => None,
        Err(e) => {
            crate::ui::warn(&format!("what --egress refused is not known: {}", e.chain().join(": ")));
            None
        }
    }
}
