//! From granted capabilities to the five sets.

use crate::plan::Draft;
use std::collections::BTreeSet;

/// The five capability sets of a process, by canonical name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Sets {
    pub bounding: BTreeSet<String>,
    pub effective: BTreeSet<String>,
    pub permitted: BTreeSet<String>,
    pub inheritable: BTreeSet<String>,
    pub ambient: BTreeSet<String>,
}

/// Root gets what was granted in its bounding, permitted and effective sets. Any other user gets nothing at all: with
/// no_new_privs it could never raise a capability out of the bounding set anyway. Inheritable and ambient stay empty
/// (CVE-2022-29162: a non-empty inheritable set gives capabilities to programs with file capabilities). Where
/// no_new_privs was overridden the bounding set is kept, so that setuid programs work as under docker.
///
/// `exec --privileged` is asked for to have capabilities: there a user who is not root has them too, which takes the ambient set.
pub fn sets(draft: &Draft) -> Sets {
    let granted = draft.capabilities.value.clone();
    if draft.process.user.value.uid != 0 && draft.asked.exec.as_ref().is_some_and(|e| e.privileged) {
        return Sets {
            bounding: granted.clone(),
            effective: granted.clone(),
            permitted: granted.clone(),
            inheritable: granted.clone(),
            ambient: granted,
        };
    }
    if draft.process.user.value.uid == 0 {
        Sets { bounding: granted.clone(), effective: granted.clone(), permitted: granted, ..Sets::default() }
    } else if draft.process.no_new_privileges.value {
        Sets::default()
    } else {
        Sets { bounding: granted, ..Sets::default() }
    }
}

/// What loading a filter needs where no_new_privs was overridden, and dropping it from the bounding set afterwards.
pub const FOR_THE_FILTER: [&str; 2] = ["CAP_SYS_ADMIN", "CAP_SETPCAP"];

/// The sets that libcontainer leaves the container's process with. They are [`sets`], but for a container without
/// no_new_privs: there the kernel takes a filter only from a process with CAP_SYS_ADMIN in its user namespace. The
/// executor drops what was added before the workload starts, and the read-back sees the final sets.
pub fn sets_at_launch(draft: &Draft) -> Sets {
    let mut sets = sets(draft);
    if !draft.process.no_new_privileges.value && crate::seccomp::has_filter(&draft.seccomp) {
        for name in FOR_THE_FILTER {
            for set in [&mut sets.bounding, &mut sets.effective, &mut sets.permitted] {
                set.insert(name.to_owned());
            }
        }
    }
    sets
}
