//! Which sockets can be made.

use crate::harness::raw::{Tried, in_child, syscall};

/// By number, as <linux/socket.h> has them.
pub const FAMILIES: &[(usize, &str)] = &[
    (1, "unix"),
    (2, "inet"),
    (3, "ax25"),
    (4, "ipx"),
    (5, "appletalk"),
    (6, "netrom"),
    (8, "atmpvc"),
    (9, "x25"),
    (10, "inet6"),
    (11, "rose"),
    (15, "key"),
    (16, "netlink"),
    (17, "packet"),
    (20, "atmsvc"),
    (21, "rds"),
    (23, "irda"),
    (24, "pppox"),
    (26, "llc"),
    (27, "ib"),
    (28, "mpls"),
    (29, "can"),
    (30, "tipc"),
    (31, "bluetooth"),
    (33, "rxrpc"),
    (35, "phonet"),
    (36, "ieee802154"),
    (37, "caif"),
    (38, "alg"),
    (39, "nfc"),
    (40, "vsock"),
    (41, "kcm"),
    (42, "qipcrtr"),
    (43, "smc"),
    (44, "xdp"),
    (45, "mctp"),
];

const TYPES: &[(usize, &str)] = &[(1, "stream"), (2, "dgram"), (3, "raw"), (4, "rdm"), (5, "seqpacket")];

const NETLINK: &[(usize, &str)] = &[
    (0, "route"),
    (2, "usersock"),
    (4, "sock_diag"),
    (5, "nflog"),
    (6, "xfrm"),
    (7, "selinux"),
    (8, "iscsi"),
    (9, "audit"),
    (10, "fib_lookup"),
    (11, "connector"),
    (12, "netfilter"),
    (15, "kobject_uevent"),
    (16, "generic"),
    (20, "rdma"),
    (21, "crypto"),
    (22, "smc"),
];

const INET: &[(usize, usize, &str)] = &[
    (1, 6, "tcp"),
    (2, 17, "udp"),
    (2, 1, "icmp"),
    (1, 33, "dccp"),
    (1, 132, "sctp"),
    (5, 132, "sctp-seqpacket"),
    (2, 136, "udplite"),
    (1, 262, "mptcp"),
    (1, 256, "smc"),
    (3, 255, "raw"),
];

/// `family NAME RESULT` for each family (open where any type is), then `inet NAME RESULT`, `inet6 …`, `netlink …`.
pub fn print() {
    for (family, name) in FAMILIES {
        let tries: Vec<Tried> = TYPES.iter().map(|(kind, _)| make(*family, *kind, 0)).collect();
        let best = tries.iter().find(|t| **t == Tried::Open).or_else(|| tries.iter().find(|t| !supported(t)));
        println!("family-{name} {}", best.unwrap_or(&tries[0]));
    }
    for (kind, protocol, name) in INET {
        println!("inet-{name} {}", make(2, *kind, *protocol));
        println!("inet6-{name} {}", make(10, *kind, *protocol));
    }
    for (protocol, name) in NETLINK {
        println!("netlink-{name} {}", make(16, 3, *protocol));
    }
    // The filter must look at the 32 bits that the kernel looks at.
    println!("family-alg-high {}", make(0x1_0000_0026, 5, 0));
}

/// Not an answer for the type, but for the family.
fn supported(t: &Tried) -> bool {
    matches!(t, Tried::Errno(libc::ESOCKTNOSUPPORT | libc::EPROTONOSUPPORT | libc::EINVAL))
}

fn make(family: usize, kind: usize, protocol: usize) -> Tried {
    in_child(|| syscall(libc::SYS_socket, [family, kind, protocol, 0, 0, 0]))
}
