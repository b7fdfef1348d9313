//! Images: an OCI image layout on disk, the ways in and out of it, and unpacked layers.

pub mod reference;
pub mod store;
pub mod users;
pub mod view;
