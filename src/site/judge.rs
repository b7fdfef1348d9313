//! Whether an override that was given counts here.

use super::law::Grant;
use super::pattern::{Named, Pattern};
use super::schema::{Name, Unlisted};
use super::{Site, image};
use crate::image::reference::Reference;
use crate::plan::ImagePlan;

/// What the policy says to one override.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Permission {
    /// With the entry's reason and last day where one was needed.
    Given(Option<String>),
    /// And why.
    Denied(String),
}

impl Site {
    /// Whether this caller may override `rule` for this image, today.
    pub fn permits(&self, rule: &str, image: &ImagePlan) -> Permission {
        self.permits_where(rule, &|pattern| image::fits(pattern, image))
    }

    /// The same where there is no image: entries that name images permit nothing then.
    pub fn permits_anywhere(&self, rule: &str) -> Permission {
        self.permits_where(rule, &|_| false)
    }

    /// The same for a registry that is about to be spoken with: of an image there is what was typed. Without a path the registry
    /// as a whole is meant.
    pub fn permits_registry(&self, rule: &str, reference: &Reference) -> Permission {
        let digests: Vec<&str> = reference.digest.as_deref().into_iter().collect();
        self.permits_where(rule, &|pattern| pattern.fits(Named { reference: Some(reference), digests: &digests }))
    }

    fn permits_where(&self, rule: &str, fits: &dyn Fn(&Pattern) -> bool) -> Permission {
        let law = &self.law;
        if law.deny.iter().any(|r| r == rule) {
            return Permission::Denied("nobody may override this rule".into());
        }
        let mut grants = law.allow.iter().filter(|g| g.rule == rule).peekable();
        if grants.peek().is_none() {
            return match law.unlisted_overrides {
                Unlisted::Allow => Permission::Given(None),
                Unlisted::Deny => Permission::Denied("it is not among the overrides that are permitted".into()),
            };
        }
        let mut why = Vec::new();
        for grant in grants {
            match self.objection(grant, fits) {
                None => return Permission::Given(Some(format!("until {}: {}", grant.expires, grant.reason))),
                Some(objection) => why.push(objection),
            }
        }
        Permission::Denied(why.join("; "))
    }

    fn objection(&self, grant: &Grant, fits: &dyn Fn(&Pattern) -> bool) -> Option<String> {
        if self.today > grant.expires {
            return Some(format!("what permitted it expired on {}", grant.expires));
        }
        if !self.caller.is_one_of(&grant.users, &grant.groups) {
            let who: Vec<String> =
                grant.users.iter().map(name).chain(grant.groups.iter().map(|g| format!("group {}", name(g)))).collect();
            return Some(format!("it is permitted to {} only; this is {}", who.join(", "), self.caller));
        }
        let fits = grant.images.is_empty() || grant.images.iter().any(fits);
        if !fits {
            let which: Vec<String> = grant.images.iter().map(ToString::to_string).collect();
            return Some(format!("it is permitted for {} only", which.join(", ")));
        }
        None
    }
}

fn name(name: &Name) -> String {
    match name {
        Name::Id(id) => id.to_string(),
        Name::Name(name) => name.clone(),
    }
}
