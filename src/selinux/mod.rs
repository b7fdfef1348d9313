//! selinux
