//! The process part of the spec.

use super::Staged;
use crate::error::{Context, Error, Result};
use crate::plan::Draft;
use oci_spec::runtime::{
    Capabilities, Capability, LinuxCapabilities, LinuxCapabilitiesBuilder, PosixRlimit, PosixRlimitBuilder,
    PosixRlimitType, Process, ProcessBuilder, UserBuilder,
};
use std::collections::BTreeSet;

pub fn process(draft: &Draft, staged: &Staged) -> Result<Process> {
    let process = &draft.process;
    let user = &process.user.value;
    let attempt = || "describe the process".to_string();
    let oci_user = UserBuilder::default()
        .uid(user.uid)
        .gid(user.gid)
        .umask(process.umask.value)
        .additional_gids(user.additional_gids.clone())
        .build()
        .context(attempt)?;
    let mut builder = ProcessBuilder::default()
        .terminal(draft.stdio.tty)
        .user(oci_user)
        .args(process.args.value.clone())
        .env(process.env.iter().map(|e| e.value.clone()).collect::<Vec<_>>())
        .cwd(process.cwd.value.clone())
        .capabilities(capabilities(draft)?)
        .rlimits(rlimits(draft)?)
        .oom_score_adj(process.oom_score_adj.value);
    if let Some(profile) = &staged.apparmor {
        builder = builder.apparmor_profile(profile.clone());
    }
    let mut built = builder.build().context(attempt)?;
    // libcontainer looks at whether the field is there, not at its value, and the builder sets it by itself.
    built.set_no_new_privileges(process.no_new_privileges.value.then_some(true));
    Ok(built)
}

fn capabilities(draft: &Draft) -> Result<LinuxCapabilities> {
    let sets = super::sets_at_launch(draft);
    LinuxCapabilitiesBuilder::default()
        .bounding(to_oci(&sets.bounding)?)
        .effective(to_oci(&sets.effective)?)
        .permitted(to_oci(&sets.permitted)?)
        .inheritable(to_oci(&sets.inheritable)?)
        .ambient(to_oci(&sets.ambient)?)
        .build()
        .context(|| "describe the capabilities".into())
}

fn to_oci(names: &BTreeSet<String>) -> Result<Capabilities> {
    names
        .iter()
        .map(|name| {
            let json = serde_json::Value::String(name.clone());
            serde_json::from_value::<Capability>(json)
                .map_err(|e| Error::runner(format!("unknown capability {name}")).because(e))
        })
        .collect()
}

fn rlimits(draft: &Draft) -> Result<Vec<PosixRlimit>> {
    draft
        .process
        .rlimits
        .iter()
        .map(|(name, limit)| {
            PosixRlimitBuilder::default()
                .typ(rlimit_type(name)?)
                .soft(limit.value.soft)
                .hard(limit.value.hard)
                .build()
                .context(|| format!("describe the limit {name}"))
        })
        .collect()
}

fn rlimit_type(name: &str) -> Result<PosixRlimitType> {
    let json = serde_json::Value::String(format!("RLIMIT_{}", name.to_uppercase()));
    serde_json::from_value(json).map_err(|e| Error::runner(format!("unknown limit {name}")).because(e))
}
