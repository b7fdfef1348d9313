//! What docker has no flag for.

super::flags! {
    /// hardrun's own flags.
    pub struct OwnFlags, "Hardening" {
        /// Override one rule: RULE or RULE=REASON; the reason is written to the audit log
        allow: List("allow", "rule");
        /// Print the plan and start nothing
        dry_run: Switch("dry-run");
        /// Format of the printed plan: text or json
        format: Text("format", "string");
        /// Only images that a lock file names, by the digests in it; hardrun.lock unless another file is named
        locked: Maybe("locked", "file");
        /// Hardening preset
        preset: Text("preset", "string");
        /// Print the nearest hardened `docker run` line and start nothing
        print_docker: Switch("print-docker");
    }
}
