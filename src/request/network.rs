//! `--network`

/// One network the container joins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkSpec {
    pub target: NetworkTarget,
    pub aliases: Vec<String>,
    pub ip: Option<String>,
    pub ip6: Option<String>,
    pub mac: Option<String>,
    pub link_local_ips: Vec<String>,
    pub driver_opts: Vec<(String, String)>,
    pub gw_priority: Option<i64>,
    /// With its flag: `--network host`.
    pub typed: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NetworkTarget {
    None,
    Host,
    /// `bridge`, `default` or an empty word.
    Bridge,
    Container(String),
    Named(String),
}
