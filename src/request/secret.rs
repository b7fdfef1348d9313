//! podman's `--secret NAME[,type=mount|env][,target=…][,uid=,gid=,mode=]`

/// A named secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Secret {
    pub name: String,
    pub typed: String,
}
