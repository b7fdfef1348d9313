//! Rules that only a site's policy brings. They stand beside the built-in ones and are judged with them; the policy itself is
//! the only way to another answer.

use super::limits;
use super::pattern::Pattern;
use super::{image, signature};
use crate::facts::{Facts, PathClass};
use crate::plan::Draft;
use crate::policy::rules::mount;
use crate::policy::sensitive::pattern::Relation;
use crate::policy::{Finding, Override, Rule, Severity};

const DECIDED: Override = Override::Never("the site's policy decides this");
const NIST: &[&str] = &["NIST SP 800-190 4.2.2"];

pub static RULES: &[Rule] = &[REGISTRY, DIGEST, SIGNATURE, LIMIT, PATH];

pub const REGISTRY: Rule = Rule {
    id: "site-registry",
    severity: Severity::High,
    summary: "an image from a registry that the site's policy does not list",
    risk: "whoever can push there decides what runs here",
    instead: "the same image from a registry that the policy lists; `hardrun policy show` shows them",
    example: "IMAGE",
    overriding: DECIDED,
    references: &["CIS 4.2", "NIST SP 800-190 4.2.2"],
    check: registry,
};

pub const DIGEST: Rule = Rule {
    id: "site-digest",
    severity: Severity::Medium,
    summary: "an image named by a tag where the site's policy wants digests",
    risk: "the tag can mean another image tomorrow",
    instead: "NAME@sha256:…, or a lock file: `hardrun lock NAME`, then `--locked`",
    example: "IMAGE",
    overriding: DECIDED,
    references: NIST,
    check: digest,
};

pub const SIGNATURE: Rule = Rule {
    id: "site-signature",
    severity: Severity::High,
    summary: "an image without the signature that the site's policy wants",
    risk: "nobody whom the site trusts has vouched for what would run",
    instead: "sign it (`cosign sign --key cosign.key NAME@DIGEST`) and pull it again",
    example: "IMAGE",
    overriding: DECIDED,
    references: &["CIS 4.5", "NIST SP 800-190 4.1.5"],
    check: signed,
};

pub const LIMIT: Rule = Rule {
    id: "site-limit",
    severity: Severity::Medium,
    summary: "a limit above the site's ceiling",
    risk: "one container can take what the site has meant for others",
    instead: "a value up to the ceiling, or none: then the ceiling is used",
    example: "--memory 1t IMAGE",
    overriding: DECIDED,
    references: &["CIS 5.11", "CIS 5.29"],
    check: limits::check,
};

pub const PATH: Rule = Rule {
    id: "site-path",
    severity: Severity::Critical,
    summary: "a host path that the site keeps from all containers",
    risk: "the site has said that nothing in it is for a container",
    instead: "-v NAME:DEST for a volume with what the container needs of it",
    example: "-v PATH:/x IMAGE",
    overriding: DECIDED,
    references: &["CIS 5.6"],
    check: path,
};

/// Before a pull: whether the policy lets this repository be asked at all.
pub fn may_pull(registries: Option<&[Pattern]>, repository: &crate::image::reference::Reference) -> bool {
    registries.is_none_or(|all| all.iter().any(|p| p.may_fit(repository)))
}

fn registry(draft: &Draft, facts: &Facts) -> Vec<Finding> {
    let law = &facts.site.law;
    let Some(registries) = law.registries.as_ref().filter(|_| image::is_any(draft)) else { return Vec::new() };
    let finding = |detail: &str| vec![Finding::new(REGISTRY.id, draft.image.reference.clone()).detail(detail)];
    if draft.asked.rootfs.is_some() {
        return if law.local_images { Vec::new() } else { finding("a folder, which no registry gave") };
    }
    if !image::is_unknown(&draft.image) && draft.image.repositories.is_empty() {
        return if law.local_images {
            Vec::new()
        } else {
            finding("no registry gave this image: it was loaded or made here")
        };
    }
    match registries.iter().any(|p| image::fits(p, &draft.image)) {
        true => Vec::new(),
        false if draft.image.repositories.is_empty() => finding("the policy does not list its registry"),
        false => finding(&format!("from {}", draft.image.repositories.join(", "))),
    }
}

fn digest(draft: &Draft, facts: &Facts) -> Vec<Finding> {
    if !facts.site.law.require_digest || !image::is_any(draft) {
        return Vec::new();
    }
    let typed = &draft.image.reference;
    // What was typed must be what the image is: a name such as sha256:… is a tag like any other.
    let digest = typed.parse::<crate::image::reference::Reference>().ok().and_then(|r| r.digest);
    let named = digest.unwrap_or_else(|| format!("sha256:{}", typed.strip_prefix("sha256:").unwrap_or(typed)));
    let is_it = image::digests(&draft.image).contains(&named.as_str());
    // Before a pull there is nothing to compare with; the pull itself does, and then it is judged again.
    let will_be = image::is_unknown(&draft.image) && typed.contains('@');
    if draft.asked.rootfs.is_none() && (is_it || will_be) {
        return Vec::new();
    }
    let finding = Finding::new(DIGEST.id, typed.clone());
    // What the tag means now can be pasted where a registry knows it by that.
    match (draft.image.repositories.first(), draft.image.index_digest.as_ref(), draft.image.manifest_digest.as_str()) {
        (Some(name), index, manifest) => {
            let digest = index.map_or(manifest, String::as_str);
            vec![finding.instead(format!("{name}@{digest}, which is what it means now"))]
        }
        _ => vec![finding],
    }
}

fn signed(draft: &Draft, facts: &Facts) -> Vec<Finding> {
    let image = &draft.image;
    let wanted = facts
        .site
        .law
        .signatures
        .iter()
        .filter(|s| s.images.is_empty() || s.images.iter().any(|p| image::concerns(p, image)));
    let mut out = Vec::new();
    for entry in wanted {
        if draft.asked.rootfs.is_some() {
            out.push(Finding::new(SIGNATURE.id, image.reference.clone()).detail("a folder cannot be signed"));
        } else if !image::is_unknown(image) {
            let digests: Vec<&str> =
                [Some(image.manifest_digest.as_str()), image.index_digest.as_deref()].into_iter().flatten().collect();
            if let Err(why) = signature::check(entry, &image.signatures, &digests, &image.repositories) {
                out.push(Finding::new(SIGNATURE.id, image.reference.clone()).detail(why));
            }
        }
    }
    out
}

fn path(draft: &Draft, facts: &Facts) -> Vec<Finding> {
    mount::binds(draft, facts)
        .filter_map(|(bind, matches)| {
            let why = matches
                .iter()
                .filter(|m| m.class == PathClass::Barred)
                .find(|m| m.relation != Relation::Contains || !mount::is_covered(bind, &m.path, draft))?;
            Some(mount::finding(PATH.id, bind, why))
        })
        .collect()
}
