//! The container as a thing with a name, a record and an end.

super::flags! {
    /// Flags about the container's name, record, health and end.
    pub struct ContainerFlags, "Container" {
        /// Add an OCI annotation: KEY=VALUE
        annotation: List("annotation", "map");
        /// Write the container's id to a file
        cidfile: Text("cidfile", "path");
        /// Write the monitor's pid to a file (podman)
        conmon_pidfile: Text("conmon-pidfile", "path");
        /// Command that checks the container's health
        health_cmd: Text("health-cmd", "string");
        /// Time between health checks
        health_interval: Text("health-interval", "duration");
        /// What to do when unhealthy: none, kill, restart, stop (podman)
        health_on_failure: Text("health-on-failure", "string");
        /// Failures in a row that mean unhealthy
        health_retries: Text("health-retries", "int");
        /// Time between health checks during the start period
        health_start_interval: Text("health-start-interval", "duration");
        /// Time in which failures do not count
        health_start_period: Text("health-start-period", "duration");
        /// Command that checks whether the container has started (podman)
        health_startup_cmd: Text("health-startup-cmd", "string");
        /// Time a health check may take
        health_timeout: Text("health-timeout", "duration");
        /// Set a label: KEY[=VALUE]
        label: List("label" 'l', "list");
        /// Read labels from a file
        label_file: List("label-file", "list");
        /// Log driver
        log_driver: Text("log-driver", "string");
        /// Log driver option: KEY=VALUE
        log_opt: List("log-opt", "list");
        /// Name of the container
        name: Text("name", "string");
        /// Turn off the image's health check
        no_healthcheck: Switch("no-healthcheck");
        /// Write the host's pid of the first process to a file (podman)
        pidfile: Text("pidfile", "path");
        /// Remove a container of the same name first (podman)
        replace: Switch("replace");
        /// Containers to start before (podman; not applicable)
        requires: List("requires", "list");
        /// Restart policy: no, on-failure[:N], always, unless-stopped
        restart: Text("restart", "string");
        /// Remove the container and its anonymous volumes when it exits
        rm: Switch("rm");
        /// Remove the image when the container exits (podman)
        rmi: Switch("rmi");
        /// Signal that stops the container
        stop_signal: Text("stop-signal", "string");
        /// Seconds between the stop signal and a kill
        stop_timeout: Text("stop-timeout", "int");
        /// Seconds after which the container is killed (podman)
        timeout: Text("timeout", "uint");
    }
}
