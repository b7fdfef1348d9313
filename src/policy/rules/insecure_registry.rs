use super::prelude::*;

pub const RULE: Rule = Rule {
    id: "insecure-registry",
    severity: Severity::High,
    summary: "an image over a connection that nobody checks",
    risk: "anyone on the way can hand over another image, which then runs here",
    instead: "a certificate: --cert-dir DIR with the registry's ca.crt",
    example: "--tls-verify=false registry.example/app:1",
    overriding: Override::Loosens("that registry is spoken to without TLS, or with any certificate"),
    references: &["CIS 2.5", "NIST SP 800-190 4.2.1"],
    check,
};

fn check(draft: &Draft, _facts: &Facts) -> Vec<Finding> {
    let asked = &draft.asked;
    if let Some(host) = &asked.insecure_registry {
        return judge_registry(host).into_iter().collect();
    }
    match asked.tls_verify_off {
        true => judge_registry(&registry_of(&draft.image.reference)).into_iter().collect(),
        false => vec![],
    }
}

/// A finding for a registry `host[:port]` that is spoken to over plain HTTP or with an unchecked certificate; none for
/// one on this host. For verbs that pull without a draft.
pub fn judge_registry(registry: &str) -> Option<Finding> {
    let host = match registry.strip_prefix('[') {
        Some(v6) => v6.split(']').next().unwrap_or_default(),
        None => registry.split(':').next().unwrap_or_default(),
    };
    let loopback =
        host.eq_ignore_ascii_case("localhost") || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback());
    (!loopback).then(|| Finding::new(RULE.id, format!("{registry} without checked TLS")))
}

/// As docker reads a reference: the first part is a registry if it looks like a host.
fn registry_of(reference: &str) -> String {
    match reference.split_once('/') {
        Some((host, _)) if host.contains(['.', ':']) || host == "localhost" => host.to_owned(),
        _ => "docker.io".to_owned(),
    }
}
