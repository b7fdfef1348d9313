//! `--security-opt`

use std::path::PathBuf;

/// One option.
#[derive(Debug, Clone, PartialEq)]
pub enum SecurityOpt {
    NoNewPrivileges(bool),
    SeccompBuiltin,
    SeccompUnconfined,
    SeccompFile {
        path: PathBuf,
        /// The file's text, known to be JSON.
        json: String,
    },
    AppArmorUnconfined,
    AppArmorProfile(String),
    LabelDisable,
    /// `user`, `role`, `type`, `level` or `filetype`, and its value.
    Label {
        key: String,
        value: String,
    },
    SystempathsUnconfined,
    WritableCgroups(bool),
    /// podman: paths to mask besides.
    Mask(Vec<String>),
    /// podman: `ALL` or paths not to mask.
    Unmask(Vec<String>),
}
