//! Namespaces, privileges, confinement.

super::flags! {
    /// Flags that decide what separates the container from the host.
    pub struct IsolationFlags, "Isolation" {
        /// Add a capability; those that give the host away need --allow
        cap_add: List("cap-add", "list");
        /// Drop a capability, or ALL
        cap_drop: List("cap-drop", "list");
        /// Cgroup namespace: private, or host (refused unless allowed)
        cgroupns: Text("cgroupns", "string");
        /// Add a host device: HOST[:CONTAINER][:rwm]
        device: List("device", "list");
        /// Add a rule to the device cgroup: "TYPE MAJOR:MINOR ACCESS"
        device_cgroup_rule: List("device-cgroup-rule", "list");
        /// Map container gids (podman): CONTAINER:HOST[:LENGTH]
        gidmap: List("gidmap", "list");
        /// GPUs to add to the container
        gpus: Text("gpus", "gpu-request");
        /// IPC namespace: private, shareable, none, container:NAME, host (refused unless allowed)
        ipc: Text("ipc", "string");
        /// Container isolation technology; only "default" exists on Linux
        isolation: Text("isolation", "string");
        /// Execution domain (podman)
        personality: Text("personality", "string");
        /// PID namespace: container:NAME, host (refused unless allowed)
        pid: Text("pid", "string");
        /// Give every privilege to the container (refused unless allowed)
        privileged: Switch("privileged");
        /// Mount the root file system read-only
        read_only: Switch("read-only");
        /// With --read-only, writable tmpfs on /run, /tmp and /var/tmp (podman)
        read_only_tmpfs: Switch("read-only-tmpfs");
        /// OCI runtime; only hardrun's own exists
        runtime: Text("runtime", "string");
        /// Where the seccomp profile comes from: default or image (podman)
        seccomp_policy: Text("seccomp-policy", "string");
        /// Security options: no-new-privileges, seccomp=, apparmor=, label=, systempaths=, writable-cgroups=
        security_opt: List("security-opt", "list");
        /// Range of /etc/subgid to map (podman)
        subgidname: Text("subgidname", "string");
        /// Range of /etc/subuid to map (podman)
        subuidname: Text("subuidname", "string");
        /// Kernel parameter of the container's own namespaces: KEY=VALUE
        sysctl: List("sysctl", "map");
        /// systemd mode (podman); only false exists
        systemd: Text("systemd", "string");
        /// Map container uids (podman): CONTAINER:HOST[:LENGTH]
        uidmap: List("uidmap", "list");
        /// Bind the engine's API socket into the container (refused unless allowed; hardrun has none)
        use_api_socket: Switch("use-api-socket");
        /// User namespace: auto, keep-id, nomap, host (refused unless allowed)
        userns: Text("userns", "string");
        /// UTS namespace: host (refused unless allowed)
        uts: Text("uts", "string");
    }
}
