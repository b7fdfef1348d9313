//! Network and names.

super::flags! {
    /// Flags that connect the container.
    pub struct NetworkFlags, "Network" {
        /// Add a line to /etc/hosts: HOST:IP
        add_host: List("add-host", "list");
        /// Let the container reach services of the host and ports published on it
        allow_host_access: Switch("allow-host-access");
        /// DNS server
        dns: List("dns", "list");
        /// DNS option
        dns_option: List("dns-option", "list" | "dns-opt");
        /// DNS search domain
        dns_search: List("dns-search", "list");
        /// Limit outgoing traffic to HOST[:PORT], NETWORK[:PORT] or NAME[:PORT]; none: nowhere
        egress: List("egress", "list");
        /// Name a port in the container's metadata
        expose: List("expose", "list");
        /// IPv4 address on a network
        ip: Text("ip", "string");
        /// IPv6 address on a network
        ip6: Text("ip6", "string");
        /// Link to another container (deprecated)
        link: List("link", "list");
        /// Link-local address
        link_local_ip: List("link-local-ip", "list");
        /// MAC address
        mac_address: Text("mac-address", "string");
        /// Connect to a network: none, bridge, host (refused unless allowed), container:NAME or a network's name
        network: List("network", "network" | "net");
        /// Name on a user network
        network_alias: List("network-alias", "list" | "net-alias");
        /// Leave the image's /etc/hosts alone (podman)
        no_hosts: Switch("no-hosts");
        /// Join a pod (podman; not applicable)
        pod: Text("pod", "string");
        /// Join the pod whose id is in a file (podman; not applicable)
        pod_id_file: Text("pod-id-file", "path");
        /// Publish a port: [IP:][HOST:]CONTAINER[/PROTOCOL]; without an address on 127.0.0.1
        publish: List("publish" 'p', "list");
        /// Publish every exposed port (refused unless allowed)
        publish_all: Switch("publish-all" 'P');
    }
}
