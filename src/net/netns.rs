//! Work inside a container's network namespace.

use crate::error::{Context as _, Result};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd};

/// The calling thread's own network namespace.
pub fn own() -> std::io::Result<File> {
    File::open("/proc/thread-self/ns/net")
}

/// Do something with the calling thread in namespace `netns`, and come back. What is opened there stays there.
///
/// # Panics
/// When there is no way back: what would go on in the container's network is not for it.
pub fn inside<T>(netns: BorrowedFd<'_>, work: impl FnOnce() -> Result<T>) -> Result<T> {
    let attempt = || "enter the container's network".to_string();
    let home = own().context(attempt)?;
    move_into_link_name_space(netns, Some(LinkNameSpaceType::Network)).context(attempt)?;
    let result = work();
    move_into_link_name_space(home.as_fd(), Some(LinkNameSpaceType::Network))
        .expect("the host's network is left for a moment only");
    result
}

/// Write a setting of the network namespace that the calling thread is in: `ipv4/ip_forward`.
pub fn sysctl(key: &str, value: &str) -> Result<()> {
    let path = format!("/proc/sys/net/{key}");
    std::fs::write(&path, value).context(|| format!("write {value} to {path}"))
}

pub fn read_sysctl(key: &str) -> Option<String> {
    Some(std::fs::read_to_string(format!("/proc/sys/net/{key}")).ok()?.trim().to_owned())
}
