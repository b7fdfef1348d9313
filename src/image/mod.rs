//! Images: an OCI image layout on disk, the ways in and out of it, and unpacked layers.

pub mod archive;
pub mod blob;
pub mod commit;
mod compress;
pub mod digest;
pub mod disk;
mod fsutil;
pub mod gc;
pub mod history;
pub mod import;
pub mod ingest;
pub mod inspect;
pub mod layers;
pub mod layout;
pub mod linked;
pub mod list;
pub mod lock;
mod pax;
pub mod prune;
pub mod reference;
pub mod registry;
pub mod save;
pub mod store;
pub(crate) mod tarball;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod testtar;
mod tree;
mod unpack;
pub mod usage;
pub mod users;
pub mod view;
mod work;

pub use fsutil::{list as list_folder, private_dir, remove_path, write_atomic};
