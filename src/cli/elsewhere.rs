//! Docker's verbs that other tools are for.

use crate::error::Error;

/// Verbs, and who does that.
const ELSEWHERE: &[(&[&str], &str)] = &[
    (
        &["build", "buildx", "builder"],
        "images are built with buildah or BuildKit, and brought here with hardrun load or pull",
    ),
    (&["compose"], "several containers of one file are made by podman-compose or systemd units"),
    (&["swarm", "service", "stack", "node", "secret", "config"], "clusters are Kubernetes' or Nomad's"),
    (&["plugin"], "there is no daemon that plugins could extend"),
    (&["trust"], "signatures are checked with cosign or notation"),
    (&["manifest"], "lists of images are made and read with skopeo or buildah manifest"),
    (&["search"], "registries are searched in the browser, or with skopeo list-tags for a name's tags"),
    (&["checkpoint"], "processes are frozen to disk by criu, which confined containers keep out"),
];

/// One line for a verb of docker's that is not here.
pub fn answer(verb: &str, called: &str) -> Option<Error> {
    let (_, who) = ELSEWHERE.iter().find(|(verbs, _)| verbs.contains(&verb))?;
    Some(Error::verb(format!("'{called}' is not one of hardrun's verbs: {who}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_verb_of_clusters_has_an_answer() {
        for verb in [
            "build",
            "buildx",
            "compose",
            "swarm",
            "service",
            "stack",
            "node",
            "secret",
            "config",
            "plugin",
            "trust",
            "manifest",
            "search",
            "checkpoint",
        ] {
            let error = answer(verb, &format!("docker {verb}")).unwrap();
            assert!(error.message.starts_with(&format!("'docker {verb}' ")) && error.kind.exit_code() == 1);
        }
        assert!(answer("run", "docker run").is_none());
    }
}
