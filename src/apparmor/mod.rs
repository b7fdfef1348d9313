//! apparmor
