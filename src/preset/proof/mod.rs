//! Whether a preset is right: a real program does real work under it, and what the preset grants is held against what the
//! program used.
//!
//! A proof is a shell script with two halves. `work` is run under strace, which sees what the container's processes ask the
//! kernel for; `outside` is not: it shows that one step further is denied. Which capability is needed no trace tells: the
//! work is done again without each.
//!
//! What this cannot see: a call that is needed once a month. A proof is as good as the work in it.

mod trace;
mod usage;

pub use trace::{Trace, Used};
pub use usage::{Grant, grants};

/// The shell functions that every proof begins with.
pub const PRELUDE: &str = include_str!("../../../presets/proofs/prelude.sh");

macro_rules! proofs {
    ($($name:literal),* $(,)?) => { &[$(($name, include_str!(concat!("../../../presets/proofs/", $name, ".sh")))),*] };
}

/// The proofs of the built-in presets, by name.
#[rustfmt::skip] // a list stays a list
pub const PROOFS: &[(&str, &str)] = proofs![
    "nginx", "haproxy", "static-server", "postgres", "mariadb", "redis", "memcached",
    "node", "python", "jvm", "static-binary",
    "batch", "ci-build", "network-tool", "untrusted",
];

/// The image that a proof's script names in its line `# image: NAME`: a root file system that `integration/fixtures` makes.
pub fn image_of(script: &str) -> Option<&str> {
    script.lines().find_map(|line| line.strip_prefix("# image: ")).map(str::trim)
}
