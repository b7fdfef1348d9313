//! The process and what it sees of its caller.

super::flags! {
    /// Flags about the process itself.
    pub struct ProcessFlags, "Process" {
        /// Attach to stdin, stdout or stderr
        attach: List("attach" 'a', "list");
        /// Run in the background and print the container's id
        detach: Switch("detach" 'd');
        /// Keys that detach a terminal
        detach_keys: Text("detach-keys", "string");
        /// NIS domain name
        domainname: Text("domainname", "string");
        /// Replace the image's entrypoint
        entrypoint: Text("entrypoint", "string");
        /// Set an environment variable: NAME=VALUE, or NAME for the caller's value
        env: List("env" 'e', "list");
        /// Read environment variables from a file
        env_file: List("env-file", "list");
        /// Pass the caller's whole environment (podman; refused unless allowed)
        env_host: Switch("env-host");
        /// Set a variable from the image's variables: NAME=${NAME}… (podman)
        env_merge: List("env-merge", "list");
        /// Add a supplementary group
        group_add: List("group-add", "list");
        /// Line to add to /etc/group (podman)
        group_entry: Text("group-entry", "string");
        /// Host name
        hostname: Text("hostname" 'h', "string");
        /// Add a host user to /etc/passwd (podman)
        hostuser: List("hostuser", "list");
        /// Pass the caller's proxy variables (podman); off unless asked for
        http_proxy: Switch("http-proxy");
        /// Run a small init as pid 1
        init: Switch("init");
        /// Init program of the host (podman; refused)
        init_path: Text("init-path", "path");
        /// Keep stdin open
        interactive: Switch("interactive" 'i');
        /// Leave the image's /etc/hostname alone (podman)
        no_hostname: Switch("no-hostname");
        /// Add the user to /etc/passwd (podman)
        passwd: Switch("passwd");
        /// Line to add to /etc/passwd (podman)
        passwd_entry: Text("passwd-entry", "string");
        /// Pass so many further file descriptors (podman; refused unless allowed)
        preserve_fds: Text("preserve-fds", "uint");
        /// sd_notify behaviour: container, conmon, ignore (podman)
        sdnotify: Text("sdnotify", "string");
        /// Pass signals on to the process (on by default)
        sig_proxy: Switch("sig-proxy");
        /// Allocate a terminal
        tty: Switch("tty" 't');
        /// Time zone of the container, or local (podman)
        tz: Text("tz", "string");
        /// File mode creation mask in octal (podman)
        umask: Text("umask", "string");
        /// Remove a variable of the image (podman)
        unsetenv: List("unsetenv", "list");
        /// Remove all variables of the image (podman)
        unsetenv_all: Switch("unsetenv-all");
        /// User: NAME|UID[:GROUP|GID]
        user: Text("user" 'u', "string");
        /// Working directory
        workdir: Text("workdir" 'w', "string");
    }
}
