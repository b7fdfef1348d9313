use super::prelude::*;

pub const RULE: Rule = Rule {
    id: "host-sysctl",
    severity: Severity::Critical,
    summary: "a kernel setting of the whole host",
    risk: "the setting holds for every process of the host; core_pattern and modprobe are programs that root runs",
    instead: "set it on the host, where it belongs: sysctl -w KEY=VALUE",
    example: "--sysctl vm.overcommit_memory=1 IMAGE",
    overriding: Override::Never(
        "the setting belongs to no namespace that the container has; docker refuses it as well",
    ),
    references: &["PSS baseline Sysctls", "CVE-2022-0811"],
    check,
};

#[derive(Debug, PartialEq, Eq)]
pub enum Owner {
    Container,
    Host,
}

/// Whose setting it is, as the namespaces of this draft are.
pub fn owner(draft: &Draft, key: &str) -> Owner {
    let key = key.replace('/', ".");
    let ipc = ["kernel.msg", "kernel.sem", "kernel.shm", "fs.mqueue."].iter().any(|prefix| key.starts_with(prefix));
    let uts = ["kernel.domainname", "kernel.hostname"].contains(&key.as_str());
    let own = |namespace: &Namespace| *namespace != Namespace::Host;
    let owned = (key.starts_with("net.") && draft.namespaces.network.value != NetworkMode::Host)
        || (ipc && own(&draft.namespaces.ipc.value))
        || (uts && own(&draft.namespaces.uts.value));
    if owned { Owner::Container } else { Owner::Host }
}

fn check(draft: &Draft, _facts: &Facts) -> Vec<Finding> {
    draft
        .sysctls
        .iter()
        .filter(|(key, _)| owner(draft, key) == Owner::Host)
        .map(|(key, value)| Finding::new(RULE.id, asked(value, "--sysctl", format!("{key}={}", value.value))))
        .collect()
}
