//! Calls that depend on their arguments.

use super::rules::{Action, Body, Clause, Cond};
use libc::*;
use std::collections::BTreeSet;

/// Which look is taken at a call's arguments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Check {
    None,
    /// Refused in every profile, with this errno.
    Never(i32),
    Clone,
    Socket,
    Socketpair,
    Ioctl,
    Prctl,
    Personality,
    RealtimeClock,
    /// The argument is a file mode.
    Mode(u8),
    /// The mode counts where the flags make a file.
    OpenMode {
        flags: u8,
        mode: u8,
    },
    /// The mode is in memory, out of a filter's sight.
    Openat2,
}

/// What decides about arguments besides the table.
#[derive(Debug, Clone, Copy)]
pub struct Options<'a> {
    pub opened: &'a BTreeSet<String>,
    /// Wins over `opened`.
    pub shut: &'a BTreeSet<String>,
}

impl Options<'_> {
    pub fn opens(&self, group: &str) -> bool {
        self.opened.contains(group) && !self.shut.contains(group)
    }
}

/// `CLONE_NEW*` except NEWTIME, whose bit is part of the exit signal in clone(2): unshare and clone3 alone take it.
const NEW_NAMESPACES: u32 =
    (CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET) as u32;

/// S_ISUID | S_ISGID
pub const SETID: u32 = 0o6000;

// Terminal requests that reach out of the container through a shared terminal.
/// Types into the terminal (CVE-2017-5226): the host's shell runs it.
const TIOCSTI: u32 = 0x5412;
/// Pastes the console's selection (CVE-2023-28339).
const TIOCLINUX: u32 = 0x541c;
/// Takes the console's output away.
const TIOCCONS: u32 = 0x541d;
/// Line disciplines, loaded on demand (CVE-2017-2636, CVE-2024-36016).
const TIOCSETD: u32 = 0x5423;

/// PR_SET_MM: rewrites what /proc/<pid> shows of a process.
const PR_SET_MM: u32 = 35;

/// PER_LINUX, PER_LINUX32, UNAME26 with each, and the query: what Docker allows. Others switch exploit mitigations off.
const PERSONALITIES: [u32; 5] = [0, 8, 0x20000, 0x20008, 0xffff_ffff];

/// SOCK_TYPE_MASK: above it are SOCK_CLOEXEC and SOCK_NONBLOCK.
const TYPE: u32 = 0xf;

impl Check {
    pub fn body(self, options: Options<'_>) -> Body {
        let eperm = Action::Errno(EPERM as u16);
        match self {
            Check::None | Check::Mode(_) | Check::OpenMode { .. } | Check::Openat2 => Body::always(Action::Allow),
            Check::Never(errno) => Body::always(Action::Errno(errno as u16)),
            Check::Clone if options.opens("namespaces") => Body::always(Action::Allow),
            Check::Clone => allow_if(vec![Cond::bits(0, NEW_NAMESPACES, 0)], eperm),
            Check::Socket => socket(options),
            // The kernel makes pairs of unix sockets only; TIPC would be the other.
            Check::Socketpair => allow_if(vec![Cond::any(0, &[AF_UNIX as u32])], Action::Errno(EAFNOSUPPORT as u16)),
            Check::Ioctl => refuse_if(vec![Cond::any(1, &[TIOCSTI, TIOCLINUX, TIOCCONS, TIOCSETD])], eperm),
            Check::Prctl => refuse_if(vec![Cond::any(0, &[PR_SET_MM])], eperm),
            Check::Personality => allow_if(vec![Cond::any(0, &PERSONALITIES)], eperm),
            // Dynamic clocks are devices of the host.
            Check::RealtimeClock => allow_if(vec![Cond::any(0, &[CLOCK_REALTIME as u32])], eperm),
        }
    }

    /// What refuses the making of a setuid or setgid file, to be put before everything else.
    ///
    /// Not mkdir: the kernel takes these bits out of its mode, and `cp -r` of a setgid folder passes them.
    pub fn setid(self) -> Option<Clause> {
        let eperm = Action::Errno(EPERM as u16);
        let set = |arg| Cond::any_of_bits(arg, SETID);
        Some(match self {
            Check::Mode(arg) => Clause { all: vec![set(arg)], action: eperm },
            // The mode of a plain open is whatever was in the register.
            Check::OpenMode { flags, mode } => Clause {
                all: vec![Cond::any_of_bits(flags, (O_CREAT | O_TMPFILE & !O_DIRECTORY) as u32), set(mode)],
                action: eperm,
            },
            Check::Openat2 => Clause { all: Vec::new(), action: Action::Errno(ENOSYS as u16) },
            _ => return None,
        })
    }
}

fn allow_if(all: Vec<Cond>, otherwise: Action) -> Body {
    Body { clauses: vec![Clause { all, action: Action::Allow }], otherwise }
}

fn refuse_if(all: Vec<Cond>, action: Action) -> Body {
    Body { clauses: vec![Clause { all, action }], otherwise: Action::Allow }
}

/// Families and protocols by list. A refused family answers EAFNOSUPPORT and a refused protocol EPROTONOSUPPORT, as a
/// kernel without them would: PAM takes that for "no audit here", Go for "no multipath TCP", and both go on.
fn socket(options: Options<'_>) -> Body {
    let family = |families: &[i32]| Cond::any(0, &families.iter().map(|&f| f as u32).collect::<Vec<_>>());
    let kind = |kind: i32| Cond::bits(1, TYPE, kind as u32);
    let protocol = |protocols: &[i32]| Cond::any(2, &protocols.iter().map(|&p| p as u32).collect::<Vec<_>>());
    let allow = |all| Clause { all, action: Action::Allow };
    let inet = [AF_INET, AF_INET6];
    let left = |group: &str| !options.shut.contains(group);

    let mut clauses = Vec::new();
    if left("unix-sockets") {
        clauses.push(allow(vec![family(&[AF_UNIX])]));
    }
    let mut stream = vec![IPPROTO_IP, IPPROTO_TCP];
    if options.opens("mptcp") {
        stream.push(IPPROTO_MPTCP);
    }
    if options.opens("sctp") {
        stream.push(IPPROTO_SCTP);
        clauses.push(allow(vec![family(&inet), kind(SOCK_SEQPACKET), protocol(&[IPPROTO_IP, IPPROTO_SCTP])]));
    }
    // ICMP echo sockets: what ping uses first.
    for (type_, protocols, four, six) in [
        (SOCK_STREAM, stream.as_slice(), "inet-tcp", "inet6-tcp"),
        (SOCK_DGRAM, &[IPPROTO_IP, IPPROTO_UDP], "inet-udp", "inet6-udp"),
        (SOCK_DGRAM, &[IPPROTO_ICMP, IPPROTO_ICMPV6], "inet-icmp", "inet6-icmp"),
    ] {
        let families: Vec<i32> =
            [(AF_INET, four), (AF_INET6, six)].iter().filter(|(_, g)| left(g)).map(|(f, _)| *f).collect();
        if !families.is_empty() {
            clauses.push(allow(vec![family(&families), kind(type_), protocol(protocols)]));
        }
    }
    if options.opens("raw-sockets") {
        clauses.push(allow(vec![family(&inet), kind(SOCK_RAW)]));
    }
    // getaddrinfo, getifaddrs and ip(8) ask NETLINK_ROUTE and nothing else.
    let mut netlink = vec![NETLINK_ROUTE];
    if options.opens("socket-diag") {
        netlink.push(NETLINK_SOCK_DIAG);
    }
    if options.opens("netlink-events") {
        netlink.extend([NETLINK_KOBJECT_UEVENT, NETLINK_GENERIC]);
    }
    if left("netlink-sockets") {
        clauses.push(allow(vec![family(&[AF_NETLINK]), protocol(&netlink)]));
    }
    if options.opens("packet-sockets") {
        clauses.push(allow(vec![family(&[AF_PACKET])]));
    }
    if options.opens("vsock") {
        clauses.push(allow(vec![family(&[AF_VSOCK])]));
    }
    // The kernel's answer to a raw socket without CAP_NET_RAW.
    clauses.push(Clause { all: vec![family(&inet), kind(SOCK_RAW)], action: Action::Errno(EPERM as u16) });
    clauses.push(Clause {
        all: vec![family(&[AF_INET, AF_INET6, AF_NETLINK])],
        action: Action::Errno(EPROTONOSUPPORT as u16),
    });
    Body { clauses, otherwise: Action::Errno(EAFNOSUPPORT as u16) }
}
