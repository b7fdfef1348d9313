//! Capability names as docker takes them.

/// `ALL` or an upper-case name with its prefix (`CAP_SYS_ADMIN`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CapName {
    pub name: String,
    /// With its flag: `--cap-add sys_admin`.
    pub typed: String,
}

impl CapName {
    pub fn is_all(&self) -> bool {
        self.name == "ALL"
    }
}
