//! Limits.

super::flags! {
    /// Flags that limit what the container uses of the host.
    pub struct ResourceFlags, "Resources" {
        /// Block IO weight, between 10 and 1000, or 0 for none
        blkio_weight: Text("blkio-weight", "uint16");
        /// Block IO weight of one device: DEVICE:WEIGHT
        blkio_weight_device: List("blkio-weight-device", "list");
        /// Raw cgroup v2 setting: KEY=VALUE (podman; refused unless allowed)
        cgroup_conf: List("cgroup-conf", "list");
        /// Parent cgroup (refused unless allowed)
        cgroup_parent: Text("cgroup-parent", "string");
        /// Cgroup use: enabled, disabled (refused unless allowed), no-conmon, split (podman)
        cgroups: Text("cgroups", "string");
        /// CPU count (Windows only)
        cpu_count: Text("cpu-count", "int");
        /// CPU percent (Windows only)
        cpu_percent: Text("cpu-percent", "int");
        /// CFS period in microseconds
        cpu_period: Text("cpu-period", "int");
        /// CFS quota in microseconds
        cpu_quota: Text("cpu-quota", "int");
        /// Real-time period in microseconds
        cpu_rt_period: Text("cpu-rt-period", "int");
        /// Real-time runtime in microseconds
        cpu_rt_runtime: Text("cpu-rt-runtime", "int");
        /// CPU shares (relative weight)
        cpu_shares: Text("cpu-shares" 'c', "int");
        /// Number of CPUs
        cpus: Text("cpus", "decimal");
        /// CPUs to run on (0-3, 0,1)
        cpuset_cpus: Text("cpuset-cpus", "string");
        /// Memory nodes to use (0-3, 0,1)
        cpuset_mems: Text("cpuset-mems", "string");
        /// Limit the read rate of a device in bytes per second: DEVICE:RATE
        device_read_bps: List("device-read-bps", "list");
        /// Limit the read rate of a device in operations per second: DEVICE:RATE
        device_read_iops: List("device-read-iops", "list");
        /// Limit the write rate of a device in bytes per second: DEVICE:RATE
        device_write_bps: List("device-write-bps", "list");
        /// Limit the write rate of a device in operations per second: DEVICE:RATE
        device_write_iops: List("device-write-iops", "list");
        /// IO bandwidth of the system drive (Windows only)
        io_maxbandwidth: Text("io-maxbandwidth", "bytes");
        /// IO operations of the system drive (Windows only)
        io_maxiops: Text("io-maxiops", "uint");
        /// Kernel memory limit (does nothing: removed from the kernel)
        kernel_memory: Text("kernel-memory", "bytes");
        /// Memory limit
        memory: Text("memory" 'm', "bytes");
        /// Memory soft limit
        memory_reservation: Text("memory-reservation", "bytes");
        /// Memory plus swap; -1 for unlimited swap
        memory_swap: Text("memory-swap", "bytes");
        /// Swappiness, 0 to 100 (cgroup v1)
        memory_swappiness: Text("memory-swappiness", "int");
        /// Disable the OOM killer (refused unless allowed)
        oom_kill_disable: Switch("oom-kill-disable");
        /// OOM preference, -1000 to 1000
        oom_score_adj: Text("oom-score-adj", "int");
        /// Limit of processes; -1 for unlimited (refused unless allowed)
        pids_limit: Text("pids-limit", "int");
        /// Intel RDT class (podman)
        rdt_class: Text("rdt-class", "string");
        /// Size of /dev/shm
        shm_size: Text("shm-size", "bytes");
        /// Resource limit: NAME=SOFT[:HARD]
        ulimit: List("ulimit", "ulimit");
    }
}
