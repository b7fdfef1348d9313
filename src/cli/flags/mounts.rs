//! What is mounted.

super::flags! {
    /// Flags that put files into the container.
    pub struct MountFlags, "Mounts" {
        /// Folders to chroot-adjust files in (podman)
        chrootdirs: List("chrootdirs", "list");
        /// Mount a file system; KEY=VALUE pairs: type, source, target, readonly and more
        mount: List("mount", "mount");
        /// Give the container a secret's file (podman)
        secret: List("secret", "secret");
        /// Storage option; size=BYTES for the root file system
        storage_opt: List("storage-opt", "list");
        /// Mount a tmpfs: PATH[:OPTIONS]
        tmpfs: List("tmpfs", "list");
        /// Bind a host folder or mount a volume: [SOURCE:]TARGET[:OPTIONS]
        volume: List("volume" 'v', "list");
        /// Volume driver; only local exists
        volume_driver: Text("volume-driver", "string");
        /// Mount the volumes of another container: CONTAINER[:ro|rw]
        volumes_from: List("volumes-from", "list");
    }
}
