//! A plan that was made earlier, on this host as it is today.

use super::fallback::fallbacks;
use super::{AppArmor, Draft, Landlock, Plan, SeLinux, Source, Sourced, UserNamespace};
use crate::error::{Error, Result};
use crate::facts::{CgroupVersion, Enforcement, Facts, Limit, Systemd};

impl Plan {
    /// Give a container the layers that this host has got since it was created, as far as one that exists can have them. Returns what
    /// is to be said of it.
    ///
    /// # Errors
    /// A layer that it was created with is gone, or one has come that it would have to be made anew for.
    pub fn renew(&mut self, facts: &Facts) -> Result<Vec<String>> {
        let mut said = Vec::new();
        let draft = &mut self.draft;
        match (&draft.apparmor.value, facts.apparmor) {
            (AppArmor::Unavailable, true) => {
                draft.apparmor = Sourced::default(AppArmor::Builtin);
                said.push(
                    "AppArmor has come to this host since the container was created: it has a profile now".to_owned(),
                );
            }
            (AppArmor::Builtin | AppArmor::Named(_), false) => {
                return Err(Error::runner(
                    "the container was created with an AppArmor profile, and this host has no AppArmor now",
                )
                .hint("boot with apparmor=1 security=apparmor, or create it anew"));
            }
            _ => {}
        }
        match (&draft.selinux.value, facts.selinux) {
            (SeLinux::Unavailable, true) => {
                return Err(Error::runner(
                    "SELinux has come to this host since the container was created: its files have no label",
                )
                .hint("create it anew"));
            }
            (SeLinux::Labels { .. }, false) => {
                return Err(Error::runner(
                    "the container was created with SELinux labels, and SELinux is off on this host now",
                )
                .hint("boot with security=selinux, or create it anew"));
            }
            _ => {}
        }
        draft.asked.apparmor_watches = facts.apparmor_mode.watches();
        said.extend(renew_landlock(draft, facts.landlock_abi)?);
        super::draft::declared::check(draft)?;
        said.extend(renew_swap(draft, facts));
        if matches!(draft.namespaces.user.value, UserNamespace::Private { .. }) && !facts.user_namespaces {
            return Err(Error::runner(
                "the container was created with a user namespace, and this host has them switched off now",
            )
            .hint("sysctl -w user.max_user_namespaces=65536, or create it anew: its files belong to ids of its own"));
        }
        let user = &draft.namespaces.user;
        if user.value == UserNamespace::Host
            && user.source == Source::Host
            && facts.user_namespaces
            && facts.idmapped_overlay
        {
            said.push("the container was created without a user namespace, which this host has now: create it anew to have one".to_owned());
        }
        if !said.is_empty() {
            self.fallbacks.retain(|f| f.layer == "oom score");
            self.fallbacks.extend(fallbacks(&self.draft, facts));
        }
        Ok(said)
    }
}

/// That nothing of it is swapped out, where the limit on memory came before a kernel that can say so.
fn renew_swap(draft: &mut Draft, facts: &Facts) -> Option<String> {
    let resources = &mut draft.resources;
    let memory = resources.memory.as_ref().filter(|m| m.value > 0)?;
    if resources.memory_swap.is_some() || !facts.limits.contains(&Limit::Swap) {
        return None;
    }
    resources.memory_swap = Some(Sourced::default(memory.value));
    Some("swap can be limited on this host, unlike when the container was created: it has none now".to_owned())
}

/// The ruleset that a kernel with this ABI can have; what is to be said of it, where it is another one than before.
fn renew_landlock(draft: &mut Draft, abi: u32) -> Result<Option<String>> {
    let now = crate::landlock::decide(abi);
    let said = match (&draft.landlock.value, &now) {
        (Landlock::Unavailable, Landlock::Ruleset { .. }) => {
            "Landlock has come to this host since the container was created: it has a ruleset now".to_owned()
        }
        (Landlock::Ruleset { abi: before }, Landlock::Ruleset { abi }) if abi > before => format!(
            "Landlock can do more on this host than when the container was created (version {abi}, {before} before): \
             its ruleset is made anew"
        ),
        (Landlock::Ruleset { abi: before }, _) if abi < *before => {
            let less = if abi == 0 { "no Landlock".to_owned() } else { format!("version {abi}") };
            return Err(Error::runner(format!(
                "the container was created with a ruleset of Landlock's version {before}, and this host has {less} now"
            ))
            .hint(
                "boot the kernel, and with the lsm= list, that it was created under, or create it anew; \
                 `hardrun doctor` names what Landlock lacks",
            ));
        }
        _ => return Ok(None),
    };
    draft.landlock = Sourced::default(now);
    Ok(Some(said))
}

impl Draft {
    /// Whether a profile of hardrun's is in force: one that says what the path policy says.
    pub fn apparmor_refuses(&self) -> bool {
        self.apparmor.value == AppArmor::Builtin && !self.asked.apparmor_watches
    }

    /// Modules that are on and refuse nothing: what every start is to say.
    ///
    /// # Errors
    /// Whether one refuses anything cannot be known.
    pub fn watched(&self, facts: &Facts) -> Result<Vec<String>> {
        let mut said = Vec::new();
        for (module, policy, mode) in self.modules(facts) {
            match mode {
                Enforcement::Watches(mode) => {
                    let refuses = if policy == "profile" { "its profile refuses" } else { "labels refuse" };
                    said.push(format!(
                        "{module} is in {mode} mode on this host: {refuses} nothing, the other layers hold"
                    ));
                }
                Enforcement::Unknown(why) => {
                    return Err(Error::runner(format!("whether {module} refuses anything on this host is not known"))
                        .because(why.clone()));
                }
                Enforcement::Refuses => {}
            }
        }
        if let Some(kind) = self.permissive_type(facts) {
            said.push(format!(
                "SELinux's policy makes {kind} permissive: labels refuse nothing, the other layers hold"
            ));
        }
        Ok(said)
    }

    /// The processes' SELinux type, where the policy makes that one permissive on a host that enforces the others.
    pub(super) fn permissive_type(&self, facts: &Facts) -> Option<&str> {
        match &self.selinux.value {
            SeLinux::Labels { process, .. }
                if self.asked.selinux_permissive && facts.selinux_mode == Enforcement::Refuses =>
            {
                Some(crate::selinux::kind(process))
            }
            _ => None,
        }
    }

    /// The security modules whose policy of hardrun's confines the container: the name, what it has of each, and what that does here.
    pub(super) fn modules<'f>(
        &self,
        facts: &'f Facts,
    ) -> impl Iterator<Item = (&'static str, &'static str, &'f Enforcement)> + use<'f> {
        let profile =
            (self.apparmor.value == AppArmor::Builtin).then_some(("AppArmor", "profile", &facts.apparmor_mode));
        let labels = matches!(self.selinux.value, SeLinux::Labels { .. });
        profile.into_iter().chain(labels.then_some(("SELinux", "label", &facts.selinux_mode)))
    }

    /// The same of a systemd that cannot be asked for a scope.
    pub fn without_scope(&self, facts: &Facts) -> Option<String> {
        self.misses_scope(facts).then(|| format!("{NO_BUS}; the container's control group is made without systemd"))
    }

    /// Whether systemd would make the container's group if there were a bus. (An ordinary user's own systemd is asked for that user's.)
    pub(super) fn misses_scope(&self, facts: &Facts) -> bool {
        let unified = facts.cgroup == CgroupVersion::V2 && facts.rootless.is_none();
        unified && facts.systemd == Systemd::WithoutBus && self.slice().is_some()
    }
}

pub(super) const NO_BUS: &str = "systemd is pid 1, and there is no system bus to ask it over";
