//! Whether systemd runs this host, and can be asked for control groups.

use serde::{Deserialize, Serialize};
use std::path::Path;

/// The bus that systemd is asked over.
pub const BUS: &str = "/run/dbus/system_bus_socket";
/// sd_booted(3): there as long as systemd is pid 1.
const BOOTED: &str = "/run/systemd/system";

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Systemd {
    /// Something else is pid 1.
    #[default]
    None,
    /// It is pid 1, and there is no system bus to ask it over.
    WithoutBus,
    Reachable,
}

impl Systemd {
    pub fn look() -> Systemd {
        Self::at(Path::new(BOOTED), Path::new(BUS))
    }

    fn at(booted: &Path, bus: &Path) -> Systemd {
        match (booted.is_dir(), bus.exists()) {
            (false, _) => Systemd::None,
            (true, false) => Systemd::WithoutBus,
            (true, true) => Systemd::Reachable,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bus_alone_is_no_systemd() {
        let dir = tempfile::tempdir().unwrap();
        let (here, gone) = (dir.path(), dir.path().join("gone"));
        assert_eq!(Systemd::at(&gone, here), Systemd::None);
        assert_eq!(Systemd::at(here, &gone), Systemd::WithoutBus);
        assert_eq!(Systemd::at(here, here), Systemd::Reachable);
    }
}
