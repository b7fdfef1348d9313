//! What a container's root and mounts are made of: idmapped layers under an overlay, idmapped binds, volumes and small
//! files, all staged in the launcher's own mount namespace, so that they vanish with it.

pub mod access;
pub mod binds;
pub mod changes;
pub mod copy;
mod copyup;
pub mod destination;
pub mod devices;
pub mod files;
mod fuse;
pub mod idrange;
pub mod root;
pub mod shift;
pub mod stage;
pub mod tree_in;
pub mod tree_out;
pub mod volumes;

pub use stage::Stage;

use std::ffi::CStr;

/// Overlayfs's mark on a folder that hides what is below, and on one that is called otherwise there. Where an ordinary user mounts the
/// overlay they are attributes that this user may set.
pub fn opaque() -> &'static CStr {
    if crate::rootless::current().is_some() { c"user.overlay.opaque" } else { c"trusted.overlay.opaque" }
}

pub fn redirect() -> &'static CStr {
    if crate::rootless::current().is_some() { c"user.overlay.redirect" } else { c"trusted.overlay.redirect" }
}
