//! plan to OCI runtime spec
