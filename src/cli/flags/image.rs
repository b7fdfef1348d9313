//! Where the image comes from.

super::flags! {
    /// Flags about finding and pulling the image.
    pub struct ImageFlags, "Image" {
        /// Architecture of the image (podman)
        arch: Text("arch", "string");
        /// File with registry credentials (podman)
        authfile: Text("authfile", "path");
        /// Folder with registry certificates (podman)
        cert_dir: Text("cert-dir", "path");
        /// Registry credentials on the command line (podman; not taken: others can read them)
        creds: Text("creds", "string");
        /// Key of an encrypted image (podman; not applicable)
        decryption_key: List("decryption-key", "string");
        /// Skip image verification (does nothing)
        disable_content_trust: Switch("disable-content-trust");
        /// What becomes of the image's volumes: bind, tmpfs, ignore (podman)
        image_volume: Text("image-volume", "string");
        /// Operating system of the image (podman)
        os: Text("os", "string");
        /// Platform of the image: OS/ARCH[/VARIANT]
        platform: Text("platform", "string");
        /// When to pull: always, missing, never
        pull: Text("pull", "string");
        /// No pull progress
        quiet: Switch("quiet" 'q');
        /// How often a failed pull is tried again (podman)
        retry: Text("retry", "uint");
        /// Time between tries (podman)
        retry_delay: Text("retry-delay", "duration");
        /// The image is a folder with a root file system (podman; refused unless allowed)
        rootfs: Switch("rootfs");
        /// Check the registry's certificate (podman; false is refused unless allowed)
        tls_verify: Switch("tls-verify");
        /// Variant of the architecture (podman)
        variant: Text("variant", "string");
    }
}
