//! `--user name|uid[:group|gid]`

/// Split, not looked up: names are the image's business.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserSpec {
    /// As typed: what `image::users::resolve` takes.
    pub typed: String,
    pub user: String,
    pub group: Option<String>,
}
