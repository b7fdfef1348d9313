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
pub mod idrange;
pub mod root;
pub mod shift;
pub mod stage;
pub mod tree_in;
pub mod tree_out;
pub mod volumes;

pub use stage::Stage;
