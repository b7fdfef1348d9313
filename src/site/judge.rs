//! Whether an override that was given counts here.

use super::law::Grant;
use super::schema::{Name, Unlisted};
use super::{Site, image};
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
            match self.objection(grant, image) {
                None => return Permission::Given(Some(format!("until {}: {}", grant.expires, grant.reason))),
                Some(objection) => why.push(objection),
            }
        }
        Permission::Denied(why.join("; "))
    }

    fn objection(&self, grant: &Grant, image: &ImagePlan) -> Option<String> {
        if self.today > grant.expires {
            return Some(format!("what permitted it expired on {}", grant.expires));
        }
        if !self.caller.is_one_of(&grant.users, &grant.groups) {
            let who: Vec<String> =
                grant.users.iter().map(name).chain(grant.groups.iter().map(|g| format!("group {}", name(g)))).collect();
            return Some(format!("it is permitted to {} only; this is {}", who.join(", "), self.caller));
        }
        let fits = grant.images.is_empty() || grant.images.iter().any(|p| image::fits(p, image));
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
