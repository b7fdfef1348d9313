use super::prelude::*;

pub const RULE: Rule = Rule {
    id: "host-id-map",
    severity: Severity::Critical,
    summary: "ids of the host's own accounts inside the container",
    risk: "a process that gets out is that user of the host; with id 0 it is root",
    instead: "leave --uidmap and --gidmap out: the container has a range of its own",
    example: "--uidmap 0:0:65536 IMAGE",
    overriding: Override::Loosens("ids are mapped as asked"),
    references: &["CIS 2.9", "PSS baseline Host Namespaces"],
    check,
};

/// Below this, ids belong to accounts of the host: 65536 is where systemd's and shadow's ranges for containers begin.
const CONTAINERS_FROM: u64 = 65536;

fn check(draft: &Draft, _facts: &Facts) -> Vec<Finding> {
    let uids = draft.asked.uidmaps.iter().map(|map| ("--uidmap", map));
    let gids = draft.asked.gidmaps.iter().map(|map| ("--gidmap", map));
    uids.chain(gids)
        .filter_map(|(flag, map)| {
            let text = map.trim_start_matches("--uidmap").trim_start_matches("--gidmap").trim().trim_start_matches('=');
            let mut fields = text.split(':').skip(1);
            let host: Option<u64> = fields.next().and_then(|f| f.trim_start_matches('@').parse().ok());
            let detail = match host {
                Some(0) => "id 0 of the host is root",
                Some(host) if host >= CONTAINERS_FROM => return None,
                Some(_) => "an id of the host's own accounts",
                None => "not understood, and so taken for the worst",
            };
            Some(Finding::new(RULE.id, format!("{flag} {text}")).detail(detail))
        })
        .collect()
}
