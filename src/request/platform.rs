//! `--platform os/arch[/variant]`

/// A platform; parts that were not given are `None`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Platform {
    pub os: Option<String>,
    pub architecture: Option<String>,
    pub variant: Option<String>,
    pub typed: String,
}
