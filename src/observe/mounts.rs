//! What a container mounts, as docker lists it: what was asked for, and the image's volumes. File systems that every
//! container has are not in the list.

use crate::plan::{Draft, MountKind, MountPlan};
use serde::Serialize;

/// Docker's `MountPoint`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct MountPoint {
    /// bind, volume, tmpfs or image.
    pub r#type: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    pub source: String,
    pub destination: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub driver: String,
    /// As typed: `ro`, `z`.
    pub mode: String,
    #[serde(rename = "RW")]
    pub rw: bool,
    pub propagation: String,
}

impl MountPoint {
    /// What a listing shows.
    pub fn name_or_source(&self) -> &str {
        if self.name.is_empty() { &self.source } else { &self.name }
    }
}

/// In the order in which they are mounted.
pub fn mount_points(draft: &Draft) -> Vec<MountPoint> {
    draft.mounts.iter().filter_map(point).collect()
}

fn point(mount: &MountPlan) -> Option<MountPoint> {
    let (flag, typed) = mount.asked.split_once(' ').unwrap_or((&mount.asked, ""));
    let common = MountPoint {
        destination: mount.destination.clone(),
        rw: !mount.readonly.value,
        mode: mode(flag, typed),
        ..MountPoint::default()
    };
    Some(match &mount.kind {
        MountKind::Bind { source, .. } => MountPoint {
            r#type: "bind".into(),
            source: source.display().to_string(),
            propagation: propagation(&mount.propagation.value),
            ..common
        },
        MountKind::Volume { source, name, .. } => {
            let folder = || source.parent()?.file_name()?.to_str().map(str::to_owned);
            MountPoint {
                r#type: "volume".into(),
                name: name.clone().or_else(folder).unwrap_or_default(),
                source: source.display().to_string(),
                driver: "local".into(),
                mode: if flag == "--mount" { "z".into() } else { common.mode.clone() },
                ..common
            }
        }
        // `--tmpfs` has a place of its own in docker's answers, and those of presets are nobody's wish.
        MountKind::Tmpfs { .. } if flag == "--mount" => MountPoint { r#type: "tmpfs".into(), ..common },
        MountKind::Image { .. } => MountPoint { r#type: "image".into(), ..common },
        MountKind::Tmpfs { .. } | MountKind::File { .. } => return None,
    })
}

/// The third part of `-v SOURCE:TARGET:MODE`.
fn mode(flag: &str, typed: &str) -> String {
    let mode = || typed.splitn(3, ':').nth(2);
    if matches!(flag, "-v" | "--volume") { mode().unwrap_or_default().to_owned() } else { String::new() }
}

/// Every bind takes its submounts along: docker's words are the recursive ones.
fn propagation(value: &str) -> String {
    if value.starts_with('r') { value.to_owned() } else { format!("r{value}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Sourced;
    use std::path::PathBuf;

    fn mount(kind: MountKind, asked: &str, readonly: bool) -> MountPlan {
        MountPlan {
            destination: "/d".into(),
            kind,
            readonly: Sourced::default(readonly),
            noexec: false,
            asked: asked.into(),
            propagation: Sourced::default("private".into()),
        }
    }

    #[test]
    fn volumes_have_names_and_modes_as_typed() {
        let volume = |name: Option<&str>| MountKind::Volume {
            source: PathBuf::from("/r/volumes/abc/_data"),
            name: name.map(str::to_owned),
            copy_up: true,
            subpath: None,
            labels: Default::default(),
        };
        let named = point(&mount(volume(Some("vol")), "-v vol:/d:ro", true)).unwrap();
        assert_eq!((named.name.as_str(), named.mode.as_str(), named.rw), ("vol", "ro", false));
        let anonymous = point(&mount(volume(None), "-v /d", false)).unwrap();
        assert_eq!((anonymous.name.as_str(), anonymous.mode.as_str(), anonymous.rw), ("abc", "", true));
        assert_eq!(point(&mount(volume(Some("v")), "--mount source=v,target=/d", false)).unwrap().mode, "z");
        assert_eq!(propagation("private"), "rprivate");
        assert_eq!(propagation("rslave"), "rslave");
        let tmpfs = || MountKind::Tmpfs { size: 1, mode: 0o1777, uid: 0, gid: 0 };
        assert!(point(&mount(tmpfs(), "--tmpfs /d", false)).is_none());
        assert!(point(&mount(tmpfs(), "tmpfs /tmp of preset default", false)).is_none());
        assert_eq!(point(&mount(tmpfs(), "--mount type=tmpfs,target=/d", false)).unwrap().r#type, "tmpfs");
    }
}
