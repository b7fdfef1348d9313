//! What supervisors that were killed left behind: leases, elements of the rules, bridges of networks that nobody is on.

use super::bridge::Host;
use super::lease::{self, Lease};
use super::store::{Lock, Store};
use crate::error::{Context as _, Result};
use crate::net::elements::Family;
use crate::state::Paths;
use std::net::IpAddr;

/// Take away what belongs to containers that are not alive. Cheap where there is nothing: a folder is read.
///
/// `alive` says of a container's id whether a supervisor holds its lock. Nothing of another root is looked at.
pub fn sweep(paths: &Paths, alive: &dyn Fn(&str) -> bool) -> Result<()> {
    let stale = |id: &String| {
        let leases = lease::all(paths, id).unwrap_or_default();
        leases.is_empty() || leases.iter().any(|l| !alive(&l.container))
    };
    let networks = lease::networks(paths)?;
    if networks.is_empty() {
        return Ok(());
    }
    let host = Host::open(paths)?;
    let flushed = !host.tables.are_whole().context(|| "look for the rules of hardrun's networks".into())?;
    if !flushed && !networks.iter().any(stale) {
        return Ok(());
    }
    let lock = Store::new(paths).lock()?;
    let mut errors = Vec::new();
    for id in lease::networks(paths)? {
        errors.extend(dead(&host, &lock, &id, alive).err());
        errors.extend(unused(&host, &lock, &id).err());
    }
    // Somebody flushed the host's rules while containers run: until now nothing kept them from the host.
    if flushed && !lease::networks(paths)?.is_empty() && !host.tables.are_whole().unwrap_or(true) {
        errors.extend(host.restore(&lock).err());
    }
    errors.into_iter().next().map_or(Ok(()), Err)
}

/// The leases of one network whose containers are gone.
pub(super) fn dead(host: &Host, lock: &Lock, network: &str, alive: &dyn Fn(&str) -> bool) -> Result<()> {
    let mut errors = Vec::new();
    for lease in lease::all(&host.paths, network)?.iter().filter(|l| !alive(&l.container)) {
        errors.extend(release(host, lock, lease).err());
    }
    errors.into_iter().next().map_or(Ok(()), Err)
}

/// Take a network down that nobody is on.
pub(super) fn unused(host: &Host, lock: &Lock, network: &str) -> Result<()> {
    // A lease that cannot be read is somebody's all the same.
    if lease::all(&host.paths, network)?.is_empty() && lease::unreadable(&host.paths, network)?.is_empty() {
        return host.take_down(lock, network);
    }
    Ok(())
}

/// Take away what one lease names, and give its address back. The container's port passes nothing from then on: its link
/// goes with its network namespace, which the kernel takes apart in its own time.
pub(super) fn release(host: &Host, lock: &Lock, lease: &Lease) -> Result<()> {
    let mut errors = Vec::new();
    let context = |e: std::io::Error| crate::error::Error::runner(format!("free the address {}", lease.ip)).because(e);
    let mut elements = lease.elements.clone();
    if lease.limited {
        // What was learned of names, and who was asked. None of it may be the next container's with this address.
        let own = [Some(IpAddr::V4(lease.ip)), lease.ip6.map(IpAddr::V6)];
        for ip in own.into_iter().flatten() {
            for set in ["egress", "egressport"] {
                for family in [Family::Inet, Family::Bridge] {
                    elements.extend(host.tables.beginning_with(family, set, ip).unwrap_or_default());
                }
            }
        }
    }
    elements.dedup();
    // The tables are gone where the host's rules were flushed as a whole.
    if host.tables.exist().unwrap_or(true) {
        errors.extend(host.tables.remove(&elements).map_err(context).err());
    }
    errors.extend(lease::remove(lock, &host.paths, lease).err());
    errors.into_iter().next().map_or(Ok(()), Err)
}
